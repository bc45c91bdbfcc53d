/* From a double to its bucket and back, for the files of this room alone. Integer arithmetic on the bits of
 * the double: the same on every machine, exact for every double, and a few instructions.
 *
 * The index is found at scale 8 and shifted down: bucket i of scale s consists of the buckets 2i and 2i + 1
 * of scale s + 1, so index at s = floor(index at 8 / 2^(8 - s)) ("perfect subsetting", OpenTelemetry data
 * model). Within an octave a table of cells names the one boundary that the fraction can be above or below of
 * (Ertl's DynaHist uses the same idea). */
#ifndef SB_SKETCH_INDEX_H
#define SB_SKETCH_INDEX_H

#include <stdint.h>
#include <string.h>

#include "common/sketch/sketch.h"

enum {
    SKETCH_PARTS = 256,             /* buckets of an octave at scale 8 */
    SKETCH_CELL_SHIFT = 52 - 8 - 1, /* fraction to cell */
    SKETCH_EXP_MIN = -128, /* the smallest exponent of a value with a bucket; the zero bucket ends there */
    SKETCH_EXP_END = 1024, /* one past the largest */
};

extern const uint64_t sketch_frac[SKETCH_PARTS + 1]; /* gen_table.py */
extern const uint16_t sketch_cell[2 * SKETCH_PARTS];

#define SKETCH_FRAC_MASK ((UINT64_C(1) << 52) - 1)
#define SKETCH_SIGN_BIT  (UINT64_C(1) << 63)
#define SKETCH_ZERO_BITS ((uint64_t)(1023 + SKETCH_EXP_MIN) << 52) /* the bits of 2^-128 */
#define SKETCH_INF_BITS  (UINT64_C(0x7ff) << 52)

static inline uint64_t sketch_bits(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline double sketch_double(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline bool sketch_finite(double v)
{
    return (sketch_bits(v) & SKETCH_INF_BITS) != SKETCH_INF_BITS;
}

/* floor(i / 2^d). gcc and clang shift negative numbers arithmetically (C leaves it to the implementation). */
static inline int32_t sketch_shift(int32_t i, int d)
{
    return i >> d;
}

/* Index at scale 8 of the normal double with these bits, the sign bit 0. */
static inline int32_t sketch_finest(uint64_t bits)
{
    uint64_t frac = bits & SKETCH_FRAC_MASK;
    int32_t octave = (int32_t)(bits >> 52) - 1023;
    int32_t k = sketch_cell[frac >> SKETCH_CELL_SHIFT];

    return octave * SKETCH_PARTS + k - 1 + (frac >= sketch_frac[k]);
}

#endif
