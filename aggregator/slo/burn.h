/* The arithmetic of objectives: burn, budget, the Wilson bound, exhaustion, and what a burn alert is set to. Counts go
 * in as whole numbers, so that 999 of 1000 is exactly that and nothing like 0.9990000000000001. Pure. */
#ifndef SB_SLO_BURN_H
#define SB_SLO_BURN_H

#include <stdint.h>

#include "common/base/clock.h"

/* Share of bad events over the share that is allowed; NaN when total is 0. objective in (0, 1). */
double burn_rate(uint64_t good, uint64_t total, double objective);
/* The same for the lower end of the 95 % interval of Wilson (JASA 22, 1927) of the share of bad events: what is
 * certain of a burn when there were few events. 0 when none was bad, NaN when there was none. */
double burn_least(uint64_t good, uint64_t total, double objective);
/* 1: the budget is untouched; 0: spent; negative: overspent. NaN when total is 0. `elapsed` is how much of the
 * period these events are of, in (0, 1]: the rest is taken to bring as many. */
double budget_remaining(uint64_t good, uint64_t total, double objective, double elapsed);
/* Seconds until the budget is spent at this burn: 0 when it is, +Inf when nothing burns, NaN when unknown. */
double budget_exhausted_after(double remaining, double burn, struct span period);

/* The four alerts on burns (Google, The Site Reliability Workbook, chapter 5, and Sloth's row of a day): both windows
 * have to burn faster than `factor`. */
enum { BURN_ALERTS = 4 };
struct burn_alert {
    const char *name;        /* "page-fast" "page-slow" "ticket-fast" "ticket-slow" */
    const char *kind;        /* "page" "ticket" */
    const char *long_text;   /* "1h" */
    const char *short_text;  /* "5m" */
    struct span long_window; /* the short one is a twelfth */
    double share;            /* of a period's budget that is gone when it fires */
};
const struct burn_alert *burn_alert_at(unsigned i); /* 0 … BURN_ALERTS - 1 */
/* share × period ÷ long window. Not less than 1, since at 1 the budget lasts for the period; not more than nine
 * tenths of what is possible at this objective, since beyond nothing could fire. */
double burn_alert_factor(const struct burn_alert *a, struct span period, double objective);

#endif
