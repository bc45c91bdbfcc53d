/* How late the thread that decides is woken: every 100 ms it looks, and tells the worst, which is how long anything else
 * on this machine could have held up a decision. Figures are atomics, so that readers never hold it up. */
#ifndef SB_AGGREGATOR_TICKS_H
#define SB_AGGREGATOR_TICKS_H

#include <stdatomic.h>

#include "common/base/clock.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"

enum { TICK_MS = 100, TICK_LATE_MS = 1000 };

struct ticks {
    struct mono due;
    int64_t minute_worst; /* of the minute under way */
    unsigned minute_ticks;
    struct complaint late;
    atomic_int_fast64_t worst_ns, last_minute_ns, ticks, late_ticks, stalls, own, steps;
};

void ticks_begin(struct ticks *t, struct mono now);
void ticks_take(struct ticks *t, struct mono now, struct log *log); /* once per tick */
/* What loop_watch has noticed: "step" of the wall clock, or "stall". own: a step of ours explains it. */
void ticks_noticed(struct ticks *t, const char *what, struct span by, bool own, struct log *log);
void ticks_metrics(const struct ticks *t, struct sink *out); /* from any thread */

#endif
