/* The journal: accepted batches, watermarks and definitions in journal.db, with a thread of its own, the only
 * one that touches the file. Requests that wait together are committed together; each is answered on the loop
 * of the one who asked, after the commit or its failure, in the order of positions. */
#ifndef SB_STORE_JOURNAL_H
#define SB_STORE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"
#include "common/wire/wire.h"

struct journal;

struct journal_params {
    const char *path;         /* state_dir/journal.db */
    struct loop *loop;        /* where answers arrive; borrowed */
    struct log *log;          /* borrowed */
    uint64_t max_queue_bytes; /* of frames waiting for a commit; beyond: ERR_AGAIN at once (503) */
    /* On the loop: the file was found damaged while running, and all that is handed
     * in fails until journal_fill was done. What is not in the history yet is to be
     * brought there first. NULL: the new file begins with what can be salvaged. */
    void (*damaged)(void *arg);
    void *arg;
};
struct journal *journal_open(const struct journal_params *p, struct err *e);
/* Commits what waits, ends the thread; the callbacks of what was waiting are called before it returns. */
void journal_close(struct journal **j);

/* One accepted batch with all that must become durable together. */
struct journal_batch {
    struct wire_str agent, tenant;
    uint64_t epoch, seq;
    struct wall received;
    uint8_t digest[16]; /* of the frame */
    uint64_t refused[WIRE_REFUSALS];
    int64_t expired;     /* position of the digest that leaves the window of this epoch; 0: none */
    uint64_t drop_epoch; /* of this agent: its watermark and digests go; 0: none */
    /* definitions that the agent holds from now on, though another brought them */
    const struct wire_hash *holds;
    uint32_t n_holds;
    struct bytes verdict;   /* how values were judged (series.h): a replay needs no judging */
    struct bytes watermark; /* state of (agent, epoch) after this batch (admission.h) */
    struct bytes frame;     /* the zstd frame as it came, to the byte */
};
/* done(arg, position, 0): committed at position > 0; or done(arg, 0, code): nothing of it is stored. Contents
 * are copied. ERR_AGAIN: the queue is full, done will not be called. */
int journal_append(struct journal *j, const struct journal_batch *b,
                   void (*done)(void *arg, int64_t position, int code), void *arg);
/* Definitions become durable; those there already count as done. */
int journal_define(struct journal *j, struct wire_str agent, const struct wire_entry *entries, uint32_t n,
                   void (*done)(void *arg, int code), void *arg);
/* A definition that an agent no longer holds. */
struct journal_drop {
    struct wire_hash hash;
    struct wire_str agent;
};
/* Forgets the holds in drops[n], and each of their definitions that nobody holds
 * any more. The caller knows that no batch in the journal needs them, and has
 * forgotten them just now: what is defined from now on is stored behind this. */
int journal_drop_holds(struct journal *j, const struct journal_drop *drops, size_t n,
                       void (*done)(void *arg, int code), void *arg);
/* Forgets, from the oldest on, batches at or below position that were received before `before`, or after
 * `now` (by a clock that has gone back since: they would stay for as long), some hundreds at a time so
 * that no batch waits long. left: no batch
 * below this position stays, whatever was stored meanwhile. */
int journal_prune(struct journal *j, int64_t position, struct wall before, struct wall now,
                  void (*done)(void *arg, int64_t left, int code), void *arg);
/* Watermarks and digests of an agent go; its batches and definitions stay until they are pruned, because
 * roll-ups may have to be made from them again. */
int journal_forget_agent(struct journal *j, struct wire_str agent, void (*done)(void *arg, int code),
                         void *arg);

/* All that memory knows, for a new file in the place of a damaged one: see `damaged`.
 * Contents are copied. ERR_NOMEM: it is spoilt, and only to be freed. */
struct journal_state;
struct journal_digest;
struct journal_state *journal_state_new(void);
void journal_state_free(struct journal_state **st);
int journal_state_watermark(struct journal_state *st, struct wire_str agent, uint64_t epoch,
                            struct bytes state);
int journal_state_digest(struct journal_state *st, const struct journal_digest *d);
int journal_state_definition(struct journal_state *st, const struct wire_entry *entry);
int journal_state_hold(struct journal_state *st, const struct wire_hash *hash, struct wire_str agent);
/* Takes st. Only after `damaged`, once at a time, and again when done brought a code. Positions
 * from now on are above `position`. What is handed in behind it is stored in the new file. */
int journal_fill(struct journal *j, struct journal_state *st, int64_t position,
                 void (*done)(void *arg, int code), void *arg);

/* At start only, blocking the caller. */
bool journal_was_damaged(const struct journal *j); /* what it holds is what could be read */
int journal_write(struct journal *j, const struct journal_state *st, int64_t position, struct err *e);
struct journal_entry {
    int64_t position;
    struct journal_batch batch; /* borrowed for the call; watermark is empty */
};
int journal_load_definitions(struct journal *j,
                             int (*fn)(void *arg, struct wire_hash h, struct bytes value,
                                       struct wire_str agent),
                             void *arg, struct err *e);
int journal_load_watermarks(struct journal *j,
                            int (*fn)(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state),
                            void *arg, struct err *e);
/* Digests inside the windows, in order of position. */
struct journal_digest {
    int64_t position;
    struct wire_str agent;
    uint64_t epoch, seq;
    uint8_t digest[16];
    uint64_t refused[WIRE_REFUSALS];
};
int journal_load_digests(struct journal *j, int (*fn)(void *arg, const struct journal_digest *d), void *arg,
                         struct err *e);
/* Positions from now on are above this one. 1: they were not, so that this journal is newer than the history
 * beside it, or was put back from an older time; 0; or a code. */
int journal_raise(struct journal *j, int64_t position, struct err *e);
/* Sets a damaged file aside and begins a new one with what can be read from
 * it (journal_salvage_io.c); all that was loaded is to be forgotten. */
int journal_renew(struct journal *j, struct err *e);
/* Entries with a position above `after`, and those received since `since`, in order of position. */
int journal_replay(struct journal *j, int64_t after, struct wall since,
                   int (*fn)(void *arg, const struct journal_entry *entry), void *arg, struct err *e);

void journal_metrics(const struct journal *j, struct sink *out); /* from the owner's thread */

/* verify-store: checks journal.db in state_dir, which no program may have open:
 * SQLite's integrity check, that each batch can be read, and that its definitions are
 * there. What is wrong is written to report, a line each; ERR_MALFORMED then. */
int store_verify(const char *path, struct buf *report, struct err *e);

#endif
