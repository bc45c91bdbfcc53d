/* Random batches: what is written is read back the same; what is read back from mutated bytes never crashes,
 * and is either refused with a reason or is a batch. Seeds are fixed. */
#include "tests/unit/wire_kit.h"

#include <stdlib.h>

enum { SERIES = 24, TICKS = 40, BLOCKS = 3 };

struct world {
    struct rng r;
    struct arena a;
    struct buf sketches;
    struct wire_schema schema[BLOCKS];
    struct wire_block_out blocks[BLOCKS];
    struct wire_batch_out batch;
};

static uint64_t below(struct world *w, uint64_t n)
{
    return rng_below(&w->r, n);
}

static void *take(struct world *w, size_t n, size_t size)
{
    void *p = arena_array(&w->a, n, size);

    assert_non_null(p);
    return p;
}

static int64_t random_int(struct world *w, bool counter)
{
    uint64_t u = rng_next(&w->r) >> below(w, 64);

    return counter ? (int64_t)(u >> 1) : (int64_t)u;
}

static double random_real(struct world *w, bool counter)
{
    uint64_t bits = rng_next(&w->r);
    double v;

    if (counter)
        return (double)(bits >> below(w, 64)) / 8;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static struct bytes random_sketch(struct world *w)
{
    struct sketch s;
    struct buf b;
    uint8_t *copy;
    size_t n;

    sketch_init(&s, NULL);
    buf_init(&b, NULL, 1 << 20);
    for (uint64_t i = below(w, 30); i; i--)
        assert_int_equal(
            sketch_add(&s, (rng_unit(&w->r) - 0.3) * (double)(1ULL << below(w, 40)), 1 + below(w, 5)), 0);
    assert_int_equal(sketch_encode(&s, &b), 0);
    copy = take(w, b.len, 1);
    memcpy(copy, b.data, b.len);
    n = b.len;
    buf_free(&b);
    sketch_free(&s);
    return (struct bytes){copy, n};
}

static void random_column(struct world *w, struct wire_column *c, const struct wire_series *s, uint32_t n)
{
    bool counter = s->kind == WIRE_COUNTER;
    int64_t *ints = take(w, n, sizeof *ints);
    double *reals = take(w, n, sizeof *reals);
    struct bytes *sketches = take(w, n, sizeof *sketches);
    uint8_t *present = take(w, (n + 7) / 8, 1);

    c->mode = (uint8_t)below(w, 2);
    for (uint32_t i = 0; i < n; i++) {
        ints[i] = i && below(w, 4) ? ints[i - 1] : random_int(w, counter);
        reals[i] = random_real(w, counter);
        if (s->kind == WIRE_SKETCH && below(w, 3))
            sketches[i] = random_sketch(w);
        present[i / 8] |= (uint8_t)((below(w, 3) > 0) << i % 8);
    }
    c->ints = ints;
    c->reals = reals;
    c->sketches = sketches;
    c->present = below(w, 3) ? NULL : present;
}

static void random_block(struct world *w, uint32_t which)
{
    struct wire_block_out *b = &w->blocks[which];
    struct wire_schema *s = &w->schema[which];
    struct wire_column *columns;
    int32_t *jitter;

    s->n = 1 + (uint32_t)below(w, SERIES);
    s->series = take(w, s->n, sizeof *s->series);
    s->n_sketches = 0;
    columns = take(w, s->n, sizeof *columns);
    *b = (struct wire_block_out){.layout = s, .columns = columns};
    b->schema.b[0] = (uint8_t)which;
    b->n = 1 + (uint32_t)below(w, TICKS);
    b->dt = 1000 + (uint32_t)below(w, 5000);
    b->t0 = 1700000000000 + (int64_t)below(w, 100000);
    b->has_start = below(w, 2);
    b->start = random_int(w, false);
    jitter = take(w, b->n, sizeof *jitter);
    for (uint32_t i = 0; i < b->n; i++)
        jitter[i] = (int32_t)below(w, 999) - 499;
    b->jitter = below(w, 2) ? jitter : NULL;
    for (uint32_t j = 0; j < s->n; j++) {
        s->series[j] = (struct wire_series){.name = kit_str("x"), .mul = 1 + (uint32_t)below(w, 3), .div = 1};
        s->series[j].kind = (enum wire_kind)below(w, 4);
        s->series[j].div = below(w, 2) ? 1 : 1 + (uint32_t)below(w, 1000);
        s->n_sketches += s->series[j].kind == WIRE_SKETCH;
        random_column(w, &columns[j], &s->series[j], b->n);
    }
}

static void random_batch(struct world *w, uint64_t seed)
{
    static const char *const kinds[] = {"deployment", "rollback", "config", "audit", "note"};
    struct wire_event *events;

    rng_seed(&w->r, seed);
    w->batch = (struct wire_batch_out){.agent = kit_str("web-1.example"), .blocks = w->blocks};
    w->batch.epoch = 1 + (rng_next(&w->r) >> below(w, 63));
    w->batch.seq = 1 + below(w, 1000);
    w->batch.low = 1 + below(w, w->batch.seq);
    w->batch.sealed = random_int(w, false);
    w->batch.n_blocks = (uint32_t)below(w, BLOCKS + 1);
    w->batch.n_events = (uint32_t)below(w, 4);
    for (uint32_t i = 0; i < w->batch.n_blocks; i++)
        random_block(w, i);
    events = take(w, w->batch.n_events, sizeof *events);
    for (uint32_t i = 0; i < w->batch.n_events; i++) {
        events[i] = (struct wire_event){
            random_int(w, false), kit_str(kinds[below(w, 5)]),           kit_str("n\xc3\xa9"),
            kit_str(""),          take(w, 2, sizeof(struct wire_label)), 2};
        events[i].labels[0] = (struct wire_label){kit_str("service"), kit_str("checkout")};
        events[i].labels[1] = (struct wire_label){kit_str("host"), kit_str("a")};
    }
    w->batch.events = events;
}

static bool is_present(const struct wire_block_out *b, uint32_t j, uint32_t i)
{
    const struct wire_column *c = &b->columns[j];

    if (c->present && !(c->present[i / 8] >> i % 8 & 1))
        return false;
    return b->layout->series[j].kind != WIRE_SKETCH || c->sketches[i].p;
}

static void same_series(const struct wire_block_out *b, uint32_t j, const struct wire_values *v)
{
    const struct wire_series *s = &b->layout->series[j];
    const struct wire_column *c = &b->columns[j];
    uint32_t count = 0, next = wire_next_tick(v, j, 0);

    for (uint32_t i = 0; i < b->n; i++) {
        volatile double product;
        double want;

        if (!is_present(b, j, i))
            continue;
        assert_int_equal(next, i);
        next = wire_next_tick(v, j, i + 1);
        if (s->kind == WIRE_SKETCH) {
            assert_int_equal(v->sketch[j][count].n, c->sketches[i].n);
            assert_memory_equal(v->sketch[j][count].p, c->sketches[i].p, c->sketches[i].n);
        } else {
            product = (double)c->ints[i] * s->mul;
            want = c->mode ? c->reals[i] : product / s->div;
            assert_memory_equal(&v->num[j][count], &want, sizeof want); /* bits: NaN too */
        }
        count++;
    }
    assert_int_equal(next, b->n);
    assert_int_equal(v->count[j], count);
}

static void same_block(const struct wire_block_out *b, const struct wire_block *in,
                       const struct wire_values *v)
{
    assert_int_equal(in->has_start, b->has_start);
    assert_true(!b->has_start || in->start == b->start);
    assert_int_equal(v->n, b->n);
    for (uint32_t i = 0; i < b->n; i++)
        assert_int_equal(v->times[i], b->t0 + (int64_t)i * b->dt + (b->jitter ? b->jitter[i] : 0));
    for (uint32_t j = 0; j < b->layout->n; j++)
        same_series(b, j, v);
}

static void same_root(const struct wire_batch_out *b, const struct wire_batch *in)
{
    assert_int_equal(in->agent.n, b->agent.n);
    assert_memory_equal(in->agent.p, b->agent.p, b->agent.n);
    assert_int_equal(in->epoch, b->epoch);
    assert_int_equal(in->seq, b->seq);
    assert_int_equal(in->low, b->low);
    assert_int_equal(in->sealed, b->sealed);
    assert_int_equal(in->n_blocks, b->n_blocks);
}

/* Decodes all of a payload; the blocks by the schemas of the world, in order. */
static int decode(struct world *w, const struct buf *p, struct arena *a, struct wire_batch *in,
                  struct wire_values *v, struct wire_event **events, uint32_t *n, enum wire_reason *r,
                  struct err *e)
{
    const struct wire_values *list[WIRE_MAX_BLOCKS];
    uint64_t count = 0;
    int rc = wire_walk(p->data, p->len, r, e);

    if (!rc)
        rc = wire_batch_decode(p->data, p->len, a, in, r, e);
    for (uint32_t i = 0; !rc && i < in->n_blocks && i < BLOCKS; i++) {
        rc = wire_block_decode(&in->blocks[i], &w->schema[i], a, &v[i], &count, r, e);
        list[i] = &v[i];
    }
    if (!rc && in->n_blocks <= BLOCKS)
        rc = wire_batch_check_ticks(in, list, r, e);
    return rc ? rc : wire_events_decode(in->events, a, events, n, r, e);
}

static void test_round_trips(void **state)
{
    static struct world w;
    struct wire_codec *codec = wire_codec_new(1);
    struct buf payload, frame, back;

    (void)state;
    buf_init(&payload, NULL, 1 << 24);
    buf_init(&frame, NULL, 1 << 24);
    buf_init(&back, NULL, 1 << 24);
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct wire_values v[BLOCKS];
        struct wire_event *events;
        enum wire_reason r = WIRE_OK;
        struct err e = {0};
        struct wire_batch in;
        struct arena a;
        uint32_t n;

        arena_init(&w.a, NULL, 0);
        arena_init(&a, NULL, 0);
        buf_clear(&payload);
        buf_clear(&frame);
        random_batch(&w, seed);
        if (wire_batch_encode(&w.batch, &payload, &e))
            fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
        assert_int_equal(wire_deflate(codec, payload.data, payload.len, &frame, &e), 0);
        assert_int_equal(wire_inflate(codec, frame.data, frame.len, &back, &r, &e), 0);
        if (decode(&w, &back, &a, &in, v, &events, &n, &r, &e))
            fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
        same_root(&w.batch, &in);
        for (uint32_t i = 0; i < in.n_blocks; i++)
            same_block(&w.blocks[i], &in.blocks[i], &v[i]);
        assert_int_equal(n, w.batch.n_events);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(events[i].t, w.batch.events[i].t);
            assert_memory_equal(events[i].kind.p, w.batch.events[i].kind.p, events[i].kind.n);
            assert_int_equal(events[i].n_labels, 2);
            assert_memory_equal(events[i].labels[0].name.p, "host", 4);
        }
        arena_free(&a);
        arena_free(&w.a);
    }
    buf_free(&payload);
    buf_free(&frame);
    buf_free(&back);
    wire_codec_free(&codec);
}

