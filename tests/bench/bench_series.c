/* What the table of series costs: applying batches (ns a sample) and judging them,
 * bytes a series, a snapshot of all of it, and percentiles with many groups. Sizes:
 * 1000 agents of 724 series, 10 ticks a batch, as one host of node metrics has. */
#include <stdio.h>
#include <time.h>

#include "common/base/rng.h"
#include "tests/unit/series_kit.h"

enum { AGENTS = 1000, SERIES = 724, TICKS = 10, GROUPS = 1000, HOSTS = 1000 };

/* CPU time, which a busy machine falsifies less than the time on the wall. */
static double now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
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

static void agent(struct kit *k, int a)
{
    static char ids[AGENTS][16];
    static char hosts[AGENTS][64];

    if (!ids[a][0]) {
        snprintf(ids[a], sizeof ids[a], "host-%04d", a);
        snprintf(hosts[a], sizeof hosts[a], "env=prod host=host-%04d region=us-east-1", a);
    }
    k->batch.agent = k->in.agent = kit_str(ids[a]);
    k->batch.resource = wire_hash_of((const uint8_t *)hosts[a], strlen(hosts[a]));
    k->resource.labels[1].value = kit_str(ids[a]);
    k->batch.seq++;
}

/* A block of 724 series: 48 CPU series, 26 devices of 20 metrics, the rest without labels. */
static void host_block(struct kit *k)
{
    static char names[SERIES][64];
    static double values[TICKS];
    struct kit_series x[SERIES];

    for (int i = 0; i < TICKS; i++)
        values[i] = i;
    for (int i = 0; i < SERIES; i++) {
        if (i < 48)
            snprintf(names[i], sizeof names[i], "node_cpu_seconds_total{cpu=%d mode=m%d}", i / 8, i % 8);
        else if (i < 48 + 520)
            snprintf(names[i], sizeof names[i], "node_device_metric_%d{device=dev%d}", i % 20, i / 20);
        else
            snprintf(names[i], sizeof names[i], "node_memory_metric_%d_bytes", i);
        x[i] = (struct kit_series){names[i], i < 48 ? WIRE_COUNTER : WIRE_GAUGE, values, NULL};
    }
    kit_block(k, KIT_NOW - 9000, 1000, TICKS, x, SERIES);
}

static void table(void)
{
    enum { ROUNDS = 7 };
    double judge[ROUNDS], apply[ROUNDS], snap[ROUNDS], advance[ROUNDS];
    struct kit k = {0};
    size_t before;

    kit_open(&k, "");
    before = k.mem.used;
    kit_batch(&k, "x", "env=prod host=h region=us-east-1", KIT_NOW);
    host_block(&k);
    for (int r = -1; r < ROUNDS; r++) {
        double j = 0, a = 0, t;
        struct snapshot *s;

        for (int i = 0; i < TICKS; i++)
            ((struct wire_values *)(uintptr_t)k.values[0])->times[i] += 1000 * TICKS;
        k.in.received.ms += 1000 * TICKS;
        for (int i = 0; i < AGENTS; i++) {
            agent(&k, i);
            t = now_ns();
            (void)kit_judge(&k);
            j += now_ns() - t;
            t = now_ns();
            kit_apply(&k);
            a += now_ns() - t;
        }
        if (r < 0) {
            printf("%-58s %10.0f\n", "first batch of an agent, judged and applied, µs",
                   (j + a) / AGENTS / 1e3);
            printf("%-58s %10.1f\n", "memory, bytes a series",
                   (double)(k.mem.used - before) / ((double)AGENTS * SERIES));
            continue;
        }
        judge[r] = j / ((double)AGENTS * SERIES * TICKS);
        apply[r] = a / ((double)AGENTS * SERIES * TICKS);
        t = now_ns();
        series_advance(k.set, k.in.received);
        advance[r] = now_ns() - t;
        t = now_ns();
        s = series_snapshot(k.set, k.in.received);
        snap[r] = now_ns() - t;
        if (r == 0)
            printf("%-58s %10llu\n", "series", (unsigned long long)s->n_series);
        snapshot_release(s);
    }
    printf("%-58s %10.2f\n", "judge, ns a sample", median(judge, ROUNDS));
    printf("%-58s %10.2f\n", "apply, ns a sample", median(apply, ROUNDS));
    printf("%-58s %10.2f\n", "advance, all of them, ms", median(advance, ROUNDS) / 1e6);
    printf("%-58s %10.2f\n", "snapshot, all of them, ms", median(snap, ROUNDS) / 1e6);
    kit_close(&k);
}

