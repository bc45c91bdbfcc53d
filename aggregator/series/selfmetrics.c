/* What the table tells of itself. */
#include "aggregator/series/track.h"

static const struct metric_row series_row = {
    .name = "securebase_aggregator_series",
    .labels = "",
    .help = "Series with a fresh value.",
};
static const struct metric_row limit_row = {
    .name = "securebase_aggregator_agent_series_limit",
    .labels = "",
    .help = "Series that one agent may have; values of further ones are refused by reason quota.",
};
static const struct metric_row names_row = {
    .name = "securebase_aggregator_metric_names",
    .labels = "",
    .help = "Metric names that the table knows.",
};
static const struct metric_row memory_row = {
    .name = "securebase_aggregator_series_memory_bytes",
    .labels = "",
    .help = "Memory of the table of series, its windows and its snapshots.",
};
static const struct metric_row memory_limit_row = {
    .name = "securebase_aggregator_series_memory_limit_bytes",
    .labels = "",
    .help = "Most memory that the table of series may use; no series is begun beyond seven eighths of it.",
};
static const struct metric_row applied_row = {
    .name = "securebase_aggregator_values_total",
    .kind = METRIC_COUNTER,
    .labels = "",
    .help = "Values taken, a sketch counted as one.",
};
static const struct metric_row refused_row = {
    .name = "securebase_aggregator_values_refused_total",
    .kind = METRIC_COUNTER,
    .labels = "reason",
    .help = "Values and events of acknowledged batches that were not taken.",
};
static const struct metric_row lost_row = {
    .name = "securebase_aggregator_series_lost_total",
    .kind = METRIC_COUNTER,
    .labels = "reason",
    .help = "Values that were taken but are missing somewhere: no memory, more groups than max_groups, or a "
            "count "
            "beyond 64 bits.",
};
static const struct metric_row groups_row = {
    .name = "securebase_aggregator_percentile_groups",
    .labels = "percentile",
    .help = "Groups that a percentile section holds.",
};
static const struct metric_row refused_section_row = {
    .name = "securebase_aggregator_percentile_refused",
    .labels = "percentile",
    .help = "1 while a percentile section names a counter, of which no percentiles can be made.",
};
static const struct metric_row snapshots_row = {
    .name = "securebase_aggregator_snapshots_held",
    .labels = "",
    .help = "Snapshots of the table that readers have not released.",
};

static const char *const loss_names[LOSS_REASONS] = {
    [LOSS_MEMORY] = "memory",
    [LOSS_GROUPS] = "groups",
    [LOSS_OVERFLOW] = "overflow",
};

void series_metrics(const struct series_set *s, struct sink *out)
{
    int64_t boxes = 0;

    for (const struct box *b = s->boxes; b; b = b->next)
        boxes++;
    sink_uint(out, &series_row, NULL, s->n_visible);
    sink_int(out, &limit_row, NULL, s->quota);
    sink_int(out, &names_row, NULL, s->n_metrics);
    sink_uint(out, &memory_row, NULL, s->mem->used);
    sink_uint(out, &memory_limit_row, NULL, s->mem->cap);
    sink_uint(out, &applied_row, NULL, s->applied);
    for (int i = 0; i < WIRE_REFUSALS; i++) {
        struct text reason = text_of(wire_refusal_name((enum wire_refusal)i));

        sink_uint(out, &refused_row, &reason, s->refused[i]);
    }
    for (int i = 0; i < LOSS_REASONS; i++) {
        struct text reason = text_of(loss_names[i]);

        sink_uint(out, &lost_row, &reason, s->lost[i]);
    }
    for (uint32_t i = 0; i < s->n_percentiles; i++) {
        const struct percentile *p = s->percentiles[i];
        struct text name = text_of(p->def->name);

        sink_int(out, &groups_row, &name, p->n);
        sink_int(out, &refused_section_row, &name, p->mode == MODE_REFUSED);
    }
    sink_int(out, &snapshots_row, NULL, boxes);
    track_metrics(s, out);
}
