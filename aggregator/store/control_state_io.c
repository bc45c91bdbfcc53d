/* States and lines of the control store: see control.h. A state is one row by room and key; lines have numbers of
 * their own, so that lines of one moment keep the order in which they were written. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/store/control_private.h"

enum { READ_MOST = 64 << 20, PRUNE_ROWS = 5000, LINES_MOST = 100000 };

/* ---- writing ---- */

struct write_op {
    enum control_kind kind;
    const char *room;
    struct bytes key, value;
    int64_t t;
};

struct write_job {
    struct store_job job;
    void (*done)(void *arg, int code);
    void *arg;
    size_t n;
    struct write_op ops[]; /* then their texts */
};

static int bind_bytes(sqlite3_stmt *st, int i, struct bytes b)
{
    /* a pointer that is not NULL, so that nothing is an empty blob and not NULL */
    return sqlite3_bind_blob64(st, i, b.n ? (const void *)b.p : "", b.n, SQLITE_STATIC);
}

static int run_op(struct db *db, const struct write_op *op, struct err *e)
{
    static const char *const sql[] = {
        [CONTROL_PUT] = ("INSERT INTO state(room, key, value) VALUES(?, ?, ?)"
                         " ON CONFLICT(room, key) DO UPDATE SET value = excluded.value"),
        [CONTROL_DELETE] = "DELETE FROM state WHERE room = ? AND key = ?",
        [CONTROL_APPEND] = "INSERT INTO line(room, key, value, t) VALUES(?, ?, ?, ?)"};
    sqlite3_stmt *st = db_prepare(db, sql[op->kind], e);
    int bad;

    if (!st)
        return e->code;
    bad = sqlite3_bind_text(st, 1, op->room, -1, SQLITE_STATIC) != SQLITE_OK;
    bad |= bind_bytes(st, 2, op->key) != SQLITE_OK;
    if (op->kind != CONTROL_DELETE)
        bad |= bind_bytes(st, 3, op->value) != SQLITE_OK;
    if (op->kind == CONTROL_APPEND)
        bad |= sqlite3_bind_int64(st, 4, op->t) != SQLITE_OK;
    return bad ? err_set(e, ERR_NOMEM, "control: no memory") : db_run(db, st, e);
}

static int run_write(struct db *db, struct store_job *job, struct err *e)
{
    const struct write_job *w = (const struct write_job *)job;
    int rc = 0;

    for (size_t i = 0; i < w->n && rc == 0; i++)
        rc = run_op(db, &w->ops[i], e);
    return rc;
}

static void done_write(struct store_job *job, int code)
{
    struct write_job *w = (struct write_job *)job;

    if (w->done)
        w->done(w->arg, code);
    free(w);
}

static struct bytes keep(uint8_t **to, struct bytes from)
{
    struct bytes kept = {*to, from.n};

    if (from.n)
        memcpy(*to, from.p, from.n);
    *to += from.n;
    return kept;
}

int control_write(struct control *c, const struct control_op *ops, size_t n,
                  void (*done)(void *arg, int code), void *arg)
{
    size_t bytes = sizeof(struct write_job) + n * sizeof(struct write_op);
    struct write_job *w;
    uint8_t *to;

    for (size_t i = 0; i < n; i++)
        bytes += strlen(ops[i].room) + 1 + ops[i].key.n + ops[i].value.n;
    w = malloc(bytes);
    if (!w)
        return ERR_NOMEM;
    *w = (struct write_job){
        .job = {.run = run_write, .done = done_write, .bytes = bytes}, .done = done, .arg = arg, .n = n};
    to = (uint8_t *)(w->ops + n);
    for (size_t i = 0; i < n; i++) {
        const struct bytes room = {(const uint8_t *)ops[i].room, strlen(ops[i].room) + 1};

        w->ops[i] = (struct write_op){.kind = ops[i].kind, .t = ops[i].t.ms};
        w->ops[i].room = (const char *)keep(&to, room).p;
        w->ops[i].key = keep(&to, ops[i].key);
        w->ops[i].value = keep(&to, ops[i].value);
    }
    return control_submit(c, &w->job);
}

/* ---- reading states at the start ---- */

static struct bytes column_bytes(sqlite3_stmt *st, int i)
{
    const uint8_t *p = sqlite3_column_blob(st, i); /* before the length: see sqlite3_column_bytes */

