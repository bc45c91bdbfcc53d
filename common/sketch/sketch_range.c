/* Windows of counts: see sketch_range.h. Entries of counts[]
 * beyond n hold anything; range_cover clears what it adds. */
#include "common/sketch/sketch_range.h"

#include <assert.h>
#include <string.h>

#include "common/sketch/sketch_index.h"

enum { ROOM_MIN = 16 };

struct extent range_extent(const struct sketch_range *r, int d)
{
    if (!r->n)
        return (struct extent){0, -1};
    return (struct extent){sketch_shift(r->offset, d), sketch_shift(r->offset + (int32_t)r->n - 1, d)};
}

struct extent extent_unite(struct extent a, struct extent b)
{
    if (a.hi < a.lo)
        return b;
    if (b.hi < b.lo)
        return a;
    return (struct extent){a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}

uint32_t extent_slots(struct extent x, int d)
{
    return x.hi < x.lo ? 0 : (uint32_t)(sketch_shift(x.hi, d) - sketch_shift(x.lo, d)) + 1;
}

/* Ends: at scale 0 all 1152 octaves from 2^-128 to 2^1024 fit. */
int extent_excess(struct extent a, struct extent b)
{
    int d = 0;

    while (extent_slots(a, d) > SKETCH_SLOTS || extent_slots(b, d) > SKETCH_SLOTS)
        d++;
    return d;
}

bool range_reserve(struct sketch_range *r, struct mem *mem, uint32_t n)
{
    uint32_t room = r->room ? r->room : ROOM_MIN;
    void *p;

    assert(n <= SKETCH_SLOTS);
    if (n <= r->room)
        return true;
    while (room < n)
        room *= 2;
    p = mem_resize(mem, r->counts, r->room * sizeof *r->counts, room * sizeof *r->counts);
    if (!p)
        return false;
    r->counts = p;
    r->room = room;
    return true;
}

void range_cover(struct sketch_range *r, struct extent x)
{
    struct extent all = extent_unite(range_extent(r, 0), x);
    uint32_t n = extent_slots(all, 0);
    uint32_t before;

    if (n == r->n)
        return;
    assert(n <= r->room);
    before = r->n ? (uint32_t)(r->offset - all.lo) : 0;
    if (before) {
        memmove(r->counts + before, r->counts, r->n * sizeof *r->counts);
        memset(r->counts, 0, before * sizeof *r->counts);
    }
    memset(r->counts + before + r->n, 0, (n - before - r->n) * sizeof *r->counts);
    r->offset = all.lo;
    r->n = n;
}

void range_downscale(struct sketch_range *r, int d)
{
    int32_t first = sketch_shift(r->offset, d);
    uint32_t size = 1u << d, k = 0,
             at = 0; /* at is never ahead of k: nothing is overwritten before it is read */
    uint32_t end =
        (uint32_t)((first + 1) * (int32_t)size - r->offset); /* of the first group, which may be partial */

    if (!r->n || !d)
        return;
    while (k < r->n) {
        uint64_t sum = 0;

        if (end > r->n)
            end = r->n;
        for (; k < end; k++)
            sum += r->counts[k];
        r->counts[at++] = sum;
        end += size;
    }
    r->offset = first;
    r->n = at;
}

/* Four counts at once. gcc 12 at -O2 leaves the plain loop scalar; the type makes it two SSE2, two NEON or
 * one AVX2 operation, whatever the target has. */
typedef uint64_t lanes __attribute__((vector_size(32), aligned(8), may_alias));

static inline __attribute__((always_inline)) void add_counts(uint64_t *to, const uint64_t *from, uint32_t n)
{
    uint32_t k = 0;

    for (; k + 8 <= n; k += 8) {
        *(lanes *)(to + k) += *(const lanes *)(from + k);
        *(lanes *)(to + k + 4) += *(const lanes *)(from + k + 4);
    }
    for (; k < n; k++)
        to[k] += from[k];
}

static void add_plain(uint64_t *to, const uint64_t *from, uint32_t n)
{
    add_counts(to, from, n);
}

#if defined(__x86_64__) && !defined(SB_NO_AVX2)
__attribute__((target("avx2"))) static void add_avx2(uint64_t *to, const uint64_t *from, uint32_t n)
{
    add_counts(to, from, n);
}

static void add(uint64_t *to, const uint64_t *from, uint32_t n)
{
    if (__builtin_cpu_supports("avx2"))
        add_avx2(to, from, n);
    else
        add_plain(to, from, n);
}
#else
static void add(uint64_t *to, const uint64_t *from, uint32_t n)
{
    add_plain(to, from, n);
}
#endif

void range_merge(struct sketch_range *to, const struct sketch_range *from, int d)
{
    struct extent x = range_extent(from, d);

    if (!from->n)
        return;
    range_cover(to, x);
    if (!d) {
        add(to->counts + (from->offset - to->offset), from->counts, from->n);
        return;
    }
    for (uint32_t k = 0; k < from->n; k++)
        to->counts[sketch_shift(from->offset + (int32_t)k, d) - to->offset] += from->counts[k];
}

void range_free(struct sketch_range *r, struct mem *mem)
{
    mem_free(mem, r->counts, r->room * sizeof *r->counts);
    *r = (struct sketch_range){0};
}
