/* Fence by HAProxy's runtime socket: servers into maintenance by force, and the sessions that they have are shut. What holds
 * here ends when HAProxy is started or reloaded without a server-state file: the guard looks again every few seconds and puts
 * them back. See fence.h, and HAProxy's management guide, section 9.3. */
#include "agent/guard/fence.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/net/loop.h"

enum { ANSWER = 1 << 18 };

static int wait_for(int fd, short what, const struct fence_order *o, struct err *e)
{
    struct pollfd p = {.fd = fd, .events = what};
    int n = poll(&p, 1, (int)span_to_ms(fence_left(o)));

    return n > 0    ? 0
           : n == 0 ? err_set(e, ERR_TIMEOUT, "haproxy does not answer")
                    : err_sys(e, ERR_IO, errno, "poll");
}

/* One connection, one line, the whole answer. */
static int say(const char *path, const char *line, const struct fence_order *o, struct buf *answer,
               struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd, rc = 0;

    if (strlen(path) >= sizeof a.sun_path)
        return err_set(e, ERR_LIMIT, "haproxy: the path is too long");
    memcpy(a.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        rc = err_sys(e, ERR_IO, errno, "haproxy: %s", path);
        goto out;
    }
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) {
        rc = err_set(e, ERR_IO, "haproxy does not take a command");
        goto out;
    }
    for (;;) {
        char block[4096];
        ssize_t n;

        if ((rc = wait_for(fd, POLLIN, o, e)) != 0)
            goto out;
        n = recv(fd, block, sizeof block, 0);
        if (n == 0)
            break;
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            rc = err_sys(e, ERR_IO, errno, "haproxy");
            goto out;
        }
        if (n > 0)
            buf_put(answer, block, (size_t)n);
    }
    if (answer->full)
        rc = err_set(e, ERR_LIMIT, "haproxy says more than %d bytes", ANSWER);
out:
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Commands that change something say nothing when they are taken. */
static int order(const char *path, const char *line, const struct fence_order *o, struct err *e)
{
    struct buf b;
    const char *said;
    int rc;

    buf_init(&b, NULL, ANSWER);
    rc = say(path, line, o, &b, e);
    said = buf_text(&b);
    said += strspn(said, " \r\n");
    if (rc == 0 && *said)
        rc = err_set(e, ERR_DENIED, "haproxy: %.*s", (int)strcspn(said, "\r\n"), said);
    buf_free(&b);
    return rc;
}

static int set_server(const char *path, const char *backend, const char *server, const struct fence_order *o,
                      struct err *e)
{
    bool release = o->job == GUARD_RELEASE;
    char line[512];
    int rc;

    (void)snprintf(line, sizeof line, "set server %.120s/%.120s state %s\n", backend, server,
                   release ? "ready" : "maint");
    rc = order(path, line, o, e);
    if (rc == 0 && !release) {
        (void)snprintf(line, sizeof line, "shutdown sessions server %.120s/%.120s\n", backend, server);
        rc = order(path, line, o, e);
    }
    return rc;
}

static int set_all(const char *path, struct bytes servers, const char *backend, const struct fence_order *o,
                   struct err *e)
{
    char name[128];
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && haproxy_next(servers, &at, name))
        rc = set_server(path, backend, name, o, e);
    return rc;
}

static int one(const char *path, const char *word, const struct fence_order *o, struct err *e)
{
    const char *slash = strchr(word, '/'), *server = slash ? slash + 1 : NULL;
    char backend[128], line[256];
    struct haproxy_seen seen;
    struct buf b;
    int rc;

    (void)snprintf(backend, sizeof backend, "%.*s", (int)(slash ? slash - word : (long)strlen(word)), word);
    (void)snprintf(line, sizeof line, "show servers state %s\n", backend);
    buf_init(&b, NULL, ANSWER);
    rc = say(path, line, o, &b, e);
    if (rc == 0 && haproxy_servers(buf_bytes(&b), backend, server, &seen) == 0 && !seen.servers)
        rc = err_set(e, ERR_NOTFOUND, "haproxy has no server %s", word);
    if (rc == 0 && o->job != GUARD_PROVE) {
        rc = server ? set_server(path, backend, server, o, e) : set_all(path, buf_bytes(&b), backend, o, e);
        buf_clear(&b);
        if (rc == 0)
            rc = say(path, line, o, &b, e);
    }
    if (rc == 0 && haproxy_servers(buf_bytes(&b), backend, server, &seen) != 0)
        rc = err_set(e, ERR_MALFORMED, "haproxy: %.*s", (int)strcspn(buf_text(&b), "\r\n"), buf_text(&b));
    else if (rc == 0 && o->job != GUARD_RELEASE && (!seen.servers || seen.in_maintenance != seen.servers))
        rc = err_set(e, ERR_STATE, "%u of %u servers of %s are in maintenance", seen.in_maintenance,
                     seen.servers, word);
    buf_free(&b);
    return rc;
}

/* A process that is not there forwards nothing: nobody listens on its socket. When it comes back, the next look finds its
 * servers without maintenance. */
static bool is_gone(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool gone = false;

    if (fd < 0 || strlen(path) >= sizeof a.sun_path)
        goto out;
    memcpy(a.sun_path, path, strlen(path) + 1);
    gone = connect(fd, (struct sockaddr *)&a, sizeof a) != 0 && errno == ECONNREFUSED;
out:
    if (fd >= 0)
        (void)close(fd);
    return gone;
}

int fence_haproxy(const struct guard_settings *s, const struct fence_order *o, struct err *e)
{
    const char *path = option_text(s->section, "haproxy");
    int rc = 0;

    if (o->job != GUARD_RELEASE && is_gone(path))
        return 0;
    for (size_t i = 0; rc == 0 && i < option_count(s->section, "servers"); i++)
        rc = one(path, option_word(s->section, "servers", i), o, e);
    return rc;
}
