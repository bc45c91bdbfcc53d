/* Rules: what a section may say, how mistakes are told, composites, conditions, texts, and the table as docs/alerts.md
 * has it. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/alert/fill.h"
#include "aggregator/alert/rule.h"
#include "aggregator/alert/table.h"
#include "aggregator/alert/when.h"

static bool known(void *arg, const char *name)
{
    (void)arg;
    return !strcmp(name, "checkout");
}

/* The report of a configuration of rules; "" when it is right. */
static const char *report_of(const char *text, struct buf *report)
{
    const struct config_source s = {"rules.ini", {(const uint8_t *)text, strlen(text)}};
    struct err e = {0};
    struct config *c;

    buf_clear(report);
    c = config_parse(&s, 1, &alert_section, 1, report, &e);
    if (c && alert_check(c, known, NULL, report, &e) != 0)
        assert_true(report->len > 0 && e.code == ERR_CONFIG);
    config_free(&c);
    return buf_text(report);
}

#define A "[alert a]\nmetric = m\n"

static void test_mistakes(void **state)
{
    static const char *const cases[][2] = {
        {A "above = 1\n", ""},
        {A "above = 5%\nclear_below = 4%\nfor = 2m\nclear_for = 1m\nno_data = alert\n", ""},
        {A "statistic = ratio\nof = n\nwindow = 5m\nabove = 1\n", ""},
        {A "statistic = absent\nmatch = host=a\n", ""},
        {A "baseline = seasonal\nstatistic = avg\nwindow = 5m\n", ""},
        {A "above = 1\npoints = 3 of 5\n", ""},
        {"[alert a]\nstatistic = burn\nslo = checkout\nabove = 14.4\n", ""},
        {A, "rules.ini:1: [alert a]: has no condition; expected one of above"},
        {A "above = 1\nbelow = 0\n", "rules.ini:4: [alert a] below: stands beside above"},
        {A "above = 1\nbaseline = ewma\n", "baseline: stands beside above"},
        {A "above = much\n",
         "rules.ini:3: [alert a] above: found \"much\", expected a number such as 0.05, 5%"},
        {A "outside = 1\n", "outside: expected two numbers"},
        {A "outside = 5 1\n", "the first number is greater than the second"},
        {A "above = 80\nclear_below = 90\n", "clear_below: lies above the bound"},
        {A "below = 80\nclear_above = 70\n", "clear_above: lies below the bound"},
        {A "above = 80\nclear_above = 70\n", "clear_above: is for below and outside"},
        {A "below = 80\nclear_below = 70\n", "clear_below: is for above and outside"},
        {A "outside = 1 9\nclear_above = 6\nclear_below = 5\n", "it would never clear"},
        {A "statistic = share\nbound = 1\nwindow = 5m\nabove = 0.5\nclear_below = 0\n", "never less than 0"},
        {A "statistic = avg\nabove = 1\n", "window: is needed by statistic avg, as 5m"},
        {A "statistic = ratio\nwindow = 5m\nabove = 1\n", "of: is needed by statistic ratio"},
        {A "statistic = avg\nof = n\nwindow = 5m\nabove = 1\n", "of: is for statistic ratio alone"},
        {A "statistic = share\nwindow = 5m\nabove = 1\n", "bound: is needed by statistic share"},
        {A "statistic = forecast\nwindow = 5m\nabove = 1\n", "horizon: is needed by statistic forecast"},
        {A "statistic = change\nwindow = 5m\nabove = 1\n", "before: is needed by statistic change"},
        {A "statistic = absent\nabove = 1\n", "above: is not for absent rules"},
        {A "statistic = median\nabove = 1\n", "statistic: found \"median\", expected one of"},
        {A "above = 1\nfor = 5 parsecs\n", "for: found \"5 parsecs\""},
        {A "above = 1\nseverty = critical\n", "did you mean \"severity\"?"},
        {A "above = 1\nmatch = host\n", "match: "},
        {A "above = 1\nmatch = host=~\"(\"\n", "match: "},
        {A "above = 1\nby = host *\n", "by: found * among other labels"},
        {A "above = 1\npoints = 5 of 3\n", "points: found \"5 of 3\", expected M from 1 to N"},
        {A "above = 1\npoints = most\n", "points: found \"most\", expected M of N"},
        {A "baseline = ewma\ndeviations = 0\n", "deviations: expected a number greater than 0"},
        {"[alert a]\nabove = 1\n", "metric: is needed by statistic last"},
        {"[alert a]\nstatistic = burn\nabove = 1\n", "slo: is needed by statistic burn"},
        {"[alert a]\nstatistic = burn\nslo = other\nabove = 1\n",
         "slo: found \"other\", which is no [slo NAME]"},
        {"[alert a]\nstatistic = burn\nslo = checkout\nshort = 1h\nabove = 1\n",
         "short: is not shorter than long"},
        {"[alert a]\nstatistic = burn\nslo = checkout\nmetric = m\nabove = 1\n",
         "metric: is not for burn rules"},
        {"[alert a]\nstatistic = burn\nslo = checkout\nlong = 90m\nabove = 1\n",
         "long: expected one of 5m 30m"},
        {"[alert a]\nwhen = b\n", "when: found \"b\", which is no [alert NAME]"},
        {"[alert a]\nwhen = a\n", "when: names the alert itself"},
        {"[alert a]\nwhen = not b\n[alert b]\nmetric = m\nabove = 1\n",
         "holds while none of its alerts fires"},
        {"[alert a]\nwhen = b and\n[alert b]\nmetric = m\nabove = 1\n",
         "when: expected the name of an alert"},
        {"[alert a]\nwhen = b\n[alert b]\nwhen = c\n[alert c]\nwhen = a\n",
         "[alert a] when: stands in a circle"},
        {A "above = 1\nsuppressed_by = b\n[alert b]\nmetric = m\nabove = 1\nsuppressed_by = a\n",
         "suppressed_by: stands in a circle"},
        {A "above = 1\nsuppressed_by = nobody\n",
         "suppressed_by: found \"nobody\", which is no [alert NAME]"},
    };
    struct buf report;

    (void)state;
    buf_init(&report, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = report_of(cases[i][0], &report);

        if (*cases[i][1] ? !strstr(found, cases[i][1]) : *found)
            fail_msg("%s: expected \"%s\", found \"%s\"", cases[i][0], cases[i][1], found);
    }
    buf_free(&report);
}

