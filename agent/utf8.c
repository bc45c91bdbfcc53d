/* Text made fit for the wire: see utf8.h. */
#include "agent/utf8.h"

#include <string.h>

/* Bytes of the UTF-8 character at p[0 … n), or 0 when there is none. */
static uint32_t char_length(const char *p, uint32_t n)
{
    for (uint32_t k = 1; k <= 4 && k <= n; k++)
        if (wire_utf8_ok(p, k))
            return p[0] ? k : 0;
    return 0;
}

struct wire_str utf8_mend(struct arena *a, const char *p, uint32_t n, uint32_t max)
{
    uint32_t len = 0;
    char *to;

    if (n <= max && wire_utf8_ok(p, n) && !memchr(p, 0, n))
        return (struct wire_str){p, n};
    to = arena_alloc(a, max + 1);
    for (uint32_t i = 0; to && i < n;) {
        uint32_t k = char_length(p + i, n - i);
        const char *from = k ? p + i : "\xEF\xBF\xBD";
        uint32_t add = k ? k : 3;

        if (len + add > max)
            break;
        memcpy(to + len, from, add);
        len += add;
        i += k ? k : 1;
    }
    return (struct wire_str){to ? to : "", to ? len : 0};
}
