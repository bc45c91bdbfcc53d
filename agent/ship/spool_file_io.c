/* The spool's file: see spool_file_io.h.
 *
 * Exclusive locking set before the first access keeps the wal-index in the heap (sqlite.org/wal.html, section
 * 8): no -shm file, and nobody else's connection. Incremental vacuum gives the disk back after an outage. */
#include "agent/ship/spool_file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_VERSION = 1, MAX_ASIDE = 100 };

static const char *const sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_PUT_BATCH] = "INSERT INTO batch (seq, sealed, n, frame) VALUES (?1, ?2, ?3, ?4)",
    [SQL_PUT_DEF] = "INSERT INTO def (hash, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    [SQL_PUT_NEED] = "INSERT INTO need (seq, hash) VALUES (?1, ?2)",
    [SQL_DELETE] = "DELETE FROM batch WHERE seq = ?1",
    [SQL_DELETE_NEED] = "DELETE FROM need WHERE seq = ?1",
    [SQL_DELETE_UPTO] = "DELETE FROM batch WHERE seq <= ?1",
    [SQL_DELETE_NEED_UPTO] = "DELETE FROM need WHERE seq <= ?1",
    [SQL_FRONT] = "SELECT seq, sealed, n, frame FROM batch WHERE seq > ?1 ORDER BY seq LIMIT 1",
    [SQL_DEF] = "SELECT value FROM def WHERE hash = ?1",
    [SQL_SET] =
        ("INSERT INTO number (name, v) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET v = excluded.v"),
    [SQL_GET] = "SELECT name, v FROM number",
    [SQL_SET_TEXT] =
        ("INSERT INTO label (name, v) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET v = excluded.v"),
    [SQL_GET_TEXT] = "SELECT v FROM label WHERE name = ?1",
    [SQL_SUM] = ("SELECT count(*), coalesce(sum(n), 0), coalesce(sum(length(frame)), 0),"
                 " coalesce(max(seq), 0) FROM batch"),
    [SQL_DEF_SUM] = "SELECT coalesce(sum(length(value)), 0) FROM def",
    [SQL_OLDEST] = "SELECT seq, sealed, n, length(frame) FROM batch WHERE seq > ?1 ORDER BY seq LIMIT 1",
    [SQL_RENUMBER] = "UPDATE batch SET seq = ?2, frame = ?3 WHERE seq = ?1",
    [SQL_RENUMBER_NEED] = "UPDATE need SET seq = ?2 WHERE seq = ?1",
    [SQL_USELESS] = "SELECT hash, length(value) FROM def WHERE hash NOT IN (SELECT hash FROM need)",
    [SQL_DELETE_DEF] = "DELETE FROM def WHERE hash = ?1",
    [SQL_DEAD_KEEP] = ("INSERT INTO dead (at, epoch, seq, n, status, reason, error, frame)"
                       " SELECT ?2, ?3, seq, n, ?4, ?5, ?6, frame FROM batch WHERE seq = ?1"),
    [SQL_DEAD_TRIM] =
        ("DELETE FROM dead WHERE id NOT IN (SELECT id FROM (SELECT id, row_number() OVER w AS k,"
         " sum(length(frame)) OVER w AS bytes FROM dead WINDOW w AS (ORDER BY id DESC))"
         " WHERE k <= ?1 AND bytes <= ?2)"),
    [SQL_DEAD_SUM] = "SELECT count(*), coalesce(sum(length(frame)), 0) FROM dead",
    [SQL_DEAD_LIST] = ("SELECT at, epoch, seq, n, length(frame), status, reason, error FROM dead"
                       " ORDER BY id DESC"),
    [SQL_DEAD_CLEAR] = "DELETE FROM dead",
};

static const char schema[] =
    "CREATE TABLE batch (seq INTEGER PRIMARY KEY, sealed INTEGER NOT NULL, n INTEGER NOT NULL,"
    " frame BLOB NOT NULL) STRICT;"
    "CREATE TABLE def (hash BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT;"
    "CREATE TABLE need (seq INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (seq, hash))"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX need_hash ON need (hash);"
    "CREATE TABLE number (name TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE label (name TEXT PRIMARY KEY, v TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

