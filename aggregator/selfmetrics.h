/* What the aggregator's process tells of itself. */
#ifndef SB_AGGREGATOR_SELFMETRICS_H
#define SB_AGGREGATOR_SELFMETRICS_H

#include "common/base/clock.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"

struct self_facts {
    struct wall started, reloaded;
    int64_t reloads, failed_reloads;
};
/* securebase_build_info, start time, CPU, memory, descriptors,
 * reloads, log lines. Any thread. In selfmetrics_io.c. */
void process_metrics(const struct self_facts *f, const struct log *log, struct sink *out);

#endif
