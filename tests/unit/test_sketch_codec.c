/* The bytes of a sketch: known ones, malformed ones each refused
 * for its reason, every prefix, every changed byte. */
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

/* A sketch written by hand, field by field, sharing nothing with the encoder. */
struct raw {
    int64_t scale;
    uint64_t count;
    double sum, min, max;
    uint64_t zero, n[2];
    int64_t offset[2];
    uint64_t counts[2][4]; /* written as they are: at most four, even where n says more */
};

static void put(struct buf *b, uint64_t v)
{
    while (v >= 128) {
        buf_u8(b, (uint8_t)(v % 128 + 128));
        v /= 128;
    }
    buf_u8(b, (uint8_t)v);
}

static void put_signed(struct buf *b, int64_t v)
{
    put(b, v >= 0 ? (uint64_t)v * 2 : ((uint64_t) - (v + 1)) * 2 + 1);
}

static void put_real(struct buf *b, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, 8);
    for (int i = 0; i < 8; i++)
        buf_u8(b, (uint8_t)(bits >> 8 * i));
}

static void write_raw(struct buf *b, const struct raw *w)
{
    buf_clear(b);
    put_signed(b, w->scale);
    put(b, w->count);
    put_real(b, w->sum);
    put_real(b, w->min);
    put_real(b, w->max);
    put(b, w->zero);
    for (int side = 0; side < 2; side++) {
        put(b, w->n[side]);
        if (!w->n[side])
            continue;
        put_signed(b, w->offset[side]);
        put(b, w->counts[side][0]);
        for (uint64_t k = 1; k < w->n[side] && k < 4; k++)
            put_signed(b, (int64_t)(w->counts[side][k] - w->counts[side][k - 1]));
    }
}

static const struct raw good = {
    .scale = 6,
    .count = 9,
    .sum = 5,
    .min = -2,
    .max = 4,
    .zero = 1,
    .n = {3, 1},
    .offset = {63, 127},
    .counts = {{2, 0, 4}, {2}},
};

/* Decodes and checks; both must say the same. Returns the code. */
static int read_both(const uint8_t *p, size_t n, struct sketch *s, size_t *used)
{
    struct err e = {0}, f = {0};
    size_t checked = 0;
    int rc = sketch_decode(s, p, n, used, &e);

    assert_int_equal(sketch_check(p, n, &checked, &f), rc);
    if (rc) {
        assert_int_equal(rc, ERR_MALFORMED);
        assert_string_equal(e.text, f.text);
        assert_true(!s->count && !s->pos.n && !s->neg.n && s->scale == SKETCH_SCALE);
    } else {
        assert_int_equal(checked, *used);
    }
    return rc;
}

static void refused(const struct raw *w)
{
    struct sketch s;
    struct buf b;
    size_t used = 0;

    buf_init(&b, NULL, 4096);
    write_raw(&b, w);
    sketch_init(&s, NULL);
    assert_int_equal(read_both(b.data, b.len, &s, &used), ERR_MALFORMED);
    sketch_free(&s);
    buf_free(&b);
}

static void accepted(const struct raw *w)
{
    struct sketch s;
    struct buf b, again;
    size_t used = 0;

    buf_init(&b, NULL, 4096);
    buf_init(&again, NULL, 4096);
    write_raw(&b, w);
    sketch_init(&s, NULL);
    buf_u8(&b, 0xff); /* what follows is not its own */
    assert_int_equal(read_both(b.data, b.len, &s, &used), 0);
    assert_int_equal(used, b.len - 1);
    assert_int_equal(sketch_encode(&s, &again), 0);
    assert_int_equal(again.len, used);
    assert_memory_equal(again.data, b.data, used);
    sketch_free(&s);
    buf_free(&b);
    buf_free(&again);
}

static void known_bytes(void **state)
{
    static const uint8_t want[] = {
        12, 3,                         /* scale 6, count 3 */
        0,  0, 0, 0, 0, 0, 0x14, 0x40, /* sum 5 */
        0,  0, 0, 0, 0, 0, 0xf0, 0x3f, /* min 1 */
        0,  0, 0, 0, 0, 0, 0,    0x40, /* max 2 */
        0,                             /* zero_count */
        65, 1, 1,                      /* 65 slots from index -1: 1, */
        1,                             /* 0, then 62 zeros more */
    };
    struct sketch s;
    struct buf b;

    (void)state;
    sketch_init(&s, NULL);
    buf_init(&b, NULL, 4096);
    assert_int_equal(sketch_add(&s, 1, 1), 0);
    assert_int_equal(sketch_add(&s, 2, 2), 0);
    assert_int_equal(sketch_encode(&s, &b), 0);
    assert_int_equal(b.len, sizeof want + 62 + 2);
    assert_memory_equal(b.data, want, sizeof want);
    for (size_t i = 0; i < 62; i++)
        assert_int_equal(b.data[sizeof want + i], 0);
    assert_int_equal(b.data[sizeof want + 62], 4); /* + 2 */
    assert_int_equal(b.data[sizeof want + 63], 0); /* no negative range */
    sketch_free(&s);
    buf_free(&b);
}

