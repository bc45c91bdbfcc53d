/* What forbids a move, as one snapshot of facts, votes and record: every reason that applies at once, so that people see
 * the whole list. Integers only. */
#include "aggregator/failover/core_private.h"

enum { DAY = 86400, WEEK = 7 * DAY, FLAP_HALF = 15 * 60 };

bool fo_in_force(const struct fo_suppression *x, int64_t wall)
{
    return x->until > wall;
}

uint8_t fo_mode(const struct fo *s, const struct fo_config *c, int64_t wall)
{
    uint8_t mode = c->automation;

    if (fo_in_force(&s->record.automation, wall) && s->record.automation.region <= FO_AUTO)
        mode = s->record.automation.region;
    return mode == FO_AUTO && !c->auto_ok ? FO_PROPOSE : mode;
}

/* 2^(-k/16) in 1/65536, for the part of a half-life that is not whole. */
static const uint32_t sixteenths[16] = {65536, 62757, 60097, 57549, 55109, 52772, 50535, 48393,
                                        46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219};

int32_t fo_flap(int32_t penalty, int64_t at, int64_t wall)
{
    int64_t s = (wall - at) / FO_SECOND, halves, part;

    if (penalty <= 0)
        return 0;
    if (s <= 0)
        return penalty;
    halves = s / FLAP_HALF;
    part = s % FLAP_HALF * 16 / FLAP_HALF;
    return halves > 30 ? 0 : (int32_t)((int64_t)penalty * sixteenths[part] >> (16 + halves));
}

/* Suppressed at 2000, free again below 750. */
static bool flapping(const struct fo_record *r, int64_t wall)
{
    return fo_flap(r->flap, r->flap_at, wall) >=
           (r->flap >= FO_FLAP_SUPPRESS ? FO_FLAP_REUSE : FO_FLAP_SUPPRESS);
}

static unsigned moves_within(const struct fo_record *r, int64_t seconds, int64_t wall)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FO_MOVES; i++) /* one of the future (a clock was set back) counts as well */
        if (r->moves[i] != 0 && wall - r->moves[i] < seconds * FO_SECOND)
            n++;
    return n;
}

int64_t fo_loss(const struct fo *s, const struct fo_config *c, uint8_t to, int64_t now)
{
    const struct fo_region_facts *f;
    int64_t end = now;

    if (to >= FO_REGIONS || to >= c->n_regions)
        return -1;
    f = &s->facts.region[to];
    if (f->synchronous)
        return 0;
    if (f->lag_ms < 0 || f->lag_at == 0)
        return -1;
    if (s->facts.writes_stopped_at != 0 && s->facts.writes_stopped_at < end)
        end = s->facts.writes_stopped_at;
    return f->lag_ms + (end > f->lag_at ? end - f->lag_at : 0);
}

uint8_t fo_target(const struct fo *s, const struct fo_config *c, int64_t wall)
{
    uint8_t best = FO_NONE, rank = 3;

    for (uint8_t r = 0; r < c->n_regions && r < FO_REGIONS; r++) {
        bool ruled_out = fo_in_force(&s->record.must_not, wall) && s->record.must_not.region == r;
        uint8_t its = ruled_out ? 2 : fo_bit(s->record.left, r) ? 1 : 0;

        if (r == s->record.active || !fo_bit(s->tally.up, r) || its >= rank)
            continue;
        best = r;
        rank = its;
    }
    return best;
}

bool fo_can_fence(const struct fo_config *c, uint8_t from, enum fo_kind kind)
{
    if (fo_bit(c->guarded, from))
        return true;
    for (unsigned i = 0; i < c->n_actions && i < FO_ACTIONS; i++)
        if (c->actions[i].step == STEP_FENCE && c->actions[i].required && c->actions[i].proves &&
            (c->actions[i].on >> kind & 1) != 0)
            return true;
    return false;
}

/* A step that this service has (its database is promoted, its traffic switched) needs an action for this kind of move as
 * well: else a drill would take the writer away and nobody would open the other one. */
bool fo_has_steps(const struct fo_config *c, enum fo_kind kind)
{
    unsigned there = 0, here = 0, need = 1U << STEP_PROMOTE | 1U << STEP_SWITCH;

    for (unsigned i = 0; i < c->n_actions && i < FO_ACTIONS; i++) {
        unsigned bit = c->actions[i].step < PLAN_STEPS ? 1U << c->actions[i].step : 0;

        there |= bit;
        here |= (c->actions[i].on >> kind & 1) != 0 ? bit : 0;
    }
    return ((there ^ here) & need) == 0;
}

static fo_reasons who_may(const struct fo *s, int64_t now, int64_t wall)
{
    fo_reasons r = 0;

    if (!s->tally.quorum)
        r |= FO_BIT(FO_R_QUORUM);
    if (s->tally.fail_static)
        r |= FO_BIT(FO_R_FAIL_STATIC);
    if (!s->leading || now + 2 * FO_SECOND >= s->deadline)
        r |= FO_BIT(FO_R_LEASE);
    if (!s->known || s->reading)
        r |= FO_BIT(FO_R_STORE);
    if (now < s->tilt_until)
        r |= FO_BIT(FO_R_TILT);
    if (now < s->promised_until)
        r |= FO_BIT(FO_R_PROMISED);
    if (fo_in_force(&s->record.lock, wall))
        r |= FO_BIT(FO_R_LOCKED);
    if (s->record.status != FO_STEADY_STATUS && s->record.status != FO_HOLD_STATUS)
        r |= FO_BIT(FO_R_PLAN_LIVE);
    return r;
}

