/* Reading a loaded configuration: look-ups by section and key, and lines of the report. See config.h. */
#include "common/config/model.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const struct section *config_section(const struct config *c, const char *name)
{
    size_t i = 0;

    while (i < c->n_rows && (c->rows[i].named || strcmp(c->rows[i].name, name)))
        i++;
    assert(i < c->n_rows); /* a section of the rows */
    return c->first[i];
}

const struct section *config_named(const struct config *c, const char *name, size_t i)
{
    const struct section *s = NULL;
    size_t k;

    for (k = 0; k < c->n_rows; k++) {
        if (c->rows[k].named && !strcmp(c->rows[k].name, name))
            s = c->first[k];
    }
    for (; s && i; i--)
        s = s->next;
    return s;
}

const char *section_label(const struct section *s)
{
    return s->label;
}

const char *section_origin(const struct section *s)
{
    return s->origin;
}

/* The value of a key of the rows; anything else is a mistake of the program. */
static const struct value *find(const struct section *s, const char *key)
{
    size_t i = 0;

    while (i < s->row->n_rows && strcmp(s->row->rows[i].key, key))
        i++;
    assert(i < s->row->n_rows);
    return &s->values[i];
}

static const struct value *find_type(const struct section *s, const char *key, enum option_type a,
                                     enum option_type b)
{
    const struct value *v = find(s, key);

    assert(v->row->type == a || v->row->type == b);
    return v;
}

bool option_set(const struct section *s, const char *key)
{
    return find(s, key)->text != NULL;
}

bool option_bool(const struct section *s, const char *key)
{
    return find_type(s, key, OPT_BOOL, OPT_BOOL)->whole != 0;
}

int64_t option_int(const struct section *s, const char *key)
{
    return find_type(s, key, OPT_INT, OPT_SIZE)->whole;
}

struct span option_span(const struct section *s, const char *key)
{
    return span_ns(find_type(s, key, OPT_DURATION, OPT_DURATION)->whole);
}

double option_ratio(const struct section *s, const char *key)
{
    return find_type(s, key, OPT_RATIO, OPT_RATIO)->real;
}

const char *option_text(const struct section *s, const char *key)
{
    const struct value *v = find(s, key);

    assert(v->row->type != OPT_SECRET);
    return v->text;
}

size_t option_count(const struct section *s, const char *key)
{
    const struct value *v = find(s, key);

    assert(option_is_list(v->row->type));
    return v->n_members;
}

static const struct member *member(const struct value *v, size_t i)
{
    assert(option_is_list(v->row->type) && i < v->n_members);
    return &v->members[i];
}

const char *option_word(const struct section *s, const char *key, size_t i)
{
    return member(find(s, key), i)->word;
}

double option_number(const struct section *s, const char *key, size_t i)
{
    return member(find_type(s, key, OPT_NUMBERS, OPT_NUMBERS), i)->number;
}

struct span option_nth_span(const struct section *s, const char *key, size_t i)
{
    return span_ns(member(find_type(s, key, OPT_DURATIONS, OPT_DURATIONS), i)->ns);
}

void option_label(const struct section *s, const char *key, size_t i, const char **name, const char **value)
{
    const struct member *m = member(find_type(s, key, OPT_LABELS, OPT_LABELS), i);

    *name = m->word;
    *value = m->value;
}

bool option_wild(const struct section *s, size_t i, const char **name, const char **value)
{
    const struct value *v = s->wild;

    for (; v && i; i--)
        v = v->next;
    if (!v)
        return false;
    *name = v->key;
    *value = v->text;
    return true;
}

const char *option_origin(const struct section *s, const char *key)
{
    const struct value *v;

    for (v = s->wild; v; v = v->next) {
        if (!strcmp(v->key, key))
            return v->origin;
    }
    v = find(s, key);
    return v->origin ? v->origin : "default";
}

void report_line(struct buf *report, const char *kind, const char *origin, const struct section *s,
                 const char *key, const char *sentence)
{
    if (!report)
        return;
    buf_fmt(report, "%s%s: ", kind, origin);
    if (s)
        buf_fmt(report, "[%s%s%s]%s", s->row->name, s->label ? " " : "", s->label ? s->label : "",
                key ? " " : ": ");
    if (key)
        buf_fmt(report, "%s: ", key);
    buf_fmt(report, "%s\n", sentence);
}

int config_complain(struct buf *report, const struct section *s, const char *key, struct err *e,
                    const char *fmt, ...)
{
    const char *origin = key ? option_origin(s, key) : s->origin;
    char text[384];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (key && !strcmp(origin, "default"))
        origin = s->origin;
    report_line(report, "", origin, s, key, text);
    if (e && !e->code)
        err_set(e, ERR_CONFIG, "%s: [%s%s%s]%s%s: %s", origin, s->row->name, s->label ? " " : "",
                s->label ? s->label : "", key ? " " : "", key ? key : "", text);
    return ERR_CONFIG;
}
