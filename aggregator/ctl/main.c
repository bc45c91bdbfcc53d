/* sbctl: options, then the command from the table. Help, manual page and completion come from the two tables here. */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
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
    const char *words; /* first arguments, for completion */
} commands[] = {
    {"status", "", "the aggregator in six lines", ctl_status, ""},
    {"agents", "[forget AGENT --reason TEXT]", "who reports, and how fresh; or forget one for good",
     ctl_agents, "forget"},
    {"top", "[--once] [--interval SECONDS]", "hosts and percentiles, live", ctl_top, ""},
    {"percentiles", "[METRIC] [--by LABEL,...] [--window W]", "quantiles by group and window",
     ctl_percentiles, ""},
    {"slo", "[list | show NAME | report NAME]", "objectives, their budgets, and what an SLA is answered from",
     ctl_slo, "list show report"},
    {"alerts", "[ack | unack FINGERPRINT]", "what is pending or fires; or acknowledge one", ctl_alerts,
     "list ack unack"},
    {"rules", "", "each rule: what it asks for, and what it found", ctl_rules, ""},
    {"explain", "ALERT [--at TIME]", "why an alert is in its state, and who was told or not", ctl_explain,
     ""},
    {"incident", "[list | show | postmortem | ack | resolve | note]",
     "what belongs together, and its timeline", ctl_incident, "list show postmortem ack resolve note"},
    {"silence", "[list | add MATCH --for D | end ID]", "who is not told for a while", ctl_silence,
     "list add end"},
    {"maintenance", "[list | start NAME MATCH --for D | end ID]", "planned work", ctl_maintenance,
     "list start end"},
    {"rota", "show NAME | override NAME PERSON --for D", "who is on duty", ctl_rota, "show override"},
    {"route", "[NAME=VALUE,...]", "the receivers; or where an alert with these labels goes", ctl_route, ""},
    {"event", "[list | add NAME]", "deployments and other changes, for timelines", ctl_event, "list add"},
    {"test-rules", "FILE ...", "rules on written series, without an aggregator", ctl_test_rules, ""},
    {"replay", "--rules FILE --from TIME [FILE]",
     "what other rules would have said; FILE: the rules as they are", ctl_replay, ""},
    {"regions", "", "this region and its peers", ctl_regions, ""},
    {"drill", "[list | report [DRILL] | run DRILL | abort DRILL]",
     "rehearsals of a move, and what they have shown", ctl_drill, "list report run abort"},
    {"journal", "[tail | export [SERVICE] | verify [FILE [FILE]]]",
     "what was decided and done, and whether its chain holds", ctl_journal, "tail export verify"},
    {"failover", "[status|explain|plan|readiness|ORDER] [SERVICE]",
     "where services are and why; `failover help` lists orders", ctl_failover,
     "status explain plan readiness start switchover failback approve abort resume retry-step skip-step ack "
     "lock unlock "
     "must-not maintenance automation fence unfence break-glass"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

#define AT(member) offsetof(struct ctl_options, member)
static const struct flag {
    const char *name;
    const char *argument; /* as help calls it; NULL: none, a bool is set */
    size_t at;            /* of the const char * or bool; interval is read by hand */
    const char *with;     /* the commands that it goes with, separated by blanks; "": all */
    const char *help;
} flags[] = {
    {"url", "URL", AT(url), "", "the aggregator's reading listener (default: its unix socket)"},
    {"socket", "PATH", AT(socket), "", "the unix socket (default /run/securebase/aggregator.sock)"},
    {"ca", "FILE", AT(ca), "", "PEM file of the authority that the server's certificate comes from"},
    {"cert", "FILE", AT(cert), "", "PEM file of our own certificate"},
    {"key", "FILE", AT(key), "", "PEM file of its key"},
    {"token", "file:PATH", AT(token), "", "a bearer token instead of a certificate"},
    {"json", NULL, AT(json), "", "print the answer as it came"},
    {"reason", "TEXT", AT(reason), "agents alerts incident silence maintenance rota event failover drill",
     "why, for commands that act; kept in the journal"},
    {"request-id", "ID", AT(request_id),
     "agents alerts incident silence maintenance rota event failover drill", "the same id twice is one act"},
    {"by", "LABEL,...", AT(by), "percentiles", "group by these labels"},
    {"window", "W", AT(window), "percentiles", "over this window"},
    {"once", NULL, AT(once), "top", "print once and end"},
    {"interval", "SECONDS", AT(interval), "top", "between two looks"},
    {"state", "STATE", AT(state), "alerts incident",
     "only those: pending, firing, clearing; open, acknowledged, resolved"},
    {"match", "MATCH", AT(match), "alerts", "only those whose labels match: name=value name=~regex"},
    {"month", "YYYY-MM", AT(month), "slo", "of slo report: a calendar month, or rolling"},
    {"format", "FORMAT", AT(format), "slo", "of slo report: text, json or markdown"},
    {"at", "TIME", AT(at), "explain event", "at that time: RFC 3339, or a duration ago (-2h)"},
    {"for", "D", AT(last), "silence maintenance rota failover", "how long"},
    {"from", "TIME", AT(from), "silence maintenance rota replay drill", "the beginning (default: now)"},
    {"to", "TIME", AT(to), "silence maintenance rota replay failover",
     "the end, instead of --for; with failover: the region"},
    {"rules", "FILE", AT(rules), "replay", "the rules to try"},
    {"until-resolved", NULL, AT(until_resolved), "silence", "end when what it matches is resolved"},
    {"excludes-sla", NULL, AT(excludes_sla), "maintenance",
     "minutes within it do not count (declared beforehand)"},
    {"kind", "KIND", AT(kind), "event failover",
     "deployment, rollback, … (default deployment); with failover plan: failover, switchover, drill"},
    {"accept-data-loss", "S", AT(accept_data_loss), "failover",
     "of failover start, approve, plan: so many seconds of writes may be lost"},
    {"fenced-by-hand", NULL, AT(fenced_by_hand), "failover",
     "of failover approve, resume, break-glass: you vouch that the old side does not write"},
    {"confirm", "SERVICE", AT(confirm), "failover", "of failover break-glass: the service's name, typed"},
    {"text", "TEXT", AT(text), "event", "what happened"},
    {"labels", "NAME=VALUE,...", AT(labels), "event", "whom it concerns"},
};
enum { FLAGS = sizeof flags / sizeof *flags, O_VERSION = FLAGS + 256, O_HELP, O_MANUAL, O_BASH, O_ZSH };

static bool goes_with(const struct flag *f, const char *command)
{
    size_t n = strlen(command);

    for (const char *w = f->with; *w; w += strcspn(w, " "), w += strspn(w, " ")) {
        if (strcspn(w, " ") == n && strncmp(w, command, n) == 0)
            return true;
    }
    return !*f->with;
}

static void help(void)
{
    char line[100];

    (void)printf("Usage: sbctl [OPTIONS] COMMAND [ARGUMENTS]\n"
                 "Asks and operates an aggregator, by its unix socket or over the network.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)snprintf(line, sizeof line, "%s%s%s", commands[i].name, *commands[i].arguments ? " " : "",
                       commands[i].arguments);
        (void)printf("  %-56s %s\n", line, commands[i].summary);
    }
    (void)printf("\n");
    for (size_t i = 0; i < FLAGS; i++) {
        (void)snprintf(line, sizeof line, "--%s%s%s", flags[i].name, flags[i].argument ? " " : "",
                       flags[i].argument ? flags[i].argument : "");
        (void)printf("  %-24s %s\n", line, flags[i].help);
    }
    (void)printf("  %-24s %s\n  %-24s %s\n", "--version", "print the version and end", "--help",
                 "print this and end");
}

/* ---- generated from the tables: packaging/generate.sh ---- */

/* Text of a manual page: what roff takes for its own is escaped. */
static void roff(const char *s)
{
    for (; *s; s++) {
        if (*s == '-' || *s == '\\')
            (void)putchar('\\');
        if ((unsigned char)*s == 0xe2 && (unsigned char)s[1] == 0x80 && (unsigned char)s[2] == 0xa6) {
            (void)fputs("...", stdout);
            s += 2;
        } else {
            (void)putchar(*s);
        }
    }
}

static int print_manual(void)
{
    (void)printf(".SH COMMANDS\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)printf(".TP\n.B \"%s ", commands[i].name);
        roff(commands[i].arguments);
        (void)printf("\"\n");
        roff(commands[i].summary);
        (void)printf(".\n");
    }
    (void)printf(".SH OPTIONS\n");
    for (size_t i = 0; i < FLAGS; i++) {
        (void)printf(".TP\n.BI \"\\-\\-");
        roff(flags[i].name);
        (void)printf(flags[i].argument ? " \" \"" : "");
        roff(flags[i].argument ? flags[i].argument : "");
        (void)printf("\"\n");
        if (*flags[i].with) {
            (void)printf("With ");
            roff(flags[i].with);
            (void)printf(": ");
        }
        roff(flags[i].help);
        (void)printf(".\n");
    }
    (void)printf(".TP\n.BR \\-\\-version \", \" \\-\\-help\nPrint the version; print a summary.\n");
    return 0;
}

