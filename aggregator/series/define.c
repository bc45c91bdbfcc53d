/* [percentile NAME]: its option rows, and from a section to a definition. */
#include <string.h>

#include "aggregator/series/percentile.h"
#include "common/base/number.h"

static const struct option_row rows[] = {
    {.key = "metric",
     .type = OPT_STRING,
     .required = true,
     .reloadable = true,
     .sentence =
         "Name of the metric: a sketch (percentiles of all its values) or a gauge (of each host's mean)."},
    {.key = "match",
     .type = OPT_LABELS,
     .dflt = "",
     .reloadable = true,
     .sentence =
         "Labels that a series must have, those of its host among them; without, every series counts."},
    {.key = "by",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = BY_MAX,
     .sentence = "Labels by whose values the series are put into groups."},
    {.key = "windows",
     .type = OPT_DURATIONS,
     .dflt = "1m 5m 1h",
     .reloadable = true,
     .min = 1,
     .max = 8,
     .sentence = "How far back the percentiles look, each from 10s to 24h."},
    {.key = "quantiles",
     .type = OPT_NUMBERS,
     .dflt = "0.5 0.9 0.95 0.99 0.999",
     .reloadable = true,
     .min = 1,
     .max = 32,
     .sentence = "Quantiles to show, ascending, each from 0 (the least value) to 1 (the greatest)."},
    {.key = "buckets",
     .type = OPT_NUMBERS,
     .dflt = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10",
     .reloadable = true,
     .max = 128,
     .sentence = "Upper bounds of the classic histogram's buckets, ascending, without +Inf; for sketches."},
    {.key = "max_groups",
     .type = OPT_INT,
     .dflt = "1000",
     .reloadable = true,
     .min = 1,
     .max = 100000,
     .sentence = "Groups that are kept at most; values of further ones are counted and left out."},
};

const struct section_row percentile_section = {
    .name = "percentile",
    .named = true,
    .sentence = "Percentiles over hosts: of all values of a sketch, or of each host's mean of a gauge.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .example = "api",
};

struct defining {
    struct percentile_def *d;
    const struct section *c;
    struct buf *report;
    struct err *e;
    bool bad;
};

#define complain(x, key, ...)                                                                                \
    ((x)->bad = true, (void)config_complain((x)->report, (x)->c, key, (x)->e, __VA_ARGS__))

static void *need(struct defining *x, void *p)
{
    if (!p && !x->bad) {
        x->bad = true;
        err_set(x->e, ERR_NOMEM, "no memory for the percentiles");
    }
    return p;
}

static char *text(struct defining *x, const char *s)
{
    return need(x, arena_text(&x->d->arena, s, strlen(s)));
}

static void *array(struct defining *x, size_t n, size_t size)
{
    return need(x, arena_array(&x->d->arena, n ? n : 1, size));
}

static void define_labels(struct defining *x)
{
    size_t n_match = option_count(x->c, "match"), n_by = option_count(x->c, "by");
    struct label *match = array(x, n_match, sizeof *match);
    const char **by = array(x, n_by, sizeof *by);

    if (!match || !by)
        return;
    for (size_t i = 0; i < n_match; i++) {
        const char *name, *value;

        option_label(x->c, "match", i, &name, &value);
        match[i] = (struct label){text(x, name), text(x, value)};
    }
    for (size_t i = 0; i < n_by; i++) {
        const char *name = option_word(x->c, "by", i);
        bool host = !strcmp(name, "instance") || !strcmp(name, "job") || !strcmp(name, "tenant");

        if (!host && !wire_label_name_ok(name, strlen(name)))
            complain(x, "by", "found \"%.60s\", which is not a label name that a series can have", name);
        for (size_t k = 0; k < i; k++) {
            if (!strcmp(name, option_word(x->c, "by", k)))
                complain(x, "by", "found \"%.60s\" twice", name);
        }
        by[i] = text(x, name);
    }
    x->d->match = match;
    x->d->n_match = (uint32_t)n_match;
    x->d->by = by;
    x->d->n_by = (uint32_t)n_by;
}

