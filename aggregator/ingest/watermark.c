/* Watermarks: see watermark.h. Holes are few, so a sorted array searched by halving is all there is to it. */
#include "aggregator/ingest/watermark.h"
#include "common/base/varint.h"

#include <assert.h>
#include <string.h>

enum { FORM = 1 };

void watermark_init(struct watermark *w, struct mem *mem)
{
    *w = (struct watermark){.mem = mem};
}

void watermark_free(struct watermark *w)
{
    mem_free(w->mem, w->holes, w->room * sizeof *w->holes);
    watermark_init(w, w->mem);
}

/* The first hole that ends at or behind seq; n when there is none. */
static uint32_t find(const struct watermark *w, uint64_t seq)
{
    uint32_t a = 0, b = w->n;

    while (a < b) {
        uint32_t m = a + (b - a) / 2;

        if (w->holes[m].to < seq)
            a = m + 1;
        else
            b = m;
    }
    return a;
}

bool watermark_has(const struct watermark *w, uint64_t seq)
{
    uint32_t i;

    if (seq > w->top)
        return false;
    i = find(w, seq);
    return i == w->n || w->holes[i].from > seq;
}

bool watermark_closed(const struct watermark *w, uint64_t seq)
{
    return seq < w->floor && !watermark_has(w, seq);
}

static int set_room(struct watermark *w, uint32_t room)
{
    struct hole *h = mem_resize(w->mem, w->holes, w->room * sizeof *h, room * sizeof *h);

    if (!h)
        return ERR_NOMEM;
    w->holes = h;
    w->room = room;
    return 0;
}

int watermark_reserve(struct watermark *w)
{
    return w->n < w->room ? 0 : set_room(w, w->room ? w->room * 2 : 4);
}

int watermark_copy(struct watermark *to, const struct watermark *from)
{
    if (to->room <= from->n && set_room(to, from->n + 1) != 0)
        return ERR_NOMEM;
    to->top = from->top;
    to->floor = from->floor;
    to->received = from->received;
    to->n = from->n;
    if (from->n)
        memcpy(to->holes, from->holes, from->n * sizeof *from->holes);
    return 0;
}

static void remove_at(struct watermark *w, uint32_t i)
{
    memmove(&w->holes[i], &w->holes[i + 1], (w->n - i - 1) * sizeof *w->holes);
    w->n--;
}

/* Takes seq out of the hole that holds it. */
static void fill(struct watermark *w, uint64_t seq)
{
    uint32_t i = find(w, seq);
    struct hole *h = &w->holes[i];

    assert(i < w->n && h->from <= seq);
    if (h->from == h->to) {
        remove_at(w, i);
    } else if (seq == h->from) {
        h->from++;
    } else if (seq == h->to) {
        h->to--;
    } else {
        assert(w->n < w->room);
        memmove(h + 1, h, (w->n - i) * sizeof *h);
        w->n++;
        h[0].to = seq - 1;
        h[1].from = seq + 1;
    }
}

/* How many missing seqs lie in [from, to). */
static uint64_t missing_within(const struct watermark *w, uint64_t from, uint64_t to)
{
    uint64_t sum = 0;

    for (uint32_t i = find(w, from); i < w->n && w->holes[i].from < to; i++) {
        uint64_t a = w->holes[i].from > from ? w->holes[i].from : from;
        uint64_t b = w->holes[i].to < to ? w->holes[i].to : to - 1;

        sum += b - a + 1;
    }
    return sum;
}

uint64_t watermark_open(const struct watermark *w)
{
    return w->n ? missing_within(w, w->floor ? w->floor : 1, w->top) : 0;
}

void watermark_mark(struct watermark *w, uint64_t seq, uint64_t low, int64_t received,
                    struct watermark_change *c)
{
    *c = (struct watermark_change){0};
    assert(low >= 1 && low <= seq && !watermark_has(w, seq));
    if (seq <= w->top) {
        c->late = 1;
        fill(w, seq);
    } else {
        if (seq - w->top > 1) {
            assert(w->n < w->room);
            w->holes[w->n++] = (struct hole){w->top + 1, seq - 1};
        }
        w->top = seq;
    }
    if (low > w->floor) {
        c->closed = missing_within(w, w->floor ? w->floor : 1, low);
        w->floor = low;
    }
    while (w->n > WATERMARK_HOLES) {
        const struct hole *h = &w->holes[0];

        if (h->to >= w->floor)
            c->lost += h->to - (h->from > w->floor ? h->from : w->floor) + 1;
        remove_at(w, 0);
    }
    if (received > w->received)
        w->received = received;
}

void watermark_lift(struct watermark *w, uint64_t seq, int64_t received)
{
    if (seq > w->top)
        w->top = seq;
    else if (!watermark_has(w, seq))
        fill(w, seq);
    if (!w->floor)
        w->floor = 1;
    if (received > w->received)
        w->received = received;
}

/* ---- bytes: a version, then LEB128 numbers: top, floor, received, number of holes, and of each hole the distance from
 * the one before and its length less one ---- */

void watermark_encode(const struct watermark *w, struct buf *out)
{
    uint64_t at = 0;

    buf_u8(out, FORM);
    buf_varint(out, w->top);
    buf_varint(out, w->floor);
    buf_varint(out, (uint64_t)w->received);
    buf_varint(out, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        buf_varint(out, w->holes[i].from - at);
        buf_varint(out, w->holes[i].to - w->holes[i].from);
        at = w->holes[i].to;
    }
}

/* The holes; false when they break a rule of struct watermark. */
static bool get_holes(struct watermark *w, struct bytes *b, uint64_t n)
{
    uint64_t at = 0, step, length;

    for (uint64_t i = 0; i < n; i++) {
        struct hole *h = &w->holes[w->n];

        /* A hole begins at least two behind the end of the one before, the first at 1 or later. */
        if (!bytes_varint(b, &step) || !bytes_varint(b, &length) || step < (i ? 2U : 1U) || step > w->top ||
            at > w->top - step)
            return false;
        h->from = at + step;
        if (length >= w->top - h->from) /* to <= top - 1 */
            return false;
        h->to = h->from + length;
        at = h->to;
        w->n++;
    }
    return true;
}

int watermark_decode(struct watermark *w, struct bytes b, struct err *e)
{
    uint64_t n, received;

    if (b.n < 1 || b.p[0] != FORM)
        return b.n < 1 ? err_set(e, ERR_MALFORMED, "a watermark without bytes")
                       : err_set(e, ERR_VERSION, "a watermark of the unknown form %u", b.p[0]);
    b.p++;
    b.n--;
    if (!bytes_varint(&b, &w->top) || !bytes_varint(&b, &w->floor) || !bytes_varint(&b, &received) ||
        !bytes_varint(&b, &n) || w->top < 1 || w->floor < 1 || w->floor > w->top || n > WATERMARK_HOLES) {
        watermark_free(w);
        return err_set(e, ERR_MALFORMED, "a watermark breaks its form");
    }
    w->received = (int64_t)received;
    if (n && set_room(w, (uint32_t)n) != 0) {
        watermark_free(w);
        return err_set(e, ERR_NOMEM, "no memory for a watermark");
    }
    if (!get_holes(w, &b, n) || b.n != 0) {
        watermark_free(w);
        return err_set(e, ERR_MALFORMED, "a watermark breaks its form");
    }
    return 0;
}
