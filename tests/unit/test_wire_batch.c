/* Batches: the root, blocks, columns and events; each rule of the
 * page broken alone, each limit at its value and beyond. */
#include "tests/unit/wire_kit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct bench {
    struct arena a;
    struct buf payload;
    struct kit_map root, block;
    struct wire_series series[4];
    struct wire_schema schema;
};

static struct bench k; /* of the test that runs */

/* Ten ticks of a gauge and a counter in integers, an untyped in reals; no sketch. */
static int setup(void **state)
{
    static const uint8_t mode[] = {0, 0, 1};
    uint8_t ints[20] = {2}, reals[80] = {0};

    (void)state;
    arena_init(&k.a, NULL, 0);
    buf_init(&k.payload, NULL, KIT_CAP);
    k.series[0] = (struct wire_series){kit_str("g"), WIRE_GAUGE, 1, 4, NULL, 0, kit_str("")};
    k.series[1] = (struct wire_series){kit_str("c"), WIRE_COUNTER, 3, 1, NULL, 0, kit_str("")};
    k.series[2] = (struct wire_series){kit_str("u"), WIRE_UNTYPED, 1, 1, NULL, 0, kit_str("")};
    k.series[3] = (struct wire_series){kit_str("s"), WIRE_SKETCH, 1, 1, NULL, 0, kit_str("")};
    k.schema = (struct wire_schema){k.series, 3, 0};
    kit_root(&k.root);
    kit_uint(&k.block, "dt", 1000);
    kit_bin(&k.block, "ints", ints, sizeof ints);
    kit_bin(&k.block, "mode", mode, sizeof mode);
    kit_uint(&k.block, "n", 10);
    kit_bin(&k.block, "reals", reals, sizeof reals);
    kit_bin(&k.block, "schema", kit_hash, 16);
    kit_bin(&k.block, "sketches", "", 0);
    kit_int(&k.block, "t0", 1700000000000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&k.a);
    buf_free(&k.payload);
    kit_free(&k.root);
    kit_free(&k.block);
    return 0;
}

/* Walks and decodes k.payload as an aggregator does, but for what it must look up. */
static int judge(struct wire_batch *b, enum wire_reason *r, struct err *e)
{
    const struct wire_values *values[WIRE_MAX_BLOCKS];
    uint64_t count = 0;
    struct wire_event *events;
    uint32_t n;
    int rc = wire_walk(k.payload.data, k.payload.len, r, e);

    if (!rc)
        rc = wire_batch_decode(k.payload.data, k.payload.len, &k.a, b, r, e);
    for (uint32_t i = 0; !rc && i < b->n_blocks; i++) {
        struct wire_values *v = arena_alloc(&k.a, sizeof *v);

        rc = wire_block_decode(&b->blocks[i], &k.schema, &k.a, v, &count, r, e);
        values[i] = v;
    }
    if (!rc)
        rc = wire_batch_check_ticks(b, values, r, e);
    if (!rc)
        rc = wire_events_decode(b->events, &k.a, &events, &n, r, e);
    return rc;
}

static void expect_payload(enum wire_reason want)
{
    enum wire_reason got = WIRE_OK;
    struct err e = {0};
    struct wire_batch b;
    int rc = judge(&b, &got, &e);

    if ((rc == 0) != (want == WIRE_OK) || got != want)
        fail_msg("%s, expected %s (%s)", wire_reason_name(got), wire_reason_name(want), e.text);
    assert_true(rc == 0 || e.text[0]);
    arena_free(&k.a);
}

static void expect_root(enum wire_reason want)
{
    buf_clear(&k.payload);
    kit_write(&k.root, &k.payload);
    expect_payload(want);
}

static void expect_blocks(uint32_t n, enum wire_reason want)
{
    kit_array_of(&k.root, "blocks", &k.block, n);
    expect_root(want);
}

static void expect_block(enum wire_reason want)
{
    expect_blocks(1, want);
}

/* ---- the root ---- */

