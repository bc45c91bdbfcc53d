/* Facts: gains put where they belong, whatever their order; windows that equal a sum over all that was told. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/alert/facts.h"
#include "common/base/rng.h"

static const int64_t base = 1764000000000; /* a full hour */

struct kit {
    struct mem mem;
    struct selections *s;
    struct facts *f;
};

static void kit_open(struct kit *k, int64_t reach_s)
{
    static const char *const by[] = {"service"};
    uint32_t at;

    *k = (struct kit){0};
    k->s = selections_new(&k->mem);
    assert_int_equal(selections_add(k->s, "m", "", by, 1, span_s(reach_s), &at, NULL), 0);
    k->f = facts_new(k->s, &k->mem);
    assert_non_null(k->f);
    facts_advance(k->f, (struct wall){base});
}

static void kit_close(struct kit *k)
{
    facts_free(&k->f);
    selections_free(&k->s);
    assert_int_equal(k->mem.used, 0);
}

static void tell_group(struct kit *k, uint32_t number, enum fact_kind kind, const char *service)
{
    struct label l = {"service", service};

    assert_int_equal(facts_group(k->f, &(struct fact_group_new){0, number, kind, {&l, 1}}), 0);
}

static int tell(struct kit *k, enum fact_kind kind, enum fact_tier tier, int64_t start, struct fact_bucket b)
{
    return facts_gain(k->f, &(struct fact_delta){.kind = kind, .tier = tier, .start = start, .gain = b});
}

static int tell_counter(struct kit *k, int64_t start, double increase)
{
    return tell(
        k, FACT_COUNTER, TIER_STEP, start,
        (struct fact_bucket){.n = 1, .last_t = start + 5000, .last = 1, .sum = increase, .series = 1});
}

static struct fact_bucket window(const struct kit *k, int64_t from, int64_t to, struct fact_cover *cover)
{
    struct fact_bucket b;

    assert_int_equal(facts_window(facts_group_at(k->f, 0, 0), from, to, &b, NULL, cover), 0);
    return b;
}

static void buckets_add_up(void **state)
{
    struct fact_bucket a = {.n = 1, .last_t = 10, .last = 5, .sum = 5, .min = 5, .max = 5, .series = 1};
    struct fact_bucket b = {.n = 2, .last_t = 8, .last = 1, .sum = 10, .min = 1, .max = 9, .series = 1};
    struct fact_bucket x = a, y = b, z = {0};

    (void)state;
    fact_add(FACT_GAUGE, &x, &b);
    fact_add(FACT_GAUGE, &y, &a);
    assert_memory_equal(&x, &y, sizeof x);
    assert_true(x.n == 3 && x.last_t == 10 && x.last == 5 && x.sum == 15 && x.min == 1 && x.max == 9);
    assert_int_equal(x.series, 2);
    fact_merge(FACT_GAUGE, &z, &a);
    fact_merge(FACT_GAUGE, &z, &b);
    assert_true(z.series == 1 && z.min == 1);
    x = a;
    fact_add(
        FACT_GAUGE, &x,
        &(struct fact_bucket){.n = 1, .last_t = 10, .last = 7, .sum = 7, .min = 7, .max = 7, .series = 1});
    assert_true(x.last == 6);
    x = a;
    fact_add(FACT_COUNTER, &x, &(struct fact_bucket){.sum = -2}); /* a correction alone */
    assert_true(x.sum == 3 && x.n == 1 && x.last == 5 && x.last_t == 10);
}

