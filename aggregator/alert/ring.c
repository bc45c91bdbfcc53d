/* Rings of steps: see ring.h. */
#include "aggregator/alert/ring.h"

#include <math.h>
#include <string.h>

enum { ROOM_FIRST = 8, ROOM_AHEAD = 8, OFF_UNITS = 60000 };

/* Bytes of a column's entry by kind; 0: it has none. The widest come first, so that each is aligned. */
static const uint8_t widths[][COLUMNS] = {
    [FACT_UNKNOWN] = {0},
    [FACT_GAUGE] = {8, 8, 8, 8, 0, 4, 2, 2, 1},
    [FACT_COUNTER] = {8, 0, 0, 8, 0, 4, 2, 2, 1},
    [FACT_SKETCH] = {8, 8, 8, 0, 8, 8, 2, 2, 1},
};
static const uint8_t before[][COLUMNS + 1] = {
    [FACT_UNKNOWN] = {0},
    [FACT_GAUGE] = {0, 8, 16, 24, 32, 32, 36, 38, 40, 41},
    [FACT_COUNTER] = {0, 8, 8, 8, 16, 16, 20, 22, 24, 25},
    [FACT_SKETCH] = {0, 8, 16, 24, 24, 32, 40, 42, 44, 45},
};

int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

size_t ring_slot_bytes(enum fact_kind kind)
{
    return before[kind][COLUMNS];
}

static void *column(const struct ring *r, enum fact_kind kind, enum column c)
{
    return r->cells + (size_t)r->room * before[kind][c];
}

static double *doubles(const struct ring *r, enum fact_kind kind, enum column c)
{
    return column(r, kind, c);
}

static uint32_t slot_of(const struct ring *r, int64_t step)
{
    uint32_t s = r->head + (uint32_t)(step - r->first);

    return s >= r->room ? s - r->room : s;
}

struct blob **ring_blob(const struct ring *r, uint32_t slot)
{
    return (struct blob **)column(r, FACT_SKETCH, C_BLOB) + slot;
}

static void blank_extremes(const struct ring *r, enum fact_kind kind, uint32_t from, uint32_t to)
{
    double *min = doubles(r, kind, C_MIN), *max = doubles(r, kind, C_MAX);

    if (!widths[kind][C_MIN])
        return;
    for (uint32_t i = from; i < to; i++) {
        min[i] = (double)INFINITY;
        max[i] = -(double)INFINITY;
    }
}

static void blank(struct ring *r, enum fact_kind kind, struct mem *m, uint32_t slot)
{
    if (kind == FACT_SKETCH) {
        struct blob *b = *ring_blob(r, slot);

        if (b)
            mem_free(m, b, sizeof *b + b->n);
    }
    for (int c = 0; c < COLUMNS; c++) {
        size_t w = widths[kind][c];

        memset(r->cells + (size_t)r->room * before[kind][c] + slot * w, 0, w);
    }
    blank_extremes(r, kind, slot, slot + 1);
}

static void drop_front(struct ring *r, enum fact_kind kind, struct mem *m, int64_t count)
{
    for (; count > 0 && r->n; count--) {
        blank(r, kind, m, r->head);
        r->head = r->head + 1 == r->room ? 0 : r->head + 1;
        r->first++;
        r->n--;
    }
}

static int grow(struct ring *r, const struct shape *sh, struct mem *m, uint32_t need)
{
    size_t each = ring_slot_bytes(sh->kind);
    struct ring big = {.first = r->first, .n = r->n, .room = r->room ? r->room : ROOM_FIRST};
    uint32_t front = r->room - r->head < r->n ? r->room - r->head : r->n; /* up to the end of the array */

    while (big.room < need)
        big.room = big.room < sh->base ? big.room * 2 : big.room + ROOM_AHEAD;
    if (r->room < sh->base && big.room > sh->base && need <= sh->base)
        big.room = sh->base;
    if (big.room > sh->base + ROOM_AHEAD && sh->base + ROOM_AHEAD >= need)
        big.room = sh->base + ROOM_AHEAD;
    big.cells = mem_array(m, big.room, each);
    if (!big.cells)
        return ERR_NOMEM;
    for (int c = 0; r->n && c < COLUMNS; c++) {
        size_t w = widths[sh->kind][c];
        uint8_t *to = big.cells + (size_t)big.room * before[sh->kind][c];
        const uint8_t *from = r->cells + (size_t)r->room * before[sh->kind][c];

        memcpy(to, from + r->head * w, front * w);
        memcpy(to + front * w, from, (r->n - front) * w);
    }
    blank_extremes(&big, sh->kind, big.n, big.room);
    mem_free(m, r->cells, r->room * each);
    *r = big;
    return 0;
}

