/* Sealing: everything that grids and inputs hold becomes one batch, or several
 * when one would break a limit of the wire. A sealed batch is a zstd frame whose
 * bytes never change again, with the definitions that it needs. */
#ifndef SB_AGENT_BATCH_H
#define SB_AGENT_BATCH_H

#include "agent/ship/grid.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/wire/wire.h"

struct batch_def {
    struct wire_hash hash;
    struct bytes value;
};

struct batch {
    uint64_t epoch, seq;
    struct wall sealed;
    uint64_t values; /* as the wire counts them, with one for each event */
    struct bytes frame;
    const struct batch_def *defs; /* the resource first */
    uint32_t n_defs;
};

/* Takes a sealed batch, all borrowed for the call. An error ends the sealing; what was not handed out by then
 * is counted as left out. */
typedef int (*batch_out)(void *arg, const struct batch *b, struct err *e);

struct seal {
    const char *agent;
    uint64_t epoch, seq, low; /* seq of the first batch; the following ones count up; low ≤ seq */
    struct wall now;
    struct bytes resource; /* the encoded definition */
    struct grid *const *grids;
    size_t n_grids;
    const struct wire_event *events;
    uint32_t n_events;
    struct wire_codec *codec;
    struct mem *mem;
    batch_out out;
    void *arg;
};

struct seal_result {
    uint32_t batches;         /* handed out: the next seq is seal.seq + batches */
    uint64_t values;          /* in them */
    uint64_t left_out_limit;  /* values of a single tick, or events, that break a limit by themselves */
    uint64_t left_out_memory; /* values that there was no memory for, or that `out` did not take */
};

/* Grids are sealed whatever comes out; a batch is made even when there is nothing to say (it shows that the
 * agent lives). 0, or the first error, with the result filled in. */
int batch_seal(const struct seal *s, struct seal_result *r, struct err *e);

/* The same content under another number: for a batch that nobody ever
 * acknowledged, when its epoch was taken (answer 410). Appends the new frame to
 * out. ERR_MALFORMED when the frame is none of ours, ERR_LIMIT, ERR_NOMEM. */
struct batch_number {
    uint64_t epoch, seq, low;
};
int batch_renumber(struct wire_codec *codec, struct bytes frame, const struct batch_number *to,
                   struct mem *mem, struct buf *out, struct err *e);

#endif
