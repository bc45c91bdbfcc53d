/* Statistics: what each makes of a gauge, a counter and a sketch, against figures reckoned by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/alert/statistics.h"
#include "common/base/rng.h"

static const int64_t base = 1764000000000; /* a full hour */

struct kit {
    struct selections *s;
    struct facts *f;
    struct sketch scratch;
    struct wall now;
};

/* Selections 0 and 1 of one group each. */
static void kit_open(struct kit *k, enum fact_kind kind, int64_t reach_s)
{
    uint32_t at;

    *k = (struct kit){.s = selections_new(NULL), .now = {base}};
    assert_int_equal(selections_add(k->s, "m", "", NULL, 0, span_s(reach_s), &at, NULL), 0);
    assert_int_equal(selections_add(k->s, "of", "", NULL, 0, span_s(reach_s), &at, NULL), 0);
    k->f = facts_new(k->s, NULL);
    assert_non_null(k->f);
    assert_int_equal(facts_group(k->f, &(struct fact_group_new){0, 0, kind, {0}}), 0);
    assert_int_equal(facts_group(k->f, &(struct fact_group_new){1, 0, kind, {0}}), 0);
    sketch_init(&k->scratch, NULL);
}

static void kit_close(struct kit *k)
{
    facts_free(&k->f);
    selections_free(&k->s);
    sketch_free(&k->scratch);
}

/* At base + at_ms: a gauge's value; a counter's reading and increase. */
static void tell(struct kit *k, uint32_t selection, int64_t at_ms, double last, double increase)
{
    int64_t t = base + at_ms, start = (t - 1) / FACT_STEP_MS * FACT_STEP_MS;
    enum fact_kind kind = fact_group_kind(facts_group_at(k->f, selection, 0));
    struct fact_bucket b = {1, t, last, kind == FACT_COUNTER ? increase : last, last, last, 1, NULL};

    if (t > k->now.ms)
        k->now.ms = t;
    facts_advance(k->f, k->now);
    assert_int_equal(
        facts_gain(k->f,
                   &(struct fact_delta){.selection = selection, .kind = kind, .start = start, .gain = b}),
        0);
}

static struct statistic_answer ask(struct kit *k, struct statistic_ask a)
{
    struct statistic_answer out;

    facts_advance(k->f, k->now);
    statistic_measure(&a, facts_group_at(k->f, 0, 0), facts_group_at(k->f, 1, 0), k->now, &k->scratch, &out);
    assert_true(out.has == !isnan(out.value) && out.has == !out.why);
    return out;
}

static double value(struct kit *k, enum statistic what, int64_t window_s)
{
    struct statistic_answer a = ask(k, (struct statistic_ask){.what = what, .window = span_s(window_s)});

    return a.value;
}

static void close_to(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b)))
        fail_msg("%.17g instead of %.17g", a, b);
}

static void of_a_gauge(void **state)
{
    static const double v[] = {4, 8, 1, 3, 9, 5};
    struct statistic_answer a;
    struct kit k;

    (void)state;
    kit_open(&k, FACT_GAUGE, 900);
    for (int i = 0; i < 6; i++)
        tell(&k, 0, i * 10000 + 5000, v[i], 0);
    close_to(value(&k, STAT_LAST, 60), 5);
    close_to(value(&k, STAT_AVG, 60), 5);
    close_to(value(&k, STAT_MIN, 60), 1);
    close_to(value(&k, STAT_MAX, 60), 9);
    close_to(value(&k, STAT_SUM, 60), 30);
    close_to(value(&k, STAT_COUNT, 60), 6);
    close_to(value(&k, STAT_INCREASE, 60), 1);
    close_to(value(&k, STAT_MIN, 30), 3); /* the window ends with the newest step */
    close_to(value(&k, STAT_AVG, 30), 17.0 / 3);
    a = ask(&k, (struct statistic_ask){.what = STAT_PERCENTILE, .window = span_s(60), .quantile = 0.5});
    assert_true(a.has && fabs(a.value / 4 - 1) < 0.01);
    a = ask(&k, (struct statistic_ask){.what = STAT_PERCENTILE, .window = span_s(60), .quantile = 1});
    close_to(a.value, 9);
    a = ask(&k, (struct statistic_ask){.what = STAT_SHARE, .window = span_s(60), .bound = 4.5});
    close_to(a.value, 0.5);
    a = ask(&k, (struct statistic_ask){.what = STAT_MAX, .window = span_s(300)});
    assert_true(a.cover.held == 6 && a.cover.of == 30 && a.n == 6 && a.newest == base + 55000);
    assert_true(a.to == base + 60000 && a.from == base - 240000);
    kit_close(&k);
}

