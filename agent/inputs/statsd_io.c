/* StatsD's sockets. Datagrams are read many at a time (recvmmsg), a bounded number in each
 * turn of the loop, so that a flood does not keep the ticks from coming: what then overflows
 * the socket's buffer is counted by the kernel (SO_RXQ_OVFL, socket(7)) and shown. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/inputs/statsd.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

enum { AT_ONCE = 16, ROUNDS = 16, DRAIN = 256, DATAGRAM = 65536, CONTROL = 64 };

struct statsd_listener {
    struct statsd *statsd;
    struct loop *loop;
    struct log *log;
    struct complaint complaint;
    struct event *event;
    int fd;
    uint32_t overflow; /* as the kernel last told */
    uint64_t dropped, truncated;
    char address[160];
    char path[128]; /* of a unix socket: removed at the end */
    struct mmsghdr msg[AT_ONCE];
    struct iovec iov[AT_ONCE];
    union {
        char bytes[CONTROL];
        struct cmsghdr align;
    } control[AT_ONCE];
    char (*data)[DATAGRAM]; /* owned; pages that no datagram reached are never touched */
};

/* "127.0.0.1:8125", "[::1]:8125", "localhost:8125" into a socket address. */
static int inet_address(const char *text, struct sockaddr_storage *out, socklen_t *len, struct err *e)
{
    const char *colon = strrchr(text, ':');
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)out;
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)out;
    char host[64] = "", *end;
    unsigned long port;
    size_t n;

    memset(out, 0, sizeof *out);
    port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 65536;
    n = colon ? (size_t)(colon - text) : 0;
    if (port > 65535 || *end || !n || n >= sizeof host)
        return err_set(e, ERR_MALFORMED, "found \"udp://%s\", expected udp://ADDRESS:PORT", text);
    memcpy(host, text, n);
    if (strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof host, "127.0.0.1");
    if (*host == '[' && host[n - 1] == ']') {
        host[n - 1] = 0;
        *six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        *len = sizeof *six;
        if (inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1)
            return 0;
    }
    *four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    *len = sizeof *four;
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1)
        return 0;
    return err_set(e, ERR_MALFORMED, "found \"udp://%s\", expected an IP address before the port", text);
}

static int parse_address(const char *text, struct sockaddr_storage *out, socklen_t *len, struct err *e)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)out;

    if (strncmp(text, "udp://", 6) == 0)
        return inet_address(text + 6, out, len, e);
    if (strncmp(text, "unixgram:/", 10) != 0)
        return err_set(e, ERR_MALFORMED, "found \"%s\", expected udp://ADDRESS:PORT or unixgram:/PATH", text);
    text += 9;
    if (strlen(text) >= sizeof un->sun_path)
        return err_set(e, ERR_MALFORMED, "\"%s\" is longer than the %zu bytes that a socket's path may have",
                       text, sizeof un->sun_path - 1);
    memset(out, 0, sizeof *out);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, text, strlen(text));
    *len = sizeof *un;
    return 0;
}

int statsd_address_check(const char *address, struct err *e)
{
    struct sockaddr_storage a;
    socklen_t len;

    return parse_address(address, &a, &len, e);
}

static void read_control(struct statsd_listener *l, struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        uint32_t total;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
            continue;
        memcpy(&total, CMSG_DATA(c), sizeof total);
        l->dropped += (uint32_t)(total - l->overflow);
        l->overflow = total;
    }
}

static void prepare(struct statsd_listener *l)
{
    for (int i = 0; i < AT_ONCE; i++) {
        l->iov[i] = (struct iovec){l->data[i], DATAGRAM};
        l->msg[i].msg_hdr = (struct msghdr){.msg_iov = &l->iov[i],
                                            .msg_iovlen = 1,
                                            .msg_control = l->control[i].bytes,
                                            .msg_controllen = sizeof l->control[i].bytes};
    }
}

