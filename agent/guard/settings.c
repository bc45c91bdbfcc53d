/* Options of guards: see settings.h. */
#include "agent/guard/settings.h"

#include <string.h>

#include "common/net/host.h"

#define MS INT64_C(1000000)
#define S  (1000 * MS)

static const struct option_row rows[] = {
    {.key = "service",
     .type = OPT_STRING,
     .required = true,
     .sentence = "The service that is guarded: the name of a [failover] section of the aggregators."},
    {.key = "region",
     .type = OPT_STRING,
     .dflt = "",
     .sentence = "Region of the service on this host, as the aggregators name it; empty: that of the agent."},
    {.key = "endpoints",
     .type = OPT_URLS,
     .dflt = "",
     .max = GUARD_ENDPOINTS,
     .sentence = "ALL aggregators that decide about the service, in every region, witnesses included; empty: "
                 "[ship] endpoints."},
    {.key = "interval",
     .type = OPT_DURATION,
     .dflt = "5s",
     .min = 500 * MS,
     .max = 6 * S,
     .sentence = "Time between two rounds of asking; in doubt it is a second."},
    {.key = "fence_timeout",
     .type = OPT_DURATION,
     .dflt = "8s",
     .min = 1 * S,
     .max = 60 * S,
     .sentence = "How long one attempt to fence may take; beyond 8 s the aggregators' `contract` has to grow "
                 "with it."},
    {.key = "helper",
     .type = OPT_PATH,
     .sentence =
         "Unix socket of a helper that runs by itself (securebase-guard@NAME.service); absent: the agent "
         "starts one of its own, with its own rights."},
    {.key = "user",
     .type = OPT_STRING,
     .dflt = "",
     .sentence = "The helper gives up root and becomes this user; empty: it stays what it was started as."},
    {.key = "capabilities",
     .type = OPT_LIST,
     .dflt = "",
     .sentence =
         "What a helper that stays root keeps of root's rights for its commands, such as net_admin, beside "
         "what haproxy and postgresql need."},
    {.key = "state_dir",
     .type = OPT_PATH,
     .sentence = "Folder of guard-NAME.state; absent: that of the agent."},
    {.key = "lease_file",
     .type = OPT_PATH,
     .sentence =
         "File that tells the service itself until when it may write, to be asked before each answer to a "
         "write; absent: none. In a folder that exists, on a tmpfs."},
    {.key = "unit",
     .type = OPT_LIST,
     .dflt = "",
     .max = FENCE_WORDS - 8,
     .sentence = "Fence: these units of systemd are stopped, and started when the service is let go."},
    {.key = "haproxy",
     .type = OPT_PATH,
     .sentence = "Fence: runtime socket of an HAProxy (level admin) whose servers are put into maintenance."},
    {.key = "servers",
     .type = OPT_LIST,
     .dflt = "",
     .max = FENCE_WORDS,
     .sentence = "With haproxy: BACKEND/SERVER, or BACKEND for all servers of it."},
    {.key = "postgresql",
     .type = OPT_PATH,
     .sentence = "Fence: data folder of a PostgreSQL that is not to be written to."},
    {.key = "postgresql_mode",
     .type = OPT_CHOICE,
     .choices = "cut stop",
     .dflt = "cut",
     .sentence =
         "cut: only its own superuser on this host and replication get in; stop: it is stopped at once."},
    {.key = "postgresql_keep",
     .type = OPT_LIST,
     .dflt = "",
     .max = FENCE_KEEP,
     .sentence = "With postgresql: roles that a cut still lets into the database postgres, as its rules "
                 "before did: that "
                 "of the aggregators' [action] of type postgresql."},
    {.key = "postgresql_hba",
     .type = OPT_PATH,
     .sentence = "With postgresql: its pg_hba.conf; absent: that in the data folder."},
    {.key = "postgresql_bin",
     .type = OPT_PATH,
     .sentence = "With postgresql: folder of psql and pg_ctl; absent: /usr/lib/postgresql/VERSION/bin."},
    {.key = "command",
     .type = OPT_LIST,
     .dflt = "",
     .max = FENCE_WORDS,
     .sentence = "Fence: a program and its arguments, without a shell; status 0 says that the service does "
                 "not write."},
    {.key = "prove_command",
     .type = OPT_LIST,
     .dflt = "",
     .max = FENCE_WORDS,
     .sentence =
         "With command: status 0 proves that the service does not write; asked after the fence, and again "
         "and again while it holds."},
    {.key = "release_command",
     .type = OPT_LIST,
     .dflt = "",
     .max = FENCE_WORDS,
     .sentence = "With command: lets the service write again."},
};

const struct section_row guard_section = {
    .name = "guard",
    .named = true,
    .sentence = "A service on this host that may write only while the aggregators say so (docs/guard.md).",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .example = "app",
};

