/* Time zones against the C library's own reading of the same files: offsets, dates, both nights of a change, the
 * far future; then what calendars need: instants, periods, weekly windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "common/base/rng.h"
#include "common/base/zone.h"

static const char *const zones[] = {
    "Europe/Berlin",      "America/New_York",    "Australia/Lord_Howe", "Asia/Kathmandu",
    "America/Sao_Paulo",  "Africa/Casablanca",   "Pacific/Apia",        "UTC",
    "Europe/Dublin",      "America/St_Johns",    "Asia/Gaza",           "Antarctica/Troll",
    "America/Havana",     "Asia/Tehran",         "Africa/Monrovia",     "America/Nuuk",
    "Pacific/Kiritimati", "America/Scoresbysund"};

static struct zone *load(const char *name)
{
    struct err e = {0};
    struct zone *z = zone_load(name, &e);

    if (!z)
        fail_msg("%s: %s", name, e.text);
    return z;
}

static struct wall at(const struct zone *z, const char *text)
{
    struct err e = {0};
    struct wall t = {0};

    if (zone_read(z, text, &t, &e) < 0)
        fail_msg("%s", e.text);
    return t;
}

static const char *shown(struct wall t)
{
    static char text[4][WALL_TEXT];
    static unsigned i;

    i = (i + 1) % 4;
    return wall_text(t, text[i]);
}

static void same(const struct zone *z, int64_t s)
{
    time_t t = (time_t)s;
    struct tm tm;
    struct civil c = zone_civil(z, (struct wall){s * 1000 + 999});

    assert_non_null(localtime_r(&t, &tm));
    if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday ||
        c.hour != tm.tm_hour || c.minute != tm.tm_min || c.second != tm.tm_sec ||
        c.weekday != (tm.tm_wday + 6) % 7 || c.yearday != tm.tm_yday + 1 || c.offset != tm.tm_gmtoff)
        fail_msg("%s at %lld: %d-%d-%d %d:%d:%d %d, and the C library has %d-%d-%d %d:%d:%d %ld",
                 zone_name(z), (long long)s, c.year, c.month, c.day, c.hour, c.minute, c.second, c.offset,
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 tm.tm_gmtoff);
}

/* What instant() promises of the local time that t has: one of its instants, the first no later than the later. */
static void there_and_back(const struct zone *z, struct wall t)
{
    struct civil c = zone_civil(z, t), d;
    struct wall a = zone_instant(z, &c, false), b = zone_instant(z, &c, true);

    assert_true(a.ms == t.ms || b.ms == t.ms);
    assert_true(a.ms <= t.ms && t.ms <= b.ms);
    d = zone_civil(z, a);
    assert_true(d.year == c.year && d.yearday == c.yearday && d.hour == c.hour && d.minute == c.minute &&
                d.second == c.second);
}

static void as_the_c_library(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 11);
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct zone *z = load(zones[i]);
        struct wall t = {-2208988800000}, next; /* 1900 */
        unsigned changes = 0;

        setenv("TZ", zones[i], 1);
        tzset();
        for (int k = 0; k < 4000; k++) { /* 1900 … 2500 */
            int64_t s = -2208988800 + (int64_t)(rng_next(&r) % 18934300800);

            same(z, s);
            there_and_back(z, (struct wall){s * 1000});
        }
        while (zone_next_change(z, t, &next) && next.ms < 10413792000000) { /* 2300 */
            int64_t s = next.ms / 1000;

            assert_true(next.ms > t.ms);
            assert_int_not_equal(zone_civil(z, (struct wall){next.ms - 1}).offset,
                                 zone_civil(z, next).offset);
            for (int64_t k = -2; k <= 2; k++) {
                same(z, s + k);
                same(z, s + k * 1800);
                there_and_back(z, (struct wall){(s + k) * 1000});
                there_and_back(z, (struct wall){(s + k * 1800) * 1000});
            }
            /* nothing happened in between */
            assert_int_equal(zone_civil(z, t).offset, zone_civil(z, (struct wall){next.ms - 1}).offset);
            t = next;
            changes++;
        }
        assert_true(changes < 1000);
        if (strcmp(zones[i], "Europe/Berlin") == 0)
            assert_true(changes > 500);
        zone_free(&z);
        assert_null(z);
    }
    unsetenv("TZ");
    tzset();
}

