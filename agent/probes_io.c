/* Probes on the agent's loop and ticks: see probes_io.h. */
#include "agent/probes_io.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/map.h"
#include "common/probe/probe.h"

struct one {
    struct probe *probe;
    struct span step;
    struct wall last;
};

struct probes {
    size_t n;
    struct one v[PROBES_MAX];
};

static struct span step_of(struct span probe, struct span interval, struct span batch)
{
    int64_t n = (probe.ns < batch.ns ? probe.ns : batch.ns) / interval.ns;

    return span_ns(interval.ns * (n > 0 ? n : 1));
}

/* A moment within the interval that is the probe's own, so that they do not all run at once. */
static struct span first_of(const struct probe_spec *spec)
{
    const uint64_t no_seed[2] = {0, 0};

    return span_ns(
        (int64_t)(siphash13(no_seed, spec->label, strlen(spec->label)) % (uint64_t)spec->interval.ns));
}

struct probes *probes_new(struct loop *l, const struct config *c, struct span interval, struct span batch,
                          struct err *e)
{
    struct probes *p = calloc(1, sizeof *p);
    const struct section *s;

    if (!p) {
        (void)err_set(e, ERR_NOMEM, "no memory for probes");
        return NULL;
    }
    for (size_t i = 0; (s = config_named(c, "probe", i)); i++) {
        struct probe_params params = {.section = s};
        struct one *o = &p->v[p->n];

        if (p->n == PROBES_MAX) {
            (void)err_set(e, ERR_CONFIG, "more than %d probes", PROBES_MAX);
            probes_free(&p);
            return NULL;
        }
        o->probe = probe_new(l, &params, e);
        if (!o->probe) {
            probes_free(&p);
            return NULL;
        }
        p->n++;
        o->step = step_of(probe_spec_of(o->probe)->interval, interval, batch);
        probe_start(o->probe, first_of(probe_spec_of(o->probe)));
    }
    return p;
}

void probes_free(struct probes **pp)
{
    struct probes *p = *pp;

    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        probe_free(&p->v[i].probe);
    free(p);
    *pp = NULL;
}

void probes_tick(struct probes *p, struct groups *g, struct wall at)
{
    for (size_t i = 0; i < p->n; i++) {
        struct one *o = &p->v[i];
        int64_t step = span_to_ms(o->step);
        struct grid *grid;

        if (at.ms / step == o->last.ms / step)
            continue;
        grid = groups_at(g, o->step, at);
        if (!grid)
            continue;
        o->last = at;
        grid_extra(grid, NULL, 0);
        probe_metrics(probe_tally_of(o->probe), probe_spec_of(o->probe)->label, grid_sink(grid));
    }
}
