/* Batches out of the store: the oldest is handed out, acknowledged or given up; definitions on request;
 * numbering anew. */
#include <stdlib.h>
#include <string.h>

#include "agent/ship/spool_store_in.h"

enum { VACUUM_EVERY = 32, VACUUM_ABOVE = 512 /* free pages */ };

const struct spool_totals *spool_store_totals(struct spool_store *s)
{
    return &s->t;
}

void spool_refresh(struct spool_store *s)
{
    struct err e;

    if (s->file.h) {
        sqlite3_stmt *st = spool_file_sql(&s->file, SQL_OLDEST, &e);
        int rc = ERR_IO;

        if (st) {
            (void)sqlite3_bind_int64(st, 1, (int64_t)s->done);
            rc = spool_file_step(&s->file, st, &e);
        }
        if (rc == 1) {
            s->file_low = (uint64_t)sqlite3_column_int64(st, 0);
            s->file_oldest.ms = sqlite3_column_int64(st, 1);
            (void)sqlite3_reset(st);
        } else if (rc == 0) {
            s->file_low = 0;
        } else { /* what is in the file is still to come: a low that passed it would close its numbers */
            spool_failed(s, &e);
        }
    }
    s->t.low = s->t.next_seq;
    s->t.oldest = (struct wall){0};
    if (s->mem_head) {
        s->t.low = s->mem_head->seq;
        s->t.oldest = s->mem_head->sealed;
    }
    if (s->file_low && s->file_low <= s->t.low) {
        s->t.low = s->file_low;
        s->t.oldest = s->file_oldest;
    }
    if (!s->file.h && s->floor && s->floor < s->t.low)
        s->t.low = s->floor;
    s->t.bytes = s->frame_bytes + s->def_bytes + s->mem_bytes;
}

static int front_of_file(struct spool_store *s, struct spool_item *item, struct buf *frame, struct err *e)
{
    sqlite3_stmt *st = spool_file_sql(&s->file, SQL_FRONT, e);
    int rc;

    if (!st)
        return e->code;
    (void)sqlite3_bind_int64(st, 1, (int64_t)s->done);
    rc = spool_file_step(&s->file, st, e);
    if (rc != 1)
        return rc;
    item->seq = (uint64_t)sqlite3_column_int64(st, 0);
    item->sealed.ms = sqlite3_column_int64(st, 1);
    item->values = (uint64_t)sqlite3_column_int64(st, 2);
    buf_put(frame, sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3));
    (void)sqlite3_reset(st);
    return frame->full ? err_set(e, ERR_NOMEM, "no memory for a batch") : 1;
}

int spool_store_front(struct spool_store *s, struct spool_item *item, struct buf *frame)
{
    struct err e;
    int rc = 0;

    *item = (struct spool_item){.epoch = s->t.epoch};
    s->handed = 0;
    if (s->file_low && (!s->mem_head || s->file_low < s->mem_head->seq)) {
        rc = front_of_file(s, item, frame, &e);
        if (rc < 0) {
            spool_failed(s, &e);
            spool_refresh(s);
            if (!s->mem_head || e.code == ERR_NOMEM)
                return rc;
            buf_clear(frame); /* a file that cannot be read now does not hold up the rest */
            rc = 0;
        }
    }
    item->epoch = s->t.epoch;
    if (rc == 0 && s->mem_head) {
        item->seq = s->mem_head->seq;
        item->values = s->mem_head->values;
        item->sealed = s->mem_head->sealed;
        buf_put(frame, s->mem_head->frame, s->mem_head->n);
        rc = frame->full ? ERR_NOMEM : 1;
    }
    if (rc == 1) {
        s->handed = item->seq;
        s->handed_values = item->values;
    }
    return rc;
}

/* Gives pages that an outage filled back to the disk, some at a
 * time (sqlite.org/pragma.html#pragma_incremental_vacuum). */
static void give_back(struct spool_store *s)
{
    struct err e;
    int rc;

    if (++s->leaves % VACUUM_EVERY)
        return;
    rc = spool_file_give_back(&s->file, VACUUM_ABOVE, &e);
    if (rc < 0)
        spool_failed(s, &e);
}

