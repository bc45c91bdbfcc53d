/* Answers: each status both ways, and what a stranger may send instead. */
#include "tests/unit/wire_kit.h"

static void round_trip(const struct wire_answer *a, bool for_definitions, struct wire_answer *back,
                       struct arena *ar)
{
    struct err e = {0};
    struct buf b;

    buf_init(&b, NULL, 1 << 16);
    assert_int_equal(wire_answer_encode(a, for_definitions, &b), 0);
    if (wire_answer_decode(a->status, b.data, b.len, for_definitions, ar, back, &e))
        fail_msg("status %d: %s", a->status, e.text);
    buf_free(&b);
}

static void test_taken(void **state)
{
    struct wire_answer a = {.status = 200, .epoch = UINT64_MAX, .seq = 3, .time = -1, .duplicate = true},
                       back;
    struct arena ar;

    (void)state;
    arena_init(&ar, NULL, 0);
    a.refused[WIRE_TOO_OLD] = 5;
    a.refused[WIRE_VALUE_QUOTA] = UINT64_MAX;
    round_trip(&a, false, &back, &ar);
    assert_true(back.epoch == UINT64_MAX && back.seq == 3 && back.time == -1 && back.duplicate);
    assert_memory_equal(back.refused, a.refused, sizeof a.refused);
    assert_int_equal(back.refused_other, 0);
    round_trip(&a, true, &back, &ar);
    assert_true(back.time == -1 && back.epoch == 0);
    arena_free(&ar);
}

static void test_need_and_superseded(void **state)
{
    struct wire_hash need[65] = {{{1}}, {{2}}};
    struct wire_answer a = {.status = 409, .need = need, .n_need = 65}, back;
    struct arena ar;

    (void)state;
    arena_init(&ar, NULL, 0);
    round_trip(&a, false, &back, &ar);
    assert_int_equal(back.n_need, 65);
    assert_memory_equal(back.need, need, sizeof need);
    assert_int_equal(back.reason, WIRE_DEFINITIONS);
    a = (struct wire_answer){.status = 410, .epoch = 77};
    round_trip(&a, false, &back, &ar);
    assert_true(back.epoch == 77 && back.reason == WIRE_SUPERSEDED);
    arena_free(&ar);
}

static void test_refusals(void **state)
{
    struct arena ar;

    (void)state;
    arena_init(&ar, NULL, 0);
    for (int i = WIRE_OK + 1; i < WIRE_REASONS; i++) {
        struct wire_answer a = {.status = wire_reason_status((enum wire_reason)i),
                                .reason = (enum wire_reason)i},
                           back;

        if (a.status == 409 || a.status == 410)
            continue;
        memcpy(a.error, "a sentence", 11);
        round_trip(&a, false, &back, &ar);
        assert_int_equal(back.reason, i);
        assert_string_equal(back.error, "a sentence");
    }
    arena_free(&ar);
}

static void test_text_is_mended(void **state)
{
    static const char *const rows[][2] = {{"cut \xe2\x82", "cut ??"},
                                          {"\xff\xe2\x82\xac", "?\xe2\x82\xac"},
                                          {"\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!"}};
    struct wire_answer a = {.status = 400, .reason = WIRE_BLOCK}, back;
    struct arena ar;

    (void)state;
    arena_init(&ar, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        memset(a.error, 0, sizeof a.error);
        memcpy(a.error, rows[i][0], strlen(rows[i][0]));
        round_trip(&a, false, &back, &ar);
        assert_string_equal(back.error, rows[i][1]);
    }
    memset(a.error, 'x', sizeof a.error); /* not even terminated */
    round_trip(&a, false, &back, &ar);
    assert_int_equal(strlen(back.error), sizeof a.error - 1);
    arena_free(&ar);
}

static void check(int status, const char *p, size_t n, bool ok, struct wire_answer *a)
{
    struct arena ar;
    struct err e = {0};
    int rc;

    arena_init(&ar, NULL, 0);
    rc = wire_answer_decode(status, (const uint8_t *)p, n, false, &ar, a, &e);
    if ((rc == 0) != ok)
        fail_msg("status %d, %zu bytes: %d %s", status, n, rc, e.text);
    arena_free(&ar);
}

