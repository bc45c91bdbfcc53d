/* Frames: what the page demands of a zstd frame, one deviation at a time. */
#include "tests/unit/wire_kit.h"

#include <zstd.h>

#include "common/wire/text.h"

struct frames {
    struct wire_codec *codec;
    struct buf frame, out;
};

static int setup(void **state)
{
    static struct frames f;

    f.codec = wire_codec_new(1);
    buf_init(&f.frame, NULL, 16 << 20);
    buf_init(&f.out, NULL, 16 << 20);
    *state = &f;
    return f.codec ? 0 : -1;
}

static int teardown(void **state)
{
    struct frames *f = *state;

    wire_codec_free(&f->codec);
    buf_free(&f->frame);
    buf_free(&f->out);
    return 0;
}

static void expect(struct frames *f, enum wire_reason want)
{
    enum wire_reason got = WIRE_OK;
    struct err e = {0};
    int rc = wire_inflate(f->codec, f->frame.data, f->frame.len, &f->out, &got, &e);

    if ((rc == 0) != (want == WIRE_OK) || got != want)
        fail_msg("%s, expected %s (%s)", wire_reason_name(got), wire_reason_name(want), e.text);
}

/* A frame with the given switches. */
static void make(struct frames *f, const void *p, size_t n, int size, int checksum)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_outBuffer out;
    ZSTD_inBuffer in = {p, n, 0};

    buf_clear(&f->frame);
    assert_true(buf_reserve(&f->frame, ZSTD_compressBound(n)));
    out = (ZSTD_outBuffer){f->frame.data, f->frame.room, 0};
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, size);
    assert_int_equal(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
    f->frame.len = out.pos;
    (void)ZSTD_freeCCtx(c);
}

static void test_round_trip(void **state)
{
    static const size_t sizes[] = {0, 1, 255, 256, 257, 65535, 65791, 65792, 200000, WIRE_MAX_INFLATED};
    struct frames *f = *state;
    uint8_t *p = calloc(1, WIRE_MAX_INFLATED);
    struct rng r;

    assert_non_null(p);
    rng_seed(&r, 2);
    for (size_t i = 0; i < WIRE_MAX_INFLATED; i += 64)
        p[i] = (uint8_t)rng_next(&r);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        buf_clear(&f->frame);
        assert_int_equal(wire_deflate(f->codec, p, sizes[i], &f->frame, NULL), 0);
        expect(f, WIRE_OK);
        assert_int_equal(f->out.len, sizes[i]);
        assert_memory_equal(f->out.data, p, sizes[i]);
    }
    free(p);
}

static void test_deflate_limits(void **state)
{
    struct frames *f = *state;
    size_t n = 2 << 20;
    uint8_t *p = calloc(1, WIRE_MAX_INFLATED + 1);
    struct err e = {0};
    struct rng r;

    assert_non_null(p);
    rng_seed(&r, 3);
    buf_clear(&f->frame);
    assert_int_equal(wire_deflate(f->codec, p, WIRE_MAX_INFLATED + 1, &f->frame, &e), ERR_LIMIT);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rng_next(&r); /* not compressible: the frame would exceed the body */
    assert_int_equal(wire_deflate(f->codec, p, n, &f->frame, &e), ERR_LIMIT);
    assert_int_equal(wire_deflate(f->codec, p, 1000, &f->frame, &e), 0); /* and it works on */
    expect(f, WIRE_OK);
    free(p);
}

static void test_switches(void **state)
{
    struct frames *f = *state;

    make(f, "hello hello hello", 17, 1, 1);
    expect(f, WIRE_OK);
    make(f, "hello hello hello", 17, 1, 0);
    expect(f, WIRE_FRAME);
    make(f, "hello hello hello", 17, 0, 1);
    expect(f, WIRE_FRAME);
}

static void test_dictionary_and_reserved_bit(void **state)
{
    struct frames *f = *state;

    for (uint8_t d = 1; d <= 3; d++) {
        make(f, "hello", 5, 1, 1);
        f->frame.data[4] |= d;
        expect(f, WIRE_FRAME);
    }
    make(f, "hello", 5, 1, 1);
    f->frame.data[4] |= 8;
    expect(f, WIRE_FRAME);
}

