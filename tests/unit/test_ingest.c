/* The ingest thread as a client sees it, over HTTP on loopback: the order of answers, what is
 * durable and visible, restarts, repetitions that come at the same moment, orderly ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/sha.h>
#include <sqlite3.h>
#include <unistd.h>

#include "aggregator/ingest/auth.h"
#include "aggregator/store/journal.h"
#include "common/net/http_client.h"
#include "tests/unit/ingest_kit.h"
#include "tests/unit/damage.h"

static const char plain[] = "[ingest]\nlisten = 127.0.0.1:0\nauth = none\npersist = 1s\n"
                            "[percentile p]\nmetric = test_0\nby = region\nwindows = 1h\nquantiles = 0.5\n";

struct reply {
    int status, code;
    char type[64], retry[16];
    uint8_t body[4096];
    size_t n;
    struct wire_answer a;
};

struct site {
    struct err e;
    struct log *log;
    struct config *config;
    struct ingest *in;
    struct loop *loop;
    struct http_client *client;
    struct arena arena;
    char url[64];
    int64_t now; /* of the ticks: the same for repetitions */
    unsigned left;
    struct gathered *view;
};

static void start(struct site *s, const char *dir)
{
    struct ingest_params p = {.config = s->config, .state_dir = dir, .log = s->log, .seed = {1, 2}};
    struct buf report;

    buf_init(&report, NULL, 1 << 16);
    s->in = ingest_start(&p, &report, &s->e);
    if (!s->in)
        print_message("%s\n", s->e.text);
    assert_non_null(s->in);
    buf_free(&report);
    (void)snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", ingest_port(s->in));
    while (!ingest_ready(s->in))
        (void)usleep(1000);
}

static struct site *site_new(const char *config, const char *dir)
{
    struct site *s = calloc(1, sizeof *s);

    assert_non_null(s);
    (void)mkdir(dir, 0750);
    s->log = log_new(&(struct log_params){.level = LOG_INFO, .file = "log"}, &s->e);
    s->loop = loop_new(&s->e);
    s->client = http_client_new(s->loop, &(struct http_client_params){.max_connections = 16}, &s->e);
    s->now = clock_wall().ms;
    s->config = kit_config(config, &s->e);
    assert_non_null(s->config);
    arena_init(&s->arena, NULL, 0);
    start(s, dir);
    return s;
}

static void site_free(struct site *s)
{
    ingest_stop(&s->in);
    http_client_free(&s->client);
    loop_free(&s->loop);
    config_free(&s->config);
    log_free(&s->log);
    arena_free(&s->arena);
    free(s);
}

struct call {
    struct site *s;
    struct reply *r;
    bool definitions;
};

static void came(void *arg, const struct http_result *r)
{
    struct call *c = arg;
    struct err e = {0};

    c->r->status = r->status;
    c->r->code = r->code;
    if (r->code == 0) {
        (void)snprintf(c->r->type, sizeof c->r->type, "%s", r->content_type);
        (void)snprintf(c->r->retry, sizeof c->r->retry, "%s", r->retry_after);
        c->r->n = r->body.n < sizeof c->r->body ? r->body.n : sizeof c->r->body;
        memcpy(c->r->body, r->body.p, c->r->n);
        assert_int_equal(
            wire_answer_decode(r->status, c->r->body, c->r->n, c->definitions, &c->s->arena, &c->r->a, &e),
            0);
    }
    if (--c->s->left == 0)
        loop_stop(c->s->loop);
    free(c);
}

static void send_to(struct site *s, const char *method, const char *path, const char *type,
                    const char *encoding, struct bytes body, struct reply *r)
{
    struct http_header h[] = {{"Content-Type", type}, {"Content-Encoding", encoding}};
    char url[128];
    struct call *c = calloc(1, sizeof *c);

    *c = (struct call){s, r, strcmp(path, "/v1/definitions") == 0};
    (void)snprintf(url, sizeof url, "%s%s", s->url, path);
    assert_non_null(http_client_send(s->client,
                                     &(struct http_request){.method = method,
                                                            .url = url,
                                                            .headers = h,
                                                            .n_headers = encoding ? 2 : 1,
                                                            .body = body.p,
                                                            .body_len = body.n,
                                                            .idempotent = true},
                                     came, c, &s->e));
    s->left++;
}

static struct reply post(struct site *s, const char *path, const char *type, struct bytes body)
{
    struct reply r = {0};

    send_to(s, "POST", path, type, NULL, body, &r);
    assert_int_equal(loop_run(s->loop), 0);
    assert_int_equal(r.code, 0);
    assert_string_equal(r.type, WIRE_TYPE_ANSWER);
    return r;
}

