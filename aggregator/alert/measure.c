/* What a rule makes of a group: its window, the statistic over it, the verdict. See state.h. */
#include <math.h>
#include <string.h>

#include "aggregator/alert/state.h"

#define MINUTE_TIER span_s(30 * 60)
#define HOUR_TIER   span_s(3 * 86400 + 3600)

int64_t window_end(struct span window, struct wall now)
{
    int64_t step = window.ns <= MINUTE_TIER.ns ? FACT_STEP_MS
                   : window.ns <= HOUR_TIER.ns ? FACT_MINUTE_MS
                                               : FACT_HOUR_MS;

    return (now.ms + step - 1) / step * step;
}

static void too_few(struct measured *m, const char *why)
{
    m->value = NAN;
    m->verdict = VERDICT_NONE;
    m->few = true;
    m->why = why;
}

static void no_verdict(struct measured *m, const char *why)
{
    m->value = NAN;
    m->verdict = VERDICT_NONE;
    m->why = why;
}

void measured_judge(const struct rule *r, struct measured *m)
{
    m->threshold = condition_bound(&r->condition, m->value);
    m->verdict = condition_judge(&r->condition, m->value);
}

static const enum statistic statistics[RULE_KINDS] = {
    [RULE_LAST] = STAT_LAST,         [RULE_AVG] = STAT_AVG,
    [RULE_MIN] = STAT_MIN,           [RULE_MAX] = STAT_MAX,
    [RULE_SUM] = STAT_SUM,           [RULE_RATE] = STAT_RATE,
    [RULE_INCREASE] = STAT_INCREASE, [RULE_PERCENTILE] = STAT_PERCENTILE,
    [RULE_RATIO] = STAT_RATIO,       [RULE_SHARE] = STAT_SHARE,
    [RULE_FORECAST] = STAT_FORECAST, [RULE_CHANGE] = STAT_CHANGE,
    [RULE_UNTIL] = STAT_UNTIL,       [RULE_AGE] = STAT_AGE,
};

static void from_answer(const struct rule *r, const struct statistic_answer *x, struct measured *m)
{
    m->n = x->n;
    m->from = x->from;
    m->to = x->to;
    m->held_steps = x->cover.held;
    m->of_steps = x->cover.of;
    if (x->newest)
        m->t = m->data = x->newest;
    m->value = x->value;
    if (!x->has)
        no_verdict(m, x->why ? x->why : "there is no value");
    else if (x->n < r->min_count)
        too_few(m, "fewer values in the window than min_count");
    else if (isnan(x->value))
        no_verdict(m, "the value is not a number");
}

/* Of a counted or absent group: how many of its series brought a sample within the window. */
static void measure_series(const struct rule *r, const struct fact_group *g, struct wall now,
                           struct measured *m)
{
    struct fact_bucket b;
    struct fact_cover cover;

    statistic_window(g, r->window, now, &m->from, &m->to);
    if (facts_window(g, m->from, m->to, &b, NULL, &cover) != 0) {
        no_verdict(m, "the window could not be read");
        return;
    }
    m->t = now.ms;
    m->data = b.last_t;
    m->n = b.n;
    m->held_steps = cover.held;
    m->of_steps = cover.of;
    m->value = b.n ? b.series : 0;
    if (r->kind == RULE_COUNT && b.n < r->min_count)
        too_few(m, "fewer values in the window than min_count");
    else if (r->kind == RULE_ABSENT)
        m->verdict = b.n ? VERDICT_CLEAR : VERDICT_HOLDS;
}

void rule_measure(const struct rule *r, const struct fact_group *g, const struct fact_group *of,
                  struct wall now, struct sketch *scratch, struct measured *m)
{
    const struct statistic_ask ask = {
        .what = statistics[r->kind],
        .window = r->window,
        .quantile = r->quantile,
        .bound = r->bound,
        .horizon = r->horizon,
        .before = r->before,
    };
    struct statistic_answer answer;

    *m = (struct measured){.t = now.ms, .value = NAN, .threshold = NAN, .verdict = VERDICT_BETWEEN};
    if (r->kind == RULE_COUNT || r->kind == RULE_ABSENT) {
        measure_series(r, g, now, m);
    } else {
        statistic_measure(&ask, g, of, now, scratch, &answer);
        from_answer(r, &answer, m);
    }
    if (m->verdict == VERDICT_BETWEEN && r->condition.op != COMPARE_NONE)
        measured_judge(r, m);
}

/* ---- burns ---- */

static const struct burn_window *burn_window(const struct burn_fact *b, struct span window)
{
    for (int i = 0; i < BURN_WINDOWS; i++) {
        if (b->w[i].window.ns == window.ns)
            return &b->w[i];
    }
    return NULL;
}

/* Little traffic is judged by what is certain of its burn, the lower bound. */
static double burn_of(const struct burn_window *w)
{
    return w->enough ? w->burn : w->burn_least;
}

void rule_measure_burn(const struct rule *r, const struct burn_fact *b, struct wall now, struct measured *m)
{
    const struct burn_window *l = burn_window(b, r->burn_long), *s = burn_window(b, r->burn_short);
    double vl, vs;

    *m = (struct measured){
        .t = now.ms, .value = NAN, .threshold = NAN, .from = now.ms - span_to_ms(r->burn_long), .to = now.ms};
    if (!l || !s) {
        no_verdict(m, "the objective has no such window");
        return;
    }
    m->n = l->total;
    vl = burn_of(l);
    vs = burn_of(s);
    if (isnan(vl) || isnan(vs)) {
        no_verdict(m, "no events in one of the two windows");
        return;
    }
    if (l->total < r->min_count) {
        too_few(m, "fewer events in the long window than min_count");
        return;
    }
    m->value = vl < vs ? vl : vs; /* both have to exceed */
    measured_judge(r, m);
}
