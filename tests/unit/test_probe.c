/* Probes: the verdict on given results, then runs against a
 * real nginx and against servers that fail in every way. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/daemon/samples.h"
#include "common/probe/probe.h"
#include "tests/unit/certs.h"
#include "tests/unit/netloop.h"

enum { PLAIN, TLS, EXPIRED, REFUSED, PORTS };

/* What all tests share: certificates, ports, nginx. */
static struct {
    unsigned port[PORTS];
    pid_t nginx;
} all;

struct world {
    struct loop *loop;
    struct config *config;
    struct probe *probe;
    struct probe_result r;
    unsigned results, stop_after;
};

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Ports that were free a moment ago, below those that the kernel gives to clients and to port 0 (ip(7),
 * ip_local_port_range): nobody comes upon them before nginx does. */
static void pick_ports(void)
{
    unsigned at = 10000 + (unsigned)getpid() * 7 % 20000;

    for (int i = 0; i < PORTS; at++) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)at)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
            all.port[i++] = at;
        close(fd);
    }
}

static bool answers(unsigned port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok = connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
    close(fd);
    return ok;
}

static void write_nginx_conf(void)
{
    char conf[8192], cwd[1024];

    if (!getcwd(cwd, sizeof(cwd)))
        abort();
    snprintf(
        conf, sizeof(conf),
        "daemon off; master_process off; pid nginx.pid; error_log error.log;\n"
        "events { worker_connections 64; }\n"
        "http { access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n"
        " uwsgi_temp_path t4; scgi_temp_path t5; root %s;\n"
        " server { listen 127.0.0.1:%u; location = /health { return 200 \"all is well\\n\"; }\n"
        "  location = /gone { return 410 \"gone\\n\"; } location = /moved { return 301 /health; }\n"
        "  location = /drip { limit_rate 40k; try_files /drip.bin =404; } location = /cut { return 444; } }\n"
        " server { listen 127.0.0.1:%u ssl; ssl_certificate %s/server.pem; ssl_certificate_key "
        "%s/server.key;\n"
        "  location = /health { return 200 \"all is well\\n\"; } }\n"
        " server { listen 127.0.0.1:%u ssl; ssl_certificate %s/expired.pem; ssl_certificate_key "
        "%s/expired.key;\n"
        "  location = /health { return 200 \"all is well\\n\"; } } }\n",
        cwd, all.port[PLAIN], all.port[TLS], cwd, cwd, all.port[EXPIRED], cwd, cwd);
    write_file("nginx.conf", conf);
}

