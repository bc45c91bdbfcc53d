/* The content of a block against its schema. Everything is counted against the bytes before memory is taken
 * for it: the bitmaps tell how many values there must be, an integer takes at least one byte, a real exactly
 * eight, a sketch at least 29. */
#include "common/wire/column.h"
#include "common/wire/text.h"

#include <float.h>
#include <string.h>

#include "common/sketch/sketch.h"

struct job {
    const struct wire_block *b;
    const struct wire_schema *s;
    struct arena *a;
    struct wire_values *out;
    uint64_t ints, reals, sketches; /* values present of each sort */
    enum wire_reason *reason;
    struct err *e;
};

static int bad_block(const struct job *j, const char *what)
{
    return wire_fail(j->reason, WIRE_BLOCK, j->e, ERR_MALFORMED, "block: %s", what);
}

static int bad_series(const struct job *j, const struct wire_series *s, const char *what)
{
    return wire_fail(j->reason, WIRE_BLOCK, j->e, ERR_MALFORMED, "block: series \"%.*s\": %s",
                     WIRE_SHOW(s->name), what);
}

/* Ticks present in a bitmap of n bits; UINT32_MAX when a padding bit is set. */
static uint32_t count_bits(const uint8_t *bits, uint32_t n)
{
    uint32_t count = 0, bytes = (n + 7) / 8;

    if (n % 8 && bits[bytes - 1] >> (n % 8))
        return UINT32_MAX;
    for (uint32_t i = 0; i < bytes; i++)
        count += (uint32_t)__builtin_popcount(bits[i]);
    return count;
}

/* Presence and mode of every series: fills out->count and
 * out->present, and counts the values of each sort. */
static int read_layout(struct job *j)
{
    const struct wire_block *b = j->b;
    size_t stride = (b->n + 7) / 8, k = 0;

    if (b->mode.n != j->s->n - j->s->n_sketches)
        return bad_block(j, "mode has not one byte for each series that is no sketch");
    if (b->present.p && b->present.n != stride * j->s->n)
        return bad_block(j, "present has not one bitmap for each series");
    for (uint32_t i = 0; i < j->s->n; i++) {
        const uint8_t *bits = b->present.p ? b->present.p + i * stride : NULL;
        uint32_t count = bits ? count_bits(bits, b->n) : b->n;

        if (count == UINT32_MAX)
            return bad_series(j, &j->s->series[i], "a padding bit of present is set");
        j->out->count[i] = count;
        j->out->present[i] = count == b->n ? NULL : bits;
        if (j->s->series[i].kind == WIRE_SKETCH) {
            j->sketches += count;
            continue;
        }
        if (b->mode.p[k] > 1)
            return bad_series(j, &j->s->series[i], "its mode is neither 0 nor 1");
        if (b->mode.p[k++])
            j->reals += count;
        else
            j->ints += count;
    }
    return 0;
}

static int check_counts(const struct job *j, uint64_t *values)
{
    uint64_t all = j->ints + j->reals + j->sketches;

    if (*values > WIRE_MAX_VALUES || all > WIRE_MAX_VALUES - *values)
        return wire_fail(j->reason, WIRE_LIMIT, j->e, ERR_LIMIT, "more than %d values in a batch",
                         WIRE_MAX_VALUES);
    *values += all;
    if (j->ints > j->b->ints.n)
        return bad_block(j, "ints is short");
    if (j->reals * 8 != j->b->reals.n)
        return bad_block(j, "reals has not eight bytes for each value");
    if (j->sketches * SKETCH_LEAST > j->b->sketches.n)
        return wire_fail(j->reason, WIRE_SKETCH_REASON, j->e, ERR_MALFORMED, "block: sketches is short");
    return 0;
}

static int read_times(struct job *j)
{
    const struct wire_block *b = j->b;
    const uint8_t *p = b->jitter.p, *end = p ? p + b->jitter.n : NULL;
    int64_t *t = arena_array(j->a, b->n, sizeof *t);

    if (!t)
        return wire_no_memory(j->reason, j->e);
    for (uint32_t i = 0; i < b->n; i++) {
        uint64_t u = 0;

        if (p && !varint_get(&p, end, &u))
            return bad_block(j, "jitter is short, or no varint");
        if (u > 2 * (uint64_t)JITTER_MAX) /* zigzag of ±60 000 is at most 120 000 */
            return bad_block(j, "jitter of more than 60 s");
        if (!tick_time(b->t0, b->dt, i, unzigzag(u), &t[i]))
            return bad_block(j, "a tick time is outside int64");
        if (i && t[i] <= t[i - 1])
            return bad_block(j, "tick times do not increase");
    }
    if (p != end)
        return bad_block(j, "jitter is too long");
    j->out->times = t;
    j->out->n = b->n;
    return 0;
}

/* m integers of one series, unscaled, into `out`, which holds doubles. Eight differences of one byte are
 * taken at once, eight that are 0 in one step: on real hosts nine samples in ten do not differ. *sign
 * collects the sign bits. Returns the end, NULL when the bytes end or break the format. */
static const uint8_t *read_ints(const uint8_t *p, const uint8_t *end, double *out, uint32_t m, uint64_t *sign)
{
    uint64_t acc = 0, w, all = 0;

    for (uint32_t k = 0; k < m;) {
        if (m - k < 8 || end - p < 8 || (memcpy(&w, p, 8), (w & 0x8080808080808080ULL) != 0)) {
            if (p < end && *p < 0x80)
                w = *p++;
            else if (!varint_get_fast(&p, end, &w))
                return NULL;
            acc += (uint64_t)unzigzag(w);
            all |= acc;
            out[k++] = (double)(int64_t)acc;
            continue;
        }
        for (unsigned i = 0; i < 8; i++) {
            acc += w ? (uint64_t)unzigzag(p[i]) : 0;
            all |= acc;
            out[k + i] = (double)(int64_t)acc;
        }
        k += 8;
        p += 8;
    }
    *sign = all;
    return p;
}

