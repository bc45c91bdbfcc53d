/* Rounds of calls: see calls_io.h.
 *
 * A job has two holders, the loop and the thread that runs it; whoever lets go last frees it, so a thread
 * that comes back after everything else has gone harms nothing. A job that missed its deadline stays on the
 * list of stuck ones until its thread returns: until then its key is answered with ETIMEDOUT and no second
 * thread goes the same way (a mount whose server is gone holds every thread that touches it, and not even a
 * signal frees it). */
#include "agent/calls_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/base/map.h"

/* Beyond so many stuck ones, no key is begun that was not well
 * in the round before: the rest of the pool is for those. */
enum { AT_ONCE = 4, STUCK_MOST = CALLS_THREADS - AT_ONCE };

struct call {
    atomic_uint holders;
    struct calls *owner; /* NULL: given up, released by what comes back. The loop's alone */
    size_t index;        /* in the round */
    struct call *next;   /* among those that are out */
    bool stuck;
    struct call_job job;
    struct call_answer answer;
    char path[PATH_MAX];
};

struct calls {
    struct calls_params p;
    struct call_job *jobs;       /* owned */
    struct call_answer *answers; /* owned */
    size_t room, n, next;        /* next: first job not yet begun */
    size_t running;              /* of this round, within their deadline */
    bool busy;
    struct call *out; /* all that are out, stuck ones among them */
    unsigned stuck;
    uint64_t *good; /* owned: keys that were well in the last round, as hashes */
    size_t n_good, good_room;
};

static void let_go(struct call *c)
{
    if (atomic_fetch_sub(&c->holders, 1) == 1)
        free(c);
}

static void call_statvfs(const char *path, struct call_answer *a)
{
    struct statvfs v;

    if (statvfs(path, &v) != 0) {
        a->code = errno;
        return;
    }
    a->v[0] = v.f_bsize;
    a->v[1] = v.f_frsize;
    a->v[2] = v.f_blocks;
    a->v[3] = v.f_bfree;
    a->v[4] = v.f_bavail;
    a->v[5] = v.f_files;
    a->v[6] = v.f_ffree;
    a->v[7] = v.f_favail;
    a->v[8] = v.f_flag;
}

static void call_number(const char *path, struct call_answer *a)
{
    char text[32];
    ssize_t n;
    char *end;
    long long v;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        a->code = errno;
        return;
    }
    n = read(fd, text, sizeof text - 1);
    if (n < 0)
        a->code = errno;
    (void)close(fd);
    if (n < 0)
        return;
    text[n] = 0;
    errno = 0;
    v = strtoll(text, &end, 10);
    if (end == text || errno || (*end && *end != '\n'))
        a->code = EINVAL;
    else
        a->v[0] = (uint64_t)v;
}

static void call_uname(struct call_answer *a)
{
    struct utsname u;
    const char *part[6] = {u.sysname, u.nodename, u.release, u.version, u.machine, u.domainname};

    if (uname(&u) != 0) {
        a->code = errno;
        return;
    }
    for (size_t i = 0; i < 6; i++)
        (void)snprintf(a->text[i], sizeof a->text[i], "%s", part[i]);
}

static void run(void *arg)
{
    struct call *c = arg;

    if (c->job.kind == CALL_STATVFS)
        call_statvfs(c->path, &c->answer);
    else
        call_number(c->path, &c->answer);
    let_go(c);
}

static void unlink_call(struct calls *cs, struct call *c)
{
    struct call **at = &cs->out;

    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
}

static void go_on(struct calls *cs);

/* On the loop: the job is back, or its deadline has passed. */
static void on_done(void *arg, bool late)
{
    struct call *c = arg;
    struct calls *cs = c->owner;

    if (!cs && !late)
        let_go(c);
    if (!cs)
        return;
    if (late) {
        cs->answers[c->index].code = ETIMEDOUT;
        c->stuck = true;
        cs->stuck++;
    } else {
        cs->answers[c->index] = c->answer;
        unlink_call(cs, c);
        let_go(c);
    }
    cs->running--;
    go_on(cs);
}

/* On the loop: a stuck job has come back after all. */
static void on_back(void *arg)
{
    struct call *c = arg;

    if (c->owner) {
        c->owner->stuck--;
        unlink_call(c->owner, c);
    }
    let_go(c);
}

static const struct call *stuck_at(const struct calls *cs, const struct call_job *job)
{
    for (const struct call *c = cs->out; c; c = c->next)
        if (c->stuck && c->job.kind == job->kind && strcmp(c->job.key, job->key) == 0)
            return c;
    return NULL;
}

static uint64_t hash_of(const struct call_job *job)
{
    const uint64_t no_seed[2] = {0, 0};

    return siphash13(no_seed, job->key, strlen(job->key)) ^ (uint64_t)job->kind;
}

static bool was_good(const struct calls *cs, const struct call_job *job)
{
    uint64_t h = hash_of(job);

    for (size_t i = 0; i < cs->n_good; i++)
        if (cs->good[i] == h)
            return true;
    return false;
}

