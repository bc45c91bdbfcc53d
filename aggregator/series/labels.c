/* Resources and label sets: which labels a series is shown with.
 *
 * All series of an agent with the same own labels share one label set, found by the addresses of their atoms.
 * What it shows is its own labels and the host's (resource, instance, job, tenant) merged by name;
 * wire_schema_fits has seen to it that no name stands in both, and should one do so the host's holds. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/series/table.h"

static struct resource *resource_find(struct agent *a, const struct batch_in *in)
{
    struct resource *r = a->resources;

    for (; r; r = r->next) {
        size_t n = r->tenant ? r->tenant->n : 0;

        if (memcmp(&r->hash, &in->batch->resource, sizeof r->hash) == 0 && n == in->tenant.n &&
            (!n || memcmp(r->tenant->text, in->tenant.p, n) == 0))
            break;
    }
    return r;
}

static int by_name(const void *a, const void *b)
{
    struct atom *const *x = a, *const *y = b;

    return strcmp((*x)->text, (*y)->text);
}

static bool put_label(struct series_set *s, struct resource *r, const char *name, size_t n, const char *value,
                      size_t m)
{
    struct atom *a = atom_get(s, name, n), *b = atom_get(s, value, m);

    if (!a || !b) {
        atom_drop(s, a);
        atom_drop(s, b);
        return false;
    }
    r->labels[2 * r->n] = a;
    r->labels[2 * r->n + 1] = b;
    r->n++;
    return true;
}

static size_t resource_size(uint32_t n)
{
    return sizeof(struct resource) + 2 * (size_t)n * sizeof(struct atom *);
}

static uint32_t resource_room(const struct batch_in *in)
{
    return in->resource->n_labels + 2 + (in->tenant.n > 0);
}

static void resource_free(struct series_set *s, struct resource *r, uint32_t room)
{
    for (uint32_t i = 0; i < 2 * r->n; i++)
        atom_drop(s, r->labels[i]);
    atom_drop(s, r->tenant);
    map_free(&r->sets);
    mem_free(s->mem, r, resource_size(room));
}

struct resource *resource_get(struct series_set *s, struct agent *a, const struct batch_in *in)
{
    struct resource *r = resource_find(a, in);
    bool good;

    if (r) {
        r->refs++;
        return r;
    }
    r = mem_alloc(s->mem, resource_size(resource_room(in)));
    if (!r)
        return NULL;
    r->hash = in->batch->resource;
    r->agent = a;
    r->refs = 1;
    r->labels = (struct atom **)(r + 1);
    map_init(&r->sets, s->mem, s->seed);
    good = put_label(s, r, "instance", 8, a->id->text, a->id->n) && put_label(s, r, "job", 3, "node", 4);
    for (uint32_t i = 0; good && i < in->resource->n_labels; i++) {
        const struct wire_label *l = &in->resource->labels[i];

        good = put_label(s, r, l->name.p, l->name.n, l->value.p, l->value.n);
    }
    if (good && in->tenant.n) {
        r->tenant = atom_get(s, in->tenant.p, in->tenant.n);
        good = r->tenant && put_label(s, r, "tenant", 6, in->tenant.p, in->tenant.n);
    }
    if (!good) {
        resource_free(s, r, resource_room(in));
        return NULL;
    }
    qsort(r->labels, r->n, 2 * sizeof *r->labels, by_name);
    r->next = a->resources;
    a->resources = r;
    return r;
}

void resource_drop(struct series_set *s, struct resource *r)
{
    struct resource **p = &r->agent->resources;

    if (--r->refs)
        return;
    while (*p != r)
        p = &(*p)->next;
    *p = r->next;
    resource_free(s, r, r->n);
}

/* ---- label sets ---- */

/* The atoms of w's labels into s->key, sorted by name as the definition's decoder leaves them. False: one of
 * them is not known (make: no memory), and no reference is held. */
static bool own_key(struct series_set *s, const struct wire_series *w, bool make)
{
    size_t done = 0, n = 2 * (size_t)w->n_labels;
    struct atom **atoms;

    buf_clear(&s->key);
    atoms = (struct atom **)(void *)buf_grow(&s->key, n * sizeof *atoms);
    if (!atoms)
        return false;
    for (; done < n; done++) {
        const struct wire_label *l = &w->labels[done / 2];
        struct wire_str t = done % 2 ? l->value : l->name;

        atoms[done] = make ? atom_get(s, t.p, t.n) : atom_find(s, t.p, t.n);
        if (!atoms[done])
            break;
    }
    if (done == n)
        return true;
    while (make && done)
        atom_drop(s, atoms[--done]);
    return false;
}

struct labelset *labelset_find(struct series_set *s, struct resource *r, const struct wire_series *w)
{
    if (!own_key(s, w, false))
        return NULL;
    return map_get(&r->sets, s->key.data, s->key.len);
}

static void merge_labels(struct labelset *l, const struct resource *r)
{
    struct label *out = (struct label *)(l->own + 2 * (size_t)l->n_own);
    uint32_t i = 0, j = 0, n = 0;

    while (i < l->n_own || j < r->n) {
        int order = i == l->n_own ? 1 : j == r->n ? -1 : strcmp(l->own[2 * i]->text, r->labels[2 * j]->text);

        if (order < 0) {
            out[n++] = (struct label){l->own[2 * i]->text, l->own[2 * i + 1]->text};
            i++;
            continue;
        }
        out[n++] = (struct label){r->labels[2 * j]->text, r->labels[2 * j + 1]->text};
        j++;
        i += order == 0;
    }
    l->desc = (struct series_desc){out, n};
}

static size_t labelset_size(uint32_t n_own, uint32_t n_resource)
{
    return sizeof(struct labelset) + n_own * 2 * sizeof(struct atom *) +
           (n_own + (size_t)n_resource) * sizeof(struct label);
}

struct labelset *labelset_get(struct series_set *s, struct resource *r, const struct wire_series *w)
{
    size_t size = labelset_size(w->n_labels, r->n), n_key = 2 * (size_t)w->n_labels * sizeof(struct atom *);
    struct labelset *l = labelset_find(s, r, w);

    if (l) {
        l->refs++;
        return l;
    }
    l = mem_alloc(s->mem, size);
    if (!l)
        return NULL;
    if (!own_key(s, w, true)) {
        mem_free(s->mem, l, size);
        return NULL;
    }
    l->resource = r;
    l->refs = 1;
    l->n_own = w->n_labels;
    l->own = (struct atom **)(l + 1);
    memcpy(l->own, s->key.data, n_key);
    merge_labels(l, r);
    if (map_put(&r->sets, l->own, n_key, l) != 0) {
        for (uint32_t i = 0; i < 2 * l->n_own; i++)
            atom_drop(s, l->own[i]);
        mem_free(s->mem, l, size);
        return NULL;
    }
    return l;
}

void labelset_drop(struct series_set *s, struct labelset *l)
{
    if (--l->refs)
        return;
    map_del(&l->resource->sets, l->own, 2 * (size_t)l->n_own * sizeof *l->own);
    for (uint32_t i = 0; i < 2 * l->n_own; i++)
        atom_drop(s, l->own[i]);
    retire(s, &l->retired, labelset_size(l->n_own, l->resource->n), NULL);
}

const char *desc_label(const struct series_desc *d, const char *name)
{
    for (uint32_t i = 0; i < d->n_labels; i++) {
        if (strcmp(d->labels[i].name, name) == 0)
            return d->labels[i].value;
    }
    return "";
}
