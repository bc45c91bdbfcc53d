/* The HTTP server and client against each other and against raw bytes, in one loop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/netloop.h"

struct world {
    struct loop *loop;
    struct http_server *server;
    struct http_client *client;
    struct workers *workers;
    struct answer answer;
    struct timer *timer;
    struct http_exchange *held;
    struct http_call *call;
    unsigned handled, released;
    char url[128];
    size_t big;
    char *blob;
};

static void release_blob(void *arg)
{
    struct world *w = arg;

    w->released++;
}

static void on_later(void *arg)
{
    struct world *w = arg;
    struct http_exchange *x = w->held;

    w->held = NULL;
    http_answer(x, 200, "text/plain", NULL, 0, "late", 4);
}

/* /echo tells what came; /big answers with a lot; /later
 * answers from a timer; /hold is answered by the test. */
static void handle(void *arg, struct http_exchange *x)
{
    struct world *w = arg;
    struct bytes body = http_body(x);
    struct http_header extra[] = {{"Retry-After", "7"}, {"X-Split", "a\r\nX-Evil: 1"}};
    char text[2048];
    int n;

    w->handled++;
    if (strcmp(http_path(x), "/big") == 0) {
        http_answer_taking(x, 200, "text/plain", NULL, 0, w->blob, w->big, release_blob, w);
    } else if (strcmp(http_path(x), "/later") == 0) {
        w->held = x;
        timer_set(w->timer, span_ms(5));
    } else if (strcmp(http_path(x), "/hold") == 0) {
        w->held = x;
        loop_stop(w->loop);
    } else if (strcmp(http_path(x), "/none") == 0) {
        http_answer(x, 204, NULL, NULL, 0, NULL, 0);
    } else {
        n = snprintf(text, sizeof(text), "%s %s ?%s refusal=%d len=%zu [%.*s]", http_method(x), http_path(x),
                     http_query(x), (int)http_refusal(x), body.n, (int)(body.n < 1000 ? body.n : 1000),
                     body.n ? (const char *)body.p : "");
        http_answer(x, http_refusal(x) ? 413 : 200, "application/x-test", extra, 2, text, (size_t)n);
    }
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    *state = w;
    w->loop = loop_new(NULL);
    w->answer.loop = w->loop;
    w->timer = timer_new(w->loop, on_later, w);
    w->workers = workers_new(w->loop, 8, NULL);
    w->client = http_client_new(w->loop, &(struct http_client_params){.max_connections = 4}, NULL);
    w->big = 8 << 20;
    w->blob = calloc(1, w->big);
    memset(w->blob, 'b', w->big);
    return w->client ? 0 : -1;
}

static void serve(struct world *w, struct http_server_params p)
{
    struct err e = {0};

    p.listen = p.listen ? p.listen : "127.0.0.1:0";
    w->server = http_server_new(w->loop, &p, handle, w, &e);
    if (!w->server)
        fail_msg("%s", e.text);
    snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u", http_server_port(w->server));
}

static int teardown(void **state)
{
    struct world *w = *state;

    http_client_free(&w->client);
    http_server_free(&w->server);
    workers_free(&w->workers);
    timer_free(&w->timer);
    loop_free(&w->loop);
    free(w->blob);
    free(w);
    return 0;
}

static void ask(struct world *w, const char *method, const char *path, const char *body,
                struct http_request r)
{
    char url[512];
    struct err e = {0};

    snprintf(url, sizeof(url), "%s%s", w->url, path);
    r.method = method;
    r.url = url;
    if (body) {
        r.body = body;
        r.body_len = strlen(body);
    }
    w->answer.calls = 0;
    w->call = http_client_send(w->client, &r, answer_keep, &w->answer, &e);
    if (!w->call)
        fail_msg("%s", e.text);
    assert_int_equal(w->answer.calls, 0);
    loop_run(w->loop);
}

static struct raw *talk(struct world *w, struct raw *r)
{
    r->port = http_server_port(w->server);
    raw_talk(w->workers, w->loop, r);
    return r;
}

