/* An order as JSON for programs and services of somebody's own, and what they answer. Pure. */
#ifndef SB_ACTIONS_ORDER_H
#define SB_ACTIONS_ORDER_H

#include <cjson/cJSON.h>

#include "aggregator/actions/action.h"

/* {"op", "action", "service", "from", "to", "plan", "epoch", "token": "S.R", "key", "planned", "drill", "accept_loss",
 * "deadline_ms", "time"}. Freed with cJSON_free; NULL: no memory. The name may be NULL. */
char *order_json(const struct action_order *o, const char *name);

/* {"class", "text", "seen", "lag_ms", "lag_age_ms", "synchronous", "receiving", "writable", "token"}, each of them optional,
 * into *out, over what stands there. The class counts only when `may_class`; one that there is not is denied. */
void order_answer(const cJSON *j, bool may_class, struct action_result *out);

#endif
