/* Grids: what is put comes back out of the wire's own decoder; order, holes, reals among integers, names that
 * would make a whole schema be refused, series that come and go, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/ship/grid.h"
#include "common/sketch/sketch.h"

static const struct metric_row cpu = {
    "node_cpu_seconds_total", METRIC_COUNTER, 1, 100, "cpu mode", "Seconds."};
static const struct metric_row load = {"node_load1", METRIC_GAUGE, 1, 1, "", "Load."};
static const struct metric_row temp = {"node_temp", METRIC_GAUGE, 1, 1000, "host", "Heat."};
static const struct metric_row lat = {"request_seconds", METRIC_SKETCH, 1, 1, "path", "Latency."};

static struct grid_params params(void)
{
    return (struct grid_params){
        .interval = span_s(1), .max_ticks = 20, .max_series = 1000, .block_series = 4096, .forget = 5};
}

/* Blocks as the other side reads them: the payload goes through encoder, walk and decoder. */
struct seen {
    struct arena a;
    struct wire_definition def[64];
    struct wire_values val[64];
    struct wire_block block[64];
    struct wire_hash hash[64];
    unsigned n;
    uint64_t values;
};

static int see(void *arg, const struct wire_block_out *b, struct bytes schema)
{
    struct seen *s = arg;
    struct wire_batch_out out = {
        .agent = {"a", 1}, .epoch = 1, .seq = 1, .low = 1, .blocks = b, .n_blocks = 1};
    struct wire_batch in;
    enum wire_reason why = WIRE_OK;
    uint8_t *copy, *text;
    struct err e = {0};
    struct buf p;

    buf_init(&p, NULL, WIRE_MAX_INFLATED);
    assert_int_equal(wire_batch_encode(&out, &p, &e), 0);
    copy = arena_alloc(&s->a, p.len);
    memcpy(copy, p.data, p.len);
    text = arena_alloc(&s->a, schema.n);
    memcpy(text, schema.p, schema.n);
    assert_int_equal(wire_walk(copy, p.len, &why, &e), 0);
    assert_int_equal(wire_batch_decode(copy, p.len, &s->a, &in, &why, &e), 0);
    assert_int_equal(wire_definition_decode(text, schema.n, &s->a, &s->def[s->n], &why, &e), 0);
    assert_int_equal(s->def[s->n].sort, WIRE_SORT_SCHEMA);
    s->block[s->n] = in.blocks[0];
    s->hash[s->n] = wire_hash_of(schema.p, schema.n);
    assert_memory_equal(&s->hash[s->n], &in.blocks[0].schema, 16);
    assert_int_equal(
        wire_block_decode(&s->block[s->n], &s->def[s->n].schema, &s->a, &s->val[s->n], &s->values, &why, &e),
        0);
    s->n++;
    buf_free(&p);
    return 0;
}

static struct seen *look(struct grid *g)
{
    static struct seen s; /* the tests are one thread, one look at a time */
    struct err e;

    arena_free(&s.a);
    s = (struct seen){0};
    arena_init(&s.a, NULL, 0);
    assert_int_equal(grid_blocks(g, see, &s, &e), 0);
    grid_sealed(g);
    return &s;
}

static bool eq(struct wire_str s, const char *t)
{
    return s.n == strlen(t) && memcmp(s.p, t, s.n) == 0;
}

static int find(const struct seen *s, unsigned block, const char *name, const char *value)
{
    const struct wire_schema *c = &s->def[block].schema;

    for (uint32_t i = 0; i < c->n; i++)
        if (eq(c->series[i].name, name) &&
            (!value || (c->series[i].n_labels && eq(c->series[i].labels[0].value, value))))
            return (int)i;
    return -1;
}

static void put_cpu(struct grid *g, const char *c, const char *mode, int64_t v)
{
    struct text l[] = {text_of(c), text_of(mode)};

    sink_int(grid_sink(g), &cpu, l, v);
}

static void same(double found, double wanted)
{
    assert_true(found >= wanted && found <= wanted);
}

