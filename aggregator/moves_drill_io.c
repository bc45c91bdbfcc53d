/* Drills on the decide thread: begun when they are due or ordered, by whoever leads the service; each end is a line of the
 * control store. See failover/drill.h. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000, ALERTS_MOST = 4 << 20 };

/* ---- what it sees ---- */

static bool fires(struct decide *d, const char *rule)
{
    const struct alert_query q = {.rule = rule, .state = "firing", .limit = 1};
    struct buf json;
    cJSON *o;
    bool any;

    buf_init(&json, NULL, ALERTS_MOST);
    o = alerts_list(judge_alerts(d->judge), &q, &json) == 0
            ? cJSON_ParseWithLength((const char *)json.data, json.len)
            : NULL;
    any = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "alerts")) > 0;
    cJSON_Delete(o);
    buf_free(&json);
    return any;
}

static bool alarm_fires(struct decide *d, const struct drill_settings *s)
{
    bool any = false;

    for (uint8_t i = 0; i < s->n_alarms && !any; i++)
        any = fires(d, s->alarm[i]);
    return any;
}

static uint8_t target_of(const struct move *m)
{
    uint8_t to = fo_target(&m->fo, &m->set.core, loop_wall(m->all->d->loop).ms);

    return to != FO_NONE ? to : m->fo.record.active == 0 ? 1 : 0;
}

static struct drill_view view_of(const struct move_drill *x, struct move *m)
{
    const struct move_readiness *r = &m->ready[x->run.to], *back = &m->ready[x->run.home];
    int64_t now = move_now(m), wall = loop_wall(m->all->d->loop).ms;

    return (struct drill_view){
        .now = now,
        .wall = wall,
        .leading = m->fo.leading && m->fo.known,
        .looked = r->done.ns && mono_to_ms(r->done) >= x->run.began && !r->under_way,
        .looked_back = back->done.ns && mono_to_ms(back->done) >= x->run.since && !back->under_way,
        .fo = &m->fo,
        .blockers = fo_gates(&m->fo, &m->set.core, FO_DRILL, x->run.to, -1, now, wall) | r->blockers,
        .alarm = alarm_fires(m->all->d, &x->set),
        .abort = x->abort};
}

/* ---- what is kept ---- */

static void add_seconds(cJSON *o, const char *name, int64_t ms)
{
    if (ms >= 0)
        cJSON_AddNumberToObject(o, name, (double)ms / 1000);
    else
        cJSON_AddNullToObject(o, name);
}

static cJSON *run_json(const struct move_drill *x, const struct move *m)
{
    cJSON *o = cJSON_CreateObject();
    char text[WALL_TEXT];

    cJSON_AddStringToObject(o, "drill", x->set.name);
    cJSON_AddStringToObject(o, "service", x->set.service);
    cJSON_AddStringToObject(o, "kind", drill_kind_name(x->set.kind));
    cJSON_AddStringToObject(o, "began", wall_text((struct wall){x->run.began_wall}, text));
    cJSON_AddStringToObject(o, "ended", wall_text((struct wall){x->run.ended_wall}, text));
    cJSON_AddStringToObject(o, "outcome", drill_outcome_name(x->run.outcome));
    cJSON_AddStringToObject(o, "text", x->run.text);
    cJSON_AddStringToObject(o, "who", x->who);
    cJSON_AddStringToObject(o, "why", x->why);
    if (m && x->run.to < m->set.core.n_regions)
        cJSON_AddStringToObject(o, "to", m->set.names.region[x->run.to]);
    add_seconds(o, "out_seconds", x->run.out_ms);
    add_seconds(o, "back_seconds", x->run.back_ms);
    add_seconds(o, "loss_seconds", x->run.loss_ms);
    return o;
}

static void write_run(struct move_drill *x, const struct move *m)
{
    struct decide *d = x->all->d;
    cJSON *o = run_json(x, m);
    char *text = cJSON_PrintUnformatted(o);
    struct batch *b = batch_new(d);

    cJSON_Delete(o);
    if (b && text) {
        orders_line(&b->orders, "drill", bytes_of(x->set.name), loop_wall(d->loop), bytes_of(text));
        orders_record(&b->orders, "drilling", bytes_of(x->set.name), (struct bytes){NULL, 0});
        batch_give(b);
    } else if (b) {
        batch_give(b);
    }
    cJSON_free(text);
}

