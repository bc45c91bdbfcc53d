/* The record of a baseline: version, kind, then all numbers of eight bytes, least significant byte first, and the
 * hours of a season as two bytes each. Only what cannot be reckoned again. */
#include "aggregator/alert/baseline_private.h"

#include <math.h>
#include <string.h>

enum { RECORD_VERSION = 1 };

static void put_64(struct buf *out, uint64_t v)
{
    for (int i = 0; i < 64; i += 8)
        buf_u8(out, (uint8_t)(v >> i));
}

static void put_double(struct buf *out, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    put_64(out, bits);
}

static void put_16(struct buf *out, uint16_t v)
{
    buf_u8(out, (uint8_t)v);
    buf_u8(out, (uint8_t)(v >> 8));
}

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static uint64_t get(struct reader *r, int bytes)
{
    uint64_t v = 0;

    if (r->end - r->p < bytes) {
        r->bad = true;
        return 0;
    }
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)*r->p++ << (8 * i);
    return v;
}

/* One of the size that values may have; NaN where none is allowed and it is that. */
static double get_double(struct reader *r, bool none)
{
    uint64_t bits = get(r, 8);
    double v;

    memcpy(&v, &bits, sizeof v);
    if (!(fabs(v) < 1e160) && !(none && isnan(v)))
        r->bad = true;
    return r->bad ? 0 : v;
}

static void put_season(const struct season *s, struct buf *out)
{
    put_64(out, (uint64_t)s->hour);
    put_16(out, (uint16_t)s->exponent);
    put_double(out, s->add);
    put_double(out, s->times);
    for (int i = 0; i < BUCKETS; i++)
        put_double(out, s->spread[i]);
    for (int i = 0; i < BINS; i++) {
        buf_u8(out, s->counts[i]);
        if (s->counts[i])
            put_double(out, s->means[i]);
    }
    for (int i = 0; i < KEPT_HOURS; i++)
        put_16(out, s->kept[i]);
}

static void get_season(struct reader *r, struct season *s)
{
    s->hour = (int64_t)get(r, 8);
    s->exponent = (int16_t)get(r, 2);
    s->add = get_double(r, false);
    s->times = get_double(r, false);
    for (int i = 0; i < BUCKETS; i++)
        s->spread[i] = get_double(r, false);
    for (int i = 0; i < BINS; i++) {
        s->counts[i] = (uint8_t)get(r, 1);
        s->means[i] = s->counts[i] ? get_double(r, false) : 0;
    }
    for (int i = 0; i < KEPT_HOURS; i++)
        s->kept[i] = (uint16_t)get(r, 2);
    if (s->hour != INT64_MIN && (s->hour > INT64_MAX / 7200000 || s->hour < -(INT64_MAX / 7200000)))
        r->bad = true;
    if (s->times < 0 || s->times > 1e9)
        r->bad = true;
    if (s->exponent != EXPONENT_NONE && (s->exponent > 600 || s->exponent < -1100))
        r->bad = true;
}

static void put_ewma(const struct ewma *e, struct buf *out)
{
    put_double(out, e->mean);
    put_double(out, e->spread);
    put_64(out, (uint64_t)e->side_since);
    put_double(out, e->side_mean);
    put_64(out, e->side_n);
    buf_u8(out, e->side_up);
}

static void get_ewma(struct reader *r, struct ewma *e)
{
    e->mean = get_double(r, true);
    e->spread = get_double(r, false);
    e->side_since = (int64_t)get(r, 8);
    e->side_mean = get_double(r, false);
    e->side_n = (uint32_t)get(r, 8);
    e->side_up = get(r, 1) & 1;
}

int baseline_encode(const struct baseline *b, struct buf *out)
{
    buf_u8(out, RECORD_VERSION);
    buf_u8(out, b->seasonal);
    put_64(out, (uint64_t)b->t);
    put_64(out, (uint64_t)b->learnt_ms);
    if (b->seasonal)
        put_season(&b->u.s, out);
    else
        put_ewma(&b->u.e, out);
    return out->full ? ERR_NOMEM : 0;
}

int baseline_decode(struct bytes in, struct mem *mem, struct baseline **out, struct err *e)
{
    struct reader r = {in.p, in.p ? in.p + in.n : in.p, false};
    struct baseline *b;
    int64_t most = INT64_MAX / 4;

    *out = NULL;
    if (in.n < 2 || in.p[0] != RECORD_VERSION || in.p[1] > 1)
        return err_set(e, ERR_MALFORMED, "a baseline of an unknown version or kind");
    b = baseline_new(in.p[1] == 1, mem);
    if (!b)
        return err_set(e, ERR_NOMEM, "no memory for a baseline");
    r.p += 2;
    b->t = (int64_t)get(&r, 8);
    b->learnt_ms = (int64_t)get(&r, 8);
    if (b->seasonal)
        get_season(&r, &b->u.s);
    else
        get_ewma(&r, &b->u.e);
    if (r.bad || r.p != r.end || (b->t != INT64_MIN && (b->t > most || b->t < -most)) || b->learnt_ms < 0 ||
        b->learnt_ms > most) {
        baseline_free(&b, mem);
        return err_set(e, ERR_MALFORMED, "a baseline's record is damaged");
    }
    if (b->seasonal)
        season_reckon(&b->u.s);
    *out = b;
    return 0;
}
