/* Shared by the writing and the reading half of the journal. */
#ifndef SB_STORE_JOURNAL_PRIVATE_H
#define SB_STORE_JOURNAL_PRIVATE_H

#include "aggregator/store/journal.h"
#include "aggregator/store/store.h"

extern const char *const journal_steps[];
extern const size_t journal_n_steps;

struct journal {
    struct store *store;
};

#endif
