/* What the agent says of itself and takes for its own: the
 * status for people and scripts, loopback endpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "agent/groups.h"
#include "agent/options.h"
#include "agent/page.h"
#include "agent/status.h"
#include "common/net/host.h"

static struct status some(void)
{
    return (struct status){.id = "web-1",
                           .region = "us-east-1",
                           .env = "prod",
                           .now = {1700000000000},
                           .self = {.version = "1",
                                    .revision = "r",
                                    .start_ms = 1700000000000 - 3 * 3600 * 1000 - 120 * 1000,
                                    .cpu_seconds = 61.4,
                                    .resident_bytes = 15 << 20},
                           .spool = {.bytes = 1536, .max_bytes = 64 << 20, .disk = true},
                           .endpoint = "https://a:9870",
                           .trouble = "connect: refused",
                           .trouble_at = {1699999990000},
                           .last = {1699999996000}};
}

static void test_status(void **state)
{
    struct status s = some();
    struct buf out;

    (void)state;
    buf_init(&out, NULL, 1 << 20);
    assert_int_equal(status_text(&s, &out), 0);
    assert_non_null(strstr(buf_text(&out), "for 3h 2m\n"));
    assert_non_null(strstr(buf_text(&out), "1m 1s of CPU, 15.0 MiB of memory\n"));
    assert_non_null(strstr(buf_text(&out), "last acknowledged 4.0 s ago\n"));
    assert_non_null(strstr(buf_text(&out), "TROUBLE at 2023-11-14T22:13:10"));
    assert_non_null(strstr(buf_text(&out), "1.5 KiB of 64.0 MiB"));
    buf_clear(&out);
    assert_int_equal(status_json(&s, &out), 0);
    assert_non_null(strstr(buf_text(&out), "\"trouble\":\t\"connect: refused\""));
    buf_clear(&out);
    s.trouble_over = true; /* a trouble that is over is not shown as one */
    assert_int_equal(status_text(&s, &out), 0);
    assert_null(strstr(buf_text(&out), "TROUBLE"));
    assert_non_null(strstr(buf_text(&out), "over by now"));
    buf_clear(&out);
    assert_int_equal(status_json(&s, &out), 0);
    assert_non_null(strstr(buf_text(&out), "\"trouble\":\t\"\""));
    assert_non_null(strstr(buf_text(&out), "\"last_trouble\":\t\"connect: refused\""));
    buf_free(&out);
}

static void test_loopback(void **state)
{
    static const char *const good[] = {"http://localhost",        "http://localhost:9870",
                                       "http://127.0.0.1:9870/x", "http://127.8.9.10",
                                       "http://[::1]:9870",       "http://[::1]/"};
    static const char *const bad[] = {"http://localhost.example.com",
                                      "http://127.0.0.1.example.com",
                                      "http://127.0.0.1:80@example.com",
                                      "http://localhost:80@example.com",
                                      "http://localhost:80@example.com:80",
                                      "http://[::1]:80@example.com",
                                      "http://10.0.0.1",
                                      "http://127.0.0.1@example.com",
                                      "https://localhost"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(host_url_is_loopback(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(host_url_is_loopback(bad[i]));
}

static bool begun(struct groups *g, int64_t interval_s, int64_t at_s)
{
    return groups_at(g, span_s(interval_s), (struct wall){at_s * 1000}) != NULL;
}

/* The tick of a slow source takes late answers until its next one, or a sealing, or a clock set back. */
static void test_open_ticks(void **state)
{
    const struct grid_params p = {.max_series = 100, .block_series = 100};
    struct groups g;

    (void)state;
    groups_init(&g, &p, span_s(30), NULL);
    assert_true(begun(&g, 1, 100) && begun(&g, 10, 100));
    groups_end_before(&g, (struct wall){101000});
    assert_true(begun(&g, 10, 100)); /* still that of 100 */
    assert_true(begun(&g, 1, 101));
    groups_end_before(&g, (struct wall){110000});
    assert_true(begun(&g, 10, 110));
    groups_end_before(&g, (struct wall){109000});
    assert_false(begun(&g, 10, 110)); /* ended, and no tick may come twice */
    groups_end(&g);
    assert_true(begun(&g, 10, 120));
    groups_free(&g);
}

static void test_page(void **state)
{
    struct wire_label a[] = {{{"d", 1}, {"x\"y\\z\n", 6}}}, b[] = {{{"d", 1}, {"a", 1}}};
    const struct wire_series series[] = {
        {.name = {"m", 1}, .kind = WIRE_GAUGE, .labels = a, .n_labels = 1, .help = {"A\nb\\.", 5}},
        {.name = {"c_total", 7}, .kind = WIRE_COUNTER, .help = {"C.", 2}},
        {.name = {"m", 1}, .kind = WIRE_GAUGE, .labels = b, .n_labels = 1, .help = {"A", 1}},
        {.name = {"m", 1}, .kind = WIRE_COUNTER, .help = {"A", 1}}, /* of another kind */
        {.name = {"m", 1},
         .kind = WIRE_GAUGE,
         .labels = b,
         .n_labels = 1,
         .help = {"A", 1}}, /* there already */
        {.name = {"ma", 2}, .kind = WIRE_UNTYPED, .help = {"", 0}},
    };
    struct arena arena;
    struct page p = {.arena = &arena};
    struct buf out;
    struct err e;

    (void)state;
    arena_init(&arena, NULL, 0);
    buf_init(&out, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof series / sizeof *series; i++)
        page_add(&p, &series[i], i ? 0.1 * (double)i : (double)NAN);
    assert_int_equal(page_render(&p, &out, &e), 0);
    assert_string_equal(buf_text(&out), "# HELP c_total C.\n# TYPE c_total counter\nc_total 0.1\n"
                                        "# HELP m A\n# TYPE m gauge\nm{d=\"a\"} 0.2\n"
                                        "m{d=\"x\\\"y\\\\z\\n\"} NaN\n"
                                        "# HELP ma \n# TYPE ma untyped\nma 0.5\n");
    buf_free(&out);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_open_ticks),
        cmocka_unit_test(test_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
