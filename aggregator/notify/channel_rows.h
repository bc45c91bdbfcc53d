/* Options that several channels share: written once, so that equal keys have equal rows; and what channels make of
 * them. */
#ifndef SB_NOTIFY_CHANNEL_ROWS_H
#define SB_NOTIFY_CHANNEL_ROWS_H

#include "aggregator/notify/channel.h"

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

/* A copy of the text of an option, or of the i-th word of a list; NULL when it is not set. Freed with free(). */
char *option_copy(const struct section *s, const char *key);
char *option_word_copy(const struct section *s, const char *key, size_t i);
/* Reads a secret of one line into *out (free_secret); NULL when it is not set. 0 or an error that does not show it. */
int secret_copy(const struct section *s, const char *key, char **out, struct err *e);
int url_secret_copy(const struct section *s, const char *key, char **out,
                    struct err *e); /* and it is an address */
void free_secret(char **s);         /* overwrites it */
int one_url_check(const struct section *s, const char **key,
                  struct err *e);                   /* a channel's check: at most one `url` */
char *text_join(const char *a, const char *b);      /* freed with free_secret() */
char *url_join(const char *base, const char *path); /* with one slash between; freed with free() */
/* One POST with a JSON body. */
void call_json(struct channel_call *c, const char *url, struct bytes body, struct span timeout);
void call_header(struct channel_call *c, const char *name, const char *value); /* borrowed; NULL: none */

#endif
