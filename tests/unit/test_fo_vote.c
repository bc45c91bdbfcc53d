/* One voter's verdicts (vote.h): by cases, and by random lives of a region that no missing data and no single class of
 * evidence condemns. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/failover/vote.h"
#include "common/base/rng.h"

enum { EAST, WEST, SECOND = 1000 };

/* Production values: two regions, two targets in the first, a peer in each, three canaries; we stand elsewhere. */
static const struct vote_config production = {.n_regions = 2,
                                              .n_canaries = 3,
                                              .n_probes = {2, 1},
                                              .n_peers = {1, 1},
                                              .has_users = 1,
                                              .has_database = 1,
                                              .own_region = FO_NONE,
                                              .tick_ms = 5000,
                                              .fast_ms = 1000,
                                              .down_probes = 3,
                                              .up_probes = 20,
                                              .up_ms = 120000,
                                              .phi_milli = 8000,
                                              .users_window_ms = 60000,
                                              .users_least = 30,
                                              .users_bad_ppm = 500000,
                                              .users_good_ppm = 900000,
                                              .gray_ms = 60000,
                                              .database_ms = 10000,
                                              .tilt_ms = 30000};

struct world {
    struct vote_config c;
    struct voter v;
    struct fo_vote vote;
    int64_t now;
    bool probe[FO_REGIONS][VOTE_PROBES], beat[FO_REGIONS], canary[VOTE_CANARIES];
    int64_t heard_ago;    /* the standby's primary in EAST; -1: nothing is told */
    int64_t users_of_100; /* in EAST; -1: nothing is told */
    bool mute;            /* nobody asks any target */
};

static void world_new(struct world *w)
{
    *w = (struct world){.c = production, .now = 1000 * SECOND, .heard_ago = 100, .users_of_100 = 99};
    memset(w->probe, 1, sizeof w->probe);
    memset(w->beat, 1, sizeof w->beat);
    memset(w->canary, 1, sizeof w->canary);
    voter_init(&w->v, &w->c, w->now, 77);
}

/* One second: results every five, or every one when fast. */
static void second(struct world *w)
{
    int64_t s = (w->now += SECOND) / SECOND;

    for (uint8_t r = 0; r < w->c.n_regions; r++) {
        for (uint8_t i = 0; !w->mute && i < w->c.n_probes[r]; i++)
            if (w->v.fast || s % 5 == i)
                voter_probe(&w->v, &w->c, r, i, w->probe[r][i], w->now);
        if (w->beat[r] && s % 5 == 3)
            voter_beat(&w->v, &w->c, r, 0, w->now);
    }
    for (uint8_t i = 0; i < w->c.n_canaries; i++)
        if (w->v.fast || s % 5 == i)
            voter_canary(&w->v, &w->c, i, w->canary[i], w->now);
    if (w->users_of_100 >= 0 && s % 5 == 1)
        voter_users(&w->v, &w->c, EAST, (uint64_t)w->users_of_100, 100, w->now);
    if (w->heard_ago >= 0 && s % 5 == 2)
        voter_database(&w->v, &w->c, EAST, w->heard_ago, w->now);
    voter_look(&w->v, &w->c, w->now, &w->vote);
}

static void seconds(struct world *w, int n)
{
    while (n-- > 0)
        second(w);
}

static void fail_probes(struct world *w, bool good)
{
    w->probe[EAST][0] = w->probe[EAST][1] = good;
}

/* ---- cases ---- */

static void cold_start(void **state)
{
    struct world w;
    (void)state;
    world_new(&w);
    second(&w);
    assert_int_equal(w.vote.self_ok, 0);
    assert_int_equal(w.vote.verdict[EAST], FO_UNKNOWN);
    assert_int_equal(w.vote.boot, 77);
    assert_int_equal(w.vote.tick_ms, 5000);
    seconds(&w, 9);
    assert_int_equal(w.vote.self_ok, 1);
    assert_int_equal(w.vote.verdict[EAST], FO_UNKNOWN);
    seconds(&w, 10);
    assert_int_equal(w.vote.verdict[EAST], FO_UP);
    assert_int_equal(w.vote.verdict[WEST], FO_UP);
    assert_int_equal(w.vote.users[EAST], FO_USERS_GOOD);
    assert_int_equal(w.vote.users[WEST], FO_USERS_UNKNOWN);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_USERS | FO_HEARTBEAT);
    assert_int_equal(w.vote.seq, 20);
}

