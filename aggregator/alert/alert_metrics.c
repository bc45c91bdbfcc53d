/* What the alert engine tells of itself. See alert.h. */
#include <stdio.h>

#include "aggregator/alert/state.h"

static const struct metric_row alerts_row = {
    .name = "securebase_alerts",
    .kind = METRIC_GAUGE,
    .labels = "alert severity state",
    .help = "Alerts by rule and state; those that clear count as firing.",
};
static const struct metric_row groups_row = {
    .name = "securebase_aggregator_alert_groups",
    .kind = METRIC_GAUGE,
    .labels = "alert",
    .help =
        "Groups of series that a rule looks at; of a composite, sets of labels among the alerts that fire.",
};
static const struct metric_row rules_row = {
    .name = "securebase_aggregator_alert_rules",
    .kind = METRIC_GAUGE,
    .labels = "",
    .help = "Alert rules.",
};
static const struct metric_row silent_row = {
    .name = "securebase_aggregator_alert_rules_without_series",
    .kind = METRIC_GAUGE,
    .labels = "",
    .help = "Alert rules that have matched no series for ten minutes: they can not fire.",
};
static const struct metric_row muted_row = {
    .name = "securebase_aggregator_alerts_muted",
    .kind = METRIC_GAUGE,
    .labels = "reason",
    .help = "Firing alerts that are not told: they wait for a suppressor, have one, or are beyond their "
            "rule's limit.",
};
static const struct metric_row evaluations_row = {
    .name = "securebase_aggregator_alert_evaluations_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Groups that were measured because something of them changed or their window moved on.",
};
static const struct metric_row rows_row = {
    .name = "securebase_aggregator_alert_transitions_total",
    .kind = METRIC_COUNTER,
    .labels = "row",
    .help = "Transitions of alerts by the row of the state table that ordered them.",
};
static const struct metric_row effects_row = {
    .name = "securebase_aggregator_alert_effects_total",
    .kind = METRIC_COUNTER,
    .labels = "kind",
    .help = "What the alert engine ordered: notices, records, decisions; and decisions left out in a storm, "
            "beyond a limit.",
};
static const struct metric_row errors_row = {
    .name = "securebase_aggregator_alert_errors_total",
    .kind = METRIC_COUNTER,
    .labels = "reason",
    .help =
        "Alerts that found no memory or no place, and records of a restart that were damaged or of no alert.",
};
static const struct metric_row steps_row = {
    .name = "securebase_aggregator_alert_steps_total",
    .kind = METRIC_COUNTER,
    .labels = "kind",
    .help = "Steps of the alert engine: taken, held since our clock or loop had jumped, with a clock that "
            "went back.",
};
static const struct metric_row spent_row = {
    .name = "securebase_aggregator_alert_evaluation_seconds_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Time that steps of judging took: objectives, alerts, incidents, notices.",
};
static const struct metric_row restored_row = {
    .name = "securebase_aggregator_alerts_restored_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Alerts that went on after the start from what was stored.",
};

static void put(struct sink *out, const struct metric_row *row, const char *label, uint64_t v)
{
    const struct text labels[] = {text_of(label)};

    sink_uint(out, row, labels, v);
}

static void put_state(struct sink *out, const struct rule *r, const char *state, uint32_t n)
{
    const struct text labels[] = {text_of(r->name), text_of(severity_name(r->severity)), text_of(state)};

    sink_uint(out, &alerts_row, labels, n);
}

static void put_rules(const struct alerts *a, struct sink *out)
{
    uint64_t silent = 0, muted[MUTE_LIMIT + 1] = {0};

    for (uint32_t i = 0; i < a->rules.n; i++) {
        const struct rule_state *rs = &a->states[i];

        put_state(out, rs->rule, "pending", rs->count[ALERT_PENDING]);
        put_state(out, rs->rule, "firing", rs->count[ALERT_FIRING] + rs->count[ALERT_CLEARING]);
        put(out, &groups_row, rs->rule->name, rs->groups);
        silent += rs->silent;
        for (const struct alert *al = rs->first; al; al = al->next)
            muted[al->mute] += alert_in_force(al->state);
    }
    sink_uint(out, &rules_row, NULL, a->rules.n);
    sink_uint(out, &silent_row, NULL, silent);
    put(out, &muted_row, "wait", muted[MUTE_WAIT]);
    put(out, &muted_row, "suppressed", muted[MUTE_SUPPRESSED]);
    put(out, &muted_row, "limit", muted[MUTE_LIMIT]);
}

uint32_t alerts_firing(const struct alerts *a, enum severity severity)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->rules.n; i++)
        if (a->states[i].rule->severity == severity)
            n += a->states[i].count[ALERT_FIRING] + a->states[i].count[ALERT_CLEARING];
    return n;
}

void alerts_metrics(const struct alerts *a, struct sink *out)
{
    put_rules(a, out);
    sink_uint(out, &evaluations_row, NULL, a->evaluations);
    for (size_t i = 0; i < alert_table_rows; i++) {
        const struct alert_row *r = &alert_table[i];
        char number[16];

        if (r->from == r->to && !(r->effects & DO_TELL))
            continue;
        snprintf(number, sizeof number, "%d", r->number);
        put(out, &rows_row, number, a->rows[r->number]);
    }
    put(out, &effects_row, "notice", a->notices);
    put(out, &effects_row, "record", a->records);
    put(out, &effects_row, "decision", a->decisions);
    put(out, &effects_row, "decision_left_out", a->short_left_out);
    put(out, &errors_row, "no_memory", a->no_memory);
    put(out, &errors_row, "damaged_record", a->damaged - a->foreign);
    put(out, &errors_row, "foreign_record", a->foreign);
    put(out, &steps_row, "taken", a->steps - a->holds);
    put(out, &steps_row, "held", a->holds);
    put(out, &steps_row, "clock_back", a->backwards);
    sink_real(out, &spent_row, NULL, span_seconds(a->spent));
    sink_uint(out, &restored_row, NULL, a->restored);
}
