/* The rooms that judge: see judge.h. A room that is in the middle of its step is never called again: what it says to
 * one that is further back waits in a queue until that step is over. */
#include "aggregator/judge.h"

#include <string.h>

#include "aggregator/series/series.h"

struct judge {
    struct mem *mem;
    struct facts *facts;
    struct slos *slos;
    struct alerts *alerts;
    struct incidents *incidents;
    struct notify *notify;
    uint64_t steps, notices, bad_records, bad_facts, lost_facts, lost_orders;
};

const char *const judge_rooms[JUDGE_ROOMS] = {"slo", "alert", "incident", "notify"};

/* ---- configuration ---- */

struct selections *judge_selections(const struct config *c, struct mem *mem, struct err *e)
{
    struct selections *s = selections_new(mem);

    if (!s) {
        (void)err_set(e, ERR_NOMEM, "no memory for the list of selections");
        return NULL;
    }
    if (slo_selections(c, s, e) != 0 || alert_selections(c, s, e) != 0 || series_selections(c, s, e) != 0)
        selections_free(&s);
    return s;
}

static bool known(void *arg, const char *name)
{
    return slo_known(arg, name);
}

int judge_check(const struct config *c, const struct zone *(*zone)(void *arg, const char *name),
                void *zone_arg, struct wall now, struct buf *report, struct err *e)
{
    const struct slo_zones slo_zones = {zone, zone_arg};
    const struct notify_zones notify_zones = {zone, zone_arg};
    union {
        const struct config *in;
        void *out;
    } arg = {.in = c};
    int slo = slo_check(c, &slo_zones, report, e);
    int alert = alert_check(c, known, arg.out, report, e);
    int receiver = receiver_check(c, report, e);
    int notify = notify_check(c, &notify_zones, now, report, e);

    return slo ? slo : alert ? alert : receiver ? receiver : notify;
}

static struct slo_params slo_params(const struct judge_params *p)
{
    return (struct slo_params){.config = p->config,
                               .selections = p->selections,
                               .zones = {p->zone, p->zone_arg},
                               .mem = p->mem,
                               .region = p->region};
}

static struct alerts_params alerts_params(const struct judge_params *p)
{
    return (struct alerts_params){
        .config = p->config, .selections = p->selections, .mem = p->mem, .region = p->region};
}

static struct notify_params notify_params(const struct judge_params *p)
{
    const char *console = option_text(config_section(p->config, "notify"), "console");

    return (struct notify_params){.config = p->config,
                                  .zones = {p->zone, p->zone_arg},
                                  .mem = p->mem,
                                  .region = p->region,
                                  .host = p->host,
                                  .console = console ? console : "",
                                  .ack_secret = p->ack_secret,
                                  .seed = p->seed};
}

static struct incidents_params incidents_params(const struct judge_params *p)
{
    return (struct incidents_params){.config = p->config, .mem = p->mem, .region = p->region};
}

struct judge *judge_new(const struct judge_params *p, struct buf *report, struct err *e)
{
    const struct slo_params slo = slo_params(p);
    const struct alerts_params alert = alerts_params(p);
    const struct notify_params notify = notify_params(p);
    const struct incidents_params incident = incidents_params(p);
    struct judge *j = mem_alloc(p->mem, sizeof *j);

    if (!j) {
        (void)err_set(e, ERR_NOMEM, "no memory for the rooms that judge");
        return NULL;
    }
    j->mem = p->mem;
    j->facts = facts_new(p->selections, p->mem);
    if (!j->facts)
        (void)err_set(e, ERR_NOMEM, "no memory for facts");
    if (!j->facts || !(j->slos = slos_new(&slo, report, e)) || !(j->alerts = alerts_new(&alert, report, e)) ||
        !(j->incidents = incidents_new(&incident, e)) || !(j->notify = notify_new(&notify, report, e)))
        judge_free(&j);
    return j;
}

void judge_free(struct judge **jp)
{
    struct judge *j = *jp;

    if (!j)
        return;
    notify_free(&j->notify);
    incidents_free(&j->incidents);
    alerts_free(&j->alerts);
    slos_free(&j->slos);
    facts_free(&j->facts);
    mem_free(j->mem, j, sizeof *j);
    *jp = NULL;
}

int judge_reload(struct judge *j, const struct judge_params *p, struct buf *report, struct err *e)
{
    const struct slo_params slo = slo_params(p);
    const struct alerts_params alert = alerts_params(p);
    const struct notify_params notify = notify_params(p);
    const struct incidents_params incident = incidents_params(p);
    int rc = facts_turn(j->facts, p->selections);

    if (rc)
        return err_set(e, rc, "no memory for facts");
    rc = slos_reload(j->slos, &slo, report, e);
    rc = rc ? rc : alerts_reload(j->alerts, &alert, report, e);
    rc = rc ? rc : incidents_reload(j->incidents, &incident, e);
    return rc ? rc : notify_reload(j->notify, &notify, report, e);
}

