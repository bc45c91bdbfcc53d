/* Grids and events into sealed frames: see batch.h.
 *
 * All blocks are tried as one batch. When that breaks a limit (a body of 1 MiB, 8 MiB inflated, 64 blocks,
 * 2^20 values, 256 events) the list is halved, and halves again; a single block is halved by its ticks, which
 * leaves its schema as it is. Halves go out in order, so that sequence numbers follow time. Limits are met so
 * rarely that the encoding done in vain does not matter. */
#include "agent/ship/batch.h"

#include <string.h>

#include "common/base/arena.h"

struct piece {
    struct wire_block_out block;
    struct bytes schema;
};

struct sealing {
    const struct seal *s;
    struct seal_result *r;
    struct arena arena;
    struct piece *pieces; /* arena */
    uint32_t n, room;
    struct wire_hash resource;
    struct buf payload, frame;
    struct err *e;
};

static int collect(void *arg, const struct wire_block_out *block, struct bytes schema)
{
    struct sealing *z = arg;

    if (z->n == z->room) {
        uint32_t room = z->room ? z->room * 2 : 16;
        struct piece *more = arena_array(&z->arena, room, sizeof *more);

        if (!more)
            return err_set(z->e, ERR_NOMEM, "no memory for %u blocks", room);
        if (z->n)
            memcpy(more, z->pieces, z->n * sizeof *more);
        z->pieces = more;
        z->room = room;
    }
    z->pieces[z->n++] = (struct piece){*block, schema};
    return 0;
}

static uint64_t values_of(const struct wire_block_out *b)
{
    uint64_t sum = 0;

    for (uint32_t j = 0; j < b->layout->n; j++) {
        const uint8_t *bits = b->columns[j].present;

        if (!bits) {
            sum += b->n;
            continue;
        }
        for (uint32_t i = 0; i < (b->n + 7) / 8; i++)
            sum += (unsigned)__builtin_popcount(bits[i]);
    }
    return sum;
}

/* The definitions of pieces[0 … n), each once, behind the resource. NULL without memory. */
static struct batch_def *needed(struct sealing *z, const struct piece *p, uint32_t n, uint32_t *count)
{
    struct batch_def *d = arena_array(&z->arena, (size_t)n + 1, sizeof *d);

    *count = 0;
    if (!d)
        return NULL;
    d[(*count)++] = (struct batch_def){z->resource, z->s->resource};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;

        while (k < *count && memcmp(&d[k].hash, &p[i].block.schema, sizeof d[k].hash) != 0)
            k++;
        if (k == *count)
            d[(*count)++] = (struct batch_def){p[i].block.schema, p[i].schema};
    }
    return d;
}

/* One batch of what is given. ERR_LIMIT: too much for one. */
static int emit(struct sealing *z, const struct piece *p, uint32_t n, const struct wire_event *events,
                uint32_t n_events)
{
    const struct seal *s = z->s;
    struct wire_block_out *blocks = arena_array(&z->arena, n ? n : 1, sizeof *blocks);
    struct wire_batch_out out = {.agent = {s->agent, (uint32_t)strlen(s->agent)},
                                 .epoch = s->epoch,
                                 .seq = s->seq + z->r->batches,
                                 .low = s->low,
                                 .sealed = s->now.ms,
                                 .resource = z->resource,
                                 .blocks = blocks,
                                 .n_blocks = n,
                                 .events = events,
                                 .n_events = n_events};
    struct batch b = {.epoch = out.epoch, .seq = out.seq, .sealed = s->now, .values = n_events};
    int rc;

    if (n > WIRE_MAX_BLOCKS || n_events > WIRE_MAX_EVENTS)
        return ERR_LIMIT;
    if (!blocks)
        return err_set(z->e, ERR_NOMEM, "no memory to seal %u blocks", n);
    for (uint32_t i = 0; i < n; i++) {
        blocks[i] = p[i].block;
        b.values += values_of(&p[i].block);
    }
    if (b.values > WIRE_MAX_VALUES)
        return ERR_LIMIT;
    buf_clear(&z->payload);
    buf_clear(&z->frame);
    rc = wire_batch_encode(&out, &z->payload, z->e);
    if (rc != 0)
        return z->payload.full && z->payload.len > WIRE_MAX_INFLATED / 2 ? ERR_LIMIT : rc;
    rc = wire_deflate(s->codec, z->payload.data, z->payload.len, &z->frame, z->e);
    if (rc != 0)
        return rc;
    b.frame = buf_bytes(&z->frame);
    b.defs = needed(z, p, n, &b.n_defs);
    if (!b.defs)
        return err_set(z->e, ERR_NOMEM, "no memory to seal %u blocks", n);
    rc = s->out(s->arg, &b, z->e);
    if (rc != 0)
        return rc == ERR_LIMIT ? ERR_STATE : rc;
    z->r->batches++;
    z->r->values += b.values;
    return 0;
}

