/* The sketch against exact arithmetic: every entry of the
 * table, indices next to boundaries; and special values. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "common/base/rng.h"
#include "common/sketch/sketch.h"
#include "common/sketch/sketch_index.h"

/* ---- an oracle that shares nothing with the code: whole numbers of as many limbs as it takes ---- */

enum { LIMBS = 256 }; /* 53 × 256 bits and room */

struct big {
    uint64_t limb[LIMBS];
    size_t n;
};

static void big_square(struct big *x)
{
    uint64_t out[LIMBS] = {0};

    assert_true(2 * x->n <= LIMBS);
    for (size_t i = 0; i < x->n; i++) {
        unsigned __int128 carry = 0;

        for (size_t j = 0; j < x->n; j++) {
            carry += (unsigned __int128)x->limb[i] * x->limb[j] + out[i + j];
            out[i + j] = (uint64_t)carry;
            carry >>= 64;
        }
        out[i + x->n] = (uint64_t)carry;
    }
    memcpy(x->limb, out, sizeof out);
    x->n *= 2;
    while (x->n && !x->limb[x->n - 1])
        x->n--;
}

/* Bits of x - 1, for x > 0: ceil(log2 x). */
static int64_t big_log2_up(const struct big *x)
{
    bool power = true;
    int64_t bits = (int64_t)(x->n - 1) * 64 + (64 - __builtin_clzll(x->limb[x->n - 1]));

    for (size_t i = 0; i + 1 < x->n; i++)
        power = power && !x->limb[i];
    power = power && !(x->limb[x->n - 1] & (x->limb[x->n - 1] - 1));
    return power ? bits - 1 : bits;
}

/* v = c × 2^e is in bucket i when i < 2^s × log2(v) <= i + 1, so i = ceil(log2(c^(2^s))) + e × 2^s - 1. */
static int64_t exact_index(double v, int scale)
{
    int exponent;
    double part = frexp(fabs(v), &exponent);
    struct big c = {.limb = {(uint64_t)ldexp(part, 53)}, .n = 1};
    int64_t e = exponent - 53;

    if (scale < 0) {
        int64_t i = big_log2_up(&c) + e - 1, size = INT64_C(1) << -scale;

        return i >= 0 ? i / size : -((-i + size - 1) / size);
    }
    for (int k = 0; k < scale; k++)
        big_square(&c);
    return big_log2_up(&c) + e * (INT64_C(1) << scale) - 1;
}

/* ---- the table ---- */

static void table_is_exact(void **state)
{
    (void)state;
    for (int k = 1; k < SKETCH_PARTS; k++) {
        /* 2^(k/256) lies between the significand below and the one of the table */
        double above = ldexp((double)((UINT64_C(1) << 52) + sketch_frac[k]), -52);
        double below = ldexp((double)((UINT64_C(1) << 52) + sketch_frac[k] - 1), -52);

        assert_int_equal(exact_index(above, 8), k);
        assert_int_equal(exact_index(below, 8), k - 1);
    }
    assert_int_equal(sketch_frac[0], 1);
    assert_int_equal(sketch_frac[SKETCH_PARTS], UINT64_C(1) << 52);
}

static void table_cells_hold_one_boundary(void **state)
{
    (void)state;
    for (uint64_t j = 0; j < 2 * SKETCH_PARTS; j++) {
        uint64_t start = j << SKETCH_CELL_SHIFT, end = (j + 1) << SKETCH_CELL_SHIFT;
        unsigned k = 0;

        while (k <= SKETCH_PARTS && sketch_frac[k] <= start)
            k++;
        assert_int_equal(sketch_cell[j], k);
        assert_true(k == SKETCH_PARTS || sketch_frac[k + 1] >= end);
    }
}

/* Digests of the published tables of scale 5 to 8: significands with the implicit bit, little-endian, the
 * first being 2^52. */
