/* A store: one SQLite file with a thread of its own, the only one that touches it. Jobs that wait together
 * are carried out in one transaction (group commit: one sync for all of them); each is answered on the
 * owner's loop after the commit or its failure, in the order of handing in.
 *
 * After a COMMIT that failed nobody knows whether its frames are in the log: Linux reports a failed sync once
 * and then holds the pages for clean (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX
 * ATC 2020), and a log that is read again may bring the transaction back. So the group is in doubt: the file
 * is closed and opened again, and a counter that each transaction raises tells whether it is there. Only then
 * is it answered. While that cannot be told, nothing is answered.
 *
 * A file that is found damaged (SQLITE_CORRUPT) while running is written no more: the group fails,
 * all further ones too, and the owner is told, who hands in a job that fills a new file with what
 * memory knows. When that is complete it takes the place of the damaged one, which is set aside;
 * jobs handed in behind it are carried out on it. A store whose owner keeps nothing in memory
 * begins the new file with what can be read from the damaged one, as all do at a start. */
#ifndef SB_STORE_STORE_H
#define SB_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/store/sqlite_io.h"
#include "common/base/clock.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

struct store;

/* The first member of a room's own job. */
struct store_job {
    /* on the store's thread, in a transaction */
    int (*run)(struct db *db, struct store_job *job, struct err *e);
    void (*done)(struct store_job *job, int code); /* on the owner's loop; takes the job */
    size_t bytes;                                  /* held against the bound of the queue */
    bool fills; /* writes all that a new file must hold: only after `damaged` was called, one at a time */
    struct store_job *next; /* the store's */
    int code;               /* the store's */
};

/* Rows of a damaged file. */
struct store_salvaged {
    uint64_t copied;
    uint64_t lost; /* that were there and could not be read, as far as that can be told */
};

struct store_params {
    const char *name; /* "journal": the label `store`, and in logs; a constant */
    const char *path;
    const char *const *steps; /* of the schema, constants; STORE_MARK must be in the first */
    size_t n_steps;
    struct loop *loop;  /* borrowed */
    struct log *log;    /* borrowed */
    uint64_t max_bytes; /* of jobs that wait; 0: no bound */
    /* Copies into a new, empty file what can be read from the damaged
     * one. Damage in it is no error. NULL: the new one is empty. */
    int (*salvage)(const char *damaged, struct db *to, struct store_salvaged *n, struct err *e);
    /* On the loop, after those whose jobs failed by it were answered: a
     * job that fills a new file is wanted. NULL: by salvage. */
    void (*damaged)(void *arg);
    void *arg;
};
/* To be written at the beginning of the first step. */
#define STORE_MARK "CREATE TABLE store_mark(n INTEGER NOT NULL); INSERT INTO store_mark VALUES(0);"

/* Opens the file and starts the thread. A damaged file is set
 * aside and a new one begun, which the log says loudly. */
struct store *store_open(const struct store_params *p, struct err *e);
/* Carries out what waits, ends the thread, and answers all that is not answered yet before it returns. */
void store_close(struct store **s);
/* Takes the job when it returns 0. ERR_AGAIN: the queue is full. */
int store_submit(struct store *s, struct store_job *job);
/* For reading at start, before the first job was handed in, from the owner's thread. */
struct db *store_db(struct store *s);
/* Sets the file aside and begins a new one with what can be
 * salvaged: at start only, after a reader found damage. */
int store_renew(struct store *s, struct err *e);

/* Runs SQLite's own check over a file that no program has open: a line for each fault into
 * report, after `name`. 0, ERR_MALFORMED when something is wrong, or another code. */
int store_check_file(const char *path, const char *name, const char *const *steps, size_t n_steps,
                     struct buf *report, struct err *e);

bool store_was_damaged(const struct store *s); /* at start: a new file was begun */

void store_metrics(const struct store *s, struct sink *out); /* from the owner's thread */

#endif
