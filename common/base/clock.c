/* Civil time without a time zone database: see clock.h. */
#include "common/base/clock.h"

#include <stdio.h>
#include <string.h>

#include "common/base/days.h"
#include "common/base/err.h"

static const int64_t ms_per_day = 86400000;

char *wall_text(struct wall t, char out[WALL_TEXT])
{
    const int64_t first = days_from_civil(1, 1, 1) * ms_per_day;
    const int64_t last = days_from_civil(10000, 1, 1) * ms_per_day - 1;
    int64_t ms = t.ms < first ? first : t.ms > last ? last : t.ms;
    int64_t days = ms / ms_per_day - (ms % ms_per_day < 0);
    int64_t left = ms - days * ms_per_day;
    int64_t y;
    int m, d;

    civil_from_days(days, &y, &m, &d);
    (void)snprintf(out, WALL_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)y, m, d, (int)(left / 3600000),
                   (int)(left / 60000 % 60), (int)(left / 1000 % 60), (int)(left % 1000));
    return out;
}

/* Reads exactly n digits at *s; -1 when there are others. Advances *s. */
static int digits(const char **s, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return -1;
        v = v * 10 + (**s - '0');
    }
    return v;
}

static bool skip(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

/* Reads "Z" or "+hh:mm" as minutes east of Greenwich. */
static bool zone(const char **s, int *minutes)
{
    int sign, h, m;

    *minutes = 0;
    if (skip(s, 'Z') || skip(s, 'z'))
        return true;
    if (**s != '+' && **s != '-')
        return false;
    sign = **s == '-' ? -1 : 1;
    (*s)++;
    h = digits(s, 2);
    if (h < 0 || h > 23 || !skip(s, ':'))
        return false;
    m = digits(s, 2);
    if (m < 0 || m > 59)
        return false;
    *minutes = sign * (h * 60 + m);
    return true;
}

int wall_parse(const char *s, struct wall *out)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, mo, d, h, mi, sec, off, frac = 0, scale = 100;

    if ((y = digits(&s, 4)) < 1 || !skip(&s, '-') || (mo = digits(&s, 2)) < 1 || mo > 12 || !skip(&s, '-') ||
        (d = digits(&s, 2)) < 1 || d > month_days[mo - 1] ||
        (mo == 2 && d == 29 && (y % 4 || (y % 100 == 0 && y % 400))))
        return ERR_MALFORMED;
    if (!skip(&s, 'T') && !skip(&s, 't') && !skip(&s, ' '))
        return ERR_MALFORMED;
    if ((h = digits(&s, 2)) < 0 || h > 23 || !skip(&s, ':') || (mi = digits(&s, 2)) < 0 || mi > 59 ||
        !skip(&s, ':') || (sec = digits(&s, 2)) < 0 || sec > 60)
        return ERR_MALFORMED;
    if (skip(&s, '.')) {
        if (*s < '0' || *s > '9')
            return ERR_MALFORMED;
        for (; *s >= '0' && *s <= '9'; s++, scale /= 10)
            frac += (*s - '0') * scale;
    }
    if (!zone(&s, &off) || *s)
        return ERR_MALFORMED;
    out->ms =
        days_from_civil(y, mo, d) * ms_per_day + ((int64_t)h * 3600 + (mi - off) * 60 + sec) * 1000 + frac;
    return 0;
}
