/* A batch, written: one canonical form, maps sorted by key, smallest integers, no key that says nothing. Each
 * bin is made in a scratch buffer first, since its length stands before it. */
#include "common/wire/column.h"
#include "common/wire/columns_encode.h"
#include "common/wire/pack.h"
#include "common/wire/text.h"

static int check_grid(const struct wire_block_out *b, struct err *e)
{
    if (b->layout->n < 1 || b->layout->n > WIRE_MAX_SERIES || b->n < 1 || b->n > WIRE_MAX_TICKS)
        return err_set(e, ERR_LIMIT, "a block of %u series and %u ticks; 1 to %d and 1 to %d are allowed",
                       b->layout->n, b->n, WIRE_MAX_SERIES, WIRE_MAX_TICKS);
    if (!b->dt && b->n > 1)
        return err_set(e, ERR_MALFORMED, "dt is 0 with %u ticks", b->n);
    if ((uint64_t)(b->n - 1) * b->dt > BLOCK_SPAN_MAX)
        return err_set(e, ERR_LIMIT, "a block of more than an hour");
    return 0;
}

struct writer {
    msgpack_packer pk;
    struct buf scratch;
    struct err *e;
    int rc; /* of the first failure */
};

/* Packs key and scratch, which is looked at here: the next column clears it. */
static void put_scratch(struct writer *w, const char *key)
{
    if (w->scratch.full && !w->rc)
        w->rc = err_set(w->e, ERR_NOMEM, "no memory is left for column %s", key);
    pack_text(&w->pk, key);
    pack_bin(&w->pk, w->scratch.data, w->scratch.len);
}

static void put_column(struct writer *w, const char *key, const struct wire_block_out *b,
                       int (*put)(const struct wire_block_out *, struct buf *, struct err *))
{
    if (w->rc)
        return;
    w->rc = put(b, &w->scratch, w->e);
    put_scratch(w, key);
}

static void put_int(struct writer *w, const char *key, int64_t v)
{
    pack_text(&w->pk, key);
    (void)msgpack_pack_int64(&w->pk, v);
}

static void put_block(struct writer *w, const struct wire_block_out *b, bool holes)
{
    uint32_t keys = 8 + (b->jitter ? 1U : 0U) + (holes ? 1U : 0U) + (b->has_start ? 1U : 0U);

    w->rc = check_grid(b, w->e);
    if (w->rc)
        return;
    (void)msgpack_pack_map(&w->pk, keys);
    put_int(w, "dt", b->dt);
    put_column(w, "ints", b, wire_put_ints);
    if (!w->rc)
        w->rc = wire_put_jitter(b, &w->scratch, w->e); /* checks the times in any case */
    if (b->jitter)
        put_scratch(w, "jitter");
    put_column(w, "mode", b, wire_put_mode);
    put_int(w, "n", b->n);
    if (holes) {
        (void)wire_put_present(b, &w->scratch);
        put_scratch(w, "present");
    }
    put_column(w, "reals", b, wire_put_reals);
    pack_text(&w->pk, "schema");
    pack_hash(&w->pk, &b->schema);
    put_column(w, "sketches", b, wire_put_sketches);
    if (b->has_start)
        put_int(w, "start", b->start);
    put_int(w, "t0", b->t0);
}

static void put_blocks(struct writer *w, const struct wire_batch_out *b)
{
    uint64_t values = 0;
    bool holes;

    pack_text(&w->pk, "blocks");
    (void)msgpack_pack_array(&w->pk, b->n_blocks);
    for (uint32_t i = 0; i < b->n_blocks && !w->rc; i++) {
        values += wire_count_values(&b->blocks[i], &holes);
        if (values > WIRE_MAX_VALUES)
            w->rc = err_set(w->e, ERR_LIMIT, "more than %d values in a batch", WIRE_MAX_VALUES);
        else
            put_block(w, &b->blocks[i], holes);
    }
}