static void print_flags(const char *command, bool arguments_alone)
{
    for (size_t i = 0; i < FLAGS; i++) {
        if ((!command || goes_with(&flags[i], command)) && (!arguments_alone || flags[i].argument))
            (void)printf(" --%s", flags[i].name);
    }
}

static int print_bash(void)
{
    (void)printf(
        "# Completion of sbctl for bash. Generated by packaging/generate.sh from sbctl's "
        "tables.\n_sbctl()\n{\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word command='' words\n"
        "    COMPREPLY=()\n    case $prev in\n    --ca | --cert | --key | --socket)\n"
        "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n        return\n        ;;\n"
        "    esac\n    case \" ");
    print_flags(NULL, true);
    (void)printf(" \" in *\" $prev \"*) return ;; esac\n"
                 "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
                 "        case $word in\n");
    for (size_t i = 0; i < COMMANDS; i++)
        (void)printf("%s%s", i ? " | " : "        ", commands[i].name);
    (void)printf(
        ") command=${command:-$word} ;;\n        esac\n    done\n    case $command in\n    '') words=\"");
    for (size_t i = 0; i < COMMANDS; i++)
        (void)printf("%s ", commands[i].name);
    (void)printf("--url --socket --ca --cert --key --token --json --version --help\" ;;\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)printf("    %s) words=\"%s", commands[i].name, commands[i].words);
        print_flags(commands[i].name, false);
        (void)printf("\" ;;\n");
    }
    (void)printf("    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
                 "complete -F _sbctl sbctl\n");
    return 0;
}

