/* What the journal forgets: old batches, definitions that nobody holds, agents. See journal.h. */
#include <stdlib.h>

#include "aggregator/store/journal_private.h"

enum { PRUNE_ROWS = 512 };

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
    c->left = c->position < INT64_MAX ? c->position + 1 : INT64_MAX; /* what came since was not looked at */
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
        journal_bind_blob(st, 1, d->hash.b, sizeof d->hash.b, &bad);
        journal_bind_str(st, 2, d->agent, &bad);
        if ((rc = journal_run(db, st, bad, e)) != 0)
            return rc;
        st = db_prepare(
            db,
            "DELETE FROM definitions WHERE hash = ?1 AND NOT EXISTS(SELECT 1 FROM holders WHERE hash = ?1)",
            e);
        if (!st)
            return e->code;
        journal_bind_blob(st, 1, d->hash.b, sizeof d->hash.b, &bad);
        rc = journal_run(db, st, bad, e);
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
        journal_bind_u64(st, 1, (uint64_t)last, &bad);
        if ((rc = journal_run(db, st, bad, e)) != 0)
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
    return journal_submit_change(j, c);
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
    *c = (struct change){.job = {.run = run_drop, .done = journal_done_change, .bytes = bytes},
                         .done = done,
                         .arg = arg,
                         .n = n};
    c->drops = (struct journal_drop *)(c + 1);
    to = (char *)(c->drops + n);
    for (i = 0; i < n; i++) {
        c->drops[i] = drops[i];
        c->drops[i].agent.p = journal_copy(&to, drops[i].agent.p, drops[i].agent.n);
    }
    return journal_submit_change(j, c);
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
        journal_bind_str(st, 1, c->agent, &bad);
        rc = journal_run(db, st, bad, e);
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
        .job = {.run = run_forget, .done = journal_done_change, .bytes = bytes}, .done = done, .arg = arg};
    c->agent = (struct wire_str){journal_copy(&to, agent.p, agent.n), agent.n};
    return journal_submit_change(j, c);
}
