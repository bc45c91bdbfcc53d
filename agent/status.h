/* The agent's state as people and scripts see it: `status [--json]`, `spool stat`. */
#ifndef SB_AGENT_STATUS_H
#define SB_AGENT_STATUS_H

#include "agent/self.h"
#include "agent/ship/shipper.h"
#include "agent/ship/spool.h"
#include "common/base/buf.h"

struct status {
    const char *id, *region, *env;
    struct wall now;
    struct self self;
    struct spool_totals spool;
    struct shipper ship;
    const char *endpoint;
    const char *trouble; /* the newest of shipping; "": none yet */
    struct wall trouble_at;
    bool trouble_over; /* batches have been delivered since */
    struct wall last;  /* acknowledgement; 0: none yet */
    struct wall last_seal;
};

/* 0, or ERR_NOMEM. */
int status_json(const struct status *s, struct buf *out);
int status_text(const struct status *s, struct buf *out);
int status_spool_text(const struct spool_totals *t, struct wall now, struct buf *out);

/* status_io.c: the verbs, spoken to a running agent by its socket. `words` as given on the command line. */
bool status_is_verb(char **words, size_t n, bool json); /* n > 0 */
/* Prints to stdout and stderr; returns the exit status. */
int status_verb(const char *socket, char **words, size_t n, bool json);

#endif
