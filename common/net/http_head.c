/* Request heads, queries and chunked bodies: see http_head.h. */
#include "common/net/http_head.h"

#include <string.h>
#include <strings.h>

#include "common/base/err.h"

enum { CHUNK_OVERHEAD = 4096, CHUNK_LINE = 256 };

size_t http_head_end(const char *p, size_t n)
{
    size_t start = 0;
    const char *end;

    while (n - start >= 2 && p[start] == '\r' && p[start + 1] == '\n')
        start += 2;
    end = n > start ? memmem(p + start, n - start, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - p) + 4 : 0;
}

/* tchar of RFC 9110 §5.6.2. */
static bool is_token(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++) {
        if ((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z'))
            continue;
        if (!strchr("!#$%&'*+-.^_`|~", *s))
            return false;
    }
    return true;
}

/* Cuts a line off at its CRLF. NULL when a CR, LF or NUL stands anywhere else. */
static char *take_line(char **at, char *end)
{
    char *line = *at, *stop = memchr(line, '\r', (size_t)(end - line));

    if (!stop || stop + 1 >= end || stop[1] != '\n' || memchr(line, '\n', (size_t)(stop - line)) ||
        memchr(line, 0, (size_t)(stop - line)))
        return NULL;
    *stop = 0;
    *at = stop + 2;
    return line;
}

/* Origin form, or the absolute form that a server must take as well (§3.2.2), or "*". */
static int parse_target(struct http_head *h, char *target)
{
    char *query;

    for (const char *c = target; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '#')
            return 400;
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        char *host = strstr(target, "://") + 3;

        target = host + strcspn(host, "/?");
        if (*target != '/')
            return 400;
    }
    if (*target != '/' && strcmp(target, "*") != 0)
        return 400;
    query = strchr(target, '?');
    if (query)
        *query++ = 0;
    h->path = target;
    h->query = query ? query : "";
    return 0;
}

static int parse_first(struct http_head *h, char *line)
{
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

    if (!version)
        return 400;
    *target++ = 0;
    *version++ = 0;
    if (!is_token(line))
        return 400;
    h->method = line;
    if (strncmp(version, "HTTP/", 5) != 0)
        return 400;
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return 505;
    h->minor = version[7] == '1';
    return parse_target(h, target);
}

/* No white space before the colon, no folded lines (§5.1,
 * §5.2): both have hidden fields from one of two readers. */
