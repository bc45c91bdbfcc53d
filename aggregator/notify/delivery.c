/* Orders attempts and takes their outcomes, line by line.
 *
 * An attempt is recorded as "may have arrived" before it goes out, so that a restart in between sends the same
 * message again, with the same dedup key, and an end is told of whatever may have arrived. A retry waits a time drawn
 * at random below a bound that doubles ("full jitter": Brooker, "Exponential Backoff And Jitter", AWS 2015), and
 * never less than Retry-After. After three failures in a row a receiver is tried by one line at a time. */
#include "aggregator/notify/notify_private.h"

#include <stdio.h>
#include <string.h>

#define DEADLINE  span_s(120) /* the telling thread answers sooner */
#define BAD_AGAIN span_s(600) /* a receiver that refuses us is tried again */

enum { FAILURES_MANY = 3, MESSAGE_MEMORY = 64 << 20 };

bool receiver_troubled(const struct notify *n, const struct receiver *r)
{
    return r->bad || !r->plan ||
           (r->failing.ns && mono_sub(n->now_mono, r->failing).ns >= n->plan->fallback_after.ns);
}

/* ---- ordering ---- */

static bool push_order(struct notify *n, struct line *l)
{
    if (n->n_orders == n->room_orders) {
        uint32_t room = n->room_orders ? n->room_orders * 2 : 64;
        struct line **v = mem_resize(n->mem, n->orders, n->room_orders * sizeof(struct line *),
                                     room * sizeof(struct line *));

        if (!v)
            return false;
        n->orders = v;
        n->room_orders = room;
    }
    n->orders[n->n_orders++] = l;
    return true;
}

struct span retry_wait(struct notify *n, uint32_t failures)
{
    int64_t bound = n->plan->retry_least.ns;

    for (uint32_t i = 1; i < failures && bound < n->plan->retry_most.ns; i++)
        bound *= 2;
    if (bound > n->plan->retry_most.ns)
        bound = n->plan->retry_most.ns;
    return span_ns((int64_t)rng_below(&n->rng, (uint64_t)bound + 1));
}

/* The attempt goes out at the end of this step, unless its receiver has to be waited for. */
void line_launch(struct notify *n, struct line *l, enum tell tell)
{
    struct receiver *r = l->receiver;
    bool fresh = l->state == LINE_IDLE;

    l->tell = (uint8_t)tell;
    if (fresh) {
        l->attempt = 0;
        l->started = n->now_mono;
    }
    if (mono_before(n->now_mono, r->not_before) || r->flights >= FLIGHTS_MOST ||
        ((r->failures >= FAILURES_MANY || r->bad) && r->flights)) {
        l->state = LINE_WAIT;
        l->retry = mono_before(n->now_mono, r->not_before) ? r->not_before : mono_add(n->now_mono, span_s(1));
        return;
    }
    l->delivery = n->next_delivery + 1;
    if (map_put(&n->deliveries, &l->delivery, sizeof l->delivery, l) != 0 || !push_order(n, l)) {
        (void)map_del(&n->deliveries, &l->delivery, sizeof l->delivery);
        l->delivery = 0;
        n->no_memory++;
        l->state = LINE_WAIT;
        l->retry = mono_add(n->now_mono, span_s(1));
        return;
    }
    n->next_delivery++;
    l->state = LINE_FLIGHT;
    l->attempt++;
    l->deadline = mono_add(n->now_mono, DEADLINE);
    r->flights++;
}

/* What this message says of an alert is what its outcome will be about. */
static void mark(struct notify *n, struct line *l, struct known *k, bool trigger)
{
    struct told *t = told_get(k, l);
    const char *what;

    if (t)
        t->flight = FLIGHT_NONE;
    if (trigger && k->firing && l->active && gate(n, l->group, k, &what) == BLOCK_NONE) {
        if (!t && !(t = told_put(n, k, l)))
            return;
        t->flight = FLIGHT_TRIGGER;
        t->flight_epoch = k->epoch;
        if (t->epoch != k->epoch || t->state == TOLD_NOT || t->state == TOLD_OVER) {
            t->epoch = k->epoch;
            t->state = TOLD_MAYBE;
            unsaved_alert(n, k);
        }
    } else if (!k->firing && t && (t->state == TOLD_YES || t->state == TOLD_MAYBE || t->state == TOLD_PEER)) {
        t->flight = FLIGHT_RESOLVE;
        t->flight_epoch = t->epoch;
    }
}

