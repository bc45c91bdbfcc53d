/* Whole numbers as bytes: LEB128 (the least significant seven bits first, the high bit: more follows), and zigzag, which
 * gives small numbers of either sign few bytes. The one form of all that we store and of the wire; what is read by the
 * million has faster ways of its own (common/wire/column.h, common/sketch/). */
#ifndef SB_BASE_VARINT_H
#define SB_BASE_VARINT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

enum { VARINT_MAX = 10 }; /* bytes of a varint of 64 bits */

static inline uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (0 - ((uint64_t)v >> 63));
}

static inline int64_t unzigzag(uint64_t u)
{
    return (int64_t)((u >> 1) ^ (0 - (u & 1)));
}

/* One varint; false when the bytes end, or it has more than ten bytes or 64 bits. */
static inline bool varint_get(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    uint64_t u = 0;

    for (unsigned i = 0; i < VARINT_MAX && *p < end; i++) {
        uint8_t c = *(*p)++;

        if (i == VARINT_MAX - 1 && c > 1)
            return false;
        u |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c < 0x80) {
            *v = u;
            return true;
        }
    }
    return false;
}

/* Writes the shortest form to p, which has room for VARINT_MAX bytes; returns the end. */
static inline uint8_t *varint_put(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

/* Off the front of b. */
static inline bool bytes_varint(struct bytes *b, uint64_t *v)
{
    const uint8_t *p = b->p, *end = b->n ? b->p + b->n : b->p;
    bool good = varint_get(&p, end, v);

    b->p = p;
    b->n = b->n ? (size_t)(end - p) : 0;
    return good;
}

static inline void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];

    buf_put(b, bytes, (size_t)(varint_put(bytes, v) - bytes));
}

#endif
