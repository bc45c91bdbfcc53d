/* Samples kept in order: see samples.h. */
#include "common/daemon/samples.h"

#include <string.h>

#include "common/sketch/sketch.h"

static struct sample *add(struct samples *s, const struct metric_row *row, const struct text *labels)
{
    size_t n = metric_label_count(row);
    struct sample *x;

    if (s->n == s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        struct sample *v = arena_array(s->arena, room, sizeof *v);

        if (!v)
            return NULL;
        if (s->n)
            memcpy(v, s->v, s->n * sizeof *v);
        s->v = v;
        s->room = room;
    }
    x = &s->v[s->n];
    *x = (struct sample){.row = row};
    for (size_t i = 0; i < n && i < METRIC_MAX_LABELS; i++) {
        char *copy = arena_text(s->arena, labels[i].p, labels[i].n);

        if (!copy)
            return NULL;
        x->labels[i] = (struct text){copy, labels[i].n};
    }
    s->n++;
    return x;
}

static void put_real(struct sink *sink, const struct metric_row *row, const struct text *labels, double v)
{
    struct samples *s = (struct samples *)sink;
    struct sample *x = add(s, row, labels);

    if (x)
        x->value = v;
    else
        s->lost++;
}

static void put_integer(struct sink *sink, const struct metric_row *row, const struct text *labels, int64_t v)
{
    put_real(sink, row, labels, (double)v * (row->mul ? row->mul : 1) / (row->div ? row->div : 1));
}

static bool copy_range(struct arena *a, struct sketch_range *r)
{
    uint64_t *counts = arena_array(a, r->n + 1u, sizeof *counts);

    if (!counts)
        return false;
    if (r->n)
        memcpy(counts, r->counts, r->n * sizeof *counts);
    r->counts = counts;
    r->room = r->n;
    return true;
}

static const struct sketch *copy_sketch(struct arena *a, const struct sketch *v)
{
    struct sketch *copy = arena_alloc(a, sizeof *copy);

    if (!copy)
        return NULL;
    *copy = *v;
    copy->mem = NULL;
    return copy_range(a, &copy->pos) && copy_range(a, &copy->neg) ? copy : NULL;
}

static void put_sketch(struct sink *sink, const struct metric_row *row, const struct text *labels,
                       const struct sketch *v)
{
    struct samples *s = (struct samples *)sink;
    const struct sketch *copy = copy_sketch(s->arena, v);
    struct sample *x = copy ? add(s, row, labels) : NULL;

    if (x)
        x->sketch = copy;
    else
        s->lost++;
}

void samples_init(struct samples *s, struct arena *a)
{
    *s = (struct samples){.sink = {.integer = put_integer, .real = put_real, .sketch = put_sketch},
                          .arena = a};
}
