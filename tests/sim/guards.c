/* Guards: on each host of a guarded region, between the service and the right to write. A guard lets it write while its
 * serving lease lasts: renewed by an aggregator that has just read the record and finds the region to be the writer, or,
 * while the store is away, by a promise of ALL aggregators that they do not act. It stops the service when the lease ends, or
 * when it hears that another region may write; then only a fresh record starts it again.
 *
 * The model's assumption: a host that stood still runs its guard before its database (a kernel watchdog, or a fence in the
 * database's own start); a guard that dies is replaced by its watchdog, which fences. */
#include "tests/sim/sim.h"

enum { ROUND = 5000, SERVING = 20000, VIEW = 4000, FENCE_MOST = 4000 };
enum { TOLD_HELD = 1, TOLD_SERVE = 2, TOLD_PROMISE = 4 };

void guards_init(struct world *w)
{
    for (uint8_t r = 0; r < w->n_regions; r++)
        for (uint8_t i = 0; i < w->config.n_guards[r]; i++) {
            struct guard *g = &w->guards[w->n_guards];

            *g = (struct guard){.region = r, .index = i};
            queue_push(w, between(w, 0, ROUND), (struct item){.kind = I_ROUND, .a = w->n_guards});
            w->n_guards++;
        }
}

bool guards_let(const struct world *w, uint8_t region)
{
    if (!(w->config.guarded >> region & 1))
        return true;
    for (uint8_t i = 0; i < w->n_guards; i++)
        if (w->guards[i].region == region && w->guards[i].serving && !w->guards[i].asleep)
            return true;
    return false;
}

void guard_boot(struct world *w, uint8_t i)
{
    struct guard *g = &w->guards[i];

    g->inc++;
    g->dead = g->asleep = g->serving = g->fencing = false;
    g->deadline = 0;
    queue_push(w, w->now + between(w, 500, 20000), (struct item){.kind = I_ROUND, .a = i, .inc = g->inc});
    world_changed(w);
}

void guard_round(struct world *w, uint8_t i)
{
    struct guard *g = &w->guards[i];

    queue_push(w, w->now + ROUND, (struct item){.kind = I_ROUND, .a = i, .inc = g->inc});
    if (g->dead || g->asleep || w->regions[g->region].dead)
        return;
    g->round_at = w->now;
    g->promised = 0;
    for (uint8_t k = 0; k < w->n_nodes; k++) {
        struct node *n = &w->nodes[k];

        if (n->alive && reach(w, g->region, n->domain))
            queue_push(w, w->now + delay(w, g->region, n->domain),
                       (struct item){.kind = I_ASK,
                                     .node = k,
                                     .inc = n->inc,
                                     .a = i,
                                     .y = g->fenced_epoch << 1 | (g->serving || g->fencing),
                                     .x = w->now});
    }
}

/* All guards of a region are fenced: the core is told the lowest epoch. */
static void report(struct world *w, struct node *n, uint8_t region)
{
    struct fo_event e = {.kind = FO_E_FENCED, .u.fenced = {.region = region, .epoch = UINT32_MAX}};

    for (uint8_t i = 0; i < w->n_guards; i++) {
        if (w->guards[i].region != region)
            continue;
        if (!n->guards[i].known || n->guards[i].serving)
            return;
        if (n->guards[i].fenced_epoch < e.u.fenced.epoch)
            e.u.fenced.epoch = n->guards[i].fenced_epoch;
    }
    if (e.u.fenced.epoch > 0 && (n->core.record.status != FO_STEADY_STATUS || chance(w, 3)))
        node_event(w, n, &e);
}

