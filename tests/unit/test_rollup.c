/* Stored steps: chunks as bytes; gains in any order, folded at any time, read back in every tier against a plain
 * recount; what is past its time goes; what was committed is there after a crash, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aggregator/store/rollup.h"
#include "common/base/rng.h"
#include "tests/unit/damage.h"

#define T0    INT64_C(1700000000000)
#define MONTH (30 * (int64_t)FACT_DAY_MS)
static const int64_t lengths[TIERS] = {FACT_STEP_MS, FACT_MINUTE_MS, FACT_HOUR_MS, FACT_DAY_MS};

/* ---- chunks ---- */

static struct fact_bucket random_bucket(struct rng *r, enum fact_kind kind, struct sketch *x)
{
    struct fact_bucket b = {.n = rng_below(r, 100),
                            .series = (uint32_t)rng_below(r, 5),
                            .last_t = rng_below(r, 4) ? T0 + (int64_t)rng_below(r, 1000000) : 0,
                            .last = rng_unit(r),
                            .sum = kind == FACT_COUNTER ? (double)rng_below(r, 1000) - 100 : rng_unit(r) * 7};

    if (kind == FACT_GAUGE) {
        b.min = -rng_unit(r);
        b.max = rng_unit(r);
    }
    if (kind != FACT_SKETCH)
        return b;
    sketch_clear(x);
    for (uint64_t i = rng_below(r, 20) + 1; i; i--)
        assert_int_equal(sketch_add(x, exp(rng_unit(r) * 10 - 5), 1 + rng_below(r, 3)), 0);
    b.n = x->count;
    b.sum = sketch_sum(x);
    b.min = x->min;
    b.max = x->max;
    b.last = 0;
    b.sketch = x;
    return b;
}

static void fill(struct chunk *c, enum fact_kind kind, struct rng *r)
{
    struct sketch x;

    chunk_init(c, kind, NULL);
    sketch_init(&x, NULL);
    for (uint64_t i = rng_below(r, CHUNK_STEPS); i; i--) {
        struct fact_bucket b = random_bucket(r, kind, &x);

        assert_int_equal(chunk_add(c, T0 / FACT_STEP_MS + (int64_t)rng_below(r, CHUNK_STEPS), &b, false), 0);
    }
    sketch_free(&x);
}

static void same_bucket(const struct fact_bucket *x, const struct fact_bucket *y)
{
    assert_true(x->n == y->n);
    assert_true(x->last_t == y->last_t);
    assert_true(x->last == y->last);
    assert_true(fabs(x->sum - y->sum) <= 1e-9 * (1 + fabs(x->sum)));
    assert_true(x->min == y->min);
    assert_true(x->max == y->max);
    assert_int_equal(x->series, y->series);
}

static void test_chunks(void **state)
{
    struct wire_codec *codec = wire_codec_new(3);
    struct buf scratch, out, bad;
    struct rng r;

    (void)state;
    rng_seed(&r, 11);
    buf_init(&scratch, NULL, 1 << 24);
    buf_init(&out, NULL, 1 << 24);
    buf_init(&bad, NULL, 1 << 24);
    for (int round = 0; round < 60; round++) {
        struct chunk a, b;

        fill(&a, (enum fact_kind)(FACT_GAUGE + round % 3), &r);
        buf_clear(&out);
        assert_int_equal(chunk_encode(&a, codec, &scratch, &out, NULL), 0);
        chunk_init(&b, FACT_GAUGE, NULL);
        assert_int_equal(chunk_decode(&b, buf_bytes(&out), codec, &scratch, NULL), 0);
        assert_int_equal(b.kind, a.kind);
        assert_int_equal(b.n, a.n);
        for (uint32_t i = 0; i < a.n; i++) {
            assert_true(a.v[i].at == b.v[i].at);
            same_bucket(&a.v[i].b, &b.v[i].b);
        }
        chunk_free(&b);
        for (int k = 0; k < 50; k++) { /* any bytes give a chunk or an error */
            buf_clear(&bad);
            buf_put(&bad, out.data, k % 5 ? out.len : rng_below(&r, out.len));
            if (bad.len)
                bad.data[rng_below(&r, bad.len)] ^= (uint8_t)(1u << rng_below(&r, 8));
            (void)chunk_decode(&b, buf_bytes(&bad), codec, &scratch, NULL);
            chunk_free(&b);
        }
        chunk_free(&a);
    }
    buf_free(&scratch);
    buf_free(&out);
    buf_free(&bad);
    wire_codec_free(&codec);
}

