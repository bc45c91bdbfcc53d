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
    int rc = spool_numbers_write(s, e);

    if (rc == 0)
        rc = spool_file_run(&s->file, SQL_COMMIT, e);
    if (rc == 0) {
        s->undeleted = false;
        s->t.disk = true;
    }
    return rc;
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

/* Everything in the file is counted as lost, and a new epoch begins. */
static void lose_file(struct spool_store *s, const struct err *why)
{
    note(s, why);
    spool_file_close(&s->file);
    s->t.dropped[SPOOL_DROP_DAMAGED].batches += s->t.spooled.batches;
    s->t.dropped[SPOOL_DROP_DAMAGED].values += s->t.spooled.values;
    s->t.spooled = (struct spool_count){0};
    s->frame_bytes = s->def_bytes = 0;
    s->t.dead_letters = s->t.dead_bytes = 0;
    s->floor = 0;
    begin_life(s, later_epoch(s));
    spool_mem_renumber(s);
    s->t.disk = false;
}

/* A file that was found damaged before it was in use: how much was in it, as far as that can be read. */
static void count_damaged(struct spool_store *s, const char *path)
{
    struct spool_count *lost = &s->t.dropped[SPOOL_DROP_DAMAGED], n;
    struct spool_file f;
    sqlite3_stmt *st;
    struct err e;

    if (spool_file_peek(&f, path, &e) != 0)
        return;
    st = spool_file_sql(&f, SQL_SUM, &e);
    if (st && spool_file_step(&f, st, &e) == 1) {
        n = (struct spool_count){(uint64_t)sqlite3_column_int64(st, 0),
                                 (uint64_t)sqlite3_column_int64(st, 1)};
        lost->batches += n.batches;
        lost->values += n.values;
        s->t.produced.batches += n.batches;
        s->t.produced.values += n.values;
    }
    spool_file_close(&f);
}

/* The file is damaged: another takes its place. */
static void start_over(struct spool_store *s, const struct err *why)
{
    char to[512] = "";
    bool in_use = s->file.h != NULL;
    struct err e;

    lose_file(s, why);
    if (spool_file_set_aside(s->p.path, to, &e) != 0) {
        note(s, &e);
        return;
    }
    if (!in_use)
        count_damaged(s, to);
    s->renewing = true;
    spool_store_try_file(s);
    s->renewing = false;
    (void)snprintf(s->t.trouble, sizeof s->t.trouble, "%.120s; set aside as %.110s", why->text, to);
}

