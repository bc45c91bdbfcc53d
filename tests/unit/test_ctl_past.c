/* sbctl replay: what an answer about the past says becomes facts again, in the order of time, each group under a number of
 * its own. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/past.h"

#define START INT64_C(1767571200000) /* 2026-01-05T00:00:00Z */

static struct selections *list_of(struct mem *mem)
{
    struct selections *s = selections_new(mem);
    const char *by[] = {"host"};
    uint32_t at;

    assert_int_equal(selections_add(s, "temperature", "env=prod", by, 1, span_s(600), &at, NULL), 0);
    assert_int_equal(selections_add(s, "hits_total", "", NULL, 0, span_s(600), &at, NULL), 0);
    return s;
}

static void test_path(void **state)
{
    struct mem mem = {0};
    struct selections *s = list_of(&mem);
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 4096);
    past_path(&b, selections_at(s, 0), (struct wall){START}, (struct wall){START + 60000}, TIER_MINUTE);
    assert_string_equal(buf_text(&b),
                        "/api/v1/history?step=1m&metric=temperature&match=env%3D%22prod%22&by=host"
                        "&from=2026-01-05T00%3A00%3A00.000Z&to=2026-01-05T00%3A01%3A00.000Z");
    buf_free(&b);
    selections_free(&s);
}

static void test_take_and_tell(void **state)
{
    static const char gauges[] =
        "{\"metric\":\"temperature\",\"kind\":\"gauge\",\"step_seconds\":10,\"groups\":["
        "{\"labels\":{\"host\":\"a\"},\"steps\":["
        "{\"time\":\"2026-01-05T00:00:10Z\",\"count\":2,\"series\":1,\"sum\":7,\"min\":3,\"max\":4,\"last\":"
        "4},"
        "{\"time\":\"2026-01-05T00:00:00Z\",\"count\":1,\"series\":1,\"sum\":9,\"min\":9,\"max\":9,\"last\":"
        "9}]},"
        "{\"labels\":{\"host\":\"b\"},\"steps\":["
        "{\"time\":\"2026-01-05T00:00:00Z\",\"count\":1,\"series\":1,\"sum\":5,\"min\":5,\"max\":5,\"last\":"
        "5}]}]}";
    static const char counters[] =
        "{\"metric\":\"hits_total\",\"kind\":\"counter\",\"step_seconds\":10,\"groups\":[{\"labels\":{},"
        "\"steps\":["
        "{\"time\":\"2026-01-05T00:00:00Z\",\"count\":1,\"series\":1,\"increase\":42,\"last\":1000}]}]}";
    static const char sketches[] = "{\"metric\":\"hits_total\",\"kind\":\"sketch\",\"step_seconds\":10,"
                                   "\"groups\":[{\"labels\":{},\"steps\":[{},{}]}]}";
    const struct label a[] = {{"host", "a"}};
    struct mem mem = {0};
    struct selections *s = list_of(&mem);
    struct facts *f = facts_new(s, &mem);
    struct past *p = past_new(s, &mem);
    const struct fact_group *g;
    struct fact_bucket b;
    struct err e = {0};

    (void)state;
    facts_advance(f, (struct wall){START + 30000});
    assert_int_equal(past_take(p, 0, (struct wall){START}, TIER_STEP, gauges, &e), 0);
    assert_int_equal(past_take(p, 1, (struct wall){START}, TIER_STEP, counters, &e), 0);
    assert_int_equal(past_take(p, 1, (struct wall){START}, TIER_STEP, sketches, &e), 0);
    assert_int_equal(past_left_out(p), 2);
    assert_int_equal(past_tell(p, f, (struct wall){START + 10000}, &e), 0);
    assert_int_equal(facts_groups(f, 0), 2);
    g = facts_group_find(f, 0, (struct labels){a, 1});
    assert_non_null(g);
    assert_int_equal(facts_window(g, START, START + 60000, &b, NULL, NULL), 0);
    assert_int_equal(b.n, 1); /* the later step waits for its time */
    assert_int_equal(past_tell(p, f, (struct wall){START + 60000}, &e), 0);
    assert_int_equal(facts_window(g, START, START + 60000, &b, NULL, NULL), 0);
    assert_int_equal(b.n, 3);
    assert_int_equal(b.sum, 16);
    assert_int_equal(b.last, 4);
    g = facts_group_at(f, 1, 0);
    assert_int_equal(facts_window(g, START, START + 60000, &b, NULL, NULL), 0);
    assert_int_equal(b.sum, 42);
    past_free(&p);
    facts_free(&f);
    selections_free(&s);
    assert_int_equal(mem.used, 0);
}

