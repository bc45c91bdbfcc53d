/* The event loop: see loop.h.
 *
 * libevent 2.1 has no hook between the wait and the callbacks of a turn, so the loop runs it one turn at a
 * time (EVLOOP_ONCE) and reads the clocks where they are first asked for in a turn: in the wrapper of the
 * first timer or post, or in loop_mono. libevent counts its timers by CLOCK_MONOTONIC, which stands still
 * while a machine is suspended (clock_gettime(2)); due times here are in the boot clock, and all timers are
 * set anew when the two clocks drift apart. */
#include "common/net/loop.h"

#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "common/net/inbox.h"

enum { BEAT_MAX_MS = 1000, BEAT_MIN_MS = 50 };

struct deferred {
    struct deferred *next;
    void (*release)(void *p);
    void *p;
};

struct timer {
    struct loop *loop;
    struct timer *prev, *next; /* in loop->timers while set */
    bool set;
    struct mono due;
    struct event *ev;
    timer_fn fn;
    void *arg;
};

/* What a turn has read. Apart from struct loop, because asking for the time is a reading of the loop. */
struct now {
    bool fresh; /* read in this turn */
    struct mono mono;
    struct wall wall;
};

struct loop {
    struct event_base *base;
    struct inbox *inbox;
    struct event *inbox_event;
    struct now *now;
    bool running, stop;
    struct timer *timers;
    struct deferred *deferred, **deferred_last;

    struct span limit; /* 0: no watch */
    void (*watch)(void *arg, const char *what, struct span by);
    void *watch_arg;
    struct timer *beat;
    bool looked;          /* watch_look has been done in this turn */
    int64_t offset_ms;    /* wall - boot when last looked at */
    int64_t suspended_ns; /* boot - monotonic when last looked at */
    struct loop_stats stats;
};

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

struct mono clock_mono(void)
{
    return (struct mono){read_clock(CLOCK_BOOTTIME)};
}

struct wall clock_wall(void)
{
    return (struct wall){read_clock(CLOCK_REALTIME) / 1000000};
}

static const struct now *now_of(const struct loop *l)
{
    struct now *n = l->now;

    if (!n->fresh) {
        n->mono = clock_mono();
        n->wall = clock_wall();
        n->fresh = l->running;
    }
    return n;
}

struct mono loop_mono(const struct loop *l)
{
    return now_of(l)->mono;
}

struct wall loop_wall(const struct loop *l)
{
    return now_of(l)->wall;
}

/* ---- stalls and steps ---- */

/* How far the wall clock is ahead of the boot clock, in ms. A thread may be held up between two readings,
 * which looks like a step of the wall clock: so this is the pair that was read in the least time. */
static int64_t clock_offset(void)
{
    int64_t best = INT64_MAX, offset = 0;

    for (int i = 0; i < 5 && best > 1000000; i++) {
        int64_t before = read_clock(CLOCK_BOOTTIME), wall = read_clock(CLOCK_REALTIME);
        int64_t took = read_clock(CLOCK_BOOTTIME) - before;

        if (took < best) {
            best = took;
            offset = wall / 1000000 - (before + took / 2) / 1000000;
        }
    }
    return offset;
}

static void noticed_stall(struct loop *l, struct span by)
{
    l->stats.stalls++;
    if (by.ns > l->stats.worst_stall.ns)
        l->stats.worst_stall = by;
    if (l->watch)
        l->watch(l->watch_arg, "stall", by);
}

static void timer_arm(struct timer *t);

/* Timers count in a clock that stood still during a suspension:
 * what is due by the boot clock must not wait longer. */
static void rearm_all(struct loop *l)
{
    for (struct timer *t = l->timers; t; t = t->next)
        timer_arm(t);
}

static struct span beat_every(const struct loop *l)
{
    int64_t ms = span_to_ms(l->limit);

    return span_ms(ms > BEAT_MAX_MS ? BEAT_MAX_MS : ms < BEAT_MIN_MS ? BEAT_MIN_MS : ms);
}