static void a_step_is_stored_and_read(void **state)
{
    static const enum fact_kind kinds[] = {FACT_GAUGE, FACT_COUNTER, FACT_SKETCH};
    struct sketch s, t;
    struct buf b;

    (void)state;
    sketch_init(&s, NULL);
    sketch_init(&t, NULL);
    assert_int_equal(sketch_add(&s, 0.25, 3), 0);
    buf_init(&b, NULL, 10000);
    for (int i = 0; i < 3; i++) {
        struct fact_bucket in = {.n = 3,
                                 .last_t = -7,
                                 .last = 1.5,
                                 .sum = 0.75,
                                 .min = 0.25,
                                 .max = 0.25,
                                 .series = 300,
                                 .sketch = &s};
        struct fact_bucket out;
        enum fact_kind kind;
        struct err e = {0};

        buf_clear(&b);
        assert_int_equal(fact_encode(kinds[i], &in, &b), 0);
        assert_int_equal(fact_decode(buf_bytes(&b), &kind, &out, &t, &e), 0);
        assert_int_equal(kind, kinds[i]);
        assert_true(out.n == 3 && out.last_t == -7 && out.last == 1.5 && out.sum == 0.75 &&
                    out.series == 300);
        assert_true(kind == FACT_COUNTER ? out.min == 0 && out.max == 0 : out.min == 0.25 && out.max == 0.25);
        assert_true(kind == FACT_SKETCH ? out.sketch == &t && t.count == 3 : !out.sketch);
        for (size_t n = 0; n < b.len; n++) {
            e = (struct err){0};
            assert_int_equal(fact_decode((struct bytes){b.data, n}, &kind, &out, &t, &e), ERR_MALFORMED);
            assert_true(e.text[0]);
        }
        buf_u8(&b, 0);
        assert_int_equal(fact_decode(buf_bytes(&b), &kind, &out, &t, &e), ERR_MALFORMED);
    }
    buf_free(&b);
    sketch_free(&s);
    sketch_free(&t);
}

static void windows_are_cut_at_steps(void **state)
{
    struct fact_cover c;
    struct fact_bucket b;
    struct kit k;

    (void)state;
    kit_open(&k, 900);
    tell_group(&k, 0, FACT_COUNTER, "a");
    facts_advance(k.f, (struct wall){base + 60000});
    for (int i = 0; i < 6; i++)
        assert_int_equal(tell_counter(&k, base + i * 10000, i + 1), 0);
    b = window(&k, base, base + 60000, &c);
    assert_true(b.sum == 21 && b.n == 6 && c.held == 6 && c.of == 6);
    b = window(&k, base + 1, base + 60000, &c);
    assert_true(b.sum == 21 && c.of == 6);
    b = window(&k, base + 10000, base + 59999, &c);
    assert_true(b.sum == 14 && c.held == 4 && c.of == 4);
    assert_int_equal(b.last_t, base + 45000);
    b = window(&k, base - 300000, base + 300000, &c);
    assert_true(b.sum == 21 && c.held == 6 && c.of == 60);
    for (int i = 0; i < 6;
         i++) { /* read again after each gain, late ones too, and windows of the same length in turn */
        assert_int_equal(tell_counter(&k, base + (5 - i) * 10000, 1), 0);
        for (int again = 0; again < 2; again++) {
            assert_true(window(&k, base, base + 60000, &c).sum == 22 + i && c.held == 6 && c.of == 6);
            assert_true(window(&k, base + 30000, base + 60000, &c).sum == (i < 3 ? 16 + i : 18));
            assert_true(window(&k, base, base + 30000, &c).sum == (i < 3 ? 6 : 4 + i));
        }
    }
    b = window(&k, base + 60000, base, &c);
    assert_true(b.n == 0 && b.sum == 0 && c.of == 0 && b.min == 0 && b.last_t == 0);
    kit_close(&k);
}

/* ---- against a plain list of all that was told ---- */

enum { TOLD_MOST = 20000 };
struct told {
    int64_t start;
    double v;
};

static double told_sum(const struct told *t, size_t n, int64_t from, int64_t to)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += t[i].start >= from && t[i].start < to ? t[i].v : 0;
    return sum;
}

