/* Gains of selections: steps by event time, counters with resets and late batches, groups, restarts. What was
 * told is summed up by group and step and compared with a plain recount. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/unit/series_kit.h"

#define HOST "env=prod host=h region=r"
enum { MOST_SEEN = 4096, STEP = 10000 };

/* One step of one group, as told so far. */
struct seen {
    char labels[160];
    int64_t start;
    enum fact_kind kind;
    struct fact_bucket b;
};
struct heard {
    struct seen v[MOST_SEEN];
    uint32_t n;
    char groups[8][64][160]; /* by selection and number; "" when it is not in use */
    uint32_t n_gone, n_told;
    bool restored;
};

struct world {
    struct kit k;
    struct selections *list;
    struct heard *h;
};

static void open_world(struct world *w, const char *config)
{
    *w = (struct world){.list = selections_new(NULL), .h = calloc(1, sizeof *w->h)};
    kit_open(&w->k, config);
    assert_non_null(w->k.set);
}

static void add(struct world *w, const char *metric, const char *match, const char *const *by, uint32_t n_by)
{
    uint32_t at;

    assert_int_equal(selections_add(w->list, metric, match, by, n_by, span_s(600), &at, &w->k.e), 0);
}

static void select_all(struct world *w, uint32_t generation)
{
    assert_int_equal(series_select(w->k.set, w->list, generation, &w->k.e), 0);
}

static void close_world(struct world *w)
{
    kit_close(&w->k);
    assert_int_equal(w->k.mem.used, 0);
    selections_free(&w->list);
    free(w->h);
}

static struct seen *seen_at(struct heard *h, const char *labels, int64_t start)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->v[i].start == start && strcmp(h->v[i].labels, labels) == 0)
            return &h->v[i];
    }
    assert_true(h->n < MOST_SEEN);
    h->v[h->n] = (struct seen){.start = start};
    (void)snprintf(h->v[h->n].labels, sizeof h->v[h->n].labels, "%s", labels);
    return &h->v[h->n++];
}

static void hear(struct heard *h, const struct telling *t)
{
    for (uint32_t i = 0; i < t->n_groups; i++) {
        const struct fact_group_new *g = &t->groups[i];
        struct buf b;

        buf_init(&b, NULL, 4096);
        buf_fmt(&b, "%u:", g->selection);
        labels_text(g->labels, &b);
        (void)snprintf(h->groups[g->selection][g->group], 160, "%s", buf_text(&b));
        buf_free(&b);
    }
    for (uint32_t i = 0; i < t->n_deltas; i++) {
        const struct fact_delta *d = &t->deltas[i];
        struct seen *x = seen_at(h, h->groups[d->selection][d->group], d->start);

        assert_true(h->groups[d->selection][d->group][0] != 0);
        assert_int_equal(d->start % STEP, 0);
        x->kind = d->kind;
        if (d->gain.n && (!x->b.n || d->gain.min < x->b.min))
            x->b.min = d->gain.min;
        if (d->gain.n && (!x->b.n || d->gain.max > x->b.max))
            x->b.max = d->gain.max;
        if (d->gain.last_t > x->b.last_t) {
            x->b.last_t = d->gain.last_t;
            x->b.last = d->gain.last;
        }
        x->b.n += d->gain.n;
        x->b.sum += d->gain.sum;
        x->b.series += d->gain.series;
    }
    for (uint32_t i = 0; i < t->n_gone; i++)
        h->groups[t->gone[i].selection][t->gone[i].group][0] = 0;
    h->n_gone += t->n_gone;
    h->n_told += t->n_deltas;
    h->restored = h->restored || t->restored;
}

static void tell(struct world *w)
{
    bool more = true;

    while (more) {
        struct telling *t = series_tell(w->k.set, (struct wall){KIT_NOW}, false, &more);

        if (!t)
            return;
        hear(w->h, t);
        telling_free(&t);
    }
}

static const struct fact_bucket *step(struct world *w, const char *labels, int64_t start)
{
    return &seen_at(w->h, labels, start)->b;
}

static double total(const struct heard *h, const char *labels)
{
    double sum = 0;

    for (uint32_t i = 0; i < h->n; i++)
        sum += strcmp(h->v[i].labels, labels) == 0 ? h->v[i].b.sum : 0;
    return sum;
}

