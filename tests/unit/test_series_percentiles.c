/* Percentiles: sections as they are configured, windows
 * against a plain recount, cumulative histograms, gauges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/unit/series_kit.h"

#define HOST "env=prod host=h region=r"
#define API                                                                                                  \
    "[percentile api]\nmetric = lat\nby = route\nwindows = 1m 5m\nquantiles = 0 0.5 0.990 1\nbuckets = 0.1 " \
    "1.0 10 1e6\n"

static void expect(struct kit *k, int64_t now, const char *text)
{
    struct buf b;

    buf_init(&b, NULL, 1 << 20);
    series_advance(k->set, (struct wall){now});
    kit_show(k, now, &b);
    assert_string_equal(buf_text(&b), text);
    buf_free(&b);
}

static void bad_section(const char *text, const char *sentence)
{
    struct kit k = {0};
    struct config *c;

    kit_open(&k, API);
    c = kit_config(&k, text);
    if (c)
        assert_int_equal(series_reload(k.set, c, &k.report, &k.e), ERR_CONFIG);
    config_free(&c);
    if (!strstr(buf_text(&k.report), sentence))
        fail_msg("%s does not say: %s", buf_text(&k.report), sentence);
    expect(&k, KIT_NOW, "percentile api of lat\n"); /* nothing has changed */
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

static void test_configuration(void **state)
{
    (void)state;
    bad_section("[percentile p]\nby = x\n", "metric");
    bad_section("[percentile p]\nmetric = a-b\n", "expected the name of a metric");
    bad_section("[percentile p]\nmetric = a\nby = quantile\n", "not a label name");
    bad_section("[percentile p]\nmetric = a\nby = x y x\n", "found \"x\" twice");
    bad_section("[percentile p]\nmetric = a\nwindows = 1m 9s\n", "from 10s to 24h");
    bad_section("[percentile p]\nmetric = a\nwindows = 25h\n", "from 10s to 24h");
    bad_section("[percentile p]\nmetric = a\nwindows = 1m 60s\n", "found \"60s\" twice");
    bad_section("[percentile p]\nmetric = a\nquantiles = 0.5 0.5\n", "expected ascending numbers");
    bad_section("[percentile p]\nmetric = a\nquantiles = 0.5 1.1\n", "from 0 to 1");
    bad_section("[percentile p]\nmetric = a\nquantiles = -0.1\n", "from 0 to 1");
    bad_section("[percentile p]\nmetric = a\nbuckets = 2 1\n", "expected ascending numbers");
}

static void give(struct kit *k, const char *text, int64_t t, const double *v, size_t n)
{
    struct bytes b = kit_sketch(k, v, n);

    kit_block(k, t, 0, 1, &(struct kit_series){text, WIRE_SKETCH, NULL, &b}, 1);
}

/* The figures as text; native bytes are looked at apart. */
static void figures(struct kit *k, int64_t now, const char *text)
{
    struct buf b;
    char *native, *end;

    buf_init(&b, NULL, 1 << 20);
    series_advance(k->set, (struct wall){now});
    kit_show(k, now, &b);
    buf_u8(&b, 0);
    while ((native = memmem(b.data, b.len, "    native ", 11))) {
        struct sketch s;
        size_t used;

        sketch_init(&s, NULL);
        assert_int_equal(sketch_decode(&s, (uint8_t *)native + 11, b.len, &used, NULL), 0);
        sketch_free(&s);
        end = native + 11 + used + 1;
        memmove(native, end, b.len - (size_t)(end - (char *)b.data));
        b.len -= (size_t)(end - native);
    }
    assert_string_equal((char *)b.data, text);
    buf_free(&b);
}

