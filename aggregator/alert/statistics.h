/* What a rule asks of a group: one number over a window of its facts. Pure functions of facts and time.
 *
 * What a statistic means depends on what the group counts:
 *
 *              gauge                       counter                  sketch
 *   last       newest value                newest reading           -
 *   avg        mean of the samples         -                        mean of the values
 *   min max    of the samples              -                        of the values
 *   sum        of the samples              increase                 of the values
 *   increase   last less the first step's  increase                 how many values
 *   rate       increase per second         increase per second      values per second
 *   count      samples                     samples                  values
 *   percentile of the steps' means         -                        of the values
 *   share      of steps whose mean lies    -                        of values above the bound (cut at the
 *              above the bound                                      sketch's buckets)
 *   ratio      mean to mean                increase to increase     values to values
 *   forecast   of the steps' means         of the readings          of the steps' means
 *   change     of the mean                 of the rate              of the mean
 *   until age  now to the newest value     -                        -
 *
 * until and age read a gauge as a time stamp in seconds since 1970: how long it is until then, or since. 0 stands
 * for none: there is no until, and the age is 0.
 *
 * A window ends with the step that holds `now`, so that the newest sample is always in it. A rate is per second
 * of the time that the samples cover: what has not arrived yet does not lower it. */
#ifndef SB_ALERT_STATISTICS_H
#define SB_ALERT_STATISTICS_H

#include "aggregator/alert/facts.h"

enum statistic {
    STAT_LAST,
    STAT_AVG,
    STAT_MIN,
    STAT_MAX,
    STAT_SUM,
    STAT_INCREASE,
    STAT_RATE,
    STAT_COUNT,
    STAT_PERCENTILE,
    STAT_SHARE,
    STAT_RATIO,
    STAT_FORECAST,
    STAT_CHANGE,
    STAT_UNTIL,
    STAT_AGE,
    STATISTICS
};

struct statistic_ask {
    enum statistic what;
    struct span window;
    double quantile;     /* percentile: 0 … 1 */
    double bound;        /* share */
    struct span horizon; /* forecast: so far behind now */
    struct span before;  /* change: against the same window so long ago */
};
struct statistic_answer {
    bool has;         /* false: no value, why says why */
    double value;     /* finite or infinite, never NaN when has; else NaN */
    uint64_t n;       /* what min_count is about: samples; values of a sketch; ratio: events below the line */
    int64_t newest;   /* wall ms of the newest sample in the window; 0: none */
    int64_t from, to; /* the window, cut at steps */
    struct fact_cover cover;
    const char *why; /* a constant sentence; NULL when has */
};

/* The end and the beginning of the window that holds now, cut as facts are. */
void statistic_window(const struct fact_group *g, struct span window, struct wall now, int64_t *from,
                      int64_t *to);

/* g may be NULL: no such group. of: ratio only, the group below the line; where it has events and g is NULL, the
 * ratio of events is 0: a counter of errors is often born with the first of them. scratch: an initialised sketch
 * whose content is overwritten. */
void statistic_measure(const struct statistic_ask *ask, const struct fact_group *g,
                       const struct fact_group *of, struct wall now, struct sketch *scratch,
                       struct statistic_answer *out);

/* The robust line of Theil and Sen through n >= 2 points, x ascending: the median of all slopes, and the median of
 * what is left. n <= LINE_POINTS. */
enum { LINE_POINTS = 64 };
struct line {
    double slope, at_zero;
};
struct line line_through(const double *x, const double *y, uint32_t n);
/* The median of v[n], n >= 1, which it reorders. Of an even number: the mean of the two in the middle. */
double median_of(double *v, uint32_t n);

#endif
