/* The core's ways from a region that dies to users in another one, and what holds it back. */
#include "tests/unit/fo_rig.h"

static void path_of_a_failover(void **state)
{
    static const uint8_t path[] = {FO_S_SUSPECT,  FO_S_CONFIRM, FO_S_GATE, FO_S_PREPARE, FO_S_FENCE,
                                   FO_S_LASTLOOK, FO_S_PROMOTE, FO_S_WARM, FO_S_TEST,    FO_S_SWITCH,
                                   FO_S_VALIDATE, FO_S_TIDY,    FO_S_HOLD, FO_S_STEADY};
    struct rig *w = rig_steady();
    int64_t died = w->now;

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_VALIDATE, 60000));
    assert_true(w->now - died < 20000);
    assert_int_equal(w->level[FO_S_PREPARE], FO_PAGE_CRITICAL);
    assert_true(rig_until(w, FO_S_HOLD, 240000));
    assert_int_equal(w->record.active, WEST);
    assert_int_equal(w->record.writer, WEST);
    assert_int_equal(w->record.epoch, 1);
    assert_int_equal(w->record.plan.fenced, 1);
    assert_true(w->record.plan.automatic);
    assert_true(w->record.moves[0] != 0);
    assert_int_equal(w->record.left, 1 << EAST);
    for (int i = 0; i < A_CATCHUP; i++)
        assert_int_equal(w->record.plan.phase[i], FO_DONE);
    assert_int_equal(w->record.plan.phase[A_CATCHUP], FO_IDLE);
    assert_true(rig_until(w, FO_S_STEADY, 1900000));
    assert_true(w->visits >= (int)sizeof path); /* then it resigns: it stands in the active region now */
    for (size_t i = 0; i < sizeof path; i++)
        assert_int_equal(w->states[i], path[i]);
    for (unsigned i = 0; i < FO_STATES; i++)
        assert_int_equal(w->pages[i], 0);
    free(w);
}

static void times_are_kept(void **state)
{
    struct rig *w = rig_steady();
    struct fo_plan *p = &w->record.plan;
    int64_t died = w->wall;

    (void)state;
    w->facts.bad_since = died;
    w->guards_fence = false;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_HOLD, 400000));
    assert_int_equal(p->bad_since, died);
    assert_true(p->suspect_at > died && p->suspect_at <= died + 1100);
    assert_true(p->began >= p->suspect_at + w->c.t.confirm && p->began == p->fence_said);
    assert_int_equal(p->fenced, 2); /* by contract */
    assert_true(p->fenced_at >= p->fence_said + w->c.t.contract);
    assert_true(p->fenced_at <= p->writable_at && p->writable_at <= p->switched_at);
    assert_true(p->valid_at >= p->switched_at + w->c.t.validate && p->ended >= p->valid_at);
    assert_int_equal(w->record.hold_until, p->ended + w->c.t.hold);
    free(w);
}

static void confirm_starts_anew_when_broken(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    for (int i = 0; i < 5; i++) {
        w->verdict[EAST] = FO_DOWN;
        rig_run(w, 9000);
        assert_int_equal(w->s.state, FO_S_CONFIRM);
        w->verdict[EAST] = FO_UNKNOWN;
        rig_run(w, 2000);
        assert_int_equal(w->s.state, FO_S_SUSPECT);
    }
    assert_int_equal(w->pages[FO_S_SUSPECT], 1);
    w->verdict[EAST] = FO_UP;
    rig_run(w, 29000);
    assert_int_equal(w->s.state, FO_S_SUSPECT);
    assert_true(rig_until(w, FO_S_STEADY, 3000));
    assert_int_equal(w->pages[FO_S_SUSPECT], 0);
    assert_int_equal(w->record.epoch, 0);
    free(w);
}

static void a_single_voter_moves_nothing(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    for (uint8_t v = 1; v < 5; v++)
        w->silent[v] = true;
    w->verdict[EAST] = FO_DOWN;
    rig_run(w, 300000);
    assert_int_equal(w->record.epoch, 0);
    assert_false(rig_visited(w, FO_S_CONFIRM));
    free(w);
}

