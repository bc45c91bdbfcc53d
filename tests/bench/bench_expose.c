/* What showing costs: /metrics/hosts of 10 k, 100 k and 500 k series in each format and
 * compressed, /metrics with 1000 groups of percentiles, and answers of the API. Milliseconds,
 * megabytes, nanoseconds for each series; medians (and the spread) over passes.
 *
 * Peers of the same run: "printf", the page as one would write it first, snprintf of each
 * line into one large block; "memcpy", the same bytes copied, which no writer can beat;
 * "deflate 1", zlib on the same bytes by itself, which is all that gzip should cost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zlib.h>

#include "aggregator/expose/api.h"
#include "aggregator/expose/gzip.h"
#include "aggregator/expose/page.h"
#include "common/base/rng.h"

enum {
    PASSES = 9,
    FAMILIES = 50,
    DEVICES = 10, /* of a host: 500 series each */
    LABELS = 6,
    GROUPS = 1000,
    WINDOWS = 3,
    QUANTILES = 5,
    BUCKETS = 10,
    TEXT = 48,
    NAME = 64
};

/* A fleet: each host has DEVICES label sets, which its FAMILIES share. */
struct fleet {
    struct view v;
    struct snapshot snap;
    uint32_t hosts;
    struct family families[FAMILIES];
    char names[FAMILIES][NAME];
    struct series_desc *descs;
    struct label *labels;
    char (*ids)[TEXT];
    struct agent_view *agents;
    struct series_value *values;
    struct percentile_view section;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_expose: %s\n", what);
    exit(1);
}

static void *room_for(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p)
        die("no memory");
    return p;
}

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- the views ---- */

static void describe_hosts(struct fleet *f)
{
    static char devices[DEVICES][TEXT];

    for (uint32_t d = 0; d < DEVICES; d++)
        (void)snprintf(devices[d], TEXT, "%u", d);
    for (uint32_t h = 0; h < f->hosts; h++) {
        (void)snprintf(f->ids[h], TEXT, "web-%u.us-east-1.example", h);
        f->agents[h] = (struct agent_view){
            .id = f->ids[h], .region = "us-east-1", .env = "prod", .tenant = "", .up = true, .series = 500};
        for (uint32_t d = 0; d < DEVICES; d++) {
            size_t at = (size_t)h * DEVICES + d;
            struct label set[LABELS] = {{"cpu", devices[d]},     {"env", "prod"}, {"host", f->ids[h]},
                                        {"instance", f->ids[h]}, {"job", "node"}, {"region", "us-east-1"}};

            memcpy(f->labels + at * LABELS, set, sizeof set);
            f->descs[at] = (struct series_desc){f->labels + at * LABELS, LABELS};
        }
    }
}

static void fleet_make(struct fleet *f, uint32_t series)
{
    uint32_t each = series / FAMILIES;
    struct rng r;

    rng_seed(&r, series);
    *f = (struct fleet){.hosts = each / DEVICES};
    f->descs = room_for(each, sizeof *f->descs);
    f->labels = room_for((size_t)each * LABELS, sizeof *f->labels);
    f->ids = room_for(f->hosts, sizeof *f->ids);
    f->agents = room_for(f->hosts, sizeof *f->agents);
    f->values = room_for(series, sizeof *f->values);
    describe_hosts(f);
    for (uint32_t k = 0; k < FAMILIES; k++) {
        struct series_value *v = f->values + (size_t)k * each;

        (void)snprintf(f->names[k], NAME, "node_bench_family_%u_seconds%s", k, k % 3 ? "_total" : "");
        for (uint32_t i = 0; i < each; i++) /* whole, hundredths, one in 25 of full length */
            v[i] = (struct series_value){&f->descs[i],
                                         (double)(rng_next(&r) >> 34) / (k % 25 == 24 ? 3
                                                                         : k % 2      ? 100
                                                                                      : 1),
                                         1795496723456};
        f->families[k] = (struct family){.name = f->names[k],
                                         .help = "A family of the benchmark.",
                                         .kind = k % 3 ? METRIC_COUNTER : METRIC_GAUGE,
                                         .values = v,
                                         .n = each};
    }
    f->snap = (struct snapshot){.taken = {1795496723456},
                                .n_series = series,
                                .families = f->families,
                                .n_families = FAMILIES,
                                .agents = f->agents,
                                .n_agents = f->hosts};
    f->v = (struct view){.snap = &f->snap,
                         .version = "0",
                         .revision = "0",
                         .region = "us-east-1",
                         .role = "full",
                         .now = {1795496723456},
                         .ready = true};
}

static void fleet_free(struct fleet *f)
{
    free(f->descs);
    free(f->labels);
    free(f->ids);
    free(f->agents);
    free(f->values);
}

