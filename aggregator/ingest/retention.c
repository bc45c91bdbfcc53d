/* See retention.h. The section named `default` holds for all other environments; a key
 * that a section does not set is that of `default`. */
#include "aggregator/ingest/retention.h"

#include <string.h>

#define HOUR INT64_C(3600000000000)
#define DAY  (24 * HOUR)

static const struct option_row rows[] = {
    {.key = "steps",
     .type = OPT_DURATION,
     .dflt = "6h",
     .min = 2 * HOUR,
     .max = 30 * DAY,
     .reloadable = true,
     .sentence = "How long steps of 10 seconds are kept."},
    {.key = "minutes",
     .type = OPT_DURATION,
     .dflt = "30d",
     .min = 3 * DAY,
     .max = 730 * DAY,
     .reloadable = true,
     .sentence = "How long minutes are kept."},
    {.key = "hours",
     .type = OPT_DURATION,
     .dflt = "365d",
     .min = 7 * DAY,
     .max = 3650 * DAY,
     .reloadable = true,
     .sentence = "How long hours are kept."},
    {.key = "days",
     .type = OPT_DURATION,
     .dflt = "1825d",
     .min = 30 * DAY,
     .max = 36500 * DAY,
     .reloadable = true,
     .sentence = "How long days are kept."},
};

const struct section_row retention_section = {
    .name = "retention",
    .named = true,
    .sentence =
        "How long the past of an environment is kept (the label env of a group, else of its first series); "
        "`default` holds for all others.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .example = "default",
};

static const struct section *dflt_of(const struct config *config)
{
    const struct section *s;

    for (size_t i = 0; (s = config_named(config, "retention", i)); i++) {
        if (strcmp(section_label(s), "default") == 0)
            return s;
    }
    return NULL;
}

static void read(const struct section *s, const struct section *dflt, int64_t ms[TIERS])
{
    static const int64_t built_in[TIERS] = {6 * HOUR, 30 * DAY, 365 * DAY, 1825 * DAY};

    for (int t = TIER_STEP; t < TIERS; t++) {
        const struct section *from = s && option_set(s, rows[t].key) ? s : dflt;

        ms[t] = (from ? option_span(from, rows[t].key).ns : built_in[t]) / 1000000;
    }
}

void retention_read(const struct config *config, struct history_keep_env list[RETENTIONS],
                    struct history_keep *out)
{
    const struct section *dflt = dflt_of(config), *s;

    *out = (struct history_keep){.v = list};
    read(NULL, dflt, out->dflt);
    for (size_t i = 0; (s = config_named(config, "retention", i)) && out->n < RETENTIONS; i++) {
        struct history_keep_env *to = &list[out->n];
        size_t n = strlen(section_label(s));

        if (s == dflt || n >= sizeof to->env)
            continue;
        *to = (struct history_keep_env){.env = ""};
        memcpy(to->env, section_label(s), n);
        read(s, dflt, to->ms);
        out->n++;
    }
}

int retention_check(const struct config *config, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = 0;
    size_t i;

    for (i = 0; (s = config_named(config, "retention", i)); i++) {
        if (strlen(section_label(s)) >= HISTORY_ENV)
            rc = config_complain(report, s, NULL, e, "the name of an environment has at most %d bytes",
                                 HISTORY_ENV - 1);
    }
    if (i > RETENTIONS)
        rc = config_complain(report, config_named(config, "retention", RETENTIONS), NULL, e,
                             "there are more than %d such sections", RETENTIONS);
    return rc;
}
