/* The move that is wanted at the gate: by the votes, or by a command; and which of the gates' reasons bind it. */
#include "aggregator/failover/core_private.h"

bool fo_asked(const struct fo *s)
{
    if (s->pending_on != 1)
        return false;
    switch (s->pending.command) {
    case FO_C_START:
    case FO_C_APPROVE:
    case FO_C_SWITCHOVER:
    case FO_C_FAILBACK:
    case FO_C_DRILL: return true;
    default: return false;
    }
}

enum fo_kind fo_gate_kind(const struct fo *s)
{
    if (!fo_asked(s) || s->pending.command == FO_C_START || s->pending.command == FO_C_APPROVE)
        return FO_FAILOVER;
    return s->pending.command == FO_C_DRILL ? FO_DRILL : FO_SWITCHOVER;
}

uint8_t fo_gate_to(const struct fo_turn *t)
{
    if (fo_asked(t->s) && t->s->pending.region != FO_NONE)
        return t->s->pending.region;
    return fo_target(t->s, t->c, t->wall);
}

/* People who ask for a failover answer for what only holds back a machine, and for a target that is not ready in every way:
 * they see why it is blocked, and users are down. What would certainly fail (credentials, protected records) binds them. */
static const fo_reasons asked_away =
    FO_BIT(FO_R_NOT_DOWN) | FO_BIT(FO_R_GRAY) | FO_BIT(FO_R_AUTOMATION) | FO_BIT(FO_R_HOLD) |
    FO_BIT(FO_R_BUDGET_DAY) | FO_BIT(FO_R_BUDGET_WEEK) | FO_BIT(FO_R_VELOCITY) | FO_BIT(FO_R_FLAP) |
    FO_BIT(FO_R_LEFT) | FO_BIT(FO_R_TARGET_YOUNG) | FO_BIT(FO_R_MAINTENANCE) | FO_BIT(FO_R_READINESS_OLD) |
    FO_BIT(FO_R_CAPACITY) | FO_BIT(FO_R_QUOTA) | FO_BIT(FO_R_VERSIONS) | FO_BIT(FO_R_TTL) |
    FO_BIT(FO_R_PLACEMENT) | FO_BIT(FO_R_ACTION);

fo_reasons fo_gate_reasons(const struct fo_turn *t)
{
    const struct fo *s = t->s;
    bool asked = fo_asked(s);
    fo_reasons r = fo_gates(s, t->c, fo_gate_kind(s), fo_gate_to(t), asked ? s->pending.accept_loss_ms : -1,
                            t->now, t->wall);

    if (asked) {
        if (fo_gate_kind(s) == FO_FAILOVER)
            r &= ~asked_away;
        if (!fo_has_steps(t->c, fo_gate_kind(s)))
            r |= FO_BIT(FO_R_ACTION);
        if (s->pending.fenced_by_hand)
            r &= ~FO_BIT(FO_R_NO_FENCE);
        return r;
    }
    /* down, and not without a break for long enough: not yet */
    if (fo_bit(s->tally.hard_down, s->record.active) &&
        (s->down_since == 0 || t->now - s->down_since < t->c->t.confirm))
        r |= FO_BIT(FO_R_NOT_DOWN);
    if (t->c->gray_auto && s->gray_since != 0 && t->now - s->gray_since >= t->c->t.gray_auto)
        r &= ~FO_BIT(FO_R_GRAY);
    return r | s->sticky;
}

void fo_say_why(struct fo_turn *t)
{
    t->s->reasons = fo_gate_reasons(t);
    if (t->s->reasons == 0 && !fo_quiet(t))
        t->s->reasons = FO_BIT(FO_R_STORE);
}
