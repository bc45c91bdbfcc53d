/* Incidents as JSON, for the API. */
#include <string.h>

#include "aggregator/incident/incident_private.h"

static void seconds(cJSON *o, const char *key, struct wall from, struct wall to)
{
    if (from.ms && to.ms)
        cJSON_AddNumberToObject(o, key, to.ms > from.ms ? (double)(to.ms - from.ms) / 1000 : 0);
    else
        cJSON_AddNullToObject(o, key);
}

static void text_or_null(cJSON *o, const char *key, const char *s)
{
    if (s[0])
        cJSON_AddStringToObject(o, key, s);
    else
        cJSON_AddNullToObject(o, key);
}

static cJSON *brief(const struct incident *in)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "id", in->id);
    cJSON_AddStringToObject(o, "state", incident_state_name(in->state));
    cJSON_AddStringToObject(o, "severity", severity_name(in->severity));
    cJSON_AddStringToObject(o, "title", in->title);
    cJSON_AddItemToObject(o, "labels", incident_json_labels(in->group));
    text_or_null(o, "owner", in->owner);
    incident_json_time(o, "began", in->began);
    incident_json_time(o, "opened", in->opened);
    incident_json_time(o, "acknowledged", in->acknowledged);
    incident_json_time(o, "resolved", in->resolved);
    seconds(o, "detect_seconds", in->began, in->opened);
    seconds(o, "data_to_alert_seconds", in->data, in->opened);
    seconds(o, "acknowledge_seconds", in->opened, in->acknowledged);
    seconds(o, "resolve_seconds", in->opened, in->resolved);
    cJSON_AddNumberToObject(o, "alerts", in->n_alerts);
    cJSON_AddNumberToObject(o, "alerts_firing", in->n_firing);
    cJSON_AddNumberToObject(o, "alerts_untracked", in->untracked);
    cJSON_AddNumberToObject(o, "reopened", in->reopened);
    return o;
}

static bool wanted(const struct incident *in, const char *state)
{
    if (!state || !state[0] || strcmp(state, "all") == 0)
        return true;
    if (strcmp(state, "active") == 0)
        return incident_active(in);
    return strcmp(state, incident_state_name(in->state)) == 0;
}

int incidents_list(const struct incidents *i, const char *state, long after, long limit, struct buf *json)
{
    static const char *const states[] = {"all", "active", "open", "acknowledged", "resolved"};
    cJSON *o, *list;
    long shown = 0, last = 0;
    bool known = !state || !state[0], more = false;

    for (size_t k = 0; k < sizeof states / sizeof *states && !known; k++)
        known = strcmp(state, states[k]) == 0;
    if (!known || after < 0 || limit < 1)
        return ERR_RANGE;
    o = cJSON_CreateObject();
    list = cJSON_AddArrayToObject(o, "incidents");
    for (size_t k = i->n; k-- > 0 && !more;) { /* newest first */
        const struct incident *in = i->v[k];

        if (!in->headed || (after && in->number >= after) || !wanted(in, state))
            continue;
        more = shown == limit;
        if (more)
            break;
        cJSON_AddItemToArray(list, brief(in));
        last = in->number;
        shown++;
    }
    if (more)
        cJSON_AddNumberToObject(o, "next", (double)last);
    else
        cJSON_AddNullToObject(o, "next");
    return incident_json_into(&o, json, NULL);
}

static cJSON *member_json(const struct member *m)
{
    cJSON *o = cJSON_CreateObject();
    char hex[33];

    fingerprint_text(&m->id, hex);
    cJSON_AddStringToObject(o, "alert", m->rule);
    cJSON_AddStringToObject(o, "fingerprint", hex);
    cJSON_AddStringToObject(o, "labels", m->labels);
    cJSON_AddStringToObject(o, "severity", severity_name(m->severity));
    cJSON_AddStringToObject(o, "state", m->firing ? "firing" : "resolved");
    cJSON_AddStringToObject(o, "summary", m->summary);
    text_or_null(o, "runbook", m->runbook);
    cJSON_AddBoolToObject(o, "suppressed", m->suppressed);
    cJSON_AddBoolToObject(o, "acknowledged", m->acknowledged);
    cJSON_AddNumberToObject(o, "firings", m->fired);
    incident_json_time(o, "since", m->since);
    incident_json_time(o, "fired", m->at);
    incident_json_time(o, "cleared", m->cleared);
    cJSON_AddNumberToObject(o, "value", m->value);
    cJSON_AddNumberToObject(o, "threshold", m->threshold);
    return o;
}

int incidents_show(const struct incidents *i, const char *id, const char *const *lines, size_t n_lines,
                   struct buf *json, struct err *e)
{
    const struct incident *in = incident_find(i, id);
    cJSON *o, *list;

    if (!in || !in->headed)
        return err_set(e, ERR_NOTFOUND, "there is no incident \"%.40s\"", id);
    o = brief(in);
    text_or_null(o, "resolved_by", in->resolver);
    text_or_null(o, "reason", in->reason);
    cJSON_AddNumberToObject(o, "lines_left_out", in->left_out);
    list = cJSON_AddArrayToObject(o, "contributing");
    for (const struct member *m = in->members; m; m = m->next)
        cJSON_AddItemToArray(list, member_json(m));
    list = cJSON_AddArrayToObject(o, "timeline");
    for (size_t k = 0; k < n_lines; k++) {
        cJSON *l = cJSON_ParseWithLength(lines[k], strlen(lines[k]));

        if (cJSON_IsObject(l))
            cJSON_AddItemToArray(list, l);
        else
            cJSON_Delete(l);
    }
    return incident_json_into(&o, json, e);
}
