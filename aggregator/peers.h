/* What two aggregators tell each other every five seconds (POST /v1/peer, docs/protocol.md): which messages are
 * delivered, so that only one speaks; what the objectives count, for an SLA's witness; what they are. Pure. */
#ifndef SB_AGGREGATOR_PEERS_H
#define SB_AGGREGATOR_PEERS_H

#include "aggregator/judge.h"

extern const struct section_row peer_section; /* [peer NAME] */

int peers_check(const struct config *c, struct buf *report, struct err *e);

struct peer_self {
    const char *region, *host, *version;
    bool telling; /* the telling thread works */
};
/* Our word as JSON. `told` is cut at what a body may hold, newest kept as notify says them. */
int peer_write(const struct peer_self *self, const struct judge *j, struct wall now, struct buf *json);

struct peer_word {
    char region[128], host[256], version[32];
    struct peer_telling telling; /* texts in the arena; region points into this struct's copy there */
    uint32_t slos;               /* how many objectives and groups it counts */
};
/* Total on any bytes. 0, ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. */
int peer_read(struct bytes json, struct arena *a, struct peer_word *out, struct err *e);

#endif
