/* A world for golden traces of failover: regions, voters (the real ones), aggregators that may lead (the real core each),
 * one authority, guards, and targets of actions that compare tokens. Time moves in steps of 100 ms; every answer takes one.
 * What the cores do is written to a log, a line each. Two things are checked all the time, whatever a trace is about: no two
 * regions can write at once, and a target never takes a lower token after a higher one. */
#ifndef SB_TESTS_FO_WORLD_H
#define SB_TESTS_FO_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/failover/vote.h"
#include "tests/unit/fo_production.h"

enum { EAST, WEST, NORTH_DOMAIN = FO_REGIONS, REGIONS = 2 };
enum { STEP_MS = 100, WAITING = 256, SERVING_MS = 20000, GUARD_MS = 5000, ACTION_MS = 500 };
enum { A_FENCE, A_PROMOTE, A_SCALE, A_WARM, A_TEST, A_ROUTE, A_DNS, A_CHECK, A_REDIRECT, A_CATCHUP, ACTIONS };
static const char *const region_names[] = {"east", "west"};
static const char *const action_names[ACTIONS] = {"fence", "promote", "scale", "warm",     "test",
                                                  "route", "dns",     "check", "redirect", "catchup"};

struct place {    /* what one voter sees of one region */
    int good, of; /* probes: so many of so many are good; of 0: none are made */
    bool beats;
    int users, total; /* total 0: nothing is known */
    int n;            /* probes so far */
};
struct watcher { /* a voter */
    const char *name;
    struct voter v;
    struct vote_config c;
    struct place place[REGIONS];
    bool canaries, silent, paused;
    int database_ms; /* -1: not asked; else the standby last heard its primary so long ago */
    int64_t looked;
};
struct leader { /* an aggregator with a core */
    const char *name;
    struct fo s;
    struct fo_config c;
    bool up, paused, away, fast;
    int64_t ticked;
};
struct waiting {
    int64_t due;
    struct leader *to;
    struct fo_event e;
    struct fencing token; /* an action on its way */
    uint32_t epoch;
    bool live, act;
};
struct guard {
    bool cut, none, serving, dead;
    int64_t deadline, asked;
    uint32_t fenced_epoch;
};
struct target {
    bool applied;
    int applies;
    uint32_t epoch;             /* of the plan for which it is applied */
    struct fencing token;       /* of the last that was taken */
    uint8_t script[ACTION_OPS]; /* class + 1 of the next answers */
    int left[ACTION_OPS];       /* how many; -1 all */
    bool lost[ACTION_OPS];      /* … and yet it is done */
    int said;                   /* last operation and class in the log */
    int64_t delay;              /* the next apply arrives so much later */
};
struct world {
    int64_t now, origin;
    struct fo_config base;
    struct watcher voters[FO_VOTERS];
    struct leader leaders[4];
    int n_voters, n_leaders;
    struct guard guards[REGIONS];
    struct target targets[ACTIONS];
    struct fo_facts facts;
    bool ready_old[REGIONS], lag_stalled[REGIONS];
    int64_t told_facts;
    /* the authority */
    struct fo_record record;
    bool known, away, lose_next, drop_next;
    uint64_t rev, counter;
    struct leader *holder;
    uint64_t holder_rev;
    int64_t lease_end, extra; /* extra: an expiring lease lives so much longer */
    bool was_resigned;
    struct waiting queue[WAITING];
    uint64_t orders, seed;
    bool logging;
    struct buf log, whole; /* since the last command; since steady */
};

static inline int64_t wall_of(const struct world *w)
{
    return INT64_C(1795500000000) + w->now;
}

/* ---- the log ---- */

