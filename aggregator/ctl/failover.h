/* What sbctl failover shows: text from the API's JSON. Pure. */
#ifndef SB_CTL_FAILOVER_H
#define SB_CTL_FAILOVER_H

#include <cjson/cJSON.h>

#include "common/base/buf.h"

void show_failover(const cJSON *a, struct buf *out);      /* where each service is, and what goes on */
void show_failover_why(const cJSON *a, struct buf *out);  /* the rule, the votes, the facts behind it */
void show_readiness(const cJSON *a, struct buf *out);     /* what stands in the way, action by action */
void show_failover_plan(const cJSON *a, struct buf *out); /* what a move would be now */

#endif
