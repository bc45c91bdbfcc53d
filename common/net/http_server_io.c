/* The HTTP server's listener and budget: see http_server.h. */
#include "common/net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/net/http_internal.h"

enum { BACKLOG = 511, RETRY_MS = 500 };

static void resume(struct http_server *s, bool accept)
{
    if (accept == !s->paused || !s->listener)
        return;
    s->paused = !accept;
    if (accept) {
        evconnlistener_enable(s->listener);
    } else {
        s->stats.refused_budget++;
        evconnlistener_disable(s->listener);
    }
}

/* At the limit we accept only while somebody idle can make room. */
void server_budget(struct http_server *s)
{
    resume(s, !s->draining && (s->stats.connections < s->p.max_connections || s->evictable > 0));
}

/* Before, in order of eviction: what has begun a head goes after what has not. */
static bool goes_before(const struct http_conn *a, const struct http_conn *b)
{
    return conn_quiet(a) != conn_quiet(b) ? conn_quiet(a) : mono_before(a->idle_since, b->idle_since);
}

/* A flood of strangers makes room for itself, not at the cost of those that are known. */
static void evict(struct http_server *s)
{
    bool strangers = s->strangers > s->p.max_connections / 8;
    struct http_conn *oldest = NULL;

    for (struct http_conn *c = s->conns; c; c = c->next) {
        if (conn_evictable(c) && !(strangers && c->known) && (!oldest || goes_before(c, oldest)))
            oldest = c;
    }
    if (oldest) {
        s->stats.evicted++;
        conn_free(oldest);
    }
}

static unsigned count_address(const struct http_server *s, const char *address)
{
    unsigned n = 0;

    for (const struct http_conn *c = s->conns; c; c = c->next)
        n += strcmp(c->address, address) == 0;
    return n;
}

static void address_text(const struct sockaddr *sa, char *out, size_t cap)
{
    const void *addr = NULL;

    if (sa->sa_family == AF_INET) {
        addr = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    } else if (sa->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(six)) {
            (void)inet_ntop(AF_INET, &six->s6_addr[12], out, (socklen_t)cap);
            return;
        }
        addr = six;
    }
    if (!addr || !inet_ntop(sa->sa_family, addr, out, (socklen_t)cap))
        (void)snprintf(out, cap, "unix");
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
    struct http_server *s = arg;
    char address[64];

    (void)l;
    (void)len;
    address_text(sa, address, sizeof(address));
    if (s->p.max_per_address && !s->unix_path && count_address(s, address) >= s->p.max_per_address) {
        s->stats.refused_address++;
        close(fd);
        return;
    }
    s->stats.accepted++;
    if (s->stats.connections >= s->p.max_connections)
        evict(s);
    (void)conn_new(s, fd, address);
    server_budget(s);
}

/* Out of descriptors or memory: the listener stays readable, so that trying on would spin. */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
    struct http_server *s = arg;

    (void)l;
    resume(s, false);
    timer_set(s->retry, span_ms(RETRY_MS));
}

static void on_retry(void *arg)
{
    server_budget(arg);
}

/* ---- addresses ---- */

/* "host:port", "[v6]:port", ":port" in place. */
static int split_address(char *text, char **host, char **port, struct err *e)
{
    char *colon = strrchr(text, ':');

    if (!colon || !colon[1])
        return err_set(e, ERR_CONFIG, "listen: \"%s\" has no port", text);
    *colon = 0;
    *port = colon + 1;
    *host = text;
    if (*text == '[') {
        if (colon == text || colon[-1] != ']')
            return err_set(e, ERR_CONFIG, "listen: \"%s\" lacks a bracket", text);
        colon[-1] = 0;
        *host = text + 1;
    }
    return 0;
}

static int bind_tcp(struct http_server *s, const char *listen_on, struct err *e)
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *ai = NULL;
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    char text[256], *host = NULL, *port = NULL;
    int fd, one = 1, rc;

    (void)snprintf(text, sizeof(text), "%s", listen_on);
    if (split_address(text, &host, &port, e) != 0)
        return -1;
    rc = getaddrinfo(*host ? host : NULL, port, &want, &ai);
    if (rc) {
        err_set(e, ERR_CONFIG, "listen: %s: %s", listen_on, gai_strerror(rc));
        return -1;
    }
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
                    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
                    getsockname(fd, (struct sockaddr *)&bound, &len) != 0)) {
        err_sys(e, ERR_IO, errno, "listen: %s", listen_on);
        close(fd);
        fd = -1;
    } else if (fd < 0) {
        err_sys(e, ERR_IO, errno, "listen: %s", listen_on);
    } else {
        s->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                    : ((struct sockaddr_in *)&bound)->sin_port);
    }
    freeaddrinfo(ai);
    return fd;
}

