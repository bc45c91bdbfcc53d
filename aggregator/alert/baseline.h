/* Baselines: what is usual for one series, learnt robustly, so that a rule can ask for "unusual" without a
 * threshold. Pure: values come in with their time, an answer comes out.
 *
 * Seasonal. Each hour is kept as the median of its twelve five-minute means, four weeks of them, by UTC. Expected
 * is the median of the same hour of the three weeks before, drawn between the hours, plus (or times, whichever
 * fits better) the level: the median of what the last 24 hours differ from that. So one bad week, a spike, or
 * missing hours move nothing; drift is followed with half a day's delay; and a step to another level is unusual
 * for 12 to 13 hours and then the new usual. Before there is another week, the same hour of the days before
 * stands in, of working days and weekends apart.
 *
 * EWMA. A mean with the time constant learn ÷ 8 (ten minutes to a day), each value clipped at three spreads; a
 * level that holds on one side for that long becomes the new mean. For series without a season.
 *
 * Spread is 1.4826 times the median of |value - expected|, followed in small steps, so that it would be the
 * standard deviation if the noise were Gaussian; seasonal: for each hour of the day, of working days and
 * weekends. */
#ifndef SB_ALERT_BASELINE_H
#define SB_ALERT_BASELINE_H

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"

struct baseline_params {
    bool seasonal; /* else EWMA */
    bool up, down; /* which side is unusual */
    double deviations, min_abs,
        min_rel;       /* unusual: further off than each of deviations × spread, min_abs, min_rel ×
                                            |expected| */
    struct span learn; /* of values; until then there is no verdict */
};

enum baseline_verdict { BASELINE_LEARNING, BASELINE_USUAL, BASELINE_HIGH, BASELINE_LOW };

struct baseline_answer {
    enum baseline_verdict verdict;
    double expected, spread; /* NaN: not known yet */
    double low, high;        /* what is usual lies between; an infinity on a side that is not looked at */
    uint32_t weeks;          /* seasonal: how many weeks stand behind expected; 0: days alone */
    double learnt;           /* 0 … 1 of `learn` */
    bool keep;               /* an hour has ended: the state is worth telling */
};

enum { BASELINE_BYTES_MOST = 2048 }; /* of a baseline in memory, and of its record */

struct baseline;                                               /* owns its memory */
struct baseline *baseline_new(bool seasonal, struct mem *mem); /* NULL: no memory */
void baseline_free(struct baseline **b, struct mem *mem);
bool baseline_is_seasonal(const struct baseline *b);

/* Judges a value and then learns from it, unless frozen or not later than the one before. A value that is not
 * finite is neither. */
void baseline_observe(struct baseline *b, const struct baseline_params *p, double value, struct wall t,
                      bool freeze, struct baseline_answer *out);
/* One line: "high: 412, usual are 95 … 140 (expected 117, spread 5.6, 3 weeks)". */
void baseline_text(const struct baseline_params *p, const struct baseline_answer *a, double value,
                   struct buf *out);

/* The record. ERR_NOMEM. */
int baseline_encode(const struct baseline *b, struct buf *out);
/* ERR_MALFORMED, ERR_NOMEM. */
int baseline_decode(struct bytes in, struct mem *mem, struct baseline **out, struct err *e);

#endif
