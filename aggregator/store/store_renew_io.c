/* Opening the file of a store, and beginning a new one when it is damaged: see
 * store.h. The damaged file stays where it is until the new one is complete, so
 * that a crash in between finds it and reads from it what can be read. */
#include <assert.h>
#include <sqlite3.h>

#include "aggregator/store/store_private.h"

static int read_mark(struct db *db, int64_t *mark, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "SELECT n FROM store_mark", e);
    int rc = st ? db_row(db, st, e) : e->code;

    if (rc == 0)
        return err_set(e, ERR_MALFORMED, "the mark of the store is missing");
    if (rc < 0)
        return rc;
    *mark = sqlite3_column_int64(st, 0);
    return db_row(db, st, e);
}

int store_open_file(struct store *s, struct err *e)
{
    db_close(&s->db);
    s->db = db_open(s->path, s->p.steps, s->p.n_steps, e);
    return s->db ? read_mark(s->db, &s->mark, e) : e->code;
}

/* At the start nobody else is there, nor the lock. */
static void lock(struct store *s)
{
    if (s->started)
        (void)pthread_mutex_lock(&s->lock);
}
static void unlock(struct store *s)
{
    if (s->started)
        (void)pthread_mutex_unlock(&s->lock);
}

static void set_bare(struct store *s, bool bare)
{
    s->bare = bare;
    lock(s);
    s->f.bare = bare;
    unlock(s);
}

void store_met_damage(struct store *s, const struct err *why)
{
    struct err e = {0};

    LOG(s->p.log, LOG_ERROR, s->p.name, "the file is damaged: beginning a new one", kv_s("path", s->path),
        kv_e(why));
    db_leave(&s->db);
    set_bare(s, true);
    s->to_tell = s->p.damaged != NULL;
    if (!s->p.damaged && store_refill(s, NULL, &e) != 0)
        COMPLAIN(s->p.log, &s->complaint, clock_mono(), LOG_ERROR, s->p.name, "no new file", kv_e(&e));
}

static int fill_by_job(struct db *db, struct store_job *job, struct err *e)
{
    int rc = db_begin(db, e);

    if (rc == 0)
        rc = job->run(db, job, e);
    if (rc == 0)
        return db_commit(db, e);
    db_rollback(db);
    return rc;
}

static void count(struct store *s, const struct store_salvaged *n)
{
    lock(s);
    s->f.set_aside++;
    s->f.salvaged += n->copied;
    s->f.lost += n->lost;
    unlock(s);
}

int store_refill(struct store *s, struct store_job *job, struct err *e)
{
    struct store_salvaged n = {0};
    char kept[4200] = "";
    struct err again = {0};
    struct db *db;
    int rc = 0;

    db_leave(&s->db);
    db = db_begin_new(s->path, s->p.steps, s->p.n_steps, e);
    if (!db)
        return e->code;
    if (job)
        rc = fill_by_job(db, job, e);
    else if (s->p.salvage)
        rc = s->p.salvage(s->path, db, &n, e);
    if (rc == 0)
        rc = db_put_new(s->path, &db, kept, sizeof kept, e);
    db_close(&db);
    if (rc != 0)
        return rc;
    count(s, &n);
    LOG(s->p.log, LOG_ERROR, s->p.name, "the damaged file is set aside, a new one stands in its place",
        kv_s("path", s->path), kv_s("kept", kept), kv_u("salvaged_rows", n.copied),
        kv_u("lost_rows", n.lost));
    set_bare(s, false);
    s->broken = store_open_file(s, &again) != 0; /* what was written is there: the next group tries again */
    return 0;
}

int store_renew(struct store *s, struct err *e)
{
    int rc;

    assert(!s->used);
    if ((rc = store_refill(s, NULL, e)) != 0)
        return rc;
    return s->broken ? store_open_file(s, e) : 0;
}

bool store_was_damaged(const struct store *s)
{
    assert(!s->used);
    return s->f.set_aside > 0;
}

int store_open_first(struct store *s, struct err *e)
{
    struct err why = {0};
    int rc = db_finish_new(s->path, e);

    if (rc != 0 || (rc = store_open_file(s, &why)) == 0)
        return rc;
    if (rc != ERR_MALFORMED)
        return err_set(e, rc, "%s", why.text);
    LOG(s->p.log, LOG_ERROR, s->p.name, "the file is damaged: beginning a new one", kv_s("path", s->path),
        kv_e(&why));
    return store_renew(s, e);
}