static void put_event(struct writer *w, const struct wire_event *ev)
{
    struct wire_label sorted[WIRE_MAX_LABELS];

    if (ev->n_labels > WIRE_MAX_LABELS || ev->name.n > WIRE_MAX_EVENT_NAME ||
        ev->text.n > WIRE_MAX_EVENT_TEXT) {
        w->rc = err_set(w->e, ERR_LIMIT, "an event has %u labels, a name of %u and a text of %u bytes",
                        ev->n_labels, ev->name.n, ev->text.n);
        return;
    }
    if (!wire_event_kind_ok(ev->kind) || !wire_utf8_ok(ev->name.p, ev->name.n) ||
        !wire_utf8_ok(ev->text.p, ev->text.n)) {
        w->rc =
            err_set(w->e, ERR_MALFORMED, "an event is of no known kind, or its name or text is not UTF-8");
        return;
    }
    for (uint32_t i = 0; i < ev->n_labels; i++)
        sorted[i] = ev->labels[i];
    wire_labels_sort(sorted, ev->n_labels);
    w->rc = wire_labels_check(sorted, ev->n_labels, WIRE_EVENT, NULL, w->e);
    (void)msgpack_pack_map(&w->pk, 5);
    pack_text(&w->pk, "kind");
    pack_str(&w->pk, ev->kind);
    pack_text(&w->pk, "labels");
    pack_labels(&w->pk, sorted, ev->n_labels);
    pack_text(&w->pk, "name");
    pack_str(&w->pk, ev->name);
    put_int(w, "t", ev->t);
    pack_text(&w->pk, "text");
    pack_str(&w->pk, ev->text);
}

static int check_root(const struct wire_batch_out *b, struct err *e)
{
    if (!wire_agent_ok(b->agent))
        return err_set(e, ERR_MALFORMED, "\"%.*s\" is no agent id", WIRE_SHOW(b->agent));
    if (b->epoch < 1 || b->low < 1 || b->low > b->seq)
        return err_set(e, ERR_MALFORMED, "epoch %llu, seq %llu, low %llu: not 1 <= epoch, 1 <= low <= seq",
                       (unsigned long long)b->epoch, (unsigned long long)b->seq, (unsigned long long)b->low);
    if (b->n_blocks > WIRE_MAX_BLOCKS || b->n_events > WIRE_MAX_EVENTS)
        return err_set(e, ERR_LIMIT, "%u blocks and %u events; at most %d and %d are allowed", b->n_blocks,
                       b->n_events, WIRE_MAX_BLOCKS, WIRE_MAX_EVENTS);
    return 0;
}

int wire_batch_encode(const struct wire_batch_out *b, struct buf *out, struct err *e)
{
    struct writer w = {.pk = pack_into(out), .e = e};
    size_t at = out->len;

    w.rc = check_root(b, e);
    if (w.rc)
        return w.rc;
    buf_init(&w.scratch, out->mem, WIRE_MAX_INFLATED);
    (void)msgpack_pack_map(&w.pk, b->n_events ? 9 : 8);
    pack_text(&w.pk, "agent");
    pack_str(&w.pk, b->agent);
    put_blocks(&w, b);
    pack_text(&w.pk, "epoch");
    (void)msgpack_pack_uint64(&w.pk, b->epoch);
    if (b->n_events) {
        pack_text(&w.pk, "events");
        (void)msgpack_pack_array(&w.pk, b->n_events);
    }
    for (uint32_t i = 0; i < b->n_events && !w.rc; i++)
        put_event(&w, &b->events[i]);
    pack_text(&w.pk, "low");
    (void)msgpack_pack_uint64(&w.pk, b->low);
    pack_text(&w.pk, "resource");
    pack_hash(&w.pk, &b->resource);
    put_int(&w, "sealed", b->sealed);
    pack_text(&w.pk, "seq");
    (void)msgpack_pack_uint64(&w.pk, b->seq);
    put_int(&w, "v", WIRE_VERSION);
    if (!w.rc && out->full)
        w.rc = err_set(e, ERR_NOMEM, "a batch does not fit into its buffer");
    if (w.rc)
        out->len = at;
    buf_free(&w.scratch);
    return w.rc;
}
