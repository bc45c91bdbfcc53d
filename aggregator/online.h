/* --check-config --online: what only the machine can tell: files that can be read, addresses that can be
 * bound, a state folder that can be written. Changes nothing. In online_io.c. */
#ifndef SB_AGGREGATOR_ONLINE_H
#define SB_AGGREGATOR_ONLINE_H

#include "common/config/config.h"

/* Prints a line for each check; the exit status: 0, or 78 when one failed. */
int online_check(const struct config *c);

#endif
