/* What the PostgreSQL driver makes of what it has read: lag as the data that would be lost, names to wait for, marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/actions/pg.h"

enum { NOW = 1000000 };

static struct pg_state standby(void)
{
    return (struct pg_state){.known = true,
                             .in_recovery = true,
                             .open = true,
                             .system = 7,
                             .now_ms = NOW,
                             .end = 5000,
                             .replayed = 5000,
                             .xact_ms = NOW - 9000,
                             .beat_ms = NOW - 4000,
                             .receiver = true,
                             .streaming = true,
                             .sent_ms = NOW - 300,
                             .heard_ms = NOW - 200,
                             .told = 5000,
                             .silence_ms = 35000};
}

static struct pg_state primary(int64_t end)
{
    return (struct pg_state){.known = true, .open = true, .system = 7, .now_ms = NOW + 50, .end = end};
}

static const struct pg_state away = {.known = false};

static struct action_result lag(struct pg_state p, struct pg_state s)
{
    struct action_result r = {.have_lag = true, .lag_ms = -5};

    pg_lag(&p, &s, &r);
    return r;
}

static void expect(struct action_result r, int64_t ms, int64_t age)
{
    assert_true(r.have_lag);
    assert_int_equal(r.lag_ms, ms);
    assert_int_equal(r.lag_age_ms, age);
}

static void with_its_primary(void **state)
{
    struct pg_state s = standby();

    (void)state;
    expect(lag(primary(5000), s), 0, 0); /* however long nobody has written */
    expect(lag(primary(5001), s), 50 + 300, 0);
    s.told = 5001; /* it was told of more than it has: what has been replayed counts */
    expect(lag(primary(5001), s), 50 + 4000, 0);
    s.beat_ms = s.xact_ms = -1;
    assert_false(lag(primary(5001), s).have_lag);
    expect(lag(primary(5000), s), 0, 0);
    s = standby();
    s.replayed = 100; /* received is as good as replayed */
    expect(lag(primary(5000), s), 0, 0);
    s.beat_ms = NOW + 60; /* clocks that disagree: behind is never 0 */
    expect(lag(primary(5001), s), 1, 0);
}

static void without_its_primary(void **state)
{
    struct pg_state s = standby();

    (void)state;
    expect(lag(away, s), 100, 200);
    s.told = 6000;
    expect(lag(away, s), 3800, 200);
    s.sent_ms = s.heard_ms + 70; /* its clock runs ahead of ours */
    s.told = 5000;
    expect(lag(away, s), 0, 200);
    s = standby();
    s.receiver = false; /* nothing heard since: as old as its newest content */
    expect(lag(away, s), 0, 4000);
    s.beat_ms = -1;
    expect(lag(away, s), 0, 9000);
    s.xact_ms = -1;
    assert_false(lag(away, s).have_lag);
    s = standby();
    s.beat_ms = s.xact_ms = -1;
    s.told = 9000;
    assert_false(lag(away, s).have_lag);
}

static void not_a_pair(void **state)
{
    struct pg_state s = standby(), p = primary(5000);

    (void)state;
    p.system = 8;
    assert_false(lag(p, s).have_lag);
    p = primary(5000);
    p.in_recovery = true; /* no primary: as if it were not there */
    expect(lag(p, s), 100, 200);
    s.in_recovery = false;
    assert_false(lag(primary(5000), s).have_lag);
    assert_true(lag(primary(5000), s).writable);
    s.open = false;
    assert_false(lag(primary(5000), s).writable);
    s.known = false;
    assert_false(lag(primary(5000), s).have_lag);
}

static void receiving(void **state)
{
    struct pg_state s = standby();

    (void)state;
    assert_true(lag(away, s).receiving);
    s.heard_ms = NOW - 35001;
    assert_false(lag(away, s).receiving);
    s = standby();
    s.streaming = false;
    assert_false(lag(away, s).receiving);
    s = standby();
    s.receiver = false;
    assert_false(lag(away, s).receiving);
}

static void names(void **state)
{
    static const char *const all[] = {
        "west",          " west ",       "1 (west)",   "2 (a, b)",        "FIRST 1 (west)",
        "first 3 (a,b)", "ANY 2 (a, b)", "\"we, st\"", "any 1 (\"a(b\")", "first1(west)"};
    static const char *const some[] = {"",
                                       "*",
                                       "a, b",
                                       "1 (a, b)",
                                       "ANY 1 (a, b)",
                                       "first 1 (*)",
                                       "any 2 (a, *)",
                                       "1 (a",
                                       "1 a",
                                       "any 1 (a) b",
                                       "2 (a,)",
                                       "\"a",
                                       "first (a, b)",
                                       "1 ()",
                                       "99999999999999999999 (a",
                                       "first"};

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!pg_waits_for_all(all[i]))
            fail_msg("%s", all[i]);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (pg_waits_for_all(some[i]) && strcmp(some[i], "first") != 0) /* that is a name */
            fail_msg("%s", some[i]);
}

static void marks(void **state)
{
    static const char mark[] = "epoch=8 token=1.4711 plan=x";
    char out[200];
    struct pg_state s = {.fenced = false};

    (void)state;
    pg_mark("", mark, "fenced", out, sizeof out);
    assert_string_equal(out, "[securebase epoch=8 token=1.4711 plan=x fenced]");
    pg_read_mark(out, &s);
    assert_true(s.fenced && s.epoch == 8 && s.token.store == 1 && s.token.rev == 4711);
    pg_mark("the shop [securebase epoch=8 token=1.4711 plan=x fenced]", mark, "open", out, sizeof out);
    assert_string_equal(out, "the shop [securebase epoch=8 token=1.4711 plan=x open]");
    pg_read_mark(out, &s);
    assert_false(s.fenced);
    pg_mark("[securebase half", mark, "open", out, sizeof out); /* nobody's: kept */
    assert_string_equal(out, "[securebase half [securebase epoch=8 token=1.4711 plan=x open]");
    s = (struct pg_state){.fenced = false};
    pg_read_mark("the shop", &s);
    assert_int_equal(s.epoch, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(with_its_primary),
                                       cmocka_unit_test(without_its_primary),
                                       cmocka_unit_test(not_a_pair),
                                       cmocka_unit_test(receiving),
                                       cmocka_unit_test(names),
                                       cmocka_unit_test(marks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
