/* From a line's name and tags to a series: the rules for names, applied once for each spelling. */
#include <string.h>

#include "agent/inputs/statsd_in.h"
#include "agent/utf8.h"

enum { MAX_LABELS = WIRE_MAX_LABELS - 4, NAMES_TIDIED = 64 };

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static uint8_t mapped(uint8_t c)
{
    return name_char((char)c) || c == ':' ? c : '_';
}

static void put_mapped(struct buf *b, const uint8_t *p, size_t n)
{
    if (n && *p >= '0' && *p <= '9')
        buf_u8(b, '_');
    for (size_t i = 0; i < n; i++)
        buf_u8(b, mapped(p[i]));
}

/* As it will be sent: "node.load1" begins with "node_" too. */
static bool begins(const struct bytes *s, const char *with)
{
    size_t i = 0;

    while (with[i] && i < s->n && mapped(s->p[i]) == (uint8_t)with[i])
        i++;
    return !with[i];
}

static void put_suffix(struct buf *b, const char *suffix)
{
    size_t n = strlen(suffix);

    if (b->len < n || memcmp(b->data + b->len - n, suffix, n) != 0)
        buf_str(b, suffix);
}

static enum statsd_class class_of(char type)
{
    switch (type) {
    case 'c': return CLASS_COUNTER;
    case 'g': return CLASS_GAUGE;
    case 's': return CLASS_SET;
    default: return CLASS_SKETCH;
    }
}

static enum metric_kind kind_of(enum statsd_class c)
{
    return c == CLASS_COUNTER ? METRIC_COUNTER : c == CLASS_SKETCH ? METRIC_SKETCH : METRIC_GAUGE;
}

static const char *help_of(enum statsd_class c)
{
    static const char *const help[] = {
        "Counted by an application, through StatsD.", "Set by an application, through StatsD.",
        "Measured by an application, through StatsD.",
        "Distinct values seen in an interval, told by an application through StatsD."};

    return help[c];
}

/* The metric's name into b. False when it is too long. */
static bool metric_name(const struct statsd_line *l, struct buf *b)
{
    buf_clear(b);
    if (begins(&l->name, "node_") || begins(&l->name, "securebase_"))
        buf_str(b, "app_");
    put_mapped(b, l->name.p, l->name.n);
    if (l->type == 'c')
        put_suffix(b, "_total");
    else if (l->type == 'm')
        put_suffix(b, "_seconds");
    return !b->full && b->len <= WIRE_MAX_NAME;
}

static struct statsd_name *take_name(struct statsd *s, enum statsd_class class, const struct buf *b,
                                     bool *made, enum statsd_error *why)
{
    struct statsd_name *name = map_get(&s->names, b->data, b->len);

    *made = !name;
    if (name && name->class != class) {
        *why = STATSD_KIND;
        return NULL;
    }
    if (!name) {
        name = mem_alloc(&s->mem, sizeof *name + b->len + 1);
        if (name) {
            *name = (struct statsd_name){.class = class, .n = b->len};
            memcpy(name->text, b->data, b->len);
            name->row = (struct metric_row){name->text, kind_of(class), 1, 1, "", help_of(class)};
            if (map_put(&s->names, name->text, name->n, name) != 0) {
                mem_free(&s->mem, name, sizeof *name + b->len + 1);
                name = NULL;
            }
        }
    }
    if (!name) {
        *why = STATSD_MEMORY;
        return NULL;
    }
    name->users++;
    return name;
}

static void release_name(struct statsd *s, struct statsd_name *name)
{
    (void)map_del(&s->names, name->text, name->n);
    mem_free(&s->mem, name, sizeof *name + name->n + 1);
}

void statsd_names_tidy(struct statsd *s, const struct grid *g)
{
    struct statsd_name *idle[NAMES_TIDIED], *name;
    size_t n = 0, looked = 0;

    while (looked < NAMES_TIDIED && (name = map_next(&s->names, &s->tidy_at))) {
        if (name->users)
            continue;
        looked++; /* each look is a walk over the grid */
        if (!grid_uses(g, &name->row))
            idle[n++] = name;
    }
    if (looked < NAMES_TIDIED)
        s->tidy_at = 0;
    for (size_t i = 0; i < n; i++)
        release_name(s, idle[i]);
}

/* The label name of a tag, into the arena. */
static struct wire_str label_name(struct arena *a, const uint8_t *p, size_t n)
{
    char *to = arena_alloc(a, n + 2);
    uint32_t len = 0;

    if (!to)
        return (struct wire_str){"", 0};
    if (n && *p >= '0' && *p <= '9')
        to[len++] = '_';
    for (size_t i = 0; i < n; i++)
        to[len++] = name_char((char)p[i]) ? (char)p[i] : '_';
    return (struct wire_str){to, len};
}

