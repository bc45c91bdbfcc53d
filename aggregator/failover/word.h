/* What aggregators tell each other of failover: additions to the word of docs/protocol.md (POST /v1/peer). Votes travel this
 * way and not through the coordination store: what we see of each other must not depend on it (the 73 h outage in which
 * monitoring depended on the store that had failed). JSON <-> struct, pure; names stand in it, never indices, so that
 * configurations may differ in their order.
 *
 *   "voter": "west", "boot": "1234", "failover": [{"service": "app", "seq": 17, "tick_ms": 5000, "self_ok": true,
 *     "votes": {"us-east-1": {"verdict": "down", "classes": ["probes", "heartbeat"], "users": "unknown", "gray": false}},
 *     "state": "SUSPECT", "leading": true, "epoch": 7, "active": "us-east-1", "writer": "us-east-1", "token": "1.4711",
 *     "guards": [{"guard": "db-1/app", "region": "us-east-1", "fenced_epoch": 8, "serving": false, "age_ms": 800}]}]
 *
 * "votes" is absent from one who has none, "epoch" and what follows it from one who has not read the record; "active" and
 * "writer" are null where there is none. */
#ifndef SB_FAILOVER_WORD_H
#define SB_FAILOVER_WORD_H

#include <cjson/cJSON.h>

#include "aggregator/failover/settings.h"

enum { FO_WORD_STATE = 16, FO_WORD_TICK_MOST = 600000 };

struct fo_word_vote { /* on one region */
    char region[FO_NAME];
    uint8_t verdict, classes, users, gray; /* enum fo_verdict, bits of enum fo_class, enum fo_users, 0 or 1 */
};
struct fo_word_guard {                          /* what a guard has said to the speaker */
    char guard[FO_GUARD_NAME], region[FO_NAME]; /* agent/guard */
    uint32_t fenced_epoch;
    bool serving;
    int64_t age_ms; /* since it said so, when the word was spoken */
};
struct fo_word_service {
    char service[FO_NAME];
    bool voting; /* seq to vote hold */
    uint64_t seq;
    int32_t tick_ms;
    bool self_ok;
    uint8_t n_votes;
    struct fo_word_vote vote[FO_REGIONS];
    char state[FO_WORD_STATE]; /* of the core; "" none */
    bool leading;
    bool known; /* epoch to token hold */
    uint32_t epoch;
    char active[FO_NAME], writer[FO_NAME]; /* "" none */
    struct fencing token;
    uint8_t n_guards;
    struct fo_word_guard guard[FO_GUARDS];
};
struct fo_word { /* without pointers; about 170 KiB */
    char voter[FO_NAME];
    uint64_t boot; /* another process, another number: seq begins anew */
    uint8_t n;
    struct fo_word_service service[FO_SERVICES];
};

/* Adds the fields to the object `into`. */
void fo_word_write(const struct fo_word *w, cJSON *into);
/* Total on any JSON. Numbers and names out of bounds, a service or a region twice: ERR_MALFORMED; too many: ERR_LIMIT.
 * Verdicts and classes of a later version are UNKNOWN and left out. A word without "voter" is no error: out->voter is "". */
int fo_word_read(const cJSON *o, struct fo_word *out, struct err *e);

/* Our vote into the word; before the first look there is none. */
void fo_word_put_vote(struct fo_word_service *s, const struct fo_names *n, uint8_t n_regions,
                      const struct fo_vote *v);
/* The vote of whoever spoke, by our own indices; what it says of regions that we do not know is left out. False when it has
 * none, or is no voter that we know. */
bool fo_word_get_vote(const struct fo_word *w, const struct fo_word_service *s, const struct fo_names *n,
                      uint8_t n_regions, uint8_t n_voters, struct fo_vote *out);
/* NULL when it (or no word: w may be NULL) says nothing of this service. */
const struct fo_word_service *fo_word_find(const struct fo_word *w, const char *service);

#endif
