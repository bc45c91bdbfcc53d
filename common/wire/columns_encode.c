/* Columns of a block, written: integers as differences in
 * zigzag varints, floats as XOR with the one before. */
#include "common/wire/columns_encode.h"

#include <float.h>
#include <string.h>

#include "common/sketch/sketch.h"
#include "common/wire/column.h"
#include "common/wire/text.h"

static bool is_sketch(const struct wire_block_out *b, uint32_t j)
{
    return b->layout->series[j].kind == WIRE_SKETCH;
}

/* A sketch is absent where its bytes are, or where the bitmap says so. */
static inline bool is_present(const struct wire_block_out *b, uint32_t j, uint32_t i)
{
    const struct wire_column *c = &b->columns[j];

    return (!c->present || bit_at(c->present, i)) && (!is_sketch(b, j) || c->sketches[i].p);
}

uint64_t wire_count_values(const struct wire_block_out *b, bool *holes)
{
    uint64_t n = 0;

    for (uint32_t j = 0; j < b->layout->n; j++) {
        if (!b->columns[j].present && !is_sketch(b, j)) {
            n += b->n;
            continue;
        }
        for (uint32_t i = 0; i < b->n; i++)
            n += is_present(b, j, i);
    }
    *holes = n != (uint64_t)b->n * b->layout->n;
    return n;
}

static int bad_series(struct err *e, const struct wire_series *s, const char *what)
{
    return err_set(e, ERR_MALFORMED, "series \"%.*s\": %s", WIRE_SHOW(s->name), what);
}

int wire_put_jitter(const struct wire_block_out *b, struct buf *out, struct err *e)
{
    int64_t t = 0, before = 0;

    buf_clear(out);
    for (uint32_t i = 0; i < b->n; i++) {
        int64_t v = b->jitter ? b->jitter[i] : 0;

        if (v < -JITTER_MAX || v > JITTER_MAX)
            return err_set(e, ERR_MALFORMED, "jitter of more than 60 s");
        if (!tick_time(b->t0, b->dt, i, v, &t) || (i && t <= before))
            return err_set(e, ERR_MALFORMED, "tick times do not increase, or leave int64");
        before = t;
        if (b->jitter && buf_reserve(out, VARINT_MAX))
            out->len = (size_t)(varint_put(out->data + out->len, zigzag(v)) - out->data);
    }
    return 0;
}

int wire_put_mode(const struct wire_block_out *b, struct buf *out, struct err *e)
{
    buf_clear(out);
    for (uint32_t j = 0; j < b->layout->n; j++) {
        if (is_sketch(b, j))
            continue;
        if (b->columns[j].mode > 1)
            return bad_series(e, &b->layout->series[j], "its mode is neither 0 nor 1");
        buf_u8(out, b->columns[j].mode);
    }
    return 0;
}

int wire_put_present(const struct wire_block_out *b, struct buf *out)
{
    buf_clear(out);
    for (uint32_t j = 0; j < b->layout->n; j++) {
        for (uint32_t i = 0; i < b->n; i += 8) {
            uint8_t byte = 0;

            for (uint32_t k = 0; k < 8 && i + k < b->n; k++)
                byte |= (uint8_t)((unsigned)is_present(b, j, i + k) << k);
            buf_u8(out, byte);
        }
    }
    return 0;
}

static int put_int_series(const struct wire_block_out *b, uint32_t j, struct buf *out, struct err *e)
{
    const int64_t *v = b->columns[j].ints;
    const uint8_t *present = b->columns[j].present;
    bool counter = b->layout->series[j].kind == WIRE_COUNTER;
    uint64_t before = 0;
    uint8_t *p;

    if (!buf_reserve(out, (size_t)b->n * VARINT_MAX))
        return 0;
    p = out->data + out->len;
    for (uint32_t i = 0; i < b->n; i++) {
        if (present && !bit_at(present, i))
            continue;
        if (counter && v[i] < 0)
            return bad_series(e, &b->layout->series[j], "a counter is negative");
        p = varint_put(p, zigzag((int64_t)((uint64_t)v[i] - before)));
        before = (uint64_t)v[i];
    }
    out->len = (size_t)(p - out->data);
    return 0;
}

int wire_put_ints(const struct wire_block_out *b, struct buf *out, struct err *e)
{
    int rc = 0;

    buf_clear(out);
    for (uint32_t j = 0; j < b->layout->n && !rc; j++)
        if (!is_sketch(b, j) && !b->columns[j].mode)
            rc = put_int_series(b, j, out, e);
    return rc;
}

static int put_real_series(const struct wire_block_out *b, uint32_t j, struct buf *out, struct err *e)
{
    bool counter = b->layout->series[j].kind == WIRE_COUNTER;
    uint64_t before = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        double v = b->columns[j].reals[i];
        uint8_t le[8];
        uint64_t w;

        if (!is_present(b, j, i))
            continue;
        if (counter && !(v >= 0 && v <= DBL_MAX))
            return bad_series(e, &b->layout->series[j], "a counter is negative or not finite");
        memcpy(&w, &v, sizeof w);
        for (unsigned k = 0; k < 8; k++)
            le[k] = (uint8_t)((w ^ before) >> (8 * k));
        before = w;
        buf_put(out, le, sizeof le);
    }
    return 0;
}

int wire_put_reals(const struct wire_block_out *b, struct buf *out, struct err *e)
{
    int rc = 0;

    buf_clear(out);
    for (uint32_t j = 0; j < b->layout->n && !rc; j++)
        if (!is_sketch(b, j) && b->columns[j].mode)
            rc = put_real_series(b, j, out, e);
    return rc;
}

int wire_put_sketches(const struct wire_block_out *b, struct buf *out, struct err *e)
{
    buf_clear(out);
    for (uint32_t j = 0; j < b->layout->n; j++) {
        for (uint32_t i = 0; is_sketch(b, j) && i < b->n; i++) {
            struct bytes s = b->columns[j].sketches[i];
            size_t used;

            if (!is_present(b, j, i))
                continue;
            if (sketch_check(s.p, s.n, &used, e))
                return err_prefix(e, "series \"%.*s\"", WIRE_SHOW(b->layout->series[j].name));
            if (used != s.n)
                return bad_series(e, &b->layout->series[j], "bytes behind a sketch");
            buf_put(out, s.p, s.n);
        }
    }
    return 0;
}
