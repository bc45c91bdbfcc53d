/* Damaged journals: whatever pages are spoilt, each start ends with a file that reads without fault and holds
 * nothing false; what a page does not hold is not lost with it; a kill on the way changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aggregator/store/control.h"
#include "aggregator/store/journal.h"
#include "common/base/rng.h"

enum { BATCHES = 400, AGENTS = 4, DEFINITIONS = 40, PAGE = 4096, FRAME = 6000 };

struct env {
    struct loop *loop;
    struct log *log;
    struct err e;
    unsigned left;
    int code;
};

static struct env *env_new(void)
{
    struct env *v = calloc(1, sizeof *v);

    assert_non_null(v);
    v->loop = loop_new(&v->e);
    v->log = log_new(&(struct log_params){.level = LOG_INFO, .file = "log"}, &v->e);
    assert_non_null(v->loop);
    return v;
}

static void env_free(struct env *v)
{
    loop_free(&v->loop);
    log_free(&v->log);
    free(v);
}

static void answered(void *arg, int code)
{
    struct env *v = arg;

    v->code = code ? code : v->code;
    if (--v->left == 0)
        loop_stop(v->loop);
}

static void appended(void *arg, int64_t position, int code)
{
    (void)position;
    answered(arg, code);
}

static struct journal *open_journal(struct env *v, const char *path)
{
    struct journal *j =
        journal_open(&(struct journal_params){.path = path, .loop = v->loop, .log = v->log}, &v->e);

    if (!j)
        print_message("%s\n", v->e.text);
    assert_non_null(j);
    return j;
}

static size_t fill_frame(uint64_t seq, uint8_t frame[FRAME])
{
    size_t n = 100 + seq * 37 % (FRAME - 100);

    for (size_t i = 0; i < n; i++)
        frame[i] = (uint8_t)(seq + i * seq);
    return n;
}

static void append(struct journal *j, struct env *v, uint64_t seq)
{
    static const char *const names[AGENTS] = {"web-1", "web-2", "web-3", "db-1"};
    uint8_t frame[FRAME], state[4] = {1, (uint8_t)seq, 2, 3};
    size_t n = fill_frame(seq, frame);
    struct wire_hash h = wire_hash_of(frame, n);
    struct journal_batch b = {.agent = {names[seq % AGENTS], (uint32_t)strlen(names[seq % AGENTS])},
                              .epoch = 5,
                              .seq = seq,
                              .received = {1000 + (int64_t)seq},
                              .watermark = {state, sizeof state},
                              .frame = {frame, n}};

    memcpy(b.digest, h.b, sizeof b.digest);
    assert_int_equal(journal_append(j, &b, appended, v), 0);
    v->left++;
}

static void make_template(struct env *v, const char *path)
{
    struct journal *j = open_journal(v, path);
    uint8_t value[DEFINITIONS][3000];
    struct wire_entry entry[DEFINITIONS];

    for (int i = 0; i < DEFINITIONS; i++) {
        memset(value[i], i + 1, sizeof value[i]);
        entry[i] = (struct wire_entry){wire_hash_of(value[i], 200 + (size_t)i * 70),
                                       {value[i], 200 + (size_t)i * 70}};
    }
    assert_int_equal(journal_define(j, (struct wire_str){"web-1", 5}, entry, DEFINITIONS, answered, v), 0);
    v->left++;
    for (uint64_t seq = 1; seq <= BATCHES; seq++)
        append(j, v, seq);
    assert_int_equal(loop_run(v->loop), 0);
    assert_int_equal(v->code, 0);
    journal_close(&j);
}

struct found {
    unsigned batches, digests, definitions, watermarks;
    int64_t position;
};

static int on_entry(void *arg, const struct journal_entry *entry)
{
    struct found *f = arg;
    uint8_t frame[FRAME];
    size_t n = fill_frame(entry->batch.seq, frame);

    assert_true(entry->position > f->position);
    assert_int_equal(entry->batch.frame.n, n);
    assert_memory_equal(entry->batch.frame.p, frame, n);
    f->position = entry->position;
    f->batches++;
    return 0;
}

static int on_digest(void *arg, const struct journal_digest *d)
{
    (void)d;
    ((struct found *)arg)->digests++;
    return 0;
}

static int on_definition(void *arg, struct wire_hash h, struct bytes value, struct wire_str agent)
{
    struct wire_hash is = wire_hash_of(value.p, value.n);

    (void)agent;
    assert_memory_equal(is.b, h.b, sizeof h.b);
    ((struct found *)arg)->definitions++;
    return 0;
}

static int on_watermark(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state)
{
    (void)agent, (void)epoch, (void)state;
    ((struct found *)arg)->watermarks++;
    return 0;
}

static int look(struct journal *j, struct env *v, struct found *f)
{
    int rc;

    *f = (struct found){0};
    if ((rc = journal_load_definitions(j, on_definition, f, &v->e)) == 0 &&
        (rc = journal_load_watermarks(j, on_watermark, f, &v->e)) == 0 &&
        (rc = journal_load_digests(j, on_digest, f, &v->e)) == 0)
        rc = journal_replay(j, 0, (struct wall){0}, on_entry, f, &v->e);
    return rc;
}

/* As a start does it. */
static struct journal *start(struct env *v, const char *path, struct found *f)
{
    struct journal *j = open_journal(v, path);
    int rc = look(j, v, f);

