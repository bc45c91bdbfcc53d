/* The spool on a real file: order, acknowledgement, the cap, restarts and crashes (copies of the file as it
 * stood), damage, a disk that refuses, numbering anew; the counters balance after every step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ship/spool.h"
#include "common/base/rng.h"
#include "common/net/loop.h"

static const uint64_t none[SPOOL_REFUSALS];
static char name[64]; /* of the test's file */

static struct spool_store *open_store(int64_t max_bytes, int64_t now)
{
    struct spool_store_params p = {
        .path = name, .agent = "web-1", .max_bytes = max_bytes, .memory_bytes = 100000, .now = {now}};
    struct spool_store *s = spool_store_open(&p);

    assert_non_null(s);
    assert_true(spool_balanced(spool_store_totals(s)));
    return s;
}

static int fresh_name(void **state)
{
    static int n;

    (void)state;
    (void)snprintf(name, sizeof name, "spool-%d.db", n++);
    return 0;
}

/* A real batch with some noise in it, so that it has a size. */
struct made {
    struct buf frame, res, extra;
    struct batch_def defs[2];
    struct batch b;
};

static struct made *make(uint64_t epoch, uint64_t seq, uint32_t noise, uint64_t values, uint32_t schema)
{
    struct made *m = calloc(1, sizeof *m);
    struct wire_label l[] = {{{"env", 3}, {"p", 1}}, {{"host", 4}, {"h", 1}}, {{"region", 6}, {"r", 1}}};
    struct wire_resource r = {l, 3};
    struct wire_codec *c = wire_codec_new(3);
    struct wire_event ev = {.kind = {"note", 4}, .name = {"n", 1}};
    struct wire_batch_out out = {.agent = {"web-1", 5}, .epoch = epoch, .seq = seq, .low = 1, .sealed = 5};
    char *text = calloc(1, noise + 1), help[16];
    struct wire_series one = {.name = {"m", 1}, .mul = 1, .div = 1};
    struct wire_schema s = {.series = &one, .n = 1};
    struct rng rng;
    struct err e;
    struct buf p;

    rng_seed(&rng, seq);
    for (uint32_t i = 0; i < noise; i++)
        text[i] = (char)('!' + rng_below(&rng, 90));
    ev.text = (struct wire_str){text, noise};
    buf_init(&m->frame, NULL, 1 << 20);
    buf_init(&m->res, NULL, 1 << 20);
    buf_init(&m->extra, NULL, 1 << 20);
    buf_init(&p, NULL, 1 << 20);
    (void)snprintf(help, sizeof help, "%u", schema);
    one.help = (struct wire_str){help, (uint32_t)strlen(help)};
    assert_int_equal(wire_resource_encode(&r, &m->res, &e), 0);
    assert_int_equal(wire_schema_encode(&s, &m->extra, &e), 0);
    m->defs[0] = (struct batch_def){wire_hash_of(m->res.data, m->res.len), buf_bytes(&m->res)};
    m->defs[1] = (struct batch_def){wire_hash_of(m->extra.data, m->extra.len), buf_bytes(&m->extra)};
    out.resource = m->defs[0].hash;
    if (noise) {
        out.events = &ev;
        out.n_events = 1;
    }
    assert_int_equal(wire_batch_encode(&out, &p, &e), 0);
    assert_int_equal(wire_deflate(c, p.data, p.len, &m->frame, &e), 0);
    m->b = (struct batch){.epoch = epoch,
                          .seq = seq,
                          .sealed = {5},
                          .values = values,
                          .frame = buf_bytes(&m->frame),
                          .defs = m->defs,
                          .n_defs = 2};
    buf_free(&p);
    wire_codec_free(&c);
    free(text);
    return m;
}

static void drop_made(struct made *m)
{
    buf_free(&m->frame);
    buf_free(&m->res);
    buf_free(&m->extra);
    free(m);
}

static void put(struct spool_store *s, uint32_t noise, uint64_t values, uint32_t schema)
{
    const struct spool_totals *t = spool_store_totals(s);
    struct made *m = make(t->epoch, t->next_seq, noise, values, schema);

    spool_store_put(s, &m->b);
    assert_true(spool_balanced(t));
    drop_made(m);
}