static void say_run(struct move_drill *x, const char *text)
{
    struct decide *d = x->all->d;
    const struct moment at = decide_moment(d);
    const struct label labels[] = {{"service", x->set.service}};
    const struct change_event change = {
        .kind = "drill", .name = x->set.name, .text = text, .labels = {labels, 1}, .t = at.now};
    struct batch *b = batch_new(d);

    if (!b)
        return;
    judge_change(d->judge, &at, &change, *x->who ? x->who : "schedule", &b->orders);
    if (x->run.phase != DRILL_ENDED) /* a restart in the middle is told from it */
        orders_record(&b->orders, "drilling", bytes_of(x->set.name), bytes_of(x->set.service));
    batch_give(b);
}

static void ended(struct move_drill *x, const struct move *m)
{
    char text[600];

    x->told = true;
    x->runs[x->run.outcome]++;
    (void)snprintf(text, sizeof text, "drill %s of %s: %s%s%s", x->set.name, x->set.service,
                   drill_outcome_name(x->run.outcome), *x->run.text ? ": " : "", x->run.text);
    LOG(x->all->d->log, x->run.outcome == DRILL_GOOD ? LOG_INFO : LOG_WARN, "drill", "ended",
        kv_s("drill", x->set.name), kv_s("service", x->set.service),
        kv_s("outcome", drill_outcome_name(x->run.outcome)), kv_s("text", x->run.text));
    write_run(x, m);
    if (x->set.kind == DRILL_FULL || x->run.outcome != DRILL_GOOD)
        say_run(x, text);
}

/* ---- what is ordered ---- */

struct drill_order {
    struct moves *all;
    char name[FO_NAME];
    enum drill_want what;
};

static void order_who(const struct move_drill *x, char out[FO_WHO])
{
    (void)snprintf(out, FO_WHO, "drill %.50s", x->set.name);
}

static struct move_drill *drill_of(struct moves *all, const char *name)
{
    struct move_drill *x = all->drills;

    while (x && strcmp(x->set.name, name) != 0)
        x = x->next;
    return x;
}

/* An order of which nobody knows whether it was committed: the record says whether its plan has begun. */
static uint16_t found_out(const struct move_drill *x, const struct move *m)
{
    const struct fo_plan *p = &m->fo.record.plan;
    char who[FO_WHO];

    order_who(x, who);
    return m->fo.known && p->kind == FO_DRILL && p->ended == 0 && strcmp(p->who, who) == 0 ? FO_R_NONE
                                                                                           : FO_R_STORE;
}

static void answered(void *arg, uint16_t code, fo_reasons reasons, const char *holder)
{
    struct drill_order *o = arg;
    struct move_drill *x = drill_of(o->all, o->name);
    struct move *m = x ? moves_of(o->all, x->set.service) : NULL;

    (void)reasons;
    (void)holder;
    if (m) {
        struct drill_view v = view_of(x, m);

        drill_answered(&x->run, o->what, code == MOVES_UNKNOWN ? found_out(x, m) : code, &v);
    } else if (x) {
        x->run.waiting = false;
    }
    free(o);
}

static void give_order(struct move_drill *x, const struct move *m, enum drill_want what)
{
    static const uint8_t commands[] = {[DRILL_ORDER_OUT] = FO_C_DRILL,
                                       [DRILL_ORDER_BACK] = FO_C_DRILL,
                                       [DRILL_ORDER_ACK] = FO_C_ACK,
                                       [DRILL_ORDER_ABORT] = FO_C_ABORT};
    struct drill_order *o = calloc(1, sizeof *o);
    struct fo_order order = {.command = commands[what],
                             .region = what == DRILL_ORDER_OUT    ? x->run.to
                                       : what == DRILL_ORDER_BACK ? x->run.home
                                                                  : FO_NONE,
                             .action = FO_NONE,
                             .accept_loss_ms = -1};

    if (!o)
        return;
    o->all = x->all;
    o->what = what;
    (void)snprintf(o->name, sizeof o->name, "%s", x->set.name);
    order_who(x, order.who);
    (void)snprintf(order.why, sizeof order.why, "%s", *x->why ? x->why : "a drill that is due");
    x->run.waiting = true;
    if (moves_order(x->all, move_service(m), &order, answered, o) != 0) {
        x->run.waiting = false;
        free(o);
    }
}