static int start_all(void **state)
{
    struct authority ca = authority_new("ca");
    const struct leaf good = {"server", "DNS:localhost,IP:127.0.0.1", "serverAuth", -60, 3 * 86400};
    const struct leaf expired = {"expired", "DNS:localhost,IP:127.0.0.1", "serverAuth", -7200, -3600};
    char cwd[1024], drip[200001];

    (void)state;
    authority_issue(&ca, &good);
    authority_issue(&ca, &expired);
    authority_free(&ca);
    memset(drip, 'd', sizeof(drip) - 1);
    drip[sizeof(drip) - 1] = 0;
    write_file("drip.bin", drip);
    pick_ports();
    write_nginx_conf();
    if (!getcwd(cwd, sizeof(cwd)) || access("/usr/sbin/nginx", X_OK) != 0)
        return -1; /* packaging/deps.sh --tests installs it */
    all.nginx = fork();
    if (all.nginx == 0) {
        execl("/usr/sbin/nginx", "nginx", "-p", cwd, "-c", "nginx.conf", "-e", "error.log", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 6000 && !answers(all.port[EXPIRED]); i++)
        usleep(10000);
    return answers(all.port[EXPIRED]) ? 0 : -1;
}

static int stop_all(void **state)
{
    (void)state;
    if (all.nginx > 0) {
        kill(all.nginx, SIGTERM);
        waitpid(all.nginx, NULL, 0);
    }
    return 0;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    *state = w;
    w->loop = loop_new(NULL);
    return w->loop ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;

    probe_free(&w->probe);
    config_free(&w->config);
    loop_free(&w->loop);
    free(w);
    return 0;
}

static const struct section *section(struct world *w, const char *options)
{
    char text[2048];
    struct buf report;
    struct err e = {0};

    snprintf(text, sizeof(text), "[probe front]\n%s", options);
    write_file("probe.ini", text);
    buf_init(&report, NULL, 65536);
    config_free(&w->config);
    w->config = config_load("probe.ini", NULL, &probe_section, 1, &report, &e);
    if (!w->config)
        fail_msg("%s", buf_text(&report));
    buf_free(&report);
    return config_named(w->config, "probe", 0);
}

static void keep(void *arg, const struct probe *p, const struct probe_result *r)
{
    struct world *w = arg;

    (void)p;
    w->r = *r;
    if (++w->results >= w->stop_after)
        loop_stop(w->loop);
}

static void make_probe(struct world *w, const char *options)
{
    struct probe_params p = {.section = section(w, options), .done = keep, .arg = w};
    struct err e = {0};

    w->stop_after = w->results + 1;
    w->probe = probe_new(w->loop, &p, &e);
    if (!w->probe)
        fail_msg("%s", e.text);
}

static void sums(const struct probe_result *r)
{
    int64_t sum = 0;

    for (int i = 0; i < PROBE_PHASES; i++) {
        assert_true(r->phase[i].ns >= 0);
        sum += r->phase[i].ns;
    }
    assert_int_equal(sum, r->total.ns);
}

/* One run against a port of ours; the reason is the verdict. */
static const char *run(struct world *w, int which, const char *scheme, const char *path, const char *options)
{
    char text[1024], cwd[512];

    if (!getcwd(cwd, sizeof(cwd)))
        abort();
    snprintf(text, sizeof(text), "url = %s://127.0.0.1:%u%s\nca = %s/ca.pem\n%s", scheme, all.port[which],
             path, cwd, options);
    make_probe(w, text);
    assert_int_equal(probe_run(w->probe), 0);
    assert_int_equal(probe_run(w->probe), ERR_STATE);
    loop_run(w->loop);
    assert_int_equal(w->results, w->stop_after);
    sums(&w->r);
    return probe_reason_name(w->r.reason);
}

/* ---- the verdict alone ---- */

static struct http_result good(void)
{
    static const char body[] = "all is well";

    return (struct http_result){
        .reason = "",
        .status = 200,
        .content_type = "",
        .retry_after = "",
        .body = {(const uint8_t *)body, sizeof(body) - 1},
        .times = {.dns = span_ms(1),
                  .connect = span_ms(3),
                  .tls = span_ms(10),
                  .request_sent = span_ms(11),
                  .first_byte = span_ms(31),
                  .total = span_ms(36)},
        .cert_not_after = {INT64_C(1800000000000)},
    };
}

static struct probe_result verdict(struct world *w, const char *options, const struct http_result *r)
{
    struct probe_spec spec;
    struct probe_result out;
    struct wall now = {INT64_C(1800000000000) - 10 * INT64_C(86400000)};

    assert_int_equal(probe_spec_read(&spec, section(w, options), NULL, NULL), 0);
    probe_judge(&spec, r, now, &out);
    sums(&out);
    assert_int_equal(wall_sub(now, out.at).ns / 1000000, out.total.ns / 1000000);
    return out;
}

static void phases_are_differences(void **state)
{
    struct http_result r = good();
    struct probe_result out = verdict(*state, "url = https://h/", &r);

    assert_int_equal(out.reason, PROBE_OK);
    assert_int_equal(out.phase[PROBE_DNS].ns, span_ms(1).ns);
    assert_int_equal(out.phase[PROBE_CONNECT].ns, span_ms(2).ns);
    assert_int_equal(out.phase[PROBE_TLS].ns, span_ms(7).ns);
    assert_int_equal(out.phase[PROBE_FIRST_BYTE].ns, span_ms(21).ns);
    assert_int_equal(out.phase[PROBE_TRANSFER].ns, span_ms(5).ns);
    r.times.tls = span_ns(-1);
    out = verdict(*state, "url = http://h/", &r);
    assert_int_equal(out.phase[PROBE_TLS].ns, 0);
    assert_int_equal(out.phase[PROBE_FIRST_BYTE].ns, span_ms(28).ns);
}

static void a_failure_takes_its_time_where_it_happened(void **state)
{
    struct http_result r = good();
    struct probe_result out;

    r.code = ERR_TIMEOUT;
    r.reason = "timeout";
    r.times =
        (struct http_times){span_ms(1), span_ms(3), span_ns(-1), span_ns(-1), span_ns(-1), span_ms(5000)};
    out = verdict(*state, "url = https://h/", &r);
    assert_int_equal(out.reason, PROBE_FAIL_TIMEOUT);
    assert_int_equal(out.phase[PROBE_TLS].ns, span_ms(4997).ns);
    out = verdict(*state, "url = http://h/", &r);
    assert_int_equal(out.phase[PROBE_FIRST_BYTE].ns, span_ms(4997).ns);
    r.times =
        (struct http_times){span_ns(-1), span_ns(-1), span_ns(-1), span_ns(-1), span_ns(-1), span_ms(20)};
    r.reason = "dns";
    out = verdict(*state, "url = http://h/", &r);
    assert_int_equal(out.reason, PROBE_FAIL_DNS);
    assert_int_equal(out.phase[PROBE_DNS].ns, span_ms(20).ns);
}

static void statuses(void **state)
{
    static const struct {
        const char *want;
        int status;
        bool good;
    } cases[] = {
        {"2xx", 200, true},      {"2xx", 299, true},         {"2xx", 301, false},
        {"200", 204, false},     {"200 301-303", 302, true}, {"200 301-303", 304, false},
        {"4xx, 503", 404, true}, {"4xx, 503", 503, true},    {"4xx, 503", 500, false},
    };
    struct http_result r = good();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];

        snprintf(text, sizeof(text), "url = http://h/\nstatus = %s\n", cases[i].want);
        r.status = cases[i].status;
        if ((verdict(*state, text, &r).reason == PROBE_OK) != cases[i].good)
            fail_msg("%s %d", cases[i].want, cases[i].status);
    }
}

