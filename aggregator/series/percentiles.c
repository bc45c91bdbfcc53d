/* The [percentile NAME] sections as a whole, and which series belong to them. */
#include <string.h>

#include "aggregator/series/percentile.h"

struct percentile *percentile_find(const struct series_set *s, const char *name)
{
    for (uint32_t i = 0; i < s->n_percentiles; i++) {
        if (strcmp(s->percentiles[i]->def->name, name) == 0)
            return s->percentiles[i];
    }
    return NULL;
}

/* ---- members ---- */

static bool belongs(const struct percentile_def *d, const struct series *x)
{
    if (strcmp(d->metric, x->metric->name->text) != 0)
        return false;
    for (uint32_t i = 0; i < d->n_match; i++) {
        if (strcmp(desc_label(&x->set->desc, d->match[i].name), d->match[i].value) != 0)
            return false;
    }
    return true;
}

int members_make(struct series_set *s, struct series *x)
{
    for (uint32_t i = 0; i < s->n_percentiles; i++) {
        struct percentile *p = s->percentiles[i];
        struct member *m;

        if (!belongs(p->def, x))
            continue;
        m = mem_alloc(s->mem, sizeof *m);
        if (!m) {
            members_drop(s, x);
            return ERR_NOMEM;
        }
        m->percentile = p;
        m->next = x->members;
        x->members = m;
        if (!p->help)
            p->help = atom_keep(x->metric->help);
    }
    return 0;
}

void members_drop(struct series_set *s, struct series *x)
{
    struct member *m;

    while ((m = x->members)) {
        x->members = m->next;
        if (m->group)
            m->group->refs--;
        if (m->host)
            m->host->refs--;
        mem_free(s->mem, m, sizeof *m);
    }
}

void members_kind(struct series *x, enum metric_kind kind)
{
    enum percentile_mode mode = kind == METRIC_SKETCH    ? MODE_SKETCHES
                                : kind == METRIC_COUNTER ? MODE_REFUSED
                                                         : MODE_GAUGES;

    for (struct member *m = x->members; m; m = m->next) {
        if (m->percentile->mode == mode)
            continue;
        m->percentile->mode = mode;
        m->percentile->state |= DIRTY;
    }
}

static struct group *member_group(struct series_set *s, const struct series *x, struct member *m)
{
    const struct percentile_def *d = m->percentile->def;
    struct atom *values[BY_MAX] = {NULL};
    uint32_t n = 0;
    bool full = false;

    if (m->group)
        return m->group;
    for (; n < d->n_by; n++) {
        const char *v = desc_label(&x->set->desc, d->by[n]);

        values[n] = atom_get(s, v, strlen(v));
        if (!values[n])
            break;
    }
    if (n == d->n_by)
        m->group = group_get(s, m->percentile, values, &full);
    while (n)
        atom_drop(s, values[--n]);
    if (m->group)
        m->group->refs++;
    else
        s->lost[full ? LOSS_GROUPS : LOSS_MEMORY]++;
    return m->group;
}

void members_feed_gauge(struct series_set *s, struct series *x, int64_t t, double v)
{
    for (struct member *m = x->members; m; m = m->next) {
        struct group *g = member_group(s, x, m);

        if (!g)
            continue;
        if (!m->host) {
            m->host = host_get(s, g, x->agent->id);
            if (m->host)
                m->host->refs++;
        }
        if (m->host)
            host_add(s, m->percentile->def, m->host, t, v);
        else
            s->lost[LOSS_MEMORY]++;
    }
}

void members_feed_sketch(struct series_set *s, struct series *x, int64_t t, struct bytes sketch)
{
    bool decoded = false;

    for (struct member *m = x->members; m; m = m->next) {
        struct group *g = member_group(s, x, m);
        struct sketches *to = g ? sketches_get(s, g) : NULL;
        size_t used;

        if (!g)
            continue;
        if (!decoded && (!to || sketch_decode(&s->scratch, sketch.p, sketch.n, &used, NULL) != 0)) {
            s->lost[LOSS_MEMORY]++;
            continue;
        }
        decoded = true;
        if (to)
            sketches_add(s, m->percentile->def, to, t, &s->scratch);
    }
}

