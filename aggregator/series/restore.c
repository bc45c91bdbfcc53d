/* Reading back what persist.c stored. Total: whatever the store holds gives a state or an error. A record
 * that fits no section as it is configured now is stale, and is deleted with the next taking. */
#include <math.h>
#include <string.h>

#include "aggregator/series/persist.h"
#include "aggregator/series/track.h"

struct reader {
    const uint8_t *p;
    size_t n;
    bool bad;
};

static uint64_t get_u64(struct reader *r)
{
    uint64_t v = 0;

    if (r->n < 8) {
        r->bad = true;
        r->n = 0;
        return 0;
    }
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)r->p[i] << 8 * i;
    r->p += 8;
    r->n -= 8;
    return v;
}

static double get_double(struct reader *r)
{
    uint64_t bits = get_u64(r);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint8_t get_u8(struct reader *r)
{
    if (!r->n) {
        r->bad = true;
        return 0;
    }
    r->n--;
    return *r->p++;
}

/* A terminated text; "" and bad when there is none. */
static const char *get_text(struct reader *r)
{
    const uint8_t *end = r->n ? memchr(r->p, 0, r->n) : NULL;
    const char *text = (const char *)r->p;

    if (!end) {
        r->bad = true;
        return "";
    }
    r->n -= (size_t)(end - r->p) + 1;
    r->p = end + 1;
    return text;
}

static struct group *get_group(struct series_set *s, struct percentile *p, struct reader *key)
{
    struct atom *values[BY_MAX] = {NULL};
    struct group *g = NULL;
    uint32_t n = 0;
    bool full;

    for (; n < p->def->n_by; n++) {
        const char *v = get_text(key);

        values[n] = key->bad ? NULL : atom_get(s, v, strlen(v));
        if (!values[n])
            break;
    }
    if (n == p->def->n_by)
        g = group_get(s, p, values, &full);
    while (n)
        atom_drop(s, values[--n]);
    return g;
}

static int malformed(struct err *e, const char *what)
{
    return err_set(e, ERR_MALFORMED, "a stored record of percentiles is broken: %s", what);
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the stored percentiles");
}

static int restore_total(struct series_set *s, struct group *g, struct reader *v, struct err *e)
{
    const struct percentile_def *d = g->percentile->def;
    struct sketches *x = sketches_get(s, g);
    double sum = get_double(v), low = get_double(v);
    size_t used;
    int code;

    if (!x)
        return no_memory(e);
    for (uint32_t i = 0; i < d->n_buckets; i++)
        x->buckets[i] = get_u64(v);
    code = v->bad ? malformed(e, "it is too short") : sketch_decode(&x->total, v->p, v->n, &used, e);
    if (code == 0 && used != v->n)
        code = malformed(e, "bytes behind its sketch");
    if (code) {
        memset(x->buckets, 0, d->n_buckets * sizeof *x->buckets);
        sketch_free(&x->total);
        sketch_init_scale(&x->total, s->mem, SKETCH_SCALE_MAX);
        return code;
    }
    x->total.sum = isnan(sum) ? 0 : sum;
    x->total.sum_low = isfinite(low) ? low : 0;
    x->state = STORED;
    return 0;
}

static int restore_cell(struct series_set *s, struct group *g, struct reader *key, struct reader *v,
                        struct err *e)
{
    const struct percentile_def *d = g->percentile->def;
    struct sketches *x = sketches_get(s, g);
    uint32_t w = get_u8(key), place = get_u8(key);
    int64_t k = (int64_t)get_u64(v);
    struct cell *c;
    size_t used;
    int code;

    if (!x)
        return no_memory(e);
    if (key->bad || key->n || v->bad || w >= d->n_windows || k == INT64_MIN ||
        cell_place(k, d->windows[w].cells) != place)
        return malformed(e, "it is of no cell");
    code = sketch_check(v->p, v->n, &used, e);
    if (code || used != v->n)
        return code ? code : malformed(e, "bytes behind its sketch");
    c = &x->rings[w].cells[place];
    cell_clear(s, c);
    c->packed = mem_alloc(s->mem, v->n);
    if (!c->packed)
        return no_memory(e);
    memcpy(c->packed, v->p, v->n);
    c->n_packed = (uint32_t)v->n;
    c->k = k;
    c->state = STORED;
    x->rings[w].valid = false;
    return 0;
}

static int restore_host(struct series_set *s, struct group *g, struct reader *key, struct reader *v,
                        struct err *e)
{
    const struct percentile_def *d = g->percentile->def;
    const char *id = get_text(key);
    struct atom *a;
    struct host *h;

    if (key->bad || key->n)
        return malformed(e, "it is of no host");
    a = atom_get(s, id, strlen(id));
    h = a ? host_get(s, g, a) : NULL;
    atom_drop(s, a);
    if (!h)
        return no_memory(e);
    h->state = STORED;
    while (v->n) {
        uint64_t i = get_u64(v);
        struct tally t = {.k = (int64_t)get_u64(v), .sum = get_double(v)};

        t.n = get_u64(v);
        if (v->bad || i >= d->n_tallies)
            return malformed(e, "a tally is out of place");
        h->tallies[i] = t;
    }
    return 0;
}

static int restore_group(struct series_set *s, struct percentile *p, enum record sort, struct reader *key,
                         struct reader *v, struct err *e)
{
    struct group *g = get_group(s, p, key);
    int code;

    if (!g)
        return key->bad ? malformed(e, "its key is too short") : no_memory(e);
    if (sort == RECORD_TOTAL)
        code = key->n ? malformed(e, "its key is too long") : restore_total(s, g, v, e);
    else if (sort == RECORD_CELL)
        code = restore_cell(s, g, key, v, e);
    else
        code = restore_host(s, g, key, v, e);
    if (code && group_idle(g))
        group_free(s, g);
    return code;
}

static int restore_mode(struct percentile *p, struct reader *key, struct reader *v, struct err *e)
{
    uint8_t mode = get_u8(v);

    if (key->n || v->bad || v->n || mode > MODE_REFUSED)
        return malformed(e, "it is no mode");
    p->mode = (enum percentile_mode)mode;
    p->state = STORED;
    return 0;
}

static int restore_agent(struct series_set *s, struct wire_str id, struct reader *key, struct reader *v,
                         struct err *e)
{
    struct atom *texts[3] = {NULL};
    uint64_t n[8], refused[WIRE_REFUSALS];
    struct agent *a = agent_find(s, id);
    int code = 0;

    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        n[i] = get_u64(v);
    for (int i = 0; i < WIRE_REFUSALS; i++)
        refused[i] = get_u64(v);
    for (int i = 0; i < 3 && !code; i++) {
        const char *text = get_text(v);

        texts[i] = v->bad || !*text ? NULL : atom_get(s, text, strlen(text));
        code = *text && !v->bad && !texts[i] ? ERR_NOMEM : 0;
    }
    if (!id.n || id.n > WIRE_MAX_AGENT || key->n || v->bad || v->n || (a && a->applied))
        code = malformed(e, "it is of no agent");
    a = code ? NULL : agent_get(s, id, (int64_t)n[1]);
    if (a) {
        a->applied = true;
        a->state = STORED;
        a->first_seen = (struct wall){(int64_t)n[0]};
        a->last_received = (struct wall){(int64_t)n[1]};
        a->last_sealed = (struct wall){(int64_t)n[2]};
        a->skew = (int64_t)n[3];
        a->epoch = n[4];
        a->seq = n[5];
        a->batches = n[6];
        a->values = n[7];
        memcpy(a->refused, refused, sizeof refused);
        agent_say(s, a, texts[0], texts[1], texts[2]);
    }
    for (int i = 0; i < 3; i++)
        atom_drop(s, texts[i]);
    return a || code == ERR_MALFORMED ? code : err_set(e, ERR_NOMEM, "no memory for the stored agents");
}

/* It may come before the record of its agent. */
static int restore_readings(struct series_set *s, struct wire_str id, struct reader *key, struct reader *v,
                            struct err *e)
{
    struct agent *a;

    if (!id.n || id.n > WIRE_MAX_AGENT || key->n)
        return malformed(e, "it is of no agent");
    a = agent_get(s, id, s->received);
    if (!a)
        return err_set(e, ERR_NOMEM, "no memory for the stored agents");
    a->readings_state = STORED;
    return readings_decode(s, a, (struct bytes){v->p, v->n}, e);
}

static int restore_of_agent(struct series_set *s, enum record sort, const char *name, struct reader *key,
                            struct reader *v, struct err *e)
{
    struct wire_str id = {name, (uint32_t)strlen(name)};

    return sort == RECORD_AGENT ? restore_agent(s, id, key, v, e) : restore_readings(s, id, key, v, e);
}

int series_restore(struct series_set *s, struct bytes key, struct bytes value, bool *stale, struct err *e)
{
    struct reader k = {key.p, key.n, false}, v = {value.p, value.n, false};
    uint8_t sort = get_u8(&k), version = get_u8(&v);
    uint64_t fingerprint = get_u64(&v);
    const char *name = get_text(&k);
    struct percentile *p = k.bad ? NULL : percentile_find(s, name);
    int code = 0;

    if ((sort == RECORD_AGENT || sort == RECORD_READINGS) && !k.bad && !v.bad && version == RECORD_VERSION) {
        code = restore_of_agent(s, (enum record)sort, name, &k, &v, e);
        if ((*stale = code == ERR_MALFORMED))
            bury(s, key, STORED);
        return code;
    }
    *stale = v.bad || !p || version != RECORD_VERSION || fingerprint != p->def->fingerprint;
    if (!*stale && sort == RECORD_MODE)
        code = restore_mode(p, &k, &v, e);
    else if (!*stale && (sort == RECORD_TOTAL || sort == RECORD_CELL || sort == RECORD_HOST))
        code = restore_group(s, p, (enum record)sort, &k, &v, e);
    else
        *stale = true;
    *stale |= code == ERR_MALFORMED;
    if (*stale)
        bury(s, key, STORED);
    return code;
}

void series_restored(struct series_set *s, int64_t position)
{
    s->position = position;
}