int judge_restore(struct judge *j, const char *room, struct bytes key, struct bytes value)
{
    struct err e = {0};
    int rc = strcmp(room, "slo") == 0        ? slos_restore(j->slos, key, value, &e)
             : strcmp(room, "alert") == 0    ? alerts_restore(j->alerts, key, value, &e)
             : strcmp(room, "incident") == 0 ? incidents_restore(j->incidents, key, value, &e)
                                             : notify_restore(j->notify, key, value, &e);

    j->bad_records += rc != 0;
    return rc == ERR_NOMEM ? rc : 0;
}

/* ---- facts ---- */

void judge_telling(struct judge *j, const struct telling *t)
{
    for (uint32_t i = 0; i < t->n_groups; i++)
        j->bad_facts += facts_group(j->facts, &t->groups[i]) != 0;
    for (uint32_t i = 0; i < t->n_deltas; i++)
        j->bad_facts += facts_gain(j->facts, &t->deltas[i]) != 0;
    for (uint32_t i = 0; i < t->n_gone; i++)
        facts_gone(j->facts, t->gone[i].selection, t->gone[i].group);
    j->lost_facts += t->lost;
}

void judge_own(struct judge *j, const char *metric, enum fact_kind kind, struct labels labels, double value,
               struct wall now)
{
    j->bad_facts += facts_own(j->facts, metric, kind, labels, value, now) != 0;
}

/* ---- a step under way ---- */

struct said { /* by one room, for another that may be in the middle of its step */
    struct said *next;
    bool acknowledged; /* by an incident, for notices; else a story for incidents */
    struct fingerprint alert;
    struct wall t;
    const char *kind, *text;
};

struct under_way {
    struct judge *j;
    const struct moment *m;
    struct orders *out;
    const struct fingerprint *acked; /* this alert's acknowledgement is done already */
    struct said *first, **last;
};

static void say(struct under_way *w, bool acknowledged, const struct fingerprint *alert, struct wall t,
                const char *kind, const char *text)
{
    struct said *s = arena_alloc(&w->out->arena, sizeof *s);

    if (s) {
        *s = (struct said){.acknowledged = acknowledged,
                           .alert = *alert,
                           .t = t,
                           .kind = arena_text(&w->out->arena, kind, strlen(kind)),
                           .text = arena_text(&w->out->arena, text, strlen(text))};
    }
    if (!s || !s->kind || !s->text) {
        w->out->lost++;
        return;
    }
    *w->last = s;
    w->last = &s->next;
}

static void put_slo(void *arg, struct bytes key, struct bytes value)
{
    orders_record(((struct under_way *)arg)->out, "slo", key, value);
}

static void put_alert(void *arg, struct bytes key, struct bytes value)
{
    orders_record(((struct under_way *)arg)->out, "alert", key, value);
}

static void put_incident(void *arg, struct bytes key, struct bytes value)
{
    orders_record(((struct under_way *)arg)->out, "incident", key, value);
}

static void put_notify(void *arg, struct bytes key, struct bytes value)
{
    orders_record(((struct under_way *)arg)->out, "notify", key, value);
}

static void put_ledger(void *arg, const char *key, struct wall t, const char *json)
{
    orders_line(((struct under_way *)arg)->out, "ledger", bytes_of(key), t, bytes_of(json));
}

static void put_decision(void *arg, const struct fingerprint *alert, struct wall t, const char *json)
{
    char hex[33];

    fingerprint_text(alert, hex);
    orders_line(((struct under_way *)arg)->out, "decision", bytes_of(hex), t, bytes_of(json));
}

static void put_timeline(void *arg, const char *incident, struct wall t, const char *json)
{
    orders_line(((struct under_way *)arg)->out, "timeline", bytes_of(incident), t, bytes_of(json));
}

static void put_send(void *arg, uint64_t delivery, const char *receiver, const struct notification *n)
{
    orders_send(((struct under_way *)arg)->out, delivery, receiver, n);
}

static void hear_story(void *arg, const struct fingerprint *alert, struct wall t, const char *kind,
                       const char *text)
{
    say(arg, false, alert, t, kind, text);
}

static void hear_acknowledged(void *arg, const struct fingerprint *alert, const char *who, const char *reason)
{
    struct under_way *w = arg;

    if (!w->acked || memcmp(w->acked, alert, sizeof *alert) != 0)
        say(w, true, alert, w->m->now, who, reason);
}

