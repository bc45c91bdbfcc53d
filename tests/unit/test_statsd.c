/* StatsD: lines, names, tags, values, rates, sets, events; what a tick gives; limits; the sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/inputs/statsd.h"
#include "common/base/rng.h"
#include "common/net/loop.h"
#include "common/sketch/sketch.h"

static struct statsd *make(uint32_t max_series)
{
    struct statsd_params p = {.max_series = max_series, .max_memory = 8 << 20, .expire = 3, .seed = {1, 2}};

    return statsd_new(&p);
}

static void send_text(struct statsd *s, const char *text)
{
    statsd_packet(s, (struct wall){5000}, text, strlen(text));
}

/* ---- a tick as text: "name{label="value"} value" lines in the grid's order ---- */

struct page {
    struct buf out;
    int64_t t;
    struct grid *g;
};

static int print_block(void *arg, const struct wire_block_out *b, struct bytes schema)
{
    struct page *p = arg;

    (void)schema;
    for (uint32_t j = 0; j < b->layout->n; j++) {
        const struct wire_series *s = &b->layout->series[j];
        const struct wire_column *c = &b->columns[j];

        if (c->present && !(c->present[0] & 1))
            continue;
        buf_fmt(&p->out, "%.*s", (int)s->name.n, s->name.p);
        for (uint32_t i = 0; i < s->n_labels; i++)
            buf_fmt(&p->out, "%s%.*s=%.*s", i ? "," : "{", (int)s->labels[i].name.n, s->labels[i].name.p,
                    (int)s->labels[i].value.n, s->labels[i].value.p);
        buf_str(&p->out, s->n_labels ? "} " : " ");
        if (s->kind == WIRE_SKETCH) {
            struct sketch k;
            struct err e;
            size_t used;

            sketch_init(&k, NULL);
            assert_int_equal(sketch_decode(&k, c->sketches[0].p, c->sketches[0].n, &used, &e), 0);
            buf_fmt(&p->out, "n=%llu sum=%.6g min=%.6g max=%.6g\n", (unsigned long long)k.count,
                    sketch_sum(&k), k.min, k.max);
            sketch_free(&k);
        } else if (c->mode) {
            buf_fmt(&p->out, "%.10g\n", c->reals[0]);
        } else {
            buf_fmt(&p->out, "%lld\n", (long long)c->ints[0]);
        }
    }
    return 0;
}

static struct page page_new(void)
{
    static struct wire_label l[] = {{{"env", 3}, {"prod", 4}}, {{"host", 4}, {"h", 1}}};
    static const struct wire_resource res = {l, 2};
    struct grid_params g = {.interval = span_s(5),
                            .max_ticks = 4,
                            .max_series = 1000,
                            .block_series = 256,
                            .forget = 100,
                            .resource = &res};
    struct page p = {.g = grid_new(&g, NULL)};

    buf_init(&p.out, NULL, 1 << 20);
    return p;
}

static const char *flush(struct page *p, struct statsd *s)
{
    struct err e;

    buf_clear(&p->out);
    p->t += 5000;
    assert_int_equal(grid_begin(p->g, (struct wall){p->t}), 0);
    statsd_flush(s, p->g);
    grid_end(p->g);
    assert_int_equal(grid_blocks(p->g, print_block, p, &e), 0);
    grid_sealed(p->g);
    return buf_text(&p->out);
}

static void page_free(struct page *p)
{
    grid_free(&p->g);
    buf_free(&p->out);
}

