/* Pages for Prometheus: a walk over the view that calls a writer, and the writers: text 0.0.4,
 * OpenMetrics 1.0, protobuf (delimited io.prometheus.client.MetricFamily, with native histograms).
 *
 * Sources: Prometheus "Exposition formats", the OpenMetrics 1.0 specification, prometheus/client_model's
 * message numbers. */
#ifndef SB_EXPOSE_PAGE_H
#define SB_EXPOSE_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "aggregator/expose/select.h"
#include "aggregator/expose/view.h"
#include "common/base/buf.h"
#include "common/base/err.h"

enum page_format { PAGE_TEXT, PAGE_OPENMETRICS, PAGE_PROTOBUF };

/* The best format that an Accept header allows; text when it says nothing or nothing known. */
enum page_format page_negotiate(const char *accept);
const char *page_content_type(enum page_format f);

/* /metrics: ourselves, percentiles and their histograms. 0, or ERR_LIMIT when out is full. */
int page_own(const struct view *v, enum page_format f, struct buf *out, struct err *e);

struct page_selection {
    const struct selector *const *match; /* any of them; n 0: everything */
    size_t n_match;
    uint32_t shard, shards; /* shards 0: everything; else the series whose hash mod shards is shard */
    uint64_t max_series;    /* more than this to show: ERR_LIMIT; 0: no limit */
};
/* /metrics/hosts: the latest value of every series of every host. */
int page_hosts(const struct view *v, enum page_format f, const struct page_selection *sel, struct buf *out,
               struct err *e);

/* "i/n": 0, or ERR_MALFORMED. n from 1 to 1024, i < n. */
int page_shard(const char *text, uint32_t *shard, uint32_t *shards);
/* True when the selection takes this series. */
bool page_selects(const struct page_selection *sel, const char *name, const struct label *labels, size_t n);

/* ---- writers ---- */

enum page_kind { PAGE_GAUGE, PAGE_COUNTER, PAGE_UNTYPED, PAGE_HISTOGRAM };

struct page_histogram {
    uint64_t count;
    double sum;
    const uint64_t *buckets; /* cumulative */
    const double *bounds;
    const char *const *bound_text;
    uint32_t n;
    const struct sketch *native; /* may be NULL */
};

struct page_writer {
    struct buf *out;
    void (*family)(struct page_writer *w, const char *name, const char *help, enum page_kind kind);
    void (*sample)(struct page_writer *w, const struct label *labels, size_t n, double v);
    void (*histogram)(struct page_writer *w, const struct label *labels, size_t n,
                      const struct page_histogram *h);
    void (*end)(struct page_writer *w);
    /* the writers' own */
    const char *name;
    enum page_kind kind;
    struct arena *arena;
    void *family_state;
};

void page_text_writer(struct page_writer *w, struct buf *out);
void page_openmetrics_writer(struct page_writer *w, struct buf *out);
void page_protobuf_writer(struct page_writer *w, struct buf *out, struct arena *arena);

#endif