/* The receiver can't be told of ends: they are over without. */
static void skip_ends(struct notify *n, struct line *l)
{
    for (uint32_t i = 0; i < l->group->n_members; i++) {
        struct known *k = l->group->members[i];
        struct told *t = k->firing ? NULL : told_get(k, l);

        if (t && t->state != TOLD_OVER) {
            t->state = TOLD_OVER;
            t->flight = FLIGHT_NONE;
            unsaved_alert(n, k);
        }
    }
    l->receiver->skipped++;
}

static bool any_told(const struct line *l)
{
    for (uint32_t i = 0; i < l->group->n_members; i++) {
        const struct known *k = l->group->members[i];
        const struct told *t = k->firing ? told_get(k, l) : NULL;

        if (t && (t->state == TOLD_YES || t->state == TOLD_MAYBE))
            return true;
    }
    return false;
}

void line_order(struct notify *n, struct line *l, const struct need *need)
{
    const struct receiver_plan *can = l->receiver->plan;
    bool trigger = need->fresh || need->repeat;
    enum tell tell = TELL_TRIGGER;

    if (!trigger && need->over && !(can && can->resolves)) {
        skip_ends(n, l);
        l->state = LINE_IDLE;
        return;
    }
    if (!trigger && !need->over) {
        if (!need->ack || !can || !can->acknowledges) {
            l->state = LINE_IDLE; /* what it waited for is no more to be said */
            l->ack_due = l->forced = false;
            return;
        }
        tell = TELL_ACKNOWLEDGE;
    } else if (!trigger && !any_told(l)) {
        tell = TELL_RESOLVE;
    } else {
        trigger = true;
    }
    if (trigger && need->fresh && storm_takes(n, l, need->fresh)) {
        l->state = LINE_IDLE;
        return;
    }
    line_launch(n, l, tell);
    if (l->state != LINE_FLIGHT)
        return;
    for (uint32_t i = 0; tell != TELL_ACKNOWLEDGE && i < l->group->n_members; i++)
        mark(n, l, l->group->members[i], trigger);
}

void delivery_send_all(struct notify *n)
{
    for (uint32_t i = 0; i < n->n_orders; i++) {
        struct line *l = n->orders[i];
        struct notification message;
        struct arena a;

        arena_init(&a, n->mem, MESSAGE_MEMORY);
        compose(n, l, &a, &message);
        n->out->send(n->out->arg, l->delivery, l->receiver->name, &message);
        arena_free(&a);
    }
    n->n_orders = 0;
}

/* ---- outcomes ---- */

static void settle(struct notify *n, struct line *l, struct known *k, struct told *t, bool delivered)
{
    const char *to = l->receiver->name;
    bool again = t->state == TOLD_YES && t->epoch == t->flight_epoch;
    bool refreshed = l->receiver->plan && l->receiver->plan->refresh.ns && t->state == TOLD_YES;

    if (t->flight == FLIGHT_NONE)
        return;
    if (t->flight == FLIGHT_TRIGGER && refreshed && t->epoch == t->flight_epoch) {
        t->flight = FLIGHT_NONE; /* each minute: no news for timelines and records */
        return;
    }
    if (t->flight == FLIGHT_TRIGGER && t->epoch == t->flight_epoch) {
        if (delivered)
            t->state = TOLD_YES;
        else if (t->state == TOLD_MAYBE)
            t->state = TOLD_GIVEN_UP;
        story(n, k, "notification",
              delivered ? again ? "told again to %s" : "told to %s" : "given up for %s: %s", to,
              l->receiver->last);
    } else if (t->flight == FLIGHT_RESOLVE && t->epoch == t->flight_epoch) {
        t->state = TOLD_OVER;
        story(n, k, "notification", delivered ? "end told to %s" : "end given up for %s: %s", to,
              l->receiver->last);
    }
    t->flight = FLIGHT_NONE;
    unsaved_alert(n, k);
}

