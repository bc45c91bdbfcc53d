/* See sigv4.h. */
#include "common/net/sigv4.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/openssl.h"

enum { TEXT_MOST = 1 << 20, HEX = 2 * SHA256_DIGEST_LENGTH + 1, DATE = 17 };

static const char algorithm[] = "AWS4-HMAC-SHA256";

struct signing {
    const struct sigv4_request *r;
    const struct sigv4_credentials *c;
    struct arena *a;
    char date[DATE]; /* 20150830T123600Z */
    char payload[HEX];
    const char *hash; /* payload, or what was given */
    struct buf canonical, signed_names, scope;
};

struct pair {
    const char *name, *value;
};

static const char *keep(struct arena *a, struct buf *b)
{
    return b->full ? NULL : arena_text(a, (const char *)b->data, b->len);
}

static void hex(const unsigned char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static void sha256_hex(struct bytes b, char out[HEX])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256(b.n ? b.p : (const uint8_t *)"", b.n, digest);
    hex(digest, sizeof digest, out);
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

void sigv4_encode(struct buf *out, const char *s, size_t n, bool slash)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (is_unreserved(c) || (c == '/' && !slash))
            buf_u8(out, c);
        else
            buf_fmt(out, "%%%02X", c);
    }
}

/* ---- the path ---- */

/* Removes empty, "." and ".." segments (RFC 3986 §5.2.4), keeping the slash at the end. */
static void normalise(const char *path, struct buf *out)
{
    size_t n;

    for (; *path; path += n) {
        path += strspn(path, "/");
        n = strcspn(path, "/");
        if (n == 2 && memcmp(path, "..", 2) == 0) {
            while (out->len && out->data[out->len - 1] != '/')
                out->len--;
            if (out->len)
                out->len--;
        } else if (n && !(n == 1 && *path == '.')) {
            buf_u8(out, '/');
            buf_put(out, path, n);
        } else if (!n) {
            break;
        }
    }
    if (!out->len || (path[-1] == '/' && out->data[out->len - 1] != '/'))
        buf_u8(out, '/');
}

static void put_path(struct signing *s)
{
    const char *path = *s->r->path ? s->r->path : "/";
    struct buf plain;

    if (s->r->s3) {
        buf_str(&s->canonical, path);
        return;
    }
    buf_init(&plain, NULL, TEXT_MOST);
    normalise(path, &plain);
    sigv4_encode(&s->canonical, (const char *)plain.data, plain.len, false);
    if (plain.full)
        s->canonical.full = true;
    buf_free(&plain);
}

/* ---- the query ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The text decoded and encoded anew: one form for what means the same. */
static const char *recode(struct signing *s, const char *from, size_t n, struct err *e)
{
    struct buf out;
    const char *text;

    buf_init(&out, NULL, TEXT_MOST);
    for (size_t i = 0; i < n; i++) {
        char c = from[i];

        if (c == '%') {
            int high = i + 2 < n ? hex_digit(from[i + 1]) : -1;

            if (high < 0 || hex_digit(from[i + 2]) < 0) {
                buf_free(&out);
                err_set(e, ERR_MALFORMED, "a query that is not percent-encoded as it should be");
                return NULL;
            }
            c = (char)(high * 16 + hex_digit(from[i + 2]));
            i += 2;
        }
        sigv4_encode(&out, &c, 1, true);
    }
    text = keep(s->a, &out);
    buf_free(&out);
    if (!text)
        err_set(e, ERR_NOMEM, "no memory for a query");
    return text;
}

static int by_name_and_value(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int by_name = strcmp(x->name, y->name);

    return by_name ? by_name : strcmp(x->value, y->value);
}

static int put_query(struct signing *s, struct err *e)
{
    const char *q = s->r->query ? s->r->query : "";
    struct pair *v = arena_array(s->a, SIGV4_PARAMETERS, sizeof *v);
    size_t n = 0, len, name;
    struct err why = {0};

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for a query");
    for (; *q; q += len + (q[len] == '&')) {
        len = strcspn(q, "&");
        if (!len)
            continue;
        if (n == SIGV4_PARAMETERS)
            return err_set(e, ERR_LIMIT, "a query of more than %d parameters", SIGV4_PARAMETERS);
        name = strcspn(q, "=&");
        v[n].name = recode(s, q, name, &why);
        v[n].value = name < len ? recode(s, q + name + 1, len - name - 1, &why) : "";
        if (why.code)
            return err_set(e, why.code, "%s", why.text);
        n++;
    }
    qsort(v, n, sizeof *v, by_name_and_value);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&s->canonical, "%s%s=%s", i ? "&" : "", v[i].name, v[i].value);
    return 0;
}