/* ---- rows and folding ---- */

enum { GROUPS = 3, SPAN_H = 9, ROUNDS = 60 };

struct rig {
    struct db *db;
    struct rollup *r;
    struct chunk model[GROUPS][TIERS]; /* the finest is added to; the others are made from it */
    struct history_keep keep;
    struct err e;
};

static const char *const schema[] = {ROLLUP_STEPS};

static void rig_open(struct rig *g, const char *path)
{
    *g = (struct rig){.db = db_open(path, schema, 1, &g->e), .r = rollup_new()};
    assert_non_null(g->db);
    for (int t = 0; t < TIERS; t++)
        g->keep.dflt[t] = 4000 * (int64_t)FACT_DAY_MS;
    for (int i = 0; i < GROUPS; i++) {
        for (int t = 0; t < TIERS; t++)
            chunk_init(&g->model[i][t], (enum fact_kind)(FACT_GAUGE + i), NULL);
    }
}

static void rig_close(struct rig *g)
{
    db_close(&g->db);
    rollup_free(&g->r);
    for (int i = 0; i < GROUPS; i++) {
        for (int t = 0; t < TIERS; t++)
            chunk_free(&g->model[i][t]);
    }
}

static void put_groups(struct buf *ops)
{
    struct label l[] = {{"host", "a"}};

    for (uint32_t i = 0; i < GROUPS; i++) {
        struct history_group h = {.handle = i,
                                  .kind = (enum fact_kind)(FACT_GAUGE + i),
                                  .selection = "m{} by (host)",
                                  .metric = "m",
                                  .match = "",
                                  .by = "host",
                                  .env = "prod",
                                  .labels = {l, 1},
                                  .now = {T0}};

        rollup_put_group(ops, &h);
    }
}

static void run(struct rig *g, struct buf *ops)
{
    assert_false(ops->full);
    assert_int_equal(db_begin(g->db, &g->e), 0);
    assert_int_equal(rollup_apply(g->r, g->db, buf_bytes(ops), &g->e), 0);
    assert_int_equal(db_commit(g->db, &g->e), 0);
    buf_clear(ops);
}

static bool tend(struct rig *g, int64_t now)
{
    struct history_tended n = {0};
    bool more;

    assert_int_equal(db_begin(g->db, &g->e), 0);
    assert_int_equal(rollup_tend(g->r, g->db, &g->keep, now, &more, &n, &g->e), 0);
    assert_int_equal(db_commit(g->db, &g->e), 0);
    return more;
}

static int add_step(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b)
{
    struct chunk *c = arg;

    assert_int_equal(kind, c->kind);
    return chunk_add(c, start, b, false);
}

struct rows_of {
    struct chunk *c;
    enum fact_tier tier;
};
static int add_row(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b)
{
    struct rows_of *x = arg;

    assert_int_equal(kind, x->c->kind);
    return chunk_add(x->c, start / lengths[x->tier] * lengths[x->tier], b, x->tier != TIER_STEP);
}

/* What a tier says of a group now, rows and chunks together, against the recount. */
static void check_tier(struct rig *g, int i, enum fact_tier t, bool series)
{
    struct chunk got, want;

    chunk_init(&got, g->model[i][0].kind, NULL);
    chunk_init(&want, g->model[i][0].kind, NULL);
    for (uint32_t k = 0; k < g->model[i][0].n; k++) {
        struct fact_bucket b = g->model[i][0].v[k].b;

        b.sketch = g->model[i][0].v[k].sketch;
        assert_int_equal(
            chunk_add(&want, g->model[i][0].v[k].at / lengths[t] * lengths[t], &b, t != TIER_STEP), 0);
    }
    assert_int_equal(
        rollup_chunks(g->r, g->db, g->r->ids[i], t, T0 - MONTH, T0 + MONTH, add_step, &got, &g->e), 0);
    assert_int_equal(rollup_rows_of(g->r, g->db, g->r->ids[i], T0 - MONTH, T0 + MONTH, add_row,
                                    &(struct rows_of){&got, t}, &g->e),
                     0);
    assert_int_equal(got.n, want.n);
    for (uint32_t k = 0; k < want.n; k++) {
        struct fact_bucket x = want.v[k].b, y = got.v[k].b;

        if (!series) /* of rows not folded yet it is only known what they add */
            x.series = y.series = 0;
        x.last = y.last = 0; /* of one moment in several gains: by their order */
        assert_true(want.v[k].at == got.v[k].at);
        same_bucket(&x, &y);
        if (want.kind == FACT_SKETCH) {
            assert_true(sketch_quantile(want.v[k].sketch, 0.5) == sketch_quantile(got.v[k].sketch, 0.5));
            assert_true(want.v[k].sketch->count == got.v[k].sketch->count);
        }
    }
    chunk_free(&got);
    chunk_free(&want);
}

