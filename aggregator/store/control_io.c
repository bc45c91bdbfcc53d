/* The control store on a store thread: see control.h and store.h. An audit row whose request id is known
 * already must not spoil the transaction of its neighbours: it is written with OR IGNORE, and the number of
 * changes tells. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/store/control_private.h"
#include "common/base/buf.h"

static const char *const steps[] = {
    STORE_MARK "CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT, t INTEGER NOT NULL, who TEXT NOT "
               "NULL, what TEXT"
               " NOT NULL, reason TEXT NOT NULL, request_id TEXT NOT NULL UNIQUE);",
    "CREATE TABLE state(room TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(room, key));"
    "CREATE TABLE line(id INTEGER PRIMARY KEY AUTOINCREMENT, room TEXT NOT NULL, key BLOB NOT NULL,"
    " t INTEGER NOT NULL, value BLOB NOT NULL);"
    "CREATE INDEX line_by_key ON line(room, key, t); CREATE INDEX line_by_time ON line(room, t);",
};

enum { TEXTS = 4, MAX_TAIL_BYTES = 16 << 20, WAITING_MOST = 64 << 20 };

struct audit_job {
    struct store_job job;
    struct wall t;
    const char *text[TEXTS]; /* who, what, reason, request_id; behind the struct */
    bool known;
    void (*done)(void *arg, int code);
    void *arg;
};

static int run_audit(struct db *db, struct store_job *job, struct err *e)
{
    struct audit_job *a = (struct audit_job *)job;
    sqlite3_stmt *st =
        db_prepare(db,
                   "INSERT OR IGNORE INTO audit(t, who, what, reason, request_id) VALUES(?, ?, ?, ?, ?)"
                   " RETURNING id",
                   e);
    int bad, rc;

    if (!st)
        return e->code;
    bad = sqlite3_bind_int64(st, 1, a->t.ms) != SQLITE_OK;
    for (int i = 0; i < TEXTS; i++)
        bad |= sqlite3_bind_text(st, i + 2, a->text[i], -1, SQLITE_STATIC) != SQLITE_OK;
    if (bad)
        return err_set(e, ERR_NOMEM, "control: no memory");
    rc = db_row(db, st, e);
    a->known = rc == 0;
    (void)sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

static void done_audit(struct store_job *job, int code)
{
    struct audit_job *a = (struct audit_job *)job;

    a->done(a->arg, code ? code : a->known ? ERR_EXISTS : 0);
    free(a);
}

int control_submit(struct control *c, struct store_job *job)
{
    int rc = store_submit(c->store, job);

    if (rc != 0)
        free(job);
    return rc;
}

int control_audit(struct control *c, const struct control_audit *audit, void (*done)(void *arg, int code),
                  void *arg)
{
    const char *from[TEXTS] = {audit->who, audit->what, audit->reason, audit->request_id};
    size_t bytes = sizeof(struct audit_job);
    struct audit_job *a;
    char *to;

    for (int i = 0; i < TEXTS; i++)
        bytes += strlen(from[i]) + 1;
    a = malloc(bytes);
    if (!a)
        return ERR_NOMEM;
    *a = (struct audit_job){.job = {.run = run_audit, .done = done_audit, .bytes = bytes},
                            .t = audit->t,
                            .done = done,
                            .arg = arg};
    to = (char *)(a + 1);
    for (int i = 0; i < TEXTS; i++) {
        size_t n = strlen(from[i]) + 1;

        a->text[i] = memcpy(to, from[i], n);
        to += n;
    }
    return control_submit(c, &a->job);
}

struct tail_job {
    struct store_job job;
    unsigned n;
    struct buf rows; /* int64 id, int64 t, then four terminated texts, for each */
    void (*fn)(void *arg, const struct control_entry *entry);
    void (*done)(void *arg, int code);
    void *arg;
};

static int run_tail(struct db *db, struct store_job *job, struct err *e)
{
    struct tail_job *t = (struct tail_job *)job;
    sqlite3_stmt *st =
        db_prepare(db, "SELECT id, t, who, what, reason, request_id FROM audit ORDER BY id DESC LIMIT ?", e);
    int rc;

    if (!st)
        return e->code;
    if (sqlite3_bind_int64(st, 1, t->n) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "control: no memory");
    buf_clear(&t->rows);
    while ((rc = db_row(db, st, e)) == 1) {
        int64_t head[2] = {sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)};

        buf_put(&t->rows, head, sizeof head);
        for (int i = 0; i < TEXTS; i++) {
            const char *s = (const char *)sqlite3_column_text(st, i + 2);

            buf_put(&t->rows, s ? s : "", s ? strlen(s) + 1 : 1);
        }
    }
    return rc;
}

