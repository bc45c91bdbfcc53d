/* Trials: series in promtool's notation, test files of rules, and replays of two sets of rules. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/alert/trial.h"
#include "aggregator/alert/trial_feed.h"
#include "aggregator/alert/trial_series.h"

/* ---- series ---- */

static void series_text(const char *text, char *out, size_t room)
{
    struct trial_walk w;
    struct err e = {0};
    size_t n = 0;
    int rc;

    trial_walk_init(&w, text);
    out[0] = 0;
    while ((rc = trial_walk_next(&w, &e)) == 1 && n + 32 < room) {
        if (w.kind == TRIAL_VALUE)
            n += (size_t)snprintf(out + n, room - n, "%g ", w.value);
        else
            n += (size_t)snprintf(out + n, room - n, "%s ", w.kind == TRIAL_NONE ? "_" : "stale");
    }
    if (rc < 0)
        snprintf(out, room, "error");
}

static void test_series(void **state)
{
    static const char *const cases[][2] = {
        /* by promtool's documentation of `series` */
        {"1+2x4", "1 3 5 7 9 "},
        {"1-2x3", "1 -1 -3 -5 "},
        {"-2+4x3", "-2 2 6 10 "},
        {"1x4", "1 1 1 1 1 "},
        {"0x2", "0 0 0 "},
        {"1 _x3 stale", "1 _ _ _ stale "},
        {"_ 7 _", "_ 7 _ "},
        {"1e3 1e-3x1 .5", "1000 0.001 0.001 0.5 "},
        {"1.5+0.5x2", "1.5 2 2.5 "},
        {"", ""},
        {"1+2", "error"},
        {"1+x3", "error"},
        {"1x", "error"},
        {"1x-3", "error"},
        {"abc", "error"},
        {"1,2", "error"},
        {"_x", "error"},
        {"1+2x4y", "error"},
        {"1+-2x4", "error"},
        {"1x99999999", "error"},
    };
    char out[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        series_text(cases[i][0], out, sizeof out);
        if (strcmp(out, cases[i][1]))
            fail_msg("\"%s\": expected \"%s\", found \"%s\"", cases[i][0], cases[i][1], out);
    }
}

static void test_series_limit(void **state)
{
    struct err e = {0};
    uint32_t steps;

    (void)state;
    assert_int_equal(trial_series_check("1x999999", &steps, &e), 0);
    assert_int_equal(steps, 1000000);
    assert_int_equal(trial_series_check("1x999999 1", &steps, &e), ERR_LIMIT);
}

/* ---- files ---- */

static const char rules_text[] = "[alert high-error-rate]\n"
                                 "metric = http_requests_total\n"
                                 "match = code=~\"5..\"\n"
                                 "of = http_requests_total\n"
                                 "by = service\n"
                                 "statistic = ratio\n"
                                 "window = 5m\n"
                                 "above = 5%\n"
                                 "for = 2m\n"
                                 "summary = ${service} fails ${value|percent} of requests\n"
                                 "[alert burning]\n"
                                 "statistic = burn\n"
                                 "slo = checkout\n"
                                 "above = 14.4\n";

static int load(void *arg, const char *name, struct buf *out, struct err *e)
{
    (void)arg;
    if (strcmp(name, "rules.ini"))
        return err_set(e, ERR_NOTFOUND, "%s is not there", name);
    buf_str(out, rules_text);
    return 0;
}

static int run(const char *text, struct trial_result *r, struct buf *report)
{
    struct mem mem = {0};
    struct err e = {0};
    const struct trial_params p = {
        .file = {"errors.ini", {(const uint8_t *)text, strlen(text)}}, .load = load, .mem = &mem};
    int rc;

    buf_clear(report);
    rc = trial_run(&p, r, report, &e);
    assert_int_equal(mem.used, 0);
    return rc;
}

