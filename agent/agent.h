/* The agent: one loop that samples at each tick, seals a batch each `batch`, and ships. */
#ifndef SB_AGENT_AGENT_H
#define SB_AGENT_AGENT_H

#include "agent/status.h"
#include "common/base/buf.h"
#include "common/config/config.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

struct agent;
struct agent_params {
    const char
        *file; /* of the configuration, for the helpers of guards; NULL: there are none. Borrowed for good */
    const struct config *config; /* borrowed for the life of the agent, or until agent_reload */
    const char *root;            /* "" or a prefix: PREFIX/proc … */
    struct loop *loop;           /* borrowed */
    struct log *log;             /* borrowed */
    const char *version, *revision;
    /* after agent_stop, on the loop: everything is sealed, and sent as far as it goes */
    void (*stopped)(void *arg);
    void *arg;
};

/* Takes the lock of the state folder, opens spool and sockets, begins to sample. */
struct agent *agent_new(const struct agent_params *p, struct err *e);
void agent_free(struct agent **a); /* after the loop has stopped */
/* What can change without a restart: collectors, endpoints and
 * their files. On an error the old configuration stays in use. */
int agent_reload(struct agent *a, const struct config *fresh, struct err *e);
void agent_dump(struct agent *a); /* its state into the log */
/* Seals what there is, sends for at most 5 s, then calls `stopped`. The rest waits in the spool. */
void agent_stop(struct agent *a);
struct guards;
struct guards *agent_guards(struct agent *a);         /* borrowed until the next turn */
void agent_status(struct agent *a, struct status *s); /* texts borrowed until the next turn */

#endif
