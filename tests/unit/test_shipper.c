/* The machine that sends, on a clock of its own: golden traces of what it does, and a random walk
 * in which nothing is sent twice at once, nothing is forgotten and every state has a way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/ship/shipper.h"

struct bench {
    struct shipper s;
    struct mono now;
    struct span timer; /* the last set */
    uint64_t acked_epoch;
    struct wire_answer answer;
    struct buf trace;
};

static const char *const effects[] = {"front", "post", "find",  "post-defs", "ack",
                                      "drop",  "move", "timer", "complain",  "recovered"};

static void feed(struct bench *b, struct ship_event *e)
{
    struct ship_effect f[SHIP_MAX_EFFECTS];
    unsigned n;

    e->now = b->now;
    e->wall = (struct wall){5000};
    e->answer = &b->answer;
    e->acked_epoch = b->acked_epoch;
    n = shipper_step(&b->s, e, f);
    assert_true(n <= SHIP_MAX_EFFECTS);
    for (unsigned i = 0; i < n; i++) {
        if (f[i].type == SHIP_DO_TIMER)
            b->timer = f[i].wait;
        buf_fmt(&b->trace, "%s%s", b->trace.len ? " " : "", effects[f[i].type]);
        if (f[i].type == SHIP_DO_POST || f[i].type == SHIP_DO_POST_DEFS)
            buf_fmt(&b->trace, "@%u", f[i].endpoint);
        if (f[i].type == SHIP_DO_ACK || f[i].type == SHIP_DO_DROP)
            buf_fmt(&b->trace, "#%llu", (unsigned long long)f[i].seq);
        if (f[i].type == SHIP_DO_MOVE)
            buf_fmt(&b->trace, ">%llu", (unsigned long long)f[i].epoch);
    }
    buf_fmt(&b->trace, " [%s]", ship_state_name(b->s.state));
}

static void changed(struct bench *b)
{
    feed(b, &(struct ship_event){.type = SHIP_EV_CHANGED});
}

static void front(struct bench *b, uint64_t seq)
{
    feed(b, &(struct ship_event){
                .type = SHIP_EV_FRONT, .ok = seq != 0, .item = {.epoch = 1000, .seq = seq, .values = 9}});
}

static void answer(struct bench *b, int status, uint64_t seq)
{
    b->answer = (struct wire_answer){.status = status, .epoch = 1000, .seq = seq, .n_need = status == 409};
    feed(b, &(struct ship_event){.type = SHIP_EV_ANSWER, .ok = true, .ours = true, .status = status});
}

static void silence(struct bench *b)
{
    feed(b, &(struct ship_event){.type = SHIP_EV_ANSWER, .why = "connect"});
}

static void later(struct bench *b)
{
    b->now = mono_add(b->now, b->timer);
    feed(b, &(struct ship_event){.type = SHIP_EV_TIMER});
}

static void expect(struct bench *b, const char *trace)
{
    assert_string_equal(buf_text(&b->trace), trace);
    buf_clear(&b->trace);
}

static void begin(struct bench *b, unsigned endpoints)
{
    *b = (struct bench){.now = {1000000000}};
    buf_init(&b->trace, NULL, 1 << 20);
    shipper_init(&b->s, endpoints, span_s(300), 42);
}

static void test_delivers_in_order(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, 2);
    changed(&b);
    changed(&b); /* once is enough */
    expect(&b, "front [asking] [asking]");
    front(&b, 1);
    answer(&b, 200, 1);
    front(&b, 2);
    answer(&b, 200, 2);
    front(&b, 0);
    expect(&b, "post@0 [sending] ack#1 front [asking] post@0 [sending] ack#2 front [asking] [idle]");
    buf_free(&b.trace);
}

