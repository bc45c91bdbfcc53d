/* [history]: what bounds the gathering of gains. */
#include "aggregator/series/series.h"

static const struct option_row rows[] = {
    {.key = "max_groups",
     .type = OPT_INT,
     .dflt = "10000",
     .min = 1,
     .max = 1000000,
     .unit = "groups",
     .reloadable = true,
     .sentence =
         "Groups that one selection (what an objective, a rule or a percentile looks at) may have; values "
         "of further ones are counted and left out."},
};

const struct section_row history_section = {
    .name = "history",
    .sentence = "What is kept of the past of everything that objectives, rules and percentiles look at.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
};
