/* Any bytes as what a peer sends an HTTP server: a head, then a chunked body,
 * then the query asked for its parameters. The first byte picks the piece size
 * in which the chunks arrive, which must not change what comes out. */
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes as a connection does; returns the status, the body's length in *n. */
static int decode(const char *p, size_t size, size_t piece, size_t max, size_t *n)
{
    struct http_chunks c = {0};
    size_t at = 0, have = 0;
    int rc = 0;

    *n = 0;
    while (rc == 0 && c.state != CHUNK_DONE && have < size) {
        size_t used = 1, len;
        const char *body;

        have = have + piece < size ? have + piece : size;
        while (rc == 0 && used && c.state != CHUNK_DONE) {
            rc = http_chunks_take(&c, p + at, have - at, max, &used, &body, &len);
            if (at + used > have || len > used)
                abort();
            at += used;
            *n += len;
        }
    }
    if (*n > max || *n != c.total)
        abort();
    return rc ? rc : c.state == CHUNK_DONE ? 0 : 1;
}

static void check_head(const struct http_head *h)
{
    char out[64];

    if (!h->method[0] || (h->path[0] != '/' && strcmp(h->path, "*") != 0) || h->n > HTTP_HEAD_FIELDS)
        abort();
    for (unsigned i = 0; i < h->n; i++)
        if (!h->fields[i].name[0] || strpbrk(h->fields[i].name, " \t\r\n:") ||
            strpbrk(h->fields[i].value, "\r\n"))
            abort();
    if (h->chunked && h->has_length && !h->bad_length)
        abort(); /* the two must never both be believed (RFC 9112 §6.3) */
    for (size_t i = 0; i < 4; i++)
        if (http_query_param(h->query, "a", i, out, sizeof(out)) == 0 && strlen(out) >= sizeof(out))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t piece, end, n1, n2, rest;
    struct http_head h;
    char *text;

    if (!size)
        return 0;
    piece = data[0] % 16 + 1u;
    text = malloc(size);
    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    end = http_head_end(text, size - 1);
    if (end > size - 1)
        abort();
    rest = size - 1 - end;
    if (decode(text + end, rest, piece, 1000, &n1) != decode(text + end, rest, rest + 1, 1000, &n2) ||
        n1 != n2)
        abort();
    if (end) {
        char *head = malloc(end + 1);

        if (!head)
            abort();
        memcpy(head, text, end);
        if (http_head_parse(&h, head, end) == 0)
            check_head(&h);
        free(head);
    }
    free(text);
    return 0;
}
