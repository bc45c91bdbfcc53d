/* The aggregator put together: store, ingest, serve and
 * decide threads, and the thread that has the signals. */
#ifndef SB_AGGREGATOR_AGGREGATOR_H
#define SB_AGGREGATOR_AGGREGATOR_H

#include <stdbool.h>

#include "common/daemon/cli.h"

struct aggregator;

struct aggregator_params {
    const struct cli_program *program; /* borrowed, for reloading */
    const struct cli *cli;             /* borrowed */
    struct config *config;             /* taken, also when the start fails */
    struct log *log;                   /* borrowed */
};
struct aggregator *aggregator_start(const struct aggregator_params *p, struct err *e);
int aggregator_run(struct aggregator *a); /* until a signal ends it; 0, or a negative code */
void aggregator_stop(struct aggregator **a);

bool aggregator_is_verb(const char *word);
/* verify-store: checks the three files of a stopped aggregator and prints what it found; the exit status. */
int aggregator_verify(const struct config *config);

#endif
