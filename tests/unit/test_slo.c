/* Objectives over facts: windows, budgets, late values, little traffic, kinds, groups, calendar periods, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/slo_cases.h"

#define CHECKOUT                                                                                             \
    "[slo checkout]\ngood = requests_total\ngood_match = code!~\"5..\"\ntotal = requests_total\n"            \
    "objective = 99.95%\n"

/* 3 days of 100 a minute, 1 % bad in the last 40 minutes: each window by hand. */
static void windows(void **state)
{
    const struct burn_fact *b;
    struct kit k;
    int64_t t = begin(), end = t + 4 * KIT_DAY;

    (void)state;
    kit_open(&k, CHECKOUT, t);
    for (; t < end; t += KIT_MINUTE) {
        minute(&k, t, end - t <= 40 * KIT_MINUTE ? 99 : 100, end - t <= 40 * KIT_MINUTE ? 1 : 0);
        kit_step(&k, t + 59000);
    }
    kit_step(&k, end);
    b = kit_burn(&k, "checkout", 0);
    near(b->w[0].burn, 20); /* 5 of 500 */
    assert_int_equal(b->w[0].total, 500);
    near(b->w[1].burn, 20);                         /* 30 of 3 000 */
    near(b->w[2].burn, 40.0 / 6000 / 0.0005);       /* 1 h */
    near(b->w[3].burn, 40.0 / 12000 / 0.0005);      /* 2 h */
    near(b->w[4].burn, 40.0 / 36000 / 0.0005);      /* 6 h */
    near(b->w[5].burn, 40.0 / 144000 / 0.0005);     /* 1 d */
    near(b->w[6].burn, 40.0 / 432000 / 0.0005);     /* 3 d */
    near(b->w[7].burn, 40.0 / 576000 / 0.0005);     /* the 4 days that there are */
    near(b->remaining, 1 - 40.0 / 576000 / 0.0005); /* 288 may fail, 40 did */
    near(b->exhausted_after, b->remaining * 30 * 86400 / b->w[2].burn);
    near(b->completeness, 1);
    assert_false(b->w[0].enough == false); /* 500 events, 5 bad */
    /* half a minute later: the running minute is part of the window */
    minute(&k, end, 0, 100);
    kit_step(&k, end + 30000);
    b = kit_burn(&k, "checkout", 0);
    assert_int_equal(b->w[0].total, 600);
    assert_int_equal(b->w[0].total - b->w[0].good, 105);
    kit_close(&k);
}

/* No data is not 100 %, nor 0: it is nothing. */
static void nothing(void **state)
{
    const struct burn_fact *b;
    struct kit k;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    kit_step(&k, begin());
    b = kit_burn(&k, "checkout", 0);
    assert_non_null(b);
    for (unsigned i = 0; i < BURN_WINDOWS; i++) {
        assert_true(isnan(b->w[i].burn));
        assert_true(isnan(b->w[i].burn_least));
        assert_false(b->w[i].enough);
    }
    assert_true(isnan(b->remaining));
    assert_true(isnan(b->exhausted_after));
    near(b->completeness, 0);
    buf_clear(&k.json);
    assert_int_equal(slos_show(k.slos, "checkout", (struct wall){begin()}, &k.json, &k.e), 0);
    assert_non_null(strstr(buf_text(&k.json), "\"compliance_ratio\":null"));
    assert_null(strstr(buf_text(&k.json), ":nan"));
    /* readings without an event are not blind, but say as little of the ratio */
    minute(&k, begin(), 0, 0);
    kit_step(&k, begin() + KIT_MINUTE);
    b = kit_burn(&k, "checkout", 0);
    assert_true(isnan(b->w[0].burn));
    near(b->completeness, 1);
    kit_close(&k);
}

