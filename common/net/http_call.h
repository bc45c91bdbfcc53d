/* What the three files of the HTTP client share: pool (connections on the loop), call (what
 * libcurl is told of a request), client (starting and ending calls). Private to common/net. */
#ifndef SB_NET_HTTP_CALL_H
#define SB_NET_HTTP_CALL_H

#include <curl/curl.h>

#include "common/net/http_client.h"

enum { HTTP_CALL_HEADERS = 64 * 1024 }; /* most bytes of head, in and out */

struct files {
    char *ca, *cert, *key, *agent, *proxy;
    struct span connect_timeout, keep_idle;
    unsigned max_connections;
};

struct pool {
    struct loop *loop;
    CURLM *multi;
    CURLSH *share; /* TLS sessions */
    struct timer *timer;
    struct files files;
    struct http_call *calls;
    unsigned holds; /* the client, each call, and whoever is draining */
    bool closed;    /* the client has gone: no more callbacks */
};

struct http_call {
    struct pool *pool;
    struct http_call *prev, *next;
    CURL *easy;
    struct curl_slist *headers;
    http_done done;
    void (*piece)(void *arg, struct bytes b);
    void *arg;
    struct mono started, tried; /* the call; its last try */
    struct span tls_began;      /* since then; negative: not */
    struct span timeout;
    struct buf body, lines;
    size_t header_bytes;
    bool repeatable, retried, collect, too_large, sent;
    struct wall not_after;
    int tls_minor;
    char error[CURL_ERROR_SIZE];
};

/* http_pool_io.c. One multi handle with its connections; the caller owns the first hold. */
struct pool *pool_new(struct loop *l, const struct http_client_params *params, struct err *e);
void pool_release(struct pool *p); /* gives up a hold; the last one frees */

/* http_call_io.c. Tells libcurl all about r; c->easy is there already. 0 or an error. */
int call_setup(struct http_call *c, const struct http_request *r, struct err *e);

/* http_client_io.c. Ends what libcurl is through with, then gives up a hold that the caller has taken. */
void pool_drain(struct pool *p);

#endif
