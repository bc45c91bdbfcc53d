/* The examples of docs/protocol.md are what the encoder writes, to the byte, and what the decoder reads: the
 * page cannot drift from the code. Each example is a fenced block whose first line is ```hex NAME; text
 * behind # is for people. */
#include "tests/unit/wire_kit.h"

#include <stdio.h>
#include <stdlib.h>

static char *page; /* the whole page, terminated */

static int setup(void **state)
{
    char path[4096];
    FILE *f;
    size_t n;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/docs/protocol.md",
                   getenv("TEST_SOURCE") ? getenv("TEST_SOURCE") : ".");
    f = fopen(path, "r");
    page = calloc(1, 1 << 20);
    if (!f || !page)
        return -1;
    n = fread(page, 1, (1 << 20) - 1, f);
    (void)fclose(f);
    return n ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(page);
    return 0;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of the example, from the page. */
static void example(const char *name, struct buf *out)
{
    char fence[64];
    const char *p, *end;

    buf_clear(out);
    (void)snprintf(fence, sizeof fence, "```hex %s\n", name);
    p = strstr(page, fence);
    if (!p)
        fail_msg("the page has no example %s", name);
    p += strlen(fence);
    end = strstr(p, "```");
    assert_non_null(end);
    while (p < end) {
        if (*p == '#') {
            while (p < end && *p != '\n')
                p++;
        } else if (nibble(p[0]) >= 0 && nibble(p[1]) >= 0) {
            buf_u8(out, (uint8_t)(nibble(p[0]) * 16 + nibble(p[1])));
            p += 2;
        } else {
            p++;
        }
    }
}

static void same(const char *name, const void *want, size_t n)
{
    struct buf b;

    buf_init(&b, NULL, 1 << 16);
    example(name, &b);
    if (b.len != n || memcmp(b.data, want, n) != 0) {
        print_message("example %s should be:\n", name);
        for (size_t i = 0; i < n; i++)
            print_message("%02x%s", ((const uint8_t *)want)[i], i % 16 == 15 || i + 1 == n ? "\n" : " ");
        fail();
    }
    buf_free(&b);
}

struct doc {
    struct buf resource, schema, sketch, batch;
    struct wire_hash resource_hash, schema_hash;
};

static struct wire_series series[3];
static struct wire_label code;

static void make_definitions(struct doc *d)
{
    struct wire_label l[] = {{kit_str("host"), kit_str("web-1")},
                             {kit_str("region"), kit_str("eu")},
                             {kit_str("env"), kit_str("prod")}};

    code = (struct wire_label){kit_str("code"), kit_str("200")};
    series[0] = (struct wire_series){kit_str("node_load1"), WIRE_GAUGE, 1, 100, NULL, 0, kit_str("1m load")};
    series[1] = (struct wire_series){kit_str("demo_total"), WIRE_COUNTER, 1, 1, &code, 1, kit_str("")};
    series[2] = (struct wire_series){kit_str("demo_seconds"), WIRE_SKETCH, 1, 1, NULL, 0, kit_str("")};
    assert_int_equal(wire_resource_encode(&(struct wire_resource){l, 3}, &d->resource, NULL), 0);
    assert_int_equal(wire_schema_encode(&(struct wire_schema){series, 3, 1}, &d->schema, NULL), 0);
    d->resource_hash = wire_hash_of(d->resource.data, d->resource.len);
    d->schema_hash = wire_hash_of(d->schema.data, d->schema.len);
}

static void make_sketch(struct doc *d)
{
    struct sketch s;

    sketch_init(&s, NULL);
    assert_int_equal(sketch_add(&s, 0.25, 1), 0);
    assert_int_equal(sketch_add(&s, 0.3125, 2), 0);
    assert_int_equal(sketch_add(&s, -1, 1), 0);
    assert_int_equal(sketch_add(&s, 0, 1), 0);
    assert_int_equal(sketch_encode(&s, &d->sketch), 0);
    sketch_free(&s);
}

