/* When rows of the table fire that are about a plan under way, and what they decide. Every one follows the record: what it
 * writes is committed before the next row can fire. */
#include "aggregator/failover/when_private.h"

/* ---- plan ---- */

bool when_committed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN;
}
void then_say_begun(struct fo_turn *t)
{
    fo_answer(t, FO_R_NONE, 0); /* when the commit's own answer was lost */
}
bool when_not_committed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) != FO_PLAN;
}
bool when_abort_asked(struct fo_turn *t)
{
    return fo_quiet(t) && (fo_pending(t->s, FO_C_ABORT) || fo_pending(t->s, FO_C_DRILL_ABORT)) &&
           !t->s->record.plan.past_no_return && fo_plan_is_live(&t->s->record);
}
void then_undo(struct fo_turn *t)
{
    fo_plan_undo(t);
}
void then_undo_asked(struct fo_turn *t)
{
    const bool failover = t->s->record.plan.kind == FO_FAILOVER;

    fo_plan_undo(t);
    if (failover && t->s->pending.command == FO_C_ABORT)
        fo_command_propose(t);
    t->s->pending_on = 2;
}
bool when_token_higher(struct fo_turn *t)
{
    return fo_quiet(t) && (t->s->sticky & FO_BIT(FO_R_TOKEN_HIGHER)) != 0 && status(t) == FO_PLAN;
}
void then_stuck_token(struct fo_turn *t)
{
    fo_plan_stuck(t, FO_R_TOKEN_HIGHER);
}
bool when_recovered(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && fo_recovered(t);
}
bool when_cap(struct fo_turn *t)
{
    return fo_quiet(t) && t->s->record.plan.kind == FO_DRILL && status(t) == FO_PLAN &&
           t->wall - t->s->record.plan.began >= t->c->t.plan_most;
}
void then_undo_cap(struct fo_turn *t)
{
    t->s->reasons = FO_BIT(FO_R_CAP);
    fo_plan_undo(t);
}
bool when_fence_word(struct fo_turn *t)
{
    return fo_quiet(t) && fo_pending(t->s, FO_C_RESUME) && t->s->pending.fenced_by_hand;
}
void then_take_word(struct fo_turn *t)
{
    fo_run_give_up(t, STEP_FENCE);
    t->s->rung = 3;
    fo_answer(t, FO_R_NONE, 0);
}
/* A dead region's required actions that prove nothing have their time; once it is fenced they hold nothing up any more. */
static bool fence_done(const struct fo_turn *t)
{
    uint8_t rung = fo_fenced(t);
    bool optional = !t->c->fence_required &&
                    (!fo_can_fence(t->c, t->s->record.plan.from, FO_FAILOVER) || stayed(t, t->c->t.fence));

    if (rung == 0 && !optional)
        return false;
    if (planned(t))
        return (rung != 2) && fo_step_over(t, STEP_FENCE);
    if (stayed(t, t->c->t.fence))
        return true;
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (t->c->actions[i].step == STEP_FENCE && t->c->actions[i].required && !t->c->actions[i].proves &&
            (fo_phase_now(t->s, i) == FO_INTENT || fo_phase_now(t->s, i) == FO_IDLE))
            return false;
    return true;
}
bool when_fenced(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && !planned(t) && fence_done(t);
}
bool when_fenced_planned(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && planned(t) && fence_done(t);
}
void then_take_fence(struct fo_turn *t)
{
    t->s->rung = fo_fenced(t);
    fo_run_give_up(t, STEP_FENCE);
}
bool when_fence_failed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && fo_fenced(t) == 0 && stayed(t, t->c->t.fence);
}
void then_undo_fence(struct fo_turn *t)
{
    t->s->sticky |= FO_BIT(FO_R_FENCE_FAILED);
    t->s->reasons = t->s->sticky;
    fo_plan_undo(t);
}
bool when_fence_step_failed(struct fo_turn *t)
{
    bool waits = !planned(t) && (fo_bit(t->c->guarded, t->s->record.plan.from) || fo_fenced(t) != 0);

    return fo_quiet(t) && status(t) == FO_PLAN && !waits && fo_step_failed(t, STEP_FENCE) != FO_R_NONE;
}
static void undo_step(struct fo_turn *t, enum plan_step step)
{
    t->s->sticky |= FO_BIT(fo_step_failed(t, step));
    t->s->reasons = t->s->sticky;
    fo_plan_undo(t);
}
void then_undo_fence_step(struct fo_turn *t)
{
    undo_step(t, STEP_FENCE);
}
/* An action that waits for the target says so itself; without one the figures of the lag have to, of after the fence. */
static bool told_caught_up(const struct fo_turn *t)
{
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (t->c->actions[i].step == STEP_CATCHUP && t->c->actions[i].required &&
            fo_phase_now(t->s, i) == FO_DONE)
            return true;
    return false;
}
bool when_caught_up(struct fo_turn *t)
{
    const struct fo *s = t->s;
    const struct fo_region_facts *f = &s->facts.region[s->record.plan.to % FO_REGIONS];
    bool none = f->lag_ms == 0 && f->lag_at > s->entered;
    bool blind = f->lag_ms < 0 && (t->c->accept_unknown_lag || s->record.plan.accepted_loss_ms >= 0);

    return fo_quiet(t) && status(t) == FO_PLAN && s->record.plan.step == STEP_CATCHUP &&
           fo_step_over(t, STEP_CATCHUP) && (none || blind || told_caught_up(t));
}
bool when_not_caught_up(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && stayed(t, t->c->t.catchup);
}
void then_undo_lag(struct fo_turn *t)
{
    t->s->reasons = FO_BIT(FO_R_LAG_NOT_ZERO);
    fo_plan_undo(t);
}
bool when_catchup_failed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && fo_step_failed(t, STEP_CATCHUP) != FO_R_NONE;
}
void then_undo_catchup(struct fo_turn *t)
{
    undo_step(t, STEP_CATCHUP);
}
bool when_still_so(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && (t->s->record.plan.fenced != 0 || !t->c->fence_required) &&
           t->s->record.plan.fenced_at != 0 && fo_last_look(t) == 0;
}
/* What passes by itself (a jump of our clock, a promise, a moment without the store) is waited for as long as for a fence. */
bool when_not_so(struct fo_turn *t)
{
    const fo_reasons moments =
        FO_BIT(FO_R_LEASE) | FO_BIT(FO_R_STORE) | FO_BIT(FO_R_TILT) | FO_BIT(FO_R_PROMISED);
    fo_reasons r = fo_last_look(t);

    return fo_quiet(t) && status(t) == FO_PLAN && t->s->record.plan.fenced_at != 0 && r != 0 &&
           stayed(t, (r & ~moments) != 0 ? t->c->t.confirm : t->c->t.fence);
}
void then_undo_look(struct fo_turn *t)
{
    t->s->reasons = fo_last_look(t);
    fo_plan_undo(t);
}
static bool undo_over(const struct fo_turn *t)
{
    return fo_quiet(t) && (status(t) == FO_STEADY_STATUS || status(t) == FO_HOLD_STATUS);
}
bool when_undone_down(struct fo_turn *t)
{
    return undo_over(t) && down(t);
}
bool when_undone(struct fo_turn *t)
{
    return undo_over(t);
}
/* What stopped this move does not stand in the way of the next. */
void then_back_to_rest(struct fo_turn *t)
{
    t->s->sticky = 0;
}
bool when_undo_failed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_UNDO_STATUS && fo_undo_failed(t) != FO_R_NONE;
}
void then_stuck_undo(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_undo_failed(t));
    for (unsigned i = 0; i < FO_ACTIONS; i++)
        t->s->runs[i].settled = FO_IDLE;
}

