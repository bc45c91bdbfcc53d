/* What the alert engine tells of itself. See alert.h. */
#include "aggregator/alert/state.h"

static const struct metric_row alerts_row = {
    .name = "securebase_alerts",
    .kind = METRIC_GAUGE,
    .labels = "alert severity state",
    .help = "Alerts by rule and state; clearing ones count as firing.",
};

static void put_state(struct sink *out, const struct rule *r, const char *state, uint32_t n)
{
    const struct text labels[] = {text_of(r->name), text_of(severity_name(r->severity)), text_of(state)};

    sink_uint(out, &alerts_row, labels, n);
}

void alerts_metrics(const struct alerts *a, struct sink *out)
{
    for (uint32_t i = 0; i < a->rules.n; i++) {
        const struct rule_state *rs = &a->states[i];

        put_state(out, rs->rule, "pending", rs->count[ALERT_PENDING]);
        put_state(out, rs->rule, "firing", rs->count[ALERT_FIRING] + rs->count[ALERT_CLEARING]);
    }
}
