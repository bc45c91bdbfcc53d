/* See query.h. */
#include "aggregator/expose/query.h"

#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A decoded copy; *rc is set when there is none. */
static const char *decode(const char *s, size_t n, struct arena *a, int *rc)
{
    char *to = arena_alloc(a, n + 1), *at = to;

    if (!to) {
        *rc = ERR_NOMEM;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        int high, low;

        if (s[i] != '%') {
            *at++ = s[i] == '+' ? ' ' : s[i];
            continue;
        }
        high = n - i > 2 ? digit(s[i + 1]) : -1;
        low = n - i > 2 ? digit(s[i + 2]) : -1;
        if (high < 0 || low < 0 || high * 16 + low == 0) {
            *rc = ERR_MALFORMED;
            return NULL;
        }
        *at++ = (char)(high * 16 + low);
        i += 2;
    }
    return to;
}

int query_read(const char *text, size_t n, struct arena *a, struct query *out)
{
    int rc = 0;

    out->n = 0;
    while (n > 0 && rc == 0) {
        const char *end = memchr(text, '&', n);
        size_t part = end ? (size_t)(end - text) : n;
        const char *equal = memchr(text, '=', part);
        size_t name = equal ? (size_t)(equal - text) : part;

        if (part > 0 && out->n == QUERY_PARAMS)
            return ERR_LIMIT;
        if (part > 0) {
            struct query_param *p = &out->v[out->n];

            p->name = decode(text, name, a, &rc);
            p->value =
                rc == 0 ? decode(text + name + (equal != NULL), part - name - (equal != NULL), a, &rc) : NULL;
            out->n += rc == 0;
        }
        part += end != NULL;
        text += part;
        n -= part;
    }
    return rc;
}

const char *query_get(const struct query *q, const char *name)
{
    for (uint32_t i = 0; i < q->n; i++) {
        if (strcmp(q->v[i].name, name) == 0)
            return q->v[i].value;
    }
    return NULL;
}
