/* The way of a value to the groups of the selections that its series belongs to. */
#include <math.h>

#include "aggregator/series/track.h"

/* ---- which group ---- */

static struct labels labels_of(const struct selection *sel, const struct series *x,
                               struct label out[WIRE_MAX_LABELS])
{
    struct labels l = {out, 0};

    if (sel->by_all)
        return (struct labels){x->set->desc.labels, x->set->desc.n_labels};
    for (uint32_t i = 0; i < sel->n_by && l.n < WIRE_MAX_LABELS; i++) {
        const char *value = desc_label(&x->set->desc, sel->by[i]);

        if (*value)
            out[l.n++] = (struct label){sel->by[i], value};
    }
    return l;
}

static void hold(struct feed *f, double v)
{
    f->group->reading += v - f->held;
    f->held = v;
}

static void leave(struct series_set *s, struct feed *f)
{
    if (!f->group)
        return;
    hold(f, 0);
    if (--f->group->refs == 0) {
        f->group->reading = 0;
        f->group->idle = s->now > s->received ? s->now : s->received;
    }
    f->group = NULL;
}

/* A series whose kind has changed goes on in another group. */
static struct track_group *group_of(struct series_set *s, struct series *x, struct feed *f,
                                    enum fact_kind kind)
{
    struct label room[WIRE_MAX_LABELS];

    if (f->group && f->group->kind == kind)
        return f->group;
    if (f->barred == s->serial) { /* once a batch is enough to learn that there is no room */
        s->tracking.lost[TRACK_GROUPS]++;
        return NULL;
    }
    leave(s, f);
    f->group = track_group_get(s, f->track, labels_of(f->track->selection, x, room), kind,
                               desc_label(&x->set->desc, "env"));
    if (!f->group) {
        f->barred = s->serial;
        return NULL;
    }
    f->group->refs++;
    if (kind == FACT_COUNTER && x->reading && x->reading->last.t != INT64_MIN)
        hold(f, x->reading->last.v);
    return f->group;
}

void feed_leave(struct series_set *s, struct feed *f)
{
    leave(s, f);
}

/* ---- how many series a step has ---- */

/* Whether the series was not met yet in step k. */
static bool is_first(struct feed *f, int64_t k)
{
    int64_t ahead;
    bool first;

    if (f->newest == INT64_MIN || k - f->newest >= 64) {
        f->late[0] = f->newest;
        f->newest = k;
        f->seen = 1;
        return true;
    }
    ahead = k - f->newest;
    if (ahead > 0) {
        f->seen = f->seen << ahead | 1;
        f->newest = k;
        return true;
    }
    if (ahead > -64) {
        first = !(f->seen >> -ahead & 1);
        f->seen |= UINT64_C(1) << -ahead;
        return first;
    }
    first = k != f->late[0] && k != f->late[1];
    if (first)
        f->late[1] = k;
    return first;
}

void feeds_seen(struct series_set *s, struct series *x, enum fact_kind kind, int64_t t)
{
    for (struct feed *f = x->feeds; f; f = f->next) {
        if (group_of(s, x, f, kind))
            (void)is_first(f, step_of(t));
    }
}

/* ---- values ---- */

static void add_gauge(struct track_step *x, int64_t t, double v, bool first)
{
    struct fact_bucket *b = &x->b;

    b->min = b->n && b->min < v ? b->min : v;
    b->max = b->n && b->max > v ? b->max : v;
    b->sum += v;
    b->n++;
    b->series += first;
    if (t > b->last_t || b->n == 1) {
        b->last_t = t;
        b->last = v;
        x->n_last = 1;
    } else if (t == b->last_t) {
        b->last += (v - b->last) / ++x->n_last;
    }
}

void feeds_gauge(struct series_set *s, struct series *x, int64_t t, double v)
{
    int64_t k = step_of(t);

    if (!isfinite(v)) {
        s->tracking.lost[TRACK_NOT_FINITE]++;
        return;
    }
    for (struct feed *f = x->feeds; f; f = f->next) {
        struct track_group *g = group_of(s, x, f, FACT_GAUGE);
        struct track_step *step = g ? track_open(s, g, k) : NULL;

        if (step)
            add_gauge(step, t, v, is_first(f, k));
    }
}