static void all_down_moves_nothing(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->verdict[EAST] = w->verdict[WEST] = FO_DOWN;
    rig_run(w, 50000);
    assert_int_equal(w->s.state, FO_S_SUSPECT);
    rig_run(w, 250000);
    assert_int_equal(w->s.state, FO_S_BLOCKED); /* and people are told why */
    assert_true(w->s.reasons & FO_BIT(FO_R_FAIL_STATIC));
    assert_int_equal(w->pages[FO_S_BLOCKED], 1);
    assert_int_equal(w->record.epoch, 0);
    assert_int_equal(w->record.writer, EAST);
    assert_int_equal(w->s.tally.fail_static, 1);
    free(w);
}

static void down_without_a_target(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->facts.writes_stopped_at = w->now;
    w->verdict[EAST] = FO_DOWN;
    w->verdict[WEST] = FO_DEGRADED;
    assert_true(rig_until(w, FO_S_BLOCKED, 70000));
    assert_true(rig_fired(w, 214));
    assert_true(w->s.reasons & FO_BIT(FO_R_TARGET_DOWN));
    /* now there is one: confirmed anew, for the whole time, before anything moves */
    w->c.t.target_up = 0;
    w->verdict[WEST] = FO_UP;
    rig_run(w, 9000);
    assert_int_equal(w->s.state, FO_S_BLOCKED);
    assert_int_equal(w->record.epoch, 0);
    assert_true(rig_until(w, FO_S_VALIDATE, 5000));
    free(w);
}

/* One has two kinds of evidence, the others only one: it is not down for certain, and users may be dead. */
static void not_well_for_most(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->said[1] = FO_DOWN;
    w->said[0] = w->said[2] = FO_DEGRADED;
    rig_run(w, 59000);
    assert_int_equal(w->s.state, FO_S_SUSPECT);
    assert_true(rig_until(w, FO_S_BLOCKED, 4000));
    assert_true(w->s.reasons & FO_BIT(FO_R_NOT_DOWN));
    assert_int_equal(w->level[FO_S_BLOCKED], FO_PAGE_CRITICAL);
    assert_int_equal(w->record.epoch, 0);
    w->said[1] = FO_DEGRADED; /* it recovers */
    assert_true(rig_until(w, FO_S_STEADY, 60000));
    free(w);
}

static void propose_and_approve(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->c.automation = FO_PROPOSE;
    assert_int_equal(rig_order(w, rig_command(FO_C_APPROVE, FO_NONE)), FO_R_NO_PLAN);
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_BLOCKED, 30000));
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_AUTOMATION));
    assert_int_equal(w->pages[FO_S_BLOCKED], 1);
    rig_run(w, 60000);
    assert_int_equal(w->record.epoch, 0);
    assert_int_equal(rig_order(w, rig_command(FO_C_APPROVE, FO_NONE)),
                     FO_R_RPO); /* a minute is lost by now */
    assert_int_equal(w->s.state, FO_S_BLOCKED);
    {
        struct fo_order o = rig_command(FO_C_APPROVE, FO_NONE);

        o.accept_loss_ms = 120000;
        o.epoch = 7;
        assert_int_equal(rig_order(w, o), FO_R_INVALID); /* another plan is meant */
        o.epoch = 1;
        assert_int_equal(rig_order(w, o), FO_R_NONE);
        assert_int_equal(rig_order(w, o), FO_R_NONE); /* once more: it is so */
    }
    assert_true(rig_until(w, FO_S_HOLD, 400000));
    assert_int_equal(w->record.active, WEST);
    assert_false(w->record.plan.automatic);
    assert_string_equal(w->record.plan.who, "anna");
    assert_int_equal(w->record.moves[0], 0);
    assert_int_equal(w->record.left, 0);
    assert_int_equal(w->record.plan.accepted_loss_ms, 120000);
    assert_int_equal(w->pages[FO_S_BLOCKED], 0);
    free(w);
}

