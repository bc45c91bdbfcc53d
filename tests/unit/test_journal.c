/* The three stores on real files: what is answered is there after kill -9, once; failed commits leave
 * nothing; damage is set aside; positions never come twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aggregator/store/control.h"
#include "aggregator/store/history.h"
#include "aggregator/store/journal.h"
#include "aggregator/store/store.h"
#include "common/base/rng.h"

struct env {
    struct loop *loop;
    struct log *log;
    struct err e;
    unsigned left; /* answers awaited */
    int code;      /* of the last */
    int64_t position, left_of_pruning;
};

static struct env *env_new(void)
{
    struct env *v = calloc(1, sizeof *v);

    assert_non_null(v);
    v->loop = loop_new(&v->e);
    v->log = log_new(&(struct log_params){.level = LOG_INFO, .file = "log"}, &v->e);
    assert_non_null(v->loop);
    assert_non_null(v->log);
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

    v->code = code;
    if (v->left && --v->left == 0)
        loop_stop(v->loop);
}

static void pruned(void *arg, int64_t left, int code)
{
    ((struct env *)arg)->position = left;
    ((struct env *)arg)->left_of_pruning = left;
    answered(arg, code);
}

static void appended(void *arg, int64_t position, int code)
{
    struct env *v = arg;

    assert_true(code != 0 || position > v->position || v->position == v->left_of_pruning);
    if (code == 0)
        v->position = position;
    answered(arg, code);
}

static int wait_for(struct env *v, unsigned n)
{
    v->left = n;
    assert_int_equal(loop_run(v->loop), 0);
    return v->code;
}

static struct journal *open_journal(struct env *v, const char *path, uint64_t max)
{
    struct journal *j = journal_open(
        &(struct journal_params){.path = path, .loop = v->loop, .log = v->log, .max_queue_bytes = max},
        &v->e);

    if (!j)
        print_message("%s\n", v->e.text);
    return j;
}

static struct wire_str str(const char *s)
{
    return (struct wire_str){s, (uint32_t)strlen(s)};
}

/* Fills the frame. */
static struct journal_batch batch(uint64_t seq, uint8_t *frame, size_t n)
{
    struct wire_hash h;
    struct journal_batch b = {.agent = str("web-1"),
                              .tenant = str(seq % 2 ? "acme" : ""),
                              .epoch = UINT64_MAX - 1,
                              .seq = seq,
                              .received = {1000 + (int64_t)seq},
                              .refused = {seq % 3 ? 0 : seq},
                              .verdict = {(const uint8_t *)"vv", seq % 4 ? 0 : 2},
                              .watermark = {frame, 1},
                              .frame = {frame, n}};

    memset(frame, (int)(seq & 0xff), n);
    h = wire_hash_of(frame, n);
    memcpy(b.digest, h.b, sizeof b.digest);
    return b;
}

static int append(struct journal *j, struct env *v, uint64_t seq)
{
    uint8_t frame[300], mark = (uint8_t)seq;
    struct journal_batch b = batch(seq, frame, 10 + seq % 290);

    b.watermark.p = &mark;
    return journal_append(j, &b, appended, v);
}

struct seen {
    uint64_t n, first, last;
    int64_t position;
    unsigned digests, definitions, watermarks;
};

static int on_entry(void *arg, const struct journal_entry *entry)
{
    struct seen *s = arg;
    uint64_t seq = entry->batch.seq;
    uint8_t frame[300];
    struct journal_batch want = batch(seq, frame, 10 + seq % 290);

    assert_true(entry->position > s->position);
    assert_true(s->n == 0 || seq == s->last + 1);
    assert_int_equal(entry->batch.epoch, want.epoch);
    assert_int_equal(entry->batch.received.ms, want.received.ms);
    assert_int_equal(entry->batch.agent.n, 5);
    assert_int_equal(entry->batch.tenant.n, want.tenant.n);
    assert_memory_equal(entry->batch.digest, want.digest, 16);
    assert_memory_equal(entry->batch.refused, want.refused, sizeof want.refused);
    assert_int_equal(entry->batch.verdict.n, want.verdict.n);
    assert_int_equal(entry->batch.frame.n, want.frame.n);
    assert_memory_equal(entry->batch.frame.p, want.frame.p, want.frame.n);
    s->position = entry->position;
    s->first = s->n ? s->first : seq;
    s->last = seq;
    s->n++;
    return 0;
}

