/* Answers of etcd, read totally: any bytes give a value or ETCD_AWAY. See etcd.h. */
#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/failover/etcd.h"
#include "common/net/openssl.h"

/* Codes of gRPC: invalid argument, not found, failed precondition, unauthenticated. */
enum { GRPC_ARGUMENT = 3, GRPC_NOT_FOUND = 5, GRPC_STRANGER = 16 };

static enum etcd_fault away(char why[ETCD_WHY], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static enum etcd_fault away(char why[ETCD_WHY], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, ETCD_WHY, fmt, ap);
    va_end(ap);
    for (char *p = why; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = ' ';
    return ETCD_AWAY;
}

bool etcd_number(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;

    for (; s[n] >= '0' && s[n] <= '9' && n < 20; n++) {
        if (v > (INT64_MAX - (uint64_t)(s[n] - '0')) / 10)
            return false;
        v = v * 10 + (uint64_t)(s[n] - '0');
    }
    *out = v;
    return n > 0 && s[n] == 0;
}

/* A 64-bit number of an object: absent is 0. */
static bool number(const cJSON *o, const char *name, uint64_t *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    *out = 0;
    return !v || (cJSON_IsString(v) && etcd_number(v->valuestring, out));
}

/* Standard base64 of an object: absent is empty. EVP_DecodeBlock alone would take white space, and padding for zeros. */
static bool octets(const cJSON *o, const char *name, struct arena *a, struct bytes *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    size_t n, pad;
    uint8_t *to;

    *out = (struct bytes){(const uint8_t *)"", 0};
    if (!v)
        return true;
    if (!cJSON_IsString(v))
        return false;
    n = strspn(v->valuestring, alphabet);
    pad = strspn(v->valuestring + n, "=");
    if (v->valuestring[n + pad] || (n + pad) % 4 || pad > 2 || n + pad > INT32_MAX)
        return false;
    if (n + pad == 0)
        return true;
    to = arena_alloc(a, (n + pad) / 4 * 3);
    if (!to || EVP_DecodeBlock(to, (const unsigned char *)v->valuestring, (int)(n + pad)) < 0)
        return false;
    *out = (struct bytes){to, (n + pad) / 4 * 3 - pad};
    return true;
}

static const char *text_of_item(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsString(v) ? v->valuestring : "";
}

static int code_of(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < 1000 ? (int)v->valuedouble : -1;
}

/* What an error says. Only those whose meaning is certain are more than AWAY. */
static enum etcd_fault refused(const cJSON *o, const cJSON *error, int status, char why[ETCD_WHY])
{
    const bool nested = cJSON_IsObject(error);
    const char *text = nested                  ? text_of_item(error, "message")
                       : cJSON_IsString(error) ? error->valuestring
                                               : "";
    const int code = nested ? code_of(error, "grpc_code") : code_of(o, "code");

    (void)away(why, "etcd says: %.120s (code %d, HTTP %d)", text, code, status);
    if (status == 401 || code == GRPC_STRANGER ||
        (code == GRPC_ARGUMENT && (strstr(text, "user name is empty") || strstr(text, "auth store is old") ||
                                   strstr(text, "revision of auth store"))))
        return ETCD_STRANGER;
    if (code == GRPC_NOT_FOUND && strstr(text, "requested lease not found"))
        return ETCD_NO_LEASE;
    return ETCD_AWAY;
}

/* The object of an answer; the caller deletes *o in every case. */
static enum etcd_fault open_answer(int status, struct bytes body, cJSON **o, char why[ETCD_WHY])
{
    const cJSON *error;

    why[0] = 0;
    *o = cJSON_ParseWithLength((const char *)(body.n ? body.p : (const uint8_t *)""), body.n);
    error = cJSON_GetObjectItemCaseSensitive(*o, "error");
    if (!error && status == 401)
        return (void)away(why, "etcd says HTTP 401"), ETCD_STRANGER;
    if (cJSON_IsObject(*o) && error)
        return refused(*o, error, status, why);
    if (status != 200)
        return away(why, "etcd says HTTP %d", status);
    if (!cJSON_IsObject(*o))
        return away(why, "the answer is no JSON object");
    return ETCD_FINE;
}

/* Every good answer has one, with a revision; that of a store is never 0. */
static bool header(const cJSON *o, uint64_t *rev, uint64_t *term)
{
    const cJSON *h = cJSON_GetObjectItemCaseSensitive(o, "header");

    return cJSON_IsObject(h) && number(h, "revision", rev) && number(h, "raft_term", term) && *rev > 0;
}

static bool read_kv(const cJSON *o, struct arena *a, struct etcd_kv *out)
{
    out->there = true;
    return cJSON_IsObject(o) && octets(o, "key", a, &out->key) && octets(o, "value", a, &out->value) &&
           number(o, "create_revision", &out->create) && number(o, "mod_revision", &out->mod) &&
           number(o, "lease", &out->lease) && out->create > 0 && out->mod >= out->create;
}

static bool is_key(struct bytes b, const char *key)
{
    return b.n == strlen(key) && memcmp(b.p, key, b.n) == 0;
}

/* One response to one operation: of its kind, and of its key. */
static bool read_response(const struct etcd_op *op, const cJSON *r, struct arena *a, struct etcd_kv *out)
{
    static const char *const names[] = {[ETCD_GET] = "response_range",
                                        [ETCD_GET_KEY] = "response_range",
                                        [ETCD_PUT] = "response_put",
                                        [ETCD_DELETE] = "response_delete_range"};
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(r, names[op->kind]), *kvs;
    uint64_t deleted;

    if (!cJSON_IsObject(x))
        return false;
    if (op->kind == ETCD_PUT)
        return true;
    if (op->kind == ETCD_DELETE) {
        out->there = number(x, "deleted", &deleted) && deleted > 0;
        return number(x, "deleted", &deleted);
    }
    kvs = cJSON_GetObjectItemCaseSensitive(x, "kvs");
    if (!kvs)
        return true;
    return cJSON_IsArray(kvs) && cJSON_GetArraySize(kvs) == 1 && read_kv(kvs->child, a, out) &&
           is_key(out->key, op->key);
}

static bool read_responses(const struct etcd_op *ops, uint32_t n, const cJSON *o, struct arena *a,
                           struct etcd_done *out)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "responses"), *r = NULL;
    uint32_t i = 0;

    if (!list)
        return n == 0;
    if (!cJSON_IsArray(list))
        return false;
    for (r = list->child; r; r = r->next, i++)
        if (i >= n || !read_response(&ops[i], r, a, &out->kv[i]))
            return false;
    return i == n;
}

