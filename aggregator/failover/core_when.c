/* When rows of the table fire that are about the authority, the resumption of what another holder began, the votes, the
 * gate, the time after a move; and what they decide. */
#include "aggregator/failover/when_private.h"

/* ---- authority ---- */

bool when_never(struct fo_turn *t)
{
    (void)t;
    return false;
}
bool when_lost(struct fo_turn *t)
{
    return !t->s->leading;
}
bool when_away(struct fo_turn *t)
{
    return t->s->leading && t->now >= t->s->deadline;
}
bool when_boot_over(struct fo_turn *t)
{
    return t->now - t->s->started >= t->c->t.boot;
}
bool when_granted(struct fo_turn *t)
{
    return t->s->leading && t->now < t->s->deadline;
}
void then_read_first(struct fo_turn *t)
{
    fo_read_again(t);
}
bool when_outside_heard(struct fo_turn *t)
{
    const struct fo *s = t->s;

    if (!fo_quiet(t) || s->resigning || t->c->own_region != s->record.active || t->c->own_region == FO_NONE)
        return false;
    for (unsigned v = 0; v < t->c->n_voters && v < FO_VOTERS; v++)
        if (v != t->c->self && (t->c->witnesses & 1U << v) == 0 &&
            t->c->voter_domain[v] != s->record.active && s->heard[v].at != 0 && s->heard[v].vote.self_ok &&
            t->now - s->heard[v].at <= 2 * (int64_t)s->heard[v].vote.tick_ms)
            return true;
    return false;
}
/* The lease is ours and the record cannot be had: somebody else may read it. */
bool when_unread(struct fo_turn *t)
{
    return t->s->reading && stayed(t, FO_UNREAD);
}
void then_resign(struct fo_turn *t)
{
    fo_resign(t);
}

/* ---- resume ---- */

static bool claimed(const struct fo_turn *t)
{
    return fo_quiet(t) && t->s->known && fencing_cmp(t->s->record.token, t->s->token) == 0;
}
void then_settle_in(struct fo_turn *t)
{
    struct fo *s = t->s;
    bool open = false;

    for (unsigned i = 0; i < t->c->n_actions; i++)
        open |= fo_plan_is_live(&s->record) &&
                (s->record.plan.phase[i] == FO_INTENT || s->record.plan.phase[i] == FO_UNDOING);
    if (!open && s->first_effect > t->now)
        s->first_effect = t->now; /* nobody else can have something under way */
    fo_run_resume(t);
    s->reasons = 0;
}
void then_settle_in_stuck(struct fo_turn *t)
{
    then_settle_in(t);
    t->s->reasons = t->s->record.stuck_reason < FO_REASONS ? FO_BIT(t->s->record.stuck_reason) : 0;
}
bool when_is_steady(struct fo_turn *t)
{
    return claimed(t) && status(t) == FO_STEADY_STATUS;
}
bool when_is_hold(struct fo_turn *t)
{
    return claimed(t) && status(t) == FO_HOLD_STATUS;
}
bool when_is_stuck(struct fo_turn *t)
{
    return claimed(t) && status(t) == FO_STUCK_STATUS;
}
bool when_is_undo(struct fo_turn *t)
{
    return claimed(t) && status(t) == FO_UNDO_STATUS;
}
static bool open_plan(const struct fo_turn *t, bool past)
{
    return claimed(t) && status(t) == FO_PLAN && (t->s->record.plan.past_no_return != 0) == past;
}
bool when_may_go_on(struct fo_turn *t)
{
    return open_plan(t, false) && !fo_recovered(t) && fo_last_look(t) == 0;
}
bool when_is_over(struct fo_turn *t)
{
    return open_plan(t, false) && fo_recovered(t);
}
bool when_may_not_go_on(struct fo_turn *t)
{
    return open_plan(t, false) && stayed(t, t->c->t.fence);
}
static bool at_step(struct fo_turn *t, enum plan_step step)
{
    return open_plan(t, true) && t->s->record.plan.step == step;
}
bool when_at_promote(struct fo_turn *t)
{
    return open_plan(t, true) && t->s->record.plan.step <= STEP_PROMOTE;
}
bool when_at_warm(struct fo_turn *t)
{
    return at_step(t, STEP_WARM);
}
bool when_at_test(struct fo_turn *t)
{
    return at_step(t, STEP_TEST);
}
bool when_at_switch(struct fo_turn *t)
{
    return at_step(t, STEP_SWITCH);
}
bool when_at_validate(struct fo_turn *t)
{
    return at_step(t, STEP_VALIDATE);
}
bool when_at_tidy(struct fo_turn *t)
{
    return open_plan(t, true) && t->s->record.plan.step >= STEP_TIDY;
}

/* ---- detection ---- */

