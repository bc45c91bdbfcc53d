/* What can be configured: the agent's own sections, and those of collectors and inputs behind them. */
#ifndef SB_AGENT_OPTIONS_H
#define SB_AGENT_OPTIONS_H

#include "common/base/arena.h"
#include "common/config/config.h"
#include "common/wire/wire.h"

/* All section rows, in the arena; NULL without memory. */
struct section_row *agent_sections(struct arena *a, size_t *n);

/* Checks across options: endpoints and their TLS files, intervals that fit each other, labels, the id.
 * `sending`: endpoints are needed (not for --once). Each mistake goes to the report; 0 or ERR_CONFIG. In
 * check_io.c: it looks whether files are there, and reads the host's name where the id is not given. */
int agent_check(const struct config *c, bool sending, struct buf *report, struct err *e);

enum { AGENT_ID_ROOM = WIRE_MAX_AGENT + 1 };
/* The id: [agent] id, or the host's name. 0, or ERR_CONFIG
 * when it is none the protocol takes. In check_io.c. */
int agent_id(const struct config *c, char out[AGENT_ID_ROOM], struct err *e);

#endif
