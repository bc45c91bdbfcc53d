/* Labelled series for baselines: a season, noise with some heavy tails, drift, and events put in by kind. The same
 * seed makes the same series. Used by the unit test and by the benchmark. */
#ifndef SB_TESTS_ANOMALY_KIT_H
#define SB_TESTS_ANOMALY_KIT_H

#include <math.h>
#include <string.h>

#include "aggregator/alert/baseline.h"
#include "common/base/rng.h"

enum {
    KIT_EVERY_MS = 300000,
    KIT_DAY = 288, /* values */
    KIT_LEARN = 28 * KIT_DAY,
    KIT_SCORED = 30 * KIT_DAY,
    KIT_EVENTS = 9,
};

enum event { EVENT_NONE, EVENT_SPIKE, EVENT_DROP, EVENT_SHIFT, EVENT_GAP, EVENT_DRIFT, EVENTS };
static const char *const event_names[EVENTS] = {"quiet", "spike", "drop", "shift", "gap", "drift"};

struct scene {
    uint64_t seed;
    bool seasonal;
    enum event kind;
};

struct score {
    uint32_t values, flagged; /* outside events */
    uint32_t runs;            /* of two flagged values and more, outside events */
    uint32_t days;
    uint32_t events, found;
    uint32_t delay; /* values until found, over all found */
};

static inline double kit_gauss(struct rng *r)
{
    double u = 1 - rng_unit(r), v = rng_unit(r);

    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* The usual value of the i-th five minutes. It begins on a Monday. */
static inline double kit_usual(const struct scene *s, uint32_t i)
{
    double hour = (double)(i % KIT_DAY) / 12, day = (double)(i / KIT_DAY % 7), v = 100;

    if (s->seasonal) {
        v += 60 * sin((hour - 8) / 24 * 6.283185307179586) + 15 * sin(hour / 12 * 6.283185307179586);
        v *= day >= 5 ? 0.6 : 1;
    }
    if (s->kind == EVENT_DRIFT)
        v *= 1 + 0.01 * (double)i / KIT_DAY; /* one per cent a day */
    return v;
}

/* What an event that began `age` values ago makes of v; false: no value. *label: it is unusual. */
static inline bool kit_event(enum event kind, uint32_t age, double *v, bool *label)
{
    *label = false;
    switch (kind) {
    case EVENT_SPIKE:
        *label = age < 6;
        *v += age < 6 ? 60 : 0;
        return true;
    case EVENT_DROP:
        *label = age < 24;
        *v *= age < 24 ? 0.2 : 1;
        return true;
    case EVENT_SHIFT: /* and back with the next: one level each */ *label = age < 25 * 12; return true;
    case EVENT_GAP: return age >= 6 * 12;
    default: return true;
    }
}

static inline void kit_run(const struct scene *s, const struct baseline_params *p, struct score *out)
{
    struct baseline *b = baseline_new(s->seasonal, NULL);
    uint32_t start = 0, next = KIT_LEARN + KIT_DAY, n = 0, run = 0, clear = 0;
    double shifted = 0;
    bool found = true;
    struct rng r;

    rng_seed(&r, s->seed * 7 + (uint64_t)s->kind);
    for (uint32_t i = 0; b && i < KIT_LEARN + KIT_SCORED; i++) {
        double noise = 5 * kit_gauss(&r) * (rng_below(&r, 50) ? 1 : 3), v;
        struct baseline_answer a;
        bool label = false, there = true, off;

        if (i == next && n < KIT_EVENTS && s->kind != EVENT_NONE && s->kind != EVENT_DRIFT) {
            start = i;
            next = i + 3 * KIT_DAY + (uint32_t)rng_below(&r, KIT_DAY / 4);
            n++;
            shifted = s->kind == EVENT_SHIFT ? (n % 2 ? 45 : 0) : 0;
            found = s->kind == EVENT_GAP;
            out->events += s->kind != EVENT_GAP;
        }
        v = kit_usual(s, i) + noise + shifted;
        if (start)
            there = kit_event(s->kind, i - start, &v, &label);
        if (!there)
            continue;
        baseline_observe(b, p, v, (struct wall){(int64_t)1763942400000 + (int64_t)i * KIT_EVERY_MS}, false,
                         &a);
        off = a.verdict == BASELINE_HIGH || a.verdict == BASELINE_LOW;
        if (i < KIT_LEARN)
            continue;
        if (label && off && !found && i - start < 12) {
            found = true;
            out->found++;
            out->delay += i - start;
        }
        clear = label ? i + 3 : clear;
        if (label || i < clear) {
            run = 0;
            continue;
        }
        out->values++;
        out->flagged += off;
        run = off ? run + 1 : 0;
        out->runs += run == 2;
    }
    out->days += KIT_SCORED / KIT_DAY;
    baseline_free(&b, NULL);
}

#endif
