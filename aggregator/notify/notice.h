/* What flows from alerts to those who tell people: notices. Values; everything is borrowed for the call. */
#ifndef SB_NOTIFY_NOTICE_H
#define SB_NOTIFY_NOTICE_H

#include "common/base/clock.h"
#include "common/base/label.h"

enum alert_state { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING, ALERT_CLEARING, ALERT_STATES };
const char *alert_state_name(enum alert_state s); /* "inactive" … */

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_CRITICAL };
const char *severity_name(enum severity s); /* "info" "warning" "error" "critical": PagerDuty's words */
int severity_parse(const char *s, enum severity *out);

struct alert_notice {
    const char *rule; /* alert name */
    struct labels
        labels; /* of the alert: alertname, severity, team, service, region, tenant, env and the group's */
    struct fingerprint id; /* of rule and group labels: the same on every aggregator and over restarts */
    uint64_t epoch;        /* number of this firing: wall ms of its beginning; 0 while it has never fired */
    enum alert_state from, to;
    int row; /* of the state table */
    enum severity severity;
    struct wall t;     /* of the transition */
    struct wall since; /* condition true since */
    struct wall data;  /* newest sample behind it */
    double value, threshold;
    const char *summary, *description, *runbook; /* texts with ${…} filled in; "" when absent */
    const char *reason;                          /* one sentence: what made the transition */
    bool suppressed;                             /* by a composite's suppressor: shown, not told */
    bool restored;                               /* told again after a restart */
};

/* A maintenance window that holds now. */
struct maintenance_fact {
    const char *name;
    const struct match *match;
    struct wall from, to, declared;
    bool excludes_sla; /* by contract: declared beforehand */
    bool mutes;
};

#endif
