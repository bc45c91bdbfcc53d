/* Votes counted (failover.h, tally.c): each condition of "the region is down" is taken away alone, and by random votes no
 * tally says so without all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/failover/failover.h"
#include "common/base/rng.h"

enum { EAST, WEST, THIRD, ELSEWHERE = FO_REGIONS };

struct rig {
    struct fo_config c;
    struct fo_heard heard[FO_VOTERS];
    struct fo_tally t;
    int64_t now;
};

/* Three voters: one in each of two regions, a witness elsewhere. All say that all is well. */
static void setup(struct rig *g)
{
    static const uint8_t domains[] = {EAST, WEST, ELSEWHERE, ELSEWHERE + 1, ELSEWHERE + 2};

    *g = (struct rig){.now = 1000000};
    g->c.n_regions = 2;
    g->c.n_voters = 3;
    memcpy(g->c.voter_domain, domains, sizeof domains);
    for (uint8_t i = 0; i < FO_VOTERS; i++) {
        g->heard[i] = (struct fo_heard){.at = g->now - 1000,
                                        .vote = {.voter = i, .seq = 1, .tick_ms = 5000, .self_ok = 1}};
        memset(g->heard[i].vote.verdict, FO_UP, FO_REGIONS);
    }
}

static void says(struct rig *g, uint8_t voter, uint8_t region, uint8_t verdict, uint8_t classes)
{
    g->heard[voter].vote.verdict[region] = verdict;
    g->heard[voter].vote.classes[region] = classes;
}

static const struct fo_tally *counted(struct rig *g)
{
    fo_count(&g->c, g->heard, EAST, g->now, &g->t);
    return &g->t;
}

/* East is dead: its own voter is silent, the two others say so. */
static void east_dead(struct rig *g)
{
    setup(g);
    g->heard[0].at = 0;
    says(g, 1, EAST, FO_DOWN, FO_PROBES | FO_HEARTBEAT);
    says(g, 2, EAST, FO_DOWN, FO_PROBES | FO_HEARTBEAT);
}

static void all_is_well(void **state)
{
    struct rig g;
    (void)state;
    setup(&g);
    const struct fo_tally *t = counted(&g);

    assert_int_equal(t->n[EAST][FO_UP], 3);
    assert_int_equal(t->up, 3);
    assert_int_equal(t->hard_down | t->doubt | t->gray | t->fail_static, 0);
    assert_int_equal(t->quorum, 1);
}

static void dead_region(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    const struct fo_tally *t = counted(&g);

    assert_int_equal(t->hard_down, 1);
    assert_int_equal(t->doubt, 1);
    assert_int_equal(t->up, 2);
    assert_int_equal(t->n[EAST][FO_DOWN], 2);
    assert_int_equal(t->n[EAST][FO_UNKNOWN], 1);
    assert_int_equal(t->down_elsewhere[EAST], 2);
    assert_int_equal(t->classes[EAST], FO_PROBES | FO_HEARTBEAT);
    assert_int_equal(t->fail_static, 0);
}

/* Users with old answers of the DNS write to the standby and fail there: it is a target all the same. What others see of it
 * counts; and of the active region users speak. */
static void users_of_the_standby(void **state)
{
    struct rig g;
    (void)state;
    for (uint8_t verdict = FO_DEGRADED; verdict <= FO_DOWN; verdict++) {
        east_dead(&g);
        says(&g, 1, WEST, verdict, FO_USERS);
        assert_int_equal(counted(&g)->hard_down, 1);
        assert_int_equal(g.t.up, 2);
        says(&g, 1, WEST, verdict, FO_USERS | FO_PROBES);
        assert_int_equal(counted(&g)->hard_down, 0);
        assert_int_equal(g.t.up, 0);
    }
    setup(&g);
    says(&g, 1, EAST, FO_DOWN, FO_USERS);
    assert_int_equal(counted(&g)->n[EAST][FO_DOWN], 1);
}

/* A majority is of configured voters. */
static void silence_is_not_down(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    g.c.n_voters = 5;
    g.heard[3].at = g.heard[4].at = 0;
    assert_int_equal(counted(&g)->hard_down, 0);
    assert_int_equal(g.t.quorum, 0);
    assert_int_equal(g.t.doubt, 1);
    g.heard[3].at = g.now;
    says(&g, 3, EAST, FO_DOWN, FO_PROBES);
    assert_int_equal(counted(&g)->hard_down, 1);
}

