/* HTTP channels against what their vendors document: requests in full, limits, and what is made of each answer. */
#include "tests/unit/tell_kit.h"

static const struct notification *as(struct notification *n, enum tell tell)
{
    *n = kit_notification;
    n->tell = tell;
    return n;
}

/* ---- PagerDuty: developer.pagerduty.com, Events API v2 ---- */

#define ROUTING_KEY "0123456789abcdef0123456789abcdef"

static void open_pagerduty(struct kit *k, const char *more)
{
    char ini[1024], text[1024];

    kit_file("pd.secret", ROUTING_KEY "\n");
    snprintf(text, sizeof text, "[receiver pager]\ntype = pagerduty\nrouting_key = file:^/pd.secret\n%s",
             more);
    kit_open(k, kit_here(ini, sizeof ini, text));
}

static void test_pagerduty(void **state)
{
    struct notification n;
    struct kit k;

    (void)state;
    open_pagerduty(&k, "");
    assert_int_equal(kit_prepare(&k, &kit_notification), 1);
    assert_string_equal(k.calls[0].method, "POST");
    assert_string_equal(k.calls[0].url, "https://events.pagerduty.com/v2/enqueue");
    assert_string_equal(kit_header(&k, 0, "Content-Type"), "application/json");
    kit_body(
        &k, 0,
        "{\"routing_key\":\"" ROUTING_KEY
        "\",\"event_action\":\"trigger\",\"dedup_key\":\"checkout/high-error-rate:1\","
        "\"payload\":{\"summary\":\"[critical] high-error-rate: checkout\",\"source\":\"checkout\","
        "\"timestamp\":\"2026-11-24T05:50:00.000Z\",\"severity\":\"critical\",\"component\":\"checkout\","
        "\"group\":\"us-east-1\",\"class\":\"high-error-rate\","
        "\"custom_details\":{\"text\":\"25% of checkout fails\\nvalue 0.25, threshold 0.05\","
        "\"labels\":{\"region\":\"us-east-1\",\"service\":\"checkout\"},"
        "\"alerts\":[{\"rule\":\"high-error-rate\",\"firing\":true,"
        "\"labels\":{\"alertname\":\"high-error-rate\",\"region\":\"us-east-1\",\"service\":\"checkout\","
        "\"severity\":\"critical\"},\"summary\":\"25% of checkout fails\",\"value\":0.25,\"threshold\":0.05,"
        "\"explain\":\"sbctl explain 00112233\"},"
        "{\"rule\":\"high-error-rate\",\"firing\":false,"
        "\"labels\":{\"alertname\":\"high-error-rate\",\"region\":\"us-east-1\",\"service\":\"checkout\"},"
        "\"summary\":\"over\",\"value\":0.01,\"threshold\":0.05}],\"more\":0,\"told_by\":\"us-east-1/"
        "agg-1\"}},"
        "\"links\":[{\"href\":\"https://console.example.com/alerts\",\"text\":\"Console\"},"
        "{\"href\":\"https://console.example.com/ack?id=1\",\"text\":\"Acknowledge\"},"
        "{\"href\":\"https://runbooks.example.com/errors\",\"text\":\"Runbook\"}],"
        "\"client\":\"SecureBase Monitor\",\"client_url\":\"https://console.example.com/alerts\"}");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_RESOLVE)), 1);
    kit_body(&k, 0,
             "{\"routing_key\":\"" ROUTING_KEY
             "\",\"event_action\":\"resolve\",\"dedup_key\":\"checkout/high-error-rate:1\"}");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_ACKNOWLEDGE)), 1);
    kit_body(&k, 0,
             "{\"routing_key\":\"" ROUTING_KEY
             "\",\"event_action\":\"acknowledge\",\"dedup_key\":\"checkout/high-error-rate:1\"}");
    as(&n, TELL_CHANGE);
    n.n_alerts = 0;
    n.group.n = 0;
    n.ack_link = "";
    n.title = "checkout 1.2.3 deployed";
    n.text = "by ann";
    assert_int_equal(kit_prepare(&k, &n), 1);
    assert_string_equal(k.calls[0].url, "https://events.pagerduty.com/v2/change/enqueue");
    kit_body(&k, 0,
             "{\"routing_key\":\"" ROUTING_KEY "\",\"payload\":{\"summary\":\"checkout 1.2.3 deployed\","
             "\"source\":\"us-east-1/agg-1\",\"timestamp\":\"2026-11-24T06:00:00.000Z\","
             "\"custom_details\":{\"text\":\"by "
             "ann\",\"labels\":{},\"alerts\":[],\"more\":0,\"told_by\":\"us-east-1/agg-1\"}},"
             "\"links\":[{\"href\":\"https://console.example.com/alerts\",\"text\":\"Console\"}]}");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_HEARTBEAT)), ERR_UNSUPPORTED);
    kit_close(&k);
    open_pagerduty(&k, "url = https://events.eu.pagerduty.com/\n");
    assert_int_equal(kit_prepare(&k, &kit_notification), 1);
    assert_string_equal(k.calls[0].url, "https://events.eu.pagerduty.com/v2/enqueue");
    kit_close(&k);
}

