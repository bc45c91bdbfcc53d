/* Guards: the conversation with aggregators, rounds of asking, the state machine through random lives, what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/guard/fence.h"
#include "agent/guard/guard.h"
#include "agent/guard/round.h"
#include "common/base/rng.h"

static struct bytes of(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

/* ---- wire ---- */

static void wire_both_ways(void **state)
{
    struct guard_ask ask = {.guard = "app",
                            .service = "app",
                            .region = "us-east-1",
                            .agent = "db-1",
                            .boot = "00ff",
                            .seq = 5,
                            .serving = true,
                            .fenced_epoch = 7,
                            .seen_epoch = 4294967295U};
    struct guard_answer answer = {.held = true,
                                  .serve = true,
                                  .epoch = 8,
                                  .writer = "us-east-1",
                                  .lease_ms = 20000,
                                  .why = "read 2 s ago"};
    struct guard_answer back;
    struct guard_ask again;
    struct buf b;

    (void)state;
    buf_init(&b, NULL, GUARD_BODY);
    assert_int_equal(guard_ask_write(&ask, &b), 0);
    assert_int_equal(guard_ask_read(buf_bytes(&b), &again, NULL), 0);
    assert_string_equal(again.guard, "app");
    assert_string_equal(again.region, "us-east-1");
    assert_true(again.serving);
    assert_true(again.seq == 5 && again.fenced_epoch == 7 && again.seen_epoch == 4294967295U);
    buf_clear(&b);
    assert_int_equal(guard_answer_write(&answer, &b), 0);
    assert_int_equal(guard_answer_read(buf_bytes(&b), &back, NULL), 0);
    assert_true(back.held && back.serve && back.epoch == 8 && back.lease_ms == 20000 && back.promise_ms == 0);
    assert_string_equal(back.writer, "us-east-1");
    assert_string_equal(back.why, "read 2 s ago");
    buf_free(&b);
}

static void wire_refusals(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"version\":2,\"authority\":\"away\",\"serve\":false,\"epoch\":0,\"writer\":null,\"lease_ms\":0,"
        "\"promise_ms\":0}",
        /* serving without a lease, or for ever, or by half a millisecond */
        "{\"version\":1,\"authority\":\"held\",\"serve\":true,\"epoch\":8,\"writer\":\"a\",\"lease_ms\":0,"
        "\"promise_ms\":0}",
        "{\"version\":1,\"authority\":\"held\",\"serve\":true,\"epoch\":8,\"writer\":\"a\",\"lease_ms\":"
        "60001,\"promise_ms\":0}",
        "{\"version\":1,\"authority\":\"held\",\"serve\":true,\"epoch\":8,\"writer\":\"a\",\"lease_ms\":2000."
        "5,\"promise_ms\":0}",
        "{\"version\":1,\"authority\":\"held\",\"serve\":true,\"epoch\":-1,\"writer\":\"a\",\"lease_ms\":"
        "20000,\"promise_ms\":0}",
        "{\"version\":1,\"authority\":\"held\",\"serve\":true,\"epoch\":4294967296,\"writer\":\"a\",\"lease_"
        "ms\":20000,\"promise_ms\":0}",
        /* away and serving; held and promising; neither */
        "{\"version\":1,\"authority\":\"away\",\"serve\":true,\"epoch\":8,\"writer\":null,\"lease_ms\":20000,"
        "\"promise_ms\":0}",
        "{\"version\":1,\"authority\":\"held\",\"serve\":false,\"epoch\":8,\"writer\":null,\"lease_ms\":0,"
        "\"promise_ms\":9}",
        "{\"version\":1,\"authority\":\"Held\",\"serve\":false,\"epoch\":8,\"writer\":null,\"lease_ms\":0,"
        "\"promise_ms\":0}",
        "{\"version\":1,\"authority\":\"held\",\"serve\":1,\"epoch\":8,\"writer\":null,\"lease_ms\":0,"
        "\"promise_ms\":0}",
        "{\"version\":1,\"authority\":\"away\",\"serve\":false,\"epoch\":8,\"writer\":null,\"lease_ms\":0,"
        "\"promise_ms\":0} x",
        "{\"version\":1,\"authority\":\"away\",\"serve\":false,\"epoch\":8,\"writer\":\"\",\"lease_ms\":0,"
        "\"promise_ms\":0}",
    };
    struct guard_answer a;
    struct guard_ask ask;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (guard_answer_read(of(bad[i]), &a, &e) == 0)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(
        guard_answer_read(
            of("{\"version\":1,\"authority\":\"away\",\"serve\":false,\"epoch\":8,\"writer\":null,"
               "\"lease_ms\":0,\"promise_ms\":20000,\"more\":[]}\n"),
            &a, &e),
        0);
    assert_int_not_equal(
        guard_ask_read(
            of("{\"version\":1,\"guard\":\"../app\",\"agent\":\"db-1\",\"service\":\"app\",\"region\":"
               "\"e\",\"boot\":\"0\",\"seq\":1,\"serving\":true,\"fenced_epoch\":0,\"seen_epoch\":0}"),
            &ask, &e),
        0);
    assert_non_null(strstr(e.text, "guard"));
}