static int on_digest(void *arg, const struct journal_digest *d)
{
    struct seen *s = arg;
    uint8_t frame[300];
    struct journal_batch want = batch(d->seq, frame, 10 + d->seq % 290);

    assert_memory_equal(d->digest, want.digest, 16);
    assert_int_equal(d->refused[0], d->seq % 3 ? 0 : d->seq);
    s->digests++;
    return 0;
}

static int on_definition(void *arg, struct wire_hash h, struct bytes value, struct wire_str agent)
{
    struct seen *s = arg;

    assert_true(value.p[0] == 1 || value.p[0] == 2);
    assert_true(h.b[0] == wire_hash_of(value.p, value.n).b[0]);
    assert_true(agent.n > 0);
    s->definitions++;
    return 0;
}

static int on_watermark(void *arg, struct wire_str agent, uint64_t epoch, struct bytes state)
{
    struct seen *s = arg;

    (void)agent;
    assert_int_equal(epoch, UINT64_MAX - 1);
    assert_int_equal(state.n, 1);
    s->watermarks = state.p[0];
    return 0;
}

static struct seen look(struct journal *j, struct env *v, int64_t after, int64_t since)
{
    struct seen s = {0};

    assert_int_equal(journal_load_definitions(j, on_definition, &s, &v->e), 0);
    assert_int_equal(journal_load_watermarks(j, on_watermark, &s, &v->e), 0);
    assert_int_equal(journal_load_digests(j, on_digest, &s, &v->e), 0);
    assert_int_equal(journal_replay(j, after, (struct wall){since}, on_entry, &s, &v->e), 0);
    return s;
}

static void test_append_and_replay(void **state)
{
    struct env *v = env_new();
    struct journal *j = open_journal(v, "a.db", 0);
    struct seen s;
    uint64_t i;

    (void)state;
    assert_non_null(j);
    for (i = 1; i <= 600; i++)
        assert_int_equal(append(j, v, i), 0);
    assert_int_equal(wait_for(v, 600), 0);
    journal_close(&j);
    j = open_journal(v, "a.db", 0);
    s = look(j, v, 0, INT64_MAX);
    assert_int_equal(s.n, 600);
    assert_int_equal(s.first, 1);
    assert_int_equal(s.digests, 600);
    assert_int_equal(s.watermarks, 600 & 0xff);
    s = look(j, v, 590, INT64_MAX);
    assert_int_equal(s.n, 10);
    s = look(j, v, 590, 1000 + 501);
    assert_int_equal(s.n, 100);
    journal_close(&j);
    env_free(v);
}

static void test_close_answers_all(void **state)
{
    struct env *v = env_new();
    struct journal *j = open_journal(v, "c.db", 0);
    uint64_t i;

    (void)state;
    for (i = 1; i <= 100; i++)
        assert_int_equal(append(j, v, i), 0);
    v->left = 1000;
    journal_close(&j);
    assert_int_equal(v->left, 900);
    assert_int_equal(v->code, 0);
    env_free(v); /* a posted ping is still in the loop */
}

static void test_queue_bound(void **state)
{
    struct env *v = env_new();
    struct journal *j = open_journal(v, "q.db", 2000);
    unsigned taken = 0, full = 0, i;

    (void)state;
    for (i = 1; i <= 2000; i++) {
        int rc = append(j, v, i);

        assert_true(rc == 0 || rc == ERR_AGAIN);
        taken += rc == 0;
        full += rc != 0;
    }
    assert_true(full > 0 && taken > 0);
    v->left = 10000;
    journal_close(&j);
    assert_int_equal(v->left, 10000 - taken);
    env_free(v);
}

