/* The HTTP client: calls from their start to their end. See http_client.h;
 * connections are in http_pool_io.c, requests in http_call_io.c. */
#include "common/net/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/http_call.h"

enum { MAX_ANSWER = 1 << 20, TIMEOUT_S = 15 };

struct http_client {
    struct loop *loop;
    struct pool *pool;
};

struct http_client *http_client_new(struct loop *l, const struct http_client_params *p, struct err *e)
{
    struct http_client *c = calloc(1, sizeof(*c));

    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        err_set(e, ERR_NOMEM, "no memory for an HTTP client");
        free(c);
        return NULL;
    }
    *c = (struct http_client){.loop = l, .pool = pool_new(l, p, e)};
    if (!c->pool) {
        free(c);
        return NULL;
    }
    return c;
}

int http_client_reload(struct http_client *c, const struct http_client_params *p, struct err *e)
{
    struct err why = {0};
    struct pool *fresh = pool_new(c->loop, p, &why);

    if (!fresh)
        return err_set(e, why.code, "%s", why.text);
    pool_release(c->pool);
    c->pool = fresh;
    return 0;
}

static void call_free(struct http_call *c)
{
    struct pool *p = c->pool;

    if (c->prev)
        c->prev->next = c->next;
    else if (p->calls == c)
        p->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->easy) {
        curl_multi_remove_handle(p->multi, c->easy);
        curl_easy_cleanup(c->easy);
    }
    curl_slist_free_all(c->headers);
    buf_free(&c->body);
    buf_free(&c->lines);
    free(c);
    pool_release(p);
}

void http_call_cancel(struct http_call **call)
{
    if (*call)
        call_free(*call);
    *call = NULL;
}

void http_client_free(struct http_client **cp)
{
    struct http_client *c = *cp;

    if (!c)
        return;
    c->pool->closed = true;
    while (c->pool->calls)
        call_free(c->pool->calls);
    pool_release(c->pool);
    free(c);
    *cp = NULL;
}

struct http_call *http_client_send(struct http_client *client, const struct http_request *r, http_done done,
                                   void *arg, struct err *e)
{
    struct pool *p = client->pool;
    struct http_call *c = calloc(1, sizeof(*c));

    if (!c) {
        err_set(e, ERR_NOMEM, "no memory for a request");
        return NULL;
    }
    *c = (struct http_call){
        .pool = p,
        .next = p->calls,
        .easy = curl_easy_init(),
        .done = done,
        .piece = r->piece,
        .arg = arg,
        .started = clock_mono(),
        .tls_began = {-1},
        .timeout = r->timeout.ns > 0 ? r->timeout : span_s(TIMEOUT_S),
        .repeatable = r->idempotent || strcmp(r->method, "POST") != 0,
        .collect = r->collect_headers,
    };
    c->tried = c->started;
    p->holds++;
    if (p->calls)
        p->calls->prev = c;
    p->calls = c;
    buf_init(&c->body, NULL, r->max_answer ? r->max_answer : MAX_ANSWER);
    buf_init(&c->lines, NULL, HTTP_CALL_HEADERS);
    if (!c->easy)
        err_set(e, ERR_NOMEM, "no memory for a request");
    else if (call_setup(c, r, e) == 0 && curl_multi_add_handle(p->multi, c->easy) == CURLM_OK)
        return c;
    else if (e && !e->code)
        err_set(e, ERR_STATE, "the request does not start");
    call_free(c);
    return NULL;
}

/* ---- the end of a call ---- */

struct outcome {
    CURLcode curl;
    int code;
    const char *reason;
};
static const struct outcome outcomes[] = {
    {CURLE_COULDNT_RESOLVE_HOST, ERR_NOTFOUND, "dns"},
    {CURLE_COULDNT_RESOLVE_PROXY, ERR_NOTFOUND, "dns"},
    {CURLE_COULDNT_CONNECT, ERR_IO, "connect"},
    {CURLE_INTERFACE_FAILED, ERR_IO, "connect"},
    {CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT, "timeout"},
    {CURLE_PEER_FAILED_VERIFICATION, ERR_TLS, "certificate"},
    {CURLE_SSL_ISSUER_ERROR, ERR_TLS, "certificate"},
    {CURLE_SSL_CONNECT_ERROR, ERR_TLS, "tls"},
    {CURLE_SSL_CERTPROBLEM, ERR_TLS, "tls"},
    {CURLE_SSL_CIPHER, ERR_TLS, "tls"},
    {CURLE_SSL_CACERT_BADFILE, ERR_TLS, "tls"},
    {CURLE_FILESIZE_EXCEEDED, ERR_LIMIT, "too_large"},
    {CURLE_SEND_ERROR, ERR_IO, "send"},
    {CURLE_RECV_ERROR, ERR_IO, "receive"},
    {CURLE_GOT_NOTHING, ERR_IO, "receive"},
    {CURLE_PARTIAL_FILE, ERR_IO, "receive"},
};