enum etcd_fault etcd_txn_read(const struct etcd_txn *t, int status, struct bytes body, struct arena *a,
                              struct etcd_done *out, char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(status, body, &o, why);

    memset(out, 0, sizeof *out);
    if (f == ETCD_FINE) {
        const cJSON *won = cJSON_GetObjectItemCaseSensitive(o, "succeeded");

        out->succeeded = cJSON_IsTrue(won);
        if (!header(o, &out->rev, &out->term) || (won && !cJSON_IsBool(won)) ||
            !read_responses(out->succeeded ? t->then : t->other, out->succeeded ? t->n_then : t->n_other, o,
                            a, out))
            f = away(why, "the answer is not of the form of the transaction");
    }
    cJSON_Delete(o);
    return f;
}

enum etcd_fault etcd_grant_read(int status, struct bytes body, struct arena *a, uint64_t *id, uint64_t *ttl_s,
                                char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(status, body, &o, why);
    uint64_t rev, term;

    (void)a;
    *id = *ttl_s = 0;
    if (f == ETCD_FINE && (!header(o, &rev, &term) || !number(o, "ID", id) || !number(o, "TTL", ttl_s) ||
                           *id == 0 || *ttl_s == 0))
        f = away(why, "the answer grants no lease: %.80s", text_of_item(o, "error"));
    cJSON_Delete(o);
    return f;
}

enum etcd_fault etcd_keep_read(uint64_t id, int status, struct bytes body, struct arena *a, uint64_t *ttl_s,
                               uint64_t *term, char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(status, body, &o, why);
    const cJSON *r = cJSON_GetObjectItemCaseSensitive(o, "result");
    uint64_t rev, of;

    (void)a;
    *ttl_s = *term = 0;
    if (f == ETCD_FINE && (!cJSON_IsObject(r) || !header(r, &rev, term) || !number(r, "ID", &of) ||
                           !number(r, "TTL", ttl_s) || of != id))
        f = away(why, "the answer is not about our lease");
    cJSON_Delete(o);
    return f;
}

