/* What actions change: fences, databases, routing, and everything else that is either done for a plan or not. Requests and
 * answers are lost, doubled, and take effect after their time-out; targets that can hold a token compare before they set. */
#include "tests/sim/sim.h"

#include <stdlib.h>

/* Where the target of this action stands; SIM_DOMAINS: a control plane that everybody reaches. */
static uint8_t place(const struct world *w, const struct call *c)
{
    switch (w->config.actions[c->action].step) {
    case STEP_PROMOTE:
    case STEP_WARM:
    case STEP_TEST: return c->op == ACTION_UNDO ? c->from : c->to;
    case STEP_FENCE:
        return c->action & 1 ? c->from
                             : SIM_DOMAINS; /* one in the region, the next by an interface outside */
    default: return SIM_DOMAINS;
    }
}

static bool target_hears(struct world *w, const struct call *c)
{
    uint8_t at = place(w, c);
    const struct node *n = &w->nodes[c->node];

    if (at >= w->n_domains)
        return n->domain >= w->n_regions || !w->regions[n->domain].cut;
    return reach(w, n->domain, at);
}

void call_begin(struct world *w, struct node *n, const struct fo_effect *e)
{
    struct call *c = NULL;
    const struct target *t = &w->targets[e->action];
    int64_t there = between(w, 5, 200), back = between(w, 5, 200), limit = e->timeout_ms;
    bool arrives, answered, changes = e->op == ACTION_APPLY || e->op == ACTION_UNDO;

    for (uint32_t i = 0; i < SIM_CALLS && c == NULL; i++) {
        struct call *q = &w->calls[w->next_call++ % SIM_CALLS];

        if (!q->busy || (q->answered && q->executions == 0))
            c = q;
    }
    if (c == NULL) {
        fprintf(stderr, "sim: seed %llu: too many calls\n", (unsigned long long)w->seed);
        abort();
    }
    *c = (struct call){.node = n->index,
                       .action = e->action,
                       .op = e->op,
                       .busy = 1,
                       .inc = n->inc,
                       .id = e->id,
                       .from = n->core.record.plan.from,
                       .to = n->core.record.plan.to,
                       .epoch = n->core.record.plan.epoch,
                       .token = n->core.token,
                       .accept = n->core.record.plan.accepted_loss_ms >= 0,
                       .class = ACTION_CLASSES};
    arrives = target_hears(w, c) && !chance(w, t->lost) && !w->cut_lost;
    answered = arrives && !chance(w, t->mute) && !w->cut_mute;
    if (arrives && changes && chance(w, t->late)) {
        there = limit + between(w, 10, 3000);
        answered = false;
    }
    if (arrives) {
        c->executions = 1;
        queue_push(w, w->now + there, (struct item){.kind = I_CALL, .a = (uint16_t)(c - w->calls)});
        if (changes && chance(w, t->twice)) {
            c->executions++;
            queue_push(w, w->now + there + between(w, 1, 4000),
                       (struct item){.kind = I_CALL, .a = (uint16_t)(c - w->calls)});
        }
    }
    if (!answered || there + back >= limit) {
        back = limit - there;
        answered = false;
    }
    queue_push(
        w, w->now + there + back,
        (struct item){.kind = I_RESULT, .node = n->index, .inc = n->inc, .a = (uint16_t)(c - w->calls)});
    c->mute = !answered;
}

/* ---- what each kind of target does ---- */

static bool higher(struct world *w, struct call *c)
{
    const struct target *t = &w->targets[c->action];

    if (!t->cas || fencing_cmp(t->found, c->token) <= 0)
        return false;
    c->found = t->found;
    trace(w, NULL, "target %u refuses token %llu: %llu stands there", c->action,
          (unsigned long long)c->token.rev, (unsigned long long)t->found.rev);
    return true;
}

static void accept(struct world *w, struct call *c)
{
    struct target *t = &w->targets[c->action];

    check_accepted(w, c);
    if (fencing_cmp(c->token, t->found) > 0)
        t->found = c->token;
}

static enum action_class plain(struct world *w, struct call *c)
{
    struct target *t = &w->targets[c->action];
    enum plan_step step = (enum plan_step)w->config.actions[c->action].step;