static void a_request_and_its_answer(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    ask(w, "POST", "/echo?a=1", "hello", (struct http_request){.collect_headers = true});
    assert_int_equal(w->answer.r.code, 0);
    assert_int_equal(w->answer.r.status, 200);
    assert_string_equal(w->answer.body, "POST /echo ?a=1 refusal=0 len=5 [hello]");
    assert_string_equal(w->answer.type, "application/x-test");
    assert_string_equal(w->answer.retry_after, "7");
    assert_null(strstr(w->answer.headers, "Evil"));
    assert_non_null(strstr(w->answer.headers, "\r\nDate: "));
    assert_true(w->answer.r.sent);
    assert_true(w->answer.r.times.total.ns >= w->answer.r.times.first_byte.ns);
    assert_true(w->answer.r.times.first_byte.ns >= w->answer.r.times.connect.ns);
    assert_true(w->answer.r.times.tls.ns < 0);
    assert_memory_equal(w->answer.r.remote, "127.0.0.1:", 10);
}

static void connections_are_kept(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    for (int i = 0; i < 5; i++)
        ask(w, "POST", "/echo", "x", (struct http_request){.idempotent = true});
    assert_int_equal(http_server_stats(w->server).accepted, 1);
    ask(w, "POST", "/echo", "x", (struct http_request){0});
    assert_int_equal(http_server_stats(w->server).accepted, 2);
    ask(w, "GET", "/echo", NULL, (struct http_request){.fresh = true});
    assert_int_equal(http_server_stats(w->server).accepted, 3);
    assert_int_equal(http_server_stats(w->server).requests, 7);
}

static void methods_and_statuses(void **state)
{
    static const char *const methods[] = {"GET", "PUT", "DELETE", "PATCH", "BREW"};
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    for (size_t i = 0; i < 5; i++) {
        ask(w, methods[i], "/echo", NULL, (struct http_request){0});
        assert_memory_equal(w->answer.body, methods[i], strlen(methods[i]));
    }
    ask(w, "HEAD", "/echo", NULL, (struct http_request){0});
    assert_int_equal(w->answer.r.status, 200);
    assert_string_equal(w->answer.body, "");
    ask(w, "GET", "/none", NULL, (struct http_request){0});
    assert_int_equal(w->answer.r.status, 204);
    ask(w, "PUT", "/echo", "abc", (struct http_request){0});
    assert_string_equal(w->answer.body, "PUT /echo ? refusal=0 len=3 [abc]");
}

static void an_answer_may_come_later(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    ask(w, "GET", "/later", NULL, (struct http_request){0});
    assert_string_equal(w->answer.body, "late");
}

static void large_answers_are_not_copied_and_are_capped(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    ask(w, "GET", "/big", NULL, (struct http_request){.max_answer = 16 << 20});
    assert_int_equal(w->answer.r.body.n, w->big);
    assert_int_equal(w->released, 1);
    ask(w, "GET", "/big", NULL, (struct http_request){.max_answer = 1000});
    assert_int_equal(w->answer.r.code, ERR_LIMIT);
    assert_string_equal(w->answer.r.reason, "too_large");
    ask(w, "GET", "/later", NULL, (struct http_request){0}); /* time for the server to notice */
    assert_int_equal(w->released, 2);
}

static void a_server_that_closed_meanwhile_is_asked_again(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){.idle_timeout = span_ms(20)});
    for (int i = 0; i < 3; i++) {
        ask(w, "POST", "/echo", "x", (struct http_request){.idempotent = true});
        assert_int_equal(w->answer.r.code, 0);
        usleep(30000); /* its timer is due now: it closes as the next call arrives */
    }
    assert_int_equal(w->answer.r.status, 200);
}