static void gain(struct rig *g, struct rng *r, struct buf *ops, int64_t start)
{
    uint32_t i = (uint32_t)rng_below(r, GROUPS);
    enum fact_kind kind = (enum fact_kind)(FACT_GAUGE + i);
    struct fact_bucket b;
    struct sketch x;

    sketch_init(&x, NULL);
    b = random_bucket(r, kind, &x);
    b.sum = kind == FACT_SKETCH ? b.sum : floor(b.sum);
    assert_int_equal(rollup_put_gain(ops, i, kind, start, &b), 0);
    assert_int_equal(chunk_add(&g->model[i][0], start, &b, false), 0);
    sketch_free(&x);
}

/* Gains over nine hours, late ones among them, in any order, and folding in between. */
static void test_every_tier(void **state)
{
    struct rig g;
    struct buf ops;
    struct rng r;
    int64_t end = T0 + SPAN_H * (int64_t)FACT_HOUR_MS;

    (void)state;
    rng_seed(&r, 5);
    buf_init(&ops, NULL, 1 << 24);
    rig_open(&g, "tiers.db");
    put_groups(&ops);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t now = T0 + (end - T0) * (round + 1) / ROUNDS;

        for (int k = 0; k < 40; k++)
            gain(&g, &r, &ops,
                 (T0 + (int64_t)rng_below(&r, (uint64_t)(now - T0))) / FACT_STEP_MS * FACT_STEP_MS);
        run(&g, &ops);
        while (rng_below(&r, 3) && tend(&g, now))
            continue;
        for (int i = 0; i < GROUPS && round % 10 == 9; i++) {
            for (int t = 0; t < TIERS; t++)
                check_tier(&g, i, (enum fact_tier)t, t == TIER_STEP);
        }
    }
    while (tend(&g, end + 2 * FACT_HOUR_MS))
        continue;
    for (int i = 0; i < GROUPS; i++) {
        for (int t = 0; t < TIERS; t++)
            check_tier(&g, i, (enum fact_tier)t, true);
    }
    buf_free(&ops);
    rig_close(&g);
}

static int count(struct rig *g, const char *sql)
{
    sqlite3_stmt *st = db_prepare(g->db, sql, &g->e);
    int n;

    assert_non_null(st);
    assert_int_equal(db_row(g->db, st, &g->e), 1);
    n = sqlite3_column_int(st, 0);
    (void)sqlite3_reset(st);
    return n;
}

