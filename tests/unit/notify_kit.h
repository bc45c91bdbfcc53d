/* Telling on virtual time: one or two aggregators with receivers that answer as they are told to, driven by a script,
 * and a line for everything that was sent. Used by the golden traces and by the random runs. */
#ifndef SB_TESTS_NOTIFY_KIT_H
#define SB_TESTS_NOTIFY_KIT_H

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/notify/notify.h"
#include "common/base/map.h"

enum { SIM_FLIGHTS = 8192, SIM_RECEIVERS = 32, SIM_ZONES = 16, SIM_ALERTS = 6000 };

struct sim_flight {
    uint64_t delivery;
    int64_t due_ms; /* virtual */
    struct told_result result;
    bool used;
};
struct sim_receiver { /* how a receiver answers */
    char name[65];
    enum outcome outcome;
    bool silent;
    int64_t delay_ms, retry_after_ms;
};
struct sim_record {
    char *value;
    char key[];
};
struct sim_alert {
    char name[65];
    char text[640]; /* labels as written */
    uint64_t epoch;
    bool firing;
};

struct sim;
struct sim_node {
    struct sim *sim;
    char region[33];
    struct notify *n;
    struct mem mem;
    struct sim_flight flights[SIM_FLIGHTS];
    size_t top;         /* of those used */
    struct map records; /* of struct sim_record */
    struct sim_alert *alerts;
    size_t n_alerts;
    struct peer_told told[4096]; /* what the other one said */
    uint32_t n_told;
    struct buf told_text;
    int64_t peer_due;
    bool hold, down;
};

struct sim {
    struct sim_node nodes[2];
    unsigned n_nodes;
    bool link;
    int64_t ms;     /* virtual time that never steps */
    int64_t offset; /* wall = ms + offset */
    struct sim_receiver receivers[SIM_RECEIVERS];
    size_t n_receivers;
    struct option_row rows[RECEIVER_ROWS];
    struct section_row sections[NOTIFY_SECTIONS + 1];
    char *config;
    struct {
        char name[65];
        struct zone *zone;
    } zones[SIM_ZONES];
    size_t n_zones;
    struct buf out;
    bool stories, quiet;
    char keys[64][256];
    size_t n_keys;
    /* told of a message that goes out; for invariants */
    void (*sent)(void *arg, struct sim_node *node, const char *receiver, const struct notification *n);
    void (*ended)(void *arg, struct sim_node *node, uint64_t delivery, enum outcome o);
    void *arg;
    int64_t boot; /* virtual time of the latest boot: the boot clock counts from it */
};

static inline struct wall sim_wall(const struct sim *s)
{
    return (struct wall){s->ms + s->offset};
}
static inline struct mono sim_mono(const struct sim *s)
{
    return (struct mono){(s->ms - s->boot) * 1000000 + 5000000000};
}

static inline const struct zone *sim_zone(void *arg, const char *name)
{
    struct sim *s = arg;
    struct err e = {0};

    for (size_t i = 0; i < s->n_zones; i++) {
        if (strcmp(s->zones[i].name, name) == 0)
            return s->zones[i].zone;
    }
    if (s->n_zones == SIM_ZONES || !(s->zones[s->n_zones].zone = zone_load(name, &e)))
        return NULL;
    (void)snprintf(s->zones[s->n_zones].name, 65, "%s", name);
    return s->zones[s->n_zones++].zone;
}

static inline struct config *sim_config(struct sim *s, const char *text, struct buf *report, struct err *e)
{
    struct config_source src = {"notify.ini", {(const uint8_t *)text, strlen(text)}};

    if (!s->sections[0].name) {
        (void)notify_sections(s->sections);
        s->sections[NOTIFY_SECTIONS] = (struct section_row){.name = receiver_section_name,
                                                            .named = true,
                                                            .sentence = "A receiver.",
                                                            .rows = s->rows,
                                                            .n_rows = receiver_rows(s->rows)};
    }
    return config_parse(&src, 1, s->sections, NOTIFY_SECTIONS + 1, report, e);
}

