/* Arenas: see arena.h. A list of blocks, each twice the one
 * before up to 256 KiB; large requests get their own. */
#include "common/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 256 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* usable bytes */
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *a, struct mem *mem, size_t cap)
{
    *a = (struct arena){.mem = mem, .cap = cap};
}

void arena_free(struct arena *a)
{
    struct arena_block *b = a->head;

    while (b) {
        struct arena_block *next = b->next;

        mem_free(a->mem, b, sizeof *b + b->size);
        b = next;
    }
    arena_init(a, a->mem, a->cap);
}

static struct arena_block *add_block(struct arena *a, size_t n)
{
    size_t size = a->head ? a->head->size * 2 : FIRST_BLOCK;
    struct arena_block *b;

    if (size > LARGEST_BLOCK)
        size = LARGEST_BLOCK;
    if (size < n)
        size = n;
    b = mem_alloc(a->mem, sizeof *b + size);
    if (!b)
        return NULL;
    b->size = size;
    b->next = a->head;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    struct arena_block *b = a->head;
    void *p;

    if (n > SIZE_MAX / 2)
        return NULL;
    n = (n + align - 1) / align * align;
    if (a->cap && (n > a->cap || a->used > a->cap - n))
        return NULL;
    if (!b || b->size - b->used < n)
        b = add_block(a, n);
    if (!b)
        return NULL;
    p = b->data + b->used;
    b->used += n;
    a->used += n;
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    return arena_alloc(a, count * size);
}

char *arena_text(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);

    if (p && n)
        memcpy(p, s, n);
    return p;
}
