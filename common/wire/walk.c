/* The walk over a whole payload before anything of it is believed: well formed, not deeper than allowed, maps
 * of at most 256 keys that are strings (or, at the root of a definitions request, bins) and differ, strings
 * in UTF-8, nothing behind the root. Nothing is allocated: the keys of the open maps are kept on the stack,
 * 10 KiB in all. Keys are kept sorted by binary insertion; a canonical writer sorts its maps, so each key is
 * usually just appended. */
#include "common/wire/text.h"

#include <string.h>

struct key {
    uint32_t at, n; /* offset in the payload, length */
};

struct level {
    uint64_t left; /* elements to come: of a map, keys and values */
    bool map;
    enum tok_type sort; /* of its keys */
    uint32_t n;
    struct key keys[WIRE_MAX_KEYS]; /* sorted */
};

static int key_cmp(const uint8_t *base, struct key a, struct key b)
{
    return wire_str_cmp((struct wire_str){(const char *)base + a.at, a.n},
                        (struct wire_str){(const char *)base + b.at, b.n});
}

/* False when the key is there already. */
static bool add_key(struct level *l, const uint8_t *base, struct key k)
{
    uint32_t low = 0, high = l->n;

    if (l->n && key_cmp(base, l->keys[l->n - 1], k) < 0)
        low = l->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        int c = key_cmp(base, l->keys[mid], k);

        if (!c)
            return false;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    memmove(&l->keys[low + 1], &l->keys[low], (l->n - low) * sizeof l->keys[0]);
    l->keys[low] = k;
    l->n++;
    return true;
}

static int take_key(struct level *l, const uint8_t *base, const struct tok *t, bool bins,
                    enum wire_reason *reason, struct err *e)
{
    if (t->type != TOK_STR && !(bins && t->type == TOK_BIN))
        return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED, "a key of a map is no string");
    if (!l->n)
        l->sort = t->type;
    if (l->sort != t->type)
        return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED, "keys of a map are of two types");
    if (!add_key(l, base, (struct key){(uint32_t)(t->p - base), t->n}))
        return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED, "a key stands twice in a map");
    return 0;
}

static int open_level(struct level *levels, unsigned depth, unsigned most, const struct tok *t,
                      enum wire_reason *reason, struct err *e)
{
    struct level *l = &levels[depth];

    if (depth >= most)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "nested deeper than %u", most);
    if (t->type == TOK_MAP && t->n > WIRE_MAX_KEYS)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "a map of %u keys; at most %d are allowed", t->n,
                         WIRE_MAX_KEYS);
    l->map = t->type == TOK_MAP;
    l->left = l->map ? 2 * (uint64_t)t->n : t->n;
    l->n = 0;
    return 0;
}

int wire_walk_to(const uint8_t *p, size_t n, unsigned most, bool root_bins, enum wire_reason *reason,
                 struct err *e)
{
    struct reader r = {p, p + n};
    struct level levels[WIRE_MAX_DEPTH];
    unsigned depth = 0;
    int rc = 0;

    if (n > WIRE_MAX_INFLATED)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "%zu bytes; at most %d are allowed", n,
                         WIRE_MAX_INFLATED);
    do {
        struct level *top = depth ? &levels[depth - 1] : NULL;
        struct tok t;

        if (!tok_next(&r, &t))
            return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED,
                             "not well-formed msgpack near byte %zu", (size_t)(r.p - p));
        if (top && top->map && top->left % 2 == 0)
            rc = take_key(top, p, &t, root_bins && depth == 1, reason, e);
        if (!rc && t.type == TOK_STR && !wire_utf8_ok((const char *)t.p, t.n))
            rc = wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED, "a string is not UTF-8 at byte %zu",
                           (size_t)(t.p - p));
        if (top)
            top->left--;
        if (!rc && (t.type == TOK_ARRAY || t.type == TOK_MAP)) {
            rc = open_level(levels, depth, most, &t, reason, e);
            depth++;
        }
        if (rc)
            return rc;
        while (depth && !levels[depth - 1].left)
            depth--;
    } while (depth);
    if (r.p != r.end)
        return wire_fail(reason, WIRE_MALFORMED, e, ERR_MALFORMED, "%zu bytes behind the root",
                         (size_t)(r.end - r.p));
    return 0;
}

int wire_walk(const uint8_t *p, size_t n, enum wire_reason *reason, struct err *e)
{
    return wire_walk_to(p, n, WIRE_MAX_DEPTH, true, reason, e);
}