/* A socket file left behind by one that died is removed; one that answers is not. */
static int clear_stale(const struct sockaddr_un *un, struct err *e)
{
    struct stat st;
    int fd, alive;

    if (lstat(un->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_EXISTS, "listen: %s is there and is not a socket", un->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    alive = fd >= 0 && (connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    if (alive)
        return err_set(e, ERR_EXISTS, "listen: %s is in use by another process", un->sun_path);
    return unlink(un->sun_path) == 0 ? 0 : err_sys(e, ERR_IO, errno, "listen: %s", un->sun_path);
}

/* Nobody can connect before listen(2), so that the mode is right in time. */
static int bind_unix(struct http_server *s, const char *path, mode_t mode, struct err *e)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(un.sun_path)) {
        err_set(e, ERR_CONFIG, "listen: %s is longer than a socket's name may be", path);
        return -1;
    }
    memcpy(un.sun_path, path, strlen(path));
    if (clear_stale(&un, e) != 0)
        return -1;
    s->unix_path = strdup(path);
    fd = s->unix_path ? socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || chmod(path, mode) != 0) {
        err_sys(e, ERR_IO, errno, "listen: %s", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* ---- the server ---- */

static void set_defaults(struct http_server_params *p)
{
    p->unix_mode = p->unix_mode ? p->unix_mode : 0660;
    p->max_connections = p->max_connections ? p->max_connections : 1024;
    p->max_header = p->max_header ? p->max_header : 16 * 1024;
    p->max_body = p->max_body ? p->max_body : 64 * 1024;
    p->max_buffered = p->max_buffered ? p->max_buffered : 128 * 1024 * 1024;
    p->request_timeout = p->request_timeout.ns > 0 ? p->request_timeout : span_s(15);
    p->answer_timeout = p->answer_timeout.ns > 0 ? p->answer_timeout : span_s(60);
    p->idle_timeout = p->idle_timeout.ns > 0 ? p->idle_timeout : span_s(120);
}

struct http_server *http_server_new(struct loop *l, const struct http_server_params *p, http_handler handler,
                                    void *arg, struct err *e)
{
    struct http_server *s = calloc(1, sizeof(*s));
    int fd;

    if (!s || !(s->retry = timer_new(l, on_retry, s))) {
        err_set(e, ERR_NOMEM, "no memory for a server");
        free(s);
        return NULL;
    }
    s->loop = l;
    s->p = *p;
    s->handler = handler;
    s->arg = arg;
    set_defaults(&s->p);
    fd = strncmp(p->listen, "unix:", 5) == 0 ? bind_unix(s, p->listen + 5, s->p.unix_mode, e)
                                             : bind_tcp(s, p->listen, e);
    if (fd < 0)
        goto out;
    s->listener = evconnlistener_new(loop_base(l), on_accept, s,
                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
    if (!s->listener) {
        err_sys(e, ERR_IO, errno, "listen: %s", p->listen);
        close(fd);
        goto out;
    }
    evconnlistener_set_error_cb(s->listener, on_accept_error);
    s->p.listen = NULL;
    return s;
out:
    http_server_free(&s);
    return NULL;
}

void http_server_drain(struct http_server *s)
{
    struct http_conn *next;

    s->draining = true;
    server_budget(s);
    for (struct http_conn *c = s->conns; c; c = next) {
        next = c->next;
        if (conn_quiet(c))
            conn_free(c);
    }
}

void http_server_free(struct http_server **sp)
{
    struct http_server *s = *sp;

    if (!s)
        return;
    s->draining = true;
    while (s->conns)
        conn_free(s->conns);
    if (s->listener)
        evconnlistener_free(s->listener);
    if (s->unix_path && s->listener)
        (void)unlink(s->unix_path);
    free(s->unix_path);
    timer_free(&s->retry);
    free(s);
    *sp = NULL;
}

unsigned http_server_port(const struct http_server *s)
{
    return s->port;
}

struct http_server_stats http_server_stats(const struct http_server *s)
{
    return s->stats;
}