static void people_answer_for_a_target_that_is_not_ready(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->facts.region[WEST].blockers = FO_BIT(FO_R_CAPACITY) | FO_BIT(FO_R_ACTION) | FO_BIT(FO_R_CREDENTIALS);
    w->facts.writes_stopped_at = w->now;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_BLOCKED, 30000));
    assert_int_equal(rig_order(w, rig_command(FO_C_APPROVE, FO_NONE)), FO_R_CREDENTIALS);
    w->facts.region[WEST].blockers = FO_BIT(FO_R_CAPACITY) | FO_BIT(FO_R_ACTION);
    rig_run(w, 1100);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)),
                     FO_R_CAPACITY); /* nobody is in a hurry */
    assert_int_equal(rig_order(w, rig_command(FO_C_APPROVE, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    free(w);
}

static void a_kind_without_its_steps(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->c.actions[A_SWITCH].on = 6;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_BLOCKED, 30000));
    assert_int_equal(rig_order(w, rig_command(FO_C_APPROVE, FO_NONE)), FO_R_ACTION);
    free(w);
}

static void blocked_goes_on_when_reasons_clear(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->facts.region[WEST].blockers = FO_BIT(FO_R_CAPACITY);
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_BLOCKED, 30000));
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_CAPACITY));
    w->facts.region[WEST].blockers = FO_BIT(FO_R_CAPACITY) | FO_BIT(FO_R_QUOTA);
    rig_run(w, 2000);
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_CAPACITY) | FO_BIT(FO_R_QUOTA));
    w->facts.region[WEST].blockers = 0;
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_true(rig_fired(w, 310));
    free(w);
}

static void blocked_ends_when_health_returns(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->c.automation = FO_OBSERVE;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_BLOCKED, 30000));
    w->verdict[EAST] = FO_UP;
    assert_true(rig_until(w, FO_S_STEADY, 60000));
    assert_int_equal(w->pages[FO_S_BLOCKED], 0);
    assert_int_equal(w->record.flap, 1000); /* one change from down to up */
    free(w);
}

static void budget(void **state)
{
    struct rig *w = rig_steady();
    struct fo_order ack = rig_command(FO_C_ACK, FO_NONE);

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    w->verdict[EAST] = FO_UP;
    rig_run(w, 700000);
    /* in the hold-down nothing moves by itself */
    w->verdict[WEST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_BLOCKED, 60000));
    assert_true(w->s.reasons & FO_BIT(FO_R_HOLD));
    assert_true(w->s.reasons & FO_BIT(FO_R_BUDGET_DAY));
    assert_true(w->s.reasons & FO_BIT(FO_R_LEFT));
    /* looked at: one reason remains */
    assert_int_equal(rig_order(w, ack), FO_R_NONE);
    rig_run(w, 3000);
    assert_int_equal(w->s.reasons & ~FO_BIT(FO_R_RPO), FO_BIT(FO_R_BUDGET_DAY));
    assert_int_equal(w->record.epoch, 1);
    assert_int_equal(rig_order(w, ack), FO_R_NONE);
    free(w);
}

static void no_way_to_fence(void **state)
{
    struct rig *w = rig_steady();
    struct fo_order o = rig_command(FO_C_APPROVE, FO_NONE);

    (void)state;
    w->c.guarded = 0;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_BLOCKED, 30000));
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_NO_FENCE));
    assert_int_equal(rig_order(w, o), FO_R_NO_FENCE);
    o.fenced_by_hand = 1;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->record.plan.fenced, 3);
    free(w);
}

static void a_fence_that_proves(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->c.guarded = 0;
    w->c.actions[A_FENCE].required = w->c.actions[A_FENCE].proves = 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->record.plan.fenced, 1);
    free(w);
}

static void a_fence_that_is_denied(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->c.guarded = 0;
    w->c.actions[A_FENCE].required = w->c.actions[A_FENCE].proves = 1;
    w->answer[A_FENCE][ACTION_APPLY] = ACTION_DENIED + 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_UNDO, 60000) || rig_visited(w, FO_S_UNDO));
    assert_true(rig_until(w, FO_S_BLOCKED, 1000));
    assert_true(w->s.reasons & FO_BIT(FO_R_STEP_DENIED));
    assert_int_equal(w->record.writer, EAST);
    assert_int_equal(w->record.moves[0], 0); /* given back */
    assert_int_equal(w->applies[A_PROMOTE], 0);
    rig_run(w, 120000); /* it does not try again by itself */
    assert_int_equal(w->record.epoch, 1);
    assert_int_equal(w->s.state, FO_S_BLOCKED);
    free(w);
}

