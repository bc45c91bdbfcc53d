/* The spool on a disk that fails: a layer below SQLite counts each write, sync, truncation,
 * creation and removal of a file, and ends the process at one of them, or lets it fail, once
 * or for a while. After every one of them: nothing that was put and not given up is lost,
 * nothing is given out under a number that another batch had, and the counters balance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "agent/ship/spool.h"

/* ---- the layer ---- */

enum fault { FAULT_NONE, FAULT_KILL, FAULT_FULL, FAULT_IO };
static enum fault fault;
static int count, from, to; /* operations so far; those in [from, to) fail */
static bool reads;          /* reads are operations too */
static sqlite3_vfs *below;

struct file {
    sqlite3_file base;
    sqlite3_file *real;
};

/* SQLITE_OK, or how this operation fails. */
static int strike(int io)
{
    int n = count++;

    if (fault == FAULT_NONE || n < from || n >= to)
        return SQLITE_OK;
    if (fault == FAULT_KILL)
        _exit(9);
    return fault == FAULT_FULL ? SQLITE_FULL : io;
}

static sqlite3_file *real(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static int on_close(sqlite3_file *f)
{
    int rc = real(f)->pMethods ? real(f)->pMethods->xClose(real(f)) : SQLITE_OK;

    sqlite3_free(real(f));
    return rc;
}

static int on_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    int rc = reads ? strike(SQLITE_IOERR_READ) : SQLITE_OK;

    return rc == SQLITE_OK ? real(f)->pMethods->xRead(real(f), p, n, at) : SQLITE_IOERR_READ;
}

static int on_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    int rc = strike(SQLITE_IOERR_WRITE);

    if (rc == SQLITE_FULL && n > 8) /* a full disk takes a part */
        (void)real(f)->pMethods->xWrite(real(f), p, n / 2, at);
    return rc == SQLITE_OK ? real(f)->pMethods->xWrite(real(f), p, n, at) : rc;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    int rc = strike(SQLITE_IOERR_TRUNCATE);

    return rc == SQLITE_OK ? real(f)->pMethods->xTruncate(real(f), n) : SQLITE_IOERR_TRUNCATE;
}

static int on_sync(sqlite3_file *f, int flags)
{
    int rc = strike(SQLITE_IOERR_FSYNC);

    (void)flags; /* what the kernel holds survives the end of a process: no need to wait for a disk here */
    (void)f;
    return rc == SQLITE_OK ? rc : SQLITE_IOERR_FSYNC;
}

static int on_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return real(f)->pMethods->xFileSize(real(f), n);
}

static int on_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int on_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int on_check(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int on_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int on_traits(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = on_close,
                                           .xRead = on_read,
                                           .xWrite = on_write,
                                           .xTruncate = on_truncate,
                                           .xSync = on_sync,
                                           .xFileSize = on_size,
                                           .xLock = on_lock,
                                           .xUnlock = on_unlock,
                                           .xCheckReservedLock = on_check,
                                           .xFileControl = on_control,
                                           .xSectorSize = on_sector,
                                           .xDeviceCharacteristics = on_traits};

static int on_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags, int *out)
{
    struct file *mine = (struct file *)f;
    int rc = strike(SQLITE_CANTOPEN);

    (void)v;
    *mine = (struct file){.real = sqlite3_malloc(below->szOsFile)};
    memset(mine->real, 0, (size_t)below->szOsFile);
    if (rc == SQLITE_OK)
        rc = below->xOpen(below, path, mine->real, flags, out);
    if (rc != SQLITE_OK) {
        sqlite3_free(mine->real);
        return rc == SQLITE_FULL ? SQLITE_CANTOPEN : rc;
    }
    mine->base.pMethods = &methods;
    return rc;
}

static int on_delete(sqlite3_vfs *v, const char *path, int sync)
{
    int rc = strike(SQLITE_IOERR_DELETE);

    (void)v;
    return rc == SQLITE_OK ? below->xDelete(below, path, sync) : SQLITE_IOERR_DELETE;
}

