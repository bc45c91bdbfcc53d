/* Reads mutes, maintenance, rotas and escalations: see plan.h. Zones come from whoever can read files. */
#include "aggregator/notify/plan.h"

#include <stdio.h>
#include <string.h>

/* NULL without a complaint when no zones were handed in: then nothing is decided by this plan. */
static const struct zone *read_zone(struct plan_reader *r, const struct section *s)
{
    const char *name = option_text(s, "zone");
    const struct zone *z;

    if (!r->zones || !r->zones->zone)
        return NULL;
    z = r->zones->zone(r->zones->arg, name);
    if (!z)
        plan_complain(r, s, "zone", "found \"%s\", which is no time zone that this machine knows", name);
    return z;
}

static void read_windows(struct plan_reader *r, const struct section *s, const char *key,
                         struct weekly out[WEEKLY_MOST], unsigned *n)
{
    struct err e = {0};

    if (weekly_parse(option_text(s, key), out, n, &e) != 0)
        plan_complain(r, s, key, "%s", e.text);
}

static bool read_time(struct plan_reader *r, const struct section *s, const char *key, const struct zone *z,
                      const char *text, struct wall *out)
{
    struct err e = {0};

    if (!z || zone_read(z, text, out, &e) == 0)
        return true;
    plan_complain(r, s, key, "%s", e.text);
    return false;
}

static void read_mutes(struct plan_reader *r)
{
    for (uint32_t i = 0; i < r->plan->n_mutes; i++) {
        const struct section *s = config_named(r->config, "mute", i);
        struct mute *m = &r->plan->mutes[i];

        m->name = plan_text(r, section_label(s));
        m->zone = read_zone(r, s);
        read_windows(r, s, "windows", m->windows, &m->n_windows);
    }
}

static void read_maintenance(struct plan_reader *r)
{
    for (uint32_t i = 0; i < r->plan->n_maintenance; i++) {
        const struct section *s = config_named(r->config, "maintenance", i);
        struct maintenance_plan *m = &r->plan->maintenance[i];
        bool dates = option_set(s, "from") || option_set(s, "to");

        m->name = plan_text(r, section_label(s));
        m->match = plan_match(r, s, "match");
        if (m->match && !match_count(m->match))
            plan_complain(r, s, "match", "would match everything: name at least one label");
        m->zone = read_zone(r, s);
        m->excludes_sla = option_bool(s, "excludes_sla");
        m->mutes = option_bool(s, "mutes");
        m->owner = plan_text(r, option_text(s, "owner"));
        m->reason = plan_text(r, option_text(s, "reason"));
        if (dates == option_set(s, "windows") || option_set(s, "from") != option_set(s, "to"))
            plan_complain(r, s, dates ? "from" : "windows", "give from and to, or windows: one of the two");
        else if (!dates)
            read_windows(r, s, "windows", m->windows, &m->n_windows);
        else if (read_time(r, s, "from", m->zone, option_text(s, "from"), &m->from) &&
                 read_time(r, s, "to", m->zone, option_text(s, "to"), &m->to) && m->zone &&
                 m->to.ms <= m->from.ms)
            plan_complain(r, s, "to", "is not behind from");
    }
}

/* ---- rotas ---- */

int handover_parse(const char *text, int8_t *weekday, int16_t *minute, struct err *e)
{
    static const char days[7][4] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    const char *p = text;
    bool form;

    *weekday = -1;
    if (strncmp(p, "daily ", 6) == 0)
        p += 6;
    else {
        for (int8_t i = 0; i < 7; i++) {
            if (strncmp(p, days[i], 3) == 0 && p[3] == ' ')
                *weekday = i;
        }
        if (*weekday < 0)
            return err_set(e, ERR_MALFORMED,
                           "found \"%.40s\", expected a day and a time (mon 09:00) or daily 09:00", text);
        p += 4;
    }
    form = strlen(p) == 5 && p[2] == ':' && strspn(p, "0123456789") == 2 && strspn(p + 3, "0123456789") == 2;
    if (form)
        *minute = (int16_t)(((p[0] - '0') * 10 + p[1] - '0') * 60 + (p[3] - '0') * 10 + p[4] - '0');
    if (!form || *minute >= 24 * 60 || p[3] > '5')
        return err_set(e, ERR_MALFORMED, "found \"%.40s\", expected a time from 00:00 to 23:59", p);
    return 0;
}

