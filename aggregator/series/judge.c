/* Which values of a batch are taken. Judged before the journal has it, by the time of receipt; see verdict.c
 * for what is written down. Series are made here already, invisible: when the batch is then not committed,
 * nobody sees them and they go with their binding. */
#include "aggregator/series/table.h"

/* Age of something whose newest time is t. */
static enum taken by_time(const struct series_set *s, int64_t t, struct wall received)
{
    if (t > received.ms + FUTURE_MS)
        return REFUSE_FUTURE;
    return t < received.ms - s->max_age_ms ? REFUSE_OLD : TAKE;
}

static const enum wire_refusal time_refusal[] = {
    [REFUSE_FUTURE] = WIRE_FUTURE,
    [REFUSE_OLD] = WIRE_TOO_OLD,
};

/* New series are not begun while an eighth of the memory,
 * kept for snapshots and windows, would be touched. */
static bool may_begin(const struct series_set *s, const struct agent *a)
{
    return a->n_series < s->quota && (!s->mem->cap || s->mem->used < s->mem->cap - s->mem->cap / 8);
}

static enum value_taken judge_series(struct series_set *s, struct agent *a, struct binding *b, uint32_t j,
                                     const struct wire_series *w, int64_t received)
{
    struct series *x = b->series[j];
    struct metric *m = x ? x->metric : metric_find(s, w->name);

    if (m && metric_held(m, received) && m->kind != (enum metric_kind)w->kind)
        return VALUE_KIND;
    if (!x && !series_find(s, b, w) && !may_begin(s, a))
        return VALUE_QUOTA;
    if (!x)
        x = series_bind(s, a, b, j, w);
    if (!x)
        return VALUE_QUOTA;
    m = x->metric;
    metric_turn(s, m, (enum metric_kind)w->kind);
    if (m->reserved < received + RESERVE_MS)
        m->reserved = received + RESERVE_MS;
    return VALUE_TAKE;
}

/* Marks value j in bits that begin at `at`. */
static void mark(struct buf *verdict, size_t at, uint32_t j, unsigned two)
{
    if (!verdict->full)
        verdict->data[at + j / 4] = (uint8_t)(verdict->data[at + j / 4] | two << 2 * (j % 4));
}

static bool begin_bits(struct buf *verdict, uint32_t n, size_t *at)
{
    size_t bytes = ((size_t)n + 3) / 4;
    uint8_t *p;

    *at = verdict->len;
    p = bytes ? buf_grow(verdict, bytes) : NULL;
    for (size_t i = 0; p && i < bytes; i++)
        p[i] = 0;
    return p || !bytes;
}

static bool judge_events(const struct series_set *s, const struct batch_in *in, struct buf *verdict,
                         uint64_t refused[WIRE_REFUSALS])
{
    bool any = false;
    size_t at;

    if (!begin_bits(verdict, in->n_events, &at))
        return false;
    for (uint32_t i = 0; i < in->n_events; i++) {
        enum taken t = by_time(s, in->events[i].t, in->received);

        if (t == TAKE)
            continue;
        any = true;
        refused[time_refusal[t]]++;
        mark(verdict, at, i, t);
    }
    return any;
}

/* The series of a block that is taken by its time. True when one was refused. ERR_NOMEM in *code. */
static bool judge_block(struct series_set *s, const struct batch_in *in, struct agent *a, struct resource *r,
                        uint32_t k, struct buf *verdict, uint64_t refused[WIRE_REFUSALS], int *code)
{
    const struct wire_schema *schema = in->schemas[k];
    const struct wire_values *v = in->values[k];
    struct binding *b = binding_get(s, a, r, &in->batch->blocks[k].schema, schema->n, in->received.ms);
    size_t code_at = verdict->len, at;
    bool any = false;

    buf_u8(verdict, TAKE);
    if (!b || !begin_bits(verdict, schema->n, &at)) {
        *code = ERR_NOMEM;
        return false;
    }
    for (uint32_t j = 0; j < schema->n; j++) {
        enum value_taken t =
            v->count[j] ? judge_series(s, a, b, j, &schema->series[j], in->received.ms) : VALUE_TAKE;

        if (t == VALUE_TAKE)
            continue;
        any = true;
        refused[t == VALUE_KIND ? WIRE_KIND_CONFLICT : WIRE_VALUE_QUOTA] += v->count[j];
        mark(verdict, at, j, t);
    }
    if (any)
        verdict->data[code_at] = REFUSE_SOME;
    else
        verdict->len = at;
    return any;
}

static bool judge_all(struct series_set *s, const struct batch_in *in, struct agent *a, struct resource *r,
                      struct buf *verdict, uint64_t refused[WIRE_REFUSALS], int *code)
{
    bool any = judge_events(s, in, verdict, refused);

    for (uint32_t k = 0; k < in->batch->n_blocks && !*code; k++) {
        const struct wire_values *v = in->values[k];
        enum taken t = v->n ? by_time(s, v->times[v->n - 1], in->received) : TAKE;

        if (t == TAKE) {
            any |= judge_block(s, in, a, r, k, verdict, refused, code);
            continue;
        }
        any = true;
        refused[time_refusal[t]] += values_in(v, in->schemas[k]->n);
        buf_u8(verdict, (uint8_t)t);
    }
    if (verdict->full)
        *code = ERR_NOMEM;
    return any;
}

int series_judge(struct series_set *s, const struct batch_in *in, struct buf *verdict,
                 uint64_t refused[WIRE_REFUSALS], struct err *e)
{
    struct agent *a;
    struct resource *r = NULL;
    int code = 0;
    bool any = false;

    reap(s);
    buf_clear(verdict);
    for (int i = 0; i < WIRE_REFUSALS; i++)
        refused[i] = 0;
    a = agent_get(s, in->agent, in->received.ms);
    if (a)
        r = resource_get(s, a, in);
    if (r) {
        any = judge_all(s, in, a, r, verdict, refused, &code);
        resource_drop(s, r);
    } else {
        code = ERR_NOMEM;
    }
    if (code) {
        s->lost[LOSS_MEMORY]++;
        return err_set(e, code, "the table of series is full: %zu of %zu bytes", s->mem->used, s->mem->cap);
    }
    if (!any)
        buf_clear(verdict);
    return 0;
}
