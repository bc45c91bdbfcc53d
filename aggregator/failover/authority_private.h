/* The inside of the authority: what the two kinds of store share. A call is begun by authority_io.c, carried out by a store,
 * and ended by authority_end. */
#ifndef SB_FAILOVER_AUTHORITY_PRIVATE_H
#define SB_FAILOVER_AUTHORITY_PRIVATE_H

#include "aggregator/failover/authority.h"
#include "aggregator/failover/etcd_link.h"
#include "common/sketch/sketch.h"

enum authority_kind {
    AUTHORITY_ACQUIRE,
    AUTHORITY_KEEP,
    AUTHORITY_RESIGN,
    AUTHORITY_READ,
    AUTHORITY_STORE,
    AUTHORITY_KINDS
};
enum {
    AUTHORITY_KEY = 400,
    AUTHORITY_RECORD = 64 << 10,
    AUTHORITY_LINE = 8 << 10,
    AUTHORITY_OUTCOMES = AUTHORITY_AWAY + 1
};

struct authority_call {
    struct authority *a;
    struct authority_service *s;
    enum authority_kind kind;
    bool busy;
    authority_done done;
    void *arg;
    struct mono began, deadline;
    struct timer *timer; /* an answer that is known at once; a pause */
    bool answering;      /* the timer is for the answer */
    struct authority_answer answer;
    /* store */
    struct fencing token;
    uint64_t seen;
    struct buf record, line;
    /* etcd */
    struct etcd_ask *ask[2];
    enum etcd_fault fault[2];
    uint32_t member;
    int step;
    struct etcd_txn txn;
    struct etcd_done result;
    struct arena arena;
    struct mono sent[2];
    uint64_t id, ttl, term;
    char line_key[AUTHORITY_KEY + 24];
    /* local */
    struct buf state;
};

struct authority_service {
    struct authority_service *next;
    struct authority_call call[AUTHORITY_KINDS];
    char name[FO_NAME];
    char leader[AUTHORITY_KEY], record[AUTHORITY_KEY], last[AUTHORITY_KEY], journal[AUTHORITY_KEY];
    bool holding, hinted; /* hinted: a change is to be told */
    struct fencing token;
    uint64_t lease;      /* ours; may live though we do not hold; 0 none */
    char epoch[24];      /* the store's epoch as text when we acquired; "" there is no such key */
    uint64_t last_mod;   /* revision of `last` as seen by acquire */
    bool after_resigned; /* what acquire has seen */
};

struct authority_journal_read; /* one list under way */

struct authority {
    struct authority_params p;
    struct authority_service *services;
    struct etcd_link *link; /* NULL: local */
    struct etcd_watcher *watcher;
    struct etcd_place *place; /* NULL: the store's leader may be anywhere */
    struct authority_journal_read *reads;
    struct local_wait *waits; /* asked of the control store, not answered */
    char prefix[128], epoch_key[AUTHORITY_KEY];
    char self[128]; /* "voter host boot": the leader key's value */
    uint64_t outcomes[AUTHORITY_KINDS][AUTHORITY_OUTCOMES];
    struct sketch took[AUTHORITY_KINDS];
};

/* Ends a call: counts, and tells the caller. From the loop alone. */
void authority_end(struct authority_call *c, enum authority_outcome outcome);
/* The same from anywhere: soon, on the loop. */
void authority_end_soon(struct authority_call *c, enum authority_outcome outcome, const char *why);
struct authority_service *authority_service_of(struct authority *a,
                                               const char *name); /* made if new; NULL: no memory */

/* Stores: each begins one call. */
void authority_etcd_start(struct authority_call *c);
void authority_etcd_again(struct authority_call *c); /* after a pause */
void authority_local_start(struct authority_call *c);
void authority_local_close(struct authority *a); /* answers that still come find nobody */

/* Lists of the journal. */
int authority_etcd_journal(struct authority *a, struct authority_service *s, uint32_t n,
                           void (*line)(void *arg, struct bytes line, int code), void *arg);
int authority_local_journal(struct authority *a, struct authority_service *s, uint32_t n,
                            void (*line)(void *arg, struct bytes line, int code), void *arg);
void authority_etcd_journal_free(struct authority *a);

/* Where the store's leader is: NULL when there is no memory, or nothing to choose from. */
struct etcd_place *etcd_place_new(struct authority *a);
void etcd_place_free(struct etcd_place **p);
void etcd_place_metrics(const struct etcd_place *p, struct sink *out);

/* Hints of changes, of all services; NULL: there are none. */
struct etcd_watcher *etcd_watcher_new(struct authority *a);
void etcd_watcher_free(struct etcd_watcher **w);

#endif