static int compare(const struct wire_label *a, const struct wire_label *b)
{
    uint32_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
    int c = memcmp(a->name.p, b->name.p, n);

    if (c == 0)
        c = (a->name.n > b->name.n) - (a->name.n < b->name.n);
    if (c == 0) {
        n = a->value.n < b->value.n ? a->value.n : b->value.n;
        c = memcmp(a->value.p, b->value.p, n);
    }
    return c ? c : (a->value.n > b->value.n) - (a->value.n < b->value.n);
}

bool statsd_labels(struct arena *a, struct bytes tags, struct wire_label *out, uint32_t max, uint32_t *n)
{
    const uint8_t *p = tags.p, *end = tags.n ? p + tags.n : p; /* p may be NULL */

    for (*n = 0; p < end;) {
        const uint8_t *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
        const uint8_t *colon = memchr(p, ':', (size_t)(stop - p));
        struct wire_label l;
        uint32_t i;

        l.name = label_name(a, p, (size_t)((colon ? colon : stop) - p));
        l.value =
            colon ? utf8_mend(a, (const char *)colon + 1, (uint32_t)(stop - colon - 1), WIRE_MAX_LABEL_VALUE)
                  : (struct wire_str){"true", 4}; /* a tag without a value says that something is so */
        p = comma ? comma + 1 : end;
        if (!l.name.n || !l.value.n)
            continue;
        if (*n == max || l.name.n > WIRE_MAX_LABEL_NAME)
            return false;
        for (i = *n; i > 0 && compare(&out[i - 1], &l) > 0; i--)
            out[i] = out[i - 1];
        if (i > 0 && compare(&out[i - 1], &l) == 0) { /* the same tag twice says no more than once */
            memmove(&out[i], &out[i + 1], (*n - i) * sizeof *out);
            continue;
        }
        out[i] = l;
        ++*n;
    }
    return true;
}

static void put_str(struct buf *b, struct wire_str s)
{
    buf_put(b, &s.n, sizeof s.n);
    buf_put(b, s.p, s.n);
}

static bool add_alias(struct statsd *s, struct statsd_series *v, const uint8_t *key, size_t n)
{
    struct statsd_alias *a;

    if (s->n_aliases >= s->p.max_series * 4) /* so many spellings: those beyond are worked out each time */
        return false;
    a = mem_alloc(&s->mem, sizeof *a + n);
    if (!a)
        return false;
    *a = (struct statsd_alias){.to = v, .next = v->aliases, .n = n};
    memcpy(a->key, key, n);
    if (map_put(&s->raw, a->key, n, a) != 0) {
        mem_free(&s->mem, a, sizeof *a + n);
        return false;
    }
    v->aliases = a;
    s->n_aliases++;
    return true;
}

static bool into_list(struct statsd *s, struct statsd_series *v)
{
    if (s->n == s->room) {
        uint32_t room = s->room ? s->room * 2 : 64;
        struct statsd_series **more =
            mem_resize(&s->mem, s->list, s->room * sizeof *more, room * sizeof *more);

        if (!more)
            return false;
        s->list = more;
        s->room = room;
    }
    v->at = s->n;
    s->list[s->n++] = v;
    return true;
}

/* A series with its identity, its labels pointing into that. NULL without memory. */
static struct statsd_series *build(struct statsd *s, const struct buf *ident, const struct wire_label *labels,
                                   uint32_t n)
{
    size_t at = (sizeof(struct statsd_series) + ident->len + _Alignof(struct wire_label) - 1) /
                _Alignof(struct wire_label) * _Alignof(struct wire_label);
    size_t bytes = at + n * sizeof *labels;
    struct statsd_series *v = mem_alloc(&s->mem, bytes);
    const char *p;

    if (!v)
        return NULL;
    v->bytes = bytes;
    v->ident_n = ident->len;
    memcpy(v->ident, ident->data, ident->len);
    v->labels = (struct wire_label *)(void *)((char *)v + at);
    v->n_labels = n;
    p = v->ident + sizeof(struct statsd_name *);
    for (uint32_t i = 0; i < n; i++) {
        v->labels[i].name = (struct wire_str){p + sizeof(uint32_t), labels[i].name.n};
        p += sizeof(uint32_t) + labels[i].name.n;
        v->labels[i].value = (struct wire_str){p + sizeof(uint32_t), labels[i].value.n};
        p += sizeof(uint32_t) + labels[i].value.n;
    }
    if (map_put(&s->idents, v->ident, v->ident_n, v) != 0) {
        mem_free(&s->mem, v, bytes);
        return NULL;
    }
    if (!into_list(s, v)) {
        (void)map_del(&s->idents, v->ident, v->ident_n);
        mem_free(&s->mem, v, bytes);
        return NULL;
    }
    return v;
}

struct draft {
    struct statsd_name *name; /* taken: one more user */
    bool made;                /* the name is new */
    struct wire_label labels[MAX_LABELS];
    uint32_t n;
    struct buf ident; /* name and labels: names are one each, so the address stands for it */
};

