/* Where batches wait: a file, or memory while the disk refuses. See spool.h.
 *
 * All batches here are of one epoch; the file's come before those in memory. Counters live in memory and are
 * written with absolute values in the transaction that changes the rows they speak of, so that a crash finds
 * rows and counters of one moment. When deleting what was acknowledged fails, a mark (`done`) hides it until
 * the deletion succeeds; a crash meanwhile sends it once more, and is answered as a duplicate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ship/spool_store_in.h"

/* ---- counters and the file ---- */

/* The persisted numbers, by name; in_memory is nothing that a file could know. */
static void each_number(struct spool_totals *t, void (*fn)(void *arg, const char *name, uint64_t *v),
                        void *arg)
{
    char name[64];

    fn(arg, "epoch", &t->epoch);
    fn(arg, "next_seq", &t->next_seq);
    fn(arg, "acked_epoch", &t->acked_epoch);
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

/* Writes the counters as they would be on disk: what is in memory alone is not there, nor was it ever
 * produced. */
static int write_numbers(struct spool_store *s, struct err *e)
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

/* Rows against counters: whatever a restored or half-written file makes them differ by is damage, and counted
 * so. */
static int read_numbers(struct spool_store *s, struct err *e)
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
    return 0;
}

int spool_begin(struct spool_store *s, struct err *e)
{
    int rc = spool_file_run(&s->file, SQL_BEGIN, e);

    for (int i = 0; rc == 0 && s->undeleted && i < 2; i++) {
        sqlite3_stmt *st = spool_file_sql(&s->file, i ? SQL_DELETE_NEED_UPTO : SQL_DELETE_UPTO, e);

        if (!st)
            return e->code;
        (void)sqlite3_bind_int64(st, 1, (int64_t)s->done);
        rc = spool_file_step(&s->file, st, e);
    }
    return rc;
}

