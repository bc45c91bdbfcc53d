/* A growing byte buffer with a cap. Once an append does not fit, the buffer is marked full and later appends
 * do nothing, so that a writer can append freely and look once at the end. */
#ifndef SB_BASE_BUF_H
#define SB_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"

struct buf {
    uint8_t *data; /* owned; may be NULL while len is 0 */
    size_t len;
    size_t room; /* bytes allocated */
    size_t cap;  /* most bytes that it may ever hold */
    bool full;   /* an append did not fit, or memory was refused: the content is not complete */
    struct mem *mem;
};

/* A view of bytes owned by somebody else. */
struct bytes {
    const uint8_t *p;
    size_t n;
};

void buf_init(struct buf *b, struct mem *mem, size_t cap);
void buf_free(struct buf *b);  /* releases the memory; the buffer is as after buf_init */
void buf_clear(struct buf *b); /* forgets the content, keeps the memory */

/* n bytes at the end to be filled in by the caller (zeroed or old content), or NULL when they do not fit. */
uint8_t *buf_grow(struct buf *b, size_t n);
/* Makes room for n more bytes without changing len. False when they do not fit (and marks it full). */
bool buf_reserve(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_u8(struct buf *b, uint8_t v);
void buf_str(struct buf *b, const char *s); /* without the terminator */
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vfmt(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* The content as a terminated string (the terminator is not counted). "" when full or empty. */
const char *buf_text(struct buf *b);

static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){b->data, b->len};
}

#endif
