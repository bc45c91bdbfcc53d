/* A small world around one core, for unit tests: an authority, voters, regions' health, targets of actions. Everything
 * answers at once or when told to; time moves by rig_run alone. */
#ifndef SB_TESTS_FO_RIG_H
#define SB_TESTS_FO_RIG_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/failover/failover.h"
#include "tests/unit/fo_production.h"

enum { EAST, WEST, THIRD };
enum { A_FENCE, A_PROMOTE, A_SCALE, A_TEST, A_SWITCH, A_VALIDATE, A_TIDY, A_CATCHUP, ACTIONS };
enum { RIG_VISITS = 256, FO_SECOND_MS = 1000 };

struct rig {
    struct fo s;
    struct fo_config c;
    int64_t now, wall;
    /* authority */
    struct fo_record record;
    uint64_t rev, lease_rev;
    bool unreadable;
    bool known, away, held_by_other, lose_next_answer, conflict_next;
    int stores, late_store; /* that one is answered "unknown", and done when late_ms have passed */
    int64_t late_ms, late_at;
    uint64_t late_rev, late_lease;
    struct fo_record late;
    int die_at_store, die_at_action; /* the process ends when that one has been done; 0 never */
    bool dead, die_undone;           /* … or asked for, and not done */
    int actions_begun;
    /* what voters see */
    uint8_t verdict[FO_REGIONS];
    uint8_t said[FO_VOTERS]; /* of home by one voter, instead of the truth */
    bool gray[FO_REGIONS], silent[FO_VOTERS], tilted[FO_VOTERS], muted;
    uint64_t seq;
    int64_t voted;
    /* targets */
    bool applied[FO_ACTIONS], mute[FO_ACTIONS]; /* mute: never answered */
    uint8_t answer[FO_ACTIONS][ACTION_OPS];     /* class + 1 instead of the truth; 0: the truth */
    int applies[FO_ACTIONS], undos[FO_ACTIONS], probes[FO_ACTIONS], first_op[FO_ACTIONS];
    struct fencing found;
    bool guards_fence; /* old region's guards obey at once */
    bool silent_facts;
    struct fo_facts facts;
    /* what was seen */
    uint16_t rows[RIG_VISITS];
    uint8_t states[RIG_VISITS];
    fo_reasons why[RIG_VISITS];
    int visits;
    int pages[FO_STATES], level[FO_STATES];
    uint16_t answered_code;
    uint64_t answered;
    int answers, told_failed;
    int64_t effect_at, effect_end; /* of the last action begun */
    uint64_t ids;
    uint64_t order_id;
};

static inline void rig_event(struct rig *w, struct fo_event *e);

static inline struct fo_event rig_make(struct rig *w, enum fo_event_kind kind)
{
    struct fo_event e;

    memset(&e, 0, sizeof e);
    e.kind = (uint8_t)kind;
    e.now = w->now;
    e.wall = w->wall;
    return e;
}

static inline void rig_lease(struct rig *w, enum fo_lease what)
{
    struct fo_event e = rig_make(w, FO_E_LEASE);

    e.u.lease.what = (uint8_t)(w->away ? FO_LEASE_ERROR : w->held_by_other ? FO_LEASE_HELD_BY_OTHER : what);
    if (e.u.lease.what == FO_LEASE_HELD_BY_OTHER && what == FO_LEASE_KEPT)
        e.u.lease.what = FO_LEASE_LOST;
    if (e.u.lease.what == FO_LEASE_GRANTED)
        w->lease_rev = ++w->rev;
    e.u.lease.token = (struct fencing){1, w->lease_rev};
    e.u.lease.sent = w->now;
    e.u.lease.resigned = 1;
    rig_event(w, &e);
}

static inline void rig_read(struct rig *w)
{
    struct fo_event e = rig_make(w, FO_E_RECORD);

    if (w->away || w->unreadable)
        return;
    e.u.record.known = w->known;
    e.u.record.rev = w->known ? w->rev : 0;
    e.u.record.record = w->record;
    rig_event(w, &e);
}