/* ---- rounds ---- */

static const struct guard_answer serve8 = {.held = true, .serve = true, .epoch = 8, .lease_ms = 20000};
static const struct guard_answer deny8 = {.held = true, .epoch = 8};
static const struct guard_answer deny9 = {.held = true, .epoch = 9};
static const struct guard_answer away8 = {.epoch = 8, .promise_ms = 20000};
static const struct guard_answer away9 = {.epoch = 9, .promise_ms = 20000};
static const struct guard_answer silent8 = {.epoch = 8};

static void one_reader_is_enough(void **state)
{
    struct round r;
    struct round_said s;

    (void)state;
    round_init(&r, 3, 0);
    assert_int_equal(round_next(&r, 5000, 1000), 0);
    round_begin(&r, 1000);
    assert_int_equal(round_take(&r, 1, &silent8, 1100).verdict, ROUND_NOTHING);
    s = round_take(&r, 2, &serve8, 2900);
    assert_int_equal(s.verdict, ROUND_LEASE);
    assert_int_equal(s.deadline, 21000); /* from when it was asked, not from when it answered */
    s = round_end(&r, 3000);
    assert_int_equal(s.verdict, ROUND_AGREED);
    assert_int_equal(s.deadline, 21000);
    assert_int_equal(s.epoch, 8);
    assert_int_equal(round_next(&r, 5000, 1000), 6000);
    /* its answer is too late to be of use */
    round_begin(&r, 6000);
    assert_int_equal(round_take(&r, 0, &serve8, 26000).verdict, ROUND_NOTHING);
    assert_int_equal(round_end(&r, 26000).verdict, ROUND_NOTHING);
    assert_int_equal(round_next(&r, 5000, 1000), 7000);
}

static void a_denial_outweighs(void **state)
{
    struct round r;

    (void)state;
    round_init(&r, 3, 0);
    round_begin(&r, 0);
    assert_int_equal(round_take(&r, 0, &serve8, 1).verdict, ROUND_LEASE);
    assert_int_equal(round_take(&r, 1, &deny8, 2).verdict, ROUND_FENCE);
    assert_int_equal(round_take(&r, 2, &serve8, 3).verdict, ROUND_NOTHING);
    /* and one of a later epoch: what was read before it is stale, for ever */
    round_begin(&r, 5000);
    assert_int_equal(round_take(&r, 0, &deny9, 5001).verdict, ROUND_FENCE);
    assert_int_equal(round_take(&r, 1, &serve8, 5002).verdict, ROUND_NOTHING);
    assert_int_equal(round_take(&r, 2, &deny8, 5003).verdict, ROUND_NOTHING);
    round_begin(&r, 10000);
    assert_int_equal(round_take(&r, 1, &serve8, 10001).verdict, ROUND_NOTHING);
    assert_int_equal(round_end(&r, 12000).verdict, ROUND_NOTHING);
}

