/* Receivers as the configuration has them: one section for all types, its rows the union of the channels' rows, and what
 * has to hold between them. Pure. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/notify/channel.h"

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

static bool has_key(const struct option_row *rows, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].key, key) == 0)
            return true;
    return false;
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
    for (size_t i = 0; i < channels_count; i++) {
        for (size_t k = 0; k < channels[i]->n_rows; k++) {
            if (has_key(out, n, channels[i]->rows[k].key))
                continue;
            assert(n < RECEIVER_ROWS);
            out[n++] = channels[i]->rows[k];
        }
    }
    return n;
}

/* A word of a list that is separated by blanks. */
static bool next_word(const char **list, char word[64])
{
    size_t n;

    *list += strspn(*list, " ");
    n = strcspn(*list, " ");
    if (!n)
        return false;
    (void)snprintf(word, 64, "%.*s", (int)n, *list);
    *list += n;
    return true;
}

static bool is_empty(const struct section *s, const char *key, const struct channel *ch)
{
    for (size_t i = 0; i < ch->n_rows; i++) {
        enum option_type type = ch->rows[i].type;

        if (strcmp(ch->rows[i].key, key) == 0 && (type == OPT_LIST || type == OPT_URLS))
            return option_count(s, key) == 0;
    }
    return !option_set(s, key);
}

static int check_one(const struct section *s, const struct channel *ch, struct buf *report, struct err *e)
{
    struct option_row all[RECEIVER_ROWS];
    size_t n = receiver_rows(all);
    const char *required = ch->required, *key = NULL;
    struct err why = {0};
    char word[64];
    int rc = 0;

    for (size_t i = 1; i < n; i++)
        if (!has_key(ch->rows, ch->n_rows, all[i].key) &&
            strcmp(option_origin(s, all[i].key), "default") != 0)
            rc = config_complain(report, s, all[i].key, e, "a receiver of type %s has no such option",
                                 ch->type);
    while (next_word(&required, word))
        if (is_empty(s, word, ch))
            rc = config_complain(report, s, NULL, e, "a receiver of type %s needs `%s`", ch->type, word);
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
