/* The list of selections: see facts.h. Everything lives in one arena; an entry never moves. */
#include "aggregator/alert/facts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/map.h"
#include "common/wire/wire.h"

enum { SELECTIONS_MOST = 4096, BY_MOST = 32, NAME_MOST = 256, TEXT_MOST = 20000 };

struct entry {
    struct selection s;
    struct match *match; /* owned */
    uint32_t at;
};

struct selections {
    struct mem *mem;
    struct arena arena;
    struct map by_text; /* -> struct entry */
    struct entry **v;   /* owned; room entries */
    uint32_t n, room;
};

struct selections *selections_new(struct mem *m)
{
    struct selections *s = mem_alloc(m, sizeof *s);

    if (!s)
        return NULL;
    s->mem = m;
    arena_init(&s->arena, m, 0);
    map_init(&s->by_text, m, NULL);
    return s;
}

void selections_free(struct selections **sp)
{
    struct selections *s = *sp;

    if (!s)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        match_free(&s->v[i]->match);
    mem_free(s->mem, s->v, s->room * sizeof *s->v);
    map_free(&s->by_text);
    arena_free(&s->arena);
    mem_free(s->mem, s, sizeof *s);
    *sp = NULL;
}

/* Agents ship some families that begin like ours (the decoder knows which); whatever else begins with "securebase_" this
 * process makes itself. */
static bool made_here(const char *metric)
{
    return strcmp(metric, "securebase_agent_up") == 0 || !wire_metric_prefix_ok(metric, strlen(metric));
}

static bool name_good(const char *name, bool colon)
{
    size_t n = strlen(name);

    if (!n || n > NAME_MOST || isdigit((unsigned char)*name))
        return false;
    for (; *name; name++) {
        if (!isalnum((unsigned char)*name) && *name != '_' && !(colon && *name == ':'))
            return false;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, each once, into to[BY_MOST]. */
static int sort_names(const char *const *by, uint32_t n, const char **to, uint32_t *n_to, struct err *e)
{
    uint32_t kept = 0;

    if (n > BY_MOST)
        return err_set(e, ERR_LIMIT, "more than %d labels to group by", BY_MOST);
    for (uint32_t i = 0; i < n; i++) {
        if (!name_good(by[i], false))
            return err_set(e, ERR_MALFORMED, "\"%.80s\" is not a label's name", by[i]);
        to[i] = by[i];
    }
    if (n)
        qsort(to, n, sizeof *to, by_name);
    for (uint32_t i = 0; i < n; i++) {
        if (!i || strcmp(to[i], to[kept - 1]) != 0)
            to[kept++] = to[i];
    }
    *n_to = kept;
    return 0;
}

struct wish {
    const char *metric;
    const struct match *match;
    const char *by[BY_MOST];
    uint32_t n_by;
    bool by_all;
};

static void write_text(const struct wish *w, struct buf *out)
{
    buf_str(out, w->metric);
    if (match_count(w->match))
        buf_fmt(out, "{%s}", match_text(w->match));
    if (w->by_all)
        buf_str(out, " by (*)");
    for (uint32_t i = 0; i < w->n_by; i++)
        buf_fmt(out, "%s%s", i ? "," : " by (", w->by[i]);
    if (w->n_by)
        buf_u8(out, ')');
    (void)buf_text(out);
}

/* A copy of w in the arena, but for the match; NULL without memory. */
static struct entry *entry_make(struct selections *s, const struct wish *w, const struct buf *text)
{
    struct entry *x = arena_alloc(&s->arena, sizeof *x);
    const char **by = arena_array(&s->arena, w->n_by ? w->n_by : 1, sizeof *by);

    if (!x || !by)
        return NULL;
    x->s.metric = arena_text(&s->arena, w->metric, strlen(w->metric));
    x->s.text = arena_text(&s->arena, (const char *)text->data, text->len);
    if (!x->s.metric || !x->s.text)
        return NULL;
    for (uint32_t i = 0; i < w->n_by; i++) {
        by[i] = arena_text(&s->arena, w->by[i], strlen(w->by[i]));
        if (!by[i])
            return NULL;
    }
    x->s.by = by;
    x->s.n_by = w->n_by;
    x->s.by_all = w->by_all;
    x->s.own = made_here(w->metric);
    return x;
}

static bool make_room(struct selections *s)
{
    uint32_t room = s->room ? s->room * 2 : 16;
    struct entry **v;

    if (s->n < s->room)
        return true;
    v = mem_resize(s->mem, s->v, s->room * sizeof *v, room * sizeof *v);
    if (!v)
        return false;
    s->v = v;
    s->room = room;
    return true;
}

/* Finds or adds; takes the match over (*mp NULL) when it added. */
static int put(struct selections *s, const struct wish *w, const struct buf *text, struct match **mp,
               struct entry **out, struct err *e)
{
    struct entry *x = map_get(&s->by_text, text->data, text->len);

    if (x) {
        *out = x;
        return 0;
    }
    if (s->n == SELECTIONS_MOST)
        return err_set(e, ERR_LIMIT, "more than %d different selections", SELECTIONS_MOST);
    x = make_room(s) ? entry_make(s, w, text) : NULL;
    if (!x || map_put(&s->by_text, x->s.text, text->len, x))
        return err_set(e, ERR_NOMEM, "no memory for selections");
    x->match = *mp;
    x->s.match = *mp;
    *mp = NULL;
    x->at = s->n;
    s->v[s->n++] = x;
    *out = x;
    return 0;
}

int selections_add(struct selections *s, const char *metric, const char *match, const char *const *by,
                   uint32_t n_by, struct span reach, uint32_t *at, struct err *e)
{
    struct wish w = {.metric = metric, .by_all = n_by == 1 && strcmp(by[0], "*") == 0};
    struct match *m = NULL;
    struct entry *x = NULL;
    struct buf text;
    int rc;

    buf_init(&text, s->mem, TEXT_MOST);
    if (!name_good(metric, true)) {
        rc = err_set(e, ERR_MALFORMED, "\"%.80s\" is not a metric's name", metric);
        goto out;
    }
    rc = w.by_all ? 0 : sort_names(by, n_by, w.by, &w.n_by, e);
    if (rc)
        goto out;
    m = match_new(match ? match : "", e);
    if (!m) {
        rc = e && e->code ? e->code : ERR_MALFORMED;
        goto out;
    }
    w.match = m;
    write_text(&w, &text);
    rc = text.full ? err_set(e, ERR_NOMEM, "no memory for selections") : put(s, &w, &text, &m, &x, e);
    if (rc)
        goto out;
    if (x->s.reach.ns < reach.ns)
        x->s.reach = reach;
    if (at)
        *at = x->at;
out:
    match_free(&m);
    buf_free(&text);
    return rc;
}

uint32_t selections_count(const struct selections *s)
{
    return s->n;
}

const struct selection *selections_at(const struct selections *s, uint32_t i)
{
    return i < s->n ? &s->v[i]->s : NULL;
}

void telling_free(struct telling **tp)
{
    struct telling *t = *tp;
    struct mem *mem;

    if (!t)
        return;
    mem = t->arena.mem;
    arena_free(&t->arena);
    mem_free(mem, t, sizeof *t);
    *tp = NULL;
}