static void well(struct world *w)
{
    world_new(w);
    seconds(w, 300);
    assert_int_equal(w->vote.verdict[EAST], FO_UP);
}

static void dies(struct world *w)
{
    fail_probes(w, false);
    w->beat[EAST] = false;
    w->users_of_100 = -1;
    w->heard_ago = -1;
}

static void region_dies(void **state)
{
    (void)state;
    for (int phase = 0; phase < 5; phase++) {
        struct world w;
        int64_t first = 0;
        int n;

        well(&w);
        seconds(&w, phase);
        dies(&w);
        for (n = 0; w.vote.verdict[EAST] != FO_DOWN && n < 60; n++) {
            second(&w);
            if (!first && (w.v.region[EAST].read[0].bad || w.v.region[EAST].read[1].bad))
                first = w.now;
        }
        assert_true(first && w.now - first <= 15 * SECOND);
        assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_HEARTBEAT);
        assert_int_equal(w.vote.verdict[WEST], FO_UP);
        seconds(&w, 3600);
        assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    }
}

static void returns_slowly(void **state)
{
    struct world w;
    int64_t back;
    (void)state;
    well(&w);
    dies(&w);
    seconds(&w, 60);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    back = w.now;
    fail_probes(&w, true);
    w.beat[EAST] = true;
    while (w.vote.verdict[EAST] == FO_DOWN)
        second(&w);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    assert_true(w.now - back <= 16 * SECOND);
    while (w.vote.verdict[EAST] == FO_DEGRADED)
        second(&w);
    assert_int_equal(w.vote.verdict[EAST], FO_UP);
    assert_true(w.now - back >= 120 * SECOND && w.now - back <= 136 * SECOND);

    dies(&w); /* fast: 20 good ones do not suffice without the time */
    seconds(&w, 60);
    voter_fast(&w.v, true);
    seconds(&w, 1);
    assert_int_equal(w.vote.tick_ms, 1000);
    back = w.now;
    fail_probes(&w, true);
    while (w.vote.verdict[EAST] != FO_UP)
        second(&w);
    assert_true(w.now - back >= 120 * SECOND && w.now - back <= 124 * SECOND);
}

/* A saturated primary answers one check in many: that is no life, and no way out of DOWN. */
static void one_in_many(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    dies(&w);
    seconds(&w, 60);
    voter_fast(&w.v, true);
    for (int i = 0; i < 600; i++) {
        fail_probes(&w, i % 7 == 0);
        second(&w);
        assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    }
    for (int i = 0; i < 600; i++) { /* and one failure in many no death */
        fail_probes(&w, i % 7 != 0);
        second(&w);
        assert_true(w.vote.verdict[EAST] != FO_UP);
        assert_true(i < 3 || w.vote.verdict[EAST] == FO_DEGRADED);
    }
}

static void some_targets(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    w.probe[EAST][1] = false;
    w.beat[EAST] = false;
    seconds(&w, 600);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_HEARTBEAT);
    well(&w);
    w.users_of_100 = 70;
    seconds(&w, 600);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    assert_int_equal(w.vote.users[EAST], FO_USERS_UNKNOWN);
    dies(&w);
    w.users_of_100 = 70; /* between bad and good: does not bear DOWN */
    seconds(&w, 60);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_HEARTBEAT);
}

static void second_classes(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    fail_probes(&w, false);
    seconds(&w, 600);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED); /* alone */
    w.heard_ago = 9999;
    seconds(&w, 20);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    w.heard_ago = 10000;
    seconds(&w, 20);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_DATABASE);
    w.heard_ago = -1; /* the standby is not asked any more: that is no silence */
    seconds(&w, 20);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    w.users_of_100 = 40;
    seconds(&w, 10);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_USERS);
    voter_agents(&w.v, EAST, 1, 10);
    second(&w);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_USERS | FO_AGENTS);
}

