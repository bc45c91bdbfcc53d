/* Notifications as text and JSON, bounded, for all channels. Pure; everything made lives in the arena handed in. */
#ifndef SB_NOTIFY_TOLD_H
#define SB_NOTIFY_TOLD_H

#include <cjson/cJSON.h>

#include "aggregator/notify/channel.h"

/* The text as UTF-8 with at most `most` bytes: what is no UTF-8 becomes U+FFFD, control characters but newline and
 * tab become blanks, and what is cut ends in an ellipsis (most >= 4). Never NULL: "" without memory. Borrows from s when
 * there is nothing to change. */
const char *told_clean(struct arena *a, const char *s, size_t most);
const char *told_line(struct arena *a, const char *s, size_t most); /* likewise, and newlines become blanks */

/* "firing", "acknowledged", "resolved", "digest", "change", "heartbeat", "test". */
const char *told_status(const struct notification *n);
/* The text and the links: for mail, chat and the like. At most `most` bytes; of the two, links are kept. */
const char *told_text(struct arena *a, const struct notification *n, size_t most);
/* The value of a label of the group, or of the first alert; "" when absent. */
const char *told_label(const struct notification *n, const char *name);

/* The whole notification as one JSON object (docs/channels.md), with as many alerts as fit into `most` bytes; the others
 * are counted in "more". {NULL, 0} without memory. */
struct bytes told_json(struct arena *a, const struct notification *n, size_t most);
/* As an item for a larger document, with the first `alerts` alerts; NULL without memory. */
cJSON *told_item(struct arena *a, const struct notification *n, uint32_t alerts);
/* Prints and deletes *j; {NULL, 0} without memory, also when *j is NULL. The text is terminated. */
struct bytes told_print(struct arena *a, cJSON **j);
void told_add(cJSON *o, struct arena *a, const char *key, const char *value, size_t most); /* cleaned */
void told_add_line(cJSON *o, struct arena *a, const char *key, const char *value, size_t most);
void told_add_time(cJSON *o, const char *key, struct wall t); /* {0}: null */
cJSON *told_labels(struct arena *a, struct labels l);

/* A copy with all that it points to; NULL without memory. */
struct notification *told_copy(struct arena *a, const struct notification *n);
/* Lower-case hex of SHA-256 of the parts, each ended by a newline: 64 digits. NULL ends them. */
void told_hash(char out[65], const char *const *parts);

#endif
