/* Texts of alerts: ${label}, ${value}, ${value|percent}, ${value|duration}, ${value|bytes}, ${threshold} with the same
 * forms. An unknown label gives ""; what is no template stands as it is. Total; bounded by the buffer. Pure. */
#ifndef SB_ALERT_FILL_H
#define SB_ALERT_FILL_H

#include "common/base/buf.h"
#include "common/base/label.h"

void alert_fill(const char *text, struct labels labels, double value, double threshold, struct buf *out);
/* One number for people: form "", "percent", "duration" (of seconds), "bytes"; unknown forms as "". */
void alert_fill_number(double v, const char *form, size_t n, struct buf *out);

#endif