/* Gains in any order over three days and more: each window of each tier is the sum of what lies in it. */
static void late_gains_land_in_every_tier(void **state)
{
    struct told *t = calloc(TOLD_MOST, sizeof *t);
    const int64_t reach = 10LL * FACT_DAY_MS;
    size_t n = 0;
    struct rng r;
    struct kit k;

    (void)state;
    assert_non_null(t);
    rng_seed(&r, 11);
    kit_open(&k, reach / 1000);
    tell_group(&k, 0, FACT_COUNTER, "a");
    for (; n < TOLD_MOST; n++) {
        int64_t now = base + (int64_t)n * 20000; /* four days and a half */
        int64_t back = n % 7 == 0   ? (int64_t)rng_below(&r, 2 * FACT_DAY_MS)
                       : n % 3 == 0 ? (int64_t)rng_below(&r, 1200000)
                                    : 0;

        facts_advance(k.f, (struct wall){now});
        t[n].start = (now - back) / FACT_STEP_MS * FACT_STEP_MS;
        t[n].v = (double)rng_below(&r, 1000);
        assert_int_equal(tell_counter(&k, t[n].start, t[n].v), 0);
    }
    for (int i = 0; i < 2000; i++) {
        static const int64_t lengths[] = {10000,    300000,    1800000,   3600000,  21600000,
                                          86400000, 262800000, 302400000, 604800000};
        int64_t now = base + (TOLD_MOST - 1) * 20000LL, length = lengths[i % 9];
        int64_t to = now - (int64_t)rng_below(&r, 600000), step = length <= 1800000     ? 10000
                                                                  : length <= 262800000 ? 60000
                                                                                        : 3600000;
        struct fact_bucket b;

        if (to - length < now - 1800000 && length > 1800000)
            to = now - (int64_t)rng_below(&r, 600000);
        step = fact_step_length(facts_group_at(k.f, 0, 0), to - length, to) > step
                   ? fact_step_length(facts_group_at(k.f, 0, 0), to - length, to)
                   : step;
        b = window(&k, to - length, to, NULL);
        if (b.sum != told_sum(t, n, (to - length) / step * step, to / step * step))
            fail_msg("window of %lld ms to %lld: %g", (long long)length, (long long)(now - to), b.sum);
    }
    free(t);
    kit_close(&k);
}

static void order_does_not_matter(void **state)
{
    enum { N = 500 };
    struct fact_bucket results[3];
    struct rng r;

    (void)state;
    for (int run = 0; run < 3; run++) {
        int64_t at[N];
        struct kit k;

        kit_open(&k, 7200);
        tell_group(&k, 0, FACT_GAUGE, "a");
        facts_advance(k.f, (struct wall){base + 3600000});
        rng_seed(&r, 3);
        for (int i = 0; i < N; i++)
            at[i] = (int64_t)rng_below(&r, 3600000);
        rng_seed(&r, (uint64_t)run);
        for (int i = N - 1; i > 0 && run; i--) {
            int j = (int)rng_below(&r, (uint64_t)i + 1);
            int64_t x = at[i];

            at[i] = at[j];
            at[j] = x;
        }
        for (int i = 0; i < N; i++) {
            double v = (double)(at[i] % 977);

            assert_int_equal(tell(&k, FACT_GAUGE, TIER_STEP, base + at[i] / 10000 * 10000,
                                  (struct fact_bucket){1, base + at[i] + 1, v, v, v, v, 1, NULL}),
                             0);
        }
        results[run] = window(&k, base, base + 3600000, NULL);
        assert_int_equal(results[run].n, N);
        kit_close(&k);
    }
    assert_memory_equal(&results[0], &results[1], sizeof results[0]);
    assert_memory_equal(&results[0], &results[2], sizeof results[0]);
}

struct lost_sink {
    struct sink sink;
    const char *reason;
    int64_t value;
};

static void lost_integer(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v)
{
    struct lost_sink *l = (struct lost_sink *)s;

    if (strcmp(row->name, "securebase_aggregator_fact_gains_lost_total") == 0 &&
        labels->n == strlen(l->reason) && !memcmp(labels->p, l->reason, labels->n))
        l->value = v;
}

static uint64_t lost(const struct kit *k, const char *reason)
{
    struct lost_sink l = {.sink = {.integer = lost_integer}, .reason = reason, .value = -1};

    facts_metrics(k->f, &l.sink);
    assert_true(l.value >= 0);
    return (uint64_t)l.value;
}