/* At most so many rounds. */
static void take_in(struct statsd_listener *l, int rounds)
{
    struct wall now = loop_wall(l->loop);
    uint64_t before = l->dropped;

    for (int round = 0; round < rounds; round++) {
        int n;

        prepare(l);
        n = recvmmsg(l->fd, l->msg, AT_ONCE, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
            l->truncated += (l->msg[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
            read_control(l, &l->msg[i].msg_hdr);
            statsd_packet(l->statsd, now, l->data[i], l->msg[i].msg_len);
        }
        if (n < AT_ONCE)
            break;
    }
    if (l->dropped != before)
        COMPLAIN(l->log, &l->complaint, loop_mono(l->loop), LOG_WARN, "statsd",
                 "datagrams came faster than they could be read", kv_s("listen", l->address),
                 kv_u("dropped", l->dropped));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    take_in(arg, ROUNDS);
}

void statsd_listener_drain(struct statsd_listener *l)
{
    take_in(l, DRAIN);
}

/* A socket file that nobody listens to any more is removed; anything else is left alone. */
static int make_way(const struct sockaddr_un *un, struct err *e)
{
    struct stat st;
    int fd, alive;

    if (lstat(un->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_EXISTS, "%s is there and is no socket", un->sun_path);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    alive = fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof *un) == 0;
    if (fd >= 0)
        (void)close(fd);
    if (alive)
        return err_set(e, ERR_EXISTS, "%s is in use", un->sun_path);
    return unlink(un->sun_path) == 0 ? 0 : err_sys(e, ERR_IO, errno, "%s cannot be removed", un->sun_path);
}

static int open_socket(struct statsd_listener *l, int receive_buffer, struct err *e)
{
    struct sockaddr_storage a;
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&a;
    socklen_t len;
    int one = 1, rc = parse_address(l->address, &a, &len, e);

    if (rc == 0 && a.ss_family == AF_UNIX)
        rc = make_way(un, e);
    if (rc != 0)
        return rc;
    l->fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return err_sys(e, ERR_IO, errno, "%s", l->address);
    if (setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) != 0)
        (void)setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    (void)setsockopt(l->fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    if (bind(l->fd, (struct sockaddr *)&a, len) != 0)
        return err_sys(e, ERR_IO, errno, "%s", l->address);
    if (a.ss_family == AF_UNIX) {
        (void)snprintf(l->path, sizeof l->path, "%s", un->sun_path);
        if (chmod(l->path, 0666) != 0) /* applications of any user; the folder's mode may narrow it */
            return err_sys(e, ERR_IO, errno, "%s", l->address);
    }
    return 0;
}

struct statsd_listener *statsd_listen(struct loop *loop, struct log *log, const char *address,
                                      int receive_buffer, struct statsd *s, struct err *e)
{
    struct statsd_listener *l = calloc(1, sizeof *l);

    if (!l) {
        (void)err_set(e, ERR_NOMEM, "no memory for %s", address);
        return NULL;
    }
    l->statsd = s;
    l->loop = loop;
    l->log = log;
    l->fd = -1;
    (void)snprintf(l->address, sizeof l->address, "%s", address);
    l->data = malloc((size_t)AT_ONCE * sizeof *l->data);
    if (!l->data || open_socket(l, receive_buffer, e) != 0) {
        if (!l->data)
            (void)err_set(e, ERR_NOMEM, "no memory for %s", address);
        statsd_listener_free(&l);
        return NULL;
    }
    l->event = event_new(loop_base(loop), l->fd, EV_READ | EV_PERSIST, on_readable, l);
    if (!l->event || event_add(l->event, NULL) != 0) {
        (void)err_set(e, ERR_NOMEM, "no memory for %s", address);
        statsd_listener_free(&l);
    }
    return l;
}

void statsd_listener_free(struct statsd_listener **lp)
{
    struct statsd_listener *l = *lp;

    if (!l)
        return;
    if (l->event)
        event_free(l->event);
    if (l->fd >= 0)
        (void)close(l->fd);
    if (*l->path)
        (void)unlink(l->path);
    free(l->data);
    free(l);
    *lp = NULL;
}

unsigned statsd_listener_port(const struct statsd_listener *l)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;

    if (getsockname(l->fd, (struct sockaddr *)&a, &len) != 0)
        return 0;
    if (a.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)(void *)&a)->sin_port);
    return a.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)(void *)&a)->sin6_port) : 0;
}

uint64_t statsd_listener_dropped(const struct statsd_listener *l)
{
    return l->dropped;
}

static const struct metric_row rows[] = {
    {"securebase_agent_statsd_dropped_packets_total", METRIC_COUNTER, 1, 1, "listen",
     "StatsD datagrams that the kernel dropped because the socket's buffer was full."},
    {"securebase_agent_statsd_truncated_packets_total", METRIC_COUNTER, 1, 1, "listen",
     "StatsD datagrams longer than 64 KiB, whose end was lost."},
};

void statsd_listener_metrics(struct statsd_listener *const *l, size_t n, struct sink *out)
{
    for (size_t i = 0; i < n; i++) {
        struct text where = text_of(l[i]->address);

        sink_uint(out, &rows[0], &where, l[i]->dropped);
        sink_uint(out, &rows[1], &where, l[i]->truncated);
    }
}
