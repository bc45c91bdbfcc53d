/* Pages, selectors, API answers and access rules, over a small fixed view. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cjson/cJSON.h>
#include <zlib.h>

#include "aggregator/expose/access.h"
#include "aggregator/expose/api.h"
#include "aggregator/expose/console.h"
#include "aggregator/expose/gzip.h"
#include "aggregator/expose/metrics.pb-c.h"
#include "aggregator/expose/page.h"
#include "common/base/number.h"
#include "common/net/host.h"
#include "tests/unit/expose_view.h"

static void numbers_are_shortest(void **state)
{
    static const struct {
        double v;
        const char *text;
    } rows[] = {{0, "0"},
                {-0.0, "0"},
                {0.1, "0.1"},
                {1e300, "1e+300"},
                {0.3, "0.3"},
                {-12, "-12"},
                {1.0 / 3, "0.3333333333333333"},
                {9007199254740991.0, "9007199254740991"},
                {NAN, "NaN"},
                {INFINITY, "+Inf"},
                {-INFINITY, "-Inf"},
                {5e-324, "4.94065645841247e-324"}};
    char out[NUMBER_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(number_text(rows[i].v, out), strlen(rows[i].text));
        assert_string_equal(out, rows[i].text);
    }
}

static void selectors_select(void **state)
{
    static const struct {
        const char *text;
        int takes; /* 1, 0; -1: refused */
    } rows[] = {
        {"m", 1},
        {"other", 0},
        {"m{a=\"1\"}", 1},
        {" m { a = '1' , b != \"x\" , } ", 1},
        {"{a=\"1\"}", 1},
        {"{a!=\"1\"}", 0},
        {"{a=~\"[0-9]\"}", 1},
        {"{a=~\"1|2\"}", 1},
        {"{a=~\"\"}", 0},
        {"{a!~\"1.*\"}", 0},
        {"{__name__=~\"m|n\"}", 1},
        {"{absent=\"\"}", 1},
        {"{absent!=\"\"}", 0},
        {"{q=\"a\\\"b\\\\c\\n\"}", 1},
        {"", -1},
        {"{}", -1},
        {"m{", -1},
        {"m{a}", -1},
        {"m{a=1}", -1},
        {"m{a=\"1\"", -1},
        {"m{a=\"1\"b=\"2\"}", -1},
        {"m{a=\"1}", -1},
        {"m} ", -1},
        {"m{a=~\"(\"}", -1},
        {"1m", -1},
    };
    static const struct label labels[] = {{"a", "1"}, {"b", "y"}, {"q", "a\"b\\c\n"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {0};
        struct selector *s = selector_new(rows[i].text, &e);

        if (rows[i].takes < 0) {
            assert_null(s);
            assert_true(e.code < 0 && e.text[0]);
            continue;
        }
        if (!s)
            fail_msg("%s: %s", rows[i].text, e.text);
        assert_int_equal(selector_matches(s, "m", labels, 3), rows[i].takes);
        selector_free(&s);
    }
}

static const char text_hosts[] =
    "# HELP node_cpu_seconds_total Seconds.\\nTwo \\\\ lines \"q\".\n"
    "# TYPE node_cpu_seconds_total counter\n"
    "node_cpu_seconds_total{cpu=\"0\",instance=\"a\\\"\\\\\\nz\",job=\"node\"} 12.5\n"
    "node_cpu_seconds_total{cpu=\"0\",instance=\"b\",job=\"node\"} 1000000000000000.5\n"
    "# HELP node_load1 Load.\n"
    "# TYPE node_load1 gauge\n"
    "node_load1{cpu=\"0\",instance=\"a\\\"\\\\\\nz\",job=\"node\"} NaN\n"
    "node_load1{cpu=\"0\",instance=\"b\",job=\"node\"} -Inf\n"
    "# HELP odd_counter A counter without its ending.\n"
    "# TYPE odd_counter counter\n"
    "odd_counter{cpu=\"0\",instance=\"b\",job=\"node\"} 3\n";

