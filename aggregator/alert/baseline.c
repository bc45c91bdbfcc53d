/* Baselines: see baseline.h. Judging, learning, and the record. */
#include "aggregator/alert/baseline.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "aggregator/alert/baseline_private.h"

enum {
    STEP_MS = 300000, /* that the step of the spread is of */
    GAP_MOST_MS = 900000,
    HOUR_MS = 3600000,
    TAU_LEAST_MS = 600000,
    TAU_MOST_MS = 86400000,
};

size_t baseline_size(bool seasonal)
{
    return offsetof(struct baseline, u) + (seasonal ? sizeof(struct season) : sizeof(struct ewma));
}

struct baseline *baseline_new(bool seasonal, struct mem *mem)
{
    struct baseline *b = mem_alloc(mem, baseline_size(seasonal));

    if (!b)
        return NULL;
    b->seasonal = seasonal;
    b->t = INT64_MIN;
    if (seasonal)
        season_init(&b->u.s);
    else
        b->u.e = (struct ewma){.mean = (double)NAN, .spread = -1};
    return b;
}

void baseline_free(struct baseline **bp, struct mem *mem)
{
    if (*bp)
        mem_free(mem, *bp, baseline_size((*bp)->seasonal));
    *bp = NULL;
}

bool baseline_is_seasonal(const struct baseline *b)
{
    return b->seasonal;
}

/* A median is followed by steps that do not ask how far off a residual is; but from far below it, where the
 * residual is more than 16 times as large, a step for each octave, or it would take weeks; and from no further below
 * than a share of 2^-15: what never changed has a spread next to nothing. */
double baseline_spread_step(double spread, double residual, double step)
{
    double octaves;

    if (spread < 0)
        return residual;
    if (residual <= spread)
        return spread * (1 - step);
    spread = fmax(spread, residual * 0x1p-15);
    octaves = log2(residual / spread) - 4;
    return spread * (1 + step * (octaves > 0 ? 1 + octaves : 1));
}

/* ---- judging ---- */

static void judge(const struct baseline_params *p, double value, double median, struct baseline_answer *out)
{
    double off = value - out->expected, most;

    out->spread = 1.4826 * median;
    most = fmax(fmax(p->deviations * out->spread, p->min_abs), p->min_rel * fabs(out->expected));
    out->low = p->down ? out->expected - most : -(double)INFINITY;
    out->high = p->up ? out->expected + most : (double)INFINITY;
    if (out->learnt < 1)
        return;
    out->verdict = BASELINE_USUAL;
    if (p->up && off > most)
        out->verdict = BASELINE_HIGH;
    if (p->down && off < -most)
        out->verdict = BASELINE_LOW;
}

/* What keeps are of limited precision, and a series that never changed has no spread of its own. */
static double spread_floor(double expected)
{
    return fabs(expected) / 1000;
}

/* How far the spread may step: by the time that the value stands for, slowly in what is unusual. */
static double spread_pace(const struct baseline_answer *a, int64_t passed)
{
    double pace = 0.04 * (double)(passed < GAP_MOST_MS ? passed : GAP_MOST_MS) / STEP_MS;

    if (a->verdict == BASELINE_LEARNING)
        return pace * 2;
    return a->verdict == BASELINE_USUAL ? pace : pace / 4;
}

/* ---- seasonal ---- */

static void observe_season(struct baseline *b, const struct baseline_params *p, double value, int64_t t,
                           int64_t passed, bool learn, struct baseline_answer *out)
{
    struct season *s = &b->u.s;
    double median;

    if (t > b->t)
        out->keep = season_turn(s, t);
    out->expected = season_expected(s, t);
    out->weeks = s->weeks;
    median = season_spread(s, t);
    if (!isnan(out->expected) && !isnan(median))
        judge(p, value, fmax(median, spread_floor(out->expected)), out);
    if (learn)
        season_learn(s, t, value, out->expected, spread_pace(out, passed));
}

/* ---- EWMA ---- */

static double tau_ms(const struct baseline_params *p)
{
    double tau = (double)p->learn.ns / 1e6 / 8;

    return tau < TAU_LEAST_MS ? TAU_LEAST_MS : tau > TAU_MOST_MS ? TAU_MOST_MS : tau;
}

