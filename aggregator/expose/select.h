/* Selectors as Prometheus writes them: name{label="value",other!~"a|b"}. Regular expressions are POSIX
 * extended and match the whole value. An absent label counts as "". Total on any input, bounded. */
#ifndef SB_EXPOSE_SELECT_H
#define SB_EXPOSE_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#include "aggregator/expose/snapshot.h"
#include "common/base/err.h"

enum { SELECT_MAX = 16, SELECT_MATCHERS = 16 };

struct selector; /* owns its text and expressions */

/* ERR_MALFORMED or ERR_LIMIT with a sentence. At least one matcher or a name is needed. */
struct selector *selector_new(const char *text, struct err *e);
void selector_free(struct selector **s);
/* True when the series `name` with these labels matches. */
bool selector_matches(const struct selector *s, const char *name, const struct label *labels, size_t n);
/* True when no series of this name can match. */
bool selector_excludes_name(const struct selector *s, const char *name);

#endif