/* What comes late goes into the minute that it belongs to, and corrections lower what was told. */
static void late(void **state)
{
    struct kit k;
    int64_t t = begin(), end = t + 12 * KIT_HOUR;

    (void)state;
    kit_open(&k, CHECKOUT, t);
    for (; t < end; t += KIT_MINUTE) {
        minute(&k, t, 100, 0);
        kit_step(&k, t + 59000);
    }
    kit_step(&k, end);
    near(kit_burn(&k, "checkout", 0)->w[4].burn, 0);
    minute(&k, end - 4 * KIT_HOUR, 0, 36);
    kit_step(&k, end + 1000);
    kit_step(&k, end + 61000); /* the whole reach is read once a minute */
    assert_int_equal(kit_burn(&k, "checkout", 0)->w[3].total - kit_burn(&k, "checkout", 0)->w[3].good, 0);
    assert_int_equal(kit_burn(&k, "checkout", 0)->w[4].total - kit_burn(&k, "checkout", 0)->w[4].good, 36);
    minute(&k, end - 4 * KIT_HOUR, 0, 0);
    kit_count(&k, "requests_total", "code=500", end - 4 * KIT_HOUR + 5000, -6);
    kit_step(&k, end + 2 * 61000);
    assert_int_equal(kit_burn(&k, "checkout", 0)->w[4].total - kit_burn(&k, "checkout", 0)->w[4].good, 30);
    kit_close(&k);
}

/* A counter that is read twice in four minutes: what it grew by was spread over them, and none of it is lost. */
static void spread(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    k.now = begin() + 4 * KIT_MINUTE;
    for (int i = 0; i < 24; i++)
        kit_gain(&k, "requests_total", "code=200", FACT_COUNTER, begin() + i * 10000,
                 (struct fact_bucket){.n = i % 12 == 0, .sum = 5, .series = i % 12 == 0});
    kit_step(&k, begin() + 4 * KIT_MINUTE);
    assert_int_equal(kit_burn(&k, "checkout", 0)->w[0].total, 120);
    kit_close(&k);
}

/* One failure of 20 is burn 100, and no ground to wake anybody. */
static void little_traffic(void **state)
{
    const struct burn_fact *b;
    struct kit k;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    minute(&k, begin(), 19, 1);
    kit_step(&k, begin() + 50000);
    b = kit_burn(&k, "checkout", 0);
    near(b->w[0].burn, 100);
    assert_false(b->w[0].enough);
    assert_true(b->w[0].burn_least < 20); /* 0.9 % of the 5 % are certain */
    assert_true(b->w[0].burn_least > 15);
    minute(&k, begin() + KIT_MINUTE, 76, 4);
    kit_step(&k, begin() + KIT_MINUTE + 50000);
    b = kit_burn(&k, "checkout", 0);
    assert_true(b->w[0].enough); /* 100 events, 5 bad */
    kit_close(&k);
}

/* bad instead of good, a series that is not there yet counts as 0, and groups have budgets of their own. */
static void groups(void **state)
{
    static const char text[] =
        "[slo api]\nbad = errors_total\ntotal = calls_total\nby = service region\nobjective = 99%\n"
        "max_groups = 2\n";
    const struct burn_fact *b;
    struct kit k;
    uint32_t n;

    (void)state;
    kit_open(&k, text, begin());
    kit_step(&k, begin());
    (void)slos_burns(k.slos, &n);
    assert_int_equal(n, 0);
    kit_count(&k, "calls_total", "host=a region=east service=web", begin() + 1000, 600);
    kit_count(&k, "calls_total", "host=b region=east service=web", begin() + 1000, 400);
    kit_count(&k, "calls_total", "host=c region=east service=db", begin() + 1000, 1000);
    kit_count(&k, "calls_total", "host=d region=west service=db", begin() + 1000, 1000);
    kit_count(&k, "errors_total", "host=a region=east service=web", begin() + 1000, 20);
    kit_step(&k, begin() + 30000);
    b = slos_burns(k.slos, &n);
    assert_int_equal(n, 2); /* the third is refused, and said */
    assert_string_equal(labels_get(b[0].group, "service"), "db");
    near(b[0].w[0].burn, 0);
    assert_string_equal(labels_get(b[1].group, "service"), "web");
    near(b[1].w[0].burn, 2);
    assert_int_equal(b[1].w[0].total, 1000);
    buf_clear(&k.json);
    assert_int_equal(slos_show(k.slos, "api", (struct wall){k.now}, &k.json, &k.e), 0);
    assert_non_null(strstr(buf_text(&k.json), "\"groups_refused\":1"));
    kit_close(&k);
}

