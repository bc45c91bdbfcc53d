/* HTTP out: see http_client.h.
 *
 * libcurl's multi interface on our loop, by its rules (libcurl-multi(3), CURLMOPT_TIMERFUNCTION(3)): no
 * libcurl call is made from within its callbacks, the timer callback only sets a timer, after each action all
 * messages are drained. A pool is one multi handle with its connections, session cache and CA store; a reload
 * starts a new pool, so that nothing made with the old files is used again, and the old one goes with its
 * last call. */
#include "common/net/http_client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <event2/event.h>

#include "common/net/openssl.h"
#include "common/net/x509.h"
#include "version.h"

enum {
    MAX_HEADERS = 64 * 1024,
    MAX_ANSWER = 1 << 20,
    KEEP_IDLE_S = 45,
    CONNECT_S = 5,
    TIMEOUT_S = 15,
    CONNECTIONS = 8
};

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

struct http_client {
    struct loop *loop;
    struct pool *pool;
};

struct http_call {
    struct pool *pool;
    struct http_call *prev, *next;
    CURL *easy;
    struct curl_slist *headers;
    http_done done;
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

struct sock {
    struct event *ev;
    struct pool *pool;
};

/* ---- the pool ---- */

static void pool_drain(struct pool *p);

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct sock *s = arg;
    struct pool *p = s->pool; /* s may go meanwhile */
    int running,
        flags = ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0);

    p->holds++;
    curl_multi_socket_action(p->multi, fd, flags, &running);
    pool_drain(p);
}

static void on_timeout(void *arg)
{
    struct pool *p = arg;
    int running;

    p->holds++;
    curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pool_drain(p);
}

static int curl_wants_timer(CURLM *multi, long ms, void *arg)
{
    struct pool *p = arg;

    (void)multi;
    if (ms < 0)
        timer_stop(p->timer);
    else
        timer_set(p->timer, span_ms(ms));
    return 0;
}

static int curl_wants_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
    struct pool *p = arg;
    struct sock *s = sockp;
    int events = EV_PERSIST | ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0);

    (void)easy;
    if (s && s->ev) {
        event_free(s->ev);
        s->ev = NULL;
    }
    if (what == CURL_POLL_REMOVE) {
        free(s);
        curl_multi_assign(p->multi, fd, NULL);
        return 0;
    }
    if (!s) {
        s = calloc(1, sizeof(*s));
        if (!s)
            return -1;
        s->pool = p;
        curl_multi_assign(p->multi, fd, s);
    }
    s->ev = event_new(loop_base(p->loop), fd, (short)events, on_socket, s);
    return s->ev && event_add(s->ev, NULL) == 0 ? 0 : -1;
}

static char *copy_text(const char *s, bool *failed)
{
    char *c = s ? strdup(s) : NULL;

    if (s && !c)
        *failed = true;
    return c;
}

static bool files_copy(struct files *f, const struct http_client_params *p)
{
    bool failed = false;

    *f = (struct files){
        .ca = copy_text(p->ca, &failed),
        .cert = copy_text(p->cert, &failed),
        .key = copy_text(p->key, &failed),
        .agent = copy_text(p->user_agent ? p->user_agent : "securebase/" SB_VERSION, &failed),
        .proxy = copy_text(p->proxy ? p->proxy : "", &failed),
        .connect_timeout = p->connect_timeout.ns > 0 ? p->connect_timeout : span_s(CONNECT_S),
        .keep_idle = p->keep_idle.ns > 0 ? p->keep_idle : span_s(KEEP_IDLE_S),
        .max_connections = p->max_connections ? p->max_connections : CONNECTIONS,
    };
    return !failed;
}

static void pool_release(struct pool *p)
{
    if (--p->holds > 0)
        return;
    assert(!p->calls);
    if (p->multi)
        curl_multi_cleanup(p->multi); /* closes the connections, which takes their events away */
    if (p->share)
        curl_share_cleanup(p->share);
    timer_free(&p->timer);
    free(p->files.ca);
    free(p->files.cert);
    free(p->files.key);
    free(p->files.agent);
    free(p->files.proxy);
    free(p);
}

