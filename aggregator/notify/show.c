/* What readers are told of telling: silences, maintenance, rotas, receivers, and why an alert is or isn't told. */
#include "aggregator/notify/notify_private.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static int finish(cJSON *o, struct buf *json)
{
    char *text = cJSON_PrintUnformatted(o);

    if (text)
        buf_str(json, text);
    cJSON_free(text);
    cJSON_Delete(o);
    return !text ? ERR_NOMEM : json->full ? ERR_LIMIT : 0;
}

static void add_time(cJSON *o, const char *key, struct wall t)
{
    char text[WALL_TEXT];

    if (t.ms && t.ms != INT64_MAX)
        cJSON_AddStringToObject(o, key, wall_text(t, text));
    else
        cJSON_AddNullToObject(o, key);
}

static void add_labels(cJSON *o, const char *key, struct labels l)
{
    cJSON *v = cJSON_AddObjectToObject(o, key);

    for (uint32_t i = 0; i < l.n; i++)
        cJSON_AddStringToObject(v, l.v[i].name, l.v[i].value);
}

/* What fires and is matched now: the number, and some of them. */
static void add_matches(const struct notify *n, cJSON *o, const struct match *m)
{
    cJSON *list = cJSON_AddArrayToObject(o, "matches");
    const struct known *k;
    uint32_t count = 0;

    for (size_t i = 0; (k = map_next(&n->alerts, &i));) {
        if (!k->firing || !match_labels(m, k->labels))
            continue;
        if (count++ < 10) {
            cJSON *a = cJSON_CreateObject();

            cJSON_AddStringToObject(a, "id", k->hex);
            cJSON_AddStringToObject(a, "alert", k->rule);
            cJSON_AddStringToObject(a, "summary", k->summary);
            cJSON_AddItemToArray(list, a);
        }
    }
    cJSON_AddNumberToObject(o, "matches_now", count);
}

int notify_preview(const struct notify *n, const char *match, struct buf *json, struct err *e)
{
    struct match *m = match_new(match, e);
    cJSON *o;

    if (!m)
        return e->code;
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "match", match_text(m));
    add_matches(n, o, m);
    match_free(&m);
    return finish(o, json);
}

int notify_silences(const struct notify *n, struct wall now, struct buf *json)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "silences");

    for (const struct silence *s = n->silences; s; s = s->next) {
        cJSON *o = cJSON_CreateObject();

        cJSON_AddStringToObject(o, "id", s->id);
        cJSON_AddStringToObject(o, "match", match_text(s->match));
        cJSON_AddStringToObject(o, "owner", s->who);
        cJSON_AddStringToObject(o, "reason", s->reason);
        add_time(o, "created", s->made);
        add_time(o, "from", s->from);
        add_time(o, "to", s->to);
        cJSON_AddBoolToObject(o, "end_when_resolved", s->end_when_resolved);
        cJSON_AddStringToObject(o, "state",
                                s->ended || s->to.ms <= now.ms ? "ended"
                                : silence_holds(s, now)        ? "active"
                                                               : "pending");
        if (s->how[0])
            cJSON_AddStringToObject(o, "ended_by", s->how);
        add_matches(n, o, s->match);
        cJSON_AddItemToArray(list, o);
    }
    cJSON_AddNullToObject(root, "next");
    return finish(root, json);
}

static void add_maintenance(cJSON *list, const char *id, const char *match, const char *owner,
                            const char *reason, struct wall from, struct wall to, bool excludes, bool mutes,
                            const char *state)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "id", id);
    cJSON_AddStringToObject(o, "match", match);
    cJSON_AddStringToObject(o, "owner", owner);
    cJSON_AddStringToObject(o, "reason", reason);
    add_time(o, "from", from);
    add_time(o, "to", to);
    cJSON_AddBoolToObject(o, "excludes_sla", excludes);
    cJSON_AddBoolToObject(o, "mutes", mutes);
    cJSON_AddStringToObject(o, "state", state);
    cJSON_AddItemToArray(list, o);
}

static const char *span_state(struct wall from, struct wall to, struct wall now)
{
    return now.ms < from.ms ? "pending" : now.ms < to.ms ? "active" : "ended";
}

int notify_maintenance_list(const struct notify *n, struct wall now, struct buf *json)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "maintenance");

    for (uint32_t i = 0; i < n->plan->n_maintenance; i++) {
        const struct maintenance_plan *m = &n->plan->maintenance[i];
        struct wall from = m->from, to = m->to;

        if (m->n_windows && m->zone && !maintenance_holds(m, now, &from, &to))
            (void)weekly_next(m->windows, m->n_windows, m->zone, now, &from, &to);
        add_maintenance(list, m->name, match_text(m->match), m->owner, m->reason, from, to, m->excludes_sla,
                        m->mutes, span_state(from, to, now));
    }
    for (const struct runtime_maintenance *m = n->maintenance; m; m = m->next)
        add_maintenance(list, m->id, match_text(m->match), m->who, m->reason, m->from, m->to, m->excludes_sla,
                        true, m->ended ? "ended" : span_state(m->from, m->to, now));
    cJSON_AddNullToObject(root, "next");
    return finish(root, json);
}

