/* Facts: what objectives and rules are judged by. The ingest thread groups the values of the series that a
 * selection names into steps of 10 seconds by the time at which they were taken and tells the decide thread
 * what each step gained; here they are kept as far back as the longest window reaches.
 *
 * A delta adds to its step: counts, sums and sketches add up, extremes widen, the later value is the last. So
 * late and repeated tellings of different values give the same in any order, and a window is a sum of steps.
 *
 * A step that starts at s holds what was taken in (s, s + length]. Windows are half-open, (from, to], cut at
 * steps: 10 s for windows up to 30 m, 1 m up to 3 d and an hour, 1 h beyond; and coarser where they look
 * further back than the finer steps are kept (30 m; 3 d and an hour). Pure. */
#ifndef SB_ALERT_FACTS_H
#define SB_ALERT_FACTS_H

#include "common/base/clock.h"
#include "common/base/label.h"
#include "common/base/mem.h"
#include "common/base/metric.h"
#include "common/config/config.h"
#include "common/sketch/sketch.h"

enum { FACT_STEP_MS = 10000, FACT_MINUTE_MS = 60000, FACT_HOUR_MS = 3600000, FACT_DAY_MS = 86400000 };
enum fact_tier { TIER_STEP, TIER_MINUTE, TIER_HOUR, TIER_DAY, TIERS };

enum fact_kind { FACT_UNKNOWN, FACT_GAUGE, FACT_COUNTER, FACT_SKETCH };

/* What a group saw in one step, or what it gained. */
struct fact_bucket {
    uint64_t n;     /* samples; of a sketch: values */
    int64_t last_t; /* wall ms of the newest sample; 0: none */
    double
        last; /* gauge: the newest value (of one moment: their mean); counter: the newest reading, summed over the series */
    double sum, min,
        max; /* gauge: of the samples. Counter: sum is the increase, which a correction may lower; min and max are 0 */
    uint32_t series;             /* distinct series with a sample in this step; over steps: the most */
    const struct sketch *sketch; /* FACT_SKETCH, else NULL; borrowed */
};

/* Which series, and how they are grouped. One selection serves all who ask for the same. */
struct selection {
    const char *metric;
    const struct match *match; /* borrowed from the list */
    const char *const *by;     /* label names, sorted; n_by 0 and not by_all: one group of all */
    uint32_t n_by;
    bool by_all; /* each series for itself, with all its labels */
    bool
        own; /* a metric of this process ("securebase_aggregator_…", "securebase_agent_up", …), fed by the decide thread */
    struct span reach; /* how far back it is looked at */
    const char *text;  /* canonical: metric{match} by (names); equal texts are one selection */
};
struct selections; /* owns them; immutable once built */
struct selections *selections_new(struct mem *m);
void selections_free(struct selections **s);
/* Adds, or finds an equal one and lengthens its reach. `by` "*": by_all. The index in *at. ERR_NOMEM, ERR_MALFORMED
 * (match; a name), ERR_LIMIT (4096 selections). */
int selections_add(struct selections *s, const char *metric, const char *match, const char *const *by,
                   uint32_t n_by, struct span reach, uint32_t *at, struct err *e);
uint32_t selections_count(const struct selections *s);
const struct selection *selections_at(const struct selections *s, uint32_t i);

/* ---- from the ingest thread ---- */

/* One telling; texts and sketches are borrowed for the call. Groups are numbered by the teller, from 0, per selection.
 *
 * A delta counts in its own tier and in all coarser ones. So history, told again after a start, tells each
 * moment once: whole days up to some midnight, then hours up to some full hour, then minutes, then steps. What
 * is told as hours cannot be seen by the minute. (A selection with a reach up to 30 m keeps steps only: coarser
 * deltas are not kept; up to 3 d and an hour nothing is needed that is coarser than minutes.) */
struct fact_delta {
    uint32_t selection, group;
    enum fact_kind kind;
    enum fact_tier tier; /* TIER_STEP, but when history is told again */
    int64_t start;       /* wall ms, a multiple of the tier's length */
    struct fact_bucket gain;
};
struct fact_group_new {
    uint32_t selection, group;
    enum fact_kind kind;
    struct labels labels; /* of its `by`; by_all: all of the series */
};

/* What the ingest thread tells the decide thread at a time. Owned by whoever holds it; freed whole. */
struct telling {
    /* of everything below, sketches' counts included; this struct itself is of mem_alloc(arena.mem) */
    struct arena arena;
    uint32_t
        generation; /* of the list of selections that the numbers refer to: 1 at start, + 1 with each reload */
    const struct fact_group_new *groups; /* first these … */
    const struct fact_delta *deltas;     /* … then these, in order … */
    const struct fact_group_new *gone;   /* … then these (labels unset) */
    uint32_t n_groups, n_deltas, n_gone;
    uint64_t lost;   /* deltas that found no memory */
    bool restored;   /* stored history and the replay have been told: rules may judge */
    struct wall now; /* when it was made */
};
void telling_free(struct telling **t);