/* A level that holds on one side, beyond what is usual, for a time constant becomes the mean. */
static bool moved(struct ewma *e, double value, int64_t t, double tau, const struct baseline_answer *a,
                  double most)
{
    bool up = value > e->mean;

    if (a->verdict == BASELINE_LEARNING || fabs(value - e->mean) <= most) {
        e->side_since = 0;
        return false;
    }
    if (!e->side_since || e->side_up != up) {
        e->side_since = t;
        e->side_up = up;
        e->side_mean = 0;
        e->side_n = 0;
    }
    if (e->side_n < UINT32_MAX)
        e->side_n++;
    e->side_mean += (value - e->side_mean) / e->side_n;
    if ((double)(t - e->side_since) < tau)
        return false;
    e->mean = e->side_mean;
    e->side_since = 0;
    return true;
}

static void observe_ewma(struct baseline *b, const struct baseline_params *p, double value, int64_t t,
                         int64_t passed, bool learn, struct baseline_answer *out)
{
    struct ewma *e = &b->u.e;
    double tau = tau_ms(p), median = fmax(e->spread, spread_floor(e->mean)), clip = 3 * 1.4826 * median;
    double dt = (double)(passed < GAP_MOST_MS ? passed : GAP_MOST_MS), most;

    out->keep = t > b->t && t / HOUR_MS != b->t / HOUR_MS;
    if (isnan(e->mean)) {
        if (learn)
            e->mean = value;
        return;
    }
    out->expected = e->mean;
    if (e->spread >= 0)
        judge(p, value, median, out);
    if (!learn)
        return;
    most = fmax(fmax(p->deviations * 1.4826 * median, p->min_abs), p->min_rel * fabs(e->mean));
    if (moved(e, value, t, tau, out, most))
        return;
    if (e->spread >= 0 && fabs(value - e->mean) > clip)
        value = e->mean + (value > e->mean ? clip : -clip);
    e->spread = baseline_spread_step(e->spread, fabs(value - out->expected), spread_pace(out, passed));
    e->mean += (value - e->mean) * (1 - exp(-dt / (out->learnt < 1 ? tau / 8 : tau)));
}

/* ---- both ---- */

void baseline_observe(struct baseline *b, const struct baseline_params *p, double value, struct wall t,
                      bool freeze, struct baseline_answer *out)
{
    const double nan_ = (double)NAN;
    int64_t passed = b->t == INT64_MIN || t.ms <= b->t ? 0 : t.ms - b->t;
    bool learn = !freeze && (passed || b->t == INT64_MIN);

    *out = (struct baseline_answer){
        .verdict = BASELINE_LEARNING, .expected = nan_, .spread = nan_, .low = nan_, .high = nan_};
    if (!isfinite(value) || fabs(value) > 1e150)
        return;
    out->learnt = p->learn.ns > 0 ? fmin(1, (double)b->learnt_ms * 1e6 / (double)p->learn.ns) : 1;
    if (b->seasonal)
        observe_season(b, p, value, t.ms, passed, learn, out);
    else
        observe_ewma(b, p, value, t.ms, passed, learn, out);
    if (learn)
        b->learnt_ms += passed < GAP_MOST_MS ? passed : GAP_MOST_MS;
    if (t.ms > b->t)
        b->t = t.ms;
}

static void put_number(struct buf *out, double v)
{
    buf_fmt(out, "%.4g", v);
}

void baseline_text(const struct baseline_params *p, const struct baseline_answer *a, double value,
                   struct buf *out)
{
    static const char *const words[] = {[BASELINE_LEARNING] = "learning",
                                        [BASELINE_USUAL] = "usual",
                                        [BASELINE_HIGH] = "high",
                                        [BASELINE_LOW] = "low"};

    buf_fmt(out, "%s: ", words[a->verdict]);
    put_number(out, value);
    if (a->verdict == BASELINE_LEARNING)
        buf_fmt(out, ", %.0f %% learnt", a->learnt * 100);
    if (isnan(a->spread))
        return;
    buf_str(out, ", usual are ");
    if (p->down)
        put_number(out, a->low);
    buf_str(out, p->down && p->up ? " … " : p->down ? " and more" : "up to ");
    if (p->up)
        put_number(out, a->high);
    buf_str(out, " (expected ");
    put_number(out, a->expected);
    buf_str(out, ", spread ");
    put_number(out, a->spread);
    if (a->weeks)
        buf_fmt(out, ", %u week%s", a->weeks, a->weeks == 1 ? "" : "s");
    buf_u8(out, ')');
}