static void what_does_not_fit_is_counted(void **state)
{
    struct fact_bucket nan_gain = {.n = 1, .last_t = base + 1, .sum = (double)NAN};
    struct fact_delta d = {.kind = FACT_COUNTER, .start = base, .gain = {.n = 1}};
    struct kit k;

    (void)state;
    kit_open(&k, 900);
    tell_group(&k, 0, FACT_COUNTER, "a");
    facts_advance(k.f, (struct wall){base + 1000});
    assert_int_equal(tell_counter(&k, base - 2000000, 1), ERR_RANGE);
    assert_int_equal(lost(&k, "old"), 1);
    assert_int_equal(tell_counter(&k, base + 70000, 1), ERR_RANGE);
    assert_int_equal(lost(&k, "future"), 1);
    assert_int_equal(tell_counter(&k, base + 60000, 1), 0);
    assert_int_equal(tell_counter(&k, base + 1, 1), ERR_MALFORMED);
    assert_int_equal(tell(&k, FACT_COUNTER, TIER_STEP, base, nan_gain), ERR_MALFORMED);
    assert_int_equal(lost(&k, "broken"), 2);
    assert_int_equal(tell(&k, FACT_GAUGE, TIER_STEP, base, (struct fact_bucket){.n = 1}), ERR_STATE);
    assert_int_equal(lost(&k, "kind"), 1);
    assert_int_equal(tell(&k, FACT_COUNTER, TIER_HOUR, base, (struct fact_bucket){.n = 1}), ERR_RANGE);
    assert_int_equal(lost(&k, "coarse"), 1);
    d.group = 1;
    assert_int_equal(facts_gain(k.f, &d), ERR_NOTFOUND);
    d.group = 7000000;
    assert_int_equal(facts_gain(k.f, &d), ERR_NOTFOUND);
    d.group = 0;
    d.selection = 5;
    assert_int_equal(facts_gain(k.f, &d), ERR_NOTFOUND);
    assert_int_equal(lost(&k, "unknown_group"), 3);
    assert_int_equal(window(&k, base - 900000, base + 100000, NULL).n, 1);
    kit_close(&k);
}

static void no_memory_breaks_nothing(void **state)
{
    for (size_t cap = 500; cap < 20000; cap += 173) {
        static const char *const by[] = {"service"};
        struct kit k = {.mem = {.cap = cap}};
        struct selections *s = selections_new(NULL);
        struct label l = {"service", "a"};
        struct sketch sk;
        int refused = 0;
        uint32_t at;

        sketch_init(&sk, NULL);
        assert_int_equal(sketch_add(&sk, 1, 1), 0);
        assert_int_equal(selections_add(s, "m", "", by, 1, span_s(90000), &at, NULL), 0);
        k.f = facts_new(s, &k.mem);
        for (uint32_t i = 0; k.f && i < 40; i++) {
            enum fact_kind kind = i % 2 ? FACT_SKETCH : FACT_GAUGE;
            char name[8];

            (void)snprintf(name, sizeof name, "s%u", i);
            l.value = name;
            facts_advance(k.f, (struct wall){base + i * 1000});
            refused += facts_group(k.f, &(struct fact_group_new){0, i, kind, {&l, 1}}) != 0;
            refused +=
                facts_gain(k.f, &(struct fact_delta){.group = i,
                                                     .kind = kind,
                                                     .start = base,
                                                     .gain = {.n = 1, .last_t = base + 1, .sketch = &sk}}) !=
                0;
            if (i == 20 && facts_turn(k.f, s) == 0)
                assert_int_equal(
                    facts_gain(k.f, &(struct fact_delta){.group = 1, .kind = kind, .start = base}),
                    ERR_NOTFOUND);
        }
        assert_true(!k.f || refused > 0 || cap > 10000);
        facts_free(&k.f);
        assert_int_equal(k.mem.used, 0);
        selections_free(&s);
        sketch_free(&sk);
    }
    (void)state;
}