static void test_types(void **state)
{
    struct statsd *s = make(100);
    struct page p = page_new();

    (void)state;
    send_text(
        s,
        "a.hits:2|c\na.hits:3|c|@0.5\r\ntemp:21.5|g\ntemp:+1|g\ntemp:-0.5|g\n"
        "rpc.time:20|ms\nrpc.time:40:60|ms|#x:1\nsize:5|h\nsize:7|d\nusers:ann|s\nusers:bob|s\nusers:ann|s");
    assert_string_equal(flush(&p, s),
                        "a_hits_total 8\ntemp 22\nrpc_time_seconds n=1 sum=0.02 min=0.02 max=0.02\n"
                        "rpc_time_seconds{x=1} n=2 sum=0.1 min=0.04 max=0.06\n"
                        "size n=2 sum=12 min=5 max=7\nusers 2\n");
    /* counters go on, gauges stay, sketches and sets begin anew */
    send_text(s, "a.hits:1|c\nusers:carol|s");
    assert_string_equal(flush(&p, s), "a_hits_total 9\ntemp 22\nusers 1\n");
    assert_int_equal(statsd_stats(s).samples, 15);
    for (int i = 1; i < STATSD_ERRORS; i++)
        assert_int_equal(statsd_stats(s).errors[i], 0);
    page_free(&p);
    statsd_free(&s);
}

/* Counted exactly beside the sketch, with its labels and weights; gone together, whatever keeps the sketch. */
static void test_thresholds(void **state)
{
    struct statsd_params params = {
        .max_series = 100,
        .max_memory = 8 << 20,
        .expire = 3,
        .seed = {1, 2},
        .thresholds = {{"took_seconds", "0.3", 0.3}, {"took_seconds", "1", 1}, {"size", "5", 5}},
        .n_thresholds = 3};
    struct statsd *s = statsd_new(&params);
    struct page p = page_new();

    (void)state;
    send_text(s, "took:300|ms|#zone:a,app:b\ntook:301:1000:1001|ms|#zone:a,app:b\nother:1|ms\nsize:5|h|@0.5");
    assert_string_equal(flush(&p, s),
                        "took_seconds{app=b,zone=a} n=4 sum=2.602 min=0.3 max=1.001\n"
                        "took_seconds_within_total{app=b,threshold=0.3,zone=a} 1\n"
                        "took_seconds_within_total{app=b,threshold=1,zone=a} 3\n"
                        "took_seconds_within_total{app=b,threshold=any,zone=a} 4\n"
                        "other_seconds n=1 sum=0.001 min=0.001 max=0.001\n"
                        "size n=2 sum=10 min=5 max=5\n"
                        "size_within_total{threshold=5} 2\nsize_within_total{threshold=any} 2\n");
    for (int i = 0; i < 6; i++) { /* what says nothing keeps them all the same */
        send_text(s, "took:none|ms|#zone:a,app:b");
        (void)flush(&p, s);
    }
    send_text(s, "took:1|ms|#zone:a,app:b");
    assert_non_null(strstr(flush(&p, s), "took_seconds_within_total{app=b,threshold=any,zone=a} 5\n"));
    for (int i = 0; i < 6; i++)
        (void)flush(&p, s);
    assert_int_equal(statsd_stats(s).series, 0);
    page_free(&p);
    statsd_free(&s);
}

static void test_names_and_tags(void **state)
{
    struct statsd *s = make(100);
    struct page p = page_new();

    (void)state;
    send_text(s, "node_x:1|g\nsecurebase_y:1|c\n9lives:1|g\na-b c:1|g\nz_total:1|c\n");
    assert_string_equal(flush(&p, s),
                        "app_node_x 1\napp_securebase_y_total 1\n_9lives 1\na_b_c 1\nz_total 1\n");
    page_free(&p);
    statsd_free(&s);
    p = page_new(); /* names that only the rule makes into those of the host, or of this program */
    s = make(100);
    send_text(s, "node.load1:1|g\nnode-load5:1|g\nsecurebase.agent.ticks:1|c\nnodes.up:1|g\nnode:1|g\n");
    assert_string_equal(flush(&p, s),
                        "app_node_load1 1\napp_node_load5 1\napp_securebase_agent_ticks_total 1\n"
                        "nodes_up 1\nnode 1\n");
    page_free(&p);
    statsd_free(&s);
    p = page_new();
    s = make(100);
    send_text(
        s, "q:1|g|#b:2,a:1\nq:2|g|#a:1,b:2\n"                   /* one series, spelt twice */
           "w:1|g|#le:x,host:y,a-b:1,a_b:2,flag,empty:,__m:3\n" /* reserved, the resource's, the same twice */
           "v:1|g|c:abc|T1656581400|#k:a:b|e:later\n" /* container, time, value with a colon, others */
           "u:1|g|#k:\xff\xfe\n");
    assert_string_equal(flush(&p, s),
                        "q{a=1,b=2} 2\n"
                        "w{a_b=1,exported___m=3,exported_a_b=2,exported_host=y,exported_le=x,flag=true} 1\n"
                        "v{k=a:b} 1\n"
                        "u{k=\xEF\xBF\xBD\xEF\xBF\xBD} 1\n");
    assert_int_equal(statsd_stats(s).stamped, 1);
    assert_int_equal(statsd_stats(s).series, 4);
    page_free(&p);
    statsd_free(&s);
}

