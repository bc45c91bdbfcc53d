/* What the public listener answers from: which services have left their home, as committed. It may be asked from any thread,
 * outlives a restart, and never goes back to an older epoch: an aggregator that is cut off and comes back with an old record
 * sends nobody back to a dead region. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct public_answer *find(struct decide *d, const char *service)
{
    struct public_answer *a = d->public;

    while (a && strcmp(a->service, service) != 0)
        a = a->next;
    return a;
}

static struct public_answer *make(struct decide *d, const char *service)
{
    struct public_answer *a = find(d, service);

    if (a)
        return a;
    a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    (void)snprintf(a->service, sizeof a->service, "%s", service);
    a->next = d->public;
    d->public = a;
    return a;
}

static int restore(void *arg, struct bytes key, struct bytes value)
{
    struct decide *d = arg;
    char service[FO_NAME], text[64];
    struct public_answer *a;
    unsigned long epoch;
    char *end;

    (void)snprintf(service, sizeof service, "%.*s", (int)(key.n < FO_NAME ? key.n : 0), (const char *)key.p);
    (void)snprintf(text, sizeof text, "%.*s", (int)(value.n < sizeof text ? value.n : 0),
                   (const char *)value.p);
    epoch = strtoul(text, &end, 10);
    if (end == text || (strcmp(end, " off") != 0 && strcmp(end, " on") != 0) || !(a = make(d, service)))
        return 0; /* damaged: answered when the record was read */
    a->epoch = (uint32_t)epoch;
    a->off = strcmp(end, " off") == 0;
    a->known = true;
    return 0;
}

int moves_public_load(struct moves *all, struct err *e)
{
    for (const struct move *m = all->first; m; m = m->next) {
        if (m->set.public && !make(all->d, move_service(m)))
            return err_set(e, ERR_NOMEM, "no memory");
    }
    return control_load(all->d->control, "public", restore, all->d, e);
}

static void keep(struct move *m, const struct public_answer *a)
{
    struct batch *b = batch_new(m->all->d);
    char text[64];

    if (!b)
        return;
    (void)snprintf(text, sizeof text, "%u %s", a->epoch, a->off ? "off" : "on");
    orders_record(&b->orders, "public", bytes_of(a->service), bytes_of(text));
    batch_give(b);
}

/* Of one epoch: a plan sends users to its target once, and nobody back. The record of before that, read again from a store
 * that was restored, is an older one. */
static bool older(const struct fo_record *r, const struct public_answer *a)
{
    const struct fo_plan *p = &r->plan;

    return p->epoch == r->epoch && r->active == p->from && a->off == (p->to != 0);
}

void move_public_note(struct move *m)
{
    struct decide *d = m->all->d;
    const struct fo_record *r = &m->fo.record;
    bool off = r->active != 0, changed = false;
    struct public_answer now, *a;

    if (!m->set.public || !m->fo.known)
        return;
    (void)pthread_mutex_lock(&d->public_lock);
    a = make(d, move_service(m));
    if (a && (!a->known || r->epoch > a->epoch || (r->epoch == a->epoch && off != a->off && !older(r, a)))) {
        a->epoch = r->epoch;
        a->off = off;
        a->known = changed = true;
        now = *a;
    }
    (void)pthread_mutex_unlock(&d->public_lock);
    if (changed)
        keep(m, &now);
}

int decide_primary_off(struct decide *d, const char *service)
{
    const struct public_answer *a;
    int off;

    (void)pthread_mutex_lock(&d->public_lock);
    a = find(d, service);
    off = a ? a->known && a->off : -1;
    (void)pthread_mutex_unlock(&d->public_lock);
    return off;
}

void decide_public_free(struct decide *d)
{
    while (d->public) {
        struct public_answer *a = d->public;

        d->public = a->next;
        free(a);
    }
}
