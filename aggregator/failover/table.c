/* The table: every way from one state to another, as a numbered row. The first row whose condition holds fires. Numbers are
 * never used again for something else: they stand in journals.
 *
 *   1xx authority   2xx detection   3xx gate   4xx plan   5xx after it   6xx commands   7xx break glass by hand
 *   80x the record says otherwise   85x authority away   90x lease lost     (last two digits: the state)
 *
 * Conditions of rows that write, or that follow the record, ask for fo_quiet: nothing is being committed, nothing has to be
 * read first, nothing is decided yet in this step. */
#include "aggregator/failover/core_private.h"

static bool held(const struct fo_turn *t, int64_t since, int32_t for_ms)
{
    return since != 0 && t->now - since >= for_ms;
}
static bool stayed(const struct fo_turn *t, int32_t ms)
{
    return t->now - t->s->entered >= ms;
}
static bool down(const struct fo_turn *t)
{
    return fo_bit(t->s->tally.hard_down, t->s->record.active) && !t->s->tilted;
}
static uint8_t status(const struct fo_turn *t)
{
    return t->s->record.status;
}
static bool planned(const struct fo_turn *t)
{
    return t->s->record.plan.kind != FO_FAILOVER;
}

/* ---- authority ---- */

static bool never(struct fo_turn *t)
{
    (void)t;
    return false;
}
static bool lost(struct fo_turn *t)
{
    return !t->s->leading;
}
static bool away(struct fo_turn *t)
{
    return t->s->leading && t->now >= t->s->deadline;
}
static bool boot_over(struct fo_turn *t)
{
    return t->now - t->s->started >= t->c->t.boot;
}
static bool granted(struct fo_turn *t)
{
    return t->s->leading && t->now < t->s->deadline;
}
static void read_first(struct fo_turn *t)
{
    fo_read_again(t);
}
static bool outside_heard(struct fo_turn *t)
{
    const struct fo *s = t->s;

    if (!fo_quiet(t) || s->resigning || t->c->own_region != s->record.active || t->c->own_region == FO_NONE)
        return false;
    for (unsigned v = 0; v < t->c->n_voters && v < FO_VOTERS; v++)
        if (v != t->c->self && t->c->voter_domain[v] != s->record.active && s->heard[v].at != 0 &&
            s->heard[v].vote.self_ok && t->now - s->heard[v].at <= 2 * (int64_t)s->heard[v].vote.tick_ms)
            return true;
    return false;
}
static void resign(struct fo_turn *t)
{
    fo_resign(t);
}

/* ---- resume ---- */

static bool claimed(const struct fo_turn *t)
{
    return fo_quiet(t) && t->s->known && fencing_cmp(t->s->record.token, t->s->token) == 0;
}
static void settle_in(struct fo_turn *t)
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
static void settle_in_stuck(struct fo_turn *t)
{
    settle_in(t);
    t->s->reasons = t->s->record.stuck_reason < FO_REASONS ? FO_BIT(t->s->record.stuck_reason) : 0;
}
static bool is_steady(struct fo_turn *t)
{
    return claimed(t) && status(t) == FO_STEADY_STATUS;
}
static bool is_hold(struct fo_turn *t)
{
    return claimed(t) && status(t) == FO_HOLD_STATUS;
}
static bool is_stuck(struct fo_turn *t)
{
    return claimed(t) && status(t) == FO_STUCK_STATUS;
}
static bool is_undo(struct fo_turn *t)
{
    return claimed(t) && status(t) == FO_UNDO_STATUS;
}
static bool open_plan(const struct fo_turn *t, bool past)
{
    return claimed(t) && status(t) == FO_PLAN && (t->s->record.plan.past_no_return != 0) == past;
}
static bool may_go_on(struct fo_turn *t)
{
    return open_plan(t, false) && !fo_recovered(t) && fo_last_look(t) == 0;
}
static bool is_over(struct fo_turn *t)
{
    return open_plan(t, false) && fo_recovered(t);
}
static bool may_not_go_on(struct fo_turn *t)
{
    return open_plan(t, false) && stayed(t, t->c->t.fence);
}
static bool at_step(struct fo_turn *t, enum plan_step step)
{
    return open_plan(t, true) && t->s->record.plan.step == step;
}
static bool at_promote(struct fo_turn *t)
{
    return open_plan(t, true) && t->s->record.plan.step <= STEP_PROMOTE;
}
static bool at_warm(struct fo_turn *t)
{
    return at_step(t, STEP_WARM);
}
static bool at_test(struct fo_turn *t)
{
    return at_step(t, STEP_TEST);
}
static bool at_switch(struct fo_turn *t)
{
    return at_step(t, STEP_SWITCH);
}
static bool at_validate(struct fo_turn *t)
{
    return at_step(t, STEP_VALIDATE);
}
static bool at_tidy(struct fo_turn *t)
{
    return open_plan(t, true) && t->s->record.plan.step >= STEP_TIDY;
}