static void table_has_the_published_digests(void **state)
{
    static const char *const want[] = {"7ba94e4a647138d9", "66429961cc8ab878", "989f2110a805f27f",
                                       "643217a74a363647"};

    (void)state;
    for (unsigned scale = 5; scale <= 8; scale++) {
        uint8_t bytes[8 * SKETCH_PARTS], digest[SHA256_DIGEST_LENGTH];
        char text[17];
        size_t n = 0;

        for (unsigned k = 0; k < SKETCH_PARTS; k += 1u << (8 - scale)) {
            uint64_t c = (UINT64_C(1) << 52) + (k ? sketch_frac[k] : 0);

            for (unsigned i = 0; i < 8; i++)
                bytes[n++] = (uint8_t)(c >> (8 * i));
        }
        SHA256(bytes, n, digest);
        for (unsigned i = 0; i < 8; i++)
            (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
        assert_string_equal(text, want[scale - 5]);
    }
}

/* ---- indices ---- */

static void same_index(double v)
{
    for (int s = SKETCH_SCALE_MIN; s <= SKETCH_SCALE_MAX; s++)
        assert_int_equal(sketch_index(v, s), exact_index(v, s));
}

static void index_at_powers_of_two(void **state)
{
    (void)state;
    for (int e = -127; e <= 1023; e++) {
        double v = ldexp(1, e);

        for (int s = 0; s <= SKETCH_SCALE_MAX; s++) {
            int32_t per = 1 << s;

            assert_int_equal(sketch_index(v, s), e * per - 1);
            assert_int_equal(sketch_index(-v, s), e * per - 1);
            assert_int_equal(sketch_index(nextafter(v, INFINITY), s), e * per);
            assert_true(sketch_bound(e * per, s) == v);
        }
        for (int s = SKETCH_SCALE_MIN; s < 0; s++)
            assert_int_equal(sketch_index(v, s), (int)floor((e - 1) / ldexp(1, -s)));
    }
    same_index(nextafter(ldexp(1, -128), 1));
    same_index(DBL_MAX);
}

static void index_next_to_boundaries(void **state)
{
    static const int octaves[] = {-128, -1, 0, 1, 59, 1023};
    struct rng r;

    (void)state;
    rng_seed(&r, 1);
    for (size_t o = 0; o < sizeof octaves / sizeof *octaves; o++)
        for (int i = 0; i < 40; i++) {
            int32_t k = (int32_t)rng_below(&r, SKETCH_PARTS);
            double v = sketch_bound(octaves[o] * SKETCH_PARTS + k, 8);

            for (int j = 0; j < 3; j++)
                v = nextafter(v, 0);
            for (int j = 0; j < 7; j++, v = nextafter(v, INFINITY))
                if (v > ldexp(1, -128))
                    same_index(v);
        }
}

static void index_of_random_doubles(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 2);
    for (int i = 0; i < 2000; i++)
        same_index(ldexp(1 + rng_unit(&r), (int)rng_below(&r, 1152) - 128));
}

/* bound(i) < v <= bound(i + 1) for the doubles at both ends of each bucket of an octave, at every scale. */
static void bounds_enclose_their_bucket(void **state)
{
    (void)state;
    for (int s = SKETCH_SCALE_MIN; s <= SKETCH_SCALE_MAX; s++) {
        int32_t first = s < 0 ? -128 >> -s : -128 * (1 << s), end = s < 0 ? 1024 >> -s : 1024 * (1 << s);

        for (int32_t i = first; i < end; i += i % 8 == 0 && s > 4 ? 5 : 1) {
            double low = sketch_bound(i, s), high = sketch_bound(i + 1, s);

            assert_true(low < high);
            assert_int_equal(sketch_index(nextafter(low, INFINITY), s), i);
            assert_int_equal(sketch_index(high, s), i);
            assert_true(fabs(low / exp2((double)i / exp2(s)) - 1) < 1e-12);
        }
        assert_true(sketch_bound(end, s) == DBL_MAX);
        assert_true(sketch_bound(INT32_MAX, s) == DBL_MAX);
        assert_true(sketch_bound(INT32_MIN, s) == 0);
    }
}

/* client_golang's TestGetLe: schema 2, key -1 has the bound 0.8408964152537144, which it rounds to the
 * nearest double. */
static void bound_of_a_published_vector(void **state)
{
    (void)state;
    assert_true(fabs(sketch_bound(-1, 2) - 0.8408964152537144) <= DBL_EPSILON / 2);
}

/* ---- recording ---- */

static uint64_t at(const struct sketch_range *r, int32_t i)
{
    return i < r->offset || i >= r->offset + (int32_t)r->n ? 0 : r->counts[i - r->offset];
}

