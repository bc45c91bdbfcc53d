/* The agent's unix socket: status, and what may be done to the spool. */
#ifndef SB_AGENT_CONTROL_IO_H
#define SB_AGENT_CONTROL_IO_H

#include "agent/agent.h"

struct control;
/* Listens on `path` (0660). GET /status, /status.json, /spool; POST /spool/verify,
 * /spool/drop; GET /guards, /guards.json, /guards/check?name=. */
struct control *control_new(const char *path, struct agent *a, struct spool *spool, struct loop *l,
                            struct log *log, struct err *e);
void control_free(struct control **c);

#endif
