/* The walk: each malformed form with its reason, each limit at its value and beyond it. */
#include "tests/unit/wire_kit.h"

static void expect(const void *p, size_t n, enum wire_reason want)
{
    enum wire_reason got = WIRE_OK;
    struct err e = {0};
    int rc = wire_walk(p, n, &got, &e);

    if ((rc == 0) != (want == WIRE_OK) || got != want)
        fail_msg("%zu bytes: %s, expected %s (%s)", n, wire_reason_name(got), wire_reason_name(want), e.text);
    assert_true(rc == 0 || e.text[0]);
}

#define EXPECT(bytes, want) expect(bytes, sizeof(bytes) - 1, want)

static void test_forms(void **state)
{
    (void)state;
    EXPECT("", WIRE_MALFORMED);
    EXPECT("\xc1", WIRE_MALFORMED);
    EXPECT("\x80", WIRE_OK);
    EXPECT("\x80\x00", WIRE_MALFORMED); /* bytes behind the root */
    EXPECT("\x81\xa1"
           "a",
           WIRE_MALFORMED); /* a key without its value */
    EXPECT("\x81\xa1"
           "a\x01",
           WIRE_OK);
    EXPECT("\x81\x01\x01", WIRE_MALFORMED); /* an integer as key */
    EXPECT("\x81\xc0\x01", WIRE_MALFORMED);
    EXPECT("\x81\x90\x01", WIRE_MALFORMED);
    EXPECT("\x81\xc4\x01"
           "a\x01",
           WIRE_OK); /* a bin as key at the root: a definitions request */
    EXPECT("\x82\xc4\x01"
           "a\x01\xa1"
           "b\x01",
           WIRE_MALFORMED);
    EXPECT("\x91\x81\xc4\x01"
           "a\x01",
           WIRE_MALFORMED); /* a bin as key below */
    EXPECT("\x82\xa1"
           "a\x01\xa1"
           "a\x02",
           WIRE_MALFORMED);
    EXPECT("\x82\xa1"
           "a\x01\xd9\x01"
           "a\x02",
           WIRE_MALFORMED); /* the same key in two forms */
    EXPECT("\x82\xa1"
           "b\x01\xa1"
           "a\x02",
           WIRE_OK);
    EXPECT("\xa1\xff", WIRE_MALFORMED);
    EXPECT("\x81\xa1\xff\x01", WIRE_MALFORMED);
    EXPECT("\x91\x81\xa1"
           "x\x82\xa1"
           "a\xc0\xa1"
           "a\xc0",
           WIRE_MALFORMED); /* twice, deep in what nobody reads */
}

static void test_claims_are_held_against_the_bytes(void **state)
{
    (void)state;
    EXPECT("\xdd\x10\x00\x00\x00", WIRE_MALFORMED);
    EXPECT("\xdd\xff\xff\xff\xff\x00\x00", WIRE_MALFORMED);
    EXPECT("\xdf\x00\x00\x00\x01", WIRE_MALFORMED);
    EXPECT("\xdf\xff\xff\xff\xff", WIRE_MALFORMED);
    EXPECT("\xc6\xff\xff\xff\xff"
           "a",
           WIRE_MALFORMED);
    EXPECT("\xdb\xff\xff\xff\xff"
           "a",
           WIRE_MALFORMED);
    EXPECT("\xc9\xff\xff\xff\xff\x01", WIRE_MALFORMED);
    EXPECT("\xc7\x01\x05", WIRE_MALFORMED); /* an ext of one byte that is not there */
    EXPECT("\xc7\x00\x05", WIRE_OK);
    EXPECT("\xd4\x05\x00", WIRE_OK);
    EXPECT("\xd8\x05\x00", WIRE_MALFORMED);
}