int spool_commit(struct spool_store *s, struct err *e)
{
    int rc = write_numbers(s, e);

    if (rc == 0)
        rc = spool_file_run(&s->file, SQL_COMMIT, e);
    if (rc == 0) {
        s->undeleted = false;
        s->t.disk = true;
    }
    return rc;
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

/* ---- trouble ---- */

static void note(struct spool_store *s, const struct err *e)
{
    s->t.troubles++;
    (void)snprintf(s->t.trouble, sizeof s->t.trouble, "%.255s", e->text);
}

static void begin_life(struct spool_store *s, uint64_t epoch)
{
    s->t.epoch = epoch;
    s->t.next_seq = 1;
    s->done = 0;
    s->handed = 0;
    s->file_low = 0;
    s->file_oldest = (struct wall){0};
}

static uint64_t later_epoch(const struct spool_store *s)
{
    uint64_t now = s->p.now.ms > 0 ? (uint64_t)s->p.now.ms : 1;

    return now > s->t.epoch ? now : s->t.epoch + 1;
}

/* The file is damaged: everything in it is counted as lost, a new file and a new epoch begin. */
static void start_over(struct spool_store *s, const struct err *why)
{
    char to[512] = "";
    struct err e = *why;

    note(s, why);
    spool_file_close(&s->file);
    s->t.dropped[SPOOL_DROP_DAMAGED].batches += s->t.spooled.batches;
    s->t.dropped[SPOOL_DROP_DAMAGED].values += s->t.spooled.values;
    s->t.spooled = (struct spool_count){0};
    s->frame_bytes = s->def_bytes = 0;
    begin_life(s, later_epoch(s));
    spool_mem_renumber(s);
    s->t.disk = false;
    if (spool_file_set_aside(s->p.path, to, &e) != 0) {
        note(s, &e);
        return;
    }
    spool_store_try_file(s);
    (void)snprintf(s->t.trouble, sizeof s->t.trouble, "%.120s; set aside as %.110s", why->text, to);
}

void spool_failed(struct spool_store *s, const struct err *e)
{
    struct err ignored;

    (void)spool_file_run(&s->file, SQL_ROLLBACK, &ignored);
    if (e->code == ERR_MALFORMED) {
        start_over(s, e);
        return;
    }
    note(s, e);
}

/* The label `agent`: 1 when it is this agent's, 0 when the file is new, ERR_MALFORMED when another's. */
static int check_owner(struct spool_store *s, struct err *e)
{
    sqlite3_stmt *st = spool_file_sql(&s->file, SQL_GET_TEXT, e);
    const char *who;
    int rc;

    if (!st)
        return e->code;
    (void)sqlite3_bind_text(st, 1, "agent", -1, SQLITE_STATIC);
    rc = spool_file_step(&s->file, st, e);
    if (rc != 1)
        return rc;
    who = (const char *)sqlite3_column_text(st, 0);
    if (!who || strcmp(who, s->p.agent) != 0)
        rc = err_set(e, ERR_MALFORMED, "%s: holds batches of agent \"%s\", not of \"%s\"", s->p.path,
                     who ? who : "", s->p.agent);
    (void)sqlite3_reset(st);
    return rc;
}

static int write_owner(struct spool_store *s, struct err *e)
{
    sqlite3_stmt *st = spool_file_sql(&s->file, SQL_SET_TEXT, e);

    if (!st)
        return e->code;
    (void)sqlite3_bind_text(st, 1, "agent", -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, s->p.agent, -1, SQLITE_STATIC);
    return spool_file_step(&s->file, st, e);
}

/* A file that could not be opened at the start can be now: meanwhile batches went out under a later epoch, so
 * its own join them, behind. */
static int merge_file(struct spool_store *s, struct err *e)
{
    struct spool_totals mine = s->t, *t = &s->t;
    uint64_t first;
    int rc;

    *t = (struct spool_totals){.max_bytes = mine.max_bytes};
    rc = read_numbers(s, e);
    mend_balance(t);
    first = t->next_seq > mine.next_seq ? t->next_seq : mine.next_seq;
    t->epoch = mine.epoch;
    t->acked_epoch = mine.acked_epoch;
    if (rc == 0)
        rc = spool_file_run(&s->file, SQL_BEGIN, e);
    if (rc == 0)
        rc = spool_file_renumber(s, first, &mine.next_seq, e);
    if (rc != 0) {
        *t = mine;
        return rc;
    }
    t->next_seq = mine.next_seq;
    t->in_memory = mine.in_memory;
    t->troubles = mine.troubles;
    t->produced.batches += mine.produced.batches;
    t->produced.values += mine.produced.values;
    t->delivered.batches += mine.delivered.batches;
    t->delivered.values += mine.delivered.values;
    for (int i = 0; i < SPOOL_DROPS; i++) {
        t->dropped[i].batches += mine.dropped[i].batches;
        t->dropped[i].values += mine.dropped[i].values;
    }
    for (int i = 0; i < SPOOL_REFUSALS; i++)
        t->refused[i] += mine.refused[i];
    rc = spool_commit(s, e);
    if (rc != 0)
        *t = mine;
    return rc;
}

/* Opens the file in its present state. Counters are read by the first opening of this process, or merged by a
 * later one. */
static int use_file(struct spool_store *s, struct err *e)
{
    int rc = spool_file_open(&s->file, s->p.path, e), owner;

    if (rc != 0)
        return rc;
    owner = check_owner(s, e);
    if (owner == 1 && !s->t.epoch) {
        rc = read_numbers(s, e);
        if (rc == 0)
            mend_balance(&s->t);
    } else if (owner == 1) {
        rc = merge_file(s, e);
    } else {
        rc = owner;
    }
    if (rc == 0 && !s->t.epoch)
        begin_life(s, later_epoch(s));
    if (rc == 0)
        rc = spool_file_run(&s->file, SQL_BEGIN, e);
    if (rc == 0)
        rc = write_owner(s, e);
    if (rc == 0)
        rc = spool_commit(s, e);
    if (rc != 0)
        spool_file_close(&s->file);
    return rc;
}

void spool_store_try_file(struct spool_store *s)
{
    struct err e;
    int rc;

    if (!*s->p.path || s->file.h)
        return;
    rc = use_file(s, &e);
    s->t.disk = rc == 0;
    if (rc != 0)
        note(s, &e);
}

struct spool_store *spool_store_open(const struct spool_store_params *p)
{
    struct spool_store *s = calloc(1, sizeof *s);
    struct err e;
    int rc;

    if (!s)
        return NULL;
    s->p = *p;
    s->codec = wire_codec_new(1);
    s->p.path = strdup(p->path);
    s->p.agent = strdup(p->agent);
    if (!s->codec || !s->p.path || !s->p.agent) {
        spool_store_close(&s);
        return NULL;
    }
    s->t.max_bytes = (uint64_t)p->max_bytes;
    rc = *p->path ? use_file(s, &e) : ERR_IO;
    if (rc == ERR_MALFORMED) {
        s->t = (struct spool_totals){.max_bytes = s->t.max_bytes};
        start_over(s, &e);
    } else if (rc != 0 && *p->path) {
        note(s, &e);
    }
    s->t.disk = s->file.h != NULL;
    if (!s->t.epoch)
        begin_life(s, later_epoch(s));
    spool_refresh(s);
    return s;
}

void spool_store_close(struct spool_store **sp)
{
    struct spool_store *s = *sp;

    if (!s)
        return;
    while (s->mem_head)
        spool_mem_drop_head(s);
    if (s->file.h)
        spool_file_close(&s->file);
    free((char *)(uintptr_t)s->p.path);
    free((char *)(uintptr_t)s->p.agent);
    wire_codec_free(&s->codec);
    free(s);
    *sp = NULL;
}
