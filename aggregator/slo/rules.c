/* The burn alerts of each objective as sections [alert slo-NAME-…], in the form in which they would stand in a file. */
#include <stdio.h>
#include <string.h>

#include "aggregator/slo/burn.h"
#include "aggregator/slo/slo_private.h"
#include "common/base/number.h"

/* Text in a file: a line end or a comment within it would be something else. */
static void put_text(struct buf *ini, const char *key, const char *value)
{
    if (*value)
        buf_fmt(ini, "%s = %s\n", key, value);
}

static bool grouped_by(const struct slo_def *d, const char *name)
{
    for (uint32_t i = 0; i < d->n_by; i++) {
        if (!strcmp(d->by[i], name))
            return true;
    }
    return false;
}

static void put_rule(const struct slo_def *d, const struct burn_alert *a, struct buf *ini)
{
    char factor[NUMBER_TEXT];

    (void)number_text(burn_alert_factor(a, d->span, d->objective), factor);
    buf_fmt(ini, "[alert slo-%s-%s]\nstatistic = burn\nslo = %s\nlong = %s\nshort = %s\nabove = %s\n",
            d->name, a->name, d->name, a->long_text, a->short_text, factor);
    buf_fmt(ini, "severity = %s\n", strcmp(a->kind, "page") ? "warning" : "critical");
    put_text(ini, "team", d->team);
    if (!grouped_by(d, "service"))
        put_text(ini, "service", d->service);
    put_text(ini, "runbook", d->runbook);
    buf_fmt(ini,
            "summary = %s spends its error budget ${value} times as fast as it lasts\n"
            "description = Over %s and over %s more than ${threshold} times as many events are bad as the "
            "objective of "
            "%.10g %% allows.\n",
            d->name, a->long_text, a->short_text, d->objective * 100);
    buf_fmt(ini, "labels = slo=%s slo_alert=%s\n\n", d->name, a->kind);
}

int slo_alert_rules(const struct config *c, struct buf *ini, struct err *e)
{
    const struct section *section;

    for (size_t i = 0; (section = config_named(c, "slo", i)); i++) {
        struct slo_def *d = slo_define(section, NULL, NULL, NULL, e);

        if (!d)
            return e && e->code ? e->code : ERR_CONFIG;
        for (unsigned k = 0; d->alerts && k < BURN_ALERTS; k++)
            put_rule(d, burn_alert_at(k), ini);
        slo_def_free(&d, NULL);
    }
    return ini->full ? err_set(e, ERR_NOMEM, "no memory for the alerts of the objectives") : 0;
}
