/* See json.h. */
#include "aggregator/alert/json.h"

#include <math.h>

void put_json_number(cJSON *to, const char *name, double v)
{
    if (isfinite(v))
        cJSON_AddNumberToObject(to, name, v);
    else
        cJSON_AddNullToObject(to, name);
}

void put_json_time(cJSON *to, const char *name, int64_t ms)
{
    char text[WALL_TEXT];

    if (ms)
        cJSON_AddStringToObject(to, name, wall_text((struct wall){ms}, text));
    else
        cJSON_AddNullToObject(to, name);
}

void put_json_labels(cJSON *to, const char *name, struct labels l)
{
    cJSON *o = cJSON_AddObjectToObject(to, name);

    for (uint32_t i = 0; o && i < l.n; i++)
        cJSON_AddStringToObject(o, l.v[i].name, l.v[i].value);
}

void put_json_text(cJSON *to, const char *name, const char *s)
{
    if (*s)
        cJSON_AddStringToObject(to, name, s);
}

int put_json_done(cJSON *o, struct buf *out)
{
    char *text = o ? cJSON_PrintUnformatted(o) : NULL;

    cJSON_Delete(o);
    if (!text)
        return ERR_NOMEM;
    buf_str(out, text);
    cJSON_free(text);
    return out->full ? ERR_NOMEM : 0;
}
