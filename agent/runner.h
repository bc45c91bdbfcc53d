/* The runner: at each tick of the agent it runs the collectors that are due, and hands their samples on.
 *
 * Time. The agent calls runner_tick once for each tick of its own interval. A collector is due when the tick
 * lies in another slot of the collector's interval (a multiple of the agent's) than its last run; a stall
 * makes it run once, later, and the slots left out are counted.
 *
 * Grids. Collectors with different intervals go to different grids, which the caller keeps: `sink_for` gives
 * the sink of an interval, or NULL when no tick of that interval is open (the samples are counted as late and
 * gone). What is read from files arrives within runner_tick; what workers and servers answer arrives
 * afterwards, from the loop, until the collector's timeout, and still belongs to the tick that asked: so
 * leave a tick open until just before the next runner_tick, then end it, seal if it is time, begin the ticks
 * that are due and call runner_tick.
 *
 *   for each interval: grid_end          (if open)
 *   seal, when the batch is full
 *   sink_for(…, interval, …)             begins that interval's tick when first asked for it at this tick
 *
 * runner_tick calls sink_for only for intervals that have something due. */
#ifndef SB_AGENT_RUNNER_H
#define SB_AGENT_RUNNER_H

#include "agent/collector.h"
#include "common/base/arena.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"
#include "common/wire/wire.h"

struct runner_target {
    /* `extra`: labels that the samples put next have besides their rows' (of an instance); borrowed until the
     * next call for the same sink; n 0: none. `at` is the tick that asked: NULL must be given when that one
     * is not the open one. */
    struct sink *(*sink_for)(void *arg, struct span interval, struct wall at, const struct wire_label *extra,
                             uint32_t n);
    void *arg;
};

struct runner_params {
    const char *root; /* "" or a prefix such as "/tmp/tree": PREFIX/proc … */
    /* borrowed while runner_new runs; its rows include those of collector_sections */
    const struct config *config;
    struct span interval; /* of the agent */
    bool every_tick;      /* each collector is due at each tick, whatever its interval (--once) */
    /* run this collector alone, enabled or not ("cpu", "redis", "redis main"); NULL: all enabled */
    const char *only;
    struct loop *loop; /* borrowed */
    struct log *log;   /* borrowed; may be NULL */
    struct mem *mem;   /* borrowed; may be NULL */
    struct runner_target target;
};

struct runner;

/* Opens nothing yet. NULL and e: ERR_CONFIG (an interval that is no multiple, a secret that cannot be read,
 * …), ERR_NOTFOUND
 * (`only` names none), ERR_NOMEM. A reload makes a new runner and frees the old one. */
struct runner *runner_new(const struct runner_params *p, struct err *e);
void runner_free(struct runner **r); /* safe from the loop; answers still out are given up */

/* Before the old one is freed, and before the first tick of the new one: what is stuck in
 * the old one's workers stays known, so that it is not begun once more at each reload. */
void runner_inherit(struct runner *r, struct runner *old);

void runner_tick(struct runner *r, struct wall at, struct mono now);
/* True when no worker and no server owes an answer that would still be taken (--once waits for it). */
bool runner_idle(const struct runner *r);

/* What the runner tells of itself: node_scrape_collector_duration_seconds and _success, overruns, missed
 * ticks, late samples, stuck calls. Small enough for every batch, too much for every tick: call it at the
 * agent's slowest interval. */
void runner_metrics(const struct runner *r, struct sink *s);
/* Only the first two of these: how long the last run of each took and whether it went well. */
void runner_results(const struct runner *r, struct sink *s);
/* The first whose last run did not go well, or that has not finished one; NULL: all are well. Borrowed. */
const char *runner_unwell(const struct runner *r);

/* The section rows of all collectors ([collector cpu], [redis LABEL] …), for the program's configuration. In
 * the arena; NULL without memory. */
struct section_row *collector_sections(struct arena *a, size_t *n);

/* Their intervals and timeouts, held against the agent's
 * interval: 0, or ERR_CONFIG with a line for each mistake. */
int collectors_check(const struct config *c, struct span agent, struct buf *report, struct err *e);

/* What --list prints: a line for each collector, its section and its sentence. */
void collector_list(struct buf *out);

#endif
