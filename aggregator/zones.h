/* Time zones by name, each read once. From any thread; what is given out lives as long as the cache. */
#ifndef SB_AGGREGATOR_ZONES_H
#define SB_AGGREGATOR_ZONES_H

#include "common/base/zone.h"

struct zones;
struct zones *zones_new(void); /* NULL without memory */
void zones_free(struct zones **z);
/* NULL: there is no such zone. arg: the struct zones. */
const struct zone *zones_find(void *arg, const char *name);

#endif
