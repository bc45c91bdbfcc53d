/* What a device counted at the tick before, for ratios over the interval. Devices come in the same order at
 * each tick, so a look-up is one comparison as a rule. */
#ifndef SB_AGENT_BEFORE_H
#define SB_AGENT_BEFORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"
#include "common/base/metric.h"

enum { BEFORE_NAME = 40, BEFORE_VALUES = 3, BEFORE_MAX = 4096 };

struct before_row {
    char name[BEFORE_NAME]; /* terminated */
    uint64_t round;         /* in which it was looked up last */
    uint64_t v[BEFORE_VALUES];
};

struct before {
    struct mem *mem;
    struct before_row *rows; /* owned */
    size_t n, room, next;
    uint64_t round;
};

void before_free(struct before *b);
void before_round(struct before *b); /* a tick begins */
/* The row of a name, valid until the next call; *fresh when it was not looked up in the round before (its
 * values are then 0). NULL when the name is too long, or there are too many, or no memory: no ratio then. */
struct before_row *before_get(struct before *b, struct text name, int *fresh);

#endif
