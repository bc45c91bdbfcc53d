/* Percentiles: what [percentile NAME] sections make of the values of series. Private to this room.
 *
 * Time. The ticks of a window W are gathered in cells of W/30 (whole ms, rounded down): cell k holds
 * the ticks t with k·step < t <= (k+1)·step, and at time now the window is made of the cells k >=
 * floor((now - W) / step). A tick ahead of its receipt was taken before it, whatever the agent's clock
 * says, and counts at its receipt: so nobody's clock moves a window. Cells stand in a ring of ceil(W /
 * step) + 1: a tick whose place is taken by a later cell lies before the window as soon as that cell's
 * data could be received, so what comes late always finds its place or belongs nowhere.
 *
 * When our clock goes back, there are cells that lie ahead of it. They hold what was
 * received in a time that is to come again: they are in no window and give their
 * places away. As small steps are common, a cell that is only the next one may stay.
 *
 * All of it is a function of the batches, their verdicts and times of receipt, so that a replay gives the
 * same; the clock only decides what is shown and what memory can be given back. */
#ifndef SB_SERIES_PERCENTILE_H
#define SB_SERIES_PERCENTILE_H

#include "aggregator/series/members.h"
#include "aggregator/series/table.h"

enum {
    WINDOW_CUTS = 30,
    BY_MAX = 16,
    NATIVE_BUCKETS = 320,  /* most populated buckets of the cumulative sketch; beyond, it gets coarser */
    PACK_AFTER_MS = 30000, /* a cell that ended so long ago is kept as bytes */
};

struct window_def {
    const char *text;
    int64_t width, step; /* ms */
    uint32_t cells;      /* of its ring */
    uint32_t first;      /* of its tallies in struct host */
};

/* What a section says. Immutable; snapshots show it. */
struct percentile_def {
    struct retired retired;
    struct arena arena; /* owns the rest */
    const char *name, *metric;
    const struct label *match;
    const char *const *by, *const *quantile_text, *const *bucket_text;
    const double *quantiles, *buckets;
    const struct window_def *windows;
    uint32_t n_match, n_by, n_quantiles, n_buckets, n_windows, n_tallies, max_groups;
    uint64_t fingerprint; /* of everything above */
};

/* Whether a record has to be written, is on its way, may be in the store. */
enum { DIRTY = 1, TAKEN = 2, STORED = 4 };

enum percentile_mode { MODE_IDLE, MODE_SKETCHES, MODE_GAUGES, MODE_REFUSED };

struct group;

struct percentile {
    struct percentile_def *def;
    struct atom *help;         /* NULL: the metric was not seen yet */
    enum percentile_mode mode; /* by the kind of the latest value */
    uint8_t state;             /* of the record that holds the mode */
    struct group **groups;     /* sorted by their values */
    uint32_t n, room;
};

struct cell {
    int64_t k;           /* INT64_MIN: empty */
    struct sketch *live; /* or, once it is old enough to be left alone, its bytes: */
    uint8_t *packed;
    uint32_t n_packed;
    uint8_t state;
};
struct ring {
    struct cell *cells;
    struct sketch merged; /* of the cells from `from` on, while valid */
    int64_t from;
    bool valid, known; /* known: quantiles are those of merged */
    double *quantiles;
};
struct sketches { /* of one group */
    struct sketch total;
    uint64_t *buckets;
    uint8_t state;
    struct ring *rings; /* one for each window */
};

struct tally { /* of one host's values in one cell */
    int64_t k;
    double sum;
    uint64_t n; /* 0: empty */
};
struct host {
    struct atom *id;
    uint32_t refs; /* members */
    uint8_t state;
    struct tally tallies[]; /* the rings of all windows, one behind the other */
};

struct group {
    struct percentile *percentile;
    struct atom **values; /* one for each label in `by` */
    uint32_t refs;        /* members */
    struct sketches *sketches;
    struct host **hosts; /* sorted by id */
    uint32_t n_hosts, hosts_room;
};

