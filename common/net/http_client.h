/* HTTP(S) out, on libcurl's multi interface and our loop: HTTP/1.1, no redirects, no cookies, no proxy unless
 * told, bounded answers, a deadline for the whole. Idempotent requests are tried once more at once on a fresh
 * connection when a kept one turns out dead. */
#ifndef SB_NET_HTTP_CLIENT_H
#define SB_NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/loop.h"

struct http_client;
struct http_call;

struct http_client_params {
    const char *ca, *cert, *key; /* PEM paths; NULL where not used. ca NULL: the system's */
    struct span connect_timeout; /* 0: 5 s */
    struct span keep_idle;       /* how long a connection may wait for its next use; 0: 45 s */
    const char *user_agent;      /* NULL: securebase/VERSION */
    unsigned max_connections;    /* per client; further calls wait for one, within their timeout; 0: 8 */
    const char *proxy;           /* NULL: none, whatever the environment says */
};
struct http_client *http_client_new(struct loop *l, const struct http_client_params *p, struct err *e);
void http_client_free(struct http_client **c); /* outstanding calls end without their callback */
/* New files for connections made from now on (reload). */
int http_client_reload(struct http_client *c, const struct http_client_params *p, struct err *e);

struct http_header {
    const char *name, *value;
};
struct http_request {
    const char *method; /* "GET", "POST", "PUT", "DELETE", "HEAD" */
    const char *url;
    const char *unix_socket; /* connect here instead of the URL's host; may be NULL */
    const char *interface;   /* source address; may be NULL */
    const struct http_header *headers;
    size_t n_headers;
    const void *body; /* copied */
    size_t body_len;
    struct span timeout; /* the whole; 0: 15 s */
    size_t max_answer;   /* bytes of body; more is an error; 0: 1 MiB */
    bool fresh;          /* a connection of its own, closed after */
    bool insecure;       /* probes only: the certificate is read, not judged */
    bool collect_headers;
    /* For answers without an end: the body's bytes as they come, none of them kept; arg is the call's. It must neither
     * cancel the call nor free the client. NULL: the body is collected. */
    void (*piece)(void *arg, struct bytes b);
    bool idempotent; /* a POST that may be sent twice without harm. Others go out on a connection of their own
                      * making, since on a kept one that turns out dead nobody knows whether the server has
                      * seen it. GET, HEAD, PUT and DELETE are always so */
};

/* Where the time went, each from the start of the call, as libcurl tells it;
 * negative: not reached, or not needed (a kept connection, no TLS). Of the
 * last try, when there were two. request_sent: ready to send it. */
struct http_times {
    struct span dns, connect, tls, request_sent, first_byte, total;
};

struct http_result {
    int code; /* 0: an HTTP answer came; else ERR_TIMEOUT, ERR_TLS, ERR_IO, ERR_LIMIT, ERR_NOTFOUND (DNS),
                 ERR_MALFORMED (not HTTP) */
    char error[256];
    const char *reason; /* token: "dns" "connect" "tls" "certificate" (the peer's) "timeout" "send" "receive"
                           "too_large" "protocol" ; "" when code is 0 */
    bool sent; /* the request may have reached the server: its effect is unknown when code is not 0 */
    int status;
    const char *content_type; /* borrowed until the callback returns; "" when absent */
    const char *retry_after;  /* "" when absent */
    struct bytes body;
    struct bytes headers; /* raw lines, when collect_headers */
    struct http_times times;
    char remote[64];            /* address used */
    struct wall cert_not_after; /* {0} when not TLS or not known; known also when it was refused */
    int tls_version_minor;      /* 2 or 3; 0 unknown */
};
typedef void (*http_done)(void *arg, const struct http_result *r);

/* Starts a call; done is called exactly once from the loop, never from within this function; the call is gone
 * by then. NULL and e when it can't even begin. */
struct http_call *http_client_send(struct http_client *c, const struct http_request *r, http_done done,
                                   void *arg, struct err *e);
void http_call_cancel(struct http_call **call); /* done will not be called */

#endif
