/* The record as text: what is written comes back byte for byte, whatever is damaged is refused. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/failover/failover.h"
#include "common/base/rng.h"

static const struct fo_names names = {
    .service = "app",
    .region = {"us-east-1", "us-west-2", "eu-west-1"},
    .action = {"fence-db", "promote", "dns"},
};
static const struct fo_config config = {.n_regions = 3, .n_actions = 3};

static void fill(struct buf *b, const char *s)
{
    buf_clear(b);
    buf_str(b, s);
}

static void random_text(struct rng *r, char *out, size_t cap)
{
    size_t n = rng_below(r, cap);

    memset(out, 0, cap);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(1 + rng_below(r, 255));
}

static void random_suppression(struct rng *r, struct fo_suppression *x, uint8_t n)
{
    x->until = (int64_t)rng_next(r) >> rng_below(r, 64);
    x->region = rng_below(r, 2) ? FO_NONE : (uint8_t)rng_below(r, n);
    random_text(r, x->who, sizeof x->who);
    random_text(r, x->why, sizeof x->why);
}

static void random_record(struct rng *r, struct fo_record *x)
{
    memset(x, 0, sizeof *x);
    x->version = 1;
    x->epoch = (uint32_t)rng_next(r);
    x->active = (uint8_t)rng_below(r, 3);
    x->writer = rng_below(r, 2) ? FO_NONE : (uint8_t)rng_below(r, 3);
    x->status = (uint8_t)rng_below(r, 5);
    x->left = (uint8_t)rng_below(r, 8);
    x->token = (struct fencing){rng_next(r), rng_next(r)};
    x->plan.epoch = (uint32_t)rng_next(r);
    x->plan.kind = (uint8_t)rng_below(r, FO_KINDS);
    x->plan.from = (uint8_t)rng_below(r, 3);
    x->plan.to = (uint8_t)rng_below(r, 3);
    x->plan.step = (uint8_t)rng_below(r, PLAN_STEPS);
    x->plan.past_no_return = (uint8_t)rng_below(r, 2);
    x->plan.automatic = (uint8_t)rng_below(r, 2);
    x->plan.fenced = (uint8_t)rng_below(r, 4);
    x->plan.was_fenced = (uint8_t)rng_below(r, 2);
    x->plan.undoing = (uint8_t)rng_below(r, 2);
    for (int i = 0; i < 3; i++) {
        x->plan.phase[i] = (uint8_t)rng_below(r, FO_UNDONE + 1);
        x->plan.tries[i] = (uint8_t)rng_below(r, 256);
    }
    x->plan.accepted_loss_ms = (int64_t)rng_next(r);
    x->plan.loss_ms = -1;
    x->plan.began = (int64_t)rng_next(r);
    x->plan.ended = (int64_t)rng_below(r, 1000);
    random_text(r, x->plan.who, sizeof x->plan.who);
    random_text(r, x->plan.why, sizeof x->plan.why);
    random_suppression(r, &x->lock, 3);
    random_suppression(r, &x->must_not, 3);
    random_suppression(r, &x->maintenance, 3);
    random_suppression(r, &x->automation, 3);
    for (uint64_t i = 0, n = rng_below(r, FO_MOVES + 1); i < n; i++)
        x->moves[i] = 1 + (int64_t)(rng_next(r) >> 1);
    x->hold_until = (int64_t)rng_next(r);
    x->flap = (int32_t)rng_below(r, 12001);
    x->flap_at = (int64_t)rng_next(r);
    x->stuck_reason = (uint32_t)rng_below(r, FO_REASONS);
}

static void comes_back(void **state)
{
    struct rng r;
    struct buf b;

    (void)state;
    rng_seed(&r, 5);
    buf_init(&b, NULL, 1 << 16);
    for (int i = 0; i < 3000; i++) {
        struct fo_record a, back;
        struct err e = {0};

        random_record(&r, &a);
        buf_clear(&b);
        assert_int_equal(fo_record_write(&a, &config, &names, &b), 0);
        if (fo_record_read(buf_bytes(&b), &config, &names, &back, &e) != 0)
            fail_msg("%s\n%.*s", e.text, (int)b.len, (const char *)b.data);
        assert_memory_equal(&a, &back, sizeof a);
    }
    buf_free(&b);
}

/* The longest record there can be fits: a core that could not write would stand still. */
static void the_longest_fits(void **state)
{
    static struct fo_names n;
    static const struct fo_config most = {.n_regions = FO_REGIONS, .n_actions = FO_ACTIONS};
    struct fo_record a, back;
    struct fo_suppression *const all[] = {&a.lock, &a.must_not, &a.maintenance, &a.automation};
    struct err e = {0};
    struct buf b;

    (void)state;
    memset(&a, 0xff, sizeof a);
    memset(n.service, 's', FO_NAME - 1);
    for (int i = 0; i < FO_REGIONS; i++) {
        memset(n.region[i], 'r', FO_NAME - 1);
        n.region[i][0] = (char)('a' + i);
    }
    for (int i = 0; i < FO_ACTIONS; i++) {
        memset(n.action[i], 'x', FO_NAME - 1);
        n.action[i][0] = (char)('a' + i);
        a.plan.phase[i] = FO_SKIPPED;
    }
    a.active = a.writer = a.plan.from = a.plan.to = FO_REGIONS - 1;
    a.status = FO_STUCK_STATUS;
    a.plan.kind = FO_SWITCHOVER;
    a.plan.step = STEP_VALIDATE;
    a.stuck_reason = FO_R_READINESS_OLD;
    memset(a.plan.who, 1, sizeof a.plan.who);
    memset(a.plan.why, 1, sizeof a.plan.why);
    for (int i = 0; i < 4; i++) {
        memset(all[i]->who, 1, sizeof all[i]->who);
        memset(all[i]->why, 1, sizeof all[i]->why);
        all[i]->region = 1;
        all[i]->until = INT64_MIN;
        all[i]->who[FO_WHO - 1] = all[i]->why[FO_WHY - 1] = '\0';
    }
    a.plan.who[FO_WHO - 1] = a.plan.why[FO_WHY - 1] = '\0';
    a.plan.past_no_return = a.plan.automatic = a.plan.was_fenced = a.plan.undoing = 1;
    a.plan.fenced = 3;
    a.flap = 12000;
    buf_init(&b, NULL, 1 << 16);
    assert_int_equal(fo_record_write(&a, &most, &n, &b), 0);
    if (fo_record_read(buf_bytes(&b), &most, &n, &back, &e) != 0)
        fail_msg("%s", e.text);
    buf_free(&b);
}