static void test_ticks_come_back(void **state)
{
    struct grid_params p = params();
    struct grid *g;
    struct seen *s;
    int a, b;

    (void)state;
    p.has_start = true;
    p.start = 1234;
    g = grid_new(&p, NULL);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(grid_begin(g, (struct wall){1000000 + i * 1000}), 0);
        put_cpu(g, "0", "user", 100 + i);
        if (i != 3)
            put_cpu(g, "1", "user", 7 * i);
        sink_real(grid_sink(g), &load, NULL, 0.25 * i);
        grid_end(g);
    }
    assert_int_equal(grid_ticks(g), 10);
    assert_int_equal(grid_values(g), 29);
    s = look(g);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->values, 29);
    assert_true(s->block[0].has_start);
    assert_int_equal(s->block[0].start, 1234);
    assert_int_equal(s->val[0].times[9], 1009000);
    a = find(s, 0, "node_cpu_seconds_total", "0");
    b = find(s, 0, "node_cpu_seconds_total", "1");
    assert_true(a >= 0 && b >= 0);
    same(s->val[0].num[a][4], 1.04);
    assert_int_equal(s->val[0].count[b], 9);
    assert_int_equal(wire_next_tick(&s->val[0], (uint32_t)b, 3), 4);
    same(s->val[0].num[find(s, 0, "node_load1", NULL)][9], 2.25);
    assert_int_equal(grid_ticks(g), 0);
    assert_int_equal(look(g)->n, 0);
    grid_free(&g);
}

/* Same series in any order: the schema stays the very same bytes, and nothing is mixed up. */
static void test_order_does_not_matter(void **state)
{
    static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6"};
    struct grid_params p = params();
    struct grid *g = grid_new(&p, NULL);
    struct wire_hash first;
    struct seen *s;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 7; i++) {
            assert_int_equal(grid_begin(g, (struct wall){(round * 7 + i + 1) * 1000}), 0);
            for (int k = 0; k < 7; k++) {
                int c = round == 1 ? (k * 3 + i) % 7 : k;

                put_cpu(g, names[c], "idle", 1000 * c + i);
            }
            grid_end(g);
        }
        s = look(g);
        assert_int_equal(s->values, 49);
        if (!round)
            first = s->hash[0];
        assert_memory_equal(&first, &s->hash[0], sizeof first);
        for (int c = 0; c < 7; c++)
            same(s->val[0].num[find(s, 0, cpu.name, names[c])][5], (1000 * c + 5) / 100.0);
    }
    grid_free(&g);
}

static void test_real_among_integers(void **state)
{
    static const struct metric_row m = {"node_mixed", METRIC_GAUGE, 1024, 1, "", "Mixed."};
    struct grid_params p = params();
    struct grid *g = grid_new(&p, NULL);
    struct seen *s;

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(grid_begin(g, (struct wall){1000 + i * 1000}), 0);
        if (i == 2)
            sink_real(grid_sink(g), &m, NULL, 0.5);
        else
            sink_int(grid_sink(g), &m, NULL, i + 1);
        grid_end(g);
    }
    s = look(g);
    same(s->val[0].num[0][0], 1024);
    same(s->val[0].num[0][2], 0.5);
    same(s->val[0].num[0][3], 4096);
    assert_int_equal(s->block[0].reals.n, 4 * 8);
    assert_int_equal(grid_begin(g, (struct wall){9000}), 0);
    sink_int(grid_sink(g), &m, NULL, 3);
    grid_end(g);
    s = look(g);
    assert_int_equal(s->block[0].reals.n, 0); /* integers again in the next batch */
    assert_int_equal(s->block[0].dt, 0);
    grid_free(&g);
}

