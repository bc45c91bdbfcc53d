/* What a handler sees of a request, and its answer: see http_server.h. An exchange that is not answered yet
 * outlives its connection and even the server, so that a late answer is never given to freed memory. */
#include "common/net/http_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>

struct http_exchange *exchange_new(struct http_conn *c)
{
    struct http_exchange *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->conn = c;
    x->has_cred = c->has_cred;
    x->cred = c->cred;
    x->identity = c->identity;
    memcpy(x->address, c->address, sizeof(x->address));
    c->x = x;
    return x;
}

void exchange_free(struct http_exchange *x)
{
    if (x->conn) {
        x->conn->s->stats.buffered -= x->reserved;
        x->conn->x = NULL;
    }
    if (x->body)
        evbuffer_free(x->body);
    if (x->owns_identity)
        free(x->identity);
    free(x->text);
    free(x);
}

const char *http_method(const struct http_exchange *x)
{
    return x->head.method;
}

const char *http_path(const struct http_exchange *x)
{
    return x->head.path;
}

const char *http_query(const struct http_exchange *x)
{
    return x->head.query;
}

const char *http_header(const struct http_exchange *x, const char *name)
{
    return http_head_field(&x->head, name);
}

bool http_header_twice(const struct http_exchange *x, const char *name)
{
    return http_head_count(&x->head, name) > 1;
}

struct bytes http_body(struct http_exchange *x)
{
    size_t n = x->body ? evbuffer_get_length(x->body) : 0;
    const uint8_t *p = n ? evbuffer_pullup(x->body, -1) : NULL;

    return (struct bytes){p, p ? n : 0};
}

enum http_refusal http_refusal(const struct http_exchange *x)
{
    return x->refusal;
}

const struct tls_identity *http_identity(const struct http_exchange *x)
{
    static const struct tls_identity nobody;

    return x->identity ? x->identity : &nobody;
}

bool http_peer_cred(const struct http_exchange *x, uid_t *uid, gid_t *gid, pid_t *pid)
{
    if (!x->has_cred)
        return false;
    *uid = x->cred.uid;
    *gid = x->cred.gid;
    *pid = x->cred.pid;
    return true;
}

const char *http_peer_address(const struct http_exchange *x)
{
    return x->address;
}

int http_param(const struct http_exchange *x, const char *name, size_t i, char *out, size_t cap)
{
    return http_query_param(x->head.query, name, i, out, cap);
}

/* ---- answers ---- */

struct taken {
    void (*release)(void *arg);
    void *arg;
};

static void release_taken(const void *data, size_t n, void *arg)
{
    struct taken *t = arg;

    (void)data;
    (void)n;
    t->release(t->arg);
    free(t);
}

/* The body under way without a copy; false: no memory, it is still the caller's. */
static bool add_taken(struct evbuffer *out, const void *body, size_t len, void (*release)(void *arg),
                      void *arg)
{
    struct taken *t = malloc(sizeof(*t));

    if (!t)
        return false;
    *t = (struct taken){release, arg};
    if (evbuffer_add_reference(out, body, len, release_taken, t) != 0) {
        free(t);
        return false;
    }
    return true;
}

/* RFC 9110 §6.6.1. The names are C's own, whatever the locale: main never sets one. */
static void add_date(struct evbuffer *out, struct wall now)
{
    time_t t = (time_t)(now.ms / 1000);
    char text[64];
    struct tm tm;

    if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm))
        evbuffer_add_printf(out, "Date: %s\r\n", text);
}

static void add_head(struct http_exchange *x, struct evbuffer *out, int status, const char *type,
                     const struct http_header *extra, size_t n_extra, size_t len)
{
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n", status, http_reason_phrase(status));
    add_date(out, loop_wall(x->conn->s->loop));
    if (type)
        evbuffer_add_printf(out, "Content-Type: %s\r\n", type);
    for (size_t i = 0; i < n_extra;
         i++) /* a line break would begin a field, or an answer, of somebody else's making */
        if (!strpbrk(extra[i].name, "\r\n") && !strpbrk(extra[i].value, "\r\n"))
            evbuffer_add_printf(out, "%s: %s\r\n", extra[i].name, extra[i].value);
    if (status != 204 && status != 304)
        evbuffer_add_printf(out, "Content-Length: %zu\r\n", len);
    if (x->conn->close)
        evbuffer_add_printf(out, "Connection: close\r\n");
    else if (x->head.minor == 0)
        evbuffer_add_printf(out, "Connection: keep-alive\r\n");
    evbuffer_add(out, "\r\n", 2);
}

void http_answer_taking(struct http_exchange *x, int status, const char *content_type,
                        const struct http_header *extra, size_t n_extra, const void *body, size_t len,
                        void (*release)(void *arg), void *arg)
{
    struct http_conn *c = x->conn;
    struct evbuffer *out;
    bool taken = false;

    if (c) {
        out = bufferevent_get_output(c->bev);
        c->close = c->close || x->head.close || c->s->draining;
        c->known = c->known || status < 400; /* it is being handled: not counted as a stranger now */
        add_head(x, out, status, content_type, extra, n_extra, len);
        if (len && strcmp(x->head.method, "HEAD") != 0 && status != 204 && status != 304) {
            taken = release && add_taken(out, body, len, release, arg);
            if (!taken && evbuffer_add(out, body, len) != 0)
                c->close = true; /* out of memory: an answer cut short is recognised by its length */
        }
        c->s->stats.bytes_out += evbuffer_get_length(out);
    }
    if (release && !taken)
        release(arg);
    exchange_free(x);
    if (c)
        conn_answered(c);
}

void http_answer(struct http_exchange *x, int status, const char *content_type,
                 const struct http_header *extra, size_t n_extra, const void *body, size_t len)
{
    http_answer_taking(x, status, content_type, extra, n_extra, body, len, NULL, NULL);
}

void exchange_plain(struct http_exchange *x, int status)
{
    const char *phrase = http_reason_phrase(status);
    char text[64];
    int n = snprintf(text, sizeof(text), "%s\n", phrase);

    http_answer(x, status, "text/plain; charset=utf-8", NULL, 0, text, n > 0 ? (size_t)n : 0);
}
