/* Selectors: see select.h. A recursive descent over one line,
 * values unescaped as Prometheus does (\\ \" \n). */
#include "aggregator/expose/select.h"

#include <regex.h>
#include <string.h>

#include "common/base/arena.h"

enum op { OP_EQUAL, OP_DIFFERS, OP_MATCHES, OP_MATCHES_NOT };
enum { TEXT_MAX = 4096 };

struct matcher {
    const char *name;
    const char *value;
    enum op op;
    bool compiled;
    regex_t re;
};

struct selector {
    struct arena arena;
    struct matcher m[SELECT_MATCHERS];
    size_t n;
};

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
           (!first && c >= '0' && c <= '9');
}

static void blanks(const char **p)
{
    *p += strspn(*p, " \t\n");
}

static const char *read_name(struct selector *s, const char **p)
{
    const char *from = *p;

    if (!name_char(**p, true))
        return NULL;
    while (name_char(**p, false))
        (*p)++;
    return arena_text(&s->arena, from, (size_t)(*p - from));
}

static const char *read_string(struct selector *s, const char **p, struct err *e)
{
    char quote = **p, *out, *to;

    if (quote != '"' && quote != '\'') {
        err_set(e, ERR_MALFORMED, "selector: a quoted value is expected at \"%.20s\"", *p);
        return NULL;
    }
    (*p)++;
    out = to = arena_alloc(&s->arena, strlen(*p) + 1);
    if (!out) {
        err_set(e, ERR_NOMEM, "selector: no memory");
        return NULL;
    }
    for (; **p && **p != quote; (*p)++) {
        if (**p == '\\' && (*p)[1]) {
            (*p)++;
            *to++ = **p == 'n' ? '\n' : **p;
        } else {
            *to++ = **p;
        }
    }
    if (!**p) {
        err_set(e, ERR_MALFORMED, "selector: the value is not closed");
        return NULL;
    }
    (*p)++;
    return out;
}

static int compile(struct selector *s, struct matcher *m, struct err *e)
{
    size_t n = strlen(m->value);
    char *whole;

    if (m->op != OP_MATCHES && m->op != OP_MATCHES_NOT)
        return 0;
    whole = arena_alloc(&s->arena, n + 5);
    if (!whole)
        return err_set(e, ERR_NOMEM, "selector: no memory");
    memcpy(whole, "^(", 2);
    memcpy(whole + 2, m->value, n);
    memcpy(whole + 2 + n, ")$", 3);
    if (regcomp(&m->re, whole, REG_EXTENDED | REG_NOSUB) != 0)
        return err_set(e, ERR_MALFORMED, "selector: \"%.60s\" is not a regular expression", m->value);
    m->compiled = true;
    return 0;
}

static int read_op(const char **p, enum op *op)
{
    static const struct {
        const char *text;
        enum op op;
    } ops[] = {{"=~", OP_MATCHES}, {"!~", OP_MATCHES_NOT}, {"!=", OP_DIFFERS}, {"=", OP_EQUAL}};

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strncmp(*p, ops[i].text, strlen(ops[i].text)) == 0) {
            *op = ops[i].op;
            *p += strlen(ops[i].text);
            return 0;
        }
    }
    return ERR_MALFORMED;
}

static int read_matcher(struct selector *s, const char **p, struct err *e)
{
    struct matcher *m = &s->m[s->n];
    const char *at = *p;

    if (s->n == SELECT_MATCHERS)
        return err_set(e, ERR_LIMIT, "selector: more than %d matchers", SELECT_MATCHERS);
    m->name = read_name(s, p);
    blanks(p);
    if (!m->name || read_op(p, &m->op) != 0)
        return err_set(e, ERR_MALFORMED,
                       "selector: label, one of = != =~ !~, and a value are expected at \"%.20s\"", at);
    blanks(p);
    m->value = read_string(s, p, e);
    if (!m->value)
        return ERR_MALFORMED;
    s->n++;
    return compile(s, m, e);
}

static int read_all(struct selector *s, const char *p, struct err *e)
{
    blanks(&p);
    if (*p != '{') {
        const char *name = read_name(s, &p);

        if (!name)
            return err_set(e, ERR_MALFORMED, "selector: a metric name or { is expected at \"%.20s\"", p);
        s->m[s->n++] = (struct matcher){.name = "__name__", .value = name, .op = OP_EQUAL};
        blanks(&p);
    }
    if (*p == '{') {
        p++;
        for (blanks(&p); *p && *p != '}'; blanks(&p)) {
            int rc = read_matcher(s, &p, e);

            if (rc)
                return rc;
            blanks(&p);
            if (*p == ',')
                p++;
            else if (*p != '}')
                break;
        }
        if (*p != '}')
            return err_set(e, ERR_MALFORMED, "selector: , or } is expected at \"%.20s\"", p);
        p++;
        blanks(&p);
    }
    if (*p)
        return err_set(e, ERR_MALFORMED, "selector: \"%.20s\" stands behind its end", p);
    if (!s->n)
        return err_set(e, ERR_MALFORMED, "selector: {} would match everything: leave it out");
    return 0;
}

struct selector *selector_new(const char *text, struct err *e)
{
    struct selector *s;

    if (strlen(text) > TEXT_MAX) {
        err_set(e, ERR_LIMIT, "selector: longer than %d bytes", TEXT_MAX);
        return NULL;
    }
    s = mem_alloc(NULL, sizeof *s);
    if (!s) {
        err_set(e, ERR_NOMEM, "selector: no memory");
        return NULL;
    }
    arena_init(&s->arena, NULL, 0);
    if (read_all(s, text, e) != 0)
        selector_free(&s);
    return s;
}

void selector_free(struct selector **s)
{
    if (!*s)
        return;
    for (size_t i = 0; i < (*s)->n; i++) {
        if ((*s)->m[i].compiled)
            regfree(&(*s)->m[i].re);
    }
    arena_free(&(*s)->arena);
    mem_free(NULL, *s, sizeof **s);
    *s = NULL;
}

static bool value_fits(const struct matcher *m, const char *value)
{
    switch (m->op) {
    case OP_EQUAL: return strcmp(m->value, value) == 0;
    case OP_DIFFERS: return strcmp(m->value, value) != 0;
    case OP_MATCHES: return regexec(&m->re, value, 0, NULL, 0) == 0;
    case OP_MATCHES_NOT: return regexec(&m->re, value, 0, NULL, 0) != 0;
    }
    return false;
}

bool selector_excludes_name(const struct selector *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->m[i].name, "__name__") == 0 && !value_fits(&s->m[i], name))
            return true;
    }
    return false;
}

bool selector_matches(const struct selector *s, const char *name, const struct label *labels, size_t n)
{
    for (size_t i = 0; i < s->n; i++) {
        const char *value = strcmp(s->m[i].name, "__name__") == 0 ? name : "";

        for (size_t k = 0; !*value && k < n; k++) {
            if (strcmp(labels[k].name, s->m[i].name) == 0)
                value = labels[k].value;
        }
        if (!value_fits(&s->m[i], value))
            return false;
    }
    return true;
}