static const char *repeat(const char *what, size_t times)
{
    static char text[65536];

    for (size_t i = 0; i < times; i++)
        memcpy(text + i * strlen(what), what, strlen(what));
    text[times * strlen(what)] = 0;
    return text;
}

static void test_pagerduty_limits(void **state)
{
    static struct told_alert many[512];
    struct notification n = kit_notification;
    struct kit k;
    cJSON *o, *payload, *details;
    size_t kept;

    (void)state;
    open_pagerduty(&k, "");
    n.title = repeat("\xc3\xa9", 700);
    assert_int_equal(kit_prepare(&k, &n), 1);
    o = cJSON_Parse((const char *)k.calls[0].body.p);
    payload = cJSON_GetObjectItem(o, "payload");
    assert_in_range(strlen(cJSON_GetObjectItem(payload, "summary")->valuestring), 1020, 1024);
    assert_string_equal(cJSON_GetObjectItem(payload, "summary")->valuestring + 1020, "\xe2\x80\xa6");
    cJSON_Delete(o);

    n = kit_notification;
    for (size_t i = 0; i < 512; i++) {
        many[i] = kit_alerts[0];
        many[i].summary = repeat("0123456789abcdef", 4000);
    }
    n.alerts = many;
    n.n_alerts = 512;
    n.more = 3;
    assert_int_equal(kit_prepare(&k, &n), 1);
    assert_in_range(k.calls[0].body.n, 100000, 512 * 1024);
    o = cJSON_Parse((const char *)k.calls[0].body.p);
    details = cJSON_GetObjectItem(cJSON_GetObjectItem(o, "payload"), "custom_details");
    kept = (size_t)cJSON_GetArraySize(cJSON_GetObjectItem(details, "alerts"));
    assert_in_range(kept, 100, 511);
    assert_int_equal((size_t)cJSON_GetObjectItem(details, "more")->valuedouble, 512 + 3 - kept);
    cJSON_Delete(o);
    kit_close(&k);
}

static void test_pagerduty_answers(void **state)
{
    struct kit k;

    (void)state;
    open_pagerduty(&k, "");
    assert_int_equal(kit_judge(&k, 0, 202,
                               "{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"x\"}",
                               "")
                         .outcome,
                     OUTCOME_DELIVERED);
    assert_int_equal(
        kit_judge(&k, 0, 400, "{\"status\":\"invalid event\",\"errors\":[\"'payload' is missing\"]}", "")
            .outcome,
        OUTCOME_NEVER);
    assert_int_equal(
        kit_judge(&k, 0, 400, "{\"errors\":[\"Length of 'routing_key' is incorrect\"]}", "").outcome,
        OUTCOME_DENIED);
    assert_int_equal(kit_judge(&k, 0, 429, "", "").outcome, OUTCOME_RETRY);
    assert_int_equal(kit_judge(&k, 0, 429, "", "").retry_after.ns, span_s(60).ns);
    assert_int_equal(kit_judge(&k, 0, 429, "", "300").retry_after.ns, span_s(300).ns);
    assert_int_equal(kit_judge(&k, 0, 503, "", "").outcome, OUTCOME_RETRY);
    assert_int_equal(kit_judge(&k, ERR_IO, 0, "", "").outcome, OUTCOME_RETRY);
    kit_close(&k);
}

