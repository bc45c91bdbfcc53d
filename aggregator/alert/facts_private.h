/* What the files of facts share. Inside this room. */
#ifndef SB_ALERT_FACTS_PRIVATE_H
#define SB_ALERT_FACTS_PRIVATE_H

#include "aggregator/alert/facts.h"
#include "aggregator/alert/ring.h"
#include "common/base/map.h"

enum {
    STEPS_KEPT_MS = 30 * FACT_MINUTE_MS,
    SKETCH_MINUTES_FROM_MS =
        2 * FACT_MINUTE_MS, /* of reach: merging six sketches once costs less than often */
    MINUTES_KEPT_MS = 3 * FACT_DAY_MS + FACT_HOUR_MS,
    HOURS_FROM_MS = 2 * FACT_HOUR_MS, /* of reach: from here on hours pay as sums of minutes */
    AHEAD_MS = 60000,                 /* so far ahead of our clock a step may lie */
    GROUPS_MOST = 1 << 20,            /* of one selection */
};

enum fact_loss {
    LOSS_MEMORY,  /* no memory */
    LOSS_OLD,     /* before the reach */
    LOSS_FUTURE,  /* ahead of the clock */
    LOSS_UNKNOWN, /* a group that was not told, or is gone */
    LOSS_KIND,    /* of another kind than its group */
    LOSS_BROKEN,  /* not aligned, not a number, no sketch */
    LOSS_COARSE,  /* of a tier that the reach does not need */
    LOSSES
};

/* The windows that were read last: several rules ask for the same one after another. */
enum { MEMO_WINDOWS = 2 };
struct memo {
    uint64_t changes; /* of the group; 0: not set */
    enum fact_tier tier;
    int64_t from, to; /* numbers of steps */
    uint32_t held;
    struct fact_bucket b;
};

struct fact_group {
    struct facts *facts;
    struct memo *memo; /* owned; MEMO_WINDOWS, or NULL */
    struct fact_list *list;
    enum fact_kind kind;
    bool gone;
    uint32_t number, at; /* as it is told; in list->v. UINT32_MAX: none */
    uint64_t changes;
    int64_t newest;
    int64_t told; /* our clock when it was told last */
    struct ring rings[TIERS];
    /* of own metrics: when values came last, how many at that moment, and their sum; counters: the sum of all readings */
    int64_t own_t;
    uint32_t own_n;
    double own_sum;
    struct labels labels; /* in the same block, as are the following */
    const char *key;      /* canonical text */
    size_t n_key, size;
};

/* One selection and its groups. */
struct fact_list {
    const struct selection *selection;
    uint32_t index;
    struct map by_key;
    struct fact_group **v, **numbers; /* owned: all of them; by number, NULL: free */
    uint32_t n, room, n_numbers;
    struct map own;    /* own series by text -> struct own_series; fact_own.c */
    int64_t own_since; /* when it was fed first; 0: never */
};

/* What merging needs for a moment; apart, because reading borrows facts as const. */
struct scratch {
    struct sketch sketch, other;
    struct buf text, bytes;
};

struct facts {
    struct mem *mem;
    const struct selections *selections;
    struct fact_list **lists; /* owned; n of them */
    uint32_t n;
    struct scratch *scratch; /* owned */
    int64_t now;             /* 0: not told yet */
    int64_t swept;           /* step in which what is old was forgotten last */
    uint64_t changes; /* over all groups, so that no two are alike where a group stands in another's place */
    uint64_t gains, lost[LOSSES];
};

/* facts.c */
/* Length in ms of a tier's steps. */
int64_t fact_tier_length(enum fact_tier t);
/* How far back a tier of this selection is kept, ms; 0: not at all. */
int64_t fact_tier_reach(const struct selection *s, enum fact_kind kind, enum fact_tier t);
struct shape fact_tier_shape(const struct fact_group *g, enum fact_tier t);
int facts_lose(struct facts *f, enum fact_loss why, int code);
/* The canonical text of labels in scratch; NULL without memory. Never empty, so that it is a key. */
const struct buf *fact_key(const struct facts *f, struct labels labels);
/* A group by its labels, made if need be; NULL without memory or beyond GROUPS_MOST. */
struct fact_group *fact_group_get(struct facts *f, struct fact_list *l, struct labels labels,
                                  enum fact_kind kind);
int fact_group_gain(struct facts *f, struct fact_group *g, const struct fact_delta *d);
/* How a gain met the next finer tier: what decides of how many finer steps a step holds values. */
enum finer { FINER_UNKNOWN, FINER_FRESH, FINER_HELD };
int fact_tier_gain(struct facts *f, struct fact_group *g, enum fact_tier t, const struct fact_delta *d,
                   enum finer *finer);
/* The sketch of a slot into scratch->other. */
int fact_blob_read(const struct facts *f, const struct blob *b);
struct fact_list **fact_lists_new(struct facts *f, const struct selections *s); /* NULL without memory */
void fact_lists_free(struct facts *f, struct fact_list **v, uint32_t n);

/* fact_own.c */
void fact_own_free(struct facts *f, struct fact_list *l);
void fact_own_advance(struct facts *f, struct fact_list *l);

#endif
