/* Commands of people, planned moves, drills, and what is stuck. */
#include "tests/unit/fo_rig.h"

/* The target does not catch up, and no action waits for it. */
static void lagging(struct rig *w)
{
    w->facts.region[WEST].lag_ms = 40;
    w->c.actions[A_CATCHUP].required = 0;
}

static void switchover(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE); /* under way */
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_true(rig_visited(w, FO_S_CATCHUP));
    assert_int_equal(w->level[FO_S_PREPARE], FO_PAGE_WARNING); /* nobody is woken for what people do */
    assert_int_equal(w->record.active, WEST);
    assert_int_equal(w->record.plan.fenced, 1);
    assert_int_equal(w->record.plan.phase[A_CATCHUP], FO_DONE);
    assert_int_equal(w->record.moves[0], 0);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE); /* it is so */
    free(w);
}

static void switchover_waits_for_proof(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->guards_fence = false;
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    rig_run(w, 50000); /* a contract is not enough when nobody is dead */
    assert_int_equal(w->s.state, FO_S_FENCE);
    assert_true(rig_until(w, FO_S_STEADY, 15000));
    assert_int_equal(w->record.writer, EAST);
    free(w);
}

static void a_failed_switchover_hinders_no_failover(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->answer[A_CATCHUP][ACTION_APPLY] = ACTION_DENIED + 1;
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_STEADY, 5000));
    assert_true(rig_fired(w, 421));
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    free(w);
}

static void switchover_without_lag_zero(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    lagging(w);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_CATCHUP, 5000));
    rig_run(w, 59000);
    assert_int_equal(w->s.state, FO_S_CATCHUP);
    assert_true(rig_until(w, FO_S_STEADY, 5000));
    assert_true(rig_fired(w, 422));
    assert_int_equal(w->undos[A_CATCHUP], 1);
    assert_int_equal(w->record.writer, EAST);
    free(w);
}

/* An action that waits for the target knows better than figures that come by the minute. */
static void caught_up_by_an_action(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->facts.region[WEST].lag_ms = 40;
    w->answer[A_CATCHUP][ACTION_VERIFY] = ACTION_PROGRESS + 1;
    rig_run(w, 1100);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    rig_run(w, 30000);
    assert_int_equal(w->s.state, FO_S_CATCHUP);
    w->answer[A_CATCHUP][ACTION_VERIFY] = 0;
    assert_true(rig_until(w, FO_S_VALIDATE, 20000));
    free(w);
}

