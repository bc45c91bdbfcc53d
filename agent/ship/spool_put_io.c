/* Batches into the store: see spool.h. First whatever waits in memory goes to the file, then the new one;
 * what the file does not take stays in memory, up to its own bound, the oldest dropped first. */
#include <stdlib.h>
#include <string.h>

#include "agent/ship/spool_store_in.h"

/* ---- memory ---- */

static void release_def(struct spool_store *s, struct mem_def *d)
{
    struct mem_def **at = &s->mem_defs;

    if (--d->users)
        return;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    s->mem_bytes -= d->n;
    free(d);
}

static struct mem_def *take_def(struct spool_store *s, const struct batch_def *from)
{
    struct mem_def *d = s->mem_defs;

    while (d && memcmp(&d->hash, &from->hash, sizeof d->hash) != 0)
        d = d->next;
    if (!d) {
        d = malloc(sizeof *d + from->value.n);
        if (!d)
            return NULL;
        *d = (struct mem_def){.next = s->mem_defs, .hash = from->hash, .n = from->value.n};
        memcpy(d->bytes, from->value.p, from->value.n);
        s->mem_defs = d;
        s->mem_bytes += d->n;
    }
    d->users++;
    return d;
}

static void free_batch(struct spool_store *s, struct mem_batch *b)
{
    for (uint32_t i = 0; i < b->n_defs; i++)
        release_def(s, b->defs[i]);
    s->mem_bytes -= b->frame ? b->n : 0;
    free(b->frame);
    free(b);
}

void spool_mem_drop_head(struct spool_store *s)
{
    struct mem_batch *b = s->mem_head;

    s->mem_head = b->next;
    if (!s->mem_head)
        s->mem_tail = NULL;
    free_batch(s, b);
}

static bool mem_add(struct spool_store *s, const struct batch *from)
{
    struct mem_batch *b = calloc(1, sizeof *b + from->n_defs * sizeof(struct mem_def *));

    if (!b)
        return false;
    b->seq = from->seq;
    b->values = from->values;
    b->sealed = from->sealed;
    b->frame = malloc(from->frame.n);
    if (b->frame) {
        memcpy(b->frame, from->frame.p, from->frame.n);
        b->n = from->frame.n;
        s->mem_bytes += b->n;
        while (b->n_defs < from->n_defs && (b->defs[b->n_defs] = take_def(s, &from->defs[b->n_defs])))
            b->n_defs++;
    }
    if (!b->frame || b->n_defs < from->n_defs) {
        free_batch(s, b);
        return false;
    }
    if (s->mem_tail)
        s->mem_tail->next = b;
    else
        s->mem_head = b;
    s->mem_tail = b;
    return true;
}

static void count_drop(struct spool_store *s, enum spool_drop why, uint64_t values)
{
    s->t.dropped[why].batches++;
    s->t.dropped[why].values += values;
}

/* Keeps memory within its bound. The batch that was handed out may not go: then the one behind it does. */
static void trim_memory(struct spool_store *s)
{
    while (s->mem_head && s->mem_bytes > (uint64_t)s->p.memory_bytes) {
        struct mem_batch *b = s->mem_head;

        if (b->seq == s->handed && b->next) {
            b = b->next;
            s->mem_head->next = b->next;
            if (s->mem_tail == b)
                s->mem_tail = s->mem_head;
        } else if (b->seq == s->handed) {
            return;
        } else {
            s->mem_head = b->next;
            if (!s->mem_head)
                s->mem_tail = NULL;
        }
        count_drop(s, SPOOL_DROP_MEMORY, b->values);
        s->t.in_memory.batches--;
        s->t.in_memory.values -= b->values;
        free_batch(s, b);
    }
}

void spool_mem_renumber(struct spool_store *s)
{
    for (struct mem_batch *b = s->mem_head; b; b = b->next) {
        struct batch_number to = {s->t.epoch, s->t.next_seq, 1};
        struct buf out;
        struct err e;

        buf_init(&out, NULL, WIRE_MAX_BODY);
        /* A frame that was made here can be read here; should memory be short, it keeps its bytes and is
         * answered as superseded, which is counted. */
        if (batch_renumber(s->codec, (struct bytes){b->frame, b->n}, &to, NULL, &out, &e) == 0) {
            uint8_t *copy = malloc(out.len);

            if (copy) {
                memcpy(copy, out.data, out.len);
                free(b->frame);
                s->mem_bytes += out.len - b->n;
                b->frame = copy;
                b->n = out.len;
            }
        }
        b->seq = s->t.next_seq++;
        buf_free(&out);
    }
}

/* ---- the file ---- */

static bool recently(struct spool_store *s, const struct wire_hash *h)
{
    for (int i = 0; i < SPOOL_RECENT; i++)
        if (s->recent[i].put && memcmp(&s->recent[i].hash, h, sizeof *h) == 0)
            return s->puts - s->recent[i].put < SPOOL_KEEP_PUTS;
    return false;
}

