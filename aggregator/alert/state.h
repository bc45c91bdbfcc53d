/* The inside of the alert engine: rules with what they keep, and alerts. Only what is not plainly good has an alert;
 * each other group is a cell of 32 bytes that says what was seen last, so that a group without news costs one
 * comparison. Pure. */
#ifndef SB_ALERT_STATE_H
#define SB_ALERT_STATE_H

#include "aggregator/alert/rule.h"
#include "aggregator/alert/statistics.h"
#include "aggregator/alert/table.h"
#include "common/base/map.h"

/* What a rule makes of a group now. */
struct measured {
    double value, threshold;
    double expected, low, high; /* of a rule with a baseline: what is usual */
    int64_t t;    /* wall ms that the hold goes by: of the newest sample; now, where there is none to go by */
    int64_t data; /* wall ms of the newest sample in the window; 0: not known */
    uint64_t n;
    int64_t from, to; /* the window */
    enum verdict verdict;
    bool few;        /* values came, fewer than min_count: no verdict, but not missing */
    const char *why; /* why there is no verdict, a constant sentence; NULL otherwise */
    uint32_t held_steps, of_steps;
};

enum mute { MUTE_NOT, MUTE_WAIT, MUTE_SUPPRESSED, MUTE_LIMIT };

struct rule_state;

struct alert {
    struct alert *next;    /* of its rule; of the orphans */
    struct rule_state *of; /* NULL: its rule is gone */
    size_t size;           /* of this block, labels and texts included */
    struct fingerprint id;
    struct labels group, labels; /* within the block */
    const char *rule;            /* within the block */
    enum severity severity;

    enum alert_state state;
    int row;         /* that led here */
    int64_t since;   /* the condition holds since, by samples' time */
    int64_t mark;    /* up to where the running hold was counted */
    int64_t held;    /* ms of it */
    int64_t changed; /* wall ms of the last transition */
    int64_t seen;    /* wall ms of the last verdict from data */
    int64_t data;    /* newest sample */
    uint64_t epoch;
    struct measured m;

    uint32_t points, n_points; /* newest step in bit 0 */
    int64_t point;             /* number of the newest step; 0: none */
    uint32_t fires;            /* in a row */
    int64_t ended;             /* wall ms of the last end of a firing; 0: none */
    bool flapping;
    enum mute mute;
    int64_t muted_from; /* wall ms at which a suppressor was last seen firing */
    bool told;          /* of this firing */
    bool resumed;       /* the time that passed is not counted: after a restart or a hold */
    bool gone, summary;
    struct baseline *baseline; /* owned; NULL: none */
    uint64_t step;             /* at which its group was last met */
    int64_t stored;            /* held, as the last record has it; -1: no record */
    bool dirty;                /* a record is due */
    uint32_t cell;
};

struct cell {
    const struct fact_group *g; /* compared, and used within a step */
    uint64_t changes;
    struct alert *alert;
};

struct rule_state {
    const struct rule *rule;
    struct cell *cells; /* by the group's index in the facts */
    uint32_t n_cells, cells_room;
    struct alert *first;
    uint32_t n, count[ALERT_STATES];
    uint32_t told, over; /* firing alerts that were told; that were not, beyond the limit */
    struct alert *summary;
    struct rule_state *same;       /* the next rule that looks at the same selection; NULL: the last */
    bool first_of_same, all, fits; /* all, fits: of the step under way */
    int64_t slid;                  /* the window's end that all cells were measured at */
    uint64_t evaluations, transitions, errors, refused;
    uint32_t groups;
    int64_t since; /* wall ms since when it matches nothing; 0: it matches */
    bool silent;   /* that was told */
    bool matched;  /* ever */
};

enum { ALERTS_MOST = 200000, ALERT_LABELS_MOST = 48 };

