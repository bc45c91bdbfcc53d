/* The ledger of minutes: verdicts and causes, witnesses, maintenance, corrections, unions, and the customer's report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aggregator/ctl/report.h"
#include "tests/unit/slo_cases.h"

#define CHECKOUT                                                                                             \
    "[slo checkout]\ngood = requests_total\ngood_match = code!~\"5..\"\ntotal = requests_total\n"            \
    "objective = 99.95%\nservice = checkout\n"
#define WITNESS "[slo login]\nkind = probe\nmetric = probe_success\nobjective = 99%\nalerts = no\n"

/* Feeds and steps n minutes from k->now, which is at a whole one. */
static void go(struct kit *k, int n, unsigned good, unsigned bad, bool data)
{
    for (int i = 0; i < n; i++) {
        int64_t t = k->now;

        if (data)
            minute(k, t, good, bad);
        kit_step(k, t + 30000);
        kit_step(k, t + KIT_MINUTE);
    }
}

/* The interval of the report that begins so many minutes after the beginning. */
static const cJSON *interval(const cJSON *report, int minutes)
{
    const cJSON *x;

    cJSON_ArrayForEach(x, cJSON_GetObjectItem(report, "intervals"))
    {
        if (kit_time(cJSON_GetStringValue(cJSON_GetObjectItem(x, "from"))) == begin() + minutes * KIT_MINUTE)
            return x;
    }
    return NULL;
}

static void expect(const cJSON *report, int from, int minutes, const char *verdict, const char *cause)
{
    const cJSON *x = interval(report, from);

    if (!x)
        fail_msg("no interval begins after %d minutes: %s", from,
                 cJSON_Print(cJSON_GetObjectItem(report, "intervals")));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(x, "verdict")), verdict);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(x, "cause")), cause);
    near(kit_number(x, "minutes"), minutes);
}

/* An outage, a blind stretch, little traffic; each minute once, figures by hand. */
static void verdicts(void **state)
{
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    go(&k, 60, 1000, 0, true);
    go(&k, 7, 900, 100, true); /* 90 % is below 95 % */
    go(&k, 60, 960, 40, true); /* 96 % is not */
    go(&k, 5, 0, 0, false);
    go(&k, 10, 1, 49, true); /* 50 events are no ground */
    go(&k, 60, 1000, 0, true);
    go(&k, 3, 1000, 0, true); /* to let all before settle */
    o = kit_report(&k, "checkout", "2026-11");
    expect(o, 60, 7, "down", "incident");
    expect(o, 127, 5, "unknown", "blind");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "intervals")), 2);
    near(kit_number(o, "minutes/up"), 60 + 60 + 10 + 60 + 1); /* the last two have not settled */
    near(kit_number(o, "minutes/up_too_few_events"), 10);
    near(kit_number(o, "minutes/down"), 7);
    near(kit_number(o, "minutes/unknown"), 5);
    near(kit_number(o, "minutes/excluded"), 0);
    near(kit_number(o, "availability/by_minutes_ratio"), 191.0 / 198);
    near(kit_number(o, "availability/by_minutes_internal_ratio"), 191.0 / 203);
    near(kit_number(o, "events/total"), (60 + 7 + 60 + 60 + 1) * 1000 + 500);
    near(kit_number(o, "events/bad"), 700 + 2400 + 490);
    near(kit_number(o, "completeness/measured_ratio"), 198.0 / 203);
    /* November less its first day: 29 days at 99.95 % are 20.88 minutes */
    near(kit_number(o, "downtime/allowed_minutes"), 29 * 1440 * 0.0005);
    near(kit_number(o, "downtime/used_minutes"), 7);
    near(kit_number(o, "downtime/remaining_minutes"), 29 * 1440 * 0.0005 - 7);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "downtime"), "met")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(o, "final")));
    cJSON_Delete(o);
    kit_close(&k);
}

