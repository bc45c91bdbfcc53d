/* Lists of name patterns, as options have them: enough for devices, mount points and types, and nothing that
 * can take long.
 *
 *   *   any run of characters, an empty one too
 *   ?   one small letter
 *   #   one or more digits
 *
 * Everything else stands for itself, and the whole name has to match. */
#ifndef SB_AGENT_PATTERN_H
#define SB_AGENT_PATTERN_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/metric.h"
#include "common/config/config.h"

bool pattern_match(const char *pattern, struct text name);

/* A copy of a list option's words. */
struct patterns {
    struct buf words; /* each terminated */
};
/* 0 or ERR_NOMEM. */
int patterns_set(struct patterns *p, struct mem *mem, const struct section *options, const char *key,
                 struct err *e);
void patterns_free(struct patterns *p);
bool patterns_match(const struct patterns *p, struct text name); /* one of them does */

#endif
