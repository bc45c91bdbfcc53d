/* What can be read from a damaged journal, into a new one: see store.h. Tables with a rowid are
 * walked by it: where a row cannot be read, the walk goes on behind it, first row by row, then by
 * growing steps whose end is then sought by halving. The others are read from both ends, and what
 * lies between by the keys that the rest of the file tells. What was read is held to its digest or
 * hash, so that nothing false comes over: a batch or definition without fault is as it was written.
 *
 * Nothing that was accepted may count again. So where digests were lost, those of the batches take
 * their place; what is in none of both is brought back at the restore (admission_restore_taken),
 * where an epoch without its watermark counts as complete up to its highest seq. */
#include <assert.h>

#include "aggregator/store/journal_private.h"
#include "common/base/clock.h"

enum {
    CHUNK_ROWS = 512,   /* in one transaction */
    STEPS_BY_ONE = 64,  /* rows tried one by one behind damage */
    MOST_TRIES = 20000, /* that may fail in one table */
    MOST_S = 120,       /* for the whole file */
    DIGESTS_KEPT = 256, /* per epoch: docs/protocol.md, section 4 */
    ARENA_CAP = 16 << 20,
};

struct salvage {
    struct db *from, *to;
    struct store_salvaged *n;
    struct err *e;
    struct mono until;
    struct wire_codec *codec;
    struct buf payload;
    unsigned pending; /* rows in the transaction */
    bool damaged;     /* something could not be read so far */
    int64_t tail;     /* of the batches: from this position on nothing could be read; 0: all */
};

/* A table that is walked by rowid, the first column. */
struct table {
    const char *select; /* from ?1 on, in order */
    const char *insert;
    int columns;
    bool (*good)(sqlite3_stmt *st); /* whether a row is as it was written */
};

static bool same_hash(sqlite3_stmt *st, int hash, int value)
{
    int n = sqlite3_column_bytes(st, value);
    const void *p = sqlite3_column_blob(st, value), *want = sqlite3_column_blob(st, hash);
    struct wire_hash h;

    if (!p || !want || n < 1 || sqlite3_column_bytes(st, hash) != (int)sizeof h.b)
        return false;
    h = wire_hash_of(p, (size_t)n);
    return memcmp(h.b, want, sizeof h.b) == 0;
}

static bool good_batch(sqlite3_stmt *st)
{
    return sqlite3_column_bytes(st, 1) > 0 && same_hash(st, 6, 9);
}

static bool good_definition(sqlite3_stmt *st)
{
    return same_hash(st, 1, 2);
}

static bool good_digest(sqlite3_stmt *st)
{
    int refused = sqlite3_column_bytes(st, 5);

    return sqlite3_column_bytes(st, 1) > 0 && sqlite3_column_int64(st, 3) != 0 &&
           sqlite3_column_bytes(st, 4) == 16 && (refused == 0 || refused == WIRE_REFUSALS * 8);
}

static const struct table batches = {
    .select =
        "SELECT position, agent, tenant, epoch, seq, received, digest, refused, verdict, frame FROM batches"
        " WHERE position >= ?1 ORDER BY position",
    .insert = "INSERT OR IGNORE INTO batches(position, agent, tenant, epoch, seq, received, digest, refused, "
              "verdict,"
              " frame) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    .columns = 10,
    .good = good_batch,
};
static const struct table seen = {
    .select = "SELECT position, agent, epoch, seq, digest, refused FROM seen WHERE position >= ?1 ORDER BY "
              "position",
    .insert = "INSERT OR IGNORE INTO seen VALUES(?, ?, ?, ?, ?, ?)",
    .columns = 6,
    .good = good_digest,
};
static const struct table definitions = {
    .select = "SELECT rowid, hash, value FROM definitions WHERE rowid >= ?1 ORDER BY rowid",
    .insert = "INSERT OR IGNORE INTO definitions(rowid, hash, value) VALUES(?, ?, ?)",
    .columns = 3,
    .good = good_definition,
};

/* ---- writing ---- */

/* Copies the row that stands in `row`; what was written is committed now
 * and then, for nobody reads the new file before it is complete. */
