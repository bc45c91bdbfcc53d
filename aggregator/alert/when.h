/* Composites: "a and not b", "(a or b) and c", "2 of (a, b, c)". Words name alerts; `not` binds tightest, then `and`,
 * then `or`. Bounded in length and depth; total. Pure. */
#ifndef SB_ALERT_WHEN_H
#define SB_ALERT_WHEN_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"

enum { WHEN_NODES_MOST = 64, WHEN_NAMES_MOST = 16, WHEN_DEPTH_MOST = 16 };

struct when;

/* Owned by the arena. ERR_MALFORMED with a sentence that names the word; ERR_LIMIT; ERR_NOMEM (returned as NULL, e->code). */
const struct when *when_read(const char *text, struct arena *a, struct err *e);
unsigned when_count(const struct when *w); /* different names */
const char *when_name(const struct when *w, unsigned i);
/* firing: bit i tells of when_name(i). */
bool when_holds(const struct when *w, unsigned firing);

#endif