/* What opening refuses, and that a sentence never shows the secret. */
static void test_secrets(void **state)
{
    static const struct {
        const char *ini, *secret;
    } rows[] = {
        {"[receiver a]\ntype = pagerduty\nrouting_key = file:^/bad.secret\n", "tooshortforakey"},
        {"[receiver a]\ntype = pagerduty\nrouting_key = file:^/bad.secret\n", ""},
        {"[receiver a]\ntype = slack\nsecret_url = file:^/bad.secret\n", "hooks.slack.com/services/T/B/x"},
        {"[receiver a]\ntype = slack\nsecret_url = file:^/bad.secret\n",
         "https://u:p@hooks.slack.com/services/T/B/x"},
        {"[receiver a]\ntype = opsgenie\napi_key = file:^/bad.secret\n", "two\nlines"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char ini[1024];
        struct kit k;

        kit_file("bad.secret", rows[i].secret);
        kit_parse(&k, kit_here(ini, sizeof ini, rows[i].ini));
        assert_int_equal(receiver_check(k.config, &k.report, &k.e), 0);
        assert_null(k.ch->open(k.s, NULL, &k.e));
        assert_true(k.e.code < 0 && *k.e.text);
        if (*rows[i].secret)
            assert_null(strstr(k.e.text, rows[i].secret));
        kit_close(&k);
    }
}

/* ---- Alertmanager: api/v2/openapi.yaml ---- */

static void test_alertmanager(void **state)
{
    static const struct label odd[] = {
        {"1st", "a"}, {"dc-name", "b"}, {"empty", ""}, {"st\xc3\xa4\x64t", "c"}};
    struct told_alert strange = kit_alerts[0];
    struct notification n = kit_notification;
    struct kit k;

    (void)state;
    kit_open(&k, "[receiver am]\ntype = alertmanager\nurl = http://am-1:9093 http://am-2:9093/prefix/\n");
    assert_int_equal(kit_prepare(&k, &kit_notification), 2);
    assert_string_equal(k.calls[0].url, "http://am-1:9093/api/v2/alerts");
    assert_string_equal(k.calls[1].url, "http://am-2:9093/prefix/api/v2/alerts");
    assert_string_equal(k.calls[0].who, "http://am-1:9093");
    assert_true(k.calls[0].idempotent);
    assert_int_equal(k.ch->refresh.ns, span_s(60).ns);
    for (int i = 0; i < 2; i++)
        kit_body(
            &k, i,
            "[{\"labels\":{\"alertname\":\"high-error-rate\",\"region\":\"us-east-1\",\"service\":"
            "\"checkout\","
            "\"severity\":\"critical\"},"
            "\"annotations\":{\"summary\":\"25% of checkout fails\",\"description\":\"More than 5% for 2m.\","
            "\"runbook_url\":\"https://runbooks.example.com/errors\",\"explain\":\"sbctl explain 00112233\"},"
            "\"startsAt\":\"2026-11-24T05:58:00.000Z\",\"endsAt\":\"2026-11-24T06:04:00.000Z\","
            "\"generatorURL\":\"https://console.example.com/alerts\"},"
            "{\"labels\":{\"alertname\":\"high-error-rate\",\"region\":\"us-east-1\",\"service\":"
            "\"checkout\"},"
            "\"annotations\":{\"summary\":\"over\"},"
            "\"startsAt\":\"2026-11-24T05:50:00.000Z\",\"endsAt\":\"2026-11-24T05:59:00.000Z\","
            "\"generatorURL\":\"https://console.example.com/alerts\"}]");
    n.tell = TELL_RESOLVE; /* whatever the alerts say, they are over */
    n.n_alerts = 1;
    n.link = "";
    strange.labels = (struct labels){odd, 4};
    strange.since = (struct wall){T0 + 5000}; /* a clock that stepped back */
    strange.summary = strange.description = strange.runbook = strange.explain = "";
    n.alerts = &strange;
    assert_int_equal(kit_prepare(&k, &n), 2);
    kit_body(
        &k, 0,
        "[{\"labels\":{\"_1st\":\"a\",\"dc_name\":\"b\",\"st__dt\":\"c\",\"alertname\":\"high-error-rate\"},"
        "\"annotations\":{},\"startsAt\":\"2026-11-24T06:00:00.000Z\",\"endsAt\":\"2026-11-24T06:00:00."
        "000Z\"}]");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_TEST)), 2);
    kit_body(&k, 0,
             "[{\"labels\":{\"alertname\":\"SecureBaseTest\",\"severity\":\"info\",\"source\":\"us-east-1/"
             "agg-1\"},"
             "\"annotations\":{\"summary\":\"[critical] high-error-rate: checkout\","
             "\"description\":\"25% of checkout fails\\nvalue 0.25, threshold 0.05\"},"
             "\"startsAt\":\"2026-11-24T06:00:00.000Z\",\"endsAt\":\"2026-11-24T06:04:00.000Z\","
             "\"generatorURL\":\"https://console.example.com/alerts\"}]");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_CHANGE)), ERR_UNSUPPORTED);
    assert_int_equal(kit_prepare(&k, as(&n, TELL_ACKNOWLEDGE)), ERR_UNSUPPORTED);
    as(&n, TELL_TRIGGER);
    n.n_alerts = 0;
    assert_int_equal(kit_prepare(&k, &n), ERR_UNSUPPORTED);
    assert_int_equal(kit_judge(&k, 0, 200, "", "").outcome, OUTCOME_DELIVERED);
    assert_int_equal(kit_judge(&k, 0, 400, "\"at least one label pair required\"", "").outcome,
                     OUTCOME_NEVER);
    assert_int_equal(kit_judge(&k, 0, 500, "", "").outcome, OUTCOME_RETRY);
    kit_close(&k);
}

