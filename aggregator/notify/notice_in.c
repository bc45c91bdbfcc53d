/* Takes what the rules say of an alert: a firing begins, goes on, ends. A firing is known by its epoch, so that one
 * that follows an end is new however short the time between was. */
#include "aggregator/notify/notify_private.h"

static bool others_fire(const struct group *g, const struct known *k)
{
    for (uint32_t i = 0; i < g->n_members; i++) {
        if (g->members[i] != k && g->members[i]->firing)
            return true;
    }
    return false;
}

static void touch_all(struct notify *n, struct known *k, bool fires)
{
    for (uint32_t i = 0; i < k->n_groups; i++)
        bunch_touch(n, k->groups[i], fires && !others_fire(k->groups[i], k));
}

static void take_firing(struct notify *n, struct known *k, const struct alert_notice *a)
{
    uint64_t epoch = a->epoch ? a->epoch : (uint64_t)a->t.ms;
    bool fresh = !k->firing || k->epoch != epoch, shift = k->suppressed != a->suppressed;

    k->firing = true;
    k->epoch = epoch;
    k->suppressed = a->suppressed;
    k->since = a->since.ms ? a->since : a->t;
    k->ended.ms = 0;
    if (!fresh && !shift)
        return;
    k->changed = n->now_mono;
    gate_mark(n, k);
    if (!route_place(n, k))
        n->unrouted++;
    touch_all(n, k, fresh);
}

static void take_end(struct notify *n, struct known *k, const struct alert_notice *a)
{
    bool told = false;

    if (!k->firing)
        return;
    k->firing = false;
    k->ended = a->t;
    k->changed = n->now_mono;
    n->version++;
    for (uint32_t i = 0; i < k->n_told; i++)
        told = told || (k->told[i].epoch == k->epoch && k->told[i].state != TOLD_NOT);
    if (!told) {
        n->untold_ends++;
        story(n, k, "notification", "ended before this firing was told");
    }
    touch_all(n, k, false);
}

void notice_take(struct notify *n, const struct alert_notice *a, bool internal)
{
    bool fires = a->to == ALERT_FIRING || a->to == ALERT_CLEARING;
    struct known *k = known_get(n, &a->id);

    n->notices++;
    if (!k && !fires)
        return;
    if (fires && !(k = known_put(n, a))) {
        n->no_memory++;
        return;
    }
    for (uint32_t i = 0; !k->confirmed && i < k->n_groups; i++)
        k->groups[i]->due = n->next_due = n->now_mono; /* it may have waited for this word */
    k->confirmed = true;
    k->internal = internal;
    if (fires) {
        k->severity = a->severity;
        k->value = a->value;
        k->threshold = a->threshold;
        take_firing(n, k, a);
    } else {
        take_end(n, k, a);
    }
    unsaved_alert(n, k);
}

/* ---- what goes again ---- */

static bool open_end(const struct known *k)
{
    for (uint32_t i = 0; i < k->n_told; i++) {
        const struct told *t = &k->told[i];

        if (t->flight != FLIGHT_NONE || t->by_digest || t->state == TOLD_YES || t->state == TOLD_MAYBE ||
            t->state == TOLD_PEER || t->line->state == LINE_FLIGHT)
            return true;
    }
    return false;
}

/* Ended and told so. A day long the other aggregator may ask; when there are many, less. */
static bool over(const struct notify *n, const struct known *k)
{
    struct span keep = n->alerts.count > 50000   ? span_s(60)
                       : n->alerts.count > 10000 ? span_s(3600)
                                                 : span_s(86400);

    return !k->firing && !k->unsaved && mono_sub(n->now_mono, k->changed).ns > keep.ns && !open_end(k);
}

void notices_prune(struct notify *n)
{
    struct known *k, *drop[256];
    size_t count = 0;

    for (size_t i = 0; (k = map_next(&n->alerts, &i));) {
        if (k->firing && !k->confirmed && mono_sub(n->now_mono, n->start).ns > span_s(900).ns) {
            story(n, k, "notification", "its rule has not spoken of it since the start: taken as ended");
            n->forgotten++;
            take_end(n, k, &(struct alert_notice){.t = n->now});
            unsaved_alert(n, k);
        }
        if (count < sizeof drop / sizeof *drop && over(n, k))
            drop[count++] = k;
    }
    for (size_t i = 0; i < count; i++) {
        record_gone(n, "alert", drop[i]->hex);
        known_drop(n, drop[i]);
    }
    for (struct group *g = n->groups, *next; g; g = next) {
        bool busy = g->unsaved || g->n_members;

        next = g->next;
        for (const struct line *l = g->lines; l; l = l->next)
            busy = busy || l->state != LINE_IDLE;
        if (busy)
            continue;
        record_gone(n, "group", g->key);
        bunch_drop(n, g);
    }
}
