/* The decide thread: see decide.h. Its figures are atomics, so that readers never hold it up. */
#include "aggregator/failover/decide.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/daemon/daemon.h"
#include "common/net/loop.h"

enum { TICK_MS = 100, RECENT_TICKS = 600, LATE_MS = 1000 };

struct decide {
    struct log *log;
    struct loop *loop;
    struct timer *tick;
    struct mono due;
    int64_t minute_worst; /* of the minute under way */
    unsigned minute_ticks;
    struct complaint late;
    atomic_int_fast64_t worst_ns, last_minute_ns, ticks, late_ticks, stalls, steps;
    pthread_t thread;
    bool running;
};

static void raise_to(atomic_int_fast64_t *to, int64_t v)
{
    if (v > atomic_load(to))
        atomic_store(to, v); /* one writer */
}

static void tick(void *arg)
{
    struct decide *d = arg;
    struct mono now = clock_mono();
    struct span delay = mono_sub(now, d->due);

    atomic_fetch_add(&d->ticks, 1);
    raise_to(&d->worst_ns, delay.ns);
    if (delay.ns > d->minute_worst)
        d->minute_worst = delay.ns;
    raise_to(&d->last_minute_ns, d->minute_worst);
    if (++d->minute_ticks == RECENT_TICKS) {
        atomic_store(&d->last_minute_ns, d->minute_worst);
        d->minute_worst = d->minute_ticks = 0;
    }
    if (delay.ns > span_ms(LATE_MS).ns) {
        atomic_fetch_add(&d->late_ticks, 1);
        COMPLAIN(d->log, &d->late, now, LOG_WARN, "decide", "woken late", kv_t("delay", delay));
    } else if (d->late.active) {
        log_recovered(d->log, &d->late, "decide", "woken in time again");
    }
    d->due = mono_add(now, span_ms(TICK_MS));
    timer_set(d->tick, span_ms(TICK_MS));
}

static void noticed(void *arg, const char *what, struct span by)
{
    struct decide *d = arg;

    atomic_fetch_add(strcmp(what, "step") == 0 ? &d->steps : &d->stalls, 1);
    LOG(d->log, LOG_WARN, "decide", "time moved strangely", kv_s("what", what), kv_t("by", by));
}

static void *run(void *arg)
{
    struct decide *d = arg;

    daemon_thread("decide");
    loop_watch(d->loop, span_ms(LATE_MS), noticed, d);
    d->due = mono_add(clock_mono(), span_ms(TICK_MS));
    timer_set(d->tick, span_ms(TICK_MS));
    (void)loop_run(d->loop);
    return NULL;
}

struct decide *decide_start(struct log *log, struct err *e)
{
    struct decide *d = mem_alloc(NULL, sizeof *d);
    int rc;

    if (!d) {
        err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    d->log = log;
    d->loop = loop_new(e);
    d->tick = d->loop ? timer_new(d->loop, tick, d) : NULL;
    if (!d->tick) {
        err_set(e, ERR_NOMEM, "decide loop");
        decide_stop(&d);
        return NULL;
    }
    rc = pthread_create(&d->thread, NULL, run, d);
    if (rc) {
        err_sys(e, ERR_IO, rc, "decide thread");
        decide_stop(&d);
        return NULL;
    }
    d->running = true;
    return d;
}

static void stop(void *arg)
{
    loop_stop(((struct decide *)arg)->loop);
}

void decide_stop(struct decide **d)
{
    if (!*d)
        return;
    if ((*d)->running) {
        (void)loop_post((*d)->loop, stop, *d);
        (void)pthread_join((*d)->thread, NULL);
    }
    timer_free(&(*d)->tick);
    loop_free(&(*d)->loop);
    mem_free(NULL, *d, sizeof **d);
    *d = NULL;
}

void decide_metrics(const struct decide *d, struct sink *out)
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
    static const struct metric_row steps = {
        "securebase_aggregator_clock_steps_total",
        METRIC_COUNTER,
        1,
        1,
        "",
        "Times that the wall clock moved against the boot clock by more than a second."};

    sink_int(out, &worst, NULL, atomic_load(&d->worst_ns));
    sink_int(out, &recent, NULL, atomic_load(&d->last_minute_ns));
    sink_int(out, &ticks, NULL, atomic_load(&d->ticks));
    sink_int(out, &late, NULL, atomic_load(&d->late_ticks));
    sink_int(out, &stalls, NULL, atomic_load(&d->stalls));
    sink_int(out, &steps, NULL, atomic_load(&d->steps));
}
