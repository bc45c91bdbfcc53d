/* Samples into columns: see grid.h.
 *
 * A sample's raw key is the extra labels, the row's address and the label values. Sources put their samples
 * in the same order tick after tick, so each key remembers which one followed it; that guess is compared
 * first and nearly always holds. Otherwise the key is looked up, and the guess is mended.
 *
 * Columns hold integers (mode 0) until a real is put; then the integers of this batch become reals by the
 * wire's own rule, (double(integer) × mul) ÷ div, and the column stays real until it is sealed. */
#include "agent/ship/grid_in.h"

#include <math.h>
#include <string.h>

#include "common/sketch/sketch.h"

static void put_integer(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v);
static void put_real(struct sink *s, const struct metric_row *row, const struct text *labels, double v);
static void put_sketch(struct sink *s, const struct metric_row *row, const struct text *labels,
                       const struct sketch *v);

struct grid *grid_new(const struct grid_params *p, struct mem *mem)
{
    struct grid *g = mem_alloc(mem, sizeof *g);

    if (!g)
        return NULL;
    *g = (struct grid){.sink = {put_integer, put_real, put_sketch}, .p = *p, .mem = mem};
    map_init(&g->raw, mem, NULL);
    map_init(&g->idents, mem, NULL);
    map_init(&g->names, mem, NULL);
    buf_init(&g->sketches, mem, GRID_SKETCH_MAX);
    buf_init(&g->key, mem, GRID_KEY_MAX);
    arena_init(&g->handed, mem, 0);
    g->times = mem_array(mem, p->max_ticks, sizeof *g->times);
    g->jitter = mem_array(mem, p->max_ticks, sizeof *g->jitter);
    if (!g->times || !g->jitter)
        grid_free(&g);
    else
        grid_extra(g, NULL, 0);
    return g;
}

void grid_free(struct grid **gp)
{
    struct grid *g = *gp;

    if (!g)
        return;
    grid_free_blocks(g);
    arena_free(&g->handed);
    map_free(&g->raw);
    map_free(&g->idents);
    map_free(&g->names);
    buf_free(&g->sketches);
    buf_free(&g->key);
    mem_free(g->mem, g->times, g->p.max_ticks * sizeof *g->times);
    mem_free(g->mem, g->jitter, g->p.max_ticks * sizeof *g->jitter);
    mem_free(g->mem, g, sizeof *g);
    *gp = NULL;
}

int grid_begin(struct grid *g, struct wall at)
{
    int64_t dt = span_to_ms(g->p.interval);

    if (g->ticks) {
        int64_t off = at.ms - (g->times[0] + (int64_t)g->ticks * dt);

        if (at.ms <= g->times[g->ticks - 1])
            return ERR_RANGE;
        if (g->ticks >= g->p.max_ticks || off < -GRID_JITTER_MAX || off > GRID_JITTER_MAX ||
            (int64_t)g->ticks * dt > GRID_SPAN_MAX)
            return ERR_LIMIT;
        g->jitter[g->ticks] = (int32_t)off;
    } else {
        g->jitter[0] = 0;
    }
    g->times[g->ticks++] = at.ms;
    g->life++;
    g->open = true;
    g->prev = NULL;
    return 0;
}

void grid_end(struct grid *g)
{
    g->open = false;
    grid_extra(g, NULL, 0);
}

struct sink *grid_sink(struct grid *g)
{
    return &g->sink;
}

static void key_text(struct buf *b, const char *p, uint32_t n)
{
    buf_put(b, &n, sizeof n);
    buf_put(b, p, n);
}

void grid_extra(struct grid *g, const struct wire_label *labels, uint32_t n)
{
    g->n_extra = n <= GRID_MAX_LABELS ? n : 0;
    buf_clear(&g->key);
    buf_put(&g->key, &n, sizeof n);
    for (uint32_t i = 0; i < g->n_extra; i++) {
        g->extra[i] = labels[i];
        key_text(&g->key, labels[i].name.p, labels[i].name.n);
        key_text(&g->key, labels[i].value.p, labels[i].value.n);
    }
    g->key_extra = g->key.len;
    g->extra_bad = n > GRID_MAX_LABELS || g->key.full;
}

static uint32_t count_names(const char *s)
{
    uint32_t n = 0;

    for (; *s; s++)
        n += *s != ' ' && (s[1] == ' ' || !s[1]);
    return n;
}