const char *fence_kind_name(enum fence_kind k)
{
    static const char *const names[FENCE_KINDS] = {"unit", "haproxy", "postgresql", "command"};

    return names[k];
}

/* capabilities(7), in the order of their numbers (linux/capability.h). */
int capability_number(const char *name)
{
    static const char *const names[] = {
        "chown",
        "dac_override",
        "dac_read_search",
        "fowner",
        "fsetid",
        "kill",
        "setgid",
        "setuid",
        "setpcap",
        "linux_immutable",
        "net_bind_service",
        "net_broadcast",
        "net_admin",
        "net_raw",
        "ipc_lock",
        "ipc_owner",
        "sys_module",
        "sys_rawio",
        "sys_chroot",
        "sys_ptrace",
        "sys_pacct",
        "sys_admin",
        "sys_boot",
        "sys_nice",
        "sys_resource",
        "sys_time",
        "sys_tty_config",
        "mknod",
        "lease",
        "audit_write",
        "audit_control",
        "setfcap",
        "mac_override",
        "mac_admin",
        "syslog",
        "wake_alarm",
        "block_suspend",
        "audit_read",
        "perfmon",
        "bpf",
        "checkpoint_restore",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return (int)i;
    return -1;
}

static unsigned kinds_of(const struct section *s)
{
    return (option_count(s, "unit") ? 1U << FENCE_UNIT : 0) |
           (option_set(s, "haproxy") ? 1U << FENCE_HAPROXY : 0) |
           (option_set(s, "postgresql") ? 1U << FENCE_POSTGRESQL : 0) |
           (option_count(s, "command") ? 1U << FENCE_COMMAND : 0);
}

static uint64_t capabilities_of(const struct section *s, unsigned kinds)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < option_count(s, "capabilities"); i++) {
        int n = capability_number(option_word(s, "capabilities", i));

        if (n >= 0)
            bits |= UINT64_C(1) << n;
    }
    if (kinds & 1U << FENCE_HAPROXY) /* its socket belongs to its own user */
        bits |= UINT64_C(1) << capability_number("dac_override");
    if (kinds & 1U << FENCE_POSTGRESQL) /* what is done to it is done as the owner of its data */
        bits |= UINT64_C(1) << capability_number("setuid") | UINT64_C(1) << capability_number("setgid") |
                UINT64_C(1) << capability_number("kill") |
                UINT64_C(1) << capability_number("dac_read_search");
    return bits;
}

void guard_settings_read(const struct config *c, const struct section *s, struct guard_settings *out)
{
    const struct section *agent = config_section(c, "agent"), *from = s;

    *out = (struct guard_settings){.name = section_label(s),
                                   .service = option_text(s, "service"),
                                   .region = option_text(s, "region"),
                                   .interval = option_span(s, "interval"),
                                   .timeout = option_span(s, "fence_timeout"),
                                   .socket = option_text(s, "helper"),
                                   .user = option_text(s, "user"),
                                   .state_dir = option_text(s, "state_dir"),
                                   .lease_file = option_text(s, "lease_file"),
                                   .kinds = kinds_of(s),
                                   .section = s};
    if (!*out->region)
        out->region = option_text(agent, "region");
    if (!out->state_dir)
        out->state_dir = option_text(agent, "state_dir");
    if (!option_count(s, "endpoints"))
        from = config_section(c, "ship");
    while (out->n_endpoints < GUARD_ENDPOINTS && out->n_endpoints < option_count(from, "endpoints")) {
        out->endpoints[out->n_endpoints] = option_word(from, "endpoints", out->n_endpoints);
        out->n_endpoints++;
    }
    out->capabilities = capabilities_of(s, out->kinds);
}

const struct section *guard_section_find(const struct config *c, const char *name)
{
    const struct section *s;

    for (size_t i = 0; (s = config_named(c, "guard", i)); i++)
        if (strcmp(section_label(s), name) == 0)
            return s;
    return NULL;
}

/* ---- checks ---- */

static int check_command(const struct section *s, const char *key, struct buf *report, struct err *e)
{
    if (option_count(s, key) && option_word(s, key, 0)[0] != '/')
        return config_complain(report, s, key, e, "found \"%.80s\", expected an absolute path",
                               option_word(s, key, 0));
    if (strcmp(key, "command") != 0 && option_count(s, key) && !option_count(s, "command"))
        return config_complain(report, s, key, e, "goes with command");
    return 0;
}

