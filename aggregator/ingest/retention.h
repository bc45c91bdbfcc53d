/* [retention ENV]: how long stored steps are kept, by environment. Pure. */
#ifndef SB_INGEST_RETENTION_H
#define SB_INGEST_RETENTION_H

#include "aggregator/store/history.h"
#include "aggregator/ingest/ingest.h"

enum { RETENTIONS = 64 };

/* Mistakes between sections. 0 or ERR_CONFIG. */
int retention_check(const struct config *config, struct buf *report, struct err *e);
/* *out borrows list. */
void retention_read(const struct config *config, struct history_keep_env list[RETENTIONS],
                    struct history_keep *out);

#endif
