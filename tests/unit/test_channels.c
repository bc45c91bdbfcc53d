/* Channels without a network: names, receivers in the configuration, what is made of a notification and of an answer. */
#include "tests/unit/tell_kit.h"

#include "aggregator/notify/judge.h"

static void test_names(void **state)
{
    enum severity s;

    (void)state;
    assert_string_equal(alert_state_name(ALERT_CLEARING), "clearing");
    assert_string_equal(alert_state_name((enum alert_state)99), "unknown");
    assert_string_equal(outcome_name(OUTCOME_DENIED), "denied");
    assert_string_equal(tell_name(TELL_TEST), "test");
    for (int i = SEVERITY_INFO; i <= SEVERITY_CRITICAL; i++) {
        assert_int_equal(severity_parse(severity_name((enum severity)i), &s), 0);
        assert_int_equal(s, i);
    }
    assert_int_equal(severity_parse("Critical", &s), ERR_MALFORMED);
}

/* The choices of `type` are the types that there are, and equal keys have equal rows. */
static void test_rows(void **state)
{
    struct option_row rows[RECEIVER_ROWS];
    size_t n = receiver_rows(rows);
    char types[256] = "";

    (void)state;
    for (size_t i = 0; i < channels_count; i++)
        snprintf(types + strlen(types), sizeof types - strlen(types), "%s%s", i ? " " : "",
                 channels[i]->type);
    assert_string_equal(rows[0].key, "type");
    assert_string_equal(rows[0].choices, types);
    for (size_t i = 0; i < channels_count; i++) {
        const struct channel *ch = channels[i];

        assert_ptr_equal(channel_find(ch->type), ch);
        assert_true(!ch->send == (ch->prepare && ch->judge));
        for (size_t k = 0; k < ch->n_rows; k++) {
            const struct option_row *a = &ch->rows[k], *b = NULL;

            for (size_t j = 0; j < n; j++)
                if (strcmp(rows[j].key, a->key) == 0)
                    b = &rows[j];
            assert_non_null(b);
            assert_string_equal(a->sentence, b->sentence);
            assert_true(a->type == b->type && a->min == b->min && a->max == b->max &&
                        a->reloadable == b->reloadable);
            assert_true(a->dflt == b->dflt || strcmp(a->dflt, b->dflt) == 0);
        }
    }
    assert_null(channel_find("pigeon"));
}

static void refused(const char *ini, const char *expected)
{
    struct kit k;

    kit_parse(&k, ini);
    assert_int_equal(receiver_check(k.config, &k.report, &k.e), ERR_CONFIG);
    assert_string_equal(buf_text(&k.report), expected);
    kit_close(&k);
}

static void test_check(void **state)
{
    (void)state;
    refused("[receiver a]\ntype = webhook\n",
            "receivers.ini:1: [receiver a] url: expected one address, either as `url` or as `secret_url`\n");
    refused("[receiver a]\ntype = webhook\nurl = http://x/ http://y/\n",
            "receivers.ini:3: [receiver a] url: expected one address, either as `url` or as `secret_url`\n");
    refused("[receiver a]\ntype = log\nurl = http://x/\n",
            "receivers.ini:3: [receiver a] url: a receiver of type log has no such option\n");
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"", 0},
        {"7", 7},
        {"  7  ", 7},
        {"0", 0},
        {"-5", 0},
        {"7s", 0},
        {"7 8", 0},
        {"1e3", 0},
        {"99999999999999999999999", 3600},
        {"Tue, 24 Nov 2026 06:00:30 GMT", 30},
        {"Tue, 24 Nov 2026 05:00:00 GMT", 0},
        {"Tue, 24 Nov 2026 23:00:00 GMT", 3600},
        {"Tuesday, 24-Nov-26 06:00:30 GMT", 30},
        {"Tue Nov 24 06:00:30 2026", 30},
        {"Tue, 99 Nov 2026 06:00:30 GMT", 0},
        {"Tue, 24 Nvo 2026 06:00:30 GMT", 0},
        {"Tue, 24 Nov 2026 -6:00:30 GMT", 0},
        {"soon", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (retry_after_parse(rows[i].text, (struct wall){T0}).ns != span_s(rows[i].seconds).ns)
            fail_msg("\"%s\" gives %f s", rows[i].text,
                     span_seconds(retry_after_parse(rows[i].text, (struct wall){T0})));
}

static void test_judge(void **state)
{
    static const struct {
        int code, status;
        enum outcome outcome;
    } rows[] = {
        {0, 200, OUTCOME_DELIVERED},
        {0, 202, OUTCOME_DELIVERED},
        {0, 204, OUTCOME_DELIVERED},
        {0, 301, OUTCOME_NEVER},
        {0, 400, OUTCOME_NEVER},
        {0, 401, OUTCOME_DENIED},
        {0, 403, OUTCOME_DENIED},
        {0, 404, OUTCOME_NEVER},
        {0, 407, OUTCOME_DENIED},
        {0, 408, OUTCOME_RETRY},
        {0, 413, OUTCOME_NEVER},
        {0, 425, OUTCOME_RETRY},
        {0, 429, OUTCOME_RETRY},
        {0, 500, OUTCOME_RETRY},
        {0, 503, OUTCOME_RETRY},
        {ERR_TIMEOUT, 0, OUTCOME_RETRY},
        {ERR_TLS, 0, OUTCOME_RETRY},
        {ERR_NOTFOUND, 0, OUTCOME_RETRY},
        {ERR_LIMIT, 200, OUTCOME_DELIVERED},
        {ERR_LIMIT, 500, OUTCOME_RETRY},
    };
    struct kit k;
    struct told_result r;

    (void)state;
    kit_open(&k, "[receiver a]\ntype = webhook\nurl = http://127.0.0.1:9/\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        r = kit_judge(&k, rows[i].code, rows[i].status, "", "9");
        if (r.outcome != rows[i].outcome)
            fail_msg("code %d status %d is %s", rows[i].code, rows[i].status, outcome_name(r.outcome));
    }
    r = kit_judge(&k, 0, 429, "slow\n\n\tdown\x01 \xff!", "9");
    assert_string_equal(r.text, "status 429: slow down ?!");
    assert_int_equal(r.retry_after.ns, span_s(9).ns);
    r = kit_judge(&k, 0, 200, "", "9");
    assert_int_equal(r.retry_after.ns, 0);
    assert_string_equal(kit_judge(&k, ERR_TIMEOUT, 0, "", "").text, "timeout: what libcurl says");
    kit_close(&k);
}