static struct pool *pool_new(struct loop *l, const struct http_client_params *params, struct err *e)
{
    struct pool *p = calloc(1, sizeof(*p));
    struct {
        const char *what, *path;
    } want[] = {{"ca", params->ca}, {"cert", params->cert}, {"key", params->key}};

    if (!p)
        goto out;
    *p = (struct pool){.loop = l, .holds = 1};
    if (!files_copy(&p->files, params))
        goto out;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        if (want[i].path && x509_check_pem(want[i].what, want[i].path, e) != 0) {
            pool_release(p);
            return NULL;
        }
    }
    p->multi = curl_multi_init();
    p->share = curl_share_init();
    p->timer = timer_new(l, on_timeout, p);
    if (!p->multi || !p->share || !p->timer)
        goto out;
    curl_share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, curl_wants_socket);
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, curl_wants_timer);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(p->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)p->files.max_connections);
    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)p->files.max_connections);
    return p;
out:
    if (p)
        pool_release(p);
    err_set(e, ERR_NOMEM, "no memory for an HTTP client");
    return NULL;
}

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

/* ---- one call ---- */

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

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct http_call *c = arg;

    buf_put(&c->body, data, size * n);
    if (c->body.full) {
        c->too_large = true;
        return 0;
    }
    return size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct http_call *c = arg;

    c->header_bytes += size * n;
    if (c->header_bytes > MAX_HEADERS) {
        c->too_large = true;
        return 0;
    }
    if (c->collect)
        buf_put(&c->lines, data, size * n);
    return size * n;
}

/* The connection stands and the request is about to go out on it. */
static int on_ready(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    struct http_call *c = arg;
    struct curl_tlssessioninfo *tls = NULL;
    SSL *ssl;

    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    c->sent = true;
    if (curl_easy_getinfo(c->easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls &&
        tls->backend == CURLSSLBACKEND_OPENSSL && (ssl = tls->internals)) {
        c->not_after = x509_not_after(SSL_get0_peer_certificate(ssl));
        c->tls_minor = SSL_version(ssl) == TLS1_3_VERSION ? 3 : SSL_version(ssl) == TLS1_2_VERSION ? 2 : 0;
    }
    return CURL_PREREQFUNC_OK;
}

/* Notes the end of a certificate that may be refused a moment later; the judgement stays with OpenSSL. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct http_call *c = ssl ? SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) : NULL;

    if (c)
        c->not_after = x509_not_after(X509_STORE_CTX_get0_cert(store));
    return ok;
}

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
    struct http_call *c = arg;

    (void)easy;
    c->tls_began = mono_sub(clock_mono(), c->tried);
    SSL_CTX_set_app_data((SSL_CTX *)ctx, arg);
    SSL_CTX_set_verify(ctx, SSL_CTX_get_verify_mode(ctx), on_verify);
    return CURLE_OK;
}

/* RFC 9110 §5.5: a line break in a field would begin another. */
static bool header_sound(const struct http_header *h)
{
    return h->name[0] && !strpbrk(h->name, "\r\n:") && !strpbrk(h->value, "\r\n");
}

static int add_header(struct http_call *c, const char *name, const char *value, struct err *e)
{
    struct buf line;
    struct curl_slist *more;

    buf_init(&line, NULL, MAX_HEADERS);
    buf_fmt(&line, *value ? "%s: %s" : "%s;%s", name,
            value); /* "Name;" is libcurl's way to send an empty one */
    more = line.full ? NULL : curl_slist_append(c->headers, buf_text(&line));
    buf_free(&line);
    if (!more)
        return err_set(e, ERR_LIMIT, "header %.40s does not fit", name);
    c->headers = more;
    return 0;
}

static int set_headers(struct http_call *c, const struct http_request *r, struct err *e)
{
    static const char *const quiet[] = {"Expect:", "Content-Type:"}; /* what libcurl would add by itself */
    bool typed = false;
    int rc;

    for (size_t i = 0; i < r->n_headers; i++) {
        if (!header_sound(&r->headers[i]))
            return err_set(e, ERR_MALFORMED, "header %.40s has a line break or no name", r->headers[i].name);
        typed = typed || strcasecmp(r->headers[i].name, "Content-Type") == 0;
        rc = add_header(c, r->headers[i].name, r->headers[i].value, e);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < (typed ? 1 : 2); i++) {
        struct curl_slist *more = curl_slist_append(c->headers, quiet[i]);

        if (!more)
            return err_set(e, ERR_NOMEM, "no memory for a request");
        c->headers = more;
    }
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    return 0;
}

static CURLcode set_method(struct http_call *c, const struct http_request *r)
{
    CURLcode rc = CURLE_OK;

    if (r->body_len || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
        curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
        rc = curl_easy_setopt(c->easy, CURLOPT_COPYPOSTFIELDS, r->body_len ? r->body : "");
    }
    if (strcmp(r->method, "HEAD") == 0)
        curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
    else if (rc == CURLE_OK && strcmp(r->method, "POST") != 0)
        rc = curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, r->method);
    return rc;
}

