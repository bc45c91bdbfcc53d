/* Gains into rows: see rollup.h. The groups of a process have handles; the file
 * knows them by an id of its own, found by what they are. */
#include "aggregator/store/rollup.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 64 << 20, MOST_HANDLES = 1 << 24 };

struct rollup *rollup_new(void)
{
    struct rollup *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    buf_init(&r->scratch, NULL, MOST_BYTES);
    buf_init(&r->value, NULL, MOST_BYTES);
    buf_init(&r->text, NULL, MOST_BYTES);
    sketch_init(&r->sketch, NULL);
    r->codec = wire_codec_new(3);
    if (!r->codec)
        rollup_free(&r);
    return r;
}

void rollup_free(struct rollup **rp)
{
    struct rollup *r = *rp;

    if (!r)
        return;
    buf_free(&r->scratch);
    buf_free(&r->value);
    buf_free(&r->text);
    sketch_free(&r->sketch);
    wire_codec_free(&r->codec);
    free(r->ids);
    free(r);
    *rp = NULL;
}

int rollup_bind(struct rollup *r, uint32_t handle, int64_t id)
{
    if (handle >= r->n_ids) {
        uint32_t n = handle + handle / 4 + 64;
        int64_t *ids = handle < MOST_HANDLES ? realloc(r->ids, n * sizeof *ids) : NULL;

        if (!ids)
            return ERR_NOMEM;
        memset(ids + r->n_ids, 0, (n - r->n_ids) * sizeof *ids);
        r->ids = ids;
        r->n_ids = n;
    }
    r->ids[handle] = id;
    return 0;
}

/* ---- what a set says ---- */

enum op { OP_GROUP = 1, OP_GAIN };

struct op_head {
    uint32_t op, handle, kind, n; /* n: bytes that follow */
    int64_t start;
};

static void put_text(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s) + 1);
}

/* Fills in how many bytes follow. */
static void end_op(struct buf *ops, size_t head)
{
    struct op_head h;

    if (ops->full)
        return;
    memcpy(&h, ops->data + head, sizeof h);
    h.n = (uint32_t)(ops->len - head - sizeof h);
    memcpy(ops->data + head, &h, sizeof h);
}

void rollup_put_group(struct buf *ops, const struct history_group *g)
{
    struct op_head h = {.op = OP_GROUP, .handle = g->handle, .kind = g->kind, .start = g->now.ms};
    size_t head = ops->len;

    buf_put(ops, &h, sizeof h);
    put_text(ops, g->selection);
    put_text(ops, g->metric);
    put_text(ops, g->match);
    put_text(ops, g->by);
    put_text(ops, g->env);
    for (uint32_t i = 0; i < g->labels.n; i++) {
        put_text(ops, g->labels.v[i].name);
        put_text(ops, g->labels.v[i].value);
    }
    end_op(ops, head);
}

int rollup_put_gain(struct buf *ops, uint32_t handle, enum fact_kind kind, int64_t start,
                    const struct fact_bucket *b)
{
    struct op_head h = {.op = OP_GAIN, .handle = handle, .kind = kind, .start = start};
    size_t head = ops->len;

    buf_put(ops, &h, sizeof h);
    if (fact_encode(kind, b, ops) != 0)
        ops->full = true;
    end_op(ops, head);
    return ops->full ? ERR_NOMEM : 0;
}

/* ---- carrying it out ---- */

static int bound(int rc, struct err *e)
{
    return rc == SQLITE_OK ? 0 : err_set(e, ERR_NOMEM, "history: no memory");
}

struct texts {
    const char *selection, *metric, *match, *by, *env;
    const uint8_t *labels;
    size_t n_labels;
};

static const char *next_text(const uint8_t **p)
{
    const char *s = (const char *)*p;

    *p += strlen(s) + 1;
    return s;
}

/* The id of a row found by `st`; 0: none. */
static int64_t found(struct db *db, sqlite3_stmt *st, struct err *e)
{
    int rc = db_row(db, st, e);
    int64_t id = rc == 1 ? sqlite3_column_int64(st, 0) : rc;

    (void)sqlite3_reset(st);
    return id;
}

