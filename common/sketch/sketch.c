/* Recording and merging: see sketch.h.
 *
 * Why any order gives the same result. Let U be the set of indices ever counted, taken at the lowest scale s0
 * that any participant began with. The scale in force is always the highest s <= s0 at which U's extent fits
 * SKETCH_SLOTS for each sign, a function of U and s0 alone: a part of U fits wherever U fits, so no part is
 * ever coarser than the whole needs; the ends of an extent at a lower scale are the shifted ends, so the
 * sketch (whose first and last counts are not 0) still knows them exactly; and what fits at s fits at s - 1,
 * so searching downwards from the coarsest participant ends at that s. An empty sketch takes part with its
 * scale. Counts are sums of integers over buckets that nest.
 *
 * It always ends: from 2^-128 to 2^1024 there are 1152 octaves, which fit at scale 0. */
#include "common/sketch/sketch.h"

#include <assert.h>
#include <string.h>

#include "common/sketch/sketch_index.h"
#include "common/sketch/sketch_range.h"

_Static_assert(SKETCH_EXP_END - SKETCH_EXP_MIN <= SKETCH_SLOTS, "every double must fit at scale 0");

void sketch_init_scale(struct sketch *s, struct mem *mem, int scale)
{
    assert(scale >= SKETCH_SCALE_MIN && scale <= SKETCH_SCALE_MAX);
    *s = (struct sketch){.scale = scale, .mem = mem};
}

void sketch_init(struct sketch *s, struct mem *mem)
{
    sketch_init_scale(s, mem, SKETCH_SCALE);
}

void sketch_free(struct sketch *s)
{
    range_free(&s->pos, s->mem);
    range_free(&s->neg, s->mem);
    sketch_init(s, s->mem);
}

void sketch_clear(struct sketch *s)
{
    struct sketch_range pos = s->pos, neg = s->neg;

    sketch_init(s, s->mem);
    s->pos = (struct sketch_range){.counts = pos.counts, .room = pos.room};
    s->neg = (struct sketch_range){.counts = neg.counts, .room = neg.room};
}

static __attribute__((noinline)) void sum_overflowed(struct sketch *s)
{
    if (sketch_finite(s->sum))
        return; /* only the error term left the doubles, next to their end: this one addition goes
                   uncompensated */
    if (s->sum != s->sum)
        s->sum = sketch_double(SKETCH_INF_BITS);
    s->sum_low = 0;
}

/* Neumaier's sum in Knuth's form without a branch: the error of each addition is exact and gathers in
 * sum_low. A sum beyond the doubles is infinite and stays so; +Inf holds against -Inf, so that it is never
 * NaN and order does not matter. */
static inline void sum_add(struct sketch *s, double v)
{
    double t = s->sum + v;
    double back = t - s->sum;
    double low = s->sum_low + ((s->sum - (t - back)) + (v - back));

    s->sum = t;
    if (__builtin_expect(!sketch_finite(low), 0))
        sum_overflowed(s);
    else
        s->sum_low = low;
}

static inline void account(struct sketch *s, double v, uint64_t weight)
{
    if (!s->count) {
        s->min = v;
        s->max = v;
    } else if (v < s->min) {
        s->min = v;
    } else if (v > s->max) {
        s->max = v;
    }
    s->count += weight;
    sum_add(s, weight == 1 ? v : v * (double)weight);
}

static void lower(struct sketch *s, int d)
{
    range_downscale(&s->pos, d);
    range_downscale(&s->neg, d);
    s->scale -= d;
}

/* Makes index i (at the present scale) part of r, lowering the resolution if need be. Returns its slot, NULL
 * without memory. */
static __attribute__((noinline)) uint64_t *widen(struct sketch *s, struct sketch_range *r, int32_t i)
{
    struct extent x = extent_unite(range_extent(r, 0), (struct extent){i, i});
    int d = extent_excess(x, (struct extent){0, -1});

    if (!range_reserve(r, s->mem, extent_slots(x, d)))
        return NULL;
    if (d) {
        lower(s, d);
        i = sketch_shift(i, d);
    }
    range_cover(r, (struct extent){i, i});
    return r->counts + (i - r->offset);
}