static inline void rig_store(struct rig *w, const struct fo_effect *d)
{
    struct fo_event e = rig_make(w, FO_E_STORED);

    e.u.stored.id = d->id;
    w->stores++;
    if (w->stores == w->late_store) {
        e.u.stored.what = FO_STORED_UNKNOWN;
        w->late = w->s.next;
        w->unreadable = true; /* nobody hears for a while what became of it */
        w->late_at = w->now + w->late_ms;
        w->late_rev = w->s.rev;
        w->late_lease = w->lease_rev;
    } else if (w->away)
        e.u.stored.what = FO_STORED_UNKNOWN;
    else if (w->held_by_other)
        e.u.stored.what = FO_STORED_LOST;
    else if (w->conflict_next || (w->known && w->s.rev != w->rev)) {
        e.u.stored.what = FO_STORED_CONFLICT;
        w->conflict_next = false;
    } else {
        w->record = w->s.next;
        w->known = true;
        e.u.stored.rev = ++w->rev;
        e.u.stored.what = w->lose_next_answer ? FO_STORED_UNKNOWN : FO_STORED_OK;
        w->lose_next_answer = false;
    }
    if (w->stores == w->die_at_store)
        w->dead = true; /* committed, and nobody heard */
    rig_event(w, &e);
}

static inline enum action_class rig_truth(struct rig *w, uint8_t i, uint8_t op)
{
    switch (op) {
    case ACTION_APPLY: {
        bool was = w->applied[i];

        w->applies[i]++;
        w->applied[i] = true;
        return was ? ACTION_ALREADY : ACTION_OK;
    }
    case ACTION_UNDO:
        w->undos[i]++;
        w->applied[i] = false;
        return ACTION_OK;
    default:
        w->probes[i]++;
        if (w->c.actions[i].step == STEP_VALIDATE)
            return ACTION_OK;
        return w->applied[i] ? ACTION_OK : ACTION_NOT_APPLIED;
    }
}

static inline void rig_action(struct rig *w, const struct fo_effect *d)
{
    struct fo_event e = rig_make(w, FO_E_ACTION);
    uint8_t i = d->action, said = w->answer[i][d->op];

    assert_true(i < w->c.n_actions && d->op < ACTION_OPS && d->op != ACTION_PRECHECK);
    assert_true(d->timeout_ms >= FO_SECOND_MS && w->now + d->timeout_ms + 1000 < w->s.deadline);
    assert_int_equal(w->record.plan.phase[i], d->op == ACTION_UNDO ? FO_UNDOING : FO_INTENT);
    if (w->first_op[i] < 0)
        w->first_op[i] = d->op;
    w->effect_at = w->now;
    if (++w->actions_begun == w->die_at_action) {
        w->dead = true;
        if (!w->die_undone)
            (void)rig_truth(w, i, d->op);
        return;
    }
    if (w->mute[i])
        return;
    e.u.action.action = i;
    e.u.action.op = d->op;
    e.u.action.id = d->id;
    e.u.action.class = (uint8_t)(said ? said - 1 : (int)rig_truth(w, i, d->op));
    e.u.action.found = w->found;
    rig_event(w, &e);
}

static inline void rig_told(struct rig *w, const struct fo_effect *d)
{
    if (d->from == d->to) {
        w->told_failed++;
        return;
    }
    if (w->visits < RIG_VISITS) {
        w->rows[w->visits] = d->row;
        w->why[w->visits] = d->reasons;
        w->states[w->visits++] = d->to;
    }
    if (getenv("FO_TRACE"))
        printf("%8.1f row %u %s -> %s reasons %llx\n", (double)w->now / 1000, d->row, fo_state_name(d->from),
               fo_state_name(d->to), (unsigned long long)d->reasons);
}