static void all_must_promise(void **state)
{
    struct guard_answer shorter = away8;
    struct round r;
    struct round_said s;

    (void)state;
    shorter.promise_ms = 7000;
    round_init(&r, 3, 8);
    round_begin(&r, 1000);
    (void)round_take(&r, 0, &away8, 1001);
    (void)round_take(&r, 1, &shorter, 1002);
    s = round_take(&r, 2, &away8, 1003);
    assert_int_equal(s.verdict, ROUND_PROMISED);
    assert_int_equal(s.deadline, 8000); /* of the shortest promise */
    /* one does not promise; one is silent; one knows of a later epoch */
    for (int i = 0; i < 3; i++) {
        round_begin(&r, 10000);
        (void)round_take(&r, 0, &away8, 10001);
        (void)round_take(&r, 1, i == 0 ? &silent8 : i == 1 ? NULL : &away9, 10002);
        assert_int_equal(round_take(&r, 2, &away8, 10003).verdict, ROUND_NOTHING);
        assert_true(round_next(&r, 5000, 1000) == 11000);
    }
}

/* ---- the machine ---- */

static const struct guard_times times = {10000, 1000, 5000, 6000, 60000};
static const struct guard_lease_kept running = {.serving = true, .deadline = 20000};

/* Carries out what the machine wants, all of it well. */
static unsigned settle(struct guard *g, int64_t now)
{
    unsigned releases = 0;

    for (int i = 0; i < 20; i++) {
        switch (guard_next(g, now)) {
        case GUARD_WAIT: return releases;
        case GUARD_DO_KEEP: guard_is_kept(g, true, now); break;
        case GUARD_DO_STOP: guard_stopped(g, now); break;
        case GUARD_DO_RELEASE:
            releases++;
            guard_done(g, true, now);
            break;
        default: guard_done(g, true, now);
        }
    }
    fail_msg("it never rests");
    return 0;
}

static void a_life(void **state)
{
    struct guard_kept none = {0};
    struct guard g;

    (void)state;
    guard_init(&g, &times, &none, &running, 1000);
    assert_int_equal(g.state, GUARD_SERVING);
    guard_lease(&g, 25000, 8, false, 5000);
    assert_int_equal(guard_next(&g, 5000), GUARD_DO_KEEP); /* the epoch */
    guard_is_kept(&g, true, 5000);
    assert_int_equal(guard_next(&g, 24999), GUARD_WAIT);
    assert_int_equal(guard_due(&g), 25000);
    /* an answer that lay there while the machine slept: the clock is looked at first */
    guard_lease(&g, 26000, 8, true, 25500);
    assert_int_equal(g.state, GUARD_FENCING);
    assert_int_equal(guard_next(&g, 25500), GUARD_DO_FENCE);
    guard_done(&g, false, 26000);
    assert_int_equal(guard_next(&g, 26000), GUARD_WAIT);
    assert_int_equal(guard_due(&g), 27000);
    assert_int_equal(guard_next(&g, 27000), GUARD_DO_FENCE);
    guard_done(&g, true, 27500);
    assert_true(guard_may_write(&g)); /* nothing is reported before it is written down */
    assert_int_equal(guard_next(&g, 27500), GUARD_DO_KEEP);
    guard_is_kept(&g, false, 27500);
    assert_int_equal(guard_next(&g, 27600), GUARD_WAIT);
    assert_int_equal(guard_next(&g, 28500), GUARD_DO_KEEP);
    guard_is_kept(&g, true, 28500);
    assert_int_equal(g.state, GUARD_FENCED);
    assert_false(guard_may_write(&g));
    assert_int_equal(g.kept.fenced_epoch, 8);
    /* an older epoch, one answer among others, a promise: no reason to let it go */
    guard_lease(&g, 48000, 7, true, 29000);
    guard_lease(&g, 48000, 8, false, 29000);
    assert_int_equal(guard_next(&g, 29000), GUARD_WAIT);
    guard_lease(&g, 48000, 8, true, 29000);
    assert_int_equal(guard_next(&g, 29000), GUARD_DO_KEEP);
    assert_int_equal(g.kept.state, GUARD_KEPT_RELEASING);
    guard_is_kept(&g, true, 29000);
    assert_int_equal(guard_next(&g, 29000), GUARD_DO_RELEASE);
    /* denied in the middle of it */
    guard_deny(&g, 9, GUARD_R_DENIED, 29500);
    assert_int_equal(guard_next(&g, 29500), GUARD_DO_STOP);
    guard_stopped(&g, 29500);
    assert_int_equal(guard_next(&g, 29500), GUARD_DO_FENCE);
    guard_done(&g, true, 29600);
    assert_int_equal(settle(&g, 29600), 0);
    assert_int_equal(g.kept.fenced_epoch, 9);
    /* something started it all the same */
    assert_int_equal(guard_next(&g, 34600), GUARD_DO_PROVE);
    guard_done(&g, false, 34700);
    assert_true(guard_may_write(&g));
    assert_int_equal(guard_next(&g, 35700), GUARD_DO_PROVE);
    guard_done(&g, true, 35700);
    assert_false(guard_may_write(&g));
    for (int64_t now = 40700; now <= 46700; now += 1000) {
        assert_int_equal(guard_next(&g, now), GUARD_DO_PROVE);
        guard_done(&g, false, now);
    }
    assert_int_equal(g.state, GUARD_FENCING);
    assert_int_equal(g.reason, GUARD_R_BROKEN);
    assert_int_equal(settle(&g, 46700), 0);
    guard_lease(&g, 60000, 9, true, 47000);
    assert_int_equal(settle(&g, 47000), 1);
    assert_int_equal(g.state, GUARD_SERVING);
    assert_int_equal(g.kept.state, GUARD_KEPT_FREE);
}

