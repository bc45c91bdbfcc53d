/* The authority of the world: one linearizable leader key and record for the service, under leases that end when the store
 * thinks so (each change of its leader begins them anew; they may also be taken away early), behind requests of which any
 * half can be lost. What was asked may be done long after the asker has given up. */
#include "tests/sim/sim.h"

#include <stdlib.h>

enum { STORE_TIMEOUT = 1000 };
enum { DID, HELD, LOST, CONFLICT, AWAY };

bool store_there(const struct world *w)
{
    return w->store.down == 0 && w->now >= w->store.away_until;
}

static void expire(struct world *w)
{
    struct store *s = &w->store;

    if (s->held && w->now >= s->expires) {
        trace(w, NULL, "store: the lease of node %u has ended", s->holder);
        s->held = false;
        s->given_up = false;
    }
}

void store_new_leader(struct world *w, int64_t away)
{
    struct store *s = &w->store;

    s->away_until = w->now + away;
    expire(w);
    if (s->held)
        s->expires = s->away_until + w->config.t.lease;
}

void store_revoke(struct world *w)
{
    expire(w);
    if (w->store.held) {
        trace(w, NULL, "store: the lease of node %u is revoked", w->store.holder);
        w->store.held = false;
        w->store.given_up = false;
    }
}

static bool store_hears(const struct world *w, const struct node *n)
{
    return w->store.cut[n->domain] == 0 &&
           (n->domain >= w->n_regions ||
            (w->regions[n->domain].dead == 0 && w->regions[n->domain].cut == 0)) &&
           (!w->config.local || n->may_lead);
}

void store_ask(struct world *w, struct node *n, uint8_t op, uint64_t id, bool own)
{
    struct request *r = NULL;
    int64_t there = w->config.local ? 1 : between(w, 2, 40) + w->store.more;
    int64_t back = w->config.local ? 1 : between(w, 2, 40) + w->store.more;
    bool asked = store_hears(w, n) && !w->cut_lost;

    if (own)
        queue_push(w, w->now + 2000, (struct item){.kind = I_READ, .node = n->index, .inc = n->inc});
    for (uint32_t i = 0; i < SIM_REQUESTS && r == NULL; i++) {
        struct request *q = &w->requests[w->next_request++ % SIM_REQUESTS];

        if (!q->busy || (q->answered && q->executed))
            r = q;
    }
    if (r == NULL) {
        fprintf(stderr, "sim: seed %llu: too many requests\n", (unsigned long long)w->seed);
        abort();
    }
    r->op = op;
    r->node = n->index;
    r->inc = n->inc;
    r->busy = 1;
    r->answered = false;
    r->own = own;
    r->id = id;
    r->token = n->core.token;
    r->seen = n->core.rev;
    r->sent = node_boot(w, n);
    r->outcome = AWAY;
    if (op == OP_STORE)
        r->record = n->core.next;
    r->executed = !asked;
    if (op == OP_STORE && chance(w, w->store.late))
        there = STORE_TIMEOUT + between(w, 50, 5000);
    if (asked)
        queue_push(w, w->now + there, (struct item){.kind = I_EXEC, .a = (uint16_t)(r - w->requests)});
    r->mute = !asked || w->cut_mute || chance(w, w->store.mute) || there + back >= STORE_TIMEOUT;
    queue_push(
        w, w->now + (r->mute ? STORE_TIMEOUT : there + back),
        (struct item){.kind = I_REPLY, .node = n->index, .inc = n->inc, .a = (uint16_t)(r - w->requests)});
}

static void commit(struct world *w, struct request *r)
{
    struct store *s = &w->store;
    struct fo_record before = s->record;
    struct node *n = &w->nodes[r->node];
    uint32_t slot;

    if (!s->known)
        memset(&before, 0, sizeof(before));
    s->rev++;
    s->record_rev = s->rev;
    s->record = r->record;
    if (s->known && before.writer != r->record.writer)
        s->writer_since = w->now;
    if (r->record.epoch > before.epoch)
        s->prepared_at = w->now;
    s->known = true;
    slot = (uint32_t)(s->rev % SIM_HISTORY);
    s->history[slot].rev = s->rev;
    s->history[slot].token = r->token;
    s->history[slot].epoch = r->record.epoch;
    s->history[slot].status = r->record.status;
    s->history[slot].fenced = r->record.plan.fenced;
    s->history[slot].writer = r->record.writer;
    memcpy(s->history[slot].phase, r->record.plan.phase, FO_ACTIONS);
    trace(w, n, "store: committed rev %llu epoch %u status %u writer %u active %u step %u fenced %u",
          (unsigned long long)s->rev, r->record.epoch, r->record.status, r->record.writer, r->record.active,
          r->record.plan.step, r->record.plan.fenced);
    check_commit(w, n, &before, &r->record);
}

