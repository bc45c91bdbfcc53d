/* One thing that is asked every so often, never twice at once, each time by a new connection: an HTTP URL, or a TCP port that
 * has to take the connection. */
#ifndef SB_AGGREGATOR_WATCH_TARGET_H
#define SB_AGGREGATOR_WATCH_TARGET_H

#include "aggregator/failover/settings.h"
#include "common/net/http_client.h"
#include "common/net/loop.h"

struct target_job;
struct target_ways { /* how targets are asked: one set for all of a watch */
    struct loop *loop;
    struct http_client *http;
    struct workers *workers; /* for tcp:// : names are looked up and connections made there */
};
struct target {
    const struct target_ways *ways;
    char url[FO_URL], host[256], port[8]; /* host and port of tcp:// */
    bool tcp;
    bool any_answer; /* of HTTP, whatever its status: else 2xx */
    struct timer *timer;
    struct http_call *call;
    struct target_job *job;
    struct span every, timeout;
    struct mono began;
    void (*done)(void *arg, struct target *t); /* a result has come: `good` and what follows it */
    void *arg;
    uint8_t region, index; /* the owner's */
    bool good;
    char reason[24]; /* "" when good: "dns" "connect" "tls" "certificate" "timeout" "status" … */
    int status;
    struct span took;
    struct mono at;                            /* 0: never */
    uint64_t runs, failures, skipped, unasked; /* skipped: due while under way; unasked: could not begin */
};
int target_ways_open(struct target_ways *w, struct loop *l, const char *ca, unsigned most, struct err *e);
void target_ways_close(struct target_ways *w); /* after its targets */
/* url: http://, https:// or tcp://HOST:PORT. ERR_MALFORMED, ERR_NOMEM. */
int target_open(struct target *t, const struct target_ways *w, const char *url, struct err *e);
void target_close(struct target *t);
/* From now on every so often, the first after `first`. */
void target_pace(struct target *t, struct span every, struct span first);

/* ---- watch_target.c: pure ---- */
/* Whether an HTTP result is good; else its reason, a token. */
bool target_judge(bool any_answer, int code, int status, const char *reason, char *out, size_t cap);
/* tcp://HOST:PORT, tcp://[V6]:PORT. */
bool target_split(const char *url, char *host, size_t host_cap, char *port, size_t port_cap);

#endif
