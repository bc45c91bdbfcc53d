/* Alerts and rules for the API. See alert.h. */
#include <string.h>

#include "aggregator/alert/show.h"

void alert_json(cJSON *o, const struct alert *al)
{
    char id[33];

    fingerprint_text(&al->id, id);
    cJSON_AddStringToObject(o, "alert", al->rule);
    cJSON_AddStringToObject(o, "fingerprint", id);
    cJSON_AddStringToObject(o, "state", alert_state_name(al->state));
    cJSON_AddStringToObject(o, "severity", severity_name(al->severity));
    put_json_labels(o, "labels", al->labels);
    put_json_number(o, "value", al->m.value);
    put_json_number(o, "threshold", al->m.threshold);
    put_json_time(o, "since", al->since);
    put_json_time(o, "changed", al->changed);
    put_json_time(o, "newest_sample", al->data);
    put_json_number(o, "epoch", (double)al->epoch);
    put_json_number(o, "row", al->row);
    put_json_number(o, "held_seconds", (double)al->held / 1000);
    cJSON_AddBoolToObject(o, "flapping", al->flapping);
    cJSON_AddStringToObject(o, "muted", mute_name(al->mute));
    if (al->m.verdict == VERDICT_NONE && al->m.why)
        cJSON_AddStringToObject(o, "no_data", al->m.why);
}

static bool asked(const struct alert_query *q, const struct alert *al)
{
    if (q->rule && strcmp(q->rule, al->rule))
        return false;
    if (q->state ? strcmp(q->state, alert_state_name(al->state)) : al->state == ALERT_INACTIVE)
        return false;
    return !q->match || match_labels(q->match, al->labels);
}

int alerts_list(const struct alerts *a, const struct alert_query *q, struct buf *json)
{
    cJSON *o = cJSON_CreateObject(), *list = o ? cJSON_AddArrayToObject(o, "alerts") : NULL, *x;
    long at = 0, after = q->after > 0 ? q->after : 0, limit = q->limit > 0 ? q->limit : 1000;
    bool more = false;

    for (uint32_t i = 0; list && i < a->rules.n && !more; i++) {
        for (struct alert *al = a->states[i].first; al && !more; al = al->next) {
            if (!asked(q, al) || at++ < after)
                continue;
            more = at > after + limit;
            if (!more && (x = cJSON_CreateObject()) && cJSON_AddItemToArray(list, x))
                alert_json(x, al);
        }
    }
    if (more)
        put_json_number(o, "next", (double)(after + limit));
    else if (o)
        cJSON_AddNullToObject(o, "next");
    return put_json_done(o, json);
}

int alerts_rules(const struct alerts *a, struct buf *json)
{
    cJSON *o = cJSON_CreateObject(), *list = o ? cJSON_AddArrayToObject(o, "rules") : NULL, *x;

    for (uint32_t i = 0; list && i < a->rules.n; i++) {
        const struct rule_state *rs = &a->states[i];

        if (!(x = cJSON_CreateObject()) || !cJSON_AddItemToArray(list, x))
            break;
        cJSON_AddStringToObject(x, "alert", rs->rule->name);
        cJSON_AddStringToObject(x, "severity", severity_name(rs->rule->severity));
        put_json_text(x, "team", rs->rule->team);
        cJSON_AddStringToObject(x, "origin", rs->rule->origin);
        rule_json(x, rs->rule);
        put_json_number(x, "groups", rs->groups);
        put_json_number(x, "pending", rs->count[ALERT_PENDING]);
        put_json_number(x, "firing", rs->count[ALERT_FIRING] + rs->count[ALERT_CLEARING]);
        put_json_number(x, "over_limit", rs->over);
        put_json_number(x, "evaluations", (double)rs->evaluations);
        put_json_number(x, "transitions", (double)rs->transitions);
        put_json_time(x, "last", a->last);
        put_json_time(x, "matches_nothing_since", rs->since);
    }
    if (o)
        cJSON_AddNullToObject(o, "next");
    return put_json_done(o, json);
}
