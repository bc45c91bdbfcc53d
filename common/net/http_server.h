/* HTTP(S) in, on libevent's listeners and (OpenSSL) bufferevents: a budget of connections, a deadline for
 * each request from its first byte to its last, caps on head and body, identity of the peer. Handlers may
 * answer later, from the loop's thread.
 *
 * evhttp itself is not used: in 2.1 it gives no hand on a connection before its first request is complete,
 * body and all, counts its timeouts from the last byte, and answers what it refuses in HTML of its own. */
#ifndef SB_NET_HTTP_SERVER_H
#define SB_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/loop.h"
#include "common/net/http_client.h" /* struct http_header */
#include "common/net/tls.h"

struct http_server;
struct http_exchange;

struct http_server_params {
    const char *listen;     /* "127.0.0.1:0", "[::1]:9871", "unix:/run/…" */
    mode_t unix_mode;       /* of the socket file; 0: 0660 */
    struct tls_server *tls; /* NULL: plain. Borrowed */

    /* Beyond, a connection that owes no answer makes room: one of those that nobody
     * knows yet, the oldest, as soon as they are more than an eighth of all; else the
     * longest idle one. While there is none, accepting pauses. 0: 1024. */
    unsigned max_connections;
    unsigned max_per_address; /* 0: no limit */
    size_t max_header;        /* 0: 16 KiB */
    size_t max_body;          /* 0: 64 KiB */
    size_t max_buffered;      /* of all bodies together, by announced length; 0: 128 MiB */

    /* From the first byte of a request to its last, and for the handshake. 0: 15 s. */
    struct span request_timeout;
    struct span answer_timeout; /* for an answer to be taken, whatever its size; 0: 60 s */
    struct span idle_timeout;   /* between requests; 0: 120 s */

    bool chunked; /* take chunked bodies; the handler sees them decoded */
    /* Requests whose body is not going to be read come to the handler: see http_refusal. */
    bool judge_refused;
    /* Asked when a head announces a body that could be read; false: it is not read, and http_refusal
     * says HTTP_UNWANTED. NULL: all are. The argument is the handler's. Needs judge_refused. */
    bool (*wanted)(void *arg, const struct http_exchange *x);
};

typedef void (*http_handler)(void *arg, struct http_exchange *x);

struct http_server *http_server_new(struct loop *l, const struct http_server_params *p, http_handler handler,
                                    void *arg, struct err *e);
/* Stops accepting, closes idle connections; answers under way are still given, each ends its connection. */
void http_server_drain(struct http_server *s);
/* Not from within a handler. Closes everything; exchanges not answered yet stay valid until they are. */
void http_server_free(struct http_server **s);
unsigned http_server_port(const struct http_server *s); /* the port bound (for ":0"); 0 for a unix socket */

struct http_server_stats {
    unsigned connections;
    uint64_t accepted, requests;
    uint64_t refused_budget;  /* times that accepting paused */
    uint64_t evicted;         /* idle connections that made room */
    uint64_t refused_address; /* closed at once: too many from there */
    uint64_t refused_body;    /* see http_refusal */
    uint64_t timed_out, handshake_failed, malformed;
    /* closed at their next request: a reload, or time, has made their certificate invalid */
    uint64_t distrusted;
    uint64_t aborted; /* the peer left in the middle of a request or an answer */
    uint64_t bytes_in, bytes_out;
    size_t buffered;
};
struct http_server_stats http_server_stats(const struct http_server *s);

/* What came. Strings are borrowed until the exchange is answered. */
const char *http_method(const struct http_exchange *x);                   /* as it was sent, "GET" … */
const char *http_path(const struct http_exchange *x);                     /* without the query, not decoded */
const char *http_query(const struct http_exchange *x);                    /* raw, "" when none */
const char *http_header(const struct http_exchange *x, const char *name); /* NULL when absent */
bool http_header_twice(const struct http_exchange *x, const char *name);  /* stands there more than once */
struct bytes http_body(struct http_exchange *x);                          /* contiguous */
/* Why the body was not read, judged by the head alone. Unless judge_refused, such requests are answered here,
 * with the status named, in text/plain. The connection ends with the answer. (A head that cannot be read
 * never comes to the handler: 400, 417, 431, 501, 505.) */
enum http_refusal {
    HTTP_FINE,
    HTTP_TOO_LARGE,  /* 413: the length is beyond max_body */
    HTTP_CHUNKED,    /* 411: a chunked body, and chunked is false */
    HTTP_BAD_LENGTH, /* 400: more than one Content-Length, not a number, or beside chunked */
    HTTP_BUSY,       /* 503: max_buffered is used up */
    HTTP_UNWANTED,   /* see http_server_params.wanted */
};
enum http_refusal http_refusal(const struct http_exchange *x);
/* verified is false on plain connections and without a certificate. */
const struct tls_identity *http_identity(const struct http_exchange *x);
/* Unix socket: peer credentials; false on TCP. */
bool http_peer_cred(const struct http_exchange *x, uid_t *uid, gid_t *gid, pid_t *pid);
const char *http_peer_address(const struct http_exchange *x);
/* One parameter of the query, decoded, into out[cap]; the i-th
 * of that name. 0, ERR_NOTFOUND, ERR_LIMIT, ERR_MALFORMED. */
int http_param(const struct http_exchange *x, const char *name, size_t i, char *out, size_t cap);

/* Answers and ends the exchange (x is gone after). body is copied. extra may be NULL. Safe when the peer has
 * left meanwhile. */
void http_answer(struct http_exchange *x, int status, const char *content_type,
                 const struct http_header *extra, size_t n_extra, const void *body, size_t len);
/* As http_answer with a body that is taken over and released with release(arg) after sending. */
void http_answer_taking(struct http_exchange *x, int status, const char *content_type,
                        const struct http_header *extra, size_t n_extra, const void *body, size_t len,
                        void (*release)(void *arg), void *arg);

#endif