static const char text_own[] =
    "# HELP securebase_agent_up Whether the agent has sent a batch within stale_after (1) or is absent (0).\n"
    "# TYPE securebase_agent_up gauge\n"
    "securebase_agent_up{instance=\"a\",region=\"r1\"} 1\n"
    "securebase_agent_up{instance=\"b\",region=\"r1\",tenant=\"t\"} 0\n"
    "# HELP securebase_percentile Quantile of the values of a metric over a sliding window.\n"
    "# TYPE securebase_percentile untyped\n"
    "securebase_percentile{percentile=\"api\",metric=\"http_seconds\",window=\"1m\",quantile=\"0.5\",service="
    "\"shop\"} 0.25\n"
    "securebase_percentile{percentile=\"api\",metric=\"http_seconds\",window=\"1m\",quantile=\"0.99\","
    "service=\"shop\"} 0.75\n"
    "securebase_percentile{percentile=\"api\",metric=\"http_seconds\",window=\"1m\",quantile=\"0.5\",service="
    "\"\"} 0.25\n"
    "securebase_percentile{percentile=\"api\",metric=\"http_seconds\",window=\"1m\",quantile=\"0.99\","
    "service=\"\"} 0.75\n"
    "# HELP securebase_percentile_values How many values stand behind a window's percentiles.\n"
    "# TYPE securebase_percentile_values gauge\n"
    "securebase_percentile_values{percentile=\"api\",metric=\"http_seconds\",window=\"1m\",service=\"shop\"} "
    "4\n"
    "securebase_percentile_values{percentile=\"api\",metric=\"http_seconds\",window=\"5m\",service=\"shop\"} "
    "0\n"
    "securebase_percentile_values{percentile=\"api\",metric=\"http_seconds\",window=\"1m\",service=\"\"} 4\n"
    "securebase_percentile_values{percentile=\"api\",metric=\"http_seconds\",window=\"5m\",service=\"\"} 0\n"
    "# HELP http_seconds Answers.\n"
    "# TYPE http_seconds histogram\n"
    "http_seconds_bucket{percentile=\"api\",service=\"shop\",le=\"0.1\"} 1\n"
    "http_seconds_bucket{percentile=\"api\",service=\"shop\",le=\"1\"} 4\n"
    "http_seconds_bucket{percentile=\"api\",service=\"shop\",le=\"+Inf\"} 4\n"
    "http_seconds_sum{percentile=\"api\",service=\"shop\"} 1.8\n"
    "http_seconds_count{percentile=\"api\",service=\"shop\"} 4\n";

static void text_pages(void **state)
{
    struct page_selection all = {0};
    struct test_view t;
    struct buf out;
    struct err e = {0};

    (void)state;
    test_view_make(&t);
    buf_init(&out, NULL, 1 << 20);
    assert_int_equal(page_hosts(&t.v, PAGE_TEXT, &all, &out, &e), 0);
    assert_string_equal(buf_text(&out), text_hosts);
    buf_clear(&out);
    assert_int_equal(page_own(&t.v, PAGE_TEXT, &out, &e), 0);
    assert_string_equal(buf_text(&out), text_own);
    buf_clear(&out);
    assert_int_equal(page_hosts(&t.v, PAGE_OPENMETRICS, &all, &out, &e), 0);
    assert_non_null(strstr(buf_text(&out), "# TYPE node_cpu_seconds counter\nnode_cpu_seconds_total{"));
    assert_non_null(strstr(buf_text(&out), "\\\"q\\\"."));
    assert_non_null(strstr(buf_text(&out), "# TYPE odd_counter unknown\n"));
    assert_string_equal(buf_text(&out) + out.len - 6, "# EOF\n");
    buf_free(&out);
    sketch_free(&t.native);
}