static void beginnings(void **state)
{
    struct guard_lease_kept grace = {.serving = false, .deadline = 9000};
    struct guard_kept k = {.fenced_epoch = 8, .seen_epoch = 8};
    struct guard g;

    (void)state;
    /* nothing is known: it waits for a word, not for ever, and a promise is none */
    guard_init(&g, &times, &k, NULL, 1000);
    assert_int_equal(g.state, GUARD_UNKNOWN);
    guard_lease(&g, 20000, 8, false, 2000);
    assert_int_equal(g.state, GUARD_UNKNOWN);
    assert_int_equal(guard_next(&g, 11000), GUARD_DO_FENCE);
    guard_init(&g, &times, &k, NULL, 1000);
    guard_lease(&g, 20000, 8, true, 2000);
    assert_int_equal(g.state, GUARD_SERVING);
    /* started again and again, the time to wait does not begin anew */
    guard_init(&g, &times, &k, &grace, 8000);
    assert_int_equal(g.state, GUARD_UNKNOWN);
    assert_int_equal(guard_next(&g, 9000), GUARD_DO_FENCE);
    /* nobody looked while the lease ended */
    guard_init(&g, &times, &k, &running, 20000);
    assert_int_equal(guard_next(&g, 20000), GUARD_DO_FENCE);
    /* a deadline that no answer can have given */
    guard_init(&g, &times, &k, &(struct guard_lease_kept){.serving = true, .deadline = 900000}, 1000);
    assert_int_equal(g.state, GUARD_UNKNOWN);
    /* fenced before, with or without a lease of another life */
    k.state = GUARD_KEPT_FENCED;
    guard_init(&g, &times, &k, &running, 1000);
    assert_int_equal(guard_next(&g, 1000), GUARD_DO_FENCE);
    guard_done(&g, true, 1000);
    assert_int_equal(settle(&g, 1000), 0);
    assert_int_equal(g.state, GUARD_FENCED);
    /* half let go */
    k.state = GUARD_KEPT_RELEASING;
    guard_init(&g, &times, &k, &running, 1000);
    assert_int_equal(guard_next(&g, 1000), GUARD_DO_RELEASE);
    guard_init(&g, &times, &k, NULL, 1000);
    assert_int_equal(guard_next(&g, 1000), GUARD_DO_FENCE);
}

/* ---- random lives ---- */

enum { AGGREGATORS = 3, LEASE = 20000, STALE = 4000 };

