/* What sampling costs: a tick of the runner over this host's own files into a sink
 * that drops everything, next to the bare reading of the same files; and parsing
 * alone, from bytes in memory. Medians; peers run in this process, in turn. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/runner.h"

enum { TICKS = 400, FILES_MAX = 32, FILE_ROOM = 1 << 20 };

struct count {
    struct sink sink; /* first */
    uint64_t samples;
};

static void integer(struct sink *s, const struct metric_row *row, const struct text *labels, int64_t v)
{
    (void)row;
    (void)labels;
    (void)v;
    ((struct count *)s)->samples++;
}

static void real(struct sink *s, const struct metric_row *row, const struct text *labels, double v)
{
    integer(s, row, labels, (int64_t)v);
}

static void sketch(struct sink *s, const struct metric_row *row, const struct text *labels,
                   const struct sketch *v)
{
    (void)v;
    integer(s, row, labels, 0);
}

static struct sink *sink_for(void *arg, struct span interval, struct wall at, const struct wire_label *extra,
                             uint32_t n)
{
    (void)interval;
    (void)at;
    (void)extra;
    (void)n;
    return arg;
}

static double now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, ascending);
    return v[n / 2];
}

/* The files that reading collectors want, each once, opened. */
struct bare {
    int fd[FILES_MAX];
    const char *path[FILES_MAX];
    size_t n;
    uint8_t *into;
};

static void bare_open(struct bare *b)
{
    for (size_t i = 0; i < collectors_count; i++)
        for (size_t k = 0; collectors[i]->shape == COLLECTOR_READ && collectors[i]->files[k]; k++) {
            const char *path = collectors[i]->files[k];
            char whole[256];
            size_t x = 0;

            while (x < b->n && strcmp(b->path[x], path) != 0)
                x++;
            (void)snprintf(whole, sizeof whole, "/%s", path);
            if (x < b->n || b->n == FILES_MAX || (b->fd[b->n] = open(whole, O_RDONLY | O_CLOEXEC)) < 0)
                continue;
            b->path[b->n++] = path;
        }
}

static uint64_t bare_read(struct bare *b)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < b->n; i++) {
        off_t at = 0;
        ssize_t got;

        while ((got = pread(b->fd[i], b->into + at, FILE_ROOM - (size_t)at, at)) > 0)
            at += got;
        bytes += (uint64_t)at;
    }
    return bytes;
}

static struct config *configure(struct arena *a)
{
    static const char ini[] = "[collector filesystem]\nenabled = no\n[collector uname]\nenabled = no\n";
    char path[] = "/tmp/bench-agent-XXXXXX";
    struct buf report;
    struct err e = {0};
    struct section_row *rows;
    struct config *c;
    size_t n;
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, ini, sizeof ini - 1) != sizeof ini - 1)
        return NULL;
    (void)close(fd);
    buf_init(&report, NULL, 1 << 20);
    rows = collector_sections(a, &n);
    c = config_load(path, NULL, rows, n, &report, &e);
    (void)unlink(path);
    buf_free(&report);
    return c;
}

/* One collector over its files' bytes as they were read once. */
static double parse_ns(const struct collector *c, const struct config *config, struct count *count)
{
    struct bytes files[FILES_MAX] = {{NULL, 0}};
    static uint8_t text[4][FILE_ROOM];
    char name[64];
    double t[TICKS];
    void *state = calloc(1, c->state_size ? c->state_size : 1);
    struct err e;

    (void)snprintf(name, sizeof name, "collector %s", c->name);
    for (size_t i = 0; c->files[i] && i < 4; i++) {
        char path[256];
        int fd;
        size_t n = 0;
        ssize_t got;

        (void)snprintf(path, sizeof path, "/%s", c->files[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && (got = read(fd, text[i] + n, FILE_ROOM - n)) > 0)
            n += (size_t)got;
        if (fd >= 0)
            (void)close(fd);
        files[i] = fd >= 0 ? (struct bytes){text[i], n} : (struct bytes){NULL, 0};
    }
    if (c->setup)
        (void)c->setup(state, &(struct collector_setup){.options = config_section(config, name)}, &e);
    for (int i = 0; i < TICKS; i++) {
        struct tick tick = {.wall = {i * 1000}, .since = span_s(1)};
        double begin = now_ns();

        for (int k = 0; k < 10; k++)
            (void)c->read(state, &tick, files, &count->sink, &e);
        t[i] = (now_ns() - begin) / 10;
    }
    if (c->teardown)
        c->teardown(state);
    free(state);
    return median(t, TICKS);
}

static void parsing(const struct config *config)
{
    printf("\n%-12s %10s %12s %12s\n", "parsing", "samples", "us/tick", "ns/sample");
    for (size_t i = 0; i < collectors_count; i++) {
        struct count count = {.sink = {integer, real, sketch}};
        double ns;

        if (collectors[i]->shape != COLLECTOR_READ)
            continue;
        ns = parse_ns(collectors[i], config, &count);
        count.samples /= TICKS * 10;
        printf("%-12s %10llu %12.2f %12.1f\n", collectors[i]->name, (unsigned long long)count.samples,
               ns / 1e3, count.samples ? ns / (double)count.samples : 0);
    }
}

int main(void)
{
    struct count count = {.sink = {integer, real, sketch}};
    struct bare bare = {.into = malloc(FILE_ROOM)};
    struct arena arena;
    struct err e = {0};
    struct loop *loop = loop_new(&e);
    struct config *config;
    struct runner *r;
    double tick[TICKS], read_only[TICKS], t, b;
    uint64_t bytes = 0;

    arena_init(&arena, NULL, 0);
    config = configure(&arena);
    r = config && loop ? runner_new(&(struct runner_params){.root = "",
                                                            .config = config,
                                                            .interval = span_s(1),
                                                            .loop = loop,
                                                            .target = {sink_for, &count}},
                                    &e)
                       : NULL;
    if (!r || !bare.into) {
        fprintf(stderr, "bench_agent: %s\n", e.text);
        return 1;
    }
    bare_open(&bare);
    for (int i = 0; i < TICKS; i++) {
        t = now_ns();
        runner_tick(r, (struct wall){(int64_t)i * 1000}, (struct mono){(int64_t)i * 1000000000});
        tick[i] = now_ns() - t;
        t = now_ns();
        bytes = bare_read(&bare);
        read_only[i] = now_ns() - t;
    }
    t = median(tick, TICKS);
    b = median(read_only, TICKS);
    printf("%zu files, %llu bytes, %llu samples a tick; median of %d ticks\n", bare.n,
           (unsigned long long)bytes, (unsigned long long)(count.samples / TICKS), TICKS);
    printf("%-36s %10.1f us/tick %10.1f ns/sample\n", "runner, samples dropped", t / 1e3,
           t * TICKS / (double)count.samples);
    printf("%-36s %10.1f us/tick\n", "the same files, read and dropped", b / 1e3);
    printf("%-36s %10.2f\n", "ratio", t / b);
    parsing(config);
    runner_free(&r);
    config_free(&config);
    loop_free(&loop);
    arena_free(&arena);
    free(bare.into);
    return 0;
}
