/* Probes on a loop: see probe.h. Runs stand on a grid of intervals; one that is still under way when
 * the next falls due is left alone (its timeout is near) and the due one is counted as skipped. */
#include "common/probe/probe.h"

#include <stdio.h>
#include <stdlib.h>

struct probe {
    struct loop *loop;
    struct probe_spec spec;
    struct http_client *client; /* borrowed, or the same as own */
    struct http_client *own;
    struct http_call *call; /* the run under way */
    struct timer *timer;
    struct mono due;
    probe_done done;
    void *arg;
    struct probe_tally tally;
};

static void report(struct probe *p, const struct probe_result *r)
{
    probe_count(&p->tally, r);
    if (p->done)
        p->done(p->arg, p, r);
}

static void on_answer(void *arg, const struct http_result *answer)
{
    struct probe *p = arg;
    struct probe_result r;

    p->call = NULL;
    probe_judge(&p->spec, answer, loop_wall(p->loop), &r);
    report(p, &r);
}

int probe_run(struct probe *p)
{
    struct http_request request = probe_request(&p->spec);
    struct probe_result r = {.reason = PROBE_FAIL_INTERNAL, .at = loop_wall(p->loop)};
    struct err e = {0};

    if (p->call)
        return ERR_STATE;
    p->call = http_client_send(p->client, &request, on_answer, p, &e);
    if (!p->call) {
        (void)snprintf(r.error, sizeof(r.error), "%.255s", e.text);
        report(p, &r);
    }
    return 0;
}

static void on_due(void *arg)
{
    struct probe *p = arg;
    struct mono now = loop_mono(p->loop);

    do {
        p->due = mono_add(p->due, p->spec.interval);
    } while (!mono_before(now, p->due)); /* after a stall or a suspension: one run, not many */
    timer_set(p->timer, mono_sub(p->due, now));
    if (probe_run(p) != 0)
        p->tally.skipped++;
}

void probe_start(struct probe *p, struct span first)
{
    p->due = mono_add(loop_mono(p->loop), first);
    timer_set(p->timer, first);
}

struct probe *probe_new(struct loop *l, const struct probe_params *params, struct err *e)
{
    struct probe *p = calloc(1, sizeof(*p));
    struct http_client_params own = {.max_connections = 1};

    if (!p || !(p->timer = timer_new(l, on_due, p))) {
        err_set(e, ERR_NOMEM, "no memory for a probe");
        free(p);
        return NULL;
    }
    p->loop = l;
    p->done = params->done;
    p->arg = params->arg;
    p->client = params->client;
    if (probe_spec_read(&p->spec, params->section, NULL, e) != 0)
        goto out;
    if (p->spec.ca || !p->client) {
        own.ca = p->spec.ca;
        p->own = http_client_new(l, &own, e);
        if (!p->own)
            goto out;
        p->client = p->own;
    }
    return p;
out:
    probe_free(&p);
    return NULL;
}

void probe_free(struct probe **pp)
{
    struct probe *p = *pp;

    if (!p)
        return;
    http_call_cancel(&p->call);
    http_client_free(&p->own);
    timer_free(&p->timer);
    free(p);
    *pp = NULL;
}

const struct probe_spec *probe_spec_of(const struct probe *p)
{
    return &p->spec;
}

const struct probe_tally *probe_tally_of(const struct probe *p)
{
    return &p->tally;
}