static void failback(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    assert_int_equal(rig_order(w, rig_command(FO_C_FAILBACK, FO_NONE)), FO_R_NONE); /* at home */
    assert_int_equal(w->record.epoch, 0);
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    w->verdict[EAST] = FO_UP;
    rig_run(w, 600000);
    memset(w->applied, 0, sizeof w->applied);
    assert_int_equal(rig_order(w, rig_command(FO_C_FAILBACK, FO_NONE)), FO_R_HOME_YOUNG);
    assert_int_equal(w->s.state, FO_S_HOLD); /* where it was */
    w->c.t.failback_green = 500000;
    assert_int_equal(rig_order(w, rig_command(FO_C_FAILBACK, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->record.active, EAST);
    assert_int_equal(w->record.writer, EAST);
    assert_int_equal(w->record.left, 0);
    assert_int_equal(w->record.epoch, 2);
    free(w);
}

static void drill(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->facts.blocking_alarm = 1;
    rig_run(w, 1100);
    assert_int_equal(rig_order(w, rig_command(FO_C_DRILL, WEST)), FO_R_BLOCKING_ALARM);
    w->facts.blocking_alarm = 0;
    rig_run(w, 1100);
    lagging(w);
    rig_run(w, 1100);
    assert_int_equal(rig_order(w, rig_command(FO_C_DRILL, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_CATCHUP, 5000));
    assert_int_equal(rig_order(w, rig_command(FO_C_DRILL_ABORT, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_STEADY, 5000));
    assert_int_equal(rig_order(w, rig_command(FO_C_DRILL_ABORT, FO_NONE)), FO_R_NO_PLAN);
    /* the cap */
    w->c.t.plan_most = 20000;
    assert_int_equal(rig_order(w, rig_command(FO_C_DRILL, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_CATCHUP, 5000));
    assert_true(rig_until(w, FO_S_STEADY, 21000));
    assert_true(rig_fired(w, 660 + FO_S_CATCHUP));
    /* the whole */
    w->facts.region[WEST].lag_ms = 0;
    w->c.t.plan_most = 1800000;
    assert_int_equal(rig_order(w, rig_command(FO_C_DRILL, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->record.plan.kind, FO_DRILL);
    free(w);
}

static void abort_at_each_state(void **state)
{
    static const uint8_t before[] = {FO_S_FENCE, FO_S_CATCHUP};
    struct fo_order o = rig_command(FO_C_ABORT, FO_NONE);

    (void)state;
    for (size_t i = 0; i < sizeof before; i++) {
        struct rig *w = rig_steady();

        w->guards_fence = before[i] != FO_S_FENCE;
        lagging(w);
        rig_run(w, 1100);
        assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
        assert_true(rig_until(w, (enum fo_state)before[i], 5000));
        o.epoch = 9;
        assert_int_equal(rig_order(w, o), FO_R_INVALID);
        o.epoch = 1;
        assert_int_equal(rig_order(w, o), FO_R_NONE);
        assert_true(rig_until(w, FO_S_STEADY, 5000));
        assert_int_equal(rig_order(w, o), FO_R_NONE); /* it is so */
        assert_int_equal(w->record.writer, EAST);
        assert_int_equal(w->record.active, EAST);
        for (int a = 0; a < ACTIONS; a++)
            assert_false(w->applied[a]);
        assert_false(w->record.status != FO_STEADY_STATUS);
        o.epoch = 0;
        assert_int_equal(rig_order(w, o), FO_R_NO_PLAN);
        free(w);
    }
}

/* A failover that somebody calls off is not begun again by the machine, though the region is down: it proposes. */
static void a_failover_called_off_stays_off(void **state)
{
    struct fo_order o = rig_command(FO_C_ABORT, FO_NONE);
    struct rig *w = rig_steady();

    (void)state;
    w->guards_fence = false;
    w->verdict[EAST] = FO_DOWN;
    w->facts.writes_stopped_at = w->now;
    assert_true(rig_until(w, FO_S_FENCE, 120000));
    assert_true(w->record.plan.automatic);
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_true(rig_until(w, FO_S_BLOCKED, 5000));
    assert_int_equal(w->record.automation.region, FO_PROPOSE);
    assert_true(w->record.automation.until > 0);
    rig_run(w, 15000);
    assert_int_equal(w->s.state, FO_S_BLOCKED);
    assert_true(w->s.reasons & FO_BIT(FO_R_AUTOMATION));
    assert_int_equal(w->record.epoch, 1);
    w->guards_fence = true;
    assert_int_equal(rig_order(w, rig_command(FO_C_APPROVE, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    free(w);
}

static void too_late_to_abort(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->answer[A_PROMOTE][ACTION_VERIFY] = ACTION_PROGRESS + 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_PROMOTE, 60000));
    assert_int_equal(rig_order(w, rig_command(FO_C_ABORT, FO_NONE)), FO_R_TOO_LATE);
    w->verdict[EAST] = FO_UP; /* nor does health */
    rig_run(w, 10000);
    assert_int_equal(w->s.state, FO_S_PROMOTE);
    free(w);
}

static void suppressions(void **state)
{
    struct rig *w = rig_steady();
    struct fo_order o = rig_command(FO_C_LOCK, FO_NONE);
    int64_t at = w->wall;

    (void)state;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_in_range(w->record.lock.until, (uint64_t)(at + 4 * 3600000), (uint64_t)(w->wall + 4 * 3600000));
    assert_string_equal(w->record.lock.who, "anna");
    o.until = w->wall + INT64_C(365) * 86400000; /* nothing is for a year */
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_in_range(w->record.lock.until, (uint64_t)(at + 24 * 3600000), (uint64_t)(w->wall + 24 * 3600000));
    w->verdict[EAST] = FO_DOWN;
    w->facts.writes_stopped_at = w->now;
    assert_true(rig_until(w, FO_S_BLOCKED, 60000));
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_LOCKED));
    assert_int_equal(rig_order(w, rig_command(FO_C_APPROVE, FO_NONE)), FO_R_LOCKED); /* for people as well */
    o = rig_command(FO_C_UNLOCK, FO_NONE);
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_true(rig_until(w, FO_S_VALIDATE, 60000));
    free(w);
}

static void suppressions_end_by_themselves(void **state)
{
    struct rig *w = rig_steady();
    struct fo_order o = rig_command(FO_C_MAINTENANCE, FO_NONE);

    (void)state;
    o.until = w->wall + 60000;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    w->verdict[EAST] = FO_DOWN;
    w->facts.writes_stopped_at = w->now;
    rig_run(w, 58000);
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_MAINTENANCE));
    assert_true(rig_until(w, FO_S_VALIDATE, 5000));
    /* a time of the past ends one */
    o = rig_command(FO_C_AUTOMATION, FO_NONE);
    o.mode = FO_OBSERVE;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_int_equal(w->record.automation.region, FO_OBSERVE);
    o.until = 1;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_int_equal(w->record.automation.until, 0);
    o.mode = 3;
    assert_int_equal(rig_order(w, o), FO_R_INVALID);
    free(w);
}

static void must_not(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    assert_int_equal(rig_order(w, rig_command(FO_C_MUST_NOT, 6)), FO_R_INVALID);
    assert_int_equal(rig_order(w, rig_command(FO_C_MUST_NOT, WEST)), FO_R_NONE);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_MUST_NOT);
    assert_int_equal(w->s.state, FO_S_STEADY);
    assert_int_equal(rig_order(w, rig_command(FO_C_UNLOCK, EAST)), FO_R_NONE); /* not that one */
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_MUST_NOT);
    assert_int_equal(rig_order(w, rig_command(FO_C_UNLOCK, WEST)), FO_R_NONE);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    free(w);
}

static void fence_and_unfence_by_hand(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    assert_int_equal(rig_order(w, rig_command(FO_C_FENCE, WEST)), FO_R_NONE); /* it does not write */
    assert_int_equal(w->record.writer, EAST);
    assert_int_equal(rig_order(w, rig_command(FO_C_FENCE, EAST)), FO_R_NONE);
    assert_int_equal(w->record.writer, FO_NONE);
    assert_int_equal(rig_order(w, rig_command(FO_C_UNFENCE, WEST)), FO_R_INVALID);
    assert_int_equal(rig_order(w, rig_command(FO_C_UNFENCE, EAST)), FO_R_NONE);
    assert_int_equal(w->record.writer, EAST);
    free(w);
}

/* What somebody has fenced by hand stays so, also when a move was begun and taken back. */
static void fenced_by_hand_before(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    assert_int_equal(rig_order(w, rig_command(FO_C_FENCE, EAST)), FO_R_NONE);
    lagging(w);
    rig_run(w, 1100);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_CATCHUP, 5000));
    assert_int_equal(rig_order(w, rig_command(FO_C_ABORT, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_STEADY, 5000));
    assert_int_equal(w->record.writer, FO_NONE);
    assert_int_equal(rig_order(w, rig_command(FO_C_UNFENCE, EAST)), FO_R_NONE);
    assert_int_equal(w->record.writer, EAST);
    free(w);
}

/* A command that was overtaken while it waited for its commit is answered, and holds up no other. */
static void overtaken(void **state)
{
    struct rig *w = rig_steady();
    struct fo_event e;

    (void)state;
    w->guards_fence = false;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_FENCE, 30000));
    w->s.storing = 1;
    w->s.store_at = w->now;
    e = rig_make(w, FO_E_COMMAND);
    e.u.order = rig_command(FO_C_ABORT, FO_NONE);
    e.u.order.id = 77;
    rig_event(w, &e);
    assert_int_equal(w->answers, 0);
    w->s.record.status = w->record.status = FO_UNDO_STATUS; /* it is being taken back already */
    w->s.record.writer = w->record.writer = EAST;
    w->s.state = FO_S_UNDO;
    w->s.storing = 0;
    rig_run(w, 1000);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->answered_code, FO_R_NONE);
    w->answers = 0;
    assert_int_equal(rig_order(w, rig_command(FO_C_LOCK, FO_NONE)), FO_R_NONE);
    free(w);
}