static int run_incidents(struct under_way *w, const struct incident_event *ev, struct err *e)
{
    const struct incident_effects out = {
        .arg = w, .record = put_incident, .line = put_timeline, .acknowledged = hear_acknowledged};
    char id[32];

    return incidents_step(w->j->incidents, ev, &out, id, e);
}

static int run_notify(struct under_way *w, struct notify_event *ev, char id[64], struct err *e)
{
    const struct notify_effects out = {.arg = w, .send = put_send, .record = put_notify, .story = hear_story};

    ev->now = w->m->now;
    ev->mono = w->m->mono;
    ev->hold = w->m->hold;
    return notify_step(w->j->notify, ev, &out, id, e);
}

static void pass_on(struct under_way *w, const struct said *s)
{
    struct err e = {0};
    char hex[33], id[64];

    if (s->acknowledged) {
        const struct act_order a = {
            .act = ACT_ACK, .what = hex, .who = s->kind, .reason = s->text, .request_id = ""};

        fingerprint_text(&s->alert, hex);
        (void)run_notify(w, &(struct notify_event){.kind = NOTIFY_ACT, .act = &a}, id, &e);
    } else {
        (void)run_incidents(w,
                            &(struct incident_event){.kind = INCIDENT_STORY,
                                                     .now = s->t,
                                                     .alert = &s->alert,
                                                     .story_kind = s->kind,
                                                     .text = s->text},
                            &e);
    }
}

static void begin(struct under_way *w, struct judge *j, const struct moment *m, struct orders *out)
{
    *w = (struct under_way){.j = j, .m = m, .out = out};
    w->last = &w->first;
}

/* Until no room has anything to say to another. Whoever is told says less each time: it ends. */
static void settle(struct under_way *w)
{
    for (struct said *s = w->first; s; s = s->next)
        pass_on(w, s);
    w->j->lost_orders += w->out->lost;
    w->out->lost = 0;
}

static void hear_notice(void *arg, const struct alert_notice *n)
{
    struct under_way *w = arg;
    struct err e = {0};
    char id[64];

    w->j->notices++;
    (void)run_incidents(w, &(struct incident_event){.kind = INCIDENT_NOTICE, .now = w->m->now, .notice = n},
                        &e);
    (void)run_notify(w, &(struct notify_event){.kind = NOTIFY_NOTICE, .notice = n}, id, &e);
}

struct alert_input judge_input(const struct judge *j, const struct moment *m)
{
    struct alert_input in = {.now = m->now, .facts = j->facts, .hold = m->hold};

    in.burns = slos_burns(j->slos, &in.n_burns);
    in.maintenance = notify_maintenance(j->notify, &in.n_maintenance);
    return in;
}

static void judge_facts_now(struct under_way *w)
{
    struct judge *j = w->j;
    struct slo_input in = {.now = w->m->now, .facts = j->facts, .hold = w->m->hold};
    const struct slo_effects slo = {.arg = w, .record = put_slo, .ledger = put_ledger};
    const struct alert_effects alert = {
        .arg = w, .notice = hear_notice, .record = put_alert, .decision = put_decision};
    struct alert_input facts;

    facts_advance(j->facts, w->m->now);
    in.maintenance = notify_maintenance(j->notify, &in.n_maintenance);
    slos_step(j->slos, &in, &slo);
    facts = judge_input(j, w->m);
    alerts_step(j->alerts, &facts, &alert);
}

void judge_step(struct judge *j, const struct moment *m, bool judging, struct orders *out)
{
    struct under_way w;
    struct err e = {0};
    char id[64];

    begin(&w, j, m, out);
    j->steps++;
    if (judging)
        judge_facts_now(&w);
    (void)run_incidents(&w, &(struct incident_event){.kind = INCIDENT_TICK, .now = m->now}, &e);
    (void)run_notify(&w, &(struct notify_event){.kind = NOTIFY_TICK}, id, &e);
    settle(&w);
}

/* ---- events ---- */

void judge_ended(struct judge *j, const struct moment *m, uint64_t delivery, const struct told_result *r,
                 struct orders *out)
{
    struct under_way w;
    struct err e = {0};
    char id[64];

    begin(&w, j, m, out);
    (void)run_notify(&w, &(struct notify_event){.kind = NOTIFY_ENDED, .delivery = delivery, .result = r}, id,
                     &e);
    settle(&w);
}

