/* Incidents and their members as they are held: by number, by id, by alert. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/incident/incident_private.h"

struct incident *incident_find(const struct incidents *i, const char *id)
{
    return map_get(&i->ids, id, strlen(id));
}

struct member *member_find(const struct incidents *i, const struct fingerprint *f)
{
    return map_get(&i->alerts, f->b, sizeof f->b);
}

static bool make_room(struct incidents *i)
{
    size_t room = i->room ? i->room * 2 : 16;
    struct incident **v;

    if (i->n < i->room)
        return true;
    v = mem_resize(i->mem, i->v, i->room * sizeof *v, room * sizeof *v);
    if (!v)
        return false;
    i->v = v;
    i->room = room;
    return true;
}

struct incident *incident_add(struct incidents *i, const char *id, struct err *e)
{
    struct incident *in = make_room(i) ? mem_alloc(i->mem, sizeof *in) : NULL;

    if (!in)
        goto out;
    incident_copy(in->id, sizeof in->id, id);
    arena_init(&in->arena, i->mem, ARENA_MOST);
    in->tail = &in->members;
    if (map_put(&i->ids, in->id, strlen(in->id), in) < 0) {
        mem_free(i->mem, in, sizeof *in);
        in = NULL;
        goto out;
    }
    i->v[i->n++] = in;
out:
    if (!in)
        err_set(e, ERR_NOMEM, "no memory for another incident");
    return in;
}

void incident_place(struct incidents *i, struct incident *in)
{
    size_t at = 0;

    while (at < i->n && i->v[at] != in)
        at++;
    for (; at > 0 && i->v[at - 1]->number > in->number; at--)
        i->v[at] = i->v[at - 1];
    for (; at + 1 < i->n && i->v[at + 1]->number < in->number; at++)
        i->v[at] = i->v[at + 1];
    i->v[at] = in;
    if (in->number >= i->next)
        i->next = in->number + 1;
}

/* An alert that was of an earlier incident is its member still, but found here no longer. */
int member_enter(struct incidents *i, struct member *m)
{
    return map_put(&i->alerts, m->id.b, sizeof m->id.b, m);
}

static void leave(struct incidents *i, const struct member *m)
{
    if (member_find(i, &m->id) == m)
        (void)map_del(&i->alerts, m->id.b, sizeof m->id.b);
}

void incident_remove(struct incidents *i, struct incident *in, const struct incident_effects *out)
{
    size_t at = 0;

    for (struct member *m = in->members; m; m = m->next) {
        if (out)
            member_forget(m, out);
        leave(i, m);
    }
    if (out)
        incident_forget(in, out);
    (void)map_del(&i->ids, in->id, strlen(in->id));
    while (i->v[at] != in)
        at++;
    memmove(&i->v[at], &i->v[at + 1], (i->n - at - 1) * sizeof(struct incident *));
    i->n--;
    arena_free(&in->arena);
    mem_free(i->mem, in, sizeof *in);
}

static const char *keep(struct arena *a, const char *s, size_t most)
{
    size_t n = strnlen(s, most);

    while (n > 0 && s[n] && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    return arena_text(a, s, n);
}

struct member *member_add(struct incidents *i, struct incident *in, const struct fingerprint *f,
                          const char *rule, const char *labels, const char *summary, const char *runbook)
{
    struct member *m = arena_alloc(&in->arena, sizeof *m);

    if (!m)
        return NULL;
    *m = (struct member){.id = *f,
                         .in = in,
                         .rule = keep(&in->arena, rule, 64),
                         .labels = keep(&in->arena, labels, 2 * TEXT_MOST),
                         .summary = keep(&in->arena, summary, TEXT_MOST),
                         .runbook = keep(&in->arena, runbook, TEXT_MOST)};
    if (!m->rule || !m->labels || !m->summary || !m->runbook || member_enter(i, m) < 0)
        return NULL;
    *in->tail = m;
    in->tail = &m->next;
    return m;
}

/* Gravest first, then earliest. */
static int graver(const void *a, const void *b)
{
    const struct member *x = *(const struct member *const *)a, *y = *(const struct member *const *)b;

    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    if (x->at.ms != y->at.ms)
        return x->at.ms < y->at.ms ? -1 : 1;
    return memcmp(x->id.b, y->id.b, sizeof x->id.b);
}

/* What is kept moves into a fresh arena, so that a storm's memory goes. When there is none for that, all stays. */
static void move(struct incidents *i, struct incident *in, struct member **v, size_t n,
                 const struct incident_effects *out)
{
    struct incident fresh = {.tail = &fresh.members};
    struct labels group;
    bool ok;

    arena_init(&fresh.arena, i->mem, ARENA_MOST);
    group = labels_copy(in->group, &fresh.arena, &ok);
    for (size_t k = 0; k < n && ok; k++) {
        bool kept = k < MEMBERS_KEPT;
        struct member *m = arena_alloc(&fresh.arena, sizeof *m);

        if (!kept)
            break;
        ok = m != NULL;
        if (!ok)
            break;
        *m = *v[k];
        m->next = NULL;
        m->rule = keep(&fresh.arena, m->rule, TEXT_MOST);
        m->labels = keep(&fresh.arena, m->labels, 2 * TEXT_MOST);
        m->summary = keep(&fresh.arena, m->summary, TEXT_MOST);
        m->runbook = keep(&fresh.arena, m->runbook, TEXT_MOST);
        ok = m->rule && m->labels && m->summary && m->runbook;
        *fresh.tail = m;
        fresh.tail = &m->next;
    }
    if (!ok) {
        arena_free(&fresh.arena);
        return;
    }
    for (size_t k = MEMBERS_KEPT; k < n; k++) {
        leave(i, v[k]);
        member_forget(v[k], out);
    }
    in->members = fresh.members;
    in->tail = &in->members;
    for (struct member *m = in->members, *old; m; m = m->next) {
        in->tail = &m->next;
        old = member_find(i, &m->id);
        if (old && old->in == in)
            (void)member_enter(i, m); /* there is room: it was there a moment ago */
    }
    arena_free(&in->arena);
    in->arena = fresh.arena;
    in->group = group;
}

void incident_compact(struct incidents *i, struct incident *in, const struct incident_effects *out)
{
    size_t n = 0, k = 0;
    struct member **v;

    for (const struct member *m = in->members; m; m = m->next)
        n++;
    if (n <= MEMBERS_KEPT)
        return;
    v = mem_array(i->mem, n, sizeof *v);
    if (!v)
        return;
    for (struct member *m = in->members; m; m = m->next)
        v[k++] = m;
    qsort(v, n, sizeof(struct member *), graver);
    move(i, in, v, n, out);
    mem_free(i->mem, v, n * sizeof *v);
}