static void test_root_keys(void **state)
{
    static const char *const keys[] = {"agent", "blocks", "epoch", "low", "resource", "sealed", "seq", "v"};

    (void)state;
    expect_root(WIRE_OK);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        kit_raw(&k.root, keys[i], "\xc0", 1); /* nil is of no key's type */
        expect_root(WIRE_MALFORMED);
        kit_del(&k.root, keys[i]);
        expect_root(WIRE_MALFORMED);
        kit_root(&k.root);
    }
    kit_raw(&k.root, "zzz", "\x93\xc0\xca\x00\x00\x00\x00\xd4\x01\x01",
            10); /* unknown: skipped, whatever it holds */
    expect_root(WIRE_OK);
    kit_raw(&k.root, "zzz", "\xc1", 1);
    expect_root(WIRE_MALFORMED);
}

static void test_version_before_the_rest(void **state)
{
    (void)state;
    kit_uint(&k.root, "v", 2);
    expect_root(WIRE_BAD_VERSION);
    kit_del(&k.root, "agent");
    kit_uint(&k.root, "seq", 0);
    expect_root(WIRE_BAD_VERSION);
    kit_uint(&k.root, "v", 0);
    expect_root(WIRE_BAD_VERSION);
    kit_int(&k.root, "v", -1);
    expect_root(WIRE_MALFORMED);
    kit_uint(&k.root, "v", 2);
    kit_raw(&k.root, "zzz", "\x81\x01\x01", 3);
    expect_root(WIRE_MALFORMED); /* the walk comes first */
}

static void test_root_ranges(void **state)
{
    (void)state;
    kit_uint(&k.root, "epoch", 0);
    expect_root(WIRE_MALFORMED);
    kit_uint(&k.root, "epoch", UINT64_MAX);
    expect_root(WIRE_OK);
    kit_uint(&k.root, "seq", 0);
    expect_root(WIRE_MALFORMED);
    kit_uint(&k.root, "seq", UINT64_MAX);
    expect_root(WIRE_OK);
    kit_uint(&k.root, "low", UINT64_MAX);
    expect_root(WIRE_OK);
    kit_uint(&k.root, "seq", 7);
    expect_root(WIRE_MALFORMED); /* low > seq */
    kit_uint(&k.root, "low", 0);
    expect_root(WIRE_MALFORMED);
    kit_uint(&k.root, "low", 7);
    expect_root(WIRE_OK);
    kit_int(&k.root, "sealed", INT64_MIN);
    expect_root(WIRE_OK);
    kit_uint(&k.root, "sealed", INT64_MAX);
    expect_root(WIRE_OK);
    kit_uint(&k.root, "sealed", (uint64_t)INT64_MAX + 1);
    expect_root(WIRE_MALFORMED);
    kit_int(&k.root, "sealed", 0);
    kit_bin(&k.root, "resource", kit_hash, 15);
    expect_root(WIRE_MALFORMED);
    kit_raw(&k.root, "resource",
            "\xb0"
            "0123456789abcdef",
            17); /* str, not bin */
    expect_root(WIRE_MALFORMED);
}

static void test_agent(void **state)
{
    static const char *const bad[] = {"", ".a", "a b", "a/b", "\xc3\xa9", "a\n"};
    static const char *const good[] = {"a", "-", "_", "a.", "A.B-c_9"};
    char text[130] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kit_text(&k.root, "agent", bad[i]);
        expect_root(WIRE_MALFORMED);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        kit_text(&k.root, "agent", good[i]);
        expect_root(WIRE_OK);
    }
    memset(text, 'a', 129);
    kit_text(&k.root, "agent", text);
    expect_root(WIRE_MALFORMED);
    text[128] = 0;
    kit_text(&k.root, "agent", text);
    expect_root(WIRE_OK);
}

/* ---- blocks ---- */