struct world {
    struct rng rng;
    int64_t now;
    /* the truth, and what each aggregator has read of it, and when */
    uint32_t epoch;
    bool serve;
    int64_t denied_since; /* when the truth began to say no; 0: it says yes */
    uint32_t read_epoch[AGGREGATORS];
    bool read_serve[AGGREGATORS];
    int64_t read_at[AGGREGATORS], promised_until[AGGREGATORS];
    bool store_away, silent[AGGREGATORS];
    /* the host */
    struct guard g;
    struct round r;
    struct guard_kept disk;
    struct guard_lease_kept lease;
    bool disk_full;
    int64_t allowed; /* the latest moment that any answer has allowed, told by this oracle */
    bool written;    /* the service could be written to when last looked */
};

static bool chance(struct world *w, unsigned one_in)
{
    return rng_below(&w->rng, one_in) == 0;
}

/* The truth moves on only as moves may: not while a promise holds. */
static void truth(struct world *w)
{
    for (int i = 0; i < AGGREGATORS; i++)
        if (w->promised_until[i] > w->now)
            return;
    if (w->store_away || !chance(w, 40))
        return;
    if (w->serve) {
        w->epoch++;
        w->serve = false;
        w->denied_since = w->now;
    } else {
        w->epoch += chance(w, 2);
        w->serve = true;
        w->denied_since = 0;
    }
}

static void aggregators(struct world *w)
{
    if (chance(w, 60))
        w->store_away = !w->store_away;
    for (int i = 0; i < AGGREGATORS; i++) {
        if (chance(w, 50))
            w->silent[i] = !w->silent[i];
        if (!w->store_away && chance(w, 2)) {
            w->read_epoch[i] = w->epoch;
            w->read_serve[i] = w->serve;
            w->read_at[i] = w->now;
        }
    }
}

static void carry_out(struct world *w)
{
    for (int i = 0; i < 20; i++) {
        switch (guard_next(&w->g, w->now)) {
        case GUARD_WAIT: return;
        case GUARD_DO_KEEP:
            if (!w->disk_full)
                w->disk = w->g.kept;
            guard_is_kept(&w->g, !w->disk_full, w->now);
            break;
        case GUARD_DO_STOP: guard_stopped(&w->g, w->now); break;
        case GUARD_DO_FENCE:
            if (!chance(w, 3)) {
                w->written = false;
                guard_done(&w->g, true, w->now);
            } else {
                guard_done(&w->g, false, w->now);
            }
            break;
        case GUARD_DO_PROVE:
            w->written = w->written || chance(w, 20); /* somebody started it */
            guard_done(&w->g, !w->written, w->now);
            break;
        case GUARD_DO_RELEASE:
            assert_int_equal(w->disk.state, GUARD_KEPT_RELEASING);
            assert_true(w->now < w->allowed);
            w->written = true;
            guard_done(&w->g, !chance(w, 3), w->now);
            break;
        }
    }
}

static void told(struct world *w, struct round_said s)
{
    if (s.verdict == ROUND_LEASE || s.verdict == ROUND_AGREED || s.verdict == ROUND_PROMISED)
        guard_lease(&w->g, s.deadline, s.epoch, s.verdict == ROUND_AGREED, w->now);
    else if (s.verdict == ROUND_FENCE)
        guard_deny(&w->g, s.epoch, GUARD_R_DENIED, w->now);
    carry_out(w);
}

/* One round; the answers come at random moments, some lost, the machine may sleep in between. */
static void ask_all(struct world *w)
{
    int64_t sent = w->now;
    bool all = true;
    int64_t least = INT64_MAX;

    round_begin(&w->r, w->now);
    for (uint8_t i = 0; i < AGGREGATORS; i++) {
        struct guard_answer a = {.epoch = w->read_epoch[i]};

        if (w->silent[i] || chance(w, 10)) {
            all = false;
            told(w, round_take(&w->r, i, NULL, w->now));
            continue;
        }
        a.held = w->now - w->read_at[i] <= STALE;
        a.serve = a.held && w->read_serve[i];
        if (a.serve) {
            a.lease_ms = LEASE;
            if (sent + LEASE > w->allowed)
                w->allowed = sent + LEASE;
        } else if (!a.held && !chance(w, 8)) {
            a.promise_ms = LEASE;
            w->promised_until[i] = w->now + LEASE;
        }
        if (a.held || !a.promise_ms)
            all = false;
        else
            least = sent + LEASE;
        w->now +=
            (int64_t)rng_below(&w->rng, chance(w, 30) ? 60000 : 500); /* the answer's way; or it sleeps */
        if (i == AGGREGATORS - 1 && all && least > w->allowed)
            w->allowed = least; /* all promise */
        told(w, round_take(&w->r, i, &a, w->now));
    }
    told(w, round_end(&w->r, w->now));
}

