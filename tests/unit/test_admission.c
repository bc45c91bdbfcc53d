/* Admission against a model that remembers each seq by itself: random sequences of
 * batches on the agent's own connection and through relays, with holes, `low`,
 * repetitions, other bytes, failed commits, restarts from what was journalled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/ingest/admission.h"
#include "aggregator/ingest/watermark.h"
#include "common/base/rng.h"

#define NOW 1700000000000LL
enum { EPOCHS = 3, SEQS = 80, ROWS = 4096 };

static const uint64_t none[WIRE_REFUSALS];

static struct wire_str str(const char *s)
{
    return (struct wire_str){s, (uint32_t)strlen(s)};
}

static struct admission_facts facts(uint64_t epoch, uint64_t seq, uint64_t low, uint8_t body, bool own)
{
    return (struct admission_facts){.agent = str("web-1"),
                                    .epoch = epoch,
                                    .seq = seq,
                                    .low = low,
                                    .digest = {body, 1},
                                    .own = own,
                                    .relay = !own,
                                    .now = {NOW}};
}

/* Judges, and takes it when it is to be taken. */
static struct admission_verdict give(struct admission *a, const struct admission_facts *f)
{
    struct admission_prepared p;
    struct admission_verdict v;
    struct buf b;

    admission_judge(a, f, &v);
    if (v.reason == WIRE_OK && !v.duplicate) {
        buf_init(&b, NULL, 1 << 20);
        assert_int_equal(admission_prepare(a, f, none, &b, &p), 0);
        admission_commit(a, f, (int64_t)f->seq);
        buf_free(&b);
    }
    return v;
}

static struct admission *make(struct mem *m)
{
    return admission_new(&(struct admission_params){.mem = m, .keep = span_s(7 * 86400)});
}

static void test_order_of_judgement(void **state)
{
    struct mem m = {0};
    struct admission *a = make(&m);
    struct admission_facts f = facts((uint64_t)NOW + 86400001, 1, 1, 0, true);

    (void)state;
    f.own = false; /* a stranger: the epoch is judged first */
    assert_int_equal(give(a, &f).reason, WIRE_EPOCH);
    f.epoch--;
    assert_int_equal(give(a, &f).reason, WIRE_IDENTITY);
    f.own = true;
    assert_int_equal(give(a, &f).reason, WIRE_OK);
    assert_true(give(a, &f).duplicate);
    f.digest[0]++;
    assert_int_equal(give(a, &f).reason, WIRE_CONFLICT);
    f = facts(NOW - 5, 1, 1, 0, true);
    assert_int_equal(give(a, &f).reason, WIRE_SUPERSEDED);
    assert_int_equal(give(a, &f).highest, NOW + 86400000);
    f.own = false;
    f.relay = true;
    assert_int_equal(give(a, &f).reason, WIRE_OK);
    assert_true(give(a, &f).duplicate);
    assert_int_equal(admission_stats(a).epochs, 2);
    assert_int_equal(admission_forget(a, f.agent), 0);
    assert_int_equal(admission_forget(a, f.agent), ERR_NOTFOUND);
    f.epoch = 1;
    f.own = true;
    assert_int_equal(give(a, &f).reason, WIRE_OK);
    admission_free(&a);
    assert_int_equal(m.used, 0);
}

static void test_closed_is_a_duplicate_to_the_agent_and_taken_once_from_a_relay(void **state)
{
    struct admission *a = make(NULL);
    struct admission_facts f = facts(9, 10, 8, 0, true);
    struct admission_stats s;

    (void)state;
    assert_false(give(a, &f).duplicate);
    f = facts(9, 7, 1, 0, true);
    assert_true(give(a, &f).duplicate);
    f = facts(9, 7, 1, 0, false);
    assert_false(give(a, &f).duplicate);
    assert_true(give(a, &f).duplicate);
    assert_int_equal(admission_stats(a).missing, 2); /* 8 and 9 */
    f = facts(9, 8, 1, 0, true);
    assert_false(give(a, &f).duplicate);
    f = facts(9, 9, 1, 0, true); /* open */
    assert_false(give(a, &f).duplicate);
    s = admission_stats(a);
    assert_int_equal(s.closed, 7);
    assert_int_equal(s.missing, 0);
    assert_int_equal(s.late, 3);
    assert_int_equal(s.lost, 0);
    admission_free(&a);
}

