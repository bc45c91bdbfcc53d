/* Baselines on labelled series: quiet ones stay quiet, events are found, steps become usual, and a restart
 * changes nothing. Precision and recall by kind are printed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/alert/baseline.h"
#include "tests/unit/anomaly_kit.h"

enum { SEEDS = 6 };

static struct baseline_params usual_params(bool seasonal)
{
    return (struct baseline_params){.seasonal = seasonal,
                                    .up = true,
                                    .down = true,
                                    .deviations = 4.5,
                                    .min_abs = 10,
                                    .min_rel = 0.1,
                                    .learn = span_s(14 * 86400)};
}

static struct score score_of(bool seasonal, enum event kind)
{
    struct baseline_params p = usual_params(seasonal);
    struct score s = {0};

    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        kit_run(&(struct scene){seed, seasonal, kind}, &p, &s);
    print_message("%-8s %-6s recall %3u/%-3u precision %.3f  false %u of %u values, %.3f runs a day\n",
                  seasonal ? "seasonal" : "ewma", event_names[kind], s.found, s.events,
                  s.found ? (double)s.found / (s.found + s.runs) : 0.0, s.flagged, s.values,
                  (double)s.runs / s.days);
    return s;
}

static void quiet_stays_quiet(void **state)
{
    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        static const enum event kinds[] = {EVENT_NONE, EVENT_GAP, EVENT_DRIFT};

        for (int i = 0; i < 3; i++) {
            struct score s = score_of(seasonal, kinds[i]);

            assert_true(s.values > 0);
            assert_true(s.flagged < s.values * 0.05);
            assert_true(s.runs <
                        s.days * 0.05); /* fewer than one day in twenty with a false alarm of two values */
        }
    }
}

static void events_are_found(void **state)
{
    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        static const enum event kinds[] = {EVENT_SPIKE, EVENT_DROP, EVENT_SHIFT};

        for (int i = 0; i < 3; i++) {
            struct score s = score_of(seasonal, kinds[i]);

            assert_true(s.found >= s.events * 0.95);
            assert_true(s.found >= (s.found + s.runs) * 0.9);
        }
    }
}

static enum baseline_verdict tell(struct baseline *b, const struct baseline_params *p, double v, int64_t t,
                                  struct baseline_answer *a)
{
    baseline_observe(b, p, v, (struct wall){t}, false, a);
    return a->verdict;
}

static void learning_gives_no_verdict(void **state)
{
    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        struct baseline_params p = usual_params(seasonal);
        struct baseline *b = baseline_new(seasonal, NULL);
        struct baseline_answer a;

        p.learn = span_s(7 * 86400);
        for (int64_t i = 0; i < 7 * 288; i++) {
            assert_int_equal(tell(b, &p, i % 100 == 50 ? 1e6 : 10, i * 300000, &a), BASELINE_LEARNING);
            assert_true(a.learnt <= 1);
        }
        (void)tell(b, &p, 10, 8 * 86400000LL, &a);
        assert_int_equal(tell(b, &p, 10, 8 * 86400000LL + 60000, &a), BASELINE_USUAL);
        assert_true(fabs(a.expected - 10) < 0.1);
        assert_int_equal(tell(b, &p, 1000, 8 * 86400000LL + 120000, &a), BASELINE_HIGH);
        assert_int_equal(tell(b, &p, -1000, 8 * 86400000LL + 180000, &a), BASELINE_LOW);
        p.down = false;
        assert_int_equal(tell(b, &p, -1000, 8 * 86400000LL + 240000, &a), BASELINE_USUAL);
        assert_true(isinf(a.low));
        p.min_abs = 5000;
        assert_int_equal(tell(b, &p, 1000, 8 * 86400000LL + 300000, &a), BASELINE_USUAL);
        p.min_abs = 0;
        p.min_rel = 200;
        assert_int_equal(tell(b, &p, 1000, 8 * 86400000LL + 360000, &a), BASELINE_USUAL);
        (void)tell(b, &p, (double)NAN, 8 * 86400000LL + 420000, &a);
        assert_int_equal(a.verdict, BASELINE_LEARNING);
        (void)tell(b, &p, (double)INFINITY, 8 * 86400000LL + 420000, &a);
        assert_int_equal(a.verdict, BASELINE_LEARNING);
        baseline_free(&b, NULL);
    }
}