static void crash(struct world *w)
{
    bool reboot = chance(w, 3);

    w->now += (int64_t)rng_below(&w->rng, chance(w, 3) ? 40000 : 3000);
    if (reboot) {
        w->written = false; /* started by nobody: the units wait for `guard check` */
        w->allowed = w->now;
    }
    guard_init(&w->g, &times, &w->disk, reboot || !w->lease.boot[0] ? NULL : &w->lease, w->now);
    round_init(&w->r, AGGREGATORS, w->disk.seen_epoch);
    if (w->g.state == GUARD_UNKNOWN && w->written)
        fail_msg("a start that does not know that it was serving");
    carry_out(w);
}

static void check(struct world *w)
{
    bool serves = w->g.state == GUARD_SERVING || w->g.state == GUARD_RELEASING;

    if (serves && w->now >= w->allowed)
        fail_msg("serving at %lld, allowed until %lld", (long long)w->now, (long long)w->allowed);
    if (!guard_may_write(&w->g)) {
        assert_false(w->written);
        assert_int_equal(w->disk.state, GUARD_KEPT_FENCED); /* on disk before it is reported */
        assert_int_equal(w->disk.fenced_epoch, w->g.kept.fenced_epoch);
    }
    /* the contract: 4 s of an old read and the lease after the truth said no, it is fenced or being fenced */
    if (w->denied_since && w->now >= w->denied_since + STALE + LEASE)
        assert_false(serves);
    guard_lease_of(&w->g, &w->lease);
    w->lease.boot[0] = 'b';
}

static void random_lives(void **state)
{
    uint64_t served = 0, fenced = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct world w = {.epoch = 1, .serve = true, .now = 100000};

        rng_seed(&w.rng, seed);
        for (int i = 0; i < AGGREGATORS; i++)
            w.read_at[i] = -1000000;
        guard_init(&w.g, &times, &w.disk, NULL, w.now);
        round_init(&w.r, AGGREGATORS, 0);
        for (int step = 0; step < 600; step++) {
            truth(&w);
            aggregators(&w);
            if (chance(&w, 100))
                w.disk_full = !w.disk_full;
            if (chance(&w, 80))
                crash(&w);
            if (w.now >= round_next(&w.r, 5000, 1000))
                ask_all(&w);
            carry_out(&w);
            check(&w);
            served += w.g.state == GUARD_SERVING;
            fenced += w.g.state == GUARD_FENCED;
            w.now += 200 + (int64_t)rng_below(&w.rng, 800);
        }
    }
    assert_true(served > 10000 && fenced > 10000); /* both were lived */
}

/* The store is away, everybody promises: a healthy service goes on for as long as that lasts. One falls silent: it ends. */
static void outage_of_the_store(void **state)
{
    struct guard_kept none = {0};
    struct guard g;
    struct round r;
    int64_t now = 0, last = 0;

    (void)state;
    guard_init(&g, &times, &none, &running, 1000);
    round_init(&r, 3, 8);
    for (now = 1000; now < 3600000; now += 5000) {
        struct round_said s = {0};

        round_begin(&r, now);
        for (uint8_t i = 0; i < 3; i++)
            s = round_take(&r, i, &away8, now + 50 * i);
        if (s.verdict == ROUND_PROMISED)
            guard_lease(&g, s.deadline, s.epoch, false, now + 100);
        (void)settle(&g, now + 100);
        assert_int_equal(g.state, GUARD_SERVING);
    }
    last = now - 5000 + 20000;
    assert_int_equal(g.deadline, last);
    for (; now < last + 5000; now += 1000) {
        round_begin(&r, now);
        (void)round_take(&r, 0, &away8, now);
        (void)round_take(&r, 1, &away8, now);
        assert_int_equal(round_end(&r, now + 2000).verdict, ROUND_NOTHING);
        (void)guard_next(&g, now);
        assert_int_equal(g.state, now < last ? GUARD_SERVING : GUARD_FENCING);
    }
}