static int put_row(struct salvage *s, sqlite3_stmt *row, const char *insert, int columns)
{
    sqlite3_stmt *st = db_prepare(s->to, insert, s->e);
    int bad = 0, rc;

    if (!st)
        return s->e->code;
    for (int i = 0; i < columns; i++)
        bad |= sqlite3_bind_value(st, i + 1, sqlite3_column_value(row, i)) != SQLITE_OK;
    if ((rc = journal_run(s->to, st, bad, s->e)) != 0)
        return rc;
    s->n->copied++;
    if (++s->pending < CHUNK_ROWS)
        return 0;
    s->pending = 0;
    if ((rc = db_commit(s->to, s->e)) == 0)
        rc = db_begin(s->to, s->e);
    return rc;
}

/* Writes what a statement over the new file alone makes of it. */
static int make(struct salvage *s, const char *sql)
{
    sqlite3_stmt *st = db_prepare(s->to, sql, s->e);

    return st ? db_run(s->to, st, s->e) : s->e->code;
}

/* ---- reading ---- */

/* What is wrong with the damaged file is no failure of ours. */
static int forgive(struct salvage *s, int rc)
{
    if (rc == ERR_MALFORMED)
        s->damaged = true;
    return rc == ERR_MALFORMED ? 0 : rc;
}

static sqlite3_stmt *from_row(struct salvage *s, const char *select, int64_t from, struct err *e)
{
    sqlite3_stmt *st = db_prepare(s->from, select, e);

    if (st && sqlite3_bind_int64(st, 1, from) != SQLITE_OK) {
        (void)err_set(e, ERR_NOMEM, "journal: no memory");
        return NULL;
    }
    return st;
}

/* Copies rows from *next on until one cannot be read (ERR_MALFORMED;
 * *next: the first rowid behind what was read). */
