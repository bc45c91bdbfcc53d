/* What the agent tells of itself, beside its rooms' own: version, CPU, memory, ticks, samples refused. */
#ifndef SB_AGENT_SELF_H
#define SB_AGENT_SELF_H

#include "agent/ship/grid.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/net/loop.h"

struct self {
    const char *version, *revision;
    double cpu_seconds;
    uint64_t resident_bytes;
    int64_t start_ms; /* of the process */
    uint64_t ticks;   /* sampled */
    uint64_t missed;  /* left out: the loop came too late */
    uint64_t stalls, steps;
    struct span worst_stall;
    struct grid_stats grids;
    struct mem mem;
    uint64_t log_warnings, log_errors, log_lost;
};
void self_metrics(const struct self *s, struct sink *out);

#endif
