/* Reading facts: windows as sums of steps (facts.h). A window reads the whole steps of the next coarser tier
 * where it has them, and its ends as its own steps. */
#include "aggregator/alert/facts_private.h"

#include <math.h>

uint32_t facts_groups(const struct facts *f, uint32_t selection)
{
    return selection < f->n ? f->lists[selection]->n : 0;
}

const struct fact_group *facts_group_at(const struct facts *f, uint32_t selection, uint32_t i)
{
    return i < facts_groups(f, selection) ? f->lists[selection]->v[i] : NULL;
}

const struct fact_group *facts_group_find(const struct facts *f, uint32_t selection, struct labels l)
{
    const struct buf *key = selection < f->n ? fact_key(f, l) : NULL;

    return key ? map_get(&f->lists[selection]->by_key, key->data, key->len) : NULL;
}

struct labels fact_labels(const struct fact_group *g)
{
    return g->labels;
}

enum fact_kind fact_group_kind(const struct fact_group *g)
{
    return g->kind;
}

uint64_t fact_changes(const struct fact_group *g)
{
    return g->changes;
}

int64_t fact_newest(const struct fact_group *g)
{
    return g->newest;
}

/* The tier whose steps a window consists of. */
static enum fact_tier tier_of(const struct fact_group *g, int64_t from, int64_t to)
{
    const struct selection *s = g->list->selection;
    int64_t now = g->facts->now;
    enum fact_tier t = TIER_HOUR;

    if (to <= from || to - from <= STEPS_KEPT_MS)
        t = TIER_STEP;
    else if (to - from <= MINUTES_KEPT_MS)
        t = TIER_MINUTE;
    while (t > TIER_STEP && !fact_tier_reach(s, g->kind, t))
        t--;
    while (now && t < TIER_HOUR && fact_tier_reach(s, g->kind, t + 1) > fact_tier_reach(s, g->kind, t) &&
           from < now - fact_tier_reach(s, g->kind, t) - fact_tier_length(t))
        t++;
    return t;
}

int64_t fact_step_length(const struct fact_group *g, int64_t from, int64_t to)
{
    return fact_tier_length(tier_of(g, from, to));
}

struct reading {
    const struct fact_group *g;
    struct fact_bucket *out;
    struct sketch *sketch; /* NULL: not wanted */
    uint32_t held;
};

static int read_sketches(const struct reading *r, enum fact_tier t, int64_t from, int64_t to)
{
    const struct ring *ring = &r->g->rings[t];
    struct fact_bucket b;
    uint32_t slot;

    from = from < ring->first ? ring->first : from;
    to = to > ring->first + ring->n ? ring->first + ring->n : to;
    for (; from < to; from++) {
        int rc;

        if (!ring_read(ring, FACT_SKETCH, fact_tier_length(t), from, &b, &slot) || !b.n)
            continue;
        rc = fact_blob_read(r->g->facts, *ring_blob(ring, slot));
        rc = rc ? rc : sketch_merge(r->sketch, &r->g->facts->scratch->other);
        if (rc)
            return rc;
    }
    return 0;
}

/* Steps [from, to) of a tier. */
static int read_part(struct reading *r, enum fact_tier t, int64_t from, int64_t to, bool by_held)
{
    const struct ring *ring = &r->g->rings[t];

    if (from >= to || !ring->n)
        return 0;
    ring_sum(ring, r->g->kind, fact_tier_length(t), from, to, by_held, r->out, &r->held);
    return r->sketch ? read_sketches(r, t, from, to) : 0;
}

static int read_window(struct reading *r, enum fact_tier t, int64_t from, int64_t to)
{
    int64_t many = fact_tier_length(t + 1) / fact_tier_length(t);
    int64_t a = floor_div(from + many - 1, many), b = floor_div(to, many);
    int rc;

    if (a >= b || !fact_tier_reach(r->g->list->selection, r->g->kind, t + 1))
        return read_part(r, t, from, to, false);
    rc = read_part(r, t, from, a * many, false);
    rc = rc ? rc : read_part(r, t + 1, a, b, true);
    return rc ? rc : read_part(r, t, b * many, to, false);
}

/* Where such a window is kept; NULL without memory, which nobody needs to hear of. */
static struct memo *memo_of(const struct fact_group *g, int64_t from, int64_t to)
{
    struct fact_group *own = g->list->v[g->at];

    if (!own->memo)
        own->memo = mem_array(own->facts->mem, MEMO_WINDOWS, sizeof *own->memo);
    return own->memo ? &own->memo[(to - from) / 3 % MEMO_WINDOWS] : NULL;
}

static int read_whole(struct reading *r, enum fact_tier t, int64_t from, int64_t to)
{
    const struct fact_group *g = r->g;
    int64_t length = fact_tier_length(t);
    struct fact_bucket *out = r->out;
    int rc;

    *out = (struct fact_bucket){.min = (double)INFINITY, .max = -(double)INFINITY};
    rc = g->kind == FACT_UNKNOWN ? 0 : read_window(r, t, from, to);
    if (!out->n || g->kind == FACT_COUNTER)
        out->min = out->max = 0;
    if (out->n && g->newest > from * length && g->newest <= to * length)
        out->last_t = g->newest; /* hours and days know it less precisely */
    return rc;
}

int facts_window(const struct fact_group *g, int64_t from, int64_t to, struct fact_bucket *out,
                 struct sketch *sketch, struct fact_cover *cover)
{
    enum fact_tier t = tier_of(g, from, to);
    int64_t length = fact_tier_length(t), a = floor_div(from, length), b = floor_div(to, length);
    struct reading r = {g, out, g->kind == FACT_SKETCH ? sketch : NULL, 0};
    struct memo *m = r.sketch || b <= a ? NULL : memo_of(g, a, b);
    int rc = 0;

    if (b < a)
        b = a;
    if (m && m->changes == g->changes && m->tier == t && m->from == a && m->to == b && g->changes) {
        *out = m->b;
        r.held = m->held;
    } else {
        rc = read_whole(&r, t, a, b);
        if (m && !rc)
            *m = (struct memo){g->changes, t, a, b, r.held, *out};
    }
    out->sketch = r.sketch;
    if (cover)
        *cover = (struct fact_cover){r.held, b - a > UINT32_MAX ? UINT32_MAX : (uint32_t)(b - a)};
    return rc;
}

int facts_each(const struct fact_group *g, int64_t from, int64_t to,
               int (*fn)(void *arg, int64_t start, int64_t length, const struct fact_bucket *b), void *arg)
{
    enum fact_tier t = tier_of(g, from, to);
    const struct ring *ring = &g->rings[t];
    int64_t length = fact_tier_length(t), a = floor_div(from, length), b = floor_div(to, length);

    a = a < ring->first ? ring->first : a;
    b = b > ring->first + ring->n ? ring->first + ring->n : b;
    for (; ring->n && a < b; a++) {
        struct fact_bucket bucket;
        uint32_t slot;
        int rc;

        if (!ring_read(ring, g->kind, length, a, &bucket, &slot))
            continue;
        if (g->kind == FACT_SKETCH && bucket.n) {
            rc = fact_blob_read(g->facts, *ring_blob(ring, slot));
            if (rc)
                return rc;
            bucket.sketch = &g->facts->scratch->other;
        }
        rc = fn(arg, a * length, length, &bucket);
        if (rc)
            return rc;
    }
    return 0;
}
