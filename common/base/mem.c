/* Memory budgets: see mem.h. */
#include "common/base/mem.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Takes n bytes from the budget; false when it has not so many. */
static int take(struct mem *m, size_t n)
{
    if (!m)
        return 1;
    if (m->cap && (n > m->cap || m->used > m->cap - n)) {
        m->denied++;
        return 0;
    }
    m->used += n;
    if (m->used > m->peak)
        m->peak = m->used;
    return 1;
}

static void give(struct mem *m, size_t n)
{
    if (m) {
        assert(m->used >= n);
        m->used -= n;
    }
}

void *mem_alloc(struct mem *m, size_t n)
{
    void *p;

    assert(n > 0);
    if (!take(m, n))
        return NULL;
    p = calloc(1, n);
    if (!p) {
        give(m, n);
        if (m)
            m->denied++;
    }
    return p;
}

void *mem_array(struct mem *m, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        if (m)
            m->denied++;
        return NULL;
    }
    return mem_alloc(m, count * size);
}

void *mem_resize(struct mem *m, void *p, size_t old, size_t n)
{
    char *q;

    assert(n > 0);
    if (n > old && !take(m, n - old))
        return NULL;
    q = realloc(p, n);
    if (!q) {
        if (n > old)
            give(m, n - old);
        if (m)
            m->denied++;
        return NULL;
    }
    if (n > old)
        memset(q + old, 0, n - old);
    else
        give(m, old - n);
    return q;
}

void mem_free(struct mem *m, void *p, size_t n)
{
    if (!p)
        return;
    give(m, n);
    free(p);
}

char *mem_text(struct mem *m, const char *s, size_t n)
{
    char *p = mem_alloc(m, n + 1);

    if (p)
        memcpy(p, s, n);
    return p;
}