/* A witness judges what traffic does not. */
static void witnessed(void **state)
{
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, CHECKOUT "witness = login\n" WITNESS, begin());
    for (int i = 0; i < 60; i++) {
        int64_t t = k.now;
        bool outage = i >= 10 && i < 20;

        minute(&k, t, 3, 0);
        kit_gauge(&k, "probe_success", "", t + 1000, !outage);
        kit_gauge(&k, "probe_success", "", t + 31000,
                  !outage || i == 15); /* got through once in that minute */
        kit_step(&k, t + 59000);
        kit_step(&k, t + KIT_MINUTE);
    }
    for (int i = 0; i < 10; i++) { /* our own side is blind, but the probe sees */
        kit_gauge(&k, "probe_success", "", k.now + 1000, i >= 4);
        kit_step(&k, k.now + KIT_MINUTE);
    }
    go(&k, 5, 3, 0, true);
    o = kit_report(&k, "checkout", NULL);
    expect(o, 10, 5, "down", "witness");
    expect(o, 16, 4, "down", "witness");
    expect(o, 60, 4, "down", "witness");
    near(kit_number(o, "minutes/up_by_witness"), 6);
    near(kit_number(o, "minutes/unknown"), 0);
    near(kit_number(o, "minutes/down"), 13);
    cJSON_Delete(o);
    kit_close(&k);
}

/* The witness judges later than who asks it, and its values come late: the verdict follows all the same. */
static void late_witness(void **state)
{
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, CHECKOUT "witness = login\nsettle = 30s\n" WITNESS "settle = 30m\n", begin());
    for (int i = 0; i < 12; i++) {
        minute(&k, k.now, 3, 0);
        kit_step(&k, k.now + KIT_MINUTE);
        if (i >= 4) /* of four minutes before */
            kit_gauge(&k, "probe_success", "", begin() + (i - 4) * KIT_MINUTE, i != 6);
    }
    kit_step(&k, k.now + 1000);
    o = kit_report(&k, "checkout", NULL);
    expect(o, 2, 1, "down", "witness");
    near(kit_number(o, "minutes/down"), 1);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "corrections")), 1);
    cJSON_Delete(o);
    kit_close(&k);
}

/* Excluded only when it was declared before it began, only where it says so, and whole minutes of it. */
static void maintained(void **state)
{
    struct match *mine = match_new("service=checkout", NULL), *other = match_new("service=billing", NULL);
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    go(&k, 10, 1000, 0, true);
    /* declared beforehand, from the middle of a minute on */
    k.maintenance[0] = (struct maintenance_fact){.name = "upgrade",
                                                 .match = mine,
                                                 .from = {k.now + 30000},
                                                 .to = {k.now + 10 * KIT_MINUTE},
                                                 .declared = {k.now - KIT_HOUR},
                                                 .excludes_sla = true};
    k.n_maintenance = 1;
    go(&k, 5, 0, 1000, true);
    k.n_maintenance = 0; /* ended early */
    kit_step(&k, k.now);
    go(&k, 5, 0, 1000, true);
    go(&k, 5, 1000, 0, true);
    /* declared while it was under way */
    k.maintenance[0].from.ms = k.now;
    k.maintenance[0].to.ms = k.now + 5 * KIT_MINUTE;
    k.maintenance[0].declared.ms = k.now + 1;
    k.n_maintenance = 1;
    go(&k, 5, 0, 1000, true);
    k.n_maintenance = 0;
    go(&k, 5, 1000, 0, true);
    /* somebody else's */
    k.maintenance[0] = (struct maintenance_fact){.name = "theirs",
                                                 .match = other,
                                                 .from = k.maintenance[0].to,
                                                 .to = {INT64_MAX},
                                                 .excludes_sla = true};
    k.n_maintenance = 1;
    go(&k, 5, 0, 1000, true);
    k.n_maintenance = 0;
    go(&k, 5, 1000, 0, true);
    o = kit_report(&k, "checkout", NULL);
    expect(o, 10, 1, "down", "maintenance"); /* half a minute of it is not excluded */
    expect(o, 11, 4, "excluded", "maintenance");
    expect(o, 15, 5, "down", "incident");
    expect(o, 25, 5, "down", "maintenance");
    expect(o, 35, 5, "down", "incident");
    near(kit_number(o, "downtime/minutes_of_period"), 29 * 1440 - 4);
    near(kit_number(o, "minutes/excluded"), 4);
    near(kit_number(o, "minutes_by_cause/down_maintenance"), 6);
    near(kit_number(o, "minutes_by_cause/down_incident"), 10);
    cJSON_Delete(o);
    kit_close(&k);
    match_free(&mine);
    match_free(&other);
}

