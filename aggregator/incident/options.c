/* [incidents]: what makes an incident, and for how long. */
#include "aggregator/incident/incident.h"

#define SECONDS INT64_C(1000000000)

static const struct option_row rows[] = {
    {.key = "by",
     .type = OPT_LIST,
     .dflt = "service region",
     .reloadable = true,
     .max = 8,
     .sentence =
         "Labels of grouping: alerts that agree in all of them belong to one incident; without any, all do."},
    {.key = "open",
     .type = OPT_LIST,
     .dflt = "critical error",
     .reloadable = true,
     .max = 4,
     .sentence = "Severities of alerts that open an incident (critical error warning info); others join one "
                 "that is open."},
    {.key = "window",
     .type = OPT_DURATION,
     .dflt = "2h",
     .reloadable = true,
     .min = 60 * SECONDS,
     .max = 30 * 86400 * SECONDS,
     .sentence =
         "An alert joins an open incident of its group whose newest alert fired no longer ago; else it opens "
         "another."},
    {.key = "reopen",
     .type = OPT_DURATION,
     .dflt = "30m",
     .reloadable = true,
     .min = 0,
     .max = 30 * 86400 * SECONDS,
     .sentence =
         "An incident is opened again when an alert of its group fires no longer after it was resolved; 0s: "
         "never."},
    {.key = "resolve_after",
     .type = OPT_DURATION,
     .dflt = "10m",
     .reloadable = true,
     .min = 0,
     .max = 30 * 86400 * SECONDS,
     .sentence = "An incident is resolved when none of its alerts has fired for so long."},
    {.key = "keep",
     .type = OPT_DURATION,
     .dflt = "365d",
     .reloadable = true,
     .min = 86400 * SECONDS,
     .max = 3660 * 86400 * SECONDS,
     .sentence = "Resolved incidents and their timelines are kept for so long, at most 1000 of them."},
};

const struct section_row incidents_section = {
    .name = "incidents",
    .sentence = "Incidents: which alerts belong together, and for how long.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
};
