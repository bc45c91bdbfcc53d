/* What judging costs: 1000 rules over 1000 groups each, ten metrics with a hundred rules apiece, windows of five minutes.
 *
 *   idle      a step without news: each group is compared, nothing is measured
 *   news      one step of ten seconds of one metric came in: its hundred rules are measured, nobody else's
 *   full      the windows' end moved on: each rule is measured for each group
 *   storm     all groups of ten rules begin to fire in one step (10000 alerts), with records, notices and decisions
 *
 * Milliseconds a step: median, lowest and highest over passes. The peer of the same run, "sum", adds up thirty doubles
 * for each of the million windows: what no evaluation that reads its samples can beat. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aggregator/alert/trial_rig.h"

enum { METRICS = 10, EACH = 100, GROUPS = 1000, PASSES = 5, STEPS = 30, STORM = 10 };
#define START INT64_C(1767571200000)

struct bench {
    struct rig rig;
    struct mem mem;
    int64_t now;
    uint64_t notices, records, bytes;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_alerts: %s\n", what);
    exit(1);
}

static double ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void on_notice(void *arg, const struct alert_notice *n)
{
    (void)n;
    ((struct bench *)arg)->notices++;
}

static void on_record(void *arg, struct bytes key, struct bytes value)
{
    struct bench *b = arg;

    (void)key;
    b->records++;
    b->bytes += value.n;
}

static void on_decision(void *arg, const struct fingerprint *alert, struct wall t, const char *json)
{
    (void)alert;
    (void)t;
    ((struct bench *)arg)->bytes += strlen(json);
}

static double step(struct bench *b)
{
    const struct alert_effects out = {b, on_notice, on_record, on_decision};
    const struct alert_input in = {.now = {b->now}, .facts = b->rig.facts};
    double began = ms();

    alerts_step(b->rig.alerts, &in, &out);
    return ms() - began;
}

/* A value of each group of a metric. */
static void feed(struct bench *b, int metric, double v)
{
    char name[32], host[32];

    snprintf(name, sizeof name, "metric_%d", metric);
    for (int g = 0; g < GROUPS; g++) {
        struct label l = {"host", host};

        snprintf(host, sizeof host, "host-%d", g);
        if (trial_feed_value(b->rig.feed, b->rig.facts, name, FACT_GAUGE, (struct labels){&l, 1},
                             (struct wall){b->now}, v) != 0)
            die("a value was refused");
    }
}

static void feed_all(struct bench *b, double v)
{
    facts_advance(b->rig.facts, (struct wall){b->now});
    for (int m = 0; m < METRICS; m++)
        feed(b, m, v);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void row(const char *name, double *v, unsigned n, double per)
{
    qsort(v, n, sizeof *v, by_value);
    printf("%-8s %10.2f %10.2f %10.2f %10.1f\n", name, v[n / 2], v[0], v[n - 1], v[n / 2] * 1e6 / per);
}

static struct config *rules(void)
{
    static const char *const statistics[] = {"last", "avg", "max", "min", "sum"};
    struct buf b;
    struct config_source s = {.name = "bench.ini"};
    struct err e = {0};
    struct buf report;
    struct config *c;

    buf_init(&b, NULL, 1 << 20);
    buf_init(&report, NULL, 1 << 20);
    for (int i = 0; i < METRICS * EACH; i++)
        buf_fmt(&b,
                "[alert rule-%d]\nmetric = metric_%d\nby = host\nwindow = 5m\nstatistic = %s\nabove = "
                "%s\nlimit = 100\n",
                i, i % METRICS, statistics[i % 5], i < STORM * METRICS && i % METRICS == 0 ? "100" : "1e9");
    s.text = buf_bytes(&b);
    c = config_parse(&s, 1, &alert_section, 1, &report, &e);
    if (!c)
        die(buf_text(&report));
    buf_free(&b);
    buf_free(&report);
    return c;
}

static void peer(void)
{
    double *v = calloc(STEPS * GROUPS * METRICS, sizeof *v), t[PASSES], sum = 0;

    if (!v)
        die("no memory");
    for (int p = 0; p < PASSES; p++) {
        double began = ms();

        for (int r = 0; r < EACH; r++) {
            for (int g = 0; g < GROUPS * METRICS; g++) {
                double s = 0;

                for (int i = 0; i < STEPS; i++)
                    s += v[g * STEPS + i];
                sum += s;
            }
            v[r] += sum;
        }
        t[p] = ms() - began;
    }
    row("sum", t, PASSES, 1e6);
    free(v);
}

int main(void)
{
    struct bench b = {.now = START};
    struct config *c = rules();
    struct buf report;
    struct err e = {0};
    double idle[PASSES], news[PASSES], full[PASSES], storm[1];

    buf_init(&report, NULL, 1 << 20);
    if (rig_open(&b.rig, c, "bench", &b.mem, &report, &e) != 0)
        die(e.text);
    for (int i = 0; i < STEPS; i++, b.now += FACT_STEP_MS)
        feed_all(&b, 1);
    (void)step(&b);
    for (int p = 0; p < PASSES; p++) {
        b.now += FACT_STEP_MS - 1000;
        feed_all(&b, 1);
        full[p] = step(&b);
        idle[p] = step(&b);
        feed(&b, 3, 2);
        news[p] = step(&b);
        b.now += 1000;
    }
    b.now += FACT_STEP_MS;
    feed_all(&b, 1e6);
    storm[0] = step(&b);
    printf("%d rules over %d groups each: ms a step; ns for each rule and group\n", METRICS * EACH, GROUPS);
    printf("%-8s %10s %10s %10s %10s\n", "", "median", "lowest", "highest", "ns");
    row("idle", idle, PASSES, 1e6);
    row("news", news, PASSES, 1e5);
    row("full", full, PASSES, 1e6);
    row("storm", storm, 1, 1e6);
    peer();
    printf("storm: %llu notices, %llu records, %llu KiB; memory of facts and alerts: %zu MiB\n",
           (unsigned long long)b.notices, (unsigned long long)b.records, (unsigned long long)b.bytes >> 10,
           b.mem.peak >> 20);
    rig_close(&b.rig);
    config_free(&c);
    buf_free(&report);
    return 0;
}
