/* The desk: what the serve thread asks of the decide thread for a client, reading or acting. Values that pass between
 * threads; answers are JSON, or as the content type says. */
#ifndef SB_EXPOSE_DESK_H
#define SB_EXPOSE_DESK_H

#include <stdbool.h>

#include "aggregator/expose/query.h"
#include "common/base/buf.h"
#include "common/net/loop.h"

/* Who acts. */
struct serve_actor {
    char who[128];        /* "uid 0", "role operator"; "" for reading */
    char reason[256];     /* --reason; "" when none was given */
    char request_id[128]; /* the same id twice is one act */
};

struct desk_request {
    const char *method; /* "GET", "POST", "DELETE" */
    const char
        *path; /* behind /api/v1/: "alerts", "incidents/17/ack"; "ack" alone is the page of signed links */
    const char *query; /* raw */
    struct query params;
    struct bytes body; /* JSON, or empty; of "ack": a form */
    struct serve_actor actor;
};

/* On the asker's loop; body is borrowed for the call. */
typedef void (*desk_done)(void *done_arg, int status, const char *content_type, struct bytes body);

/* Whether a path behind /api/v1/ is the desk's. */
bool desk_has(const char *path);

#endif
