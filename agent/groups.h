/* The grids of an agent, one for each interval that something is sampled at, and their ticks. */
#ifndef SB_AGENT_GROUPS_H
#define SB_AGENT_GROUPS_H

#include "agent/ship/grid.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

enum { GROUPS_MAX = 24 };

struct group {
    struct span interval;
    struct grid *grid; /* owned */
    struct wall at;    /* of the tick that is open */
    bool open;
};

struct groups {
    struct grid_params p; /* interval, max_ticks and forget are each group's own */
    struct span batch;
    struct mem *mem;
    struct group v[GROUPS_MAX];
    size_t n;
    struct grid *grids[GROUPS_MAX]; /* v[i].grid, for sealing */
    uint64_t refused;               /* ticks that could not be begun */
};

void groups_init(struct groups *g, const struct grid_params *p, struct span batch, struct mem *mem);
void groups_free(struct groups *g);
/* Ends the ticks that are open. */
void groups_end(struct groups *g);
/* Of those, the ones that another tick of their own interval
 * follows at `at`: the others may still be given late answers. */
void groups_end_before(struct groups *g, struct wall at);
/* Whether any of them must be sealed before a tick at `at`:
 * no room, the clock was set back, or too long ago. */
bool groups_must_seal(const struct groups *g, struct wall at);
/* The grid of an interval with its tick at `at` open, begun when it is not;
 * NULL without room or memory, or when another tick of it is open. */
struct grid *groups_at(struct groups *g, struct span interval, struct wall at);
/* The newest value of each series that had one within about a minute (grid_latest). */
void groups_latest(const struct groups *g, grid_value fn, void *arg);
/* Ticks of this interval that a value stays shown for. */
uint64_t groups_stale(struct span interval);
void grid_stats_add(struct grid_stats *sum, const struct grid *g);
/* Counters of all grids added up; series too. */
struct grid_stats groups_stats(const struct groups *g);

#endif
