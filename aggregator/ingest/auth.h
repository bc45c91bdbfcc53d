/* Bearer tokens: kept as SHA-256, compared in constant time, all of them for each request. Pure. */
#ifndef SB_INGEST_AUTH_H
#define SB_INGEST_AUTH_H

#include "aggregator/ingest/intake.h"
#include "common/config/config.h"

struct auth_token {
    uint8_t hash[32];
    char agent[WIRE_MAX_AGENT + 1]; /* "" : a role */
    char tenant[INTAKE_TENANT + 1];
    bool peer; /* the role; else relay */
};
struct auth {
    struct auth_token *tokens; /* owned */
    size_t n;
    struct mem *mem;
};

bool auth_parse_hash(const char *hex, uint8_t out[32]);
/* From the [token NAME] sections, checked already. ERR_NOMEM:
 * out is untouched; else what it held is released. */
int auth_load(struct auth *out, const struct config *config, struct err *e);
void auth_free(struct auth *a);
/* value: of the header Authorization, or NULL. False: nobody we know. */
bool auth_caller(const struct auth *a, const char *value, struct caller *out);

#endif