static struct reply post_batch(struct site *s, const struct buf *frame)
{
    return post(s, "/v1/batches", WIRE_TYPE_BATCH, buf_bytes(frame));
}

static struct reply post_definitions(struct site *s, const struct kit_host *h)
{
    return post(s, "/v1/definitions", WIRE_TYPE_DEFINITIONS, buf_bytes(&h->definitions));
}

static struct reply give(struct site *s, struct kit_host *h, const char *agent, uint64_t epoch, uint64_t seq,
                         int64_t twist)
{
    struct reply r;
    struct buf b;

    buf_init(&b, NULL, 1 << 20);
    kit_frame(h, agent, epoch, seq, 1, s->now, twist, &b);
    r = post_batch(s, &b);
    buf_free(&b);
    return r;
}

static void seen(void *arg, struct gathered *g)
{
    struct site *s = arg;

    s->view = g;
    loop_stop(s->loop);
}

static const struct family *family(const struct snapshot *snap, const char *name)
{
    for (uint32_t i = 0; i < snap->n_families; i++)
        if (strcmp(snap->families[i].name, name) == 0)
            return &snap->families[i];
    return NULL;
}

/* The latest value of the first series of a name; -1: not shown. */
static double latest(struct site *s, const char *name)
{
    const struct family *f;
    double v;

    assert_int_equal(ingest_ask(s->in, s->loop, seen, s), 0);
    assert_int_equal(loop_run(s->loop), 0);
    assert_non_null(s->view);
    assert_non_null(s->view->snap);
    assert_true(s->view->self.n > 50);
    f = family(s->view->snap, name);
    v = f && f->n ? f->values[0].value : -1;
    gathered_free(&s->view);
    return v;
}

static void test_a_batch_end_to_end(void **state)
{
    struct site *s = site_new(plain, "one");
    struct kit_host *h = kit_host("web-1", 20, 10);
    struct reply r = give(s, h, "web-1", 1000, 1, 0);

    (void)state;
    assert_int_equal(r.status, 409);
    assert_int_equal(r.a.n_need, 2);
    assert_memory_equal(r.a.need[0].b, h->entries[0].hash.b, 16);
    assert_true(latest(s, "test_3") == -1);
    assert_int_equal(post_definitions(s, h).status, 200);
    r = give(s, h, "web-1", 1000, 1, 0);
    assert_int_equal(r.status, 200);
    assert_false(r.a.duplicate);
    assert_int_equal(r.a.seq, 1);
    assert_int_equal(r.a.epoch, 1000);
    assert_true(latest(s, "test_3") == 19 * 4);
    r = give(s, h, "web-1", 1000, 1, 0);
    assert_int_equal(r.status, 200);
    assert_true(r.a.duplicate);
    r = give(s, h, "web-1", 1000, 1, 5);
    assert_int_equal(r.status, 422);
    assert_int_equal(r.a.reason, WIRE_CONFLICT);
    assert_int_equal(give(s, h, "web-1", 1001, 1, 0).status, 200);
    r = give(s, h, "web-1", 1000, 2, 0);
    assert_int_equal(r.status, 410);
    assert_int_equal(r.a.epoch, 1001);
    r = give(s, h, "web-1", UINT64_MAX, 2, 0);
    assert_int_equal(r.status, 422);
    assert_int_equal(r.a.reason, WIRE_EPOCH);
    kit_host_free(&h);
    site_free(s);
}

static void test_what_the_head_tells(void **state)
{
    struct site *s = site_new(plain, "head");
    struct bytes junk = {(const uint8_t *)"junk", 4};
    static uint8_t big[WIRE_MAX_BODY + 1];
    struct reply r;

    (void)state;
    assert_int_equal(post(s, "/v1/batch", WIRE_TYPE_BATCH, junk).a.reason, WIRE_NOT_FOUND);
    assert_int_equal(post(s, "/v1/batches?x=1", WIRE_TYPE_BATCH, junk).a.reason, WIRE_FRAME);
    assert_int_equal(post(s, "/v1/batches", WIRE_TYPE_DEFINITIONS, junk).a.reason, WIRE_TYPE);
    assert_int_equal(post(s, "/v1/batches", "application/VND.securebase.batch ; q=1", junk).a.reason,
                     WIRE_FRAME);
    assert_int_equal(post(s, "/v1/batches", "application/vnd.securebase.batches", junk).a.reason, WIRE_TYPE);
    r = post(s, "/v1/batches", WIRE_TYPE_BATCH, (struct bytes){big, sizeof big});
    assert_int_equal(r.status, 413);
    assert_int_equal(r.a.reason, WIRE_TOO_LARGE);
    send_to(s, "POST", "/v1/batches", WIRE_TYPE_BATCH, "gzip", junk, &r);
    assert_int_equal(loop_run(s->loop), 0);
    assert_int_equal(r.status, 415);
    send_to(s, "GET", "/v1/batches", WIRE_TYPE_BATCH, NULL, (struct bytes){NULL, 0}, &r);
    assert_int_equal(loop_run(s->loop), 0);
    assert_int_equal(r.status, 405);
    assert_int_equal(r.a.reason, WIRE_METHOD);
    site_free(s);
}

