/* The seasonal baseline: see baseline.h. Once an hour, the hour that ended is kept, and what is expected of the
 * next is reckoned from the weeks before and the level of the last day. */
#include "aggregator/alert/baseline_private.h"

#include <math.h>

#include "aggregator/alert/ring.h"
#include "aggregator/alert/statistics.h"

enum { HOUR_MS = 3600000, BIN_MS = HOUR_MS / BINS };

void season_init(struct season *s)
{
    *s = (struct season){.hour = INT64_MIN, .exponent = EXPONENT_NONE, .times = 1};
    for (int i = 0; i < KEPT_HOURS; i++)
        s->kept[i] = HALF_NONE;
    for (int i = 0; i < BUCKETS; i++)
        s->spread[i] = -1;
    for (int i = 0; i < 3; i++)
        s->around[i] = (double)NAN;
}

static uint16_t *kept(struct season *s, int64_t hour)
{
    return &s->kept[((hour % KEPT_HOURS) + KEPT_HOURS) % KEPT_HOURS];
}

static double value_at(const struct season *s, int64_t hour)
{
    return half_value(s->kept[((hour % KEPT_HOURS) + KEPT_HOURS) % KEPT_HOURS], s->exponent);
}

/* 1970-01-01 was a Thursday. */
static bool weekend(int64_t hour)
{
    int64_t day = (floor_div(hour, 24) % 7 + 7) % 7;

    return day == 2 || day == 3;
}

static int bucket(int64_t hour)
{
    return (int)((hour % 24 + 24) % 24) + (weekend(hour) ? 24 : 0);
}

/* The same hour of the days before; like_day: of the same kind of day alone. */
static double by_day(const struct season *s, int64_t hour, bool like_day)
{
    double v[7];
    uint32_t n = 0;

    for (int64_t back = 1; back <= 7; back++) {
        double x = value_at(s, hour - 24 * back);

        if (!isnan(x) && (!like_day || weekend(hour - 24 * back) == weekend(hour)))
            v[n++] = x;
    }
    return n ? median_of(v, n) : (double)NAN;
}

/* What an hour would be by the weeks before it. */
static double by_week(const struct season *s, int64_t hour, uint32_t *weeks)
{
    double v[3], d;
    uint32_t n = 0;

    for (int64_t back = 1; back <= 3; back++) {
        double x = value_at(s, hour - WEEK_HOURS * back);

        if (!isnan(x))
            v[n++] = x;
    }
    *weeks = n;
    if (n)
        return median_of(v, n);
    d = by_day(s, hour, true);
    return isnan(d) ? by_day(s, hour, false) : d;
}

/* ---- the level ---- */

struct recent {
    uint32_t n;
    int64_t hour[LEVEL_HOURS];
    double v[LEVEL_HOURS], base[LEVEL_HOURS];
    uint32_t by_weeks; /* of them: with two weeks and more behind them */
    bool positive;     /* a factor makes sense */
};

static void gather(const struct season *s, struct recent *r)
{
    *r = (struct recent){.positive = true};
    for (int64_t h = s->hour - LEVEL_HOURS; h < s->hour; h++) {
        uint32_t weeks;
        double v = value_at(s, h), base = by_week(s, h, &weeks);

        if (isnan(v) || isnan(base))
            continue;
        r->positive &= base > 0 && v >= 0;
        r->by_weeks += weeks >= 2;
        r->hour[r->n] = h;
        r->v[r->n] = v;
        r->base[r->n++] = base;
    }
}

/* The median of |v - (base × times + add)|. */
static double misfit(const struct recent *r, double times, double add)
{
    double d[LEVEL_HOURS];

    for (uint32_t i = 0; i < r->n; i++)
        d[i] = fabs(r->v[i] - (r->base[i] * times + add));
    return median_of(d, r->n);
}

static void fit(struct season *s, const struct recent *r)
{
    double d[LEVEL_HOURS], add, times = 1;

    for (uint32_t i = 0; i < r->n; i++)
        d[i] = r->v[i] - r->base[i];
    add = median_of(d, r->n);
    for (uint32_t i = 0; r->positive && i < r->n; i++)
        d[i] = r->v[i] / r->base[i];
    if (r->positive)
        times = median_of(d, r->n);
    s->add = add;
    s->times = 1;
    if (r->positive && misfit(r, times, 0) < misfit(r, 1, add)) {
        s->add = 0;
        s->times = times;
    }
}