static void test_definitions_and_pruning(void **state)
{
    const struct bytes one = {(const uint8_t *)"\1one", 4}, two = {(const uint8_t *)"\2two", 4};
    struct wire_entry entry[2] = {{wire_hash_of(one.p, one.n), one}, {wire_hash_of(two.p, two.n), two}};
    struct journal_drop drop = {entry[0].hash, {"web-1", 5}};
    struct env *v = env_new();
    struct journal *j = open_journal(v, "p.db", 0);
    struct seen s;
    const struct wall now = {1000 + 1500};
    uint64_t i;

    (void)state;
    assert_int_equal(journal_define(j, str("web-1"), entry, 2, answered, v), 0);
    assert_int_equal(journal_define(j, str("web-2"), entry, 2, answered, v), 0);
    assert_int_equal(journal_define(j, str("web-2"), entry, 1, answered, v), 0);
    for (i = 1; i <= 1500; i++)
        assert_int_equal(append(j, v, i), 0);
    assert_int_equal(wait_for(v, 1503), 0);
    assert_int_equal(journal_prune(j, 1200, (struct wall){1000 + 1300}, now, pruned, v), 0);
    assert_int_equal(journal_drop_holds(j, &drop, 1, answered, v), 0);
    assert_int_equal(wait_for(v, 2), 0);
    assert_int_equal(v->position, 1201);
    journal_close(&j);
    j = open_journal(v, "p.db", 0);
    s = look(j, v, 0, 0);
    assert_int_equal(s.n, 300);
    assert_int_equal(s.first, 1201);
    assert_int_equal(s.definitions, 3);
    drop.agent = str("web-2");
    assert_int_equal(journal_prune(j, 1500, (struct wall){1000 + 1300}, now, pruned, v), 0);
    assert_int_equal(journal_drop_holds(j, &drop, 1, answered, v), 0);
    assert_int_equal(wait_for(v, 2), 0);
    assert_int_equal(v->position, 1300);
    assert_int_equal(journal_forget_agent(j, str("web-1"), answered, v), 0);
    assert_int_equal(wait_for(v, 1), 0);
    journal_close(&j);
    j = open_journal(v, "p.db", 0);
    s = look(j, v, 0, 0);
    assert_int_equal(s.first, 1300);
    assert_int_equal(s.definitions, 2); /* the second, twice */
    assert_int_equal(s.watermarks, 0);
    assert_int_equal(s.digests, 0);
    journal_close(&j);
    env_free(v);
}

/* The clock went back behind what was received: that goes at
 * once, rather than stand in the way of all that follows. */
static void test_pruning_after_a_step_back(void **state)
{
    struct env *v = env_new();
    struct journal *j = open_journal(v, "s.db", 0);
    uint64_t i;

    (void)state;
    for (i = 1; i <= 20; i++)
        assert_int_equal(append(j, v, i == 10 ? 5000 : i), 0);
    assert_int_equal(wait_for(v, 20), 0);
    assert_int_equal(journal_prune(j, 15, (struct wall){1000 + 18}, (struct wall){1000 + 20}, pruned, v), 0);
    assert_int_equal(wait_for(v, 1), 0);
    assert_int_equal(v->position, 16);
    assert_int_equal(journal_prune(j, 20, (struct wall){INT64_MAX}, (struct wall){INT64_MAX}, pruned, v), 0);
    assert_int_equal(append(j, v, 21), 0); /* stored behind it: nothing is said of it */
    v->left = 2;
    assert_int_equal(loop_run(v->loop), 0);
    assert_int_equal(v->left_of_pruning, 21);
    journal_close(&j);
    env_free(v);
}

static void test_positions_never_come_twice(void **state)
{
    struct env *v = env_new();
    struct journal *j = open_journal(v, "n.db", 0);

    (void)state;
    assert_int_equal(journal_raise(j, 5000, &v->e), 1);
    assert_int_equal(journal_raise(j, 4000, &v->e), 0);
    assert_int_equal(append(j, v, 1), 0);
    assert_int_equal(wait_for(v, 1), 0);
    assert_int_equal(v->position, 5001);
    assert_int_equal(
        journal_prune(j, INT64_MAX, (struct wall){INT64_MAX}, (struct wall){INT64_MAX}, pruned, v), 0);
    assert_int_equal(wait_for(v, 1), 0);
    assert_int_equal(v->position, INT64_MAX);
    v->position = 5001;
    journal_close(&j);
    j = open_journal(v, "n.db", 0);
    assert_int_equal(append(j, v, 2), 0);
    assert_int_equal(wait_for(v, 1), 0);
    assert_int_equal(v->position, 5002);
    journal_close(&j);
    env_free(v);
}

