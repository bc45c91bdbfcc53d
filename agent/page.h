/* The agent's own page for Prometheus: the newest value of every series, in the text format 0.0.4,
 * under the names and labels that node_exporter has. Distributions are not on it: a sketch holds
 * one interval, and a summary's sum and count would have to go on from there; they are what the
 * aggregator is for. Labels of the whole host (region, env) are left to the scrape. */
#ifndef SB_AGENT_PAGE_H
#define SB_AGENT_PAGE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/wire/wire.h"

struct page_line {
    const struct wire_series *def; /* borrowed */
    double value;
};
struct page {
    struct arena *arena;
    struct page_line *lines;
    size_t n, room;
    bool full; /* no memory for all of it */
};

void page_add(void *page, const struct wire_series *def, double value); /* a grid_value */
/* Sorts, and writes each metric under its one HELP and TYPE. A name that came with two
 * kinds keeps the first, an identity that came twice the first. 0, or ERR_NOMEM. */
int page_render(struct page *p, struct buf *out, struct err *e);

/* ---- page_io.c: the listener ---- */

struct loop;
struct pages;
/* Listens on a loopback address (ADDRESS:PORT): GET /metrics
 * and /healthz. `fill` adds the series to a page. */
struct pages *pages_new(struct loop *l, const char *listen, void (*fill)(void *arg, struct page *p),
                        void *arg, struct err *e);
void pages_free(struct pages **p);

#endif
