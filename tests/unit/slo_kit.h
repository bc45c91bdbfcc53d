/* What the tests of objectives share: a configuration written as text, facts fed by hand, virtual time, and the records and
 * ledger lines that were told. */
#ifndef SB_TESTS_SLO_KIT_H
#define SB_TESTS_SLO_KIT_H

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/slo/slo.h"

#define KIT_MINUTE INT64_C(60000)
#define KIT_HOUR   INT64_C(3600000)
#define KIT_DAY    INT64_C(86400000)

enum { KIT_ZONES = 8, KIT_MAINTENANCE = 8 };

struct kit_record {
    uint8_t *key, *value;
    size_t n_key, n_value;
};

struct kit {
    struct mem mem;
    struct config *config;
    struct selections *selections;
    struct facts *facts;
    struct slos *slos;
    int64_t now;
    struct zone *zones[KIT_ZONES];
    struct kit_record *records;
    size_t n_records, room_records, writes;
    cJSON *ledger; /* array of all lines */
    struct maintenance_fact maintenance[KIT_MAINTENANCE];
    uint32_t n_maintenance;
    struct buf report, json;
    struct err e;
};

static inline const struct zone *kit_zone(void *arg, const char *name)
{
    struct kit *k = arg;

    for (unsigned i = 0; i < KIT_ZONES; i++) {
        if (!k->zones[i])
            k->zones[i] = zone_load(name, NULL);
        if (!k->zones[i])
            return NULL;
        if (!strcmp(zone_name(k->zones[i]), name))
            return k->zones[i];
    }
    return NULL;
}

static inline struct slo_params kit_params(struct kit *k)
{
    return (struct slo_params){.config = k->config,
                               .selections = k->selections,
                               .zones = {kit_zone, k},
                               .mem = &k->mem,
                               .region = "east"};
}

static inline struct config *kit_config(struct kit *k, const char *text)
{
    static struct section_row rows[1];
    struct config_source source = {"test.ini", {(const uint8_t *)text, strlen(text)}};

    rows[0] = slo_section;
    return config_parse(&source, 1, rows, 1, &k->report, &k->e);
}

static inline void kit_die(struct kit *k, const char *what)
{
    (void)fprintf(stderr, "kit: %s: %s\n%s\n", what, k->e.text, buf_text(&k->report));
    abort();
}

static inline void kit_open(struct kit *k, const char *text, int64_t now)
{
    struct slo_params p;

    *k = (struct kit){.now = now, .ledger = cJSON_CreateArray()};
    buf_init(&k->report, NULL, 1 << 20);
    buf_init(&k->json, NULL, 64 << 20);
    k->config = kit_config(k, text);
    k->selections = selections_new(&k->mem);
    if (!k->config || slo_selections(k->config, k->selections, &k->e) != 0)
        kit_die(k, "configuration");
    k->facts = facts_new(k->selections, &k->mem);
    p = kit_params(k);
    k->slos = slos_new(&p, &k->report, &k->e);
    if (!k->facts || !k->slos)
        kit_die(k, "objectives");
    facts_advance(k->facts, (struct wall){now});
}

static inline void kit_close(struct kit *k)
{
    slos_free(&k->slos);
    facts_free(&k->facts);
    selections_free(&k->selections);
    if (k->mem.used) {
        (void)fprintf(stderr, "kit: %zu bytes were not given back\n", k->mem.used);
        abort();
    }
    config_free(&k->config);
    for (unsigned i = 0; i < KIT_ZONES; i++)
        zone_free(&k->zones[i]);
    for (size_t i = 0; i < k->n_records; i++) {
        free(k->records[i].key);
        free(k->records[i].value);
    }
    free(k->records);
    cJSON_Delete(k->ledger);
    buf_free(&k->report);
    buf_free(&k->json);
}

/* ---- facts ---- */

enum { KIT_LABELS = 8 };

/* "a=b c=d" into v, sorted; text is cut up. */
static inline struct labels kit_labels(char *text, struct label v[KIT_LABELS])
{
    uint32_t n = 0;

    for (char *p = text; *p && n < KIT_LABELS;) {
        char *end = p + strcspn(p, " "), *equals = strchr(p, '=');
        bool last = !*end;

        *end = *equals = 0;
        v[n++] = (struct label){p, equals + 1};
        p = last ? end : end + 1;
    }
    labels_sort(v, n);
    return (struct labels){v, n};
}

/* The number that a group is told by. */
static inline uint32_t kit_group(struct labels l)
{
    struct fingerprint f = labels_fingerprint("kit", l);

    return f.b[0] | (uint32_t)(f.b[1] & 15) << 8;
}

