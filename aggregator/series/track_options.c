/* [history]: what bounds the gathering of gains; and the selections of percentiles. */
#include <string.h>

#include "aggregator/series/percentile.h"

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

/* name="value" for each, as matchers are written. */
static int match_of(const struct section *c, struct buf *out)
{
    for (size_t i = 0; i < option_count(c, "match"); i++) {
        const char *name, *value;

        option_label(c, "match", i, &name, &value);
        buf_fmt(out, "%s%s=\"", i ? " " : "", name);
        for (; *value; value++) {
            if (*value == '"' || *value == '\\')
                buf_u8(out, '\\');
            buf_u8(out, (uint8_t)*value);
        }
        buf_u8(out, '"');
    }
    return out->full ? ERR_NOMEM : 0;
}

/* What nobody judges by is not kept in memory for long: a mistake is reported by the section itself. */
int series_selections(const struct config *config, struct selections *to, struct err *e)
{
    const struct section *c;
    int rc = 0;

    for (size_t i = 0; (c = config_named(config, "percentile", i)) && rc == 0; i++) {
        const char *by[BY_MAX];
        uint32_t at, n = 0;
        struct buf match;

        buf_init(&match, NULL, 64 << 10);
        for (; n < option_count(c, "by") && n < BY_MAX; n++)
            by[n] = option_word(c, "by", n);
        rc = match_of(c, &match);
        if (rc == 0)
            rc = selections_add(to, option_text(c, "metric"), buf_text(&match), by, n,
                                span_ms(FACT_MINUTE_MS), &at, e);
        buf_free(&match);
        rc = rc == ERR_MALFORMED ? 0 : rc;
    }
    return rc;
}
