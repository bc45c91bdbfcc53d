/* One service's failover as JSON. Pure. */
#ifndef SB_AGGREGATOR_MOVES_SHOW_H
#define SB_AGGREGATOR_MOVES_SHOW_H

#include <cjson/cJSON.h>

#include "aggregator/failover/failover.h"

struct show {
    const struct fo *fo;
    const struct fo_config *config;
    const struct fo_names *names;
    const char *holder, *away, *why_not_auto; /* never NULL */
    int64_t now_ms;                           /* boot clock */
    struct wall wall;
    /* What stands in the way of action i towards a region; "" nothing. May be NULL. */
    const char *(*ready_text)(void *arg, uint8_t to, uint8_t action);
    void *arg;
};

cJSON *show_service(const struct show *s);
/* What a move to `to` would be now: gates, loss, steps. Without any effect. */
cJSON *show_plan(const struct show *s, enum fo_kind kind, uint8_t to, int64_t accept_loss_ms);
cJSON *show_reasons(fo_reasons reasons, const char *service);

#endif
