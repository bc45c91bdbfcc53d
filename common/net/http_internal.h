/* What the three files of the HTTP server share: server (listener and budget), connection (states and
 * deadlines), exchange (what a handler sees). Private to common/net. */
#ifndef SB_NET_HTTP_INTERNAL_H
#define SB_NET_HTTP_INTERNAL_H

#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "common/net/http_head.h"
#include "common/net/http_server.h"

struct http_conn;

struct http_server {
    struct loop *loop;
    struct http_server_params p; /* with the defaults filled in; listen and tls are borrowed */
    http_handler handler;
    void *arg;
    struct evconnlistener *listener;
    struct timer *retry; /* accepting failed for want of descriptors */
    char *unix_path;     /* to remove at the end */
    unsigned port;
    bool draining, paused;
    struct http_conn *conns;       /* newest first */
    unsigned evictable, strangers; /* of them; strangers: evictable ones that nobody knows yet */
    struct http_server_stats stats;
};

enum conn_state { CONN_HANDSHAKE, CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_HANDLING, CONN_SENDING, CONN_LINGER };

struct http_conn {
    struct http_server *s;
    struct http_conn *prev, *next;
    enum conn_state state;
    int fd; /* owned */
    SSL *ssl;
    struct bufferevent *bev; /* NULL while lingering */
    struct timer *deadline;
    struct mono idle_since;
    struct http_exchange *x; /* not answered yet */
    bool known;              /* has an identity, or was given an answer that is no refusal */
    bool distrusted;         /* its certificate is not good any more */
    uint64_t generation;     /* of the certificates by which it was let in */
    bool close, linger;      /* after the answer; with some reading on, since the peer may still be sending */
    size_t linger_left;
    struct event *linger_event;
    char address[64];
    bool has_cred;
    struct ucred cred;
    struct tls_identity *identity; /* owned; NULL: none */
};

struct http_exchange {
    struct http_conn *conn; /* NULL once the connection has gone */
    struct http_head head;
    char *text; /* owned: what head points into */
    bool given; /* to the handler, who will answer it */
    enum http_refusal refusal;
    struct http_chunks chunks;
    struct evbuffer *body; /* owned; NULL: none */
    size_t reserved;       /* of the server's max_buffered */
    char address[64];
    bool has_cred;
    struct ucred cred;
    struct tls_identity *identity;
    bool owns_identity; /* inherited from a connection that has gone */
};

/* Owes nothing to anybody: no request has begun. */
static inline bool conn_quiet(const struct http_conn *c)
{
    return c->state == CONN_IDLE || c->state == CONN_HANDSHAKE;
}
/* May make room for another. A head comes in one piece as a
 * rule; who sends it piece by piece takes a risk. */
static inline bool conn_evictable(const struct http_conn *c)
{
    return conn_quiet(c) || c->state == CONN_HEAD;
}

/* http_conn_io.c. A new connection on fd, which it takes; NULL when it cannot be (fd is closed). */
struct http_conn *conn_new(struct http_server *s, int fd, const char *address);
void conn_free(struct http_conn *c);
/* The answer is in the output buffer: from here to the next request, or the end. */
void conn_answered(struct http_conn *c);

/* http_exchange_io.c. */
struct http_exchange *exchange_new(struct http_conn *c);
void exchange_free(struct http_exchange *x);
void exchange_plain(struct http_exchange *x, int status); /* answers with the reason phrase as text */

/* http_server_io.c. After a connection was added, became idle or went: may we accept? */
void server_budget(struct http_server *s);

#endif
