/* What the aggregator takes: batches of 724 series and 10 ticks, of many agents, through inflate,
 * decode, admission, judgement, the journal (real SQLite, synchronous=FULL, group commit) and into
 * the table of series. First the stages by themselves, then all together at several numbers of
 * batches under way; the peer of the same run is a bare loop that inserts the same frames into a
 * table of the same file system, as many to a transaction. Medians of 3 runs. */
#include <assert.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#include "aggregator/ingest/intake.h"
#include "aggregator/store/journal.h"
#include "tests/unit/ingest_kit.h"

enum { AGENTS = 64, PER_AGENT = 16, BATCHES = AGENTS * PER_AGENT, SERIES = 724, TICKS = 10, RUNS = 3 };

static const char config_text[] = "[ingest]\nlisten = 127.0.0.1:0\nauth = none\n";

struct bench {
    struct loop *loop;
    struct log *log;
    struct journal *journal;
    struct intake in;
    struct mem work_mem;
    struct buf frames[BATCHES];
    struct work *under_way[BATCHES];
    unsigned sent, done, window;
    double judge_s, apply_s;
    char dir[64];
};

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, const struct err *e)
{
    (void)fprintf(stderr, "bench_ingest: %s: %s\n", what, e ? e->text : "");
    exit(1);
}

static void pump(struct bench *b);

struct token {
    struct bench *b;
    struct work *w;
};

static void committed(void *arg, int64_t position, int code)
{
    struct token *t = arg;
    struct bench *b = t->b;
    struct wire_answer a;
    double begun = now_s();

    if (code != 0)
        die("a commit failed", NULL);
    intake_commit(t->w, position, &a);
    work_free(&t->w);
    b->apply_s += now_s() - begun;
    b->done++;
    free(t);
    if (b->done == BATCHES)
        loop_stop(b->loop);
    else
        pump(b);
}

static void pump(struct bench *b)
{
    static const struct caller anyone = {.anyone = true};

    while (b->sent < BATCHES && b->sent - b->done < b->window) {
        struct token *t = malloc(sizeof *t);
        double begun = now_s();
        struct journal_batch batch;
        struct wire_answer a;

        *t = (struct token){b, work_new(&b->in)};
        if (intake_read(t->w, buf_bytes(&b->frames[b->sent]), &anyone, &a) ||
            intake_judge(t->w, clock_wall(), &a))
            die(a.error, NULL);
        intake_journal(t->w, &batch);
        b->sent++;
        b->judge_s += now_s() - begun;
        if (journal_append(b->journal, &batch, committed, t) != 0)
            die("the journal is full", NULL);
    }
}

static void fill(struct bench *b, struct kit_host *h)
{
    int64_t now = clock_wall().ms;
    char agent[16];

    for (unsigned i = 0; i < BATCHES; i++) {
        (void)snprintf(agent, sizeof agent, "web-%u", i % AGENTS);
        if (b->frames[i].data)
            buf_clear(&b->frames[i]);
        else
            buf_init(&b->frames[i], NULL, 1 << 20);
        kit_frame(h, agent, 1, i / AGENTS + 1, 1, now - (PER_AGENT - i / AGENTS) * 10000, 0, &b->frames[i]);
    }
}

static void defined(void *arg, int code)
{
    if (code != 0)
        die("definitions", NULL);
    loop_stop(arg);
}

/* Seconds for all batches, with `window` of them under way at most. */
static double run(struct bench *b, struct kit_host *h, const struct config *config, unsigned window,
                  int number)
{
    static const uint64_t seed[2] = {1, 2};
    struct mem series_mem = {0}, state_mem = {0};
    char path[128];
    struct err e = {0};
    double begun, took;

    (void)snprintf(path, sizeof path, "%s/journal-%d.db", b->dir, number);
    b->loop = loop_new(&e);
    b->journal = journal_open(
        &(struct journal_params){.path = path, .loop = b->loop, .log = b->log, .max_queue_bytes = 64 << 20},
        &e);
    if (!b->journal)
        die(path, &e);
    b->in = (struct intake){
        .codec = wire_codec_new(1),
        .admission = admission_new(&(struct admission_params){.mem = &state_mem, .keep = span_s(86400)}),
        .definitions = definitions_new(&state_mem, seed),
        .series = series_new(&(struct series_params){.config = config, .mem = &series_mem, .seed = {1, 2}},
                             NULL, &e),
        .work_mem = &b->work_mem};
    if (!b->in.series)
        die("series", &e);
    for (int i = 0; i < 2; i++)
        if (definitions_add(b->in.definitions, kit_text(""), &h->entries[i].hash, h->entries[i].value,
                            clock_wall(), &e))
            die("definitions", &e);
    if (journal_define(b->journal, kit_text(""), h->entries, 2, defined, b->loop) || loop_run(b->loop))
        die("definitions", NULL);
    fill(b, h);
    b->sent = b->done = 0;
    b->judge_s = b->apply_s = 0;
    b->window = window;
    begun = now_s();
    pump(b);
    if (loop_run(b->loop) != 0)
        die("loop", NULL);
    took = now_s() - begun;
    journal_close(&b->journal);
    series_free(&b->in.series);
    admission_free(&b->in.admission);
    definitions_free(&b->in.definitions);
    wire_codec_free(&b->in.codec);
    loop_free(&b->loop);
    return took;
}

