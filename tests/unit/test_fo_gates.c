/* Each gate alone: a state in which nothing forbids the move, one thing changed, one reason. */
#include "tests/unit/fo_rig.h"

enum { HOUR = 3600000, DAY = 24 * HOUR };

static struct fo *pass(struct rig *w)
{
    w->verdict[EAST] = FO_DOWN;
    w->s.tally.hard_down = 1;
    w->s.tally.up = 2;
    return &w->s;
}
static fo_reasons ask(struct rig *w, enum fo_kind kind, uint8_t to)
{
    return fo_gates(&w->s, &w->c, kind, to, -1, w->now, w->wall);
}
static void one(struct rig *w, enum fo_kind kind, uint8_t to, enum fo_reason r)
{
    fo_reasons got = ask(w, kind, to);

    if (got != FO_BIT(r))
        fail_msg("%s: got %llx", fo_reason_name(r), (unsigned long long)got);
}

#define ALONE(change, reason)                                                                                \
    do {                                                                                                     \
        struct fo was_s = w->s;                                                                              \
        struct fo_config was_c = w->c;                                                                       \
        change;                                                                                              \
        one(w, FO_FAILOVER, WEST, reason);                                                                   \
        w->s = was_s;                                                                                        \
        w->c = was_c;                                                                                        \
    } while (0)

static void each_alone(void **state)
{
    struct rig *w = rig_steady();
    struct fo *s = pass(w);
    struct fo_record *r = &s->record;

    (void)state;
    assert_int_equal(ask(w, FO_FAILOVER, WEST), 0);
    ALONE(s->tally.quorum = 0, FO_R_QUORUM);
    ALONE(s->tally.hard_down = 0, FO_R_NOT_DOWN);
    ALONE((s->tally.hard_down = 0, s->tally.gray = 1), FO_R_GRAY);
    ALONE(s->tally.fail_static = 1, FO_R_FAIL_STATIC);
    ALONE(s->leading = 0, FO_R_LEASE);
    ALONE(s->deadline = w->now + 1900, FO_R_LEASE);
    ALONE(s->known = 0, FO_R_STORE);
    ALONE(s->reading = 1, FO_R_STORE);
    ALONE(s->tilt_until = w->now + 1, FO_R_TILT);
    ALONE(s->promised_until = w->now + 1, FO_R_PROMISED);
    ALONE(r->lock.until = w->wall + 1, FO_R_LOCKED);
    ALONE(r->maintenance.until = w->wall + 1, FO_R_MAINTENANCE);
    ALONE((r->must_not.until = w->wall + 1, r->must_not.region = WEST), FO_R_MUST_NOT);
    ALONE(w->c.automation = FO_PROPOSE, FO_R_AUTOMATION);
    ALONE(w->c.automation = FO_OBSERVE, FO_R_AUTOMATION);
    ALONE(w->c.auto_ok = 0, FO_R_AUTOMATION);
    ALONE((r->automation.until = w->wall + 1, r->automation.region = FO_OBSERVE), FO_R_AUTOMATION);
    ALONE(r->hold_until = w->wall + 1, FO_R_HOLD);
    ALONE(r->status = FO_STUCK_STATUS, FO_R_PLAN_LIVE);
    ALONE(s->tally.up = 0, FO_R_TARGET_DOWN);
    ALONE(s->up_since[WEST] = w->now - 599999, FO_R_TARGET_YOUNG);
    ALONE(s->up_since[WEST] = 0, FO_R_TARGET_YOUNG);
    ALONE(s->facts.region[WEST].ready_at = 0, FO_R_READINESS_OLD);
    ALONE(s->facts.region[WEST].ready_at = w->now - 1800001, FO_R_READINESS_OLD);
    for (enum fo_reason b = FO_R_CAPACITY; b <= FO_R_ACTION; b++)
        ALONE(s->facts.region[WEST].blockers = FO_BIT(b), b);
    ALONE(s->facts.region[WEST].lag_ms = -1, FO_R_LAG_UNKNOWN);
    ALONE(s->facts.region[WEST].lag_at = 0, FO_R_LAG_UNKNOWN);
    ALONE(s->facts.region[WEST].lag_ms = 60001, FO_R_RPO);
    ALONE(s->facts.region[WEST].lag_at = w->now - 60001, FO_R_RPO);
    ALONE(r->moves[0] = w->wall - DAY + 1, FO_R_BUDGET_DAY);
    ALONE((w->c.budget_day = 9, r->moves[0] = w->wall - 2 * DAY, r->moves[1] = w->wall - 7LL * DAY + 1),
          FO_R_BUDGET_WEEK);
    ALONE(s->facts.others_moving = 2, FO_R_VELOCITY);
    ALONE((r->flap = 2000, r->flap_at = w->wall - 900000), FO_R_FLAP);
    ALONE((w->c.guarded = 0), FO_R_NO_FENCE);
    ALONE(r->left = 1 << WEST, FO_R_LEFT);
    ALONE((w->c.actions[A_PROMOTE].on = 2, w->c.actions[A_SCALE].on = 2), FO_R_ACTION);
    free(w);
}

