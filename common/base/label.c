/* Label sets and their names: see label.h. A label with an empty value is the same as none, everywhere. */
#include "common/base/label.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

const char *labels_get(struct labels l, const char *name)
{
    for (uint32_t i = 0; i < l.n; i++) {
        if (strcmp(l.v[i].name, name) == 0)
            return l.v[i].value;
    }
    return "";
}

static uint32_t next_set(struct labels l, uint32_t i)
{
    while (i < l.n && !l.v[i].value[0])
        i++;
    return i;
}

int labels_compare(struct labels a, struct labels b)
{
    uint32_t i = next_set(a, 0), j = next_set(b, 0);

    for (; i < a.n && j < b.n; i = next_set(a, i + 1), j = next_set(b, j + 1)) {
        int c = strcmp(a.v[i].name, b.v[j].name);

        if (!c)
            c = strcmp(a.v[i].value, b.v[j].value);
        if (c)
            return c;
    }
    return (i < a.n) - (j < b.n);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

void labels_sort(struct label *v, uint32_t n)
{
    if (n > 1)
        qsort(v, n, sizeof *v, by_name);
}

void label_quote(const char *value, struct buf *out)
{
    buf_u8(out, '"');
    for (; *value; value++) {
        size_t plain = strcspn(value, "\\\"\n");

        buf_put(out, value, plain);
        value += plain;
        if (!*value)
            break;
        buf_u8(out, '\\');
        buf_u8(out, *value == '\n' ? 'n' : (uint8_t)*value);
    }
    buf_u8(out, '"');
}

void labels_text(struct labels l, struct buf *out)
{
    const char *comma = "";

    for (uint32_t i = next_set(l, 0); i < l.n; i = next_set(l, i + 1)) {
        buf_str(out, comma);
        buf_str(out, l.v[i].name);
        buf_u8(out, '=');
        label_quote(l.v[i].value, out);
        comma = ",";
    }
}

struct labels labels_copy(struct labels l, struct arena *a, bool *ok)
{
    struct label *v = arena_array(a, l.n ? l.n : 1, sizeof *v);

    *ok = false;
    if (!v)
        return (struct labels){0};
    for (uint32_t i = 0; i < l.n; i++) {
        v[i].name = arena_text(a, l.v[i].name, strlen(l.v[i].name));
        v[i].value = arena_text(a, l.v[i].value, strlen(l.v[i].value));
        if (!v[i].name || !v[i].value)
            return (struct labels){0};
    }
    *ok = true;
    return (struct labels){v, l.n};
}

/* The text is gathered outside any budget: a name must not depend on how much memory is left. */
struct fingerprint labels_fingerprint(const char *name, struct labels l)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct fingerprint f;
    struct buf text;

    buf_init(&text, NULL, SIZE_MAX / 2);
    buf_str(&text, name);
    buf_u8(&text, '\n');
    labels_text(l, &text);
    (void)SHA256(text.len ? text.data : (const unsigned char *)"", text.len, digest);
    memcpy(f.b, digest, sizeof f.b);
    buf_free(&text);
    return f;
}

void fingerprint_text(const struct fingerprint *f, char out[33])
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof f->b; i++) {
        out[2 * i] = hex[f->b[i] >> 4];
        out[2 * i + 1] = hex[f->b[i] & 15];
    }
    out[32] = 0;
}

int fingerprint_parse(const char *hex, struct fingerprint *out)
{
    struct fingerprint f = {{0}};

    for (size_t i = 0; i < 32; i++) {
        unsigned char c = (unsigned char)hex[i];
        int digit;

        if (!isxdigit(c)) /* also the end */
            return ERR_MALFORMED;
        digit = c <= '9' ? c - '0' : tolower(c) - 'a' + 10;
        f.b[i / 2] = (uint8_t)(f.b[i / 2] << 4 | digit);
    }
    if (hex[32])
        return ERR_MALFORMED;
    *out = f;
    return 0;
}
