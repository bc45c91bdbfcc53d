/* A small view for the tests of pages and API: two hosts, one percentile section over two groups. */
#ifndef TEST_EXPOSE_VIEW_H
#define TEST_EXPOSE_VIEW_H

#include <math.h>

#include "aggregator/expose/view.h"

struct test_view {
    struct view v;
    struct snapshot snap;
    struct sketch native;
};

static const struct label view_labels_a[] = {{"cpu", "0"}, {"instance", "a\"\\\nz"}, {"job", "node"}};
static const struct label view_labels_b[] = {{"cpu", "0"}, {"instance", "b"}, {"job", "node"}};
static const struct series_desc view_desc_a = {view_labels_a, 3}, view_desc_b = {view_labels_b, 3};
static const struct series_value view_cpu[] = {{&view_desc_a, 12.5, 1000}, {&view_desc_b, 1e15 + 0.5, 2000}};
static const struct series_value view_load[] = {{&view_desc_a, NAN, 1000}, {&view_desc_b, -INFINITY, 2000}};
static const struct series_value view_odd[] = {{&view_desc_b, 3, 2000}};
static const struct family view_families[] = {
    {.name = "node_cpu_seconds_total",
     .help = "Seconds.\nTwo \\ lines \"q\".",
     .kind = METRIC_COUNTER,
     .values = view_cpu,
     .n = 2},
    {.name = "node_load1", .help = "Load.", .kind = METRIC_GAUGE, .values = view_load, .n = 2},
    {.name = "odd_counter",
     .help = "A counter without its ending.",
     .kind = METRIC_COUNTER,
     .values = view_odd,
     .n = 1},
};
static const struct agent_view view_agents[] = {
    {.id = "a",
     .region = "r1",
     .env = "prod",
     .tenant = "",
     .up = true,
     .last_received = {1795496723456},
     .skew_ms = INT64_MIN,
     .series = 2},
    {.id = "b", .region = "r1", .env = "prod", .tenant = "t", .up = false, .skew_ms = -1500, .batches = 7},
};
static const double view_q[] = {0.5, 0.99};
static const char *const view_q_text[] = {"0.5", "0.99"};
static const double view_bounds[] = {0.1, 1};
static const char *const view_bound_text[] = {"0.1", "1"};
static const char *const view_by[] = {"service"};
static const double view_estimates[] = {0.25, 0.75};
static const char *const view_group_a[] = {"shop"}, *const view_group_b[] = {""};
static const struct percentile_window view_windows[] = {{"1m", 4, view_estimates}, {"5m", 0, view_estimates}};
static const uint64_t view_buckets[] = {1, 4};

static inline void test_view_make(struct test_view *t)
{
    static struct percentile_group groups[2];
    static struct percentile_view section;

    *t = (struct test_view){.v = {.version = "0.1.0",
                                  .revision = "abc",
                                  .region = "r1",
                                  .role = "full",
                                  .now = {1795496723456},
                                  .started = {1795496713456},
                                  .ready = true}};
    sketch_init(&t->native, NULL);
    (void)sketch_add(&t->native, 0.05, 1);
    (void)sketch_add(&t->native, 0.5, 2);
    (void)sketch_add(&t->native, 0.75, 1);
    groups[0] = (struct percentile_group){.values = view_group_a,
                                          .windows = view_windows,
                                          .has_histogram = true,
                                          .count = 4,
                                          .sum = 1.8,
                                          .buckets = view_buckets,
                                          .native = &t->native};
    groups[1] = (struct percentile_group){.values = view_group_b, .windows = view_windows};
    section = (struct percentile_view){.name = "api",
                                       .metric = "http_seconds",
                                       .help = "Answers.",
                                       .n_windows = 2,
                                       .n_quantiles = 2,
                                       .n_buckets = 2,
                                       .n_by = 1,
                                       .n_groups = 2,
                                       .quantile_text = view_q_text,
                                       .quantiles = view_q,
                                       .bucket_text = view_bound_text,
                                       .buckets = view_bounds,
                                       .by = view_by,
                                       .groups = groups};
    t->snap = (struct snapshot){.taken = {1795496723456},
                                .position = 12,
                                .n_series = 5,
                                .families = view_families,
                                .agents = view_agents,
                                .percentiles = &section,
                                .n_families = 3,
                                .n_agents = 2,
                                .n_percentiles = 1};
    t->v.snap = &t->snap;
}

#endif
