/* TLS between our server and our client, with certificates
 * made on the spot: who is let in, who is who, reloading. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/net/tls.h"
#include "tests/unit/certs.h"
#include "tests/unit/netloop.h"

#define AGENT "URI:securebase://agent/web-1"

struct world {
    struct loop *loop;
    struct workers *workers;
    struct tls_server *tls;
    struct http_server *server;
    struct answer answer;
    struct tls_identity seen;
    unsigned handled;
    char url[128];
};

static struct authority ca, stranger;
static long revoked;

/* Certificates are slow to make under sanitisers: once for all. */
static int make_certificates(void **state)
{
    const struct leaf leaves[] = {
        {"server", "DNS:localhost,IP:127.0.0.1", "serverAuth", -60, 3600},
        {"second", "DNS:localhost,IP:127.0.0.1", "serverAuth", -60, 7200},
        {"expired", "DNS:localhost,IP:127.0.0.1", "serverAuth", -7200, -3600},
        {"wrongname", "DNS:elsewhere.example", "serverAuth", -60, 3600},
        {"agent", AGENT ",URI:securebase://role/relay,DNS:web-1", "clientAuth", -60, 3600},
        {"nousage", AGENT, NULL, -60, 3600},
        {"serveronly", AGENT, "serverAuth", -60, 3600},
        {"oldagent", AGENT, "clientAuth", -7200, -3600},
    };
    const struct leaf outside = {"outside", AGENT, "clientAuth", -60, 3600};
    const struct leaf gone = {"gone", AGENT, "clientAuth", -60, 3600};

    (void)state;
    ca = authority_new("ca");
    stranger = authority_new("stranger");
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
        authority_issue(&ca, &leaves[i]);
    authority_issue(&stranger, &outside);
    revoked = authority_issue(&ca, &gone);
    authority_revoke(&ca, "ca.crl", revoked);
    return 0;
}

static int drop_certificates(void **state)
{
    (void)state;
    authority_free(&ca);
    authority_free(&stranger);
    return 0;
}

static void handle(void *arg, struct http_exchange *x)
{
    struct world *w = arg;

    w->handled++;
    w->seen = *http_identity(x);
    http_answer(x, w->seen.verified ? 200 : 401, "text/plain", NULL, 0, "hi", 2);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    *state = w;
    w->loop = loop_new(NULL);
    w->workers = workers_new(w->loop, 4, NULL);
    w->answer.loop = w->loop;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    http_server_free(&w->server);
    tls_server_free(&w->tls);
    workers_free(&w->workers);
    loop_free(&w->loop);
    free(w);
    return 0;
}

static void serve(struct world *w, struct tls_files files, struct http_server_params p)
{
    struct err e = {0};

    files.cert = files.cert ? files.cert : "server.pem";
    files.key = files.key ? files.key : "server.key";
    w->tls = tls_server_new(&files, &e);
    if (!w->tls)
        fail_msg("%s", e.text);
    p.listen = "127.0.0.1:0";
    p.tls = w->tls;
    w->server = http_server_new(w->loop, &p, handle, w, &e);
    if (!w->server)
        fail_msg("%s", e.text);
    snprintf(w->url, sizeof(w->url), "https://127.0.0.1:%u/", http_server_port(w->server));
}

static void ask(struct world *w, struct http_client *c, struct http_request r)
{
    r.method = "GET";
    r.url = r.url ? r.url : w->url;
    w->answer.calls = 0;
    assert_non_null(http_client_send(c, &r, answer_keep, &w->answer, NULL));
    loop_run(w->loop);
    assert_int_equal(w->answer.calls, 1);
}

/* One request with a client of its own. */
static void ask_as(struct world *w, const char *cert, const char *trust)
{
    char pem[64], key[64];
    struct http_client_params p = {.ca = trust};
    struct http_client *c;
    struct err e = {0};

    if (cert) {
        snprintf(pem, sizeof(pem), "%s.pem", cert);
        snprintf(key, sizeof(key), "%s.key", cert);
        p.cert = pem;
        p.key = key;
    }
    c = http_client_new(w->loop, &p, &e);
    if (!c)
        fail_msg("%s", e.text);
    ask(w, c, (struct http_request){0});
    http_client_free(&c);
}

static void the_client_tells_what_it_met(void **state)
{
    struct world *w = *state;

    serve(w, (struct tls_files){0}, (struct http_server_params){0});
    ask_as(w, NULL, "ca.pem");
    assert_int_equal(w->answer.r.code, 0);
    assert_int_equal(w->answer.r.status, 401);
    assert_int_equal(w->answer.r.tls_version_minor, 3);
    assert_int_equal(w->answer.r.cert_not_after.ms, tls_server_not_after(w->tls).ms);
    assert_true(w->answer.r.cert_not_after.ms > (time(NULL) + 3000) * (int64_t)1000);
    assert_true(w->answer.r.times.tls.ns >= w->answer.r.times.connect.ns);
}

