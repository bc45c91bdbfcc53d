/* The spool: batches from sealing until somebody acknowledged them, on disk before they are sent, with the
 * definitions they need and the counters that outlive a restart.
 *
 * At every moment, in values and in batches:
 *   produced = delivered + spooled + in memory + dropped by reason + refused by reason
 * (a refused value belongs to a delivered batch, so batches have no refused term). */
#ifndef SB_AGENT_SPOOL_H
#define SB_AGENT_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/ship/batch.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/wire/wire.h"

enum spool_drop {
    SPOOL_DROP_FULL,     /* over max_bytes: the oldest go first */
    SPOOL_DROP_MEMORY,   /* the disk takes nothing and memory is full, or there was no memory at all */
    SPOOL_DROP_DEAD,     /* an aggregator will never take it */
    SPOOL_DROP_LIMIT,    /* larger than the protocol allows */
    SPOOL_DROP_DAMAGED,  /* the file was damaged */
    SPOOL_DROP_OPERATOR, /* spool drop */
    SPOOL_DROP_SHUTDOWN, /* in memory only, when the agent stopped */
    SPOOL_DROPS
};
const char *spool_drop_name(enum spool_drop d);

enum { SPOOL_REFUSALS = WIRE_REFUSALS + 1 }; /* the last: reasons that this version does not know */

struct spool_count {
    uint64_t batches, values;
};

struct spool_totals {
    struct spool_count produced, delivered;
    struct spool_count spooled;   /* on disk */
    struct spool_count in_memory; /* sealed, not on disk */
    struct spool_count dropped[SPOOL_DROPS];
    uint64_t refused[SPOOL_REFUSALS]; /* values */
    uint64_t bytes;                   /* of frames and definitions kept, both places */
    uint64_t max_bytes;
    uint64_t epoch, next_seq, low;
    uint64_t newest_ms;                /* sealing of the newest batch written, wall */
    uint64_t in_order;                 /* 1: the file was closed with everything in it */
    uint64_t dead_letters, dead_bytes; /* kept in the file for inspection */
    uint64_t acked_epoch;              /* of the newest acknowledgement; 0: none yet */
    struct wall oldest;                /* sealing of the oldest batch kept; 0: none */
    bool disk;                         /* false: memory mode */
    uint64_t troubles;                 /* times that the disk refused */
    char trouble[256];                 /* the newest refusal; "" when there was none */
};

/* Whether the equation above holds. */
bool spool_balanced(const struct spool_totals *t);
void spool_metrics(const struct spool_totals *t, struct sink *s);

/* ---- the store: synchronous, for one thread; spool_store_io.c ---- */

struct spool_store;
struct spool_store_params {
    const char *path;  /* DIR/spool.db; "" for memory alone */
    const char *agent; /* batches of another agent id are set aside with the file */
    int64_t max_bytes, memory_bytes;
    struct wall now;
    struct span batch; /* about how often one is sealed; 0: not known */
};
/* A damaged file is moved to PATH.damaged-<n> and a new epoch begins; where the disk refuses, memory mode.
 * NULL: no memory. */
struct spool_store *spool_store_open(const struct spool_store_params *p);
/* An orderly end: what is in memory goes to the file, or is counted as dropped (shutdown). */
void spool_store_finish(struct spool_store *s);
void spool_store_close(struct spool_store **s); /* as it stands */
const struct spool_totals *spool_store_totals(struct spool_store *s);

/* Keeps a batch (copied): written and synced when this returns, or in memory, or dropped and counted. A batch
 * of another epoch than the store's is numbered anew: it was sealed before the loop learnt of the change. */
void spool_store_put(struct spool_store *s, const struct batch *b);
/* The oldest batch: 1, with the frame appended to `frame`; 0 when there is none. It stays, and is not dropped
 * for want of room, until acknowledged, dropped or asked for again. */
