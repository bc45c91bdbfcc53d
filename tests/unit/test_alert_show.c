/* What the engine shows and keeps: lists, explanations, metrics, decisions, records and damage to them. */
#include "tests/unit/alert_kit.h"

#include <cjson/cJSON.h>

static const char rules[] =
    "[alert hot]\nmetric = temperature\nabove = 80\nfor = 1m\nseverity = error\nteam = ops\n"
    "summary = ${host} is at ${value}\n"
    "[alert ratio]\nmetric = bad\nof = all\nstatistic = ratio\nwindow = 1m\nabove = 0.5\n"
    "[alert nothing]\nmetric = no_such_metric\nabove = 1\n";

static void warm(struct kit *k)
{
    kit_open(k, rules);
    kit_set(k, "temperature host=a", 90);
    kit_set(k, "temperature host=b", 20);
    kit_set(k, "temperature host=c", 95);
    kit_set(k, "bad host=a", 1);
    kit_set(k, "all host=a", 10);
    kit_until(k, 90);
}

static cJSON *parsed(struct buf *b)
{
    cJSON *o = cJSON_Parse(buf_text(b));

    assert_non_null(o);
    buf_clear(b);
    return o;
}

static const char *text_at(const cJSON *o, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

static double number_at(const cJSON *o, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

static void test_list(void **state)
{
    struct alert_query q = {.limit = 1};
    struct kit k;
    struct buf b;
    cJSON *o, *list;
    struct match *m = match_new("host=c", NULL);

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    warm(&k);
    assert_int_equal(alerts_list(k.rig.alerts, &q, &b), 0);
    o = parsed(&b);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "alerts")), 1);
    assert_int_equal(number_at(o, "next"), 1);
    cJSON_Delete(o);
    q.after = 1;
    assert_int_equal(alerts_list(k.rig.alerts, &q, &b), 0);
    o = parsed(&b);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "alerts")), 1);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "next")));
    cJSON_Delete(o);
    q = (struct alert_query){.match = m, .state = "firing", .rule = "hot", .limit = 10};
    assert_int_equal(alerts_list(k.rig.alerts, &q, &b), 0);
    o = parsed(&b);
    list = cJSON_GetObjectItem(o, "alerts");
    assert_int_equal(cJSON_GetArraySize(list), 1);
    assert_string_equal(text_at(list->child, "alert"), "hot");
    assert_string_equal(text_at(list->child, "state"), "firing");
    assert_string_equal(text_at(list->child, "severity"), "error");
    assert_string_equal(text_at(cJSON_GetObjectItem(list->child, "labels"), "team"), "ops");
    assert_string_equal(text_at(list->child, "since"), "2026-01-05T00:00:00.000Z");
    assert_int_equal(number_at(list->child, "value"), 95);
    cJSON_Delete(o);
    q.state = "pending";
    assert_int_equal(alerts_list(k.rig.alerts, &q, &b), 0);
    o = parsed(&b);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "alerts")), 0);
    cJSON_Delete(o);
    match_free(&m);
    buf_free(&b);
    kit_close(&k);
}

static void test_rules(void **state)
{
    struct kit k;
    struct buf b;
    cJSON *o, *hot, *nothing;

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    warm(&k);
    kit_until(&k, 1000);
    assert_int_equal(alerts_rules(k.rig.alerts, &b), 0);
    o = parsed(&b);
    hot = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "rules"), 0);
    nothing = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "rules"), 2);
    assert_string_equal(text_at(hot, "alert"), "hot");
    assert_string_equal(text_at(hot, "condition"), "> 80");
    assert_string_equal(text_at(hot, "origin"), "rules.ini:1");
    assert_int_equal(number_at(hot, "groups"), 3);
    assert_int_equal(number_at(hot, "firing"), 2);
    assert_string_equal(text_at(nothing, "matches_nothing_since"), "2026-01-05T00:00:00.000Z");
    /* told once */
    assert_non_null(strstr(buf_text(&k.decisions), "No series has ever matched this rule"));
    assert_null(strstr(strstr(buf_text(&k.decisions), "has ever matched") + 1, "has ever matched"));
    cJSON_Delete(o);
    buf_free(&b);
    kit_close(&k);
}

