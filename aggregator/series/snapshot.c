/* Snapshots: see snapshot.h. Values stand side by side in the table, so that a
 * snapshot is one copy for each metric; labels and names are shared with the
 * table, which keeps them until the snapshot is released (names.c). */
#include <string.h>

#include "aggregator/series/percentile.h"

static void *array(struct box *b, size_t n, size_t size)
{
    return arena_array(&b->arena, n ? n : 1, size);
}

static bool shown(const struct metric *m)
{
    return m->n && m->kind != METRIC_SKETCH;
}

static bool copy_families(struct series_set *s, struct box *b)
{
    struct series_value *values;
    struct family *f;
    uint64_t total = 0;
    uint32_t n = 0;

    metrics_sort(s);
    for (uint32_t i = 0; i < s->n_metrics; i++) {
        if (shown(s->metrics[i]))
            total += s->metrics[i]->n;
    }
    f = array(b, s->n_metrics, sizeof *f);
    values = f ? array(b, total, sizeof *values) : NULL;
    if (!values)
        return false;
    for (uint32_t i = 0; i < s->n_metrics; i++) {
        const struct metric *m = s->metrics[i];

        if (!shown(m))
            continue;
        memcpy(values, m->values, m->n * sizeof *values);
        f[n++] = (struct family){m->name->text, m->help->text, m->kind, values, m->n};
        values += m->n;
    }
    b->shown.families = f;
    b->shown.n_families = n;
    b->shown.n_series = total;
    return true;
}

static const char *text_or_none(const struct atom *a)
{
    return a ? a->text : "";
}

static bool copy_agents(struct series_set *s, struct box *b, int64_t now)
{
    struct agent_view *v;
    uint32_t n = 0;

    agents_sort(s);
    v = array(b, s->n_agents, sizeof *v);
    if (!v)
        return false;
    for (uint32_t i = 0; i < s->n_agents; i++) {
        const struct agent *a = s->agents[i];

        if (!a->applied)
            continue;
        v[n] = (struct agent_view){.id = a->id->text,
                                   .region = text_or_none(a->region),
                                   .env = text_or_none(a->env),
                                   .tenant = text_or_none(a->tenant),
                                   .up = a->last_received.ms >= now - s->stale_ms,
                                   .first_seen = a->first_seen,
                                   .last_received = a->last_received,
                                   .last_sealed = a->last_sealed,
                                   .skew_ms = a->skew,
                                   .epoch = a->epoch,
                                   .seq = a->seq,
                                   .batches = a->batches,
                                   .values = a->values,
                                   .series = a->visible};
        _Static_assert(sizeof v->refused == sizeof a->refused, "all reasons are shown");
        memcpy(v[n++].refused, a->refused, sizeof a->refused);
    }
    b->shown.agents = v;
    b->shown.n_agents = n;
    return true;
}

/* ---- percentiles ---- */

static bool window_of_sketches(struct series_set *s, struct box *b, const struct group *g, uint32_t w,
                               int64_t now, struct percentile_window *out)
{
    const struct percentile_def *d = g->percentile->def;
    const struct sketch *merged = g->sketches ? sketches_window(s, d, g->sketches, w, now) : NULL;
    double *q = array(b, d->n_quantiles, sizeof *q);
    struct ring *r;

    if (!q)
        return false;
    out->quantiles = q;
    if (!merged || !merged->count)
        return true;
    r = &g->sketches->rings[w];
    if (!r->known)
        sketch_quantiles(merged, d->quantiles, r->quantiles, d->n_quantiles);
    r->known = true;
    out->n = merged->count;
    memcpy(q, r->quantiles, d->n_quantiles * sizeof *q);
    return true;
}

static bool window_of_gauges(struct series_set *s, struct box *b, const struct group *g, uint32_t w,
                             int64_t now, struct percentile_window *out)
{
    const struct percentile_def *d = g->percentile->def;
    double *q = array(b, d->n_quantiles, sizeof *q), *means;
    uint32_t n;

    if (!q)
        return false;
    out->quantiles = q;
    if (!g->n_hosts)
        return true;
    means = mem_array(s->mem, g->n_hosts, sizeof *means);
    if (!means)
        return false;
    n = hosts_means(d, g, w, now, means);
    for (uint32_t i = 0; n && i < d->n_quantiles; i++)
        q[i] = rank_of(means, n, d->quantiles[i]);
    out->n = n;
    mem_free(s->mem, means, g->n_hosts * sizeof *means);
    return true;
}

static bool copy_range(struct box *b, struct sketch_range *r)
{
    uint64_t *counts = array(b, r->n, sizeof *counts);

    if (!counts)
        return false;
    if (r->n)
        memcpy(counts, r->counts, r->n * sizeof *counts);
    *r = (struct sketch_range){.counts = counts, .offset = r->offset, .n = r->n, .room = r->n};
    return true;
}

