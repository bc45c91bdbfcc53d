/* The plan of a move: begun by one commit, driven step by step, taken back before the point of no return, held down after
 * it. The drive makes the record what the state asks for; whatever it writes it would write again, so that a commit that was
 * lost costs nothing but time. */
#include <string.h>

#include "aggregator/failover/core_private.h"

bool fo_plan_is_live(const struct fo_record *r)
{
    return r->status == FO_PLAN || r->status == FO_UNDO_STATUS || r->status == FO_STUCK_STATUS;
}

static bool on_kind(const struct fo_config *c, unsigned i, uint8_t kind)
{
    return (c->actions[i].on >> kind & 1) != 0;
}

static void intend(const struct fo_config *c, struct fo_plan *p, enum plan_step step)
{
    p->step = (uint8_t)step;
    for (unsigned i = 0; i < c->n_actions; i++)
        if (c->actions[i].step == step && p->phase[i] == FO_IDLE)
            p->phase[i] = on_kind(c, i, p->kind) ? FO_INTENT : FO_SKIPPED;
        else if (c->actions[i].step < step && p->phase[i] == FO_INTENT)
            p->phase[i] = FO_FAILED; /* its step was left without it */
}

static void spend(struct fo_record *r, int64_t wall)
{
    memmove(r->moves + 1, r->moves, sizeof r->moves - sizeof r->moves[0]);
    r->moves[0] = wall;
}

static void give_back(struct fo_record *r, int64_t wall)
{
    for (unsigned i = 0; i < FO_MOVES; i++)
        if (r->moves[i] == wall) {
            memmove(r->moves + i, r->moves + i + 1, (FO_MOVES - 1 - i) * sizeof r->moves[0]);
            r->moves[FO_MOVES - 1] = 0;
            return;
        }
}

void fo_plan_begin(struct fo_turn *t)
{
    struct fo *s = t->s;
    bool asked = fo_asked(s);
    uint8_t to = fo_gate_to(t), kind = (uint8_t)fo_gate_kind(s);
    struct fo_record *r = fo_draft(t);
    struct fo_plan *p = &r->plan;

    memset(p, 0, sizeof *p);
    p->epoch = ++r->epoch;
    p->kind = kind;
    p->from = r->active;
    p->to = to;
    p->automatic = !asked;
    p->was_fenced = r->writer == FO_NONE;
    p->accepted_loss_ms = asked ? s->pending.accept_loss_ms : -1;
    p->loss_ms = -1;
    p->asked = p->began = p->fence_said = t->wall;
    p->suspect_at = s->suspect_at;
    p->bad_since = s->suspect_at == 0 ? 0 : s->facts.bad_since != 0 ? s->facts.bad_since : s->suspect_at;
    if (asked) {
        p->fenced = s->pending.fenced_by_hand ? 3 : 0;
        fo_copy_text(p->who, sizeof p->who, s->pending.who);
        fo_copy_text(p->why, sizeof p->why, s->pending.why);
        s->pending_on = 2;
    } else {
        fo_copy_text(p->who, sizeof p->who, "automation");
        spend(r, t->wall);
    }
    intend(t->c, p, STEP_FENCE);
    r->status = FO_PLAN;
    r->writer = FO_NONE;
    r->stuck_reason = FO_R_NONE;
    s->rung = 0;
    s->sticky = 0;
    fo_run_clear(s);
}

bool fo_target_up(const struct fo_turn *t)
{
    return fo_bit(t->s->tally.up, t->s->record.plan.to);
}

static bool proved(const struct fo_turn *t)
{
    const struct fo *s = t->s;
    const struct fo_plan *p = &s->record.plan;

    if (fo_bit(t->c->guarded, p->from) && s->fenced_region == p->from && s->fenced_epoch >= p->epoch)
        return true;
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (t->c->actions[i].step == STEP_FENCE && t->c->actions[i].required && t->c->actions[i].proves &&
            fo_phase_now(s, i) == FO_DONE)
            return true;
    return false;
}

uint8_t fo_fenced(const struct fo_turn *t)
{
    const struct fo *s = t->s;
    const struct fo_plan *p = &s->record.plan;

    if (p->fenced != 0)
        return p->fenced;
    if (s->rung != 0)
        return s->rung;
    if (proved(t))
        return 1;
    /* counted from when this process saw the commit, by its own clock: never earlier than the commit itself */
    if (p->kind == FO_FAILOVER && fo_bit(t->c->guarded, p->from) && s->state == FO_S_FENCE &&
        t->now - s->entered >= t->c->t.contract)
        return 2;
    return 0;
}