/* 300 ms is no bucket's bound: what stands for it is said. */
static void latency(void **state)
{
    static const char text[] =
        "[slo fast]\nkind = latency\nmetric = request_seconds\nthreshold = 300ms\nobjective = 99%\n";
    struct sketch s;
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, text, begin());
    sketch_init(&s, NULL);
    for (int i = 0; i < 900; i++)
        assert_int_equal(sketch_add(&s, 0.1, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(sketch_add(&s, 2, 1), 0);
    kit_gain(&k, "request_seconds", "", FACT_SKETCH, begin() + 1000,
             (struct fact_bucket){.n = 1000, .series = 1, .sketch = &s});
    sketch_free(&s);
    kit_step(&k, begin() + 30000);
    near(kit_burn(&k, "fast", 0)->w[0].burn, 10);
    o = kit_report(&k, "fast", "rolling");
    assert_non_null(o);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "threshold"), "exact")));
    near(kit_number(o, "threshold/threshold_seconds"), 0.3);
    /* at scale 6 the bounds are 2^(k/64): 2^(-112/64) is the last up to 0.3 */
    near(kit_number(o, "threshold/bound_seconds"), pow(2, -112.0 / 64));
    cJSON_Delete(o);
    kit_close(&k);
}

static void gauges(void **state)
{
    static const char text[] =
        "[slo login]\nkind = probe\nmetric = probe_success\nobjective = 99%\n"
        "[slo lag]\nkind = range\nmetric = lag_seconds\nhigh = 10\nobjective = 90%\n"
        "[slo even]\nkind = slices\nslice = 5m\nslice_objective = 90%\ngood = ok_total\n"
        "total = all_total\nobjective = 90%\n";
    const struct burn_fact *b;
    struct kit k;
    int64_t t;

    (void)state;
    kit_open(&k, text, begin());
    for (int i = 0; i < 60; i++) {
        t = begin() + i * KIT_MINUTE;
        kit_gauge(&k, "probe_success", "", t, i % 10 != 3);
        kit_gauge(&k, "probe_success", "", t + 30000, 1);
        kit_gauge(&k, "lag_seconds", "", t + 10000, 1);
        kit_gauge(&k, "lag_seconds", "", t + 50000, i < 6 ? 11 : 10);
        kit_count(&k, "all_total", "", t, 10);
        kit_count(&k, "ok_total", "", t,
                  i / 5 == 2   ? 8
                  : i / 5 == 3 ? 9
                               : 10); /* the third slice is at 80 % */
        kit_step(&k, t + 55000);
    }
    kit_step(&k, begin() + 60 * KIT_MINUTE);
    b = kit_burn(&k, "login", 0);
    assert_int_equal(b->w[2].total, 120);
    near(b->w[2].burn, 6.0 / 120 / 0.01);
    b = kit_burn(&k, "lag", 0);
    assert_int_equal(b->w[2].total, 60); /* minutes */
    near(b->w[2].burn, 1);               /* 6 of 60 */
    b = kit_burn(&k, "even", 0);
    assert_int_equal(b->w[2].total, 12); /* slices */
    assert_int_equal(b->w[2].good, 11);
    kit_close(&k);
}

/* ---- calendar periods ---- */

/* A minute before, and as, a period begins: what was is counted in it no more. */
static void turn(const char *zone, const char *period, const char *at, double length_hours)
{
    char text[256];
    struct kit k;
    int64_t t = kit_time(at);
    const struct burn_fact *b;

    (void)snprintf(text, sizeof text, "%speriod = %s\nzone = %s\n", CHECKOUT, period, zone);
    kit_open(&k, text, t - 2 * KIT_HOUR);
    for (int64_t m = t - 2 * KIT_HOUR; m < t; m += KIT_MINUTE) {
        minute(&k, m, 90, 10);
        kit_step(&k, m + 59000);
    }
    b = kit_burn(&k, "checkout", 0);
    assert_int_equal(b->w[7].total, 12000);
    minute(&k, t, 100, 0);
    kit_step(&k, t + 30000);
    b = kit_burn(&k, "checkout", 0);
    assert_int_equal(b->w[7].total, 100);
    near(b->w[7].burn, 0);
    near(b->remaining, 1);
    near(span_seconds(b->w[7].window), length_hours * 3600);
    kit_close(&k);
}

