/* The cache of definitions: see definitions.h. Holds live in a table per agent, keyed by
 * the hash inside the definition, which lives at least as long as any hold on it. */
#include "aggregator/ingest/definitions.h"

#include <assert.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/map.h"

enum { DECODED_CAP = 16 << 20 };

struct holder {
    char *id; /* owned */
    uint32_t id_len;
    struct map holds; /* by hash */
};

struct definitions {
    struct mem *mem;
    uint64_t seed[2];
    struct map known;   /* by hash */
    struct map holders; /* by agent id */
    struct definitions_stats stats;
};

struct definitions *definitions_new(struct mem *mem, const uint64_t seed[2])
{
    struct definitions *d = mem_alloc(mem, sizeof *d);

    if (!d)
        return NULL;
    d->mem = mem;
    memcpy(d->seed, seed, sizeof d->seed);
    map_init(&d->known, mem, seed);
    map_init(&d->holders, mem, seed);
    return d;
}

static void free_definition(struct definitions *d, struct definition *x)
{
    d->stats.bytes -= x->raw.n;
    d->stats.definitions--;
    arena_free(&x->arena);
    mem_free(d->mem, (void *)(uintptr_t)x->raw.p, x->raw.n);
    mem_free(d->mem, x, sizeof *x);
}

/* Takes the hold off its definition, which goes with the last. The holder's table is the caller's. */
static void free_hold(struct definitions *d, struct hold *h)
{
    struct definition *def = map_get(&d->known, h->def->hash.b, sizeof h->def->hash.b);

    assert(h->pins == 0 && def == h->def);
    if (--def->holds == 0) {
        (void)map_del(&d->known, def->hash.b, sizeof def->hash.b);
        free_definition(d, def);
    }
    d->stats.holds--;
    mem_free(d->mem, h, sizeof *h);
}

static void free_holder(struct definitions *d, struct holder *o)
{
    struct hold *h;
    size_t i = 0;

    while ((h = map_next(&o->holds, &i)))
        free_hold(d, h);
    map_free(&o->holds);
    mem_free(d->mem, o->id, o->id_len + 1);
    mem_free(d->mem, o, sizeof *o);
}

void definitions_free(struct definitions **dp)
{
    struct definitions *d = *dp;
    struct holder *o;
    size_t i = 0;

    if (!d)
        return;
    while ((o = map_next(&d->holders, &i)))
        free_holder(d, o);
    assert(d->known.count == 0);
    map_free(&d->holders);
    map_free(&d->known);
    mem_free(d->mem, d, sizeof *d);
    *dp = NULL;
}

const struct definition *definitions_get(const struct definitions *d, const struct wire_hash *hash)
{
    return map_get(&d->known, hash->b, sizeof hash->b);
}

enum wire_reason definitions_check(struct mem *mem, struct bytes value, struct err *e)
{
    enum wire_reason reason = WIRE_OK;
    struct wire_definition out;
    struct arena a;
    int rc;

    arena_init(&a, mem, DECODED_CAP);
    rc = wire_definition_decode(value.p, value.n, &a, &out, &reason, e);
    arena_free(&a);
    return rc == 0 ? WIRE_OK : rc == ERR_NOMEM ? WIRE_UNAVAILABLE : reason;
}

/* An empty agent name must have an address for the table. */
static const char *name_of(struct wire_str agent)
{
    return agent.n ? agent.p : "";
}

static struct holder *find_holder(const struct definitions *d, struct wire_str agent)
{
    return map_get(&d->holders, name_of(agent), agent.n);
}

static uint32_t quota(struct wire_str agent)
{
    return agent.n ? DEFINITIONS_PER_AGENT : DEFINITIONS_NOBODY;
}

bool definitions_room(const struct definitions *d, struct wire_str agent, const struct wire_entry *entries,
                      uint32_t n)
{
    const struct holder *o = find_holder(d, agent);
    size_t more = 0;

    for (uint32_t i = 0; i < n; i++)
        more += !o || !map_get(&o->holds, entries[i].hash.b, sizeof entries[i].hash.b);
    return (o ? o->holds.count : 0) + more <= quota(agent);
}