static void test_block_keys(void **state)
{
    static const char *const keys[] = {"dt", "ints", "mode", "n", "reals", "sketches", "t0"};
    static const char *const optional[] = {"jitter", "present", "start"};

    (void)state;
    expect_block(WIRE_OK);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct buf *b = NULL;
        struct buf kept;

        for (unsigned j = 0; j < k.block.n; j++)
            if (!strcmp(k.block.at[j].key, keys[i]))
                b = &k.block.at[j].value;
        assert_non_null(b);
        buf_init(&kept, NULL, 1000);
        buf_put(&kept, b->data, b->len);
        kit_raw(&k.block, keys[i],
                "\xa1"
                "a",
                2);
        expect_block(WIRE_BLOCK);
        kit_del(&k.block, keys[i]);
        expect_block(WIRE_BLOCK);
        kit_raw(&k.block, keys[i], kept.data, kept.len);
        buf_free(&kept);
    }
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        kit_raw(&k.block, optional[i],
                "\xa1"
                "a",
                2);
        expect_block(WIRE_BLOCK);
        kit_raw(&k.block, optional[i], "\xc0", 1);
        expect_block(WIRE_BLOCK);
        kit_del(&k.block, optional[i]);
    }
    kit_int(&k.block, "start", -5);
    kit_uint(&k.block, "zzz", 1);
    expect_block(WIRE_OK);
}

/* What is wrong with a block's own keys waits until its definition is known; its schema does not. */
static void test_block_order(void **state)
{
    enum wire_reason r = WIRE_OK;
    struct wire_batch b;

    (void)state;
    kit_del(&k.block, "n");
    kit_array_of(&k.root, "blocks", &k.block, 1);
    buf_clear(&k.payload);
    kit_write(&k.root, &k.payload);
    assert_int_equal(wire_batch_decode(k.payload.data, k.payload.len, &k.a, &b, &r, NULL), 0);
    assert_string_equal(b.blocks[0].bad, "n");
    assert_int_equal(b.blocks[0].bad_reason, WIRE_BLOCK);
    arena_free(&k.a);
    kit_bin(&k.block, "schema", "0123456789abcdefg", 17);
    expect_block(WIRE_MALFORMED);
    kit_del(&k.block, "schema");
    expect_block(WIRE_MALFORMED);
    kit_raw(&k.root, "blocks", "\x91\x01", 2);
    expect_root(WIRE_MALFORMED);
    kit_raw(&k.root, "blocks", "\x80", 1);
    expect_root(WIRE_MALFORMED);
}

/* n ticks of the first series alone, all zero. */
static void grid(uint32_t n, uint64_t dt)
{
    uint8_t *zeros = calloc(1, n + 1);

    assert_non_null(zeros);
    k.schema.n = 1;
    kit_bin(&k.block, "mode", "\0", 1);
    kit_bin(&k.block, "reals", "", 0);
    kit_bin(&k.block, "ints", zeros, n);
    kit_uint(&k.block, "n", n);
    kit_uint(&k.block, "dt", dt);
    free(zeros);
}

static void test_grid(void **state)
{
    (void)state;
    grid(1, 0);
    expect_block(WIRE_OK);
    grid(1, UINT32_MAX);
    expect_block(WIRE_OK);
    grid(1, (uint64_t)UINT32_MAX + 1);
    expect_block(WIRE_BLOCK);
    grid(2, 0);
    expect_block(WIRE_BLOCK);
    grid(2, 3600000);
    expect_block(WIRE_OK);
    grid(2, 3600001);
    expect_block(WIRE_LIMIT);
    grid(3600, 1000);
    expect_block(WIRE_OK);
    grid(3601, 1000);
    expect_block(WIRE_LIMIT);
    grid(3600, 1001);
    expect_block(WIRE_LIMIT);
    grid(0, 0);
    expect_block(WIRE_LIMIT);
    grid(1, 0);
    kit_int(&k.block, "n", -1);
    expect_block(WIRE_BLOCK);
    kit_uint(&k.block, "n", UINT64_MAX);
    expect_block(WIRE_LIMIT);
}

