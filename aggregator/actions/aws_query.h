/* The Query protocol of AWS (RDS, CloudWatch, Auto Scaling): a form out, XML back; and names that are made of an ARN. */
#ifndef SB_ACTIONS_AWS_QUERY_H
#define SB_ACTIONS_AWS_QUERY_H

#include "aggregator/actions/aws_io.h"
#include "aggregator/actions/xml.h"

enum { AWS_REGION = 40, AWS_URL = 256, AWS_PLACES = 8 };

/* Where regions have names of their own, and where AWS is not at its own address; for all drivers whose targets have no ARN. */
#define ACTION_ROW_AWS_REGIONS                                                                               \
    {                                                                                                        \
        .key = "aws_regions", .type = OPT_LIST, .dflt = "", .reloadable = true, .max = AWS_PLACES,           \
        .sentence = "AWS's name of each region that is called otherwise here: east=us-east-1."               \
    }
#define ACTION_ROW_AWS_ENDPOINTS                                                                             \
    {                                                                                                        \
        .key = "aws_endpoints", .type = OPT_LIST, .dflt = "", .reloadable = true, .max = AWS_PLACES,         \
        .sentence = "Address of the service by region (REGION=URL), where it is not AWS's own."              \
    }
#define ACTION_ROW_CLOUDWATCH                                                                                \
    {                                                                                                        \
        .key = "cloudwatch_endpoints", .type = OPT_LIST, .dflt = "", .reloadable = true, .max = AWS_PLACES,  \
        .sentence = "Address of CloudWatch by region (REGION=URL), where it is not AWS's own."               \
    }

struct aws_place {
    char region[AWS_REGION], base[AWS_URL]; /* AWS's name; its address there */
};
/* Of one of our regions. */
void aws_place(const struct section *s, const char *of, const char *service, struct aws_place *p);

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

/* The newest point of a metric of CloudWatch within ten minutes, of the maxima of minutes. */
struct aws_metric {
    const char *space, *name; /* "AWS/RDS" */
    const char *dimensions[2][2];
};
/* q: base and region of CloudWatch. False: there is none, or it does not answer. The age is that of the
 * beginning of the minute. */
bool aws_newest(const struct aws_query *q, const struct aws_metric *m, struct wall now, struct arena *a,
                double *value, int64_t *age_ms);

/* The region and the last part of an ARN ("arn:aws:rds:us-east-1:123456789012:cluster:app-east"); false when it is none. */
bool aws_arn(const char *arn, char region[AWS_REGION], const char **name);
/* "https://rds.us-east-1.amazonaws.com", or what the list `key` says for `of` (REGION=URL). */
void aws_base(const struct section *s, const char *key, const char *of, const char *service,
              const char *region, char out[AWS_URL]);
/* Each word of the list is REGION=http(s)://…; for a driver's check. */
int aws_endpoints_check(const struct section *s, const char *key, struct err *e);

#endif