static void what_does_not_bind(void **state)
{
    struct rig *w = rig_steady();
    struct fo *s = pass(w);
    struct fo_record *r = &s->record;

    (void)state;
    r->lock.until = r->maintenance.until = r->must_not.until = w->wall; /* ended */
    r->must_not.region = WEST;
    r->automation.until = w->wall;
    r->automation.region = FO_OBSERVE;
    r->moves[0] = w->wall - DAY;
    r->hold_until = w->wall;
    r->flap = 1999;
    r->flap_at = w->wall;
    s->facts.others_moving = 1;
    s->facts.blocking_alarm = 1;
    s->facts.in_window = 0;
    s->facts.region[WEST].blockers = FO_BIT(FO_R_QUORUM); /* not one of readiness */
    w->c.guarded = 0;
    w->c.actions[A_FENCE].required = w->c.actions[A_FENCE].proves = 1;
    assert_int_equal(ask(w, FO_FAILOVER, WEST), 0);
    w->c.actions[A_FENCE].on = 6; /* not for failovers */
    one(w, FO_FAILOVER, WEST, FO_R_NO_FENCE);
    w->c.fence_required = 0;
    assert_int_equal(ask(w, FO_FAILOVER, WEST), 0);
    assert_true(ask(w, FO_FAILOVER, FO_NONE) & FO_BIT(FO_R_TARGET_DOWN));
    assert_true(ask(w, FO_FAILOVER, EAST) & FO_BIT(FO_R_ONE_REGION));
    free(w);
}

static void planned(void **state)
{
    struct rig *w = rig_steady();
    struct fo *s = &w->s;

    (void)state;
    assert_int_equal(ask(w, FO_SWITCHOVER, WEST), 0);
    assert_int_equal(ask(w, FO_DRILL, WEST), 0);
    s->record.moves[0] = w->wall;
    s->record.hold_until = w->wall + HOUR;
    s->record.maintenance.until = w->wall + HOUR;
    w->c.automation = FO_OBSERVE;
    s->up_since[WEST] = w->now;
    assert_int_equal(ask(w, FO_SWITCHOVER, WEST), 0);
    s->facts.blocking_alarm = 1;
    assert_int_equal(ask(w, FO_SWITCHOVER, WEST), 0);
    one(w, FO_DRILL, WEST, FO_R_BLOCKING_ALARM);
    s->facts.blocking_alarm = 0;
    s->facts.in_window = 0;
    one(w, FO_DRILL, WEST, FO_R_WINDOW);
    /* home again */
    s->record.active = WEST;
    s->up_since[EAST] = w->now - 3600000;
    one(w, FO_SWITCHOVER, EAST, FO_R_WINDOW);
    s->facts.in_window = 1;
    assert_int_equal(ask(w, FO_SWITCHOVER, EAST), 0);
    s->up_since[EAST]++;
    one(w, FO_SWITCHOVER, EAST, FO_R_HOME_YOUNG);
    assert_int_equal(ask(w, FO_DRILL, EAST), 0);
    free(w);
}