/* ---- ticks ---- */

static void begin(struct move_drill *x, struct move *m, const char *who, const char *why)
{
    struct drill_view v;

    (void)snprintf(x->who, sizeof x->who, "%s", who);
    (void)snprintf(x->why, sizeof x->why, "%s", why);
    x->abort = x->told = false;
    x->run.to = target_of(m);
    x->run.began = move_now(m);
    v = view_of(x, m);
    drill_begin(&x->run, &x->set, &v, x->run.to);
    m->ready_at = (struct mono){0}; /* looked at anew */
    if (x->run.phase != DRILL_ENDED && x->set.kind == DRILL_FULL)
        say_run(x, "a drill begins");
}

static void tick(struct move_drill *x, struct move *m, struct wall from, struct wall now)
{
    bool idle = x->run.phase == DRILL_IDLE || x->run.phase == DRILL_ENDED;
    struct drill_view v;
    enum drill_phase was;
    enum drill_want want;

    if (idle && from.ms && m->fo.leading && drill_due(&x->set, from, now))
        begin(x, m, "schedule", "");
    if (x->run.phase == DRILL_IDLE || (x->run.phase == DRILL_ENDED && x->told))
        return;
    v = view_of(x, m);
    was = x->run.phase;
    want = drill_step(&x->run, &x->set, &v);
    if (x->run.phase == DRILL_AWAY && was != DRILL_AWAY)
        m->ready_at = (struct mono){0}; /* the way back is looked at from here */
    if (want >= DRILL_ORDER_OUT)
        give_order(x, m, want);
    if (x->run.phase == DRILL_ENDED && !x->told)
        ended(x, m);
}

/* What was under way when this process ended the last time, or when a reload took the drill away. */
static void tell_lost(struct move_drill *x, const char *why)
{
    x->was_running = false;
    x->run = (struct drill_run){.phase = DRILL_ENDED,
                                .outcome = DRILL_LOST,
                                .to = FO_NONE,
                                .out_ms = -1,
                                .back_ms = -1,
                                .loss_ms = -1,
                                .began_wall = loop_wall(x->all->d->loop).ms,
                                .ended_wall = loop_wall(x->all->d->loop).ms};
    (void)snprintf(x->run.text, sizeof x->run.text,
                   "%s in the middle of it; where the service is, sbctl failover status says", why);
    ended(x, NULL);
}

void moves_drills_tick(struct moves *all, struct mono now)
{
    struct wall wall = loop_wall(all->d->loop), from = all->drills_looked;

    if (all->drills_at.ns && mono_sub(now, all->drills_at).ns < span_ms(LOOK_MS - TICK_MS / 2).ns)
        return;
    all->drills_at = now;
    all->drills_looked = wall;
    if (wall_before(wall, from)) /* the clock was set back: nothing is due twice */
        from = wall;
    for (struct move_drill *x = all->drills; x; x = x->next) {
        struct move *m = moves_of(all, x->set.service);

        if (x->was_running)
            tell_lost(x, "this aggregator was restarted");
        if (m && m->fo.known)
            tick(x, m, from, wall);
    }
}

/* ---- configuration ---- */

static int was_running(void *arg, struct bytes key, struct bytes value)
{
    struct moves *all = arg;

    (void)value;
    for (struct move_drill *x = all->drills; x; x = x->next) {
        if (strlen(x->set.name) == key.n && memcmp(x->set.name, key.p, key.n) == 0)
            x->was_running = true;
    }
    return 0;
}

static struct move_drill *take_drill(struct move_drill **list, const char *name)
{
    struct move_drill *x;

    while (*list && strcmp((*list)->set.name, name) != 0)
        list = &(*list)->next;
    x = *list;
    if (x)
        *list = x->next;
    return x;
}