void judge_peer(struct judge *j, const struct moment *m, const struct peer_telling *p, struct orders *out)
{
    struct under_way w;
    struct err e = {0};
    char id[64];

    begin(&w, j, m, out);
    (void)run_notify(&w, &(struct notify_event){.kind = NOTIFY_PEER, .peer = p}, id, &e);
    settle(&w);
}

int judge_act(struct judge *j, const struct moment *m, const struct act_order *a, struct orders *out,
              char id[64], struct err *e)
{
    struct under_way w;
    struct fingerprint alert;
    int rc;

    begin(&w, j, m, out);
    rc = run_notify(&w, &(struct notify_event){.kind = NOTIFY_ACT, .act = a}, id, e);
    if (rc == 0 && a->act == ACT_ACK && fingerprint_parse(a->what, &alert) == 0) {
        struct err none = {0};

        w.acked = &alert;
        (void)run_incidents(
            &w,
            &(struct incident_event){
                .kind = INCIDENT_ACK, .now = m->now, .alert = &alert, .who = a->who, .text = a->reason},
            &none);
    }
    settle(&w);
    return rc;
}

int judge_incident(struct judge *j, const struct moment *m, enum incident_event_kind kind,
                   const char *incident, const char *who, const char *text, struct orders *out, struct err *e)
{
    struct under_way w;
    int rc;

    begin(&w, j, m, out);
    rc = run_incidents(
        &w,
        &(struct incident_event){.kind = kind, .now = m->now, .incident = incident, .who = who, .text = text},
        e);
    settle(&w);
    return rc;
}

void judge_change(struct judge *j, const struct moment *m, const struct change_event *c, const char *who,
                  struct orders *out)
{
    struct under_way w;
    struct err e = {0};
    char id[64];

    begin(&w, j, m, out);
    (void)run_incidents(&w,
                        &(struct incident_event){.kind = INCIDENT_CHANGE,
                                                 .now = c->t,
                                                 .who = who,
                                                 .text = c->text,
                                                 .story_kind = c->kind,
                                                 .labels = c->labels},
                        &e);
    (void)run_notify(&w, &(struct notify_event){.kind = NOTIFY_CHANGE, .change = c}, id, &e);
    settle(&w);
}

struct span judge_wake(const struct judge *j, struct mono now)
{
    return notify_wake(j->notify, now);
}

/* ---- reading ---- */

const struct slos *judge_slos(const struct judge *j)
{
    return j->slos;
}

void judge_spent(struct judge *j, struct span took)
{
    alerts_spent(j->alerts, took);
}

const struct alerts *judge_alerts(const struct judge *j)
{
    return j->alerts;
}

const struct incidents *judge_incidents(const struct judge *j)
{
    return j->incidents;
}

struct notify *judge_notify(const struct judge *j)
{
    return j->notify;
}

const struct facts *judge_facts(const struct judge *j)
{
    return j->facts;
}

void judge_metrics(const struct judge *j, struct sink *out)
{
    static const struct metric_row steps = {
        "securebase_aggregator_decide_steps_total",
        METRIC_COUNTER,
        1,
        1,
        "",
        "Times that objectives, alerts, incidents and notices were gone through."};
    static const struct metric_row notices = {"securebase_aggregator_alert_notices_total",
                                              METRIC_COUNTER,
                                              1,
                                              1,
                                              "",
                                              "Transitions of alerts that incidents and notices heard of."};
    static const struct metric_row lost = {"securebase_aggregator_decide_lost_total",
                                           METRIC_COUNTER,
                                           1,
                                           1,
                                           "reason",
                                           "What the thread that decides could not take in or keep: stored "
                                           "states that could not be read, facts of no "
                                           "use, facts and orders for which there was no memory."};
    static const struct metric_row memory = {"securebase_aggregator_decide_memory_bytes",
                                             METRIC_GAUGE,
                                             1,
                                             1,
                                             "",
                                             "Memory of facts, objectives, alerts, incidents and notices."};
    static const char *const reasons[] = {"record", "fact", "fact_memory", "order_memory"};
    const uint64_t counts[] = {j->bad_records, j->bad_facts, j->lost_facts, j->lost_orders};

    sink_uint(out, &steps, NULL, j->steps);
    sink_uint(out, &notices, NULL, j->notices);
    for (int i = 0; i < 4; i++) {
        struct text reason = text_of(reasons[i]);

        sink_uint(out, &lost, &reason, counts[i]);
    }
    sink_uint(out, &memory, NULL, j->mem->used);
    facts_metrics(j->facts, out);
    slos_metrics(j->slos, out);
    alerts_metrics(j->alerts, out);
    incidents_metrics(j->incidents, out);
    notify_metrics(j->notify, out);
}
