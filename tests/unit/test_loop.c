/* The event loop: timers, posts, deferred release, stalls, workers that are late. Nothing here asserts how
 * long something took, only what came before what. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/net/loop.h"

struct fixture {
    struct loop *loop;
    struct timer *timer, *other;
    char log[256];
    unsigned n, want;
    struct mono seen;
    pthread_mutex_t lock;
    pthread_cond_t open;
    bool released, ran;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->loop = loop_new(NULL);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->open, NULL);
    *state = f;
    return f->loop ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    timer_free(&f->timer);
    timer_free(&f->other);
    loop_free(&f->loop);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->open);
    free(f);
    return 0;
}

static void note(struct fixture *f, const char *what)
{
    size_t n = strlen(f->log);

    snprintf(f->log + n, sizeof(f->log) - n, "%s", what);
}

static void on_first(void *arg)
{
    note(arg, "a");
}

static void on_second(void *arg)
{
    struct fixture *f = arg;

    note(f, "b");
    loop_stop(f->loop);
}

static void timers_fire_in_the_order_of_their_times(void **state)
{
    struct fixture *f = *state;
    struct mono before = loop_mono(f->loop);

    f->timer = timer_new(f->loop, on_second, f);
    f->other = timer_new(f->loop, on_first, f);
    timer_set(f->timer, span_ms(20));
    timer_set(f->other, span_ms(5));
    assert_int_equal(loop_run(f->loop), 0);
    assert_string_equal(f->log, "ab");
    assert_true(mono_sub(clock_mono(), before).ns >= span_ms(20).ns);
}

static void on_early(void *arg)
{
    struct fixture *f = arg;
    struct mono now = loop_mono(f->loop);

    assert_true(mono_sub(now, f->seen).ns >= span_ms(3).ns);
    f->seen = now;
    if (++f->n == 20)
        loop_stop(f->loop);
    else
        timer_set(f->timer, span_ms(3));
}

static void a_timer_is_never_early(void **state)
{
    struct fixture *f = *state;

    f->timer = timer_new(f->loop, on_early, f);
    f->seen = loop_mono(f->loop);
    timer_set(f->timer, span_ms(3));
    loop_run(f->loop);
    assert_int_equal(f->n, 20);
}

static void on_busy(void *arg)
{
    struct fixture *f = arg;
    struct mono first = loop_mono(f->loop);

    while (mono_sub(clock_mono(), first).ns < span_ms(2).ns)
        ;
    assert_int_equal(loop_mono(f->loop).ns, first.ns);
    loop_stop(f->loop);
}

static void now_stands_still_within_a_turn(void **state)
{
    struct fixture *f = *state;

    f->timer = timer_new(f->loop, on_busy, f);
    timer_set(f->timer, span_ms(-5));
    loop_run(f->loop);
    assert_true(mono_before(loop_mono(f->loop), clock_mono()) || loop_mono(f->loop).ns > 0);
}

static void on_stopped(void *arg)
{
    (void)arg;
    fail_msg("a timer that was stopped has fired");
}

static void a_stopped_timer_does_not_fire(void **state)
{
    struct fixture *f = *state;

    f->other = timer_new(f->loop, on_stopped, f);
    f->timer = timer_new(f->loop, on_second, f);
    timer_set(f->other, span_ms(1));
    timer_set(f->timer, span_ms(10));
    timer_stop(f->other);
    loop_run(f->loop);
}

static void on_suicide(void *arg)
{
    struct fixture *f = arg;

    timer_free(&f->other);
    note(f, "x");
}

static void a_timer_may_free_itself(void **state)
{
    struct fixture *f = *state;

    f->other = timer_new(f->loop, on_suicide, f);
    f->timer = timer_new(f->loop, on_second, f);
    timer_set(f->other, span_ms(0));
    timer_set(f->timer, span_ms(5));
    loop_run(f->loop);
    assert_string_equal(f->log, "xb");
    assert_null(f->other);
}

static void on_released(void *arg)
{
    struct fixture *f = arg;

    note(f, "r");
    loop_stop(f->loop);
}

static void on_defer(void *arg)
{
    struct fixture *f = arg;

    loop_defer(f->loop, on_released, f);
    note(f, "d");
}

static void a_deferred_release_comes_with_the_next_turn(void **state)
{
    struct fixture *f = *state;

    f->timer = timer_new(f->loop, on_defer, f);
    timer_set(f->timer, span_ms(0));
    loop_run(f->loop);
    assert_string_equal(f->log, "dr");
}

static void stopping_before_running_is_kept(void **state)
{
    struct fixture *f = *state;

    loop_stop(f->loop);
    assert_int_equal(loop_run(f->loop), 0);
}

enum { POSTS = 2000 };

static void on_post(void *arg)
{
    struct fixture *f = arg;

    if (++f->n == f->want)
        loop_stop(f->loop);
}

static void *poster(void *arg)
{
    struct fixture *f = arg;

    for (int i = 0; i < POSTS; i++)
        assert_int_equal(loop_post(f->loop, on_post, f), 0);
    return NULL;
}

static void posts_of_many_threads_all_arrive(void **state)
{
    struct fixture *f = *state;
    pthread_t t[4];

    f->want = 4 * POSTS;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, poster, f), 0);
    loop_run(f->loop);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(f->n, f->want);
}

static void note_a(void *arg)
{
    note(arg, "a");
}

static void posts_keep_their_order(void **state)
{
    struct fixture *f = *state;

    loop_post(f->loop, note_a, f);
    loop_post(f->loop, note_a, f);
    loop_post(f->loop, on_second, f);
    loop_run(f->loop);
    assert_string_equal(f->log, "aab");
}

/* Among stalls of the machine's own, that which is meant is told by its length. */
static void on_watch(void *arg, const char *what, struct span by)
{
    struct fixture *f = arg;

    assert_true(by.ns > span_ms(60).ns);
    if (by.ns > span_ms(700).ns)
        note(f, what);
    f->n++;
}

