/* Weekly windows of local time: see zone.h. What holds and what comes next are both answered from the instants at
 * which a window of a given day begins and ends, so that they never disagree, not even in the nights when a clock
 * is put forward or back. */
#include <string.h>

#include "common/base/zone.h"

enum { MINUTES = 1440, AHEAD = 15 };

static const char days[7][4] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

static void blanks(const char **s)
{
    while (**s == ' ' || **s == '\t')
        (*s)++;
}

static bool day(const char **s, int *out)
{
    for (int i = 0; i < 7; i++) {
        const char *p = *s;
        int k = 0;

        for (; k < 3 && (p[k] | 0x20) == days[i][k]; k++)
            ;
        if (k == 3) {
            *s += 3;
            *out = i;
            return true;
        }
    }
    return false;
}

/* "mon-fri,sun" or "*" */
static bool day_set(const char **s, uint8_t *out)
{
    *out = 0;
    if (**s == '*') {
        (*s)++;
        *out = 0x7f;
        return true;
    }
    for (;;) {
        int a, b;

        if (!day(s, &a))
            return false;
        b = a;
        if (**s == '-') {
            (*s)++;
            if (!day(s, &b))
                return false;
        }
        for (int i = a;; i = (i + 1) % 7) { /* "sat-mon" goes round */
            *out |= (uint8_t)(1u << i);
            if (i == b)
                break;
        }
        if (**s != ',')
            return true;
        (*s)++;
        blanks(s);
    }
}

static bool clock_time(const char **s, int most, int16_t *out)
{
    const char *p = *s;
    int v;

    for (int i = 0; i < 5; i++)
        if (i == 2 ? p[i] != ':' : p[i] < '0' || p[i] > '9')
            return false;
    v = ((p[0] - '0') * 10 + (p[1] - '0')) * 60 + (p[3] - '0') * 10 + (p[4] - '0');
    if (p[3] > '5' || v > most)
        return false;
    *out = (int16_t)v;
    *s += 5;
    return true;
}

static bool window(const char **s, struct weekly *w)
{
    if (!day_set(s, &w->days) || (**s != ' ' && **s != '\t'))
        return false;
    blanks(s);
    if (!clock_time(s, MINUTES - 1, &w->from) || **s != '-')
        return false;
    (*s)++;
    if (!clock_time(s, MINUTES, &w->to))
        return false;
    blanks(s);
    return **s == 0 || **s == ';';
}

int weekly_parse(const char *text, struct weekly out[WEEKLY_MOST], unsigned *n, struct err *e)
{
    const char *s = text;

    *n = 0;
    for (;;) {
        struct weekly w;
        const char *first;

        blanks(&s);
        first = s;
        if (*s == 0)
            return 0;
        if (*n == WEEKLY_MOST)
            return err_set(e, ERR_LIMIT, "more than %d windows", WEEKLY_MOST);
        if (!window(&s, &w))
            return err_set(e, ERR_MALFORMED,
                           "\"%.40s\" is not a weekly window: \"mon-fri 22:00-06:00\", \"* 02:00-03:00\"",
                           first);
        out[(*n)++] = w;
        if (*s == ';')
            s++;
    }
}

/* The window of the day that lies `away` days from c's: false when it has none. */
static bool on_day(const struct weekly *w, const struct zone *z, const struct civil *c, int away,
                   struct wall *from, struct wall *to)
{
    /* noon: there is one on every day; zone_civil then tells weekday and date */
    struct civil d = {.year = c->year, .month = c->month, .day = (int8_t)(c->day + away), .hour = 12};
    struct civil there = zone_civil(z, zone_instant(z, &d, false));

    if (!(w->days >> there.weekday & 1))
        return false;
    d = (struct civil){.year = there.year,
                       .month = there.month,
                       .day = there.day,
                       .hour = (int8_t)(w->from / 60),
                       .minute = (int8_t)(w->from % 60)};
    *from = zone_instant(z, &d, false);
    d.day = (int8_t)(d.day + (w->to <= w->from));
    d.hour = (int8_t)(w->to / 60);
    d.minute = (int8_t)(w->to % 60);
    *to = zone_instant(z, &d, false);
    return wall_before(*from, *to);
}

bool weekly_holds(const struct weekly *w, unsigned n, const struct zone *z, struct wall t)
{
    struct civil c = zone_civil(z, t);
    struct wall from, to;

    for (unsigned i = 0; i < n; i++)
        for (int away = -2; away <= 1; away++)
            if (on_day(&w[i], z, &c, away, &from, &to) && !wall_before(t, from) && wall_before(t, to))
                return true;
    return false;
}

bool weekly_next(const struct weekly *w, unsigned n, const struct zone *z, struct wall t, struct wall *from,
                 struct wall *to)
{
    struct civil c = zone_civil(z, t);
    struct wall a, b;
    bool found = false;

    for (unsigned i = 0; i < n; i++)
        for (int away = -1; away <= AHEAD; away++) {
            if (!on_day(&w[i], z, &c, away, &a, &b) || wall_before(a, t) || (found && !wall_before(a, *from)))
                continue;
            *from = a;
            *to = b;
            found = true;
        }
    return found;
}
