/* From facts to minutes. The newest minutes are read again whenever something was told. Facts tell that something came,
 * but not for when: once a minute the sums of all hours that late values can still change are looked at. */
#include <math.h>
#include <string.h>

#include "aggregator/slo/slo_private.h"

enum {
    MINUTE_MS = 60000,
    HOUR_MS = 3600000,
    SWEEP_EVERY_MS = 60000,
    SWEEPS_LEAST =
        8, /* groups that a step may read whole: all of them have their turn within a minute, and no step … */
    SWEEP_STEPS = 40, /* … has more than this part of them to read */
};

struct seen {
    double part, whole; /* sums as they come; a step's may be a correction */
    uint64_t good, total;
    uint32_t series;
    bool data;
    double min, max; /* of gauges */
};
struct sweep {
    struct seen m[MINUTES];
    int64_t from, n; /* minutes from .. from + n */
    const struct slo *slo;
    double bound; /* of the sketches met */
};

struct sweep *sweep_new(struct mem *mem)
{
    return mem_alloc(mem, sizeof(struct sweep));
}

void sweep_free(struct sweep **w, struct mem *mem)
{
    mem_free(mem, *w, sizeof **w);
    *w = NULL;
}

static uint64_t events(double v)
{
    return v > 0 && v < 1e18 ? (uint64_t)llround(v) : 0;
}

static struct seen *seen_at(struct sweep *w, int64_t start, int64_t length)
{
    int64_t m = minute_of(start) - w->from;

    return length <= MINUTE_MS && m >= 0 && m < w->n ? &w->m[m] : NULL;
}

/* The bucket bound that stands for a threshold: the greatest one that is not above it. */
static double bound_below(double threshold, int scale)
{
    int32_t i = sketch_index(threshold, scale);
    double upper = sketch_bound(i + 1, scale);

    return upper <= threshold ? upper : sketch_bound(i, scale);
}

static void add_sketch(struct sweep *w, struct seen *x, const struct fact_bucket *b)
{
    double threshold = w->slo->def->threshold, bound;

    if (!b->sketch)
        return;
    bound = bound_below(threshold, b->sketch->scale);
    if (isnan(w->bound) || bound < w->bound)
        w->bound = bound;
    x->whole += (double)b->sketch->count;
    x->part += (double)sketch_count_le(b->sketch, threshold);
}

static int add_whole(void *arg, int64_t start, int64_t length, const struct fact_bucket *b)
{
    struct sweep *w = arg;
    struct seen *x = seen_at(w, start, length);

    /* an interval between two readings is spread over steps that have none of their own */
    if (!x || (!b->n && !(b->sum > 0 || b->sum < 0)))
        return 0;
    switch (w->slo->def->source) {
    case SOURCE_COUNTERS: x->whole += b->sum; break;
    case SOURCE_SKETCH: add_sketch(w, x, b); break;
    case SOURCE_PROBE:
        x->whole += (double)b->n;
        x->part += b->sum;
        break;
    case SOURCE_RANGE:
        x->min = x->data && x->min < b->min ? x->min : b->min;
        x->max = x->data && x->max > b->max ? x->max : b->max;
        break;
    }
    x->data = true;
    x->series = b->series > x->series ? b->series : x->series;
    if (!x->series)
        x->series = 1;
    return 0;
}

static int add_part(void *arg, int64_t start, int64_t length, const struct fact_bucket *b)
{
    struct sweep *w = arg;
    struct seen *x = seen_at(w, start, length);

    if (x)
        x->part += b->sum;
    return 0;
}

/* After both sides are in: good of bad, and a minute's one event of a gauge. */
static void settle(const struct slo_def *d, struct seen *x)
{
    if (!x->data) /* a part without its whole says nothing */
        return;
    x->total = events(x->whole);
    x->good = events(x->part);
    if (d->source == SOURCE_COUNTERS && d->by_bad)
        x->good = x->good < x->total ? x->total - x->good : 0;
    if (d->source == SOURCE_RANGE) {
        x->total = 1;
        x->good = x->min >= d->low && x->max <= d->high;
    }
}

/* Minutes from .. now of one group, as facts have them. */
static void sweep_read(struct sweep *w, const struct slo *s, const struct fact_group *whole_side,
                       const struct fact_group *part_side, int64_t from, int64_t now)
{
    int64_t a = (from - 1) * MINUTE_MS, b = (now + 1) * MINUTE_MS;

    w->slo = s;
    w->from = from;
    w->n = now - from + 1;
    w->bound = NAN;
    memset(w->m, 0, (size_t)w->n * sizeof w->m[0]);
    if (whole_side)
        (void)facts_each(whole_side, a, b, add_whole, w);
    if (part_side)
        (void)facts_each(part_side, a, b, add_part, w);
    for (int64_t i = 0; i < w->n; i++)
        settle(s->def, &w->m[i]);
}

static void sweep_apply(struct slos *all, struct slo_group *g, const struct sweep *w)
{
    for (int64_t i = 0; i < w->n; i++) {
        const struct seen *x = &w->m[i];
        int64_t minute = w->from + i;
        const struct minute *had = slo_group_minute(g, minute);
        bool changed = false;

        if (minute < g->frozen || !had || (!x->data && had->series))
            continue; /* what was known is not forgotten because facts no longer have it */
        if (slo_group_put(g, minute, x->good, x->total, x->series, all, &changed) != 0)
            all->no_memory++;
        if (!changed)
            continue;
        g->stale = true;
        if (!g->closed && (!g->born || minute < g->born))
            g->born = minute;
        if (minute < g->told[0])
            g->told[0] = minute;
        if (minute > g->told[1])
            g->told[1] = minute;
        slo_touch(g, minute);
        if (x->data && minute > g->last)
            g->last = minute;
    }
}

