/* A batch, read: the root, then the keys of its blocks. The order of judgement is that of docs/protocol.md,
 * "Answers": the version first, then the root and the schema of each block, and what else is wrong with a
 * block only when its definitions are known (columns.c). */
#include "common/wire/column.h"
#include "common/wire/text.h"

enum { R_AGENT, R_BLOCKS, R_EPOCH, R_EVENTS, R_LOW, R_RESOURCE, R_SEALED, R_SEQ, R_V, R_COUNT };

enum {
    B_DT,
    B_INTS,
    B_JITTER,
    B_MODE,
    B_N,
    B_PRESENT,
    B_REALS,
    B_SCHEMA,
    B_SKETCHES,
    B_START,
    B_T0,
    B_COUNT
};

static int bad_key(const char *key, enum wire_reason *reason, struct err *e)
{
    return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED,
                     "key %s is missing, of a wrong type or out of range", key);
}

/* A bin that may be absent; p is then NULL. */
static bool optional_bin(const struct field *f, struct bytes *b)
{
    *b = (struct bytes){NULL, 0};
    return !f->at.p || field_bin(f, b);
}

static bool optional_int(const struct field *f, bool *has, int64_t *v)
{
    *has = f->at.p != NULL;
    return !*has || field_int(f, v);
}

static void set_bad(struct wire_block *b, enum wire_reason reason, const char *what)
{
    if (b->bad)
        return;
    b->bad = what;
    b->bad_reason = reason;
}

static void read_grid(const struct field *f, struct wire_block *b)
{
    uint64_t n = 0, dt = 0;

    if (!field_uint(&f[B_N], 0, UINT64_MAX, &n))
        set_bad(b, WIRE_BLOCK, "n");
    else if (n < 1 || n > WIRE_MAX_TICKS)
        set_bad(b, WIRE_LIMIT, "n");
    if (!field_uint(&f[B_DT], 0, UINT32_MAX, &dt) || (!dt && n > 1))
        set_bad(b, WIRE_BLOCK, "dt");
    else if (n > 1 && !b->bad && (n - 1) * dt > BLOCK_SPAN_MAX)
        set_bad(b, WIRE_LIMIT, "dt");
    if (!field_int(&f[B_T0], &b->t0))
        set_bad(b, WIRE_BLOCK, "t0");
    if (!optional_int(&f[B_START], &b->has_start, &b->start))
        set_bad(b, WIRE_BLOCK, "start");
    b->n = b->bad ? 0 : (uint32_t)n;
    b->dt = (uint32_t)dt;
}

static int read_block(struct reader *r, struct wire_block *b, enum wire_reason *reason, struct err *e)
{
    struct field f[B_COUNT] = {
        [B_DT] = FIELD("dt"),       [B_INTS] = FIELD("ints"),     [B_JITTER] = FIELD("jitter"),
        [B_MODE] = FIELD("mode"),   [B_N] = FIELD("n"),           [B_PRESENT] = FIELD("present"),
        [B_REALS] = FIELD("reals"), [B_SCHEMA] = FIELD("schema"), [B_SKETCHES] = FIELD("sketches"),
        [B_START] = FIELD("start"), [B_T0] = FIELD("t0"),
    };

    if (!fields_read(r, f, B_COUNT) || !field_hash(&f[B_SCHEMA], &b->schema))
        return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED,
                         "a block is no map with a schema of 16 bytes");
    read_grid(f, b);
    if (!optional_bin(&f[B_JITTER], &b->jitter))
        set_bad(b, WIRE_BLOCK, "jitter");
    if (!optional_bin(&f[B_PRESENT], &b->present))
        set_bad(b, WIRE_BLOCK, "present");
    if (!field_bin(&f[B_MODE], &b->mode))
        set_bad(b, WIRE_BLOCK, "mode");
    if (!field_bin(&f[B_INTS], &b->ints))
        set_bad(b, WIRE_BLOCK, "ints");
    if (!field_bin(&f[B_REALS], &b->reals))
        set_bad(b, WIRE_BLOCK, "reals");
    if (!field_bin(&f[B_SKETCHES], &b->sketches))
        set_bad(b, WIRE_BLOCK, "sketches");
    return 0;
}

