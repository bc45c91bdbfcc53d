/* The rooms that judge, run one after the other: facts, objectives, alerts, incidents, notices. Owned by the decide
 * thread. What one room says the next one hears in the same step; what they order is collected (orders.h) and carried
 * out by the caller, who comes back with the outcomes. Pure. */
#ifndef SB_AGGREGATOR_JUDGE_H
#define SB_AGGREGATOR_JUDGE_H

#include "aggregator/alert/alert.h"
#include "aggregator/incident/incident.h"
#include "aggregator/notify/notify.h"
#include "aggregator/orders.h"
#include "aggregator/slo/slo.h"

struct judge_params {
    const struct config *config;         /* borrowed for the call */
    const struct selections *selections; /* borrowed until the next reload */
    /* loaded zones, borrowed until the next reload */
    const struct zone *(*zone)(void *arg, const char *name);
    void *zone_arg;
    struct mem *mem;
    const char *region, *host; /* borrowed for good */
    struct bytes ack_secret;   /* likewise */
    uint64_t seed;
};

/* What all rooms look at, added up: a new list. NULL and e. */
struct selections *judge_selections(const struct config *c, struct mem *mem, struct err *e);
/* Mistakes in the sections of all these rooms. 0 or ERR_CONFIG. now {0}: mistakes alone; else warnings tell when windows
 * and turns come next. */
int judge_check(const struct config *c, const struct zone *(*zone)(void *arg, const char *name),
                void *zone_arg, struct wall now, struct buf *report, struct err *e);

struct judge;
struct judge *judge_new(const struct judge_params *p, struct buf *report, struct err *e);
void judge_free(struct judge **j);
/* After judge_check has found the configuration good it fails for lack of memory alone, and then half of the rooms may
 * have turned: the caller has to begin anew. */
int judge_reload(struct judge *j, const struct judge_params *p, struct buf *report, struct err *e);

/* Before the first step: a state as it was recorded. Damaged ones are counted, not errors. */
enum { JUDGE_ROOMS = 4 };
extern const char *const judge_rooms[JUDGE_ROOMS];
int judge_restore(struct judge *j, const char *room, struct bytes key, struct bytes value);

/* ---- facts in ---- */
void judge_telling(struct judge *j, const struct telling *t);
void judge_own(struct judge *j, const char *metric, enum fact_kind kind, struct labels labels, double value,
               struct wall now);

/* ---- steps ---- */
struct moment {
    struct wall now;
    struct mono mono;
    bool hold; /* our own clock or loop jumped: measure, change no state */
};
/* Everything, in order. `judging` false: facts are not complete yet, so only what waits to be told goes on. */
void judge_step(struct judge *j, const struct moment *m, bool judging, struct orders *out);
void judge_spent(struct judge *j, struct span took); /* how long a step took: a metric */
void judge_ended(struct judge *j, const struct moment *m, uint64_t delivery, const struct told_result *r,
                 struct orders *out);
void judge_peer(struct judge *j, const struct moment *m, const struct peer_telling *p, struct orders *out);
/* An operator's act. 0 and what was made in id; ERR_NOTFOUND, ERR_RANGE, ERR_MALFORMED. */
int judge_act(struct judge *j, const struct moment *m, const struct act_order *a, struct orders *out,
              char id[64], struct err *e);
/* INCIDENT_ACK, INCIDENT_RESOLVE, INCIDENT_NOTE of one incident. */
int judge_incident(struct judge *j, const struct moment *m, enum incident_event_kind kind,
                   const char *incident, const char *who, const char *text, struct orders *out,
                   struct err *e);
/* A deployment, a step of a failover: told, and put into the timelines that it belongs to. */
void judge_change(struct judge *j, const struct moment *m, const struct change_event *c, const char *who,
                  struct orders *out);
struct span judge_wake(const struct judge *j,
                       struct mono now); /* until the next step is worth while, at most 1 s */

/* ---- reading ---- */
const struct slos *judge_slos(const struct judge *j);
const struct alerts *judge_alerts(const struct judge *j);
const struct incidents *judge_incidents(const struct judge *j);
struct notify *judge_notify(const struct judge *j);
const struct facts *judge_facts(const struct judge *j);
/* What alerts_step would be given now; borrowed until the next step. */
struct alert_input judge_input(const struct judge *j, const struct moment *m);
void judge_metrics(const struct judge *j, struct sink *out);

#endif