/* ---- detection ---- */

static bool doubt(struct fo_turn *t)
{
    return fo_bit(t->s->tally.doubt, t->s->record.active) && !t->s->tilted;
}
static bool hard_down(struct fo_turn *t)
{
    return down(t);
}
static bool cleared(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.suspect_clear) && status(t) == FO_STEADY_STATUS;
}
static bool cleared_hold(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.suspect_clear) && status(t) == FO_HOLD_STATUS;
}
static void forgive(struct fo_turn *t)
{
    t->s->sticky = 0;
    t->s->reasons = 0;
}
static bool gray_held(struct fo_turn *t)
{
    return held(t, t->s->gray_since, t->c->t.gray_page);
}
static void say_gray(struct fo_turn *t)
{
    t->s->reasons = FO_BIT(FO_R_GRAY);
}
static bool gray_clear(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.gray_clear) && status(t) == FO_STEADY_STATUS;
}
static bool gray_clear_hold(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.gray_clear) && status(t) == FO_HOLD_STATUS;
}
static bool gray_acts(struct fo_turn *t)
{
    return t->c->gray_auto && held(t, t->s->gray_since, t->c->t.gray_auto);
}
static bool broken(struct fo_turn *t)
{
    return !down(t);
}
static bool confirmed(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.confirm);
}

/* ---- gate ---- */

static bool asked(struct fo_turn *t)
{
    return fo_asked(t->s) && fo_quiet(t);
}
static void asked_anew(struct fo_turn *t)
{
    t->s->sticky = 0;
}
static bool passes(struct fo_turn *t)
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
static bool fails_unasked(struct fo_turn *t)
{
    return !fo_asked(t->s) && fails(t);
}
static bool fails_asked_down(struct fo_turn *t)
{
    return fo_asked(t->s) && fails(t) && down(t);
}
static bool fails_asked_hold(struct fo_turn *t)
{
    return fo_asked(t->s) && fails(t) && status(t) == FO_HOLD_STATUS;
}
static bool fails_asked(struct fo_turn *t)
{
    return fo_asked(t->s) && fails(t);
}
static void say_why(struct fo_turn *t)
{
    t->s->reasons = fo_gate_reasons(t);
}
static void refuse(struct fo_turn *t)
{
    fo_reasons r = fo_gate_reasons(t);
    enum fo_reason first = FO_R_NONE;

    while (first < FO_REASONS && (r & FO_BIT(first)) == 0)
        first++;
    t->s->reasons = r;
    fo_answer(t, first, r);
}
static void begin(struct fo_turn *t)
{
    t->s->reasons = 0;
    fo_plan_begin(t);
}
static bool reasons_clear(struct fo_turn *t)
{
    return fo_quiet(t) && !fo_asked(t->s) && fo_gate_reasons(t) == 0;
}
static bool health_back(struct fo_turn *t)
{
    return held(t, t->s->since, t->c->t.confirm);
}

