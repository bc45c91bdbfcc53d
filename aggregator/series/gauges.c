/* Percentiles over gauges: quantiles of each host's mean. Sum and number of a host's
 * values are kept for each cell of each window; NaN is left out, and so is a host whose
 * mean is none (infinities of both signs). The quantile of n means is the one of rank
 * max(1, ceil(q n)), as it is for sketches; 0 is the least, 1 the greatest. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/series/percentile.h"

static size_t host_size(const struct percentile_def *d)
{
    return sizeof(struct host) + d->n_tallies * sizeof(struct tally);
}

struct host *host_get(struct series_set *s, struct group *g, struct atom *id)
{
    uint32_t low = 0, high = g->n_hosts;
    struct host *h;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (g->hosts[mid]->id == id)
            return g->hosts[mid];
        if (strcmp(g->hosts[mid]->id->text, id->text) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (grow(s, &g->hosts, &g->hosts_room, g->n_hosts + 1, sizeof(struct host *)) != 0)
        return NULL;
    h = mem_alloc(s->mem, host_size(g->percentile->def));
    if (!h)
        return NULL;
    h->id = atom_keep(id);
    memmove(g->hosts + low + 1, g->hosts + low, (g->n_hosts - low) * sizeof(struct host *));
    g->hosts[low] = h;
    g->n_hosts++;
    return h;
}

void host_free(struct series_set *s, const struct percentile_def *d, struct host *h)
{
    atom_drop(s, h->id);
    mem_free(s->mem, h, host_size(d));
}

void host_add(const struct series_set *s, const struct percentile_def *d, struct host *h, int64_t t, double v)
{
    if (isnan(v))
        return;
    for (uint32_t w = 0; w < d->n_windows; w++) {
        const struct window_def *def = &d->windows[w];
        int64_t k = cell_of(t, def->step);
        struct tally *c = &h->tallies[def->first + cell_place(k, def->cells)];

        if (c->n && c->k > k && c->k <= cell_last(s->received, def->step))
            continue; /* before the window, as in window.c */
        if (!c->n || c->k != k)
            *c = (struct tally){.k = k};
        c->sum += v;
        c->n++;
        h->state |= DIRTY;
    }
}

static bool host_empty(const struct percentile_def *d, const struct host *h, int64_t now)
{
    for (uint32_t w = 0; w < d->n_windows; w++) {
        int64_t from = window_from(&d->windows[w], now), last = cell_last(now, d->windows[w].step);
        const struct tally *c = h->tallies + d->windows[w].first;

        for (uint32_t i = 0; i < d->windows[w].cells; i++) {
            if (c[i].n && c[i].k >= from && c[i].k <= last)
                return false;
        }
    }
    return true;
}

void hosts_advance(struct series_set *s, struct group *g, int64_t now)
{
    const struct percentile_def *d = g->percentile->def;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < g->n_hosts; i++) {
        struct host *h = g->hosts[i];

        if (h->refs || !host_empty(d, h, now)) {
            g->hosts[kept++] = h;
            continue;
        }
        bury(s, key_host(s, g, h), h->state);
        host_free(s, d, h);
    }
    g->n_hosts = kept;
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

uint32_t hosts_means(const struct percentile_def *d, const struct group *g, uint32_t w, int64_t now,
                     double *out)
{
    const struct window_def *def = &d->windows[w];
    int64_t from = window_from(def, now), last = cell_last(now, def->step);
    uint32_t start = cell_place(from, def->cells), n = 0;

    for (uint32_t h = 0; h < g->n_hosts; h++) {
        const struct tally *c = g->hosts[h]->tallies + def->first;
        uint64_t count = 0;
        double sum = 0;

        for (uint32_t i = 0; i < def->cells; i++) { /* in the order of time: the same sum after a restart */
            const struct tally *at = &c[(start + i) % def->cells];

            if (!at->n || at->k < from || at->k > last)
                continue;
            sum += at->sum;
            count += at->n;
        }
        if (count && !isnan(sum))
            out[n++] = sum / (double)count;
    }
    if (n)
        qsort(out, n, sizeof *out, ascending);
    return n;
}

double rank_of(const double *sorted, uint32_t n, double q)
{
    double rank = ceil(q * n);

    return sorted[rank < 1 ? 0 : rank > n ? n - 1 : (uint32_t)rank - 1];
}
