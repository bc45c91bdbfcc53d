/* A watch on real sockets of this machine (watch.h): what it asks, what it votes, that a dead listener is seen. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "aggregator/watch.h"
#include "aggregator/watch_target.h"
#include "common/daemon/samples.h"
#include "common/net/http_server.h"
#include "tests/unit/certs.h"

enum { EAST, WEST, PATIENCE_MS = 60000 };

struct world {
    struct loop *loop;
    struct log *log;
    struct config *config;
    struct http_server *server;
    struct timer *turn;
    struct canaries *canaries;
    struct watch *watch;
    struct fo_settings set;
    struct fo_vote vote;
    int votes, tcp; /* tcp: a listener that takes connections by its backlog */
    unsigned tcp_port;
    int east, canary; /* status; 0: not answered */
    int asked, asked_canary;
    bool beats;
    int turns;
    bool (*until)(struct world *w);
    struct err e;
};

/* ---- what is asked ---- */

static void handle(void *arg, struct http_exchange *x)
{
    struct world *w = arg;
    int status = strcmp(http_path(x), "/health") == 0 ? w->east : w->canary;

    *(strcmp(http_path(x), "/health") == 0 ? &w->asked : &w->asked_canary) += 1;
    assert_null(http_header(x, "Cookie"));
    http_answer(x, status, "text/plain", NULL, 0, "x\n", 2);
}

