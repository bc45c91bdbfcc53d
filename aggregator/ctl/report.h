/* The report on an objective, for a customer to read: text for a terminal, Markdown for a letter, both from the JSON of
 * `slos/NAME/report`. Nothing is computed here but the form of numbers; shares are cut, never rounded up, so that 99.99996 %
 * does not stand there as 100 %. Pure. */
#ifndef SB_CTL_REPORT_H
#define SB_CTL_REPORT_H

#include <cjson/cJSON.h>

#include "common/base/buf.h"

/* 0; ERR_MALFORMED when it is no such report; ERR_NOMEM. */
int report_text(const cJSON *report, struct buf *out);
int report_markdown(const cJSON *report, struct buf *out);

#endif
