/* Admission: see admission.h. An epoch exists in memory from its first prepared batch on, but
 * counts only once a batch of it was committed (its watermark's top is not 0). Digests are kept
 * to 8 bytes: they tell a repetition from a mistake of the same agent, not a forgery. */
#include "aggregator/ingest/admission.h"

#include <assert.h>
#include <string.h>

#include "aggregator/ingest/watermark.h"
#include "common/base/map.h"

#define DAY_MS (24 * 3600 * 1000LL)
enum { STATE_CAP = 64 << 10 }; /* of one encoded watermark */

struct digest {
    uint64_t seq, head; /* first 8 bytes */
    int64_t position;
    uint64_t *refused; /* owned, WIRE_REFUSALS entries; NULL: none */
};

struct epoch {
    uint64_t epoch;
    struct watermark w;
    struct digest *ring; /* owned: `room` entries, the oldest at `first` when full */
    uint32_t room, n, first;
};

struct agent {
    char *id; /* owned */
    uint32_t id_len;
    uint32_t n_epochs;
    struct epoch *epochs; /* owned, rising */
    uint32_t room;
    struct digest pending; /* of the prepared batch; its refusals are owned */
    uint64_t drop_epoch;   /* gives way when that is committed */
    bool prepared;
};

struct admission {
    struct admission_params p;
    struct map agents;
    struct watermark scratch;
    struct admission_stats stats;
};

static uint64_t head_of(const uint8_t digest[16])
{
    uint64_t v;

    memcpy(&v, digest, sizeof v);
    return v;
}

static bool any(const uint64_t refused[WIRE_REFUSALS])
{
    for (int i = 0; i < WIRE_REFUSALS; i++)
        if (refused[i])
            return true;
    return false;
}

static void free_refused(struct admission *a, struct digest *d)
{
    mem_free(a->p.mem, d->refused, WIRE_REFUSALS * sizeof *d->refused);
    d->refused = NULL;
}

static void free_epoch(struct admission *a, struct epoch *x)
{
    for (uint32_t i = 0; i < x->n; i++)
        free_refused(a, &x->ring[i]);
    mem_free(a->p.mem, x->ring, x->room * sizeof *x->ring);
    a->stats.holes -= x->w.n;
    a->stats.epochs--;
    watermark_free(&x->w);
}

static void free_agent(struct admission *a, struct agent *g)
{
    for (uint32_t i = 0; i < g->n_epochs; i++)
        free_epoch(a, &g->epochs[i]);
    free_refused(a, &g->pending);
    mem_free(a->p.mem, g->epochs, g->room * sizeof *g->epochs);
    mem_free(a->p.mem, g->id, g->id_len + 1);
    mem_free(a->p.mem, g, sizeof *g);
    a->stats.agents--;
}

struct admission *admission_new(const struct admission_params *p)
{
    struct admission *a = mem_alloc(p->mem, sizeof *a);

    if (!a)
        return NULL;
    a->p = *p;
    map_init(&a->agents, p->mem, p->seed);
    watermark_init(&a->scratch, p->mem);
    return a;
}

void admission_free(struct admission **ap)
{
    struct admission *a = *ap;
    struct agent *g;
    size_t i = 0;

    if (!a)
        return;
    while ((g = map_next(&a->agents, &i)))
        free_agent(a, g);
    map_free(&a->agents);
    watermark_free(&a->scratch);
    mem_free(a->p.mem, a, sizeof *a);
    *ap = NULL;
}

void admission_keep(struct admission *a, struct span keep)
{
    a->p.keep = keep;
}

static struct agent *find_agent(const struct admission *a, struct wire_str id)
{
    return map_get(&a->agents, id.p, id.n);
}

static struct epoch *find_epoch(const struct agent *g, uint64_t epoch)
{
    for (uint32_t i = 0; g && i < g->n_epochs; i++)
        if (g->epochs[i].epoch == epoch)
            return &g->epochs[i];
    return NULL;
}

/* The highest epoch of which a batch was committed; 0: none. */
static uint64_t highest(const struct agent *g)
{
    for (uint32_t i = g ? g->n_epochs : 0; i-- > 0;)
        if (g->epochs[i].w.top)
            return g->epochs[i].epoch;
    return 0;
}

/* The oldest epoch that may give way to a new one; NULL: none. */
static const struct epoch *disposable(const struct admission *a, const struct agent *g, struct wall now)
{
    int64_t before = now.ms - span_to_ms(a->p.keep);

    for (uint32_t i = 0; i + 1 < g->n_epochs; i++)
        if (g->epochs[i].w.received < before)
            return &g->epochs[i];
    return NULL;
}

