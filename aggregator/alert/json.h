/* Small helpers for JSON in memory, for this room. Pure. */
#ifndef SB_ALERT_JSON_H
#define SB_ALERT_JSON_H

#include <cjson/cJSON.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/label.h"

void put_json_number(cJSON *to, const char *name, double v); /* null when not finite */
void put_json_time(cJSON *to, const char *name, int64_t ms); /* RFC 3339; null for 0 */
void put_json_labels(cJSON *to, const char *name, struct labels l);
void put_json_text(cJSON *to, const char *name, const char *s); /* left out when "" */
/* Prints o into out and deletes it. 0, ERR_NOMEM. */
int put_json_done(cJSON *o, struct buf *out);

#endif
