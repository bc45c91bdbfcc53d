/* Ticks and sealing: see agent.h.
 *
 * Ticks lie on the wall clock's grid. At each: what was open ends; a batch is sealed when
 * this agent's moment has come (the moments of many agents are spread by their ids, so that
 * they do not all post in the same second), or when a grid demands it; then the collectors
 * that are due run. Their late answers still belong to the tick until the next one. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_in.h"
#include "common/daemon/usage.h"

/* ---- what it tells of itself ---- */

void agent_look_at_self(struct agent *a)
{
    struct usage u = usage_now();

    a->self.cpu_seconds = u.user_seconds + u.system_seconds;
    a->self.resident_bytes = u.resident_bytes;
    a->self.grids = groups_stats(&a->groups);
    grid_stats_add(&a->self.grids, a->statsd_grid);
    a->self.mem = a->mem;
    a->self.log_warnings = log_lines(a->p.log, LOG_WARN);
    a->self.log_errors = log_lines(a->p.log, LOG_ERROR);
    a->self.log_lost = log_lost(a->p.log);
}

static void tell(struct agent *a, struct wall at)
{
    struct grid *g = groups_at(&a->groups, a->batch, at);
    struct loop_stats l = loop_stats_take(a->p.loop);
    struct spool_totals t = spool_totals(a->spool);

    if (!g)
        return;
    agent_look_at_self(a);
    a->self.stalls = l.stalls;
    a->self.steps = l.steps;
    a->self.worst_stall = l.worst_stall;
    grid_extra(g, NULL, 0);
    self_metrics(&a->self, grid_sink(g));
    spool_metrics(&t, grid_sink(g));
    shipper_metrics(shipping_state(a->shipping), grid_sink(g));
    runner_metrics(a->runner, grid_sink(g));
    guards_metrics(a->guards, grid_sink(g));
    statsd_metrics(a->statsd, grid_sink(g));
    statsd_listener_metrics(a->listeners, a->n_listeners, grid_sink(g));
}

/* ---- sealing ---- */

static int sealed(void *arg, const struct batch *b, struct err *e)
{
    struct agent *a = arg;

    return spool_put(a->spool, b, e);
}

static void seal(struct agent *a, struct wall at)
{
    struct grid *grids[GROUPS_MAX + 1];
    struct seal s = {.agent = a->id,
                     .now = loop_wall(a->p.loop),
                     .resource = buf_bytes(&a->resource_bytes),
                     .grids = grids,
                     .codec = a->codec,
                     .mem = &a->mem,
                     .out = sealed,
                     .arg = a};
    struct seal_result r;
    struct err e;

    groups_end(&a->groups);
    tell(a, at);
    groups_end(&a->groups);
    memcpy(grids, a->groups.grids, a->groups.n * sizeof(struct grid *));
    grids[a->groups.n] = a->statsd_grid;
    s.n_grids = a->groups.n + 1;
    s.events = statsd_events(a->statsd, &s.n_events);
    spool_next(a->spool, &s.epoch, &s.seq, &s.low);
    if (batch_seal(&s, &r, &e) != 0) {
        COMPLAIN(a->p.log, &a->sealing, loop_mono(a->p.loop), LOG_ERROR, "seal",
                 "values are left out of a batch", kv_u("values", r.left_out_limit + r.left_out_memory),
                 kv_e(&e));
        if (r.left_out_limit)
            spool_lost(a->spool, SPOOL_DROP_LIMIT, r.left_out_limit);
        if (r.left_out_memory)
            spool_lost(a->spool, SPOOL_DROP_MEMORY, r.left_out_memory);
    } else {
        log_recovered(a->p.log, &a->sealing, "seal", "batches are whole again");
    }
    statsd_events_clear(a->statsd);
    a->last_seal = s.now;
}

/* ---- ticks ---- */

struct sink *agent_sink(void *arg, struct span interval, struct wall at, const struct wire_label *extra,
                        uint32_t n)
{
    struct agent *a = arg;
    struct grid *g = groups_at(&a->groups, interval, at);

    if (!g)
        return NULL;
    grid_extra(g, extra, n);
    return grid_sink(g);
}

static int64_t slot(const struct agent *a, struct wall t)
{
    return (t.ms + a->phase_ms) / span_to_ms(a->batch);
}

/* What applications sent since the tick before. When the grid
 * takes no tick now, all of it stays for the next one. */
static bool flush_statsd(struct agent *a, struct wall at)
{
    if (grid_begin(a->statsd_grid, at) != 0)
        return false;
    statsd_flush(a->statsd, a->statsd_grid);
    grid_end(a->statsd_grid);
    a->statsd_tick = at;
    return true;
}

static bool statsd_due(const struct agent *a, struct wall at)
{
    int64_t step = span_to_ms(a->statsd_interval);

    return at.ms / step != a->statsd_tick.ms / step;
}

/* By the boot clock: a step of the wall clock leaves nothing out. */
static void count_missed(struct agent *a)
{
    struct mono now = loop_mono(a->p.loop);
    int64_t ticks = (mono_sub(now, a->last_mono).ns + a->interval.ns / 2) / a->interval.ns;

    if (a->last_tick.ms && ticks > 1)
        a->self.missed += (uint64_t)(ticks - 1);
    a->last_mono = now;
}

static void tick(struct agent *a, struct wall at)
{
    int64_t gone = at.ms - a->last_tick.ms;

    groups_end_before(&a->groups, at);
    count_missed(a);
    if (statsd_due(a, at))
        (void)flush_statsd(a, at);
    if ((a->last_tick.ms && slot(a, at) != slot(a, a->last_tick)) || groups_must_seal(&a->groups, at))
        seal(a, gone > 0 ? at : (struct wall){a->last_tick.ms + 1});
    if (statsd_due(a, at)) /* the grid was full, or the clock was set back */
        (void)flush_statsd(a, at);
    a->last_tick = at;
    a->self.ticks++;
    probes_tick(a->probes, &a->groups, at);
    runner_tick(a->runner, at, loop_mono(a->p.loop));
}

/* The next point of the grid after now. */
void agent_set_tick(struct agent *a)
{
    int64_t step = span_to_ms(a->interval), now = loop_wall(a->p.loop).ms;

    timer_set(a->tick_timer, span_ms((now / step + 1) * step - now));
}

void agent_on_tick(void *arg)
{
    struct agent *a = arg;
    int64_t step = span_to_ms(a->interval);
    struct wall at = {loop_wall(a->p.loop).ms / step * step};

    if (at.ms != a->last_tick.ms) /* the same once more when the timer was a millisecond early */
        tick(a, at);
    agent_set_tick(a);
}

void agent_last_seal(struct agent *a)
{
    struct wall now = loop_wall(a->p.loop);
    bool flushed;

    for (size_t i = 0; i < a->n_listeners; i++)
        statsd_listener_drain(a->listeners[i]);
    if (now.ms <= a->last_tick.ms)
        now.ms = a->last_tick.ms + 1;
    flushed = flush_statsd(a, now);
    seal(a, now);
    if (!flushed && flush_statsd(a, now)) /* its grid was full */
        seal(a, (struct wall){now.ms + 1});
    while (a->n_listeners) /* what comes now would be taken in and lost: a sender is told instead */
        statsd_listener_free(&a->listeners[--a->n_listeners]);
}