static void good_ones_are_read(void **state)
{
    struct raw w = good;

    (void)state;
    accepted(&w);
    w.sum = (double)INFINITY;
    accepted(&w);
    w.sum = -(double)INFINITY;
    accepted(&w);
    accepted(&(struct raw){.scale = 6});
    accepted(&(struct raw){.scale = -4});
    accepted(&(struct raw){.count = UINT64_MAX, .zero = UINT64_MAX});
    for (int s = SKETCH_SCALE_MIN; s <= SKETCH_SCALE_MAX;
         s++) { /* the very ends of the range of each scale */
        int64_t first = (int64_t)floor(ldexp(-128, s)), end = (int64_t)ldexp(1024, s);

        accepted(&(struct raw){
            .scale = s, .count = 2, .max = 1, .n = {1, 1}, .offset = {first, end - 1}, .counts = {{1}, {1}}});
        refused(&(struct raw){
            .scale = s, .count = 1, .max = 1, .n = {1}, .offset = {first - 1}, .counts = {{1}}});
        refused(&(struct raw){.scale = s, .count = 1, .max = 1, .n = {1}, .offset = {end}, .counts = {{1}}});
        refused(&(struct raw){
            .scale = s, .count = 2, .max = 1, .n = {2}, .offset = {end - 1}, .counts = {{1, 1}}});
        refused(&(struct raw){
            .scale = s, .count = 1, .max = 1, .n = {0, 1}, .offset = {0, end}, .counts = {{0}, {1}}});
    }
}

static void bad_ones_are_refused(void **state)
{
    const double nan = (double)NAN, inf = (double)INFINITY;
    struct raw w;

    (void)state;
#define REFUSED(...) (w = good, __VA_ARGS__, refused(&w))
    REFUSED(w.scale = 9);
    REFUSED(w.scale = -5);
    REFUSED(w.scale = INT64_MAX);
    REFUSED(w.scale = INT64_MIN);
    REFUSED(w.scale = (INT64_C(1) << 32) + 6);
    REFUSED(w.count = 8);
    REFUSED(w.count = 10);
    REFUSED(w.count = 0);
    REFUSED(w.zero = 2);
    REFUSED(w.zero = UINT64_MAX);
    REFUSED(w.sum = nan);
    REFUSED(w.min = nan);
    REFUSED(w.max = nan);
    REFUSED(w.min = -inf);
    REFUSED(w.max = inf);
    REFUSED(w.min = 5);
    REFUSED(w.n[0] = SKETCH_SLOTS + 1);
    REFUSED(w.n[0] = UINT64_MAX);
    REFUSED(w.n[0] = (UINT64_C(1) << 32) + 3);
    REFUSED(w.n[0] = SKETCH_SLOTS); /* and no bytes for them */
    REFUSED(w.offset[0] = INT64_MAX);
    REFUSED(w.offset[0] = INT64_MIN);
    REFUSED(w.offset[1] = (INT64_C(1) << 32) + 127);
    REFUSED(w.counts[0][0] = 0, w.count = 7);              /* first slot 0 */
    REFUSED(w.counts[0][2] = 0, w.count = 5);              /* last slot 0 */
    REFUSED(w.counts[1][0] = 0, w.count = 7);              /* the only slot 0 */
    REFUSED(w.counts[0][1] = UINT64_MAX);                  /* sums to 8 modulo 2^64 */
    REFUSED(w.counts[1][0] = UINT64_MAX - 6, w.count = 0); /* so do both ranges */
    REFUSED(w = (struct raw){.scale = 9});
    REFUSED(w = (struct raw){.scale = -5});
    REFUSED(w = (struct raw){.scale = 6}, w.sum = 1); /* empty, yet not all 0 */
    REFUSED(w = (struct raw){.scale = 6}, w.max = 1);
    REFUSED(w = (struct raw){.scale = 6}, w.min = -1);
    REFUSED(w = (struct raw){.scale = 6}, w.zero = 1);
    REFUSED(w = (struct raw){.scale = 6}, w.n[0] = 1, w.counts[0][0] = 1);
#undef REFUSED
}