static void failures_have_reasons(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    serve(w, (struct http_server_params){0});
    ask(w, "GET", "/hold", NULL, (struct http_request){.timeout = span_ms(500)});
    assert_non_null(w->held); /* the handler has stopped the loop */
    loop_run(w->loop);
    assert_int_equal(w->answer.r.code, ERR_TIMEOUT);
    assert_string_equal(w->answer.r.reason, "timeout");
    assert_true(w->answer.r.sent);
    http_answer(w->held, 200, NULL, NULL, 0, "x", 1); /* nobody is there any more */
    http_server_free(&w->server);
    ask(w, "GET", "/", NULL, (struct http_request){0});
    assert_int_equal(w->answer.r.code, ERR_IO);
    assert_string_equal(w->answer.r.reason, "connect");
    assert_false(w->answer.r.sent);
    snprintf(w->url, sizeof(w->url), "http://nowhere.invalid");
    ask(w, "GET", "/", NULL, (struct http_request){.timeout = span_s(20)});
    assert_int_equal(w->answer.r.code, ERR_NOTFOUND);
    assert_string_equal(w->answer.r.reason, "dns");
    assert_null(http_client_send(w->client,
                                 &(struct http_request){.method = "GET",
                                                        .url = "http://x/",
                                                        .headers = &(struct http_header){"A", "b\r\nC: d"},
                                                        .n_headers = 1},
                                 answer_keep, &w->answer, &e));
    assert_int_equal(e.code, ERR_MALFORMED);
    assert_null(http_client_new(w->loop, &(struct http_client_params){.ca = "absent.pem"}, &e));
    assert_int_equal(e.code, ERR_IO);
    ask(w, "GET", "/", NULL, (struct http_request){.unix_socket = "absent.sock"});
    assert_string_equal(w->answer.r.reason, "connect");
}

static void a_cancelled_call_is_silent(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    ask(w, "GET", "/hold", NULL, (struct http_request){0});
    http_call_cancel(&w->call);
    assert_null(w->call);
    http_answer(w->held, 200, NULL, NULL, 0, NULL, 0);
    ask(w, "GET", "/later", NULL, (struct http_request){0});
    assert_int_equal(w->answer.calls, 1);
}

static void reloading_lets_calls_finish(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    ask(w, "GET", "/hold", NULL, (struct http_request){0});
    assert_int_equal(http_client_reload(w->client, &(struct http_client_params){0}, NULL), 0);
    assert_int_equal(http_client_reload(w->client, &(struct http_client_params){.ca = "absent"}, NULL),
                     ERR_IO);
    http_answer(w->held, 200, NULL, NULL, 0, "ok", 2);
    loop_run(w->loop);
    assert_string_equal(w->answer.body, "ok");
    ask(w, "GET", "/echo", NULL, (struct http_request){0});
    assert_int_equal(http_server_stats(w->server).accepted, 2);
}

static void an_exchange_outlives_its_server(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    ask(w, "POST", "/hold?q=1", "body", (struct http_request){0});
    http_server_free(&w->server);
    assert_string_equal(http_path(w->held), "/hold");
    assert_int_equal(http_body(w->held).n, 4);
    assert_false(http_identity(w->held)->verified);
    http_answer_taking(w->held, 200, NULL, NULL, 0, "ok", 2, release_blob, w);
    assert_int_equal(w->released, 1);
    loop_run(w->loop);
    assert_int_equal(w->answer.r.code, ERR_IO);
    assert_string_equal(w->answer.r.reason, "receive");
    assert_true(w->answer.r.sent);
}

static void freeing_the_client_ends_its_calls(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    ask(w, "GET", "/hold", NULL, (struct http_request){0});
    http_client_free(&w->client);
    http_answer(w->held, 200, NULL, NULL, 0, "ok", 2);
    timer_set(w->timer, span_ms(1));
    assert_int_equal(w->answer.calls, 0);
    w->client = http_client_new(w->loop, &(struct http_client_params){0}, NULL);
    timer_stop(w->timer);
    ask(w, "GET", "/echo", NULL, (struct http_request){0});
    assert_int_equal(w->answer.calls, 1);
}

/* ---- bodies that are refused ---- */

static void too_large_is_answered_without_reading_it(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n",
                    .flood = 60000};

    serve(w, (struct http_server_params){.max_body = 1000});
    talk(w, &r);
    assert_memory_equal(r.heard, "HTTP/1.1 413 Content Too Large\r\n", 32);
    assert_non_null(strstr(r.heard, "Connection: close\r\n"));
    assert_int_equal(w->handled, 0);
    assert_int_equal(http_server_stats(w->server).refused_body, 1);
    assert_int_equal(http_server_stats(w->server).buffered, 0);
    assert_true(r.closed);
}

