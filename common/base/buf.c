/* Bounded buffers: see buf.h. */
#include "common/base/buf.h"

#include <stdio.h>
#include <string.h>

void buf_init(struct buf *b, struct mem *mem, size_t cap)
{
    *b = (struct buf){.cap = cap, .mem = mem};
}

void buf_free(struct buf *b)
{
    mem_free(b->mem, b->data, b->room);
    buf_init(b, b->mem, b->cap);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->full = false;
}

bool buf_reserve(struct buf *b, size_t n)
{
    size_t room = b->room ? b->room : 256;
    void *p;

    if (b->full)
        return false;
    if (b->len + n <= b->room && b->len + n >= n)
        return true;
    if (n > b->cap || b->len > b->cap - n) {
        b->full = true;
        return false;
    }
    while (room < b->len + n)
        room *= 2;
    if (room > b->cap)
        room = b->cap;
    p = mem_resize(b->mem, b->data, b->room, room);
    if (!p) {
        b->full = true;
        return false;
    }
    b->data = p;
    b->room = room;
    return true;
}

uint8_t *buf_grow(struct buf *b, size_t n)
{
    uint8_t *p;

    if (!buf_reserve(b, n))
        return NULL;
    p = b->data + b->len;
    b->len += n;
    return p;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    uint8_t *to;

    if (!n)
        return;
    to = buf_grow(b, n);
    if (to)
        memcpy(to, p, n);
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_vfmt(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0) {
        b->full = true;
    } else if (b->len + (size_t)n < b->cap ? buf_reserve(b, (size_t)n + 1) : false) {
        (void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    } else {
        b->full = true;
    }
    va_end(again);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vfmt(b, fmt, ap);
    va_end(ap);
}

const char *buf_text(struct buf *b)
{
    if (b->full || !buf_reserve(b, 1))
        return "";
    b->data[b->len] = 0;
    return (const char *)b->data;
}
