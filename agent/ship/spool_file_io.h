/* The spool's file: rows of batches, definitions and counters in SQLite. One connection, WAL,
 * synchronous=FULL, exclusive. */
#ifndef SB_AGENT_SPOOL_FILE_IO_H
#define SB_AGENT_SPOOL_FILE_IO_H

#include <sqlite3.h>

#include "agent/ship/spool.h"

enum file_sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_PUT_BATCH,
    SQL_PUT_DEF,
    SQL_PUT_NEED,
    SQL_DELETE,
    SQL_DELETE_NEED,
    SQL_DELETE_UPTO,
    SQL_DELETE_NEED_UPTO,
    SQL_FRONT,
    SQL_OLDEST,
    SQL_DEF,
    SQL_SET,
    SQL_GET,
    SQL_SET_TEXT,
    SQL_GET_TEXT,
    SQL_SUM,
    SQL_DEF_SUM,
    SQL_RENUMBER,
    SQL_RENUMBER_NEED,
    SQL_USELESS,
    SQL_DELETE_DEF,
    SQL_DEAD_KEEP,
    SQL_DEAD_TRIM,
    SQL_DEAD_SUM,
    SQL_DEAD_LIST,
    SQL_DEAD_CLEAR,
    SQL_COUNT
};

struct spool_file {
    sqlite3 *h;
    const char *path; /* borrowed */
    sqlite3_stmt *st[SQL_COUNT];
};

/* ERR_MALFORMED: damaged, or of a newer version; ERR_LIMIT: disk full; ERR_IO. */
int spool_file_open(struct spool_file *f, const char *path, struct err *e);
/* The same for reading alone, where nobody else has it open: for a file system mounted read-only. */
int spool_file_peek(struct spool_file *f, const char *path, struct err *e);
void spool_file_close(struct spool_file *f);
/* When more pages than `above` are free, gives them back to the file system, at most as many at once. */
int spool_file_give_back(struct spool_file *f, int above, struct err *e);
/* The statement with its bindings cleared; NULL and e. */
sqlite3_stmt *spool_file_sql(struct spool_file *f, enum file_sql q, struct err *e);
/* One step: 1 a row, 0 done (and reset), negative (and reset). */
int spool_file_step(struct spool_file *f, sqlite3_stmt *st, struct err *e);
/* A statement without bindings and rows. */
int spool_file_run(struct spool_file *f, enum file_sql q, struct err *e);
/* Moves a damaged file and its -wal to PATH.damaged-<n>; n counts up. */
int spool_file_set_aside(const char *path, char to[512], struct err *e);
int spool_file_check(struct spool_file *f, struct err *e); /* PRAGMA integrity_check */

#endif