static void servers_are_judged(void **state)
{
    struct world *w = *state;
    struct tls_files expired = {.cert = "expired.pem", .key = "expired.key"};
    struct tls_files wrong = {.cert = "wrongname.pem", .key = "wrongname.key"};
    struct http_client *c;

    serve(w, (struct tls_files){0}, (struct http_server_params){0});
    ask_as(w, NULL, "stranger.pem");
    assert_int_equal(w->answer.r.code, ERR_TLS);
    assert_string_equal(w->answer.r.reason, "certificate");
    assert_false(w->answer.r.sent);
    assert_int_equal(tls_server_reload(w->tls, &expired, NULL), 0);
    ask_as(w, NULL, "ca.pem");
    assert_string_equal(w->answer.r.reason, "certificate");
    assert_non_null(strstr(w->answer.r.error, "expired"));
    assert_int_equal(w->answer.r.cert_not_after.ms, tls_server_not_after(w->tls).ms);
    assert_int_equal(tls_server_reload(w->tls, &wrong, NULL), 0);
    ask_as(w, NULL, "ca.pem");
    assert_string_equal(w->answer.r.reason, "certificate");
    c = http_client_new(w->loop, &(struct http_client_params){.ca = "ca.pem"}, NULL);
    ask(w, c, (struct http_request){.insecure = true});
    assert_int_equal(w->answer.r.code, 0);
    assert_int_equal(w->answer.r.cert_not_after.ms, tls_server_not_after(w->tls).ms);
    http_client_free(&c);
}

static void identities_come_from_the_certificate(void **state)
{
    struct world *w = *state;

    serve(w, (struct tls_files){.ca = "ca.pem", .accept_client = true}, (struct http_server_params){0});
    ask_as(w, "agent", "ca.pem");
    assert_int_equal(w->answer.r.status, 200);
    assert_true(w->seen.verified);
    assert_int_equal(w->seen.n, 2);
    assert_string_equal(w->seen.uri[0], "securebase://agent/web-1");
    assert_string_equal(w->seen.uri[1], "securebase://role/relay");
    assert_string_equal(w->seen.cn, "agent");
    assert_true(w->seen.not_after.ms > 0);
}

static void without_a_certificate_http_answers(void **state)
{
    struct world *w = *state;

    serve(w, (struct tls_files){.ca = "ca.pem", .accept_client = true}, (struct http_server_params){0});
    ask_as(w, NULL, "ca.pem");
    assert_int_equal(w->answer.r.status, 401);
    assert_false(w->seen.verified);
    ask_as(w, "nousage", "ca.pem"); /* valid, but nobody said that it is for clients */
    assert_int_equal(w->answer.r.status, 401);
    assert_int_equal(w->seen.n, 0);
}

static void bad_certificates_fail_the_handshake(void **state)
{
    static const char *const bad[] = {"outside", "oldagent", "serveronly", "gone"};
    struct world *w = *state;

    serve(w, (struct tls_files){.ca = "ca.pem", .crl = "ca.crl", .accept_client = true},
          (struct http_server_params){0});
    for (size_t i = 0; i < 4; i++) {
        ask_as(w, bad[i], "ca.pem");
        if (w->answer.r.code != ERR_TLS || strcmp(w->answer.r.reason, "tls") != 0)
            fail_msg("%s: %d %s %s", bad[i], w->answer.r.code, w->answer.r.reason, w->answer.r.error);
    }
    assert_int_equal(w->handled, 0);
    assert_int_equal(http_server_stats(w->server).handshake_failed, 4);
    ask_as(w, "agent", "ca.pem");
    assert_int_equal(w->answer.r.status, 200);
}

static void a_certificate_can_be_demanded(void **state)
{
    struct world *w = *state;

    serve(w, (struct tls_files){.ca = "ca.pem", .require_client = true}, (struct http_server_params){0});
    ask_as(w, NULL, "ca.pem");
    assert_int_equal(w->answer.r.code, ERR_TLS);
    ask_as(w, "agent", "ca.pem");
    assert_int_equal(w->answer.r.status, 200);
}

/* One handshake with the plain OpenSSL client, so that we hold the session ourselves. Runs in a worker. */
struct handshake {
    unsigned port;
    SSL_CTX *ctx;
    SSL_SESSION *use, *got;
    bool resumed, answered;
    char heard[512];
};