/* Of zsh's _arguments: what stands in brackets must not hold a colon or bracket of its own. */
static void zsh_text(const char *s)
{
    for (; *s; s++) {
        if (strchr("[]:'", *s))
            (void)putchar(' ');
        else
            (void)putchar(*s);
    }
}

static void zsh_flags(const char *command)
{
    for (size_t i = 0; i < FLAGS; i++) {
        if (!goes_with(&flags[i], command))
            continue;
        (void)printf(" '--%s[", flags[i].name);
        zsh_text(flags[i].help);
        (void)printf("]");
        if (flags[i].argument) {
            (void)printf(":");
            zsh_text(flags[i].argument);
            (void)printf(strcmp(flags[i].argument, "FILE") == 0 || strcmp(flags[i].argument, "PATH") == 0
                             ? ":_files"
                             : ":");
        }
        (void)printf("'");
    }
}

static int print_zsh(void)
{
    (void)printf("#compdef sbctl\n# Completion of sbctl for zsh. Generated by packaging/generate.sh from "
                 "sbctl's tables.\n"
                 "local -a common commands\ncommon=(");
    zsh_flags("-");
    (void)printf(" '--version[print the version]' '--help[print a summary]')\ncommands=(\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)printf("    '%s:", commands[i].name);
        zsh_text(commands[i].summary);
        (void)printf("'\n");
    }
    (void)printf(")\nlocal state line\n"
                 "_arguments -C $common '1:command:->command' '*::argument:->argument' && return\n"
                 "case $state in\ncommand) _describe command commands ;;\nargument)\n    case $line[1] in\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)printf("    %s) _arguments", commands[i].name);
        if (*commands[i].words)
            (void)printf(" '1:what:(%s)'", commands[i].words);
        zsh_flags(commands[i].name);
        (void)printf(" ;;\n");
    }
    (void)printf("    esac\n    ;;\nesac\n");
    return 0;
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

