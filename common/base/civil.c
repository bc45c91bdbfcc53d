/* Local times and instants, and the calendar periods between them. A period begins at the first instant that
 * its first local second names, so a day whose midnight is skipped begins when its clock does, and a day that
 * a zone leaves out (Apia, 30 December 2011) is empty. Hours are cut where the offset changes. */
#include <string.h>

#include "common/base/days.h"
#include "common/base/zone.h"
#include "common/base/zone_private.h"

/* No offset is further from UTC than this, with room for two changes in a row. */
enum { REACH = 100 * 3600 };

static int64_t seconds_of(struct wall t)
{
    int64_t s = t.ms / 1000 - (t.ms % 1000 < 0);

    return s < ZONE_FIRST ? ZONE_FIRST : s > ZONE_LAST ? ZONE_LAST : s;
}

static struct wall wall_of(int64_t s)
{
    return (struct wall){s * 1000};
}

struct civil zone_civil(const struct zone *z, struct wall t)
{
    int64_t s = seconds_of(t), days, left, year;
    int32_t offset = zone_offset(z, s);
    int month, day;
    struct civil c;

    s += offset;
    s = s < ZONE_FIRST ? ZONE_FIRST : s > ZONE_LAST ? ZONE_LAST : s;
    days = s / 86400 - (s % 86400 < 0);
    left = s - days * 86400;
    civil_from_days(days, &year, &month, &day);
    c = (struct civil){.year = (int32_t)year,
                       .month = (int8_t)month,
                       .day = (int8_t)day,
                       .hour = (int8_t)(left / 3600),
                       .minute = (int8_t)(left / 60 % 60),
                       .second = (int8_t)(left % 60),
                       .weekday = (int8_t)weekday_of_days(days),
                       .yearday = (int16_t)(days - days_from_civil(year, 1, 1) + 1),
                       .offset = offset};
    return c;
}

/* The instant of `local`, seconds of the zone's clock. */
static int64_t instant(const struct zone *z, int64_t local, bool later)
{
    int64_t t = local - REACH, found = 0, gap = local - zone_offset(z, local);
    bool any = false;

    for (;;) {
        int32_t offset = zone_offset(z, t);
        int64_t x = local - offset, next = 0;
        bool more = zone_change_after(z, t, &next) && next < local + REACH;

        if (x >= t && (!more || x < next)) {
            if (!any || later)
                found = x;
            any = true;
        }
        if (!more)
            break;
        if (x >= next && local - zone_offset(z, next) < next)
            gap = next; /* the clock has jumped over it here */
        t = next;
    }
    return any ? found : gap;
}

static int64_t local_of(int64_t year, int64_t month, int64_t day, int64_t second)
{
    int64_t y = year + (month - 1) / 12 - ((month - 1) % 12 < 0);
    int64_t m = ((month - 1) % 12 + 12) % 12 + 1;
    int64_t s = days_from_civil(y, m, day) * 86400 + second;

    return s < ZONE_FIRST ? ZONE_FIRST : s > ZONE_LAST ? ZONE_LAST : s;
}

struct wall zone_instant(const struct zone *z, const struct civil *c, bool later)
{
    int32_t year = c->year < 1 ? 1 : c->year > 9999 ? 9999 : c->year;

    return wall_of(
        instant(z, local_of(year, c->month, c->day, c->hour * 3600 + c->minute * 60 + c->second), later));
}

bool zone_next_change(const struct zone *z, struct wall t, struct wall *change)
{
    int64_t at;

    if (!zone_change_after(z, seconds_of(t), &at))
        return false;
    *change = wall_of(at);
    return true;
}

/* The last change at or before t that lies after `floor`, or floor. */
static int64_t change_since(const struct zone *z, int64_t floor, int64_t t)
{
    int64_t next;

    while (zone_change_after(z, floor, &next) && next <= t)
        floor = next;
    return floor;
}

static void hour_of(const struct zone *z, int64_t t, int64_t *from, int64_t *to)
{
    int64_t local = t + zone_offset(z, t), begin, next;

    begin = t - ((local % 3600) + 3600) % 3600;
    *to = begin + 3600;
    *from = change_since(z, begin, t);
    if (zone_change_after(z, t, &next) && next < *to)
        *to = next;
}