static bool copy_histogram(struct box *b, const struct group *g, struct percentile_group *out)
{
    const struct sketches *x = g->sketches;
    uint32_t n = g->percentile->def->n_buckets;
    struct sketch *native = array(b, 1, sizeof *native);
    uint64_t *buckets = array(b, n, sizeof *buckets);

    if (!native || !buckets)
        return false;
    memcpy(buckets, x->buckets, n * sizeof *buckets);
    *native = x->total;
    native->mem = NULL;
    if (!copy_range(b, &native->pos) || !copy_range(b, &native->neg))
        return false;
    out->has_histogram = true;
    out->count = native->count;
    out->sum = sketch_sum(native);
    out->buckets = buckets;
    out->native = native;
    return true;
}

static bool copy_group(struct series_set *s, struct box *b, const struct group *g, int64_t now,
                       struct percentile_group *out)
{
    const struct percentile_def *d = g->percentile->def;
    bool sketches = g->percentile->mode == MODE_SKETCHES, good = true;
    const char **values = array(b, d->n_by, sizeof *values);
    struct percentile_window *w = array(b, d->n_windows, sizeof *w);

    if (!values || !w)
        return false;
    for (uint32_t i = 0; i < d->n_by; i++)
        values[i] = g->values[i]->text;
    for (uint32_t i = 0; i < d->n_windows && good; i++) {
        w[i].text = d->windows[i].text;
        good =
            sketches ? window_of_sketches(s, b, g, i, now, &w[i]) : window_of_gauges(s, b, g, i, now, &w[i]);
    }
    *out = (struct percentile_group){.values = values, .windows = w};
    return good && (!sketches || copy_histogram(b, g, out));
}

/* A group that was made from another kind of values than the metric has now is not shown. */
static bool group_shown(const struct group *g)
{
    switch (g->percentile->mode) {
    case MODE_SKETCHES: return g->sketches != NULL;
    case MODE_GAUGES: return g->n_hosts > 0;
    default: return false;
    }
}

static bool copy_percentile(struct series_set *s, struct box *b, const struct percentile *p, int64_t now,
                            struct percentile_view *out)
{
    const struct percentile_def *d = p->def;
    struct percentile_group *groups = array(b, p->n, sizeof *groups);
    uint32_t n = 0;

    if (!groups)
        return false;
    for (uint32_t i = 0; i < p->n; i++) {
        if (!group_shown(p->groups[i]))
            continue;
        if (!copy_group(s, b, p->groups[i], now, &groups[n++]))
            return false;
    }
    *out = (struct percentile_view){.name = d->name,
                                    .metric = d->metric,
                                    .help = p->help ? p->help->text : "",
                                    .n_windows = d->n_windows,
                                    .n_quantiles = d->n_quantiles,
                                    .n_buckets = d->n_buckets,
                                    .n_by = d->n_by,
                                    .n_groups = n,
                                    .quantile_text = d->quantile_text,
                                    .quantiles = d->quantiles,
                                    .bucket_text = d->bucket_text,
                                    .buckets = d->buckets,
                                    .by = d->by,
                                    .groups = groups,
                                    .refused = p->mode == MODE_REFUSED};
    return true;
}

static bool copy_percentiles(struct series_set *s, struct box *b, int64_t now)
{
    struct percentile_view *v = array(b, s->n_percentiles, sizeof *v);

    if (!v)
        return false;
    for (uint32_t i = 0; i < s->n_percentiles; i++) {
        if (!copy_percentile(s, b, s->percentiles[i], now, &v[i]))
            return false;
    }
    b->shown.percentiles = v;
    b->shown.n_percentiles = s->n_percentiles;
    return true;
}

struct snapshot *series_snapshot(struct series_set *s, struct wall now)
{
    struct box *b;

    reap(s);
    b = mem_alloc(s->mem, sizeof *b);
    if (!b)
        return NULL;
    arena_init(&b->arena, s->mem, 0);
    atomic_init(&b->released, false);
    b->shown.taken = now;
    b->shown.position = s->position;
    if (!copy_families(s, b) || !copy_agents(s, b, now.ms) || !copy_percentiles(s, b, now.ms)) {
        arena_free(&b->arena);
        mem_free(s->mem, b, sizeof *b);
        s->lost[LOSS_MEMORY]++;
        return NULL;
    }
    b->gen = ++s->gen;
    b->next = s->boxes;
    s->boxes = b;
    return &b->shown;
}

void snapshot_release(struct snapshot *shown)
{
    struct box *b = (struct box *)shown; /* its first member */

    if (b)
        atomic_store_explicit(&b->released, true, memory_order_release);
}