static void the_handler_may_judge_refused_bodies(void **state)
{
    struct world *w = *state;
    struct raw large = {.say = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n"};
    struct raw chunked = {
        .say = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"};
    struct raw twice = {
        .say = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"};
    struct raw both = {.say = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
                              "chunked\r\n\r\n0\r\n\r\n"};

    serve(w, (struct http_server_params){.max_body = 1000, .judge_refused = true});
    assert_non_null(strstr(talk(w, &large)->heard, "refusal=1 len=0"));
    assert_non_null(strstr(large.heard, "Content-Type: application/x-test\r\n"));
    assert_non_null(strstr(talk(w, &chunked)->heard, "refusal=2 len=0"));
    assert_non_null(strstr(talk(w, &twice)->heard, "refusal=3 len=0"));
    assert_non_null(strstr(talk(w, &both)->heard, "refusal=3 len=0"));
    assert_int_equal(w->handled, 4);
}

static void a_client_that_is_still_sending_hears_the_413(void **state)
{
    struct world *w = *state;
    struct http_request r = {.method = "POST", .body = w->blob, .body_len = 2 << 20, .idempotent = true};

    serve(w, (struct http_server_params){.max_body = 1 << 20, .judge_refused = true});
    ask(w, "POST", "/echo", NULL, r);
    assert_int_equal(w->answer.r.code, 0);
    assert_int_equal(w->answer.r.status, 413);
    assert_string_equal(w->answer.type, "application/x-test");
}

static void chunked_bodies_are_decoded_where_wanted(void **state)
{
    struct world *w = *state;
    struct raw r = {
        .say = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: Chunked\r\n\r\n"
               "5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
        .piece = 1};
    struct raw large = {.say = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"};
    struct raw broken = {
        .say = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n"};

    serve(w, (struct http_server_params){.max_body = 1000, .chunked = true});
    assert_non_null(strstr(talk(w, &r)->heard, "len=11 [hello world]"));
    assert_memory_equal(talk(w, &large)->heard, "HTTP/1.1 413 ", 13);
    assert_memory_equal(talk(w, &broken)->heard, "HTTP/1.1 400 ", 13);
    assert_int_equal(w->handled, 1);
    assert_int_equal(http_server_stats(w->server).buffered, 0);
}

static void bodies_together_have_a_budget(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 600\r\n\r\n"};

    serve(w, (struct http_server_params){.max_body = 1000, .max_buffered = 1000});
    ask(w, "POST", "/hold", "1234567890", (struct http_request){0});
    assert_int_equal(http_server_stats(w->server).buffered, 10);
    http_answer(w->held, 200, NULL, NULL, 0, NULL, 0);
    loop_run(w->loop);
    assert_int_equal(http_server_stats(w->server).buffered, 0);
    w->blob[500] = 0;
    ask(w, "POST", "/hold", w->blob, (struct http_request){0});
    talk(w, &r);
    assert_memory_equal(r.heard, "HTTP/1.1 503 ", 13);
    http_answer(w->held, 200, NULL, NULL, 0, NULL, 0);
    loop_run(w->loop);
}

#define EXPECTING                                                                                            \
    "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: "        \
    "2\r\n\r\n"

static void expect_is_answered(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = EXPECTING "ok", .piece = sizeof(EXPECTING) - 1, .pause_ms = 50};
    struct raw refused = {
        .say = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"};
    struct raw strange = {.say =
                              "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 2\r\n\r\nok"};

    serve(w, (struct http_server_params){0});
    talk(w, &r);
    assert_memory_equal(r.heard, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", 42);
    assert_memory_equal(talk(w, &refused)->heard, "HTTP/1.1 413 ", 13);
    assert_memory_equal(talk(w, &strange)->heard, "HTTP/1.1 417 ", 13);
}

/* ---- peers that misbehave ---- */

static void malformed_heads_are_refused(void **state)
{
    static const struct {
        const char *say;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: a\n\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"\x16\x03\x01\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x10\r\n\r\n", 400},
    };
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raw r = {.say = cases[i].say};
        char want[32];

        snprintf(want, sizeof(want), "HTTP/1.1 %d ", cases[i].status);
        talk(w, &r);
        if (strncmp(r.heard, want, 13) != 0)
            fail_msg("case %zu: %.40s", i, r.heard);
    }
    assert_int_equal(w->handled, 0);
    assert_int_equal(http_server_stats(w->server).malformed, 10);
}

static void heads_have_a_cap(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "GET / HTTP/1.1\r\nHost: x\r\nA: ", .flood = 100000};

    serve(w, (struct http_server_params){.max_header = 4096});
    talk(w, &r);
    assert_memory_equal(r.heard, "HTTP/1.1 431 ", 13);
    assert_true(http_server_stats(w->server).bytes_in <= 4096);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "GET /later HTTP/1.1\r\nHost: x\r\n\r\nPOST /echo HTTP/1.1\r\nHost: "
                           "x\r\nContent-Length: 3\r\n\r\nabc"
                           "\r\nGET /echo?2 HTTP/1.0\r\n\r\n"};
    char *first, *second, *third;

    serve(w, (struct http_server_params){0});
    talk(w, &r);
    first = strstr(r.heard, "late");
    second = strstr(r.heard, "len=3 [abc]");
    third = strstr(r.heard, "GET /echo ?2");
    assert_true(first && second && third && first < second && second < third);
    assert_int_equal(http_server_stats(w->server).requests, 3);
}

static void a_peer_that_shut_its_side_still_gets_its_answer(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", .half_close = true};

    serve(w, (struct http_server_params){0});
    assert_non_null(strstr(talk(w, &r)->heard, "late"));
}

static void slow_senders_are_cut_off(void **state)
{
    struct world *w = *state;
    struct raw head = {.say =
                           "GET / HTTP/1.1\r\nHost: x\r\nA: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                       .piece = 1,
                       .pause_ms = 20};
    struct raw body = {.say =
                           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\naaaaaaaaaaaaaaaaaaaaa",
                       .piece = 48,
                       .pause_ms = 20};
    struct raw silent = {.say = ""};

    serve(w, (struct http_server_params){.request_timeout = span_ms(600)});
    assert_true(talk(w, &head)->closed);
    assert_true(talk(w, &body)->closed);
    assert_true(talk(w, &silent)->closed);
    assert_int_equal(http_server_stats(w->server).timed_out, 2);
    assert_int_equal(http_server_stats(w->server).connections, 0);
    assert_int_equal(w->handled, 0);
}

static void slow_readers_are_cut_off(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", .slow_reader = true};

    serve(w, (struct http_server_params){.answer_timeout = span_ms(200)});
    talk(w, &r);
    assert_int_equal(http_server_stats(w->server).timed_out, 1);
    assert_int_equal(w->released, 1);
    assert_true(r.n < w->big);
}

static void idle_connections_end(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"};

    serve(w, (struct http_server_params){.idle_timeout = span_ms(50)});
    talk(w, &r);
    assert_true(r.closed && !r.reset);
    assert_int_equal(http_server_stats(w->server).timed_out, 0);
}

static void the_budget_of_connections_holds(void **state)
{
    struct world *w = *state;
    int fd[6];
    struct raw r;
    struct http_server_stats st;

    serve(w, (struct http_server_params){.max_connections = 3});
    r = (struct raw){.port = http_server_port(w->server)};
    for (int i = 0; i < 6; i++)
        fd[i] = raw_connect(&r);
    ask(w, "GET", "/echo", NULL, (struct http_request){0});
    assert_int_equal(w->answer.r.status, 200); /* silent ones have made room */
    st = http_server_stats(w->server);
    assert_true(st.connections <= 3);
    assert_true(st.evicted >= 4);
    for (int i = 0; i < 6; i++)
        close(fd[i]);
}

/* Each has begun a head that never ends. */
static void begun_heads_make_room(void **state)
{
    struct world *w = *state;
    struct raw r;
    int fd[6];

    serve(w, (struct http_server_params){.max_connections = 3});
    r = (struct raw){.port = http_server_port(w->server)};
    for (int i = 0; i < 6; i++) {
        fd[i] = raw_connect(&r);
        assert_int_equal(write(fd[i], "GET /", 5), 5);
    }
    ask(w, "GET", "/echo", NULL, (struct http_request){0});
    assert_int_equal(w->answer.r.status, 200);
    assert_true(http_server_stats(w->server).connections <= 3);
    assert_true(http_server_stats(w->server).evicted >= 4);
    assert_int_equal(http_server_stats(w->server).timed_out, 0);
    for (int i = 0; i < 6; i++)
        close(fd[i]);
}

/* A connection that has been served is idle for longer than any of a
 * flood of strangers, who have to make room for each other. */
static void strangers_do_not_drive_out_the_known(void **state)
{
    struct world *w = *state;
    struct raw r;
    int fd[40];

    serve(w, (struct http_server_params){.max_connections = 16});
    r = (struct raw){.port = http_server_port(w->server)};
    ask(w, "GET", "/echo", NULL, (struct http_request){0});
    for (int i = 0; i < 40; i++)
        fd[i] = raw_connect(&r);
    ask(w, "GET", "/echo", NULL, (struct http_request){.fresh = true});
    assert_int_equal(w->answer.r.status, 200);
    assert_int_equal(http_server_stats(w->server).accepted, 42);
    ask(w, "GET", "/echo", NULL, (struct http_request){0});
    assert_int_equal(w->answer.r.status, 200);
    assert_int_equal(http_server_stats(w->server).accepted, 42);
    for (int i = 0; i < 40; i++)
        close(fd[i]);
}

static bool wants_all_but_one(void *arg, const struct http_exchange *x)
{
    (void)arg;
    return strcmp(http_path(x), "/refused") != 0;
}

static void unwanted_bodies_are_not_read(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"};

    serve(w, (struct http_server_params){
                 .max_body = 1000, .max_buffered = 1000, .judge_refused = true, .wanted = wants_all_but_one});
    assert_non_null(strstr(talk(w, &r)->heard, "refusal=5 len=0"));
    assert_int_equal(w->handled, 1);
    assert_int_equal(http_server_stats(w->server).buffered, 0);
    ask(w, "POST", "/echo", "hello", (struct http_request){0});
    assert_int_equal(w->answer.r.status, 200);
}

static void a_full_house_pauses_and_goes_on(void **state)
{
    struct world *w = *state;
    struct answer other = {.loop = w->loop};
    struct http_request r = {.method = "GET", .url = w->url, .fresh = true};

    serve(w, (struct http_server_params){.max_connections = 1});
    ask(w, "GET", "/hold", NULL, (struct http_request){.fresh = true});
    assert_int_equal(http_server_stats(w->server).refused_budget, 1);
    assert_non_null(http_client_send(w->client, &r, answer_keep, &other, NULL));
    http_answer(w->held, 200, NULL, NULL, 0, "1", 1);
    loop_run(w->loop);
    if (!other.calls)
        loop_run(w->loop);
    assert_int_equal(other.r.status, 200);
    assert_string_equal(w->answer.body, "1");
}

static void one_address_may_have_so_many(void **state)
{
    struct world *w = *state;
    struct raw r = {.say = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"};
    int fd;

    serve(w, (struct http_server_params){.max_per_address = 1});
    fd = raw_connect(&(struct raw){.port = http_server_port(w->server)});
    talk(w, &r);
    assert_true(r.closed);
    assert_int_equal(r.n, 0);
    assert_int_equal(http_server_stats(w->server).refused_address, 1);
    close(fd);
}

static void draining_answers_what_is_under_way(void **state)
{
    struct world *w = *state;

    serve(w, (struct http_server_params){0});
    ask(w, "GET", "/hold", NULL, (struct http_request){.collect_headers = true});
    http_server_drain(w->server);
    http_answer(w->held, 200, NULL, NULL, 0, "bye", 3);
    loop_run(w->loop);
    assert_string_equal(w->answer.body, "bye");
    assert_non_null(strstr(w->answer.headers, "Connection: close"));
    ask(w, "GET", "/echo", NULL, (struct http_request){.timeout = span_ms(100), .fresh = true});
    assert_int_not_equal(w->answer.r.code, 0);
}

static void unix_sockets_know_their_peer(void **state)
{
    struct world *w = *state;
    struct stat st;
    uid_t uid = 99999;
    gid_t gid;
    pid_t pid = 0;
    struct http_server *second;
    struct err e = {0};

    serve(w, (struct http_server_params){.listen = "unix:s.sock", .unix_mode = 0600});
    assert_int_equal(stat("s.sock", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(w->url, sizeof(w->url), "http://localhost");
    ask(w, "GET", "/hold", NULL, (struct http_request){.unix_socket = "s.sock"});
    assert_true(http_peer_cred(w->held, &uid, &gid, &pid));
    assert_int_equal(uid, getuid());
    assert_int_equal(pid, getpid());
    assert_string_equal(http_peer_address(w->held), "unix");
    http_answer(w->held, 200, NULL, NULL, 0, "u", 1);
    loop_run(w->loop);
    assert_string_equal(w->answer.body, "u");
    second = http_server_new(w->loop, &(struct http_server_params){.listen = "unix:s.sock"}, handle, w, &e);
    assert_null(second);
    assert_int_equal(e.code, ERR_EXISTS);
    http_server_free(&w->server);
    assert_int_not_equal(stat("s.sock", &st), 0);
}

static void a_dead_sockets_file_is_replaced(void **state)
{
    struct world *w = *state;
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "dead.sock"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
    serve(w, (struct http_server_params){.listen = "unix:dead.sock"});
    snprintf(w->url, sizeof(w->url), "http://localhost");
    ask(w, "GET", "/echo", NULL, (struct http_request){.unix_socket = "dead.sock"});
    assert_int_equal(w->answer.r.status, 200);
}

static void bad_addresses_are_errors(void **state)
{
    static const char *const bad[] = {"127.0.0.1", "127.0.0.1:", "[::1:80", "127.0.0.1:x", "192.0.2.1:80"};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};

        assert_null(http_server_new(w->loop, &(struct http_server_params){.listen = bad[i]}, handle, w, &e));
        assert_int_not_equal(e.code, 0);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_request_and_its_answer),
        T(connections_are_kept),
        T(methods_and_statuses),
        T(an_answer_may_come_later),
        T(large_answers_are_not_copied_and_are_capped),
        T(a_server_that_closed_meanwhile_is_asked_again),
        T(failures_have_reasons),
        T(a_cancelled_call_is_silent),
        T(reloading_lets_calls_finish),
        T(an_exchange_outlives_its_server),
        T(freeing_the_client_ends_its_calls),
        T(too_large_is_answered_without_reading_it),
        T(the_handler_may_judge_refused_bodies),
        T(a_client_that_is_still_sending_hears_the_413),
        T(chunked_bodies_are_decoded_where_wanted),
        T(bodies_together_have_a_budget),
        T(expect_is_answered),
        T(malformed_heads_are_refused),
        T(heads_have_a_cap),
        T(pipelined_requests_are_answered_in_order),
        T(a_peer_that_shut_its_side_still_gets_its_answer),
        T(slow_senders_are_cut_off),
        T(slow_readers_are_cut_off),
        T(idle_connections_end),
        T(the_budget_of_connections_holds),
        T(begun_heads_make_room),
        T(strangers_do_not_drive_out_the_known),
        T(unwanted_bodies_are_not_read),
        T(a_full_house_pauses_and_goes_on),
        T(one_address_may_have_so_many),
        T(draining_answers_what_is_under_way),
        T(unix_sockets_know_their_peer),
        T(a_dead_sockets_file_is_replaced),
        T(bad_addresses_are_errors),
    };
    signal(SIGPIPE, SIG_IGN); /* as both daemons do first of all: TLS writes with write(2) */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
