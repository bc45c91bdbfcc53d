/* What the decide thread says of itself and its rooms, and what it makes facts from. Readers get an immutable copy: a
 * pointer is all that is exchanged under the lock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/decide_private.h"

enum { PUBLISHED_MOST = 512 << 20, OWN_S = 10 };

static void published_drop(struct published *p)
{
    if (p && atomic_fetch_sub(&p->refs, 1) == 1) {
        arena_free(&p->arena);
        free(p);
    }
}

void published_free(struct published **p)
{
    published_drop(*p);
    *p = NULL;
}

void figures_publish(struct decide *d)
{
    struct published *p = calloc(1, sizeof *p), *old;

    if (!p)
        return; /* readers keep the last one */
    atomic_init(&p->refs, 1);
    arena_init(&p->arena, NULL, PUBLISHED_MOST);
    samples_init(&p->samples, &p->arena);
    control_metrics(d->control, &p->samples.sink);
    judge_metrics(d->judge, &p->samples.sink);
    carry_metrics(d, &p->samples.sink);
    peers_metrics(d, &p->samples.sink);
    if (d->moves)
        moves_metrics(d->moves, &p->samples.sink);
    if (d->teller)
        teller_metrics(d->teller, &p->samples.sink);
    (void)pthread_mutex_lock(&d->published_lock);
    old = d->published;
    d->published = p;
    (void)pthread_mutex_unlock(&d->published_lock);
    published_drop(old);
}

void decide_metrics(struct decide *d, struct sink *out)
{
    struct published *p;

    ticks_metrics(&d->ticks, out);
    (void)pthread_mutex_lock(&d->published_lock);
    p = d->published;
    if (p)
        atomic_fetch_add(&p->refs, 1);
    (void)pthread_mutex_unlock(&d->published_lock);
    for (size_t i = 0; p && i < p->samples.n; i++) {
        const struct sample *x = &p->samples.v[i];

        if (x->sketch)
            sink_sketch(out, x->row, x->labels, x->sketch);
        else
            sink_real(out, x->row, x->labels, x->value);
    }
    published_drop(p);
}

/* ---- own metrics as facts ---- */

static void take_sample(struct decide *d, const struct sample *x, struct wall now)
{
    struct label labels[METRIC_MAX_LABELS];
    char names[METRIC_MAX_LABELS][64];
    uint32_t n = 0;

    if (x->sketch)
        return;
    for (size_t i = 0; i < metric_label_count(x->row) && i < METRIC_MAX_LABELS; i++) {
        struct text name = metric_label_name(x->row, i);

        if (x->labels[i].n == 0)
            continue;
        (void)snprintf(names[n], sizeof names[n], "%.*s", (int)name.n, name.p);
        labels[n] = (struct label){names[n], x->labels[i].p};
        n++;
    }
    judge_own(d->judge, x->row->name, x->row->kind == METRIC_COUNTER ? FACT_COUNTER : FACT_GAUGE,
              (struct labels){labels, n}, x->value, now);
}

static void take_agent(struct decide *d, const struct agent_view *a, struct wall now)
{
    struct label labels[4];
    uint32_t n = 0;

    if (*a->env)
        labels[n++] = (struct label){"env", a->env};
    labels[n++] = (struct label){"instance", a->id};
    if (*a->region)
        labels[n++] = (struct label){"region", a->region};
    if (*a->tenant)
        labels[n++] = (struct label){"tenant", a->tenant};
    judge_own(d->judge, "securebase_agent_up", FACT_GAUGE, (struct labels){labels, n}, a->up, now);
}

/* How late this thread was woken, and its clock: told apart from the rest, since they are read from any thread. */
static void take_ticks(struct decide *d, struct wall now)
{
    struct arena arena;
    struct samples s;

    arena_init(&arena, NULL, 64 << 10);
    samples_init(&s, &arena);
    ticks_metrics(&d->ticks, &s.sink);
    for (size_t i = 0; i < s.n; i++)
        take_sample(d, &s.v[i], now);
    arena_free(&arena);
}

enum { REGIONS_MOST = 16 };

/* How many agents of each region report. */
static void tell_agents(struct decide *d, const struct snapshot *snap)
{
    struct {
        const char *name;
        uint32_t up, known;
    } r[REGIONS_MOST];
    uint32_t n = 0, at;

    for (uint32_t i = 0; i < snap->n_agents; i++) {
        for (at = 0; at < n && strcmp(r[at].name, snap->agents[i].region) != 0; at++)
            ;
        if (at == REGIONS_MOST)
            continue;
        if (at == n) {
            r[n].name = snap->agents[i].region;
            r[n].up = r[n].known = 0;
            n++;
        }
        r[at].known++;
        r[at].up += snap->agents[i].up;
    }
    for (uint32_t i = 0; i < n; i++)
        moves_agents(d->moves, r[i].name, r[i].up, r[i].known);
}

static void own_came(void *arg, struct gathered *g)
{
    struct decide *d = arg;
    struct wall now = loop_wall(d->loop);

    d->asking_own = false;
    if (d->moves && g && g->snap)
        tell_agents(d, g->snap);
    for (uint32_t i = 0; g && g->snap && i < g->snap->n_agents; i++)
        take_agent(d, &g->snap->agents[i], now);
    for (size_t i = 0; g && i < g->self.n; i++)
        take_sample(d, &g->self.v[i], now);
    gathered_free(&g);
    for (size_t i = 0; d->published && i < d->published->samples.n; i++)
        take_sample(d, &d->published->samples.v[i], now); /* this thread alone puts another in its place */
    take_ticks(d, now);
    d->gained = true;
    decide_end_asking(d);
}

void figures_own(struct decide *d, struct mono now)
{
    if ((!d->wants_own && !d->moves) || d->ending || d->asking_own ||
        (d->asked_own.ns && mono_sub(now, d->asked_own).ns < span_s(OWN_S).ns))
        return;
    d->asked_own = now;
    d->asking_own = d->p.ask(d->p.arg, d->loop, own_came, d) == 0;
}