static void causes(void **state)
{
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    go(&k, 10, 1000, 0, true);
    assert_int_equal(slos_cause(k.slos, SLO_CAUSE_DRILL, "d7", "slo=checkout", (struct wall){k.now},
                                (struct wall){0}, &k.e),
                     0);
    go(&k, 6, 0, 1000, true);
    assert_int_equal(slos_cause(k.slos, SLO_CAUSE_DRILL, "d7", "slo=checkout",
                                (struct wall){k.now - 6 * KIT_MINUTE}, (struct wall){k.now - KIT_MINUTE},
                                &k.e),
                     0);
    go(&k, 10, 1000, 0, true);
    /* told when its minutes have their verdict already */
    assert_int_equal(slos_cause(k.slos, SLO_CAUSE_FAILOVER, "f1", "service=checkout",
                                (struct wall){begin() + 15 * KIT_MINUTE},
                                (struct wall){begin() + 16 * KIT_MINUTE}, &k.e),
                     0);
    go(&k, 3, 1000, 0, true);
    assert_int_equal(slos_cause(k.slos, SLO_CAUSE_DRILL, "d8", "code=~\"[\"", (struct wall){k.now},
                                (struct wall){0}, &k.e),
                     ERR_MALFORMED);
    o = kit_report(&k, "checkout", NULL);
    expect(o, 10, 5, "down", "drill"); /* minutes of a drill count */
    expect(o, 15, 1, "down", "failover");
    near(kit_number(o, "downtime/used_minutes"), 6);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "corrections")), 1);
    cJSON_Delete(o);
    kit_restart(&k, true);
    go(&k, 5, 1000, 0, true);
    o = kit_report(&k, "checkout", NULL);
    expect(o, 15, 1, "down", "failover");
    cJSON_Delete(o);
    kit_close(&k);
}

/* What was unknown and turns out to have been down, and the other way round; nothing is overwritten. */
static void corrected(void **state)
{
    const cJSON *x;
    int64_t covered = begin();
    struct kit k;
    cJSON *o;
    int corrections = 0;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    go(&k, 60, 1000, 0, true);
    go(&k, 20, 0, 0, false);
    go(&k, 60, 1000, 0, true);
    o = kit_report(&k, "checkout", NULL);
    expect(o, 60, 20, "unknown", "blind");
    cJSON_Delete(o);
    for (int i = 60; i < 80; i++)
        minute(&k, begin() + i * KIT_MINUTE, i < 65 ? 0 : 1000, i < 65 ? 1000 : 0);
    go(&k, 3, 1000, 0, true);
    o = kit_report(&k, "checkout", NULL);
    expect(o, 60, 5, "down", "incident");
    near(kit_number(o, "minutes/unknown"), 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "corrections")), 2);
    cJSON_Delete(o);
    /* once more */
    for (int i = 60; i < 65; i++)
        minute(&k, begin() + i * KIT_MINUTE, 99000, 0);
    go(&k, 3, 1000, 0, true);
    o = kit_report(&k, "checkout", NULL);
    near(kit_number(o, "minutes/down"), 0);
    cJSON_Delete(o);
    /* the entries cover time without gaps; corrections have the higher versions */
    cJSON_ArrayForEach(x, k.ledger)
    {
        if (kit_number(x, "version") > 1) {
            assert_non_null(cJSON_GetObjectItem(x, "corrects"));
            corrections++;
            continue;
        }
        assert_int_equal(kit_time(cJSON_GetStringValue(cJSON_GetObjectItem(x, "from"))), covered);
        covered = kit_time(cJSON_GetStringValue(cJSON_GetObjectItem(x, "to")));
    }
    assert_int_equal(corrections, 3);
    near(kit_number(cJSON_GetArrayItem(k.ledger, cJSON_GetArraySize(k.ledger) - 1), "version"), 3);
    kit_close(&k);
}

