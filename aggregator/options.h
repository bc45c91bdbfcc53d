/* The aggregator's own options: [aggregator]. The rooms bring theirs. */
#ifndef SB_AGGREGATOR_OPTIONS_H
#define SB_AGGREGATOR_OPTIONS_H

#include "aggregator/actions/action.h"
#include "aggregator/notify/channel.h"
#include "common/config/config.h"
#include "common/daemon/cli.h"

enum { AGGREGATOR_SECTIONS = 40 };
/* All sections of the configuration, in the order of the example file. Returns how many. The rows of receivers are
 * gathered from the channels into `receivers`, those of actions from the drivers into `actions`; both have to live as long
 * as configurations do. */
size_t aggregator_sections(struct section_row out[AGGREGATOR_SECTIONS],
                           struct option_row receivers[RECEIVER_ROWS],
                           struct option_row actions[ACTION_ROWS]);

/* In check_io.c. Mistakes across options: 0 or ERR_CONFIG, all of them in report. */
int aggregator_check(const struct config *c, const struct cli *cli, struct buf *report, struct err *e);

#endif
