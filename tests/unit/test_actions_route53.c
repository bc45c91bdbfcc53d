/* Record sets of Route 53 and the batches made of them; orders as JSON and what is answered. Without a network. */
#include "tests/unit/action_kit.h"

#include "aggregator/actions/order.h"
#include "aggregator/actions/route53_set.h"

#define LIST(sets)                                                                                           \
    "<?xml version=\"1.0\"?><ListResourceRecordSetsResponse><ResourceRecordSets>" sets                       \
    "</ResourceRecordSets></ListResourceRecordSetsResponse>"
#define SET(name, type, rest)                                                                                \
    "<ResourceRecordSet><Name>" name "</Name><Type>" type "</Type>" rest "</ResourceRecordSet>"
#define VALUE(v)  "<ResourceRecord><Value>" v "</Value></ResourceRecord>"
#define VALUES(v) "<TTL>30</TTL><ResourceRecords>" v "</ResourceRecords>"
#define ALIAS(z, n, e)                                                                                       \
    "<AliasTarget><HostedZoneId>" z "</HostedZoneId><DNSName>" n "</DNSName><EvaluateTargetHealth>" e        \
    "</EvaluateTargetHealth></AliasTarget>"
#define MARK(t) SET("_fo.app.example.test.", "TXT", VALUES(VALUE("&quot;" t "&quot;")))

static const struct r53_place place = {"app.example.test.", "_fo.app.example.test.", "A", 30};

static int take(struct arena *a, const char *text, const struct r53_place *p, bool mark, struct r53_state *s)
{
    const struct xml *x = NULL;

    assert_int_equal(xml_parse(a, (struct bytes){(const uint8_t *)text, strlen(text)}, &x, NULL), 0);
    return r53_take(x, p, mark, s);
}

static void test_names(void **state)
{
    static const char *const rows[][2] = {{"App.Example.test", "app.example.test."},
                                          {"app.example.test.", "app.example.test."},
                                          {"*.a_b-c.test", "\\052.a_b-c.test."},
                                          {"\\052.a.test", "\\052.a.test."},
                                          {"a b", "a\\040b."}};
    char out[R53_NAME], longest[R53_NAME + 10];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(r53_name(rows[i][0], out), 0);
        assert_string_equal(out, rows[i][1]);
    }
    assert_int_equal(r53_name("", out), ERR_MALFORMED);
    assert_int_equal(r53_name(".", out), ERR_MALFORMED);
    assert_int_equal(r53_name("a..b", out), ERR_MALFORMED);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(r53_name(longest, out), ERR_LIMIT);
}

static void test_state(void **state)
{
    struct r53_want one = {.values = {"192.0.2.1"}, .n = 1},
                    two = {.values = {"192.0.2.2", "192.0.2.1"}, .n = 2};
    struct r53_state s = {0};
    struct arena a;
    char text[256];

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(take(&a,
                          LIST(SET("APP.example.test.", "A", VALUES(VALUE("192.0.2.1") VALUE("192.0.2.2")))
                                   SET("app.example.test.", "MX", VALUES(VALUE("10 a.")))
                                       SET("apq.example.test.", "A", VALUES(VALUE("192.0.2.9")))),
                          &place, false, &s),
                     0);
    assert_int_equal(take(&a, LIST(MARK("epoch=7 token=1.5 plan=p")), &place, true, &s), 0);
    assert_false(r53_has(&s, &place, &one));
    assert_true(r53_has(&s, &place, &two));
    assert_null(s.in_the_way);
    assert_int_equal(s.epoch, 7);
    assert_int_equal(s.token.rev, 5);
    r53_text(&s, &place, text, sizeof text);
    assert_string_equal(text, "A 192.0.2.1 192.0.2.2 ttl 30 epoch=7 token=1.5");
    r53_text(&s, &place, text, 8);
    assert_true(strlen(text) < 8);
    s = (struct r53_state){0};
    r53_text(&s, &place, text, sizeof text);
    assert_string_equal(text, "nothing");
    assert_false(r53_has(&s, &place, &one));
    arena_free(&a);
}