static void test_all_mistakes_at_once(void **state)
{
    struct buf report;
    const char *found;

    (void)state;
    buf_init(&report, NULL, 1 << 20);
    found = report_of(A "above = x\nwindow = 5m\nstatistic = forecast\n[alert b]\nmetric = m\n", &report);
    assert_non_null(strstr(found, "[alert a] above"));
    assert_non_null(strstr(found, "[alert a] horizon"));
    assert_non_null(strstr(found, "[alert b]: has no condition"));
    buf_free(&report);
}

/* ---- composites ---- */

static void test_when(void **state)
{
    /* names take bits in the order in which they are met; the row of a truth table as digits from firing = 0 up */
    static const char *const cases[][2] = {
        {"a", "01"},
        {"a and b", "0001"},
        {"a or b", "0111"},
        {"not a and b", "0010"},
        {"not (a and b)", "1110"},
        {"a or b and c", "01010111"},
        {"(a or b) and c", "00000111"},
        {"2 of (a, b, c)", "00010111"},
        {"1 of (a)", "01"},
        {"2 of (a and b, c, not a)", "00001011"},
        {"not not a", "01"},
        {"5xx and 2of", "0001"},
    };
    static const char *const wrong[][2] = {
        {"", "expected the name of an alert"},
        {"and", "expected the name"},
        {"a b", "expected \"and\""},
        {"a and", "expected the name"},
        {"(a", "expected )"},
        {"3 of (a, b)", "has to be from 1 to the number"},
        {"0 of (a)", "has to be from 1"},
        {"2 of a", "expected ("},
        {"2 of (a b)", "expected , or )"},
        {"a or or b", "expected the name"},
        {"a && b", "expected \"and\""},
    };
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        const struct when *w = when_read(cases[i][0], &a, &e);

        if (!w)
            fail_msg("%s: %s", cases[i][0], e.text);
        for (unsigned f = 0; f < strlen(cases[i][1]); f++) {
            if (when_holds(w, f) != (cases[i][1][f] == '1'))
                fail_msg("%s: wrong for firing = %u", cases[i][0], f);
        }
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err e = {0};

        assert_null(when_read(wrong[i][0], &a, &e));
        if (!strstr(e.text, wrong[i][1]))
            fail_msg("%s: expected \"%s\", found \"%s\"", wrong[i][0], wrong[i][1], e.text);
    }
    arena_free(&a);
}