/* ---- what is kept ---- */

static void kept_slots(void **state)
{
    struct guard_kept k = {GUARD_KEPT_FENCED, 7, 9}, back;
    struct guard_lease_kept l = {"0f0e2c6e-0000-4000-8000-000000000001", 123456, true}, lease;
    uint8_t file[GUARD_SLOT * GUARD_SLOTS] = {0}, torn[sizeof file];
    uint64_t turn;

    (void)state;
    assert_false(guard_kept_read(file, sizeof file, &back, &turn));
    assert_false(guard_lease_read(file, sizeof file, &lease));
    guard_kept_write(&k, 4, file);
    k.state = GUARD_KEPT_RELEASING;
    guard_kept_write(&k, 5, file + GUARD_SLOT);
    guard_lease_write(&l, file + 2 * GUARD_SLOT);
    assert_true(guard_kept_read(file, sizeof file, &back, &turn));
    assert_int_equal(turn, 5);
    assert_int_equal(back.state, GUARD_KEPT_RELEASING);
    assert_true(guard_lease_read(file, sizeof file, &lease));
    assert_string_equal(lease.boot, l.boot);
    assert_true(lease.deadline == 123456 && lease.serving);
    for (size_t i = 0; i < GUARD_SLOT;
         i++) { /* torn anywhere: the one before holds, or it still says the same */
        memcpy(torn, file, sizeof torn);
        memset(torn + GUARD_SLOT + i, 0, GUARD_SLOT - i);
        assert_true(guard_kept_read(torn, sizeof torn, &back, &turn));
        assert_true(back.fenced_epoch == 7 && back.seen_epoch == 9);
        assert_int_equal(back.state, turn == 4 ? GUARD_KEPT_FENCED : GUARD_KEPT_RELEASING);
        assert_false(guard_lease_read(torn, 2 * GUARD_SLOT + i, &lease));
    }
}

/* ---- what fences read and write ---- */

static void haproxy_states(void **state)
{
    static const char said[] =
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n"
        "3 app 1 web0 127.0.0.1 0 5 1\n3 app 2 web1 127.0.0.1 2 0 1\n4 other 1 web0 127.0.0.1 2 4 1\n\n";
    struct haproxy_seen seen;
    char name[128];
    size_t at = 0;

    (void)state;
    assert_int_equal(haproxy_servers(of(said), "app", NULL, &seen), 0);
    assert_true(seen.servers == 2 && seen.in_maintenance == 1);
    assert_int_equal(haproxy_servers(of(said), "app", "web0", &seen), 0);
    assert_true(seen.servers == 1 && seen.in_maintenance == 1);
    assert_int_equal(haproxy_servers(of(said), "other", "web0", &seen), 0);
    assert_true(seen.servers == 1 && seen.in_maintenance == 0); /* inherited, or by DNS: not by force */
    assert_int_equal(haproxy_servers(of(said), "none", NULL, &seen), 0);
    assert_int_equal(seen.servers, 0);
    assert_true(haproxy_next(of(said), &at, name) && strcmp(name, "web0") == 0);
    assert_true(haproxy_next(of(said), &at, name) && strcmp(name, "web1") == 0);
    assert_int_not_equal(haproxy_servers(of("Can't find backend.\n"), "app", NULL, &seen), 0);
    assert_int_not_equal(haproxy_servers(of(""), "app", NULL, &seen), 0);
    assert_int_not_equal(haproxy_servers(of("1\n3 app 1 web0 127.0.0.1 0 x 1\n"), "app", NULL, &seen), 0);
}