struct sides {
    const struct fact_group *whole, *part; /* part NULL: none, or not there yet */
};

static void take_minutes(struct slos *all, struct slo_group *g, struct sides sides, int64_t from,
                         int64_t last)
{
    struct slo *s = g->slo;

    sweep_read(all->sweep, s, sides.whole, sides.part, from, last);
    if (!isnan(all->sweep->bound) && (isnan(s->bound) || all->sweep->bound < s->bound))
        s->bound = all->sweep->bound;
    sweep_apply(all, g, all->sweep);
}

/* Whether an hour's sums are others than before; remembers them. */
static bool hour_differs(struct slo_group *g, struct sides sides, int64_t hour)
{
    struct mark fresh = {0}, *mark = &g->marks[hour % HOURS];
    struct fact_bucket b;
    bool differs;

    if (facts_window(sides.whole, hour * HOUR_MS, (hour + 1) * HOUR_MS, &b, NULL, NULL) == 0)
        fresh = (struct mark){.n = b.n, .whole = b.sum};
    if (sides.part && facts_window(sides.part, hour * HOUR_MS, (hour + 1) * HOUR_MS, &b, NULL, NULL) == 0) {
        fresh.n += b.n;
        fresh.part = b.sum;
    }
    differs = fresh.n != mark->n || fresh.whole < mark->whole || fresh.whole > mark->whole ||
              fresh.part < mark->part || fresh.part > mark->part;
    *mark = fresh;
    return differs;
}

/* Everything that late values may have changed: hours whose sums differ; once an hour all of them, since a correction
 * may move events within one. */
static void take_late(struct slos *all, struct slo_group *g, struct sides sides, int64_t now_ms)
{
    int64_t now = minute_of(now_ms), first = now - MINUTES_REACH + 1;
    bool whole_reach = !g->read_whole || now_ms - g->read_whole >= HOUR_MS || now_ms < g->read_whole;

    if (whole_reach) {
        g->read_whole = now_ms;
        take_minutes(all, g, sides, first, now);
    }
    for (int64_t hour = first / 60; hour <= now / 60; hour++) {
        int64_t from = hour * 60 > first ? hour * 60 : first,
                last = hour * 60 + 59 < now ? hour * 60 + 59 : now;

        if (hour_differs(g, sides, hour) && !whole_reach)
            take_minutes(all, g, sides, from, last);
    }
}

static void take_group(struct slos *all, struct slo_group *g, const struct facts *f,
                       const struct fact_group *whole_side, int64_t now_ms)
{
    const struct slo_def *d = g->slo->def;
    struct sides sides = {whole_side,
                          d->source == SOURCE_COUNTERS ? facts_group_find(f, d->part.at, g->labels) : NULL};
    uint64_t changes = fact_changes(sides.whole) + (sides.part ? fact_changes(sides.part) : 0);
    int64_t now = minute_of(now_ms);
    bool due = now_ms - g->swept >= SWEEP_EVERY_MS || now_ms < g->swept;

    if (!g->swept || (due && all->sweeps)) {
        if (!g->swept || changes != g->swept_changes)
            take_late(all, g, sides, now_ms);
        g->swept = now_ms;
        g->swept_changes = changes;
        all->sweeps -= all->sweeps > 0;
    }
    if (changes != g->changes)
        take_minutes(all, g, sides, now - RECENT + 1, now);
    g->changes = changes;
}

struct slo_group *slo_group_find(const struct slo *s, struct labels l)
{
    uint32_t low = 0, high = s->n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = labels_compare(s->groups[middle]->labels, l);

        if (order == 0)
            return s->groups[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct slo_group *slo_group_make(struct slos *all, struct slo *s, struct labels l)
{
    struct slo_group *g = slo_group_find(s, l);
    uint32_t at = 0;

    if (g)
        return g;
    if (s->n >= s->def->max_groups) {
        s->refused++;
        return NULL;
    }
    if (s->n == s->room) {
        uint32_t room = s->room ? s->room * 2 : 4;
        struct slo_group **p = mem_resize(all->mem, s->groups, s->room * sizeof *p, room * sizeof *p);

        if (!p) {
            all->no_memory++;
            return NULL;
        }
        s->groups = p;
        s->room = room;
    }
    g = slo_group_new(s, all->mem, l);
    if (!g) {
        all->no_memory++;
        return NULL;
    }
    while (at < s->n && labels_compare(s->groups[at]->labels, l) < 0)
        at++;
    memmove(&s->groups[at + 1], &s->groups[at], (s->n - at) * sizeof(struct slo_group *));
    s->groups[at] = g;
    s->n++;
    return g;
}

void slos_take(struct slos *all, const struct facts *f, int64_t now_ms)
{
    int64_t now = minute_of(now_ms);

    all->sweeps = SWEEPS_LEAST + all->n_burns / SWEEP_STEPS;
    for (uint32_t i = 0; i < all->n; i++) {
        struct slo *s = all->list[i];
        uint32_t n = facts_groups(f, s->def->whole.at);

        s->refused = 0;
        if (!s->def->n_by)
            (void)slo_group_make(all, s,
                                 (struct labels){NULL, 0}); /* it is there, whether or not there is data */
        for (uint32_t k = 0; k < s->n; k++)
            slo_group_advance(s->groups[k], now);
        for (uint32_t k = 0; k < n; k++) {
            const struct fact_group *side = facts_group_at(f, s->def->whole.at, k);
            struct slo_group *g = side ? slo_group_make(all, s, fact_labels(side)) : NULL;

            if (!g)
                continue;
            slo_group_advance(g, now);
            take_group(all, g, f, side, now_ms);
        }
    }
}