/* Takes the oldest and says its number. 0: none. */
static uint64_t front(struct spool_store *s, struct spool_item *item)
{
    struct buf frame;
    int rc;

    buf_init(&frame, NULL, 1 << 20);
    rc = spool_store_front(s, item, &frame);
    assert_true(rc == 0 || (rc == 1 && frame.len > 0));
    buf_free(&frame);
    return rc ? item->seq : 0;
}

static void test_in_order_with_restarts(void **state)
{
    struct spool_store *s = open_store(1 << 20, 1000);
    uint64_t refused[SPOOL_REFUSALS] = {[WIRE_FUTURE] = 2, [WIRE_REFUSALS] = 1};
    const struct spool_totals *t = spool_store_totals(s);
    struct spool_item it;
    uint64_t n, checked;
    struct err e;

    (void)state;
    assert_int_equal(t->epoch, 1000);
    assert_true(t->disk);
    for (uint32_t i = 0; i < 5; i++)
        put(s, 100, 10 + i, 1);
    assert_int_equal(t->low, 1);
    assert_int_equal(front(s, &it), 1);
    assert_int_equal(it.values, 10);
    assert_false(spool_store_ack(s, 1000, 2, none)); /* a stranger's */
    assert_false(spool_store_ack(s, 999, 1, none));
    assert_true(spool_store_ack(s, 1000, 1, refused));
    assert_int_equal(t->delivered.values, 7);
    assert_int_equal(t->low, 2);
    assert_int_equal(t->acked_epoch, 1000);
    spool_store_close(&s);
    s = open_store(1 << 20, 2000);
    t = spool_store_totals(s);
    assert_int_equal(t->epoch, 1000);
    assert_int_equal(t->next_seq, 6);
    assert_int_equal(t->acked_epoch, 1000);
    assert_int_equal(t->refused[WIRE_FUTURE], 2);
    assert_int_equal(spool_store_verify(s, &checked, &e), 0);
    assert_int_equal(checked, 4);
    for (n = 2; front(s, &it); n++) {
        assert_int_equal(it.seq, n);
        assert_true(n == 3 ? spool_store_drop(s, 1000, n, SPOOL_DROP_DEAD, NULL)
                           : spool_store_ack(s, 1000, n, none));
        assert_true(spool_balanced(t));
    }
    assert_int_equal(n, 6);
    assert_int_equal(t->spooled.batches, 0);
    assert_int_equal(t->produced.values, 60);
    assert_int_equal(t->dropped[SPOOL_DROP_DEAD].values, 12);
    assert_int_equal(t->low, 6);
    spool_store_close(&s);
}

static void test_the_oldest_go_first(void **state)
{
    struct spool_store *s = open_store(20000, 1000);
    const struct spool_totals *t = spool_store_totals(s);
    struct spool_item it;

    (void)state;
    put(s, 4000, 1, 1);
    assert_int_equal(front(s, &it), 1); /* under way: it stays */
    for (uint32_t i = 0; i < 10; i++)
        put(s, 4000, 1, 1);
    assert_true(t->bytes <= 20000);
    assert_true(t->dropped[SPOOL_DROP_FULL].batches >= 5);
    assert_int_equal(t->low, 1);
    assert_true(spool_store_ack(s, 1000, 1, none));
    assert_true(t->low > 5);
    assert_int_equal(front(s, &it), t->low);
    spool_store_drop_all(s, SPOOL_DROP_OPERATOR);
    assert_true(spool_balanced(t));
    assert_int_equal(front(s, &it), 0);
    assert_int_equal(t->low, 12);
    spool_store_close(&s);
}

