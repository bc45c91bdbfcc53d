/* Signs requests as the aggregator does, for tests in other languages.
 *
 *   sigv4_tool    < one JSON object per line    > one JSON object per line
 *
 * In: {"method", "path", "query", "headers": [[name, value]…], "body", "region", "service", "time": RFC 3339, "id", "key",
 * "token", "s3": bool}. Out: {"headers": [[name, value]…], "canonical", "to_sign"} or {"error"}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/net/sigv4.h"

enum { LINE_MOST = 1 << 20 };

static const char *text(const cJSON *o, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

    return s ? s : "";
}

static void sign(const cJSON *o, cJSON *out)
{
    struct http_header headers[SIGV4_HEADERS];
    struct sigv4_credentials c = {text(o, "id"), text(o, "key"), text(o, "token")};
    struct sigv4_request r = {
        .method = text(o, "method"),
        .path = text(o, "path"),
        .query = text(o, "query"),
        .headers = headers,
        .payload = {(const uint8_t *)text(o, "body"), strlen(text(o, "body"))},
        .region = text(o, "region"),
        .service = text(o, "service"),
        .s3 = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "s3")),
    };
    struct sigv4_signature s;
    struct err e = {0};
    struct arena a;
    const cJSON *h;
    cJSON *list;

    cJSON_ArrayForEach(h, cJSON_GetObjectItemCaseSensitive(o, "headers"))
    {
        if (r.n_headers < SIGV4_HEADERS)
            headers[r.n_headers++] = (struct http_header){cJSON_GetArrayItem(h, 0)->valuestring,
                                                          cJSON_GetArrayItem(h, 1)->valuestring};
    }
    arena_init(&a, NULL, 0);
    if (wall_parse(text(o, "time"), &r.now) != 0 || sigv4_sign(&r, &c, &a, &s, &e) != 0) {
        cJSON_AddStringToObject(out, "error", e.code ? e.text : "time");
        arena_free(&a);
        return;
    }
    list = cJSON_AddArrayToObject(out, "headers");
    for (size_t i = 0; i < s.n_added; i++)
        cJSON_AddItemToArray(
            list, cJSON_CreateStringArray((const char *const[]){s.added[i].name, s.added[i].value}, 2));
    cJSON_AddStringToObject(out, "canonical", s.canonical);
    cJSON_AddStringToObject(out, "to_sign", s.to_sign);
    arena_free(&a);
}

int main(void)
{
    char *line = malloc(LINE_MOST);

    while (line && fgets(line, LINE_MOST, stdin)) {
        cJSON *o = cJSON_Parse(line), *out = cJSON_CreateObject();
        char *s;

        if (!o) {
            (void)fprintf(stderr, "sigv4_tool: a line that is no JSON\n");
            return 2;
        }
        sign(o, out);
        s = cJSON_PrintUnformatted(out);
        (void)puts(s);
        cJSON_free(s);
        cJSON_Delete(o);
        cJSON_Delete(out);
    }
    free(line);
    return 0;
}
