/* Metrics of this very process as facts: see facts.h. They are read by value, so increases are made here.
 *
 * What a counter had counted before it was looked at first belongs to no step: the first pass of a selection
 * only takes note. A series that appears later has counted from 0 since. */
#include "aggregator/alert/facts_private.h"

#include <math.h>
#include <string.h>

enum { BY_MOST = 64, FIRST_PASS_MS = FACT_STEP_MS };

struct own_series {
    double value; /* the last reading */
    int64_t seen; /* when */
    int64_t step; /* the step that it counts in as a series */
    size_t n;     /* of the key behind this struct */
    char key[];
};

static size_t own_size(size_t n)
{
    return sizeof(struct own_series) + n;
}

void fact_own_free(struct facts *f, struct fact_list *l)
{
    struct own_series *s;
    size_t i = 0;

    while ((s = map_next(&l->own, &i)))
        mem_free(f->mem, s, own_size(s->n));
    map_free(&l->own);
}

void fact_own_advance(struct facts *f, struct fact_list *l)
{
    int64_t oldest = f->now - span_to_ms(l->selection->reach) - FACT_HOUR_MS;
    struct own_series *s, *old[16];
    size_t i = 0, n = 0;

    while (n < 16 && (s = map_next(&l->own, &i))) {
        if (s->seen < oldest)
            old[n++] = s;
    }
    for (i = 0; i < n; i++) {
        (void)map_del(&l->own, old[i]->key, old[i]->n);
        mem_free(f->mem, old[i], own_size(old[i]->n));
    }
}

static struct own_series *own_get(struct facts *f, struct fact_list *l, struct labels labels, bool *made)
{
    const struct buf *key = fact_key(f, labels);
    struct own_series *s = key ? map_get(&l->own, key->data, key->len) : NULL;

    *made = false;
    if (s || !key)
        return s;
    s = mem_alloc(f->mem, own_size(key->len));
    if (!s)
        return NULL;
    s->n = key->len;
    s->step = INT64_MIN;
    memcpy(s->key, key->data, key->len);
    if (map_put(&l->own, s->key, s->n, s)) {
        mem_free(f->mem, s, own_size(s->n));
        return NULL;
    }
    *made = true;
    return s;
}

/* The labels that a group is told apart by; v has room for BY_MOST. */
static struct labels pick(const struct selection *s, struct labels all, struct label *v)
{
    uint32_t n = s->n_by < BY_MOST ? s->n_by : BY_MOST;

    if (s->by_all)
        return all;
    for (uint32_t i = 0; i < n; i++)
        v[i] = (struct label){s->by[i], labels_get(all, s->by[i])};
    return (struct labels){v, n};
}

static double increase(const struct fact_list *l, const struct own_series *s, bool made, double value,
                       int64_t now)
{
    if (made)
        return now - l->own_since < FIRST_PASS_MS ? 0 : value;
    return value >= s->value ? value - s->value : value;
}

/* What the group's last value is, now that one more series has told its own: the mean of this moment's, or the
 * sum of all readings. */
static double last_value(struct fact_group *g, double value, double was, int64_t now)
{
    if (g->kind == FACT_COUNTER) {
        g->own_sum += value - was;
        return g->own_sum;
    }
    if (g->own_t != now) {
        g->own_n = 0;
        g->own_sum = 0;
    }
    g->own_t = now;
    g->own_n++;
    g->own_sum += value;
    return g->own_sum / g->own_n;
}

static int feed(struct facts *f, struct fact_list *l, enum fact_kind kind, struct labels labels, double value,
                int64_t now)
{
    struct label v[BY_MOST];
    bool made = false;
    struct fact_group *g = fact_group_get(f, l, pick(l->selection, labels, v), kind);
    struct own_series *s = g ? own_get(f, l, labels, &made) : NULL;
    struct fact_delta d = {.kind = kind, .start = floor_div(now - 1, FACT_STEP_MS) * FACT_STEP_MS};
    double last;
    int rc;

    if (!s)
        return facts_lose(f, LOSS_MEMORY, ERR_NOMEM);
    if (!l->own_since)
        l->own_since = now;
    last = last_value(g, value, s->value, now);
    d.gain =
        (struct fact_bucket){.n = 1, .sum = value, .min = value, .max = value, .series = s->step != d.start};
    if (kind == FACT_COUNTER) {
        d.gain.sum = increase(l, s, made, value, now);
        d.gain.min = d.gain.max = 0;
    }
    s->value = value;
    s->seen = now;
    s->step = d.start;
    g->told = now;
    rc = fact_group_gain(f, g, &d);
    d.gain = (struct fact_bucket){.last_t = now, .last = last};
    return rc ? rc : fact_group_gain(f, g, &d);
}

int facts_own(struct facts *f, const char *metric, enum fact_kind kind, struct labels labels, double value,
              struct wall now)
{
    int worst = 0;

    if (kind != FACT_GAUGE && kind != FACT_COUNTER)
        return ERR_UNSUPPORTED;
    if (isnan(value))
        return 0; /* no value */
    for (uint32_t i = 0; i < f->n; i++) {
        struct fact_list *l = f->lists[i];
        int rc;

        if (!l->selection->own || strcmp(l->selection->metric, metric) != 0 ||
            !match_labels(l->selection->match, labels))
            continue;
        rc = feed(f, l, kind, labels, value, now.ms);
        worst = rc ? rc : worst;
    }
    return worst;
}
