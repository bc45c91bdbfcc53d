/* The shell around the core: see moves.h. Events wait in a short queue while one is being stepped, so that a call that ends
 * at once never comes back into the core in the middle of its own effects. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/peers.h"

enum { IDLE_MS = 1000, ORDER_MOST_S = 30 };

/* ---- small things ---- */

const char *move_service(const struct move *m)
{
    return m->set.names.service;
}

int64_t move_now(const struct move *m)
{
    return mono_to_ms(loop_mono(m->all->d->loop));
}

void move_event(const struct move *m, struct fo_event *e, uint8_t kind)
{
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->now = move_now(m);
    e->wall = loop_wall(m->all->d->loop).ms;
}

struct move *moves_of(const struct moves *all, const char *service)
{
    struct move *m = all->first;

    while (m && strcmp(move_service(m), service) != 0)
        m = m->next;
    return m;
}

void move_hold(struct move *m)
{
    m->refs++;
}

void move_free(struct move *m)
{
    watch_free(&m->watch);
    free(m);
}

static void unlink_leaving(struct move *m)
{
    struct move **at = &m->all->leaving;

    while (*at && *at != m)
        at = &(*at)->next;
    if (*at)
        *at = m->next;
}

void move_release(struct move *m)
{
    if (--m->refs > 0 || !m->gone)
        return;
    unlink_leaving(m);
    move_free(m);
}

void move_call_begin(struct move_call *c, struct move *m, void (*drop)(struct move_call *c))
{
    struct moves *all = m->all;

    *c = (struct move_call){.next = all->calls, .m = m, .shape = m->shape, .drop = drop};
    if (all->calls)
        all->calls->prev = c;
    all->calls = c;
    move_hold(m);
}

void move_call_end(struct move_call *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->m->all->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    move_release(c->m);
}

bool move_call_fits(const struct move_call *c)
{
    return !c->m->gone && c->shape == c->m->shape;
}

/* ---- effects ---- */

static void fast(struct move *m, bool on)
{
    bool any = false;

    watch_fast(m->watch, on);
    for (const struct move *x = m->all->first; x; x = x->next)
        any |= x->fo.fast;
    peers_fast(m->all->d, any);
}

static void answer(struct move *m, const struct fo_effect *x)
{
    for (size_t i = 0; i < MOVE_WAITING; i++) {
        struct move_waiting w = m->waiting[i];

        if (w.id != x->id || !w.done)
            continue;
        m->waiting[i] = (struct move_waiting){.id = 0};
        w.done(w.arg, x->code, x->reasons, m->holder);
        return;
    }
}

static void carry_out_one(struct move *m, const struct fo_effect *x)
{
    switch ((enum fo_effect_kind)x->kind) {
    case FO_DO_ACQUIRE:
    case FO_DO_KEEP:
    case FO_DO_RESIGN:
    case FO_DO_READ: move_do_lease(m, x->kind); break;
    case FO_DO_STORE: move_do_store(m, x); break;
    case FO_DO_ACTION: move_do_action(m, x); break;
    case FO_DO_FAST: fast(m, x->on); break;
    case FO_DO_PAGE: move_do_page(m, x); break;
    case FO_DO_TELL: move_do_tell(m, x); break;
    case FO_DO_ANSWER: answer(m, x); break;
    case FO_EFFECTS: break;
    }
}

static void drain(struct move *m)
{
    struct fo_effects out;

    m->draining = true;
    move_hold(m);
    while (m->queued && !m->gone) {
        struct fo_event next = m->queue[m->first];

        m->first = (m->first + 1) % MOVE_QUEUE;
        m->queued--;
        memset(&out, 0, sizeof out);
        fo_step(&m->fo, &m->set.core, &next, &out);
        if (out.lost)
            LOG(m->all->d->log, LOG_ERROR, "failover", "effects did not fit",
                kv_s("service", move_service(m)), kv_u("lost", out.lost));
        for (uint32_t i = 0; i < out.n; i++)
            carry_out_one(m, &out.v[i]);
    }
    m->draining = false;
    if (!m->gone)
        move_public_note(m);
    move_release(m);
}

bool move_feed(struct move *m, const struct fo_event *e)
{
    if (m->gone)
        return false;
    if (!m->draining &&
        e->kind != FO_E_FACTS) /* several services that one outage hits must not all begin at once */
        move_facts_velocity(m);
    if (m->queued == MOVE_QUEUE) { /* the core asks again after its own time-outs */
        m->lost_events++;
        return false;
    }
    m->queue[(m->first + m->queued++) % MOVE_QUEUE] = *e;
    if (!m->draining)
        drain(m);
    return true;
}

