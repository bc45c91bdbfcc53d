/* Options of ingest: rows, and what must hold between them. */
#include <string.h>

#include "aggregator/ingest/auth.h"
#include "aggregator/ingest/ingest.h"
#include "aggregator/ingest/retention.h"
#include "common/net/host.h"

#define MIN_S 1000000000LL

static const struct option_row ingest_rows[] = {
    {.key = "listen",
     .type = OPT_ADDRESS,
     .dflt = "0.0.0.0:9870",
     .sentence = "Where agents and relays deliver; without authentication a loopback address."},
    {.key = "auth",
     .type = OPT_CHOICE,
     .dflt = "mtls",
     .choices = "mtls token none",
     .sentence =
         "How clients prove who they are: by certificate, by bearer token over TLS, or not at all (plain "
         "HTTP on loopback)."},
    {.key = "identity",
     .type = OPT_CHOICE,
     .dflt = "uri",
     .choices = "uri cn",
     .reloadable = true,
     .sentence =
         "Whether the common name of a client certificate counts as an agent id besides its URI names."},
    {.key = "ca",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "PEM file of the authority that signs client certificates."},
    {.key = "cert",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "PEM file of this server's certificate chain."},
    {.key = "key",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "PEM file of the private key that goes with cert."},
    {.key = "crl",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "PEM file of revoked client certificates."},
    {.key = "max_age",
     .type = OPT_DURATION,
     .dflt = "7d",
     .min = 60 * MIN_S,
     .max = 366LL * 86400 * MIN_S,
     .reloadable = true,
     .sentence = "Blocks whose newest tick is older are refused (too_old)."},
    {.key = "max_series_per_agent",
     .type = OPT_INT,
     .dflt = "50000",
     .min = 1,
     .max = 10000000,
     .unit = "series",
     .reloadable = true,
     .sentence = "Most series of one agent; values of further ones are refused (quota)."},
    {.key = "max_memory",
     .type = OPT_SIZE,
     .dflt = "2GiB",
     .min = 16 << 20,
     .max = 1LL << 42,
     .sentence = "Memory of the table of series, its windows and snapshots."},
    {.key = "max_requests_memory",
     .type = OPT_SIZE,
     .dflt = "256MiB",
     .min = 32 << 20,
     .max = 1LL << 38,
     .sentence = "Memory of all requests under way, inflated; beyond, they are put off (overload)."},
    {.key = "max_queue",
     .type = OPT_SIZE,
     .dflt = "64MiB",
     .min = 4 << 20,
     .max = 1LL << 36,
     .sentence = "Bytes that may wait for the journal; beyond, batches are put off (overload)."},
    {.key = "max_connections",
     .type = OPT_INT,
     .dflt = "4096",
     .min = 1,
     .max = 100000,
     .unit = "connections",
     .sentence = "Most connections at once; the longest idle one makes room for a new one."},
    {.key = "max_connections_per_address",
     .type = OPT_INT,
     .dflt = "0",
     .min = 0,
     .max = 100000,
     .unit = "connections",
     .sentence = "Most connections from one address; 0 for no limit."},
    {.key = "request_timeout",
     .type = OPT_DURATION,
     .dflt = "15s",
     .min = MIN_S,
     .max = 300 * MIN_S,
     .sentence = "Time from the first byte of a request to its last, and for a handshake."},
    {.key = "idle_timeout",
     .type = OPT_DURATION,
     .dflt = "120s",
     .min = MIN_S,
     .max = 3600 * MIN_S,
     .sentence = "How long a connection may wait for its next request."},
    {.key = "persist",
     .type = OPT_DURATION,
     .dflt = "10s",
     .min = MIN_S / 10,
     .max = 3600 * MIN_S,
     .reloadable = true,
     .sentence = "How often roll-ups are written down; what came since is replayed from the journal after a "
                 "restart."},
    {.key = "keep",
     .type = OPT_DURATION,
     .dflt = "1h",
     .min = MIN_S,
     .max = 366LL * 86400 * MIN_S,
     .reloadable = true,
     .sentence = "How long batches stay in the journal after they have become part of the roll-ups."},
};

const struct section_row ingest_section = {
    .name = "ingest",
    .sentence = "Where batches come in.",
    .rows = ingest_rows,
    .n_rows = sizeof ingest_rows / sizeof ingest_rows[0],
};

static const struct option_row token_rows[] = {
    {.key = "hash",
     .type = OPT_STRING,
     .required = true,
     .reloadable = true,
     .sentence = "SHA-256 of the token, 64 hexadecimal digits."},
    {.key = "agent",
     .type = OPT_STRING,
     .reloadable = true,
     .sentence = "The agent id that the token stands for."},
    {.key = "role",
     .type = OPT_CHOICE,
     .choices = "relay peer",
     .reloadable = true,
     .sentence = "The role that the token stands for, instead of one agent."},
    {.key = "tenant",
     .type = OPT_STRING,
     .reloadable = true,
     .sentence = "The label tenant of whatever comes with this token."},
};

const struct section_row token_section = {
    .name = "token",
    .named = true,
    .sentence =
        "A bearer token by which an agent or a relay delivers, or a peer speaks ([ingest] auth = token).",
    .rows = token_rows,
    .n_rows = sizeof token_rows / sizeof token_rows[0],
    .example = "web-1",
};

static bool is_loopback(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 || host_is_loopback(address);
}

static int check_token(const struct section *s, struct buf *report, struct err *e)
{
    uint8_t hash[32];
    const char *agent = option_text(s, "agent"), *tenant = option_text(s, "tenant");

    if (!auth_parse_hash(option_text(s, "hash"), hash))
        return config_complain(report, s, "hash", e, "found something else than 64 hexadecimal digits");
    if (option_set(s, "agent") == option_set(s, "role"))
        return config_complain(report, s, NULL, e,
                               "a token stands for an agent or for a role: give one of the two");
    if (agent && !caller_name_ok(agent, strlen(agent)))
        return config_complain(
            report, s, "agent", e,
            "found \"%s\", expected 1 to 128 of A-Z a-z 0-9 . _ - not beginning with a dot", agent);
    if (tenant && (!caller_name_ok(tenant, strlen(tenant)) || strlen(tenant) > INTAKE_TENANT))
        return config_complain(report, s, "tenant", e, "found \"%s\", expected 1 to %d of A-Z a-z 0-9 . _ -",
                               tenant, INTAKE_TENANT);
    return 0;
}

int ingest_check(const struct config *config, struct buf *report, struct err *e)
{
    const struct section *s = config_section(config, "ingest"), *t;
    const char *auth = option_text(s, "auth"), *keys[] = {"cert", "key", "ca"};
    bool none = strcmp(auth, "none") == 0, token = strcmp(auth, "token") == 0;
    size_t needed = none ? 0 : token ? 2 : 3;
    int rc = 0;

    if (none && !is_loopback(option_text(s, "listen")))
        rc = config_complain(report, s, "listen", e,
                             "found %s, but with auth = none only a loopback address is allowed",
                             option_text(s, "listen"));
    for (size_t i = 0; i < needed; i++)
        if (!option_set(s, keys[i]))
            rc = config_complain(report, s, keys[i], e, "is needed with auth = %s", auth);
    for (size_t i = 0; (t = config_named(config, "token", i)); i++)
        if (check_token(t, report, e) != 0)
            rc = ERR_CONFIG;
    if (token && !config_named(config, "token", 0))
        rc = config_complain(report, s, "auth", e, "is token, but there is no [token NAME] section");
    if (retention_check(config, report, e) != 0)
        rc = ERR_CONFIG;
    return rc;
}
