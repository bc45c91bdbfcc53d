/* Definitions: round trips, each rule of the page broken alone, each limit at its value and one beyond. */
#include "tests/unit/wire_kit.h"

#include <stdlib.h>

struct made {
    struct wire_label labels[40];
    struct wire_series series[3];
    struct wire_resource resource;
    struct wire_schema schema;
};

static char long_text[2000];

/* A schema of three series with one label each, and a resource with the three labels that must be there. */
static struct made *make(void)
{
    static struct made m;

    memset(long_text, 'a', sizeof long_text);
    m = (struct made){0};
    m.labels[0] = (struct wire_label){kit_str("region"), kit_str("us-east-1")};
    m.labels[1] = (struct wire_label){kit_str("host"), kit_str("web-1")};
    m.labels[2] = (struct wire_label){kit_str("env"), kit_str("prod")};
    m.labels[3] = (struct wire_label){kit_str("device"), kit_str("sda")};
    m.resource = (struct wire_resource){m.labels, 3};
    m.series[0] = (struct wire_series){kit_str("node_load1"), WIRE_GAUGE, 1, 100, NULL, 0, kit_str("")};
    m.series[1] = (struct wire_series){kit_str("node_disk_io_time_seconds_total"),
                                       WIRE_COUNTER,
                                       1,
                                       1000,
                                       &m.labels[3],
                                       1,
                                       kit_str("Help, with \xc3\xa9")};
    m.series[2] = (struct wire_series){kit_str("app:latency"), WIRE_SKETCH, 1, 1, NULL, 0, kit_str("")};
    m.schema = (struct wire_schema){m.series, 3, 1};
    return &m;
}

static void check_bytes(const void *p, size_t n, enum wire_reason want)
{
    struct wire_definition d;
    enum wire_reason got = WIRE_OK;
    struct err e = {0};
    struct arena a;
    int rc;

    arena_init(&a, NULL, 0);
    rc = wire_definition_decode(p, n, &a, &d, &got, &e);
    if ((rc == 0) != (want == WIRE_OK) || got != want)
        fail_msg("%s, expected %s (%s)", wire_reason_name(got), wire_reason_name(want), e.text);
    arena_free(&a);
}

/* Writes without a rule in the way, so that the reader alone judges. */
static void put_labels_freely(msgpack_packer *pk, const struct wire_label *l, uint32_t n)
{
    pack_labels(pk, l, n);
}

static void check_schema(const struct wire_schema *s, enum wire_reason want)
{
    struct buf b, c;
    msgpack_packer pk = pack_into(&b);
    struct err e = {0};
    int rc;

    buf_init(&b, NULL, 16 << 20);
    buf_init(&c, NULL, 16 << 20);
    (void)msgpack_pack_array(&pk, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        (void)msgpack_pack_array(&pk, 6);
        pack_str(&pk, s->series[i].name);
        (void)msgpack_pack_uint32(&pk, s->series[i].kind);
        (void)msgpack_pack_uint32(&pk, s->series[i].mul);
        (void)msgpack_pack_uint32(&pk, s->series[i].div);
        put_labels_freely(&pk, s->series[i].labels, s->series[i].n_labels);
        pack_str(&pk, s->series[i].help);
    }
    check_bytes(b.data, b.len, want);
    rc = wire_schema_encode(s, &c, &e); /* the writer keeps the same rules */
    assert_int_equal(rc == 0, want == WIRE_OK);
    if (rc)
        assert_int_equal(rc, want == WIRE_LIMIT ? ERR_LIMIT : ERR_MALFORMED);
    assert_true(rc == 0 || c.len == 0);
    buf_free(&b);
    buf_free(&c);
}

static void check_resource(const struct wire_resource *r, enum wire_reason want)
{
    struct buf b, c;
    msgpack_packer pk = pack_into(&b);
    int rc;

    buf_init(&b, NULL, 1 << 20);
    buf_init(&c, NULL, 1 << 20);
    put_labels_freely(&pk, r->labels, r->n_labels);
    check_bytes(b.data, b.len, want);
    rc = wire_resource_encode(r, &c, NULL);
    assert_int_equal(rc == 0, want == WIRE_OK);
    buf_free(&b);
    buf_free(&c);
}