static void test_refusals_are_told_again_while_the_digest_is_kept(void **state)
{
    uint64_t refused[WIRE_REFUSALS] = {3, 0, 0, 4};
    struct mem m = {0};
    struct admission *a = make(&m);
    struct admission_facts f = facts(9, 1, 1, 0, true);
    struct admission_prepared p;
    struct admission_verdict v;
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    assert_int_equal(admission_prepare(a, &f, refused, &b, &p), 0);
    admission_commit(a, &f, 1000);
    v = give(a, &f);
    assert_memory_equal(v.refused, refused, sizeof refused);
    for (uint64_t seq = 2; seq <= 256; seq++) {
        f = facts(9, seq, 1, 0, true);
        assert_int_equal(admission_prepare(a, &f, none, &b, &p), 0);
        assert_int_equal(p.expired, 0);
        admission_commit(a, &f, (int64_t)(1000 + seq));
    }
    f = facts(9, 1, 1, 0, true);
    assert_int_equal(give(a, &f).refused[3], 4);
    f = facts(9, 257, 1, 0, true);
    assert_int_equal(admission_prepare(a, &f, none, &b, &p), 0);
    assert_int_equal(p.expired, 1000);
    admission_commit(a, &f, 2000);
    f = facts(9, 1, 1, 77, true); /* other bytes, which nobody can tell any more */
    v = give(a, &f);
    assert_true(v.duplicate);
    assert_memory_equal(v.refused, none, sizeof none);
    buf_free(&b);
    admission_free(&a);
    assert_int_equal(m.used, 0);
}

static void test_too_many_holes(void **state)
{
    struct admission *a = make(NULL);
    struct admission_facts f;
    struct admission_stats s;

    (void)state;
    for (uint64_t i = 1; i <= 1030; i++) {
        f = facts(9, i * 10, 1, 0, true);
        assert_false(give(a, &f).duplicate);
    }
    s = admission_stats(a);
    assert_int_equal(s.holes, 1024);
    assert_int_equal(s.lost, 6 * 9);
    f = facts(9, 55, 1, 0, false);
    assert_true(give(a, &f).duplicate);
    f = facts(9, 65, 1, 0, true);
    assert_false(give(a, &f).duplicate); /* splits a hole: one more is given up */
    assert_int_equal(admission_stats(a).lost, 6 * 9 + 4);
    f = facts(9, UINT64_MAX, UINT64_MAX, 0, true);
    assert_false(give(a, &f).duplicate);
    assert_int_equal(admission_stats(a).lost, 6 * 9 + 4); /* closed by low first */
    f.seq = UINT64_MAX - 1;
    f.low = 1;
    assert_true(give(a, &f).duplicate);
    admission_free(&a);
}

static void test_epochs_are_bounded(void **state)
{
    struct mem m = {0};
    struct admission *a = make(&m);
    struct admission_facts f;
    struct admission_prepared p;
    struct buf b;

    (void)state;
    for (uint64_t e = 1; e <= 64; e++) {
        f = facts(e, 1, 1, 0, true);
        assert_int_equal(give(a, &f).reason, WIRE_OK);
    }
    f = facts(65, 1, 1, 0, true);
    assert_int_equal(give(a, &f).reason, WIRE_QUOTA);
    f = facts(64, 2, 1, 0, true);
    assert_int_equal(give(a, &f).reason, WIRE_OK);
    f = facts(65, 1, 1, 0, true);
    f.now.ms += 8 * 86400000LL;
    assert_int_equal(give(a, &f).reason, WIRE_OK);
    f.epoch = 66;
    buf_init(&b, NULL, 1 << 20);
    assert_int_equal(admission_prepare(a, &f, none, &b, &p), 0);
    assert_int_equal(p.drop_epoch, 2); /* 1 made room for 65 */
    admission_abort(a, &f);
    assert_int_equal(admission_stats(a).epochs, 64);
    buf_free(&b);
    admission_free(&a);
    assert_int_equal(m.used, 0);
}

static void test_without_memory_nothing_changes(void **state)
{
    struct mem m = {0};
    struct admission *a;
    struct buf b;
    size_t cap;

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    for (cap = 200; cap < 3000; cap += 8) {
        struct admission_facts f = facts(9, 5, 2, 0, true);
        struct admission_prepared p;
        struct admission_verdict v;
        int rc;

        m = (struct mem){.cap = cap};
        a = make(&m);
        if (!a)
            continue;
        rc = admission_prepare(a, &f, (const uint64_t[WIRE_REFUSALS]){1}, &b, &p);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        if (rc == 0)
            admission_commit(a, &f, 1);
        admission_judge(a, &f, &v);
        assert_int_equal(v.duplicate, rc == 0);
        assert_int_equal(admission_stats(a).agents, rc == 0);
        admission_free(&a);
        assert_int_equal(m.used, 0);
    }
    buf_free(&b);
}

