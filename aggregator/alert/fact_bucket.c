/* What one step holds: adding, and the stored form (facts.h).
 *
 * Stored: version, kind, varints of n, last_t (zigzag) and series, then eight bytes each, least significant
 * first, of last and sum, of a gauge min and max as well, and of a sketch its own bytes. */
#include "aggregator/alert/facts.h"
#include "common/base/varint.h"

#include <math.h>
#include <string.h>

enum { BUCKET_VERSION = 1 };

static void take_last(enum fact_kind kind, struct fact_bucket *into, const struct fact_bucket *gain)
{
    double a = into->series ? into->series : 1, b = gain->series ? gain->series : 1;

    if (!gain->last_t || gain->last_t < into->last_t)
        return;
    if (gain->last_t > into->last_t || !gain->n)
        into->last = gain->last;
    else if (kind == FACT_GAUGE)
        into->last = (into->last * a + gain->last * b) / (a + b);
    else if (gain->last > into->last)
        into->last = gain->last;
    into->last_t = gain->last_t;
}

static void take(enum fact_kind kind, struct fact_bucket *into, const struct fact_bucket *gain)
{
    take_last(kind, into, gain);
    if (gain->n && kind != FACT_COUNTER) {
        into->min = into->n && into->min < gain->min ? into->min : gain->min;
        into->max = into->n && into->max > gain->max ? into->max : gain->max;
    }
    if (__builtin_add_overflow(into->n, gain->n, &into->n))
        into->n = UINT64_MAX;
    into->sum += gain->sum;
}

void fact_add(enum fact_kind kind, struct fact_bucket *into, const struct fact_bucket *gain)
{
    take(kind, into, gain);
    if (__builtin_add_overflow(into->series, gain->series, &into->series))
        into->series = UINT32_MAX;
}

void fact_merge(enum fact_kind kind, struct fact_bucket *into, const struct fact_bucket *step)
{
    take(kind, into, step);
    if (step->series > into->series)
        into->series = step->series;
}

/* ---- the stored form ---- */

static void put_double(struct buf *out, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    for (int i = 0; i < 64; i += 8)
        buf_u8(out, (uint8_t)(bits >> i));
}

int fact_encode(enum fact_kind kind, const struct fact_bucket *b, struct buf *out)
{
    buf_u8(out, BUCKET_VERSION);
    buf_u8(out, (uint8_t)kind);
    buf_varint(out, b->n);
    buf_varint(out, zigzag(b->last_t));
    buf_varint(out, b->series);
    put_double(out, b->last);
    put_double(out, b->sum);
    if (kind == FACT_GAUGE) {
        put_double(out, b->min);
        put_double(out, b->max);
    }
    if (kind == FACT_SKETCH && (!b->sketch || sketch_encode(b->sketch, out)))
        return ERR_NOMEM;
    return out->full ? ERR_NOMEM : 0;
}

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static uint64_t get_varint(struct reader *r)
{
    uint64_t v = 0;

    r->bad |= !varint_get(&r->p, r->end, &v);
    return v;
}

static double get_double(struct reader *r)
{
    uint64_t bits = 0;
    double v;

    if (r->end - r->p < 8) {
        r->bad = true;
        return 0;
    }
    for (int i = 0; i < 64; i += 8)
        bits |= (uint64_t)*r->p++ << i;
    memcpy(&v, &bits, sizeof v);
    if (isnan(v))
        r->bad = true;
    return v;
}

static int get_sketch(struct reader *r, struct fact_bucket *b, struct sketch *sketch, struct err *e)
{
    size_t used;
    int rc = sketch_decode(sketch, r->p, (size_t)(r->end - r->p), &used, e);

    if (rc)
        return rc;
    r->p += used;
    b->sketch = sketch;
    b->n = sketch->count;
    b->sum = sketch_sum(sketch);
    b->min = sketch->min;
    b->max = sketch->max;
    return 0;
}

int fact_decode(struct bytes in, enum fact_kind *kind, struct fact_bucket *b, struct sketch *sketch,
                struct err *e)
{
    struct reader r = {in.p, in.p ? in.p + in.n : in.p, false};
    uint64_t series;
    int rc;

    *b = (struct fact_bucket){0};
    if (in.n < 2 || r.p[0] != BUCKET_VERSION || r.p[1] < FACT_GAUGE || r.p[1] > FACT_SKETCH)
        return err_set(e, ERR_MALFORMED, "a stored step of an unknown version or kind");
    *kind = (enum fact_kind)r.p[1];
    r.p += 2;
    b->n = get_varint(&r);
    b->last_t = unzigzag(get_varint(&r));
    series = get_varint(&r);
    b->series = (uint32_t)series;
    b->last = get_double(&r);
    b->sum = get_double(&r);
    if (*kind == FACT_GAUGE) {
        b->min = get_double(&r);
        b->max = get_double(&r);
    }
    if (r.bad || series > UINT32_MAX)
        return err_set(e, ERR_MALFORMED, "a stored step is damaged");
    rc = *kind == FACT_SKETCH ? get_sketch(&r, b, sketch, e) : 0;
    if (rc)
        return rc;
    return r.p == r.end ? 0 : err_set(e, ERR_MALFORMED, "something follows a stored step");
}