/* ---- evidence ---- */

void move_own_vote(void *arg, const struct fo_vote *v)
{
    struct move *m = arg;
    struct fo_event e;
    uint8_t active = m->fo.record.active;

    if (active < m->set.core.n_regions) { /* t0: since when it is not well */
        bool well = v->verdict[active] == FO_UP || v->verdict[active] == FO_UNKNOWN;

        if (well && m->fo.state <= FO_S_STEADY)
            m->bad_since = (struct wall){0};
        else if (!well && m->bad_since.ms == 0)
            m->bad_since = loop_wall(m->all->d->loop);
    }
    if (m->set.core.self == FO_NONE)
        return;
    move_event(m, &e, FO_E_VOTE);
    e.u.vote = *v;
    e.u.vote.voter = m->set.core.self;
    (void)move_feed(m, &e);
}

void moves_noticed(struct moves *all)
{
    struct fo_event e;

    for (struct move *m = all->first; m; m = m->next) {
        watch_tilt(m->watch);
        move_event(m, &e, FO_E_ANOMALY);
        (void)move_feed(m, &e);
    }
}

/* ---- ticks ---- */

/* What the core owes and does not say (its commit hangs, an event was lost): whoever waits is told so. */
static void end_waiting(struct move *m, struct mono now)
{
    for (size_t i = 0; i < MOVE_WAITING; i++) {
        struct move_waiting w = m->waiting[i];

        if (!w.done || mono_before(now, w.until))
            continue;
        m->waiting[i] = (struct move_waiting){.id = 0};
        LOG(m->all->d->log, LOG_WARN, "failover", "nobody knows whether an order was committed",
            kv_s("service", move_service(m)));
        w.done(w.arg, MOVES_UNKNOWN, 0, m->holder);
    }
}

void moves_tick(struct moves *all, struct mono now)
{
    moves_drills_tick(all, now);
    for (struct move *m = all->first; m; m = m->next) {
        bool idle = m->fo.state == FO_S_STEADY || m->fo.state == FO_S_FOLLOW;
        struct fo_event e;

        move_facts_tick(m, now);
        move_guards_tick(m);
        end_waiting(m, now);
        if (idle && m->stepped.ns && mono_sub(now, m->stepped).ns < span_ms(IDLE_MS - TICK_MS / 2).ns)
            continue;
        m->stepped = now;
        move_event(m, &e, FO_E_TICK);
        (void)move_feed(m, &e);
    }
}

/* ---- operators ---- */

int moves_order(struct moves *all, const char *service, struct fo_order *order, moves_done done, void *arg)
{
    struct move *m = moves_of(all, service);
    struct fo_event e;

    if (!m)
        return ERR_NOTFOUND;
    for (size_t i = 0; i < MOVE_WAITING; i++) {
        if (m->waiting[i].done)
            continue;
        order->id = ++m->order_ids;
        m->waiting[i] =
            (struct move_waiting){.id = order->id,
                                  .done = done,
                                  .arg = arg,
                                  .until = mono_add(loop_mono(all->d->loop), span_s(ORDER_MOST_S))};
        move_event(m, &e, FO_E_COMMAND);
        e.u.order = *order;
        if (move_feed(m, &e))
            return 0;
        m->waiting[i] = (struct move_waiting){.id = 0};
        break;
    }
    return ERR_LIMIT;
}

/* ---- reading ---- */

uint32_t moves_count(const struct moves *all)
{
    uint32_t n = 0;

    for (const struct move *m = all ? all->first : NULL; m; m = m->next)
        n++;
    return n;
}

static const struct move *nth(const struct moves *all, uint32_t i)
{
    const struct move *m = all->first;

    while (i--)
        m = m->next;
    return m;
}

uint32_t moves_find(const struct moves *all, const char *service)
{
    uint32_t n = 0;

    for (const struct move *m = all ? all->first : NULL; m; m = m->next, n++) {
        if (strcmp(move_service(m), service) == 0)
            return n;
    }
    return UINT32_MAX;
}

void moves_view(const struct moves *all, uint32_t i, struct fo_view *out)
{
    const struct move *m = nth(all, i);

    *out = (struct fo_view){.fo = &m->fo,
                            .config = &m->set.core,
                            .names = &m->set.names,
                            .settings = &m->set,
                            .holder = m->holder};
}
