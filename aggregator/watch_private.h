/* Shared by the files of the watch: see watch.h. */
#ifndef SB_AGGREGATOR_WATCH_PRIVATE_H
#define SB_AGGREGATOR_WATCH_PRIVATE_H

#include "aggregator/watch.h"
#include "aggregator/watch_target.h"

/* ---- watch_io.c ---- */
struct canary {
    char name[FO_NAME];
    struct target target;
};
struct canaries {
    struct loop *loop;
    struct log *log;
    struct target_ways ways;
    struct watch *watches; /* that go by them */
    struct span every;
    uint8_t n;
    struct canary canary[VOTE_CANARIES];
};
struct watch {
    struct watch_params p; /* settings: NULL; see below */
    struct fo_settings set;
    struct vote_config vote; /* of the settings, as it is used here */
    struct voter voter;
    struct fo_vote newest, given; /* of the last look; as it was given out last */
    struct mono given_at;         /* 0: never */
    struct timer *look;
    struct target_ways ways;
    struct watch *next; /* of canaries */
    bool fast;
    uint64_t looks, votes, tilts;
    uint8_t n_targets;
    struct target target[FO_PROBES_MOST];
};

/* ---- watch_show.c: pure ---- */
/* Whether two votes say the same, whatever their numbers. */
bool watch_same_vote(const struct fo_vote *a, const struct fo_vote *b);
cJSON *watch_show(const struct watch *w, struct mono now);
void watch_put(const struct watch *w, struct sink *out);
void canaries_put(const struct canaries *c, struct sink *out);

#endif
