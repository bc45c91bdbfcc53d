/* The journal on a store thread: see journal.h and store.h. Digests stand in a
 * table of their own (`seen`), because they outlive the batches by count and not
 * by time; a position is AUTOINCREMENT's, which never gives one twice. */
#include "aggregator/store/journal.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/store/journal_private.h"

enum { PRUNE_ROWS = 512 };

const char *const journal_steps[] = {
    STORE_MARK
    "CREATE TABLE batches(position INTEGER PRIMARY KEY AUTOINCREMENT, agent TEXT NOT NULL, tenant TEXT, "
    "epoch INTEGER NOT"
    " NULL, seq INTEGER NOT NULL, received INTEGER NOT NULL, digest BLOB NOT NULL, refused BLOB, verdict "
    "BLOB, frame BLOB"
    " NOT NULL);"
    "CREATE TABLE seen(position INTEGER PRIMARY KEY, agent TEXT NOT NULL, epoch INTEGER NOT NULL, seq "
    "INTEGER NOT NULL,"
    " digest BLOB NOT NULL, refused BLOB);"
    "CREATE TABLE watermarks(agent TEXT NOT NULL, epoch INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY "
    "KEY(agent, epoch))"
    " WITHOUT ROWID;"
    "CREATE TABLE definitions(hash BLOB NOT NULL UNIQUE, value BLOB NOT NULL);"
    "CREATE TABLE holders(hash BLOB NOT NULL, agent TEXT NOT NULL, PRIMARY KEY(hash, agent)) WITHOUT ROWID;",
};
const size_t journal_n_steps = sizeof journal_steps / sizeof journal_steps[0];
/* ---- binding: unsigned 64-bit numbers travel as the int64 of the same bits ---- */

static void bind_u64(sqlite3_stmt *st, int i, uint64_t v, int *bad)
{
    *bad |= sqlite3_bind_int64(st, i, (int64_t)v) != SQLITE_OK;
}
static void bind_str(sqlite3_stmt *st, int i, struct wire_str s, int *bad)
{
    *bad |= sqlite3_bind_text(st, i, s.n ? s.p : "", (int)s.n, SQLITE_STATIC) != SQLITE_OK;
}
static void bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n, int *bad)
{
    *bad |= sqlite3_bind_blob64(st, i, n ? p : "", n, SQLITE_STATIC) != SQLITE_OK;
}

/* NULL when nothing was refused, which is nearly always. */
static void bind_refused(sqlite3_stmt *st, int i, const uint64_t refused[WIRE_REFUSALS], int *bad)
{
    uint64_t any = 0;

    for (int k = 0; k < WIRE_REFUSALS; k++)
        any |= refused[k];
    if (any)
        bind_blob(st, i, refused, WIRE_REFUSALS * sizeof *refused, bad);
}

static int run(struct db *db, sqlite3_stmt *st, int bad, struct err *e)
{
    return bad ? err_set(e, ERR_NOMEM, "journal: no memory") : db_run(db, st, e);
}

/* ---- jobs ---- */

struct append {
    struct store_job job;
    void (*done)(void *arg, int64_t position, int code);
    void *arg;
    struct journal_batch b; /* its texts and bytes stand behind this struct */
    int64_t position;
};

static int insert_batch(struct db *db, const struct journal_batch *b, int64_t *position, struct err *e)
{
    sqlite3_stmt *st =
        db_prepare(db,
                   "INSERT INTO batches(agent, tenant, epoch, seq, received, digest, refused, verdict, frame)"
                   " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   e);
    int bad = 0, rc;

    if (!st)
        return e->code;
    bind_str(st, 1, b->agent, &bad);
    if (b->tenant.n)
        bind_str(st, 2, b->tenant, &bad);
    bind_u64(st, 3, b->epoch, &bad);
    bind_u64(st, 4, b->seq, &bad);
    bind_u64(st, 5, (uint64_t)b->received.ms, &bad);
    bind_blob(st, 6, b->digest, sizeof b->digest, &bad);
    bind_refused(st, 7, b->refused, &bad);
    if (b->verdict.n)
        bind_blob(st, 8, b->verdict.p, b->verdict.n, &bad);
    bind_blob(st, 9, b->frame.p, b->frame.n, &bad);
    rc = run(db, st, bad, e);
    *position = db_last_id(db);
    return rc;
}

static int insert_digest(struct db *db, const struct journal_batch *b, int64_t position, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "INSERT INTO seen VALUES(?, ?, ?, ?, ?, ?)", e);
    int bad = 0, rc;

    if (!st)
        return e->code;
    bind_u64(st, 1, (uint64_t)position, &bad);
    bind_str(st, 2, b->agent, &bad);
    bind_u64(st, 3, b->epoch, &bad);
    bind_u64(st, 4, b->seq, &bad);
    bind_blob(st, 5, b->digest, sizeof b->digest, &bad);
    bind_refused(st, 6, b->refused, &bad);
    if ((rc = run(db, st, bad, e)) != 0 || !b->expired)
        return rc;
    if (!(st = db_prepare(db, "DELETE FROM seen WHERE position = ?", e)))
        return e->code;
    bind_u64(st, 1, (uint64_t)b->expired, &bad);
    return run(db, st, bad, e);
}