static void calendars(void **state)
{
    (void)state;
    /* months that hold a night of daylight saving are an hour longer or shorter */
    turn("Europe/Berlin", "month", "2026-09-30T22:00:00Z", 31 * 24 + 1); /* October */
    turn("Europe/Berlin", "month", "2026-10-31T23:00:00Z", 30 * 24);     /* November */
    turn("Europe/Berlin", "month", "2026-02-28T23:00:00Z", 31 * 24 - 1); /* March */
    turn("America/New_York", "month", "2026-11-01T04:00:00Z", 30 * 24 + 1);
    turn("America/New_York", "month", "2026-03-01T05:00:00Z", 31 * 24 - 1);
    turn("Asia/Kolkata", "month", "2026-10-31T18:30:00Z", 30 * 24);
    turn("Asia/Kathmandu", "month", "2026-10-31T18:15:00Z", 30 * 24);
    turn("Australia/Lord_Howe", "month", "2026-09-30T13:30:00Z", 31 * 24 - 0.5);
    /* leap years */
    turn("UTC", "month", "2028-02-01T00:00:00Z", 29 * 24);
    turn("UTC", "month", "2027-02-01T00:00:00Z", 28 * 24);
    turn("Asia/Kolkata", "month", "2028-02-29T18:30:00Z", 31 * 24);
    /* weeks begin on Monday, quarters in January, April, July, October */
    turn("Europe/Berlin", "week", "2026-10-25T23:00:00Z", 7 * 24);
    turn("Europe/Berlin", "week", "2026-10-18T22:00:00Z", 7 * 24 + 1);
    turn("America/New_York", "week", "2026-03-02T05:00:00Z", 7 * 24 - 1);
    turn("Europe/Berlin", "quarter", "2026-09-30T22:00:00Z", 92 * 24 + 1);
    turn("UTC", "quarter", "2028-01-01T00:00:00Z", 91 * 24);
}

