/* POSIX TZ rules, as the footer of a TZif file has them (RFC 8536 section 3.3, with the hours of version 3: -167 to
 * 167). A rule is made of two changes a year; the offset at an instant is the one that the last change before it
 * began. Of two changes at the same instant the one into summer time holds: that is how a rule says "summer time
 * all the year" ("XXX3EDT4,0/0,J365/23"). */
#include <string.h>

#include "common/base/days.h"
#include "common/base/zone_private.h"

struct reader {
    const char *p, *end;
};

static bool take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool number(struct reader *r, int most, int *out)
{
    int v = 0;
    const char *first = r->p;

    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        v = v * 10 + (*r->p - '0');
        if (v > most)
            return false;
    }
    *out = v;
    return r->p > first;
}

/* [+-]hh[:mm[:ss]] */
static bool hours(struct reader *r, int most, int32_t *out)
{
    int h, m = 0, s = 0, sign = 1;

    if (take(r, '-'))
        sign = -1;
    else
        (void)take(r, '+');
    if (!number(r, most, &h))
        return false;
    if (take(r, ':') && (!number(r, 59, &m) || (take(r, ':') && !number(r, 59, &s))))
        return false;
    *out = sign * (h * 3600 + m * 60 + s);
    return true;
}

/* Letters, or anything of letters, digits and signs in angle brackets. */
static bool name(struct reader *r)
{
    bool quoted = take(r, '<');
    const char *first = r->p;

    for (; r->p < r->end; r->p++) {
        char c = *r->p;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && !(quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-')))
            break;
    }
    return r->p - first >= 3 && (!quoted || take(r, '>'));
}

static bool date(struct reader *r, struct tz_date *d)
{
    *d = (struct tz_date){.seconds = 7200};
    if (take(r, 'M')) {
        d->form = TZ_MONTH;
        if (!number(r, 12, &d->month) || d->month < 1 || !take(r, '.') || !number(r, 5, &d->week) ||
            d->week < 1 || !take(r, '.') || !number(r, 6, &d->day))
            return false;
    } else {
        d->form = take(r, 'J') ? TZ_JULIAN : TZ_DAY;
        if (!number(r, 365, &d->day) || (d->form == TZ_JULIAN && d->day < 1))
            return false;
    }
    return !take(r, '/') || hours(r, 167, &d->seconds);
}

int tz_rule_parse(const char *text, size_t n, struct tz_rule *out)
{
    /* POSIX leaves a rule without dates open; the field's answer is that of the United States since 2007 */
    static const char dates[] = ",M3.2.0,M11.1.0";
    struct reader r = {text, text + n};
    int32_t west;

    *out = (struct tz_rule){0};
    if (n == 0)
        return 0;
    out->present = true;
    if (!name(&r) || !hours(&r, 24, &west))
        return ERR_MALFORMED;
    out->standard = -west;
    if (r.p == r.end)
        return 0;
    out->dst = true;
    out->summer = out->standard + 3600;
    if (!name(&r))
        return ERR_MALFORMED;
    if (r.p < r.end && *r.p != ',') {
        if (!hours(&r, 24, &west))
            return ERR_MALFORMED;
        out->summer = -west;
    }
    if (r.p == r.end)
        r = (struct reader){dates, dates + sizeof dates - 1};
    if (!take(&r, ',') || !date(&r, &out->start) || !take(&r, ',') || !date(&r, &out->end) || r.p != r.end)
        return ERR_MALFORMED;
    return 0;
}

static bool leap(int64_t y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

/* Local seconds at which the date's change happens in year y. */
static int64_t change_in(const struct tz_date *d, int64_t y)
{
    int64_t first, day;
    int length;

    if (d->form == TZ_DAY)
        return (days_from_civil(y, 1, 1) + d->day) * 86400 + d->seconds;
    if (d->form == TZ_JULIAN) /* 29 February is never counted */
        return (days_from_civil(y, 1, 1) + d->day - 1 + (leap(y) && d->day >= 60)) * 86400 + d->seconds;
    first = days_from_civil(y, d->month, 1);
    length = (int)(days_from_civil(d->month == 12 ? y + 1 : y, d->month % 12 + 1, 1) - first);
    /* days of a rule begin with Sunday */
    day = (d->day - (weekday_of_days(first) + 1) % 7 + 7) % 7 + (d->week - 1) * 7;
    while (day >= length)
        day -= 7;
    return (first + day) * 86400 + d->seconds;
}

/* The instants of year y: into summer time and out of it. */
static void changes(const struct tz_rule *r, int64_t y, int64_t *start, int64_t *end)
{
    *start = change_in(&r->start, y) - r->standard;
    *end = change_in(&r->end, y) - r->summer;
}

static int64_t year_of(int64_t t)
{
    int64_t y;
    int m, d;

    civil_from_days(t / 86400 - (t % 86400 < 0), &y, &m, &d);
    return y;
}

int32_t tz_rule_offset(const struct tz_rule *r, int64_t t)
{
    int64_t y = year_of(t), last = INT64_MIN, start, end;
    bool summer = false;

    if (!r->dst)
        return r->standard;
    for (int64_t i = y - 1; i <= y + 1; i++) {
        changes(r, i, &start, &end);
        if (end <= t && end > last) {
            last = end;
            summer = false;
        }
        if (start <= t && start >= last) {
            last = start;
            summer = true;
        }
    }
    return summer ? r->summer : r->standard;
}

bool tz_rule_next(const struct tz_rule *r, int64_t t, int64_t *change)
{
    int64_t y = year_of(t), at[2];
    int32_t now = tz_rule_offset(r, t);
    bool found = false;

    if (!r->dst)
        return false;
    for (int64_t i = y - 1; i <= y + 2 && !found; i++) {
        changes(r, i, &at[0], &at[1]);
        for (int k = 0; k < 2; k++) {
            if (at[k] <= t || tz_rule_offset(r, at[k]) == now || (found && at[k] >= *change))
                continue;
            *change = at[k];
            found = true;
        }
    }
    return found;
}