    if (rc == ERR_MALFORMED) {
        assert_int_equal(journal_renew(j, &v->e), 0);
        rc = look(j, v, f);
    }
    assert_int_equal(rc, 0);
    return j;
}

static uint8_t *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "r");
    uint8_t *p;

    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *n = (size_t)ftell(f);
    rewind(f);
    p = malloc(*n);
    assert_int_equal(fread(p, 1, *n, f), *n);
    assert_int_equal(fclose(f), 0);
    return p;
}

static void write_file(const char *path, const uint8_t *p, size_t n)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void remove_all(const char *path)
{
    char name[64];

    (void)unlink(path);
    for (int i = 1; i <= 3; i++) {
        (void)snprintf(name, sizeof name, "%s.damaged-%d", path, i);
        (void)unlink(name);
    }
}

static bool is_root(const uint8_t *template, unsigned page)
{
    return page == 0 || template[(size_t)page * PAGE] == 5 || template[(size_t)page * PAGE] == 2;
}

static void spoil(uint8_t *page, struct rng *rng)
{
    size_t from = rng_below(rng, 2) ? 0 : rng_below(rng, PAGE - 64);
    size_t n = from ? 64 : PAGE;

    for (size_t i = 0; i < n; i++)
        page[from + i] = (uint8_t)rng_below(rng, 256);
}

/* verify-store finds fault with a damaged file, and does not write into it. */
static void check_told(const char *path)
{
    struct buf report;
    struct err e = {0};
    size_t n, m;
    uint8_t *p = read_file(path, &n), *q;

    buf_init(&report, NULL, 1 << 20);
    assert_int_equal(store_verify(path, &report, &e), ERR_MALFORMED);
    assert_true(report.len > 0);
    q = read_file(path, &m);
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
    buf_free(&report);
}

/* One page of a leaf or of an overflow: all else is there. */
static void test_one_page_costs_no_more_than_itself(void **state)
{
    struct env *v = env_new();
    struct found f, all;
    struct journal *j;
    struct rng rng;
    size_t n;
    uint8_t *p;
    unsigned worst = BATCHES;

    (void)state;
    rng_seed(&rng, 7);
    make_template(v, "t.db");
    j = start(v, "t.db", &all);
    journal_close(&j);
    assert_int_equal(all.batches, BATCHES);
    assert_int_equal(all.digests, BATCHES);
    assert_int_equal(all.definitions, DEFINITIONS);
    assert_int_equal(all.watermarks, AGENTS);
    p = read_file("t.db", &n);
    for (unsigned page = 0; page < n / PAGE; page += 19) {
        uint8_t kept[PAGE];

        if (is_root(p, page))
            continue;
        memcpy(kept, p + (size_t)page * PAGE, PAGE);
        spoil(p + (size_t)page * PAGE, &rng);
        write_file("d.db", p, n);
        check_told("d.db");
        j = start(v, "d.db", &f);
        worst = f.batches < worst ? f.batches : worst;
        journal_close(&j);
        j = start(v, "d.db", &all); /* good now */
        assert_memory_equal(&all, &f, sizeof f);
        journal_close(&j);
        memcpy(p + (size_t)page * PAGE, kept, PAGE);
        remove_all("d.db");
    }
    print_message("fewest batches read with one page spoilt: %u of %d\n", worst, BATCHES);
    assert_true(worst >= BATCHES - 40);
    free(p);
    env_free(v);
}

/* What the start does not read may be damaged too: the first
 * commit meets it, and the journal is begun anew. */
static void append_until_taken(struct journal *j, struct env *v, uint64_t seq)
{
    for (int i = 0; i < 3; i++) {
        v->code = 0;
        append(j, v, seq);
        assert_int_equal(loop_run(v->loop), 0);
        if (v->code == 0)
            return;
    }
    fail();
}

