/* The lease, the store's answers, and going on with what another holder began. */
#include "tests/unit/fo_rig.h"

static struct fo_event lease(struct rig *w, enum fo_lease what, int64_t sent, bool resigned)
{
    struct fo_event e = rig_make(w, FO_E_LEASE);

    e.u.lease.what = (uint8_t)what;
    e.u.lease.sent = sent;
    e.u.lease.token = (struct fencing){1, 5};
    e.u.lease.resigned = resigned;
    return e;
}

static void step(struct rig *w, struct fo_event *e, struct fo_effects *out)
{
    fo_step(&w->s, &w->c, e, out);
    assert_int_equal(out->lost, 0);
}

static unsigned count(const struct fo_effects *out, enum fo_effect_kind kind)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < out->n; i++)
        n += out->v[i].kind == kind;
    return n;
}

static void deadline_counts_from_when_it_was_sent(void **state)
{
    struct rig *w = rig_new();
    struct fo_effects out;
    struct fo_event e;

    (void)state;
    w->now += 60000;
    e = rig_make(w, FO_E_TICK);
    step(w, &e, &out);
    assert_int_equal(w->s.state, FO_S_FOLLOW);
    assert_int_equal(count(&out, FO_DO_ACQUIRE), 1);
    e = lease(w, FO_LEASE_GRANTED, w->now - 700, false);
    step(w, &e, &out);
    assert_int_equal(w->s.state, FO_S_RESUME);
    assert_int_equal(w->s.deadline, w->now - 700 + 15000 - 4000);
    assert_int_equal(w->s.first_effect, w->now + 10000);
    /* an answer to an older request does not bring it back */
    w->now += 1000;
    e = lease(w, FO_LEASE_KEPT, w->now - 100, false);
    step(w, &e, &out);
    assert_int_equal(w->s.deadline, w->now - 100 + 11000);
    e = lease(w, FO_LEASE_KEPT, w->now - 900, false);
    step(w, &e, &out);
    assert_int_equal(w->s.deadline, w->now - 100 + 11000);
    /* of another life */
    e = lease(w, FO_LEASE_KEPT, w->now, false);
    e.u.lease.token.rev = 4;
    step(w, &e, &out);
    assert_int_equal(w->s.deadline, w->now - 100 + 11000);
    free(w);
}

static void keeps_every_three_seconds(void **state)
{
    struct rig *w = rig_steady();
    struct fo_effects out;
    unsigned kept = 0;

    (void)state;
    for (int i = 0; i < 300; i++) {
        struct fo_event e;

        w->now += 100;
        w->wall += 100;
        e = rig_make(w, FO_E_TICK);
        step(w, &e, &out);
        if (count(&out, FO_DO_KEEP)) {
            kept++;
            e = lease(w, FO_LEASE_KEPT, w->now, false);
            e.u.lease.token = w->s.token;
            step(w, &e, &out);
        }
    }
    assert_int_equal(kept, 10);
    free(w);
}

static void freezes_at_the_deadline_and_comes_back(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->away = true;
    rig_run(w, 7000);
    assert_int_equal(w->s.state, FO_S_STEADY);
    rig_run(w, 5000);
    assert_int_equal(w->s.state, FO_S_FROZEN);
    assert_int_equal(w->pages[FO_S_FROZEN], 0);
    w->verdict[EAST] = FO_DOWN; /* fail static */
    rig_run(w, 60000);
    assert_int_equal(w->s.state, FO_S_FROZEN);
    assert_int_equal(w->pages[FO_S_FROZEN], 1);
    assert_int_equal(rig_order(w, rig_command(FO_C_START, WEST)), FO_R_LEASE);
    w->away = false;
    assert_true(rig_until(w, FO_S_CONFIRM, 5000));
    assert_int_equal(w->pages[FO_S_FROZEN], 0);
    assert_int_equal(w->record.epoch, 0);
    free(w);
}