static void test_tick_times(void **state)
{
    (void)state;
    grid(2, 10);
    kit_int(&k.block, "t0", INT64_MAX - 10);
    expect_block(WIRE_OK);
    kit_int(&k.block, "t0", INT64_MAX - 9);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "jitter", "\x00\x01", 2); /* 0, -1: the last tick is back in */
    expect_block(WIRE_OK);
    kit_int(&k.block, "t0", INT64_MIN);
    kit_bin(&k.block, "jitter", "\x01\x00", 2);
    expect_block(WIRE_BLOCK);
    kit_int(&k.block, "t0", 0);
    kit_bin(&k.block, "jitter", "\x00\x11", 2); /* 0, 1 */
    expect_block(WIRE_OK);
    kit_bin(&k.block, "jitter", "\x00\x13", 2); /* 0, 0 */
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "jitter", "\x00", 1);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "jitter", "\x00\x00\x00", 3);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "jitter", "\x00\xc0\xa9\x07", 4); /* + 60 000 */
    expect_block(WIRE_OK);
    kit_bin(&k.block, "jitter", "\x00\xc2\xa9\x07", 4); /* + 60 001 */
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "jitter", "\xbf\xa9\x07\x00", 4); /* - 60 000 */
    expect_block(WIRE_OK);
    kit_bin(&k.block, "jitter", "\xc1\xa9\x07\x00", 4); /* - 60 001 */
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "jitter", "\x80\x80\x00\x80\x00", 5); /* longer than needed */
    expect_block(WIRE_OK);
}

static void test_block_count(void **state)
{
    struct buf *b = kit_at(&k.root, "blocks");
    msgpack_packer pk = pack_into(b);

    (void)state;
    grid(1, 0);
    (void)msgpack_pack_array(&pk, 64);
    for (int i = 0; i < 64; i++) {
        kit_int(&k.block, "t0", i);
        kit_write(&k.block, b);
    }
    expect_root(WIRE_OK);
    expect_blocks(65, WIRE_LIMIT);
    kit_uint(&k.root, "v", 2);
    expect_root(WIRE_BAD_VERSION);
}

static void test_shared_ticks(void **state)
{
    static const int64_t second[] = {0, 5, 9, 10, -9, -10, 3};
    static const bool shared[] = {true, true, true, false, true, false, true};
    struct buf *b;

    (void)state;
    grid(10, 1);
    for (size_t i = 0; i < 7; i++) {
        b = kit_at(&k.root, "blocks");
        buf_put(b, "\x92", 1);
        kit_int(&k.block, "t0", 0);
        kit_write(&k.block, b);
        kit_int(&k.block, "t0", second[i]);
        kit_write(&k.block, b);
        expect_root(shared[i] ? WIRE_BLOCK : WIRE_OK);
    }
    b = kit_at(&k.root, "blocks"); /* another schema may have the same ticks */
    buf_put(b, "\x92", 1);
    kit_write(&k.block, b);
    kit_bin(&k.block, "schema", "fedcba9876543210", 16);
    kit_write(&k.block, b);
    expect_root(WIRE_OK);
    grid(2, 10); /* interleaved grids meet nowhere */
    b = kit_at(&k.root, "blocks");
    buf_put(b, "\x92", 1);
    kit_int(&k.block, "t0", 0);
    kit_write(&k.block, b);
    kit_int(&k.block, "t0", 5);
    kit_write(&k.block, b);
    expect_root(WIRE_OK);
}

static void test_mode(void **state)
{
    (void)state;
    kit_bin(&k.block, "mode", "\0\0", 2);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "mode", "\0\0\1\0", 4);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "mode", "\0\0\2", 3);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "mode", "\0\1\0", 3); /* whichever is real */
    expect_block(WIRE_OK);
}

