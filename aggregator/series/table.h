/* What the files of this room share; nobody else includes it.
 *
 * The way of a value: agent → binding (schema and resource) → series → metric, the last being the family of
 * all series of one name with their latest values side by side. A binding turns position j of a schema into a
 * series, so that applying a block walks arrays and hashes nothing. All texts are atoms, kept once; the
 * labels of a series are a label set, which all series of an agent with the same labels share.
 *
 * Invariants: a series lives as long as a binding refers to it; it is visible (has a
 * place in its metric) only while its latest value is fresh and its resource is the
 * agent's current one. What a snapshot may show (atoms, label sets, definitions of
 * sections) is given up through retire() and freed when no older snapshot is left. */
#ifndef SB_SERIES_TABLE_H
#define SB_SERIES_TABLE_H

#include <stdatomic.h>

#include "aggregator/series/series.h"
#include "common/base/map.h"

enum {
    FUTURE_MS = 600 * 1000,    /* a block may be that far ahead of the time of receipt */
    RESERVE_MS = 60 * 1000,    /* how long a judged kind is kept for a batch that waits for its commit */
    BINDING_SLACK = 64 * 4096, /* series pointers that an agent's bindings may hold beyond twice its quota */
};
#define NOWHERE UINT32_MAX

/* Why values that were accepted are not where they belong. */
enum series_loss { LOSS_MEMORY, LOSS_GROUPS, LOSS_OVERFLOW, LOSS_REASONS };

/* Head of what snapshots may show. */
struct retired {
    struct retired *next;
    uint64_t gen;       /* number of the newest snapshot that may show it */
    size_t size;        /* of the whole block */
    struct arena *with; /* freed first; a member of the block, or NULL */
};

struct atom {
    struct retired retired;
    uint32_t refs, n;
    char text[]; /* terminated */
};

/* A host's labels as one (resource, tenant) gives them. */
struct resource {
    struct wire_hash hash;
    struct agent *agent;
    struct resource *next;
    struct atom *tenant;  /* NULL: none */
    struct map sets;      /* label sets by the addresses of their own labels' atoms */
    uint32_t refs;        /* bindings */
    uint32_t n;           /* labels: the resource's, instance, job, tenant; sorted */
    struct atom **labels; /* 2 n atoms: name, value … */
};

struct labelset {
    struct retired retired;
    struct series_desc desc;
    struct resource *resource;
    uint32_t refs, n_own;
    struct atom **own; /* 2 n_own atoms, the key; behind them the labels of desc */
};

/* All series of one name. values[i] and slots[i] belong together. */
struct slot {
    struct series *series;
    int64_t seen; /* ms of our clock at which the value was taken; never ahead of its receipt */
};
struct metric {
    struct atom *name, *help;
    enum metric_kind kind;
    int64_t reserved; /* the kind holds until then, even without a visible series; INT64_MIN: not */
    uint32_t refs;    /* series */
    uint32_t at;      /* in metrics[] */
    uint32_t n, room;
    struct series_value *values;
    struct slot *slots;
};

struct member; /* percentile.h */
struct feed;   /* track.h, as the next ones */
struct reading;
struct track;
struct track_group;
struct track_step;

struct series {
    struct metric *metric; /* these two are the key */
    struct labelset *set;
    struct agent *agent;
    struct member *members;  /* percentile sections that take its values */
    struct feed *feeds;      /* selections that do */
    struct reading *reading; /* counters with feeds */
    uint64_t stamp;          /* gauges with members: the batch in which it was met last, … */
    uint32_t first;          /* … and there its first part, see apply.c */
    uint32_t refs;           /* bindings */
    uint32_t at;             /* place in its metric, or NOWHERE */
};

struct binding_key {
    struct wire_hash schema;
    struct resource *resource;
};
struct binding {
    struct binding_key key;
    struct binding *next, *prev;
    int64_t used;    /* time of receipt of the latest batch */
    uint64_t serial; /* the batch being applied, which may hold pointers to its series */
    uint32_t n;
    struct series *series[]; /* NULL: no value was accepted yet */
};

struct agent {
    struct atom *id;
    struct resource *resources, *current; /* current: of the latest batch, NULL before the first */
    struct map map;                       /* bindings by key */
    struct binding *bindings;
    uint64_t bound; /* series pointers in them */
    int64_t met;    /* ms, first judged or applied */
    bool applied;
    uint8_t state;                      /* of its record, see percentile.h */
    struct atom *region, *env, *tenant; /* of the current resource, or of what was restored; NULL: none */
    struct wall first_seen, last_received, last_sealed;
    int64_t skew; /* ms, INT64_MIN: unknown */
    uint64_t epoch, seq, batches, values, refused[WIRE_REFUSALS];
    /* of the batch that brought `current`: after a restart, behind the two above */
    uint64_t current_epoch, current_seq;
    uint32_t n_series, visible;
    uint32_t at;         /* in agents[] */
    struct map readings; /* of counters, by id: track.h */
    uint8_t readings_state;
};

struct box {               /* a snapshot and what it stands in */
    struct snapshot shown; /* first */
    atomic_bool released;
    struct box *next;
    uint64_t gen;
    struct arena arena;
};

struct percentile; /* percentile.h */

struct dead_key {
    struct dead_key *next;
    bool taken;
    uint32_t n;
    uint8_t key[];
};

enum track_loss {
    TRACK_MEMORY,
    TRACK_GROUPS,
    TRACK_NOT_FINITE,
    TRACK_LATE,
    TRACK_PENDING,
    TRACK_UNTOLD,
    TRACK_LOSSES
};

struct track_gone {
    uint32_t selection, number;
};

