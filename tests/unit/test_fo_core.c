/* The core's ways from a region that dies to users in another one. */
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
    assert_true(rig_until(w, FO_S_HOLD, 240000));
    assert_int_equal(w->record.active, WEST);
    assert_int_equal(w->record.writer, WEST);
    assert_int_equal(w->record.epoch, 1);
    assert_int_equal(w->record.plan.fenced, 1);
    assert_true(w->record.plan.automatic);
    assert_true(w->record.moves[0] != 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_of_a_failover),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
