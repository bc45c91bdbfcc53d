/* Texts kept once, and the giving up of what a snapshot may still show.
 *
 * A snapshot points into the table. So what the table gives up while snapshots are out is not freed but
 * chained with the number of the newest snapshot; it is freed when all snapshots up to that number are
 * released. The chain is ordered by that number and its links stand in the blocks themselves, so that giving
 * up never needs memory. The reader's only write is the flag of the release: a release store that the owner
 * reads with acquire, behind which the reader's last read of the snapshot lies (C11 7.17.3). */
#include <string.h>

#include "aggregator/series/table.h"

struct atom *atom_find(const struct series_set *s, const char *p, size_t n)
{
    return map_get(&s->atom_map, n ? p : "", n);
}

struct atom *atom_get(struct series_set *s, const char *p, size_t n)
{
    struct atom *a = atom_find(s, p, n);

    if (a)
        return atom_keep(a);
    a = mem_alloc(s->mem, sizeof *a + n + 1);
    if (!a)
        return NULL;
    if (n)
        memcpy(a->text, p, n);
    a->n = (uint32_t)n;
    a->refs = 1;
    if (map_put(&s->atom_map, a->text, n, a) != 0) {
        mem_free(s->mem, a, sizeof *a + n + 1);
        return NULL;
    }
    return a;
}

struct atom *atom_keep(struct atom *a)
{
    a->refs++;
    return a;
}

void atom_drop(struct series_set *s, struct atom *a)
{
    if (!a || --a->refs)
        return;
    map_del(&s->atom_map, a->text, a->n);
    retire(s, &a->retired, sizeof *a + a->n + 1, NULL);
}

static void release(struct series_set *s, struct retired *r)
{
    if (r->with)
        arena_free(r->with);
    mem_free(s->mem, r, r->size);
}

void retire(struct series_set *s, struct retired *r, size_t size, struct arena *with)
{
    *r = (struct retired){.gen = s->gen, .size = size, .with = with};
    if (!s->boxes) {
        release(s, r);
        return;
    }
    *s->retired_end = r;
    s->retired_end = &r->next;
}

void reap(struct series_set *s)
{
    struct box **p = &s->boxes, *b;
    uint64_t oldest = UINT64_MAX;
    struct retired *r;

    while ((b = *p)) {
        if (!atomic_load_explicit(&b->released, memory_order_acquire)) {
            oldest = b->gen;
            p = &b->next;
            continue;
        }
        *p = b->next;
        arena_free(&b->arena);
        mem_free(s->mem, b, sizeof *b);
    }
    while ((r = s->retired) && r->gen < oldest) {
        s->retired = r->next;
        release(s, r);
    }
    if (!s->retired)
        s->retired_end = &s->retired;
}

int grow(struct series_set *s, void *array, uint32_t *room, uint32_t n, size_t size)
{
    uint32_t more = *room ? *room + *room / 2 + 1 : 4;
    void *p;

    if (n <= *room)
        return 0;
    if (more < n)
        more = n;
    memcpy(&p, array, sizeof p);
    p = mem_resize(s->mem, p, *room * size, more * size);
    if (!p)
        return ERR_NOMEM;
    memcpy(array, &p, sizeof p);
    *room = more;
    return 0;
}
