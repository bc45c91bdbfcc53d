/* The life of alerts on virtual time, beside the golden traces: burns, storms, baselines under maintenance. */
#include "tests/unit/alert_kit.h"

static const char hot[] = "[alert hot]\nmetric = temperature\nabove = 80\nfor = 1m\nclear_for = 30s\n";

static void test_fires_and_resolves(void **state)
{
    struct kit k;

    (void)state;
    kit_open(&k, hot);
    kit_set(&k, "temperature host=a", 20);
    kit_set(&k, "temperature host=b", 20);
    kit_until(&k, 60);
    kit_expect(&k, "");
    kit_set(&k, "temperature host=a", 90);
    kit_until(&k, 300);
    kit_expect(&k, "0h01m10s hot{host=a} inactive -> pending row 2\n"
                   "0h02m10s hot{host=a} pending -> firing row 10\n");
    kit_set(&k, "temperature host=a", 70);
    kit_until(&k, 600);
    kit_expect(&k, "0h05m10s hot{host=a} firing -> clearing row 24\n"
                   "0h05m40s hot{host=a} clearing -> inactive row 33\n");
    assert_int_equal(k.n_records, 1); /* kept for `quiet`, to notice flapping */
    kit_until(&k, 1300);
    assert_int_equal(k.n_records, 0);
    kit_close(&k);
}

/* ---- burns ---- */

static struct burn_fact burn_of(const struct label *group, double l, double s, bool enough)
{
    struct burn_fact b = {.slo = "checkout", .group = {group, 1}, .completeness = 1};

    for (int i = 0; i < BURN_WINDOWS; i++)
        b.w[i] = (struct burn_window){.burn = (double)NAN, .burn_least = (double)NAN};
    b.w[0] = (struct burn_window){
        .window = span_s(300), .total = 10, .burn = s, .burn_least = s / 4, .enough = enough};
    b.w[2] = (struct burn_window){
        .window = span_s(3600), .total = 100, .burn = l, .burn_least = l / 4, .enough = enough};
    return b;
}

/* Whether the rule fires with these burns, a step each: long and short window, enough events. */
static void test_burns(void **state)
{
    static const struct {
        double l, s;
        bool enough;
        unsigned firing;
    } steps[] = {
        {10, 100, true, 0},         /* the long window does not exceed */
        {100, 10, true, 0},         /* nor the short one */
        {20, 30, true, 1},          /* both do */
        {20, 1, true, 0},           /* the trouble is over, though the hour still remembers it */
        {20, 30, false, 0},         /* few events: what is certain of it is less than half */
        {80, 90, false, 1},         /* few events, but certainly too fast */
        {(double)NAN, 90, true, 1}, /* no events: it stays as it is */
        {(double)NAN, (double)NAN, true, 1},
        {0, 0, true, 0},
    };
    const struct label group[] = {{"service", "shop"}};
    struct kit k;

    (void)state;
    kit_open(&k, "[alert fast]\nstatistic = burn\nslo = checkout\nabove = 14.4\nflaps = 0\n"
                 "[alert other]\nstatistic = burn\nslo = other\nabove = 1\n");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct burn_fact b = burn_of(group, steps[i].l, steps[i].s, steps[i].enough);

        k.rig.burns = &b;
        k.rig.n_burns = 1;
        k.at += 10000;
        kit_step(&k);
        if (k.rig.alerts->states[0].count[ALERT_FIRING] != steps[i].firing)
            fail_msg("step %zu: %u fire", i, k.rig.alerts->states[0].count[ALERT_FIRING]);
        assert_int_equal(k.rig.alerts->states[1].count[ALERT_FIRING], 0);
    }
    kit_close(&k);
}

/* ---- few values ---- */

/* Fewer values than min_count are no verdict, and no missing data either, whatever no_data says. */
static void test_few_values(void **state)
{
    static const char *const no_data[] = {"keep", "alert", "ok"};
    char rules[256];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct kit k;

        snprintf(rules, sizeof rules,
                 "[alert slow]\nmetric = latency\nstatistic = avg\nwindow = 1m\nabove = 1\nmin_count = 5\n"
                 "no_data = %s\nforget = 10m\n",
                 no_data[i]);
        kit_open(&k, rules);
        kit_set(&k, "latency host=a", 2);
        kit_until(&k, 35);
        kit_expect(&k, "");
        kit_until(&k, 60);
        kit_expect(&k, "0h00m40s slow{host=a} inactive -> firing row 1\n");
        kit_source(&k, "latency host=a")->every = 20000; /* three a minute */
        kit_set(&k, "latency host=a", 0.5);
        kit_until(&k, 3600);
        kit_expect(&k, "");
        kit_source(&k, "latency host=a")->every = 10000;
        kit_until(&k, 3700);
        kit_expect(&k, "1h00m40s slow{host=a} firing -> inactive row 23\n");
        kit_close(&k);
    }
}

/* ---- storms ---- */

static void test_storm(void **state)
{
    struct label host = {"host", NULL};
    struct kit k;
    char name[32];

    (void)state;
    kit_open(&k, "[alert down]\nmetric = up\nequal = 0\nlimit = 200\n");
    host.value = name;
    for (int phase = 0; phase < 2; phase++) {
        k.at += 10000;
        for (int i = 0; i < 5000; i++) {
            snprintf(name, sizeof name, "h%d", i);
            assert_int_equal(trial_feed_value(k.rig.feed, k.rig.facts, "up", FACT_GAUGE,
                                              (struct labels){&host, 1}, (struct wall){KIT_START + k.at},
                                              phase),
                             0);
        }
        kit_step(&k);
        if (phase == 0) { /* 200 one by one, and one that tells of 4800 */
            assert_int_equal(k.notices, 201);
            assert_string_equal(k.summary, "4800 more alerts of down fire, beyond its limit of 200");
            assert_int_equal(k.rig.alerts->states[0].over, 4800);
            k.notices = 0;
        }
    }
    assert_int_equal(k.notices, 201); /* and their ends; of the others nobody had heard */
    assert_int_equal(k.rig.alerts->states[0].count[ALERT_FIRING], 0);
    kit_close(&k);
}

/* ---- baselines ---- */

static void test_maintenance_freezes(void **state)
{
    struct match *m = match_new("host=a", NULL);
    struct kit k;

    (void)state;
    kit_open(&k, "[alert odd]\nmetric = rate\nbaseline = ewma\nlearn = 1h\nmin_abs = 5\n");
    kit_set(&k, "rate host=a", 100);
    kit_set(&k, "rate host=b", 100);
    kit_until(&k, 2 * 3600);
    const struct maintenance_fact window = {
        .match = m, .from = {KIT_START + k.at}, .to = {KIT_START + k.at + 6 * 3600000}};
    k.rig.maintenance = &window;
    k.rig.n_maintenance = 1;
    kit_set(&k, "rate host=a", 200);
    kit_set(&k, "rate host=b", 200);
    kit_until(&k, 7 * 3600);
    /* five hours of another level: usual by now where it was learnt, not where maintenance held */
    assert_int_equal(k.rig.alerts->states[0].count[ALERT_FIRING], 1);
    for (const struct alert *al = k.rig.alerts->states[0].first; al; al = al->next) {
        if (al->state == ALERT_FIRING)
            assert_string_equal(labels_get(al->labels, "host"), "a");
    }
    kit_close(&k);
    match_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_and_resolves),  cmocka_unit_test(test_burns),
        cmocka_unit_test(test_few_values),          cmocka_unit_test(test_storm),
        cmocka_unit_test(test_maintenance_freezes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