static void test_explain(void **state)
{
    struct kit k;
    struct buf b;
    struct err e = {0};
    struct alert_input in;
    cJSON *o;
    char id[33];

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    warm(&k);
    in = (struct alert_input){.now = {KIT_START + k.at}, .facts = k.rig.facts};
    assert_int_equal(alerts_explain(k.rig.alerts, &in, "hot{host=\"a\"}", &b, &e), 0);
    o = parsed(&b);
    assert_string_equal(text_at(o, "state"), "firing");
    assert_string_equal(text_at(o, "sentence"), alert_row_number(10)->sentence);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "samples")), 10);
    assert_int_equal(number_at(cJSON_GetObjectItem(o, "samples")->child, "last"), 90);
    snprintf(id, sizeof id, "%s", text_at(o, "fingerprint"));
    cJSON_Delete(o);
    assert_int_equal(alerts_explain(k.rig.alerts, &in, id, &b, &e), 0);
    o = parsed(&b);
    assert_string_equal(text_at(cJSON_GetObjectItem(o, "labels"), "host"), "a");
    cJSON_Delete(o);
    /* a group that is good */
    assert_int_equal(alerts_explain(k.rig.alerts, &in, "hot{host=b}", &b, &e), 0);
    o = parsed(&b);
    assert_string_equal(text_at(o, "state"), "inactive");
    assert_string_equal(text_at(o, "verdict"), "clear");
    assert_int_equal(number_at(o, "value"), 20);
    cJSON_Delete(o);
    assert_int_equal(alerts_explain(k.rig.alerts, &in, "ratio", &b, &e), 0);
    o = parsed(&b);
    assert_true(fabs(number_at(o, "value") - 0.1) < 1e-9);
    cJSON_Delete(o);
    assert_int_equal(alerts_explain(k.rig.alerts, &in, "nothing", &b, &e), 0);
    o = parsed(&b);
    assert_non_null(strstr(text_at(o, "sentence"), "No series matches"));
    cJSON_Delete(o);
    assert_int_equal(alerts_explain(k.rig.alerts, &in, "unheard", &b, &e), ERR_NOTFOUND);
    assert_int_equal(alerts_explain(k.rig.alerts, &in, "00000000000000000000000000000000", &b, &e),
                     ERR_NOTFOUND);
    assert_int_equal(alerts_explain(k.rig.alerts, &in, "hot{host", &b, &e), ERR_MALFORMED);
    assert_int_equal(alerts_explain(k.rig.alerts, &in, "hot{=}", &b, &e), ERR_MALFORMED);
    buf_free(&b);
    kit_close(&k);
}

static void test_decisions(void **state)
{
    struct kit k;
    cJSON *o;
    char *line, *next;
    unsigned prevented = 0, fired = 0;

    (void)state;
    warm(&k);
    kit_set(&k, "temperature host=b", 99);
    kit_until(&k, 130);
    kit_set(&k, "temperature host=b", 10);
    kit_until(&k, 200);
    for (line = (char *)(uintptr_t)buf_text(&k.decisions); (next = strchr(line, '\n')); line = next + 1) {
        *next = 0;
        o = cJSON_Parse(line);
        assert_non_null(o);
        if (number_at(o, "row") >= 15 && number_at(o, "row") <= 15) {
            prevented += cJSON_IsTrue(cJSON_GetObjectItem(o, "prevented")) ? 1 : 0;
            assert_string_equal(text_at(cJSON_GetObjectItem(o, "labels"), "host"), "b");
        }
        if (number_at(o, "row") >= 10 && number_at(o, "row") <= 10) {
            fired++;
            assert_string_equal(text_at(o, "condition"), "> 80");
            assert_int_equal(number_at(o, "held_seconds"), 60);
            assert_int_equal(number_at(o, "for_seconds"), 60);
            assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(o, "samples")) >= 6);
        }
        cJSON_Delete(o);
    }
    assert_int_equal(prevented, 1);
    assert_int_equal(fired, 2);
    kit_close(&k);
}

