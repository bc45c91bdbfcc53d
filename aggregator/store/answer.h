/* A question about stored steps, and its answer as JSON: see history.h. Private to this room; pure. */
#ifndef SB_STORE_ANSWER_H
#define SB_STORE_ANSWER_H

#include "aggregator/store/chunk.h"
#include "aggregator/store/history.h"
#include "common/base/map.h"

enum { ANSWER_GROUPS = 1000, ANSWER_POINTS = 11000, ANSWER_CELLS = 200000 };

struct answer_group {
    char *key; /* canonical text of its labels */
    struct labels labels;
    struct chunk steps; /* by number of the step in the window */
};
struct answer {
    const struct history_ask *q;
    struct match *match;
    struct arena arena; /* of texts */
    struct map by_key;
    struct answer_group *groups[ANSWER_GROUPS];
    uint32_t n;
    char *selection; /* whose steps these are; NULL: none is stored */
    int rank;        /* how well it fits; 0: not */
    enum fact_kind kind;
    enum fact_tier tier;
    int64_t from, to, step; /* ms, cut to the tier */
    uint64_t cells;
};

/* Checks the question and chooses the tier. ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. */
int answer_init(struct answer *a, const struct history_ask *q, struct err *e);
void answer_free(struct answer *a);
/* A selection that is stored: whether the question is better answered by it than by what was seen before. */
int answer_consider(struct answer *a, const char *selection, const char *metric, const char *match,
                    const char *by);
/* Whether a group of the chosen selection counts. */
bool answer_wants(const struct answer *a, const char *selection, struct labels labels);
/* Where its steps go; NULL and e: no memory, or too many groups. */
struct answer_group *answer_group(struct answer *a, struct labels labels, enum fact_kind kind, struct err *e);
/* All steps of one stored group (by number of the step in the window) into its group. */
int answer_add(struct answer *a, struct answer_group *g, const struct chunk *steps, struct err *e);
int answer_write(const struct answer *a, struct buf *out, struct err *e);

#endif
