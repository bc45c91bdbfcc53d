/* A thin hold on SQLite: see sqlite_io.h. The connection is opened without SQLite's own
 * mutexes: whoever owns the struct sees to it that one thread at a time is inside.
 * Exclusive locking set before the first access in WAL mode keeps the wal-index in the
 * heap, so that there is no -shm file to be shared (sqlite.org/wal.html, section 8). */
#include "aggregator/store/sqlite_io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_STATEMENTS = 48, MAX_PATH = 4096 };

/* Before the first access. */
#define CAREFUL                                                                                              \
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF;"                          \
    "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16384"

struct db {
    sqlite3 *h;
    char *path;
    struct {
        const char *sql; /* borrowed: a constant of the caller */
        sqlite3_stmt *st;
    } kept[MAX_STATEMENTS];
    size_t n_kept;
};

/* What SQLite says, as one of our codes. A sync that failed for want of room is a full disk as well. */
static int code_of(sqlite3 *h, int rc)
{
    int sys = h ? sqlite3_system_errno(h) : 0;

    switch (rc & 0xff) {
    case SQLITE_OK: return 0;
    case SQLITE_FULL: return ERR_LIMIT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ERR_MALFORMED;
    case SQLITE_CONSTRAINT: return ERR_EXISTS;
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_STATE;
    case SQLITE_TOOBIG: return ERR_RANGE;
    case SQLITE_IOERR: return sys == ENOSPC || sys == EDQUOT ? ERR_LIMIT : ERR_IO;
    default: return ERR_IO;
    }
}

static int fail(struct db *db, int rc, const char *what, struct err *e)
{
    int code = code_of(db->h, rc);

    return err_set(e, code ? code : ERR_IO, "%s: %s: %s", db->path, what,
                   db->h ? sqlite3_errmsg(db->h) : sqlite3_errstr(rc));
}

int db_exec(struct db *db, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : fail(db, rc, "exec", e);
}

/* The first column of the first row of a statement that gives one. */
static int query_int(struct db *db, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->h, sql, -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    else
        (void)fail(db, rc, sql, e);
    (void)sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : code_of(db->h, rc) ? code_of(db->h, rc) : ERR_IO;
}

static int use_wal(struct db *db, struct err *e)
{
    sqlite3_stmt *st = NULL;
    const char *mode = NULL;
    int rc = sqlite3_prepare_v2(db->h, "PRAGMA journal_mode=WAL", -1, &st, NULL), code = 0;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        mode = (const char *)sqlite3_column_text(st, 0);
    if (rc != SQLITE_ROW)
        code = fail(db, rc, "write-ahead log", e);
    else if (!mode || strcmp(mode, "wal") != 0)
        code = err_set(e, ERR_IO, "%s: no write-ahead log on this file system", db->path);
    (void)sqlite3_finalize(st);
    return code;
}

int db_sync_folder(const char *path, struct err *e)
{
    char dir[MAX_PATH];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    int fd, code = 0;

    if (n >= sizeof dir)
        return err_set(e, ERR_LIMIT, "%s: the path is too long", path);
    memcpy(dir, path, n);
    dir[n] = 0;
    fd = open(slash ? (n ? dir : "/") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, ERR_IO, errno, "%s: its folder", path);
    if (fsync(fd) != 0)
        code = err_sys(e, ERR_IO, errno, "%s: sync of its folder", path);
    (void)close(fd);
    return code;
}

/* Makes the file with our mode if it is not there; refuses what is not a plain file. */
static int make_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
    struct stat st;
    int code = 0;

    if (fd < 0)
        return err_sys(e, errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_IO, errno, "%s", path);
    if (fstat(fd, &st) != 0)
        code = err_sys(e, ERR_IO, errno, "%s", path);
    else if (!S_ISREG(st.st_mode))
        code = err_set(e, ERR_IO, "%s: not a plain file", path);
    (void)close(fd);
    return code ? code : db_sync_folder(path, e);
}

/* Runs the steps from the version of the file on. */
static int bring_up(struct db *db, const char *const *steps, size_t n_steps, int64_t from, struct err *e)
{
    char version[64];
    size_t i;
    int rc = 0;

    for (i = (size_t)from; i < n_steps && rc == 0; i++) {
        (void)snprintf(version, sizeof version, "PRAGMA user_version=%zu", i + 1);
        if ((rc = db_begin(db, e)) != 0)
            break;
        if ((rc = db_exec(db, steps[i], e)) == 0 && (rc = db_exec(db, version, e)) == 0)
            rc = db_commit(db, e);
        if (rc != 0)
            db_rollback(db);
    }
    return rc;
}