static sqlite3_vfs layer;

static int set_up(void **state)
{
    (void)state;
    below = sqlite3_vfs_find(NULL);
    layer = *below;
    layer.zName = "faulty";
    layer.szOsFile = sizeof(struct file);
    layer.xOpen = on_open;
    layer.xDelete = on_delete;
    return sqlite3_vfs_register(&layer, 1);
}

/* ---- batches, known by their number of values ---- */

enum { FIRST_ID = 1000, BATCHES = 40 };
static char path[64];

static struct spool_store *open_store(int64_t now_s)
{
    struct spool_store_params p = {.path = path,
                                   .agent = "web-1",
                                   .max_bytes = 1 << 22,
                                   .memory_bytes = 1 << 20,
                                   .now = {now_s * 1000},
                                   .batch = span_s(10)};
    struct spool_store *s = spool_store_open(&p);

    assert_non_null(s);
    return s;
}

static void put(struct spool_store *s, uint64_t id, int64_t now_s)
{
    const struct spool_totals *t = spool_store_totals(s);
    struct wire_label l[] = {{{"env", 3}, {"p", 1}}, {{"host", 4}, {"h", 1}}, {{"region", 6}, {"r", 1}}};
    struct wire_resource r = {l, 3};
    char text[1500];
    struct wire_event ev = {.kind = {"note", 4}, .name = {"n", 1}, .text = {text, sizeof text}};
    struct wire_batch_out out = {.agent = {"web-1", 5},
                                 .epoch = t->epoch,
                                 .seq = t->next_seq,
                                 .low = 1,
                                 .sealed = now_s * 1000,
                                 .events = &ev,
                                 .n_events = 1};
    struct wire_codec *c = wire_codec_new(1);
    struct buf res, payload, frame;
    struct batch_def def;
    struct batch b;
    struct err e;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('!' + (i * i * (size_t)id + i) % 90);
    buf_init(&res, NULL, 1 << 16);
    buf_init(&payload, NULL, 1 << 16);
    buf_init(&frame, NULL, 1 << 16);
    assert_int_equal(wire_resource_encode(&r, &res, &e), 0);
    def = (struct batch_def){wire_hash_of(res.data, res.len), buf_bytes(&res)};
    out.resource = def.hash;
    assert_int_equal(wire_batch_encode(&out, &payload, &e), 0);
    assert_int_equal(wire_deflate(c, payload.data, payload.len, &frame, &e), 0);
    b = (struct batch){.epoch = t->epoch,
                       .seq = t->next_seq,
                       .sealed = {now_s * 1000},
                       .values = id,
                       .frame = buf_bytes(&frame),
                       .defs = &def,
                       .n_defs = 1};
    spool_store_put(s, &b);
    buf_free(&res);
    buf_free(&payload);
    buf_free(&frame);
    wire_codec_free(&c);
}

/* What an aggregator has seen: numbers, and which batch bore them. */
struct seen {
    struct {
        uint64_t epoch, seq, id;
    } v[1000];
    size_t n;
    unsigned times[BATCHES]; /* that a batch was taken: under a number not seen before */
};

static void deliver(struct seen *seen, uint64_t epoch, uint64_t seq, uint64_t id)
{
    assert_true(id >= FIRST_ID && id < FIRST_ID + BATCHES);
    for (size_t i = 0; i < seen->n; i++)
        if (seen->v[i].epoch == epoch && seen->v[i].seq == seq) {
            assert_int_equal(seen->v[i].id, id); /* else a conflict */
            return;
        }
    assert_true(seen->n < sizeof seen->v / sizeof *seen->v);
    seen->v[seen->n].epoch = epoch;
    seen->v[seen->n].seq = seq;
    seen->v[seen->n++].id = id;
    seen->times[id - FIRST_ID]++;
}

/* ---- the process ends ---- */