static void leap_days_and_month_ends(void **state)
{
    struct zone *z = load("Europe/Berlin");
    struct civil c = zone_civil(z, at(z, "2028-02-29 12:00"));
    struct wall t;
    struct err e = {0};

    (void)state;
    assert_true(c.month == 2 && c.day == 29 && c.yearday == 60 && c.weekday == 1);
    assert_int_equal(zone_civil(z, at(z, "2028-12-31")).yearday, 366);
    assert_int_equal(zone_read(z, "2027-02-29", &t, &e), ERR_MALFORMED);
    assert_int_equal(zone_read(z, "2100-02-29", &t, &e), ERR_MALFORMED);
    assert_int_equal(zone_read(z, "2000-02-29", &t, &e), 0);
    c = (struct civil){
        .year = 2026, .month = 14, .day = 0, .hour = 25}; /* carried over: 31 January 2027, 25:00 */
    assert_string_equal(shown(zone_instant(z, &c, false)), "2027-02-01T00:00:00.000Z");
    c = (struct civil){.year = 2026, .month = -1, .day = 31, .minute = -1};
    assert_string_equal(shown(zone_instant(z, &c, false)), "2025-11-30T22:59:00.000Z");
    zone_free(&z);
}

static void both_nights(void **state)
{
    struct zone *z = load("Europe/Berlin");
    struct civil twice = {.year = 2026, .month = 10, .day = 25, .hour = 2, .minute = 30};

    (void)state;
    /* 02:00 to 03:00 is skipped on 29 March: all of it is the gap's end */
    assert_string_equal(shown(at(z, "2026-03-29 01:59")), "2026-03-29T00:59:00.000Z");
    assert_string_equal(shown(at(z, "2026-03-29 02:00")), "2026-03-29T01:00:00.000Z");
    assert_string_equal(shown(at(z, "2026-03-29 02:30")), "2026-03-29T01:00:00.000Z");
    assert_string_equal(shown(at(z, "2026-03-29 03:00")), "2026-03-29T01:00:00.000Z");
    assert_string_equal(shown(at(z, "2026-03-29 03:30")), "2026-03-29T01:30:00.000Z");
    /* and is there twice on 25 October */
    assert_string_equal(shown(at(z, "2026-10-25 02:30")), "2026-10-25T00:30:00.000Z");
    assert_string_equal(shown(zone_instant(z, &twice, true)), "2026-10-25T01:30:00.000Z");
    assert_string_equal(shown(at(z, "2026-10-25 03:00")), "2026-10-25T02:00:00.000Z");
    zone_free(&z);
    /* Apia went over the date line: there was no 30 December 2011 */
    z = load("Pacific/Apia");
    assert_string_equal(shown(at(z, "2011-12-30 12:00")), "2011-12-30T10:00:00.000Z");
    assert_string_equal(shown(at(z, "2011-12-31 00:00")), "2011-12-30T10:00:00.000Z");
    assert_string_equal(shown(at(z, "2011-12-29 23:59")), "2011-12-30T09:59:00.000Z");
    zone_free(&z);
    /* half an hour */
    z = load("Australia/Lord_Howe");
    assert_string_equal(shown(at(z, "2026-10-04 02:15")), "2026-10-03T15:30:00.000Z");
    assert_string_equal(shown(at(z, "2026-10-04 02:30")), "2026-10-03T15:30:00.000Z");
    zone_free(&z);
}

static void expect_period(const struct zone *z, enum period p, const char *t, int n, const char *from,
                          const char *to)
{
    struct wall a, b;

    zone_period_at(z, p, at(z, t), n, &a, &b);
    assert_string_equal(shown(a), shown(at(z, from)));
    assert_string_equal(shown(b), shown(at(z, to)));
}