static struct holder *make_holder(struct definitions *d, struct wire_str agent)
{
    struct holder *o = find_holder(d, agent);

    if (o)
        return o;
    o = mem_alloc(d->mem, sizeof *o);
    if (!o)
        return NULL;
    map_init(&o->holds, d->mem, d->seed);
    o->id_len = agent.n;
    o->id = mem_text(d->mem, name_of(agent), agent.n);
    if (!o->id || map_put(&d->holders, o->id, agent.n, o) != 0) {
        free_holder(d, o);
        return NULL;
    }
    return o;
}

/* A hold is made with its table entry; a holder without any may stay until the next expiry. */
static int make_hold(struct definitions *d, struct wire_str agent, struct definition *def, struct hold **out)
{
    struct holder *o = make_holder(d, agent);
    struct hold *h = o ? map_get(&o->holds, def->hash.b, sizeof def->hash.b) : NULL;

    *out = h;
    if (h)
        return 0;
    if (o && o->holds.count >= quota(agent))
        return ERR_LIMIT;
    h = o ? mem_alloc(d->mem, sizeof *h) : NULL;
    if (!h)
        return ERR_NOMEM;
    h->def = def;
    h->by = o;
    if (map_put(&o->holds, def->hash.b, sizeof def->hash.b, h) != 0) {
        mem_free(d->mem, h, sizeof *h);
        return ERR_NOMEM;
    }
    def->holds++;
    d->stats.holds++;
    *out = h;
    return 0;
}

static struct definition *make_definition(struct definitions *d, const struct wire_hash *hash,
                                          struct bytes value, struct err *e)
{
    struct definition *x = mem_alloc(d->mem, sizeof *x);
    enum wire_reason reason;
    uint8_t *copy;

    if (!x) {
        (void)err_set(e, ERR_NOMEM, "no memory for a definition");
        return NULL;
    }
    x->hash = *hash;
    arena_init(&x->arena, d->mem, DECODED_CAP);
    d->stats.definitions++;
    copy = value.n ? mem_alloc(d->mem, value.n) : NULL;
    if (!copy) {
        (void)err_set(e, ERR_NOMEM, "no memory for a definition");
    } else {
        memcpy(copy, value.p, value.n);
        x->raw = (struct bytes){copy, value.n};
        d->stats.bytes += value.n;
        if (wire_definition_decode(copy, value.n, &x->arena, &x->is, &reason, e) == 0) {
            if (map_put(&d->known, x->hash.b, sizeof x->hash.b, x) == 0)
                return x;
            (void)err_set(e, ERR_NOMEM, "no memory for a definition");
        }
    }
    free_definition(d, x);
    return NULL;
}

int definitions_add(struct definitions *d, struct wire_str agent, const struct wire_hash *hash,
                    struct bytes value, struct wall received, struct err *e)
{
    struct definition *x = map_get(&d->known, hash->b, sizeof hash->b);
    struct hold *h;
    int rc;

    if (!x && !(x = make_definition(d, hash, value, e)))
        return e->code;
    rc = make_hold(d, agent, x, &h);
    if (rc != 0) {
        if (x->holds == 0) {
            (void)map_del(&d->known, x->hash.b, sizeof x->hash.b);
            free_definition(d, x);
        }
        return err_set(e, rc, "no room for a definition");
    }
    h->durable = true;
    h->received = received.ms > h->received ? received.ms : h->received;
    return 0;
}

void definitions_used_until(struct definitions *d, int64_t position)
{
    struct holder *o;
    struct hold *h;
    size_t i = 0, k;

    while ((o = map_next(&d->holders, &i)))
        for (k = 0; (h = map_next(&o->holds, &k));)
            h->position = h->position > position ? h->position : position;
}

void definitions_touch(struct definitions *d, struct wire_str agent, const struct wire_hash *hash,
                       struct wall received)
{
    struct holder *o = find_holder(d, agent);
    struct hold *h = o ? map_get(&o->holds, hash->b, sizeof hash->b) : NULL;