/* ---- headers ---- */

static const char *lower(struct arena *a, const char *s)
{
    char *t = arena_text(a, s, strlen(s));

    for (char *p = t; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return t;
}

/* Without blanks at the ends, and runs of blanks within become one. */
static const char *trim(struct arena *a, const char *s)
{
    char *t = arena_alloc(a, strlen(s) + 1), *out = t;

    if (!t)
        return NULL;
    for (s += strspn(s, " \t"); *s; s++) {
        bool blank = *s == ' ' || *s == '\t';

        if (blank && (s[1] == ' ' || s[1] == '\t' || !s[1]))
            continue;
        *out++ = blank ? ' ' : *s;
    }
    return t;
}

/* Stable: values of one name stay in the order in which they are sent. */
static void sort_headers(struct pair *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct pair x = v[i];
        size_t k = i;

        for (; k && strcmp(v[k - 1].name, x.name) > 0; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

static int add_header(struct signing *s, struct pair *v, size_t *n, const struct http_header *h,
                      struct err *e)
{
    if (*n == SIGV4_HEADERS)
        return err_set(e, ERR_LIMIT, "more than %d headers to sign", SIGV4_HEADERS);
    if (strpbrk(h->value, "\r\n") || !*h->name || strpbrk(h->name, " \t\r\n:;"))
        return err_set(e, ERR_MALFORMED, "a header that can't be signed");
    v[*n] = (struct pair){lower(s->a, h->name), trim(s->a, h->value)};
    if (!v[*n].name || !v[*n].value)
        return err_set(e, ERR_NOMEM, "no memory for headers");
    (*n)++;
    return 0;
}

static int put_headers(struct signing *s, const struct sigv4_signature *own, struct err *e)
{
    struct pair *v = arena_array(s->a, SIGV4_HEADERS, sizeof *v);
    bool host = false;
    size_t n = 0;
    int rc = v ? 0 : err_set(e, ERR_NOMEM, "no memory for headers");

    for (size_t i = 0; rc == 0 && i < s->r->n_headers; i++)
        rc = add_header(s, v, &n, &s->r->headers[i], e);
    for (size_t i = 0; rc == 0 && i < own->n_added; i++)
        rc = add_header(s, v, &n, &own->added[i], e);
    if (rc != 0)
        return rc;
    sort_headers(v, n);
    for (size_t i = 0; i < n; i++) {
        bool first = !i || strcmp(v[i].name, v[i - 1].name) != 0;

        host = host || strcmp(v[i].name, "host") == 0;
        if (first)
            buf_fmt(&s->canonical, "%s%s:%s", i ? "\n" : "", v[i].name, v[i].value);
        else
            buf_fmt(&s->canonical, ",%s", v[i].value);
        if (first)
            buf_fmt(&s->signed_names, "%s%s", i ? ";" : "", v[i].name);
    }
    buf_str(&s->canonical, "\n\n");
    return host ? 0 : err_set(e, ERR_MALFORMED, "a request without Host can't be signed");
}

/* ---- the signature ---- */

static bool mac(const unsigned char *key, size_t n, const char *text, unsigned char out[SHA256_DIGEST_LENGTH])
{
    unsigned int len = 0;

    return HMAC(EVP_sha256(), key, (int)n, (const unsigned char *)text, strlen(text), out, &len) != NULL;
}

static bool signing_key(const struct signing *s, unsigned char key[SHA256_DIGEST_LENGTH])
{
    size_t n = strlen(s->c->secret_key) + 5;
    char day[9], *first = arena_alloc(s->a, n);
    bool ok;

    if (!first)
        return false;
    (void)snprintf(first, n, "AWS4%s", s->c->secret_key);
    (void)snprintf(day, sizeof day, "%.8s", s->date);
    ok = mac((unsigned char *)first, n - 1, day, key) && mac(key, SHA256_DIGEST_LENGTH, s->r->region, key) &&
         mac(key, SHA256_DIGEST_LENGTH, s->r->service, key) &&
         mac(key, SHA256_DIGEST_LENGTH, "aws4_request", key);
    explicit_bzero(first, n);
    return ok;
}

static void own_header(struct sigv4_signature *out, const char *name, const char *value)
{
    out->added[out->n_added++] = (struct http_header){name, value};
}

/* The canonical request, its hash within the text to sign, and the signature of that. */
static int finish(struct signing *s, struct sigv4_signature *out, struct err *e)
{
    unsigned char key[SHA256_DIGEST_LENGTH], raw[SHA256_DIGEST_LENGTH];
    char digest[HEX], *signature = arena_alloc(s->a, HEX);
    struct buf text;
    bool ok;

    buf_fmt(&s->canonical, "%s\n%s", buf_text(&s->signed_names), s->hash);
    sha256_hex(buf_bytes(&s->canonical), digest);
    buf_fmt(&s->scope, "%.8s/%s/%s/aws4_request", s->date, s->r->region, s->r->service);
    buf_init(&text, NULL, TEXT_MOST);
    buf_fmt(&text, "%s\n%s\n%s\n%s", algorithm, s->date, buf_text(&s->scope), digest);
    out->canonical = keep(s->a, &s->canonical);
    out->to_sign = keep(s->a, &text);
    out->signature = signature;
    ok = signature && out->canonical && out->to_sign && !s->signed_names.full && !s->scope.full &&
         signing_key(s, key) && mac(key, sizeof key, out->to_sign, raw);
    explicit_bzero(key, sizeof key);
    if (ok) {
        const char *authorization;

        hex(raw, sizeof raw, signature);
        buf_clear(&text);
        buf_fmt(&text, "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s", algorithm, s->c->access_key_id,
                buf_text(&s->scope), buf_text(&s->signed_names), signature);
        authorization = keep(s->a, &text);
        ok = authorization != NULL;
        own_header(out, "Authorization", authorization);
    }
    buf_free(&text);
    return ok ? 0 : err_set(e, ERR_NOMEM, "no memory for a signature");
}

static void date_of(struct wall now, char out[DATE])
{
    char text[WALL_TEXT]; /* 2015-08-30T12:36:00.000Z */

    (void)wall_text(now, text);
    (void)snprintf(out, DATE, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", text, text + 5, text + 8, text + 11, text + 14,
                   text + 17);
}

int sigv4_sign(const struct sigv4_request *r, const struct sigv4_credentials *c, struct arena *a,
               struct sigv4_signature *out, struct err *e)
{
    struct signing s = {.r = r, .c = c, .a = a};
    int rc;

    *out = (struct sigv4_signature){0};
    buf_init(&s.canonical, NULL, TEXT_MOST);
    buf_init(&s.signed_names, NULL, TEXT_MOST);
    buf_init(&s.scope, NULL, TEXT_MOST);
    date_of(r->now, s.date);
    if (!r->payload_hash)
        sha256_hex(r->payload, s.payload);
    s.hash = arena_text(a, r->payload_hash ? r->payload_hash : s.payload,
                        strlen(r->payload_hash ? r->payload_hash : s.payload));
    own_header(out, "X-Amz-Date", arena_text(a, s.date, strlen(s.date)));
    if (!s.hash || !out->added[0].value) {
        rc = err_set(e, ERR_NOMEM, "no memory for a signature");
        goto out;
    }
    if (c->session_token && *c->session_token)
        own_header(out, "X-Amz-Security-Token", c->session_token);
    if (r->s3)
        own_header(out, "X-Amz-Content-Sha256", s.hash);
    buf_fmt(&s.canonical, "%s\n", r->method);
    put_path(&s);
    buf_u8(&s.canonical, '\n');
    rc = put_query(&s, e);
    buf_u8(&s.canonical, '\n');
    if (rc == 0)
        rc = put_headers(&s, out, e);
    if (rc == 0)
        rc = finish(&s, out, e);
out:
    buf_free(&s.canonical);
    buf_free(&s.signed_names);
    buf_free(&s.scope);
    return rc;
}