/* A batch with one block of one series, of the given seq and start. */
static void give(struct world *w, const char *agent, const char *text, enum wire_kind kind, uint64_t seq,
                 int64_t t0, int64_t dt, const double *v, uint32_t n, int64_t start)
{
    kit_batch(&w->k, agent, HOST, KIT_NOW + 100000);
    w->k.batch.seq = seq;
    kit_block(&w->k, t0, dt, n, &(struct kit_series){text, kind, v, NULL}, 1);
    w->k.blocks[0].has_start = start != 0;
    w->k.blocks[0].start = start;
    kit_take(&w->k);
}

static const char *const by_host[] = {"host"};
static const char *const by_code[] = {"code"};
static const char *const all[] = {"*"};

static void test_gauges(void **state)
{
    struct world w;
    double v[] = {4, 2, 6, 10}, x[] = {1};

    (void)state;
    open_world(&w, "");
    add(&w, "temp", "", by_host, 1);
    add(&w, "temp", "zone=a", NULL, 0);
    add(&w, "temp", "", all, 1);
    select_all(&w, 3);
    give(&w, "one", "temp{zone=a}", WIRE_GAUGE, 1, KIT_NOW + 5000, 5000, v, 4, 0);
    give(&w, "two", "temp{zone=b}", WIRE_GAUGE, 1, KIT_NOW + 5000, 5000, x, 1, 0);
    tell(&w);
    assert_true(step(&w, "0:host=\"h\"", KIT_NOW)->n == 3); /* 5 s and 10 s belong to it */
    assert_true(step(&w, "0:host=\"h\"", KIT_NOW)->sum == 7);
    assert_true(step(&w, "0:host=\"h\"", KIT_NOW)->min == 1);
    assert_true(step(&w, "0:host=\"h\"", KIT_NOW)->max == 4);
    assert_true(step(&w, "0:host=\"h\"", KIT_NOW)->last == 2);
    assert_int_equal(step(&w, "0:host=\"h\"", KIT_NOW)->series, 2);
    assert_true(step(&w, "0:host=\"h\"", KIT_NOW + STEP)->sum == 16);
    assert_int_equal(step(&w, "0:host=\"h\"", KIT_NOW + STEP)->series, 1);
    assert_true(step(&w, "1:", KIT_NOW)->n == 2);
    assert_true(
        step(&w, "2:env=\"prod\",host=\"h\",instance=\"two\",job=\"node\",region=\"r\",zone=\"b\"", KIT_NOW)
            ->n == 1);
    close_world(&w);
}

/* Two series at one moment: the last value is their mean; a second batch of the step adds no series. */
static void test_last_and_series(void **state)
{
    struct world w;
    double a[] = {4}, b[] = {8}, c[] = {1};

    (void)state;
    open_world(&w, "");
    add(&w, "temp", "", NULL, 0);
    select_all(&w, 1);
    give(&w, "one", "temp", WIRE_GAUGE, 1, KIT_NOW + 1000, 0, a, 1, 0);
    give(&w, "two", "temp", WIRE_GAUGE, 1, KIT_NOW + 1000, 0, b, 1, 0);
    assert_int_equal(w.h->n, 0);
    tell(&w);
    assert_true(step(&w, "0:", KIT_NOW)->last == 6);
    give(&w, "one", "temp", WIRE_GAUGE, 2, KIT_NOW + 2000, 0, c, 1, 0);
    give(&w, "one", "temp", WIRE_GAUGE, 3, KIT_NOW + 2000 + 100 * STEP, 0, c, 1, 0);
    give(&w, "one", "temp", WIRE_GAUGE, 4, KIT_NOW + 3000, 0, c, 1, 0); /* late, where it had fallen silent */
    tell(&w);
    assert_int_equal(step(&w, "0:", KIT_NOW)->series, 2);
    assert_true(step(&w, "0:", KIT_NOW)->n == 4);
    assert_true(step(&w, "0:", KIT_NOW)->last == 1);
    assert_true(step(&w, "0:", KIT_NOW)->last_t == KIT_NOW + 3000);
    close_world(&w);
}

