/* The runner: when collectors are due, kept files, rounds of
 * calls, and questions to a server that misbehaves by script. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/ask_io.h"
#include "agent/before.h"
#include "agent/calls_io.h"
#include "agent/files_io.h"
#include "agent/once.h"
#include "agent/pattern.h"
#include "agent/runner.h"
#include "agent/runner_plan.h"

/* ---- due or not ------------------------------------------------------------------------------ */

static bool due(struct plan *p, int64_t wall_ms, int64_t mono_ms)
{
    struct span since;

    return plan_due(p, (struct wall){wall_ms}, (struct mono){mono_ms * 1000000}, &since);
}

static void test_plan(void **state)
{
    struct plan p = {.interval = span_s(10), .timeout = span_ms(500)};

    (void)state;
    assert_true(due(&p, 100000, 0)); /* the first */
    for (int i = 1; i < 10; i++)
        assert_false(due(&p, 100000 + i * 1000, i * 1000));
    assert_true(due(&p, 110000, 10000));
    assert_int_equal(p.missed, 0);
    /* a stall over three slots: run once, two counted */
    assert_true(due(&p, 141000, 41000));
    assert_int_equal(p.missed, 2);
    assert_false(due(&p, 142000, 42000));
    assert_true(due(&p, 150000, 50000));
    assert_int_equal(p.missed, 2);
    /* the wall clock steps back an hour, and forward: nothing was missed */
    assert_true(due(&p, 150000 - 3600000 + 10000, 60000));
    assert_true(due(&p, 170000, 70000));
    assert_int_equal(p.missed, 2);
    assert_true(due(&p, -5000, 80000)); /* before 1970 */
    plan_finished(&p, true, span_ms(10));
    plan_finished(&p, false, span_ms(600));
    assert_int_equal(p.failures, 1);
    assert_int_equal(p.overruns, 1);
    assert_int_equal(plan_interval(span_s(10), span_s(3)).ns, span_s(12).ns);
    assert_int_equal(plan_interval(span_ns(0), span_s(3)).ns, span_s(3).ns);
    assert_int_equal(plan_interval(span_s(10), span_s(15)).ns, span_s(15).ns);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "x/y", true},
        {"sd?#", "sda1", true},
        {"sd?#", "sda", false},
        {"sd?#", "sda1x", false},
        {"sd?#", "sdA1", false},
        {"sd?#", "sda12", true},
        {"nvme#n#p#", "nvme0n1p15", true},
        {"nvme#n#p#", "nvme0n1", false},
        {"/dev/*", "/dev/", true},
        {"/dev/*", "/dev", false},
        {"*.service", "a.service", true},
        {"*a*b", "xaxaxb", true},
        {"*a*b", "xaxaxbx", false},
        {"a*", "ba", false},
        {"*#x", "a12x", true},
        {"**a", "bca", true},
    };
    struct before b = {0};
    int fresh;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (pattern_match(cases[i].pattern, text_of(cases[i].name)) != cases[i].match)
            fail_msg("%s on %s", cases[i].pattern, cases[i].name);
    /* values of the tick before, with devices that come and go */
    before_round(&b);
    for (int i = 0; i < 20; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "dev%d", i);
        before_get(&b, text_of(name), &fresh)->v[0] = (uint64_t)i;
        assert_true(fresh);
    }
    before_round(&b);
    assert_int_equal(before_get(&b, text_of("dev19"), &fresh)->v[0], 19);
    assert_false(fresh);
    assert_int_equal(before_get(&b, text_of("dev1"), &fresh)->v[0], 1);
    before_round(&b);
    before_round(&b);
    assert_int_equal(before_get(&b, text_of("dev1"), &fresh)->v[0], 0);
    assert_true(fresh);
    assert_null(before_get(&b, text_of("a name that is far too long for a device of any kind"), &fresh));
    assert_null(before_get(&b, text_of(""), &fresh));
    before_free(&b);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    (void)fclose(f);
}