/* Once in each turn, before anything of that turn runs. */
static void watch_look(struct loop *l)
{
    const struct now *n = now_of(l);
    int64_t suspended, moved;
    struct span late;

    if (l->looked || !l->limit.ns)
        return;
    l->looked = true;
    suspended = n->mono.ns - read_clock(CLOCK_MONOTONIC);
    if (suspended - l->suspended_ns > BEAT_MIN_MS * INT64_C(1000000))
        rearm_all(l);
    l->suspended_ns = suspended;
    moved = n->wall.ms - mono_to_ms(n->mono) - l->offset_ms;
    if (span_ms(moved < 0 ? -moved : moved).ns > l->limit.ns)
        moved = clock_offset() - l->offset_ms;
    l->offset_ms += moved;
    late = mono_sub(n->mono, l->beat->due);
    if (l->beat->set && late.ns > l->limit.ns) {
        timer_set(l->beat, beat_every(l));
        noticed_stall(l, late);
    }
    if (span_ms(moved < 0 ? -moved : moved).ns > l->limit.ns) {
        l->stats.steps++;
        l->stats.last_step = span_ms(moved);
        if (l->watch)
            l->watch(l->watch_arg, "step", span_ms(moved));
    }
}

/* A turn is over: was it too long? The beat starts anew, so that the same stall is not noticed twice. */
static void watch_turn(struct loop *l)
{
    struct span took;

    l->stats.turns++;
    if (!l->limit.ns || !l->now->fresh)
        return;
    took = mono_sub(clock_mono(), l->now->mono);
    if (took.ns > l->limit.ns) {
        l->now->fresh = false;
        timer_set(l->beat, beat_every(l));
        noticed_stall(l, took);
    }
}

static void on_beat(void *arg)
{
    struct loop *l = arg;

    timer_set(l->beat, beat_every(l));
}

void loop_watch(struct loop *l, struct span limit, void (*fn)(void *arg, const char *what, struct span by),
                void *arg)
{
    l->limit = limit;
    l->watch = fn;
    l->watch_arg = arg;
    l->offset_ms = clock_offset();
    l->suspended_ns = read_clock(CLOCK_BOOTTIME) - read_clock(CLOCK_MONOTONIC);
    if (limit.ns)
        timer_set(l->beat, beat_every(l));
    else
        timer_stop(l->beat);
}

struct loop_stats loop_stats_take(struct loop *l)
{
    struct loop_stats s = l->stats;

    l->stats.worst_stall = (struct span){0};
    return s;
}

/* ---- posts from other threads ---- */

struct inbox *inbox_ref(struct loop *l)
{
    return inbox_share(l->inbox);
}

static void on_inbox(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    (void)fd;
    (void)what;
    watch_look(l);
    inbox_run(l->inbox);
}

int loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
    return inbox_post(l->inbox, fn, arg);
}

/* ---- timers ---- */

static void timer_unlink(struct timer *t)
{
    if (!t->set)
        return;
    *(t->prev ? &t->prev->next : &t->loop->timers) = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->prev = t->next = NULL;
    t->set = false;
}

