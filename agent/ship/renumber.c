/* A sealed batch under a new number: the payload is read token by token and written again with `epoch`, `seq`
 * and `low` of the root replaced; everything else is copied byte for byte. */
#include <string.h>

#include "agent/ship/batch.h"
#include "common/wire/pack.h"
#include "common/wire/token.h"

static bool is(const struct tok *key, const char *name)
{
    return key->n == strlen(name) && memcmp(key->p, name, key->n) == 0;
}

static const uint64_t *replaced(const struct tok *key, const struct batch_number *to)
{
    if (is(key, "epoch"))
        return &to->epoch;
    if (is(key, "seq"))
        return &to->seq;
    return is(key, "low") ? &to->low : NULL;
}

static int rewrite(struct bytes old, const struct batch_number *to, struct buf *out)
{
    struct reader r = {old.p, old.p + old.n};
    msgpack_packer pk = pack_into(out);
    struct tok root, key;
    unsigned found = 0;

    if (!tok_next(&r, &root) || root.type != TOK_MAP)
        return ERR_MALFORMED;
    (void)msgpack_pack_map(&pk, root.n);
    for (uint32_t i = 0; i < root.n; i++) {
        const uint8_t *at = r.p, *value;
        const uint64_t *v;

        if (!tok_next(&r, &key) || key.type != TOK_STR)
            return ERR_MALFORMED;
        value = r.p;
        if (!tok_skip(&r))
            return ERR_MALFORMED;
        v = replaced(&key, to);
        if (v) {
            found++;
            buf_put(out, at, (size_t)(value - at));
            (void)msgpack_pack_uint64(&pk, *v);
        } else {
            buf_put(out, at, (size_t)(r.p - at));
        }
    }
    if (out->full)
        return ERR_NOMEM;
    return found == 3 ? 0 : ERR_MALFORMED;
}

int batch_renumber(struct wire_codec *codec, struct bytes frame, const struct batch_number *to,
                   struct mem *mem, struct buf *out, struct err *e)
{
    enum wire_reason reason;
    struct buf old, fresh;
    int rc;

    buf_init(&old, mem, WIRE_MAX_INFLATED);
    buf_init(&fresh, mem, WIRE_MAX_INFLATED);
    rc = wire_inflate(codec, frame.p, frame.n, &old, &reason, e);
    if (rc == 0) {
        rc = rewrite(buf_bytes(&old), to, &fresh);
        if (rc != 0)
            (void)err_set(e, rc, "a batch that cannot be numbered anew");
    }
    if (rc == 0)
        rc = wire_deflate(codec, fresh.data, fresh.len, out, e);
    buf_free(&old);
    buf_free(&fresh);
    return rc;
}