static void test_definitions_first(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, 1);
    changed(&b);
    front(&b, 1);
    answer(&b, 409, 1);
    feed(&b, &(struct ship_event){.type = SHIP_EV_BODY, .found = 2});
    answer(&b, 200, 0);
    answer(&b, 200, 1);
    expect(&b, "front [asking] post@0 [sending] find [finding] post-defs@0 [defining] post@0 [sending] "
               "ack#1 front [asking]");
    front(&b, 2);
    answer(&b, 409, 2);
    feed(&b, &(struct ship_event){.type = SHIP_EV_BODY}); /* nobody has them any more */
    expect(&b, "post@0 [sending] find [finding] drop#2 front [asking]");
    front(&b, 3);
    for (int i = 0; i < SHIP_MAX_DEFINING; i++) {
        answer(&b, 409, 3);
        feed(&b, &(struct ship_event){.type = SHIP_EV_BODY, .found = 1});
        answer(&b, 200, 0);
    }
    buf_clear(&b.trace);
    answer(&b, 409, 3); /* without end is not for ever */
    expect(&b, "drop#3 front [asking]");
    buf_free(&b.trace);
}

static void test_failover_and_failback(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, 2);
    changed(&b);
    front(&b, 1);
    silence(&b);
    front(&b, 1);
    answer(&b, 200, 1);
    expect(&b, "front [asking] post@0 [sending] complain front [asking] post@1 [sending] "
               "recovered ack#1 front [asking]");
    front(&b, 2);
    answer(&b, 200, 2);
    front(&b, 3);
    expect(&b, "post@1 [sending] ack#2 front [asking] post@1 [sending]"); /* it stays there … */
    b.now = mono_add(b.now, span_s(301));
    answer(&b, 200, 3);
    front(&b, 4);
    expect(&b, "ack#3 front [asking] post@0 [sending]"); /* … and goes back after a while */
    buf_free(&b.trace);
}

static void test_backs_off(void **state)
{
    struct span longest = {0};
    struct bench b;

    (void)state;
    begin(&b, 2);
    changed(&b);
    for (int i = 0; i < 200; i++) {
        front(&b, 1);
        silence(&b);
        front(&b, 1);
        buf_clear(&b.trace);
        silence(&b);
        expect(&b, "complain timer [waiting]");
        assert_true(b.timer.ns > 0 && b.timer.ns <= span_s(60).ns);
        if (!i)
            assert_true(b.timer.ns <= span_s(1).ns);
        if (b.timer.ns > longest.ns)
            longest = b.timer;
        later(&b);
    }
    assert_true(longest.ns > span_s(50).ns);
    buf_free(&b.trace);
}

static void test_retry_after_is_kept(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, 1);
    changed(&b);
    front(&b, 1);
    buf_clear(&b.trace);
    b.answer = (struct wire_answer){.status = 429};
    feed(&b, &(struct ship_event){
                 .type = SHIP_EV_ANSWER, .ok = true, .ours = true, .status = 429, .retry_after = span_s(20)});
    expect(&b, "complain timer [waiting]");
    assert_true(b.timer.ns >= span_s(20).ns && b.timer.ns <= span_s(30).ns);
    later(&b);
    front(&b, 1);
    expect(&b, "front [asking] post@0 [sending]");
    buf_free(&b.trace);
    begin(&b, 2);
    changed(&b);
    front(&b, 1);
    buf_clear(&b.trace);
    feed(&b, &(struct ship_event){
                 .type = SHIP_EV_ANSWER, .ok = true, .ours = true, .status = 503, .retry_after = span_s(20)});
    front(&b, 1);
    expect(&b, "complain front [asking] post@1 [sending]"); /* the other may take it */
    silence(&b);
    b.now = mono_add(b.now, span_s(1));
    front(&b, 1);
    silence(&b);
    front(&b, 1);
    buf_clear(&b.trace);
    buf_free(&b.trace);
}

