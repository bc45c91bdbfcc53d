/* Any bytes before every collector, as its files at two ticks or as a server's answer: nothing is read beyond
 * the end, and what comes out keeps the rules (rows of the collector, counters not below 0 and finite).
 *
 * The first line names the collector; a byte 0xff ends one file and begins the next. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/runner.h"

enum { FILES = 8, JOBS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct judge {
    struct sink sink; /* first */
    const struct collector *c;
    unsigned touched;
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void look(struct sink *s, const struct metric_row *row, const struct text *labels)
{
    struct judge *j = (struct judge *)s;
    size_t n = row->labels[0] ? 1 : 0;

    must(row >= j->c->rows && row < j->c->rows + j->c->n_rows, "a row of another");
    for (const char *p = row->labels; *p; p++)
        n += *p == ' ';
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < labels[i].n; k++)
            j->touched += (unsigned char)labels[i].p[k];
}

static void integer(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v)
{
    look(s, row, labels);
    must(row->kind != METRIC_COUNTER || v >= 0, "a counter below 0");
}

static void real(struct sink *s, const struct metric_row *row, const struct text *labels, double v)
{
    look(s, row, labels);
    must(row->kind != METRIC_COUNTER || (isfinite(v) && v >= 0), "a counter below 0 or not finite");
}

static void sketch(struct sink *s, const struct metric_row *row, const struct text *labels,
                   const struct sketch *v)
{
    look(s, row, labels);
    must(row->kind == METRIC_SKETCH && v, "a sketch of another kind");
}

/* Built once: the defaults of all sections, and one instance of each collector that has instances. */
static const struct config *defaults(void)
{
    static struct config *config;
    static struct arena arena;
    char path[] = "/tmp/fuzz-collectors-XXXXXX";
    struct buf report;
    struct err e;
    size_t n;
    FILE *f;
    int fd;

    if (config)
        return config;
    fd = mkstemp(path);
    f = fd >= 0 ? fdopen(fd, "w") : NULL;
    must(f != NULL, "no scratch file");
    for (size_t i = 0; i < collectors_count; i++)
        if (collectors[i]->instances)
            fprintf(f, "[%s main]\n", collectors[i]->name);
    (void)fclose(f);
    arena_init(&arena, NULL, 0);
    buf_init(&report, NULL, 1 << 20);
    config = config_load(path, NULL, collector_sections(&arena, &n), collectors_count, &report, &e);
    must(config != NULL, "no configuration");
    buf_free(&report);
    (void)unlink(path);
    return config;
}

static const struct section *section(const struct collector *c)
{
    char name[80];

    (void)snprintf(name, sizeof name, "collector %s", c->name);
    return c->instances ? config_named(defaults(), c->name, 0) : config_section(defaults(), name);
}

static void run_jobs(const struct collector *c, void *state, const struct tick *t, const struct bytes *files,
                     struct judge *j)
{
    static struct call_job jobs[JOBS];
    static struct call_answer answers[JOBS];
    struct err e = {0};
    size_t n = c->jobs(state, files, jobs, JOBS);

    n = n < JOBS ? n : JOBS;
    for (size_t i = 0; i < n; i++) {
        must(memchr(jobs[i].key, 0, sizeof jobs[i].key) != NULL, "a key without its end");
        memset(&answers[i], 0, sizeof answers[i]);
        answers[i].code = i % 5 == 4 ? 110 : i % 7 == 6 ? 5 : 0;
        for (size_t k = 0; k < 9; k++)
            answers[i].v[k] = (uint64_t)strlen(jobs[i].key) << (i * 11 + k) % 64;
        memset(answers[i].text, 'x', i % 2 ? sizeof answers[i].text : 5);
    }
    (void)c->called(state, t, jobs, answers, n, &j->sink, &e);
}

static void files_shape(const struct collector *c, void *state, const uint8_t *data, size_t size,
                        struct judge *j)
{
    struct bytes files[FILES] = {{NULL, 0}};
    size_t n = 0, want = 0;

    while (c->files[want])
        want++;
    for (int round = 0; round < 2; round++) {
        struct tick t = {.wall = {1000 + round}, .since = span_s(round)};
        struct err e = {0};

        for (n = 0; n < want && size; n++) {
            const uint8_t *end = memchr(data, 0xff, size);
            size_t len = end ? (size_t)(end - data) : size;

            files[n] = (struct bytes){data, len};
            data += len + (end != NULL);
            size -= len + (end != NULL);
        }
        if (c->read)
            (void)c->read(state, &t, files, &j->sink, &e);
        if (c->jobs)
            run_jobs(c, state, &t, files, j);
    }
}

static void ask_shape(const struct collector *c, void *state, const uint8_t *data, size_t size,
                      struct judge *j)
{
    struct tick t = {0};
    struct buf request;
    struct err e = {0};
    int64_t whole;

    buf_init(&request, NULL, 1 << 16);
    must(c->request(state, true, &request, &e) == 0, "no request");
    whole = c->complete(state, data, size, &e);
    if (whole > 0 && (size_t)whole <= size)
        (void)c->answered(state, &t, (struct bytes){data, (size_t)whole}, span_ms(1), &j->sink, &e);
    else
        c->failed(state, &t, "protocol", &j->sink);
    buf_free(&request);
}

/* The collector that the first line names, or one by its length; the rest is what it gets. */
static const struct collector *chosen(const uint8_t **data, size_t *size)
{
    const uint8_t *nl = *size ? memchr(*data, '\n', *size) : NULL;
    size_t n = nl ? (size_t)(nl - *data) : 0;
    const struct collector *c = collectors[n % collectors_count];

    for (size_t i = 0; i < collectors_count; i++)
        if (strlen(collectors[i]->name) == n && memcmp(collectors[i]->name, *data, n) == 0)
            c = collectors[i];
    *data += nl ? n + 1 : 0;
    *size -= nl ? n + 1 : 0;
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct judge j = {.sink = {integer, real, sketch}};
    struct err e = {0};
    void *state;

    j.c = chosen(&data, &size);
    state = calloc(1, j.c->state_size ? j.c->state_size : 1);
    must(state != NULL, "no memory");
    if (j.c->setup)
        must(j.c->setup(state, &(struct collector_setup){.options = section(j.c), .secret = NULL}, &e) == 0,
             "setup");
    if (j.c->shape == COLLECTOR_ASK)
        ask_shape(j.c, state, data, size, &j);
    else
        files_shape(j.c, state, data, size, &j);
    if (j.c->teardown)
        j.c->teardown(state);
    free(state);
    return 0;
}
