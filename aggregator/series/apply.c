/* Taking the values of a committed batch, exactly as its verdict says.
 *
 * Latest values: the newest tick holds, and of two blocks with the same tick the later one. Percentiles take
 * every tick; there, too, a later block of the batch replaces the ticks that it shares with an earlier one,
 * which is rare and done apart: see feed_shared. */
#include <stdlib.h>

#include "aggregator/series/track.h"

struct applying {
    struct series_set *s;
    const struct batch_in *in;
    struct agent *agent;
    struct resource *resource;
    int64_t skew;
    bool feed;  /* percentiles and counts too */
    bool gains; /* and what selections gain */
    bool twice; /* a gauge with members has more than one part */
    uint64_t taken;
};

/* The values of one block for one gauge that percentiles are made from, in s->parts. */
struct part {
    struct series *series;
    uint32_t block, j;
};

/* One of those values when ticks may be shared. */
struct tick {
    uint32_t first, part; /* first: of its series */
    int64_t t;
    double v;
};

static int64_t last_tick(const struct wire_values *v, uint32_t j)
{
    const uint8_t *bits = v->present[j];
    uint32_t i = v->n - 1;

    while (bits && i && !(bits[i / 8] >> i % 8 & 1))
        i--;
    return v->times[i];
}

static void put_latest(struct applying *ap, struct series *x, int64_t t, double value)
{
    struct series_set *s = ap->s;
    int64_t received = ap->in->received.ms, seen;
    struct series_value *v;

    if (__builtin_sub_overflow(t, ap->skew, &seen) || seen > received)
        seen = received < t ? received : t;
    if (x->set->resource != ap->agent->current || (x->at == NOWHERE && seen < received - s->stale_ms))
        return;
    if (x->at == NOWHERE && metric_show(s, x) != 0) {
        s->lost[LOSS_MEMORY]++;
        return;
    }
    v = &x->metric->values[x->at];
    if (t < v->t)
        return;
    v->t = t;
    v->value = value;
    x->metric->slots[x->at].seen = seen;
}

/* ---- percentiles ---- */

static int64_t tick_time(const struct applying *ap, int64_t t)
{
    return t < ap->in->received.ms ? t : ap->in->received.ms;
}

static void feed_sketch(struct applying *ap, struct series *x, int64_t t, struct bytes sketch)
{
    size_t used;

    members_feed_sketch(ap->s, x, t, sketch);
    if (!x->feeds || !ap->gains)
        return;
    if (sketch_decode(&ap->s->scratch, sketch.p, sketch.n, &used, NULL) == 0)
        feeds_sketch(ap->s, x, t, &ap->s->scratch);
    else
        ap->s->tracking.lost[TRACK_MEMORY]++;
}

static void feed_gauge(struct applying *ap, struct series *x, int64_t t, double v)
{
    members_feed_gauge(ap->s, x, t, v);
    if (ap->gains)
        feeds_gauge(ap->s, x, t, v);
}

static void feed_counter(struct applying *ap, struct series *x, uint32_t k, uint32_t j)
{
    const struct wire_values *v = ap->in->values[k];
    const struct wire_block *block = &ap->in->batch->blocks[k];
    struct point p = {.start = block->has_start && block->start > 0 && block->start < INT64_C(1) << 60
                                   ? block->start
                                   : INT64_MIN,
                      .epoch = ap->in->batch->epoch,
                      .seq = ap->in->batch->seq};
    uint32_t n = 0;

    for (uint32_t i = wire_next_tick(v, j, 0); i < v->n; i = wire_next_tick(v, j, i + 1)) {
        p.t = v->times[i];
        p.at = tick_time(ap, p.t);
        p.v = v->num[j][n++];
        feeds_counter(ap->s, x, &p, ap->gains);
    }
}

static void feed_sketches(struct applying *ap, struct series *x, uint32_t k, uint32_t j)
{
    const struct wire_values *v = ap->in->values[k];
    uint32_t n = 0;

    for (uint32_t i = wire_next_tick(v, j, 0); i < v->n; i = wire_next_tick(v, j, i + 1))
        feed_sketch(ap, x, tick_time(ap, v->times[i]), v->sketch[j][n++]);
}

static void add_part(struct applying *ap, struct series *x, uint32_t k, uint32_t j)
{
    struct buf *parts = &ap->s->parts;
    struct part part = {x, k, j};

    if (x->stamp == ap->s->serial)
        ap->twice = true;
    else
        x->first = (uint32_t)(parts->len / sizeof part);
    x->stamp = ap->s->serial;
    buf_put(parts, &part, sizeof part);
}