static __attribute__((noinline)) int add_any(struct sketch *s, double v, uint64_t weight)
{
    uint64_t bits = sketch_bits(v) & ~SKETCH_SIGN_BIT;
    struct sketch_range *r = v < 0 ? &s->neg : &s->pos;
    uint64_t *slot;
    uint32_t k;
    int32_t i;

    if (bits >= SKETCH_INF_BITS)
        return ERR_RANGE;
    if (weight > UINT64_MAX - s->count)
        return ERR_LIMIT;
    if (!weight)
        return 0;
    if (bits <= SKETCH_ZERO_BITS) {
        s->zero_count += weight;
        account(s, v + 0.0, weight); /* -0 becomes 0: an extreme must not depend on which zero came first */
        return 0;
    }
    i = sketch_shift(sketch_finest(bits), SKETCH_SCALE_MAX - s->scale);
    k = (uint32_t)i - (uint32_t)r->offset;
    slot = k < r->n ? r->counts + k : widen(s, r, i);
    if (!slot)
        return ERR_NOMEM;
    *slot += weight;
    account(s, v, weight);
    return 0;
}

/* Almost every value is positive, within the extremes and
 * within the window: that road is short and calls nobody. */
int sketch_add(struct sketch *s, double v, uint64_t weight)
{
    uint64_t bits = sketch_bits(v);
    uint32_t k;

    if (bits - (SKETCH_ZERO_BITS + 1) >= SKETCH_INF_BITS - (SKETCH_ZERO_BITS + 1) ||
        weight - 1 >= UINT64_MAX - s->count)
        return add_any(s, v, weight);
    k = (uint32_t)sketch_shift(sketch_finest(bits), SKETCH_SCALE_MAX - s->scale) - (uint32_t)s->pos.offset;
    if (k >= s->pos.n || v < s->min || v > s->max)
        return add_any(s, v, weight);
    s->pos.counts[k] += weight;
    s->count += weight;
    sum_add(s, weight == 1 ? v : v * (double)weight);
    return 0;
}

int sketch_merge(struct sketch *to, const struct sketch *from)
{
    int scale = to->scale < from->scale ? to->scale : from->scale;
    struct extent pos, neg;
    int d;

    if (from->count > UINT64_MAX - to->count)
        return ERR_LIMIT;
    pos = extent_unite(range_extent(&to->pos, to->scale - scale),
                       range_extent(&from->pos, from->scale - scale));
    neg = extent_unite(range_extent(&to->neg, to->scale - scale),
                       range_extent(&from->neg, from->scale - scale));
    d = extent_excess(pos, neg);
    if (!range_reserve(&to->pos, to->mem, extent_slots(pos, d)) ||
        !range_reserve(&to->neg, to->mem, extent_slots(neg, d)))
        return ERR_NOMEM;
    scale -= d;
    lower(to, to->scale - scale);
    range_merge(&to->pos, &from->pos, from->scale - scale);
    range_merge(&to->neg, &from->neg, from->scale - scale);
    if (!from->count)
        return 0;
    if (!to->count || from->min < to->min)
        to->min = from->min;
    if (!to->count || from->max > to->max)
        to->max = from->max;
    to->zero_count += from->zero_count;
    to->count += from->count;
    /* low first: when to is from, sum_add changes both */
    to->sum_low += from->sum_low;
    sum_add(to, from->sum);
    return 0;
}

static void range_copy(struct sketch_range *to, const struct sketch_range *from)
{
    if (from->n)
        memcpy(to->counts, from->counts, from->n * sizeof *to->counts);
    to->offset = from->offset;
    to->n = from->n;
}

int sketch_copy(struct sketch *to, const struct sketch *from)
{
    struct sketch old = *to;

    if (to == from)
        return 0;
    if (!range_reserve(&old.pos, old.mem, from->pos.n))
        return ERR_NOMEM;
    to->pos = old.pos;
    if (!range_reserve(&to->neg, to->mem, from->neg.n))
        return ERR_NOMEM;
    old = *to;
    *to = *from;
    to->mem = old.mem;
    to->pos = old.pos;
    to->neg = old.neg;
    range_copy(&to->pos, &from->pos);
    range_copy(&to->neg, &from->neg);
    return 0;
}

void sketch_downscale(struct sketch *s, int scale)
{
    assert(scale >= SKETCH_SCALE_MIN);
    if (scale < s->scale)
        lower(s, s->scale - scale);
}

double sketch_sum(const struct sketch *s)
{
    return s->sum + s->sum_low;
}