static void history_is_told_by_tier(void **state)
{
    struct fact_cover c;
    struct fact_bucket b;
    struct kit k;

    (void)state;
    kit_open(&k, 30 * 86400);
    tell_group(&k, 0, FACT_COUNTER, "a");
    facts_advance(k.f, (struct wall){base + FACT_HOUR_MS});
    for (int h = 1; h <= 720; h++) /* thirty days of hours, the last of them as minutes */
        assert_int_equal(
            tell(&k, FACT_COUNTER, TIER_HOUR, base - h * (int64_t)FACT_HOUR_MS,
                 (struct fact_bucket){.n = 60, .last_t = base - h * (int64_t)FACT_HOUR_MS + 1000, .sum = 60}),
            0);
    for (int m = 0; m < 60; m++)
        assert_int_equal(
            tell(&k, FACT_COUNTER, TIER_MINUTE, base + m * (int64_t)FACT_MINUTE_MS,
                 (struct fact_bucket){.n = 1, .last_t = base + m * (int64_t)FACT_MINUTE_MS + 1, .sum = 1}),
            0);
    b = window(&k, base + FACT_HOUR_MS - 30LL * FACT_DAY_MS, base + FACT_HOUR_MS, &c);
    assert_true(b.sum == 720 * 60 && c.of == 720 && c.held == 720);
    b = window(&k, base, base + FACT_HOUR_MS, &c); /* by the minute */
    assert_true(b.sum == 60 && c.of == 60 && c.held == 60);
    b = window(&k, base - FACT_HOUR_MS, base + FACT_HOUR_MS,
               &c); /* the hour that was told whole counts as held */
    assert_true(b.sum == 120 && c.of == 120 && c.held == 120);
    assert_true(k.mem.used < 150000);
    kit_close(&k);
}

static void memory_is_bounded(void **state)
{
    enum { GROUPS = 64 };
    const struct {
        enum fact_kind kind;
        int64_t reach;
        size_t most;
    } rows[] = {{FACT_COUNTER, 900, 3000}, {FACT_GAUGE, 900, 4600}, {FACT_COUNTER, 30 * 86400, 150000}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int64_t reach = rows[i].reach * 1000, every = reach < 1000000 ? 10000 : 600000;
        struct kit k;
        size_t each;

        kit_open(&k, rows[i].reach);
        for (uint32_t g = 0; g < GROUPS; g++) {
            char name[16];

            (void)snprintf(name, sizeof name, "service-%u", g);
            tell_group(&k, g, rows[i].kind, name);
        }
        for (int64_t t = 0; t < 2 * reach; t += every) {
            facts_advance(k.f, (struct wall){base + t});
            for (uint32_t g = 0; g < GROUPS; g++)
                assert_int_equal(
                    facts_gain(k.f, &(struct fact_delta){.group = g,
                                                         .kind = rows[i].kind,
                                                         .start = base + t,
                                                         .gain = {1, base + t + 1, 1, 1, 1, 1, 1, NULL}}),
                    0);
        }
        each = k.mem.used / GROUPS;
        print_message("kind %d, reach %lld s: %zu bytes a group\n", rows[i].kind, (long long)rows[i].reach,
                      each);
        assert_true(each < rows[i].most);
        kit_close(&k);
    }
}

static void sketches_merge(void **state)
{
    struct sketch in, out;
    struct fact_bucket b;
    struct fact_cover c;
    struct kit k;

    (void)state;
    sketch_init(&in, NULL);
    sketch_init(&out, NULL);
    kit_open(&k, 2 * 86400);
    tell_group(&k, 0, FACT_SKETCH, "a");
    facts_advance(k.f, (struct wall){base + 4 * FACT_HOUR_MS});
    for (int i = 0; i < 1000; i++) {
        int64_t start = base + (i * 7919 % 1440) * 10000;

        sketch_clear(&in);
        assert_int_equal(sketch_add(&in, 1 + i, 1), 0);
        assert_int_equal(tell(&k, FACT_SKETCH, TIER_STEP, start,
                              (struct fact_bucket){.n = 1, .last_t = start + 1, .series = 1, .sketch = &in}),
                         0);
    }
    assert_int_equal(facts_window(facts_group_at(k.f, 0, 0), base, base + 4 * FACT_HOUR_MS, &b, &out, &c), 0);
    assert_true(b.n == 1000 && out.count == 1000 && b.min == 1 && b.max == 1000 && b.sum == 500500 &&
                b.sketch == &out);
    assert_true(fabs(sketch_quantile(&out, 0.5) / 500 - 1) < 0.02);
    assert_int_equal(facts_window(facts_group_at(k.f, 0, 0), base, base + FACT_HOUR_MS, &b, NULL, &c), 0);
    assert_true(b.n > 150 && b.n < 300 && !b.sketch && c.of == 60 && c.held == 60);
    sketch_free(&in);
    sketch_free(&out);
    kit_close(&k);
}

