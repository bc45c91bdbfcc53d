/* The one queue of a world: what happens next, by time and, at equal times, by the order in which it was pushed. A binary
 * heap of small keys over fixed slots; a world that needs more than there are is our own bug and ends the run. */
#include "tests/sim/sim.h"

#include <stdlib.h>

void queue_init(struct queue *q)
{
    q->n = q->seq = 0;
    q->free_n = SIM_ITEMS;
    for (uint32_t i = 0; i < SIM_ITEMS; i++)
        q->free[i] = SIM_ITEMS - 1 - i;
}

static inline bool sooner(const struct heap_key *a, const struct heap_key *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void queue_push(struct world *w, int64_t at, struct item it)
{
    struct queue *q = &w->q;
    struct heap_key k = {.at = at < w->now ? w->now : at, .seq = q->seq++};
    uint32_t i = q->n;

    if (q->free_n == 0) {
        fprintf(stderr, "sim: seed %llu: the queue is full\n", (unsigned long long)w->seed);
        abort();
    }
    k.slot = q->free[--q->free_n];
    q->items[k.slot] = it;
    q->n++;
    while (i > 0 && sooner(&k, &q->heap[(i - 1) / 2])) {
        q->heap[i] = q->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    q->heap[i] = k;
}

bool queue_pop(struct queue *q, int64_t *at, struct item *it)
{
    struct heap_key last;
    uint32_t i = 0;

    if (q->n == 0)
        return false;
    *at = q->heap[0].at;
    *it = q->items[q->heap[0].slot];
    q->free[q->free_n++] = q->heap[0].slot;
    last = q->heap[--q->n];
    for (;;) {
        uint32_t c = 2 * i + 1;

        if (c >= q->n)
            break;
        if (c + 1 < q->n && sooner(&q->heap[c + 1], &q->heap[c]))
            c++;
        if (!sooner(&q->heap[c], &last))
            break;
        q->heap[i] = q->heap[c];
        i = c;
    }
    q->heap[i] = last;
    return true;
}
