/* Checks across the agent's options: see options.h. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/guard/settings.h"
#include "agent/inputs/statsd.h"
#include "agent/options.h"
#include "agent/runner.h"
#include "common/net/host.h"
#include "common/probe/probe.h"

int agent_id(const struct config *c, char out[AGENT_ID_ROOM], struct err *e)
{
    static const char taken[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *id = option_text(config_section(c, "agent"), "id");
    size_t n;

    memset(out, 0, AGENT_ID_ROOM);
    if (!id || !*id) {
        if (gethostname(out, AGENT_ID_ROOM - 1) != 0)
            return err_sys(e, ERR_CONFIG, errno, "the host has no name that could be this agent's id");
        id = out;
    }
    n = strlen(id);
    if (!n || n >= AGENT_ID_ROOM || *id == '.' || strspn(id, taken) != n)
        return err_set(
            e, ERR_CONFIG,
            "found \"%.140s\", expected 1 to %d letters, digits, '.', '_' or '-', not beginning with '.'", id,
            WIRE_MAX_AGENT);
    if (id != out)
        memcpy(out, id, n);
    return 0;
}

static int check_file(const struct section *s, const char *key, struct buf *report, struct err *e)
{
    const char *path = option_text(s, key);

    if (!path || !*path)
        return config_complain(report, s, key, e, "is needed for https:// endpoints");
    if (access(path, R_OK) != 0)
        return config_complain(report, s, key, e, "%s: %s", path, strerror(errno));
    return 0;
}

static int check_secret(const struct section *s, const char *key, struct buf *report, struct err *e)
{
    struct err why;

    return option_secret_check(s, key, &why) ? config_complain(report, s, key, e, "%s", why.text) : 0;
}

/* The secrets of collectors that will run. */
static int check_secrets(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = 0;

    for (const struct collector *const *k = collectors; *k; k++)
        for (size_t i = 0; (*k)->secret && (*k)->instances && (s = config_named(c, (*k)->name, i)); i++)
            if (option_bool(s, "enabled") && check_secret(s, (*k)->secret, report, e) != 0)
                rc = ERR_CONFIG;
    return rc;
}

static int check_ship(const struct section *s, bool sending, struct buf *report, struct err *e)
{
    size_t n = option_count(s, "endpoints");
    bool tls = false;
    int rc = 0;

    if (sending && !n)
        rc = config_complain(report, s, "endpoints", e,
                             "is needed: at least one https:// URL of an aggregator");
    for (size_t i = 0; i < n; i++) {
        const char *url = option_word(s, "endpoints", i);

        if (strncmp(url, "https://", 8) == 0)
            tls = true;
        else if (!host_url_is_loopback(url))
            rc = config_complain(report, s, "endpoints", e,
                                 "found \"%s\", expected https://, or http:// to a loopback address", url);
        if (strlen(url) > 900)
            rc = config_complain(report, s, "endpoints", e, "a URL is longer than 900 bytes");
    }
    if (sending && check_secret(s, "token", report, e) != 0)
        rc = ERR_CONFIG;
    if (!tls || !sending)
        return rc;
    if (check_file(s, "ca", report, e) != 0)
        rc = ERR_CONFIG;
    if (option_set(s, "token") && !option_set(s, "cert") && !option_set(s, "key"))
        return rc;
    if (check_file(s, "cert", report, e) != 0)
        rc = ERR_CONFIG;
    if (check_file(s, "key", report, e) != 0)
        rc = ERR_CONFIG;
    return rc;
}

static int check_label(const struct section *s, const char *key, const char *value, struct buf *report,
                       struct err *e)
{
    if (strcmp(key, "host") == 0 || strcmp(key, "region") == 0 || strcmp(key, "env") == 0)
        return config_complain(report, s, key, e, "is set by the agent itself");
    if (!wire_label_name_ok(key, strlen(key)))
        return config_complain(
            report, s, key, e,
            "is no label name: letters, digits and '_', not beginning with \"__\" or a digit, and "
            "none of instance job le quantile window percentile metric tenant");
    if (!wire_label_value_ok(value, strlen(value)))
        return config_complain(report, s, key, e, "expected a value of 1 to %d bytes of UTF-8",
                               WIRE_MAX_LABEL_VALUE);
    return 0;
}

