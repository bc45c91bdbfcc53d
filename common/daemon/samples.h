/* A sink that keeps what it is given, in order: for pages, --once and tests. Memory comes from an arena. */
#ifndef SB_DAEMON_SAMPLES_H
#define SB_DAEMON_SAMPLES_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/metric.h"

struct sample {
    const struct metric_row *row;
    struct text labels[METRIC_MAX_LABELS]; /* copies in the arena, terminated; in the order of row->labels */
    double value;                          /* scaled by mul and div */
    const struct sketch *sketch;           /* kind METRIC_SKETCH: a copy in the arena */
};

struct samples {
    struct sink sink; /* first: hand out &s->sink */
    struct arena *arena;
    struct sample *v; /* arena */
    size_t n, room;
    size_t lost; /* no memory for so many */
};

void samples_init(struct samples *s, struct arena *a);

#endif