static void move(struct season *s, int64_t hour)
{
    double v = value_at(s, hour);

    if (!isnan(v))
        *kept(s, hour) = half_of(v * s->times + s->add, &s->exponent);
}

/* When nearly all of the last day lies at another level, what was before it is moved there too: else the weeks
 * before and the level would tell of the same step twice, once these hours are among the weeks before. */
static void shift(struct season *s, const struct recent *r)
{
    double far[LEVEL_HOURS], distance;
    uint32_t agree = 0;

    if (r->by_weeks < SHIFT_HOURS) /* a first weekend is no new level */
        return;
    for (uint32_t i = 0; i < r->n; i++)
        far[i] = fabs(r->base[i] * (s->times - 1) + s->add);
    distance = median_of(far, r->n);
    for (uint32_t i = 0; i < r->n; i++)
        agree += fabs(r->v[i] - (r->base[i] * s->times + s->add)) < distance / 4;
    if (agree < SHIFT_HOURS)
        return;
    for (int64_t h = s->hour - KEPT_HOURS + 1; h < s->hour - LEVEL_HOURS; h++)
        move(s, h);
    for (uint32_t i = 0; i < r->n; i++) {
        if (fabs(r->v[i] - r->base[i]) < fabs(r->v[i] - (r->base[i] * s->times + s->add)))
            move(s, r->hour[i]);
    }
    s->add = 0;
    s->times = 1;
}

/* What is expected around the hour under way. */
void season_reckon(struct season *s)
{
    uint32_t weeks;

    for (int i = 0; s->hour != INT64_MIN && i < 3; i++)
        s->around[i] = by_week(s, s->hour + i - 1, i == 1 ? &s->weeks : &weeks);
}

static void level(struct season *s)
{
    struct recent r;

    gather(s, &r);
    if (r.n < LEVEL_HOURS_LEAST)
        return;
    fit(s, &r);
    shift(s, &r);
}

/* ---- time ---- */

static void end_hour(struct season *s)
{
    double v[BINS];
    uint32_t n = 0;

    for (int i = 0; i < BINS; i++) {
        if (s->counts[i])
            v[n++] = s->means[i];
        s->counts[i] = 0;
    }
    *kept(s, s->hour) = n ? half_of(median_of(v, n), &s->exponent) : HALF_NONE;
}

bool season_turn(struct season *s, int64_t t)
{
    int64_t hour = floor_div(t, HOUR_MS);

    if (s->hour == INT64_MIN) {
        s->hour = hour;
        return false;
    }
    if (hour <= s->hour)
        return false;
    end_hour(s);
    for (int64_t h = hour - s->hour > KEPT_HOURS ? hour - KEPT_HOURS : s->hour + 1; h < hour; h++)
        *kept(s, h) = HALF_NONE;
    s->hour = hour;
    level(s);
    season_reckon(s);
    return true;
}

double season_expected(const struct season *s, int64_t t)
{
    double x = (double)(t - s->hour * HOUR_MS) / HOUR_MS - 0.5, here = s->around[1];
    double other = x < 0 ? s->around[0] : s->around[2];

    if (isnan(here))
        return here;
    if (!isnan(other) && fabs(x) <= 0.5)
        here += (other - here) * fabs(x);
    return here * s->times + s->add;
}

double season_spread(const struct season *s, int64_t t)
{
    double known[BUCKETS], own = s->spread[bucket(floor_div(t, HOUR_MS))], all;
    uint32_t n = 0;

    for (int i = 0; i < BUCKETS; i++) {
        if (s->spread[i] >= 0)
            known[n++] = s->spread[i];
    }
    if (!n)
        return (double)NAN;
    all = median_of(known, n);
    return own < 0 ? all : own < all / 2 ? all / 2 : own; /* a quiet hour may be so by chance */
}

void season_learn(struct season *s, int64_t t, double value, double expected, double step)
{
    int64_t i = (t - s->hour * HOUR_MS) / BIN_MS;
    double *spread = &s->spread[bucket(s->hour)];

    if (i < 0 || i >= BINS)
        return;
    if (!s->counts[i])
        s->means[i] = 0;
    if (s->counts[i] < UINT8_MAX)
        s->counts[i]++;
    s->means[i] += (value - s->means[i]) / s->counts[i];
    if (!isnan(expected))
        *spread = baseline_spread_step(*spread, fabs(value - expected), step);
}
