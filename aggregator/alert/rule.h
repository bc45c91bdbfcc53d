/* One [alert NAME] section as values: what is looked at, what counts as a breach, and what is said. Immutable
 * once read; everything lives in the arena that rule_read was handed. Pure. */
#ifndef SB_ALERT_RULE_H
#define SB_ALERT_RULE_H

#include "aggregator/alert/alert.h"
#include "common/base/arena.h"

enum rule_kind {
    RULE_LAST,
    RULE_AVG,
    RULE_MIN,
    RULE_MAX,
    RULE_SUM,
    RULE_RATE,
    RULE_INCREASE,
    RULE_PERCENTILE,
    RULE_RATIO,
    RULE_SHARE,
    RULE_BURN,
    RULE_FORECAST,
    RULE_CHANGE,
    RULE_UNTIL,
    RULE_AGE,
    RULE_COUNT,
    RULE_ABSENT,
    RULE_COMPOSITE, /* written as `when =`, not as a statistic */
    RULE_KINDS
};
const char *rule_kind_name(enum rule_kind k);

enum compare { COMPARE_NONE, COMPARE_ABOVE, COMPARE_BELOW, COMPARE_OUTSIDE, COMPARE_EQUAL };
enum no_data { NO_DATA_KEEP, NO_DATA_ALERT, NO_DATA_OK };
enum baseline_kind { BASELINE_NONE, BASELINE_SEASONAL, BASELINE_EWMA };
enum direction { DIRECTION_UP = 1, DIRECTION_DOWN = 2, DIRECTION_BOTH = 3 };

/* What a value, or its absence, says. */
enum verdict { VERDICT_CLEAR, VERDICT_BETWEEN, VERDICT_HOLDS, VERDICT_NONE, VERDICTS };
const char *alert_verdict_name(enum verdict v);

struct condition {
    enum compare op;
    double low, high; /* above: high; below: low; outside: both; equal: low */
    bool has_clear_above, has_clear_below;
    double clear_above, clear_below;
};

struct rule_baseline {
    enum baseline_kind kind;
    enum direction direction;
    double deviations, min_abs, min_rel;
    struct span learn;
    bool freeze; /* in maintenance: measured, not learnt */
};

enum { RULE_BY_MOST = 8, RULE_LABELS_MOST = 8, RULE_NAMES_MOST = 16, RULE_POINTS_MOST = 32 };
#define RULE_NOTHING UINT32_MAX

struct when; /* a composite's expression; when.h */

struct rule {
    const char *name, *origin;
    enum rule_kind kind;

    const char *metric, *match_text, *of, *of_match;
    const char *by[RULE_BY_MOST];
    uint32_t n_by;
    uint32_t selection, of_selection; /* RULE_NOTHING until resolved */
    double quantile, bound;
    struct span window, horizon, before;
    const char *slo;
    struct span burn_long, burn_short;
    uint64_t min_count;

    struct condition condition;
    struct rule_baseline baseline;
    struct span hold, clear_hold; /* `for`, `clear_for` */
    uint32_t points, of_points;   /* 0: not asked for */
    struct span every;
    enum no_data no_data;
    struct span gap, forget;
    uint32_t flaps;    /* firings within `quiet` each of the last that make it flap; 0: never */
    struct span quiet; /* how long a flapping alert has to be good */

    const struct when *when;
    const char *on[RULE_BY_MOST];
    uint32_t n_on;
    const char *suppressors[RULE_NAMES_MOST];
    uint32_t n_suppressors;
    struct span suppress_wait, suppress_extend;

    enum severity severity;
    const char *team, *service, *summary, *description, *runbook; /* "" when absent */
    struct label labels[RULE_LABELS_MOST];
    uint32_t n_labels;
    uint32_t limit;

    uint64_t groups_hash;    /* of what names its groups: other ones end its alerts */
    uint64_t condition_hash; /* of what judges them: another one begins the holds anew */
};

/* Reads one section into the arena. What is wrong with it is added to the report; ERR_CONFIG, ERR_NOMEM. */
int rule_read(const struct section *s, struct arena *a, struct rule *out, struct buf *report, struct err *e);

/* A number as people write thresholds: 0.05, 5%, 500ms (in seconds), 64MiB (in bytes). ERR_MALFORMED. */
int rule_number(const char *text, double *out, struct err *e);

enum verdict condition_judge(const struct condition *c, double v);
/* The bound that v is measured against: of `outside` the one that is nearer. */
double condition_bound(const struct condition *c, double v);
/* "> 0.05"; "< 10"; "outside 1 … 5"; "= 0" */
void condition_text(const struct condition *c, struct buf *out);
/* The same for what clears it. */
void condition_clear_text(const struct condition *c, struct buf *out);

/* How far back a selection of this rule is looked at. */
struct span rule_reach(const struct rule *r);
/* Finds the rule's selections; RULE_NOTHING where the list lacks them. */
int rule_resolve(struct rule *r, const struct selections *s, struct err *e);

/* All sections of a configuration, in the order in which they can be judged: what a composite names comes first. */
struct rules {
    struct rule *v; /* in the arena */
    uint32_t n;
};
/* Every mistake goes to the report. slo_known NULL: not asked. ERR_CONFIG, ERR_NOMEM. */
int rules_read(const struct config *c, bool (*slo_known)(void *arg, const char *name), void *arg,
               struct arena *a, struct rules *out, struct buf *report, struct err *e);
const struct rule *rules_find(const struct rules *rs, const char *name);

#endif