static void make_batch(struct doc *d)
{
    static const int64_t load[] = {52, 52, 49}, requests[] = {1000, 1003, 1009};
    struct bytes sketches[3] = {{NULL, 0}, {d->sketch.data, d->sketch.len}, {NULL, 0}};
    struct wire_column columns[3] = {{.ints = load}, {.ints = requests}, {.sketches = sketches}};
    struct wire_schema schema = {series, 3, 1};
    struct wire_block_out block = {.schema = d->schema_hash,
                                   .layout = &schema,
                                   .t0 = 1700000000000,
                                   .dt = 1000,
                                   .n = 3,
                                   .has_start = true,
                                   .start = 1699990000000,
                                   .columns = columns};
    struct wire_batch_out b = {.agent = kit_str("web-1"),
                               .epoch = 1700000000000,
                               .seq = 7,
                               .low = 5,
                               .sealed = 1700000003000,
                               .resource = d->resource_hash,
                               .blocks = &block,
                               .n_blocks = 1};

    assert_int_equal(wire_batch_encode(&b, &d->batch, NULL), 0);
}

static void open_doc(struct doc *d)
{
    buf_init(&d->resource, NULL, 1 << 16);
    buf_init(&d->schema, NULL, 1 << 16);
    buf_init(&d->sketch, NULL, 1 << 16);
    buf_init(&d->batch, NULL, 1 << 16);
    make_definitions(d);
    make_sketch(d);
    make_batch(d);
}

static void close_doc(struct doc *d)
{
    buf_free(&d->resource);
    buf_free(&d->schema);
    buf_free(&d->sketch);
    buf_free(&d->batch);
}

static void test_definitions(void **state)
{
    struct doc d;

    (void)state;
    open_doc(&d);
    same("resource", d.resource.data, d.resource.len);
    same("resource-hash", d.resource_hash.b, 16);
    same("schema", d.schema.data, d.schema.len);
    same("schema-hash", d.schema_hash.b, 16);
    close_doc(&d);
}

static void test_sketch(void **state)
{
    struct doc d;

    (void)state;
    open_doc(&d);
    same("sketch", d.sketch.data, d.sketch.len);
    close_doc(&d);
}

static void test_batch(void **state)
{
    struct doc d;

    (void)state;
    open_doc(&d);
    same("batch", d.batch.data, d.batch.len);
    close_doc(&d);
}

/* The frame of the page is made by hand of one stored block,
 * so that it does not hang on a version of zstd. */
static void test_frame(void **state)
{
    struct wire_codec *c = wire_codec_new(1);
    enum wire_reason r = WIRE_OK;
    struct buf frame, out;
    struct err e = {0};

    (void)state;
    buf_init(&frame, NULL, 1 << 16);
    buf_init(&out, NULL, 1 << 16);
    example("frame", &frame);
    if (wire_inflate(c, frame.data, frame.len, &out, &r, &e))
        fail_msg("%s", e.text);
    assert_int_equal(out.len, 12);
    assert_memory_equal(out.data, "\x82\xa1\x61\xa5\x68\x65\x6c\x6c\x6f\xa1\x62\xc3", 12);
    buf_free(&frame);
    buf_free(&out);
    wire_codec_free(&c);
}

/* Every reason of the page's list is ours and the other way round. */
static void test_reasons(void **state)
{
    (void)state;
    for (int i = 1; i < WIRE_REASONS; i++) {
        char cell[64];

        (void)snprintf(cell, sizeof cell, "| `%s` | %d |", wire_reason_name((enum wire_reason)i),
                       wire_reason_status((enum wire_reason)i));
        if (!strstr(page, cell))
            fail_msg("the page has no row %s", cell);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions), cmocka_unit_test(test_sketch),  cmocka_unit_test(test_batch),
        cmocka_unit_test(test_frame),       cmocka_unit_test(test_reasons),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