static void special_values(void **state)
{
    static const double zeros[] = {0.0, -0.0, DBL_TRUE_MIN, -DBL_TRUE_MIN, DBL_MIN, 0x1p-128, -0x1p-128};
    struct sketch s;
    uint64_t n = 0;

    (void)state;
    sketch_init(&s, NULL);
    assert_int_equal(sketch_add(&s, (double)NAN, 1), ERR_RANGE);
    assert_int_equal(sketch_add(&s, -(double)NAN, 1), ERR_RANGE);
    assert_int_equal(sketch_add(&s, (double)INFINITY, 1), ERR_RANGE);
    assert_int_equal(sketch_add(&s, -(double)INFINITY, 1), ERR_RANGE);
    assert_int_equal(sketch_add(&s, 1, 0), 0);
    assert_int_equal(s.count, 0);
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++)
        assert_int_equal(sketch_add(&s, zeros[i], i + 1), 0), n += i + 1;
    assert_int_equal(s.count, n);
    assert_int_equal(s.zero_count, n);
    assert_int_equal(s.pos.n + s.neg.n, 0);
    assert_true(s.min == -0x1p-128 && s.max == 0x1p-128);
    assert_int_equal(sketch_add(&s, nextafter(0x1p-128, 1), 1), 0);
    assert_int_equal(sketch_add(&s, -nextafter(0x1p-128, 1), 2), 0);
    assert_int_equal(s.zero_count, n);
    assert_int_equal(at(&s.pos, -128 * 64), 1);
    assert_int_equal(at(&s.neg, -128 * 64), 2);
    sketch_free(&s);
}

static void zero_has_no_sign(void **state)
{
    struct sketch s;

    (void)state;
    sketch_init(&s, NULL);
    assert_int_equal(sketch_add(&s, -0.0, 1), 0);
    assert_false(signbit(s.min) || signbit(s.max) || signbit(sketch_sum(&s)));
    sketch_free(&s);
}

static void whole_range_of_doubles_fits(void **state)
{
    struct sketch s;

    (void)state;
    sketch_init_scale(&s, NULL, SKETCH_SCALE_MAX);
    for (int e = 0; e < 1151; e++) {
        assert_int_equal(sketch_add(&s, ldexp(1.5, e % 2 ? -127 + e / 2 : 1023 - e / 2), 1), 0);
        assert_int_equal(sketch_add(&s, -ldexp(1.5, e % 2 ? -127 + e / 2 : 1023 - e / 2), 1), 0);
    }
    assert_int_equal(sketch_add(&s, DBL_MAX, 1), 0);
    assert_int_equal(sketch_add(&s, nextafter(0x1p-128, 1), 1), 0);
    assert_int_equal(s.scale, 0);
    assert_int_equal(s.pos.n, 1152);
    assert_int_equal(at(&s.pos, 1023), 2);
    assert_int_equal(at(&s.pos, -128), 1);
    sketch_downscale(&s, SKETCH_SCALE_MIN);
    assert_int_equal(s.pos.n, 72);
    assert_int_equal(s.pos.offset, -8);
    sketch_free(&s);
}

/* opentelemetry-go's vector {2, 2, 2, 1, 8, 0.5}: at scale -1 offset -1 and counts 2 3 1. */
static void published_downscale(void **state)
{
    static const double v[] = {2, 2, 2, 1, 8, 0.5};
    struct sketch s;

    (void)state;
    sketch_init(&s, NULL);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        assert_int_equal(sketch_add(&s, v[i], 1), 0);
    sketch_downscale(&s, -1);
    assert_int_equal(s.pos.offset, -1);
    assert_int_equal(s.pos.n, 3);
    assert_int_equal(s.pos.counts[0], 2);
    assert_int_equal(s.pos.counts[1], 3);
    assert_int_equal(s.pos.counts[2], 1);
    assert_true(sketch_sum(&s) == 15.5);
    sketch_free(&s);
}

