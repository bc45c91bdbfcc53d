/* Reading the kernel's text files without allocation: a position that moves over bytes owned by somebody
 * else. Total on any bytes: nothing is read beyond the end, and a NUL is a character like others.
 *
 * A last line without its newline is taken for torn and left out: every file of procfs ends its lines, and
 * half a number looks like a number. */
#ifndef SB_AGENT_SCAN_H
#define SB_AGENT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/metric.h"

struct scan {
    const char *p, *end;
};

static inline struct scan scan_of(struct bytes b)
{
    const char *p = b.p ? (const char *)b.p : "";

    return (struct scan){p, p + (b.p ? b.n : 0)};
}

/* The next whole line, without its newline. False behind the last. */
static inline bool scan_line(struct scan *s, struct scan *line)
{
    const char *nl = s->p < s->end ? memchr(s->p, '\n', (size_t)(s->end - s->p)) : NULL;

    if (!nl)
        return false;
    *line = (struct scan){s->p, nl};
    s->p = nl + 1;
    return true;
}

static inline void scan_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
        s->p++;
}

/* The next word, up to a blank. False when only blanks are left. */
static inline bool scan_word(struct scan *s, struct text *word)
{
    const char *from;

    scan_blanks(s);
    from = s->p;
    while (s->p < s->end && *s->p != ' ' && *s->p != '\t')
        s->p++;
    *word = (struct text){from, (uint32_t)(s->p - from)};
    return s->p > from;
}

/* Digits from here on; false when there is none or they do
 * not fit 64 bits. Stops at the first that is no digit. */
static inline bool scan_digits(struct scan *s, uint64_t *v)
{
    const char *from = s->p;
    uint64_t n = 0;

    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        uint64_t d = (uint64_t)(*s->p - '0');

        if (n > (UINT64_MAX - d) / 10)
            return false;
        n = n * 10 + d;
    }
    *v = n;
    return s->p > from;
}

/* The next word as an unsigned number. False when there is none or it is something else. */
static inline bool scan_uint(struct scan *s, uint64_t *v)
{
    scan_blanks(s);
    return scan_digits(s, v) && (s->p == s->end || *s->p == ' ' || *s->p == '\t');
}

/* A prefix, which is skipped when it stands here. */
static inline bool scan_prefix(struct scan *s, const char *prefix)
{
    size_t n = strlen(prefix);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, prefix, n) != 0)
        return false;
    s->p += n;
    return true;
}

static inline bool text_is(struct text t, const char *s)
{
    return strlen(s) == t.n && memcmp(t.p, s, t.n) == 0;
}

/* A ratio as an integer sample of a row with div RATIO_DIV: clamped to 0 … 1, in steps fine enough for any
 * eye and short on the wire, where a float64 would take eight bytes at each tick. */
enum { RATIO_DIV = 10000 };
static inline int64_t ratio_sample(double r)
{
    return r >= 1 ? RATIO_DIV : r > 0 ? (int64_t)(r * RATIO_DIV + 0.5) : 0;
}

#endif
