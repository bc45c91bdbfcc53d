/* Paths of the API with what a person has typed in them: see ctl.h. */
#include <string.h>

#include "aggregator/ctl/ctl.h"

/* The unreserved characters of RFC 3986 stay. */
static void escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c))
            buf_u8(out, c);
        else
            buf_fmt(out, "%%%02X", c);
    }
}

void path_add(struct buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    buf_fmt(path, "%c%s=", memchr(path->data, '?', path->len) ? '&' : '?', name);
    escape(path, value);
}

void path_part(struct buf *path, const char *part)
{
    buf_str(path, "/");
    escape(path, part);
}

bool ctl_verb(const char *verb, int argc, char **argv, int arguments)
{
    return argc == arguments + 1 && strcmp(argv[0], verb) == 0;
}
