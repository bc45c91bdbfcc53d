/* The pieces that columns are made of: varints read fast, the grid of ticks. Inside common/wire/ only. */
#ifndef SB_WIRE_COLUMN_H
#define SB_WIRE_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/varint.h"
#include "common/wire/wire.h"

enum {
    JITTER_MAX = 60000,       /* ms */
    BLOCK_SPAN_MAX = 3600000, /* ms from the first tick to the last, without jitter */
    SKETCH_LEAST = 29,        /* bytes of an empty sketch with the shortest varints */
};

static inline uint64_t load_le64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* As varint_get, without a branch for each byte: a varint of up to eight bytes, with eight bytes to be read,
 * is cut out by its first clear high bit, and its groups of seven bits are pushed together pairwise. */
static inline bool varint_get_fast(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    uint64_t w, stop;

    if (end - *p < 8)
        return varint_get(p, end, v);
    w = load_le64(*p);
    stop = ~w & 0x8080808080808080ULL;
    if (!stop)
        return varint_get(p, end, v);
    *p += __builtin_ctzll(stop) / 8 + 1;
    w &= (stop ^ (stop - 1)) & 0x7f7f7f7f7f7f7f7fULL;
    w = (w & 0x007f007f007f007fULL) | (w & 0x7f007f007f007f00ULL) >> 1;
    w = (w & 0x00003fff00003fffULL) | (w & 0x3fff00003fff0000ULL) >> 2;
    *v = (w & 0x0fffffffULL) | (w & 0x0fffffff00000000ULL) >> 4;
    return true;
}

/* Wall time of tick i; false when it lies outside int64. */
static inline bool tick_time(int64_t t0, uint32_t dt, uint32_t i, int64_t jitter, int64_t *t)
{
    /* i × dt + jitter fits easily: both are below 2^63 / 4 by far */
    int64_t off = (int64_t)i * dt + jitter;

    return !__builtin_add_overflow(t0, off, t);
}

static inline bool bit_at(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

#endif