static void shake(void *arg)
{
    struct handshake *h = arg;
    struct raw r = {.port = h->port};
    static const char say[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    SSL *ssl = SSL_new(h->ctx);
    int fd = raw_connect(&r), n, at = 0;

    SSL_set_fd(ssl, fd);
    if (h->use)
        SSL_set_session(ssl, h->use);
    if (SSL_connect(ssl) == 1 && SSL_write(ssl, say, sizeof(say) - 1) > 0) {
        while (at < (int)sizeof(h->heard) - 1 &&
               (n = SSL_read(ssl, h->heard + at, (int)sizeof(h->heard) - 1 - at)) > 0)
            at += n;
        h->heard[at] = 0;
        h->answered = at > 0;
        h->resumed = SSL_session_reused(ssl) == 1;
        h->got = SSL_get1_session(ssl);
    }
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static struct loop *stopped; /* of the test that is running */

static void shaken(void *arg, bool late)
{
    (void)arg;
    (void)late;
    loop_stop(stopped);
}

static void do_shake(struct world *w, struct handshake *h)
{
    stopped = w->loop;
    h->port = http_server_port(w->server);
    assert_int_equal(workers_run(w->workers, shake, shaken, NULL, h, span_s(60), NULL), 0);
    loop_run(w->loop);
}

static void resumption(struct world *w, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct handshake first = {.ctx = ctx}, second = {.ctx = ctx}, third = {.ctx = ctx};
    struct tls_files files = {
        .ca = "ca.pem", .cert = "server.pem", .key = "server.key", .crl = "ca.crl", .accept_client = true};

    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, "agent.pem"), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, "agent.key", SSL_FILETYPE_PEM), 1);
    do_shake(w, &first);
    assert_true(first.answered && !first.resumed);
    memset(&w->seen, 0, sizeof(w->seen));
    second.use = first.got;
    do_shake(w, &second);
    assert_true(second.resumed);
    assert_true(w->seen.verified);
    assert_string_equal(w->seen.uri[0], "securebase://agent/web-1");
    /* What new files would judge anew is not carried over from old ones. */
    assert_int_equal(tls_server_reload(w->tls, &files, NULL), 0);
    third.use = second.got;
    do_shake(w, &third);
    assert_true(third.answered && !third.resumed);
    SSL_SESSION_free(first.got);
    SSL_SESSION_free(second.got);
    SSL_SESSION_free(third.got);
    SSL_CTX_free(ctx);
}

static void resumed_sessions_keep_their_identity(void **state)
{
    struct world *w = *state;

    serve(w, (struct tls_files){.ca = "ca.pem", .accept_client = true}, (struct http_server_params){0});
    resumption(w, TLS1_3_VERSION);
    resumption(w, TLS1_2_VERSION);
}

static void reloading_changes_new_connections_only(void **state)
{
    struct world *w = *state;
    struct tls_files second = {.cert = "second.pem", .key = "second.key"};
    struct tls_files broken = {.cert = "second.pem", .key = "server.key"};
    struct http_client *c = http_client_new(w->loop, &(struct http_client_params){.ca = "ca.pem"}, NULL);
    struct wall first;
    struct err e = {0};

    serve(w, (struct tls_files){0}, (struct http_server_params){0});
    ask(w, c, (struct http_request){0});
    first = w->answer.r.cert_not_after;
    assert_int_equal(tls_server_reload(w->tls, &broken, &e), ERR_TLS);
    assert_non_null(strstr(e.text, "key"));
    assert_int_equal(tls_server_not_after(w->tls).ms, first.ms);
    assert_int_equal(tls_server_reload(w->tls, &second, &e), 0);
    ask(w, c, (struct http_request){0}); /* kept */
    assert_int_equal(w->answer.r.cert_not_after.ms, first.ms);
    ask(w, c, (struct http_request){.fresh = true});
    assert_true(w->answer.r.cert_not_after.ms > first.ms);
    assert_int_equal(http_server_stats(w->server).accepted, 2);
    http_client_free(&c);
}

/* A connection that is never idle for long would outlive the revocation of its certificate. */
static void a_revoked_certificate_ends_its_connection(void **state)
{
    struct world *w = *state;
    struct tls_files files = {
        .ca = "ca.pem", .cert = "server.pem", .key = "server.key", .crl = "ca.crl", .require_client = true};
    struct http_client *gone = http_client_new(
        w->loop, &(struct http_client_params){.ca = "ca.pem", .cert = "gone.pem", .key = "gone.key"}, NULL);
    struct http_client *good = http_client_new(
        w->loop, &(struct http_client_params){.ca = "ca.pem", .cert = "agent.pem", .key = "agent.key"}, NULL);

    serve(w, (struct tls_files){.ca = "ca.pem", .require_client = true}, (struct http_server_params){0});
    ask(w, gone, (struct http_request){0});
    assert_int_equal(w->answer.r.status, 200);
    ask(w, good, (struct http_request){0});
    assert_int_equal(w->answer.r.status, 200);
    assert_int_equal(tls_server_reload(w->tls, &files, NULL), 0);
    ask(w, gone, (struct http_request){0});
    assert_int_not_equal(w->answer.r.code, 0);
    ask(w, good, (struct http_request){0});
    assert_int_equal(w->answer.r.status, 200);
    assert_int_equal(w->handled, 3);
    assert_int_equal(http_server_stats(w->server).distrusted, 1);
    assert_int_equal(http_server_stats(w->server).accepted, 2 + 1); /* the one that tried again */
    http_client_free(&gone);
    http_client_free(&good);
}