static void on_sleep(void *arg)
{
    struct fixture *f = arg;

    usleep(1000000);
    timer_set(f->other, span_ms(150)); /* longer than a beat */
}

static void a_long_turn_is_a_stall_and_counted_once(void **state)
{
    struct fixture *f = *state;
    struct loop_stats st;

    loop_watch(f->loop, span_ms(60), on_watch, f);
    f->timer = timer_new(f->loop, on_sleep, f);
    f->other = timer_new(f->loop, on_second, f);
    timer_set(f->timer, span_ms(1));
    loop_run(f->loop);
    st = loop_stats_take(f->loop);
    assert_string_equal(f->log, "stallb");
    assert_int_equal(st.stalls, f->n);
    assert_int_equal(st.steps, 0);
    assert_true(st.worst_stall.ns >= span_ms(1000).ns);
    assert_int_equal(loop_stats_take(f->loop).worst_stall.ns, 0);
}

static void run_quick(void *arg)
{
    struct fixture *f = arg;

    f->ran = true;
}

static void done_quick(void *arg, bool late)
{
    struct fixture *f = arg;

    assert_false(late);
    note(f, f->ran ? "done" : "too soon");
    loop_stop(f->loop);
}

static void never_abandoned(void *arg)
{
    (void)arg;
    fail_msg("abandoned although it was in time");
}

static void a_worker_in_time_is_done(void **state)
{
    struct fixture *f = *state;
    struct workers *w = workers_new(f->loop, 1, NULL);
    struct err e = {0};

    assert_int_equal(workers_run(w, run_quick, done_quick, never_abandoned, f, span_s(60), &e), 0);
    assert_int_equal(workers_run(w, run_quick, done_quick, never_abandoned, f, span_s(60), &e), ERR_AGAIN);
    loop_run(f->loop);
    assert_string_equal(f->log, "done");
    assert_int_equal(workers_stuck(w), 0);
    f->ran = false;
    assert_int_equal(workers_run(w, run_quick, done_quick, never_abandoned, f, span_s(60), &e), 0);
    loop_run(f->loop);
    workers_free(&w);
    assert_null(w);
}

static void run_blocked(void *arg)
{
    struct fixture *f = arg;

    pthread_mutex_lock(&f->lock);
    while (!f->released)
        pthread_cond_wait(&f->open, &f->lock);
    f->ran = true;
    pthread_cond_broadcast(&f->open);
    pthread_mutex_unlock(&f->lock);
}

static void unblock(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->released = true;
    pthread_cond_broadcast(&f->open);
    pthread_mutex_unlock(&f->lock);
}

static void done_late(void *arg, bool late)
{
    struct fixture *f = arg;

    note(f, late ? "late " : "in time ");
    loop_stop(f->loop);
}

static void abandoned(void *arg)
{
    struct fixture *f = arg;

    note(f, "abandoned");
    loop_stop(f->loop);
}

static void a_late_worker_is_told_and_given_up_when_it_returns(void **state)
{
    struct fixture *f = *state;
    struct workers *w = workers_new(f->loop, 1, NULL);

    assert_int_equal(workers_run(w, run_blocked, done_late, abandoned, f, span_ms(10), NULL), 0);
    loop_run(f->loop);
    assert_string_equal(f->log, "late ");
    assert_int_equal(workers_stuck(w), 1);
    assert_int_equal(workers_run(w, run_quick, done_quick, NULL, f, span_s(1), NULL), ERR_AGAIN);
    unblock(f);
    loop_run(f->loop);
    assert_string_equal(f->log, "late abandoned");
    assert_int_equal(workers_stuck(w), 0);
    workers_free(&w);
}

static void wait_until_it_ran(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->ran)
        pthread_cond_wait(&f->open, &f->lock);
    pthread_mutex_unlock(&f->lock);
    usleep(20000); /* time for the thread to hand its job back: where, the sanitisers look at */
}

static void a_stuck_worker_outlives_its_pool(void **state)
{
    struct fixture *f = *state;
    struct workers *w = workers_new(f->loop, 1, NULL);

    workers_run(w, run_blocked, done_late, abandoned, f, span_ms(5), NULL);
    loop_run(f->loop);
    workers_free(&w);
    unblock(f);
    wait_until_it_ran(f);
    f->timer = timer_new(f->loop, on_second, f);
    timer_set(f->timer, span_ms(20));
    loop_run(f->loop);
    assert_string_equal(f->log, "late b");
}

static void a_stuck_worker_outlives_its_loop(void **state)
{
    struct fixture *f = *state;
    struct workers *w = workers_new(f->loop, 1, NULL);

    workers_run(w, run_blocked, done_late, abandoned, f, span_ms(5), NULL);
    loop_run(f->loop);
    workers_free(&w);
    loop_free(&f->loop);
    unblock(f);
    wait_until_it_ran(f);
    assert_string_equal(f->log, "late ");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(timers_fire_in_the_order_of_their_times),
        T(a_timer_is_never_early),
        T(now_stands_still_within_a_turn),
        T(a_stopped_timer_does_not_fire),
        T(a_timer_may_free_itself),
        T(a_deferred_release_comes_with_the_next_turn),
        T(stopping_before_running_is_kept),
        T(posts_of_many_threads_all_arrive),
        T(posts_keep_their_order),
        T(a_long_turn_is_a_stall_and_counted_once),
        T(a_worker_in_time_is_done),
        T(a_late_worker_is_told_and_given_up_when_it_returns),
        T(a_stuck_worker_outlives_its_pool),
        T(a_stuck_worker_outlives_its_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
