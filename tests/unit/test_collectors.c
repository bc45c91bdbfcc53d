/* Collectors over their fixture folders, which are found by themselves: tests/collectors/NAME or
 * NAME-VARIANT holds a tree (proc, sys, mount points) that the collector NAME is run on, and what
 * it has to say in expected.prom. A value "*" there stands for any. A folder with answer.resp is an
 * answer for an asking collector; agent.ini, where there is one, is its configuration. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "agent/once.h"
#include "agent/runner.h"

enum { TEXT_MAX = 16 << 20, FOLDERS = 256 };

static void read_file(const char *folder, const char *name, struct buf *out, bool needed)
{
    char path[4096];
    char part[4096];
    size_t n;
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "rb");
    if (!f && needed)
        fail_msg("%s cannot be read", path);
    buf_clear(out);
    while (f && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_put(out, part, n);
    if (f)
        (void)fclose(f);
}

/* What holds calls up here is the machine: no fixture waits for a deadline. */
static void be_patient(void)
{
    FILE *f;

    (void)mkdir("patient.d", 0700);
    f = fopen("patient.d/all.ini", "wb");
    assert_non_null(f);
    for (size_t i = 0; i < collectors_count; i++)
        if (!collectors[i]->instances)
            (void)fprintf(f, "[collector %s]\ntimeout = 60s\n", collectors[i]->name);
    (void)fclose(f);
}

static struct config *load(const char *folder, struct arena *a)
{
    struct buf text, report;
    struct err e = {0};
    size_t n;
    struct section_row *rows = collector_sections(a, &n);
    struct config *c;
    FILE *f = fopen("agent.ini", "wb");

    assert_non_null(rows);
    assert_non_null(f);
    buf_init(&text, NULL, TEXT_MAX);
    buf_init(&report, NULL, TEXT_MAX);
    if (folder)
        read_file(folder, "agent.ini", &text, false);
    (void)fwrite(text.data ? text.data : (const void *)"", 1, text.len, f);
    (void)fclose(f);
    be_patient();
    c = config_load("agent.ini", "patient.d", rows, n, &report, &e);
    if (!c)
        fail_msg("%s: %s", folder ? folder : "", e.text);
    buf_free(&text);
    buf_free(&report);
    return c;
}

/* "cpu-hotplug" is a fixture of the collector cpu. */
static const struct collector *collector_of(const char *folder)
{
    size_t n = strcspn(folder, "-");

    for (size_t i = 0; i < collectors_count; i++)
        if (strlen(collectors[i]->name) == n && memcmp(collectors[i]->name, folder, n) == 0)
            return collectors[i];
    fail_msg("no collector for tests/collectors/%s", folder);
    return NULL;
}

/* An answer put before an asking collector: its samples, and
 * node_scrape_collector_success as the runner would tell. */
static void answer(const struct collector *c, const char *folder, const struct config *config,
                   struct buf *out)
{
    const struct section *s = config_named(config, c->name, 0);
    struct buf bytes, request;
    struct once *o = once_new(NULL);
    struct err e = {0};
    struct tick t = {.wall = {1000}, .mono = {1000000000}};
    void *state = calloc(1, c->state_size);
    int64_t whole;

    assert_non_null(s);
    assert_non_null(o);
    assert_non_null(state);
    buf_init(&bytes, NULL, TEXT_MAX);
    buf_init(&request, NULL, TEXT_MAX);
    read_file(folder, "answer.resp", &bytes, true);
    assert_int_equal(c->setup(state, &(struct collector_setup){.options = s}, &e), 0);
    assert_int_equal(c->request(state, true, &request, &e), 0);
    whole = c->complete(state, bytes.data, bytes.len, &e);
    if (whole > 0 && (size_t)whole <= bytes.len)
        (void)c->answered(state, &t, (struct bytes){bytes.data, (size_t)whole}, span_ms(2), once_sink(o), &e);
    else
        c->failed(state, &t, whole < 0 ? "protocol" : "closed", once_sink(o));
    assert_int_equal(once_render(o, ONCE_PROM, out, &e), 0);
    c->teardown(state);
    free(state);
    buf_free(&bytes);
    buf_free(&request);
    once_free(&o);
}