struct spool_item {
    uint64_t epoch, seq, values;
    struct wall sealed;
};
int spool_store_front(struct spool_store *s, struct spool_item *item, struct buf *frame);
/* The batch was acknowledged; false when it is not the one handed out by front. */
bool spool_store_ack(struct spool_store *s, uint64_t epoch, uint64_t seq,
                     const uint64_t refused[SPOOL_REFUSALS]);
/* With `death` (borrowed, may be NULL), a batch of the file is
 * kept as a dead letter: the newest ones, for inspection. */
struct spool_death {
    struct wall at;
    int status; /* the answer's; 0: none */
    const char *reason, *error;
};
bool spool_store_drop(struct spool_store *s, uint64_t epoch, uint64_t seq, enum spool_drop why,
                      const struct spool_death *death);
/* A line for each dead letter, the newest first, appended to out. 0 or an error. */
int spool_store_dead(struct spool_store *s, struct buf *out, struct err *e);
void spool_store_drop_all(struct spool_store *s, enum spool_drop why);
/* Counts what never became a batch. */
void spool_store_lost(struct spool_store *s, enum spool_drop why, uint64_t values);
/* The body of a definitions request for as many of the hashes
 * as fit; *found is how many are in it (0: none is known). */
int spool_store_defs(struct spool_store *s, const struct wire_hash *h, uint32_t n, struct buf *body,
                     uint32_t *found, struct err *e);
/* All batches move to a new epoch, seq from 1; those after it too. ERR_STATE when it
 * is the same, or earlier and something of the present one was acknowledged. */
int spool_store_renumber(struct spool_store *s, uint64_t epoch, struct err *e);
/* Checks the file and each frame in it. 0, or ERR_MALFORMED with what is wrong. */
int spool_store_verify(struct spool_store *s, uint64_t *checked, struct err *e);

/* ---- the same on a thread of its own, for the loop; spool_io.c ---- */

struct loop;
struct log;
struct spool;
struct spool_params {
    struct spool_store_params store;
    struct loop *loop;
    struct log *log;            /* may be NULL */
    void (*changed)(void *arg); /* on the loop: a batch has come, or a request has been carried out */
    void *arg;
};
struct spool *spool_new(const struct spool_params *p, struct err *e);
/* Waits until everything asked for is carried out, at most as long as the disk takes. */
void spool_free(struct spool **s);

/* The numbers for the next sealing; count: how many batches it gave. */
void spool_next(const struct spool *s, uint64_t *epoch, uint64_t *seq, uint64_t *low);
/* Takes a copy; counted as in memory until it is on disk. ERR_NOMEM: dropped and counted. */
int spool_put(struct spool *s, const struct batch *b, struct err *e);
void spool_lost(struct spool *s, enum spool_drop why, uint64_t values);

/* Each of these is carried out in order; done is called on the loop with what came of it. */
struct spool_answer {
    int code;               /* of the call: 1, 0 or negative */
    struct spool_item item; /* front */
    struct bytes bytes;     /* front: frame; defs: body; borrowed for the call */
    uint32_t found;         /* defs */
    uint64_t checked;       /* verify */
    struct err err;
};
typedef void (*spool_done)(void *arg, const struct spool_answer *a);
int spool_front(struct spool *s, spool_done done, void *arg);
int spool_ack(struct spool *s, uint64_t epoch, uint64_t seq, const uint64_t refused[SPOOL_REFUSALS]);
int spool_drop(struct spool *s, uint64_t epoch, uint64_t seq, enum spool_drop why,
               const struct spool_death *death);
int spool_dead(struct spool *s, spool_done done, void *arg); /* bytes: the list, as text */
int spool_defs(struct spool *s, const struct wire_hash *h, uint32_t n, spool_done done, void *arg);
int spool_renumber(struct spool *s, uint64_t epoch, spool_done done, void *arg);
int spool_verify(struct spool *s, spool_done done, void *arg);
int spool_drop_all(struct spool *s, enum spool_drop why, spool_done done, void *arg);

/* As of the last request carried out, with what waits for the thread counted as in memory. */
struct spool_totals spool_totals(const struct spool *s);
bool spool_idle(const struct spool *s); /* nothing waits for the thread */

#endif
