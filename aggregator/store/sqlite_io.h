/* A thin hold on SQLite for the three stores: one connection per file, owned by one thread (WAL,
 * synchronous=FULL, locking_mode=EXCLUSIVE, no mmap: Debian's 3.40.1 has a race in WAL mode between
 * connections), prepared statements kept, schema versions, errors as values. */
#ifndef SB_STORE_SQLITE_IO_H
#define SB_STORE_SQLITE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

typedef struct sqlite3_stmt sqlite3_stmt;
struct db;

/* Opens or makes path (0640). steps[i] brings the schema from version i to i + 1 (user_version), each in a
 * transaction. A file of a newer version is ERR_VERSION and stays untouched; a damaged one is ERR_MALFORMED
 * (the caller may set it aside). */
struct db *db_open(const char *path, const char *const *steps, size_t n_steps, struct err *e);
void db_close(struct db **db); /* checkpoints */
/* The statement for this text, prepared once and kept; reset, with bindings cleared. NULL and e. */
sqlite3_stmt *db_prepare(struct db *db, const char *sql, struct err *e);
/* Runs a statement that gives no rows, and resets it. ERR_LIMIT: disk full; ERR_MALFORMED: damaged;
 * ERR_EXISTS: constraint; ERR_IO. */
int db_run(struct db *db, sqlite3_stmt *st, struct err *e);
/* One step: 1 when a row is there, 0 at the end (and reset), or a negative code (and reset). */
int db_row(struct db *db, sqlite3_stmt *st, struct err *e);
int db_begin(struct db *db, struct err *e);  /* IMMEDIATE */
int db_commit(struct db *db, struct err *e); /* after a failure the transaction has been rolled back */
void db_rollback(struct db *db);
int db_exec(struct db *db, const char *sql, struct err *e);
int64_t db_last_id(struct db *db);
int64_t db_changes(struct db *db);                   /* rows that the last statement changed */
uint64_t db_bytes(struct db *db);                    /* size of the file */
int db_sync_folder(const char *path, struct err *e); /* makes the entry of a name in its folder durable */

/* ---- damage: aside_io.c ---- */

/* A damaged file for reading what it still gives. Nothing is written into it, nor its log into it. */
struct db *db_open_damaged(const char *path, struct err *e);
/* Closes without a checkpoint: file and log stay as they are. */
void db_leave(struct db **db);
/* Moves a damaged file with its -wal and -shm to path.damaged-<n>. */
int db_set_aside(const char *path, struct err *e);
/* A new file comes about as path.new beside the damaged one. Opens that one, empty. */
struct db *db_begin_new(const char *path, const char *const *steps, size_t n_steps, struct err *e);
/* Closes it and puts it in the place of the damaged one, which is set aside under the name that goes into
 * kept[n]. A crash at any point leaves either the damaged file in place, or (db_finish_new) the new one. */
int db_put_new(const char *path, struct db **fresh, char *kept, size_t n, struct err *e);
/* Before a file is opened: carries on where a crash stopped
 * db_put_new, and removes a new file that was not ready. */
int db_finish_new(const char *path, struct err *e);
/* A line into report for each file that damage has left beside path. */
void db_list_aside(const char *path, struct buf *report);

#endif