static inline struct sim_receiver *sim_receiver(struct sim *s, const char *name)
{
    for (size_t i = 0; i < s->n_receivers; i++) {
        if (strcmp(s->receivers[i].name, name) == 0)
            return &s->receivers[i];
    }
    assert_true(s->n_receivers < SIM_RECEIVERS);
    s->receivers[s->n_receivers] = (struct sim_receiver){.outcome = OUTCOME_DELIVERED, .delay_ms = 100};
    (void)snprintf(s->receivers[s->n_receivers].name, 65, "%s", name);
    return &s->receivers[s->n_receivers++];
}

/* ---- effects ---- */

static inline void sim_stamp(struct sim *s, const struct sim_node *node, const char *word)
{
    char t[WALL_TEXT];

    wall_text(sim_wall(s), t);
    t[19] = 0;
    buf_fmt(&s->out, "%s%s%s %-10s ", t + 5, s->n_nodes > 1 ? " " : "", s->n_nodes > 1 ? node->region : "",
            word);
}

static inline void sim_send(void *arg, uint64_t delivery, const char *receiver, const struct notification *n)
{
    struct sim_node *node = arg;
    struct sim *s = node->sim;
    struct sim_receiver *r = sim_receiver(s, receiver);
    size_t key = 0;

    while (key < s->n_keys && strcmp(s->keys[key], n->dedup_key) != 0)
        key++;
    if (key == s->n_keys && key < 64)
        (void)snprintf(s->keys[s->n_keys++], 256, "%s", n->dedup_key);
    if (!s->quiet) {
        uint32_t firing = 0;

        for (uint32_t i = 0; i < n->n_alerts; i++)
            firing += n->alerts[i].firing;
        sim_stamp(s, node, receiver);
        buf_fmt(&s->out, "%s k%zu attempt %u: %s", tell_name(n->tell), key + 1, n->attempt, n->title);
        if (n->n_alerts > 1 || n->more)
            buf_fmt(&s->out, " (%u firing, %u ended, %u more)", firing, n->n_alerts - firing, n->more);
        buf_str(&s->out, "\n");
    }
    if (s->sent)
        s->sent(s->arg, node, receiver, n);
    for (size_t i = 0; i < SIM_FLIGHTS; i++) {
        struct sim_flight *f = &node->flights[i];

        if (f->used)
            continue;
        node->top = i >= node->top ? i + 1 : node->top;
        *f =
            (struct sim_flight){.delivery = delivery,
                                .due_ms = r->silent ? INT64_MAX : s->ms + r->delay_ms,
                                .used = true,
                                .result = {.outcome = r->outcome, .retry_after = span_ms(r->retry_after_ms)}};
        (void)snprintf(f->result.text, sizeof f->result.text, "%s",
                       r->outcome == OUTCOME_DELIVERED ? "ok"
                       : r->outcome == OUTCOME_RETRY   ? "503 try later"
                       : r->outcome == OUTCOME_NEVER   ? "400 bad request"
                                                       : "403 bad key");
        return;
    }
    fail_msg("more than %d attempts under way", SIM_FLIGHTS);
}

static inline void sim_record(void *arg, struct bytes key, struct bytes value)
{
    struct sim_node *node = arg;
    struct sim_record *r = map_del(&node->records, key.p, key.n);

    if (r) {
        free(r->value);
        free(r);
    }
    if (!value.n)
        return;
    r = calloc(1, sizeof *r + key.n + 1);
    memcpy(r->key, key.p, key.n);
    r->value = strndup((const char *)value.p, value.n);
    assert_int_equal(map_put(&node->records, r->key, key.n, r), 0);
}

static inline void sim_story(void *arg, const struct fingerprint *alert, struct wall t, const char *kind,
                             const char *text)
{
    struct sim_node *node = arg;

    (void)alert;
    (void)t;
    if (!node->sim->stories || node->sim->quiet)
        return;
    sim_stamp(node->sim, node, "story");
    buf_fmt(&node->sim->out, "%s: %s\n", kind, text);
}

static inline int sim_event(struct sim_node *node, struct notify_event ev, char id[64], struct err *e)
{
    struct notify_effects out = {node, sim_send, sim_record, sim_story};
    char own[64];
    struct err ignored = {0};

    ev.now = sim_wall(node->sim);
    ev.mono = sim_mono(node->sim);
    ev.hold = node->hold;
    return notify_step(node->n, &ev, &out, id ? id : own, e ? e : &ignored);
}

/* ---- life ---- */

