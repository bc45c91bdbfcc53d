/* Admission: each batch counts once. Per agent the epochs of its spool, each with a
 * watermark and the digests of its last 256 batches (docs/protocol.md, section 4). Pure.
 *
 * A batch is judged, prepared (its state after the commit is made, to be journalled with
 * it), and then committed or aborted. Between preparing and that, no other batch of the
 * same agent may be prepared, and a verdict on one would not last: the caller sees to it,
 * so that each state holds all those before it and a failed commit needs no undoing. */
#ifndef SB_INGEST_ADMISSION_H
#define SB_INGEST_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/wire.h"

enum { ADMISSION_EPOCHS = 64, ADMISSION_DIGESTS = 256 };

struct admission;
struct admission_params {
    struct mem *mem;  /* budget; borrowed */
    uint64_t seed[2]; /* of the table of agents */
    /* an epoch may give way to a new one when its last batch is older: nothing of that age would be taken */
    struct span keep;
};
struct admission *admission_new(const struct admission_params *p); /* NULL without memory */
void admission_free(struct admission **a);
void admission_keep(struct admission *a, struct span keep); /* reload */

struct admission_facts {
    struct wire_str agent;
    uint64_t epoch, seq, low; /* checked by wire_batch_decode: low in [1, seq], epoch >= 1 */
    uint8_t digest[16];       /* of the frame */
    bool own;                 /* the connection is this agent's */
    bool relay;               /* the connection may speak for others */
    struct wall now;
};
struct admission_verdict {
    /* WIRE_OK: taken, or a duplicate. Else WIRE_EPOCH, WIRE_IDENTITY,
     * WIRE_SUPERSEDED, WIRE_CONFLICT, WIRE_QUOTA. */
    enum wire_reason reason;
    bool duplicate;
    uint64_t refused[WIRE_REFUSALS]; /* of the first time, for a duplicate whose digest is kept */
    uint64_t highest;                /* epoch accepted; 0: none */
};
void admission_judge(const struct admission *a, const struct admission_facts *f, struct admission_verdict *v);

/* What is to be journalled with a batch that was judged to be taken. */
struct admission_prepared {
    int64_t expired;     /* position of the digest that leaves the window; 0: none */
    uint64_t drop_epoch; /* an old epoch that gives way; 0: none */
};
/* Appends the state of (agent, epoch) after the batch to `state`. ERR_NOMEM: nothing has changed. */
int admission_prepare(struct admission *a, const struct admission_facts *f,
                      const uint64_t refused[WIRE_REFUSALS], struct buf *state,
                      struct admission_prepared *out);
void admission_commit(struct admission *a, const struct admission_facts *f, int64_t position);
void admission_abort(struct admission *a, const struct admission_facts *f);

/* From the journal at start: each watermark, then each digest in order of position. Total:
 * ERR_MALFORMED, ERR_VERSION, ERR_NOMEM; a digest of an unknown epoch is ERR_NOTFOUND. */
int admission_restore(struct admission *a, struct wire_str agent, uint64_t epoch, struct bytes state,
                      struct err *e);
int admission_restore_digest(struct admission *a, struct wire_str agent, uint64_t epoch, uint64_t seq,
                             const uint8_t digest[16], const uint64_t refused[WIRE_REFUSALS],
                             int64_t position);

/* After damage: a batch is known to have been taken, and counts as received now. Makes its epoch
 * when that is not known, complete up to seq (watermark_lift). ERR_MALFORMED, ERR_NOMEM. */
int admission_restore_taken(struct admission *a, struct wire_str agent, uint64_t epoch, uint64_t seq,
                            struct wall now);

/* Tells all that was committed, as the two above take it: of each epoch its watermark,
 * then its digests (8 bytes of each, then zeros) by rising position. Texts and bytes are
 * borrowed for the call. Ends with the first code that is not 0. ERR_NOMEM. */
struct admission_listener {
    int (*watermark)(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state);
    int (*digest)(void *arg, struct wire_str agent, uint64_t epoch, uint64_t seq, const uint8_t digest[16],
                  const uint64_t refused[WIRE_REFUSALS], int64_t position);
    void *arg;
};
int admission_tell(const struct admission *a, const struct admission_listener *to);

bool admission_knows(const struct admission *a, struct wire_str agent);
int admission_forget(struct admission *a, struct wire_str agent); /* ERR_NOTFOUND */
/* Forgets up to `most` agents whose last batch was taken longer ago than `keep`: nothing of that age would
 * be taken, so that nothing can count twice. fn is told each, the text borrowed for the call. How many. */
size_t admission_expire(struct admission *a, struct wall now, size_t most,
                        void (*fn)(void *arg, struct wire_str agent), void *arg);

struct admission_stats {
    uint64_t agents, epochs, holes;
    uint64_t missing;            /* seqs of the agents' highest epochs that may still come */
    uint64_t closed, lost, late; /* seqs, since the start: see struct watermark_change */
};
struct admission_stats admission_stats(const struct admission *a);

#endif
