/* Sealing: what comes out is a batch of the protocol with the definitions it needs; too much becomes several,
 * in order, and nothing is lost without being counted; a batch can be numbered anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/ship/batch.h"
#include "common/base/rng.h"

static const struct metric_row m = {"node_m", METRIC_GAUGE, 1, 1, "n", "M."};

struct got {
    struct arena a;
    unsigned batches;
    uint64_t values, events, seq;
    uint64_t sum; /* of all values: nothing twice, nothing left out */
    struct buf last;
    int refuse; /* answers with this */
};

static void read_block(struct got *g, const struct batch *b, const struct wire_block *w)
{
    enum wire_reason why = WIRE_OK;
    struct wire_definition d;
    struct wire_values v;
    struct err e;
    uint32_t k = 0;

    while (k < b->n_defs && memcmp(&b->defs[k].hash, &w->schema, 16) != 0)
        k++;
    assert_true(k < b->n_defs);
    assert_int_equal(wire_definition_decode(b->defs[k].value.p, b->defs[k].value.n, &g->a, &d, &why, &e), 0);
    assert_int_equal(wire_block_decode(w, &d.schema, &g->a, &v, &g->values, &why, &e), 0);
    for (uint32_t j = 0; j < d.schema.n; j++)
        for (uint32_t i = 0; i < v.count[j]; i++)
            g->sum += (uint64_t)v.num[j][i];
}

static int take(void *arg, const struct batch *b, struct err *e)
{
    struct got *g = arg;
    struct wire_codec *c = wire_codec_new(3);
    enum wire_reason why = WIRE_OK;
    struct wire_event *ev;
    struct wire_batch in;
    struct buf p;
    uint32_t n = 0;
    uint64_t before = g->values;

    if (g->refuse) {
        wire_codec_free(&c);
        return err_set(e, g->refuse, "refused");
    }
    buf_init(&p, NULL, WIRE_MAX_INFLATED);
    assert_true(b->frame.n <= WIRE_MAX_BODY);
    assert_int_equal(wire_inflate(c, b->frame.p, b->frame.n, &p, &why, e), 0);
    assert_int_equal(wire_walk(p.data, p.len, &why, e), 0);
    assert_int_equal(wire_batch_decode(p.data, p.len, &g->a, &in, &why, e), 0);
    assert_int_equal(in.seq, b->seq);
    assert_int_equal(in.seq, g->seq++);
    assert_memory_equal(&in.resource, &b->defs[0].hash, 16);
    for (uint32_t i = 0; i < in.n_blocks; i++)
        read_block(g, b, &in.blocks[i]);
    if (in.events.p)
        assert_int_equal(wire_events_decode(in.events, &g->a, &ev, &n, &why, e), 0);
    g->events += n;
    assert_int_equal(g->values - before + n, b->values);
    g->batches++;
    buf_clear(&g->last);
    buf_put(&g->last, b->frame.p, b->frame.n);
    buf_free(&p);
    arena_free(&g->a);
    wire_codec_free(&c);
    return 0;
}

static struct grid *filled(uint32_t series, uint32_t ticks, uint32_t block_series, uint64_t *sum, bool noise)
{
    struct grid_params p = {.interval = span_s(1),
                            .max_ticks = ticks,
                            .max_series = series,
                            .block_series = block_series,
                            .forget = 100};
    struct grid *g = grid_new(&p, NULL);
    struct rng r;
    char name[16];

    rng_seed(&r, 7);
    for (uint32_t i = 0; i < ticks; i++) {
        assert_int_equal(grid_begin(g, (struct wall){1000 + i * 1000}), 0);
        for (uint32_t j = 0; j < series; j++) {
            int64_t v = noise ? (int64_t)rng_below(&r, (uint64_t)1 << 40) : j;
            struct text l;

            (void)snprintf(name, sizeof name, "%u", j);
            l = text_of(name);
            if (noise && j % 2 && i == 1)
                continue;
            sink_int(grid_sink(g), &m, &l, v);
            *sum += (uint64_t)v;
        }
        grid_end(g);
    }
    return g;
}

static int run(struct got *g, struct grid **grids, size_t n, const struct wire_event *ev, uint32_t n_ev,
               struct seal_result *r)
{
    struct wire_label l[] = {{{"env", 3}, {"p", 1}}, {{"host", 4}, {"h", 1}}, {{"region", 6}, {"r", 1}}};
    struct wire_resource res = {l, 3};
    struct seal s = {.agent = "web-1",
                     .epoch = 5,
                     .seq = 17,
                     .low = 3,
                     .now = {99000},
                     .grids = grids,
                     .n_grids = n,
                     .events = ev,
                     .n_events = n_ev,
                     .codec = wire_codec_new(3),
                     .out = take,
                     .arg = g};
    struct buf def;
    struct err e = {0};
    int rc;

    *g = (struct got){.seq = 17, .refuse = g->refuse};
    arena_init(&g->a, NULL, 0);
    buf_init(&g->last, NULL, WIRE_MAX_BODY);
    buf_init(&def, NULL, 4096);
    assert_int_equal(wire_resource_encode(&res, &def, &e), 0);
    s.resource = buf_bytes(&def);
    rc = batch_seal(&s, r, &e);
    buf_free(&def);
    wire_codec_free(&s.codec);
    return rc;
}

