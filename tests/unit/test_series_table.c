/* The table of series: what is visible, with which labels and for how long, kinds, quotas, verdicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/series_kit.h"

#define HOST "env=prod host=h region=r"

static void expect(struct kit *k, int64_t now, const char *text)
{
    struct buf b;

    buf_init(&b, NULL, 1 << 20);
    kit_show(k, now, &b);
    assert_string_equal(buf_text(&b), text);
    buf_free(&b);
}

static void test_latest(void **state)
{
    struct kit k = {0};
    double v[] = {1, 2, KIT_ABSENT};
    double w[] = {5, KIT_ABSENT, 7};

    (void)state;
    kit_open(&k, "");
    kit_batch(&k, "web-1", HOST, KIT_NOW);
    k.in.tenant = kit_str("acme");
    kit_block(&k, KIT_NOW - 2000, 1000, 3,
              (struct kit_series[]){{"node_b", WIRE_GAUGE, v, NULL},
                                    {"node_a{cpu=0 mode=idle}", WIRE_COUNTER, w, NULL}},
              2);
    kit_take(&k);
    assert_int_equal(k.verdict.len, 0);
    expect(&k, KIT_NOW,
           "node_a{cpu=0 env=prod host=h instance=web-1 job=node mode=idle region=r tenant=acme} 7 @+0\n"
           "node_b{env=prod host=h instance=web-1 job=node region=r tenant=acme} 2 @-1000\n");
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* A late batch does not replace what is newer; of blocks with the same tick the later one holds. */
static void test_late(void **state)
{
    struct kit k = {0};

    (void)state;
    kit_open(&k, "");
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW - 1000, 1);
    kit_block(
        &k, KIT_NOW - 1000, 0, 1,
        (struct kit_series[]){{"y", WIRE_GAUGE, &(double){3}, NULL}, {"x", WIRE_GAUGE, &(double){2}, NULL}},
        2);
    kit_take(&k);
    kit_batch(&k, "a", HOST, KIT_NOW + 1);
    kit_gauge(&k, "x", KIT_NOW - 1500, 9);
    kit_take(&k);
    expect(&k, KIT_NOW + 1,
           "x{env=prod host=h instance=a job=node region=r} 2 @-1000\n"
           "y{env=prod host=h instance=a job=node region=r} 3 @-1000\n");
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latest),
        cmocka_unit_test(test_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