static int copy_on(struct salvage *s, const struct table *t, int64_t *next)
{
    struct err e = {0};
    sqlite3_stmt *st = from_row(s, t->select, *next, &e);
    int rc = st ? 0 : e.code;

    while (rc == 0 && (rc = db_row(s->from, st, &e)) == 1) {
        int64_t at = sqlite3_column_int64(st, 0);

        if (t->good(st)) {
            rc = put_row(s, st, t->insert, t->columns);
            if (rc != 0) {
                (void)sqlite3_reset(st);
                return rc == ERR_MALFORMED ? ERR_IO : rc; /* the new file's: to be failed by */
            }
        } else {
            s->damaged = true;
            s->n->lost++;
            rc = 0;
        }
        if (at == INT64_MAX)
            break;
        *next = at + 1;
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

/* Whether the first row at or behind `from` can be read (or none is there). */
static bool readable(struct salvage *s, const struct table *t, int64_t from)
{
    struct err e = {0};
    sqlite3_stmt *st = from_row(s, t->select, from, &e);
    int rc = st ? db_row(s->from, st, &e) : e.code;

    if (st)
        (void)sqlite3_reset(st);
    return rc >= 0;
}

/* Moves *next behind the damage that begins there; false: nothing readable lies behind it. */
static bool step_over(struct salvage *s, const struct table *t, int64_t *next, unsigned *tries)
{
    int64_t at = *next, step = 1, bad;

    for (;;) {
        if (at > INT64_MAX - step || ++*tries > MOST_TRIES || !mono_before(clock_mono(), s->until))
            return false;
        bad = at;
        at += step;
        if (readable(s, t, at))
            break;
        if (at - *next >= STEPS_BY_ONE)
            step *= 2;
    }
    while (at - bad > 1) {
        int64_t middle = bad + (at - bad) / 2;

        if (readable(s, t, middle))
            at = middle;
        else
            bad = middle;
    }
    s->n->lost += (uint64_t)(at - *next);
    *next = at;
    return true;
}

static int copy_table(struct salvage *s, const struct table *t)
{
    int64_t next = 1;
    unsigned tries = 0;
    int rc;

    while ((rc = copy_on(s, t, &next)) == ERR_MALFORMED) {
        s->damaged = true;
        if (!step_over(s, t, &next, &tries)) {
            s->tail = t == &batches ? next : s->tail;
            return 0;
        }
    }
    return rc;
}

/* Copies the rows of a statement until its end or the first that cannot be read. */
static int copy_rows(struct salvage *s, sqlite3_stmt *st, const char *insert, int columns, struct err *e)
{
    int rc = 0;

    while (rc == 0 && (rc = db_row(s->from, st, e)) == 1) {
        int code = put_row(s, st, insert, columns);

        rc = code == ERR_MALFORMED ? ERR_IO : code;
    }
    (void)sqlite3_reset(st);
    return rc;
}

/* A table without a rowid, from both ends; *whole: all of it was read. */
static int copy_ends(struct salvage *s, const char *forth, const char *back, const char *insert, int columns,
                     bool *whole)
{
    const char *const select[] = {forth, back};
    int rc = 0;

    *whole = false;
    for (int i = 0; i < 2 && rc == 0 && !*whole; i++) {
        struct err e = {0};
        sqlite3_stmt *st = db_prepare(s->from, select[i], &e);
        int code = st ? copy_rows(s, st, insert, columns, &e) : e.code;

        *whole = code == 0;
        rc = forgive(s, code);
    }
    return rc;
}

/* For each row of `keys` (of the new file, n columns) what `select` finds by it in the damaged one. */
static int copy_by_key(struct salvage *s, const char *keys, int n, const char *select, const char *insert,
                       int columns)
{
    sqlite3_stmt *key = db_prepare(s->to, keys, s->e);
    int rc = key ? 0 : s->e->code;

    while (rc == 0 && (rc = db_row(s->to, key, s->e)) == 1) {
        struct err e = {0};
        sqlite3_stmt *st = db_prepare(s->from, select, &e);
        int bad = 0;

        for (int i = 0; st && i < n; i++)
            bad |= sqlite3_bind_value(st, i + 1, sqlite3_column_value(key, i)) != SQLITE_OK;
        rc = bad ? ERR_NOMEM : forgive(s, st ? copy_rows(s, st, insert, columns, &e) : e.code);
    }
    if (key)
        (void)sqlite3_reset(key);
    return rc;
}

/* ---- tables ---- */

static int salvage_watermarks(struct salvage *s)
{
    static const char insert[] = "INSERT OR IGNORE INTO watermarks VALUES(?, ?, ?)";
    bool whole;
    int rc = copy_ends(s, "SELECT agent, epoch, state FROM watermarks ORDER BY agent, epoch",
                       "SELECT agent, epoch, state FROM watermarks ORDER BY agent DESC, epoch DESC", insert,
                       3, &whole);

    if (rc != 0 || whole)
        return rc;
    return copy_by_key(
        s,
        "SELECT agent, epoch FROM (SELECT agent, epoch FROM seen UNION SELECT agent, epoch FROM batches)"
        " k WHERE NOT EXISTS(SELECT 1 FROM watermarks w WHERE w.agent = k.agent AND w.epoch = k.epoch)",
        2, "SELECT agent, epoch, state FROM watermarks WHERE agent = ? AND epoch = ?", insert, 3);
}

/* The agent holds what its batch names. */
static int hold_of_batch(struct salvage *s, struct wire_str agent, struct bytes frame)
{
    enum wire_reason reason;
    struct wire_batch b;
    struct err e = {0};
    struct arena a;
    int rc;

    arena_init(&a, NULL, ARENA_CAP);
    rc = wire_inflate(s->codec, frame.p, frame.n, &s->payload, &reason, &e);
    if (rc == 0)
        rc = wire_walk(s->payload.data, s->payload.len, &reason, &e);
    if (rc == 0)
        rc = wire_batch_decode(s->payload.data, s->payload.len, &a, &b, &reason, &e);
    if (rc != 0) { /* the replay will say so */
        rc = rc == ERR_NOMEM ? err_set(s->e, rc, "no memory to salvage the journal") : 0;
        goto out;
    }
    rc = journal_insert_hold(s->to, &b.resource, agent, s->e);
    for (uint32_t i = 0; i < b.n_blocks && rc == 0; i++)
        rc = journal_insert_hold(s->to, &b.blocks[i].schema, agent, s->e);
out:
    arena_free(&a);
    return rc;
}

static int hold_of_batches(struct salvage *s)
{
    sqlite3_stmt *st = db_prepare(s->to, "SELECT agent, frame FROM batches ORDER BY position", s->e);
    int rc = st ? 0 : s->e->code;

    while (rc == 0 && (rc = db_row(s->to, st, s->e)) == 1)
        rc = hold_of_batch(s,
                           (struct wire_str){(const char *)sqlite3_column_text(st, 0),
                                             (uint32_t)sqlite3_column_bytes(st, 0)},
                           (struct bytes){sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1)});
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

static int salvage_holders(struct salvage *s)
{
    static const char insert[] = "INSERT OR IGNORE INTO holders VALUES(?, ?)";
    bool whole;
    int rc = copy_ends(s, "SELECT hash, agent FROM holders ORDER BY hash, agent",
                       "SELECT hash, agent FROM holders ORDER BY hash DESC, agent DESC", insert, 2, &whole);

    if (rc == 0 && !whole)
        rc = copy_by_key(s, "SELECT hash FROM definitions", 1,
                         "SELECT hash, agent FROM holders WHERE hash = ?", insert, 2);
    if (rc == 0 && !whole)
        rc = hold_of_batches(s);
    if (rc == 0)
        rc = make(s, "DELETE FROM holders WHERE hash NOT IN (SELECT hash FROM definitions)");
    return rc ? rc : make(s, "DELETE FROM definitions WHERE hash NOT IN (SELECT hash FROM holders)");
}

/* Digests of batches in the place of lost ones, as many of each epoch as its window holds. */
static int fill_digests(struct salvage *s)
{
    int rc = make(
        s, "INSERT OR IGNORE INTO seen SELECT position, agent, epoch, seq, digest, refused FROM batches");

    if (rc != 0)
        return rc;
    static_assert(DIGESTS_KEPT == 256, "the text below says so");
    return make(s,
                "DELETE FROM seen WHERE position IN (SELECT position FROM (SELECT position, row_number() OVER"
                " (PARTITION BY agent, epoch ORDER BY position DESC) AS n FROM seen) WHERE n > 256)");
}

/* Positions go on behind the highest that was given. */
static int salvage_position(struct salvage *s)
{
    struct err e = {0};
    sqlite3_stmt *st = db_prepare(s->from, "SELECT seq FROM sqlite_sequence WHERE name = 'batches'", &e);
    int rc = st ? db_row(s->from, st, &e) : e.code;
    int64_t position = rc == 1 ? sqlite3_column_int64(st, 0) : 0;

    if (st)
        (void)sqlite3_reset(st);
    if (rc < 0 && (rc = forgive(s, rc)) != 0)
        return rc;
    if (s->tail && position >= s->tail)
        s->n->lost += (uint64_t)(position - s->tail) + 1;
    return journal_raise_in(s->to, position, s->e);
}

static int salvage_all(struct salvage *s)
{
    bool digests;
    int rc = db_begin(s->to, s->e);

    if (rc != 0)
        return rc;
    if ((rc = copy_table(s, &seen)) != 0)
        return rc;
    digests = !s->damaged;
    if ((rc = copy_table(s, &batches)) == 0 && !digests)
        rc = fill_digests(s);
    if (rc == 0)
        rc = salvage_watermarks(s);
    if (rc == 0)
        rc = copy_table(s, &definitions);
    if (rc == 0)
        rc = salvage_holders(s);
    if (rc == 0)
        rc = salvage_position(s);
    return rc ? rc : db_commit(s->to, s->e);
}

int journal_salvage(const char *damaged, struct db *to, struct store_salvaged *n, struct err *e)
{
    struct err why = {0};
    struct salvage s = {.to = to,
                        .n = n,
                        .e = e,
                        .codec = wire_codec_new(1),
                        .until = mono_add(clock_mono(), span_s(MOST_S)),
                        .from = db_open_damaged(damaged, &why)};
    int rc = 0;

    buf_init(&s.payload, NULL, WIRE_MAX_INFLATED);
    if (!s.codec)
        rc = err_set(e, ERR_NOMEM, "no memory to salvage the journal");
    else if (!s.from)
        rc = why.code == ERR_MALFORMED ? 0 : err_set(e, why.code, "%s", why.text);
    else
        rc = salvage_all(&s);
    if (rc != 0)
        db_rollback(to);
    db_leave(&s.from);
    wire_codec_free(&s.codec);
    buf_free(&s.payload);
    return rc;
}
