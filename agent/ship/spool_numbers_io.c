/* The counters that outlive a restart: each a row of the file, written in the transaction that
 * changes the rows it speaks of, and held against those rows when the file is opened: whatever
 * a restored or half-written file makes them differ by is damage, and counted so. */
#include <stdio.h>
#include <string.h>

#include "agent/ship/spool_store_in.h"

/* The persisted numbers, by name; in_memory is nothing that a file could know. */
static void each_number(struct spool_totals *t, void (*fn)(void *arg, const char *name, uint64_t *v),
                        void *arg)
{
    char name[64];

    fn(arg, "epoch", &t->epoch);
    fn(arg, "next_seq", &t->next_seq);
    fn(arg, "acked_epoch", &t->acked_epoch);
    fn(arg, "newest_ms", &t->newest_ms);
    fn(arg, "in_order", &t->in_order);
    fn(arg, "produced_batches", &t->produced.batches);
    fn(arg, "produced_values", &t->produced.values);
    fn(arg, "delivered_batches", &t->delivered.batches);
    fn(arg, "delivered_values", &t->delivered.values);
    for (int i = 0; i < SPOOL_DROPS; i++) {
        (void)snprintf(name, sizeof name, "dropped_batches_%s", spool_drop_name((enum spool_drop)i));
        fn(arg, name, &t->dropped[i].batches);
        (void)snprintf(name, sizeof name, "dropped_values_%s", spool_drop_name((enum spool_drop)i));
        fn(arg, name, &t->dropped[i].values);
    }
    for (int i = 0; i < SPOOL_REFUSALS; i++) {
        (void)snprintf(name, sizeof name, "refused_values_%s",
                       i < WIRE_REFUSALS ? wire_refusal_name((enum wire_refusal)i) : "unknown");
        fn(arg, name, &t->refused[i]);
    }
}

struct writing {
    struct spool_store *s;
    const struct spool_totals *was;
    size_t i;
    int rc;
    struct err *e;
};

static void write_number(void *arg, const char *name, uint64_t *v)
{
    struct writing *w = arg;
    sqlite3_stmt *st;

    if (w->rc != 0)
        return;
    st = spool_file_sql(&w->s->file, SQL_SET, w->e);
    if (!st) {
        w->rc = w->e->code;
        return;
    }
    (void)sqlite3_bind_text(st, 1, name, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_int64(st, 2, (int64_t)*v);
    w->rc = spool_file_step(&w->s->file, st, w->e);
}

int spool_numbers_write(struct spool_store *s, struct err *e)
{
    struct spool_totals t = s->t;
    struct writing w = {.s = s, .e = e};

    t.produced.batches -= t.in_memory.batches;
    t.produced.values -= t.in_memory.values;
    each_number(&t, write_number, &w);
    return w.rc;
}

static void read_number(void *arg, const char *name, uint64_t *v)
{
    struct writing *w = arg;
    sqlite3_stmt *st = w->s->file.st[SQL_GET];

    if (strcmp((const char *)sqlite3_column_text(st, 0), name) == 0)
        *v = (uint64_t)sqlite3_column_int64(st, 1);
}

static void mend_balance(struct spool_totals *t)
{
    struct spool_count sum = {t->delivered.batches + t->spooled.batches,
                              t->delivered.values + t->spooled.values};

    for (int i = 0; i < SPOOL_DROPS; i++) {
        sum.batches += t->dropped[i].batches;
        sum.values += t->dropped[i].values;
    }
    for (int i = 0; i < SPOOL_REFUSALS; i++)
        sum.values += t->refused[i];
    if (sum.batches < t->produced.batches)
        t->dropped[SPOOL_DROP_DAMAGED].batches += t->produced.batches - sum.batches;
    else
        t->produced.batches = sum.batches;
    if (sum.values < t->produced.values)
        t->dropped[SPOOL_DROP_DAMAGED].values += t->produced.values - sum.values;
    else
        t->produced.values = sum.values;
}

int spool_numbers_read(struct spool_store *s, struct err *e)
{
    struct writing w = {.s = s};
    struct spool_totals *t = &s->t;
    uint64_t max_seq;
    sqlite3_stmt *st;
    int rc;

    st = spool_file_sql(&s->file, SQL_GET, e);
    if (!st)
        return e->code;
    while ((rc = spool_file_step(&s->file, st, e)) == 1)
        each_number(t, read_number, &w);
    if (rc < 0)
        return rc;
    st = spool_file_sql(&s->file, SQL_SUM, e);
    if (!st || (rc = spool_file_step(&s->file, st, e)) < 0)
        return e->code;
    t->spooled.batches = (uint64_t)sqlite3_column_int64(st, 0);
    t->spooled.values = (uint64_t)sqlite3_column_int64(st, 1);
    s->frame_bytes = (uint64_t)sqlite3_column_int64(st, 2);
    max_seq = (uint64_t)sqlite3_column_int64(st, 3);
    (void)sqlite3_reset(st);
    st = spool_file_sql(&s->file, SQL_DEF_SUM, e);
    if (!st || (rc = spool_file_step(&s->file, st, e)) < 0)
        return e->code;
    s->def_bytes = (uint64_t)sqlite3_column_int64(st, 0);
    (void)sqlite3_reset(st);
    if (t->next_seq <= max_seq)
        t->next_seq = max_seq + 1;
    mend_balance(t);
    return spool_dead_count(s, e);
}

void spool_numbers_add(struct spool_totals *t, const struct spool_totals *more)
{
    t->produced.batches += more->produced.batches;
    t->produced.values += more->produced.values;
    t->delivered.batches += more->delivered.batches;
    t->delivered.values += more->delivered.values;
    for (int i = 0; i < SPOOL_DROPS; i++) {
        t->dropped[i].batches += more->dropped[i].batches;
        t->dropped[i].values += more->dropped[i].values;
    }
    for (int i = 0; i < SPOOL_REFUSALS; i++)
        t->refused[i] += more->refused[i];
}