static void test_files(void **state)
{
    struct mem mem = {0};
    struct files *f = files_new(".", &mem);
    int a = files_add(f, "a"), b = files_add(f, "b"), dir = files_add(f, "."), why = 0;
    struct bytes x;

    (void)state;
    assert_int_equal(files_add(f, "a"), a);
    write_file("a", "one\n");
    x = files_read(f, a, 1, &why);
    assert_int_equal(x.n, 4);
    write_file("a", "three\n");
    assert_int_equal(files_read(f, a, 1, &why).n, 4); /* read once in a generation */
    assert_int_equal(files_read(f, a, 2, &why).n, 6);
    assert_null(files_read(f, b, 2, &why).p);
    assert_int_equal(why, ENOENT);
    write_file("b", "");
    assert_null(files_read(f, b, 3, &why).p); /* looked for again later */
    x = files_read(f, b, 40, &why);
    assert_non_null(x.p);
    assert_int_equal(x.n, 0);
    assert_null(files_read(f, dir, 40, &why).p);
    assert_int_equal(why, EISDIR);
    assert_int_equal(truncate("b", FILE_MAX + 10), 0);
    assert_null(files_read(f, b, 41, &why).p);
    assert_int_equal(why, EFBIG);
    assert_int_equal(truncate("b", 100000), 0);
    assert_int_equal(files_read(f, b, 42, &why).n, 100000);
    files_free(&f);
    assert_int_equal(mem.used, 0);
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct rounds {
    struct loop *loop;
    struct timer *timer;
    struct calls *calls;
    unsigned done, left;
    int codes[8];
    uint64_t v[8];
};

static void on_round(void *arg, const struct call_job *jobs, const struct call_answer *answers, size_t n)
{
    struct rounds *r = arg;

    assert_non_null(jobs);
    for (size_t i = 0; i < n && i < 8; i++) {
        r->codes[i] = answers[i].code;
        r->v[i] = answers[i].v[0];
    }
    r->done++;
}

/* Turns until no round is out and nothing is stuck. */
static void on_rounds_timer(void *arg)
{
    struct rounds *r = arg;

    if (!calls_busy(r->calls) && !calls_stuck(r->calls))
        loop_stop(r->loop);
    else
        timer_set(r->timer, span_ms(1));
}

static void run_round(struct rounds *r, const char *const *keys, enum call_kind kind)
{
    size_t n = 0, max;
    struct call_job *jobs;

    while (keys[n])
        n++;
    jobs = calls_room(r->calls, n, &max);
    assert_non_null(jobs);
    for (size_t i = 0; i < n; i++) {
        jobs[i].kind = kind;
        (void)snprintf(jobs[i].key, sizeof jobs[i].key, "%s", keys[i]);
    }
    calls_begin(r->calls, n);
    timer_set(r->timer, span_ns(0));
    assert_int_equal(loop_run(r->loop), 0);
}

static void test_calls(void **state)
{
    static const char *const mounts[] = {"/", "/gone", "/file", "/", "/", "/", NULL};
    static const char *const numbers[] = {"speed", "minus", "words", "gone", "empty", NULL};
    struct err e = {0};
    struct rounds r = {.loop = loop_new(&e)};
    struct workers *w = workers_new(r.loop, 2, &e);
    struct calls_params p = {.workers = w, .root = ".", .timeout = span_s(20), .done = on_round, .arg = &r};

    (void)state;
    r.timer = timer_new(r.loop, on_rounds_timer, &r);
    r.calls = calls_new(&p);
    write_file("file", "");
    write_file("speed", "10000\n");
    write_file("minus", "-1\n");
    write_file("words", "1 2\n");
    write_file("empty", "");
    run_round(&r, mounts, CALL_STATVFS); /* two threads at most: the others are told to come again */
    assert_int_equal(r.done, 1);
    assert_int_equal(r.codes[0], 0);
    assert_true(r.v[0] > 0);
    assert_int_equal(r.codes[1], ENOENT);
    for (int i = 2; i < 6; i++)
        assert_true(r.codes[i] == 0 || r.codes[i] == EAGAIN);
    calls_free(&r.calls);
    workers_free(&w);

    p.workers = w = workers_new(r.loop, 16, &e);
    r.calls = calls_new(&p);
    run_round(&r, numbers, CALL_NUMBER);
    assert_int_equal(r.v[0], 10000);
    assert_int_equal((int64_t)r.v[1], -1);
    assert_int_equal(r.codes[2], EINVAL);
    assert_int_equal(r.codes[3], ENOENT);
    assert_int_equal(r.codes[4], EINVAL);
    calls_free(&r.calls);

    p.timeout = span_ns(0); /* late as a rule: each is answered once, and what comes back late is put away */
    r.calls = calls_new(&p);
    for (int i = 0; i < 20; i++)
        run_round(&r, mounts, CALL_STATVFS);
    assert_int_equal(r.done, 22);
    for (int i = 0; i < 6; i++)
        assert_true(r.codes[i] == 0 || r.codes[i] == ENOENT || r.codes[i] == ETIMEDOUT);
    for (int i = 0; i < 40;
         i++) { /* replaced while a round is out, and late or not: nothing is called back, or lost */
        struct calls *next = calls_new(&p);
        struct call_job *jobs;
        size_t max;

        jobs = calls_room(r.calls, 6, &max);
        for (size_t k = 0; k < 6; k++) {
            jobs[k].kind = CALL_STATVFS;
            (void)snprintf(jobs[k].key, sizeof jobs[k].key, "/%zu", k);
        }
        calls_begin(r.calls, 6);
        if (i % 2) {
            timer_set(r.timer, span_ns(0));
            assert_int_equal(loop_run(r.loop), 0);
        }
        calls_inherit(i % 3 ? next : NULL, r.calls, w);
        calls_free(&r.calls);
        r.calls = next;
        run_round(&r, mounts, CALL_STATVFS);
    }
    workers_free(&w);
    calls_free(&r.calls);
    timer_free(&r.timer);
    loop_free(&r.loop);
}

/* ---- questions to a scripted server ---------------------------------------------------------- */

/* Each letter is one question that comes in: A answer it; C close without a word; P
 * answer half and close; S stay silent until the other side has gone; X answer
 * something else. A closed connection is accepted anew for the next letter. */
struct server {
    int fd;
    const char *script;
    unsigned connections;
};

static const char reply[] = "$22\r\nuptime_in_seconds:77\r\n\r\n";

static void *serve(void *arg)
{
    struct server *s = arg;
    int c = -1;

    for (const char *p = s->script; *p;) {
        char text[512];

        if (c < 0) {
            c = accept(s->fd, NULL, NULL);
            s->connections++;
        }
        if (recv(c, text, sizeof text, 0) <= 0) {
            (void)close(c);
            c = -1;
            continue;
        }
        if (*p == 'A')
            (void)send(c, reply, sizeof reply - 1, MSG_NOSIGNAL);
        else if (*p == 'P')
            (void)send(c, reply, 9, MSG_NOSIGNAL);
        else if (*p == 'X')
            (void)send(c, "220 smtp\r\n", 10, MSG_NOSIGNAL);
        else if (*p == 'S')
            (void)recv(c, text, sizeof text, 0);
        if (*p != 'A') {
            (void)close(c);
            c = -1;
        }
        p++;
    }
    if (c >= 0)
        (void)close(c);
    return NULL;
}

struct asking {
    struct loop *loop;
    struct timer *timer;
    struct runner *runner;
    struct once *once;
    struct wall at;
    struct buf got; /* "1" up, "0" down for each question */
    unsigned questions;
    bool out;
};

static struct sink *ask_sink(void *arg, struct span interval, struct wall at, const struct wire_label *extra,
                             uint32_t n)
{
    struct asking *a = arg;

    assert_int_equal(interval.ns, span_s(10).ns);
    assert_int_equal(at.ms, a->at.ms);
    assert_int_equal(n, 1);
    once_extra(a->once, extra, n);
    return once_sink(a->once);
}

static void on_ask_timer(void *arg)
{
    struct asking *a = arg;
    struct err e = {0};
    struct buf page;

    if (!runner_idle(a->runner)) {
        timer_set(a->timer, span_ms(1));
        return;
    }
    if (a->out) {
        buf_init(&page, NULL, 1 << 20);
        assert_int_equal(once_render(a->once, ONCE_PROM, &page, &e), 0);
        buf_str(&a->got, strstr(buf_text(&page), "redis_up{server=\"main\"} 1\n")   ? "1"
                         : strstr(buf_text(&page), "redis_up{server=\"main\"} 0\n") ? "0"
                                                                                    : "?");
        buf_free(&page);
        once_clear(a->once);
        a->out = false;
    }
    if (!a->questions) {
        loop_stop(a->loop);
        return;
    }
    a->questions--;
    a->out = true;
    a->at.ms += 10000;
    runner_tick(a->runner, a->at, (struct mono){a->at.ms * 1000000});
    timer_set(a->timer, span_ms(1));
}

static int listen_at(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    (void)unlink(path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* Asks n times; what came of it as "1101", and how many connections it took. */
static void ask(const char *script, unsigned n, const char *want, unsigned connections)
{
    char folder[512], ini[1024];
    struct server s = {.script = script};
    struct asking a = {.questions = n, .at = {10000}};
    struct arena arena;
    struct section_row *rows;
    struct config *config;
    struct buf report;
    struct err e = {0};
    size_t n_rows;
    pthread_t thread;

    assert_non_null(getcwd(folder, sizeof folder));
    (void)snprintf(ini, sizeof ini, "[redis main]\naddress = unix:%s/s\ntimeout = %s\n", folder,
                   strchr(script, 'S') ? "2s" : "10s");
    write_file("ask.ini", ini);
    s.fd = listen_at("s");
    assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
    arena_init(&arena, NULL, 0);
    buf_init(&report, NULL, 1 << 20);
    buf_init(&a.got, NULL, 1000);
    rows = collector_sections(&arena, &n_rows);
    config = config_load("ask.ini", NULL, rows, n_rows, &report, &e);
    assert_non_null(config);
    a.loop = loop_new(&e);
    a.once = once_new(NULL);
    a.timer = timer_new(a.loop, on_ask_timer, &a);
    a.runner = runner_new(&(struct runner_params){.root = "",
                                                  .config = config,
                                                  .interval = span_s(1),
                                                  .only = "redis main",
                                                  .loop = a.loop,
                                                  .target = {ask_sink, &a}},
                          &e);
    assert_non_null(a.runner);
    timer_set(a.timer, span_ns(0));
    assert_int_equal(loop_run(a.loop), 0);
    assert_string_equal(buf_text(&a.got), want);
    timer_free(&a.timer);
    runner_free(&a.runner);
    once_free(&a.once);
    loop_free(&a.loop);
    config_free(&config);
    arena_free(&arena);
    buf_free(&report);
    buf_free(&a.got);
    (void)pthread_join(thread, NULL);
    assert_int_equal(s.connections, connections);
    (void)close(s.fd);
}

static void test_ask(void **state)
{
    (void)state;
    ask("AAA", 3, "111", 1); /* one kept connection */
    ask("ACA", 2, "11", 2);  /* closed while idle: asked again at once on a new one */
    ask("C", 1, "0", 1);     /* closed on a fresh connection: no second try */
    ask("APA", 3, "101", 2); /* half an answer */
    ask("ASA", 3, "101", 2); /* the deadline */
    ask("AXA", 3, "101", 2); /* not the protocol */
}

static void test_refusals(void **state)
{
    static const char *const bad[][2] = {
        {"[redis main]\npassword = file:/nowhere/at/all\n", "redis main"},
        {"[collector cpu]\ninterval = 1500ms\n", "cpu"},
        {"[collector cpu]\ntimeout = 1500ms\n", "cpu"},
        {"", "nothing"},
        {"", "redis"},
    };
    struct err e = {0};
    struct loop *loop = loop_new(&e);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena arena;
        struct section_row *rows;
        struct config *config;
        struct buf report;
        size_t n;

        arena_init(&arena, NULL, 0);
        buf_init(&report, NULL, 1 << 20);
        write_file("bad.ini", bad[i][0]);
        rows = collector_sections(&arena, &n);
        config = config_load("bad.ini", NULL, rows, n, &report, &e);
        assert_non_null(config);
        e = (struct err){0};
        if (strchr(bad[i][0], '5')) { /* told when the configuration is checked, with its line */
            assert_int_equal(collectors_check(config, span_s(1), &report, &e), ERR_CONFIG);
            assert_non_null(strstr(buf_text(&report), "bad.ini:2"));
        } else {
            assert_int_equal(collectors_check(config, span_s(1), &report, &e), 0);
        }
        /* a default timeout gives way to a shorter interval */
        assert_int_equal(collectors_check(config, span_ms(bad[i][0][0] ? 500 : 100), &report, &e),
                         strstr(bad[i][0], "timeout") ? ERR_CONFIG : 0);
        e = (struct err){0};
        assert_null(runner_new(
            &(struct runner_params){.config = config, .interval = span_s(1), .only = bad[i][1], .loop = loop},
            &e));
        assert_true(e.code < 0 && e.text[0]);
        config_free(&config);
        buf_free(&report);
        arena_free(&arena);
    }
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),  cmocka_unit_test(test_patterns), cmocka_unit_test(test_files),
        cmocka_unit_test(test_calls), cmocka_unit_test(test_ask),      cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
