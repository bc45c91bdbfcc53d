/* Pages: the walk over a view. Families of one name stand together whatever order they came in, as all
 * formats demand. */
#include "aggregator/expose/page.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/map.h"

enum { GROUP_LABELS = 36 };

static const char *const content_types[] = {
    "text/plain; version=0.0.4; charset=utf-8",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
};

const char *page_content_type(enum page_format f)
{
    return content_types[f];
}

/* The weight that one entry of an Accept header gives itself: 1 without q. */
static double weight(const char *entry, size_t n)
{
    const char *q = memmem(entry, n, "q=", 2);

    return q ? strtod(q + 2, NULL) : 1;
}

static bool has(const char *entry, size_t n, const char *word)
{
    return memmem(entry, n, word, strlen(word)) != NULL;
}

enum page_format page_negotiate(const char *accept)
{
    enum page_format best = PAGE_TEXT;
    double most = 0;

    for (const char *p = accept ? accept : ""; *p;) {
        size_t n = strcspn(p, ",");
        double q = weight(p, n);

        if (q > most) {
            if (has(p, n, "application/openmetrics-text") && !has(p, n, "version=0.0.1")) {
                best = PAGE_OPENMETRICS;
                most = q;
            } else if (has(p, n, "application/vnd.google.protobuf") && has(p, n, "MetricFamily") &&
                       has(p, n, "delimited")) {
                best = PAGE_PROTOBUF;
                most = q;
            } else if (has(p, n, "text/plain") || has(p, n, "*/*")) {
                best = PAGE_TEXT;
                most = q;
            }
        }
        p += n;
        p += *p == ',';
    }
    return best;
}

static void open_writer(struct page_writer *w, enum page_format f, struct buf *out, struct arena *arena)
{
    arena_init(arena, NULL, 0);
    if (f == PAGE_PROTOBUF)
        page_protobuf_writer(w, out, arena);
    else if (f == PAGE_OPENMETRICS)
        page_openmetrics_writer(w, out);
    else
        page_text_writer(w, out);
}

static int close_writer(struct page_writer *w, struct arena *arena, struct err *e)
{
    w->end(w);
    arena_free(arena);
    if (w->out->full)
        return err_set(e, ERR_LIMIT, "the page is larger than %zu bytes", w->out->cap);
    return 0;
}

/* ---- /metrics ---- */

static int by_name(const void *a, const void *b)
{
    const struct sample *const *x = a, *const *y = b;
    int order = strcmp((*x)->row->name, (*y)->row->name);

    return order ? order : *x < *y ? -1 : *x > *y;
}

static enum page_kind kind_of(enum metric_kind k)
{
    static const enum page_kind kinds[] = {[METRIC_GAUGE] = PAGE_GAUGE,
                                           [METRIC_COUNTER] = PAGE_COUNTER,
                                           [METRIC_SKETCH] = PAGE_HISTOGRAM,
                                           [METRIC_UNTYPED] = PAGE_UNTYPED};

    return kinds[k];
}

/* Our own timers, in seconds. Their sketches never change their scale, so no count can fall. */
static void own_histogram(struct page_writer *w, const struct label *labels, size_t n, const struct sketch *v)
{
    static const double bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                    0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
    static const char *const texts[] = {"0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005",
                                        "0.01",   "0.025",   "0.05",   "0.1",   "0.25",   "0.5",
                                        "1",      "2.5",     "5",      "10"};
    enum { BOUNDS = sizeof bounds / sizeof bounds[0] };
    uint64_t buckets[BOUNDS];

    for (int i = 0; i < BOUNDS; i++)
        buckets[i] = sketch_count_le(v, bounds[i]);
    w->histogram(w, labels, n,
                 &(struct page_histogram){.count = v->count,
                                          .sum = sketch_sum(v),
                                          .buckets = buckets,
                                          .bounds = bounds,
                                          .bound_text = texts,
                                          .n = BOUNDS,
                                          .native = v});
}

