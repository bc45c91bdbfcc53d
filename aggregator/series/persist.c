/* What is stored: the state of percentiles, in the form that gives the same after a restart, and
 * what is known of each agent, so that one that is absent stays so. See keys.c for the keys.
 *
 * Every value begins with a version byte and the fingerprint of its section's definition (0 for an agent),
 * so that a changed section begins anew. Integers are little-endian; doubles are their bits. The
 * cumulative sketch is stored with its sum apart, in both halves, because the wire form rounds it. */
#include <string.h>

#include "aggregator/series/persist.h"
#include "aggregator/series/track.h"

static void put_u64(struct buf *b, uint64_t v)
{
    uint8_t p[8];

    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
    buf_put(b, p, sizeof p);
}

static void put_double(struct buf *b, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    put_u64(b, bits);
}

static struct buf *begin(struct series_set *s, const struct percentile *p)
{
    buf_clear(&s->value);
    buf_u8(&s->value, RECORD_VERSION);
    put_u64(&s->value, p->def->fingerprint);
    return &s->value;
}

struct taking {
    struct series_set *s;
    series_record fn;
    void *arg;
};

/* Hands out s->value under the key and notes it in *state. */
static int emit(struct taking *t, struct bytes key, uint8_t *state)
{
    int code;

    if (t->s->value.full || t->s->key.full)
        return ERR_NOMEM;
    code = t->fn(t->arg, key, buf_bytes(&t->s->value));
    if (code == 0)
        *state = (uint8_t)((*state & ~DIRTY) | TAKEN | STORED);
    return code;
}

static int take_total(struct taking *t, struct group *g)
{
    struct sketches *x = g->sketches;
    struct sketch plain = x->total;
    struct buf *b;

    if (!(x->state & DIRTY))
        return 0;
    b = begin(t->s, g->percentile);
    put_double(b, plain.sum);
    put_double(b, plain.sum_low);
    for (uint32_t i = 0; i < g->percentile->def->n_buckets; i++)
        put_u64(b, x->buckets[i]);
    plain.sum = plain.sum_low = 0;
    (void)sketch_encode(&plain, b);
    return emit(t, key_total(t->s, g), &x->state);
}

static int take_cell(struct taking *t, struct group *g, uint32_t w, uint32_t place)
{
    struct cell *c = &g->sketches->rings[w].cells[place];
    struct buf *b;

    if (!(c->state & DIRTY))
        return 0;
    if (c->k == INT64_MIN) { /* it ended before it was ever taken */
        c->state = (uint8_t)(c->state & ~DIRTY);
        return 0;
    }
    b = begin(t->s, g->percentile);
    put_u64(b, (uint64_t)c->k);
    if (c->live)
        (void)sketch_encode(c->live, b);
    else
        buf_put(b, c->packed, c->n_packed);
    return emit(t, key_cell(t->s, g, w, place), &c->state);
}

static int take_host(struct taking *t, struct group *g, struct host *h)
{
    struct buf *b;

    if (!(h->state & DIRTY))
        return 0;
    b = begin(t->s, g->percentile);
    for (uint32_t i = 0; i < g->percentile->def->n_tallies; i++) {
        if (!h->tallies[i].n)
            continue;
        put_u64(b, i);
        put_u64(b, (uint64_t)h->tallies[i].k);
        put_double(b, h->tallies[i].sum);
        put_u64(b, h->tallies[i].n);
    }
    return emit(t, key_host(t->s, g, h), &h->state);
}

static int take_group(struct taking *t, struct group *g)
{
    const struct percentile_def *d = g->percentile->def;
    int code = 0;

    for (uint32_t i = 0; i < g->n_hosts && !code; i++)
        code = take_host(t, g, g->hosts[i]);
    if (code || !g->sketches)
        return code;
    code = take_total(t, g);
    for (uint32_t w = 0; w < d->n_windows; w++) {
        for (uint32_t i = 0; i < d->windows[w].cells && !code; i++)
            code = take_cell(t, g, w, i);
    }
    return code;
}

static int take_percentile(struct taking *t, struct percentile *p)
{
    int code = 0;

    if (p->state & DIRTY) {
        buf_u8(begin(t->s, p), (uint8_t)p->mode);
        code = emit(t, key_mode(t->s, p), &p->state);
    }
    for (uint32_t i = 0; i < p->n && !code; i++)
        code = take_group(t, p->groups[i]);
    return code;
}

static void put_atom(struct buf *b, const struct atom *a)
{
    buf_put(b, a ? a->text : "", a ? a->n + 1 : 1);
}

