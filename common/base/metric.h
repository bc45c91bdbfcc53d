/* Metric rows and where values go: one form for a collector's samples and for
 * what a daemon tells of itself. A room exports a function `x_metrics(const
 * struct x *, struct sink *)`; whoever shows them brings the sink. */
#ifndef SB_BASE_METRIC_H
#define SB_BASE_METRIC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sketch;

enum metric_kind {
    METRIC_GAUGE = 0,
    METRIC_COUNTER = 1,
    METRIC_SKETCH = 2,
    METRIC_UNTYPED = 3
}; /* as on the wire */

enum { METRIC_MAX_LABELS = 8 };

struct metric_row {
    const char *name; /* in the conventions of the field: base units, _total … */
    enum metric_kind kind;
    /* an integer sample means sample × mul ÷ div (jiffies 1/100, kB 1024/1); 0 counts as 1 */
    uint32_t mul, div;
    /* label names separated by one space, in the order of the values; "" for none; sorted */
    const char *labels;
    const char *help; /* one sentence, our own words */
};

/* A piece of text owned by somebody else, not terminated. */
struct text {
    const char *p;
    uint32_t n;
};
static inline struct text text_of(const char *s)
{
    return (struct text){s, (uint32_t)strlen(s)};
}

/* The i-th label name of a row (0 …); n 0 behind the last. */
struct text metric_label_name(const struct metric_row *row, size_t i);
size_t metric_label_count(const struct metric_row *row);

/* Takes samples. The row and the label values are borrowed for the call (rows are constants and compare by
 * address). An empty label value means that the label is absent. `labels` has as many entries as row->labels
 * has names; NULL when it has none. */
struct sink {
    void (*integer)(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v);
    void (*real)(struct sink *s, const struct metric_row *row, const struct text *labels, double v);
    void (*sketch)(struct sink *s, const struct metric_row *row, const struct text *labels,
                   const struct sketch *v);
};

static inline void sink_int(struct sink *s, const struct metric_row *row, const struct text *labels,
                            int64_t v)
{
    s->integer(s, row, labels, v);
}
static inline void sink_real(struct sink *s, const struct metric_row *row, const struct text *labels,
                             double v)
{
    s->real(s, row, labels, v);
}
static inline void sink_uint(struct sink *s, const struct metric_row *row, const struct text *labels,
                             uint64_t v)
{
    if (v <= INT64_MAX)
        s->integer(s, row, labels, (int64_t)v);
    else
        s->real(s, row, labels, (double)v * (row->mul ? row->mul : 1) / (row->div ? row->div : 1));
}

static inline void sink_sketch(struct sink *s, const struct metric_row *row, const struct text *labels,
                               const struct sketch *v)
{
    s->sketch(s, row, labels, v);
}

#endif
