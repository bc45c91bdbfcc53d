/* The journal: what is written reads back; damage of any byte, a line lost, added, moved or rewritten shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/failover/journal.h"

static void put(char *to, size_t room, const char *text)
{
    (void)snprintf(to, room, "%s", text);
}

static struct fo_journal_line sample(int i)
{
    struct fo_journal_line l = {.t = {1795500000000 + i},
                                .epoch = 7,
                                .token = {1, 4711 + (uint64_t)i / 2},
                                .phase = (enum fo_journal_phase)(i % FO_JOURNAL_PHASES),
                                .row = (uint16_t)(40 + i)};

    put(l.service, sizeof l.service, "app");
    put(l.plan, sizeof l.plan, "app-7");
    put(l.step, sizeof l.step, "fence");
    put(l.action, sizeof l.action, "stop-db");
    put(l.class_name, sizeof l.class_name, i % 2 ? "ok" : "");
    put(l.actor, sizeof l.actor, "west");
    (void)snprintf(l.text, sizeof l.text, "line %d \"quoted\" \\ \t umlaut \xc3\xbc", i);
    return l;
}

static void chain(struct buf *out, struct fo_journal_head *head, int n)
{
    buf_init(out, NULL, 1 << 20);
    for (int i = 0; i < n; i++) {
        struct fo_journal_line l = sample(i);

        assert_int_equal(fo_journal_write(&l, head, out), 0);
        buf_u8(out, '\n');
    }
}

static void reads_back(void **state)
{
    struct fo_journal_head head = {0};
    struct fo_journal_line l = sample(3), got;
    struct buf b;
    struct err e = {0};

    (void)state;
    buf_init(&b, NULL, FO_JOURNAL_LINE);
    assert_int_equal(fo_journal_write(&l, &head, &b), 0);
    assert_int_equal(fo_journal_read(buf_bytes(&b), &got, &e), 0);
    assert_int_equal(got.seq, 1);
    assert_int_equal(got.t.ms, l.t.ms);
    assert_int_equal(got.epoch, 7);
    assert_int_equal(got.token.store, 1);
    assert_int_equal(got.token.rev, 4712);
    assert_int_equal(got.phase, FO_JOURNAL_TRANSITION);
    assert_int_equal(got.row, 43);
    assert_string_equal(got.service, l.service);
    assert_string_equal(got.plan, l.plan);
    assert_string_equal(got.step, l.step);
    assert_string_equal(got.action, l.action);
    assert_string_equal(got.class_name, l.class_name);
    assert_string_equal(got.actor, l.actor);
    assert_string_equal(got.text, l.text);
    assert_string_equal(got.hash, head.hash);
    buf_free(&b);
}

static void odd_text(void **state)
{
    struct fo_journal_head head = {0};
    struct fo_journal_line l = sample(0), got;
    struct buf b, small;
    struct err e = {0};

    (void)state;
    memset(l.text, '\x01', sizeof l.text - 1); /* each takes six bytes */
    l.text[sizeof l.text - 1] = 0;
    put(l.actor, sizeof l.actor,
        "a\xff\xfe"
        "b\xc3");
    l.token = (struct fencing){INT64_MAX, INT64_MAX};
    l.epoch = UINT32_MAX;
    buf_init(&b, NULL, FO_JOURNAL_LINE);
    assert_int_equal(fo_journal_write(&l, &head, &b), 0);
    assert_int_equal(fo_journal_read(buf_bytes(&b), &got, &e), 0);
    assert_string_equal(got.actor, "a??b?");
    assert_string_equal(got.text, l.text);
    assert_true(got.token.rev == INT64_MAX);
    buf_init(&small, NULL, 100);
    assert_int_equal(fo_journal_write(&l, &head, &small), ERR_LIMIT);
    assert_int_equal(head.seq, 1);
    assert_int_equal(small.len, 0);
    buf_free(&small);
    buf_free(&b);
}

/* Every byte of every line, with each of several other values. */
static void damage_of_each_byte(void **state)
{
    static const uint8_t masks[] = {1, 2, 0x10, 0x20, 0x80};
    struct fo_journal_head head = {0};
    struct fo_journal_report r;
    struct buf b;
    uint64_t line = 1;

    (void)state;
    chain(&b, &head, 5);
    assert_int_equal(fo_journal_verify(buf_bytes(&b), &r), 0);
    assert_int_equal(r.lines, 5);
    assert_int_equal(r.first, 1);
    assert_int_equal(r.last, 5);
    assert_string_equal(r.head.hash, head.hash);
    for (size_t i = 0; i < b.len; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            b.data[i] ^= masks[m];
            assert_int_equal(fo_journal_verify(buf_bytes(&b), &r), ERR_MALFORMED);
            assert_int_equal(r.bad, line);
            assert_true(r.why[0]);
            b.data[i] ^= masks[m];
        }
        line += b.data[i] == '\n';
    }
    buf_free(&b);
}

static void cut_anywhere(void **state)
{
    struct fo_journal_head head = {0};
    struct fo_journal_report r;
    struct buf b;

    (void)state;
    chain(&b, &head, 4);
    for (size_t n = 0; n < b.len; n++) {
        const bool whole = n == 0 || b.data[n - 1] == '\n' || b.data[n] == '\n';

        assert_int_equal(fo_journal_verify((struct bytes){b.data, n}, &r), whole ? 0 : ERR_MALFORMED);
    }
    buf_free(&b);
}

static struct bytes nth(const struct buf *b, int n)
{
    const uint8_t *p = b->data, *end;

