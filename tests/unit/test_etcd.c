/* etcd's JSON: requests as the gateway wants them, answers as it gives them (byte for byte as 3.4.23 has given them), and
 * nothing else read as one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/failover/etcd.h"

#define HEADER                                                                                               \
    "\"header\":{\"cluster_id\":\"12101053776118486841\",\"member_id\":\"15985099378392235387\","            \
    "\"revision\":\"9\",\"raft_term\":\"2\"}"
#define KV                                                                                                   \
    "{\"key\":\"aw==\",\"create_revision\":\"7\",\"mod_revision\":\"8\",\"version\":\"2\",\"value\":\"dg=="  \
    "\",\"lease\":\"77\"}"
#define WON                                                                                                  \
    "{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{\"header\":{\"revision\":\"9\"}}},"    \
    "{\"response_range\":{\"header\":{\"revision\":\"9\"},\"kvs\":[" KV "],\"count\":\"1\"}}]}"
#define MISSED "{" HEADER ",\"responses\":[{\"response_range\":{\"header\":{\"revision\":\"9\"}}}]}"

static struct bytes text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static struct etcd_txn asked(void)
{
    return (struct etcd_txn){.compare = {{.key = "k", .target = ETCD_CREATE, .rev = 0}},
                             .n_compare = 1,
                             .then = {{.kind = ETCD_PUT, .key = "k", .value = text("v"), .lease = 77},
                                      {.kind = ETCD_GET, .key = "k"}},
                             .n_then = 2,
                             .other = {{.kind = ETCD_GET, .key = "k"}},
                             .n_other = 1};
}

static enum etcd_fault txn(int status, struct bytes body, struct etcd_done *out, struct arena *a)
{
    struct etcd_txn t = asked();
    char why[ETCD_WHY];
    enum etcd_fault f = etcd_txn_read(&t, status, body, a, out, why);

    assert_int_equal(f == ETCD_FINE, why[0] == 0);
    return f;
}

static void requests(void **state)
{
    struct etcd_txn t = asked();
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 4096);
    t.compare[1] = (struct etcd_compare){.key = "k", .target = ETCD_MOD, .rev = INT64_MAX};
    t.compare[2] = (struct etcd_compare){.key = "k", .target = ETCD_VALUE, .value = text("v")};
    t.n_compare = 3;
    t.other[1] = (struct etcd_op){.kind = ETCD_DELETE, .key = "kk"};
    t.other[2] = (struct etcd_op){.kind = ETCD_GET_KEY, .key = "kkk"};
    t.n_other = 3;
    assert_int_equal(etcd_txn_write(&t, &b), 0);
    assert_string_equal(
        buf_text(&b),
        "{\"compare\":[{\"key\":\"aw==\",\"result\":\"EQUAL\",\"target\":\"CREATE\",\"create_revision\":"
        "\"0\"},"
        "{\"key\":\"aw==\",\"result\":\"EQUAL\",\"target\":\"MOD\",\"mod_revision\":\"9223372036854775807\"},"
        "{\"key\":\"aw==\",\"result\":\"EQUAL\",\"target\":\"VALUE\",\"value\":\"dg==\"}],"
        "\"success\":[{\"request_put\":{\"key\":\"aw==\",\"value\":\"dg==\",\"lease\":\"77\"}},"
        "{\"request_range\":{\"key\":\"aw==\"}}],"
        "\"failure\":[{\"request_range\":{\"key\":\"aw==\"}},{\"request_delete_range\":{\"key\":\"a2s=\"}},"
        "{\"request_range\":{\"key\":\"a2tr\",\"keys_only\":true}}]}");
    buf_clear(&b);
    assert_int_equal(etcd_list_write("/a/", NULL, 7, &b), 0);
    assert_string_equal(buf_text(&b),
                        "{\"key\":\"L2Ev\",\"range_end\":\"L2Ew\",\"limit\":\"7\",\"sort_order\":"
                        "\"DESCEND\",\"sort_target\":\"KEY\"}");
    buf_clear(&b);
    assert_int_equal(etcd_watch_write("/a/", 12, &b), 0);
    assert_string_equal(buf_text(&b),
                        "{\"create_request\":{\"key\":\"L2Ev\",\"range_end\":\"L2Ew\",\"start_revision\":"
                        "\"12\",\"progress_notify\":true}}");
    buf_clear(&b);
    assert_int_equal(etcd_login_write("a\"b", "c\\d", &b), 0);
    assert_string_equal(buf_text(&b), "{\"name\":\"a\\\"b\",\"password\":\"c\\\\d\"}");
    buf_free(&b);
    buf_init(&b, NULL, 100);
    assert_true(etcd_txn_write(&t, &b) < 0);
    buf_free(&b);
}

static void transactions(void **state)
{
    struct etcd_done d;
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(txn(200, text(WON), &d, &a), ETCD_FINE);
    assert_true(d.succeeded && d.rev == 9 && d.term == 2 && d.kv[1].there);
    assert_true(d.kv[1].create == 7 && d.kv[1].mod == 8 && d.kv[1].lease == 77);
    assert_true(d.kv[1].value.n == 1 && d.kv[1].value.p[0] == 'v');
    assert_int_equal(txn(200, text(MISSED), &d, &a), ETCD_FINE);
    assert_true(!d.succeeded && !d.kv[0].there);
    arena_free(&a);
}

/* What a transaction must not be taken for: among them the answer to one whose compares were misspelt. */
static void not_the_form(void **state)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "null",
        "true",
        "<html>502 Bad Gateway</html>",
        "{" HEADER "}",
        "{" HEADER ",\"succeeded\":true}",
        "{" HEADER ",\"succeeded\":true,\"responses\":[]}",
        "{" HEADER ",\"succeeded\":\"true\",\"responses\":[{\"response_range\":{}}]}",
        "{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{}}]}",
        "{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_range\":{}},{\"response_put\":{}}]}",
        "{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":{}},{\"response_range\":{}},{"
        "\"response_range\":{}}]}",
        "{" HEADER ",\"responses\":{}}",
        "{" HEADER ",\"responses\":[{\"response_put\":{}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[" KV "," KV "]}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[]}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"eA==\",\"create_revision\":"
        "\"1\",\"mod_revision\":\"1\"}]}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"aw==\",\"create_revision\":1,"
        "\"mod_revision\":1}]}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"aw==\",\"create_revision\":"
        "\"9\",\"mod_revision\":\"1\"}]}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"aw=\",\"create_revision\":\"1\","
        "\"mod_revision\":\"1\"}]}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"a "
        "w==\",\"create_revision\":\"1\",\"mod_revision\":\"1\"}]}}]}",
        "{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{\"key\":\"aw==\",\"create_revision\":"
        "\"99999999999999999999\",\"mod_revision\":\"1\"}]}}]}",
        "{\"header\":{},\"responses\":[{\"response_range\":{}}]}",
        "{\"responses\":[{\"response_range\":{}}]}",
        "{\"header\":{\"revision\":\"-1\"},\"responses\":[{\"response_range\":{}}]}",
    };
    struct etcd_done d;
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_int_equal(txn(200, text(bodies[i]), &d, &a), ETCD_AWAY);
    assert_int_equal(txn(503, text(WON), &d, &a), ETCD_AWAY);
    assert_int_equal(txn(0, text(WON), &d, &a), ETCD_AWAY);
    for (size_t n = 0; n < sizeof WON - 1; n++) /* an answer that breaks off */
        assert_int_equal(txn(200, (struct bytes){(const uint8_t *)WON, n}, &d, &a), ETCD_AWAY);
    arena_free(&a);
}

