/* The inside of the store, shared by spool_store_io.c (opening, ending), spool_numbers_io.c (counters),
 * spool_put_io.c (batches in), spool_get_io.c (batches out) and spool_dead_io.c (dead letters). */
#ifndef SB_AGENT_SPOOL_STORE_IN_H
#define SB_AGENT_SPOOL_STORE_IN_H

#include "agent/ship/spool_file_io.h"

/* A definition in memory, shared by the batches in memory. */
struct mem_def {
    struct mem_def *next;
    struct wire_hash hash;
    uint32_t users;
    size_t n;
    uint8_t bytes[];
};

struct mem_batch {
    struct mem_batch *next;
    uint64_t seq, values;
    struct wall sealed;
    uint8_t *frame; /* owned */
    size_t n;
    uint32_t n_defs;
    struct mem_def *defs[];
};

enum { SPOOL_RECENT = 512, SPOOL_KEEP_PUTS = 64 };

struct spool_store {
    struct spool_store_params p; /* its texts are owned */
    struct spool_file file;      /* file.h NULL: memory mode */
    struct spool_totals t;
    uint64_t frame_bytes, def_bytes, mem_bytes;
    uint64_t file_low; /* least seq in the file that counts; 0: none */
    struct wall file_oldest;
    uint64_t floor;  /* file.h NULL: nothing below this is known to be gone; 0: nothing known */
    bool renewing;   /* a damaged file is being replaced */
    unsigned leaves; /* batches that left the file */
    uint64_t done;   /* rows up to here are acknowledged, deleted or not */
    bool undeleted;  /* some of them are still there */
    uint64_t handed; /* by front; 0: none */
    uint64_t handed_values;
    struct mem_batch *mem_head, *mem_tail; /* ascending seq */
    struct mem_def *mem_defs;
    struct {
        struct wire_hash hash;
        uint64_t put;       /* 0: free */
    } recent[SPOOL_RECENT]; /* definitions of the last puts: kept though no batch needs them now, the next one
                               will */
    uint64_t puts;
    struct wire_codec *codec;
};

/* What a failed transaction puts back. */
struct spool_mark {
    struct spool_totals t;
    uint64_t frame_bytes, def_bytes;
};
static inline struct spool_mark spool_mark(const struct spool_store *s)
{
    return (struct spool_mark){s->t, s->frame_bytes, s->def_bytes};
}
static inline void spool_back(struct spool_store *s, const struct spool_mark *m)
{
    s->t = m->t;
    s->frame_bytes = m->frame_bytes;
    s->def_bytes = m->def_bytes;
}

void spool_store_try_file(struct spool_store *s);
/* Whether somebody removed or moved the file: what is written to it is seen by nobody.
 * Then what it held is lost, and another begins in its place, with a new epoch. */
bool spool_taken_away(struct spool_store *s);
/* spool_numbers_io.c. The counters as they would be on disk:
 * what is in memory alone was never produced there. */
int spool_numbers_write(struct spool_store *s, struct err *e);
/* Into s->t, with what the rows add up to; whatever differs is damage, and counted so. */
int spool_numbers_read(struct spool_store *s, struct err *e);
/* the counters that only grow */
void spool_numbers_add(struct spool_totals *t, const struct spool_totals *more);
/* Batches that wait in memory into the file, oldest first. 0 when none is left. */
int spool_flush(struct spool_store *s, struct err *e);
/* spool_dead_io.c: within a transaction, before the row goes; and what is there, at opening. */
int spool_dead_keep(struct spool_store *s, uint64_t seq, const struct spool_death *d, struct err *e);
int spool_dead_count(struct spool_store *s, struct err *e);
int spool_dead_clear(struct spool_store *s, struct err *e);
/* BEGIN, with rows deleted that were acknowledged earlier. */
int spool_begin(struct spool_store *s, struct err *e);
/* Writes the counters and commits. */
int spool_commit(struct spool_store *s, struct err *e);
/* After a failed call: rolls back and notes it; a damaged file is replaced by a new one, with a new epoch. */
void spool_failed(struct spool_store *s, const struct err *e);
/* Looks what is the oldest now. */
void spool_refresh(struct spool_store *s);
int spool_delete_row(struct spool_store *s, uint64_t seq, struct err *e);

void spool_mem_drop_head(struct spool_store *s); /* without counting */
/* Numbers the batches in memory from t.next_seq on, in the present epoch. */
void spool_mem_renumber(struct spool_store *s);
/* Numbers the file's batches from `first` on, in epoch t.epoch: within a transaction. */
int spool_file_renumber(struct spool_store *s, uint64_t first, uint64_t *next, struct err *e);

#endif