static const char *next_line(const char *p, const char **line, size_t *n)
{
    *line = p;
    *n = strcspn(p, "\n");
    return p[*n] ? p + *n + 1 : p + *n;
}

static bool same_line(const char *want, size_t want_n, const char *got, size_t got_n)
{
    const char *blank = memrchr(got, ' ', got_n);

    if (want_n > 2 && memcmp(want + want_n - 2, " *", 2) == 0 && blank)
        return (size_t)(blank - got) == want_n - 2 && memcmp(want, got, want_n - 2) == 0;
    return want_n == got_n && memcmp(want, got, got_n) == 0;
}

static void compare(const char *folder, const char *want, const char *got)
{
    while (*want || *got) {
        const char *w, *g;
        size_t wn, gn;

        want = next_line(want, &w, &wn);
        got = next_line(got, &g, &gn);
        if (!same_line(w, wn, g, gn))
            fail_msg("%s\n expected: %.*s\n      got: %.*s", folder, (int)wn, w, (int)gn, g);
    }
}

static void one_folder(const char *top, const char *name)
{
    const struct collector *c = collector_of(name);
    char folder[2048];
    struct arena a;
    struct buf want, got;
    struct config *config;
    struct err e = {0};

    (void)snprintf(folder, sizeof folder, "%s/%s", top, name);
    arena_init(&a, NULL, 0);
    buf_init(&want, NULL, TEXT_MAX);
    buf_init(&got, NULL, TEXT_MAX);
    config = load(folder, &a);
    read_file(folder, "expected.prom", &want, true);
    if (c->shape == COLLECTOR_ASK)
        answer(c, folder, config, &got);
    else
        assert_int_equal(once_run(
                             &(struct once_params){
                                 .config = config, .root = folder, .only = c->name, .settle = span_ms(1)},
                             &got, &e),
                         0);
    compare(folder, buf_text(&want), buf_text(&got));
    config_free(&config);
    buf_free(&want);
    buf_free(&got);
    arena_free(&a);
}

static void test_fixtures(void **state)
{
    char top[1024];
    struct dirent **found;
    int n;

    (void)state;
    (void)snprintf(top, sizeof top, "%s/tests/collectors", getenv("TEST_SOURCE"));
    n = scandir(top, &found, NULL, alphasort);
    assert_true(n > 20);
    for (int i = 0; i < n; i++) {
        if (found[i]->d_name[0] != '.')
            one_folder(top, found[i]->d_name);
        free(found[i]);
    }
    free(found);
}

/* Rows keep the rules of names, and no name is in two rows. */
static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < collectors_count; i++) {
        const struct collector *c = collectors[i];

        assert_true(c->n_rows > 0);
        for (size_t k = 0; k < c->n_rows; k++) {
            const struct metric_row *r = &c->rows[k];
            size_t n = strlen(r->name), help = strlen(r->help);

            assert_true(wire_metric_name_ok(r->name, n) && wire_metric_prefix_ok(r->name, n));
            assert_true(help > 5 && r->help[help - 1] == '.');
            if (r->kind == METRIC_COUNTER && strncmp(r->name, "redis_", 6) != 0)
                assert_string_equal(r->name + n - 6, "_total");
            for (size_t x = 0; x <= i; x++)
                for (size_t y = 0; y < (x == i ? k : collectors[x]->n_rows); y++)
                    assert_string_not_equal(collectors[x]->rows[y].name, r->name);
        }
    }
}

