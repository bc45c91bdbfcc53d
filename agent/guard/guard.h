/* The guard of one service on one host: it lets the service run while it holds a lease, and fences it when the lease ends or
 * is denied. Pure, integers; time is the boot clock in milliseconds (it counts while the machine is suspended), so that the
 * first look after waking finds the deadline passed before anything else is considered.
 *
 *   UNKNOWN    just started, and nothing that was kept says what is so: no lease within `grace` fences
 *   SERVING    until the deadline
 *   FENCING    a fence is being carried out, again and again until it is proven
 *   FENCED     proven and written down; looked at again every so often
 *   RELEASING  a lease has come: written down, the service is let go
 *
 * It runs in the process that has the right to fence (helper_io.c). What it is told comes from the agent; should that stop,
 * hang or die, the deadline passes here. What must outlive it is a `struct guard_kept`, written with fsync BEFORE a fence is
 * reported and before a service is let go; the lease beside it outlives the process, not the machine. */
#ifndef SB_GUARD_GUARD_H
#define SB_GUARD_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/guard.h"

enum guard_state { GUARD_UNKNOWN, GUARD_SERVING, GUARD_FENCING, GUARD_FENCED, GUARD_RELEASING, GUARD_STATES };
const char *guard_state_name(enum guard_state s); /* "unknown" … */

enum guard_reason { /* why a fence was begun */
                    GUARD_R_NONE,
                    GUARD_R_DENIED, /* an aggregator has read that this region may not serve */
                    GUARD_R_LAPSED, /* the lease ended */
                    GUARD_R_STARTED, /* no valid lease was found at the start, or a fence that had to be proven again */
                    GUARD_R_BROKEN, /* it was fenced, and something let it run again */
                    GUARD_REASONS
};
const char *guard_reason_name(enum guard_reason r); /* "denied" … */

enum guard_kept_state {
    GUARD_KEPT_FREE,
    GUARD_KEPT_FENCED,   /* it may not serve before a lease has come */
    GUARD_KEPT_RELEASING /* one has come, and the service may not have been let go wholly yet */
};
struct guard_kept {
    uint8_t state;         /* enum guard_kept_state */
    uint32_t fenced_epoch; /* highest at which a fence was proven */
    uint32_t seen_epoch;
};

struct guard_lease_kept {
    char boot[37];    /* of the machine: /proc/sys/kernel/random/boot_id */
    int64_t deadline; /* ms of its boot clock; long past while a fence is wanted */
    bool serving;     /* false: the grace of UNKNOWN */
};

struct guard_times {
    int64_t grace; /* from a start without a lease: 10 000 */
    int64_t retry; /* after an attempt that failed: 1 000 */
    int64_t look;  /* between two looks at a fence that holds: 5 000 */
    int64_t
        broken; /* from when it was seen not to hold until it is carried out again: 6 000. A service that is opened on
                      * purpose is seen to write before the lease that allows it has been heard of */
    int64_t longest; /* no lease ends later than so long from now: GUARD_LEASE */
};

enum guard_job { GUARD_IDLE, GUARD_FENCE, GUARD_PROVE, GUARD_RELEASE };

/* What the shell is to do next. */
enum guard_do {
    GUARD_WAIT,     /* nothing before `guard_due`, or before something is told */
    GUARD_DO_KEEP,  /* write `kept`, durably; then guard_is_kept */
    GUARD_DO_STOP,  /* end the job under way at once; then guard_stopped */
    GUARD_DO_FENCE, /* begin a job; then guard_done. FENCE: carry out and prove */
    GUARD_DO_PROVE,
    GUARD_DO_RELEASE
};

struct guard {
    struct guard_times t;
    uint8_t state, reason, job;
    bool dirty;    /* kept has changed */
    bool proven;   /* FENCING: done, not written down yet */
    bool letting;  /* FENCED: to be released, not written down yet */
    uint32_t want; /* the epoch at which it is to be fenced */
    struct guard_kept kept;
    int64_t deadline; /* UNKNOWN, SERVING, RELEASING */
    int64_t retry_at, look_at, keep_at;
    int64_t broken_at; /* FENCED: since when it does not hold; 0: it does */
    int64_t since;     /* of the state */
    uint64_t fences[GUARD_REASONS], releases, attempts, failures, ignored;
};

/* lease: found at the start, of this boot of the machine; NULL: none. */
void guard_init(struct guard *g, const struct guard_times *t, const struct guard_kept *kept,
                const struct guard_lease_kept *lease, int64_t now);

/* `agreed`: all who could read the record said so; only such a lease lets a guard serve that does not. */
void guard_lease(struct guard *g, int64_t deadline, uint32_t epoch, bool agreed, int64_t now);
void guard_deny(struct guard *g, uint32_t epoch, enum guard_reason why, int64_t now);

/* Looks at the clock first. */
enum guard_do guard_next(struct guard *g, int64_t now);
void guard_is_kept(struct guard *g, bool ok, int64_t now);
void guard_done(struct guard *g, bool ok, int64_t now); /* the job under way */
void guard_stopped(struct guard *g, int64_t now);
int64_t guard_due(const struct guard *g); /* when guard_next is to be asked again at the latest */

/* The service may be writing: anything but FENCED. */
bool guard_may_write(const struct guard *g);

/* ---- kept.c: what is kept, as text: three lines of GUARD_SLOT bytes; two for `kept`, written in turn, one for the lease ---- */
enum { GUARD_SLOT = 512, GUARD_SLOTS = 3 };
/* What is to be written of the lease now; boot and holder are left alone. */
void guard_lease_of(const struct guard *g, struct guard_lease_kept *l);
void guard_kept_write(const struct guard_kept *k, uint64_t turn, uint8_t out[GUARD_SLOT]);
void guard_lease_write(const struct guard_lease_kept *l, uint8_t out[GUARD_SLOT]);
/* The newer whole one of the first two; false: neither is whole. Total. */
bool guard_kept_read(const uint8_t *slots, size_t n, struct guard_kept *out, uint64_t *turn);
bool guard_lease_read(const uint8_t *slots, size_t n, struct guard_lease_kept *out);

#endif