static int parse_field(struct http_head *h, char *line)
{
    char *value = strchr(line, ':'), *end;

    if (!value)
        return 400;
    *value++ = 0;
    if (!is_token(line))
        return 400;
    value += strspn(value, " \t");
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = 0;
    for (const char *c = value; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return 400;
    if (h->n == HTTP_HEAD_FIELDS)
        return 431;
    h->fields[h->n].name = line;
    h->fields[h->n].value = value;
    h->n++;
    return 0;
}

const char *http_head_field(const struct http_head *h, const char *name)
{
    for (unsigned i = 0; i < h->n; i++)
        if (strcasecmp(h->fields[i].name, name) == 0)
            return h->fields[i].value;
    return NULL;
}

unsigned http_head_count(const struct http_head *h, const char *name)
{
    unsigned n = 0;

    for (unsigned i = 0; i < h->n; i++)
        n += strcasecmp(h->fields[i].name, name) == 0;
    return n;
}

/* Does the comma-separated field hold the token? */
static bool has_token(const char *list, const char *token)
{
    size_t len = strlen(token);

    for (const char *p = list ? list : ""; *p;) {
        size_t n;

        p += strspn(p, ", \t");
        n = strcspn(p, ", \t");
        if (n == len && strncasecmp(p, token, len) == 0)
            return true;
        p += n;
    }
    return false;
}

static void parse_length(struct http_head *h)
{
    const char *s = http_head_field(h, "Content-Length");
    size_t n = s ? strlen(s) : 0;

    h->has_length = s != NULL;
    if (!s)
        return;
    if (!n || n > 18 || strspn(s, "0123456789") != n || http_head_count(h, "Content-Length") > 1 ||
        h->chunked) {
        h->bad_length = true;
        return;
    }
    for (; *s; s++)
        h->length = h->length * 10 + (uint64_t)(*s - '0');
}

static int parse_framing(struct http_head *h)
{
    const char *coding = http_head_field(h, "Transfer-Encoding"), *expect = http_head_field(h, "Expect");
    const char *connection = http_head_field(h, "Connection");

    h->close = has_token(connection, "close") || (h->minor == 0 && !has_token(connection, "keep-alive"));
    if (http_head_count(h, "Host") > 1 || (h->minor == 1 && http_head_count(h, "Host") == 0))
        return 400; /* §3.2 */
    if (coding) {
        if (h->minor == 0 || http_head_count(h, "Transfer-Encoding") > 1)
            return 400; /* §6.1 */
        if (strcasecmp(coding, "chunked") != 0)
            return 501;
        h->chunked = true;
    }
    parse_length(h);
    if (expect && h->minor == 1) {
        if (strcasecmp(expect, "100-continue") != 0)
            return 417;
        h->expect_continue = true;
    }
    return 0;
}

int http_head_parse(struct http_head *h, char *text, size_t n)
{
    char *end = text + n, *line;
    int rc;

    *h = (struct http_head){.method = "?", .path = "", .query = "", .close = true};
    while (end - text >= 2 && text[0] == '\r' && text[1] == '\n')
        text += 2;
    line = take_line(&text, end);
    rc = line ? parse_first(h, line) : 400;
    while (rc == 0) {
        line = take_line(&text, end);
        if (!line)
            return 400;
        if (!*line)
            break;
        rc = parse_field(h, line);
    }
    return rc ? rc : parse_framing(h);
}

/* ---- queries ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int decode(const char *p, size_t n, char *out, size_t cap)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        char c = p[i];

        if (c == '%') {
            int hi = n - i > 2 ? hex(p[i + 1]) : -1;

            if (hi < 0 || hex(p[i + 2]) < 0 || (hi == 0 && p[i + 2] == '0'))
                return ERR_MALFORMED;
            c = (char)(hi * 16 + hex(p[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (len + 1 >= cap)
            return ERR_LIMIT;
        out[len++] = c;
    }
    out[len] = 0;
    return 0;
}

/* Names are compared decoded: match%5B%5D is match[]. */
static bool same_name(const char *p, size_t n, const char *name)
{
    char plain[64];

    return decode(p, n, plain, sizeof(plain)) == 0 && strcmp(plain, name) == 0;
}

int http_query_param(const char *query, const char *name, size_t i, char *out, size_t cap)
{
    while (*query) {
        size_t n = strcspn(query, "&"), key = strcspn(query, "=&");

        if (same_name(query, key, name) && i-- == 0)
            return key < n ? decode(query + key + 1, n - key - 1, out, cap) : decode("", 0, out, cap);
        query += n + (query[n] == '&');
    }
    return ERR_NOTFOUND;
}

/* ---- chunks ---- */

/* One line up to its CRLF: its length without, or -1 while it
 * is not complete; -2 when it is too long or broken. */
static long chunk_line(const char *p, size_t n)
{
    const char *end = memchr(p, '\n', n);

    if (!end)
        return n > CHUNK_LINE ? -2 : -1;
    if (end == p || end[-1] != '\r' || end - p > CHUNK_LINE)
        return -2;
    return (long)(end - p) - 1;
}

static int chunk_size(struct http_chunks *c, const char *p, size_t n)
{
    size_t i = 0;

    c->left = 0;
    for (; i < n && hex(p[i]) >= 0; i++) {
        if (i >= 15)
            return 413;
        c->left = c->left * 16 + (uint64_t)hex(p[i]);
    }
    if (i == 0 || (i < n && p[i] != ';' && p[i] != ' ' && p[i] != '\t') || memchr(p, '\r', n))
        return 400;
    c->overhead += n - i;
    c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
    return 0;
}

int http_chunks_take(struct http_chunks *c, const char *p, size_t n, uint64_t max, size_t *used,
                     const char **data, size_t *data_n)
{
    long line;
    int rc = 0;

    *used = *data_n = 0;
    *data = p;
    if (!n || c->state == CHUNK_DONE)
        return 0;
    if (c->state == CHUNK_DATA) {
        *data_n = *used = n < c->left ? n : (size_t)c->left;
        c->left -= *used;
        c->total += *used;
        if (!c->left)
            c->state = CHUNK_CRLF;
        return 0;
    }
    line = chunk_line(p, n);
    if (line == -2 || (line > 0 && c->state == CHUNK_CRLF))
        return 400;
    if (line < 0)
        return 0;
    *used = (size_t)line + 2;
    if (c->state == CHUNK_CRLF) {
        c->state = CHUNK_SIZE;
    } else if (c->state == CHUNK_SIZE) {
        rc = chunk_size(c, p, (size_t)line);
    } else if (line == 0) {
        c->state = CHUNK_DONE;
    } else {
        c->overhead += (size_t)line;
    }
    if (rc == 0 && (c->left > max - c->total || c->overhead > CHUNK_OVERHEAD))
        rc = 413;
    return rc;
}

const char *http_reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } known[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].status == status)
            return known[i].phrase;
    return status < 400 ? "OK" : "Error";
}
