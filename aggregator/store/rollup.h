/* Stored steps, in the history's file: see docs/history.md. Private to this room; on the store's thread, or the
 * owner's before the first job.
 *
 * A gain is added to a row of its step and group (table gains) in the transaction that raises the position
 * which contains it. Rows of hours that are over are moved (folded) into the chunks of all tiers, a few groups
 * at a time; what comes late makes new rows, which are folded as well. So a step is what its chunk holds and
 * what rows hold, added up, and the way there may be cut off at any point. */
#ifndef SB_STORE_ROLLUP_H
#define SB_STORE_ROLLUP_H

#include "aggregator/store/chunk.h"
#include "aggregator/store/history.h"
#include "aggregator/store/sqlite_io.h"
#include "aggregator/store/store.h"

#define ROLLUP_STEPS                                                                                         \
    "CREATE TABLE selections(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, metric TEXT NOT NULL,"       \
    " match TEXT NOT NULL, grouped TEXT NOT NULL);"                                                          \
    "CREATE TABLE groups(id INTEGER PRIMARY KEY, selection INTEGER NOT NULL, kind INTEGER NOT NULL,"         \
    " labels BLOB NOT NULL, env TEXT NOT NULL, used INTEGER NOT NULL, UNIQUE(selection, kind, labels));"     \
    "CREATE TABLE gains(start INTEGER NOT NULL, grp INTEGER NOT NULL, value BLOB NOT NULL,"                  \
    " PRIMARY KEY(start, grp)) WITHOUT ROWID;"                                                               \
    "CREATE TABLE chunks(grp INTEGER NOT NULL, tier INTEGER NOT NULL, start INTEGER NOT NULL,"               \
    " value BLOB NOT NULL, UNIQUE(grp, tier, start));"

struct rollup {
    int64_t *ids; /* of groups in the file, by handle; 0: none */
    uint32_t n_ids;
    struct wire_codec *codec;
    struct buf scratch, value, text;
    struct sketch sketch;
    int64_t pruned; /* last group looked at */
};

struct rollup *rollup_new(void);
void rollup_free(struct rollup **r);

/* ---- rollup_io.c ---- */
/* What history_group and history_gain append to a set, and carrying it out. */
void rollup_put_group(struct buf *ops, const struct history_group *g);
int rollup_put_gain(struct buf *ops, uint32_t handle, enum fact_kind kind, int64_t start,
                    const struct fact_bucket *b);
int rollup_apply(struct rollup *r, struct db *db, struct bytes ops, struct err *e);
int rollup_bind(struct rollup *r, uint32_t handle, int64_t id); /* ERR_NOMEM */

/* Reads ops again: each group, then its gains (either may be NULL). Ends with the first code not 0. */
int rollup_read_ops(struct rollup *r, struct bytes ops,
                    int (*group)(void *arg, const struct history_group *g),
                    int (*gain)(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b),
                    void *arg, struct err *e);

/* ---- rollup_ask_io.c ---- */
/* pending: ops of what is not stored yet, each group directly before its gains. */
int rollup_ask(struct rollup *r, struct db *db, const struct history_ask *q, struct bytes pending,
               struct buf *out, struct err *e);

/* ---- rollup_fold_io.c ---- */
/* One portion of what is to be done: folding, else pruning. *more: there is more to fold. */
int rollup_tend(struct rollup *r, struct db *db, const struct history_keep *keep, int64_t now, bool *more,
                struct history_tended *n, struct err *e);

/* ---- rollup_salvage_io.c ---- */
/* Which position the steps contain. */
int rollup_gained(struct db *db, int64_t position, struct err *e);
/* What can be read from a damaged file, into a new one: within a transaction; and with one of its own. */
int rollup_salvage(const char *damaged, struct db *to, struct store_salvaged *n, struct err *e);
int rollup_salvage_all(const char *damaged, struct db *to, struct store_salvaged *n, struct err *e);

/* ---- rollup_read_io.c ---- */
/* Terminated names and values in turn into out[ROLLUP_LABELS]; false when they are broken. */
enum { ROLLUP_LABELS = WIRE_MAX_LABELS + 8 };
bool rollup_labels(const uint8_t *p, size_t n, struct label *out, uint32_t *count);
struct rollup_group {
    int64_t id;
    enum fact_kind kind;
    const char *selection, *metric, *match, *by, *env;
    struct labels labels;
};
/* Each group; ends with the first code not 0. */
int rollup_groups(struct rollup *r, struct db *db, int (*fn)(void *arg, const struct rollup_group *g),
                  void *arg, struct err *e);
/* The steps of a group's chunks of a tier in [from, to), oldest first. */
int rollup_chunks(struct rollup *r, struct db *db, int64_t id, enum fact_tier tier, int64_t from, int64_t to,
                  int (*fn)(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b),
                  void *arg, struct err *e);
/* All rows that are not folded yet, from a time on. */
int rollup_rows(struct rollup *r, struct db *db, int64_t from,
                int (*fn)(void *arg, int64_t id, int64_t start, enum fact_kind kind,
                          const struct fact_bucket *b),
                void *arg, struct err *e);
/* Those of one group in [from, to). */
int rollup_rows_of(struct rollup *r, struct db *db, int64_t id, int64_t from, int64_t to,
                   int (*fn)(void *arg, int64_t start, enum fact_kind kind, const struct fact_bucket *b),
                   void *arg, struct err *e);

#endif
