/* Matchers: see label.h. Expressions may come from a reader of the API, so what the compiler of the C library
 * would make of one is reckoned first: it unrolls + and {n,m} into copies ("a++++…" doubles each time), takes
 * exponential time over repetitions of what may be empty ("((x?y?)+)+"), and back-references make it search for
 * as long. What is left compiles within some 20 ms. */
#include "common/base/label.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MOST = 16, COPIES_MOST = 256 };

enum op { OP_EQUAL, OP_NOT, OP_LIKE, OP_UNLIKE };
static const char op_text[][3] = {"=", "!=", "=~", "!~"};

struct word {
    const char *name, *value; /* in the text of the match */
    enum op op;
    regex_t regex; /* OP_LIKE and OP_UNLIKE */
    bool compiled;
};

struct match {
    struct word words[MATCH_MOST];
    size_t n;
    struct buf store; /* names and values, terminated */
    struct buf text;  /* canonical, terminated */
};

/* ---- what an expression costs ---- */

struct level {
    uint64_t sum;   /* nodes, without the last piece */
    bool empty;     /* all pieces of this alternative before the last may be empty */
    bool any_empty; /* an alternative before may be */
};

struct cost {
    const char *p, *regex;
    struct level level[GROUPS_MOST + 1]; /* of the open groups */
    uint64_t last;                       /* nodes of the last piece */
    bool last_empty, last_repeated;
    uint64_t copies; /* nodes that repetition adds */
    int depth;
    struct err *e;
};

static void piece(struct cost *c, uint64_t nodes, bool empty)
{
    struct level *l = &c->level[c->depth];

    l->sum += c->last;
    l->empty &= c->last_empty;
    c->last = nodes;
    c->last_empty = empty;
    c->last_repeated = false;
}

static void open_level(struct cost *c)
{
    c->level[c->depth] = (struct level){.empty = true};
    c->last = 0;
    c->last_empty = true;
    c->last_repeated = true; /* nothing there to repeat */
}

static void close_level(struct cost *c)
{
    struct level *l = &c->level[c->depth--];

    c->last += l->sum + 1;
    c->last_empty = l->any_empty || (l->empty && c->last_empty);
    c->last_repeated = false;
}

static void alternative(struct cost *c)
{
    struct level *l = &c->level[c->depth];

    piece(c, 1, true);
    l->any_empty |= l->empty;
    l->empty = true;
    c->last_repeated = true;
}

/* c->p stands behind '['; moves it behind the closing one, or to the end. */
static void skip_bracket(struct cost *c)
{
    if (*c->p == '^')
        c->p++;
    if (*c->p == ']')
        c->p++;
    while (*c->p && *c->p != ']') {
        if (*c->p == '[' && c->p[1] && strchr(":.=", c->p[1])) {
            char end[3] = {c->p[1], ']', 0};
            const char *q = strstr(c->p + 2, end);

            c->p = q ? q + 2 : c->p + 1;
        } else {
            c->p++;
        }
    }
    if (*c->p)
        c->p++;
}

/* The last piece at least least and at most most times; most 0: without end. */
static int repeat(struct cost *c, uint64_t least, uint64_t most)
{
    uint64_t times = most > least ? most : most ? least : least + 1;

    if (c->last_repeated)
        return err_set(c->e, ERR_MALFORMED, "\"%s\": a repetition of nothing, or of a repetition", c->regex);
    if (c->last_empty && most != 1)
        return err_set(c->e, ERR_LIMIT, "\"%s\": a repetition of what may be empty", c->regex);
    if (times > 1)
        c->copies += c->last * (times - 1);
    c->last = c->last * (times ? times : 1) + 1;
    c->last_empty |= least == 0;
    c->last_repeated = true;
    if (c->copies > COPIES_MOST)
        return err_set(c->e, ERR_LIMIT, "\"%s\": repeats too much", c->regex);
    return 0;
}

/* c->p stands behind '{'. A brace that is no interval is a literal. */
static int interval(struct cost *c)
{
    unsigned long n, m;
    char *end;

    if (!isdigit((unsigned char)*c->p) && *c->p != ',') {
        piece(c, 1, false);
        return 0;
    }
    n = m = strtoul(c->p, &end, 10);
    if (*end == ',')
        m = isdigit((unsigned char)end[1]) ? strtoul(end + 1, &end, 10) : 0;
    else if (!m)
        m = 1; /* {0}: nothing, and no more than once */
    end += strcspn(end, "}");
    c->p = *end ? end + 1 : end;
    return repeat(c, n > COPIES_MOST ? COPIES_MOST + 2 : n, m > COPIES_MOST ? COPIES_MOST + 2 : m);
}