struct refusal {
    int status;
    const char *body;
    enum etcd_fault fault;
};

static void refusals(void **state)
{
    static const struct refusal all[] = {
        {503,
         "{\"error\":\"etcdserver: request timed out\",\"message\":\"etcdserver: request timed "
         "out\",\"code\":14}",
         ETCD_AWAY},
        {500,
         "{\"error\":\"context deadline exceeded\",\"message\":\"context deadline exceeded\",\"code\":2}",
         ETCD_AWAY},
        {503,
         "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"etcdserver: no "
         "leader\",\"http_status\":\"Service Unavailable\"}}",
         ETCD_AWAY},
        {503, "{\"error\":\"etcdserver: leader changed\",\"code\":14}", ETCD_AWAY},
        {400, "{\"error\":\"unexpected EOF\",\"message\":\"unexpected EOF\",\"code\":3}", ETCD_AWAY},
        {404,
         "{\"error\":\"etcdserver: requested lease not found\",\"message\":\"etcdserver: requested lease not "
         "found\",\"code\":5}",
         ETCD_NO_LEASE},
        {404, "{\"error\":\"Not Found\",\"message\":\"Not Found\",\"code\":5}", ETCD_AWAY},
        {401,
         "{\"error\":\"etcdserver: invalid auth token\",\"message\":\"etcdserver: invalid auth "
         "token\",\"code\":16}",
         ETCD_STRANGER},
        {400,
         "{\"error\":\"etcdserver: user name is empty\",\"message\":\"etcdserver: user name is "
         "empty\",\"code\":3}",
         ETCD_STRANGER},
        {400, "{\"error\":\"etcdserver: revision of auth store is old\",\"code\":3}", ETCD_STRANGER},
        {403,
         "{\"error\":\"etcdserver: permission denied\",\"message\":\"etcdserver: permission "
         "denied\",\"code\":7}",
         ETCD_AWAY},
        {200, "{\"error\":\"something that nobody thought of\",\"code\":99}", ETCD_AWAY},
        {200, "{\"error\":null}", ETCD_AWAY},
        {401, "", ETCD_STRANGER},
    };
    struct etcd_done d;
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(txn(all[i].status, text(all[i].body), &d, &a), all[i].fault);
    arena_free(&a);
}

