/* Who speaks on a connection, from its certificate: see intake.h. */
#include <string.h>

#include "aggregator/ingest/intake.h"

bool caller_name_ok(const char *id, size_t n)
{
    if (n < 1 || n > WIRE_MAX_AGENT || id[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z') ||
              (id[i] >= '0' && id[i] <= '9') || strchr("._-", id[i])))
            return false;
    return true;
}

static void add_agent(struct caller *c, const char *id)
{
    if (c->n < TLS_MAX_IDENTITIES && caller_name_ok(id, strlen(id)))
        memcpy(c->agent[c->n++], id, strlen(id) + 1);
}

/* What follows the prefix; NULL when it is not one. */
static const char *after(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool caller_of_tls(const struct tls_identity *id, bool use_cn, struct caller *out)
{
    const char *rest;

    *out = (struct caller){.n = 0};
    if (!id->verified)
        return false;
    for (unsigned i = 0; i < id->n; i++) {
        if ((rest = after(id->uri[i], "securebase://agent/")))
            add_agent(out, rest);
        else if (strcmp(id->uri[i], "securebase://role/relay") == 0)
            out->relay = true;
        else if (strcmp(id->uri[i], "securebase://role/peer") == 0)
            out->peer = true;
        else if ((rest = after(id->uri[i], "securebase://tenant/")) && caller_name_ok(rest, strlen(rest)) &&
                 strlen(rest) <= INTAKE_TENANT)
            memcpy(out->tenant, rest, strlen(rest) + 1);
    }
    if (use_cn)
        add_agent(out, id->cn);
    return true;
}