static void a_fence_in_no_time(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->c.guarded = 0;
    w->c.actions[A_FENCE].required = w->c.actions[A_FENCE].proves = 1;
    w->answer[A_FENCE][ACTION_VERIFY] = ACTION_PROGRESS + 1;
    w->c.actions[A_FENCE].patience_ms = 600000;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_BLOCKED, 90000));
    assert_true(rig_fired(w, 414));
    assert_true(w->s.reasons & FO_BIT(FO_R_FENCE_FAILED));
    assert_int_equal(w->undos[A_FENCE], 1);
    assert_false(w->applied[A_FENCE]);
    free(w);
}

static void too_much_is_lost_by_the_fence(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->guards_fence = false;
    w->facts.region[WEST].lag_ms = 30000; /* 30 + 12 pass at the gate; with the contract's 32 s they do not */
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_FENCE, 30000));
    assert_true(rig_until(w, FO_S_BLOCKED, 90000));
    assert_true(rig_fired(w, 431));
    assert_true(w->s.reasons & FO_BIT(FO_R_RPO));
    assert_int_equal(w->record.writer, EAST);
    assert_int_equal(w->applies[A_PROMOTE], 0);
    assert_int_equal(w->undos[A_FENCE], 1);
    rig_run(w, 300000);
    assert_int_equal(w->record.epoch, 1);
    free(w);
}

static void recovery_before_the_last_look(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->guards_fence = false;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_FENCE, 30000));
    rig_run(w, 5000);
    assert_int_equal(w->record.writer, FO_NONE);
    w->verdict[EAST] = FO_UP;
    assert_true(rig_until(w, FO_S_STEADY, 5000));
    assert_true(rig_fired(w, 640 + FO_S_FENCE));
    assert_int_equal(w->record.writer, EAST);
    assert_int_equal(w->record.active, EAST);
    assert_int_equal(w->record.moves[0], 0);
    assert_false(w->applied[A_FENCE]);
    for (unsigned i = 0; i < FO_STATES; i++)
        assert_int_equal(w->pages[i], 0);
    free(w);
}

static void gray_asks_people(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->gray[EAST] = true;
    assert_true(rig_until(w, FO_S_GRAY, 70000));
    assert_int_equal(w->pages[FO_S_GRAY], 1);
    rig_run(w, 600000);
    assert_int_equal(w->s.state, FO_S_GRAY);
    assert_int_equal(rig_order(w, rig_command(FO_C_APPROVE, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->pages[FO_S_GRAY], 0);
    free(w);
}

static void gray_acts_where_it_may(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->c.gray_auto = 1;
    w->gray[EAST] = true;
    assert_true(rig_until(w, FO_S_PREPARE, 310000) || rig_visited(w, FO_S_PREPARE));
    assert_true(w->record.plan.began - w->record.plan.suspect_at >= w->c.t.gray_auto);
    free(w);
}

static void gray_clears(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->gray[EAST] = true;
    assert_true(rig_until(w, FO_S_GRAY, 70000));
    w->gray[EAST] = false;
    rig_run(w, 118000);
    assert_int_equal(w->s.state, FO_S_GRAY);
    assert_true(rig_until(w, FO_S_STEADY, 5000));
    free(w);
}

static void tilt(void **state)
{
    struct rig *w = rig_steady();
    struct fo_event e;

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    rig_run(w, 8000);
    assert_int_equal(w->s.state, FO_S_CONFIRM);
    e = rig_make(w, FO_E_ANOMALY);
    rig_event(w, &e);
    assert_int_equal(w->s.state, FO_S_SUSPECT);
    rig_run(w, 29000);
    assert_int_equal(w->record.epoch, 0);
    rig_run(w, 2000); /* over: confirmed anew, for the whole time */
    assert_int_equal(w->s.state, FO_S_CONFIRM);
    rig_run(w, 8000);
    assert_int_equal(w->record.epoch, 0);
    assert_true(rig_until(w, FO_S_VALIDATE, 5000));
    free(w);
}

static void tilt_in_a_plan_begins_nothing(void **state)
{
    struct rig *w = rig_steady();
    struct fo_event e;
    int applies;

    (void)state;
    w->guards_fence = false;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_FENCE, 30000));
    rig_run(w, 31000);
    e = rig_make(w, FO_E_ANOMALY);
    rig_event(w, &e);
    applies = w->applies[A_PROMOTE];
    rig_run(w, 29000);
    assert_int_equal(w->applies[A_PROMOTE], applies);
    free(w);
}