static void bodies_and_certificates(void **state)
{
    struct http_result r = good();

    assert_int_equal(verdict(*state, "url = https://h/\nbody_contains = is well\n", &r).reason, PROBE_OK);
    assert_int_equal(verdict(*state, "url = https://h/\nbody_contains = is ill\n", &r).reason,
                     PROBE_FAIL_BODY);
    assert_int_equal(verdict(*state, "url = https://h/\ncertificate_days = 9\n", &r).reason, PROBE_OK);
    assert_int_equal(verdict(*state, "url = https://h/\ncertificate_days = 11\n", &r).reason,
                     PROBE_FAIL_EXPIRY);
    r.status = 500; /* the first thing wrong is the reason */
    assert_int_equal(verdict(*state, "url = https://h/\nbody_contains = is ill\n", &r).reason,
                     PROBE_FAIL_STATUS);
    r.body = (struct bytes){NULL, 0};
    assert_int_equal(verdict(*state, "url = https://h/\nstatus = 500\nbody_contains = x\n", &r).reason,
                     PROBE_FAIL_BODY);
}

static void every_reason_of_the_client_is_known(void **state)
{
    static const char *const reasons[] = {"dns",  "connect", "tls",       "certificate", "timeout",
                                          "send", "receive", "too_large", "protocol"};
    struct http_result r = good();

    r.code = ERR_IO;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        r.reason = reasons[i];
        assert_string_equal(probe_reason_name(verdict(*state, "url = http://h/", &r).reason), reasons[i]);
    }
}

static void options_that_do_not_fit_are_refused(void **state)
{
    static const char *const bad[] = {
        "url = http://h/\ninterval = 5s\ntimeout = 6s\n",
        "url = http://h/\nstatus = 99\n",
        "url = http://h/\nstatus = 200-\n",
        "url = http://h/\nstatus = 300-200\n",
        "url = http://h/\nstatus = 2x\n",
        "url = http://h/\nmethod = HEAD\nbody_contains = x\n",
    };
    struct probe_spec spec;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        struct buf report;

        buf_init(&report, NULL, 4096);
        assert_int_equal(probe_spec_read(&spec, section(*state, bad[i]), NULL, &e), ERR_CONFIG);
        assert_non_null(strstr(e.text, "probe.ini:"));
        assert_int_equal(probe_spec_read(&spec, section(*state, bad[i]), &report, &e), ERR_CONFIG);
        assert_non_null(strstr(buf_text(&report), "probe.ini:"));
        buf_free(&report);
    }
}

