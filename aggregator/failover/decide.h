/* The decide thread: clock, objectives, alerts, failover; no listening socket.
 * It keeps time every 100 ms and tells how late it was woken at worst, which is
 * how long anything else on this machine could have held up a decision. */
#ifndef SB_FAILOVER_DECIDE_H
#define SB_FAILOVER_DECIDE_H

#include "common/base/err.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"

struct decide;
struct decide *decide_start(struct log *log, struct err *e);
void decide_stop(struct decide **d);

/* From any thread. */
void decide_metrics(const struct decide *d, struct sink *out);

#endif