static void break_glass(void **state)
{
    struct rig *w = rig_steady();
    struct fo_order o = rig_command(FO_C_BREAK_GLASS, WEST);

    (void)state;
    w->answer[A_PROMOTE][ACTION_APPLY] = ACTION_DENIED + 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_STUCK, 60000));
    assert_int_equal(rig_order(w, o), FO_R_INVALID); /* how is the old region fenced? */
    o.fenced_by_hand = 1;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_int_equal(w->s.state, FO_S_HOLD);
    assert_int_equal(w->record.active, WEST);
    assert_int_equal(w->record.writer, WEST);
    assert_int_equal(w->record.epoch, 2);
    assert_int_equal(w->pages[FO_S_STUCK], 0);
    free(w);
}

static void stuck_and_retried(void **state)
{
    struct rig *w = rig_steady();
    struct fo_order o = rig_command(FO_C_RETRY, FO_NONE);

    (void)state;
    assert_int_equal(rig_order(w, o), FO_R_NO_PLAN);
    w->answer[A_SWITCH][ACTION_APPLY] = ACTION_DENIED + 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_STUCK, 60000));
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_STEP_DENIED));
    assert_int_equal(w->record.stuck_reason, FO_R_STEP_DENIED);
    assert_int_equal(w->pages[FO_S_STUCK], 1);
    assert_int_equal(rig_order(w, rig_command(FO_C_ABORT, FO_NONE)), FO_R_TOO_LATE);
    assert_int_equal(rig_order(w, rig_command(FO_C_START, WEST)), FO_R_NONE); /* it is what is under way */
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_PLAN_LIVE);
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_true(rig_until(w, FO_S_STUCK, 5000)); /* still denied */
    w->answer[A_SWITCH][ACTION_APPLY] = 0;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->record.stuck_reason, FO_R_NONE);
    assert_int_equal(w->pages[FO_S_STUCK], 0);
    free(w);
}

