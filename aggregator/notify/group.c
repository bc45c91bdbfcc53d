/* When a group is looked at, and what each of its lines needs then.
 *
 * The first alert of a group waits `wait` for others; changes of a group are told at most each `interval`; what still
 * fires is told again each `repeat`. A line needs: the firings that it was not told (by epoch, so that a firing after
 * an end is always told), and the ends of those that it was or may have been told. What is stopped or waits for the
 * other aggregator is looked at again soon. */
#include "aggregator/notify/notify_private.h"

#define AGAIN span_s(5) /* what is stopped is looked at again */

bool known_acked(const struct known *k)
{
    return k->ack.epoch && k->ack.epoch == k->epoch;
}

bool told_current(const struct told *t, const struct known *k)
{
    return t->epoch == k->epoch && (t->state == TOLD_YES || t->state == TOLD_DIGEST ||
                                    t->state == TOLD_PEER || t->state == TOLD_GIVEN_UP);
}

/* What this line still has to say of an alert that fires and is free to be told. */
static void need_firing(struct notify *n, struct line *l, struct known *k, struct need *out)
{
    struct told *t = told_get(k, l);
    out->firing++;
    out->unacknowledged += !known_acked(k);
    if (!l->active || known_acked(k) || (t && (told_current(t, k) || t->by_digest)))
        return;
    if (!t && !(t = told_put(n, k, l)))
        return;
    if (t->waits != k->epoch) {
        t->waits = k->epoch;
        t->ready = n->now_mono;
    }
    switch (speaker_of(n, l, k, t, &out->next)) {
    case SPEAK_WE: out->fresh++; break;
    case SPEAK_WAIT: break;
    case SPEAK_DONE:
        t->state = TOLD_PEER;
        t->epoch = k->epoch;
        l->told = n->now_mono; /* repeats count from here, should they become ours */
        n->by_peer++;
        unsaved_alert(n, k);
        story(n, k, "notification", "told to %s by the other aggregator", l->receiver->name);
        break;
    }
}

static void need_over(struct notify *n, struct line *l, struct known *k, struct need *out)
{
    struct told *t = told_get(k, l);

    if (!t || t->by_digest || (t->state != TOLD_YES && t->state != TOLD_MAYBE && t->state != TOLD_PEER))
        return;
    switch (speaker_of_end(n, l, k, t, &out->next)) {
    case SPEAK_WE: out->over++; break;
    case SPEAK_WAIT: break;
    case SPEAK_DONE:
        t->state = TOLD_OVER;
        unsaved_alert(n, k);
        break;
    }
}

/* What fires and was told is told again after `repeat` until it is acknowledged; to a receiver that forgets, always. */
static void need_again(struct notify *n, const struct group *g, const struct line *l, struct need *out)
{
    struct span refresh = l->receiver->plan ? l->receiver->plan->refresh : span_s(0);
    struct mono due = mono_add(l->told, g->route->repeat), fresh = mono_add(l->told, refresh);

    if (refresh.ns) {
        out->repeat = !mono_before(n->now_mono, fresh);
        out->next = mono_min(out->next, out->repeat ? mono_add(n->now_mono, AGAIN) : fresh);
    }
    if (out->repeat || !out->unacknowledged)
        return;
    if (l->forced || !mono_before(n->now_mono, due))
        out->repeat = speaker_repeats(n, l);
    if (!out->repeat)
        out->next = mono_min(out->next, mono_before(n->now_mono, due) ? due : mono_add(n->now_mono, AGAIN));
}

struct need line_need(struct notify *n, struct group *g, struct line *l)
{
    struct need out = {.next = {NEVER_DUE}};
    bool known = false;
    const char *what;

    for (uint32_t i = 0; i < g->n_members; i++) {
        struct known *k = g->members[i];
        struct told *t;

        if (!k->firing) {
            need_over(n, l, k, &out);
            continue;
        }
        if (gate(n, g, k, &what) != BLOCK_NONE) {
            out.next = mono_min(out.next, mono_add(n->now_mono, AGAIN));
            continue;
        }
        need_firing(n, l, k, &out);
        t = told_get(k, l);
        known = known || (t && t->epoch == k->epoch && t->state != TOLD_NOT);
    }
    if (l->active && known && g->route)
        need_again(n, g, l, &out);
    out.ack = l->ack_due && known && l->told.ns;
    return out;
}