static void files_that_are_wrong_are_named(void **state)
{
    static const struct {
        struct tls_files f;
        const char *says;
    } cases[] = {
        {{.cert = "absent.pem", .key = "server.key"}, "absent.pem"},
        {{.cert = "server.pem", .key = "absent.key"}, "absent.key"},
        {{.cert = "server.pem"}, "key"},
        {{.cert = "server.pem", .key = "server.key", .ca = "absent.pem"}, "absent.pem"},
        {{.cert = "server.pem", .key = "server.key", .ca = "ca.pem", .crl = "ca.pem"}, "crl"},
        {{.cert = "server.pem", .key = "server.key", .require_client = true}, "ca"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = {0};

        assert_null(tls_server_new(&cases[i].f, &e));
        if (!strstr(e.text, cases[i].says))
            fail_msg("case %zu: %s", i, e.text);
    }
}

static void handshakes_have_a_deadline(void **state)
{
    struct world *w = *state;
    struct raw silent = {.say = ""};
    struct raw plain = {.say = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"};

    serve(w, (struct tls_files){0}, (struct http_server_params){.request_timeout = span_ms(600)});
    silent.port = plain.port = http_server_port(w->server);
    raw_talk(w->workers, w->loop, &silent);
    assert_true(silent.closed);
    assert_int_equal(http_server_stats(w->server).timed_out, 1);
    raw_talk(w->workers, w->loop, &plain);
    assert_true(plain.closed);
    assert_int_equal(http_server_stats(w->server).handshake_failed, 1);
    assert_int_equal(http_server_stats(w->server).connections, 0);
}

/* Bodies and answers larger than a TLS record, on a kept connection. */
static void large_bodies_pass(void **state)
{
    struct world *w = *state;
    struct http_client *c = http_client_new(w->loop, &(struct http_client_params){.ca = "ca.pem"}, NULL);
    struct http_request r = {.method = "POST", .url = w->url, .body_len = 1 << 20, .idempotent = true};
    char *body = malloc(r.body_len);

    memset(body, 'x', r.body_len);
    r.body = body;
    serve(w, (struct tls_files){0}, (struct http_server_params){.max_body = 1 << 20});
    for (int i = 0; i < 3; i++) {
        assert_non_null(http_client_send(c, &r, answer_keep, &w->answer, NULL));
        loop_run(w->loop);
        assert_int_equal(w->answer.r.status, 401);
    }
    assert_int_equal(http_server_stats(w->server).accepted, 1);
    assert_true(http_server_stats(w->server).bytes_in > 3 << 20);
    r.body_len = 0;
    free(body);
    http_client_free(&c);
}

/* A refusal reaches a client that is still sending, through TLS as well. */
static void a_refusal_is_heard_while_sending(void **state)
{
    struct world *w = *state;
    struct http_client *c = http_client_new(w->loop, &(struct http_client_params){.ca = "ca.pem"}, NULL);
    struct http_request r = {.method = "POST", .url = w->url, .body_len = 3 << 20, .idempotent = true};
    char *body = calloc(1, r.body_len);

    r.body = body;
    serve(w, (struct tls_files){0}, (struct http_server_params){.max_body = 1 << 20});
    assert_non_null(http_client_send(c, &r, answer_keep, &w->answer, NULL));
    loop_run(w->loop);
    assert_int_equal(w->answer.r.code, 0);
    assert_int_equal(w->answer.r.status, 413);
    free(body);
    http_client_free(&c);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_client_tells_what_it_met),
        T(servers_are_judged),
        T(identities_come_from_the_certificate),
        T(without_a_certificate_http_answers),
        T(bad_certificates_fail_the_handshake),
        T(a_certificate_can_be_demanded),
        T(resumed_sessions_keep_their_identity),
        T(reloading_changes_new_connections_only),
        T(a_revoked_certificate_ends_its_connection),
        T(files_that_are_wrong_are_named),
        T(handshakes_have_a_deadline),
        T(large_bodies_pass),
        T(a_refusal_is_heard_while_sending),
    };
    signal(SIGPIPE, SIG_IGN); /* as both daemons do first of all: TLS writes with write(2) */
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
