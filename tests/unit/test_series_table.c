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

static void expect_n(struct kit *k, int64_t now, uint64_t n)
{
    struct snapshot *s;

    series_advance(k->set, (struct wall){now});
    s = series_snapshot(k->set, (struct wall){now});
    assert_int_equal(s->n_series, n);
    snapshot_release(s);
}

static struct agent_view view(struct kit *k, int64_t now)
{
    struct snapshot *s = series_snapshot(k->set, (struct wall){now});
    struct agent_view v;

    assert_int_equal(s->n_agents, 1);
    v = s->agents[0];
    assert_string_equal(v.region, "r");
    assert_string_equal(v.env, "prod");
    snapshot_release(s);
    return v;
}

static void test_expiry(void **state)
{
    struct kit k = {0};

    (void)state;
    kit_open(&k, "[aggregator]\nstale_after = 10s\nagent_ttl = 1m\n");
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW, 1);
    kit_gauge(&k, "old", KIT_NOW - 10001, 1);
    kit_take(&k);
    expect_n(&k, KIT_NOW + 10000, 1);
    assert_true(view(&k, KIT_NOW + 10000).up);
    assert_int_equal(view(&k, KIT_NOW + 10000).series, 1);
    assert_int_equal(view(&k, KIT_NOW).values, 2);
    expect_n(&k, KIT_NOW + 10001, 0);
    assert_false(view(&k, KIT_NOW + 10001).up);
    series_advance(k.set, (struct wall){KIT_NOW + 60000});
    assert_int_equal(view(&k, KIT_NOW + 60000).first_seen.ms, KIT_NOW);
    series_advance(k.set, (struct wall){KIT_NOW + 60001});
    expect(&k, KIT_NOW + 60001, "");
    assert_int_equal(series_forget_agent(k.set, kit_str("a")), ERR_NOTFOUND);
    kit_batch(&k, "a", HOST, KIT_NOW + 61000);
    kit_gauge(&k, "x", KIT_NOW + 61000, 1);
    kit_take(&k);
    assert_int_equal(series_forget_agent(k.set, kit_str("a")), 0);
    expect(&k, KIT_NOW + 61000, "");
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* An agent with a clock five minutes slow is seen; what is as old from a right clock is not; neither is what
 * a clock ahead of ours sent before it fell silent. */