static void old_votes(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    g.heard[2].at = g.now - 10000;
    assert_int_equal(counted(&g)->hard_down, 1);
    g.heard[2].at = g.now - 10001;
    assert_int_equal(counted(&g)->hard_down, 0);
    assert_int_equal(g.t.quorum, 0);
    g.heard[2].vote.tick_ms = 1000;
    g.heard[2].at = g.now - 3000;
    assert_int_equal(counted(&g)->hard_down, 1);
    g.heard[2].at = g.now - 3001;
    assert_int_equal(counted(&g)->hard_down, 0);
    g.heard[2].vote.tick_ms = INT32_MAX; /* nobody's word holds for weeks */
    g.heard[2].at = g.now - 60001;
    assert_int_equal(counted(&g)->hard_down, 0);
    g.heard[2].vote.tick_ms = 0;
    g.heard[2].at = g.now;
    assert_int_equal(counted(&g)->hard_down, 0);
    g.heard[2].vote.tick_ms = -5;
    assert_int_equal(counted(&g)->hard_down, 0);
}

static void two_domains_elsewhere(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    g.c.voter_domain[2] = WEST;
    assert_int_equal(counted(&g)->hard_down, 0);
    assert_int_equal(g.t.down_elsewhere[EAST], 1);
    g.c.voter_domain[2] = EAST; /* in the region itself: counts for the majority alone */
    assert_int_equal(counted(&g)->hard_down, 0);
    assert_int_equal(g.t.n[EAST][FO_DOWN], 2);
}

static void two_classes_together(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    says(&g, 1, EAST, FO_DOWN, FO_USERS);
    says(&g, 2, EAST, FO_DOWN, FO_USERS);
    assert_int_equal(counted(&g)->hard_down, 0);
    says(&g, 1, EAST, FO_DOWN, FO_USERS | FO_AGENTS | FO_DEPENDENCY); /* soft: never sufficient */
    assert_int_equal(counted(&g)->hard_down, 0);
    says(&g, 1, EAST, FO_DOWN, FO_PROBES);
    assert_int_equal(counted(&g)->hard_down, 1);
    says(&g, 2, EAST, FO_DOWN, FO_DATABASE);
    assert_int_equal(counted(&g)->hard_down, 1);
    fo_count(&g.c, g.heard, WEST, g.now, &g.t); /* a standby listens to the active region's database alone */
    assert_int_equal(g.t.hard_down, 0);
}

/* The target is UP by the same voters: not DOWN by some and UP by others. */
static void target_by_the_same(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    says(&g, 2, WEST, FO_DEGRADED, 0);
    assert_int_equal(counted(&g)->hard_down, 0);
    says(&g, 2, WEST, FO_UNKNOWN, 0);
    assert_int_equal(counted(&g)->hard_down, 0);
    g.c.n_regions = 3; /* each sees another one UP */
    says(&g, 1, THIRD, FO_DOWN, FO_PROBES | FO_HEARTBEAT);
    says(&g, 2, THIRD, FO_UP, 0);
    assert_int_equal(counted(&g)->hard_down, 0);
    says(&g, 1, THIRD, FO_UP, 0);
    assert_int_equal(counted(&g)->hard_down, 1);
}

static void own_word_of_the_region(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    g.heard[0].at = g.now; /* cut off from users: it says UP of itself */
    assert_int_equal(counted(&g)->hard_down, 1);
    g.heard[0].vote.users[EAST] = FO_USERS_BAD;
    assert_int_equal(counted(&g)->hard_down, 1);
    g.heard[0].vote.users[EAST] = FO_USERS_GOOD;
    assert_int_equal(counted(&g)->hard_down, 0);
    assert_int_equal(g.t.doubt, 1);
    g.heard[0].at = g.now - 10001; /* an old veto ends */
    assert_int_equal(counted(&g)->hard_down, 1);
    g.heard[0].at = g.now;
    g.heard[0].vote.self_ok = 0;
    assert_int_equal(counted(&g)->hard_down, 1);
    setup(&g);
    east_dead(&g);
    g.heard[1].vote.users[EAST] = FO_USERS_GOOD; /* others' users do not veto */
    assert_int_equal(counted(&g)->hard_down, 1);
}

