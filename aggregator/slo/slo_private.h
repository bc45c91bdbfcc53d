/* The inside of aggregator/slo.
 *
 * A group of an objective keeps minutes (3 days and some hours, so long as facts can still correct them) and blocks of
 * 15 minutes (as long as `keep`): a quarter of an hour is what the offsets of all zones are multiples of, so that a
 * month in any of them begins at a block. A block's counts are always the sum of its minutes as they were last known. */
#ifndef SB_SLO_PRIVATE_H
#define SB_SLO_PRIVATE_H

#include "aggregator/slo/slo.h"
#include "common/base/map.h"

enum {
    MINUTES = 75 * 60, /* in the ring */
    HOURS = MINUTES / 60,
    MINUTES_REACH = 72 * 60 + 45, /* whole minutes behind now that late values may still change */
    BLOCK = 15,                   /* minutes */
    DAY_BLOCKS = 96,
    DAY_MINUTES = 1440,
    RECENT = 12, /* minutes read again whenever something was told */
    SLO_BY_MAX = 8,
    CORRECTIONS_KEPT = 256, /* of a group, for reports; the ledger has all */
};

enum slo_kind { SLO_AVAILABILITY, SLO_LATENCY, SLO_PROBE, SLO_RANGE, SLO_SLICES };
enum slo_source { SOURCE_COUNTERS, SOURCE_SKETCH, SOURCE_PROBE, SOURCE_RANGE };
enum slo_period { SLO_ROLLING, SLO_WEEK, SLO_MONTH, SLO_QUARTER };
enum slo_unknown { UNKNOWN_APART, UNKNOWN_DOWN, UNKNOWN_UP };

/* A minute's verdict and cause, 4 bits in a block. */
enum slo_code {
    CODE_NONE,       /* not judged */
    CODE_UP,         /* enough events, good enough */
    CODE_UP_QUIET,   /* too few events to judge by, and no witness says otherwise */
    CODE_UP_PROBE,   /* no data, but the witness got through */
    CODE_DOWN,       /* incident */
    CODE_DOWN_PROBE, /* too few events, and the witness failed for the whole minute */
    CODE_DOWN_FAILOVER,
    CODE_DOWN_DRILL,
    CODE_DOWN_MAINTENANCE, /* not excluded: by contract, or announced too late */
    CODE_BLIND,            /* no data */
    CODE_INCOMPLETE,       /* too few of the sources were heard */
    CODE_EXCLUDED,         /* maintenance that was declared before it began */
    CODES
};
enum slo_verdict { VERDICT_NONE, VERDICT_UP, VERDICT_DOWN, VERDICT_UNKNOWN, VERDICT_EXCLUDED, VERDICTS };
enum slo_verdict code_verdict(enum slo_code c);
const char *verdict_name(enum slo_verdict v);
const char *code_cause(enum slo_code c); /* "" when there is none to name */

/* What is counted: metric, matchers; index into the selections. */
struct slo_selection {
    const char *metric, *match;
    uint32_t at;
};

struct slo_def {
    struct arena arena; /* of everything here */
    const char *name;
    enum slo_kind kind;
    enum slo_source source;
    bool by_bad;                      /* `part` counts the bad ones, not the good */
    struct slo_selection part, whole; /* whole alone for sketches and gauges */
    const char *by[SLO_BY_MAX];
    uint32_t n_by;
    double threshold, low, high;
    uint32_t slice; /* minutes */
    double slice_objective;
    double objective;
    enum slo_period period;
    struct span
        span; /* of the period; of a calendar one: 7, 30 or 91 days, for the factors of alerts alone */
    const char *zone_name;
    const struct zone *zone; /* borrowed from slo_zones */
    uint64_t min_events, min_bad;
    double contract, complete;
    enum slo_unknown unknown;
    bool maintenance_excluded, alerts;
    const char *witness; /* NULL: none */
    int64_t settle_ms;
    uint32_t keep_days, max_groups;
    const char *team, *service, *runbook; /* "" when absent */
    uint64_t judged; /* of what makes a verdict of events: verdicts given by other terms stay */
    uint64_t
        counted; /* fingerprint of what says which events are good: minutes of another one are not judged anew */
};

/* From a section. NULL and the sentences in report. zones may be NULL (then zone is NULL). */
struct slo_def *slo_define(const struct section *c, const struct slo_zones *z, struct mem *mem,
                           struct buf *report, struct err *e);
void slo_def_free(struct slo_def **d, struct mem *mem);
/* Adds, or finds, what it counts. part is set for counters alone. */
int slo_def_selections(const struct slo_def *d, struct selections *s, uint32_t *part, uint32_t *whole,
                       struct err *e);

