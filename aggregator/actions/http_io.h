/* One HTTP call from a worker, for drivers: blocking, within a deadline, the answer bounded. The client is the one of
 * common/net, on a loop of its own for the one call: what is true of its TLS, of its times and of what may have been sent
 * is true here. */
#ifndef SB_ACTIONS_HTTP_IO_H
#define SB_ACTIONS_HTTP_IO_H

#include "aggregator/actions/action.h"
#include "common/base/arena.h"
#include "common/net/http_client.h"

/* Options of all drivers that speak HTTP; equal keys have equal rows. */
#define ACTION_ROW_URL                                                                                       \
    {                                                                                                        \
        .key = "url", .type = OPT_URLS, .dflt = "", .reloadable = true, .max = 1,                            \
        .sentence = "Where the service is; empty, where the type knows the vendor's own address."            \
    }
#define ACTION_ROWS_TLS                                                                                      \
    {.key = "ca",                                                                                            \
     .type = OPT_PATH,                                                                                       \
     .reloadable = true,                                                                                     \
     .sentence = "Authorities that may have signed the service's certificate, PEM; the system's without."},  \
        {.key = "cert",                                                                                      \
         .type = OPT_PATH,                                                                                   \
         .reloadable = true,                                                                                 \
         .sentence = "Our certificate for services that want one, PEM."},                                    \
    {                                                                                                        \
        .key = "key", .type = OPT_PATH, .reloadable = true, .sentence = "The private key of `cert`, PEM."    \
    }

struct action_tls { /* owned texts */
    char *ca, *cert, *key;
};
int action_tls_open(const struct section *s, struct action_tls *t, struct err *e); /* reads the rows above */
void action_tls_close(struct action_tls *t);

/* ERR_CONFIG unless a secret may go to this address: https, or this machine. */
int action_secret_url_check(const char *url, struct err *e);

struct action_answer {
    struct http_result http; /* its texts and its body live in the arena */
};
/* Makes the call and waits. `r->timeout` is overwritten by the deadline. 0 when there was a call, whatever came of it (look
 * at http.code and http.status); else it could not even begin (ERR_NOMEM, ERR_TLS: a file of ours) and nothing was sent. */
int action_http(const struct action_tls *tls, const struct http_request *r, struct span deadline,
                struct arena *a, struct action_answer *out, struct err *e);

/* What an answer means, unless the driver knows better, into class, text and retry_after: 2xx ok; 429 throttled; 401, 403,
 * 407, 3xx and other 4xx denied; 409, 412 conflict; 408, 425, 5xx and no answer: retry, or unknown where the call was to
 * change something and may have been sent. 503 alone is retry in both cases: it says that nothing was done. The text is
 * `what`, then the status and the beginning of the body. */
void action_http_judge(const struct action_answer *ans, bool change, const char *what,
                       struct action_result *out);

#endif