static int own_samples(const struct view *v, struct page_writer *w, struct arena *a)
{
    const struct sample **sorted = arena_array(a, v->n_self + 1, sizeof *sorted);
    const char *name = "";

    if (!sorted)
        return ERR_NOMEM;
    for (size_t i = 0; i < v->n_self; i++)
        sorted[i] = &v->self[i];
    qsort(sorted, v->n_self, sizeof *sorted, by_name);
    for (size_t i = 0; i < v->n_self; i++) {
        const struct metric_row *row = sorted[i]->row;
        struct label labels[METRIC_MAX_LABELS];
        size_t n = 0, count = metric_label_count(row);

        if (strcmp(name, row->name) != 0)
            w->family(w, row->name, row->help, kind_of(row->kind));
        name = row->name;
        for (size_t k = 0; k < count && k < METRIC_MAX_LABELS; k++) {
            struct text label = metric_label_name(row, k);

            if (!sorted[i]->labels[k].n)
                continue;
            labels[n].name = arena_text(a, label.p, label.n);
            labels[n].value = sorted[i]->labels[k].p;
            if (!labels[n++].name)
                return ERR_NOMEM;
        }
        if (row->kind == METRIC_SKETCH)
            own_histogram(w, labels, n, sorted[i]->sketch);
        else
            w->sample(w, labels, n, sorted[i]->value);
    }
    return 0;
}

static const char *const agent_help =
    "Whether the agent has sent a batch within stale_after (1) or is absent (0).";

static void agents(const struct view *v, struct page_writer *w)
{
    if (!v->snap->n_agents)
        return;
    w->family(w, "securebase_agent_up", agent_help, PAGE_GAUGE);
    for (uint32_t i = 0; i < v->snap->n_agents; i++) {
        const struct agent_view *a = &v->snap->agents[i];
        struct label labels[] = {{"instance", a->id}, {"region", a->region}, {"tenant", a->tenant}};

        w->sample(w, labels, *a->tenant ? 3 : 2, a->up);
    }
}

static size_t group_labels(const struct percentile_view *p, const struct percentile_group *g,
                           struct label *labels, size_t n)
{
    for (uint32_t i = 0; i < p->n_by && n < GROUP_LABELS; i++)
        labels[n++] = (struct label){p->by[i], g->values[i]};
    return n;
}

static void quantiles(const struct percentile_view *p, struct page_writer *w)
{
    struct label labels[GROUP_LABELS] = {{"percentile", p->name}, {"metric", p->metric}};

    for (uint32_t i = 0; i < p->n_groups; i++) {
        const struct percentile_group *g = &p->groups[i];

        for (uint32_t k = 0; k < p->n_windows; k++) {
            size_t n;

            if (!g->windows[k].n)
                continue;
            labels[2] = (struct label){"window", g->windows[k].text};
            n = group_labels(p, g, labels, 4);
            for (uint32_t q = 0; q < p->n_quantiles; q++) {
                labels[3] = (struct label){"quantile", p->quantile_text[q]};
                w->sample(w, labels, n, g->windows[k].quantiles[q]);
            }
        }
    }
}

static void value_counts(const struct percentile_view *p, struct page_writer *w)
{
    struct label labels[GROUP_LABELS] = {{"percentile", p->name}, {"metric", p->metric}};

    for (uint32_t i = 0; i < p->n_groups; i++) {
        const struct percentile_group *g = &p->groups[i];
        size_t n = group_labels(p, g, labels, 3);

        for (uint32_t k = 0; k < p->n_windows; k++) {
            labels[2] = (struct label){"window", g->windows[k].text};
            w->sample(w, labels, n, (double)g->windows[k].n);
        }
    }
}

static void histograms_of(const struct percentile_view *p, struct page_writer *w)
{
    struct label labels[GROUP_LABELS] = {{"percentile", p->name}};

    for (uint32_t i = 0; i < p->n_groups; i++) {
        const struct percentile_group *g = &p->groups[i];
        struct page_histogram h = {.count = g->count,
                                   .sum = g->sum,
                                   .buckets = g->buckets,
                                   .bounds = p->buckets,
                                   .bound_text = p->bucket_text,
                                   .n = p->n_buckets,
                                   .native = g->native};

        if (g->has_histogram)
            w->histogram(w, labels, group_labels(p, g, labels, 1), &h);
    }
}

static bool has_histogram(const struct percentile_view *p)
{
    for (uint32_t i = 0; i < p->n_groups; i++) {
        if (p->groups[i].has_histogram)
            return true;
    }
    return false;
}

/* Several sections may read one metric: its histogram family is opened once, at the first of them. */
static void histograms(const struct view *v, struct page_writer *w)
{
    const struct percentile_view *all = v->snap->percentiles;

    for (uint32_t i = 0; i < v->snap->n_percentiles; i++) {
        bool opened = false;

        for (uint32_t k = 0; k < v->snap->n_percentiles; k++) {
            if (strcmp(all[k].metric, all[i].metric) != 0 || !has_histogram(&all[k]))
                continue;
            if (k < i)
                break; /* shown already */
            if (!opened)
                w->family(w, all[k].metric, all[k].help, PAGE_HISTOGRAM);
            opened = true;
            histograms_of(&all[k], w);
        }
    }
}