/* ---- the model ---- */

struct row { /* of the table `seen` */
    bool used;
    uint64_t epoch, seq;
    uint8_t body;
    uint64_t refused[WIRE_REFUSALS];
};
struct model {
    bool taken[EPOCHS + 1][SEQS + 1];
    uint64_t floor[EPOCHS + 1];
    unsigned order[EPOCHS + 1][SEQS + 1]; /* of acceptance, 1 … */
    unsigned count[EPOCHS + 1];
    uint8_t body[EPOCHS + 1][SEQS + 1];
    struct buf state[EPOCHS + 1]; /* of the table `watermarks` */
    struct row rows[ROWS];
    int64_t position;
    uint64_t high;
};

static void expect(const struct model *m, const struct admission_facts *f, uint8_t body,
                   enum wire_reason *reason, bool *duplicate)
{
    *reason = WIRE_OK;
    *duplicate = false;
    if (f->own && f->epoch < m->high) {
        *reason = WIRE_SUPERSEDED;
    } else if (m->taken[f->epoch][f->seq]) {
        if (m->body[f->epoch][f->seq] != body)
            *reason = WIRE_CONFLICT;
        else
            *duplicate = true;
    } else if (f->own && f->seq < m->floor[f->epoch]) {
        *duplicate = true;
    }
}

static struct admission *restart(const struct model *m, struct admission *a, struct mem *mem)
{
    struct err e = {0};

    admission_free(&a);
    assert_int_equal(mem->used, 0);
    a = make(mem);
    for (uint64_t k = EPOCHS; k >= 1; k--)
        if (m->state[k].len)
            assert_int_equal(admission_restore(a, str("web-1"), k, buf_bytes(&m->state[k]), &e), 0);
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &m->rows[i];
        const uint8_t digest[16] = {r->body, 1};

        if (r->used)
            assert_int_equal(
                admission_restore_digest(a, str("web-1"), r->epoch, r->seq, digest, r->refused, (int64_t)i),
                0);
    }
    return a;
}

static void take(struct model *m, struct admission *a, const struct admission_facts *f, uint8_t body,
                 bool fails)
{
    uint64_t refused[WIRE_REFUSALS] = {body == 3 ? f->seq : 0};
    struct admission_prepared p;
    struct buf b;

    buf_init(&b, NULL, 1 << 20);
    assert_int_equal(admission_prepare(a, f, refused, &b, &p), 0);
    if (fails) {
        admission_abort(a, f);
        buf_free(&b);
        return;
    }
    admission_commit(a, f, ++m->position);
    buf_free(&m->state[f->epoch]);
    m->state[f->epoch] = b;
    assert_true(m->position < ROWS);
    m->rows[m->position] = (struct row){true, f->epoch, f->seq, body, {refused[0]}};
    if (p.expired)
        m->rows[p.expired].used = false;
    m->taken[f->epoch][f->seq] = true;
    m->body[f->epoch][f->seq] = body;
    if (f->low > m->floor[f->epoch])
        m->floor[f->epoch] = f->low;
    if (f->epoch > m->high)
        m->high = f->epoch;
}

static void run(uint64_t seed)
{
    struct mem mem = {0};
    struct model *m = calloc(1, sizeof *m);
    struct admission *a = make(&mem);
    struct rng r;
    uint64_t next[EPOCHS + 1] = {1, 1, 1, 1};

    rng_seed(&r, seed);
    for (int step = 0; step < 400; step++) {
        uint64_t epoch = 1 + rng_below(&r, EPOCHS),
                 seq = rng_below(&r, 3) ? next[epoch] : 1 + rng_below(&r, SEQS);
        uint64_t low = rng_below(&r, 4) ? 1 : 1 + rng_below(&r, seq > SEQS ? SEQS : seq);
        uint8_t body = rng_below(&r, 10) ? (uint8_t)(seq % 5) : (uint8_t)rng_below(&r, 5);
        struct admission_facts f;
        struct admission_verdict v;
        enum wire_reason reason;
        bool duplicate;

        if (seq > SEQS)
            continue;
        next[epoch] = seq + 1 + (rng_below(&r, 4) == 0);
        f = facts(epoch, seq, low, body, rng_below(&r, 2));
        expect(m, &f, body, &reason, &duplicate);
        admission_judge(a, &f, &v);
        assert_int_equal(v.reason, reason);
        assert_int_equal(v.duplicate, duplicate);
        assert_int_equal(v.highest, m->high);
        if (duplicate && m->taken[epoch][seq])
            assert_int_equal(v.refused[0], body == 3 ? seq : 0);
        if (reason == WIRE_OK && !duplicate)
            take(m, a, &f, body, rng_below(&r, 8) == 0);
        if (rng_below(&r, 20) == 0)
            a = restart(m, a, &mem);
    }
    admission_free(&a);
    assert_int_equal(mem.used, 0);
    for (int k = 0; k <= EPOCHS; k++)
        buf_free(&m->state[k]);
    free(m);
}

