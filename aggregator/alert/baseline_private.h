/* A baseline's memory. Inside this room. */
#ifndef SB_ALERT_BASELINE_PRIVATE_H
#define SB_ALERT_BASELINE_PRIVATE_H

#include "aggregator/alert/baseline.h"

enum {
    WEEK_HOURS = 168,
    KEPT_HOURS = 4 * WEEK_HOURS,
    LEVEL_HOURS = 24, /* what the level is reckoned from */
    LEVEL_HOURS_LEAST = 6,
    SHIFT_HOURS = 18, /* of the level's hours: so many agree, and the past moves along */
    BINS = 12,        /* five minutes each */
    BUCKETS = 48,     /* spreads: hours of a working day, then of a weekend's */
};

struct season {
    int64_t hour;              /* number of the hour under way */
    uint16_t kept[KEPT_HOURS]; /* hour h at h mod KEPT_HOURS; HALF_NONE: missing */
    int16_t exponent;          /* of the values: kept are 2^exponent × a small float; EXPONENT_NONE */
    uint8_t counts[BINS];
    double means[BINS];
    double spread[BUCKETS]; /* medians of |value - expected|; negative: none yet */
    double around[3];       /* of the hour before, this one, the next: NaN: not known */
    double add, times;      /* the level; one of them is in force */
    uint32_t weeks;
};

struct ewma {
    double mean, spread;
    int64_t side_since; /* since when values are off on one side; 0: they are not */
    double side_mean;
    uint32_t side_n;
    bool side_up;
};

struct baseline {
    bool seasonal;
    int64_t t; /* of the newest value; INT64_MIN: none */
    int64_t learnt_ms;
    union {
        struct season s;
        struct ewma e;
    } u;
};

_Static_assert(sizeof(struct baseline) <= BASELINE_BYTES_MOST, "a baseline is bounded");

size_t baseline_size(bool seasonal);

/* baseline.c: follows the median of residuals, by a share `step` of itself; negative: none yet */
double baseline_spread_step(double spread, double residual, double step);

/* small_float.c: sixteen bits: a sign, six of exponent, nine of fraction; within 0.1 % */
enum { HALF_NONE = 0xffff, EXPONENT_NONE = INT16_MIN };
uint16_t half_of(double v, int16_t *exponent);
double half_value(uint16_t h, int16_t exponent); /* NaN of HALF_NONE */

/* season.c */
void season_init(struct season *s);
/* Ends hours up to the one of t. True: an hour has ended. */
bool season_turn(struct season *s, int64_t t);
void season_reckon(struct season *s);
double season_expected(const struct season *s, int64_t t); /* NaN: not known */
double season_spread(const struct season *s, int64_t t);   /* the median; NaN */
void season_learn(struct season *s, int64_t t, double value, double expected, double step);

#endif