#define SERIES                                                                                               \
    "[series good]\nmetric = http_requests_total\nlabels = service=shop code=200\nvalues = 0+600x10 "        \
    "6000+540x20\n"                                                                                          \
    "[series bad]\nmetric = http_requests_total\nlabels = service=shop code=500\nvalues = 0x10 0+60x20\n"    \
    "[series burn-long]\nmetric = slo_burn\nlabels = slo=checkout window=1h service=shop\nvalues = 1x10 "    \
    "20x20\n"                                                                                                \
    "[series burn-short]\nmetric = slo_burn\nlabels = slo=checkout window=5m service=shop\nvalues = 1x10 "   \
    "20x20\n"
#define TEST "[test errors]\nrules = rules.ini\ninterval = 1m\n"

static void test_file_met(void **state)
{
    struct trial_result r;
    struct buf report;

    (void)state;
    buf_init(&report, NULL, 1 << 20);
    assert_int_equal(
        run(TEST SERIES
            "[expect quiet]\nat = 10m\nalert = high-error-rate\nstate = none\n"
            "[expect pending]\nat = 15m\nalert = high-error-rate\nstate = pending\n"
            "[expect fires]\nat = 20m\nalert = high-error-rate\nlabels = service=shop severity=warning\n"
            "summary = shop fails 10% of requests\n"
            "[expect burn]\nat = 12m\nalert = burning\nlabels = service=shop\n",
            &r, &report),
        0);
    if (r.failed)
        fail_msg("%s", buf_text(&report));
    assert_int_equal(r.tests, 1);
    assert_int_equal(r.expectations, 4);
    buf_free(&report);
}

static void test_file_not_met(void **state)
{
    struct trial_result r;
    struct buf report;

    (void)state;
    buf_init(&report, NULL, 1 << 20);
    assert_int_equal(run(TEST SERIES "[expect a]\nat = 5m\nalert = high-error-rate\n"
                                     "[expect b]\nat = 20m\nalert = high-error-rate\nstate = none\n"
                                     "[expect c]\nat = 20m\nalert = high-error-rate\nsummary = all is well\n"
                                     "[expect d]\nat = 20m\nalert = high-error-rate\ncount = 2\n"
                                     "[expect e]\nat = 20m\nalert = no-such-rule\n",
                         &r, &report),
                     0);
    assert_int_equal(r.failed, 5);
    assert_non_null(
        strstr(buf_text(&report), "[expect a] at 5m, alert high-error-rate: expected 1 firing, found none"));
    assert_non_null(strstr(buf_text(&report), "found \"shop fails 10% of requests\""));
    assert_non_null(strstr(buf_text(&report), "there is no such rule"));
    buf_free(&report);
}

static void test_file_wrong(void **state)
{
    static const char *const cases[][2] = {
        {"[test a]\nrules = other.ini\n", "other.ini is not there"},
        {"[test a]\nrules = rules.ini\nstart = yesterday\n", "expected a time"},
        {"[test a]\nrules = rules.ini\n[series s]\nmetric = m\nvalues = 1+\n", "expected a+bxn"},
        {"[test a]\nrules = rules.ini\n[series s]\nmetric = slo_burn\nvalues = 1\n",
         "needs the labels slo and window"},
        {"[test a]\nrules = rules.ini\nintervall = 1m\n", "did you mean \"interval\""},
    };
    struct trial_result r;
    struct buf report;

    (void)state;
    buf_init(&report, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run(cases[i][0], &r, &report), ERR_CONFIG);
        if (!strstr(buf_text(&report), cases[i][1]))
            fail_msg("expected \"%s\", found \"%s\"", cases[i][1], buf_text(&report));
    }
    buf_free(&report);
}

/* ---- the example of docs/alerts.md: its first rule, and the file of tests ---- */

static char *page_part(const char *page, const char *first)
{
    const char *from = strstr(page, first), *to;

    assert_non_null(from);
    to = strstr(from, "```");
    assert_non_null(to);
    return strndup(from, (size_t)(to - from));
}

static int load_example(void *arg, const char *name, struct buf *out, struct err *e)
{
    (void)e;
    assert_string_equal(name, "../alerts.d/http.ini");
    buf_str(out, arg);
    return 0;
}

