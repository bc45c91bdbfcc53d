/* The arithmetic of objectives against a table worked by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "aggregator/slo/burn.h"

#define DAY INT64_C(86400)

static void near(double found, double expected)
{
    double far = fabs(found - expected), allowed = 1e-9 * fmax(1, fabs(expected));

    if (!(far <= allowed))
        fail_msg("found %.15g, expected %.15g", found, expected);
}

/* objective, good, total, burn */
static void burns(void **state)
{
    (void)state;
    near(burn_rate(9999, 10000, 0.9995), 0.2);  /* 0.01 % of an allowed 0.05 % */
    near(burn_rate(9995, 10000, 0.9995), 1);    /* exactly what is allowed */
    near(burn_rate(9928, 10000, 0.9995), 14.4); /* 0.72 %: the line of the fast page */
    near(burn_rate(9970, 10000, 0.9995), 6);
    near(burn_rate(99, 100, 0.9995), 20); /* one failure of a hundred */
    near(burn_rate(0, 7, 0.9995), 2000);  /* everything fails */
    near(burn_rate(999, 1000, 0.99), 0.1);
    near(burn_rate(1000, 1000, 0.99), 0);
    near(burn_rate(900, 1000, 0.9), 1);
    assert_true(isnan(burn_rate(0, 0, 0.9995)));
}

/* Wilson's lower end at z = 1.96: (p + z²/2n - z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). */
static void least(void **state)
{
    (void)state;
    /* 1 of 100: p = 0.01; (0.01 + 0.019208 - 1.96 √(0.000099 + 0.000096040)) / 1.038416 = 0.00176765 */
    assert_true(fabs(burn_least(99, 100, 0.99) * 0.01 - 0.00176764) < 1e-6);
    /* 5 of 10: (0.5 + 0.19208 - 1.96 √(0.025 + 0.0096040)) / 1.38416 = 0.236593 */
    assert_true(fabs(burn_least(5, 10, 0.9) * 0.1 - 0.236593) < 1e-5);
    /* all of 10: (1 + 0.19208 - 1.96 × 0.098) / 1.38416 = 0.722460 */
    assert_true(fabs(burn_least(0, 10, 0.9) * 0.1 - 0.722460) < 1e-5);
    /* one of one: (1 + 1.9208 - 1.9208) / 4.8416 = 0.206543 */
    assert_true(fabs(burn_least(0, 1, 0.9) * 0.1 - 0.206543) < 1e-5);
    assert_true(burn_least(100, 100, 0.99) == 0);
    assert_true(isnan(burn_least(0, 0, 0.99)));
    /* with many events it comes near to the burn itself, from below */
    assert_true(burn_least(9900000, 10000000, 0.99) < 1);
    assert_true(burn_least(9900000, 10000000, 0.99) > 0.99);
    /* never above */
    for (uint64_t n = 1; n < 200; n++) {
        for (uint64_t bad = 0; bad <= n; bad++)
            assert_true(burn_least(n - bad, n, 0.99) <= burn_rate(n - bad, n, 0.99));
    }
}

static void budgets(void **state)
{
    (void)state;
    /* a rolling period with 1 000 000 events at 99.95 %: 500 may fail */
    near(budget_remaining(1000000, 1000000, 0.9995, 1), 1);
    near(budget_remaining(999750, 1000000, 0.9995, 1), 0.5);
    near(budget_remaining(999500, 1000000, 0.9995, 1), 0);
    near(budget_remaining(999000, 1000000, 0.9995, 1), -1);
    /* a month of which 3 of 30 days have passed: as many more are to come as ten times these */
    near(budget_remaining(999750, 1000000, 0.9995, 0.1), 0.95);
    assert_true(isnan(budget_remaining(0, 0, 0.9995, 1)));
}

/* remaining × period ÷ burn */
static void exhaustion(void **state)
{
    static const struct {
        int days;
        double remaining, burn, hours;
    } rows[] = {
        {7, 1, 1, 168},    {28, 0.5, 14, 24},   {30, 1, 14.4, 50},   {30, 0.5, 2, 180},
        {31, 0.25, 6, 31}, {90, 1, 2000, 1.08}, {90, 0.1, 0.5, 432}, {30, 1, 2000, 0.36},
        {30, 0, 3, 0},     {30, -0.5, 3, 0},    {7, 0.3, 0.7, 72},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        near(budget_exhausted_after(rows[i].remaining, rows[i].burn, span_s(rows[i].days * DAY)),
             rows[i].hours * 3600);
    assert_true(isinf(budget_exhausted_after(0.4, 0, span_s(30 * DAY))));
    assert_true(isnan(budget_exhausted_after(NAN, 1, span_s(30 * DAY))));
    assert_true(isnan(budget_exhausted_after(0.4, NAN, span_s(30 * DAY))));
}

/* Shares of 2, 5, 10, 10 % of the budget within 1 h, 6 h, 1 d, 3 d. */
static void factors(void **state)
{
    static const struct {
        int days;
        double factor[BURN_ALERTS];
    } rows[] = {
        {7, {3.36, 1.4, 1, 1}}, /* 0.7 and 0.233 would fire while the budget lasts */
        {28, {13.44, 5.6, 2.8, 1}},       {30, {14.4, 6, 3, 1}},
        {31, {14.88, 6.2, 3.1, 3.1 / 3}}, {90, {43.2, 18, 9, 3}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (unsigned k = 0; k < BURN_ALERTS; k++)
            near(burn_alert_factor(burn_alert_at(k), span_s(rows[i].days * DAY), 0.9995), rows[i].factor[k]);
    }
    /* at 90 % no burn is above 10, at 95 % none above 20 */
    near(burn_alert_factor(burn_alert_at(0), span_s(30 * DAY), 0.9), 9);
    near(burn_alert_factor(burn_alert_at(0), span_s(90 * DAY), 0.95), 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burns),      cmocka_unit_test(least),   cmocka_unit_test(budgets),
        cmocka_unit_test(exhaustion), cmocka_unit_test(factors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
