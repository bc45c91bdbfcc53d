/* What was gained, on its way to those who judge and to the store: see track.h.
 *
 * A number that was told to be gone may be given again in the next telling, not in the same: what is gone
 * stands behind the deltas there. */
#include <string.h>

#include "aggregator/series/track.h"

/* ---- to those who judge ---- */

static bool copy_sketch(const struct sketch *from, struct arena *a, const struct sketch **out)
{
    struct sketch *x = arena_alloc(a, sizeof *x);
    const struct sketch_range *r[2] = {&from->pos, &from->neg};
    uint64_t *counts[2] = {NULL, NULL};

    for (int i = 0; i < 2 && x; i++) {
        counts[i] = arena_array(a, r[i]->n ? r[i]->n : 1, sizeof *counts[i]);
        if (!counts[i])
            return false;
        if (r[i]->n)
            memcpy(counts[i], r[i]->counts, r[i]->n * sizeof *counts[i]);
    }
    if (!x)
        return false;
    *x = *from;
    x->mem = NULL;
    x->pos = (struct sketch_range){counts[0], r[0]->offset, r[0]->n, r[0]->n};
    x->neg = (struct sketch_range){counts[1], r[1]->offset, r[1]->n, r[1]->n};
    *out = x;
    return true;
}

static bool tell_groups(const struct track *t, struct telling *to, struct fact_group_new *out, uint32_t most)
{
    for (uint32_t i = 0; i < t->n && to->n_groups < most; i++) {
        struct track_group *g = t->list[i];
        bool ok = true;

        if (g->told)
            continue;
        out[to->n_groups] = (struct fact_group_new){.selection = t->index,
                                                    .group = g->number,
                                                    .kind = g->kind,
                                                    .labels = labels_copy(g->labels, &to->arena, &ok)};
        if (!ok)
            return false;
        g->told = true;
        to->n_groups++;
    }
    return true;
}

static bool tell_new(struct series_set *s, struct telling *to)
{
    struct tracking *t = &s->tracking;
    uint32_t most = t->n_untold < TELL_MOST ? t->n_untold : TELL_MOST;
    struct fact_group_new *out = arena_array(&to->arena, most, sizeof *out);
    bool ok = out != NULL;

    to->groups = out;
    for (uint32_t i = 0; i < t->n && ok && to->n_groups < most; i++) {
        if (t->tracks[i])
            ok = tell_groups(t->tracks[i], to, out, most);
    }
    t->n_untold -= to->n_groups;
    return ok && t->n_untold == 0;
}

static bool tell_gone(struct series_set *s, struct telling *to)
{
    struct tracking *t = &s->tracking;
    struct fact_group_new *out = arena_array(&to->arena, t->n_gone, sizeof *out);

    if (!out)
        return false;
    for (uint32_t i = 0; i < t->n_gone; i++)
        out[i] = (struct fact_group_new){.selection = t->gone[i].selection, .group = t->gone[i].number};
    to->gone = out;
    to->n_gone = t->n_gone;
    t->n_gone = 0;
    return true;
}

static bool delta_of(const struct track_group *g, const struct track_step *x, struct arena *a,
                     struct fact_delta *out)
{
    *out = (struct fact_delta){.selection = g->track->index,
                               .group = g->number,
                               .kind = g->kind,
                               .tier = TIER_STEP,
                               .start = x->k * FACT_STEP_MS,
                               .gain = x->b};
    return !x->sketch || copy_sketch(x->sketch, a, &out->gain.sketch);
}

static void unlink_open(struct tracking *t)
{
    struct track_group *g = t->open;

    t->open = g->next_open;
    if (!t->open)
        t->open_end = &t->open;
    g->opened = false;
    g->next_open = NULL;
}

/* Of the first group with open steps those that fit; true when it has none left. */
static bool tell_group(struct series_set *s, struct telling *to, struct fact_delta *out, uint32_t room)
{
    struct track_group *g = s->tracking.open;
    struct track_steps told = {0};
    struct track_step **end = &told.first;

    while (g->open.first && to->n_deltas < room) {
        struct track_step *x = g->open.first;

        if (g->track->selection && delta_of(g, x, &to->arena, &out[to->n_deltas]))
            to->n_deltas++;
        else if (!g->track->selection || to->n_deltas == 0)
            to->lost += g->track->selection != NULL; /* too large for any telling, or nobody asks any more */
        else
            break;
        g->open.first = x->next;
        g->open.n--;
        x->next = NULL;
        *end = x;
        end = &x->next;
    }
    g->open.here = NULL;
    steps_join(s, g, &told);
    if (g->open.first)
        return false;
    unlink_open(&s->tracking);
    return true;
}

static bool tell_deltas(struct series_set *s, struct telling *to)
{
    struct tracking *t = &s->tracking;
    uint32_t room = 0;
    struct fact_delta *out;

    for (const struct track_group *g = t->open; g && room < TELL_MOST; g = g->next_open)
        room += g->open.n;
    room = room < TELL_MOST ? room : TELL_MOST;
    out = arena_array(&to->arena, room, sizeof *out);
    if (!out)
        return false;
    to->deltas = out;
    while (t->open && tell_group(s, to, out, room))
        continue;
    t->told += to->n_deltas;
    return !t->open;
}

struct telling *series_tell(struct series_set *s, struct wall now, bool restored, bool *more)
{
    struct tracking *t = &s->tracking;
    struct telling *to;