static void test_wrong_lines(void **state)
{
    static const struct {
        const char *line;
        enum statsd_error error;
    } rows[] = {
        {"x", STATSD_FORMAT},
        {"x:1", STATSD_FORMAT},
        {":1|c", STATSD_NAME},
        {"x:|c", STATSD_VALUE},
        {"x:1|", STATSD_TYPE},
        {"x:1|q", STATSD_TYPE},
        {"x:1|mss", STATSD_TYPE},
        {"x:a|c", STATSD_VALUE},
        {"x:-1|c", STATSD_NEGATIVE},
        {"x:1|c|@0", STATSD_RATE},
        {"x:1|c|@2", STATSD_RATE},
        {"x:1|c|@", STATSD_RATE},
        {"x:nan|g", STATSD_VALUE},
        {"x:inf|h", STATSD_VALUE},
        {"x:0x10|g", STATSD_VALUE},
        {"x:1e999|g", STATSD_VALUE},
        {"x:1|c|", STATSD_FORMAT},
        {"x:1 |c", STATSD_VALUE},
        {"a|b:1|c", STATSD_FORMAT},
        {"x:1:z|c", STATSD_VALUE},
        {"_e{1,1}:a", STATSD_EVENT},
        {"_sc|x", STATSD_EVENT},
        {"_sc|x|7", STATSD_EVENT},
        {"_e{,}:|", STATSD_EVENT},
        {"_e{99999999999,1}:a|b", STATSD_EVENT},
        {"_e{2,1}:ab|c|d:x", STATSD_EVENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct statsd *s = make(100);

        send_text(s, rows[i].line);
        assert_int_equal(statsd_stats(s).errors[rows[i].error], 1);
        statsd_free(&s);
    }
}

static void test_kinds(void **state)
{
    struct statsd *s = make(100);
    struct page p = page_new();

    (void)state;
    send_text(s, "x:1|g\nx:a|s\nx:1|h\nx:1|c\ny:1|h\ny:2|d");
    assert_int_equal(statsd_stats(s).errors[STATSD_KIND],
                     2); /* the set and the histogram; the counter is x_total */
    assert_string_equal(flush(&p, s), "x 1\nx_total 1\ny n=2 sum=3 min=1 max=2\n");
    page_free(&p);
    statsd_free(&s);
}

static void test_numbers(void **state)
{
    static const char *const texts[] = {"0",
                                        "1",
                                        "-1.5",
                                        "+2",
                                        "0.1",
                                        "123456789.125",
                                        "1e3",
                                        "1E-3",
                                        ".5",
                                        "5.",
                                        "9007199254740993",
                                        "0.30000000000000004",
                                        "12345678901234567890123",
                                        "1.7976931348623157e308",
                                        "-0"};
    double v;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double wanted = strtod(texts[i], NULL);

        assert_true(statsd_number(texts[i], strlen(texts[i]), &v));
        assert_memory_equal(&v, &wanted, sizeof v);
    }
    assert_false(statsd_number("", 0, &v));
    assert_false(statsd_number("-", 1, &v));
    assert_false(statsd_number(".", 1, &v));
    assert_false(statsd_number("1.2.3", 5, &v));
    assert_false(statsd_number("1\0", 2, &v));
}

