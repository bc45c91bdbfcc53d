/* The base: errors, budgets, buffers, arena, hash table, civil time, randomness. */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/base/number.h"
#include "common/base/rng.h"

static void errors_are_bounded(void **state)
{
    struct err e = {0};
    char big[2000];

    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    assert_int_equal(err_set(&e, ERR_RANGE, "%s", big), ERR_RANGE);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_int_equal(err_prefix(&e, "%s", "file"), ERR_RANGE);
    assert_memory_equal(e.text, "file: xxx", 9);
    err_set(&e, ERR_IO, "first");
    err_set(&e, ERR_IO, "again: %s", e.text); /* its own text as an argument */
    assert_string_equal(e.text, "again: first");
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
    assert_string_equal(err_name(0), "ok");
    assert_string_equal(err_name(ERR_UNSUPPORTED), "unsupported");
    assert_string_equal(err_name(-99), "unknown");
    assert_string_equal(err_name(5), "unknown");
}

static void a_budget_holds(void **state)
{
    struct mem m = {.cap = 100};
    char *a, *b;

    (void)state;
    a = mem_alloc(&m, 60);
    assert_non_null(a);
    assert_null(mem_alloc(&m, 41));
    assert_int_equal(m.denied, 1);
    b = mem_alloc(&m, 40);
    assert_non_null(b);
    assert_null(mem_resize(&m, b, 40, 41));
    b = mem_resize(&m, b, 40, 20);
    assert_int_equal(m.used, 80);
    assert_null(mem_array(&m, SIZE_MAX / 2, 4));
    mem_free(&m, a, 60);
    mem_free(&m, b, 20);
    mem_free(&m, NULL, 7);
    assert_int_equal(m.used, 0);
    assert_int_equal(m.peak, 100);
}

static void a_buffer_fills_once_and_says_so(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 10);
    buf_str(&b, "12345");
    buf_fmt(&b, "%s", "678");
    assert_string_equal(buf_text(&b), "12345678");
    buf_str(&b, "901"); /* eleven bytes */
    assert_true(b.full);
    buf_str(&b, "x");
    assert_int_equal(b.len, 8);
    assert_string_equal(buf_text(&b), "");
    buf_clear(&b);
    buf_fmt(&b, "%d", 1234567890); /* exactly the cap, but a terminator has to fit too */
    assert_true(b.full);
    buf_clear(&b);
    assert_null(buf_grow(&b, SIZE_MAX));
    buf_free(&b);
    buf_init(&b, NULL, 0);
    buf_put(&b, NULL, 0);
    assert_false(b.full);
    assert_string_equal(buf_text(&b), "");
    buf_free(&b);
}

static void an_arena_is_aligned_and_capped(void **state)
{
    struct mem m = {0};
    struct arena a;

    (void)state;
    arena_init(&a, &m, 100000);
    for (size_t i = 0; i < 200; i++) {
        unsigned char *p = arena_alloc(&a, i);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % sizeof(max_align_t) % 16, 0);
        for (size_t k = 0; k < i; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, i);
    }
    assert_non_null(arena_alloc(&a, 60000));
    assert_null(arena_alloc(&a, 60000));
    assert_null(arena_array(&a, SIZE_MAX / 2, 8));
    assert_string_equal(arena_text(&a, "abcdef", 3), "abc");
    arena_free(&a);
    assert_int_equal(m.used, 0);
}

/* The table against an array, over random puts and deletions;
 * few distinct keys, so that probing meets holes. */
