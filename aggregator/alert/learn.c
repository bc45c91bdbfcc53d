/* Rules with a baseline: each group has an alert from its first value on, inactive or not, for it keeps what was
 * learnt; that is stored with the alert's record, once an hour. See state.h and baseline.h. */
#include <math.h>

#include "aggregator/alert/baseline.h"
#include "aggregator/alert/state.h"

static bool frozen(const struct turn *t, const struct alert *al)
{
    for (uint32_t i = 0; i < t->in->n_maintenance && al->of->rule->baseline.freeze; i++) {
        const struct maintenance_fact *m = &t->in->maintenance[i];

        if (t->in->now.ms >= m->from.ms && t->in->now.ms < m->to.ms && match_labels(m->match, al->labels))
            return true;
    }
    return false;
}

void alert_baseline_drop(struct alerts *a, struct alert *al)
{
    baseline_free(&al->baseline, a->mem);
}

void alert_baseline_keep(struct alerts *a, struct alert *al, const struct rule *r)
{
    bool seasonal = r->baseline.kind == BASELINE_SEASONAL;

    if (al->baseline && (r->baseline.kind == BASELINE_NONE || baseline_is_seasonal(al->baseline) != seasonal))
        baseline_free(&al->baseline, a->mem);
}

void alert_baseline_judge(const struct turn *t, struct alert *al, struct measured *m)
{
    const struct rule_baseline *r = &al->of->rule->baseline;
    const struct baseline_params p = {.seasonal = r->kind == BASELINE_SEASONAL,
                                      .up = r->direction & DIRECTION_UP,
                                      .down = r->direction & DIRECTION_DOWN,
                                      .deviations = r->deviations,
                                      .min_abs = r->min_abs,
                                      .min_rel = r->min_rel,
                                      .learn = r->learn};
    struct baseline_answer answer;

    if (m->verdict == VERDICT_NONE || t->in->hold)
        return;
    if (!al->baseline)
        al->baseline = baseline_new(p.seasonal, t->a->mem);
    if (!al->baseline) {
        t->a->no_memory++;
        m->verdict = VERDICT_NONE;
        m->why = "no memory for a baseline";
        return;
    }
    baseline_observe(al->baseline, &p, m->value, (struct wall){m->t}, frozen(t, al), &answer);
    al->dirty |= answer.keep;
    m->expected = answer.expected;
    m->low = answer.low;
    m->high = answer.high;
    m->threshold =
        answer.verdict == BASELINE_LOW || (answer.verdict != BASELINE_HIGH && m->value < answer.expected)
            ? answer.low
            : answer.high;
    m->verdict = answer.verdict == BASELINE_USUAL      ? VERDICT_CLEAR
                 : answer.verdict == BASELINE_LEARNING ? VERDICT_BETWEEN
                                                       : VERDICT_HOLDS;
    m->why = answer.verdict == BASELINE_LEARNING ? "the baseline is still learning" : NULL;
}
