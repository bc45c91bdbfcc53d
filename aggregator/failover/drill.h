/* Drills: when one is due, whether it may begin, what it goes through, and what all of them together say. A drill is an
 * ordinary plan of the kind `drill`, there and (with `return`) back; what is run here is the order of the two, so that a drill
 * that ends half-way is told from one that has not begun. Pure. */
#ifndef SB_FAILOVER_DRILL_H
#define SB_FAILOVER_DRILL_H

#include "aggregator/failover/cron.h"
#include "aggregator/failover/failover.h"
#include "common/config/config.h"

enum { DRILL_ALARMS = 16 };
enum drill_kind {
    DRILL_EVALUATE, /* every action's precheck and the gates: nothing is changed */
    DRILL_FULL      /* the service moves, and comes back */
};
const char *drill_kind_name(enum drill_kind k);

struct drill_settings {
    char name[FO_NAME], service[FO_NAME];
    enum drill_kind kind;
    bool scheduled, comes_back;
    struct cron cron;
    const struct zone *zone; /* borrowed */
    struct weekly window[WEEKLY_MOST];
    unsigned n_window; /* 0: any time */
    int64_t stay_ms, cap_ms;
    uint8_t n_alarms;
    char alarm[DRILL_ALARMS]
              [FO_NAME]; /* rules: while one fires no drill begins, and one under way is taken back */
};
extern const struct section_row drill_section; /* [drill NAME] */
/* Every mistake into the report. 0 or ERR_CONFIG. */
int drill_check(const struct config *c, const struct zone *(*zone)(void *arg, const char *name),
                void *zone_arg, struct buf *report, struct err *e);
/* Of a section that drill_check has found good. */
void drill_settings(const struct section *s, const struct zone *(*zone)(void *arg, const char *name),
                    void *zone_arg, struct drill_settings *out);

/* ---- one run ---- */

enum drill_phase { DRILL_IDLE, DRILL_LOOKING, DRILL_GOING, DRILL_AWAY, DRILL_COMING, DRILL_ENDED };
enum drill_outcome {
    DRILL_NONE,
    DRILL_GOOD,
    DRILL_REFUSED,    /* a gate stood in the way: nothing has moved */
    DRILL_TAKEN_BACK, /* begun, and undone before the point of no return */
    DRILL_STUCK,      /* a human is needed */
    DRILL_ABORTED,    /* by an operator, an alarm, or the cap */
    DRILL_LOST        /* this aggregator does not lead any more, or has restarted */
};
const char *drill_outcome_name(enum drill_outcome o);

struct drill_run {
    enum drill_phase phase;
    enum drill_outcome outcome;
    uint8_t home, to;
    int64_t began, since;                                     /* boot ms: of the run, of the phase */
    int64_t began_wall, ended_wall, out_ms, back_ms, loss_ms; /* -1: not measured */
    uint32_t epoch_out, epoch_back;
    bool waiting; /* an order is under way */
    char text[256];
};

enum drill_want {
    DRILL_WAIT,
    DRILL_LOOK,
    DRILL_ORDER_OUT,
    DRILL_ORDER_BACK,
    DRILL_ORDER_ACK,
    DRILL_ORDER_ABORT
};
struct drill_view { /* of the service */
    int64_t now, wall;
    bool leading, looked; /* looked: readiness was evaluated since the run began */
    bool looked_back;     /* readiness of the way back was evaluated since the service arrived */
    const struct fo *fo;
    fo_reasons blockers; /* of readiness and gates */
    bool alarm, abort;   /* a blocking alarm fires; somebody wants it to end */
};
void drill_begin(struct drill_run *r, const struct drill_settings *s, const struct drill_view *v, uint8_t to);
/* What is to be done now. ORDER_*: the caller sets `waiting` until the answer, which comes as drill_answered. */
enum drill_want drill_step(struct drill_run *r, const struct drill_settings *s, const struct drill_view *v);
void drill_answered(struct drill_run *r, enum drill_want what, uint16_t code, const struct drill_view *v);
/* Whether one is due between two moments, by schedule and window. */
bool drill_due(const struct drill_settings *s, struct wall from, struct wall to);
bool drill_next(const struct drill_settings *s, struct wall t, struct wall *out);

/* ---- what they say together ---- */

struct drill_stats {
    uint32_t n, good;
    double low, high;        /* 95 % interval of Wilson for the share of successes; NaN when n is 0 */
    double out_p50, out_p99; /* seconds, of those that were measured; NaN when none was */
    double back_p50, back_p99, loss_most;
    uint32_t measured;
};
enum { DRILL_STATS_MOST = 1000 };
struct drill_result {
    bool good;
    double out_s, back_s, loss_s; /* NaN: not measured */
};
void drill_report(const struct drill_result *v, uint32_t n, struct drill_stats *out);

#endif
