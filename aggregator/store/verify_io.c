/* verify-store: whether a journal that no program has open is whole. See journal.h. */
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

#include "aggregator/store/journal_private.h"
#include "common/wire/wire.h"

enum { MOST_LINES = 100, ARENA_CAP = 16 << 20 };

struct check {
    struct db *db;
    struct wire_codec *codec;
    struct buf *report;
    struct err *e;
    struct buf payload;
    unsigned wrong, definitions, batches; /* the latter two: without fault */
};

static void complain(struct check *c, const char *what, int64_t position, const char *why)
{
    if (c->wrong++ < MOST_LINES)
        buf_fmt(c->report, "%s %lld: %s\n", what, (long long)position, why);
}

/* A line for each fault of an open file into report; how many, or a negative code. */
static int check_pages(struct db *db, const char *name, struct buf *report, struct err *e)
{
    sqlite3_stmt *st = db_prepare(db, "PRAGMA integrity_check(100)", e);
    int rc, n = 0;

    if (!st)
        return e->code;
    while ((rc = db_row(db, st, e)) == 1) {
        const char *line = (const char *)sqlite3_column_text(st, 0);

        if (line && strcmp(line, "ok") != 0) {
            buf_fmt(report, "%s: %s\n", name, line);
            n++;
        }
    }
    return rc < 0 ? rc : n;
}

/* Into a damaged file nothing is written. */
static void close_checked(struct db **db, bool good)
{
    if (good)
        db_close(db);
    else
        db_leave(db);
}

int store_check_file(const char *path, const char *name, const char *const *steps, size_t n_steps,
                     struct buf *report, struct err *e)
{
    struct db *db = db_open(path, steps, n_steps, e);
    int rc = db ? check_pages(db, name, report, e) : e->code;

    db_list_aside(path, report);
    close_checked(&db, rc == 0);
    return rc > 0 ? err_set(e, ERR_MALFORMED, "%s: %d things are wrong", path, rc) : rc;
}

static int known(struct check *c, const struct wire_hash *h)
{
    sqlite3_stmt *st = db_prepare(c->db, "SELECT 1 FROM definitions WHERE hash = ?", c->e);
    int rc;

    if (!st)
        return c->e->code;
    if (sqlite3_bind_blob(st, 1, h->b, sizeof h->b, SQLITE_STATIC) != SQLITE_OK)
        return err_set(c->e, ERR_NOMEM, "no memory");
    rc = db_row(c->db, st, c->e);
    (void)sqlite3_reset(st);
    return rc;
}

static int check_batch(struct check *c, int64_t position, struct bytes frame, struct bytes digest)
{
    struct wire_hash h = {{0}};
    unsigned wrong = c->wrong;
    enum wire_reason reason;
    struct wire_batch b;
    struct err e = {0};
    struct arena a;
    int rc;

    if (frame.n)
        h = wire_hash_of(frame.p, frame.n);
    if (digest.n != sizeof h.b || memcmp(digest.p, h.b, sizeof h.b) != 0)
        complain(c, "batch", position, "its frame does not have its digest");
    arena_init(&a, NULL, ARENA_CAP);
    rc = wire_inflate(c->codec, frame.p, frame.n, &c->payload, &reason, &e);
    if (rc == 0)
        rc = wire_walk(c->payload.data, c->payload.len, &reason, &e);
    if (rc == 0)
        rc = wire_batch_decode(c->payload.data, c->payload.len, &a, &b, &reason, &e);
    if (rc != 0) {
        complain(c, "batch", position, e.text);
        rc = 0;
        goto out;
    }
    if ((rc = known(c, &b.resource)) == 0)
        complain(c, "batch", position, "its resource is not there");
    for (uint32_t i = 0; i < b.n_blocks && rc >= 0; i++)
        if ((rc = known(c, &b.blocks[i].schema)) == 0)
            complain(c, "batch", position, "a schema is not there");
out:
    c->batches += c->wrong == wrong;
    arena_free(&a);
    return rc < 0 ? rc : 0;
}

static int check_batches(struct check *c)
{
    sqlite3_stmt *st =
        db_prepare(c->db, "SELECT position, frame, digest FROM batches ORDER BY position", c->e);
    int rc = st ? 0 : c->e->code;

    while (rc == 0 && (rc = db_row(c->db, st, c->e)) == 1)
        rc = check_batch(c, sqlite3_column_int64(st, 0),
                         (struct bytes){sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1)},
                         (struct bytes){sqlite3_column_blob(st, 2), (size_t)sqlite3_column_bytes(st, 2)});
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

static int check_definitions(struct check *c)
{
    sqlite3_stmt *st = db_prepare(c->db, "SELECT rowid, hash, value FROM definitions", c->e);
    int rc = st ? 0 : c->e->code;

    while (rc == 0 && (rc = db_row(c->db, st, c->e)) == 1) {
        struct wire_hash h = wire_hash_of(sqlite3_column_blob(st, 2), (size_t)sqlite3_column_bytes(st, 2));

        if (sqlite3_column_bytes(st, 1) != sizeof h.b ||
            memcmp(sqlite3_column_blob(st, 1), h.b, sizeof h.b) != 0)
            complain(c, "definition", sqlite3_column_int64(st, 0), "its bytes do not have its hash");
        else
            c->definitions++;
        rc = 0;
    }
    if (st)
        (void)sqlite3_reset(st);
    return rc;
}

/* Damage in a table ends its check, not that of the others. */
static int check_table(struct check *c, int (*check)(struct check *c), const char *name)
{
    int rc = check(c);

    if (rc != ERR_MALFORMED)
        return rc;
    if (c->wrong++ < MOST_LINES)
        buf_fmt(c->report, "journal: %s cannot be read to the end: %s\n", name, c->e->text);
    return 0;
}

int store_verify(const char *path, struct buf *report, struct err *e)
{
    struct check c = {.report = report, .e = e, .codec = wire_codec_new(1)};
    int rc = 0;

    buf_init(&c.payload, NULL, WIRE_MAX_INFLATED);
    c.db = c.codec ? db_open(path, journal_steps, journal_n_steps, e) : NULL;
    if (!c.codec)
        (void)err_set(e, ERR_NOMEM, "no memory");
    if (!c.db)
        rc = e->code;
    if (rc == 0 && (rc = check_pages(c.db, "journal", report, e)) > 0) {
        c.wrong += (unsigned)rc;
        rc = 0;
    }
    if (rc == 0)
        rc = check_table(&c, check_definitions, "definitions");
    if (rc == 0)
        rc = check_table(&c, check_batches, "batches");
    if (rc == 0 && c.wrong > 0)
        buf_fmt(report, "journal: %u definitions and %u batches read without fault\n", c.definitions,
                c.batches);
    if (rc == 0 && c.wrong > 0)
        rc = err_set(e, ERR_MALFORMED, "%s: %u things are wrong", path, c.wrong);
    db_list_aside(path, report);
    close_checked(&c.db, rc == 0);
    wire_codec_free(&c.codec);
    buf_free(&c.payload);
    return rc;
}