int page_own(const struct view *v, enum page_format f, struct buf *out, struct err *e)
{
    struct page_writer w;
    struct arena arena, scratch;
    int rc;

    open_writer(&w, f, out, &arena);
    arena_init(&scratch, NULL, 0);
    rc = own_samples(v, &w, &scratch);
    agents(v, &w);
    if (v->snap->n_percentiles) {
        /* untyped: only a summary may have the label `quantile`,
         * and a summary would have to say a sum of the window */
        w.family(&w, "securebase_percentile", "Quantile of the values of a metric over a sliding window.",
                 PAGE_UNTYPED);
        for (uint32_t i = 0; i < v->snap->n_percentiles; i++)
            quantiles(&v->snap->percentiles[i], &w);
        w.family(&w, "securebase_percentile_values", "How many values stand behind a window's percentiles.",
                 PAGE_GAUGE);
        for (uint32_t i = 0; i < v->snap->n_percentiles; i++)
            value_counts(&v->snap->percentiles[i], &w);
        histograms(v, &w);
    }
    arena_free(&scratch);
    if (rc) {
        arena_free(&arena);
        return err_set(e, rc, "no memory for the page");
    }
    return close_writer(&w, &arena, e);
}

/* ---- /metrics/hosts ---- */

static uint64_t series_hash(const char *name, const struct label *labels, size_t n)
{
    static const uint64_t seed[2] = {0x5365637572654261u,
                                     0x736520736861726du}; /* the same on every aggregator */
    uint64_t h = siphash13(seed, name, strlen(name));

    for (size_t i = 0; i < n; i++) {
        uint64_t mixed[2] = {h, seed[1]};

        h = siphash13(mixed, labels[i].name, strlen(labels[i].name));
        mixed[0] = h;
        h = siphash13(mixed, labels[i].value, strlen(labels[i].value));
    }
    return h;
}

bool page_selects(const struct page_selection *sel, const char *name, const struct label *labels, size_t n)
{
    bool taken = sel->n_match == 0;

    for (size_t i = 0; i < sel->n_match && !taken; i++)
        taken = selector_matches(sel->match[i], name, labels, n);
    return taken && (!sel->shards || series_hash(name, labels, n) % sel->shards == sel->shard);
}

static bool family_excluded(const struct page_selection *sel, const char *name)
{
    for (size_t i = 0; i < sel->n_match; i++) {
        if (!selector_excludes_name(sel->match[i], name))
            return false;
    }
    return sel->n_match > 0;
}

static uint64_t host_family(const struct family *f, const struct page_selection *sel, struct page_writer *w)
{
    bool everything = !sel->n_match && !sel->shards;
    uint64_t shown = 0;

    for (uint32_t i = 0; i < f->n; i++) {
        const struct series_desc *d = f->values[i].desc;

        if (!everything && !page_selects(sel, f->name, d->labels, d->n_labels))
            continue;
        if (!shown++)
            w->family(w, f->name, f->help, kind_of(f->kind));
        w->sample(w, d->labels, d->n_labels, f->values[i].value);
    }
    return shown;
}

int page_hosts(const struct view *v, enum page_format f, const struct page_selection *sel, struct buf *out,
               struct err *e)
{
    struct page_writer w;
    struct arena arena;
    uint64_t shown = 0;

    open_writer(&w, f, out, &arena);
    for (uint32_t i = 0; i < v->snap->n_families; i++) {
        if (!family_excluded(sel, v->snap->families[i].name))
            shown += host_family(&v->snap->families[i], sel, &w);
        if (sel->max_series && shown > sel->max_series) {
            arena_free(&arena);
            return err_set(
                e, ERR_LIMIT,
                "more than [http] hosts_max_series = %llu series: narrow with match[] or shard=i/n, or let "
                "remote write carry a fleet of this size",
                (unsigned long long)sel->max_series);
        }
    }
    return close_writer(&w, &arena, e);
}

int page_shard(const char *text, uint32_t *shard, uint32_t *shards)
{
    char *end;
    unsigned long i, n;

    if (*text < '0' || *text > '9')
        return ERR_MALFORMED;
    i = strtoul(text, &end, 10);
    if (*end != '/' || end[1] < '0' || end[1] > '9')
        return ERR_MALFORMED;
    n = strtoul(end + 1, &end, 10);
    if (*end || n < 1 || n > 1024 || i >= n)
        return ERR_MALFORMED;
    *shard = (uint32_t)i;
    *shards = (uint32_t)n;
    return 0;
}