static void damage_is_refused(void **state)
{
    struct fo_record a, back;
    struct rng r;
    struct buf b;

    (void)state;
    rng_seed(&r, 6);
    buf_init(&b, NULL, 1 << 16);
    for (int i = 0; i < 2000; i++) {
        struct err e = {0};
        size_t cut, at;
        uint8_t was;

        random_record(&r, &a);
        buf_clear(&b);
        assert_int_equal(fo_record_write(&a, &config, &names, &b), 0);
        cut = rng_below(&r, b.len);
        assert_true(fo_record_read((struct bytes){b.data, cut}, &config, &names, &back, &e) < 0);
        assert_true(e.text[0] != '\0');
        at = rng_below(&r, b.len);
        was = b.data[at];
        b.data[at] = (uint8_t)(was ^ 1U << rng_below(&r, 8));
        assert_true(fo_record_read(buf_bytes(&b), &config, &names, &back, &e) < 0);
    }
    buf_free(&b);
}

static void other_order_of_names(void **state)
{
    static const struct fo_names other = {
        .service = "app",
        .region = {"us-west-2", "us-east-1"},
        .action = {"dns", "promote", "fence-db", "more"},
    };
    static const struct fo_config two = {.n_regions = 2, .n_actions = 4};
    struct fo_record a = {.version = 1, .active = 0, .writer = 0, .plan = {.from = 1, .to = 0}};
    struct fo_record back;
    struct err e = {0};
    struct buf b;

    (void)state;
    a.plan.phase[0] = FO_DONE;
    a.lock.region = a.must_not.region = a.maintenance.region = a.automation.region = FO_NONE;
    buf_init(&b, NULL, 1 << 16);
    assert_int_equal(fo_record_write(&a, &config, &names, &b), 0);
    assert_int_equal(fo_record_read(buf_bytes(&b), &two, &other, &back, &e), 0);
    assert_int_equal(back.active, 1);
    assert_int_equal(back.plan.from, 0);
    assert_int_equal(back.plan.phase[0], FO_IDLE);
    assert_int_equal(back.plan.phase[2], FO_DONE);
    buf_free(&b);
}

