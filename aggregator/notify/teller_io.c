/* The telling thread: takes orders from any thread, makes each attempt once, reports what came of it. See channel.h.
 *
 * Nothing is repeated here: the order of repetitions is part of what is durable, and that is the
 * orderer's.
 *
 * Ownership: the table of receivers is swapped as a whole under a lock that is held for a look-up only. An attempt holds its
 * receiver; a receiver that has left the table lives until its last attempt has ended. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/notify/judge.h"
#include "aggregator/notify/telling.h"
#include "aggregator/notify/told.h"
#include "common/daemon/daemon.h"

static struct receiver *find(struct teller *t, const char *name)
{
    struct receiver *r = NULL;

    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->table.n && !r; i++)
        if (strcmp(t->table.v[i]->tally->name, name) == 0)
            r = t->table.v[i];
    if (r)
        atomic_fetch_add(&r->refs, 1);
    pthread_mutex_unlock(&t->lock);
    return r;
}

static void unref_here(void *arg)
{
    struct attempt *a = arg;

    receiver_unref(a->teller, a->receiver);
    free(a);
}

/* Gives the reference back on the telling thread: it may be the last. */
static int refuse(struct attempt *a, int code)
{
    arena_free(&a->arena);
    atomic_fetch_add(&a->receiver->tally->refused, 1);
    if (loop_post(a->teller->loop, unref_here, a) != 0)
        free(a); /* the receiver stays until the end */
    return code;
}

int teller_send(struct teller *t, uint64_t delivery, const char *receiver, const struct notification *n)
{
    struct receiver *r = find(t, receiver);
    struct attempt *a;

    if (!r)
        return ERR_NOTFOUND;
    a = calloc(1, sizeof *a);
    if (!a) /* the reference is lost with the memory: the receiver stays until the end */
        return ERR_NOMEM;
    *a = (struct attempt){.teller = t, .receiver = r, .delivery = delivery, .ordered = clock_mono()};
    arena_init(&a->arena, NULL, TELLING_ARENA);
    if (atomic_fetch_add(&r->queued, 1) >= TELLING_QUEUE) {
        atomic_fetch_sub(&r->queued, 1);
        return refuse(a, ERR_LIMIT);
    }
    a->n = told_copy(&a->arena, n);
    atomic_fetch_add(&r->tally->waiting, 1);
    if (a->n && loop_post(t->loop, attempt_arrive, a) == 0)
        return 0;
    atomic_fetch_sub(&r->tally->waiting, 1);
    atomic_fetch_sub(&r->queued, 1);
    return refuse(a, ERR_NOMEM);
}

/* ---- the table ---- */

static struct tally *tally_of(struct teller *t, const char *name)
{
    struct tally *y;