/* ---- records ---- */

static void test_records_are_quiet(void **state)
{
    struct kit k;
    unsigned before;

    (void)state;
    warm(&k);
    before = k.written;
    kit_until(&k, 3600); /* two alerts fire on: nothing to write */
    assert_int_equal(k.written, before);
    kit_close(&k);
}

static void test_damaged_records(void **state)
{
    static const char *const values[] = {
        "",
        "{",
        "[]",
        "{\"v\":1}",
        "{\"v\":99}",
        "{\"v\":1,\"rule\":\"hot\",\"group\":{\"host\":7},\"labels\":{}}",
        "{\"v\":1,\"rule\":\"hot\",\"group\":{},\"labels\":{},\"severity\":\"error\",\"state\":\"lit\"}"};
    static const char key[] = "alert/00112233445566778899aabbccddeeff";
    struct kit k;
    struct err e = {0};

    (void)state;
    warm(&k);
    kit_restart(&k, NULL);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_true(alerts_restore(k.rig.alerts, (struct bytes){(const uint8_t *)key, sizeof key - 1},
                                   (struct bytes){(const uint8_t *)values[i], strlen(values[i])}, &e) < 0);
    assert_int_equal(alerts_restore(k.rig.alerts, (struct bytes){(const uint8_t *)"x", 1},
                                    (struct bytes){(const uint8_t *)"{}", 2}, &e),
                     ERR_NOTFOUND);
    /* each byte of a real record spoilt: an error or another alert, never a crash */
    for (uint32_t r = 0; r < k.n_records; r++) {
        char *value = strdup(k.records[r].value);
        size_t n = strlen(value);

        for (size_t i = 0; i < n; i++) {
            value[i] ^= 5;
            (void)alerts_restore(k.rig.alerts,
                                 (struct bytes){(const uint8_t *)k.records[r].key, strlen(k.records[r].key)},
                                 (struct bytes){(const uint8_t *)value, n}, &e);
            value[i] ^= 5;
        }
        free(value);
    }
    kit_until(&k, 120);
    kit_close(&k);
}

/* ---- metrics ---- */

struct tally {
    struct sink sink;
    char text[16384];
};

static void take_real(struct sink *s, const struct metric_row *row, const struct text *labels, double v)
{
    struct tally *t = (struct tally *)s;
    size_t n = strlen(t->text);

    n += (size_t)snprintf(t->text + n, sizeof t->text - n, "%s", row->name);
    for (size_t i = 0; i < metric_label_count(row); i++)
        n += (size_t)snprintf(t->text + n, sizeof t->text - n, " %.*s", (int)labels[i].n, labels[i].p);
    snprintf(t->text + n, sizeof t->text - n, " = %g\n", v);
}

static void take_int(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v)
{
    take_real(s, row, labels, (double)v);
}

static void test_metrics(void **state)
{
    static const char *const lines[] = {
        "securebase_alerts hot error firing = 2\n",
        "securebase_alerts hot error pending = 0\n",
        "securebase_alerts nothing warning firing = 0\n",
        "securebase_aggregator_alert_groups hot = 3\n",
        "securebase_aggregator_alert_rules = 3\n",
        "securebase_aggregator_alert_rules_without_series = 1\n",
        "securebase_aggregator_alert_transitions_total 10 = 2\n",
        "securebase_aggregator_alert_evaluation_seconds_total = 0.25\n",
    };
    struct tally t = {.sink = {.integer = take_int, .real = take_real}};
    struct kit k;

    (void)state;
    warm(&k);
    kit_until(&k, 700);
    alerts_spent(k.rig.alerts, span_ms(250));
    alerts_metrics(k.rig.alerts, &t.sink);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!strstr(t.text, lines[i]))
            fail_msg("no line %s in:\n%s", lines[i], t.text);
    }
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_records_are_quiet),
        cmocka_unit_test(test_damaged_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