static const struct digest *find_digest(const struct epoch *x, uint64_t seq)
{
    for (uint32_t i = 0; i < x->n; i++)
        if (x->ring[i].seq == seq)
            return &x->ring[i];
    return NULL;
}

static void judge_seen(const struct epoch *x, const struct admission_facts *f, struct admission_verdict *v)
{
    const struct digest *d = find_digest(x, f->seq);

    if (d && d->head != head_of(f->digest)) {
        v->reason = WIRE_CONFLICT;
        return;
    }
    v->duplicate = true;
    if (d && d->refused)
        memcpy(v->refused, d->refused, sizeof v->refused);
}

void admission_judge(const struct admission *a, const struct admission_facts *f, struct admission_verdict *v)
{
    const struct agent *g = find_agent(a, f->agent);
    const struct epoch *x = find_epoch(g, f->epoch);

    *v = (struct admission_verdict){.highest = highest(g)};
    if (f->epoch > (uint64_t)(f->now.ms > 0 ? f->now.ms : 0) + DAY_MS)
        v->reason = WIRE_EPOCH;
    else if (!f->own && !f->relay)
        v->reason = WIRE_IDENTITY;
    else if (f->own && f->epoch < v->highest)
        v->reason = WIRE_SUPERSEDED;
    else if (x && watermark_has(&x->w, f->seq))
        judge_seen(x, f, v);
    else if (x && f->own && watermark_closed(&x->w, f->seq))
        v->duplicate = true;
    else if (!x && g && g->n_epochs >= ADMISSION_EPOCHS && !disposable(a, g, f->now))
        v->reason = WIRE_QUOTA;
}

/* ---- making room, all before anything is journalled ---- */

static struct agent *add_agent(struct admission *a, struct wire_str id)
{
    struct agent *g = mem_alloc(a->p.mem, sizeof *g);

    if (!g)
        return NULL;
    a->stats.agents++;
    g->id_len = id.n;
    g->id = mem_text(a->p.mem, id.p, id.n);
    if (!g->id || map_put(&a->agents, g->id, id.n, g) != 0) {
        free_agent(a, g);
        return NULL;
    }
    return g;
}

static struct epoch *add_epoch(struct admission *a, struct agent *g, uint64_t epoch)
{
    uint32_t i = g->n_epochs;

    if (g->n_epochs == g->room) {
        uint32_t room = g->room ? g->room * 2 : 1;
        struct epoch *e = mem_resize(a->p.mem, g->epochs, g->room * sizeof *e, room * sizeof *e);

        if (!e)
            return NULL;
        g->epochs = e;
        g->room = room;
    }
    for (; i > 0 && g->epochs[i - 1].epoch > epoch; i--)
        g->epochs[i] = g->epochs[i - 1];
    g->n_epochs++;
    a->stats.epochs++;
    g->epochs[i] = (struct epoch){.epoch = epoch};
    watermark_init(&g->epochs[i].w, a->p.mem);
    return &g->epochs[i];
}

static void drop_epoch(struct admission *a, struct agent *g, uint64_t epoch)
{
    struct epoch *x = find_epoch(g, epoch);
    uint32_t i;

    if (!x)
        return;
    i = (uint32_t)(x - g->epochs);
    free_epoch(a, x);
    memmove(x, x + 1, (g->n_epochs - i - 1) * sizeof *x);
    g->n_epochs--;
}

/* Takes back what was made for a batch that does not come to be. */
static void drop_unused(struct admission *a, struct agent *g, uint64_t epoch)
{
    struct epoch *x = find_epoch(g, epoch);

    if (x && !x->w.top)
        drop_epoch(a, g, epoch);
    if (g->n_epochs == 0) {
        (void)map_del(&a->agents, g->id, g->id_len);
        free_agent(a, g);
    }
}

/* Room for one more digest. */
static int reserve_digest(struct admission *a, struct epoch *x)
{
    uint32_t room = x->room ? x->room * 2 : 16;
    struct digest *d;

    if (x->n < x->room || x->room == ADMISSION_DIGESTS)
        return 0;
    d = mem_resize(a->p.mem, x->ring, x->room * sizeof *d, room * sizeof *d);
    if (!d)
        return ERR_NOMEM;
    x->ring = d;
    x->room = room;
    return 0;
}

static int set_digest(struct admission *a, struct digest *d, uint64_t seq, const uint8_t digest[16],
                      const uint64_t refused[WIRE_REFUSALS])
{
    *d = (struct digest){.seq = seq, .head = head_of(digest)};
    if (!any(refused))
        return 0;
    d->refused = mem_array(a->p.mem, WIRE_REFUSALS, sizeof *d->refused);
    if (!d->refused)
        return ERR_NOMEM;
    memcpy(d->refused, refused, WIRE_REFUSALS * sizeof *refused);
    return 0;
}

