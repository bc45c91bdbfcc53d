/* What an incident cost: objectives as slos_show tells them, one or several, each with its groups. Only what is a
 * number there is shown; an objective that has none is named all the same. */
#include <stdio.h>
#include <string.h>

#include "aggregator/incident/incident_private.h"

/* In the order of the columns. */
static const struct column {
    const char *key, *title;
    enum { AS_PERCENT, AS_MINUTES, AS_NUMBER } form;
} columns[] = {
    {"objective_ratio", "objective", AS_PERCENT},
    {"compliance_ratio", "compliance", AS_PERCENT},
    {"error_budget_remaining_ratio", "budget left", AS_PERCENT},
    {"downtime_seconds", "minutes down", AS_MINUTES},
    {"unknown_seconds", "minutes unknown", AS_MINUTES},
    {"excluded_seconds", "minutes excluded", AS_MINUTES},
    {"good", "good events", AS_NUMBER},
    {"total", "events", AS_NUMBER},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static const cJSON *look(const cJSON *group, const cJSON *slo, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(group, key);

    return cJSON_IsNumber(v) ? v : cJSON_GetObjectItemCaseSensitive(slo, key);
}

static void cell(struct buf *out, const cJSON *v, const struct column *c)
{
    double d = cJSON_IsNumber(v) ? cJSON_GetNumberValue(v) : 0;

    buf_str(out, " | ");
    if (!cJSON_IsNumber(v))
        buf_str(out, "unknown");
    else if (c->form == AS_PERCENT)
        buf_fmt(out, "%.6g %%", d * 100);
    else
        buf_fmt(out, "%.10g", c->form == AS_MINUTES ? d / 60 : d);
}

static void row(struct buf *out, const cJSON *slo, const cJSON *group)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(group, "labels");
    const char *name = incident_json_text(slo, "name");

    buf_str(out, "| ");
    markdown_plain(out, name[0] ? name : incident_json_text(slo, "slo"));
    for (int k = 0; k < cJSON_GetArraySize(labels); k++) {
        const cJSON *l = cJSON_GetArrayItem(labels, k);

        if (!cJSON_IsString(l) || !l->string || !l->valuestring)
            continue;
        buf_u8(out, ' ');
        markdown_plain(out, l->string);
        buf_u8(out, '=');
        markdown_plain(out, l->valuestring);
    }
    for (size_t k = 0; k < COLUMNS; k++)
        cell(out, look(group, slo, columns[k].key), &columns[k]);
    buf_str(out, " |\n");
}

static void objective(struct buf *out, const cJSON *slo)
{
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(slo, "groups");

    if (!cJSON_GetArraySize(groups))
        row(out, slo, slo);
    for (int k = 0; k < cJSON_GetArraySize(groups); k++)
        row(out, slo, cJSON_GetArrayItem(groups, k));
}

void postmortem_objectives(const char *slo_json, struct buf *out)
{
    cJSON *o = slo_json ? cJSON_ParseWithLength(slo_json, strlen(slo_json)) : NULL;
    const cJSON *list = cJSON_IsArray(o) ? o : cJSON_GetObjectItemCaseSensitive(o, "slos");

    buf_str(out, "## Objectives\n\n");
    if (!o || (cJSON_IsArray(list) && !cJSON_GetArraySize(list))) {
        buf_str(out, "No objective is known to be concerned.\n\n");
        cJSON_Delete(o);
        return;
    }
    buf_str(out, "As they stand now, for the running period.\n\n| objective of");
    for (size_t k = 0; k < COLUMNS; k++)
        buf_fmt(out, " | %s", columns[k].title);
    buf_str(out, " |\n|---");
    for (size_t k = 0; k < COLUMNS; k++)
        buf_str(out, "|---");
    buf_str(out, "|\n");
    for (int k = 0; k < cJSON_GetArraySize(list); k++)
        objective(out, cJSON_GetArrayItem(list, k));
    if (!list)
        objective(out, o);
    buf_u8(out, '\n');
    cJSON_Delete(o);
}