static void test_present(void **state)
{
    uint8_t bits[6] = {0xff, 3, 0xff, 3, 0xff, 3}, zeros[80] = {0};

    (void)state;
    kit_bin(&k.block, "present", bits, 6);
    expect_block(WIRE_OK);
    kit_bin(&k.block, "present", bits, 5);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "present", bits, 4);
    expect_block(WIRE_BLOCK);
    bits[3] = 7; /* padding */
    kit_bin(&k.block, "present", bits, 6);
    expect_block(WIRE_BLOCK);
    bits[3] = 1; /* one less than there are integers */
    kit_bin(&k.block, "present", bits, 6);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "ints", zeros, 19);
    expect_block(WIRE_OK);
    bits[4] = 0xfe;
    kit_bin(&k.block, "present", bits, 6);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "reals", zeros, 72);
    expect_block(WIRE_OK);
    memset(bits, 0, sizeof bits); /* nobody there */
    kit_bin(&k.block, "present", bits, 6);
    kit_bin(&k.block, "ints", "", 0);
    kit_bin(&k.block, "reals", "", 0);
    expect_block(WIRE_OK);
}

static void test_ints(void **state)
{
    static const struct {
        const char *p;
        size_t n;
        enum wire_reason want;
    } rows[] = {
        {"", 0, WIRE_BLOCK},
        {"\x00", 1, WIRE_BLOCK},
        {"\x00\x00", 2, WIRE_OK},
        {"\x00\x00\x00", 3, WIRE_BLOCK},
        {"\x80\x00\x00", 3, WIRE_OK},                                         /* 0 in two bytes */
        {"\x00\x80", 2, WIRE_BLOCK},                                          /* cut */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 11, WIRE_OK},        /* INT64_MIN */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02", 11, WIRE_OK},        /* and modulo 2^64 around */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00", 11, WIRE_BLOCK},     /* 65 bits */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x00", 12, WIRE_BLOCK}, /* eleven bytes */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x00", 11, WIRE_OK},        /* 0 in ten */
    };

    (void)state;
    grid(2, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kit_bin(&k.block, "ints", rows[i].p, rows[i].n);
        expect_block(rows[i].want);
    }
    k.series[0].kind = WIRE_COUNTER;
    kit_bin(&k.block, "ints", "\x02\x01", 2); /* 1, 0 */
    expect_block(WIRE_OK);
    kit_bin(&k.block, "ints", "\x02\x03", 2); /* 1, -1 */
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "ints", "\x01\x02", 2); /* -1, 0 */
    expect_block(WIRE_BLOCK);
}

static void expect_real(double v, enum wire_reason gauge, enum wire_reason counter)
{
    kit_bin(&k.block, "reals", &v, sizeof v);
    k.series[0].kind = WIRE_GAUGE;
    expect_block(gauge);
    k.series[0].kind = WIRE_UNTYPED;
    expect_block(gauge);
    k.series[0].kind = WIRE_COUNTER;
    expect_block(counter);
}

static void test_reals(void **state)
{
    (void)state;
    grid(1, 0);
    kit_bin(&k.block, "ints", "", 0);
    kit_bin(&k.block, "mode", "\1", 1);
    expect_real(1.5, WIRE_OK, WIRE_OK);
    expect_real(0.0, WIRE_OK, WIRE_OK);
    expect_real(-0.0, WIRE_OK, WIRE_OK);
    expect_real(DBL_MAX, WIRE_OK, WIRE_OK);
    expect_real(-DBL_MIN, WIRE_OK, WIRE_BLOCK);
    expect_real((double)NAN, WIRE_OK, WIRE_BLOCK);
    expect_real((double)INFINITY, WIRE_OK, WIRE_BLOCK);
    kit_bin(&k.block, "reals", "1234567", 7);
    expect_block(WIRE_BLOCK);
    kit_bin(&k.block, "reals", "123456789", 9);
    expect_block(WIRE_BLOCK);
}

