/* Sketches of a group: the cumulative one, and the rings of its windows. See percentile.h for the times.
 *
 * A window's cells are merged once and then kept up as values arrive; only sliding past a cell that held
 * something makes it be merged anew. Bucket counts are integers, so the order of merging cannot be seen. Sums
 * are kept for the cumulative sketch alone.
 *
 * The cumulative sketch is the native histogram that is exposed. Its resolution only ever falls: with what
 * arrives, and when more than NATIVE_BUCKETS buckets are populated. The classic buckets are counted as
 * sketches arrive, in the resolution of each, and never again, so that they cannot fall. */
#include <string.h>

#include "aggregator/series/percentile.h"

/* Buckets that are not 0. */
static uint32_t populated(const struct sketch *v)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < v->pos.n; i++)
        n += v->pos.counts[i] > 0;
    for (uint32_t i = 0; i < v->neg.n; i++)
        n += v->neg.counts[i] > 0;
    return n;
}

static void lose(struct series_set *s, int code)
{
    s->lost[code == ERR_LIMIT ? LOSS_OVERFLOW : LOSS_MEMORY]++;
}

/* ---- making ---- */

/* One block: the rings, their cells, quantiles and the buckets. */
static size_t sketches_size(const struct percentile_def *d)
{
    return sizeof(struct sketches) + d->n_windows * sizeof(struct ring) + d->n_tallies * sizeof(struct cell) +
           (size_t)d->n_windows * d->n_quantiles * sizeof(double) + d->n_buckets * sizeof(uint64_t);
}

struct sketches *sketches_get(struct series_set *s, struct group *g)
{
    const struct percentile_def *d = g->percentile->def;
    struct sketches *x = g->sketches;
    struct cell *cells;
    double *quantiles;

    if (x)
        return x;
    x = mem_alloc(s->mem, sketches_size(d));
    if (!x)
        return NULL;
    x->rings = (struct ring *)(x + 1);
    cells = (struct cell *)(x->rings + d->n_windows);
    quantiles = (double *)(cells + d->n_tallies);
    x->buckets = (uint64_t *)(quantiles + (size_t)d->n_windows * d->n_quantiles);
    sketch_init_scale(&x->total, s->mem, SKETCH_SCALE_MAX);
    for (uint32_t w = 0; w < d->n_windows; w++) {
        struct ring *r = &x->rings[w];

        r->cells = cells + d->windows[w].first;
        r->quantiles = quantiles + (size_t)w * d->n_quantiles;
        sketch_init_scale(&r->merged, s->mem, SKETCH_SCALE_MAX);
        for (uint32_t i = 0; i < d->windows[w].cells; i++)
            r->cells[i].k = INT64_MIN;
    }
    g->sketches = x;
    return x;
}

void cell_clear(struct series_set *s, struct cell *c)
{
    if (c->live) {
        sketch_free(c->live);
        mem_free(s->mem, c->live, sizeof *c->live);
    }
    mem_free(s->mem, c->packed, c->n_packed);
    *c = (struct cell){.k = INT64_MIN, .state = c->state};
}

void sketches_free(struct series_set *s, const struct percentile_def *d, struct sketches **p)
{
    struct sketches *x = *p;

    if (!x)
        return;
    for (uint32_t w = 0; w < d->n_windows; w++) {
        for (uint32_t i = 0; i < d->windows[w].cells; i++)
            cell_clear(s, &x->rings[w].cells[i]);
        sketch_free(&x->rings[w].merged);
    }
    sketch_free(&x->total);
    mem_free(s->mem, x, sketches_size(d));
    *p = NULL;
}

/* ---- cells ---- */

/* Makes the cell's sketch one that can be added to. 0 or a code. */
static int cell_open(struct series_set *s, struct cell *c)
{
    size_t used;
    int code = 0;

    if (c->live)
        return 0;
    c->live = mem_alloc(s->mem, sizeof *c->live);
    if (!c->live)
        return ERR_NOMEM;
    sketch_init_scale(c->live, s->mem, SKETCH_SCALE_MAX);
    if (c->packed)
        code = sketch_decode(c->live, c->packed, c->n_packed, &used, NULL);
    if (code) {
        sketch_free(c->live);
        mem_free(s->mem, c->live, sizeof *c->live);
        c->live = NULL;
        return code;
    }
    mem_free(s->mem, c->packed, c->n_packed);
    c->packed = NULL;
    c->n_packed = 0;
    return 0;
}