static int write_watermark(struct db *db, const struct journal_batch *b, struct err *e)
{
    static const char *const drop[] = {"DELETE FROM watermarks WHERE agent = ? AND epoch = ?",
                                       "DELETE FROM seen WHERE agent = ? AND epoch = ?"};
    sqlite3_stmt *st = db_prepare(db, "INSERT OR REPLACE INTO watermarks VALUES(?, ?, ?)", e);
    int bad = 0, rc;

    if (!st)
        return e->code;
    bind_str(st, 1, b->agent, &bad);
    bind_u64(st, 2, b->epoch, &bad);
    bind_blob(st, 3, b->watermark.p, b->watermark.n, &bad);
    rc = run(db, st, bad, e);
    for (int i = 0; i < 2 && rc == 0 && b->drop_epoch; i++) {
        if (!(st = db_prepare(db, drop[i], e)))
            return e->code;
        bind_str(st, 1, b->agent, &bad);
        bind_u64(st, 2, b->drop_epoch, &bad);
        rc = run(db, st, bad, e);
    }
    return rc;
}

static int insert_hold(struct db *db, const struct wire_hash *hash, struct wire_str agent, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "INSERT OR IGNORE INTO holders VALUES(?, ?)", e);
    int bad = 0;

    if (!st)
        return e->code;
    bind_blob(st, 1, hash->b, sizeof hash->b, &bad);
    bind_str(st, 2, agent, &bad);
    return run(db, st, bad, e);
}

static int run_append(struct db *db, struct store_job *job, struct err *e)
{
    struct append *a = (struct append *)job;
    int rc = insert_batch(db, &a->b, &a->position, e);

    if (rc == 0)
        rc = insert_digest(db, &a->b, a->position, e);
    if (rc == 0)
        rc = write_watermark(db, &a->b, e);
    for (uint32_t i = 0; i < a->b.n_holds && rc == 0; i++)
        rc = insert_hold(db, &a->b.holds[i], a->b.agent, e);
    return rc;
}

static void done_append(struct store_job *job, int code)
{
    struct append *a = (struct append *)job;

    a->done(a->arg, code ? 0 : a->position, code);
    free(a);
}

static const char *copy(char **to, const void *p, size_t n)
{
    char *at = *to;

    if (n)
        memcpy(at, p, n);
    *to += n;
    return at;
}

int journal_append(struct journal *j, const struct journal_batch *b,
                   void (*done)(void *arg, int64_t position, int code), void *arg)
{
    size_t holds = b->n_holds * sizeof *b->holds;
    size_t n = holds + b->agent.n + b->tenant.n + b->verdict.n + b->watermark.n + b->frame.n;
    struct append *a = malloc(sizeof *a + n);
    char *to = (char *)(a + 1);
    int rc;

    if (!a)
        return ERR_NOMEM;
    *a = (struct append){.job = {.run = run_append, .done = done_append, .bytes = sizeof *a + n},
                         .done = done,
                         .arg = arg,
                         .b = *b};
    a->b.holds = (const struct wire_hash *)copy(&to, b->holds, holds);
    a->b.agent.p = copy(&to, b->agent.p, b->agent.n);
    a->b.tenant.p = copy(&to, b->tenant.p, b->tenant.n);
    a->b.verdict.p = (const uint8_t *)copy(&to, b->verdict.p, b->verdict.n);
    a->b.watermark.p = (const uint8_t *)copy(&to, b->watermark.p, b->watermark.n);
    a->b.frame.p = (const uint8_t *)copy(&to, b->frame.p, b->frame.n);
    rc = store_submit(j->store, &a->job);
    if (rc != 0)
        free(a);
    return rc;
}

