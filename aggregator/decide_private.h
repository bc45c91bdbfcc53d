/* Shared by the files of the decide thread. All but the inbox and what is published is that thread's alone. */
#ifndef SB_AGGREGATOR_DECIDE_PRIVATE_H
#define SB_AGGREGATOR_DECIDE_PRIVATE_H

#include <pthread.h>

#include "aggregator/decide.h"
#include "aggregator/judge.h"
#include "aggregator/moves.h"
#include "aggregator/peers.h"
#include "aggregator/ticks.h"
#include "common/daemon/samples.h"

struct public_answer { /* for inverted health checks: moves_public_io.c */
    struct public_answer *next;
    char service[FO_NAME];
    uint32_t epoch;
    bool off, known; /* off: users are not to be sent to its home */
};

/* What another thread wants: the first member of its own struct. */
struct note {
    struct note *next;
    /* on the decide thread; takes the note */
    void (*run)(struct decide *d, struct note *n);
    /* never run: releases it, and answers whoever waits for an answer. Any thread. */
    void (*drop)(struct note *n);
};

/* Orders of one step on their way: queued, being written, sent. */
struct batch {
    struct batch *next;
    struct decide *d;
    struct orders orders;
    struct mono since;
    bool released;                             /* sent, and `then` called */
    void (*then)(struct decide *d, void *arg); /* may be NULL: what waited for these orders */
    void *then_arg;
};

struct peer_voter {
    char name[FO_NAME], region[FO_NAME];
};

struct published {
    atomic_uint refs;
    struct arena arena;
    struct samples samples;
};

struct decide {
    struct decide_params p;
    struct log *log;
    struct loop *loop;
    struct timer *tick;
    struct ticks ticks;
    struct mem mem;
    char region[128], host[256];
    uint8_t secret[64]; /* of signed links */
    size_t secret_n;
    struct judge *judge;
    struct control *control;
    struct teller *teller, *going; /* going: ends, in teller_thread when `goes` */
    pthread_t teller_thread;
    bool ending, goes, last_turn;
    uint32_t generation;
    bool restored;         /* facts are complete */
    bool gained;           /* facts came in since the last step */
    struct span step_took; /* the last step */
    struct mono hold_until, stepped, asked_own, pruned;
    bool asking_own, wants_own;
    struct note *held, **held_last; /* tellings by a list that is still to come */
    struct peer *peers;
    struct moves *moves;                 /* NULL: no service can move */
    struct peer_voter voters[FO_VOTERS]; /* [voter NAME] of the configuration */
    uint8_t n_voters;
    struct peer_hooks peer_hooks;
    bool peers_fast, peers_asked; /* asked: the store, for whom processes before us have heard */
    uint64_t strange_words, strange_votes;
    struct complaint peer_complaint, vote_complaint, guard_complaint;
    /* decide_carry_io.c */
    struct batch *first, **last; /* in order; the first is being written, or to be written again */
    bool writing;
    struct mono retry_at;
    size_t waiting_bytes;
    uint64_t failed_open, lost_batches, store_failures, sends, send_refused, dropped_tellings, desk_requests;
    struct complaint store_complaint, teller_complaint, telling_complaint;
    /* inbox */
    pthread_mutex_t lock;
    struct note *in, **in_last;
    bool posted, ended; /* ended: nobody runs notes any more */
    /* public: from any thread */
    pthread_mutex_t public_lock;
    struct public_answer *public;
    /* published */
    pthread_mutex_t published_lock;
    struct published *published;
    pthread_t thread;
    bool running, locks;
};

/* ---- decide_io.c ---- */
void decide_end_asking(struct decide *d);          /* the last question was answered */
void decide_put(struct decide *d, struct note *n); /* from any thread: takes the note */
struct moment decide_moment(const struct decide *d);
void decide_take_in(void *arg);
void decide_run_held(struct decide *d); /* tellings whose list has come */
void decide_step(struct decide *d);
void decide_tick(void *arg);
void decide_noticed(void *arg, const char *what, struct span by);
void decide_ended(void *arg, uint64_t delivery, const struct told_result *r); /* on the telling thread */

/* ---- decide_carry_io.c: what was ordered is carried out ---- */
struct batch *batch_new(struct decide *d); /* NULL without memory, which is counted */
/* Takes the batch: writes, then sends, then calls `then`. */
void batch_give(struct batch *b);
void carry_tick(struct decide *d,
                struct mono now); /* what waited too long is sent; failed writes are tried again */
void carry_end(struct decide *d); /* hands all that waits to the store */
void carry_free(struct decide *d);
void carry_metrics(const struct decide *d, struct sink *out);

/* ---- peers_io.c ---- */
void peers_load(struct decide *d, const struct config *c); /* again at each reload */
void peers_free(struct decide *d);
void peers_tick(struct decide *d, struct mono now);
/* Who fills our words and hears those of others. Once, before the first tick. */
void peers_hook(struct decide *d, const struct peer_hooks *h);
/* Whether aggregators of that region were heard, be it by a process before us. */
bool peers_known(const struct decide *d, const char *region);
/* Where who leads stands, and where it is read and ordered: "" when that is not known. The texts live until the next reload. */
void peers_leader(const struct decide *d, const char *voter, const char **region, const char **reading);
/* Words every second instead of every five, while anything is in doubt. */
void peers_fast(struct decide *d, bool fast);
void peers_metrics(const struct decide *d, struct sink *out);
/* This region and its peers, as JSON in the arena. */
struct bytes peers_regions(const struct decide *d, struct arena *a);

/* ---- moves_public_io.c ---- */
void decide_public_free(struct decide *d);

/* ---- decide_figures_io.c ---- */
void figures_publish(struct decide *d);
void figures_own(struct decide *d, struct mono now); /* every 10 s: own metrics become facts */
void published_free(struct published **p);

#endif