bool spool_taken_away(struct spool_store *s)
{
    struct err e;
    int moved = 0;

    if (!s->file.h || sqlite3_file_control(s->file.h, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
        !moved)
        return false;
    err_set(&e, ERR_NOTFOUND, "%s: was taken away while in use", s->p.path);
    lose_file(s, &e);
    spool_store_try_file(s);
    return true;
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

/* ---- opening ---- */

enum { SKIP_SLACK_MS = 5000, SKIP_UNKNOWN = 4096, SKIP_MOST = 1 << 24, SKIP_FAR = 1 << 20 };

/* How many numbers may have been given out since the file's newest batch that the file knows nothing of.
 * While the disk refuses, batches are delivered from memory, and a crash then leaves a file that would give
 * their numbers out once more, to other batches: those would be conflicts, or worse, taken for duplicates.
 * Nothing could be written to say so; but a disk that takes batches takes one every `batch`, so that a file
 * which has been silent for longer may have missed one for each. The numbers left out are closed by `low`. */
static uint64_t skipped(const struct spool_store *s)
{
    int64_t silent = s->p.now.ms - (int64_t)s->t.newest_ms, batch = span_to_ms(s->p.batch);
    int64_t n;

    if (batch <= 0 || !s->t.newest_ms)
        return 0;
    if (silent < 0) /* the clock was set back: nothing is known */
        return SKIP_UNKNOWN;
    if (silent <= batch + SKIP_SLACK_MS)
        return 0;
    n = silent / batch;
    return 2 * (uint64_t)(n < SKIP_MOST ? n : SKIP_MOST); /* a batch may be two */
}

/* The first opening of this process: the file's numbers go on. */
static int resume(struct spool_store *s, struct err *e)
{
    int rc = spool_numbers_read(s, e);

    sqlite3_stmt *st;

    if (rc != 0)
        return rc;
    st = spool_file_sql(&s->file, SQL_OLDEST, e);
    if (!st)
        return e->code;
    (void)sqlite3_bind_int64(st, 1, 0);
    rc = spool_file_step(&s->file, st, e);
    if (rc < 0)
        return rc;
    s->floor = rc ? (uint64_t)sqlite3_column_int64(st, 0) : s->t.next_seq;
    (void)sqlite3_reset(st);
    if (!s->t.in_order)
        s->t.next_seq += skipped(s);
    return 0;
}

/* A file that could not be used at the start can be now, and batches have been numbered
 * meanwhile. Where the file's numbers were known, those went on behind them. Else they
 * are of a later epoch, and what is in the file joins them, behind. */
static int join(struct spool_store *s, const struct spool_totals *mine, uint64_t *first, struct err *e)
{
    struct spool_totals *t = &s->t;
    int rc;

    *t = (struct spool_totals){.max_bytes = mine->max_bytes, .disk = mine->disk, .troubles = mine->troubles};
    memcpy(t->trouble, mine->trouble, sizeof t->trouble);
    rc = spool_numbers_read(s, e);
    if (rc != 0)
        return rc;
    if (t->epoch != mine->epoch)
        *first = t->next_seq > mine->next_seq ? t->next_seq : mine->next_seq;
    t->epoch = mine->epoch;
    t->next_seq = mine->next_seq;
    t->acked_epoch = mine->acked_epoch;
    t->in_memory = mine->in_memory;
    spool_numbers_add(t, mine);
    return 0;
}

/* The file was read and then could not be written: numbers go on in memory from where it stands, and
 * beyond what it could give out itself before long, in case this process can never tell it. */
static void go_on_without(struct spool_store *s, const struct spool_mark *was, bool in_order)
{
    struct spool_totals t = s->t;

    spool_back(s, was);
    if (was->t.epoch || !t.epoch)
        return;
    s->t.epoch = t.epoch;
    s->t.next_seq = in_order ? t.next_seq + SKIP_FAR : t.next_seq;
    s->t.acked_epoch = t.acked_epoch;
}

/* Reads what it can of a file that cannot be opened for writing: on a file system mounted read-only, say. */
static void peek(struct spool_store *s)
{
    struct spool_mark was = spool_mark(s);
    struct err e;
    int rc;

    if (s->t.epoch || spool_file_peek(&s->file, s->p.path, &e) != 0)
        return;
    rc = check_owner(s, &e) == 1 ? resume(s, &e) : ERR_STATE;
    spool_file_close(&s->file);
    if (rc == 0)
        go_on_without(s, &was, s->t.in_order);
    else
        spool_back(s, &was);
}

/* Opens the file in its present state: in one transaction, so that what fails has changed nothing. */
static int use_file(struct spool_store *s, struct err *e)
{
    struct spool_mark was = spool_mark(s);
    uint64_t first = 0, next = 0, in_order;
    int rc = spool_file_open(&s->file, s->p.path, e);

    if (rc != 0)
        return rc;
    rc = check_owner(s, e);
    if (rc == 1)
        rc = was.t.epoch ? join(s, &was.t, &first, e) : resume(s, e);
    if (rc == 0 && !s->t.epoch)
        begin_life(s, later_epoch(s));
    if (rc == 0)
        rc = spool_file_run(&s->file, SQL_BEGIN, e);
    if (rc == 0 && first) {
        rc = spool_file_renumber(s, first, &next, e);
        s->t.next_seq = next > s->t.next_seq ? next : s->t.next_seq;
    }
    if (rc == 0)
        rc = write_owner(s, e);
    in_order = s->t.in_order;
    s->t.in_order = 0;
    if (rc == 0)
        rc = spool_commit(s, e);
    if (rc == 0) {
        s->floor = 0;
        return 0;
    }
    spool_file_close(&s->file);
    go_on_without(s, &was, in_order);
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
    if (rc == ERR_MALFORMED && !s->renewing)
        start_over(s, &e);
    else if (rc != 0)
        note(s, &e);
}

struct spool_store *spool_store_open(const struct spool_store_params *p)
{
    struct spool_store *s = calloc(1, sizeof *s);

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
    spool_store_try_file(s);
    if (!s->file.h && *p->path)
        peek(s);
    s->t.disk = s->file.h != NULL;
    if (!s->t.epoch)
        begin_life(s, later_epoch(s));
    spool_refresh(s);
    return s;
}

/* ---- ending ---- */

void spool_store_finish(struct spool_store *s)
{
    struct spool_totals *t = &s->t;
    struct err e;
    int rc = 0;

    spool_store_try_file(s);
    if (s->file.h)
        rc = spool_flush(s, &e);
    if (rc != 0)
        spool_failed(s, &e);
    t->dropped[SPOOL_DROP_SHUTDOWN].batches += t->in_memory.batches;
    t->dropped[SPOOL_DROP_SHUTDOWN].values += t->in_memory.values;
    t->in_memory = (struct spool_count){0};
    s->handed = 0;
    while (s->mem_head)
        spool_mem_drop_head(s);
    if (s->file.h) {
        t->in_order = 1;
        rc = spool_begin(s, &e);
        if (rc == 0)
            rc = spool_commit(s, &e);
        if (rc != 0)
            spool_failed(s, &e);
    }
    spool_refresh(s);
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
