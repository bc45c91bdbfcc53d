/* What a page or an answer is made from: a snapshot of the
 * series, and what the daemon's rooms say of themselves. */
#ifndef SB_EXPOSE_VIEW_H
#define SB_EXPOSE_VIEW_H

#include <stdbool.h>

#include "aggregator/expose/snapshot.h"
#include "common/base/clock.h"
#include "common/daemon/samples.h"

struct view {
    const struct snapshot *snap;
    const struct sample *self; /* in any order; rows of one name share their help and kind */
    size_t n_self;
    /* the daemon */
    const char *version, *revision, *region, *role;
    struct wall now, started;
    bool ready;
};

/* A view's material, made on the ingest thread and given to the serve thread, which owns it from then on. */
struct gathered {
    struct snapshot *snap; /* owned: released by gathered_free; NULL when there was no memory */
    struct arena arena;    /* of the samples */
    struct samples self;
};
void gathered_free(struct gathered **g);

#endif
