/* securebase-agent: the command line, the signals, the loop. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/guard/guards.h"
#include "agent/once.h"
#include "agent/options.h"
#include "agent/runner.h"
#include "common/daemon/cli.h"
#include "common/daemon/daemon.h"
#include "version.h"

static const struct cli_flag flags[] = {
    {"once", CLI_NOTHING, NULL, "sample everything once, print it, and end; needs no configuration"},
    {"format", CLI_VALUE, "prom|json|table", "with --once or --test: how to print (default prom)"},
    {"test", CLI_VALUE, "NAME",
     "try one collector, input or probe by itself: cpu, redis main, statsd, probe login"},
    {"list", CLI_NOTHING, NULL, "print what this agent can collect, take in and probe, and end"},
    {"root", CLI_VALUE, "PREFIX", "read PREFIX/proc, PREFIX/sys and so on"},
    {"json", CLI_NOTHING, NULL, "with status, spool stat or guard status: print JSON"},
};

struct running {
    const struct cli_program *program;
    const struct cli *cli;
    struct config *config;
    struct log *log;
    struct loop *loop;
    struct agent *agent;
};

static struct log *library_log; /* where libevent's own lines go, once there is a log */

static void on_library(int severity, const char *msg)
{
    if (severity > 0)
        LOG(library_log,
            severity > 2   ? LOG_ERROR
            : severity > 1 ? LOG_WARN
                           : LOG_INFO,
            "libevent", "the library says", kv_s("text", msg));
}

static bool samples_only(const struct cli_program *p, const struct cli *cli)
{
    return cli_given(p, cli, "once") || cli_given(p, cli, "test") || cli->n_words > 0;
}

static struct cli_program program = {
    .name = "securebase-agent",
    .sentence = "Samples this host and its services, and ships what it finds to an aggregator.",
    .file = "/etc/securebase/agent.ini",
    .usage = "       securebase-agent [-c FILE] status [--json]\n"
             "       securebase-agent [-c FILE] spool stat|verify|dead|drop\n"
             "       securebase-agent [-c FILE] guard list | status [--json] | check NAME | helper NAME\n",
    .flags = flags,
    .n_flags = sizeof flags / sizeof *flags,
    .max_words = 3,
};

static bool is_guard_verb(const struct cli *cli, const char *verb, size_t words)
{
    return cli->n_words == words && strcmp(cli->words[0], "guard") == 0 && strcmp(cli->words[1], verb) == 0;
}

/* What can be told to be wrong before the configuration is read. CLI_GO_ON, or the status of a wrong call. */
static int check_words(const struct cli *cli, bool once)
{
    enum once_format format;
    const char *how = cli_value(&program, cli, "format");

    if (is_guard_verb(cli, "list", 2) || is_guard_verb(cli, "helper", 3))
        return CLI_GO_ON;
    if (cli->n_words && !status_is_verb(cli->words, cli->n_words, cli_given(&program, cli, "json")))
        return cli_usage(&program,
                         "found \"%s%s%s\", expected status [--json], spool stat|verify|dead|drop, or guard "
                         "list|status|check NAME",
                         cli->words[0], cli->n_words > 1 ? " " : "", cli->n_words > 1 ? cli->words[1] : "");
    if (!cli->n_words && cli_given(&program, cli, "json"))
        return cli_usage(&program,
                         "--json goes with status, spool stat and guard status; --once takes --format=json");
    if (how && !once)
        return cli_usage(&program, "--format goes with --once and --test");
    if (how && once_format_of(how, &format) != 0)
        return cli_usage(&program, "--format: found \"%s\", expected prom, json or table", how);
    return CLI_GO_ON;
}

/* Where no configuration is, --once and --test do with
 * defaults: what is asked for is this host as it is now. */
static struct config *defaults(const struct cli *cli, struct err *e)
{
    static const char least[] = "[agent]\nregion = none\nenv = none\n";
    const struct config_source source = {.name = "defaults",
                                         .text = {(const uint8_t *)least, sizeof least - 1}};
    struct config *c;
    struct buf report;

    buf_init(&report, NULL, 1 << 16);
    c = config_parse(&source, 1, program.rows, program.n_rows, &report, e);
    buf_free(&report);
    (void)fprintf(stderr, "%s: %s is not there: sampling with defaults\n", program.name, cli->file);
    return c;
}

static int check(const struct config *c, const struct cli *cli, struct buf *report, struct err *e)
{
    return agent_check(c, !samples_only(&program, cli), report, e);
}

static int take(void *arg, const struct config *fresh, struct buf *report, struct err *e)
{
    struct running *r = arg;

    (void)report;
    return agent_reload(r->agent, fresh, e);
}

static void on_reload(void *arg)
{
    struct running *r = arg;
    const struct cli_reload reload = {
        .program = r->program, .cli = r->cli, .log = r->log, .component = "agent", .take = take, .arg = r};

    (void)cli_reload(&reload, &r->config);
}

static void on_reopen(void *arg)
{
    struct running *r = arg;
    struct err e;

    if (log_reopen(r->log, &e) != 0)
        LOG(r->log, LOG_ERROR, "agent", "the log could not be reopened", kv_e(&e));
}

