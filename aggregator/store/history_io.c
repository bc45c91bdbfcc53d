/* The history on a store thread: see history.h and store.h. A set is gathered in memory as length-prefixed
 * records and written in one transaction together with its position. */
#include "aggregator/store/history_private.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const steps[] = {
    STORE_MARK "CREATE TABLE records(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL);"
               "CREATE TABLE contained(position INTEGER NOT NULL); INSERT INTO contained VALUES(0);",
    ROLLUP_STEPS,
    "CREATE TABLE gained(position INTEGER NOT NULL); INSERT INTO gained SELECT position FROM contained;",
};

enum {
    MAX_SET = 1 << 30,
    IDLE_MS = 30000, /* between portions while there is nothing to fold: each is a sync of the disk */
};

static const struct metric_row folded_row = {
    .name = "securebase_aggregator_history_rows_folded_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Rows of steps whose hour is over, moved into compressed chunks.",
};
static const struct metric_row pruned_row = {
    .name = "securebase_aggregator_history_chunks_pruned_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Chunks of stored steps deleted because [retention ENV] keeps them no longer.",
};
static const struct metric_row gone_row = {
    .name = "securebase_aggregator_history_groups_pruned_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Groups deleted from the store when nothing of them was left.",
};
static const struct metric_row damaged_row = {
    .name = "securebase_aggregator_history_damaged_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Stored steps and chunks that could not be read and were begun anew.",
};

struct set {
    struct store_job job;
    struct history *history;
    struct buf records, steps;
    int64_t position;
    void (*done)(void *arg, int code);
    void *arg;
};

/* What stands before each record; a deletion has the value length DELETED. */
struct head {
    uint32_t key, value;
};
#define DELETED UINT32_MAX

static int write_record(struct db *db, struct bytes key, const uint8_t *value, uint32_t n, struct err *e)
{
    sqlite3_stmt *st = n == DELETED ? db_prepare(db, "DELETE FROM records WHERE key = ?", e)
                                    : db_prepare(db, "INSERT OR REPLACE INTO records VALUES(?, ?)", e);

    if (!st)
        return e->code;
    if (sqlite3_bind_blob64(st, 1, key.n ? (const void *)key.p : "", key.n, SQLITE_STATIC) != SQLITE_OK ||
        (n != DELETED &&
         sqlite3_bind_blob64(st, 2, n ? (const void *)value : "", n, SQLITE_STATIC) != SQLITE_OK))
        return err_set(e, ERR_NOMEM, "history: no memory");
    return db_run(db, st, e);
}

static int run_set(struct db *db, struct store_job *job, struct err *e)
{
    struct set *s = (struct set *)job;
    struct store_salvaged n = {0};
    sqlite3_stmt *st;
    size_t at = 0;
    int rc = job->fills ? rollup_salvage(s->history->path, db, &n, e) : 0;

    while (at < s->records.len && rc == 0) {
        struct head h;
        const uint8_t *p = s->records.data + at;

        memcpy(&h, p, sizeof h);
        p += sizeof h;
        rc = write_record(db, (struct bytes){p, h.key}, p + h.key, h.value, e);
        at += sizeof h + h.key + (h.value == DELETED ? 0 : h.value);
    }
    if (rc == 0)
        rc = rollup_apply(s->history->rollup, db, buf_bytes(&s->steps), e);
    if (rc == 0)
        rc = rollup_gained(db, s->position, e);
    if (rc != 0)
        return rc;
    if (!(st = db_prepare(db, "UPDATE contained SET position = ?", e)))
        return e->code;
    if (sqlite3_bind_int64(st, 1, s->position) != SQLITE_OK)
        return err_set(e, ERR_NOMEM, "history: no memory");
    return db_run(db, st, e);
}

static void free_set(struct set **sp)
{
    struct set *s = *sp;

    if (!s)
        return;
    buf_free(&s->records);
    buf_free(&s->steps);
    free(s);
    *sp = NULL;
}