static double value_of(const struct samples *s, const char *name, const char *first)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].row->name, name) == 0 && (!first || strcmp(s->v[i].labels[0].p, first) == 0))
            return s->v[i].value;
    fail_msg("no %s", name);
    return 0;
}

static void metrics_are_told(void **state)
{
    struct probe_tally t = {0};
    struct http_result r = good();
    struct probe_result one = verdict(*state, "url = https://h/", &r);
    struct arena arena;
    struct samples s;

    arena_init(&arena, NULL, 1 << 20);
    samples_init(&s, &arena);
    probe_metrics(&t, "front", &s.sink);
    assert_int_equal(s.n, 0);
    probe_count(&t, &one);
    one.reason = PROBE_FAIL_STATUS;
    one.status = 503;
    one.cert_not_after = (struct wall){0};
    probe_count(&t, &one);
    probe_metrics(&t, "front", &s.sink);
    assert_true(value_of(&s, "securebase_probe_success", "front") == 0);
    assert_true(value_of(&s, "securebase_probe_runs_total", "front") == 2);
    assert_true(value_of(&s, "securebase_probe_status_code", "front") == 503);
    assert_true(value_of(&s, "securebase_probe_duration_seconds", "front") == 0.036);
    assert_true(value_of(&s, "securebase_probe_phase_seconds", "tls") == 0.007);
    assert_true(value_of(&s, "securebase_probe_certificate_expiry_timestamp_seconds", NULL) == 1800000000.0);
    for (size_t i = 0; i < s.n; i++)
        if (strcmp(s.v[i].row->name, "securebase_probe_failures_total") == 0)
            assert_true(s.v[i].value == (strcmp(s.v[i].labels[1].p, "status") == 0 ? 1 : 0));
    arena_free(&arena);
}

/* ---- against servers ---- */

static void nginx_is_well(void **state)
{
    struct world *w = *state;

    assert_string_equal(run(w, PLAIN, "http", "/health", "body_contains = all is well"), "");
    assert_int_equal(w->r.status, 200);
    assert_int_equal(w->r.phase[PROBE_TLS].ns, 0);
    assert_true(w->r.phase[PROBE_CONNECT].ns > 0);
    assert_true(w->r.phase[PROBE_FIRST_BYTE].ns > 0);
    assert_memory_equal(w->r.remote, "127.0.0.1:", 10);
    assert_int_equal(w->r.cert_not_after.ms, 0);
}

static void tls_is_timed_and_its_certificate_read(void **state)
{
    struct world *w = *state;

    assert_string_equal(run(w, TLS, "https", "/health", "certificate_days = 2"), "");
    assert_true(w->r.phase[PROBE_TLS].ns > 0);
    assert_true(w->r.cert_not_after.ms > w->r.at.ms + 2 * INT64_C(86400000));
    probe_free(&w->probe);
    assert_string_equal(run(w, TLS, "https", "/health", "certificate_days = 4"), "expiry");
}

static void wrong_answers_fail(void **state)
{
    struct world *w = *state;

    assert_string_equal(run(w, PLAIN, "http", "/gone", ""), "status");
    assert_int_equal(w->r.status, 410);
    probe_free(&w->probe);
    assert_string_equal(run(w, PLAIN, "http", "/moved", ""), "status");
    probe_free(&w->probe);
    assert_string_equal(run(w, PLAIN, "http", "/moved", "status = 301"), "");
    probe_free(&w->probe);
    assert_string_equal(run(w, PLAIN, "http", "/health", "body_contains = all is lost"), "body");
    probe_free(&w->probe);
    assert_string_equal(run(w, PLAIN, "http", "/drip", "max_answer = 1000"), "too_large");
    probe_free(&w->probe);
    assert_string_equal(run(w, PLAIN, "http", "/cut", ""), "receive");
}

