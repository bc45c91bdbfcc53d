/* Alert rules: [alert NAME]. step(state, facts, now) -> transitions, and nothing else: whom to tell is decided
 * further down the road.
 *
 * An alert is one rule for one group of labels. Its states: inactive, pending (the condition holds, `for` runs),
 * firing, clearing (firing, the clear condition holds, `clear_for` runs). Without data it stays where it is, unless
 * no_data says otherwise. The rows of the state table are numbered; each transition carries its row.
 *
 * Everything needed to go on after a restart is told as records, in the step that changed it. Pure. */
#ifndef SB_ALERT_ALERT_H
#define SB_ALERT_ALERT_H

#include "aggregator/alert/facts.h"
#include "aggregator/notify/notice.h"

extern const struct section_row alert_section; /* [alert NAME] */

/* Mistakes within and across [alert] sections: unknown statistic, rule in a circle, unreachable clear condition ….
 * slo_known(arg, name): whether [slo name] exists. 0 or ERR_CONFIG. */
int alert_check(const struct config *c, bool (*slo_known)(void *arg, const char *name), void *arg,
                struct buf *report, struct err *e);
/* What the rules look at. */
int alert_selections(const struct config *c, struct selections *s, struct err *e);

struct alerts; /* owns all its state */
struct alerts_params {
    const struct config *config; /* borrowed for the call */
    const struct selections
        *selections; /* borrowed until the next reload; contains what alert_selections added */
    struct mem *mem;
    const char *region; /* of this aggregator: the label `region` of alerts that have none */
};
struct alerts *alerts_new(const struct alerts_params *p, struct buf *report, struct err *e);
void alerts_free(struct alerts **a);
/* Changed rules begin anew only where their condition changed; a rule that is gone resolves its alerts with that reason. */
int alerts_reload(struct alerts *a, const struct alerts_params *p, struct buf *report, struct err *e);

/* Restoring, before the first step. Unknown or damaged records are counted and skipped. */
int alerts_restore(struct alerts *a, struct bytes key, struct bytes value, struct err *e);

struct alert_input {
    struct wall now;
    const struct facts *facts;
    const struct burn_fact *burns; /* by slo, then group */
    uint32_t n_burns;
    const struct maintenance_fact *maintenance; /* rules with freeze = maintenance hold their baselines */
    uint32_t n_maintenance;
    bool hold; /* our own clock or loop jumped: measure, change no state */
};
/* What a step orders. Everything is borrowed for the call. */
struct alert_effects {
    void *arg;
    void (*notice)(void *arg, const struct alert_notice *n); /* a transition that others hear of */
    void (*record)(void *arg, struct bytes key,
                   struct bytes value); /* value.p NULL: delete; durable before it is told */
    /* why a transition happened: JSON with samples, windows, thresholds */
    void (*decision)(void *arg, const struct fingerprint *alert, struct wall t, const char *json);
};
/* Every second, and at once when a gain came in for a rule that is about to fire. */
void alerts_step(struct alerts *a, const struct alert_input *in, const struct alert_effects *out);

/* How long a step of judging took, from whoever has a clock: a metric. */
void alerts_spent(struct alerts *a, struct span took);

/* Reading, for the API and explain: JSON, pure. */
struct alert_query {
    const char *rule;  /* NULL: all */
    const char *state; /* NULL: pending, firing, clearing */
    const struct match *match;
    long after, limit;
};
int alerts_list(const struct alerts *a, const struct alert_query *q, struct buf *json);
int alerts_rules(const struct alerts *a,
                 struct buf *json); /* each rule: what it says, groups, last evaluation, cost, health */
/* Why this alert is in its state now, over these facts: ERR_NOTFOUND. alert: rule name with optional {labels}, or fingerprint. */
int alerts_explain(const struct alerts *a, const struct alert_input *in, const char *alert, struct buf *json,
                   struct err *e);

/* How many fire, those that clear among them, by rules of this severity. */
uint32_t alerts_firing(const struct alerts *a, enum severity severity);
void alerts_metrics(const struct alerts *a,
                    struct sink *out); /* securebase_alerts{alert,severity,state}, evaluation cost, … */

#endif
