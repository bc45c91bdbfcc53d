/* What the JSON of objectives is put together from. */
#ifndef SB_SLO_REPORT_PRIVATE_H
#define SB_SLO_REPORT_PRIVATE_H

#include <cjson/cJSON.h>

#include "aggregator/slo/burn.h"
#include "aggregator/slo/slo_private.h"

void slo_json_number(cJSON *o, const char *key, double v); /* null when it is not finite */
void slo_json_time(cJSON *o, const char *key, int64_t ms); /* null when 0 */
void slo_json_labels(cJSON *o, const char *key, struct labels l);
void slo_json_terms(const struct slo *s, cJSON *o); /* what the objective says */
int slo_json_print(cJSON *root, struct buf *json);  /* 0 or ERR_NOMEM */

#endif
