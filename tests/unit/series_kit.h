/* What the tests, the fuzzer and the benchmark of the table of series share: a table with a configuration
 * written as text, batches made in memory, and a snapshot as text. */
#ifndef SB_TESTS_SERIES_KIT_H
#define SB_TESTS_SERIES_KIT_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/series/series.h"

enum { KIT_BLOCKS = 8 };
#define KIT_NOW 1700000000000 /* a multiple of all steps of the windows 1m, 5m, 1h */

static const struct option_row kit_aggregator[] = {
    {.key = "stale_after", .type = OPT_DURATION, .dflt = "60s", .sentence = "Of the tests."},
    {.key = "agent_ttl", .type = OPT_DURATION, .dflt = "24h", .sentence = "Of the tests."},
};
static const struct option_row kit_ingest[] = {
    {.key = "max_age", .type = OPT_DURATION, .dflt = "7d", .sentence = "Of the tests."},
    {.key = "max_series_per_agent",
     .type = OPT_INT,
     .dflt = "100000",
     .min = 0,
     .max = 1 << 30,
     .sentence = "Of the tests."},
};

static const struct option_row kit_history[] = {
    {.key = "max_groups",
     .type = OPT_INT,
     .dflt = "10000",
     .min = 1,
     .max = 1 << 30,
     .sentence = "Of the tests."},
};

struct kit {
    struct mem mem;
    struct series_set *set;
    struct arena arena; /* of the batch under construction */
    struct wire_batch batch;
    struct wire_block blocks[KIT_BLOCKS];
    struct wire_resource resource;
    const struct wire_schema *schemas[KIT_BLOCKS];
    const struct wire_values *values[KIT_BLOCKS];
    struct batch_in in;
    struct buf verdict, report;
    uint64_t refused[WIRE_REFUSALS];
    uint64_t seq;
    int64_t position;
    struct err e;
};

static inline struct wire_str kit_str(const char *s)
{
    return (struct wire_str){s, (uint32_t)strlen(s)};
}

/* NULL and the sentences in k->report and k->e when it is wrong. */
static inline struct config *kit_config(struct kit *k, const char *text)
{
    static struct section_row rows[4]; /* a configuration borrows its rows */
    char name[] = "kit-XXXXXX";
    int fd = mkstemp(name);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    struct config *c;

    rows[0] = (struct section_row){
        .name = "aggregator", .sentence = "Of the tests.", .rows = kit_aggregator, .n_rows = 2};
    rows[1] =
        (struct section_row){.name = "ingest", .sentence = "Of the tests.", .rows = kit_ingest, .n_rows = 2};
    rows[2] = percentile_section;
    rows[3] = (struct section_row){
        .name = "history", .sentence = "Of the tests.", .rows = kit_history, .n_rows = 1};
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
    buf_clear(&k->report);
    k->e = (struct err){0};
    c = config_load(name, NULL, rows, 4, &k->report, &k->e);
    remove(name);
    return c;
}

static inline void kit_open(struct kit *k, const char *text)
{
    struct series_params p = {.mem = &k->mem, .seed = {1, 2}};
    struct config *c;

    buf_init(&k->verdict, NULL, 1 << 20);
    buf_init(&k->report, NULL, 1 << 16);
    arena_init(&k->arena, NULL, 0);
    c = kit_config(k, text);
    if (!c) {
        fprintf(stderr, "%s\n", buf_text(&k->report));
        abort();
    }
    p.config = c;
    k->set = series_new(&p, &k->report, &k->e);
    config_free(&c);
}

static inline void kit_close(struct kit *k)
{
    series_free(&k->set);
    arena_free(&k->arena);
    buf_free(&k->verdict);
    buf_free(&k->report);
}

