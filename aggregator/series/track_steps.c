/* Steps of groups: lists by time, moved from open to due to taken. A step that has gone is kept for the next
 * one, so that the way of a value allocates nothing. */
#include "aggregator/series/track.h"

enum { SPARE_MOST = 65536 };

static struct track_step *step_new(struct series_set *s, int64_t k)
{
    struct tracking *t = &s->tracking;
    struct track_step *x = t->spare;

    if (t->n_steps >= PENDING_MOST) {
        t->lost[TRACK_PENDING]++;
        return NULL;
    }
    if (x) {
        t->spare = x->next;
        t->n_spare--;
        *x = (struct track_step){0};
    } else if (!(x = mem_alloc(s->mem, sizeof *x))) {
        t->lost[TRACK_MEMORY]++;
        return NULL;
    }
    x->k = k;
    t->n_steps++;
    return x;
}

static void sketch_drop(struct series_set *s, struct sketch *x)
{
    if (!x)
        return;
    sketch_free(x);
    mem_free(s->mem, x, sizeof *x);
}

void step_free(struct series_set *s, struct track_step *x)
{
    struct tracking *t = &s->tracking;

    sketch_drop(s, x->sketch);
    t->n_steps--;
    if (t->n_spare >= SPARE_MOST) {
        mem_free(s->mem, x, sizeof *x);
        return;
    }
    x->next = t->spare;
    t->spare = x;
    t->n_spare++;
}

void spare_free(struct series_set *s)
{
    struct track_step *x;

    while ((x = s->tracking.spare)) {
        s->tracking.spare = x->next;
        mem_free(s->mem, x, sizeof *x);
    }
    s->tracking.n_spare = 0;
}

void steps_free(struct series_set *s, struct track_steps *l)
{
    struct track_step *x;

    while ((x = l->first)) {
        l->first = x->next;
        step_free(s, x);
    }
    *l = (struct track_steps){0};
}

/* The last step before or at k, from the place where the list was left; NULL: k is before all. */
static struct track_step *seek(const struct track_steps *l, int64_t k)
{
    struct track_step *x = l->here && l->here->k <= k ? l->here : l->first;

    if (!x || x->k > k)
        return NULL;
    while (x->next && x->next->k <= k)
        x = x->next;
    return x;
}

static void put_after(struct track_steps *l, struct track_step *before, struct track_step *x)
{
    struct track_step **p = before ? &before->next : &l->first;

    x->next = *p;
    *p = x;
    l->here = x;
    l->n++;
}

struct track_step *steps_get(struct series_set *s, struct track_steps *l, int64_t k)
{
    struct track_step *before = seek(l, k), *x = before;

    if (!before || before->k != k) {
        x = step_new(s, k);
        if (!x)
            return NULL;
        put_after(l, before, x);
    }
    l->here = x;
    return x;
}

struct track_step *track_open(struct series_set *s, struct track_group *g, int64_t k)
{
    struct tracking *t = &s->tracking;
    struct track_step *x = steps_get(s, &g->open, k);

    if (x && !g->opened) {
        g->opened = true;
        g->next_open = NULL;
        *t->open_end = g;
        t->open_end = &g->next_open;
    }
    return x;
}

/* The gain of one step to another one of the same step. */
static void step_merge(struct series_set *s, enum fact_kind kind, struct track_step *to,
                       struct track_step *from)
{
    fact_add(kind, &to->b, &from->b);
    if (!from->sketch)
        return;
    if (!to->sketch) {
        to->sketch = from->sketch;
        from->sketch = NULL;
    } else if (sketch_merge(to->sketch, from->sketch) != 0) {
        s->tracking.lost[TRACK_MEMORY]++;
    }
}

void steps_join(struct series_set *s, struct track_group *g, struct track_steps *from)
{
    struct tracking *t = &s->tracking;
    struct track_step *x;

    if (from->first && !g->dues) {
        g->dues = true;
        g->next_due = NULL;
        *t->due_end = g;
        t->due_end = &g->next_due;
    }
    while ((x = from->first)) {
        struct track_step *before = seek(&g->due, x->k);

        from->first = x->next;
        if (before && before->k == x->k) {
            step_merge(s, g->kind, before, x);
            g->due.here = before;
            step_free(s, x);
        } else {
            put_after(&g->due, before, x);
        }
    }
    *from = (struct track_steps){0};
}

void steps_move(struct series_set *s, struct track_group *g)
{
    steps_join(s, g, &g->open);
}