static void test_counter(void **state)
{
    struct world w;
    double a[] = {100, 103, 110}, b[] = {4, 6}, c[] = {50};

    (void)state;
    open_world(&w, "");
    add(&w, "req", "", by_code, 1);
    select_all(&w, 1);
    give(&w, "one", "req{code=200}", WIRE_COUNTER, 1, KIT_NOW + 1000, 5000, a, 3, 0);
    tell(&w);
    assert_true(step(&w, "0:code=\"200\"", KIT_NOW)->sum ==
                3 + 5); /* 7 over 6 s … 11 s: 5.6 lie before 10 s */
    assert_true(step(&w, "0:code=\"200\"", KIT_NOW + STEP)->sum == 2);
    assert_true(step(&w, "0:code=\"200\"", KIT_NOW)->n == 2);
    assert_true(step(&w, "0:code=\"200\"", KIT_NOW + STEP)->last == 110);
    give(&w, "one", "req{code=200}", WIRE_COUNTER, 2, KIT_NOW + 16000, 1000, b, 2, 0); /* it fell: a reset */
    tell(&w);
    assert_true(total(w.h, "0:code=\"200\"") == 10 + 4 + 2);
    give(&w, "one", "req{code=200}", WIRE_COUNTER, 3, KIT_NOW + 31000, 0, c, 1, KIT_NOW + 30500);
    tell(&w); /* it rose, but began anew: all of it since then */
    assert_true(total(w.h, "0:code=\"200\"") == 16 + 50);
    assert_true(step(&w, "0:code=\"200\"", KIT_NOW + 3 * STEP)->sum == 50);
    close_world(&w);
}

/* One event in a day, then a long silence: it is spread in whole events, and nothing is lost. */
static void test_spread(void **state)
{
    struct world w;
    double a[] = {0}, b[] = {7}, c[] = {1000007}, d[] = {1000007.5};

    (void)state;
    open_world(&w, "");
    add(&w, "req", "", NULL, 0);
    select_all(&w, 1);
    give(&w, "one", "req", WIRE_COUNTER, 1, KIT_NOW - 86400000, 0, a, 1, 0);
    give(&w, "one", "req", WIRE_COUNTER, 2, KIT_NOW - 86400000 + 60000, 0, b, 1, 0);
    tell(&w);
    for (uint32_t i = 0; i < w.h->n; i++)
        assert_true(w.h->v[i].b.sum == 0 || w.h->v[i].b.sum == 1 || w.h->v[i].b.sum == 2);
    assert_true(total(w.h, "0:") == 7);
    give(&w, "one", "req", WIRE_COUNTER, 3, KIT_NOW, 0, c, 1, 0);
    tell(&w);
    assert_true(total(w.h, "0:") == 1000007);
    give(&w, "one", "req", WIRE_COUNTER, 4, KIT_NOW + 40000, 0, d, 1, 0);
    tell(&w);
    assert_true(fabs(total(w.h, "0:") - 1000007.5) < 1e-9);
    close_world(&w);
}

/* ---- late batches ---- */

enum { BATCHES = 6, TICKS = 4 };

struct script {
    double v[BATCHES][TICKS];
    int64_t start[BATCHES];
};

/* A counter that grows by chance, falls once, and once begins anew above its last value. */
static void write_script(struct script *s, struct rng *r)
{
    double v = (double)rng_below(r, 1000);

    for (int b = 0; b < BATCHES; b++) {
        s->start[b] = KIT_NOW - 1000000;
        if (b == 2)
            v = (double)rng_below(r, 5);
        if (b >= 4)
            s->start[b] = KIT_NOW + 4 * 17000 - 3000;
        for (int i = 0; i < TICKS; i++)
            s->v[b][i] = v += (double)rng_below(r, 40);
    }
}

static void play(struct heard *out, const struct script *s, const int *order, uint64_t tell_bits)
{
    struct world w;

    open_world(&w, "");
    add(&w, "req", "", by_host, 1);
    select_all(&w, 1);
    for (int i = 0; i < BATCHES; i++) {
        int b = order[i];

        give(&w, "one", "req{code=5}", WIRE_COUNTER, (uint64_t)b + 10, KIT_NOW + b * 17000, 4250, s->v[b],
             TICKS, s->start[b]);
        if (tell_bits >> i & 1)
            tell(&w);
    }
    tell(&w);
    memcpy(out, w.h, sizeof *out);
    close_world(&w);
}

static void same_steps(struct heard *a, struct heard *b)
{
    const char *labels = "0:host=\"h\"";

    for (int64_t at = KIT_NOW - 10 * STEP; at < KIT_NOW + 20 * STEP; at += STEP) {
        const struct fact_bucket *x = &seen_at(a, labels, at)->b, *y = &seen_at(b, labels, at)->b;

        assert_true(x->sum == y->sum);
        assert_true(x->n == y->n);
        assert_int_equal(x->series, y->series);
    }
}

