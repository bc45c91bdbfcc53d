/* What aggregators tell each other of failover (failover/word.h), there and back, and what is not taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/failover/word.h"

static struct fo_word *word_new(void)
{
    struct fo_word *w = calloc(1, sizeof *w);

    assert_non_null(w);
    return w;
}

static int parse(const char *text, struct fo_word *out, struct err *e)
{
    cJSON *o = cJSON_Parse(text);
    int rc = fo_word_read(o, out, e);

    cJSON_Delete(o);
    return rc;
}

static const struct fo_names names = {
    .service = "app", .region = {"us-west-2", "us-east-1"}, .voter = {"east", "west"}};

static void the_page_says(void **state)
{
    static const char text[] =
        "{\"voter\":\"west\",\"boot\":\"18446744073709551615\",\"failover\":[{\"service\":\"app\",\"seq\":17,"
        "\"tick_ms\":5000,\"self_ok\":true,\"votes\":{\"us-east-1\":{\"verdict\":\"down\",\"classes\":["
        "\"probes\","
        "\"heartbeat\",\"crystal\"],\"users\":\"bad\",\"gray\":true},\"moon\":{\"verdict\":\"eaten\"}},"
        "\"state\":\"SUSPECT\",\"leading\":true,\"epoch\":7,\"active\":\"us-east-1\",\"writer\":null,"
        "\"token\":\"1.4711\",\"guards\":[{\"guard\":\"db-1/"
        "app\",\"region\":\"us-east-1\",\"fenced_epoch\":8,"
        "\"serving\":false,\"age_ms\":800}]}]}";
    struct fo_word *w = word_new();
    const struct fo_word_service *s;
    struct fo_vote v;
    struct err e = {0};
    (void)state;

    assert_int_equal(parse(text, w, &e), 0);
    assert_string_equal(w->voter, "west");
    assert_true(w->boot == UINT64_MAX);
    s = fo_word_find(w, "app");
    assert_non_null(s);
    assert_null(fo_word_find(w, "other"));
    assert_null(fo_word_find(NULL, "app"));
    assert_string_equal(s->state, "SUSPECT");
    assert_true(s->leading && s->known && s->voting);
    assert_int_equal(s->epoch, 7);
    assert_string_equal(s->active, "us-east-1");
    assert_string_equal(s->writer, "");
    assert_true(s->token.store == 1 && s->token.rev == 4711);
    assert_int_equal(s->n_guards, 1);
    assert_string_equal(s->guard[0].guard, "db-1/app");
    assert_int_equal(s->guard[0].fenced_epoch, 8);
    assert_int_equal(s->guard[0].age_ms, 800);
    assert_int_equal(s->n_votes, 2);
    assert_int_equal(s->vote[1].verdict, FO_UNKNOWN);
    assert_true(fo_word_get_vote(w, s, &names, 2, 2, &v)); /* by our order of regions */
    assert_int_equal(v.voter, 1);
    assert_int_equal(v.verdict[0], FO_UNKNOWN);
    assert_int_equal(v.verdict[1], FO_DOWN);
    assert_int_equal(v.classes[1], FO_PROBES | FO_HEARTBEAT);
    assert_int_equal(v.users[1], FO_USERS_BAD);
    assert_int_equal(v.gray, 2);
    assert_int_equal(v.tick_ms, 5000);
    assert_true(v.seq == 17 && v.self_ok && v.boot == UINT64_MAX);
    assert_false(fo_word_get_vote(w, s, &names, 2, 1, &v)); /* no voter of ours */
    free(w);
}

static void there_and_back(void **state)
{
    struct fo_word *w = word_new(), *back = word_new();
    struct fo_vote v, heard;
    struct err e = {0};
    cJSON *o;
    (void)state;

    memset(&v, 0, sizeof v); /* its padding as well */
    v.boot = 5;
    v.seq = 9007199254740991;
    v.tick_ms = 1000;
    v.verdict[0] = FO_UP;
    v.verdict[1] = FO_DEGRADED;
    v.classes[0] = 63;
    v.users[0] = FO_USERS_GOOD;
    v.gray = v.self_ok = 1;
    (void)snprintf(w->voter, sizeof w->voter, "east");
    w->boot = 5;
    for (int i = 0; i < FO_SERVICES; i++) {
        struct fo_word_service *s = &w->service[w->n++];

        (void)snprintf(s->service, sizeof s->service, "service-%d", i);
        fo_word_put_vote(s, &names, 2, &v);
        for (int k = 0; k < FO_GUARDS; k++) {
            struct fo_word_guard *g = &s->guard[s->n_guards++];

            *g = (struct fo_word_guard){.fenced_epoch = UINT32_MAX, .serving = k & 1, .age_ms = k};
            (void)snprintf(g->guard, sizeof g->guard, "db-%d/app", k);
            (void)snprintf(g->region, sizeof g->region, "us-east-1");
        }
    }
    w->service[3].voting = false; /* it has none */
    w->service[3].seq = 0;
    w->service[3].tick_ms = 0;
    w->service[3].self_ok = false;
    w->service[3].n_votes = 0;
    memset(w->service[3].vote, 0, sizeof w->service[3].vote);
    w->service[4].known = true;
    w->service[4].token = (struct fencing){UINT64_MAX, 0};
    fo_word_put_vote(&w->service[5], &names, 2, &(struct fo_vote){.seq = 0}); /* no look yet: as it was */
    o = cJSON_CreateObject();
    fo_word_write(w, o);
    assert_int_equal(fo_word_read(o, back, &e), 0);
    cJSON_Delete(o);
    assert_memory_equal(w, back, sizeof *w);
    assert_false(fo_word_get_vote(back, &back->service[3], &names, 2, 2, &heard));
    assert_true(fo_word_get_vote(back, &back->service[4], &names, 2, 2, &heard));
    v.voter = 0;
    assert_memory_equal(&v, &heard, sizeof v);
    back->service[4].self_ok = false; /* whoever does not trust itself says nothing */
    assert_true(fo_word_get_vote(back, &back->service[4], &names, 2, 2, &heard));
    assert_int_equal(heard.verdict[0] | heard.classes[0] | heard.users[0] | heard.gray, 0);
    free(w);
    free(back);
}