static void a_slow_body_shows_in_its_phase(void **state)
{
    struct world *w = *state;

    assert_string_equal(run(w, PLAIN, "http", "/drip", "timeout = 2s"), "timeout");
    assert_int_equal(w->r.status, 200); /* its head was there */
    assert_true(w->r.phase[PROBE_TRANSFER].ns > 0);
}

static void bad_tls_fails(void **state)
{
    struct world *w = *state;

    assert_string_equal(run(w, EXPIRED, "https", "/health", ""), "certificate");
    assert_true(w->r.cert_not_after.ms > 0 && w->r.cert_not_after.ms < w->r.at.ms);
    assert_true(w->r.phase[PROBE_TLS].ns > 0);
    assert_int_equal(w->r.phase[PROBE_TRANSFER].ns, 0);
    probe_free(&w->probe);
    assert_string_equal(run(w, EXPIRED, "https", "/health", "insecure = yes"), "");
    probe_free(&w->probe);
    assert_string_equal(run(w, PLAIN, "https", "/health", ""), "tls");
}

static void nobody_there(void **state)
{
    struct world *w = *state;

    assert_string_equal(run(w, REFUSED, "http", "/", ""), "connect");
    assert_int_equal(w->r.phase[PROBE_TRANSFER].ns, 0);
    probe_free(&w->probe);
    make_probe(w, "url = http://nowhere.invalid/\ntimeout = 20s");
    probe_run(w->probe);
    loop_run(w->loop);
    assert_string_equal(probe_reason_name(w->r.reason), "dns");
    assert_true(w->r.phase[PROBE_DNS].ns == w->r.total.ns);
}

static void never(void *arg, struct http_exchange *x)
{
    struct http_exchange **held = arg;

    *held = x;
}

static void a_server_that_never_answers(void **state)
{
    struct world *w = *state;
    struct http_exchange *held = NULL;
    struct http_server *s =
        http_server_new(w->loop, &(struct http_server_params){.listen = "127.0.0.1:0"}, never, &held, NULL);
    char text[256];

    snprintf(text, sizeof(text), "url = http://127.0.0.1:%u/\ntimeout = 1s\n", http_server_port(s));
    make_probe(w, text);
    probe_run(w->probe);
    loop_run(w->loop);
    assert_string_equal(probe_reason_name(w->r.reason), "timeout");
    assert_true(w->r.phase[PROBE_FIRST_BYTE].ns > 0);
    assert_int_equal(w->r.phase[PROBE_TRANSFER].ns, 0);
    sums(&w->r);
    http_answer(held, 200, NULL, NULL, 0, NULL, 0);
    http_server_free(&s);
}

static void runs_repeat(void **state)
{
    struct world *w = *state;
    char text[256];

    snprintf(text, sizeof(text), "url = http://127.0.0.1:%u/\ninterval = 1s\ntimeout = 1s\n",
             all.port[REFUSED]);
    make_probe(w, text);
    w->stop_after = 2;
    probe_start(w->probe, span_ms(10));
    loop_run(w->loop);
    assert_int_equal(probe_tally_of(w->probe)->runs, 2);
    assert_int_equal(probe_tally_of(w->probe)->failures[PROBE_FAIL_CONNECT], 2);
    assert_int_equal(probe_tally_of(w->probe)->skipped, 0);
    probe_run(w->probe);
    probe_free(&w->probe); /* with a run under way */
    assert_int_equal(w->results, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(phases_are_differences),
        T(a_failure_takes_its_time_where_it_happened),
        T(statuses),
        T(bodies_and_certificates),
        T(every_reason_of_the_client_is_known),
        T(options_that_do_not_fit_are_refused),
        T(metrics_are_told),
        T(nginx_is_well),
        T(tls_is_timed_and_its_certificate_read),
        T(wrong_answers_fail),
        T(a_slow_body_shows_in_its_phase),
        T(bad_tls_fails),
        T(nobody_there),
        T(a_server_that_never_answers),
        T(runs_repeat),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