static fo_reasons target_may(const struct fo *s, const struct fo_config *c, uint8_t to, int64_t now,
                             int64_t wall)
{
    const struct fo_region_facts *f;
    fo_reasons r = 0;

    if (c->n_regions < 2 || to == s->record.active)
        r |= FO_BIT(FO_R_ONE_REGION);
    if (to >= c->n_regions || to >= FO_REGIONS)
        return r | FO_BIT(FO_R_TARGET_DOWN);
    f = &s->facts.region[to];
    if (!fo_bit(s->tally.up, to))
        r |= FO_BIT(FO_R_TARGET_DOWN);
    if (fo_in_force(&s->record.must_not, wall) && s->record.must_not.region == to)
        r |= FO_BIT(FO_R_MUST_NOT);
    if (f->ready_at == 0 || now - f->ready_at > c->t.ready_age)
        r |= FO_BIT(FO_R_READINESS_OLD);
    return r | (f->blockers & (FO_BIT(FO_R_CAPACITY) | FO_BIT(FO_R_QUOTA) | FO_BIT(FO_R_CREDENTIALS) |
                               FO_BIT(FO_R_VERSIONS) | FO_BIT(FO_R_TTL) | FO_BIT(FO_R_DNS_PROTECTED) |
                               FO_BIT(FO_R_PLACEMENT) | FO_BIT(FO_R_ACTION)));
}

fo_reasons fo_loss_may(const struct fo *s, const struct fo_config *c, uint8_t to, int64_t accepted,
                       int64_t now)
{
    int64_t loss = fo_loss(s, c, to, now);

    if (loss < 0)
        return c->accept_unknown_lag || accepted >= 0 ? 0 : FO_BIT(FO_R_LAG_UNKNOWN);
    return loss <= c->t.rpo || loss <= accepted ? 0 : FO_BIT(FO_R_RPO);
}

/* What holds for a failover that nobody has asked for. */
static fo_reasons automation_may(const struct fo *s, const struct fo_config *c, uint8_t to, int64_t now,
                                 int64_t wall)
{
    const struct fo_record *rec = &s->record;
    fo_reasons r = 0;
    unsigned most = s->facts.services / 4 > 2 ? s->facts.services / 4U : 2;

    if (!fo_bit(s->tally.hard_down, rec->active))
        r |= fo_bit(s->tally.gray, rec->active) ? FO_BIT(FO_R_GRAY) : FO_BIT(FO_R_NOT_DOWN);
    if (fo_mode(s, c, wall) != FO_AUTO)
        r |= FO_BIT(FO_R_AUTOMATION);
    if (fo_in_force(&rec->maintenance, wall))
        r |= FO_BIT(FO_R_MAINTENANCE);
    if (rec->hold_until > wall)
        r |= FO_BIT(FO_R_HOLD);
    if (to < FO_REGIONS && (s->up_since[to] == 0 || now - s->up_since[to] < c->t.target_up))
        r |= FO_BIT(FO_R_TARGET_YOUNG);
    if (moves_within(rec, DAY, wall) >= c->budget_day)
        r |= FO_BIT(FO_R_BUDGET_DAY);
    if (moves_within(rec, WEEK, wall) >= c->budget_week)
        r |= FO_BIT(FO_R_BUDGET_WEEK);
    if (s->facts.others_moving + 1U > most)
        r |= FO_BIT(FO_R_VELOCITY);
    if (fo_bit(rec->left, to))
        r |= FO_BIT(FO_R_LEFT);
    if (flapping(rec, wall))
        r |= FO_BIT(FO_R_FLAP);
    return r;
}

static fo_reasons planned_may(const struct fo *s, const struct fo_config *c, enum fo_kind kind, uint8_t to,
                              int64_t now)
{
    bool home = kind == FO_SWITCHOVER && to == 0;
    fo_reasons r = 0;

    if (home && (s->up_since[0] == 0 || now - s->up_since[0] < c->t.failback_green))
        r |= FO_BIT(FO_R_HOME_YOUNG);
    if ((home || kind == FO_DRILL) && s->facts.blocking_alarm)
        r |= FO_BIT(FO_R_BLOCKING_ALARM);
    if ((home || kind == FO_DRILL) && !s->facts.in_window)
        r |= FO_BIT(FO_R_WINDOW);
    return r;
}

fo_reasons fo_gates(const struct fo *s, const struct fo_config *c, enum fo_kind kind, uint8_t to,
                    int64_t accepted_loss_ms, int64_t now, int64_t wall)
{
    fo_reasons r = who_may(s, now, wall) | target_may(s, c, to, now, wall) |
                   fo_loss_may(s, c, to, accepted_loss_ms, now);

    if (!fo_has_steps(c, kind))
        r |= FO_BIT(FO_R_ACTION);
    if (c->fence_required && !fo_can_fence(c, s->record.active, kind))
        r |= FO_BIT(FO_R_NO_FENCE);
    return r | (kind == FO_FAILOVER ? automation_may(s, c, to, now, wall) : planned_may(s, c, kind, to, now));
}