/* Two regions down at once, overlapping: the union, not the sum. */
static void unions(void **state)
{
    static const char text[] =
        CHECKOUT "by = region\n[slo search]\ngood = s_total\ngood_match = ok=1\ntotal = s_total\n"
                 "objective = 99.9%\n";
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, text, begin());
    for (int i = 0; i < 60; i++) {
        int64_t t = k.now;
        bool east = i >= 10 && i < 20, west = i >= 15 && i < 25, search = i >= 24 && i < 30;

        kit_count(&k, "requests_total", east ? "code=500 region=east" : "code=200 region=east", t, 200);
        kit_count(&k, "requests_total", west ? "code=500 region=west" : "code=200 region=west", t, 200);
        kit_count(&k, "s_total", search ? "ok=0" : "ok=1", t, 500);
        kit_step(&k, t + 59000);
        kit_step(&k, t + KIT_MINUTE);
    }
    kit_step(&k, k.now + 2 * KIT_MINUTE);
    o = kit_report(&k, "checkout", "rolling");
    expect(o, 10, 15, "down", "incident");
    near(kit_number(o, "downtime/used_minutes"), 15);
    near(kit_number(cJSON_GetArrayItem(cJSON_GetObjectItem(o, "groups"), 0), "minutes/down"), 10);
    near(kit_number(cJSON_GetArrayItem(cJSON_GetObjectItem(o, "groups"), 1), "minutes/down"), 10);
    cJSON_Delete(o);
    o = kit_report(&k, "checkout,search", "rolling");
    expect(o, 10, 20, "down", "incident");
    near(kit_number(o, "downtime/used_minutes"), 20);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "groups")), 3);
    cJSON_Delete(o);
    assert_null(kit_report(&k, "checkout,nothing", NULL));
    assert_int_equal(k.e.code, ERR_NOTFOUND);
    kit_close(&k);
}

/* Everything is gone, and so is the aggregator: two hours that nobody saw, and that come in later. */
static void outage(void **state)
{
    struct kit k;
    cJSON *o;
    int64_t t;

    (void)state;
    kit_open(&k, CHECKOUT "unknown = down\n", begin());
    go(&k, 60, 1000, 0, true);
    t = k.now;
    kit_restart(&k, true);
    k.now = t + 2 * KIT_HOUR; /* nothing ran */
    go(&k, 5, 1000, 0, true);
    o = kit_report(&k, "checkout", NULL);
    expect(o, 60, 120, "unknown", "blind");
    near(kit_number(o, "downtime/used_minutes"), 120); /* as this contract says */
    near(kit_number(o, "availability/by_minutes_ratio"), 63.0 / 183);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "downtime"), "met")));
    cJSON_Delete(o);
    for (int i = 0; i < 120; i++)
        minute(&k, t + i * KIT_MINUTE, 1000, 0);
    go(&k, 3, 1000, 0, true);
    o = kit_report(&k, "checkout", NULL);
    near(kit_number(o, "downtime/used_minutes"), 0);
    cJSON_Delete(o);
    kit_close(&k);
}

/* Away for a week, longer than minutes are kept: all of it is unknown, with the two minutes that had no verdict yet. */
static void long_absence(void **state)
{
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    go(&k, 90, 1000, 0, true);
    kit_restart(&k, false);
    k.now += 7 * KIT_DAY;
    go(&k, 12, 1000, 0, true); /* so many minutes are closed at a time */
    o = kit_report(&k, "checkout", "2026-11");
    expect(o, 88, 7 * 1440 + 2, "unknown", "blind");
    cJSON_Delete(o);
    kit_restart(&k, true);
    kit_step(&k, k.now + 1000);
    o = kit_report(&k, "checkout", "2026-11");
    expect(o, 88, 7 * 1440 + 2, "unknown", "blind");
    near(kit_number(o, "events/total"), 100000); /* of the last two minutes later */
    cJSON_Delete(o);
    kit_close(&k);
}

