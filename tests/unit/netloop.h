/* For tests of what talks over the network: one loop with a server and a client on it, calls run to their
 * end, raw conversations held by a worker thread with blocking sockets. */
#ifndef SB_TESTS_NETLOOP_H
#define SB_TESTS_NETLOOP_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/net/http_client.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"

/* A copy of a result that outlives the callback. */
struct answer {
    struct loop *loop;
    unsigned calls;
    struct http_result r;
    char body[4096], type[128], retry_after[64], headers[2048];
};

static inline void answer_keep(void *arg, const struct http_result *r)
{
    struct answer *a = arg;

    a->calls++;
    a->r = *r;
    snprintf(a->body, sizeof(a->body), "%.*s", (int)r->body.n, r->body.p ? (const char *)r->body.p : "");
    snprintf(a->headers, sizeof(a->headers), "%.*s", (int)r->headers.n,
             r->headers.p ? (const char *)r->headers.p : "");
    snprintf(a->type, sizeof(a->type), "%s", r->content_type);
    snprintf(a->retry_after, sizeof(a->retry_after), "%s", r->retry_after);
    loop_stop(a->loop);
}

/* One raw conversation: sends `say` in pieces, reads until the other side closes. */
struct raw {
    struct loop *loop;
    unsigned port;
    const char *unix_path;
    const char *say;
    size_t len;     /* 0: strlen(say) */
    unsigned piece; /* bytes at a time, with pause_ms between; 0: all at once */
    unsigned pause_ms;
    bool half_close;  /* after having said it */
    size_t flood;     /* this many bytes more of 'x' after it */
    bool slow_reader; /* never reads, until the other side has closed or 60 s have passed */
    char heard[8192];
    size_t n;
    bool closed, reset; /* by the other side */
    bool blocked;       /* could not even say it all */
};

static inline int raw_connect(const struct raw *r)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)r->port)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 60};
    int fd;

    if (r->unix_path) {
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", r->unix_path);
        if (connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0)
            abort();
    } else {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0)
            abort();
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

static inline void raw_say(struct raw *r, int fd)
{
    size_t len = r->len ? r->len : strlen(r->say), step = r->piece ? r->piece : len;
    char filler[4096];

    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step;

        if (send(fd, r->say + at, n, MSG_NOSIGNAL) != (ssize_t)n) {
            r->blocked = true;
            return;
        }
        if (r->pause_ms)
            usleep(r->pause_ms * 1000);
    }
    memset(filler, 'x', sizeof(filler));
    for (size_t at = 0; at < r->flood; at += sizeof(filler)) {
        if (send(fd, filler, sizeof(filler), MSG_NOSIGNAL) < 0) {
            r->blocked = true;
            return;
        }
    }
    if (r->half_close)
        shutdown(fd, SHUT_WR);
}

static inline void raw_run(void *arg)
{
    struct raw *r = arg;
    int fd = raw_connect(r), small = 4096;

    if (r->slow_reader)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    raw_say(r, fd);
    if (r->slow_reader) {
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);
        int err = 0;

        for (int i = 0; i < 6000 && !r->reset; i++) { /* a reset shows as an error on the socket */
            usleep(10000);
            len = sizeof(err);
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
            r->reset = err == ECONNRESET || send(fd, "", 0, MSG_NOSIGNAL) < 0 ||
                       (i % 20 == 19 && send(fd, "x", 1, MSG_NOSIGNAL) < 0);
        }
        (void)peer;
    }
    for (;;) {
        char buf[4096];
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        if (n <= 0) {
            r->closed = n == 0 || errno == ECONNRESET || errno == EPIPE;
            r->reset = r->reset || (n < 0 && errno == ECONNRESET);
            break;
        }
        if (r->n + (size_t)n < sizeof(r->heard))
            memcpy(r->heard + r->n, buf, (size_t)n);
        r->n += (size_t)n;
    }
    r->heard[r->n < sizeof(r->heard) ? r->n : sizeof(r->heard) - 1] = 0;
    close(fd);
}

static inline void raw_done(void *arg, bool late)
{
    struct raw *r = arg;

    if (late)
        abort();
    loop_stop(r->loop);
}

static inline void raw_talk(struct workers *w, struct loop *l, struct raw *r)
{
    r->loop = l;
    if (workers_run(w, raw_run, raw_done, NULL, r, span_s(200), NULL) != 0)
        abort();
    loop_run(l);
}

#endif