static void test_skew(void **state)
{
    struct kit k = {0};

    (void)state;
    kit_open(&k, "");
    kit_batch(&k, "slow", HOST, KIT_NOW);
    k.in.sent.ms = KIT_NOW - 300000;
    kit_gauge(&k, "x", KIT_NOW - 300000, 1);
    kit_take(&k);
    expect_n(&k, KIT_NOW, 1);
    assert_int_equal(view(&k, KIT_NOW).skew_ms, -300000);
    assert_int_equal(series_forget_agent(k.set, kit_str("slow")), 0);
    kit_batch(&k, "spool", HOST, KIT_NOW);
    k.in.sent.ms = KIT_NOW;
    kit_gauge(&k, "x", KIT_NOW - 300000, 1);
    kit_take(&k);
    expect_n(&k, KIT_NOW, 0);
    kit_batch(&k, "ahead", HOST, KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW + 300000, 1);
    kit_take(&k);
    expect_n(&k, KIT_NOW + 60000, 1);
    expect_n(&k, KIT_NOW + 60001, 0);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* New labels of a host take the place of the old ones at once, but not by a late batch. */
static void test_resource(void **state)
{
    struct kit k = {0};
    const char *later = "x{env=prod host=h2 instance=a job=node region=r} 2 @+0\n";

    (void)state;
    kit_open(&k, "");
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW, 1);
    kit_gauge(&k, "y", KIT_NOW, 1);
    kit_take(&k);
    kit_batch(&k, "a", "env=prod host=h2 region=r", KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW, 2);
    kit_take(&k);
    expect(&k, KIT_NOW, later);
    kit_batch(&k, "a", HOST, KIT_NOW);
    k.batch.seq = 1;
    kit_gauge(&k, "x", KIT_NOW, 3);
    kit_take(&k);
    expect(&k, KIT_NOW, later);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

static void test_times(void **state)
{
    struct kit k = {0};
    struct wire_event events[5] = {{.t = KIT_NOW},
                                   {.t = KIT_NOW + 600001},
                                   {.t = KIT_NOW - 3600001},
                                   {.t = KIT_NOW + 600000},
                                   {.t = KIT_NOW - 3600000}};
    enum wire_refusal why;

    (void)state;
    kit_open(&k, "[ingest]\nmax_age = 1h\n");
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW + 600001, 1);
    kit_gauge(&k, "y", KIT_NOW - 3600001, 1);
    kit_gauge(&k, "ok", KIT_NOW, 1);
    kit_gauge(&k, "far", KIT_NOW + 600000, 1);
    k.in.sent.ms = INT64_MIN; /* nonsense, and beyond what a difference can hold */
    k.in.events = events;
    k.in.n_events = 5;
    kit_take(&k);
    assert_int_equal(k.refused[WIRE_FUTURE], 2);
    assert_int_equal(k.refused[WIRE_TOO_OLD], 2);
    assert_false(series_event_refused(buf_bytes(&k.verdict), 0, &why));
    assert_true(series_event_refused(buf_bytes(&k.verdict), 1, &why));
    assert_int_equal(why, WIRE_FUTURE);
    assert_true(series_event_refused(buf_bytes(&k.verdict), 2, &why));
    assert_int_equal(why, WIRE_TOO_OLD);
    assert_false(series_event_refused(buf_bytes(&k.verdict), 3, &why));
    assert_false(series_event_refused(buf_bytes(&k.verdict), 4, &why));
    assert_int_equal(view(&k, KIT_NOW).refused[WIRE_FUTURE], 2);
    assert_int_equal(view(&k, KIT_NOW).refused[WIRE_TOO_OLD], 2);
    expect(&k, KIT_NOW,
           "far{env=prod host=h instance=a job=node region=r} 1 @+600000\n"
           "ok{env=prod host=h instance=a job=node region=r} 1 @+0\n");
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* The first kind holds until the name is gone; a judged kind is reserved before it is seen. */
static void test_kinds(void **state)
{
    struct kit k = {0};
    double three[] = {1, 2, 3};
    struct kit_series counter = {"x", WIRE_COUNTER, three, NULL};

    (void)state;
    kit_open(&k, "");
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW, 1);
    assert_int_equal(kit_judge(&k), 0); /* and never committed */
    expect(&k, KIT_NOW, "");
    kit_batch(&k, "b", HOST, KIT_NOW);
    kit_block(&k, KIT_NOW - 2, 1, 3, &counter, 1);
    kit_gauge(&k, "y", KIT_NOW, 1);
    kit_take(&k);
    assert_int_equal(k.refused[WIRE_KIND_CONFLICT], 3);
    expect(&k, KIT_NOW, "y{env=prod host=h instance=b job=node region=r} 1 @+0\n");
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW, 1);
    kit_take(&k);
    kit_batch(&k, "b", HOST, KIT_NOW + 60000); /* the gauge was judged 60 s ago, and is still visible */
    kit_block(&k, KIT_NOW + 59998, 1, 3, &counter, 1);
    kit_take(&k);
    assert_int_equal(k.refused[WIRE_KIND_CONFLICT], 3);
    series_advance(k.set, (struct wall){KIT_NOW + 60001});
    kit_batch(&k, "b", HOST, KIT_NOW + 60001);
    kit_block(&k, KIT_NOW + 59998, 1, 3, &counter, 1);
    kit_take(&k);
    assert_int_equal(k.refused[WIRE_KIND_CONFLICT], 0);
    expect(&k, KIT_NOW + 60001, "x{env=prod host=h instance=b job=node region=r} 3 @+60000\n");
    assert_int_equal(series_forget_agent(k.set, kit_str("b")), 0);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