static uint8_t execute(struct world *w, struct request *r)
{
    struct store *s = &w->store;
    bool ours;

    expire(w);
    ours = s->held && s->holder == r->node && s->holder_inc == r->inc && s->token == r->token.rev;
    switch (r->op) {
    case OP_ACQUIRE:
        if (s->held)
            return HELD;
        r->resigned = !s->ever || s->given_up;
        s->held = s->ever = true;
        s->given_up = false;
        s->holder = r->node;
        s->holder_inc = r->inc;
        s->token = ++s->rev;
        s->expires = w->now + w->config.t.lease;
        r->got = (struct fencing){s->life, s->token};
        trace(w, &w->nodes[r->node], "store: leads with token %llu", (unsigned long long)s->token);
        return DID;
    case OP_KEEP:
        if (!ours)
            return LOST;
        s->expires = w->now + w->config.t.lease;
        r->got = (struct fencing){s->life, s->token};
        return DID;
    case OP_RESIGN:
        if (!ours)
            return LOST;
        s->held = false;
        s->given_up = true;
        trace(w, &w->nodes[r->node], "store: resigned");
        return DID;
    case OP_READ:
        r->known = s->known;
        r->rev = s->known ? s->record_rev : 0;
        if (s->known)
            r->record = s->record;
        return DID;
    default:
        if (!ours)
            return LOST;
        if ((s->known ? s->record_rev : 0) != r->seen)
            return CONFLICT;
        commit(w, r);
        r->rev = s->record_rev;
        return DID;
    }
}

void store_exec(struct world *w, struct request *r)
{
    if (!store_there(w)) {
        if (r->op == OP_STORE &&
            chance(w, 20)) { /* it lies in a log, and is done once there is a quorum again */
            queue_push(w, w->now + between(w, 200, 3000),
                       (struct item){.kind = I_EXEC, .a = (uint16_t)(r - w->requests)});
            return;
        }
        r->outcome = AWAY;
    } else
        r->outcome = execute(w, r);
    r->executed = true;
}

/* The answer, or that none came: "the store is away", never "lost" or "won". */
void store_reply(struct world *w, struct request *r)
{
    struct node *n = &w->nodes[r->node];
    struct fo_event e = {.kind = FO_E_LEASE};
    uint8_t o = r->executed && !r->mute ? r->outcome : AWAY;

    r->answered = true;
    if (o == DID && r->op == OP_READ && r->sent > n->view_started) {
        n->view_started = r->sent;
        n->view_known = r->known;
        n->view = r->record;
    }
    if (r->own)
        return;
    switch (r->op) {
    case OP_READ:
        if (o != DID)
            return; /* the core asks again by itself */
        e.kind = FO_E_RECORD;
        e.u.record.known = r->known;
        e.u.record.rev = r->rev;
        if (r->known)
            e.u.record.record = r->record;
        break;
    case OP_STORE:
        e.kind = FO_E_STORED;
        e.u.stored.what = (uint8_t)(o == DID        ? FO_STORED_OK
                                    : o == CONFLICT ? FO_STORED_CONFLICT
                                    : o == LOST     ? FO_STORED_LOST
                                                    : FO_STORED_UNKNOWN);
        e.u.stored.rev = r->rev;
        e.u.stored.id = r->id;
        if (o == DID && r->sent >= n->view_started) {
            n->view_started = r->sent;
            n->view_known = true;
            n->view = r->record;
        }
        break;
    default:
        e.u.lease.sent = r->sent;
        e.u.lease.resigned = r->resigned;
        e.u.lease.token = r->got;
        e.u.lease.what = (uint8_t)(o == HELD             ? FO_LEASE_HELD_BY_OTHER
                                   : o == LOST           ? FO_LEASE_LOST
                                   : o == AWAY           ? FO_LEASE_ERROR
                                   : r->op == OP_ACQUIRE ? FO_LEASE_GRANTED
                                   : r->op == OP_RESIGN  ? FO_LEASE_LOST
                                                         : FO_LEASE_KEPT);
        if (o == DID && r->op != OP_RESIGN && (r->got.rev != n->kept_token || r->sent > n->kept_sent)) {
            n->kept_token = r->got.rev;
            n->kept_sent = r->sent;
        }
        break;
    }
    node_event(w, n, &e);
}