/* Weights: a sampled timer counts as often as it says, so percentiles of the whole come out. */
static void test_rates(void **state)
{
    struct statsd *s = make(100);
    struct page p = page_new();

    (void)state;
    send_text(s, "t:10|ms|@0.1\nt:20|ms|@0.5\nc:1|c|@0.1");
    assert_string_equal(flush(&p, s), "t_seconds n=12 sum=0.14 min=0.01 max=0.02\nc_total 10\n");
    page_free(&p);
    statsd_free(&s);
}

static void test_limits(void **state)
{
    struct statsd *s = make(10);
    struct page p = page_new();
    char line[64];

    (void)state;
    for (int i = 0; i < 30; i++) {
        (void)snprintf(line, sizeof line, "m%d:1|g", i);
        send_text(s, line);
    }
    assert_int_equal(statsd_stats(s).series, 10);
    assert_int_equal(statsd_stats(s).errors[STATSD_SERIES], 20);
    for (int i = 0; i < 5; i++)
        (void)flush(&p, s);
    assert_int_equal(statsd_stats(s).series, 0); /* silent for long enough */
    send_text(s, "m29:1|g");
    assert_string_equal(flush(&p, s), "m29 1\n");
    page_free(&p);
    p = page_new();
    statsd_free(&s);
    s = make(1000000);
    for (uint32_t i = 0; statsd_stats(s).errors[STATSD_MEMORY] == 0 && i < 1000000; i++) {
        (void)snprintf(line, sizeof line, "h%u:%u|h|#k:%u", i, i, i);
        send_text(s, line);
    }
    assert_true(statsd_stats(s).errors[STATSD_MEMORY] > 0);
    assert_true(statsd_stats(s).memory <= 8 << 20);
    statsd_free(&s);
    s = make(10);
    for (uint32_t i = 0; i < 2 * STATSD_MAX_SET; i++) {
        (void)snprintf(line, sizeof line, "u:%u|s", i);
        send_text(s, line);
    }
    assert_string_equal(flush(&p, s), "u 65536\n");
    assert_int_equal(statsd_stats(s).errors[STATSD_SET], STATSD_MAX_SET);
    page_free(&p);
    statsd_free(&s);
}

static bool eq(struct wire_str s, const char *t)
{
    return s.n == strlen(t) && memcmp(s.p, t, s.n) == 0;
}

static void test_events(void **state)
{
    struct statsd *s = make(10);
    const struct wire_event *e;
    uint32_t n;

    (void)state;
    send_text(s, "_e{5,9}:title|one\\ntwo!|d:1700000000|h:web|t:error|#kind:deployment,a:b\n"
                 "_sc|db.up|2|#x:1|m:no answer\n_e{1,0}:x|");
    e = statsd_events(s, &n);
    assert_int_equal(n, 3);
    assert_true(eq(e[0].kind, "deployment") && eq(e[0].name, "title") && eq(e[0].text, "one\ntwo!"));
    assert_int_equal(e[0].t, INT64_C(1700000000000));
    assert_int_equal(e[0].n_labels, 3);
    assert_true(eq(e[1].kind, "service_check") && eq(e[1].name, "db.up") && eq(e[1].text, "no answer"));
    assert_true(eq(e[1].labels[0].name, "status") && eq(e[1].labels[0].value, "critical"));
    assert_true(eq(e[2].kind, "note") && eq(e[2].text, ""));
    assert_int_equal(e[2].t, 5000);
    statsd_events_clear(s);
    for (int i = 0; i < 300; i++)
        send_text(s, "_e{1,1}:a|b");
    (void)statsd_events(s, &n);
    assert_int_equal(n, STATSD_MAX_EVENTS);
    assert_int_equal(statsd_stats(s).errors[STATSD_EVENTS], 300 - STATSD_MAX_EVENTS);
    statsd_free(&s);
}

/* Every prefix and every single changed byte of a good packet
 * is taken or refused, and the tick stays a good one. */
