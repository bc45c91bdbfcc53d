/* Tracking: what the series that a selection names gain in each step of 10 seconds. Private to this room.
 *
 * A value belongs to the step of the time at which it was taken: step k holds (k · 10 s, (k + 1) · 10 s]. A
 * tick ahead of its receipt counts at its receipt. What a group gains is gathered in `open` steps until it is
 * told (series_tell), then in `due` steps until it is taken for the store (series_take_gains); both are
 * exactly what came since, so that the order of batches does not matter.
 *
 * Counters. The increase between two readings that follow each other in time belongs to the time between
 * them. The interval between readings is open when batches of its agent may be missing in it (a hole in seq,
 * another epoch): what comes late cuts it, by taking back the increase as it was spread and spreading it anew
 * in two parts. A few of them are kept per series (GAPS_MOST); the oldest is closed for a newer one. A reading
 * older than the first is the new first.
 *
 * The readings of an agent's counters are one record in the store, so that a
 * restart loses no increase; they outlive their series, up to max_age. */
#ifndef SB_SERIES_TRACK_H
#define SB_SERIES_TRACK_H

#include "aggregator/series/percentile.h"

enum {
    GAPS_MOST = 6,
    SPREAD_MOST = 360,      /* cuts of an interval: one longer than an hour is spread over so many */
    TELL_MOST = 20000,      /* deltas in one telling */
    TELL_ARENA = 64 << 20,  /* bytes of one telling */
    PENDING_MOST = 1000000, /* steps that wait to be told or stored */
    READINGS_VERSION = 1,
};

/* A reading of a counter. */
struct point {
    int64_t t;  /* as the agent told it: orders readings */
    int64_t at; /* not ahead of its receipt: where it counts */
    double v;
    int64_t start; /* INT64_MIN: unknown */
    uint64_t epoch, seq;
};
struct gap {
    struct point a, b;
};
struct reading {
    struct wire_hash id; /* of the metric's name and all labels: the key */
    uint32_t refs;       /* series */
    uint32_t n_gaps;
    struct point first, last; /* first.t INT64_MIN: none yet */
    struct gap *gaps;         /* NULL, or GAPS_MOST of them, by time */
};

struct track_step {
    struct track_step *next;
    int64_t k;
    struct fact_bucket b;  /* its sketch is the next but one */
    uint32_t n_last;       /* gauge: values of the moment last_t, whose mean b.last is */
    struct sketch *sketch; /* owned; NULL: none */
};
/* Steps by time, each once, with a place to go on from. */
struct track_steps {
    struct track_step *first, *here;
    uint32_t n;
};

struct track_group {
    struct track *track;
    struct labels labels; /* in the same block */
    uint8_t *key;         /* in the same block */
    size_t n_key, size;
    struct atom *env; /* of its first series, or of its label; NULL: none */
    enum fact_kind kind;
    uint32_t number; /* in its selection, for those who are told */
    uint32_t handle; /* in the table, for the store */
    uint32_t at;     /* in groups[] */
    uint32_t refs;   /* feeds */
    int64_t idle;    /* ms since when nobody refers to it */
    double reading;  /* counters: the newest readings, summed over its series */
    bool told, opened, dues;
    uint8_t state; /* of its entry in the store */
    struct track_steps open, due, taken;
    struct track_group *next_open, *next_due;
};

/* One selection. */
struct track {
    const struct selection *selection; /* borrowed; NULL: no longer asked for */
    uint32_t index;                    /* in the list */
    struct series_selection name;      /* copies of what it says, in the arena */
    struct arena arena;
    struct track *next_old;
    bool fresh; /* being made: no series has a feed yet */
    struct map groups;
    struct track_group **list;
    uint32_t n, room;
    uint32_t *numbers; /* free ones */
    uint32_t n_numbers, numbers_room, next_number;
};

/* A series' part in a selection. The group is found at its first value. */
struct feed {
    struct feed *next;
    struct track *track;
    struct track_group *group;
    double held;     /* counters: of the group's sum of readings */
    int64_t since;   /* what was known before that has not been fed; INT64_MIN: everything was */
    uint64_t barred; /* batch in which there was no room for another group */
    int64_t newest;  /* newest step in which it counts as a series */
    uint64_t seen;   /* bit i: step newest - i as well */
    int64_t late[2]; /* steps beyond these: where it fell silent, and the latest that came late */
};

static inline int64_t step_of(int64_t t)
{
    return cell_of(t, FACT_STEP_MS);
}

/* track.c */
int feeds_make(struct series_set *s, struct series *x); /* 0 or ERR_NOMEM (x has no feeds then) */
void feeds_drop(struct series_set *s, struct series *x);
/* Another list; on error nothing has changed. */
int tracks_load(struct series_set *s, const struct selections *list, uint32_t generation, struct err *e);
void tracks_free(struct series_set *s);
void tracks_advance(struct series_set *s, int64_t now);

/* track_groups.c: NULL, and the loss counted */
struct track_group *track_group_get(struct series_set *s, struct track *t, struct labels labels,
                                    enum fact_kind kind, const char *env);
struct track *track_find(const struct series_set *s, const char *text); /* NULL: not asked for */
void track_group_free(struct series_set *s, struct track_group *g);

/* track_steps.c */
/* The step k of a list, made if need be; NULL without memory. */
struct track_step *steps_get(struct series_set *s, struct track_steps *l, int64_t k);
struct track_step *track_open(struct series_set *s, struct track_group *g, int64_t k);
void steps_move(struct series_set *s, struct track_group *g); /* what is open becomes due */
void steps_join(struct series_set *s, struct track_group *g,
                struct track_steps *from); /* becomes due as well */
void steps_free(struct series_set *s, struct track_steps *l);
void step_free(struct series_set *s, struct track_step *x);
void spare_free(struct series_set *s);

/* track_feed.c: a value of x; t is not ahead of the receipt */
void feeds_gauge(struct series_set *s, struct series *x, int64_t t, double v);
void feeds_sketch(struct series_set *s, struct series *x, int64_t t, const struct sketch *v);
/* gains: false: only the reading counts. */
void feeds_counter(struct series_set *s, struct series *x, const struct point *p, bool gains);
/* A value that is contained in what was restored: only that its step has met this series. */
void feeds_seen(struct series_set *s, struct series *x, enum fact_kind kind, int64_t t);
void feed_leave(struct series_set *s, struct feed *f); /* its group */

/* track_tell.c */
void gains_settle(struct series_set *s, bool stored);
void gains_unstore(struct series_set *s);

/* track_metrics.c */
void track_metrics(const struct series_set *s, struct sink *out);

/* track_reading.c */
struct reading *reading_get(struct series_set *s, struct series *x); /* that of x; NULL without memory */
void reading_drop(struct series_set *s, struct series *x);
void readings_free(struct series_set *s, struct agent *a);
void readings_advance(struct series_set *s, struct agent *a, int64_t before);
int readings_encode(const struct agent *a, struct buf *out);
int readings_decode(struct series_set *s, struct agent *a, struct bytes in, struct err *e);
/* A new reading: tells fn which increases it adds (sign 1) and takes back (-1), each over (from, to]; upto:
 * until when readings were known there before. Returns whether it is the newest. */
typedef void (*reading_spread)(void *arg, int64_t from, int64_t to, int64_t upto, double increase, int sign);
bool reading_take(struct series_set *s, struct reading *r, const struct point *p, reading_spread fn,
                  void *arg);

#endif
