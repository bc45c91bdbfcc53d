/* The protobuf format: each family gathered in an arena, packed behind its length, then forgotten. Histograms
 * carry their classic buckets and, where a sketch is there, the native form: Prometheus' index is
 * OpenTelemetry's plus one, spans of populated buckets with gaps of one or two filled with zeros, counts as
 * differences ("Native histograms", Prometheus documentation). A native histogram without observations keeps
 * one empty span, or it would read as a classic one. */
#include "aggregator/expose/page.h"

#include <math.h>
#include <string.h>

#include "aggregator/expose/metrics.pb-c.h"
#include "common/base/varint.h"

typedef Io__Prometheus__Client__Metric Metric;
typedef Io__Prometheus__Client__MetricFamily Family;
typedef Io__Prometheus__Client__LabelPair Pair;
typedef Io__Prometheus__Client__Histogram Histogram;
typedef Io__Prometheus__Client__Bucket Bucket;
typedef Io__Prometheus__Client__BucketSpan Span;

struct open_family {
    Family family;
    size_t room;
};

/* protobuf-c's own sink: appends to our buffer. */
struct append {
    ProtobufCBuffer base;
    struct buf *out;
};

static void append(ProtobufCBuffer *b, size_t n, const uint8_t *p)
{
    buf_put(((struct append *)b)->out, p, n);
}

static void flush(struct page_writer *w)
{
    struct open_family *g = w->family_state;
    struct append to = {.base = {.append = append}, .out = w->out};

    if (g && g->family.n_metric) {
        buf_varint(w->out, protobuf_c_message_get_packed_size(&g->family.base));
        (void)protobuf_c_message_pack_to_buffer(&g->family.base, &to.base);
    }
    w->family_state = NULL;
    arena_free(w->arena);
}

static void family(struct page_writer *w, const char *name, const char *help, enum page_kind kind)
{
    static const Io__Prometheus__Client__MetricType types[] = {
        IO__PROMETHEUS__CLIENT__METRIC_TYPE__GAUGE, IO__PROMETHEUS__CLIENT__METRIC_TYPE__COUNTER,
        IO__PROMETHEUS__CLIENT__METRIC_TYPE__UNTYPED, IO__PROMETHEUS__CLIENT__METRIC_TYPE__HISTOGRAM};
    struct open_family *g;

    flush(w);
    g = arena_alloc(w->arena, sizeof *g);
    if (!g) {
        w->out->full = true;
        return;
    }
    io__prometheus__client__metric_family__init(&g->family);
    g->family.name = arena_text(w->arena, name, strlen(name));
    g->family.help = arena_text(w->arena, help, strlen(help));
    g->family.has_type = 1;
    g->family.type = types[kind];
    w->kind = kind;
    w->family_state = g;
}

/* A new metric of the family with its labels; NULL (and the page is spoilt) without memory. */
static Metric *metric(struct page_writer *w, const struct label *labels, size_t n)
{
    struct open_family *g = w->family_state;
    Metric *m = arena_alloc(w->arena, sizeof *m);
    Pair *pairs = arena_array(w->arena, n, sizeof *pairs);
    Pair **list = arena_array(w->arena, n, sizeof *list);

    if (g && g->family.n_metric == g->room) {
        size_t room = g->room ? g->room * 2 : 16;
        Metric **all = arena_array(w->arena, room, sizeof(Metric *));

        if (all && g->room)
            memcpy(all, g->family.metric, g->room * sizeof *all);
        g->family.metric = all;
        g->room = all ? room : 0;
    }
    if (!g || !m || !pairs || !list || !g->family.metric) {
        w->out->full = true;
        if (g)
            g->family.n_metric = 0;
        return NULL;
    }
    io__prometheus__client__metric__init(m);
    for (size_t i = 0; i < n; i++) {
        io__prometheus__client__label_pair__init(&pairs[i]);
        memcpy(&pairs[i].name, &labels[i].name, sizeof(char *)); /* protobuf-c has no const */
        memcpy(&pairs[i].value, &labels[i].value, sizeof(char *));
        list[i] = &pairs[i];
    }
    m->label = list;
    m->n_label = n;
    g->family.metric[g->family.n_metric++] = m;
    return m;
}

static void sample(struct page_writer *w, const struct label *labels, size_t n, double v)
{
    Metric *m = metric(w, labels, n);
    Io__Prometheus__Client__Gauge *x = arena_alloc(w->arena, sizeof *x);

    if (!m || !x) {
        w->out->full = true;
        return;
    }
    switch (w->kind) {
    case PAGE_COUNTER:
        m->counter = arena_alloc(w->arena, sizeof *m->counter);
        if (m->counter) {
            io__prometheus__client__counter__init(m->counter);
            m->counter->has_value = 1;
            m->counter->value = v;
        }
        break;
    case PAGE_UNTYPED:
        m->untyped = arena_alloc(w->arena, sizeof *m->untyped);
        if (m->untyped) {
            io__prometheus__client__untyped__init(m->untyped);
            m->untyped->has_value = 1;
            m->untyped->value = v;
        }
        break;
    case PAGE_GAUGE:
    case PAGE_HISTOGRAM:
        io__prometheus__client__gauge__init(x);
        x->has_value = 1;
        x->value = v;
        m->gauge = x;
        break;
    }
    if (!m->counter && !m->untyped && !m->gauge)
        w->out->full = true;
}

