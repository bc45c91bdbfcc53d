/* Rows of hours that are over into the chunks of all tiers, and what is older than it is kept for, away: see
 * rollup.h. Each portion is one transaction of a bounded size, so that no persisting waits long for it. */
#include "aggregator/store/rollup.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum {
    FOLD_GROUPS = 32,       /* ids in one portion */
    FOLD_AFTER_MS = 300000, /* an hour is left alone for so long after its end */
    PRUNE_GROUPS = 256,
    UNUSED_MS = 2 * FACT_DAY_MS, /* a group without chunks is kept for so long after it was met */
    HOUR_STEPS = FACT_HOUR_MS / FACT_STEP_MS,
};

struct folding {
    struct rollup *r;
    struct db *db;
    const struct history_keep *keep;
    int64_t now, hour; /* ms */
    int64_t first;     /* id */
    struct chunk rows[FOLD_GROUPS];
    uint64_t n_rows, damaged;
    struct err *e;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "history: no memory to fold steps");
}

static sqlite3_stmt *prepare(struct db *db, const char *sql, int n, const int64_t *v, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, sql, e);

    for (int i = 0; i < n && st; i++) {
        if (sqlite3_bind_int64(st, i + 1, v[i]) != SQLITE_OK) {
            (void)no_memory(e);
            return NULL;
        }
    }
    return st;
}

/* The hour and the group of the oldest row, when that hour is over: 1, else 0. */
static int find_work(struct folding *f)
{
    sqlite3_stmt *st =
        prepare(f->db, "SELECT start, grp FROM gains ORDER BY start, grp LIMIT 1", 0, NULL, f->e);
    int rc = st ? db_row(f->db, st, f->e) : f->e->code;
    int64_t start;

    if (rc != 1)
        return rc;
    start = sqlite3_column_int64(st, 0) * FACT_STEP_MS;
    f->first = sqlite3_column_int64(st, 1);
    (void)sqlite3_reset(st);
    f->hour = start - (start % FACT_HOUR_MS + FACT_HOUR_MS) % FACT_HOUR_MS;
    return f->hour + FACT_HOUR_MS + FOLD_AFTER_MS <= f->now;
}

static int gather_row(struct folding *f, sqlite3_stmt *st, int64_t step)
{
    struct bytes v = {sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1)};
    struct chunk *c = &f->rows[sqlite3_column_int64(st, 0) - f->first];
    struct fact_bucket b;
    enum fact_kind kind;
    int rc = fact_decode(v, &kind, &b, &f->r->sketch, f->e);

    f->n_rows++;
    if (rc == ERR_MALFORMED) {
        f->damaged++;
        return 0;
    }
    if (rc == 0) {
        c->kind = kind;
        rc = chunk_add(c, step, &b, false);
    }
    return rc ? no_memory(f->e) : 0;
}

/* The rows of the portion, out of their table. */
static int gather(struct folding *f)
{
    int rc = 0;

    for (int64_t step = f->hour / FACT_STEP_MS, end = step + HOUR_STEPS; step < end && rc == 0; step++) {
        const int64_t v[] = {step, f->first, f->first + FOLD_GROUPS};
        uint64_t before = f->n_rows;
        sqlite3_stmt *st = prepare(
            f->db, "SELECT grp, value FROM gains WHERE start = ? AND grp >= ? AND grp < ?", 3, v, f->e);

        if (!st)
            return f->e->code;
        while ((rc = db_row(f->db, st, f->e)) == 1 && (rc = gather_row(f, st, step)) == 0)
            continue;
        (void)sqlite3_reset(st);
        if (rc == 0 && f->n_rows > before) {
            st = prepare(f->db, "DELETE FROM gains WHERE start = ? AND grp >= ? AND grp < ?", 3, v, f->e);
            rc = st ? db_run(f->db, st, f->e) : f->e->code;
        }
    }
    return rc;
}

/* ---- chunks ---- */