static bool over(const struct fo_turn *t, enum plan_step step)
{
    return fo_quiet(t) && status(t) == FO_PLAN && t->s->record.plan.step == step && fo_step_over(t, step);
}
static bool failed(const struct fo_turn *t, enum plan_step step)
{
    return fo_quiet(t) && status(t) == FO_PLAN && fo_step_failed(t, step) != FO_R_NONE;
}
bool when_promoted(struct fo_turn *t)
{
    return over(t, STEP_PROMOTE) && t->s->record.plan.past_no_return;
}
bool when_promote_failed(struct fo_turn *t)
{
    return failed(t, STEP_PROMOTE);
}
void then_stuck_promote(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_step_failed(t, STEP_PROMOTE));
}
bool when_warm(struct fo_turn *t)
{
    return over(t, STEP_WARM);
}
bool when_warm_cap(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && t->s->record.plan.step == STEP_WARM &&
           stayed(t, t->c->t.warm);
}
void then_give_up_warm(struct fo_turn *t)
{
    fo_run_give_up(t, STEP_WARM);
}
bool when_warm_failed(struct fo_turn *t)
{
    return failed(t, STEP_WARM);
}
void then_stuck_warm(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_step_failed(t, STEP_WARM));
}
bool when_tested(struct fo_turn *t)
{
    return over(t, STEP_TEST) && fo_target_up(t);
}
bool when_test_failed(struct fo_turn *t)
{
    return failed(t, STEP_TEST);
}
void then_stuck_test(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_step_failed(t, STEP_TEST));
}
bool when_switched(struct fo_turn *t)
{
    return over(t, STEP_SWITCH) && t->s->record.active == t->s->record.plan.to;
}
/* In TEST or SWITCH: nobody is sent to where a majority does not see users served. */
bool when_target_down(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && !fo_target_up(t) && stayed(t, t->c->t.validate_most);
}
void then_stuck_target(struct fo_turn *t)
{
    fo_plan_stuck(t, FO_R_TARGET_DOWN);
}
bool when_switch_failed(struct fo_turn *t)
{
    return failed(t, STEP_SWITCH);
}
void then_stuck_switch(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_step_failed(t, STEP_SWITCH));
}
bool when_valid(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && t->s->record.plan.step == STEP_VALIDATE &&
           held(t, t->s->since, t->c->t.validate);
}
void then_take_valid(struct fo_turn *t)
{
    fo_run_give_up(t, STEP_VALIDATE);
}
bool when_not_valid(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && stayed(t, t->c->t.validate_most) && t->s->since == 0;
}
void then_stuck_valid(struct fo_turn *t)
{
    fo_plan_stuck(t, FO_R_NOT_VALID);
}
bool when_tidy(struct fo_turn *t)
{
    if (!fo_quiet(t) || status(t) != FO_PLAN || t->s->record.plan.step != STEP_TIDY)
        return false;
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (t->c->actions[i].step == STEP_TIDY &&
            (fo_phase_now(t->s, i) == FO_INTENT || fo_phase_now(t->s, i) == FO_IDLE))
            return false;
    return true;
}
void then_hold(struct fo_turn *t)
{
    fo_plan_hold(t);
}
