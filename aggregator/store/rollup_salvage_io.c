/* What a damaged history still tells of stored steps, into a new file: each table from both ends. The records of
 * percentiles are made again from the journal, but steps reach back further than that; so the new file also says which
 * position its steps contain, and a replay up to there gains nothing a second time. */
#include <sqlite3.h>

#include "aggregator/store/rollup.h"

struct table {
    const char *ahead, *back, *insert; /* by its key, forwards and backwards */
    int columns;
};
static const struct table tables[] = {
    {"SELECT * FROM selections ORDER BY id", "SELECT * FROM selections ORDER BY id DESC",
     "INSERT OR IGNORE INTO selections VALUES(?, ?, ?, ?, ?)", 5},
    {"SELECT * FROM groups ORDER BY id", "SELECT * FROM groups ORDER BY id DESC",
     "INSERT OR IGNORE INTO groups VALUES(?, ?, ?, ?, ?, ?)", 6},
    {"SELECT * FROM chunks ORDER BY rowid", "SELECT * FROM chunks ORDER BY rowid DESC",
     "INSERT OR IGNORE INTO chunks VALUES(?, ?, ?, ?)", 4},
    {"SELECT * FROM gains ORDER BY start, grp", "SELECT * FROM gains ORDER BY start DESC, grp DESC",
     "INSERT OR IGNORE INTO gains VALUES(?, ?, ?)", 3},
};

/* Damage ends it, and is no failure; a row that cannot be written is one. */
static int copy_rows(struct db *from, const char *select, struct db *to, const char *insert, int columns,
                     struct store_salvaged *n, struct err *e)
{
    struct err why = {0};
    sqlite3_stmt *st = db_prepare(from, select, &why), *put;
    int rc = 0;

    while (st && rc == 0 && db_row(from, st, &why) == 1) {
        put = db_prepare(to, insert, e);
        if (!put)
            rc = e->code;
        for (int i = 0; rc == 0 && i < columns; i++) {
            if (sqlite3_bind_value(put, i + 1, sqlite3_column_value(st, i)) != SQLITE_OK)
                rc = err_set(e, ERR_NOMEM, "history: no memory");
        }
        rc = rc ? rc : db_run(to, put, e);
        n->copied += rc == 0 && db_changes(to) == 1;
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

static int copy_table(struct db *from, struct db *to, const struct table *t, struct store_salvaged *n,
                      struct err *e)
{
    int rc = copy_rows(from, t->ahead, to, t->insert, t->columns, n, e);

    return rc ? rc : copy_rows(from, t->back, to, t->insert, t->columns, n, e);
}

/* INT64_MAX when that cannot be read: all that there is counts as contained. */
static int64_t contained_in(struct db *from)
{
    struct err why = {0};
    sqlite3_stmt *st = db_prepare(from, "SELECT position FROM contained", &why);
    int64_t position = st && db_row(from, st, &why) == 1 ? sqlite3_column_int64(st, 0) : INT64_MAX;

    if (st)
        (void)sqlite3_reset(st);
    return position;
}

int rollup_gained(struct db *db, int64_t position, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "UPDATE gained SET position = ?", e);

    if (!st)
        return e->code;
    if (sqlite3_bind_int64(st, 1, position) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "history: no memory");
    return db_run(db, st, e);
}

int rollup_salvage(const char *damaged, struct db *to, struct store_salvaged *n, struct err *e)
{
    struct err why = {0};
    struct db *from = db_open_damaged(damaged, &why);
    uint64_t before = n->copied;
    int rc = 0;

    if (!from)
        return 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && rc == 0; i++)
        rc = copy_table(from, to, &tables[i], n, e);
    if (rc == 0 && n->copied > before)
        rc = rollup_gained(to, contained_in(from), e);
    db_leave(&from);
    return rc;
}

int rollup_salvage_all(const char *damaged, struct db *to, struct store_salvaged *n, struct err *e)
{
    int rc = db_begin(to, e);

    if (rc == 0)
        rc = rollup_salvage(damaged, to, n, e);
    if (rc == 0)
        return db_commit(to, e);
    db_rollback(to);
    return rc;
}
