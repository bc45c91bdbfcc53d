/* Changes (a deployment, a rollback, a step of a failover), told to those receivers of the matching routes that can
 * say them: context beside alerts, no alert. Tried for an hour; not kept over a restart. */
#include "aggregator/notify/notify_private.h"

#include <string.h>

#define TRIED span_s(3600)

enum { CHANGES_MOST = 256 };

struct note {
    struct line line; /* first: a line leads to its note */
    char *block;      /* owned */
    size_t block_size;
    struct labels labels;
    const char *kind, *name, *text;
    struct wall t;
    bool over;
    struct note *next;
};

static void note_free(struct notify *n, struct note *c)
{
    if (c->line.delivery) {
        (void)map_del(&n->deliveries, &c->line.delivery, sizeof c->line.delivery);
        c->line.receiver->flights--;
    }
    mem_free(n->mem, c->block, c->block_size);
    mem_free(n->mem, c, sizeof *c);
}

static void add(struct notify *n, const struct change_event *e, struct receiver *r)
{
    const char *texts[] = {e->kind, e->name, e->text}, *kept[3];
    struct note *c;
    uint32_t count = 0;

    for (c = n->notes; c; c = c->next)
        count++;
    c = count < CHANGES_MOST ? mem_alloc(n->mem, sizeof *c) : NULL;
    if (!c ||
        !(c->block = pack_labels_block(n->mem, e->labels, texts, 3, &c->block_size, &c->labels, kept))) {
        mem_free(n->mem, c, sizeof *c);
        n->no_memory++;
        return;
    }
    c->kind = kept[0];
    c->name = kept[1];
    c->text = kept[2];
    c->t = e->t;
    c->line.receiver = r;
    c->next = n->notes;
    n->notes = c;
    n->next_due = n->now_mono;
}

static bool listed(const struct receiver *const *v, uint32_t n, const struct receiver *r)
{
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] == r)
            return true;
    }
    return false;
}

void told_change_take(struct notify *n, const struct change_event *e)
{
    uint32_t found[TARGETS_MOST], count = route_find(n->plan, e->labels, found, TARGETS_MOST), told = 0;
    const struct receiver *v[TARGETS_MOST];

    for (uint32_t i = 0; i < count; i++) {
        const struct route *route = &n->plan->routes[found[i]];

        for (uint32_t j = 0; j < route->n_targets; j++) {
            int32_t k = target_receiver(n, &route->targets[j], n->now);
            struct receiver *r = k < 0 ? NULL : receiver_get(n, n->plan->receivers[k].name);

            if (!r || !r->plan->changes || told == TARGETS_MOST || listed(v, told, r))
                continue;
            v[told++] = r;
            add(n, e, r);
        }
    }
}

void told_changes_step(struct notify *n)
{
    for (struct note **at = &n->notes, *c; (c = *at);) {
        struct line *l = &c->line;

        if (c->over || !l->receiver->plan) {
            *at = c->next;
            note_free(n, c);
            continue;
        }
        if (l->state == LINE_FLIGHT && !mono_before(n->now_mono, l->deadline))
            delivery_ended(n, l->delivery,
                           &(struct told_result){.outcome = OUTCOME_RETRY, .text = "no answer in time"});
        if (l->state == LINE_IDLE || (l->state == LINE_WAIT && !mono_before(n->now_mono, l->retry)))
            line_launch(n, l, TELL_CHANGE);
        n->next_due = mono_min(n->next_due, l->state == LINE_WAIT ? l->retry : l->deadline);
        at = &c->next;
    }
}

void told_change_ended(struct notify *n, struct line *l, const struct told_result *res)
{
    struct note *c = (struct note *)(void *)l;
    bool late = mono_sub(n->now_mono, l->started).ns >= TRIED.ns;

    if (res->outcome == OUTCOME_DELIVERED || res->outcome == OUTCOME_NEVER || late) {
        c->over = true;
        l->state = LINE_WAIT; /* until the next step takes it away */
        l->receiver->given_up += res->outcome != OUTCOME_DELIVERED;
        n->next_due = n->now_mono;
        return;
    }
    l->state = LINE_WAIT;
    l->retry = mono_add(n->now_mono, retry_wait(n, l->attempt));
    n->next_due = mono_min(n->next_due, l->retry);
}

void told_change_compose(struct notify *n, struct line *l, struct arena *a, struct notification *out)
{
    const struct note *c = (const struct note *)(const void *)l;
    struct fingerprint f = labels_fingerprint(c->name, c->labels);
    char hex[33];

    fingerprint_text(&f, hex);
    out->dedup_key = arena_fmt(a, "change/%s/%lld", hex, (long long)c->t.ms);
    out->title = arena_fmt(a, "[%s] %s", c->kind, c->name);
    out->text = c->text;
    out->group = c->labels;
    out->change_kind = c->kind;
    out->first = c->t;
    (void)n;
}

void told_changes_free(struct notify *n)
{
    for (struct note *c = n->notes, *next; c; c = next) {
        next = c->next;
        note_free(n, c);
    }
    n->notes = NULL;
}