static void test_sketches(void **state)
{
    struct grid_params p = params();
    struct grid *g = grid_new(&p, NULL);
    struct sketch k, back;
    struct seen *s;
    struct err e;
    size_t used;
    int j;

    (void)state;
    sketch_init(&k, NULL);
    sketch_init(&back, NULL);
    for (int i = 0; i < 5; i++) {
        struct text l[] = {text_of(i % 2 ? "/odd" : "/even")};

        sketch_clear(&k);
        for (int n = 0; n <= i; n++)
            assert_int_equal(sketch_add(&k, 0.001 * (n + 1), 1), 0);
        assert_int_equal(grid_begin(g, (struct wall){1000 + i * 1000}), 0);
        grid_sink(g)->sketch(grid_sink(g), &lat, l, &k);
        sink_int(grid_sink(g), &load, NULL, i);
        grid_end(g);
    }
    s = look(g);
    assert_int_equal(s->values, 10);
    j = find(s, 0, "request_seconds", "/even");
    assert_int_equal(s->val[0].count[j], 3);
    assert_int_equal(sketch_decode(&back, s->val[0].sketch[j][2].p, s->val[0].sketch[j][2].n, &used, &e), 0);
    assert_int_equal(back.count, 5);
    sketch_free(&k);
    sketch_free(&back);
    grid_free(&g);
}

static void test_names_that_collide(void **state)
{
    static const struct metric_row again = {"node_load1", METRIC_GAUGE, 1, 1, "", "Load again."};
    static const struct metric_row other = {"node_load1", METRIC_COUNTER, 1, 1, "", "Load as counter."};
    struct wire_label res[] = {{{"env", 3}, {"prod", 4}}, {{"host", 4}, {"h", 1}}};
    struct wire_resource r = {res, 2};
    struct wire_label extra[] = {{{"job", 3}, {"x", 1}}, {{"exported_host", 13}, {"y", 1}}};
    struct text bad[] = {{"a\xff\0b", 4}}, worse[] = {{"a\xfe\0b", 4}};
    struct grid_params p = params();
    enum wire_reason why;
    struct grid *g;
    struct seen *s;
    struct err e;

    (void)state;
    p.resource = &r;
    g = grid_new(&p, NULL);
    assert_int_equal(grid_begin(g, (struct wall){1000}), 0);
    sink_int(grid_sink(g), &load, NULL, 1);
    sink_int(grid_sink(g), &again, NULL, 2); /* the same series by another row */
    sink_int(grid_sink(g), &other, NULL, 2); /* one name, one kind */
    grid_extra(g, extra, 2);
    sink_int(grid_sink(g), &temp, bad, 3);
    sink_int(grid_sink(g), &temp, worse, 4); /* the same once valid */
    grid_end(g);
    assert_int_equal(grid_stats(g).refused_twice, 2);
    assert_int_equal(grid_stats(g).refused_kind, 1);
    s = look(g);
    assert_int_equal(s->def[0].schema.n, 2);
    assert_int_equal(wire_schema_fits(&s->def[0].schema, &r, &why, &e), 0);
    assert_int_equal(s->def[0].schema.series[1].n_labels, 3);
    assert_true(eq(s->def[0].schema.series[1].labels[0].name, "exported_exported_host") ||
                eq(s->def[0].schema.series[1].labels[0].name, "exported_host"));
    assert_true(eq(s->def[0].schema.series[1].labels[2].name, "exported_job"));
    /* extra labels end with the tick */
    assert_int_equal(grid_begin(g, (struct wall){2000}), 0);
    sink_int(grid_sink(g), &load, NULL, 5);
    grid_end(g);
    s = look(g);
    same(s->val[0].num[find(s, 0, "node_load1", NULL)][0], 5);
    grid_free(&g);
}

static void test_values_refused(void **state)
{
    struct grid_params p = params();
    struct grid *g = grid_new(&p, NULL);

    (void)state;
    assert_int_equal(grid_begin(g, (struct wall){1000}), 0);
    put_cpu(g, "0", "user", -1);
    sink_real(grid_sink(g), &load, NULL, NAN); /* a gauge may */
    sink_real(grid_sink(g), &cpu, (struct text[]){text_of("0"), text_of("x")}, INFINITY);
    assert_int_equal(grid_stats(g).refused_value, 2);
    assert_int_equal(grid_stats(g).series, 1);
    grid_end(g);
    sink_int(grid_sink(g), &load, NULL, 1); /* no tick is open */
    assert_int_equal(grid_values(g), 1);
    assert_int_equal(grid_stats(g).refused_late, 1);
    grid_free(&g);
}

