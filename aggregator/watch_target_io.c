/* Asking one target: see watch_target.h.
 *
 * Each time by a new connection: a kept one would hide that nobody accepts any more, and a listener's backlog that a dead
 * process has left. HTTP goes by libcurl on the loop. For tcp:// the name is looked up and the connection made in a worker,
 * since getaddrinfo blocks; the deadline holds for both together. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aggregator/watch_target.h"

enum { ANSWER_MOST = 1 << 20, LATE_MS = 100 };

struct target_job {   /* of tcp:// */
    struct target *t; /* NULL: the target is gone */
    char host[256], port[8];
    int timeout_ms;
    char reason[24];
};

int target_ways_open(struct target_ways *w, struct loop *l, const char *ca, unsigned most, struct err *e)
{
    const struct http_client_params http = {.ca = ca && *ca ? ca : NULL, .max_connections = most};

    w->loop = l;
    w->http = http_client_new(l, &http, e);
    w->workers = w->http ? workers_new(l, most, e) : NULL;
    if (w->workers)
        return 0;
    target_ways_close(w);
    return e->code;
}

void target_ways_close(struct target_ways *w)
{
    http_client_free(&w->http);
    workers_free(&w->workers);
}

/* ---- results ---- */

static void ended(struct target *t, bool good)
{
    t->good = good;
    t->at = loop_mono(t->ways->loop);
    t->took = mono_sub(clock_mono(), t->began);
    t->runs++;
    t->failures += !good;
    t->done(t->arg, t);
}

static void answered(void *arg, const struct http_result *r)
{
    struct target *t = arg;

    t->call = NULL;
    t->status = r->code == 0 ? r->status : 0;
    ended(t, target_judge(t->any_answer, r->code, r->status, r->reason, t->reason, sizeof t->reason));
}

/* ---- tcp:// ---- */

static int64_t left_ms(struct mono until)
{
    int64_t left = span_to_ms(mono_sub(until, clock_mono()));

    return left > 0 ? left : 0;
}

/* NULL when connected, else the reason. */
static const char *connect_to(const struct addrinfo *a, struct mono until)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol), error = 0;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    socklen_t n = sizeof error;
    const char *why = "connect";

    if (fd < 0)
        return why;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        why = NULL;
    else if (errno == EINPROGRESS && poll(&p, 1, (int)left_ms(until)) == 0)
        why = "timeout";
    else if (errno == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0)
        why = NULL;
    (void)close(fd);
    return why;
}

static void job_run(void *arg)
{
    struct target_job *j = arg;
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct mono until = mono_add(clock_mono(), span_ms(j->timeout_ms));
    struct addrinfo *found = NULL;
    const char *why = "dns";

    if (getaddrinfo(j->host, j->port, &want, &found) == 0)
        for (const struct addrinfo *a = found; a && why; a = a->ai_next)
            why = connect_to(a, until);
    if (found)
        freeaddrinfo(found);
    (void)snprintf(j->reason, sizeof j->reason, "%s", why ? why : "");
}

static void job_done(void *arg, bool late)
{
    struct target_job *j = arg;
    struct target *t = j->t;

    if (t) {
        t->job = NULL;
        (void)snprintf(t->reason, sizeof t->reason, "%s", late ? "timeout" : j->reason);
    }
    j->t = NULL;
    if (!late) {
        bool good = !*j->reason;

        free(j);
        if (t)
            ended(t, good);
    } else if (t) {
        ended(t, false);
    }
}

static bool ask_tcp(struct target *t)
{
    struct target_job *j = calloc(1, sizeof *j);
    struct err e = {0};

    if (!j)
        return false;
    j->t = t;
    j->timeout_ms = (int)span_to_ms(t->timeout);
    memcpy(j->host, t->host, sizeof j->host);
    memcpy(j->port, t->port, sizeof j->port);
    if (workers_run(t->ways->workers, job_run, job_done, free, j, span_ms(j->timeout_ms + LATE_MS), &e) !=
        0) {
        free(j);
        return false;
    }
    t->job = j;
    return true;
}

/* ---- asking ---- */

static bool ask(struct target *t)
{
    const struct http_request r = {
        .method = "GET", .url = t->url, .timeout = t->timeout, .max_answer = ANSWER_MOST, .fresh = true};
    struct err e = {0};

    t->began = clock_mono();
    if (t->tcp)
        return ask_tcp(t);
    t->call = http_client_send(t->ways->http, &r, answered, t, &e);
    return t->call != NULL;
}

static void due(void *arg)
{
    struct target *t = arg;

    timer_set(t->timer, t->every);
    if (t->call || t->job)
        t->skipped++;
    else
        t->unasked += !ask(t);
}

int target_open(struct target *t, const struct target_ways *w, const char *url, struct err *e)
{
    bool http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;

    t->ways = w;
    t->tcp = !http;
    (void)snprintf(t->url, sizeof t->url, "%s", url);
    if (!http && !target_split(url, t->host, sizeof t->host, t->port, sizeof t->port))
        return err_set(e, ERR_MALFORMED, "found \"%.200s\", expected http://, https:// or tcp://HOST:PORT",
                       url);
    t->timer = timer_new(w->loop, due, t);
    return t->timer ? 0 : err_set(e, ERR_NOMEM, "no memory");
}

void target_close(struct target *t)
{
    timer_free(&t->timer);
    if (t->call)
        http_call_cancel(&t->call);
    if (t->job)
        t->job->t = NULL;
    t->job = NULL;
}

void target_pace(struct target *t, struct span every, struct span first)
{
    t->every = every;
    timer_set(t->timer, first);
}
