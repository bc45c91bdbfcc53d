/* A guard's rounds of asking: every aggregator is asked the same, and what they answer gives a lease, a fence, or neither.
 * Pure, integers; time is the boot clock in milliseconds.
 *
 *  - A lease ends `lease` after the question LEFT, whatever the answer took: what the answerer promised cannot have begun
 *    earlier. Only a clock of this host is ever compared with itself.
 *  - One answer "held, serve" is enough: it was read linearizably from the store.
 *  - "held, do not serve" fences at once, unless its epoch is one that we know to be over.
 *  - When nobody can read the store, the lease is prolonged only when ALL configured aggregators promise in this round not
 *    to act for so long. One that is silent may be the one that acts (Patroni's failsafe mode asks all members for the same
 *    reason). An aggregator that knows of a later epoch than we do is no help either: in that one we may not serve.
 *  - Epochs only grow. What bears a lower one than was heard of is stale, and nothing. */
#ifndef SB_GUARD_ROUND_H
#define SB_GUARD_ROUND_H

#include "common/wire/guard.h"

enum { GUARD_ENDPOINTS = 16 };

enum round_verdict {
    ROUND_NOTHING,
    ROUND_LEASE,    /* somebody has read that we may serve; serving may go on */
    ROUND_AGREED,   /* the round has ended, and all who could read say so: serving may begin */
    ROUND_PROMISED, /* nobody could read; all promise: serving may go on */
    ROUND_FENCE     /* somebody has read that we may not */
};

struct round_said {
    enum round_verdict verdict;
    int64_t deadline; /* LEASE, AGREED, PROMISED */
    uint32_t epoch;   /* the one it is of; PROMISED: the highest seen */
};

enum round_answer { ROUND_WAITING, ROUND_SILENT, ROUND_SERVE, ROUND_DENY, ROUND_AWAY, ROUND_STALE };

struct round {
    uint8_t n;                       /* endpoints */
    uint8_t answer[GUARD_ENDPOINTS]; /* enum round_answer, of this round */
    int64_t sent[GUARD_ENDPOINTS];
    int64_t deadline[GUARD_ENDPOINTS]; /* SERVE: of the lease; AWAY: of the promise, 0 none */
    uint32_t epoch[GUARD_ENDPOINTS];
    uint32_t seen; /* highest epoch heard of, ever */
    uint64_t seq;  /* of the round; 0 before the first */
    int64_t begun; /* of the round */
    bool open;     /* answers are awaited */
    bool renewed;  /* the round has given a lease, of whatever kind */
    bool denied;   /* … or a fence */
    bool doubt;    /* the round before gave neither */
};

/* n of endpoints, at least 1; seen as kept. */
void round_init(struct round *r, uint8_t n, uint32_t seen);
/* Begins a round, in which each endpoint is asked `now`. An open one must have ended: see round_end. */
void round_begin(struct round *r, int64_t now);
/* What endpoint i answered; NULL: nothing that could be understood, or not in time. Answers to rounds that are over must
 * not be brought. The last one ends the round. */
struct round_said round_take(struct round *r, uint8_t i, const struct guard_answer *a, int64_t now);
/* Answers that are missing are silence. */
struct round_said round_end(struct round *r, int64_t now);
/* When the next round is due. */
int64_t round_next(const struct round *r, int64_t interval, int64_t doubt_interval);

#endif
