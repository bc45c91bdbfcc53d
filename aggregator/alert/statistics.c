/* Statistics over windows: see statistics.h. */
#include "aggregator/alert/statistics.h"

#include <math.h>

enum { FORECAST_POINTS_LEAST = 5 };

struct asking {
    const struct statistic_ask *ask;
    const struct fact_group *g;
    int64_t now;
    struct sketch *scratch;
    struct statistic_answer *out;
    struct fact_bucket b; /* the window */
};

static double none(struct asking *k, const char *why)
{
    k->out->why = why;
    return (double)NAN;
}

static int64_t up(int64_t t, int64_t length)
{
    int64_t rest = t % length;

    return rest > 0 ? t + (length - rest) : t - rest;
}

void statistic_window(const struct fact_group *g, struct span window, struct wall now, int64_t *from,
                      int64_t *to)
{
    int64_t w = span_to_ms(window), length = fact_step_length(g, now.ms - w, now.ms);

    *to = up(now.ms, length);
    *from = *to - up(w, length);
}

/* Seconds of the window that samples cover: up to the newest, but not less than half of it. */
static double covered(int64_t from, int64_t to, int64_t newest)
{
    int64_t end = newest > from && newest < to ? newest : to, half = (to - from) / 2;

    return (double)(end - from > half ? end - from : half) / 1000;
}

/* ---- steps ---- */

struct walk {
    enum fact_kind kind;
    double bound;
    uint64_t steps, above;
    double first; /* the first step's last value */
    struct sketch *sketch;
    int64_t from, width;
    double x[LINE_POINTS], y[LINE_POINTS], weight[LINE_POINTS];
};

static int walk_share(void *arg, int64_t start, int64_t length, const struct fact_bucket *b)
{
    struct walk *w = arg;

    (void)start;
    (void)length;
    if (!b->n)
        return 0;
    if (!w->steps++)
        w->first = b->last;
    if (b->sum / (double)b->n > w->bound)
        w->above++;
    return 0;
}

static int walk_values(void *arg, int64_t start, int64_t length, const struct fact_bucket *b)
{
    struct walk *w = arg;
    int rc;

    (void)start;
    (void)length;
    rc = b->n ? sketch_add(w->sketch, b->sum / (double)b->n, 1) : 0;
    return rc == ERR_RANGE ? 0 : rc; /* an infinite mean has no rank */
}

/* Points of a line: at most LINE_POINTS of them, so that neighbouring steps share one. */
static int walk_line(void *arg, int64_t start, int64_t length, const struct fact_bucket *b)
{
    struct walk *w = arg;
    int64_t i = (start - w->from) / w->width;

    if (!b->n || i < 0 || i >= LINE_POINTS)
        return 0;
    if (w->kind == FACT_COUNTER) { /* the newest reading of them */
        w->x[i] = (double)(b->last_t - w->from) / 1000;
        w->y[i] = b->last;
        w->weight[i] = 1;
        return 0;
    }
    w->x[i] += ((double)(start - w->from) + (double)length / 2) / 1000 * (double)b->n;
    w->y[i] += b->sum;
    w->weight[i] += (double)b->n;
    return 0;
}

static double gauge_increase(struct asking *k)
{
    struct walk w = {0};

    (void)facts_each(k->g, k->out->from, k->out->to, walk_share, &w);
    return w.steps < 2 ? none(k, "one step alone has no increase") : k->b.last - w.first;
}

static double increase(struct asking *k)
{
    switch (fact_group_kind(k->g)) {
    case FACT_COUNTER: return k->b.sum;
    case FACT_SKETCH: return (double)k->b.n;
    default: return gauge_increase(k);
    }
}

static double of_values(struct asking *k)
{
    if (fact_group_kind(k->g) == FACT_COUNTER)
        return none(k, "a counter has no such value; its rate has");
    switch (k->ask->what) {
    case STAT_MIN: return k->b.min;
    case STAT_MAX: return k->b.max;
    default: return k->b.sum / (double)k->b.n;
    }
}