/* By tier and environment, and the group when nothing of it is left. */
static void test_retention(void **state)
{
    struct history_keep_env own = {"prod", {2 * FACT_HOUR_MS, 0, 0, 0}};
    struct buf ops;
    struct rig g;
    struct rng r;

    (void)state;
    rng_seed(&r, 6);
    buf_init(&ops, NULL, 1 << 24);
    rig_open(&g, "retention.db");
    own.ms[TIER_MINUTE] = 3 * (int64_t)FACT_DAY_MS;
    own.ms[TIER_HOUR] = 40 * (int64_t)FACT_DAY_MS;
    own.ms[TIER_DAY] = 4000 * (int64_t)FACT_DAY_MS;
    put_groups(&ops);
    for (int k = 0; k < 100; k++)
        gain(&g, &r, &ops, T0 / FACT_STEP_MS * FACT_STEP_MS + k * 5 * FACT_STEP_MS);
    run(&g, &ops);
    while (tend(&g, T0 + 3 * FACT_HOUR_MS))
        continue;
    assert_int_equal(count(&g, "SELECT count(*) FROM gains"), 0);
    assert_true(count(&g, "SELECT count(*) FROM chunks WHERE tier = 0") >= GROUPS);
    (void)tend(&g, T0 + 20 * (int64_t)FACT_DAY_MS); /* under the default, all of it stays */
    assert_true(count(&g, "SELECT count(*) FROM chunks WHERE tier = 0") >= GROUPS);
    g.keep.v = &own;
    g.keep.n = 1;
    (void)tend(&g, T0 + 20 * (int64_t)FACT_DAY_MS);
    assert_int_equal(count(&g, "SELECT count(*) FROM chunks WHERE tier = 0"), 0);
    assert_int_equal(count(&g, "SELECT count(*) FROM chunks WHERE tier = 1"), 0);
    assert_int_equal(count(&g, "SELECT count(*) FROM chunks WHERE tier = 2"), GROUPS);
    gain(&g, &r, &ops, T0); /* so late that the fine tiers do not keep it any more: it goes to the others */
    run(&g, &ops);
    while (tend(&g, T0 + 20 * (int64_t)FACT_DAY_MS))
        continue;
    assert_int_equal(count(&g, "SELECT count(*) FROM chunks WHERE tier = 1"), 0);
    (void)tend(&g, T0 + 10000 * (int64_t)FACT_DAY_MS);
    assert_int_equal(count(&g, "SELECT count(*) FROM chunks"), 0);
    assert_int_equal(count(&g, "SELECT count(*) FROM groups"), 0);
    buf_free(&ops);
    rig_close(&g);
}

/* ---- questions ---- */

static void put_host(struct buf *ops, uint32_t handle, enum fact_kind kind, const char *host)
{
    struct label l = {"host", host};
    struct history_group h = {.handle = handle,
                              .kind = kind,
                              .selection = kind == FACT_SKETCH ? "lat by (host)" : "req by (host)",
                              .metric = kind == FACT_SKETCH ? "lat" : "req",
                              .match = "",
                              .by = "host",
                              .env = "",
                              .labels = {&l, 1},
                              .now = {T0}};

    rollup_put_group(ops, &h);
}

static cJSON *ask(struct rig *g, struct history_ask q, struct buf *pending)
{
    struct buf json;
    cJSON *o;

    buf_init(&json, NULL, 1 << 24);
    q.now = (struct wall){T0 + 4 * (int64_t)FACT_HOUR_MS};
    for (int t = 0; t < TIERS; t++)
        q.keep[t] = MONTH;
    assert_int_equal(rollup_ask(g->r, g->db, &q, buf_bytes(pending), &json, &g->e), 0);
    o = cJSON_Parse(buf_text(&json));
    assert_non_null(o);
    buf_free(&json);
    return o;
}

static const cJSON *group_of(const cJSON *o, const char *host)
{
    const cJSON *g;

    cJSON_ArrayForEach(g, cJSON_GetObjectItem(o, "groups"))
    {
        const cJSON *l = cJSON_GetObjectItem(cJSON_GetObjectItem(g, "labels"), "host");

        if (host ? l && strcmp(l->valuestring, host) == 0 : !l)
            return g;
    }
    return NULL;
}

static double field(const cJSON *group, int step, const char *name)
{
    const cJSON *x = cJSON_GetArrayItem(cJSON_GetObjectItem(group, "steps"), step);

    assert_non_null(x);
    assert_non_null(cJSON_GetObjectItem(x, name));
    return cJSON_GetObjectItem(x, name)->valuedouble;
}

