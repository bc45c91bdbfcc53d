/* See trial_series.h. Numbers are cut out by hand: strtod would take "0x10" as hexadecimal. */
#include "aggregator/alert/trial_series.h"

#include <string.h>

#include "common/config/config.h"

void trial_walk_init(struct trial_walk *w, const char *text)
{
    *w = (struct trial_walk){.p = text};
}

/* Length of a decimal number at s, its sign included; 0: none. */
static size_t number_len(const char *s)
{
    size_t n = *s == '-' || *s == '+', digits = strspn(s + n, "0123456789"), more;

    if (!strncmp(s + n, "Inf", 3) || !strncmp(s + n, "NaN", 3))
        return n + 3;
    n += digits;
    if (s[n] == '.') {
        more = strspn(s + n + 1, "0123456789");
        digits += more;
        n += 1 + more;
    }
    if (!digits)
        return 0;
    if (s[n] == 'e' || s[n] == 'E') {
        size_t sign = s[n + 1] == '-' || s[n + 1] == '+';

        more = strspn(s + n + 1 + sign, "0123456789");
        if (more)
            n += 1 + sign + more;
    }
    return n;
}

static bool read_number(const char **p, double *out)
{
    size_t n = number_len(*p);
    char text[64];

    if (!n || n >= sizeof text)
        return false;
    memcpy(text, *p, n);
    text[n] = 0;
    *p += n;
    return parse_number(text, out, NULL) == 0;
}

/* "x" and a whole number: true when there is none, with *n as it was. */
static bool read_times(const char **p, uint32_t *n)
{
    size_t digits;
    uint32_t v = 0;

    if (**p != 'x')
        return true;
    digits = strspn(++*p, "0123456789");
    if (!digits || digits > 7)
        return false;
    while (digits--)
        v = v * 10 + (uint32_t)(*(*p)++ - '0');
    *n = v;
    return true;
}

static bool at_end(const char *p)
{
    return !*p || *p == ' ' || *p == '\t';
}

static bool read_word(struct trial_walk *w)
{
    uint32_t n = 0;
    char sign;

    w->delta = 0;
    if (*w->p == '_') {
        w->p++;
        n = 1;
        w->kind = TRIAL_NONE;
        w->left = read_times(&w->p, &n) ? n : 0;
        return w->left && at_end(w->p);
    }
    if (!strncmp(w->p, "stale", 5)) {
        w->p += 5;
        w->kind = TRIAL_STALE;
        w->left = 1;
        return at_end(w->p);
    }
    w->kind = TRIAL_VALUE;
    if (!read_number(&w->p, &w->value))
        return false;
    sign = *w->p;
    if (sign == '+' || sign == '-') {
        w->p++;
        if (*w->p == '+' || *w->p == '-' || !read_number(&w->p, &w->delta) || *w->p != 'x')
            return false;
        if (sign == '-')
            w->delta = -w->delta;
    }
    if (!read_times(&w->p, &n))
        return false;
    w->left = n + 1;
    w->value -= w->delta;
    return at_end(w->p);
}

int trial_walk_next(struct trial_walk *w, struct err *e)
{
    const char *word;

    if (!w->left) {
        w->p += strspn(w->p, " \t");
        if (!*w->p)
            return 0;
        word = w->p;
        if (!read_word(w))
            return err_set(e, ERR_MALFORMED,
                           "found \"%.40s\", expected a+bxn, a-bxn, axn, a number, _, _xn or stale", word);
    }
    if (w->given == TRIAL_VALUES_MOST)
        return err_set(e, ERR_LIMIT, "more than %d values", (int)TRIAL_VALUES_MOST);
    w->left--;
    w->step = w->given++;
    if (w->kind == TRIAL_VALUE)
        w->value += w->delta;
    return 1;
}

int trial_series_check(const char *text, uint32_t *steps, struct err *e)
{
    struct trial_walk w;
    int rc;

    trial_walk_init(&w, text);
    while ((rc = trial_walk_next(&w, e)) == 1) {
    }
    *steps = w.given;
    return rc;
}