static int listener(unsigned *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t n = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static void take_connections(int fd)
{
    int c;

    while (fd >= 0 && (c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
        close(c);
}

/* ---- the loop ---- */

static void voted(void *arg, const struct fo_vote *v)
{
    struct world *w = arg;

    assert_true(v->seq > w->vote.seq);
    w->vote = *v;
    w->votes++;
}

static void turn(void *arg)
{
    struct world *w = arg;

    take_connections(w->tcp);
    if (w->beats && w->turns % 5 == 0)
        watch_peer_heard(w->watch, EAST, 0);
    if (++w->turns > PATIENCE_MS / 10)
        fail_msg("nothing came of it: verdicts %d %d, self %d", w->vote.verdict[EAST], w->vote.verdict[WEST],
                 w->vote.self_ok);
    if (w->until(w))
        loop_stop(w->loop);
    else
        timer_set(w->turn, span_ms(10));
}

static void until(struct world *w, bool (*what)(struct world *w))
{
    w->until = what;
    w->turns = 0;
    timer_set(w->turn, span_ms(0));
    assert_int_equal(loop_run(w->loop), 0);
}

static void config_of(struct world *w, const char *text)
{
    static const struct option_row url[] = {
        {.key = "url", .type = OPT_STRING, .required = true, .sentence = "Where."}};
    static const struct section_row rows[] = {
        {.name = "canary", .named = true, .rows = url, .n_rows = 1, .sentence = "Asked."}};
    const struct config_source source = {"test.ini", {(const uint8_t *)text, strlen(text)}};
    struct buf report;

    buf_init(&report, NULL, 4096);
    w->config = config_parse(&source, 1, rows, 1, &report, &w->e);
    if (!w->config)
        fail_msg("%s", buf_text(&report));
    buf_free(&report);
}

static void settings_of(struct world *w)
{
    struct fo_settings *s = &w->set;

    s->core.self = 2;
    s->core.n_regions = s->vote.n_regions = 2;
    s->vote = (struct vote_config){.n_regions = 2,
                                   .n_canaries = 3,
                                   .n_probes = {1, 1},
                                   .n_peers = {1, 0},
                                   .own_region = FO_NONE,
                                   .tick_ms = 200,
                                   .fast_ms = 50,
                                   .beat_ms = 100,
                                   .down_probes = 3,
                                   .up_probes = 5,
                                   .up_ms = 500,
                                   .phi_milli = 8000,
                                   .tilt_ms = 500};
    (void)snprintf(s->names.service, FO_NAME, "app");
    (void)snprintf(s->names.region[EAST], FO_NAME, "us-east-1");
    (void)snprintf(s->names.region[WEST], FO_NAME, "us-west-2");
    s->probe_timeout_ms = 2000;
    s->n_probes = 2;
    s->probe[0].region = EAST;
    s->probe[1].region = WEST;
    (void)snprintf(s->probe[0].url, FO_URL, "http://127.0.0.1:%u/health", http_server_port(w->server));
    (void)snprintf(s->probe[1].url, FO_URL, "tcp://localhost:%u", w->tcp_port);
}

static struct world *world_new(void)
{
    const struct http_server_params server = {.listen = "127.0.0.1:0"};
    struct world *w = calloc(1, sizeof *w);
    struct watch_params p;
    char text[512];

    assert_non_null(w);
    w->east = 200;
    w->canary = 404; /* an answer is an answer */
    w->beats = true;
    w->loop = loop_new(&w->e);
    w->log = log_new(&(struct log_params){.level = LOG_INFO, .file = "log"}, &w->e);
    w->turn = timer_new(w->loop, turn, w);
    w->server = http_server_new(w->loop, &server, handle, w, &w->e);
    assert_non_null(w->server);
    w->tcp = listener(&w->tcp_port);
    (void)snprintf(
        text, sizeof text,
        "[canary one]\nurl = http://127.0.0.1:%u/one\n[canary two]\nurl = http://127.0.0.1:%u/two\n"
        "[canary three]\nurl = http://127.0.0.1:%u/three\n",
        http_server_port(w->server), http_server_port(w->server), http_server_port(w->server));
    config_of(w, text);
    settings_of(w);
    w->canaries = canaries_new(w->loop, w->log, w->config, &w->e);
    assert_non_null(w->canaries);
    p = (struct watch_params){.loop = w->loop,
                              .log = w->log,
                              .settings = &w->set,
                              .canaries = w->canaries,
                              .boot = 5,
                              .seed = 1,
                              .vote = voted,
                              .arg = w};
    w->watch = watch_new(&p, &w->e);
    assert_non_null(w->watch);
    return w;
}

static void world_free(struct world *w)
{
    watch_free(&w->watch);
    canaries_free(&w->canaries);
    http_server_free(&w->server);
    timer_free(&w->turn);
    loop_free(&w->loop);
    config_free(&w->config);
    log_free(&w->log);
    if (w->tcp >= 0)
        close(w->tcp);
    free(w);
}

/* ---- conditions ---- */

static bool all_up(struct world *w)
{
    return w->vote.verdict[EAST] == FO_UP && w->vote.verdict[WEST] == FO_UP &&
           w->vote.classes[EAST] == (FO_PROBES | FO_HEARTBEAT);
}
static bool east_up(struct world *w)
{
    return w->vote.verdict[EAST] == FO_UP;
}
static bool east_down(struct world *w)
{
    return w->vote.verdict[EAST] == FO_DOWN;
}
static bool east_degraded(struct world *w)
{
    return w->vote.verdict[EAST] == FO_DEGRADED;
}
static bool west_degraded(struct world *w)
{
    return w->vote.verdict[WEST] == FO_DEGRADED;
}
static bool no_self(struct world *w)
{
    return !w->vote.self_ok;
}
static bool fast_tick(struct world *w)
{
    return w->vote.tick_ms == 50;
}
static bool slow_tick(struct world *w)
{
    return w->vote.tick_ms == 200;
}
static bool never(struct world *w)
{
    return w->turns > 60;
}

/* ---- tests ---- */

static void a_region_dies_and_returns(void **state)
{
    struct world *w = world_new();
    (void)state;

    until(w, all_up);
    assert_int_equal(w->vote.voter, 2);
    assert_int_equal(w->vote.boot, 5);
    assert_int_equal(w->vote.self_ok, 1);
    assert_memory_equal(&w->vote.verdict, watch_vote(w->watch)->verdict, FO_REGIONS);
    w->east = 503;
    until(w, east_degraded); /* one class alone */
    until(w, never);
    assert_int_not_equal(w->vote.verdict[EAST], FO_DOWN);
    w->beats = false;
    until(w, east_down);
    assert_int_equal(w->vote.classes[EAST], FO_PROBES | FO_HEARTBEAT);
    assert_int_equal(w->vote.verdict[WEST], FO_UP);
    w->east = 200;
    w->beats = true;
    until(w, east_degraded);
    until(w, all_up);
    world_free(w);
}

static void a_listener_goes(void **state)
{
    struct world *w = world_new();
    cJSON *o, *west, *probe;
    (void)state;

    until(w, all_up);
    close(w->tcp);
    w->tcp = -1;
    until(w, west_degraded);
    o = watch_json(w->watch);
    west = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "regions"), 1);
    probe = cJSON_GetArrayItem(cJSON_GetObjectItem(west, "probes"), 0);
    assert_string_equal(cJSON_GetObjectItem(probe, "reason")->valuestring, "connect");
    assert_string_equal(cJSON_GetObjectItem(probe, "run")->valuestring, "failed");
    assert_true(cJSON_GetObjectItem(probe, "failed_in_a_row")->valueint >= 3);
    cJSON_Delete(o);
    w->tcp = listener(&w->tcp_port);
    until(w, all_up);
    world_free(w);
}

static void our_own_network(void **state)
{
    struct world *w = world_new();
    (void)state;

    until(w, all_up);
    http_server_free(&w->server);
    until(w, no_self);
    assert_int_equal(w->vote.verdict[EAST] | w->vote.verdict[WEST], FO_UNKNOWN);
    until(w, never);
    assert_int_equal(w->vote.self_ok, 0);
    world_free(w);
}

static void pace(void **state)
{
    struct world *w = world_new();
    int asked, canary, votes;
    (void)state;

    until(w, all_up);
    watch_fast(w->watch, true);
    until(w, fast_tick);
    asked = w->asked;
    canary = w->asked_canary;
    votes = w->votes;
    until(w, never);                    /* 600 ms at least */
    assert_true(w->asked - asked >= 4); /* 12 are due; with a tick of 200 ms it would be 3 */
    assert_true(w->votes - votes >= 4);
    assert_true(w->asked_canary - canary >= 3 * 4);
    watch_fast(w->watch, false);
    until(w, slow_tick);
    watch_tilt(w->watch);
    until(w, no_self);
    until(w, all_up);
    world_free(w);
}

static double value(const struct samples *s, const char *name, const char *a, const char *b, const char *c)
{
    const char *want[] = {a, b, c};

    for (size_t i = 0; i < s->n; i++) {
        bool same = strcmp(s->v[i].row->name, name) == 0;

        for (size_t k = 0; same && k < 3 && want[k]; k++)
            same = strcmp(s->v[i].labels[k].p, want[k]) == 0;
        if (same)
            return s->v[i].value;
    }
    fail_msg("no %s", name);
    return 0;
}

static void shown(void **state)
{
    struct world *w = world_new();
    struct samples s;
    struct arena a;
    cJSON *o, *east, *probe;
    (void)state;

    until(w, all_up);
    watch_users(w->watch, EAST, 98, 100);
    watch_database(w->watch, EAST, 1500);
    watch_agents(w->watch, EAST, 3, 4);
    arena_init(&a, NULL, 1 << 20);
    samples_init(&s, &a);
    watch_metrics(w->watch, &s.sink);
    canaries_metrics(w->canaries, &s.sink);
    assert_true(value(&s, "securebase_region_health", "us-east-1", "app", "up") == 1);
    assert_true(value(&s, "securebase_region_health", "us-east-1", "app", "down") == 0);
    assert_true(value(&s, "securebase_region_probes_total", "us-west-2", "good", "app") >= 3);
    assert_true(value(&s, "securebase_region_probes_total", "us-west-2", "failed", "app") == 0);
    assert_true(value(&s, "securebase_voter_self_ok", "app", NULL, NULL) == 1);
    assert_true(value(&s, "securebase_canary_up", "two", NULL, NULL) == 1);
    arena_free(&a);
    o = watch_json(w->watch);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "canaries")), 3);
    east = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "regions"), 0);
    assert_string_equal(cJSON_GetObjectItem(east, "verdict")->valuestring, "up");
    probe = cJSON_GetArrayItem(cJSON_GetObjectItem(east, "probes"), 0);
    assert_int_equal(cJSON_GetObjectItem(probe, "status")->valueint, 200);
    assert_string_equal(cJSON_GetObjectItem(probe, "run")->valuestring, "good");
    assert_true(
        cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(east, "peers"), 0), "heard_seconds")
            ->valuedouble < 60);
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(east, "events"), "good")->valueint, 98);
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(east, "agents"), "known")->valueint, 4);
    cJSON_Delete(o);
    world_free(w);
}