/* GROUPS groups of 3 windows, 5 quantiles, 10 buckets and a native histogram. */
static void add_percentiles(struct fleet *f)
{
    static const double q[QUANTILES] = {0.5, 0.9, 0.95, 0.99, 0.999};
    static const char *const q_text[QUANTILES] = {"0.5", "0.9", "0.95", "0.99", "0.999"};
    static const double le[BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5};
    static const char *const le_text[BUCKETS] = {"0.005", "0.01", "0.025", "0.05", "0.1",
                                                 "0.25",  "0.5",  "1",     "2.5",  "5"};
    static const char *const by[] = {"service"};
    static struct percentile_group groups[GROUPS];
    static struct percentile_window windows[GROUPS][WINDOWS];
    static double estimates[GROUPS][WINDOWS][QUANTILES];
    static char services[GROUPS][TEXT];
    static const char *values[GROUPS];
    static struct sketch native[GROUPS];
    static uint64_t buckets[GROUPS][BUCKETS];
    static const char *const window_text[WINDOWS] = {"1m", "5m", "1h"};
    struct rng r;

    rng_seed(&r, 7);
    for (uint32_t g = 0; g < GROUPS; g++) {
        (void)snprintf(services[g], TEXT, "service-%u", g);
        values[g] = services[g];
        sketch_init(&native[g], NULL);
        for (int i = 0; i < 200; i++)
            (void)sketch_add(&native[g], 0.001 + (double)(rng_next(&r) >> 40) / 1e7, 1);
        for (uint32_t w = 0; w < WINDOWS; w++) {
            for (uint32_t k = 0; k < QUANTILES; k++)
                estimates[g][w][k] = sketch_quantile(&native[g], q[k]);
            windows[g][w] = (struct percentile_window){window_text[w], 200, estimates[g][w]};
        }
        for (uint32_t k = 0; k < BUCKETS; k++)
            buckets[g][k] = 20 * (k + 1);
        groups[g] = (struct percentile_group){.values = &values[g],
                                              .windows = windows[g],
                                              .has_histogram = true,
                                              .count = 200,
                                              .sum = 12.5,
                                              .buckets = buckets[g],
                                              .native = &native[g]};
    }
    f->section = (struct percentile_view){.name = "api",
                                          .metric = "http_request_seconds",
                                          .help = "Answers.",
                                          .n_windows = WINDOWS,
                                          .n_quantiles = QUANTILES,
                                          .n_buckets = BUCKETS,
                                          .n_by = 1,
                                          .n_groups = GROUPS,
                                          .quantile_text = q_text,
                                          .quantiles = q,
                                          .bucket_text = le_text,
                                          .buckets = le,
                                          .by = by,
                                          .groups = groups};
    f->snap.percentiles = &f->section;
    f->snap.n_percentiles = 1;
}

/* ---- what is measured ---- */

struct work {
    const struct fleet *f;
    enum page_format format;
    const struct buf *text; /* what the peers and gzip work on */
    const char *what, *query;
    struct buf out;
};

static void hosts(struct work *w)
{
    static const struct page_selection all;

    buf_clear(&w->out);
    if (page_hosts(&w->f->v, w->format, &all, &w->out, NULL) != 0)
        die("the page of the hosts");
}

static void own(struct work *w)
{
    buf_clear(&w->out);
    if (page_own(&w->f->v, w->format, &w->out, NULL) != 0)
        die("the own page");
}

static void gzipped(struct work *w)
{
    buf_clear(&w->out);
    if (!gzip_bytes(w->text->data, w->text->len, &w->out))
        die("gzip");
}

static void deflated(struct work *w)
{
    z_stream z = {0};

    if (deflateInit(&z, 1) != Z_OK)
        die("deflate");
    buf_clear(&w->out);
    z.avail_out = (uInt)deflateBound(&z, w->text->len);
    z.next_out = buf_grow(&w->out, z.avail_out);
    z.next_in = w->text->data;
    z.avail_in = (uInt)w->text->len;
    if (!z.next_out || deflate(&z, Z_FINISH) != Z_STREAM_END)
        die("deflate");
    w->out.len -= z.avail_out;
    (void)deflateEnd(&z);
}

static void copied(struct work *w)
{
    buf_clear(&w->out);
    buf_put(&w->out, w->text->data, w->text->len);
}

/* The peer of the text page: no escaping, no look at the room, one line at a time. */
static void printed(struct work *w)
{
    const struct snapshot *s = &w->f->snap;
    size_t left = w->text->len * 2;
    char *p;

    buf_clear(&w->out);
    p = (char *)buf_grow(&w->out, left);
    if (!p)
        die("no memory");
    for (uint32_t k = 0; k < s->n_families; k++) {
        const struct family *f = &s->families[k];
        int n;

        n = snprintf(p, left, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
                     f->kind == METRIC_COUNTER ? "counter" : "gauge");
        p += n;
        left -= (size_t)n;
        for (uint32_t i = 0; i < f->n; i++) {
            const struct label *l = f->values[i].desc->labels;

            n = snprintf(p, left, "%s{%s=\"%s\",%s=\"%s\",%s=\"%s\",%s=\"%s\",%s=\"%s\",%s=\"%s\"} %.17g\n",
                         f->name, l[0].name, l[0].value, l[1].name, l[1].value, l[2].name, l[2].value,
                         l[3].name, l[3].value, l[4].name, l[4].value, l[5].name, l[5].value,
                         f->values[i].value);
            p += n;
            left -= (size_t)n;
        }
    }
    w->out.len = (size_t)(p - (char *)w->out.data);
}