struct minute {
    uint32_t good, total; /* as counted, before slices are made of them; saturating */
    uint16_t series;      /* distinct ones heard; 0: no data */
    uint8_t version;      /* of its verdict: 0 not closed, 1 closed, then one more with each correction */
};

struct block {
    uint64_t good, total; /* events of the objective */
    uint64_t codes;       /* 15 × 4 bits */
};
struct day {
    int64_t number; /* days since 1970 */
    struct block b[DAY_BLOCKS];
};

struct correction {
    int64_t at_ms;
    int64_t from; /* minute */
    uint32_t n;   /* minutes */
    uint8_t was, is, version;
};

/* A count for a metric: corrections may lower `now`, `shown` waits until it is caught up. */
struct grown {
    uint64_t now, shown;
};
struct account {
    uint32_t up, down, unknown, excluded;
};

/* What an hour of facts summed up to when it was read last. */
struct mark {
    uint64_t n;
    double whole, part;
};

struct slo;
struct slo_group {
    struct slo *slo;
    struct labels labels; /* owned: in arena */
    struct arena arena;
    struct minute *ring; /* MINUTES, by minute mod MINUTES */
    int64_t tail, head;  /* oldest and newest minute in the ring; head 0: none */
    struct day **days;   /* by day mod n_days, NULL where nothing happened */
    uint32_t n_days;
    int64_t born;           /* first minute that is accounted for; 0: none yet */
    int64_t frozen;         /* minutes before it were counted by another definition and stay so */
    int64_t fixed;          /* verdicts before it were given by other terms and stay so */
    int64_t last;           /* newest minute with data; 0: none */
    int64_t closed;         /* minutes before it have a verdict */
    uint64_t changes;       /* fact_changes of its two sides when last read */
    uint64_t swept_changes; /* as of the last look at the whole reach … */
    int64_t swept;          /* … at this wall ms; 0: never */
    int64_t read_whole;     /* wall ms when all of the reach was read; 0: never */
    struct mark *marks;     /* HOURS, by hour mod HOURS */
    bool stale;             /* burns have to be computed anew */
    bool dirty;             /* its state is not recorded */
    int64_t told[2];        /* minutes found to be others since the last step; none when [0] > [1] */
    int64_t touched[2];     /* minutes with a verdict to be judged anew: [0] .. [1]; none when [0] > [1] */
    uint32_t tidied;        /* minute of the day in which what is kept no longer goes: not the same for all */
    bool over;              /* nothing was heard of it for as long as anything is kept */
    uint64_t hours[2];      /* bit hour mod HOURS: its record is not what we know */
    int64_t counted_minute; /* burns were computed for this running minute */
    uint32_t burn;          /* its place in burns */
    /* the entry of the ledger that is being written */
    struct {
        int64_t from; /* minute; 0: none */
        uint8_t code;
        uint64_t good, total;
    } entry;
    struct correction *corrections;
    uint32_t n_corrections, room_corrections;
    uint64_t corrected; /* minutes, ever */
    struct grown good, bad;
    struct account month, rolling; /* of the calendar month and of 30 days, as of the last closed minute */
};

struct slo {
    struct slo_def *def;
    struct slo_group **groups; /* by labels */
    uint32_t n, room;
    uint64_t refused; /* groups beyond max_groups */
    double bound;     /* of sketches: the worst bucket bound that stood for the threshold; NaN: none yet */
};

/* ---- minutes.c ---- */

int64_t minute_of(int64_t wall_ms); /* rounded down */
struct slo_group *slo_group_new(struct slo *s, struct mem *mem, struct labels l);
void slo_group_free(struct slo_group **g, struct mem *mem);
/* Keeps so many days of blocks from now on. ERR_NOMEM: as before. */
int slo_group_keep(struct slo_group *g, uint32_t n_days, struct mem *mem);
/* Makes the ring reach to minute `now`. */
void slo_group_advance(struct slo_group *g, int64_t now);
/* NULL when it is outside the ring. */
struct minute *slo_group_minute(const struct slo_group *g, int64_t minute);
/* The block that holds a minute, or NULL; block_make: made when absent, NULL without memory or beyond what is kept. */
const struct block *slo_group_block(const struct slo_group *g, int64_t minute);
struct block *slo_group_block_make(struct slo_group *g, int64_t minute, struct mem *mem);
/* What a minute is found to be; its block follows. 0, ERR_NOMEM, ERR_RANGE (not in the ring). *changed: it was not. */
int slo_group_put(struct slo_group *g, int64_t minute, uint64_t good, uint64_t total, uint32_t series,
                  struct slos *s, bool *changed);