/* The handed batch leaves: counters have been changed by the caller, all but those of where it lay. */
static void leave(struct spool_store *s, uint64_t seq, uint64_t values, const struct spool_death *death)
{
    struct err e;
    int rc;

    s->handed = 0;
    if (s->mem_head && s->mem_head->seq == seq) {
        s->t.in_memory.batches--;
        s->t.in_memory.values -= values;
        spool_mem_drop_head(s);
    } else {
        sqlite3_stmt *st = spool_file_sql(&s->file, SQL_OLDEST, &e);

        s->t.spooled.batches--;
        s->t.spooled.values -= values;
        rc = st ? 0 : e.code;
        if (rc == 0) {
            (void)sqlite3_bind_int64(st, 1, (int64_t)s->done);
            rc = spool_file_step(&s->file, st, &e);
            if (rc == 1)
                s->frame_bytes -= (uint64_t)sqlite3_column_int64(st, 3);
            (void)sqlite3_reset(st);
            rc = rc < 0 ? rc : spool_begin(s, &e);
        }
        s->done = seq;
        s->undeleted = true;
        if (rc == 0 && death)
            rc = spool_dead_keep(s, seq, death, &e);
        if (rc == 0)
            rc = spool_delete_row(s, seq, &e);
        if (rc == 0)
            rc = spool_commit(s, &e);
        if (rc != 0)
            spool_failed(s, &e);
        else
            give_back(s);
    }
    spool_refresh(s);
}

bool spool_store_ack(struct spool_store *s, uint64_t epoch, uint64_t seq,
                     const uint64_t refused[SPOOL_REFUSALS])
{
    uint64_t left = s->handed_values;

    if (!s->handed || seq != s->handed || epoch != s->t.epoch)
        return false;
    for (int i = 0; i < SPOOL_REFUSALS; i++) {
        uint64_t n = refused[i] < left ? refused[i] : left;

        s->t.refused[i] += n;
        left -= n;
    }
    s->t.delivered.batches++;
    s->t.delivered.values += left;
    s->t.acked_epoch = epoch;
    leave(s, seq, s->handed_values, NULL);
    return true;
}

bool spool_store_drop(struct spool_store *s, uint64_t epoch, uint64_t seq, enum spool_drop why,
                      const struct spool_death *death)
{
    if (!s->handed || seq != s->handed || epoch != s->t.epoch)
        return false;
    s->t.dropped[why].batches++;
    s->t.dropped[why].values += s->handed_values;
    leave(s, seq, s->handed_values, death);
    return true;
}

void spool_store_drop_all(struct spool_store *s, enum spool_drop why)
{
    struct spool_totals *t = &s->t;
    struct err e;
    int rc = 0;

    t->dropped[why].batches += t->spooled.batches + t->in_memory.batches;
    t->dropped[why].values += t->spooled.values + t->in_memory.values;
    t->spooled = t->in_memory = (struct spool_count){0};
    s->handed = 0;
    s->frame_bytes = 0;
    while (s->mem_head)
        spool_mem_drop_head(s);
    if (s->file.h) {
        s->done = t->next_seq - 1;
        s->undeleted = true;
        rc = spool_begin(s, &e);
        if (rc == 0)
            rc = spool_dead_clear(s, &e);
        if (rc == 0)
            rc = spool_commit(s, &e);
        if (rc != 0)
            spool_failed(s, &e);
    }
    spool_refresh(s);
}

/* The definition's bytes appended to out: 1, 0 when it is nowhere
 * or does not fit, negative when the file cannot be read. */
