/* Commands of people. One at a time: it is checked when it comes, written with the next commit, and answered when that is
 * done. Asked for again it answers the same; what has no effect any more is answered at once. */
#include <string.h>

#include "aggregator/failover/core_private.h"

bool fo_pending(const struct fo *s, enum fo_command c)
{
    return s->pending_on == 1 && s->pending.command == c;
}

static void answer(struct fo_turn *t, uint64_t id, enum fo_reason code, fo_reasons reasons)
{
    struct fo_effect *e = fo_emit(t, FO_DO_ANSWER);

    e->id = id;
    e->code = (uint16_t)code;
    e->reasons = reasons | (code == FO_R_NONE ? 0 : FO_BIT(code));
}

void fo_answer(struct fo_turn *t, enum fo_reason code, fo_reasons reasons)
{
    if (t->s->pending_on == 0)
        return;
    answer(t, t->s->pending.id, code, reasons);
    memset(&t->s->pending, 0, sizeof t->s->pending);
    t->s->pending.region = t->s->pending.action = FO_NONE;
    t->s->pending_on = 0;
}

/* What a command comes to when it comes: to be refused, done already, or to wait for its commit. */
enum fate { REFUSED, DONE, WAITS };
struct verdict {
    enum fate fate;
    enum fo_reason why;
};
static struct verdict refused(enum fo_reason why)
{
    return (struct verdict){REFUSED, why};
}
static struct verdict done(void)
{
    return (struct verdict){DONE, FO_R_NONE};
}
static struct verdict waits(void)
{
    return (struct verdict){WAITS, FO_R_NONE};
}

static bool moves_now(const struct fo *s, enum fo_kind kind, uint8_t to)
{
    return fo_plan_is_live(&s->record) && s->record.plan.kind == kind &&
           (to == FO_NONE || s->record.plan.to == to);
}

static struct verdict on_move(const struct fo_turn *t, const struct fo_order *o)
{
    const struct fo *s = t->s;
    enum fo_kind kind = o->command == FO_C_START   ? FO_FAILOVER
                        : o->command == FO_C_DRILL ? FO_DRILL
                                                   : FO_SWITCHOVER;
    uint8_t to = o->command == FO_C_FAILBACK ? 0 : o->region;

    if (to != FO_NONE && to >= t->c->n_regions)
        return refused(FO_R_INVALID);
    if (moves_now(s, kind, to))
        return done();
    if (fo_plan_is_live(&s->record) || s->state == FO_S_PREPARE)
        return refused(FO_R_PLAN_LIVE);
    return to == s->record.active ? done() : waits();
}

static struct verdict on_approve(const struct fo_turn *t, const struct fo_order *o)
{
    const struct fo *s = t->s;

    if (moves_now(s, FO_FAILOVER, o->region) || s->state == FO_S_PREPARE)
        return done();
    if (fo_plan_is_live(&s->record))
        return refused(FO_R_PLAN_LIVE);
    if (o->epoch != 0 && o->epoch != s->record.epoch + 1)
        return refused(FO_R_INVALID);
    if (o->region != FO_NONE && (o->region >= t->c->n_regions || o->region == s->record.active))
        return refused(FO_R_INVALID);
    return s->state == FO_S_BLOCKED || s->state == FO_S_GRAY || s->state == FO_S_GATE ? waits()
                                                                                      : refused(FO_R_NO_PLAN);
}

static struct verdict on_abort(const struct fo_turn *t, const struct fo_order *o)
{
    const struct fo *s = t->s;
    const struct fo_record *r = &s->record;

    if (o->epoch != 0 && o->epoch != r->plan.epoch)
        return refused(FO_R_INVALID);
    if (!fo_plan_is_live(r))
        return o->epoch != 0 && r->plan.ended != 0 && !r->plan.past_no_return ? done()
                                                                              : refused(FO_R_NO_PLAN);
    if (o->command == FO_C_DRILL_ABORT && r->plan.kind != FO_DRILL)
        return refused(FO_R_NO_PLAN);
    if (r->plan.past_no_return || s->state == FO_S_PROMOTE)
        return refused(FO_R_TOO_LATE);
    return r->status == FO_UNDO_STATUS ? done() : waits();
}

static struct verdict on_unstick(const struct fo_turn *t, const struct fo_order *o)
{
    const struct fo *s = t->s;
    bool in_step = s->state >= FO_S_FENCE && s->state <= FO_S_TIDY;

    if (!fo_plan_is_live(&s->record))
        return refused(FO_R_NO_PLAN);
    if ((o->epoch != 0 && o->epoch != s->record.plan.epoch) ||
        (o->action != FO_NONE && o->action >= t->c->n_actions))
        return refused(FO_R_INVALID);
    if (s->state == FO_S_STUCK || (o->command == FO_C_RESUME && s->state == FO_S_FENCE && o->fenced_by_hand))
        return waits();
    if (o->command == FO_C_SKIP && in_step)
        return o->action == FO_NONE ? refused(FO_R_INVALID) : waits();
    return in_step || s->state == FO_S_RESUME ? done() : refused(FO_R_NO_PLAN);
}