/* Three hosts with 1, 2 and 3 events a step for two hours, the last one not stored yet. */
static void test_questions(void **state)
{
    static const char *const host[] = {"host"}, *const everything[] = {"*"};
    struct history_ask q = {.metric = "req",
                            .match = "",
                            .by = host,
                            .n_by = 1,
                            .from = {T0 / FACT_HOUR_MS * FACT_HOUR_MS},
                            .step = span_s(7200)};
    struct buf ops, pending;
    struct rig g;
    cJSON *o;

    (void)state;
    q.to.ms = q.from.ms + 2 * (int64_t)FACT_HOUR_MS;
    buf_init(&ops, NULL, 1 << 24);
    buf_init(&pending, NULL, 1 << 24);
    rig_open(&g, "questions.db");
    put_host(&ops, 0, FACT_COUNTER, "a");
    put_host(&ops, 1, FACT_COUNTER, "b");
    put_host(&pending, 2, FACT_COUNTER, "c");
    for (int k = 0; k < 720; k++) {
        for (uint32_t i = 0; i < 3; i++) {
            struct fact_bucket b = {
                .n = 1, .series = 1, .sum = i + 1, .last = k, .last_t = q.from.ms + k * FACT_STEP_MS};

            assert_int_equal(
                rollup_put_gain(i == 2 ? &pending : &ops, i, FACT_COUNTER, q.from.ms + k * FACT_STEP_MS, &b),
                0);
        }
    }
    run(&g, &ops);
    assert_true(tend(&g, q.from.ms + FACT_HOUR_MS + 400000)); /* the first hour, not the second one */
    o = ask(&g, q, &pending);
    assert_true(field(group_of(o, "a"), 0, "increase") == 720);
    assert_true(field(group_of(o, "b"), 0, "increase") == 1440);
    assert_true(field(group_of(o, "c"), 0, "increase") == 2160);
    assert_true(field(group_of(o, "c"), 0, "series") == 1);
    cJSON_Delete(o);
    q.n_by = 0;
    o = ask(&g, q, &pending);
    assert_true(field(group_of(o, NULL), 0, "increase") == 6 * 720);
    assert_true(field(group_of(o, NULL), 0, "series") == 3);
    cJSON_Delete(o);
    q.n_by = 1;
    q.by = everything;
    q.match = "host=~\"a|c\"";
    q.step = span_s(60);
    o = ask(&g, q, &pending);
    assert_null(group_of(o, "b"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(group_of(o, "a"), "steps")), 120);
    assert_true(field(group_of(o, "a"), 7, "increase") == 6);
    assert_true(field(group_of(o, "a"), 100, "increase") == 6);
    assert_true(field(group_of(o, "c"), 119, "increase") == 18);
    cJSON_Delete(o);
    q.match = "zone=x"; /* a label that nothing tells of */
    o = ask(&g, q, &pending);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "groups")), 0);
    cJSON_Delete(o);
    buf_free(&ops);
    buf_free(&pending);
    rig_close(&g);
}

/* Percentiles and counts under a bound, over a window of folded and fresh steps, are those of all values. */
static void test_percentiles(void **state)
{
    static const double quantiles[] = {0, 0.5, 0.99, 1}, le[] = {0.25, 1};
    struct history_ask q = {.metric = "lat",
                            .match = "",
                            .from = {T0 / FACT_HOUR_MS * FACT_HOUR_MS},
                            .step = span_s(7200),
                            .quantiles = quantiles,
                            .n_quantiles = 4,
                            .le = le,
                            .n_le = 2};
    struct buf ops, none;
    struct sketch all;
    struct rig g;
    struct rng r;
    const cJSON *x;
    cJSON *o;

    (void)state;
    q.to.ms = q.from.ms + 2 * (int64_t)FACT_HOUR_MS;
    rng_seed(&r, 12);
    buf_init(&ops, NULL, 1 << 24);
    buf_init(&none, NULL, 1);
    sketch_init_scale(&all, NULL, SKETCH_SCALE_MAX);
    rig_open(&g, "percentiles.db");
    put_host(&ops, 0, FACT_SKETCH, "a");
    put_host(&ops, 1, FACT_SKETCH, "b");
    for (int k = 0; k < 1440; k++) {
        struct sketch s;
        struct fact_bucket b;

        sketch_init(&s, NULL);
        b = random_bucket(&r, FACT_SKETCH, &s);
        assert_int_equal(sketch_merge(&all, &s), 0);
        assert_int_equal(
            rollup_put_gain(&ops, (uint32_t)k % 2, FACT_SKETCH, q.from.ms + k / 2 * FACT_STEP_MS, &b), 0);
        sketch_free(&s);
    }
    run(&g, &ops);
    assert_true(tend(&g, q.from.ms + FACT_HOUR_MS + 400000));
    o = ask(&g, q, &none);
    x = cJSON_GetArrayItem(cJSON_GetObjectItem(group_of(o, NULL), "steps"), 0);
    assert_true(cJSON_GetObjectItem(x, "count")->valuedouble == (double)all.count);
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(x, "quantiles"), "0.5")->valuedouble ==
                sketch_quantile(&all, 0.5));
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(x, "quantiles"), "0.99")->valuedouble ==
                sketch_quantile(&all, 0.99));
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(x, "quantiles"), "1")->valuedouble == all.max);
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(x, "le"), "0.25")->valuedouble ==
                (double)sketch_count_le(&all, 0.25));
    cJSON_Delete(o);
    sketch_free(&all);
    buf_free(&ops);
    rig_close(&g);
}