static bool next_order(int *v, int n)
{
    int i = n - 2, j = n - 1, t;

    while (i >= 0 && v[i] > v[i + 1])
        i--;
    if (i < 0)
        return false;
    while (v[j] < v[i])
        j--;
    t = v[i], v[i] = v[j], v[j] = t;
    for (int a = i + 1, b = n - 1; a < b; a++, b--)
        t = v[a], v[a] = v[b], v[b] = t;
    return true;
}

/* Batches in every order give the same steps. */
static void test_every_order(void **state)
{
    struct heard *want = calloc(1, sizeof *want), *got = calloc(1, sizeof *got);
    int order[BATCHES];
    struct script s;
    struct rng r;

    (void)state;
    rng_seed(&r, 7);
    write_script(&s, &r);
    for (int i = 0; i < BATCHES; i++)
        order[i] = i;
    play(want, &s, order, 0);
    assert_true(total(want, "0:host=\"h\"") > 0);
    do {
        play(got, &s, order, rng_next(&r));
        same_steps(want, got);
    } while (next_order(order, BATCHES));
    free(want);
    free(got);
}

/* ---- restarts ---- */

enum { MOST_RECORDS = 64 };
struct record {
    uint8_t key[256], value[8192];
    size_t n_key, n_value;
};
struct records {
    struct record v[MOST_RECORDS];
    uint32_t n;
};

static int put(void *arg, struct bytes key, struct bytes value)
{
    struct records *r = arg;
    uint32_t i = 0;

    while (i < r->n && (r->v[i].n_key != key.n || memcmp(r->v[i].key, key.p, key.n) != 0))
        i++;
    assert_true(i < MOST_RECORDS && key.n <= 256 && value.n <= 8192);
    r->n = i == r->n ? i + 1 : r->n;
    memcpy(r->v[i].key, key.p, key.n);
    r->v[i].n_key = key.n;
    r->v[i].n_value = value.n;
    if (value.n)
        memcpy(r->v[i].value, value.p, value.n);
    return 0;
}

static int no_group(void *arg, const struct series_group *g)
{
    (void)arg, (void)g;
    return 0;
}

static int sum_gain(void *arg, uint32_t handle, enum fact_kind kind, int64_t start,
                    const struct fact_bucket *b)
{
    struct heard *h = arg;
    struct seen *x = seen_at(h, "0:host=\"h\"", start);

    (void)handle, (void)kind;
    x->b.n += b->n;
    x->b.sum += b->sum;
    x->b.series += b->series;
    return 0;
}

/* Stores what was gained, with the readings, or (fail) does not. */
static void persist(struct world *w, struct records *r, struct heard *stored, bool fail)
{
    struct records *scratch = malloc(sizeof *scratch);
    struct heard *gains = calloc(1, sizeof *gains);
    int64_t position;

    memcpy(scratch, r, sizeof *scratch);
    memcpy(gains, stored, sizeof *gains);
    tell(w);
    assert_int_equal(series_take(w->k.set, &position, put, scratch), 0);
    assert_int_equal(series_take_gains(w->k.set, &(struct series_gains){no_group, sum_gain, gains}), 0);
    series_taken(w->k.set, !fail);
    if (!fail) {
        memcpy(r, scratch, sizeof *scratch);
        memcpy(stored, gains, sizeof *gains);
    }
    free(scratch);
    free(gains);
}

/* Batches in any order, with persisting that may fail and crashes in between, replayed from what was stored
 * last: the stored steps are those of an undisturbed run in order. */