/* Shifts of [from, to), and the time in which nobody is on call. */
int notify_rota(const struct notify *n, const char *name, struct wall from, struct wall to, struct buf *json,
                struct err *e)
{
    cJSON *root, *list;
    int64_t uncovered = 0;
    uint32_t i = 0, shifts = 0;

    while (i < n->plan->n_rotas && strcmp(n->plan->rotas[i].name, name) != 0)
        i++;
    if (i == n->plan->n_rotas)
        return err_set(e, ERR_NOTFOUND, "there is no [rota %s]", name);
    if (to.ms <= from.ms || to.ms - from.ms > INT64_C(400) * 86400000)
        return err_set(e, ERR_RANGE, "the time asked for must have a length, of at most 400 days");
    root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "rota", name);
    list = cJSON_AddArrayToObject(root, "shifts");
    for (struct wall t = from; t.ms < to.ms && shifts < 10000; shifts++) {
        struct wall until;
        int32_t who = rota_on_call(n, i, t, &until);
        cJSON *o = cJSON_CreateObject();

        until.ms = until.ms < to.ms ? until.ms : to.ms;
        if (until.ms <= t.ms)
            until = to;
        add_time(o, "from", t);
        add_time(o, "to", until);
        if (who >= 0) {
            const struct person *p = &n->plan->rotas[i].people[who];

            cJSON_AddStringToObject(o, "person", p->name);
            cJSON_AddStringToObject(o, "receiver", n->plan->receivers[p->receiver].name);
        } else {
            cJSON_AddNullToObject(o, "person");
            uncovered += until.ms - t.ms;
        }
        cJSON_AddItemToArray(list, o);
        t = until;
    }
    cJSON_AddNumberToObject(root, "uncovered_seconds", (double)uncovered / 1000);
    return finish(root, json);
}

int notify_receivers(const struct notify *n, struct buf *json)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "receivers");

    for (const struct receiver *r = n->receivers; r; r = r->next) {
        cJSON *o = cJSON_CreateObject();

        cJSON_AddStringToObject(o, "name", r->name);
        cJSON_AddStringToObject(o, "type", r->plan ? r->plan->type : "");
        cJSON_AddStringToObject(o, "state",
                                !r->plan        ? "gone"
                                : r->bad        ? "denied"
                                : r->failing.ns ? "failing"
                                : r->storm      ? "storm"
                                                : "ok");
        if (r->failing.ns)
            add_time(o, "failing_since", r->failing_at);
        cJSON_AddStringToObject(o, "last_error", r->last);
        cJSON_AddNumberToObject(o, "delivered", (double)r->delivered);
        cJSON_AddNumberToObject(o, "given_up", (double)r->given_up);
        cJSON_AddNumberToObject(o, "under_way", r->flights);
        cJSON_AddItemToArray(list, o);
    }
    cJSON_AddNullToObject(root, "next");
    return finish(root, json);
}

static void add_target(const struct notify *n, cJSON *list, const struct target *t, struct wall now)
{
    cJSON *o = cJSON_CreateObject();
    int32_t r = target_receiver(n, t, now);

    if (t->rota)
        cJSON_AddStringToObject(o, "rota", n->plan->rotas[t->index].name);
    if (r >= 0)
        cJSON_AddStringToObject(o, "receiver", n->plan->receivers[r].name);
    else
        cJSON_AddNullToObject(o, "receiver");
    cJSON_AddItemToArray(list, o);
}

/* One route: the way down to it, whom it tells, when. */
static cJSON *route_object(const struct notify *n, const struct route *r, struct labels l, struct wall now)
{
    cJSON *o = cJSON_CreateObject(), *path = cJSON_AddArrayToObject(o, "path"), *list;
    struct label room[GROUP_BY_MOST];

    for (const struct route *t = r;; t = &n->plan->routes[t->parent]) {
        cJSON *step = cJSON_CreateObject();

        cJSON_AddStringToObject(step, "route", t->name);
        cJSON_AddStringToObject(step, "match", match_text(t->match));
        cJSON_InsertItemInArray(path, 0, step);
        if (t->parent < 0)
            break;
    }
    cJSON_AddStringToObject(o, "route", r->name);
    add_labels(o, "group", route_group_labels(r, l, room, GROUP_BY_MOST));
    cJSON_AddNumberToObject(o, "wait_seconds", span_seconds(r->wait));
    cJSON_AddNumberToObject(o, "interval_seconds", span_seconds(r->interval));
    cJSON_AddNumberToObject(o, "repeat_seconds", span_seconds(r->repeat));
    list = cJSON_AddArrayToObject(o, "receivers");
    for (uint32_t i = 0; i < r->n_targets; i++)
        add_target(n, list, &r->targets[i], now);
    if (r->fallback >= 0)
        cJSON_AddStringToObject(o, "fallback", n->plan->receivers[r->fallback].name);
    for (uint32_t i = 0; i < r->n_mutes; i++) {
        const struct mute *m = &n->plan->mutes[r->mutes[i]];

        if (mute_holds(m, now))
            cJSON_AddStringToObject(o, "muted_by", m->name);
    }
    if (r->escalation >= 0) {
        const struct escalation *x = &n->plan->escalations[r->escalation];

        list = cJSON_AddArrayToObject(o, "escalation");
        for (uint32_t i = 0; i < x->n_steps; i++) {
            add_target(n, list, &x->steps[i].target, now);
            cJSON_AddNumberToObject(cJSON_GetArrayItem(list, (int)i), "after_seconds",
                                    span_seconds(x->steps[i].after));
        }
    }
    return o;
}

