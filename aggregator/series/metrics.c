/* Metrics: all series of one name, their kind, and their latest values side by side, ready to be copied.
 *
 * The kind of the first accepted value holds until no visible series of that name is left. Between the
 * judging of a batch and its commit the kind is reserved, for a time, so that two batches that wait for their
 * commits cannot both be the first. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/series/table.h"

struct metric *metric_find(const struct series_set *s, struct wire_str name)
{
    return map_get(&s->metric_map, name.p, name.n);
}

struct metric *metric_get(struct series_set *s, const struct wire_series *w)
{
    struct metric *m = metric_find(s, w->name);

    if (m) {
        m->refs++;
        return m;
    }
    if (grow(s, &s->metrics, &s->metrics_room, s->n_metrics + 1, sizeof *s->metrics) != 0)
        return NULL;
    m = mem_alloc(s->mem, sizeof *m);
    if (!m)
        return NULL;
    *m = (struct metric){.refs = 1, .reserved = INT64_MIN, .at = s->n_metrics};
    m->name = atom_get(s, w->name.p, w->name.n);
    m->help = atom_get(s, w->help.p, w->help.n);
    if (!m->name || !m->help || map_put(&s->metric_map, m->name->text, m->name->n, m) != 0) {
        atom_drop(s, m->name);
        atom_drop(s, m->help);
        mem_free(s->mem, m, sizeof *m);
        return NULL;
    }
    s->metrics[s->n_metrics++] = m;
    s->metrics_sorted = false;
    return m;
}

void metric_drop(struct series_set *s, struct metric *m)
{
    if (--m->refs)
        return;
    s->metrics[m->at] = s->metrics[--s->n_metrics];
    s->metrics[m->at]->at = m->at;
    s->metrics_sorted = false;
    map_del(&s->metric_map, m->name->text, m->name->n);
    mem_free(s->mem, m->values, m->room * sizeof *m->values);
    mem_free(s->mem, m->slots, m->room * sizeof *m->slots);
    atom_drop(s, m->name);
    atom_drop(s, m->help);
    mem_free(s->mem, m, sizeof *m);
}

bool metric_held(const struct metric *m, int64_t now)
{
    return m->n > 0 || m->reserved >= now;
}

void metric_turn(struct series_set *s, struct metric *m, enum metric_kind kind)
{
    if (m->kind == kind)
        return;
    while (m->n)
        metric_hide(s, m->slots[m->n - 1].series);
    m->kind = kind;
}

/* Both arrays to `room` entries. */
static int resize(struct series_set *s, struct metric *m, uint32_t room)
{
    struct series_value *v = mem_array(s->mem, room, sizeof *v);
    struct slot *t = v ? mem_array(s->mem, room, sizeof *t) : NULL;

    if (!t) {
        mem_free(s->mem, v, room * sizeof *v);
        return ERR_NOMEM;
    }
    if (m->n) {
        memcpy(v, m->values, m->n * sizeof *v);
        memcpy(t, m->slots, m->n * sizeof *t);
    }
    mem_free(s->mem, m->values, m->room * sizeof *v);
    mem_free(s->mem, m->slots, m->room * sizeof *t);
    m->values = v;
    m->slots = t;
    m->room = room;
    return 0;
}

int metric_show(struct series_set *s, struct series *x)
{
    struct metric *m = x->metric;

    if (m->n == m->room && resize(s, m, m->n + m->n / 4 + 1) != 0)
        return ERR_NOMEM;
    x->at = m->n++;
    m->values[x->at] = (struct series_value){.desc = &x->set->desc, .t = INT64_MIN};
    m->slots[x->at] = (struct slot){x, INT64_MIN};
    x->agent->visible++;
    s->n_visible++;
    return 0;
}

void metric_hide(struct series_set *s, struct series *x)
{
    struct metric *m = x->metric;
    uint32_t last = m->n - 1;

    if (x->at == NOWHERE)
        return;
    m->values[x->at] = m->values[last];
    m->slots[x->at] = m->slots[last];
    m->slots[x->at].series->at = x->at;
    x->at = NOWHERE;
    m->n = last;
    x->agent->visible--;
    s->n_visible--;
    if (m->room > 16 && m->n < m->room / 4)
        (void)resize(s, m, m->n + m->n / 4 + 1); /* without memory it stays large, which harms nobody */
}

/* What was seen, or kept, ahead of now is from before the clock went back: it ages from now on. */
void metrics_sweep(struct series_set *s, int64_t now, int64_t before)
{
    for (uint32_t k = 0; k < s->n_metrics; k++) {
        struct metric *m = s->metrics[k];

        if (m->reserved > now + RESERVE_MS)
            m->reserved = now + RESERVE_MS;
        for (uint32_t i = m->n; i-- > 0;) {
            if (m->slots[i].seen > now)
                m->slots[i].seen = now;
            if (m->slots[i].seen < before)
                metric_hide(s, m->slots[i].series);
        }
    }
}

static int by_name(const void *a, const void *b)
{
    struct metric *const *x = a, *const *y = b;

    return strcmp((*x)->name->text, (*y)->name->text);
}

void metrics_sort(struct series_set *s)
{
    if (s->metrics_sorted)
        return;
    if (s->n_metrics)
        qsort(s->metrics, s->n_metrics, sizeof *s->metrics, by_name);
    for (uint32_t i = 0; i < s->n_metrics; i++)
        s->metrics[i]->at = i;
    s->metrics_sorted = true;
}
