/* The inside of the StatsD input, shared by statsd.c (samples),
 * statsd_series.c (names, series) and statsd_event.c. */
#ifndef SB_AGENT_STATSD_IN_H
#define SB_AGENT_STATSD_IN_H

#include "agent/inputs/statsd.h"
#include "common/base/arena.h"
#include "common/base/map.h"
#include "common/sketch/sketch.h"

enum statsd_class { CLASS_COUNTER, CLASS_GAUGE, CLASS_SKETCH, CLASS_SET };

/* A metric name; the row that grids know its series by. Kept while a series or the grid uses it. */
struct statsd_name {
    struct metric_row row; /* row.name is `text` */
    enum statsd_class class;
    uint32_t users;
    size_t n;
    char text[];
};

struct statsd_set {
    uint64_t *slots; /* owned: hashes, 0 is free; a power of two */
    uint32_t room, n;
};

struct statsd_alias;
struct statsd_series;
struct statsd_mark { /* a counter beside a sketch */
    double bound;
    struct statsd_series *to; /* lives as long: it is never silent for longer */
};
struct statsd_series {
    struct statsd_name *name;
    struct statsd_alias *aliases; /* owned: spellings that lead here */
    uint32_t at;                  /* in statsd.list */
    uint32_t silent;              /* ticks since the last sample */
    union {
        double value; /* counter: since the start; gauge */
        struct sketch sketch;
        struct statsd_set set;
    } v;
    struct statsd_mark *marks; /* owned; sketches with thresholds */
    uint32_t n_marks, room_marks;
    uint32_t n_labels;
    struct wire_label *labels; /* in the same block, behind the identity */
    size_t ident_n, bytes;     /* bytes: of this block */
    char ident[];              /* the key of statsd.idents; labels point into it */
};

struct statsd_alias {
    struct statsd_series *to;
    struct statsd_alias *next;
    size_t n;
    uint8_t key[];
};

struct statsd {
    struct statsd_params p;
    struct mem mem;
    struct map raw, idents, names;
    size_t tidy_at;              /* where statsd_names_tidy goes on in names */
    struct statsd_series **list; /* owned */
    uint32_t n, room;
    uint32_t n_aliases;
    struct buf key; /* scratch */
    struct arena scratch;

    struct arena event_mem;
    struct wire_event events[STATSD_MAX_EVENTS];
    uint32_t n_events;

    struct statsd_stats stats;
};

/* The series of a line, made when it is new; NULL and *why. */
struct statsd_series *statsd_series_of(struct statsd *s, const struct statsd_line *l, enum statsd_error *why);
/* The counter of a name and sorted labels; NULL without memory, or when there are too many. */
struct statsd_series *statsd_series_named(struct statsd *s, const char *name, const struct wire_label *labels,
                                          uint32_t n);
void statsd_series_drop(struct statsd *s, struct statsd_series *v);
/* statsd_threshold.c: the counters beside a new sketch, and a value of it into them. */
enum statsd_error statsd_marks_make(struct statsd *s, struct statsd_series *v);
void statsd_marks_add(struct statsd_series *v, double x, uint64_t weight);
void statsd_marks_heard(struct statsd_series *v); /* whenever v is: none of them goes before it */
/* Releases names that nothing uses any more, a few at a time. */
void statsd_names_tidy(struct statsd *s, const struct grid *g);
enum statsd_error statsd_event_line(struct statsd *s, struct wall now, const char *p, size_t n);
/* Tags as labels: names by the rule, values mended; at most `max`. False: too many, or no memory. */
bool statsd_labels(struct arena *a, struct bytes tags, struct wire_label *out, uint32_t max, uint32_t *n);

#endif