/* ---- through the history: crashes ---- */

struct env {
    struct loop *loop;
    struct log *log;
    struct err e;
    int code;
};

static void answered(void *arg, int code)
{
    struct env *v = arg;

    v->code = code;
    loop_stop(v->loop);
}

/* Writes sets, the n-th with position n and one event for each of ten groups; tells each that is there. */
static void child(int out, int64_t from)
{
    struct env v = {.loop = loop_new(&v.e),
                    .log = log_new(&(struct log_params){.level = LOG_INFO, .file = "log"}, &v.e)};
    struct history *h =
        history_open(&(struct history_params){.path = "crash.db", .loop = v.loop, .log = v.log}, &v.e);
    struct history_keep keep = {.dflt = {MONTH, MONTH, MONTH, MONTH}};

    for (int64_t n = from;; n++) {
        if (!h || history_begin(h) != 0)
            _exit(2);
        for (uint32_t i = 0; i < 10; i++) {
            struct history_group g = {i, FACT_COUNTER, "c{} by ()", "c", "", "", "", {NULL, 0}, {T0}};
            struct label l = {"n", (char[]){(char)('0' + i), 0}};
            struct fact_bucket b = {.n = 1, .sum = 1, .series = 1, .last_t = T0 + n};

            g.labels = (struct labels){&l, 1};
            if ((n == from && history_group(h, &g) != 0) ||
                history_gain(h, i, FACT_COUNTER, (T0 + n * 997000) / FACT_STEP_MS * FACT_STEP_MS, &b) != 0)
                _exit(3);
        }
        history_commit(h, n, answered, &v);
        if (loop_run(v.loop) != 0 || v.code != 0)
            _exit(4);
        history_tend(h, &keep, (struct wall){T0 + n * 997000});
        if (write(out, &n, sizeof n) != sizeof n)
            _exit(5);
    }
}

struct sum {
    double events;
    uint32_t groups;
};
static int count_group(void *arg, const struct history_group *g, uint32_t *handle)
{
    struct sum *s = arg;

    assert_int_equal(g->labels.n, 1);
    *handle = s->groups++;
    return 1;
}
static int any_group(void *arg, const struct history_group *g, uint32_t *handle)
{
    struct sum *s = arg;

    (void)g;
    *handle = s->groups++;
    return 1;
}
static int sum_step(void *arg, const struct history_step *x)
{
    struct sum *s = arg;

    s->events += x->b->sum;
    return 0;
}
static struct span forever(void *arg, uint32_t handle)
{
    (void)arg, (void)handle;
    return span_ms(INT64_C(5000) * FACT_DAY_MS);
}
static int no_record(void *arg, struct bytes key, struct bytes value)
{
    (void)arg, (void)key, (void)value;
    return 0;
}

/* Killed at any moment, among them while it folds: exactly the events of the stored positions are there. */
static void test_killed(void **state)
{
    int64_t told = 0, position = 0;
    struct rng r;

    (void)state;
    rng_seed(&r, 8);
    for (int round = 0; round < 8; round++) {
        struct env v = {.code = 0};
        struct sum s = {0};
        struct history *h;
        int p[2];
        pid_t pid;

        assert_int_equal(pipe(p), 0);
        pid = fork();
        if (pid == 0)
            child(p[1], position + 1);
        (void)close(p[1]);
        for (uint64_t n = 5 + rng_below(&r, 40); n; n--)
            assert_int_equal(read(p[0], &told, sizeof told), sizeof told);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        while (read(p[0], &told, sizeof told) == sizeof told)
            continue;
        (void)close(p[0]);
        v.loop = loop_new(&v.e);
        v.log = log_new(&(struct log_params){.level = LOG_INFO, .file = "log"}, &v.e);
        h = history_open(&(struct history_params){.path = "crash.db", .loop = v.loop, .log = v.log}, &v.e);
        assert_non_null(h);
        assert_int_equal(history_load(h, no_record, NULL, &position, &v.e), 0);
        assert_true(position >= told);
        assert_int_equal(history_load_groups(h, count_group, &s, &v.e), 0);
        assert_int_equal(s.groups, 10);
        assert_int_equal(
            history_load_steps(h, (struct wall){T0 + position * 997000}, forever, sum_step, &s, &v.e), 0);
        assert_true(s.events == (double)position * 10);
        history_close(&h);
        loop_free(&v.loop);
        log_free(&v.log);
    }
}

