/* Shared by the files of the history. */
#ifndef SB_STORE_HISTORY_PRIVATE_H
#define SB_STORE_HISTORY_PRIVATE_H

#include <stdbool.h>

#include "aggregator/store/rollup.h"
#include "aggregator/store/store.h"

struct set;
struct history {
    struct store *store;
    struct set *set; /* under way; the store's from history_commit on */
    bool committing;
    bool whole; /* the next set makes a new file */
    char *path;
    bool tending, more;    /* more: the last portion left something to fold */
    int64_t tended_at;     /* ms */
    struct rollup *rollup; /* the worker's, once the first job was handed in */
    struct history_tended tended;
    void (*damaged)(void *arg);
    void *arg;
};

#endif