static int load_chunk(struct folding *f, int64_t id, enum fact_tier t, int64_t start, struct chunk *c)
{
    const int64_t v[] = {id, t, start};
    sqlite3_stmt *st =
        prepare(f->db, "SELECT value FROM chunks WHERE grp = ? AND tier = ? AND start = ?", 3, v, f->e);
    enum fact_kind kind = c->kind;
    int rc = st ? db_row(f->db, st, f->e) : f->e->code;

    if (rc == 1) {
        rc = chunk_decode(c, (struct bytes){sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)},
                          f->r->codec, &f->r->scratch, f->e);
        (void)sqlite3_reset(st);
        if (rc == 0 && c->kind != kind) {
            chunk_free(c);
            rc = ERR_MALFORMED;
        }
        if (rc == ERR_MALFORMED) { /* begun anew, rather than given up with all that comes */
            f->damaged++;
            c->kind = kind;
            rc = 0;
        }
    }
    return rc;
}

static int store_chunk(struct folding *f, int64_t id, enum fact_tier t, int64_t start, const struct chunk *c)
{
    const int64_t v[] = {id, t, start};
    sqlite3_stmt *st;
    int rc;

    buf_clear(&f->r->value);
    rc = chunk_encode(c, f->r->codec, &f->r->scratch, &f->r->value, f->e);
    if (rc != 0)
        return rc;
    st = prepare(f->db, "INSERT OR REPLACE INTO chunks VALUES(?, ?, ?, ?)", 3, v, f->e);
    if (!st)
        return f->e->code;
    if (sqlite3_bind_blob64(st, 4, f->r->value.data, f->r->value.len, SQLITE_STATIC) != SQLITE_OK)
        return no_memory(f->e);
    return db_run(f->db, st, f->e);
}

/* The rows of one group into one tier. In the finest, the rows then say how many series their steps have. */
static int fold_tier(struct folding *f, int64_t id, enum fact_tier t, struct chunk *rows)
{
    int64_t start = chunk_start(t, f->hour);
    struct chunk c;
    int rc;

    chunk_init(&c, rows->kind, NULL);
    rc = load_chunk(f, id, t, start, &c);
    for (uint32_t i = 0; i < rows->n && rc == 0; i++) {
        struct fact_bucket b = rows->v[i].b;
        int64_t at = rows->v[i].at * FACT_STEP_MS / tier_length(t);

        b.sketch = rows->v[i].sketch;
        rc = chunk_add(&c, at, &b, t != TIER_STEP) ? no_memory(f->e) : 0;
        if (rc == 0 && t == TIER_STEP)
            rows->v[i].b.series = chunk_at(&c, at)->b.series;
    }
    if (rc == 0)
        rc = store_chunk(f, id, t, start, &c);
    chunk_free(&c);
    return rc;
}

static const int64_t *kept(const struct history_keep *k, const char *env)
{
    for (uint32_t i = 0; i < k->n; i++) {
        if (strcmp(k->v[i].env, env) == 0)
            return k->v[i].ms;
    }
    return k->dflt;
}

