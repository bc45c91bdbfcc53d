/* How many StatsD lines a core takes in: parsing, finding the series, adding to it; sockets left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/inputs/statsd.h"
#include "common/base/rng.h"

enum { SERIES = 1000, PACKETS = 2000, LINES = 20, RUNS = 5 };

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Datagrams of LINES lines over SERIES series. */
static struct buf *datagrams(const char *form)
{
    struct buf *b = calloc(PACKETS, sizeof *b);
    struct rng r;

    rng_seed(&r, 1);
    for (int i = 0; i < PACKETS; i++) {
        buf_init(&b[i], NULL, 65536);
        for (int k = 0; k < LINES; k++) {
            unsigned v = (unsigned)rng_below(&r, 100000), s = (unsigned)rng_below(&r, SERIES);

            buf_fmt(&b[i], form, s % 50, v / 100, v % 100, s / 50);
            buf_str(&b[i], "\n");
        }
    }
    return b;
}

static void run(const char *what, const char *form)
{
    struct statsd_params p = {.max_series = 10000, .max_memory = 64 << 20, .expire = 100, .seed = {1, 2}};
    struct buf *b = datagrams(form);
    double rate[RUNS];
    uint64_t lines = (uint64_t)PACKETS * LINES;

    for (int k = 0; k < RUNS; k++) {
        struct statsd *s = statsd_new(&p);
        double t;

        for (int i = 0; i < PACKETS; i++) /* warm: the series are known */
            statsd_packet(s, (struct wall){0}, (const char *)b[i].data, b[i].len);
        t = now();
        for (int round = 0; round < 5; round++)
            for (int i = 0; i < PACKETS; i++)
                statsd_packet(s, (struct wall){0}, (const char *)b[i].data, b[i].len);
        rate[k] = (double)lines * 5 / (now() - t);
        if (statsd_stats(s).samples != lines * 6)
            exit(1);
        statsd_free(&s);
    }
    qsort(rate, RUNS, sizeof *rate, compare);
    printf("%-28s %8.2f million lines/s %8.0f ns/line\n", what, rate[RUNS / 2] / 1e6, 1e9 / rate[RUNS / 2]);
    for (int i = 0; i < PACKETS; i++)
        buf_free(&b[i]);
    free(b);
}

int main(void)
{
    printf("bench-statsd: %d series, %d lines in a datagram, median of %d\n", SERIES, LINES, RUNS);
    run("counter", "app.requests.%u:%u.%02u|c|#code:%u");
    run("timer", "app.latency.%u:%u.%02u|ms|#endpoint:%u");
    run("timer, sampled, four tags",
        "app.latency.%u:%u.%02u|ms|@0.1|#endpoint:%u,env:prod,version:1.2.3,zone:b");
    return 0;
}
