/* What readers see: an immutable copy of the series at one moment, made by the ingest thread and handed to
 * the serve thread. Texts are shared with the table and stay alive as long as a snapshot shows them: what the
 * table gives up is freed when the last snapshot from before is released. */
#ifndef SB_EXPOSE_SNAPSHOT_H
#define SB_EXPOSE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/label.h"
#include "common/base/metric.h"
#include "common/sketch/sketch.h"

/* One series of one host. Immutable. */
struct series_desc {
    /* sorted by name: its own, the resource's, instance, job, and tenant where there is one */
    const struct label *labels;
    uint32_t n_labels;
};

struct series_value {
    const struct series_desc *desc;
    double value; /* latest */
    int64_t t;    /* wall ms of its tick */
};

struct family {
    const char *name, *help;
    enum metric_kind kind; /* never METRIC_SKETCH: those are shown through percentiles */
    const struct series_value *values;
    uint32_t n;
};

struct agent_view {
    const char *id;
    const char *region, *env, *tenant; /* "" when unknown */
    bool up;                           /* a batch within stale_after */
    struct wall first_seen, last_received, last_sealed;
    int64_t skew_ms;     /* agent's clock minus ours, estimated; INT64_MIN: unknown */
    uint64_t epoch, seq; /* last accepted */
    uint64_t batches, values;
    uint64_t refused[4]; /* values, by enum wire_refusal */
    uint32_t series;
};

struct percentile_window {
    const char *text;        /* as written: "5m" */
    uint64_t n;              /* values behind it; over gauges: hosts */
    const double *quantiles; /* one per quantile of the section; not to be shown when n is 0 */
};

struct percentile_group {
    const char *const *values; /* of the labels in `by`; "" for one that the series lack */
    const struct percentile_window *windows;
    bool has_histogram; /* the rest: cumulative, for sketches only */
    uint64_t count;
    double sum;
    const uint64_t *buckets;     /* cumulative counts for each `le` of the section, without +Inf */
    const struct sketch *native; /* at the schema to be shown */
};

struct percentile_view {
    const char *name, *metric, *help;
    uint32_t n_windows, n_quantiles, n_buckets, n_by, n_groups;
    const char *const *quantile_text; /* shortest form: "0.99" */
    const double *quantiles;
    const char *const *bucket_text; /* shortest form */
    const double *buckets;
    const char *const *by; /* label names */
    const struct percentile_group *groups;
    bool refused; /* the metric is a counter, of which no percentiles can be made: there are no groups */
};

struct snapshot {
    struct wall taken;
    int64_t position; /* of the journal, contained */
    uint64_t n_series;
    const struct family *families;             /* by name */
    const struct agent_view *agents;           /* by id */
    const struct percentile_view *percentiles; /* in the order of the configuration */
    uint32_t n_families, n_agents, n_percentiles;
};

/* From any thread, once per snapshot; the memory goes back on
 * the owner's thread at its next call into the table. */
void snapshot_release(struct snapshot *s);

#endif
