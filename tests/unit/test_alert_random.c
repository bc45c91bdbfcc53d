/* Random lives: rules of many kinds, values that come, stay away and come late, restarts, holds, clock steps. After each
 * event what the engine counts is what a recount finds, and a restart changes no state. */
#include "tests/unit/alert_kit.h"

#include "common/base/rng.h"

static const char rules[] =
    "[alert plain]\nmetric = m0\nabove = 50\nfor = 20s\nclear_for = 20s\nlimit = 2\nflaps = 3\nquiet = 2m\n"
    "[alert wide]\nmetric = m1\nabove = 70\nclear_below = 30\nno_data = alert\nwindow = 30s\n"
    "[alert ok]\nmetric = m2\nstatistic = avg\nwindow = 30s\nbelow = 40\nno_data = ok\nclear_for = 30s\n"
    "[alert points]\nmetric = m0\nabove = 60\npoints = 2 of 4\nevery = 20s\n"
    "[alert gone]\nmetric = m2\nstatistic = absent\nwindow = 30s\n"
    "[alert both]\nwhen = plain and wide\non = host\nfor = 10s\n"
    "[alert some]\nwhen = 2 of (plain, ok, wide)\n"
    "[alert quiet]\nmetric = m1\nabove = 40\nsuppressed_by = both\non = host\nsuppress_wait = "
    "10s\nsuppress_extend = 20s\n"
    "[alert odd]\nmetric = m0\nbaseline = ewma\nlearn = 1h\nmin_abs = 30\n";

static void recount(const struct alerts *a)
{
    uint32_t all = 0;

    for (uint32_t i = 0; i < a->rules.n; i++) {
        const struct rule_state *rs = &a->states[i];
        uint32_t n = 0, count[ALERT_STATES] = {0}, told = 0, over = 0;

        for (const struct alert *al = rs->first; al; al = al->next) {
            assert_ptr_equal(al->of, rs);
            assert_ptr_equal(alert_find(a, &al->id), al);
            n++;
            count[al->state]++;
            told += al->told && !al->summary;
            over += al->mute == MUTE_LIMIT;
            assert_true(al->held >= 0);
            assert_true(!al->told || alert_in_force(al->state));
            assert_true(!alert_in_force(al->state) || al->epoch > 0);
            if (al->cell < rs->n_cells && rs->cells[al->cell].alert == al)
                assert_true(al->cell != UINT32_MAX);
        }
        assert_int_equal(n, rs->n);
        assert_int_equal(told, rs->told);
        assert_int_equal(over, rs->over);
        assert_true(told <= rs->rule->limit);
        assert_memory_equal(count, rs->count, sizeof count);
        assert_true(!rs->over || rs->summary);
        all += n;
    }
    assert_int_equal(all, a->n_alerts);
    assert_int_equal(all, a->ids.count);
}

/* "id state epoch" of each alert, sorted by the records' order: what a restart must keep. */
static void states_of(const struct alerts *a, struct buf *out)
{
    char id[33];

    buf_clear(out);
    for (uint32_t i = 0; i < a->rules.n; i++) {
        uint64_t sum = 0;

        for (const struct alert *al = a->states[i].first; al; al = al->next) {
            fingerprint_text(&al->id, id);
            if (al->state != ALERT_INACTIVE)
                sum += siphash13((const uint64_t[]){al->epoch, al->state * 2u + al->told}, id, 32);
        }
        buf_fmt(out, "%s %u %u %u %llx\n", a->rules.v[i].name, a->states[i].count[ALERT_PENDING],
                a->states[i].count[ALERT_FIRING], a->states[i].count[ALERT_CLEARING],
                (unsigned long long)sum);
    }
}

static void event(struct kit *k, struct rng *r)
{
    char series[64];

    snprintf(series, sizeof series, "m%u host=%u", (unsigned)(rng_next(r) % 3), (unsigned)(rng_next(r) % 6));
    switch (rng_next(r) % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: kit_set(k, series, (double)(rng_next(r) % 100)); break;
    case 5:
    case 6: kit_drop(k, series); break;
    case 7: {
        int64_t back = (int64_t)(rng_next(r) % 120) * 1000;
        const struct kit_source *s = kit_source(k, series);

        if (back < k->at)
            (void)trial_feed_value(k->rig.feed, k->rig.facts, s->metric, s->kind, (struct labels){s->v, s->n},
                                   (struct wall){KIT_START + k->at - back}, (double)(rng_next(r) % 100));
        break;
    }
    case 8: k->hold = !k->hold; break;
    case 9: k->offset = (int64_t)(rng_next(r) % 61) * 1000 - 30000; break;
    case 10: {
        struct buf before, after;

        buf_init(&before, NULL, 1 << 16);
        buf_init(&after, NULL, 1 << 16);
        states_of(k->rig.alerts, &before);
        kit_restart(k, NULL);
        states_of(k->rig.alerts, &after);
        assert_string_equal(buf_text(&before), buf_text(&after));
        buf_free(&before);
        buf_free(&after);
        break;
    }
    default: break;
    }
    k->at += (int64_t)(rng_next(r) % 15 + 1) * 1000;
    kit_step(k);
    recount(k->rig.alerts);
    buf_clear(&k->log);
    buf_clear(&k->decisions);
}

static void test_random_lives(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct rng r;
        struct kit k;

        rng_seed(&r, seed);
        kit_open(&k, rules);
        for (int i = 0; i < 1500; i++)
            event(&k, &r);
        assert_int_equal(k.rig.alerts->no_memory, 0);
        assert_int_equal(k.rig.alerts->damaged, 0);
        kit_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