static void test_when_is_bounded(void **state)
{
    struct arena a;
    struct err e = {0};
    char text[4096] = "";

    (void)state;
    arena_init(&a, NULL, 0);
    for (int i = 0; i < 40; i++)
        text[i] = (char)40;
    assert_null(when_read(text, &a, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    text[0] = 0;
    for (int i = 0; i < 200; i++)
        snprintf(text + strlen(text), 8, "a or ");
    assert_null(when_read(text, &a, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    snprintf(text, sizeof text, "a0");
    for (int i = 1; i < 20; i++)
        snprintf(text + strlen(text), 16, " or a%d", i);
    assert_null(when_read(text, &a, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    arena_free(&a);
}

/* ---- conditions ---- */

static void test_conditions(void **state)
{
    const struct condition above = {
        .op = COMPARE_ABOVE, .high = 80, .has_clear_below = true, .clear_below = 70};
    const struct condition below = {.op = COMPARE_BELOW, .low = 10};
    const struct condition outside = {.op = COMPARE_OUTSIDE, .low = 1, .high = 5};
    const struct condition equal = {.op = COMPARE_EQUAL, .low = 0};

    (void)state;
    assert_int_equal(condition_judge(&above, 81), VERDICT_HOLDS);
    assert_int_equal(condition_judge(&above, 80), VERDICT_BETWEEN);
    assert_int_equal(condition_judge(&above, 70), VERDICT_BETWEEN);
    assert_int_equal(condition_judge(&above, 69), VERDICT_CLEAR);
    assert_int_equal(condition_judge(&above, (double)NAN), VERDICT_NONE);
    assert_int_equal(condition_judge(&above, (double)INFINITY), VERDICT_HOLDS);
    assert_int_equal(condition_judge(&below, 9), VERDICT_HOLDS);
    assert_int_equal(condition_judge(&below, 10), VERDICT_CLEAR);
    assert_int_equal(condition_judge(&outside, 0), VERDICT_HOLDS);
    assert_int_equal(condition_judge(&outside, 1), VERDICT_CLEAR);
    assert_int_equal(condition_judge(&outside, 6), VERDICT_HOLDS);
    assert_int_equal(condition_judge(&equal, 0), VERDICT_HOLDS);
    assert_int_equal(condition_judge(&equal, 1), VERDICT_CLEAR);
    assert_true(condition_bound(&outside, 0) <= 1 && condition_bound(&outside, 6) >= 5);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0.05", 0.05}, {"5%", 0.05},     {"150%", 1.5}, {"500ms", 0.5},
                 {"2h", 7200},   {"64KiB", 65536}, {"-3", -3},    {"1e6", 1e6}};
    double v;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(rule_number(cases[i].text, &v, NULL), 0);
        assert_true(fabs(v - cases[i].value) <= 1e-12 * fabs(cases[i].value));
    }
    assert_int_equal(rule_number("5 apples", &v, NULL), ERR_MALFORMED);
    assert_int_equal(rule_number("%", &v, NULL), ERR_MALFORMED);
    assert_int_equal(rule_number("", &v, NULL), ERR_MALFORMED);
}

/* ---- texts ---- */

static void test_fill(void **state)
{
    static const struct {
        const char *text;
        double value;
        const char *out;
    } cases[] = {
        {"plain", 1, "plain"},
        {"${service} at ${value}", 0.5, "shop at 0.5"},
        {"${value|percent} of ${threshold|percent}", 0.0721, "7.21% of 5%"},
        {"${value|duration}", 0.25, "250ms"},
        {"${value|duration}", 42, "42s"},
        {"${value|duration}", 3725, "1h2m"},
        {"${value|duration}", 200000, "2d7h"},
        {"${value|bytes}", 1536, "1.5 KiB"},
        {"${nothing}!", 1, "!"},
        {"${value|unheard}", 2, "2"},
        {"${value", 1, "${value"},
        {"$value {value}", 1, "$value {value}"},
        {"${${service}}", 1, "}"},
        {"${}", 1, ""},
        {"${value}", (double)NAN, "no value"},
    };
    const struct label v[] = {{"service", "shop"}};
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&b);
        alert_fill(cases[i].text, (struct labels){v, 1}, cases[i].value, 0.05, &b);
        if (strcmp(buf_text(&b), cases[i].out))
            fail_msg("%s: expected \"%s\", found \"%s\"", cases[i].text, cases[i].out, buf_text(&b));
    }
    buf_free(&b);
}

/* ---- the table ---- */

static void test_each_state_has_a_way_out(void **state)
{
    (void)state;
    for (int s = ALERT_PENDING; s < ALERT_STATES; s++) {
        bool out = false, gone = false;

        for (size_t i = 0; i < alert_table_rows; i++) {
            const struct alert_row *r = &alert_table[i];

            out |= r->from == (enum alert_state)s && r->to == ALERT_INACTIVE && r->event == EVENT_CLEAR;
            out |= s == ALERT_FIRING && r->from == ALERT_FIRING && r->to == ALERT_CLEARING;
            gone |= r->from == (enum alert_state)s && r->to == ALERT_INACTIVE && r->event == EVENT_GONE;
        }
        assert_true(out);
        assert_true(gone);
    }
}

static void test_rows_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < alert_table_rows; i++) {
        const struct alert_row *r = &alert_table[i];

        assert_true(r->number > 0 && r->number <= ALERT_ROW_MOST);
        assert_ptr_equal(alert_row_number(r->number), r); /* once */
        assert_true(strlen(r->sentence) > 20 && r->sentence[strlen(r->sentence) - 1] == '.');
        /* a row can be reached: no earlier one of the same state and event without a guard stands before it */
        for (size_t k = 0; k < i; k++)
            assert_false(alert_table[k].from == r->from && alert_table[k].event == r->event &&
                         !alert_table[k].held);
        /* whoever goes into or out of a firing is told, and its flags agree */
        assert_int_equal(!(r->effects & DO_FIRE), !(r->to == ALERT_FIRING && r->from < ALERT_FIRING));
        assert_int_equal(!(r->effects & DO_END), !(r->to == ALERT_INACTIVE && r->from >= ALERT_FIRING));
        assert_int_equal(!(r->effects & DO_PREVENT), !(r->to == ALERT_INACTIVE && r->from == ALERT_PENDING));
        if (r->from != r->to)
            assert_true(r->effects & DO_TELL);
    }
}

