/* See selfmetrics.h. */
#include "aggregator/selfmetrics.h"

#include "common/daemon/usage.h"
#include "version.h"

static void log_metrics(const struct log *log, struct sink *out)
{
    static const struct metric_row lines = {
        "securebase_aggregator_log_lines_total", METRIC_COUNTER, 1, 1, "level", "Lines written to the log."};
    static const char *const levels[] = {"debug", "info", "warn", "error"};

    for (int i = 0; i < 4; i++) {
        struct text level = text_of(levels[i]);

        sink_uint(out, &lines, &level, log_lines(log, (enum log_level)i));
    }
}

void process_metrics(const struct self_facts *f, const struct log *log, struct sink *out)
{
    static const struct metric_row build = {"securebase_build_info",      METRIC_GAUGE,          1, 1,
                                            "component revision version", "Which build this is."};
    static const struct metric_row started = {"securebase_aggregator_start_timestamp_seconds",
                                              METRIC_GAUGE,
                                              1,
                                              1000,
                                              "",
                                              "When this process started."};
    static const struct metric_row cpu = {
        "securebase_aggregator_cpu_seconds_total", METRIC_COUNTER, 1, 1, "mode",
        "Processor time of this process."};
    static const struct metric_row memory = {
        "securebase_aggregator_resident_memory_bytes", METRIC_GAUGE, 1, 1, "",
        "Memory of this process that is in RAM."};
    static const struct metric_row fds = {
        "securebase_aggregator_open_descriptors", METRIC_GAUGE, 1, 1, "", "File descriptors in use."};
    static const struct metric_row reloads = {"securebase_aggregator_config_reloads_total",
                                              METRIC_COUNTER,
                                              1,
                                              1,
                                              "result",
                                              "Reloads of the configuration."};
    static const struct metric_row reloaded = {"securebase_aggregator_config_last_reload_timestamp_seconds",
                                               METRIC_GAUGE,
                                               1,
                                               1000,
                                               "",
                                               "When the configuration in force was read."};
    struct text labels[] = {text_of("aggregator"), text_of(SB_REVISION), text_of(SB_VERSION)};
    struct text user = text_of("user"), kernel = text_of("system"), done = text_of("done"),
                refused = text_of("refused");
    struct usage u = usage_now();

    sink_int(out, &build, labels, 1);
    sink_int(out, &started, NULL, f->started.ms);
    sink_real(out, &cpu, &user, u.user_seconds);
    sink_real(out, &cpu, &kernel, u.system_seconds);
    sink_uint(out, &memory, NULL, u.resident_bytes);
    sink_uint(out, &fds, NULL, u.descriptors);
    sink_int(out, &reloads, &done, f->reloads);
    sink_int(out, &reloads, &refused, f->failed_reloads);
    sink_int(out, &reloaded, NULL, f->reloaded.ms);
    log_metrics(log, out);
}
