/* Wilson's interval (common/base/wilson.h) against figures worked out by hand and published ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "common/base/wilson.h"

static void near(double have, double want)
{
    if (fabs(have - want) > 5e-4)
        fail_msg("%.6f, expected %.6f", have, want);
}

static void known_intervals(void **state)
{
    static const struct {
        uint64_t k, n;
        double low, high;
    } v[] = {{12, 12, 0.7575, 1.0},     {0, 12, 0.0, 0.2425},      {59, 59, 0.9389, 1.0},
             {81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {1, 2, 0.0945, 0.9055}};

    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        double low, high;

        wilson(v[i].k, v[i].n, &low, &high);
        near(low, v[i].low);
        near(high, v[i].high);
    }
}

static void nothing_counted(void **state)
{
    double low, high;

    (void)state;
    wilson(0, 0, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_intervals),
        cmocka_unit_test(nothing_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
