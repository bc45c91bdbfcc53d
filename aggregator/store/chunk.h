/* Many steps of one group in one value: how the past is stored once it has settled.
 *
 * Column by column, doubles as their differences (exclusive or) cut into planes of bytes, all of it one zstd
 * frame with a checksum: docs/history.md has the format. Pure. */
#ifndef SB_STORE_CHUNK_H
#define SB_STORE_CHUNK_H

#include "aggregator/alert/facts.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/wire.h"

enum { CHUNK_STEPS = 360 }; /* of a tier in one chunk: an hour, six hours, fifteen days, 360 days */

struct chunk_step {
    int64_t at; /* start ÷ length of the tier */
    struct fact_bucket b;
    struct sketch *sketch; /* owned; b.sketch is NULL here */
};
struct chunk { /* sorted, each step once */
    enum fact_kind kind;
    struct chunk_step *v; /* owned */
    uint32_t n, room;
    struct mem *mem;
};

int64_t tier_length(enum fact_tier t);                /* ms */
int64_t chunk_start(enum fact_tier t, int64_t start); /* of the chunk that holds a time, ms */
void chunk_init(struct chunk *c, enum fact_kind kind, struct mem *mem);
void chunk_free(struct chunk *c);
/* The step, made if need be; NULL without memory. */
struct chunk_step *chunk_at(struct chunk *c, int64_t at);
/* A gain of that very step, or (finer) a whole step of a finer tier. ERR_NOMEM: spoilt. */
int chunk_add(struct chunk *c, int64_t at, const struct fact_bucket *gain, bool finer);
/* Appends the stored form. ERR_NOMEM. */
int chunk_encode(const struct chunk *c, struct wire_codec *codec, struct buf *scratch, struct buf *out,
                 struct err *e);
/* Total. What it holds is added to c, which is empty and of any kind before. ERR_MALFORMED, ERR_NOMEM. */
int chunk_decode(struct chunk *c, struct bytes in, struct wire_codec *codec, struct buf *scratch,
                 struct err *e);

#endif
