/* The parameters of a query or a form, decoded. Total on any input, bounded. */
#ifndef SB_EXPOSE_QUERY_H
#define SB_EXPOSE_QUERY_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"

enum { QUERY_PARAMS = 24 };

struct query_param {
    const char *name, *value;
};
struct query {
    struct query_param v[QUERY_PARAMS];
    uint32_t n;
};

/* name=value&…, with %XX and + for a blank; texts in the arena. ERR_MALFORMED, ERR_LIMIT (too many), ERR_NOMEM. */
int query_read(const char *text, size_t n, struct arena *a, struct query *out);
/* The first of a name; NULL when absent. */
const char *query_get(const struct query *q, const char *name);

#endif