static void done_set(struct store_job *job, int code)
{
    struct set *s = (struct set *)job;

    s->history->committing = false;
    s->history->whole = s->history->whole && code != 0;
    s->done(s->arg, code);
    free_set(&s);
}

int history_begin(struct history *h)
{
    if (h->set || h->committing)
        return ERR_STATE;
    h->set = calloc(1, sizeof *h->set);
    if (!h->set)
        return ERR_NOMEM;
    h->set->history = h;
    h->set->job = (struct store_job){.run = run_set, .done = done_set};
    buf_init(&h->set->records, NULL, MAX_SET);
    buf_init(&h->set->steps, NULL, MAX_SET);
    return 0;
}

int history_put(struct history *h, struct bytes key, struct bytes value)
{
    struct head head = {(uint32_t)key.n, value.p ? (uint32_t)value.n : DELETED};
    struct buf *b = &h->set->records;

    assert(h->set);
    if (key.n >= MAX_SET || value.n >= MAX_SET) {
        b->full = true;
        return ERR_NOMEM;
    }
    buf_put(b, &head, sizeof head);
    buf_put(b, key.p, key.n);
    if (value.p)
        buf_put(b, value.p, value.n);
    return b->full ? ERR_NOMEM : 0;
}

int history_group(struct history *h, const struct history_group *g)
{
    assert(h->set);
    rollup_put_group(&h->set->steps, g);
    return h->set->steps.full ? ERR_NOMEM : 0;
}

int history_gain(struct history *h, uint32_t handle, enum fact_kind kind, int64_t start,
                 const struct fact_bucket *gain)
{
    assert(h->set);
    return rollup_put_gain(&h->set->steps, handle, kind, start, gain);
}

void history_commit(struct history *h, int64_t position, void (*done)(void *arg, int code), void *arg)
{
    struct set *s = h->set;
    int rc;

    assert(s);
    h->set = NULL;
    s->position = position;
    s->done = done;
    s->arg = arg;
    s->job.bytes = s->records.len + s->steps.len;
    s->job.fills = h->whole;
    rc = s->records.full || s->steps.full ? ERR_NOMEM : store_submit(h->store, &s->job);
    h->committing = rc == 0;
    if (rc != 0) {
        done(arg, rc);
        free_set(&s);
    }
}

void history_abandon(struct history *h)
{
    free_set(&h->set);
}

/* ---- tending ---- */

struct tending {
    struct store_job job;
    struct history *history;
    struct history_keep keep; /* behind it, what it points to */
    int64_t now;
    bool more;
    struct history_tended n;
};

static int run_tending(struct db *db, struct store_job *job, struct err *e)
{
    struct tending *t = (struct tending *)job;

    t->n = (struct history_tended){0};
    return rollup_tend(t->history->rollup, db, &t->keep, t->now, &t->more, &t->n, e);
}

static void done_tending(struct store_job *job, int code)
{
    struct tending *t = (struct tending *)job;
    struct history_tended *n = &t->history->tended;

    t->history->tending = false;
    t->history->more = code == 0 && t->more;
    if (code == 0) {
        n->folded += t->n.folded;
        n->pruned += t->n.pruned;
        n->groups_gone += t->n.groups_gone;
        n->damaged += t->n.damaged;
    }
    free(t);
}

void history_tend(struct history *h, const struct history_keep *keep, struct wall now)
{
    struct tending *t;
    bool early = now.ms >= h->tended_at && now.ms - h->tended_at < IDLE_MS;

    if (h->tending || h->whole || (early && !h->more))
        return;
    h->tended_at = now.ms;
    t = malloc(sizeof *t + keep->n * sizeof *keep->v);
    if (!t)
        return;
    *t = (struct tending){
        .job = {.run = run_tending, .done = done_tending}, .history = h, .keep = *keep, .now = now.ms};
    if (keep->n)
        memcpy(t + 1, keep->v, keep->n * sizeof *keep->v);
    t->keep.v = (const void *)(t + 1);
    h->tending = store_submit(h->store, &t->job) == 0;
    if (!h->tending)
        free(t);
}

