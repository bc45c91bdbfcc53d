/* The inside of zones: transitions, and the rule for what lies behind them. Seconds since 1970 throughout. */
#ifndef SB_BASE_ZONE_PRIVATE_H
#define SB_BASE_ZONE_PRIVATE_H

#include "common/base/zone.h"

/* Years 1 to 9999, the span of time that has civil times. */
#define ZONE_FIRST (-62135596800LL)
#define ZONE_LAST  253402300799LL

/* One date of a POSIX TZ rule: "J60", "59" or "M3.5.0", and the local time of the change. */
struct tz_date {
    enum { TZ_JULIAN, TZ_DAY, TZ_MONTH } form;
    int month, week, day;
    int32_t seconds; /* -167 h … 167 h */
};

/* "CET-1CEST,M3.5.0,M10.5.0/3". Offsets are seconds EAST, against the sign in the text. */
struct tz_rule {
    bool present, dst;
    int32_t standard, summer;
    struct tz_date start, end; /* of summer time */
};

/* The whole text must be a rule; "" gives present = false. ERR_MALFORMED. */
int tz_rule_parse(const char *text, size_t n, struct tz_rule *out);
int32_t tz_rule_offset(const struct tz_rule *r, int64_t t);
/* The next change of offset after t; false when there is none in the next years. */
bool tz_rule_next(const struct tz_rule *r, int64_t t, int64_t *change);

/* Of a zone: the offset at t, and the next change of it. */
int32_t zone_offset(const struct zone *z, int64_t t);
bool zone_change_after(const struct zone *z, int64_t t, int64_t *change);

#endif