static void crash_run(const struct script *s, struct rng *r, struct heard *want)
{
    struct heard *stored = calloc(1, sizeof *stored);
    struct records *records = calloc(1, sizeof *records);
    int order[BATCHES], contained = 0;
    struct world w;

    for (int i = 0; i < BATCHES; i++)
        order[i] = i;
    for (int i = BATCHES - 1; i > 0; i--) {
        int j = (int)rng_below(r, (uint64_t)i + 1), t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
    open_world(&w, "");
    add(&w, "req", "", by_host, 1);
    select_all(&w, 1);
    for (int i = 0; i < BATCHES;) {
        int b = order[i];

        give(&w, "one", "req{code=5}", WIRE_COUNTER, (uint64_t)b + 10, KIT_NOW + b * 17000, 4250, s->v[b],
             TICKS, s->start[b]);
        i++;
        if (i == BATCHES || rng_below(r, 3) == 0) {
            bool fail = i < BATCHES && rng_below(r, 3) == 0;

            persist(&w, records, stored, fail);
            contained = fail ? contained : i;
        }
        if (i < BATCHES && rng_below(r, 4) == 0) { /* a crash */
            bool stale;

            close_world(&w);
            open_world(&w, "");
            add(&w, "req", "", by_host, 1);
            select_all(&w, 1);
            for (uint32_t k = 0; k < records->n; k++)
                assert_int_equal(series_restore(w.k.set,
                                                (struct bytes){records->v[k].key, records->v[k].n_key},
                                                (struct bytes){records->v[k].value, records->v[k].n_value},
                                                &stale, &w.k.e),
                                 0);
            series_restored(w.k.set, contained);
            for (int k = 0; k < contained;
                 k++) { /* in the journal still: what was contained is only looked at */
                int c = order[k];

                kit_batch(&w.k, "one", HOST, KIT_NOW + 100000);
                w.k.batch.seq = (uint64_t)c + 10;
                kit_block(&w.k, KIT_NOW + c * 17000, 4250, TICKS,
                          &(struct kit_series){"req{code=5}", WIRE_COUNTER, s->v[c], NULL}, 1);
                assert_int_equal(kit_judge(&w.k), 0);
                series_apply(w.k.set, &w.k.in, buf_bytes(&w.k.verdict), k + 1, true);
            }
            i = contained;
        }
    }
    same_steps(want, stored);
    close_world(&w);
    free(stored);
    free(records);
}

static void test_crashes(void **state)
{
    struct heard *want = calloc(1, sizeof *want);
    int order[BATCHES] = {0, 1, 2, 3, 4, 5};
    struct script s;
    struct rng r;

    (void)state;
    rng_seed(&r, 99);
    for (int i = 0; i < 200; i++) {
        write_script(&s, &r);
        play(want, &s, order, 0);
        crash_run(&s, &r, want);
    }
    free(want);
}

/* Records of readings are total: any bytes give a state or an error, and no byte is trusted. */
static void test_broken_records(void **state)
{
    struct records *r = calloc(1, sizeof *r);
    struct heard *stored = calloc(1, sizeof *stored);
    double v[] = {1, 2, 3};
    struct world w;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 3);
    open_world(&w, "");
    add(&w, "req", "", by_host, 1);
    select_all(&w, 1);
    for (uint64_t seq = 1; seq < 12; seq += 2)
        give(&w, "one", "req", WIRE_COUNTER, seq, KIT_NOW + (int64_t)seq * 20000, 5000, v, 3, 0);
    persist(&w, r, stored, false);
    close_world(&w);
    for (int i = 0; i < 3000; i++) {
        open_world(&w, "");
        for (uint32_t k = 0; k < r->n; k++) {
            struct record x = r->v[k];
            bool stale;

            if (x.key[0] == 'R') {
                x.value[rng_below(&rng, x.n_value)] ^= (uint8_t)(1u << rng_below(&rng, 8));
                x.n_value -= rng_below(&rng, 3) == 0 ? rng_below(&rng, x.n_value) : 0;
            }
            (void)series_restore(w.k.set, (struct bytes){x.key, x.n_key}, (struct bytes){x.value, x.n_value},
                                 &stale, &w.k.e);
        }
        close_world(&w);
    }
    free(r);
    free(stored);
}

/* ---- sketches, groups, reload ---- */

static void test_sketches(void **state)
{
    struct world w;
    struct telling *t;
    double v[] = {0.1, 0.2, 0.4};
    struct bytes b;
    bool more;

    (void)state;
    open_world(&w, "");
    add(&w, "lat", "", NULL, 0);
    select_all(&w, 1);
    for (int i = 0; i < 2; i++) {
        kit_batch(&w.k, i ? "one" : "two", HOST, KIT_NOW + 9000);
        b = kit_sketch(&w.k, v, 3);
        kit_block(&w.k, KIT_NOW + 1000, 0, 1, &(struct kit_series){"lat", WIRE_SKETCH, NULL, &b}, 1);
        kit_take(&w.k);
    }
    t = series_tell(w.k.set, (struct wall){KIT_NOW}, true, &more);
    assert_non_null(t);
    assert_true(t->restored && !more);
    assert_int_equal(t->n_deltas, 1);
    assert_int_equal(t->deltas[0].kind, FACT_SKETCH);
    assert_true(t->deltas[0].gain.n == 6);
    assert_int_equal(t->deltas[0].gain.series, 2);
    assert_true(t->deltas[0].gain.sketch->count == 6);
    assert_true(fabs(sketch_quantile(t->deltas[0].gain.sketch, 0.5) - 0.2) < 0.002);
    telling_free(&t);
    close_world(&w);
}

