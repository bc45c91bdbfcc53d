/* Figures of a store: see store.h. */
#include "aggregator/store/store_private.h"

enum row {
    JOBS,
    GROUPS,
    FAILED,
    REOPENED,
    ASIDE,
    REFUSED,
    QUEUE,
    QUEUE_BYTES,
    QUEUE_LIMIT,
    FILE_BYTES,
    DOUBT,
    BARE,
    SALVAGED,
    LOST,
    TOOK
};
static const struct metric_row rows[] = {
    [JOBS] = {"securebase_aggregator_store_jobs_total", METRIC_COUNTER, 1, 1, "store",
              "Jobs that a store has made durable."},
    [GROUPS] = {"securebase_aggregator_store_commits_total", METRIC_COUNTER, 1, 1, "store",
                "Transactions of a store, failed ones included."},
    [FAILED] = {"securebase_aggregator_store_failed_commits_total", METRIC_COUNTER, 1, 1, "store",
                "Transactions of a store that failed and left nothing behind."},
    [REOPENED] = {"securebase_aggregator_store_reopened_total", METRIC_COUNTER, 1, 1, "store",
                  "Times that a store's file was opened again after a commit whose fate was unknown."},
    [ASIDE] = {"securebase_aggregator_store_set_aside_total", METRIC_COUNTER, 1, 1, "store",
               "Damaged files set aside since the start."},
    [REFUSED] = {"securebase_aggregator_store_refused_jobs_total", METRIC_COUNTER, 1, 1, "store",
                 "Jobs not taken because the queue of the store was full."},
    [QUEUE] = {"securebase_aggregator_store_queue_jobs", METRIC_GAUGE, 1, 1, "store",
               "Jobs that wait for a store."},
    [QUEUE_BYTES] = {"securebase_aggregator_store_queue_bytes", METRIC_GAUGE, 1, 1, "store",
                     "Bytes of the jobs that wait for a store."},
    [QUEUE_LIMIT] = {"securebase_aggregator_store_queue_limit_bytes", METRIC_GAUGE, 1, 1, "store",
                     "Bytes that may wait for a store."},
    [FILE_BYTES] = {"securebase_aggregator_store_file_bytes", METRIC_GAUGE, 1, 1, "store",
                    "Size of a store's file after its last commit."},
    [DOUBT] = {"securebase_aggregator_store_in_doubt", METRIC_GAUGE, 1, 1, "store",
               "1 while it cannot be told whether a commit is stored."},
    [BARE] = {"securebase_aggregator_store_damaged", METRIC_GAUGE, 1, 1, "store",
              "1 while a store's file is damaged and no new one stands in its place yet."},
    [SALVAGED] = {"securebase_aggregator_store_salvaged_rows_total", METRIC_COUNTER, 1, 1, "store",
                  "Rows read from damaged files into new ones since the start."},
    [LOST] = {"securebase_aggregator_store_lost_rows_total", METRIC_COUNTER, 1, 1, "store",
              "Rows of damaged files that could not be read, as far as that can be told."},
    [TOOK] = {"securebase_aggregator_store_commit_seconds", METRIC_SKETCH, 1, 1, "store",
              "Time of a transaction with its statements and its sync."},
};

void store_metrics(const struct store *cs, struct sink *out)
{
    struct store *s = (struct store *)(uintptr_t)cs; /* for its lock */
    struct text label = text_of(s->p.name);
    struct figures f;

    (void)pthread_mutex_lock(&s->lock);
    f = s->f;
    (void)pthread_mutex_unlock(&s->lock);
    sink_uint(out, &rows[JOBS], &label, f.jobs);
    sink_uint(out, &rows[GROUPS], &label, f.groups);
    sink_uint(out, &rows[FAILED], &label, f.failed);
    sink_uint(out, &rows[REOPENED], &label, f.reopened);
    sink_uint(out, &rows[ASIDE], &label, f.set_aside);
    sink_uint(out, &rows[REFUSED], &label, f.refused);
    sink_uint(out, &rows[QUEUE], &label, f.queued);
    sink_uint(out, &rows[QUEUE_BYTES], &label, f.queued_bytes);
    if (s->p.max_bytes)
        sink_uint(out, &rows[QUEUE_LIMIT], &label, s->p.max_bytes);
    sink_uint(out, &rows[FILE_BYTES], &label, f.file_bytes);
    sink_int(out, &rows[DOUBT], &label, f.in_doubt);
    sink_int(out, &rows[BARE], &label, f.bare);
    sink_uint(out, &rows[SALVAGED], &label, f.salvaged);
    sink_uint(out, &rows[LOST], &label, f.lost);
    sink_sketch(out, &rows[TOOK], &label, &s->took);
}
