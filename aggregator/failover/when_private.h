/* Conditions (when_) and decisions (then_) of the table's rows: core_when.c, core_step.c. */
#ifndef SB_FAILOVER_WHEN_PRIVATE_H
#define SB_FAILOVER_WHEN_PRIVATE_H

#include "aggregator/failover/core_private.h"

/* since != 0: the condition has held for so long. */
static inline bool held(const struct fo_turn *t, int64_t since, int32_t for_ms)
{
    return since != 0 && t->now - since >= for_ms;
}
static inline bool stayed(const struct fo_turn *t, int32_t ms)
{
    return t->now - t->s->entered >= ms;
}
static inline bool down(const struct fo_turn *t)
{
    return fo_bit(t->s->tally.hard_down, t->s->record.active) && !t->s->tilted;
}
static inline uint8_t status(const struct fo_turn *t)
{
    return t->s->record.status;
}
static inline bool planned(const struct fo_turn *t)
{
    return t->s->record.plan.kind != FO_FAILOVER;
}

bool when_abort_asked(struct fo_turn *t);
bool when_acked(struct fo_turn *t);
bool when_asked(struct fo_turn *t);
bool when_at_promote(struct fo_turn *t);
bool when_at_switch(struct fo_turn *t);
bool when_at_test(struct fo_turn *t);
bool when_at_tidy(struct fo_turn *t);
bool when_at_validate(struct fo_turn *t);
bool when_at_warm(struct fo_turn *t);
bool when_away(struct fo_turn *t);
bool when_boot_over(struct fo_turn *t);
bool when_broken(struct fo_turn *t);
bool when_cap(struct fo_turn *t);
bool when_catchup_failed(struct fo_turn *t);
bool when_caught_up(struct fo_turn *t);
bool when_cleared(struct fo_turn *t);
bool when_cleared_hold(struct fo_turn *t);
bool when_committed(struct fo_turn *t);
bool when_confirmed(struct fo_turn *t);
bool when_down_again(struct fo_turn *t);
bool when_doubt(struct fo_turn *t);
bool when_fails_asked(struct fo_turn *t);
bool when_fails_asked_down(struct fo_turn *t);
bool when_fails_asked_hold(struct fo_turn *t);
bool when_fails_unasked(struct fo_turn *t);
bool when_fence_failed(struct fo_turn *t);
bool when_fence_step_failed(struct fo_turn *t);
bool when_fence_word(struct fo_turn *t);
bool when_fenced(struct fo_turn *t);
bool when_fenced_planned(struct fo_turn *t);
bool when_glass(struct fo_turn *t);
bool when_granted(struct fo_turn *t);
bool when_gray_acts(struct fo_turn *t);
bool when_gray_clear(struct fo_turn *t);
bool when_gray_clear_hold(struct fo_turn *t);
bool when_gray_held(struct fo_turn *t);
bool when_hard_down(struct fo_turn *t);
bool when_health_back(struct fo_turn *t);
bool when_hold_over(struct fo_turn *t);
bool when_is_hold(struct fo_turn *t);
bool when_is_over(struct fo_turn *t);
bool when_is_steady(struct fo_turn *t);
bool when_is_stuck(struct fo_turn *t);
bool when_is_undo(struct fo_turn *t);
bool when_lost(struct fo_turn *t);
bool when_majority(struct fo_turn *t);
bool when_may_go_on(struct fo_turn *t);
bool when_may_not_go_on(struct fo_turn *t);
bool when_never(struct fo_turn *t);
bool when_not_caught_up(struct fo_turn *t);
bool when_not_committed(struct fo_turn *t);
bool when_not_so(struct fo_turn *t);
bool when_not_valid(struct fo_turn *t);
bool when_otherwise(struct fo_turn *t);
bool when_outside_heard(struct fo_turn *t);
bool when_passes(struct fo_turn *t);
bool when_promote_failed(struct fo_turn *t);
bool when_promoted(struct fo_turn *t);
bool when_reasons_clear(struct fo_turn *t);
bool when_recovered(struct fo_turn *t);
bool when_still_so(struct fo_turn *t);
bool when_switch_failed(struct fo_turn *t);
bool when_switched(struct fo_turn *t);
bool when_target_down(struct fo_turn *t);
bool when_test_failed(struct fo_turn *t);
bool when_tested(struct fo_turn *t);
bool when_tidy(struct fo_turn *t);
bool when_token_higher(struct fo_turn *t);
bool when_undo_failed(struct fo_turn *t);
bool when_undone(struct fo_turn *t);
bool when_undone_down(struct fo_turn *t);
bool when_unstuck(struct fo_turn *t);
bool when_unread(struct fo_turn *t);
bool when_valid(struct fo_turn *t);
bool when_warm(struct fo_turn *t);
bool when_warm_cap(struct fo_turn *t);
bool when_warm_failed(struct fo_turn *t);
void then_asked_anew(struct fo_turn *t);
void then_back_to_rest(struct fo_turn *t);
void then_begin(struct fo_turn *t);
void then_break_glass(struct fo_turn *t);
void then_forgive(struct fo_turn *t);
void then_give_up_warm(struct fo_turn *t);
void then_hold(struct fo_turn *t);
void then_read_first(struct fo_turn *t);
void then_refuse(struct fo_turn *t);
void then_resign(struct fo_turn *t);
void then_say_begun(struct fo_turn *t);
void then_say_gray(struct fo_turn *t);
void then_say_why(struct fo_turn *t);
void then_settle_in(struct fo_turn *t);
void then_settle_in_stuck(struct fo_turn *t);
void then_steady(struct fo_turn *t);
void then_steady_acked(struct fo_turn *t);
void then_stuck_promote(struct fo_turn *t);
void then_stuck_switch(struct fo_turn *t);
void then_stuck_target(struct fo_turn *t);
void then_stuck_test(struct fo_turn *t);
void then_stuck_token(struct fo_turn *t);
void then_stuck_undo(struct fo_turn *t);
void then_stuck_valid(struct fo_turn *t);
void then_stuck_warm(struct fo_turn *t);
void then_take_fence(struct fo_turn *t);
void then_take_valid(struct fo_turn *t);
void then_take_word(struct fo_turn *t);
void then_undo(struct fo_turn *t);
void then_undo_asked(struct fo_turn *t);
void then_undo_cap(struct fo_turn *t);
void then_undo_catchup(struct fo_turn *t);
void then_undo_fence(struct fo_turn *t);
void then_undo_fence_step(struct fo_turn *t);
void then_undo_lag(struct fo_turn *t);
void then_undo_look(struct fo_turn *t);
void then_unstick(struct fo_turn *t);
void then_nothing(struct fo_turn *t);

#endif