static void test_against_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++)
        run(seed);
}

static void test_decoding_is_total(void **state)
{
    struct watermark w, x;
    struct watermark_change c;
    struct err e = {0};
    struct buf b, again;
    struct rng r;

    (void)state;
    watermark_init(&w, NULL);
    watermark_init(&x, NULL);
    buf_init(&b, NULL, 1 << 20);
    buf_init(&again, NULL, 1 << 20);
    for (uint64_t seq = 3; seq < 300; seq += 7) {
        assert_int_equal(watermark_reserve(&w), 0);
        watermark_mark(&w, seq, 2, NOW, &c);
    }
    watermark_encode(&w, &b);
    assert_int_equal(watermark_decode(&x, buf_bytes(&b), &e), 0);
    assert_int_equal(x.n, w.n);
    assert_memory_equal(x.holes, w.holes, w.n * sizeof *w.holes);
    for (size_t n = 0; n < b.len; n++) {
        watermark_free(&x);
        assert_int_not_equal(watermark_decode(&x, (struct bytes){b.data, n}, &e), 0);
        assert_null(x.holes);
    }
    rng_seed(&r, 4);
    for (int i = 0; i < 20000; i++) { /* what is accepted is written again as the same value */
        uint8_t *p = malloc(b.len);

        memcpy(p, b.data, b.len);
        for (int k = 0; k < 3; k++)
            p[rng_below(&r, b.len)] = (uint8_t)rng_next(&r);
        watermark_free(&x);
        if (watermark_decode(&x, (struct bytes){p, b.len}, &e) == 0) {
            struct watermark y;

            watermark_init(&y, NULL);
            buf_clear(&again);
            watermark_encode(&x, &again);
            assert_int_equal(watermark_decode(&y, buf_bytes(&again), &e), 0);
            assert_int_equal(y.top, x.top);
            assert_int_equal(y.n, x.n);
            for (uint32_t k = 0; k < x.n; k++)
                assert_true(x.holes[k].from <= x.holes[k].to && x.holes[k].to < x.top &&
                            (k == 0 || x.holes[k].from > x.holes[k - 1].to + 1));
            watermark_free(&y);
        }
        free(p);
    }
    watermark_free(&w);
    watermark_free(&x);
    buf_free(&b);
    buf_free(&again);
}

static void count(void *arg, struct wire_str agent)
{
    *(unsigned *)arg += agent.n == 5;
}

/* Agents come and go without end: those that will not be missed are let go, a few at a time, and no other. */
static void test_agents_expire(void **state)
{
    struct mem m = {0};
    struct admission *a = make(&m);
    const int64_t week = 7 * 86400000LL;
    unsigned told = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct admission_facts f = facts(9, 1, 1, 0, true);
        char id[6];

        (void)snprintf(id, sizeof id, "w%04d", i);
        f.agent = str(id);
        f.now.ms = NOW + (i == 77);
        assert_int_equal(give(a, &f).reason, WIRE_OK);
    }
    assert_int_equal(admission_expire(a, (struct wall){NOW + week}, 5000, count, &told), 0);
    assert_int_equal(admission_expire(a, (struct wall){NOW + week + 1}, 300, count, &told), 300);
    while (admission_expire(a, (struct wall){NOW + week + 1}, 32, count, &told))
        continue;
    assert_int_equal(told, 999);
    assert_int_equal(admission_stats(a).agents, 1);
    assert_int_equal(admission_forget(a, str("w0077")), 0);
    admission_free(&a);
    assert_int_equal(m.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_judgement),
        cmocka_unit_test(test_closed_is_a_duplicate_to_the_agent_and_taken_once_from_a_relay),
        cmocka_unit_test(test_refusals_are_told_again_while_the_digest_is_kept),
        cmocka_unit_test(test_too_many_holes),
        cmocka_unit_test(test_epochs_are_bounded),
        cmocka_unit_test(test_agents_expire),
        cmocka_unit_test(test_without_memory_nothing_changes),
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_decoding_is_total),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