static int check_fences(const struct section *s, struct buf *report, struct err *e)
{
    static const char *const of_postgresql[] = {"postgresql_hba", "postgresql_bin"}, *const commands[] = {
                                                                                         "command",
                                                                                         "prove_command",
                                                                                         "release_command"};
    int rc = 0;

    if (!kinds_of(s))
        rc = config_complain(report, s, NULL, e,
                             "needs at least one fence: unit, haproxy, postgresql or command");
    if (option_set(s, "haproxy") != (option_count(s, "servers") > 0))
        rc = config_complain(report, s, "servers", e, "haproxy and servers go together");
    for (size_t i = 0; i < option_count(s, "servers"); i++)
        if (strpbrk(option_word(s, "servers", i), ";\\\"' "))
            rc = config_complain(report, s, "servers", e,
                                 "found \"%.80s\", expected BACKEND/SERVER or BACKEND",
                                 option_word(s, "servers", i));
    for (size_t i = 0; i < option_count(s, "unit"); i++)
        if (!strchr(option_word(s, "unit", i), '.') || option_word(s, "unit", i)[0] == '-')
            rc = config_complain(report, s, "unit", e,
                                 "found \"%.80s\", expected a unit with its suffix, app.service",
                                 option_word(s, "unit", i));
    for (size_t i = 0; i < 2; i++)
        if (option_set(s, of_postgresql[i]) && !option_set(s, "postgresql"))
            rc = config_complain(report, s, of_postgresql[i], e, "goes with postgresql");
    for (size_t i = 0; i < option_count(s, "postgresql_keep"); i++)
        if (!guard_name_ok(option_word(s, "postgresql_keep", i)) || !option_set(s, "postgresql"))
            rc = config_complain(
                report, s, "postgresql_keep", e,
                "found \"%.80s\", expected roles of letters, digits, '.', '_' and '-', with postgresql",
                option_word(s, "postgresql_keep", i));
    for (size_t i = 0; i < 3; i++)
        if (check_command(s, commands[i], report, e) != 0)
            rc = ERR_CONFIG;
    return rc;
}

static int check_rights(const struct section *s, struct buf *report, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < option_count(s, "capabilities"); i++)
        if (capability_number(option_word(s, "capabilities", i)) < 0)
            rc = config_complain(
                report, s, "capabilities", e,
                "found \"%.40s\", expected names of capabilities(7) in small letters, without cap_",
                option_word(s, "capabilities", i));
    if (*option_text(s, "user") && option_count(s, "capabilities"))
        rc = config_complain(report, s, "capabilities", e, "a helper that becomes another user keeps none");
    return rc;
}

static int check_endpoints(const struct section *s, const struct section *ship, struct buf *report,
                           struct err *e)
{
    bool own = option_count(s, "endpoints") > 0;
    const struct section *from = own ? s : ship;
    size_t n = option_count(from, "endpoints");
    int rc = 0;

    if (!n)
        return config_complain(report, s, "endpoints", e,
                               "is needed: all aggregators that decide about the service");
    for (size_t i = 0; own && i < n; i++) {
        const char *url = option_word(s, "endpoints", i);

        if (strncmp(url, "https://", 8) != 0 && !host_url_is_loopback(url))
            rc = config_complain(report, s, "endpoints", e,
                                 "found \"%s\", expected https://, or http:// to a loopback address", url);
        else if (strlen(url) > 900)
            rc = config_complain(report, s, "endpoints", e, "a URL is longer than 900 bytes");
        for (size_t k = 0; k < i; k++)
            if (strcmp(url, option_word(s, "endpoints", k)) == 0)
                rc = config_complain(report, s, "endpoints", e, "\"%s\" stands there twice", url);
    }
    return rc;
}

int guards_check(const struct config *c, struct buf *report, struct err *e)
{
    const char *own = option_text(config_section(c, "agent"), "region");
    const struct section *s, *ship = config_section(c, "ship");
    int rc = 0;
    size_t i;

    for (i = 0; (s = config_named(c, "guard", i)); i++) {
        const char *region = option_text(s, "region");

        if (!guard_name_ok(section_label(s)))
            rc = config_complain(report, s, NULL, e, "the name may not begin with '.'");
        if (!guard_name_ok(option_text(s, "service")))
            rc = config_complain(report, s, "service", e,
                                 "expected 1 to %d letters, digits, '.', '_' or '-', not beginning with '.'",
                                 GUARD_NAME - 1);
        if (strlen(*region || !own ? region : own) >= GUARD_NAME)
            rc = config_complain(report, s, "region", e, "expected at most %d bytes", GUARD_NAME - 1);
        if (check_endpoints(s, ship, report, e) != 0)
            rc = ERR_CONFIG;
        if (check_fences(s, report, e) != 0)
            rc = ERR_CONFIG;
        if (check_rights(s, report, e) != 0)
            rc = ERR_CONFIG;
    }
    if (i > GUARDS_MOST)
        rc = config_complain(report, config_named(c, "guard", GUARDS_MOST), NULL, e,
                             "at most %d guards are taken", GUARDS_MOST);
    return rc;
}