static void stuck_and_skipped(void **state)
{
    struct rig *w = rig_steady();
    struct fo_order o = rig_command(FO_C_SKIP, FO_NONE);

    (void)state;
    w->answer[A_TEST][ACTION_VERIFY] = ACTION_CONFLICT + 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_STUCK, 60000));
    assert_int_equal(w->record.stuck_reason, FO_R_STEP_CONFLICT);
    o.action = ACTIONS;
    assert_int_equal(rig_order(w, o), FO_R_INVALID);
    o.action = A_TEST;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->record.plan.phase[A_TEST], FO_SKIPPED);
    free(w);
}

static void stuck_outlives_its_holder(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->answer[A_PROMOTE][ACTION_VERIFY] = ACTION_NOT_APPLIED + 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_STUCK, 120000)); /* its patience ends */
    assert_int_equal(w->record.stuck_reason, FO_R_STEP_FAILED);
    assert_true(w->applies[A_PROMOTE] > 1);
    rig_restart(w);
    assert_true(rig_until(w, FO_S_STUCK, 90000));
    assert_int_equal(w->s.reasons, FO_BIT(FO_R_STEP_FAILED));
    w->answer[A_PROMOTE][ACTION_VERIFY] = 0;
    assert_int_equal(rig_order(w, rig_command(FO_C_RESUME, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    free(w);
}

static void a_higher_token(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->found = (struct fencing){1, 1000000};
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_STUCK, 60000));
    assert_int_equal(w->record.stuck_reason, FO_R_TOKEN_HIGHER);
    assert_int_equal(w->applies[A_PROMOTE], 0);
    assert_int_equal(rig_order(w, rig_command(FO_C_ABORT, FO_NONE)),
                     FO_R_NONE); /* nothing is promoted: back */
    w->found = (struct fencing){0, 0};
    assert_true(rig_until(w, FO_S_BLOCKED, 60000));
    assert_int_equal(w->record.writer, EAST);
    free(w);
}

