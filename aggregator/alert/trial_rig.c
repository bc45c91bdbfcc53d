/* See trial_rig.h. */
#include "aggregator/alert/trial_rig.h"

int rig_open(struct rig *r, const struct config *c, const char *region, struct mem *mem, struct buf *report,
             struct err *e)
{
    struct alerts_params p = {.config = c, .mem = mem, .region = region};
    int rc;

    *r = (struct rig){.mem = mem};
    rc = alert_check(c, NULL, NULL, report, e);
    if (rc)
        return rc;
    r->selections = selections_new(mem);
    if (!r->selections)
        return err_set(e, ERR_NOMEM, "no memory for a trial");
    rc = alert_selections(c, r->selections, e);
    if (rc)
        return rc;
    r->facts = facts_new(r->selections, mem);
    r->feed = trial_feed_new(r->selections, mem);
    p.selections = r->selections;
    if (!r->facts || !r->feed)
        return err_set(e, ERR_NOMEM, "no memory for a trial");
    r->alerts = alerts_new(&p, report, e);
    return r->alerts ? 0 : e->code;
}

void rig_close(struct rig *r)
{
    alerts_free(&r->alerts);
    trial_feed_free(&r->feed);
    facts_free(&r->facts);
    selections_free(&r->selections);
}

void rig_step(struct rig *r, struct wall now, bool hold, const struct alert_effects *out)
{
    const struct alert_input in = {.now = now,
                                   .facts = r->facts,
                                   .burns = r->burns,
                                   .n_burns = r->n_burns,
                                   .maintenance = r->maintenance,
                                   .n_maintenance = r->n_maintenance,
                                   .hold = hold};

    facts_advance(r->facts, now);
    alerts_step(r->alerts, &in, out);
}