/* Its id, or a negative code. */
static int64_t selection_id(struct db *db, const struct texts *t, struct err *e)
{
    const char *v[] = {t->selection, t->metric, t->match, t->by};
    sqlite3_stmt *st = db_prepare(db, "SELECT id FROM selections WHERE text = ?", e);
    int64_t id;
    int rc = st ? bound(sqlite3_bind_text(st, 1, t->selection, -1, SQLITE_STATIC), e) : e->code;

    if (rc != 0)
        return rc;
    id = found(db, st, e);
    if (id != 0)
        return id;
    st = db_prepare(db, "INSERT INTO selections(text, metric, match, grouped) VALUES(?, ?, ?, ?)", e);
    if (!st)
        return e->code;
    for (int i = 0; i < 4 && rc == 0; i++)
        rc = bound(sqlite3_bind_text(st, i + 1, v[i], -1, SQLITE_STATIC), e);
    if (rc == 0)
        rc = db_run(db, st, e);
    return rc ? rc : db_last_id(db);
}

static int bind_group(sqlite3_stmt *st, int64_t selection, uint32_t kind, const struct texts *t,
                      struct err *e)
{
    int rc = bound(sqlite3_bind_int64(st, 1, selection), e);

    if (rc == 0)
        rc = bound(sqlite3_bind_int64(st, 2, kind), e);
    return rc ? rc
              : bound(sqlite3_bind_blob64(st, 3, t->n_labels ? (const void *)t->labels : "", t->n_labels,
                                          SQLITE_STATIC),
                      e);
}

static int64_t group_id(struct db *db, const struct op_head *h, const struct texts *t, struct err *e)
{
    int64_t selection = selection_id(db, t, e), id;
    sqlite3_stmt *st;
    int rc;

    if (selection < 0)
        return selection;
    st = db_prepare(db, "SELECT id FROM groups WHERE selection = ? AND kind = ? AND labels = ?", e);
    if (!st || (rc = bind_group(st, selection, h->kind, t, e)) != 0)
        return e->code;
    id = found(db, st, e);
    if (id != 0)
        return id;
    st = db_prepare(db, "INSERT INTO groups(selection, kind, labels, env, used) VALUES(?, ?, ?, ?, ?)", e);
    if (!st || (rc = bind_group(st, selection, h->kind, t, e)) != 0)
        return e->code;
    rc = bound(sqlite3_bind_text(st, 4, t->env, -1, SQLITE_STATIC), e);
    if (rc == 0)
        rc = bound(sqlite3_bind_int64(st, 5, h->start), e);
    if (rc == 0)
        rc = db_run(db, st, e);
    return rc ? rc : db_last_id(db);
}

static struct texts texts_of(const struct op_head *h, const uint8_t *p)
{
    const uint8_t *end = p + h->n;
    struct texts t = {.selection = next_text(&p)};

    t.metric = next_text(&p);
    t.match = next_text(&p);
    t.by = next_text(&p);
    t.env = next_text(&p);
    t.labels = p;
    t.n_labels = (size_t)(end - p);
    return t;
}

static int run_group(struct rollup *r, struct db *db, const struct op_head *h, const uint8_t *p,
                     struct err *e)
{
    struct texts t = texts_of(h, p);
    int64_t id = group_id(db, h, &t, e);

    if (id < 0)
        return (int)id;
    return rollup_bind(r, h->handle, id) ? err_set(e, ERR_NOMEM, "history: no memory") : 0;
}

/* What the row holds already is added; 1: there is none. */
static int read_row(struct rollup *r, struct db *db, int64_t start, int64_t id, struct chunk *c,
                    struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "SELECT value FROM gains WHERE start = ? AND grp = ?", e);
    struct fact_bucket b;
    enum fact_kind kind;
    struct bytes v;
    int rc;

    if (!st)
        return e->code;
    rc = bound(sqlite3_bind_int64(st, 1, start) | sqlite3_bind_int64(st, 2, id), e);
    if (rc != 0 || (rc = db_row(db, st, e)) != 1)
        return rc < 0 ? rc : 1;
    v = (struct bytes){sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
    rc = fact_decode(v, &kind, &b, &r->sketch, e);
    if (rc == 0 && kind == c->kind)
        rc = chunk_add(c, 0, &b, false);
    (void)sqlite3_reset(st);
    return rc == ERR_MALFORMED ? 1 : rc; /* a damaged row gives way */
}