static void everything_down(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    says(&g, 1, WEST, FO_DOWN, FO_PROBES | FO_HEARTBEAT);
    assert_int_equal(counted(&g)->fail_static, 0);
    says(&g, 2, WEST, FO_DOWN, FO_PROBES | FO_HEARTBEAT);
    assert_int_equal(counted(&g)->fail_static, 1);
    assert_int_equal(g.t.hard_down, 0);
    says(&g, 2, WEST, FO_UP, 0);
    assert_int_equal(counted(&g)->fail_static, 0);
    g.heard[2].vote.self_ok = 0; /* it does not trust itself */
    assert_int_equal(counted(&g)->fail_static, 1);
    assert_int_equal(g.t.n[EAST][FO_DOWN], 1);
    assert_int_equal(g.t.quorum, 0);
}

static void gray(void **state)
{
    struct rig g;
    (void)state;
    setup(&g);
    g.heard[0].vote.gray = 1;
    g.heard[0].vote.users[EAST] = FO_USERS_BAD;
    assert_int_equal(counted(&g)->gray, 1); /* the only one that knows users */
    assert_int_equal(g.t.doubt, 1);
    g.heard[1].vote.users[EAST] = FO_USERS_GOOD;
    assert_int_equal(counted(&g)->gray, 0); /* split */
    g.heard[2].vote.users[EAST] = FO_USERS_BAD;
    g.heard[2].vote.gray = 1;
    assert_int_equal(counted(&g)->gray, 1);
    g.heard[2].at = 0;
    assert_int_equal(counted(&g)->gray, 0);
}

static void strange_numbers(void **state)
{
    struct rig g;
    (void)state;
    east_dead(&g);
    memset(g.heard[1].vote.verdict, 200, FO_REGIONS);
    assert_int_equal(counted(&g)->n[EAST][FO_UNKNOWN], 2);
    g.c.n_voters = 255;
    g.c.n_regions = 255;
    (void)counted(&g);
    g.c.n_voters = 0;
    assert_int_equal(counted(&g)->quorum | g.t.hard_down | g.t.up | g.t.fail_static, 0);
}

/* The conditions anew, in another way: each as a plain sentence over what is heard. */
/* What counts of a vote: see users_of_the_standby. */
static uint8_t says_of(const struct fo_vote *o, uint8_t r)
{
    bool users_alone = r != EAST && (o->classes[r] & FO_HARD) == FO_USERS;

    return users_alone && o->verdict[r] >= FO_DEGRADED ? FO_UP : o->verdict[r];
}

static void check(const struct rig *g)
{
    const struct fo_tally *t = &g->t;
    unsigned n = g->c.n_voters;

    assert_true((t->hard_down & t->fail_static) == 0 && !(t->hard_down && t->fail_static));
    for (uint8_t r = 0; r < g->c.n_regions; r++) {
        unsigned down = 0, domains = 0, classes = 0, up_elsewhere = 0;

        assert_int_equal(t->n[r][0] + t->n[r][1] + t->n[r][2] + t->n[r][3], n);
        for (uint8_t i = 0; i < n; i++) {
            const struct fo_heard *h = &g->heard[i];
            bool speaks = h->at && g->now - h->at <= 10000 && h->vote.self_ok;

            if (!speaks || says_of(&h->vote, r) != FO_DOWN)
                continue;
            down++;
            classes |= h->vote.classes[r] & FO_HARD;
            if (g->c.voter_domain[i] != r)
                domains |= 1u << g->c.voter_domain[i];
            for (uint8_t to = 0; to < g->c.n_regions; to++)
                up_elsewhere += to != r && says_of(&h->vote, to) == FO_UP;
        }
        assert_int_equal(t->n[r][FO_DOWN], down);
        if ((t->hard_down & 1u << r) == 0)
            continue;
        assert_true(2 * down > n);
        assert_true(domains & (domains - 1));
        assert_true(classes & (classes - 1));
        assert_true(2 * up_elsewhere > n);
        assert_true((t->up & 1u << r) == 0);
    }
}