static void test_in_the_way(void **state)
{
    static const struct {
        const char *text, *why;
        bool mark;
    } rows[] = {
        {LIST(SET("app.example.test.", "CNAME", VALUES(VALUE("a.")))), "is an alias (CNAME)", false},
        {LIST(SET("app.example.test.", "A", "<Weight>1</Weight>" VALUES(VALUE("192.0.2.1")))),
         "routing policy", false},
        {LIST(SET("app.example.test.", "A", VALUES(VALUE("192.0.2.1")))
                  SET("app.example.test.", "A", VALUES(VALUE("192.0.2.1")))),
         "more than one set", false},
        {LIST(MARK("v=spf1 -all")), "somebody else", true},
        {LIST(SET("_fo.app.example.test.", "TXT", "<HealthCheckId>x</HealthCheckId>" VALUES(VALUE("x")))),
         "set `token_name`", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct r53_state s = {0};
        struct arena a;

        arena_init(&a, NULL, 1 << 20);
        assert_int_equal(take(&a, rows[i].text, &place, rows[i].mark, &s), 0);
        assert_non_null(s.in_the_way);
        assert_non_null(strstr(s.in_the_way, rows[i].why));
        arena_free(&a);
    }
}

static void test_batch(void **state)
{
    struct r53_want alias = {.alias_zone = "Z1", .alias_name = "lb.example.net", .alias_evaluate = true};
    struct r53_state s = {0};
    struct arena a;
    struct buf b;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    buf_init(&b, NULL, 65536);
    assert_int_equal(take(&a, LIST(SET("app.example.test.", "A", ALIAS("Z2", "old.example.net.", "false"))),
                          &place, false, &s),
                     0);
    assert_int_equal(take(&a, LIST(MARK("epoch=7 token=1.5 plan=p")), &place, true, &s), 0);
    r53_batch(&s, &place, &alias, "epoch=8 token=1.6 plan=q", &b);
    assert_string_equal(
        buf_text(&b),
        "<ChangeResourceRecordSetsRequest "
        "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch>"
        "<Comment>epoch=8 token=1.6 "
        "plan=q</Comment><Changes><Change><Action>DELETE</Action><ResourceRecordSet>"
        "<Name>app.example.test.</Name><Type>A</Type><AliasTarget><HostedZoneId>Z2</HostedZoneId>"
        "<DNSName>old.example.net.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget>"
        "</ResourceRecordSet></Change><Change><Action>DELETE</"
        "Action><ResourceRecordSet><Name>_fo.app.example.test.</Name>"
        "<Type>TXT</Type><TTL>30</TTL><ResourceRecords><ResourceRecord><Value>&quot;epoch=7 token=1.5 "
        "plan=p&quot;</Value>"
        "</ResourceRecord></ResourceRecords></ResourceRecordSet></Change><Change><Action>CREATE</"
        "Action><ResourceRecordSet>"
        "<Name>app.example.test.</Name><Type>A</Type><AliasTarget><HostedZoneId>Z1</HostedZoneId>"
        "<DNSName>lb.example.net</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>"
        "</ResourceRecordSet></Change><Change><Action>CREATE</"
        "Action><ResourceRecordSet><Name>_fo.app.example.test.</Name>"
        "<Type>TXT</Type><TTL>30</TTL><ResourceRecords><ResourceRecord><Value>&quot;epoch=8 token=1.6 "
        "plan=q&quot;</Value>"
        "</ResourceRecord></ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch>"
        "</ChangeResourceRecordSetsRequest>");
    assert_false(r53_has(&s, &place, &alias));
    alias = (struct r53_want){.alias_zone = "Z2", .alias_name = "OLD.example.net"};
    assert_true(r53_has(&s, &place, &alias));
    buf_free(&b);
    arena_free(&a);
}

static void test_order(void **state)
{
    struct action_order o = akit_order(ACTION_UNDO);
    char *text;
    static const struct {
        const char *json;
        enum action_class class;
    } rows[] = {{"{}", ACTION_OK},
                {"{\"class\":\"not_applied\",\"lag_ms\":-1}", ACTION_NOT_APPLIED},
                {"{\"class\":5,\"text\":7,\"token\":[]}", ACTION_OK},
                {"{\"class\":\"x\"}", ACTION_DENIED}};

    (void)state;
    o.token = (struct fencing){UINT64_MAX, 5};
    text = order_json(&o, "a \"b\"");
    assert_string_equal(
        text,
        "{\"op\":\"undo\",\"action\":\"a \\\"b\\\"\",\"service\":\"app\",\"from\":\"east\",\"to\":\"west\","
        "\"plan\":\"p-7\",\"epoch\":7,\"token\":\"18446744073709551615.5\",\"key\":\"app/7/a\","
        "\"planned\":false,\"drill\":false,\"accept_loss\":false,\"deadline_ms\":20000,"
        "\"time\":\"2026-11-24T06:00:00.000Z\"}");
    cJSON_free(text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct action_result out = {.class = ACTION_OK};
        cJSON *j = cJSON_Parse(rows[i].json);

        order_answer(j, true, &out);
        assert_int_equal(out.class, rows[i].class);
        assert_false(out.have_lag);
        out.class = ACTION_RETRY;
        order_answer(j, false, &out);
        assert_int_equal(out.class, ACTION_RETRY);
        cJSON_Delete(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_state),
                                       cmocka_unit_test(test_in_the_way), cmocka_unit_test(test_batch),
                                       cmocka_unit_test(test_order)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
