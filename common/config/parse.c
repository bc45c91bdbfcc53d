/* Sections and options out of files: which row a line belongs to, what was written before, values joined over
 * indented lines, defaults, what is missing. All mistakes of all files are collected. Pure.
 *
 * An indented line continues the option above it; a list or a text gains a space and the line, anything gains
 * the line alone where the one before ended in \. Someone who indents options by habit would lose them so
 * without noticing: an indented line that looks like an option is a mistake. */
#include "common/config/parse.h"
#include "common/config/text.h"

#include <assert.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_MAX = 64 << 10 };

/* ---- options --------------------------------------------------------------------------------- */

static const struct option_row *find_option(const struct section *s, const char *key, size_t n)
{
    size_t i;

    for (i = 0; i < s->row->n_rows; i++) {
        if (strlen(s->row->rows[i].key) == n && !memcmp(s->row->rows[i].key, key, n) && *key != '*')
            return &s->row->rows[i];
    }
    return NULL;
}

static void unknown_option(struct parser *p, const char *key)
{
    const struct section_row *row = p->section->row, *other;
    struct nearest near = {.best = NULL};
    size_t i, k;

    for (i = 0; i < row->n_rows; i++)
        nearest_offer(&near, key, row->rows[i].key);
    if (near.best) {
        parser_mistake(p, p->line, p->section, NULL, "\"%.60s\" is no option here; did you mean \"%s\"?", key,
                       near.best);
        return;
    }
    for (k = 0; k < p->c->n_rows; k++) {
        other = &p->c->rows[k];
        for (i = 0; i < other->n_rows; i++) {
            if (!strcmp(other->rows[i].key, key)) {
                parser_mistake(p, p->line, p->section, NULL,
                               "\"%.60s\" is no option here; did you mean the one of [%s%s]?", key,
                               other->name, other->named ? " NAME" : "");
                return;
            }
        }
    }
    parser_mistake(p, p->line, p->section, NULL, "\"%.60s\" is no option here", key);
}

/* The value for a key that a row "*" takes, found or made. */
static struct value *wild_value(struct parser *p, const struct option_row *row, const char *key)
{
    struct value **at = &p->section->wild, *v;

    while (*at && strcmp((*at)->key, key))
        at = &(*at)->next;
    if (*at)
        return *at;
    v = arena_alloc(&p->c->arena, sizeof *v);
    if (!v) {
        parser_no_memory(p);
        return NULL;
    }
    *v = (struct value){.row = row, .key = parser_keep(p, key, strlen(key))};
    if (v->key)
        *at = v;
    return v->key ? v : NULL;
}

static struct value *take_value(struct parser *p, const char *key)
{
    const struct section_row *rows = p->section->row;
    const struct option_row *row = find_option(p->section, key, strlen(key));
    size_t i;

    if (row)
        return &p->section->values[row - rows->rows];
    for (i = 0; i < rows->n_rows; i++) {
        if (!strcmp(rows->rows[i].key, "*"))
            return wild_value(p, &rows->rows[i], key);
    }
    unknown_option(p, key);
    return NULL;
}

static void begin_option(struct parser *p, const char *key, const char *value)
{
    struct value *v;

    parser_commit(p);
    p->continues = true;
    if (!p->section) {
        if (p->before_sections)
            parser_mistake(p, p->line, NULL, NULL, "\"%.60s\" stands before the first [section]", key);
        p->swallow = true;
        return;
    }
    v = take_value(p, key);
    if (!v) {
        p->swallow = true;
        return;
    }
    if (v->origin)
        parser_warning(p, p->line, p->section, v->key, "given at %s already; the later one holds", v->origin);
    p->pending = v;
    p->pending_line = p->line;
    buf_clear(&p->value);
    buf_str(&p->value, value);
}

/* Whether an indented line was rather meant to be an option: `word =`, or a known key and `=`. */
static bool looks_like_option(const struct parser *p, const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    size_t blank = strspn(s + n, " \t");

    if (!n || s[n + blank] != '=')
        return false;
    return blank || (p->pending->row->type != OPT_LABELS && find_option(p->section, s, n));
}

static void continue_option(struct parser *p, const char *value)
{
    struct buf *b = &p->value;
    enum option_type type;
    size_t n, i;
    bool joined;

    if (!p->pending)
        return;
    type = p->pending->row->type;
    joined = b->len && b->data[b->len - 1] == '\\';
    if (!joined && looks_like_option(p, value)) {
        parser_mistake(
            p, p->line, p->section, NULL,
            "an indented line continues the option above it (%s); begin an option at the start of its line",
            p->pending->key);
        return;
    }
    if (!joined && !option_is_list(type) && type != OPT_STRING) {
        parser_mistake(p, p->line, p->section, p->pending->key,
                       "found an indented line behind it, expected a value on one line");
        return;
    }
    for (n = strlen(value), i = 1; i < n; i++) { /* inih leaves comments in continued lines */
        if (value[i] == ';' && (value[i - 1] == ' ' || value[i - 1] == '\t'))
            n = i;
    }
    while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        n--;
    if (joined)
        b->len--;
    else if (b->len)
        buf_u8(b, ' ');
    buf_put(b, value, n);
}

