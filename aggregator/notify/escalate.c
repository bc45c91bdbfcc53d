/* Who of a group is to be told now: the route's receivers, the fallbacks of those that can't be told, and the steps of
 * its escalation, which go on until somebody acknowledges. */
#include "aggregator/notify/notify_private.h"

/* The receiver of a target at this moment; NULL: nobody is on call, or there is no memory. */
static struct receiver *resolve(struct notify *n, const struct target *t)
{
    int32_t i = target_receiver(n, t, n->now);

    return i < 0 ? NULL : receiver_get(n, n->plan->receivers[i].name);
}

static struct line *activate(struct notify *n, struct group *g, struct receiver *r, bool fallback)
{
    struct line *l = r ? line_get(n, g, r) : NULL;

    if (l && !l->active) {
        l->active = true;
        l->fallback = fallback;
    }
    return l;
}

static struct receiver *fallback_of(struct notify *n, const struct group *g)
{
    int32_t i = g->route->fallback >= 0 ? g->route->fallback : n->plan->fallback;

    return i < 0 ? NULL : receiver_get(n, n->plan->receivers[i].name);
}

/* About failing receivers: told by those that don't. */
static bool about_receivers(const struct group *g)
{
    return g->n_members && g->members[0]->internal;
}

static void rescue(struct notify *n, struct group *g)
{
    struct line *l;

    for (l = g->lines; l; l = l->next) {
        if (l->active && !(about_receivers(g) && l->receiver->reported))
            return;
    }
    for (uint32_t i = 0; i < n->plan->n_receivers; i++) {
        struct receiver *r = receiver_get(n, n->plan->receivers[i].name);

        if (r && !r->reported && !receiver_troubled(n, r)) {
            (void)activate(n, g, r, true);
            return;
        }
    }
}

static const struct escalation *escalation_of(const struct notify *n, const struct group *g)
{
    return g->route && g->route->escalation >= 0 ? &n->plan->escalations[g->route->escalation] : NULL;
}

void bunch_targets(struct notify *n, struct group *g)
{
    const struct escalation *e = escalation_of(n, g);
    bool gap = false;

    for (struct line *l = g->lines; l; l = l->next)
        l->active = l->fallback = false;
    if (!g->route)
        return;
    for (uint32_t i = 0; i < g->route->n_targets; i++) {
        if (!activate(n, g, resolve(n, &g->route->targets[i]), false))
            gap = true;
    }
    for (uint32_t i = 0; e && i < (g->round ? e->n_steps : g->step); i++)
        gap = !activate(n, g, resolve(n, &e->steps[i].target), false) || gap;
    for (struct line *l = g->lines; l; l = l->next)
        gap = gap || (l->active && (receiver_troubled(n, l->receiver) || l->gave_up));
    if (gap)
        (void)activate(n, g, fallback_of(n, g), true);
    if (about_receivers(g)) {
        rescue(n, g);
        for (struct line *l = g->lines; l; l = l->next)
            l->active = l->active && !l->receiver->reported;
    }
}

/* Somebody was told and nobody has said yet that they see to it. */
static bool unanswered(struct notify *n, const struct group *g)
{
    const char *what;

    for (uint32_t i = 0; i < g->n_members; i++) {
        const struct known *k = g->members[i];
        bool told = false;

        if (!k->firing || known_acked(k) || gate(n, g, k, &what) != BLOCK_NONE)
            continue;
        for (uint32_t j = 0; j < k->n_told; j++)
            told = told || (k->told[j].line->group == g && k->told[j].epoch == k->epoch &&
                            k->told[j].state != TOLD_NOT && k->told[j].state != TOLD_PEER);
        if (told)
            return true;
    }
    return false;
}

static void take_step(struct notify *n, struct group *g, const struct escalation *e)
{
    const struct escalation_step *s = &e->steps[g->step];
    struct receiver *r = resolve(n, &s->target);
    struct line *l = activate(n, g, r ? r : fallback_of(n, g), false);

    if (l)
        l->forced = true;
    for (uint32_t i = 0; i < g->n_members; i++) {
        if (g->members[i]->firing && !known_acked(g->members[i]))
            story(n, g->members[i], "escalation", "%s, step %u%s: %s", e->name, g->step + 1,
                  g->round ? " again" : "", l ? l->receiver->name : "nobody is on call");
    }
    n->escalated++;
    if (++g->step == e->n_steps && g->round + 1 < e->rounds) {
        g->step = 0;
        g->round++;
    }
    unsaved_group(n, g);
}

static struct mono step_time(const struct group *g, const struct escalation *e)
{
    struct span turn = span_ns(e->steps[e->n_steps - 1].after.ns + e->pause.ns);

    return mono_add(g->escalating, span_ns(e->steps[g->step].after.ns + (int64_t)g->round * turn.ns));
}

/* Times count from when somebody was first told of what is unanswered now. */
void escalate_step(struct notify *n, struct group *g)
{
    const struct escalation *e = escalation_of(n, g);

    if (!e)
        return;
    if (mono_before(n->now_mono, g->escalate_due)) {
        n->next_due = mono_min(n->next_due, g->escalate_due);
        return;
    }
    g->escalate_due = mono_add(n->now_mono, span_s(5));
    if (!unanswered(n, g)) {
        if (g->escalating.ns) {
            g->escalating.ns = 0;
            g->step = g->round = 0;
            unsaved_group(n, g);
        }
        return;
    }
    if (!g->escalating.ns) {
        g->escalating = n->now_mono;
        g->escalating_at = n->now;
        g->step = g->round = 0;
        unsaved_group(n, g);
    }
    while (g->step < e->n_steps && !mono_before(n->now_mono, step_time(g, e)))
        take_step(n, g, e);
    if (g->step < e->n_steps)
        g->escalate_due = mono_min(g->escalate_due, step_time(g, e));
    n->next_due = mono_min(n->next_due, g->escalate_due);
}
