/* What libcurl is told of one request, and what it tells while it is under way: see http_client.h. */
#include "common/net/http_call.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/net/openssl.h"
#include "common/net/x509.h"

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct http_call *c = arg;

    if (c->piece) {
        if (!c->pool->closed)
            c->piece(c->arg, (struct bytes){(const uint8_t *)data, size * n});
        return size * n;
    }
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
    if (c->header_bytes > HTTP_CALL_HEADERS) {
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

    buf_init(&line, NULL, HTTP_CALL_HEADERS);
    /* "Name;" is libcurl's way to send an empty one */
    buf_fmt(&line, *value ? "%s: %s" : "%s;%s", name, value);
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

int call_setup(struct http_call *c, const struct http_request *r, struct err *e)
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
