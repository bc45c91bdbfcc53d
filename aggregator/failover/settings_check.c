/* Mistakes in the configuration of failover, each told. See settings.h. */
#include <string.h>

#include "aggregator/failover/settings_private.h"

static int check_words(const struct section *s, const char *key, bool url, struct buf *report, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < option_count(s, key); i++) {
        const char *word = option_word(s, key, i), *value;
        uint8_t region;
        int bad = 0;

        value = settings_split(s, word, &region);
        if (!value)
            bad = config_complain(report, s, key, e, "found \"%s\", expected REGION=%s", word,
                                  url ? "URL" : "AGENT/GUARD");
        else if (region == FO_NONE)
            bad = config_complain(report, s, key, e, "found \"%s\", whose region is not among regions", word);
        else if (url && strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0 &&
                 strncmp(value, "tcp://", 6) != 0)
            bad = config_complain(report, s, key, e, "found \"%s\", expected http://, https:// or tcp://",
                                  value);
        else if (!url && !strchr(value, '/'))
            bad = config_complain(report, s, key, e, "found \"%s\", expected AGENT/GUARD", value);
        else if (strlen(value) >= (url ? (size_t)FO_URL : (size_t)FO_GUARD_NAME))
            bad = config_complain(report, s, key, e, "at most %d bytes are allowed",
                                  url ? FO_URL : FO_GUARD_NAME);
        rc = rc ? rc : bad;
    }
    return rc;
}

static int check_regions(const struct section *s, struct buf *report, struct err *e)
{
    for (size_t i = 0; i < option_count(s, "regions"); i++) {
        const char *word = option_word(s, "regions", i);

        if (strlen(word) >= FO_NAME)
            return config_complain(report, s, "regions", e, "at most %d bytes are allowed", FO_NAME - 1);
        if (settings_region(s, word, strlen(word)) != i)
            return config_complain(report, s, "regions", e, "found \"%s\" twice", word);
    }
    return 0;
}

static int check_service(const struct config *c, const struct section *s, struct buf *report, struct err *e)
{
    struct fo_settings f;
    int rc = check_regions(s, report, e), bad = check_words(s, "probes", true, report, e);

    rc = rc ? rc : bad;
    bad = check_words(s, "guards", false, report, e);
    rc = rc ? rc : bad;
    if (rc)
        return rc;
    failover_settings(c, s, &f);
    if (*f.users && !settings_find(c, "slo", f.users))
        rc = config_complain(report, s, "users", e, "found \"%s\", but there is no [slo %s]", f.users,
                             f.users);
    if (*f.database && !settings_find(c, "action", f.database))
        rc = config_complain(report, s, "database", e, "found \"%s\", but there is no [action %s]",
                             f.database, f.database);
    else if (*f.database && !action_figures(settings_find(c, "action", f.database)))
        rc = config_complain(report, s, "database", e, "[action %s] tells no lag of a replication",
                             f.database);
    if (f.core.automation == FO_AUTO && !f.core.auto_ok)
        rc = config_complain(report, s, "automation", e, "auto is not allowed: %s", f.why_not_auto);
    if (f.core.t.contract <
        f.core.t.serving + 10000) /* an answer may be 3.5 s old, and fencing takes its time */
        rc = config_complain(report, s, "contract", e, "it has to be 10s longer than serving at least");
    if (f.core.t.validate_most < f.core.t.validate)
        rc = config_complain(report, s, "validate_most", e, "it cannot be shorter than validate");
    return rc;
}

static int check_actions(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *a;
    int rc = 0, bad;

    for (size_t i = 0; (a = config_named(c, "action", i)) != NULL; i++) {
        const char *service = option_text(a, "service");

        bad = 0;
        if (!settings_find(c, "failover", service))
            bad = config_complain(report, a, "service", e, "found \"%s\", but there is no [failover %s]",
                                  service, service);
        rc = rc ? rc : bad;
    }
    return rc;
}

static int check_own(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *own = config_section(c, "aggregator"), *v;
    const char *name = failover_voter(c);

    if (!*name)
        return failover_wanted(c) ? config_complain(report, own, "voter", e,
                                                    "it is needed with [failover]: which [voter] is this?")
                                  : 0;
    v = settings_find(c, "voter", name);
    if (!v)
        return config_complain(report, own, "voter", e, "found \"%s\", but there is no [voter %s]", name,
                               name);
    if (strcmp(option_text(v, "region"), option_text(own, "region")) != 0)
        return config_complain(report, own, "voter", e, "[voter %s] stands in %s, this aggregator in %s",
                               name, option_text(v, "region"), option_text(own, "region"));
    return 0;
}

int failover_check(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = check_own(c, report, e), bad = check_actions(c, report, e);

    rc = rc ? rc : bad;
    if (config_named(c, "voter", FO_VOTERS))
        rc = config_complain(report, config_named(c, "voter", FO_VOTERS), NULL, e,
                             "at most %d voters are allowed", FO_VOTERS);
    if (config_named(c, "failover", FO_SERVICES))
        rc = config_complain(report, config_named(c, "failover", FO_SERVICES), NULL, e,
                             "at most %d services are allowed", FO_SERVICES);
    for (size_t i = 0; (s = config_named(c, "failover", i)) != NULL; i++) {
        bad = check_service(c, s, report, e);
        rc = rc ? rc : bad;
    }
    return rc;
}
