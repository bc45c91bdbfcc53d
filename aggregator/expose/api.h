/* /api/v1/…: answers as JSON. Errors are {error, reason}; times are RFC 3339; lists page by limit= and
 * after=, and name the next `after` in `next` (null at the end). */
#ifndef SB_EXPOSE_API_H
#define SB_EXPOSE_API_H

#include "aggregator/expose/view.h"
#include "common/base/buf.h"

enum { API_PARAM = 4096 };

/* Reads parameters: the i-th of a name, decoded; 0, ERR_NOTFOUND when there are not so many, or another
 * negative code. */
struct api_query {
    int (*param)(void *arg, const char *name, size_t i, char *out, size_t cap);
    void *arg;
};

/* Writes the answer to GET /api/v1/<what> ("status", "agents",
 * …) and returns its HTTP status: 200, 400, 404, 503. */
int api_answer(const struct view *v, const char *what, const struct api_query *q, struct buf *out);

/* {error, reason}; returns status. */
int api_error(struct buf *out, int status, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
