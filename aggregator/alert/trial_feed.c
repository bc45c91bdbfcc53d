/* See trial_feed.h. A series is found by its canonical text, a group by its selection and labels. */
#include "aggregator/alert/trial_feed.h"

#include <math.h>
#include <string.h>

#include "common/base/map.h"

enum { FEED_LABELS_MOST = 64 };

struct feed_series {
    bool seen;
    double last;
};

struct feed_group {
    uint32_t selection, number;
    int64_t newest;
    uint32_t series; /* in its newest step */
};

struct trial_feed {
    const struct selections *selections;
    struct mem *mem;
    struct arena arena;
    struct map series, groups;
    uint32_t *next; /* number of the next group, by selection */
    struct buf key;
};

struct trial_feed *trial_feed_new(const struct selections *s, struct mem *mem)
{
    struct trial_feed *f = mem_alloc(mem, sizeof *f);

    if (!f)
        return NULL;
    f->selections = s;
    f->mem = mem;
    arena_init(&f->arena, mem, 0);
    map_init(&f->series, mem, NULL);
    map_init(&f->groups, mem, NULL);
    buf_init(&f->key, mem, 64 << 10);
    f->next = arena_array(&f->arena, selections_count(s) + 1, sizeof *f->next);
    if (!f->next)
        trial_feed_free(&f);
    return f;
}

void trial_feed_free(struct trial_feed **f)
{
    struct trial_feed *x = *f;

    *f = NULL;
    if (!x)
        return;
    map_free(&x->series);
    map_free(&x->groups);
    buf_free(&x->key);
    arena_free(&x->arena);
    mem_free(x->mem, x, sizeof *x);
}

/* The value of the key in f->key, made with `size` zero bytes if need be. */
static void *entry(struct trial_feed *f, struct map *m, size_t size, bool *fresh)
{
    void *v = map_get(m, f->key.data, f->key.len);
    char *key;

    *fresh = false;
    if (v || f->key.full)
        return v;
    key = arena_text(&f->arena, (const char *)f->key.data, f->key.len);
    v = arena_alloc(&f->arena, size);
    if (!key || !v || map_put(m, key, f->key.len, v) != 0)
        return NULL;
    *fresh = true;
    return v;
}

static struct labels group_labels(const struct selection *s, struct labels l, struct label *v)
{
    uint32_t n = 0;

    if (s->by_all)
        return l;
    for (uint32_t i = 0; i < s->n_by && n < FEED_LABELS_MOST; i++) {
        const char *value = labels_get(l, s->by[i]);

        if (*value)
            v[n++] = (struct label){s->by[i], value};
    }
    return (struct labels){v, n};
}

static int gain(struct trial_feed *f, struct facts *to, uint32_t selection, struct labels l,
                struct fact_delta *d)
{
    struct label v[FEED_LABELS_MOST];
    struct labels group = group_labels(selections_at(f->selections, selection), l, v);
    struct fact_group_new told = {.selection = selection, .kind = d->kind, .labels = group};
    struct feed_group *g;
    bool fresh;
    int rc = 0;

    buf_clear(&f->key);
    buf_fmt(&f->key, "%u ", (unsigned)selection);
    labels_text(group, &f->key);
    g = entry(f, &f->groups, sizeof *g, &fresh);
    if (!g)
        return ERR_NOMEM;
    if (fresh) {
        g->selection = selection;
        g->number = f->next[selection]++;
    }
    d->selection = selection;
    d->group = told.group = g->number;
    if (fresh)
        rc = facts_group(to, &told);
    rc = rc ? rc : facts_gain(to, d);
    if (rc != ERR_NOTFOUND)
        return rc;
    rc = facts_group(to, &told); /* one of this process was forgotten meanwhile */
    return rc ? rc : facts_gain(to, d);
}

static void increase(struct fact_bucket *b, struct feed_series *x, double v)
{
    b->sum = !x->seen ? 0 : v >= x->last ? v - x->last : v;
}

int trial_feed_value(struct trial_feed *f, struct facts *to, const char *metric, enum fact_kind kind,
                     struct labels labels, struct wall t, double v)
{
    struct fact_delta d = {.kind = kind, .start = (t.ms - 1) / FACT_STEP_MS * FACT_STEP_MS};
    struct feed_series *x;
    struct sketch one;
    bool fresh;
    int rc = 0;

    buf_clear(&f->key);
    buf_fmt(&f->key, "%s ", metric);
    labels_text(labels, &f->key);
    x = entry(f, &f->series, sizeof *x, &fresh);
    if (!x)
        return ERR_NOMEM;
    sketch_init(&one, f->mem);
    d.gain =
        (struct fact_bucket){.n = 1, .last_t = t.ms, .last = v, .sum = v, .min = v, .max = v, .series = 1};
    if (kind == FACT_COUNTER) {
        increase(&d.gain, x, v);
        d.gain.min = d.gain.max = 0;
    }
    if (kind == FACT_SKETCH) {
        rc = sketch_add(&one, v, 1);
        d.gain.sketch = &one;
    }
    for (uint32_t i = 0; !rc && i < selections_count(f->selections); i++) {
        const struct selection *s = selections_at(f->selections, i);

        if (!strcmp(s->metric, metric) && match_labels(s->match, labels))
            rc = gain(f, to, i, labels, &d);
    }
    sketch_free(&one);
    x->seen = true;
    x->last = v;
    return rc;
}