/* Frozen, nothing is learnt: the same after a day of nonsense. */
static void frozen_nothing_is_learnt(void **state)
{
    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        struct baseline_params p = usual_params(seasonal);
        struct baseline *b = baseline_new(seasonal, NULL);
        struct baseline_answer a;
        int64_t t = 0;

        for (int64_t i = 0; i < 21 * 288; i++, t += 300000)
            (void)tell(b, &p, 100 + (double)(i * 7919 % 11), t, &a);
        for (int64_t i = 0; i < 288; i++, t += 300000) {
            baseline_observe(b, &p, 1e5, (struct wall){t}, true, &a);
            assert_int_equal(a.verdict, BASELINE_HIGH);
        }
        assert_int_equal(tell(b, &p, 105, t, &a), BASELINE_USUAL);
        assert_true(fabs(a.expected - 105) < 3 && a.spread < 10);
        baseline_free(&b, NULL);
    }
}

/* How long a new level is unusual. */
static void a_new_level_becomes_usual(void **state)
{
    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        for (int factor = 0; factor < 2; factor++) {
            struct scene s = {3, seasonal, EVENT_NONE};
            struct baseline_params p = usual_params(seasonal);
            struct baseline *b = baseline_new(seasonal, NULL);
            uint32_t first = 0, last = 0, after = 0;
            struct rng r;

            rng_seed(&r, 5);
            for (uint32_t i = 0; i < 80 * KIT_DAY; i++) {
                double v = kit_usual(&s, i) + 3 * kit_gauss(&r);
                struct baseline_answer a;
                bool off;

                if (i >= 35 * KIT_DAY)
                    v = factor ? v * 2.5 : v + 80;
                off = tell(b, &p, v, 1763942400000 + i * (int64_t)KIT_EVERY_MS, &a) > BASELINE_USUAL;
                if (i < 35 * KIT_DAY)
                    continue;
                first = off && !first ? i : first;
                last = off && i < 40 * KIT_DAY ? i : last;
                after += off && i >= 40 * KIT_DAY;
            }
            print_message("%s, %s: unusual from value %u to %.1f hours; %u later\n",
                          seasonal ? "seasonal" : "ewma", factor ? "factor" : "step", first - 35 * KIT_DAY,
                          (last - 35 * KIT_DAY) / 12.0, after);
            assert_true(first - 35 * KIT_DAY < 3);
            assert_true(last - 35 * KIT_DAY < 72 * 12);
            assert_true(after < 40 * KIT_DAY / 100);
            baseline_free(&b, NULL);
        }
    }
}

static bool equal(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void same(const struct baseline_answer *x, const struct baseline_answer *y)
{
    assert_true(x->verdict == y->verdict && x->weeks == y->weeks && x->keep == y->keep);
    assert_true(equal(x->expected, y->expected) && equal(x->spread, y->spread) && equal(x->low, y->low) &&
                equal(x->high, y->high) && equal(x->learnt, y->learnt));
}

static void a_record_changes_nothing(void **state)
{
    struct mem mem = {0};

    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        struct scene s = {9, seasonal, EVENT_NONE};
        struct baseline_params p = usual_params(seasonal);
        struct baseline *b = baseline_new(seasonal, &mem), *c;
        struct baseline_answer x, y;
        struct err e = {0};
        struct buf record;
        struct rng r;

        buf_init(&record, NULL, 10000);
        rng_seed(&r, 5);
        for (uint32_t i = 0; i < 40 * KIT_DAY; i++) {
            double v = kit_usual(&s, i) + 3 * kit_gauss(&r) + (i % 1000 > 990 ? 100 : 0);
            int64_t t = 1763942400000 + i * (int64_t)KIT_EVERY_MS;

            if (i % 997 == 0) {
                buf_clear(&record);
                assert_int_equal(baseline_encode(b, &record), 0);
                assert_true(record.len <= BASELINE_BYTES_MOST);
                assert_int_equal(baseline_decode(buf_bytes(&record), &mem, &c, &e), 0);
                assert_int_equal(baseline_is_seasonal(c), seasonal);
                (void)tell(c, &p, v, t, &y);
                (void)tell(b, &p, v, t, &x);
                same(&x, &y);
                baseline_free(&b, &mem);
                b = c;
                continue;
            }
            (void)tell(b, &p, v, t, &x);
        }
        for (size_t n = 0; n < record.len; n++)
            assert_int_equal(baseline_decode((struct bytes){record.data, n}, &mem, &c, &e), ERR_MALFORMED);
        buf_u8(&record, 1);
        assert_int_equal(baseline_decode(buf_bytes(&record), &mem, &c, &e), ERR_MALFORMED);
        buf_free(&record);
        assert_true(mem.used <= BASELINE_BYTES_MOST);
        baseline_free(&b, &mem);
    }
    assert_int_equal(mem.used, 0);
}