/* ---- plan ---- */

static bool committed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN;
}
static void say_begun(struct fo_turn *t)
{
    fo_answer(t, FO_R_NONE, 0); /* when the commit's own answer was lost */
}
static bool not_committed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) != FO_PLAN;
}
static bool abort_asked(struct fo_turn *t)
{
    return fo_quiet(t) && (fo_pending(t->s, FO_C_ABORT) || fo_pending(t->s, FO_C_DRILL_ABORT)) &&
           !t->s->record.plan.past_no_return && fo_plan_is_live(&t->s->record);
}
static void undo(struct fo_turn *t)
{
    fo_plan_undo(t);
}
static void undo_asked(struct fo_turn *t)
{
    fo_plan_undo(t);
    t->s->pending_on = 2;
}
static bool token_higher(struct fo_turn *t)
{
    return fo_quiet(t) && (t->s->sticky & FO_BIT(FO_R_TOKEN_HIGHER)) != 0 && status(t) == FO_PLAN;
}
static void stuck_token(struct fo_turn *t)
{
    fo_plan_stuck(t, FO_R_TOKEN_HIGHER);
}
static bool recovered(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && fo_recovered(t);
}
static bool cap(struct fo_turn *t)
{
    return fo_quiet(t) && t->s->record.plan.kind == FO_DRILL && status(t) == FO_PLAN &&
           t->wall - t->s->record.plan.began >= t->c->t.plan_most;
}
static void undo_cap(struct fo_turn *t)
{
    t->s->reasons = FO_BIT(FO_R_CAP);
    fo_plan_undo(t);
}
static bool fence_word(struct fo_turn *t)
{
    return fo_quiet(t) && fo_pending(t->s, FO_C_RESUME) && t->s->pending.fenced_by_hand;
}
static void take_word(struct fo_turn *t)
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
static bool fenced(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && !planned(t) && fence_done(t);
}
static bool fenced_planned(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && planned(t) && fence_done(t);
}
static void take_fence(struct fo_turn *t)
{
    t->s->rung = fo_fenced(t);
    fo_run_give_up(t, STEP_FENCE);
}
static bool fence_failed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && fo_fenced(t) == 0 && stayed(t, t->c->t.fence);
}
static void undo_fence(struct fo_turn *t)
{
    t->s->sticky |= FO_BIT(FO_R_FENCE_FAILED);
    t->s->reasons = t->s->sticky;
    fo_plan_undo(t);
}
static bool fence_step_failed(struct fo_turn *t)
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
static void undo_fence_step(struct fo_turn *t)
{
    undo_step(t, STEP_FENCE);
}
static bool caught_up(struct fo_turn *t)
{
    const struct fo *s = t->s;
    const struct fo_region_facts *f = &s->facts.region[s->record.plan.to % FO_REGIONS];
    bool none = f->lag_ms == 0 && f->lag_at > s->entered;
    bool blind = f->lag_ms < 0 && (t->c->accept_unknown_lag || s->record.plan.accepted_loss_ms >= 0);

    return fo_quiet(t) && status(t) == FO_PLAN && s->record.plan.step == STEP_CATCHUP &&
           fo_step_over(t, STEP_CATCHUP) && (none || blind);
}
static bool not_caught_up(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && stayed(t, t->c->t.catchup);
}
static void undo_lag(struct fo_turn *t)
{
    t->s->reasons = FO_BIT(FO_R_LAG_NOT_ZERO);
    fo_plan_undo(t);
}
static bool catchup_failed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && fo_step_failed(t, STEP_CATCHUP) != FO_R_NONE;
}
static void undo_catchup(struct fo_turn *t)
{
    undo_step(t, STEP_CATCHUP);
}
static bool still_so(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && (t->s->record.plan.fenced != 0 || !t->c->fence_required) &&
           t->s->record.plan.fenced_at != 0 && fo_last_look(t) == 0;
}
static bool not_so(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && t->s->record.plan.fenced_at != 0 && fo_last_look(t) != 0 &&
           stayed(t, t->c->t.confirm);
}
static void undo_look(struct fo_turn *t)
{
    t->s->reasons = fo_last_look(t);
    fo_plan_undo(t);
}
static bool undo_over(const struct fo_turn *t)
{
    return fo_quiet(t) && (status(t) == FO_STEADY_STATUS || status(t) == FO_HOLD_STATUS);
}
static bool undone_down(struct fo_turn *t)
{
    return undo_over(t) && down(t);
}
static bool undone(struct fo_turn *t)
{
    return undo_over(t);
}
static bool undo_failed(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_UNDO_STATUS && fo_undo_failed(t);
}
static void stuck_undo(struct fo_turn *t)
{
    fo_plan_stuck(t, FO_R_STEP_FAILED);
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
static bool promoted(struct fo_turn *t)
{
    return over(t, STEP_PROMOTE) && t->s->record.plan.past_no_return;
}
static bool promote_failed(struct fo_turn *t)
{
    return failed(t, STEP_PROMOTE);
}
static void stuck_promote(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_step_failed(t, STEP_PROMOTE));
}
static bool warm(struct fo_turn *t)
{
    return over(t, STEP_WARM);
}
static bool warm_cap(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && t->s->record.plan.step == STEP_WARM &&
           stayed(t, t->c->t.warm);
}
static void give_up_warm(struct fo_turn *t)
{
    fo_run_give_up(t, STEP_WARM);
}
static bool warm_failed(struct fo_turn *t)
{
    return failed(t, STEP_WARM);
}
static void stuck_warm(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_step_failed(t, STEP_WARM));
}
static bool tested(struct fo_turn *t)
{
    return over(t, STEP_TEST);
}
static bool test_failed(struct fo_turn *t)
{
    return failed(t, STEP_TEST);
}
static void stuck_test(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_step_failed(t, STEP_TEST));
}
static bool switched(struct fo_turn *t)
{
    return over(t, STEP_SWITCH) && t->s->record.active == t->s->record.plan.to;
}
static bool switch_failed(struct fo_turn *t)
{
    return failed(t, STEP_SWITCH);
}
static void stuck_switch(struct fo_turn *t)
{
    fo_plan_stuck(t, fo_step_failed(t, STEP_SWITCH));
}
static bool valid(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && t->s->record.plan.step == STEP_VALIDATE &&
           held(t, t->s->since, t->c->t.validate);
}
static void take_valid(struct fo_turn *t)
{
    fo_run_give_up(t, STEP_VALIDATE);
}
static bool not_valid(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_PLAN && stayed(t, t->c->t.validate_most) && t->s->since == 0;
}
static void stuck_valid(struct fo_turn *t)
{
    fo_plan_stuck(t, FO_R_NOT_VALID);
}
static bool tidy(struct fo_turn *t)
{
    if (!fo_quiet(t) || status(t) != FO_PLAN || t->s->record.plan.step != STEP_TIDY)
        return false;
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (t->c->actions[i].step == STEP_TIDY &&
            (fo_phase_now(t->s, i) == FO_INTENT || fo_phase_now(t->s, i) == FO_IDLE))
            return false;
    return true;
}
static void hold(struct fo_turn *t)
{
    fo_plan_hold(t);
}

