/* Shared by the files of the ingest thread. Everything in struct ingest
 * is the ingest thread's alone, but for what says otherwise. */
#ifndef SB_INGEST_PRIVATE_H
#define SB_INGEST_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "aggregator/ingest/auth.h"
#include "aggregator/ingest/figures.h"
#include "aggregator/ingest/ingest.h"
#include "aggregator/ingest/intake.h"
#include "aggregator/ingest/retention.h"
#include "aggregator/store/history.h"
#include "aggregator/store/journal.h"
#include "common/base/map.h"
#include "common/net/http_server.h"
#include "common/net/tls.h"

enum auth_kind { AUTH_MTLS, AUTH_TOKEN, AUTH_NONE };

struct ingest {
    const struct config *config;         /* borrowed: the one in force */
    const struct selections *selections; /* borrowed: those in force */
    uint32_t generation;
    void (*tell)(void *arg, struct telling *t);
    void *tell_arg;
    void (*peer)(void *arg, struct bytes body);
    void *peer_arg;
    void (*guard)(void *arg, struct bytes body, const char *agent, struct loop *loop,
                  void (*done)(void *done_arg, int status, struct bytes json), void *done_arg);
    void *guard_arg;
    struct guard_wait *guards; /* guard_io.c: asked, and not answered yet by whoever knows */
    uint64_t guards_waiting;
    struct timer *teller; /* tell_io.c */
    bool telling;         /* it is set */
    struct log *log;
    struct loop *loop;
    pthread_t thread;
    atomic_bool ready, failed, quit; /* any thread; quit ends a replay early */

    struct mem series_mem, state_mem, work_mem;
    struct intake in; /* borrows the next four */
    struct wire_codec *codec;
    struct admission *admission;
    struct definitions *definitions;
    struct series_set *series;
    uint64_t seed[2];

    struct journal *journal;
    struct history *history;

    bool witness; /* [aggregator] role: takes in no batches */
    /* [ingest] */
    enum auth_kind kind;
    struct auth auth;
    bool use_cn;
    struct span keep, persist_every, stale_after;
    struct history_keep retention; /* retention.c; borrows the next one */
    struct history_keep_env retentions[RETENTIONS];
    struct tls_server *tls;
    struct http_server *http;
    unsigned port; /* any thread */

    struct map lanes; /* requests_io.c: agents with batches under way */
    uint64_t under_way;
    bool stopping;
    struct mono stop_by;
    struct timer *tick, *stopper;
    struct mono next_persist;
    int64_t position, persisted; /* of the journal: applied last; contained in the history */
    bool persisting, pruning;
    /* renew_io.c: the journal is damaged; the history holds what it held; a new one is being written */
    bool journal_lost, saved, filling;
    struct complaint complaint;
    struct figures f;
};

/* ---- requests_io.c ---- */
void ingest_request(void *arg, struct http_exchange *x); /* http_handler */
bool ingest_wants(void *arg, const struct http_exchange *x);
bool ingest_busy(const struct ingest *g, struct wire_str agent);

/* Answers x with what a says, as counted for the path. */
void ingest_answer(struct ingest *g, struct http_exchange *x, enum request_path path,
                   const struct wire_answer *a);

/* ---- guard_io.c ---- */
void ingest_guard(struct ingest *g, struct http_exchange *x, const struct caller *who);
void ingest_guards_free(struct ingest *g); /* the loop has ended */

/* ---- restore_io.c ---- */
/* nothing in an epoch this old would be taken any more */
struct span ingest_epochs_keep(const struct section *ingest);
/* A new table of series and a new state of agents, empty. */
int ingest_begin_anew(struct ingest *g, struct buf *report, struct err *e);
int ingest_restore(struct ingest *g, struct err *e); /* after that; blocking, before the loop runs */
void ingest_persist(struct ingest *g);               /* when it is due and possible */

/* ---- tell_io.c ---- */
void ingest_gained(struct ingest *g);              /* a batch was applied: it is told of soon */
void ingest_tell(struct ingest *g, bool restored); /* now, all */
void ingest_tell_stored(struct ingest *g);         /* at start, after the replay */
void ingest_tell_soon(void *arg);                  /* the timer's */

/* ---- renew_io.c ---- */
void ingest_journal_damaged(void *arg); /* `damaged` of the journal, of the history */
void ingest_history_damaged(void *arg);
void ingest_renew(struct ingest *g); /* goes on with it, when there is something to do */

#endif
