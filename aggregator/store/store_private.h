/* Shared by the files of a store. The lock guards the queue, the list of finished jobs and the figures; the
 * database is touched by the worker alone once the first job has been handed in, and by the owner before. */
#ifndef SB_STORE_STORE_PRIVATE_H
#define SB_STORE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>

#include "aggregator/store/store.h"
#include "common/sketch/sketch.h"

struct jobs {
    struct store_job *first, **last;
};

struct figures {
    uint64_t jobs, groups, failed, reopened, set_aside, refused, file_bytes;
    size_t queued, queued_bytes;
    uint64_t salvaged, lost; /* rows */
    bool in_doubt, bare;
};

struct store {
    struct store_params p;
    char *path;
    struct db *db;
    bool broken;  /* worker: to be opened again before the next group */
    bool bare;    /* worker: the file is damaged, and the new one is not there yet */
    int64_t mark; /* worker: of the last group known to be there */
    bool to_tell; /* worker: the owner is to hear of the damage, behind the jobs that failed by it */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct jobs queue, finished;
    bool stop, posted, used, tell;
    struct figures f;
    struct sketch took; /* owner: seconds of commits, with their statements */
    double times[64];   /* seconds of the latest groups, not yet in the sketch */
    unsigned n_times;
    struct ping *ping;
    struct complaint complaint;
};

/* ---- store_renew_io.c ---- */
int store_open_file(struct store *s, struct err *e);  /* anew, with its mark */
int store_open_first(struct store *s, struct err *e); /* at start: a damaged one is renewed */
/* The worker's: the file is damaged. Nothing but what fills a
 * new one is written from now on; the owner is told. */
void store_met_damage(struct store *s, const struct err *why);
/* Makes the new file by what `job` writes, or (NULL) by what can
 * be read from the damaged one, and puts it in its place. */
int store_refill(struct store *s, struct store_job *job, struct err *e);

#endif