static bool id_of(const cJSON *o, const char *name, char out[ETCD_ID])
{
    const char *text = text_of_item(o, name);
    size_t n = strlen(text);

    if (n == 0 && !cJSON_GetObjectItemCaseSensitive(o, name))
        text = "0", n = 1;
    if (n == 0 || n >= ETCD_ID || strspn(text, "0123456789") != n)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

enum etcd_fault etcd_status_read(int status, struct bytes body, char member[ETCD_ID], char leader[ETCD_ID],
                                 char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(status, body, &o, why);
    const cJSON *header = cJSON_GetObjectItemCaseSensitive(o, "header");

    if (f == ETCD_FINE &&
        (!id_of(header, "member_id", member) || !id_of(o, "leader", leader) || strcmp(member, "0") == 0))
        f = away(why, "the answer is not a member's status");
    cJSON_Delete(o);
    return f;
}

enum etcd_fault etcd_lead_read(int status, struct bytes body, char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(status, body, &o, why);

    cJSON_Delete(o);
    return f;
}

enum etcd_fault etcd_login_read(int status, struct bytes body, struct arena *a, char token[ETCD_TOKEN],
                                char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(status, body, &o, why);
    const char *text = text_of_item(o, "token");
    const size_t n = strlen(text);

    (void)a;
    token[0] = 0;
    if (f == ETCD_STRANGER)
        f = ETCD_AWAY; /* the password is wrong: asking again does not help */
    if (f == ETCD_FINE && (n == 0 || n >= ETCD_TOKEN || strpbrk(text, "\r\n")))
        f = away(why, "the answer has no token");
    if (f == ETCD_FINE)
        memcpy(token, text, n + 1);
    cJSON_Delete(o);
    return f;
}

enum etcd_fault etcd_list_read(const char *prefix, int status, struct bytes body, struct arena *a,
                               struct etcd_kv **out, uint32_t *n, char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(status, body, &o, why);
    const cJSON *kvs = cJSON_GetObjectItemCaseSensitive(o, "kvs"), *kv;
    uint64_t rev, term;
    bool good = f == ETCD_FINE && header(o, &rev, &term) && (!kvs || cJSON_IsArray(kvs));

    *n = 0;
    *out = good ? arena_array(a, ETCD_LIST, sizeof **out) : NULL;
    good = good && *out;
    for (kv = good && kvs ? kvs->child : NULL; kv && good; kv = kv->next) {
        good = *n < ETCD_LIST && read_kv(kv, a, &(*out)[*n]) && (*out)[*n].key.n >= strlen(prefix) &&
               memcmp((*out)[*n].key.p, prefix, strlen(prefix)) == 0;
        *n += good;
    }
    if (f == ETCD_FINE && !good)
        f = away(why, "the answer is no list of what was asked for");
    cJSON_Delete(o);
    return f;
}

enum etcd_fault etcd_plain_read(int status, struct bytes body, struct arena *a, char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(status, body, &o, why);
    uint64_t rev, term;

    (void)a;
    if (f == ETCD_FINE && !header(o, &rev, &term))
        f = away(why, "the answer has no header");
    cJSON_Delete(o);
    return f;
}

static bool read_events(const cJSON *events, struct arena *a, struct etcd_news *out)
{
    for (const cJSON *v = events ? events->child : NULL; v; v = v->next) {
        const cJSON *kv = cJSON_GetObjectItemCaseSensitive(v, "kv");

        if (!cJSON_IsObject(kv) || (out->n < ETCD_OPS && !octets(kv, "key", a, &out->key[out->n])))
            return false;
        out->n++;
    }
    return true;
}

enum etcd_fault etcd_watch_read(struct bytes line, struct arena *a, struct etcd_news *out, char why[ETCD_WHY])
{
    cJSON *o;
    enum etcd_fault f = open_answer(200, line, &o, why);
    const cJSON *r = cJSON_GetObjectItemCaseSensitive(o, "result"),
                *events = cJSON_GetObjectItemCaseSensitive(r, "events");
    uint64_t term;

    memset(out, 0, sizeof *out);
    if (f == ETCD_FINE) {
        out->created = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r, "created"));
        out->ended = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r, "canceled"));
        if (!cJSON_IsObject(r) || (!header(r, &out->rev, &term) && !out->ended) ||
            !number(r, "compact_revision", &out->from) || (events && !cJSON_IsArray(events)) ||
            !read_events(events, a, out))
            f = away(why, "the line is no news of a watch");
    }
    cJSON_Delete(o);
    return f;
}