static void test_quota(void **state)
{
    struct kit k = {0};
    double v[] = {1, 2};
    struct kit_series x[] = {
        {"x{i=1}", WIRE_GAUGE, v, NULL}, {"x{i=2}", WIRE_GAUGE, v, NULL}, {"x{i=3}", WIRE_GAUGE, v, NULL}};

    (void)state;
    kit_open(&k, "[ingest]\nmax_series_per_agent = 2\n");
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_block(&k, KIT_NOW - 1, 1, 2, x, 3);
    kit_block(&k, KIT_NOW - 1, 1, 2, x + 1, 1); /* another schema with a known series: nothing new */
    kit_take(&k);
    assert_int_equal(k.refused[WIRE_VALUE_QUOTA], 2);
    expect_n(&k, KIT_NOW, 2);
    kit_batch(&k, "b", HOST, KIT_NOW);
    kit_block(&k, KIT_NOW, 1, 2, x + 2, 1);
    kit_take(&k);
    assert_int_equal(k.refused[WIRE_VALUE_QUOTA], 0);
    expect_n(&k, KIT_NOW, 3);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* A full table goes on with the series it has and refuses new ones. */
static void test_memory(void **state)
{
    struct kit k = {.mem.cap = 400000};
    uint64_t n = 0;
    char name[64];
    int code = 0;

    (void)state;
    kit_open(&k, "");
    for (int i = 0; i < 20000 && !code; i++) {
        snprintf(name, sizeof name, "x{i=%d}", i % 5000);
        kit_batch(&k, "a", HOST, KIT_NOW);
        kit_gauge(&k, name, KIT_NOW, i);
        code = kit_judge(&k);
        if (code == 0)
            kit_apply(&k);
        n += k.refused[WIRE_VALUE_QUOTA];
    }
    assert_true(n > 0 || code == ERR_NOMEM);
    assert_true(k.mem.used <= k.mem.cap);
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_gauge(&k, "x{i=0}", KIT_NOW, 77);
    assert_int_equal(kit_judge(&k), 0);
    assert_int_equal(k.refused[WIRE_VALUE_QUOTA], 0);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* Apply does what the verdict says, whatever a table without its history would have judged. */
static void test_verdict(void **state)
{
    struct kit k = {0};
    uint8_t verdict[] = {3, 1 << 2 | 2 << 4, 2};
    double v[] = {1};
    struct kit_series x[] = {{"w", WIRE_GAUGE, v, NULL},
                             {"x", WIRE_GAUGE, v, NULL},
                             {"y", WIRE_GAUGE, v, NULL},
                             {"z", WIRE_COUNTER, v, NULL}};

    (void)state;
    kit_open(&k, "[ingest]\nmax_series_per_agent = 0\n");
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_gauge(&k, "z", KIT_NOW, 5);
    series_apply(k.set, &k.in, (struct bytes){NULL, 0}, 1, false);
    kit_batch(&k, "a", HOST, KIT_NOW);
    kit_block(&k, KIT_NOW, 0, 1, x, 4);
    kit_gauge(&k, "old", KIT_NOW, 1);
    series_apply(k.set, &k.in, (struct bytes){verdict, sizeof verdict}, 2, false);
    expect(&k, KIT_NOW,
           "w{env=prod host=h instance=a job=node region=r} 1 @+0\n"
           "z{env=prod host=h instance=a job=node region=r} 1 @+0\n");
    assert_int_equal(view(&k, KIT_NOW).refused[WIRE_VALUE_QUOTA], 1);
    assert_int_equal(view(&k, KIT_NOW).refused[WIRE_KIND_CONFLICT], 1);
    assert_int_equal(view(&k, KIT_NOW).refused[WIRE_TOO_OLD], 1);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* However many schemas an agent makes up, its bindings stay within bounds. */
static void test_bindings(void **state)
{
    enum { SERIES = 4096 };
    static struct kit_series x[SERIES];
    static char names[SERIES][16];
    double v[] = {1}, absent[] = {KIT_ABSENT};
    size_t most = 0;
    struct kit k = {0};

    (void)state;
    kit_open(&k, "[ingest]\nmax_series_per_agent = 1000\n[percentile p]\nmetric = x\nby = i\n");
    for (int i = 0; i < SERIES; i++) {
        snprintf(names[i], sizeof names[i], "x{i=%d}", i);
        x[i] = (struct kit_series){names[i], WIRE_GAUGE, i < 3 ? v : absent, NULL};
    }
    for (int i = 0; i < 130; i++) {
        for (int b = 0; b < 3; b++)
            snprintf(names[b], sizeof names[b], "x{i=%d}", SERIES + 3 * i + b);
        kit_batch(&k, "a", HOST, KIT_NOW - i); /* a clock that goes back: its own bindings look the oldest */
        for (int b = 0; b < 3; b++)
            kit_block(&k, KIT_NOW - b, 0, 1, x + b, (uint32_t)(SERIES - b));
        kit_take(&k);
        most = k.mem.used > most ? k.mem.used : most;
    }
    /* all of them would take 12 MiB; some 2 MiB are groups and hosts of the percentile */
    assert_true(most < (size_t)6 << 20);
    kit_close(&k);
    assert_int_equal(k.mem.used, 0);
}

/* The wall clock goes back by an hour: what falls silent then is not shown for that hour on. */
static void test_step_back(void **state)
{
    const int64_t back = KIT_NOW - 3600000;
    struct kit k = {0};
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 20);
    kit_open(&k, "");
    kit_batch(&k, "a", "env=prod host=h region=r", KIT_NOW);
    kit_gauge(&k, "x", KIT_NOW, 1);
    kit_take(&k);
    series_advance(k.set, (struct wall){back});
    kit_show(&k, back, &b);
    assert_true(b.len > 0);
    series_advance(k.set, (struct wall){back + 61000});
    buf_clear(&b);
    kit_show(&k, back + 61000, &b);
    assert_int_equal(b.len, 0);
    kit_show_agents(&k, back + 61000, &b);
    assert_null(strstr(buf_text(&b), " up "));
    buf_free(&b);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_back), cmocka_unit_test(test_latest),  cmocka_unit_test(test_late),
        cmocka_unit_test(test_expiry),    cmocka_unit_test(test_skew),    cmocka_unit_test(test_resource),
        cmocka_unit_test(test_times),     cmocka_unit_test(test_kinds),   cmocka_unit_test(test_quota),
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_verdict), cmocka_unit_test(test_bindings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