static void test_sketches(void **state)
{
    uint8_t two[200];
    struct sketch s;
    struct buf b;

    (void)state;
    sketch_init(&s, NULL);
    buf_init(&b, NULL, 1000);
    assert_int_equal(sketch_add(&s, 0.25, 3), 0);
    assert_int_equal(sketch_encode(&s, &b), 0);
    memcpy(two, b.data, b.len);
    memcpy(two + b.len, b.data, b.len);
    k.series[0].kind = WIRE_SKETCH;
    k.schema = (struct wire_schema){k.series, 1, 1};
    kit_uint(&k.block, "n", 2);
    kit_bin(&k.block, "mode", "", 0);
    kit_bin(&k.block, "ints", "", 0);
    kit_bin(&k.block, "reals", "", 0);
    kit_bin(&k.block, "sketches", two, 2 * b.len);
    expect_block(WIRE_OK);
    kit_bin(&k.block, "sketches", two, 2 * b.len - 1);
    expect_block(WIRE_SKETCH_REASON);
    kit_bin(&k.block, "sketches", two, 2 * b.len + 1);
    expect_block(WIRE_SKETCH_REASON);
    kit_bin(&k.block, "sketches", two, b.len);
    expect_block(WIRE_SKETCH_REASON);
    kit_bin(&k.block, "present", "\x02", 1);
    expect_block(WIRE_OK);
    two[0] = 18; /* scale 9 */
    kit_bin(&k.block, "sketches", two, b.len);
    expect_block(WIRE_SKETCH_REASON);
    kit_bin(&k.block, "mode", "\0", 1); /* a sketch has no mode */
    expect_block(WIRE_BLOCK);
    buf_free(&b);
    sketch_free(&s);
}

/* 2^20 values in a batch, over blocks. */
static void test_values(void **state)
{
    struct wire_series *s = calloc(WIRE_MAX_SERIES, sizeof *s);
    uint8_t *zeros = calloc(1, WIRE_MAX_VALUES + 1);
    struct buf *b = kit_at(&k.root, "blocks");

    (void)state;
    assert_true(s && zeros);
    for (int i = 0; i < WIRE_MAX_SERIES; i++)
        s[i] = (struct wire_series){kit_str("g"), WIRE_GAUGE, 1, 1, NULL, 0, kit_str("")};
    k.schema = (struct wire_schema){s, WIRE_MAX_SERIES, 0};
    kit_uint(&k.block, "n", 128);
    kit_uint(&k.block, "dt", 1);
    kit_bin(&k.block, "mode", zeros, WIRE_MAX_SERIES);
    kit_bin(&k.block, "reals", "", 0);
    kit_bin(&k.block, "ints", zeros, WIRE_MAX_VALUES / 2);
    buf_put(b, "\x92", 1);
    kit_write(&k.block, b);
    kit_int(&k.block, "t0", 0);
    kit_write(&k.block, b);
    expect_root(WIRE_OK);
    b->data[0] = 0x93; /* one value more, in a third block */
    kit_int(&k.block, "t0", -5000);
    kit_uint(&k.block, "n", 1);
    kit_bin(&k.block, "ints", zeros, 1);
    zeros[0] = 1;
    kit_bin(&k.block, "present", zeros, WIRE_MAX_SERIES);
    zeros[0] = 0;
    kit_write(&k.block, b);
    expect_root(WIRE_LIMIT);
    kit_del(&k.block, "present");
    kit_uint(&k.block, "n", 257); /* alone, by what it claims, although the bytes are not there */
    expect_block(WIRE_LIMIT);
    free(s);
    free(zeros);
}

/* A block of 4096 × 3600 empty places is allowed, and costs memory by its bytes, not by its places. */
static void test_sparse(void **state)
{
    struct wire_series *s = calloc(WIRE_MAX_SERIES, sizeof *s);
    size_t n = (size_t)WIRE_MAX_SERIES * 450;
    uint8_t *zeros = calloc(1, n);
    struct mem mem = {.cap = 1 << 20};

    (void)state;
    assert_true(s && zeros);
    for (int i = 0; i < WIRE_MAX_SERIES; i++)
        s[i] = (struct wire_series){kit_str("g"), WIRE_GAUGE, 1, 1, NULL, 0, kit_str("")};
    k.schema = (struct wire_schema){s, WIRE_MAX_SERIES, 0};
    k.a.mem = &mem;
    kit_uint(&k.block, "n", 3600);
    kit_bin(&k.block, "mode", zeros, WIRE_MAX_SERIES);
    kit_bin(&k.block, "reals", "", 0);
    kit_bin(&k.block, "ints", "\x02", 1);
    zeros[n - 1] = 0x80; /* the last tick of the last series */
    kit_bin(&k.block, "present", zeros, n);
    expect_block(WIRE_OK);
    assert_int_equal(mem.denied, 0);
    assert_int_equal(mem.used, 0);
    free(s);
    free(zeros);
}

