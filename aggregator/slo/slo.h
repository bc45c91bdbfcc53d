/* Objectives: [slo NAME], and the ledger of minutes that an SLA is answered from.
 *
 * Counts are events, whole numbers; a window is a sum of minutes, never a mean of ratios. Late values change the minutes
 * that they belong to, and what depends on them. No data is never 100 %. Pure. */
#ifndef SB_SLO_SLO_H
#define SB_SLO_SLO_H

#include "aggregator/alert/facts.h"
#include "aggregator/notify/notice.h"
#include "common/base/zone.h"

extern const struct section_row slo_section; /* [slo NAME] */

struct slo_zones {
    const struct zone *(*zone)(void *arg, const char *name);
    void *arg;
};
int slo_check(const struct config *c, const struct slo_zones *z, struct buf *report, struct err *e);
int slo_selections(const struct config *c, struct selections *s, struct err *e);
bool slo_known(const struct config *c, const char *name);

/* The burn alerts of all objectives that say `alerts = yes`, as ini text: [alert slo-NAME-page-fast], -page-slow,
 * -ticket-fast and -ticket-slow, to be read as a source before all others, so that a section of the same name in a file
 * changes what it names (cli_program.derive does that). 0, ERR_CONFIG, ERR_NOMEM. */
int slo_alert_rules(const struct config *c, struct buf *ini, struct err *e);

struct slos;
struct slo_params {
    const struct config *config;         /* borrowed for the call */
    const struct selections *selections; /* borrowed until the next reload */
    struct slo_zones zones;              /* likewise */
    struct mem *mem;
    const char *region;
};
struct slos *slos_new(const struct slo_params *p, struct buf *report, struct err *e);
void slos_free(struct slos **s);
int slos_reload(struct slos *s, const struct slo_params *p, struct buf *report, struct err *e);
/* Stored minutes and ledger entries, before the first step. */
int slos_restore(struct slos *s, struct bytes key, struct bytes value, struct err *e);

struct slo_input {
    struct wall now;
    const struct facts *facts;
    const struct maintenance_fact *maintenance;
    uint32_t n_maintenance;
    bool hold;
};
struct slo_effects {
    void *arg;
    /* counts by hour, states of ledgers; value.p NULL: delete */
    void (*record)(void *arg, struct bytes key, struct bytes value);
    /* a closed or corrected entry of the ledger, appended: JSON with slo, group, from, to, verdict, cause, evidence, version */
    void (*ledger)(void *arg, const char *key, struct wall t, const char *json);
};
/* A failover or a drill: minutes that are down within it have it as their cause. match: labels of the groups, and slo,
 * service, team. to {0}: not over; told again with the same kind, name and beginning it is changed. ERR_MALFORMED,
 * ERR_NOMEM. Maintenance comes with each step. */
enum slo_cause { SLO_CAUSE_MAINTENANCE, SLO_CAUSE_FAILOVER, SLO_CAUSE_DRILL, SLO_CAUSES };
int slos_cause(struct slos *s, enum slo_cause kind, const char *name, const char *match, struct wall from,
               struct wall to, struct err *e);
/* Every second: takes in what changed, closes minutes. */
void slos_step(struct slos *s, const struct slo_input *in, const struct slo_effects *out);
/* All burns now, by slo and group; borrowed until the next step. */
const struct burn_fact *slos_burns(const struct slos *s, uint32_t *n);

int slos_list(const struct slos *s, struct wall now, struct buf *json);
int slos_show(const struct slos *s, const char *name, struct wall now, struct buf *json, struct err *e);
/* A calendar month ("2026-11"), "rolling" (30 days) or NULL (this month): minutes up, down, unknown, excluded by cause;
 * availability by minutes and by events; corrections; which bucket bound stands for a threshold. name: one objective or
 * several with commas between them; then a minute is down when it is for any, and the first one's terms hold.
 * ERR_NOTFOUND, ERR_MALFORMED (month), ERR_RANGE (before anything was kept, or in the future). */
int slos_report(const struct slos *s, const char *name, const char *month, struct wall now, struct buf *json,
                struct err *e);
/* Good and total of each objective in the minutes since `since`: the peer's summary. */
int slos_tell(const struct slos *s, struct wall since,
              int (*fn)(void *arg, const char *slo, struct labels group, uint64_t good, uint64_t total),
              void *arg);

void slos_metrics(const struct slos *s, struct sink *out);

#endif
