/* Replaying stored roll-ups under two sets of rules: see trial.h. Each set is a rig of its own that is told the same
 * gains; a firing is a stretch of time of one alert, from its firing to its end. */
#include <math.h>
#include <string.h>

#include "aggregator/alert/json.h"
#include "aggregator/alert/trial.h"
#include "aggregator/alert/trial_rig.h"

enum { FIRINGS_MOST = 10000, REPORT_MOST = 64 << 10 };

struct firing {
    struct fingerprint id;
    const char *rule;
    struct labels labels;
    int64_t from, to; /* to 0: it fires still */
    double value;     /* at its beginning */
};

struct side {
    struct rig rig;
    struct arena arena; /* of the firings' texts */
    struct firing *v;   /* FIRINGS_MOST, in the arena */
    uint32_t n, left_off;
    uint64_t transitions;
    bool no_memory;
};

static void on_notice(void *arg, const struct alert_notice *n)
{
    struct side *s = arg;
    struct firing *f;
    bool ok = true;

    s->transitions++;
    if (n->to == ALERT_INACTIVE) {
        for (uint32_t i = s->n; i-- > 0;) {
            if (!s->v[i].to && !memcmp(&s->v[i].id, &n->id, sizeof n->id)) {
                s->v[i].to = n->t.ms;
                break;
            }
        }
        return;
    }
    if (n->to != ALERT_FIRING || alert_in_force(n->from))
        return;
    if (s->n == FIRINGS_MOST) {
        s->left_off++;
        return;
    }
    f = &s->v[s->n];
    *f = (struct firing){.id = n->id, .from = n->t.ms, .value = n->value};
    f->rule = arena_text(&s->arena, n->rule, strlen(n->rule));
    f->labels = labels_copy(n->labels, &s->arena, &ok);
    if (f->rule && ok)
        s->n++;
    else
        s->no_memory = true;
}

static void on_record(void *arg, struct bytes key, struct bytes value)
{
    (void)arg;
    (void)key;
    (void)value;
}

static void on_decision(void *arg, const struct fingerprint *alert, struct wall t, const char *json)
{
    (void)arg;
    (void)alert;
    (void)t;
    (void)json;
}

/* How far back the windows of a set reach. */
static struct span reach_of(const struct rig *r)
{
    struct span most = {0};

    for (uint32_t i = 0; i < selections_count(r->selections); i++) {
        struct span reach = selections_at(r->selections, i)->reach;

        if (reach.ns > most.ns)
            most = reach;
    }
    return most;
}

static int play(const struct replay_params *p, const struct config *c, struct side *s, struct err *e)
{
    const struct alert_effects out = {s, on_notice, on_record, on_decision};
    struct wall now = p->from, next;
    struct buf report;
    int rc;

    arena_init(&s->arena, p->mem, 0);
    s->v = arena_array(&s->arena, FIRINGS_MOST, sizeof *s->v);
    if (!s->v)
        return err_set(e, ERR_NOMEM, "no memory for a replay");
    buf_init(&report, p->mem, REPORT_MOST);
    rc = rig_open(&s->rig, c, p->region, p->mem, &report, e);
    buf_free(&report);
    if (rc)
        return rc;
    facts_advance(s->rig.facts, now);
    rc = p->tell(p->arg, s->rig.selections, s->rig.facts, wall_add(now, span_ns(-reach_of(&s->rig).ns)), now,
                 e);
    while (!rc && now.ms <= p->to.ms) {
        rig_step(&s->rig, now, false, &out);
        next = wall_add(now, p->step);
        facts_advance(s->rig.facts, next);
        rc = p->tell(p->arg, s->rig.selections, s->rig.facts, now, next, e);
        now = next;
    }
    return rc ? rc : s->no_memory ? err_set(e, ERR_NOMEM, "no memory for a replay") : 0;
}

static void firing_json(cJSON *list, const struct firing *f)
{
    cJSON *o = cJSON_CreateObject();

    if (!o || !cJSON_AddItemToArray(list, o))
        return;
    cJSON_AddStringToObject(o, "alert", f->rule);
    put_json_labels(o, "labels", f->labels);
    put_json_time(o, "from", f->from);
    put_json_time(o, "to", f->to);
    put_json_number(o, "value", f->value);
}

static void side_json(cJSON *o, const char *name, const struct side *s, int64_t end)
{
    cJSON *x = cJSON_AddObjectToObject(o, name), *list;
    double seconds = 0;

    for (uint32_t i = 0; i < s->n; i++)
        seconds += (double)((s->v[i].to ? s->v[i].to : end) - s->v[i].from) / 1000;
    if (!x)
        return;
    put_json_number(x, "firings", (double)s->n + s->left_off);
    put_json_number(x, "seconds", seconds);
    put_json_number(x, "left_off", s->left_off);
    list = cJSON_AddArrayToObject(x, "alerts");
    for (uint32_t i = 0; list && i < s->n; i++)
        firing_json(list, &s->v[i]);
}

/* Firings of a that no firing of the same alert in b overlaps. */
static void alone_json(cJSON *o, const char *name, const struct side *a, const struct side *b, int64_t end)
{
    cJSON *list = cJSON_AddArrayToObject(o, name);

    for (uint32_t i = 0; list && i < a->n; i++) {
        const struct firing *x = &a->v[i];
        bool met = false;

        for (uint32_t k = 0; k < b->n && !met; k++) {
            const struct firing *y = &b->v[k];

            met = !memcmp(&x->id, &y->id, sizeof x->id) && x->from <= (y->to ? y->to : end) &&
                  y->from <= (x->to ? x->to : end);
        }
        if (!met)
            firing_json(list, x);
    }
}

int trial_replay(const struct replay_params *p, struct buf *json, struct err *e)
{
    struct side before = {0}, after = {0};
    cJSON *o = NULL;
    int rc = p->step.ns < span_s(10).ns || p->from.ms > p->to.ms
                 ? err_set(e, ERR_RANGE, "a replay goes forward in steps of at least 10s")
                 : 0;

    if (!rc && p->before)
        rc = play(p, p->before, &before, e);
    if (!rc)
        rc = play(p, p->after, &after, e);
    if (rc)
        goto out;
    o = cJSON_CreateObject();
    if (!o) {
        rc = err_set(e, ERR_NOMEM, "no memory for a replay");
        goto out;
    }
    put_json_time(o, "from", p->from.ms);
    put_json_time(o, "to", p->to.ms);
    if (p->before)
        side_json(o, "before", &before, p->to.ms);
    side_json(o, "after", &after, p->to.ms);
    alone_json(o, "only_before", &before, &after, p->to.ms);
    alone_json(o, "only_after", &after, &before, p->to.ms);
    rc = put_json_done(o, json);
out:
    rig_close(&before.rig);
    rig_close(&after.rig);
    arena_free(&before.arena);
    arena_free(&after.arena);
    return rc;
}