static void settle_all(struct notify *n, struct line *l, bool delivered)
{
    struct group *g = l->group;

    l->state = LINE_IDLE;
    l->told = n->now_mono;
    l->told_at = n->now;
    l->gave_up = !delivered;
    l->forced = false;
    l->ack_due = l->ack_due && l->tell != TELL_ACKNOWLEDGE;
    if (l->tell == TELL_ACKNOWLEDGE)
        return;
    for (uint32_t i = 0; i < g->n_members; i++) {
        struct told *t = told_get(g->members[i], l);

        if (t)
            settle(n, l, g->members[i], t, delivered);
    }
    unsaved_group(n, g);
}

/* Others that wait for this receiver may go, each at its own moment. */
static void free_waiting(struct notify *n, const struct receiver *r)
{
    for (struct group *g = n->groups; g; g = g->next) {
        for (struct line *l = g->lines; l; l = l->next) {
            if (l->receiver == r && l->state == LINE_WAIT)
                l->retry = mono_min(l->retry,
                                    mono_add(n->now_mono, span_ns((int64_t)rng_below(&n->rng, 1000000000))));
        }
    }
}

void receiver_well(struct notify *n, struct receiver *r)
{
    bool was = r->bad || r->failures >= FAILURES_MANY;

    r->delivered++;
    r->bad = false;
    r->failing.ns = 0;
    r->failures = 0;
    r->not_before = n->now_mono;
    r->last[0] = 0;
    if (was)
        free_waiting(n, r);
}

/* Groups that this receiver leaves untold look for its fallback now, whatever their interval. */
void receiver_left(struct notify *n, const struct receiver *r)
{
    for (struct group *g = n->groups; g; g = g->next) {
        for (const struct line *l = g->lines; l; l = l->next) {
            if (l->receiver == r && l->active && (l->state != LINE_IDLE || l->gave_up || r->waiting))
                g->due = g->start = n->now_mono;
        }
    }
    n->next_due = n->now_mono;
}

void receiver_ill(struct notify *n, struct receiver *r, const struct told_result *res)
{
    (void)snprintf(r->last, sizeof r->last, "%s", res->text);
    r->failures++;
    if (!r->failing.ns) {
        r->failing = n->now_mono;
        r->failing_at = n->now;
    }
    if (res->outcome == OUTCOME_DENIED) {
        r->bad = true;
        r->not_before = mono_add(n->now_mono, BAD_AGAIN);
    } else if (res->retry_after.ns > 0) {
        struct span most = span_s(3600);
        struct mono t = mono_add(n->now_mono, res->retry_after.ns < most.ns ? res->retry_after : most);

        if (mono_before(r->not_before, t))
            r->not_before = t;
    }
}

static void failed(struct notify *n, struct line *l, const struct told_result *res)
{
    struct receiver *r = l->receiver;
    bool late = mono_sub(n->now_mono, l->started).ns >= n->plan->give_up.ns;

    if (res->outcome != OUTCOME_NEVER)
        receiver_ill(n, r, res);
    else
        (void)snprintf(r->last, sizeof r->last, "%s", res->text);
    if (res->outcome == OUTCOME_NEVER || late) {
        r->given_up++;
        settle_all(n, l, false);
        receiver_left(n, r);
        return;
    }
    l->state = LINE_WAIT;
    l->retry = mono_add(n->now_mono, retry_wait(n, l->attempt));
    if (mono_before(l->retry, r->not_before))
        l->retry = r->not_before;
    n->next_due = mono_min(n->next_due, l->retry);
}

void delivery_ended(struct notify *n, uint64_t delivery, const struct told_result *res)
{
    struct line *l = map_del(&n->deliveries, &delivery, sizeof delivery);

    if (!l) {
        n->unknown_results++;
        return;
    }
    l->delivery = 0;
    l->receiver->flights--;
    l->receiver->attempts[res->outcome]++;
    if (!l->group) {
        special_ended(n, l, res);
        return;
    }
    bunch_touch(n, l->group, false);
    if (res->outcome == OUTCOME_DELIVERED) {
        receiver_well(n, l->receiver);
        settle_all(n, l, true);
    } else {
        failed(n, l, res);
    }
    receiver_report(n, l->receiver, res->outcome);
    n->next_due = n->now_mono;
}