#define SERVICE(more) "{\"voter\":\"west\",\"boot\":\"1\",\"failover\":[{\"service\":\"app\"" more "}]}"

static void not_taken(void **state)
{
    static const struct {
        const char *text;
        int code;
    } bad[] = {
        {"{\"voter\":\"\",\"boot\":\"1\"}", ERR_MALFORMED},
        {"{\"voter\":5,\"boot\":\"1\"}", ERR_MALFORMED},
        {"{\"voter\":\"a\\u0007\",\"boot\":\"1\"}", ERR_MALFORMED},
        {"{\"voter\":\"a\",\"boot\":\"18446744073709551616\"}", ERR_MALFORMED},
        {"{\"voter\":\"a\",\"boot\":\"-1\"}", ERR_MALFORMED},
        {"{\"voter\":\"a\",\"boot\":\"\"}", ERR_MALFORMED},
        {"{\"voter\":\"a\",\"boot\":1}", ERR_MALFORMED},
        {"{\"voter\":\"a\",\"boot\":\"1\",\"failover\":[5]}", ERR_MALFORMED},
        {"{\"voter\":\"a\",\"boot\":\"1\",\"failover\":[{\"service\":\"a\"},{\"service\":\"a\"}]}",
         ERR_MALFORMED},
        {SERVICE(",\"votes\":{}"), ERR_MALFORMED},
        {SERVICE(",\"votes\":{},\"seq\":1e300,\"tick_ms\":5000"), ERR_MALFORMED},
        {SERVICE(",\"votes\":{},\"seq\":1,\"tick_ms\":0"), ERR_MALFORMED},
        {SERVICE(",\"votes\":{},\"seq\":1,\"tick_ms\":600001"), ERR_MALFORMED},
        {SERVICE(",\"votes\":[],\"seq\":1,\"tick_ms\":1"), ERR_MALFORMED},
        {SERVICE(",\"votes\":{\"a\":{},\"a\":{}},\"seq\":1,\"tick_ms\":1"), ERR_MALFORMED},
        {SERVICE(",\"votes\":{\"a\":1},\"seq\":1,\"tick_ms\":1"), ERR_MALFORMED},
        {SERVICE(",\"votes\":{\"1\":{},\"2\":{},\"3\":{},\"4\":{},\"5\":{},\"6\":{},\"7\":{}},\"seq\":1,"
                 "\"tick_ms\":1"),
         ERR_LIMIT},
        {SERVICE(",\"epoch\":7"), ERR_MALFORMED},
        {SERVICE(",\"epoch\":4294967296,\"token\":\"1.1\""), ERR_MALFORMED},
        {SERVICE(",\"epoch\":7,\"token\":\"1\""), ERR_MALFORMED},
        {SERVICE(",\"epoch\":7,\"token\":\"1.1.\""), ERR_MALFORMED},
        {SERVICE(",\"epoch\":7,\"token\":\"1.1\",\"active\":5"), ERR_MALFORMED},
        {SERVICE(",\"state\":\"A-STATE-THAT-IS-FAR-TOO-LONG\""), ERR_MALFORMED},
        {SERVICE(",\"guards\":[{}]"), ERR_MALFORMED},
        {SERVICE(",\"guards\":[{\"guard\":\"a/b\",\"region\":\"r\",\"fenced_epoch\":-1,\"age_ms\":0}]"),
         ERR_MALFORMED},
    };
    struct fo_word *w = word_new(), *zero = word_new();
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};

        if (parse(bad[i].text, w, &e) != bad[i].code)
            fail_msg("%s: %s", bad[i].text, e.text);
        assert_memory_equal(w, zero, sizeof *w);
    }
    assert_int_equal(parse("{}", w, NULL), 0);
    assert_string_equal(w->voter, "");
    assert_int_equal(parse("[]", w, NULL), 0);
    assert_int_equal(parse("{\"voter\":\"a\",\"boot\":\"1\",\"failover\":7}", w, NULL), 0);
    assert_int_equal(w->n, 0);
    assert_int_equal(fo_word_read(NULL, w, NULL), 0);
    free(w);
    free(zero);
}

static void too_many(void **state)
{
    struct fo_word *w = word_new();
    struct err e = {0};
    char text[8192];
    size_t n;
    (void)state;

    n = (size_t)snprintf(text, sizeof text,
                         "{\"voter\":\"a\",\"boot\":\"1\",\"failover\":[{\"service\":\"x\"}");
    for (int i = 0; i < FO_SERVICES; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, ",{\"service\":\"s%d\"}", i);
    (void)snprintf(text + n, sizeof text - n, "]}");
    assert_int_equal(parse(text, w, &e), ERR_LIMIT);
    n = (size_t)snprintf(text, sizeof text,
                         "{\"voter\":\"a\",\"boot\":\"1\",\"failover\":[{\"service\":\"x\",\"guards\":[");
    for (int i = 0; i <= FO_GUARDS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "%s{\"guard\":\"g/%d\",\"region\":\"r\",\"fenced_epoch\":1,\"age_ms\":0}",
                              i ? "," : "", i);
    (void)snprintf(text + n, sizeof text - n, "]}]}");
    assert_int_equal(parse(text, w, &e), ERR_LIMIT);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_says),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(not_taken),
        cmocka_unit_test(too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
