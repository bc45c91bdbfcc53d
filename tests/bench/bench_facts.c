/* What keeping and reading facts costs: a gain, and windows of each length over each kind, medians. One thousand
 * groups, so that they are not all in the first caches; each window is another one than was read last of its group,
 * but for "again". The peer of a window is adding thirty doubles in place. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "aggregator/alert/facts.h"

enum { GROUPS = 1000, ROUNDS = 15 };
static const int64_t start = 1764000000000;

struct bench {
    struct mem mem;
    struct selections *s;
    struct facts *f;
    struct sketch gain, out;
    enum fact_kind kind;
    int64_t now, reach;
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

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, ascending);
    return v[n / 2];
}

static void gain_all(struct bench *b)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        struct fact_delta d = {.group = g,
                               .kind = b->kind,
                               .start = b->now - FACT_STEP_MS,
                               .gain = {10, b->now, 5, 50, 1, 9, 1, NULL}};

        d.gain.sketch = b->kind == FACT_SKETCH ? &b->gain : NULL;
        if (facts_gain(b->f, &d) != 0)
            abort();
    }
}

static void open_all(struct bench *b, enum fact_kind kind, int64_t reach)
{
    static const char *const by[] = {"host"};
    uint32_t at;

    *b = (struct bench){.kind = kind, .now = start, .reach = reach};
    sketch_init(&b->gain, NULL);
    sketch_init(&b->out, NULL);
    for (int i = 0; i < 100; i++)
        (void)sketch_add(&b->gain, 0.01 * (1 + i * i % 41), 1);
    b->s = selections_new(NULL);
    if (selections_add(b->s, "m", "", by, 1, span_ms(reach), &at, NULL))
        abort();
    b->f = facts_new(b->s, &b->mem);
    for (uint32_t g = 0; g < GROUPS; g++) {
        char name[16];
        struct label l = {"host", name};

        (void)snprintf(name, sizeof name, "web-%u", g);
        if (facts_group(b->f, &(struct fact_group_new){0, g, kind, {&l, 1}}))
            abort();
    }
}

static void close_all(struct bench *b)
{
    facts_free(&b->f);
    selections_free(&b->s);
    sketch_free(&b->gain);
    sketch_free(&b->out);
}

static double window_ns(struct bench *b, int64_t length, bool again)
{
    double v[ROUNDS];

    for (int r = 0; r < ROUNDS; r++) {
        double begin = now_ns();
        int64_t to = b->now - (again ? 0 : r % 3 * FACT_MINUTE_MS);

        for (uint32_t g = 0; g < GROUPS; g++) {
            struct fact_bucket x;
            struct fact_cover c;

            if (b->kind == FACT_SKETCH)
                sketch_clear(&b->out);
            if (facts_window(facts_group_at(b->f, 0, g), to - length, to, &x,
                             b->kind == FACT_SKETCH ? &b->out : NULL, &c))
                abort();
        }
        v[r] = (now_ns() - begin) / GROUPS;
    }
    return median(v, ROUNDS);
}

static void run(const char *name, enum fact_kind kind, int64_t reach, int64_t filled)
{
    static const struct {
        const char *name;
        int64_t ms;
    } lengths[] = {{"5m", 300000}, {"30m", 1800000}, {"1h", 3600000}, {"6h", 21600000}, {"3d", 259200000}};
    double v[4096];
    struct bench b;
    size_t n = 0;

    open_all(&b, kind, reach);
    for (int64_t t = 0; t < filled; t += FACT_STEP_MS) {
        double begin;

        b.now += FACT_STEP_MS;
        facts_advance(b.f, (struct wall){b.now});
        begin = now_ns();
        gain_all(&b);
        if (n < 4096)
            v[n++] = (now_ns() - begin) / GROUPS;
    }
    printf("%-8s reach %5.1f h: a gain %6.0f ns, %7zu bytes a group; window", name, (double)reach / 3.6e6,
           median(v, n), b.mem.used / GROUPS);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        if (lengths[i].ms <= reach && lengths[i].ms <= filled)
            printf(" %s %.0f", lengths[i].name, window_ns(&b, lengths[i].ms, false));
    }
    printf(", again %.0f ns\n", window_ns(&b, lengths[0].ms, true));
    close_all(&b);
}

static void peer(void)
{
    double *x = calloc(GROUPS * 30, sizeof *x), v[ROUNDS];
    volatile double sink = 0;

    for (int r = 0; x && r < ROUNDS; r++) {
        double begin = now_ns();

        for (int g = 0; g < GROUPS; g++) {
            double sum = 0;

            for (int i = 0; i < 30; i++)
                sum += x[g * 30 + i];
            sink = sink + sum;
        }
        v[r] = (now_ns() - begin) / GROUPS;
    }
    printf("peer: adding thirty doubles %.0f ns\n", median(v, ROUNDS));
    free(x);
}

int main(void)
{
    printf("facts: medians, ns; %d groups\n", GROUPS);
    run("counter", FACT_COUNTER, 900000, 1800000);
    run("gauge", FACT_GAUGE, 900000, 1800000);
    run("sketch", FACT_SKETCH, 900000, 1800000);
    run("counter", FACT_COUNTER, 30LL * FACT_DAY_MS, 7LL * FACT_HOUR_MS);
    run("gauge", FACT_GAUGE, 30LL * FACT_DAY_MS, 7LL * FACT_HOUR_MS);
    run("sketch", FACT_SKETCH, 30LL * FACT_DAY_MS, FACT_HOUR_MS);
    peer();
    return 0;
}