static void on_damage(void *arg)
{
    struct history *h = arg;

    h->whole = true;
    if (h->damaged)
        h->damaged(h->arg);
}

struct history *history_open(const struct history_params *p, struct err *e)
{
    struct history *h = calloc(1, sizeof *h);

    if (!h) {
        (void)err_set(e, ERR_NOMEM, "no memory for the history");
        return NULL;
    }
    h->damaged = p->damaged;
    h->arg = p->arg;
    h->rollup = rollup_new();
    h->path = strdup(p->path);
    if (!h->rollup || !h->path) {
        rollup_free(&h->rollup);
        free(h->path);
        free(h);
        (void)err_set(e, ERR_NOMEM, "no memory for the history");
        return NULL;
    }
    h->store = store_open(&(struct store_params){.name = "history",
                                                 .path = p->path,
                                                 .steps = steps,
                                                 .n_steps = sizeof steps / sizeof steps[0],
                                                 .loop = p->loop,
                                                 .log = p->log,
                                                 .salvage = rollup_salvage_all,
                                                 .damaged = on_damage,
                                                 .arg = h},
                          e);
    if (!h->store) {
        rollup_free(&h->rollup);
        free(h->path);
        free(h);
        return NULL;
    }
    return h;
}

void history_close(struct history **hp)
{
    struct history *h = *hp;

    if (!h)
        return;
    store_close(&h->store);
    free_set(&h->set);
    rollup_free(&h->rollup);
    free(h->path);
    free(h);
    *hp = NULL;
}

int history_renew(struct history *h, struct err *e)
{
    return store_renew(h->store, e);
}

int history_load(struct history *h, int (*fn)(void *arg, struct bytes key, struct bytes value), void *arg,
                 int64_t *position, struct err *e)
{
    struct db *db = store_db(h->store);
    sqlite3_stmt *st = db_prepare(db, "SELECT key, value FROM records", e);
    int rc = st ? 0 : e->code;

    while (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        struct bytes key = {sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
        struct bytes value = {sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1)};

        rc = fn(arg, key, value);
    }
    if (st)
        (void)sqlite3_reset(st);
    if (rc != 0)
        return rc;
    if (!(st = db_prepare(db, "SELECT position FROM contained", e)))
        return e->code;
    rc = db_row(db, st, e);
    *position = rc == 1 ? sqlite3_column_int64(st, 0) : 0;
    (void)sqlite3_reset(st);
    return rc == 1 ? 0 : rc < 0 ? rc : err_set(e, ERR_MALFORMED, "history: no position");
}

int history_gained(struct history *h, int64_t *position, struct err *e)
{
    struct db *db = store_db(h->store);
    sqlite3_stmt *st = db_prepare(db, "SELECT position FROM gained", e);
    int rc = st ? db_row(db, st, e) : e->code;

    *position = rc == 1 ? sqlite3_column_int64(st, 0) : 0;
    if (st)
        (void)sqlite3_reset(st);
    return rc == 1 ? 0 : rc < 0 ? rc : err_set(e, ERR_MALFORMED, "history: no position of its steps");
}

int history_verify(const char *path, struct buf *report, struct err *e)
{
    return store_check_file(path, "history", steps, sizeof steps / sizeof steps[0], report, e);
}

void history_metrics(const struct history *h, struct sink *out)
{
    store_metrics(h->store, out);
    sink_uint(out, &folded_row, NULL, h->tended.folded);
    sink_uint(out, &pruned_row, NULL, h->tended.pruned);
    sink_uint(out, &gone_row, NULL, h->tended.groups_gone);
    sink_uint(out, &damaged_row, NULL, h->tended.damaged);
}