    return (struct bytes){p, (size_t)sqlite3_column_bytes(st, i)};
}

/* fn NULL: only whether all of it can be read. */
static int load(struct db *db, const char *room, int (*fn)(void *arg, struct bytes key, struct bytes value),
                void *arg, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "SELECT key, value FROM state WHERE room = ? ORDER BY key", e);
    int rc, code = 0;

    if (!st)
        return e->code;
    if (sqlite3_bind_text(st, 1, room, -1, SQLITE_STATIC) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "control: no memory");
    while ((rc = db_row(db, st, e)) == 1 && code == 0) {
        struct bytes key = column_bytes(st, 0), value = column_bytes(st, 1);

        code = fn ? fn(arg, key, value) : 0;
    }
    (void)sqlite3_reset(st);
    return code ? code : rc < 0 ? rc : 0;
}

int control_load(struct control *c, const char *room,
                 int (*fn)(void *arg, struct bytes key, struct bytes value), void *arg, struct err *e)
{
    struct err why = {0};
    int rc = load(store_db(c->store), room, NULL, NULL, &why);

    if (rc == ERR_MALFORMED)
        rc = store_renew(c->store, e);
    else if (rc)
        return err_set(e, rc, "%s", why.text);
    return rc ? rc : load(store_db(c->store), room, fn, arg, e);
}

/* ---- reading lines ---- */

struct read_job {
    struct store_job job;
    struct control_lines q; /* room and key behind the struct */
    bool any;               /* key */
    struct buf rows;        /* int64 t, uint64 key bytes, uint64 value bytes, key, value, for each */
    void (*fn)(void *arg, struct bytes key, struct wall t, struct bytes value);
    void (*done)(void *arg, int code);
    void *arg;
};

static const char *read_sql(const struct read_job *r)
{
    static const char *const sql[2][2] = {
        {"SELECT t, key, value FROM line WHERE room = ?1 AND t >= ?3 AND t < ?4 AND key = ?2 ORDER BY t, id "
         "LIMIT ?5",
         "SELECT t, key, value FROM line WHERE room = ?1 AND t >= ?3 AND t < ?4 AND key = ?2 ORDER BY t "
         "DESC, id DESC"
         " LIMIT ?5"},
        {"SELECT t, key, value FROM line WHERE room = ?1 AND t >= ?3 AND t < ?4 ORDER BY t, id LIMIT ?5",
         "SELECT t, key, value FROM line WHERE room = ?1 AND t >= ?3 AND t < ?4 ORDER BY t DESC, id DESC "
         "LIMIT ?5"}};

    return sql[r->any][r->q.newest];
}

static int run_read(struct db *db, struct store_job *job, struct err *e)
{
    struct read_job *r = (struct read_job *)job;
    sqlite3_stmt *st = db_prepare(db, read_sql(r), e);
    int bad, rc;

    if (!st)
        return e->code;
    bad = sqlite3_bind_text(st, 1, r->q.room, -1, SQLITE_STATIC) != SQLITE_OK;
    if (!r->any)
        bad |= bind_bytes(st, 2, r->q.key) != SQLITE_OK;
    bad |= sqlite3_bind_int64(st, 3, r->q.from.ms) != SQLITE_OK;
    bad |= sqlite3_bind_int64(st, 4, r->q.to.ms ? r->q.to.ms : INT64_MAX) != SQLITE_OK;
    bad |= sqlite3_bind_int64(st, 5, (int64_t)r->q.limit) != SQLITE_OK;
    if (bad)
        return err_set(e, ERR_NOMEM, "control: no memory");
    buf_clear(&r->rows);
    while ((rc = db_row(db, st, e)) == 1) {
        struct bytes key = column_bytes(st, 1), value = column_bytes(st, 2);
        int64_t head[3] = {sqlite3_column_int64(st, 0), (int64_t)key.n, (int64_t)value.n};

        buf_put(&r->rows, head, sizeof head);
        buf_put(&r->rows, key.p, key.n);
        buf_put(&r->rows, value.p, value.n);
    }
    return rc;
}

