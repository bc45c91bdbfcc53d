/* Storms: above a number of messages about new alerts within a window, a receiver gets digests ("214 alerts, the ten
 * worst …") instead. What the same step had ordered becomes part of the digest too, so that a storm does not begin
 * with as many single messages as are allowed. The digest ends when all its alerts have. Here as well: the heartbeat. */
#include "aggregator/notify/notify_private.h"

#include <stdlib.h>
#include <string.h>

#define GATHER span_s(3) /* of the first digest: what else comes in at once */

static void to_digest(struct notify *n, struct line *l)
{
    for (uint32_t i = 0; i < l->group->n_members; i++) {
        struct known *k = l->group->members[i];
        struct told *t = k->firing ? told_get(k, l) : NULL;
        bool fresh = t && (t->flight == FLIGHT_TRIGGER ? t->state == TOLD_MAYBE
                                                       : t->waits == k->epoch && !told_current(t, k));

        if (!fresh || t->by_digest)
            continue;
        if (t->flight == FLIGHT_TRIGGER) {
            t->state = TOLD_NOT;
            t->flight = FLIGHT_NONE;
        }
        t->by_digest = true;
        t->epoch = k->epoch;
        l->receiver->waiting++;
        unsaved_alert(n, k);
    }
}

/* Messages that this step has ordered and that have not gone out. */
static void revoke(struct notify *n, struct receiver *r)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n->n_orders; i++) {
        struct line *l = n->orders[i];

        if (l->receiver != r || !l->group || l->tell != TELL_TRIGGER || l->attempt != 1 || !l->counted) {
            n->orders[kept++] = l;
            continue;
        }
        (void)map_del(&n->deliveries, &l->delivery, sizeof l->delivery);
        l->delivery = 0;
        l->state = LINE_IDLE;
        r->flights--;
        to_digest(n, l);
    }
    n->n_orders = kept;
}

/* An incident that the receiver has open by a message of its own goes on by such. */
static bool open_by_itself(const struct line *l)
{
    for (uint32_t i = 0; i < l->group->n_members; i++) {
        const struct told *t = told_get(l->group->members[i], l);

        if (t && (t->state == TOLD_YES || (t->state == TOLD_MAYBE && !t->by_digest)))
            return true;
    }
    return false;
}

/* Worse than all that the digests of this storm have told: not to be missed among them. */
static bool stands_out(struct receiver *r, const struct group *g)
{
    for (uint32_t i = 0; i < g->n_members; i++) {
        if (g->members[i]->firing && g->members[i]->severity > r->worst && r->digest_open) {
            r->worst = g->members[i]->severity;
            return true;
        }
    }
    return false;
}

static void count_window(const struct notify *n, struct receiver *r)
{
    struct span age = mono_sub(n->now_mono, r->window), length = n->plan->storm_window;

    if (r->window.ns && age.ns < length.ns)
        return;
    if (!r->window.ns || age.ns >= 2 * length.ns)
        r->in_window = 0;
    r->storm = r->storm && r->in_window > n->plan->storm_messages / 2;
    r->window = n->now_mono;
    r->in_window = 0;
}

/* True: the new alerts of this line wait for the digest. */
bool storm_takes(struct notify *n, struct line *l, uint32_t fresh)
{
    struct receiver *r = l->receiver;
    uint32_t most = n->plan->storm_messages;

    (void)fresh;
    l->counted = false;
    if (!most || l->group->n_members == 0 || l->group->members[0]->internal)
        return false;
    if (r->plan &&
        r->plan->refresh.ns) /* it keeps alerts, not messages: what a digest leaves out would end there */
        return false;
    count_window(n, r);
    if (l->state == LINE_IDLE) {
        r->in_window++;
        l->counted = true;
    }
    if (!r->storm && r->in_window > most) {
        r->storm = true;
        r->worst = SEVERITY_INFO;
        n->storms++;
        revoke(n, r);
        if (mono_before(r->digest_due, mono_add(n->now_mono, GATHER)))
            r->digest_due = mono_add(n->now_mono, GATHER);
    }
    if (!r->storm || l->state != LINE_IDLE || open_by_itself(l) || stands_out(r, l->group))
        return false;
    to_digest(n, l);
    n->next_due = mono_min(n->next_due, r->digest_due);
    return true;
}

/* ---- the digest of a receiver ---- */