static void test_example_of_the_page(void **state)
{
    char path[512], *page = calloc(1, 1 << 18), *rule, *file;
    struct trial_params p = {.load = load_example};
    struct trial_result r;
    struct buf report;
    struct err e = {0};
    FILE *f;

    (void)state;
    buf_init(&report, NULL, 1 << 20);
    snprintf(path, sizeof path, "%s/docs/alerts.md", getenv("TEST_SOURCE"));
    f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(page, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    p.arg = rule = page_part(page, "[alert high-error-rate]");
    file = page_part(page, "[test errors]");
    p.file = (struct config_source){"page.ini", {(const uint8_t *)file, strlen(file)}};
    if (trial_run(&p, &r, &report, &e) != 0 || r.failed)
        fail_msg("%s", buf_text(&report));
    assert_int_equal(r.expectations, 2);
    free(rule);
    free(file);
    free(page);
    buf_free(&report);
}

/* ---- replay ---- */

struct store {
    struct trial_feed *feed;
    const struct selections *for_list;
    struct mem *mem;
};

/* A temperature that is 85 from 600 s to 1200 s and 95 from 1800 s to 2100 s, a value every 10 s. */
static int tell(void *arg, const struct selections *s, struct facts *into, struct wall from, struct wall to,
                struct err *e)
{
    struct store *st = arg;
    struct label l = {"host", "a"};

    (void)e;
    if (st->for_list != s) {
        trial_feed_free(&st->feed);
        st->feed = trial_feed_new(s, st->mem);
        st->for_list = s;
    }
    for (int64_t t = from.ms + 10000; t <= to.ms; t += 10000) {
        int64_t at = t / 1000;
        double v = at >= 600 && at < 1200 ? 85 : at >= 1800 && at < 2100 ? 95 : 20;

        if (at >= 0)
            (void)trial_feed_value(st->feed, into, "temperature", FACT_GAUGE, (struct labels){&l, 1},
                                   (struct wall){t}, v);
    }
    return 0;
}

static struct config *rules_of(const char *text)
{
    const struct config_source s = {"r.ini", {(const uint8_t *)text, strlen(text)}};
    struct buf report;
    struct err e = {0};
    struct config *c;

    buf_init(&report, NULL, 1 << 16);
    c = config_parse(&s, 1, &alert_section, 1, &report, &e);
    assert_non_null(c);
    buf_free(&report);
    return c;
}

static void test_replay(void **state)
{
    struct config *before = rules_of("[alert hot]\nmetric = temperature\nabove = 80\n");
    struct config *after = rules_of("[alert hot]\nmetric = temperature\nabove = 90\n");
    struct mem mem = {0};
    struct store st = {.mem = &mem};
    struct replay_params p = {.before = before,
                              .after = after,
                              .from = {0},
                              .to = {3600000},
                              .step = span_s(10),
                              .region = "eu",
                              .mem = &mem,
                              .tell = tell,
                              .arg = &st};
    struct buf json;
    struct err e = {0};

    (void)state;
    buf_init(&json, NULL, 1 << 20);
    assert_int_equal(trial_replay(&p, &json, &e), 0);
    assert_non_null(strstr(buf_text(&json), "\"before\":{\"firings\":2,\"seconds\":900"));
    assert_non_null(strstr(buf_text(&json), "\"after\":{\"firings\":1,\"seconds\":300"));
    assert_non_null(
        strstr(buf_text(&json),
               "\"only_before\":[{\"alert\":\"hot\",\"labels\":{\"alertname\":\"hot\",\"host\":\"a\","
               "\"region\":\"eu\",\"severity\":\"warning\"},\"from\":\"1970-01-01T00:10:00.000Z\","
               "\"to\":\"1970-01-01T00:20:00.000Z\",\"value\":85}]"));
    assert_non_null(strstr(buf_text(&json), "\"only_after\":[]"));
    buf_clear(&json);
    p.step = span_s(1);
    assert_int_equal(trial_replay(&p, &json, &e), ERR_RANGE);
    trial_feed_free(&st.feed);
    buf_free(&json);
    config_free(&before);
    config_free(&after);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series),     cmocka_unit_test(test_series_limit),
        cmocka_unit_test(test_file_met),   cmocka_unit_test(test_file_not_met),
        cmocka_unit_test(test_file_wrong), cmocka_unit_test(test_example_of_the_page),
        cmocka_unit_test(test_replay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