static void users_known_elsewhere(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    w.users_of_100 = -1;
    seconds(&w, 60);
    for (int i = 0; i < 600; i++) { /* hearsay is nothing while our own probes are good */
        voter_users_elsewhere(&w.v, &w.c, EAST, w.now);
        second(&w);
        assert_int_equal(w.vote.verdict[EAST], FO_UP);
    }
    fail_probes(&w, false);
    for (int i = 0; i < 20; i++) {
        voter_users_elsewhere(&w.v, &w.c, EAST, w.now);
        second(&w);
    }
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_USERS);
    assert_int_equal(w.vote.users[EAST], FO_USERS_UNKNOWN); /* not passed on */
    seconds(&w, 12);                                        /* the other one says it no more */
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    w.users_of_100 = 99; /* own figures are better than hearsay */
    seconds(&w, 6);
    for (int i = 0; i < 20; i++) {
        voter_users_elsewhere(&w.v, &w.c, EAST, w.now);
        second(&w);
        assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    }
}

static void users_alone(void **state)
{
    struct world w;
    int64_t from;
    (void)state;
    well(&w);
    w.users_of_100 = 40;
    from = w.now;
    while (w.vote.verdict[EAST] != FO_DOWN) {
        second(&w);
        assert_int_equal(w.vote.gray & 2, 0);
    }
    assert_true(w.now - from >= 60 * SECOND && w.now - from <= 67 * SECOND);
    assert_int_equal(w.vote.classes[EAST], FO_USERS);
    assert_int_equal(w.vote.users[EAST], FO_USERS_BAD);
    assert_int_equal(w.vote.gray, 1); /* probes say it is well */
    w.users_of_100 = 99;
    seconds(&w, 10);
    assert_int_equal(w.vote.gray, 0);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    fail_probes(&w, false);
    w.users_of_100 = 40;
    seconds(&w, 600);
    assert_int_equal(w.vote.gray, 0); /* both say the same */
}

static void few_users(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    w.c.users_least = 101;
    w.users_of_100 = 0;
    seconds(&w, 600);
    assert_int_equal(w.vote.verdict[EAST], FO_UP);
    assert_int_equal(w.vote.users[EAST], FO_USERS_UNKNOWN);
    w.c.users_least = 30;
    w.users_of_100 = -1; /* nothing is told: the last word ages */
    voter_users(&w.v, &w.c, EAST, 0, 100, w.now);
    seconds(&w, 600);
    assert_int_equal(w.vote.verdict[EAST], FO_UP);
    voter_users(&w.v, &w.c, EAST, UINT64_MAX, UINT64_MAX, w.now);
    second(&w);
    assert_int_equal(w.vote.users[EAST], FO_USERS_GOOD);
    voter_users(&w.v, &w.c, EAST, UINT64_MAX / 4, UINT64_MAX, w.now);
    second(&w);
    assert_int_equal(w.vote.users[EAST], FO_USERS_BAD);
    voter_users(&w.v, &w.c, EAST, 7, 0, w.now);
    second(&w);
    assert_int_equal(w.vote.users[EAST], FO_USERS_UNKNOWN);
}

/* Our own network breaks: everything else looks dead, and we say nothing; also not when it comes back. */
static void own_network(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    memset(w.probe, 0, sizeof w.probe);
    memset(w.beat, 0, sizeof w.beat);
    memset(w.canary, 0, sizeof w.canary);
    w.users_of_100 = w.heard_ago = -1;
    for (int i = 0; i < 300; i++) {
        second(&w);
        assert_true(w.vote.verdict[EAST] != FO_DOWN && w.vote.verdict[WEST] != FO_DOWN);
        assert_true(i < 11 || !w.vote.self_ok);
    }
    memset(w.canary, 1, sizeof w.canary); /* canaries first, the others later */
    seconds(&w, 6);
    assert_int_equal(w.vote.self_ok, 1);
    assert_int_equal(w.vote.verdict[EAST], FO_UNKNOWN);
    memset(w.probe, 1, sizeof w.probe);
    memset(w.beat, 1, sizeof w.beat);
    for (int i = 0; i < 30; i++) {
        second(&w);
        assert_true(w.vote.verdict[EAST] != FO_DOWN);
    }
    assert_int_equal(w.vote.verdict[EAST], FO_UP);
    w.canary[1] = false; /* two of three are enough */
    seconds(&w, 100);
    assert_int_equal(w.vote.self_ok, 1);
    w.canary[0] = false;
    seconds(&w, 15);
    assert_int_equal(w.vote.self_ok, 0);
    assert_int_equal(w.vote.verdict[EAST], FO_UNKNOWN);
}