static void remember(struct spool_store *s, const struct wire_hash *h)
{
    int oldest = 0;

    for (int i = 0; i < SPOOL_RECENT; i++) {
        if (s->recent[i].put && memcmp(&s->recent[i].hash, h, sizeof *h) == 0) {
            s->recent[i].put = s->puts;
            return;
        }
        if (s->recent[i].put < s->recent[oldest].put)
            oldest = i;
    }
    s->recent[oldest].hash = *h;
    s->recent[oldest].put = s->puts;
}

int spool_delete_row(struct spool_store *s, uint64_t seq, struct err *e)
{
    static const enum file_sql both[] = {SQL_DELETE, SQL_DELETE_NEED};
    int rc = 0;

    for (int i = 0; rc == 0 && i < 2; i++) {
        sqlite3_stmt *st = spool_file_sql(&s->file, both[i], e);

        if (!st)
            return e->code;
        (void)sqlite3_bind_int64(st, 1, (int64_t)seq);
        rc = spool_file_step(&s->file, st, e);
    }
    return rc;
}

static int put_defs(struct spool_store *s, const struct batch *b, struct err *e)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < b->n_defs; i++) {
        const struct batch_def *d = &b->defs[i];
        sqlite3_stmt *st = spool_file_sql(&s->file, SQL_PUT_DEF, e);

        if (!st)
            return e->code;
        (void)sqlite3_bind_blob(st, 1, d->hash.b, sizeof d->hash.b, SQLITE_STATIC);
        (void)sqlite3_bind_blob64(st, 2, d->value.p, d->value.n, SQLITE_STATIC);
        rc = spool_file_step(&s->file, st, e);
        if (rc == 0 && sqlite3_changes(s->file.h) > 0)
            s->def_bytes += d->value.n;
        st = spool_file_sql(&s->file, SQL_PUT_NEED, e);
        if (!st)
            return e->code;
        (void)sqlite3_bind_int64(st, 1, (int64_t)b->seq);
        (void)sqlite3_bind_blob(st, 2, d->hash.b, sizeof d->hash.b, SQLITE_STATIC);
        if (rc == 0)
            rc = spool_file_step(&s->file, st, e);
        remember(s, &d->hash);
    }
    return rc;
}