static void periods(void **state)
{
    struct zone *z = load("Europe/Berlin");
    struct wall a, b;

    (void)state;
    expect_period(z, PERIOD_DAY, "2026-11-24 13:00", 0, "2026-11-24", "2026-11-25");
    expect_period(z, PERIOD_DAY, "2026-03-01 00:00", -1, "2026-02-28", "2026-03-01");
    expect_period(z, PERIOD_WEEK, "2026-11-24 13:00", 0, "2026-11-23", "2026-11-30");
    expect_period(z, PERIOD_WEEK, "2026-11-23 00:00", 6, "2027-01-04", "2027-01-11");
    expect_period(z, PERIOD_WEEK, "2026-11-29 23:59", -1, "2026-11-16", "2026-11-23");
    expect_period(z, PERIOD_MONTH, "2026-01-31 10:00", 1, "2026-02-01", "2026-03-01");
    expect_period(z, PERIOD_MONTH, "2026-01-31 10:00", -1, "2025-12-01", "2026-01-01");
    expect_period(z, PERIOD_MONTH, "2026-11-30 23:59:59", 0, "2026-11-01", "2026-12-01");
    expect_period(z, PERIOD_MONTH, "2026-11-30 23:59:59", -120, "2016-11-01", "2016-12-01");
    expect_period(z, PERIOD_QUARTER, "2026-11-24", 0, "2026-10-01", "2027-01-01");
    expect_period(z, PERIOD_QUARTER, "2026-11-24", 2, "2027-04-01", "2027-07-01");
    expect_period(z, PERIOD_QUARTER, "2026-02-24", -1, "2025-10-01", "2026-01-01");
    expect_period(z, PERIOD_YEAR, "2026-11-24", -1, "2025-01-01", "2026-01-01");
    expect_period(z, PERIOD_HOUR, "2026-11-24 13:59:59", 0, "2026-11-24 13:00", "2026-11-24 14:00");
    expect_period(z, PERIOD_HOUR, "2026-03-29 01:30", 1, "2026-03-29 03:00", "2026-03-29 04:00");
    /* a day of 23 hours, one of 25, and a month with both ends in different offsets */
    zone_period(z, PERIOD_DAY, at(z, "2026-03-29 12:00"), &a, &b);
    assert_int_equal(b.ms - a.ms, 23 * 3600000);
    zone_period(z, PERIOD_DAY, at(z, "2026-10-25 12:00"), &a, &b);
    assert_int_equal(b.ms - a.ms, 25 * 3600000);
    zone_period(z, PERIOD_MONTH, at(z, "2026-10-25 12:00"), &a, &b);
    assert_int_equal(b.ms - a.ms, (31 * 24 + 1) * 3600000LL);
    zone_free(&z);
    z = load("America/Sao_Paulo"); /* midnight was skipped: the day began at one */
    zone_period(z, PERIOD_DAY, at(z, "2018-11-04 12:00"), &a, &b);
    assert_string_equal(shown(a), "2018-11-04T03:00:00.000Z");
    assert_int_equal(b.ms - a.ms, 23 * 3600000);
    zone_free(&z);
    z = load("Asia/Kathmandu"); /* hours of the local clock: a quarter off */
    zone_period(z, PERIOD_HOUR, (struct wall){1764000000000}, &a, &b);
    assert_int_equal(a.ms % 3600000, 15 * 60000);
    zone_free(&z);
    z = load(
        "Australia/Lord_Howe"); /* the clock goes from 02:00 back to 01:30: half an hour is there twice */
    zone_period(z, PERIOD_HOUR, (struct wall){at(z, "2026-04-05 02:00").ms - 60000}, &a, &b);
    assert_int_equal(b.ms - a.ms, 30 * 60000);
    zone_free(&z);
}

