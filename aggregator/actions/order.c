/* See order.h. */
#include "aggregator/actions/order.h"

#include <stdio.h>
#include <string.h>

/* 64-bit figures are texts, as in every JSON of ours that machines read. */
char *order_json(const struct action_order *o, const char *name)
{
    cJSON *j = cJSON_CreateObject();
    char token[64], when[WALL_TEXT], *text;

    (void)snprintf(token, sizeof token, "%llu.%llu", (unsigned long long)o->token.store,
                   (unsigned long long)o->token.rev);
    cJSON_AddStringToObject(j, "op", action_op_name(o->op));
    cJSON_AddStringToObject(j, "action", name ? name : "");
    cJSON_AddStringToObject(j, "service", o->service);
    cJSON_AddStringToObject(j, "from", o->from);
    cJSON_AddStringToObject(j, "to", o->to);
    cJSON_AddStringToObject(j, "plan", o->plan);
    cJSON_AddNumberToObject(j, "epoch", o->epoch);
    cJSON_AddStringToObject(j, "token", token);
    cJSON_AddStringToObject(j, "key", o->key);
    cJSON_AddBoolToObject(j, "planned", o->planned);
    cJSON_AddBoolToObject(j, "drill", o->drill);
    cJSON_AddBoolToObject(j, "accept_loss", o->accept_loss);
    cJSON_AddNumberToObject(j, "deadline_ms", (double)span_to_ms(o->deadline));
    cJSON_AddStringToObject(j, "time", wall_text(o->now, when));
    text = cJSON_PrintUnformatted(j);
    cJSON_Delete(j);
    return text;
}

static bool class_by_name(const char *name, enum action_class *out)
{
    for (int c = 0; name && c < ACTION_CLASSES; c++) {
        if (strcmp(action_class_name((enum action_class)c), name) == 0) {
            *out = (enum action_class)c;
            return true;
        }
    }
    return false;
}

static const char *text_of_key(const cJSON *j, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));
}

static bool whole(const cJSON *j, const char *key, int64_t *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);

    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0) || v->valuedouble > 1e15)
        return false;
    *out = (int64_t)v->valuedouble;
    return true;
}

static bool yes(const cJSON *j, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(j, key));
}

void order_answer(const cJSON *j, bool may_class, struct action_result *out)
{
    const char *class = text_of_key(j, "class"), *text = text_of_key(j, "text"),
               *seen = text_of_key(j, "seen"), *token = text_of_key(j, "token");
    char mark[80];
    uint32_t epoch;

    if (may_class && class && !class_by_name(class, &out->class)) {
        action_say(out, ACTION_DENIED, "it said a class that there is not: \"%.40s\"", class);
        return;
    }
    if (text)
        action_say(out, out->class, "%s", text);
    if (seen)
        action_seen(out, "%s", seen);
    (void)snprintf(mark, sizeof mark, "token=%.60s", token ? token : "");
    (void)action_mark_parse(mark, &epoch, &out->found);
    out->have_lag = whole(j, "lag_ms", &out->lag_ms);
    (void)whole(j, "lag_age_ms", &out->lag_age_ms);
    out->synchronous = yes(j, "synchronous");
    out->primary_asked = cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(j, "synchronous"));
    out->receiving = yes(j, "receiving");
    out->writable = yes(j, "writable");
}
