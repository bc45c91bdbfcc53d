/* One question and one answer over a kept stream socket (TCP or unix), nonblocking on the loop, with a
 * deadline for all of it. */
#ifndef SB_AGENT_ASK_IO_H
#define SB_AGENT_ASK_IO_H

#include "agent/collector.h"
#include "common/net/loop.h"

enum { ANSWER_MAX = 4 << 20 }; /* bytes of one answer */

struct ask;

struct ask_params {
    struct loop *loop;             /* borrowed */
    struct workers *workers;       /* borrowed: names are looked up there */
    const struct collector *shape; /* request and complete */
    void *state;                   /* borrowed: the collector's */
    const char *address;           /* copied: host:port, [v6]:port, unix:/path */
    struct span timeout;
    struct mem *mem;
    /* On the loop, once for each ask_begin, never from within it. reason NULL: the answer, borrowed for the
     * call, and how long it took from request to last byte; else one of ASK_REASONS, and a sentence in e.
     * Returns false when the connection is not to be kept. */
    bool (*done)(void *arg, struct bytes answer, struct span took, const char *reason, const struct err *e);
    void *arg;
};

struct ask *ask_new(const struct ask_params *p); /* NULL without memory */
void ask_free(struct ask **a);                   /* gives up what is out; not from within done */
/* Another pool takes the place of the present one, which goes on
 * without: a look-up that is still out there is given up. */
void ask_use(struct ask *a, struct workers *pool);
void ask_begin(struct ask *a); /* not while busy */
bool ask_busy(const struct ask *a);

#endif
