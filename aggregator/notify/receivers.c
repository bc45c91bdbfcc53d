/* Receivers as the configuration has them: one section for all types, its rows the union of the channels' rows, and what
 * has to hold between them. Pure. */
#include <string.h>

#include "aggregator/notify/channel.h"
#include "common/config/kinds.h"

const char receiver_section_name[] = "receiver";

const struct channel *channel_find(const char *type)
{
    for (size_t i = 0; i < channels_count; i++)
        if (strcmp(channels[i]->type, type) == 0)
            return channels[i];
    return NULL;
}

const struct channel *receiver_channel(const struct section *s)
{
    const char *type = option_text(s, "type");

    return type ? channel_find(type) : NULL;
}

size_t receiver_rows(struct option_row out[RECEIVER_ROWS])
{
    size_t n = 0;

    out[n++] = (struct option_row){
        .key = "type",
        .type = OPT_CHOICE,
        .choices = "alertmanager command email log opsgenie pagerduty slack sns webhook",
        .required = true,
        .reloadable = true,
        .sentence =
            "How this receiver is told; it decides which of the other options count (docs/channels.md).",
    };
    for (size_t i = 0; i < channels_count; i++)
        n = rows_join(out, n, RECEIVER_ROWS, channels[i]->rows, channels[i]->n_rows);
    return n;
}

static int check_one(const struct section *s, const struct channel *ch, struct buf *report, struct err *e)
{
    const struct kind kind = {"a receiver", ch->type, ch->rows, ch->n_rows, ch->required};
    struct option_row all[RECEIVER_ROWS];
    const char *key = NULL;
    struct err why = {0};
    int rc = kind_check(s, &kind, all, 1, receiver_rows(all), report, e);

    if (!rc && ch->check && ch->check(s, &key, &why) != 0)
        rc = config_complain(report, s, key, e, "%s", why.text);
    return rc;
}

int receiver_check(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = 0;

    for (size_t i = 0; (s = config_named(c, receiver_section_name, i)); i++) {
        const struct channel *ch = receiver_channel(s);

        if (!ch)
            rc = config_complain(report, s, "type", e, "there is no such type");
        else if (check_one(s, ch, report, e) != 0)
            rc = ERR_CONFIG;
    }
    return rc;
}
