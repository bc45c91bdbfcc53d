/* One connection of the HTTP server: handshake, head, body, handler, answer, and again.
 *
 * Deadlines are absolute: nothing that a peer sends, byte by byte, puts them off. Only what the present
 * request needs is read; while it is handled and answered nothing is, so that a connection never holds more
 * than one head and one body, and pipelined requests wait in the kernel. A peer that is told of an error
 * while still sending gets a bounded time and amount of reading on, since a close with unread data becomes a
 * reset that can take the answer with it (RFC 9112 §9.6). */
#include "common/net/http_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "common/net/openssl.h"

enum { LINGER_S = 2, LINGER_BODIES = 4, CHUNK_ROOM = 65536 };

static void conn_process(struct http_conn *c);

static void set_state(struct http_conn *c, enum conn_state state)
{
    struct http_server *s = c->s;

    if (conn_evictable(c)) {
        s->evictable--;
        s->strangers -= !c->known;
    }
    c->state = state;
    if (conn_evictable(c)) {
        s->evictable++;
        s->strangers += !c->known;
    }
}

/* Not in a state in which it is counted as a stranger. */
static void become_known(struct http_conn *c)
{
    enum conn_state state = c->state;

    set_state(c, CONN_HANDLING);
    c->known = true;
    set_state(c, state);
}

void conn_free(struct http_conn *c)
{
    struct http_server *s = c->s;

    set_state(c, CONN_LINGER);
    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->stats.connections--;
    if (c->x && !c->x->given)
        exchange_free(c->x);
    if (c->x) { /* its handler has yet to answer */
        s->stats.buffered -= c->x->reserved;
        c->x->conn = NULL;
        c->x->owns_identity = true;
    } else {
        free(c->identity);
    }
    timer_free(&c->deadline);
    if (c->linger_event)
        event_free(c->linger_event);
    if (c->bev)
        bufferevent_free(c->bev);
    SSL_free(c->ssl);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
    server_budget(s);
}

/* ---- the end ---- */

static void on_linger(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    char away[16384];
    ssize_t n = recv(fd, away, sizeof(away), MSG_DONTWAIT);

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n >= c->linger_left) {
        conn_free(c);
        return;
    }
    c->linger_left -= (size_t)n;
}

static void linger(struct http_conn *c)
{
    struct http_server *s = c->s;

    shutdown(c->fd, SHUT_WR);
    bufferevent_free(c->bev);
    c->bev = NULL;
    set_state(c, CONN_LINGER);
    c->linger_left = LINGER_BODIES * (s->p.max_body + s->p.max_header);
    c->linger_event = event_new(loop_base(s->loop), c->fd, EV_READ | EV_PERSIST, on_linger, c);
    if (!c->linger_event || event_add(c->linger_event, NULL) != 0) {
        conn_free(c);
        return;
    }
    timer_set(c->deadline, span_s(LINGER_S));
}

static void conn_finish(struct http_conn *c)
{
    if (c->ssl)
        (void)SSL_shutdown(c->ssl); /* close_notify, as far as the socket takes it now */
    ERR_clear_error();
    if (c->linger || evbuffer_get_length(bufferevent_get_input(c->bev)))
        linger(c);
    else
        conn_free(c);
}

/* ---- a request ---- */

static void become_idle(struct http_conn *c, struct span patience)
{
    set_state(c, CONN_IDLE);
    c->idle_since = loop_mono(c->s->loop);
    timer_set(c->deadline, patience);
    bufferevent_setwatermark(c->bev, EV_READ, 0, c->s->p.max_header);
    bufferevent_enable(c->bev, EV_READ);
    server_budget(c->s);
}

static void dispatch(struct http_conn *c)
{
    static const int statuses[] = {[HTTP_TOO_LARGE] = 413,
                                   [HTTP_CHUNKED] = 411,
                                   [HTTP_BAD_LENGTH] = 400,
                                   [HTTP_BUSY] = 503,
                                   [HTTP_UNWANTED] = 403};
    struct http_server *s = c->s;
    struct http_exchange *x = c->x;

    set_state(c, CONN_HANDLING);
    timer_stop(c->deadline);
    bufferevent_disable(c->bev, EV_READ);
    s->stats.requests++;
    x->given = true;
    if (x->refusal != HTTP_FINE && !s->p.judge_refused)
        exchange_plain(x, statuses[x->refusal]);
    else
        s->handler(s->arg, x);
}

/* No memory: the end, but not under the feet of our callers. */
static void give_up(struct http_conn *c)
{
    set_state(c, CONN_HANDLING);
    bufferevent_disable(c->bev, EV_READ);
    timer_set(c->deadline, (struct span){0});
}