static inline void rig_event(struct rig *w, struct fo_event *e)
{
    struct fo_effects out;

    if (w->dead)
        return;
    fo_step(&w->s, &w->c, e, &out);
    assert_int_equal(out.lost, 0);
    for (uint32_t i = 0; i < out.n; i++) {
        const struct fo_effect *d = &out.v[i];

        assert_true(d->row != 0);
        if (d->kind == FO_DO_TELL)
            rig_told(w, d);
        else if (d->kind == FO_DO_PAGE)
            w->pages[d->to] = d->on, w->level[d->to] = d->level;
        else if (d->kind == FO_DO_ANSWER) {
            w->answered_code = d->code;
            w->answered = d->id;
            w->answers++;
        }
    }
    for (uint32_t i = 0; i < out.n && !w->dead; i++) {
        const struct fo_effect *d = &out.v[i];

        switch (d->kind) {
        case FO_DO_ACQUIRE: rig_lease(w, FO_LEASE_GRANTED); break;
        case FO_DO_KEEP: rig_lease(w, FO_LEASE_KEPT); break;
        case FO_DO_READ: rig_read(w); break;
        case FO_DO_STORE: rig_store(w, d); break;
        case FO_DO_ACTION: rig_action(w, d); break;
        default: break;
        }
    }
}

static inline void rig_votes(struct rig *w)
{
    w->seq++;
    for (uint8_t v = 0; v < w->c.n_voters; v++) {
        struct fo_event e = rig_make(w, FO_E_VOTE);

        if (w->silent[v] || w->muted)
            continue;
        e.u.vote.boot = 7;
        e.u.vote.seq = w->seq;
        e.u.vote.tick_ms = 1000;
        e.u.vote.voter = v;
        e.u.vote.self_ok = !w->tilted[v];
        for (uint8_t r = 0; r < w->c.n_regions; r++) {
            e.u.vote.verdict[r] = w->said[v] && r == EAST ? w->said[v] : w->verdict[r];
            e.u.vote.classes[r] = FO_PROBES | FO_HEARTBEAT;
            if (w->gray[r])
                e.u.vote.gray = (uint8_t)(e.u.vote.gray | 1U << r);
            e.u.vote.users[r] = w->gray[r] ? FO_USERS_BAD : FO_USERS_UNKNOWN;
        }
        rig_event(w, &e);
    }
}

static inline void rig_facts(struct rig *w)
{
    struct fo_event e = rig_make(w, FO_E_FACTS);

    if (!w->silent_facts)
        for (uint8_t r = 0; r < w->c.n_regions; r++) {
            w->facts.region[r].ready_at = w->now;
            if (w->verdict[w->s.record.active] != FO_DOWN)
                w->facts.region[r].lag_at = w->now;
        }
    e.u.facts = w->facts;
    rig_event(w, &e);
}

static inline void rig_fenced(struct rig *w)
{
    struct fo_event e = rig_make(w, FO_E_FENCED);

    if (!w->guards_fence || w->record.status != FO_PLAN)
        return;
    e.u.fenced.region = w->record.plan.from;
    e.u.fenced.epoch = w->record.epoch;
    rig_event(w, &e);
}

static inline void rig_run(struct rig *w, int64_t ms)
{
    int64_t end = w->now + ms;

    while (w->now < end) {
        struct fo_event e;

        w->now += 100;
        w->wall += 100;
        if (w->late_at != 0 && w->now >= w->late_at) {
            w->late_at = 0;
            if (w->rev == w->late_rev && w->lease_rev == w->late_lease) {
                w->record = w->late;
                w->rev++;
            }
        }
        if (w->now - w->voted >= 1000) {
            w->voted = w->now;
            rig_votes(w);
            rig_facts(w);
            rig_fenced(w);
        }
        e = rig_make(w, FO_E_TICK);
        rig_event(w, &e);
    }
}

/* Until the state is reached, at most for ms. */
static inline bool rig_until(struct rig *w, enum fo_state state, int64_t ms)
{
    int64_t end = w->now + ms;

    while (w->now < end && w->s.state != state)
        rig_run(w, 100);
    return w->s.state == state;
}

