/* What the sketch costs, next to what else one could do: an index by log(), and keeping all values and
 * sorting them. Prints a table of medians. All peers run in this process on the same values. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/rng.h"
#include "common/sketch/sketch.h"

enum { VALUES = 65536, ROUNDS = 21, OTHERS = 64 };

struct work {
    double *values, *sorted;
    struct sketch into, from, others[OTHERS];
    struct buf bytes;
    volatile double sink; /* what is computed must be wanted */
};

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

/* Median time of one of the n operations that a call of run does, in ns. */
static double median_ns(void (*run)(struct work *), struct work *w, double n)
{
    double t[ROUNDS];

    run(w);
    for (int i = 0; i < ROUNDS; i++) {
        double begin = now_ns();

        run(w);
        t[i] = (now_ns() - begin) / n;
    }
    qsort(t, ROUNDS, sizeof *t, ascending);
    return t[ROUNDS / 2];
}

static void line(const char *what, const char *unit, double ns)
{
    printf("%-44s %12.2f  ns/%s\n", what, ns, unit);
}

/* ---- recording ---- */

static void run_insert(struct work *w)
{
    sketch_clear(&w->into);
    for (int i = 0; i < VALUES; i++)
        (void)sketch_add(&w->into, w->values[i], 1);
}

static void run_index(struct work *w)
{
    int64_t sum = 0;

    for (int i = 0; i < VALUES; i++)
        sum += sketch_index(w->values[i], SKETCH_SCALE);
    w->sink = (double)sum;
}

static void run_log_index(struct work *w)
{
    const double factor = 64 / 0.693147180559945309417;
    int64_t sum = 0;

    for (int i = 0; i < VALUES; i++)
        sum += (int64_t)ceil(log(w->values[i]) * factor) - 1;
    w->sink = (double)sum;
}

static void run_sort(struct work *w)
{
    memcpy(w->sorted, w->values, VALUES * sizeof *w->values);
    qsort(w->sorted, VALUES, sizeof *w->sorted, ascending);
    w->sink = w->sorted[VALUES * 99 / 100];
}

/* ---- merging and reading ---- */

enum { MERGES = 256 };

static void run_merge(struct work *w)
{
    for (int i = 0; i < MERGES; i++)
        (void)sketch_merge(&w->into, &w->from);
}

static void run_merge_halving(struct work *w)
{
    for (int i = 0; i < MERGES; i++) {
        (void)sketch_copy(&w->into, &w->from);
        sketch_downscale(&w->into, w->from.scale - 1);
    }
}

static void run_quantile(struct work *w)
{
    for (int i = 0; i < MERGES; i++)
        w->sink = sketch_quantile(&w->from, 0.99);
}

static void run_quantiles(struct work *w)
{
    static const double q[] = {0.5, 0.9, 0.95, 0.99, 0.999};
    double v[5];

    for (int i = 0; i < MERGES; i++) {
        sketch_quantiles(&w->from, q, v, 5);
        w->sink = v[4];
    }
}

static void run_encode(struct work *w)
{
    for (int i = 0; i < MERGES; i++) {
        buf_clear(&w->bytes);
        (void)sketch_encode(&w->from, &w->bytes);
    }
}

static void run_decode(struct work *w)
{
    size_t used;

    for (int i = 0; i < MERGES; i++)
        (void)sketch_decode(&w->into, w->bytes.data, w->bytes.len, &used, NULL);
}

static void run_check(struct work *w)
{
    size_t used;

    for (int i = 0; i < MERGES; i++)
        (void)sketch_check(w->bytes.data, w->bytes.len, &used, NULL);
}

/* The percentile of many hosts: a fold over sketches that are not in the first cache. */
static void run_fold(struct work *w)
{
    sketch_clear(&w->into);
    for (int i = 0; i < OTHERS; i++)
        (void)sketch_merge(&w->into, &w->others[i]);
    w->sink = sketch_quantile(&w->into, 0.99);
}

static void by_slots(struct work *w, unsigned slots)
{
    char what[64];

    sketch_clear(&w->into);
    sketch_clear(&w->from);
    for (unsigned i = 0; i < slots; i++)
        (void)sketch_add(&w->from, sketch_bound((int32_t)i + 1, SKETCH_SCALE), 1 + i % 97 * (i % 3));
#define LINE(name, run)                                                                                      \
    ((void)snprintf(what, sizeof what, "%s, %u slots", name, slots),                                         \
     line(what, "sketch", median_ns(run, w, MERGES)))
    LINE("merge", run_merge);
    LINE("copy and halve the resolution", run_merge_halving);
    LINE("p99", run_quantile);
    LINE("p50 p90 p95 p99 p99.9 at once", run_quantiles);
    LINE("encode", run_encode);
    LINE("decode", run_decode);
    LINE("check", run_check);
#undef LINE
    printf("%-44s %12zu  bytes\n", "encoded", w->bytes.len);
}

static void bench_recording(struct work *w)
{
    double exact, estimate;

    line("insert", "value", median_ns(run_insert, w, VALUES));
    line("index alone", "value", median_ns(run_index, w, VALUES));
    line("index by log() (peer)", "value", median_ns(run_log_index, w, VALUES));
    line("sort all values, read p99 (peer)", "value", median_ns(run_sort, w, VALUES));
    run_insert(w);
    exact = w->sorted[(VALUES * 99 + 99) / 100 - 1];
    estimate = sketch_quantile(&w->into, 0.99);
    printf("%-44s %12.3f  %% of the exact one\n", "p99 off by", fabs(estimate / exact - 1) * 100);
    printf("%-44s %12zu  bytes, %u slots used\n", "memory, sketch",
           sizeof w->into + (w->into.pos.room + w->into.neg.room) * sizeof(uint64_t), w->into.pos.n);
    printf("%-44s %12zu  bytes\n", "memory, all values (peer)", VALUES * sizeof(double));
}

static void setup(struct work *w)
{
    struct rng r;

    rng_seed(&r, 1);
    w->values = malloc(VALUES * sizeof(double));
    w->sorted = malloc(VALUES * sizeof(double));
    if (!w->values || !w->sorted)
        abort();
    buf_init(&w->bytes, NULL, 1 << 17);
    sketch_init(&w->into, NULL);
    sketch_init(&w->from, NULL);
    for (int i = 0; i < VALUES; i++) /* log-normal, sigma 0.8, a median of 2.5 ms */
        w->values[i] =
            exp(sqrt(-2 * log(1 - rng_unit(&r))) * cos(6.283185307179586 * rng_unit(&r)) * 0.8 - 6);
    for (int k = 0; k < OTHERS; k++) {
        sketch_init(&w->others[k], NULL);
        for (int i = 0; i < VALUES / OTHERS; i++)
            (void)sketch_add(&w->others[k], w->values[k * (VALUES / OTHERS) + i], 1);
    }
}

int main(void)
{
    static const unsigned slots[] = {160, 320, 1024, 2048};
    struct work w = {0};

    setup(&w);
    printf("sketch: medians of %d runs; %d log-normal values\n", ROUNDS, VALUES);
    bench_recording(&w);
    line("fold of 64 sketches of 1024 values, p99", "sketch", median_ns(run_fold, &w, OTHERS));
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        by_slots(&w, slots[i]);
    for (int k = 0; k < OTHERS; k++)
        sketch_free(&w.others[k]);
    sketch_free(&w.into);
    sketch_free(&w.from);
    buf_free(&w.bytes);
    free(w.values);
    free(w.sorted);
    return 0;
}
