/* Answers, both ways. An aggregator's sentence may show bytes of a stranger, cut anywhere: they leave as
 * valid UTF-8. */
#include "common/wire/pack.h"
#include "common/wire/text.h"

#include <stdio.h>

enum { A_DUPLICATE, A_EPOCH, A_ERROR, A_NEED, A_REASON, A_REFUSED, A_SEQ, A_TIME, A_COUNT };

/* Copies up to room - 1 bytes of whole characters; a byte that is no UTF-8 becomes '?'. */
static void copy_text(char *to, size_t room, const char *from, size_t n)
{
    size_t used = 0;

    for (size_t i = 0; i < n;) {
        size_t len = 1;

        while (len <= 4 && i + len <= n && !wire_utf8_ok(from + i, len))
            len++;
        if (len > 4 || i + len > n)
            len = 0;
        if (used + (len ? len : 1) >= room)
            break;
        if (len)
            memcpy(to + used, from + i, len);
        else
            to[used] = '?';
        used += len ? len : 1;
        i += len ? len : 1;
    }
    to[used] = 0;
}

static void pack_ok(msgpack_packer *pk, const struct wire_answer *a)
{
    static const enum wire_refusal by_name[WIRE_REFUSALS] = {WIRE_FUTURE, WIRE_KIND_CONFLICT,
                                                             WIRE_VALUE_QUOTA, WIRE_TOO_OLD};
    uint32_t n = 0;

    for (int i = 0; i < WIRE_REFUSALS; i++)
        n += a->refused[i] > 0;
    (void)msgpack_pack_map(pk, 5);
    pack_text(pk, "duplicate");
    (void)(a->duplicate ? msgpack_pack_true(pk) : msgpack_pack_false(pk));
    pack_text(pk, "epoch");
    (void)msgpack_pack_uint64(pk, a->epoch);
    pack_text(pk, "refused");
    (void)msgpack_pack_map(pk, n);
    for (int i = 0; i < WIRE_REFUSALS; i++) {
        if (!a->refused[by_name[i]])
            continue;
        pack_text(pk, wire_refusal_name(by_name[i]));
        (void)msgpack_pack_uint64(pk, a->refused[by_name[i]]);
    }
    pack_text(pk, "seq");
    (void)msgpack_pack_uint64(pk, a->seq);
    pack_text(pk, "time");
    (void)msgpack_pack_int64(pk, a->time);
}

static void pack_need(msgpack_packer *pk, const struct wire_answer *a)
{
    (void)msgpack_pack_map(pk, 1);
    pack_text(pk, "need");
    (void)msgpack_pack_array(pk, a->n_need);
    for (uint32_t i = 0; i < a->n_need; i++)
        pack_hash(pk, &a->need[i]);
}

static void pack_refusal(msgpack_packer *pk, const struct wire_answer *a)
{
    char text[sizeof a->error];

    copy_text(text, sizeof text, a->error, strnlen(a->error, sizeof a->error));
    (void)msgpack_pack_map(pk, 2);
    pack_text(pk, "error");
    pack_text(pk, text);
    pack_text(pk, "reason");
    pack_text(pk, wire_reason_name(a->reason));
}

int wire_answer_encode(const struct wire_answer *a, bool for_definitions, struct buf *out)
{
    msgpack_packer pk = pack_into(out);

    switch (a->status) {
    case 200:
        if (!for_definitions) {
            pack_ok(&pk, a);
            break;
        }
        (void)msgpack_pack_map(&pk, 1);
        pack_text(&pk, "time");
        (void)msgpack_pack_int64(&pk, a->time);
        break;
    case 409: pack_need(&pk, a); break;
    case 410:
        (void)msgpack_pack_map(&pk, 1);
        pack_text(&pk, "epoch");
        (void)msgpack_pack_uint64(&pk, a->epoch);
        break;
    default: pack_refusal(&pk, a); break;
    }
    return out->full ? ERR_NOMEM : 0;
}

static int bad_answer(struct err *e, const char *key)
{
    return err_set(e, ERR_MALFORMED, "answer: key %s is missing or wrong", key);
}