static void a_map_is_an_array_with_names(void **state)
{
    enum { KEYS = 300 };
    static char keys[KEYS][8];
    static int values[KEYS];
    int there[KEYS] = {0};
    uint64_t seed[2] = {1, 2};
    struct mem m = {0};
    struct map map;
    struct rng r;
    size_t count = 0;

    (void)state;
    rng_seed(&r, 7);
    map_init(&map, &m, seed);
    for (int i = 0; i < KEYS; i++)
        (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
    for (int step = 0; step < 60000; step++) {
        size_t k = rng_below(&r, KEYS);

        if (rng_below(&r, 2)) {
            assert_int_equal(map_put(&map, keys[k], strlen(keys[k]), &values[k]), 0);
            count += !there[k];
            there[k] = 1;
        } else {
            assert_ptr_equal(map_del(&map, keys[k], strlen(keys[k])), there[k] ? &values[k] : NULL);
            count -= there[k] ? 1 : 0;
            there[k] = 0;
        }
        k = rng_below(&r, KEYS);
        assert_ptr_equal(map_get(&map, keys[k], strlen(keys[k])), there[k] ? &values[k] : NULL);
        assert_int_equal(map.count, count);
    }
    for (size_t i = 0; map_next(&map, &i);)
        count--;
    assert_int_equal(count, 0);
    map_free(&map);
    assert_int_equal(m.used, 0);
}

/* SipHash-1-3 of the bytes 0 … n-1 under the key 0 … 15: worked
 * out with an implementation of the paper in Python. */
static void siphash_is_siphash(void **state)
{
    uint64_t seed[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    unsigned char in[16];

    (void)state;
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)i;
    assert_true(siphash13(seed, in, 0) == UINT64_C(0xabac0158050fc4dc));
    assert_true(siphash13(seed, in, 15) == UINT64_C(0xd320d86d2a519956));
}

static void civil_time(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {4107542399999, "2100-02-28T23:59:59.999Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {1795496723456, "2026-11-24T05:05:23.456Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0001-01-01T00:00:00.000Z"},
    };
    static const char *const wrong[] = {"",
                                        "2026",
                                        "2026-02-29T00:00:00Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-04-31T00:00:00Z",
                                        "2026-01-01T24:00:00Z",
                                        "2026-01-01T00:00:00",
                                        "2026-01-01T00:00:00.Z",
                                        "2026-01-01T00:00:00Zx",
                                        "2026-01-01T00:00:00+1:00"};
    char out[WALL_TEXT];
    struct wall t;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(wall_text((struct wall){rows[i].ms}, out), rows[i].text);
        assert_int_equal(wall_parse(rows[i].text, &t), 0);
        if (rows[i].ms > INT64_MIN && rows[i].ms < INT64_MAX)
            assert_true(t.ms == rows[i].ms);
    }
    assert_int_equal(wall_parse("2026-11-24T06:05:23.4567+01:00", &t), 0);
    assert_true(t.ms == 1795496723456);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(wall_parse(wrong[i], &t), ERR_MALFORMED);
}

static void randomness_repeats(void **state)
{
    struct rng a, b;
    int seen[10] = {0};

    (void)state;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    for (int i = 0; i < 1000; i++) {
        double u;

        assert_true(rng_next(&a) == rng_next(&b));
        seen[rng_below(&a, 10)]++;
        (void)rng_below(&b, 10);
        u = rng_unit(&a);
        assert_true(u >= 0 && u < 1);
        (void)rng_unit(&b);
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(seen[i], 50, 150);
    assert_int_equal(rng_below(&a, 1), 0);
}

static void is_shortest(double v)
{
    char out[NUMBER_TEXT], want[NUMBER_TEXT];

    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(want, sizeof want, "%.*g", precision, v);
        if (strtod(want, NULL) == v)
            break;
    }
    if (fabs(v) < 9e15 && v == rint(v)) /* whole numbers are written out */
        (void)snprintf(want, sizeof want, "%.0f", fabs(v) + 0.0 == 0 ? 0.0 : v);
    assert_int_equal(number_text(v, out), strlen(want));
    assert_string_equal(out, want);
}

/* Decimals of every length and size, with the doubles just beside them, and doubles of any bits. */
static void a_number_has_its_shortest_text(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 9);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_next(&r);
        double v = (double)(rng_next(&r) >> (11 + rng_below(&r, 53))) / pow(10, (double)rng_below(&r, 19));

        v = bits & 1 ? v : -v;
        is_shortest(v);
        is_shortest(nextafter(v, INFINITY));
        is_shortest(nextafter(v, -INFINITY));
        memcpy(&v, &bits, sizeof v);
        if (isfinite(v))
            is_shortest(v);
    }
    is_shortest(0.0001);
    is_shortest(0.00001);
    is_shortest(999999999.999999);
    is_shortest(9999999999999.99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(a_budget_holds),
        cmocka_unit_test(a_buffer_fills_once_and_says_so),
        cmocka_unit_test(an_arena_is_aligned_and_capped),
        cmocka_unit_test(a_map_is_an_array_with_names),
        cmocka_unit_test(siphash_is_siphash),
        cmocka_unit_test(civil_time),
        cmocka_unit_test(randomness_repeats),
        cmocka_unit_test(a_number_has_its_shortest_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
