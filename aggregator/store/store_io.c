/* The thread of a store and its group commit: see store.h. The lock guards the queue, the list of finished
 * jobs and the figures; the database is touched by the worker alone once the first job has been handed in,
 * and by the owner before. */
#include "aggregator/store/store.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/daemon/daemon.h"
#include "common/sketch/sketch.h"

enum { GROUP_JOBS = 256, GROUP_BYTES = 8 << 20, DOUBT_FIRST_MS = 100, DOUBT_MOST_MS = 5000 };

/* What is posted to the loop: outlives the store when the store goes first. */
struct ping {
    struct store *store; /* NULL once it has gone; touched by the owner's thread alone */
    struct loop *loop;
    int rounds;
};

struct jobs {
    struct store_job *first, **last;
};

struct figures {
    uint64_t jobs, groups, failed, reopened, set_aside, refused, file_bytes;
    size_t queued, queued_bytes;
    bool in_doubt;
};

struct store {
    struct store_params p;
    char *path;
    struct db *db;
    bool broken;  /* worker: to be opened again before the next group */
    int64_t mark; /* worker: of the last group known to be there */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct jobs queue, finished;
    bool stop, posted, used;
    struct figures f;
    struct sketch took; /* owner: seconds of commits, with their statements */
    double times[64];   /* seconds of the latest groups, not yet in the sketch */
    unsigned n_times;
    struct ping *ping;
    struct complaint complaint;
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

/* ---- the file ---- */

static int read_mark(struct db *db, int64_t *mark, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "SELECT n FROM store_mark", e);
    int rc = st ? db_row(db, st, e) : e->code;

    if (rc == 0)
        return err_set(e, ERR_MALFORMED, "the mark of the store is missing");
    if (rc < 0)
        return rc;
    *mark = sqlite3_column_int64(st, 0);
    return db_row(db, st, e);
}

static int open_file(struct store *s, struct err *e)
{
    db_close(&s->db);
    s->db = db_open(s->path, s->p.steps, s->p.n_steps, e);
    return s->db ? read_mark(s->db, &s->mark, e) : e->code;
}

int store_renew(struct store *s, struct err *e)
{
    struct err why = {0};
    int rc;

    assert(!s->used);
    db_close(&s->db);
    if ((rc = db_set_aside(s->path, e)) != 0)
        return rc;
    s->f.set_aside++;
    LOG(s->p.log, LOG_ERROR, s->p.name, "the file is damaged: set aside, beginning a new one",
        kv_s("path", s->path), kv_s("kept", "path.damaged-N"));
    rc = open_file(s, &why);
    return rc ? err_set(e, rc, "%s", why.text) : 0;
}

