/* See ticks.h. */
#include "aggregator/ticks.h"

#include <string.h>

enum { RECENT_TICKS = 600 };

static void raise_to(atomic_int_fast64_t *to, int64_t v)
{
    if (v > atomic_load(to))
        atomic_store(to, v); /* one writer */
}

void ticks_begin(struct ticks *t, struct mono now)
{
    t->due = mono_add(now, span_ms(TICK_MS));
}

void ticks_take(struct ticks *t, struct mono now, struct log *log)
{
    struct span delay = mono_sub(now, t->due);

    atomic_fetch_add(&t->ticks, 1);
    raise_to(&t->worst_ns, delay.ns);
    if (delay.ns > t->minute_worst)
        t->minute_worst = delay.ns;
    raise_to(&t->last_minute_ns, t->minute_worst);
    if (++t->minute_ticks == RECENT_TICKS) {
        atomic_store(&t->last_minute_ns, t->minute_worst);
        t->minute_worst = t->minute_ticks = 0;
    }
    if (delay.ns > span_ms(TICK_LATE_MS).ns) {
        atomic_fetch_add(&t->late_ticks, 1);
        COMPLAIN(log, &t->late, now, LOG_WARN, "decide", "woken late", kv_t("delay", delay));
    } else if (t->late.active) {
        log_recovered(log, &t->late, "decide", "woken in time again");
    }
    t->due = mono_add(now, span_ms(TICK_MS));
}

void ticks_noticed(struct ticks *t, const char *what, struct span by, bool own, struct log *log)
{
    atomic_fetch_add(strcmp(what, "step") == 0 ? &t->steps : own ? &t->own : &t->stalls, 1);
    LOG(log, own ? LOG_INFO : LOG_WARN, "decide", own ? "a step took long" : "time moved strangely",
        kv_s("what", what), kv_t("by", by));
}

void ticks_metrics(const struct ticks *t, struct sink *out)
{
    static const struct metric_row worst = {
        "securebase_aggregator_decide_delay_seconds_max",
        METRIC_GAUGE,
        1,
        1000000000,
        "",
        "Longest time by which the thread that decides was woken late, since the start."};
    static const struct metric_row recent = {
        "securebase_aggregator_decide_delay_seconds_recent",
        METRIC_GAUGE,
        1,
        1000000000,
        "",
        "Longest time by which the thread that decides was woken late, in the last one to two minutes."};
    static const struct metric_row ticks = {"securebase_aggregator_decide_ticks_total",
                                            METRIC_COUNTER,
                                            1,
                                            1,
                                            "",
                                            "Times that the thread that decides looked at the clock."};
    static const struct metric_row late = {
        "securebase_aggregator_decide_late_ticks_total",   METRIC_COUNTER, 1, 1, "",
        "Times that it was woken more than a second late."};
    static const struct metric_row stalls = {"securebase_aggregator_loop_stalls_total",
                                             METRIC_COUNTER,
                                             1,
                                             1,
                                             "",
                                             "Turns of its loop that took more than a second too long."};
    static const struct metric_row own = {"securebase_aggregator_long_steps_total",
                                          METRIC_COUNTER,
                                          1,
                                          1,
                                          "",
                                          "Turns that took more than a second too long, since there was so "
                                          "much to judge; decisions are not held for them."};
    static const struct metric_row steps = {
        "securebase_aggregator_clock_steps_total",
        METRIC_COUNTER,
        1,
        1,
        "",
        "Times that the wall clock moved against the boot clock by more than a second."};

    sink_int(out, &worst, NULL, atomic_load(&t->worst_ns));
    sink_int(out, &recent, NULL, atomic_load(&t->last_minute_ns));
    sink_int(out, &ticks, NULL, atomic_load(&t->ticks));
    sink_int(out, &late, NULL, atomic_load(&t->late_ticks));
    sink_int(out, &stalls, NULL, atomic_load(&t->stalls));
    sink_int(out, &own, NULL, atomic_load(&t->own));
    sink_int(out, &steps, NULL, atomic_load(&t->steps));
}
