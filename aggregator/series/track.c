/* Which series belong to which selections, and the list of selections as a whole. */
#include <string.h>

#include "aggregator/series/track.h"

enum { READINGS_SWEEP_MS = 60000 };

/* ---- feeds ---- */

static bool belongs(const struct track *t, const struct series *x)
{
    const struct selection *sel = t->selection;

    return strcmp(sel->metric, x->metric->name->text) == 0 &&
           match_labels(sel->match, (struct labels){x->set->desc.labels, x->set->desc.n_labels});
}

static int feed_make(struct series_set *s, struct series *x, struct track *t, int64_t since)
{
    struct feed *f;

    if (!belongs(t, x))
        return 0;
    f = mem_alloc(s->mem, sizeof *f);
    if (!f)
        return ERR_NOMEM;
    *f = (struct feed){
        .track = t, .newest = INT64_MIN, .late = {INT64_MIN, INT64_MIN}, .since = since, .next = x->feeds};
    x->feeds = f;
    return 0;
}

int feeds_make(struct series_set *s, struct series *x)
{
    for (uint32_t i = 0; i < s->tracking.n; i++) {
        if (s->tracking.tracks[i] && feed_make(s, x, s->tracking.tracks[i], INT64_MIN) != 0) {
            feeds_drop(s, x);
            return ERR_NOMEM;
        }
    }
    return 0;
}

void feeds_drop(struct series_set *s, struct series *x)
{
    struct feed *f;

    while ((f = x->feeds)) {
        x->feeds = f->next;
        feed_leave(s, f);
        mem_free(s->mem, f, sizeof *f);
    }
    reading_drop(s, x);
}

/* Those of selections that are no more. */
static void drop_old_feeds(struct series_set *s, struct series *x)
{
    struct feed **p = &x->feeds, *f;

    while ((f = *p)) {
        if (f->track->selection) {
            p = &f->next;
            continue;
        }
        *p = f->next;
        feed_leave(s, f);
        mem_free(s->mem, f, sizeof *f);
    }
}

/* ---- selections ---- */

static void track_free(struct series_set *s, struct track *t)
{
    if (!t)
        return;
    while (t->n)
        track_group_free(s, t->list[t->n - 1]);
    map_free(&t->groups);
    mem_free(s->mem, t->list, t->room * sizeof(struct track_group *));
    mem_free(s->mem, t->numbers, t->numbers_room * sizeof *t->numbers);
    arena_free(&t->arena);
    mem_free(s->mem, t, sizeof *t);
}

/* The names, with a blank between them; `*` for all. */
static char *by_text(struct series_set *s, struct track *t, const struct selection *sel)
{
    buf_clear(&s->value);
    if (sel->by_all)
        buf_str(&s->value, "*");
    for (uint32_t i = 0; i < sel->n_by; i++)
        buf_fmt(&s->value, "%s%s", i ? " " : "", sel->by[i]);
    return s->value.full ? NULL : arena_text(&t->arena, (const char *)s->value.data, s->value.len);
}

static struct track *track_new(struct series_set *s, const struct selection *sel)
{
    struct track *t = mem_alloc(s->mem, sizeof *t);
    const char *match = match_text(sel->match);

    if (!t)
        return NULL;
    arena_init(&t->arena, s->mem, 0);
    map_init(&t->groups, s->mem, s->seed);
    t->selection = sel;
    t->name.text = arena_text(&t->arena, sel->text, strlen(sel->text));
    t->name.metric = arena_text(&t->arena, sel->metric, strlen(sel->metric));
    t->name.match = arena_text(&t->arena, match, strlen(match));
    t->name.by = by_text(s, t, sel);
    if (!t->name.text || !t->name.metric || !t->name.match || !t->name.by) {
        track_free(s, t);
        return NULL;
    }
    return t;
}

struct track *track_find(const struct series_set *s, const char *text)
{
    const struct tracking *t = &s->tracking;

    for (uint32_t i = 0; i < t->n; i++) {
        if (t->tracks[i] && strcmp(t->tracks[i]->name.text, text) == 0)
            return t->tracks[i];
    }
    return NULL;
}

static void list_free(struct series_set *s, struct track **list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (list[i] && list[i]->fresh)
            track_free(s, list[i]);
    }
    mem_free(s->mem, list, n * sizeof(struct track *));
}

/* What is gathered under an equal text goes on. */
static int make_list(struct series_set *s, const struct selections *from, struct track **list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct selection *sel = selections_at(from, i);

        if (sel->own)
            continue;
        list[i] = track_find(s, sel->text);
        if (list[i])
            continue;
        list[i] = track_new(s, sel);
        if (!list[i])
            return ERR_NOMEM;
        list[i]->fresh = true;
    }
    return 0;
}

/* Selections that are no more are kept until what they gained is stored. */
static void put_aside(struct series_set *s)
{
    struct tracking *t = &s->tracking;

    for (uint32_t i = 0; i < t->n; i++) {
        if (t->tracks[i]) {
            t->tracks[i]->selection = NULL;
            t->tracks[i]->next_old = t->old;
            t->old = t->tracks[i];
        }
    }
}