static void best_effort_is_told_and_passed(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->answer[A_SCALE][ACTION_APPLY] = ACTION_DENIED + 1;
    w->answer[A_TIDY][ACTION_APPLY] = ACTION_THROTTLED + 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_HOLD, 400000));
    assert_int_equal(w->told_failed, 2);
    assert_int_equal(w->record.plan.phase[A_SCALE], FO_FAILED);
    assert_int_equal(w->record.plan.phase[A_TIDY], FO_FAILED);
    free(w);
}

static void an_undo_that_fails(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    lagging(w);
    w->answer[A_FENCE][ACTION_UNDO] = ACTION_DENIED + 1;
    rig_run(w, 1100);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_CATCHUP, 5000));
    assert_int_equal(rig_order(w, rig_command(FO_C_ABORT, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_STUCK, 60000));
    assert_int_equal(w->record.stuck_reason, FO_R_STEP_DENIED);
    assert_int_equal(w->record.plan.phase[A_FENCE], FO_UNDOING);
    w->answer[A_FENCE][ACTION_UNDO] = 0;
    assert_int_equal(rig_order(w, rig_command(FO_C_RESUME, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_STEADY, 5000));
    assert_false(w->applied[A_FENCE]);
    assert_int_equal(w->record.plan.phase[A_FENCE], FO_UNDONE);
    free(w);
}

static void a_fence_without_undo(void **state)
{
    struct rig *w = rig_steady();
    struct fo_order o = rig_command(FO_C_SKIP, A_FENCE);

    (void)state;
    w->c.actions[A_FENCE].undo = 0;
    lagging(w);
    rig_run(w, 1100);
    assert_int_equal(rig_order(w, rig_command(FO_C_SWITCHOVER, WEST)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_CATCHUP, 5000));
    assert_int_equal(rig_order(w, rig_command(FO_C_ABORT, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_STUCK, 5000));
    assert_true(w->applied[A_FENCE]);
    o.action = A_FENCE; /* unfenced by hand */
    o.region = FO_NONE;
    assert_int_equal(rig_order(w, o), FO_R_NONE);
    assert_true(rig_until(w, FO_S_STEADY, 5000));
    free(w);
}

static void a_target_that_dies_before_the_switch(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->answer[A_TEST][ACTION_VERIFY] = ACTION_PROGRESS + 1;
    w->c.actions[A_TEST].patience_ms = 3000000;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_TEST, 60000));
    w->verdict[WEST] = FO_UNKNOWN;
    rig_run(w, 3000);
    w->answer[A_TEST][ACTION_VERIFY] = 0;
    rig_run(w, 60000);
    assert_int_equal(w->s.state, FO_S_TEST);
    assert_int_equal(w->applies[A_SWITCH], 0);
    assert_int_equal(w->record.active, EAST);
    assert_true(rig_until(w, FO_S_STUCK, 600000));
    assert_int_equal(w->record.stuck_reason, FO_R_TARGET_DOWN);
    w->verdict[WEST] = FO_UP;
    rig_run(w, 2000);
    assert_int_equal(rig_order(w, rig_command(FO_C_RESUME, FO_NONE)), FO_R_NONE);
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    free(w);
}

static void not_valid(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    w->answer[A_VALIDATE][ACTION_PROBE] = ACTION_NOT_APPLIED + 1;
    assert_true(rig_until(w, FO_S_VALIDATE, 60000));
    rig_run(w, 300000);
    w->answer[A_VALIDATE][ACTION_PROBE] = 0;
    rig_run(w, 170000);
    w->answer[A_VALIDATE][ACTION_PROBE] = ACTION_RETRY + 1; /* once not well: from the beginning */
    rig_run(w, 6000);
    w->answer[A_VALIDATE][ACTION_PROBE] = 0;
    rig_run(w, 60000);
    assert_int_equal(w->s.state, FO_S_VALIDATE);
    w->answer[A_VALIDATE][ACTION_PROBE] = ACTION_NOT_APPLIED + 1;
    assert_true(rig_until(w, FO_S_STUCK, 70000));
    assert_int_equal(w->record.stuck_reason, FO_R_NOT_VALID);
    assert_int_equal(w->applies[A_VALIDATE], 0); /* only looked at */
    free(w);
}

