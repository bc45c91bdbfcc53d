/* Incidents: what belongs together of alerts, with everything that happened, kept until somebody needs to know.
 * Opened from firing alerts by rules of grouping ([incidents]); resolved when all their alerts are, or by a person.
 * step(state, event) -> effects. Pure. */
#ifndef SB_INCIDENT_INCIDENT_H
#define SB_INCIDENT_INCIDENT_H

#include "aggregator/notify/notice.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/config/config.h"

extern const struct section_row incidents_section; /* [incidents] */

struct incidents;
struct incidents_params {
    const struct config *config; /* borrowed for the call */
    struct mem *mem;
    const char *region;
};
struct incidents *incidents_new(const struct incidents_params *p, struct err *e);
void incidents_free(struct incidents **i);
int incidents_reload(struct incidents *i, const struct incidents_params *p, struct err *e);
int incidents_restore(struct incidents *i, struct bytes key, struct bytes value, struct err *e);

enum incident_event_kind {
    INCIDENT_TICK,
    INCIDENT_NOTICE,
    INCIDENT_STORY,
    INCIDENT_ACK,
    INCIDENT_RESOLVE,
    INCIDENT_NOTE,
    INCIDENT_CHANGE
};
struct incident_event {
    enum incident_event_kind kind;
    struct wall now;
    const struct alert_notice *notice;
    const struct fingerprint *alert; /* STORY, ACK */
    const char *incident;            /* ACK, RESOLVE, NOTE: id */
    const char *who, *text;          /* reason, note, story */
    const char *story_kind;          /* notification, acknowledgement, failover, deployment … */
    struct labels labels;            /* CHANGE: which incidents it belongs to */
};
struct incident_effects {
    void *arg;
    void (*record)(void *arg, struct bytes key, struct bytes value);
    /* a line of a timeline, appended */
    void (*line)(void *arg, const char *incident, struct wall t, const char *json);
    /* a person has acknowledged an incident: its alerts are */
    void (*acknowledged)(void *arg, const struct fingerprint *alert, const char *who, const char *reason);
};
int incidents_step(struct incidents *i, const struct incident_event *ev, const struct incident_effects *out,
                   char id[32], struct err *e);

int incidents_list(const struct incidents *i, const char *state, long after, long limit, struct buf *json);
/* lines: the timeline as stored, oldest first */
int incidents_show(const struct incidents *i, const char *id, const char *const *lines, size_t n_lines,
                   struct buf *json, struct err *e);
/* Markdown: summary, timeline, times to detect, acknowledge and resolve, numbers, SLA minutes and budget spent
 * (slo_json: {"slos":[{"show":…,"report":…}]}, slos_show and slos_report of all; NULL: none), what went well, what to
 * do. */
int incidents_postmortem(const struct incidents *i, const char *id, const char *const *lines, size_t n_lines,
                         const char *slo_json, struct buf *markdown, struct err *e);

void incidents_metrics(const struct incidents *i,
                       struct sink *out); /* securebase_incidents{state}, durations */

#endif