static void same_str(struct wire_str a, struct wire_str b)
{
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
}

static void test_schema_round_trip(void **state)
{
    struct made *m = make();
    struct wire_definition d;
    enum wire_reason r;
    struct arena a;
    struct buf b;

    (void)state;
    arena_init(&a, NULL, 0);
    buf_init(&b, NULL, 1 << 20);
    assert_int_equal(wire_schema_encode(&m->schema, &b, NULL), 0);
    assert_int_equal(wire_definition_decode(b.data, b.len, &a, &d, &r, NULL), 0);
    assert_int_equal(d.sort, WIRE_SORT_SCHEMA);
    assert_int_equal(d.schema.n, 3);
    assert_int_equal(d.schema.n_sketches, 1);
    for (int i = 0; i < 3; i++) {
        same_str(d.schema.series[i].name, m->series[i].name);
        same_str(d.schema.series[i].help, m->series[i].help);
        assert_int_equal(d.schema.series[i].kind, m->series[i].kind);
        assert_int_equal(d.schema.series[i].mul, m->series[i].mul);
        assert_int_equal(d.schema.series[i].div, m->series[i].div);
        assert_int_equal(d.schema.series[i].n_labels, m->series[i].n_labels);
    }
    same_str(d.schema.series[1].labels[0].value, kit_str("sda"));
    buf_free(&b);
    arena_free(&a);
}

static void test_resource_is_sorted(void **state)
{
    struct made *m = make();
    struct wire_definition d;
    enum wire_reason r;
    struct arena a;
    struct buf b;

    (void)state;
    arena_init(&a, NULL, 0);
    buf_init(&b, NULL, 1 << 20);
    assert_int_equal(wire_resource_encode(&m->resource, &b, NULL), 0);
    assert_memory_equal(b.data,
                        "\x83\xa3"
                        "env",
                        5);
    assert_int_equal(wire_definition_decode(b.data, b.len, &a, &d, &r, NULL), 0);
    assert_int_equal(d.sort, WIRE_SORT_RESOURCE);
    same_str(d.resource.labels[1].name, kit_str("host"));
    same_str(d.resource.labels[2].value, kit_str("us-east-1"));
    buf_free(&b);
    arena_free(&a);
}

static void test_resource_rules(void **state)
{
    struct made *m = make();
    char names[40][8];

    (void)state;
    for (uint32_t i = 0; i < 3; i++) { /* without each of the three */
        m = make();
        m->labels[i] = m->labels[--m->resource.n_labels];
        check_resource(&m->resource, WIRE_DEFINITION);
    }
    m = make();
    for (uint32_t i = 3; i < 33; i++) {
        (void)snprintf(names[i], sizeof names[i], "l%u", i);
        m->labels[i] = (struct wire_label){kit_str(names[i]), kit_str("v")};
    }
    m->resource.n_labels = 32;
    check_resource(&m->resource, WIRE_OK);
    m->resource.n_labels = 33;
    check_resource(&m->resource, WIRE_LIMIT);
}

static void test_label_rules(void **state)
{
    static const char *const bad[] = {"",    "1a", "a-b",      "a:b",    "__a",        "\xc3\xa9", "instance",
                                      "job", "le", "quantile", "window", "percentile", "metric",   "tenant"};
    static const char *const good[] = {"_a", "a1", "A", "jobs", "_", "tenant_"};
    struct made *m = make();

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        m->labels[3].name = kit_str(bad[i]);
        check_schema(&m->schema, WIRE_DEFINITION);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        m->labels[3].name = kit_str(good[i]);
        check_schema(&m->schema, WIRE_OK);
    }
    m->labels[3].name = (struct wire_str){long_text, 100};
    check_schema(&m->schema, WIRE_OK);
    m->labels[3].name.n = 101;
    check_schema(&m->schema, WIRE_LIMIT);
    m->labels[3] = (struct wire_label){kit_str("device"), {long_text, 500}};
    check_schema(&m->schema, WIRE_OK);
    m->labels[3].value.n = 501;
    check_schema(&m->schema, WIRE_LIMIT);
    m->labels[3].value = kit_str("");
    check_schema(&m->schema, WIRE_DEFINITION);
    m->labels[3].value = (struct wire_str){"a\0b", 3};
    check_schema(&m->schema, WIRE_DEFINITION);
    m->labels[3].value = kit_str("\xff");
    check_schema(&m->schema, WIRE_MALFORMED);
}

