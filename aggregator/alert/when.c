/* See when.h. A descent over the text builds nodes in an array, children before parents, so that a walk in order
 * of index evaluates without recursion. */
#include "aggregator/alert/when.h"

#include <stdint.h>
#include <string.h>

enum op { OP_NAME, OP_NOT, OP_AND, OP_OR, OP_LEAST };

struct node {
    enum op op;
    uint8_t a, b; /* NOT, AND, OR: nodes; NAME: a is its bit; LEAST: a is how many … */

    uint64_t set; /* … of these nodes, by bit */
};

struct when {
    struct node nodes[WHEN_NODES_MOST];
    unsigned n;
    const char *names[WHEN_NAMES_MOST];
    unsigned n_names;
};

struct reader {
    const char *p;
    struct when *w;
    struct arena *arena;
    struct err *e;
    unsigned depth;
    int rc;
};

static int either(struct reader *r);

static int fail(struct reader *r, int code, const char *what)
{
    if (!r->rc)
        r->rc = err_set(r->e, code, "%s at \"%.40s\"", what, *r->p ? r->p : "the end");
    return -1;
}

static void blanks(struct reader *r)
{
    r->p += strspn(r->p, " \t");
}

static size_t word(const struct reader *r)
{
    return strspn(r->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
}

static bool take(struct reader *r, const char *keyword)
{
    size_t n = strlen(keyword);

    blanks(r);
    if (word(r) == n && !memcmp(r->p, keyword, n)) {
        r->p += n;
        return true;
    }
    return false;
}

static bool sign(struct reader *r, char c)
{
    blanks(r);
    if (*r->p != c)
        return false;
    r->p++;
    return true;
}

static int node(struct reader *r, struct node n)
{
    if (r->w->n == WHEN_NODES_MOST)
        return fail(r, ERR_LIMIT, "more than 64 words and signs");
    r->w->nodes[r->w->n] = n;
    return (int)r->w->n++;
}

static int name(struct reader *r, size_t n)
{
    struct when *w = r->w;
    unsigned i;

    for (i = 0; i < w->n_names; i++) {
        if (strlen(w->names[i]) == n && !memcmp(w->names[i], r->p, n))
            break;
    }
    if (i == w->n_names) {
        if (i == WHEN_NAMES_MOST)
            return fail(r, ERR_LIMIT, "more than 16 different alerts");
        w->names[i] = arena_text(r->arena, r->p, n);
        if (!w->names[i])
            return fail(r, ERR_NOMEM, "no memory");
        w->n_names++;
    }
    r->p += n;
    return node(r, (struct node){.op = OP_NAME, .a = (uint8_t)i});
}

/* "2 of (a, b, c)", the number being read. */
static int least(struct reader *r, unsigned k)
{
    struct node n = {.op = OP_LEAST};
    unsigned members = 0;

    if (!sign(r, '('))
        return fail(r, ERR_MALFORMED, "expected ( behind \"of\"");
    do {
        int m = either(r);

        if (m < 0)
            return -1;
        n.set |= UINT64_C(1) << m;
        members++;
    } while (sign(r, ','));
    if (!sign(r, ')'))
        return fail(r, ERR_MALFORMED, "expected , or )");
    if (k < 1 || k > members)
        return fail(r, ERR_MALFORMED, "the number before \"of\" has to be from 1 to the number of members");
    n.a = (uint8_t)k;
    return node(r, n);
}

static int single(struct reader *r)
{
    size_t n;
    int inner;

    if (take(r, "not")) {
        if (++r->depth > WHEN_DEPTH_MOST)
            return fail(r, ERR_LIMIT, "nested more than 16 deep");
        inner = single(r);
        r->depth--;
        return inner < 0 ? -1 : node(r, (struct node){.op = OP_NOT, .a = (uint8_t)inner});
    }
    if (sign(r, '(')) {
        inner = either(r);
        if (inner >= 0 && !sign(r, ')'))
            return fail(r, ERR_MALFORMED, "expected )");
        return inner;
    }
    n = word(r);
    if (n && n <= 2 && strspn(r->p, "0123456789") == n) {
        const char *digits = r->p;
        unsigned k = (unsigned)(digits[0] - '0');

        r->p += n;
        if (n == 2)
            k = k * 10 + (unsigned)(digits[1] - '0');
        if (take(r, "of"))
            return least(r, k);
        r->p = digits;
    }
    if (!n || (n == 3 && !memcmp(r->p, "and", 3)) || (n == 2 && !memcmp(r->p, "or", 2)))
        return fail(r, ERR_MALFORMED, "expected the name of an alert");
    return name(r, n);
}

static int both(struct reader *r)
{
    int a = single(r), b;

    while (a >= 0 && take(r, "and")) {
        b = single(r);
        a = b < 0 ? -1 : node(r, (struct node){.op = OP_AND, .a = (uint8_t)a, .b = (uint8_t)b});
    }
    return a;
}

static int either(struct reader *r)
{
    int a, b;

    if (++r->depth > WHEN_DEPTH_MOST)
        return fail(r, ERR_LIMIT, "nested more than 16 deep");
    a = both(r);
    while (a >= 0 && take(r, "or")) {
        b = both(r);
        a = b < 0 ? -1 : node(r, (struct node){.op = OP_OR, .a = (uint8_t)a, .b = (uint8_t)b});
    }
    r->depth--;
    return a;
}

const struct when *when_read(const char *text, struct arena *a, struct err *e)
{
    struct when *w = arena_alloc(a, sizeof *w);
    struct reader r = {.p = text, .w = w, .arena = a, .e = e};

    if (!w) {
        err_set(e, ERR_NOMEM, "no memory for a composite");
        return NULL;
    }
    if (either(&r) < 0)
        return NULL;
    blanks(&r);
    if (*r.p) {
        fail(&r, ERR_MALFORMED, "expected \"and\", \"or\" or the end");
        return NULL;
    }
    return w;
}

unsigned when_count(const struct when *w)
{
    return w->n_names;
}

const char *when_name(const struct when *w, unsigned i)
{
    return w->names[i];
}

static bool node_holds(const struct node *n, uint64_t held, unsigned firing)
{
    switch (n->op) {
    case OP_NAME: return firing >> n->a & 1;
    case OP_NOT: return !(held >> n->a & 1);
    case OP_AND: return (held >> n->a & 1) && (held >> n->b & 1);
    case OP_OR: return (held >> n->a & 1) || (held >> n->b & 1);
    case OP_LEAST: return __builtin_popcountll(held & n->set) >= n->a;
    }
    return false;
}

bool when_holds(const struct when *w, unsigned firing)
{
    uint64_t held = 0;

    for (unsigned i = 0; i < w->n; i++) {
        if (node_holds(&w->nodes[i], held, firing))
            held |= UINT64_C(1) << i;
    }
    return w->n && held >> (w->n - 1) & 1;
}