static void loss(void **state)
{
    struct rig *w = rig_steady();
    struct fo *s = pass(w);
    struct fo_region_facts *f = &s->facts.region[WEST];

    (void)state;
    f->lag_ms = 2000;
    f->lag_at = w->now - 7000;
    assert_int_equal(fo_loss(s, &w->c, WEST, w->now), 9000);
    s->facts.writes_stopped_at = w->now - 6000; /* the region wrote nothing more */
    assert_int_equal(fo_loss(s, &w->c, WEST, w->now), 3000);
    s->facts.writes_stopped_at = w->now - 10000;
    assert_int_equal(fo_loss(s, &w->c, WEST, w->now), 2000);
    f->synchronous = 1;
    assert_int_equal(fo_loss(s, &w->c, WEST, w->now), 0);
    f->synchronous = 0;
    f->lag_ms = -1;
    assert_int_equal(fo_loss(s, &w->c, WEST, w->now), -1);
    assert_int_equal(fo_loss(s, &w->c, FO_NONE, w->now), -1);
    /* what people accept */
    assert_int_equal(fo_gates(s, &w->c, FO_FAILOVER, WEST, 0, w->now, w->wall), 0);
    w->c.accept_unknown_lag = 1;
    assert_int_equal(ask(w, FO_FAILOVER, WEST), 0);
    f->lag_ms = 100000;
    f->lag_at = w->now;
    one(w, FO_FAILOVER, WEST, FO_R_RPO);
    assert_int_equal(fo_gates(s, &w->c, FO_FAILOVER, WEST, 99999, w->now, w->wall), FO_BIT(FO_R_RPO));
    assert_int_equal(fo_gates(s, &w->c, FO_FAILOVER, WEST, 100000, w->now, w->wall), 0);
    free(w);
}

/* Against the curve itself: 2^(-t/15 min), to within a sixteenth of a half-life. */
static void flap_decays(void **state)
{
    int32_t last = 12000;

    (void)state;
    assert_int_equal(fo_flap(1000, 0, 0), 1000);
    assert_int_equal(fo_flap(1000, 0, 900000), 500);
    assert_int_equal(fo_flap(1001, 0, 1800000), 250);
    assert_int_equal(fo_flap(12000, 0, 3600000), 750);
    assert_int_equal(fo_flap(12000, 0, INT64_C(1) << 60), 0);
    assert_int_equal(fo_flap(1000, 5000, 0), 1000); /* a clock that was set back */
    assert_int_equal(fo_flap(-5, 0, 0), 0);
    for (int64_t t = 0; t < 4000000; t += 1000) {
        int32_t p = fo_flap(12000, 0, t);

        assert_true(p <= last && p >= 0);
        last = p;
    }
}

static void flap_is_held_until_it_is_low(void **state)
{
    struct rig *w = rig_steady();
    struct fo_record *r = &pass(w)->record;

    (void)state;
    r->flap = 1999;
    r->flap_at = w->wall;
    assert_int_equal(ask(w, FO_FAILOVER, WEST), 0);
    r->flap = 3000;
    one(w, FO_FAILOVER, WEST, FO_R_FLAP);
    r->flap_at = w->wall - 1798000; /* just above 750 */
    one(w, FO_FAILOVER, WEST, FO_R_FLAP);
    r->flap_at = w->wall - 1900000;
    assert_int_equal(ask(w, FO_FAILOVER, WEST), 0);
    free(w);
}

static void target(void **state)
{
    struct rig *w = rig_steady();
    struct fo *s = &w->s;

    (void)state;
    w->c.n_regions = 3;
    s->tally.up = 7;
    assert_int_equal(fo_target(s, &w->c, w->wall), WEST);
    s->record.must_not.region = WEST;
    s->record.must_not.until = w->wall + 1;
    assert_int_equal(fo_target(s, &w->c, w->wall), THIRD);
    s->record.must_not.until = w->wall;
    s->record.left = 1 << WEST;
    assert_int_equal(fo_target(s, &w->c, w->wall), THIRD);
    s->tally.up = 3; /* the one that was left is all there is: people may want it */
    assert_int_equal(fo_target(s, &w->c, w->wall), WEST);
    s->record.must_not.until = w->wall + 1; /* ruled out, and nothing else is up: that is the reason */
    assert_int_equal(fo_target(s, &w->c, w->wall), WEST);
    s->tally.up = 1;
    assert_int_equal(fo_target(s, &w->c, w->wall), FO_NONE);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_alone),  cmocka_unit_test(what_does_not_bind),
        cmocka_unit_test(planned),     cmocka_unit_test(loss),
        cmocka_unit_test(flap_decays), cmocka_unit_test(flap_is_held_until_it_is_low),
        cmocka_unit_test(target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