bool fo_recovered(const struct fo_turn *t)
{
    const struct fo_tally *y = &t->s->tally;
    const struct fo_plan *p = &t->s->record.plan;

    return p->kind == FO_FAILOVER && p->suspect_at != 0 && y->quorum && fo_bit(y->up, p->from) &&
           !fo_bit(y->doubt, p->from) && !fo_bit(y->gray, p->from) && !t->s->tilted;
}

/* Boot ms: the fence ended the loss, not later than when this state was entered, or when a holder before us said so. */
static int64_t fenced_by(const struct fo_turn *t)
{
    const struct fo *s = t->s;
    int64_t said = s->record.plan.fenced_at, at = t->now;

    if (s->state == FO_S_LASTLOOK)
        at = s->entered;
    if (s->record.plan.fenced != 0 && said != 0 && said <= t->wall && t->now - (t->wall - said) < at)
        at = t->now - (t->wall - said);
    return at;
}

fo_reasons fo_last_look(const struct fo_turn *t)
{
    const struct fo *s = t->s;
    const struct fo_plan *p = &s->record.plan;
    bool blind =
        t->c->gray_auto && !fo_bit(s->tally.up, p->from); /* begun for gray: fenced, nothing is seen of it */
    fo_reasons r = fo_gates(s, t->c, (enum fo_kind)p->kind, p->to, p->accepted_loss_ms, t->now, t->wall);
    fo_reasons bind = FO_BIT(FO_R_QUORUM) | FO_BIT(FO_R_FAIL_STATIC) | FO_BIT(FO_R_LEASE) |
                      FO_BIT(FO_R_STORE) | FO_BIT(FO_R_TILT) | FO_BIT(FO_R_PROMISED) | FO_BIT(FO_R_LOCKED) |
                      FO_BIT(FO_R_TARGET_DOWN) | FO_BIT(FO_R_MUST_NOT) | FO_BIT(FO_R_ONE_REGION);

    if (p->automatic && !blind)
        bind |= FO_BIT(FO_R_NOT_DOWN);
    if (p->automatic)
        bind |= FO_BIT(FO_R_MAINTENANCE);
    if (p->kind == FO_DRILL)
        bind |= FO_BIT(FO_R_BLOCKING_ALARM);
    return (r & bind) | fo_loss_may(s, t->c, p->to, p->accepted_loss_ms, fenced_by(t));
}

bool fo_validating(const struct fo_turn *t)
{
    const struct fo *s = t->s;

    if (!fo_target_up(t))
        return false;
    for (uint8_t i = 0; i < t->c->n_actions; i++) {
        uint8_t phase = s->record.plan.phase[i];

        if (t->c->actions[i].step != STEP_VALIDATE || !t->c->actions[i].required)
            continue;
        if (phase == FO_IDLE || (phase == FO_INTENT && s->runs[i].last > ACTION_ALREADY))
            return false;
    }
    return true;
}

/* An intent of which this process knows that nothing was asked outside. */
static bool untouched(const struct fo_turn *t, uint8_t i)
{
    const struct fo_run *r = &t->s->runs[i];

    return t->s->state != FO_S_RESUME && !r->flying && r->tries == 0 &&
           (r->until == 0 || r->op == ACTION_APPLY);
}

/* What was done, or may have been, is taken back; what cannot be taken back (fo_run_undo) waits for people. */
void fo_plan_undo(struct fo_turn *t)
{
    struct fo *s = t->s;
    struct fo_record *r = fo_draft(t);

    for (uint8_t i = 0; i < t->c->n_actions; i++) {
        uint8_t phase = fo_phase_now(s, i), last = s->runs[i].last;
        bool never = (phase == FO_FAILED && (last == ACTION_DENIED || last == ACTION_CONFLICT)) ||
                     (phase == FO_INTENT && untouched(t, i));
        bool open = phase == FO_INTENT || phase == FO_DONE || phase == FO_FAILED;

        if (open && !never)
            phase = FO_UNDOING;
        else if (phase == FO_INTENT)
            phase = FO_SKIPPED;
        r->plan.phase[i] = phase;
    }
    if (r->plan.automatic)
        give_back(r, r->plan.began);
    r->status = FO_UNDO_STATUS;
    r->writer = r->plan.was_fenced ? FO_NONE : r->plan.from;
    r->plan.undoing = 1;
    r->stuck_reason = FO_R_NONE;
    s->rung = 0;
    fo_run_clear(s);
}

static bool undone(const struct fo_turn *t)
{
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (fo_phase_now(t->s, i) == FO_UNDOING)
            return false;
    return true;
}

