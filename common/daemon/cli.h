/* The command line that both daemons share: -c FILE, --check-config, --print-config, --version, --help, flags
 * and words of the program's own; loading the configuration with its report; the log's options.
 *
 *   status = cli_parse(&program, argc, argv, &cli);            -1: go on; else the status to exit with
 *   status = cli_config(&program, &cli, &config);              likewise; 78 when the configuration is wrong
 *   l = cli_log(config, &e);
 *   … on HUP: fresh = cli_load(&program, &cli, &report, &e);   NULL: keep the old one, log the report */
#ifndef SB_DAEMON_CLI_H
#define SB_DAEMON_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"
#include "common/daemon/log.h"

enum { CLI_FLAGS_MAX = 24, CLI_PATH_MAX = 4096, CLI_GO_ON = -1 };

enum cli_takes { CLI_NOTHING, CLI_VALUE, CLI_MAYBE /* --name or --name=value */ };

struct cli_flag {
    const char *name; /* without the dashes */
    enum cli_takes takes;
    const char *value; /* what the help calls it: "NAME" */
    const char *sentence;
};

struct cli;
struct cli_program {
    const char *name;     /* "securebase-agent" */
    const char *sentence; /* what it is, for --help */
    /* configuration unless -c: "/etc/securebase/agent.ini"; its folder is agent.d beside it */
    const char *file;
    const char *usage; /* further lines of "Usage:" with their newlines, or NULL: "securebase-agent status
                          [--json]\n" */
    const struct section_row *rows;
    size_t n_rows;
    const struct cli_flag *flags; /* at most CLI_FLAGS_MAX */
    size_t n_flags;
    size_t max_words; /* words that are no flags; more are a usage error */
    /* Checks across options, after the rows' own; 0 or what config_complain returned. May be NULL. Runs on a
     * reload as well, and looks at the flags where they matter (--once, --online). */
    int (*check)(const struct config *c, const struct cli *cli, struct buf *report, struct err *e);
    /* Sections that follow from others, as ini text; they hold before all files, which are then read again. 0, or a
     * negative code with e. May be NULL. `derived` is what messages call their origin. */
    int (*derive)(const struct config *c, struct buf *ini, struct err *e);
    const char *derived;
};

enum cli_verb { CLI_RUN, CLI_CHECK, CLI_PRINT };

struct cli {
    enum cli_verb verb;
    const char *file;                  /* borrowed from argv or the program */
    char dir[CLI_PATH_MAX];            /* FILE without .ini, with .d */
    const char *values[CLI_FLAGS_MAX]; /* by the program's flags: NULL not given, "" given without a value */
    char **words;                      /* borrowed from argv; n_words */
    size_t n_words;
};

/* Reads the command line into *cli. CLI_GO_ON, or the status to exit with: 2 after a usage error (said on
 * stderr), 0 after --help,
 * --version, --print-example or --print-manual (the last is for the build). */
int cli_parse(const struct cli_program *p, int argc, char **argv, struct cli *cli);

/* Whether a flag was given, and its value ("" without one; NULL
 * when not given). The name must be one of the program's. */
bool cli_given(const struct cli_program *p, const struct cli *cli, const char *name);
const char *cli_value(const struct cli_program *p, const struct cli *cli, const char *name);

/* Loads the configuration, prints its report on stderr, and does --check-config and --print-config. CLI_GO_ON
 * with *config owned by the caller, or the status to exit with (0, 1, 78). */
int cli_config(const struct cli_program *p, const struct cli *cli, struct config **config);
/* The configuration with the program's check: for reloading. NULL with e when it is wrong. */
struct config *cli_load(const struct cli_program *p, const struct cli *cli, struct buf *report,
                        struct err *e);
/* Says what is wrong with the command line, for checks of the program's own; returns EXIT_USAGE. */
int cli_usage(const struct cli_program *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The section [log], to stand among a program's rows, and the log made from it. Priorities
 * are written when stderr is journald's ($JOURNAL_STREAM, systemd.exec(5)). */
enum { LOG_OPTIONS = 3 };
extern const struct option_row log_options[LOG_OPTIONS];
#define LOG_SECTION                                                                                          \
    {                                                                                                        \
        .name = "log", .sentence = "What the program says about itself.", .rows = log_options,               \
        .n_rows = LOG_OPTIONS                                                                                \
    }
struct log *cli_log(const struct config *c, struct err *e);
/* A reload, on HUP: the configuration is loaded anew and handed to `take`. What
 * came of it is in the log: what changed, what needs a restart, or every
 * mistake; then the old one stays in force. The log takes its new level. */
struct cli_reload {
    const struct cli_program *program;
    const struct cli *cli;
    struct log *log;
    const char *component; /* of its log lines */
    /* 0, or a negative code with e, and perhaps more in report: then nothing
     * has changed. `fresh` lives until the next reload that succeeds. */
    int (*take)(void *arg, const struct config *fresh, struct buf *report, struct err *e);
    void *arg;
};
/* *config is the one in force: released and replaced, or left. True when it was replaced. */
bool cli_reload(const struct cli_reload *r, struct config **config);

/* Pure (cli.c). */
void cli_help(const struct cli_program *p, struct buf *out);
bool cli_dir_of(const char *file, char dir[CLI_PATH_MAX]); /* false when it is too long */
enum log_level cli_log_level(const struct config *c);

#endif