static void a_page_is_limited_and_narrowed(void **state)
{
    struct err e = {0};
    struct selector *name = selector_new("node_load1", &e), *b = selector_new("{instance=\"b\"}", &e);
    const struct selector *match[] = {name, b};
    struct page_selection sel = {.max_series = 4};
    struct test_view t;
    struct buf out;
    size_t lines = 0;

    (void)state;
    test_view_make(&t);
    buf_init(&out, NULL, 1 << 20);
    assert_int_equal(page_hosts(&t.v, PAGE_TEXT, &sel, &out, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "remote"));
    sel = (struct page_selection){.match = match, .n_match = 1, .max_series = 4};
    buf_clear(&out);
    assert_int_equal(page_hosts(&t.v, PAGE_TEXT, &sel, &out, &e), 0);
    assert_memory_equal(buf_text(&out), "# HELP node_load1", 17);
    assert_null(strstr(buf_text(&out), "node_cpu"));
    sel = (struct page_selection){.match = match, .n_match = 2};
    buf_clear(&out);
    assert_int_equal(page_hosts(&t.v, PAGE_TEXT, &sel, &out, &e), 0);
    assert_null(strstr(buf_text(&out), "node_cpu_seconds_total{cpu=\"0\",instance=\"a"));
    /* the shards together show each series once */
    for (uint32_t i = 0; i < 3; i++) {
        sel = (struct page_selection){.shard = i, .shards = 3};
        buf_clear(&out);
        assert_int_equal(page_hosts(&t.v, PAGE_TEXT, &sel, &out, &e), 0);
        for (const char *p = buf_text(&out); *p; p = strchr(p, '\n') + 1)
            lines += *p != '#';
    }
    assert_int_equal(lines, 5);
    buf_free(&out);
    buf_init(&out, NULL, 100); /* smaller than the page */
    assert_int_equal(page_own(&t.v, PAGE_TEXT, &out, &e), ERR_LIMIT);
    buf_free(&out);
    selector_free(&name);
    selector_free(&b);
    sketch_free(&t.native);
}

static void shards_are_read(void **state)
{
    static const char *const wrong[] = {"",       "1",    "1/",   "/2",   "2/2", "0/0",
                                        "0/1025", "-1/2", "0/2x", "+0/2", "0/ 2"};
    uint32_t i, n;

    (void)state;
    assert_int_equal(page_shard("1/4", &i, &n), 0);
    assert_int_equal(i, 1);
    assert_int_equal(n, 4);
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
        assert_int_equal(page_shard(wrong[k], &i, &n), ERR_MALFORMED);
}

