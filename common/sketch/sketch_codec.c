/* The bytes of a sketch (docs/protocol.md, "Sketch (binary)"). What is written is canonical: ranges trimmed,
 * varints minimal. What is read may have longer varints, of at most 10 bytes and 64 bits; everything else is
 * checked. One reader serves decoding and checking, so that the two cannot disagree. */
#include "common/sketch/sketch.h"

#include <assert.h>
#include <string.h>

#include "common/base/varint.h"
#include "common/sketch/sketch_index.h"
#include "common/sketch/sketch_range.h"

/* ---- writing ---- */

/* Bytes on their way to a buf, so that it is asked once per handful. */
struct writer {
    struct buf *out;
    size_t n;
    uint8_t bytes[512];
};

static void flush(struct writer *w)
{
    buf_put(w->out, w->bytes, w->n);
    w->n = 0;
}

static void put_varint(struct writer *w, uint64_t v)
{
    if (w->n > sizeof w->bytes - VARINT_MAX)
        flush(w);
    w->n = (size_t)(varint_put(w->bytes + w->n, v) - w->bytes);
}

static void put_double(struct writer *w, double v)
{
    uint64_t bits = sketch_bits(v);

    if (w->n > sizeof w->bytes - sizeof bits)
        flush(w);
    for (size_t i = 0; i < sizeof bits; i++)
        w->bytes[w->n++] = (uint8_t)(bits >> (8 * i));
}

static void put_range(struct writer *w, const struct sketch_range *r)
{
    put_varint(w, r->n);
    if (!r->n)
        return;
    put_varint(w, zigzag(r->offset));
    put_varint(w, r->counts[0]);
    for (uint32_t k = 1; k < r->n; k++)
        put_varint(w, zigzag((int64_t)(r->counts[k] - r->counts[k - 1])));
}

int sketch_encode(const struct sketch *s, struct buf *out)
{
    struct writer w;

    w.out = out;
    w.n = 0;
    put_varint(&w, zigzag(s->scale));
    put_varint(&w, s->count);
    put_double(&w, sketch_sum(s));
    put_double(&w, s->min);
    put_double(&w, s->max);
    put_varint(&w, s->zero_count);
    put_range(&w, &s->pos);
    put_range(&w, &s->neg);
    flush(&w);
    return out->full ? ERR_NOMEM : 0;
}

/* ---- reading ---- */

struct reader {
    const uint8_t *p, *end;
    struct err *e;
};

static int bad(struct reader *r, const char *what)
{
    return err_set(r->e, ERR_MALFORMED, "sketch: %s", what);
}

static bool get_long(struct reader *r, uint64_t *v)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < VARINT_MAX && r->p < r->end; i++) {
        uint8_t b = *r->p++;

        if (i == VARINT_MAX - 1 && b > 1)
            return false; /* a bit beyond the 64th, or an eleventh byte */
        x |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            *v = x;
            return true;
        }
    }
    return false;
}

static inline bool get_varint(struct reader *r, uint64_t *v)
{
    if (r->p < r->end && *r->p < 0x80) {
        *v = *r->p++;
        return true;
    }
    return get_long(r, v);
}

static bool get_signed(struct reader *r, int64_t *v)
{
    uint64_t x;

    if (!get_varint(r, &x))
        return false;
    *v = unzigzag(x);
    return true;
}

static bool get_double(struct reader *r, double *v)
{
    uint64_t bits = 0;

    if (r->end - r->p < (ptrdiff_t)sizeof bits)
        return false;
    for (size_t i = 0; i < sizeof bits; i++)
        bits |= (uint64_t)r->p[i] << (8 * i);
    r->p += sizeof bits;
    *v = sketch_double(bits) + 0.0; /* -0 becomes 0, as when recorded */
    return true;
}