static struct verdict on_region(const struct fo_turn *t, const struct fo_order *o)
{
    const struct fo_record *r = &t->s->record;

    if (o->region >= t->c->n_regions)
        return refused(FO_R_INVALID);
    if (o->command == FO_C_MUST_NOT)
        return waits();
    if (o->command == FO_C_BREAK_GLASS)
        return o->fenced_by_hand ? waits() : refused(FO_R_INVALID);
    if (fo_plan_is_live(r) || t->s->state == FO_S_PREPARE)
        return refused(FO_R_PLAN_LIVE);
    if (o->command == FO_C_FENCE)
        return r->writer == o->region ? waits() : done();
    return o->region != r->active ? refused(FO_R_INVALID) : waits();
}

static struct verdict check(const struct fo_turn *t, const struct fo_order *o)
{
    const struct fo *s = t->s;

    if (!s->leading || s->state == FO_S_FROZEN)
        return refused(FO_R_LEASE);
    if (!s->known)
        return refused(FO_R_STORE);
    switch (o->command) {
    case FO_C_START:
    case FO_C_SWITCHOVER:
    case FO_C_FAILBACK:
    case FO_C_DRILL: return on_move(t, o);
    case FO_C_APPROVE: return on_approve(t, o);
    case FO_C_ABORT:
    case FO_C_DRILL_ABORT: return on_abort(t, o);
    case FO_C_RESUME:
    case FO_C_RETRY:
    case FO_C_SKIP: return on_unstick(t, o);
    case FO_C_ACK: return s->record.status == FO_HOLD_STATUS || s->record.left != 0 ? waits() : done();
    case FO_C_AUTOMATION: return o->mode <= FO_AUTO ? waits() : refused(FO_R_INVALID);
    case FO_C_UNLOCK:
        return o->region == FO_NONE || o->region < t->c->n_regions ? waits() : refused(FO_R_INVALID);
    case FO_C_LOCK:
    case FO_C_MAINTENANCE: return waits();
    case FO_C_MUST_NOT:
    case FO_C_FENCE:
    case FO_C_UNFENCE:
    case FO_C_BREAK_GLASS: return on_region(t, o);
    default: return refused(FO_R_INVALID);
    }
}

void fo_take_command(struct fo_turn *t, const struct fo_event *e)
{
    struct fo *s = t->s;
    const struct fo_order *o = &e->u.order;
    struct verdict v;

    if (s->pending_on != 0 && s->pending.id == o->id)
        return; /* the same request once more: one answer */
    v = s->pending_on != 0 ? refused(FO_R_BUSY) : check(t, o);
    if (v.fate != WAITS) {
        answer(t, o->id, v.why, 0);
        return;
    }
    s->pending.command = o->command;
    s->pending.region = o->command == FO_C_FAILBACK ? 0 : o->region;
    s->pending.mode = o->mode;
    s->pending.action = o->action;
    s->pending.fenced_by_hand = o->fenced_by_hand;
    s->pending.id = o->id;
    s->pending.epoch = o->epoch;
    s->pending.accept_loss_ms = o->accept_loss_ms;
    s->pending.until = o->until;
    fo_copy_text(s->pending.who, sizeof s->pending.who, o->who);
    fo_copy_text(s->pending.why, sizeof s->pending.why, o->why);
    s->pending_on = 1;
}

/* Every suppression ends: within 24 h, in 4 h when nothing is said; one that would have ended ends now. */
static void suppress(struct fo_turn *t, struct fo_suppression *x, uint8_t region)
{
    const struct fo_order *o = &t->s->pending;
    int64_t until = o->until == 0 ? t->wall + FO_SUPPRESS : o->until;

    memset(x, 0, sizeof *x);
    x->region = FO_NONE;
    if (until <= t->wall)
        return;
    x->until = until - t->wall > FO_SUPPRESS_MOST ? t->wall + FO_SUPPRESS_MOST : until;
    x->region = region;
    fo_copy_text(x->who, sizeof x->who, o->who);
    fo_copy_text(x->why, sizeof x->why, o->why);
}

void fo_command_propose(struct fo_turn *t)
{
    if (fo_mode(t->s, t->c, t->wall) == FO_AUTO)
        suppress(t, &fo_draft(t)->automation, FO_PROPOSE);
}

static void lift(struct fo_suppression *x)
{
    memset(x, 0, sizeof *x);
    x->region = FO_NONE;
}

static void skip(struct fo_turn *t, uint8_t action)
{
    uint8_t *phase = &fo_draft(t)->plan.phase[action];

    if (*phase == FO_INTENT || *phase == FO_FAILED || *phase == FO_UNDOING)
        *phase = FO_SKIPPED;
    t->s->runs[action].settled = FO_IDLE;
}

