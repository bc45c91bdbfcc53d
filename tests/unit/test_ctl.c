/* What sbctl shows, from answers as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>

#include "aggregator/ctl/ctl.h"

static void tables_line_up(void **state)
{
    struct table t;
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 4096);
    table_init(&t, 3, "lrl");
    table_cell(&t, "NAME");
    table_cell(&t, "N");
    table_cell(&t, "END");
    table_cell(&t, "é");
    table_cell(&t, "1000");
    table_cell(&t, "x\033[2J");
    table_print(&t, &out);
    assert_string_equal(buf_text(&out), "NAME     N  END\n"
                                        "é     1000  x?[2J\n");
    table_free(&t);
    buf_free(&out);
}

static void ages_are_told(void **state)
{
    static const struct {
        const char *then, *text;
    } rows[] = {{"2026-11-24T05:59:59Z", "1 s"},
                {"2026-11-24T05:58:30Z", "90 s"},
                {"2026-11-24T05:50:00Z", "10 min"},
                {"2026-11-24T01:55:00Z", "4 h 5 min"},
                {"2026-11-20T06:00:00Z", "4 d"},
                {"2026-11-24T07:00:00Z", "0 s"},
                {"", "-"}};
    char out[32];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        age_text("2026-11-24T06:00:00Z", rows[i].then, out);
        assert_string_equal(out, rows[i].text);
    }
    short_number(123456, out);
    assert_string_equal(out, "123456");
    short_number(0.123456, out);
    assert_string_equal(out, "0.1235");
    short_number(NAN, out);
    assert_string_equal(out, "-");
}

static void an_explanation_is_shown(void **state)
{
    cJSON *a = cJSON_Parse(
        "{\"alert\":\"load\",\"fingerprint\":\"ab\",\"state\":\"firing\",\"labels\":{\"part\":\"3\"},"
        "\"value\":9,\"threshold\":5,\"since\":\"T1\",\"muted\":\"no\",\"verdict\":\"holds\","
        "\"sentence\":\"It holds.\",\"metric\":\"m\",\"statistic\":\"last\",\"window_seconds\":30,"
        "\"condition\":\"> 5\",\"clear\":\"< 4\",\"for_seconds\":0,\"clear_for_seconds\":60,"
        "\"notices\":{\"suppressed\":false,\"groups\":[{\"route\":\"all\",\"dedup_key\":\"k\","
        "\"stopped_by\":\"silence\",\"stopped_by_what\":\"s1\",\"receivers\":[{\"receiver\":\"pager\","
        "\"state\":\"told\",\"attempt\":2,\"told_at\":\"T2\",\"last_error\":\"500\"}]}]},"
        "\"decisions\":[]}");
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 4096);
    show_explanation(a, &out);
    assert_string_equal(buf_text(&out),
                        "load is firing, true since T1\n"
                        "  part=\"3\"\n"
                        "\n"
                        "why        It holds.\n"
                        "rule       last of m over 30 s > 5, for 0 s; clears when < 4 for 60 s\n"
                        "value      9 against 5: holds\n"
                        "id         ab\n"
                        "\n"
                        "Who is told\n"
                        "  by route all, key k, stopped by silence s1\n"
                        "    pager: told at T2, attempt 2; last error: 500\n"
                        "\n"
                        "What was decided\n"
                        "  nothing yet\n");
    buf_clear(&out);
    show_explanation(NULL, &out); /* no answer at all is no crash */
    assert_true(out.len > 0);
    cJSON_Delete(a);
    buf_free(&out);
}

static void percentiles_are_shown(void **state)
{
    cJSON *a = cJSON_Parse("{\"percentiles\":[{\"percentile\":\"api\",\"metric\":\"m_seconds\",\"groups\":["
                           "{\"labels\":{\"service\":\"shop\"},\"windows\":["
                           "{\"window\":\"1m\",\"values\":4,\"quantiles\":{\"0.5\":0.25,\"0.99\":0.75}},"
                           "{\"window\":\"1h\",\"values\":0,\"quantiles\":{}}]}]},"
                           "{\"percentile\":\"none\",\"metric\":\"x\",\"groups\":[]}]}");
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 4096);
    show_percentiles(a, &out);
    assert_string_equal(buf_text(&out), "api  m_seconds\n"
                                        "GROUP         WINDOW   0.5  0.99  VALUES\n"
                                        "service=shop  1m      0.25  0.75       4\n"
                                        "service=shop  1h         -     -       0\n"
                                        "\n"
                                        "none  x\n"
                                        "no values yet\n");
    buf_clear(&out);
    show_percentiles(NULL, &out); /* no answer at all is no crash */
    assert_true(out.len > 0);
    cJSON_Delete(a);
    buf_free(&out);
}

static void top_sorts_by_cpu(void **state)
{
    cJSON *status =
        cJSON_Parse("{\"region\":\"r\",\"now\":\"2026-11-24T06:00:00Z\",\"started\":\"2026-11-24T05:00:00Z\","
                    "\"agents_up\":1,\"agents_absent\":1,\"series\":2}");
    cJSON *agents =
        cJSON_Parse("{\"agents\":[{\"id\":\"idle\",\"up\":true},{\"id\":\"busy\",\"up\":false}]}");
    cJSON *series = cJSON_Parse(
        "{\"series\":["
        "{\"name\":\"securebase_host_cpu_utilization_ratio\",\"labels\":{"
        "\"instance\":\"busy\"},\"value\":0.5},"
        "{\"name\":\"securebase_host_disk_utilization_ratio\",\"labels\":{"
        "\"instance\":\"busy\",\"device\":\"a\"},\"value\":0.25},"
        "{\"name\":\"securebase_host_disk_utilization_ratio\",\"labels\":{"
        "\"instance\":\"busy\",\"device\":\"b\"},\"value\":0.75},"
        "{\"name\":\"redis_up\",\"labels\":{\"instance\":\"busy\",\"server\":\"main\"},\"value\":0},"
        "{\"name\":\"securebase_app_redis_hit_ratio\",\"labels\":{\"instance\":\"busy\",\"server\":\"main\"},"
        "\"value\":0.5}]}");
    const char *busy, *idle;
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 65536);
    show_top(status, NULL, agents, series, NULL, 0, &out);
    busy = strstr(buf_text(&out), "busy  absent");
    idle = strstr(buf_text(&out), "idle  up");
    assert_true(busy && idle && busy < idle);
    assert_non_null(strstr(busy, "#####.....  50.0%"));
    assert_non_null(strstr(busy, "75.0%")); /* the busiest disk */
    assert_non_null(strstr(busy, "redis  main  busy  FAILS     -       50.0%"));
    cJSON_Delete(status);
    cJSON_Delete(agents);
    cJSON_Delete(series);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_line_up),        cmocka_unit_test(ages_are_told),
        cmocka_unit_test(percentiles_are_shown), cmocka_unit_test(an_explanation_is_shown),
        cmocka_unit_test(top_sorts_by_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
