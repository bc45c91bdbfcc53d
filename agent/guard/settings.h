/* What a [guard NAME] section says. Pure; texts are borrowed from the configuration. */
#ifndef SB_GUARD_SETTINGS_H
#define SB_GUARD_SETTINGS_H

#include "agent/guard/round.h"
#include "common/config/config.h"

extern const struct section_row guard_section; /* [guard NAME] */

enum { GUARDS_MOST = 16, FENCE_WORDS = 32, FENCE_KEEP = 8 };

enum fence_kind { FENCE_UNIT, FENCE_HAPROXY, FENCE_POSTGRESQL, FENCE_COMMAND, FENCE_KINDS };
const char *fence_kind_name(enum fence_kind k); /* the key that configures it */

struct guard_settings {
    const char *name, *service, *region;
    const char *endpoints[GUARD_ENDPOINTS];
    unsigned n_endpoints;
    struct span interval, timeout; /* of rounds; of one attempt to fence */
    const char *socket;            /* of a helper that runs by itself; NULL: the agent starts one */
    const char *user;              /* "" : as we are */
    const char *state_dir;
    const char *lease_file;        /* NULL: none */
    uint64_t capabilities;         /* bits, of a helper that is root */
    unsigned kinds;                /* 1 << enum fence_kind of those to carry out */
    const struct section *section; /* for the lists of the kinds */
};

/* From a section that guards_check has passed. */
void guard_settings_read(const struct config *c, const struct section *s, struct guard_settings *out);
/* The section of that name; NULL. */
const struct section *guard_section_find(const struct config *c, const char *name);
/* Each mistake to the report; 0 or ERR_CONFIG. */
int guards_check(const struct config *c, struct buf *report, struct err *e);

/* Number of a capability by its name without CAP_, in lower case; -1. */
int capability_number(const char *name);

#endif
