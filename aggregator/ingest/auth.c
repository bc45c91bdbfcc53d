/* Bearer tokens (RFC 6750, section 2.1): see auth.h. */
#include "aggregator/ingest/auth.h"

#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool auth_parse_hash(const char *hex, uint8_t out[32])
{
    if (!hex || strlen(hex) != 64)
        return false;
    for (int i = 0; i < 32; i++) {
        int a = digit(hex[2 * i]), b = digit(hex[2 * i + 1]);

        if (a < 0 || b < 0)
            return false;
        out[i] = (uint8_t)(a << 4 | b);
    }
    return true;
}

static void read_token(struct auth_token *t, const struct section *s)
{
    const char *agent = option_text(s, "agent"), *tenant = option_text(s, "tenant"),
               *role = option_text(s, "role");

    *t = (struct auth_token){.agent = ""};
    (void)auth_parse_hash(option_text(s, "hash"), t->hash);
    t->peer = role && strcmp(role, "peer") == 0;
    if (agent)
        memcpy(t->agent, agent, strnlen(agent, WIRE_MAX_AGENT));
    if (tenant)
        memcpy(t->tenant, tenant, strnlen(tenant, INTAKE_TENANT));
}

int auth_load(struct auth *out, const struct config *config, struct err *e)
{
    struct auth_token *tokens = NULL;
    const struct section *s;
    size_t n = 0;

    while (config_named(config, "token", n))
        n++;
    if (n && !(tokens = mem_array(out->mem, n, sizeof *tokens)))
        return err_set(e, ERR_NOMEM, "no memory for tokens");
    for (size_t i = 0; i < n && (s = config_named(config, "token", i)); i++)
        read_token(&tokens[i], s);
    auth_free(out);
    out->tokens = tokens;
    out->n = n;
    return 0;
}

void auth_free(struct auth *a)
{
    mem_free(a->mem, a->tokens, a->n * sizeof *a->tokens);
    a->tokens = NULL;
    a->n = 0;
}

/* Takes as long for any two. */
static bool same_hash(const uint8_t a[32], const uint8_t b[32])
{
    volatile uint8_t differ = 0;

    for (int i = 0; i < 32; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}

bool auth_caller(const struct auth *a, const char *value, struct caller *out)
{
    const struct auth_token *found = NULL;
    uint8_t hash[32];

    *out = (struct caller){.n = 0};
    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return false;
    value += 7;
    value += strspn(value, " ");
    (void)SHA256((const uint8_t *)value, strlen(value), hash);
    for (size_t i = 0; i < a->n; i++)
        if (same_hash(hash, a->tokens[i].hash))
            found = &a->tokens[i];
    if (!found)
        return false;
    memcpy(out->tenant, found->tenant, sizeof out->tenant);
    if (found->agent[0])
        memcpy(out->agent[out->n++], found->agent, sizeof found->agent);
    else if (found->peer)
        out->peer = true;
    else
        out->relay = true;
    return true;
}