static inline uint16_t rig_order(struct rig *w, struct fo_order o)
{
    struct fo_event e = rig_make(w, FO_E_COMMAND);

    o.id = ++w->order_id;
    if (!o.who[0])
        (void)snprintf(o.who, sizeof o.who, "anna");
    e.u.order = o;
    w->answered = 0;
    rig_event(w, &e);
    for (int i = 0; i < 60 && w->answered != o.id; i++)
        rig_run(w, 100);
    assert_int_equal(w->answered, o.id);
    return w->answered_code;
}
static inline struct fo_order rig_command(enum fo_command c, uint8_t region)
{
    struct fo_order o;

    memset(&o, 0, sizeof o);
    o.command = (uint8_t)c;
    o.region = region;
    o.action = FO_NONE;
    o.accept_loss_ms = -1;
    return o;
}

static inline bool rig_visited(const struct rig *w, enum fo_state state)
{
    for (int i = 0; i < w->visits; i++)
        if (w->states[i] == state)
            return true;
    return false;
}
static inline bool rig_fired(const struct rig *w, uint16_t row)
{
    for (int i = 0; i < w->visits; i++)
        if (w->rows[i] == row)
            return true;
    return false;
}

static inline void rig_add(struct rig *w, uint8_t i, enum plan_step step, bool required, bool undo)
{
    w->c.actions[i] = (struct fo_action){.step = (uint8_t)step,
                                         .required = required,
                                         .undo = undo,
                                         .on = 7,
                                         .timeout_ms = 5000,
                                         .patience_ms = 60000};
}

static inline void rig_restart(struct rig *w)
{
    w->dead = false;
    fo_init(&w->s, &w->c, w->now, 42);
}

/* Three regions in the world, two that serve; five voters, three of them outside home; automation on. */
static inline struct rig *rig_new(void)
{
    struct rig *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->c.n_regions = 2;
    w->c.n_voters = 5;
    w->c.self = 1;
    w->c.own_region = WEST;
    w->c.voter_domain[0] = EAST;
    w->c.voter_domain[1] = w->c.voter_domain[2] = WEST;
    w->c.voter_domain[3] = FO_REGIONS;
    w->c.voter_domain[4] = FO_REGIONS + 1;
    w->c.automation = FO_AUTO;
    w->c.auto_ok = w->c.may_lead = 1;
    w->c.guarded = 3;
    w->c.n_guards[EAST] = w->c.n_guards[WEST] = 1;
    w->c.budget_day = 1;
    w->c.budget_week = 2;
    w->c.fence_required = 1;
    w->c.n_actions = ACTIONS;
    rig_add(w, A_FENCE, STEP_FENCE, false, true);
    rig_add(w, A_PROMOTE, STEP_PROMOTE, true, false);
    rig_add(w, A_SCALE, STEP_PROMOTE, false, false);
    rig_add(w, A_TEST, STEP_TEST, true, false);
    rig_add(w, A_SWITCH, STEP_SWITCH, true, false);
    rig_add(w, A_VALIDATE, STEP_VALIDATE, true, false);
    rig_add(w, A_TIDY, STEP_TIDY, false, false);
    rig_add(w, A_CATCHUP, STEP_CATCHUP, true, true);
    w->c.actions[A_CATCHUP].on = 6;
    w->c.t = fo_production;
    w->now = 1000000;
    w->wall = 1800000000000;
    w->guards_fence = true;
    w->facts.services = 1;
    w->facts.in_window = 1;
    w->verdict[EAST] = w->verdict[WEST] = FO_UP;
    for (int i = 0; i < FO_ACTIONS; i++)
        w->first_op[i] = -1;
    rig_restart(w);
    return w;
}

/* Steady for so long that a failover is allowed. */
static inline struct rig *rig_steady(void)
{
    struct rig *w = rig_new();

    rig_run(w, 700000);
    assert_int_equal(w->s.state, FO_S_STEADY);
    w->visits = 0;
    return w;
}

#endif
