/* Shared by the files of peers: see peers.h. */
#ifndef SB_AGGREGATOR_PEERS_PRIVATE_H
#define SB_AGGREGATOR_PEERS_PRIVATE_H

#include "aggregator/decide_private.h"
#include "common/net/http_client.h"

struct peer {
    struct peer *next;
    struct decide *d;
    uint8_t nth; /* of the peers that serve its region, in the configuration's order */
    char name[65], region[128], url[600], reading[600], authorization[1100];
    struct http_client *client; /* NULL: its files cannot be read */
    struct http_call *call;
    struct mono tried, whole, heard, kept; /* 0: never; whole: said to it */
    int64_t skew_ms;                       /* its clock minus ours, with the way */
    bool up, was_up;
    bool known; /* it was heard, be it by a process before us */
    char host[256], version[32];
    uint32_t slos, told, firing[SEVERITY_CRITICAL + 1];
    char voter[FO_NAME]; /* which stands there; "" none, or a strange one */
    uint64_t sends, failures, words;
    struct complaint complaint;
};

#endif