static void define_windows(struct defining *x)
{
    size_t n = option_count(x->c, "windows");
    struct window_def *w = array(x, n, sizeof *w);
    uint32_t first = 0;

    if (!w)
        return;
    for (size_t i = 0; i < n; i++) {
        const char *written = option_word(x->c, "windows", i);
        int64_t ms = span_to_ms(option_nth_span(x->c, "windows", i));

        if (ms < 10000 || ms > 86400000) {
            complain(x, "windows", "found \"%.60s\", expected from 10s to 24h", written);
            return;
        }
        for (size_t k = 0; k < i; k++) {
            if (w[k].width == ms)
                complain(x, "windows", "found \"%.60s\" twice", written);
        }
        w[i] = (struct window_def){
            .text = text(x, written), .width = ms, .step = ms / WINDOW_CUTS, .first = first};
        w[i].cells = (uint32_t)((ms + w[i].step - 1) / w[i].step) + 1;
        first += w[i].cells;
    }
    x->d->windows = w;
    x->d->n_windows = (uint32_t)n;
    x->d->n_tallies = first;
}

/* A list of numbers that must ascend, with their shortest texts. */
static uint32_t define_numbers(struct defining *x, const char *key, const double **values,
                               const char *const **texts)
{
    size_t n = option_count(x->c, key);
    double *v = array(x, n, sizeof *v);
    const char **t = array(x, n, sizeof *t);
    char buf[NUMBER_TEXT];

    if (!v || !t)
        return 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = option_number(x->c, key, i) + 0.0; /* -0 is 0 */
        if (i && v[i] <= v[i - 1])
            complain(x, key, "found \"%.60s\" behind \"%.60s\", expected ascending numbers",
                     option_word(x->c, key, i), option_word(x->c, key, i - 1));
        (void)number_text(v[i], buf);
        t[i] = text(x, buf);
    }
    *values = v;
    *texts = t;
    return (uint32_t)n;
}

/* Everything that the state of a section depends on, or that is shown with it. */
static uint64_t fingerprint(struct series_set *s, const struct percentile_def *d)
{
    static const uint64_t seed[2] = {0x5365637572654261,
                                     1}; /* fixed: compared with what an earlier run stored */
    struct buf *b = &s->value;

    buf_clear(b);
    buf_put(b, d->metric, strlen(d->metric) + 1);
    buf_fmt(b, "%u %u %u %u %u %u", d->n_match, d->n_by, d->n_quantiles, d->n_buckets, d->n_windows,
            d->max_groups);
    for (uint32_t i = 0; i < d->n_match; i++) {
        buf_put(b, d->match[i].name, strlen(d->match[i].name) + 1);
        buf_put(b, d->match[i].value, strlen(d->match[i].value) + 1);
    }
    for (uint32_t i = 0; i < d->n_by; i++)
        buf_put(b, d->by[i], strlen(d->by[i]) + 1);
    for (uint32_t i = 0; i < d->n_windows; i++)
        buf_put(b, d->windows[i].text, strlen(d->windows[i].text) + 1);
    buf_put(b, d->quantiles, d->n_quantiles * sizeof *d->quantiles);
    buf_put(b, d->buckets, d->n_buckets * sizeof *d->buckets);
    return b->full ? 0 : siphash13(seed, b->data, b->len);
}

struct percentile_def *percentile_define(struct series_set *s, const struct section *c, struct buf *report,
                                         struct err *e)
{
    struct percentile_def *d = mem_alloc(s->mem, sizeof *d);
    struct defining x = {.d = d, .c = c, .report = report, .e = e};
    const char *metric = option_text(c, "metric");

    if (!need(&x, d))
        return NULL;
    arena_init(&d->arena, s->mem, 0);
    if (!wire_metric_name_ok(metric, strlen(metric)))
        complain(&x, "metric", "found \"%.60s\", expected the name of a metric", metric);
    d->name = text(&x, section_label(c));
    d->metric = text(&x, metric);
    d->max_groups = (uint32_t)option_int(c, "max_groups");
    define_labels(&x);
    define_windows(&x);
    d->n_quantiles = define_numbers(&x, "quantiles", &d->quantiles, &d->quantile_text);
    d->n_buckets = define_numbers(&x, "buckets", &d->buckets, &d->bucket_text);
    if (d->n_quantiles && (d->quantiles[0] < 0 || d->quantiles[d->n_quantiles - 1] > 1))
        complain(&x, "quantiles", "found \"%.60s\", expected numbers from 0 to 1",
                 option_word(c, "quantiles", d->quantiles[0] < 0 ? 0 : d->n_quantiles - 1));
    if (!x.bad)
        d->fingerprint = fingerprint(s, d);
    if (x.bad || s->value.full) {
        arena_free(&d->arena);
        mem_free(s->mem, d, sizeof *d);
        return NULL;
    }
    return d;
}
