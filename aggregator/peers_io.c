/* This region, for the desk. */
#include <cjson/cJSON.h>

#include "aggregator/decide_private.h"

struct bytes peers_regions(const struct decide *d, struct arena *a)
{
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "regions"),
          *own = cJSON_CreateObject();
    struct bytes out = {NULL, 0};
    char *text;

    cJSON_AddStringToObject(own, "region", d->region);
    cJSON_AddBoolToObject(own, "own", true);
    cJSON_AddItemToArray(list, own);
    cJSON_AddNullToObject(o, "next");
    text = cJSON_PrintUnformatted(o);
    if (text)
        out = bytes_of(arena_text(a, text, strlen(text)));
    cJSON_free(text);
    cJSON_Delete(o);
    return out;
}