static void test_expired_digests_go(void **state)
{
    struct env *v = env_new();
    struct journal *j = open_journal(v, "x.db", 0);
    uint8_t frame[300] = {2};
    struct journal_batch b = batch(2, frame, 12);

    (void)state;
    assert_int_equal(append(j, v, 1), 0);
    assert_int_equal(wait_for(v, 1), 0);
    b.expired = v->position;
    assert_int_equal(journal_append(j, &b, appended, v), 0);
    assert_int_equal(wait_for(v, 1), 0);
    journal_close(&j);
    j = open_journal(v, "x.db", 0);
    {
        struct seen s = {0};

        assert_int_equal(journal_load_digests(j, on_digest, &s, &v->e), 0);
        assert_int_equal(s.digests, 1);
    }
    journal_close(&j);
    env_free(v);
}

/* The limit on the size of files makes each write beyond it fail, as a full disk does. */
static void test_full_disk_stores_nothing_and_recovers(void **state)
{
    struct rlimit old, small = {200 << 10, 0};
    struct env *v = env_new();
    struct journal *j = open_journal(v, "full.db", 0);
    struct seen s;
    uint64_t seq = 0, good = 0, bad = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    while (bad < 5 && seq < 5000) {
        assert_int_equal(append(j, v, good + 1), 0);
        seq++;
        if (wait_for(v, 1) == 0)
            good++;
        else
            bad++;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(bad, 5);
    assert_true(good > 0);
    for (seq = 0; seq < 20; seq++, good++) {
        assert_int_equal(append(j, v, good + 1), 0);
        assert_int_equal(wait_for(v, 1), 0);
    }
    journal_close(&j);
    j = open_journal(v, "full.db", 0);
    s = look(j, v, 0, 0);
    assert_int_equal(s.n, good);
    journal_close(&j);
    env_free(v);
}

/* A file system whose syncs fail on demand, under the default name. */
static atomic_int failing_syncs;
static sqlite3_vfs shaky;
/* Of databases and of logs: SQLite locks the former alone, by methods of their own. */
static sqlite3_io_methods shaky_methods[2];
static int (*real_sync)(sqlite3_file *f, int flags);

static int shaky_sync(sqlite3_file *f, int flags)
{
    if (atomic_load(&failing_syncs) > 0) {
        atomic_fetch_sub(&failing_syncs, 1);
        return SQLITE_IOERR_FSYNC;
    }
    return real_sync(f, flags);
}

static int shaky_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    sqlite3_vfs *real = vfs->pAppData;
    int rc = real->xOpen(real, name, f, flags, out);

    if (rc == SQLITE_OK && f->pMethods) {
        sqlite3_io_methods *m = &shaky_methods[!(flags & SQLITE_OPEN_MAIN_DB)];

        if (!m->xSync) {
            *m = *f->pMethods;
            real_sync = m->xSync;
            m->xSync = shaky_sync;
        }
        f->pMethods = m;
    }
    return rc;
}

/* After n failed syncs: either a commit was answered as failed and is not
 * there, or as stored and is there. With one, the file is closed in good
 * order; with more, the log stays behind and brings the transaction back. */