/* Each status, once, from a batch on its way. */
static void test_table(void **state)
{
    static const struct {
        int status;
        bool ours;
        const char *trace;
    } rows[] = {
        {200, false, "complain timer [waiting]"}, {204, true, "complain timer [waiting]"},
        {302, true, "complain timer [waiting]"},  {400, true, "drop#1 front [asking]"},
        {400, false, "complain timer [waiting]"}, /* a proxy's */
        {401, true, "complain timer [waiting]"},  {403, true, "complain timer [waiting]"},
        {404, true, "drop#1 front [asking]"},     {404, false, "complain timer [waiting]"},
        {405, true, "drop#1 front [asking]"},     {409, true, "find [finding]"},
        {411, true, "drop#1 front [asking]"},     {413, true, "drop#1 front [asking]"},
        {413, false, "complain timer [waiting]"}, {415, true, "drop#1 front [asking]"},
        {418, true, "complain timer [waiting]"},  {422, true, "drop#1 front [asking]"},
        {429, true, "complain timer [waiting]"},  {500, true, "complain timer [waiting]"},
        {502, false, "complain timer [waiting]"}, {503, true, "complain timer [waiting]"},
    };
    struct bench b;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(&b, 1);
        changed(&b);
        front(&b, 1);
        buf_clear(&b.trace);
        b.answer = (struct wire_answer){.status = rows[i].status, .epoch = 1000, .seq = 1, .n_need = 1};
        feed(&b, &(struct ship_event){
                     .type = SHIP_EV_ANSWER, .ok = true, .ours = rows[i].ours, .status = rows[i].status});
        expect(&b, rows[i].trace);
        buf_free(&b.trace);
    }
    begin(&b, 1);
    changed(&b);
    front(&b, 1);
    buf_clear(&b.trace);
    answer(&b, 200, 7); /* to another batch */
    expect(&b, "complain timer [waiting]");
    buf_free(&b.trace);
}

static void test_another_spool(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, 1);
    changed(&b);
    front(&b, 1);
    buf_clear(&b.trace);
    b.answer = (struct wire_answer){.status = 410, .epoch = 9000};
    feed(&b, &(struct ship_event){.type = SHIP_EV_ANSWER, .ok = true, .ours = true, .status = 410});
    expect(&b, "move>9001 [moving]");
    feed(&b, &(struct ship_event){.type = SHIP_EV_MOVED});
    feed(&b, &(struct ship_event){.type = SHIP_EV_TIMER});
    front(&b, 1);
    b.answer = (struct wire_answer){.status = 410, .epoch = 2};
    feed(&b, &(struct ship_event){.type = SHIP_EV_ANSWER, .ok = true, .ours = true, .status = 410});
    feed(&b, &(struct ship_event){.type = SHIP_EV_MOVED, .ok = true});
    expect(&b, "timer [waiting] front [asking] post@0 [sending] move>5000 [moving] front [asking]");
    front(&b, 1);
    buf_clear(&b.trace);
    b.acked_epoch = 1000; /* something of this epoch was acknowledged: a copy */
    feed(&b, &(struct ship_event){.type = SHIP_EV_ANSWER, .ok = true, .ours = true, .status = 410});
    changed(&b);
    feed(&b, &(struct ship_event){.type = SHIP_EV_TIMER});
    expect(&b, "complain [stopped] [stopped] [stopped]");
    buf_free(&b.trace);
}

/* A certificate that is refused is told from a network that is away. */
static void test_failures_by_reason(void **state)
{
    static const char *const why[] = {"connect", "certificate", "tls", "dns", "certificate", "of tomorrow"};
    struct bench b;

    (void)state;
    begin(&b, 1);
    changed(&b);
    for (size_t i = 0; i < sizeof why / sizeof *why; i++) {
        front(&b, 1);
        feed(&b, &(struct ship_event){.type = SHIP_EV_ANSWER, .why = why[i]});
        later(&b);
    }
    front(&b, 1);
    feed(&b, &(struct ship_event){.type = SHIP_EV_ANSWER, .ok = true, .status = 200});
    assert_int_equal(b.s.stats.failures[SHIP_FAIL_CONNECT], 1);
    assert_int_equal(b.s.stats.failures[SHIP_FAIL_CERTIFICATE], 2);
    assert_int_equal(b.s.stats.failures[SHIP_FAIL_TLS], 1);
    assert_int_equal(b.s.stats.failures[SHIP_FAIL_DNS], 1);
    assert_int_equal(b.s.stats.failures[SHIP_FAIL_PROTOCOL], 1);
    assert_int_equal(b.s.stats.failures[SHIP_FAIL_STRANGER], 1);
    assert_int_equal(shipper_failures(&b.s), 7);
    buf_free(&b.trace);
}