    while (n--)
        p = (const uint8_t *)memchr(p, '\n', b->len) + 1;
    end = memchr(p, '\n', b->len - (size_t)(p - b->data));
    return (struct bytes){p, (size_t)(end - p) + 1};
}

static int verify_order(const struct buf *b, const int *order, int n, struct fo_journal_report *r)
{
    struct buf out;
    int rc;

    buf_init(&out, NULL, 1 << 20);
    for (int i = 0; i < n; i++)
        buf_put(&out, nth(b, order[i]).p, nth(b, order[i]).n);
    rc = fo_journal_verify(buf_bytes(&out), r);
    buf_free(&out);
    return rc;
}

static void lines_moved(void **state)
{
    struct fo_journal_head head = {0};
    struct fo_journal_report r;
    struct buf b;

    (void)state;
    chain(&b, &head, 4);
    assert_int_equal(verify_order(&b, (int[]){0, 2, 3}, 3, &r), ERR_MALFORMED);
    assert_int_equal(r.bad, 2);
    assert_int_equal(verify_order(&b, (int[]){0, 2, 1, 3}, 4, &r), ERR_MALFORMED);
    assert_int_equal(r.bad, 2);
    assert_int_equal(verify_order(&b, (int[]){0, 1, 1, 2}, 4, &r), ERR_MALFORMED);
    assert_int_equal(r.bad, 3);
    assert_int_equal(r.good, 2);
    assert_int_equal(verify_order(&b, (int[]){2, 3}, 2, &r), 0); /* the newest, as an export has them */
    assert_int_equal(r.first, 3);
    buf_free(&b);
}

/* A line rewritten with a hash of its own: the next one tells. */
static void line_rewritten(void **state)
{
    struct fo_journal_head head = {0}, forged = {0};
    struct fo_journal_report r;
    struct fo_journal_line l;
    struct buf b, out;
    struct err e = {0};

    (void)state;
    chain(&b, &head, 3);
    buf_init(&out, NULL, 1 << 20);
    buf_put(&out, nth(&b, 0).p, nth(&b, 0).n);
    assert_int_equal(fo_journal_read((struct bytes){out.data, out.len - 1}, &l, &e), 0);
    forged.seq = 1;
    memcpy(forged.hash, l.hash, sizeof l.hash);
    l = sample(1);
    put(l.actor, sizeof l.actor, "nobody");
    assert_int_equal(fo_journal_write(&l, &forged, &out), 0);
    buf_u8(&out, '\n');
    buf_put(&out, nth(&b, 2).p, nth(&b, 2).n);
    assert_int_equal(fo_journal_verify(buf_bytes(&out), &r), ERR_MALFORMED);
    assert_int_equal(r.bad, 3);
    buf_free(&b);
    buf_free(&out);
}

static void tokens_do_not_go_back(void **state)
{
    struct fo_journal_head head = {0};
    struct fo_journal_report r;
    struct buf b;

    (void)state;
    for (int which = 0; which < 2; which++) {
        memset(&head, 0, sizeof head);
        buf_init(&b, NULL, 1 << 20);
        for (int i = 0; i < 3; i++) {
            struct fo_journal_line l = sample(i);

            if (i == 2 && which == 0)
                l.token = (struct fencing){0, 9999};
            if (i == 2 && which == 1)
                l.epoch = 6;
            assert_int_equal(fo_journal_write(&l, &head, &b), 0);
            buf_u8(&b, '\n');
        }
        assert_int_equal(fo_journal_verify(buf_bytes(&b), &r), ERR_MALFORMED);
        assert_int_equal(r.bad, 3);
        buf_free(&b);
    }
}

static void two_regions(void **state)
{
    struct fo_journal_head ha = {0}, hb = {0};
    struct fo_journal_difference d;
    struct buf a, b;
    struct bytes tail;

    (void)state;
    chain(&a, &ha, 6);
    chain(&b, &hb, 4);
    assert_int_equal(fo_journal_compare(buf_bytes(&a), buf_bytes(&b), &d), 0);
    assert_int_equal(d.same, 4);
    assert_int_equal(d.only_a, 2);
    assert_int_equal(d.only_b, 0);
    tail = (struct bytes){nth(&a, 2).p, a.len - (size_t)(nth(&a, 2).p - a.data)};
    assert_int_equal(fo_journal_compare(tail, buf_bytes(&b), &d), 0);
    assert_int_equal(d.same, 2);
    assert_int_equal(d.only_a, 2);
    assert_int_equal(d.only_b, 2);
    for (int i = 4; i < 6; i++) {
        struct fo_journal_line l = sample(i);

        if (i == 5)
            put(l.actor, sizeof l.actor, "east");
        assert_int_equal(fo_journal_write(&l, &hb, &b), 0);
        buf_u8(&b, '\n');
    }
    assert_int_equal(fo_journal_compare(buf_bytes(&a), buf_bytes(&b), &d), ERR_STATE);
    assert_int_equal(d.seq, 6);
    assert_int_equal(d.same, 5);
    b.data[10] ^= 1;
    assert_int_equal(fo_journal_compare(buf_bytes(&a), buf_bytes(&b), &d), ERR_MALFORMED);
    assert_int_equal(d.a.bad, 0);
    assert_int_equal(d.b.bad, 1);
    buf_free(&a);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back),          cmocka_unit_test(odd_text),
        cmocka_unit_test(damage_of_each_byte), cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(lines_moved),         cmocka_unit_test(line_rewritten),
        cmocka_unit_test(two_regions),         cmocka_unit_test(tokens_do_not_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