/* A gain of a series for every selection that it belongs to. */
static inline void kit_gain(struct kit *k, const char *metric, const char *labels, enum fact_kind kind,
                            int64_t t, struct fact_bucket gain)
{
    char text[512];
    struct label v[KIT_LABELS], w[KIT_LABELS];
    struct labels series;

    facts_advance(k->facts, (struct wall){k->now});
    (void)snprintf(text, sizeof text, "%s", labels);
    series = kit_labels(text, v);
    for (uint32_t i = 0; i < selections_count(k->selections); i++) {
        const struct selection *s = selections_at(k->selections, i);
        struct fact_delta d = {
            .selection = i, .kind = kind, .tier = TIER_STEP, .start = t - t % FACT_STEP_MS, .gain = gain};
        struct labels l = {w, s->n_by};

        if (strcmp(s->metric, metric) != 0 || !match_labels(s->match, series))
            continue;
        for (uint32_t b = 0; b < s->n_by; b++)
            w[b] = (struct label){s->by[b], labels_get(series, s->by[b])};
        d.group = kit_group(l);
        if (!facts_group_find(k->facts, i, l) &&
            facts_group(k->facts, &(struct fact_group_new){i, d.group, kind, l}) != 0)
            kit_die(k, "a group");
        d.gain.last_t = t;
        (void)facts_gain(k->facts, &d);
    }
}

static inline void kit_count(struct kit *k, const char *metric, const char *labels, int64_t t,
                             double increase)
{
    kit_gain(k, metric, labels, FACT_COUNTER, t, (struct fact_bucket){.n = 1, .sum = increase, .series = 1});
}

static inline void kit_gauge(struct kit *k, const char *metric, const char *labels, int64_t t, double v)
{
    kit_gain(k, metric, labels, FACT_GAUGE, t,
             (struct fact_bucket){.n = 1, .last = v, .sum = v, .min = v, .max = v, .series = 1});
}

/* ---- steps ---- */

static inline void kit_record(void *arg, struct bytes key, struct bytes value)
{
    struct kit *k = arg;
    size_t i = 0;
    uint8_t *copy = value.p ? malloc(value.n + 1) : NULL;

    k->writes++;
    if (copy)
        memcpy(copy, value.p, value.n);
    while (i < k->n_records && (k->records[i].n_key != key.n || memcmp(k->records[i].key, key.p, key.n) != 0))
        i++;
    if (i == k->n_records && !copy)
        return;
    if (i < k->n_records) {
        free(k->records[i].value);
        k->records[i].value = copy;
        k->records[i].n_value = value.n;
        if (copy)
            return;
        free(k->records[i].key);
        k->records[i] = k->records[--k->n_records];
        return;
    }
    if (k->n_records == k->room_records) {
        k->room_records = k->room_records ? k->room_records * 2 : 64;
        k->records = realloc(k->records, k->room_records * sizeof *k->records);
    }
    k->records[k->n_records] = (struct kit_record){malloc(key.n + 1), copy, key.n, value.n};
    memcpy(k->records[k->n_records++].key, key.p, key.n);
}

static inline void kit_line(void *arg, const char *key, struct wall t, const char *json)
{
    struct kit *k = arg;

    (void)key;
    (void)t;
    cJSON_AddItemToArray(k->ledger, cJSON_Parse(json));
}

static inline void kit_step(struct kit *k, int64_t now)
{
    struct slo_input in = {
        .now = {now}, .facts = k->facts, .maintenance = k->maintenance, .n_maintenance = k->n_maintenance};
    struct slo_effects out = {k, kit_record, kit_line};

    k->now = now;
    facts_advance(k->facts, in.now);
    slos_step(k->slos, &in, &out);
}

/* As after a restart: everything from records; facts are as they were, or, without history, empty. */
static inline void kit_restart(struct kit *k, bool history)
{
    struct slo_params p = kit_params(k);

    slos_free(&k->slos);
    k->slos = slos_new(&p, &k->report, &k->e);
    for (size_t i = 0; i < k->n_records; i++) {
        struct kit_record *r = &k->records[i];

        if (slos_restore(k->slos, (struct bytes){r->key, r->n_key}, (struct bytes){r->value, r->n_value},
                         &k->e) != 0)
            kit_die(k, "a record");
    }
    if (history)
        return;
    facts_free(&k->facts);
    k->facts = facts_new(k->selections, &k->mem);
    facts_advance(k->facts, (struct wall){k->now});
}

static inline const struct burn_fact *kit_burn(struct kit *k, const char *slo, uint32_t group)
{
    uint32_t n;
    const struct burn_fact *b = slos_burns(k->slos, &n);

    for (uint32_t i = 0; i < n; i++) {
        if (!strcmp(b[i].slo, slo) && !group--)
            return &b[i];
    }
    return NULL;
}

/* The answer, to be released with cJSON_Delete. */
static inline cJSON *kit_report(struct kit *k, const char *name, const char *month)
{
    buf_clear(&k->json);
    if (slos_report(k->slos, name, month, (struct wall){k->now}, &k->json, &k->e) != 0)
        return NULL;
    return cJSON_Parse(buf_text(&k->json));
}

/* A number by path: "minutes/down". NaN when absent or null. */
static inline double kit_number(const cJSON *o, const char *path)
{
    char part[64];

    while (*path) {
        size_t n = strcspn(path, "/");

        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        o = cJSON_GetObjectItemCaseSensitive(o, part);
        path += n + (path[n] == '/');
    }
    return cJSON_IsNumber(o) ? cJSON_GetNumberValue(o) : (double)NAN;
}

static inline int64_t kit_time(const char *text)
{
    struct wall t = {0};

    if (wall_parse(text, &t) != 0)
        abort();
    return t.ms;
}

#endif