static int find_def(struct spool_store *s, const struct wire_hash *h, struct buf *out, struct err *e)
{
    const struct mem_def *d = s->mem_defs;
    sqlite3_stmt *st;
    int rc;

    while (d && memcmp(&d->hash, h, sizeof *h) != 0)
        d = d->next;
    if (d) {
        buf_put(out, d->bytes, d->n);
        return !out->full;
    }
    if (!s->file.h)
        return 0;
    st = spool_file_sql(&s->file, SQL_DEF, e);
    if (!st)
        return e->code;
    (void)sqlite3_bind_blob(st, 1, h->b, sizeof h->b, SQLITE_STATIC);
    rc = spool_file_step(&s->file, st, e);
    if (rc == 1)
        buf_put(out, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
    (void)sqlite3_reset(st);
    return rc == 1 && out->full ? 0 : rc;
}

int spool_store_defs(struct spool_store *s, const struct wire_hash *h, uint32_t n, struct buf *body,
                     uint32_t *found, struct err *e)
{
    struct wire_entry *entry = calloc(WIRE_MAX_DEFINITIONS, sizeof *entry);
    size_t *at = calloc(WIRE_MAX_DEFINITIONS + 1, sizeof *at);
    struct buf all, payload;
    uint32_t k = 0;
    int rc = 0;

    buf_init(&all, NULL, WIRE_MAX_INFLATED - 65536);
    buf_init(&payload, NULL, WIRE_MAX_INFLATED);
    *found = 0;
    if (!entry || !at)
        rc = err_set(e, ERR_NOMEM, "no memory for definitions");
    for (uint32_t i = 0; rc == 0 && i < n && k < WIRE_MAX_DEFINITIONS; i++) {
        size_t len = all.len;
        int there = find_def(s, &h[i], &all, e);

        if (there < 0) {
            rc = there;
        } else if (there) {
            entry[k].hash = h[i];
            at[++k] = all.len;
        } else {
            all.len = len;
            all.full = false;
        }
    }
    for (uint32_t i = 0; i < k; i++)
        entry[i].value = (struct bytes){all.data + at[i], at[i + 1] - at[i]};
    for (; rc == 0 && k; k /= 2) { /* as many as one body holds */
        buf_clear(&payload);
        rc = wire_definitions_encode(entry, k, &payload, e);
        if (rc != 0)
            break;
        rc = wire_deflate(s->codec, payload.data, payload.len, body, e);
        if (rc != ERR_LIMIT)
            break;
        buf_clear(body);
        rc = 0;
    }
    *found = rc == 0 ? k : 0;
    if (rc < 0 && s->file.h)
        spool_failed(s, e);
    buf_free(&all);
    buf_free(&payload);
    free(entry);
    free(at);
    return rc;
}

/* One row of the file under a new number. 0, or negative. */
static int renumber_row(struct spool_store *s, uint64_t old, struct bytes frame, uint64_t seq, struct err *e)
{
    struct batch_number to = {s->t.epoch, seq, 1};
    sqlite3_stmt *st, *need;
    struct buf out;
    int rc;

    buf_init(&out, NULL, WIRE_MAX_BODY);
    rc = batch_renumber(s->codec, frame, &to, NULL, &out, e);
    st = rc == 0 ? spool_file_sql(&s->file, SQL_RENUMBER, e) : NULL;
    need = st ? spool_file_sql(&s->file, SQL_RENUMBER_NEED, e) : NULL;
    if (need) {
        (void)sqlite3_bind_int64(st, 1, (int64_t)old);
        (void)sqlite3_bind_int64(st, 2, (int64_t)seq);
        (void)sqlite3_bind_blob64(st, 3, out.data, out.len, SQLITE_STATIC);
        (void)sqlite3_bind_int64(need, 1, (int64_t)old);
        (void)sqlite3_bind_int64(need, 2, (int64_t)seq);
        rc = spool_file_step(&s->file, st, e);
        if (rc == 0)
            rc = spool_file_step(&s->file, need, e);
    } else if (rc == 0) {
        rc = e->code;
    }
    s->frame_bytes += out.len - frame.n;
    buf_free(&out);
    return rc;
}

int spool_file_renumber(struct spool_store *s, uint64_t first, uint64_t *next, struct err *e)
{
    uint64_t after = s->done;

    for (*next = first;; ++*next) {
        sqlite3_stmt *st = spool_file_sql(&s->file, SQL_FRONT, e);
        struct buf frame;
        uint64_t old;
        int rc;

        if (!st)
            return e->code;
        (void)sqlite3_bind_int64(st, 1, (int64_t)after);
        rc = spool_file_step(&s->file, st, e);
        if (rc != 1)
            return rc;
        old = (uint64_t)sqlite3_column_int64(st, 0);
        if (first > 1 && old >= first) { /* moved already: numbers only grow in a merge */
            (void)sqlite3_reset(st);
            return 0;
        }
        buf_init(&frame, NULL, WIRE_MAX_BODY);
        buf_put(&frame, sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3));
        (void)sqlite3_reset(st);
        rc = frame.full ? err_set(e, ERR_NOMEM, "no memory to number a batch")
                        : renumber_row(s, old, buf_bytes(&frame), *next, e);
        buf_free(&frame);
        if (rc != 0)
            return rc;
        after = old;
    }
}