static void test_time(void **state)
{
    struct grid_params p = params();
    struct grid *g;
    struct seen *s;

    (void)state;
    p.max_ticks = 3;
    g = grid_new(&p, NULL);
    assert_int_equal(grid_begin(g, (struct wall){1000}), 0);
    sink_int(grid_sink(g), &load, NULL, 1);
    grid_end(g);
    assert_int_equal(grid_begin(g, (struct wall){1000}), ERR_RANGE);
    assert_int_equal(grid_begin(g, (struct wall){0}), ERR_RANGE);
    assert_int_equal(grid_begin(g, (struct wall){5000}), 0); /* ticks left out: jitter */
    sink_int(grid_sink(g), &load, NULL, 2);
    grid_end(g);
    assert_int_equal(grid_begin(g, (struct wall){100000}), ERR_LIMIT);
    assert_int_equal(grid_begin(g, (struct wall){6000}), 0);
    grid_end(g);
    assert_int_equal(grid_begin(g, (struct wall){7000}), ERR_LIMIT);
    s = look(g);
    assert_int_equal(s->val[0].n, 3);
    assert_int_equal(s->val[0].times[1], 5000);
    assert_int_equal(grid_begin(g, (struct wall){10}),
                     0); /* the clock was set back, and the batch is sealed */
    grid_free(&g);
}

/* Blocks of 4: only the block that changes gets a new schema; the silent leave in bulk. */
static void test_series_come_and_go(void **state)
{
    struct grid_params p = params();
    struct wire_hash first;
    struct grid *g;
    struct seen *s;
    char name[16];
    int64_t t = 1000;

    (void)state;
    p.block_series = 4;
    p.max_series = 10;
    g = grid_new(&p, NULL);
    assert_int_equal(grid_begin(g, (struct wall){t}), 0);
    for (int i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        put_cpu(g, name, "user", i);
    }
    grid_end(g);
    s = look(g);
    assert_int_equal(s->n, 2);
    first = s->hash[0];
    assert_int_equal(grid_begin(g, (struct wall){t += 1000}), 0);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        put_cpu(g, name, "user", i);
    }
    grid_end(g);
    assert_int_equal(grid_stats(g).series, 10);
    assert_int_equal(grid_stats(g).refused_limit, 10);
    s = look(g);
    assert_int_equal(s->n, 3);
    assert_memory_equal(&first, &s->hash[0], sizeof first);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(grid_begin(g, (struct wall){t += 1000}), 0);
        put_cpu(g, "0", "user", i);
        grid_end(g);
        s = look(g);
        assert_int_equal(s->n, 1); /* blocks without a value are not sent */
    }
    assert_int_equal(grid_stats(g).series, 1);
    assert_true(grid_uses(g, &cpu));
    assert_false(grid_uses(g, &load));
    put_cpu(g, "0", "user", 1);
    grid_free(&g);
}

static int pass(void *arg, const struct wire_block_out *b, struct bytes schema)
{
    (void)arg;
    assert_true(b->n == 1 && schema.n > 0);
    return 0;
}

static void test_memory_runs_out(void **state)
{
    struct grid_params p = params();
    char name[16];

    (void)state;
    for (size_t cap = 500; cap < 60000; cap = cap * 5 / 4) {
        struct mem mem = {.cap = cap};
        struct grid *g = grid_new(&p, &mem);
        struct err e;

        if (g && grid_begin(g, (struct wall){1000}) == 0) {
            for (int i = 0; i < 40; i++) {
                (void)snprintf(name, sizeof name, "%d", i);
                put_cpu(g, name, "user", i);
            }
            grid_end(g);
            assert_int_equal(grid_values(g) + grid_stats(g).refused_limit + grid_stats(g).refused_value, 40);
            (void)grid_blocks(g, pass, NULL, &e);
            grid_sealed(g);
        }
        grid_free(&g);
        assert_int_equal(mem.used, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks_come_back),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_real_among_integers),
        cmocka_unit_test(test_sketches),
        cmocka_unit_test(test_names_that_collide),
        cmocka_unit_test(test_values_refused),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_series_come_and_go),
        cmocka_unit_test(test_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
