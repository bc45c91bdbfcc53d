/* sbctl: options, then the command from the table. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"
#include "version.h"

static const struct command {
    const char *name, *arguments, *summary;
    int (*run)(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e);
} commands[] = {
    {"status", "", "the aggregator in six lines", ctl_status},
    {"agents", "[forget AGENT --reason TEXT]", "who reports, and how fresh; or forget one for good",
     ctl_agents},
    {"top", "[--once] [--interval SECONDS]", "hosts and percentiles, live", ctl_top},
    {"percentiles", "[METRIC] [--by LABEL,…] [--window W]", "quantiles by group and window", ctl_percentiles},
};

static void help(FILE *to)
{
    (void)fprintf(to, "usage: sbctl [options] command\n\ncommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        (void)fprintf(to, "  %s %s\n      %s\n", commands[i].name, commands[i].arguments,
                      commands[i].summary);
    (void)fprintf(to, "\noptions:\n"
                      "  --url URL          the aggregator's reading listener (default: its unix socket)\n"
                      "  --socket PATH      the unix socket (default /run/securebase/aggregator.sock)\n"
                      "  --ca --cert --key  PEM files for TLS\n"
                      "  --token file:PATH  a bearer token\n"
                      "  --json             the answer as it came\n"
                      "  --reason TEXT      why, for commands that act; kept in the journal\n"
                      "  --request-id ID    the same id twice is one act\n"
                      "  --version --help\n");
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

/* 0: go on; 1: done; 2: usage. */
static int read_options(int argc, char **argv, struct ctl_options *o)
{
    int c;

    while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
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
        case O_INTERVAL:
            o->interval = (int)strtol(optarg, NULL, 10);
            if (o->interval < 1 || o->interval > 3600) {
                (void)fprintf(stderr, "sbctl: --interval: found \"%s\", 1 to 3600 seconds are allowed\n",
                              optarg);
                return 2;
            }
            break;
        case O_VERSION: (void)printf("sbctl %s (revision %s)\n", SB_VERSION, SB_REVISION); return 1;
        case O_HELP: help(stdout); return 1;
        default: return 2;
        }
    }
    return 0;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; name && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct ctl_options o = {.socket = "/run/securebase/aggregator.sock", .interval = 2};
    const struct command *command;
    struct err e = {0};
    struct ctl *c;
    int rc;

    (void)signal(SIGPIPE, SIG_IGN);
    rc = read_options(argc, argv, &o);
    if (rc == 1)
        return 0;
    command = find(argv[optind]);
    if (rc || !command) {
        if (!rc && argv[optind])
            (void)fprintf(stderr, "sbctl: \"%s\" is not a command\n", argv[optind]);
        help(stderr);
        return 2;
    }
    c = ctl_new(&o, &e);
    rc = c ? command->run(c, &o, argc - optind - 1, argv + optind + 1, &e) : e.code;
    ctl_free(&c);
    if (rc)
        (void)fprintf(stderr, "sbctl %s: %s\n", command->name, e.text);
    return rc == 0 ? 0 : rc == ERR_CONFIG ? 2 : 1;
}