static int param(void *arg, const char *name, size_t i, char *out, size_t cap)
{
    const struct work *w = arg;
    size_t n = strlen(name);

    if (i > 0 || !w->query || strncmp(w->query, name, n) != 0 || w->query[n] != '=')
        return ERR_NOTFOUND;
    (void)snprintf(out, cap, "%s", w->query + n + 1);
    return 0;
}

static void api(struct work *w)
{
    struct api_query q = {param, w};

    buf_clear(&w->out);
    if (api_answer(&w->f->v, w->what, &q, &w->out) != 200)
        die("the API");
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median of the passes in ms; a line of the table. per: what the time is divided by; 0: nothing. */
static double measure(const char *name, void (*fn)(struct work *), struct work *w, double per)
{
    double t[PASSES];

    fn(w); /* makes the room */
    for (int i = 0; i < PASSES; i++) {
        t[i] = now_ms();
        fn(w);
        t[i] = now_ms() - t[i];
    }
    qsort(t, PASSES, sizeof *t, ascending);
    (void)printf("  %-26s %10.3f (%.3f-%.3f) %10.3f", name, t[PASSES / 2], t[0], t[PASSES - 1],
                 (double)w->out.len / 1e6);
    if (per > 0)
        (void)printf(" %10.1f", t[PASSES / 2] * 1e6 / per);
    (void)printf("\n");
    return t[PASSES / 2];
}

static void hosts_of(uint32_t series)
{
    struct work w = {0}, on = {0};
    struct fleet f;
    double text, gz, floor, first, zlib;

    fleet_make(&f, series);
    w.f = on.f = &f;
    buf_init(&w.out, NULL, (size_t)1 << 30);
    buf_init(&on.out, NULL, (size_t)1 << 30);
    (void)printf("/metrics/hosts, %u series of %u hosts\n", series, f.hosts);
    w.format = PAGE_PROTOBUF;
    (void)measure("protobuf", hosts, &w, series);
    w.format = PAGE_OPENMETRICS;
    (void)measure("OpenMetrics", hosts, &w, series);
    w.format = PAGE_TEXT;
    text = measure("text", hosts, &w, series);
    on.text = &w.out;
    first = measure("  peer: printf", printed, &on, series);
    floor = measure("  limit: memcpy", copied, &on, series);
    gz = measure("gzip of the text", gzipped, &on, series);
    zlib = measure("  limit: deflate 1", deflated, &on, series);
    (void)printf("  printf / text %.2f, text / memcpy %.1f, gzip / deflate %.2f\n", first / text,
                 text / floor, gz / zlib);
    buf_free(&w.out);
    buf_free(&on.out);
    fleet_free(&f);
}

static void own_and_api(void)
{
    struct work w = {0}, on = {0};
    struct fleet f;

    fleet_make(&f, 500000);
    add_percentiles(&f);
    w.f = on.f = &f;
    buf_init(&w.out, NULL, (size_t)1 << 30);
    buf_init(&on.out, NULL, (size_t)1 << 30);
    (void)printf("/metrics, %d groups of percentiles (%d windows, %d quantiles, %d buckets), %u agents; ns "
                 "for each group\n",
                 GROUPS, WINDOWS, QUANTILES, BUCKETS, f.hosts);
    w.format = PAGE_PROTOBUF;
    (void)measure("protobuf, native", own, &w, GROUPS);
    w.format = PAGE_OPENMETRICS;
    (void)measure("OpenMetrics", own, &w, GROUPS);
    w.format = PAGE_TEXT;
    (void)measure("text", own, &w, GROUPS);
    on.text = &w.out;
    (void)measure("  limit: memcpy", copied, &on, GROUPS);
    (void)measure("gzip of the text", gzipped, &on, GROUPS);
    (void)printf("/api/v1, %u agents, 500000 series\n", f.hosts);
    w.what = "agents";
    (void)measure("agents", api, &w, 0);
    w.what = "series";
    w.query = "match={instance=\"web-7.us-east-1.example\"}";
    (void)measure("series of one host", api, &w, 0);
    w.query = "match=node_bench_family_4_seconds_total";
    (void)measure("series of one metric", api, &w, 0);
    w.what = "percentiles";
    w.query = "metric=http_request_seconds";
    (void)measure("percentiles", api, &w, 0);
    w.what = "status";
    (void)measure("status", api, &w, 0);
    buf_free(&w.out);
    buf_free(&on.out);
    fleet_free(&f);
}

int main(void)
{
    double load = 0;

    (void)getloadavg(&load, 1);
    (void)printf("medians (min-max) of %d passes in ms, MB, ns for each series; load average %.1f\n", PASSES,
                 load);
    hosts_of(10000);
    hosts_of(100000);
    hosts_of(500000);
    own_and_api();
    return 0;
}