/* To bytes; without memory it stays as it is. */
static void cell_pack(struct series_set *s, struct cell *c)
{
    uint8_t *p;

    buf_clear(&s->value);
    if (sketch_encode(c->live, &s->value) != 0)
        return;
    p = mem_alloc(s->mem, s->value.len);
    if (!p)
        return;
    memcpy(p, s->value.data, s->value.len);
    sketch_free(c->live);
    mem_free(s->mem, c->live, sizeof *c->live);
    c->live = NULL;
    c->packed = p;
    c->n_packed = (uint32_t)s->value.len;
}

static void ring_add(struct series_set *s, const struct window_def *w, struct ring *r, int64_t t,
                     const struct sketch *v)
{
    int64_t k = cell_of(t, w->step);
    struct cell *c = &r->cells[cell_place(k, w->cells)];
    int code;

    if (c->k > k && c->k <= cell_last(s->received, w->step)) /* it lies before the window (percentile.h) */
        return;
    if (c->k != k) {
        if (c->k != INT64_MIN && c->k >= r->from)
            r->valid = false;
        cell_clear(s, c);
    }
    code = cell_open(s, c);
    if (code == 0) {
        c->k = k;
        code = sketch_merge(c->live, v);
    }
    if (code) {
        lose(s, code);
        return;
    }
    c->live->sum = c->live->sum_low = 0;
    c->state |= DIRTY;
    if (r->valid && k >= r->from) {
        r->valid = sketch_merge(&r->merged, v) == 0;
        r->known = false;
    }
}

void sketches_add(struct series_set *s, const struct percentile_def *d, struct sketches *x, int64_t t,
                  const struct sketch *v)
{
    int code;

    for (uint32_t w = 0; w < d->n_windows; w++)
        ring_add(s, &d->windows[w], &x->rings[w], t, v);
    code = sketch_merge(&x->total, v);
    if (code) {
        lose(s, code);
        return;
    }
    while (populated(&x->total) > NATIVE_BUCKETS && x->total.scale > SKETCH_SCALE_MIN)
        sketch_downscale(&x->total, x->total.scale - 1);
    for (uint32_t i = 0; i < d->n_buckets; i++)
        x->buckets[i] += sketch_count_le(v, d->buckets[i]);
    x->state |= DIRTY;
}

void sketches_advance(struct series_set *s, const struct percentile_def *d, struct sketches *x, int64_t now)
{
    for (uint32_t w = 0; w < d->n_windows; w++) {
        const struct window_def *def = &d->windows[w];
        int64_t from = window_from(def, now), last = cell_last(now, def->step);
        int64_t quiet = cell_of(now - PACK_AFTER_MS, def->step);

        for (uint32_t i = 0; i < def->cells; i++) {
            struct cell *c = &x->rings[w].cells[i];

            if (c->k == INT64_MIN)
                continue;
            if (c->k < from || c->k > last) {
                x->rings[w].valid &= c->k < x->rings[w].from;
                cell_clear(s, c);
            } else if (c->live && c->k < quiet) {
                cell_pack(s, c);
            }
        }
    }
}

/* ---- windows ---- */

static int merge_cell(struct series_set *s, struct sketch *to, const struct cell *c)
{
    size_t used;
    int code;

    if (c->live)
        return sketch_merge(to, c->live);
    code = sketch_decode(&s->scratch, c->packed, c->n_packed, &used, NULL);
    return code ? code : sketch_merge(to, &s->scratch);
}

const struct sketch *sketches_window(struct series_set *s, const struct percentile_def *d, struct sketches *x,
                                     uint32_t w, int64_t now)
{
    struct ring *r = &x->rings[w];
    int64_t from = window_from(&d->windows[w], now);
    bool slid = !r->valid || from < r->from;

    for (uint32_t i = 0; i < d->windows[w].cells && !slid; i++)
        slid = r->cells[i].k >= r->from && r->cells[i].k < from;
    r->from = from;
    if (!slid)
        return &r->merged;
    sketch_clear(&r->merged);
    r->merged.scale = SKETCH_SCALE_MAX; /* it is empty: any scale fits */
    r->known = false;
    r->valid = true;
    for (uint32_t i = 0; i < d->windows[w].cells && r->valid; i++) {
        if (r->cells[i].k != INT64_MIN && r->cells[i].k >= from)
            r->valid = merge_cell(s, &r->merged, &r->cells[i]) == 0;
    }
    if (!r->valid)
        s->lost[LOSS_MEMORY]++;
    return r->valid ? &r->merged : NULL;
}
