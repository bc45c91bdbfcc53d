/* Blocking work beside a loop, with deadlines: see loop.h.
 *
 * Each job has a detached thread of its own and an owner that is always the loop's thread: the worker touches
 * only the job's run, arg and inbox, and hands the job back by a post. A thread that never comes back (a read
 * from a dead NFS server cannot be cancelled, not even by a signal) costs one of `max` and nothing else;
 * pthread_cancel is no way out, since it leaves locks held. When the loop has gone, the returning thread
 * finds the inbox closed and releases the job itself. */
#include "common/net/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/net/inbox.h"

enum { STACK = 1024 * 1024 };

struct job {
    struct job *prev, *next;
    struct workers *w; /* NULL: the pool has gone. Read and written on the loop's thread only */
    struct inbox *inbox;
    void (*run)(void *arg);
    void (*done)(void *arg, bool late);
    void (*abandon)(void *arg);
    void *arg;
    struct timer *deadline;
    bool late;
};

struct workers {
    struct loop *loop;
    unsigned max, live, stuck;
    struct job *jobs;
};

struct workers *workers_new(struct loop *l, unsigned max, struct err *e)
{
    struct workers *w = calloc(1, sizeof(*w));

    if (!w) {
        err_set(e, ERR_NOMEM, "no memory for worker threads");
        return NULL;
    }
    *w = (struct workers){.loop = l, .max = max};
    return w;
}

static void job_unlink(struct job *j)
{
    *(j->prev ? &j->prev->next : &j->w->jobs) = j->next;
    if (j->next)
        j->next->prev = j->prev;
    j->w = NULL;
}

static void job_free(struct job *j)
{
    timer_free(&j->deadline);
    inbox_unref(j->inbox);
    free(j);
}

void workers_free(struct workers **wp)
{
    struct workers *w = *wp;

    if (!w)
        return;
    while (w->jobs) {
        struct job *j = w->jobs;

        timer_free(&j->deadline);
        job_unlink(j);
    }
    free(w);
    *wp = NULL;
}

/* On the loop: the thread has returned. */
static void job_back(void *arg)
{
    struct job *j = arg, copy = *j;

    if (!j->w) {
        job_free(j);
        return;
    }
    j->w->live--;
    if (j->late)
        j->w->stuck--;
    job_unlink(j);
    job_free(j);
    if (!copy.late)
        copy.done(copy.arg, false);
    else if (copy.abandon)
        copy.abandon(copy.arg);
}

static void on_deadline(void *arg)
{
    struct job *j = arg;

    j->late = true;
    j->w->stuck++;
    j->done(j->arg, true);
}

static void *work(void *arg)
{
    struct job *j = arg;
    struct inbox *inbox = j->inbox;

    j->run(j->arg);
    if (inbox_post(inbox, job_back, j) != 0) {
        inbox_unref(inbox); /* its timer went with the pool, before the loop */
        free(j);
    }
    return NULL;
}

static int start_thread(struct job *j, struct err *e)
{
    pthread_attr_t attr;
    pthread_t id;
    sigset_t all, before;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&id, &attr, work, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc ? err_sys(e, ERR_AGAIN, rc, "a worker thread does not start") : 0;
}

int workers_run(struct workers *w, void (*run)(void *arg), void (*done)(void *arg, bool late),
                void (*abandon)(void *arg), void *arg, struct span deadline, struct err *e)
{
    struct job *j;
    int rc;

    if (w->live >= w->max)
        return err_set(e, ERR_AGAIN, "all %u worker threads are out, %u of them past their deadline", w->max,
                       w->stuck);
    j = calloc(1, sizeof(*j));
    if (!j)
        return err_set(e, ERR_NOMEM, "no memory for a worker");
    *j = (struct job){
        .w = w, .inbox = inbox_ref(w->loop), .run = run, .done = done, .abandon = abandon, .arg = arg};
    j->deadline = timer_new(w->loop, on_deadline, j);
    rc = j->deadline ? start_thread(j, e) : err_set(e, ERR_NOMEM, "no memory for a worker");
    if (rc) {
        job_free(j);
        return rc;
    }
    j->next = w->jobs;
    if (w->jobs)
        w->jobs->prev = j;
    w->jobs = j;
    w->live++;
    timer_set(j->deadline, deadline);
    return 0;
}

unsigned workers_stuck(const struct workers *w)
{
    return w->stuck;
}