int moves_drills_load(struct moves *all, const struct config *c, bool first, struct err *e)
{
    struct move_drill *old = all->drills, *next;
    const struct section *s;
    int rc = 0;

    all->drills = NULL;
    for (size_t i = 0; (s = config_named(c, "drill", i)) != NULL; i++) {
        struct move_drill *x = take_drill(&old, section_label(s));

        x = x ? x : calloc(1, sizeof *x);
        if (!x) {
            rc = err_set(e, ERR_NOMEM, "no memory");
            continue;
        }
        x->all = all;
        drill_settings(s, zones_find, all->d->p.zones, &x->set);
        x->next = all->drills;
        all->drills = x;
    }
    for (; old; old = next) {
        next = old->next;
        if (old->run.phase != DRILL_IDLE && old->run.phase != DRILL_ENDED)
            tell_lost(old, "the configuration does not know it any more, and was loaded");
        free(old);
    }
    if (rc)
        return rc;
    return first ? control_load(all->d->control, "drilling", was_running, all, e) : 0;
}

void moves_drills_free(struct moves *all)
{
    while (all->drills) {
        struct move_drill *x = all->drills;

        all->drills = x->next;
        free(x);
    }
}

/* ---- operators ---- */

int moves_drill_run(struct moves *all, const char *name, const char *who, const char *why, struct err *e)
{
    struct move_drill *x = all ? drill_of(all, name) : NULL;
    struct move *m = x ? moves_of(all, x->set.service) : NULL;

    if (!m)
        return err_set(e, ERR_NOTFOUND, "there is no [drill %s] here", name);
    if (!m->fo.leading || !m->fo.known)
        return err_set(e, ERR_STATE, "a drill is run by the one that leads%s%s", *m->holder ? ": " : "",
                       m->holder);
    if (x->run.phase != DRILL_IDLE && x->run.phase != DRILL_ENDED)
        return err_set(e, ERR_STATE, "it is under way");
    begin(x, m, who, why);
    return 0;
}

int moves_drill_abort(struct moves *all, const char *name, struct err *e)
{
    struct move_drill *x = all ? drill_of(all, name) : NULL;

    if (!x)
        return err_set(e, ERR_NOTFOUND, "there is no [drill %s] here", name);
    if (x->run.phase == DRILL_IDLE || x->run.phase == DRILL_ENDED)
        return err_set(e, ERR_STATE, "it is not under way");
    x->abort = true;
    return 0;
}

/* ---- showing ---- */

cJSON *moves_drills_json(const struct moves *all, struct wall now)
{
    static const char *const phases[] = {"idle", "looking", "going", "away", "coming", "ended"};
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "drills");

    for (const struct move_drill *x = all ? all->drills : NULL; x; x = x->next) {
        cJSON *d = cJSON_CreateObject();
        char text[WALL_TEXT];
        struct wall at;

        cJSON_AddStringToObject(d, "drill", x->set.name);
        cJSON_AddStringToObject(d, "service", x->set.service);
        cJSON_AddStringToObject(d, "kind", drill_kind_name(x->set.kind));
        cJSON_AddStringToObject(d, "phase", phases[x->run.phase]);
        if (drill_next(&x->set, now, &at))
            cJSON_AddStringToObject(d, "next", wall_text(at, text));
        else
            cJSON_AddNullToObject(d, "next");
        cJSON_AddStringToObject(d, "last_outcome",
                                x->run.phase == DRILL_ENDED ? drill_outcome_name(x->run.outcome) : "");
        cJSON_AddStringToObject(d, "text", x->run.text);
        cJSON_AddItemToArray(list, d);
    }
    cJSON_AddNullToObject(o, "next");
    return o;
}

void moves_drills_metrics(const struct moves *all, struct sink *out)
{
    static const struct metric_row runs = {"securebase_drills_total",
                                           METRIC_COUNTER,
                                           1,
                                           1,
                                           "drill outcome",
                                           "Drills that have ended here since the start, by outcome."};
    static const struct metric_row running = {"securebase_drill_running",       METRIC_GAUGE, 1, 1, "drill",
                                              "1 while the drill is under way."};

    for (const struct move_drill *x = all->drills; x; x = x->next) {
        const struct text name = text_of(x->set.name);

        for (int o = DRILL_GOOD; o <= DRILL_LOST; o++)
            sink_uint(out, &runs,
                      (const struct text[]){name, text_of(drill_outcome_name((enum drill_outcome)o))},
                      x->runs[o]);
        sink_real(out, &running, &name, x->run.phase != DRILL_IDLE && x->run.phase != DRILL_ENDED);
    }
}
