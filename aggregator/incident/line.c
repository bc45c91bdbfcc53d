/* Lines of a timeline, and the words in them. A line is JSON: {"t","kind","text"} and, where they are known, "who",
 * "alert" (a fingerprint) and "rule". What alerts write is bounded for each incident, so that a storm of them neither
 * fills the store nor buries what people did; what is left out is counted. */
#include <stdarg.h>
#include <stdio.h>

#include "aggregator/incident/incident_private.h"

const char *incident_for(struct wall from, struct wall to, char out[32])
{
    int64_t s = to.ms > from.ms ? (to.ms - from.ms + 500) / 1000 : 0;

    if (s < 60)
        (void)snprintf(out, 32, "%ds", (int)s);
    else if (s < 3600)
        (void)snprintf(out, 32, s % 60 ? "%dm %ds" : "%dm", (int)(s / 60), (int)(s % 60));
    else if (s < 86400)
        (void)snprintf(out, 32, s % 3600 / 60 ? "%dh %dm" : "%dh", (int)(s / 3600), (int)(s % 3600 / 60));
    else
        (void)snprintf(out, 32, s % 86400 / 3600 ? "%lldd %dh" : "%lldd", (long long)(s / 86400),
                       (int)(s % 86400 / 3600));
    return out;
}

static bool room_for(struct incidents *i, struct incident *in, const struct line *l)
{
    if (!l->by_alert)
        return true;
    if (in->lines < LINES_MOST) {
        in->lines++;
        return true;
    }
    in->left_out++;
    i->count.left_out++;
    return false;
}

void incident_line(struct incidents *i, struct incident *in, const struct line *l,
                   const struct incident_effects *out, const char *fmt, ...)
{
    char sentence[LINE_MOST + 4], cut[LINE_MOST + 1], t[WALL_TEXT], hex[33], *json;
    va_list ap;
    cJSON *o;

    if (!room_for(i, in, l))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    incident_copy(cut, sizeof cut, sentence); /* vsnprintf may have cut a character in two */
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "t", wall_text(l->t, t));
    cJSON_AddStringToObject(o, "kind", l->kind);
    cJSON_AddStringToObject(o, "text", cut);
    if (l->who && l->who[0])
        cJSON_AddStringToObject(o, "who", l->who);
    if (l->alert) {
        fingerprint_text(&l->alert->id, hex);
        cJSON_AddStringToObject(o, "alert", hex);
        cJSON_AddStringToObject(o, "rule", l->alert->rule);
    }
    json = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (json) {
        out->line(out->arg, in->id, l->t, json);
        i->count.lines++;
    }
    cJSON_free(json);
}
