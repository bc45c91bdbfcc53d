/* The ingest thread: TLS, admission, journal, series. It owns the listener, both stores of data
 * and the table of series; other threads ask it by message. A batch is admitted, committed, then
 * applied and acknowledged: what readers see is never ahead of what is durable. */
#ifndef SB_INGEST_INGEST_H
#define SB_INGEST_INGEST_H

#include <stdbool.h>

#include "aggregator/alert/facts.h"
#include "aggregator/expose/view.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "aggregator/store/history.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

extern const struct section_row ingest_section;    /* [ingest] */
extern const struct section_row token_section;     /* [token NAME] */
extern const struct section_row retention_section; /* [retention ENV] */

/* Mistakes across options of [ingest] and [token]. 0 or ERR_CONFIG. */
int ingest_check(const struct config *config, struct buf *report, struct err *e);

struct ingest;
struct ingest_params {
    /* [ingest] [token] [percentile] [aggregator]; borrowed until
     * ingest_stop, or until a reload puts another in its place */
    const struct config *config;
    const char *state_dir; /* holds journal.db and history.db; locked by the caller */
    struct log *log;       /* borrowed */
    uint64_t seed[2];      /* of the hash tables: secret, random */
    /* What objectives, rules and percentiles look at. NULL: nothing is gathered. Owned by the caller; borrowed
     * until ingest_stop, or until ingest_reload has returned 0 with another list. */
    const struct selections *selections;
    uint32_t generation; /* of that list: what tellings say that their numbers mean */
    /* On the ingest thread, at most 200 ms after gains were applied: takes t. Tellings come in order, first those
     * of the stored history and of the journal's replay; the one with `restored` set comes once, after all of
     * these. May be NULL. */
    void (*tell)(void *tell_arg, struct telling *t);
    void *tell_arg;
    /* What another aggregator said: POST /v1/peer, from the role peer. On the ingest thread; the body is borrowed for
     * the call. NULL: there is no such path. */
    void (*peer)(void *peer_arg, struct bytes body);
    void *peer_arg;
    /* A guard asks whether its service may serve: POST /v1/guard, from the identity of its agent (guard.h in common/wire;
     * the body has been read as a guard_ask of that agent). On the ingest thread; body and agent are borrowed for the
     * call. `done` is to be called exactly once, at any time, on `loop` (loop_post from elsewhere), or never when
     * ingest_stop has begun; the json is borrowed for that call. The guard waits 1.5 s, then it is told 503, and what
     * comes later is not used. NULL: the answer is "away", without a promise. */
    void (*guard)(void *guard_arg, struct bytes body, const char *agent, struct loop *loop,
                  void (*done)(void *done_arg, int status, struct bytes json), void *done_arg);
    void *guard_arg;
};
/* Opens the stores and binds, then starts the thread, which
 * restores and replays before it answers anybody. */
struct ingest *ingest_start(const struct ingest_params *p, struct buf *report, struct err *e);
/* Takes no more requests, ends those under way (within 5 s), persists, closes.
 * Blocks. No view given out by ingest_ask may be in use any more. */
void ingest_stop(struct ingest **in);

/* From any thread. */
bool ingest_ready(const struct ingest *in); /* restored and replayed */
/* restoring failed for good: the log says why, and the process should end */
bool ingest_failed(const struct ingest *in);
unsigned ingest_port(const struct ingest *in);
/* done(done_arg, g) is called on `loop` and takes g over; g NULL: no memory, or not
 * ready yet. `loop` must live until then. A code: done will not be called. */
int ingest_ask(struct ingest *in, struct loop *loop, void (*done)(void *done_arg, struct gathered *g),
               void *done_arg);

/* A question about the past of what selections look at (see history.h; now and keep are filled in here): what is
 * stored, and what is not stored yet. Reading is done on the store's thread, bounded. done is called on `loop`:
 * code 0: it takes *json; else e says why. A code: done will not be called; ERR_MALFORMED and ERR_LIMIT are the
 * asker's. The question is borrowed for the call. */
int ingest_history(struct ingest *in, const struct history_ask *q, struct loop *loop, history_answer done,
                   void *done_arg, struct err *e);

/* From any thread but the ingest thread; block until it has answered. */
/* Certificates, tokens, percentile sections, limits, selections. On error the old configuration and the old
 * selections stay; else the new ones are borrowed, and no telling of the old generation comes any more. */
int ingest_reload(struct ingest *in, const struct config *config, const struct selections *selections,
                  uint32_t generation, struct buf *report, struct err *e);
/* Series, watermarks and digests of an agent. ERR_NOTFOUND; ERR_AGAIN: a batch of it is under way. */
int ingest_forget_agent(struct ingest *in, const char *agent, struct err *e);

#endif