/* Periods hold the instant and join without gap and without overlap, everywhere. */
static void periods_join(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 12);
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct zone *z = load(zones[i]);

        for (int k = 0; k < 3000; k++) {
            enum period p = (enum period)(k % 6);
            struct wall t = {((int64_t)(rng_next(&r) % 7258118400) - 1000000000) * 1000}, a, b, c, d, change;

            if (k % 2 && zone_next_change(z, t, &change))
                t.ms = change.ms + ((int64_t)(rng_next(&r) % 14400) - 7200) * 1000;
            zone_period(z, p, t, &a, &b);
            if (!(a.ms <= t.ms && t.ms < b.ms))
                fail_msg("%s period %d at %s: %s to %s", zones[i], p, shown(t), shown(a), shown(b));
            zone_period(z, p, b, &c, &d);
            assert_true(c.ms == b.ms || (p == PERIOD_DAY && c.ms <= b.ms));
            zone_period(z, p, (struct wall){a.ms - 1}, &c, &d);
            if (d.ms != a.ms)
                fail_msg("%s period %d: %s to %s before %s", zones[i], p, shown(c), shown(d), shown(a));
            if (p != PERIOD_HOUR) {
                zone_period_at(z, p, t, 1, &c, &d);
                assert_int_equal(c.ms, b.ms);
            }
        }
        zone_free(&z);
    }
}

static bool in(const char *windows, const struct zone *z, const char *t)
{
    struct weekly w[WEEKLY_MOST];
    unsigned n;
    struct err e = {0};

    if (weekly_parse(windows, w, &n, &e) < 0)
        fail_msg("%s", e.text);
    return weekly_holds(w, n, z, at(z, t));
}

static void expect_next(const char *windows, const struct zone *z, const char *t, const char *from,
                        const char *to)
{
    struct weekly w[WEEKLY_MOST];
    struct wall a, b;
    unsigned n;

    assert_int_equal(weekly_parse(windows, w, &n, NULL), 0);
    assert_true(weekly_next(w, n, z, at(z, t), &a, &b));
    assert_string_equal(shown(a), shown(at(z, from)));
    assert_string_equal(shown(b), shown(at(z, to)));
}

static void weekly_windows(void **state)
{
    struct zone *z = load("Europe/Berlin");
    struct weekly w[WEEKLY_MOST];
    unsigned n;
    struct err e = {0};
    static const char *const wrong[] = {
        "mon",  "mon 22:00",    "mon 22:00-25:00", "mon 24:00-02:00", "fun 10:00-11:00",
        "mon-", "* 1:00-02:00", "* 10:60-11:00",   "mon,10:00-11:00", "* 10:00-11:00 x"};

    (void)state;
    assert_true(in("mon-fri 22:00-06:00", z, "2026-11-24 22:00")); /* Tuesday */
    assert_true(in("mon-fri 22:00-06:00", z, "2026-11-25 05:59"));
    assert_false(in("mon-fri 22:00-06:00", z, "2026-11-25 06:00"));
    assert_true(in("mon-fri 22:00-06:00", z, "2026-11-28 05:00"));  /* Saturday: Friday's night */
    assert_false(in("mon-fri 22:00-06:00", z, "2026-11-29 05:00")); /* Sunday */
    assert_false(in("mon-fri 22:00-06:00", z, "2026-11-30 05:00")); /* Monday: Sunday's night */
    assert_true(in("sat,sun 00:00-24:00", z, "2026-11-29 23:59"));
    assert_false(in("sat,sun 00:00-24:00", z, "2026-11-30 00:00"));
    assert_true(in("sat-mon 10:00-11:00", z, "2026-11-30 10:30"));
    assert_false(in("sat-mon 10:00-11:00", z, "2026-12-01 10:30"));
    assert_true(in("Mon 10:00-11:00; TUE 12:00-13:00 ;", z, "2026-11-24 12:30"));
    assert_false(in("", z, "2026-11-24 12:30"));
    /* the nights of the change: 02:30-03:30 lasts half an hour in spring and two hours in autumn */
    assert_false(in("* 02:30-03:30", z, "2026-03-29 01:59"));
    assert_true(in("* 02:30-03:30", z, "2026-03-29 03:00"));
    assert_false(in("* 02:30-03:30", z, "2026-03-29 03:30"));
    expect_next("* 02:30-03:30", z, "2026-10-25 00:00", "2026-10-25T02:30:00+02:00",
                "2026-10-25T03:30:00+01:00");
    expect_next("* 02:00-02:30", z, "2026-03-29 00:00", "2026-03-30 02:00",
                "2026-03-30 02:30"); /* empty on the 29th */
    expect_next("mon-fri 22:00-06:00", z, "2026-11-27 22:00", "2026-11-27 22:00", "2026-11-28 06:00");
    expect_next("mon-fri 22:00-06:00", z, "2026-11-27 22:01", "2026-11-30 22:00", "2026-12-01 06:00");
    expect_next("mon 10:00-11:00; wed 09:00-10:00", z, "2026-11-24 10:00", "2026-11-25 09:00",
                "2026-11-25 10:00");
    assert_int_equal(weekly_parse("", w, &n, &e), 0);
    assert_int_equal(n, 0);
    assert_false(weekly_next(w, n, z, at(z, "2026-11-24"), &(struct wall){0}, &(struct wall){0}));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(weekly_parse(wrong[i], w, &n, &e), ERR_MALFORMED);
    assert_non_null(strstr(e.text, "10:00-11:00 x"));
    zone_free(&z);
}

