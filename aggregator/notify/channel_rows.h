/* Options that several channels share: written once, so that equal keys have equal rows; and what channels make of
 * them. */
#ifndef SB_NOTIFY_CHANNEL_ROWS_H
#define SB_NOTIFY_CHANNEL_ROWS_H

#include "aggregator/notify/channel.h"
#include "common/config/copies.h"

#define ROW_URL                                                                                              \
    {                                                                                                        \
        .key = "url", .type = OPT_URLS, .dflt = "", .reloadable = true, .max = CALLS_MOST,                   \
        .sentence = "Where the service is: the address itself (webhook), its base (alertmanager: of every "  \
                    "replica; pagerduty, opsgenie, sns: empty for the vendor's own)."                        \
    }
#define ROW_SECRET_URL                                                                                       \
    {                                                                                                        \
        .key = "secret_url", .type = OPT_SECRET, .reloadable = true,                                         \
        .sentence =                                                                                          \
            "The address, where it is a secret in itself, as those of Slack's incoming webhooks are."        \
    }
#define ROW_AUTHORIZATION                                                                                    \
    {                                                                                                        \
        .key = "authorization", .type = OPT_SECRET, .reloadable = true,                                      \
        .sentence = "Text of the header Authorization, such as: Bearer 4fd1..."                              \
    }
#define ROW_TIMEOUT                                                                                          \
    {                                                                                                        \
        .key = "timeout", .type = OPT_DURATION, .dflt = "10s", .reloadable = true,                           \
        .min = INT64_C(100000000), .max = INT64_C(60000000000),                                              \
        .sentence = "An attempt that has no answer by then counts as failed and is made again later."        \
    }
#define ROW_CA                                                                                               \
    {                                                                                                        \
        .key = "ca", .type = OPT_PATH, .reloadable = true,                                                   \
        .sentence = "Authorities that may have signed the service's certificate, PEM; the system's without." \
    }
#define ROW_CERT                                                                                             \
    {                                                                                                        \
        .key = "cert", .type = OPT_PATH, .reloadable = true,                                                 \
        .sentence = "Our certificate for services that want one, PEM."                                       \
    }
#define ROW_KEY                                                                                              \
    {                                                                                                        \
        .key = "key", .type = OPT_PATH, .reloadable = true, .sentence = "The private key of `cert`, PEM."    \
    }
#define ROW_PROXY                                                                                            \
    {                                                                                                        \
        .key = "proxy", .type = OPT_URLS, .dflt = "", .reloadable = true, .max = 1,                          \
        .sentence = "HTTP proxy to go by; none without, whatever the environment says."                      \
    }
#define ROWS_HTTP        ROW_TIMEOUT, ROW_CA, ROW_CERT, ROW_KEY, ROW_PROXY
#define ROWS_COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* As secret_copy, and it is an address. */
int url_secret_copy(const struct section *s, const char *key, char **out, struct err *e);
int one_url_check(const struct section *s, const char **key,
                  struct err *e); /* a channel's check: at most one `url` */
/* One POST with a JSON body. */
void call_json(struct channel_call *c, const char *url, struct bytes body, struct span timeout);
void call_header(struct channel_call *c, const char *name, const char *value); /* borrowed; NULL: none */

#endif