/* The service's own authority: a certificate of a stranger is a failure with a name. */
static void by_tls(void **state)
{
    const struct leaf leaf = {
        .name = "server", .san = "DNS:localhost", .usage = "serverAuth", .from_s = -60, .until_s = 86400};
    struct authority ca = authority_new("ca"), stranger = authority_new("stranger");
    const struct tls_files files = {.cert = "server.pem", .key = "server.key"};
    struct world *w = world_new();
    struct http_server_params params = {.listen = "127.0.0.1:0"};
    struct http_server *server;
    struct fo_settings *other = malloc(sizeof *other);
    struct watch_params p = {
        .loop = w->loop, .log = w->log, .settings = other, .canaries = w->canaries, .vote = voted, .arg = w};
    cJSON *o, *probe;
    (void)state;

    authority_issue(&ca, &leaf);
    params.tls = tls_server_new(&files, &w->e);
    server = http_server_new(w->loop, &params, handle, w, &w->e);
    assert_non_null(server);
    watch_free(&w->watch);
    *other = w->set;
    other->vote.n_peers[EAST] = 0;
    (void)snprintf(other->probe[0].url, FO_URL, "https://localhost:%u/health", http_server_port(server));
    (void)snprintf(other->probe_ca, sizeof other->probe_ca, "ca.pem");
    w->beats = false;
    w->vote.seq = 0;
    w->watch = watch_new(&p, &w->e);
    until(w, east_up);
    watch_free(&w->watch);
    (void)snprintf(other->probe_ca, sizeof other->probe_ca, "stranger.pem");
    memset(&w->vote, 0, sizeof w->vote);
    w->watch = watch_new(&p, &w->e);
    until(w, east_degraded);
    o = watch_json(w->watch);
    probe = cJSON_GetArrayItem(
        cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(o, "regions"), 0), "probes"), 0);
    assert_string_equal(cJSON_GetObjectItem(probe, "reason")->valuestring, "certificate");
    cJSON_Delete(o);
    watch_free(&w->watch);
    http_server_free(&server);
    tls_server_free(&params.tls);
    authority_free(&ca);
    authority_free(&stranger);
    free(other);
    world_free(w);
}