static void test_label_counts(void **state)
{
    struct made *m = make();
    char names[40][8];

    (void)state;
    for (uint32_t i = 0; i < 33; i++) {
        (void)snprintf(names[i], sizeof names[i], "l%u", 99 - i); /* falling: not as they will be written */
        m->labels[3 + i] = (struct wire_label){kit_str(names[i]), kit_str("v")};
    }
    m->series[1].n_labels = 32;
    check_schema(&m->schema, WIRE_OK);
    m->series[1].n_labels = 33;
    check_schema(&m->schema, WIRE_LIMIT);
    m->series[1].n_labels = 2;
    m->labels[4].name = m->labels[3].name;
    check_schema(&m->schema, WIRE_MALFORMED); /* a key twice */
}

static void test_series_rules(void **state)
{
    static const char *const bad[] = {
        "", "1a", "a-b", "\xc3\xa9", "securebase_x", "securebase_", "securebase_agents"};
    static const char *const good[] = {":",
                                       "a:b",
                                       "_1",
                                       "securebase",
                                       "securebase_agent_x",
                                       "securebase_host_",
                                       "securebase_probe_success",
                                       "securebase_cgroup_a",
                                       "securebase_app_a"};
    struct made *m = make();

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        m->series[0].name = kit_str(bad[i]);
        check_schema(&m->schema, WIRE_DEFINITION);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        m->series[0].name = kit_str(good[i]);
        check_schema(&m->schema, WIRE_OK);
    }
    m->series[0].name = (struct wire_str){long_text, 200};
    check_schema(&m->schema, WIRE_OK);
    m->series[0].name.n = 201;
    check_schema(&m->schema, WIRE_LIMIT);
    m = make();
    m->series[0].help = (struct wire_str){long_text, 1024};
    check_schema(&m->schema, WIRE_OK);
    m->series[0].help.n = 1025;
    check_schema(&m->schema, WIRE_LIMIT);
    m = make();
    m->series[0].mul = 0;
    check_schema(&m->schema, WIRE_DEFINITION);
    m->series[0].mul = UINT32_MAX;
    check_schema(&m->schema, WIRE_OK);
    m->series[0].div = 0;
    check_schema(&m->schema, WIRE_DEFINITION);
    m = make();
    m->series[0].kind = (enum wire_kind)4;
    check_schema(&m->schema, WIRE_DEFINITION);
    m->series[0].kind = WIRE_UNTYPED;
    check_schema(&m->schema, WIRE_OK);
}

static void test_series_differ(void **state)
{
    struct made *m = make();

    (void)state;
    m->series[2] = m->series[0];
    check_schema(&m->schema, WIRE_DEFINITION); /* the same twice */
    m->series[2].labels = &m->labels[3];
    m->series[2].n_labels = 1;
    check_schema(&m->schema, WIRE_OK);
    m->series[2].kind = WIRE_COUNTER;
    check_schema(&m->schema, WIRE_DEFINITION); /* one name, two kinds */
}

static void test_schema_sizes(void **state)
{
    struct wire_series *s = calloc(WIRE_MAX_SERIES + 1, sizeof *s);
    char(*names)[8] = calloc(WIRE_MAX_SERIES + 1, sizeof *names);

    (void)state;
    assert_true(s && names);
    for (uint32_t i = 0; i <= WIRE_MAX_SERIES; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%u", i);
        s[i] = (struct wire_series){kit_str(names[i]), WIRE_GAUGE, 1, 1, NULL, 0, kit_str("")};
    }
    check_schema(&(struct wire_schema){s, 0, 0}, WIRE_LIMIT);
    check_schema(&(struct wire_schema){s, 1, 0}, WIRE_OK);
    check_schema(&(struct wire_schema){s, WIRE_MAX_SERIES, 0}, WIRE_OK);
    check_schema(&(struct wire_schema){s, WIRE_MAX_SERIES + 1, 0}, WIRE_LIMIT);
    free(s);
    free(names);
}

