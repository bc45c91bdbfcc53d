/* --once: a loop that samples twice and ends. See once.h. */
#include <stdlib.h>

#include "agent/once.h"
#include "agent/runner.h"

struct run {
    struct loop *loop;
    struct runner *runner;
    struct once *once;
    struct timer *timer;
    struct span settle;
    struct wall at;
    int phase; /* samplings begun; a second one waits for the answers to the first */
};

static struct sink *sink_for(void *arg, struct span interval, struct wall at, const struct wire_label *extra,
                             uint32_t n)
{
    struct run *r = arg;

    (void)interval;
    if (at.ms != r->at.ms)
        return NULL;
    once_extra(r->once, extra, n);
    return once_sink(r->once);
}

static void on_timer(void *arg)
{
    struct run *r = arg;

    if (!runner_idle(r->runner)) {
        timer_set(r->timer, span_ms(2));
    } else if (r->phase < 2) {
        struct wall now = clock_wall();

        once_clear(r->once);
        r->at = now.ms > r->at.ms ? now : wall_add(r->at, span_ms(1));
        r->phase++;
        runner_tick(r->runner, r->at, clock_mono());
        timer_set(r->timer, r->phase == 1 ? r->settle : span_ms(2));
    } else {
        loop_stop(r->loop);
    }
}

int once_run(const struct once_params *p, struct buf *out, struct err *e)
{
    struct run r = {.settle = p->settle.ns > 0 ? p->settle : span_s(1)};
    int rc = ERR_NOMEM;

    r.loop = loop_new(e);
    r.once = r.loop ? once_new(NULL) : NULL;
    r.timer = r.once ? timer_new(r.loop, on_timer, &r) : NULL;
    if (!r.timer) {
        err_set(e, ERR_NOMEM, "no memory to sample");
        goto out;
    }
    r.runner = runner_new(&(struct runner_params){.root = p->root ? p->root : "",
                                                  .config = p->config,
                                                  .interval = r.settle,
                                                  .every_tick = true,
                                                  .only = p->only,
                                                  .loop = r.loop,
                                                  .log = p->log,
                                                  .target = {sink_for, &r}},
                          e);
    if (!r.runner) {
        rc = e->code;
        goto out;
    }
    timer_set(r.timer, span_ns(0));
    rc = loop_run(r.loop);
    once_extra(r.once, NULL, 0);
    runner_results(r.runner, once_sink(r.once));
    rc = rc ? rc : once_render(r.once, p->format, out, e);
    if (!rc && p->judged && runner_unwell(r.runner))
        rc = err_set(e, ERR_STATE, "the collector %s failed", runner_unwell(r.runner));
out:
    timer_free(&r.timer);
    runner_free(&r.runner);
    once_free(&r.once);
    loop_free(&r.loop);
    return rc;
}