static int each(void *arg, int64_t start, int64_t length, const struct fact_bucket *b)
{
    double *v = arg;

    assert_true((double)start >= v[0]);
    v[0] = (double)start + (double)length;
    v[1] += b->sum;
    v[2]++;
    return v[2] == v[3] ? 77 : 0;
}

static void steps_are_walked_in_order(void **state)
{
    double v[4] = {0};
    struct kit k;

    (void)state;
    kit_open(&k, 900);
    tell_group(&k, 0, FACT_COUNTER, "a");
    facts_advance(k.f, (struct wall){base + 100000});
    for (int i = 0; i < 10; i += 2)
        assert_int_equal(tell_counter(&k, base + (i * 7 % 10) * 10000, 1), 0);
    assert_int_equal(facts_each(facts_group_at(k.f, 0, 0), base, base + 100000, each, v), 0);
    assert_true(v[1] == 5 && v[2] == 5);
    v[0] = v[2] = 0;
    v[3] = 2;
    assert_int_equal(facts_each(facts_group_at(k.f, 0, 0), base, base + 100000, each, v), 77);
    assert_true(v[2] == 2);
    kit_close(&k);
}

static void groups_come_and_go(void **state)
{
    struct label l = {"service", "b"};
    const struct fact_group *g;
    struct kit k;

    (void)state;
    kit_open(&k, 900);
    tell_group(&k, 0, FACT_COUNTER, "a");
    tell_group(&k, 1, FACT_COUNTER, "b");
    assert_int_equal(facts_groups(k.f, 0), 2);
    assert_int_equal(facts_groups(k.f, 9), 0);
    assert_null(facts_group_at(k.f, 0, 2));
    assert_int_equal(tell_counter(&k, base, 3), 0);
    g = facts_group_find(k.f, 0, (struct labels){&l, 1});
    assert_non_null(g);
    assert_string_equal(labels_get(fact_labels(g), "service"), "b");
    assert_int_equal(fact_changes(g), 0);
    facts_gone(k.f, 0, 0);
    facts_gone(k.f, 0, 55);
    assert_int_equal(tell_counter(&k, base, 3), ERR_NOTFOUND);
    assert_int_equal(window(&k, base, base + 10000, NULL).sum,
                     3);                  /* known for as long as it can be looked at */
    tell_group(&k, 5, FACT_COUNTER, "a"); /* the same one under another number */
    assert_int_equal(facts_groups(k.f, 0), 2);
    assert_int_equal(facts_gain(k.f, &(struct fact_delta){.group = 5,
                                                          .kind = FACT_COUNTER,
                                                          .start = base,
                                                          .gain = {.n = 1, .sum = 4}}),
                     0);
    assert_int_equal(window(&k, base, base + 10000, NULL).sum, 7);
    tell_group(&k, 5, FACT_COUNTER, "c"); /* a number that goes to another */
    assert_int_equal(facts_groups(k.f, 0), 3);
    facts_advance(k.f, (struct wall){base + 2000000});
    assert_int_equal(facts_groups(k.f, 0), 2); /* a is gone and old; b and c are only silent */
    tell_group(&k, 1, FACT_GAUGE, "b");        /* another kind: begins anew */
    assert_int_equal(fact_group_kind(facts_group_find(k.f, 0, (struct labels){&l, 1})), FACT_GAUGE);
    kit_close(&k);
}

