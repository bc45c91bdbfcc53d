/* The seam between the table of series and the percentile sections. Private to this room. */
#ifndef SB_SERIES_MEMBERS_H
#define SB_SERIES_MEMBERS_H

#include "aggregator/series/table.h"

/* Finds the sections that x belongs to. 0 or ERR_NOMEM (x has no members then). */
int members_make(struct series_set *s, struct series *x);
void members_drop(struct series_set *s, struct series *x);

/* A value of x at wall ms t. Loss is counted. */
void members_feed_gauge(struct series_set *s, struct series *x, int64_t t, double v);
void members_feed_sketch(struct series_set *s, struct series *x, int64_t t, struct bytes sketch);
/* The kind of x, from an accepted value: which says what its sections are. */
void members_kind(struct series *x, enum metric_kind kind);

/* percentiles.c: the sections of a configuration. On error nothing has changed. */
int percentiles_load(struct series_set *s, const struct config *config, struct buf *report, struct err *e);
void percentiles_free(struct series_set *s);
void percentiles_advance(struct series_set *s, int64_t now);

#endif