/* "a=1 b=2", sorted, as labels in the arena. */
static inline struct wire_label *kit_labels(struct kit *k, const char *text, uint32_t *n)
{
    struct wire_label *l = arena_array(&k->arena, 32, sizeof *l);
    char *p = arena_text(&k->arena, text, strlen(text)), *save = NULL;

    *n = 0;
    for (p = strtok_r(p, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(p, '=');

        *eq = 0;
        l[*n].name = kit_str(p);
        l[(*n)++].value = kit_str(eq + 1);
    }
    return l;
}

/* Begins a batch of an agent; labels are those of its host. */
static inline void kit_batch(struct kit *k, const char *agent, const char *labels, int64_t received)
{
    arena_free(&k->arena);
    k->batch = (struct wire_batch){.agent = kit_str(agent),
                                   .epoch = 1,
                                   .seq = ++k->seq,
                                   .low = 1,
                                   .sealed = received - 5,
                                   .blocks = k->blocks};
    k->batch.resource = wire_hash_of((const uint8_t *)labels, strlen(labels));
    k->resource.labels = kit_labels(k, labels, &k->resource.n_labels);
    k->in = (struct batch_in){.agent = k->batch.agent,
                              .batch = &k->batch,
                              .resource = &k->resource,
                              .schemas = k->schemas,
                              .values = k->values,
                              .received = {received}};
}

/* One series of a block under construction: "name{a=1 b=2}". */
struct kit_series {
    const char *text;
    enum wire_kind kind;
    const double *v;            /* one for each tick; not present: -12345 */
    const struct bytes *sketch; /* or these; p NULL: not present */
};
#define KIT_ABSENT (-12345.0)

static inline void kit_fill(struct kit *k, const struct kit_series *x, uint32_t j, uint32_t n,
                            struct wire_schema *s, struct wire_values *v)
{
    const char *brace = strchr(x->text, '{');
    uint8_t *present = arena_alloc(&k->arena, (n + 7) / 8);
    struct wire_series *w = &s->series[j];

    w->name = (struct wire_str){x->text, (uint32_t)(brace ? (size_t)(brace - x->text) : strlen(x->text))};
    w->help = kit_str("Help of the tests.");
    w->kind = x->kind;
    w->mul = w->div = 1;
    if (brace)
        w->labels = kit_labels(k, arena_text(&k->arena, brace + 1, strlen(brace) - 2), &w->n_labels);
    s->n_sketches += x->kind == WIRE_SKETCH;
    v->present[j] = present;
    if (x->kind == WIRE_SKETCH)
        v->sketch[j] = arena_array(&k->arena, n, sizeof **v->sketch);
    else
        v->num[j] = arena_array(&k->arena, n, sizeof **v->num);
    for (uint32_t i = 0; i < n; i++) {
        if (x->kind == WIRE_SKETCH ? !x->sketch[i].p : x->v[i] == KIT_ABSENT)
            continue;
        present[i / 8] = (uint8_t)(present[i / 8] | 1u << (i % 8));
        if (x->kind == WIRE_SKETCH)
            v->sketch[j][v->count[j]++] = x->sketch[i];
        else
            v->num[j][v->count[j]++] = x->v[i];
    }
}

static inline void kit_block(struct kit *k, int64_t t0, int64_t dt, uint32_t n, const struct kit_series *x,
                             uint32_t n_series)
{
    struct wire_schema *s = arena_alloc(&k->arena, sizeof *s);
    struct wire_values *v = arena_alloc(&k->arena, sizeof *v);
    struct buf all;

    buf_init(&all, NULL, 1 << 20);
    s->n = n_series;
    s->series = arena_array(&k->arena, n_series, sizeof *s->series);
    v->n = n;
    v->times = arena_array(&k->arena, n, sizeof *v->times);
    v->count = arena_array(&k->arena, n_series, sizeof *v->count);
    v->num = arena_array(&k->arena, n_series, sizeof *v->num);
    v->sketch = arena_array(&k->arena, n_series, sizeof *v->sketch);
    v->present = arena_array(&k->arena, n_series, sizeof *v->present);
    for (uint32_t i = 0; i < n; i++)
        v->times[i] = t0 + (int64_t)i * dt;
    for (uint32_t j = 0; j < n_series; j++) {
        kit_fill(k, &x[j], j, n, s, v);
        buf_fmt(&all, "%s %d\n", x[j].text, (int)x[j].kind);
    }
    k->blocks[k->batch.n_blocks].schema = wire_hash_of(all.data, all.len);
    k->schemas[k->batch.n_blocks] = s;
    k->values[k->batch.n_blocks++] = v;
    buf_free(&all);
}

static inline int kit_judge(struct kit *k)
{
    return series_judge(k->set, &k->in, &k->verdict, k->refused, &k->e);
}

static inline void kit_apply(struct kit *k)
{
    series_apply(k->set, &k->in, buf_bytes(&k->verdict), ++k->position, false);
}

/* Judged and applied. */
static inline void kit_take(struct kit *k)
{
    if (kit_judge(k) != 0)
        abort();
    kit_apply(k);
}

/* A block of one gauge with one tick. */
static inline void kit_gauge(struct kit *k, const char *text, int64_t t, double v)
{
    kit_block(k, t, 0, 1, &(struct kit_series){text, WIRE_GAUGE, &v, NULL}, 1);
}

/* The sketch of n values, encoded, in the arena. */
static inline struct bytes kit_sketch(struct kit *k, const double *v, size_t n)
{
    struct sketch s;
    struct buf b;
    struct bytes out;

    sketch_init(&s, NULL);
    buf_init(&b, NULL, 1 << 20);
    for (size_t i = 0; i < n; i++)
        (void)sketch_add(&s, v[i], 1);
    (void)sketch_encode(&s, &b);
    out = (struct bytes){(const uint8_t *)arena_text(&k->arena, (const char *)b.data, b.len), b.len};
    sketch_free(&s);
    buf_free(&b);
    return out;
}

static inline void kit_show_group(struct buf *out, const struct percentile_view *p,
                                  const struct percentile_group *g)
{
    buf_fmt(out, "  group");
    for (uint32_t i = 0; i < p->n_by; i++)
        buf_fmt(out, " %s=%s", p->by[i], g->values[i]);
    buf_str(out, "\n");
    for (uint32_t w = 0; w < p->n_windows; w++) {
        buf_fmt(out, "    %s n=%llu", g->windows[w].text, (unsigned long long)g->windows[w].n);
        for (uint32_t q = 0; g->windows[w].n && q < p->n_quantiles; q++)
            buf_fmt(out, " %s=%.17g", p->quantile_text[q], g->windows[w].quantiles[q]);
        buf_str(out, "\n");
    }
    if (!g->has_histogram)
        return;
    buf_fmt(out, "    count=%llu sum=%.17g", (unsigned long long)g->count, g->sum);
    for (uint32_t b = 0; b < p->n_buckets; b++)
        buf_fmt(out, " %s:%llu", p->bucket_text[b], (unsigned long long)g->buckets[b]);
    buf_fmt(out, "\n    native ");
    (void)sketch_encode(g->native, out);
    buf_str(out, "\n");
}

static inline int kit_by_labels(const void *a, const void *b)
{
    const struct series_value *x = a, *y = b;

    for (uint32_t i = 0; i < x->desc->n_labels && i < y->desc->n_labels; i++) {
        int c = strcmp(x->desc->labels[i].name, y->desc->labels[i].name);

        c = c ? c : strcmp(x->desc->labels[i].value, y->desc->labels[i].value);
        if (c)
            return c;
    }
    return x->desc->n_labels < y->desc->n_labels ? -1 : x->desc->n_labels > y->desc->n_labels;
}

/* A snapshot as text: series sorted by their labels, then
 * percentiles (with the bytes of the native sketch). */
static inline void kit_show(struct kit *k, int64_t now, struct buf *out)
{
    struct snapshot *s = series_snapshot(k->set, (struct wall){now});

    for (uint32_t f = 0; f < s->n_families; f++) {
        const struct family *m = &s->families[f];
        struct series_value *v = malloc(m->n * sizeof *v);

        memcpy(v, m->values, m->n * sizeof *v);
        qsort(v, m->n, sizeof *v, kit_by_labels);
        for (uint32_t i = 0; i < m->n; i++) {
            buf_fmt(out, "%s{", m->name);
            for (uint32_t l = 0; l < v[i].desc->n_labels; l++)
                buf_fmt(out, "%s%s=%s", l ? " " : "", v[i].desc->labels[l].name, v[i].desc->labels[l].value);
            buf_fmt(out, "} %.17g @%+lld\n", v[i].value, (long long)(v[i].t - KIT_NOW));
        }
        free(v);
    }
    for (uint32_t p = 0; p < s->n_percentiles; p++) {
        const struct percentile_view *v = &s->percentiles[p];

        buf_fmt(out, "percentile %s of %s%s\n", v->name, v->metric, v->refused ? " refused" : "");
        for (uint32_t g = 0; g < v->n_groups; g++)
            kit_show_group(out, v, &v->groups[g]);
    }
    snapshot_release(s);
}

/* Its agents, a line each. */
static inline void kit_show_agents(struct kit *k, int64_t now, struct buf *out)
{
    struct snapshot *s = series_snapshot(k->set, (struct wall){now});

    for (uint32_t i = 0; i < s->n_agents; i++) {
        const struct agent_view *a = &s->agents[i];

        buf_fmt(
            out,
            "agent %s %s %s%s%s since %+lld received %+lld sealed %+lld skew %lld at %llu/%llu: %llu %llu",
            a->id, a->region, a->env, a->tenant, a->up ? " up" : "", (long long)(a->first_seen.ms - KIT_NOW),
            (long long)(a->last_received.ms - KIT_NOW), (long long)(a->last_sealed.ms - KIT_NOW),
            (long long)a->skew_ms, (unsigned long long)a->epoch, (unsigned long long)a->seq,
            (unsigned long long)a->batches, (unsigned long long)a->values);
        for (int r = 0; r < WIRE_REFUSALS; r++)
            buf_fmt(out, " %llu", (unsigned long long)a->refused[r]);
        buf_str(out, "\n");
    }
    snapshot_release(s);
}

#endif
