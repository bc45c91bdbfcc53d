/* The desk: what the serve thread asks of the decide thread for a client, reading or acting. Values that pass between
 * threads; answers are JSON. */
#ifndef SB_EXPOSE_DESK_H
#define SB_EXPOSE_DESK_H

#include "aggregator/expose/serve.h"
#include "common/base/buf.h"
#include "common/net/loop.h"

enum { DESK_PARAMS = 16, DESK_BODY_MOST = 1 << 20 };

struct desk_request {
    const char *method; /* "GET", "POST", "DELETE" */
    const char *path;   /* behind /api/v1/: "alerts", "incidents/17/ack" */
    struct {
        const char *name, *value; /* decoded */
    } params[DESK_PARAMS];
    uint32_t n_params;
    struct bytes body; /* JSON, or empty */
    /* acting: who, reason, request id; who "" for reading */
    struct serve_actor actor;
};

/* On the asker's loop; body is borrowed for the call. */
typedef void (*desk_done)(void *done_arg, int status, const char *content_type, struct bytes body);

#endif