struct facts;
/* Borrows the selections until facts_free or facts_turn. */
struct facts *facts_new(const struct selections *s, struct mem *mem);
void facts_free(struct facts **f);
/* Another list: what is known of equal texts goes on under its new number. 0 or ERR_NOMEM (nothing changed). */
int facts_turn(struct facts *f, const struct selections *s);
/* A group that was told before is the same one (labels decide, the number may be a new one). */
int facts_group(struct facts *f, const struct fact_group_new *g);
void facts_gone(struct facts *f, uint32_t selection,
                uint32_t group); /* told no more; known until it is older than its reach */
int facts_gain(struct facts *f, const struct fact_delta *d);
/* An own metric's value now, from the decide thread. */
int facts_own(struct facts *f, const char *metric, enum fact_kind kind, struct labels labels, double value,
              struct wall now);
/* Our clock: what is older than the reach is forgotten, what lies more than a minute ahead is refused. Before the
 * first telling, and once a second. */
void facts_advance(struct facts *f, struct wall now);

/* ---- reading ---- */

struct fact_group; /* lives until facts_advance or facts_turn */
uint32_t facts_groups(const struct facts *f, uint32_t selection);
const struct fact_group *facts_group_at(const struct facts *f, uint32_t selection, uint32_t i);
const struct fact_group *facts_group_find(const struct facts *f, uint32_t selection, struct labels l);
struct labels fact_labels(const struct fact_group *g);
enum fact_kind fact_group_kind(const struct fact_group *g);
uint64_t fact_changes(
    const struct fact_group *g); /* grows with each gain: unchanged means that nothing was told since */
int64_t fact_newest(const struct fact_group *g); /* wall ms of its newest sample; 0: none */

/* All steps in (from, to], merged; edges are cut down to the tier's length. `sketch` (initialised, or NULL when not
 * wanted) takes the merged sketch, and out->sketch points to it. covered: how many of the steps held a sample, of how many. */
struct fact_cover {
    uint32_t held, of;
};
int facts_window(const struct fact_group *g, int64_t from, int64_t to, struct fact_bucket *out,
                 struct sketch *sketch, struct fact_cover *cover);
/* Length in ms of the steps that such a window consists of. */
int64_t fact_step_length(const struct fact_group *g, int64_t from, int64_t to);
/* Calls fn for each step that is not empty, oldest first; ends with the first code not 0. */
int facts_each(const struct fact_group *g, int64_t from, int64_t to,
               int (*fn)(void *arg, int64_t start, int64_t length, const struct fact_bucket *b), void *arg);

void facts_metrics(const struct facts *f, struct sink *out);

/* fact_bucket arithmetic, for all who keep steps: also the store's. Sketches apart. `into` gains `gain`, which
 * belongs to the same step: its series are others than those that `into` counts. Of two values of one moment the
 * last is the mean (gauge, by series) or the higher (counter); a gain without samples restates it. */
void fact_add(enum fact_kind kind, struct fact_bucket *into, const struct fact_bucket *gain);
/* The same of another step of time: the series may be the same ones, so the most of a step holds. */
void fact_merge(enum fact_kind kind, struct fact_bucket *into, const struct fact_bucket *step);
/* The stored form, sketch included. */
int fact_encode(enum fact_kind kind, const struct fact_bucket *b, struct buf *out);
int fact_decode(struct bytes in, enum fact_kind *kind, struct fact_bucket *b, struct sketch *sketch,
                struct err *e);

/* ---- what objectives say to rules ---- */

enum { BURN_WINDOWS = 8 }; /* 5m 30m 1h 2h 6h 1d 3d and the period */
struct burn_window {
    struct span window;
    uint64_t good, total;
    double burn;       /* NaN: no data */
    double burn_least; /* lower bound of 95 % (Wilson), what little traffic is judged by; NaN: no data */
    bool enough;       /* min_events and min_bad are met */
};
struct burn_fact {
    const char *slo;
    struct labels group;
    struct burn_window w[BURN_WINDOWS];
    double remaining;       /* of the period's budget: 1 untouched, negative overspent; NaN unknown */
    double exhausted_after; /* seconds at the rate of the last hour; +Inf: never */
    double completeness;    /* 0 … 1 of the data behind the shortest window */
};

#endif