static void done_tail(struct store_job *job, int code)
{
    struct tail_job *t = (struct tail_job *)job;
    size_t at = 0;

    if (code == 0 && t->rows.full)
        code = ERR_LIMIT;
    while (code == 0 && at < t->rows.len) {
        const char *text[TEXTS];
        int64_t head[2];

        memcpy(head, t->rows.data + at, sizeof head);
        at += sizeof head;
        for (int i = 0; i < TEXTS; i++) {
            text[i] = (const char *)t->rows.data + at;
            at += strlen(text[i]) + 1;
        }
        t->fn(t->arg, &(struct control_entry){head[0], {{head[1]}, text[0], text[1], text[2], text[3]}});
    }
    t->done(t->arg, code);
    buf_free(&t->rows);
    free(t);
}

int control_audit_tail(struct control *c, unsigned n,
                       void (*fn)(void *arg, const struct control_entry *entry),
                       void (*done)(void *arg, int code), void *arg)
{
    struct tail_job *t = malloc(sizeof *t);

    if (!t)
        return ERR_NOMEM;
    *t = (struct tail_job){.job = {.run = run_tail, .done = done_tail, .bytes = sizeof *t},
                           .n = n,
                           .fn = fn,
                           .done = done,
                           .arg = arg};
    buf_init(&t->rows, NULL, MAX_TAIL_BYTES);
    return control_submit(c, &t->job);
}

int control_copy_rows(struct db *from, const char *select, struct db *to, const char *insert, int columns,
                      struct store_salvaged *n, struct err *e)
{
    struct err why = {0};
    sqlite3_stmt *st = db_prepare(from, select, &why), *put;
    int rc = st ? 0 : why.code, code = 0;

    while (rc == 0 && (rc = db_row(from, st, &why)) == 1) {
        put = db_prepare(to, insert, e);
        for (int i = 0; put && i < columns; i++)
            (void)sqlite3_bind_value(put, i + 1, sqlite3_column_value(st, i)); /* without memory: no row */
        code = put ? db_run(to, put, e) : e->code;
        rc = code;
        n->copied += code == 0;
    }
    if (st)
        (void)sqlite3_reset(st);
    return code ? code : rc == ERR_MALFORMED ? 0 : rc;
}

/* The audit is read from both ends. */
static int salvage(const char *damaged, struct db *to, struct store_salvaged *n, struct err *e)
{
    static const char *const select[] = {
        "SELECT id, t, who, what, reason, request_id FROM audit ORDER BY id",
        "SELECT id, t, who, what, reason, request_id FROM audit ORDER BY id DESC"};
    struct err why = {0};
    struct db *from = db_open_damaged(damaged, &why);
    int rc;

    if (!from)
        return why.code == ERR_MALFORMED ? 0 : err_set(e, why.code, "%s", why.text);
    rc = db_begin(to, e);
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = control_copy_rows(from, select[i], to, "INSERT OR IGNORE INTO audit VALUES(?, ?, ?, ?, ?, ?)", 6,
                               n, e);
    if (rc == 0)
        rc = control_salvage_state(from, to, n, e);
    rc = rc == 0 ? db_commit(to, e) : rc;
    if (rc != 0)
        db_rollback(to);
    db_leave(&from);
    return rc;
}

struct control *control_open(const struct control_params *p, struct err *e)
{
    struct control *c = malloc(sizeof *c);

    if (!c) {
        (void)err_set(e, ERR_NOMEM, "no memory for the control store");
        return NULL;
    }
    c->store = store_open(&(struct store_params){.name = "control",
                                                 .path = p->path,
                                                 .steps = steps,
                                                 .n_steps = sizeof steps / sizeof steps[0],
                                                 .loop = p->loop,
                                                 .log = p->log,
                                                 .max_bytes = WAITING_MOST,
                                                 .salvage = salvage},
                          e);
    if (!c->store) {
        free(c);
        return NULL;
    }
    return c;
}

void control_close(struct control **cp)
{
    if (!*cp)
        return;
    store_close(&(*cp)->store);
    free(*cp);
    *cp = NULL;
}

int control_verify(const char *path, struct buf *report, struct err *e)
{
    return store_check_file(path, "control", steps, sizeof steps / sizeof steps[0], report, e);
}

void control_metrics(const struct control *c, struct sink *out)
{
    store_metrics(c->store, out);
}