/* The key of this sample behind that of the extra labels. False when it is longer than any key may be. */
static bool make_key(struct grid *g, const struct metric_row *row, const struct text *labels)
{
    uint32_t n = *row->labels ? count_names(row->labels) : 0;

    if (g->extra_bad)
        return false;
    g->key.len = g->key_extra;
    g->key.full = false;
    buf_put(&g->key, &row, sizeof row);
    for (uint32_t i = 0; i < n; i++)
        key_text(&g->key, labels[i].p, labels[i].n);
    return !g->key.full;
}

static bool same_key(const struct grid *g, const struct grid_alias *a)
{
    return a && a->n == g->key.len && memcmp(a->key, g->key.data, a->n) == 0;
}

/* The series of a sample, with this tick marked as there; NULL when refused (and counted). */
static struct grid_series *place(struct grid *g, const struct metric_row *row, const struct text *labels)
{
    struct grid_alias *a = g->prev ? g->prev->follower : g->first;
    struct grid_series *s;
    uint32_t tick = g->ticks - 1;

    if (!g->open) {
        g->stats.refused_late++;
        return NULL;
    }
    if (!make_key(g, row, labels)) {
        g->stats.refused_limit++;
        return NULL;
    }
    if (!same_key(g, a)) {
        a = map_get(&g->raw, g->key.data, g->key.len);
        if (!a)
            a = grid_adopt(g, row, labels);
        if (!a)
            return NULL;
        if (g->prev)
            g->prev->follower = a;
        else
            g->first = a;
    }
    g->prev = a;
    s = a->to;
    if (s->last == tick + 1) {
        g->stats.refused_twice++;
        return NULL;
    }
    return s;
}

static void mark(struct grid *g, struct grid_series *s)
{
    uint32_t tick = g->ticks - 1;

    s->present[tick / 8] = (uint8_t)(s->present[tick / 8] | 1u << (tick % 8));
    s->last = s->newest = tick + 1;
    s->newest_real = s->mode;
    s->n_present++;
    s->seen = g->life;
    g->stats.samples++;
    g->values++;
}

static double scaled(const struct grid_series *s, int64_t v)
{
    return (double)v * (double)s->def.mul / (double)s->def.div;
}

/* The column's integers become reals. */
static void promote(struct grid *g, struct grid_series *s)
{
    for (uint32_t i = 0; i < g->ticks; i++)
        if (s->present[i / 8] >> (i % 8) & 1)
            s->col.reals[i] = scaled(s, s->col.ints[i]);
    s->mode = 1;
}

static void put_integer(struct sink *sink, const struct metric_row *row, const struct text *labels, int64_t v)
{
    struct grid *g = (struct grid *)sink;
    struct grid_series *s;

    if (row->kind == METRIC_SKETCH || (row->kind == METRIC_COUNTER && v < 0)) {
        g->stats.refused_value++;
        return;
    }
    s = place(g, row, labels);
    if (!s)
        return;
    if (s->mode)
        s->col.reals[g->ticks - 1] = scaled(s, v);
    else
        s->col.ints[g->ticks - 1] = v;
    mark(g, s);
}

static void put_real(struct sink *sink, const struct metric_row *row, const struct text *labels, double v)
{
    struct grid *g = (struct grid *)sink;
    struct grid_series *s;

    if (row->kind == METRIC_SKETCH || (row->kind == METRIC_COUNTER && !(v >= 0 && isfinite(v)))) {
        g->stats.refused_value++;
        return;
    }
    s = place(g, row, labels);
    if (!s)
        return;
    if (!s->mode)
        promote(g, s);
    s->col.reals[g->ticks - 1] = v;
    mark(g, s);
}

static void put_sketch(struct sink *sink, const struct metric_row *row, const struct text *labels,
                       const struct sketch *v)
{
    struct grid *g = (struct grid *)sink;
    struct grid_series *s;
    size_t at = g->sketches.len;

    if (row->kind != METRIC_SKETCH) {
        g->stats.refused_value++;
        return;
    }
    s = place(g, row, labels);
    if (!s)
        return;
    if (sketch_encode(v, &g->sketches) != 0) {
        g->sketches.len = at;
        g->sketches.full = false;
        g->stats.refused_limit++;
        return;
    }
    s->col.pieces[g->ticks - 1] = (struct grid_piece){at, g->sketches.len - at};
    mark(g, s);
}

uint32_t grid_ticks(const struct grid *g)
{
    return g->ticks;
}

uint64_t grid_values(const struct grid *g)
{
    return g->values;
}

struct grid_stats grid_stats(const struct grid *g)
{
    return g->stats;
}