/* Spans and differences of one sign. */
struct native {
    Span **spans;
    int64_t *deltas;
    size_t n_spans, n_deltas;
};

enum { LARGEST_GAP = 2 }; /* shorter runs of empty buckets are written out */

static bool native_range(struct arena *a, const struct sketch_range *r, struct native *out)
{
    Span *spans = arena_array(a, r->n + 1, sizeof *spans);
    int64_t before = 0;
    uint32_t last = 0; /* one behind the last bucket written */
    int32_t next_free = 0;

    out->spans = arena_array(a, r->n + 1, sizeof(Span *));
    out->deltas = arena_array(a, r->n + 1, sizeof *out->deltas);
    if (!spans || !out->spans || !out->deltas)
        return false;
    for (uint32_t i = 0; i < r->n; i++) {
        int32_t index = r->offset + (int32_t)i + 1;

        if (!r->counts[i])
            continue;
        if (!out->n_spans || i - last > LARGEST_GAP) {
            Span *s = &spans[out->n_spans];

            io__prometheus__client__bucket_span__init(s);
            s->has_offset = s->has_length = 1;
            s->offset = out->n_spans ? index - next_free : index;
            out->spans[out->n_spans++] = s;
            last = i;
        }
        for (; last <= i; last++) {
            int64_t count = (int64_t)r->counts[last];

            out->deltas[out->n_deltas++] = count - before;
            before = count;
            out->spans[out->n_spans - 1]->length++;
        }
        next_free = index + 1;
    }
    return true;
}

static bool native(struct arena *a, const struct sketch *s, Histogram *h)
{
    struct native pos = {0}, neg = {0};

    if (!native_range(a, &s->pos, &pos) || !native_range(a, &s->neg, &neg))
        return false;
    if (!pos.n_spans && !neg.n_spans && !s->zero_count) {
        Span *none = arena_alloc(a, sizeof *none);

        if (!none)
            return false;
        io__prometheus__client__bucket_span__init(none);
        none->has_offset = none->has_length = 1;
        pos.spans[pos.n_spans++] = none;
    }
    h->has_schema = h->has_zero_threshold = h->has_zero_count = 1;
    h->schema = s->scale;
    h->zero_threshold = ldexp(1, -128);
    h->zero_count = s->zero_count;
    h->positive_span = pos.spans;
    h->n_positive_span = pos.n_spans;
    h->positive_delta = pos.deltas;
    h->n_positive_delta = pos.n_deltas;
    h->negative_span = neg.spans;
    h->n_negative_span = neg.n_spans;
    h->negative_delta = neg.deltas;
    h->n_negative_delta = neg.n_deltas;
    return true;
}

static bool classic(struct arena *a, const struct page_histogram *from, Histogram *h)
{
    Bucket *buckets = arena_array(a, from->n + 1u, sizeof *buckets);

    h->bucket = arena_array(a, from->n + 1u, sizeof(Bucket *));
    if (!buckets || !h->bucket)
        return false;
    for (uint32_t i = 0; i <= from->n; i++) {
        io__prometheus__client__bucket__init(&buckets[i]);
        buckets[i].has_cumulative_count = buckets[i].has_upper_bound = 1;
        buckets[i].cumulative_count = i < from->n ? from->buckets[i] : from->count;
        buckets[i].upper_bound = i < from->n ? from->bounds[i] : (double)INFINITY;
        h->bucket[i] = &buckets[i];
    }
    h->n_bucket = from->n + 1u;
    return true;
}

static void histogram(struct page_writer *w, const struct label *labels, size_t n,
                      const struct page_histogram *from)
{
    Metric *m = metric(w, labels, n);
    Histogram *h = arena_alloc(w->arena, sizeof *h);

    if (!m || !h) {
        w->out->full = true;
        return;
    }
    io__prometheus__client__histogram__init(h);
    h->has_sample_count = h->has_sample_sum = 1;
    h->sample_count = from->count;
    h->sample_sum = from->sum;
    if (!classic(w->arena, from, h) || (from->native && !native(w->arena, from->native, h)))
        w->out->full = true;
    m->histogram = h;
}

void page_protobuf_writer(struct page_writer *w, struct buf *out, struct arena *arena)
{
    *w = (struct page_writer){
        .out = out, .family = family, .sample = sample, .histogram = histogram, .end = flush, .arena = arena};
}