static void test_sketches(void **state)
{
    struct kit k = {0};
    double a[] = {0, 1, 1, 4}, c[] = {16};

    (void)state;
    kit_open(&k, API);
    kit_batch(&k, "one", HOST, KIT_NOW);
    give(&k, "lat{route=/b}", KIT_NOW, a, 4);
    give(&k, "lat", KIT_NOW - 61000, c, 1);
    kit_take(&k);
    kit_batch(&k, "two", HOST, KIT_NOW);
    give(&k, "lat{route=/b}", KIT_NOW + 300000, c, 1); /* a clock ahead: counts at its receipt */
    kit_take(&k);
    figures(&k, KIT_NOW,
            "percentile api of lat\n"
            "  group route=\n"
            "    1m n=0\n"
            "    5m n=1 0=16 0.5=16 0.99=16 1=16\n"
            "    count=1 sum=16 0.1:0 1:0 10:0 1000000:1\n"
            "  group route=/b\n"
            "    1m n=5 0=0 0.5=0.99458484058409746 0.99=15.913357449345559 1=16\n"
            "    5m n=5 0=0 0.5=0.99458484058409746 0.99=15.913357449345559 1=16\n"
            "    count=5 sum=22 0.1:1 1:3 10:4 1000000:5\n");
    figures(&k, KIT_NOW + 62000,
            "percentile api of lat\n"
            "  group route=\n"
            "    1m n=0\n"
            "    5m n=1 0=16 0.5=16 0.99=16 1=16\n"
            "    count=1 sum=16 0.1:0 1:0 10:0 1000000:1\n"
            "  group route=/b\n"
            "    1m n=0\n"
            "    5m n=5 0=0 0.5=0.99458484058409746 0.99=15.913357449345559 1=16\n"
            "    count=5 sum=22 0.1:1 1:3 10:4 1000000:5\n");
    figures(&k, KIT_NOW + 3600000, /* all series are gone; a group that comes back goes on from its count */
            "percentile api of lat\n"
            "  group route=\n"
            "    1m n=0\n"
            "    5m n=0\n"
            "    count=1 sum=16 0.1:0 1:0 10:0 1000000:1\n"
            "  group route=/b\n"
            "    1m n=0\n"
            "    5m n=0\n"
            "    count=5 sum=22 0.1:1 1:3 10:4 1000000:5\n");
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* A counter is refused as soon as its kind is known; when the
 * name comes back as another kind, it is taken. */
static void test_counter(void **state)
{
    struct kit k = {0};
    double v[] = {1};

    (void)state;
    kit_open(&k, API);
    kit_batch(&k, "one", HOST, KIT_NOW);
    kit_block(&k, KIT_NOW, 0, 1, &(struct kit_series){"lat", WIRE_COUNTER, v, NULL}, 1);
    kit_take(&k);
    expect(&k, KIT_NOW,
           "lat{env=prod host=h instance=one job=node region=r} 1 @+0\n"
           "percentile api of lat refused\n");
    series_advance(k.set, (struct wall){KIT_NOW + 60001});
    kit_batch(&k, "one", HOST, KIT_NOW + 60001);
    give(&k, "lat", KIT_NOW + 60001, v, 1);
    kit_take(&k);
    figures(&k, KIT_NOW + 60001,
            "percentile api of lat\n"
            "  group route=\n"
            "    1m n=1 0=1 0.5=1 0.99=1 1=1\n"
            "    5m n=1 0=1 0.5=1 0.99=1 1=1\n"
            "    count=1 sum=1 0.1:0 1:1 10:1 1000000:1\n");
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* Each host's mean, over all its series in the group; NaN left
 * out; a later block replaces the tick that it shares. */
static void test_gauges(void **state)
{
    struct kit k = {0};
    double a[] = {1, NAN, 5}, b[] = {100, 4, 6}, c[] = {9, 9, 9};
    static const char *const ids[] = {"h4", "h5"};

    (void)state;
    kit_open(&k, "[percentile load]\nmetric = load\nmatch = env=prod\nby = region\nwindows = 1m\n"
                 "quantiles = 0 0.25 0.5 0.75 1\n");
    kit_batch(&k, "h1", "env=prod region=r", KIT_NOW);
    kit_block(&k, KIT_NOW - 2000, 1000, 3, &(struct kit_series){"load", WIRE_GAUGE, a, NULL}, 1);
    kit_take(&k);
    kit_batch(&k, "h2", "env=prod region=r", KIT_NOW);
    kit_block(&k, KIT_NOW - 2000, 1000, 3, &(struct kit_series){"load", WIRE_GAUGE, b, NULL}, 1);
    kit_block(&k, KIT_NOW - 2000, 1000, 1,
              (struct kit_series[]){{"other", WIRE_GAUGE, a, NULL}, {"load", WIRE_GAUGE, a + 2, NULL}}, 2);
    kit_take(&k);
    kit_batch(&k, "h3", "env=test region=r", KIT_NOW);
    kit_block(&k, KIT_NOW - 2000, 1000, 3, &(struct kit_series){"load", WIRE_GAUGE, c, NULL}, 1);
    kit_take(&k);
    for (int i = 4; i < 6; i++) {
        kit_batch(&k, ids[i - 4], "env=prod region=r", KIT_NOW);
        kit_block(&k, KIT_NOW - 2000, 1000, 2, &(struct kit_series){"load{c=1}", WIRE_GAUGE, c, NULL}, 1);
        kit_block(&k, KIT_NOW - 2000, 1000, 2,
                  &(struct kit_series){"load{c=2}", WIRE_GAUGE, a + (i == 5), NULL}, 1);
        kit_take(&k);
    }
    assert_int_equal(series_forget_agent(k.set, kit_str("h1")), 0);
    assert_int_equal(series_forget_agent(k.set, kit_str("h2")), 0);
    assert_int_equal(series_forget_agent(k.set, kit_str("h3")), 0);
    assert_int_equal(series_forget_agent(k.set, kit_str("h4")), 0);
    assert_int_equal(series_forget_agent(k.set, kit_str("h5")), 0);
    /* h1: (1 + 5) / 2; h2: (5 + 4 + 6) / 3; h4: (9 + 9 + 1) / 3; h5: (9 + 9 + 5) / 3 */
    expect(&k, KIT_NOW,
           "percentile load of load\n"
           "  group region=r\n"
           "    1m n=4 0=3 0.25=3 0.5=5 0.75=6.333333333333333 1=7.666666666666667\n");
    expect(&k, KIT_NOW + 62000, "percentile load of load\n");
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* ---- against a plain recount ---- */

enum { GIVEN = 3000, WINDOWS = 3 };
static const int64_t widths[WINDOWS] = {10000, 60000, 3600000};

struct given {
    int64_t t; /* not after its receipt */
    double v[3];
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* All values later than the cut, which lies on a step at or before now - W. Both the number and the estimate
 * are checked, the latter to be within the resolution of scale 6 of the exact order statistic. */
static void recount(const struct given *all, size_t n, const struct percentile_group *g, int64_t now)
{
    static double v[3 * GIVEN];

    for (uint32_t w = 0; w < WINDOWS; w++) {
        int64_t step = widths[w] / 30, cut = (now - widths[w]) / step * step;
        size_t count = 0;
        double exact;

        for (size_t i = 0; i < n; i++) {
            for (int j = 0; j < 3 && all[i].t > cut; j++)
                v[count++] = all[i].v[j];
        }
        assert_int_equal(g->windows[w].n, count);
        if (!count)
            continue;
        qsort(v, count, sizeof *v, ascending);
        exact = v[(size_t)ceil(0.9 * (double)count) - 1];
        assert_true(fabs(g->windows[w].quantiles[1] - exact) <= 0.0055 * exact);
        assert_true(g->windows[w].quantiles[0] == v[0]);
        assert_true(g->windows[w].quantiles[2] == v[count - 1]);
    }
}

static void test_recount(void **state)
{
    static struct given all[GIVEN];
    struct kit k = {0};
    struct rng r;
    int64_t now = KIT_NOW;
    size_t n = 0;

    (void)state;
    rng_seed(&r, 7);
    kit_open(&k, "[percentile p]\nmetric = lat\nwindows = 10s 1m 1h\nquantiles = 0 0.9 1\n");
    while (n < GIVEN) {
        struct given *x = &all[n++];
        struct snapshot *s;
        int64_t late = rng_below(&r, 4) ? (int64_t)rng_below(&r, 3000) : (int64_t)rng_below(&r, 4000000);

        x->t = now - late;
        for (int j = 0; j < 3; j++)
            x->v[j] = exp(10 * rng_unit(&r) - 5);
        kit_batch(&k, "one", HOST, now);
        give(&k, "lat", x->t, x->v, 3);
        kit_take(&k);
        now += (int64_t)rng_below(&r, rng_below(&r, 50) ? 2000 : 300000);
        if (rng_below(&r, 3) == 0)
            series_advance(k.set, (struct wall){now});
        if (rng_below(&r, 4))
            continue;
        s = series_snapshot(k.set, (struct wall){now});
        assert_int_equal(s->percentiles[0].groups[0].count, 3 * n);
        recount(all, n, &s->percentiles[0].groups[0], now);
        snapshot_release(s);
    }
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* Counts never fall and each value is counted once, however wide the values; the schema only gets coarser. */
static void test_native(void **state)
{
    struct kit k = {0};
    struct rng r;
    uint64_t before[11] = {0};
    int scale = SKETCH_SCALE_MAX;

    (void)state;
    rng_seed(&r, 3);
    kit_open(&k, "[percentile p]\nmetric = lat\n");
    for (int i = 1; i <= 400; i++) {
        double v[2] = {exp((400 - i) / 10.0 * rng_unit(&r) - 5), -exp(i / 10.0 * rng_unit(&r))};
        const struct percentile_group *g;
        struct snapshot *s;
        uint64_t total = 0;

        kit_batch(&k, "one", HOST, KIT_NOW + i);
        give(&k, "lat", KIT_NOW + i, v, 2);
        kit_take(&k);
        s = series_snapshot(k.set, (struct wall){KIT_NOW + i});
        g = &s->percentiles[0].groups[0];
        assert_int_equal(g->count, 2 * i);
        assert_true(g->native->scale <= scale);
        scale = g->native->scale;
        for (uint32_t b = 0; b < 11; b++) {
            assert_true(g->buckets[b] >= before[b]);
            assert_true(!b || g->buckets[b] >= g->buckets[b - 1]);
            before[b] = g->buckets[b];
        }
        for (uint32_t b = 0; b < g->native->pos.n; b++)
            total += g->native->pos.counts[b];
        for (uint32_t b = 0; b < g->native->neg.n; b++)
            total += g->native->neg.counts[b];
        assert_int_equal(total + g->native->zero_count, 2 * i);
        snapshot_release(s);
    }
    assert_true(scale < SKETCH_SCALE && scale > 0);
    kit_close(&k);
}

/* ---- what the table tells of itself ---- */

struct wanted {
    struct sink sink; /* first */
    const char *name, *label;
    double found;
    int samples;
};

static void real(struct sink *s, const struct metric_row *row, const struct text *labels, double v)
{
    struct wanted *w = (struct wanted *)s;
    bool same = !strcmp(row->name, w->name);

    assert_true(!*row->labels == !labels);
    if (same && labels)
        same = labels[0].n == strlen(w->label) && !memcmp(labels[0].p, w->label, labels[0].n);
    if (!same)
        return;
    w->found = v;
    w->samples++;
}

static void integer(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v)
{
    real(s, row, labels, (double)v);
}

static double told(struct kit *k, const char *name, const char *label)
{
    struct wanted w = {.sink = {.integer = integer, .real = real}, .name = name, .label = label};

    series_metrics(k->set, &w.sink);
    assert_int_equal(w.samples, 1);
    return w.found;
}

/* Beyond max_groups values are left out and counted, one by one. */
static void test_max_groups(void **state)
{
    struct kit k = {0};
    double v[] = {1};

    (void)state;
    kit_open(&k, "[percentile p]\nmetric = lat\nby = route\nmax_groups = 1\n");
    kit_batch(&k, "one", HOST, KIT_NOW);
    give(&k, "lat{route=/a}", KIT_NOW, v, 1);
    give(&k, "lat{route=/b}", KIT_NOW, v, 1);
    give(&k, "lat{route=/b}", KIT_NOW - 1, v, 1);
    kit_gauge(&k, "shown", KIT_NOW, 1);
    kit_take(&k);
    assert_true(told(&k, "securebase_aggregator_series_lost_total", "groups") == 2);
    assert_true(told(&k, "securebase_aggregator_series_lost_total", "memory") == 0);
    assert_true(told(&k, "securebase_aggregator_percentile_groups", "p") == 1);
    assert_true(told(&k, "securebase_aggregator_percentile_refused", "p") == 0);
    assert_true(told(&k, "securebase_aggregator_values_total", "") == 4);
    assert_true(told(&k, "securebase_aggregator_series", "") == 3);
    assert_true(told(&k, "securebase_aggregator_series_memory_bytes", "") == (double)k.mem.used);
    assert_true(told(&k, "securebase_aggregator_values_refused_total", "future") == 0);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* The wall clock goes back by an hour. What was received in the hour that is
 * to come again is in no window, and takes no place from what is received now;
 * whether the clock was looked at in between does not matter. */
static void step_back(bool looked)
{
    const int64_t hour = 3600000;
    double v[] = {1, 2, 3}, w[] = {5};
    struct kit k = {0};
    struct snapshot *s;
    struct bytes b;

    kit_open(
        &k,
        "[percentile lat]\nmetric = lat\nwindows = 1m 1h\n[percentile load]\nmetric = load\nwindows = 1m\n");
    for (int64_t t = KIT_NOW - 50000; t <= KIT_NOW; t += 1000) {
        kit_batch(&k, "a", "host=h", t);
        b = kit_sketch(&k, v, 3);
        kit_block(&k, t, 0, 1,
                  (struct kit_series[]){{"lat", WIRE_SKETCH, NULL, &b}, {"load", WIRE_GAUGE, v, NULL}}, 2);
        kit_take(&k);
    }
    if (looked)
        series_advance(k.set, (struct wall){KIT_NOW - hour});
    for (int64_t t = KIT_NOW - hour; t < KIT_NOW - hour + 50000; t += 1000) {
        kit_batch(&k, "a", "host=h", t);
        b = kit_sketch(&k, w, 1);
        kit_block(&k, t, 0, 1,
                  (struct kit_series[]){{"lat", WIRE_SKETCH, NULL, &b}, {"load", WIRE_GAUGE, w, NULL}}, 2);
        kit_take(&k);
    }
    series_advance(k.set, (struct wall){KIT_NOW - hour + 50000});
    s = series_snapshot(k.set, (struct wall){KIT_NOW - hour + 50000});
    assert_int_equal(s->percentiles[0].groups[0].windows[0].n, 50);
    assert_int_equal(s->percentiles[0].groups[0].count, 51 * 3 + 50);
    assert_int_equal(s->percentiles[1].groups[0].windows[0].n, 1);
    assert_true(s->percentiles[1].groups[0].windows[0].quantiles[0] == 5);
    snapshot_release(s);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

static void test_step_back(void **state)
{
    (void)state;
    step_back(true);
    step_back(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_back), cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_sketches),  cmocka_unit_test(test_counter),
        cmocka_unit_test(test_gauges),    cmocka_unit_test(test_recount),
        cmocka_unit_test(test_native),    cmocka_unit_test(test_max_groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