static void say(int fd, char what, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t line[4] = {(uint64_t)what, a, b, c};

    assert_int_equal(write(fd, line, sizeof line), sizeof line);
}

/* Puts and acknowledgements in turn, telling of each: P id when
 * a batch is on disk, D epoch seq id when it was sent. */
static void work(int fd, int64_t now_s, uint64_t first_id)
{
    struct spool_store *s = open_store(now_s);
    struct spool_item it;
    struct buf frame;

    buf_init(&frame, NULL, 1 << 16);
    for (uint64_t i = 0; i < 8; i++) {
        put(s, first_id + i, now_s + (int64_t)i);
        if (spool_store_totals(s)->disk)
            say(fd, 'P', first_id + i, 0, 0);
        buf_clear(&frame);
        if (i % 4 == 3 || spool_store_front(s, &it, &frame) != 1)
            continue;
        say(fd, 'D', it.epoch, it.seq, it.values);
        if (i == 5) {
            const struct spool_death death = {.status = 422, .reason = "r", .error = "e"};

            (void)spool_store_drop(s, it.epoch, it.seq, SPOOL_DROP_DEAD, &death);
        } else {
            (void)spool_store_ack(s, it.epoch, it.seq, (uint64_t[SPOOL_REFUSALS]){0});
        }
    }
    spool_store_finish(s);
    spool_store_close(&s);
    buf_free(&frame);
}

/* Everything that is left arrives. */
static void drain(struct spool_store *s, struct seen *seen)
{
    struct spool_item it;
    struct buf frame;

    buf_init(&frame, NULL, 1 << 16);
    for (buf_clear(&frame); spool_store_front(s, &it, &frame) == 1; buf_clear(&frame)) {
        deliver(seen, it.epoch, it.seq, it.values);
        assert_true(spool_store_ack(s, it.epoch, it.seq, (uint64_t[SPOOL_REFUSALS]){0}));
    }
    assert_true(spool_balanced(spool_store_totals(s)));
    assert_int_equal(spool_store_totals(s)->spooled.batches + spool_store_totals(s)->in_memory.batches, 0);
    buf_free(&frame);
}