/* Sixteen connections bring the same three batches, all at once. */
static void test_repetitions_at_the_same_moment(void **state)
{
    struct site *s = site_new(plain, "same");
    struct kit_host *h = kit_host("web-1", 20, 10);
    struct reply r[48];
    unsigned fresh[3] = {0};
    struct buf b[3];

    (void)state;
    assert_int_equal(post_definitions(s, h).status, 200);
    for (int k = 0; k < 3; k++) {
        buf_init(&b[k], NULL, 1 << 20);
        kit_frame(h, "web-1", 5, (uint64_t)k + 1, 1, clock_wall().ms, 0, &b[k]);
    }
    for (int i = 0; i < 48; i++)
        send_to(s, "POST", "/v1/batches", WIRE_TYPE_BATCH, NULL, buf_bytes(&b[i % 3]), &r[i]);
    assert_int_equal(loop_run(s->loop), 0);
    for (int i = 0; i < 48; i++) {
        assert_int_equal(r[i].code, 0);
        assert_int_equal(r[i].status, 200);
        fresh[i % 3] += !r[i].a.duplicate;
    }
    for (int k = 0; k < 3; k++) {
        assert_int_equal(fresh[k], 1);
        buf_free(&b[k]);
    }
    kit_host_free(&h);
    site_free(s);
}

static uint64_t percentile_count(struct site *s)
{
    uint64_t n;

    assert_int_equal(ingest_ask(s->in, s->loop, seen, s), 0);
    assert_int_equal(loop_run(s->loop), 0);
    assert_int_equal(s->view->snap->n_percentiles, 1);
    n = s->view->snap->percentiles[0].n_groups ? s->view->snap->percentiles[0].groups[0].windows[0].n : 0;
    gathered_free(&s->view);
    return n;
}

static void test_restarts(void **state)
{
    struct site *s = site_new(plain, "again");
    struct kit_host *h = kit_host("web-1", 20, 10);
    struct reply r;
    uint64_t n;

    (void)state;
    assert_int_equal(post_definitions(s, h).status, 200);
    for (uint64_t seq = 1; seq <= 5; seq++)
        assert_int_equal(give(s, h, "web-1", 7, seq, 0).status, 200);
    n = percentile_count(s);
    assert_true(n > 0);
    for (int round = 0; round < 3; round++) {
        ingest_stop(&s->in);
        if (round == 1)
            assert_int_equal(unlink("again/history.db"), 0); /* all is made again from the journal */
        start(s, "again");
        assert_true(latest(s, "test_3") == 59 * 4);
        assert_int_equal(percentile_count(s), n);
        r = give(s, h, "web-1", 7, 3, 0);
        assert_int_equal(r.status, 200);
        assert_true(r.a.duplicate);
        assert_int_equal(give(s, h, "web-1", 7, 3, 1).status, 422);
        assert_int_equal(give(s, h, "web-1", 6, 3, 1).status, 410);
    }
    ingest_stop(&s->in);
    {
        struct buf report;

        buf_init(&report, NULL, 1 << 16);
        assert_int_equal(store_verify("again/journal.db", &report, &s->e), 0);
        assert_int_equal(report.len, 0);
        buf_free(&report);
    }
    start(s, "again");
    assert_int_equal(give(s, h, "web-1", 7, 6, 0).status, 200);
    kit_host_free(&h);
    site_free(s);
}