/* Bits from … from + n of a bitmap, padded with zeros; NULL stays NULL. */
static const uint8_t *cut_bits(struct arena *a, const uint8_t *bits, uint32_t from, uint32_t n, bool *ok)
{
    uint8_t *to;

    if (!bits)
        return NULL;
    to = arena_alloc(a, (n + 7) / 8);
    if (!to) {
        *ok = false;
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++)
        if (bits[(from + i) / 8] >> ((from + i) % 8) & 1)
            to[i / 8] = (uint8_t)(to[i / 8] | 1u << (i % 8));
    return to;
}

/* Ticks from … from + n of a block as a block of its own. False without memory. */
static bool cut(struct sealing *z, const struct piece *p, uint32_t from, uint32_t n, struct piece *to)
{
    const struct wire_block_out *b = &p->block;
    struct wire_column *c = arena_array(&z->arena, b->layout->n, sizeof *c);
    int32_t first = b->jitter ? b->jitter[from] : 0;
    bool ok = c != NULL;

    for (uint32_t j = 0; ok && j < b->layout->n; j++) {
        const struct wire_column *o = &b->columns[j];

        c[j] = (struct wire_column){.mode = o->mode,
                                    .ints = o->ints ? o->ints + from : NULL,
                                    .reals = o->reals ? o->reals + from : NULL,
                                    .sketches = o->sketches ? o->sketches + from : NULL,
                                    .present = cut_bits(&z->arena, o->present, from, n, &ok)};
    }
    *to = *p;
    to->block.columns = c;
    to->block.n = n;
    to->block.t0 = b->t0 + (int64_t)from * b->dt;
    to->block.jitter = b->jitter && n > 1 ? b->jitter + from : NULL;
    if (n == 1) {
        to->block.t0 += first;
        to->block.dt = 0;
    }
    return ok;
}

static uint64_t weigh(const struct piece *p, uint32_t n, uint32_t n_events)
{
    uint64_t sum = n_events;

    for (uint32_t i = 0; i < n; i++)
        sum += values_of(&p[i].block);
    return sum;
}

static int emit_all(struct sealing *z, const struct piece *p, uint32_t n, const struct wire_event *events,
                    uint32_t n_events);

static int halve(struct sealing *z, const struct piece *p, uint32_t n, const struct wire_event *events,
                 uint32_t n_events)
{
    struct piece two[2];
    uint32_t half = n / 2;
    int first, second;

    if (n && n_events) {
        first = emit_all(z, p, n, NULL, 0);
        second = emit_all(z, NULL, 0, events, n_events);
    } else if (n > 1) {
        first = emit_all(z, p, half, NULL, 0);
        second = emit_all(z, p + half, n - half, NULL, 0);
    } else if (n == 1 && p->block.n > 1) {
        half = p->block.n / 2;
        if (!cut(z, p, 0, half, &two[0]) || !cut(z, p, half, p->block.n - half, &two[1]))
            return err_set(z->e, ERR_NOMEM, "no memory to split a block");
        first = emit_all(z, &two[0], 1, NULL, 0);
        second = emit_all(z, &two[1], 1, NULL, 0);
    } else if (!n && n_events > 1) {
        first = emit_all(z, NULL, 0, events, n_events / 2);
        second = emit_all(z, NULL, 0, events + n_events / 2, n_events - n_events / 2);
    } else {
        z->r->left_out_limit += weigh(p, n, n_events);
        return err_set(z->e, ERR_LIMIT, "a single tick or event is larger than a batch may be");
    }
    return first ? first : second;
}

/* As many batches as it takes, in order. What can't go out is counted; the rest goes on. */
static int emit_all(struct sealing *z, const struct piece *p, uint32_t n, const struct wire_event *events,
                    uint32_t n_events)
{
    int rc = emit(z, p, n, events, n_events);

    if (rc == ERR_LIMIT)
        return halve(z, p, n, events, n_events);
    if (rc != 0)
        z->r->left_out_memory += weigh(p, n, n_events);
    return rc;
}

int batch_seal(const struct seal *s, struct seal_result *r, struct err *e)
{
    struct sealing z = {.s = s, .r = r, .e = e};
    int rc = 0, emitted;

    *r = (struct seal_result){0};
    arena_init(&z.arena, s->mem, 0);
    buf_init(&z.payload, s->mem, WIRE_MAX_INFLATED);
    buf_init(&z.frame, s->mem, 2 * WIRE_MAX_BODY);
    z.resource = wire_hash_of(s->resource.p, s->resource.n);
    for (size_t i = 0; i < s->n_grids; i++) {
        uint32_t before = z.n;
        int one = grid_blocks(s->grids[i], collect, &z, e);

        if (one != 0) {
            r->left_out_memory += grid_values(s->grids[i]) - weigh(z.pieces + before, z.n - before, 0);
            rc = rc ? rc : one;
        }
    }
    emitted = emit_all(&z, z.pieces, z.n, s->events, s->n_events);
    for (size_t i = 0; i < s->n_grids; i++)
        grid_sealed(s->grids[i]);
    buf_free(&z.payload);
    buf_free(&z.frame);
    arena_free(&z.arena);
    return rc ? rc : emitted;
}