/* Every first byte with all of its body there, and with the last byte missing. */
static void test_every_form(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        uint8_t b[64] = {(uint8_t)c};
        size_t n = 0;

        while (++n <= sizeof b) {
            enum wire_reason r = WIRE_OK;

            if (!wire_walk(b, n, &r, NULL))
                break;
            assert_int_equal(r, WIRE_MALFORMED);
        }
        /* a map of n pairs of integers is not well-formed here: the keys are no strings */
        if (c == 0xc1 || (c > 0x80 && c < 0x90))
            assert_true(n > sizeof b);
        else
            assert_true(n <= sizeof b);
    }
}

static void test_depth(void **state)
{
    (void)state;
    EXPECT("\x91\x91\x91\x91\x90", WIRE_OK);
    EXPECT("\x91\x91\x91\x91\x91\x01", WIRE_OK);
    EXPECT("\x91\x91\x91\x91\x91\x90", WIRE_LIMIT);
    EXPECT("\x81\xa1"
           "a\x81\xa1"
           "a\x81\xa1"
           "a\x81\xa1"
           "a\x81\xa1"
           "a\x80",
           WIRE_LIMIT);
    EXPECT("\x81\xa1"
           "a\x81\xa1"
           "a\x81\xa1"
           "a\x81\xa1"
           "a\x80",
           WIRE_OK);
    EXPECT("\x92\x91\x91\x91\x90\x91\x91\x91\x90", WIRE_OK); /* breadth is no depth */
}

static void put_keys(struct buf *b, unsigned n, unsigned step)
{
    msgpack_packer pk = pack_into(b);

    (void)msgpack_pack_map(&pk, n);
    for (unsigned i = 0; i < n; i++) {
        char key[8];

        (void)snprintf(key, sizeof key, "k%04u", i * step % n);
        pack_text(&pk, key);
        (void)msgpack_pack_nil(&pk);
    }
}

static void test_keys(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    for (unsigned step = 1; step < 256;
         step += 50) { /* 1, 51, …: sorted and shuffled; odd steps meet all 256 */
        buf_clear(&b);
        put_keys(&b, 256, step);
        expect(b.data, b.len, WIRE_OK);
        memcpy(b.data + b.len - 6, "k0000", 5); /* the last key becomes one that is there */
        expect(b.data, b.len, WIRE_MALFORMED);
    }
    buf_clear(&b);
    put_keys(&b, 257, 1);
    expect(b.data, b.len, WIRE_LIMIT);
    buf_free(&b);
}

static void test_utf8(void **state)
{
    static const struct {
        const char *s;
        bool ok;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"\xc3\xa9", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xf4\x90\x80\x80", false},
        {"\xed\x9f\xbf", true},
        {"\xed\xa0\x80", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xe0\xa0\x80", true},
        {"\xf0\x8f\xbf\xbf", false},
        {"\x80", false},
        {"\xc3", false},
        {"\xe2\x82", false},
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"12345678\xc3", false},
        {"1234567\xc3\xa9", true},
        {"\xe2\x28\xa1", false},
        {"\xf0\x9f\x28\x80", false},
        {"\xf0\x9f\x98\x28", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (wire_utf8_ok(rows[i].s, strlen(rows[i].s)) != rows[i].ok)
            fail_msg("row %zu", i);
    assert_true(wire_utf8_ok("a\0b", 3));
}

static void test_any_bytes(void **state)
{
    struct rng r;
    uint8_t b[64];

    (void)state;
    rng_seed(&r, 1);
    for (int i = 0; i < 200000; i++) {
        enum wire_reason reason = WIRE_OK;
        size_t n = rng_below(&r, sizeof b);
        int rc;

        for (size_t k = 0; k < n; k++)
            b[k] = (uint8_t)rng_next(&r);
        if (n)
            b[0] = (uint8_t)(0x80 + rng_below(&r, 32)); /* begin with a container */
        rc = wire_walk(b, n, &reason, NULL);
        assert_true(rc ? reason == WIRE_MALFORMED || reason == WIRE_LIMIT : reason == WIRE_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_claims_are_held_against_the_bytes),
        cmocka_unit_test(test_every_form), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_keys),       cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
