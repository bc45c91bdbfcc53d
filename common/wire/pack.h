/* msgpack-c's packer writing into a buf. A buf that is full
 * swallows the rest; the writer looks once, at the end. */
#ifndef SB_WIRE_PACK_H
#define SB_WIRE_PACK_H

#include <msgpack.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/wire/wire.h"

static inline int pack_write(void *data, const char *p, size_t n)
{
    struct buf *b = data;

    buf_put(b, p, n);
    return b->full ? -1 : 0;
}

static inline msgpack_packer pack_into(struct buf *b)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, b, pack_write);
    return pk;
}

static inline void pack_str(msgpack_packer *pk, struct wire_str s)
{
    (void)msgpack_pack_str(pk, s.n);
    (void)msgpack_pack_str_body(pk, s.p, s.n);
}

static inline void pack_text(msgpack_packer *pk, const char *s)
{
    pack_str(pk, (struct wire_str){s, (uint32_t)strlen(s)});
}

static inline void pack_bin(msgpack_packer *pk, const void *p, size_t n)
{
    (void)msgpack_pack_bin(pk, n);
    (void)msgpack_pack_bin_body(pk, p, n);
}

static inline void pack_hash(msgpack_packer *pk, const struct wire_hash *h)
{
    pack_bin(pk, h->b, sizeof h->b);
}

/* A map of labels; l is sorted. */
static inline void pack_labels(msgpack_packer *pk, const struct wire_label *l, uint32_t n)
{
    (void)msgpack_pack_map(pk, n);
    for (uint32_t i = 0; i < n; i++) {
        pack_str(pk, l[i].name);
        pack_str(pk, l[i].value);
    }
}

#endif