void parser_commit(struct parser *p)
{
    struct value *v = p->pending, fresh;
    struct err e = {0};
    const char *text = buf_text(&p->value);
    size_t n = strlen(text);

    p->pending = NULL;
    p->continues = false;
    if (!v || p->rc)
        return;
    fresh = (struct value){.row = v->row, .key = v->key, .next = v->next};
    fresh.origin = parser_origin(p, p->pending_line);
    if (p->value.full)
        parser_mistake(p, p->pending_line, p->section, v->key, "the value has more than %d bytes",
                       (int)VALUE_MAX);
    else if (value_check(v->row, text, &p->c->arena, &fresh, &e) == ERR_NOMEM)
        parser_no_memory(p);
    else if (e.code)
        parser_mistake(p, p->pending_line, p->section, v->key, "%s", e.text);
    if (v->row->type == OPT_STRING && n >= 2 && text[0] == '"' && text[n - 1] == '"')
        parser_warning(p, p->pending_line, p->section, v->key, "the quotes are taken as part of the text");
    *v = fresh;
}

/* The handler of the ini parser. Section and, on an indented line, key are cut by it: ours hold. */
static int take_pair(void *arg, const char *section, const char *key, const char *value)
{
    struct parser *p = arg;

    (void)section;
    p->awaited = false;
    if (p->indented && p->continues)
        continue_option(p, value);
    else
        begin_option(p, key, value);
    return 1;
}

/* ---- all files ------------------------------------------------------------------------------- */

static void read_source(struct parser *p, const struct config_source *source)
{
    p->file = parser_keep(p, source->name, strlen(source->name));
    p->text = source->text;
    p->at = 0;
    p->line = 0;
    p->awaited = p->indented = p->continues = p->swallow = false;
    p->section = NULL;
    p->before_sections = true;
    if (p->rc)
        return;
    (void)ini_parse_stream(parser_read, p, take_pair, p); /* its mistakes are found by settle */
    parser_commit(p);
}

static void finish_section(struct parser *p, struct section *s)
{
    struct value *v;
    struct err e = {0};
    size_t i;

    for (i = 0; i < s->row->n_rows && !p->rc; i++) {
        v = &s->values[i];
        if (v->origin || !strcmp(v->key, "*"))
            continue;
        if (v->row->dflt && value_check(v->row, v->row->dflt, &p->c->arena, v, &e) == ERR_NOMEM)
            parser_no_memory(p);
        assert(!e.code || e.code == ERR_NOMEM); /* the default of a row fits the row */
        if (v->row->required && !v->text) {
            p->file = s->origin;
            parser_mistake(p, 0, s, v->key, "is required and not there: %s", v->row->sentence);
        }
    }
}

static void finish(struct parser *p)
{
    struct section *s;
    size_t i;

    for (i = 0; i < p->c->n_rows && !p->rc; i++) {
        const struct section_row *row = &p->c->rows[i];

        s = p->c->first[i];
        p->file = p->c->name;
        if (row->required && (row->named ? !s : !s->written))
            parser_mistake(p, 0, NULL, NULL, "section [%s%s] is required and not there: %s", row->name,
                           row->named ? " NAME" : "", row->sentence);
        for (; s; s = s->next)
            finish_section(p, s);
    }
    if (p->mistakes > MISTAKES_MAX && p->report)
        buf_fmt(p->report, "%s: and %zu more mistakes\n", p->c->name, p->mistakes - MISTAKES_MAX);
}

static struct config *config_new(struct parser *p, const char *name, const struct section_row *rows,
                                 size_t n_rows)
{
    struct config *c = mem_alloc(NULL, sizeof *c);
    size_t i;

    if (!c)
        return NULL;
    c->mem.cap = CONFIG_MEMORY;
    arena_init(&c->arena, &c->mem, CONFIG_MEMORY / 2);
    c->rows = rows;
    c->n_rows = n_rows;
    p->c = c;
    p->file = name;
    c->name = parser_keep(p, name, strlen(name));
    c->first = arena_array(&c->arena, n_rows, sizeof(struct section *));
    for (i = 0; i < n_rows && c->first && c->name; i++)
        c->first[i] = rows[i].named ? NULL : section_new(p, &rows[i]);
    if (!c->first || !c->name || p->rc)
        config_free(&c);
    return c;
}

struct config *config_parse(const struct config_source *sources, size_t n, const struct section_row *rows,
                            size_t n_rows, struct buf *report, struct err *e)
{
    struct err first = {0};
    struct parser p = {.report = report, .e = &first};
    struct config *c;
    size_t i;

    assert(n > 0);
    c = config_new(&p, sources[0].name, rows, n_rows);
    if (!c) {
        err_set(e, ERR_NOMEM, "no memory for the configuration");
        return NULL;
    }
    buf_init(&p.value, &c->mem, VALUE_MAX);
    for (i = 0; i < n && !p.rc; i++)
        read_source(&p, &sources[i]);
    if (!p.rc)
        finish(&p);
    buf_free(&p.value);
    if (p.mistakes) {
        err_set(e, ERR_CONFIG, "%s", first.text);
        config_free(&c);
    }
    return c;
}

void config_free(struct config **c)
{
    if (!*c)
        return;
    arena_free(&(*c)->arena);
    mem_free(NULL, *c, sizeof **c);
    *c = NULL;
}
