/* Readings of counters: what each adds, and to which time. See track.h. */
#include <math.h>
#include <string.h>

#include "aggregator/series/track.h"
#include "common/base/varint.h"

/* No batch of the agent can lie between two readings. */
static bool adjacent(const struct point *a, const struct point *b)
{
    return a->epoch == b->epoch && (a->seq == b->seq || a->seq + 1 == b->seq || b->seq + 1 == a->seq);
}

/* The increase from a to b, and since when it came about. */
static double increase(const struct point *a, const struct point *b, int64_t *from)
{
    *from = a->at;
    if (b->start != INT64_MIN && b->start > a->t) {
        *from = b->start < b->at ? b->start : b->at;
        if (*from < a->at)
            *from = a->at;
        return b->v;
    }
    return b->v < a->v ? b->v : b->v - a->v;
}

/* upto: the end of the interval that is cut, or of this one */
static void put(const struct point *a, const struct point *b, int64_t upto, int sign, reading_spread fn,
                void *arg)
{
    int64_t from;
    double v = increase(a, b, &from);

    if (v != 0)
        fn(arg, from, b->at, upto, v, sign);
}

static void gap_close(struct series_set *s, struct reading *r, uint32_t i)
{
    r->n_gaps--;
    memmove(r->gaps + i, r->gaps + i + 1, (r->n_gaps - i) * sizeof *r->gaps);
    if (r->n_gaps == 0) {
        mem_free(s->mem, r->gaps, GAPS_MOST * sizeof *r->gaps);
        r->gaps = NULL;
    }
}

static void gap_open(struct series_set *s, struct reading *r, const struct point *a, const struct point *b)
{
    struct tracking *t = &s->tracking;
    uint32_t i;

    if (!r->gaps && !(r->gaps = mem_array(s->mem, GAPS_MOST, sizeof *r->gaps))) {
        t->lost[TRACK_MEMORY]++;
        return;
    }
    if (r->n_gaps == GAPS_MOST) {
        t->gaps_closed++;
        if (a->t < r->gaps[0].a.t)
            return; /* it is the oldest itself */
        gap_close(s, r, 0);
    }
    for (i = r->n_gaps; i > 0 && r->gaps[i - 1].a.t > a->t; i--)
        r->gaps[i] = r->gaps[i - 1];
    r->gaps[i] = (struct gap){*a, *b};
    r->n_gaps++;
}

/* What was left open for the rest of a batch, once another one is there. */
static void gaps_settle(struct series_set *s, struct reading *r, const struct point *p)
{
    for (uint32_t i = r->n_gaps; i-- > 0;) {
        const struct gap *g = &r->gaps[i];

        if (adjacent(&g->a, &g->b) && (g->a.seq != p->seq || g->a.epoch != p->epoch))
            gap_close(s, r, i);
    }
}

/* A late reading: into the gap that it lies in. Behind it there may be more of its batch. */
static void cut(struct series_set *s, struct reading *r, const struct point *p, reading_spread fn, void *arg)
{
    for (uint32_t i = 0; i < r->n_gaps; i++) {
        struct gap g = r->gaps[i];

        if (p->t <= g.a.t || p->t >= g.b.t)
            continue;
        put(&g.a, &g.b, g.b.at, -1, fn, arg);
        put(&g.a, p, g.b.at, 1, fn, arg);
        put(p, &g.b, g.b.at, 1, fn, arg);
        s->tracking.corrected++;
        gap_close(s, r, i);
        if (!adjacent(&g.a, p))
            gap_open(s, r, &g.a, p);
        if (g.b.seq != p->seq || g.b.epoch != p->epoch)
            gap_open(s, r, p, &g.b);
        return;
    }
    s->tracking.lost[TRACK_LATE] += p->t != r->last.t && p->t != r->first.t;
}

bool reading_take(struct series_set *s, struct reading *r, const struct point *p, reading_spread fn,
                  void *arg)
{
    if (r->first.t == INT64_MIN) {
        r->first = r->last = *p;
        return true;
    }
    if (r->n_gaps)
        gaps_settle(s, r, p);
    if (p->t > r->last.t) {
        put(&r->last, p, p->at, 1, fn, arg);
        if (!adjacent(&r->last, p))
            gap_open(s, r, &r->last, p);
        r->last = *p;
        return true;
    }
    if (p->t < r->first.t) {
        put(p, &r->first, r->first.at, 1, fn, arg);
        gap_open(s, r, p, &r->first);
        r->first = *p;
    } else {
        cut(s, r, p, fn, arg);
    }
    return false;
}