static int read_refused(struct reader r, struct wire_answer *out, struct err *e)
{
    struct tok map, key, value;

    if (!r.p || !tok_next(&r, &map) || map.type != TOK_MAP)
        return bad_answer(e, "refused");
    for (uint32_t i = 0; i < map.n; i++) {
        uint64_t *to = &out->refused_other;

        if (!tok_next(&r, &key) || key.type != TOK_STR || !tok_next(&r, &value) || value.type != TOK_UINT)
            return bad_answer(e, "refused");
        for (int k = 0; k < WIRE_REFUSALS; k++)
            if (wire_str_is((struct wire_str){(const char *)key.p, key.n},
                            wire_refusal_name((enum wire_refusal)k)))
                to = &out->refused[k];
        if (__builtin_add_overflow(*to, value.u, to))
            *to = UINT64_MAX;
    }
    return 0;
}

static int read_ok(const struct field *f, bool for_definitions, struct wire_answer *out, struct err *e)
{
    if (!field_int(&f[A_TIME], &out->time))
        return bad_answer(e, "time");
    if (for_definitions)
        return 0;
    if (!field_uint(&f[A_EPOCH], 0, UINT64_MAX, &out->epoch))
        return bad_answer(e, "epoch");
    if (!field_uint(&f[A_SEQ], 0, UINT64_MAX, &out->seq))
        return bad_answer(e, "seq");
    if (!field_bool(&f[A_DUPLICATE], &out->duplicate))
        return bad_answer(e, "duplicate");
    return read_refused(f[A_REFUSED].at, out, e);
}

static int read_need(struct reader r, struct arena *ar, struct wire_answer *out, struct err *e)
{
    struct tok t;

    if (!r.p || !tok_next(&r, &t) || t.type != TOK_ARRAY || t.n > WIRE_MAX_BLOCKS + 1)
        return bad_answer(e, "need");
    out->need = arena_array(ar, t.n, sizeof *out->need);
    if (!out->need)
        return wire_no_memory(NULL, e);
    out->n_need = t.n;
    for (uint32_t i = 0; i < out->n_need; i++) {
        if (!tok_next(&r, &t) || t.type != TOK_BIN || t.n != sizeof out->need[i].b)
            return bad_answer(e, "need");
        memcpy(out->need[i].b, t.p, t.n);
    }
    return 0;
}

static int read_refusal(const struct field *f, struct wire_answer *out, struct err *e)
{
    struct wire_str error, reason;
    char text[2 * sizeof out->error];
    int n;

    if (!field_str(&f[A_ERROR], &error))
        return bad_answer(e, "error");
    if (!field_str(&f[A_REASON], &reason))
        return bad_answer(e, "reason");
    copy_text(out->error, sizeof out->error, error.p, error.n);
    for (int i = WIRE_OK + 1; i < WIRE_REASONS; i++)
        if (wire_str_is(reason, wire_reason_name((enum wire_reason)i)))
            out->reason = (enum wire_reason)i;
    if (out->reason != WIRE_OK)
        return 0;
    n = snprintf(text, sizeof text, "%.*s: %s", WIRE_SHOW(reason), out->error);
    copy_text(out->error, sizeof out->error, text, n > 0 ? strlen(text) : 0);
    return 0;
}

int wire_answer_decode(int status, const uint8_t *p, size_t n, bool for_definitions, struct arena *ar,
                       struct wire_answer *out, struct err *e)
{
    struct field f[A_COUNT] = {
        [A_DUPLICATE] = FIELD("duplicate"),
        [A_EPOCH] = FIELD("epoch"),
        [A_ERROR] = FIELD("error"),
        [A_NEED] = FIELD("need"),
        [A_REASON] = FIELD("reason"),
        [A_REFUSED] = FIELD("refused"),
        [A_SEQ] = FIELD("seq"),
        [A_TIME] = FIELD("time"),
    };
    struct reader r = {p, p + n};
    int rc = wire_walk_to(p, n, WIRE_MAX_DEPTH, false, NULL, e);

    *out = (struct wire_answer){.status = status};
    if (rc)
        return ERR_MALFORMED;
    if (!fields_read(&r, f, A_COUNT))
        return err_set(e, ERR_MALFORMED, "answer: no map");
    switch (status) {
    case 200: return read_ok(f, for_definitions, out, e);
    case 409: out->reason = WIRE_DEFINITIONS; return read_need(f[A_NEED].at, ar, out, e);
    case 410:
        out->reason = WIRE_SUPERSEDED;
        return field_uint(&f[A_EPOCH], 0, UINT64_MAX, &out->epoch) ? 0 : bad_answer(e, "epoch");
    case 400:
    case 401:
    case 403:
    case 404:
    case 405:
    case 411:
    case 413:
    case 415:
    case 422:
    case 429:
    case 503: return read_refusal(f, out, e);
    default: return err_set(e, ERR_MALFORMED, "answer: status %d is none of the protocol's", status);
    }
}
