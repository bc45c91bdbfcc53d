/* Lists and objects of the API for people: see ctl.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"

enum { CELL_MOST = 400, COLUMNS_MOST = 16 };

static void labels(const cJSON *o, struct buf *out)
{
    const cJSON *l;

    cJSON_ArrayForEach(l, o)
    {
        const char *v = cJSON_GetStringValue(l);
        char number[32];

        if (!v && cJSON_IsNumber(l))
            short_number(cJSON_GetNumberValue(l), number);
        v = v ? v : cJSON_IsNumber(l) ? number : cJSON_IsBool(l) ? (cJSON_IsTrue(l) ? "yes" : "no") : "-";
        buf_fmt(out, "%s%s=%s", out->len ? "," : "", l->string, v);
    }
}

static void words(const cJSON *list, struct buf *out)
{
    const cJSON *x;

    cJSON_ArrayForEach(x, list)
    {
        const char *v = cJSON_GetStringValue(x);

        buf_fmt(out, "%s%s", out->len ? "," : "", v ? v : json_text(x, "id"));
    }
}

/* A value in one line. */
static void value(const cJSON *x, struct buf *out)
{
    char number[32];

    buf_clear(out);
    if (cJSON_IsString(x)) {
        buf_str(out, cJSON_GetStringValue(x));
    } else if (cJSON_IsNumber(x)) {
        short_number(cJSON_GetNumberValue(x), number);
        buf_str(out, number);
    } else if (cJSON_IsBool(x)) {
        buf_str(out, cJSON_IsTrue(x) ? "yes" : "no");
    } else if (cJSON_IsObject(x)) {
        labels(x, out);
    } else if (cJSON_IsArray(x)) {
        words(x, out);
    }
    if (out->len == 0)
        buf_str(out, "-");
}

/* "a.b": b of a. */
static const cJSON *member(const cJSON *o, const char *path)
{
    const char *dot = strchr(path, '.');
    char first[64];

    if (!dot)
        return cJSON_GetObjectItemCaseSensitive(o, path);
    (void)snprintf(first, sizeof first, "%.*s", (int)(dot - path), path);
    return member(cJSON_GetObjectItemCaseSensitive(o, first), dot + 1);
}

void show_list(const cJSON *list, const struct column *columns, const char *none, struct buf *out)
{
    char align[COLUMNS_MOST + 1] = "";
    struct buf text;
    struct table t;
    const cJSON *o;
    size_t n = 0;

    while (columns[n].head && n < COLUMNS_MOST) {
        const cJSON *first = list ? list->child : NULL;

        align[n] = cJSON_IsNumber(member(first, columns[n].member)) ? 'r' : 'l';
        n++;
    }
    if (!list || !list->child) {
        buf_fmt(out, "%s\n", none);
        return;
    }
    buf_init(&text, NULL, 1 << 20);
    table_init(&t, n, align);
    for (size_t i = 0; i < n; i++)
        table_cell(&t, "%s", columns[i].head);
    cJSON_ArrayForEach(o, list)
    {
        for (size_t i = 0; i < n; i++) {
            value(member(o, columns[i].member), &text);
            table_cell(&t, "%.*s", CELL_MOST, buf_text(&text));
        }
    }
    table_print(&t, out);
    table_free(&t);
    buf_free(&text);
}

static bool holds_objects(const cJSON *x)
{
    return cJSON_IsArray(x) && x->child && cJSON_IsObject(x->child);
}

/* Columns are the members of the first object that are no lists of objects. */
static void details_list(const cJSON *list, struct buf *out)
{
    struct column columns[COLUMNS_MOST + 1] = {{NULL, NULL}};
    const cJSON *m;
    size_t n = 0;

    cJSON_ArrayForEach(m, list->child)
    {
        if (n < COLUMNS_MOST && !holds_objects(m)) {
            columns[n] = (struct column){m->string, m->string};
            n++;
        }
    }
    show_list(list, columns, "", out);
}

void show_details(const cJSON *o, struct buf *out)
{
    struct buf text;
    struct table t;
    const cJSON *m;

    buf_init(&text, NULL, 1 << 20);
    table_init(&t, 2, "ll");
    cJSON_ArrayForEach(m, o)
    {
        if (strcmp(m->string, "next") == 0 || holds_objects(m) ||
            (cJSON_IsObject(m) && m->child && !cJSON_IsString(m->child)))
            continue;
        value(m, &text);
        table_cell(&t, "%s", m->string);
        table_cell(&t, "%.*s", CELL_MOST, buf_text(&text));
    }
    table_print(&t, out);
    table_free(&t);
    buf_free(&text);
    cJSON_ArrayForEach(m, o)
    {
        if (holds_objects(m)) {
            buf_fmt(out, "\n%s\n", m->string);
            details_list(m, out);
        } else if (cJSON_IsObject(m) && m->child && !cJSON_IsString(m->child)) {
            buf_fmt(out, "\n%s\n", m->string);
            show_details(m, out);
        }
    }
}
