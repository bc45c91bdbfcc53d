/* Single values from text: durations, sizes, ratios, numbers.
 * Pure and total: any text gives a value or an error.
 *
 * Strict on purpose. A unit is always written (but for 0), decimal units of bytes are refused rather than
 * guessed (64MB may mean two things), and what overflows is an error. Ratios in per cent are shifted in the
 * text, so that 99.95% and 0.9995 are the same double. */
#include "common/config/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"d", 86400000000000}, {"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000},
    {"ms", 1000000},       {"us", 1000},         {"ns", 1},
};
static const struct unit size_units[] = {
    {"TiB", 1LL << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int parse_int(const char *s, int64_t *out)
{
    bool negative = *s == '-';
    uint64_t v = 0, most = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, digit;

    if (*s == '-' || *s == '+')
        s++;
    if (!is_digit(*s))
        return ERR_MALFORMED;
    for (; is_digit(*s); s++) {
        digit = (uint64_t)(*s - '0');
        if (v > (most - digit) / 10)
            return ERR_RANGE;
        v = v * 10 + digit;
    }
    if (*s)
        return ERR_MALFORMED;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return 0;
}

/* Digits and one of the units; bare digits when `bare` allows them (as factor 1) or when they are 0. */
static int with_unit(const char *s, const struct unit *units, size_t n, bool bare, int64_t *out)
{
    char digits[24];
    size_t len = strspn(s, "0123456789"), i;
    int64_t v;
    int rc;

    if (!len)
        return ERR_MALFORMED;
    if (len >= sizeof digits)
        return ERR_RANGE;
    memcpy(digits, s, len);
    digits[len] = 0;
    rc = parse_int(digits, &v);
    if (rc)
        return rc;
    if (!s[len]) {
        *out = v;
        return bare || v == 0 ? 0 : ERR_MALFORMED;
    }
    for (i = 0; i < n; i++) {
        if (strcmp(s + len, units[i].name))
            continue;
        if (v > INT64_MAX / units[i].factor)
            return ERR_RANGE;
        *out = v * units[i].factor;
        return 0;
    }
    return ERR_MALFORMED;
}

int parse_duration(const char *s, struct span *out, struct err *e)
{
    int rc = with_unit(s, duration_units, sizeof duration_units / sizeof duration_units[0], false, &out->ns);

    if (rc == ERR_RANGE)
        return err_set(e, rc, "found \"%.60s\", which is longer than 292 years", s);
    if (rc)
        return err_set(
            e, rc,
            "found \"%.60s\", expected a duration: a whole number and ms, s, m, h or d, such as 250ms or 10s",
            s);
    return 0;
}

int parse_size(const char *s, int64_t *out, struct err *e)
{
    int rc = with_unit(s, size_units, sizeof size_units / sizeof size_units[0], true, out);

    if (rc == ERR_RANGE)
        return err_set(e, rc, "found \"%.60s\", which is larger than 8 EiB", s);
    if (rc)
        return err_set(
            e, rc,
            "found \"%.60s\", expected a size: a whole number and B, KiB, MiB, GiB or TiB, such as 64KiB", s);
    return 0;
}

/* Length of the decimal number at s: [+-]digits[.digits][e[+-]digits]; 0 when there is none. */
static size_t number_len(const char *s)
{
    const char *p = s + (*s == '-' || *s == '+'), *q;
    size_t whole = strspn(p, "0123456789"), fraction = 0;

    p += whole;
    if (*p == '.') {
        fraction = strspn(p + 1, "0123456789");
        p += 1 + fraction;
    }
    if (!whole && !fraction)
        return 0;
    if (*p == 'e' || *p == 'E') {
        q = p + 1 + (p[1] == '-' || p[1] == '+');
        if (is_digit(*q))
            p = q + strspn(q, "0123456789");
    }
    return (size_t)(p - s);
}

int parse_number(const char *s, double *out, struct err *e)
{
    size_t n = number_len(s);

    if (!n || s[n])
        return err_set(e, ERR_MALFORMED, "found \"%.60s\", expected a number such as 0.25", s);
    *out = strtod(s, NULL);
    if (!isfinite(*out))
        return err_set(e, ERR_RANGE, "found \"%.60s\", which is larger than a number can be", s);
    return 0;
}

int parse_ratio(const char *s, double *out, struct err *e)
{
    char text[64];
    size_t n = number_len(s);
    bool percent = n && !strcmp(s + n, "%");

    if (!n || (s[n] && !percent) || n >= sizeof text - 4 || (percent && memchr(s, 'e', n)) ||
        (percent && memchr(s, 'E', n)))
        return err_set(e, ERR_MALFORMED,
                       "found \"%.60s\", expected a ratio from 0 to 1 such as 0.9995 or 99.95%%", s);
    (void)snprintf(text, sizeof text, "%.*s%s", (int)n, s, percent ? "e-2" : "");
    *out = strtod(text, NULL);
    if (!(*out >= 0 && *out <= 1))
        return err_set(e, ERR_RANGE,
                       "found \"%.60s\", expected a ratio from 0 to 1 such as 0.9995 or 99.95%%", s);
    *out = fabs(*out); /* no negative zero */
    return 0;
}

/* The largest unit that divides v without a rest. v is not 0. */
static const struct unit *widest(int64_t v, const struct unit *units, size_t n)
{
    size_t i;

    for (i = 0; i + 1 < n && v % units[i].factor; i++)
        ;
    return &units[i];
}

void format_duration(struct span d, char out[32])
{
    const struct unit *u = &duration_units[3];

    if (d.ns)
        u = widest(d.ns, duration_units, sizeof duration_units / sizeof duration_units[0]);
    (void)snprintf(out, 32, "%" PRId64 "%s", d.ns / u->factor, u->name);
}

void format_size(int64_t n, char out[32])
{
    const struct unit *u = &size_units[4];

    if (n)
        u = widest(n, size_units, sizeof size_units / sizeof size_units[0]);
    (void)snprintf(out, 32, "%" PRId64 "%s", n / u->factor, u->name);
}
