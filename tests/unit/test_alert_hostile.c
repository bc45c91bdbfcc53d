/* What must not make an alert begin or end: our own absence, our own clock, and long gaps. On virtual time. */
#include "tests/unit/alert_kit.h"

static const char hot[] =
    "[alert hot]\nmetric = temperature\nby = host\nabove = 80\nfor = 1m\nclear_for = 30s\nforget = 1h\n";

/* We were away for longer than `forget`: that nothing is known is not the group's fault. */
static void test_away_for_long(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, hot);
    kit_set(&k, "temperature host=a", 90);
    kit_until(&k, 300);
    kit_expect(&k, "0h00m00s hot{host=a} inactive -> pending row 2\n"
                   "0h01m00s hot{host=a} pending -> firing row 10\n");
    kit_drop(&k, "temperature host=a");
    k.at += 3 * 3600000;
    kit_restart(&k, NULL);
    for (int i = 0; i < 60; i++, k.at += 1000)
        kit_step(&k);
    kit_expect(&k, "");
    kit_set(&k, "temperature host=a", 90);
    kit_until(&k, k.at / 1000 + 300);
    kit_expect(&k, "");
    kit_drop(&k, "temperature host=a"); /* but silence while we look ends it */
    kit_until(&k, k.at / 1000 + 3600 + 400);
    kit_expect(&k, "4h15m51s hot{host=a} firing -> inactive row 28\n");
    kit_close(&k);
}

/* The same of a hold of decisions: the machine slept. */
static void test_slept_for_long(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, hot);
    kit_set(&k, "temperature host=a", 90);
    kit_until(&k, 300);
    buf_clear(&k.log);
    kit_drop(&k, "temperature host=a");
    k.at += 3 * 3600000;
    k.hold = true;
    kit_step(&k);
    k.hold = false;
    for (int i = 0; i < 60; i++, k.at += 1000)
        kit_step(&k);
    kit_expect(&k, "");
    kit_close(&k);
}

/* What counts missing data as bad has to look for a window first. */
static void test_absence_is_seen_not_assumed(void **state)
{
    static const char rules[] =
        "[alert gone]\nmetric = temperature\nby = host\nstatistic = absent\nwindow = 2m\n"
        "[alert blind]\nmetric = temperature\nby = host\nabove = 80\nwindow = 2m\nno_data = alert\n";
    struct kit k;

    (void)state;
    kit_open(&k, rules);
    kit_set(&k, "temperature host=a", 20);
    kit_until(&k, 300);
    kit_drop(&k, "temperature host=a");
    k.at += 600000; /* away for ten minutes */
    kit_restart(&k, NULL);
    for (int i = 0; i < 30; i++, k.at += 1000)
        kit_step(&k);
    kit_expect(&k, "");
    kit_set(&k, "temperature host=a", 20);
    kit_until(&k, k.at / 1000 + 300);
    kit_expect(&k, "");
    kit_drop(&k, "temperature host=a");
    kit_until(&k, k.at / 1000 + 300);
    assert_int_equal(k.notices, 2);
    kit_close(&k);
}

/* The clock goes back while a page waits for its suppressors: it waits no longer for that. */
static void test_waits_by_a_clock_that_went_back(void **state)
{
    static const char rules[] =
        "[alert region-down]\nmetric = up\nby = region\nbelow = 1\n"
        "[alert hot]\nmetric = temperature\nby = host\nabove = 80\nsuppressed_by = region-down\n"
        "suppress_wait = 30s\n";
    struct kit k;

    (void)state;
    kit_open(&k, rules);
    kit_set(&k, "up region=eu", 1);
    kit_set(&k, "temperature host=a", 20);
    kit_until(&k, 60);
    kit_set(&k, "temperature host=a", 90);
    kit_until(&k, 75);
    buf_clear(&k.log);
    k.offset = -5 * 60000;
    kit_until(&k, 160);
    assert_non_null(strstr(buf_text(&k.log), "hot{host=a} firing -> firing row 40\n"));
    kit_close(&k);
}

/* Three bad steps of five that lie hours apart are not three of five. */
static void test_points_forget(void **state)
{
    static const char rules[] = "[alert spiky]\nmetric = temperature\nby = host\nabove = 80\npoints = 3 of "
                                "5\nevery = 10s\nwindow = 10s\n";
    struct kit k;

    (void)state;
    kit_open(&k, rules);
    kit_set(&k, "temperature host=a", 90);
    kit_until(&k, 15); /* two of them */
    kit_drop(&k, "temperature host=a");
    kit_until(&k, 4 * 3600);
    kit_set(&k, "temperature host=a", 90);
    kit_until(&k, 4 * 3600 + 5);
    kit_expect(&k, "");
    kit_until(&k, 4 * 3600 + 60);
    kit_expect(&k, "4h00m20s spiky{host=a} inactive -> firing row 1\n");
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_away_for_long),
        cmocka_unit_test(test_slept_for_long),
        cmocka_unit_test(test_absence_is_seen_not_assumed),
        cmocka_unit_test(test_waits_by_a_clock_that_went_back),
        cmocka_unit_test(test_points_forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