static void test_failed_sync_is_never_answered_wrongly(void **state)
{
    struct env *v = env_new();
    struct journal *j;
    uint64_t good = 0;
    int n, stored_after_all = 0, failed = 0;
    struct seen s;

    (void)state;
    shaky = *sqlite3_vfs_find(NULL);
    shaky.zName = "shaky";
    shaky.pAppData = sqlite3_vfs_find(NULL);
    shaky.xOpen = shaky_open;
    assert_int_equal(sqlite3_vfs_register(&shaky, 1), SQLITE_OK);
    j = open_journal(v, "sync.db", 0);
    for (n = 0; n < 40; n++) {
        int rc;

        atomic_store(&failing_syncs,
                     n % 2 ? 0 : n / 2 % 5); /* a good one between, so that the log is not new */
        assert_int_equal(append(j, v, good + 1), 0);
        rc = wait_for(v, 1);
        good += rc == 0;
        failed += rc != 0;
        stored_after_all += rc == 0 && n % 2 == 0 && n / 2 % 5 != 0;
        atomic_store(&failing_syncs, 0);
    }
    journal_close(&j);
    j = open_journal(v, "sync.db", 0);
    s = look(j, v, 0, 0);
    assert_int_equal(s.n, good);
    assert_int_equal(s.digests, good);
    assert_true(failed > 0);
    assert_true(stored_after_all > 0);
    journal_close(&j);
    assert_int_equal(sqlite3_vfs_unregister(&shaky), SQLITE_OK);
    env_free(v);
}

static void scribble(const char *path, long at, size_t n)
{
    FILE *f = fopen(path, "r+");

    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    while (n--)
        assert_int_equal(fputc('x', f), 'x');
    assert_int_equal(fclose(f), 0);
}

static void test_damage(void **state)
{
    struct env *v = env_new();
    struct journal *j = open_journal(v, "d.db", 0);
    uint64_t i;
    struct seen s = {0};

    (void)state;
    for (i = 1; i <= 500; i++)
        assert_int_equal(append(j, v, i), 0);
    assert_int_equal(wait_for(v, 500), 0);
    journal_close(&j);
    scribble("d.db", 0, 64);
    j = open_journal(v, "d.db", 0);
    assert_non_null(j);
    assert_int_equal(access("d.db.damaged-1", F_OK), 0);
    assert_int_equal(look(j, v, 0, 0).n, 0);
    v->position = 0;
    for (i = 1; i <= 500; i++)
        assert_int_equal(append(j, v, i), 0);
    assert_int_equal(wait_for(v, 500), 0);
    journal_close(&j);
    scribble("d.db", 14 * 4096, 20 * 4096);
    j = open_journal(v, "d.db", 0);
    assert_non_null(j);
    assert_int_equal(journal_replay(j, 0, (struct wall){0}, on_entry, &s, &v->e), ERR_MALFORMED);
    assert_int_equal(journal_renew(j, &v->e), 0);
    assert_int_equal(access("d.db.damaged-2", F_OK), 0);
    assert_int_equal(append(j, v, 501), 0); /* positions go on */
    assert_int_equal(wait_for(v, 1), 0);
    assert_true(v->position > 500);
    journal_close(&j);
    env_free(v);
}

/* A child appends and writes the number of each answered batch into a pipe, until it is killed. */
static void child(int fd)
{
    struct env *v = env_new();
    struct journal *j = open_journal(v, "k.db", 0);
    struct seen s = look(j, v, 0, 0);
    uint64_t seq = s.last;

    for (;;) {
        unsigned group = 1 + (unsigned)(seq % 7), i;

        for (i = 0; i < group; i++)
            if (append(j, v, ++seq) != 0)
                _exit(1);
        if (wait_for(v, group) != 0 || write(fd, &seq, sizeof seq) != sizeof seq)
            _exit(1);
    }
}

