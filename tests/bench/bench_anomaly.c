/* How well baselines find what was put into series, by kind of event, and what a value costs. The series are made
 * here, with labels (tests/unit/anomaly_kit.h); 28 days to learn from, 30 days that are scored. */
#include <stdio.h>
#include <time.h>

#include "tests/unit/anomaly_kit.h"

enum { SEEDS = 20 };

static double now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void row(bool seasonal, enum event kind, double deviations)
{
    struct baseline_params p = {seasonal, true, true, deviations, 0, 0, span_s(14 * 86400)};
    struct score s = {0};
    double begin = now_ns(), values = (double)SEEDS * (KIT_LEARN + KIT_SCORED), took;

    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        kit_run(&(struct scene){seed, seasonal, kind}, &p, &s);
    took = (now_ns() - begin) / values;
    printf("%-9s %-6s %4.1f", seasonal ? "seasonal" : "ewma", event_names[kind], deviations);
    if (s.events)
        printf("  %9.3f %8.3f %9.1f", (double)s.found / (s.found + s.runs), (double)s.found / s.events,
               s.found ? s.delay * 5.0 / s.found : 0.0);
    else
        printf("  %9s %8s %9s", "-", "-", "-");
    printf("  %9.4f %% %10.4f %8.0f\n", 100.0 * s.flagged / s.values, (double)s.runs / s.days, took);
}

int main(void)
{
    printf("%d series of each; min_abs and min_rel 0; false alarms are runs of two values (10 minutes) and "
           "more\n",
           SEEDS);
    printf("%-9s %-6s %4s  %9s %8s %9s  %11s %10s %8s\n", "baseline", "event", "dev", "precision", "recall",
           "delay min", "false values", "alarms/day", "ns/value");
    for (int seasonal = 1; seasonal >= 0; seasonal--) {
        for (enum event kind = EVENT_NONE; kind < EVENTS; kind++) {
            row(seasonal, kind, 4);
            if (kind == EVENT_NONE)
                row(seasonal, kind, 3);
        }
    }
    return 0;
}
