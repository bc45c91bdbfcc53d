/* The dense counts of one sign: windows that grow, move and halve. For the files of this room alone. */
#ifndef SB_SKETCH_RANGE_H
#define SB_SKETCH_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/sketch/sketch.h"

/* Indices lo … hi, none when hi < lo. */
struct extent {
    int32_t lo, hi;
};

/* What r covers, at a scale d lower than its own. */
struct extent range_extent(const struct sketch_range *r, int d);
struct extent extent_unite(struct extent a, struct extent b);
/* How many slots x takes at a scale d lower. */
uint32_t extent_slots(struct extent x, int d);
/* By how much the scale must fall for both to take at most SKETCH_SLOTS slots. */
int extent_excess(struct extent a, struct extent b);

/* Room for n <= SKETCH_SLOTS slots; content unchanged. False when the budget has none. */
bool range_reserve(struct sketch_range *r, struct mem *mem, uint32_t n);
/* Widens the window to include x, new slots 0. The room must have been reserved. */
void range_cover(struct sketch_range *r, struct extent x);
/* Re-buckets to a scale d lower, in place. */
void range_downscale(struct sketch_range *r, int d);
/* to += from, which is at a scale d higher. The room must
 * have been reserved. to may be from (then d is 0). */
void range_merge(struct sketch_range *to, const struct sketch_range *from, int d);
void range_free(struct sketch_range *r, struct mem *mem);

#endif