static void test_one_batch(void **state)
{
    uint64_t sum = 0;
    struct grid *grids[] = {filled(50, 10, 4096, &sum, false), filled(9, 2, 4, &sum, false)};
    struct seal_result r;
    struct got g = {0};

    (void)state;
    assert_int_equal(run(&g, grids, 2, NULL, 0, &r), 0);
    assert_int_equal(r.batches, 1);
    assert_int_equal(r.values, 518);
    assert_int_equal(g.values, 518);
    assert_int_equal(g.sum, sum);
    buf_free(&g.last);
    assert_int_equal(run(&g, grids, 2, NULL, 0, &r), 0); /* nothing to say is said as well */
    assert_int_equal(r.batches, 1);
    assert_int_equal(r.values, 0);
    buf_free(&g.last);
    grid_free(&grids[0]);
    grid_free(&grids[1]);
}

static void test_too_many_blocks(void **state)
{
    uint64_t sum = 0;
    struct grid *grids[] = {filled(300, 3, 2, &sum, false)};
    struct seal_result r;
    struct got g = {0};

    (void)state;
    assert_int_equal(run(&g, grids, 1, NULL, 0, &r), 0);
    assert_int_equal(r.batches, 4); /* 150 blocks, halved twice */
    assert_int_equal(g.values, 900);
    assert_int_equal(g.sum, sum);
    buf_free(&g.last);
    grid_free(&grids[0]);
}

/* Noise does not compress: a single block beyond 1 MiB is cut by its ticks, holes included. */
static void test_too_large_a_block(void **state)
{
    uint64_t sum = 0;
    struct grid *grids[] = {filled(4000, 61, 4096, &sum, true)};
    struct seal_result r;
    struct got g = {0};

    (void)state;
    assert_int_equal(run(&g, grids, 1, NULL, 0, &r), 0);
    assert_true(r.batches >= 2);
    assert_int_equal(g.values, 4000 * 61 - 2000);
    assert_int_equal(g.sum, sum);
    buf_free(&g.last);
    grid_free(&grids[0]);
}

static void test_events(void **state)
{
    static struct wire_event ev[600];
    uint64_t sum = 0;
    struct grid *grids[] = {filled(5, 2, 4096, &sum, false)};
    struct seal_result r;
    struct got g = {0};

    (void)state;
    for (int i = 0; i < 600; i++)
        ev[i] = (struct wire_event){.t = i, .kind = {"note", 4}, .name = {"x", 1}, .text = {"", 0}};
    assert_int_equal(run(&g, grids, 1, ev, 600, &r), 0);
    assert_int_equal(g.events, 600);
    assert_int_equal(r.values, 610);
    assert_int_equal(r.batches, 5);
    buf_free(&g.last);
    grid_free(&grids[0]);
}

static void test_not_taken_is_counted(void **state)
{
    uint64_t sum = 0;
    struct grid *grids[] = {filled(300, 3, 2, &sum, false)};
    struct seal_result r;
    struct got g = {.refuse = ERR_IO};

    (void)state;
    assert_int_equal(run(&g, grids, 1, NULL, 0, &r), ERR_IO);
    assert_int_equal(r.values, 0);
    assert_int_equal(r.left_out_memory, 900);
    assert_int_equal(grid_values(grids[0]), 0);
    buf_free(&g.last);
    grid_free(&grids[0]);
}

static void test_numbered_anew(void **state)
{
    uint64_t sum = 0;
    struct grid *grids[] = {filled(50, 10, 4096, &sum, false)};
    struct wire_codec *c = wire_codec_new(3);
    struct batch_number to = {.epoch = 1774245600123, .seq = 1, .low = 1}, back = {5, 17, 3};
    enum wire_reason why = WIRE_OK;
    struct seal_result r;
    struct got g = {0};
    struct buf frame, again, p;
    struct wire_batch in;
    struct arena a;
    struct err e;

    (void)state;
    assert_int_equal(run(&g, grids, 1, NULL, 0, &r), 0);
    buf_init(&frame, NULL, WIRE_MAX_BODY);
    buf_init(&again, NULL, WIRE_MAX_BODY);
    buf_init(&p, NULL, WIRE_MAX_INFLATED);
    arena_init(&a, NULL, 0);
    assert_int_equal(batch_renumber(c, buf_bytes(&g.last), &to, NULL, &frame, &e), 0);
    assert_int_equal(wire_inflate(c, frame.data, frame.len, &p, &why, &e), 0);
    assert_int_equal(wire_walk(p.data, p.len, &why, &e), 0);
    assert_int_equal(wire_batch_decode(p.data, p.len, &a, &in, &why, &e), 0);
    assert_int_equal(in.epoch, to.epoch);
    assert_int_equal(in.seq, 1);
    assert_int_equal(in.low, 1);
    assert_int_equal(batch_renumber(c, buf_bytes(&frame), &back, NULL, &again, &e), 0);
    assert_int_equal(again.len, g.last.len); /* there and back is the same, to the byte */
    assert_memory_equal(again.data, g.last.data, again.len);
    buf_clear(&again);
    assert_int_not_equal(
        batch_renumber(c, (struct bytes){(const uint8_t *)"no frame", 8}, &to, NULL, &again, &e), 0);
    buf_free(&frame);
    buf_free(&again);
    buf_free(&p);
    buf_free(&g.last);
    arena_free(&a);
    wire_codec_free(&c);
    grid_free(&grids[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_batch),
        cmocka_unit_test(test_too_many_blocks),
        cmocka_unit_test(test_too_large_a_block),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_not_taken_is_counted),
        cmocka_unit_test(test_numbered_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
