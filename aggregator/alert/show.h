/* Parts of an alert as JSON, shared by decisions, lists and explanations. The inside of this room. Pure. */
#ifndef SB_ALERT_SHOW_H
#define SB_ALERT_SHOW_H

#include "aggregator/alert/json.h"
#include "aggregator/alert/state.h"

const char *mute_name(enum mute m);
void rule_json(cJSON *o, const struct rule *r);         /* what it says */
void measured_json(cJSON *o, const struct measured *m); /* the last measurement, but the value */
void group_json(cJSON *o, const struct fact_group *g, int64_t from, int64_t to);   /* its steps */
void samples_json(cJSON *o, const struct alert_input *in, const struct alert *al); /* steps of its window */
void alert_json(cJSON *o, const struct alert *al);                                 /* as in lists */

#endif
