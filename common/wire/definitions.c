/* Definitions, read: a resource is a map of labels, a schema an array of series. Either is a document of its
 * own. Two series of a schema that are the same, or one name with two kinds, are found by sorting the series:
 * no hash that a sender could attack. */
#include "common/wire/text.h"

#include <stdlib.h>
#include <string.h>

enum { DEFINITION_DEPTH = 4, SERIES_FIELDS = 6 };

static bool has_label(const struct wire_label *l, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (wire_str_is(l[i].name, name))
            return true;
    return false;
}

static int read_resource(struct reader *r, struct arena *a, struct wire_resource *out,
                         enum wire_reason *reason, struct err *e)
{
    static const char *const needed[] = {"host", "region", "env"};
    int rc = wire_labels_read(r, a, &out->labels, &out->n_labels, WIRE_DEFINITION, reason, e);

    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!has_label(out->labels, out->n_labels, needed[i]))
            return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED, "the resource lacks the label %s",
                             needed[i]);
    return 0;
}

static int check_series(const struct wire_series *s, enum wire_reason *reason, struct err *e)
{
    if (s->name.n > WIRE_MAX_NAME || s->help.n > WIRE_MAX_HELP)
        return wire_fail(
            reason, WIRE_LIMIT, e, ERR_LIMIT,
            "series \"%.*s\" has a name of %u and a help of %u bytes; at most %d and %d are allowed",
            WIRE_SHOW(s->name), s->name.n, s->help.n, WIRE_MAX_NAME, WIRE_MAX_HELP);
    if (!wire_metric_name_ok(s->name.p, s->name.n))
        return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED, "\"%.*s\" is no metric name",
                         WIRE_SHOW(s->name));
    if (!wire_metric_prefix_ok(s->name.p, s->name.n))
        return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED,
                         "\"%.*s\" is a name that agents may not use", WIRE_SHOW(s->name));
    return 0;
}

static bool take_uint(struct reader *r, uint64_t min, uint64_t max, uint32_t *v)
{
    struct tok t;

    if (!tok_next(r, &t) || t.type != TOK_UINT || t.u < min || t.u > max)
        return false;
    *v = (uint32_t)t.u;
    return true;
}

static int read_series(struct reader *r, struct arena *a, struct wire_series *s, enum wire_reason *reason,
                       struct err *e)
{
    struct tok t;
    uint32_t kind;
    int rc;

    if (!tok_next(r, &t) || t.type != TOK_ARRAY || t.n != SERIES_FIELDS || !tok_next(r, &t) ||
        t.type != TOK_STR)
        return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED,
                         "a series is no array of six that begins with a name");
    s->name = (struct wire_str){(const char *)t.p, t.n};
    if (!take_uint(r, 0, WIRE_UNTYPED, &kind) || !take_uint(r, 1, UINT32_MAX, &s->mul) ||
        !take_uint(r, 1, UINT32_MAX, &s->div))
        return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED,
                         "kind, mul or div of series \"%.*s\" is out of range", WIRE_SHOW(s->name));
    s->kind = (enum wire_kind)kind;
    rc = wire_labels_read(r, a, &s->labels, &s->n_labels, WIRE_DEFINITION, reason, e);
    if (rc) {
        (void)err_prefix(e, "series \"%.*s\"", WIRE_SHOW(s->name));
        return rc;
    }
    if (!tok_next(r, &t) || t.type != TOK_STR)
        return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED, "help of series \"%.*s\" is no string",
                         WIRE_SHOW(s->name));
    s->help = (struct wire_str){(const char *)t.p, t.n};
    return check_series(s, reason, e);
}

static int series_cmp(const void *x, const void *y)
{
    const struct wire_series *a = *(const struct wire_series *const *)x,
                             *b = *(const struct wire_series *const *)y;
    uint32_t n = a->n_labels < b->n_labels ? a->n_labels : b->n_labels;
    int c = wire_str_cmp(a->name, b->name);

    for (uint32_t i = 0; !c && i < n; i++) {
        c = wire_str_cmp(a->labels[i].name, b->labels[i].name);
        if (!c)
            c = wire_str_cmp(a->labels[i].value, b->labels[i].value);
    }
    return c ? c : a->n_labels < b->n_labels ? -1 : a->n_labels > b->n_labels;
}

static int check_distinct(const struct wire_schema *s, struct arena *a, enum wire_reason *reason,
                          struct err *e)
{
    const struct wire_series **order = arena_array(a, s->n, sizeof(const struct wire_series *));

