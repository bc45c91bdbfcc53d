/* The option rows of the agent: see options.h. */
#include "agent/options.h"

#include <string.h>

#include "agent/guard/settings.h"
#include "agent/inputs/statsd.h"
#include "agent/runner.h"
#include "common/daemon/cli.h"
#include "common/probe/probe.h"

#define MS INT64_C(1000000)
#define S  (1000 * MS)

static const struct option_row agent_rows[] = {
    {.key = "id",
     .type = OPT_STRING,
     .sentence = "Name of this agent, as its certificate bears it; the host's name when not set."},
    {.key = "region", .type = OPT_STRING, .required = true, .sentence = "Region that this host is in."},
    {.key = "env",
     .type = OPT_STRING,
     .required = true,
     .sentence = "Environment that this host belongs to, such as prod."},
    {.key = "interval",
     .type = OPT_DURATION,
     .dflt = "1s",
     .min = 100 * MS,
     .max = 60 * S,
     .sentence = "Time between two samples of a collector that does not say otherwise."},
    {.key = "state_dir",
     .type = OPT_PATH,
     .dflt = "/var/lib/securebase/agent",
     .sentence = "Folder of the spool; made when absent."},
    {.key = "socket",
     .type = OPT_PATH,
     .dflt = "/run/securebase/agent.sock",
     .sentence = "Unix socket that the verbs status and spool speak to."},
};

static const struct option_row label_rows[] = {
    {.key = "*", .type = OPT_STRING, .sentence = "A label that all series of this host bear, NAME = VALUE."},
};

static const struct option_row ship_rows[] = {
    {.key = "endpoints",
     .type = OPT_URLS,
     .dflt = "",
     .reloadable = true,
     .max = 16,
     .sentence = "Aggregators in order of preference; http:// is taken for loopback addresses only."},
    {.key = "ca",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "Certificate authority that the aggregators' certificates come from, PEM."},
    {.key = "cert", .type = OPT_PATH, .reloadable = true, .sentence = "Certificate of this agent, PEM."},
    {.key = "key", .type = OPT_PATH, .reloadable = true, .sentence = "Key of that certificate, PEM."},
    {.key = "token",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Token to show instead of a certificate, where the aggregator takes tokens."},
    {.key = "batch",
     .type = OPT_DURATION,
     .dflt = "10s",
     .min = 1 * S,
     .max = 300 * S,
     .sentence = "Time that one batch covers."},
    {.key = "timeout",
     .type = OPT_DURATION,
     .dflt = "15s",
     .reloadable = true,
     .min = 1 * S,
     .max = 120 * S,
     .sentence = "How long one request may take."},
    {.key = "failback",
     .type = OPT_DURATION,
     .dflt = "5m",
     .reloadable = true,
     .min = 1 * S,
     .max = 86400 * S,
     .sentence = "After how long the first endpoint is tried again while another is in use."},
};

static const struct option_row spool_options[] = {
    {.key = "max_bytes",
     .type = OPT_SIZE,
     .dflt = "64MiB",
     .min = 1 << 20,
     .max = INT64_C(1) << 40,
     .sentence = "Most that the spool holds on disk; beyond, the oldest batches are given up and counted."},
    {.key = "memory_bytes",
     .type = OPT_SIZE,
     .dflt = "4MiB",
     .min = 1 << 16,
     .max = 1 << 30,
     .sentence = "Most that is kept in memory while the disk takes nothing."},
};

static const struct option_row http_rows[] = {
    {.key = "listen",
     .type = OPT_ADDRESS,
     .sentence =
         "A loopback address, 127.0.0.1:9872 say, where /metrics shows the newest value of each series, as "
         "node_exporter does; absent: nowhere."},
};

static const struct section_row own[] = {
    {.name = "agent",
     .required = true,
     .sentence = "Who this agent is, and how often it samples.",
     .rows = agent_rows,
     .n_rows = sizeof agent_rows / sizeof *agent_rows},
    {.name = "labels",
     .sentence = "More labels for the whole host.",
     .rows = label_rows,
     .n_rows = sizeof label_rows / sizeof *label_rows},
    {.name = "ship",
     .sentence = "Where batches go.",
     .rows = ship_rows,
     .n_rows = sizeof ship_rows / sizeof *ship_rows},
    {.name = "spool",
     .sentence = "Where batches wait until an aggregator has acknowledged them.",
     .rows = spool_options,
     .n_rows = sizeof spool_options / sizeof *spool_options},
    {.name = "http",
     .sentence = "Where this host's own Prometheus page is read.",
     .rows = http_rows,
     .n_rows = sizeof http_rows / sizeof *http_rows},
    LOG_SECTION,
};

struct section_row *agent_sections(struct arena *a, size_t *n)
{
    const struct section_row statsd = {.name = "statsd",
                                       .sentence = "Measurements of applications, by StatsD and DogStatsD.",
                                       .rows = statsd_options,
                                       .n_rows = statsd_n_options};
    size_t n_own = sizeof own / sizeof *own, n_collectors = 0;
    struct section_row *collectors_rows = collector_sections(a, &n_collectors);
    struct section_row *all = arena_array(a, n_own + 3 + n_collectors, sizeof *all);

    if (!collectors_rows || !all)
        return NULL;
    memcpy(all, own, sizeof own);
    all[n_own++] = statsd;
    all[n_own++] = probe_section;
    all[n_own++] = guard_section;
    memcpy(all + n_own, collectors_rows, n_collectors * sizeof *all);
    *n = n_own + n_collectors;
    return all;
}
