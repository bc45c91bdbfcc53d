/* The percentile sketch: OpenTelemetry's base-2 exponential histogram with a fixed zero threshold of 2^-128.
 *
 * At scale s bucket i holds (b^i, b^(i+1)], b = 2^(2^-s); Prometheus' native index is i + 1. Recorded at
 * scale 6 (worst relative error of a quantile (b-1)/(b+1) = 0.54 %), dense counts grown on demand to at most
 * 2048 slots a sign, beyond which the resolution halves. Merging is addition of integers: any order and any
 * tree gives the same scale, slots and counts. All index arithmetic is on integers; no log(), no libm.
 * docs/protocol.md has the format of the bytes. */
#ifndef SB_SKETCH_SKETCH_H
#define SB_SKETCH_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/mem.h"

enum {
    SKETCH_SCALE = 6, /* at which values are recorded */
    SKETCH_SCALE_TIMER =
        3, /* for seconds: 256 octaves fit, so it is never scaled down and no count below a bound falls */
    SKETCH_SCALE_MIN = -4,
    SKETCH_SCALE_MAX = 8,
    SKETCH_SLOTS = 2048, /* most slots of one range */
};

/* One sign's buckets: counts[k] belongs to index offset + k.
 * Between calls first and last count are not 0, or n is 0. */
struct sketch_range {
    uint64_t *counts; /* owned; room entries */
    int32_t offset;
    uint32_t n;
    uint32_t room;
};

struct sketch {
    int32_t scale;
    uint64_t count;       /* zero_count + all slots, always */
    uint64_t zero_count;  /* |v| <= 2^-128 */
    double sum, min, max; /* 0 while count is 0; min and max are true extremes, signed */
    double sum_low;       /* compensation of sum (Neumaier) */
    struct sketch_range pos, neg;
    struct mem *mem;
};

/* An empty sketch at SKETCH_SCALE that allocates from mem (may be NULL). */
void sketch_init(struct sketch *s, struct mem *mem);
/* An empty sketch at another scale (SKETCH_SCALE_MIN … MAX). */
void sketch_init_scale(struct sketch *s, struct mem *mem, int scale);
void sketch_free(struct sketch *s);
/* Empties it and returns to SKETCH_SCALE, keeping the memory. */
void sketch_clear(struct sketch *s);

/* Records a finite v, weight times (weight >= 1). ERR_RANGE for NaN and infinities (nothing recorded: count
 * them yourself), ERR_NOMEM, and ERR_LIMIT when count would overflow (nothing recorded). sum grows by v ×
 * weight; -0 is taken as 0. */
int sketch_add(struct sketch *s, double v, uint64_t weight);

/* Adds from into to; from is unchanged (unless it is to). The smaller scale holds, also that of an empty one.
 * 0 or ERR_NOMEM (to unchanged). ERR_LIMIT when count would overflow (to unchanged). */
int sketch_merge(struct sketch *to, const struct sketch *from);
/* to becomes a copy of from (keeps to->mem). 0 or ERR_NOMEM (to unchanged). */
int sketch_copy(struct sketch *to, const struct sketch *from);
/* Lowers the resolution to `scale` >= SKETCH_SCALE_MIN (no effect when it is that coarse already). */
void sketch_downscale(struct sketch *s, int scale);

/* The sum with its compensation. Never NaN: beyond the doubles it is an infinity and stays so, +Inf holding
 * against -Inf. */
double sketch_sum(const struct sketch *s);

/* Quantile q in [0, 1] by rank max(1, ceil(q × count)), the product a double; NaN when empty or q is NaN. q =
 * 0 is min, 1 is max. Estimate within a bucket (L, U] is 2L / (1 + L/U), clamped to min … max. */
double sketch_quantile(const struct sketch *s, double q);
/* The same for n quantiles; in one walk when q[] is ascending. */
void sketch_quantiles(const struct sketch *s, const double *q, double *out, size_t n);

/* Number of values in buckets whose upper bound is <= le (the zero bucket's is 0, for le >= 0; a negative
 * bucket of |v| in (L, U] has the upper bound -L). le may be +Inf. */
uint64_t sketch_count_le(const struct sketch *s, double le);

/* Index of a normal |v| > 2^-128 at a scale; exact for every double. */
int32_t sketch_index(double v, int scale);
/* The bound b^index at a scale, the lower one of bucket index: exact for powers of two, else the largest
 * double below, so that a double v is in bucket i if and only if bound(i) < v <= bound(i + 1). 2^1024 is
 * returned as DBL_MAX, below 2^-1022 is 0. */
double sketch_bound(int32_t index, int scale);

/* Appends the binary form. 0, or ERR_NOMEM when buf is full. */
int sketch_encode(const struct sketch *s, struct buf *out);
/* Reads one sketch from the first bytes of p[n]; *used is how many it took. s must
 * be initialised; it is overwritten. Checks everything that docs/protocol.md says;
 * s is empty after an error. ERR_MALFORMED, ERR_NOMEM. */
int sketch_decode(struct sketch *s, const uint8_t *p, size_t n, size_t *used, struct err *e);
/* The same checks without building anything. */
int sketch_check(const uint8_t *p, size_t n, size_t *used, struct err *e);

#endif
