/* Merging against a model: whatever the order, the tree, the scales at the beginning and the detours over
 * downscaling, copying and the wire, the sketch is what the values say. The model keeps one counter for each
 * index of scale 8 that there is. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/sketch/sketch.h"

enum { VALUES = 300, LEAVES = 12, FIRST = -128 * 256, SPAN = 1152 * 256 };

struct value {
    double v;
    uint64_t weight;
};

struct model {
    uint64_t *side[2]; /* pos, neg: SPAN counters, that of index FIRST + i at i */
    uint64_t zero, count;
    double min, max;
    int scale; /* the lowest of those taking part */
};

static void model_init(struct model *m)
{
    *m = (struct model){.scale = SKETCH_SCALE_MAX};
    for (int i = 0; i < 2; i++)
        assert_non_null(m->side[i] = calloc(SPAN, sizeof(uint64_t)));
}

static void model_free(struct model *m)
{
    free(m->side[0]);
    free(m->side[1]);
}

static void model_add(struct model *m, struct value x)
{
    if (!m->count || x.v < m->min)
        m->min = x.v;
    if (!m->count || x.v > m->max)
        m->max = x.v;
    m->count += x.weight;
    if (fabs(x.v) <= 0x1p-128)
        m->zero += x.weight;
    else
        m->side[x.v < 0][sketch_index(x.v, 8) - FIRST] += x.weight;
}

static int32_t floor_div(int32_t i, int32_t by)
{
    return i >= 0 ? i / by : -((-i + by - 1) / by);
}

/* First and last index of a side at a scale; false when it is empty. */
static bool model_ends(const uint64_t *side, int scale, int32_t *lo, int32_t *hi)
{
    int32_t a = 0, b = SPAN - 1;

    while (a < SPAN && !side[a])
        a++;
    if (a == SPAN)
        return false;
    while (!side[b])
        b--;
    *lo = floor_div(a + FIRST, 1 << (8 - scale));
    *hi = floor_div(b + FIRST, 1 << (8 - scale));
    return true;
}

/* The highest scale that the extents allow, up to the lowest of those taking part. */
static int model_scale(const struct model *m)
{
    int32_t lo, hi;

    for (int s = m->scale; s > SKETCH_SCALE_MIN; s--) {
        bool fits = true;

        for (int i = 0; i < 2; i++)
            fits = fits && (!model_ends(m->side[i], s, &lo, &hi) || hi - lo + 1 <= SKETCH_SLOTS);
        if (fits)
            return s;
    }
    return SKETCH_SCALE_MIN;
}

static void same_range(const struct sketch_range *r, const uint64_t *side, int scale)
{
    uint64_t *want;
    int32_t lo, hi;

    if (!model_ends(side, scale, &lo, &hi)) {
        assert_int_equal(r->n, 0);
        return;
    }
    assert_int_equal(r->offset, lo);
    assert_int_equal(r->n, hi - lo + 1);
    want = calloc(r->n, sizeof *want);
    for (int32_t i = 0; i < SPAN; i++)
        if (side[i])
            want[floor_div(i + FIRST, 1 << (8 - scale)) - lo] += side[i];
    assert_memory_equal(want, r->counts, r->n * sizeof *want);
    free(want);
}

static void same_as_model(const struct sketch *s, const struct model *m)
{
    assert_int_equal(s->scale, model_scale(m));
    assert_true(s->count == m->count && s->zero_count == m->zero);
    assert_true(s->min == m->min && s->max == m->max);
    same_range(&s->pos, m->side[0], s->scale);
    same_range(&s->neg, m->side[1], s->scale);
}

static void same_ranges(const struct sketch_range *a, const struct sketch_range *b)
{
    assert_int_equal(a->n, b->n);
    if (a->n) {
        assert_int_equal(a->offset, b->offset);
        assert_memory_equal(a->counts, b->counts, a->n * sizeof *a->counts);
    }
}

static void same_sketch(const struct sketch *a, const struct sketch *b)
{
    assert_int_equal(a->scale, b->scale);
    assert_true(a->count == b->count && a->zero_count == b->zero_count && a->min == b->min &&
                a->max == b->max);
    same_ranges(&a->pos, &b->pos);
    same_ranges(&a->neg, &b->neg);
}

/* A value whose spread depends on the round, so that some
 * rounds never downscale and some go down to scale 0. */
static struct value draw(struct rng *r, unsigned round)
{
    int reach = (int[]){1, 8, 30, 33, 64, 130, 500, 1152}[round % 8];
    int start = 1152 - reach ? (int)(round * 37 % (unsigned)(1153 - reach)) - 128 : -128;
    double v = ldexp(1 + rng_unit(r), start + (int)rng_below(r, (uint64_t)reach));

    if (rng_below(r, 40) == 0)
        v = rng_below(r, 2) ? 0 : 0x1p-130;
    if (rng_below(r, 20) == 0)
        v = ldexp(1, start + (int)rng_below(r, (uint64_t)reach));
    if (round / 8 % 3 && rng_below(r, 3) < round / 8 % 3)
        v = -v;
    return (struct value){v, rng_below(r, 10) ? 1 : 1 + rng_below(r, UINT64_C(1) << 40)};
}