static void random_votes(void **state)
{
    struct rng rng;
    uint32_t downs = 0, statics = 0;
    (void)state;

    rng_seed(&rng, 20260101);
    for (int i = 0; i < 200000; i++) {
        struct rig g;

        setup(&g);
        g.c.n_voters = (uint8_t)(1 + rng_below(&rng, 7));
        g.c.n_regions = (uint8_t)(2 + rng_below(&rng, 3));
        for (uint8_t v = 0; v < g.c.n_voters; v++) {
            struct fo_vote *o = &g.heard[v].vote;

            g.c.voter_domain[v] = (uint8_t)rng_below(&rng, 9);
            g.heard[v].at = rng_below(&rng, 8) ? g.now - (int64_t)rng_below(&rng, 12000) : 0;
            o->self_ok = rng_below(&rng, 8) != 0;
            o->gray = (uint8_t)rng_below(&rng, 8);
            for (uint8_t r = 0; r < g.c.n_regions; r++) {
                o->verdict[r] = (uint8_t)(r == 0 && rng_below(&rng, 3) ? FO_DOWN : rng_below(&rng, 4));
                o->classes[r] = (uint8_t)rng_below(&rng, 64);
                o->users[r] = (uint8_t)rng_below(&rng, 3);
            }
        }
        (void)counted(&g);
        check(&g);
        downs += g.t.hard_down != 0;
        statics += g.t.fail_static != 0;
    }
    assert_true(downs > 1000 && statics > 1000);
}

/* One voter that says whatever it likes, and any number of silent ones, move nothing while the others see the region. */
static void one_liar(void **state)
{
    struct rng rng;
    (void)state;

    rng_seed(&rng, 20260102);
    for (int i = 0; i < 50000; i++) {
        struct rig g;
        uint8_t liar;

        setup(&g);
        g.c.n_voters = (uint8_t)(3 + 2 * rng_below(&rng, 2));
        liar = (uint8_t)rng_below(&rng, g.c.n_voters);
        for (uint8_t v = 0; v < g.c.n_voters; v++)
            if (v != liar && rng_below(&rng, 3) == 0)
                g.heard[v].at = 0;
        for (uint8_t r = 0; r < 2; r++)
            says(&g, liar, r, (uint8_t)rng_below(&rng, 256), (uint8_t)rng_below(&rng, 256));
        g.heard[liar].vote.tick_ms = (int32_t)rng_below(&rng, UINT32_MAX);
        g.heard[liar].vote.seq = rng_next(&rng);
        g.heard[liar].vote.voter = (uint8_t)rng_below(&rng, 256); /* it is known by where it stands alone */
        g.heard[liar].vote.self_ok = (uint8_t)rng_below(&rng, 3);
        g.heard[liar].vote.gray = (uint8_t)rng_below(&rng, 256);
        (void)counted(&g);
        assert_int_equal(g.t.hard_down | g.t.fail_static, 0);
    }
}

/* Every site judges itself unwell, and every other one too: whoever is asked, nothing moves. */
static void all_withdraw(void **state)
{
    struct rig g;
    (void)state;
    setup(&g);
    g.c.n_voters = 5;
    g.c.n_regions = 3;
    for (uint8_t v = 0; v < 5; v++)
        for (uint8_t r = 0; r < 3; r++)
            says(&g, v, r, FO_DOWN, FO_PROBES | FO_HEARTBEAT | FO_USERS);
    assert_int_equal(counted(&g)->hard_down, 0);
    assert_int_equal(g.t.fail_static, 1);
    for (uint8_t v = 0; v < 2; v++) /* two of five see one left: that is no majority for it */
        says(&g, v, WEST, FO_UP, FO_PROBES);
    assert_int_equal(counted(&g)->hard_down, 0);
    assert_int_equal(g.t.fail_static, 1);
    says(&g, 2, WEST, FO_UP, FO_PROBES);
    assert_int_equal(counted(&g)->hard_down, 1 | 4);
    assert_int_equal(g.t.fail_static, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(dead_region),
        cmocka_unit_test(silence_is_not_down),
        cmocka_unit_test(users_of_the_standby),
        cmocka_unit_test(old_votes),
        cmocka_unit_test(two_domains_elsewhere),
        cmocka_unit_test(two_classes_together),
        cmocka_unit_test(target_by_the_same),
        cmocka_unit_test(own_word_of_the_region),
        cmocka_unit_test(everything_down),
        cmocka_unit_test(gray),
        cmocka_unit_test(strange_numbers),
        cmocka_unit_test(random_votes),
        cmocka_unit_test(one_liar),
        cmocka_unit_test(all_withdraw),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
