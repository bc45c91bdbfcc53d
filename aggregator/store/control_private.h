/* Shared by the files of the control store. */
#ifndef SB_STORE_CONTROL_PRIVATE_H
#define SB_STORE_CONTROL_PRIVATE_H

#include "aggregator/store/control.h"
#include "aggregator/store/store.h"

struct control {
    struct store *store;
};

/* Hands the job in; one that is not taken is released. */
int control_submit(struct control *c, struct store_job *job);

/* Copies what can be read of states and lines from a damaged file into a new one. */
int control_salvage_state(struct db *from, struct db *to, struct store_salvaged *n, struct err *e);
/* Copies rows until the end or the first that cannot be read. Values stay as they are, `columns` of them. */
int control_copy_rows(struct db *from, const char *select, struct db *to, const char *insert, int columns,
                      struct store_salvaged *n, struct err *e);

#endif