int ring_make(struct ring *r, const struct shape *sh, struct mem *m, int64_t step, uint32_t *slot)
{
    const int64_t most = (int64_t)sh->base + ROOM_AHEAD;
    int64_t low, high;

    if (step < sh->oldest)
        return ERR_RANGE;
    if (r->n && r->first < sh->oldest)
        drop_front(r, sh->kind, m, sh->oldest - r->first);
    if (r->n && step - r->first >= most)
        drop_front(r, sh->kind, m, step - r->first - most + 1);
    low = r->n && r->first < step ? r->first : step;
    high = r->n && r->first + r->n - 1 > step ? r->first + r->n - 1 : step;
    if (high - low >= most)
        return ERR_RANGE;
    if (high - low >= r->room && grow(r, sh, m, (uint32_t)(high - low + 1)))
        return ERR_NOMEM;
    if (r->n && low < r->first) {
        uint32_t back = (uint32_t)(r->first - low);

        r->head = r->head >= back ? r->head - back : r->head + r->room - back;
    }
    r->first = low;
    r->n = (uint32_t)(high - low + 1);
    *slot = slot_of(r, step);
    return 0;
}

void ring_free(struct ring *r, enum fact_kind kind, struct mem *m)
{
    drop_front(r, kind, m, r->n);
    mem_free(m, r->cells, r->room * ring_slot_bytes(kind));
    *r = (struct ring){0};
}

/* ---- one slot ---- */

static uint64_t slot_n(const struct ring *r, enum fact_kind kind, uint32_t slot)
{
    return kind == FACT_SKETCH ? ((const uint64_t *)column(r, kind, C_N))[slot]
                               : ((const uint32_t *)column(r, kind, C_N))[slot];
}

static void slot_set_n(struct ring *r, enum fact_kind kind, uint32_t slot, uint64_t n)
{
    if (kind == FACT_SKETCH)
        ((uint64_t *)column(r, kind, C_N))[slot] = n;
    else
        ((uint32_t *)column(r, kind, C_N))[slot] = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* The place of a time within its step, 1 … OFF_UNITS: whole milliseconds up to a minute's step. */
static uint16_t off_of(int64_t t, int64_t start, int64_t length)
{
    int64_t d = t - start;

    if (length > OFF_UNITS)
        d = d / (length / OFF_UNITS);
    if (d > length || d > OFF_UNITS)
        d = length > OFF_UNITS ? OFF_UNITS : length;
    return (uint16_t)(d < 1 ? 1 : d);
}

static int64_t off_time(uint16_t off, int64_t start, int64_t length)
{
    return start + (length > OFF_UNITS ? off * (length / OFF_UNITS) : off);
}

static void slot_load(const struct ring *r, enum fact_kind kind, int64_t length, int64_t start, uint32_t slot,
                      struct fact_bucket *b)
{
    uint16_t off = ((const uint16_t *)column(r, kind, C_OFF))[slot];

    *b = (struct fact_bucket){
        .n = slot_n(r, kind, slot),
        .last_t = off ? off_time(off, start, length) : 0,
        .sum = doubles(r, kind, C_SUM)[slot],
        .series = ((const uint16_t *)column(r, kind, C_SERIES))[slot],
    };
    if (widths[kind][C_LAST])
        b->last = doubles(r, kind, C_LAST)[slot];
    if (widths[kind][C_MIN] && b->n) {
        b->min = doubles(r, kind, C_MIN)[slot];
        b->max = doubles(r, kind, C_MAX)[slot];
    }
}

void ring_gain(struct ring *r, const struct shape *sh, uint32_t slot, int64_t start,
               const struct fact_bucket *gain, bool same_step, bool *fresh)
{
    uint16_t *off = (uint16_t *)column(r, sh->kind, C_OFF) + slot;
    uint16_t *series = (uint16_t *)column(r, sh->kind, C_SERIES) + slot;
    struct fact_bucket b, g = *gain;

    slot_load(r, sh->kind, sh->length, start, slot, &b);
    *fresh = !b.n && g.n;
    if (g.n && g.last_t)
        g.last_t = off_time(off_of(g.last_t, start, sh->length), start, sh->length);
    if (same_step)
        fact_add(sh->kind, &b, &g);
    else
        fact_merge(sh->kind, &b, &g);
    slot_set_n(r, sh->kind, slot, b.n);
    doubles(r, sh->kind, C_SUM)[slot] = b.sum;
    if (b.last_t)
        *off = off_of(b.last_t, start, sh->length);
    *series = b.series > UINT16_MAX ? UINT16_MAX : (uint16_t)b.series;
    if (widths[sh->kind][C_LAST])
        doubles(r, sh->kind, C_LAST)[slot] = b.last;
    if (widths[sh->kind][C_MIN] && b.n) {
        doubles(r, sh->kind, C_MIN)[slot] = b.min;
        doubles(r, sh->kind, C_MAX)[slot] = b.max;
    }
}

void ring_hold(struct ring *r, enum fact_kind kind, uint32_t slot, uint32_t most, bool all)
{
    uint8_t *held = (uint8_t *)column(r, kind, C_HELD) + slot;

    if (all)
        *held = (uint8_t)most;
    else if (*held < most)
        ++*held;
}

bool ring_read(const struct ring *r, enum fact_kind kind, int64_t length, int64_t step,
               struct fact_bucket *out, uint32_t *slot)
{
    if (!r->n || step < r->first || step >= r->first + r->n)
        return false;
    *slot = slot_of(r, step);
    slot_load(r, kind, length, step * length, *slot, out);
    return out->n || out->sum != 0;
}

/* ---- adding up ---- */

static double sum_of(const double *v, uint32_t n)
{
    double a = 0, b = 0, c = 0, d = 0;
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) {
        a += v[i];
        b += v[i + 1];
        c += v[i + 2];
        d += v[i + 3];
    }
    for (; i < n; i++)
        a += v[i];
    return (a + b) + (c + d);
}