/* 1000 groups over three windows, a sketch of 100 values for each group every second. */
static void sketches(void)
{
    enum { ROUNDS = 90 };
    static char names[GROUPS][32];
    static double snap[ROUNDS], quiet[ROUNDS], feed[ROUNDS], values[100];
    static struct kit_series x[GROUPS];
    struct kit k = {0};
    struct bytes b;
    struct rng r;
    size_t before;

    rng_seed(&r, 1);
    kit_open(&k, "[percentile p]\nmetric = lat\nby = route\n");
    before = k.mem.used;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t now = KIT_NOW + i * 1000;
        double t;

        for (int v = 0; v < 100; v++)
            values[v] = 0.01 * exp(3 * rng_unit(&r));
        kit_batch(&k, "x", "env=prod host=h region=us-east-1", now);
        b = kit_sketch(&k, values, 100);
        for (int g = 0; g < GROUPS; g++) {
            snprintf(names[g], sizeof names[g], "lat{route=/r%d}", g);
            x[g] = (struct kit_series){names[g], WIRE_SKETCH, NULL, &b};
        }
        kit_block(&k, now, 0, 1, x, GROUPS);
        (void)kit_judge(&k);
        t = now_ns();
        kit_apply(&k);
        feed[i] = (now_ns() - t) / GROUPS;
        series_advance(k.set, (struct wall){now});
        t = now_ns();
        snapshot_release(series_snapshot(k.set, (struct wall){now}));
        snap[i] = now_ns() - t;
        t = now_ns();
        snapshot_release(series_snapshot(k.set, (struct wall){now}));
        quiet[i] = now_ns() - t;
    }
    printf("%-58s %10.0f\n", "a sketch into a group (3 windows, 11 buckets), ns", median(feed, ROUNDS));
    printf("%-58s %10.2f\n", "snapshot of 1000 groups, median, ms", median(snap, ROUNDS) / 1e6);
    printf("%-58s %10.2f\n", "  worst of 90 (a window slides), ms", snap[ROUNDS - 1] / 1e6);
    printf("%-58s %10.2f\n", "  nothing new, ms", median(quiet, ROUNDS) / 1e6);
    printf("%-58s %10.1f\n", "memory, KiB a group", (double)(k.mem.used - before) / GROUPS / 1024);
    kit_close(&k);
}

static void gauges(void)
{
    enum { ROUNDS = 15 };
    double snap[ROUNDS];
    struct kit k = {0};
    size_t before;

    kit_open(&k, "[percentile p]\nmetric = load\n");
    before = k.mem.used;
    kit_batch(&k, "x", "env=prod host=h region=us-east-1", KIT_NOW);
    kit_gauge(&k, "load", KIT_NOW, 1);
    for (int r = 0; r < ROUNDS; r++) {
        double t;

        k.in.received.ms += 4000;
        ((struct wire_values *)(uintptr_t)k.values[0])->times[0] += 4000;
        for (int i = 0; i < HOSTS; i++) {
            agent(&k, i);
            k.values[0]->num[0][0] = i;
            (void)kit_judge(&k);
            kit_apply(&k);
        }
        t = now_ns();
        snapshot_release(series_snapshot(k.set, k.in.received));
        snap[r] = now_ns() - t;
    }
    printf("%-58s %10.2f\n", "snapshot of a gauge over 1000 hosts, 3 windows, ms",
           median(snap, ROUNDS) / 1e6);
    printf("%-58s %10.1f\n", "memory, KiB a host", (double)(k.mem.used - before) / HOSTS / 1024);
    kit_close(&k);
}

int main(void)
{
    table();
    sketches();
    gauges();
    return 0;
}
