/* Agents, their bindings and the series these refer to. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/series/track.h"

struct agent *agent_find(const struct series_set *s, struct wire_str id)
{
    return map_get(&s->agent_map, id.p, id.n);
}

struct agent *agent_get(struct series_set *s, struct wire_str id, int64_t now)
{
    struct agent *a = agent_find(s, id);

    if (a)
        return a;
    if (grow(s, &s->agents, &s->agents_room, s->n_agents + 1, sizeof *s->agents) != 0)
        return NULL;
    a = mem_alloc(s->mem, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct agent){.skew = INT64_MIN, .met = now, .at = s->n_agents, .id = atom_get(s, id.p, id.n)};
    map_init(&a->map, s->mem, s->seed);
    map_init(&a->readings, s->mem, s->seed);
    if (!a->id || map_put(&s->agent_map, a->id->text, a->id->n, a) != 0) {
        atom_drop(s, a->id);
        mem_free(s->mem, a, sizeof *a);
        return NULL;
    }
    s->agents[s->n_agents++] = a;
    s->agents_sorted = false;
    return a;
}

void agent_drop(struct series_set *s, struct agent *a)
{
    while (a->bindings)
        binding_free(s, a, a->bindings);
    if (a->current)
        resource_drop(s, a->current);
    bury(s, key_agent(s, a), a->state);
    bury(s, key_readings(s, a), a->readings_state);
    readings_free(s, a);
    agent_say(s, a, NULL, NULL, NULL);
    map_free(&a->map);
    s->agents[a->at] = s->agents[--s->n_agents];
    s->agents[a->at]->at = a->at;
    s->agents_sorted = false;
    map_del(&s->agent_map, a->id->text, a->id->n);
    atom_drop(s, a->id);
    mem_free(s->mem, a, sizeof *a);
}

static int by_id(const void *a, const void *b)
{
    struct agent *const *x = a, *const *y = b;

    return strcmp((*x)->id->text, (*y)->id->text);
}

void agents_sort(struct series_set *s)
{
    if (s->agents_sorted)
        return;
    if (s->n_agents)
        qsort(s->agents, s->n_agents, sizeof *s->agents, by_id);
    for (uint32_t i = 0; i < s->n_agents; i++)
        s->agents[i]->at = i;
    s->agents_sorted = true;
}

void agent_say(struct series_set *s, struct agent *a, struct atom *region, struct atom *env,
               struct atom *tenant)
{
    struct atom **to[] = {&a->region, &a->env, &a->tenant}, *from[] = {region, env, tenant};

    for (int i = 0; i < 3; i++) {
        struct atom *old = *to[i];

        *to[i] = from[i] ? atom_keep(from[i]) : NULL;
        atom_drop(s, old);
    }
}

static struct atom *label_of(const struct resource *r, const char *name)
{
    for (uint32_t i = 0; i < r->n; i++) {
        if (strcmp(r->labels[2 * i]->text, name) == 0)
            return r->labels[2 * i + 1];
    }
    return NULL;
}

void agent_turn(struct series_set *s, struct agent *a, struct resource *r)
{
    struct resource *old = a->current;

    if (old == r)
        return;
    agent_say(s, a, label_of(r, "region"), label_of(r, "env"), r->tenant);
    r->refs++;
    a->current = r;
    for (struct binding *b = a->bindings; b; b = b->next) {
        for (uint32_t i = 0; i < b->n; i++) {
            if (b->series[i] && b->key.resource != r)
                metric_hide(s, b->series[i]);
        }
    }
    if (old)
        resource_drop(s, old);
}

/* ---- bindings ---- */

static size_t binding_size(uint32_t n)
{
    return sizeof(struct binding) + n * sizeof(struct series *);
}

/* Gives up what was used longest ago until n more pointers fit what one agent may hold;
 * not what the batch that is applied just now has used, whose pointers are in use. */
