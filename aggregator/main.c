/* securebase-aggregator: the command line, the configuration, then the daemon. */
#include <pthread.h>
#include <stdio.h>

#include "aggregator/aggregator.h"
#include "aggregator/online.h"
#include "aggregator/options.h"
#include "aggregator/slo/slo.h"
#include "common/daemon/cli.h"
#include "common/daemon/daemon.h"

static const struct cli_flag flags[] = {
    {"online", CLI_NOTHING, NULL,
     "with --check-config: also try files, addresses and the state folder of this machine"},
};
static struct section_row rows[AGGREGATOR_SECTIONS];
static struct option_row receivers[RECEIVER_ROWS], actions[ACTION_ROWS];
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
    .derive = slo_alert_rules,
    .derived = "[slo]",
};

/* libevent's own lines, from any thread, held back like all that is said again and again. */
static struct {
    pthread_mutex_t lock;
    struct log *log; /* borrowed; NULL: nowhere */
    struct complaint complaint;
} library = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void say_for_library(int severity, const char *text)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_DEBUG, LOG_WARN, LOG_ERROR};

    (void)pthread_mutex_lock(&library.lock);
    if (library.log)
        COMPLAIN(library.log, &library.complaint, clock_mono(), levels[severity & 3], "libevent",
                 "the library says", kv_s("text", text));
    (void)pthread_mutex_unlock(&library.lock);
}

static void set_library_log(struct log *log)
{
    (void)pthread_mutex_lock(&library.lock);
    library.log = log;
    (void)pthread_mutex_unlock(&library.lock);
}

static int run(const struct cli *cli, struct config *config, struct log *log)
{
    struct aggregator_params p = {.program = &program, .cli = cli, .config = config, .log = log};
    struct err e = {0};
    struct aggregator *a = aggregator_start(&p, &e);
    int rc;

    if (!a) {
        LOG(log, LOG_ERROR, "main", "cannot start", kv_e(&e));
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
    loop_library_log(say_for_library);
    program.n_rows = aggregator_sections(rows, receivers, actions);
    status = cli_parse(&program, argc, argv, &cli);
    if (status == CLI_GO_ON && cli.n_words && !aggregator_is_verb(cli.words[0]))
        status = cli_usage(&program, "found \"%s\", expected verify-store", cli.words[0]);
    if (status == CLI_GO_ON && cli.verb != CLI_CHECK && cli_given(&program, &cli, "online"))
        status = cli_usage(&program, "--online goes with --check-config");
    if (status == CLI_GO_ON)
        status = cli_config(&program, &cli, &config);
    if (status != CLI_GO_ON)
        return status ? status : online(&cli);
    if (cli.n_words) {
        status = aggregator_verify(config);
    } else {
        log = cli_log(config, &e);
        if (log) {
            set_library_log(log);
            status = run(&cli, config, log);
        } else {
            (void)fprintf(stderr, "securebase-aggregator: %s\n", e.text);
            config_free(&config);
            status = 1;
        }
        config = NULL; /* run has given it to the daemon */
    }
    config_free(&config);
    set_library_log(NULL);
    log_free(&log);
    return status;
}