static int tick_order(const void *a, const void *b)
{
    const struct tick *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return x->part < y->part ? -1 : x->part > y->part;
}

/* Writes the ticks of a part to out, when that is given; their number. */
static size_t part_ticks(const struct applying *ap, uint32_t p, struct tick *out)
{
    const struct part *part = (const struct part *)(const void *)ap->s->parts.data + p;
    const struct wire_values *v = ap->in->values[part->block];
    size_t n = 0;

    for (uint32_t i = wire_next_tick(v, part->j, 0); i < v->n; i = wire_next_tick(v, part->j, i + 1), n++) {
        if (out)
            out[n] = (struct tick){part->series->first, p, v->times[i], v->num[part->j][n]};
    }
    return n;
}

/* All parts at once, sorted by series, tick and block: of equal ticks of a series the last one holds. */
static void feed_shared(struct applying *ap, uint32_t n_parts)
{
    const struct part *parts = (const struct part *)(const void *)ap->s->parts.data;
    size_t n = 0, at = 0;
    struct tick *ticks;

    for (uint32_t p = 0; p < n_parts; p++)
        n += part_ticks(ap, p, NULL);
    ticks = mem_array(ap->s->mem, n, sizeof *ticks);
    if (!ticks) {
        ap->s->lost[LOSS_MEMORY] += n;
        return;
    }
    for (uint32_t p = 0; p < n_parts; p++)
        at += part_ticks(ap, p, ticks + at);
    qsort(ticks, n, sizeof *ticks, tick_order);
    for (size_t i = 0; i < n; i++) {
        const struct tick *t = &ticks[i];

        if (i + 1 < n && t->first == t[1].first && t->t == t[1].t)
            continue;
        feed_gauge(ap, parts[t->part].series, tick_time(ap, t->t), t->v);
    }
    mem_free(ap->s->mem, ticks, n * sizeof *ticks);
}

static void feed_gauges(struct applying *ap)
{
    const struct part *parts = (const struct part *)(const void *)ap->s->parts.data;
    uint32_t n_parts = (uint32_t)(ap->s->parts.len / sizeof *parts);

    if (ap->s->parts.full)
        ap->s->lost[LOSS_MEMORY]++;
    if (ap->twice) {
        feed_shared(ap, n_parts);
        return;
    }
    for (uint32_t p = 0; p < n_parts; p++) {
        const struct wire_values *v = ap->in->values[parts[p].block];
        uint32_t j = parts[p].j, n = 0;

        for (uint32_t i = wire_next_tick(v, j, 0); i < v->n; i = wire_next_tick(v, j, i + 1))
            feed_gauge(ap, parts[p].series, tick_time(ap, v->times[i]), v->num[j][n++]);
    }
}

/* ---- blocks ---- */

/* What was restored contains these values: their steps know the series. */
static void see_ticks(struct applying *ap, struct series *x, uint32_t k, uint32_t j, enum metric_kind kind)
{
    const struct wire_values *v = ap->in->values[k];
    enum fact_kind as = kind == METRIC_SKETCH    ? FACT_SKETCH
                        : kind == METRIC_COUNTER ? FACT_COUNTER
                                                 : FACT_GAUGE;

    if (as == FACT_COUNTER)
        (void)reading_get(ap->s, x);
    for (uint32_t i = wire_next_tick(v, j, 0); i < v->n; i = wire_next_tick(v, j, i + 1))
        feeds_seen(ap->s, x, as, tick_time(ap, v->times[i]));
}

static void apply_series(struct applying *ap, struct series *x, uint32_t k, uint32_t j)
{
    const struct wire_values *v = ap->in->values[k];
    enum metric_kind kind = (enum metric_kind)ap->in->schemas[k]->series[j].kind;

    ap->taken += v->count[j];
    metric_turn(ap->s, x->metric, kind);
    put_latest(ap, x, last_tick(v, j), kind == METRIC_SKETCH ? 0 : v->num[j][v->count[j] - 1]);
    if (!ap->gains && x->feeds && (!ap->feed || kind != METRIC_COUNTER))
        see_ticks(ap, x, k, j, kind);
    if ((!x->members && !x->feeds) || !ap->feed)
        return;
    members_kind(x, kind);
    if (kind == METRIC_SKETCH)
        feed_sketches(ap, x, k, j);
    else if (kind != METRIC_COUNTER)
        add_part(ap, x, k, j);
    else if (x->feeds)
        feed_counter(ap, x, k, j);
}