static int write_row(struct rollup *r, struct db *db, int64_t start, int64_t id, struct bytes v,
                     struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "INSERT OR REPLACE INTO gains VALUES(?, ?, ?)", e);
    int rc;

    (void)r;
    if (!st)
        return e->code;
    rc = bound(sqlite3_bind_int64(st, 1, start) | sqlite3_bind_int64(st, 2, id), e);
    if (rc == 0)
        rc = bound(sqlite3_bind_blob64(st, 3, v.p, v.n, SQLITE_STATIC), e);
    return rc ? rc : db_run(db, st, e);
}

static int run_gain(struct rollup *r, struct db *db, const struct op_head *h, const uint8_t *p, struct err *e)
{
    int64_t start = h->start / FACT_STEP_MS, id = h->handle < r->n_ids ? r->ids[h->handle] : 0;
    struct bytes v = {p, h->n};
    struct fact_bucket b;
    enum fact_kind kind;
    struct chunk c;
    int rc;

    if (id == 0)
        return err_set(e, ERR_STATE, "history: a gain of a group that was not named");
    chunk_init(&c, (enum fact_kind)h->kind, NULL);
    rc = read_row(r, db, start, id, &c, e);
    if (rc == 0) {
        rc = fact_decode(v, &kind, &b, &r->sketch, e);
        rc = rc ? rc : chunk_add(&c, 0, &b, false);
        buf_clear(&r->value);
        if (rc == 0) {
            b = c.v[0].b;
            b.sketch = c.v[0].sketch;
            rc = fact_encode(c.kind, &b, &r->value);
        }
        v = buf_bytes(&r->value);
    }
    chunk_free(&c);
    if (rc == ERR_NOMEM)
        return err_set(e, rc, "history: no memory");
    return rc < 0 ? rc : write_row(r, db, start, id, v, e);
}

int rollup_apply(struct rollup *r, struct db *db, struct bytes ops, struct err *e)
{
    size_t at = 0;
    int rc = 0;

    while (at < ops.n && rc == 0) {
        struct op_head h;
        const uint8_t *p = ops.p + at;

        memcpy(&h, p, sizeof h);
        p += sizeof h;
        rc = h.op == OP_GROUP ? run_group(r, db, &h, p, e) : run_gain(r, db, &h, p, e);
        at += sizeof h + h.n;
    }
    return rc;
}

static int tell_group(const struct op_head *h, const uint8_t *p,
                      int (*fn)(void *arg, const struct history_group *g), void *arg)
{
    struct texts t = texts_of(h, p);
    struct label labels[ROLLUP_LABELS];
    struct history_group g = {.handle = h->handle,
                              .kind = (enum fact_kind)h->kind,
                              .selection = t.selection,
                              .metric = t.metric,
                              .match = t.match,
                              .by = t.by,
                              .env = t.env,
                              .labels.v = labels};

    return rollup_labels(t.labels, t.n_labels, labels, &g.labels.n) ? fn(arg, &g) : 0;
}

int rollup_read_ops(struct rollup *r, struct bytes ops,
                    int (*group)(void *arg, const struct history_group *g),
                    int (*gain)(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b),
                    void *arg, struct err *e)
{
    size_t at = 0;
    int rc = 0;

    while (at < ops.n && rc == 0) {
        const uint8_t *p = ops.p + at + sizeof(struct op_head);
        struct fact_bucket b;
        enum fact_kind kind;
        struct op_head h;

        memcpy(&h, ops.p + at, sizeof h);
        if (h.op == OP_GROUP) {
            rc = group ? tell_group(&h, p, group, arg) : 0;
        } else if (gain) {
            rc = fact_decode((struct bytes){p, h.n}, &kind, &b, &r->sketch, e);
            rc = rc ? rc : gain(arg, h.start, kind, &b);
        }
        at += sizeof h + h.n;
    }
    return rc;
}