/* A clock that jumps at the last look holds the move up; it does not take it back. */
static void tilt_at_the_last_look(void **state)
{
    struct rig *w = rig_steady();
    struct fo_event e;

    (void)state;
    w->guards_fence = false;
    w->facts.writes_stopped_at = w->now;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_FENCE, 30000));
    rig_run(w, 31000);
    e = rig_make(w, FO_E_ANOMALY);
    rig_event(w, &e);
    assert_true(rig_until(w, FO_S_LASTLOOK, 5000));
    rig_run(w, 20000);
    assert_int_equal(w->s.state, FO_S_LASTLOOK);
    assert_true(rig_until(w, FO_S_VALIDATE, 15000));
    free(w);
}

static void promised_guards_are_safe(void **state)
{
    struct rig *w = rig_steady();
    struct fo_event e = rig_make(w, FO_E_PROMISED);

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    rig_run(w, 5000);
    e = rig_make(w, FO_E_PROMISED);
    e.u.promised.until = w->now + 20000;
    rig_event(w, &e);
    rig_run(w, 19000);
    assert_int_equal(w->record.epoch, 0);
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_PROMISED));
    assert_true(rig_until(w, FO_S_VALIDATE, 5000));
    free(w);
}

static void down_again_in_hold(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    w->verdict[WEST] = FO_DOWN; /* all is down */
    rig_run(w, 60000);
    assert_int_equal(w->record.epoch, 1);
    w->verdict[EAST] = FO_UP;
    assert_true(rig_until(w, FO_S_BLOCKED, 60000));
    assert_int_equal(w->pages[FO_S_BLOCKED], 1);
    w->verdict[WEST] = FO_UP;
    assert_true(rig_until(w, FO_S_HOLD, 60000));
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_of_a_failover),
        cmocka_unit_test(times_are_kept),
        cmocka_unit_test(confirm_starts_anew_when_broken),
        cmocka_unit_test(a_single_voter_moves_nothing),
        cmocka_unit_test(all_down_moves_nothing),
        cmocka_unit_test(down_without_a_target),
        cmocka_unit_test(not_well_for_most),
        cmocka_unit_test(propose_and_approve),
        cmocka_unit_test(people_answer_for_a_target_that_is_not_ready),
        cmocka_unit_test(a_kind_without_its_steps),
        cmocka_unit_test(blocked_goes_on_when_reasons_clear),
        cmocka_unit_test(blocked_ends_when_health_returns),
        cmocka_unit_test(budget),
        cmocka_unit_test(no_way_to_fence),
        cmocka_unit_test(a_fence_that_proves),
        cmocka_unit_test(a_fence_that_is_denied),
        cmocka_unit_test(a_fence_in_no_time),
        cmocka_unit_test(too_much_is_lost_by_the_fence),
        cmocka_unit_test(recovery_before_the_last_look),
        cmocka_unit_test(gray_asks_people),
        cmocka_unit_test(gray_acts_where_it_may),
        cmocka_unit_test(gray_clears),
        cmocka_unit_test(tilt),
        cmocka_unit_test(tilt_in_a_plan_begins_nothing),
        cmocka_unit_test(tilt_at_the_last_look),
        cmocka_unit_test(promised_guards_are_safe),
        cmocka_unit_test(down_again_in_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
