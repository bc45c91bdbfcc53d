/* The thread of a store and its group commit: see store.h. */
#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aggregator/store/store_private.h"
#include "common/daemon/daemon.h"

enum { GROUP_JOBS = 256, GROUP_BYTES = 8 << 20, DOUBT_FIRST_MS = 100, DOUBT_MOST_MS = 5000 };

/* What is posted to the loop: outlives the store when the store goes first. */
struct ping {
    struct store *store; /* NULL once it has gone; touched by the owner's thread alone */
    struct loop *loop;
    int rounds;
};

static void jobs_init(struct jobs *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void jobs_put(struct jobs *q, struct store_job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
}

/* Moves all of from behind to. */
static void jobs_move(struct jobs *to, struct jobs *from)
{
    if (!from->first)
        return;
    *to->last = from->first;
    to->last = from->last;
    jobs_init(from);
}

/* ---- the worker ---- */

/* Waits ms or until the store ends; true when it ends. */
static bool pause_worker(struct store *s, int ms)
{
    struct timespec until;
    bool stop;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&s->lock);
    while (!s->stop && pthread_cond_timedwait(&s->work, &s->lock, &until) == 0)
        continue;
    stop = s->stop;
    (void)pthread_mutex_unlock(&s->lock);
    return stop;
}

static void set_doubt(struct store *s, bool doubt)
{
    (void)pthread_mutex_lock(&s->lock);
    s->f.in_doubt = doubt;
    s->f.reopened += !doubt;
    (void)pthread_mutex_unlock(&s->lock);
}

/* A COMMIT failed with `code`: opens the file anew and looks. 0 when the group
 * is there after all (and, by a checkpoint, written afresh and synced), else
 * the code. A file found damaged will be replaced by one without it. */
static int settle(struct store *s, int code)
{
    int64_t before = s->mark;
    int wait = DOUBT_FIRST_MS;

    for (;;) {
        struct err e = {0};
        int rc = store_open_file(s, &e);

        if (rc == 0 && s->mark != before)
            rc = db_exec(s->db, "PRAGMA wal_checkpoint(TRUNCATE)", &e);
        if (rc == 0) {
            set_doubt(s, false);
            return s->mark == before ? code : 0;
        }
        s->mark = before;
        if (rc == ERR_MALFORMED) {
            set_doubt(s, false);
            return rc;
        }
        set_doubt(s, true);
        COMPLAIN(s->p.log, &s->complaint, clock_mono(), LOG_ERROR, s->p.name,
                 "cannot tell whether a commit is stored: answering nobody until the file can be read",
                 kv_e(&e));
        if (pause_worker(s, wait)) {
            s->broken = true;
            return code;
        }
        wait = wait * 2 > DOUBT_MOST_MS ? DOUBT_MOST_MS : wait * 2;
    }
}

static int raise_mark(struct store *s, struct err *e)
{
    sqlite3_stmt *st = db_prepare(s->db, "UPDATE store_mark SET n = ?", e);

    if (!st)
        return e->code;
    if (sqlite3_bind_int64(st, 1, s->mark + 1) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "%s: no memory", s->path);
    return db_run(s->db, st, e);
}

/* While there is no file to write into. 1: there is one now; else the code of the group. */
static int refill(struct store *s, struct store_job *job, struct err *e)
{
    int rc;

    if (job->fills)
        return store_refill(s, job, e);
    if (s->p.damaged)
        return err_set(e, ERR_STATE, "%s: damaged, and the new file is not ready yet", s->path);
    rc = store_refill(s, NULL, e);
    return rc ? rc : 1;
}

