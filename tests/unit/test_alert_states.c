/* The life of an alert on virtual time: the holds, gaps, restarts, suppressors, limits, flapping. Every row of the state
 * table is reached here, and each state has a way out. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_and_resolves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
