/* When drills are due (aggregator/failover/cron.h): each field, the nth weekday, daylight saving, mistakes; and every answer
 * against a walk through all minutes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aggregator/failover/cron.h"
#include "common/base/rng.h"

static struct zone *zone(const char *name)
{
    struct err e = {0};
    struct zone *z = zone_load(name, &e);

    assert_non_null(z);
    return z;
}

static struct wall at(const struct zone *z, const char *text)
{
    struct wall w;
    struct err e = {0};

    assert_int_equal(zone_read(z, text, &w, &e), 0);
    return w;
}

static void expect(const char *cron, const char *zone_name, const char *from, const char *next)
{
    struct zone *z = zone(zone_name);
    struct cron c;
    struct err e = {0};
    struct wall w;

    assert_int_equal(cron_parse(cron, &c, &e), 0);
    assert_true(cron_next(&c, z, at(z, from), &w));
    assert_int_equal(w.ms, at(z, next).ms);
    zone_free(&z);
}

static void test_fields(void **state)
{
    (void)state;
    expect("* * * * *", "UTC", "2026-11-24 10:00", "2026-11-24 10:01");
    expect("*/30 * * * *", "UTC", "2026-11-24 10:00", "2026-11-24 10:30");
    expect("*/30 * * * *", "UTC", "2026-11-24 10:30", "2026-11-24 11:00");
    expect("5,35 8-10 * * *", "UTC", "2026-11-24 10:35", "2026-11-25 08:05");
    expect("0 2 1 * *", "UTC", "2026-11-24 10:00", "2026-12-01 02:00");
    expect("0 2 29 2 *", "UTC", "2026-11-24 10:00", "2028-02-29 02:00");
    expect("0 10 * * tue", "UTC", "2026-11-24 10:00", "2026-12-01 10:00");
    expect("0 10 * * sun", "UTC", "2026-11-24 10:00", "2026-11-29 10:00");
    expect("0 10 * * 7", "UTC", "2026-11-24 10:00", "2026-11-29 10:00");
    expect("0 10 * * mon-fri", "UTC", "2026-11-27 10:00", "2026-11-30 10:00");
    expect("0 0 31 12 *", "UTC", "2026-12-31 00:00", "2027-12-31 00:00");
}

static void test_nth_weekday(void **state)
{
    (void)state;
    expect("0 10 * * tue#1", "UTC", "2026-11-24 10:00", "2026-12-01 10:00");
    expect("0 10 * * tue#1", "UTC", "2026-12-01 10:00", "2027-01-05 10:00");
    expect("0 10 * * fri#5", "UTC", "2026-11-24 10:00", "2027-01-29 10:00");
    expect("0 10 * * tue#1,thu#3", "UTC", "2026-12-01 10:00", "2026-12-17 10:00");
}

/* Unlike cron's: a Friday the 13th, not every Friday and every 13th. */
static void test_day_and_weekday_both_hold(void **state)
{
    (void)state;
    expect("0 10 13 * fri", "UTC", "2026-11-24 10:00", "2027-08-13 10:00");
}

static void test_daylight_saving(void **state)
{
    struct zone *z = zone("Europe/Berlin");
    struct cron c;
    struct err e = {0};
    struct wall first, second;

    (void)state;
    expect("30 2 * * *", "Europe/Berlin", "2027-03-27 12:00", "2027-03-28 03:00"); /* 02:30 is skipped */
    assert_int_equal(cron_parse("30 2 * * *", &c, &e), 0);
    assert_true(cron_next(&c, z, at(z, "2026-10-24 12:00"), &first)); /* 02:30 is there twice on the 25th */
    assert_int_equal(first.ms, at(z, "2026-10-25T02:30:00+02:00").ms);
    assert_true(cron_next(&c, z, first, &second));
    assert_int_equal(second.ms, at(z, "2026-10-26 02:30").ms);
    zone_free(&z);
}

static void test_never(void **state)
{
    struct zone *z = zone("UTC");
    struct cron c;
    struct err e = {0};
    struct wall w;

    (void)state;
    assert_int_equal(cron_parse("0 0 30 2 *", &c, &e), 0);
    assert_false(cron_next(&c, z, at(z, "2026-11-24 10:00"), &w));
    zone_free(&z);
}

static void test_mistakes(void **state)
{
    static const char *const bad[] = {
        "",           "* * * *",      "* * * * * *",   "60 * * * *",  "* 24 * * *",
        "* * 0 * *",  "* * 32 * *",   "* * * 13 *",    "* * * * 8",   "* * * * foo",
        "5- * * * *", "10-5 * * * *", "*/0 * * * *",   "1,, * * * *", "1, * * * *",
        "-1 * * * *", "* * * * *#1",  "* * * * tue#6", "a * * * *",   "*/ * * * *"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cron c;
        struct err e = {0};

        assert_int_not_equal(cron_parse(bad[i], &c, &e), 0);
        assert_true(e.text[0]);
    }
}

static bool fits(const struct cron *c, const struct civil *d)
{
    return (c->minutes >> d->minute & 1) && (c->hours >> d->hour & 1) && (c->days >> d->day & 1) &&
           (c->months >> d->month & 1) &&
           ((c->weekdays[0] >> d->weekday & 1) || (c->weekdays[(d->day - 1) / 7 + 1] >> d->weekday & 1));
}

/* Against all minutes of the days that follow, in a zone without daylight saving. */
static void test_against_every_minute(void **state)
{
    struct zone *z = zone("UTC");
    struct rng r;

    (void)state;
    rng_seed(&r, 7);
    for (int round = 0; round < 200; round++) {
        struct cron c = {.minutes = rng_next(&r) & rng_next(&r) & ((UINT64_C(1) << 60) - 1),
                         .hours = (uint32_t)rng_next(&r) & 0xffffff,
                         .days = (uint32_t)rng_next(&r) & 0xfffffffe,
                         .months = 0x1ffe};
        struct wall t = {INT64_C(1795000000000) + (int64_t)rng_below(&r, 86400000)}, w = {0};
        struct wall walk = {t.ms / 60000 * 60000 + 60000};
        bool found = false;

        for (int i = 0; i < 6; i++)
            c.weekdays[i] = (uint8_t)(rng_next(&r) & 0x7f);
        for (int i = 0; i < 20000 && !found; i++, walk.ms += 60000) {
            struct civil d = zone_civil(z, walk);

            if (fits(&c, &d)) {
                assert_true(cron_next(&c, z, t, &w));
                assert_int_equal(w.ms, walk.ms);
                found = true;
            }
        }
    }
    zone_free(&z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_nth_weekday),
        cmocka_unit_test(test_day_and_weekday_both_hold),
        cmocka_unit_test(test_daylight_saving),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_against_every_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
