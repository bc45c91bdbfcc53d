/* Days of the proleptic Gregorian calendar, counted from 1970-01-01, as in Howard Hinnant's "chrono-compatible
 * low-level date algorithms": years begin in March, so that the leap day is the last of its year. */
#ifndef SB_BASE_DAYS_H
#define SB_BASE_DAYS_H

#include <stdint.h>

/* m 1 … 12; d may lie outside of its month. |y| below 10^9. */
static inline int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    int64_t era, yoe, doy, doe;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5;
    doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468 + (d - 1);
}

static inline void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

/* 0 Monday … 6 Sunday */
static inline int weekday_of_days(int64_t days)
{
    return (int)(((days + 3) % 7 + 7) % 7);
}

#endif