static int open_first(struct store *s, struct err *e)
{
    int rc = open_file(s, e);

    return rc == ERR_MALFORMED ? store_renew(s, e) : rc;
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

/* A COMMIT failed with `code`: opens the file anew and looks. 0 when the group is there after all (and, by a
 * checkpoint, written afresh and synced), else the code. */
static int settle(struct store *s, int code)
{
    int64_t before = s->mark;
    int wait = DOUBT_FIRST_MS;

    for (;;) {
        struct err e = {0};
        int rc = open_file(s, &e);

        if (rc == 0 && s->mark != before)
            rc = db_exec(s->db, "PRAGMA wal_checkpoint(TRUNCATE)", &e);
        if (rc == 0) {
            set_doubt(s, false);
            return s->mark == before ? code : 0;
        }
        s->mark = before;
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

static int run_group(struct store *s, const struct jobs *group, struct err *e)
{
    struct store_job *job;
    int rc;

    if (s->broken && (rc = open_file(s, e)) != 0)
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

/* Takes the next jobs off the queue, at least one; 0 when the store ends and none is left. */
static unsigned take_group(struct store *s, struct jobs *group)
{
    size_t bytes = 0;
    unsigned n = 0;

    jobs_init(group);
    (void)pthread_mutex_lock(&s->lock);
    while (!s->queue.first && !s->stop)
        (void)pthread_cond_wait(&s->work, &s->lock);
    while (s->queue.first && n < GROUP_JOBS && (n == 0 || bytes + s->queue.first->bytes <= GROUP_BYTES)) {
        struct store_job *job = s->queue.first;

        s->queue.first = job->next;
        if (!s->queue.first)
            s->queue.last = &s->queue.first;
        bytes += job->bytes;
        s->f.queued--;
        s->f.queued_bytes -= job->bytes;
        jobs_put(group, job);
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

static void answer_finished(struct store *s)
{
    struct store_job *job, *next;
    struct jobs finished;
    double times[sizeof s->times / sizeof s->times[0]];
    unsigned n;

    jobs_init(&finished);
    (void)pthread_mutex_lock(&s->lock);
    jobs_move(&finished, &s->finished);
    s->posted = false;
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
}

static void deliver(void *arg)
{
    struct ping *ping = arg;

    if (ping->store)
        answer_finished(ping->store);
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
    if (open_first(s, e) != 0 || start_thread(s, e) != 0)
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
        answer_finished(s);
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

/* ---- figures ---- */

enum row {
    JOBS,
    GROUPS,
    FAILED,
    REOPENED,
    ASIDE,
    REFUSED,
    QUEUE,
    QUEUE_BYTES,
    QUEUE_LIMIT,
    FILE_BYTES,
    DOUBT,
    TOOK
};
static const struct metric_row rows[] = {
    [JOBS] = {"securebase_aggregator_store_jobs_total", METRIC_COUNTER, 1, 1, "store",
              "Jobs that a store has made durable."},
    [GROUPS] = {"securebase_aggregator_store_commits_total", METRIC_COUNTER, 1, 1, "store",
                "Transactions of a store, failed ones included."},
    [FAILED] = {"securebase_aggregator_store_failed_commits_total", METRIC_COUNTER, 1, 1, "store",
                "Transactions of a store that failed and left nothing behind."},
    [REOPENED] = {"securebase_aggregator_store_reopened_total", METRIC_COUNTER, 1, 1, "store",
                  "Times that a store's file was opened again after a commit whose fate was unknown."},
    [ASIDE] = {"securebase_aggregator_store_set_aside_total", METRIC_COUNTER, 1, 1, "store",
               "Damaged files set aside since the start."},
    [REFUSED] = {"securebase_aggregator_store_refused_jobs_total", METRIC_COUNTER, 1, 1, "store",
                 "Jobs not taken because the queue of the store was full."},
    [QUEUE] = {"securebase_aggregator_store_queue_jobs", METRIC_GAUGE, 1, 1, "store",
               "Jobs that wait for a store."},
    [QUEUE_BYTES] = {"securebase_aggregator_store_queue_bytes", METRIC_GAUGE, 1, 1, "store",
                     "Bytes of the jobs that wait for a store."},
    [QUEUE_LIMIT] = {"securebase_aggregator_store_queue_limit_bytes", METRIC_GAUGE, 1, 1, "store",
                     "Bytes that may wait for a store."},
    [FILE_BYTES] = {"securebase_aggregator_store_file_bytes", METRIC_GAUGE, 1, 1, "store",
                    "Size of a store's file after its last commit."},
    [DOUBT] = {"securebase_aggregator_store_in_doubt", METRIC_GAUGE, 1, 1, "store",
               "1 while it cannot be told whether a commit is stored."},
    [TOOK] = {"securebase_aggregator_store_commit_seconds", METRIC_SKETCH, 1, 1, "store",
              "Time of a transaction with its statements and its sync."},
};

void store_metrics(const struct store *cs, struct sink *out)
{
    struct store *s = (struct store *)(uintptr_t)cs; /* for its lock */
    struct text label = text_of(s->p.name);
    struct figures f;

    (void)pthread_mutex_lock(&s->lock);
    f = s->f;
    (void)pthread_mutex_unlock(&s->lock);
    sink_uint(out, &rows[JOBS], &label, f.jobs);
    sink_uint(out, &rows[GROUPS], &label, f.groups);
    sink_uint(out, &rows[FAILED], &label, f.failed);
    sink_uint(out, &rows[REOPENED], &label, f.reopened);
    sink_uint(out, &rows[ASIDE], &label, f.set_aside);
    sink_uint(out, &rows[REFUSED], &label, f.refused);
    sink_uint(out, &rows[QUEUE], &label, f.queued);
    sink_uint(out, &rows[QUEUE_BYTES], &label, f.queued_bytes);
    if (s->p.max_bytes)
        sink_uint(out, &rows[QUEUE_LIMIT], &label, s->p.max_bytes);
    sink_uint(out, &rows[FILE_BYTES], &label, f.file_bytes);
    sink_int(out, &rows[DOUBT], &label, f.in_doubt);
    sink_sketch(out, &rows[TOOK], &label, &s->took);
}
