/* What an incident cost: {"slos":[{"show":…,"report":…}]}, each objective as slos_show and slos_report (rolling) tell of
 * it. Of interest are those of the incident's service, and groups whose labels do not contradict the incident's.
 * Minutes are those of the ledger that lie within the incident; its budget is the objective's over 30 days. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/incident/incident_private.h"

enum { DOWN, UNKNOWN, EXCLUDED, VERDICTS };
static const char *const verdicts[VERDICTS] = {"down", "unknown", "excluded"};

static const cJSON *member_of(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

/* -1: some label of both differs; otherwise how many are the same. */
static int agreement(const cJSON *labels, const struct incident *in)
{
    int same = 0;

    for (uint32_t k = 0; k < in->group.n; k++) {
        const char *mine = in->group.v[k].value, *theirs = incident_json_text(labels, in->group.v[k].name);

        if (!mine[0] || !theirs[0])
            continue;
        if (strcmp(mine, theirs) != 0)
            return -1;
        same++;
    }
    return same;
}

static bool concerns(const cJSON *show, const cJSON *group, const struct incident *in)
{
    const char *service = labels_get(in->group, "service"), *theirs = incident_json_text(show, "service");
    int same = agreement(member_of(group, "labels"), in);

    if (same < 0 || (service[0] && theirs[0] && strcmp(service, theirs) != 0))
        return false;
    return same > 0 || (service[0] && theirs[0]);
}

static void ratio_cell(struct buf *out, const cJSON *v)
{
    if (cJSON_IsNumber(v))
        buf_fmt(out, " %.6g %% |", cJSON_GetNumberValue(v) * 100);
    else
        buf_str(out, " unknown |");
}

static void group_row(struct buf *out, const cJSON *show, const cJSON *group)
{
    const cJSON *labels = member_of(group, "labels"), *windows = member_of(group, "windows");
    int n = cJSON_GetArraySize(windows);
    const cJSON *period =
        n > 0 ? cJSON_GetArrayItem(windows, n - 1) : NULL; /* the last one is the period's */

    buf_str(out, "| ");
    markdown_plain(out, incident_json_text(show, "slo"));
    for (int k = 0; k < cJSON_GetArraySize(labels); k++) {
        const cJSON *l = cJSON_GetArrayItem(labels, k);

        if (!cJSON_IsString(l) || !l->string || !l->valuestring)
            continue;
        buf_u8(out, ' ');
        markdown_plain(out, l->string);
        buf_u8(out, '=');
        markdown_plain(out, l->valuestring);
    }
    buf_str(out, " |");
    ratio_cell(out, member_of(show, "objective_ratio"));
    ratio_cell(out, member_of(period, "compliance_ratio"));
    ratio_cell(out, member_of(group, "error_budget_remaining_ratio"));
    buf_fmt(out, " %.10g | %.10g |\n",
            incident_json_number(period, "total") - incident_json_number(period, "good"),
            incident_json_number(period, "total"));
}

/* Minutes of the ledger's intervals within [from, to). */
static void within(const cJSON *report, struct wall from, struct wall to, double minutes[VERDICTS])
{
    const cJSON *list = member_of(report, "intervals"), *x;

    memset(minutes, 0, VERDICTS * sizeof *minutes);
    cJSON_ArrayForEach(x, list)
    {
        struct wall a, b;

        if (wall_parse(incident_json_text(x, "from"), &a) < 0 ||
            wall_parse(incident_json_text(x, "to"), &b) < 0)
            continue;
        a.ms = a.ms > from.ms ? a.ms : from.ms;
        b.ms = b.ms < to.ms ? b.ms : to.ms;
        for (int v = 0; v < VERDICTS && b.ms > a.ms; v++)
            if (strcmp(incident_json_text(x, "verdict"), verdicts[v]) == 0)
                minutes[v] += (double)(b.ms - a.ms) / 60000;
    }
}

/* A minute counts whole: the one in which the condition became true too. */
static void cost(struct buf *out, const struct incident *in, const cJSON *show, const cJSON *report)
{
    struct wall from = {in->began.ms - in->began.ms % 60000}, to = {INT64_MAX / 2};
    double allowed = incident_json_number(member_of(report, "downtime"), "allowed_minutes"), m[VERDICTS];

    if (in->resolved.ms)
        to.ms = in->resolved.ms;
    within(report, from, to, m);
    buf_str(out, "- ");
    markdown_plain(out, incident_json_text(show, "slo"));
    buf_fmt(out, ": %.4g minutes down, %.4g unknown, %.4g excluded during the incident", m[DOWN], m[UNKNOWN],
            m[EXCLUDED]);
    if (allowed > 0)
        buf_fmt(out, "; that is %.4g %% of the %.4g minutes that 30 days allow", m[DOWN] / allowed * 100,
                allowed);
    buf_str(out, ".\n");
}

static const char head[] = "As they stand now, for the running period:\n\n"
                           "| objective of | objective | kept | budget left | bad events | events |\n"
                           "|---|---|---|---|---|---|\n";

void postmortem_objectives(const struct incident *in, const char *slo_json, struct buf *out)
{
    cJSON *o = slo_json ? cJSON_ParseWithLength(slo_json, strlen(slo_json)) : NULL;
    const cJSON *list = member_of(o, "slos"), *x, *g;
    struct buf costs;
    unsigned n = 0;

    buf_str(out, "## Objectives\n\n");
    buf_init(&costs, out->mem, out->cap);
    cJSON_ArrayForEach(x, list)
    {
        const cJSON *show = member_of(x, "show");
        bool mine = false;

        cJSON_ArrayForEach(g, member_of(show, "groups"))
        {
            if (!concerns(show, g, in))
                continue;
            if (!n++)
                buf_str(out, head);
            mine = true;
            group_row(out, show, g);
        }
        if (mine)
            cost(&costs, in, show, member_of(x, "report"));
    }
    buf_u8(&costs, '\n');
    if (n)
        buf_u8(out, '\n');
    if (n && !costs.full)
        buf_put(out, costs.data, costs.len);
    else
        buf_str(out, "No objective is known to be concerned.\n\n");
    buf_free(&costs);
    cJSON_Delete(o);
}
