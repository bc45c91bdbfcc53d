/* A new journal from what memory knows: see journal.h. The state is gathered as
 * records behind each other and written by one job, in one transaction. */
#include <stdlib.h>

#include "aggregator/store/journal_private.h"

enum kind { WATERMARK, DIGEST, DEFINITION, HOLD };

/* What stands before each record; behind it the agent, then the bytes. */
struct head {
    enum kind kind;
    uint32_t agent, bytes;
    uint64_t epoch;
    struct wire_hash hash;   /* definition, hold */
    struct journal_digest d; /* digest, but for its agent */
};

#define MAX_STATE ((size_t)4 << 30)

struct journal_state {
    struct store_job job;
    struct buf records;
    int64_t position;
    void (*done)(void *arg, int code);
    void *arg;
};

struct journal_state *journal_state_new(void)
{
    struct journal_state *st = calloc(1, sizeof *st);

    if (st)
        buf_init(&st->records, NULL, MAX_STATE);
    return st;
}

void journal_state_free(struct journal_state **st)
{
    if (!*st)
        return;
    buf_free(&(*st)->records);
    free(*st);
    *st = NULL;
}

static int put(struct journal_state *st, const struct head *h, const char *agent, const uint8_t *bytes)
{
    buf_put(&st->records, h, sizeof *h);
    buf_put(&st->records, agent, h->agent);
    buf_put(&st->records, bytes, h->bytes);
    return st->records.full ? ERR_NOMEM : 0;
}

int journal_state_watermark(struct journal_state *st, struct wire_str agent, uint64_t epoch,
                            struct bytes state)
{
    struct head h = {.kind = WATERMARK, .agent = agent.n, .bytes = (uint32_t)state.n, .epoch = epoch};

    return put(st, &h, agent.p, state.p);
}

int journal_state_digest(struct journal_state *st, const struct journal_digest *d)
{
    struct head h = {.kind = DIGEST, .agent = d->agent.n, .d = *d};

    return put(st, &h, d->agent.p, NULL);
}

int journal_state_definition(struct journal_state *st, const struct wire_entry *entry)
{
    struct head h = {.kind = DEFINITION, .bytes = (uint32_t)entry->value.n, .hash = entry->hash};

    return put(st, &h, NULL, entry->value.p);
}

int journal_state_hold(struct journal_state *st, const struct wire_hash *hash, struct wire_str agent)
{
    struct head h = {.kind = HOLD, .agent = agent.n, .hash = *hash};

    return put(st, &h, agent.p, NULL);
}

static int write_record(struct db *db, const struct head *h, const uint8_t *p, struct err *e)
{
    struct wire_str agent = {(const char *)p, h->agent};
    struct bytes bytes = {p + h->agent, h->bytes};
    struct journal_batch b = {.agent = agent, .epoch = h->epoch, .watermark = bytes};

    switch (h->kind) {
    case WATERMARK: return journal_write_watermark(db, &b, e);
    case DEFINITION: return journal_insert_definition(db, &(struct wire_entry){h->hash, bytes}, e);
    case HOLD: return journal_insert_hold(db, &h->hash, agent, e);
    default:
        b.epoch = h->d.epoch;
        b.seq = h->d.seq;
        memcpy(b.digest, h->d.digest, sizeof b.digest);
        memcpy(b.refused, h->d.refused, sizeof b.refused);
        return journal_insert_digest(db, &b, h->d.position, e);
    }
}

static int write_all(struct db *db, const struct journal_state *st, int64_t position, struct err *e)
{
    size_t at = 0;
    int rc = journal_raise_in(db, position, e);

    while (at < st->records.len && rc == 0) {
        struct head h;

        memcpy(&h, st->records.data + at, sizeof h);
        at += sizeof h;
        rc = write_record(db, &h, st->records.data + at, e);
        at += (size_t)h.agent + h.bytes;
    }
    return rc;
}

static int run_state(struct db *db, struct store_job *job, struct err *e)
{
    const struct journal_state *st = (const struct journal_state *)job;

    return write_all(db, st, st->position, e);
}

int journal_write(struct journal *j, const struct journal_state *st, int64_t position, struct err *e)
{
    struct db *db = store_db(j->store);
    int rc = db_begin(db, e);

    if (rc == 0)
        rc = write_all(db, st, position, e);
    if (rc == 0)
        return db_commit(db, e);
    db_rollback(db);
    return rc;
}

static void done_state(struct store_job *job, int code)
{
    struct journal_state *st = (struct journal_state *)job;

    st->done(st->arg, code);
    journal_state_free(&st);
}

int journal_fill(struct journal *j, struct journal_state *st, int64_t position,
                 void (*done)(void *arg, int code), void *arg)
{
    int rc;

    st->job = (struct store_job){.run = run_state, .done = done_state, .fills = true};
    st->position = position;
    st->done = done;
    st->arg = arg;
    rc = store_submit(j->store, &st->job);
    if (rc != 0)
        journal_state_free(&st);
    return rc;
}
