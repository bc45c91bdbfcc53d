/* An arena: allocations that live and die together (a request,
 * a generation of the configuration), with a cap. */
#ifndef SB_BASE_ARENA_H
#define SB_BASE_ARENA_H

#include <stddef.h>

#include "common/base/mem.h"

struct arena_block;

struct arena {
    struct arena_block *head; /* owned */
    size_t used;              /* bytes handed out, with alignment */
    size_t cap;               /* most bytes ever handed out; 0 = no cap */
    struct mem *mem;
};

void arena_init(struct arena *a, struct mem *mem, size_t cap);
void arena_free(struct arena *a); /* releases everything; usable again as after arena_init */
/* n zeroed bytes aligned for any type, valid until arena_free;
 * NULL when the cap or the budget is reached. n may be 0. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t count, size_t size); /* count × size, overflow checked */
char *arena_text(struct arena *a, const char *s, size_t n);    /* a terminated copy of n bytes */

#endif