static void test_definitions_stay_while_needed(void **state)
{
    struct spool_store *s = open_store(1 << 20, 1000);
    struct made *m = make(1000, 1, 10, 1, 7);
    struct wire_hash ask[3] = {m->defs[0].hash, m->defs[1].hash, {{9}}};
    struct wire_codec *c = wire_codec_new(3);
    enum wire_reason why = WIRE_OK;
    struct wire_entry *entries;
    struct spool_item it;
    struct buf body, p;
    uint32_t n = 0;
    struct arena a;
    struct err e;

    (void)state;
    buf_init(&body, NULL, WIRE_MAX_BODY);
    buf_init(&p, NULL, WIRE_MAX_INFLATED);
    arena_init(&a, NULL, 0);
    put(s, 10, 1, 7);
    assert_int_equal(spool_store_defs(s, ask, 3, &body, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(wire_inflate(c, body.data, body.len, &p, &why, &e), 0);
    assert_int_equal(wire_walk(p.data, p.len, &why, &e), 0);
    assert_int_equal(wire_definitions_decode(p.data, p.len, &a, &entries, &n, &why, &e), 0);
    assert_int_equal(n, 2);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_not_equal(front(s, &it), 0);
        assert_true(spool_store_ack(s, 1000, it.seq, none));
        put(s, 10, 1, 8);
    }
    buf_clear(&body);
    assert_int_equal(spool_store_defs(s, ask, 2, &body, &n, &e), 0);
    assert_int_equal(n, 1); /* schema 7 is needed by none, and was by none of the last */
    buf_free(&body);
    buf_free(&p);
    arena_free(&a);
    wire_codec_free(&c);
    drop_made(m);
    spool_store_close(&s);
}

static void copy_file(const char *from, const char *to)
{
    static uint8_t block[1 << 20];
    int in = open(from, O_RDONLY), out;
    ssize_t n;

    if (in < 0)
        return;
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    while ((n = read(in, block, sizeof block)) > 0)
        assert_int_equal(write(out, block, (size_t)n), n);
    (void)close(in);
    (void)close(out);
}

/* What is on disk at any moment opens as a spool that balances, with every batch that put returned for. */
static void test_crash_at_any_moment(void **state)
{
    struct spool_store *s = open_store(1 << 20, 1000), *after;
    struct spool_store_params p = {
        .path = "crashed.db", .agent = "web-1", .max_bytes = 1 << 20, .memory_bytes = 1000, .now = {5000}};
    char wal[80];
    struct spool_item it;

    (void)state;
    (void)snprintf(wal, sizeof wal, "%s-wal", name);
    for (uint32_t i = 0; i < 12; i++) {
        const struct spool_totals *live = spool_store_totals(s), *t;

        put(s, 300, 3, i / 4);
        if (i % 3 == 2) {
            (void)front(s, &it);
            assert_true(spool_store_ack(s, 1000, it.seq, none));
        }
        copy_file(name, "crashed.db");
        copy_file(wal, "crashed.db-wal");
        after = spool_store_open(&p);
        t = spool_store_totals(after);
        assert_true(spool_balanced(t));
        assert_int_equal(t->epoch, 1000);
        assert_int_equal(t->next_seq, live->next_seq);
        assert_int_equal(t->spooled.batches, live->spooled.batches);
        assert_int_equal(t->delivered.values, live->delivered.values);
        assert_int_equal(t->dropped[SPOOL_DROP_DAMAGED].values, 0);
        spool_store_close(&after);
    }
    spool_store_close(&s);
}

static void test_damaged_file(void **state)
{
    static const char junk[4096] = "this is no database";
    struct spool_store *s = open_store(1 << 20, 1000);
    char aside[100];
    struct stat st;
    int fd;

    (void)state;
    put(s, 100, 5, 1);
    spool_store_close(&s);
    fd = open(name, O_WRONLY);
    assert_int_equal(write(fd, junk, sizeof junk), sizeof junk);
    (void)close(fd);
    s = open_store(1 << 20, 7000);
    assert_int_equal(spool_store_totals(s)->epoch, 7000);
    assert_true(spool_store_totals(s)->disk);
    assert_non_null(strstr(spool_store_totals(s)->trouble, "set aside"));
    (void)snprintf(aside, sizeof aside, "%s.damaged-1", name);
    assert_int_equal(stat(aside, &st), 0);
    put(s, 100, 5, 1);
    assert_int_equal(spool_store_totals(s)->spooled.batches, 1);
    spool_store_close(&s);
}

static void test_another_agents_file(void **state)
{
    struct spool_store *s = open_store(1 << 20, 1000);
    struct spool_store_params p = {
        .path = name, .agent = "web-2", .max_bytes = 1 << 20, .memory_bytes = 1000, .now = {5000}};

    (void)state;
    put(s, 100, 5, 1);
    spool_store_close(&s);
    s = spool_store_open(&p);
    assert_int_equal(spool_store_totals(s)->spooled.batches, 0);
    assert_int_equal(spool_store_totals(s)->epoch, 5000);
    assert_non_null(strstr(spool_store_totals(s)->trouble, "web-1"));
    spool_store_close(&s);
}

/* A folder that is not there yet: memory first, the file as
 * soon as it can be made, nothing lost, order kept. */
static void test_disk_refuses(void **state)
{
    const struct spool_totals *t;
    struct spool_store *s;
    struct spool_item it;

    (void)state;
    (void)snprintf(name, sizeof name, "later/spool.db");
    s = open_store(1 << 20, 1000);
    t = spool_store_totals(s);
    assert_false(t->disk);
    put(s, 100, 1, 1);
    put(s, 100, 2, 1);
    assert_int_equal(t->in_memory.batches, 2);
    assert_int_equal(front(s, &it), 1);
    assert_true(spool_store_ack(s, 1000, 1, none));
    assert_true(spool_balanced(t));
    assert_int_equal(mkdir("later", 0750), 0);
    put(s, 100, 3, 1);
    assert_true(t->disk);
    assert_int_equal(t->in_memory.batches, 0);
    assert_int_equal(t->spooled.batches, 2);
    assert_int_equal(front(s, &it), 2);
    spool_store_close(&s);
    s = open_store(1 << 20, 1000);
    assert_int_equal(spool_store_totals(s)->produced.values, 6);
    spool_store_close(&s);
    (void)snprintf(name, sizeof name, "never/spool.db");
    s = open_store(1 << 20, 1000);
    t = spool_store_totals(s);
    for (int i = 0; i < 40; i++)
        put(s, 4000, 1, 1);
    assert_true(t->dropped[SPOOL_DROP_MEMORY].batches > 5);
    assert_true(t->bytes <= 100000);
    spool_store_close(&s);
}

/* A full disk, as write(2) tells it (RLIMIT_FSIZE gives EFBIG
 * where a full one gives ENOSPC), while running. */
static void test_disk_full_while_running(void **state)
{
    struct spool_store *s = open_store(1 << 20, 1000);
    const struct spool_totals *t = spool_store_totals(s);
    struct rlimit was, tight;
    struct spool_item it;
    uint64_t n;

    (void)state;
    put(s, 2000, 1, 1);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight = was;
    tight.rlim_cur = 8192;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    for (int i = 0; i < 8; i++)
        put(s, 4000, 1, 1);
    assert_false(t->disk);
    assert_true(t->in_memory.batches > 0 && t->troubles > 0);
    assert_int_equal(front(s, &it), 1);
    assert_true(spool_store_ack(s, 1000, 1, none)); /* the row can't be deleted now */
    assert_true(spool_balanced(t));
    assert_int_equal(front(s, &it), 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    put(s, 100, 1, 1);
    assert_true(t->disk);
    assert_int_equal(t->in_memory.batches, 0);
    for (n = 2; front(s, &it); n++) {
        assert_int_equal(it.seq, n);
        assert_true(spool_store_ack(s, 1000, n, none));
    }
    assert_int_equal(n, 11);
    assert_int_equal(t->delivered.batches, 10);
    spool_store_close(&s);
    s = open_store(1 << 20, 1000);
    assert_int_equal(front(s, &it), 0);
    assert_int_equal(spool_store_totals(s)->delivered.batches, 10);
    spool_store_close(&s);
}

static void test_numbered_anew(void **state)
{
    struct spool_store *s = open_store(1 << 20, 1000);
    const struct spool_totals *t = spool_store_totals(s);
    struct made *late;
    struct spool_item it;
    uint64_t checked;
    struct err e;

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        put(s, 100, 1, 1);
    (void)front(s, &it);
    assert_true(spool_store_drop(s, 1000, 1, SPOOL_DROP_DEAD, NULL));
    late = make(1000, 5, 100, 1, 1); /* sealed before the loop heard of it */
    assert_int_equal(spool_store_renumber(s, 1000, &e), ERR_STATE);
    assert_int_equal(spool_store_renumber(s, 4000, &e), 0);
    assert_int_equal(spool_store_renumber(s, 3000, &e), 0); /* earlier, as nothing of it was acknowledged */
    spool_store_put(s, &late->b);
    assert_int_equal(t->epoch, 3000);
    assert_int_equal(t->next_seq, 5);
    assert_int_equal(t->low, 1);
    assert_int_equal(t->acked_epoch, 0);
    assert_int_equal(spool_store_verify(s, &checked, &e), 0);
    assert_int_equal(checked, 4);
    assert_true(spool_balanced(t));
    spool_store_close(&s);
    s = open_store(1 << 20, 1000);
    for (uint64_t n = 1; n <= 4; n++) {
        assert_int_equal(front(s, &it), n);
        assert_int_equal(it.epoch, 3000);
        assert_true(spool_store_ack(s, 3000, n, none));
    }
    assert_int_equal(spool_store_renumber(s, 2000, &e), ERR_STATE);
    drop_made(late);
    spool_store_close(&s);
}

/* ---- numbers over crashes that the file knows nothing of ---- */

static struct spool_store *open_at(int64_t now_s)
{
    struct spool_store_params p = {.path = name,
                                   .agent = "web-1",
                                   .max_bytes = 1 << 22,
                                   .memory_bytes = 1 << 20,
                                   .now = {now_s * 1000},
                                   .batch = span_s(10)};
    struct spool_store *s = spool_store_open(&p);

    assert_non_null(s);
    assert_true(spool_balanced(spool_store_totals(s)));
    return s;
}

static void put_at(struct spool_store *s, int64_t now_s)
{
    const struct spool_totals *t = spool_store_totals(s);
    struct made *m = make(t->epoch, t->next_seq, 3000, 1, 1);

    m->b.sealed.ms = now_s * 1000;
    spool_store_put(s, &m->b);
    assert_true(spool_balanced(t));
    drop_made(m);
}

static struct rlimit tighten(rlim_t n)
{
    struct rlimit was, tight;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight = was;
    tight.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    return was;
}

/* Delivered from memory while the disk refused, then killed: no number is given out twice. */
static void test_numbers_after_memory(void **state)
{
    struct spool_store *s = open_at(1000);
    const struct spool_totals *t = spool_store_totals(s);
    struct spool_item it;
    struct rlimit was;
    uint64_t used;

    (void)state;
    for (int i = 0; i < 3; i++)
        put_at(s, 1000 + i * 10);
    was = tighten(8192);
    for (int i = 3; i < 20; i++)
        put_at(s, 1000 + i * 10);
    assert_false(t->disk);
    while (front(s, &it))
        assert_true(spool_store_ack(s, t->epoch, it.seq, none));
    used = t->next_seq - 1;
    assert_true(used >= 20);
    spool_store_close(&s);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    s = open_at(1200);
    t = spool_store_totals(s);
    assert_int_equal(t->epoch, 1000000);
    assert_true(t->next_seq > used && t->next_seq < 100);
    assert_int_equal(t->low, 1); /* these may come once more, as the same bytes */
    used = t->next_seq;
    put_at(s, 1200);
    spool_store_close(&s); /* killed again, and back at once: nothing can have been missed */
    s = open_at(1203);
    assert_int_equal(spool_store_totals(s)->next_seq, used + 1);
    spool_store_finish(s);
    spool_store_close(&s);
    s = open_at(9000); /* in order: nothing was missed */
    assert_int_equal(spool_store_totals(s)->next_seq, used + 1);
    spool_store_close(&s);
    s = open_at(500); /* the clock was set back */
    assert_true(spool_store_totals(s)->next_seq > used + 1000);
    spool_store_close(&s);
}

/* The disk is full already at the start: the file's epoch goes
 * on, as a later one would make its batches those of a copy. */
static void test_full_at_start(void **state)
{
    struct spool_store *s = open_at(1000);
    const struct spool_totals *t;
    struct spool_item it;
    struct rlimit was;
    uint64_t n = 0, before = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        put_at(s, 1000 + i * 10);
    assert_int_equal(front(s, &it), 1);
    assert_true(spool_store_ack(s, 1000000, 1, none));
    spool_store_finish(s);
    spool_store_close(&s);
    was = tighten(16);
    s = open_at(1100);
    t = spool_store_totals(s);
    assert_false(t->disk);
    assert_int_equal(t->epoch, 1000000);
    assert_int_equal(t->acked_epoch, 1000000);
    assert_int_equal(t->low, 2);
    assert_true(t->next_seq > 1000);
    assert_int_equal(t->produced.batches, 0); /* of the file nothing is told until it is in use */
    put_at(s, 1100);
    put_at(s, 1110);
    assert_int_equal(t->low, 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    put_at(s, 1120);
    assert_true(t->disk);
    assert_int_equal(t->produced.batches, 7);
    assert_int_equal(t->spooled.batches, 6);
    while (front(s, &it)) {
        assert_true(it.seq > before && it.epoch == 1000000);
        before = it.seq;
        assert_true(spool_store_ack(s, it.epoch, it.seq, none));
        n++;
    }
    assert_int_equal(n, 6);
    assert_true(spool_balanced(t));
    spool_store_close(&s);
}

/* Whoever removes the file of a running agent is noticed at the next batch. */
static void test_taken_away(void **state)
{
    struct spool_store *s = open_at(1000);
    const struct spool_totals *t = spool_store_totals(s);
    struct spool_item it;
    char wal[80];

    (void)state;
    put_at(s, 1000);
    put_at(s, 1010);
    (void)snprintf(wal, sizeof wal, "%s-wal", name);
    assert_int_equal(unlink(name), 0);
    (void)unlink(wal);
    put_at(s, 1020);
    assert_true(t->disk);
    assert_true(t->epoch > 1000000);
    assert_int_equal(t->dropped[SPOOL_DROP_DAMAGED].batches, 2);
    assert_int_equal(t->spooled.batches, 1);
    spool_store_close(&s);
    s = open_at(1021);
    assert_int_equal(front(s, &it), 1);
    assert_true(it.epoch > 1000000);
    spool_store_close(&s);
}

/* ---- dead letters, and the room of an outage ---- */

static void test_dead_letters(void **state)
{
    struct spool_store *s = open_at(1000);
    const struct spool_totals *t = spool_store_totals(s);
    const struct spool_death death = {
        .at = {1700000000000}, .status = 422, .reason = "refused for good", .error = "status 422: conflict"};
    struct spool_item it;
    struct buf out;
    struct err e;

    (void)state;
    buf_init(&out, NULL, 1 << 20);
    assert_int_equal(spool_store_dead(s, &out, &e), 0);
    assert_int_equal(out.len, 0);
    for (int i = 0; i < 70; i++) {
        put_at(s, 1000 + i);
        assert_int_equal(front(s, &it), i + 1);
        assert_true(spool_store_drop(s, it.epoch, it.seq, SPOOL_DROP_DEAD, &death));
    }
    assert_int_equal(t->dropped[SPOOL_DROP_DEAD].batches, 70);
    assert_int_equal(t->dead_letters, 64);
    spool_store_close(&s);
    s = open_at(1060);
    t = spool_store_totals(s);
    assert_int_equal(t->dead_letters, 64);
    assert_true(t->dead_bytes > 64 * 1000 && t->dead_bytes <= 1 << 20);
    assert_int_equal(spool_store_dead(s, &out, &e), 0);
    assert_int_equal(strncmp(buf_text(&out), "2023-11-14T22:13:20", 19), 0);
    assert_non_null(strstr(buf_text(&out), "batch 1000000/70, 1 values"));
    assert_non_null(strstr(buf_text(&out), "status 422, refused for good: status 422: conflict\n"));
    assert_null(strstr(buf_text(&out), "batch 1000000/6,"));
    spool_store_drop_all(s, SPOOL_DROP_OPERATOR);
    assert_int_equal(t->dead_letters, 0);
    spool_store_close(&s);
    buf_free(&out);
}

static void test_room_is_given_back(void **state)
{
    struct spool_store *s = open_at(1000);
    struct spool_item it;
    struct stat full, after;

    (void)state;
    for (int i = 0; i < 450; i++)
        put(s, 8000, 1, 1);
    spool_store_close(&s);
    assert_int_equal(stat(name, &full), 0);
    s = open_at(1000);
    while (front(s, &it))
        assert_true(spool_store_ack(s, it.epoch, it.seq, none));
    spool_store_close(&s);
    assert_int_equal(stat(name, &after), 0);
    assert_true(full.st_size > 5 << 19);
    assert_true(after.st_size < full.st_size / 2);
}

/* ---- the thread ---- */

struct shell {
    struct loop *loop;
    struct spool *spool;
    unsigned fronts, wanted;
};

static void got_front(void *arg, const struct spool_answer *a)
{
    struct shell *h = arg;

    if (a->code == 1) {
        assert_int_equal(a->item.seq, ++h->fronts);
        assert_int_equal(spool_ack(h->spool, a->item.epoch, a->item.seq, none), 0);
        assert_int_equal(spool_front(h->spool, got_front, h), 0);
    }
}

static void changed(void *arg)
{
    struct shell *h = arg;
    struct spool_totals t = spool_totals(h->spool);

    assert_true(spool_balanced(&t));
    if (h->fronts == h->wanted && spool_idle(h->spool))
        loop_stop(h->loop);
}

static void test_thread(void **state)
{
    struct shell h = {.wanted = 30};
    struct spool_params p = {.store = {.path = name,
                                       .agent = "web-1",
                                       .max_bytes = 1 << 20,
                                       .memory_bytes = 1 << 20,
                                       .now = {1000}},
                             .changed = changed,
                             .arg = &h};
    struct spool_totals t;
    struct err e;

    (void)state;
    h.loop = loop_new(&e);
    p.loop = h.loop;
    h.spool = spool_new(&p, &e);
    assert_non_null(h.spool);
    for (unsigned i = 0; i < h.wanted; i++) {
        uint64_t epoch, seq, low;
        struct made *m;

        spool_next(h.spool, &epoch, &seq, &low);
        assert_int_equal(seq, i + 1);
        assert_true(low <= seq);
        m = make(epoch, seq, 200, 2, 1);
        assert_int_equal(spool_put(h.spool, &m->b, &e), 0);
        t = spool_totals(h.spool);
        assert_true(spool_balanced(&t));
        drop_made(m);
    }
    assert_int_equal(spool_front(h.spool, got_front, &h), 0);
    assert_int_equal(loop_run(h.loop), 0);
    t = spool_totals(h.spool);
    assert_int_equal(t.delivered.values, 60);
    spool_free(&h.spool);
    loop_free(&h.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_in_order_with_restarts, fresh_name),
        cmocka_unit_test_setup(test_the_oldest_go_first, fresh_name),
        cmocka_unit_test_setup(test_definitions_stay_while_needed, fresh_name),
        cmocka_unit_test_setup(test_crash_at_any_moment, fresh_name),
        cmocka_unit_test_setup(test_damaged_file, fresh_name),
        cmocka_unit_test_setup(test_another_agents_file, fresh_name),
        cmocka_unit_test_setup(test_disk_refuses, fresh_name),
        cmocka_unit_test_setup(test_disk_full_while_running, fresh_name),
        cmocka_unit_test_setup(test_numbered_anew, fresh_name),
        cmocka_unit_test_setup(test_numbers_after_memory, fresh_name),
        cmocka_unit_test_setup(test_full_at_start, fresh_name),
        cmocka_unit_test_setup(test_taken_away, fresh_name),
        cmocka_unit_test_setup(test_dead_letters, fresh_name),
        cmocka_unit_test_setup(test_room_is_given_back, fresh_name),
        cmocka_unit_test_setup(test_thread, fresh_name),
    };

    (void)signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