/* Values as the page defines them: two roundings, XOR of floats, times with jitter. */
static void test_meaning(void **state)
{
    const double reals[] = {1.5, -2.25};
    enum wire_reason r;
    struct wire_batch b;
    struct wire_values v;
    uint64_t bits[2], count = 5;

    (void)state;
    memcpy(bits, reals, sizeof bits);
    bits[1] ^= bits[0];
    kit_uint(&k.block, "n", 3);
    kit_uint(&k.block, "dt", 100);
    kit_bin(&k.block, "ints", "\x0e\x03\x14\x02\x02", 5); /* g: 7, 5; c: 10, 11, 12 */
    kit_bin(&k.block, "reals", bits, sizeof bits);
    kit_bin(&k.block, "present", "\x05\x07\x06", 3);
    kit_bin(&k.block, "jitter", "\x0a\x00\x13", 3); /* 5, 0, -10 */
    kit_int(&k.block, "t0", 1000);
    kit_array_of(&k.root, "blocks", &k.block, 1);
    buf_clear(&k.payload);
    kit_write(&k.root, &k.payload);
    assert_int_equal(wire_batch_decode(k.payload.data, k.payload.len, &k.a, &b, &r, NULL), 0);
    assert_int_equal(wire_block_decode(&b.blocks[0], &k.schema, &k.a, &v, &count, &r, NULL), 0);
    assert_int_equal(count, 12);
    assert_int_equal(v.n, 3);
    assert_int_equal(v.times[0], 1005);
    assert_int_equal(v.times[1], 1100);
    assert_int_equal(v.times[2], 1190);
    assert_true(v.count[0] == 2 && v.count[1] == 3 && v.count[2] == 2);
    assert_true(v.num[0][0] == 1.75 && v.num[0][1] == 1.25);
    assert_true(v.num[1][0] == 30 && v.num[1][2] == 36);
    assert_true(v.num[2][0] == 1.5 && v.num[2][1] == -2.25);
    assert_true(v.sketch[0] == NULL && v.present[1] == NULL);
    assert_int_equal(wire_next_tick(&v, 0, 0), 0);
    assert_int_equal(wire_next_tick(&v, 0, 1), 2);
    assert_int_equal(wire_next_tick(&v, 0, 3), 3);
    assert_int_equal(wire_next_tick(&v, 2, 0), 1);
}

/* ---- events ---- */

static void event(struct kit_map *m)
{
    kit_text(m, "kind", "note");
    kit_raw(m, "labels",
            "\x81\xa4"
            "host\xa1"
            "a",
            8);
    kit_text(m, "name", "n");
    kit_int(m, "t", -1);
    kit_text(m, "text", "");
}

static void expect_events(const struct kit_map *m, uint32_t n, enum wire_reason want)
{
    kit_array_of(&k.root, "events", m, n);
    expect_root(want);
}

