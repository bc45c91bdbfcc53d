/* For tests of the wire: documents put together key by key, so
 * that any field can be left out, replaced or doubled. */
#ifndef TESTS_WIRE_KIT_H
#define TESTS_WIRE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/sketch/sketch.h"
#include "common/wire/pack.h"
#include "common/wire/wire.h"

enum { KIT_KEYS = 300, KIT_CAP = 32 << 20 };

struct kit_map {
    struct {
        char key[16];
        struct buf value;
    } at[KIT_KEYS];
    unsigned n;
};

static inline struct wire_str kit_str(const char *s)
{
    return (struct wire_str){s, (uint32_t)strlen(s)};
}

static inline void kit_free(struct kit_map *m)
{
    for (unsigned i = 0; i < m->n; i++)
        buf_free(&m->at[i].value);
    m->n = 0;
}

static inline void kit_del(struct kit_map *m, const char *key)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (strcmp(m->at[i].key, key) != 0)
            continue;
        buf_free(&m->at[i].value);
        m->at[i] = m->at[--m->n];
        return;
    }
}

/* The empty value of a new key at the end, or that of the key if it is there. */
static inline struct buf *kit_at(struct kit_map *m, const char *key)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (strcmp(m->at[i].key, key) != 0)
            continue;
        buf_clear(&m->at[i].value);
        return &m->at[i].value;
    }
    assert_true(m->n < KIT_KEYS && strlen(key) < sizeof m->at[0].key);
    memcpy(m->at[m->n].key, key, strlen(key) + 1);
    buf_init(&m->at[m->n].value, NULL, KIT_CAP);
    return &m->at[m->n++].value;
}

static inline void kit_raw(struct kit_map *m, const char *key, const void *p, size_t n)
{
    buf_put(kit_at(m, key), p, n);
}

static inline void kit_uint(struct kit_map *m, const char *key, uint64_t v)
{
    msgpack_packer pk = pack_into(kit_at(m, key));

    (void)msgpack_pack_uint64(&pk, v);
}

static inline void kit_int(struct kit_map *m, const char *key, int64_t v)
{
    msgpack_packer pk = pack_into(kit_at(m, key));

    (void)msgpack_pack_int64(&pk, v);
}

static inline void kit_text(struct kit_map *m, const char *key, const char *s)
{
    msgpack_packer pk = pack_into(kit_at(m, key));

    pack_text(&pk, s);
}

static inline void kit_bin(struct kit_map *m, const char *key, const void *p, size_t n)
{
    msgpack_packer pk = pack_into(kit_at(m, key));

    pack_bin(&pk, p, n);
}

/* Appends the map to out. */
static inline void kit_write(const struct kit_map *m, struct buf *out)
{
    msgpack_packer pk = pack_into(out);

    (void)msgpack_pack_map(&pk, m->n);
    for (unsigned i = 0; i < m->n; i++) {
        pack_text(&pk, m->at[i].key);
        buf_put(out, m->at[i].value.data, m->at[i].value.len);
    }
    assert_false(out->full);
}

/* A key holds `count` copies of the map, as an array. */
static inline void kit_array_of(struct kit_map *m, const char *key, const struct kit_map *one, uint32_t count)
{
    struct buf *b = kit_at(m, key);
    msgpack_packer pk = pack_into(b);

    (void)msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++)
        kit_write(one, b);
}

static const uint8_t kit_hash[16] = {1, 2, 3};

/* A valid root without blocks. */
static inline void kit_root(struct kit_map *m)
{
    struct kit_map none = {.n = 0};

    kit_text(m, "agent", "web-1");
    kit_array_of(m, "blocks", &none, 0);
    kit_uint(m, "epoch", 1700000000000);
    kit_uint(m, "low", 1);
    kit_bin(m, "resource", kit_hash, 16);
    kit_int(m, "sealed", 1700000000123);
    kit_uint(m, "seq", 7);
    kit_uint(m, "v", 1);
}

#endif
