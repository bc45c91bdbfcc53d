/* The series of a grid: made from the first sample of a raw
 * key, kept under its identity as the wire will show it.
 *
 * A schema that breaks a rule of the wire would be refused whole, again and again; so everything that would
 * break one is put right or refused here, for the one series: label values become valid UTF-8 of at most 500
 * bytes, a label name that is reserved, taken by the resource or there twice becomes exported_<name>, a name
 * has one kind, an identity one series. */
#include <string.h>

#include "agent/ship/grid_in.h"
#include "agent/utf8.h"

static const char exported[] = "exported_";

struct draft {
    struct wire_label labels[GRID_MAX_LABELS];
    uint32_t n;
    struct arena *arena;
};

static bool same_str(struct wire_str a, struct wire_str b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static int compare_str(struct wire_str a, struct wire_str b)
{
    uint32_t n = a.n < b.n ? a.n : b.n;
    int c = memcmp(a.p, b.p, n);

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static bool name_taken(const struct grid *g, const struct draft *d, struct wire_str name)
{
    const struct wire_resource *r = g->p.resource;

    if (!wire_label_name_ok(name.p, name.n))
        return true;
    for (uint32_t i = 0; r && i < r->n_labels; i++)
        if (same_str(r->labels[i].name, name))
            return true;
    for (uint32_t i = 0; i < d->n; i++)
        if (same_str(d->labels[i].name, name))
            return true;
    return false;
}

/* Adds a label in its sorted place. False when the name can't be made to fit or there are too many. */
static bool add_label(const struct grid *g, struct draft *d, struct wire_str name, struct wire_str value)
{
    uint32_t i;

    if (!value.n)
        return true;
    value = utf8_mend(d->arena, value.p, value.n, WIRE_MAX_LABEL_VALUE);
    if (!value.n || d->n == GRID_MAX_LABELS)
        return false;
    while (name_taken(g, d, name)) {
        size_t n = name.n + sizeof exported - 1;
        char *p = n <= WIRE_MAX_LABEL_NAME ? arena_alloc(d->arena, n + 1) : NULL;

        if (!p)
            return false;
        memcpy(p, exported, sizeof exported - 1);
        memcpy(p + sizeof exported - 1, name.p, name.n);
        name = (struct wire_str){p, (uint32_t)n};
        if (!wire_label_name_ok(p, n))
            return false;
    }
    for (i = d->n++; i > 0 && compare_str(d->labels[i - 1].name, name) > 0; i--)
        d->labels[i] = d->labels[i - 1];
    d->labels[i] = (struct wire_label){name, value};
    return true;
}

static bool draft_labels(const struct grid *g, struct draft *d, const struct metric_row *row,
                         const struct text *labels)
{
    const char *p = row->labels;

    for (uint32_t i = 0; *p; i++) {
        size_t n = strcspn(p, " ");

        if (!add_label(g, d, (struct wire_str){p, (uint32_t)n}, (struct wire_str){labels[i].p, labels[i].n}))
            return false;
        p += n + strspn(p + n, " ");
    }
    for (uint32_t i = 0; i < g->n_extra; i++)
        if (!add_label(g, d, g->extra[i].name, g->extra[i].value))
            return false;
    return true;
}

/* Name, labels and their lengths in one run of bytes. */
static void put_identity(struct buf *b, struct wire_str name, const struct draft *d)
{
    buf_put(b, &name.n, sizeof name.n);
    buf_put(b, name.p, name.n);
    for (uint32_t i = 0; i < d->n; i++) {
        buf_put(b, &d->labels[i].name.n, sizeof(uint32_t));
        buf_put(b, d->labels[i].name.p, d->labels[i].name.n);
        buf_put(b, &d->labels[i].value.n, sizeof(uint32_t));
        buf_put(b, d->labels[i].value.p, d->labels[i].value.n);
    }
}

/* The name's entry with one more user; NULL when it has
 * another kind (counted) or without memory (counted). */
static struct grid_name *take_name(struct grid *g, struct wire_str name, enum wire_kind kind)
{
    struct grid_name *as = map_get(&g->names, name.p, name.n);

    if (as && as->kind != kind) {
        g->stats.refused_kind++;
        return NULL;
    }
    if (!as) {
        as = mem_alloc(g->mem, sizeof *as + name.n);
        if (as) {
            *as = (struct grid_name){.kind = kind, .n = name.n};
            memcpy(as->name, name.p, name.n);
            if (map_put(&g->names, as->name, as->n, as) != 0) {
                mem_free(g->mem, as, sizeof *as + name.n);
                as = NULL;
            }
        }
    }
    if (as)
        as->users++;
    else
        g->stats.refused_limit++;
    return as;
}

static void give_name(struct grid *g, struct grid_name *as)
{
    if (!as || --as->users)
        return;
    map_del(&g->names, as->name, as->n);
    mem_free(g->mem, as, sizeof *as + as->n);
}

static struct grid_alias *add_alias(struct grid *g, struct grid_series *s)
{
    struct grid_alias *a = mem_alloc(g->mem, sizeof *a + g->key.len);

    if (!a)
        return NULL;
    *a = (struct grid_alias){.to = s, .next = s->aliases, .n = g->key.len};
    memcpy(a->key, g->key.data, a->n);
    if (map_put(&g->raw, a->key, a->n, a) != 0) {
        mem_free(g->mem, a, sizeof *a + a->n);
        return NULL;
    }
    s->aliases = a;
    return a;
}

static size_t column_bytes(const struct grid *g, const struct grid_series *s)
{
    return g->p.max_ticks * (s->def.kind == WIRE_SKETCH ? sizeof(struct grid_piece) : sizeof(int64_t));
}

static void release(struct grid *g, struct grid_series *s)
{
    while (s->aliases) {
        struct grid_alias *a = s->aliases;

        s->aliases = a->next;
        map_del(&g->raw, a->key, a->n);
        mem_free(g->mem, a, sizeof *a + a->n);
    }
    give_name(g, s->as);
    mem_free(g->mem, s->col.ints, s->col.ints ? column_bytes(g, s) : 0);
    mem_free(g->mem, s->present, s->present ? (g->p.max_ticks + 7) / 8 : 0);
    mem_free(g->mem, s->text, s->text_n);
    mem_free(g->mem, s, sizeof *s);
}

void grid_drop(struct grid *g, struct grid_series *s)
{
    map_del(&g->idents, s->text, s->ident_n);
    g->stats.series--;
    release(g, s);
}

void grid_forget_guesses(struct grid *g)
{
    struct grid_alias *a;
    size_t i = 0;

    g->first = g->prev = NULL;
    while ((a = map_next(&g->raw, &i)))
        a->follower = NULL;
}

/* Lays identity, label array and label bytes into one block:
 * [labels][identity]; labels point into the identity. */
static bool set_text(struct grid *g, struct grid_series *s, const struct draft *d, const struct buf *ident)
{
    size_t labels = d->n * sizeof *s->def.labels;
    const char *p;

    s->ident_n = ident->len;
    s->text_n = ident->len + labels + _Alignof(struct wire_label);
    s->text = mem_alloc(g->mem, s->text_n);
    if (!s->text)
        return false;
    memcpy(s->text, ident->data, ident->len);
    s->def.labels = (struct wire_label *)(void *)(s->text + (ident->len + _Alignof(struct wire_label) - 1) /
                                                                _Alignof(struct wire_label) *
                                                                _Alignof(struct wire_label));
    s->def.n_labels = d->n;
    p = s->text + sizeof(uint32_t) + s->def.name.n;
    for (uint32_t i = 0; i < d->n; i++) {
        struct wire_label *l = &s->def.labels[i];

        l->name = (struct wire_str){p + sizeof(uint32_t), d->labels[i].name.n};
        p = l->name.p + l->name.n;
        l->value = (struct wire_str){p + sizeof(uint32_t), d->labels[i].value.n};
        p = l->value.p + l->value.n;
    }
    return true;
}

/* The first block with room, or a new one; NULL without memory. */
static struct grid_block *room_for_one(struct grid *g)
{
    struct grid_block *b;

    for (uint32_t i = 0; i < g->n_blocks; i++)
        if (g->blocks[i].n < g->p.block_series)
            return &g->blocks[i];
    if (g->n_blocks == g->room_blocks) {
        uint32_t room = g->room_blocks ? g->room_blocks * 2 : 4;
        struct grid_block *more =
            mem_resize(g->mem, g->blocks, g->room_blocks * sizeof *more, room * sizeof *more);

        if (!more)
            return NULL;
        g->blocks = more;
        g->room_blocks = room;
    }
    b = &g->blocks[g->n_blocks++];
    *b = (struct grid_block){0};
    buf_init(&b->schema, g->mem, WIRE_MAX_INFLATED);
    return b;
}

static bool into_block(struct grid *g, struct grid_series *s)
{
    struct grid_block *b = room_for_one(g);

    if (!b)
        return false;
    if (b->n == b->room) {
        uint32_t room = b->room ? b->room * 2 : 16;
        struct grid_series **more =
            mem_resize(g->mem, b->series, b->room * sizeof *more, room * sizeof *more);

        if (!more)
            return false;
        b->series = more;
        b->room = room;
    }
    b->series[b->n++] = s;
    b->fresh = false;
    return true;
}

static struct grid_series *make_series(struct grid *g, const struct metric_row *row, const struct draft *d,
                                       const struct buf *ident)
{
    struct grid_series *s = mem_alloc(g->mem, sizeof *s);
    struct wire_str name = {row->name, (uint32_t)strlen(row->name)};

    if (!s)
        goto full;
    s->row = row;
    s->def = (struct wire_series){.name = name,
                                  .kind = (enum wire_kind)row->kind,
                                  .mul = row->mul ? row->mul : 1,
                                  .div = row->div ? row->div : 1,
                                  .help = {row->help, (uint32_t)strlen(row->help)}};
    s->as = take_name(g, name, s->def.kind);
    if (!s->as) {
        release(g, s);
        return NULL;
    }
    s->col.ints = mem_alloc(g->mem, column_bytes(g, s));
    s->present = mem_alloc(g->mem, (g->p.max_ticks + 7) / 8);
    if (!s->col.ints || !s->present || !set_text(g, s, d, ident) ||
        map_put(&g->idents, s->text, s->ident_n, s) != 0)
        goto full;
    if (!into_block(g, s)) {
        map_del(&g->idents, s->text, s->ident_n);
        goto full;
    }
    g->stats.series++;
    return s;
full:
    g->stats.refused_limit++;
    if (s)
        release(g, s);
    return NULL;
}

struct grid_alias *grid_adopt(struct grid *g, const struct metric_row *row, const struct text *labels)
{
    struct arena scratch;
    struct draft d = {.arena = &scratch};
    struct grid_alias *a = NULL;
    struct grid_series *s;
    struct buf ident;

    arena_init(&scratch, g->mem, 1 << 18);
    buf_init(&ident, g->mem, 1 << 18);
    if (!wire_metric_name_ok(row->name, strlen(row->name)) ||
        !wire_metric_prefix_ok(row->name, strlen(row->name)) || strlen(row->help) > WIRE_MAX_HELP ||
        !wire_utf8_ok(row->help, strlen(row->help)) || !draft_labels(g, &d, row, labels)) {
        g->stats.refused_value++;
        goto out;
    }
    put_identity(&ident, (struct wire_str){row->name, (uint32_t)strlen(row->name)}, &d);
    s = ident.full ? NULL : map_get(&g->idents, ident.data, ident.len);
    if (s && s->def.kind != (enum wire_kind)row->kind) {
        g->stats.refused_kind++;
        goto out;
    }
    if (!s) {
        if (ident.full || g->stats.series >= g->p.max_series) {
            g->stats.refused_limit++;
            goto out;
        }
        s = make_series(g, row, &d, &ident);
        if (!s)
            goto out;
    }
    a = add_alias(g, s);
    if (!a)
        g->stats.refused_limit++;
out:
    buf_free(&ident);
    arena_free(&scratch);
    return a;
}
