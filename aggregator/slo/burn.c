/* See burn.h. */
#include "aggregator/slo/burn.h"
#include "common/base/wilson.h"

#include <math.h>

static const struct burn_alert alerts[BURN_ALERTS] = {
    {"page-fast", "page", "1h", "5m", {INT64_C(3600) * 1000000000}, 0.02},
    {"page-slow", "page", "6h", "30m", {INT64_C(21600) * 1000000000}, 0.05},
    {"ticket-fast", "ticket", "1d", "2h", {INT64_C(86400) * 1000000000}, 0.10},
    {"ticket-slow", "ticket", "3d", "6h", {INT64_C(259200) * 1000000000}, 0.10},
};

double burn_rate(uint64_t good, uint64_t total, double objective)
{
    if (!total)
        return NAN;
    return (double)(total - good) / (double)total / (1 - objective);
}

double burn_least(uint64_t good, uint64_t total, double objective)
{
    double low, high;

    if (!total)
        return NAN;
    if (good >= total)
        return 0;
    wilson(total - good, total, &low, &high);
    return low / (1 - objective);
}

double budget_remaining(uint64_t good, uint64_t total, double objective, double elapsed)
{
    double burn = burn_rate(good, total, objective);

    return isnan(burn) ? NAN : 1 - burn * elapsed;
}

double budget_exhausted_after(double remaining, double burn, struct span period)
{
    if (isnan(remaining) || isnan(burn))
        return NAN;
    if (remaining <= 0)
        return 0;
    if (burn <= 0)
        return INFINITY;
    return remaining * span_seconds(period) / burn;
}

const struct burn_alert *burn_alert_at(unsigned i)
{
    return i < BURN_ALERTS ? &alerts[i] : &alerts[BURN_ALERTS - 1];
}

double burn_alert_factor(const struct burn_alert *a, struct span period, double objective)
{
    double factor = a->share * (span_seconds(period) / span_seconds(a->long_window));
    double most = 0.9 / (1 - objective);

    if (factor < 1)
        factor = 1;
    return factor < most ? factor : most;
}
