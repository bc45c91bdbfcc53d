/* Objectives as a whole: made, reloaded, stepped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/slo/slo_private.h"

static void slo_free(struct slo **sp, struct mem *mem)
{
    struct slo *s = *sp;

    if (!s)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        slo_group_free(&s->groups[i], mem);
    mem_free(mem, s->groups, s->room * sizeof *s->groups);
    slo_def_free(&s->def, mem);
    mem_free(mem, s, sizeof *s);
    *sp = NULL;
}

static void list_free(struct slo **list, uint32_t n, uint32_t room, struct mem *mem)
{
    for (uint32_t i = 0; list && i < n; i++)
        slo_free(&list[i], mem);
    mem_free(mem, list, room * sizeof *list);
}

/* ---- selections: a definition's numbers in the list that is in force ---- */

static int number(const struct selections *in, const char *text, uint32_t *at)
{
    for (uint32_t i = 0; i < selections_count(in); i++) {
        if (!strcmp(selections_at(in, i)->text, text)) {
            *at = i;
            return 0;
        }
    }
    return ERR_NOTFOUND;
}

/* The canonical text is the selections' own affair: a list of two tells it. */
static int slo_number(struct slo_def *d, const struct selections *in, struct mem *mem, struct err *e)
{
    struct selections *own = selections_new(mem);
    uint32_t part = 0, all = 0;
    int rc = own ? slo_def_selections(d, own, &part, &all, e)
                 : err_set(e, ERR_NOMEM, "no memory for the objectives");

    if (!rc)
        rc = number(in, selections_at(own, all)->text, &d->whole.at);
    if (!rc && d->source == SOURCE_COUNTERS)
        rc = number(in, selections_at(own, part)->text, &d->part.at);
    if (rc == ERR_NOTFOUND)
        err_set(e, rc, "[slo %s]: what it counts is not among the selections", d->name);
    selections_free(&own);
    return rc;
}

/* ---- from the configuration ---- */

static int by_name(const void *a, const void *b)
{
    const struct slo *const *x = a, *const *y = b;

    return strcmp((*x)->def->name, (*y)->def->name);
}

static struct slo *slo_new(const struct section *c, const struct slo_params *p, struct buf *report,
                           struct err *e)
{
    struct slo *s = mem_alloc(p->mem, sizeof *s);

    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for the objectives");
        return NULL;
    }
    s->bound = NAN;
    s->def = slo_define(c, &p->zones, p->mem, report, e);
    if (!s->def || slo_number(s->def, p->selections, p->mem, e) != 0)
        slo_free(&s, p->mem);
    return s;
}

static int load(const struct slo_params *p, struct slo ***list, uint32_t *n, struct buf *report,
                struct err *e)
{
    const struct section *c;
    uint32_t count = 0;
    int rc = 0;

    *list = NULL;
    for (*n = 0; config_named(p->config, "slo", *n);)
        ++*n;
    if (!*n)
        return 0;
    *list = mem_array(p->mem, *n, sizeof **list);
    if (!*list)
        return err_set(e, ERR_NOMEM, "no memory for the objectives");
    for (; (c = config_named(p->config, "slo", count)); count++) {
        (*list)[count] = slo_new(c, p, report, e);
        if (!(*list)[count])
            rc = e && e->code ? e->code : ERR_CONFIG;
    }
    if (rc) {
        list_free(*list, *n, *n, p->mem);
        *list = NULL;
        *n = 0;
        return rc;
    }
    qsort(*list, *n, sizeof **list, by_name);
    return 0;
}

struct slos *slos_new(const struct slo_params *p, struct buf *report, struct err *e)
{
    struct slos *s = mem_alloc(p->mem, sizeof *s);

    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for the objectives");
        return NULL;
    }
    *s = (struct slos){.mem = p->mem, .selections = p->selections};
    s->sweep = sweep_new(p->mem);
    s->region = mem_text(p->mem, p->region ? p->region : "", p->region ? strlen(p->region) : 0);
    if (!s->sweep || !s->region)
        err_set(e, ERR_NOMEM, "no memory for the objectives");
    if (!s->sweep || !s->region || load(p, &s->list, &s->n, report, e) != 0)
        slos_free(&s);
    return s;
}

void slos_free(struct slos **sp)
{
    struct slos *s = *sp;

    if (!s)
        return;
    list_free(s->list, s->n, s->n, s->mem);
    causes_free(s);
    mem_free(s->mem, s->burns, s->room_burns * sizeof *s->burns);
    if (s->sweep)
        sweep_free(&s->sweep, s->mem);
    if (s->region)
        mem_free(s->mem, s->region, strlen(s->region) + 1);
    mem_free(s->mem, s, sizeof *s);
    *sp = NULL;
}

struct slo *slos_find(const struct slos *s, const char *name)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (!strcmp(s->list[i]->def->name, name))
            return s->list[i];
    }
    return NULL;
}

/* ---- reload ---- */

/* What a group knew goes on under a new definition. Counted differently from now on: what was is left as it is. */
static void take_over(struct slos *all, struct slo *fresh, struct slo *old)
{
    bool same = fresh->def->counted == old->def->counted, by = fresh->def->n_by == old->def->n_by;

    for (uint32_t i = 0; by && i < fresh->def->n_by; i++)
        by = !strcmp(fresh->def->by[i], old->def->by[i]);
    if (!by)
        return;
    fresh->groups = old->groups;
    fresh->n = old->n;
    fresh->room = old->room;
    fresh->bound = same ? old->bound : NAN;
    old->groups = NULL;
    old->n = old->room = 0;
    for (uint32_t i = 0; i < fresh->n; i++) {
        struct slo_group *g = fresh->groups[i];

        g->slo = fresh;
        g->stale = g->dirty = true;
        g->swept = g->read_whole = 0;
        if (!same && g->head)
            g->frozen = g->head + 1;
        if (!same || fresh->def->judged != old->def->judged)
            g->fixed = g->closed;
        if (slo_group_keep(g, fresh->def->keep_days, all->mem) != 0)
            all->no_memory++;
    }
}

int slos_reload(struct slos *s, const struct slo_params *p, struct buf *report, struct err *e)
{
    struct slo **list;
    uint32_t n;
    int rc = load(p, &list, &n, report, e);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < n; i++) {
        struct slo *old = slos_find(s, list[i]->def->name);

        if (old)
            take_over(s, list[i], old);
    }
    list_free(s->list, s->n, s->n, s->mem);
    s->list = list;
    s->n = n;
    s->selections = p->selections;
    s->n_burns = 0;
    return 0;
}

/* ---- step ---- */

void slos_step(struct slos *s, const struct slo_input *in, const struct slo_effects *out)
{
    if (in->hold)
        return;
    if (!s->started)
        s->started = in->now.ms;
    slos_take(s, in->facts, in->now.ms);
    causes_take(s, in);
    slos_judge(s, out, in->now.ms);
    if (causes_record(s, out, in->now.ms) != 0)
        s->no_memory++;
    slos_weigh(s, in->now.ms);
}

const struct burn_fact *slos_burns(const struct slos *s, uint32_t *n)
{
    *n = s->n_burns;
    return s->burns;
}