static void test_forgetting_and_reload(void **state)
{
    struct site *s = site_new(plain, "forget");
    struct kit_host *h = kit_host("web-1", 20, 10);
    struct config *fresh = kit_config(plain, &s->e);
    struct buf report;

    (void)state;
    buf_init(&report, NULL, 1 << 16);
    assert_int_equal(post_definitions(s, h).status, 200);
    assert_int_equal(give(s, h, "web-1", 7, 1, 0).status, 200);
    assert_int_equal(ingest_reload(s->in, fresh, NULL, 0, &report, &s->e), 0);
    config_free(&s->config);
    s->config = fresh;
    assert_true(give(s, h, "web-1", 7, 1, 0).a.duplicate);
    assert_int_equal(ingest_forget_agent(s->in, "web-2", &s->e), ERR_NOTFOUND);
    assert_int_equal(ingest_forget_agent(s->in, "web-1", &s->e), 0);
    assert_true(latest(s, "test_3") == -1);
    assert_false(give(s, h, "web-1", 7, 1, 0).a.duplicate);
    buf_free(&report);
    kit_host_free(&h);
    site_free(s);
}

static void test_damaged_files(void **state)
{
    struct site *s = site_new(plain, "damaged");
    struct kit_host *h = kit_host("web-1", 20, 10);
    const char *const files[] = {"damaged/journal.db", "damaged/history.db"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        FILE *f;

        assert_int_equal(post_definitions(s, h).status, 200);
        assert_int_equal(give(s, h, "web-1", 7 + (uint64_t)i, 1, 0).status, 200);
        ingest_stop(&s->in);
        f = fopen(files[i], "r+");
        assert_int_equal(fputs("this is not a database", f) < 0, 0);
        assert_int_equal(fclose(f), 0);
        start(s, "damaged");
        assert_int_equal(post_definitions(s, h).status, 200);
        assert_int_equal(give(s, h, "web-1", 7 + (uint64_t)i, 2, 0).status, 200);
    }
    assert_int_equal(access("damaged/journal.db.damaged-1", F_OK), 0);
    assert_int_equal(access("damaged/history.db.damaged-1", F_OK), 0);
    kit_host_free(&h);
    site_free(s);
}

/* A batch with ten ticks of its own, so that each counts apart. */
static struct reply bring(struct site *s, struct kit_host *h, uint64_t seq, int64_t twist)
{
    int64_t now = s->now;
    struct reply r;

    s->now += ((int64_t)seq - 6) * 10000;
    r = give(s, h, "web-1", 7, seq, twist);
    s->now = now;
    return r;
}

/* Brings a batch until it is taken, as an agent does. */
static struct reply give_until_taken(struct site *s, struct kit_host *h, uint64_t seq)
{
    struct reply r;

    while ((r = bring(s, h, seq, 0)).status == 503)
        (void)usleep(10000);
    return r;
}

static void check_all_counted_once(struct site *s, struct kit_host *h, uint64_t last, uint64_t n)
{
    assert_true(latest(s, "test_3") == (double)(last * 10 + 9) * 4);
    assert_int_equal(percentile_count(s), n);
    for (uint64_t seq = 1; seq <= last; seq++) {
        struct reply r = bring(s, h, seq, 0);

        assert_int_equal(r.status, 200);
        assert_true(r.a.duplicate);
        assert_int_equal(bring(s, h, seq, 1).status, 422); /* digests are known */
    }
    assert_int_equal(percentile_count(s), n);
}

static void check_good(struct site *s, const char *path)
{
    struct buf report;

    buf_init(&report, NULL, 1 << 16);
    assert_int_equal(store_verify(path, &report, &s->e), 0);
    buf_free(&report);
}

static void test_journal_damaged_while_running(void **state)
{
    struct site *s = site_new(plain, "running");
    struct kit_host *h = kit_host("web-1", 20, 10), *other = kit_host("web-2", 30, 10);
    uint64_t n = 0;

    (void)state;
    assert_int_equal(post_definitions(s, h).status, 200);
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_int_equal(bring(s, h, seq, 0).status, 200);
    ingest_stop(&s->in);
    damage_tree("running/journal.db", "sqlite_autoindex_definitions_1");
    start(s, "running");
    assert_int_equal(bring(s, h, 4, 0).status, 200); /* in the journal alone */
    assert_int_equal(post_definitions(s, other).status, 503);
    assert_false(give_until_taken(s, h, 5).a.duplicate);
    assert_int_equal(access("running/journal.db.damaged-1", F_OK), 0);
    assert_int_equal(access("running/journal.db.new", F_OK), -1);
    assert_int_equal(post_definitions(s, other).status, 200);
    n = percentile_count(s);
    assert_true(n > 0);
    check_all_counted_once(s, h, 5, n);
    ingest_stop(&s->in);
    check_good(s, "running/journal.db");
    start(s, "running");
    check_all_counted_once(s, h, 5, n);
    assert_int_equal(bring(s, h, 6, 0).status, 200);                /* its definitions are known */
    assert_int_equal(give(s, other, "web-2", 7, 1, 0).status, 200); /* and the other's */
    kit_host_free(&h);
    kit_host_free(&other);
    site_free(s);
}