static void test_kill(void **state)
{
    uint64_t told = 0, n;
    struct rng rng;
    struct seen s;
    int round;

    (void)state;
    rng_seed(&rng, 1);
    for (round = 0; round < 12; round++) {
        struct env *v;
        struct journal *j;
        int fd[2];
        pid_t pid;

        assert_int_equal(pipe(fd), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child(fd[1]);
        (void)close(fd[1]);
        assert_int_equal(read(fd[0], &n, sizeof n), sizeof n); /* it is at work */
        told = n;
        (void)usleep((useconds_t)rng_below(&rng, 30000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (read(fd[0], &n, sizeof n) == sizeof n)
            told = n;
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void)close(fd[0]);
        v = env_new();
        j = open_journal(v, "k.db", 0);
        s = look(j, v, 0, 0); /* checks content and that seqs follow each other, each once */
        assert_int_equal(s.first, 1);
        assert_true(s.last >= told);
        assert_int_equal(s.n, s.last);
        assert_int_equal(s.watermarks, s.last & 0xff);
        assert_int_equal(s.digests, s.n);
        journal_close(&j);
        env_free(v);
    }
}

struct records {
    unsigned n;
    uint64_t sum;
};
static int on_record(void *arg, struct bytes key, struct bytes value)
{
    struct records *r = arg;

    r->n++;
    r->sum += key.n + value.n;
    return 0;
}

static void test_history(void **state)
{
    struct env *v = env_new();
    struct history_params p = {.path = "h.db", .loop = v->loop, .log = v->log};
    struct history *h = history_open(&p, &v->e);
    struct bytes a = {(const uint8_t *)"a", 1}, b = {(const uint8_t *)"bb", 2}, none = {NULL, 0},
                 empty = {(const uint8_t *)"", 0};
    struct records r = {0};
    int64_t position = -1;

    (void)state;
    assert_non_null(h);
    assert_int_equal(history_load(h, on_record, &r, &position, &v->e), 0);
    assert_int_equal(position, 0);
    assert_int_equal(history_begin(h), 0);
    assert_int_equal(history_begin(h), ERR_STATE);
    assert_int_equal(history_put(h, a, b), 0);
    assert_int_equal(history_put(h, b, empty), 0);
    history_commit(h, 42, answered, v);
    assert_int_equal(history_begin(h), ERR_STATE);
    assert_int_equal(wait_for(v, 1), 0);
    assert_int_equal(history_begin(h), 0);
    assert_int_equal(history_put(h, a, none), 0);
    assert_int_equal(history_put(h, b, a), 0);
    history_commit(h, 43, answered, v);
    v->left = 5;
    history_close(&h);
    assert_int_equal(v->left, 4);
    h = history_open(&p, &v->e);
    assert_int_equal(history_load(h, on_record, &r, &position, &v->e), 0);
    assert_int_equal(position, 43);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.sum, 3);
    assert_int_equal(history_begin(h), 0); /* never committed: nothing comes of it */
    assert_int_equal(history_put(h, b, b), 0);
    history_close(&h);
    env_free(v);
}

static char order[64];
static void on_audit(void *arg, const struct control_entry *entry)
{
    (void)arg;
    (void)strncat(order, entry->audit.request_id, sizeof order - strlen(order) - 1);
    assert_string_equal(entry->audit.who, "ops");
}

static void test_control(void **state)
{
    struct env *v = env_new();
    struct control_params p = {.path = "o.db", .loop = v->loop, .log = v->log};
    struct control *c = control_open(&p, &v->e);
    struct control_audit a = {{5}, "ops", "agents forget web-1", "gone", "r1"};

    (void)state;
    assert_non_null(c);
    assert_int_equal(control_audit(c, &a, answered, v), 0);
    assert_int_equal(wait_for(v, 1), 0);
    assert_int_equal(control_audit(c, &a, answered, v), 0);
    assert_int_equal(wait_for(v, 1), ERR_EXISTS);
    a.request_id = "r2";
    assert_int_equal(control_audit(c, &a, answered, v), 0);
    assert_int_equal(wait_for(v, 1), 0);
    control_close(&c);
    c = control_open(&p, &v->e);
    assert_int_equal(control_audit_tail(c, 10, on_audit, answered, v), 0);
    assert_int_equal(wait_for(v, 1), 0);
    assert_string_equal(order, "r2r1");
    control_close(&c);
    env_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_replay),
        cmocka_unit_test(test_close_answers_all),
        cmocka_unit_test(test_queue_bound),
        cmocka_unit_test(test_definitions_and_pruning),
        cmocka_unit_test(test_pruning_after_a_step_back),
        cmocka_unit_test(test_positions_never_come_twice),
        cmocka_unit_test(test_expired_digests_go),
        cmocka_unit_test(test_full_disk_stores_nothing_and_recovers),
        cmocka_unit_test(test_failed_sync_is_never_answered_wrongly),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_control),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