/* The one that makes room is let go. */
static void put_digest(struct admission *a, struct epoch *x, const struct digest *d)
{
    if (x->n < x->room) {
        x->ring[x->n++] = *d;
        return;
    }
    free_refused(a, &x->ring[x->first]);
    x->ring[x->first] = *d;
    x->first = (x->first + 1) % x->room;
}

static int make_room(struct admission *a, struct agent *g, struct epoch **x, const struct admission_facts *f,
                     const uint64_t refused[WIRE_REFUSALS])
{
    if (!*x && !(*x = add_epoch(a, g, f->epoch)))
        return ERR_NOMEM;
    if (watermark_reserve(&(*x)->w) != 0 || reserve_digest(a, *x) != 0 ||
        watermark_copy(&a->scratch, &(*x)->w) != 0)
        return ERR_NOMEM;
    return set_digest(a, &g->pending, f->seq, f->digest, refused);
}

int admission_prepare(struct admission *a, const struct admission_facts *f,
                      const uint64_t refused[WIRE_REFUSALS], struct buf *state,
                      struct admission_prepared *out)
{
    struct agent *g = find_agent(a, f->agent);
    struct epoch *x = find_epoch(g, f->epoch);
    struct watermark_change ignored;

    *out = (struct admission_prepared){0};
    if (!g && !(g = add_agent(a, f->agent)))
        return ERR_NOMEM;
    assert(!g->prepared);
    if (!x && g->n_epochs >= ADMISSION_EPOCHS) {
        const struct epoch *old = disposable(a, g, f->now);

        assert(old);
        out->drop_epoch = old->epoch;
    }
    if (make_room(a, g, &x, f, refused) != 0) {
        drop_unused(a, g, f->epoch);
        return ERR_NOMEM;
    }
    watermark_mark(&a->scratch, f->seq, f->low, f->now.ms, &ignored);
    watermark_encode(&a->scratch, state);
    if (state->full) {
        free_refused(a, &g->pending);
        drop_unused(a, g, f->epoch);
        return ERR_NOMEM;
    }
    if (x->n == ADMISSION_DIGESTS)
        out->expired = x->ring[x->first].position;
    g->drop_epoch = out->drop_epoch;
    g->prepared = true;
    return 0;
}

void admission_commit(struct admission *a, const struct admission_facts *f, int64_t position)
{
    struct agent *g = find_agent(a, f->agent);
    struct epoch *x = find_epoch(g, f->epoch);
    struct watermark_change c;
    uint32_t holes;

    assert(x && g->prepared && g->pending.seq == f->seq);
    holes = x->w.n;
    watermark_mark(&x->w, f->seq, f->low, f->now.ms, &c);
    a->stats.holes += x->w.n;
    a->stats.holes -= holes;
    a->stats.closed += c.closed;
    a->stats.lost += c.lost;
    a->stats.late += c.late;
    g->pending.position = position;
    put_digest(a, x, &g->pending);
    g->pending = (struct digest){0};
    g->prepared = false;
    if (g->drop_epoch)
        drop_epoch(a, g, g->drop_epoch);
    g->drop_epoch = 0;
}

void admission_abort(struct admission *a, const struct admission_facts *f)
{
    struct agent *g = find_agent(a, f->agent);

    assert(g && g->prepared);
    free_refused(a, &g->pending);
    g->prepared = false;
    g->drop_epoch = 0;
    drop_unused(a, g, f->epoch);
}

/* ---- restoring, forgetting ---- */

int admission_restore(struct admission *a, struct wire_str agent, uint64_t epoch, struct bytes state,
                      struct err *e)
{
    struct agent *g = find_agent(a, agent);
    struct epoch *x;
    int rc;

    if (epoch == 0 || agent.n == 0 || agent.n > WIRE_MAX_AGENT || find_epoch(g, epoch))
        return err_set(e, ERR_MALFORMED, "a watermark of no possible agent and epoch");
    if (!g && !(g = add_agent(a, agent)))
        return err_set(e, ERR_NOMEM, "no memory for an agent");
    if (!(x = add_epoch(a, g, epoch))) {
        drop_unused(a, g, epoch);
        return err_set(e, ERR_NOMEM, "no memory for an epoch");
    }
    rc = watermark_decode(&x->w, state, e);
    a->stats.holes += x->w.n;
    if (rc != 0)
        drop_unused(a, g, epoch);
    return rc;
}