/* What is kept no longer goes, records included; so does a group that has been silent for as long. */
static void forgotten(void **state)
{
    struct kit k;
    uint32_t n;
    int64_t t;

    (void)state;
    kit_open(&k, CHECKOUT "by = tenant\nkeep = 35d\n", begin()); /* 63 days at least, and 2 */
    for (int i = 0; i < 120; i++) {
        kit_count(&k, "requests_total", i < 60 ? "code=200 tenant=a" : "code=200 tenant=b", k.now, 1000);
        kit_step(&k, k.now + KIT_MINUTE);
    }
    for (uint32_t i = 0; i < selections_count(k.selections); i++)
        facts_gone(k.facts, i, kit_group((struct labels){&(struct label){"tenant", "a"}, 1}));
    for (t = k.now; t < begin() + 77 * KIT_DAY; t += KIT_HOUR) {
        k.now = t;
        kit_count(&k, "requests_total", "code=200 tenant=b", t, 1000);
        kit_step(&k, t + KIT_MINUTE);
    }
    (void)slos_burns(k.slos, &n);
    assert_int_equal(n, 1);
    assert_string_equal(labels_get(slos_burns(k.slos, &n)->group, "tenant"), "b");
    for (size_t i = 0; i < k.n_records; i++)
        assert_null(memmem(k.records[i].key, k.records[i].n_key, "a", 2)); /* and its end */
    assert_in_range(k.n_records, 63 * 24, 68 * 24 + 2);
    kit_close(&k);
}

/* The clock runs ahead by days and comes back: what was counted is counted once, and verdicts heal. */
static void clock_ahead(void **state)
{
    struct kit k;
    cJSON *o;
    int64_t t;

    (void)state;
    kit_open(&k, CHECKOUT, begin());
    go(&k, 120, 1000, 0, true);
    t = k.now;
    for (int i = 0; i < 4; i++)
        kit_step(&k, t + 5 * KIT_DAY + i * KIT_MINUTE);
    k.now = t;
    kit_step(&k, t);
    go(&k, 120, 1000, 0, true);
    for (int restart = 0; restart < 2; restart++) {
        o = kit_report(&k, "checkout", "2026-11");
        assert_int_equal(kit_burn(&k, "checkout", 0)->w[7].total,
                         239000); /* the minute at which it came back is lost */
        near(kit_number(o, "minutes/down"), 0);
        near(kit_number(o, "minutes/up"), 237); /* it, and the two that had no verdict */
        cJSON_Delete(o);
        kit_restart(&k, true);
        kit_step(&k, k.now);
    }
    kit_close(&k);
}

/* Half of the hosts are silent: what the others say is not the whole. */
static void incomplete(void **state)
{
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, CHECKOUT "complete = 50%\n", begin());
    for (int i = 0; i < 40; i++) {
        struct fact_bucket gain = {.n = 10, .sum = 1000, .series = i >= 20 && i < 30 ? 4 : 10};

        kit_gain(&k, "requests_total", "code=200", FACT_COUNTER, k.now + 1000, gain);
        kit_step(&k, k.now + KIT_MINUTE);
    }
    o = kit_report(&k, "checkout", NULL);
    expect(o, 20, 10, "unknown", "incomplete");
    cJSON_Delete(o);
    kit_close(&k);
}

/* A report asked for by month: what is wrong with it is said. */
static void asked(void **state)
{
    static const struct {
        const char *month;
        int code;
    } rows[] = {{"2026-12", ERR_RANGE},
                {"2024-01", ERR_RANGE},
                {"2026-13", ERR_MALFORMED},
                {"2026-1", ERR_MALFORMED},
                {"november", ERR_MALFORMED},
                {"0000-01", ERR_MALFORMED},
                {"2026-1a", ERR_MALFORMED},
                {"2026-11", 0},
                {"2026-10", 0},
                {"rolling", 0},
                {NULL, 0}};
    struct kit k;

    (void)state;
    kit_open(&k, CHECKOUT "zone = Europe/Berlin\n", begin());
    go(&k, 10, 100, 0, true);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cJSON *o;

        k.e = (struct err){0};
        o = kit_report(&k, "checkout", rows[i].month);
        assert_int_equal(k.e.code, rows[i].code);
        assert_true(!o == (rows[i].code != 0));
        cJSON_Delete(o);
    }
    kit_close(&k);
}