static void make_room(struct series_set *s, struct agent *a, uint32_t n)
{
    while (a->bindings && a->bound + n > 2 * (uint64_t)s->quota + BINDING_SLACK) {
        struct binding *oldest = NULL;

        for (struct binding *b = a->bindings; b; b = b->next) {
            if (b->serial != s->serial && (!oldest || b->used <= oldest->used))
                oldest = b;
        }
        if (!oldest)
            return;
        binding_free(s, a, oldest);
    }
}

struct binding *binding_get(struct series_set *s, struct agent *a, struct resource *r,
                            const struct wire_hash *schema, uint32_t n, int64_t now)
{
    struct binding_key key = {*schema, r};
    struct binding *b = map_get(&a->map, &key, sizeof key);

    if (b && b->n == n) {
        if (b->used < now)
            b->used = now;
        return b;
    }
    if (b)
        binding_free(s, a, b);
    make_room(s, a, n);
    b = mem_alloc(s->mem, binding_size(n));
    if (!b)
        return NULL;
    b->key = key;
    b->n = n;
    b->used = now;
    if (map_put(&a->map, &b->key, sizeof b->key, b) != 0) {
        mem_free(s->mem, b, binding_size(n));
        return NULL;
    }
    r->refs++;
    a->bound += n;
    b->next = a->bindings;
    if (b->next)
        b->next->prev = b;
    a->bindings = b;
    return b;
}

static void series_drop(struct series_set *s, struct series *x)
{
    if (--x->refs)
        return;
    metric_hide(s, x);
    members_drop(s, x);
    feeds_drop(s, x);
    map_del(&s->series_map, x, sizeof x->metric + sizeof x->set);
    x->agent->n_series--;
    metric_drop(s, x->metric);
    labelset_drop(s, x->set);
    mem_free(s->mem, x, sizeof *x);
}

void binding_free(struct series_set *s, struct agent *a, struct binding *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->series[i])
            series_drop(s, b->series[i]);
    }
    map_del(&a->map, &b->key, sizeof b->key);
    if (b->next)
        b->next->prev = b->prev;
    if (b->prev)
        b->prev->next = b->next;
    else
        a->bindings = b->next;
    a->bound -= b->n;
    resource_drop(s, b->key.resource);
    mem_free(s->mem, b, binding_size(b->n));
}

/* ---- series ---- */

_Static_assert(offsetof(struct series, set) == sizeof(struct metric *), "the key has no gap");

struct series *series_find(struct series_set *s, const struct binding *b, const struct wire_series *w)
{
    struct {
        struct metric *metric;
        struct labelset *set;
    } key = {metric_find(s, w->name), NULL};

    if (key.metric)
        key.set = labelset_find(s, b->key.resource, w);
    return key.set ? map_get(&s->series_map, &key, sizeof key) : NULL;
}

static struct series *series_make(struct series_set *s, struct agent *a, const struct binding *b,
                                  const struct wire_series *w)
{
    struct series *x = mem_alloc(s->mem, sizeof *x);

    if (!x)
        return NULL;
    *x = (struct series){.agent = a, .at = NOWHERE};
    x->metric = metric_get(s, w);
    x->set = x->metric ? labelset_get(s, b->key.resource, w) : NULL;
    if (!x->set || members_make(s, x) != 0 || feeds_make(s, x) != 0 ||
        map_put(&s->series_map, x, sizeof x->metric + sizeof x->set, x) != 0) {
        members_drop(s, x);
        feeds_drop(s, x);
        if (x->set)
            labelset_drop(s, x->set);
        if (x->metric)
            metric_drop(s, x->metric);
        mem_free(s->mem, x, sizeof *x);
        return NULL;
    }
    a->n_series++;
    return x;
}

struct series *series_bind(struct series_set *s, struct agent *a, struct binding *b, uint32_t j,
                           const struct wire_series *w)
{
    struct series *x = series_find(s, b, w);

    if (!x)
        x = series_make(s, a, b, w);
    if (x) {
        x->refs++;
        b->series[j] = x;
    }
    return x;
}