/* ---- which series they are of ---- */

static struct wire_hash id_of(struct series_set *s, const struct series *x)
{
    struct buf *b = &s->value;

    buf_clear(b);
    buf_put(b, x->metric->name->text, x->metric->name->n + 1);
    for (uint32_t i = 0; i < x->set->desc.n_labels; i++) {
        const struct label *l = &x->set->desc.labels[i];

        buf_put(b, l->name, strlen(l->name) + 1);
        buf_put(b, l->value, strlen(l->value) + 1);
    }
    return wire_hash_of(b->data, b->len);
}

static struct reading *reading_make(struct series_set *s, struct agent *a, const struct wire_hash *id)
{
    struct reading *r = mem_alloc(s->mem, sizeof *r);

    if (!r)
        return NULL;
    r->id = *id;
    r->first.t = r->last.t = INT64_MIN;
    if (map_put(&a->readings, &r->id, sizeof r->id, r) != 0) {
        mem_free(s->mem, r, sizeof *r);
        return NULL;
    }
    s->tracking.n_readings++;
    return r;
}

struct reading *reading_get(struct series_set *s, struct series *x)
{
    struct wire_hash id;

    if (x->reading)
        return x->reading;
    id = id_of(s, x);
    x->reading = map_get(&x->agent->readings, &id, sizeof id);
    if (!x->reading)
        x->reading = reading_make(s, x->agent, &id);
    if (x->reading)
        x->reading->refs++;
    return x->reading;
}

void reading_drop(struct series_set *s, struct series *x)
{
    (void)s;
    if (x->reading)
        x->reading->refs--;
    x->reading = NULL;
}

static void reading_free(struct series_set *s, struct reading *r)
{
    mem_free(s->mem, r->gaps, GAPS_MOST * sizeof *r->gaps);
    mem_free(s->mem, r, sizeof *r);
    s->tracking.n_readings--;
}

void readings_free(struct series_set *s, struct agent *a)
{
    struct reading *r;
    size_t at = 0;

    while ((r = map_next(&a->readings, &at)))
        reading_free(s, r);
    map_free(&a->readings);
}

/* Forgets those that nobody refers to: the old ones, or all when there are too many. */
void readings_advance(struct series_set *s, struct agent *a, int64_t before)
{
    bool many = a->readings.count > 2 * (uint64_t)s->quota + BINDING_SLACK;
    struct reading *gone[64], *r;
    size_t at, n;

    do {
        n = 0;
        at = 0;
        while (n < sizeof gone / sizeof gone[0] && (r = map_next(&a->readings, &at))) {
            if (r->refs == 0 && (many || r->last.at < before))
                gone[n++] = r;
        }
        for (size_t i = 0; i < n; i++) {
            map_del(&a->readings, &gone[i]->id, sizeof gone[i]->id);
            reading_free(s, gone[i]);
            a->readings_state |= DIRTY;
        }
    } while (n == sizeof gone / sizeof gone[0]);
}

/* ---- stored: all of an agent in one record ---- */

/* Behind another one: as the difference to it. */
static void put_point(struct buf *b, const struct point *p, const struct point *base)
{
    uint64_t bits;

    memcpy(&bits, &p->v, sizeof bits);
    buf_varint(b, zigzag((int64_t)((uint64_t)p->t - (uint64_t)base->t)));
    buf_varint(b, zigzag((int64_t)((uint64_t)p->at - (uint64_t)p->t)));
    buf_varint(b, zigzag(p->start == INT64_MIN ? 0 : (int64_t)((uint64_t)p->t - (uint64_t)p->start + 1)));
    buf_varint(b, p->epoch - base->epoch);
    buf_varint(b, zigzag((int64_t)(p->seq - base->seq)));
    for (int i = 0; i < 8; i++)
        buf_u8(b, (uint8_t)(bits >> 8 * i));
}

