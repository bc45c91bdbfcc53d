/* The shell around the core: see moves.h. Events wait in a short queue while one is being stepped, so that a call that ends
 * at once never comes back into the core in the middle of its own effects. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "aggregator/peers.h"

enum { IDLE_MS = 1000, ORDER_MOST_S = 30 };

/* ---- small things ---- */

const char *move_service(const struct move *m)
{
    return m->set.names.service;
}

static int64_t mono_ms(struct mono t)
{
    return t.ns / 1000000;
}

int64_t move_now(const struct move *m)
{
    return mono_ms(loop_mono(m->all->d->loop));
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

static void move_free(struct move *m)
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

static void own_vote(void *arg, const struct fo_vote *v)
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

/* ---- configuration ---- */

static void canary_urls(const struct config *c, char out[VOTE_CANARIES * FO_URL])
{
    const struct section *s;
    size_t n = 0, room = VOTE_CANARIES * FO_URL;

    out[0] = 0;
    for (size_t i = 0; (s = config_named(c, "canary", i)) != NULL && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s %s\n", section_label(s), option_text(s, "url"));
}

static struct watch *open_watch(struct move *m, struct err *e)
{
    const struct watch_params p = {.loop = m->all->d->loop,
                                   .log = m->all->d->log,
                                   .settings = &m->set,
                                   .canaries = m->all->canaries,
                                   .boot = m->all->boot,
                                   .seed = m->all->boot ^ m->all->d->p.seed,
                                   .vote = own_vote,
                                   .arg = m};
    struct watch *w = watch_new(&p, e);

    for (uint8_t r = 0; w && r < m->set.core.n_regions; r++) {
        if (peers_known(m->all->d, m->set.names.region[r]))
            watch_known(w, r);
    }
    return w;
}

static struct move *move_new(struct moves *all, const struct config *c, const struct section *s,
                             struct err *e)
{
    struct move *m = calloc(1, sizeof *m);

    if (!m) {
        (void)err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    m->all = all;
    failover_settings(c, s, &m->set);
    fo_init(&m->fo, &m->set.core, move_now(m), all->d->p.seed ^ all->boot);
    m->watch = open_watch(m, e);
    if (!m->watch) {
        free(m);
        return NULL;
    }
    return m;
}

int moves_open(struct decide *d, const struct config *c, struct moves **out, struct err *e)
{
    struct moves *all;
    struct move **at;
    const struct section *s;

    *out = NULL;
    if (!failover_wanted(c))
        return 0;
    all = calloc(1, sizeof *all);
    if (!all)
        return err_set(e, ERR_NOMEM, "no memory");
    all->d = d;
    (void)snprintf(all->voter, sizeof all->voter, "%s", failover_voter(c));
    if (getrandom(&all->boot, sizeof all->boot, 0) != sizeof all->boot)
        all->boot = (uint64_t)clock_wall().ms;
    at = &all->first;
    *out = all;
    moves_words(all);
    all->actions = actions_open(c, d->loop, d->log, e);
    canary_urls(c, all->canary_urls);
    all->canaries = canaries_new(d->loop, d->log, c, e);
    if (!all->canaries || !all->actions || moves_authority_open(all, c, e) != 0) {
        moves_close(out);
        return e->code;
    }
    for (size_t i = 0; (s = config_named(c, "failover", i)) != NULL; i++) {
        *at = move_new(all, c, s, e);
        if (!*at) {
            moves_close(out);
            return e->code;
        }
        at = &(*at)->next;
    }
    if (moves_drills_load(all, c, true, e) != 0 || moves_public_load(all, e) != 0) {
        moves_close(out);
        return e->code;
    }
    return 0;
}

/* Their orders may have been committed: the core that knew it is no more. */
static void answer_all(struct move *m)
{
    for (size_t i = 0; i < MOVE_WAITING; i++) {
        struct move_waiting w = m->waiting[i];

        m->waiting[i] = (struct move_waiting){.id = 0};
        if (w.done)
            w.done(w.arg, MOVES_UNKNOWN, 0, m->holder);
    }
}

void moves_close(struct moves **mp)
{
    struct moves *all = *mp;

    if (!all)
        return;
    peers_hook(all->d, &(struct peer_hooks){.arg = NULL});
    actions_close(&all->actions);
    authority_close(&all->authority);
    while (all->calls) {
        struct move_call *c = all->calls;

        move_call_end(c);
        c->drop(c);
    }
    while (all->first) {
        struct move *m = all->first;

        all->first = m->next;
        answer_all(m);
        move_free(m);
    }
    while (all->leaving) {
        struct move *m = all->leaving;

        all->leaving = m->next;
        move_free(m);
    }
    canaries_free(&all->canaries);
    canaries_free(&all->retired);
    moves_local_free(all);
    moves_drills_free(all);
    free(all);
    *mp = NULL;
}

static bool live(const struct move *m)
{
    uint8_t s = m->fo.record.status;

    return m->fo.known && (s == FO_PLAN || s == FO_STUCK_STATUS || s == FO_UNDO_STATUS);
}

/* Whether indices mean the same: what is not of core may change at any time. */
static bool same_shape(const struct fo_settings *a, const struct fo_settings *b)
{
    return memcmp(&a->names, &b->names, sizeof a->names) == 0 && a->core.n_regions == b->core.n_regions &&
           a->core.n_voters == b->core.n_voters && a->core.n_actions == b->core.n_actions &&
           memcmp(a->core.voter_domain, b->core.voter_domain, sizeof a->core.voter_domain) == 0;
}

bool moves_can_reload(const struct moves *all, const struct config *c, struct err *e)
{
    struct fo_settings *fresh = all ? calloc(1, sizeof *fresh) : NULL;
    bool good = true;

    for (const struct move *m = all ? all->first : NULL; m && fresh; m = m->next) {
        const struct section *s = NULL, *found = NULL;

        for (size_t i = 0; (s = config_named(c, "failover", i)) != NULL; i++) {
            if (strcmp(section_label(s), move_service(m)) == 0)
                found = s;
        }
        if (found)
            failover_settings(c, found, fresh);
        if (live(m) && (!found || !same_shape(fresh, &m->set))) {
            (void)err_set(
                e, ERR_STATE,
                "a plan of %s is live: its regions, voters and actions cannot change before it has ended",
                move_service(m));
            good = false;
        }
    }
    free(fresh);
    return good;
}

static bool renew_watch(struct move *m)
{
    struct err e = {0};
    struct watch *fresh = open_watch(m, &e);

    if (!fresh) {
        LOG(m->all->d->log, LOG_ERROR, "failover", "probes could not be begun anew: the old ones go on",
            kv_s("service", move_service(m)), kv_e(&e));
        return false;
    }
    watch_free(&m->watch);
    m->watch = fresh;
    watch_fast(m->watch, m->fo.fast);
    return true;
}

static bool same_guards(const struct fo_settings *a, const struct fo_settings *b)
{
    bool same = a->n_guards == b->n_guards;

    for (int i = 0; same && i < a->n_guards; i++)
        same = a->guard[i].region == b->guard[i].region && strcmp(a->guard[i].name, b->guard[i].name) == 0;
    return same;
}

/* Indices mean something else: all that hangs on them is forgotten, and the record is read anew. Numbers of questions go on,
 * so that no late answer fits a new question. */
static void begin_anew(struct move *m)
{
    uint64_t ids = m->fo.ids;

    move_unsay(m);
    fo_init(&m->fo, &m->set.core, move_now(m), m->all->d->p.seed ^ m->all->boot);
    m->fo.ids = ids;
    m->shape++;
    m->first = m->queued = 0;
    memset(m->guard, 0, sizeof m->guard);
    memset(&m->facts, 0, sizeof m->facts);
    memset(m->ready, 0, sizeof m->ready);
    m->facts_at = m->figures_at = m->ready_at = m->users_at = m->read_began = (struct mono){0};
    m->figures_under_way = false;
    m->figures_text[0] = 0;
    m->bad_since = (struct wall){0};
    m->told_fenced = 0;
    answer_all(m);
}

static void reload_one(struct move *m, const struct config *c, const struct section *s)
{
    struct fo_settings old = m->set;

    failover_settings(c, s, &m->set);
    if (!same_shape(&old, &m->set))
        begin_anew(m);
    if (!same_guards(&old, &m->set))
        memset(m->guard, 0, sizeof m->guard);
    if (!watch_fits(m->watch, &m->set))
        (void)renew_watch(m);
}

static void drop_service(struct move *m)
{
    move_hold(m);
    move_unsay(m);
    m->gone = true;
    watch_free(&m->watch);
    answer_all(m);
    m->next = m->all->leaving;
    m->all->leaving = m;
    move_release(m);
}

/* Watches go by the canaries: when these change, all begin anew. */
static void reload_canaries(struct moves *all, const struct config *c)
{
    char urls[sizeof all->canary_urls];
    struct canaries *fresh, *old = all->canaries;
    struct err e = {0};
    bool used = false;

    canary_urls(c, urls);
    if (strcmp(urls, all->canary_urls) == 0)
        return;
    fresh = canaries_new(all->d->loop, all->d->log, c, &e);
    if (!fresh) {
        LOG(all->d->log, LOG_ERROR, "failover", "canaries could not be begun anew: the old ones go on",
            kv_e(&e));
        return;
    }
    all->canaries = fresh;
    memcpy(all->canary_urls, urls, sizeof urls);
    for (struct move *m = all->first; m; m = m->next)
        used |= !renew_watch(m);
    if (used && !all->retired)
        all->retired = old;
    else if (!used)
        canaries_free(&old);
}

int moves_reload(struct moves *all, const struct config *c, struct err *e)
{
    struct move *old = all->first, **at = &all->first, *next;
    const struct section *s;
    int rc = 0;

    if (!moves_can_reload(all, c, e))
        return e->code;
    if (actions_reload(all->actions, c, e) != 0)
        return e->code;
    all->first = NULL;
    for (size_t i = 0; (s = config_named(c, "failover", i)) != NULL; i++) {
        struct move **found = &old, *m;

        while (*found && strcmp(move_service(*found), section_label(s)) != 0)
            found = &(*found)->next;
        m = *found;
        if (m) {
            *found = m->next;
            m->next = NULL;
            reload_one(m, c, s);
        } else {
            m = move_new(all, c, s, e);
            if (!m) {
                rc = e->code;
                continue;
            }
        }
        *at = m;
        at = &m->next;
    }
    for (; old; old = next) {
        next = old->next;
        drop_service(old);
    }
    reload_canaries(all, c);
    return rc ? rc : moves_drills_load(all, c, false, e);
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

const char *moves_name(const struct moves *all, uint32_t i)
{
    return move_service(nth(all, i));
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
