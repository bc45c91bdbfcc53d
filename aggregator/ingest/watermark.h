/* Which batches of one epoch of one agent were taken: the highest seq, and below
 * it the missing ones as ranges. A missing seq below `floor` (the highest `low`
 * that came) is closed: its spool has none such any more. Pure. */
#ifndef SB_INGEST_WATERMARK_H
#define SB_INGEST_WATERMARK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/mem.h"

enum { WATERMARK_HOLES = 1024 };

struct hole {
    uint64_t from, to; /* both missing */
};

/* Holes rise, do not touch each other, and lie in [1, top - 1]. top 0: nothing was taken yet. */
struct watermark {
    uint64_t top, floor;
    int64_t received;   /* wall ms of the latest batch taken */
    struct hole *holes; /* owned */
    uint32_t n, room;
    struct mem *mem;
};

/* What one mark did, in seqs. */
struct watermark_change {
    uint64_t closed; /* holes that `low` closed */
    uint64_t lost;   /* open ones given up because there were too many holes */
    uint64_t late;   /* 1 when the batch filled a hole */
};

void watermark_init(struct watermark *w, struct mem *mem);
void watermark_free(struct watermark *w);
bool watermark_has(const struct watermark *w, uint64_t seq);    /* taken, or given up */
bool watermark_closed(const struct watermark *w, uint64_t seq); /* missing, and nothing such will come */
uint64_t watermark_open(const struct watermark *w);             /* how many seqs are missing and not closed */
/* Room for one more hole, so that the next watermark_mark cannot fail. ERR_NOMEM. */
int watermark_reserve(struct watermark *w);
/* Takes seq (not taken yet; low in [1, seq]), then closes,
 * then gives up the oldest holes beyond WATERMARK_HOLES. */
void watermark_mark(struct watermark *w, uint64_t seq, uint64_t low, int64_t received,
                    struct watermark_change *c);
/* seq >= 1 is known to have been taken, though the state does not say so. What lies between the highest known
 * and it counts as taken too: better a batch given up than one counted twice. After watermark_reserve. */
void watermark_lift(struct watermark *w, uint64_t seq, int64_t received);
/* to becomes a copy, with room for one more hole. ERR_NOMEM: to is unchanged. */
int watermark_copy(struct watermark *to, const struct watermark *from);

void watermark_encode(const struct watermark *w, struct buf *out);
/* w is initialised and empty; total: ERR_MALFORMED, ERR_VERSION, ERR_NOMEM leave it empty. */
int watermark_decode(struct watermark *w, struct bytes b, struct err *e);

#endif
