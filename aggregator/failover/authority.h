/* Authority between regions: who may decide, and the one place where a decision is committed. etcd v3 by its JSON gateway,
 * or the control store of this machine. On one loop's thread; everything is asynchronous, and each call is answered exactly
 * once, on the loop, within its time-out. An answer that is not understood is "the store is away", never "lost" or "won".
 *
 * For each service these keys, below `prefix` (default /securebase):
 *   <prefix>/<service>/leader   under the holder's lease: "voter host boot"; its create_revision is the token's rev
 *   <prefix>/<service>/record   fo_record as text
 *   <prefix>/<service>/journal/<20 digits>   lines of the journal, written in the record's transaction
 *   <prefix>/<service>/last     "held", or "resigned REV": whether the last holder gave it up on purpose
 *   <prefix>/store-epoch        decimal; raised by hand when a store was restored from a snapshot; absent is 0. Every
 *                               transaction compares it: whoever acquired before it was raised has lost
 * A line's number is the revision of the record that its own follows (of the first the holder's token): they sort by time.
 *
 * After etcd's API reference v3; pitfalls of the gateway are in etcd.h. */
#ifndef SB_FAILOVER_AUTHORITY_H
#define SB_FAILOVER_AUTHORITY_H

#include "aggregator/failover/failover.h"

struct authority;

enum authority_outcome {
    AUTHORITY_OK,
    AUTHORITY_HELD,     /* acquire: somebody else holds it; `holder` says who */
    AUTHORITY_LOST,     /* keep, store: the lease or the leader key is not ours any more: certain */
    AUTHORITY_CONFLICT, /* store: ours, but the record has another revision */
    AUTHORITY_AWAY /* no answer, an error, no quorum, not understood: nothing is known, also whether it was done */
};
struct authority_answer {
    enum authority_outcome outcome;
    struct fencing token; /* acquire, keep, store; read: of whoever holds it now, rev 0: nobody */
    struct mono
        sent; /* when the request that counts left: of acquire, keep the lease runs from here; of read, what
                           * was read is not older */
    uint64_t rev;        /* read, store: mod revision of the record */
    bool resigned;       /* acquire: the holder before gave it up on purpose, or there was none ever */
    bool known;          /* read: there is a record */
    struct bytes record; /* read: borrowed for the call */
    char holder[128];    /* held, read: voter and host; "" nobody */
    char why[200];       /* away: for people */
};
typedef void (*authority_done)(void *arg, const struct authority_answer *a);

struct authority_params {
    const struct config *config; /* [coordination]; borrowed for the call */
    struct loop *loop;
    struct log *log;
    const char *voter, *host; /* who we are; borrowed for good */
    uint64_t boot;            /* of this process */
    struct span lease;        /* TTL */
    /* type = local: the control store takes it: write one state, read it back. Both answer once, on the loop.
     * local_read's bytes are borrowed for the call; p NULL: none. */
    int (*local_write)(void *arg, struct bytes key, struct bytes value,
                       void (*done)(void *done_arg, int code), void *done_arg);
    int (*local_read)(void *arg, struct bytes key, void (*done)(void *done_arg, int code, struct bytes value),
                      void *done_arg);
    void *local_arg;
    /* A hint that something of this service has changed (watch): read it. */
    void (*changed)(void *arg, const char *service);
    void *arg;
};
struct authority *authority_open(const struct authority_params *p, struct err *e);
/* Answers that are outstanding never come; leases are left to expire. Not from within an answer. */
void authority_close(struct authority **a);

/* One of each kind may be under way for a service; a second gets ERR_STATE. 0 or ERR_NOMEM otherwise. */
int authority_acquire(struct authority *a, const char *service, authority_done done, void *arg);
int authority_keep(struct authority *a, const char *service, authority_done done, void *arg);
/* LOST, of resign: it was not ours any more. */
int authority_resign(struct authority *a, const char *service, authority_done done,
                     void *arg); /* deletes the key on purpose */
int authority_read(struct authority *a, const char *service, authority_done done,
                   void *arg); /* linearizable */
/* Commits when the leader key is ours (create_revision == token.rev) and the record's mod revision is `seen` (0: absent).
 * `line` (journal, n 0: none) goes into the same transaction. After AWAY the same call may be made again: when the first
 * one was carried out after all, the answer is OK. */
int authority_store(struct authority *a, const char *service, struct fencing token, uint64_t seen,
                    struct bytes record, struct bytes line, authority_done done, void *arg);
/* Lines of the journal, newest first, at most n; for `journal tail|export|verify`. line.p NULL ends the list. */
int authority_journal(struct authority *a, const char *service, uint32_t n,
                      void (*line)(void *arg, struct bytes line, int code), void *arg);

/* The store's own leader is to be the member that is nearest to us, the first of `endpoints`: called by whoever decides from
 * outside of the active region, so that the loss of that region, or a bad line to it, is no trouble of the store's. At most
 * once a minute it is looked, and asked for if it is not so; what comes of it is in metrics and the log. Nothing with
 * `place_leader = no`, one endpoint, or the local store. */
void authority_place(struct authority *a);

extern const struct section_row coordination_section; /* [coordination] */
int authority_check(const struct config *c, struct buf *report, struct err *e);
void authority_metrics(const struct authority *a,
                       struct sink *out); /* requests by call and outcome, seconds, endpoint */

#endif