static void test_history_damaged_while_running(void **state)
{
    struct site *s = site_new(plain, "later");
    struct kit_host *h = kit_host("web-1", 20, 10);
    uint64_t n = 0;

    (void)state;
    assert_int_equal(post_definitions(s, h).status, 200);
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_int_equal(bring(s, h, seq, 0).status, 200);
    ingest_stop(&s->in);
    damage_tree("later/history.db", "sqlite_autoindex_records_1");
    start(s, "later");
    assert_int_equal(bring(s, h, 4, 0).status, 200);
    while (access("later/history.db.damaged-1", F_OK) != 0) /* persisted each 100 ms */
        (void)usleep(10000);
    assert_int_equal(bring(s, h, 5, 0).status, 200);
    n = percentile_count(s);
    assert_true(n > 0);
    check_all_counted_once(s, h, 5, n);
    ingest_stop(&s->in);
    assert_int_equal(unlink("later/journal.db"), 0); /* what is told now comes from the new history */
    start(s, "later");
    assert_int_equal(percentile_count(s), n);
    kit_host_free(&h);
    site_free(s);
}

static void test_tokens(void **state)
{
    char text[1024], hex[65];
    uint8_t hash[32];
    struct auth auth = {.mem = NULL};
    struct caller who;
    struct config *c;
    struct err e = {0};

    (void)state;
    (void)SHA256((const uint8_t *)"s3cret", 6, hash);
    for (int i = 0; i < 32; i++)
        (void)snprintf(hex + 2 * i, 3, "%02X", hash[i]);
    (void)snprintf(
        text, sizeof text,
        "[ingest]\nlisten = 127.0.0.1:0\nauth = none\n[token a]\nhash = %s\nagent = web-1\ntenant = acme\n"
        "[token b]\nhash = %064d\nrole = relay\n",
        hex, 0);
    c = kit_config(text, &e);
    assert_non_null(c);
    assert_int_equal(auth_load(&auth, c, &e), 0);
    assert_false(auth_caller(&auth, NULL, &who));
    assert_false(auth_caller(&auth, "Bearer s3cre", &who));
    assert_false(auth_caller(&auth, "Basic s3cret", &who));
    assert_true(auth_caller(&auth, "bearer s3cret", &who));
    assert_int_equal(who.n, 1);
    assert_string_equal(who.agent[0], "web-1");
    assert_string_equal(who.tenant, "acme");
    assert_false(who.relay);
    config_free(&c);
    auth_free(&auth);
    assert_null(kit_config("[ingest]\nlisten = 0.0.0.0:1\nauth = none\n", &e));
    assert_null(kit_config("[ingest]\nlisten = 127.example.com:1\nauth = none\n", &e));
    assert_null(kit_config("[ingest]\nauth = mtls\n", &e));
    assert_null(
        kit_config("[ingest]\nlisten = 127.0.0.1:0\nauth = none\n[token a]\nhash = 12\nrole = relay\n", &e));
}

static void test_callers(void **state)
{
    struct tls_identity id = {.verified = true, .n = 5, .cn = "web-9"};
    struct caller who;

    (void)state;
    (void)snprintf(id.uri[0], sizeof id.uri[0], "securebase://agent/web-1");
    (void)snprintf(id.uri[1], sizeof id.uri[1], "securebase://agent/../x");
    (void)snprintf(id.uri[2], sizeof id.uri[2], "securebase://role/viewer");
    (void)snprintf(id.uri[3], sizeof id.uri[3], "securebase://tenant/acme");
    (void)snprintf(id.uri[4], sizeof id.uri[4], "https://agent/web-2");
    assert_true(caller_of_tls(&id, false, &who));
    assert_int_equal(who.n, 1);
    assert_false(who.relay);
    assert_string_equal(who.tenant, "acme");
    assert_true(caller_of_tls(&id, true, &who));
    assert_int_equal(who.n, 2);
    (void)snprintf(id.uri[0], sizeof id.uri[0], "securebase://role/relay");
    assert_true(caller_of_tls(&id, false, &who));
    assert_true(who.relay);
    assert_int_equal(who.n, 0);
    id.verified = false;
    assert_false(caller_of_tls(&id, true, &who));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_end_to_end),
        cmocka_unit_test(test_what_the_head_tells),
        cmocka_unit_test(test_repetitions_at_the_same_moment),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_forgetting_and_reload),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_journal_damaged_while_running),
        cmocka_unit_test(test_history_damaged_while_running),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_callers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