static void time_stamps(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, FACT_GAUGE, 900);
    tell(&k, 0, 5000, (double)(base / 1000 + 86400), 0);
    k.now.ms = base + 10000;
    close_to(value(&k, STAT_UNTIL, 60), 86390);
    close_to(value(&k, STAT_AGE, 60), -86390);
    k.now.ms = base + 20000; /* it goes on without samples */
    close_to(value(&k, STAT_UNTIL, 60), 86380);
    tell(&k, 0, 25000, 0, 0); /* none */
    k.now.ms = base + 30000;
    assert_true(isnan(value(&k, STAT_UNTIL, 60)));
    assert_true(value(&k, STAT_AGE, 60) == 0);
    kit_close(&k);
    kit_open(&k, FACT_COUNTER, 900);
    tell(&k, 0, 5000, 1, 1);
    k.now.ms = base + 10000;
    assert_true(isnan(value(&k, STAT_AGE, 60)));
    kit_close(&k);
}

static void nothing_known_says_why(void **state)
{
    struct statistic_answer out;
    struct kit k;

    (void)state;
    kit_open(&k, FACT_GAUGE, 900);
    for (enum statistic s = 0; s < STATISTICS; s++) {
        struct statistic_answer a =
            ask(&k, (struct statistic_ask){.what = s, .window = span_s(60), .before = span_s(60)});

        assert_true(s == STAT_COUNT ? a.has && a.value == 0 : !a.has && a.why);
        statistic_measure(&(struct statistic_ask){.what = s, .window = span_s(60)}, NULL, NULL, k.now,
                          &k.scratch, &out);
        assert_true(!out.has && out.why);
    }
    tell(&k, 0, 5000, 1, 0);
    k.now.ms += 120000;
    assert_true(isnan(value(&k, STAT_LAST, 60))); /* older than the window */
    assert_true(value(&k, STAT_LAST, 300) == 1);
    assert_true(isnan(value(&k, STAT_FORECAST, 300)));
    assert_true(isnan(value(&k, STAT_INCREASE, 300)));
    kit_close(&k);
    kit_open(&k, FACT_COUNTER, 900);
    tell(&k, 0, 5000, 1, 1);
    assert_true(isnan(value(&k, STAT_AVG, 60)) && isnan(value(&k, STAT_PERCENTILE, 60)) &&
                isnan(value(&k, STAT_SHARE, 60)));
    kit_close(&k);
}

static void rates_know_what_has_arrived(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, FACT_COUNTER, 900);
    for (int i = 1; i <= 600; i++)
        tell(&k, 0, i * 1000, i * 7, 7);
    close_to(value(&k, STAT_RATE, 300), 7);
    close_to(value(&k, STAT_INCREASE, 300), 2100);
    close_to(value(&k, STAT_SUM, 300), 2100);
    k.now.ms += 17000; /* seconds that no batch has brought yet do not lower it */
    close_to(value(&k, STAT_RATE, 300), 7);
    k.now.ms += 200000; /* but silence does */
    assert_true(value(&k, STAT_RATE, 300) < 7);
    kit_close(&k);
}

static void ratios(void **state)
{
    struct statistic_ask a = {.what = STAT_RATIO, .window = span_s(60)};
    struct statistic_answer out;
    struct kit k;

    (void)state;
    kit_open(&k, FACT_COUNTER, 900);
    for (int i = 1; i <= 60; i++)
        tell(&k, 1, i * 1000, i * 10, 10);
    out = ask(&k, a);
    assert_true(out.has && out.value == 0 && out.n == 600 && out.newest == base + 60000);
    statistic_measure(&a, NULL, facts_group_at(k.f, 1, 0), k.now, &k.scratch, &out);
    assert_true(out.has && out.value == 0 && out.n == 600);
    for (int i = 1; i <= 60; i++)
        tell(&k, 0, i * 1000, i, 1);
    out = ask(&k, a);
    close_to(out.value, 0.1);
    statistic_measure(&a, facts_group_at(k.f, 0, 0), NULL, k.now, &k.scratch, &out);
    assert_true(!out.has && out.why);
    k.now.ms += 600000;
    out = ask(&k, a);
    assert_true(!out.has && out.n == 0);
    kit_close(&k);
    kit_open(&k, FACT_GAUGE, 900);
    for (int i = 1; i <= 60; i++) {
        tell(&k, 0, i * 1000, 75, 0);
        tell(&k, 1, i * 1000, 100, 0);
    }
    close_to(value(&k, STAT_RATIO, 60), 0.75);
    statistic_measure(&a, NULL, facts_group_at(k.f, 1, 0), k.now, &k.scratch, &out);
    assert_false(out.has);
    kit_close(&k);
}

