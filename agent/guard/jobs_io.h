/* A job of a guard: every kind of fence that it has, each in a process of its own, all at once, with a deadline. */
#ifndef SB_GUARD_JOBS_IO_H
#define SB_GUARD_JOBS_IO_H

#include <sys/types.h>

#include "agent/guard/fence.h"

enum { JOBS_STRAY = 32 };

struct jobs {
    pid_t pid[FENCE_KINDS]; /* 0: none */
    int said[FENCE_KINDS];
    int64_t until; /* boot clock, ms */
    bool failed;
    pid_t stray[JOBS_STRAY]; /* killed, and not gone yet: what waits for a dead disk cannot die */
    char trouble[256];       /* of the last job that failed; "" after one that went well */
};

void jobs_init(struct jobs *j);
void jobs_begin(struct jobs *j, const struct guard_settings *s, const struct fence_order *o);
/* True once all have ended; what runs beyond the deadline is killed and not waited for. ok: every one of them says so. */
bool jobs_ended(struct jobs *j, bool *ok);
void jobs_stop(struct jobs *j); /* kills what runs, and waits for nothing */

#endif
