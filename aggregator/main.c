/* securebase-aggregator: the command line, the configuration, then the daemon. */
#include <stdio.h>

#include "aggregator/aggregator.h"
#include "aggregator/online.h"
#include "aggregator/options.h"
#include "common/daemon/cli.h"
#include "common/daemon/daemon.h"

static const struct cli_flag flags[] = {
    {"online", CLI_NOTHING, NULL,
     "with --check-config: also try files, addresses and the state folder of this machine"},
};
static struct section_row rows[AGGREGATOR_SECTIONS];
static struct cli_program program = {
    .name = "securebase-aggregator",
    .sentence = "Takes in what agents send, computes percentiles, and shows everything to Prometheus, people "
                "and sbctl.",
    .file = "/etc/securebase/aggregator.ini",
    .usage = "       securebase-aggregator verify-store [-c FILE]\n",
    .rows = rows,
    .flags = flags,
    .n_flags = 1,
    .max_words = 1,
    .check = aggregator_check,
};

static int run(const struct cli *cli, struct config *config, struct log *log)
{
    struct aggregator_params p = {.program = &program, .cli = cli, .config = config, .log = log};
    struct err e = {0};
    struct aggregator *a = aggregator_start(&p, &e);
    int rc;

    if (!a) {
        LOG(log, LOG_ERROR, "main", "can't start", kv_e(&e));
        return e.code == ERR_CONFIG ? EXIT_CONFIG : 1;
    }
    rc = aggregator_run(a);
    aggregator_stop(&a);
    return rc ? 1 : 0;
}

/* --check-config has found the configuration good: what is left of it. */
static int online(const struct cli *cli)
{
    struct err e = {0};
    struct buf report;
    struct config *config;
    int status;

    if (cli->verb != CLI_CHECK || !cli_given(&program, cli, "online"))
        return 0;
    buf_init(&report, NULL, 65536);
    config = cli_load(&program, cli, &report, &e);
    status = config ? online_check(config) : EXIT_CONFIG;
    config_free(&config);
    buf_free(&report);
    return status;
}

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct log *log = NULL;
    struct err e = {0};
    struct cli cli;
    int status;

    daemon_early();
    program.n_rows = aggregator_sections(rows);
    status = cli_parse(&program, argc, argv, &cli);
    if (status == CLI_GO_ON && cli.n_words && !aggregator_is_verb(cli.words[0]))
        status = cli_usage(&program, "\"%s\" is not a verb: there is verify-store", cli.words[0]);
    if (status == CLI_GO_ON)
        status = cli_config(&program, &cli, &config);
    if (status != CLI_GO_ON)
        return status ? status : online(&cli);
    if (cli.n_words) {
        status = aggregator_verify(config);
    } else {
        log = cli_log(config, &e);
        if (log) {
            status = run(&cli, config, log);
        } else {
            (void)fprintf(stderr, "securebase-aggregator: %s\n", e.text);
            config_free(&config);
            status = 1;
        }
        config = NULL; /* run has given it to the daemon */
    }
    config_free(&config);
    log_free(&log);
    return status;
}
