/* --once and --test: samples kept as they come, and written out as Prometheus text, JSON or a table.
 *
 * Everything is sampled twice, a second apart, and the second
 * time is shown: ratios of a host are over an interval. */
#ifndef SB_AGENT_ONCE_H
#define SB_AGENT_ONCE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/config/config.h"
#include "common/daemon/log.h"
#include "common/wire/wire.h"

enum once_format { ONCE_PROM, ONCE_JSON, ONCE_TABLE };

struct once;

struct once *once_new(struct mem *mem); /* NULL without memory */
void once_free(struct once **o);
/* Takes samples. Labels as given, copied; sketches are copied. */
struct sink *once_sink(struct once *o);
/* Labels of the samples that follow, borrowed until the next call; n 0: none. */
void once_extra(struct once *o, const struct wire_label *labels, uint32_t n);
void once_clear(struct once *o); /* forgets the samples */
/* Sorted by name and labels. Prometheus text 0.0.4 (a sketch as a summary of five quantiles), a JSON array of
 * {name, kind, help, labels, value}, or columns for people. 0, ERR_NOMEM (out is full, or memory). */
int once_render(const struct once *o, enum once_format format, struct buf *out, struct err *e);
/* "prom", "json", "table"; ERR_RANGE. */
int once_format_of(const char *name, enum once_format *out);

/* In once_io.c: runs the collectors of the configuration (`only` as in runner.h, or NULL) on a loop of its
 * own and renders. Takes a little over a second (`settle` between the two samplings; 0: one second). 0, or
 * what failed. */
struct once_params {
    const struct config *config;
    const char *root; /* "" or a prefix */
    const char *only;
    enum once_format format;
    struct span settle;
    struct span listen; /* of once_try; 0: 5 s */
    bool judged;        /* what failed is an error, though all that it gave is shown */
    struct log *log;    /* where collectors that fail say why; may be NULL */
};
int once_run(const struct once_params *p, struct buf *out, struct err *e);

/* In try_io.c: tries `only` by itself: a collector or one of its instances, enabled or
 * not ("cpu", "redis main"), "probe" or "probe LABEL" (each is run once), "statsd"
 * (listens for `listen`, as configured). What it gave is appended to out; 0, or an error
 * with a sentence when it did not go well, was given nothing, or is not there. */
int once_try(const struct once_params *p, struct buf *out, struct err *e);
/* What can be tried, a line for each. */
void once_list(struct buf *out);

#endif