/* Within a night on which the clock is set, minutes go on one by one. */
static void nights(void **state)
{
    static const struct {
        const char *zone, *from;
    } rows[] = {{"Europe/Berlin", "2026-03-28T22:00:00Z"},    {"Europe/Berlin", "2026-10-24T22:00:00Z"},
                {"America/New_York", "2026-03-08T04:00:00Z"}, {"America/New_York", "2026-11-01T03:00:00Z"},
                {"Asia/Kolkata", "2026-03-28T22:00:00Z"},     {"Asia/Kolkata", "2026-10-24T22:00:00Z"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        struct kit k;
        int64_t t = kit_time(rows[i].from);
        cJSON *o;

        (void)snprintf(text, sizeof text, "%speriod = month\nzone = %s\n", CHECKOUT, rows[i].zone);
        kit_open(&k, text, t);
        for (int n = 0; n < 8 * 60; n++, t += KIT_MINUTE) {
            minute(&k, t, 100, 0);
            kit_step(&k, t + 59000);
        }
        kit_step(&k, t + 3 * KIT_MINUTE);
        o = kit_report(&k, "checkout", NULL);
        assert_non_null(o);
        /* New York's November begins at 04:00Z of that night: an hour of it is of October */
        near(kit_number(o, "minutes/up"), i == 3 ? 7 * 60 : 8 * 60);
        assert_int_equal(kit_burn(&k, "checkout", 0)->w[7].total, i == 3 ? 42000 : 48000);
        cJSON_Delete(o);
        kit_close(&k);
    }
}

/* ---- restarts ---- */

static void same(const struct burn_fact *a, const struct burn_fact *b)
{
    for (unsigned i = 0; i < BURN_WINDOWS; i++) {
        assert_int_equal(a->w[i].good, b->w[i].good);
        assert_int_equal(a->w[i].total, b->w[i].total);
    }
    assert_true(a->remaining == b->remaining || (isnan(a->remaining) && isnan(b->remaining)));
}

/* A restart each 7 hours over 6 days gives what none gives; with or without stored history. */
static void restarts(void **state)
{
    struct kit a, b;
    int64_t t = begin(), end = t + 6 * KIT_DAY;
    cJSON *ra, *rb;

    (void)state;
    kit_open(&a, CHECKOUT, t);
    kit_open(&b, CHECKOUT, t);
    for (int n = 0; t < end; t += KIT_MINUTE, n++) {
        unsigned bad = n % 977 < 9 ? 30 : n % 13 == 0;

        if (n % 1501 > 20) {
            minute(&a, t, 200 - bad, bad);
            minute(&b, t, 200 - bad, bad);
        }
        kit_step(&a, t + 59000);
        kit_step(&b, t + 59000);
        if (n % 420 == 419)
            kit_restart(&b, true);
    }
    kit_step(&a, end + 3 * KIT_MINUTE);
    kit_step(&b, end + 3 * KIT_MINUTE);
    kit_step(&b, end + 5 * KIT_MINUTE); /* it waits a little after its start before it judges */
    kit_step(&a, end + 5 * KIT_MINUTE);
    same(kit_burn(&a, "checkout", 0), kit_burn(&b, "checkout", 0));
    ra = kit_report(&a, "checkout", "2026-11");
    rb = kit_report(&b, "checkout", "2026-11");
    assert_true(cJSON_Compare(ra, rb, true));
    cJSON_Delete(ra);
    cJSON_Delete(rb);
    /* history is gone: what was recorded is known all the same */
    kit_restart(&b, false);
    kit_step(&b, end + 5 * KIT_MINUTE);
    same(kit_burn(&a, "checkout", 0), kit_burn(&b, "checkout", 0));
    kit_close(&a);
    kit_close(&b);
}

/* Damaged records are refused, and nothing else happens. */
static void damage(void **state)
{
    struct kit k;
    int64_t t = begin();

    (void)state;
    kit_open(&k, CHECKOUT "by = region\n", t);
    for (; t < begin() + 2 * KIT_HOUR; t += KIT_MINUTE) {
        kit_count(&k, "requests_total", "code=200 region=east", t, 50);
        kit_step(&k, t + 59000);
    }
    for (size_t i = 0; i < k.n_records; i++) {
        struct kit_record *r = &k.records[i];

        for (size_t n = 0; n < r->n_value; n++)
            (void)slos_restore(k.slos, (struct bytes){r->key, r->n_key}, (struct bytes){r->value, n}, NULL);
        for (size_t n = 0; n < r->n_key; n++)
            (void)slos_restore(k.slos, (struct bytes){r->key, n}, (struct bytes){r->value, r->n_value}, NULL);
        for (size_t n = 0; n < r->n_value; n++) {
            uint8_t was = r->value[n];

            r->value[n] ^= 0xff;
            (void)slos_restore(k.slos, (struct bytes){r->key, r->n_key}, (struct bytes){r->value, r->n_value},
                               NULL);
            r->value[n] = was;
        }
    }
    kit_step(&k, t + 10 * KIT_MINUTE);
    kit_close(&k);
}

/* ---- configuration ---- */

static int check(const char *text, char *report, size_t room)
{
    struct kit k = {0};
    struct config *c;
    int rc;

    buf_init(&k.report, NULL, 1 << 16);
    c = kit_config(&k, text);
    rc = c ? slo_check(c, &(struct slo_zones){kit_zone, &k}, &k.report, &k.e) : k.e.code;
    (void)snprintf(report, room, "%s", buf_text(&k.report));
    config_free(&c);
    for (unsigned i = 0; i < KIT_ZONES; i++)
        zone_free(&k.zones[i]);
    buf_free(&k.report);
    return rc;
}

static void mistakes(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"[slo a]\ntotal = x_total\nobjective = 99%\n", "either good or bad"},
        {"[slo a]\ngood = g_total\nobjective = 99%\n", "total is missing"},
        {"[slo a]\ngood = g_total\nbad = b_total\ntotal = x_total\nobjective = 99%\n", "either good or bad"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 100%\n", "less than 100%"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 99%\nperiod = 36h\n", "whole days"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 99%\nperiod = year\n", "whole days"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 99%\nzone = Mars/Base\n", "no zone"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 99%\ngood_match = code=~\"[\"\n",
         "good_match"},
        {"[slo a]\nkind = latency\nmetric = s_seconds\nobjective = 99%\n", "threshold is missing"},
        {"[slo a]\nkind = range\nmetric = g\nobjective = 99%\n", "low or high"},
        {"[slo a]\nkind = range\nmetric = g\nlow = 5\nhigh = 4\nobjective = 99%\n", "greater than high"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 99%\nwitness = b\n", "no [slo b]"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 99%\nwitness = a\n", "not of kind probe"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 99%\nby = a a\n", "twice"},
        {"[slo a]\ngood = g_total\ntotal = x_total\nobjective = 99%\nby = *\n", "names of labels"},
        {"[slo a]\nmetric = g\ngood = g_total\ntotal = x_total\nobjective = 99%\n", "goes with latency"},
    };
    char report[4096];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = check(rows[i].text, report, sizeof report);

        if (rc == 0 || !strstr(report, rows[i].says))
            fail_msg("row %zu: %d, %s", i, rc, report);
    }
    assert_int_equal(check(CHECKOUT, report, sizeof report), 0);
    assert_string_equal(report, "");
}

