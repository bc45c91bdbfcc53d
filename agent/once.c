/* Samples kept and written out: see once.h. */
#include "agent/once.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/number.h"
#include "common/base/metric.h"
#include "common/sketch/sketch.h"

enum { EXTRAS = 4, LABELS = METRIC_MAX_LABELS + EXTRAS, QUANTILES = 5, ONCE_MEMORY = 64 << 20 };

static const double quantiles[QUANTILES] = {0.5, 0.9, 0.95, 0.99, 0.999};
static const char *const quantile_text[QUANTILES] = {"0.5", "0.9", "0.95", "0.99", "0.999"};

struct label {
    struct text name, value;
};

struct item {
    const struct metric_row *row;
    struct label labels[LABELS]; /* sorted by name, none empty; names and values in the arena or a row */
    size_t n_labels;
    double value;
    double q[QUANTILES]; /* kind METRIC_SKETCH, with value the count and sum */
    double sum;
};

struct once {
    struct sink sink; /* first */
    struct mem *mem;
    struct arena arena;
    struct item *items; /* arena */
    size_t n, room, lost;
    const struct wire_label *extra; /* borrowed */
    uint32_t n_extra;
};

static int compare_text(struct text a, struct text b)
{
    uint32_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static bool add_label(struct once *o, struct item *x, struct text name, struct text value)
{
    size_t at = x->n_labels;
    char *name_copy, *value_copy;

    if (!value.n)
        return true;
    if (x->n_labels == LABELS)
        return false;
    name_copy = arena_text(&o->arena, name.p, name.n);
    value_copy = arena_text(&o->arena, value.p, value.n);
    if (!name_copy || !value_copy)
        return false;
    for (; at && compare_text(x->labels[at - 1].name, name) > 0; at--)
        x->labels[at] = x->labels[at - 1];
    x->labels[at] = (struct label){{name_copy, name.n}, {value_copy, value.n}};
    x->n_labels++;
    return true;
}

static struct item *add(struct once *o, const struct metric_row *row, const struct text *labels)
{
    size_t n = metric_label_count(row);
    struct item *x;

    if (o->n == o->room) {
        size_t room = o->room ? o->room * 2 : 256;
        struct item *v = arena_array(&o->arena, room, sizeof *v);

        if (!v)
            return NULL;
        if (o->n)
            memcpy(v, o->items, o->n * sizeof *v);
        o->items = v;
        o->room = room;
    }
    x = &o->items[o->n];
    *x = (struct item){.row = row};
    for (size_t i = 0; i < n && i < METRIC_MAX_LABELS; i++)
        if (!add_label(o, x, metric_label_name(row, i), labels[i]))
            return NULL;
    for (uint32_t i = 0; i < o->n_extra; i++)
        if (!add_label(o, x, (struct text){o->extra[i].name.p, o->extra[i].name.n},
                       (struct text){o->extra[i].value.p, o->extra[i].value.n}))
            return NULL;
    o->n++;
    return x;
}

static void put_real(struct sink *sink, const struct metric_row *row, const struct text *labels, double v)
{
    struct once *o = (struct once *)sink;
    struct item *x = add(o, row, labels);

    if (x)
        x->value = v;
    else
        o->lost++;
}

static void put_integer(struct sink *sink, const struct metric_row *row, const struct text *labels, int64_t v)
{
    put_real(sink, row, labels, (double)v * (row->mul ? row->mul : 1) / (row->div ? row->div : 1));
}

static void put_sketch(struct sink *sink, const struct metric_row *row, const struct text *labels,
                       const struct sketch *v)
{
    struct once *o = (struct once *)sink;
    struct item *x = add(o, row, labels);

    if (!x) {
        o->lost++;
        return;
    }
    x->value = (double)v->count;
    x->sum = sketch_sum(v);
    sketch_quantiles(v, quantiles, x->q, QUANTILES);
}

struct once *once_new(struct mem *mem)
{
    struct once *o = mem_alloc(mem, sizeof *o);

    if (!o)
        return NULL;
    *o = (struct once){.sink = {.integer = put_integer, .real = put_real, .sketch = put_sketch}, .mem = mem};
    arena_init(&o->arena, mem, ONCE_MEMORY);
    return o;
}

void once_free(struct once **op)
{
    struct once *o = *op;

    if (!o)
        return;
    arena_free(&o->arena);
    mem_free(o->mem, o, sizeof *o);
    *op = NULL;
}

struct sink *once_sink(struct once *o)
{
    return &o->sink;
}

void once_extra(struct once *o, const struct wire_label *labels, uint32_t n)
{
    o->extra = labels;
    o->n_extra = n;
}

void once_clear(struct once *o)
{
    arena_free(&o->arena);
    o->items = NULL;
    o->n = o->room = 0;
}

int once_format_of(const char *name, enum once_format *out)
{
    static const char *const names[] = {"prom", "json", "table"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum once_format)i;
            return 0;
        }
    return ERR_RANGE;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int compare_items(const void *pa, const void *pb)
{
    const struct item *a = *(const struct item *const *)pa, *b = *(const struct item *const *)pb;
    int c = strcmp(a->row->name, b->row->name);

    for (size_t i = 0; !c && i < a->n_labels && i < b->n_labels; i++) {
        c = compare_text(a->labels[i].name, b->labels[i].name);
        c = c ? c : compare_text(a->labels[i].value, b->labels[i].value);
    }
    return c ? c : (a->n_labels > b->n_labels) - (a->n_labels < b->n_labels);
}

static void write_number(struct buf *out, double v)
{
    char text[NUMBER_TEXT];

    buf_put(out, text, number_text(v, text));
}

static void write_escaped(struct buf *out, struct text t, bool quotes)
{
    for (uint32_t i = 0; i < t.n; i++) {
        char c = t.p[i];

        if (c == '\\' || c == '\n' || (quotes && c == '"')) {
            buf_u8(out, '\\');
            c = c == '\n' ? 'n' : c;
        }
        buf_u8(out, (uint8_t)c);
    }
}

/* {a="b",…}, with quantile="…" at the end when it is not NULL. */
static void write_labels(struct buf *out, const struct item *x, const char *quantile)
{
    const char *between = "{";

    for (size_t i = 0; i < x->n_labels; i++) {
        buf_str(out, between);
        buf_put(out, x->labels[i].name.p, x->labels[i].name.n);
        buf_str(out, "=\"");
        write_escaped(out, x->labels[i].value, true);
        buf_u8(out, '"');
        between = ",";
    }
    if (quantile)
        buf_fmt(out, "%squantile=\"%s\"", between, quantile);
    if (x->n_labels || quantile)
        buf_u8(out, '}');
}

static void write_line(struct buf *out, const struct item *x, const char *suffix, const char *quantile,
                       double v)
{
    buf_str(out, x->row->name);
    buf_str(out, suffix);
    write_labels(out, x, quantile);
    buf_u8(out, ' ');
    write_number(out, v);
    buf_u8(out, '\n');
}

static void write_prom(struct buf *out, struct item *const *v, size_t n)
{
    static const char *const types[] = {"gauge", "counter", "summary", "untyped"};

    for (size_t i = 0; i < n; i++) {
        const struct item *x = v[i];

        if (!i || strcmp(v[i - 1]->row->name, x->row->name) != 0) {
            buf_fmt(out, "# HELP %s ", x->row->name);
            write_escaped(out, text_of(x->row->help), false);
            buf_fmt(out, "\n# TYPE %s %s\n", x->row->name, types[x->row->kind]);
        }
        if (x->row->kind != METRIC_SKETCH) {
            write_line(out, x, "", NULL, x->value);
            continue;
        }
        for (size_t q = 0; q < QUANTILES; q++)
            write_line(out, x, "", quantile_text[q], x->q[q]);
        write_line(out, x, "_sum", NULL, x->sum);
        write_line(out, x, "_count", NULL, x->value);
    }
}

static void write_table(struct buf *out, struct item *const *v, size_t n)
{
    size_t wide = 0;

    for (size_t i = 0; i < n; i++)
        wide = strlen(v[i]->row->name) > wide ? strlen(v[i]->row->name) : wide;
    for (size_t i = 0; i < n; i++) {
        const struct item *x = v[i];

        buf_fmt(out, "%-*s  ", (int)wide, x->row->name);
        if (x->row->kind == METRIC_SKETCH) {
            buf_str(out, "n=");
            write_number(out, x->value);
            buf_fmt(out, " p50=%.6g p99=%.6g", x->q[0], x->q[3]);
        } else {
            char text[40];

            (void)snprintf(text, sizeof text, "%.10g", x->value);
            buf_fmt(out, "%16s", text);
        }
        buf_str(out, x->n_labels ? "  " : "");
        write_labels(out, x, NULL);
        buf_u8(out, '\n');
    }
}

static bool json_item(cJSON *array, const struct item *x)
{
    static const char *const kinds[] = {"gauge", "counter", "sketch", "untyped"};
    cJSON *o = cJSON_CreateObject(), *labels, *q;
    bool ok = o && cJSON_AddItemToArray(array, o);

    if (!ok) {
        cJSON_Delete(o);
        return false;
    }
    ok = cJSON_AddStringToObject(o, "name", x->row->name) &&
         cJSON_AddStringToObject(o, "kind", kinds[x->row->kind]) &&
         cJSON_AddStringToObject(o, "help", x->row->help);
    labels = cJSON_AddObjectToObject(o, "labels");
    for (size_t i = 0; ok && i < x->n_labels; i++)
        ok = cJSON_AddStringToObject(labels, x->labels[i].name.p, x->labels[i].value.p) != NULL;
    if (x->row->kind != METRIC_SKETCH)
        return ok && labels && cJSON_AddNumberToObject(o, "value", x->value);
    q = cJSON_AddObjectToObject(o, "quantiles");
    for (size_t i = 0; ok && x->value > 0 && i < QUANTILES; i++)
        ok = cJSON_AddNumberToObject(q, quantile_text[i], x->q[i]) != NULL;
    return ok && labels && cJSON_AddNumberToObject(o, "count", x->value) &&
           cJSON_AddNumberToObject(o, "sum", x->sum);
}

static int write_json(struct buf *out, struct item *const *v, size_t n, struct err *e)
{
    cJSON *array = cJSON_CreateArray();
    bool ok = array != NULL;
    char *text = NULL;

    for (size_t i = 0; ok && i < n; i++)
        ok = json_item(array, v[i]);
    if (ok)
        text = cJSON_Print(array);
    if (text) {
        buf_str(out, text);
        buf_u8(out, '\n');
    }
    cJSON_free(text);
    cJSON_Delete(array);
    return text ? 0 : err_set(e, ERR_NOMEM, "no memory for the JSON text");
}

int once_render(const struct once *o, enum once_format format, struct buf *out, struct err *e)
{
    struct item **v = mem_array(o->mem, o->n ? o->n : 1, sizeof *v);
    int rc = 0;

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for %zu samples", o->n);
    for (size_t i = 0; i < o->n; i++)
        v[i] = &o->items[i];
    qsort(v, o->n, sizeof *v, compare_items);
    if (format == ONCE_PROM)
        write_prom(out, v, o->n);
    else if (format == ONCE_TABLE)
        write_table(out, v, o->n);
    else
        rc = write_json(out, v, o->n, e);
    mem_free(o->mem, v, (o->n ? o->n : 1) * sizeof *v);
    if (!rc && (out->full || o->lost))
        rc = err_set(e, ERR_NOMEM, "no memory for all samples");
    return rc;
}
