/* [coordination]: which store decides between regions, and how it is reached. See authority.h. */
#include "aggregator/failover/authority.h"

#include <string.h>

#define MS INT64_C(1000000)

static const struct option_row rows[] = {
    {.key = "type",
     .type = OPT_CHOICE,
     .choices = "local etcd",
     .dflt = "local",
     .sentence = "Where it is decided who may move a service: local, in the control store of this machine, "
                 "for a single "
                 "aggregator outside of the primary region; etcd, in a cluster with members in three regions "
                 "or more."},
    {.key = "endpoints",
     .type = OPT_URLS,
     .max = 9,
     .sentence = "etcd: its members' client URLs, the nearest first."},
    {.key = "ca",
     .type = OPT_PATH,
     .sentence = "Certificates (PEM) that etcd's are judged by; without it the system's."},
    {.key = "cert", .type = OPT_PATH, .sentence = "Our certificate (PEM) for etcd."},
    {.key = "key", .type = OPT_PATH, .sentence = "The certificate's key (PEM)."},
    {.key = "user", .type = OPT_STRING, .sentence = "Name for etcd's authentication."},
    {.key = "password", .type = OPT_SECRET, .sentence = "Password for etcd's authentication."},
    {.key = "prefix",
     .type = OPT_STRING,
     .dflt = "/securebase",
     .sentence =
         "Our keys in etcd begin with this and a slash; clusters that share an etcd have different ones."},
    {.key = "lease",
     .type = OPT_DURATION,
     .dflt = "15s",
     .min = INT64_C(10000000000), /* confirmed every 3 s, and no effect within its last 4 s */
     .max = INT64_C(120000000000),
     .sentence = "Of the one who decides. Shorter than 15s across regions, an election of etcd's deposes the "
                 "healthy."},
    {.key = "place_leader",
     .type = OPT_BOOL,
     .dflt = "yes",
     .sentence = "etcd: whoever decides from outside of the active region asks the first of its endpoints to "
                 "lead etcd. no: for an etcd that others use too."},
    {.key = "timeout",
     .type = OPT_DURATION,
     .dflt = "1s",
     .min = 200 * MS,
     .max = 5000 * MS,
     .sentence = "A call has so long, over all members that are tried, each of them half of it; then etcd "
                 "counts as away."},
};
const struct section_row coordination_section = {
    .name = "coordination",
    .sentence = "The authority between regions: who may decide, and where decisions are committed.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
};

/* https, or http to this very machine: else whoever stands in between could hand out the authority. */
static bool url_safe(const char *url)
{
    static const char *const hosts[] = {"http://127.", "http://localhost:", "http://localhost/",
                                        "http://[::1]"};

    if (strncmp(url, "https://", 8) == 0)
        return true;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (strncmp(url, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return strcmp(url, "http://localhost") == 0;
}

static bool prefix_sound(const char *p)
{
    size_t n = strlen(p);

    return n > 1 && n <= 64 && p[0] == '/' && p[n - 1] != '/' &&
           strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == n;
}

static int check_local(const struct section *s, struct buf *report, struct err *e)
{
    static const char *const none[] = {"endpoints", "ca", "cert", "key", "user", "password"};
    int rc = 0;

    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (option_set(s, none[i]))
            rc = config_complain(report, s, none[i], e, "belongs to type = etcd");
    return rc;
}

static int check_etcd(const struct section *s, struct buf *report, struct err *e)
{
    int rc = 0;

    if (option_count(s, "endpoints") == 0)
        rc = config_complain(report, s, "endpoints", e, "type = etcd needs at least one");
    for (size_t i = 0; i < option_count(s, "endpoints"); i++)
        if (!url_safe(option_word(s, "endpoints", i)))
            rc = config_complain(report, s, "endpoints", e, "%.200s: only https leaves this machine",
                                 option_word(s, "endpoints", i));
    if (option_set(s, "user") != option_set(s, "password"))
        rc = config_complain(report, s, option_set(s, "user") ? "user" : "password", e,
                             "user and password belong together");
    if (option_set(s, "cert") != option_set(s, "key"))
        rc = config_complain(report, s, option_set(s, "cert") ? "cert" : "key", e,
                             "cert and key belong together");
    if (!prefix_sound(option_text(s, "prefix")))
        rc = config_complain(report, s, "prefix", e,
                             "expected a slash and up to 63 of a-z A-Z 0-9 / . _ -, not ending in a slash");
    return rc;
}

int authority_check(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s = config_section(c, "coordination");

    return strcmp(option_text(s, "type"), "etcd") == 0 ? check_etcd(s, report, e) : check_local(s, report, e);
}
