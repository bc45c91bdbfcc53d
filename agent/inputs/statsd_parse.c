/* StatsD lines taken apart: NAME:VALUE[:VALUE…]|TYPE[|@RATE][|#TAG,…][|c:ID][|Tsec]…,
 * as DogStatsD's protocol page has them. Nothing is copied. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inputs/statsd.h"

const char *statsd_error_name(enum statsd_error e)
{
    static const char *const names[STATSD_ERRORS] = {
        "ok",   "format",       "name",   "type",     "value", "negative_counter", "rate", "tags",
        "kind", "series_limit", "memory", "set_full", "event", "events_limit"};

    return e < STATSD_ERRORS ? names[e] : "unknown";
}

/* Through strtod, for what the fast way below can't do exactly. */
static bool slow_number(const char *p, size_t n, double *out)
{
    char text[64], *end;

    if (n >= sizeof text)
        return false;
    memcpy(text, p, n);
    text[n] = 0;
    *out = strtod(text, &end);
    return end == text + n && isfinite(*out);
}

/* Digits with a mantissa below 2^53 and at most 22 places are one exact
 * division (Clinger, "How to Read Floating Point Numbers Accurately"). */
bool statsd_number(const char *p, size_t n, double *out)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    size_t i = n && (*p == '-' || *p == '+'), digits = 0, places = 0;
    uint64_t m = 0;
    bool point = false, exact = true;

    for (; i < n; i++) {
        if (p[i] == '.' && !point) {
            point = true;
        } else if (p[i] >= '0' && p[i] <= '9') {
            if (m >= (UINT64_C(1) << 53) / 10)
                exact = false;
            else
                m = m * 10 + (uint64_t)(p[i] - '0');
            digits++;
            places += point;
        } else {
            break;
        }
    }
    if (!digits)
        return false;
    if (i == n && exact && places <= 22) {
        *out = (double)m / tens[places];
        if (*p == '-')
            *out = -*out;
        return true;
    }
    for (; i < n; i++) /* no hexadecimal, no names */
        if (!((p[i] >= '0' && p[i] <= '9') || strchr("eE+-.", p[i])) || !p[i])
            return false;
    return slow_number(p, n, out);
}

static enum statsd_error parse_type(const char *p, size_t n, char *type)
{
    if (n == 2 && p[0] == 'm' && p[1] == 's') {
        *type = 'm';
        return STATSD_OK;
    }
    if (n != 1 || !strchr("cghds", *p) || !*p)
        return STATSD_TYPE;
    *type = *p;
    return STATSD_OK;
}

static enum statsd_error parse_field(const char *p, size_t n, struct statsd_line *out)
{
    if (!n)
        return STATSD_FORMAT;
    switch (*p) {
    case '@':
        if (!statsd_number(p + 1, n - 1, &out->rate) || !(out->rate > 0 && out->rate <= 1))
            return STATSD_RATE;
        break;
    case '#':
        if (n - 1 > STATSD_MAX_TAGS)
            return STATSD_TAGS;
        out->tags = (struct bytes){(const uint8_t *)p + 1, n - 1};
        break;
    case 'T': out->stamped = true; break;
    default: break; /* container id, and what later versions bring */
    }
    return STATSD_OK;
}

enum statsd_error statsd_parse_line(const char *p, size_t n, struct statsd_line *out)
{
    const char *end = p + n, *colon = memchr(p, ':', n), *bar, *next;
    enum statsd_error rc;

    *out = (struct statsd_line){.rate = 1};
    if (!colon)
        return STATSD_FORMAT;
    if (colon == p || colon - p > STATSD_MAX_NAME)
        return STATSD_NAME;
    out->name = (struct bytes){(const uint8_t *)p, (size_t)(colon - p)};
    if (memchr(p, '|', out->name.n))
        return STATSD_FORMAT;
    bar = memchr(colon, '|', (size_t)(end - colon));
    if (!bar)
        return STATSD_FORMAT;
    out->values = (struct bytes){(const uint8_t *)colon + 1, (size_t)(bar - colon - 1)};
    if (!out->values.n)
        return STATSD_VALUE;
    p = bar + 1;
    next = memchr(p, '|', (size_t)(end - p));
    rc = parse_type(p, (size_t)((next ? next : end) - p), &out->type);
    while (rc == STATSD_OK && next) {
        p = next + 1;
        next = memchr(p, '|', (size_t)(end - p));
        rc = parse_field(p, (size_t)((next ? next : end) - p), out);
    }
    return rc;
}