/* A head that cannot be read, or a body that breaks its
 * framing: what follows cannot be told apart from it. */
static void refuse(struct http_conn *c, int status)
{
    c->s->stats.malformed++;
    c->close = c->linger = true;
    set_state(c, CONN_HANDLING);
    timer_stop(c->deadline);
    bufferevent_disable(c->bev, EV_READ);
    exchange_plain(c->x, status);
}

static enum http_refusal judge(const struct http_server *s, const struct http_head *h)
{
    if (h->bad_length)
        return HTTP_BAD_LENGTH;
    if (h->chunked && !s->p.chunked)
        return HTTP_CHUNKED;
    if (h->length > s->p.max_body)
        return HTTP_TOO_LARGE;
    return (h->chunked ? s->p.max_body : h->length) > s->p.max_buffered - s->stats.buffered ? HTTP_BUSY
                                                                                            : HTTP_FINE;
}

/* The head is parsed: refuse, read a body, or go on at once. */
static void begin_body(struct http_conn *c)
{
    struct http_server *s = c->s;
    struct http_exchange *x = c->x;
    struct http_head *h = &x->head;

    x->refusal = judge(s, h);
    if (x->refusal == HTTP_FINE && (h->chunked || h->length) && s->p.wanted && !s->p.wanted(s->arg, x))
        x->refusal = HTTP_UNWANTED;
    if (x->refusal != HTTP_FINE) {
        s->stats.refused_body++;
        c->close = c->linger = true;
    }
    if (x->refusal != HTTP_FINE || (!h->chunked && !h->length)) {
        dispatch(c);
        return;
    }
    x->body = evbuffer_new();
    if (!x->body) {
        give_up(c);
        return;
    }
    x->reserved = h->chunked ? s->p.max_body : (size_t)h->length;
    s->stats.buffered += x->reserved;
    set_state(c, CONN_BODY);
    bufferevent_setwatermark(c->bev, EV_READ, 0, h->chunked ? CHUNK_ROOM : (size_t)h->length);
    if (h->expect_continue && !evbuffer_get_length(bufferevent_get_input(c->bev)))
        evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
}

/* Whether who was let in would be let in now. A certificate is judged again after a
 * reload, at the next request, so that a fleet does not shake hands all at once. */
static bool trusted(struct http_conn *c)
{
    const struct tls_server *tls = c->s->p.tls;

    if (!c->identity)
        return true;
    if (c->identity->not_after.ms && c->identity->not_after.ms < loop_wall(c->s->loop).ms)
        return false;
    if (c->generation != tls_server_generation(tls)) {
        if (!tls_server_trusts(tls, c->ssl))
            return false;
        c->generation = tls_server_generation(tls);
    }
    return true;
}

static void take_head(struct http_conn *c)
{
    struct http_server *s = c->s;
    struct evbuffer *in = bufferevent_get_input(c->bev);
    size_t n = evbuffer_get_length(in), end;
    const char *p;
    struct http_exchange *x;
    int status;

    if (n > s->p.max_header)
        n = s->p.max_header;
    p = (const char *)evbuffer_pullup(in, (ev_ssize_t)n);
    end = p ? http_head_end(p, n) : 0;
    if (!end && n < s->p.max_header)
        return;
    if (!trusted(c)) {
        c->distrusted = true;
        give_up(c);
        return;
    }
    x = exchange_new(c);
    if (!x || !(x->text = malloc(n + 1))) {
        give_up(c);
        return;
    }
    if (!end) {
        x->head = (struct http_head){.method = "?", .path = "", .query = "", .close = true};
        refuse(c, 431);
        return;
    }
    evbuffer_remove(in, x->text, end);
    s->stats.bytes_in += end;
    status = http_head_parse(&x->head, x->text, end);
    if (status)
        refuse(c, status);
    else
        begin_body(c);
}

/* True when all of it is there. */
static bool take_chunks(struct http_conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct http_exchange *x = c->x;
    size_t n = evbuffer_get_length(in), at = 0, used = 0, data_n;
    const char *p = n ? (const char *)evbuffer_pullup(in, -1) : NULL, *data;
    int status = 0;

    while (p && at < n && status == 0 && x->chunks.state != CHUNK_DONE) {
        status = http_chunks_take(&x->chunks, p + at, n - at, c->s->p.max_body, &used, &data, &data_n);
        if (!used)
            break;
        evbuffer_add(x->body, data, data_n);
        at += used;
    }
    evbuffer_drain(in, at);
    c->s->stats.bytes_in += at;
    if (status) {
        refuse(c, status);
        return false;
    }
    return x->chunks.state == CHUNK_DONE;
}