/* A series that was 0 for a year has a spread of next to nothing; what comes then is told, and learnt. */
static void nothing_for_a_year(void **state)
{
    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        struct baseline_params p = usual_params(seasonal);
        struct baseline *b = baseline_new(seasonal, NULL);
        struct baseline_answer a = {0};
        uint32_t off = 0;
        int64_t t = 0;

        p.min_abs = 0;
        for (int64_t i = 0; i < 365 * 288; i++, t += 300000)
            assert_true(tell(b, &p, 0, t, &a) <= BASELINE_USUAL);
        assert_int_equal(tell(b, &p, 3, t, &a), BASELINE_HIGH);
        for (int64_t i = 0; i < 60 * 288; i++, t += 300000) {
            bool unusual = tell(b, &p, 3 + (double)(i * 7919 % 11), t, &a) > BASELINE_USUAL;

            assert_true(a.spread < 1e300);
            off += unusual && i > 45 * 288 ? 1u : 0u;
        }
        assert_true(off < 15 * 288 / 20);
        assert_true(a.spread > 0.5 && a.spread < 20);
        baseline_free(&b, NULL);
    }
}

/* Times that go back, jump years ahead, and values of any size. */
static void anything_is_survived(void **state)
{
    (void)state;
    for (int seasonal = 0; seasonal < 2; seasonal++) {
        struct baseline_params p = usual_params(seasonal);
        struct baseline *b = baseline_new(seasonal, NULL);
        struct rng r;
        int64_t t = 0;

        rng_seed(&r, 1);
        p.learn = span_s(0);
        for (int i = 0; i < 200000; i++) {
            double v = ldexp(rng_unit(&r) - 0.5, (int)rng_below(&r, 400) - 200);
            struct baseline_answer a;

            t += (int64_t)rng_below(&r, i % 1000 ? 600000 : 400000000000) - 100000;
            (void)tell(b, &p, v, t, &a);
            assert_false(isinf(a.expected) || isinf(a.spread));
        }
        baseline_free(&b, NULL);
    }
}

static void it_says_why(void **state)
{
    struct baseline_params p = usual_params(true);
    struct baseline_answer a = {.verdict = BASELINE_HIGH,
                                .expected = 117,
                                .spread = 5.6,
                                .low = 95,
                                .high = 140,
                                .weeks = 3,
                                .learnt = 1};
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1000);
    baseline_text(&p, &a, 412, &b);
    assert_string_equal(buf_text(&b), "high: 412, usual are 95 … 140 (expected 117, spread 5.6, 3 weeks)");
    buf_clear(&b);
    p.up = false;
    a.verdict = BASELINE_LOW;
    a.weeks = 0;
    baseline_text(&p, &a, 12, &b);
    assert_string_equal(buf_text(&b), "low: 12, usual are 95 and more (expected 117, spread 5.6)");
    buf_clear(&b);
    a = (struct baseline_answer){.verdict = BASELINE_LEARNING, .spread = (double)NAN, .learnt = 0.25};
    baseline_text(&p, &a, 12, &b);
    assert_string_equal(buf_text(&b), "learning: 12, 25 % learnt");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_stays_quiet),
        cmocka_unit_test(events_are_found),
        cmocka_unit_test(learning_gives_no_verdict),
        cmocka_unit_test(frozen_nothing_is_learnt),
        cmocka_unit_test(a_new_level_becomes_usual),
        cmocka_unit_test(a_record_changes_nothing),
        cmocka_unit_test(nothing_for_a_year),
        cmocka_unit_test(anything_is_survived),
        cmocka_unit_test(it_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
