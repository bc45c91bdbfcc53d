/* Who is on call, and which windows hold: local wall time of each one's own zone, so that a shift begins at nine in
 * winter and in summer. A handover is an instant (zone_instant decides about local times that a night of change
 * skips or has twice), so turns neither overlap nor leave a gap. */
#include "aggregator/notify/notify_private.h"

#include <string.h>

bool mute_holds(const struct mute *m, struct wall now)
{
    return m->zone && weekly_holds(m->windows, m->n_windows, m->zone, now);
}

/* Days since 1970-01-01 of a civil date (proleptic Gregorian), by counting leap days. */
int32_t day_number(int32_t year, int month, int day)
{
    static const int16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int32_t y = year - 1;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int32_t days = y * 365 + y / 4 - y / 100 + y / 400 + before[month - 1] + day - 1 + (leap && month > 2);

    return days - 719162;
}

/* The inverse. */
static struct civil day_civil(int32_t d)
{
    struct civil c = {.year = 1970 + d / 366, .month = 12};

    while (day_number(c.year + 1, 1, 1) <= d)
        c.year++;
    while (day_number(c.year, 1, 1) > d)
        c.year--;
    while (day_number(c.year, c.month, 1) > d)
        c.month--;
    c.day = (int8_t)(d - day_number(c.year, c.month, 1) + 1);
    return c;
}

/* The handover of a local day, by its number. */
static struct wall handover(const struct rota *r, int32_t d)
{
    struct civil c = day_civil(d);

    c.hour = (int8_t)(r->minute / 60);
    c.minute = (int8_t)(r->minute % 60);
    return zone_instant(r->zone, &c, false);
}

static int32_t floor_div(int32_t a, int32_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* The turn of t: number of handovers since the start, and the instants between which it lies. */
static int32_t turn_at(const struct rota *r, struct wall t, struct wall *from, struct wall *to)
{
    struct civil c = zone_civil(r->zone, t);
    int32_t length = (r->weekday < 0 ? 1 : 7) * r->every;
    int32_t turn = floor_div(day_number(c.year, c.month, c.day) - r->start, length);

    /* on the day of a handover it depends on the hour */
    if (wall_before(t, handover(r, r->start + turn * length)))
        turn--;
    *from = handover(r, r->start + turn * length);
    *to = handover(r, r->start + (turn + 1) * length);
    return turn;
}

static int32_t person_index(const struct rota *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_people; i++) {
        if (strcmp(r->people[i].name, name) == 0)
            return (int32_t)i;
    }
    return -1;
}

/* The latest of the overrides that hold at t wins; *until comes nearer with each that begins or ends before it. */
static int32_t overridden(const struct notify *n, const struct rota *r, struct wall t, struct wall *until)
{
    int32_t who = -1;

    for (uint32_t i = 0; i < r->n_overrides; i++) {
        const struct override *o = &r->overrides[i];

        if (o->from.ms <= t.ms && t.ms < o->to.ms) {
            who = person_index(r, o->person);
            until->ms = o->to.ms < until->ms ? o->to.ms : until->ms;
        } else if (o->from.ms > t.ms && o->from.ms < until->ms) {
            until->ms = o->from.ms;
        }
    }
    for (const struct runtime_override *o = n->overrides; o; o = o->next) {
        if (strcmp(o->rota, r->name) != 0 || person_index(r, o->person) < 0)
            continue;
        if (o->from.ms <= t.ms && t.ms < o->to.ms) {
            who = person_index(r, o->person);
            until->ms = o->to.ms < until->ms ? o->to.ms : until->ms;
        } else if (o->from.ms > t.ms && o->from.ms < until->ms) {
            until->ms = o->from.ms;
        }
    }
    return who;
}

/* The end of the hours that hold at t: no window is longer than a day. */
static struct wall hours_end(const struct rota *r, struct wall t, struct wall most)
{
    struct wall at = wall_add(t, span_s(-25 * 3600)), from, to, end = t;

    while (weekly_next(r->hours, r->n_hours, r->zone, at, &from, &to) && from.ms <= t.ms) {
        if (t.ms < to.ms && end.ms < to.ms)
            end = to;
        at = wall_add(from, span_ms(1));
    }
    return end.ms > t.ms && end.ms < most.ms ? end : most;
}

int32_t rota_on_call(const struct notify *n, uint32_t rota, struct wall t, struct wall *until)
{
    const struct rota *r = &n->plan->rotas[rota];
    struct wall from, to, start, end;
    int32_t turn, who;

    until->ms = INT64_MAX;
    if (!r->zone || !r->n_people)
        return -1;
    turn = turn_at(r, t, &from, &to);
    *until = to;
    who = overridden(n, r, t, until);
    if (who >= 0)
        return who;
    if (r->n_hours && !weekly_holds(r->hours, r->n_hours, r->zone, t)) {
        if (weekly_next(r->hours, r->n_hours, r->zone, t, &start, &end) && start.ms < until->ms)
            *until = start;
        return -1;
    }
    if (r->n_hours)
        *until = hours_end(r, t, *until);
    return turn - floor_div(turn, (int32_t)r->n_people) * (int32_t)r->n_people;
}

int32_t target_receiver(const struct notify *n, const struct target *t, struct wall now)
{
    struct wall until;
    int32_t who;

    if (!t->rota)
        return (int32_t)t->index;
    who = rota_on_call(n, t->index, now, &until);
    return who < 0 ? -1 : (int32_t)n->plan->rotas[t->index].people[who].receiver;
}

bool maintenance_holds(const struct maintenance_plan *m, struct wall now, struct wall *from, struct wall *to)
{
    struct wall at = wall_add(now, span_s(-25 * 3600));

    if (!m->n_windows)
        return m->from.ms <= now.ms && now.ms < m->to.ms;
    while (weekly_next(m->windows, m->n_windows, m->zone, at, from, to) && from->ms <= now.ms) {
        if (now.ms < to->ms)
            return true;
        at = wall_add(*from, span_ms(1));
    }
    return false;
}