static void take_body(struct http_conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct http_exchange *x = c->x;

    if (x->head.chunked) {
        if (!take_chunks(c))
            return;
    } else {
        if (evbuffer_get_length(in) < x->head.length)
            return;
        evbuffer_remove_buffer(in, x->body, (size_t)x->head.length);
        c->s->stats.bytes_in += x->head.length;
    }
    dispatch(c);
}

/* As far as the bytes reach. Nothing in here frees c. */
static void conn_process(struct http_conn *c)
{
    if (c->state == CONN_IDLE) {
        if (!evbuffer_get_length(bufferevent_get_input(c->bev)))
            return;
        set_state(c, CONN_HEAD);
        c->idle_since = loop_mono(c->s->loop);
        timer_set(c->deadline, c->s->p.request_timeout);
    }
    if (c->state == CONN_HEAD) {
        take_head(c);
        server_budget(c->s);
    }
    if (c->state == CONN_BODY)
        take_body(c);
}

void conn_answered(struct http_conn *c)
{
    set_state(c, CONN_SENDING);
    timer_set(c->deadline, c->s->p.answer_timeout);
    bufferevent_enable(c->bev, EV_WRITE);
}

/* ---- what happens to it ---- */

static void on_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    conn_process(arg);
}

/* The output is empty. */
static void on_write(struct bufferevent *bev, void *arg)
{
    struct http_conn *c = arg;

    (void)bev;
    if (c->state != CONN_SENDING)
        return;
    if (c->close) {
        conn_finish(c);
        return;
    }
    become_idle(c, c->s->p.idle_timeout);
    conn_process(c);
}

static void on_handshake(struct http_conn *c)
{
    struct tls_identity id;

    tls_peer_identity(c->ssl, &id);
    if (id.verified) {
        c->identity = malloc(sizeof(id));
        if (!c->identity) {
            conn_free(c);
            return;
        }
        *c->identity = id;
        become_known(c);
    }
    become_idle(c, c->s->p.request_timeout);
    conn_process(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_conn *c = arg;

    if (what & BEV_EVENT_CONNECTED) {
        on_handshake(c);
        return;
    }
    if (c->state == CONN_HANDSHAKE)
        c->s->stats.handshake_failed++;
    else if (c->state != CONN_IDLE)
        c->s->stats.aborted++;
    if (c->ssl)
        while (bufferevent_get_openssl_error(bev))
            ;
    ERR_clear_error();
    conn_free(c);
}

static void on_deadline(void *arg)
{
    struct http_conn *c = arg;

    if (c->distrusted)
        c->s->stats.distrusted++;
    else if (c->state != CONN_IDLE && c->state != CONN_LINGER)
        c->s->stats.timed_out++;
    conn_free(c);
}

static void read_peer(struct http_conn *c, const char *address)
{
    socklen_t n = sizeof(c->cred);
    int one = 1;

    (void)snprintf(c->address, sizeof(c->address), "%s", address);
    if (c->s->unix_path) {
        c->has_cred = getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &c->cred, &n) == 0;
    } else {
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
}

struct http_conn *conn_new(struct http_server *s, int fd, const char *address)
{
    struct http_conn *c = calloc(1, sizeof(*c));
    struct event_base *base = loop_base(s->loop);

    if (!c) {
        close(fd);
        return NULL;
    }
    *c = (struct http_conn){.s = s, .next = s->conns, .fd = fd, .state = CONN_LINGER};
    set_state(c, CONN_HANDSHAKE);
    c->idle_since = loop_mono(s->loop);
    if (s->conns)
        s->conns->prev = c;
    s->conns = c;
    s->stats.connections++;
    read_peer(c, address);
    c->deadline = timer_new(s->loop, on_deadline, c);
    if (s->p.tls) {
        c->ssl = tls_server_ssl(s->p.tls, NULL);
        c->generation = tls_server_generation(s->p.tls);
        c->bev =
            c->ssl ? bufferevent_openssl_socket_new(base, fd, c->ssl, BUFFEREVENT_SSL_ACCEPTING, 0) : NULL;
    } else {
        c->bev = bufferevent_socket_new(base, fd, 0);
    }
    if (!c->deadline || !c->bev) {
        conn_free(c);
        return NULL;
    }
    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    if (c->ssl) {
        timer_set(c->deadline, s->p.request_timeout);
        bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    } else {
        become_idle(c, s->p.request_timeout);
    }
    return c;
}