/* One to four bytes changed, or the end cut off, or a stretch doubled. */
static void mutate(struct rng *r, struct buf *b)
{
    size_t at = rng_below(r, b->len), n = rng_below(r, b->len - at) % 64;

    switch (rng_below(r, 4)) {
    case 0: b->len -= rng_below(r, b->len); break;
    case 1:
        if (buf_grow(b, n))
            memmove(b->data + at + n, b->data + at, b->len - n - at);
        break;
    default:
        for (uint64_t k = 1 + rng_below(r, 4); k; k--)
            b->data[rng_below(r, b->len)] = (uint8_t)(rng_next(r) >> rng_below(r, 8) % 8);
        break;
    }
}

static void test_mutations(void **state)
{
    static struct world w;
    unsigned taken = 0, seen[WIRE_REASONS] = {0};
    struct buf payload, b;

    (void)state;
    buf_init(&payload, NULL, 1 << 24);
    buf_init(&b, NULL, 1 << 24);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        arena_init(&w.a, NULL, 0);
        buf_clear(&payload);
        random_batch(&w, seed);
        assert_int_equal(wire_batch_encode(&w.batch, &payload, NULL), 0);
        for (int i = 0; i < 60; i++) {
            struct wire_values v[BLOCKS];
            enum wire_reason r = WIRE_OK;
            struct wire_event *events;
            struct wire_batch in;
            struct arena a;
            uint32_t n;

            arena_init(&a, NULL, 0);
            buf_clear(&b);
            buf_put(&b, payload.data, payload.len);
            mutate(&w.r, &b);
            if (decode(&w, &b, &a, &in, v, &events, &n, &r, NULL))
                assert_true(r != WIRE_OK);
            else
                taken++;
            seen[r]++;
            arena_free(&a);
        }
        arena_free(&w.a);
    }
    assert_true(taken > 0); /* the mutations are mild enough to get deep */
    assert_true(seen[WIRE_MALFORMED] && seen[WIRE_BLOCK] && seen[WIRE_SKETCH_REASON] && seen[WIRE_EVENT]);
    buf_free(&payload);
    buf_free(&b);
}