#define CHECK(status, s, ok) check(status, s, sizeof(s) - 1, ok, &a)

static void test_strangers(void **state)
{
    struct wire_answer a;

    (void)state;
    CHECK(200, "", false);
    CHECK(200, "<html>", false);
    CHECK(200, "\x80", false);
    CHECK(200,
          "\x85\xa9"
          "duplicate\xc2\xa5"
          "epoch\x01\xa7"
          "refused\x80\xa3seq\x01\xa4time\x01",
          true);
    CHECK(200,
          "\x85\xa9"
          "duplicate\x00\xa5"
          "epoch\x01\xa7"
          "refused\x80\xa3seq\x01\xa4time\x01",
          false);
    CHECK(200,
          "\x85\xa9"
          "duplicate\xc2\xa5"
          "epoch\xff\xa7"
          "refused\x80\xa3seq\x01\xa4time\x01",
          false);
    CHECK(200,
          "\x85\xa9"
          "duplicate\xc2\xa5"
          "epoch\x01\xa7"
          "refused\x90\xa3seq\x01\xa4time\x01",
          false);
    CHECK(200,
          "\x85\xa9"
          "duplicate\xc2\xa5"
          "epoch\x01\xa7"
          "refused\x81\xa1x\x05\xa3seq\x01\xa4time\x01",
          true);
    assert_int_equal(a.refused_other,
                     5); /* a reason that this version does not know is counted all the same */
    CHECK(409, "\x80", false);
    CHECK(409, "\x81\xa4need\x90", true);
    CHECK(409, "\x81\xa4need\x91\xc4\x01x", false);
    CHECK(409, "\x81\xa4need\xdd\xff\xff\xff\xff", false);
    CHECK(410,
          "\x81\xa5"
          "epoch\xa1x",
          false);
    CHECK(503,
          "\x82\xa5"
          "error\xa1x\xa6reason\xa8overload",
          true);
    assert_int_equal(a.reason, WIRE_OVERLOAD);
    CHECK(503,
          "\x82\xa5"
          "error\xa1x\xa6reason\xa4more",
          true);
    assert_int_equal(a.reason, WIRE_OK);
    assert_string_equal(a.error, "more: x");
    CHECK(503,
          "\x81\xa5"
          "error\xa1x",
          false);
    CHECK(500,
          "\x82\xa5"
          "error\xa1x\xa6reason\xa8overload",
          false); /* no status of the protocol */
    CHECK(301, "\x80", false);
}

static void test_tokens(void **state)
{
    static const char list[] =
        "not_found method length type too_large unauthorized frame malformed limit version epoch "
        "identity superseded conflict definitions block sketch event definition overload quota "
        "unavailable";
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1000);
    for (int i = 1; i < WIRE_REASONS; i++)
        buf_fmt(&b, "%s%s", i > 1 ? " " : "", wire_reason_name((enum wire_reason)i));
    assert_string_equal(buf_text(&b), list);
    buf_free(&b);
}

static void test_any_bytes(void **state)
{
    static const int statuses[] = {200, 400, 409, 410, 503};
    struct wire_answer a = {.status = 200, .epoch = 1, .seq = 1}, back;
    struct buf b;
    struct rng r;

    (void)state;
    rng_seed(&r, 9);
    buf_init(&b, NULL, 10000);
    for (int i = 0; i < 50000; i++) {
        struct arena ar;

        arena_init(&ar, NULL, 0);
        buf_clear(&b);
        a.status = statuses[i % 5];
        assert_int_equal(wire_answer_encode(&a, i % 2, &b), 0);
        b.data[rng_below(&r, b.len)] = (uint8_t)rng_next(&r);
        b.len -= rng_below(&r, 4) ? 0 : rng_below(&r, b.len);
        (void)wire_answer_decode(a.status, b.data, b.len, i % 2, &ar, &back, NULL);
        assert_non_null(memchr(back.error, 0, sizeof back.error));
        arena_free(&ar);
    }
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),     cmocka_unit_test(test_need_and_superseded),
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_text_is_mended),
        cmocka_unit_test(test_strangers), cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