static void check(int rc, sqlite3 *h)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        (void)fprintf(stderr, "peer: %s\n", sqlite3_errmsg(h));
        exit(1);
    }
}

/* The peer: nothing but the frames. */
static double peer(const struct bench *b, unsigned group, int number)
{
    sqlite3_stmt *st = NULL;
    sqlite3 *h = NULL;
    char path[128];
    double begun, took;

    (void)snprintf(path, sizeof path, "%s/peer-%d.db", b->dir, number);
    check(sqlite3_open(path, &h), h);
    check(sqlite3_exec(h,
                       "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                       "CREATE TABLE t(id INTEGER PRIMARY KEY, frame BLOB)",
                       NULL, NULL, NULL),
          h);
    check(sqlite3_prepare_v2(h, "INSERT INTO t(frame) VALUES(?)", -1, &st, NULL), h);
    begun = now_s();
    for (unsigned i = 0; i < BATCHES; i++) {
        if (i % group == 0)
            check(sqlite3_exec(h, "BEGIN", NULL, NULL, NULL), h);
        check(sqlite3_bind_blob(st, 1, b->frames[i].data, (int)b->frames[i].len, SQLITE_STATIC), h);
        check(sqlite3_step(st), h);
        check(sqlite3_reset(st), h);
        if (i % group == group - 1 || i == BATCHES - 1)
            check(sqlite3_exec(h, "COMMIT", NULL, NULL, NULL), h);
    }
    took = now_s() - begun;
    check(sqlite3_finalize(st), h);
    check(sqlite3_close(h), h);
    return took;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double v[RUNS])
{
    qsort(v, RUNS, sizeof *v, compare);
    return v[RUNS / 2];
}

int main(void)
{
    static const unsigned windows[] = {1, 16, AGENTS};
    struct bench *b = calloc(1, sizeof *b);
    struct kit_host *h = kit_host("web", SERIES, TICKS);
    struct err e = {0};
    struct config *config = kit_config(config_text, &e);
    double frame_bytes = 0;

    assert(b);
    (void)snprintf(b->dir, sizeof b->dir, "bench-ingest-XXXXXX");
    b->log = log_new(&(struct log_params){.level = LOG_WARN}, &e);
    if (!mkdtemp(b->dir) || !b->log || !config)
        die("set up", &e);
    fill(b, h);
    for (unsigned i = 0; i < BATCHES; i++)
        frame_bytes += (double)b->frames[i].len / BATCHES;
    (void)printf("%d batches of %d series × %d ticks, %.0f bytes each, %d agents\n", BATCHES, SERIES, TICKS,
                 frame_bytes, AGENTS);
    (void)printf("%10s %12s %12s %12s %12s %12s %8s\n", "under way", "batches/s", "samples/s", "judge µs",
                 "apply µs", "peer/s", "ratio");
    for (size_t k = 0; k < sizeof windows / sizeof windows[0]; k++) {
        double took[RUNS], judge[RUNS], apply[RUNS], theirs[RUNS];

        for (int i = 0; i < RUNS; i++) {
            took[i] = run(b, h, config, windows[k], (int)k * RUNS + i);
            judge[i] = b->judge_s;
            apply[i] = b->apply_s;
            theirs[i] = peer(b, windows[k], (int)k * RUNS + i);
        }
        {
            double rate = BATCHES / median(took), other = BATCHES / median(theirs);

            (void)printf("%10u %12.0f %12.0f %12.1f %12.1f %12.0f %8.2f\n", windows[k], rate,
                         rate * SERIES * TICKS, median(judge) / BATCHES * 1e6, median(apply) / BATCHES * 1e6,
                         other, rate / other);
        }
    }
    for (unsigned i = 0; i < BATCHES; i++)
        buf_free(&b->frames[i]);
    config_free(&config);
    kit_host_free(&h);
    log_free(&b->log);
    {
        char command[128];

        for (int i = 0; i < (int)(sizeof windows / sizeof windows[0]) * RUNS; i++) {
            (void)snprintf(command, sizeof command, "%s/journal-%d.db", b->dir, i);
            (void)unlink(command);
            (void)snprintf(command, sizeof command, "%s/peer-%d.db", b->dir, i);
            (void)unlink(command);
        }
    }
    (void)rmdir(b->dir);
    free(b);
    return 0;
}
