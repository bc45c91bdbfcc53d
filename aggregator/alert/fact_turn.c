/* Another list of selections, and what is told of facts themselves: see facts.h. */
#include "aggregator/alert/facts_private.h"

#include <string.h>

static struct fact_list *find_text(struct fact_list **v, uint32_t n, const char *text)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(v[i]->selection->text, text) == 0)
            return v[i];
    }
    return NULL;
}

/* A tier that a longer reach brings begins with what the next finer one knows. */
static void fill_tiers(struct facts *f, struct fact_group *g, const struct selection *was)
{
    for (enum fact_tier t = TIER_MINUTE; t < TIERS; t++) {
        const struct ring *fine = &g->rings[t - 1];
        int64_t length = fact_tier_length(t - 1);

        if (!fact_tier_reach(g->list->selection, g->kind, t))
            ring_free(&g->rings[t], g->kind, f->mem);
        if (fact_tier_reach(was, g->kind, t) || !fact_tier_reach(g->list->selection, g->kind, t))
            continue;
        for (int64_t step = fine->first; step < fine->first + fine->n; step++) {
            struct fact_delta d = {.kind = g->kind, .tier = t - 1, .start = step * length};
            enum finer finer = FINER_FRESH;
            uint32_t slot;

            if (!ring_read(fine, g->kind, length, step, &d.gain, &slot))
                continue;
            if (g->kind == FACT_SKETCH && d.gain.n && !fact_blob_read(f, *ring_blob(fine, slot)))
                d.gain.sketch = &f->scratch->other;
            if (d.gain.n && g->kind == FACT_SKETCH && !d.gain.sketch)
                continue;
            if (fact_tier_gain(f, g, t, &d, &finer) == ERR_NOMEM)
                facts_lose(f, LOSS_MEMORY, 0);
        }
    }
}

/* What l knows of goes on under another selection of the same text. */
static void list_turn(struct facts *f, struct fact_list *l, const struct selection *s)
{
    const struct selection *was = l->selection;

    l->selection = s;
    memset(l->numbers, 0, l->n_numbers * sizeof *l->numbers);
    for (uint32_t i = 0; i < l->n; i++) {
        l->v[i]->number = UINT32_MAX;
        l->v[i]->gone = true;
        fill_tiers(f, l->v[i], was);
    }
}

int facts_turn(struct facts *f, const struct selections *s)
{
    struct fact_list **v = fact_lists_new(f, s);
    uint32_t n = selections_count(s);

    if (!v)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        struct fact_list *old = find_text(f->lists, f->n, v[i]->selection->text), *fresh = v[i];

        if (!old)
            continue;
        list_turn(f, old, fresh->selection);
        old->index = i;
        v[i] = old;
        for (uint32_t k = 0; k < f->n; k++) {
            if (f->lists[k] == old)
                f->lists[k] = fresh; /* freed with the others */
        }
    }
    fact_lists_free(f, f->lists, f->n);
    f->lists = v;
    f->n = n;
    f->selections = s;
    return 0;
}

/* ---- metrics ---- */

static const struct metric_row rows[] = {
    {"securebase_aggregator_fact_groups", METRIC_GAUGE, 1, 1, "",
     "Groups of series that rules and objectives look at."},
    {"securebase_aggregator_fact_gains_total", METRIC_COUNTER, 1, 1, "", "Gains of steps taken in."},
    {"securebase_aggregator_fact_gains_lost_total", METRIC_COUNTER, 1, 1, "reason",
     "Gains of steps that were not taken in, by reason."},
};

void facts_metrics(const struct facts *f, struct sink *out)
{
    static const char *const reasons[LOSSES] = {
        [LOSS_MEMORY] = "memory",         [LOSS_OLD] = "old",   [LOSS_FUTURE] = "future",
        [LOSS_UNKNOWN] = "unknown_group", [LOSS_KIND] = "kind", [LOSS_BROKEN] = "broken",
        [LOSS_COARSE] = "coarse",
    };
    uint64_t groups = 0;

    for (uint32_t i = 0; i < f->n; i++)
        groups += f->lists[i]->n;
    sink_uint(out, &rows[0], NULL, groups);
    sink_uint(out, &rows[1], NULL, f->gains);
    for (int i = 0; i < LOSSES; i++) {
        struct text reason = text_of(reasons[i]);

        sink_uint(out, &rows[2], &reason, f->lost[i]);
    }
}