static struct sketch *sketch_of(struct series_set *s, struct track_step *x)
{
    if (x->sketch)
        return x->sketch;
    x->sketch = mem_alloc(s->mem, sizeof *x->sketch);
    if (x->sketch)
        sketch_init_scale(x->sketch, s->mem, SKETCH_SCALE_MAX);
    return x->sketch;
}

void feeds_sketch(struct series_set *s, struct series *x, int64_t t, const struct sketch *v)
{
    int64_t k = step_of(t);

    for (struct feed *f = x->feeds; f; f = f->next) {
        struct track_group *g = group_of(s, x, f, FACT_SKETCH);
        struct track_step *step = g ? track_open(s, g, k) : NULL;
        struct sketch *to = step ? sketch_of(s, step) : NULL;

        if (!step)
            continue;
        if (!to || sketch_merge(to, v) != 0) {
            s->tracking.lost[TRACK_MEMORY]++;
            continue;
        }
        step->b.series += is_first(f, k);
        step->b.n = to->count;
        step->b.sum = sketch_sum(to);
        step->b.min = to->min;
        step->b.max = to->max;
        step->b.last_t = step->b.last_t > t ? step->b.last_t : t;
    }
}

/* ---- counters ---- */

struct spreading {
    struct series_set *s;
    struct series *x;
    bool gains;
};

static void add_events(struct series_set *s, struct track_group *g, int64_t k, double v)
{
    struct track_step *step = v != 0 ? track_open(s, g, k) : NULL;

    if (step)
        step->b.sum += v;
}

/* In whole events when it is whole: the cuts are those of a straight line, rounded down. */
static void spread(struct series_set *s, struct track_group *g, int64_t from, int64_t to, double v, int sign)
{
    int64_t first = step_of(from + 1), last = step_of(to), n = last - first + 1;
    bool whole = v == floor(v) && v<9007199254740992.0, coarse = n> SPREAD_MOST;
    double done = 0;

    if (from >= to || n == 1) {
        add_events(s, g, last, sign * v);
        return;
    }
    n = coarse ? SPREAD_MOST : n;
    for (int64_t i = 0; i < n; i++) {
        int64_t end = coarse ? from + (to - from) / n * (i + 1) : (first + i + 1) * FACT_STEP_MS;
        double upto = i == n - 1 ? v : v * ((double)(end - from) / (double)(to - from));

        if (whole)
            upto = floor(upto);
        add_events(s, g, i == n - 1 ? last : step_of(end), sign * (upto - done));
        done = upto;
    }
}

static void spread_all(void *arg, int64_t from, int64_t to, int64_t upto, double v, int sign)
{
    struct spreading *p = arg;

    for (struct feed *f = p->x->feeds; f && p->gains; f = f->next) {
        if (f->group && upto > f->since)
            spread(p->s, f->group, from, to, v, sign);
    }
}

static void count_reading(struct series_set *s, struct feed *f, const struct point *p, bool newest)
{
    int64_t k = step_of(p->at);
    struct track_step *step = track_open(s, f->group, k);

    if (!step)
        return;
    step->b.n++;
    step->b.series += is_first(f, k);
    if (newest && p->at >= step->b.last_t) {
        step->b.last_t = p->at;
        step->b.last = f->group->reading;
    }
}

void feeds_counter(struct series_set *s, struct series *x, const struct point *p, bool gains)
{
    struct reading *r = reading_get(s, x);
    struct spreading sp = {s, x, gains};
    bool newest;

    if (!r) {
        s->tracking.lost[TRACK_MEMORY]++;
        return;
    }
    for (struct feed *f = x->feeds; f; f = f->next)
        (void)group_of(s, x, f, FACT_COUNTER);
    newest = reading_take(s, r, p, spread_all, &sp);
    x->agent->readings_state |= DIRTY;
    for (struct feed *f = x->feeds; f; f = f->next) {
        if (!f->group || f->group->kind != FACT_COUNTER)
            continue;
        if (newest)
            hold(f, p->v);
        if (gains)
            count_reading(s, f, p, newest);
        else
            (void)is_first(f, step_of(p->at));
    }
}