    *more = false;
    if (!t->open && !t->n_untold && !t->n_gone && !t->untold && !restored)
        return NULL;
    to = mem_alloc(NULL, sizeof *to);
    if (!to) {
        *more = true;
        return NULL;
    }
    arena_init(&to->arena, NULL, TELL_ARENA);
    to->generation = t->generation;
    to->now = now;
    to->lost = t->untold;
    t->untold = 0;
    *more = (t->n_untold && !tell_new(s, to)) || (t->open && !tell_deltas(s, to)) ||
            (t->n_gone && !tell_gone(s, to));
    t->lost[TRACK_UNTOLD] += to->lost;
    to->restored = restored && !*more;
    return to;
}

/* ---- to the store ---- */

/* What could not be told must be stored all the same: with the position it would be gone. */
static void close_open(struct series_set *s)
{
    struct tracking *t = &s->tracking;

    while (t->open) {
        t->untold += t->open->track->selection ? t->open->open.n : 0;
        steps_move(s, t->open);
        unlink_open(t);
    }
}

static int give_group(const struct track_group *g, const struct series_gains *to)
{
    struct series_group group = {.handle = g->handle,
                                 .kind = g->kind,
                                 .selection = g->track->name,
                                 .env = g->env ? g->env->text : "",
                                 .labels = g->labels};

    return to->group(to->arg, &group);
}

static int give_steps(const struct track_group *g, const struct track_steps *l, const struct series_gains *to)
{
    int rc = 0;

    for (const struct track_step *x = l->first; x && rc == 0; x = x->next) {
        struct fact_bucket b = x->b;

        b.sketch = x->sketch;
        rc = to->gain(to->arg, g->handle, g->kind, x->k * FACT_STEP_MS, &b);
    }
    return rc;
}

int series_pending(const struct series_set *s, const char *metric, const struct series_gains *to)
{
    int rc = 0;

    for (uint32_t i = 0; i < s->tracking.n_handles && rc == 0; i++) {
        const struct track_group *g = s->tracking.handles[i];

        if (!g || (!g->open.first && !g->due.first) || strcmp(g->track->name.metric, metric) != 0)
            continue;
        rc = give_group(g, to);
        rc = rc ? rc : give_steps(g, &g->due, to);
        rc = rc ? rc : give_steps(g, &g->open, to);
    }
    return rc;
}

static int take_group(struct track_group *g, const struct series_gains *to)
{
    int rc = g->state & DIRTY ? give_group(g, to) : 0;

    if (rc == 0 && g->state & DIRTY)
        g->state = TAKEN | STORED;
    rc = rc ? rc : give_steps(g, &g->due, to);
    g->taken = g->due;
    g->due = (struct track_steps){0};
    return rc;
}

int series_take_gains(struct series_set *s, const struct series_gains *to)
{
    struct tracking *t = &s->tracking;
    int rc = 0;

    if (!t->open_end)
        return 0;
    close_open(s);
    while (t->due && rc == 0) {
        struct track_group *g = t->due;

        t->due = g->next_due;
        g->dues = false;
        g->next_due = NULL;
        rc = take_group(g, to);
    }
    if (!t->due)
        t->due_end = &t->due;
    return rc;
}

void gains_settle(struct series_set *s, bool stored)
{
    for (uint32_t i = 0; i < s->tracking.n_handles; i++) {
        struct track_group *g = s->tracking.handles[i];

        if (!g)
            continue;
        if (stored)
            steps_free(s, &g->taken);
        else
            steps_join(s, g, &g->taken);
        if (g->state & TAKEN)
            g->state = (uint8_t)((g->state & ~TAKEN) | (stored ? 0 : DIRTY));
    }
}

void gains_unstore(struct series_set *s)
{
    for (uint32_t i = 0; i < s->tracking.n_handles; i++) {
        if (s->tracking.handles[i] && s->tracking.handles[i]->state & STORED)
            s->tracking.handles[i]->state |= DIRTY;
    }
}

/* ---- what is stored, at start ---- */

int series_restore_group(struct series_set *s, const struct series_group *from, uint32_t *handle)
{
    struct track *t = track_find(s, from->selection.text);
    struct track_group *g = t ? track_group_get(s, t, from->labels, from->kind, from->env) : NULL;

    if (!t)
        return 0;
    if (!g)
        return ERR_NOMEM;
    g->state = STORED;
    *handle = g->handle;
    return 1;
}

struct span series_reach(const struct series_set *s, uint32_t handle)
{
    return s->tracking.handles[handle]->track->selection->reach;
}

int series_tell_stored(struct series_set *s, struct telling **to, const struct fact_delta *d, uint32_t handle)
{
    const struct track_group *g = s->tracking.handles[handle];
    struct telling *t = *to;
    struct fact_delta *out;

    if (!t) {
        t = mem_alloc(NULL, sizeof *t);
        if (!t)
            return ERR_NOMEM;
        arena_init(&t->arena, NULL, TELL_ARENA);
        t->generation = s->tracking.generation;
        t->deltas = arena_array(&t->arena, TELL_MOST, sizeof *t->deltas);
        if (!t->deltas) {
            telling_free(&t);
            return ERR_NOMEM;
        }
        *to = t;
    }
    if (t->n_deltas == TELL_MOST)
        return ERR_LIMIT;
    out = (struct fact_delta *)(uintptr_t)t->deltas + t->n_deltas;
    *out = *d;
    out->selection = g->track->index;
    out->group = g->number;
    if (d->gain.sketch && !copy_sketch(d->gain.sketch, &t->arena, &out->gain.sketch))
        return t->n_deltas ? ERR_LIMIT : ERR_NOMEM;
    t->n_deltas++;
    return 0;
}