/* Who writes, while no move is under way. */
static void let_write(struct fo_turn *t, uint8_t region, bool may)
{
    struct fo_record *r = fo_draft(t);

    if (fo_plan_is_live(r))
        return;
    if (may && r->active == region)
        r->writer = region;
    else if (!may && r->writer == region)
        r->writer = FO_NONE;
}

static void unlock(struct fo_turn *t, uint8_t region)
{
    struct fo_record *r = fo_draft(t);

    if (region == FO_NONE)
        lift(&r->lock);
    else if (r->must_not.region == region)
        lift(&r->must_not);
}

static void looked(struct fo_turn *t)
{
    struct fo_record *r = fo_draft(t);

    r->left = 0;
    if (r->status == FO_HOLD_STATUS)
        r->hold_until = t->wall;
}

/* What the command says goes into the draft; false: it waits, or a row of the table takes it. */
static bool write_down(struct fo_turn *t)
{
    struct fo *s = t->s;
    const struct fo_order *o = &s->pending;

    switch (o->command) {
    case FO_C_LOCK: suppress(t, &fo_draft(t)->lock, FO_NONE); return true;
    case FO_C_MAINTENANCE: suppress(t, &fo_draft(t)->maintenance, FO_NONE); return true;
    case FO_C_MUST_NOT: suppress(t, &fo_draft(t)->must_not, o->region); return true;
    case FO_C_AUTOMATION: suppress(t, &fo_draft(t)->automation, o->mode); return true;
    case FO_C_UNLOCK: unlock(t, o->region); return true;
    case FO_C_FENCE: let_write(t, o->region, false); return true;
    case FO_C_UNFENCE: let_write(t, o->region, true); return true;
    case FO_C_ACK:
        if (s->state == FO_S_HOLD)
            return false;
        looked(t);
        return true;
    case FO_C_SKIP:
        if (s->state == FO_S_STUCK || o->action >= t->c->n_actions || s->runs[o->action].flying)
            return false;
        skip(t, o->action);
        return true;
    default: return false;
    }
}

void fo_command_drive(struct fo_turn *t)
{
    struct fo *s = t->s;
    struct verdict v;

    if (s->pending_on != 0 && (!s->leading || s->state == FO_S_FROZEN)) {
        fo_answer(t, FO_R_LEASE, 0);
        return;
    }
    if (s->pending_on != 1 || !fo_can_write(t) || !s->known)
        return;
    v = check(t, &s->pending); /* it may have been overtaken while it waited */
    if (v.fate != WAITS)
        fo_answer(t, v.why, 0);
    else if (write_down(t))
        s->pending_on = 2;
}

void fo_unstick(struct fo_turn *t)
{
    struct fo *s = t->s;
    const struct fo_order *o = &s->pending;
    struct fo_record *r = fo_draft(t);
    struct fo_plan *p = &r->plan;

    for (uint8_t i = 0; i < t->c->n_actions; i++) {
        bool open = p->phase[i] == FO_FAILED || p->phase[i] == FO_UNDOING || p->phase[i] == FO_INTENT;

        if ((o->action != FO_NONE && o->action != i) || !open ||
            (o->action == FO_NONE && !t->c->actions[i].required && p->phase[i] != FO_UNDOING))
            continue;
        if (o->command == FO_C_SKIP)
            p->phase[i] = FO_SKIPPED;
        else if (p->phase[i] == FO_FAILED && t->c->actions[i].step == p->step)
            p->phase[i] = FO_INTENT;
    }
    r->status = p->undoing ? FO_UNDO_STATUS : FO_PLAN;
    r->stuck_reason = FO_R_NONE;
    s->sticky = 0;
    s->pending_on = 2;
}

void fo_break_glass(struct fo_turn *t)
{
    struct fo *s = t->s;
    struct fo_record *r = fo_draft(t);
    struct fo_plan *p = &r->plan;
    uint8_t from = r->active;

    memset(p, 0, sizeof *p);
    p->epoch = ++r->epoch;
    p->kind = FO_FAILOVER;
    p->from = from;
    p->to = s->pending.region;
    p->step = STEP_TIDY;
    p->past_no_return = 1;
    p->fenced = 3;
    p->accepted_loss_ms = s->pending.accept_loss_ms;
    p->loss_ms = -1;
    p->asked = p->began = p->fence_said = p->fenced_at = p->ended = t->wall;
    fo_copy_text(p->who, sizeof p->who, s->pending.who);
    fo_copy_text(p->why, sizeof p->why, s->pending.why);
    r->active = r->writer = s->pending.region;
    r->status = FO_HOLD_STATUS;
    r->left = 0;
    r->hold_until = t->wall + t->c->t.hold;
    r->stuck_reason = FO_R_NONE;
    s->sticky = 0;
    s->rung = 0;
    s->pending_on = 2;
    fo_run_clear(s);
}