void fo_plan_end_undo(struct fo_turn *t)
{
    struct fo_record *r = fo_draft(t);

    r->status = FO_STEADY_STATUS;
    r->plan.ended = t->wall;
}

void fo_plan_stuck(struct fo_turn *t, enum fo_reason why)
{
    struct fo_record *r;

    fo_settle(t);
    r = fo_draft(t);
    r->status = FO_STUCK_STATUS;
    r->stuck_reason = (uint32_t)why;
    t->s->reasons = FO_BIT(why);
}

void fo_plan_hold(struct fo_turn *t)
{
    struct fo_record *r;

    fo_run_give_up(t, STEP_TIDY);
    fo_settle(t);
    r = fo_draft(t);
    r->status = FO_HOLD_STATUS;
    r->hold_until = t->wall + t->c->t.hold;
    r->plan.ended = t->wall;
    t->s->suspect_at = 0;
}

static void stamp(int64_t *at, int64_t wall)
{
    if (*at == 0)
        *at = wall;
}

/* The record as a plan in `step` has to be: intents, the point of no return, where users go, when what was reached. */
static void write_step(struct fo_turn *t, enum plan_step step)
{
    struct fo_record *r;

    if (!fo_can_write(t))
        return;
    fo_settle(t);
    r = fo_draft(t);
    if (step >= STEP_PROMOTE) {
        r->plan.past_no_return = 1;
        r->writer = r->plan.to;
        r->left = (uint8_t)(r->plan.automatic ? r->left | 1U << r->plan.from : 0);
    }
    if (step == STEP_PROMOTE && !t->s->record.plan.past_no_return)
        r->plan.loss_ms = fo_loss(t->s, t->c, r->plan.to, fenced_by(t));
    if (step >= STEP_WARM)
        stamp(&r->plan.writable_at, t->wall);
    if (step >= STEP_SWITCH)
        r->active = r->plan.to;
    if (step >= STEP_VALIDATE)
        stamp(&r->plan.switched_at, t->wall);
    if (step >= STEP_TIDY)
        stamp(&r->plan.valid_at, t->wall);
    intend(t->c, &r->plan, step);
}

static void write_fence(struct fo_turn *t)
{
    struct fo_record *r;

    if (!fo_can_write(t))
        return;
    fo_settle(t);
    r = fo_draft(t);
    if (r->plan.fenced == 0)
        r->plan.fenced = t->s->rung;
    stamp(&r->plan.fenced_at, t->wall);
}

static void drive_step(struct fo_turn *t, enum plan_step step)
{
    if (t->s->record.status != FO_PLAN)
        return;
    if (step == STEP_CATCHUP)
        write_fence(t);
    write_step(t, step);
    fo_run_step(t, step);
}

static void drive_undo(struct fo_turn *t)
{
    if (t->s->record.status != FO_UNDO_STATUS)
        return;
    fo_run_undo(t);
    if (!fo_can_write(t) || fo_undo_failed(t))
        return;
    fo_settle(t);
    if (undone(t))
        fo_plan_end_undo(t);
}

/* A holder makes the record its own before it decides by it: only what is committed under its token is carried out, and a
 * reading that was late is found out. */
static void claim(struct fo_turn *t)
{
    struct fo *s = t->s;
    struct fo_record *r;

    if (!fo_quiet(t) || (s->known && fencing_cmp(s->record.token, s->token) == 0))
        return;
    r = fo_draft(t);
    if (r->version != 0)
        return; /* also when the record has vanished: what we know of it stands there again */
    memset(r, 0, sizeof *r);
    r->version = 1;
    r->token = s->token;
    r->lock.region = r->must_not.region = r->maintenance.region = r->automation.region = FO_NONE;
}

void fo_plan_drive(struct fo_turn *t)
{
    struct fo *s = t->s;

    switch (s->state) {
    case FO_S_RESUME: claim(t); break;
    case FO_S_FENCE: drive_step(t, STEP_FENCE); break;
    case FO_S_CATCHUP: drive_step(t, STEP_CATCHUP); break;
    case FO_S_LASTLOOK:
        if (s->record.status == FO_PLAN)
            write_fence(t);
        break;
    case FO_S_UNDO: drive_undo(t); break;
    case FO_S_PROMOTE: drive_step(t, STEP_PROMOTE); break;
    case FO_S_WARM: drive_step(t, STEP_WARM); break;
    case FO_S_TEST: drive_step(t, STEP_TEST); break;
    case FO_S_SWITCH: drive_step(t, STEP_SWITCH); break;
    case FO_S_VALIDATE: drive_step(t, STEP_VALIDATE); break;
    case FO_S_TIDY: drive_step(t, STEP_TIDY); break;
    default: break;
    }
}