/* Definitions, holds and agents: what a job of another kind carries. */
struct change {
    struct store_job job;
    struct journal *journal;
    void (*done)(void *arg, int code);
    void *arg;
    struct wire_str agent;
    struct wire_entry *entries; /* define; bytes behind */
    struct journal_drop *drops; /* texts behind */
    size_t n;
    /* prune */
    int64_t position, left;
    struct wall before, now;
    bool more; /* batches are left that may go */
    void (*pruned)(void *arg, int64_t left, int code);
};

static void done_change(struct store_job *job, int code)
{
    struct change *c = (struct change *)job;

    c->done(c->arg, code);
    free(c);
}

static int submit_change(struct journal *j, struct change *c)
{
    int rc = store_submit(j->store, &c->job);

    if (rc != 0)
        free(c);
    return rc;
}

static int run_define(struct db *db, struct store_job *job, struct err *e)
{
    struct change *c = (struct change *)job;
    size_t i;
    int rc = 0, bad = 0;

    for (i = 0; i < c->n && rc == 0; i++) {
        sqlite3_stmt *st = db_prepare(db, "INSERT OR IGNORE INTO definitions VALUES(?, ?)", e);

        if (!st)
            return e->code;
        bind_blob(st, 1, c->entries[i].hash.b, sizeof c->entries[i].hash.b, &bad);
        bind_blob(st, 2, c->entries[i].value.p, c->entries[i].value.n, &bad);
        if ((rc = run(db, st, bad, e)) != 0)
            return rc;
        rc = insert_hold(db, &c->entries[i].hash, c->agent, e);
    }
    return rc;
}

int journal_define(struct journal *j, struct wire_str agent, const struct wire_entry *entries, uint32_t n,
                   void (*done)(void *arg, int code), void *arg)
{
    size_t bytes = sizeof(struct change) + n * sizeof *entries + agent.n;
    struct change *c;
    char *to;
    uint32_t i;

    for (i = 0; i < n; i++)
        bytes += entries[i].value.n;
    c = malloc(bytes);
    if (!c)
        return ERR_NOMEM;
    *c = (struct change){
        .job = {.run = run_define, .done = done_change, .bytes = bytes}, .done = done, .arg = arg, .n = n};
    c->entries = (struct wire_entry *)(c + 1);
    to = (char *)(c->entries + n);
    c->agent = (struct wire_str){copy(&to, agent.p, agent.n), agent.n};
    for (i = 0; i < n; i++) {
        c->entries[i] = entries[i];
        c->entries[i].value.p = (const uint8_t *)copy(&to, entries[i].value.p, entries[i].value.n);
    }
    return submit_change(j, c);
}

/* The last of the oldest batches that may all go, looking at PRUNE_ROWS of them; 0: none. */
static int find_prunable(struct db *db, struct change *c, int64_t *last, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "SELECT position, received FROM batches ORDER BY position LIMIT ?", e);
    int rc, n = 0;

    *last = 0;
    if (!st)
        return e->code;
    if (sqlite3_bind_int(st, 1, PRUNE_ROWS) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "journal: no memory");
    while ((rc = db_row(db, st, e)) == 1) {
        int64_t position = sqlite3_column_int64(st, 0), received = sqlite3_column_int64(st, 1);

        if (position > c->position || (received >= c->before.ms && received <= c->now.ms)) {
            (void)sqlite3_reset(st);
            c->more = false;
            c->left = position;
            return 0;
        }
        *last = position;
        n++;
    }
    c->more = n == PRUNE_ROWS;
    c->left = INT64_MAX;
    return rc;
}

static int run_drop(struct db *db, struct store_job *job, struct err *e)
{
    const struct change *c = (struct change *)job;
    size_t i;
    int rc = 0, bad = 0;

    for (i = 0; i < c->n && rc == 0; i++) {
        const struct journal_drop *d = &c->drops[i];
        sqlite3_stmt *st = db_prepare(db, "DELETE FROM holders WHERE hash = ? AND agent = ?", e);

        if (!st)
            return e->code;
        bind_blob(st, 1, d->hash.b, sizeof d->hash.b, &bad);
        bind_str(st, 2, d->agent, &bad);
        if ((rc = run(db, st, bad, e)) != 0)
            return rc;
        st = db_prepare(
            db,
            "DELETE FROM definitions WHERE hash = ?1 AND NOT EXISTS(SELECT 1 FROM holders WHERE hash = ?1)",
            e);
        if (!st)
            return e->code;
        bind_blob(st, 1, d->hash.b, sizeof d->hash.b, &bad);
        rc = run(db, st, bad, e);
    }
    return rc;
}