/* Days of the period that holds c, moved by n: first day and the day behind. */
static void dates(enum period p, const struct civil *c, int64_t n, int64_t *from, int64_t *to)
{
    int64_t m = p == PERIOD_MONTH ? 1 : p == PERIOD_QUARTER ? 3 : 12;
    int64_t first = (int64_t)(c->month - 1) / m * m + 1 + n * m;
    int64_t unit = p == PERIOD_WEEK ? 7 : 1;

    if (p == PERIOD_DAY || p == PERIOD_WEEK) {
        int64_t day = c->day - (p == PERIOD_WEEK ? c->weekday : 0) + n * unit;

        *from = local_of(c->year, c->month, day, 0);
        *to = local_of(c->year, c->month, day + unit, 0);
        return;
    }
    *from = local_of(c->year, first, 1, 0);
    *to = local_of(c->year, first + m, 1, 0);
}

static void period_of(const struct zone *z, enum period p, const struct civil *c, int64_t n, int64_t *from,
                      int64_t *to)
{
    dates(p, c, n, from, to);
    *from = instant(z, *from, false);
    *to = instant(z, *to, false);
}

void zone_period_at(const struct zone *z, enum period p, struct wall t, int n, struct wall *from,
                    struct wall *to)
{
    struct civil c = zone_civil(z, t);
    int64_t s = seconds_of(t), a, b, slip = 0;

    if (p == PERIOD_HOUR) {
        hour_of(z, s, &a, &b);
        if (n)
            hour_of(z, seconds_of(wall_of(a + (int64_t)n * 3600)), &a, &b);
    } else {
        period_of(z, p, &c, 0, &a, &b);
        if (s >= b && s < ZONE_LAST)
            slip = 1; /* the clock fell back over midnight after the next period had begun */
        if (slip || n)
            period_of(z, p, &c, n + slip, &a, &b);
    }
    *from = wall_of(a);
    *to = wall_of(b);
}

void zone_period(const struct zone *z, enum period p, struct wall t, struct wall *from, struct wall *to)
{
    zone_period_at(z, p, t, 0, from, to);
}

static bool digits(const char **s, int n, int *out)
{
    int v = 0;

    for (; n > 0; n--, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        v = v * 10 + (**s - '0');
    }
    *out = v;
    return true;
}

static bool skip(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

/* "2026-11-24", with " 22:00" or "T22:00:30" behind it or not. */
static bool local_text(const char *s, struct civil *c)
{
    int y, m, d, h = 0, min = 0, sec = 0, length;

    if (!digits(&s, 4, &y) || !skip(&s, '-') || !digits(&s, 2, &m) || !skip(&s, '-') || !digits(&s, 2, &d))
        return false;
    if (*s) {
        if ((!skip(&s, ' ') && !skip(&s, 'T')) || !digits(&s, 2, &h) || !skip(&s, ':') ||
            !digits(&s, 2, &min) || (skip(&s, ':') && !digits(&s, 2, &sec)) || *s)
            return false;
    }
    if (y < 1 || m < 1 || m > 12 || h > 24 || min > 59 || sec > 59 || (h == 24 && (min || sec)))
        return false;
    length = (int)(days_from_civil(m == 12 ? y + 1 : y, m % 12 + 1, 1) - days_from_civil(y, m, 1));
    if (d < 1 || d > length)
        return false;
    *c = (struct civil){.year = y,
                        .month = (int8_t)m,
                        .day = (int8_t)d,
                        .hour = (int8_t)h,
                        .minute = (int8_t)min,
                        .second = (int8_t)sec};
    return true;
}

int zone_read(const struct zone *z, const char *text, struct wall *out, struct err *e)
{
    struct civil c;

    if (local_text(text, &c)) {
        *out = zone_instant(z, &c, false);
        return 0;
    }
    if (strlen(text) > 11 && (text[10] == 'T' || text[10] == 't' || text[10] == ' ') &&
        wall_parse(text, out) == 0)
        return 0;
    return err_set(e, ERR_MALFORMED,
                   "\"%.40s\" is not a time: 2026-11-24, \"2026-11-24 22:00\" or 2026-11-24T22:00:00+01:00",
                   text);
}