/* Its name stands in ident, its labels in labels: takes the name, and makes of both what it is found by. */
static bool put_ident(struct statsd *s, enum statsd_class class, struct draft *d, enum statsd_error *why)
{
    d->name = take_name(s, class, &d->ident, &d->made, why);
    if (!d->name)
        return false;
    buf_clear(&d->ident);
    buf_put(&d->ident, &d->name, sizeof d->name);
    for (uint32_t i = 0; i < d->n; i++) {
        put_str(&d->ident, d->labels[i].name);
        put_str(&d->ident, d->labels[i].value);
    }
    return true;
}

/* What a line's series is called. False and *why; then no name is taken. */
static bool identify(struct statsd *s, const struct statsd_line *l, struct draft *d, enum statsd_error *why)
{
    *why = STATSD_NAME;
    if (!metric_name(l, &d->ident))
        return false;
    *why = STATSD_TAGS;
    if (!statsd_labels(&s->scratch, l->tags, d->labels, MAX_LABELS, &d->n))
        return false;
    return put_ident(s, class_of(l->type), d, why);
}

/* The series so called, built when it is new: it keeps the name then. NULL and *why. */
static struct statsd_series *find_or_build(struct statsd *s, const struct draft *d, enum statsd_error *why)
{
    struct statsd_series *v = d->ident.full ? NULL : map_get(&s->idents, d->ident.data, d->ident.len);

    if (v) {
        d->name->users--;
        return v;
    }
    *why = s->n >= s->p.max_series ? STATSD_SERIES : STATSD_MEMORY;
    if (!d->ident.full && s->n < s->p.max_series)
        v = build(s, &d->ident, d->labels, d->n);
    if (v) {
        v->name = d->name;
        if (d->name->class == CLASS_SKETCH)
            sketch_init(&v->v.sketch, &s->mem);
        return v;
    }
    d->name->users--;
    if (d->made)
        release_name(s, d->name);
    return NULL;
}

struct statsd_series *statsd_series_named(struct statsd *s, const char *name, const struct wire_label *labels,
                                          uint32_t n)
{
    struct statsd_series *v = NULL;
    enum statsd_error why;
    struct draft d = {.n = n};

    if (n > MAX_LABELS)
        return NULL;
    memcpy(d.labels, labels, n * sizeof *labels);
    buf_init(&d.ident, &s->mem, 1 << 17);
    buf_str(&d.ident, name);
    if (put_ident(s, CLASS_COUNTER, &d, &why))
        v = find_or_build(s, &d, &why);
    buf_free(&d.ident);
    return v;
}

/* The series of a spelling that was not seen before. */
static struct statsd_series *resolve(struct statsd *s, const struct statsd_line *l, enum statsd_error *why)
{
    struct statsd_series *v = NULL;
    struct draft d = {0};
    uint32_t before = s->n;

    buf_init(&d.ident, &s->mem, 1 << 17);
    if (identify(s, l, &d, why))
        v = find_or_build(s, &d, why);
    buf_free(&d.ident);
    arena_free(&s->scratch);
    if (v && s->n > before) {
        enum statsd_error rc = statsd_marks_make(s, v);

        s->stats.errors[rc] += rc != STATSD_OK; /* the sketch itself is as good as ever */
    }
    return v;
}

struct statsd_series *statsd_series_of(struct statsd *s, const struct statsd_line *l, enum statsd_error *why)
{
    struct statsd_series *v;
    struct statsd_alias *a;

    buf_clear(&s->key);
    buf_u8(&s->key, (uint8_t)l->type);
    buf_put(&s->key, l->name.p, l->name.n);
    buf_u8(&s->key, '|');
    buf_put(&s->key, l->tags.p, l->tags.n);
    if (s->key.full) {
        *why = STATSD_MEMORY;
        return NULL;
    }
    a = map_get(&s->raw, s->key.data, s->key.len);
    if (a)
        return a->to;
    v = resolve(s, l, why);
    if (v)
        (void)add_alias(s, v, s->key.data, s->key.len);
    return v;
}

void statsd_series_drop(struct statsd *s, struct statsd_series *v)
{
    while (v->aliases) {
        struct statsd_alias *a = v->aliases;

        v->aliases = a->next;
        (void)map_del(&s->raw, a->key, a->n);
        mem_free(&s->mem, a, sizeof *a + a->n);
        s->n_aliases--;
    }
    (void)map_del(&s->idents, v->ident, v->ident_n);
    s->list[v->at] = s->list[--s->n];
    s->list[v->at]->at = v->at;
    mem_free(&s->mem, v->marks, v->room_marks * sizeof *v->marks);
    if (v->name->class == CLASS_SKETCH)
        sketch_free(&v->v.sketch);
    if (v->name->class == CLASS_SET)
        mem_free(&s->mem, v->v.set.slots, v->v.set.room * sizeof *v->v.set.slots);
    v->name->users--;
    mem_free(&s->mem, v, v->bytes);
}
