/* The command line's hands: getopt, stdout and stderr, files, the environment. See cli.h. */
#include "common/daemon/cli.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/daemon/about.h"
#include "common/daemon/daemon.h"

enum {
    TEXT_CAP = 8 << 20,
    OWN = 256, /* getopt's codes of our own flags; the program's follow OWN_END */
    OWN_CHECK = OWN,
    OWN_PRINT,
    OWN_EXAMPLE,
    OWN_MANUAL,
    OWN_VERSION,
    OWN_HELP,
    OWN_END,
};

static const struct option own[] = {
    {"config", required_argument, NULL, 'c'},        {"check-config", no_argument, NULL, OWN_CHECK},
    {"print-config", no_argument, NULL, OWN_PRINT},  {"print-example", no_argument, NULL, OWN_EXAMPLE},
    {"print-manual", no_argument, NULL, OWN_MANUAL}, {"version", no_argument, NULL, OWN_VERSION},
    {"help", no_argument, NULL, OWN_HELP},
};
enum { N_OWN = sizeof own / sizeof own[0] };

/* The text to stdout, whose errors (a full disk behind a redirection) are not passed over. Frees out. The
 * exit status. */
static int print_out(const struct cli_program *p, struct buf *out)
{
    int status = 0;

    if (out->full || (out->len && fwrite(out->data, out->len, 1, stdout) != 1) || fflush(stdout)) {
        (void)fprintf(stderr, "%s: cannot write to stdout: %s\n", p->name,
                      out->full ? "no memory" : strerror(errno));
        status = 1;
    }
    buf_free(out);
    return status;
}

static int print_about(const struct cli_program *p, int what)
{
    struct buf out;
    char title[400];

    buf_init(&out, NULL, TEXT_CAP);
    switch (what) {
    case OWN_EXAMPLE:
        (void)snprintf(title, sizeof title, "%.60s: %.300s", p->file, p->sentence);
        config_example(p->rows, p->n_rows, title, &out);
        break;
    case OWN_MANUAL: config_manual(p->rows, p->n_rows, &out); break;
    case OWN_VERSION:
        about_text(p->name, title, sizeof title);
        buf_fmt(&out, "%s\n", title);
        break;
    default: cli_help(p, &out); break;
    }
    return print_out(p, &out);
}

int cli_usage(const struct cli_program *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)fprintf(stderr, "%s: ", p->name);
    (void)vfprintf(stderr, fmt, ap);
    (void)fprintf(stderr, "\nTry '%s --help'.\n", p->name);
    va_end(ap);
    return EXIT_USAGE;
}

/* Takes one flag; CLI_GO_ON or the status to exit with. */
static int take_flag(const struct cli_program *p, struct cli *cli, int code)
{
    if (code >= OWN_END && (size_t)(code - OWN_END) < p->n_flags) {
        cli->values[code - OWN_END] = optarg ? optarg : "";
        return CLI_GO_ON;
    }
    switch (code) {
    case 'c': cli->file = optarg; return CLI_GO_ON;
    case OWN_CHECK: cli->verb = CLI_CHECK; return CLI_GO_ON;
    case OWN_PRINT: cli->verb = CLI_PRINT; return CLI_GO_ON;
    case OWN_EXAMPLE:
    case OWN_MANUAL:
    case OWN_VERSION:
    case OWN_HELP: return print_about(p, code);
    default: /* getopt has said what is wrong */
        (void)fprintf(stderr, "Try '%s --help'.\n", p->name);
        return EXIT_USAGE;
    }
}

int cli_parse(const struct cli_program *p, int argc, char **argv, struct cli *cli)
{
    static const int takes[] = {
        [CLI_NOTHING] = no_argument, [CLI_VALUE] = required_argument, [CLI_MAYBE] = optional_argument};
    struct option flags[N_OWN + CLI_FLAGS_MAX + 1] = {{.name = NULL}};
    size_t i;
    int code, status = CLI_GO_ON;

    assert(p->n_flags <= CLI_FLAGS_MAX);
    memcpy(flags, own, sizeof own);
    for (i = 0; i < p->n_flags; i++)
        flags[N_OWN + i] =
            (struct option){p->flags[i].name, takes[p->flags[i].takes], NULL, OWN_END + (int)i};
    *cli = (struct cli){.file = p->file};
    optind = 0; /* glibc: begin anew */
    while (status == CLI_GO_ON && (code = getopt_long(argc, argv, "c:h", flags, NULL)) != -1)
        status = take_flag(p, cli, code == 'h' ? OWN_HELP : code);
    if (status != CLI_GO_ON)
        return status;
    cli->words = argv + optind;
    cli->n_words = (size_t)(argc - optind);
    if (cli->n_words > p->max_words)
        return cli_usage(p, "unexpected word '%s'", cli->words[p->max_words]);
    if (!cli_dir_of(cli->file, cli->dir))
        return cli_usage(p, "the path of the configuration is too long");
    return CLI_GO_ON;
}

