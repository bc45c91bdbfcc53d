/* Telling, from the outside: made, reloaded, fed with events. Whatever an event changes, records go out before
 * messages do, and messages leave at the end of the step. See notify.h and notify_private.h. */
#include "aggregator/notify/notify_private.h"

#include <stdio.h>
#include <string.h>

static int set_params(struct notify *n, const struct notify_params *p, struct err *e)
{
    const char *console = option_text(config_section(p->config, "notify"), "console");

    console = p->console && p->console[0] ? p->console : console ? console : "";
    (void)snprintf(n->region, sizeof n->region, "%s", p->region);
    (void)snprintf(n->host, sizeof n->host, "%s", p->host);
    (void)snprintf(n->console, sizeof n->console, "%s", console);
    while (n->console[0] && n->console[strlen(n->console) - 1] == '/')
        n->console[strlen(n->console) - 1] = 0;
    buf_clear(&n->secret);
    buf_put(&n->secret, p->ack_secret.p, p->ack_secret.n);
    return n->secret.full ? err_set(e, ERR_LIMIT, "the secret of links is longer than 4096 bytes") : 0;
}

/* Receivers as the plan has them now; those it has no more stay as long as something is to be told to them. */
static bool set_receivers(struct notify *n)
{
    for (struct receiver *r = n->receivers; r; r = r->next)
        r->plan = NULL;
    for (uint32_t i = 0; i < n->plan->n_receivers; i++) {
        struct receiver *r = receiver_get(n, n->plan->receivers[i].name);

        if (!r)
            return false;
        r->plan = &n->plan->receivers[i];
        r->bad = false; /* a reload may have brought a new key */
        r->not_before = n->now_mono;
    }
    return true;
}

struct notify *notify_new(const struct notify_params *p, struct buf *report, struct err *e)
{
    struct notify *n = mem_alloc(p->mem, sizeof *n);

    if (!n) {
        (void)err_set(e, ERR_NOMEM, "no memory for notifications");
        return NULL;
    }
    n->mem = p->mem;
    map_init(&n->alerts, p->mem, NULL);
    map_init(&n->group_map, p->mem, NULL);
    map_init(&n->deliveries, p->mem, NULL);
    map_init(&n->inhibitors, p->mem, NULL);
    buf_init(&n->secret, p->mem, 4096);
    rng_seed(&n->rng, p->seed);
    n->version = 1;
    n->plan = plan_new(p->config, &p->zones, report, e);
    if (!n->plan || set_params(n, p, e) != 0 || !set_receivers(n))
        notify_free(&n);
    return n;
}

void notify_free(struct notify **np)
{
    struct notify *n = *np;

    if (!n)
        return;
    saved_free(n);
    told_changes_free(n);
    tables_free(n);
    acts_free(n);
    gate_forget(n);
    for (struct peer *p = n->peers, *next; p; p = next) {
        next = p->next;
        peer_forget(n, p);
        mem_free(n->mem, p, sizeof *p);
    }
    mem_free(n->mem, n->orders, n->room_orders * sizeof(struct line *));
    buf_free(&n->secret);
    plan_free(&n->plan);
    mem_free(n->mem, n, sizeof *n);
    *np = NULL;
}

static void place_all(struct notify *n)
{
    struct known *k;

    for (struct group *g = n->groups; g; g = g->next) {
        g->route = NULL;
        for (uint32_t i = 0; i < n->plan->n_routes; i++) {
            if (strcmp(n->plan->routes[i].name, g->route_name) == 0)
                g->route = &n->plan->routes[i];
        }
        g->due = n->now_mono;
    }
    for (size_t i = 0; (k = map_next(&n->alerts, &i));) {
        gate_mark(n, k);
        if (k->firing && !route_place(n, k))
            n->unrouted++;
        for (uint32_t j = 0; k->firing && j < k->n_groups; j++)
            k->groups[j]->due = n->now_mono;
    }
    n->next_due = n->now_mono;
}

int notify_reload(struct notify *n, const struct notify_params *p, struct buf *report, struct err *e)
{
    struct plan *fresh = plan_new(p->config, &p->zones, report, e), *old = n->plan;
    int rc;

    if (!fresh)
        return e->code ? e->code : ERR_CONFIG;
    rc = set_params(n, p, e);
    if (rc) {
        plan_free(&fresh);
        return rc;
    }
    n->n_facts = 0; /* their texts were the old plan's */
    n->maintenance_at.ms = 0;
    n->plan = fresh;
    plan_free(&old);
    if (!set_receivers(n))
        n->no_memory++;
    place_all(n);
    return 0;
}

static int take(struct notify *n, const struct notify_event *ev, char id[64], struct err *e)
{
    switch (ev->kind) {
    case NOTIFY_NOTICE: notice_take(n, ev->notice, false); break;
    case NOTIFY_ENDED: delivery_ended(n, ev->delivery, ev->result); break;
    case NOTIFY_ACT: return act_take(n, ev->act, id, e);
    case NOTIFY_PEER: peer_take(n, ev->peer); break;
    case NOTIFY_CHANGE: told_change_take(n, ev->change); break;
    case NOTIFY_TICK:
    case NOTIFY_STORED: break;
    }
    return 0;
}

static void tick(struct notify *n)
{
    bool second = n->now.ms / 1000 != n->maintenance_at.ms / 1000;

    if (second || n->version != n->gated_version) {
        n->maintenance_at = n->now;
        gate_maintenance(n);
        gate_silences(n);
        n->gated_version = n->version;
    }
    if (!n->hold && !mono_before(n->now_mono, n->prune_due)) {
        n->prune_due = mono_add(n->now_mono, span_s(10));
        notices_prune(n);
        receivers_calm(n);
    }
    if (!mono_before(n->now_mono, n->next_due) || n->held_before != n->hold) {
        bunches_step(n);
        storm_step(n);
        told_changes_step(n);
        heartbeat_step(n);
    }
    n->held_before = n->hold;
}

static void start(struct notify *n)
{
    n->started = true;
    n->start = n->now_mono;
    n->heartbeat_due = n->now_mono;
    n->next_due = n->now_mono;
    for (struct receiver *r = n->receivers; r; r = r->next)
        r->not_before = n->now_mono;
    restore_all(n);
}

int notify_step(struct notify *n, const struct notify_event *ev, const struct notify_effects *out,
                char id[64], struct err *e)
{
    int rc;

    n->out = out;
    n->now = ev->now;
    n->now_mono = ev->mono.ns ? ev->mono : (struct mono){1}; /* 0 stands for never */
    n->hold = ev->hold;
    if (!n->started)
        start(n);
    rc = take(n, ev, id, e);
    if (ev->kind == NOTIFY_TICK)
        tick(n);
    records_write(n);
    delivery_send_all(n);
    n->out = NULL;
    return rc;
}

struct span notify_wake(const struct notify *n, struct mono now)
{
    struct span d = mono_sub(n->next_due, now);

    if (!n->started || d.ns < 0)
        return span_s(0);
    return d.ns < span_s(1).ns ? d : span_s(1);
}

const struct maintenance_fact *notify_maintenance(const struct notify *n, uint32_t *count)
{
    *count = n->n_facts;
    return n->facts;
}