int spool_store_renumber(struct spool_store *s, uint64_t epoch, struct err *e)
{
    struct spool_mark was = spool_mark(s);
    uint64_t next = 1;
    int rc = 0;

    if (epoch == s->t.epoch || (epoch < s->t.epoch && s->t.acked_epoch == s->t.epoch))
        return err_set(e, ERR_STATE, "epoch %llu is not later than %llu", (unsigned long long)epoch,
                       (unsigned long long)s->t.epoch);
    s->t.epoch = epoch;
    if (s->file.h) {
        rc = spool_begin(s, e);
        if (rc == 0)
            rc = spool_file_renumber(s, 1, &next, e);
        s->t.next_seq = next;
        if (rc == 0)
            rc = spool_commit(s, e);
    }
    if (rc != 0) {
        struct err copy = *e;

        spool_back(s, &was);
        spool_failed(s, &copy);
        spool_refresh(s);
        return rc;
    }
    s->t.next_seq = next;
    s->done = s->handed = 0;
    spool_mem_renumber(s);
    spool_refresh(s);
    return 0;
}

static int check_frame(struct spool_store *s, struct bytes frame, uint64_t seq, struct err *e)
{
    enum wire_reason why = WIRE_OK;
    struct wire_batch b;
    struct arena a;
    struct buf p;
    int rc;

    buf_init(&p, NULL, WIRE_MAX_INFLATED);
    arena_init(&a, NULL, 0);
    rc = wire_inflate(s->codec, frame.p, frame.n, &p, &why, e);
    if (rc == 0)
        rc = wire_walk(p.data, p.len, &why, e);
    if (rc == 0)
        rc = wire_batch_decode(p.data, p.len, &a, &b, &why, e);
    if (rc == 0 && (b.seq != seq || b.epoch != s->t.epoch))
        rc = err_set(e, ERR_MALFORMED, "bears the number %llu/%llu", (unsigned long long)b.epoch,
                     (unsigned long long)b.seq);
    if (rc != 0)
        (void)err_prefix(e, "batch %llu/%llu", (unsigned long long)s->t.epoch, (unsigned long long)seq);
    buf_free(&p);
    arena_free(&a);
    return rc;
}

int spool_store_verify(struct spool_store *s, uint64_t *checked, struct err *e)
{
    uint64_t after = s->done;
    int rc = 0;

    *checked = 0;
    for (const struct mem_batch *b = s->mem_head; rc == 0 && b; b = b->next, ++*checked)
        rc = check_frame(s, (struct bytes){b->frame, b->n}, b->seq, e);
    if (!s->file.h)
        return rc;
    if (rc == 0)
        rc = spool_file_check(&s->file, e);
    while (rc == 0) {
        sqlite3_stmt *st = spool_file_sql(&s->file, SQL_FRONT, e);

        if (!st)
            return e->code;
        (void)sqlite3_bind_int64(st, 1, (int64_t)after);
        rc = spool_file_step(&s->file, st, e);
        if (rc != 1)
            return rc;
        after = (uint64_t)sqlite3_column_int64(st, 0);
        rc = check_frame(s, (struct bytes){sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3)},
                         after, e);
        (void)sqlite3_reset(st);
        ++*checked;
    }
    return rc;
}
