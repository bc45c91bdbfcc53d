/* Any bytes: reading and checking agree, what was read is written and read as the same, and two of them merge
 * to the same whichever comes first. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/sketch/sketch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
    if (!truth)
        abort();
}

static void same_range(const struct sketch_range *a, const struct sketch_range *b)
{
    must(a->n == b->n);
    if (!a->n)
        return;
    must(a->offset == b->offset && !memcmp(a->counts, b->counts, a->n * sizeof *a->counts));
    must(a->counts[0] && a->counts[a->n - 1] && a->n <= SKETCH_SLOTS);
}

static void same(const struct sketch *a, const struct sketch *b)
{
    must(a->scale == b->scale && a->count == b->count && a->zero_count == b->zero_count);
    must(a->min == b->min && a->max == b->max && sketch_sum(a) == sketch_sum(b));
    same_range(&a->pos, &b->pos);
    same_range(&a->neg, &b->neg);
}

static void round_trip(const struct sketch *s)
{
    struct sketch t;
    struct buf b;
    size_t used = 0;

    sketch_init(&t, NULL);
    buf_init(&b, NULL, 1 << 17);
    must(!sketch_encode(s, &b));
    must(!sketch_decode(&t, b.data, b.len, &used, NULL));
    must(used == b.len);
    same(s, &t);
    sketch_free(&t);
    buf_free(&b);
}

static void ask(const struct sketch *s)
{
    static const double q[] = {0, 0.001, 0.25, 0.5, 0.9, 0.99, 1};
    double v[7];

    sketch_quantiles(s, q, v, 7);
    for (int i = 0; i < 7; i++)
        must(s->count ? v[i] >= s->min && v[i] <= s->max && (!i || v[i] >= v[i - 1]) : isnan(v[i]));
    must(sketch_count_le(s, 1) <= sketch_count_le(s, 2));
    must(sketch_count_le(s, -1) <= sketch_count_le(s, 0));
    must(sketch_count_le(s, (double)INFINITY) == s->count);
}

static void merge_both_ways(const struct sketch *a, const struct sketch *b)
{
    struct sketch ab, ba;
    int rc;

    sketch_init(&ab, NULL);
    sketch_init(&ba, NULL);
    must(!sketch_copy(&ab, a) && !sketch_copy(&ba, b));
    rc = sketch_merge(&ab, b);
    must(sketch_merge(&ba, a) == rc && (!rc || rc == ERR_LIMIT));
    if (rc) {
        same(&ab, a);
        same(&ba, b);
    } else {
        same(&ab, &ba);
        must(ab.count == a->count + b->count);
        round_trip(&ab);
        ask(&ab);
    }
    sketch_free(&ab);
    sketch_free(&ba);
}

/* Reads one sketch; the number of bytes it took, 0 when refused. */
static size_t take(struct sketch *s, const uint8_t *data, size_t size)
{
    size_t used = 0, checked = 0;
    struct err e = {0}, f = {0};
    int rc = sketch_decode(s, data, size, &used, &e);

    must(sketch_check(data, size, &checked, &f) == rc && checked == used && !strcmp(e.text, f.text));
    must(!rc || (rc == ERR_MALFORMED && !s->count && !s->pos.n && !s->neg.n));
    if (!rc) {
        round_trip(s);
        ask(s);
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sketch a, b;
    size_t used;

    sketch_init(&a, NULL);
    sketch_init(&b, NULL);
    used = take(&a, data, size);
    if (used && take(&b, data + used, size - used))
        merge_both_ways(&a, &b);
    sketch_free(&a);
    sketch_free(&b);
    return 0;
}
