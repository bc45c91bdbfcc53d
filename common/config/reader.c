/* Lines for the ini parser. Pure: the bytes of a file are in memory.
 *
 * What inih (ini.h, release 55 as in Debian 12) does in silence is done or refused here:
 *   - it cuts lines at the room that it hands to its reader (200 bytes) and goes on with the rest as a line
 * of its own: longer ones are refused, comments may have any length;
 *   - it tells its handler no line number: lines are counted here;
 *   - it cuts section names at 50 bytes and calls nobody for a section without options: headers are read
 * here, and inih is only told that some section begins;
 *   - it reports the first line that it cannot read, no further one: a line for which it owed its handler a
 * call and did not make it is found out when the next is read;
 *   - after a refused line its indented lines would continue the option before that: they are swallowed. */
#include "common/config/parse.h"
#include "common/config/text.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* What is wrong with the bytes of a line, or NULL. */
static const char *bad_bytes(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i, len;

    for (i = 0; i < n; i += len) {
        if (p[i] == 0)
            return "a NUL byte";
        if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7F)
            return "a control character";
        len = utf8_len(p + i, n - i);
        if (!len)
            return "bytes that are not UTF-8";
    }
    return NULL;
}

/* The last line was handed on: did the parser make something of it? */
static void settle(struct parser *p)
{
    if (!p->awaited)
        return;
    p->awaited = false;
    p->swallow = true;
    parser_mistake(p, p->line, p->section, NULL, "expected \"key = value\" or [section], found neither");
}

/* A header at s, which begins with '['. */
static void read_header(struct parser *p, const char *s, size_t n)
{
    const char *end = memchr(s, ']', n);
    size_t rest;

    if (end) {
        rest = (size_t)(end - s) + 1;
        while (rest < n && is_blank(s[rest]))
            rest++;
        if (rest == n || s[rest] == ';' || s[rest] == '#') {
            parser_header(p, s + 1, (size_t)(end - s) - 1);
            return;
        }
    }
    parser_commit(p);
    p->section = NULL;
    p->before_sections = false;
    parser_mistake(p, p->line, NULL, NULL,
                   end ? "found more behind the ] of a section" : "a section's ] is missing");
}

/* Judges one line of n bytes without its end. True when it is to
 * be handed on as it is; a header is handed on as "[s]". */
static bool judge(struct parser *p, const char *s, size_t n, size_t room, bool *header)
{
    const char *bad = bad_bytes(s, n);
    size_t skip = 0;

    while (skip < n && is_blank(s[skip]))
        skip++;
    if (!bad && (skip == n || s[skip] == ';' || s[skip] == '#'))
        return false;
    p->indented = skip > 0;
    if (p->indented && p->swallow && p->continues)
        return false;
    if (!p->indented)
        p->swallow = false;
    if (bad || n >= room) {
        parser_commit(p);
        p->swallow = p->continues = true; /* what its indented lines continue was refused */
        if (bad)
            parser_mistake(p, p->line, p->section, NULL, "the line holds %s", bad);
        else
            parser_mistake(
                p, p->line, p->section, NULL,
                "the line has %zu bytes, more than the %zu allowed: continue it on a next line that begins "
                "with white space (a \\ at the end joins without a space)",
                n, room - 1);
        return false;
    }
    if (s[skip] == '[' && !(p->indented && p->continues)) {
        *header = true;
        read_header(p, s + skip, n - skip);
        return false;
    }
    if (s[skip] == '=' || s[skip] == ':') {
        if (p->indented && p->continues)
            return true;
        parser_commit(p);
        p->swallow = p->continues = true;
        parser_mistake(p, p->line, p->section, NULL, "there is no key before the \"%c\"", s[skip]);
        return false;
    }
    return true;
}

char *parser_read(char *to, int room, void *arg)
{
    struct parser *p = arg;
    const char *s, *end;
    bool header = false;
    size_t n;

    settle(p);
    if (p->at >= p->text.n || p->rc)
        return NULL;
    s = (const char *)p->text.p + p->at;
    n = p->text.n - p->at;
    end = memchr(s, '\n', n);
    if (end)
        n = (size_t)(end - s);
    p->at += n + 1;
    p->line++;
    if (p->line == 1 && n >= 3 && !memcmp(s, "\xEF\xBB\xBF", 3)) {
        s += 3;
        n -= 3;
    }
    if (n && s[n - 1] == '\r')
        n--;
    to[0] = 0;
    if (judge(p, s, n, (size_t)room, &header)) {
        memcpy(to, s, n);
        to[n] = 0;
        p->awaited = true;
    } else if (header) {
        memcpy(to, "[s]", sizeof "[s]");
    }
    return to;
}
