/* The history: roll-ups and cumulative values in history.db, each transaction stored together with the
 * journal position that it contains. A thread of its own, the only one that touches the file; answers arrive
 * on the owner's loop. */
#ifndef SB_STORE_HISTORY_H
#define SB_STORE_HISTORY_H

#include <stdint.h>

#include "aggregator/alert/facts.h"
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
    /* On the loop: the file was found damaged while running. The next set that is committed must hold all records
     * and groups, and makes a new file; each set before fails, and it fails until one succeeds. Stored
     * steps are taken over as far as they can be read. */
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
/* A group of a selection, under a handle of the caller's: before its first gain, and again when a new file is
 * to be filled. A handle may be given to another group later. Texts are copied. */
enum { HISTORY_ENV = 64 };
struct history_group {
    uint32_t handle; /* below 2^24 */
    enum fact_kind kind;
    const char *selection, *metric, *match,
        *by;         /* the selection: its text, and in parts; by: names, or "*" */
    const char *env; /* what it is kept by; at most HISTORY_ENV - 1 bytes count */
    struct labels labels;
    struct wall now;
};
int history_group(struct history *h, const struct history_group *g);
/* What a step of 10 s of it gained: added to what is stored, with this transaction. */
int history_gain(struct history *h, uint32_t handle, enum fact_kind kind, int64_t start,
                 const struct fact_bucket *gain);
void history_commit(struct history *h, int64_t position, void (*done)(void *arg, int code), void *arg);

void history_abandon(struct history *h); /* instead of committing: nothing was begun */

/* How long steps are kept. */
struct history_keep_env {
    char env[HISTORY_ENV];
    int64_t ms[TIERS]; /* by tier */
};
struct history_keep {
    int64_t dflt[TIERS];
    const struct history_keep_env *v; /* for groups of these */
    uint32_t n;
};
/* Once a second: one portion of what has to be done with stored steps (see docs/history.md), unless one is under
 * way; every 30 s while there is nothing to fold. *keep is copied. */
void history_tend(struct history *h, const struct history_keep *keep, struct wall now);
struct history_tended { /* since the start */
    uint64_t folded;    /* rows of hours that are over, moved into chunks */
    uint64_t pruned;    /* chunks past their time */
    uint64_t groups_gone, damaged;
};

/* A question about the past. */
struct history_ask {
    const char *metric, *match;
    const char *const *by; /* label names, or one "*": as the selection has them */
    uint32_t n_by;
    struct wall from, to;         /* [from, to), cut to the tier that answers */
    struct span step;             /* 0: chosen by the window */
    const double *quantiles, *le; /* of sketches: quantiles, and counts of values up to these bounds */
    uint32_t n_quantiles, n_le;
    struct wall now;
    int64_t keep[TIERS]; /* ms, as in history_keep.dflt */
};
/* What is not stored yet, for a question: groups, each directly before its gains. Owned by whoever holds it. */
struct history_pending;
struct history_pending *history_pending_new(void); /* NULL without memory */
void history_pending_free(struct history_pending **p);
void history_pending_group(struct history_pending *p, const struct history_group *g);
int history_pending_gain(struct history_pending *p, enum fact_kind kind, int64_t start,
                         const struct fact_bucket *b);
/* Answered on the owner's loop: done takes *json when the code is 0 (docs/history.md says what stands there), else e
 * says why: ERR_MALFORMED, ERR_LIMIT (too much was asked for), ERR_NOMEM. Takes *p; copies the question. A code:
 * done will not be called. */
typedef void (*history_answer)(void *arg, int code, struct buf *json, const struct err *e);
int history_ask(struct history *h, const struct history_ask *q, struct history_pending **p,
                history_answer done, void *arg, struct err *e);

/* At start only, blocking: each group that is stored. fn says whether it goes on under a handle: 1 and *handle,
 * 0 not, or a code that ends it. */
int history_load_groups(struct history *h,
                        int (*fn)(void *arg, const struct history_group *g, uint32_t *handle), void *arg,
                        struct err *e);
/* Then the steps of all groups with a handle, each time once: from reach(arg, handle) on, in days, hours …
 * steps, by the tier that facts keep for that long. */
struct history_step {
    uint32_t handle;
    enum fact_kind kind;
    enum fact_tier tier;
    int64_t start;
    const struct fact_bucket *b;
};
int history_load_steps(struct history *h, struct wall now, struct span (*reach)(void *arg, uint32_t handle),
                       int (*fn)(void *arg, const struct history_step *s), void *arg, struct err *e);

/* At start only, blocking: each record, then the position (0 when there is none). */
int history_load(struct history *h, int (*fn)(void *arg, struct bytes key, struct bytes value), void *arg,
                 int64_t *position, struct err *e);

/* The position that stored steps contain: after damage, what could be read of them reaches further than the records.
 * INT64_MAX: no telling, so all that the journal holds. */
int history_gained(struct history *h, int64_t *position, struct err *e);

/* Sets a damaged file aside and begins a new one with the stored steps that can be
 * read from it: at start only, after a load found damage. */
int history_renew(struct history *h, struct err *e);

/* verify-store: whether a file that no program has open is whole; lines into report, ERR_MALFORMED. */
int history_verify(const char *path, struct buf *report, struct err *e);

void history_metrics(const struct history *h, struct sink *out);

#endif