static void tilt(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    dies(&w);
    seconds(&w, 60);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    voter_tilt(&w.v, &w.c, w.now);
    for (int i = 0; i < 29; i++) {
        second(&w);
        assert_int_equal(w.vote.self_ok, 0);
        assert_int_equal(w.vote.verdict[EAST], FO_UNKNOWN);
    }
    second(&w);
    assert_int_equal(w.vote.self_ok, 1);
    assert_true(w.vote.verdict[EAST] != FO_DOWN); /* what was seen before does not count */
    seconds(&w, 20);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
}

static void absent_classes(void **state)
{
    struct world w;
    (void)state;
    world_new(&w); /* our own region: its peers are we */
    w.c.own_region = EAST;
    w.users_of_100 = w.heard_ago = -1;
    seconds(&w, 60);
    dies(&w);
    seconds(&w, 600);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES);
    world_new(&w); /* no peer, no probe, no canary is configured */
    w.c.n_peers[EAST] = w.c.n_probes[EAST] = w.c.n_canaries = 0;
    w.users_of_100 = w.heard_ago = -1;
    seconds(&w, 60);
    assert_int_equal(w.vote.self_ok, 1);
    assert_int_equal(w.vote.verdict[EAST], FO_UNKNOWN);
    w.users_of_100 = 95;
    seconds(&w, 10);
    assert_int_equal(w.vote.verdict[EAST], FO_UP);
    world_new(&w); /* peers were never heard, by nobody: what is not ready is not dead */
    w.beat[EAST] = false;
    fail_probes(&w, false);
    w.heard_ago = w.users_of_100 = -1;
    seconds(&w, 3600);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    world_new(&w); /* heard by a process before us: not silent at first, but after twelve ticks */
    voter_known(&w.v, EAST);
    voter_known(&w.v, 200);
    w.beat[EAST] = false;
    fail_probes(&w, false);
    w.heard_ago = w.users_of_100 = -1;
    seconds(&w, 50);
    assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
    seconds(&w, 20);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    assert_int_equal(w.vote.classes[EAST], FO_PROBES | FO_HEARTBEAT);
    world_new(&w); /* heard once: it is missed */
    voter_beat(&w.v, &w.c, EAST, 0, w.now);
    w.beat[EAST] = false;
    fail_probes(&w, false);
    seconds(&w, 20);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    world_new(&w); /* strange indices are nobody's */
    voter_probe(&w.v, &w.c, 200, 0, false, w.now);
    voter_probe(&w.v, &w.c, 0, 200, false, w.now);
    voter_canary(&w.v, &w.c, 200, false, w.now);
    voter_beat(&w.v, &w.c, 0, 200, w.now);
    voter_beat(&w.v, &w.c, 200, 0, w.now);
    voter_users(&w.v, &w.c, 200, 0, 100, w.now);
    voter_database(&w.v, &w.c, 200, 0, w.now);
    voter_agents(&w.v, 200, 0, 1);
    seconds(&w, 60);
    assert_int_equal(w.vote.verdict[EAST], FO_UP);
}

/* Results that stop coming are missing, whatever they were. */
static void results_stop(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    dies(&w);
    seconds(&w, 60);
    assert_int_equal(w.vote.verdict[EAST], FO_DOWN);
    w.mute = true;
    seconds(&w, 17);
    assert_int_equal(w.vote.verdict[EAST], FO_UNKNOWN);
    well(&w);
    w.mute = true;
    seconds(&w, 17);
    assert_int_equal(w.vote.verdict[EAST], FO_UNKNOWN);
}

/* ---- phi ---- */