static inline void say(struct world *w, const char *who, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static inline void say(struct world *w, const char *who, const char *fmt, ...)
{
    const int64_t t = w->now - w->origin;
    char line[512];
    va_list ap;
    int n;

    if (!w->logging)
        return;
    n = snprintf(line, sizeof line, "%lldh%02lldm%04.1fs %s ", (long long)(t / 3600000),
                 (long long)(t / 60000 % 60), (double)(t % 60000) / 1000, who);
    va_start(ap, fmt);
    (void)vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    va_end(ap);
    buf_fmt(&w->log, "%s\n", line);
    buf_fmt(&w->whole, "%s\n", line);
}

static inline const char *region_name(uint8_t r)
{
    return r < REGIONS ? region_names[r] : "nobody";
}

static inline const char *reasons_text(fo_reasons r, char out[400])
{
    size_t n = 0;

    out[0] = 0;
    for (int i = 1; i < FO_REASONS; i++)
        if (r & FO_BIT(i))
            n += (size_t)snprintf(out + n, 400 - n, " %s", fo_reason_name((enum fo_reason)i));
    return out;
}

/* ---- what can never be ---- */

static inline void check_world(const struct world *w)
{
    const struct fo_plan *p = &w->record.plan;
    const bool opened = p->epoch && w->targets[A_PROMOTE].applied && w->targets[A_PROMOTE].epoch == p->epoch;
    const struct guard *from = &w->guards[p->from % REGIONS];

    if ((w->guards[EAST].serving && w->guards[WEST].serving) || (opened && !from->none && from->serving))
        fail_msg("both regions can write at %lld", (long long)(w->now - w->origin));
}

/* ---- events ---- */

static inline void feed(struct world *w, struct leader *l, struct fo_event *e);

static inline struct waiting *later(struct world *w, struct leader *l, int64_t ms)
{
    for (int i = 0; i < WAITING; i++) {
        struct waiting *q = &w->queue[i];

        if (q->live)
            continue;
        memset(q, 0, sizeof *q);
        q->live = true;
        q->due = w->now + ms;
        q->to = l;
        return q;
    }
    fail_msg("the world's queue is full");
    return NULL;
}

static inline bool reaches(const struct world *w, const struct leader *l)
{
    return !w->away && !l->away;
}

static inline void expire(struct world *w)
{
    if (w->holder && w->now >= w->lease_end + w->extra) {
        w->holder = NULL;
        w->was_resigned = false;
    }
}

static inline void on_lease(struct world *w, struct leader *l, bool keep)
{
    struct waiting *q = later(w, l, STEP_MS);

    q->e.kind = FO_E_LEASE;
    q->e.u.lease.sent = w->now;
    expire(w);
    if (!reaches(w, l)) {
        q->due = w->now + 1000;
        q->e.u.lease.what = FO_LEASE_ERROR;
        return;
    }
    if (keep) {
        bool ours = w->holder == l && w->holder_rev == l->s.token.rev;

        q->e.u.lease.what = ours ? FO_LEASE_KEPT : FO_LEASE_LOST;
        if (ours)
            w->lease_end = w->now + l->c.t.lease;
    } else if (w->holder && w->holder != l) {
        q->e.u.lease.what = FO_LEASE_HELD_BY_OTHER;
    } else {
        q->e.u.lease.what = FO_LEASE_GRANTED;
        q->e.u.lease.resigned = w->was_resigned;
        w->holder = l;
        w->holder_rev = ++w->counter;
        w->lease_end = w->now + l->c.t.lease;
        w->was_resigned = false;
    }
    q->e.u.lease.token = (struct fencing){.store = 1, .rev = w->holder_rev};
}

static inline void on_resign(struct world *w, struct leader *l)
{
    if (reaches(w, l) && w->holder == l) {
        w->holder = NULL;
        w->was_resigned = true;
    }
}

static inline void on_read(struct world *w, struct leader *l)
{
    struct waiting *q;

    if (!reaches(w, l))
        return;
    q = later(w, l, STEP_MS);
    q->e.kind = FO_E_RECORD;
    q->e.u.record.known = w->known;
    q->e.u.record.rev = w->known ? w->rev : 0;
    q->e.u.record.record = w->record;
}

static inline void say_commit(struct world *w, const struct leader *l, const struct fo_record *n)
{
    static const char *const statuses[] = {"steady", "plan", "hold", "stuck", "undo"};
    const struct fo_record *o = &w->record;

    if (!w->known || o->epoch != n->epoch || o->status != n->status || o->active != n->active ||
        o->writer != n->writer || (n->status == FO_PLAN && o->plan.step != n->plan.step))
        say(w, l->name, "commits %s%s%s: epoch %u, users to %s, writer %s", statuses[n->status],
            n->status == FO_PLAN ? " at " : "",
            n->status == FO_PLAN ? plan_step_name((enum plan_step)n->plan.step) : "", n->epoch,
            region_name(n->active), region_name(n->writer));
}

static inline void on_store(struct world *w, struct leader *l, const struct fo_effect *d)
{
    struct waiting *q = later(w, l, STEP_MS);

    q->e.kind = FO_E_STORED;
    q->e.u.stored.id = d->id;
    expire(w);
    if (!reaches(w, l) || w->drop_next) {
        q->due = w->now + 1000;
        q->e.u.stored.what = FO_STORED_UNKNOWN;
        w->drop_next = false;
    } else if (w->holder != l || w->holder_rev != l->s.token.rev) {
        q->e.u.stored.what = FO_STORED_LOST;
    } else if (l->s.rev != (w->known ? w->rev : 0)) {
        q->e.u.stored.what = FO_STORED_CONFLICT;
    } else {
        say_commit(w, l, &l->s.next);
        w->record = l->s.next;
        w->known = true;
        w->rev = ++w->counter;
        q->e.u.stored.rev = w->rev;
        q->e.u.stored.what = w->lose_next ? FO_STORED_UNKNOWN : FO_STORED_OK;
        w->lose_next = false;
    }
}

/* ---- targets ---- */

static inline enum action_class act(struct world *w, uint8_t i, uint8_t op, struct fencing token,
                                    struct fencing *found)
{
    struct target *x = &w->targets[i];
    bool reads = op == ACTION_PROBE || op == ACTION_VERIFY;
    uint8_t said = 0;

    if (x->left[op] != 0) {
        said = x->script[op];
        x->left[op] -= x->left[op] > 0;
    }
    *found = x->token;
    if (said && !x->lost[op])
        return (enum action_class)(said - 1);
    if (!reads && fencing_cmp(x->token, token) > 0)
        return ACTION_CONFLICT; /* compare and swap: a later one has been here */
    if (reads)
        return w->base.actions[i].step == STEP_VALIDATE || x->applied ? ACTION_OK : ACTION_NOT_APPLIED;
    *found = x->token = token;
    if (op == ACTION_UNDO) {
        x->applied = false;
        return said ? (enum action_class)(said - 1) : ACTION_OK;
    }
    if (x->applied && !said)
        return ACTION_ALREADY;
    x->applies += !x->applied;
    x->applied = true;
    return said ? (enum action_class)(said - 1) : ACTION_OK;
}

static inline void on_action(struct world *w, struct leader *l, const struct fo_effect *d)
{
    struct waiting *q = later(w, l, ACTION_MS);

    /* No effect is begun that could end behind the deadline, and none without a committed intent. */
    assert_true(d->timeout_ms > 0 && w->now + d->timeout_ms < l->s.deadline);
    assert_int_equal(l->s.record.plan.phase[d->action], d->op == ACTION_UNDO ? FO_UNDOING : FO_INTENT);
    q->e.kind = FO_E_ACTION;
    q->e.u.action.action = d->action;
    q->e.u.action.op = d->op;
    q->e.u.action.id = d->id;
    q->token = l->s.token;
    q->epoch = l->s.record.plan.epoch;
    q->act = true;
    if (d->op == ACTION_APPLY) {
        q->due += w->targets[d->action].delay;
        w->targets[d->action].delay = 0;
    }
}

/* The request arrives, whatever has become of its sender. */
static inline void arrive(struct world *w, struct waiting *q)
{
    uint8_t i = q->e.u.action.action, op = q->e.u.action.op;
    struct target *x = &w->targets[i];
    struct fencing found;
    enum action_class c;

    if (q->epoch > x->epoch) { /* another plan: nothing of it is done */
        x->epoch = q->epoch;
        x->applied = false;
    }
    c = act(w, i, op, q->token, &found);
    q->e.u.action.class = (uint8_t)c;
    q->e.u.action.found = found;
    if ((op == ACTION_APPLY || op == ACTION_UNDO || c > ACTION_PROGRESS) &&
        w->targets[i].said != op * 16 + (int)c + 1) {
        say(w, q->to->name, "%s %s: %s", action_names[i], action_op_name((enum action_op)op),
            action_class_name(c));
        w->targets[i].said = op * 16 + (int)c + 1;
    }
    check_world(w);
}

/* ---- effects ---- */

static inline void say_effect(struct world *w, const struct leader *l, const struct fo_effect *d)
{
    char text[400];

    if (d->kind == FO_DO_TELL && d->from != d->to)
        say(w, l->name, "%s -> %s row %u %s%s", fo_state_name(d->from), fo_state_name(d->to), d->row,
            fo_row_find(d->row) ? fo_row_find(d->row)->name : "?", reasons_text(d->reasons, text));
    else if (d->kind == FO_DO_TELL)
        say(w, l->name, "passes over %s", action_names[d->action % ACTIONS]);
    else if (d->kind == FO_DO_PAGE)
        say(w, l->name, "page %s %s%s%s", d->level == FO_PAGE_CRITICAL ? "critical" : "warning",
            fo_state_name(d->to), d->on ? "" : " resolved", d->on ? reasons_text(d->reasons, text) : "");
    else if (d->kind == FO_DO_ANSWER)
        say(w, l->name, "answers %s%s", d->code ? fo_reason_name((enum fo_reason)d->code) : "done",
            reasons_text(d->reasons, text));
}

static inline void feed(struct world *w, struct leader *l, struct fo_event *e)
{
    struct fo_effects out;

    e->now = w->now;
    e->wall = wall_of(w);
    fo_step(&l->s, &l->c, e, &out);
    assert_int_equal(out.lost, 0);
    for (uint32_t i = 0; i < out.n; i++) {
        const struct fo_effect *d = &out.v[i];

        assert_true(d->row != 0);
        say_effect(w, l, d);
        switch (d->kind) {
        case FO_DO_ACQUIRE: on_lease(w, l, false); break;
        case FO_DO_KEEP: on_lease(w, l, true); break;
        case FO_DO_RESIGN: on_resign(w, l); break;
        case FO_DO_READ: on_read(w, l); break;
        case FO_DO_STORE: on_store(w, l, d); break;
        case FO_DO_ACTION: on_action(w, l, d); break;
        case FO_DO_FAST: l->fast = d->on; break;
        default: break;
        }
    }
}

static inline void feed_all(struct world *w, struct fo_event *e)
{
    for (int i = 0; i < w->n_leaders; i++)
        if (w->leaders[i].up && !w->leaders[i].paused)
            feed(w, &w->leaders[i], e);
}

/* ---- time ---- */

static inline void look(struct world *w, int nth)
{
    struct watcher *x = &w->voters[nth];
    struct fo_event e;

    for (uint8_t r = 0; r < REGIONS; r++) {
        struct place *p = &x->place[r];

        if (p->of)
            voter_probe(&x->v, &x->c, r, 0, p->n++ % p->of < p->good, w->now);
        if (p->total)
            voter_users(&x->v, &x->c, r, (uint64_t)p->users, (uint64_t)p->total, w->now);
    }
    if (x->database_ms >= 0)
        voter_database(&x->v, &x->c, EAST, x->database_ms, w->now);
    for (uint8_t k = 0; k < x->c.n_canaries; k++)
        voter_canary(&x->v, &x->c, k, x->canaries, w->now);
    memset(&e, 0, sizeof e);
    e.kind = FO_E_VOTE;
    voter_look(&x->v, &x->c, w->now, &e.u.vote);
    e.u.vote.voter = (uint8_t)nth;
    if (!x->silent)
        feed_all(w, &e);
}

static inline void run_voters(struct world *w)
{
    bool fast = false;

    for (int i = 0; i < w->n_leaders; i++)
        fast = fast || (w->leaders[i].up && w->leaders[i].fast);
    for (int i = 0; i < w->n_voters; i++) {
        struct watcher *x = &w->voters[i];

        if (x->v.fast != fast)
            x->looked = 0; /* at once: others have to know how long the next vote may take */
        if (x->paused || w->now - x->looked < (fast ? 1000 : 5000))
            continue;
        voter_fast(&x->v, fast);
        for (uint8_t r = 0; r < REGIONS; r++)
            if (x->place[r].beats)
                voter_beat(&x->v, &x->c, r, 0, w->now);
        x->looked = w->now;
        look(w, i);
    }
}

static inline void run_facts(struct world *w)
{
    struct fo_event e;

    if (w->now - w->told_facts < 5000)
        return;
    w->told_facts = w->now;
    for (int r = 0; r < REGIONS; r++) {
        if (!w->ready_old[r])
            w->facts.region[r].ready_at = w->now;
        if (!w->lag_stalled[r])
            w->facts.region[r].lag_at = w->now;
    }
    memset(&e, 0, sizeof e);
    e.kind = FO_E_FACTS;
    e.u.facts = w->facts;
    feed_all(w, &e);
}

/* All aggregators answer that the authority is away, and promise not to act: the guard goes on. */
static inline bool promised(struct world *w)
{
    struct fo_event e;

    for (int i = 0; i < w->n_leaders; i++)
        if (!w->leaders[i].up || w->leaders[i].paused || reaches(w, &w->leaders[i]))
            return false;
    memset(&e, 0, sizeof e);
    e.kind = FO_E_PROMISED;
    e.u.promised.until = w->now + SERVING_MS;
    feed_all(w, &e);
    return true;
}

static inline bool somebody_reads(const struct world *w)
{
    for (int i = 0; i < w->n_leaders; i++)
        if (w->leaders[i].up && !w->leaders[i].paused && reaches(w, &w->leaders[i]))
            return true;
    return false;
}

static inline void run_guard(struct world *w, uint8_t r)
{
    struct guard *g = &w->guards[r];
    struct fo_event e;

    if (g->none || g->dead)
        return;
    if (!g->cut && w->now - g->asked >= GUARD_MS) {
        g->asked = w->now;
        if (w->known && somebody_reads(w)) {
            if (fo_may_serve(&w->record, r)) {
                if (!g->serving)
                    say(w, region_name(r), "serves again");
                g->serving = true;
                g->deadline = w->now + SERVING_MS;
            } else {
                if (g->serving)
                    say(w, region_name(r), "is told to stop");
                g->serving = false;
                g->fenced_epoch = w->record.epoch;
            }
        } else if (w->known && promised(w) && g->serving) {
            g->deadline = w->now + SERVING_MS;
        }
        if (!g->serving && w->known && somebody_reads(w)) {
            memset(&e, 0, sizeof e);
            e.kind = FO_E_FENCED;
            e.u.fenced.region = r;
            e.u.fenced.epoch = g->fenced_epoch;
            feed_all(w, &e);
        }
    }
    if (g->serving && w->now >= g->deadline) {
        g->serving = false;
        say(w, region_name(r), "stops by itself: nobody renews its lease");
    }
}

static inline void run_queue(struct world *w)
{
    for (int i = 0; i < WAITING; i++) {
        struct waiting *q = &w->queue[i];

        if (!q->live || q->due > w->now)
            continue;
        if (q->act) {
            arrive(w, q);
            q->act = false;
        }
        if (!q->to->up) {
            q->live = false;
        } else if (!q->to->paused) {
            struct fo_event e = q->e;

            q->live = false;
            feed(w, q->to, &e);
        }
    }
}

static inline void run_step(struct world *w)
{
    w->now += STEP_MS;
    expire(w);
    run_queue(w);
    run_voters(w);
    run_facts(w);
    for (uint8_t r = 0; r < REGIONS; r++)
        run_guard(w, r);
    for (int i = 0; i < w->n_leaders; i++) {
        struct leader *l = &w->leaders[i];
        bool calm = l->s.state == FO_S_STEADY || l->s.state == FO_S_FOLLOW || l->s.state == FO_S_HOLD;
        struct fo_event e;

        if (!l->up || l->paused || w->now - l->ticked < (calm ? 1000 : STEP_MS))
            continue;
        l->ticked = w->now;
        memset(&e, 0, sizeof e);
        e.kind = FO_E_TICK;
        feed(w, l, &e);
    }
    check_world(w);
}

static inline void run_until(struct world *w, int64_t at)
{
    while (w->now < at)
        run_step(w);
}

/* ---- making it ---- */

static inline void boot(struct world *w, struct leader *l)
{
    memset(&l->s, 0, sizeof l->s);
    fo_init(&l->s, &l->c, w->now, ++w->seed);
    l->up = true;
    l->paused = l->fast = false;
}

static inline void add_voter(struct world *w, const char *name, uint8_t domain)
{
    struct watcher *x = &w->voters[w->n_voters];

    w->base.voter_domain[w->n_voters++] = domain;
    *x = (struct watcher){.name = name, .canaries = true, .database_ms = -1};
    x->c = (struct vote_config){.n_regions = REGIONS,
                                .n_canaries = 3,
                                .n_probes = {1, 1},
                                .n_peers = {domain != EAST, domain != WEST},
                                .has_users = 1,
                                .own_region = domain < REGIONS ? domain : FO_NONE,
                                .tick_ms = 5000,
                                .fast_ms = 1000,
                                .beat_ms = 5000,
                                .down_probes = 3,
                                .up_probes = 20,
                                .up_ms = 120000,
                                .phi_milli = 8000,
                                .users_window_ms = 60000,
                                .users_least = 30,
                                .users_bad_ppm = 500000,
                                .users_good_ppm = 900000,
                                .gray_ms = 60000,
                                .database_ms = 10000,
                                .tilt_ms = 30000};
    for (int r = 0; r < REGIONS; r++)
        x->place[r] = (struct place){.good = 1, .of = 1, .beats = true};
    x->place[EAST].users = 990;
    x->place[EAST].total = 1000;
    voter_init(&x->v, &x->c, w->now, (uint64_t)w->n_voters);
}

static inline void add_action(struct world *w, uint8_t i, enum plan_step step, bool required)
{
    w->base.actions[i] = (struct fo_action){
        .step = (uint8_t)step, .required = required, .on = 7, .timeout_ms = 5000, .patience_ms = 60000};
}

static inline void world_make(struct world *w)
{
    struct fo_config *c = &w->base;

    memset(w, 0, sizeof *w);
    buf_init(&w->log, NULL, 1 << 22);
    buf_init(&w->whole, NULL, 1 << 24);
    w->now = 1000000;
    c->n_regions = REGIONS;
    c->automation = FO_AUTO;
    c->auto_ok = c->may_lead = c->fence_required = 1;
    c->guarded = 3;
    c->n_guards[EAST] = c->n_guards[WEST] = 1;
    c->budget_day = 1;
    c->budget_week = 2;
    c->n_actions = ACTIONS;
    add_action(w, A_FENCE, STEP_FENCE, false);
    add_action(w, A_PROMOTE, STEP_PROMOTE, true);
    add_action(w, A_SCALE, STEP_PROMOTE, false);
    add_action(w, A_WARM, STEP_WARM, false);
    add_action(w, A_TEST, STEP_TEST, true);
    add_action(w, A_ROUTE, STEP_SWITCH, true);
    add_action(w, A_DNS, STEP_SWITCH, false);
    add_action(w, A_CHECK, STEP_VALIDATE, true);
    add_action(w, A_REDIRECT, STEP_TIDY, false);
    add_action(w, A_CATCHUP, STEP_CATCHUP, true);
    c->actions[A_FENCE].undo = c->actions[A_CATCHUP].undo = 1;
    c->actions[A_CATCHUP].on = 1 << FO_SWITCHOVER | 1 << FO_DRILL;
    c->t = fo_production;
    w->facts.services = 1;
    w->facts.in_window = 1;
    for (int r = 0; r < REGIONS; r++)
        w->guards[r] = (struct guard){.serving = r == EAST, .deadline = INT64_MAX};
    w->was_resigned = true;
}

static inline void add_leader(struct world *w, const char *name, uint8_t voter)
{
    struct leader *l = &w->leaders[w->n_leaders++];

    *l = (struct leader){.name = name};
    l->c.self = voter;
}

/* Everybody starts; the world has been well for a quarter of an hour. */
static inline void world_steady(struct world *w)
{
    if (w->n_voters == 0) {
        add_voter(w, "east", EAST);
        add_voter(w, "west", WEST);
        add_voter(w, "north", NORTH_DOMAIN);
        add_voter(w, "south", NORTH_DOMAIN + 1);
        add_voter(w, "centre", NORTH_DOMAIN + 2);
    }
    if (w->n_leaders == 0) {
        add_leader(w, "west", 1);
        add_leader(w, "north", 2);
    }
    w->base.n_voters = (uint8_t)w->n_voters;
    for (int i = 0; i < w->n_leaders; i++) {
        struct leader *l = &w->leaders[i];
        uint8_t self = l->c.self, domain = w->base.voter_domain[self];

        l->c = w->base;
        l->c.self = self;
        l->c.own_region = domain < REGIONS ? domain : FO_NONE;
        boot(w, l);
        run_until(w, w->now + 2000); /* the first is the holder */
    }
    run_until(w, w->now + 900000);
    if (!w->holder || w->holder->s.state != FO_S_STEADY)
        fail_msg("the world does not become steady: %s",
                 w->holder ? fo_state_name(w->holder->s.state) : "no holder");
    w->origin = w->now;
    w->logging = true;
}

static inline void world_free(struct world *w)
{
    buf_free(&w->log);
    buf_free(&w->whole);
}

#endif