/* Long ago there are minutes alone: each stands in its last ten seconds. What begins before the question is left. */
static void test_longer_steps(void **state)
{
    static const char minutes[] =
        "{\"kind\":\"gauge\",\"step_seconds\":60,\"groups\":[{\"labels\":{\"host\":\"a\"},\"steps\":["
        "{\"time\":\"2026-01-04T23:59:00Z\",\"count\":6,\"series\":1,\"sum\":6,\"min\":1,\"max\":1,\"last\":"
        "1},"
        "{\"time\":\"2026-01-05T00:00:00Z\",\"count\":6,\"series\":1,\"sum\":30,\"min\":5,\"max\":5,\"last\":"
        "5}]}]}";
    const struct label a[] = {{"host", "a"}};
    struct mem mem = {0};
    struct selections *s = list_of(&mem);
    struct facts *f = facts_new(s, &mem);
    struct past *p = past_new(s, &mem);
    const struct fact_group *g;
    struct fact_bucket b;
    struct err e = {0};

    (void)state;
    facts_advance(f, (struct wall){START + 60000});
    assert_int_equal(past_take(p, 0, (struct wall){START}, TIER_STEP, minutes, &e), 0);
    assert_int_equal(past_tell(p, f, (struct wall){START + 60000}, &e), 0);
    g = facts_group_find(f, 0, (struct labels){a, 1});
    assert_int_equal(facts_window(g, START - 60000, START + 50000, &b, NULL, NULL), 0);
    assert_int_equal(b.n, 0);
    assert_int_equal(facts_window(g, START, START + 60000, &b, NULL, NULL), 0);
    assert_int_equal(b.n, 6);
    assert_int_equal(b.sum, 30);
    past_free(&p);
    facts_free(&f);
    selections_free(&s);
}

static void test_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "{",
        "[]",
        "{\"groups\":7,\"kind\":\"gauge\"}",
        "{\"groups\":[]}",
        "{\"kind\":\"gauge\",\"groups\":[{\"labels\":{}}]}",
        "{\"kind\":\"gauge\",\"groups\":[{\"labels\":{\"a\":1},\"steps\":[]}]}",
        "{\"kind\":\"gauge\",\"groups\":[{\"labels\":{},\"steps\":[{\"time\":\"noon\"}]}]}",
    };
    struct mem mem = {0};
    struct selections *s = list_of(&mem);
    struct past *p = past_new(s, &mem);
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (past_take(p, 0, (struct wall){START}, TIER_STEP, wrong[i], &e) != ERR_MALFORMED)
            fail_msg("taken: %s", wrong[i]);
    }
    past_free(&p);
    selections_free(&s);
}

static void test_time(void **state)
{
    struct wall t, now = {START};
    struct err e = {0};

    (void)state;
    assert_int_equal(past_time("--from", "2h", now, &t, &e), 0);
    assert_int_equal(t.ms, START - 7200000);
    assert_int_equal(past_time("--from", "-2h", now, &t, &e), 0);
    assert_int_equal(t.ms, START - 7200000);
    assert_int_equal(past_time("--from", "now", now, &t, &e), 0);
    assert_int_equal(t.ms, START);
    assert_int_equal(past_time("--from", "2026-01-05T00:00:10Z", now, &t, &e), 0);
    assert_int_equal(t.ms, START + 10000);
    assert_int_equal(past_time("--from", "noon", now, &t, &e), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),         cmocka_unit_test(test_take_and_tell),
        cmocka_unit_test(test_longer_steps), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