/* Two roundings, as the page says. Most series are in their unit already. */
static void scale(double *v, uint32_t m, const struct wire_series *s)
{
    double mul = s->mul, div = s->div;

    if (s->mul == 1 && s->div == 1)
        return;
    for (uint32_t k = 0; k < m; k++)
        v[k] = v[k] * mul / div;
}

/* m float64 of one series; false when a counter is negative or not finite. */
static bool read_reals(const uint8_t *p, double *out, uint32_t m, bool counter)
{
    uint64_t acc = 0;
    bool ok = true;

    for (uint32_t k = 0; k < m; k++, p += 8) {
        acc ^= load_le64(p);
        memcpy(&out[k], &acc, sizeof acc);
        ok &= out[k] >= 0 && out[k] <= DBL_MAX;
    }
    return ok || !counter;
}

static int read_numbers(struct job *j)
{
    const uint8_t *ip = j->b->ints.p, *rp = j->b->reals.p, *end = ip + j->b->ints.n, *mode = j->b->mode.p;
    double *to = arena_array(j->a, (size_t)(j->ints + j->reals), sizeof *to);

    if (!to)
        return wire_no_memory(j->reason, j->e);
    for (uint32_t i = 0; i < j->s->n; i++) {
        const struct wire_series *s = &j->s->series[i];
        uint32_t m = j->out->count[i];
        uint64_t sign = 0;

        if (s->kind == WIRE_SKETCH)
            continue;
        j->out->num[i] = to;
        if (*mode++) {
            if (!read_reals(rp, to, m, s->kind == WIRE_COUNTER))
                return bad_series(j, s, "a counter is negative or not finite");
            rp += (size_t)m * 8;
        } else {
            ip = read_ints(ip, end, to, m, &sign);
            if (!ip)
                return bad_series(j, s, "ints is short, or no varint");
            if (s->kind == WIRE_COUNTER && sign >> 63)
                return bad_series(j, s, "a counter is negative");
            scale(to, m, s);
        }
        to += m;
    }
    return ip == end ? 0 : bad_block(j, "ints is too long");
}

static int read_sketches(struct job *j)
{
    const uint8_t *p = j->b->sketches.p;
    size_t left = j->b->sketches.n, used;
    struct bytes *to = arena_array(j->a, (size_t)j->sketches, sizeof *to);

    if (!to)
        return wire_no_memory(j->reason, j->e);
    for (uint32_t i = 0; i < j->s->n; i++) {
        const struct wire_series *s = &j->s->series[i];

        if (s->kind != WIRE_SKETCH)
            continue;
        j->out->sketch[i] = to;
        for (uint32_t k = 0; k < j->out->count[i]; k++) {
            if (sketch_check(p, left, &used, j->e)) {
                (void)err_prefix(j->e, "block: series \"%.*s\"", WIRE_SHOW(s->name));
                *j->reason = WIRE_SKETCH_REASON;
                return ERR_MALFORMED;
            }
            *to++ = (struct bytes){p, used};
            p += used;
            left -= used;
        }
    }
    return left ? wire_fail(j->reason, WIRE_SKETCH_REASON, j->e, ERR_MALFORMED, "block: sketches is too long")
                : 0;
}

int wire_block_decode(const struct wire_block *b, const struct wire_schema *s, struct arena *a,
                      struct wire_values *out, uint64_t *values, enum wire_reason *reason, struct err *e)
{
    struct job j = {.b = b, .s = s, .a = a, .out = out, .reason = reason, .e = e};
    int rc;

    *out = (struct wire_values){0};
    if (b->bad)
        return wire_fail(reason, b->bad_reason, e, b->bad_reason == WIRE_LIMIT ? ERR_LIMIT : ERR_MALFORMED,
                         "block: key %s is missing, of a wrong type or out of range", b->bad);
    out->count = arena_array(a, s->n, sizeof *out->count);
    out->num = arena_array(a, s->n, sizeof *out->num);
    out->sketch = arena_array(a, s->n, sizeof *out->sketch);
    out->present = arena_array(a, s->n, sizeof *out->present);
    if (!out->count || !out->num || !out->sketch || !out->present)
        return wire_no_memory(reason, e);
    rc = read_layout(&j);
    if (!rc)
        rc = check_counts(&j, values);
    if (!rc)
        rc = read_times(&j);
    if (!rc)
        rc = read_numbers(&j);
    return rc ? rc : read_sketches(&j);
}

static bool share_a_tick(const struct wire_values *a, const struct wire_values *b)
{
    uint32_t i = 0, k = 0;

    if (!a->n || !b->n || a->times[0] > b->times[b->n - 1] || b->times[0] > a->times[a->n - 1])
        return false;
    while (i < a->n && k < b->n) {
        if (a->times[i] == b->times[k])
            return true;
        if (a->times[i] < b->times[k])
            i++;
        else
            k++;
    }
    return false;
}

int wire_batch_check_ticks(const struct wire_batch *b, const struct wire_values *const *values,
                           enum wire_reason *reason, struct err *e)
{
    for (uint32_t i = 1; i < b->n_blocks; i++)
        for (uint32_t k = 0; k < i; k++)
            if (!memcmp(&b->blocks[i].schema, &b->blocks[k].schema, sizeof b->blocks[i].schema) &&
                share_a_tick(values[i], values[k]))
                return wire_fail(reason, WIRE_BLOCK, e, ERR_MALFORMED,
                                 "blocks %u and %u have one schema and share a tick", k + 1, i + 1);
    return 0;
}
