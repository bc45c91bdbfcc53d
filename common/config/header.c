/* Section headers: the row that a header belongs to, and the section that its options go into; and the
 * recording of mistakes and warnings. Pure. */
#include "common/config/parse.h"
#include "common/config/text.h"

#include <stdio.h>
#include <string.h>

/* ---- mistakes -------------------------------------------------------------------------------- */

static void say(struct parser *p, bool warning, unsigned line, const struct section *s, const char *key,
                const char *fmt, va_list ap)
{
    char text[640], origin[512];
    struct buf first;
    size_t n;

    (void)vsnprintf(text, sizeof text, fmt, ap);
    if (line)
        (void)snprintf(origin, sizeof origin, "%.480s:%u", p->file, line);
    else
        (void)snprintf(origin, sizeof origin, "%.480s", p->file);
    if (warning) {
        report_line(p->report, "warning: ", origin, s, key, text);
        return;
    }
    if (p->mistakes++ < MISTAKES_MAX)
        report_line(p->report, "", origin, s, key, text);
    if (p->mistakes > 1)
        return;
    buf_init(&first, &p->c->mem, 2048);
    report_line(&first, "", origin, s, key, text);
    n = first.len ? first.len - 1 : 0;
    err_set(p->e, ERR_CONFIG, "%.*s", (int)n, n ? (const char *)first.data : "");
    buf_free(&first);
}

void parser_mistake(struct parser *p, unsigned line, const struct section *s, const char *key,
                    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(p, false, line, s, key, fmt, ap);
    va_end(ap);
}

void parser_warning(struct parser *p, unsigned line, const struct section *s, const char *key,
                    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(p, true, line, s, key, fmt, ap);
    va_end(ap);
}

void parser_no_memory(struct parser *p)
{
    if (!p->rc)
        parser_mistake(p, p->line, NULL, NULL, "the configuration takes more than %d MiB of memory",
                       (int)(CONFIG_MEMORY >> 20));
    p->rc = ERR_NOMEM;
}

char *parser_keep(struct parser *p, const char *s, size_t n)
{
    char *copy = arena_text(&p->c->arena, s, n);

    if (!copy)
        parser_no_memory(p);
    return copy;
}

char *parser_origin(struct parser *p, unsigned line)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%.480s:%u", p->file, line);
    return parser_keep(p, text, strlen(text));
}

/* ---- sections -------------------------------------------------------------------------------- */

struct section *section_new(struct parser *p, const struct section_row *row)
{
    struct section *s = arena_alloc(&p->c->arena, sizeof *s);
    size_t i;

    if (!s) {
        parser_no_memory(p);
        return NULL;
    }
    *s = (struct section){.config = p->c, .row = row, .origin = p->c->name};
    s->values = arena_array(&p->c->arena, row->n_rows, sizeof *s->values);
    if (!s->values) {
        parser_no_memory(p);
        return NULL;
    }
    for (i = 0; i < row->n_rows; i++)
        s->values[i] = (struct value){.row = &row->rows[i], .key = row->rows[i].key};
    return s;
}

/* White space at the ends is dropped, and within becomes one space. 0 when it does not fit. */
static size_t tidy(const char *s, size_t n, char *out, size_t room)
{
    size_t i, len = 0;

    for (i = 0; i < n; i++) {
        bool blank = s[i] == ' ' || s[i] == '\t';

        if (blank && (!len || out[len - 1] == ' '))
            continue;
        if (len + 1 >= room)
            return 0;
        out[len++] = blank ? ' ' : s[i];
    }
    if (len && out[len - 1] == ' ')
        len--;
    out[len] = 0;
    return len;
}

static bool is_label(const char *s)
{
    size_t n = strlen(s);

    return n >= 1 && n <= SECTION_NAME_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static void unknown_section(struct parser *p, const char *name)
{
    struct nearest near = {.best = NULL};
    char word[256];
    size_t i, n = strcspn(name, " ");

    (void)snprintf(word, sizeof word, "%.*s", (int)n, name);
    for (i = 0; i < p->c->n_rows; i++)
        nearest_offer(&near, p->c->rows[i].named || !strchr(p->c->rows[i].name, ' ') ? word : name,
                      p->c->rows[i].name);
    if (near.best)
        parser_mistake(p, p->line, NULL, NULL, "[%.80s] is no known section; did you mean [%s%s]?", name,
                       near.best, strchr(near.best, ' ') ? "" : name + n);
    else
        parser_mistake(p, p->line, NULL, NULL, "[%.80s] is no known section", name);
}

/* The row of a tidy header; *label is what stands behind a
 * named row's name. SIZE_MAX: a mistake, which was said. */
static size_t find_row(struct parser *p, const char *name, const char **label)
{
    const struct section_row *rows = p->c->rows;
    size_t i, n;

    *label = NULL;
    for (i = 0; i < p->c->n_rows; i++) {
        if (!rows[i].named && !strcmp(rows[i].name, name))
            return i;
    }
    for (i = 0; i < p->c->n_rows; i++) {
        n = strlen(rows[i].name);
        if (strncmp(rows[i].name, name, n) || (name[n] && name[n] != ' '))
            continue;
        *label = name[n] ? name + n + 1 : NULL;
        if (!rows[i].named) {
            parser_mistake(p, p->line, NULL, NULL, "[%.80s]: section [%s] takes no name", name, rows[i].name);
            return SIZE_MAX;
        }
        if (*label && is_label(*label))
            return i;
        if (!*label)
            parser_mistake(p, p->line, NULL, NULL, "section [%s] needs a name: [%s %s]", name, name,
                           rows[i].example ? rows[i].example : "NAME");
        else
            parser_mistake(
                p, p->line, NULL, NULL,
                "found the name \"%.80s\", expected one word of at most %d letters, digits, '.', '_' and '-'",
                *label, SECTION_NAME_MAX);
        return SIZE_MAX;
    }
    unknown_section(p, name);
    return SIZE_MAX;
}

/* The section of row i, made when it is not there yet. */
static struct section *take_section(struct parser *p, size_t i, const char *label)
{
    struct section **at = &p->c->first[i];

    if (!label)
        return *at;
    while (*at && strcmp((*at)->label, label))
        at = &(*at)->next;
    if (!*at) {
        *at = section_new(p, &p->c->rows[i]);
        if (*at)
            (*at)->label = parser_keep(p, label, strlen(label));
    }
    return *at;
}

void parser_header(struct parser *p, const char *inside, size_t n)
{
    char name[256];
    const char *label;
    struct section *s;
    size_t i;

    parser_commit(p);
    p->section = NULL;
    p->continues = p->swallow = p->before_sections = false;
    if (!tidy(inside, n, name, sizeof name)) {
        parser_mistake(p, p->line, NULL, NULL, "a section's name is empty or too long");
        return;
    }
    i = find_row(p, name, &label);
    s = i == SIZE_MAX ? NULL : take_section(p, i, label);
    if (!s || p->rc)
        return;
    if (s->written && s->last_file == p->file)
        parser_warning(p, p->line, s, NULL, "begun at %s already; the two are read as one", s->origin);
    if (!s->written)
        s->origin = parser_origin(p, p->line);
    s->written = true;
    s->last_file = p->file;
    p->section = s;
}