/* ---- damage ---- */

static void told_of_damage(void *arg)
{
    struct env *v = arg;

    v->code = 1;
    loop_stop(v->loop);
}

static struct history *open_history(struct env *v)
{
    struct history *h = history_open(
        &(struct history_params){
            .path = "damage.db", .loop = v->loop, .log = v->log, .damaged = told_of_damage, .arg = v},
        &v->e);

    assert_non_null(h);
    return h;
}

/* A set with one event; its code. */
static int add_set(struct env *v, struct history *h, int64_t position, bool named)
{
    struct history_group g = {0, FACT_COUNTER, "c", "c", "", "", "", {NULL, 0}, {T0}};
    struct fact_bucket b = {.n = 1, .sum = 1, .series = 1, .last_t = T0 + position};

    assert_int_equal(history_begin(h), 0);
    assert_int_equal(
        history_put(h, (struct bytes){(const uint8_t *)"k", 1}, (struct bytes){(const uint8_t *)"v", 1}), 0);
    if (named)
        assert_int_equal(history_group(h, &g), 0);
    assert_int_equal(
        history_gain(h, 0, FACT_COUNTER, (T0 + position * 3600000) / FACT_STEP_MS * FACT_STEP_MS, &b), 0);
    history_commit(h, position, answered, v);
    assert_int_equal(loop_run(v->loop), 0);
    return v->code;
}

static double events(struct env *v, struct history *h)
{
    struct sum s = {.groups = 0};

    assert_int_equal(history_load_groups(h, any_group, &s, &v->e), 0);
    assert_int_equal(s.groups, 1);
    assert_int_equal(history_load_steps(h, (struct wall){T0 + 20 * 3600000}, forever, sum_step, &s, &v->e),
                     0);
    return s.events;
}

/* Found at start, and while running: the records go, stored steps stay, with the position that they contain. */
static void test_damage(void **state)
{
    struct history_keep keep = {.dflt = {MONTH, MONTH, MONTH, MONTH}};
    struct env v = {.code = 0};
    int64_t position;
    struct history *h;

    (void)state;
    v.loop = loop_new(&v.e);
    v.log = log_new(&(struct log_params){.level = LOG_INFO, .file = "log"}, &v.e);
    h = open_history(&v);
    for (int64_t n = 1; n <= 6; n++) {
        history_tend(h, &keep, (struct wall){T0 + n * 3600000});
        assert_int_equal(add_set(&v, h, n, n == 1), 0);
    }
    history_close(&h);
    damage_tree("damage.db", "records");
    h = open_history(&v);
    assert_int_equal(history_load(h, no_record, NULL, &position, &v.e), ERR_MALFORMED);
    assert_int_equal(history_renew(h, &v.e), 0);
    assert_int_equal(history_load(h, no_record, NULL, &position, &v.e), 0);
    assert_int_equal(position, 0);
    assert_int_equal(history_gained(h, &position, &v.e), 0);
    assert_int_equal(position, 6);
    assert_true(events(&v, h) == 6);
    assert_int_equal(add_set(&v, h, 7, true), 0);
    history_close(&h);
    damage_tree("damage.db", "sqlite_autoindex_records_1");
    h = open_history(&v);
    assert_true(events(&v, h) == 7);
    assert_int_not_equal(add_set(&v, h, 8, true), 0);
    if (v.code == ERR_MALFORMED)
        assert_int_equal(loop_run(v.loop), 0);
    assert_int_equal(v.code, 1); /* the owner is told */
    assert_int_equal(add_set(&v, h, 8, true), 0);
    history_close(&h);
    h = open_history(&v);
    assert_true(events(&v, h) == 8);
    history_close(&h);
    loop_free(&v.loop);
    log_free(&v.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),      cmocka_unit_test(test_every_tier),
        cmocka_unit_test(test_retention),   cmocka_unit_test(test_questions),
        cmocka_unit_test(test_percentiles), cmocka_unit_test(test_killed),
        cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
