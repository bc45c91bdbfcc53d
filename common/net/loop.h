/* One event loop per thread, on libevent: a cached now per turn, timers, wake-ups from other threads,
 * deferred release, and notice of stalls and clock steps. Nobody outside common/net calls event_* on their
 * own except through loop_base(). */
#ifndef SB_NET_LOOP_H
#define SB_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/err.h"

struct event_base;
struct loop;
struct timer;

/* Once, first thing in main, before there are threads: the library's own log lines go to fn (severity 0
 * debug, 1 message, 2 warning, 3 error), or nowhere when fn is NULL. */
void loop_library_log(void (*fn)(int severity, const char *msg));

struct loop *loop_new(struct err *e); /* the thread that calls loop_run owns it */
/* Timers and whatever else lives on the loop must be gone before. Deferred releases are carried out; posts
 * that have not run are dropped. */
void loop_free(struct loop **l);
int loop_run(struct loop *l); /* until loop_stop; 0, or ERR_IO. May be called again */
/* from within the loop, or before loop_run: the turn under way is finished first */
void loop_stop(struct loop *l);
struct event_base *loop_base(struct loop *l);

/* Read once in each turn, where first asked for, before any timer or post of that turn runs. Outside
 * loop_run: fresh. */
struct mono loop_mono(const struct loop *l);
struct wall loop_wall(const struct loop *l);
/* Fresh readings, for measuring and for threads without a loop. */
struct mono clock_mono(void);
struct wall clock_wall(void);

/* Timers are one-shot, set again by the callback if wanted. */
typedef void (*timer_fn)(void *arg);
struct timer *timer_new(struct loop *l, timer_fn fn, void *arg);
void timer_free(struct timer **t); /* safe within its own callback */
/* Replaces an earlier setting; counted from loop_mono; negative counts as 0; never early, and by the boot
 * clock: time spent suspended counts (noticed within a second of waking when loop_watch is on). */
void timer_set(struct timer *t, struct span after);
void timer_stop(struct timer *t);

/* Calls release(p) at the start of the next turn: for objects that own events and are given up inside their
 * own callbacks. */
void loop_defer(struct loop *l, void (*release)(void *p), void *p);

/* From any thread: fn(arg) runs on the loop's thread, in order of posting. 0, or ERR_NOMEM / ERR_STATE after
 * loop_free began. */
int loop_post(struct loop *l, void (*fn)(void *arg), void *arg);

/* Stalls and steps: `stall` when a turn (or the wait for one) took longer than limit beyond what was due;
 * `step` when the wall clock moved against the boot clock by more than limit between turns. fn may be NULL;
 * it is called before the timers and posts of the turn in which the stall or step was noticed, and must not
 * free timers. */
struct loop_stats {
    uint64_t turns;
    uint64_t stalls;
    struct span worst_stall; /* since the last loop_stats_take */
    uint64_t steps;
    struct span last_step;
};
void loop_watch(struct loop *l, struct span limit, void (*fn)(void *arg, const char *what, struct span by),
                void *arg);
struct loop_stats loop_stats_take(struct loop *l); /* resets worst_stall; from the loop's own thread */

/* Blocking work in a thread of its own with a deadline: run(arg) in the worker, then done(arg, late) on the
 * loop. When the deadline passes first, done(arg, true) is called at the deadline and the worker is left to
 * finish alone; then `abandon(arg)` (may be NULL) is called on the loop after it finally returns, so that arg
 * can be released and the same job be allowed again. At most `max` such threads live at once per pool:
 * ERR_AGAIN beyond. */
struct workers;
struct workers *workers_new(struct loop *l, unsigned max, struct err *e);
/* Waits for none: threads still out finish into nothing; neither done nor abandon is called any more, so
 * their arg is never given back and must not be freed by its owner. */
void workers_free(struct workers **w);
/* All signals are blocked in the thread. done(arg, true) must not look at what run may be writing. */
int workers_run(struct workers *w, void (*run)(void *arg), void (*done)(void *arg, bool late),
                void (*abandon)(void *arg), void *arg, struct span deadline, struct err *e);
unsigned workers_stuck(const struct workers *w); /* past their deadline and not back */

#endif
