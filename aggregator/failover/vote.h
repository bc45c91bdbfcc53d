/* One voter's own verdict on each region of a service, from what it has seen itself. Pure, integers only.
 *
 * DOWN needs a run of failed probes and a second class (the region's aggregators are silent: phi >= 8; or users hurt; or the
 * database's standby hears nothing), or users alone (success < 50 % for 60 s with >= 30 events). UP again after 20 good
 * probes in a row and 120 s. What is missing is UNKNOWN. A voter whose own canaries fail, or whose clock or loop jumped,
 * says UNKNOWN of everything. */
#ifndef SB_FAILOVER_VOTE_H
#define SB_FAILOVER_VOTE_H

#include "aggregator/failover/failover.h"

struct vote_config {
    uint8_t n_regions, n_canaries;
    uint8_t n_probes[FO_REGIONS]; /* targets: 0: this class is absent there */
    uint8_t n_peers[FO_REGIONS];  /* aggregators of that region that speak to us: 0 for our own region */
    uint8_t has_users, has_database, own_region;
    int32_t tick_ms, fast_ms; /* 5 000, 1 000 */
    int32_t beat_ms;          /* how often peers speak when nothing is in doubt; 0: tick_ms */
    int32_t down_probes; /* 3 in a row; as many good ones, and a target does not count as failing any more */
    int32_t up_probes, up_ms;                                            /* 20, 120 000 */
    int32_t phi_milli;                                                   /* 8 000 */
    int32_t users_window_ms, users_least, users_bad_ppm, users_good_ppm; /* 60 000, 30, 500 000, 900 000 */
    int32_t gray_ms;                                                     /* 60 000 */
    int32_t database_ms; /* 10 000 without a word: the standby hears nothing */
    int32_t tilt_ms;     /* 30 000 */
};

enum { VOTE_PROBES = 4, VOTE_CANARIES = 5, VOTE_PEERS = 6, VOTE_GAPS = 64 };

enum vote_run { VOTE_RUN_UNKNOWN, VOTE_RUN_GOOD, VOTE_RUN_FAILED };
struct vote_target {        /* one probe's run of results */
    int32_t bad, good;      /* in a row */
    int64_t at, good_since; /* boot ms; at 0: never */
    uint8_t run;            /* enum vote_run: after down_probes alike */
};
struct vote_beat { /* a peer's words: intervals as sums, for phi */
    int64_t last;
    int32_t gap[VOTE_GAPS];
    uint8_t n, at;
};
struct vote_region {
    struct vote_target read[VOTE_PROBES];
    struct vote_beat beat[VOTE_PEERS];
    int64_t users_at, users_bad_since, gray_since, database_at, database_heard, down_at, up_since;
    int64_t hurt_elsewhere; /* boot ms of the last word of another voter that users are hurt there; 0 never */
    uint64_t good, total;
    uint32_t agents, agents_up;
    uint8_t verdict, classes, users;
    uint8_t known; /* its aggregators were heard at some time, by us or by a process before us */
};
struct voter {
    struct vote_region region[FO_REGIONS];
    struct vote_target canary[VOTE_CANARIES];
    int64_t tilt_until, looked, began; /* began: since when silence counts */
    uint64_t boot, seq;
    uint8_t fast;
};

void voter_init(struct voter *v, const struct vote_config *c, int64_t now, uint64_t boot);
void voter_probe(struct voter *v, const struct vote_config *c, uint8_t region, uint8_t probe, bool good,
                 int64_t now);
void voter_canary(struct voter *v, const struct vote_config *c, uint8_t canary, bool good, int64_t now);
void voter_beat(struct voter *v, const struct vote_config *c, uint8_t region, uint8_t peer, int64_t now);
/* The region's aggregators were heard before this process began: from now on they can be missed, though they never speak. */
void voter_known(struct voter *v, uint8_t region);
/* Good and total of the window that ends now. */
void voter_users(struct voter *v, const struct vote_config *c, uint8_t region, uint64_t good, uint64_t total,
                 int64_t now);
/* Another voter's word says that users are hurt there. Events of users reach one aggregator each, and witnesses none: a
 * voter that has no figures of its own, and whose own probes fail, takes it as the second class. It is never passed on. */
void voter_users_elsewhere(struct voter *v, const struct vote_config *c, uint8_t region, int64_t now);
/* What a standby says: it has heard its primary (of `region`) so long ago. */
void voter_database(struct voter *v, const struct vote_config *c, uint8_t region, int64_t heard_ago_ms,
                    int64_t now);
void voter_agents(struct voter *v, uint8_t region, uint32_t up, uint32_t known);
void voter_tilt(struct voter *v, const struct vote_config *c, int64_t now);
void voter_fast(struct voter *v, bool fast);
/* Looks at everything: seq grows by one. At least each tick_ms, also when nothing has come in: what was seen while the
 * canaries fail is forgotten here, and who has not looked for two ticks has slept: TILT. The vote's index (`voter`) is left
 * FO_NONE: the caller knows it. */
void voter_look(struct voter *v, const struct vote_config *c, int64_t now, struct fo_vote *out);
/* phi in thousandths of a beat's silence: -log10 of the normal tail, by table. */
int32_t vote_phi(const struct vote_beat *b, int64_t now);

#endif