/* ---- after it ---- */

static bool hold_over(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_HOLD_STATUS && t->wall >= t->s->record.hold_until;
}
static void steady(struct fo_turn *t)
{
    struct fo_record *r = fo_draft(t);

    r->status = FO_STEADY_STATUS;
    r->hold_until = 0;
    t->s->reasons = 0;
}
static bool acked(struct fo_turn *t)
{
    return fo_quiet(t) && fo_pending(t->s, FO_C_ACK) && status(t) == FO_HOLD_STATUS;
}
static void steady_acked(struct fo_turn *t)
{
    steady(t);
    t->s->pending_on = 2;
}
static bool unstuck(struct fo_turn *t)
{
    return fo_quiet(t) && status(t) == FO_STUCK_STATUS &&
           (fo_pending(t->s, FO_C_RESUME) || fo_pending(t->s, FO_C_RETRY) || fo_pending(t->s, FO_C_SKIP));
}
static void unstick(struct fo_turn *t)
{
    fo_unstick(t);
}
static bool glass(struct fo_turn *t)
{
    return fo_quiet(t) && t->s->known && fo_pending(t->s, FO_C_BREAK_GLASS);
}
static void break_glass(struct fo_turn *t)
{
    fo_break_glass(t);
}

/* The record's status is not the one that this state stands on: something else was committed. */
static bool otherwise(struct fo_turn *t)
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

