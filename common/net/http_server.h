/* HTTP(S) in, on evhttp: a budget of connections, a deadline for each request from its first byte to its
 * last, caps on header and body, identity of the peer. Handlers may answer later, from the loop's thread. */
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
    const char *listen;       /* "127.0.0.1:0", "[::1]:9871", "unix:/run/…" */
    mode_t unix_mode;         /* of the socket file; 0: 0660 */
    struct tls_server *tls;   /* NULL: plain. Borrowed */
    unsigned max_connections; /* accepting pauses at this many; 0: 1024 */
    unsigned max_per_address; /* 0: no limit */
    size_t max_header;        /* 0: 16 KiB */
    size_t max_body;          /* 0: 64 KiB */
    struct span
        request_timeout; /* from the first byte of a request to its end, and for the handshake; 0: 15 s */
    struct span idle_timeout; /* between requests; 0: 120 s */
};

typedef void (*http_handler)(void *arg, struct http_exchange *x);

struct http_server *http_server_new(struct loop *l, const struct http_server_params *p, http_handler handler,
                                    void *arg, struct err *e);
/* Stops accepting; answers under way may still be given until free. */
void http_server_drain(struct http_server *s);
void http_server_free(struct http_server **s);
unsigned http_server_port(const struct http_server *s); /* the port bound (for ":0"); 0 for a unix socket */

struct http_server_stats {
    unsigned connections;
    uint64_t accepted, requests;
    uint64_t refused_budget, refused_address, timed_out, handshake_failed, malformed;
    uint64_t bytes_in, bytes_out;
};
struct http_server_stats http_server_stats(const struct http_server *s);

/* What came. Strings are borrowed until the exchange is answered. */
const char *http_method(const struct http_exchange *x); /* "GET" …, "?" for one we do not know */
const char *http_path(const struct http_exchange *x);   /* without the query, not decoded */
const char *http_query(const struct http_exchange *x);  /* raw, "" when none */
const char *http_header(const struct http_exchange *x, const char *name); /* NULL when absent */
bool http_header_twice(const struct http_exchange *x, const char *name);  /* stands there more than once */
struct bytes http_body(struct http_exchange *x);                          /* contiguous */
const struct tls_identity *http_identity(
    const struct http_exchange *x); /* verified false on plain connections */
/* Unix socket: peer credentials; false on TCP. */
bool http_peer_cred(const struct http_exchange *x, uid_t *uid, gid_t *gid, pid_t *pid);
const char *http_peer_address(const struct http_exchange *x);
/* One parameter of the query, decoded, into out[cap]; the i-th of that name. 0, ERR_NOTFOUND, ERR_LIMIT,
 * ERR_MALFORMED. */
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