static void test_events(void **state)
{
    static const char *const keys[] = {"kind", "labels", "name", "t", "text"};
    static const char *const kinds[] = {"deployment", "rollback",  "config", "service_check",
                                        "audit",      "violation", "note"};
    struct kit_map m = {.n = 0};

    (void)state;
    event(&m);
    expect_events(&m, 0, WIRE_OK);
    expect_events(&m, 256, WIRE_OK);
    expect_events(&m, 257, WIRE_LIMIT);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        kit_raw(&m, keys[i], "\xc0", 1);
        expect_events(&m, 1, WIRE_EVENT);
        kit_del(&m, keys[i]);
        expect_events(&m, 1, WIRE_EVENT);
        event(&m);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        kit_text(&m, "kind", kinds[i]);
        expect_events(&m, 1, WIRE_OK);
    }
    kit_text(&m, "kind", "notes");
    expect_events(&m, 1, WIRE_EVENT);
    event(&m);
    kit_raw(&m, "labels",
            "\x81\xa3"
            "job\xa1"
            "a",
            7);
    expect_events(&m, 1, WIRE_EVENT);
    kit_raw(&m, "labels",
            "\x81\xa4"
            "host\xa0",
            7);
    expect_events(&m, 1, WIRE_EVENT);
    kit_raw(&m, "labels",
            "\x81\xa4"
            "host\x01",
            7);
    expect_events(&m, 1, WIRE_EVENT);
    kit_raw(&k.root, "events", "\x91\x01", 2);
    expect_root(WIRE_EVENT);
    kit_raw(&k.root, "events", "\x80", 1);
    expect_root(WIRE_MALFORMED);
    kit_raw(&k.root, "events", "\xc0", 1);
    expect_root(WIRE_MALFORMED);
    kit_free(&m);
}

static void test_event_limits(void **state)
{
    struct kit_map m = {.n = 0}, labels = {.n = 0};
    char text[8200];

    (void)state;
    event(&m);
    memset(text, 'x', sizeof text);
    text[8193] = 0;
    kit_text(&m, "text", text);
    expect_events(&m, 1, WIRE_LIMIT);
    text[8192] = 0;
    kit_text(&m, "text", text);
    expect_events(&m, 1, WIRE_OK);
    text[201] = 0;
    kit_text(&m, "name", text);
    expect_events(&m, 1, WIRE_LIMIT);
    text[200] = 0;
    kit_text(&m, "name", text);
    expect_events(&m, 1, WIRE_OK);
    for (int i = 0; i < 33; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "l%d", i);
        kit_text(&labels, name, "v");
        if (i < 31)
            continue;
        buf_clear(kit_at(&m, "labels"));
        kit_write(&labels, kit_at(&m, "labels"));
        expect_events(&m, 1, i == 31 ? WIRE_OK : WIRE_LIMIT);
    }
    kit_free(&m);
    kit_free(&labels);
}

static void test_walk_limits(void **state)
{
    (void)state;
    kit_raw(&k.root, "zzz", "\x91\x91\x91\x90", 4);
    expect_root(WIRE_OK);
    kit_raw(&k.root, "zzz", "\x91\x91\x91\x91\x90", 5);
    expect_root(WIRE_LIMIT);
    kit_del(&k.root, "zzz");
    for (int i = 0; k.root.n < 256; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "z%d", i);
        kit_uint(&k.root, key, 1);
    }
    expect_root(WIRE_OK);
    kit_uint(&k.root, "zz", 1);
    expect_root(WIRE_LIMIT);
}

static void test_memory(void **state)
{
    enum wire_reason r = WIRE_OK;
    struct wire_batch b;
    struct mem mem = {.cap = 10};

    (void)state;
    expect_block(WIRE_OK);
    k.a.mem = &mem;
    assert_int_equal(wire_batch_decode(k.payload.data, k.payload.len, &k.a, &b, &r, NULL), ERR_NOMEM);
    assert_int_equal(r, WIRE_UNAVAILABLE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_root_keys),   T(test_version_before_the_rest),
        T(test_root_ranges), T(test_agent),
        T(test_block_keys),  T(test_block_order),
        T(test_grid),        T(test_tick_times),
        T(test_block_count), T(test_shared_ticks),
        T(test_mode),        T(test_present),
        T(test_ints),        T(test_reals),
        T(test_sketches),    T(test_values),
        T(test_sparse),      T(test_meaning),
        T(test_events),      T(test_event_limits),
        T(test_walk_limits), T(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
