/* The list of selections: what is equal, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "aggregator/alert/facts.h"

static int add(struct selections *s, const char *metric, const char *match, const char *const *by,
               uint32_t n_by, int64_t seconds, uint32_t *at)
{
    struct err e = {0};
    int rc = selections_add(s, metric, match, by, n_by, span_s(seconds), at, &e);

    assert_int_equal(rc, e.code);
    return rc;
}

static void equal_ones_are_one(void **state)
{
    static const char *const a[] = {"service", "region"}, *const b[] = {"region", "service", "region"};
    static const char *const all[] = {"*"};
    struct selections *s = selections_new(NULL);
    uint32_t i = 9, j = 9, k = 9;

    (void)state;
    assert_int_equal(add(s, "http_requests_total", "code=~5.. env=prod", a, 2, 300, &i), 0);
    assert_int_equal(add(s, "http_requests_total", "env=\"prod\",code=~\"5..\"", b, 3, 60, &j), 0);
    assert_int_equal(i, 0);
    assert_int_equal(j, 0);
    assert_int_equal(selections_at(s, 0)->reach.ns, span_s(300).ns);
    assert_int_equal(add(s, "http_requests_total", "env=\"prod\",code=~\"5..\"", a, 2, 3600, &j), 0);
    assert_int_equal(selections_at(s, 0)->reach.ns, span_s(3600).ns);
    assert_string_equal(selections_at(s, 0)->text,
                        "http_requests_total{code=~\"5..\",env=\"prod\"} by (region,service)");
    assert_int_equal(add(s, "http_requests_total", "", NULL, 0, 60, &j), 0);
    assert_int_equal(j, 1);
    assert_string_equal(selections_at(s, 1)->text, "http_requests_total");
    assert_int_equal(add(s, "http_requests_total", NULL, all, 1, 60, &k), 0);
    assert_int_equal(k, 2);
    assert_true(selections_at(s, 2)->by_all && !selections_at(s, 1)->by_all);
    assert_string_equal(selections_at(s, 2)->text, "http_requests_total by (*)");
    assert_int_equal(selections_count(s), 3);
    assert_null(selections_at(s, 3));
    selections_free(&s);
    assert_null(s);
    selections_free(&s);
}

static void own_metrics_are_known_by_name(void **state)
{
    static const struct {
        const char *metric;
        bool own;
    } rows[] = {
        {"securebase_aggregator_ingest_connections", true},
        {"securebase_agent_up", true},
        {"securebase_agents", true},
        {"securebase_percentile", true},
        {"securebase_slo_burn_rate", true},
        {"securebase_agent_series", false},
        {"securebase_host_cpu_utilization_ratio", false},
        {"securebase_probe_success", false},
        {"securebase_app_redis_hit_ratio", false},
        {"securebase_guard_helper_up", false},
        {"node_load1", false},
        {"securebase", false},
    };
    struct selections *s = selections_new(NULL);
    uint32_t at;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(add(s, rows[i].metric, "", NULL, 0, 60, &at), 0);
        assert_int_equal(selections_at(s, at)->own, rows[i].own);
    }
    selections_free(&s);
}

static void mistakes_change_nothing(void **state)
{
    static const char *const good[] = {"a"}, *const bad[] = {"a-b"}, *const many[33] = {"a", "a"};
    struct selections *s = selections_new(NULL);
    struct mem little = {.cap = 6000};
    uint32_t at = 77;

    (void)state;
    assert_int_equal(add(s, "9x", "", good, 1, 1, &at), ERR_MALFORMED);
    assert_int_equal(add(s, "", "", good, 1, 1, &at), ERR_MALFORMED);
    assert_int_equal(add(s, "x{}", "", good, 1, 1, &at), ERR_MALFORMED);
    assert_int_equal(add(s, "x", "a", good, 1, 1, &at), ERR_MALFORMED);
    assert_int_equal(add(s, "x", "a=~(", good, 1, 1, &at), ERR_MALFORMED);
    assert_int_equal(add(s, "x", "a=~a{4000}b{4000}", good, 1, 1, &at), ERR_LIMIT);
    assert_int_equal(add(s, "x", "", bad, 1, 1, &at), ERR_MALFORMED);
    assert_int_equal(add(s, "x", "", many, 33, 1, &at), ERR_LIMIT);
    assert_int_equal(at, 77);
    assert_int_equal(selections_count(s), 0);
    for (int i = 0; i < 4096; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "m%d", i);
        assert_int_equal(add(s, name, "", good, 1, 1, &at), 0);
    }
    assert_int_equal(add(s, "one_more", "", good, 1, 1, &at), ERR_LIMIT);
    assert_int_equal(add(s, "m7", "", good, 1, 1, &at), 0);
    assert_int_equal(at, 7);
    selections_free(&s);

    s = selections_new(&little);
    assert_non_null(s);
    for (int i = 0, rc = 0; i < 200; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "m%d", i);
        rc = selections_add(s, name, "", good, 1, span_s(1), &at, NULL);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        if (rc)
            assert_true(selections_count(s) <= (uint32_t)i);
    }
    assert_true(selections_count(s) < 200);
    selections_free(&s);
    assert_int_equal(little.used, 0);
}

static void a_telling_is_freed_whole(void **state)
{
    struct mem m = {0};
    struct telling *t = mem_alloc(&m, sizeof *t);

    (void)state;
    arena_init(&t->arena, &m, 0);
    assert_non_null(arena_alloc(&t->arena, 100000));
    telling_free(&t);
    assert_null(t);
    assert_int_equal(m.used, 0);
    telling_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ones_are_one),
        cmocka_unit_test(own_metrics_are_known_by_name),
        cmocka_unit_test(mistakes_change_nothing),
        cmocka_unit_test(a_telling_is_freed_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