static void test_every_event_is_answered(void **state)
{
    (void)state;
    for (int s = ALERT_PENDING; s < ALERT_STATES; s++) {
        for (int e = EVENT_HOLDS; e <= EVENT_GONE; e++) {
            if (!alert_row_find((enum alert_state)s, (enum alert_event)e, false))
                fail_msg("no row for %s, %s", alert_state_name((enum alert_state)s),
                         alert_event_name((enum alert_event)e));
        }
    }
}

/* docs/alerts.md shows the rows between two marks. ALERTS_PAGE=write mends it. */
static void test_page(void **state)
{
    static const char begin[] = "<!-- rows of the state table -->\n", end[] = "<!-- end of the rows -->\n";
    char path[512], *page = calloc(1, 1 << 18), *from, *to;
    struct buf rows;
    FILE *f;

    (void)state;
    buf_init(&rows, NULL, 1 << 18);
    alert_table_text(&rows);
    snprintf(path, sizeof path, "%s/docs/alerts.md", getenv("TEST_SOURCE"));
    f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(page, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    from = strstr(page, begin);
    to = strstr(page, end);
    assert_true(from && to && from < to);
    from += sizeof begin - 1;
    if (getenv("ALERTS_PAGE")) {
        f = fopen(path, "w");
        assert_non_null(f);
        fwrite(page, 1, (size_t)(from - page), f);
        fwrite(rows.data, 1, rows.len, f);
        fputs(to, f);
        fclose(f);
    } else if ((size_t)(to - from) != rows.len || memcmp(from, rows.data, rows.len) != 0) {
        fail_msg("docs/alerts.md shows other rows; ALERTS_PAGE=write mends it");
    }
    for (size_t i = 0; i < alert_section.n_rows; i++) {
        char key[64];

        snprintf(key, sizeof key, "`%s`", alert_section.rows[i].key);
        if (!strstr(page, key))
            fail_msg("docs/alerts.md does not speak of %s", key);
    }
    buf_free(&rows);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),       cmocka_unit_test(test_all_mistakes_at_once),
        cmocka_unit_test(test_when),           cmocka_unit_test(test_when_is_bounded),
        cmocka_unit_test(test_conditions),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_fill),           cmocka_unit_test(test_each_state_has_a_way_out),
        cmocka_unit_test(test_rows_are_sound), cmocka_unit_test(test_every_event_is_answered),
        cmocka_unit_test(test_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
