/* The hash table: see map.h. Kept at most three quarters full. */
#include "common/base/map.h"

#include <assert.h>
#include <string.h>

#include "common/base/err.h"

static uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static uint64_t load_le(const unsigned char *p, size_t n)
{
    uint64_t x = 0;

    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

uint64_t siphash13(const uint64_t seed[2], const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                     seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)n << 56;

    for (size_t left = n; left >= 8; left -= 8, p += 8) {
        uint64_t x = load_le(p, 8);

        v[3] ^= x;
        sip_round(v);
        v[0] ^= x;
    }
    last |= load_le(p, n & 7);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m, struct mem *mem, const uint64_t seed[2])
{
    *m = (struct map){.mem = mem};
    if (seed)
        memcpy(m->seed, seed, sizeof m->seed);
}

void map_free(struct map *m)
{
    mem_free(m->mem, m->slots, m->room * sizeof *m->slots);
    m->slots = NULL;
    m->room = m->count = 0;
}

/* The slot that holds the key, or the free one where it belongs. The table has at least one free slot. */
static struct map_slot *find(const struct map *m, const void *key, size_t len, uint64_t hash)
{
    size_t i = (size_t)hash & (m->room - 1);

    for (;; i = (i + 1) & (m->room - 1)) {
        struct map_slot *s = &m->slots[i];

        if (!s->key || (s->hash == hash && s->len == len && memcmp(s->key, key, len) == 0))
            return s;
    }
}

static int grow(struct map *m)
{
    struct map bigger = *m;

    bigger.room = m->room ? m->room * 2 : 16;
    bigger.slots = mem_array(m->mem, bigger.room, sizeof *bigger.slots);
    if (!bigger.slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < m->room; i++) {
        const struct map_slot *s = &m->slots[i];

        if (s->key)
            *find(&bigger, s->key, s->len, s->hash) = *s;
    }
    mem_free(m->mem, m->slots, m->room * sizeof *m->slots);
    *m = bigger;
    return 0;
}

void *map_get(const struct map *m, const void *key, size_t len)
{
    if (!m->count)
        return NULL;
    return find(m, key, len, siphash13(m->seed, key, len))->value;
}

int map_put(struct map *m, const void *key, size_t len, void *value)
{
    uint64_t hash = siphash13(m->seed, key, len);
    struct map_slot *s;

    assert(key && value);
    if (m->count >= m->room / 4 * 3 && grow(m) != 0)
        return ERR_NOMEM;
    s = find(m, key, len, hash);
    if (!s->key)
        m->count++;
    *s = (struct map_slot){key, len, hash, value};
    return 0;
}

void *map_del(struct map *m, const void *key, size_t len)
{
    struct map_slot *s;
    void *value;
    size_t hole, i;

    if (!m->count)
        return NULL;
    s = find(m, key, len, siphash13(m->seed, key, len));
    if (!s->key)
        return NULL;
    value = s->value;
    hole = i = (size_t)(s - m->slots);
    for (;;) {
        size_t home;

        i = (i + 1) & (m->room - 1);
        if (!m->slots[i].key)
            break;
        home = (size_t)m->slots[i].hash & (m->room - 1);
        if (((i - home) & (m->room - 1)) >= ((i - hole) & (m->room - 1))) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    m->count--;
    return value;
}

void *map_next(const struct map *m, size_t *i)
{
    while (*i < m->room) {
        const struct map_slot *s = &m->slots[(*i)++];

        if (s->key)
            return s->value;
    }
    return NULL;
}