/* Calls fn for each alert that the digest of r has told or is to tell, and that fires. */
static uint32_t each(const struct notify *n, const struct receiver *r, bool waiting,
                     void (*fn)(void *arg, struct known *k, struct told *t), void *arg)
{
    struct known *k;
    uint32_t count = 0;

    for (size_t i = 0; (k = map_next(&n->alerts, &i));) {
        for (uint32_t j = 0; j < k->n_told; j++) {
            struct told *t = &k->told[j];

            if (t->line->receiver != r || (waiting ? !t->by_digest : t->state != TOLD_DIGEST))
                continue;
            count += k->firing;
            if (fn)
                fn(arg, k, t);
        }
    }
    return count;
}

struct marking {
    struct notify *n;
    bool delivered, final;
    struct receiver *r;
};

static void mark_one(void *arg, struct known *k, struct told *t)
{
    struct marking *m = arg;

    if (!k->firing) {
        t->by_digest = false; /* ended before it was told */
        t->state = TOLD_OVER;
        t->flight = FLIGHT_NONE;
        unsaved_alert(m->n, k);
        m->r->waiting -= m->r->waiting > 0;
        return;
    }
    t->flight = FLIGHT_TRIGGER;
    t->flight_epoch = k->epoch;
    t->epoch = k->epoch;
    t->state = TOLD_MAYBE;
    unsaved_alert(m->n, k);
}

static void settle_one(void *arg, struct known *k, struct told *t)
{
    struct marking *m = arg;

    if (t->flight != FLIGHT_TRIGGER || t->flight_epoch != t->epoch)
        return;
    t->flight = FLIGHT_NONE;
    if (!m->final)
        return;
    t->by_digest = false;
    m->r->waiting -= m->r->waiting > 0;
    t->state = m->delivered ? TOLD_DIGEST : TOLD_GIVEN_UP;
    t->line->gave_up = !m->delivered;
    if (k->severity > m->r->worst)
        m->r->worst = k->severity;
    t->line->told = m->n->now_mono;
    t->line->told_at = m->n->now;
    m->r->by_digest += m->delivered;
    story(m->n, k, "notification", m->delivered ? "told to %s in a digest" : "digest given up for %s",
          m->r->name);
    unsaved_alert(m->n, k);
}

static void digest_step(struct notify *n, struct receiver *r)
{
    struct marking m = {.n = n, .r = r};

    if (r->digest.state == LINE_FLIGHT && !mono_before(n->now_mono, r->digest.deadline))
        delivery_ended(n, r->digest.delivery,
                       &(struct told_result){.outcome = OUTCOME_RETRY, .text = "no answer in time"});
    if (r->digest.state == LINE_FLIGHT || mono_before(n->now_mono, r->digest_due) ||
        (r->digest.state == LINE_WAIT && mono_before(n->now_mono, r->digest.retry)))
        return;
    if (r->waiting) {
        if (n->hold && r->digest.state == LINE_IDLE)
            return;
        if (each(n, r, true, mark_one, &m))
            line_launch(n, &r->digest, TELL_DIGEST);
        else
            r->digest.state = LINE_IDLE;
    } else if (r->digest_open && !n->hold) {
        if (each(n, r, false, NULL, NULL) == 0)
            line_launch(n, &r->digest, TELL_RESOLVE);
        r->digest_due = mono_add(n->now_mono, span_s(10));
    } else {
        r->digest.state = LINE_IDLE;
        return;
    }
    n->next_due = mono_min(n->next_due, r->digest.state == LINE_WAIT ? r->digest.retry : r->digest_due);
}

static void drop_one(void *arg, struct known *k, struct told *t)
{
    t->by_digest = false;
    t->state = TOLD_OVER;
    unsaved_alert(arg, k);
}

/* The configuration has it no more: nothing waits for it. */
static void gone(struct notify *n, struct receiver *r)
{
    if (r->waiting)
        (void)each(n, r, true, drop_one, n);
    r->waiting = 0;
    r->digest_open = false;
}

void storm_step(struct notify *n)
{
    for (struct receiver *r = n->receivers; r; r = r->next) {
        if (!r->plan)
            gone(n, r);
        if (r->waiting || r->digest_open || r->digest.state != LINE_IDLE)
            digest_step(n, r);
        if (r->waiting || r->digest_open)
            n->next_due = mono_min(n->next_due, mono_before(r->digest_due, n->now_mono)
                                                    ? mono_add(n->now_mono, span_s(1))
                                                    : r->digest_due);
    }
}