/* ---- Slack: api.slack.com, incoming webhooks and Block Kit ---- */

static void open_slack(struct kit *k)
{
    char ini[1024];

    kit_file("slack.secret", "https://hooks.slack.com/services/T000/B000/XXXX\n");
    kit_open(k, kit_here(ini, sizeof ini, "[receiver s]\ntype = slack\nsecret_url = file:^/slack.secret\n"));
}

static void test_slack(void **state)
{
    struct notification n = kit_notification;
    struct kit k;
    cJSON *o, *blocks;
    const char *section;

    (void)state;
    open_slack(&k);
    n.text = "a < b & c > d";
    assert_int_equal(kit_prepare(&k, &n), 1);
    assert_string_equal(k.calls[0].url, "https://hooks.slack.com/services/T000/B000/XXXX");
    assert_false(k.calls[0].idempotent);
    kit_body(
        &k, 0,
        "{\"text\":\"[critical] high-error-rate: checkout\",\"unfurl_links\":false,\"unfurl_media\":false,"
        "\"blocks\":[{\"type\":\"header\",\"text\":{\"type\":\"plain_text\","
        "\"text\":\"[critical] high-error-rate: checkout\"}},"
        "{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\","
        "\"text\":\"a &lt; b &amp; c &gt; d\"}},"
        "{\"type\":\"context\",\"elements\":[{\"type\":\"mrkdwn\",\"text\":\"firing \xc2\xb7 critical "
        "\xc2\xb7 "
        "us-east-1/agg-1 \xc2\xb7 <https://console.example.com/alerts|Console> \xc2\xb7 "
        "<https://console.example.com/ack?id=1|Acknowledge>\"}]}]}");
    n.text = repeat("<\xc3\xa9>", 2000);
    n.title = repeat("<\xc3\xa9>", 2000);
    n.link = "https://x/a|b>";
    assert_int_equal(kit_prepare(&k, &n), 1);
    o = cJSON_Parse((const char *)k.calls[0].body.p);
    blocks = cJSON_GetObjectItem(o, "blocks");
    section =
        cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetArrayItem(blocks, 1), "text"), "text")->valuestring;
    assert_in_range(strlen(section), 2980, 3000);
    assert_true(section[strlen(section) - 1] == ';' || (unsigned char)section[strlen(section) - 1] == 0xa9);
    assert_in_range(
        strlen(cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetArrayItem(blocks, 0), "text"), "text")
                   ->valuestring),
        140, 150);
    assert_null(strstr((const char *)k.calls[0].body.p, "Console"));
    cJSON_Delete(o);
    assert_int_equal(kit_judge(&k, 0, 200, "ok", "").outcome, OUTCOME_DELIVERED);
    assert_int_equal(kit_judge(&k, 0, 400, "invalid_payload", "").outcome, OUTCOME_NEVER);
    assert_int_equal(kit_judge(&k, 0, 403, "action_prohibited", "").outcome, OUTCOME_DENIED);
    assert_int_equal(kit_judge(&k, 0, 404, "no_service", "").outcome, OUTCOME_DENIED);
    assert_int_equal(kit_judge(&k, 0, 410, "channel_is_archived", "").outcome, OUTCOME_DENIED);
    assert_int_equal(kit_judge(&k, 0, 429, "", "30").retry_after.ns, span_s(30).ns);
    kit_close(&k);
}

