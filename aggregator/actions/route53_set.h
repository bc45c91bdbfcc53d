/* Record sets of Route 53 as its answers have them, and the batch that changes what was read: a DELETE has to repeat the stored
 * values and a batch is taken as a whole, so that DELETE and CREATE in one are compare and swap. Pure.
 *
 * After the Route 53 API reference, version 2013-04-01: ListResourceRecordSets, ChangeResourceRecordSets. */
#ifndef SB_ACTIONS_ROUTE53_SET_H
#define SB_ACTIONS_ROUTE53_SET_H

#include "aggregator/actions/action.h"
#include "aggregator/actions/xml.h"

enum { R53_VALUES = 16, R53_NAME = 1100 };

struct r53_want { /* what a region's record is; texts borrowed */
    const char *values[R53_VALUES];
    size_t n;
    const char *alias_zone, *alias_name; /* an alias instead of values; NULL none */
    bool alias_evaluate;
};

struct r53_place {                   /* borrowed texts; names in Route 53's form (r53_name) */
    const char *name, *token, *type; /* "A" "AAAA" "CNAME" */
    uint32_t ttl;
};

struct r53_state {
    const struct xml *record, *mark; /* the sets; NULL: there is none */
    uint32_t ttl;                    /* 0 of an alias */
    const char *in_the_way;          /* why neither may be replaced, a sentence; NULL: nothing */
    uint32_t epoch;
    struct fencing token;
};

/* A name as Route 53 writes it: lower case, with the dot at its end, what is not a letter, a digit, a hyphen or an underscore
 * as a backslash and three octal digits. ERR_LIMIT, or ERR_MALFORMED when it is none. */
int r53_name(const char *text, char out[R53_NAME]);

/* Takes from an answer to ListResourceRecordSets what stands at the name (mark false) or at the token. ERR_MALFORMED when it is
 * no such answer. The tree has to outlive the state. */
int r53_take(const struct xml *answer, const struct r53_place *p, bool mark, struct r53_state *s);

bool r53_has(const struct r53_state *s, const struct r53_place *p, const struct r53_want *w);
/* "A 192.0.2.1 ttl 30 epoch=7 token=1.5"; "nothing" */
void r53_text(const struct r53_state *s, const struct r53_place *p, char *out, size_t cap);

/* The body of ChangeResourceRecordSets. `dry`: one that can only fail, because it deletes what is not there: whether the keys
 * may change these two sets is said before that. */
void r53_batch(const struct r53_state *was, const struct r53_place *p, const struct r53_want *w,
               const char *mark, struct buf *out);
void r53_batch_dry(const struct r53_place *p, struct buf *out);

#endif