struct alerts {
    struct mem *mem;
    struct arena arena; /* of the rules */
    struct rules rules;
    struct rule_state *states; /* as many as rules.n, in their order */
    struct map ids;            /* fingerprint -> alert */
    struct alert *orphans;
    uint32_t n_alerts;
    const struct selections *selections;
    char region[64];
    uint64_t step;
    int64_t started, last; /* wall ms of the first and of the last step */
    int64_t awake; /* wall ms since when we have looked without a break: the start, or the end of a hold */
    bool held;     /* the last step was one that holds */
    bool afresh;   /* all cells are to be measured again */
    uint64_t damaged, foreign, restored, no_memory, steps, holds, evaluations, notices, records, decisions;
    uint64_t backwards;
    uint64_t short_step, short_n, short_left_out; /* decisions about alerts beyond a limit: in this step */
    struct span spent;                            /* in steps, as told */
    uint64_t rows[ALERT_ROW_MOST + 1];            /* how often each row followed */
    struct sketch *scratch;
    struct sketch sketch;
    struct buf text; /* scratch of a notice */
};

struct turn { /* one step */
    struct alerts *a;
    const struct alert_input *in;
    const struct alert_effects *out;
};

bool alert_in_force(enum alert_state s); /* firing or clearing */

/* ---- measure.c ---- */

/* The end of the window that holds now, cut as facts are. */
int64_t window_end(struct span window, struct wall now);
/* g: the group; of ratio: above the line (NULL: not there), and of: below it. */
void rule_measure(const struct rule *r, const struct fact_group *g, const struct fact_group *of,
                  struct wall now, struct sketch *scratch, struct measured *m);
void rule_measure_burn(const struct rule *r, const struct burn_fact *b, struct wall now, struct measured *m);
void measured_judge(const struct rule *r, struct measured *m); /* threshold and verdict of m->value */

/* ---- keep.c: alerts ---- */

struct alert *alert_find(const struct alerts *a, const struct fingerprint *id);
/* NULL without memory or beyond ALERTS_MOST, counted. */
struct alert *alert_make(struct alerts *a, struct rule_state *rs, struct labels group);
struct alert *alert_make_orphan(struct alerts *a, const char *rule, struct labels group, struct labels all,
                                enum severity severity);
void alert_drop(struct alerts *a, struct alert **at);
void alert_state_set(struct alert *al, enum alert_state s);

/* alerts.c: an alert that was made elsewhere belongs to this rule; anew: its holds begin at 0. */
void rule_state_adopt(struct alerts *a, struct rule_state *to, struct alert *al, bool anew);

/* What was measured of a group without a cell: its alert, made if need be, takes it. */
/* Tells once of a rule that has matched nothing for a while. */
void rule_silence(const struct turn *t, struct rule_state *rs);
void rule_offer(const struct turn *t, struct rule_state *rs, struct labels group, const struct measured *m);
void composite_look(const struct turn *t, struct rule_state *rs);
void absent_look(const struct turn *t, struct rule_state *rs);

/* ---- learn.c: baselines ---- */

/* Judges what was measured by the alert's baseline, made if need be, and lets it learn. */
void alert_baseline_judge(const struct turn *t, struct alert *al, struct measured *m);
/* Drops a baseline of another kind than the rule's. */
void alert_baseline_keep(struct alerts *a, struct alert *al, const struct rule *r);
void alert_baseline_drop(struct alerts *a, struct alert *al);

/* ---- advance.c: one alert, one step ---- */

/* We have not looked for long enough to call something missing: a window of the rule, at most a quarter of an hour. */
bool alert_early(const struct turn *t, const struct rule *r);
void alert_advance(const struct turn *t, struct alert *al);
/* After a restart, once: what is in force is told again, so that those who tell know that its rule is still there. */
void alert_say_again(const struct turn *t, struct alert *al);
void alert_apply(const struct turn *t, struct alert *al, const struct alert_row *row, const char *reason);

/* ---- record.c ---- */

void alert_record(const struct turn *t, struct alert *al);
void alert_record_delete(const struct turn *t, const struct alert *al);

/* ---- decision.c ---- */

void alert_decide(const struct turn *t, const struct alert *al, const struct alert_row *row,
                  enum alert_state from, const char *reason);

#endif
