/* The thinking part of the runner: when a collector is due, what is counted of it, and how that is shown. */
#ifndef SB_AGENT_RUNNER_PLAN_H
#define SB_AGENT_RUNNER_PLAN_H

#include "agent/collector.h"

/* When one collector runs, and how that went. */
struct plan {
    struct span interval, timeout;
    bool ran;
    int64_t slot;      /* of the wall clock, in intervals, at the last run */
    struct mono last;  /* the last run */
    bool success;      /* of the last finished run */
    bool known;        /* a run has finished */
    struct span took;  /* by the last finished run */
    uint64_t failures; /* runs that ended in an error */
    uint64_t overruns; /* runs that took longer than the timeout, or had to be left out because the one before
                          still ran */
    uint64_t missed;   /* slots of the interval that passed without a run */
    uint64_t late;     /* runs whose samples came when their tick was closed */
    unsigned stuck;    /* calls past their deadline */
};

/* Whether the tick at `at` lies in another slot than the last run; if so the
 * run is noted and *since set (0 at the first). A step of the wall clock moves
 * slots but is not counted as missed: that goes by the boot clock. */
bool plan_due(struct plan *p, struct wall at, struct mono now, struct span *since);
void plan_again(struct plan *p); /* due at the next tick in any case */
void plan_finished(struct plan *p, bool success, struct span took);

/* Put the rows of runner.h for one collector, or the first two. */
void plan_results(const struct plan *p, const char *name, struct sink *s);
void plan_metrics(const struct plan *p, const char *name, struct sink *s);

/* The times of a collector by its section, where an agent ticks so often. 0, or ERR_CONFIG:
 * an interval that is no multiple of the agent's, a timeout beyond the interval (its tick
 * would be over; the default gives way). With a report, a line in it for each mistake. */
int plan_times(const struct section *options, struct span agent, struct plan *p, struct buf *report,
               struct err *e);

/* `wanted` (0: none) rounded up to a multiple of the agent's interval. */
struct span plan_interval(struct span wanted, struct span agent);

#endif
