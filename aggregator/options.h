/* The aggregator's own options: [aggregator]. The rooms bring theirs. */
#ifndef SB_AGGREGATOR_OPTIONS_H
#define SB_AGGREGATOR_OPTIONS_H

#include "common/config/config.h"
#include "common/daemon/cli.h"

enum { AGGREGATOR_SECTIONS = 24 };
/* All sections of the configuration, in the order of the example file. Returns how many. */
size_t aggregator_sections(struct section_row out[AGGREGATOR_SECTIONS]);

/* Mistakes across options: 0 or ERR_CONFIG, all of them in report. */
int aggregator_check(const struct config *c, const struct cli *cli, struct buf *report, struct err *e);

#endif