/* The aggregator's side, as the daemon answers POST /v1/guard. */
void guard_ask(struct world *w, struct node *n, const struct item *it)
{
    struct guard *g = &w->guards[it->a];
    int64_t boot = node_boot(w, n);
    bool held = n->view_known && n->view_started > boot - VIEW && n->view_started != INT64_MIN;
    uint16_t told = 0;
    uint16_t inc = n->inc;

    n->guards[it->a].known = true;
    n->guards[it->a].serving = it->y & 1;
    n->guards[it->a].fenced_epoch = it->y >> 1;
    if (held)
        told = (uint16_t)(TOLD_HELD | (fo_may_serve(&n->view, g->region) ? TOLD_SERVE : 0));
    else if (!n->core.known || fo_may_serve(&n->core.record, g->region)) {
        struct fo_event e = {.kind = FO_E_PROMISED, .u.promised.until = boot + SERVING};

        node_event(w, n, &e);
        n->promised_until = boot + SERVING;
        told = TOLD_PROMISE;
    }
    if (n->alive && n->inc == inc && reach(w, n->domain, g->region))
        queue_push(w, w->now + delay(w, n->domain, g->region),
                   (struct item){.kind = I_TOLD,
                                 .node = n->index,
                                 .inc = g->inc,
                                 .a = it->a,
                                 .b = told,
                                 .y = held ? n->view.epoch : 0,
                                 .x = it->x});
    if (n->alive && n->inc == inc)
        report(w, n, g->region);
}

static void renew(struct world *w, uint8_t i, int64_t sent)
{
    struct guard *g = &w->guards[i];

    if (sent + SERVING <= g->deadline)
        return;
    if (g->deadline <= w->now || !g->serving)
        queue_push(w, sent + SERVING, (struct item){.kind = I_DEADLINE, .a = i, .inc = g->inc});
    g->deadline = sent + SERVING;
}

static void begin_fence(struct world *w, uint8_t i, uint32_t epoch)
{
    struct guard *g = &w->guards[i];

    if (g->fencing)
        return;
    g->fencing = true;
    queue_push(w, w->now + between(w, 50, FENCE_MOST),
               (struct item){.kind = I_FENCED, .a = i, .inc = g->inc, .y = epoch});
}

void guard_told(struct world *w, const struct item *it)
{
    struct guard *g = &w->guards[it->a];

    if (g->dead || g->asleep || w->regions[g->region].dead)
        return;
    if (it->b & TOLD_HELD) {
        if (it->y < g->seen_epoch)
            return; /* an older record than one that was seen */
        g->seen_epoch = it->y;
        if (!(it->b & TOLD_SERVE)) {
            g->deadline = 0;
            if (g->serving)
                begin_fence(w, (uint8_t)it->a, it->y);
            else
                g->fenced_epoch = it->y;
        } else if (!g->fencing) {
            renew(w, (uint8_t)it->a, it->x);
            if (!g->serving)
                queue_push(w, w->now + between(w, 100, 1500),
                           (struct item){.kind = I_SERVE, .a = it->a, .inc = g->inc, .y = it->y});
        }
    } else if (it->b & TOLD_PROMISE && it->x == g->round_at) {
        g->promised |= (uint16_t)(1u << it->node);
        if (g->promised == (1u << w->n_nodes) - 1 && g->serving && !g->fencing)
            renew(w, (uint8_t)it->a, it->x);
    }
}

void guard_deadline(struct world *w, uint8_t i)
{
    struct guard *g = &w->guards[i];

    if (g->dead || g->asleep || w->regions[g->region].dead || !g->serving)
        return;
    if (w->now >= g->deadline) {
        trace(w, NULL, "guard %u of region %u: its lease has ended", i, g->region);
        begin_fence(w, i, 0);
    } else
        queue_push(w, g->deadline, (struct item){.kind = I_DEADLINE, .a = i, .inc = g->inc});
}

void guard_fenced(struct world *w, uint8_t i, uint32_t epoch)
{
    struct guard *g = &w->guards[i];

    g->serving = g->fencing = false;
    if (epoch > g->fenced_epoch)
        g->fenced_epoch = epoch;
    trace(w, NULL, "guard %u of region %u is fenced, epoch %u", i, g->region, g->fenced_epoch);
    world_changed(w);
}

void guard_serves(struct world *w, uint8_t i)
{
    struct guard *g = &w->guards[i];

    if (g->serving || g->fencing || g->dead || g->asleep || w->regions[g->region].dead ||
        g->deadline <= w->now)
        return;
    if (g->fenced_epoch > g->seen_epoch)
        broken(w, 26, "guard %u starts its service at epoch %u, and was fenced at %u", i, g->seen_epoch,
               g->fenced_epoch);
    g->serving = true;
    trace(w, NULL, "guard %u of region %u lets its service write", i, g->region);
    queue_push(w, g->deadline, (struct item){.kind = I_DEADLINE, .a = i, .inc = g->inc});
    world_changed(w);
}
