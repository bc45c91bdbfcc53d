/* The agent's probes: one for each [probe LABEL], begun at
 * moments spread over their intervals, told of at ticks. */
#ifndef SB_AGENT_PROBES_IO_H
#define SB_AGENT_PROBES_IO_H

#include "agent/groups.h"
#include "common/config/config.h"
#include "common/net/loop.h"

enum { PROBES_MAX = 256 };

struct probes;
/* Sections are borrowed from the configuration until probes_free. NULL and e. */
struct probes *probes_new(struct loop *l, const struct config *c, struct span interval, struct span batch,
                          struct err *e);
void probes_free(struct probes **p);
/* At a tick of the agent: puts what is known of each probe whose own tick this is, which comes as often
 * as the probe does, at least once in a batch and at most once in each interval of the agent. */
void probes_tick(struct probes *p, struct groups *g, struct wall at);

#endif