static int set_flag(const struct flag *f, char *value, struct ctl_options *o)
{
    char *to = (char *)o + f->at;
    bool yes = true;

    if (f->at == AT(interval))
        return read_interval(value, &o->interval);
    if (f->argument)
        memcpy(to, &value, sizeof value);
    else
        memcpy(to, &yes, sizeof yes);
    return CLI_GO_ON;
}

/* CLI_GO_ON, or the status to exit with. */
static int read_options(int argc, char **argv, struct ctl_options *o)
{
    struct option longopts[FLAGS + 6] = {{0}};
    int c, status = CLI_GO_ON;

    for (int i = 0; i < FLAGS; i++)
        longopts[i] = (struct option){flags[i].name, flags[i].argument ? required_argument : no_argument,
                                      NULL, 256 + i};
    longopts[FLAGS] = (struct option){"version", no_argument, NULL, O_VERSION};
    longopts[FLAGS + 1] = (struct option){"help", no_argument, NULL, O_HELP};
    longopts[FLAGS + 2] = (struct option){"print-manual", no_argument, NULL, O_MANUAL};
    longopts[FLAGS + 3] = (struct option){"print-bash", no_argument, NULL, O_BASH};
    longopts[FLAGS + 4] = (struct option){"print-zsh", no_argument, NULL, O_ZSH};
    while (status == CLI_GO_ON && (c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
        switch (c) {
        case O_VERSION: return print_version();
        case O_MANUAL: return print_manual();
        case O_BASH: return print_bash();
        case O_ZSH: return print_zsh();
        case 'h':
        case O_HELP: help(); return 0;
        case '?': (void)fprintf(stderr, "Try 'sbctl --help'.\n"); return EXIT_USAGE;
        default: status = set_flag(&flags[c - 256], optarg, o);
        }
    }
    return status;
}

static bool is_set(const struct flag *f, const struct ctl_options *o)
{
    const char *from = (const char *)o + f->at, *text = NULL;
    bool yes = false;

    if (f->at == AT(interval))
        return o->interval != 0;
    if (f->argument)
        memcpy(&text, from, sizeof text);
    else
        memcpy(&yes, from, sizeof yes);
    return text || yes;
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
    for (size_t i = 0; name && i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* Options that do nothing for this command are refused. */
static int check_options(const struct ctl_options *o, const char *command)
{
    for (size_t i = 0; i < FLAGS; i++) {
        if (*flags[i].with && is_set(&flags[i], o) && !goes_with(&flags[i], command))
            return usage("--%s goes with %s", flags[i].name, flags[i].with);
    }
    if (o->json && strcmp(command, "top") == 0)
        return usage("--json does not go with top: status, agents and percentiles have what it shows");
    return CLI_GO_ON;
}

static int usage_command(const char *found)
{
    char names[400] = "";
    size_t n = 0;

    for (size_t i = 0; i < COMMANDS && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s",
                              i == 0             ? ""
                              : i + 1 < COMMANDS ? ", "
                                                 : " or ",
                              commands[i].name);
    return found ? usage("found \"%.80s\", expected %s", found, names)
                 : usage("a command is expected: %s", names);
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
        return usage_command(NULL);
    command = find(argv[optind]);
    if (!command)
        return usage_command(argv[optind]);
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