#define BYTES(s, want) check_bytes(s, sizeof(s) - 1, want)

static void test_forms(void **state)
{
    (void)state;
    BYTES("", WIRE_MALFORMED);
    BYTES("\x01", WIRE_DEFINITION);
    BYTES("\xa1"
          "a",
          WIRE_DEFINITION);
    BYTES("\x80", WIRE_DEFINITION); /* lacks host, region, env */
    BYTES("\x81\xc4\x01"
          "a\xa1"
          "b",
          WIRE_MALFORMED); /* keys are strings */
    BYTES("\x81\xa1"
          "a\x01",
          WIRE_DEFINITION); /* a value that is no string */
    BYTES("\x91\x01", WIRE_DEFINITION);
    BYTES("\x91\x96\xa1"
          "a\x00\x01\x01\x80\xa0",
          WIRE_OK);
    BYTES("\x91\x96\xa1"
          "a\x00\x01\x01\x80\xa0\x00",
          WIRE_MALFORMED); /* behind the root */
    BYTES("\x91\x95\xa1"
          "a\x00\x01\x01\x80",
          WIRE_DEFINITION); /* five fields */
    BYTES("\x91\x97\xa1"
          "a\x00\x01\x01\x80\xa0\xc0",
          WIRE_DEFINITION); /* seven */
    BYTES("\x91\x96\x01\x00\x01\x01\x80\xa0", WIRE_DEFINITION);
    BYTES("\x91\x96\xa1"
          "a\xa1"
          "0\x01\x01\x80\xa0",
          WIRE_DEFINITION);
    BYTES("\x91\x96\xa1"
          "a\xff\x01\x01\x80\xa0",
          WIRE_DEFINITION);
    BYTES("\x91\x96\xa1"
          "a\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\x01\x80\xa0",
          WIRE_DEFINITION); /* 2^32 */
    BYTES("\x91\x96\xa1"
          "a\x00\xcf\x00\x00\x00\x00\x00\x00\x00\x01\x01\x80\xa0",
          WIRE_OK); /* 1, widely */
    BYTES("\x91\x96\xa1"
          "a\x00\xd3\x00\x00\x00\x00\x00\x00\x00\x01\x01\x80\xa0",
          WIRE_OK); /* 1, signed form */
    BYTES("\x91\x96\xa1"
          "a\x00\x01\x01\x90\xa0",
          WIRE_DEFINITION); /* labels no map */
    BYTES("\x91\x96\xa1"
          "a\x00\x01\x01\x80\xc4\x00",
          WIRE_DEFINITION);                     /* help a bin */
    BYTES("\x91\x91\x91\x90", WIRE_DEFINITION); /* four deep */
    BYTES("\x91\x91\x91\x91\x90", WIRE_LIMIT);  /* five */
}

static void test_fits(void **state)
{
    struct made *m = make();
    enum wire_reason r = WIRE_OK;
    struct wire_label sorted[] = {m->labels[2], m->labels[1], m->labels[0]};
    struct wire_resource res = {sorted, 3};

    (void)state;
    assert_int_equal(wire_schema_fits(&m->schema, &res, &r, NULL), 0);
    for (int i = 0; i < 3; i++) {
        m->labels[3].name = sorted[i].name;
        assert_int_equal(wire_schema_fits(&m->schema, &res, &r, NULL), ERR_MALFORMED);
        assert_int_equal(r, WIRE_DEFINITION);
    }
}

static void expect_request(const struct buf *b, enum wire_reason want, uint32_t n)
{
    struct wire_entry *list = NULL;
    enum wire_reason got = WIRE_OK;
    struct err e = {0};
    uint32_t count = 0;
    struct arena a;
    int rc;

    arena_init(&a, NULL, 0);
    rc = wire_walk(b->data, b->len, &got, &e);
    if (!rc)
        rc = wire_definitions_decode(b->data, b->len, &a, &list, &count, &got, &e);
    if ((rc == 0) != (want == WIRE_OK) || got != want)
        fail_msg("%s, expected %s (%s)", wire_reason_name(got), wire_reason_name(want), e.text);
    assert_int_equal(count, n);
    arena_free(&a);
}