static void of_a_sketch(void **state)
{
    struct statistic_answer a;
    struct sketch s;
    struct kit k;

    (void)state;
    sketch_init(&s, NULL);
    kit_open(&k, FACT_SKETCH, 7200);
    for (int i = 1; i <= 100; i++) {
        int64_t start = base + i * 10000;

        sketch_clear(&s);
        assert_int_equal(sketch_add(&s, i <= 90 ? 0.1 : 2.0, 10), 0);
        k.now.ms = start + 10000;
        facts_advance(k.f, k.now);
        assert_int_equal(
            facts_gain(k.f,
                       &(struct fact_delta){.kind = FACT_SKETCH,
                                            .start = start,
                                            .gain = {.last_t = start + 9000, .series = 1, .sketch = &s}}),
            0);
    }
    a = ask(&k, (struct statistic_ask){.what = STAT_SHARE, .window = span_s(1000), .bound = 1});
    close_to(a.value, 0.1);
    assert_int_equal(a.n, 1000);
    a = ask(&k, (struct statistic_ask){.what = STAT_PERCENTILE, .window = span_s(1000), .quantile = 0.95});
    assert_true(fabs(a.value / 2 - 1) < 0.01);
    a = ask(&k, (struct statistic_ask){.what = STAT_PERCENTILE, .window = span_s(3600), .quantile = 0.5});
    assert_true(fabs(a.value / 0.1 - 1) < 0.01);
    close_to(value(&k, STAT_MAX, 1000), 2);
    close_to(value(&k, STAT_COUNT, 1000), 1000);
    close_to(value(&k, STAT_INCREASE, 1000), 1000);
    assert_true(fabs(value(&k, STAT_AVG, 1000) - 0.29) < 1e-9);
    assert_true(fabs(value(&k, STAT_RATE, 1000) - 1) < 0.01);
    assert_true(isnan(value(&k, STAT_LAST, 1000)));
    sketch_free(&s);
    kit_close(&k);
}

static void a_full_disk_is_foreseen(void **state)
{
    struct statistic_ask a = {.what = STAT_FORECAST, .window = span_s(3600), .horizon = span_s(4 * 3600)};
    struct statistic_answer out;
    struct kit k;
    struct rng r;

    (void)state;
    rng_seed(&r, 4);
    kit_open(&k, FACT_GAUGE, 7200);
    for (int i = 1; i <= 3600; i += 10) {
        double v = 100000 - 5.0 * i;

        if (i / 60 % 5 == 4) /* a fifth of it is nonsense */
            v = (double)rng_below(&r, 1000000);
        tell(&k, 0, i * 1000, v, 0);
    }
    out = ask(&k, a);
    assert_true(out.has);
    if (fabs(out.value - (100000 - 5.0 * 5 * 3600)) > 1000)
        fail_msg("forecast %g", out.value);
    kit_close(&k);

    kit_open(&k, FACT_GAUGE, 7200); /* known for too short a time */
    for (int i = 3000; i <= 3600; i += 10)
        tell(&k, 0, i * 1000, i, 0);
    out = ask(&k, a);
    assert_false(out.has);
    kit_close(&k);
}

static void lines_and_medians(void **state)
{
    double x[LINE_POINTS], y[LINE_POINTS], v[101];
    struct line l;
    struct rng r;

    (void)state;
    rng_seed(&r, 9);
    for (int round = 0; round < 2000; round++) {
        uint32_t n = 1 + (uint32_t)rng_below(&r, 100), smaller = 0, equal = 0;
        double sorted[101], m;

        for (uint32_t i = 0; i < n; i++)
            sorted[i] = v[i] = (double)rng_below(&r, round % 2 ? 5 : 1000000);
        m = median_of(v, n);
        for (uint32_t i = 0; i < n; i++) {
            smaller += sorted[i] < m;
            equal += sorted[i] == m;
        }
        assert_true(smaller <= n / 2 && smaller + equal >= n / 2);
    }
    for (int i = 0; i < LINE_POINTS; i++) {
        x[i] = i * 10;
        y[i] = i % 4 == 3 ? -1e9 : 3 - 2 * x[i]; /* a quarter far off */
    }
    l = line_through(x, y, LINE_POINTS);
    assert_true(fabs(l.slope + 2) < 0.2 && fabs(l.at_zero - 3) < 60);
    l = line_through(x, y, 1);
    assert_true(l.slope == 0 && l.at_zero == 3);
    x[1] = x[0];
    l = line_through(x, y, 2);
    assert_true(l.slope == 0);
}

static void changes_look_a_week_back(void **state)
{
    struct statistic_ask a = {.what = STAT_CHANGE, .window = span_s(300), .before = span_s(7 * 86400)};
    struct statistic_answer out;
    struct kit k;

    (void)state;
    kit_open(&k, FACT_COUNTER, 8 * 86400);
    for (int64_t s = 60; s <= 8 * 86400; s += 60)
        tell(&k, 0, s * 1000, 0, s > 8 * 86400 - 900 ? 180 : 60);
    out = ask(&k, a);
    assert_true(out.has && fabs(out.value - 2) < 0.05);
    a.before = span_s(600);
    out = ask(&k, a);
    assert_true(out.has && fabs(out.value) < 0.05);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_gauge),
        cmocka_unit_test(time_stamps),
        cmocka_unit_test(nothing_known_says_why),
        cmocka_unit_test(rates_know_what_has_arrived),
        cmocka_unit_test(ratios),
        cmocka_unit_test(of_a_sketch),
        cmocka_unit_test(a_full_disk_is_foreseen),
        cmocka_unit_test(lines_and_medians),
        cmocka_unit_test(changes_look_a_week_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
