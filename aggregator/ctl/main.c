/* sbctl: options, then the command from the table. */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"
#include "common/daemon/about.h"
#include "common/daemon/cli.h"
#include "common/daemon/daemon.h"
#include "common/net/host.h"

static const struct command {
    const char *name, *arguments, *summary;
    int (*run)(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
} commands[] = {
    {"status", "", "the aggregator in six lines", ctl_status},
    {"agents", "[forget AGENT --reason TEXT]", "who reports, and how fresh; or forget one for good",
     ctl_agents},
    {"top", "[--once] [--interval SECONDS]", "hosts and percentiles, live", ctl_top},
    {"percentiles", "[METRIC] [--by LABEL,...] [--window W]", "quantiles by group and window",
     ctl_percentiles},
};

static void help(void)
{
    char line[80];

    (void)printf("Usage: sbctl [OPTIONS] COMMAND [ARGUMENTS]\n"
                 "Asks and operates an aggregator, by its unix socket or over the network.\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        (void)snprintf(line, sizeof line, "%s%s%s", commands[i].name, *commands[i].arguments ? " " : "",
                       commands[i].arguments);
        (void)printf("  %-50s %s\n", line, commands[i].summary);
    }
    (void)printf(
        "\n"
        "  --url URL                the aggregator's reading listener (default: its unix socket)\n"
        "  --socket PATH            the unix socket (default /run/securebase/aggregator.sock)\n"
        "  --ca FILE                PEM file of the authority that the server's certificate comes from\n"
        "  --cert FILE, --key FILE  PEM files of our own certificate and its key\n"
        "  --token file:PATH        a bearer token instead of a certificate\n"
        "  --json                   print the answer as it came\n"
        "  --reason TEXT            why, for commands that act; kept in the journal\n"
        "  --request-id ID          the same id twice is one act\n"
        "  --version                print the version and end\n"
        "  --help                   print this and end\n");
}

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)fprintf(stderr, "sbctl: ");
    (void)vfprintf(stderr, fmt, ap);
    (void)fprintf(stderr, "\nTry 'sbctl --help'.\n");
    va_end(ap);
    return EXIT_USAGE;
}

enum {
    O_URL = 256,
    O_SOCKET,
    O_CA,
    O_CERT,
    O_KEY,
    O_TOKEN,
    O_JSON,
    O_ONCE,
    O_INTERVAL,
    O_BY,
    O_WINDOW,
    O_REASON,
    O_ID,
    O_VERSION,
    O_HELP
};

static const struct option longopts[] = {{"url", required_argument, NULL, O_URL},
                                         {"socket", required_argument, NULL, O_SOCKET},
                                         {"ca", required_argument, NULL, O_CA},
                                         {"cert", required_argument, NULL, O_CERT},
                                         {"key", required_argument, NULL, O_KEY},
                                         {"token", required_argument, NULL, O_TOKEN},
                                         {"json", no_argument, NULL, O_JSON},
                                         {"once", no_argument, NULL, O_ONCE},
                                         {"interval", required_argument, NULL, O_INTERVAL},
                                         {"by", required_argument, NULL, O_BY},
                                         {"window", required_argument, NULL, O_WINDOW},
                                         {"reason", required_argument, NULL, O_REASON},
                                         {"request-id", required_argument, NULL, O_ID},
                                         {"version", no_argument, NULL, O_VERSION},
                                         {"help", no_argument, NULL, O_HELP},
                                         {NULL, 0, NULL, 0}};

static int print_version(void)
{
    char text[256];

    about_text("sbctl", text, sizeof text);
    (void)printf("%s\n", text);
    return 0;
}

static int read_interval(const char *text, int *seconds)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > 3600)
        return usage("--interval: found \"%.40s\", expected 1 to 3600 seconds", text);
    *seconds = (int)n;
    return CLI_GO_ON;
}

/* CLI_GO_ON, or the status to exit with. */
static int read_options(int argc, char **argv, struct ctl_options *o)
{
    int c, status = CLI_GO_ON;

    while (status == CLI_GO_ON && (c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
        switch (c) {
        case O_URL: o->url = optarg; break;
        case O_SOCKET: o->socket = optarg; break;
        case O_CA: o->ca = optarg; break;
        case O_CERT: o->cert = optarg; break;
        case O_KEY: o->key = optarg; break;
        case O_TOKEN: o->token = optarg; break;
        case O_JSON: o->json = true; break;
        case O_ONCE: o->once = true; break;
        case O_BY: o->by = optarg; break;
        case O_WINDOW: o->window = optarg; break;
        case O_REASON: o->reason = optarg; break;
        case O_ID: o->request_id = optarg; break;
        case O_INTERVAL: status = read_interval(optarg, &o->interval); break;
        case O_VERSION: return print_version();
        case 'h':
        case O_HELP: help(); return 0;
        default: (void)fprintf(stderr, "Try 'sbctl --help'.\n"); return EXIT_USAGE;
        }
    }
    return status;
}

/* A token is a secret: it goes to another machine over TLS alone. */
static int check_url(const struct ctl_options *o)
{
    if (!o->url)
        return o->token || o->cert
                   ? usage("--token and --cert go with --url: the unix socket knows who you are")
                   : CLI_GO_ON;
    if (strncmp(o->url, "https://", 8) != 0 && strncmp(o->url, "http://", 7) != 0)
        return usage("--url: found \"%.200s\", expected http:// or https://", o->url);
    if (o->token && strncmp(o->url, "http://", 7) == 0 && !host_url_is_loopback(o->url))
        return usage("--token: it would cross the network unencrypted: --url has to begin with https://");
    return CLI_GO_ON;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; name && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* Options that do nothing for this command are refused. */
static int check_options(const struct ctl_options *o, const char *command)
{
    const struct {
        bool given;
        const char *option, *with;
    } some[] = {
        {o->by, "--by", "percentiles"},    {o->window, "--window", "percentiles"},
        {o->once, "--once", "top"},        {o->interval, "--interval", "top"},
        {o->reason, "--reason", "agents"}, {o->request_id, "--request-id", "agents"},
    };

    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (some[i].given && strcmp(some[i].with, command) != 0)
            return usage("%s goes with %s", some[i].option, some[i].with);
    if (o->json && strcmp(command, "top") == 0)
        return usage("--json does not go with top: status, agents and percentiles have what it shows");
    return CLI_GO_ON;
}

int main(int argc, char **argv)
{
    struct ctl_options o = {.socket = "/run/securebase/aggregator.sock"};
    const struct command *command;
    struct err e = {0};
    struct ctl *c;
    int rc;

    (void)signal(SIGPIPE, SIG_IGN);
    rc = read_options(argc, argv, &o);
    if (rc == CLI_GO_ON)
        rc = check_url(&o);
    if (rc != CLI_GO_ON)
        return rc;
    if (!argv[optind])
        return usage("a command is expected: status, agents, top or percentiles");
    command = find(argv[optind]);
    if (!command)
        return usage("found \"%.80s\", expected status, agents, top or percentiles", argv[optind]);
    rc = check_options(&o, command->name);
    if (rc != CLI_GO_ON)
        return rc;
    c = ctl_new(&o, &e);
    rc = c ? command->run(c, &o, argc - optind - 1, argv + optind + 1, &e) : e.code;
    ctl_free(&c);
    if (rc)
        (void)fprintf(stderr, "sbctl %s: %s\n", command->name, e.text);
    return rc == 0 ? 0 : rc == ERR_CONFIG ? EXIT_USAGE : 1;
}
