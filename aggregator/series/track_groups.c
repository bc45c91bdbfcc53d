/* Groups of a selection: one for each combination of values of its `by` (or of all labels) and each kind.
 * Numbers and handles are given again once they are free. */
#include <string.h>

#include "aggregator/series/track.h"

/* kind, then name and value of each label, each terminated: none can hold a NUL */
static struct bytes key_of(struct series_set *s, struct labels l, enum fact_kind kind)
{
    buf_clear(&s->key);
    buf_u8(&s->key, (uint8_t)kind);
    for (uint32_t i = 0; i < l.n; i++) {
        buf_put(&s->key, l.v[i].name, strlen(l.v[i].name) + 1);
        buf_put(&s->key, l.v[i].value, strlen(l.v[i].value) + 1);
    }
    return s->key.full ? (struct bytes){NULL, 0} : buf_bytes(&s->key);
}

static struct track_group *make(struct series_set *s, struct track *t, struct bytes key, uint32_t n_labels)
{
    size_t size = sizeof(struct track_group) + n_labels * sizeof(struct label) + key.n;
    struct track_group *g = mem_alloc(s->mem, size);
    struct label *l;
    char *text;

    if (!g)
        return NULL;
    l = (struct label *)(g + 1);
    g->size = size;
    g->track = t;
    g->key = (uint8_t *)(l + n_labels);
    g->n_key = key.n;
    memcpy(g->key, key.p, key.n);
    text = (char *)g->key + 1;
    for (uint32_t i = 0; i < n_labels; i++) {
        l[i].name = text;
        l[i].value = text + strlen(text) + 1;
        text += strlen(text) + 1;
        text += strlen(text) + 1;
    }
    g->labels = (struct labels){l, n_labels};
    return g;
}

/* Room for what freeing it will need, too: that may not fail. */
static int reserve(struct series_set *s, struct track *t)
{
    struct tracking *all = &s->tracking;
    int rc = grow(s, &t->list, &t->room, t->n + 1, sizeof(struct track_group *));

    if (rc == 0)
        rc = grow(s, &t->numbers, &t->numbers_room, t->next_number + 1, sizeof *t->numbers);
    if (rc == 0)
        rc = grow(s, &all->handles, &all->handles_room, all->n_handles + 1, sizeof(struct track_group *));
    if (rc == 0)
        rc = grow(s, &all->free_handles, &all->free_room, all->n_handles + 1, sizeof *all->free_handles);
    return rc;
}

struct track_group *track_group_get(struct series_set *s, struct track *t, struct labels labels,
                                    enum fact_kind kind, const char *env)
{
    struct tracking *all = &s->tracking;
    struct bytes key = key_of(s, labels, kind);
    struct track_group *g = key.p ? map_get(&t->groups, key.p, key.n) : NULL;

    if (g)
        return g;
    if (t->n >= all->max_groups) {
        all->lost[TRACK_GROUPS]++;
        return NULL;
    }
    g = key.p && reserve(s, t) == 0 ? make(s, t, key, labels.n) : NULL;
    if (g && map_put(&t->groups, g->key, g->n_key, g) != 0) {
        mem_free(s->mem, g, g->size);
        g = NULL;
    }
    if (!g) {
        all->lost[TRACK_MEMORY]++;
        return NULL;
    }
    g->kind = kind;
    g->env = *env ? atom_get(s, env, strlen(env)) : NULL;
    g->idle = s->now > s->received ? s->now : s->received;
    g->state = DIRTY;
    g->number = t->n_numbers ? t->numbers[--t->n_numbers] : t->next_number++;
    g->handle = all->n_free ? all->free_handles[--all->n_free] : all->n_handles++;
    all->handles[g->handle] = g;
    g->at = t->n;
    t->list[t->n++] = g;
    all->n_groups++;
    all->n_untold++;
    return g;
}

/* The caller has seen to it that it stands in no list of steps, and that it was told to be gone. */
void track_group_free(struct series_set *s, struct track_group *g)
{
    struct tracking *all = &s->tracking;
    struct track *t = g->track;

    steps_free(s, &g->open);
    steps_free(s, &g->due);
    steps_free(s, &g->taken);
    map_del(&t->groups, g->key, g->n_key);
    t->list[g->at] = t->list[--t->n];
    t->list[g->at]->at = g->at;
    t->numbers[t->n_numbers++] = g->number;
    all->handles[g->handle] = NULL;
    all->free_handles[all->n_free++] = g->handle;
    all->n_groups--;
    all->n_untold -= !g->told;
    atom_drop(s, g->env);
    mem_free(s->mem, g, g->size);
}
