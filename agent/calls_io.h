/* Rounds of calls that may block, for one collector: each job in a worker with a deadline, a few at a time,
 * at most one per key. */
#ifndef SB_AGENT_CALLS_IO_H
#define SB_AGENT_CALLS_IO_H

#include "agent/collector.h"
#include "common/net/loop.h"

enum { CALLS_THREADS = 32 }; /* of the pool */
enum { CALLS_MAX = 4096 };   /* jobs of one round */

struct calls;

struct calls_params {
    struct workers *workers; /* borrowed */
    const char *root;        /* borrowed */
    struct span timeout;     /* of each job */
    struct mem *mem;
    /* On the loop, once for each round that began, also from within calls_begin. */
    void (*done)(void *arg, const struct call_job *jobs, const struct call_answer *answers, size_t n);
    void *arg;
};

struct calls *calls_new(const struct calls_params *p);
/* Gives up what is out. */
void calls_free(struct calls **c);

/* A pool that goes on takes the place of the one that `to` was made with, and
 * what is still out of `from` in that pool stays out: what is stuck is known to
 * `to` (may be NULL: to nobody), so that its keys are not begun once more. */
void calls_inherit(struct calls *to, struct calls *from, struct workers *pool);

/* Room for the jobs of the next round: calls_room(c, n, &max), fill in, calls_begin(c, n). NULL without
 * memory; may be NULL only while a round is out. max is at least n, up to CALLS_MAX. */
struct call_job *calls_room(struct calls *c, size_t n, size_t *max);
void calls_begin(struct calls *c, size_t n);

bool calls_busy(const struct calls *c);      /* a round is out */
unsigned calls_stuck(const struct calls *c); /* jobs past their deadline that have not come back */

#endif
