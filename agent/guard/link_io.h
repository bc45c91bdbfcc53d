/* The agent's end of a helper: starts it, or connects to one that runs by itself, and again when it is lost. */
#ifndef SB_GUARD_LINK_IO_H
#define SB_GUARD_LINK_IO_H

#include "agent/guard/guards.h"

struct link;
struct link_params {
    const struct guard_settings *s; /* borrowed for good */
    const char *file;               /* of the configuration */
    struct loop *loop;
    struct log *log;
    void (*heard)(void *arg, const struct helper_word *w); /* w NULL: the helper is lost */
    void *arg;
};
struct link *link_new(const struct link_params *p, struct err *e);
void link_free(struct link **l); /* the helper hears that the agent is gone */
void link_tell(struct link *l, enum helper_kind kind, uint32_t epoch, int64_t deadline, bool agreed);

#endif