/* What a room tells of its timers: a histogram, copied when it was told. */
static void own_timers(void **state)
{
    static const struct metric_row took = {
        "securebase_took_seconds", METRIC_SKETCH, 1, 1, "of", "Time taken."};
    struct text one = text_of("one"), two = text_of("two");
    struct samples samples;
    struct sketch sketch;
    struct test_view t;
    struct arena arena;
    struct buf out;
    struct err e = {0};

    (void)state;
    test_view_make(&t);
    t.snap = (struct snapshot){.position = 1};
    arena_init(&arena, NULL, 0);
    samples_init(&samples, &arena);
    sketch_init_scale(&sketch, NULL, SKETCH_SCALE_TIMER);
    sink_sketch(&samples.sink, &took, &one, &sketch);
    (void)sketch_add(&sketch, 0.0007, 3);
    (void)sketch_add(&sketch, 100, 1);
    sink_sketch(&samples.sink, &took, &two, &sketch);
    sketch_free(&sketch);
    t.v.self = samples.v;
    t.v.n_self = samples.n;
    buf_init(&out, NULL, 1 << 20);
    assert_int_equal(page_own(&t.v, PAGE_TEXT, &out, &e), 0);
    assert_non_null(strstr(buf_text(&out), "# TYPE securebase_took_seconds histogram\n"));
    assert_non_null(strstr(buf_text(&out), "\nsecurebase_took_seconds_bucket{of=\"one\",le=\"10\"} 0\n"));
    assert_non_null(strstr(buf_text(&out), "\nsecurebase_took_seconds_bucket{of=\"two\",le=\"0.0005\"} 0\n"));
    assert_non_null(strstr(buf_text(&out), "\nsecurebase_took_seconds_bucket{of=\"two\",le=\"0.001\"} 3\n"));
    assert_non_null(strstr(buf_text(&out), "\nsecurebase_took_seconds_bucket{of=\"two\",le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(buf_text(&out), "\nsecurebase_took_seconds_sum{of=\"two\"} 100.0021\n"));
    buf_free(&out);
    arena_free(&arena);
    sketch_free(&t.native);
}

/* The next delimited family of a protobuf page. */
static Io__Prometheus__Client__MetricFamily *next_family(const uint8_t **p, const uint8_t *end)
{
    uint64_t n = 0;
    int shift = 0;
    Io__Prometheus__Client__MetricFamily *f;

    if (*p == end)
        return NULL;
    do {
        n |= (uint64_t)(**p & 0x7f) << shift;
        shift += 7;
    } while (*(*p)++ & 0x80);
    f = io__prometheus__client__metric_family__unpack(NULL, n, *p);
    assert_non_null(f);
    *p += n;
    return f;
}

static void protobuf_pages(void **state)
{
    struct test_view t;
    struct buf out;
    struct err e = {0};
    const uint8_t *p;
    Io__Prometheus__Client__MetricFamily *f;
    Io__Prometheus__Client__Histogram *h = NULL;
    int families = 0;

    (void)state;
    test_view_make(&t);
    buf_init(&out, NULL, 1 << 20);
    assert_int_equal(page_own(&t.v, PAGE_PROTOBUF, &out, &e), 0);
    p = out.data;
    while ((f = next_family(&p, out.data + out.len))) {
        families++;
        if (strcmp(f->name, "http_seconds") == 0) {
            uint64_t total = 0;
            int64_t count = 0;

            assert_int_equal(f->type, IO__PROMETHEUS__CLIENT__METRIC_TYPE__HISTOGRAM);
            assert_int_equal(f->n_metric, 1);
            h = f->metric[0]->histogram;
            assert_int_equal(h->sample_count, 4);
            assert_int_equal(h->n_bucket, 3);
            assert_int_equal(h->bucket[1]->cumulative_count, 4);
            assert_int_equal(h->schema, 6);
            assert_int_equal(h->n_positive_span, 3); /* 0.05, 0.5 and 0.75 lie far apart */
            for (size_t i = 0; i < h->n_positive_delta; i++) {
                count += h->positive_delta[i];
                total += (uint64_t)count;
            }
            assert_int_equal(total, 4);
            /* 0.5 is the upper bound of its bucket: index 64 × -1 - 1
             * in OpenTelemetry's numbering, -64 in Prometheus' */
            assert_int_equal(h->positive_span[0]->offset + (int32_t)h->positive_span[0]->length +
                                 h->positive_span[1]->offset,
                             -64);
        }
        io__prometheus__client__metric_family__free_unpacked(f, NULL);
    }
    assert_int_equal(families, 4);
    assert_non_null(h);
    buf_free(&out);
    sketch_free(&t.native);
}

static void formats_are_negotiated(void **state)
{
    (void)state;
    assert_int_equal(page_negotiate(NULL), PAGE_TEXT);
    assert_int_equal(page_negotiate("*/*"), PAGE_TEXT);
    assert_int_equal(page_negotiate("text/html"), PAGE_TEXT);
    assert_int_equal(
        page_negotiate(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
            "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
        PAGE_OPENMETRICS);
    assert_int_equal(
        page_negotiate("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding="
                       "delimited,application/openmetrics-text;version=1.0.0;q=0.8"),
        PAGE_PROTOBUF);
    assert_int_equal(page_negotiate("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.9"),
                     PAGE_TEXT);
    assert_true(gzip_wanted("deflate, gzip"));
    assert_false(gzip_wanted("gzip;q=0, br"));
    assert_true(gzip_wanted("br, GZIP;q=0.5"));
    assert_true(gzip_wanted("br;q=1.0, *;q=0.1"));
    assert_false(gzip_wanted("gzipped, *;q=0"));
    assert_false(gzip_wanted("*, gzip;q=0"));
    assert_false(gzip_wanted(NULL));
}

static void gzip_gives_it_back(void **state)
{
    char in[5000], back[5000];
    struct buf out;
    z_stream z = {0};

    (void)state;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)('a' + i % 7);
    buf_init(&out, NULL, 1 << 16);
    assert_true(gzip_bytes(in, sizeof in, &out));
    assert_true(out.len < 500);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = out.data;
    z.avail_in = (uInt)out.len;
    z.next_out = (Bytef *)back;
    z.avail_out = sizeof back;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_out, 0);
    assert_memory_equal(in, back, sizeof in);
    (void)inflateEnd(&z);
    buf_free(&out);
}