static void take_up(struct series_set *s, const struct selections *from, struct track **list, uint32_t n)
{
    struct tracking *t = &s->tracking;
    struct track **p;

    put_aside(s);
    for (uint32_t i = 0; i < n; i++) {
        if (!list[i])
            continue;
        list[i]->selection = selections_at(from, i);
        list[i]->index = i;
        for (uint32_t k = 0; k < list[i]->n; k++) { /* under a new number of the selection */
            t->n_untold += list[i]->list[k]->told;
            list[i]->list[k]->told = false;
        }
    }
    for (p = &t->old; *p;) {
        if ((*p)->selection)
            *p = (*p)->next_old;
        else
            p = &(*p)->next_old;
    }
    for (struct track *old = t->old; old; old = old->next_old) {
        for (uint32_t k = 0; k < old->n; k++) { /* nobody is told of them any more */
            t->n_untold -= !old->list[k]->told;
            old->list[k]->told = true;
        }
    }
    t->n_gone = 0;
}

static void remake_feeds(struct series_set *s)
{
    struct tracking *t = &s->tracking;
    struct series *x;
    size_t at = 0;

    while ((x = map_next(&s->series_map, &at))) {
        drop_old_feeds(s, x);
        for (uint32_t i = 0; i < t->n; i++) {
            if (t->tracks[i] && t->tracks[i]->fresh &&
                feed_make(s, x, t->tracks[i], x->reading ? x->reading->last.at : INT64_MIN) != 0)
                t->lost[TRACK_MEMORY]++;
        }
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->tracks[i])
            t->tracks[i]->fresh = false;
    }
}

int tracks_load(struct series_set *s, const struct selections *from, uint32_t generation, struct err *e)
{
    struct tracking *t = &s->tracking;
    uint32_t n = from ? selections_count(from) : 0;
    struct track **list = n ? mem_array(s->mem, n, sizeof(struct track *)) : NULL;

    if (!t->open_end) {
        t->open_end = &t->open;
        t->due_end = &t->due;
    }
    if ((n && !list) || make_list(s, from, list, n) != 0) {
        list_free(s, list, n);
        return err_set(e, ERR_NOMEM, "no memory for the selections");
    }
    take_up(s, from, list, n);
    mem_free(s->mem, t->tracks, t->n * sizeof(struct track *));
    t->tracks = list;
    t->n = n;
    t->generation = generation;
    remake_feeds(s);
    return 0;
}

void tracks_free(struct series_set *s)
{
    struct tracking *t = &s->tracking;
    struct track *old;

    for (uint32_t i = 0; i < t->n; i++)
        track_free(s, t->tracks[i]);
    while ((old = t->old)) {
        t->old = old->next_old;
        track_free(s, old);
    }
    spare_free(s);
    mem_free(s->mem, t->tracks, t->n * sizeof(struct track *));
    mem_free(s->mem, t->handles, t->handles_room * sizeof(struct track_group *));
    mem_free(s->mem, t->free_handles, t->free_room * sizeof *t->free_handles);
    mem_free(s->mem, t->gone, t->gone_room * sizeof *t->gone);
    *t = (struct tracking){0};
}

/* ---- time passes ---- */

static bool is_gone(const struct track_group *g, int64_t before)
{
    return g->refs == 0 && g->idle < before && !g->opened && !g->dues && !g->taken.first;
}

static void sweep(struct series_set *s, struct track *t, int64_t now)
{
    struct tracking *all = &s->tracking;

    for (uint32_t i = t->n; i-- > 0;) {
        struct track_group *g = t->list[i];

        if (g->idle > now) /* the clock has gone back */
            g->idle = now;
        if (!is_gone(g, t->selection ? now - s->stale_ms : INT64_MAX))
            continue;
        if (g->told && t->selection) {
            if (grow(s, &all->gone, &all->gone_room, all->n_gone + 1, sizeof *all->gone) != 0)
                return;
            all->gone[all->n_gone++] = (struct track_gone){t->index, g->number};
        }
        track_group_free(s, g);
    }
}

void series_gained(struct series_set *s, int64_t position)
{
    s->tracking.contained = position;
}

void tracks_advance(struct series_set *s, int64_t now)
{
    struct tracking *t = &s->tracking;

    for (uint32_t i = 0; i < t->n; i++) {
        if (t->tracks[i])
            sweep(s, t->tracks[i], now);
    }
    for (struct track **p = &t->old, *old; (old = *p);) {
        sweep(s, old, now);
        if (old->n) {
            p = &old->next_old;
            continue;
        }
        *p = old->next_old;
        track_free(s, old);
    }
    if (now >= t->swept && now - t->swept < READINGS_SWEEP_MS)
        return;
    t->swept = now;
    for (uint32_t i = 0; i < s->n_agents; i++)
        readings_advance(s, s->agents[i], now - s->max_age_ms);
}