    if (!order)
        return wire_no_memory(reason, e);
    for (uint32_t i = 0; i < s->n; i++)
        order[i] = &s->series[i];
    qsort(order, s->n, sizeof *order, series_cmp);
    for (uint32_t i = 1; i < s->n; i++) {
        if (wire_str_cmp(order[i - 1]->name, order[i]->name))
            continue;
        if (order[i - 1]->kind != order[i]->kind)
            return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED, "name \"%.*s\" comes with two kinds",
                             WIRE_SHOW(order[i]->name));
        if (!series_cmp(&order[i - 1], &order[i]))
            return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED,
                             "a series \"%.*s\" stands there twice", WIRE_SHOW(order[i]->name));
    }
    return 0;
}

static int read_schema(struct reader *r, uint32_t n, struct arena *a, struct wire_schema *out,
                       enum wire_reason *reason, struct err *e)
{
    if (n < 1 || n > WIRE_MAX_SERIES)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "a schema of %u series; 1 to %d are allowed", n,
                         WIRE_MAX_SERIES);
    out->series = arena_array(a, n, sizeof *out->series);
    if (!out->series)
        return wire_no_memory(reason, e);
    out->n = n;
    for (uint32_t i = 0; i < n; i++) {
        int rc = read_series(r, a, &out->series[i], reason, e);

        if (rc)
            return rc;
        out->n_sketches += out->series[i].kind == WIRE_SKETCH;
    }
    return check_distinct(out, a, reason, e);
}

int wire_definition_decode(const uint8_t *p, size_t n, struct arena *a, struct wire_definition *out,
                           enum wire_reason *reason, struct err *e)
{
    struct reader r = {p, p + n}, again = r;
    struct tok t;
    int rc = wire_walk_to(p, n, DEFINITION_DEPTH, false, reason, e);

    *out = (struct wire_definition){0};
    if (rc)
        return rc;
    if (!tok_next(&r, &t) || (t.type != TOK_MAP && t.type != TOK_ARRAY))
        return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED, "neither a resource nor a schema");
    out->sort = t.type == TOK_MAP ? WIRE_SORT_RESOURCE : WIRE_SORT_SCHEMA;
    return out->sort == WIRE_SORT_RESOURCE ? read_resource(&again, a, &out->resource, reason, e)
                                           : read_schema(&r, t.n, a, &out->schema, reason, e);
}

int wire_schema_fits(const struct wire_schema *s, const struct wire_resource *r, enum wire_reason *reason,
                     struct err *e)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct wire_series *x = &s->series[i];
        uint32_t k = 0, j = 0;

        while (k < x->n_labels && j < r->n_labels) {
            int c = wire_str_cmp(x->labels[k].name, r->labels[j].name);

            if (!c)
                return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED,
                                 "series \"%.*s\" has the label \"%.*s\" of its resource", WIRE_SHOW(x->name),
                                 WIRE_SHOW(x->labels[k].name));
            k += c < 0;
            j += c > 0;
        }
    }
    return 0;
}

int wire_definitions_decode(const uint8_t *p, size_t n, struct arena *a, struct wire_entry **out,
                            uint32_t *count, enum wire_reason *reason, struct err *e)
{
    struct reader r = {p, p + n};
    struct tok map, key, value;
    struct wire_entry *list;

    if (!tok_next(&r, &map) || map.type != TOK_MAP || !map.n)
        return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED, "no map with entries");
    if (map.n > WIRE_MAX_DEFINITIONS)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "%u definitions; at most %d are allowed", map.n,
                         WIRE_MAX_DEFINITIONS);
    list = arena_array(a, map.n, sizeof *list);
    if (!list)
        return wire_no_memory(reason, e);
    for (uint32_t i = 0; i < map.n; i++) {
        if (!tok_next(&r, &key) || key.type != TOK_BIN || !tok_next(&r, &value) || value.type != TOK_BIN)
            return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED, "an entry is not bin to bin");
        list[i].value = (struct bytes){value.p, value.n};
        list[i].hash = wire_hash_of(value.p, value.n);
        if (key.n != sizeof list[i].hash.b || memcmp(key.p, list[i].hash.b, key.n) != 0)
            return wire_fail(reason, WIRE_DEFINITION, e, ERR_MALFORMED,
                             "the key of entry %u is not the hash of its value", i + 1);
    }
    *out = list;
    *count = map.n;
    return 0;
}
