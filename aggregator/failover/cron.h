/* When drills are due: five fields like cron's (crontab(5)), in a time zone of their own. Pure.
 *
 *   MINUTE HOUR DAY MONTH WEEKDAY      "0 10 * * tue#1": at 10:00 on the first Tuesday of each month
 *
 * A field is a star, a number, a range a-b, any of these with a step /n, or a list of them with commas; weekdays are mon …
 * sun or 1 … 7 (0 is Sunday as well), and #n behind one means the nth of the month. Unlike cron's, day and weekday both have
 * to hold when both are given: a date that is a Friday by chance is not every Friday. A local time that a zone skips is due at
 * the gap's end, one that it has twice is due once. */
#ifndef SB_FAILOVER_CRON_H
#define SB_FAILOVER_CRON_H

#include "common/base/zone.h"

struct cron {
    uint64_t minutes;    /* bits 0 … 59 */
    uint32_t hours;      /* 0 … 23 */
    uint32_t days;       /* 1 … 31 */
    uint16_t months;     /* 1 … 12 */
    uint8_t weekdays[6]; /* [0] any week: bit 0 Monday; [n]: the nth of the month, 1 … 5 */
};

/* 0; ERR_MALFORMED or ERR_RANGE with the field and what is allowed. */
int cron_parse(const char *text, struct cron *out, struct err *e);
/* The first moment after `t`; false when there is none within five years (the 30th of February). */
bool cron_next(const struct cron *c, const struct zone *z, struct wall t, struct wall *out);

#endif