/* Events of [from, to) minutes. Where `from` lies before the ring, its block counts whole. */
struct events {
    uint64_t good, total;
};
struct events slo_group_events(const struct slo_group *g, int64_t from, int64_t to);
/* Events of one minute: its counts, or of slices, at the first minute of each, one event. */
struct events slo_group_minute_events(const struct slo_group *g, int64_t minute);
enum slo_code slo_group_code(const struct slo_group *g, int64_t minute);
int slo_group_code_put(struct slo_group *g, int64_t minute, enum slo_code code, struct mem *mem);

/* ---- slo.c ---- */

struct slo *slos_find(const struct slos *s, const char *name); /* or NULL */

/* ---- take.c ---- */

struct sweep *sweep_new(struct mem *mem); /* room to read a group's facts into */
void sweep_free(struct sweep **w, struct mem *mem);

/* Reads what facts tell of each objective, making groups as they appear. */
void slos_take(struct slos *s, const struct facts *f, int64_t now_ms);
struct slo_group *slo_group_find(const struct slo *s, struct labels l);
struct slo_group *slo_group_make(struct slos *all, struct slo *s, struct labels l);

/* ---- causes.c ---- */

/* An interval with a cause of its own. Kept until no minute of it can be judged anew. */
struct cause {
    enum slo_cause kind;
    char *name;
    struct match *match;                 /* owned */
    int64_t from_ms, to_ms, declared_ms; /* to_ms INT64_MAX: not over */
    bool excludes;
    bool seen; /* by the step under way */
    bool dirty;
};
void causes_take(struct slos *s, const struct slo_input *in);
int causes_record(struct slos *s, const struct slo_effects *out, int64_t now_ms);
int causes_restore(struct slos *s, struct bytes key, struct bytes value);
void causes_free(struct slos *s);
/* The code of a minute that is down, or CODE_EXCLUDED when maintenance takes it out of the account, or CODE_DOWN. */
enum slo_code causes_of(const struct slos *s, const struct slo_group *g, int64_t minute);

/* ---- ledger.c ---- */

/* A minute was found to be another: if it has a verdict, that is judged anew at the end of the step. */
void slo_touch(struct slo_group *g, int64_t minute);
/* Closes minutes, judges the touched ones anew. */
void slos_judge(struct slos *s, const struct slo_effects *out, int64_t now_ms);
/* What codes the minutes [from, to) have. */
struct tally {
    uint32_t n[CODES];
};
struct tally slo_group_tally(const struct slo_group *g, int64_t from, int64_t to);

/* ---- record.c ---- */

void slo_record_group(struct slos *s, struct slo_group *g, const struct slo_effects *out);
void slo_record_hours(struct slos *s, struct slo_group *g, const struct slo_effects *out);
/* The hour's minutes can change no more: only its blocks are kept from now on. */
void slo_record_compact(struct slos *s, struct slo_group *g, int64_t hour, const struct slo_effects *out);
void slo_forget_group(struct slos *s, struct slo_group *g, const struct slo_effects *out);
void slo_forget_day(struct slos *s, struct slo_group *g, int64_t day, const struct slo_effects *out);
void slo_record_correction(struct slos *s, struct slo_group *g, const struct correction *c, bool gone,
                           const struct slo_effects *out);
int slo_correction_add(struct slos *s, struct slo_group *g, const struct correction *c);

/* ---- windows.c ---- */

struct slo_span {
    int64_t from, to; /* minutes, half-open */
};
/* The objective's period at a minute: what has passed of it; `end` of a calendar one, else as to. */
struct slo_span slo_period_at(const struct slo_def *d, int64_t now, int64_t *end);
void slos_weigh(struct slos *s, int64_t now_ms); /* burns, where something changed */
const char *slo_window_name(unsigned i);         /* "5m" … "period" */
double slo_group_completeness(const struct slo_group *g, int64_t from, int64_t to);
/* Most series heard in a minute of the hour that ends with it. */
uint32_t slo_group_expected(const struct slo_group *g, int64_t minute);

struct slos {
    struct mem *mem;
    const struct selections *selections;
    struct slo **list; /* by name */
    uint32_t n;
    struct burn_fact *burns;
    uint32_t n_burns, room_burns;
    struct sweep *sweep; /* MINUTES of scratch */
    char *region;
    uint32_t sweeps; /* groups that this step may still read whole */
    struct cause *causes;
    uint32_t n_causes, room_causes;
    int64_t started; /* wall ms of the first step; 0: before it */
    uint64_t saturated, clamped, no_memory, bad_records, unknown_records;
};

#endif