static int check_labels(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s = config_section(c, "labels"), *agent = config_section(c, "agent");
    static const char *const both[] = {"region", "env"};
    const char *key, *value;
    int rc = 0;
    size_t i;

    for (i = 0; option_wild(s, i, &key, &value); i++)
        if (check_label(s, key, value, report, e) != 0)
            rc = ERR_CONFIG;
    if (i > WIRE_MAX_LABELS - 3)
        rc = config_complain(report, s, NULL, e, "found %zu labels, expected at most %d", i,
                             WIRE_MAX_LABELS - 3);
    for (i = 0; i < 2; i++) {
        value = option_text(agent, both[i]);
        if (value && !wire_label_value_ok(value, strlen(value)))
            rc = config_complain(report, agent, both[i], e, "expected 1 to %d bytes of UTF-8",
                                 WIRE_MAX_LABEL_VALUE);
    }
    return rc;
}

static int check_statsd(const struct config *c, struct span interval, struct buf *report, struct err *e)
{
    const struct section *s = config_section(c, "statsd");
    struct span own = option_span(s, "interval");
    struct statsd_params p;
    struct err why;
    int rc = 0;

    if (statsd_thresholds(s, &p, &why) != 0)
        rc = config_complain(report, s, "thresholds", e, "%s", why.text);
    if (own.ns % interval.ns != 0)
        rc = config_complain(report, s, "interval", e, "expected a multiple of [agent] interval");
    for (size_t i = 0; i < option_count(s, "listen"); i++)
        if (statsd_address_check(option_word(s, "listen", i), &why) != 0)
            rc = config_complain(report, s, "listen", e, "%s", why.text);
    return rc;
}

int agent_check(const struct config *c, bool sending, struct buf *report, struct err *e)
{
    const struct section *agent = config_section(c, "agent"), *ship = config_section(c, "ship");
    const struct section *s, *http = config_section(c, "http");
    struct probe_spec spec;
    struct span interval = option_span(agent, "interval"), batch = option_span(ship, "batch");
    char id[AGENT_ID_ROOM];
    struct err why;
    int rc = 0;

    if (agent_id(c, id, &why) != 0)
        rc = config_complain(report, agent, "id", e, "%s", why.text);
    if (interval.ns % 1000000 != 0)
        rc = config_complain(report, agent, "interval", e, "expected whole milliseconds");
    if (batch.ns % interval.ns != 0)
        rc = config_complain(report, ship, "batch", e, "expected a multiple of [agent] interval");
    if (batch.ns / interval.ns > WIRE_MAX_TICKS)
        rc = config_complain(report, ship, "batch", e, "holds more than %d ticks of [agent] interval",
                             WIRE_MAX_TICKS);
    if (check_ship(ship, sending, report, e) != 0)
        rc = ERR_CONFIG;
    if (sending && check_secrets(c, report, e) != 0)
        rc = ERR_CONFIG;
    if (check_statsd(c, interval, report, e) != 0)
        rc = ERR_CONFIG;
    if (collectors_check(c, interval, report, e) != 0)
        rc = ERR_CONFIG;
    for (size_t i = 0; (s = config_named(c, "probe", i)); i++)
        if (probe_spec_read(&spec, s, report, e) != 0)
            rc = ERR_CONFIG;
    if (option_set(http, "listen") && !host_is_loopback(option_text(http, "listen")))
        rc = config_complain(report, http, "listen", e, "found \"%s\", expected a loopback address",
                             option_text(http, "listen"));
    if (check_labels(c, report, e) != 0)
        rc = ERR_CONFIG;
    if (guards_check(c, report, e) != 0)
        rc = ERR_CONFIG;
    return rc;
}