/* ---- API ---- */

struct param {
    const char *name, *value;
};

static int get_param(void *arg, const char *name, size_t i, char *out, size_t cap)
{
    for (const struct param *p = arg; p->name; p++) {
        if (strcmp(p->name, name) == 0 && i-- == 0) {
            assert_true(strlen(p->value) < cap);
            memcpy(out, p->value, strlen(p->value) + 1);
            return 0;
        }
    }
    return ERR_NOTFOUND;
}

static int ask(const char *what, const struct param *params, cJSON **answer)
{
    static const struct param none[] = {{NULL, NULL}};
    struct api_query q = {get_param, NULL};
    struct test_view t;
    struct buf out;
    int status;

    memcpy(&q.arg, params ? &params : &(const struct param *){none}, sizeof q.arg);
    test_view_make(&t);
    buf_init(&out, NULL, 1 << 20);
    status = api_answer(&t.v, what, &q, &out);
    *answer = cJSON_ParseWithLength((const char *)out.data, out.len);
    assert_non_null(*answer);
    buf_free(&out);
    sketch_free(&t.native);
    return status;
}

static const cJSON *in(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static void the_api_answers(void **state)
{
    cJSON *a;

    (void)state;
    assert_int_equal(ask("status", NULL, &a), 200);
    assert_int_equal(in(a, "agents_up")->valueint, 1);
    assert_int_equal(in(a, "agents_absent")->valueint, 1);
    assert_string_equal(in(a, "started")->valuestring, "2026-11-24T05:05:13.456Z");
    cJSON_Delete(a);
    assert_int_equal(ask("agents", (const struct param[]){{"limit", "1"}, {"after", "1"}, {NULL, NULL}}, &a),
                     200);
    assert_int_equal(cJSON_GetArraySize(in(a, "agents")), 1);
    assert_true(cJSON_IsNull(in(a, "next")));
    assert_true(in(cJSON_GetArrayItem(in(a, "agents"), 0), "skew_seconds")->valuedouble == -1.5);
    cJSON_Delete(a);
    assert_int_equal(ask("agents", (const struct param[]){{"limit", "1"}, {NULL, NULL}}, &a), 200);
    assert_int_equal(in(a, "next")->valueint, 1);
    cJSON_Delete(a);
    assert_int_equal(
        ask("series", (const struct param[]){{"match", "node_load1"}, {"limit", "1"}, {NULL, NULL}}, &a),
        200);
    assert_int_equal(cJSON_GetArraySize(in(a, "series")), 1);
    assert_string_equal(in(cJSON_GetArrayItem(in(a, "series"), 0), "value")->valuestring, "NaN");
    assert_int_equal(in(a, "next")->valueint, 1);
    cJSON_Delete(a);
    assert_int_equal(ask("percentiles",
                         (const struct param[]){{"metric", "http_seconds"},
                                                {"window", "1m"},
                                                {"q", "0.99"},
                                                {"match", "{service=\"shop\"}"},
                                                {NULL, NULL}},
                         &a),
                     200);
    {
        const cJSON *section = cJSON_GetArrayItem(in(a, "percentiles"), 0);
        const cJSON *groups = in(section, "groups");
        const cJSON *windows = in(cJSON_GetArrayItem(groups, 0), "windows");

        assert_int_equal(cJSON_GetArraySize(groups), 1);
        assert_int_equal(cJSON_GetArraySize(windows), 1);
        assert_true(in(in(cJSON_GetArrayItem(windows, 0), "quantiles"), "0.99")->valuedouble == 0.75);
    }
    cJSON_Delete(a);
}

static void the_api_refuses_with_reasons(void **state)
{
    static const struct {
        const char *what;
        struct param params[3];
        int status;
        const char *says;
    } rows[] = {
        {"nothing", {{NULL, NULL}}, 404, "there are status"},
        {"agents", {{"limit", "0"}, {NULL, NULL}}, 400, "1 to 10000"},
        {"agents", {{"limit", "x"}, {NULL, NULL}}, 400, "limit"},
        {"series", {{"match", "{"}, {NULL, NULL}}, 400, "match"},
        {"percentiles", {{"metric", "none"}, {NULL, NULL}}, 404, "none"},
        {"percentiles", {{"by", "region"}, {NULL, NULL}}, 404, "region"},
        {"percentiles", {{"window", "7m"}, {NULL, NULL}}, 400, "1m 5m"},
        {"percentiles", {{"q", "0.7"}, {NULL, NULL}}, 400, "0.5 0.99"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cJSON *a;

        assert_int_equal(ask(rows[i].what, rows[i].params, &a), rows[i].status);
        assert_non_null(strstr(in(a, "error")->valuestring, rows[i].says));
        assert_true(*in(a, "reason")->valuestring);
        cJSON_Delete(a);
    }
}

static void the_console_escapes(void **state)
{
    struct test_view t;
    struct buf out;

    (void)state;
    test_view_make(&t);
    t.v.region = "<script>&\"";
    buf_init(&out, NULL, 1 << 20);
    console_page(&t.v, &out);
    assert_non_null(strstr(buf_text(&out), "&lt;script&gt;&amp;&quot;"));
    assert_null(strstr(buf_text(&out), "<script>"));
    buf_free(&out);
    sketch_free(&t.native);
}

static void only_our_names_are_served(void **state)
{
    struct access a = {.hosts = {"localhost", "127.0.0.1", "::1", "monitor.example"}, .n = 4, .port = 9871};

    (void)state;
    assert_true(access_host_ok(&a, "localhost:9871", NULL));
    assert_true(access_host_ok(&a, "LOCALHOST", NULL));
    assert_true(access_host_ok(&a, "[::1]:9871", NULL));
    assert_true(access_host_ok(&a, "monitor.example", "https://monitor.example"));
    assert_false(access_host_ok(&a, NULL, NULL));
    assert_false(access_host_ok(&a, "", NULL));
    assert_false(access_host_ok(&a, "evil.example:9871", NULL));
    assert_false(access_host_ok(&a, "localhost.evil.example", NULL));
    assert_false(access_host_ok(&a, "localhost:9871", "http://evil.example"));
    assert_false(access_host_ok(&a, "localhost:9871", "null"));
    assert_false(access_host_ok(&a, "localhost:99999", NULL));
    assert_true(host_is_loopback("127.0.0.1:1"));
    assert_true(host_is_loopback("[::1]:1"));
    assert_false(host_is_loopback("0.0.0.0:1"));
    assert_false(host_is_loopback("1.127.0.0:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_shortest),
        cmocka_unit_test(selectors_select),
        cmocka_unit_test(text_pages),
        cmocka_unit_test(a_page_is_limited_and_narrowed),
        cmocka_unit_test(shards_are_read),
        cmocka_unit_test(own_timers),
        cmocka_unit_test(protobuf_pages),
        cmocka_unit_test(formats_are_negotiated),
        cmocka_unit_test(gzip_gives_it_back),
        cmocka_unit_test(the_api_answers),
        cmocka_unit_test(the_api_refuses_with_reasons),
        cmocka_unit_test(the_console_escapes),
        cmocka_unit_test(only_our_names_are_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
