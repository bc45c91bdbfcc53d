/* Dead letters: batches that an aggregator will never take are counted as dropped,
 * and the newest of them are kept in the file with what was said of them, for
 * whoever has to find out why. Those of memory mode are counted alone. */
#include <string.h>

#include "agent/ship/spool_store_in.h"

enum { DEAD_BATCHES = 64, DEAD_BYTES = 1 << 20 };

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    (void)sqlite3_bind_text(st, at, text ? text : "", -1, SQLITE_STATIC);
}

int spool_dead_count(struct spool_store *s, struct err *e)
{
    sqlite3_stmt *st = spool_file_sql(&s->file, SQL_DEAD_SUM, e);
    int rc = st ? spool_file_step(&s->file, st, e) : e->code;

    if (rc < 0)
        return rc;
    s->t.dead_letters = (uint64_t)sqlite3_column_int64(st, 0);
    s->t.dead_bytes = (uint64_t)sqlite3_column_int64(st, 1);
    (void)sqlite3_reset(st);
    return 0;
}

int spool_dead_keep(struct spool_store *s, uint64_t seq, const struct spool_death *d, struct err *e)
{
    sqlite3_stmt *st = spool_file_sql(&s->file, SQL_DEAD_KEEP, e);
    int rc;

    if (!st)
        return e->code;
    (void)sqlite3_bind_int64(st, 1, (int64_t)seq);
    (void)sqlite3_bind_int64(st, 2, d->at.ms);
    (void)sqlite3_bind_int64(st, 3, (int64_t)s->t.epoch);
    (void)sqlite3_bind_int64(st, 4, d->status);
    bind_text(st, 5, d->reason);
    bind_text(st, 6, d->error);
    rc = spool_file_step(&s->file, st, e);
    st = rc == 0 ? spool_file_sql(&s->file, SQL_DEAD_TRIM, e) : NULL;
    if (!st)
        return e->code;
    (void)sqlite3_bind_int64(st, 1, DEAD_BATCHES);
    (void)sqlite3_bind_int64(st, 2, DEAD_BYTES);
    rc = spool_file_step(&s->file, st, e);
    return rc == 0 ? spool_dead_count(s, e) : rc;
}

int spool_dead_clear(struct spool_store *s, struct err *e)
{
    int rc = spool_file_run(&s->file, SQL_DEAD_CLEAR, e);

    return rc == 0 ? spool_dead_count(s, e) : rc;
}

int spool_store_dead(struct spool_store *s, struct buf *out, struct err *e)
{
    sqlite3_stmt *st = s->file.h ? spool_file_sql(&s->file, SQL_DEAD_LIST, e) : NULL;
    char time[WALL_TEXT];
    int rc;

    if (!st)
        return s->file.h ? e->code : 0;
    while ((rc = spool_file_step(&s->file, st, e)) == 1) {
        struct wall at = {sqlite3_column_int64(st, 0)};

        buf_fmt(out, "%s  batch %lld/%lld, %lld values, %lld bytes: status %d, %s: %s\n", wall_text(at, time),
                (long long)sqlite3_column_int64(st, 1), (long long)sqlite3_column_int64(st, 2),
                (long long)sqlite3_column_int64(st, 3), (long long)sqlite3_column_int64(st, 4),
                sqlite3_column_int(st, 5), (const char *)sqlite3_column_text(st, 6),
                (const char *)sqlite3_column_text(st, 7));
    }
    if (rc == 0 && out->full)
        return err_set(e, ERR_NOMEM, "no memory to list dead letters");
    return rc;
}
