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
uint64_t db_bytes(struct db *db); /* size of the file */
/* Moves a damaged file with its -wal and -shm to path.damaged-<n>. */
int db_set_aside(const char *path, struct err *e);

#endif