static void unknown_names(void **state)
{
    static const struct fo_names fewer = {
        .service = "app", .region = {"us-east-1", "us-west-2"}, .action = {"dns"}};
    static const struct fo_config two = {.n_regions = 2, .n_actions = 1};
    struct fo_record a = {.version = 1, .plan = {.from = 2, .to = 1}}, back;
    struct err e = {0};
    struct buf b;

    (void)state;
    a.plan.phase[0] = FO_DONE;
    buf_init(&b, NULL, 1 << 16);
    assert_int_equal(fo_record_write(&a, &config, &names, &b), 0);
    assert_int_equal(fo_record_read(buf_bytes(&b), &two, &fewer, &back, &e), 0); /* the plan has ended */
    a.status = FO_PLAN;
    buf_clear(&b);
    assert_int_equal(fo_record_write(&a, &config, &names, &b), 0);
    assert_int_equal(fo_record_read(buf_bytes(&b), &two, &fewer, &back, &e), ERR_STATE);
    a.plan.from = 0; /* now the action alone */
    buf_clear(&b);
    assert_int_equal(fo_record_write(&a, &config, &names, &b), 0);
    assert_int_equal(fo_record_read(buf_bytes(&b), &two, &fewer, &back, &e), ERR_STATE);
    a.status = FO_STEADY_STATUS;
    a.active = 2;
    buf_clear(&b);
    assert_int_equal(fo_record_write(&a, &config, &names, &b), 0);
    assert_int_equal(fo_record_read(buf_bytes(&b), &two, &fewer, &back, &e), ERR_STATE);
    buf_free(&b);
}

static void not_ours(void **state)
{
    /* clang-format off */
    static const char *const texts[] = {
        "", "\n", "securebase-failover-record", "securebase-failover-record 1\n",
        "securebase-failover-record 1\nsha256 0000000000000000000000000000000000000000000000000000000000000000\n"};
    /* clang-format on */
    struct fo_record back;
    struct err e = {0};
    struct buf b;

    (void)state;
    buf_init(&b, NULL, 1 << 16);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        fill(&b, texts[i]);
        assert_int_equal(fo_record_read(buf_bytes(&b), &config, &names, &back, &e), ERR_MALFORMED);
    }
    buf_clear(&b);
    assert_non_null(buf_grow(&b, FO_RECORD_TEXT + 1));
    assert_int_equal(fo_record_read(buf_bytes(&b), &config, &names, &back, &e), ERR_LIMIT);
    buf_free(&b);
}

static void who_may_serve(void **state)
{
    struct fo_record a = {.writer = 1};

    (void)state;
    assert_true(fo_may_serve(&a, 1));
    assert_false(fo_may_serve(&a, 0));
    a.writer = FO_NONE;
    assert_false(fo_may_serve(&a, 0));
    assert_false(fo_may_serve(&a, FO_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),       cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(the_longest_fits), cmocka_unit_test(other_order_of_names),
        cmocka_unit_test(unknown_names),    cmocka_unit_test(not_ours),
        cmocka_unit_test(who_may_serve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
