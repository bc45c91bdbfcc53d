/* Options of the reading listener. */
#include "aggregator/expose/serve.h"
#include "common/net/host.h"

#include <string.h>

static const struct option_row rows[] = {
    {.key = "listen",
     .type = OPT_ADDRESS,
     .dflt = "127.0.0.1:9871",
     .sentence =
         "Where metrics, API and console are read; another address than loopback needs ca, cert and key."},
    {.key = "socket",
     .type = OPT_STRING,
     .dflt = "/run/securebase/aggregator.sock",
     .sentence = "Unix socket (0660) over which sbctl reads and acts; empty: none."},
    {.key = "hosts",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = 16,
     .sentence = "Names besides localhost and the listening address under which this listener may be asked "
                 "for (Host header)."},
    {.key = "hosts_max_series",
     .type = OPT_INT,
     .dflt = "500000",
     .reloadable = true,
     .min = 1,
     .max = 100000000,
     .unit = "series",
     .sentence =
         "Most series that /metrics/hosts shows in one answer; above, it refuses and names remote write."},
    {.key = "max_connections",
     .type = OPT_INT,
     .dflt = "256",
     .min = 1,
     .max = 10000,
     .sentence = "Connections open at once; further ones wait to be accepted."},
    {.key = "ca",
     .type = OPT_PATH,
     .sentence = "PEM file of the authority whose clients (role viewer or operator) may read over TLS."},
    {.key = "cert",
     .type = OPT_PATH,
     .sentence = "PEM file with the listener's certificate chain; absent: plain HTTP on loopback."},
    {.key = "key", .type = OPT_PATH, .sentence = "PEM file with the certificate's private key."},
};

const struct section_row http_section = {
    .name = "http",
    .sentence = "Where the aggregator is read: Prometheus endpoint, JSON API, console.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
};

static const struct option_row public_rows[] = {
    {.key = "listen",
     .type = OPT_STRING,
     .dflt = "",
     .sentence = "ADDRESS:PORT that health checkers reach; empty: off. It shows whether a service has left "
                 "its home, and "
                 "nothing else."},
    {.key = "cert",
     .type = OPT_PATH,
     .sentence = "PEM file with the listener's certificate chain; absent: plain HTTP."},
    {.key = "key", .type = OPT_PATH, .sentence = "PEM file with the certificate's private key."},
    {.key = "max_connections",
     .type = OPT_INT,
     .dflt = "256",
     .min = 1,
     .max = 10000,
     .sentence = "Connections open at once; further ones wait to be accepted."},
};
const struct section_row public_section = {
    .name = "public",
    .sentence = "What the public must reach: the answers for inverted health checks.",
    .rows = public_rows,
    .n_rows = sizeof public_rows / sizeof *public_rows,
};

static int public_check(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s = config_section(c, "public");

    if (option_set(s, "cert") != option_set(s, "key"))
        return config_complain(report, s, "cert", e, "cert and key go together");
    if (*option_text(s, "listen") && !strchr(option_text(s, "listen"), ':'))
        return config_complain(report, s, "listen", e, "found \"%s\", expected ADDRESS:PORT",
                               option_text(s, "listen"));
    return 0;
}

int serve_check(const struct config *config, struct buf *report, struct err *e)
{
    const struct section *http = config_section(config, "http");
    bool cert = option_set(http, "cert"), key = option_set(http, "key"), ca = option_set(http, "ca");

    if (cert != key || cert != ca)
        return config_complain(report, http, "cert", e, "ca, cert and key go together");
    if (!cert && !host_is_loopback(option_text(http, "listen")))
        return config_complain(
            report, http, "listen", e,
            "\"%s\" can be reached from elsewhere: it needs ca, cert and key, or a loopback address",
            option_text(http, "listen"));
    return public_check(config, report, e);
}