    if (h && received.ms > h->received)
        h->received = received.ms;
}

int definitions_pin(struct definitions *d, struct wire_str agent, const struct definition *def,
                    struct hold **out)
{
    int rc = make_hold(d, agent, map_get(&d->known, def->hash.b, sizeof def->hash.b), out);

    if (rc == 0)
        (*out)->pins++;
    return rc;
}

void definitions_unpin(struct definitions *d, struct hold *h, int64_t position, struct wall received)
{
    assert(h->pins > 0);
    h->pins--;
    if (position) {
        h->position = position > h->position ? position : h->position;
        h->received = received.ms > h->received ? received.ms : h->received;
    } else if (!h->durable && h->pins == 0) {
        (void)map_del(&h->by->holds, h->def->hash.b, sizeof h->def->hash.b);
        free_hold(d, h);
    }
}

void definitions_made_durable(struct hold *h)
{
    h->durable = true;
}

int definitions_fit(struct hold *schema, const struct hold *resource, enum wire_reason *reason, struct err *e)
{
    int rc;

    if (schema->fits && memcmp(schema->resource.b, resource->def->hash.b, sizeof schema->resource.b) == 0)
        return 0;
    rc = wire_schema_fits(&schema->def->is.schema, &resource->def->is.resource, reason, e);
    schema->fits = rc == 0;
    schema->resource = resource->def->hash;
    return rc;
}

/* The first hold of a holder that may go; NULL: none. */
static struct hold *expired(const struct holder *o, int64_t position, int64_t before)
{
    struct hold *h;
    size_t i = 0;

    while ((h = map_next(&o->holds, &i)))
        if (h->pins == 0 && h->position <= position && h->received < before)
            return h;
    return NULL;
}

static size_t expire_of(struct definitions *d, struct holder *o, int64_t position, int64_t before,
                        size_t most, definitions_dropped fn, void *arg)
{
    struct hold *h;
    size_t n = 0;

    while (n < most && (h = expired(o, position, before))) {
        struct wire_hash hash = h->def->hash;

        fn(arg, &hash, (struct wire_str){o->id, o->id_len});
        (void)map_del(&o->holds, hash.b, sizeof hash.b);
        free_hold(d, h);
        n++;
    }
    return n;
}

/* Before anything is told: the texts that are told are those of holders. */
static void free_idle_holders(struct definitions *d)
{
    struct holder *o;
    size_t i = 0;

    while ((o = map_next(&d->holders, &i))) {
        if (o->holds.count)
            continue;
        (void)map_del(&d->holders, o->id, o->id_len);
        free_holder(d, o);
        i--; /* the next one may have moved here */
    }
}

size_t definitions_expire(struct definitions *d, int64_t position, struct wall before, size_t most,
                          definitions_dropped fn, void *arg)
{
    struct holder *o;
    size_t i = 0, n = 0;

    free_idle_holders(d);
    while (n < most && (o = map_next(&d->holders, &i)))
        n += expire_of(d, o, position, before.ms, most - n, fn, arg);
    return n;
}

static int tell_holder(const struct holder *o, const struct definitions_listener *to)
{
    const struct hold *h;
    size_t i = 0;
    int code = 0;

    while (code == 0 && (h = map_next(&o->holds, &i)))
        if (h->durable)
            code = to->hold(to->arg, &h->def->hash, (struct wire_str){o->id, o->id_len});
    return code;
}

int definitions_tell(const struct definitions *d, const struct definitions_listener *to)
{
    const struct definition *x;
    const struct holder *o;
    size_t i = 0;
    int code = 0;

    while (code == 0 && (x = map_next(&d->known, &i)))
        code = to->definition(to->arg, &(struct wire_entry){x->hash, x->raw});
    for (i = 0; code == 0 && (o = map_next(&d->holders, &i));)
        code = tell_holder(o, to);
    return code;
}

struct definitions_stats definitions_stats(const struct definitions *d)
{
    return d->stats;
}