static void on_dump(void *arg)
{
    agent_dump(((struct running *)arg)->agent);
}

static void on_stop(void *arg)
{
    agent_stop(((struct running *)arg)->agent);
}

static void on_stopped(void *arg)
{
    loop_stop(((struct running *)arg)->loop);
}

static int run(struct running *r, const char *root)
{
    struct signal_calls calls = {on_reload, on_reopen, on_dump, on_stop, r};
    struct agent_params p = {.config = r->config,
                             .file = r->cli->file,
                             .root = root,
                             .log = r->log,
                             .version = SB_VERSION,
                             .revision = SB_REVISION,
                             .stopped = on_stopped,
                             .arg = r};
    struct signals *signals = NULL;
    struct err e = {0};
    int status = 1;

    r->loop = loop_new(&e);
    p.loop = r->loop;
    if (r->loop)
        signals = signals_new(r->loop, &calls, &e);
    if (signals)
        r->agent = agent_new(&p, &e);
    if (r->agent) {
        daemon_notify("READY=1");
        status = loop_run(r->loop) == 0 ? 0 : 1;
    } else {
        LOG(r->log, LOG_ERROR, "agent", "cannot start", kv_e(&e));
        status = e.code == ERR_CONFIG ? EXIT_CONFIG : 1;
    }
    agent_free(&r->agent);
    signals_free(&signals);
    loop_free(&r->loop);
    return status;
}

static int sample(const struct cli *cli, const struct config *c, const char *root)
{
    const char *format = cli_value(&program, cli, "format");
    struct once_params p = {.config = c, .root = root, .only = cli_value(&program, cli, "test")};
    struct log_params to_stderr = {.level = LOG_WARN};
    struct err e = {0};
    struct buf out;
    int rc;

    (void)once_format_of(format ? format : "prom", &p.format);
    p.log = log_new(&to_stderr, &e);
    buf_init(&out, NULL, 64 << 20);
    rc = p.only ? once_try(&p, &out, &e) : once_run(&p, &out, &e);
    log_free(&p.log);
    if (out.len)
        (void)fwrite(out.data, 1, out.len, stdout);
    if (rc != 0)
        (void)fprintf(stderr, "securebase-agent: %s\n", e.text);
    buf_free(&out);
    return rc == 0 ? 0 : 1;
}

static int list(void)
{
    struct buf out;

    buf_init(&out, NULL, 1 << 20);
    once_list(&out);
    (void)fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
    return 0;
}

static int list_guards(const struct config *c)
{
    const struct section *s;

    for (size_t i = 0; (s = config_named(c, "guard", i)); i++)
        (void)printf("%s\t%s\n", section_label(s), option_text(s, "service"));
    return 0;
}

/* The process that can fence: the agent starts one for each of its guards. */
static int help_guard(struct running *r, const char *name)
{
    struct err e = {0};

    r->log = cli_log(r->config, &e);
    if (r->log)
        return helper_run(r->config, name, r->log);
    (void)fprintf(stderr, "securebase-agent: %s\n", e.text);
    return 1;
}

static int go(const struct cli *cli)
{
    struct running r = {.program = &program, .cli = cli};
    const char *root = cli_value(&program, cli, "root");
    struct err e = {0};
    int status;

    bool once = cli_given(&program, cli, "once") || cli_given(&program, cli, "test");

    status = check_words(cli, once);
    if (status != CLI_GO_ON)
        return status;
    if (cli_given(&program, cli, "list"))
        return list();
    if (once && !cli->n_words && cli->verb == CLI_RUN && cli->file == program.file && access(cli->file, F_OK))
        r.config = defaults(cli, &e);
    if (!r.config)
        status = cli_config(&program, cli, &r.config);
    if (status != CLI_GO_ON)
        return status;
    if (is_guard_verb(cli, "list", 2))
        status = list_guards(r.config);
    else if (is_guard_verb(cli, "helper", 3))
        status = help_guard(&r, cli->words[2]);
    else if (cli->n_words)
        status = status_verb(option_text(config_section(r.config, "agent"), "socket"), cli->words,
                             cli->n_words, cli_given(&program, cli, "json"));
    else if (samples_only(&program, cli))
        status = sample(cli, r.config, root ? root : "");
    else if ((library_log = r.log = cli_log(r.config, &e)))
        status = run(&r, root ? root : "");
    else
        status = (fprintf(stderr, "securebase-agent: %s\n", e.text), 1);
    library_log = NULL;
    log_free(&r.log);
    config_free(&r.config);
    return status;
}

int main(int argc, char **argv)
{
    struct arena rows;
    struct cli cli;
    int status;

    daemon_early();
    (void)mallopt(M_ARENA_MAX, 1); /* its few threads are never busy at once: one heap keeps less */
    loop_library_log(on_library);
    arena_init(&rows, NULL, 0);
    program.rows = agent_sections(&rows, &program.n_rows);
    program.check = check;
    status = program.rows ? cli_parse(&program, argc, argv, &cli) : 1;
    if (status == CLI_GO_ON)
        status = go(&cli);
    arena_free(&rows);
    return status;
}