static double last(struct asking *k)
{
    return fact_group_kind(k->g) == FACT_SKETCH ? none(k, "a sketch has no last value") : k->b.last;
}

static double percentile(struct asking *k)
{
    struct walk w = {.sketch = k->scratch};

    if (fact_group_kind(k->g) == FACT_COUNTER)
        return none(k, "a counter has no percentile");
    if (fact_group_kind(k->g) == FACT_GAUGE && facts_each(k->g, k->out->from, k->out->to, walk_values, &w))
        return none(k, "no memory for a percentile");
    return sketch_quantile(k->scratch, k->ask->quantile);
}

static double share(struct asking *k)
{
    struct walk w = {.bound = k->ask->bound};

    switch (fact_group_kind(k->g)) {
    case FACT_SKETCH:
        return (double)(k->scratch->count - sketch_count_le(k->scratch, k->ask->bound)) /
               (double)k->scratch->count;
    case FACT_GAUGE:
        (void)facts_each(k->g, k->out->from, k->out->to, walk_share, &w);
        return (double)w.above / (double)w.steps;
    default: return none(k, "a counter has no share of values");
    }
}

static double forecast(struct asking *k)
{
    int64_t length = fact_step_length(k->g, k->out->from, k->out->to);
    int64_t steps = (k->out->to - k->out->from) / length;
    struct walk w = {.kind = fact_group_kind(k->g), .from = k->out->from};
    uint32_t n = 0;
    struct line l;

    w.width = (steps + LINE_POINTS - 1) / LINE_POINTS * length;
    if (!w.width || facts_each(k->g, k->out->from, k->out->to, walk_line, &w))
        return none(k, "the window could not be read");
    for (uint32_t i = 0; i < LINE_POINTS; i++) {
        double y = w.y[i] / w.weight[i];

        if (w.weight[i] == 0 || !isfinite(y))
            continue;
        w.x[n] = w.x[i] / w.weight[i];
        w.y[n++] = y;
    }
    if (n < FORECAST_POINTS_LEAST)
        return none(k, "too few steps for a forecast");
    if ((w.x[n - 1] - w.x[0]) * 2 < (double)(k->out->to - k->out->from) / 1000)
        return none(k, "less than half of the window is known: too little for a forecast");
    l = line_through(w.x, w.y, n);
    return l.at_zero + l.slope * ((double)(k->now - k->out->from) / 1000 + span_seconds(k->ask->horizon));
}

/* ---- change ---- */

static int walk_first(void *arg, int64_t start, int64_t length, const struct fact_bucket *b)
{
    (void)length;
    if (!b->n)
        return 0;
    *(int64_t *)arg = start;
    return 1;
}

static double level(enum fact_kind kind, const struct fact_bucket *b, double seconds)
{
    return kind == FACT_COUNTER ? b->sum / seconds : b->sum / (double)b->n;
}

static double change(struct asking *k)
{
    enum fact_kind kind = fact_group_kind(k->g);
    int64_t back = span_to_ms(k->ask->before), from = k->out->from - back, to = k->out->to - back;
    int64_t length = fact_step_length(k->g, from, to);
    double now = level(kind, &k->b, covered(k->out->from, k->out->to, k->b.last_t)), then;
    int64_t first = from;
    struct fact_bucket b;

    from = up(from - length + 1, length); /* whole steps around it, for long ago they are long */
    to = up(to, length);
    if (facts_window(k->g, from, to, &b, NULL, NULL) || !b.n)
        return none(k, "no sample in the window that it is compared with");
    (void)facts_each(k->g, from, to, walk_first, &first);
    if ((first - from) * 4 > to - from) /* it was born in it */
        return none(k, "the window that it is compared with is not known from its beginning");
    then = level(kind, &b, (double)(to - from) / 1000);
    if (then == 0)
        return now == 0 ? 0 : none(k, "it was 0 in the window that it is compared with");
    return (now - then) / fabs(then);
}

