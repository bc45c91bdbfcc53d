/* See chunk.h.
 *
 * Stored: version, kind, whether what follows is a zstd frame, then: the number of steps; the first step and
 * the distances to the next ones; the columns n, series and last_t (0, or 1 + its distance from the end of
 * before, zigzag); last, sum and of a gauge min and max; of a sketch instead of the latter its length and
 * bytes. Integers are varints. */
#include "aggregator/store/chunk.h"
#include "common/base/varint.h"

#include <math.h>
#include <string.h>

enum { CHUNK_VERSION = 1, MOST_BYTES = 64 << 20 };

int64_t tier_length(enum fact_tier t)
{
    static const int64_t ms[TIERS] = {FACT_STEP_MS, FACT_MINUTE_MS, FACT_HOUR_MS, FACT_DAY_MS};

    return ms[t];
}

int64_t chunk_start(enum fact_tier t, int64_t start)
{
    int64_t length = CHUNK_STEPS * tier_length(t), r = start % length;

    return start - (r < 0 ? r + length : r);
}

void chunk_init(struct chunk *c, enum fact_kind kind, struct mem *mem)
{
    *c = (struct chunk){.kind = kind, .mem = mem};
}

void chunk_free(struct chunk *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->v[i].sketch) {
            sketch_free(c->v[i].sketch);
            mem_free(c->mem, c->v[i].sketch, sizeof(struct sketch));
        }
    }
    mem_free(c->mem, c->v, c->room * sizeof *c->v);
    *c = (struct chunk){.kind = c->kind, .mem = c->mem};
}

struct chunk_step *chunk_at(struct chunk *c, int64_t at)
{
    uint32_t low = 0, high = c->n;

    if (c->n && c->v[c->n - 1].at < at)
        low = c->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (c->v[mid].at == at)
            return &c->v[mid];
        if (c->v[mid].at < at)
            low = mid + 1;
        else
            high = mid;
    }
    if (c->n == c->room) {
        uint32_t room = c->room ? c->room * 2 : 64;
        struct chunk_step *v = mem_resize(c->mem, c->v, c->room * sizeof *v, room * sizeof *v);

        if (!v)
            return NULL;
        c->v = v;
        c->room = room;
    }
    memmove(c->v + low + 1, c->v + low, (c->n - low) * sizeof *c->v);
    c->v[low] = (struct chunk_step){.at = at};
    c->n++;
    return &c->v[low];
}

static struct sketch *sketch_of(struct chunk *c, struct chunk_step *x)
{
    if (x->sketch)
        return x->sketch;
    x->sketch = mem_alloc(c->mem, sizeof *x->sketch);
    if (x->sketch)
        sketch_init_scale(x->sketch, c->mem, SKETCH_SCALE_MAX);
    return x->sketch;
}

int chunk_add(struct chunk *c, int64_t at, const struct fact_bucket *gain, bool finer)
{
    struct chunk_step *x = chunk_at(c, at);

    if (!x)
        return ERR_NOMEM;
    if (gain->sketch && (!sketch_of(c, x) || sketch_merge(x->sketch, gain->sketch) == ERR_NOMEM))
        return ERR_NOMEM;
    if (finer)
        fact_merge(c->kind, &x->b, gain);
    else
        fact_add(c->kind, &x->b, gain);
    x->b.sketch = NULL;
    return 0;
}

/* ---- writing ---- */

static uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static uint64_t column(const struct fact_bucket *b, int which)
{
    const double v[] = {b->last, b->sum, b->min, b->max};

    return bits_of(v[which]);
}

static void put_doubles(const struct chunk *c, int which, struct buf *out)
{
    for (int shift = 0; shift < 64; shift += 8) {
        uint64_t before = 0;

        for (uint32_t i = 0; i < c->n; i++) {
            uint64_t bits = column(&c->v[i].b, which);

            buf_u8(out, (uint8_t)((bits ^ before) >> shift));
            before = bits;
        }
    }
}

static void put_times(const struct chunk *c, struct buf *out)
{
    int64_t before = 0;

    for (uint32_t i = 0; i < c->n; i++) {
        int64_t t = c->v[i].b.last_t;
        uint64_t d = zigzag((int64_t)((uint64_t)t - (uint64_t)before));

        buf_varint(out, t == 0 || d == UINT64_MAX ? 0 : d + 1);
        before = t ? t : before;
    }
}

static int put_columns(const struct chunk *c, struct buf *out)
{
    int64_t before = 0;
    int rc = 0;

    buf_varint(out, c->n);
    for (uint32_t i = 0; i < c->n; i++) {
        buf_varint(out, zigzag(c->v[i].at - before));
        before = c->v[i].at;
    }
    for (uint32_t i = 0; i < c->n; i++)
        buf_varint(out, c->v[i].b.n);
    for (uint32_t i = 0; i < c->n; i++)
        buf_varint(out, c->v[i].b.series);
    put_times(c, out);
    for (int which = c->kind == FACT_SKETCH ? 4 : 0; which < (c->kind == FACT_GAUGE ? 4 : 2); which++)
        put_doubles(c, which, out);
    for (uint32_t i = 0; c->kind == FACT_SKETCH && i < c->n && rc == 0; i++) {
        buf_u8(out, c->v[i].sketch != NULL);
        rc = c->v[i].sketch ? sketch_encode(c->v[i].sketch, out) : 0;
    }
    return rc || out->full ? ERR_NOMEM : 0;
}

int chunk_encode(const struct chunk *c, struct wire_codec *codec, struct buf *scratch, struct buf *out,
                 struct err *e)
{
    int rc;