static void every_prefix_is_refused(void **state)
{
    struct sketch s;
    struct buf b;
    size_t used = 0;

    (void)state;
    buf_init(&b, NULL, 4096);
    sketch_init(&s, NULL);
    write_raw(&b, &good);
    for (size_t n = 0; n < b.len; n++) {
        uint8_t *exactly = malloc(n + 1);

        memcpy(exactly + 1, b.data, n); /* ends where the block ends, for the address sanitizer */
        assert_int_equal(read_both(exactly + 1, n, &s, &used), ERR_MALFORMED);
        free(exactly);
    }
    assert_int_equal(read_both(NULL, 0, &s, &used), ERR_MALFORMED);
    sketch_free(&s);
    buf_free(&b);
}

/* Longer varints than needed are read; more than ten bytes or 64 bits are not. */
static void varint_lengths(void **state)
{
    static const struct {
        uint8_t bytes[12];
        size_t n;
        int rc;
    } count[] = {
        {{0x80, 0}, 2, 0},
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0}, 10, 0},
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2}, 10, ERR_MALFORMED},
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0}, 11, ERR_MALFORMED},
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0}, 11, ERR_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof count / sizeof *count; i++) {
        static const uint8_t rest[8 * 3 + 3] = {0};
        struct sketch s;
        struct buf b;
        size_t used = 0;

        buf_init(&b, NULL, 4096);
        sketch_init(&s, NULL);
        buf_u8(&b, 12);
        buf_put(&b, count[i].bytes, count[i].n);
        buf_put(&b, rest, sizeof rest);
        assert_int_equal(read_both(b.data, b.len, &s, &used), count[i].rc);
        assert_true(count[i].rc || used == b.len);
        sketch_free(&s);
        buf_free(&b);
    }
}

static void zeros_lose_their_sign(void **state)
{
    struct raw w = {.scale = 6, .count = 1, .sum = -0.0, .min = -0.0, .max = -0.0, .zero = 1};
    struct sketch s;
    struct buf b;
    size_t used;

    (void)state;
    buf_init(&b, NULL, 4096);
    sketch_init(&s, NULL);
    write_raw(&b, &w);
    assert_int_equal(read_both(b.data, b.len, &s, &used), 0);
    assert_false(signbit(s.min) || signbit(s.max) || signbit(sketch_sum(&s)));
    sketch_free(&s);
    buf_free(&b);
}

static void memory_and_room_are_limits(void **state)
{
    struct mem mem = {.cap = 8 * 20};
    struct err e = {0};
    struct sketch s;
    struct buf b;
    size_t used = 0;

    (void)state;
    sketch_init(&s, &mem);
    buf_init(&b, NULL, 4096);
    write_raw(&b, &good); /* two ranges, room for one */
    assert_int_equal(sketch_decode(&s, b.data, b.len, &used, &e), ERR_NOMEM);
    assert_int_equal(s.count, 0);
    assert_int_equal(e.code, ERR_NOMEM);
    mem.cap = 8 * 32;
    assert_int_equal(sketch_decode(&s, b.data, b.len, &used, &e), 0);
    for (size_t cap = 0; cap <= used; cap++) {
        struct buf out;

        buf_init(&out, NULL, cap);
        assert_int_equal(sketch_encode(&s, &out), cap < used ? ERR_NOMEM : 0);
        buf_free(&out);
    }
    sketch_free(&s);
    assert_int_equal(mem.used, 0);
    buf_free(&b);
}

/* Whatever is read is written again and read as the same. */
static void changed_bytes(void **state)
{
    struct sketch s, t;
    struct buf b, out;
    struct rng r;
    size_t used, again;
    int read = 0;

    (void)state;
    rng_seed(&r, 21);
    buf_init(&b, NULL, 4096);
    buf_init(&out, NULL, 1 << 16);
    sketch_init(&s, NULL);
    sketch_init(&t, NULL);
    for (int i = 0; i < 200000; i++) {
        write_raw(&b, &good);
        for (uint64_t n = 1 + rng_below(&r, 3); n; n--)
            b.data[rng_below(&r, b.len)] = (uint8_t)rng_next(&r);
        if (read_both(b.data, b.len, &s, &used))
            continue;
        read++;
        buf_clear(&out);
        assert_int_equal(sketch_encode(&s, &out), 0);
        assert_int_equal(read_both(out.data, out.len, &t, &again), 0);
        assert_true(again == out.len && t.count == s.count && t.scale == s.scale && t.pos.n == s.pos.n);
    }
    assert_true(read > 1000);
    sketch_free(&s);
    sketch_free(&t);
    buf_free(&b);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes),          cmocka_unit_test(good_ones_are_read),
        cmocka_unit_test(bad_ones_are_refused), cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(varint_lengths),       cmocka_unit_test(zeros_lose_their_sign),
        cmocka_unit_test(changed_bytes),        cmocka_unit_test(memory_and_room_are_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
