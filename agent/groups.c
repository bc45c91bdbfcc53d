/* Grids by interval: see groups.h. */
#include "agent/groups.h"

enum { FORGET_SECONDS = 300, SHOWN_SECONDS = 60, SLACK_TICKS = 2, TOO_LONG_MS = 50000 };

void groups_init(struct groups *g, const struct grid_params *p, struct span batch, struct mem *mem)
{
    *g = (struct groups){.p = *p, .batch = batch, .mem = mem};
}

void groups_free(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++)
        grid_free(&g->v[i].grid);
    g->n = 0;
}

void groups_end(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->v[i].open)
            grid_end(g->v[i].grid);
        g->v[i].open = false;
    }
}

void groups_end_before(struct groups *g, struct wall at)
{
    for (size_t i = 0; i < g->n; i++) {
        struct group *v = &g->v[i];
        int64_t ms = span_to_ms(v->interval);

        if (v->open && (at.ms <= v->at.ms || at.ms / ms != v->at.ms / ms)) {
            grid_end(v->grid);
            v->open = false;
        }
    }
}

static uint32_t ticks_of(const struct groups *g, struct span interval)
{
    int64_t n = g->batch.ns / interval.ns + SLACK_TICKS;

    return n > WIRE_MAX_TICKS ? WIRE_MAX_TICKS : (uint32_t)n;
}

bool groups_must_seal(const struct groups *g, struct wall at)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct group *v = &g->v[i];
        int64_t gone = at.ms - v->at.ms;

        if (grid_ticks(v->grid) && (gone <= 0 || gone > TOO_LONG_MS + span_to_ms(v->interval) ||
                                    grid_ticks(v->grid) >= ticks_of(g, v->interval)))
            return true;
    }
    return false;
}

static struct group *group_of(struct groups *g, struct span interval)
{
    struct grid_params p = g->p;
    struct group *v;

    for (size_t i = 0; i < g->n; i++)
        if (g->v[i].interval.ns == interval.ns)
            return &g->v[i];
    if (g->n == GROUPS_MAX)
        return NULL;
    v = &g->v[g->n];
    p.interval = interval;
    p.max_ticks = ticks_of(g, interval);
    p.forget = (uint32_t)(span_s(FORGET_SECONDS).ns / interval.ns) + 1;
    *v = (struct group){.interval = interval, .grid = grid_new(&p, g->mem)};
    if (!v->grid)
        return NULL;
    g->grids[g->n++] = v->grid;
    return v;
}

struct grid *groups_at(struct groups *g, struct span interval, struct wall at)
{
    struct group *v = group_of(g, interval);

    if (!v) {
        g->refused++;
        return NULL;
    }
    if (v->open)
        return v->at.ms == at.ms ? v->grid : NULL;
    if (grid_begin(v->grid, at) != 0) {
        g->refused++;
        return NULL;
    }
    v->open = true;
    v->at = at;
    return v->grid;
}

uint64_t groups_stale(struct span interval)
{
    int64_t n = span_s(SHOWN_SECONDS).ns / interval.ns;

    return n > 2 ? (uint64_t)n : 2;
}

void groups_latest(const struct groups *g, grid_value fn, void *arg)
{
    for (size_t i = 0; i < g->n; i++)
        grid_latest(g->v[i].grid, groups_stale(g->v[i].interval), fn, arg);
}

void grid_stats_add(struct grid_stats *sum, const struct grid *g)
{
    struct grid_stats s = grid_stats(g);

    sum->samples += s.samples;
    sum->refused_limit += s.refused_limit;
    sum->refused_twice += s.refused_twice;
    sum->refused_value += s.refused_value;
    sum->refused_late += s.refused_late;
    sum->refused_kind += s.refused_kind;
    sum->series += s.series;
}

struct grid_stats groups_stats(const struct groups *g)
{
    struct grid_stats sum = {0};

    for (size_t i = 0; i < g->n; i++)
        grid_stats_add(&sum, g->v[i].grid);
    return sum;
}
