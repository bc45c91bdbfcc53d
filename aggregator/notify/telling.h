/* The inside of the telling thread: receivers that are open, and attempts. See teller_io.c. */
#ifndef SB_NOTIFY_TELLING_H
#define SB_NOTIFY_TELLING_H

#include <pthread.h>
#include <stdatomic.h>

#include "aggregator/notify/channel.h"
#include "common/net/loop.h"

enum {
    TELLING_QUEUE = 512,       /* attempts that wait or are under way, by receiver */
    TELLING_HTTP = 8,          /* under way at once, by receiver */
    TELLING_WORKERS = 2,       /* likewise, for channels that block */
    TELLING_WAIT_S = 45,       /* an attempt that waited longer for its turn ends without having been made */
    TELLING_STOP_S = 5,        /* attempts under way at the stop get so long */
    TELLING_SECRETS = 4,       /* secrets of one receiver */
    TELLING_ARENA = 128 << 20, /* of one attempt: the notification and its documents */
};

/* Figures of a receiver's name: they outlive reloads. Written by the telling thread, read by any. */
struct tally {
    struct tally *next;
    char *name;
    atomic_uint_fast64_t attempts[OUTCOME_DENIED + 1];
    atomic_uint_fast64_t refused, ns;
    atomic_uint waiting, under_way; /* waiting: all that are not yet under way */
    struct complaint complaint;     /* telling thread */
};

/* A receiver that is open. Freed on the telling thread, when neither the table nor an attempt needs it. */
struct receiver {
    atomic_uint refs;
    atomic_uint queued; /* bounded by TELLING_QUEUE */
    const struct channel *ch;
    struct channel_target *target;
    struct tally *tally;            /* borrowed of the teller */
    char *secrets[TELLING_SECRETS]; /* not to be shown in any text */
    char *ca, *cert, *key, *proxy;  /* NULL where not set */
    struct span timeout;
    /* telling thread */
    struct receiver *prev, *next; /* of those that have been used */
    struct teller *used;
    struct http_client *client; /* made at the first use */
    struct workers *workers;
    unsigned in_workers;          /* jobs whose thread has not come back */
    struct attempt *first, *last; /* waiting */
    unsigned under_way;
    bool pumping;
};

struct table {
    struct receiver **v;
    size_t n;
};

struct teller {
    struct loop *loop;
    struct log *log;
    void (*ended)(void *arg, uint64_t delivery, const struct told_result *r);
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock; /* of table and tallies (the list) */
    struct table table;
    struct tally *tallies;
    /* telling thread */
    struct attempt *attempts; /* all: waiting or under way */
    struct timer *stop_timer;
    struct receiver *used; /* those that may have a client or workers */
    bool stopping, over;   /* over: nothing runs any more */
};

struct attempt {
    struct attempt *prev, *next; /* of all */
    struct attempt *behind;      /* of those that wait for the same receiver */
    struct teller *teller;
    struct receiver *receiver;
    uint64_t delivery;
    struct arena arena;
    struct notification *n;
    struct mono ordered, began;
    bool begun;
    struct span deadline;
    struct told_result said; /* written by the worker */
    /* HTTP */
    unsigned left, calls, taken;
    bool judged;
    struct told_result result;
};

/* Opens everything that can fail for reasons of the configuration. Any thread. */
struct receiver *receiver_open(const struct section *s, struct tally *t, struct log *log, struct err *e);
/* On the telling thread, or when there is none. Leaves what a worker that is still out may touch. */
void receiver_close(struct receiver *r);
struct http_client *receiver_client(struct receiver *r, struct loop *l, struct err *e);
struct workers *receiver_workers(struct receiver *r, struct loop *l, struct err *e);
/* Overwrites each secret in a text that somebody else has written, cut as it may be at its end. */
void receiver_scrub(const struct receiver *r, char *text);

/* On the telling thread, or when it has gone. The end is put off: it may be within a callback of the receiver's client. */
void receiver_unref(struct teller *t, struct receiver *r);
void attempt_arrive(void *attempt); /* posted: joins its receiver's queue */
void attempt_unlink(struct attempt *a);
void attempt_free(struct attempt *a);

#endif