static void phi_is_a_tail(void **state)
{
    struct vote_beat b = {.last = 100 * SECOND, .n = 4, .gap = {5000, 5000, 5000, 5000}};
    int32_t before = 0;
    (void)state;

    for (int64_t t = 0; t < 30000; t += 7) {
        int32_t phi = vote_phi(&b, b.last + t);
        double z = ((double)t - 5000) / 625, exact = -1000 * log10(0.5 * erfc(z / sqrt(2)));

        assert_true(phi >= before);
        if (z > 0 && z < 12)
            assert_true(fabs(phi - exact) < 12);
        before = phi;
    }
    assert_int_equal(before, 32750);
    assert_int_equal(vote_phi(&b, INT64_MAX), 32750);
    assert_int_equal(vote_phi(&b, 0), 0);
    b.n = 2;
    assert_int_equal(vote_phi(&b, INT64_MAX), 0);
}

/* After minutes of words each second, five seconds without one are the usual pace again; a long outage does not teach us
 * that outages are usual. */
static void pace_of_words(void **state)
{
    struct voter v;
    struct vote_config c = production;
    int64_t t = 1000;
    (void)state;
    voter_init(&v, &c, t, 1);
    for (int i = 0; i < 200; i++)
        voter_beat(&v, &c, EAST, 0, t += 1000);
    assert_int_equal(vote_phi(&v.region[EAST].beat[0], t + 5000), 0);
    assert_true(vote_phi(&v.region[EAST].beat[0], t + 8600) >= 8000);
    voter_beat(&v, &c, EAST, 0, t += 86400000);
    for (int i = 0; i < 10; i++)
        voter_beat(&v, &c, EAST, 0, t += 5000);
    assert_true(vote_phi(&v.region[EAST].beat[0], t + 11000) >= 8000);
    c.beat_ms = 1000;
    voter_init(&v, &c, t, 1);
    for (int i = 0; i < 4; i++)
        voter_beat(&v, &c, EAST, 0, t += 1000);
    assert_true(vote_phi(&v.region[EAST].beat[0], t + 2000) >= 8000);
}

/* Seconds without us: whoever notices says so, and what nobody notices is caught by our own looks. */
static void we_slept(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    w.now += 11 * SECOND; /* nothing was asked or heard; nobody has told us */
    second(&w);
    assert_int_equal(w.vote.self_ok, 0);
    seconds(&w, 29);
    assert_int_equal(w.vote.self_ok, 0);
    seconds(&w, 20);
    assert_int_equal(w.vote.verdict[EAST], FO_UP); /* nothing stuck: neither failed runs nor a silence */
    well(&w);
    w.now += 3 * SECOND;
    voter_tilt(&w.v, &w.c, w.now);
    seconds(&w, 29);
    assert_int_equal(w.vote.self_ok, 0);
    voter_tilt(&w.v, &w.c, w.now); /* again: it lasts from there */
    seconds(&w, 29);
    assert_int_equal(w.vote.self_ok, 0);
    second(&w);
    assert_int_equal(w.vote.self_ok, 1);
}

/* Targets that are not ready fail from the start, and removal and return alternate: DEGRADED, never DOWN by that alone. */
static void not_ready(void **state)
{
    struct world w;
    (void)state;
    world_new(&w);
    fail_probes(&w, false);
    w.users_of_100 = -1;
    for (int i = 0; i < 1200; i++) {
        if (i % 40 == 39)
            fail_probes(&w, !w.probe[EAST][0]);
        second(&w);
        assert_true(w.vote.verdict[EAST] != FO_DOWN);
    }
}

/* A stalled source that still answers: figures that are not renewed are no figures, neither for nor against. */
static void stalled_sources(void **state)
{
    struct world w;
    (void)state;
    well(&w);
    w.users_of_100 = 10;
    w.heard_ago = 60000;
    seconds(&w, 6);
    w.users_of_100 = w.heard_ago = -1;
    fail_probes(&w, false);
    seconds(&w, 40);
    for (int i = 0; i < 600; i++) {
        second(&w);
        assert_int_equal(w.vote.verdict[EAST], FO_DEGRADED);
        assert_int_equal(w.vote.users[EAST], FO_USERS_UNKNOWN);
    }
}

/* ---- random lives ---- */

