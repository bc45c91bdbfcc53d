/* The options of failover: [voter NAME], [canary NAME], [failover SERVICE]. See settings.h. */
#include "aggregator/failover/settings_private.h"

static const struct option_row voter_rows[] = {
    {.key = "region",
     .type = OPT_STRING,
     .required = true,
     .sentence = "Its failure domain: a region of a service, or one of its own."},
    {.key = "leads",
     .type = OPT_BOOL,
     .dflt = "yes",
     .sentence = "Whether it may lead, which a witness never does."},
};
const struct section_row voter_section = {
    .name = "voter",
    .named = true,
    .sentence = "One of those that look and vote, ourselves among them: the same list at every aggregator. A "
                "majority of "
                "the voters listed decides, silent ones included.",
    .rows = voter_rows,
    .n_rows = sizeof voter_rows / sizeof *voter_rows,
    .example = "west",
};

static const struct option_row canary_rows[] = {
    {.key = "url",
     .type = OPT_STRING,
     .required = true,
     .reloadable = true,
     .sentence = "http://, https:// or tcp://host:port."},
};
const struct section_row canary_section = {
    .name = "canary",
    .named = true,
    .sentence = "Something outside of all regions: unless most of them answer, it is our own network that is "
                "ill, and our "
                "vote is unknown.",
    .rows = canary_rows,
    .n_rows = sizeof canary_rows / sizeof *canary_rows,
    .example = "one",
};

static const struct option_row failover_rows[] = {
    {.key = "regions",
     .type = OPT_LIST,
     .required = true,
     .min = 2,
     .max = FO_REGIONS,
     .sentence = "Where the service can live: home first, then in order of preference."},
    {.key = "automation",
     .type = OPT_CHOICE,
     .choices = "observe propose auto",
     .dflt = "propose",
     .reloadable = true,
     .sentence = "Only look and tell; ask for approval; or act, which needs voters in three failure domains, "
                 "two of them "
                 "outside home, an authority of which one side's loss takes no majority, and a fence."},
    {.key = "probes",
     .type = OPT_LIST,
     .dflt = "",
     .max = FO_PROBES_MOST,
     .reloadable = true,
     .sentence = "REGION=URL, several for a region: http://, https:// or tcp:// names that lead to that "
                 "region alone, "
                 "asked from here."},
    {.key = "probe_interval",
     .type = OPT_DURATION,
     .dflt = "5s",
     .min = 1 * S,
     .max = 300 * S,
     .reloadable = true,
     .sentence = "How often the probes are made."},
    {.key = "probe_fast",
     .type = OPT_DURATION,
     .dflt = "1s",
     .min = 200 * MS,
     .max = 60 * S,
     .reloadable = true,
     .sentence = "The same in doubt."},
    {.key = "probe_timeout",
     .type = OPT_DURATION,
     .dflt = "2s",
     .min = 100 * MS,
     .max = 60 * S,
     .reloadable = true,
     .sentence = "A probe fails after so long."},
    {.key = "probe_failures",
     .type = OPT_INT,
     .dflt = "3",
     .min = 1,
     .max = 100,
     .reloadable = true,
     .sentence = "So many in a row count as down."},
    {.key = "probe_successes",
     .type = OPT_INT,
     .dflt = "20",
     .min = 1,
     .max = 1000,
     .reloadable = true,
     .sentence = "So many in a row count as up again."},
    {.key = "up_after",
     .type = OPT_DURATION,
     .dflt = "120s",
     .min = 0,
     .max = 3600 * S,
     .reloadable = true,
     .sentence = "A region that was down has to answer so long before it counts as up."},
    {.key = "probe_ca",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence =
         "PEM file of the authority that the probed certificates come from; without it, the system's."},
    {.key = "users",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "An objective whose groups carry the label region: what users see counts as evidence."},
    {.key = "users_least",
     .type = OPT_INT,
     .dflt = "30",
     .min = 1,
     .max = 1000000,
     .reloadable = true,
     .sentence = "With fewer events in a minute users say nothing."},
    {.key = "database",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "The action whose driver reads the replication's lag."},
    {.key = "guards",
     .type = OPT_LIST,
     .dflt = "",
     .max = FO_GUARDS,
     .sentence = "REGION=AGENT/GUARD of every host on which the service's writers run."},
    {.key = "act_on_gray",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "Moves also when users are hurt while monitors see nothing."},
    {.key = "fence_required",
     .type = OPT_BOOL,
     .dflt = "yes",
     .sentence = "Nobody is promoted before the old side is fenced. No: for services without writers."},
    {.key = "unknown_lag",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence = "Moves also when nobody knows what would be lost."},
    {.key = "budget_day",
     .type = OPT_INT,
     .dflt = "1",
     .min = 0,
     .max = 100,
     .reloadable = true,
     .sentence = "Automatic failovers within 24 hours."},
    {.key = "budget_week",
     .type = OPT_INT,
     .dflt = "2",
     .min = 0,
     .max = 100,
     .reloadable = true,
     .sentence = "Automatic failovers within 7 days."},
    {.key = "public",
     .type = OPT_BOOL,
     .dflt = "no",
     .sentence = "Answers /fo/v1/SERVICE/primary-off on the public listener, for inverted health checks."},
#define ROW(name, value, least, top, text)                                                                   \
    {.key = #name,                                                                                           \
     .type = OPT_DURATION,                                                                                   \
     .dflt = (value),                                                                                        \
     .min = (least),                                                                                         \
     .max = (top),                                                                                           \
     .reloadable = true,                                                                                     \
     .sentence = (text)},
    TIMES(ROW)
#undef ROW
};
const struct section_row failover_section = {
    .name = "failover",
    .named = true,
    .sentence = "A service that can move to another region.",
    .rows = failover_rows,
    .n_rows = sizeof failover_rows / sizeof *failover_rows,
    .example = "app",
};

size_t failover_sections(struct section_row out[FO_SECTIONS])
{
    out[0] = voter_section;
    out[1] = canary_section;
    out[2] = failover_section;
    return FO_SECTIONS;
}
