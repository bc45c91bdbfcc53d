/* Labels and matchers. A label set is sorted by name, each name once; an absent label counts as "".
 *
 * Matchers are words: name=value, name!=value, name=~regex, name!~regex, separated by blanks or commas; a
 * value with blanks stands in double quotes (\", \\ and \n within). Regular expressions are POSIX extended and
 * match the whole value. Total on any input, bounded. */
#ifndef SB_BASE_LABEL_H
#define SB_BASE_LABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"

struct label {
    const char *name, *value; /* terminated; values may hold any UTF-8 */
};

struct labels {
    const struct label *v; /* borrowed */
    uint32_t n;
};

enum { MATCH_MOST = 16, MATCH_TEXT_MOST = 2048 };

const char *labels_get(struct labels l, const char *name); /* "" when absent */
int labels_compare(struct labels a, struct labels b);      /* as strings in order; 0: equal */
void labels_sort(struct label *v, uint32_t n);
/* name="value",… escaped as Prometheus does: the one canonical text of a set. */
void labels_text(struct labels l, struct buf *out);
/* One value in quotes, escaped that way. */
void label_quote(const char *value, struct buf *out);
/* A deep copy in the arena; v NULL and n > 0 never: n is 0 without memory and *ok false. */
struct labels labels_copy(struct labels l, struct arena *a, bool *ok);
/* First 16 bytes of the SHA-256 of the canonical text after `name` and a newline: names an alert everywhere. */
struct fingerprint {
    uint8_t b[16];
};
struct fingerprint labels_fingerprint(const char *name, struct labels l);
void fingerprint_text(const struct fingerprint *f, char out[33]); /* lower-case hex, terminated */
int fingerprint_parse(const char *hex, struct fingerprint *out);  /* 32 hex digits; ERR_MALFORMED */

struct match; /* owns its text and expressions */

/* "" matches everything. ERR_MALFORMED or ERR_LIMIT with a sentence that names the word. */
struct match *match_new(const char *text, struct err *e);
void match_free(struct match **m);
bool match_labels(const struct match *m, struct labels l);
size_t match_count(const struct match *m);
/* sorted by name, operator, value, quoted: equal for equal matchers; borrowed */
const char *match_text(const struct match *m);

#endif