static const char whole[] =
    "{\"version\":1,\"tell\":\"trigger\",\"status\":\"firing\",\"dedup_key\":\"checkout/high-error-rate:1\","
    "\"title\":\"[critical] high-error-rate: checkout\","
    "\"text\":\"25% of checkout fails\\nvalue 0.25, threshold 0.05\",\"severity\":\"critical\","
    "\"group\":{\"region\":\"us-east-1\",\"service\":\"checkout\"},"
    "\"alerts\":[{\"rule\":\"high-error-rate\",\"id\":\"00112233445566778899aabbccddeeff\",\"firing\":true,"
    "\"severity\":\"critical\",\"labels\":{\"alertname\":\"high-error-rate\",\"region\":\"us-east-1\","
    "\"service\":\"checkout\",\"severity\":\"critical\"},"
    "\"since\":\"2026-11-24T05:58:00.000Z\",\"ended\":null,\"value\":0.25,\"threshold\":0.05,"
    "\"summary\":\"25% of checkout fails\",\"description\":\"More than 5% for 2m.\","
    "\"runbook\":\"https://runbooks.example.com/errors\",\"explain\":\"sbctl explain 00112233\"},"
    "{\"rule\":\"high-error-rate\",\"id\":\"ffeeddccbbaa99887766554433221100\",\"firing\":false,"
    "\"severity\":\"warning\",\"labels\":{\"alertname\":\"high-error-rate\",\"region\":\"us-east-1\","
    "\"service\":\"checkout\"},"
    "\"since\":\"2026-11-24T05:50:00.000Z\",\"ended\":\"2026-11-24T05:59:00.000Z\",\"value\":0.01,"
    "\"threshold\":0.05,"
    "\"summary\":\"over\",\"description\":\"\",\"runbook\":\"\",\"explain\":\"\"}],"
    "\"more\":0,\"source\":\"us-east-1/agg-1\",\"link\":\"https://console.example.com/alerts\","
    "\"ack_link\":\"https://console.example.com/ack?id=1\",\"time\":\"2026-11-24T06:00:00.000Z\","
    "\"first\":\"2026-11-24T05:50:00.000Z\",\"attempt\":1,\"change_kind\":\"\"}";

static void test_webhook(void **state)
{
    char ini[1024];
    struct kit k;

    (void)state;
    kit_file("hook.secret", "It's a Secret to Everybody\n");
    kit_file("auth.secret", "Bearer abc\n");
    kit_open(&k, kit_here(ini, sizeof ini,
                          "[receiver a]\ntype = webhook\nurl = https://hooks.example.com/x?y=1\n"
                          "secret = file:^/hook.secret\nauthorization = file:^/auth.secret\n"));
    assert_int_equal(kit_prepare(&k, &kit_notification), 1);
    assert_string_equal(k.calls[0].method, "POST");
    assert_string_equal(k.calls[0].url, "https://hooks.example.com/x?y=1");
    assert_string_equal(kit_header(&k, 0, "Content-Type"), "application/json");
    assert_string_equal(kit_header(&k, 0, "Authorization"), "Bearer abc");
    assert_string_equal(kit_header(&k, 0, "X-Securebase-Timestamp"), "1795500000");
    assert_int_equal(strlen(kit_header(&k, 0, "X-Securebase-Signature")), 3 + 64);
    kit_body(&k, 0, whole);
    kit_close(&k);
}

static void test_clean(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 0);
    assert_string_equal(told_clean(&a,
                                   "a\x01"
                                   "b\n\tc",
                                   100),
                        "a b\n\tc");
    assert_string_equal(told_line(&a, "a\r\nb", 100), "a  b");
    assert_string_equal(told_clean(&a, "caf\xe9 \xc3\xa9", 100), "caf\xef\xbf\xbd \xc3\xa9");
    assert_string_equal(told_clean(&a, "0123456789", 10), "0123456789");
    assert_string_equal(told_clean(&a, "0123456789a", 10), "0123456\xe2\x80\xa6");
    assert_string_equal(told_clean(&a, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 7),
                        "\xc3\xa9\xc3\xa9\xe2\x80\xa6");
    assert_string_equal(told_clean(&a, "", 10), "");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_rows),  cmocka_unit_test(test_check),
        cmocka_unit_test(test_retry_after), cmocka_unit_test(test_judge), cmocka_unit_test(test_webhook),
        cmocka_unit_test(test_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