int admission_restore_taken(struct admission *a, struct wire_str agent, uint64_t epoch, uint64_t seq,
                            struct wall now)
{
    struct agent *g = find_agent(a, agent);
    struct epoch *x = find_epoch(g, epoch);
    uint32_t holes;

    if (epoch == 0 || seq == 0 || agent.n == 0 || agent.n > WIRE_MAX_AGENT)
        return ERR_MALFORMED;
    if (!g && !(g = add_agent(a, agent)))
        return ERR_NOMEM;
    if ((!x && !(x = add_epoch(a, g, epoch))) || watermark_reserve(&x->w) != 0) {
        drop_unused(a, g, epoch);
        return ERR_NOMEM;
    }
    holes = x->w.n;
    watermark_lift(&x->w, seq, now.ms);
    a->stats.holes += x->w.n;
    a->stats.holes -= holes;
    return 0;
}

int admission_restore_digest(struct admission *a, struct wire_str agent, uint64_t epoch, uint64_t seq,
                             const uint8_t digest[16], const uint64_t refused[WIRE_REFUSALS],
                             int64_t position)
{
    struct epoch *x = find_epoch(find_agent(a, agent), epoch);
    struct digest d;

    if (!x)
        return ERR_NOTFOUND;
    if (reserve_digest(a, x) != 0 || set_digest(a, &d, seq, digest, refused) != 0)
        return ERR_NOMEM;
    d.position = position;
    put_digest(a, x, &d);
    return 0;
}

static int tell_epoch(const struct agent *g, const struct epoch *x, const struct admission_listener *to,
                      struct buf *state)
{
    static const uint64_t none[WIRE_REFUSALS];
    const struct wire_str id = {g->id, g->id_len};
    int code;

    buf_clear(state);
    watermark_encode(&x->w, state);
    if (state->full)
        return ERR_NOMEM;
    code = to->watermark(to->arg, id, x->epoch, buf_bytes(state));
    for (uint32_t i = 0; i < x->n && code == 0; i++) {
        const struct digest *d = &x->ring[(x->first + i) % x->n]; /* first is 0 until the ring is full */
        uint8_t bytes[16] = {0};

        memcpy(bytes, &d->head, sizeof d->head);
        code = to->digest(to->arg, id, x->epoch, d->seq, bytes, d->refused ? d->refused : none, d->position);
    }
    return code;
}

int admission_tell(const struct admission *a, const struct admission_listener *to)
{
    const struct agent *g;
    struct buf state;
    size_t i = 0;
    int code = 0;

    buf_init(&state, a->p.mem, STATE_CAP);
    while (code == 0 && (g = map_next(&a->agents, &i)))
        for (uint32_t k = 0; k < g->n_epochs && code == 0; k++)
            if (g->epochs[k].w.top) /* else its first batch is under way */
                code = tell_epoch(g, &g->epochs[k], to, &state);
    buf_free(&state);
    return code;
}

bool admission_knows(const struct admission *a, struct wire_str agent)
{
    return find_agent(a, agent) != NULL;
}

int admission_forget(struct admission *a, struct wire_str agent)
{
    struct agent *g = map_del(&a->agents, agent.p, agent.n);

    if (!g)
        return ERR_NOTFOUND;
    assert(!g->prepared);
    free_agent(a, g);
    return 0;
}

static bool is_past(const struct agent *g, int64_t before)
{
    for (uint32_t i = 0; i < g->n_epochs; i++) {
        if (g->epochs[i].w.received >= before)
            return false;
    }
    return !g->prepared;
}

size_t admission_expire(struct admission *a, struct wall now, size_t most,
                        void (*fn)(void *arg, struct wire_str agent), void *arg)
{
    int64_t before = now.ms - span_to_ms(a->p.keep);
    struct agent *g;
    size_t i = 0, n = 0;

    while (n < most && (g = map_next(&a->agents, &i))) {
        if (!is_past(g, before))
            continue;
        fn(arg, (struct wire_str){g->id, g->id_len});
        (void)map_del(&a->agents, g->id, g->id_len);
        free_agent(a, g);
        i--; /* the next one may have moved here */
        n++;
    }
    return n;
}

/* Walks the agents: their holes are few. */
struct admission_stats admission_stats(const struct admission *a)
{
    struct admission_stats s = a->stats;
    const struct agent *g;
    size_t i = 0;

    while ((g = map_next(&a->agents, &i))) {
        const struct epoch *x = find_epoch(g, highest(g));
        uint64_t open = x ? watermark_open(&x->w) : 0;

        s.missing = s.missing > UINT64_MAX - open ? UINT64_MAX : s.missing + open;
    }
    return s;
}