static void set_tls(struct http_call *c, const struct files *f, bool insecure)
{
    if (f->ca)
        curl_easy_setopt(c->easy, CURLOPT_CAINFO, f->ca);
    if (f->cert)
        curl_easy_setopt(c->easy, CURLOPT_SSLCERT, f->cert);
    if (f->key)
        curl_easy_setopt(c->easy, CURLOPT_SSLKEY, f->key);
    curl_easy_setopt(c->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, insecure ? 0L : 1L);
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, insecure ? 0L : 2L);
    curl_easy_setopt(c->easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    curl_easy_setopt(c->easy, CURLOPT_SSL_CTX_DATA, c);
}

static void set_callbacks(struct http_call *c)
{
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_PREREQFUNCTION, on_ready);
    curl_easy_setopt(c->easy, CURLOPT_PREREQDATA, c);
}

static int set_request(struct http_call *c, const struct http_request *r, struct err *e)
{
    const struct files *f = &c->pool->files;
    char source[160];
    CURL *h = c->easy;
    int64_t idle = f->keep_idle.ns / 1000000000;

    if (curl_easy_setopt(h, CURLOPT_URL, r->url) != CURLE_OK || set_method(c, r) != CURLE_OK)
        return err_set(e, ERR_NOMEM, "no memory for a request");
    set_callbacks(c);
    set_tls(c, f, r->insecure);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_QUICK_EXIT, 1L); /* a name server that hangs holds a thread, not the loop */
    curl_easy_setopt(h, CURLOPT_SHARE, c->pool->share);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_PROXY, f->proxy);
    curl_easy_setopt(h, CURLOPT_USERAGENT, f->agent);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)span_to_ms(f->connect_timeout));
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)span_to_ms(c->timeout));
    curl_easy_setopt(h, CURLOPT_MAXAGE_CONN, (long)(idle > 0 ? idle : 1));
    curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, r->fresh || !c->repeatable ? 1L : 0L);
    curl_easy_setopt(h, CURLOPT_FORBID_REUSE, r->fresh ? 1L : 0L);
    if (r->unix_socket)
        curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
    if (r->interface) {
        (void)snprintf(source, sizeof(source), "host!%s", r->interface);
        curl_easy_setopt(h, CURLOPT_INTERFACE, source);
    }
    return set_headers(c, r, e);
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
    buf_init(&c->lines, NULL, MAX_HEADERS);
    if (!c->easy)
        err_set(e, ERR_NOMEM, "no memory for a request");
    else if (set_request(c, r, e) == 0 && curl_multi_add_handle(p->multi, c->easy) == CURLM_OK)
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
    /* TLS 1.3: a server refuses the client's certificate after the client thinks the handshake done (RFC 8446
     * §4.4.2.4). */
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
static void pool_drain(struct pool *p)
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
