/* A ring of steps of one length: what a group keeps of one tier. Inside this room.
 *
 * Columns instead of records: a counter's step takes 25 bytes, a gauge's 41, and a window reads only what it
 * adds up. A ring begins with few slots and grows by doubling to what its reach needs, and a little beyond for
 * steps ahead of our clock. Slots that hold no step are blank, so that a ring grows at either end without
 * being touched. */
#ifndef SB_ALERT_RING_H
#define SB_ALERT_RING_H

#include "aggregator/alert/facts.h"

enum column { C_SUM, C_MIN, C_MAX, C_LAST, C_BLOB, C_N, C_OFF, C_SERIES, C_HELD, COLUMNS };

/* A sketch as its bytes. */
struct blob {
    uint32_t n;
    uint8_t bytes[];
};

struct ring {
    int64_t first; /* number of the step in slot head: its start ÷ length */
    uint32_t head, n, room;
    uint8_t *cells; /* owned: the columns, one behind the other */
};

struct shape {
    enum fact_kind kind;
    int64_t length; /* ms of a step */
    uint32_t base;  /* slots that the reach needs */
    int64_t oldest; /* number of the oldest step that is kept; INT64_MIN: not known yet */
};

int64_t floor_div(int64_t a, int64_t b); /* b > 0 */

/* The slot of a step, made if need be. ERR_RANGE: older than what is kept. ERR_NOMEM: nothing changed. */
int ring_make(struct ring *r, const struct shape *sh, struct mem *m, int64_t step, uint32_t *slot);
void ring_free(struct ring *r, enum fact_kind kind, struct mem *m);
size_t ring_slot_bytes(enum fact_kind kind);

/* A gain of one slot, sketches apart. *fresh: the step held no sample before and holds one now. */
void ring_gain(struct ring *r, const struct shape *sh, uint32_t slot, int64_t start,
               const struct fact_bucket *gain, bool same_step, bool *fresh);
void ring_hold(struct ring *r, enum fact_kind kind, uint32_t slot, uint32_t most, bool all);
struct blob **ring_blob(const struct ring *r, uint32_t slot); /* of a sketch's ring */

/* Adds steps [from, to) up. Of `held` what counts is steps with a sample, or with `by_held` the finer steps
 * within. Later rings must be read later: the last value is that of the last call that finds one. */
void ring_sum(const struct ring *r, enum fact_kind kind, int64_t length, int64_t from, int64_t to,
              bool by_held, struct fact_bucket *out, uint32_t *held);
/* One step; false when it is empty. */
bool ring_read(const struct ring *r, enum fact_kind kind, int64_t length, int64_t step,
               struct fact_bucket *out, uint32_t *slot);

#endif