int notify_routes(const struct notify *n, struct labels l, struct wall now, struct buf *json)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "routes");
    uint32_t found[TARGETS_MOST], count = route_find(n->plan, l, found, TARGETS_MOST);

    for (uint32_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, route_object(n, &n->plan->routes[found[i]], l, now));
    if (!count)
        cJSON_AddStringToObject(root, "reason", "there is no [route NAME]: nobody is told");
    return finish(root, json);
}

static const char *why_not(const struct known *k, const struct line *l, const struct told *t)
{
    if (!k->firing)
        return "it does not fire";
    if (t && told_current(t, k))
        return "";
    if (known_acked(k))
        return "acknowledged";
    if (l->state == LINE_FLIGHT)
        return "an attempt is under way";
    if (l->state == LINE_WAIT)
        return "waits for a retry";
    if (t && t->by_digest)
        return "waits for the digest of a storm";
    return "waits for its group, or for the other aggregator";
}

static cJSON *line_object(const struct notify *n, const struct known *k, const struct line *l)
{
    const struct told *t = told_get(k, l);
    const char *why = why_not(k, l, t);
    cJSON *o = cJSON_CreateObject();

    (void)n;
    cJSON_AddStringToObject(o, "receiver", l->receiver->name);
    cJSON_AddBoolToObject(o, "active", l->active);
    cJSON_AddBoolToObject(o, "fallback", l->fallback);
    cJSON_AddStringToObject(o, "state", told_state_name(t && t->epoch == k->epoch ? t->state : TOLD_NOT));
    if (why[0])
        cJSON_AddStringToObject(o, "waits_because", why);
    cJSON_AddNumberToObject(o, "attempt", l->attempt);
    add_time(o, "told_at", l->told_at);
    if (l->receiver->last[0])
        cJSON_AddStringToObject(o, "last_error", l->receiver->last);
    return o;
}

static cJSON *group_object(struct notify *n, const struct known *k, const struct group *g)
{
    const char *what;
    enum block b = k->firing ? gate(n, g, k, &what) : BLOCK_NONE;
    cJSON *o = cJSON_CreateObject(), *list;

    cJSON_AddStringToObject(o, "route", g->route_name);
    cJSON_AddStringToObject(o, "dedup_key", g->key);
    add_labels(o, "group", g->labels);
    if (b != BLOCK_NONE) {
        cJSON_AddStringToObject(o, "stopped_by", block_name(b));
        cJSON_AddStringToObject(o, "stopped_by_what", what);
    }
    if (g->escalating.ns) {
        add_time(o, "escalating_since", g->escalating_at);
        cJSON_AddNumberToObject(o, "escalation_step", g->step);
    }
    list = cJSON_AddArrayToObject(o, "receivers");
    for (const struct line *l = g->lines; l; l = l->next)
        cJSON_AddItemToArray(list, line_object(n, k, l));
    return o;
}

int notify_explain(struct notify *n, const struct fingerprint *alert, struct wall now, struct buf *json,
                   struct err *e)
{
    const struct known *k = known_get(n, alert);
    cJSON *root, *list;
    char hex[33];

    fingerprint_text(alert, hex);
    if (!k)
        return err_set(e, ERR_NOTFOUND, "telling knows no alert %s", hex);
    n->now = now;
    root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "id", k->hex);
    cJSON_AddBoolToObject(root, "firing", k->firing);
    cJSON_AddBoolToObject(root, "suppressed", k->suppressed);
    if (known_acked(k)) {
        cJSON *a = cJSON_AddObjectToObject(root, "acknowledged");

        cJSON_AddStringToObject(a, "by", k->ack.who);
        cJSON_AddStringToObject(a, "reason", k->ack.reason);
        add_time(a, "at", k->ack.t);
    }
    list = cJSON_AddArrayToObject(root, "groups");
    for (uint32_t i = 0; i < k->n_groups; i++)
        cJSON_AddItemToArray(list, group_object(n, k, k->groups[i]));
    return finish(root, json);
}