/* ---- ratio ---- */

static double amount(enum fact_kind kind, const struct fact_bucket *b)
{
    return kind == FACT_COUNTER ? b->sum : kind == FACT_SKETCH ? (double)b->n : b->sum / (double)b->n;
}

static double ratio(struct asking *k, const struct fact_group *of)
{
    enum fact_kind kind = of ? fact_group_kind(of) : FACT_UNKNOWN;
    struct fact_bucket below;
    double b;

    k->out->n = 0;
    if (!of || facts_window(of, k->out->from, k->out->to, &below, NULL, &k->out->cover) || !below.n)
        return none(k, "no sample below the line");
    k->out->newest = below.last_t > k->out->newest ? below.last_t : k->out->newest;
    b = amount(kind, &below);
    k->out->n = kind == FACT_GAUGE ? below.n : b > 0 && b < 1e18 ? (uint64_t)b : below.n;
    if (b == 0)
        return none(k, "0 below the line");
    if (!k->b.n && kind == FACT_GAUGE)
        return none(k, "no sample above the line");
    return k->b.n || k->b.sum != 0 ? amount(fact_group_kind(k->g), &k->b) / b : 0;
}

/* ---- time stamps ---- */

static double stamp(struct asking *k)
{
    double seconds = (double)k->now / 1000;

    if (fact_group_kind(k->g) != FACT_GAUGE)
        return none(k, "only a gauge is a time stamp");
    if (k->ask->what == STAT_AGE)
        return k->b.last == 0 ? 0 : seconds - k->b.last;
    return k->b.last == 0 ? none(k, "0: there is no such time") : k->b.last - seconds;
}

/* ---- all ---- */

static double value_of(struct asking *k, const struct fact_group *of)
{
    switch (k->ask->what) {
    case STAT_LAST: return last(k);
    case STAT_AVG:
    case STAT_MIN:
    case STAT_MAX: return of_values(k);
    case STAT_SUM: return k->b.sum;
    case STAT_INCREASE: return increase(k);
    case STAT_RATE: return increase(k) / covered(k->out->from, k->out->to, k->b.last_t);
    case STAT_COUNT: return (double)k->b.n;
    case STAT_PERCENTILE: return percentile(k);
    case STAT_SHARE: return share(k);
    case STAT_RATIO: return ratio(k, of);
    case STAT_FORECAST: return forecast(k);
    case STAT_CHANGE: return change(k);
    case STAT_UNTIL:
    case STAT_AGE: return stamp(k);
    case STATISTICS: break;
    }
    return none(k, "this statistic is not known");
}

void statistic_measure(const struct statistic_ask *ask, const struct fact_group *g,
                       const struct fact_group *of, struct wall now, struct sketch *scratch,
                       struct statistic_answer *out)
{
    bool sketch = ask->what == STAT_PERCENTILE || ask->what == STAT_SHARE;
    struct asking k = {.ask = ask, .g = g, .now = now.ms, .scratch = scratch, .out = out};
    const struct fact_group *any = g ? g : of;

    *out = (struct statistic_answer){.value = (double)NAN, .why = "no such group"};
    if (!any || (!g && ask->what != STAT_RATIO))
        return;
    out->why = NULL;
    statistic_window(any, ask->window, now, &out->from, &out->to);
    if (sketch)
        sketch_clear(scratch);
    if (g && facts_window(g, out->from, out->to, &k.b, sketch ? scratch : NULL, &out->cover)) {
        out->why = "the window could not be read";
        return;
    }
    out->n = k.b.n;
    out->newest = k.b.last_t;
    if (!k.b.n && ask->what != STAT_COUNT && ask->what != STAT_RATIO) {
        out->why = "no sample in the window";
        return;
    }
    out->value = value_of(&k, of);
    out->has = !isnan(out->value);
    if (!out->has && !out->why)
        out->why = "the value is not a number";
}