static struct outcome outcome_of(const struct http_call *c, CURLcode rc)
{
    if (rc == CURLE_OK)
        return (struct outcome){rc, 0, ""};
    if (c->too_large)
        return (struct outcome){rc, ERR_LIMIT, "too_large"};
    /* TLS 1.3: a server refuses the client's certificate after the
     * client thinks the handshake done (RFC 8446 §4.4.2.4). */
    if ((rc == CURLE_RECV_ERROR || rc == CURLE_SEND_ERROR) && strstr(c->error, "SSL routines") &&
        strstr(c->error, "alert"))
        return (struct outcome){rc, ERR_TLS, "tls"};
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (outcomes[i].curl == rc)
            return outcomes[i];
    return (struct outcome){rc, ERR_MALFORMED, "protocol"};
}

static struct span phase(CURL *h, CURLINFO info)
{
    curl_off_t us = 0;

    if (curl_easy_getinfo(h, info, &us) != CURLE_OK || us <= 0)
        return span_ns(-1);
    return span_ns((int64_t)us * 1000);
}

static void gather(struct http_call *c, struct http_result *r)
{
    struct curl_header *retry = NULL;
    char *type = NULL, *ip = NULL;
    long status = 0, port = 0;
    CURL *h = c->easy;

    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(h, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(h, CURLINFO_PRIMARY_IP, &ip);
    curl_easy_getinfo(h, CURLINFO_PRIMARY_PORT, &port);
    if (curl_easy_header(h, "Retry-After", 0, CURLH_HEADER, -1, &retry) != CURLHE_OK)
        retry = NULL;
    r->status = (int)status;
    r->content_type = type ? type : "";
    r->retry_after = retry ? retry->value : "";
    r->body = buf_bytes(&c->body);
    r->headers = buf_bytes(&c->lines);
    r->sent = c->sent;
    r->cert_not_after = c->not_after;
    r->tls_version_minor = c->tls_minor;
    if (ip && *ip)
        (void)snprintf(r->remote, sizeof(r->remote), strchr(ip, ':') ? "[%s]:%ld" : "%s:%ld", ip, port);
    r->times = (struct http_times){
        .dns = phase(h, CURLINFO_NAMELOOKUP_TIME_T),
        .connect = phase(h, CURLINFO_CONNECT_TIME_T),
        .tls = phase(h, CURLINFO_APPCONNECT_TIME_T),
        .request_sent = phase(h, CURLINFO_PRETRANSFER_TIME_T),
        .first_byte = phase(h, CURLINFO_STARTTRANSFER_TIME_T),
        .total = phase(h, CURLINFO_TOTAL_TIME_T),
    };
    /* libcurl keeps this one back when the handshake on the connection fails. */
    if (r->times.connect.ns < 0 && c->tls_began.ns >= 0)
        r->times.connect = c->tls_began.ns < r->times.total.ns ? c->tls_began : r->times.total;
}

/* libcurl tries kept connections on its own, but gives up with an error when all that it kept were dead (curl
 * issue 10646). */
static bool worth_another_try(const struct http_call *c, CURLcode rc)
{
    long made = 1;

    if (c->retried || !c->repeatable || c->header_bytes)
        return false;
    if (rc != CURLE_SEND_ERROR && rc != CURLE_RECV_ERROR && rc != CURLE_GOT_NOTHING)
        return false;
    curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &made);
    return made == 0 && mono_sub(clock_mono(), c->started).ns < c->timeout.ns;
}

static bool try_again(struct http_call *c)
{
    int64_t left = span_to_ms(c->timeout) - span_to_ms(mono_sub(clock_mono(), c->started));

    c->retried = true;
    c->tried = clock_mono();
    c->tls_began = span_ns(-1);
    c->error[0] = 0;
    buf_clear(&c->body);
    curl_multi_remove_handle(c->pool->multi, c->easy);
    curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)(left > 1 ? left : 1));
    return curl_multi_add_handle(c->pool->multi, c->easy) == CURLM_OK;
}

static void call_end(struct http_call *c, CURLcode rc)
{
    struct outcome o = outcome_of(c, rc);
    struct http_result r = {.code = o.code, .reason = o.reason};

    gather(c, &r);
    if (rc != CURLE_OK)
        (void)snprintf(r.error, sizeof(r.error), "%s",
                       c->too_large  ? "the answer is too large"
                       : c->error[0] ? c->error
                                     : curl_easy_strerror(rc));
    /* Out of the list: whatever the callback does, it cannot touch this call any more. */
    if (c->prev)
        c->prev->next = c->next;
    else
        c->pool->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->prev = c->next = NULL;
    if (!c->pool->closed)
        c->done(c->arg, &r);
    call_free(c);
}

/* Ends with pool_release: the caller has taken a hold. */
void pool_drain(struct pool *p)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(p->multi, &left))) {
        CURLcode rc = m->data.result;
        char *call = NULL;

        if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call) != CURLE_OK)
            continue;
        if (!worth_another_try((struct http_call *)(void *)call, rc) ||
            !try_again((struct http_call *)(void *)call))
            call_end((struct http_call *)(void *)call, rc);
    }
    pool_release(p);
}
