/* The pure part of the command line: the help text, the folder
 * beside a file, the options of the log. See cli.h. */
#include "common/daemon/cli.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const struct option_row log_options[LOG_OPTIONS] = {
    {.key = "level",
     .type = OPT_CHOICE,
     .dflt = "info",
     .choices = "debug info warn error",
     .reloadable = true,
     .sentence = "The least level that is written."},
    {.key = "format",
     .type = OPT_CHOICE,
     .dflt = "logfmt",
     .choices = "logfmt json",
     .sentence = "The form of a line: logfmt, or a JSON object."},
    {.key = "file",
     .type = OPT_PATH,
     .sentence = "A file to write to instead of stderr; the signal USR1 reopens it."},
};

enum log_level cli_log_level(const struct config *c)
{
    const char *level = option_text(config_section(c, "log"), "level");

    return level[0] == 'd' ? LOG_DEBUG : level[0] == 'i' ? LOG_INFO : level[0] == 'w' ? LOG_WARN : LOG_ERROR;
}

bool cli_dir_of(const char *file, char dir[CLI_PATH_MAX])
{
    size_t n = strlen(file);

    if (n > 4 && !strcmp(file + n - 4, ".ini"))
        n -= 4;
    if (n + 3 > CLI_PATH_MAX)
        return false;
    memcpy(dir, file, n);
    memcpy(dir + n, ".d", 3);
    return true;
}

static void help_line(const char *flag, const char *sentence, struct buf *out)
{
    buf_fmt(out, "  %-24s %s\n", flag, sentence);
}

void cli_help(const struct cli_program *p, struct buf *out)
{
    char text[128];
    size_t i;

    buf_fmt(out, "Usage: %s [-c FILE] [FLAGS]\n", p->name);
    if (p->usage)
        buf_str(out, p->usage);
    buf_fmt(out, "%s\n\n", p->sentence);
    (void)snprintf(text, sizeof text, "read this configuration (default %.80s)", p->file);
    help_line("-c, --config FILE", text, out);
    help_line("--check-config", "check the configuration, say what is wrong, and end", out);
    help_line("--print-config", "print the effective configuration with the origin of each value, and end",
              out);
    help_line("--print-example", "print an example configuration: each option with its default, and end",
              out);
    for (i = 0; i < p->n_flags; i++) {
        const struct cli_flag *f = &p->flags[i];
        bool maybe = f->takes == CLI_MAYBE, takes = f->takes != CLI_NOTHING;

        (void)snprintf(text, sizeof text, "--%.40s%s%.40s%s", f->name,
                       maybe   ? "[="
                       : takes ? " "
                               : "",
                       takes ? f->value : "", maybe ? "]" : "");
        help_line(text, f->sentence, out);
    }
    help_line("--version", "print the version and end", out);
    help_line("--help", "print this and end", out);
}

const char *cli_value(const struct cli_program *p, const struct cli *cli, const char *name)
{
    size_t i = 0;

    while (i < p->n_flags && strcmp(p->flags[i].name, name))
        i++;
    assert(i < p->n_flags);
    return cli->values[i];
}

bool cli_given(const struct cli_program *p, const struct cli *cli, const char *name)
{
    return cli_value(p, cli, name) != NULL;
}
