/* Memory of what is known: alerts, groups, lines, receivers. Only lists and look-ups; nothing is decided here.
 * Alerts and groups point at each other: whoever drops one takes it out of the other. */
#include "aggregator/notify/notify_private.h"

#include <string.h>

/* One block: the labels' array, then all texts. */
char *pack_labels_block(struct mem *m, struct labels l, const char *const *texts, size_t n_texts,
                        size_t *size, struct labels *out, const char **out_texts)
{
    size_t total = l.n * sizeof(struct label) + 1;
    struct label *v;
    char *block, *p;

    for (uint32_t i = 0; i < l.n; i++)
        total += strlen(l.v[i].name) + strlen(l.v[i].value) + 2;
    for (size_t i = 0; i < n_texts; i++)
        total += strlen(texts[i] ? texts[i] : "") + 1;
    block = mem_alloc(m, total);
    if (!block)
        return NULL;
    v = (struct label *)(void *)block;
    p = block + l.n * sizeof *v;
    for (uint32_t i = 0; i < l.n; i++) {
        size_t n = strlen(l.v[i].name) + 1, k = strlen(l.v[i].value) + 1;

        memcpy(p, l.v[i].name, n);
        memcpy(p + n, l.v[i].value, k);
        v[i] = (struct label){p, p + n};
        p += n + k;
    }
    for (size_t i = 0; i < n_texts; i++) {
        size_t n = strlen(texts[i] ? texts[i] : "") + 1;

        memcpy(p, texts[i] ? texts[i] : "", n);
        out_texts[i] = p;
        p += n;
    }
    *out = (struct labels){v, l.n};
    *size = total;
    return block;
}

/* Makes room for one more in an array of pointers or structs. */
static void *more(struct mem *m, void *p, uint32_t n, uint32_t *room, size_t size)
{
    uint32_t fresh = *room ? *room * 2 : 2;
    void *q;

    if (n < *room)
        return p;
    q = mem_resize(m, p, *room * size, fresh * size);
    if (q)
        *room = fresh;
    return q;
}

/* ---- alerts ---- */

struct known *known_get(const struct notify *n, const struct fingerprint *id)
{
    return map_get(&n->alerts, id->b, sizeof id->b);
}

static bool set_texts(struct notify *n, struct known *k, const struct alert_notice *a)
{
    const char *texts[] = {a->rule, a->summary, a->description, a->runbook}, *kept[4];
    struct labels l;
    size_t size;
    char *block = pack_labels_block(n->mem, a->labels, texts, 4, &size, &l, kept);

    if (!block)
        return false;
    mem_free(n->mem, k->block, k->block_size);
    k->block = block;
    k->block_size = size;
    k->labels = l;
    k->rule = kept[0];
    k->summary = kept[1];
    k->description = kept[2];
    k->runbook = kept[3];
    return true;
}

struct known *known_put(struct notify *n, const struct alert_notice *a)
{
    struct known *k = known_get(n, &a->id);

    if (k)
        return set_texts(n, k, a) ? k : NULL;
    if (n->alerts.count >= ALERTS_MOST || !(k = mem_alloc(n->mem, sizeof *k)))
        return NULL;
    k->id = a->id;
    fingerprint_text(&k->id, k->hex);
    if (set_texts(n, k, a) && map_put(&n->alerts, k->id.b, sizeof k->id.b, k) == 0)
        return k;
    mem_free(n->mem, k->block, k->block_size);
    mem_free(n->mem, k, sizeof *k);
    return NULL;
}

/* The lists of what is to be written may still hold it: the caller has written them. */
void known_drop(struct notify *n, struct known *k)
{
    while (k->n_groups)
        bunch_remove(k->groups[0], k);
    (void)map_del(&n->alerts, k->id.b, sizeof k->id.b);
    mem_free(n->mem, k->block, k->block_size);
    mem_free(n->mem, k->told, k->room_told * sizeof *k->told);
    mem_free(n->mem, k->groups, k->room_groups * sizeof(struct group *));
    mem_free(n->mem, k, sizeof *k);
}

struct told *told_get(const struct known *k, const struct line *l)
{
    for (uint32_t i = 0; i < k->n_told; i++) {
        if (k->told[i].line == l)
            return &k->told[i];
    }
    return NULL;
}

struct told *told_put(struct notify *n, struct known *k, struct line *l)
{
    struct told *t = told_get(k, l);

    if (t)
        return t;
    t = more(n->mem, k->told, k->n_told, &k->room_told, sizeof *t);
    if (!t) {
        n->no_memory++;
        return NULL;
    }
    k->told = t;
    t = &k->told[k->n_told++];
    *t = (struct told){.line = l};
    return t;
}

void told_drop(struct known *k, const struct line *l)
{
    struct told *t = told_get(k, l);

    if (t)
        *t = k->told[--k->n_told];
}

void unsaved_alert(struct notify *n, struct known *k)
{
    if (k->unsaved)
        return;
    k->unsaved = true;
    k->next_unsaved = n->unsaved_alerts;
    n->unsaved_alerts = k;
}

