/* A hash table from bytes to pointers: open addressing, linear probing with backward-shift deletion,
 * SipHash-1-3 with a seed of the owner's, because keys come from strangers (Aumasson and Bernstein, "SipHash:
 * a fast short-input PRF"). */
#ifndef SB_BASE_MAP_H
#define SB_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"

struct map_slot {
    /* NULL: free. Borrowed: must live as long as the entry (usually a member of the value) */
    const void *key;
    size_t len;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_slot *slots; /* owned */
    size_t room;            /* a power of two, or 0 */
    size_t count;
    uint64_t seed[2];
    struct mem *mem;
};

uint64_t siphash13(const uint64_t seed[2], const void *p, size_t n);

/* seed NULL: all zero, for trusted keys */
void map_init(struct map *m, struct mem *mem, const uint64_t seed[2]);
void map_free(struct map *m); /* the table; keys and values are the owner's */
void *map_get(const struct map *m, const void *key, size_t len); /* NULL when absent */
/* Adds or replaces. 0 or ERR_NOMEM (nothing changed). value must not be NULL. */
int map_put(struct map *m, const void *key, size_t len, void *value);
void *map_del(struct map *m, const void *key, size_t len); /* the value removed, or NULL */

/* Walks all entries in no particular order: size_t i = 0; while ((v = map_next(m, &i))) … Nothing may be
 * added or removed meanwhile. */
void *map_next(const struct map *m, size_t *i);

#endif