static void frozen_in_a_plan_begins_nothing(void **state)
{
    struct rig *w = rig_steady();
    int probes, stores;

    (void)state;
    w->guards_fence = false;
    w->verdict[EAST] = FO_DOWN;
    w->answer[A_PROMOTE][ACTION_VERIFY] = ACTION_PROGRESS + 1;
    assert_true(rig_until(w, FO_S_PROMOTE, 90000));
    rig_run(w, 2000);
    w->away = true;
    rig_run(w, 12000);
    assert_int_equal(w->s.state, FO_S_FROZEN);
    probes = w->probes[A_PROMOTE];
    stores = w->stores;
    rig_run(w, 20000);
    assert_int_equal(w->probes[A_PROMOTE], probes);
    assert_int_equal(w->stores, stores);
    assert_int_equal(w->applies[A_PROMOTE], 1);
    w->away = false;
    w->answer[A_PROMOTE][ACTION_VERIFY] = 0;
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->applies[A_PROMOTE], 1); /* a probe told */
    free(w);
}

static void loses_the_lease(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->held_by_other = true;
    rig_run(w, 4000);
    assert_int_equal(w->s.state, FO_S_FOLLOW);
    assert_int_equal(rig_order(w, rig_command(FO_C_LOCK, FO_NONE)), FO_R_LEASE);
    w->verdict[EAST] = FO_DOWN;
    w->facts.writes_stopped_at = w->now;
    rig_run(w, 60000);
    assert_int_equal(w->s.state, FO_S_FOLLOW);
    assert_int_equal(w->s.fast, 1); /* it looks closely all the same */
    assert_int_equal(w->pages[FO_S_SUSPECT], 0);
    w->held_by_other = false;
    assert_true(rig_until(w, FO_S_VALIDATE, 30000)); /* with the votes it has */
    free(w);
}

static void a_witness_never_leads(void **state)
{
    struct rig *w = rig_new();

    (void)state;
    w->c.may_lead = 0;
    rig_run(w, 300000);
    assert_int_equal(w->s.state, FO_S_FOLLOW);
    assert_int_equal(w->lease_rev, 0);
    free(w);
}

static void no_decision_in_boot(void **state)
{
    struct rig *w = rig_new();

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    rig_run(w, 59000);
    assert_int_equal(w->s.state, FO_S_BOOT);
    assert_int_equal(w->stores, 0);
    assert_int_equal(w->lease_rev, 0);
    free(w);
}

static void stands_outside_the_active_region(void **state)
{
    struct rig *w = rig_new();

    (void)state;
    w->c.own_region = EAST;
    w->c.self = 0;
    w->known = true; /* the service is there: we know where users are before we try */
    w->record.version = 1;
    w->record.writer = EAST;
    w->rev = 3;
    rig_run(w, 75000);
    assert_int_equal(w->lease_rev, 0); /* 20 s for one outside */
    rig_run(w, 10000);
    assert_true(w->lease_rev > 0);
    assert_int_equal(w->s.state, FO_S_FOLLOW); /* somebody outside is heard: it gives way … */
    assert_true(rig_fired(w, 202));
    rig_run(w, 25000);
    assert_int_equal(w->s.state, FO_S_STEADY); /* … once; nobody took it */
    free(w);
}

static void waits_after_a_holder_that_died(void **state)
{
    struct rig *w = rig_steady();
    struct fo_effects out;
    struct fo_event e;
    int64_t granted;

    (void)state;
    w->mute[A_PROMOTE] = true;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_PROMOTE, 60000));
    w->mute[A_PROMOTE] = false;
    assert_int_equal(w->first_op[A_PROMOTE], ACTION_APPLY);
    w->first_op[A_PROMOTE] = -1;
    w->applied[A_PROMOTE] = false;
    w->applies[A_PROMOTE] = 0;
    /* another process, the lease not given up on purpose */
    rig_restart(w);
    rig_run(w, 59900);
    w->now += 100;
    w->wall += 100;
    e = rig_make(w, FO_E_TICK);
    step(w, &e, &out);
    granted = w->now;
    e = lease(w, FO_LEASE_GRANTED, w->now, false);
    w->lease_rev = ++w->rev;
    e.u.lease.token = (struct fencing){1, w->lease_rev};
    step(w, &e, &out);
    rig_read(w);
    assert_int_equal(w->s.state, FO_S_PROMOTE);
    rig_run(w, 9500);
    assert_int_equal(w->first_op[A_PROMOTE], ACTION_PROBE); /* looking is allowed */
    assert_int_equal(w->applies[A_PROMOTE], 0);
    assert_true(rig_until(w, FO_S_VALIDATE, 2000));
    assert_true(w->now - granted >= 10000);
    free(w);
}