/* The four alerts as sections: see burn.h. */
static void rules(void **state)
{
    struct kit k;
    struct buf ini;

    (void)state;
    kit_open(&k,
             CHECKOUT
             "team = shop\n[slo quiet]\nalerts = no\ngood = a_total\ntotal = b_total\nobjective = 99%\n",
             begin());
    buf_init(&ini, NULL, 1 << 16);
    assert_int_equal(slo_alert_rules(k.config, &ini, &k.e), 0);
    assert_non_null(strstr(buf_text(&ini),
                           "[alert slo-checkout-page-fast]\nstatistic = burn\nslo = checkout\nlong = 1h\n"
                           "short = 5m\nabove = 14.4\nseverity = critical\nteam = shop\n"));
    assert_non_null(strstr(buf_text(&ini),
                           "[alert slo-checkout-ticket-slow]\nstatistic = burn\nslo = checkout\nlong = 3d\n"
                           "short = 6h\nabove = 1\nseverity = warning\n"));
    assert_null(strstr(buf_text(&ini), "quiet"));
    buf_free(&ini);
    kit_close(&k);
}

/* A reload that changes the terms keeps what was counted; one that changes what is counted leaves the past as it was. */
static void reload(void **state)
{
    static const char other[] =
        "[slo checkout]\nbad = requests_total\nbad_match = code=~\"[45]..\"\ntotal = requests_total\n"
        "objective = 99.9%\n";
    struct slo_params p;
    struct selections *was;
    struct config *old;
    struct kit k;
    int64_t t = begin();

    (void)state;
    kit_open(&k, CHECKOUT, t);
    for (; t < begin() + KIT_HOUR; t += KIT_MINUTE) {
        minute(&k, t, 90, 10);
        kit_step(&k, t + 59000);
    }
    old = k.config;
    was = k.selections;
    k.config = kit_config(&k, other);
    k.selections = selections_new(&k.mem);
    assert_int_equal(slo_selections(k.config, k.selections, &k.e), 0);
    assert_int_equal(facts_turn(k.facts, k.selections), 0);
    p = kit_params(&k);
    assert_int_equal(slos_reload(k.slos, &p, &k.report, &k.e), 0);
    selections_free(&was);
    config_free(&old);
    kit_step(&k, t + 1000);
    assert_int_equal(kit_burn(&k, "checkout", 0)->w[2].total, 6000);
    assert_int_equal(kit_burn(&k, "checkout", 0)->w[2].good, 5400);
    near(kit_burn(&k, "checkout", 0)->w[2].burn, 100);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),        cmocka_unit_test(nothing),   cmocka_unit_test(late),
        cmocka_unit_test(little_traffic), cmocka_unit_test(groups),    cmocka_unit_test(latency),
        cmocka_unit_test(gauges),         cmocka_unit_test(calendars), cmocka_unit_test(nights),
        cmocka_unit_test(restarts),       cmocka_unit_test(damage),    cmocka_unit_test(mistakes),
        cmocka_unit_test(rules),          cmocka_unit_test(reload),    cmocka_unit_test(spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
