/* The helper: a small process that has the right to fence and nothing else to do. The agent, which speaks with the world,
 * tells it of leases and denials over a socket of whole messages; it tells what it has come to. If the agent hangs, dies or is
 * killed, no lease comes any more, and the helper fences at the deadline.
 *
 * One helper for a guard: it holds a lock on the guard's state file. A new one ends the one before, and goes on with its
 * lease. */
#ifndef SB_GUARD_HELPER_H
#define SB_GUARD_HELPER_H

#include "agent/guard/guard.h"
#include "common/base/clock.h"
#include "common/config/config.h"
#include "common/daemon/log.h"

enum { HELPER_FD = 3, HELPER_MAGIC = 0x53424731, HELPER_TROUBLE = 200 };

enum helper_kind { HELPER_LOOK, HELPER_LEASE, HELPER_DENY };

struct helper_order {
    uint32_t magic;
    uint8_t kind;   /* enum helper_kind */
    uint8_t agreed; /* LEASE */
    uint8_t pad[2];
    uint32_t epoch, pad2;
    int64_t deadline; /* LEASE: boot clock, ms */
};

struct helper_word { /* after each order, and whenever something has changed */
    uint32_t magic;
    uint8_t state, reason, job, kept_state;
    uint8_t may_write, letting, broken, pad;
    uint32_t seen_epoch, fenced_epoch;
    int32_t pid;
    int64_t deadline, since; /* boot clock, ms */
    uint64_t fences[GUARD_REASONS], releases, attempts, failures, ignored;
    char trouble[HELPER_TROUBLE]; /* why the last attempt failed; "" it did not */
};

/* The process of `guard helper NAME`: takes the agent's socket at HELPER_FD, or listens where [guard] helper says. Returns
 * the exit status. */
int helper_run(const struct config *c, const char *name, struct log *log);

/* rights_io.c: gives up what the helper of these settings needs not. 0, ERR_DENIED, ERR_CONFIG. */
struct guard_settings;
int rights_drop(const struct guard_settings *s, struct err *e);

#endif
