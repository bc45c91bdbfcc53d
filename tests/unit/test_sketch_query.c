/* What a sketch answers: quantiles against the sorted values,
 * counts up to a bound against their definition. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/sketch/sketch.h"

static void quantiles_of_few_values(void **state)
{
    static const double q[] = {0, 0.5, 1, 0.25, 0.26};
    double out[5];
    struct sketch s;

    (void)state;
    sketch_init(&s, NULL);
    assert_true(isnan(sketch_quantile(&s, 0.5)) && isnan(sketch_quantile(&s, 0)));
    assert_int_equal(sketch_add(&s, 3, 1), 0);
    for (int i = 0; i <= 10; i++)
        assert_true(sketch_quantile(&s, i / 10.0) == 3);
    assert_true(isnan(sketch_quantile(&s, (double)NAN)));
    assert_int_equal(sketch_add(&s, -3, 1), 0);
    assert_int_equal(sketch_add(&s, 0, 1), 0);
    assert_int_equal(sketch_add(&s, -100, 1), 0);
    sketch_quantiles(&s, q, out, 5); /* -100 -3 0 3; not in order */
    assert_true(out[0] == -100 && out[2] == 3);
    assert_true(fabs(out[1] + 3) < 3 * 0.0055);
    assert_true(fabs(out[3] + 100) < 100 * 0.0055);
    assert_true(fabs(out[4] + 3) < 3 * 0.0055);
    assert_true(sketch_quantile(&s, 0.75) == 0);
    sketch_free(&s);
}

static void quantiles_at_the_ends_of_the_doubles(void **state)
{
    struct sketch s;

    (void)state;
    for (int scale = SKETCH_SCALE_MIN; scale <= SKETCH_SCALE_MAX; scale++) {
        sketch_init_scale(&s, NULL, scale);
        assert_int_equal(sketch_add(&s, DBL_MAX, 3), 0);
        assert_true(sketch_quantile(&s, 0.5) == DBL_MAX);
        assert_int_equal(sketch_add(&s, 0x1.fffp1023, 3), 0);
        assert_true(isfinite(sketch_quantile(&s, 0.5)));
        assert_int_equal(sketch_add(&s, -DBL_MAX, 9), 0);
        assert_true(isfinite(sketch_quantile(&s, 0.3)));
        sketch_free(&s);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double normal(struct rng *r)
{
    return sqrt(-2 * log(1 - rng_unit(r))) * cos(6.283185307179586 * rng_unit(r));
}

static double draw(int kind, struct rng *r)
{
    double u = 1 - rng_unit(r);

    switch (kind) {
    case 0: return exp(normal(r) * 0.8 - 6);                                 /* log-normal latencies */
    case 1: return pow(u, -1 / 1.1);                                         /* Pareto */
    case 2: return rng_below(r, 2) ? 0.001 + 1e-5 * u : 3 + 0.1 * normal(r); /* bimodal */
    case 3: return 42;                                                       /* constant */
    case 4: return pow(u, -8) * (rng_below(r, 2) ? 1 : -1);                  /* heavy tails on both sides */
    case 5: return normal(r);                                                /* around zero */
    default: return (double)rng_below(r, 5) - 2;                             /* few integers, many ties */
    }
}

/* The estimate is within (b - 1) / (b + 1) of the value whose rank it has, b being the base in force. */
static void quantile_error_is_bounded(void **state)
{
    enum { N = 20000 };
    static const double q[] = {0.0001, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999};
    double *v = calloc(N, sizeof *v);
    struct rng r;

    (void)state;
    rng_seed(&r, 3);
    for (int kind = 0; kind < 7; kind++) {
        struct sketch s;

        sketch_init(&s, NULL);
        for (int i = 0; i < N; i++) {
            v[i] = draw(kind, &r);
            assert_int_equal(sketch_add(&s, v[i], 1), 0);
        }
        qsort(v, N, sizeof *v, ascending);
        for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
            double b = exp2(exp2(-s.scale)), rank = ceil(q[i] * N);
            double true_value = v[(size_t)(rank < 1 ? 1 : rank) - 1];

            assert_true(fabs(sketch_quantile(&s, q[i]) - true_value) <=
                        fabs(true_value) * ((b - 1) / (b + 1) + 1e-12));
        }
        assert_true(sketch_quantile(&s, 0) == v[0] && sketch_quantile(&s, 1) == v[N - 1]);
        sketch_free(&s);
    }
    free(v);
}

/* count_le against its definition, slot by slot. */
static uint64_t count_le_plainly(const struct sketch *s, double le)
{
    uint64_t n = le >= 0 ? s->zero_count : 0;

    for (uint32_t k = 0; k < s->pos.n; k++)
        n += sketch_bound(s->pos.offset + (int32_t)k + 1, s->scale) <= le ? s->pos.counts[k] : 0;
    for (uint32_t k = 0; k < s->neg.n; k++)
        n += -sketch_bound(s->neg.offset + (int32_t)k, s->scale) <= le ? s->neg.counts[k] : 0;
    return n;
}

static void counts_up_to_a_bound(void **state)
{
    static const double le[] = {0,        -0.0,   0.5,     1,        2,         -1, -2, DBL_MAX,
                                -DBL_MAX, 1e-300, -1e-300, 0x1p-128, -0x1p-128, 3,  -3};
    struct sketch s;
    struct rng r;

    (void)state;
    rng_seed(&r, 4);
    sketch_init(&s, NULL);
    assert_int_equal(sketch_count_le(&s, 1), 0);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(sketch_add(&s, draw(4 + i % 3, &r), 1 + rng_below(&r, 3)), 0);
    assert_int_equal(sketch_add(&s, DBL_MAX, 1), 0);
    for (size_t i = 0; i < sizeof le / sizeof *le; i++)
        assert_int_equal(sketch_count_le(&s, le[i]), count_le_plainly(&s, le[i]));
    for (int i = 0; i < 500; i++) {
        double x = sketch_bound((int32_t)rng_below(&r, 400) - 200, s.scale) * (i % 2 ? 1 : -1);

        assert_int_equal(sketch_count_le(&s, x), count_le_plainly(&s, x));
        assert_int_equal(sketch_count_le(&s, nextafter(x, 0)), count_le_plainly(&s, nextafter(x, 0)));
        assert_int_equal(sketch_count_le(&s, x * 1.01), count_le_plainly(&s, x * 1.01));
    }
    assert_int_equal(sketch_count_le(&s, (double)INFINITY), s.count);
    assert_int_equal(sketch_count_le(&s, -(double)INFINITY), 0);
    assert_int_equal(sketch_count_le(&s, (double)NAN), 0);
    sketch_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_of_few_values),
        cmocka_unit_test(quantiles_at_the_ends_of_the_doubles),
        cmocka_unit_test(quantile_error_is_bounded),
        cmocka_unit_test(counts_up_to_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