static int set_up(struct db *db, const char *const *steps, size_t n_steps, struct err *e)
{
    int64_t version = 0, objects = 0;
    int rc;

    if ((rc = db_exec(db, CAREFUL, e)) != 0 ||
        (rc = query_int(db, "PRAGMA user_version", &version, e)) != 0 ||
        (rc = query_int(db, "SELECT count(*) FROM sqlite_schema", &objects, e)) != 0)
        return rc;
    if (version < 0 || (uint64_t)version > n_steps) {
        (void)sqlite3_db_config(db->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return err_set(e, ERR_VERSION, "%s: made by a newer version (%lld; known here: %zu)", db->path,
                       (long long)version, n_steps);
    }
    if ((rc = use_wal(db, e)) != 0 || (rc = db_exec(db,
                                                    "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4096;"
                                                    "PRAGMA journal_size_limit=67108864",
                                                    e)) != 0)
        return rc;
    return bring_up(db, steps, n_steps, version, e);
}

/* A connection and no more. */
static struct db *connect_to(const char *path, struct err *e)
{
    struct db *db = calloc(1, sizeof *db);
    int rc;

    if (db)
        db->path = strdup(path);
    if (!db || !db->path) {
        (void)err_set(e, ERR_NOMEM, "%s: no memory", path);
        free(db);
        return NULL;
    }
    rc = sqlite3_open_v2(path, &db->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                         NULL);
    if (rc != SQLITE_OK) {
        (void)fail(db, rc, "open", e);
        db_close(&db);
        return NULL;
    }
    (void)sqlite3_extended_result_codes(db->h, 1);
    (void)sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return db;
}

struct db *db_open(const char *path, const char *const *steps, size_t n_steps, struct err *e)
{
    struct db *db;

    if (make_file(path, e) != 0)
        return NULL;
    db = connect_to(path, e);
    if (db && set_up(db, steps, n_steps, e) != 0)
        db_close(&db);
    return db;
}

struct db *db_open_damaged(const char *path, struct err *e)
{
    struct db *db = connect_to(path, e);

    if (!db)
        return NULL;
    (void)sqlite3_db_config(db->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (db_exec(db, CAREFUL, e) != 0)
        db_close(&db);
    return db;
}

void db_leave(struct db **db)
{
    if (*db)
        (void)sqlite3_db_config((*db)->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    db_close(db);
}

void db_close(struct db **dbp)
{
    struct db *db = *dbp;
    size_t i;

    if (!db)
        return;
    db_rollback(db);
    for (i = 0; i < db->n_kept; i++)
        (void)sqlite3_finalize(db->kept[i].st);
    (void)sqlite3_close(db->h);
    free(db->path);
    free(db);
    *dbp = NULL;
}

sqlite3_stmt *db_prepare(struct db *db, const char *sql, struct err *e)
{
    sqlite3_stmt *st = NULL;
    size_t i;
    int rc;

    for (i = 0; i < db->n_kept; i++) {
        if (db->kept[i].sql == sql || strcmp(db->kept[i].sql, sql) == 0) {
            (void)sqlite3_reset(db->kept[i].st);
            (void)sqlite3_clear_bindings(db->kept[i].st);
            return db->kept[i].st;
        }
    }
    assert(db->n_kept < MAX_STATEMENTS);
    rc = sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    if (rc != SQLITE_OK) {
        (void)fail(db, rc, sql, e);
        return NULL;
    }
    db->kept[db->n_kept].sql = sql;
    db->kept[db->n_kept++].st = st;
    return st;
}

int db_row(struct db *db, sqlite3_stmt *st, struct err *e)
{
    int rc = sqlite3_step(st), code;

    if (rc == SQLITE_ROW)
        return 1;
    code = rc == SQLITE_DONE ? 0 : fail(db, rc, "statement", e);
    (void)sqlite3_reset(st);
    return code;
}

int db_run(struct db *db, sqlite3_stmt *st, struct err *e)
{
    int rc = db_row(db, st, e);

    if (rc == 1) {
        (void)sqlite3_reset(st);
        rc = 0;
    }
    return rc;
}

int db_begin(struct db *db, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "BEGIN IMMEDIATE", e);

    return st ? db_run(db, st, e) : ERR_IO;
}

int db_commit(struct db *db, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "COMMIT", e);
    int rc = st ? db_run(db, st, e) : ERR_IO;

    if (rc != 0)
        db_rollback(db);
    return rc;
}

void db_rollback(struct db *db)
{
    size_t i;

    if (!db->h || sqlite3_get_autocommit(db->h))
        return;
    for (i = 0; i < db->n_kept; i++)
        (void)sqlite3_reset(db->kept[i].st);
    (void)sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->h);
}

int64_t db_changes(struct db *db)
{
    return sqlite3_changes64(db->h);
}

uint64_t db_bytes(struct db *db)
{
    struct stat st;

    return stat(db->path, &st) == 0 ? (uint64_t)st.st_size : 0;
}