/* The writer refuses what the reader would, and leaves its buffer as it was. */
static void refused(struct world *w, int code)
{
    struct err e = {0};
    struct buf b;

    buf_init(&b, NULL, 1 << 20);
    buf_str(&b, "before");
    assert_int_equal(wire_batch_encode(&w->batch, &b, &e), code);
    assert_int_equal(b.len, 6);
    assert_true(e.text[0]);
    buf_free(&b);
}

static void test_writer_refuses(void **state)
{
    static struct world w;
    struct wire_series s = {.name = kit_str("x"), .kind = WIRE_COUNTER, .mul = 1, .div = 1};
    struct wire_schema schema = {&s, 1, 0};
    int64_t ints[2] = {1, 2};
    double reals[2] = {0, -1};
    int32_t jitter[2] = {0, -1000};
    struct bytes sketches[2] = {{(const uint8_t *)"x", 1}, {NULL, 0}};
    struct wire_column c = {.ints = ints, .reals = reals, .sketches = sketches};
    struct wire_block_out b = {.layout = &schema, .columns = &c, .n = 2, .dt = 1000};
    struct buf out;

    (void)state;
    w.batch = (struct wire_batch_out){
        .agent = kit_str("a"), .epoch = 1, .seq = 1, .low = 1, .blocks = &b, .n_blocks = 1};
    buf_init(&out, NULL, 1 << 20);
    assert_int_equal(wire_batch_encode(&w.batch, &out, NULL), 0);
    buf_free(&out);
    buf_init(&out, NULL, 20);
    assert_int_equal(wire_batch_encode(&w.batch, &out, NULL), ERR_NOMEM);
    buf_free(&out);
    ints[1] = -1;
    refused(&w, ERR_MALFORMED);
    ints[1] = 1;
    c.mode = 1;
    refused(&w, ERR_MALFORMED);
    c.mode = 2;
    refused(&w, ERR_MALFORMED);
    c.mode = 0;
    b.jitter = jitter;
    refused(&w, ERR_MALFORMED);
    jitter[1] = 60001;
    refused(&w, ERR_MALFORMED);
    b.jitter = NULL;
    b.dt = 0;
    refused(&w, ERR_MALFORMED);
    b.dt = 3600001;
    refused(&w, ERR_LIMIT);
    b.dt = 1;
    b.n = 3601;
    refused(&w, ERR_LIMIT);
    b.n = 2;
    b.t0 = INT64_MAX;
    refused(&w, ERR_MALFORMED);
    b.t0 = 0;
    s.kind = WIRE_SKETCH;
    schema.n_sketches = 1;
    refused(&w, ERR_MALFORMED);
    s.kind = WIRE_GAUGE;
    w.batch.low = 2;
    refused(&w, ERR_MALFORMED);
    w.batch.low = 0;
    refused(&w, ERR_MALFORMED);
    w.batch.low = 1;
    w.batch.agent = kit_str("..");
    refused(&w, ERR_MALFORMED);
    w.batch.agent = kit_str("a");
    w.batch.n_blocks = 65;
    refused(&w, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_writer_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