static void done_read(struct store_job *job, int code)
{
    struct read_job *r = (struct read_job *)job;
    size_t at = 0;

    if (code == 0 && r->rows.full)
        code = ERR_LIMIT;
    while (code == 0 && at < r->rows.len) {
        struct bytes key, value;
        int64_t head[3];

        memcpy(head, r->rows.data + at, sizeof head);
        key = (struct bytes){r->rows.data + at + sizeof head, (size_t)head[1]};
        value = (struct bytes){key.p + key.n, (size_t)head[2]};
        at += sizeof head + key.n + value.n;
        r->fn(r->arg, key, (struct wall){head[0]}, value);
    }
    r->done(r->arg, code);
    buf_free(&r->rows);
    free(r);
}

int control_read(struct control *c, const struct control_lines *q,
                 void (*fn)(void *arg, struct bytes key, struct wall t, struct bytes value),
                 void (*done)(void *arg, int code), void *arg)
{
    const struct bytes room = {(const uint8_t *)q->room, strlen(q->room) + 1};
    struct read_job *r = malloc(sizeof *r + room.n + q->key.n);
    uint8_t *to;

    if (!r)
        return ERR_NOMEM;
    *r = (struct read_job){.job = {.run = run_read, .done = done_read, .bytes = sizeof *r},
                           .q = *q,
                           .any = q->key.p == NULL,
                           .fn = fn,
                           .done = done,
                           .arg = arg};
    to = (uint8_t *)(r + 1);
    r->q.room = (const char *)keep(&to, room).p;
    r->q.key = keep(&to, q->key);
    if (r->q.limit == 0 || r->q.limit > LINES_MOST)
        r->q.limit = LINES_MOST;
    buf_init(&r->rows, NULL, READ_MOST);
    return control_submit(c, &r->job);
}

/* ---- pruning ---- */

struct prune_job {
    struct store_job job;
    int64_t before;
    char room[]; /* terminated */
};

static int run_prune(struct db *db, struct store_job *job, struct err *e)
{
    const struct prune_job *p = (const struct prune_job *)job;
    sqlite3_stmt *st = db_prepare(
        db, "DELETE FROM line WHERE id IN (SELECT id FROM line WHERE room = ? AND t < ? ORDER BY t LIMIT ?)",
        e);

    if (!st)
        return e->code;
    if (sqlite3_bind_text(st, 1, p->room, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int64(st, 2, p->before) != SQLITE_OK ||
        sqlite3_bind_int64(st, 3, PRUNE_ROWS) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "control: no memory");
    return db_run(db, st, e);
}

static void done_prune(struct store_job *job, int code)
{
    (void)code; /* the store has complained; the next one tries again */
    free(job);
}

int control_prune(struct control *c, const char *room, struct wall before)
{
    size_t n = strlen(room) + 1;
    struct prune_job *p = malloc(sizeof *p + n);

    if (!p)
        return ERR_NOMEM;
    *p = (struct prune_job){.job = {.run = run_prune, .done = done_prune, .bytes = sizeof *p + n},
                            .before = before.ms};
    memcpy(p->room, room, n);
    return control_submit(c, &p->job);
}

/* ---- damage ---- */

/* A file from before there were states is none. */
static bool has_states(struct db *db)
{
    struct err why = {0};
    sqlite3_stmt *st = db_prepare(db, "SELECT 1 FROM sqlite_master WHERE name = 'state'", &why);
    bool there = st && db_row(db, st, &why) == 1;

    if (st)
        (void)sqlite3_reset(st);
    return there;
}

int control_salvage_state(struct db *from, struct db *to, struct store_salvaged *n, struct err *e)
{
    static const struct {
        const char *select, *insert;
        int columns;
    } tables[] = {
        {"SELECT room, key, value FROM state ORDER BY rowid",
         "INSERT OR IGNORE INTO state(room, key, value) VALUES(?, ?, ?)", 3},
        {"SELECT room, key, value FROM state ORDER BY rowid DESC",
         "INSERT OR IGNORE INTO state(room, key, value) VALUES(?, ?, ?)", 3},
        {"SELECT id, room, key, t, value FROM line ORDER BY id",
         "INSERT OR IGNORE INTO line(id, room, key, t, value) VALUES(?, ?, ?, ?, ?)", 5},
        {"SELECT id, room, key, t, value FROM line ORDER BY id DESC",
         "INSERT OR IGNORE INTO line(id, room, key, t, value) VALUES(?, ?, ?, ?, ?)", 5},
    };
    int rc = 0;

    if (!has_states(from))
        return 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && rc == 0; i++)
        rc = control_copy_rows(from, tables[i].select, to, tables[i].insert, tables[i].columns, n, e);
    return rc;
}
