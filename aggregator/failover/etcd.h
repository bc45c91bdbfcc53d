/* etcd's v3 API as JSON, as its gateway speaks it: requests out, answers in. Pure.
 *
 * Facts of the gateway that stand behind this (checked with 3.4.23):
 *  - 64-bit numbers are decimal strings, bytes are standard base64, whatever is zero or false is left out. A transaction whose
 *    compares fail has no "succeeded"; a lease that is gone is kept alive with HTTP 200 and no "TTL".
 *  - A field that the gateway does not know is skipped: a transaction with a misspelt compare has none, and so succeeds. Hence
 *    an answer counts only when it has the form of what was asked: as many responses as operations, each of its kind, each key
 *    the one that was named.
 *  - Errors come in two forms: {"error":"text","code":14} and {"error":{"grpc_code":14,"message":"text"}}.
 *
 * Any bytes give a value or ETCD_AWAY: an answer that is not understood says nothing, neither "lost" nor "won" (the issue with
 * which others have deposed healthy primaries: an error that nobody had thought of). */
#ifndef SB_FAILOVER_ETCD_H
#define SB_FAILOVER_ETCD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"

enum etcd_fault {
    ETCD_FINE,
    ETCD_AWAY,     /* no answer, an error, or not understood: nothing is known, also whether it was done */
    ETCD_NO_LEASE, /* the lease that the request names is gone: nothing was done */
    ETCD_STRANGER  /* our token is not known (any more): authenticate, then ask again; nothing was done */
};
enum { ETCD_OPS = 6, ETCD_WHY = 200, ETCD_TOKEN = 1024, ETCD_LIST = 256, ETCD_ID = 21 };

enum etcd_call {
    ETCD_GRANT,
    ETCD_KEEPALIVE,
    ETCD_REVOKE,
    ETCD_TXN,
    ETCD_RANGE,
    ETCD_WATCH,
    ETCD_LOGIN,
    ETCD_STATUS, /* of the member that is asked */
    ETCD_LEAD,   /* asked of the leader: another member is to lead */
    ETCD_CALLS
};
const char *etcd_path(enum etcd_call c); /* "/v3/kv/txn" */
const char *etcd_name(enum etcd_call c); /* "txn" */

enum etcd_target { ETCD_CREATE, ETCD_MOD, ETCD_VALUE };
struct etcd_compare { /* equal, always */
    const char *key;
    enum etcd_target target;
    uint64_t rev;       /* CREATE, MOD; 0: there is no such key */
    struct bytes value; /* VALUE */
};
enum etcd_op_kind { ETCD_GET, ETCD_GET_KEY /* without its value */, ETCD_PUT, ETCD_DELETE };
struct etcd_op {
    enum etcd_op_kind kind;
    const char *key;
    struct bytes value; /* PUT */
    uint64_t lease;     /* PUT; 0 none */
};
struct etcd_txn {
    struct etcd_compare compare[ETCD_OPS];
    struct etcd_op then[ETCD_OPS], other[ETCD_OPS];
    uint32_t n_compare, n_then, n_other;
};
struct etcd_kv {
    bool there;
    uint64_t create, mod, lease; /* revisions; id of its lease, 0 none */
    struct bytes key, value;     /* in the arena */
};
struct etcd_done {
    bool succeeded;     /* `then` was carried out, else `other` */
    uint64_t rev, term; /* of the store; raft term of the member that answered */
    struct etcd_kv
        kv[ETCD_OPS]; /* by operation: what GET has found; `there` of DELETE: something was deleted */
};

/* Writers: 0, ERR_LIMIT when `out` is full. */
int etcd_txn_write(const struct etcd_txn *t, struct buf *out);
int etcd_grant_write(uint64_t ttl_s, struct buf *out);
int etcd_lease_write(uint64_t id, struct buf *out); /* keepalive, revoke */
int etcd_lead_write(const char member[ETCD_ID], struct buf *out);
int etcd_login_write(const char *user, const char *password, struct buf *out);
/* The last `limit` keys that begin with `prefix` and sort before `before` (NULL: all), newest key first. */
int etcd_list_write(const char *prefix, const char *before, uint32_t limit, struct buf *out);
/* Everything that begins with `prefix`, from revision `from` on (0: from now). */
int etcd_watch_write(const char *prefix, uint64_t from, struct buf *out);

/* Readers. `why` gets a sentence for people unless FINE. What is read lives in `a`. */
enum etcd_fault etcd_txn_read(const struct etcd_txn *t, int status, struct bytes body, struct arena *a,
                              struct etcd_done *out, char why[ETCD_WHY]);
enum etcd_fault etcd_grant_read(int status, struct bytes body, struct arena *a, uint64_t *id, uint64_t *ttl_s,
                                char why[ETCD_WHY]);
/* ttl_s 0: the lease is gone, for certain. */
enum etcd_fault etcd_keep_read(uint64_t id, int status, struct bytes body, struct arena *a, uint64_t *ttl_s,
                               uint64_t *term, char why[ETCD_WHY]);
enum etcd_fault etcd_login_read(int status, struct bytes body, struct arena *a, char token[ETCD_TOKEN],
                                char why[ETCD_WHY]);
/* At most ETCD_LIST of them, in the order of the answer. */
enum etcd_fault etcd_list_read(const char *prefix, int status, struct bytes body, struct arena *a,
                               struct etcd_kv **out, uint32_t *n, char why[ETCD_WHY]);
/* The member's own id and its leader's, as decimal digits (they take 64 bits); leader "0": it knows of none. */
enum etcd_fault etcd_status_read(int status, struct bytes body, char member[ETCD_ID], char leader[ETCD_ID],
                                 char why[ETCD_WHY]);
/* Of ETCD_LEAD, whose answer is an empty object. */
enum etcd_fault etcd_lead_read(int status, struct bytes body, char why[ETCD_WHY]);
/* Only whether the call was carried out. */
enum etcd_fault etcd_plain_read(int status, struct bytes body, struct arena *a, char why[ETCD_WHY]);

/* One line of a watch's endless answer. */
struct etcd_news {
    bool created, ended; /* ended: cancelled; begin anew from `from` */
    uint64_t rev;        /* of the store then */
    uint64_t from;       /* ended by compaction: the oldest revision that can be had; else 0 */
    uint32_t n;          /* changes; the first ETCD_OPS of their keys are in `key` */
    struct bytes key[ETCD_OPS];
};
enum etcd_fault etcd_watch_read(struct bytes line, struct arena *a, struct etcd_news *out,
                                char why[ETCD_WHY]);

/* Decimal digits alone, below 2^63. */
bool etcd_number(const char *s, uint64_t *out);

#endif