struct tracking { /* in struct series_set */
    uint32_t generation, max_groups;
    struct track **tracks; /* by index; NULL: an own metric of this process */
    uint32_t n;
    struct track *old;        /* with gains that are not stored yet */
    int64_t swept, contained; /* contained: gains of batches up to this position are stored */
    uint64_t untold;          /* deltas that were never told, since the last telling */
    struct track_group *open, **open_end, *due,
        **due_end;                /* groups with such steps, in the order of meeting */
    struct track_group **handles; /* by handle; NULL: free */
    uint32_t n_handles, handles_room;
    uint32_t *free_handles, n_free, free_room;
    struct track_gone *gone;              /* not told yet */
    uint32_t n_gone, gone_room, n_untold; /* n_untold: groups */
    struct track_step *spare;
    uint32_t n_spare;
    uint64_t n_steps; /* open, due and taken */
    uint64_t lost[TRACK_LOSSES], gaps_closed, corrected, told, n_groups, n_readings;
};

struct series_set {
    struct mem *mem;
    uint64_t seed[2];
    int64_t stale_ms, ttl_ms, max_age_ms;
    uint32_t quota; /* series of an agent */
    struct map atom_map, metric_map, agent_map, series_map;
    struct metric **metrics; /* by name once sorted */
    struct agent **agents;   /* by id once sorted */
    uint32_t n_metrics, metrics_room, n_agents, agents_room;
    bool metrics_sorted, agents_sorted;
    uint64_t n_visible;
    struct percentile **percentiles; /* in the order of the configuration */
    uint32_t n_percentiles;
    int64_t now;                            /* as told last */
    int64_t received;                       /* of the batch being applied */
    int64_t position;                       /* of the last batch applied */
    uint64_t serial;                        /* of batches applied */
    uint64_t gen;                           /* of the newest snapshot */
    struct box *boxes;                      /* not released yet; newest first */
    struct retired *retired, **retired_end; /* oldest first */
    struct sketch scratch;
    struct buf key, value, parts; /* scratch */
    struct dead_key *dead;        /* records to be deleted */
    size_t n_dead;
    uint64_t lost[LOSS_REASONS];
    uint64_t refused[WIRE_REFUSALS];
    uint64_t applied; /* values */
    struct tracking tracking;
};

/* names.c */
/* takes a reference; NULL without memory */
struct atom *atom_get(struct series_set *s, const char *p, size_t n);
struct atom *atom_find(const struct series_set *s, const char *p, size_t n); /* no reference */
struct atom *atom_keep(struct atom *a);
void atom_drop(struct series_set *s, struct atom *a); /* a may be NULL */
void retire(struct series_set *s, struct retired *r, size_t size, struct arena *with);
void reap(struct series_set *s); /* frees released snapshots and what only they showed */
int grow(struct series_set *s, void *array, uint32_t *room, uint32_t n, size_t size); /* room for n entries */

/* labels.c */
struct resource *resource_get(struct series_set *s, struct agent *a, const struct batch_in *in);
void resource_drop(struct series_set *s, struct resource *r); /* gives back a reference */
struct labelset *labelset_find(struct series_set *s, struct resource *r, const struct wire_series *w);
/* + reference */
struct labelset *labelset_get(struct series_set *s, struct resource *r, const struct wire_series *w);
void labelset_drop(struct series_set *s, struct labelset *l);
const char *desc_label(const struct series_desc *d, const char *name); /* "" when it has none */

/* metrics.c */
struct metric *metric_find(const struct series_set *s, struct wire_str name);
struct metric *metric_get(struct series_set *s, const struct wire_series *w); /* takes a reference */
void metric_drop(struct series_set *s, struct metric *m);
bool metric_held(const struct metric *m, int64_t now);
/* hides those of another kind */
void metric_turn(struct series_set *s, struct metric *m, enum metric_kind kind);
int metric_show(struct series_set *s, struct series *x); /* gives it a place; ERR_NOMEM */
void metric_hide(struct series_set *s, struct series *x);
void metrics_sweep(struct series_set *s, int64_t now, int64_t before); /* hides what was seen before that */
void metrics_sort(struct series_set *s);

/* agents.c */
struct agent *agent_find(const struct series_set *s, struct wire_str id);
struct agent *agent_get(struct series_set *s, struct wire_str id, int64_t now);
void agent_drop(struct series_set *s, struct agent *a);
void agents_sort(struct series_set *s);
void agent_turn(struct series_set *s, struct agent *a, struct resource *r); /* r becomes the current one */
void agent_say(struct series_set *s, struct agent *a, struct atom *region, struct atom *env,
               struct atom *tenant); /* what is shown of it; each may be NULL */
struct binding *binding_get(struct series_set *s, struct agent *a, struct resource *r,
                            const struct wire_hash *schema, uint32_t n, int64_t now);
void binding_free(struct series_set *s, struct agent *a, struct binding *b);
struct series *series_find(struct series_set *s, const struct binding *b, const struct wire_series *w);
/* Finds or makes series j and binds it. NULL without memory. */
struct series *series_bind(struct series_set *s, struct agent *a, struct binding *b, uint32_t j,
                           const struct wire_series *w);

/* verdict.c */
enum taken { TAKE, REFUSE_FUTURE, REFUSE_OLD, REFUSE_SOME };
enum value_taken { VALUE_TAKE, VALUE_QUOTA, VALUE_KIND };
struct verdict {
    struct bytes all;
    size_t at; /* of the next block */
    enum taken block;
    const uint8_t *bits; /* two for each series, or NULL */
    size_t n_bits;
};
void verdict_start(struct verdict *v, struct bytes all, uint32_t n_events);
void verdict_block(struct verdict *v, uint32_t n_series); /* the next one */
enum value_taken verdict_series(const struct verdict *v, uint32_t j);
uint64_t values_in(const struct wire_values *v, uint32_t n_series);

#endif
