/* Readings of series into facts, as the ingest thread makes them of batches: for trials and tests. Each series keeps its
 * last reading, so that counters become increases. Pure. */
#ifndef SB_ALERT_TRIAL_FEED_H
#define SB_ALERT_TRIAL_FEED_H

#include "aggregator/alert/facts.h"

struct trial_feed; /* owns its series and groups */

/* Borrows the selections. NULL without memory. */
struct trial_feed *trial_feed_new(const struct selections *s, struct mem *mem);
void trial_feed_free(struct trial_feed **f);
/* A value of a series at a time: of a gauge; of a counter its reading; of FACT_SKETCH one observed value. 0, ERR_NOMEM, or
 * what facts_gain says. */
int trial_feed_value(struct trial_feed *f, struct facts *to, const char *metric, enum fact_kind kind,
                     struct labels labels, struct wall t, double v);

#endif
