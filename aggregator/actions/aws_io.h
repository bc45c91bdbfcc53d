/* Calls to AWS for drivers: keys from options, signed with Signature Version 4, one blocking call. Keys are long-lived ones
 * from files: in a disaster they must not depend on another service of the region. */
#ifndef SB_ACTIONS_AWS_IO_H
#define SB_ACTIONS_AWS_IO_H

#include "aggregator/actions/http_io.h"

#define ACTION_ROWS_AWS                                                                                      \
    {.key = "access_key_id",                                                                                 \
     .type = OPT_SECRET,                                                                                     \
     .reloadable = true,                                                                                     \
     .sentence = "Identity of the AWS key."},                                                                \
        {.key = "secret_key",                                                                                \
         .type = OPT_SECRET,                                                                                 \
         .reloadable = true,                                                                                 \
         .sentence = "The AWS secret access key."},                                                          \
    {                                                                                                        \
        .key = "session_token", .type = OPT_SECRET, .reloadable = true,                                      \
        .sentence = "Session token that belongs to temporary AWS keys."                                      \
    }
#define ACTION_AWS_REQUIRED "access_key_id secret_key"

struct action_aws { /* owned */
    char *access_key_id, *secret_key, *session_token;
    struct action_tls tls;
};
int action_aws_open(const struct section *s, struct action_aws *t, struct err *e); /* rows above and of TLS */
void action_aws_close(struct action_aws *t);

struct action_aws_call {
    const char *method;
    const char *base;                  /* "https://route53.amazonaws.com": scheme and host, no path */
    const char *path;                  /* "/2013-04-01/hostedzone/Z1/rrset", percent-encoded */
    const char *query;                 /* without "?", percent-encoded; NULL none */
    const char *service, *region;      /* of the signature */
    const char *content_type, *target; /* X-Amz-Target; NULL none */
    const struct http_header *headers; /* more, which are signed too */
    size_t n_headers;
    struct bytes body;
    bool s3;
    bool collect_headers; /* of the answer, as action_http gives them */
    size_t max_answer;    /* 0: 1 MiB */
};
/* As action_http. */
int action_aws(const struct action_aws *t, const struct action_aws_call *c, struct span deadline,
               struct arena *a, struct action_answer *out, struct err *e);

/* What an answer with an error means by its code, whatever the form (XML <Code>, JSON "__type"), over what action_http_judge
 * says by status: Throttling and its kin, expired or wrong keys, denied. `code` gets the code that was found, "" none. */
enum { ACTION_AWS_CODE = 96 };
void action_aws_judge(const struct action_answer *ans, bool change, const char *what,
                      char code[ACTION_AWS_CODE], struct action_result *out);

#endif