/* At the end of a round. Without memory nothing is remembered, which is but less fair. */
static void note_good(struct calls *cs)
{
    cs->n_good = 0;
    if (cs->good_room < cs->n) {
        mem_free(cs->p.mem, cs->good, cs->good_room * sizeof *cs->good);
        cs->good = mem_array(cs->p.mem, cs->n, sizeof *cs->good);
        cs->good_room = cs->good ? cs->n : 0;
    }
    for (size_t i = 0; i < cs->n && cs->n_good < cs->good_room; i++)
        if (cs->answers[i].code == 0)
            cs->good[cs->n_good++] = hash_of(&cs->jobs[i]);
}

/* Begins one job in a worker. 0 or the errno that answers it. */
static int begin(struct calls *cs, size_t i)
{
    const struct call_job *job = &cs->jobs[i];
    struct call *c;
    int n;

    if (stuck_at(cs, job))
        return ETIMEDOUT;
    if (cs->stuck >= STUCK_MOST && !was_good(cs, job))
        return EAGAIN;
    c = malloc(sizeof *c);
    if (!c)
        return ENOMEM;
    memset(c, 0, offsetof(struct call, path));
    atomic_init(&c->holders, 2);
    c->owner = cs;
    c->index = i;
    c->job = *job;
    n = snprintf(c->path, sizeof c->path, "%s/%s", cs->p.root, job->key + (job->key[0] == '/'));
    if (n < 0 || (size_t)n >= sizeof c->path) {
        free(c);
        return ENAMETOOLONG;
    }
    if (workers_run(cs->p.workers, run, on_done, on_back, c, cs->p.timeout, NULL) != 0) {
        free(c);
        return EAGAIN;
    }
    c->next = cs->out;
    cs->out = c;
    cs->running++;
    return 0;
}

/* Begins jobs while there is room, and ends the round when nothing of it is left. */
static void go_on(struct calls *cs)
{
    while (cs->next < cs->n && cs->running < AT_ONCE) {
        size_t i = cs->next++;

        if (cs->jobs[i].kind == CALL_UNAME)
            call_uname(&cs->answers[i]);
        else
            cs->answers[i].code = begin(cs, i);
    }
    if (cs->next == cs->n && !cs->running && cs->busy) {
        cs->busy = false;
        note_good(cs);
        cs->p.done(cs->p.arg, cs->jobs, cs->answers, cs->n);
    }
}

struct calls *calls_new(const struct calls_params *p)
{
    struct calls *cs = mem_alloc(p->mem, sizeof *cs);

    if (cs)
        cs->p = *p;
    return cs;
}

void calls_free(struct calls **csp)
{
    struct calls *cs = *csp;

    if (!cs)
        return;
    while (cs->out) {
        struct call *c = cs->out;

        cs->out = c->next;
        c->owner = NULL;
        let_go(c);
    }
    mem_free(cs->p.mem, cs->good, cs->good_room * sizeof *cs->good);
    mem_free(cs->p.mem, cs->jobs, cs->room * sizeof *cs->jobs);
    mem_free(cs->p.mem, cs->answers, cs->room * sizeof *cs->answers);
    mem_free(cs->p.mem, cs, sizeof *cs);
    *csp = NULL;
}

void calls_inherit(struct calls *to, struct calls *from, struct workers *pool)
{
    if (to)
        to->p.workers = pool;
    while (from && from->out) {
        struct call *c = from->out;

        from->out = c->next;
        c->owner = c->stuck ? to : NULL;
        if (c->owner) {
            c->next = to->out;
            to->out = c;
            to->stuck++;
        }
    }
    if (to && from && from->p.mem == to->p.mem) {
        mem_free(to->p.mem, to->good, to->good_room * sizeof *to->good);
        to->good = from->good;
        to->n_good = from->n_good;
        to->good_room = from->good_room;
        from->good = NULL;
        from->n_good = from->good_room = 0;
    }
}

struct call_job *calls_room(struct calls *cs, size_t n, size_t *max)
{
    size_t room = cs->room ? cs->room : 8;
    void *jobs, *answers;

    if (cs->busy)
        return NULL;
    while (room < n && room < CALLS_MAX)
        room *= 2;
    if (room > cs->room) {
        jobs = mem_array(cs->p.mem, room, sizeof *cs->jobs);
        answers = mem_array(cs->p.mem, room, sizeof *cs->answers);
        if (!jobs || !answers) {
            mem_free(cs->p.mem, jobs, room * sizeof *cs->jobs);
            mem_free(cs->p.mem, answers, room * sizeof *cs->answers);
            *max = cs->room;
            return cs->jobs;
        }
        mem_free(cs->p.mem, cs->jobs, cs->room * sizeof *cs->jobs);
        mem_free(cs->p.mem, cs->answers, cs->room * sizeof *cs->answers);
        cs->jobs = jobs;
        cs->answers = answers;
        cs->room = room;
    }
    *max = cs->room;
    return cs->jobs;
}

void calls_begin(struct calls *cs, size_t n)
{
    cs->n = n < cs->room ? n : cs->room;
    cs->next = 0;
    cs->busy = true;
    memset(cs->answers, 0, cs->n * sizeof *cs->answers);
    go_on(cs);
}

bool calls_busy(const struct calls *cs)
{
    return cs->busy;
}

unsigned calls_stuck(const struct calls *cs)
{
    return cs->stuck;
}
