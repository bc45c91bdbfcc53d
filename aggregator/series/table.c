/* The table as a whole: making it, reloading it, and the passing of time. */
#include <assert.h>

#include "aggregator/series/members.h"
#include "aggregator/series/track.h"

static void read_limits(struct series_set *s, const struct config *c)
{
    const struct section *aggregator = config_section(c, "aggregator"), *ingest = config_section(c, "ingest");

    s->stale_ms = span_to_ms(option_span(aggregator, "stale_after"));
    s->ttl_ms = span_to_ms(option_span(aggregator, "agent_ttl"));
    s->max_age_ms = span_to_ms(option_span(ingest, "max_age"));
    s->quota = (uint32_t)option_int(ingest, "max_series_per_agent");
    s->tracking.max_groups = (uint32_t)option_int(config_section(c, "history"), "max_groups");
}

struct series_set *series_new(const struct series_params *p, struct buf *report, struct err *e)
{
    struct series_set *s = mem_alloc(p->mem, sizeof *s);

    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for the table of series");
        return NULL;
    }
    s->mem = p->mem;
    s->seed[0] = p->seed[0];
    s->seed[1] = p->seed[1];
    s->now = INT64_MIN;
    s->retired_end = &s->retired;
    map_init(&s->atom_map, s->mem, s->seed);
    map_init(&s->metric_map, s->mem, s->seed);
    map_init(&s->agent_map, s->mem, s->seed);
    map_init(&s->series_map, s->mem, s->seed);
    sketch_init(&s->scratch, s->mem);
    buf_init(&s->key, s->mem, 1 << 20);
    buf_init(&s->value, s->mem, 1 << 20);
    buf_init(&s->parts, s->mem, (size_t)1 << 26);
    if (!buf_reserve(&s->key, 256))
        err_set(e, ERR_NOMEM, "no memory for the table of series");
    else if (series_reload(s, p->config, report, e) == 0 &&
             series_select(s, p->selections, p->generation, e) == 0)
        return s;
    series_free(&s);
    return NULL;
}

void series_free(struct series_set **p)
{
    struct series_set *s = *p;

    if (!s)
        return;
    for (struct box *b = s->boxes; b; b = b->next)
        atomic_store_explicit(&b->released, true, memory_order_release);
    while (s->n_agents)
        agent_drop(s, s->agents[s->n_agents - 1]);
    tracks_free(s);
    percentiles_free(s);
    reap(s);
    assert(!s->n_metrics && !s->atom_map.count && !s->series_map.count);
    map_free(&s->atom_map);
    map_free(&s->metric_map);
    map_free(&s->agent_map);
    map_free(&s->series_map);
    mem_free(s->mem, s->metrics, s->metrics_room * sizeof *s->metrics);
    mem_free(s->mem, s->agents, s->agents_room * sizeof *s->agents);
    sketch_free(&s->scratch);
    buf_free(&s->key);
    buf_free(&s->value);
    buf_free(&s->parts);
    mem_free(s->mem, s, sizeof *s);
    *p = NULL;
}

int series_reload(struct series_set *s, const struct config *config, struct buf *report, struct err *e)
{
    int code = percentiles_load(s, config, report, e);

    if (code == 0)
        read_limits(s, config);
    return code;
}

int series_select(struct series_set *s, const struct selections *selections, uint32_t generation,
                  struct err *e)
{
    return tracks_load(s, selections, generation, e);
}

static void sweep_agent(struct series_set *s, struct agent *a, int64_t now)
{
    struct binding *b, *next;

    if (a->last_received.ms > now) /* the clock has gone back */
        a->last_received.ms = now;
    if (a->met > now)
        a->met = now;
    for (b = a->bindings; b; b = next) {
        next = b->next;
        if (b->used > now)
            b->used = now;
        /* everything of it that was visible is hidden by now: nothing was seen after it was used */
        if (b->used < now - s->stale_ms)
            binding_free(s, a, b);
    }
    if (a->applied ? a->last_received.ms < now - s->ttl_ms : !a->bindings && a->met < now - s->stale_ms)
        agent_drop(s, a);
}

void series_advance(struct series_set *s, struct wall now)
{
    reap(s);
    s->now = now.ms;
    metrics_sweep(s, now.ms, now.ms - s->stale_ms);
    for (uint32_t i = s->n_agents; i-- > 0;)
        sweep_agent(s, s->agents[i], now.ms);
    percentiles_advance(s, now.ms);
    tracks_advance(s, now.ms);
}

int series_forget_agent(struct series_set *s, struct wire_str id)
{
    struct agent *a = agent_find(s, id);

    reap(s);
    if (!a || !a->applied)
        return ERR_NOTFOUND;
    agent_drop(s, a);
    return 0;
}
