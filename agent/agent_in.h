/* The inside of the agent, shared by agent_io.c (beginning,
 * reloading, ending) and ticks_io.c (ticks, sealing). */
#ifndef SB_AGENT_AGENT_IN_H
#define SB_AGENT_AGENT_IN_H

#include "agent/agent.h"
#include "agent/control_io.h"
#include "agent/groups.h"
#include "agent/guard/guards.h"
#include "agent/inputs/statsd.h"
#include "agent/options.h"
#include "agent/page.h"
#include "agent/probes_io.h"
#include "agent/runner.h"
#include "agent/ship/shipper.h"

enum { MAX_LISTENERS = 16 };

struct agent {
    struct agent_params p;
    char id[AGENT_ID_ROOM], host[256], region[WIRE_MAX_LABEL_VALUE + 1], env[WIRE_MAX_LABEL_VALUE + 1];
    int lock;
    struct mem mem;
    struct arena keep; /* the resource's texts */
    struct wire_resource resource;
    struct buf resource_bytes;
    struct wire_codec *codec;
    struct groups groups;
    struct runner *runner;
    struct probes *probes;
    struct spool *spool;
    struct shipping *shipping;
    struct control *control;
    struct guards *guards;
    struct pages *pages; /* NULL: not wanted */
    struct statsd *statsd;
    struct grid *statsd_grid;
    struct statsd_listener *listeners[MAX_LISTENERS];
    size_t n_listeners;
    struct span statsd_interval;
    struct wall statsd_tick; /* the last */
    struct timer *tick_timer, *stop_timer, *dog;
    struct span interval, batch;
    int64_t phase_ms; /* of this agent's sealing within `batch` */
    struct wall last_tick, last_seal;
    struct mono last_mono; /* at last_tick */
    struct self self;
    struct complaint sealing;
    bool stopping;
    struct mono stop_by;
};

/* Now: CPU, memory, grids, log lines into a->self. */
void agent_look_at_self(struct agent *a);
/* The runner's target: the sink of an interval at the tick that is open. */
struct sink *agent_sink(void *arg, struct span interval, struct wall at, const struct wire_label *extra,
                        uint32_t n);
/* Sets the timer for the next point of the grid of ticks, whose callback is agent_on_tick. */
void agent_set_tick(struct agent *a);
void agent_on_tick(void *arg);
/* Whatever is there into a last batch; nothing more is taken in. */
void agent_last_seal(struct agent *a);

#endif
