/* What a rule makes of a group: its window, the statistic over it, the verdict. See state.h. */
#include <math.h>

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

static void no_verdict(struct measured *m, const char *why)
{
    m->value = NAN;
    m->verdict = VERDICT_NONE;
    m->why = why;
}

/* The statistic over a window; NaN and a reason in m->why when it has no value. */
static double statistic(const struct rule *r, const struct fact_bucket *b, double seconds, struct measured *m)
{
    switch (r->kind) {
    case RULE_LAST: return b->last;
    case RULE_AVG: return b->sum / (double)b->n;
    case RULE_MIN: return b->min;
    case RULE_MAX: return b->max;
    case RULE_SUM:
    case RULE_INCREASE: return b->sum;
    case RULE_RATE: return b->sum / seconds;
    default: break;
    }
    m->why = "this statistic is not known";
    return NAN;
}

void rule_measure(struct alerts *a, const struct rule *r, const struct alert_input *in,
                  const struct fact_group *g, struct measured *m)
{
    struct fact_bucket b;
    struct fact_cover cover;
    int64_t now = in->now.ms;

    (void)a;
    *m = (struct measured){.t = fact_newest(g), .to = window_end(r->window, in->now)};
    m->from = m->to - span_to_ms(r->window);
    m->threshold = NAN;
    if (facts_window(g, m->from, m->to, &b, NULL, &cover) != 0) {
        no_verdict(m, "the window could not be read");
        return;
    }
    m->n = b.n;
    m->held_steps = cover.held;
    m->of_steps = cover.of;
    if (!b.n) {
        no_verdict(m, "no sample in the window");
        return;
    }
    if (b.n < r->min_count) {
        no_verdict(m, "fewer values in the window than min_count");
        return;
    }
    m->value = statistic(r, &b, (double)((now < m->to ? now : m->to) - m->from) / 1000, m);
    if (isnan(m->value)) {
        no_verdict(m, m->why ? m->why : "the value is not a number");
        return;
    }
    m->threshold = condition_bound(&r->condition, m->value);
    m->verdict = condition_judge(&r->condition, m->value);
}
