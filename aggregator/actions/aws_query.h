/* The Query protocol of AWS (RDS, CloudWatch, Auto Scaling): a form out, XML back; and names that are made of an ARN. */
#ifndef SB_ACTIONS_AWS_QUERY_H
#define SB_ACTIONS_AWS_QUERY_H

#include "aggregator/actions/aws_io.h"
#include "aggregator/actions/xml.h"

enum { AWS_REGION = 40, AWS_URL = 256 };

struct aws_query { /* one call */
    const struct action_aws *keys;
    const char *base, *service, *region;
    struct mono until;
    bool change;      /* it changes something: a lost answer is ACTION_UNKNOWN */
    const char *what; /* for people: "the global cluster" */
};

/* Appends &NAME=VALUE, encoded. */
void aws_field(struct buf *form, const char *name, const char *value);
/* Sends the form and reads the answer, both in the arena. False: *out tells why, and `code` is AWS's code ("" none). */
bool aws_query(const struct aws_query *q, struct buf *form, struct arena *a, const struct xml **answer,
               char code[ACTION_AWS_CODE], struct action_result *out);

/* The region and the last part of an ARN ("arn:aws:rds:us-east-1:123456789012:cluster:app-east"); false when it is none. */
bool aws_arn(const char *arn, char region[AWS_REGION], const char **name);
/* "https://rds.us-east-1.amazonaws.com", or what the list `key` says for `of` (REGION=URL). */
void aws_base(const struct section *s, const char *key, const char *of, const char *service,
              const char *region, char out[AWS_URL]);
/* Each word of the list is REGION=http(s)://…; for a driver's check. */
int aws_endpoints_check(const struct section *s, const char *key, struct err *e);

#endif