/* Something about this group has changed; `first`: nothing of it was firing. */
void bunch_touch(struct notify *n, struct group *g, bool first)
{
    struct span wait = g->route ? g->route->wait : span_s(10);
    struct span interval = g->route ? g->route->interval : span_s(300);
    struct mono start = n->now_mono, least = {0};

    /* what flaps faster than `wait` waits once, not each time */
    if (first && (!g->woke.ns || mono_before(g->woke, g->flushed) ||
                  mono_sub(n->now_mono, g->woke).ns > interval.ns + wait.ns))
        g->woke = n->now_mono;
    if (first)
        start = mono_add(g->woke, wait);
    if (mono_before(start, n->now_mono))
        start = n->now_mono;
    if (g->flushed.ns && g->route)
        least = mono_add(g->flushed, g->route->interval);
    if (mono_before(start, least))
        start = least;
    if (mono_before(g->start, start)) {
        g->start = start;
        unsaved_group(n, g);
    }
    g->due = mono_min(g->due, mono_before(g->start, n->now_mono) ? n->now_mono : g->start);
    n->next_due = mono_min(n->next_due, g->due);
}

/* Nothing fires and nothing is to be told: the memory of it may go after a day (the other aggregator may ask). */
static bool group_idle(const struct notify *n, const struct group *g)
{
    (void)n;
    for (const struct line *l = g->lines; l; l = l->next) {
        if (l->state != LINE_IDLE)
            return false;
    }
    for (uint32_t i = 0; i < g->n_members; i++) {
        const struct known *k = g->members[i];

        if (k->firing)
            return false;
        for (uint32_t j = 0; j < k->n_told; j++) {
            const struct told *t = &k->told[j];

            if (t->line->group == g &&
                (t->state == TOLD_YES || t->state == TOLD_MAYBE || t->state == TOLD_PEER))
                return false;
        }
    }
    return true;
}

static void flush(struct notify *n, struct group *g)
{
    struct mono next = {NEVER_DUE};
    bool news = false;

    if (mono_before(n->now_mono, g->start)) {
        g->due = g->start;
        return;
    }
    bunch_targets(n, g);
    for (struct line *l = g->lines; l; l = l->next) {
        struct need need;

        if (l->state != LINE_IDLE)
            continue;
        need = line_need(n, g, l);
        next = mono_min(next, need.next);
        if (!need.fresh && !need.over && !need.repeat && !need.ack)
            continue;
        line_order(n, l, &need);
        news = news || (l->state != LINE_IDLE && (need.fresh || need.over));
    }
    if (news) {
        g->flushed = n->now_mono;
        unsaved_group(n, g);
    }
    g->due = next;
    if (!g->n_members || group_idle(n, g)) {
        if (!g->idle.ms)
            g->idle = n->now;
    } else {
        g->idle.ms = 0;
    }
}

/* When a receiver that forgets is to be told again what fires. */
static struct mono refresh_due(const struct line *l)
{
    if (!l->receiver->plan || !l->receiver->plan->refresh.ns || !l->told.ns || !l->active ||
        l->group->idle.ms)
        return (struct mono){NEVER_DUE};
    return mono_add(l->told, l->receiver->plan->refresh);
}

/* What does not wait for the group's time: retries, acknowledgements, steps of an escalation, refreshing. */
static void line_step(struct notify *n, struct group *g, struct line *l)
{
    bool again = l->state == LINE_IDLE && !n->hold && !mono_before(n->now_mono, refresh_due(l));
    struct need need;

    if (l->state == LINE_FLIGHT && !mono_before(n->now_mono, l->deadline)) {
        struct told_result lost = {.outcome = OUTCOME_RETRY, .text = "no answer came back in time"};

        delivery_ended(n, l->delivery, &lost);
    }
    if (l->state == LINE_WAIT && !mono_before(n->now_mono, l->retry) && l->receiver->flights < FLIGHTS_MOST) {
        need = line_need(n, g, l);
        line_order(n, l, &need);
    } else if (again || (l->state == LINE_IDLE && l->active && (l->forced || l->ack_due) && !n->hold)) {
        need = line_need(n, g, l);
        line_order(n, l, &need);
    }
    if (again && l->state == LINE_IDLE)
        l->told = n->now_mono; /* nothing fires that could be told again */
    if (l->state == LINE_IDLE && !n->hold)
        n->next_due = mono_min(n->next_due, refresh_due(l));
    if (l->state == LINE_WAIT)
        n->next_due = mono_min(n->next_due, l->retry);
    if (l->state == LINE_FLIGHT)
        n->next_due = mono_min(n->next_due, l->deadline);
}

/* Retries of what was ordered go on while decisions are held. */
void bunches_step(struct notify *n)
{
    n->next_due.ns = NEVER_DUE;
    for (struct group *g = n->groups; g; g = g->next) {
        if (!n->hold) {
            if (!mono_before(n->now_mono, g->due))
                flush(n, g);
            escalate_step(n, g);
            n->next_due = mono_min(n->next_due, g->due);
        }
        for (struct line *l = g->lines; l; l = l->next)
            line_step(n, g, l);
    }
    if (n->hold)
        n->next_due = mono_min(n->next_due, mono_add(n->now_mono, span_s(1)));
}