static void what_fits(void **state)
{
    struct world *w = world_new();
    struct fo_settings *other = malloc(sizeof *other);
    struct watch_params p = {
        .loop = w->loop, .log = w->log, .settings = other, .canaries = NULL, .vote = voted, .arg = w};
    struct watch *second;
    cJSON *o;
    (void)state;

    *other = w->set;
    assert_true(watch_fits(w->watch, other));
    other->core.t.confirm = 77; /* of the core alone */
    assert_true(watch_fits(w->watch, other));
    other->vote.up_probes++;
    assert_false(watch_fits(w->watch, other));
    *other = w->set;
    other->probe[1].url[8] = 'x';
    assert_false(watch_fits(w->watch, other));
    second = watch_new(&p, &w->e); /* without canaries: it trusts itself */
    assert_non_null(second);
    o = watch_json(second);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "canaries")), 0);
    cJSON_Delete(o);
    watch_free(&second);
    (void)snprintf(other->probe[1].url, FO_URL, "tcp://nowhere");
    assert_null(watch_new(&p, &w->e));
    assert_int_equal(w->e.code, ERR_MALFORMED);
    (void)snprintf(other->probe[1].url, FO_URL, "tcp://[::1]:99999");
    assert_null(watch_new(&p, &w->e));
    (void)snprintf(other->probe[1].url, FO_URL, "tcp://[::1]:5");
    (void)snprintf(other->probe_ca, sizeof other->probe_ca, "/nonexistent");
    assert_null(watch_new(&p, &w->e));
    free(other);
    world_free(w);
}

static void judged(void **state)
{
    char reason[24];
    (void)state;

    assert_true(target_judge(false, 0, 204, "", reason, sizeof reason));
    assert_string_equal(reason, "");
    assert_false(target_judge(false, 0, 301, "", reason, sizeof reason));
    assert_string_equal(reason, "status");
    assert_true(target_judge(true, 0, 500, "", reason, sizeof reason));
    assert_false(target_judge(true, ERR_TLS, 0, "certificate", reason, sizeof reason));
    assert_string_equal(reason, "certificate");
    assert_true(target_judge(true, ERR_LIMIT, 0, "too_large", reason, sizeof reason));
    assert_false(target_judge(false, ERR_LIMIT, 0, "too_large", reason, sizeof reason));
    assert_false(target_judge(false, ERR_IO, 0, "", reason, sizeof reason));
    assert_string_equal(reason, "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judged),
        cmocka_unit_test(a_region_dies_and_returns),
        cmocka_unit_test(a_listener_goes),
        cmocka_unit_test(our_own_network),
        cmocka_unit_test(pace),
        cmocka_unit_test(shown),
        cmocka_unit_test(what_fits),
        cmocka_unit_test(by_tls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