static void test_any_bytes(void **state)
{
    static const char good[] = "a.b:1:2:3|ms|@0.5|#x:1,y|c:z\nu:v|s\n_e{2,2}:ab|cd|#k:v\n_sc|n|0|m:x\ng:-1|g";
    struct page p = page_new();
    struct statsd *s = make(500);
    char copy[sizeof good];
    struct rng r;

    (void)state;
    rng_seed(&r, 3);
    for (size_t n = 0; n < sizeof good; n++)
        statsd_packet(s, (struct wall){1}, good, n);
    for (int i = 0; i < 20000; i++) {
        memcpy(copy, good, sizeof good);
        copy[rng_below(&r, sizeof good - 1)] = (char)rng_below(&r, 256);
        copy[rng_below(&r, sizeof good - 1)] = (char)rng_below(&r, 256);
        statsd_packet(s, (struct wall){1}, copy, sizeof good - 1);
        if (i % 1000 == 0) {
            (void)flush(&p, s);
            statsd_events_clear(s);
        }
    }
    page_free(&p);
    statsd_free(&s);
}

/* ---- sockets ---- */

struct io {
    struct loop *loop;
    struct statsd *s;
    struct timer *t;
    int turns;
};

static void poll_samples(void *arg)
{
    struct io *io = arg;

    if (statsd_stats(io->s).samples >= 6 || ++io->turns > 6000)
        loop_stop(io->loop);
    else
        timer_set(io->t, span_ms(10));
}

static void test_sockets(void **state)
{
    struct io io = {.s = make(10)};
    struct statsd_listener *udp, *un;
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "s.sock"};
    char address[200], here[1024];
    struct err e;
    bool aside = false;
    int fd;

    (void)state;
    io.loop = loop_new(&e);
    io.t = timer_new(io.loop, poll_samples, &io);
    udp = statsd_listen(io.loop, NULL, "udp://127.0.0.1:0", 1 << 20, io.s, &e);
    assert_non_null(udp);
    assert_non_null(getcwd(here, sizeof here));
    if (strlen(here) > 80) { /* too long for a socket's name */
        (void)snprintf(here, sizeof here, "/tmp/statsd-XXXXXX");
        assert_non_null(mkdtemp(here));
        aside = true;
    }
    (void)snprintf(address, sizeof address, "unixgram:%.80s/s.sock", here);
    un = statsd_listen(io.loop, NULL, address, 1 << 20, io.s, &e);
    assert_non_null(un);
    assert_null(statsd_listen(io.loop, NULL, address, 1 << 20, io.s, &e)); /* in use */
    to.sin_port = htons((uint16_t)statsd_listener_port(udp));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(sendto(fd, "a:1|c\nb:1|g", 11, 0, (struct sockaddr *)&to, sizeof to), 11);
    (void)close(fd);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    (void)snprintf(path.sun_path, sizeof path.sun_path, "%.80s/s.sock", here);
    for (int i = 0; i < 4; i++)
        assert_int_equal(sendto(fd, "a:1|c", 5, 0, (struct sockaddr *)&path, sizeof path), 5);
    (void)close(fd);
    timer_set(io.t, span_ms(1));
    assert_int_equal(loop_run(io.loop), 0);
    assert_int_equal(statsd_stats(io.s).samples, 6);
    assert_int_equal(statsd_listener_dropped(udp), 0);
    statsd_listener_free(&udp);
    statsd_listener_free(&un);
    assert_int_not_equal(access(path.sun_path, F_OK), 0);
    if (aside)
        (void)rmdir(here);
    assert_int_not_equal(statsd_address_check("udp://nowhere:1", &e), 0);
    assert_int_not_equal(statsd_address_check("tcp://127.0.0.1:1", &e), 0);
    assert_int_not_equal(statsd_address_check("udp://127.0.0.1", &e), 0);
    assert_int_equal(statsd_address_check("udp://[::1]:8125", &e), 0);
    timer_free(&io.t);
    statsd_free(&io.s);
    loop_free(&io.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),          cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_names_and_tags), cmocka_unit_test(test_wrong_lines),
        cmocka_unit_test(test_kinds),          cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_rates),          cmocka_unit_test(test_limits),
        cmocka_unit_test(test_events),         cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_sockets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