/* What the restored records hold already is not counted again. */
static void count_refused(struct applying *ap, enum wire_refusal why, uint64_t n)
{
    if (!ap->feed)
        return;
    ap->agent->refused[why] += n;
    ap->s->refused[why] += n;
}

static void apply_block(struct applying *ap, uint32_t k, const struct verdict *v)
{
    const struct wire_schema *schema = ap->in->schemas[k];
    const struct wire_values *values = ap->in->values[k];
    struct binding *b;

    if (v->block == REFUSE_FUTURE || v->block == REFUSE_OLD) {
        count_refused(ap, v->block == REFUSE_OLD ? WIRE_TOO_OLD : WIRE_FUTURE, values_in(values, schema->n));
        return;
    }
    b = binding_get(ap->s, ap->agent, ap->resource, &ap->in->batch->blocks[k].schema, schema->n,
                    ap->in->received.ms);
    if (b)
        b->serial = ap->s->serial;
    for (uint32_t j = 0; j < schema->n; j++) {
        enum value_taken t = verdict_series(v, j);
        struct series *x;

        if (!values->count[j])
            continue;
        if (t != VALUE_TAKE) {
            count_refused(ap, t == VALUE_KIND ? WIRE_KIND_CONFLICT : WIRE_VALUE_QUOTA, values->count[j]);
            continue;
        }
        x = b ? b->series[j] : NULL;
        if (b && !x)
            x = series_bind(ap->s, ap->agent, b, j, &schema->series[j]);
        if (x)
            apply_series(ap, x, k, j);
        else
            ap->s->lost[LOSS_MEMORY] += values->count[j];
    }
}

static bool not_older(const struct wire_batch *w, uint64_t epoch, uint64_t seq)
{
    return w->epoch > epoch || (w->epoch == epoch && w->seq >= seq);
}

/* What the batch says of its agent. An older one, late from a
 * spool or a relay, changes neither labels nor numbers. */
static void apply_agent(struct applying *ap)
{
    const struct wire_batch *w = ap->in->batch;
    struct agent *a = ap->agent;
    int64_t skew;

    if (!a->applied)
        a->first_seen = ap->in->received;
    if (a->last_received.ms < ap->in->received.ms || !a->applied)
        a->last_received = ap->in->received;
    if (!a->applied || not_older(w, a->epoch, a->seq)) {
        a->epoch = w->epoch;
        a->seq = w->seq;
        a->last_sealed = (struct wall){w->sealed};
    }
    if (!a->current || not_older(w, a->current_epoch, a->current_seq)) {
        a->current_epoch = w->epoch;
        a->current_seq = w->seq;
        agent_turn(ap->s, a, ap->resource);
    }
    if (ap->in->sent.ms && !__builtin_sub_overflow(ap->in->sent.ms, ap->in->received.ms, &skew))
        a->skew = skew;
    ap->skew = a->skew == INT64_MIN ? 0 : a->skew;
    a->applied = true;
    a->batches += ap->feed;
    a->state |= DIRTY;
}

void series_apply(struct series_set *s, const struct batch_in *in, struct bytes verdict, int64_t position,
                  bool latest_only)
{
    struct applying ap = {.s = s,
                          .in = in,
                          .feed = !latest_only,
                          .gains = !latest_only && position > s->tracking.contained,
                          .agent = agent_get(s, in->agent, in->received.ms)};
    struct verdict v;

    reap(s);
    s->serial++;
    s->received = in->received.ms;
    if (s->position < position)
        s->position = position;
    buf_clear(&s->parts);
    if (ap.agent)
        ap.resource = resource_get(s, ap.agent, in);
    if (!ap.resource) {
        for (uint32_t k = 0; k < in->batch->n_blocks; k++)
            s->lost[LOSS_MEMORY] += values_in(in->values[k], in->schemas[k]->n);
        return;
    }
    apply_agent(&ap);
    verdict_start(&v, verdict, in->n_events);
    for (uint32_t i = 0; i < in->n_events; i++) {
        enum wire_refusal why;

        if (series_event_refused(verdict, i, &why))
            count_refused(&ap, why, 1);
    }
    for (uint32_t k = 0; k < in->batch->n_blocks; k++) {
        verdict_block(&v, in->schemas[k]->n);
        apply_block(&ap, k, &v);
    }
    if (s->parts.len)
        feed_gauges(&ap);
    if (ap.feed) {
        ap.agent->values += ap.taken;
        s->applied += ap.taken;
    }
    resource_drop(s, ap.resource);
}