/* How long a group's steps are kept, copied. */
static int kept_of(struct folding *f, int64_t id, int64_t ms[TIERS])
{
    sqlite3_stmt *st = prepare(f->db, "SELECT env FROM groups WHERE id = ?", 1, &id, f->e);
    int rc = st ? db_row(f->db, st, f->e) : f->e->code;
    const char *env = rc == 1 ? (const char *)sqlite3_column_text(st, 0) : NULL;

    memcpy(ms, kept(f->keep, env ? env : ""), TIERS * sizeof *ms);
    if (st)
        (void)sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

static int fold_group(struct folding *f, int64_t id, struct chunk *rows)
{
    int64_t ms[TIERS];
    int rc = rows->n ? kept_of(f, id, ms) : 0;
    const int64_t v[] = {f->now, id};
    sqlite3_stmt *st;

    if (rows->n == 0 || rc != 0)
        return rc;
    for (int t = TIER_STEP; t < TIERS && rc == 0; t++) {
        int64_t end = chunk_start((enum fact_tier)t, f->hour) + CHUNK_STEPS * tier_length((enum fact_tier)t);

        if (end > f->now - ms[t])
            rc = fold_tier(f, id, (enum fact_tier)t, rows);
    }
    if (rc != 0)
        return rc;
    st = prepare(f->db, "UPDATE groups SET used = ? WHERE id = ?", 2, v, f->e);
    return st ? db_run(f->db, st, f->e) : f->e->code;
}

static int fold(struct folding *f)
{
    int rc;

    for (int i = 0; i < FOLD_GROUPS; i++)
        chunk_init(&f->rows[i], FACT_GAUGE, NULL);
    rc = gather(f);
    for (int i = 0; i < FOLD_GROUPS && rc == 0; i++)
        rc = fold_group(f, f->first + i, &f->rows[i]);
    for (int i = 0; i < FOLD_GROUPS; i++)
        chunk_free(&f->rows[i]);
    return rc;
}

/* ---- pruning ---- */

static int prune_group(struct folding *f, int64_t id, int64_t used, const char *env, struct history_tended *n)
{
    int64_t ms[TIERS];
    int rc = 0;

    memcpy(ms, kept(f->keep, env), sizeof ms);
    for (int t = TIER_STEP; t < TIERS && rc == 0; t++) {
        const int64_t v[] = {id, t, f->now - ms[t] - CHUNK_STEPS * tier_length((enum fact_tier)t)};
        sqlite3_stmt *st =
            prepare(f->db, "DELETE FROM chunks WHERE grp = ? AND tier = ? AND start <= ?", 3, v, f->e);

        rc = st ? db_run(f->db, st, f->e) : f->e->code;
        n->pruned += rc == 0 ? (uint64_t)db_changes(f->db) : 0;
    }
    if (rc == 0 && used < f->now - UNUSED_MS) {
        const int64_t v[] = {id, id};
        sqlite3_stmt *st = prepare(f->db,
                                   "DELETE FROM groups WHERE id = ? AND NOT EXISTS"
                                   " (SELECT 1 FROM chunks WHERE grp = ?)",
                                   2, v, f->e);

        rc = st ? db_run(f->db, st, f->e) : f->e->code;
        n->groups_gone += rc == 0 ? (uint64_t)db_changes(f->db) : 0;
    }
    return rc;
}

struct pruned {
    int64_t id, used;
    char env[HISTORY_ENV];
};

/* The next groups by id; round and round. */
static int prune(struct folding *f, struct history_tended *n)
{
    struct pruned list[PRUNE_GROUPS];
    const int64_t v[] = {f->r->pruned, PRUNE_GROUPS};
    sqlite3_stmt *st =
        prepare(f->db, "SELECT id, used, env FROM groups WHERE id > ? ORDER BY id LIMIT ?", 2, v, f->e);
    int rc = st ? 0 : f->e->code, count = 0;

    while (rc == 0 && count < PRUNE_GROUPS && (rc = db_row(f->db, st, f->e)) == 1) {
        const char *env = (const char *)sqlite3_column_text(st, 2);

        list[count] = (struct pruned){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), ""};
        (void)snprintf(list[count].env, HISTORY_ENV, "%s", env ? env : "");
        count++;
        rc = 0;
    }
    if (st)
        (void)sqlite3_reset(st);
    for (int i = 0; i < count && rc == 0; i++)
        rc = prune_group(f, list[i].id, list[i].used, list[i].env, n);
    if (rc == 0)
        f->r->pruned = count < PRUNE_GROUPS ? 0 : list[count - 1].id;
    return rc;
}

int rollup_tend(struct rollup *r, struct db *db, const struct history_keep *keep, int64_t now, bool *more,
                struct history_tended *n, struct err *e)
{
    struct folding f = {.r = r, .db = db, .keep = keep, .now = now, .e = e};
    int rc = find_work(&f);

    *more = rc == 1;
    if (rc < 0)
        return rc;
    rc = rc == 1 ? fold(&f) : prune(&f, n);
    n->folded += rc == 0 ? f.n_rows : 0;
    n->damaged += rc == 0 ? f.damaged : 0;
    return rc;
}
