/* The journal on a store thread: see journal.h and store.h. Digests stand in a
 * table of their own (`seen`), because they outlive the batches by count and not
 * by time; a position is AUTOINCREMENT's, which never gives one twice. */
#include <stdlib.h>

#include "aggregator/store/journal_private.h"

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
    journal_bind_str(st, 1, b->agent, &bad);
    if (b->tenant.n)
        journal_bind_str(st, 2, b->tenant, &bad);
    journal_bind_u64(st, 3, b->epoch, &bad);
    journal_bind_u64(st, 4, b->seq, &bad);
    journal_bind_u64(st, 5, (uint64_t)b->received.ms, &bad);
    journal_bind_blob(st, 6, b->digest, sizeof b->digest, &bad);
    journal_bind_refused(st, 7, b->refused, &bad);
    if (b->verdict.n)
        journal_bind_blob(st, 8, b->verdict.p, b->verdict.n, &bad);
    journal_bind_blob(st, 9, b->frame.p, b->frame.n, &bad);
    rc = journal_run(db, st, bad, e);
    *position = db_last_id(db);
    return rc;
}

int journal_insert_digest(struct db *db, const struct journal_batch *b, int64_t position, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "INSERT INTO seen VALUES(?, ?, ?, ?, ?, ?)", e);
    int bad = 0, rc;

    if (!st)
        return e->code;
    journal_bind_u64(st, 1, (uint64_t)position, &bad);
    journal_bind_str(st, 2, b->agent, &bad);
    journal_bind_u64(st, 3, b->epoch, &bad);
    journal_bind_u64(st, 4, b->seq, &bad);
    journal_bind_blob(st, 5, b->digest, sizeof b->digest, &bad);
    journal_bind_refused(st, 6, b->refused, &bad);
    if ((rc = journal_run(db, st, bad, e)) != 0 || !b->expired)
        return rc;
    if (!(st = db_prepare(db, "DELETE FROM seen WHERE position = ?", e)))
        return e->code;
    journal_bind_u64(st, 1, (uint64_t)b->expired, &bad);
    return journal_run(db, st, bad, e);
}

int journal_write_watermark(struct db *db, const struct journal_batch *b, struct err *e)
{
    static const char *const drop[] = {"DELETE FROM watermarks WHERE agent = ? AND epoch = ?",
                                       "DELETE FROM seen WHERE agent = ? AND epoch = ?"};
    sqlite3_stmt *st = db_prepare(db, "INSERT OR REPLACE INTO watermarks VALUES(?, ?, ?)", e);
    int bad = 0, rc;

    if (!st)
        return e->code;
    journal_bind_str(st, 1, b->agent, &bad);
    journal_bind_u64(st, 2, b->epoch, &bad);
    journal_bind_blob(st, 3, b->watermark.p, b->watermark.n, &bad);
    rc = journal_run(db, st, bad, e);
    for (int i = 0; i < 2 && rc == 0 && b->drop_epoch; i++) {
        if (!(st = db_prepare(db, drop[i], e)))
            return e->code;
        journal_bind_str(st, 1, b->agent, &bad);
        journal_bind_u64(st, 2, b->drop_epoch, &bad);
        rc = journal_run(db, st, bad, e);
    }
    return rc;
}

int journal_insert_definition(struct db *db, const struct wire_entry *entry, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "INSERT OR IGNORE INTO definitions VALUES(?, ?)", e);
    int bad = 0;

    if (!st)
        return e->code;
    journal_bind_blob(st, 1, entry->hash.b, sizeof entry->hash.b, &bad);
    journal_bind_blob(st, 2, entry->value.p, entry->value.n, &bad);
    return journal_run(db, st, bad, e);
}

int journal_insert_hold(struct db *db, const struct wire_hash *hash, struct wire_str agent, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "INSERT OR IGNORE INTO holders VALUES(?, ?)", e);
    int bad = 0;

    if (!st)
        return e->code;
    journal_bind_blob(st, 1, hash->b, sizeof hash->b, &bad);
    journal_bind_str(st, 2, agent, &bad);
    return journal_run(db, st, bad, e);
}

static int run_append(struct db *db, struct store_job *job, struct err *e)
{
    struct append *a = (struct append *)job;
    int rc = insert_batch(db, &a->b, &a->position, e);

    if (rc == 0)
        rc = journal_insert_digest(db, &a->b, a->position, e);
    if (rc == 0)
        rc = journal_write_watermark(db, &a->b, e);
    for (uint32_t i = 0; i < a->b.n_holds && rc == 0; i++)
        rc = journal_insert_hold(db, &a->b.holds[i], a->b.agent, e);
    return rc;
}

static void done_append(struct store_job *job, int code)
{
    struct append *a = (struct append *)job;

    a->done(a->arg, code ? 0 : a->position, code);
    free(a);
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
    a->b.holds = (const struct wire_hash *)journal_copy(&to, b->holds, holds);
    a->b.agent.p = journal_copy(&to, b->agent.p, b->agent.n);
    a->b.tenant.p = journal_copy(&to, b->tenant.p, b->tenant.n);
    a->b.verdict.p = (const uint8_t *)journal_copy(&to, b->verdict.p, b->verdict.n);
    a->b.watermark.p = (const uint8_t *)journal_copy(&to, b->watermark.p, b->watermark.n);
    a->b.frame.p = (const uint8_t *)journal_copy(&to, b->frame.p, b->frame.n);
    rc = store_submit(j->store, &a->job);
    if (rc != 0)
        free(a);
    return rc;
}

void journal_done_change(struct store_job *job, int code)
{
    struct change *c = (struct change *)job;

    c->done(c->arg, code);
    free(c);
}

int journal_submit_change(struct journal *j, struct change *c)
{
    int rc = store_submit(j->store, &c->job);

    if (rc != 0)
        free(c);
    return rc;
}

static int run_define(struct db *db, struct store_job *job, struct err *e)
{
    struct change *c = (struct change *)job;
    int rc = 0;

    for (size_t i = 0; i < c->n && rc == 0; i++) {
        rc = journal_insert_definition(db, &c->entries[i], e);
        if (rc == 0)
            rc = journal_insert_hold(db, &c->entries[i].hash, c->agent, e);
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
    *c = (struct change){.job = {.run = run_define, .done = journal_done_change, .bytes = bytes},
                         .done = done,
                         .arg = arg,
                         .n = n};
    c->entries = (struct wire_entry *)(c + 1);
    to = (char *)(c->entries + n);
    c->agent = (struct wire_str){journal_copy(&to, agent.p, agent.n), agent.n};
    for (i = 0; i < n; i++) {
        c->entries[i] = entries[i];
        c->entries[i].value.p = (const uint8_t *)journal_copy(&to, entries[i].value.p, entries[i].value.n);
    }
    return journal_submit_change(j, c);
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
                                                 .max_bytes = p->max_queue_bytes,
                                                 .salvage = journal_salvage,
                                                 .damaged = p->damaged,
                                                 .arg = p->arg},
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

bool journal_was_damaged(const struct journal *j)
{
    return store_was_damaged(j->store);
}

void journal_metrics(const struct journal *j, struct sink *out)
{
    store_metrics(j->store, out);
}