/* ---- sections ---- */

static void def_drop(struct series_set *s, struct percentile_def *d)
{
    retire(s, &d->retired, sizeof *d, &d->arena);
}

/* forget: its records are to be deleted. */
static void percentile_free(struct series_set *s, struct percentile *p, bool forget)
{
    if (!p)
        return;
    while (p->n) {
        if (forget)
            group_bury(s, p->groups[p->n - 1]);
        group_free(s, p->groups[p->n - 1]);
    }
    if (forget)
        bury(s, key_mode(s, p), p->state);
    mem_free(s->mem, p->groups, p->room * sizeof(struct group *));
    atom_drop(s, p->help);
    def_drop(s, p->def);
    mem_free(s->mem, p, sizeof *p);
}

static void list_free(struct series_set *s, struct percentile **list, uint32_t n, bool forget)
{
    for (uint32_t i = 0; i < n; i++)
        percentile_free(s, list[i], forget);
    mem_free(s->mem, list, n * sizeof *list);
}

void percentiles_free(struct series_set *s)
{
    struct dead_key *k;

    list_free(s, s->percentiles, s->n_percentiles, false);
    s->percentiles = NULL;
    s->n_percentiles = 0;
    while ((k = s->dead)) {
        s->dead = k->next;
        mem_free(s->mem, k, sizeof *k + k->n);
    }
    s->n_dead = 0;
}

/* Sections that say the same as before take over what was gathered: into list[], the old ones into old[]. */
static void take_over(struct series_set *s, struct percentile **list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < s->n_percentiles; k++) {
            struct percentile *had = s->percentiles[k], *fresh = list[i];

            if (strcmp(had->def->name, fresh->def->name) || had->def->fingerprint != fresh->def->fingerprint)
                continue;
            s->percentiles[k] = fresh;
            list[i] = had;
            break;
        }
    }
}

int percentiles_load(struct series_set *s, const struct config *config, struct buf *report, struct err *e)
{
    struct percentile **list = NULL;
    const struct section *c;
    uint32_t n = 0, count = 0;
    struct series *x;
    bool bad = false;
    size_t at = 0;

    while (config_named(config, "percentile", n))
        n++;
    if (n) {
        list = mem_array(s->mem, n, sizeof *list);
        if (!list)
            return err_set(e, ERR_NOMEM, "no memory for the percentiles");
    }
    for (; (c = config_named(config, "percentile", count)) && count < n; count++) {
        struct percentile_def *d = percentile_define(s, c, report, e);

        list[count] = d ? mem_alloc(s->mem, sizeof **list) : NULL;
        bad |= !list[count];
        if (list[count])
            list[count]->def = d;
        else if (d)
            def_drop(s, d);
    }
    if (bad) {
        list_free(s, list, n, false);
        return e && e->code ? e->code : err_set(e, ERR_NOMEM, "no memory for the percentiles");
    }
    while ((x = map_next(&s->series_map, &at)))
        members_drop(s, x);
    take_over(s, list, n);
    list_free(s, s->percentiles, s->n_percentiles, true);
    s->percentiles = list;
    s->n_percentiles = n;
    for (at = 0; (x = map_next(&s->series_map, &at));)
        s->lost[LOSS_MEMORY] += members_make(s, x) != 0;
    return 0;
}

void percentiles_advance(struct series_set *s, int64_t now)
{
    for (uint32_t i = 0; i < s->n_percentiles; i++) {
        struct percentile *p = s->percentiles[i];

        for (uint32_t k = p->n; k-- > 0;) {
            struct group *g = p->groups[k];

            if (g->sketches)
                sketches_advance(s, p->def, g->sketches, now);
            hosts_advance(s, g, now);
            if (group_idle(g))
                group_free(s, g);
        }
    }
}
