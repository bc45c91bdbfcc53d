/* What this aggregator sees itself of a service's regions, for its vote: it asks the probes of [failover SERVICE] and the
 * canaries every probe_interval, every probe_fast in doubt, and hands what it sees to a `struct voter` (failover/vote.h),
 * together with what others tell it by the functions below. All of it on one loop, the decide thread's. */
#ifndef SB_AGGREGATOR_WATCH_H
#define SB_AGGREGATOR_WATCH_H

#include <cjson/cJSON.h>

#include "aggregator/failover/settings.h"
#include "common/base/metric.h"
#include "common/daemon/log.h"
#include "common/net/loop.h"

/* ---- canaries: asked once for all services ---- */

struct canaries;
/* The [canary]s of c, which is borrowed for the call. timeout as of a probe. They are asked from the first turn of the loop
 * on. NULL and e; also without any [canary] it is not NULL. */
struct canaries *canaries_new(struct loop *l, struct log *log, const struct config *c, struct err *e);
void canaries_free(struct canaries **c); /* after the watches that go by them */
void canaries_metrics(const struct canaries *c, struct sink *out);

/* ---- one service ---- */

struct watch;
struct watch_params {
    struct loop *loop;
    struct log *log;
    const struct fo_settings *settings; /* copied */
    struct canaries *canaries;          /* borrowed; NULL: none, whatever settings->vote says */
    uint64_t boot, seed;                /* of this process; of the spread */
    /* A new vote: after each look that is due (each tick_ms of the vote), and at once when it says something else than the
     * last one. `voter` is settings->core.self. Never from within one of the functions below; must not free the watch. */
    void (*vote)(void *arg, const struct fo_vote *v);
    void *arg;
};
/* Probes begin at once, spread over an interval. NULL and e: memory, or a CA file that cannot be read. */
struct watch *watch_new(const struct watch_params *p, struct err *e);
void watch_free(struct watch **w);
/* Whether a watch made anew from these settings would see the same: nothing that it goes by has changed. */
bool watch_fits(const struct watch *w, const struct fo_settings *s);

void watch_fast(struct watch *w, bool fast);
/* A word of the nth peer, in the configuration's order, of those that serve that region. */
void watch_peer_heard(struct watch *w, uint8_t region, uint8_t nth);
/* That region's aggregators were heard before this process began: see voter_known. */
void watch_known(struct watch *w, uint8_t region);
/* Good and total events of the settings' users_window_ms that ends now, of that region's users. */
void watch_users(struct watch *w, uint8_t region, uint64_t good, uint64_t total);
/* Another voter says that users are hurt there. */
void watch_users_elsewhere(struct watch *w, uint8_t region);
/* So long ago the standby has heard from its primary, which is in `region`. */
void watch_database(struct watch *w, uint8_t region, int64_t heard_ago_ms);
void watch_agents(struct watch *w, uint8_t region, uint32_t up, uint32_t known);
/* Our own clock or loop has jumped. */
void watch_tilt(struct watch *w);

/* The newest vote; all UNKNOWN before the first look. */
const struct fo_vote *watch_vote(const struct watch *w);
/* Counters by target, and what is seen of each region:
 * securebase_region_health{service,region,verdict} 1 for the one that holds. */
void watch_metrics(const struct watch *w, struct sink *out);
/* For explain: {"self_ok", "fast", "canaries": […], "regions": [{"region", "verdict", "classes", "users", "gray",
 * "probes": [{"url", "good", "reason", "status", "seconds", "age_seconds", "run"}], "peers": [{"phi", "heard_seconds"}],
 * …}]}. Owned by the caller; NULL without memory. */
cJSON *watch_json(const struct watch *w);

#endif