/* Definitions that no batch needs and no recent one needed. */
static int drop_useless(struct spool_store *s, struct err *e)
{
    sqlite3_stmt *st = spool_file_sql(&s->file, SQL_USELESS, e), *del;
    struct wire_hash h;
    int rc;

    if (!st)
        return e->code;
    while ((rc = spool_file_step(&s->file, st, e)) == 1) {
        if (sqlite3_column_bytes(st, 0) != (int)sizeof h)
            continue;
        memcpy(&h, sqlite3_column_blob(st, 0), sizeof h);
        if (recently(s, &h))
            continue;
        s->def_bytes -= (uint64_t)sqlite3_column_int64(st, 1);
        del = spool_file_sql(&s->file, SQL_DELETE_DEF, e);
        if (!del)
            return e->code;
        (void)sqlite3_bind_blob(del, 1, &h, sizeof h, SQLITE_TRANSIENT);
        rc = spool_file_step(&s->file, del, e);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* Drops the oldest until `more` bytes fit below max_bytes, but for the one that was handed out. */
static int make_room(struct spool_store *s, uint64_t more, struct err *e)
{
    uint64_t after = s->done;

    while (s->frame_bytes + s->def_bytes + more > (uint64_t)s->p.max_bytes) {
        sqlite3_stmt *st = spool_file_sql(&s->file, SQL_OLDEST, e);
        uint64_t seq, values, n;
        int rc;

        if (!st)
            return e->code;
        (void)sqlite3_bind_int64(st, 1, (int64_t)after);
        rc = spool_file_step(&s->file, st, e);
        if (rc != 1)
            return rc;
        seq = (uint64_t)sqlite3_column_int64(st, 0);
        values = (uint64_t)sqlite3_column_int64(st, 2);
        n = (uint64_t)sqlite3_column_int64(st, 3);
        (void)sqlite3_reset(st);
        after = seq;
        if (seq == s->handed)
            continue;
        rc = spool_delete_row(s, seq, e);
        if (rc != 0)
            return rc;
        s->frame_bytes -= n;
        s->t.spooled.batches--;
        s->t.spooled.values -= values;
        count_drop(s, SPOOL_DROP_FULL, values);
    }
    return 0;
}

static int insert(struct spool_store *s, const struct batch *b, struct err *e)
{
    sqlite3_stmt *st = spool_file_sql(&s->file, SQL_PUT_BATCH, e);

    if (!st)
        return e->code;
    (void)sqlite3_bind_int64(st, 1, (int64_t)b->seq);
    (void)sqlite3_bind_int64(st, 2, b->sealed.ms);
    (void)sqlite3_bind_int64(st, 3, (int64_t)b->values);
    (void)sqlite3_bind_blob64(st, 4, b->frame.p, b->frame.n, SQLITE_STATIC);
    return spool_file_step(&s->file, st, e);
}

/* One transaction: room, batch, definitions, counters. The
 * batch counts as in memory before, as spooled after. */
static int write_batch(struct spool_store *s, const struct batch *b, struct err *e)
{
    struct spool_mark was = spool_mark(s);
    uint64_t more = b->frame.n;
    int rc = spool_begin(s, e);

    for (uint32_t i = 0; i < b->n_defs; i++)
        if (!recently(s, &b->defs[i].hash))
            more += b->defs[i].value.n;
    s->puts++;
    if (rc == 0)
        rc = make_room(s, more, e);
    if (rc == 0)
        rc = insert(s, b, e);
    if (rc == 0)
        rc = put_defs(s, b, e);
    if (rc == 0 && s->puts % SPOOL_KEEP_PUTS == 0)
        rc = drop_useless(s, e);
    s->frame_bytes += b->frame.n;
    s->t.spooled.batches++;
    s->t.spooled.values += b->values;
    s->t.in_memory.batches--;
    s->t.in_memory.values -= b->values;
    s->t.newest_ms = b->sealed.ms > 0 ? (uint64_t)b->sealed.ms : 0;
    if (rc == 0)
        rc = spool_commit(s, e);
    if (rc != 0)
        spool_back(s, &was);
    return rc;
}

int spool_flush(struct spool_store *s, struct err *e)
{
    while (s->mem_head) {
        struct mem_batch *m = s->mem_head;
        struct batch_def *defs = calloc(m->n_defs + 1, sizeof *defs);
        struct batch b = {.epoch = s->t.epoch,
                          .seq = m->seq,
                          .sealed = m->sealed,
                          .values = m->values,
                          .frame = {m->frame, m->n},
                          .defs = defs,
                          .n_defs = m->n_defs};
        int rc;

        if (!defs)
            return err_set(e, ERR_NOMEM, "no memory to write a batch");
        for (uint32_t i = 0; i < m->n_defs; i++)
            defs[i] = (struct batch_def){m->defs[i]->hash, {m->defs[i]->bytes, m->defs[i]->n}};
        rc = write_batch(s, &b, e);
        free(defs);
        if (rc != 0)
            return rc;
        spool_mem_drop_head(s);
    }
    return 0;
}

/* False: the file was damaged and a new epoch has begun, so the batch needs a new number first. */
static bool keep(struct spool_store *s, const struct batch *b)
{
    struct err e;
    int rc;

    spool_store_try_file(s);
    (void)spool_taken_away(s);
    if (s->t.epoch != b->epoch || s->t.next_seq > b->seq + 1)
        return false;
    if (s->file.h) {
        rc = spool_flush(s, &e);
        if (rc == 0)
            rc = write_batch(s, b, &e);
        if (rc == 0)
            return true;
        s->t.disk = false;
        spool_failed(s, &e);
        if (s->t.epoch != b->epoch)
            return false;
    }
    if (mem_add(s, b)) {
        trim_memory(s);
        return true;
    }
    s->t.in_memory.batches--;
    s->t.in_memory.values -= b->values;
    count_drop(s, SPOOL_DROP_MEMORY, b->values);
    return true;
}

/* The batch with a number of the present epoch, its frame in `frame` when that had to change. */
static bool number(struct spool_store *s, const struct batch *b, struct batch *mine, struct buf *frame)
{
    struct batch_number to = {s->t.epoch, s->t.next_seq, s->t.low < s->t.next_seq ? s->t.low : s->t.next_seq};
    struct err e;

    *mine = *b;
    if (b->epoch == s->t.epoch && b->seq >= s->t.next_seq)
        return true;
    buf_clear(frame);
    if (batch_renumber(s->codec, b->frame, &to, NULL, frame, &e) != 0)
        return false;
    mine->epoch = to.epoch;
    mine->seq = to.seq;
    mine->frame = buf_bytes(frame);
    return true;
}

void spool_store_put(struct spool_store *s, const struct batch *b)
{
    struct batch mine;
    struct buf frame;
    bool kept = false;

    buf_init(&frame, NULL, WIRE_MAX_BODY);
    s->t.produced.batches++;
    s->t.produced.values += b->values;
    s->t.in_memory.batches++;
    s->t.in_memory.values += b->values;
    for (int i = 0; !kept && i < 3 && number(s, b, &mine, &frame); i++) {
        s->t.next_seq = mine.seq + 1;
        kept = keep(s, &mine);
    }
    if (!kept) {
        s->t.in_memory.batches--;
        s->t.in_memory.values -= b->values;
        count_drop(s, SPOOL_DROP_MEMORY, b->values);
    }
    spool_refresh(s);
    buf_free(&frame);
}

void spool_store_lost(struct spool_store *s, enum spool_drop why, uint64_t values)
{
    s->t.produced.values += values;
    s->t.dropped[why].values += values;
}