/* Over the wire and back into another sketch. */
static void through_bytes(struct sketch *s)
{
    struct buf b, again;
    struct sketch t;
    struct err e = {0};
    size_t used = 0, checked = 0;

    buf_init(&b, NULL, 1 << 17);
    buf_init(&again, NULL, 1 << 17);
    sketch_init(&t, NULL);
    assert_int_equal(sketch_encode(s, &b), 0);
    assert_int_equal(sketch_decode(&t, b.data, b.len, &used, &e), 0);
    assert_int_equal(sketch_check(b.data, b.len, &checked, &e), 0);
    assert_true(used == b.len && checked == b.len);
    assert_true(sketch_sum(&t) == sketch_sum(s));
    same_sketch(&t, s);
    assert_int_equal(sketch_encode(&t, &again), 0);
    assert_true(again.len == b.len && !memcmp(again.data, b.data, b.len));
    sketch_free(s);
    *s = t;
    buf_free(&b);
    buf_free(&again);
}

static void by_copy(struct sketch *s)
{
    struct sketch t;

    sketch_init(&t, NULL);
    assert_int_equal(sketch_add(&t, -1e10, 7), 0);
    assert_int_equal(sketch_copy(&t, s), 0);
    sketch_free(s);
    *s = t;
}

/* Leaves are filled and merged pairwise in a random tree, with values still arriving in between. */
static void any_tree_gives_what_the_values_say(void **state)
{
    struct model m;
    struct rng r;

    (void)state;
    rng_seed(&r, 11);
    for (unsigned round = 0; round < 96; round++) {
        struct sketch leaf[LEAVES];
        unsigned left = LEAVES;

        model_init(&m);
        for (unsigned i = 0; i < LEAVES; i++) {
            int scale = rng_below(&r, 3) ? SKETCH_SCALE : (int)rng_below(&r, 13) - 4;

            if (round % 4)
                scale = scale < 5 ? 5 : scale;
            sketch_init_scale(&leaf[i], NULL, scale);
            m.scale = scale < m.scale ? scale : m.scale;
        }
        for (int k = 0; k < VALUES; k++) {
            struct value x = draw(&r, round);
            unsigned i = (unsigned)rng_below(&r, left);

            model_add(&m, x);
            assert_int_equal(sketch_add(&leaf[i], x.v, x.weight), 0);
            if (rng_below(&r, 40) == 0)
                through_bytes(&leaf[i]);
            if (rng_below(&r, 40) == 0)
                by_copy(&leaf[i]);
            if (left > 1 && rng_below(&r, VALUES / LEAVES) == 0) {
                unsigned j = (i + 1) % left;

                assert_int_equal(sketch_merge(&leaf[i], &leaf[j]), 0);
                sketch_free(&leaf[j]);
                leaf[j] = leaf[--left];
            }
        }
        for (; left > 1; left--) {
            assert_int_equal(sketch_merge(&leaf[left - 2], &leaf[left - 1]), 0);
            sketch_free(&leaf[left - 1]);
        }
        same_as_model(&leaf[0], &m);
        sketch_free(&leaf[0]);
        model_free(&m);
    }
}

static void fill(struct sketch *s, struct rng *r, unsigned round, int scale)
{
    sketch_init_scale(s, NULL, scale);
    for (uint64_t n = rng_below(r, 60); n; n--) {
        struct value x = draw(r, round);

        assert_int_equal(sketch_add(s, x.v, x.weight), 0);
    }
}

/* a = b ⊕ c into a fresh sketch of the highest scale. */
static void sum_of(struct sketch *a, const struct sketch *b, const struct sketch *c)
{
    sketch_init_scale(a, NULL, SKETCH_SCALE_MAX);
    assert_int_equal(sketch_merge(a, b), 0);
    assert_int_equal(sketch_merge(a, c), 0);
}

static void merging_is_an_addition(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 12);
    for (unsigned round = 0; round < 400; round++) {
        struct sketch x[3], xy, yx, yz, left, right, nothing, with;

        for (int i = 0; i < 3; i++)
            fill(&x[i], &r, round + (unsigned)rng_below(&r, 2), round % 5 ? 8 - (int)rng_below(&r, 6) : 6);
        sum_of(&xy, &x[0], &x[1]);
        sum_of(&yx, &x[1], &x[0]);
        same_sketch(&xy, &yx);
        sum_of(&yz, &x[1], &x[2]);
        sum_of(&left, &xy, &x[2]);
        sum_of(&right, &x[0], &yz);
        same_sketch(&left, &right);
        sketch_init_scale(&nothing, NULL, SKETCH_SCALE_MAX);
        sum_of(&with, &x[0], &nothing);
        same_sketch(&with, &x[0]);
        for (int i = 0; i < 3; i++)
            sketch_free(&x[i]);
        sketch_free(&xy), sketch_free(&yx), sketch_free(&yz), sketch_free(&left), sketch_free(&right);
        sketch_free(&with);
    }
}

