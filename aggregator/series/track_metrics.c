/* What tracking tells of itself. */
#include "aggregator/series/track.h"

static const struct metric_row groups_row = {
    .name = "securebase_aggregator_history_groups",
    .labels = "",
    .help =
        "Groups of all selections (what objectives, rules and percentiles look at) whose gains are gathered.",
};
static const struct metric_row readings_row = {
    .name = "securebase_aggregator_history_counters",
    .labels = "",
    .help = "Counters whose last reading is kept, so that no increase is lost.",
};
static const struct metric_row waiting_row = {
    .name = "securebase_aggregator_history_steps_waiting",
    .labels = "",
    .help = "Steps of groups that gained something which is not stored yet.",
};
static const struct metric_row told_row = {
    .name = "securebase_aggregator_history_told_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Gains of steps that were told to those who judge.",
};
static const struct metric_row corrected_row = {
    .name = "securebase_aggregator_history_corrections_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Late readings of counters by which an increase was put where it belongs.",
};
static const struct metric_row closed_row = {
    .name = "securebase_aggregator_history_gaps_closed_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Gaps between readings given up for newer ones: what still comes late into them is lost as late.",
};
static const struct metric_row lost_row = {
    .name = "securebase_aggregator_history_lost_total",
    .kind = METRIC_COUNTER,
    .labels = "reason",
    .help =
        "Values or steps that are missing from history: no memory, more groups than max_groups, not a finite "
        "number, a counter's reading too late for any gap, too many steps that wait, or stored but never "
        "told.",
};

static const char *const loss_names[TRACK_LOSSES] = {
    [TRACK_MEMORY] = "memory", [TRACK_GROUPS] = "groups",   [TRACK_NOT_FINITE] = "not_finite",
    [TRACK_LATE] = "late",     [TRACK_PENDING] = "pending", [TRACK_UNTOLD] = "untold",
};

void track_metrics(const struct series_set *s, struct sink *out)
{
    const struct tracking *t = &s->tracking;

    sink_uint(out, &groups_row, NULL, t->n_groups);
    sink_uint(out, &readings_row, NULL, t->n_readings);
    sink_uint(out, &waiting_row, NULL, t->n_steps);
    sink_uint(out, &told_row, NULL, t->told);
    sink_uint(out, &corrected_row, NULL, t->corrected);
    sink_uint(out, &closed_row, NULL, t->gaps_closed);
    for (int i = 0; i < TRACK_LOSSES; i++) {
        struct text reason = text_of(loss_names[i]);

        sink_uint(out, &lost_row, &reason, t->lost[i]);
    }
}
