/* What history costs: feeding a sample to selections (ns), telling and taking it, and writing it down: gains of 10 000
 * groups every 10 seconds for an hour, folded, as microseconds of a persist and bytes of a stored group-step. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "aggregator/store/rollup.h"
#include "common/base/rng.h"
#include "tests/unit/series_kit.h"

enum { AGENTS = 200, SERIES = 50, TICKS = 10, BATCHES = 12, GROUPS = 10000 };

static double cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct taken {
    uint64_t gains;
};
static int no_group(void *arg, const struct series_group *g)
{
    (void)arg, (void)g;
    return 0;
}
static int one_gain(void *arg, uint32_t handle, enum fact_kind kind, int64_t start,
                    const struct fact_bucket *b)
{
    (void)handle, (void)kind, (void)start, (void)b;
    ((struct taken *)arg)->gains++;
    return 0;
}
static int no_record(void *arg, struct bytes key, struct bytes value)
{
    (void)key;
    *(uint64_t *)arg += value.n;
    return 0;
}

/* Agents with counters and gauges alternating; each series is one group of its selection, or none. */
static void feed(bool selected)
{
    static char names[SERIES][64], ids[AGENTS][16];
    static double values[TICKS];
    const char *by[] = {"*"};
    struct selections *list = selections_new(NULL);
    double apply = 0, told = 0, take = 0, last_take = 0;
    uint64_t samples = 0, bytes = 0, deltas = 0;
    struct taken taken = {0};
    struct kit k = {0};
    uint32_t at;

    kit_open(&k, "[history]\nmax_groups = 100000\n");
    for (int i = 0; selected && i < 2; i++) {
        if (selections_add(list, i ? "requests_total" : "load", "", by, 1, span_s(3600), &at, NULL) != 0)
            abort();
    }
    if (series_select(k.set, list, 1, NULL) != 0)
        abort();
    for (int b = 0; b < BATCHES; b++) {
        for (int a = 0; a < AGENTS; a++) {
            struct kit_series x[SERIES];
            double t;

            snprintf(ids[a], sizeof ids[a], "host-%04d", a);
            kit_batch(&k, ids[a], "env=prod region=us-east-1", KIT_NOW + b * 10000);
            k.batch.seq = (uint64_t)b + 1;
            for (int i = 0; i < TICKS; i++)
                values[i] = b * 100 + i * 7;
            for (int i = 0; i < SERIES; i++) {
                snprintf(names[i], sizeof names[i], "%s{n=%d}", i % 2 ? "requests_total" : "load", i);
                x[i] = (struct kit_series){names[i], i % 2 ? WIRE_COUNTER : WIRE_GAUGE, values, NULL};
            }
            kit_block(&k, KIT_NOW + b * 10000 - 9000, 1000, TICKS, x, SERIES);
            if (kit_judge(&k) != 0)
                abort();
            t = cpu_ns();
            kit_apply(&k);
            apply += b ? cpu_ns() - t : 0;
            samples += b ? (uint64_t)SERIES * TICKS : 0;
        }
        for (bool more = true; more;) {
            double t = cpu_ns();
            struct telling *to = series_tell(k.set, (struct wall){KIT_NOW}, false, &more);

            told += cpu_ns() - t;
            deltas += to ? to->n_deltas : 0;
            telling_free(&to);
        }
        double t = cpu_ns();
        int64_t position;
        bytes = 0;
        if (series_take(k.set, &position, no_record, &bytes) != 0 ||
            series_take_gains(k.set, &(struct series_gains){no_group, one_gain, &taken}) != 0)
            abort();
        series_taken(k.set, true);
        last_take = cpu_ns() - t;
        take += last_take;
    }
    printf("%s: apply %.0f ns a sample", selected ? "with selections" : "without", apply / (double)samples);
    if (selected)
        printf(", tell %.0f ns a delta (%llu), persist takes %.1f ms for %d groups and %.0f KiB of readings",
               told / (double)deltas, (unsigned long long)deltas, last_take / 1e6, AGENTS * SERIES,
               (double)bytes / 1024);
    printf("; %.0f bytes a series\n", (double)k.mem.used / (AGENTS * SERIES));
    kit_close(&k);
    selections_free(&list);
}

/* ---- the store ---- */

static void must(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", e->text);
    exit(1);
}

static double megabytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (double)st.st_size / 1e6 : 0;
}

static int64_t count(struct db *db, const char *sql)
{
    struct err e = {0};
    sqlite3_stmt *st = db_prepare(db, sql, &e);
    int64_t n = -1;

    if (st && db_row(db, st, &e) == 1)
        n = sqlite3_column_int64(st, 0);
    if (st)
        (void)sqlite3_reset(st);
    return n;
}