/* An array of at most `most`; *r then stands at its first element. */
static int open_array(struct reader *r, const char *key, uint32_t most, uint32_t *n, enum wire_reason *reason,
                      struct err *e)
{
    struct tok t;

    if (!r->p || !tok_next(r, &t) || t.type != TOK_ARRAY)
        return bad_key(key, reason, e);
    if (t.n > most)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "%u %s; at most %u are allowed", t.n, key, most);
    *n = t.n;
    return 0;
}

static int read_blocks(struct reader r, struct arena *a, struct wire_batch *out, enum wire_reason *reason,
                       struct err *e)
{
    uint32_t n = 0;
    int rc = open_array(&r, "blocks", WIRE_MAX_BLOCKS, &n, reason, e);

    if (rc)
        return rc;
    out->blocks = arena_array(a, n, sizeof *out->blocks);
    if (!out->blocks)
        return wire_no_memory(reason, e);
    for (uint32_t i = 0; i < n; i++) {
        rc = read_block(&r, &out->blocks[i], reason, e);
        if (rc)
            return rc;
    }
    out->n_blocks = n;
    return 0;
}

static int read_events(const struct field *f, struct wire_batch *out, enum wire_reason *reason, struct err *e)
{
    struct reader r = f->at;
    uint32_t n;

    out->events = (struct bytes){NULL, 0};
    if (!f->at.p)
        return 0;
    out->events = (struct bytes){f->at.p, (size_t)(f->at.end - f->at.p)};
    return open_array(&r, "events", WIRE_MAX_EVENTS, &n, reason, e);
}

int wire_batch_decode(const uint8_t *p, size_t n, struct arena *a, struct wire_batch *out,
                      enum wire_reason *reason, struct err *e)
{
    struct field f[R_COUNT] = {
        [R_AGENT] = FIELD("agent"),   [R_BLOCKS] = FIELD("blocks"), [R_EPOCH] = FIELD("epoch"),
        [R_EVENTS] = FIELD("events"), [R_LOW] = FIELD("low"),       [R_RESOURCE] = FIELD("resource"),
        [R_SEALED] = FIELD("sealed"), [R_SEQ] = FIELD("seq"),       [R_V] = FIELD("v"),
    };
    struct reader r = {p, p + n};
    uint64_t v;
    int rc;

    *out = (struct wire_batch){0};
    if (!fields_read(&r, f, R_COUNT))
        return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED, "the root is no map with str keys");
    if (!field_uint(&f[R_V], 0, UINT64_MAX, &v))
        return bad_key("v", reason, e);
    if (v != WIRE_VERSION)
        return wire_fail(reason, WIRE_BAD_VERSION, e, ERR_VERSION, "version %llu; this aggregator speaks %d",
                         (unsigned long long)v, WIRE_VERSION);
    if (!field_str(&f[R_AGENT], &out->agent) || !wire_agent_ok(out->agent))
        return bad_key("agent", reason, e);
    if (!field_uint(&f[R_EPOCH], 1, UINT64_MAX, &out->epoch))
        return bad_key("epoch", reason, e);
    if (!field_uint(&f[R_SEQ], 1, UINT64_MAX, &out->seq))
        return bad_key("seq", reason, e);
    if (!field_uint(&f[R_LOW], 1, out->seq, &out->low))
        return bad_key("low", reason, e);
    if (!field_int(&f[R_SEALED], &out->sealed))
        return bad_key("sealed", reason, e);
    if (!field_hash(&f[R_RESOURCE], &out->resource))
        return bad_key("resource", reason, e);
    rc = read_events(&f[R_EVENTS], out, reason, e);
    return rc ? rc : read_blocks(f[R_BLOCKS].at, a, out, reason, e);
}
