/* What two aggregators tell each other every five seconds, every second in doubt (POST /v1/peer, docs/protocol.md): which
 * messages are delivered, so that only one speaks; what the objectives count, for an SLA's witness; votes and guards of
 * failover (failover/word.h); what they are. Pure. */
#ifndef SB_AGGREGATOR_PEERS_H
#define SB_AGGREGATOR_PEERS_H

#include "aggregator/failover/word.h"
#include "aggregator/judge.h"

extern const struct section_row peer_section; /* [peer NAME] */

int peers_check(const struct config *c, struct buf *report, struct err *e);

struct peer_self {
    const char *region, *host, *version;
    bool telling;                   /* the telling thread works */
    bool light;                     /* without what is told and counted: between two whole words */
    const struct fo_word *failover; /* NULL: nothing to say of it */
};
/* Our word as JSON. `told` is cut at what a body may hold, newest kept as notify says them. */
int peer_write(const struct peer_self *self, const struct judge *j, struct wall now, struct buf *json);

struct peer_word {
    char region[128], host[256], version[32];
    bool light;                  /* nothing is said of what is told and counted */
    struct peer_telling telling; /* texts in the arena; region points into this struct's copy there */
    uint32_t slos;               /* how many objectives and groups it counts */
    uint32_t firing[SEVERITY_CRITICAL + 1]; /* alerts */
    struct fo_word *failover;               /* in the arena; NULL: it names no voter */
    struct err failover_error;              /* its part of the word was of no use: the rest is taken */
};
/* What the shell of failover has to do with words. On the decide thread. */
struct peer_hooks {
    void *arg;
    /* Before a word is written: zeroed. Left without a voter, it says nothing of failover. */
    void (*speak)(void *arg, struct fo_word *out);
    /* A word has come from [peer NAME], the nth of those in the configuration that serve this region. w: what it says of
     * failover, from the voter that stands there; NULL: nothing. Borrowed for the call. */
    void (*heard)(void *arg, const char *peer, const char *region, uint8_t nth, const struct fo_word *w);
    /* Soon after the start: that region's aggregators were heard by a process before us, within a day. May be NULL. */
    void (*known)(void *arg, const char *region);
};

/* Total on any bytes. 0, ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. */
int peer_read(struct bytes json, struct arena *a, struct peer_word *out, struct err *e);

#endif
