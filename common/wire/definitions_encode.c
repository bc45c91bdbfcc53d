/* Definitions, written. What was written is read again before it is handed out: definitions are rare, and one
 * rule book serves both directions. */
#include "common/wire/pack.h"
#include "common/wire/text.h"

static bool put_labels(msgpack_packer *pk, const struct wire_label *l, uint32_t n)
{
    struct wire_label sorted[WIRE_MAX_LABELS];

    if (n > WIRE_MAX_LABELS)
        return false;
    for (uint32_t i = 0; i < n; i++)
        sorted[i] = l[i];
    wire_labels_sort(sorted, n);
    pack_labels(pk, sorted, n);
    return true;
}

/* Reads what stands in out from `at` on; takes it back when it breaks a rule. */
static int proof(struct buf *out, size_t at, struct err *e)
{
    struct wire_definition d;
    struct arena a;
    int rc;

    if (out->full)
        return err_set(e, ERR_NOMEM, "a definition does not fit into its buffer");
    arena_init(&a, out->mem, 0);
    rc = wire_definition_decode(out->data + at, out->len - at, &a, &d, NULL, e);
    arena_free(&a);
    if (rc)
        out->len = at;
    return rc;
}

static int too_many(struct err *e, uint32_t n)
{
    return err_set(e, ERR_LIMIT, "%u labels; at most %d are allowed", n, WIRE_MAX_LABELS);
}

int wire_resource_encode(const struct wire_resource *r, struct buf *out, struct err *e)
{
    msgpack_packer pk = pack_into(out);
    size_t at = out->len;

    if (!put_labels(&pk, r->labels, r->n_labels))
        return too_many(e, r->n_labels);
    return proof(out, at, e);
}

int wire_schema_encode(const struct wire_schema *s, struct buf *out, struct err *e)
{
    msgpack_packer pk = pack_into(out);
    size_t at = out->len;

    (void)msgpack_pack_array(&pk, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct wire_series *x = &s->series[i];

        (void)msgpack_pack_array(&pk, 6);
        pack_str(&pk, x->name);
        (void)msgpack_pack_uint32(&pk, x->kind);
        (void)msgpack_pack_uint32(&pk, x->mul);
        (void)msgpack_pack_uint32(&pk, x->div);
        if (!put_labels(&pk, x->labels, x->n_labels)) {
            out->len = at;
            return too_many(e, x->n_labels);
        }
        pack_str(&pk, x->help);
    }
    return proof(out, at, e);
}

static int hash_cmp(const struct wire_entry *a, const struct wire_entry *b)
{
    return memcmp(a->hash.b, b->hash.b, sizeof a->hash.b);
}

int wire_definitions_encode(const struct wire_entry *e, uint32_t n, struct buf *out, struct err *err)
{
    msgpack_packer pk = pack_into(out);
    const struct wire_entry *sorted[WIRE_MAX_DEFINITIONS];

    if (n < 1 || n > WIRE_MAX_DEFINITIONS)
        return err_set(err, ERR_LIMIT, "%u definitions in a request; 1 to %d are allowed", n,
                       WIRE_MAX_DEFINITIONS);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = i;

        for (; k > 0 && hash_cmp(sorted[k - 1], &e[i]) > 0; k--)
            sorted[k] = sorted[k - 1];
        if (k > 0 && !hash_cmp(sorted[k - 1], &e[i]))
            return err_set(err, ERR_MALFORMED, "a definition stands twice in a request");
        sorted[k] = &e[i];
    }
    (void)msgpack_pack_map(&pk, n);
    for (uint32_t i = 0; i < n; i++) {
        pack_hash(&pk, &sorted[i]->hash);
        pack_bin(&pk, sorted[i]->value.p, sorted[i]->value.n);
    }
    return out->full ? err_set(err, ERR_NOMEM, "a request does not fit into its buffer") : 0;
}