static inline void sim_start(struct sim_node *node)
{
    struct buf report;
    struct err e = {0};
    struct config *c;
    struct sim_record *r;

    buf_init(&report, NULL, 1 << 16);
    c = sim_config(node->sim, node->sim->config, &report, &e);
    if (!c)
        fail_msg("%s", buf_text(&report));
    node->n = notify_new(&(struct notify_params){.config = c,
                                                 .zones = {sim_zone, node->sim},
                                                 .mem = &node->mem,
                                                 .region = node->region,
                                                 .host = "host",
                                                 .console = "",
                                                 .seed = 7},
                         &report, &e);
    if (!node->n)
        fail_msg("%s %s", buf_text(&report), e.text);
    config_free(&c);
    buf_free(&report);
    for (size_t i = 0; (r = map_next(&node->records, &i));)
        assert_int_equal(notify_restore(node->n, (struct bytes){(const uint8_t *)r->key, strlen(r->key)},
                                        (struct bytes){(const uint8_t *)r->value, strlen(r->value)}, &e),
                         0);
}

static inline void sim_stop(struct sim_node *node)
{
    notify_free(&node->n);
    assert_int_equal(node->mem.used, 0);
    memset(node->flights, 0, sizeof node->flights);
    node->top = 0;
}

static inline struct sim *sim_new(const char *config, const char *region, const char *other)
{
    struct sim *s = calloc(1, sizeof *s);

    s->config = strdup(config);
    s->n_nodes = other ? 2 : 1;
    s->link = true;
    buf_init(&s->out, NULL, 16 << 20);
    for (unsigned i = 0; i < s->n_nodes; i++) {
        struct sim_node *node = &s->nodes[i];

        node->sim = s;
        (void)snprintf(node->region, sizeof node->region, "%s", i && other ? other : region);
        map_init(&node->records, NULL, NULL);
        node->alerts = calloc(SIM_ALERTS, sizeof *node->alerts);
        buf_init(&node->told_text, NULL, 1 << 20);
    }
    return s;
}

static inline void sim_free(struct sim *s)
{
    struct sim_record *r;

    for (unsigned i = 0; i < s->n_nodes; i++) {
        struct sim_node *node = &s->nodes[i];

        sim_stop(node);
        for (size_t k = 0; (r = map_next(&node->records, &k));) {
            free(r->value);
            free(r);
        }
        map_free(&node->records);
        free(node->alerts);
        buf_free(&node->told_text);
    }
    for (size_t i = 0; i < s->n_zones; i++)
        zone_free(&s->zones[i].zone);
    buf_free(&s->out);
    free(s->config);
    free(s);
}

/* ---- alerts ---- */

static inline struct sim_alert *sim_alert(struct sim_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_alerts; i++) {
        if (strcmp(node->alerts[i].name, name) == 0)
            return &node->alerts[i];
    }
    assert_true(node->n_alerts < SIM_ALERTS);
    (void)snprintf(node->alerts[node->n_alerts].name, 65, "%s", name);
    return &node->alerts[node->n_alerts++];
}

static inline void sim_labels(char *text, struct label *v, uint32_t *n)
{
    *n = 0;
    for (char *save = NULL, *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(w, '=');

        assert_non_null(eq);
        *eq = 0;
        v[(*n)++] = (struct label){w, eq + 1};
    }
    labels_sort(v, *n);
}

static inline struct fingerprint sim_id(const char *name)
{
    struct label l = {"name", name};

    return labels_fingerprint("sim", (struct labels){&l, 1});
}

static inline void sim_notice(struct sim_node *node, struct sim_alert *a, bool restored, bool suppressed)
{
    char text[640], summary[128];
    struct label v[16];
    struct alert_notice n = {0};
    uint32_t count;

    (void)snprintf(text, sizeof text, "%s", a->text);
    (void)snprintf(summary, sizeof summary, "%s is wrong", a->name);
    sim_labels(text, v, &count);
    n.labels = (struct labels){v, count};
    n.rule = labels_get(n.labels, "alertname");
    n.id = sim_id(a->name);
    n.epoch = a->epoch;
    n.to = a->firing ? ALERT_FIRING : ALERT_INACTIVE;
    if (severity_parse(labels_get(n.labels, "severity"), &n.severity) != 0)
        n.severity = SEVERITY_ERROR;
    n.t = n.data = sim_wall(node->sim);
    n.since.ms = (int64_t)a->epoch;
    n.summary = summary;
    n.description = n.runbook = n.reason = "";
    n.restored = restored;
    if (node->down)
        return;
    n.suppressed = suppressed;
    (void)sim_event(node, (struct notify_event){.kind = NOTIFY_NOTICE, .notice = &n}, NULL, NULL);
}