/* The month as a customer counts it: from midnight in Berlin, an hour of it twice in October. */
static void month(void **state)
{
    struct kit k;
    cJSON *o;

    (void)state;
    kit_open(&k, CHECKOUT "zone = Europe/Berlin\n", kit_time("2026-10-31T22:00:00Z"));
    for (int i = 0; i < 3 * 60; i++) { /* down from 22:50Z to 23:10Z: 10 minutes in either month */
        bool bad = i >= 50 && i < 70;

        minute(&k, k.now, bad ? 0 : 500, bad ? 500 : 0);
        kit_step(&k, k.now + KIT_MINUTE);
    }
    o = kit_report(&k, "checkout", "2026-10");
    near(kit_number(o, "minutes/down"), 10);
    near(kit_number(o, "minutes/up"), 50);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "final")));
    near(kit_number(o, "events/total"), 30000);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "month")), "2026-10");
    cJSON_Delete(o);
    o = kit_report(&k, "checkout", "2026-11");
    near(kit_number(o, "minutes/down"), 10);
    near(kit_number(o, "events/total"), 59000); /* the last two minutes have not settled */
    /* 30 days at 99.95 % */
    near(kit_number(o, "downtime/allowed_minutes"), 21.6);
    near(kit_number(o, "downtime/remaining_minutes"), 11.6);
    cJSON_Delete(o);
    kit_close(&k);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in\n%s", part, text);
}

/* What a customer reads, as text and as Markdown. */
static void rendered(void **state)
{
    struct kit k;
    struct buf out;
    const char *text;
    cJSON *o;

    (void)state;
    buf_init(&out, NULL, 1 << 20);
    kit_open(&k, CHECKOUT "by = tenant\n", begin());
    for (int i = 0; i < 33; i++) {
        bool bad = i >= 10 && i < 20;

        kit_count(&k, "requests_total", bad ? "code=500 tenant=a|b" : "code=200 tenant=a|b", k.now, 1000);
        kit_count(&k, "requests_total", "code=200 tenant=c", k.now, 1000);
        kit_step(&k, k.now + KIT_MINUTE);
    }
    o = kit_report(&k, "checkout", "2026-11");
    assert_int_equal(report_text(o, &out), 0);
    text = buf_text(&out);
    has(text, "Availability of checkout, 2026-11\n");
    has(text, "  Objective by minutes               met\n");
    has(text, "  Down time allowed                  20 min 53 s\n");
    has(text, "  Down time used                     10 min 0 s\n");
    has(text, "  Down time remaining                10 min 53 s\n");
    has(text, "  Availability by minutes            67.7419 %\n"); /* 21 of 31: 67.74193… */
    has(text, "2026-11-02 00:10 UTC  2026-11-02 00:20 UTC       10  down     incident  tenant=a|b\n");
    has(text, "  Unknown minutes are                left out of the account, and shown\n");
    buf_clear(&out);
    assert_int_equal(report_markdown(o, &out), 0);
    text = buf_text(&out);
    has(text, "# Availability of checkout, 2026-11\n");
    has(text, "- **Down time used:** 10 min 0 s\n");
    has(text, "| FROM | TO | MINUTES | VERDICT | CAUSE | WHERE |\n| --- | --- | ---: | --- | --- | --- |\n");
    has(text, "| 2026-11-02 00:10 UTC | 2026-11-02 00:20 UTC | 10 | down | incident | tenant=a\\|b |\n");
    cJSON_Delete(o);
    o = cJSON_CreateObject();
    assert_int_equal(report_text(o, &out), ERR_MALFORMED);
    cJSON_Delete(o);
    buf_free(&out);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),    cmocka_unit_test(witnessed),    cmocka_unit_test(maintained),
        cmocka_unit_test(causes),      cmocka_unit_test(corrected),    cmocka_unit_test(unions),
        cmocka_unit_test(outage),      cmocka_unit_test(long_absence), cmocka_unit_test(incomplete),
        cmocka_unit_test(asked),       cmocka_unit_test(month),        cmocka_unit_test(rendered),
        cmocka_unit_test(clock_ahead), cmocka_unit_test(forgotten),    cmocka_unit_test(late_witness),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