static int run_prune(struct db *db, struct store_job *job, struct err *e)
{
    struct change *c = (struct change *)job;
    sqlite3_stmt *st;
    int64_t last;
    int bad = 0, rc = find_prunable(db, c, &last, e);

    if (rc != 0)
        return rc;
    if (last > 0) {
        if (!(st = db_prepare(db, "DELETE FROM batches WHERE position <= ?", e)))
            return e->code;
        bind_u64(st, 1, (uint64_t)last, &bad);
        if ((rc = run(db, st, bad, e)) != 0)
            return rc;
    }
    return 0;
}

static void done_prune(struct store_job *job, int code)
{
    struct change *c = (struct change *)job;

    if (code == 0 && c->more && (code = store_submit(c->journal->store, job)) == 0)
        return;
    c->pruned(c->arg, c->left, code);
    free(c);
}

int journal_prune(struct journal *j, int64_t position, struct wall before, struct wall now,
                  void (*done)(void *arg, int64_t left, int code), void *arg)
{
    struct change *c = malloc(sizeof *c);

    if (!c)
        return ERR_NOMEM;
    *c = (struct change){.job = {.run = run_prune, .done = done_prune, .bytes = sizeof *c},
                         .journal = j,
                         .pruned = done,
                         .arg = arg,
                         .position = position,
                         .before = before,
                         .now = now};
    return submit_change(j, c);
}

int journal_drop_holds(struct journal *j, const struct journal_drop *drops, size_t n,
                       void (*done)(void *arg, int code), void *arg)
{
    size_t bytes = sizeof(struct change) + n * sizeof *drops, i;
    struct change *c;
    char *to;

    for (i = 0; i < n; i++)
        bytes += drops[i].agent.n;
    c = malloc(bytes);
    if (!c)
        return ERR_NOMEM;
    *c = (struct change){
        .job = {.run = run_drop, .done = done_change, .bytes = bytes}, .done = done, .arg = arg, .n = n};
    c->drops = (struct journal_drop *)(c + 1);
    to = (char *)(c->drops + n);
    for (i = 0; i < n; i++) {
        c->drops[i] = drops[i];
        c->drops[i].agent.p = copy(&to, drops[i].agent.p, drops[i].agent.n);
    }
    return submit_change(j, c);
}

static int run_forget(struct db *db, struct store_job *job, struct err *e)
{
    static const char *const sql[] = {"DELETE FROM watermarks WHERE agent = ?",
                                      "DELETE FROM seen WHERE agent = ?"};
    struct change *c = (struct change *)job;
    int rc = 0, bad = 0;

    for (size_t i = 0; i < sizeof sql / sizeof sql[0] && rc == 0; i++) {
        sqlite3_stmt *st = db_prepare(db, sql[i], e);

        if (!st)
            return e->code;
        bind_str(st, 1, c->agent, &bad);
        rc = run(db, st, bad, e);
    }
    return rc;
}

int journal_forget_agent(struct journal *j, struct wire_str agent, void (*done)(void *arg, int code),
                         void *arg)
{
    size_t bytes = sizeof(struct change) + agent.n;
    struct change *c = malloc(bytes);
    char *to = (char *)(c + 1);

    if (!c)
        return ERR_NOMEM;
    *c = (struct change){
        .job = {.run = run_forget, .done = done_change, .bytes = bytes}, .done = done, .arg = arg};
    c->agent = (struct wire_str){copy(&to, agent.p, agent.n), agent.n};
    return submit_change(j, c);
}

/* ---- opening ---- */

struct journal *journal_open(const struct journal_params *p, struct err *e)
{
    struct journal *j = malloc(sizeof *j);

    if (!j) {
        (void)err_set(e, ERR_NOMEM, "no memory for the journal");
        return NULL;
    }
    j->store = store_open(&(struct store_params){.name = "journal",
                                                 .path = p->path,
                                                 .steps = journal_steps,
                                                 .n_steps = journal_n_steps,
                                                 .loop = p->loop,
                                                 .log = p->log,
                                                 .max_bytes = p->max_queue_bytes},
                          e);
    if (!j->store) {
        free(j);
        return NULL;
    }
    return j;
}

void journal_close(struct journal **jp)
{
    if (!*jp)
        return;
    store_close(&(*jp)->store);
    free(*jp);
    *jp = NULL;
}

int journal_renew(struct journal *j, struct err *e)
{
    return store_renew(j->store, e);
}

void journal_metrics(const struct journal *j, struct sink *out)
{
    store_metrics(j->store, out);
}