static void a_commit_whose_answer_is_lost(void **state)
{
    (void)state;
    for (int n = 0; n < 14; n++) { /* the nth commit of the plan is done and its answer is lost */
        struct rig *w = rig_steady();
        int from = w->stores;

        w->verdict[EAST] = FO_DOWN;
        for (int i = 0; i < 4000 && w->s.state != FO_S_HOLD; i++) {
            w->lose_next_answer = w->stores - from == n;
            rig_run(w, 100);
        }
        assert_int_equal(w->s.state, FO_S_HOLD);
        assert_int_equal(w->record.epoch, 1);
        for (int i = 0; i < A_CATCHUP; i++)
            if (w->c.actions[i].step != STEP_VALIDATE)
                assert_int_equal(w->applies[i], 1);
        free(w);
    }
}

/* What is owed and does not come is taken for lost. */
static void a_record_that_cannot_be_read(void **state)
{
    struct rig *w = rig_steady();
    uint64_t lease;

    (void)state;
    rig_restart(w);
    w->unreadable = true;
    assert_true(rig_until(w, FO_S_RESUME, 90000));
    assert_true(rig_until(w, FO_S_FOLLOW, 40000)); /* somebody else may read it */
    lease = w->lease_rev;
    rig_run(w, 19000);
    assert_int_equal(w->lease_rev, lease);
    w->unreadable = false;
    assert_true(rig_until(w, FO_S_STEADY, 60000));
    free(w);
}

/* Somebody has deleted the key: epochs never fall. */
static void a_record_that_vanished(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    w->held_by_other = true;
    rig_run(w, 5000);
    memset(&w->record, 0, sizeof w->record);
    w->known = false;
    w->held_by_other = false;
    assert_true(rig_until(w, FO_S_HOLD, 60000));
    assert_int_equal(w->record.epoch, 1);
    assert_int_equal(w->record.active, WEST);
    free(w);
}

static void answers_that_never_come(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->mute[A_PROMOTE] = true;
    w->c.actions[A_PROMOTE].patience_ms = 600000;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_PROMOTE, 60000));
    w->s.storing = 1;
    w->s.store_at = w->now;
    rig_run(w, 10000);
    w->mute[A_PROMOTE] = false;
    assert_int_equal(w->s.state, FO_S_PROMOTE);
    w->applied[A_PROMOTE] = true; /* it was done */
    assert_true(rig_until(w, FO_S_HOLD, 300000));
    assert_int_equal(w->applies[A_PROMOTE], 0);
    free(w);
}

/* Committed seconds after it was given up, at each place of a plan: record and state agree in the end, users are served. */
static void a_commit_that_is_late(void **state)
{
    (void)state;
    for (int n = 1; n < 14; n++)
        for (int back = 0; back < 2; back++) {
            struct rig *w = rig_steady();

            w->late_store = w->stores + n;
            w->late_ms = 20000;
            w->facts.writes_stopped_at = w->now;
            w->verdict[EAST] = FO_DOWN;
            for (int i = 0; i < 4000 && w->late_at == 0 && w->s.state != FO_S_HOLD; i++) {
                rig_run(w, 100);
                w->unreadable = w->late_at != 0;
            }
            if (back)
                w->verdict[EAST] = FO_DEGRADED;
            rig_run(w, 5000);
            w->unreadable = false;
            rig_run(w, 400000);
            assert_true(w->s.state == FO_S_STEADY || w->s.state == FO_S_HOLD);
            assert_memory_equal(&w->s.record, &w->record, sizeof w->record);
            assert_int_equal(w->record.writer, w->record.active);
            free(w);
        }
}