static void digest_ended(struct notify *n, struct receiver *r, const struct told_result *res)
{
    struct marking m = {.n = n, .r = r, .delivered = res->outcome == OUTCOME_DELIVERED};
    bool late = mono_sub(n->now_mono, r->digest.started).ns >= n->plan->give_up.ns;

    m.final = m.delivered || res->outcome == OUTCOME_NEVER || late;
    if (r->digest.tell == TELL_DIGEST)
        (void)each(n, r, true, settle_one, &m);
    if (!m.final) {
        r->digest.state = LINE_WAIT;
        r->digest.retry = mono_add(n->now_mono, retry_wait(n, r->digest.attempt));
        if (mono_before(r->digest.retry, r->not_before))
            r->digest.retry = r->not_before;
        return;
    }
    r->digest.state = LINE_IDLE;
    r->given_up += !m.delivered;
    r->digests += m.delivered && r->digest.tell == TELL_DIGEST;
    r->digest_due = mono_add(n->now_mono, n->plan->storm_interval);
    r->digest_open = r->digest.tell == TELL_DIGEST && (m.delivered || r->digest_open);
    record_receiver(n, r);
}

void special_ended(struct notify *n, struct line *l, const struct told_result *res)
{
    struct receiver *r = l->receiver;

    if (l == &n->heartbeat) {
        l->state =
            LINE_IDLE; /* not tried again: the next one comes soon, and its absence is what is watched for */
        if (res->outcome == OUTCOME_DELIVERED) {
            n->heartbeat_at = n->now;
            n->heartbeats++;
        }
        return;
    }
    if (res->outcome == OUTCOME_DELIVERED)
        receiver_well(n, r);
    else if (res->outcome != OUTCOME_NEVER)
        receiver_ill(n, r, res);
    if (l == &r->digest)
        digest_ended(n, r, res);
    else
        told_change_ended(n, l, res);
    receiver_report(n, r, res->outcome);
}

/* ---- its message ---- */

static int worse_first(const void *a, const void *b)
{
    const struct known *x = *(const struct known *const *)a, *y = *(const struct known *const *)b;

    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    if (x->since.ms != y->since.ms)
        return x->since.ms < y->since.ms ? -1 : 1;
    return strcmp(x->hex, y->hex);
}

struct gathering {
    const struct known **v;
    uint32_t n, most;
};

static void gather(void *arg, struct known *k, struct told *t)
{
    struct gathering *g = arg;

    (void)t;
    if (k->firing && g->n < g->most)
        g->v[g->n++] = k;
}

void special_compose(struct notify *n, struct line *l, struct arena *a, struct notification *out)
{
    struct gathering g = {.most = (uint32_t)n->alerts.count};
    struct told_alert *top = arena_array(a, DIGEST_TOP, sizeof *top);
    uint32_t shown;

    if (l != &n->heartbeat && l != &l->receiver->digest) {
        told_change_compose(n, l, a, out);
        return;
    }
    if (l == &n->heartbeat) {
        out->dedup_key = arena_fmt(a, "heartbeat/%s", n->region);
        out->title = arena_fmt(a, "%s watches and decides", n->region);
        out->text = out->title;
        return;
    }
    out->dedup_key = arena_fmt(a, "storm/%s", l->receiver->name);
    g.v = arena_array(a, g.most, sizeof *g.v);
    if (l->tell == TELL_RESOLVE || !g.v || !top) {
        out->title = arena_fmt(a, "[resolved] all alerts of the storm have ended");
        out->text = out->title;
        return;
    }
    (void)each(n, l->receiver, true, gather, &g);
    qsort(g.v, g.n, sizeof *g.v, worse_first);
    shown = g.n < DIGEST_TOP ? g.n : DIGEST_TOP;
    for (uint32_t i = 0; i < shown; i++)
        told_alert_of(n, g.v[i], a, &top[i]);
    out->alerts = top;
    out->n_alerts = shown;
    out->more = g.n - shown;
    out->severity = g.n ? g.v[0]->severity : SEVERITY_INFO;
    out->first = g.n ? g.v[0]->since : n->now;
    out->title = arena_fmt(a, "[%s] %u alerts%s", severity_name(out->severity), g.n,
                           out->more ? ", the ten worst of them here" : "");
}

void heartbeat_step(struct notify *n)
{
    struct line *l = &n->heartbeat;

    if (n->plan->heartbeat < 0)
        return;
    l->receiver = receiver_get(n, n->plan->receivers[n->plan->heartbeat].name);
    if (l->receiver && !mono_before(n->now_mono, n->heartbeat_due)) {
        n->heartbeat_due = mono_add(n->now_mono, n->plan->heartbeat_every);
        if (l->state != LINE_FLIGHT) {
            l->state = LINE_IDLE;
            line_launch(n, l, TELL_HEARTBEAT);
        }
    }
    if (l->state == LINE_FLIGHT && !mono_before(n->now_mono, l->deadline))
        delivery_ended(n, l->delivery,
                       &(struct told_result){.outcome = OUTCOME_RETRY, .text = "no answer in time"});
    n->next_due = mono_min(n->next_due, n->heartbeat_due);
}