static double min_of(const double *v, uint32_t n, double m)
{
    double k = m;
    uint32_t i = 0;

    for (; i + 2 <= n; i += 2) {
        m = v[i] < m ? v[i] : m;
        k = v[i + 1] < k ? v[i + 1] : k;
    }
    if (i < n)
        m = v[i] < m ? v[i] : m;
    return k < m ? k : m;
}

static double max_of(const double *v, uint32_t n, double m)
{
    double k = m;
    uint32_t i = 0;

    for (; i + 2 <= n; i += 2) {
        m = v[i] > m ? v[i] : m;
        k = v[i + 1] > k ? v[i + 1] : k;
    }
    if (i < n)
        m = v[i] > m ? v[i] : m;
    return k > m ? k : m;
}

static void count_run(const struct ring *r, enum fact_kind kind, uint32_t slot, uint32_t n, bool by_held,
                      struct fact_bucket *out, uint32_t *held)
{
    const uint16_t *series = (const uint16_t *)column(r, kind, C_SERIES) + slot;
    const uint8_t *h = (const uint8_t *)column(r, kind, C_HELD) + slot;
    const uint32_t *narrow = (const uint32_t *)column(r, kind, C_N) + slot;
    const uint64_t *wide = (const uint64_t *)column(r, kind, C_N) + slot;
    uint32_t most = out->series, with = 0, finer = 0;
    uint64_t total = 0;

    for (uint32_t i = 0; i < n; i++)
        most = series[i] > most ? series[i] : most;
    for (uint32_t i = 0; kind == FACT_SKETCH && i < n; i++) {
        total += wide[i];
        with += wide[i] != 0;
    }
    for (uint32_t i = 0; kind != FACT_SKETCH && i < n; i++) {
        total += narrow[i];
        with += narrow[i] != 0;
    }
    for (uint32_t i = 0; by_held && i < n; i++)
        finer += h[i];
    out->series = most;
    out->n += total;
    *held += by_held ? finer : with;
}

/* The newest value of the run replaces what out has. */
static void last_run(const struct ring *r, enum fact_kind kind, int64_t length, int64_t step, uint32_t slot,
                     uint32_t n, struct fact_bucket *out)
{
    const uint16_t *off = (const uint16_t *)column(r, kind, C_OFF) + slot;

    while (n-- > 0) {
        if (!off[n])
            continue;
        out->last_t = off_time(off[n], (step + n) * length, length);
        if (widths[kind][C_LAST])
            out->last = doubles(r, kind, C_LAST)[slot + n];
        return;
    }
}

void ring_sum(const struct ring *r, enum fact_kind kind, int64_t length, int64_t from, int64_t to,
              bool by_held, struct fact_bucket *out, uint32_t *held)
{
    int64_t end = r->first + r->n;

    from = from < r->first ? r->first : from;
    to = to > end ? end : to;
    while (r->n && from < to) { /* at most twice: to the end of the array, and from its beginning */
        uint32_t slot = slot_of(r, from), n = r->room - slot;

        if (n > to - from)
            n = (uint32_t)(to - from);
        out->sum += sum_of(doubles(r, kind, C_SUM) + slot, n);
        if (widths[kind][C_MIN]) {
            out->min = min_of(doubles(r, kind, C_MIN) + slot, n, out->min);
            out->max = max_of(doubles(r, kind, C_MAX) + slot, n, out->max);
        }
        count_run(r, kind, slot, n, by_held, out, held);
        last_run(r, kind, length, from, slot, n, out);
        from += n;
    }
}