/* clang-format off */
#define ANY_LEADING(X, S)                                                                                              \
    X(900 + FO_S_##S, S, FOLLOW, lost, NULL, "lost", "The lease is lost: somebody else decides.")                      \
    X(850 + FO_S_##S, S, FROZEN, away, NULL, "away", "The authority is away past the deadline of the lease.")
#define ANY_SETTLED(X, S)                                                                                              \
    ANY_LEADING(X, S)                                                                                                  \
    X(700 + FO_S_##S, S, HOLD, glass, break_glass, "break_glass", "By hand: somebody vouches for the fence and names the region that serves.")
#define ANY_OTHERWISE(X, S)                                                                                            \
    X(800 + FO_S_##S, S, RESUME, otherwise, read_first, "otherwise", "The record says something else than this state: it is taken up anew.")
#define ABORTABLE(X, S)                                                                                                \
    X(600 + FO_S_##S, S, UNDO, abort_asked, undo_asked, "abort", "Somebody has called the move off.")                  \
    X(620 + FO_S_##S, S, STUCK, token_higher, stuck_token, "token_higher", "A target holds a higher token than ours: somebody decided after us.") \
    X(640 + FO_S_##S, S, UNDO, recovered, undo, "recovered", "The old region is back before anything was promoted.")   \
    X(660 + FO_S_##S, S, UNDO, cap, undo_cap, "cap", "The drill takes too long.")
#define PAST(X, S)                                                                                                     \
    X(620 + FO_S_##S, S, STUCK, token_higher, stuck_token, "token_higher", "A target holds a higher token than ours: somebody decided after us.")
#define ASK(X, S)                                                                                                      \
    X(680 + FO_S_##S, S, GATE, asked, asked_anew, "asked", "Somebody asks for a move.")

#define ROWS(X)                                                                                                        \
    X(100, BOOT, BOOT, never, NULL, "start", "The process has started: it only looks.")                                \
    X(101, BOOT, FOLLOW, boot_over, NULL, "boot_over", "Votes of two windows are in.")                                 \
    X(110, FOLLOW, RESUME, granted, read_first, "granted", "The lease is ours.")                                       \
    X(115, FROZEN, FOLLOW, lost, NULL, "lost", "The lease is lost: somebody else decides.")                            \
    X(116, FROZEN, RESUME, granted, read_first, "back", "The authority answers again and the lease is still ours.")    \
    ANY_SETTLED(X, RESUME)                                                                                             \
    X(120, RESUME, STEADY, is_steady, settle_in, "steady", "The record is ours: no move is under way.")                \
    X(121, RESUME, HOLD, is_hold, settle_in, "hold", "The record is ours: a move has ended not long ago.")             \
    X(122, RESUME, STUCK, is_stuck, settle_in_stuck, "stuck", "The record is ours: a move waits for people.")          \
    X(123, RESUME, UNDO, is_undo, settle_in, "undo", "The record is ours: a move is being taken back.")                \
    X(600 + FO_S_RESUME, RESUME, UNDO, abort_asked, undo_asked, "abort", "Somebody has called the move off.")          \
    X(124, RESUME, UNDO, is_over, undo, "recovered", "A move was open, and the old region is back.")                   \
    X(125, RESUME, FENCE, may_go_on, settle_in, "fence", "A move was open and may still be made: open intents are probed first.") \
    X(126, RESUME, UNDO, may_not_go_on, undo_look, "not_any_more", "A move was open and may not be made any more.")    \
    X(127, RESUME, PROMOTE, at_promote, settle_in, "promote", "Past the point of no return: on with promoting.")       \
    X(128, RESUME, WARM, at_warm, settle_in, "warm", "Past the point of no return: on with warming.")                  \
    X(129, RESUME, TEST, at_test, settle_in, "test", "Past the point of no return: on with the test.")                 \
    X(130, RESUME, SWITCH, at_switch, settle_in, "switch", "Past the point of no return: on with the switch.")         \
    X(131, RESUME, VALIDATE, at_validate, settle_in, "validate", "Past the point of no return: on with validation.")   \
    X(132, RESUME, TIDY, at_tidy, settle_in, "tidy", "Past the point of no return: on with tidying.")                  \
    ANY_SETTLED(X, STEADY)                                                                                             \
    ANY_OTHERWISE(X, STEADY)                                                                                           \
    ASK(X, STEADY)                                                                                                     \
    X(201, STEADY, SUSPECT, doubt, NULL, "doubt", "A voter says that the active region is down, or that users are hurt there.") \
    X(202, STEADY, FOLLOW, outside_heard, resign, "outside", "The decider shall stand outside the active region, and one is heard there.") \
    ANY_SETTLED(X, SUSPECT)                                                                                            \
    ANY_OTHERWISE(X, SUSPECT)                                                                                          \
    ASK(X, SUSPECT)                                                                                                    \
    X(210, SUSPECT, CONFIRM, hard_down, NULL, "hard_down", "A majority of voters, from two other regions, by two kinds of evidence.") \
    X(211, SUSPECT, GRAY, gray_held, say_gray, "gray", "Users are hurt and monitors see nothing.")                     \
    X(212, SUSPECT, STEADY, cleared, forgive, "cleared", "No doubt for long enough.")                                  \
    X(213, SUSPECT, HOLD, cleared_hold, forgive, "cleared_hold", "No doubt for long enough; the hold-down goes on.")   \
    ANY_SETTLED(X, GRAY)                                                                                               \
    ANY_OTHERWISE(X, GRAY)                                                                                             \
    ASK(X, GRAY)                                                                                                       \
    X(220, GRAY, CONFIRM, hard_down, NULL, "hard_down", "Now monitors agree that it is down.")                         \
    X(221, GRAY, GATE, gray_acts, NULL, "gray_acts", "Users are hurt for so long that this service shall move by itself.") \
    X(222, GRAY, STEADY, gray_clear, forgive, "gray_clear", "Users are well again for long enough.")                   \
    X(223, GRAY, HOLD, gray_clear_hold, forgive, "gray_clear_hold", "Users are well again; the hold-down goes on.")    \
    ANY_SETTLED(X, CONFIRM)                                                                                            \
    ANY_OTHERWISE(X, CONFIRM)                                                                                          \
    ASK(X, CONFIRM)                                                                                                    \
    X(230, CONFIRM, SUSPECT, broken, NULL, "broken", "It is not down without a break.")                                \
    X(231, CONFIRM, GATE, confirmed, NULL, "confirmed", "It is down without a break for long enough.")                 \
    ANY_SETTLED(X, GATE)                                                                                               \
    ANY_OTHERWISE(X, GATE)                                                                                             \
    X(301, GATE, PREPARE, passes, begin, "pass", "Nothing forbids the move: its plan is committed.")                   \
    X(302, GATE, BLOCKED, fails_unasked, say_why, "fail", "A move is wanted and not allowed.")                         \
    X(303, GATE, BLOCKED, fails_asked_down, refuse, "refused_down", "The move that was asked for is not allowed, and the region is down.") \
    X(304, GATE, HOLD, fails_asked_hold, refuse, "refused_hold", "The move that was asked for is not allowed; the hold-down goes on.") \
    X(305, GATE, STEADY, fails_asked, refuse, "refused", "The move that was asked for is not allowed.")                \
    ANY_SETTLED(X, BLOCKED)                                                                                            \
    ANY_OTHERWISE(X, BLOCKED)                                                                                          \
    ASK(X, BLOCKED)                                                                                                    \
    X(310, BLOCKED, GATE, reasons_clear, NULL, "reasons_clear", "What forbade the move is gone.")                      \
    X(311, BLOCKED, SUSPECT, health_back, NULL, "health_back", "The region is not down any more.")                     \
    ANY_LEADING(X, PREPARE)                                                                                            \
    X(401, PREPARE, FENCE, committed, say_begun, "committed", "The plan is committed: nobody may write from now on.")  \
    X(402, PREPARE, GATE, not_committed, NULL, "not_committed", "The plan was not committed: looked at anew.")         \
    ANY_SETTLED(X, FENCE)                                                                                              \
    ANY_OTHERWISE(X, FENCE)                                                                                            \
    ABORTABLE(X, FENCE)                                                                                                \
    X(410, FENCE, LASTLOOK, fence_word, take_word, "fence_word", "Somebody vouches that the old region does not write.") \
    X(411, FENCE, LASTLOOK, fenced, take_fence, "fenced", "The old region does not write: by proof, or by contract.")  \
    X(412, FENCE, CATCHUP, fenced_planned, take_fence, "fenced_planned", "The old region has stopped writing.")        \
    X(413, FENCE, UNDO, fence_step_failed, undo_fence_step, "fence_step_failed", "A required action failed and nothing else can fence.") \
    X(414, FENCE, UNDO, fence_failed, undo_fence, "fence_failed", "Neither proof nor contract in time.")               \
    ANY_SETTLED(X, CATCHUP)                                                                                            \
    ANY_OTHERWISE(X, CATCHUP)                                                                                          \
    ABORTABLE(X, CATCHUP)                                                                                              \
    X(420, CATCHUP, LASTLOOK, caught_up, NULL, "caught_up", "The target has everything.")                              \
    X(421, CATCHUP, UNDO, catchup_failed, undo_catchup, "catchup_failed", "A required action failed.")                 \
    X(422, CATCHUP, UNDO, not_caught_up, undo_lag, "not_caught_up", "The target has not caught up in time.")           \
    ANY_SETTLED(X, LASTLOOK)                                                                                           \
    ANY_OTHERWISE(X, LASTLOOK)                                                                                         \
    ABORTABLE(X, LASTLOOK)                                                                                             \
    X(430, LASTLOOK, PROMOTE, still_so, NULL, "still_so", "Still down, fenced, and the loss is within the limit: from here only forward.") \
    X(431, LASTLOOK, UNDO, not_so, undo_look, "not_so", "At the last look something forbids the move.")                \
    ANY_SETTLED(X, UNDO)                                                                                               \
    X(440, UNDO, STUCK, undo_failed, stuck_undo, "undo_failed", "What was done cannot be taken back.")                 \
    X(441, UNDO, BLOCKED, undone_down, NULL, "undone_down", "All is taken back; the region is down.")                  \
    X(442, UNDO, STEADY, undone, NULL, "undone", "All is taken back.")                                                 \
    ANY_OTHERWISE(X, UNDO)                                                                                             \
    ANY_SETTLED(X, PROMOTE)                                                                                            \
    ANY_OTHERWISE(X, PROMOTE)                                                                                          \
    PAST(X, PROMOTE)                                                                                                   \
    X(450, PROMOTE, WARM, promoted, NULL, "promoted", "The target is writable.")                                       \
    X(451, PROMOTE, STUCK, promote_failed, stuck_promote, "promote_failed", "A required action failed.")               \
    ANY_SETTLED(X, WARM)                                                                                               \
    ANY_OTHERWISE(X, WARM)                                                                                             \
    PAST(X, WARM)                                                                                                      \
    X(460, WARM, TEST, warm, NULL, "warm", "The target is warm.")                                                      \
    X(461, WARM, STUCK, warm_failed, stuck_warm, "warm_failed", "A required action failed.")                           \
    X(462, WARM, TEST, warm_cap, give_up_warm, "warm_cap", "Users wait: warm enough.")                                 \
    ANY_SETTLED(X, TEST)                                                                                               \
    ANY_OTHERWISE(X, TEST)                                                                                             \
    PAST(X, TEST)                                                                                                      \
    X(470, TEST, SWITCH, tested, NULL, "tested", "The target writes and reads.")                                       \
    X(471, TEST, STUCK, test_failed, stuck_test, "test_failed", "The target does not write and read.")                 \
    ANY_SETTLED(X, SWITCH)                                                                                             \
    ANY_OTHERWISE(X, SWITCH)                                                                                           \
    PAST(X, SWITCH)                                                                                                    \
    X(480, SWITCH, VALIDATE, switched, NULL, "switched", "Users are sent to the target.")                              \
    X(481, SWITCH, STUCK, switch_failed, stuck_switch, "switch_failed", "Users cannot be sent to the target.")         \
    ANY_SETTLED(X, VALIDATE)                                                                                           \
    ANY_OTHERWISE(X, VALIDATE)                                                                                         \
    PAST(X, VALIDATE)                                                                                                  \
    X(490, VALIDATE, TIDY, valid, take_valid, "valid", "From outside all is well for long enough.")                    \
    X(491, VALIDATE, STUCK, not_valid, stuck_valid, "not_valid", "From outside it does not become well.")              \
    ANY_SETTLED(X, TIDY)                                                                                               \
    ANY_OTHERWISE(X, TIDY)                                                                                             \
    PAST(X, TIDY)                                                                                                      \
    X(495, TIDY, HOLD, tidy, hold, "tidy", "The move has ended: hold-down.")                                           \
    ANY_SETTLED(X, HOLD)                                                                                               \
    ANY_OTHERWISE(X, HOLD)                                                                                             \
    ASK(X, HOLD)                                                                                                       \
    X(501, HOLD, STEADY, acked, steady_acked, "acked", "Somebody has looked: the hold-down ends.")                     \
    X(502, HOLD, STEADY, hold_over, steady, "hold_over", "The hold-down is over.")                                     \
    X(503, HOLD, SUSPECT, hard_down, NULL, "hard_down", "The region that was moved to is down as well.")               \
    ANY_SETTLED(X, STUCK)                                                                                              \
    ANY_OTHERWISE(X, STUCK)                                                                                            \
    X(600 + FO_S_STUCK, STUCK, UNDO, abort_asked, undo_asked, "abort", "Somebody has called the move off.")            \
    X(510, STUCK, RESUME, unstuck, unstick, "unstuck", "Somebody lets it go on.")

#define PUBLIC(n, a, b, when, then, name, sentence) {n, FO_S_##a, FO_S_##b, name, sentence},
#define PRIVATE(n, a, b, when, then, name, sentence) {when, then},
const struct fo_row fo_rows[] = {ROWS(PUBLIC)};
const struct fo_rule fo_rules[] = {ROWS(PRIVATE)};
/* clang-format on */

const uint32_t fo_rows_count = sizeof fo_rows / sizeof fo_rows[0];

const struct fo_row *fo_row_find(uint16_t number)
{
    for (uint32_t i = 0; i < fo_rows_count; i++)
        if (fo_rows[i].number == number)
            return &fo_rows[i];
    return NULL;
}
