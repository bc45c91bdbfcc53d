/* Comparing a value with a condition, and telling the condition as text. See rule.h. */
#include <math.h>

#include "aggregator/alert/rule.h"
#include "common/base/number.h"

const char *alert_verdict_name(enum verdict v)
{
    static const char *const names[VERDICTS] = {"clear", "between", "holds", "no data"};

    return names[v];
}

static bool breached(const struct condition *c, double v)
{
    switch (c->op) {
    case COMPARE_ABOVE: return v > c->high;
    case COMPARE_BELOW: return v < c->low;
    case COMPARE_OUTSIDE: return v < c->low || v > c->high;
    case COMPARE_EQUAL: return v <= c->low && v >= c->low;
    case COMPARE_NONE: break;
    }
    return false;
}

enum verdict condition_judge(const struct condition *c, double v)
{
    if (isnan(v))
        return VERDICT_NONE;
    if (breached(c, v))
        return VERDICT_HOLDS;
    if (c->has_clear_below && !(v < c->clear_below))
        return VERDICT_BETWEEN;
    if (c->has_clear_above && !(v > c->clear_above))
        return VERDICT_BETWEEN;
    return VERDICT_CLEAR;
}

double condition_bound(const struct condition *c, double v)
{
    switch (c->op) {
    case COMPARE_ABOVE: return c->high;
    case COMPARE_BELOW:
    case COMPARE_EQUAL: return c->low;
    case COMPARE_OUTSIDE: return fabs(v - c->low) < fabs(v - c->high) ? c->low : c->high;
    case COMPARE_NONE: break;
    }
    return NAN;
}

static void put(struct buf *out, const char *before, double v)
{
    char text[NUMBER_TEXT];

    number_text(v, text);
    buf_fmt(out, "%s%s", before, text);
}

void condition_text(const struct condition *c, struct buf *out)
{
    switch (c->op) {
    case COMPARE_ABOVE: put(out, "> ", c->high); break;
    case COMPARE_BELOW: put(out, "< ", c->low); break;
    case COMPARE_EQUAL: put(out, "= ", c->low); break;
    case COMPARE_OUTSIDE:
        put(out, "outside ", c->low);
        put(out, " … ", c->high);
        break;
    case COMPARE_NONE: buf_str(out, "holds"); break;
    }
}

void condition_clear_text(const struct condition *c, struct buf *out)
{
    if (!c->has_clear_above && !c->has_clear_below) {
        buf_str(out, "not (");
        condition_text(c, out);
        buf_str(out, ")");
        return;
    }
    if (c->has_clear_above)
        put(out, "> ", c->clear_above);
    if (c->has_clear_above && c->has_clear_below)
        buf_str(out, " and ");
    if (c->has_clear_below)
        put(out, "< ", c->clear_below);
    if (c->op == COMPARE_OUTSIDE && !c->has_clear_above)
        put(out, " and >= ", c->low);
    if (c->op == COMPARE_OUTSIDE && !c->has_clear_below)
        put(out, " and <= ", c->high);
}
