/* One command to HAProxy's runtime socket, within a deadline: a connection each, which HAProxy closes behind its answer.
 * Addresses are numbers: no name is looked up here. */
#include "aggregator/actions/haproxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int left_ms(struct mono until)
{
    int64_t ms = span_to_ms(mono_sub(until, clock_mono()));

    return ms < 0 ? 0 : ms > 600000 ? 600000 : (int)ms;
}

/* An address and a port, "[v6]:port" too, into *sa; its length, or 0. */
static socklen_t internet(const char *where, struct sockaddr_storage *sa)
{
    const char *port = strrchr(where, ':');
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    char host[64];
    socklen_t n = 0;
    bool v6 = where[0] == '[';
    size_t len = port ? (size_t)(port - where) : 0;

    if (!port || len >= sizeof host || (v6 && (len < 3 || where[len - 1] != ']')))
        return 0;
    (void)snprintf(host, sizeof host, "%.*s", (int)(v6 ? len - 2 : len), v6 ? where + 1 : where);
    if (getaddrinfo(host, port + 1, &hints, &found) != 0)
        return 0;
    if (found->ai_addrlen <= sizeof *sa) {
        memcpy(sa, found->ai_addr, found->ai_addrlen);
        n = found->ai_addrlen;
    }
    freeaddrinfo(found);
    return n;
}

static socklen_t address(const char *where, struct sockaddr_storage *sa)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (strncmp(where, "unix:", 5) != 0)
        return internet(where, sa);
    if (where[5] != '/' || strlen(where + 5) >= sizeof un.sun_path)
        return 0;
    memcpy(un.sun_path, where + 5, strlen(where + 5) + 1);
    memcpy(sa, &un, sizeof un);
    return sizeof un;
}

static bool ready_for(int fd, short what, struct haproxy_talk *k)
{
    struct pollfd p = {.fd = fd, .events = what};
    int n = poll(&p, 1, left_ms(k->until));

    if (n > 0)
        return true;
    (void)snprintf(k->why, sizeof k->why, "%s", n == 0 ? "no answer within the time" : strerror(errno));
    return false;
}

static bool fail(struct haproxy_talk *k, const char *what)
{
    (void)snprintf(k->why, sizeof k->why, "%s: %s", what, strerror(errno));
    return false;
}

static bool dial(int fd, const struct sockaddr_storage *sa, socklen_t n, struct haproxy_talk *k)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (connect(fd, (const struct sockaddr *)sa, n) == 0)
        return true;
    if (errno != EINPROGRESS && errno != EAGAIN)
        return fail(k, "no connection");
    if (!ready_for(fd, POLLOUT, k))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error) {
        errno = error ? error : errno;
        return fail(k, "no connection");
    }
    return true;
}

static bool say_all(int fd, const char *command, struct haproxy_talk *k)
{
    size_t n = strlen(command);

    while (n) {
        ssize_t w;

        if (!ready_for(fd, POLLOUT, k))
            return false;
        w = send(fd, command, n, MSG_NOSIGNAL);
        if (w < 0 && errno != EAGAIN && errno != EINTR)
            return fail(k, "the command");
        if (w > 0) {
            k->sent = true;
            command += w;
            n -= (size_t)w;
        }
    }
    return true;
}

/* Until it closes, which it does behind the answer. */
static bool hear_all(int fd, struct haproxy_talk *k)
{
    size_t n = 0;

    for (;;) {
        ssize_t r;

        if (!ready_for(fd, POLLIN, k))
            return false;
        r = recv(fd, k->text + n, sizeof k->text - 1 - n, 0);
        if (r < 0 && errno != EAGAIN && errno != EINTR)
            return fail(k, "the answer");
        if (r == 0)
            break;
        if (r > 0)
            n += (size_t)r;
        if (n == sizeof k->text - 1) {
            (void)snprintf(k->why, sizeof k->why, "the answer is too long");
            return false;
        }
    }
    k->text[n] = 0;
    return true;
}

bool haproxy_command(const char *where, const char *text, struct haproxy_talk *k)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = address(where, &sa);
    int fd = n ? socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    bool ok;

    k->text[0] = k->why[0] = 0;
    k->sent = false;
    if (fd < 0)
        return fail(k, "no socket");
    ok = dial(fd, &sa, n, k) && say_all(fd, text, k) && hear_all(fd, k);
    (void)close(fd);
    return ok;
}

bool haproxy_address_ok(const char *where)
{
    struct sockaddr_storage sa = {0};

    return address(where, &sa) != 0;
}