    buf_clear(scratch);
    rc = put_columns(c, scratch);
    buf_u8(out, CHUNK_VERSION);
    buf_u8(out, (uint8_t)c->kind);
    buf_u8(out, 1);
    if (rc == 0)
        rc = wire_deflate(codec, scratch->data, scratch->len, out, e);
    if (rc == ERR_LIMIT && out->len) { /* too large for a frame: as it is */
        out->data[out->len - 1] = 0;
        buf_put(out, scratch->data, scratch->len);
        rc = 0;
    }
    return rc || out->full ? err_set(e, ERR_NOMEM, "no memory for a chunk of stored steps") : 0;
}

/* ---- reading ---- */

struct in {
    struct bytes bytes; /* what is left */
    bool bad;
};

static uint8_t get_byte(struct in *in)
{
    if (!in->bytes.n) {
        in->bad = true;
        return 0;
    }
    in->bytes.n--;
    return *in->bytes.p++;
}

static uint64_t get_uint(struct in *in)
{
    uint64_t v = 0;

    in->bad |= !bytes_varint(&in->bytes, &v);
    return v;
}

static void get_doubles(struct chunk *c, int which, struct in *in)
{
    size_t n = c->n;
    uint64_t before = 0;

    if (in->bytes.n < 8 * n) {
        in->bad = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct fact_bucket *b = &c->v[i].b;
        double *to[] = {&b->last, &b->sum, &b->min, &b->max};

        for (size_t plane = 0; plane < 8; plane++)
            before ^= (uint64_t)in->bytes.p[plane * n + i] << 8 * plane;
        memcpy(to[which], &before, sizeof before);
        in->bad = in->bad || isnan(*to[which]);
    }
    in->bytes.p += 8 * n;
    in->bytes.n -= 8 * n;
}

static int get_sketch(struct chunk *c, struct chunk_step *x, struct in *in, struct err *e)
{
    size_t used;
    int rc;

    if (!get_byte(in))
        return 0;
    if (!sketch_of(c, x))
        return ERR_NOMEM;
    rc = sketch_decode(x->sketch, in->bytes.p, in->bytes.n, &used, e);
    if (rc)
        return rc;
    in->bytes.p += used;
    in->bytes.n -= used;
    x->b.n = x->sketch->count;
    x->b.sum = sketch_sum(x->sketch);
    x->b.min = x->sketch->min;
    x->b.max = x->sketch->max;
    return 0;
}

static void get_steps(struct chunk *c, uint64_t n, struct in *in)
{
    int64_t at = 0, t = 0;

    for (uint64_t i = 0; i < n; i++) {
        int64_t next = (int64_t)((uint64_t)at + (uint64_t)unzigzag(get_uint(in)));

        if ((i && next <= at) || next > INT64_MAX / FACT_DAY_MS || next < -(INT64_MAX / FACT_DAY_MS)) {
            in->bad = true;
            return;
        }
        at = next;
        c->v[c->n++] = (struct chunk_step){.at = at};
    }
    for (uint32_t i = 0; i < c->n; i++)
        c->v[i].b.n = get_uint(in);
    for (uint32_t i = 0; i < c->n; i++)
        c->v[i].b.series = (uint32_t)get_uint(in);
    for (uint32_t i = 0; i < c->n; i++) {
        uint64_t d = get_uint(in);

        t = d ? (int64_t)((uint64_t)t + (uint64_t)unzigzag(d - 1)) : t;
        c->v[i].b.last_t = d ? t : 0;
    }
}

static int get_columns(struct chunk *c, struct in *in, struct err *e)
{
    uint64_t n = get_uint(in);
    int rc = 0;

    if (n > CHUNK_STEPS || in->bad)
        return ERR_MALFORMED;
    if (n == 0)
        return in->bytes.n ? ERR_MALFORMED : 0;
    c->v = mem_array(c->mem, n, sizeof *c->v);
    if (!c->v)
        return ERR_NOMEM;
    c->room = (uint32_t)n;
    get_steps(c, n, in);
    for (int which = c->kind == FACT_SKETCH ? 4 : 0; which < (c->kind == FACT_GAUGE ? 4 : 2); which++)
        get_doubles(c, which, in);
    for (uint32_t i = 0; c->kind == FACT_SKETCH && i < c->n && rc == 0 && !in->bad; i++)
        rc = get_sketch(c, &c->v[i], in, e);
    return rc ? rc : in->bad || in->bytes.n ? ERR_MALFORMED : 0;
}

int chunk_decode(struct chunk *c, struct bytes bytes, struct wire_codec *codec, struct buf *scratch,
                 struct err *e)
{
    enum wire_reason reason;
    struct in in;
    int rc = 0;

    if (bytes.n < 3 || bytes.p[0] != CHUNK_VERSION || bytes.p[1] < FACT_GAUGE || bytes.p[1] > FACT_SKETCH ||
        bytes.p[2] > 1 || bytes.n > MOST_BYTES)
        return err_set(e, ERR_MALFORMED, "a chunk of stored steps of an unknown form");
    in = (struct in){{bytes.p + 3, bytes.n - 3}, false};
    c->kind = (enum fact_kind)bytes.p[1];
    if (bytes.p[2]) {
        rc = wire_inflate(codec, in.bytes.p, in.bytes.n, scratch, &reason, e);
        in = (struct in){{scratch->data, scratch->len}, false};
    }
    if (rc == 0)
        rc = get_columns(c, &in, e);
    if (rc == 0)
        return 0;
    chunk_free(c);
    return err_set(e, rc == ERR_NOMEM ? rc : ERR_MALFORMED,
                   rc == ERR_NOMEM ? "no memory for a chunk of stored steps"
                                   : "a chunk of stored steps is damaged");
}