/* ---- Opsgenie: docs.opsgenie.com, Alert API and Heartbeat API ---- */

static void test_opsgenie(void **state)
{
    struct notification n = kit_notification;
    char ini[1024];
    struct kit k;

    (void)state;
    kit_file("og.secret", "11111111-2222-3333-4444-555555555555\n");
    kit_open(&k, kit_here(ini, sizeof ini,
                          "[receiver o]\ntype = opsgenie\napi_key = file:^/og.secret\nresponders = team:ops "
                          "user:ann@example.com\ntags = prod securebase\nheartbeat = agg 1\n"));
    assert_int_equal(kit_prepare(&k, &kit_notification), 1);
    assert_string_equal(k.calls[0].url, "https://api.opsgenie.com/v2/alerts");
    assert_string_equal(kit_header(&k, 0, "Authorization"), "GenieKey 11111111-2222-3333-4444-555555555555");
    kit_body(&k, 0,
             "{\"message\":\"[critical] high-error-rate: checkout\",\"alias\":\"checkout/high-error-rate:1\","
             "\"description\":\"25% of checkout fails\\nvalue 0.25, threshold 0.05\\nConsole: "
             "https://console.example.com/alerts\\nAcknowledge: https://console.example.com/ack?id=1\","
             "\"responders\":[{\"name\":\"ops\",\"type\":\"team\"},{\"username\":\"ann@example.com\","
             "\"type\":\"user\"}],"
             "\"tags\":[\"prod\",\"securebase\"],"
             "\"details\":{\"region\":\"us-east-1\",\"service\":\"checkout\","
             "\"runbook\":\"https://runbooks.example.com/errors\",\"console\":\"https://console.example.com/"
             "alerts\"},"
             "\"entity\":\"checkout\",\"source\":\"us-east-1/agg-1\",\"priority\":\"P1\"}");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_RESOLVE)), 1);
    assert_string_equal(
        k.calls[0].url,
        "https://api.opsgenie.com/v2/alerts/checkout%2Fhigh-error-rate%3A1/close?identifierType=alias");
    kit_body(
        &k, 0,
        "{\"source\":\"us-east-1/agg-1\",\"note\":\"25% of checkout fails\\nvalue 0.25, threshold 0.05\"}");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_ACKNOWLEDGE)), 1);
    assert_string_equal(
        k.calls[0].url,
        "https://api.opsgenie.com/v2/alerts/checkout%2Fhigh-error-rate%3A1/acknowledge?identifierType=alias");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_HEARTBEAT)), 1);
    assert_string_equal(k.calls[0].url, "https://api.opsgenie.com/v2/heartbeats/agg%201/ping");
    assert_int_equal(kit_prepare(&k, as(&n, TELL_CHANGE)), ERR_UNSUPPORTED);
    assert_int_equal(kit_judge(&k, 0, 202, "{\"result\":\"Request will be processed\"}", "").outcome,
                     OUTCOME_DELIVERED);
    assert_int_equal(kit_judge(&k, 0, 422, "{\"message\":\"Request body is not processable\"}", "").outcome,
                     OUTCOME_NEVER);
    assert_int_equal(kit_judge(&k, 0, 403, "", "").outcome, OUTCOME_DENIED);
    kit_close(&k);
    kit_open(&k, kit_here(ini, sizeof ini,
                          "[receiver o]\ntype = opsgenie\napi_key = file:^/og.secret\n"
                          "url = https://api.atlassian.com/jsm/ops/integration/\n"));
    n = kit_notification;
    n.severity = SEVERITY_WARNING;
    n.title = repeat("0123456789", 20);
    assert_int_equal(kit_prepare(&k, &n), 1);
    assert_string_equal(k.calls[0].url, "https://api.atlassian.com/jsm/ops/integration/v2/alerts");
    assert_non_null(strstr((const char *)k.calls[0].body.p, "\"priority\":\"P3\""));
    assert_non_null(strstr((const char *)k.calls[0].body.p, "0123456\xe2\x80\xa6\",\"alias\""));
    assert_int_equal(kit_prepare(&k, as(&n, TELL_HEARTBEAT)), ERR_UNSUPPORTED);
    kit_close(&k);
}

