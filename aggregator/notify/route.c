/* Which groups an alert belongs to. The tree is gone down as people know it: the first child that matches takes
 * the alert, `continue` lets its neighbours have it too, and a route whose children all decline keeps it. */
#include "aggregator/notify/notify_private.h"

#include <string.h>

struct search {
    const struct plan *plan;
    struct labels labels;
    uint32_t *out;
    uint32_t most, n;
};

/* Depth is bounded by the number of routes: a parent stands before its children. */
static void descend(struct search *s, uint32_t at)
{
    bool taken = false;

    for (uint32_t i = at + 1; i < s->plan->n_routes; i++) {
        const struct route *r = &s->plan->routes[i];

        if (r->parent != (int32_t)at || !match_labels(r->match, s->labels))
            continue;
        descend(s, i);
        taken = true;
        if (!r->go_on)
            break;
    }
    if (!taken && s->n < s->most)
        s->out[s->n++] = at;
}

uint32_t route_find(const struct plan *p, struct labels l, uint32_t *out, uint32_t most)
{
    struct search s = {.plan = p, .labels = l, .out = out, .most = most};

    if (p->root >= 0)
        descend(&s, (uint32_t)p->root);
    return s.n;
}

struct labels route_group_labels(const struct route *r, struct labels l, struct label *room, size_t most)
{
    uint32_t n = 0;

    if (r->group_all)
        return l;
    for (uint32_t i = 0; i < l.n && n < most; i++) {
        for (uint32_t j = 0; j < r->n_group_by; j++) {
            if (strcmp(l.v[i].name, r->group_by[j]) == 0) {
                room[n++] = l.v[i];
                break;
            }
        }
    }
    return (struct labels){room, n};
}

static bool keeps(struct group *const *keep, uint32_t n, const struct group *g)
{
    for (uint32_t i = 0; i < n; i++) {
        if (keep[i] == g)
            return true;
    }
    return false;
}

/* False: nobody is told of it, or there is no memory. A group that it leaves must not keep what it was told there
 * unless the end is still to be told. */
bool route_place(struct notify *n, struct known *k)
{
    uint32_t found[TARGETS_MOST], n_found = route_find(n->plan, k->labels, found, TARGETS_MOST);
    struct group *keep[TARGETS_MOST];
    struct label room[GROUP_BY_MOST];

    for (uint32_t i = 0; i < n_found; i++) {
        const struct route *r = &n->plan->routes[found[i]];
        struct group *g = bunch_get(n, r, r->name, route_group_labels(r, k->labels, room, GROUP_BY_MOST));

        if (!g || !bunch_add(n, g, k)) {
            n->no_memory++;
            return false;
        }
        keep[i] = g;
    }
    for (uint32_t i = 0; i < k->n_groups; i++) {
        if (!keeps(keep, n_found, k->groups[i]))
            bunch_remove(k->groups[i--], k);
    }
    return n_found > 0;
}
