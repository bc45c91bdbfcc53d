/* See xml.h. Not recursive: what stands open is a list in the arena, bounded by XML_DEPTH. */
#include "aggregator/actions/xml.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/config/text.h"

struct node { /* while it is open */
    struct xml x;
    struct node *parent;
    struct xml *last; /* child */
    struct buf text;
};

struct reader {
    struct arena *a;
    const char *p, *end;
    struct node *open;
    struct xml *root;
    int depth;
    struct err *e;
};

static int wrong(struct reader *r, const char *what)
{
    return err_set(r->e, ERR_MALFORMED, "XML: %s", what);
}

static bool starts(const struct reader *r, const char *s)
{
    size_t n = strlen(s);

    return (size_t)(r->end - r->p) >= n && memcmp(r->p, s, n) == 0;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && blank(*r->p))
        r->p++;
}

/* Behind `what`, which ends a construct; false when it does not come. */
static bool skip_past(struct reader *r, const char *what)
{
    const char *at = memmem(r->p, (size_t)(r->end - r->p), what, strlen(what));

    if (at)
        r->p = at + strlen(what);
    return at != NULL;
}

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (c & 0x80) ||
           (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

static int read_name(struct reader *r, const char **out)
{
    const char *start = r->p;
    size_t n;

    while (r->p < r->end && name_char(*r->p, r->p == start))
        r->p++;
    n = (size_t)(r->p - start);
    if (!n)
        return wrong(r, "a name is missing");
    if (n > XML_NAME)
        return err_set(r->e, ERR_LIMIT, "XML: a name is too long");
    *out = arena_text(r->a, start, n);
    return *out ? 0 : err_set(r->e, ERR_NOMEM, "no memory for XML");
}

static void put_character(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_u8(b, (uint8_t)c);
    } else if (c < 0x800) {
        buf_u8(b, (uint8_t)(0xc0 | c >> 6));
        buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_u8(b, (uint8_t)(0xe0 | c >> 12));
        buf_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_u8(b, (uint8_t)(0xf0 | c >> 18));
        buf_u8(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        buf_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* XML 1.0 §2.2: no control characters but three, no surrogates. */
static bool is_character(uint32_t c)
{
    return c == 9 || c == 10 || c == 13 || (c >= 0x20 && c < 0xd800) || (c >= 0xe000 && c < 0xfffe) ||
           (c >= 0x10000 && c <= 0x10ffff);
}

static int digit(char c, bool hex)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (hex && c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return hex && c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int read_reference(struct reader *r, struct buf *out)
{
    static const struct {
        const char *name;
        char c;
    } named[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};
    bool hex;
    uint32_t c = 0;
    int n = 0;

    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (starts(r, named[i].name)) {
            r->p += strlen(named[i].name);
            buf_u8(out, (uint8_t)named[i].c);
            return 0;
        }
    }
    if (!starts(r, "&#"))
        return wrong(r, "an entity that is none of XML's own");
    r->p += 2;
    hex = r->p < r->end && *r->p == 'x';
    r->p += hex;
    for (; r->p < r->end && digit(*r->p, hex) >= 0 && n < 8; n++, r->p++)
        c = c * (hex ? 16 : 10) + (uint32_t)digit(*r->p, hex);
    if (!n || r->p == r->end || *r->p != ';' || !is_character(c))
        return wrong(r, "a reference to no character");
    r->p++;
    put_character(out, c);
    return 0;
}

/* Characters up to one of `stop`, with references resolved. */
static int read_text(struct reader *r, const char *stop, struct buf *out)
{
    while (r->p < r->end && (!*r->p || !strchr(stop, *r->p))) {
        size_t n = utf8_len((const unsigned char *)r->p, (size_t)(r->end - r->p));

        if (!n || (n == 1 && !is_character((uint32_t)*r->p)))
            return wrong(r, "a byte that is no character");
        if (*r->p == '&') {
            int rc = read_reference(r, out);

            if (rc)
                return rc;
            continue;
        }
        buf_put(out, r->p, n);
        r->p += n;
    }
    return out->full ? err_set(r->e, ERR_LIMIT, "XML: a text is too long") : 0;
}

static int read_attributes(struct reader *r)
{
    for (;;) {
        const char *before = r->p, *name;
        struct buf value;
        char quote[3] = "<";
        int rc;

        skip_blanks(r);
        if (r->p == r->end)
            return wrong(r, "it ends within a tag");
        if (*r->p == '>' || *r->p == '/' || *r->p == '?')
            return 0;
        if (before == r->p)
            return wrong(r, "a blank is missing before an attribute");
        rc = read_name(r, &name);
        if (rc)
            return rc;
        skip_blanks(r);
        if (r->p == r->end || *r->p++ != '=')
            return wrong(r, "an attribute without a value");
        skip_blanks(r);
        if (r->p == r->end || (*r->p != '"' && *r->p != '\''))
            return wrong(r, "an attribute without quotes");
        quote[1] = *r->p++;
        buf_init(&value, r->a->mem, (size_t)(r->end - r->p) + 8);
        rc = read_text(r, quote, &value);
        buf_free(&value);
        if (rc)
            return rc;
        if (r->p == r->end || *r->p++ != quote[1])
            return wrong(r, "an attribute that does not end");
    }
}

static int close_node(struct reader *r)
{
    struct node *n = r->open;

    n->x.text = arena_text(r->a, (const char *)n->text.data, n->text.len);
    buf_free(&n->text);
    r->open = n->parent;
    r->depth--;
    return n->x.text ? 0 : err_set(r->e, ERR_NOMEM, "no memory for XML");
}

static int open_node(struct reader *r)
{
    struct node *n = arena_alloc(r->a, sizeof *n);
    int rc;

    r->p++;
    if (!n)
        return err_set(r->e, ERR_NOMEM, "no memory for XML");
    if (r->depth == XML_DEPTH)
        return err_set(r->e, ERR_LIMIT, "XML: too deep");
    if (!r->open && r->root)
        return wrong(r, "more than one document");
    rc = read_name(r, &n->x.name);
    if (!rc)
        rc = read_attributes(r);
    if (rc)
        return rc;
    n->x.text = "";
    buf_init(&n->text, r->a->mem, (size_t)(r->end - r->p) + 8);
    n->parent = r->open;
    if (!r->open)
        r->root = &n->x;
    else if (r->open->last)
        r->open->last->next = &n->x;
    else
        r->open->x.child = &n->x;
    if (r->open)
        r->open->last = &n->x;
    r->open = n;
    r->depth++;
    if (starts(r, "/>")) {
        r->p += 2;
        return close_node(r);
    }
    if (r->p == r->end || *r->p++ != '>')
        return wrong(r, "a tag that does not end");
    return 0;
}

static int end_tag(struct reader *r)
{
    const char *name;
    int rc;

    r->p += 2;
    rc = read_name(r, &name);
    if (rc)
        return rc;
    skip_blanks(r);
    if (r->p == r->end || *r->p++ != '>')
        return wrong(r, "a tag that does not end");
    if (!r->open || strcmp(name, r->open->x.name) != 0)
        return wrong(r, "an end that belongs to no beginning");
    return close_node(r);
}

static int cdata(struct reader *r)
{
    const char *start = r->p += 9;

    if (!r->open || !skip_past(r, "]]>"))
        return wrong(r, "a CDATA section out of place");
    for (const char *q = start; q < r->p - 3;) {
        size_t n = utf8_len((const unsigned char *)q, (size_t)(r->p - 3 - q));

        if (!n || (n == 1 && !is_character((uint32_t)*q)))
            return wrong(r, "a byte that is no character");
        buf_put(&r->open->text, q, n);
        q += n;
    }
    return 0;
}

static int read_one(struct reader *r)
{
    if (starts(r, "<!--")) {
        r->p += 4;
        return skip_past(r, "-->") ? 0 : wrong(r, "a comment that does not end");
    }
    if (starts(r, "<![CDATA["))
        return cdata(r);
    if (starts(r, "<!") || starts(r, "<?"))
        return wrong(r, "a document type or an instruction, which are not taken");
    if (starts(r, "</"))
        return end_tag(r);
    if (*r->p == '<')
        return open_node(r);
    if (r->open)
        return read_text(r, "<", &r->open->text);
    if (!blank(*r->p))
        return wrong(r, "text outside of the document");
    skip_blanks(r);
    return 0;
}

static int declaration(struct reader *r)
{
    if (starts(r, "\xef\xbb\xbf"))
        r->p += 3;
    if (!starts(r, "<?xml") || r->end - r->p < 6 || !blank(r->p[5]))
        return 0;
    r->p += 5;
    if (read_attributes(r) != 0)
        return ERR_MALFORMED;
    if (!starts(r, "?>"))
        return wrong(r, "a declaration that does not end");
    r->p += 2;
    return 0;
}

int xml_parse(struct arena *a, struct bytes in, const struct xml **root, struct err *e)
{
    struct reader r = {.a = a, .p = (const char *)in.p, .end = (const char *)in.p + in.n, .e = e};
    int rc = in.n ? declaration(&r) : wrong(&r, "nothing");

    while (!rc && r.p < r.end)
        rc = read_one(&r);
    if (!rc && (r.open || !r.root))
        rc = wrong(&r, "it ends too early");
    for (; r.open; r.open = r.open->parent)
        buf_free(&r.open->text);
    *root = rc ? NULL : r.root;
    return rc;
}

const struct xml *xml_child(const struct xml *x, const char *name)
{
    for (x = x ? x->child : NULL; x; x = x->next)
        if (strcmp(x->name, name) == 0)
            return x;
    return NULL;
}

const struct xml *xml_next(const struct xml *x)
{
    const char *name = x->name;

    for (x = x->next; x; x = x->next)
        if (strcmp(x->name, name) == 0)
            return x;
    return NULL;
}

const char *xml_child_text(const struct xml *x, const char *name)
{
    const struct xml *c = xml_child(x, name);

    return c ? c->text : NULL;
}

void xml_put(struct buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<': buf_str(out, "&lt;"); break;
        case '>': buf_str(out, "&gt;"); break;
        case '&': buf_str(out, "&amp;"); break;
        case '"': buf_str(out, "&quot;"); break;
        default: buf_u8(out, (uint8_t)*text);
        }
    }
}