static void a_commit_that_conflicts(void **state)
{
    (void)state;
    for (int n = 0; n < 14; n++) {
        struct rig *w = rig_steady();
        int from = w->stores;

        w->verdict[EAST] = FO_DOWN;
        for (int i = 0; i < 4000 && w->s.state != FO_S_HOLD; i++) {
            w->conflict_next = w->stores - from == n;
            rig_run(w, 100);
        }
        assert_int_equal(w->s.state, FO_S_HOLD);
        assert_int_equal(w->record.epoch, 1);
        free(w);
    }
}

/* All that is required outside, and the record. */
static void same_outside(const struct rig *w, const struct rig *whole, const char *what, int n)
{
    bool same = w->record.active == whole->record.active && w->record.writer == whole->record.writer &&
                w->record.epoch == whole->record.epoch && w->record.status == whole->record.status;

    for (int i = 0; i < ACTIONS; i++)
        if (w->c.actions[i].required)
            same &=
                w->applied[i] == whole->applied[i] && w->record.plan.phase[i] == whole->record.plan.phase[i];
    for (int i = 0; i < FO_MOVES; i++)
        same &= (w->record.moves[i] != 0) == (whole->record.moves[i] != 0);
    if (!same)
        fail_msg("ended elsewhere when killed at %s %d", what, n);
}

static struct rig *killed(int store, int action, bool undone, bool planned)
{
    struct rig *w = rig_steady();

    w->die_at_store = store ? w->stores + store : 0;
    w->die_at_action = action;
    w->die_undone = undone;
    if (planned) {
        struct fo_event e = rig_make(w, FO_E_COMMAND);

        e.u.order = rig_command(FO_C_SWITCHOVER, WEST);
        e.u.order.id = 1;
        rig_event(w, &e);
    } else {
        w->verdict[EAST] = FO_DOWN;
        w->facts.writes_stopped_at = w->now;
    }
    for (int i = 0; i < 4000 && !w->dead && w->s.state != FO_S_HOLD; i++)
        rig_run(w, 100);
    if (w->dead)
        rig_restart(w);
    assert_true(rig_until(w, FO_S_HOLD, 700000));
    return w;
}

/* Killed when each commit is done and not heard of, and when each action is done, or asked and not done: another process
 * ends in the same place. */
static void resumed_at_each_boundary(void **state)
{
    (void)state;
    for (int planned = 0; planned < 2; planned++) {
        struct rig *whole = killed(0, 0, false, planned);
        int begun = whole->actions_begun, applies = 0;

        assert_true(begun > 12);
        for (int n = 1; n <= 12; n++) {
            struct rig *w = killed(n, 0, false, planned);

            same_outside(w, whole, "commit", n);
            free(w);
        }
        for (int n = 1; n <= 30 && n <= begun; n++)
            for (int undone = 0; undone < 2; undone++) {
                struct rig *w = killed(0, n, undone, planned);

                same_outside(w, whole, undone ? "an action not done" : "an action done", n);
                for (int i = 0; i < ACTIONS; i++) { /* what was done is seen by a probe, not done again */
                    assert_true(w->applies[i] <= 1);
                    applies += w->applies[i];
                }
                free(w);
            }
        assert_true(applies > 0);
        free(whole);
    }
}

static void resumed_when_all_is_well_again(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->guards_fence = false;
    w->verdict[EAST] = FO_DOWN;
    assert_true(rig_until(w, FO_S_FENCE, 60000));
    rig_run(w, 1000);
    rig_restart(w);
    w->verdict[EAST] = FO_UP;
    assert_true(rig_until(w, FO_S_STEADY, 90000));
    assert_int_equal(w->record.writer, EAST);
    assert_false(w->applied[A_FENCE]);
    assert_int_equal(w->record.moves[0], 0);
    free(w);
}

static void a_proof_of_one_plan_is_none_of_the_next(void **state)
{
    struct rig *w = rig_steady();

    (void)state;
    w->verdict[EAST] = FO_DOWN;
    w->facts.region[WEST].lag_ms = 45000;
    assert_true(rig_until(w, FO_S_UNDO, 60000) || rig_visited(w, FO_S_LASTLOOK));
    w->held_by_other = true;
    rig_run(w, 5000);
    assert_int_equal(w->s.rung, 0);
    free(w);
}