    if (step == STEP_VALIDATE)
        return routed(w) == c->to && (w->commits >> c->to & 1) ? ACTION_OK : ACTION_NOT_APPLIED;
    if (step == STEP_CATCHUP && c->op != ACTION_UNDO && c->to < w->n_regions && lag_of(w, c->to) > 0)
        return c->op == ACTION_APPLY ? ACTION_PROGRESS : ACTION_NOT_APPLIED;
    if (step == STEP_TEST && (c->to >= w->n_regions || !w->regions[c->to].writable))
        return c->op == ACTION_APPLY ? ACTION_RETRY : ACTION_NOT_APPLIED;
    if (c->op != ACTION_APPLY && c->op != ACTION_UNDO)
        return t->epoch == c->epoch && c->epoch != 0 ? ACTION_OK : ACTION_NOT_APPLIED;
    if (higher(w, c))
        return ACTION_CONFLICT;
    accept(w, c);
    if (c->op == ACTION_UNDO)
        t->epoch = 0;
    else if (t->epoch == c->epoch)
        return ACTION_ALREADY;
    else
        t->epoch = c->epoch;
    return ACTION_OK;
}

static enum action_class fence(struct world *w, struct call *c)
{
    struct target *t = &w->targets[c->action];
    uint8_t r = c->from, bit = (uint8_t)(1u << (c->action & 7));
    struct region *g = &w->regions[r];

    if (r >= w->n_regions)
        return ACTION_DENIED;
    if (t->hollow)
        return plain(w, c);
    if (c->op == ACTION_UNDO) {
        bool was = g->fenced_by & bit;

        if (higher(w, c))
            return ACTION_CONFLICT;
        accept(w, c);
        g->fenced_by &= (uint8_t)~bit;
        return was ? ACTION_OK : ACTION_ALREADY;
    }
    if (c->op == ACTION_APPLY) {
        if (g->fenced_by & bit)
            return ACTION_ALREADY;
        if (higher(w, c))
            return ACTION_CONFLICT;
        accept(w, c);
        g->fenced_by |= bit;
        return ACTION_OK;
    }
    return g->fenced_by & bit ? ACTION_OK : ACTION_NOT_APPLIED;
}

/* A promotion opens what an earlier plan's fences have closed in its region, and leaves its token there: a fence of that
 * plan that comes late finds it. */
static void open_up(struct world *w, uint8_t region, struct fencing token)
{
    for (uint8_t i = 0; i < w->config.n_actions; i++)
        if (w->config.actions[i].step == STEP_FENCE && w->regions[region].fenced_by >> (i & 7) & 1) {
            trace(w, NULL, "region %u is opened again, of fence %u", region, i);
            if (fencing_cmp(token, w->targets[i].found) > 0)
                w->targets[i].found = token;
        }
    w->regions[region].fenced_by = 0;
    world_changed(w);
}

/* Its writes are the newest from here on, and its epoch is written into every database that hears it. */
static void leads_replicas(struct world *w, uint8_t region, uint32_t epoch)
{
    struct region *g = &w->regions[region];

    for (uint8_t i = 0; i < w->n_regions; i++) {
        if (i != region && w->regions[i].lineage >= g->lineage)
            g->lineage = w->regions[i].lineage + 1;
        if (i == region || linked(w, region, i))
            w->epoch_row[i] = epoch > w->epoch_row[i] ? epoch : w->epoch_row[i];
    }
}

static enum action_class promote(struct world *w, struct call *c)
{
    struct region *g = &w->regions[c->to];

    if (c->to >= w->n_regions)
        return ACTION_DENIED;
    c->writable = g->writable && g->fenced_by == 0;
    if (c->op != ACTION_APPLY)
        return c->writable ? ACTION_OK : g->promoting ? ACTION_PROGRESS : ACTION_NOT_APPLIED;
    if (c->writable)
        return ACTION_ALREADY;
    if (g->promoting)
        return ACTION_PROGRESS;
    if (w->epoch_row[c->to] > c->epoch) /* the newer primary's row was replicated to here */
        return ACTION_CONFLICT;
    if (higher(w, c))
        return ACTION_CONFLICT;
    accept(w, c);
    if (g->writable) {
        check_promotion(w, c->to, lag_of(w, c->to));
        open_up(w, c->to, c->token);
        leads_replicas(w, c->to, c->epoch);
        c->writable = true;
        return ACTION_ALREADY;
    }
    g->promoting = w->now + between(w, 300, 6000) + g->promote_slow;
    g->promoted_by = c->token;
    g->promoted_epoch = c->epoch;
    queue_push(w, g->promoting, (struct item){.kind = I_PROMOTED, .a = c->to});
    return ACTION_OK;
}

