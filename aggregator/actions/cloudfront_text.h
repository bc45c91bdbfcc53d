/* The configuration of a CloudFront distribution as the text that came: what is read of it, and two things replaced in it. Pure. */
#ifndef SB_ACTIONS_CLOUDFRONT_TEXT_H
#define SB_ACTIONS_CLOUDFRONT_TEXT_H

#include "aggregator/actions/action.h"
#include "common/base/arena.h"

enum { CLOUDFRONT_COMMENT = 128 }; /* characters that a comment may have */

struct cloudfront_state {
    unsigned here, there,
        elsewhere;        /* behaviours that lead to the origin that is wanted, to the other one, to others */
    bool origin;          /* the wanted origin is among its origins or origin groups */
    struct fencing token; /* of the comment's mark; {0} none */
    uint32_t epoch;
};
/* 0, or ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. */
int cloudfront_read(struct bytes config, const char *want, const char *other, struct arena *a,
                    struct cloudfront_state *s, struct err *e);

/* Writes the configuration into out with each behaviour that led to `other` leading to `want`, and the mark ("epoch=E
 * token=S.R plan=ID") behind the comment in square brackets, without its plan where that would be too long. 0, ERR_LIMIT (the
 * comment has no room), ERR_MALFORMED (no comment, or several), ERR_NOMEM. */
int cloudfront_rewrite(struct bytes config, const char *want, const char *other, const char *mark,
                       struct buf *out, struct err *e);

#endif