/* Reads again, with what follows from the first reading before it; the second's report is the one that counts. */
static void derive(const struct cli_program *p, const struct cli *cli, struct config **c, struct buf *report,
                   struct err *e)
{
    struct config_source source = {.name = p->derived};
    struct err first = {0};
    struct buf ini;
    int rc;

    buf_init(&ini, NULL, TEXT_CAP);
    rc = p->derive(*c, &ini, &first);
    /* what is wrong with the sections that others follow from, the check says in full */
    if (rc && (!p->check || !p->check(*c, cli, report, e))) {
        err_set(e, rc, "%s", first.text);
        if (report)
            buf_fmt(report, "%s\n", first.text);
    }
    if (rc || ini.len)
        config_free(c);
    if (!rc && ini.len) {
        if (report)
            buf_clear(report);
        source.text = buf_bytes(&ini);
        *c = config_load_after(&source, cli->file, cli->dir, p->rows, p->n_rows, report, e);
    }
    buf_free(&ini);
}

struct config *cli_load(const struct cli_program *p, const struct cli *cli, struct buf *report, struct err *e)
{
    struct config *c = config_load(cli->file, cli->dir, p->rows, p->n_rows, report, e);

    if (c && p->derive)
        derive(p, cli, &c, report, e);
    if (c && p->check && p->check(c, cli, report, e))
        config_free(&c);
    return c;
}

int cli_config(const struct cli_program *p, const struct cli *cli, struct config **config)
{
    struct buf report, out;
    struct err e = {0};
    int status = CLI_GO_ON;

    buf_init(&report, NULL, TEXT_CAP);
    buf_init(&out, NULL, TEXT_CAP);
    *config = cli_load(p, cli, &report, &e);
    if (report.len)
        (void)fwrite(report.data, report.len, 1, stderr);
    else if (!*config)
        (void)fprintf(stderr, "%s\n", e.text);
    if (!*config && access(cli->file, F_OK))
        (void)fprintf(stderr,
                      "%s: -c FILE names another configuration; --print-example prints one to begin with\n",
                      p->name);
    if (!*config) {
        status = EXIT_CONFIG;
    } else if (cli->verb == CLI_CHECK) {
        buf_fmt(&out, "%s: the configuration is good\n", cli->file);
        status = print_out(p, &out);
    } else if (cli->verb == CLI_PRINT) {
        config_print(*config, &out);
        status = print_out(p, &out);
    }
    if (status != CLI_GO_ON)
        config_free(config);
    buf_free(&report);
    return status;
}

/* Whether stderr is the stream that systemd connected to the journal. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    char *end;

    if (!stream || fstat(STDERR_FILENO, &st))
        return false;
    dev = strtoull(stream, &end, 10);
    if (*end != ':')
        return false;
    ino = strtoull(end + 1, &end, 10);
    return !*end && dev == st.st_dev && ino == st.st_ino;
}

struct log *cli_log(const struct config *c, struct err *e)
{
    const struct section *s = config_section(c, "log");
    const char *file = option_text(s, "file");

    return log_new(&(struct log_params){.level = cli_log_level(c),
                                        .format = option_text(s, "format")[0] == 'j' ? LOG_JSON : LOG_LOGFMT,
                                        .file = file,
                                        .journald = !file && stderr_is_journal()},
                   e);
}

/* What differs goes into the log before the old configuration goes. */
static void replace(const struct cli_reload *r, struct config **config, struct config *fresh,
                    struct buf *text)
{
    buf_clear(text);
    if (config_needs_restart(*config, fresh, text))
        LOG(r->log, LOG_WARN, r->component, "some options need a restart", kv_s("options", buf_text(text)));
    buf_clear(text);
    (void)config_changes(*config, fresh, text);
    log_set_level(r->log, cli_log_level(fresh));
    config_free(config);
    *config = fresh;
    LOG(r->log, LOG_INFO, r->component, "configuration reloaded", kv_s("changed", buf_text(text)));
}

bool cli_reload(const struct cli_reload *r, struct config **config)
{
    struct err e = {0};
    struct config *fresh;
    struct buf text;
    bool taken;

    daemon_notify("RELOADING=1");
    buf_init(&text, NULL, TEXT_CAP);
    fresh = cli_load(r->program, r->cli, &text, &e);
    taken = fresh && r->take(r->arg, fresh, &text, &e) == 0;
    if (taken) {
        replace(r, config, fresh, &text);
    } else {
        LOG(r->log, LOG_ERROR, r->component, "reload refused, the old configuration holds", kv_e(&e),
            kv_s("report", buf_text(&text)));
        config_free(&fresh);
    }
    buf_free(&text);
    daemon_notify("READY=1");
    return taken;
}
