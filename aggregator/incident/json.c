/* What incidents read and write as JSON, beyond what cJSON does. */
#include <math.h>
#include <string.h>

#include "aggregator/incident/incident_private.h"

double incident_json_number(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    double d = cJSON_IsNumber(v) ? cJSON_GetNumberValue(v) : 0;

    return isfinite(d) ? d : 0;
}

struct wall incident_json_wall(const cJSON *o, const char *key)
{
    double d = incident_json_number(o, key);

    return (struct wall){fabs(d) < 1e15 ? (int64_t)d : 0};
}

void incident_json_time(cJSON *o, const char *key, struct wall t)
{
    char text[WALL_TEXT];

    if (t.ms)
        cJSON_AddStringToObject(o, key, wall_text(t, text));
    else
        cJSON_AddNullToObject(o, key);
}

cJSON *incident_json_labels(struct labels l)
{
    cJSON *o = cJSON_CreateObject();

    for (uint32_t i = 0; i < l.n; i++)
        if (l.v[i].value[0])
            cJSON_AddStringToObject(o, l.v[i].name, l.v[i].value);
    return o;
}

bool incident_json_read_labels(const cJSON *o, struct arena *a, struct labels *out)
{
    int n = cJSON_IsObject(o) ? cJSON_GetArraySize(o) : 0;
    struct label *v = arena_array(a, n > 0 ? (size_t)n : 1, sizeof *v);
    uint32_t at = 0;

    *out = (struct labels){0};
    if (!v)
        return false;
    for (int i = 0; i < n; i++) {
        const cJSON *x = cJSON_GetArrayItem(o, i);

        if (!cJSON_IsString(x) || !x->valuestring || !x->string)
            continue;
        v[at].name = arena_text(a, x->string, strlen(x->string));
        v[at].value = arena_text(a, x->valuestring, strlen(x->valuestring));
        if (!v[at].name || !v[at].value)
            return false;
        at++;
    }
    labels_sort(v, at);
    *out = (struct labels){v, at};
    return true;
}

int incident_json_into(cJSON **o, struct buf *out, struct err *e)
{
    char *text = cJSON_PrintUnformatted(*o);

    cJSON_Delete(*o);
    *o = NULL;
    if (text)
        buf_str(out, text);
    cJSON_free(text);
    return text && !out->full ? 0 : err_set(e, ERR_NOMEM, "no memory for an answer about incidents");
}

void incident_copy(char *out, size_t size, const char *s)
{
    size_t n = strnlen(s, size - 1);

    if (s[n])
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--;
    memcpy(out, s, n);
    memset(out + n, 0, size - n);
}