static void warm_enough(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->c.actions[A_SCALE].step = STEP_WARM;
    w->answer[A_SCALE][ACTION_VERIFY] = ACTION_PROGRESS + 1;
    w->c.actions[A_SCALE].patience_ms = 600000;
    w->c.actions[A_SCALE].required = 1;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_WARM, 60000));
    rig_run(w, 119000);
    assert_int_equal(w->s.state, FO_S_WARM);
    assert_true(rig_until(w, FO_S_VALIDATE, 2000));
    assert_true(rig_fired(w, 462));
    free(w);
}

static void retries_with_jitter_and_respects_the_target(void **state)
{
    struct rig *w = rig_steady();
    int before;

    (void)state;
    w->answer[A_PROMOTE][ACTION_APPLY] = ACTION_RETRY + 1;
    w->c.actions[A_PROMOTE].patience_ms = 600000;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_PROMOTE, 60000));
    before = w->actions_begun;
    rig_run(w, 120000); /* full jitter up to 8 s: about 4 s between two */
    assert_in_range(w->actions_begun - before, 15, 60);
    assert_int_equal(w->s.state, FO_S_PROMOTE);
    free(w);
}

static void one_command_at_a_time(void **state)
{
    struct rig *w = rig_steady();
    struct fo_event e;

    (void)state;
    w->s.storing = 1; /* a commit is under way */
    w->s.store_at = w->now;
    e = rig_make(w, FO_E_COMMAND);
    e.u.order = rig_command(FO_C_LOCK, FO_NONE);
    e.u.order.id = 1;
    rig_event(w, &e);
    assert_int_equal(w->answers, 0);
    rig_event(w, &e); /* the same once more */
    assert_int_equal(w->answers, 0);
    e.u.order.id = 2;
    rig_event(w, &e);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->answered_code, FO_R_BUSY);
    w->s.storing = 0;
    rig_run(w, 100);
    assert_int_equal(w->answers, 2);
    assert_int_equal(w->answered, 1);
    assert_int_equal(w->answered_code, FO_R_NONE);
    free(w);
}

static void a_command_when_the_store_goes_away(void **state)
{
    struct rig *w = rig_steady();
    struct fo_event e;

    (void)state;
    w->away = true;
    e = rig_make(w, FO_E_COMMAND);
    e.u.order = rig_command(FO_C_LOCK, FO_NONE);
    e.u.order.id = 1;
    rig_event(w, &e);
    rig_run(w, 15000);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->answered_code, FO_R_LEASE);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switchover),
        cmocka_unit_test(switchover_waits_for_proof),
        cmocka_unit_test(a_failed_switchover_hinders_no_failover),
        cmocka_unit_test(switchover_without_lag_zero),
        cmocka_unit_test(caught_up_by_an_action),
        cmocka_unit_test(failback),
        cmocka_unit_test(drill),
        cmocka_unit_test(abort_at_each_state),
        cmocka_unit_test(a_failover_called_off_stays_off),
        cmocka_unit_test(too_late_to_abort),
        cmocka_unit_test(suppressions),
        cmocka_unit_test(suppressions_end_by_themselves),
        cmocka_unit_test(must_not),
        cmocka_unit_test(fence_and_unfence_by_hand),
        cmocka_unit_test(fenced_by_hand_before),
        cmocka_unit_test(overtaken),
        cmocka_unit_test(break_glass),
        cmocka_unit_test(stuck_and_retried),
        cmocka_unit_test(stuck_and_skipped),
        cmocka_unit_test(stuck_outlives_its_holder),
        cmocka_unit_test(a_higher_token),
        cmocka_unit_test(best_effort_is_told_and_passed),
        cmocka_unit_test(an_undo_that_fails),
        cmocka_unit_test(a_fence_without_undo),
        cmocka_unit_test(a_target_that_dies_before_the_switch),
        cmocka_unit_test(not_valid),
        cmocka_unit_test(warm_enough),
        cmocka_unit_test(retries_with_jitter_and_respects_the_target),
        cmocka_unit_test(one_command_at_a_time),
        cmocka_unit_test(a_command_when_the_store_goes_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
