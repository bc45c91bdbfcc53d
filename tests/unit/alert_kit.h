/* What the tests of alerts share: an engine over facts on virtual time, values fed as agents would bring them, records
 * kept as control.db would keep them, and transitions as lines of text. */
#ifndef SB_TESTS_ALERT_KIT_H
#define SB_TESTS_ALERT_KIT_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/alert/trial_rig.h"

enum { KIT_RECORDS = 20000, KIT_SOURCES = 256, KIT_LABELS = 8 };
#define KIT_START INT64_C(1767571200000) /* 2026-01-05T00:00:00Z, a Monday */

/* A series that brings a value every so often, until it is dropped. */
struct kit_source {
    char metric[64];
    enum fact_kind kind;
    char text[KIT_LABELS][2][64];
    struct label v[KIT_LABELS];
    uint32_t n;
    double value, rate; /* rate: of a counter, per second */
    int64_t every, next;
    bool on;
};

struct kit_record {
    char key[64];
    char *value;
};

struct kit {
    struct mem mem;
    struct rig rig;
    struct config *config;
    struct buf report, log, decisions;
    struct err e;
    int64_t at;     /* ms since the start, true time */
    int64_t offset; /* of the aggregator's clock */
    bool hold;
    struct kit_source sources[KIT_SOURCES];
    uint32_t n_sources;
    struct kit_record *records;
    uint32_t n_records;
    unsigned written, notices;
    unsigned said_again; /* notices after a restart */
    uint64_t last_epoch;
    char summary[256], reason[256];
};

static inline struct config *kit_config(struct kit *k, const char *text)
{
    const struct config_source source = {"rules.ini", {(const uint8_t *)text, strlen(text)}};

    buf_clear(&k->report);
    k->e = (struct err){0};
    return config_parse(&source, 1, &alert_section, 1, &k->report, &k->e);
}

static inline void kit_open(struct kit *k, const char *rules)
{
    *k = (struct kit){0};
    buf_init(&k->report, NULL, 1 << 20);
    buf_init(&k->log, NULL, 8 << 20);
    buf_init(&k->decisions, NULL, 64 << 20);
    k->records = calloc(KIT_RECORDS, sizeof *k->records);
    k->config = kit_config(k, rules);
    if (!k->config || rig_open(&k->rig, k->config, "here", &k->mem, &k->report, &k->e) != 0)
        fail_msg("rules refused: %s\n%s", k->e.text, buf_text(&k->report));
}

static inline void kit_close(struct kit *k)
{
    rig_close(&k->rig);
    config_free(&k->config);
    for (uint32_t i = 0; i < k->n_records; i++)
        free(k->records[i].value);
    free(k->records);
    buf_free(&k->report);
    buf_free(&k->log);
    buf_free(&k->decisions);
    assert_int_equal(k->mem.used, 0);
}

/* ---- effects ---- */

static inline void kit_span_text(int64_t ms, char out[32])
{
    snprintf(out, 32, "%lldh%02lldm%02llds", (long long)(ms / 3600000), (long long)(ms / 60000 % 60),
             (long long)(ms / 1000 % 60));
}

static inline void kit_notice(void *arg, const struct alert_notice *n)
{
    struct kit *k = arg;
    char at[32];
    struct buf b;

    if (n->restored) { /* no transition: what was in force before the restart is said again */
        assert_int_equal(n->from, n->to);
        k->said_again++;
        return;
    }
    kit_span_text(k->at, at);
    buf_init(&b, NULL, 4096);
    for (uint32_t i = 0; i < n->labels.n; i++) {
        static const char *const usual[] = {"alertname", "severity", "team"};
        bool shown = strcmp(n->labels.v[i].value, "here");

        for (size_t u = 0; u < 3; u++)
            shown = shown && strcmp(usual[u], n->labels.v[i].name);
        if (shown)
            buf_fmt(&b, "%s%s=%s", b.len ? "," : "", n->labels.v[i].name, n->labels.v[i].value);
    }
    buf_fmt(&k->log, "%s %s{%s} %s -> %s row %d%s\n", at, n->rule, buf_text(&b), alert_state_name(n->from),
            alert_state_name(n->to), n->row, n->suppressed ? " suppressed" : "");
    buf_free(&b);
    k->notices++;
    k->last_epoch = n->epoch;
    snprintf(k->summary, sizeof k->summary, "%s", n->summary);
    snprintf(k->reason, sizeof k->reason, "%s", n->reason);
}

static inline void kit_record(void *arg, struct bytes key, struct bytes value)
{
    struct kit *k = arg;
    uint32_t i = 0;

    k->written++;
    while (i < k->n_records &&
           (strlen(k->records[i].key) != key.n || memcmp(k->records[i].key, key.p, key.n) != 0))
        i++;
    if (i == k->n_records) {
        if (!value.p)
            return;
        assert_true(i < KIT_RECORDS && key.n < sizeof k->records[i].key);
        k->n_records++;
        memcpy(k->records[i].key, key.p, key.n);
        k->records[i].key[key.n] = 0;
    }
    free(k->records[i].value);
    k->records[i].value = NULL;
    if (!value.p) {
        k->records[i] = k->records[--k->n_records];
        k->records[k->n_records].value = NULL;
        return;
    }
    k->records[i].value = malloc(value.n + 1);
    memcpy(k->records[i].value, value.p, value.n);
    k->records[i].value[value.n] = 0;
}

