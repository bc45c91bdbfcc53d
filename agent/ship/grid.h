/* A grid: the series and columns of sources that tick together, between one sealing and the next. Samples
 * come in through a sink; one that follows the order of the tick before costs a comparison, not a look-up. No
 * allocation per sample: columns have room for all ticks of a batch from the start of a series' life.
 *
 * A schema stays the same while the series do: a silent series keeps its place (present bits). Once it has
 * missed `forget` ticks it leaves when its block changes anyway, or with at least a quarter of its block, or
 * when room is short, so that series that come and go do not make a new schema of each batch. */
#ifndef SB_AGENT_GRID_H
#define SB_AGENT_GRID_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/wire/wire.h"

struct grid;

struct grid_params {
    struct span interval;  /* between ticks */
    uint32_t max_ticks;    /* of one batch: 1 … WIRE_MAX_TICKS */
    uint32_t max_series;   /* beyond: refused and counted */
    uint32_t block_series; /* most series of one block, 1 … WIRE_MAX_SERIES */
    uint32_t forget;       /* ticks after which an absent series may leave the schema, at a sealing */
    bool has_start;
    int64_t start; /* boot or process start, wall ms, frozen for that life */
    /* borrowed: a label name that is in it too becomes exported_<name> */
    const struct wire_resource *resource;
};

struct grid *grid_new(const struct grid_params *p, struct mem *mem); /* NULL without memory */
void grid_free(struct grid **g);

/* Samples between begin and end belong to the tick at `at`. ERR_RANGE (not begun) when it is not later than
 * the one before of this batch (the wall clock was set back: seal first); ERR_LIMIT when max_ticks are there,
 * or the tick is too far off the grid for the same block: seal first. */
int grid_begin(struct grid *g, struct wall at);
struct sink *grid_sink(struct grid *g); /* borrowed; puts into the tick that is open */
/* Labels that the following samples have besides their rows' (an
 * instance); borrowed until the next call; n = 0: none. */
void grid_extra(struct grid *g, const struct wire_label *labels, uint32_t n);
void grid_end(struct grid *g);

uint32_t grid_ticks(const struct grid *g);  /* since the last sealing */
uint64_t grid_values(const struct grid *g); /* put since the last sealing */

struct grid_stats {
    uint64_t samples;       /* put, over the life; a sketch counts one */
    uint64_t refused_limit; /* by max_series or memory */
    uint64_t refused_twice; /* same series twice in a tick: the first holds */
    uint64_t refused_value; /* a counter below 0 or not finite, a name or label that the wire does not take */
    uint64_t refused_late;  /* no tick was open */
    uint64_t refused_kind;  /* the name is there with another kind */
    uint32_t series;
};
struct grid_stats grid_stats(const struct grid *g);
/* Whether a series of this row is there: a row that is not a
 * constant may be released only when not. Walks all series. */
bool grid_uses(const struct grid *g, const struct metric_row *row);

/* Calls fn for each series but sketches with its newest value, of this batch or an earlier one,
 * unless that is more than `stale` ticks old. The definition is borrowed until the next sample. */
typedef void (*grid_value)(void *arg, const struct wire_series *def, double value);
void grid_latest(const struct grid *g, uint64_t stale, grid_value fn, void *arg);

/* What is there, as blocks that borrow from the grid until grid_sealed; `add` is called for each with its
 * schema's encoded bytes (borrowed). No call when no tick came. 0, or what add returned, or ERR_NOMEM. */
typedef int (*grid_add)(void *arg, const struct wire_block_out *block, struct bytes schema);
int grid_blocks(struct grid *g, grid_add add, void *arg, struct err *e);
/* Forgets the ticks handed out: the batch is sealed, or given up and counted by the caller. */
void grid_sealed(struct grid *g);

#endif
