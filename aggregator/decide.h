/* The decide thread: clock, objectives, alerts, incidents, notices; no listening socket. It owns the rooms that judge
 * (judge.h), the control store and the telling thread. What other threads want of it they put into its inbox.
 *
 * Every second, and within 200 ms when gains have come in, the rooms are gone through. What they order is stored in one
 * transaction, and sent when that is durable; when the store fails, or takes longer than two seconds, it is sent all the
 * same: a page twice is better than none. */
#ifndef SB_AGGREGATOR_DECIDE_H
#define SB_AGGREGATOR_DECIDE_H

#include "aggregator/alert/facts.h"
#include "aggregator/expose/desk.h"
#include "aggregator/expose/view.h"
#include "aggregator/expose/view.h"
#include "aggregator/store/control.h"
#include "aggregator/zones.h"
#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"

struct decide;
struct decide_params {
    struct log *log;
    const struct config *config;         /* borrowed for the call */
    const struct selections *selections; /* borrowed until decide_free, or until a reload with others */
    uint32_t generation;                 /* of that list */
    struct zones *zones;                 /* borrowed */
    const char *control;                 /* path of control.db */
    uint64_t seed;
    /* Asks the ingest thread what own metrics are made from: see ingest_ask. */
    int (*ask)(void *arg, struct loop *loop, void (*done)(void *done_arg, struct gathered *g),
               void *done_arg);
    /* What other rooms say of themselves; from the decide thread. */
    void (*more)(void *arg, struct sink *out);
    void *arg;
};
/* Opens the control store and restores what it holds, then starts the thread. Mistakes of the configuration go into
 * the report. */
struct decide *decide_start(const struct decide_params *p, struct buf *report, struct err *e);
/* The beginning of the end: what is being told gets five seconds, new messages are left for the next start. */
void decide_end(struct decide *d);
/* Waits for what is being told, stores the outcomes, ends the thread and closes the store. Whoever has asked for
 * something is answered before it returns. */
void decide_stop(struct decide *d);
void decide_free(
    struct decide **d); /* after decide_stop, when nobody calls any more; or without decide_start */

/* ---- from any thread ---- */
void decide_tell(struct decide *d, struct telling *t); /* takes it */
void decide_peer(struct decide *d, struct bytes body); /* what another aggregator said; copied */
/* Whether users are not to be sent to the home of this service, as committed: 1, 0, or -1: it is not shown. */
int decide_primary_off(struct decide *d, const char *service);
/* A guard's question: see ingest.h. */
void decide_guard(struct decide *d, struct bytes body, const char *agent, struct loop *loop,
                  void (*done)(void *done_arg, int status, struct bytes json), void *done_arg);
/* Before decide_reload: receivers anew. On error nothing has changed. */
int decide_reload_receivers(struct decide *d, const struct config *c, struct err *e);
/* Before decide_reload: whether a plan under way forbids it (ERR_STATE). */
int decide_can_reload(struct decide *d, const struct config *c, struct err *e);
/* Waits until it is done. ERR_NOMEM: half of it may be done, so the process has to begin anew. Other errors: nothing has
 * changed. Call it after the ingest thread has begun to tell by the new list. */
int decide_reload(struct decide *d, const struct config *c, const struct selections *s, uint32_t generation,
                  struct buf *report, struct err *e);
/* done is posted on `loop`. */
void decide_desk(struct decide *d, const struct desk_request *r, struct loop *loop, desk_done done,
                 void *done_arg);
/* An act that is not carried out here: done(arg, code) is posted on `loop` when it is journalled; see control_audit. */
void decide_audit(struct decide *d, const char *what, const struct serve_actor *actor, struct loop *loop,
                  void (*done)(void *arg, int code), void *arg);
/* As of the last second. */
void decide_metrics(struct decide *d, struct sink *out);

#endif
