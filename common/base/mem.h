/* Memory from what one is handed: a budget with a cap. Pure code allocates through a `struct mem *` that its
 * caller owns, so that every table and sketch has a known limit and its size is a metric. Sizes are told
 * again on release, which makes the accounting exact without a header on each block. Not thread-safe: one
 * budget per thread. */
#ifndef SB_BASE_MEM_H
#define SB_BASE_MEM_H

#include <stddef.h>

struct mem {
    size_t used;   /* bytes handed out and not yet returned */
    size_t cap;    /* allocation fails beyond; 0 = no cap */
    size_t peak;   /* highest `used` so far */
    size_t denied; /* allocations refused because of the cap or the system */
};

/* n zeroed bytes, or NULL when the budget or the system has no more. m may be NULL (no accounting). n > 0. */
void *mem_alloc(struct mem *m, size_t n);

/* As mem_alloc for count × size with overflow checked. */
void *mem_array(struct mem *m, size_t count, size_t size);

/* Resizes a block of old bytes to n; new bytes are zeroed. NULL leaves the old block as it was. p NULL with
 * old 0 allocates. */
void *mem_resize(struct mem *m, void *p, size_t old, size_t n);

/* Returns a block of n bytes. p may be NULL. */
void mem_free(struct mem *m, void *p, size_t n);

/* A terminated copy of n bytes, taking n + 1. Release with mem_free(m, p, n + 1). */
char *mem_text(struct mem *m, const char *s, size_t n);

#endif