int readings_encode(const struct agent *a, struct buf *out)
{
    const struct point none = {0};
    struct reading *r;
    size_t at = 0;

    buf_u8(out, READINGS_VERSION);
    while ((r = map_next(&a->readings, &at))) {
        if (r->first.t == INT64_MIN)
            continue;
        buf_put(out, &r->id, sizeof r->id);
        put_point(out, &r->last, &none);
        put_point(out, &r->first, &r->last);
        buf_varint(out, r->n_gaps);
        for (uint32_t i = 0; i < r->n_gaps; i++) {
            put_point(out, &r->gaps[i].a, &r->last);
            put_point(out, &r->gaps[i].b, &r->gaps[i].a);
        }
    }
    return out->full ? ERR_NOMEM : 0;
}

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

static int64_t get_int(struct in *in)
{
    return unzigzag(get_uint(in));
}

/* So that differences of two are none too large. */
static bool is_time(int64_t t)
{
    return t > -(INT64_C(1) << 60) && t < INT64_C(1) << 60;
}

static struct point get_point(struct in *in, const struct point *base)
{
    struct point p = {.t = (int64_t)((uint64_t)base->t + (uint64_t)get_int(in))};
    uint64_t bits = 0;
    int64_t start;

    p.at = (int64_t)((uint64_t)p.t + (uint64_t)get_int(in));
    start = get_int(in);
    p.start = start ? (int64_t)((uint64_t)p.t - (uint64_t)start + 1) : INT64_MIN;
    p.epoch = base->epoch + get_uint(in);
    p.seq = base->seq + (uint64_t)get_int(in);
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)get_byte(in) << 8 * i;
    memcpy(&p.v, &bits, sizeof p.v);
    in->bad = in->bad || !isfinite(p.v) || p.v < 0 || p.at > p.t || !is_time(p.t) || !is_time(p.at) ||
              (p.start != INT64_MIN && !is_time(p.start));
    return p;
}

static int get_gaps(struct series_set *s, struct reading *r, struct in *in, uint64_t n)
{
    if (n == 0)
        return 0;
    if (n > GAPS_MOST)
        return ERR_MALFORMED;
    r->gaps = mem_array(s->mem, GAPS_MOST, sizeof *r->gaps);
    if (!r->gaps)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        struct gap *g = &r->gaps[i];

        g->a = get_point(in, &r->last);
        g->b = get_point(in, &g->a);
        if (g->a.t >= g->b.t || (i && g->a.t < r->gaps[i - 1].b.t))
            in->bad = true;
    }
    r->n_gaps = (uint32_t)n;
    return in->bad ? ERR_MALFORMED : 0;
}

static int get_reading(struct series_set *s, struct agent *a, struct in *in)
{
    const struct point none = {0};
    struct wire_hash id;
    struct reading *r;
    int rc;

    if (in->bytes.n < sizeof id.b)
        return ERR_MALFORMED;
    memcpy(id.b, in->bytes.p, sizeof id.b);
    in->bytes.p += sizeof id.b;
    in->bytes.n -= sizeof id.b;
    if (map_get(&a->readings, &id, sizeof id))
        return ERR_MALFORMED;
    r = reading_make(s, a, &id);
    if (!r)
        return ERR_NOMEM;
    r->last = get_point(in, &none);
    r->first = get_point(in, &r->last);
    rc = get_gaps(s, r, in, get_uint(in));
    if (rc == 0 && (in->bad || r->first.t > r->last.t))
        rc = ERR_MALFORMED;
    if (rc != 0) { /* no reading rather than half of one */
        map_del(&a->readings, &r->id, sizeof r->id);
        reading_free(s, r);
    }
    return rc;
}

int readings_decode(struct series_set *s, struct agent *a, struct bytes bytes, struct err *e)
{
    struct in in = {bytes, false};
    int rc = get_byte(&in) == READINGS_VERSION ? 0 : ERR_MALFORMED;

    while (rc == 0 && in.bytes.n)
        rc = get_reading(s, a, &in);
    if (rc == ERR_NOMEM)
        return err_set(e, rc, "no memory for the stored readings of counters");
    return rc ? err_set(e, rc, "a stored record of counters' readings is broken") : 0;
}