static void leases(void **state)
{
    uint64_t id, ttl, term;
    char why[ETCD_WHY];
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(etcd_grant_read(200, text("{" HEADER ",\"ID\":\"9041998856207820549\",\"TTL\":\"15\"}"),
                                     &a, &id, &ttl, why),
                     ETCD_FINE);
    assert_true(id == UINT64_C(9041998856207820549) && ttl == 15);
    assert_int_equal(etcd_grant_read(200, text("{" HEADER ",\"ID\":\"9\"}"), &a, &id, &ttl, why), ETCD_AWAY);
    assert_int_equal(etcd_keep_read(9, 200, text("{\"result\":{" HEADER ",\"ID\":\"9\",\"TTL\":\"15\"}}"), &a,
                                    &ttl, &term, why),
                     ETCD_FINE);
    assert_true(ttl == 15 && term == 2);
    assert_int_equal(
        etcd_keep_read(9, 200, text("{\"result\":{" HEADER ",\"ID\":\"9\"}}"), &a, &ttl, &term, why),
        ETCD_FINE);
    assert_true(ttl == 0); /* gone */
    assert_int_equal(etcd_keep_read(8, 200, text("{\"result\":{" HEADER ",\"ID\":\"9\",\"TTL\":\"15\"}}"), &a,
                                    &ttl, &term, why),
                     ETCD_AWAY);
    assert_int_equal(etcd_keep_read(9, 200, text("{\"result\":{}}"), &a, &ttl, &term, why), ETCD_AWAY);
    assert_int_equal(etcd_keep_read(9, 200, text("{}"), &a, &ttl, &term, why), ETCD_AWAY);
    arena_free(&a);
}

static void who_leads(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "{\"header\":{},\"leader\":\"7\"}",
        "{\"header\":{\"member_id\":\"0\"},\"leader\":\"7\"}",
        "{\"header\":{\"member_id\":7},\"leader\":\"7\"}",
        "{\"header\":{\"member_id\":\"7\"},\"leader\":\"\"}",
        "{\"header\":{\"member_id\":\"7\"},\"leader\":\"-7\"}",
        "{\"header\":{\"member_id\":\"123456789012345678901\"},\"leader\":\"7\"}",
        "{\"header\":{\"member_id\":\"7\"},\"leader\":\"7\\\"}\"}",
    };
    char member[ETCD_ID], leader[ETCD_ID], why[ETCD_WHY];
    struct buf out;

    (void)state;
    assert_int_equal(etcd_status_read(200,
                                      text("{\"header\":{\"member_id\":\"10276657743932975437\"},\"leader\":"
                                           "\"13803658152347727308\"}"),
                                      member, leader, why),
                     ETCD_FINE);
    assert_string_equal(member, "10276657743932975437");
    assert_string_equal(leader, "13803658152347727308");
    assert_int_equal(etcd_status_read(200, text("{\"header\":{\"member_id\":\"7\"}}"), member, leader, why),
                     ETCD_FINE);
    assert_string_equal(leader, "0"); /* nobody, at the moment */
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(etcd_status_read(200, text(wrong[i]), member, leader, why), ETCD_AWAY);
    assert_int_equal(etcd_lead_read(200, text("{}"), why), ETCD_FINE);
    assert_int_equal(
        etcd_lead_read(412, text("{\"error\":\"etcdserver: bad leader transferee\",\"code\":9}"), why),
        ETCD_AWAY);
    assert_non_null(strstr(why, "bad leader transferee"));
    buf_init(&out, NULL, 128);
    assert_int_equal(etcd_lead_write("10276657743932975437", &out), 0);
    assert_string_equal(buf_text(&out), "{\"targetID\":\"10276657743932975437\"}");
    buf_free(&out);
}