    pthread_mutex_lock(&t->lock);
    for (y = t->tallies; y && strcmp(y->name, name) != 0;)
        y = y->next;
    if (!y && (y = calloc(1, sizeof *y))) {
        y->name = strdup(name);
        y->next = t->tallies;
        if (y->name)
            t->tallies = y;
        else
            free(y), y = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    return y;
}

static void table_close(struct teller *t, struct table *b)
{
    for (size_t i = 0; i < b->n; i++)
        receiver_unref(t, b->v[i]);
    free(b->v);
    *b = (struct table){0};
}

static int table_add(struct teller *t, struct table *b, const struct section *s, struct err *e)
{
    struct receiver **v = realloc(b->v, (b->n + 1) * sizeof(struct receiver *));
    struct tally *y = v ? tally_of(t, section_label(s)) : NULL;

    if (v)
        b->v = v;
    if (!y)
        return err_set(e, ERR_NOMEM, "no memory for a receiver");
    b->v[b->n] = receiver_open(s, y, t->log, e);
    if (!b->v[b->n])
        return e->code;
    b->n++;
    return 0;
}

struct retired {
    struct teller *teller;
    struct table table;
};

static void retire(void *arg)
{
    struct retired *r = arg;

    table_close(r->teller, &r->table);
    free(r);
}

int teller_reload(struct teller *t, const struct config *c, struct err *e)
{
    struct retired *old = calloc(1, sizeof *old);
    struct table fresh = {0};
    const struct section *s;
    struct err why = {0};
    int rc = old ? 0 : err_set(&why, ERR_NOMEM, "no memory for receivers");

    for (size_t i = 0; rc == 0 && (s = config_named(c, receiver_section_name, i)); i++)
        rc = table_add(t, &fresh, s, &why);
    if (rc != 0) { /* they have been used by nobody */
        for (size_t i = 0; i < fresh.n; i++)
            receiver_close(fresh.v[i]);
        free(fresh.v);
        free(old);
        return err_set(e, why.code, "%s", why.text);
    }
    pthread_mutex_lock(&t->lock);
    *old = (struct retired){t, t->table};
    t->table = fresh;
    pthread_mutex_unlock(&t->lock);
    if (!old->table.n || loop_post(t->loop, retire, old) != 0) {
        free(old->table.v); /* without memory its receivers stay */
        free(old);
    }
    return 0;
}

/* ---- life ---- */

static void *run(void *arg)
{
    struct teller *t = arg;

    daemon_thread("teller");
    (void)loop_run(t->loop);
    return NULL;
}

static void teller_free(struct teller *t)
{
    struct tally *y;

    t->over = true;
    for (struct receiver *r = t->used; r;
         r = r->next) { /* calls end without their callback, workers into nothing */
        http_client_free(&r->client);
        workers_free(&r->workers);
    }
    while (t->attempts) {
        struct attempt *a = t->attempts;

        attempt_unlink(a);
        if (a->begun && a->receiver->ch->send)
            continue; /* a worker has it: it stays, and its receiver with it */
        receiver_unref(t, a->receiver);
        attempt_free(a);
    }
    table_close(t, &t->table);
    timer_free(&t->stop_timer);
    loop_free(&t->loop); /* carries out what was put off; what waits in it is an attempt that nobody began */
    while ((y = t->tallies)) {
        t->tallies = y->next;
        free(y->name);
        free(y);
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void stop_now(void *arg)
{
    struct teller *t = arg;

    loop_stop(t->loop);
}

static void stop_begin(void *arg)
{
    struct teller *t = arg;

    t->stopping = true;
    for (struct attempt *a = t->attempts, *next; a; a = next) {
        next = a->next;
        if (a->begun)
            continue;
        atomic_fetch_sub(&a->receiver->tally->waiting, 1);
        a->receiver->first = a->receiver->last = NULL;
        attempt_unlink(a);
        receiver_unref(t, a->receiver);
        attempt_free(a);
    }
    if (t->attempts)
        timer_set(t->stop_timer, span_s(TELLING_STOP_S));
    else
        loop_stop(t->loop);
}

static struct teller *teller_new(const struct teller_params *p, struct err *e)
{
    struct teller *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for the telling thread");
        return NULL;
    }
    *t = (struct teller){.log = p->log, .ended = p->ended, .arg = p->arg, .loop = loop_new(e)};
    pthread_mutex_init(&t->lock, NULL);
    t->stop_timer = t->loop ? timer_new(t->loop, stop_now, t) : NULL;
    if (t->stop_timer)
        return t;
    if (t->loop)
        err_set(e, ERR_NOMEM, "no memory for the telling thread");
    loop_free(&t->loop);
    pthread_mutex_destroy(&t->lock);
    free(t);
    return NULL;
}

struct teller *teller_start(const struct teller_params *p, struct err *e)
{
    struct teller *t = teller_new(p, e);
    sigset_t all, before;
    int rc;

    if (!t)
        return NULL;
    if (teller_reload(t, p->config, e) != 0) {
        teller_free(t);
        return NULL;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return t;
    err_sys(e, ERR_AGAIN, rc, "the telling thread does not start");
    teller_free(t);
    return NULL;
}

void teller_stop(struct teller **tp)
{
    struct teller *t = *tp;

    if (!t)
        return;
    while (loop_post(t->loop, stop_begin, t) != 0) /* without memory for a post: in a while */
        (void)usleep(10000);
    pthread_join(t->thread, NULL);
    teller_free(t);
    *tp = NULL;
}

/* ---- one message, without a thread ---- */

struct trial {
    struct teller *teller;
    struct told_result *out;
};

static void tried(void *arg, uint64_t delivery, const struct told_result *r)
{
    struct trial *y = arg;

    (void)delivery;
    *y->out = *r;
    loop_stop(y->teller->loop);
}

int receiver_try(const struct section *s, const struct notification *n, struct log *log,
                 struct told_result *out, struct err *e)
{
    struct trial trial = {.out = out};
    struct teller_params p = {.log = log, .ended = tried, .arg = &trial};
    struct teller *t = teller_new(&p, e);
    int rc;

    if (!t)
        return e->code;
    trial.teller = t;
    rc = table_add(t, &t->table, s, e);
    if (rc == 0)
        rc = teller_send(t, 0, section_label(s), n);
    if (rc == 0)
        rc = loop_run(t->loop);
    else if (!e->code)
        err_set(e, rc, "the message can't be sent");
    t->stopping = true;
    teller_free(t);
    return rc;
}

/* ---- metrics ---- */

static const struct metric_row attempts_row = {
    .name = "securebase_aggregator_notify_attempts_total",
    .kind = METRIC_COUNTER,
    .labels = "outcome receiver",
    .help = "Attempts to tell a receiver, by what came of them: delivered, retry (it may be taken later), "
            "never, denied."};
static const struct metric_row seconds_row = {
    .name = "securebase_aggregator_notify_attempt_seconds_total",
    .kind = METRIC_COUNTER,
    .div = 1000000000,
    .labels = "receiver",
    .help = "Time that attempts to tell a receiver have taken, summed up."};
static const struct metric_row refused_row = {.name = "securebase_aggregator_notify_refused_total",
                                              .kind = METRIC_COUNTER,
                                              .labels = "receiver",
                                              .help = "Messages that found a receiver's queue full."};
static const struct metric_row waiting_row = {.name = "securebase_aggregator_notify_waiting",
                                              .kind = METRIC_GAUGE,
                                              .labels = "receiver",
                                              .help = "Messages that wait for their turn at a receiver."};
static const struct metric_row under_way_row = {.name = "securebase_aggregator_notify_under_way",
                                                .kind = METRIC_GAUGE,
                                                .labels = "receiver",
                                                .help =
                                                    "Attempts to tell a receiver that have no answer yet."};

void teller_metrics(struct teller *t, struct sink *out)
{
    pthread_mutex_lock(&t->lock);
    for (struct tally *y = t->tallies; y; y = y->next) {
        struct text name = text_of(y->name);

        for (size_t i = 0; i <= OUTCOME_DENIED; i++)
            sink_uint(out, &attempts_row, (struct text[]){text_of(outcome_name((enum outcome)i)), name},
                      atomic_load(&y->attempts[i]));
        sink_uint(out, &seconds_row, &name, atomic_load(&y->ns));
        sink_uint(out, &refused_row, &name, atomic_load(&y->refused));
        sink_uint(out, &waiting_row, &name, atomic_load(&y->waiting));
        sink_uint(out, &under_way_row, &name, atomic_load(&y->under_way));
    }
    pthread_mutex_unlock(&t->lock);
}
