/* Groups of a section: one for each combination of values of the labels in `by`. */
#include <string.h>

#include "aggregator/series/percentile.h"

static int order(const struct group *g, struct atom *const *values, uint32_t n)
{
    int c = 0;

    for (uint32_t i = 0; i < n && !c; i++)
        c = g->values[i] == values[i] ? 0 : strcmp(g->values[i]->text, values[i]->text);
    return c;
}

/* Where the group stands, or would. */
static uint32_t find(const struct percentile *p, struct atom *const *values, bool *found)
{
    uint32_t low = 0, high = p->n;

    *found = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int c = order(p->groups[mid], values, p->def->n_by);

        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static size_t group_size(const struct percentile *p)
{
    return sizeof(struct group) + p->def->n_by * sizeof(struct atom *);
}

struct group *group_get(struct series_set *s, struct percentile *p, struct atom *const *values, bool *full)
{
    bool found;
    uint32_t at = find(p, values, &found);
    struct group *g;

    *full = false;
    if (found)
        return p->groups[at];
    if (p->n >= p->def->max_groups) {
        *full = true;
        return NULL;
    }
    if (grow(s, &p->groups, &p->room, p->n + 1, sizeof(struct group *)) != 0)
        return NULL;
    g = mem_alloc(s->mem, group_size(p));
    if (!g)
        return NULL;
    g->percentile = p;
    g->values = (struct atom **)(g + 1);
    for (uint32_t i = 0; i < p->def->n_by; i++)
        g->values[i] = atom_keep(values[i]);
    memmove(p->groups + at + 1, p->groups + at, (p->n - at) * sizeof(struct group *));
    p->groups[at] = g;
    p->n++;
    return g;
}

bool group_idle(const struct group *g)
{
    return !g->refs && !g->sketches && !g->n_hosts;
}

void group_free(struct series_set *s, struct group *g)
{
    struct percentile *p = g->percentile;
    bool found;
    uint32_t at = find(p, g->values, &found);

    memmove(p->groups + at, p->groups + at + 1, (p->n - at - 1) * sizeof(struct group *));
    p->n--;
    sketches_free(s, p->def, &g->sketches);
    for (uint32_t i = 0; i < g->n_hosts; i++)
        host_free(s, p->def, g->hosts[i]);
    mem_free(s->mem, g->hosts, g->hosts_room * sizeof(struct host *));
    for (uint32_t i = 0; i < p->def->n_by; i++)
        atom_drop(s, g->values[i]);
    mem_free(s->mem, g, group_size(p));
}

void group_bury(struct series_set *s, struct group *g)
{
    const struct percentile_def *d = g->percentile->def;

    for (uint32_t i = 0; i < g->n_hosts; i++)
        bury(s, key_host(s, g, g->hosts[i]), g->hosts[i]->state);
    if (!g->sketches)
        return;
    bury(s, key_total(s, g), g->sketches->state);
    for (uint32_t w = 0; w < d->n_windows; w++) {
        for (uint32_t i = 0; i < d->windows[w].cells; i++)
            bury(s, key_cell(s, g, w, i), g->sketches->rings[w].cells[i].state);
    }
}
