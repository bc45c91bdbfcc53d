/* Tokens of MessagePack: see token.h. The format is a table of the bytes 0xc0 to 0xdf around five ranges of
 * short forms (msgpack/spec.md, "Formats"). */
#include "common/wire/token.h"

#include <string.h>

static const struct {
    uint8_t type;  /* enum tok_type */
    uint8_t width; /* bytes of the value or length that follow, big-endian */
    uint8_t fixed; /* length where the form itself tells it */
} forms[32] = {
    {TOK_NIL, 0, 0},   {TOK_BAD, 0, 0},   {TOK_BOOL, 0, 0}, {TOK_BOOL, 0, 0},  {TOK_BIN, 1, 0},
    {TOK_BIN, 2, 0},   {TOK_BIN, 4, 0},   {TOK_EXT, 1, 0},  {TOK_EXT, 2, 0},   {TOK_EXT, 4, 0},
    {TOK_FLOAT, 4, 0}, {TOK_FLOAT, 8, 0}, {TOK_UINT, 1, 0}, {TOK_UINT, 2, 0},  {TOK_UINT, 4, 0},
    {TOK_UINT, 8, 0},  {TOK_NEG, 1, 0},   {TOK_NEG, 2, 0},  {TOK_NEG, 4, 0},   {TOK_NEG, 8, 0},
    {TOK_EXT, 0, 1},   {TOK_EXT, 0, 2},   {TOK_EXT, 0, 4},  {TOK_EXT, 0, 8},   {TOK_EXT, 0, 16},
    {TOK_STR, 1, 0},   {TOK_STR, 2, 0},   {TOK_STR, 4, 0},  {TOK_ARRAY, 2, 0}, {TOK_ARRAY, 4, 0},
    {TOK_MAP, 2, 0},   {TOK_MAP, 4, 0},
};

/* Length and content of what has them; containers are held against the bytes that are left. */
static bool take_content(struct reader *r, struct tok *t, uint32_t n)
{
    size_t left = (size_t)(r->end - r->p);

    t->n = n;
    switch (t->type) {
    case TOK_ARRAY: return n <= left;
    case TOK_MAP: return n <= left / 2;
    case TOK_EXT:
        if (n >= left)
            return false;
        r->p += (size_t)n + 1; /* the type byte */
        return true;
    default:
        if (n > left)
            return false;
        t->p = r->p;
        r->p += n;
        return true;
    }
}

static uint64_t sign_extend(uint64_t u, unsigned width)
{
    uint64_t sign = 1ULL << (width * 8 - 1);

    return width == 8 ? u : (u ^ sign) - sign;
}

static bool take_long_form(struct reader *r, struct tok *t, uint8_t c)
{
    unsigned width = forms[c - 0xc0].width;
    uint64_t u = 0;

    t->type = forms[c - 0xc0].type;
    if (t->type == TOK_BAD || (size_t)(r->end - r->p) < width)
        return false;
    for (unsigned i = 0; i < width; i++)
        u = u << 8 | *r->p++;
    switch (t->type) {
    case TOK_NIL:
    case TOK_UINT:
    case TOK_FLOAT: t->u = u; return true;
    case TOK_BOOL: t->u = c & 1; return true;
    case TOK_NEG:
        t->u = sign_extend(u, width);
        if (!(t->u >> 63))
            t->type = TOK_UINT;
        return true;
    default: return take_content(r, t, width ? (uint32_t)u : forms[c - 0xc0].fixed);
    }
}

bool tok_next(struct reader *r, struct tok *t)
{
    uint8_t c;

    *t = (struct tok){.type = TOK_BAD};
    if (r->p >= r->end)
        return false;
    c = *r->p++;
    if (c < 0x80) {
        t->type = TOK_UINT;
        t->u = c;
        return true;
    }
    if (c >= 0xe0) {
        t->type = TOK_NEG;
        t->u = sign_extend(c, 1);
        return true;
    }
    if (c >= 0xc0)
        return take_long_form(r, t, c);
    t->type = c < 0x90 ? TOK_MAP : c < 0xa0 ? TOK_ARRAY : TOK_STR;
    return take_content(r, t, t->type == TOK_STR ? c & 31U : c & 15U);
}

bool tok_skip(struct reader *r)
{
    uint64_t left = 1; /* no overflow: each token takes a byte and adds less than 2^33 */
    struct tok t;

    while (left--) {
        if (!tok_next(r, &t))
            return false;
        if (t.type == TOK_ARRAY)
            left += t.n;
        else if (t.type == TOK_MAP)
            left += 2 * (uint64_t)t.n;
    }
    return true;
}

bool fields_read(struct reader *r, struct field *f, size_t n)
{
    struct tok map, key;

    if (!tok_next(r, &map) || map.type != TOK_MAP)
        return false;
    for (uint32_t i = 0; i < map.n; i++) {
        struct reader at;

        if (!tok_next(r, &key) || key.type != TOK_STR)
            return false;
        at.p = r->p;
        if (!tok_skip(r))
            return false;
        at.end = r->p;
        for (size_t k = 0; k < n; k++)
            if (strlen(f[k].name) == key.n && !memcmp(f[k].name, key.p, key.n))
                f[k].at = at;
    }
    return true;
}

static bool field_token(const struct field *f, struct tok *t)
{
    struct reader r = f->at;

    return r.p && tok_next(&r, t);
}

bool field_uint(const struct field *f, uint64_t min, uint64_t max, uint64_t *v)
{
    struct tok t;

    if (!field_token(f, &t) || t.type != TOK_UINT || t.u < min || t.u > max)
        return false;
    *v = t.u;
    return true;
}

bool field_int(const struct field *f, int64_t *v)
{
    struct tok t;

    if (!field_token(f, &t) || !(t.type == TOK_NEG || (t.type == TOK_UINT && t.u <= INT64_MAX)))
        return false;
    *v = (int64_t)t.u;
    return true;
}

bool field_bool(const struct field *f, bool *v)
{
    struct tok t;

    if (!field_token(f, &t) || t.type != TOK_BOOL)
        return false;
    *v = t.u;
    return true;
}

bool field_str(const struct field *f, struct wire_str *s)
{
    struct tok t;

    if (!field_token(f, &t) || t.type != TOK_STR)
        return false;
    *s = (struct wire_str){(const char *)t.p, t.n};
    return true;
}

bool field_bin(const struct field *f, struct bytes *b)
{
    struct tok t;

    if (!field_token(f, &t) || t.type != TOK_BIN)
        return false;
    *b = (struct bytes){t.p, t.n};
    return true;
}

bool field_hash(const struct field *f, struct wire_hash *h)
{
    struct bytes b;

    if (!field_bin(f, &b) || b.n != sizeof h->b)
        return false;
    memcpy(h->b, b.p, sizeof h->b);
    return true;
}
