/* The inside of a grid, shared by grid.c (samples in) and grid_blocks.c (series, blocks out). */
#ifndef SB_AGENT_GRID_IN_H
#define SB_AGENT_GRID_IN_H

#include <stdbool.h>

#include "agent/ship/grid.h"
#include "common/base/arena.h"
#include "common/base/map.h"

enum {
    GRID_KEY_MAX = 65536,             /* bytes of labels that one sample may bring; beyond: refused */
    GRID_JITTER_MAX = 60000,          /* ms */
    GRID_SPAN_MAX = 3600000,          /* ms from the first tick of a block to its last */
    GRID_SKETCH_MAX = 16 << 20,       /* bytes of encoded sketches between two sealings */
    GRID_MAX_LABELS = WIRE_MAX_LABELS /* of a series */
};

/* Where an encoded sketch lies in grid.sketches; the buffer moves while it grows, so no pointer yet. */
struct grid_piece {
    size_t at, n;
};

struct grid_series {
    struct wire_series def; /* name and help borrow from the row; labels and their texts are in `text` */
    const struct metric_row *row;
    struct grid_name *as;
    struct grid_alias *aliases; /* owned: raw keys that lead here, the first one included */
    union {                     /* owned: max_ticks entries, by kind and mode */
        int64_t *ints;
        double *reals;
        struct grid_piece *pieces;
    } col;
    uint8_t *present;   /* owned bitmap of max_ticks bits */
    uint32_t n_present; /* in this batch */
    uint32_t last;      /* tick index + 1 of the newest value of this batch; 0: none yet */
    uint64_t seen;      /* life tick of the newest value */
    uint32_t newest;    /* where that one stands in col + 1, over sealings; 0: none yet */
    bool newest_real;
    uint8_t mode;
    char *text; /* owned: identity (the key of `idents`), behind it the label array; labels point into it */
    size_t text_n, ident_n;
};

/* One raw key, as samples bring it. Usually one for each series; two rows of the same name, or label values
 * that become the same once made valid UTF-8, are the exceptions. */
struct grid_alias {
    struct grid_series *to;
    struct grid_alias *next;     /* of the same series */
    struct grid_alias *follower; /* what came after it in the tick before */
    size_t n;
    uint8_t key[];
};

/* A metric name and its one kind: a schema with both would be refused whole. */
struct grid_name {
    enum wire_kind kind;
    uint32_t users;
    uint32_t n;
    char name[];
};

struct grid_block {
    struct grid_series **series; /* owned array of block_series; the series are owned too */
    uint32_t n, room;
    struct buf schema; /* the encoded definition, while `fresh` */
    struct wire_hash hash;
    bool fresh;
};

struct grid {
    struct sink sink; /* first: the sink is the grid */
    struct grid_params p;
    struct mem *mem;
    struct map raw;            /* raw key -> alias */
    struct map idents;         /* name and labels as they are sent -> series */
    struct map names;          /* name -> grid_name */
    struct grid_block *blocks; /* owned */
    uint32_t n_blocks, room_blocks;

    uint64_t life;   /* ticks begun so far */
    uint32_t ticks;  /* of this batch */
    uint64_t values; /* of this batch */
    bool open;
    int64_t *times; /* owned: max_ticks */
    int32_t *jitter;

    struct buf sketches;
    struct buf key; /* scratch: the part of the extra labels, then row and values */
    size_t key_extra;
    bool extra_bad; /* more than fits: samples are refused until the next grid_extra */
    struct wire_label extra[GRID_MAX_LABELS];
    uint32_t n_extra;
    struct grid_alias *prev; /* of the tick that is open */
    struct grid_alias *first;

    struct arena handed; /* arrays of grid_blocks until grid_sealed */
    struct grid_stats stats;
};

/* Makes the series of the raw key in g->key, or finds that it is one that is there under another key. NULL:
 * refused and counted. */
struct grid_alias *grid_adopt(struct grid *g, const struct metric_row *row, const struct text *labels);
void grid_free_blocks(struct grid *g);
/* Takes the series out of the tables and releases it; the caller has taken it out of its block. Guesses that
 * name it must be forgotten before the next sample: grid_forget_guesses. */
void grid_drop(struct grid *g, struct grid_series *s);
void grid_forget_guesses(struct grid *g);

#endif