static void test_request(void **state)
{
    static struct wire_entry list[WIRE_MAX_DEFINITIONS + 1];
    static uint8_t values[WIRE_MAX_DEFINITIONS + 1][2];
    static const uint32_t counts[] = {1, 2, 255, 256};
    struct err e;
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    for (uint32_t i = 0; i <= WIRE_MAX_DEFINITIONS; i++) {
        values[i][0] = (uint8_t)i;
        values[i][1] = (uint8_t)(i >> 8);
        list[i] = (struct wire_entry){wire_hash_of(values[i], 2), {values[i], 2}};
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        buf_clear(&b);
        assert_int_equal(wire_definitions_encode(list, counts[i], &b, &e), 0);
        expect_request(&b, WIRE_OK, counts[i]);
    }
    assert_int_equal(wire_definitions_encode(list, 0, &b, &e), ERR_LIMIT);
    assert_int_equal(wire_definitions_encode(list, 257, &b, &e), ERR_LIMIT);
    list[1] = list[0];
    assert_int_equal(wire_definitions_encode(list, 2, &b, &e), ERR_MALFORMED);
    buf_free(&b);
}

static void test_request_forms(void **state)
{
    static const struct {
        const char *p;
        size_t n;
        enum wire_reason want;
    } rows[] = {
        {"\x80", 1, WIRE_MALFORMED}, /* no entry */
        {"\x90", 1, WIRE_MALFORMED}, /* no map */
        {"\x81\xa1"
         "a\xc4\x00",
         5, WIRE_MALFORMED}, /* a str as key */
        {"\x81\xc4\x01"
         "a\xc4\x00",
         6, WIRE_DEFINITION}, /* a key that is no hash */
        {"\x81\xc4\x01"
         "a\xa0",
         5, WIRE_MALFORMED}, /* a str as value */
    };
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_clear(&b);
        buf_put(&b, rows[i].p, rows[i].n);
        expect_request(&b, rows[i].want, 0);
    }
    buf_free(&b);
}

static void test_hash(void **state)
{
    /* FIPS 180-4's example "abc" */
    static const uint8_t abc[16] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                    0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23};
    struct wire_hash h = wire_hash_of((const uint8_t *)"abc", 3);

    (void)state;
    assert_memory_equal(h.b, abc, 16);
}

/* Mutated schemas never crash, and what is accepted can be written again and read back the same. */
static void test_mutations(void **state)
{
    struct made *m = make();
    struct wire_definition d;
    enum wire_reason reason;
    struct buf b, again;
    struct rng r;

    (void)state;
    rng_seed(&r, 4);
    buf_init(&b, NULL, 1 << 20);
    buf_init(&again, NULL, 1 << 20);
    for (int i = 0; i < 30000; i++) {
        struct arena a;

        arena_init(&a, NULL, 0);
        buf_clear(&b);
        (void)(i % 2 ? wire_schema_encode(&m->schema, &b, NULL)
                     : wire_resource_encode(&m->resource, &b, NULL));
        for (uint64_t k = rng_below(&r, 3) + 1; k; k--)
            b.data[rng_below(&r, b.len)] = (uint8_t)rng_next(&r);
        b.len -= rng_below(&r, 8) ? 0 : rng_below(&r, b.len);
        if (!wire_definition_decode(b.data, b.len, &a, &d, &reason, NULL)) {
            buf_clear(&again);
            assert_int_equal(d.sort == WIRE_SORT_SCHEMA ? wire_schema_encode(&d.schema, &again, NULL)
                                                        : wire_resource_encode(&d.resource, &again, NULL),
                             0);
            assert_true(again.len <= b.len);
        }
        arena_free(&a);
    }
    buf_free(&b);
    buf_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_round_trip),
        cmocka_unit_test(test_resource_is_sorted),
        cmocka_unit_test(test_resource_rules),
        cmocka_unit_test(test_label_rules),
        cmocka_unit_test(test_label_counts),
        cmocka_unit_test(test_series_rules),
        cmocka_unit_test(test_series_differ),
        cmocka_unit_test(test_schema_sizes),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_request_forms),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