static void times_as_people_write_them(void **state)
{
    struct zone *z = load("America/New_York");
    struct wall t;
    struct err e = {0};
    static const char *const wrong[] = {"",
                                        "now",
                                        "2026-11",
                                        "2026-11-24 ",
                                        "2026-13-01",
                                        "2026-11-24 24:01",
                                        "2026-11-24x",
                                        "2026-11-24 9:00",
                                        "0000-01-01",
                                        "20:00",
                                        "2026-11-24T22:00+01:00"};

    (void)state;
    assert_string_equal(shown(at(z, "2026-11-24 22:00")), "2026-11-25T03:00:00.000Z");
    assert_string_equal(shown(at(z, "2026-07-24T22:00:30")), "2026-07-25T02:00:30.000Z");
    assert_string_equal(shown(at(z, "2026-11-24")), "2026-11-24T05:00:00.000Z");
    assert_string_equal(shown(at(z, "2026-11-24 24:00")), "2026-11-25T05:00:00.000Z");
    assert_string_equal(shown(at(z, "2026-11-24T22:00:00+01:00")), "2026-11-24T21:00:00.000Z");
    assert_string_equal(shown(at(z, "2026-11-24T22:00:00Z")), "2026-11-24T22:00:00.000Z");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (zone_read(z, wrong[i], &t, &e) != ERR_MALFORMED)
            fail_msg("\"%s\" was read", wrong[i]);
    zone_free(&z);
}

static void names_that_are_none(void **state)
{
    static const char *const names[] = {
        "",       "Europe/Nowhere", "../../etc/passwd", "/etc/passwd", "Europe/../UTC",
        "Europe", "Europe/",        "Europe//Berlin",   "zone.tab"};
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        memset(&e, 0, sizeof e);
        assert_null(zone_load(names[i], &e));
        assert_int_equal(e.code, ERR_NOTFOUND);
        assert_true(e.text[0]);
    }
    /* with no database at all UTC is there */
    setenv("ZONEINFO", "/nonexistent", 1);
    assert_null(zone_load("Europe/Berlin", &e));
    assert_non_null(strstr(e.text, "/nonexistent/Europe/Berlin"));
    {
        struct zone *z = load("UTC");

        assert_string_equal(zone_name(z), "UTC");
        assert_int_equal(zone_civil(z, (struct wall){1764000000000}).offset, 0);
        zone_free(&z);
    }
    unsetenv("ZONEINFO");
}

/* A version 2 file with an empty first block, no times, one type, and a footer. */
static struct zone *from_footer(const char *rule, struct err *e)
{
    uint8_t b[300] = {0};
    size_t n = 0;

    for (int i = 0; i < 2; i++) {
        memcpy(b + n, "TZif2", 5);
        b[n + 39] = 1; /* types */
        b[n + 43] = 1; /* characters */
        n += 44 + 7;
    }
    n += (size_t)snprintf((char *)b + n, sizeof b - n, "\n%s\n", rule);
    return zone_parse("Test/Rule", (struct bytes){b, n}, e);
}