static void groups(struct buf *ops, enum fact_kind kind, uint32_t n)
{
    char text[32];

    for (uint32_t i = 0; i < n; i++) {
        struct label l[] = {{"host", text}, {"service", "checkout"}};
        struct history_group g = {.handle = i,
                                  .kind = kind,
                                  .selection = "m by (host,service)",
                                  .metric = "m",
                                  .match = "",
                                  .by = "host service",
                                  .env = "prod",
                                  .labels = {l, 2},
                                  .now = {KIT_NOW}};

        snprintf(text, sizeof text, "host-%05u", i);
        rollup_put_group(ops, &g);
    }
}

static void gains(struct buf *ops, enum fact_kind kind, uint32_t n, int64_t start, double *state,
                  struct rng *r)
{
    struct sketch s;

    sketch_init(&s, NULL);
    for (uint32_t i = 0; i < n; i++) {
        double v = floor(rng_unit(r) * 1000) / 10;
        struct fact_bucket b = {.n = 10, .last_t = start + 9000, .series = 1};

        if (kind == FACT_COUNTER) {
            b.sum = floor(rng_unit(r) * 50);
            state[i] += b.sum;
            b.last = state[i];
        } else if (kind == FACT_GAUGE) {
            b = (struct fact_bucket){10, start + 9000, v, v * 10, v - 1, v + 1, 1, NULL};
        } else {
            sketch_clear(&s);
            for (int k = 0; k < 20; k++)
                (void)sketch_add(&s, exp(rng_unit(r) * 3 - 4), 1);
            b = (struct fact_bucket){s.count, start + 9000, 0, sketch_sum(&s), s.min, s.max, 1, &s};
        }
        (void)rollup_put_gain(ops, i, kind, start, &b);
    }
    sketch_free(&s);
}

/* An hour of gains every 10 seconds, one persist each; then its folding. */
static void store(const char *name, enum fact_kind kind, uint32_t n, int steps)
{
    static const char *const schema[] = {ROLLUP_STEPS};
    struct history_keep keep = {
        .dflt = {INT64_C(1) << 50, INT64_C(1) << 50, INT64_C(1) << 50, INT64_C(1) << 50}};
    double *state = calloc(n, sizeof *state), write = 0, fold = 0, worst = 0, rows_mb;
    int64_t hour = KIT_NOW / FACT_HOUR_MS * FACT_HOUR_MS, chunk[TIERS];
    struct rollup *r = rollup_new();
    char path[64], wal[72];
    struct history_tended did = {0};
    struct err e = {0};
    struct rng rng;
    struct buf ops;
    struct db *db;
    bool more = true;

    snprintf(path, sizeof path, "bench-%s-%d.db", name, (int)getpid());
    snprintf(wal, sizeof wal, "%s-wal", path);
    db = db_open(path, schema, 1, &e);
    if (!db || !r || !state)
        abort();
    rng_seed(&rng, 1);
    buf_init(&ops, NULL, (size_t)1 << 30);
    groups(&ops, kind, n);
    for (int k = 0; k < steps; k++) {
        double t;

        gains(&ops, kind, n, hour + (int64_t)k * FACT_STEP_MS, state, &rng);
        t = cpu_ns();
        must(db_begin(db, &e), &e);
        must(rollup_apply(r, db, buf_bytes(&ops), &e), &e);
        must(db_commit(db, &e), &e);
        write += cpu_ns() - t;
        buf_clear(&ops);
    }
    rows_mb = (double)count(db, "SELECT sum(length(value)) FROM gains") / 1e6;
    while (more) {
        double t = cpu_ns(), took;

        must(db_begin(db, &e), &e);
        must(rollup_tend(r, db, &keep, hour + 2 * FACT_HOUR_MS, &more, &did, &e), &e);
        must(db_commit(db, &e), &e);
        took = cpu_ns() - t;
        fold += took;
        worst = took > worst ? took : worst;
    }
    for (int t = 0; t < TIERS; t++) {
        char sql[96];

        snprintf(sql, sizeof sql, "SELECT sum(length(value)) FROM chunks WHERE tier = %d", t);
        chunk[t] = count(db, sql);
    }
    printf("%s, %u groups, %d steps: persist %.0f ms of CPU (%.1f us a gain), row %.0f bytes; folding %.2f "
           "us a row, a "
           "portion at most %.0f ms; stored: %.1f bytes a step of 10 s, %.1f a minute, %.0f an hour; file "
           "%.1f MB\n",
           name, n, steps, write / steps / 1e6, write / 1e3 / ((double)n * steps),
           rows_mb * 1e6 / ((double)n * steps), fold / 1e3 / (double)did.folded, worst / 1e6,
           (double)chunk[0] / ((double)n * steps), (double)chunk[1] / ((double)n * steps / 6),
           (double)chunk[2] / n, megabytes(path));
    buf_free(&ops);
    db_close(&db);
    rollup_free(&r);
    free(state);
    (void)unlink(path);
    (void)unlink(wal);
}

int main(int argc, char **argv)
{
    int steps = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 36; /* 360: the whole hour */

    feed(false);
    feed(true);
    store("counters", FACT_COUNTER, GROUPS, steps);
    store("gauges", FACT_GAUGE, GROUPS, steps);
    store("sketches", FACT_SKETCH, GROUPS / 10, steps);
    return 0;
}