enum { HARM_PROBES = 1, HARM_BEATS = 2, HARM_DATABASE = 4, HARM_USERS = 8 };

/* A region's life of ten minutes in which only some classes of evidence ever speak against it; all may be missing at any
 * time, our own network and clock as well. Returns whether it was ever called DOWN. */
static bool life(struct rng *rng, unsigned harms, bool fast)
{
    struct world w;

    world_new(&w);
    w.c.n_peers[EAST] = (uint8_t)rng_below(rng, 2);
    w.c.n_canaries = (uint8_t)rng_below(rng, 4);
    w.c.own_region = (uint8_t)(rng_below(rng, 4) ? FO_NONE : rng_below(rng, 2));
    voter_fast(&w.v, fast);
    for (int i = 0; i < 600; i++) {
        if (rng_below(rng, 20) == 0) {
            w.mute = rng_below(rng, 4) == 0;
            fail_probes(&w, !(harms & HARM_PROBES) || rng_below(rng, 3) == 0);
            w.probe[WEST][0] = rng_below(rng, 2);
            w.beat[EAST] = !(harms & HARM_BEATS) || rng_below(rng, 3) == 0;
            w.heard_ago = rng_below(rng, 3) == 0 ? -1 : harms & HARM_DATABASE ? 60000 : 10;
            w.users_of_100 = rng_below(rng, 3) == 0 ? -1
                             : harms & HARM_USERS   ? 10
                                                    : 70 + (int)rng_below(rng, 31);
            for (uint8_t k = 0; k < 3; k++)
                w.canary[k] = rng_below(rng, 6) != 0;
        }
        if (rng_below(rng, 300) == 0)
            voter_tilt(&w.v, &w.c, w.now);
        if (rng_below(rng, 100) == 0)
            w.now += 10000 + (int64_t)rng_below(rng, 100000); /* we slept */
        second(&w);
        if (!w.vote.self_ok)
            for (uint8_t r = 0; r < FO_REGIONS; r++)
                assert_int_equal(w.vote.verdict[r] | w.vote.users[r] | w.vote.classes[r], 0);
        if (w.vote.verdict[EAST] == FO_DOWN)
            return true;
    }
    return false;
}

static void no_single_class(void **state)
{
    static const unsigned harmless[] = {0, HARM_PROBES, HARM_DATABASE, HARM_BEATS,
                                        HARM_BEATS | HARM_DATABASE};
    struct rng rng;
    (void)state;

    rng_seed(&rng, 4711);
    for (size_t k = 0; k < sizeof harmless / sizeof *harmless; k++)
        for (int i = 0; i < 300; i++)
            if (life(&rng, harmless[k], i & 1))
                fail_msg("DOWN with harms %u in life %d", harmless[k], i);
}

static void two_classes_do(void **state)
{
    static const unsigned harms[] = {HARM_PROBES | HARM_DATABASE, HARM_PROBES | HARM_BEATS,
                                     HARM_PROBES | HARM_USERS, HARM_USERS};
    struct rng rng;
    (void)state;

    rng_seed(&rng, 4712);
    for (size_t k = 0; k < sizeof harms / sizeof *harms; k++) {
        int down = 0;

        for (int i = 0; i < 100; i++)
            down += life(&rng, harms[k], i & 1);
        assert_true(down > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cold_start),
        cmocka_unit_test(region_dies),
        cmocka_unit_test(returns_slowly),
        cmocka_unit_test(one_in_many),
        cmocka_unit_test(some_targets),
        cmocka_unit_test(second_classes),
        cmocka_unit_test(users_known_elsewhere),
        cmocka_unit_test(users_alone),
        cmocka_unit_test(few_users),
        cmocka_unit_test(own_network),
        cmocka_unit_test(tilt),
        cmocka_unit_test(absent_classes),
        cmocka_unit_test(results_stop),
        cmocka_unit_test(phi_is_a_tail),
        cmocka_unit_test(pace_of_words),
        cmocka_unit_test(no_single_class),
        cmocka_unit_test(we_slept),
        cmocka_unit_test(not_ready),
        cmocka_unit_test(stalled_sources),
        cmocka_unit_test(two_classes_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