static void downscaling_and_merging_commute(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 13);
    for (unsigned round = 0; round < 400; round++) {
        struct sketch a, b, late, early;
        int to = (int)rng_below(&r, 13) - 4;

        fill(&a, &r, round, 8 - (int)rng_below(&r, 4));
        fill(&b, &r, round + 1, 8 - (int)rng_below(&r, 4));
        sum_of(&late, &a, &b);
        sketch_downscale(&late, to);
        sketch_downscale(&a, to);
        sketch_downscale(&b, to);
        sum_of(&early, &a, &b);
        sketch_downscale(&early, to);
        same_sketch(&late, &early);
        sketch_free(&a), sketch_free(&b), sketch_free(&late), sketch_free(&early);
    }
}

static void merging_with_itself_doubles(void **state)
{
    struct sketch a, twice;
    struct rng r;

    (void)state;
    rng_seed(&r, 14);
    for (unsigned round = 0; round < 50; round++) {
        double sum;

        fill(&a, &r, round, 6);
        sum_of(&twice, &a, &a);
        sum = sketch_sum(&a);
        assert_int_equal(sketch_merge(&a, &a), 0);
        same_sketch(&a, &twice);
        assert_true(isinf(sum) || sketch_sum(&a) == 2 * sum);
        sketch_free(&a), sketch_free(&twice);
    }
}

/* A sketch that is cleared keeps no trace of its past. */
static void clearing_forgets(void **state)
{
    struct sketch a, b;
    struct rng r;

    (void)state;
    rng_seed(&r, 15);
    sketch_init(&a, NULL);
    for (unsigned round = 0; round < 100; round++) {
        sketch_clear(&a);
        sketch_init(&b, NULL);
        for (int i = 0; i < 50; i++) {
            struct value x = draw(&r, round);

            assert_int_equal(sketch_add(&a, x.v, x.weight), 0);
            assert_int_equal(sketch_add(&b, x.v, x.weight), 0);
        }
        same_sketch(&a, &b);
        assert_true(sketch_sum(&a) == sketch_sum(&b));
        sketch_free(&b);
    }
    sketch_free(&a);
}

/* Each slot count in turn, against sums taken one by one: tails of the vector loop included. */
static void wide_additions_agree_with_narrow_ones(void **state)
{
    (void)state;
    for (int32_t n = 1; n <= 70; n++)
        for (int32_t shift = -3; shift <= 3; shift++) {
            struct sketch a, b;

            sketch_init(&a, NULL);
            sketch_init(&b, NULL);
            for (int32_t i = 0; i < n; i++) {
                assert_int_equal(sketch_add(&a, sketch_bound(i + 1, 6), (uint64_t)i + 1), 0);
                assert_int_equal(sketch_add(&b, sketch_bound(i + 1 + shift, 6), UINT64_C(1) << 32), 0);
            }
            assert_int_equal(sketch_merge(&a, &b), 0);
            for (int32_t i = 0; i < (int32_t)a.pos.n; i++) {
                int32_t at = a.pos.offset + i;
                uint64_t want = at >= 0 && at < n ? (uint64_t)at + 1 : 0;

                want += at >= shift && at < n + shift ? UINT64_C(1) << 32 : 0;
                assert_true(a.pos.counts[i] == want);
            }
            assert_int_equal(a.pos.n, n + (shift < 0 ? -shift : shift));
            sketch_free(&a);
            sketch_free(&b);
        }
}

/* The quantiles of a merged sketch are those of the whole, to the bit. */
static void quantiles_do_not_see_the_tree(void **state)
{
    static const double q[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    struct rng r;

    (void)state;
    rng_seed(&r, 16);
    for (unsigned round = 0; round < 100; round++) {
        struct sketch whole, part[5], merged;
        double a[7], b[7];

        sketch_init(&whole, NULL);
        sketch_init(&merged, NULL);
        for (int i = 0; i < 5; i++)
            sketch_init(&part[i], NULL);
        for (int i = 0; i < 200; i++) {
            struct value x = draw(&r, round);

            assert_int_equal(sketch_add(&whole, x.v, x.weight), 0);
            assert_int_equal(sketch_add(&part[rng_below(&r, 5)], x.v, x.weight), 0);
        }
        for (int i = 0; i < 5; i++) {
            assert_int_equal(sketch_merge(&merged, &part[i]), 0);
            sketch_free(&part[i]);
        }
        sketch_quantiles(&whole, q, a, 7);
        sketch_quantiles(&merged, q, b, 7);
        assert_memory_equal(a, b, sizeof a);
        for (int i = 0; i < 7; i++)
            assert_true(sketch_quantile(&whole, q[i]) == a[i] && (!i || a[i - 1] <= a[i]));
        sketch_free(&whole);
        sketch_free(&merged);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_tree_gives_what_the_values_say),
        cmocka_unit_test(merging_is_an_addition),
        cmocka_unit_test(downscaling_and_merging_commute),
        cmocka_unit_test(merging_with_itself_doubles),
        cmocka_unit_test(clearing_forgets),
        cmocka_unit_test(wide_additions_agree_with_narrow_ones),
        cmocka_unit_test(quantiles_do_not_see_the_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