static int group(struct cost *c)
{
    if (c->depth == GROUPS_MOST)
        return err_set(c->e, ERR_LIMIT, "\"%s\": more than %d groups within each other", c->regex,
                       GROUPS_MOST);
    piece(c, 0, true);
    c->depth++;
    open_level(c);
    return 0;
}

static int escape(struct cost *c)
{
    char ch = *c->p;

    if (isdigit((unsigned char)ch))
        return err_set(c->e, ERR_MALFORMED, "\"%s\": back-references are not supported", c->regex);
    c->p += ch ? 1 : 0;
    piece(c, 1, ch && strchr("bB<>`'", ch));
    return 0;
}

static int take(struct cost *c, char ch)
{
    switch (ch) {
    case '(': return group(c);
    case ')':
        if (c->depth == 0) /* it would close the parenthesis that we put around all */
            return err_set(c->e, ERR_MALFORMED, "\"%s\": a parenthesis that was not opened", c->regex);
        close_level(c);
        return 0;
    case '[':
        skip_bracket(c);
        piece(c, 1, false);
        return 0;
    case '|': alternative(c); return 0;
    case '{': return interval(c);
    case '\\': return escape(c);
    case '+': return repeat(c, 1, 0);
    case '*': return repeat(c, 0, 0);
    case '?': return repeat(c, 0, 1);
    case '^':
    case '$': piece(c, 1, true); return 0;
    default: piece(c, 1, false); return 0;
    }
}

/* 0, ERR_LIMIT or ERR_MALFORMED. Never less than what the library makes. */
static int check_cost(const char *regex, struct err *e)
{
    struct cost c = {.p = regex, .regex = regex, .e = e};
    int rc = 0;

    open_level(&c);
    while (!rc && *c.p) {
        char ch = *c.p++;

        rc = take(&c, ch);
    }
    return rc;
}

static int compile(struct word *w, struct err *e)
{
    struct buf whole;
    char why[96];
    int rc = check_cost(w->value, e);

    if (rc)
        return rc;
    buf_init(&whole, NULL, MATCH_TEXT_MOST + 8);
    buf_fmt(&whole, "^(%s)$", w->value);
    if (whole.full) {
        rc = err_set(e, ERR_NOMEM, "no memory for \"%s\"", w->value);
        goto out;
    }
    rc = regcomp(&w->regex, buf_text(&whole), REG_EXTENDED | REG_NOSUB);
    if (rc) {
        (void)regerror(rc, &w->regex, why, sizeof why);
        rc = err_set(e, ERR_MALFORMED, "\"%s\" is not a regular expression: %s", w->value, why);
        goto out;
    }
    w->compiled = true;
out:
    buf_free(&whole);
    return rc;
}

/* ---- reading ---- */

struct reader {
    const char *p;
    struct match *m;
    struct err *e;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',';
}

static int wrong(const struct reader *r, const char *word, const char *what)
{
    size_t n = strcspn(word, " \t\r\n");

    return err_set(r->e, ERR_MALFORMED, "\"%.*s\": %s", (int)(n > 80 ? 80 : n), word, what);
}

static int read_operator(struct reader *r, enum op *op)
{
    if (r->p[0] == '=' && r->p[1] != '~')
        *op = OP_EQUAL;
    else if (r->p[0] == '!' && r->p[1] == '=')
        *op = OP_NOT;
    else if (r->p[0] == '=')
        *op = OP_LIKE;
    else if (r->p[0] == '!' && r->p[1] == '~')
        *op = OP_UNLIKE;
    else
        return ERR_MALFORMED;
    r->p += strlen(op_text[*op]);
    return 0;
}

/* In quotes a backslash stands before \, " and n (a new line); before anything else it is itself. */
static int read_quoted(struct reader *r, const char *word)
{
    struct buf *out = &r->m->store;

    for (r->p++; *r->p != '"'; r->p++) {
        if (!*r->p)
            return wrong(r, word, "a quote is not closed");
        if (*r->p == '\\' && r->p[1] && strchr("\\\"n", r->p[1])) {
            r->p++;
            buf_u8(out, *r->p == 'n' ? '\n' : (uint8_t)*r->p);
        } else {
            buf_u8(out, (uint8_t)*r->p);
        }
    }
    r->p++;
    if (*r->p && !blank(*r->p))
        return wrong(r, word, "something follows the closing quote");
    return 0;
}

static int read_plain(struct reader *r, const char *word)
{
    for (; *r->p && !blank(*r->p); r->p++) {
        if (*r->p == '"')
            return wrong(r, word, "a quote within a value");
        buf_u8(&r->m->store, (uint8_t)*r->p);
    }
    return 0;
}

