/* Named sections of one name whose options depend on their `type`: receivers, actions. The section's rows are those that all
 * types share, and then the union of the types' own; what belongs to another type is refused. Pure. */
#ifndef SB_CONFIG_KINDS_H
#define SB_CONFIG_KINDS_H

#include "common/config/config.h"

/* Whether there is a row of this key. */
bool rows_have(const struct option_row *rows, size_t n, const char *key);
/* Adds those rows of `more` whose key is not in out[0 … n) yet; how many there are then. More than `cap` is our own mistake
 * (assert). Equal keys of two types have equal rows. */
size_t rows_join(struct option_row *out, size_t n, size_t cap, const struct option_row *more, size_t n_more);

struct kind {
    const char *noun; /* "a receiver", for messages */
    const char *type;
    const struct option_row *rows; /* of this type */
    size_t n_rows;
    const char *required; /* keys that must be set, separated by blanks; NULL: none */
};
/* all[from … n): the union of the types' rows. What is set and belongs to another type, and what is required and not set, or
 * empty: each a line in the report. 0 or ERR_CONFIG. */
int kind_check(const struct section *s, const struct kind *k, const struct option_row *all, size_t from,
               size_t n, struct buf *report, struct err *e);

#endif