static void a_turn_keeps_what_is_equal(void **state)
{
    static const char *const by[] = {"service"};
    struct selections *s = selections_new(NULL);
    uint32_t at;
    struct kit k;

    (void)state;
    kit_open(&k, 900);
    tell_group(&k, 0, FACT_COUNTER, "a");
    for (int i = 0; i < 60; i++) {
        facts_advance(k.f, (struct wall){base + i * 10000});
        assert_int_equal(tell_counter(&k, base + i * 10000, 1), 0);
    }
    assert_int_equal(selections_add(s, "other", "", by, 1, span_s(60), &at, NULL), 0);
    assert_int_equal(selections_add(s, "m", "", by, 1, span_s(40 * 86400), &at, NULL), 0);
    assert_int_equal(facts_turn(k.f, s), 0);
    assert_int_equal(facts_groups(k.f, 0), 0);
    assert_int_equal(facts_groups(k.f, 1), 1);
    for (int i = 0; i < 3; i++) {
        static const int64_t lengths[] = {600000, 3600000, 30LL * FACT_DAY_MS};
        struct fact_bucket b;
        struct fact_cover c;

        assert_int_equal(facts_window(facts_group_at(k.f, 1, 0), base + FACT_HOUR_MS - lengths[i],
                                      base + FACT_HOUR_MS, &b, NULL, &c),
                         0);
        assert_int_equal(b.sum, i ? 60 : 0);
    }
    selections_free(&k.s);
    k.s = s;
    facts_free(&k.f);
    assert_int_equal(k.mem.used, 0);
    selections_free(&s);
}

static void own_metrics_are_taken_by_value(void **state)
{
    static const char *const by[] = {"room"};
    struct selections *s = selections_new(NULL);
    struct label a[] = {{"reason", "x"}, {"room", "r"}}, b[] = {{"reason", "y"}, {"room", "r"}};
    const struct fact_group *g;
    struct fact_bucket w;
    struct facts *f;
    uint32_t at;

    (void)state;
    assert_int_equal(
        selections_add(s, "securebase_aggregator_lost_total", "reason!=z", by, 1, span_s(900), &at, NULL), 0);
    assert_int_equal(selections_add(s, "securebase_agents", "", NULL, 0, span_s(900), &at, NULL), 0);
    f = facts_new(s, NULL);
    for (int i = 0; i <= 60; i++) {
        struct wall now = {base + i * 1000};

        facts_advance(f, now);
        assert_int_equal(facts_own(f, "securebase_aggregator_lost_total", FACT_COUNTER, (struct labels){a, 2},
                                   1000 + i, now),
                         0);
        if (i >= 30) /* appears later: has counted from 0 */
            assert_int_equal(facts_own(f, "securebase_aggregator_lost_total", FACT_COUNTER,
                                       (struct labels){b, 2}, i < 50 ? 5 : 2, now),
                             0);
        assert_int_equal(facts_own(f, "securebase_agents", FACT_GAUGE, (struct labels){0}, i % 10, now), 0);
        assert_int_equal(facts_own(f, "securebase_agents", FACT_GAUGE, (struct labels){a, 1}, 20, now), 0);
        assert_int_equal(facts_own(f, "securebase_nobody", FACT_GAUGE, (struct labels){0}, i, now), 0);
    }
    g = facts_group_at(f, 0, 0);
    assert_int_equal(facts_groups(f, 0), 1);
    assert_string_equal(labels_get(fact_labels(g), "room"), "r");
    assert_int_equal(facts_window(g, base - 10000, base + 60000, &w, NULL, NULL), 0);
    assert_true(w.sum == 60 + 5 + 2); /* begun at 1000; 5 at once; a reset to 2 */
    assert_true(w.last == 1060 + 2 && w.series == 2);
    assert_int_equal(facts_window(facts_group_at(f, 1, 0), base, base + 60000, &w, NULL, NULL), 0);
    assert_true(w.n == 120 && w.min == 0 && w.max == 20 && w.last == 10);
    facts_advance(f, (struct wall){base + 900000});
    assert_int_equal(facts_groups(f, 0), 1);
    facts_advance(f, (struct wall){base + 1200000});
    assert_int_equal(facts_groups(f, 0), 0); /* told no more */
    facts_free(&f);
    selections_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_add_up),
        cmocka_unit_test(a_step_is_stored_and_read),
        cmocka_unit_test(windows_are_cut_at_steps),
        cmocka_unit_test(late_gains_land_in_every_tier),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(what_does_not_fit_is_counted),
        cmocka_unit_test(no_memory_breaks_nothing),
        cmocka_unit_test(history_is_told_by_tier),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(sketches_merge),
        cmocka_unit_test(steps_are_walked_in_order),
        cmocka_unit_test(groups_come_and_go),
        cmocka_unit_test(a_turn_keeps_what_is_equal),
        cmocka_unit_test(own_metrics_are_taken_by_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