/* A spool that cannot be read is asked again after a pause, and loses nothing for it. */
static void test_spool_unreadable(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, 1);
    changed(&b);
    feed(&b, &(struct ship_event){.type = SHIP_EV_FRONT, .failed = true});
    changed(&b);
    assert_true(b.timer.ns > 0);
    later(&b);
    front(&b, 1);
    answer(&b, 409, 1);
    feed(&b, &(struct ship_event){.type = SHIP_EV_BODY, .failed = true});
    later(&b);
    front(&b, 1);
    expect(&b, "front [asking] complain timer [waiting] [waiting] front [asking] post@0 [sending] recovered "
               "find [finding] "
               "complain timer [waiting] front [asking] post@0 [sending]");
    buf_free(&b.trace);
}

/* A spool begun while the clock was years ahead, once it is right: all moves to the present. While
 * it is still wrong, or when something of the epoch was taken once, it is what the table says. */
static void test_epoch_ahead(void **state)
{
    static const struct {
        uint64_t epoch, acked;
        const char *trace;
    } rows[] = {{9000, 0, "move>5000 [moving] front [asking]"},
                {4000, 0, "drop#1 front [asking] [asking]"},
                {9000, 9000, "drop#1 front [asking] [asking]"}};
    struct bench b;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(&b, 1);
        changed(&b);
        b.acked_epoch = rows[i].acked;
        feed(&b, &(struct ship_event){
                     .type = SHIP_EV_FRONT, .ok = true, .item = {.epoch = rows[i].epoch, .seq = 1}});
        buf_clear(&b.trace);
        b.answer = (struct wire_answer){.status = 422, .reason = WIRE_EPOCH};
        feed(&b, &(struct ship_event){.type = SHIP_EV_ANSWER, .ok = true, .ours = true, .status = 422});
        feed(&b, &(struct ship_event){.type = SHIP_EV_MOVED, .ok = true});
        expect(&b, rows[i].trace);
        buf_free(&b.trace);
    }
}

/* Whatever comes, in whatever order: at most one request out, and with a good endpoint everything arrives. */
static void test_any_order(void **state)
{
    static const int statuses[] = {200, 200, 200, 400, 401, 409, 410, 422, 429, 503, 500, 200};
    struct bench b;
    struct rng r;
    uint64_t seq = 1;

    (void)state;
    rng_seed(&r, 11);
    begin(&b, 3);
    for (int i = 0; i < 20000; i++) {
        enum ship_state was = b.s.state;
        struct ship_event e = {.type = (enum ship_event_type)rng_below(&r, 6),
                               .ok = rng_below(&r, 4) != 0,
                               .ours = rng_below(&r, 4) != 0,
                               .status = statuses[rng_below(&r, 12)],
                               .retry_after = span_s((int64_t)rng_below(&r, 3)),
                               .item = {.epoch = 1000, .seq = seq},
                               .found = (uint32_t)rng_below(&r, 3)};

        b.answer = (struct wire_answer){.status = e.status, .epoch = 1000, .seq = seq, .n_need = 1};
        b.now = mono_add(b.now, span_ms(500));
        buf_clear(&b.trace);
        feed(&b, &e);
        if (strstr(buf_text(&b.trace), "post@"))
            assert_true(was == SHIP_ASKING || was == SHIP_DEFINING);
        if (strstr(buf_text(&b.trace), "ack#") || strstr(buf_text(&b.trace), "drop#"))
            seq++;
        assert_true(b.s.state < SHIP_STATES && b.s.endpoint < 3);
    }
    assert_true(seq > 100);
    buf_free(&b.trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivers_in_order),     cmocka_unit_test(test_definitions_first),
        cmocka_unit_test(test_failover_and_failback), cmocka_unit_test(test_backs_off),
        cmocka_unit_test(test_retry_after_is_kept),   cmocka_unit_test(test_table),
        cmocka_unit_test(test_another_spool),         cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_spool_unreadable),      cmocka_unit_test(test_epoch_ahead),
        cmocka_unit_test(test_failures_by_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
