/* Requests to etcd. See etcd.h. */
#include "aggregator/failover/etcd.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/openssl.h"

enum { VALUE_MOST = 1 << 20 };

const char *etcd_path(enum etcd_call c)
{
    static const char *const paths[ETCD_CALLS] = {
        [ETCD_GRANT] = "/v3/lease/grant",
        [ETCD_KEEPALIVE] = "/v3/lease/keepalive",
        [ETCD_REVOKE] = "/v3/lease/revoke",
        [ETCD_TXN] = "/v3/kv/txn",
        [ETCD_RANGE] = "/v3/kv/range",
        [ETCD_WATCH] = "/v3/watch",
        [ETCD_LOGIN] = "/v3/auth/authenticate",
        [ETCD_STATUS] = "/v3/maintenance/status",
        [ETCD_LEAD] = "/v3/maintenance/transfer-leadership",
    };

    return paths[c];
}

const char *etcd_name(enum etcd_call c)
{
    static const char *const names[ETCD_CALLS] = {
        [ETCD_GRANT] = "grant", [ETCD_KEEPALIVE] = "keepalive", [ETCD_REVOKE] = "revoke",
        [ETCD_TXN] = "txn",     [ETCD_RANGE] = "range",         [ETCD_WATCH] = "watch",
        [ETCD_LOGIN] = "login", [ETCD_STATUS] = "status",       [ETCD_LEAD] = "lead",
    };

    return names[c];
}

static void put_base64(struct buf *out, struct bytes b)
{
    size_t n = (b.n + 2) / 3 * 4;

    buf_u8(out, '"');
    if (b.n > VALUE_MOST) {
        out->full = true;
    } else if (b.n && buf_reserve(out, n + 1)) { /* it writes a terminator */
        EVP_EncodeBlock(out->data + out->len, b.p, (int)b.n);
        out->len += n;
    }
    buf_u8(out, '"');
}

static struct bytes text_bytes(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static void put_key(struct buf *out, const char *name, const char *key)
{
    buf_fmt(out, "\"%s\":", name);
    put_base64(out, text_bytes(key));
}

static void put_compare(struct buf *out, const struct etcd_compare *c)
{
    buf_u8(out, '{');
    put_key(out, "key", c->key);
    buf_str(out, ",\"result\":\"EQUAL\",\"target\":");
    if (c->target == ETCD_VALUE) {
        buf_str(out, "\"VALUE\",\"value\":");
        put_base64(out, c->value);
    } else if (c->target == ETCD_CREATE) {
        buf_fmt(out, "\"CREATE\",\"create_revision\":\"%" PRIu64 "\"", c->rev);
    } else {
        buf_fmt(out, "\"MOD\",\"mod_revision\":\"%" PRIu64 "\"", c->rev);
    }
    buf_u8(out, '}');
}

static void put_op(struct buf *out, const struct etcd_op *o)
{
    static const char *const names[] = {[ETCD_GET] = "request_range",
                                        [ETCD_GET_KEY] = "request_range",
                                        [ETCD_PUT] = "request_put",
                                        [ETCD_DELETE] = "request_delete_range"};

    buf_fmt(out, "{\"%s\":{", names[o->kind]);
    put_key(out, "key", o->key);
    if (o->kind == ETCD_GET_KEY)
        buf_str(out, ",\"keys_only\":true");
    if (o->kind == ETCD_PUT) {
        buf_str(out, ",\"value\":");
        put_base64(out, o->value);
        if (o->lease)
            buf_fmt(out, ",\"lease\":\"%" PRIu64 "\"", o->lease);
    }
    buf_str(out, "}}");
}

static void put_ops(struct buf *out, const char *name, const struct etcd_op *ops, uint32_t n)
{
    buf_fmt(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            buf_u8(out, ',');
        put_op(out, &ops[i]);
    }
    buf_u8(out, ']');
}

static int done(const struct buf *out)
{
    return out->full ? ERR_LIMIT : 0;
}

int etcd_txn_write(const struct etcd_txn *t, struct buf *out)
{
    buf_str(out, "{\"compare\":[");
    for (uint32_t i = 0; i < t->n_compare; i++) {
        if (i)
            buf_u8(out, ',');
        put_compare(out, &t->compare[i]);
    }
    buf_u8(out, ']');
    put_ops(out, "success", t->then, t->n_then);
    put_ops(out, "failure", t->other, t->n_other);
    buf_u8(out, '}');
    return done(out);
}

int etcd_grant_write(uint64_t ttl_s, struct buf *out)
{
    buf_fmt(out, "{\"TTL\":\"%" PRIu64 "\"}", ttl_s);
    return done(out);
}

int etcd_lease_write(uint64_t id, struct buf *out)
{
    buf_fmt(out, "{\"ID\":\"%" PRIu64 "\"}", id);
    return done(out);
}

int etcd_lead_write(const char member[ETCD_ID], struct buf *out)
{
    buf_fmt(out, "{\"targetID\":\"%s\"}", member);
    return done(out);
}

int etcd_login_write(const char *user, const char *password, struct buf *out)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "name", user);
    cJSON_AddStringToObject(o, "password", password);
    text = cJSON_PrintUnformatted(o);
    if (text)
        buf_str(out, text);
    else
        out->full = true;
    cJSON_free(text);
    cJSON_Delete(o);
    return done(out);
}

/* The first key behind all that begin with prefix: its last byte and one (the API's way). Our prefixes end in '/'. */
static void put_end(struct buf *out, const char *prefix)
{
    struct buf end;

    buf_init(&end, out->mem, VALUE_MOST);
    buf_str(&end, prefix);
    if (end.len && !end.full)
        end.data[end.len - 1]++;
    out->full = out->full || end.full;
    buf_str(out, ",\"range_end\":");
    put_base64(out, buf_bytes(&end));
    buf_free(&end);
}

int etcd_list_write(const char *prefix, const char *before, uint32_t limit, struct buf *out)
{
    buf_u8(out, '{');
    put_key(out, "key", prefix);
    if (before) {
        buf_u8(out, ',');
        put_key(out, "range_end", before);
    } else {
        put_end(out, prefix);
    }
    buf_fmt(out, ",\"limit\":\"%u\",\"sort_order\":\"DESCEND\",\"sort_target\":\"KEY\"}", limit);
    return done(out);
}

int etcd_watch_write(const char *prefix, uint64_t from, struct buf *out)
{
    buf_str(out, "{\"create_request\":{");
    put_key(out, "key", prefix);
    put_end(out, prefix);
    if (from)
        buf_fmt(out, ",\"start_revision\":\"%" PRIu64 "\"", from);
    buf_str(out, ",\"progress_notify\":true}}");
    return done(out);
}
