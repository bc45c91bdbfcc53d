/* AWS Signature Version 4: what to add to a request so that AWS knows who sends it. Pure; OpenSSL's HMAC-SHA256.
 *
 * After "Create a signed AWS API request" of the IAM user guide. libcurl 7.88 has a signer of its own that gets unsorted
 * queries, paths that are escaped already and removed headers wrong, hence this one for all AWS calls. */
#ifndef SB_NET_SIGV4_H
#define SB_NET_SIGV4_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/http_client.h"

enum { SIGV4_HEADERS = 32, SIGV4_PARAMETERS = 256, SIGV4_ADDED = 4 };

struct sigv4_credentials {
    const char *access_key_id, *secret_key;
    const char *session_token; /* NULL or "" when there is none */
};

struct sigv4_request {
    const char *method;
    /* As they go over the wire: "/2013-04-01/hostedzone/Z1", percent-encoded where needed; "" counts as "/". The query
     * without its "?"; pairs in any order, percent-encoded; NULL or "": none. */
    const char *path, *query;
    const struct http_header
        *headers; /* that are to be signed; `Host` has to be among them, x-amz-date not */
    size_t n_headers;
    struct bytes payload;
    const char *payload_hash; /* NULL: of the payload; else taken as it is ("UNSIGNED-PAYLOAD") */
    const char *region, *service;
    struct wall now;
    bool s3; /* paths are encoded once and not normalised, and x-amz-content-sha256 is added */
};

struct sigv4_signature {
    struct http_header
        added[SIGV4_ADDED]; /* X-Amz-Date, …, Authorization: to be sent besides those that were signed */
    size_t n_added;
    const char *signature, *canonical,
        *to_sign; /* hex; and the texts behind it, for tests and for finding faults */
};

/* Everything made lives in the arena. 0, ERR_NOMEM, ERR_MALFORMED (no Host, a header with a line break, a %-escape that is
 * none) or ERR_LIMIT. */
int sigv4_sign(const struct sigv4_request *r, const struct sigv4_credentials *c, struct arena *a,
               struct sigv4_signature *out, struct err *e);

/* Percent-encodes all but unreserved characters (RFC 3986 §2.3) and, when `slash`, the slash: for parts of a path, a query
 * or a form that is to be signed. */
void sigv4_encode(struct buf *out, const char *s, size_t n, bool slash);

#endif
