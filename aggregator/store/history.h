/* The history: roll-ups and cumulative values in history.db, each transaction stored together with the
 * journal position that it contains. A thread of its own, the only one that touches the file; answers arrive
 * on the owner's loop. */
#ifndef SB_STORE_HISTORY_H
#define SB_STORE_HISTORY_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

struct history;

struct history_params {
    const char *path;  /* state_dir/history.db */
    struct loop *loop; /* borrowed */
    struct log *log;   /* borrowed */
    /* On the loop: the file was found damaged while running. The next set that is committed must hold
     * all records, and makes a new file; each set before fails, and it fails until one succeeds. */
    void (*damaged)(void *arg);
    void *arg;
};
struct history *history_open(const struct history_params *p, struct err *e);
void history_close(struct history **h); /* finishes what waits; callbacks are called before it returns */

/* One transaction under way at a time: begin, put any number of records (value.p NULL: delete), commit.
 * Contents are copied. ERR_STATE while one is under way: then nothing was begun. */
int history_begin(struct history *h);
/* ERR_NOMEM: the set is spoilt, commit will fail */
int history_put(struct history *h, struct bytes key, struct bytes value);
void history_commit(struct history *h, int64_t position, void (*done)(void *arg, int code), void *arg);

void history_abandon(struct history *h); /* instead of committing: nothing was begun */

/* At start only, blocking: each record, then the position (0 when there is none). */
int history_load(struct history *h, int (*fn)(void *arg, struct bytes key, struct bytes value), void *arg,
                 int64_t *position, struct err *e);

/* Sets a damaged file aside and begins a new one: at start only, after a load found damage. */
int history_renew(struct history *h, struct err *e);

/* verify-store: whether a file that no program has open is whole; lines into report, ERR_MALFORMED. */
int history_verify(const char *path, struct buf *report, struct err *e);

void history_metrics(const struct history *h, struct sink *out);

#endif