/* Any pages at all, roots included. */
static void test_any_damage(void **state)
{
    struct env *v = env_new();
    struct rng rng;
    size_t n;
    uint8_t *p, *q;

    (void)state;
    rng_seed(&rng, 11);
    make_template(v, "u.db");
    p = read_file("u.db", &n);
    q = malloc(n);
    for (int round = 0; round < 24; round++) {
        unsigned pages = 1 + (unsigned)rng_below(&rng, round % 3 ? 4 : 60);
        struct journal *j;
        struct found f, g;

        memcpy(q, p, n);
        for (unsigned i = 0; i < pages; i++)
            spoil(q + rng_below(&rng, round % 5 ? n / PAGE : 12) * PAGE, &rng);
        write_file("a.db", q, n);
        j = start(v, "a.db", &f);
        append_until_taken(j, v, BATCHES + 1);
        journal_close(&j);
        j = start(v, "a.db", &g);
        assert_int_equal(g.batches, f.batches + 1);
        journal_close(&j);
        remove_all("a.db");
    }
    free(p);
    free(q);
    env_free(v);
}

static void child(void)
{
    struct env *v = env_new();
    struct found f;
    struct journal *j = start(v, "k.db", &f);

    journal_close(&j);
    _exit(0);
}

/* Killed while the new file comes about or takes its place,
 * the next start finds all that the first would have. */
static void test_kill_on_the_way(void **state)
{
    struct env *v = env_new();
    struct found want, f;
    struct journal *j;
    struct rng rng;
    size_t n;
    uint8_t *p;
    int killed = 0;

    (void)state;
    rng_seed(&rng, 3);
    make_template(v, "w.db");
    p = read_file("w.db", &n);
    for (unsigned page = 100; page < 110; page++)
        if (!is_root(p, page))
            spoil(p + (size_t)page * PAGE, &rng);
    write_file("k.db", p, n);
    j = start(v, "k.db", &want);
    journal_close(&j);
    assert_true(want.batches < BATCHES && want.batches > BATCHES / 2);
    for (int round = 0; round < 16; round++) {
        int status;
        pid_t pid;

        remove_all("k.db");
        write_file("k.db", p, n);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child();
        (void)usleep((useconds_t)rng_below(&rng, 150000));
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed += WIFSIGNALED(status);
        j = start(v, "k.db", &f);
        assert_memory_equal(&f, &want, sizeof f);
        journal_close(&j);
        assert_int_equal(access("k.db.damaged-1", F_OK), 0);
        assert_int_equal(access("k.db.damaged-2", F_OK), -1);
        assert_int_equal(access("k.db.new", F_OK), -1);
        assert_int_equal(access("k.db.ready", F_OK), -1);
    }
    print_message("killed on the way: %d of 16\n", killed);
    assert_true(killed > 0);
    free(p);
    env_free(v);
}

static void spoil_index(const char *path, const char *index)
{
    sqlite3_stmt *st;
    sqlite3 *db;
    size_t n;
    uint8_t *p;
    int page;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", -1, &st, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(st, 1, index, -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    page = sqlite3_column_int(st, 0);
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    p = read_file(path, &n);
    memset(p + (size_t)(page - 1) * PAGE, 'x', PAGE);
    write_file(path, p, n);
    free(p);
}

struct tail {
    struct env *v;
    unsigned rows;
};

static void on_audit(void *arg, const struct control_entry *entry)
{
    (void)entry;
    ((struct tail *)arg)->rows++;
}

static void tail_done(void *arg, int code)
{
    assert_int_equal(code, 0);
    loop_stop(((struct tail *)arg)->v->loop);
}

/* The control store keeps nothing in memory: it reads what it can from the damaged file at once. */
static void test_the_audit_outlives_damage_while_running(void **state)
{
    struct env *v = env_new();
    struct control_params p = {.path = "c.db", .loop = v->loop, .log = v->log};
    struct control_audit a = {{5}, "ops", "agents forget web-1", "gone", NULL};
    struct tail tail = {v, 0};
    struct control *c;
    char id[16];

    (void)state;
    for (int i = 0; i < 21; i++) {
        (void)snprintf(id, sizeof id, "r%d", i);
        a.request_id = id;
        if (i == 0) {
            c = control_open(&p, &v->e);
        } else if (i == 20) {
            control_close(&c);
            spoil_index("c.db", "sqlite_autoindex_audit_1");
            c = control_open(&p, &v->e);
        }
        assert_non_null(c);
        do {
            v->code = 0;
            v->left = 1;
            assert_int_equal(control_audit(c, &a, answered, v), 0);
            assert_int_equal(loop_run(v->loop), 0);
        } while (v->code != 0);
    }
    assert_int_equal(access("c.db.damaged-1", F_OK), 0);
    assert_int_equal(control_audit_tail(c, 100, on_audit, tail_done, &tail), 0);
    assert_int_equal(loop_run(v->loop), 0);
    assert_int_equal(tail.rows, 21);
    control_close(&c);
    env_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_page_costs_no_more_than_itself),
        cmocka_unit_test(test_any_damage),
        cmocka_unit_test(test_kill_on_the_way),
        cmocka_unit_test(test_the_audit_outlives_damage_while_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