static void postgresql_files(void **state)
{
    static const char hba[] =
        "# a comment\nlocal all all peer\nhost all all 0.0.0.0/0 scram-sha-256\n"
        "hostssl\treplication repl 10.0.0.0/8 scram-sha-256\nlocal replication all peer\n"
        "hostnossl all,replication all 10.0.0.0/8 md5";
    static const char *const keep[] = {"securebase"};
    struct postmaster p;
    struct buf b;

    (void)state;
    assert_int_equal(
        postmaster_read(of("4711\n/data\n1764000000\n5433\n/run/pg\n*\n  12345 6\nready   \n"), &p), 0);
    assert_true(p.pid == 4711 && p.port == 5433);
    assert_string_equal(p.socket_dir, "/run/pg");
    assert_string_equal(p.address, "127.0.0.1");
    assert_int_equal(postmaster_read(of("4711\n"), &p), 0); /* not whole yet; it is there */
    assert_int_not_equal(postmaster_read(of(""), &p), 0);
    assert_int_not_equal(postmaster_read(of("-1\n"), &p), 0);
    assert_int_not_equal(postmaster_read(of("47x\n"), &p), 0);
    buf_init(&b, NULL, 4096);
    assert_false(hba_is_cut(of(hba)));
    assert_int_equal(hba_cut(of(hba), "postgres", NULL, 0, &b), 0);
    assert_true(hba_is_cut(buf_bytes(&b)));
    assert_string_equal(buf_text(&b), FENCE_HBA_MARK "\nlocal all \"postgres\" peer\n"
                                                     "hostssl\treplication repl 10.0.0.0/8 scram-sha-256\n"
                                                     "local replication all peer\n"
                                                     "local all all reject\nhost all all all reject\n");
    /* the role that has to go on looking: as the rules before let it in, into one database */
    buf_clear(&b);
    assert_int_equal(
        hba_cut(
            of("local all all peer\nhost app app 10.0.0.0/8 md5\n"
               "hostssl app,postgres \"securebase\",x 10.0.0.0/8 cert map=a\nhost postgres other all md5\n"
               "host\tall\tall\t10.9.0.0/16\treject"),
            "pg", keep, 1, &b),
        0);
    assert_string_equal(buf_text(&b),
                        FENCE_HBA_MARK "\nlocal all \"pg\" peer\nlocal postgres \"securebase\" peer\n"
                                       "hostssl postgres \"securebase\" 10.0.0.0/8 cert map=a\n"
                                       "host postgres \"securebase\"\t10.9.0.0/16\treject\n"
                                       "local all all reject\nhost all all all reject\n");
    buf_free(&b);
}

static void postgresql_answers(void **state)
{
    static const uint8_t rejected[] =
        "E\0\0\0\x39SFATAL\0VFATAL\0C28000\0Mrejects\0RClientAuthentication\0\0";
    static const uint8_t unknown_role[] =
        "E\0\0\0\x3aSFATAL\0VFATAL\0C28000\0Mno role\0RInitializeSessionUser\0\0";
    static const uint8_t password[] = "R\0\0\0\x0c\0\0\0\x05salt";
    struct buf b;

    (void)state;
    assert_true(pg_refused((struct bytes){rejected, sizeof rejected - 1}));
    for (size_t n = 0; n < rejected[4] + 1U; n++)
        assert_false(pg_refused((struct bytes){rejected, n}));
    assert_false(pg_refused((struct bytes){unknown_role, sizeof unknown_role - 1}));
    assert_false(pg_refused((struct bytes){password, sizeof password - 1}));
    buf_init(&b, NULL, 100);
    assert_int_equal(pg_startup("u", "db", &b), 0);
    assert_int_equal(b.len, 4 + 4 + 5 + 2 + 9 + 3 + 1);
    assert_memory_equal(b.data, "\0\0\0\x1c\0\3\0\0user\0u\0database\0db\0", b.len);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_both_ways),       cmocka_unit_test(wire_refusals),
        cmocka_unit_test(one_reader_is_enough), cmocka_unit_test(a_denial_outweighs),
        cmocka_unit_test(all_must_promise),     cmocka_unit_test(a_life),
        cmocka_unit_test(beginnings),           cmocka_unit_test(random_lives),
        cmocka_unit_test(outage_of_the_store),  cmocka_unit_test(kept_slots),
        cmocka_unit_test(haproxy_states),       cmocka_unit_test(postgresql_files),
        cmocka_unit_test(postgresql_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