static int read_word(struct reader *r)
{
    struct buf *out = &r->m->store;
    const char *word = r->p;
    struct word *w = &r->m->words[r->m->n];
    size_t value;
    int rc;

    if (r->m->n == MATCH_MOST)
        return err_set(r->e, ERR_LIMIT, "more than %d matchers", MATCH_MOST);
    w->name = (const char *)out->data + out->len;
    if (isdigit((unsigned char)*r->p))
        return wrong(r, word, "a label's name begins with a letter");
    for (; isalnum((unsigned char)*r->p) || *r->p == '_'; r->p++)
        buf_u8(out, (uint8_t)*r->p);
    buf_u8(out, 0);
    if (r->p == word || read_operator(r, &w->op))
        return wrong(r, word, "not name=value, name!=value, name=~regex or name!~regex");
    value = out->len;
    rc = *r->p == '"' ? read_quoted(r, word) : read_plain(r, word);
    if (rc)
        return rc;
    buf_u8(out, 0);
    w->value = (const char *)out->data + value;
    r->m->n++;
    return w->op >= OP_LIKE ? compile(w, r->e) : 0;
}

static int compare_words(const struct word *a, const struct word *b)
{
    int c = strcmp(a->name, b->name);

    if (!c)
        c = (int)a->op - (int)b->op;
    return c ? c : strcmp(a->value, b->value);
}

/* Sorts them and takes doubles out. Compiled expressions move by assignment, which glibc and musl allow. */
static void order(struct match *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n; i++) {
        struct word w = m->words[i];
        size_t at = n;

        while (at > 0 && compare_words(&m->words[at - 1], &w) > 0)
            at--;
        if (at > 0 && compare_words(&m->words[at - 1], &w) == 0) {
            if (w.compiled)
                regfree(&w.regex);
            continue;
        }
        memmove(&m->words[at + 1], &m->words[at], (n - at) * sizeof w);
        m->words[at] = w;
        n++;
    }
    m->n = n;
}

static void write_text(struct match *m)
{
    for (size_t i = 0; i < m->n; i++) {
        buf_fmt(&m->text, "%s%s%s", i ? "," : "", m->words[i].name, op_text[m->words[i].op]);
        label_quote(m->words[i].value, &m->text);
    }
    (void)buf_text(&m->text);
}

struct match *match_new(const char *text, struct err *e)
{
    struct match *m;
    struct reader r;

    if (strlen(text) > MATCH_TEXT_MOST) {
        err_set(e, ERR_LIMIT, "matchers of more than %d bytes", MATCH_TEXT_MOST);
        return NULL;
    }
    m = mem_alloc(NULL, sizeof *m);
    if (!m)
        goto nomem;
    buf_init(&m->store, NULL, 2 * MATCH_TEXT_MOST + 8);
    buf_init(&m->text, NULL, 4 * MATCH_TEXT_MOST);
    if (!buf_reserve(&m->store, 2 * MATCH_TEXT_MOST)) /* so that it never moves */
        goto nomem;
    r = (struct reader){text, m, e};
    for (;;) {
        while (blank(*r.p))
            r.p++;
        if (!*r.p)
            break;
        if (read_word(&r)) {
            match_free(&m);
            return NULL;
        }
    }
    order(m);
    write_text(m);
    if (!m->text.full && !m->store.full)
        return m;
nomem:
    match_free(&m);
    err_set(e, ERR_NOMEM, "no memory for matchers");
    return NULL;
}

void match_free(struct match **mp)
{
    struct match *m = *mp;

    if (!m)
        return;
    for (size_t i = 0; i < MATCH_MOST; i++) {
        if (i < m->n && m->words[i].compiled)
            regfree(&m->words[i].regex);
    }
    buf_free(&m->store);
    buf_free(&m->text);
    mem_free(NULL, m, sizeof *m);
    *mp = NULL;
}

static bool word_holds(const struct word *w, const char *value)
{
    switch (w->op) {
    case OP_EQUAL: return strcmp(value, w->value) == 0;
    case OP_NOT: return strcmp(value, w->value) != 0;
    case OP_LIKE: return regexec(&w->regex, value, 0, NULL, 0) == 0;
    case OP_UNLIKE: return regexec(&w->regex, value, 0, NULL, 0) != 0;
    }
    return false;
}

bool match_labels(const struct match *m, struct labels l)
{
    for (size_t i = 0; i < m->n; i++) {
        if (!word_holds(&m->words[i], labels_get(l, m->words[i].name)))
            return false;
    }
    return true;
}

size_t match_count(const struct match *m)
{
    return m->n;
}

const char *match_text(const struct match *m)
{
    return m->text.len ? (const char *)m->text.data : "";
}
