/* What sbctl failover shows: text from the API's JSON. Pure. */
#ifndef SB_CTL_FAILOVER_H
#define SB_CTL_FAILOVER_H

#include <cjson/cJSON.h>

#include "aggregator/ctl/ctl.h"
#include "common/base/buf.h"

void show_failover(const cJSON *a, struct buf *out);      /* where each service is, and what goes on */
void show_failover_why(const cJSON *a, struct buf *out);  /* the rule, the votes, the facts behind it */
void show_readiness(const cJSON *a, struct buf *out);     /* what stands in the way, action by action */
void show_failover_plan(const cJSON *a, struct buf *out); /* what a move would be now */

/* The same order, as it is typed for the one who leads. */
struct leader_order {
    const char *url, *verb, *service, *last; /* last: a mode or an action behind the service; NULL none */
};
void show_leader_order(const struct ctl_options *o, const struct leader_order *x, struct buf *out);

#endif