/* ---- groups ---- */

void unsaved_group(struct notify *n, struct group *g)
{
    if (g->unsaved)
        return;
    g->unsaved = true;
    g->next_unsaved = n->unsaved_groups;
    n->unsaved_groups = g;
}

/* The group of a route and labels; made when it is not there. Its key is the dedup key: the same from every
 * aggregator with the same routes, and over restarts. */
struct group *bunch_get(struct notify *n, const struct route *r, const char *route_name, struct labels l)
{
    struct fingerprint f = labels_fingerprint(route_name, l);
    const char *names[] = {route_name}, *kept[1];
    char key[33];
    struct group *g;

    fingerprint_text(&f, key);
    g = map_get(&n->group_map, key, 32);
    if (g) {
        g->route = r ? r : g->route;
        return g;
    }
    g = mem_alloc(n->mem, sizeof *g);
    if (!g)
        return NULL;
    memcpy(g->key, key, sizeof key);
    g->block = pack_labels_block(n->mem, l, names, 1, &g->block_size, &g->labels, kept);
    if (!g->block || map_put(&n->group_map, g->key, 32, g) != 0) {
        mem_free(n->mem, g->block, g->block_size);
        mem_free(n->mem, g, sizeof *g);
        return NULL;
    }
    g->route_name = kept[0];
    g->route = r;
    g->due.ns = NEVER_DUE;
    g->next = n->groups;
    n->groups = g;
    return g;
}

static bool in_group(const struct group *g, const struct known *k)
{
    for (uint32_t i = 0; i < k->n_groups; i++) {
        if (k->groups[i] == g)
            return true;
    }
    return false;
}

bool bunch_add(struct notify *n, struct group *g, struct known *k)
{
    struct known **m;
    struct group **gs;

    if (in_group(g, k))
        return true;
    m = more(n->mem, g->members, g->n_members, &g->room_members, sizeof(struct known *));
    if (!m)
        return false;
    g->members = m;
    gs = more(n->mem, k->groups, k->n_groups, &k->room_groups, sizeof(struct group *));
    if (!gs)
        return false;
    k->groups = gs;
    g->members[g->n_members++] = k;
    k->groups[k->n_groups++] = g;
    return true;
}

void bunch_remove(struct group *g, struct known *k)
{
    for (uint32_t i = 0; i < g->n_members; i++) {
        if (g->members[i] == k)
            g->members[i--] = g->members[--g->n_members];
    }
    for (uint32_t i = 0; i < k->n_groups; i++) {
        if (k->groups[i] == g)
            k->groups[i--] = k->groups[--k->n_groups];
    }
    for (struct line *l = g->lines; l; l = l->next)
        told_drop(k, l);
}

void bunch_drop(struct notify *n, struct group *g)
{
    struct group **at = &n->groups;

    while (g->n_members)
        bunch_remove(g, g->members[0]);
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    (void)map_del(&n->group_map, g->key, 32);
    for (struct line *l = g->lines, *next; l; l = next) {
        next = l->next;
        if (l->delivery)
            (void)map_del(&n->deliveries, &l->delivery, sizeof l->delivery);
        mem_free(n->mem, l, sizeof *l);
    }
    mem_free(n->mem, g->members, g->room_members * sizeof(struct known *));
    mem_free(n->mem, g->block, g->block_size);
    mem_free(n->mem, g, sizeof *g);
}

struct line *line_get(struct notify *n, struct group *g, struct receiver *r)
{
    struct line **at = &g->lines;

    for (; *at; at = &(*at)->next) {
        if ((*at)->receiver == r)
            return *at;
    }
    *at = mem_alloc(n->mem, sizeof **at);
    if (*at)
        **at = (struct line){.group = g, .receiver = r};
    else
        n->no_memory++;
    return *at;
}

/* ---- receivers: what is known of them outlives a reload ---- */

struct receiver *receiver_get(struct notify *n, const char *name)
{
    struct receiver **at = &n->receivers, *r;

    for (; *at; at = &(*at)->next) {
        if (strcmp((*at)->name, name) == 0)
            return *at;
    }
    r = mem_alloc(n->mem, sizeof *r);
    if (!r)
        return NULL;
    r->name_size = strlen(name) + 1;
    r->name = mem_text(n->mem, name, r->name_size - 1);
    if (!r->name) {
        mem_free(n->mem, r, sizeof *r);
        return NULL;
    }
    r->digest.receiver = r;
    *at = r;
    return r;
}

void tables_free(struct notify *n)
{
    struct known *k;
    size_t i = 0;

    while (n->groups)
        bunch_drop(n, n->groups);
    for (; (k = map_next(&n->alerts, &i)); i = 0)
        known_drop(n, k);
    for (struct receiver *r = n->receivers, *next; r; r = next) {
        next = r->next;
        mem_free(n->mem, r->name, r->name_size);
        mem_free(n->mem, r, sizeof *r);
    }
    n->receivers = NULL;
    map_free(&n->alerts);
    map_free(&n->group_map);
    map_free(&n->deliveries);
}
