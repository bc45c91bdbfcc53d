/* Shared by the files of the journal: writing (journal_io.c), forgetting
 * (journal_prune_io.c), reading back (journal_read_io.c), a new file from memory
 * (journal_state_io.c) or from a damaged one (journal_salvage_io.c). */
#ifndef SB_STORE_JOURNAL_PRIVATE_H
#define SB_STORE_JOURNAL_PRIVATE_H

#include <sqlite3.h>
#include <string.h>

#include "aggregator/store/journal.h"
#include "aggregator/store/store.h"

extern const char *const journal_steps[];
extern const size_t journal_n_steps;

struct journal {
    struct store *store;
};

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

void journal_done_change(struct store_job *job, int code);
int journal_submit_change(struct journal *j, struct change *c); /* takes c */
int journal_insert_hold(struct db *db, const struct wire_hash *hash, struct wire_str agent, struct err *e);
int journal_insert_definition(struct db *db, const struct wire_entry *entry, struct err *e);
int journal_insert_digest(struct db *db, const struct journal_batch *b, int64_t position, struct err *e);
int journal_write_watermark(struct db *db, const struct journal_batch *b, struct err *e);
int journal_raise_in(struct db *db, int64_t position, struct err *e); /* in a transaction */
/* salvage of struct store_params */
int journal_salvage(const char *damaged, struct db *to, struct store_salvaged *n, struct err *e);

static inline const char *journal_copy(char **to, const void *p, size_t n)
{
    char *at = *to;

    if (n)
        memcpy(at, p, n);
    *to += n;
    return at;
}

/* ---- binding: unsigned 64-bit numbers travel as the int64 of the same bits ---- */

static inline void journal_bind_u64(sqlite3_stmt *st, int i, uint64_t v, int *bad)
{
    *bad |= sqlite3_bind_int64(st, i, (int64_t)v) != SQLITE_OK;
}
static inline void journal_bind_str(sqlite3_stmt *st, int i, struct wire_str s, int *bad)
{
    *bad |= sqlite3_bind_text(st, i, s.n ? s.p : "", (int)s.n, SQLITE_STATIC) != SQLITE_OK;
}
static inline void journal_bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n, int *bad)
{
    *bad |= sqlite3_bind_blob64(st, i, n ? p : "", n, SQLITE_STATIC) != SQLITE_OK;
}

/* NULL when nothing was refused, which is nearly always. */
static inline void journal_bind_refused(sqlite3_stmt *st, int i, const uint64_t refused[WIRE_REFUSALS],
                                        int *bad)
{
    uint64_t any = 0;

    for (int k = 0; k < WIRE_REFUSALS; k++)
        any |= refused[k];
    if (any)
        journal_bind_blob(st, i, refused, WIRE_REFUSALS * sizeof *refused, bad);
}

static inline int journal_run(struct db *db, sqlite3_stmt *st, int bad, struct err *e)
{
    return bad ? err_set(e, ERR_NOMEM, "journal: no memory") : db_run(db, st, e);
}

#endif
