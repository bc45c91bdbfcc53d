/* The head of an HTTP/1.1 request, read strictly (RFC 9112): what two readers could take for two different
 * things is an error, not a guess. Pure. */
#ifndef SB_NET_HTTP_HEAD_H
#define SB_NET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEAD_FIELDS = 64 };

struct http_head {
    const char *method; /* all point into the text that was parsed */
    const char *path, *query;
    unsigned minor; /* HTTP/1.minor, 0 or 1 */
    unsigned n;
    struct {
        const char *name, *value;
    } fields[HTTP_HEAD_FIELDS];
    /* bad_length: more than one, not a number, or together with chunked */
    bool has_length, chunked, bad_length;
    uint64_t length;
    bool expect_continue;
    bool close; /* the connection ends with the answer */
};

/* Where the head ends: the offset behind the empty line, or 0 when it is not complete. Empty lines before it
 * are part of it (§2.2). */
size_t http_head_end(const char *p, size_t n);

/* Parses a complete head in place: text[0 … n) as http_head_end found it, with text[n] writable. 0, or the
 * status to answer: 400, 417, 431 (too many fields), 501 (another transfer coding), 505; what has been read
 * until then stands in *h. */
int http_head_parse(struct http_head *h, char *text, size_t n);

/* The first field of that name in any case, or NULL. */
const char *http_head_field(const struct http_head *h, const char *name);
unsigned http_head_count(const struct http_head *h, const char *name);

/* The i-th parameter of that name in a query string, percent-decoded with + as a space, into out[cap]. 0,
 * ERR_NOTFOUND, ERR_LIMIT, or ERR_MALFORMED (a broken escape, or %00). */
int http_query_param(const char *query, const char *name, size_t i, char *out, size_t cap);

/* A chunked body (RFC 9112 §7.1), decoded as it arrives. Zero-initialise. */
struct http_chunks {
    enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_CRLF, CHUNK_TRAILER, CHUNK_DONE } state;
    uint64_t left;   /* of the present chunk */
    uint64_t total;  /* of the body so far */
    size_t overhead; /* bytes of extensions and trailers */
};
/* Takes from p[0 … n): *used bytes are consumed, of which data[0 … data_n) belong to the body. Call again
 * while *used > 0 and not done. 0, or 400 (malformed), 413 (more than max, or more than 4 KiB of extensions
 * and trailers, which are read over). */
int http_chunks_take(struct http_chunks *c, const char *p, size_t n, uint64_t max, size_t *used,
                     const char **data, size_t *data_n);

const char *http_reason_phrase(int status);

#endif