/* Two samplings of a collector that reads one file, `since` between them. */
static void read_twice(const char *name, const char *first, const char *second, struct span since,
                       struct buf *out)
{
    const struct collector *c = collector_of(name);
    struct arena a;
    struct config *config;
    char section[64];
    struct once *o = once_new(NULL);
    void *state = calloc(1, c->state_size ? c->state_size : 1);
    const char *texts[2] = {first, second};
    struct err e = {0};

    arena_init(&a, NULL, 0);
    config = load(NULL, &a);
    (void)snprintf(section, sizeof section, "collector %s", name);
    if (c->setup)
        assert_int_equal(
            c->setup(state, &(struct collector_setup){.options = config_section(config, section)}, &e), 0);
    for (int i = 0; i < 2; i++) {
        struct tick t = {.since = i ? since : span_ns(0)};
        struct bytes b[2] = {{(const uint8_t *)texts[i], strlen(texts[i])}, {NULL, 0}};

        once_clear(o);
        assert_int_equal(c->read(state, &t, b, once_sink(o), &e), 0);
    }
    buf_clear(out);
    assert_int_equal(once_render(o, ONCE_PROM, out, &e), 0);
    if (c->teardown)
        c->teardown(state);
    free(state);
    once_free(&o);
    config_free(&config);
    arena_free(&a);
}

static void has(struct buf *out, const char *line)
{
    if (!strstr(buf_text(out), line))
        fail_msg("\"%s\" is not in\n%s", line, buf_text(out));
}

static void test_cpu_between_ticks(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, NULL, TEXT_MAX);
    /* 100 ticks passed, 75 of them idle or waiting */
    read_twice("cpu", "cpu  100 0 100 1000 10 0 0 0 0 0\ncpu0 100 0 100 1000 10 0 0 0 0 0\n",
               "cpu  120 0 105 1070 15 0 0 0 0 0\ncpu0 120 0 105 1070 15 0 0 0 0 0\n", span_s(1), &out);
    has(&out, "\nsecurebase_host_cpu_utilization_ratio 0.25\n");
    /* idle steps back a little: it keeps its value; by more than 3 s: the processor is new */
    read_twice("cpu", "cpu  0 0 0 1 0\ncpu0 100 0 100 1000 10 0 0 0 0 0\n",
               "cpu  0 0 0 1 0\ncpu0 101 0 99 990 9 0 0 0 0 0\n", span_s(1), &out);
    has(&out, "{cpu=\"0\",mode=\"idle\"} 10\n");
    has(&out, "{cpu=\"0\",mode=\"user\"} 1.01\n");
    has(&out, "{cpu=\"0\",mode=\"system\"} 1\n");
    read_twice("cpu", "cpu  0 0 0 1 0\ncpu0 100 0 100 1000 10 0 0 0 0 0\n",
               "cpu  0 0 0 1 0\ncpu0 1 0 2 30 0 0 0 0 0 0\n", span_s(1), &out);
    has(&out, "{cpu=\"0\",mode=\"idle\"} 0.3\n");
    has(&out, "{cpu=\"0\",mode=\"user\"} 0.01\n");
    buf_free(&out);
}

static void test_devices_between_ticks(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, NULL, TEXT_MAX);
    read_twice(
        "diskstats", "8 0 sda 1 0 8 1 1 0 8 1 0 1000 5\n8 16 sdb 1 0 8 1 1 0 8 1 0 7 5\n",
        "8 16 sdb 1 0 8 1 1 0 8 1 0 3 5\n8 0 sda 1 0 8 1 1 0 8 1 0 1500 5\n8 32 sdc 1 0 8 1 1 0 8 1 0 9 5\n",
        span_s(2), &out);
    has(&out, "\nsecurebase_host_disk_utilization_ratio{device=\"sda\"} 0.25\n");
    assert_null(strstr(buf_text(&out), "ratio{device=\"sdb\"}")); /* it began anew */
    assert_null(strstr(buf_text(&out), "ratio{device=\"sdc\"}")); /* it has just come */
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixtures),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cpu_between_ticks),
        cmocka_unit_test(test_devices_between_ticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