bool when_doubt(struct fo_turn *t)
{
    return fo_bit(t->s->tally.doubt, t->s->record.active) && !t->s->tilted;
}
bool when_hard_down(struct fo_turn *t)
{
    return down(t);
}
bool when_cleared(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.suspect_clear) && status(t) == FO_STEADY_STATUS;
}
bool when_cleared_hold(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.suspect_clear) && status(t) == FO_HOLD_STATUS;
}
void then_forgive(struct fo_turn *t)
{
    t->s->sticky = 0;
    t->s->reasons = 0;
}
/* A majority says that it is not well, and it is not hard down: nothing will move by itself, and people have to know why. */
bool when_majority(struct fo_turn *t)
{
    return held(t, t->s->ill_since, t->c->t.gray_page) && !down(t);
}
bool when_gray_held(struct fo_turn *t)
{
    return held(t, t->s->gray_since, t->c->t.gray_page);
}
void then_say_gray(struct fo_turn *t)
{
    t->s->reasons = FO_BIT(FO_R_GRAY);
}
bool when_gray_clear(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.gray_clear) && status(t) == FO_STEADY_STATUS;
}
bool when_gray_clear_hold(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.gray_clear) && status(t) == FO_HOLD_STATUS;
}
bool when_gray_acts(struct fo_turn *t)
{
    return t->c->gray_auto && held(t, t->s->gray_since, t->c->t.gray_auto);
}
bool when_broken(struct fo_turn *t)
{
    return !down(t);
}
bool when_confirmed(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.confirm);
}

/* ---- gate ---- */

bool when_asked(struct fo_turn *t)
{
    /* what was proposed may be approved while it is proposed */
    bool stale =
        t->s->pending.command == FO_C_APPROVE && t->s->state != FO_S_BLOCKED && t->s->state != FO_S_GRAY;

    return fo_asked(t->s) && fo_quiet(t) && !stale;
}
void then_asked_anew(struct fo_turn *t)
{
    t->s->sticky = 0;
}
bool when_passes(struct fo_turn *t)
{
    return fo_quiet(t) && fo_gate_reasons(t) == 0;
}
/* What passes by itself within moments is waited for. */
static bool fails(const struct fo_turn *t)
{
    fo_reasons r = fo_gate_reasons(t);
    bool moment = (r & ~(FO_BIT(FO_R_LEASE) | FO_BIT(FO_R_STORE))) == 0 && !stayed(t, 3 * FO_SECOND);

    return r != 0 && !moment;
}
bool when_fails_unasked(struct fo_turn *t)
{
    return !fo_asked(t->s) && fails(t);
}
bool when_fails_asked_down(struct fo_turn *t)
{
    return fo_asked(t->s) && fails(t) && down(t);
}
bool when_fails_asked_hold(struct fo_turn *t)
{
    return fo_asked(t->s) && fails(t) && status(t) == FO_HOLD_STATUS;
}
bool when_fails_asked(struct fo_turn *t)
{
    return fo_asked(t->s) && fails(t);
}
void then_say_why(struct fo_turn *t)
{
    fo_say_why(t);
}
void then_refuse(struct fo_turn *t)
{
    fo_reasons r = fo_gate_reasons(t);
    enum fo_reason first = FO_R_NONE;

    while (first < FO_REASONS && (r & FO_BIT(first)) == 0)
        first++;
    t->s->reasons = r;
    fo_answer(t, first, r);
}
void then_begin(struct fo_turn *t)
{
    t->s->reasons = 0;
    fo_plan_begin(t);
}
bool when_reasons_clear(struct fo_turn *t)
{
    return fo_quiet(t) && !fo_asked(t->s) && fo_gate_reasons(t) == 0;
}
bool when_health_back(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.confirm);
}

/* ---- after it ---- */

bool when_hold_over(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_HOLD_STATUS && t->wall >= t->s->record.hold_until;
}
void then_steady(struct fo_turn *t)
{
    struct fo_record *r = fo_draft(t);

    r->status = FO_STEADY_STATUS;
    r->hold_until = 0;
    t->s->reasons = 0;
}
bool when_down_again(struct fo_turn *t)
{
    return fo_quiet(t) && down(t);
}
bool when_acked(struct fo_turn *t)
{
    return fo_quiet(t) && fo_pending(t->s, FO_C_ACK) && status(t) == FO_HOLD_STATUS;
}
void then_steady_acked(struct fo_turn *t)
{
    fo_draft(t)->left = 0;
    then_steady(t);
    t->s->pending_on = 2;
}
bool when_unstuck(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_STUCK_STATUS &&
           (fo_pending(t->s, FO_C_RESUME) || fo_pending(t->s, FO_C_RETRY) || fo_pending(t->s, FO_C_SKIP));
}
void then_unstick(struct fo_turn *t)
{
    fo_unstick(t);
}
bool when_glass(struct fo_turn *t)
{
    return fo_quiet(t) && t->s->known && fo_pending(t->s, FO_C_BREAK_GLASS);
}
void then_break_glass(struct fo_turn *t)
{
    fo_break_glass(t);
}

void then_nothing(struct fo_turn *t)
{
    (void)t;
}

/* The record's status is not the one that this state stands on: something else was committed. */
bool when_otherwise(struct fo_turn *t)
{
    uint8_t st = status(t);

    if (!fo_quiet(t))
        return false;
    switch (t->s->state) {
    case FO_S_STEADY: return st != FO_STEADY_STATUS;
    case FO_S_SUSPECT:
    case FO_S_GRAY:
    case FO_S_CONFIRM:
    case FO_S_GATE:
    case FO_S_BLOCKED: return st != FO_STEADY_STATUS && st != FO_HOLD_STATUS;
    case FO_S_UNDO: return st != FO_UNDO_STATUS;
    case FO_S_HOLD: return st != FO_HOLD_STATUS;
    case FO_S_STUCK: return st != FO_STUCK_STATUS;
    default: return st != FO_PLAN;
    }
}
