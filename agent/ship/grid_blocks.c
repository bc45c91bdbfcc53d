/* A grid's ticks as blocks of the wire: one block for each group of series that has any value. Arrays live in
 * an arena until the batch is sealed; columns are borrowed as they are. Definitions are encoded again only
 * when their series changed. */
#include <string.h>

#include "agent/ship/grid_in.h"

void grid_free_blocks(struct grid *g)
{
    for (uint32_t i = 0; i < g->n_blocks; i++) {
        struct grid_block *b = &g->blocks[i];

        for (uint32_t j = 0; j < b->n; j++)
            grid_drop(g, b->series[j]);
        mem_free(g->mem, b->series, b->room * sizeof(struct grid_series *));
        buf_free(&b->schema);
    }
    mem_free(g->mem, g->blocks, g->room_blocks * sizeof *g->blocks);
    g->blocks = NULL;
    g->n_blocks = g->room_blocks = 0;
}

bool grid_uses(const struct grid *g, const struct metric_row *row)
{
    for (uint32_t i = 0; i < g->n_blocks; i++)
        for (uint32_t j = 0; j < g->blocks[i].n; j++)
            if (g->blocks[i].series[j]->row == row)
                return true;
    return false;
}

static struct wire_schema *layout_of(struct grid *g, const struct grid_block *b)
{
    struct wire_schema *s = arena_alloc(&g->handed, sizeof *s);

    if (!s)
        return NULL;
    s->series = arena_array(&g->handed, b->n, sizeof *s->series);
    if (!s->series)
        return NULL;
    s->n = b->n;
    for (uint32_t i = 0; i < b->n; i++) {
        s->series[i] = b->series[i]->def;
        s->n_sketches += b->series[i]->def.kind == WIRE_SKETCH;
    }
    return s;
}

static const struct bytes *pieces_of(struct grid *g, const struct grid_series *s)
{
    struct bytes *to = arena_array(&g->handed, g->ticks, sizeof *to);

    for (uint32_t i = 0; to && i < g->ticks; i++)
        if (s->present[i / 8] >> (i % 8) & 1)
            to[i] = (struct bytes){g->sketches.data + s->col.pieces[i].at, s->col.pieces[i].n};
    return to;
}

static bool fill_column(struct grid *g, const struct grid_series *s, struct wire_column *c)
{
    c->mode = s->mode;
    c->present = s->n_present == g->ticks ? NULL : s->present;
    if (s->def.kind == WIRE_SKETCH) {
        c->sketches = pieces_of(g, s);
        return c->sketches != NULL;
    }
    if (s->mode)
        c->reals = s->col.reals;
    else
        c->ints = s->col.ints;
    return true;
}

static bool has_values(const struct grid_block *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->series[i]->n_present)
            return true;
    return false;
}

static int refresh(struct grid_block *b, const struct wire_schema *layout, struct err *e)
{
    int rc;

    if (b->fresh)
        return 0;
    buf_clear(&b->schema);
    rc = wire_schema_encode(layout, &b->schema, e);
    if (rc != 0)
        return rc;
    b->hash = wire_hash_of(b->schema.data, b->schema.len);
    b->fresh = true;
    return 0;
}

static int hand_out(struct grid *g, struct grid_block *b, grid_add add, void *arg, struct err *e)
{
    struct wire_schema *layout = layout_of(g, b);
    struct wire_column *columns = arena_array(&g->handed, b->n, sizeof *columns);
    struct wire_block_out out = {.layout = layout,
                                 .t0 = g->times[0],
                                 .dt = g->ticks > 1 ? (uint32_t)span_to_ms(g->p.interval) : 0,
                                 .n = g->ticks,
                                 .has_start = g->p.has_start,
                                 .start = g->p.start,
                                 .columns = columns};
    int rc;

    if (!layout || !columns)
        return err_set(e, ERR_NOMEM, "no memory for a block of %u series", b->n);
    for (uint32_t i = 0; i < g->ticks; i++)
        if (g->jitter[i])
            out.jitter = g->jitter;
    for (uint32_t i = 0; i < b->n; i++)
        if (!fill_column(g, b->series[i], &columns[i]))
            return err_set(e, ERR_NOMEM, "no memory for the sketches of a block");
    rc = refresh(b, layout, e);
    if (rc != 0)
        return rc;
    out.schema = b->hash;
    return add(arg, &out, buf_bytes(&b->schema));
}

int grid_blocks(struct grid *g, grid_add add, void *arg, struct err *e)
{
    arena_free(&g->handed);
    for (uint32_t i = 0; g->ticks && i < g->n_blocks; i++) {
        int rc = has_values(&g->blocks[i]) ? hand_out(g, &g->blocks[i], add, arg, e) : 0;

        if (rc != 0)
            return rc;
    }
    return 0;
}

void grid_latest(const struct grid *g, uint64_t stale, grid_value fn, void *arg)
{
    for (uint32_t i = 0; i < g->n_blocks; i++)
        for (uint32_t j = 0; j < g->blocks[i].n; j++) {
            const struct grid_series *s = g->blocks[i].series[j];

            if (!s->newest || s->def.kind == WIRE_SKETCH || g->life - s->seen > stale)
                continue;
            fn(arg, &s->def,
               s->newest_real ? s->col.reals[s->newest - 1]
                              : (double)s->col.ints[s->newest - 1] * (double)s->def.mul / (double)s->def.div);
        }
}

static bool gone(const struct grid *g, const struct grid_series *s)
{
    return g->life - s->seen > g->p.forget;
}

/* Series long silent leave: see grid.h for when. */
static bool thin(struct grid *g, struct grid_block *b)
{
    uint32_t n = 0, kept = 0;

    for (uint32_t i = 0; i < b->n; i++)
        n += gone(g, b->series[i]);
    if (!n || (b->fresh && n < (b->n + 3) / 4 && g->stats.series < g->p.max_series / 4 * 3))
        return false;
    for (uint32_t i = 0; i < b->n; i++) {
        if (gone(g, b->series[i]))
            grid_drop(g, b->series[i]);
        else
            b->series[kept++] = b->series[i];
    }
    b->n = kept;
    b->fresh = false;
    return true;
}

void grid_sealed(struct grid *g)
{
    bool dropped = false;

    arena_free(&g->handed);
    for (uint32_t i = 0; i < g->n_blocks; i++) {
        struct grid_block *b = &g->blocks[i];

        dropped |= thin(g, b);
        for (uint32_t j = 0; j < b->n; j++) {
            struct grid_series *s = b->series[j];

            memset(s->present, 0, (g->p.max_ticks + 7) / 8);
            s->n_present = s->last = 0;
            s->mode = 0;
        }
    }
    if (dropped)
        grid_forget_guesses(g);
    g->ticks = 0;
    g->values = 0;
    g->open = false;
    buf_clear(&g->sketches);
}
