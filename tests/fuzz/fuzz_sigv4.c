/* Any path, query and headers to the signer: an error or a signature, and forms that are canonical stay as they are. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/sigv4.h"

static int sign(const char *path, const char *query, const char *value, bool s3, struct arena *a,
                struct sigv4_signature *s)
{
    const struct http_header headers[] = {{"Host", "example.com"}, {"X-Thing", value}};
    const struct sigv4_credentials keys = {"AKIDEXAMPLE", "secret", "token"};
    struct sigv4_request r = {.method = "GET",
                              .path = path,
                              .query = query,
                              .headers = headers,
                              .n_headers = 2,
                              .region = "us-east-1",
                              .service = "x",
                              .now = {INT64_C(1440938160000)},
                              .s3 = s3};
    struct err e = {0};
    int rc = sigv4_sign(&r, &keys, a, s, &e);

    if (rc != 0 && (!e.code || !*e.text))
        abort();
    return rc;
}

static char *line(const char *text, int n, struct arena *a)
{
    while (n-- > 0)
        text = strchr(text, '\n') + 1;
    return arena_text(a, text, strcspn(text, "\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sigv4_signature s, again;
    const char *path, *query, *value, *end;
    struct arena a;
    char *text, *canonical;

    if (size < 4 || size > 16384)
        return 0;
    arena_init(&a, NULL, 0);
    text = arena_text(&a, (const char *)data, size);
    end = text + size;
    path = text;
    query = path + strlen(path) + (path + strlen(path) < end);
    value = query + strlen(query) + (query + strlen(query) < end);
    if (strchr(path, '\n') == NULL && sign(path, query, value, data[0] & 1, &a, &s) == 0) {
        if (strlen(s.signature) != 64 || s.n_added < 3)
            abort();
        canonical = line(s.canonical, 2, &a);
        if (sign(path, canonical, value, data[0] & 1, &a, &again) != 0 ||
            strcmp(s.signature, again.signature) != 0)
            abort();
    }
    arena_free(&a);
    return 0;
}