static void same_events_same_bytes(void **state)
{
    struct rig *a = rig_steady(), *b = rig_steady();

    (void)state;
    memset(&b->s.heard[FO_VOTERS - 1], 0, sizeof b->s.heard[0]);
    for (int i = 0; i < 2; i++) {
        struct rig *w = i ? b : a;

        w->answer[A_PROMOTE][ACTION_APPLY] = ACTION_RETRY + 1; /* jitter as well */
        w->verdict[EAST] = FO_DOWN;
        rig_run(w, 40000);
        w->answer[A_PROMOTE][ACTION_APPLY] = 0;
        rig_run(w, 300000);
    }
    assert_memory_equal(&a->s, &b->s, sizeof a->s);
    assert_int_equal(a->visits, b->visits);
    free(a);
    free(b);
}

/* What lies in an event's padding, behind its texts and beside its member of the union changes nothing. */
static void bytes_that_mean_nothing(void **state)
{
    struct rig *w = rig_steady();
    struct fo a = w->s, b = w->s;
    struct fo_effects out;

    (void)state;
    for (int kind = 0; kind < FO_EVENTS; kind++) {
        static struct fo_event x, y;

        memset(&x, 0, sizeof x);
        memset(&y, 0x5a, sizeof y);
        x.kind = y.kind = (uint8_t)kind;
        x.now = y.now = w->now + kind;
        x.wall = y.wall = w->wall + kind;
        if (kind == FO_E_VOTE) {
            memset(&y.u.vote, 0, offsetof(struct fo_vote, self_ok) + 1);
            x.u.vote.boot = y.u.vote.boot = 99;
        } else if (kind == FO_E_RECORD) {
            x.u.record.rev = y.u.record.rev = 1; /* old news for a holder */
            y.u.record.known = 0;
        } else if (kind == FO_E_LEASE) {
            y.u.lease.what = x.u.lease.what = FO_LEASE_ERROR;
        } else if (kind == FO_E_COMMAND) {
            memset(&y.u.order, 0, offsetof(struct fo_order, who));
            x.u.order.command = y.u.order.command = FO_C_LOCK;
            x.u.order.region = y.u.order.region = FO_NONE;
            x.u.order.id = y.u.order.id = 3;
            memcpy(y.u.order.who, "anna\0garbage", 13);
            memcpy(x.u.order.who, "anna", 5);
            memcpy(y.u.order.why, "\0garbage", 9);
        } else
            y = x;
        fo_step(&a, &w->c, &x, &out);
        fo_step(&b, &w->c, &y, &out);
        assert_memory_equal(&a, &b, sizeof a);
    }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadline_counts_from_when_it_was_sent),
        cmocka_unit_test(keeps_every_three_seconds),
        cmocka_unit_test(freezes_at_the_deadline_and_comes_back),
        cmocka_unit_test(frozen_in_a_plan_begins_nothing),
        cmocka_unit_test(loses_the_lease),
        cmocka_unit_test(a_witness_never_leads),
        cmocka_unit_test(no_decision_in_boot),
        cmocka_unit_test(stands_outside_the_active_region),
        cmocka_unit_test(waits_after_a_holder_that_died),
        cmocka_unit_test(a_commit_whose_answer_is_lost),
        cmocka_unit_test(a_record_that_cannot_be_read),
        cmocka_unit_test(a_record_that_vanished),
        cmocka_unit_test(answers_that_never_come),
        cmocka_unit_test(a_commit_that_is_late),
        cmocka_unit_test(a_commit_that_conflicts),
        cmocka_unit_test(resumed_at_each_boundary),
        cmocka_unit_test(resumed_when_all_is_well_again),
        cmocka_unit_test(a_proof_of_one_plan_is_none_of_the_next),
        cmocka_unit_test(same_events_same_bytes),
        cmocka_unit_test(bytes_that_mean_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
