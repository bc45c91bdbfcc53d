/* Labels: a map of str to str, held as an array sorted by name. */
#include "common/wire/text.h"

void wire_labels_sort(struct wire_label *l, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct wire_label x = l[i];
        uint32_t k = i;

        for (; k > 0 && wire_str_cmp(l[k - 1].name, x.name) > 0; k--)
            l[k] = l[k - 1];
        l[k] = x;
    }
}

int wire_labels_check(const struct wire_label *l, uint32_t n, enum wire_reason bad, enum wire_reason *reason,
                      struct err *e)
{
    if (n > WIRE_MAX_LABELS)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "%u labels; at most %d are allowed", n,
                         WIRE_MAX_LABELS);
    for (uint32_t i = 0; i < n; i++) {
        struct wire_str name = l[i].name, value = l[i].value;

        if (name.n > WIRE_MAX_LABEL_NAME || value.n > WIRE_MAX_LABEL_VALUE)
            return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT,
                             "label \"%.*s\" has a name of %u and a value of %u bytes;"
                             " at most %d and %d are allowed",
                             WIRE_SHOW(name), name.n, value.n, WIRE_MAX_LABEL_NAME, WIRE_MAX_LABEL_VALUE);
        if (!wire_label_name_ok(name.p, name.n))
            return wire_fail(reason, bad, e, ERR_MALFORMED, "\"%.*s\" is no label name, or a reserved one",
                             WIRE_SHOW(name));
        if (!wire_label_value_ok(value.p, value.n))
            return wire_fail(reason, bad, e, ERR_MALFORMED,
                             "the value of label \"%.*s\" is empty, not UTF-8 or has a NUL", WIRE_SHOW(name));
        if (i && !wire_str_cmp(l[i - 1].name, name))
            return wire_fail(reason, bad, e, ERR_MALFORMED, "label \"%.*s\" stands there twice",
                             WIRE_SHOW(name));
    }
    return 0;
}

int wire_labels_read(struct reader *r, struct arena *a, struct wire_label **out, uint32_t *n,
                     enum wire_reason bad, enum wire_reason *reason, struct err *e)
{
    struct tok map, name, value;
    struct wire_label *l;

    if (!tok_next(r, &map) || map.type != TOK_MAP)
        return wire_fail(reason, bad, e, ERR_MALFORMED, "labels are no map");
    if (map.n > WIRE_MAX_LABELS)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "%u labels; at most %d are allowed", map.n,
                         WIRE_MAX_LABELS);
    l = arena_array(a, map.n, sizeof *l);
    if (!l)
        return wire_no_memory(reason, e);
    for (uint32_t i = 0; i < map.n; i++) {
        if (!tok_next(r, &name) || name.type != TOK_STR || !tok_next(r, &value) || value.type != TOK_STR)
            return wire_fail(reason, bad, e, ERR_MALFORMED, "a label's name or value is no string");
        l[i] = (struct wire_label){{(const char *)name.p, name.n}, {(const char *)value.p, value.n}};
    }
    wire_labels_sort(l, map.n);
    *out = l;
    *n = map.n;
    return wire_labels_check(l, map.n, bad, reason, e);
}
