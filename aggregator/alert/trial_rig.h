/* An aggregator's judging parts on virtual time: rules, facts, feed. The inside of trials. Pure. */
#ifndef SB_ALERT_TRIAL_RIG_H
#define SB_ALERT_TRIAL_RIG_H

#include "aggregator/alert/state.h"
#include "aggregator/alert/trial_feed.h"

struct rig {
    struct mem *mem;
    struct selections *selections;
    struct facts *facts;
    struct trial_feed *feed;
    struct alerts *alerts;
    struct burn_fact *burns;
    uint32_t n_burns;
    const struct maintenance_fact *maintenance;
    uint32_t n_maintenance;
};

/* What is made is released by rig_close, also after an error. */
int rig_open(struct rig *r, const struct config *c, const char *region, struct mem *mem, struct buf *report,
             struct err *e);
void rig_close(struct rig *r);
void rig_step(struct rig *r, struct wall now, bool hold, const struct alert_effects *out);

#endif