static void timer_arm(struct timer *t)
{
    int64_t us = (mono_sub(t->due, clock_mono()).ns + 999) / 1000;
    struct timeval tv;

    if (us < 0)
        us = 0;
    tv = (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    /* Otherwise libevent counts from the start of the turn, and the timer would be early. */
    event_base_update_cache_time(t->loop->base);
    (void)evtimer_add(t->ev, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;
    struct loop *l = t->loop;

    (void)fd;
    (void)what;
    watch_look(l);
    if (!t->set || evtimer_pending(t->ev, NULL)) /* the watcher's call stopped it or set it anew */
        return;
    timer_unlink(t);
    t->fn(t->arg);
}

struct timer *timer_new(struct loop *l, timer_fn fn, void *arg)
{
    struct timer *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    *t = (struct timer){.loop = l, .fn = fn, .arg = arg};
    t->ev = evtimer_new(l->base, on_timer, t);
    if (!t->ev) {
        free(t);
        return NULL;
    }
    return t;
}

void timer_free(struct timer **t)
{
    if (!*t)
        return;
    timer_unlink(*t);
    event_free((*t)->ev);
    free(*t);
    *t = NULL;
}

void timer_set(struct timer *t, struct span after)
{
    struct loop *l = t->loop;

    t->due = mono_add(loop_mono(l), after.ns < 0 ? (struct span){0} : after);
    if (!t->set) {
        t->next = l->timers;
        if (l->timers)
            l->timers->prev = t;
        l->timers = t;
        t->set = true;
    }
    timer_arm(t);
}

void timer_stop(struct timer *t)
{
    timer_unlink(t);
    (void)evtimer_del(t->ev);
}

/* ---- the loop ---- */

static void log_nowhere(int severity, const char *msg)
{
    (void)severity;
    (void)msg;
}

void loop_library_log(void (*fn)(int severity, const char *msg))
{
    event_set_log_callback(fn ? fn : log_nowhere);
}

/* Millisecond waits of epoll(7) and the coarse clock would
 * make timers early by up to a tick of the kernel. */
static struct event_base *base_new(void)
{
    struct event_config *cfg = event_config_new();
    struct event_base *base = NULL;

    if (cfg && event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NOLOCK) == 0)
        base = event_base_new_with_config(cfg);
    if (cfg)
        event_config_free(cfg);
    return base;
}

struct loop *loop_new(struct err *e)
{
    struct loop *l = calloc(1, sizeof(*l));

    if (!l || !(l->now = calloc(1, sizeof(*l->now)))) {
        err_set(e, ERR_NOMEM, "no memory for an event loop");
        goto out;
    }
    l->deferred_last = &l->deferred;
    l->inbox = inbox_new(e);
    if (!l->inbox)
        goto out;
    l->base = base_new();
    if (l->base)
        l->inbox_event = event_new(l->base, inbox_fd(l->inbox), EV_READ | EV_PERSIST, on_inbox, l);
    if (!l->inbox_event || event_add(l->inbox_event, NULL) != 0 || !(l->beat = timer_new(l, on_beat, l))) {
        err_set(e, ERR_IO, "the event library does not start");
        goto out;
    }
    return l;
out:
    loop_free(&l);
    return NULL;
}

static void run_deferred(struct loop *l)
{
    struct deferred *d = l->deferred, *next;

    l->deferred = NULL;
    l->deferred_last = &l->deferred;
    for (; d; d = next) {
        next = d->next;
        d->release(d->p);
        free(d);
    }
}

void loop_free(struct loop **lp)
{
    struct loop *l = *lp;

    if (!l)
        return;
    while (l->deferred)
        run_deferred(l);
    timer_free(&l->beat);
    if (l->inbox_event)
        event_free(l->inbox_event);
    if (l->inbox) {
        inbox_close(l->inbox);
        inbox_unref(l->inbox);
    }
    if (l->base)
        event_base_free(l->base);
    free(l->now);
    free(l);
    *lp = NULL;
}

int loop_run(struct loop *l)
{
    int rc = 0;

    l->running = true;
    while (!l->stop && rc == 0) {
        l->now->fresh = false;
        l->looked = false;
        run_deferred(l);
        if (l->stop)
            break;
        l->now->fresh = false; /* the wait is still to come */
        if (event_base_loop(l->base, EVLOOP_ONCE | (l->deferred ? EVLOOP_NONBLOCK : 0)) < 0)
            rc = ERR_IO;
        watch_turn(l);
    }
    l->running = false;
    l->now->fresh = false;
    l->stop = false;
    return rc;
}

void loop_stop(struct loop *l)
{
    l->stop = true;
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

void loop_defer(struct loop *l, void (*release)(void *p), void *p)
{
    struct deferred *d = calloc(1, sizeof(*d));

    if (!d)
        abort(); /* neither releasing it now nor forgetting it would be right */
    *d = (struct deferred){.release = release, .p = p};
    *l->deferred_last = d;
    l->deferred_last = &d->next;
}