/* "2026-01-05" as days since 1970. */
int date_parse(const char *text, int32_t *day, struct err *e)
{
    static const uint8_t length[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, m, d;
    bool form = strlen(text) == 10 && text[4] == '-' && text[7] == '-' && strspn(text, "0123456789-") == 10 &&
                sscanf(text, "%4d-%2d-%2d", &y, &m, &d) == 3;

    if (!form || y < 1970 || m < 1 || m > 12 || d < 1 || d > length[m - 1] ||
        (m == 2 && d == 29 && (y % 4 != 0 || (y % 100 == 0 && y % 400 != 0))))
        return err_set(e, ERR_MALFORMED, "found \"%.40s\", expected a date such as 2026-01-05", text);
    *day = day_number(y, m, d);
    return 0;
}

static void read_people(struct plan_reader *r, const struct section *s, struct rota *o)
{
    size_t n = option_count(s, "people");

    if (n > PEOPLE_MOST)
        plan_complain(r, s, "people", "names %zu; at most %d", n, PEOPLE_MOST);
    for (size_t i = 0; i < n && i < PEOPLE_MOST; i++) {
        const char *name, *receiver;
        int32_t k;

        option_label(s, "people", i, &name, &receiver);
        k = plan_receiver(r->plan, receiver);
        if (k < 0)
            plan_complain(r, s, "people", "%s has \"%s\", but there is no [receiver %s]", name, receiver,
                          receiver);
        else
            o->people[o->n_people++] = (struct person){plan_text(r, name), (uint32_t)k};
    }
    if (n == 0)
        plan_complain(r, s, "people", "names nobody");
}

/* "bob 2026-12-24 09:00 to 2026-12-27 09:00" */
static void read_override(struct plan_reader *r, const struct section *s, const struct rota *o, char *text,
                          struct override *out)
{
    char *from = strchr(text, ' '), *to = strstr(text, " to ");
    bool known = false;

    if (!from || !to || to <= from) {
        plan_complain(r, s, "overrides", "found \"%s\", expected: bob 2026-12-24 09:00 to 2026-12-27 09:00",
                      text);
        return;
    }
    *from++ = 0;
    *to = 0;
    to += 4;
    for (uint32_t i = 0; i < o->n_people; i++)
        known = known || strcmp(o->people[i].name, text) == 0;
    if (!known)
        plan_complain(r, s, "overrides", "%s is not among the people of this rota", text);
    out->person = plan_text(r, text);
    if (read_time(r, s, "overrides", o->zone, from, &out->from) &&
        read_time(r, s, "overrides", o->zone, to, &out->to) && o->zone && out->to.ms <= out->from.ms)
        plan_complain(r, s, "overrides", "\"%s to %s\" ends before it begins", from, to);
}

static void read_overrides(struct plan_reader *r, const struct section *s, struct rota *o)
{
    const char *given = option_text(s, "overrides");
    struct override *v = arena_array(&r->plan->arena, OVERRIDES_MOST, given ? sizeof *v : 0);
    char *text = arena_text(&r->plan->arena, given ? given : "", given ? strlen(given) : 0);

    while (v && text && *text) {
        char *end = text + strcspn(text, ";"), *last = end;
        bool more = *end == ';';

        text += strspn(text, " \t");
        while (last > text && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        *last = 0;
        if (*text && o->n_overrides == OVERRIDES_MOST) {
            plan_complain(r, s, "overrides", "are more than %d", OVERRIDES_MOST);
            return;
        }
        if (*text)
            read_override(r, s, o, text, &v[o->n_overrides++]);
        text = more ? end + 1 : end;
    }
    o->overrides = v;
}

static void read_rotas(struct plan_reader *r)
{
    for (uint32_t i = 0; i < r->plan->n_rotas; i++) {
        const struct section *s = config_named(r->config, "rota", i);
        struct rota *o = &r->plan->rotas[i];
        struct err e = {0};

        o->name = plan_text(r, section_label(s));
        o->zone = read_zone(r, s);
        o->every = (int32_t)option_int(s, "every");
        read_people(r, s, o);
        if (handover_parse(option_text(s, "handover"), &o->weekday, &o->minute, &e) != 0)
            plan_complain(r, s, "handover", "%s", e.text);
        if (date_parse(option_text(s, "start"), &o->start, &e) != 0)
            plan_complain(r, s, "start", "%s", e.text);
        else if (o->weekday >= 0)
            o->start -= ((o->start + 3) % 7 - o->weekday + 7) % 7; /* 1970-01-01 was a Thursday */
        if (option_text(s, "hours"))
            read_windows(r, s, "hours", o->hours, &o->n_hours);
        read_overrides(r, s, o);
    }
}

void plan_read_calendars(struct plan_reader *r)
{
    read_mutes(r);
    read_maintenance(r);
    read_rotas(r);
}

/* ---- escalations: "pager after 5m, rota:primary after 15m" ---- */

static bool read_step(struct plan_reader *r, const struct section *s, const char *text, size_t n,
                      struct escalation_step *out)
{
    char word[128], after[32], rest[2];
    struct err e = {0};
    char copy[256];

    (void)snprintf(copy, sizeof copy, "%.*s", (int)(n < 255 ? n : 255), text);
    if (sscanf(copy, " %127s after %31s %1s", word, after, rest) != 2) {
        plan_complain(r, s, "steps", "found \"%s\", expected: pager after 5m", copy);
        return false;
    }
    if (!plan_target(r, s, "steps", word, &out->target))
        return false;
    if (parse_duration(after, &out->after, &e) != 0) {
        plan_complain(r, s, "steps", "%s", e.text);
        return false;
    }
    return true;
}

void plan_read_escalations(struct plan_reader *r)
{
    for (uint32_t i = 0; i < r->plan->n_escalations; i++) {
        const struct section *s = config_named(r->config, "escalation", i);
        struct escalation *o = &r->plan->escalations[i];
        const char *p = option_text(s, "steps");

        o->name = plan_text(r, section_label(s));
        o->rounds = (uint32_t)option_int(s, "rounds");
        o->pause = option_span(s, "pause");
        while (*p) {
            size_t n = strcspn(p, ",");

            if (o->n_steps == STEPS_MOST) {
                plan_complain(r, s, "steps", "are more than %d", STEPS_MOST);
                break;
            }
            if (!read_step(r, s, p, n, &o->steps[o->n_steps]))
                break;
            if (o->n_steps && o->steps[o->n_steps].after.ns < o->steps[o->n_steps - 1].after.ns)
                plan_complain(r, s, "steps", "are not in the order of their times");
            o->n_steps++;
            p += n + (p[n] == ',');
        }
        if (!o->n_steps && !r->failed)
            plan_complain(r, s, "steps", "name nobody");
    }
}