void promoted(struct world *w, uint8_t region)
{
    struct region *g = &w->regions[region];
    int64_t lost = lag_of(w, region);

    if (g->promoting == 0 || g->promoting != w->now)
        return;
    g->promoting = 0;
    if (g->dead || g->promote_fail > 0)
        return;
    world_changed(w);
    trace(w, NULL, "region %u takes writes; %lld ms of writes are lost", region, (long long)lost);
    check_promotion(w, region, lost);
    g->writable = true;
    open_up(w, region, g->promoted_by);
    leads_replicas(w, region, g->promoted_epoch);
    world_changed(w);
}

static enum action_class route(struct world *w, struct call *c)
{
    struct target *t = &w->targets[c->action];
    uint8_t to = c->op == ACTION_UNDO ? c->from : c->to;

    if (c->op != ACTION_APPLY && c->op != ACTION_UNDO)
        return t->value == c->to && t->epoch == c->epoch ? ACTION_OK : ACTION_NOT_APPLIED;
    if (higher(w, c))
        return ACTION_CONFLICT;
    if (t->value == to && t->epoch == c->epoch) {
        accept(w, c);
        return ACTION_ALREADY;
    }
    accept(w, c);
    t->value = to;
    t->epoch = c->epoch;
    trace(w, NULL, "target %u sends users to region %u", c->action, to);
    return ACTION_OK;
}

void call_exec(struct world *w, struct call *c)
{
    const struct target *t = &w->targets[c->action];
    enum action_class class;
    bool changes = c->op == ACTION_APPLY || c->op == ACTION_UNDO;

    c->executions--;
    if (c->op == ACTION_PRECHECK)
        class = t->denied ? ACTION_DENIED : ACTION_OK;
    else if (t->denied && changes)
        class = ACTION_DENIED;
    else if (t->conflict && changes)
        class = ACTION_CONFLICT;
    else if (t->retry && chance(w, 70))
        class = chance(w, 50) ? ACTION_RETRY : ACTION_THROTTLED;
    else
        switch (w->config.actions[c->action].step) {
        case STEP_FENCE: class = fence(w, c); break;
        case STEP_PROMOTE: class = c->action == w->promotes ? promote(w, c) : plain(w, c); break;
        case STEP_SWITCH: class = route(w, c); break;
        default: class = plain(w, c); break;
        }
    if (c->class == ACTION_CLASSES)
        c->class = (uint8_t) class;
    if (changes) {
        trace(w, &w->nodes[c->node], "target of action %u: %s of epoch %u token %llu: %s", c->action,
              action_op_name(c->op), c->epoch, (unsigned long long)c->token.rev, action_class_name(class));
        world_changed(w);
    }
}

void call_result(struct world *w, struct call *c)
{
    struct node *n = &w->nodes[c->node];
    struct fo_event e = {.kind = FO_E_ACTION,
                         .u.action = {.action = c->action, .op = c->op, .id = c->id, .class = c->class}};
    bool changes = c->op == ACTION_APPLY || c->op == ACTION_UNDO;

    c->answered = true;
    if (c->mute || c->class == ACTION_CLASSES)
        e.u.action.class = changes ? ACTION_UNKNOWN : ACTION_RETRY;
    else {
        e.u.action.writable = c->writable;
        e.u.action.found = c->found;
        if (c->class == ACTION_THROTTLED)
            e.u.action.retry_after_ms = 2000;
    }
    if (e.u.action.class == ACTION_CONFLICT && fencing_cmp(c->found, c->token) > 0)
        n->denied_token[c->action] = c->token.rev;
    node_event(w, n, &e);
}