static void rules(void **state)
{
    static const char *const wrong[] = {"C",
                                        "CE-1",
                                        "CET",
                                        "CET-25",
                                        "CET-1CEST,M3.5.0",
                                        "CET-1CEST,M13.5.0,M10.5.0",
                                        "CET-1CEST,M3.6.0,M10.5.0",
                                        "CET-1CEST,M3.5.7,M10.5.0",
                                        "CET-1CEST,J0,J365",
                                        "CET-1CEST,M3.5.0/168,M10.5.0",
                                        "<+01-1",
                                        "CET-1x",
                                        "CET-1CEST,M3.5.0,M10.5.0 "};
    struct err e = {0};
    struct zone *z;
    struct wall next;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        z = from_footer(wrong[i], &e);
        if (z)
            fail_msg("\"%s\" was read", wrong[i]);
        assert_int_equal(e.code, ERR_MALFORMED);
    }
    z = from_footer("XXX3EDT4,0/0,J365/23", &e); /* summer time all the year */
    assert_non_null(z);
    for (int64_t h = 0; h < 24 * 800; h++)
        assert_int_equal(zone_civil(z, (struct wall){(1735689600 + h * 3600) * 1000}).offset, -4 * 3600);
    assert_false(zone_next_change(z, (struct wall){1735689600000}, &next));
    zone_free(&z);
    z = from_footer("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
                    &e); /* hours before the day's midnight: Godthab's once */
    assert_string_equal(shown(at(z, "2024-03-30 22:00")), "2024-03-31T01:00:00.000Z");
    assert_int_equal(zone_civil(z, (struct wall){1711846800000 - 1}).offset, -3 * 3600);
    assert_int_equal(zone_civil(z, (struct wall){1711846800000}).offset, -2 * 3600);
    zone_free(&z);
    z = from_footer("EST5EDT", &e); /* no dates */
    assert_int_equal(zone_civil(z, (struct wall){1783000000000}).offset, -4 * 3600);
    zone_free(&z);
    z = from_footer("A-0B,J60/2,J300", &e);
    assert_null(z);
    z = from_footer("AAA0BBB,J60/2,J300", &e); /* 1 March, in leap years too */
    assert_string_equal(shown(at(z, "2028-03-01 03:00")), "2028-03-01T02:00:00.000Z");
    assert_string_equal(shown(at(z, "2027-03-01 03:00")), "2027-03-01T02:00:00.000Z");
    zone_free(&z);
    z = from_footer("AAA0BBB,59/2,J300", &e); /* the 60th day: 29 February when there is one */
    assert_int_equal(zone_civil(z, at(z, "2028-02-29 12:00")).offset, 3600);
    assert_int_equal(zone_civil(z, at(z, "2027-02-28 12:00")).offset, 0);
    zone_free(&z);
}

static void broken_files(void **state)
{
    struct err e = {0};
    uint8_t b[4096];
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "re");
    size_t n;

    (void)state;
    assert_non_null(f);
    n = fread(b, 1, sizeof b, f);
    (void)fclose(f);
    for (size_t cut = 0; cut < n; cut++) { /* each beginning of a real file is refused, in a sentence */
        struct zone *z = zone_parse("Europe/Berlin", (struct bytes){b, cut}, &e);

        assert_null(z);
        assert_int_equal(e.code, ERR_MALFORMED);
        assert_non_null(strstr(e.text, "Europe/Berlin"));
    }
    assert_null(zone_load("right/Europe/Berlin", &e)); /* leap seconds, where Debian has them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_c_library),
        cmocka_unit_test(leap_days_and_month_ends),
        cmocka_unit_test(both_nights),
        cmocka_unit_test(periods),
        cmocka_unit_test(periods_join),
        cmocka_unit_test(weekly_windows),
        cmocka_unit_test(rules),
        cmocka_unit_test(times_as_people_write_them),
        cmocka_unit_test(broken_files),
        cmocka_unit_test(names_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