static int take_agent(struct taking *t, struct agent *a)
{
    struct buf *b = &t->s->value;
    const uint64_t numbers[] = {(uint64_t)a->first_seen.ms,
                                (uint64_t)a->last_received.ms,
                                (uint64_t)a->last_sealed.ms,
                                (uint64_t)a->skew,
                                a->epoch,
                                a->seq,
                                a->batches,
                                a->values};

    if (!(a->state & DIRTY))
        return 0;
    buf_clear(b);
    buf_u8(b, RECORD_VERSION);
    put_u64(b, 0);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        put_u64(b, numbers[i]);
    for (int i = 0; i < WIRE_REFUSALS; i++)
        put_u64(b, a->refused[i]);
    put_atom(b, a->region);
    put_atom(b, a->env);
    put_atom(b, a->tenant);
    return emit(t, key_agent(t->s, a), &a->state);
}

static int take_readings(struct taking *t, struct agent *a)
{
    struct buf *b = &t->s->value;

    if (!(a->readings_state & DIRTY))
        return 0;
    buf_clear(b);
    buf_u8(b, RECORD_VERSION);
    put_u64(b, 0);
    (void)readings_encode(a, b);
    return emit(t, key_readings(t->s, a), &a->readings_state);
}

int series_take(struct series_set *s, int64_t *position, series_record fn, void *arg)
{
    struct taking t = {s, fn, arg};
    int code = 0;

    *position = s->position;
    for (struct dead_key *k = s->dead; k && !code;
         k = k->next) { /* first: a key may have come back to life */
        code = fn(arg, (struct bytes){k->key, k->n}, (struct bytes){NULL, 0});
        k->taken = true;
    }
    for (uint32_t i = 0; i < s->n_percentiles && !code; i++)
        code = take_percentile(&t, s->percentiles[i]);
    for (uint32_t i = 0; i < s->n_agents && !code; i++) {
        code = take_agent(&t, s->agents[i]);
        if (!code)
            code = take_readings(&t, s->agents[i]);
    }
    return code;
}

static void settle(uint8_t *state, bool stored)
{
    if (*state & TAKEN)
        *state = (uint8_t)((*state & ~TAKEN) | (stored ? 0 : DIRTY));
}

static void settle_group(struct group *g, bool stored)
{
    const struct percentile_def *d = g->percentile->def;

    for (uint32_t i = 0; i < g->n_hosts; i++)
        settle(&g->hosts[i]->state, stored);
    if (!g->sketches)
        return;
    settle(&g->sketches->state, stored);
    for (uint32_t w = 0; w < d->n_windows; w++) {
        for (uint32_t i = 0; i < d->windows[w].cells; i++)
            settle(&g->sketches->rings[w].cells[i].state, stored);
    }
}

void series_taken(struct series_set *s, bool stored)
{
    struct dead_key **p = &s->dead, *k;

    while ((k = *p)) {
        if (k->taken && stored) {
            *p = k->next;
            mem_free(s->mem, k, sizeof *k + k->n);
            s->n_dead--;
            continue;
        }
        k->taken = false;
        p = &k->next;
    }
    for (uint32_t i = 0; i < s->n_agents; i++) {
        settle(&s->agents[i]->state, stored);
        settle(&s->agents[i]->readings_state, stored);
    }
    gains_settle(s, stored);
    for (uint32_t i = 0; i < s->n_percentiles; i++) {
        settle(&s->percentiles[i]->state, stored);
        for (uint32_t g = 0; g < s->percentiles[i]->n; g++)
            settle_group(s->percentiles[i]->groups[g], stored);
    }
}

static void unstore(uint8_t *state)
{
    if (*state & STORED)
        *state |= DIRTY;
}

static void unstore_group(struct group *g)
{
    const struct percentile_def *d = g->percentile->def;

    for (uint32_t i = 0; i < g->n_hosts; i++)
        unstore(&g->hosts[i]->state);
    if (!g->sketches)
        return;
    unstore(&g->sketches->state);
    for (uint32_t w = 0; w < d->n_windows; w++) {
        for (uint32_t i = 0; i < d->windows[w].cells; i++)
            unstore(&g->sketches->rings[w].cells[i].state);
    }
}

void series_untaken(struct series_set *s)
{
    for (uint32_t i = 0; i < s->n_agents; i++) {
        unstore(&s->agents[i]->state);
        unstore(&s->agents[i]->readings_state);
    }
    gains_unstore(s);
    for (uint32_t i = 0; i < s->n_percentiles; i++) {
        unstore(&s->percentiles[i]->state);
        for (uint32_t g = 0; g < s->percentiles[i]->n; g++)
            unstore_group(s->percentiles[i]->groups[g]);
    }
}

int series_tell_agents(const struct series_set *s,
                       int (*fn)(void *arg, struct wire_str agent, uint64_t epoch, uint64_t seq), void *arg)
{
    int code = 0;

    for (uint32_t i = 0; i < s->n_agents && code == 0; i++) {
        const struct agent *a = s->agents[i];

        if (a->applied)
            code = fn(arg, (struct wire_str){a->id->text, a->id->n}, a->epoch, a->seq);
    }
    return code;
}