static int run_group(struct store *s, const struct jobs *group, struct err *e)
{
    struct store_job *job;
    int rc;

    if (s->bare && (rc = refill(s, group->first, e)) != 1)
        return rc;
    if (s->broken && (rc = store_open_file(s, e)) != 0)
        return rc;
    s->broken = false;
    if ((rc = db_begin(s->db, e)) != 0)
        goto broken;
    for (job = group->first; job; job = job->next) {
        if ((rc = job->run(s->db, job, e)) != 0)
            goto broken;
    }
    if ((rc = raise_mark(s, e)) != 0)
        goto broken;
    if ((rc = db_commit(s->db, e)) != 0)
        return settle(s, rc);
    s->mark++;
    return 0;

broken:
    db_rollback(s->db);
    s->broken = rc != ERR_LIMIT;
    return rc;
}

static void deliver(void *arg);

/* Hands the group to the owner's loop. */
static void finish_group(struct store *s, struct jobs *group, unsigned n, double seconds, int code)
{
    uint64_t bytes = s->db ? db_bytes(s->db) : 0;
    struct store_job *job;
    bool again = true;

    for (job = group->first; job; job = job->next)
        job->code = code;
    (void)pthread_mutex_lock(&s->lock);
    s->f.groups++;
    s->f.failed += code != 0;
    s->f.jobs += code == 0 ? n : 0;
    s->f.file_bytes = bytes;
    s->tell = s->tell || s->to_tell;
    s->to_tell = false;
    if (s->n_times < sizeof s->times / sizeof s->times[0])
        s->times[s->n_times++] = seconds;
    jobs_move(&s->finished, group);
    while (again && !s->posted && !s->stop) {
        s->posted = loop_post(s->p.loop, deliver, s->ping) == 0;
        again = !s->posted;
        if (again) { /* no memory for a few bytes: the answers wait */
            (void)pthread_mutex_unlock(&s->lock);
            (void)pause_worker(s, DOUBT_FIRST_MS);
            (void)pthread_mutex_lock(&s->lock);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* Whether the job may go into one group with the n before it: one that fills a new file goes alone,
 * so that what waited before it fails, and what waits behind it is carried out on that file. */
static bool joins(const struct store *s, const struct store_job *job, unsigned n, size_t bytes)
{
    if (n == 0)
        return true;
    return n < GROUP_JOBS && bytes + job->bytes <= GROUP_BYTES && !(s->bare && job->fills);
}

/* Takes the next jobs off the queue, at least one; 0 when the store ends and none is left. */
static unsigned take_group(struct store *s, struct jobs *group)
{
    size_t bytes = 0;
    unsigned n = 0;
    bool alone = false;

    jobs_init(group);
    (void)pthread_mutex_lock(&s->lock);
    while (!s->queue.first && !s->stop)
        (void)pthread_cond_wait(&s->work, &s->lock);
    while (s->queue.first && !alone && joins(s, s->queue.first, n, bytes)) {
        struct store_job *job = s->queue.first;

        s->queue.first = job->next;
        if (!s->queue.first)
            s->queue.last = &s->queue.first;
        bytes += job->bytes;
        s->f.queued--;
        s->f.queued_bytes -= job->bytes;
        jobs_put(group, job);
        alone = s->bare && job->fills;
        n++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

static void *work(void *arg)
{
    struct store *s = arg;
    struct jobs group;
    unsigned n;

    daemon_thread(s->p.name);
    while ((n = take_group(s, &group)) > 0) {
        struct err e = {0};
        struct mono begun = clock_mono();
        int code = run_group(s, &group, &e);

        if (code == ERR_MALFORMED && !s->bare)
            store_met_damage(s, &e);
        if (code != 0)
            COMPLAIN(s->p.log, &s->complaint, clock_mono(), LOG_ERROR, s->p.name,
                     "commit failed: nothing of it is stored", kv_e(&e), kv_u("jobs", n));
        else
            log_recovered(s->p.log, &s->complaint, s->p.name, "commits succeed again");
        finish_group(s, &group, n, span_seconds(mono_sub(clock_mono(), begun)), code);
    }
    return NULL;
}

/* ---- the owner's side ---- */

/* True when the owner is to be told that the file is damaged. */
static bool answer_finished(struct store *s)
{
    struct store_job *job, *next;
    struct jobs finished;
    double times[sizeof s->times / sizeof s->times[0]];
    unsigned n;
    bool tell;

    jobs_init(&finished);
    (void)pthread_mutex_lock(&s->lock);
    jobs_move(&finished, &s->finished);
    s->posted = false;
    tell = s->tell;
    s->tell = false;
    n = s->n_times;
    s->n_times = 0;
    memcpy(times, s->times, sizeof times);
    (void)pthread_mutex_unlock(&s->lock);
    while (n > 0)
        (void)sketch_add(&s->took, times[--n], 1);
    for (job = finished.first; job; job = next) {
        next = job->next;
        job->done(job, job->code);
    }
    return tell;
}

static void deliver(void *arg)
{
    struct ping *ping = arg;

    if (ping->store && answer_finished(ping->store) && ping->store)
        ping->store->p.damaged(ping->store->p.arg);
}

/* The loop may still hold a posted ping: it is released two turns later, when that has run. */
static void release_ping(void *arg)
{
    struct ping *ping = arg;

    if (ping->rounds-- > 0)
        loop_defer(ping->loop, release_ping, ping);
    else
        free(ping);
}

int store_submit(struct store *s, struct store_job *job)
{
    int rc = 0;

    (void)pthread_mutex_lock(&s->lock);
    s->used = true;
    if (s->stop) {
        rc = ERR_STATE;
    } else if (s->p.max_bytes && s->f.queued && s->f.queued_bytes + job->bytes > s->p.max_bytes) {
        s->f.refused++;
        rc = ERR_AGAIN;
    } else {
        s->f.queued++;
        s->f.queued_bytes += job->bytes;
        jobs_put(&s->queue, job);
        (void)pthread_cond_signal(&s->work);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

struct db *store_db(struct store *s)
{
    assert(!s->used);
    return s->db;
}

static int start_thread(struct store *s, struct err *e)
{
    pthread_condattr_t attr;
    int rc;

    if (pthread_condattr_init(&attr) != 0)
        return err_set(e, ERR_NOMEM, "no memory for a store");
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->work, &attr);
    (void)pthread_condattr_destroy(&attr);
    rc = pthread_create(&s->thread, NULL, work, s);
    if (rc != 0) {
        (void)pthread_mutex_destroy(&s->lock);
        (void)pthread_cond_destroy(&s->work);
        return err_sys(e, ERR_IO, rc, "thread of the %s", s->p.name);
    }
    s->started = true;
    return 0;
}

struct store *store_open(const struct store_params *p, struct err *e)
{
    struct store *s = calloc(1, sizeof *s);

    if (s) {
        s->p = *p;
        jobs_init(&s->queue);
        jobs_init(&s->finished);
        sketch_init_scale(&s->took, NULL, SKETCH_SCALE_TIMER);
        s->path = strdup(p->path);
        s->ping = calloc(1, sizeof *s->ping);
    }
    if (!s || !s->path || !s->ping) {
        (void)err_set(e, ERR_NOMEM, "no memory for a store");
        store_close(&s);
        return NULL;
    }
    *s->ping = (struct ping){s, p->loop, 1};
    if (store_open_first(s, e) != 0 || start_thread(s, e) != 0)
        store_close(&s);
    return s;
}

void store_close(struct store **sp)
{
    struct store *s = *sp;

    if (!s)
        return;
    if (s->started) {
        (void)pthread_mutex_lock(&s->lock);
        s->stop = true;
        (void)pthread_cond_signal(&s->work);
        (void)pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->thread, NULL);
        s->ping->store = NULL;
        if (s->posted)
            loop_defer(s->p.loop, release_ping, s->ping);
        else
            free(s->ping);
        (void)answer_finished(s);
        (void)pthread_mutex_destroy(&s->lock);
        (void)pthread_cond_destroy(&s->work);
    } else {
        free(s->ping);
    }
    db_close(&s->db);
    sketch_free(&s->took);
    free(s->path);
    free(s);
    *sp = NULL;
}
