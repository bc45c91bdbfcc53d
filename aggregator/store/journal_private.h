/* Shared by the writing and the reading half of the journal. */
#ifndef SB_STORE_JOURNAL_PRIVATE_H
#define SB_STORE_JOURNAL_PRIVATE_H

#include "aggregator/store/journal.h"
#include "aggregator/store/store.h"

struct journal {
    struct store *store;
};

#endif