static void test_exactly_one(void **state)
{
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7};
    struct frames *f = *state;
    struct buf one;

    make(f, "hello", 5, 1, 1);
    buf_init(&one, NULL, 1000);
    buf_put(&one, f->frame.data, f->frame.len);
    buf_u8(&f->frame, 0);
    expect(f, WIRE_FRAME);
    buf_clear(&f->frame);
    buf_put(&f->frame, one.data, one.len);
    buf_put(&f->frame, one.data, one.len);
    expect(f, WIRE_FRAME);
    buf_clear(&f->frame);
    buf_put(&f->frame, one.data, one.len);
    buf_put(&f->frame, skippable, sizeof skippable);
    expect(f, WIRE_FRAME);
    buf_clear(&f->frame);
    buf_put(&f->frame, skippable, sizeof skippable);
    buf_put(&f->frame, one.data, one.len);
    expect(f, WIRE_FRAME);
    buf_free(&one);
}

static void test_every_cut(void **state)
{
    struct frames *f = *state;
    size_t n;

    make(f, "a text that is long enough to have a few blocks of its own", 58, 1, 1);
    n = f->frame.len;
    for (f->frame.len = 0; f->frame.len < n; f->frame.len++)
        expect(f, WIRE_FRAME);
}

static void test_every_flip(void **state)
{
    struct frames *f = *state;
    enum wire_reason got;

    make(f, "a text that is long enough to have a few blocks of its own", 58, 1, 1);
    for (size_t i = 0; i < f->frame.len * 8; i++) {
        f->frame.data[i / 8] ^= (uint8_t)(1U << i % 8);
        if (!wire_inflate(f->codec, f->frame.data, f->frame.len, &f->out, &got, NULL)) {
            /* only the unused bit of the descriptor may pass (RFC 8878, 3.1.1.1.1.3) */
            assert_int_equal(i, 4 * 8 + 4);
            assert_int_equal(f->out.len, 58);
        } else {
            assert_true(got == WIRE_FRAME || got == WIRE_TOO_LARGE);
        }
        f->frame.data[i / 8] ^= (uint8_t)(1U << i % 8);
    }
}

/* A header that tells 8 MiB and one byte, or 2^64 - 1, is refused
 * before anything is inflated; so is a body over 1 MiB. */
static void test_limits(void **state)
{
    static const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe4};
    struct frames *f = *state;
    uint64_t sizes[] = {WIRE_MAX_INFLATED + 1, UINT64_MAX};

    for (size_t i = 0; i < 2; i++) {
        buf_clear(&f->frame);
        buf_put(&f->frame, head, sizeof head);
        buf_put(&f->frame, &sizes[i], 8);
        expect(f, WIRE_TOO_LARGE);
    }
    sizes[0] = WIRE_MAX_INFLATED; /* allowed, but the frame then ends */
    buf_clear(&f->frame);
    buf_put(&f->frame, head, sizeof head);
    buf_put(&f->frame, &sizes[0], 8);
    expect(f, WIRE_FRAME);
    buf_clear(&f->frame);
    assert_non_null(buf_grow(&f->frame, WIRE_MAX_BODY + 1));
    expect(f, WIRE_TOO_LARGE);
}

/* The header tells less, or more, than the blocks hold. */
static void test_lies(void **state)
{
    struct frames *f = *state;

    for (int lie = -1; lie <= 1; lie += 2) {
        make(f, "hello hello hello hello", 23, 1, 1);
        f->frame.data[5] = (uint8_t)(f->frame.data[5] + lie);
        expect(f, WIRE_FRAME);
    }
}

static void test_memory(void **state)
{
    struct frames *f = *state;
    struct mem mem = {.cap = 1000};
    enum wire_reason got = WIRE_OK;
    struct buf out;
    uint8_t *p = calloc(1, 100000);

    assert_non_null(p);
    buf_clear(&f->frame);
    assert_int_equal(wire_deflate(f->codec, p, 100000, &f->frame, NULL), 0);
    buf_init(&out, &mem, 1 << 20);
    assert_int_equal(wire_inflate(f->codec, f->frame.data, f->frame.len, &out, &got, NULL), ERR_NOMEM);
    assert_int_equal(got, WIRE_UNAVAILABLE);
    buf_free(&out);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_deflate_limits),
        cmocka_unit_test(test_switches),    cmocka_unit_test(test_dictionary_and_reserved_bit),
        cmocka_unit_test(test_exactly_one), cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_flip),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_lies),        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
