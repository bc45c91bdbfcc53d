/* Reading stored steps: see rollup.h. What is damaged is left out, and counted where it is folded. */
#include "aggregator/store/rollup.h"

#include <sqlite3.h>
#include <string.h>

static sqlite3_stmt *prepare(struct db *db, const char *sql, int n, const int64_t *v, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, sql, e);

    for (int i = 0; i < n && st; i++) {
        if (sqlite3_bind_int64(st, i + 1, v[i]) != SQLITE_OK) {
            (void)err_set(e, ERR_NOMEM, "history: no memory");
            return NULL;
        }
    }
    return st;
}

bool rollup_labels(const uint8_t *p, size_t n, struct label *out, uint32_t *count)
{
    const uint8_t *end = n ? p + n : p; /* p may be NULL then */
    const char *text[2] = {NULL, NULL};
    int which = 0;

    *count = 0;
    while (p < end) {
        const uint8_t *stop = memchr(p, 0, (size_t)(end - p));

        if (!stop || *count == ROLLUP_LABELS)
            return false;
        text[which] = (const char *)p;
        p = stop + 1;
        which = !which;
        if (!which)
            out[(*count)++] = (struct label){text[0], text[1]};
    }
    return !which;
}

static const char *text_at(sqlite3_stmt *st, int i)
{
    const char *s = (const char *)sqlite3_column_text(st, i);

    return s ? s : "";
}

int rollup_groups(struct rollup *r, struct db *db, int (*fn)(void *arg, const struct rollup_group *g),
                  void *arg, struct err *e)
{
    sqlite3_stmt *st = prepare(db,
                               "SELECT g.id, g.kind, g.labels, g.env, s.text, s.metric, s.match, s.grouped"
                               " FROM groups g JOIN selections s ON s.id = g.selection",
                               0, NULL, e);
    struct label labels[ROLLUP_LABELS];
    int rc = st ? 0 : e->code;

    (void)r;
    while (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        const uint8_t *blob = sqlite3_column_blob(st, 2);
        struct rollup_group g = {.id = sqlite3_column_int64(st, 0),
                                 .kind = (enum fact_kind)sqlite3_column_int(st, 1),
                                 .labels.v = labels};
        bool good = rollup_labels(blob, blob ? (size_t)sqlite3_column_bytes(st, 2) : 0, labels, &g.labels.n);

        g.env = text_at(st, 3);
        g.selection = text_at(st, 4);
        g.metric = text_at(st, 5);
        g.match = text_at(st, 6);
        g.by = text_at(st, 7);
        rc = good && g.kind >= FACT_GAUGE && g.kind <= FACT_SKETCH ? fn(arg, &g) : 0;
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

int rollup_chunks(struct rollup *r, struct db *db, int64_t id, enum fact_tier tier, int64_t from, int64_t to,
                  int (*fn)(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b),
                  void *arg, struct err *e)
{
    const int64_t v[] = {id, tier, chunk_start(tier, from), to};
    sqlite3_stmt *st = prepare(
        db, "SELECT value FROM chunks WHERE grp = ? AND tier = ? AND start >= ? AND start < ? ORDER BY start",
        4, v, e);
    int rc = st ? 0 : e->code;

    while (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        struct bytes in = {sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
        struct chunk c;

        chunk_init(&c, FACT_GAUGE, NULL);
        rc = chunk_decode(&c, in, r->codec, &r->scratch, e);
        rc = rc == ERR_MALFORMED ? 0 : rc;
        for (uint32_t i = 0; i < c.n && rc == 0; i++) {
            int64_t start = c.v[i].at * tier_length(tier);
            struct fact_bucket b = c.v[i].b;

            b.sketch = c.v[i].sketch;
            if (start >= from && start < to)
                rc = fn(arg, start, c.kind, &b);
        }
        chunk_free(&c);
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

int rollup_rows(struct rollup *r, struct db *db, int64_t from,
                int (*fn)(void *arg, int64_t id, int64_t start, enum fact_kind kind,
                          const struct fact_bucket *b),
                void *arg, struct err *e)
{
    const int64_t v[] = {from / FACT_STEP_MS};
    sqlite3_stmt *st =
        prepare(db, "SELECT start, grp, value FROM gains WHERE start >= ? ORDER BY start, grp", 1, v, e);
    int rc = st ? 0 : e->code;

    while (rc == 0 && (rc = db_row(db, st, e)) == 1) {
        struct bytes in = {sqlite3_column_blob(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
        struct fact_bucket b;
        enum fact_kind kind;

        rc = fact_decode(in, &kind, &b, &r->sketch, e);
        if (rc == 0)
            rc = fn(arg, sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 0) * FACT_STEP_MS, kind, &b);
        else
            rc = rc == ERR_MALFORMED ? 0 : rc;
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

/* Seeks from one step to the next: rows of other groups stand in between. */
int rollup_rows_of(struct rollup *r, struct db *db, int64_t id, int64_t from, int64_t to,
                   int (*fn)(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b),
                   void *arg, struct err *e)
{
    int64_t step = from / FACT_STEP_MS - 1;
    int rc = 0;

    while (rc == 0) {
        const int64_t next[] = {step, to / FACT_STEP_MS};
        sqlite3_stmt *st = prepare(
            db, "SELECT start FROM gains WHERE start > ? AND start < ? ORDER BY start LIMIT 1", 2, next, e);

        if (!st || (rc = db_row(db, st, e)) != 1)
            return st ? rc : e->code;
        step = sqlite3_column_int64(st, 0);
        (void)sqlite3_reset(st);
        st = prepare(db, "SELECT value FROM gains WHERE start = ? AND grp = ?", 2, (int64_t[]){step, id}, e);
        rc = st ? db_row(db, st, e) : e->code;
        if (rc == 1) {
            struct bytes in = {sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
            struct fact_bucket b;
            enum fact_kind kind;

            rc = fact_decode(in, &kind, &b, &r->sketch, e);
            rc = rc == ERR_MALFORMED ? 0 : rc ? rc : fn(arg, step * FACT_STEP_MS, kind, &b);
            (void)sqlite3_reset(st);
        }
    }
    return rc;
}
