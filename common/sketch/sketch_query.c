/* Reading a sketch: quantiles, counts up to a bound, indices and bounds. See sketch.h.
 *
 * A bound that is not a power of two is irrational. It is given as the largest double below, with which the
 * rule bound(i) < v <= bound(i + 1) of bucket i is exactly true for every double v. */
#include "common/sketch/sketch.h"

#include <assert.h>
#include <float.h>
#include <math.h>

#include "common/sketch/sketch_index.h"
#include "common/sketch/sketch_range.h"

int32_t sketch_index(double v, int scale)
{
    assert(scale >= SKETCH_SCALE_MIN && scale <= SKETCH_SCALE_MAX);
    return sketch_shift(sketch_finest(sketch_bits(v) & ~SKETCH_SIGN_BIT), SKETCH_SCALE_MAX - scale);
}

double sketch_bound(int32_t index, int scale)
{
    int64_t finest, octave;
    uint64_t part;

    assert(scale >= SKETCH_SCALE_MIN && scale <= SKETCH_SCALE_MAX);
    finest = (int64_t)index * (INT64_C(1) << (SKETCH_SCALE_MAX - scale));
    part = (uint64_t)finest & (SKETCH_PARTS - 1);
    octave = (finest - (int64_t)part) / SKETCH_PARTS;
    if (octave >= SKETCH_EXP_END)
        return DBL_MAX;
    if (octave < DBL_MIN_EXP - 1)
        return 0;
    return sketch_double(((uint64_t)(octave + 1023) << 52) + (part ? sketch_frac[part] - 1 : 0));
}

/* A place in the order of the values: slots of neg from the
 * last to the first, the zero bucket, slots of pos. */
struct walk {
    const struct sketch *s;
    uint32_t at;
    uint64_t before; /* values in the places before `at` */
};

static uint64_t count_at(const struct walk *w)
{
    const struct sketch *s = w->s;

    if (w->at < s->neg.n)
        return s->neg.counts[s->neg.n - 1 - w->at];
    if (w->at == s->neg.n)
        return s->zero_count;
    return s->pos.counts[w->at - s->neg.n - 1];
}

enum { STRIDE = 16 };

/* The counts of the next STRIDE slots of pos when the walk
 * stands at a multiple of STRIDE there, else UINT64_MAX. */
static uint64_t count_stride(const struct walk *w)
{
    const struct sketch *s = w->s;
    uint32_t k = w->at - s->neg.n - 1;
    uint64_t a = 0, b = 0;

    if (w->at <= s->neg.n || k % STRIDE || s->pos.n - k < STRIDE)
        return UINT64_MAX;
    for (uint32_t j = k; j < k + STRIDE; j += 2) {
        a += s->pos.counts[j];
        b += s->pos.counts[j + 1];
    }
    return a + b;
}

/* Goes on to the place that holds the value of this rank, 1 … count; ranks must not fall. */
static void walk_to(struct walk *w, uint64_t rank)
{
    for (;;) {
        uint64_t need = rank - w->before, c = count_stride(w);
        uint32_t step = STRIDE;

        if (c >= need) {
            c = count_at(w);
            step = 1;
        }
        if (c >= need)
            return;
        w->before += c;
        w->at += step;
    }
}

/* 2L / (1 + L/U), the point whose relative distance to both ends is the same; multiplied in an order that
 * cannot overflow. */
static double middle(int32_t index, int scale)
{
    double low = sketch_bound(index, scale), high = sketch_bound(index + 1, scale);

    return low * (2 / (1 + low / high));
}

static double estimate(const struct walk *w)
{
    const struct sketch *s = w->s;
    double v = 0;

    if (w->at < s->neg.n)
        v = -middle(s->neg.offset + (int32_t)(s->neg.n - 1 - w->at), s->scale);
    else if (w->at > s->neg.n)
        v = middle(s->pos.offset + (int32_t)(w->at - s->neg.n - 1), s->scale);
    return v < s->min ? s->min : v > s->max ? s->max : v;
}

/* max(1, ceil(q × count)), the product rounded to a double as everybody else's is, at most count. */
static uint64_t rank_of(double q, uint64_t count)
{
    double x = q * (double)count;
    uint64_t rank;

    if (x >= (double)count)
        return count;
    rank = (uint64_t)x; /* fits: x < 2^64, since count as a double is at most 2^64 */
    if ((double)rank < x)
        rank++;
    return rank < 1 ? 1 : rank > count ? count : rank;
}

void sketch_quantiles(const struct sketch *s, const double *q, double *out, size_t n)
{
    struct walk w = {.s = s};
    double last = 0;

    for (size_t i = 0; i < n; i++) {
        if (!s->count || isnan(q[i])) {
            out[i] = (double)NAN;
        } else if (q[i] <= 0) {
            out[i] = s->min;
        } else if (q[i] >= 1) {
            out[i] = s->max;
        } else {
            if (q[i] < last)
                w = (struct walk){.s = s};
            last = q[i];
            walk_to(&w, rank_of(q[i], s->count));
            out[i] = estimate(&w);
        }
    }
}

double sketch_quantile(const struct sketch *s, double q)
{
    double v;

    sketch_quantiles(s, &q, &v, 1);
    return v;
}

/* Values in the slots first … last of r, in indices. */
static uint64_t count_between(const struct sketch_range *r, int64_t first, int64_t last)
{
    uint64_t sum = 0;

    first = first <= r->offset ? 0 : first - r->offset;
    last = last - r->offset < r->n ? last - r->offset : (int64_t)r->n - 1;
    for (int64_t k = first; k <= last; k++)
        sum += r->counts[k];
    return sum;
}

uint64_t sketch_count_le(const struct sketch *s, double le)
{
    uint64_t bits = sketch_bits(le) & ~SKETCH_SIGN_BIT;
    uint64_t neg = count_between(&s->neg, INT32_MIN, INT32_MAX);
    int32_t i;

    if (isnan(le))
        return 0;
    if (bits == SKETCH_INF_BITS)
        return le > 0 ? s->count : 0;
    if (bits <= SKETCH_ZERO_BITS)
        return le < 0 ? neg : neg + s->zero_count;
    i = sketch_index(le, s->scale);
    if (le < 0) /* -L <= le: |le| is in (L, U], so its own bucket reaches above le */
        return count_between(&s->neg, (int64_t)i + 1, INT32_MAX);
    return neg + s->zero_count +
           count_between(&s->pos, INT32_MIN, sketch_bound(i + 1, s->scale) <= le ? i : i - 1);
}