/* A child that ends at operation n. False when it came to its end before. */
static bool killed_at(int n, struct seen *seen, bool *put_there, int64_t now_s, uint64_t first_id)
{
    uint64_t line[4];
    int pipe_fd[2], status;
    pid_t child;

    assert_int_equal(pipe(pipe_fd), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        count = 0;
        from = n;
        to = n + 1;
        fault = FAULT_KILL;
        work(pipe_fd[1], now_s, first_id);
        _exit(0);
    }
    (void)close(pipe_fd[1]);
    while (read(pipe_fd[0], line, sizeof line) == sizeof line) {
        if (line[0] == 'P')
            put_there[line[1] - FIRST_ID] = true;
        else
            deliver(seen, line[1], line[2], line[3]);
    }
    (void)close(pipe_fd[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
    return WEXITSTATUS(status) == 9;
}

static void check_all(const struct seen *seen, const bool *put_there)
{
    for (int i = 0; i < BATCHES; i++) {
        assert_true(seen->times[i] <= 1); /* never under two numbers */
        assert_true(!put_there[i] || seen->times[i] == 1);
    }
}

static void test_killed_anywhere(void **state)
{
    bool more = true;
    int n = 0;

    (void)state;
    for (; more; n++) {
        bool put_there[BATCHES] = {false};
        struct seen *seen = calloc(1, sizeof *seen);
        struct spool_store *s;

        fault = FAULT_NONE;
        (void)snprintf(path, sizeof path, "killed-%d.db", n);
        more = killed_at(n, seen, put_there, 1000, FIRST_ID);
        (void)killed_at(n / 2 + 3, seen, put_there, 1010,
                        FIRST_ID + 10); /* and once more, on what that left */
        s = open_store(1020);
        assert_true(spool_balanced(spool_store_totals(s)));
        assert_true(spool_store_totals(s)->disk);
        assert_int_equal(spool_store_totals(s)->dropped[SPOOL_DROP_DAMAGED].batches, 0);
        put(s, FIRST_ID + 20, 1020);
        put_there[20] = true;
        drain(s, seen);
        check_all(seen, put_there);
        spool_store_close(&s);
        free(seen);
    }
    assert_true(n > 60);
    print_message("ended at each of %d operations\n", n - 1);
}

/* ---- the disk fails ---- */

/* Puts and sends while operations [n, n + m) fail; then the process goes on, or is killed. */
static bool failing(enum fault what, int n, int m, bool killed)
{
    struct seen *seen = calloc(1, sizeof *seen);
    struct spool_store *s;
    struct spool_item it;
    struct buf frame;
    uint64_t lost = 0, missing = 0;
    bool struck;

    (void)snprintf(path, sizeof path, "failing-%d-%d-%d-%d-%d.db", (int)what, n, m, killed, reads);
    buf_init(&frame, NULL, 1 << 16);
    fault = FAULT_NONE;
    s = open_store(900); /* a file with something in it */
    put(s, FIRST_ID, 900);
    spool_store_close(&s);
    count = 0;
    from = n;
    to = n + m;
    fault = what;
    s = open_store(1000);
    assert_true(spool_balanced(spool_store_totals(s)));
    for (uint64_t i = 1; i < 9; i++) {
        put(s, FIRST_ID + i, 1000 + (int64_t)i * 10);
        assert_true(spool_balanced(spool_store_totals(s)));
        buf_clear(&frame);
        if (i % 3 == 2 || spool_store_front(s, &it, &frame) != 1)
            continue;
        deliver(seen, it.epoch, it.seq, it.values);
        if (i % 3) /* else the answer was lost */
            (void)spool_store_ack(s, it.epoch, it.seq, (uint64_t[SPOOL_REFUSALS]){0});
        assert_true(spool_balanced(spool_store_totals(s)));
    }
    struck = count > n;
    if (killed) {
        lost = spool_store_totals(s)->in_memory.batches;
        spool_store_close(&s);
        fault = FAULT_NONE;
        s = open_store(1100);
    }
    fault = FAULT_NONE;
    put(s, FIRST_ID + 9, 1110);
    assert_true(spool_store_totals(s)->disk);
    drain(s, seen);
    lost += spool_store_totals(s)->dropped[SPOOL_DROP_DAMAGED].batches; /* what stays unreadable is counted */
    for (int i = 0; i < 10; i++) {
        assert_true(seen->times[i] <= 1);
        missing += !seen->times[i];
    }
    assert_true(missing <= lost);
    spool_store_finish(s);
    spool_store_close(&s);
    s = open_store(1120);
    assert_true(spool_balanced(spool_store_totals(s)));
    assert_int_equal(spool_store_totals(s)->spooled.batches, 0);
    spool_store_close(&s);
    buf_free(&frame);
    free(seen);
    return struck;
}

static void test_failing_anywhere(void **state)
{
    static const int lengths[] = {1, 3, 1000000};

    (void)state;
    for (int killed = 0; killed < 2; killed++)
        for (enum fault what = FAULT_FULL; what <= FAULT_IO; what++)
            for (size_t i = 0; i < 3; i++)
                for (int n = 0; failing(what, n, lengths[i], killed);)
                    n += n < 30 ? 1 : 8;
}

/* Reads as well: one that fails is no end of anything either. */
static void test_unreadable_anywhere(void **state)
{
    static const int lengths[] = {1, 2, 1000000};

    (void)state;
    reads = true;
    for (size_t i = 0; i < 3; i++)
        for (int n = 0; failing(FAULT_IO, n, lengths[i], false);)
            n += n < 30 ? 1 : 8;
    reads = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_failing_anywhere),
        cmocka_unit_test(test_unreadable_anywhere),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
