/* The way to an etcd cluster: requests to one member after another until one answers in a way that is understood, each try
 * with a time-out of its own, the whole within a deadline; authentication when a member asks for it. On one loop's thread.
 *
 * Own time-outs are needed: with the server's, a request that is caught by the death of a leader hangs for 7 s. */
#ifndef SB_FAILOVER_ETCD_LINK_H
#define SB_FAILOVER_ETCD_LINK_H

#include "aggregator/failover/etcd.h"
#include "common/base/clock.h"
#include "common/base/metric.h"
#include "common/config/config.h"
#include "common/daemon/log.h"
#include "common/net/http_client.h"

struct etcd_link;
struct etcd_ask; /* one request under way */

/* s: [coordination]; read now, borrowed for the call. */
struct etcd_link *etcd_link_new(const struct section *s, struct loop *l, struct log *log, struct err *e);
void etcd_link_free(struct etcd_link **l);                /* what is under way ends without an answer */
struct span etcd_link_timeout(const struct etcd_link *l); /* of a whole call of authority.h */
/* The member that is asked first now. */
uint32_t etcd_link_member(const struct etcd_link *l);
uint32_t etcd_link_members(const struct etcd_link *l); /* how many there are, in the order of `endpoints` */
const char *etcd_link_url(const struct etcd_link *l, uint32_t member);
/* Its answer was of no use: the next one is asked from now on. */
void etcd_link_blame(struct etcd_link *l, uint32_t member);

struct etcd_answer {
    enum etcd_fault fault; /* as `read` said */
    const char *why;       /* unless FINE */
    struct mono sent;      /* just before the request of this answer left */
};
struct etcd_ask_params {
    enum etcd_call call;
    struct bytes body;    /* copied */
    struct mono deadline; /* by clock_mono */
    bool once;            /* one try, at the member that is first: an AWAY ends it */
    uint32_t only;        /* 1 + member: one try there, which says nothing about whom to ask first; 0: any */
    /* Judges an answer; AWAY: another member is asked while there is time. May be called more than once; the bytes are
     * borrowed. */
    enum etcd_fault (*read)(void *arg, int status, struct bytes body, char why[ETCD_WHY]);
    /* Exactly once, never from within etcd_ask. */
    void (*done)(void *arg, const struct etcd_answer *a);
    void *arg;
};
/* NULL: no memory. */
struct etcd_ask *etcd_ask(struct etcd_link *l, const struct etcd_ask_params *p);
void etcd_ask_cancel(struct etcd_ask **k); /* without an answer */
/* Asks, and wants no answer (a lease that is given up). */
void etcd_tell(struct etcd_link *l, enum etcd_call call, struct bytes body);

/* An endless answer of the member that is first now, at most for `most`; whoever reads it judges it. The token is the one that
 * the last request was given. NULL: it does not even begin. */
struct http_call *etcd_stream(struct etcd_link *l, enum etcd_call call, struct bytes body, struct span most,
                              void (*piece)(void *arg, struct bytes b), http_done done, void *arg);

void etcd_link_metrics(const struct etcd_link *l, struct sink *out);

#endif
