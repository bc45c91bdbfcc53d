/* The journal: accepted batches, watermarks and definitions in journal.db, with a thread of its own, the only one that
 * touches the file. Requests that wait together are committed together; each is answered on the loop of the one who asked,
 * after the commit or its failure, in the order of positions. */
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
};
struct journal *journal_open(const struct journal_params *p, struct err *e);
/* Commits what waits, ends the thread; the callbacks of what was waiting are called before it returns. */
void journal_close(struct journal **j);

/* One accepted batch with all that must become durable together. */
struct journal_batch {
    struct wire_str agent, tenant;
    uint64_t epoch, seq;
    struct wall received;
    uint8_t digest[16];               /* of the frame */
    uint64_t refused[WIRE_REFUSALS];
    struct bytes verdict;             /* how values were judged (series.h): a replay needs no judging */
    struct bytes watermark;           /* state of (agent, epoch) after this batch (admission.h) */
    struct bytes frame;               /* the zstd frame as it came, to the byte */
};
/* done(arg, position, 0): committed at position > 0; or done(arg, 0, code): nothing of it is stored. Contents are copied.
 * ERR_AGAIN: the queue is full, done will not be called. */
int journal_append(struct journal *j, const struct journal_batch *b, void (*done)(void *arg, int64_t position, int code),
                   void *arg);
/* Definitions become durable; those there already count as done. */
int journal_define(struct journal *j, struct wire_str agent, const struct wire_entry *entries, uint32_t n,
                   void (*done)(void *arg, int code), void *arg);
/* Forgets batches at or below position received before `before`, then definitions that nothing kept refers to. */
int journal_prune(struct journal *j, int64_t position, struct wall before, void (*done)(void *arg, int code), void *arg);
int journal_forget_agent(struct journal *j, struct wire_str agent, void (*done)(void *arg, int code), void *arg);

/* At start only, blocking the caller. */
struct journal_entry {
    int64_t position;
    struct journal_batch batch; /* borrowed for the call; watermark is empty */
};
int journal_load_definitions(struct journal *j,
                             int (*fn)(void *arg, struct wire_hash h, struct bytes value, struct wire_str agent),
                             void *arg, struct err *e);
int journal_load_watermarks(struct journal *j,
                            int (*fn)(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state), void *arg,
                            struct err *e);
/* Entries with a position above `after`, and those received since `since`, in order of position. */
int journal_replay(struct journal *j, int64_t after, struct wall since,
                   int (*fn)(void *arg, const struct journal_entry *entry), void *arg, struct err *e);

void journal_metrics(const struct journal *j, struct sink *out); /* from the owner's thread */

#endif