static inline void kit_decision(void *arg, const struct fingerprint *alert, struct wall t, const char *json)
{
    struct kit *k = arg;

    (void)alert;
    (void)t;
    buf_str(&k->decisions, json);
    buf_str(&k->decisions, "\n");
}

/* ---- series ---- */

/* "metric a=1 b=2": as a source, found or made. */
static inline struct kit_source *kit_source(struct kit *k, const char *series)
{
    struct kit_source s = {.every = 10000, .kind = FACT_GAUGE};
    char text[512], *word, *save = NULL;

    snprintf(text, sizeof text, "%s", series);
    for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(word, '=');

        if (!eq) {
            snprintf(s.metric, sizeof s.metric, "%s", word);
            continue;
        }
        *eq = 0;
        snprintf(s.text[s.n][0], 64, "%s", word);
        snprintf(s.text[s.n++][1], 64, "%s", eq + 1);
    }
    if (strlen(s.metric) > 6 && !strcmp(s.metric + strlen(s.metric) - 6, "_total"))
        s.kind = FACT_COUNTER;
    for (uint32_t i = 0; i < k->n_sources; i++) {
        if (!strcmp(k->sources[i].metric, s.metric) && !memcmp(k->sources[i].text, s.text, sizeof s.text))
            return &k->sources[i];
    }
    assert_true(k->n_sources < KIT_SOURCES);
    k->sources[k->n_sources] = s;
    for (uint32_t i = 0; i < s.n; i++) {
        struct kit_source *own = &k->sources[k->n_sources];

        own->v[i] = (struct label){own->text[i][0], own->text[i][1]};
    }
    labels_sort(k->sources[k->n_sources].v, s.n);
    return &k->sources[k->n_sources++];
}

/* From now on the series has this value (a counter: grows by so much a second). */
static inline void kit_set(struct kit *k, const char *series, double value)
{
    struct kit_source *s = kit_source(k, series);

    if (!s->on)
        s->next = k->at;
    s->on = true;
    if (s->kind == FACT_COUNTER)
        s->rate = value;
    else
        s->value = value;
}

static inline void kit_drop(struct kit *k, const char *series)
{
    kit_source(k, series)->on = false;
}

static inline void kit_value(struct kit *k, const char *series, int64_t at, double value)
{
    const struct kit_source *s = kit_source(k, series);

    assert_int_equal(trial_feed_value(k->rig.feed, k->rig.facts, s->metric, s->kind,
                                      (struct labels){s->v, s->n}, (struct wall){KIT_START + at}, value),
                     0);
}

/* ---- time ---- */

static inline void kit_step(struct kit *k)
{
    const struct alert_effects out = {k, kit_notice, kit_record, kit_decision};

    for (uint32_t i = 0; i < k->n_sources; i++) {
        struct kit_source *s = &k->sources[i];

        for (; s->on && s->next <= k->at; s->next += s->every) {
            if (s->kind == FACT_COUNTER)
                s->value += s->rate * (double)s->every / 1000;
            (void)trial_feed_value(k->rig.feed, k->rig.facts, s->metric, s->kind, (struct labels){s->v, s->n},
                                   (struct wall){KIT_START + s->next}, s->value);
        }
    }
    rig_step(&k->rig, (struct wall){KIT_START + k->at + k->offset}, k->hold, &out);
}

/* Another configuration, as by SIGHUP. */
static inline void kit_reload(struct kit *k, const char *rules)
{
    struct config *fresh = kit_config(k, rules);
    struct selections *list = selections_new(&k->mem);
    struct alerts_params p = {.config = fresh, .selections = list, .mem = &k->mem, .region = "here"};

    if (!fresh || !list || alert_selections(fresh, list, &k->e) != 0)
        fail_msg("rules refused: %s", k->e.text);
    assert_int_equal(facts_turn(k->rig.facts, list), 0);
    assert_int_equal(alerts_reload(k->rig.alerts, &p, &k->report, &k->e), 0);
    trial_feed_free(&k->rig.feed);
    k->rig.feed = trial_feed_new(list, &k->mem);
    selections_free(&k->rig.selections);
    k->rig.selections = list;
    config_free(&k->config);
    k->config = fresh;
}

/* Goes on to a time, a step each second, and does the step of that time too. */
static inline void kit_until(struct kit *k, int64_t seconds)
{
    for (; k->at < seconds * 1000; k->at += 1000)
        kit_step(k);
    kit_step(k);
}

/* The aggregator stops and another one begins from the records; the facts come back as history tells them. */
static inline void kit_restart(struct kit *k, const char *rules)
{
    struct config *fresh = rules ? kit_config(k, rules) : NULL;
    struct alerts_params p = {.config = fresh ? fresh : k->config,
                              .selections = k->rig.selections,
                              .mem = &k->mem,
                              .region = "here"};

    alerts_free(&k->rig.alerts);
    k->rig.alerts = alerts_new(&p, &k->report, &k->e);
    assert_non_null(k->rig.alerts);
    for (uint32_t i = 0; i < k->n_records; i++) {
        const struct kit_record *r = &k->records[i];

        assert_int_equal(alerts_restore(k->rig.alerts,
                                        (struct bytes){(const uint8_t *)r->key, strlen(r->key)},
                                        (struct bytes){(const uint8_t *)r->value, strlen(r->value)}, &k->e),
                         0);
    }
    config_free(&fresh);
}

static inline void kit_expect(struct kit *k, const char *lines)
{
    if (strcmp(buf_text(&k->log), lines))
        fail_msg("expected:\n%sfound:\n%s", lines, buf_text(&k->log));
    buf_clear(&k->log);
}

#endif
