/* What is read back from the journal at start: see journal.h. Rows come from a file that anything may have
 * happened to, so each is checked for its form. */
#include "aggregator/store/journal_private.h"

static struct wire_str column_str(sqlite3_stmt *st, int i)
{
    const char *p = (const char *)sqlite3_column_text(st, i);

    return (struct wire_str){p ? p : "", (uint32_t)sqlite3_column_bytes(st, i)};
}
static struct bytes column_bytes(sqlite3_stmt *st, int i)
{
    const void *p = sqlite3_column_blob(st, i);

    return (struct bytes){p, (size_t)sqlite3_column_bytes(st, i)};
}
/* A blob of exactly n bytes into out; false otherwise. */
static bool column_exact(sqlite3_stmt *st, int i, void *out, size_t n)
{
    struct bytes b = column_bytes(st, i);

    if (b.n != n || !b.p)
        return false;
    memcpy(out, b.p, n);
    return true;
}
static bool column_refused(sqlite3_stmt *st, int i, uint64_t out[WIRE_REFUSALS])
{
    memset(out, 0, WIRE_REFUSALS * sizeof *out);
    return sqlite3_column_type(st, i) == SQLITE_NULL || column_exact(st, i, out, WIRE_REFUSALS * sizeof *out);
}

/* Pages whose bytes changed without breaking their form are told by this alone. */
static bool has_hash(struct bytes b, const uint8_t want[16])
{
    struct wire_hash h = {{0}};

    if (b.n)
        h = wire_hash_of(b.p, b.n);
    return memcmp(h.b, want, sizeof h.b) == 0;
}

static int broken_row(const char *table, struct err *e)
{
    return err_set(e, ERR_MALFORMED, "journal: a row of %s breaks its form", table);
}

int journal_load_definitions(struct journal *j,
                             int (*fn)(void *arg, struct wire_hash h, struct bytes value,
                                       struct wire_str agent),
                             void *arg, struct err *e)
{
    struct db *db = store_db(j->store);
    sqlite3_stmt *st =
        db_prepare(db,
                   "SELECT d.hash, d.value, h.agent FROM definitions d JOIN holders h ON h.hash = d.hash"
                   " ORDER BY d.rowid, h.agent",
                   e);
    int rc = st ? 0 : e->code;

    while (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        struct wire_hash h;

        rc = column_exact(st, 0, h.b, sizeof h.b) && has_hash(column_bytes(st, 1), h.b)
                 ? fn(arg, h, column_bytes(st, 1), column_str(st, 2))
                 : broken_row("definitions", e);
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

int journal_load_watermarks(struct journal *j,
                            int (*fn)(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state),
                            void *arg, struct err *e)
{
    struct db *db = store_db(j->store);
    sqlite3_stmt *st = db_prepare(db, "SELECT agent, epoch, state FROM watermarks", e);
    int rc = st ? 0 : e->code;

    while (rc == 0 && (rc = db_row(db, st, e)) == 1)
        rc = fn(arg, column_str(st, 0), (uint64_t)sqlite3_column_int64(st, 1), column_bytes(st, 2));
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

int journal_load_digests(struct journal *j, int (*fn)(void *arg, const struct journal_digest *d), void *arg,
                         struct err *e)
{
    struct db *db = store_db(j->store);
    sqlite3_stmt *st =
        db_prepare(db, "SELECT position, agent, epoch, seq, digest, refused FROM seen ORDER BY position", e);
    int rc = st ? 0 : e->code;

    while (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        struct journal_digest d = {.position = sqlite3_column_int64(st, 0),
                                   .agent = column_str(st, 1),
                                   .epoch = (uint64_t)sqlite3_column_int64(st, 2),
                                   .seq = (uint64_t)sqlite3_column_int64(st, 3)};

        rc = column_exact(st, 4, d.digest, sizeof d.digest) && column_refused(st, 5, d.refused)
                 ? fn(arg, &d)
                 : broken_row("seen", e);
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

int journal_raise_in(struct db *db, int64_t position, struct err *e)
{
    sqlite3_stmt *st =
        db_prepare(db,
                   "INSERT INTO sqlite_sequence(name, seq) SELECT 'batches', 0 WHERE NOT EXISTS(SELECT 1 FROM"
                   " sqlite_sequence WHERE name = 'batches')",
                   e);
    int rc = st ? db_run(db, st, e) : e->code;

    if (rc != 0)
        return rc;
    st = db_prepare(db, "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'batches'", e);
    if (!st)
        return e->code;
    if (sqlite3_bind_int64(st, 1, position) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "journal: no memory");
    return db_run(db, st, e);
}

int journal_raise(struct journal *j, int64_t position, struct err *e)
{
    struct db *db = store_db(j->store);
    sqlite3_stmt *st =
        db_prepare(db, "SELECT EXISTS(SELECT 1 FROM sqlite_sequence WHERE name = 'batches' AND seq >= ?)", e);
    bool there;
    int rc;

    if (!st)
        return e->code;
    if (sqlite3_bind_int64(st, 1, position) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "journal: no memory");
    if ((rc = db_row(db, st, e)) < 0)
        return rc;
    there = sqlite3_column_int(st, 0) != 0;
    (void)sqlite3_reset(st);
    if (there)
        return 0;
    if ((rc = db_begin(db, e)) != 0)
        return rc;
    if ((rc = journal_raise_in(db, position, e)) == 0)
        return (rc = db_commit(db, e)) == 0 ? 1 : rc;
    db_rollback(db);
    return rc;
}

static int read_entry(sqlite3_stmt *st, struct journal_entry *entry, struct err *e)
{
    *entry = (struct journal_entry){
        .position = sqlite3_column_int64(st, 0),
        .batch = {.agent = column_str(st, 1),
                  .tenant = column_str(st, 2),
                  .epoch = (uint64_t)sqlite3_column_int64(st, 3),
                  .seq = (uint64_t)sqlite3_column_int64(st, 4),
                  .received = {sqlite3_column_int64(st, 5)},
                  .verdict = column_bytes(st, 8),
                  .frame = column_bytes(st, 9)},
    };
    return column_exact(st, 6, entry->batch.digest, sizeof entry->batch.digest) &&
                   column_refused(st, 7, entry->batch.refused) &&
                   has_hash(entry->batch.frame, entry->batch.digest)
               ? 0
               : broken_row("batches", e);
}

int journal_replay(struct journal *j, int64_t after, struct wall since,
                   int (*fn)(void *arg, const struct journal_entry *entry), void *arg, struct err *e)
{
    struct db *db = store_db(j->store);
    sqlite3_stmt *st =
        db_prepare(db,
                   "SELECT position, agent, tenant, epoch, seq, received, digest, refused, verdict, frame"
                   " FROM batches WHERE position > ? OR received >= ? ORDER BY position",
                   e);
    int rc = st ? 0 : e->code;

    if (st &&
        (sqlite3_bind_int64(st, 1, after) != SQLITE_OK || sqlite3_bind_int64(st, 2, since.ms) != SQLITE_OK))
        rc = err_set(e, ERR_NOMEM, "journal: no memory");
    while (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        struct journal_entry entry;

        rc = read_entry(st, &entry, e);
        if (rc == 0)
            rc = fn(arg, &entry);
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}