/* ---- SNS: docs.aws.amazon.com/sns, Publish ---- */

static const char sns_ini[] =
    "[receiver s]\ntype = sns\naccess_key_id = file:^/id.secret\nsecret_key = file:^/key.secret\n";

static void open_sns(struct kit *k, const char *more)
{
    char ini[2048], text[1024];

    kit_file("id.secret", "AKIDEXAMPLE\n");
    kit_file("key.secret", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n");
    kit_file("token.secret", "TOKEN/EXAMPLE==\n");
    snprintf(text, sizeof text, "%s%s", sns_ini, more);
    kit_open(k, kit_here(ini, sizeof ini, text));
}

static void test_sns(void **state)
{
    struct notification n = kit_notification;
    struct kit k;
    const char *body;

    (void)state;
    open_sns(&k, "topic = arn:aws:sns:eu-west-1:123456789012:alerts\n");
    n.title = "[critical] Stra\xc3\x9f"
              "e";
    assert_int_equal(kit_prepare(&k, &n), 1);
    assert_string_equal(k.calls[0].url, "https://sns.eu-west-1.amazonaws.com/");
    assert_string_equal(kit_header(&k, 0, "X-Amz-Date"), "20261124T060000Z");
    assert_string_equal(
        (const char *)k.calls[0].body.p,
        "Action=Publish"
        "&MessageAttributes.entry.1.Name=status&MessageAttributes.entry.1.Value.DataType=String"
        "&MessageAttributes.entry.1.Value.StringValue=firing"
        "&MessageAttributes.entry.2.Name=severity&MessageAttributes.entry.2.Value.DataType=String"
        "&MessageAttributes.entry.2.Value.StringValue=critical"
        "&MessageAttributes.entry.3.Name=dedup_key&MessageAttributes.entry.3.Value.DataType=String"
        "&MessageAttributes.entry.3.Value.StringValue=checkout%2Fhigh-error-rate%3A1"
        "&Message=25%25%20of%20checkout%20fails%0Avalue%200.25%2C%20threshold%200.05%0AConsole%3A%20"
        "https%3A%2F%2Fconsole.example.com%2Falerts%0AAcknowledge%3A%20https%3A%2F%2Fconsole.example.com"
        "%2Fack%3Fid%3D1"
        "&Subject=%5Bcritical%5D%20Stra%3Fe"
        "&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Aalerts&Version=2010-03-31");
    assert_int_equal(strncmp(kit_header(&k, 0, "Authorization"),
                             "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-west-1/sns/aws4_request, "
                             "SignedHeaders=content-type;host;x-amz-date, Signature=",
                             131),
                     0);
    assert_int_equal(kit_judge(&k, 0, 200, "<PublishResponse/>", "").outcome, OUTCOME_DELIVERED);
    assert_int_equal(kit_judge(&k, 0, 400, "<Code>InvalidParameter</Code>", "").outcome, OUTCOME_NEVER);
    assert_int_equal(kit_judge(&k, 0, 400, "<Code>Throttling</Code>", "").outcome, OUTCOME_RETRY);
    assert_int_equal(kit_judge(&k, 0, 404, "<Code>NotFound</Code>", "").outcome, OUTCOME_DENIED);
    assert_int_equal(kit_judge(&k, 0, 403, "<Code>SignatureDoesNotMatch</Code>", "").outcome, OUTCOME_DENIED);
    assert_int_equal(kit_judge(&k, 0, 503, "", "").outcome, OUTCOME_RETRY);
    kit_close(&k);

    open_sns(&k,
             "topic = arn:aws-cn:sns:cn-north-1:123456789012:a.fifo\nsession_token = file:^/token.secret\n");
    assert_int_equal(kit_prepare(&k, &kit_notification), 1);
    assert_string_equal(k.calls[0].url, "https://sns.cn-north-1.amazonaws.com.cn/");
    assert_string_equal(kit_header(&k, 0, "X-Amz-Security-Token"), "TOKEN/EXAMPLE==");
    body = (const char *)k.calls[0].body.p;
    assert_non_null(strstr(body, "&MessageDeduplicationId="));
    assert_non_null(strstr(body, "&MessageGroupId="));
    kit_close(&k);

    open_sns(&k, "phone = +4930123456\naws_region = eu-central-1\nurl = http://127.0.0.1:4566/\n");
    assert_int_equal(kit_prepare(&k, &kit_notification), 1);
    assert_string_equal(k.calls[0].url, "http://127.0.0.1:4566/");
    assert_string_equal((const char *)k.calls[0].body.p,
                        "Action=Publish&Message=%5Bcritical%5D%20high-error-rate%3A%20checkout"
                        "&PhoneNumber=%2B4930123456&Version=2010-03-31");
    kit_close(&k);
}

static void refused(const char *ini, const char *expected)
{
    struct kit k;

    kit_parse(&k, ini);
    assert_int_equal(receiver_check(k.config, &k.report, &k.e), ERR_CONFIG);
    if (!strstr(buf_text(&k.report), expected))
        fail_msg("%s instead of %s", buf_text(&k.report), expected);
    kit_close(&k);
}

#define AWS "[receiver a]\ntype = sns\naccess_key_id = file:/a\nsecret_key = file:/b\n"

static void test_check(void **state)
{
    (void)state;
    refused("[receiver a]\ntype = pagerduty\n", "a receiver of type pagerduty needs `routing_key`");
    refused("[receiver a]\ntype = pagerduty\nrouting_key = file:/a\nurl = http://x http://y\n",
            "url: expected one address");
    refused("[receiver a]\ntype = alertmanager\n", "needs `url`");
    refused("[receiver a]\ntype = slack\nurl = http://x\nsecret_url = file:/a\n",
            "url: a receiver of type slack has no such option");
    refused("[receiver a]\ntype = opsgenie\napi_key = file:/a\nresponders = ops\n",
            "responders: found \"ops\", expected team:NAME");
    refused("[receiver a]\ntype = sns\ntopic = x\n", "needs `access_key_id`");
    refused(AWS, "topic: expected either `topic` or `phone`");
    refused(AWS "topic = arn:aws:sns:eu-west-1\n", "topic: expected an ARN");
    refused(AWS "phone = 030123\n", "phone: expected a number");
    refused(AWS "phone = +4930123\n", "aws_region: expected a region");
    refused("[receiver a]\ntype = command\ncommand = page-me\n",
            "command: found \"page-me\", expected an absolute path");
    refused("[receiver a]\ntype = email\nserver = x:25\nfrom = a@b\n", "needs `to`");
    refused("[receiver a]\ntype = email\nserver = x:25\nfrom = a\nto = a@b\n", "from: expected an address");
    refused("[receiver a]\ntype = email\nserver = x:25\nfrom = a@b\nto = a@b c\n",
            "to: found \"c\", expected addresses");
    refused("[receiver a]\ntype = email\nserver = unix:/x\nfrom = a@b\nto = a@b\n",
            "server: expected host:port");
    refused("[receiver a]\ntype = email\nserver = x:25\nfrom = a@b\nto = a@b\nusername = u\n",
            "expected `username` and");
    refused("[receiver a]\ntype = email\nserver = x:25\nfrom = a@b\nto = a@b\nusername = u\npassword = "
            "file:/a\ntls = none\n",
            "a password is not sent in the clear");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pagerduty),
        cmocka_unit_test(test_pagerduty_limits),
        cmocka_unit_test(test_pagerduty_answers),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_alertmanager),
        cmocka_unit_test(test_slack),
        cmocka_unit_test(test_opsgenie),
        cmocka_unit_test(test_sns),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