/* Apart, as files of an earlier make have none. */
static const char dead_schema[] =
    "CREATE TABLE IF NOT EXISTS dead (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, n INTEGER NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL,"
    " error TEXT NOT NULL, frame BLOB NOT NULL) STRICT;";

static int fail(struct spool_file *f, int rc, struct err *e)
{
    int sys = f->h ? sqlite3_system_errno(f->h) : 0, code;

    switch (rc & 0xff) {
    case SQLITE_FULL: code = ERR_LIMIT; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: code = ERR_MALFORMED; break;
    case SQLITE_NOMEM: code = ERR_NOMEM; break;
    case SQLITE_IOERR: code = sys == ENOSPC || sys == EDQUOT ? ERR_LIMIT : ERR_IO; break;
    default: code = ERR_IO;
    }
    return err_set(e, code, "%s: %s", f->path, f->h ? sqlite3_errmsg(f->h) : sqlite3_errstr(rc));
}

static int exec(struct spool_file *f, const char *text, struct err *e)
{
    int rc = sqlite3_exec(f->h, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : fail(f, rc, e);
}

/* The first column of the one row that `text` gives. */
static int ask(struct spool_file *f, const char *text, char out[200], struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(f->h, text, -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        (void)snprintf(out, 200, "%s", (const char *)sqlite3_column_text(st, 0));
    else
        (void)fail(f, rc, e);
    (void)sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? ERR_IO : e->code;
}

/* Whether the whole file can be read now: the check tells a page that it cannot read as damage, too. */
static bool readable(struct spool_file *f)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0, at = 0;
    char part[4096];
    int rc = sqlite3_file_control(f->h, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (rc == SQLITE_OK && file && file->pMethods)
        rc = file->pMethods->xFileSize(file, &size);
    for (; rc == SQLITE_OK && at < size; at += (sqlite3_int64)sizeof part)
        rc = file->pMethods->xRead(file, part, sizeof part, at);
    return rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ;
}

/* Looks for damage. */
static int check_file(struct spool_file *f, struct err *e)
{
    char answer[200] = "";
    int rc = ask(f, "PRAGMA quick_check(1)", answer, e);

    if (rc != 0 || strcmp(answer, "ok") == 0)
        return rc;
    if (!readable(f))
        return err_set(e, ERR_IO, "%s: %s", f->path, answer);
    rc = ask(f, "PRAGMA quick_check(1)", answer, e); /* what could not be read that once may be good */
    if (rc != 0 || strcmp(answer, "ok") == 0)
        return rc;
    return err_set(e, ERR_MALFORMED, "%s: %s", f->path, answer);
}

static int prepare_file(struct spool_file *f, struct err *e)
{
    char answer[200] = "";
    int rc =
        exec(f,
             "PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
             "PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA cache_size = -512;"
             "PRAGMA journal_size_limit = 1048576; PRAGMA wal_autocheckpoint = 256;",
             e);

    if (rc == 0)
        rc = ask(f, "PRAGMA user_version", answer, e);
    if (rc != 0)
        return rc;
    if (strcmp(answer, "0") == 0) {
        rc = exec(f, "BEGIN IMMEDIATE", e);
        if (rc == 0)
            rc = exec(f, schema, e);
        if (rc == 0)
            rc = exec(f, dead_schema, e);
        return rc == 0 ? exec(f, "COMMIT", e) : rc;
    }
    if (strcmp(answer, "1") != 0)
        return err_set(e, ERR_MALFORMED, "%s: version %s, this program writes %d", f->path, answer,
                       FILE_VERSION);
    rc = check_file(f, e);
    return rc == 0 ? exec(f, dead_schema, e) : rc;
}

/* In exclusive mode the wal-index is in the heap, so that the -wal is read without a
 * -shm beside it; the VFS without locks, as a file that is open for reading alone
 * can have none for writing (the folder's lock keeps others away). */
int spool_file_peek(struct spool_file *f, const char *path, struct err *e)
{
    char version[200] = "";
    int rc;

    *f = (struct spool_file){.path = path};
    rc = sqlite3_open_v2(path, &f->h, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                         "unix-none");
    rc = rc == SQLITE_OK ? exec(f, "PRAGMA locking_mode = EXCLUSIVE", e) : fail(f, rc, e);
    if (rc == 0)
        rc = ask(f, "PRAGMA user_version", version, e);
    if (rc == 0 && strcmp(version, "1") != 0)
        rc = err_set(e, ERR_MALFORMED, "%s: version %s", f->path, version);
    if (rc != 0)
        spool_file_close(f);
    return rc;
}

int spool_file_open(struct spool_file *f, const char *path, struct err *e)
{
    struct stat st;
    int rc;

    *f = (struct spool_file){.path = path};
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "%s: not a regular file", path);
    rc = sqlite3_open_v2(
        path, &f->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
        NULL);
    if (rc != SQLITE_OK)
        rc = fail(f, rc, e);
    else if (sqlite3_db_readonly(f->h, "main") == 1)
        rc = err_set(e, ERR_IO, "%s: read-only", path);
    else
        rc = prepare_file(f, e);
    if (rc != 0)
        spool_file_close(f);
    return rc;
}

void spool_file_close(struct spool_file *f)
{
    for (int i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(f->st[i]);
    (void)sqlite3_close(f->h);
    *f = (struct spool_file){.path = f->path};
}

sqlite3_stmt *spool_file_sql(struct spool_file *f, enum file_sql q, struct err *e)
{
    if (!f->st[q]) {
        int rc = sqlite3_prepare_v3(f->h, sql[q], -1, SQLITE_PREPARE_PERSISTENT, &f->st[q], NULL);

        if (rc != SQLITE_OK) {
            (void)fail(f, rc, e);
            return NULL;
        }
    }
    (void)sqlite3_reset(f->st[q]);
    (void)sqlite3_clear_bindings(f->st[q]);
    return f->st[q];
}

int spool_file_step(struct spool_file *f, sqlite3_stmt *st, struct err *e)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        (void)fail(f, rc, e);
    (void)sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : e->code;
}

int spool_file_run(struct spool_file *f, enum file_sql q, struct err *e)
{
    sqlite3_stmt *st = spool_file_sql(f, q, e);

    return st ? spool_file_step(f, st, e) : e->code;
}

int spool_file_set_aside(const char *path, char to[512], struct err *e)
{
    char from[512], wal[540];
    struct stat st;

    for (int i = 1; i <= MAX_ASIDE; i++) {
        (void)snprintf(to, 512, "%s.damaged-%d", path, i);
        if (lstat(to, &st) != 0)
            break;
    }
    if (rename(path, to) != 0)
        return err_sys(e, ERR_IO, errno, "%s: cannot be set aside", path);
    (void)snprintf(from, sizeof from, "%s-wal", path);
    (void)snprintf(wal, sizeof wal, "%s-wal", to);
    (void)rename(from, wal);
    return 0;
}

int spool_file_give_back(struct spool_file *f, int above, struct err *e)
{
    char answer[200] = "", text[64];
    int rc = ask(f, "PRAGMA freelist_count", answer, e);

    if (rc != 0 || strtol(answer, NULL, 10) <= above)
        return rc;
    (void)snprintf(text, sizeof text, "PRAGMA incremental_vacuum(%d)", above);
    return exec(f, text, e);
}

int spool_file_check(struct spool_file *f, struct err *e)
{
    char answer[200] = "";
    int rc = ask(f, "PRAGMA integrity_check(1)", answer, e);

    if (rc == 0 && strcmp(answer, "ok") != 0)
        return err_set(e, ERR_MALFORMED, "%s: %s", f->path, answer);
    return rc;
}