/* Everything before the ranges. */
static int read_head(struct reader *r, struct sketch *s)
{
    int64_t scale;

    if (!get_signed(r, &scale) || !get_varint(r, &s->count) || !get_double(r, &s->sum) ||
        !get_double(r, &s->min) || !get_double(r, &s->max) || !get_varint(r, &s->zero_count))
        return bad(r, "ends before its ranges, or a number has more than 64 bits");
    if (scale < SKETCH_SCALE_MIN || scale > SKETCH_SCALE_MAX)
        return bad(r, "scale is not within -4 and 8");
    s->scale = (int32_t)scale;
    if (s->sum != s->sum)
        return bad(r, "sum is not a number");
    if (!sketch_finite(s->min) || !sketch_finite(s->max) || s->min > s->max)
        return bad(r, "min and max are not finite and in order");
    if (!s->count && (s->sum != 0 || s->min != 0 || s->max != 0 || s->zero_count))
        return bad(r, "is empty, yet sum, min, max or zero_count is not 0");
    return 0;
}

static int read_counts(struct reader *r, uint32_t n, uint64_t *counts, uint64_t *total)
{
    uint64_t c = 0, x;

    for (uint32_t k = 0; k < n; k++) {
        if (!get_varint(r, &x))
            return bad(r, "ends within its counts, or a count has more than 64 bits");
        c = k ? c + (uint64_t)unzigzag(x) : x;
        if (!c && (k == 0 || k == n - 1))
            return bad(r, "the first or last slot of a range is 0");
        if (c > UINT64_MAX - *total)
            return bad(r, "its counts do not fit 64 bits together");
        *total += c;
        if (counts)
            counts[k] = c;
    }
    return 0;
}

/* One range, into to if that is given. total grows by its counts. */
static int read_range(struct reader *r, int scale, struct sketch_range *to, struct mem *mem, uint64_t *total)
{
    int64_t offset;
    uint64_t n;

    if (!get_varint(r, &n))
        return bad(r, "ends before a range, or its length has more than 64 bits");
    if (n > SKETCH_SLOTS)
        return bad(r, "a range has more than 2048 slots");
    if (!n)
        return 0;
    if (!get_signed(r, &offset))
        return bad(r, "ends before an offset, or it has more than 64 bits");
    if (offset < sketch_shift(SKETCH_EXP_MIN * SKETCH_PARTS, SKETCH_SCALE_MAX - scale) ||
        offset > sketch_shift(SKETCH_EXP_END * SKETCH_PARTS, SKETCH_SCALE_MAX - scale) - (int64_t)n)
        return bad(r, "a range reaches beyond 2^-128 or 2^1024");
    if (to) {
        if (!range_reserve(to, mem, (uint32_t)n))
            return err_set(r->e, ERR_NOMEM, "sketch: no memory for %u slots", (unsigned)n);
        to->offset = (int32_t)offset;
        to->n = (uint32_t)n;
    }
    return read_counts(r, (uint32_t)n, to ? to->counts : NULL, total);
}

/* Reads into s; its ranges only when build is set. */
static int read_sketch(struct reader *r, struct sketch *s, bool build)
{
    uint64_t total;
    int rc = read_head(r, s);

    if (rc)
        return rc;
    total = s->zero_count;
    rc = read_range(r, s->scale, build ? &s->pos : NULL, s->mem, &total);
    if (!rc)
        rc = read_range(r, s->scale, build ? &s->neg : NULL, s->mem, &total);
    if (!rc && total != s->count)
        rc = bad(r, "count is not the sum of its counts");
    return rc;
}

/* An empty input may come without an address, to which C lets nothing be added. */
static struct reader reader_of(const uint8_t *p, size_t n, struct err *e)
{
    return (struct reader){p, n ? p + n : p, e};
}

int sketch_decode(struct sketch *s, const uint8_t *p, size_t n, size_t *used, struct err *e)
{
    struct reader r = reader_of(p, n, e);
    int rc;

    sketch_clear(s);
    rc = read_sketch(&r, s, true);
    if (rc)
        sketch_clear(s);
    else
        *used = (size_t)(r.p - p);
    return rc;
}

int sketch_check(const uint8_t *p, size_t n, size_t *used, struct err *e)
{
    struct reader r = reader_of(p, n, e);
    struct sketch s = {0};
    int rc = read_sketch(&r, &s, false);

    if (!rc)
        *used = (size_t)(r.p - p);
    return rc;
}