static inline void sim_fire(struct sim_node *node, const char *name, const char *labels)
{
    struct sim_alert *a = sim_alert(node, name);

    if (labels[0])
        (void)snprintf(a->text, sizeof a->text, "%s", labels);
    a->firing = true;
    a->epoch = (uint64_t)sim_wall(node->sim).ms;
    sim_notice(node, a, false, false);
}

static inline void sim_end(struct sim_node *node, const char *name)
{
    struct sim_alert *a = sim_alert(node, name);

    a->firing = false;
    sim_notice(node, a, false, false);
}

static inline void sim_restart(struct sim_node *node)
{
    sim_stop(node);
    sim_start(node);
    (void)sim_event(node, (struct notify_event){.kind = NOTIFY_TICK}, NULL, NULL);
    for (size_t i = 0; i < node->n_alerts; i++)
        sim_notice(node, &node->alerts[i], node->alerts[i].firing, false);
}

/* ---- time ---- */

static inline int sim_collect(void *arg, const struct peer_told *t)
{
    struct sim_node *other = arg;

    if (other->n_told == 4096)
        return ERR_LIMIT;
    other->told[other->n_told] = *t;
    other->told[other->n_told++].dedup_key = (const char *)(uintptr_t)other->told_text.len;
    buf_put(&other->told_text, t->dedup_key, strlen(t->dedup_key) + 1);
    return 0;
}

static inline void sim_peers(struct sim *s)
{
    for (unsigned i = 0; i < s->n_nodes; i++) {
        struct sim_node *from = &s->nodes[i], *to = &s->nodes[!i];
        struct peer_telling p = {
            .region = from->region, .sent = sim_wall(s), .telling = true, .told = to->told};

        if (s->ms < from->peer_due)
            continue;
        from->peer_due = s->ms + 5000;
        if (!s->link || from->down || to->down)
            continue;
        to->n_told = 0;
        buf_clear(&to->told_text);
        (void)notify_tell_peer(from->n, sim_collect, to);
        for (uint32_t k = 0; k < to->n_told; k++)
            to->told[k].dedup_key = (const char *)to->told_text.data + (uintptr_t)to->told[k].dedup_key;
        p.n_told = to->n_told;
        (void)sim_event(to, (struct notify_event){.kind = NOTIFY_PEER, .peer = &p}, NULL, NULL);
    }
}

static inline void sim_answers(struct sim_node *node)
{
    while (node->top && !node->flights[node->top - 1].used)
        node->top--;
    for (size_t i = 0; i < node->top; i++) {
        struct sim_flight f = node->flights[i];

        if (!f.used || f.due_ms > node->sim->ms)
            continue;
        node->flights[i].used = false;
        if (node->sim->ended)
            node->sim->ended(node->sim->arg, node, f.delivery, f.result.outcome);
        (void)sim_event(
            node, (struct notify_event){.kind = NOTIFY_ENDED, .delivery = f.delivery, .result = &f.result},
            NULL, NULL);
    }
}

/* Goes on for so long, in the steps that notify_wake asks for. */
static inline void sim_run(struct sim *s, int64_t ms)
{
    int64_t end = s->ms + ms;

    for (;;) {
        int64_t step = 1000;

        for (unsigned i = 0; i < s->n_nodes; i++) {
            struct sim_node *node = &s->nodes[i];
            int64_t wake;

            if (node->down)
                continue;
            sim_answers(node);
            (void)sim_event(node, (struct notify_event){.kind = NOTIFY_TICK}, NULL, NULL);
            wake = span_to_ms(notify_wake(node->n, sim_mono(s)));
            step = wake < step ? wake : step;
            for (size_t k = 0; k < node->top; k++) {
                if (node->flights[k].used && node->flights[k].due_ms - s->ms < step)
                    step = node->flights[k].due_ms - s->ms;
            }
        }
        if (s->n_nodes > 1)
            sim_peers(s);
        if (step < 50)
            step = 50;
        if (s->ms + step >= end)
            break;
        s->ms += step;
    }
    s->ms = end;
}

#endif