static void test_groups_come_and_go(void **state)
{
    struct records *r = calloc(1, sizeof *r);
    struct heard *stored = calloc(1, sizeof *stored);
    struct world w;
    double v[] = {1};
    char text[32];

    (void)state;
    open_world(&w, "[history]\nmax_groups = 3\n");
    add(&w, "temp", "", by_code, 1);
    select_all(&w, 1);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(text, sizeof text, "temp{code=%d}", i);
        give(&w, "one", text, WIRE_GAUGE, (uint64_t)i + 1, KIT_NOW + 1000, 0, v, 1, 0);
    }
    tell(&w);
    assert_int_equal(w.h->n, 3); /* the others were left out, and counted */
    series_advance(w.k.set, (struct wall){KIT_NOW + 100000 + 61000});
    persist(&w, r, stored, false);
    series_advance(w.k.set, (struct wall){KIT_NOW + 100000 + 200000});
    tell(&w);
    assert_int_equal(w.h->n_gone, 3);
    close_world(&w);
    free(r);
    free(stored);
}

static void test_reload(void **state)
{
    struct selections *old;
    struct world w;
    double a[] = {10}, b[] = {15}, late[] = {12};

    (void)state;
    open_world(&w, "");
    add(&w, "other", "", NULL, 0);
    add(&w, "req", "", by_host, 1);
    select_all(&w, 1);
    give(&w, "one", "req", WIRE_COUNTER, 1, KIT_NOW + 1000, 0, a, 1, 0);
    give(&w, "one", "req", WIRE_COUNTER, 3, KIT_NOW + 3000, 0, b, 1, 0);
    tell(&w);
    assert_true(total(w.h, "1:host=\"h\"") == 5);
    old = w.list;
    w.list = selections_new(NULL);
    add(&w, "req", "", by_host, 1);
    add(&w, "req", "", NULL, 0);
    select_all(&w, 2);
    selections_free(&old);
    give(&w, "one", "req", WIRE_COUNTER, 2, KIT_NOW + 2000, 0, late, 1, 0);
    give(&w, "one", "req", WIRE_COUNTER, 4, KIT_NOW + 4000, 0, (double[]){16}, 1, 0);
    tell(&w);
    assert_true(total(w.h, "0:host=\"h\"") == 1); /* 5 of them were told under the old number */
    assert_true(total(w.h, "1:") == 1);           /* and the new one takes back nothing that it never had */
    close_world(&w);
}

/* What the store holds already gains nothing again, but readings go on from it. */
static void test_gained_before(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, "");
    add(&w, "req", "", NULL, 0);
    add(&w, "temp", "", NULL, 0);
    select_all(&w, 1);
    series_gained(w.k.set, 3);
    for (uint64_t i = 1; i <= 3; i++) {
        double v[] = {(double)(10 * i)};

        give(&w, "one", i == 2 ? "temp" : "req", i == 2 ? WIRE_GAUGE : WIRE_COUNTER, i,
             KIT_NOW + (int64_t)i * 1000, 0, v, 1, 0);
    }
    tell(&w);
    assert_int_equal(w.h->n, 0);
    give(&w, "one", "req", WIRE_COUNTER, 4, KIT_NOW + 4000, 0, (double[]){34}, 1, 0);
    give(&w, "one", "temp", WIRE_GAUGE, 5, KIT_NOW + 5000, 0, (double[]){1}, 1, 0);
    tell(&w);
    assert_true(step(&w, "0:", KIT_NOW)->sum == 4);
    assert_int_equal(step(&w, "0:", KIT_NOW)->series, 0); /* it was met in this step before */
    assert_int_equal(step(&w, "1:", KIT_NOW)->series, 0);
    assert_true(step(&w, "1:", KIT_NOW)->sum == 1);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gauges),
        cmocka_unit_test(test_last_and_series),
        cmocka_unit_test(test_counter),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_every_order),
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_broken_records),
        cmocka_unit_test(test_sketches),
        cmocka_unit_test(test_groups_come_and_go),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_gained_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