/* A series' part in a section. Group and host are found at its first value. */
struct member {
    struct member *next;
    struct percentile *percentile;
    struct group *group;
    struct host *host;
};

static inline int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}
static inline int64_t cell_of(int64_t t, int64_t step)
{
    return floor_div(t - (t > INT64_MIN), step);
}
static inline uint32_t cell_place(int64_t k, uint32_t n)
{
    int64_t r = k % (int64_t)n;

    return (uint32_t)(r < 0 ? r + (int64_t)n : r);
}
/* The last cell that a clock which has not gone back can have filled by now. */
static inline int64_t cell_last(int64_t now, int64_t step)
{
    return cell_of(now, step) + 1;
}
/* The first cell of the window at time now. */
static inline int64_t window_from(const struct window_def *w, int64_t now)
{
    return floor_div(now - w->width, w->step);
}

/* define.c. The definition that a section writes down; NULL with the mistakes in the report. */
struct section;
struct percentile_def *percentile_define(struct series_set *s, const struct section *c, struct buf *report,
                                         struct err *e);

/* percentiles.c */
struct percentile *percentile_find(const struct series_set *s, const char *name);

/* groups.c. values: n_by atoms, borrowed. NULL: no memory
 * (*full false) or max_groups reached (*full true). */
struct group *group_get(struct series_set *s, struct percentile *p, struct atom *const *values, bool *full);
void group_free(struct series_set *s, struct group *g); /* also out of its section's list */
bool group_idle(const struct group *g);                 /* holds nothing and nobody refers to it */
void group_bury(struct series_set *s, struct group *g); /* its records are to be deleted */

/* window.c */
struct sketches *sketches_get(struct series_set *s, struct group *g); /* NULL without memory */
void sketches_free(struct series_set *s, const struct percentile_def *d, struct sketches **x);
void sketches_add(struct series_set *s, const struct percentile_def *d, struct sketches *x, int64_t t,
                  const struct sketch *v);
void sketches_advance(struct series_set *s, const struct percentile_def *d, struct sketches *x, int64_t now);
/* Merged values of window w at now; NULL without memory. Valid until the next call. */
const struct sketch *sketches_window(struct series_set *s, const struct percentile_def *d, struct sketches *x,
                                     uint32_t w, int64_t now);
void cell_clear(struct series_set *s, struct cell *c);

/* gauges.c */
struct host *host_get(struct series_set *s, struct group *g, struct atom *id);
void host_add(const struct series_set *s, const struct percentile_def *d, struct host *h, int64_t t,
              double v);
void hosts_advance(struct series_set *s, struct group *g, int64_t now);
void host_free(struct series_set *s, const struct percentile_def *d, struct host *h);
/* The hosts' means in window w, sorted, into out[n_hosts]; their number. */
uint32_t hosts_means(const struct percentile_def *d, const struct group *g, uint32_t w, int64_t now,
                     double *out);
double rank_of(const double *sorted, uint32_t n, double q);

/* keys.c: the names of records, into s->key. */
enum record {
    RECORD_MODE = 'M',
    RECORD_TOTAL = 'T',
    RECORD_CELL = 'C',
    RECORD_HOST = 'H',
    RECORD_AGENT = 'A',    /* of no section */
    RECORD_READINGS = 'R', /* of counters, of an agent */
};
struct bytes key_agent(struct series_set *s, const struct agent *a);
struct bytes key_readings(struct series_set *s, const struct agent *a);
struct bytes key_mode(struct series_set *s, const struct percentile *p);
struct bytes key_total(struct series_set *s, const struct group *g);
struct bytes key_cell(struct series_set *s, const struct group *g, uint32_t window, uint32_t place);
struct bytes key_host(struct series_set *s, const struct group *g, const struct host *h);
/* to be deleted, if it may be in the store */
void bury(struct series_set *s, struct bytes key, uint8_t state);

#endif