static void no_memory_changes_nothing(void **state)
{
    struct mem mem = {.cap = 16 * 8};
    struct sketch s, big;

    (void)state;
    sketch_init(&s, &mem);
    sketch_init(&big, NULL);
    assert_int_equal(sketch_add(&s, 1, 1), 0);
    assert_int_equal(sketch_add(&s, 100, 1), ERR_NOMEM);
    assert_int_equal(sketch_add(&s, -1, 1), ERR_NOMEM);
    assert_int_equal(sketch_add(&big, 100, 1), 0);
    assert_int_equal(sketch_merge(&s, &big), ERR_NOMEM);
    assert_int_equal(sketch_add(&big, 1e300, 1), 0);
    assert_int_equal(sketch_merge(&s, &big), ERR_NOMEM);
    assert_int_equal(sketch_copy(&s, &big), ERR_NOMEM);
    assert_int_equal(s.scale, SKETCH_SCALE);
    assert_int_equal(s.count, 1);
    assert_int_equal(at(&s.pos, -1), 1);
    assert_true(s.max == 1 && sketch_sum(&s) == 1);
    sketch_free(&s);
    sketch_free(&big);
    assert_int_equal(mem.used, 0);
}

static void count_never_overflows(void **state)
{
    struct sketch a, b;

    (void)state;
    sketch_init(&a, NULL);
    sketch_init(&b, NULL);
    assert_int_equal(sketch_add(&a, 1, UINT64_MAX - 1), 0);
    assert_int_equal(sketch_add(&b, 2, 2), 0);
    assert_int_equal(sketch_merge(&a, &b), ERR_LIMIT);
    assert_int_equal(sketch_add(&a, 2, 2), ERR_LIMIT);
    assert_true(a.count == UINT64_MAX - 1 && a.pos.n == 1 && a.max == 1);
    assert_int_equal(sketch_add(&a, 2, 1), 0);
    assert_true(a.count == UINT64_MAX);
    assert_true(sketch_quantile(&a, 0.999) <= 1 && sketch_quantile(&a, 1) == 2);
    sketch_free(&a);
    sketch_free(&b);
}

static void sums_are_compensated(void **state)
{
    struct sketch s, t;

    (void)state;
    sketch_init(&s, NULL);
    sketch_init(&t, NULL);
    assert_int_equal(sketch_add(&s, 1e100, 1), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(sketch_add(&s, 1, 1), 0);
    assert_int_equal(sketch_add(&t, -1e100, 1), 0);
    assert_int_equal(sketch_merge(&s, &t), 0);
    assert_true(sketch_sum(&s) == 1000);
    sketch_free(&s);
    sketch_free(&t);
}

static void sums_beyond_doubles(void **state)
{
    struct sketch up, down, both;

    (void)state;
    sketch_init(&up, NULL);
    sketch_init(&down, NULL);
    sketch_init(&both, NULL);
    assert_int_equal(sketch_add(&up, DBL_MAX, 2), 0);
    assert_int_equal(sketch_add(&down, -DBL_MAX, 1), 0);
    assert_int_equal(sketch_add(&down, -DBL_MAX, 1), 0);
    assert_true(isinf(sketch_sum(&up)) && sketch_sum(&up) > 0);
    assert_true(isinf(sketch_sum(&down)) && sketch_sum(&down) < 0);
    assert_int_equal(sketch_add(&down, 1, 1), 0);
    assert_true(isinf(sketch_sum(&down)) && sketch_sum(&down) < 0);
    assert_int_equal(sketch_merge(&both, &down), 0);
    assert_int_equal(sketch_merge(&both, &up), 0);
    assert_true(isinf(sketch_sum(&both)) && sketch_sum(&both) > 0);
    assert_int_equal(sketch_merge(&down, &up), 0);
    assert_true(isinf(sketch_sum(&down)) && sketch_sum(&down) > 0);
    sketch_free(&up);
    sketch_free(&down);
    sketch_free(&both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_exact),
        cmocka_unit_test(table_cells_hold_one_boundary),
        cmocka_unit_test(table_has_the_published_digests),
        cmocka_unit_test(index_at_powers_of_two),
        cmocka_unit_test(index_next_to_boundaries),
        cmocka_unit_test(index_of_random_doubles),
        cmocka_unit_test(bounds_enclose_their_bucket),
        cmocka_unit_test(bound_of_a_published_vector),
        cmocka_unit_test(special_values),
        cmocka_unit_test(zero_has_no_sign),
        cmocka_unit_test(whole_range_of_doubles_fits),
        cmocka_unit_test(published_downscale),
        cmocka_unit_test(no_memory_changes_nothing),
        cmocka_unit_test(count_never_overflows),
        cmocka_unit_test(sums_are_compensated),
        cmocka_unit_test(sums_beyond_doubles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