static void others(void **state)
{
    char why[ETCD_WHY], token[ETCD_TOKEN];
    struct etcd_news news;
    struct etcd_kv *kv;
    struct arena a;
    uint64_t v;
    uint32_t n;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(etcd_login_read(200, text("{" HEADER ",\"token\":\"abc.9\"}"), &a, token, why),
                     ETCD_FINE);
    assert_string_equal(token, "abc.9");
    assert_int_equal(etcd_login_read(200, text("{" HEADER ",\"token\":\"a\\r\\nX: y\"}"), &a, token, why),
                     ETCD_AWAY);
    assert_int_equal(etcd_login_read(401, text("{}"), &a, token, why), ETCD_AWAY);
    assert_int_equal(
        etcd_list_read("k", 200, text("{" HEADER ",\"kvs\":[" KV "],\"count\":\"1\"}"), &a, &kv, &n, why),
        ETCD_FINE);
    assert_true(n == 1 && kv[0].value.n == 1);
    assert_int_equal(etcd_list_read("k", 200, text("{" HEADER "}"), &a, &kv, &n, why), ETCD_FINE);
    assert_int_equal(n, 0);
    assert_int_equal(
        etcd_list_read("x", 200, text("{" HEADER ",\"kvs\":[" KV "],\"count\":\"1\"}"), &a, &kv, &n, why),
        ETCD_AWAY);
    assert_int_equal(etcd_watch_read(text("{\"result\":{" HEADER ",\"created\":true}}"), &a, &news, why),
                     ETCD_FINE);
    assert_true(news.created && news.rev == 9 && news.n == 0);
    assert_int_equal(
        etcd_watch_read(text("{\"result\":{" HEADER ",\"events\":[{\"kv\":" KV
                             "},{\"type\":\"DELETE\",\"kv\":{\"key\":\"aw==\",\"mod_revision\":\"9\"}}]}}"),
                        &a, &news, why),
        ETCD_FINE);
    assert_true(news.n == 2 && news.key[1].n == 1);
    assert_int_equal(
        etcd_watch_read(text("{\"result\":{" HEADER ",\"canceled\":true,\"compact_revision\":\"5\"}}"), &a,
                        &news, why),
        ETCD_FINE);
    assert_true(news.ended && news.from == 5);
    assert_int_equal(etcd_watch_read(text("{\"result\":7}"), &a, &news, why), ETCD_AWAY);
    assert_true(etcd_number("9223372036854775807", &v) && v == INT64_MAX);
    assert_false(etcd_number("9223372036854775808", &v) || etcd_number("", &v) || etcd_number(" 1", &v) ||
                 etcd_number("1x", &v) || etcd_number("+1", &v) ||
                 etcd_number("00000000000000000000000001", &v));
    arena_free(&a);
}

/* Memory runs out in the middle: away, too. */
static void little_memory(void **state)
{
    struct etcd_done d;
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 2);
    assert_int_equal(txn(200, text(WON), &d, &a), ETCD_AWAY);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests), cmocka_unit_test(transactions),  cmocka_unit_test(not_the_form),
        cmocka_unit_test(refusals), cmocka_unit_test(leases),        cmocka_unit_test(who_leads),
        cmocka_unit_test(others),   cmocka_unit_test(little_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
