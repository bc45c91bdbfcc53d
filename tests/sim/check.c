/* The invariants of the design, checked from outside: on what is true in the world, on what was committed in the store, and
 * on books that the model keeps of its own. No checker asks the core for its opinion. Numbers are those of the design:
 *
 *   1 one writer               2 fence before promote      3 tokens only grow         4 one plan, epochs grow
 *   5 intent before effect     6 nothing past the deadline 7 routed somewhere UP      8 no quorum, no change
 *   9 votes behind a failover 10 loss within the limit    11 all down: nothing moves 12 one fault moves nothing
 *  13 budget and suppressions 14 no way back by itself    15 resume ends the same    16 no way back past no return
 *  17 replay gives the state  18 suppressions end         19 blocked says why        20 death ends in HOLD
 *  21 nothing hangs           22 cancelled leaves nothing 23 unknown is not down     24 same events, same bytes
 *  25 drills stay inside      26 a returning region reads first */
#include "tests/sim/sim.h"

#include <stdarg.h>

void broken(struct world *w, uint8_t invariant, const char *fmt, ...)
{
    va_list ap;

    if (w->broken != 0 || (w->o.ignored >> invariant & 1))
        return;
    w->broken = invariant;
    w->broken_at = w->now;
    va_start(ap, fmt);
    vsnprintf(w->broken_why, sizeof(w->broken_why), fmt, ap);
    va_end(ap);
    trace(w, NULL, "INVARIANT %u: %s", invariant, w->broken_why);
}

/* Somebody's word may stand for a fence, and may be wrong: then one writer is no longer the machine's promise. */
static bool vouched(const struct world *w)
{
    return w->broke_glass || w->lied || !w->config.fence_required;
}

/* 1 */
void check_commits(struct world *w)
{
    if ((w->commits & (w->commits - 1)) != 0 && !vouched(w))
        broken(w, 1, "regions %x can commit at the same time", w->commits);
}

void check_told(struct world *w, const struct fo_order *o)
{
    if (o->command == FO_C_BREAK_GLASS)
        w->broke_glass = true;
    if (o->command == FO_C_SKIP && !w->healed)
        w->skipped = true;
    if (o->fenced_by_hand)
        w->lied = true; /* in this world nobody has fenced by hand */
    for (uint8_t i = 0; i < w->n_nodes; i++) {
        memset(w->nodes[i].denied_token, 0, sizeof(w->nodes[i].denied_token));
        w->nodes[i].commanded = true;
    }
}

static bool votes_say(const struct world *w, const struct node *n, uint8_t voter, uint8_t region,
                      uint8_t verdict)
{
    int64_t age = w->now - n->heard[voter].at;
    const struct fo_vote *v = &n->heard[voter].vote;

    /* users of a standby fail because it is one: what they alone bear is left out */
    if (verdict == FO_UP && region != n->core.record.active && v->verdict[region] >= FO_DEGRADED &&
        (v->classes[region] & FO_HARD) == FO_USERS)
        verdict = v->verdict[region];
    return v->seq != 0 && v->self_ok && v->verdict[region] == verdict &&
           age <= 2 * (int64_t)v->tick_ms + 1500;
}

static int count_votes(const struct world *w, const struct node *n, uint8_t region, uint8_t verdict,
                       uint32_t *domains, uint8_t *classes)
{
    int count = 0;

    for (uint8_t i = 0; i < w->n_nodes; i++)
        if (votes_say(w, n, i, region, verdict)) {
            count++;
            *domains |= 1u << w->nodes[i].domain;
            *classes |= n->heard[i].vote.classes[region];
        }
    return count;
}

/* 2, 5, 6, 8, and 3, 13 as far as a beginning effect shows them. */
void check_begin(struct world *w, struct node *n, const struct fo_effect *e)
{
    const struct fo_action *a = &w->config.actions[e->action];
    uint32_t slot = (uint32_t)(n->core.rev % SIM_HISTORY);
    int64_t boot = node_boot(w, n), end = n->kept_sent + w->config.t.lease - w->config.t.margin;
    uint8_t want = e->op == ACTION_APPLY ? FO_INTENT : FO_UNDOING, from = n->core.record.plan.from;

    if (e->action >= w->config.n_actions) {
        broken(w, 5, "node %u: action %u does not exist", n->index, e->action);
        return;
    }
    if (e->op != ACTION_APPLY && e->op != ACTION_UNDO)
        return;
    if (n->kept_token != n->core.token.rev || boot >= end)
        broken(w, 6, "node %u begins action %u %lld ms after its deadline", n->index, e->action,
               (long long)(boot - end));
    else if (boot + e->timeout_ms + 1000 > end)
        broken(w, 6, "node %u begins action %u, which may last %d ms; its deadline is in %lld", n->index,
               e->action, e->timeout_ms, (long long)(end - boot));
    if (w->store.history[slot].rev != n->core.rev || w->store.history[slot].phase[e->action] != want)
        broken(w, 5, "node %u begins action %u at rev %llu: its phase there is %u", n->index, e->action,
               (unsigned long long)n->core.rev, w->store.history[slot].phase[e->action]);
    else if (w->store.history[slot].token.rev != n->core.token.rev)
        broken(w, 5, "node %u begins action %u under token %llu: intended under %llu", n->index, e->action,
               (unsigned long long)n->core.token.rev, (unsigned long long)w->store.history[slot].token.rev);
    if (w->store.down_since >= 0 && w->now - w->store.down_since > w->config.t.lease)
        broken(w, 8, "node %u begins action %u, and the store has had no quorum for %lld ms", n->index,
               e->action, (long long)(w->now - w->store.down_since));
    if (w->now - n->tilt_at < w->config.t.tilt - 100)
        broken(w, 13, "node %u begins action %u, and its clock jumped %lld ms ago", n->index, e->action,
               (long long)(w->now - n->tilt_at));
    if (e->op == ACTION_APPLY && n->denied_token[e->action] == n->core.token.rev)
        broken(w, 3, "node %u tries action %u again: a higher token stands there", n->index, e->action);
    if (a->step == STEP_PROMOTE && e->op == ACTION_APPLY && !vouched(w)) {
        uint8_t fenced = w->store.history[slot].fenced;

        if (fenced == 0)
            broken(w, 2, "node %u promotes (action %u), and nothing is fenced", n->index, e->action);
        else if (fenced == 2 && w->now - w->store.prepared_at < w->config.t.contract - 100)
            broken(w, 2, "node %u promotes %lld ms after the plan was committed: the contract is %d",
                   n->index, (long long)(w->now - w->store.prepared_at), w->config.t.contract);
        else if (from < w->n_regions && (w->commits >> from & 1) &&
                 w->store.record.epoch == n->core.record.epoch)
            broken(w, 2, "node %u promotes, fenced by %u, and region %u can commit", n->index, fenced, from);
        if (boot < n->promised_until)
            broken(w, 2, "node %u promotes, and has promised a guard not to act for %lld ms more", n->index,
                   (long long)(n->promised_until - boot));
    }
    if (a->step == STEP_SWITCH && e->op == ACTION_APPLY) {
        uint32_t domains = 0;
        uint8_t classes = 0, to = n->core.record.plan.to;

        if (to >= w->n_regions)
            broken(w, 7, "node %u sends users to region %u, which is none", n->index, to);
        else if (!vouched(w) && count_votes(w, n, to, FO_UP, &domains, &classes) * 2 <= w->n_nodes)
            broken(w, 7, "node %u sends users to region %u, which a majority does not call UP", n->index, to);
    }
    if (n->core.record.plan.kind == FO_DRILL && !(a->on >> FO_DRILL & 1))
        broken(w, 25, "node %u: action %u is not for drills", n->index, e->action);
}

/* A plan about to be committed by this node: what stands behind it (9, 11, 13, 23, 25). */
void check_ask_store(struct world *w, struct node *n)
{
    const struct fo_record *r = &n->core.next, *b = &n->core.record;
    const struct fo_plan *p = &r->plan;
    const struct fo_region_facts *f;
    uint32_t domains = 0, up_domains = 0;
    uint8_t classes = 0, up_classes = 0;
    int64_t boot = node_boot(w, n), wall = node_wall(w, n);
    int down, up;

    if (r->epoch == b->epoch || p->epoch != r->epoch || r->status != FO_PLAN)
        return;
    if (p->from >= w->n_regions || p->to >= w->n_regions || p->from == p->to) {
        broken(w, 4, "node %u plans a move from %u to %u", n->index, p->from, p->to);
        return;
    }
    if (p->kind == FO_DRILL && (w->alarm > 0 || w->out_of_window > 0) &&
        (n->core.facts.blocking_alarm || !n->core.facts.in_window))
        broken(w, 25, "node %u begins a drill, and an alarm forbids it", n->index);
    if (!p->automatic)
        return;
    f = &n->core.facts.region[p->to];
    down = count_votes(w, n, p->from, FO_DOWN, &domains, &classes);
    up = count_votes(w, n, p->to, FO_UP, &up_domains, &up_classes);
    domains &= ~(1u << p->from);
    if (!w->config.gray_auto) {
        if (down * 2 <= w->n_nodes)
            broken(w, 9, "node %u moves by itself: %d of %u say DOWN", n->index, down, w->n_nodes);
        else if (__builtin_popcount(domains) < 2)
            broken(w, 9, "node %u moves by itself: DOWN is said in %d other places", n->index,
                   __builtin_popcount(domains));
        else if (__builtin_popcount(classes & FO_HARD) < 2)
            broken(w, 9, "node %u moves by itself: on one class of evidence (%x)", n->index, classes);
    }
    if (up * 2 <= w->n_nodes)
        broken(w, 11, "node %u moves to region %u, which %d of %u call UP (verdict %u, classes %x)", n->index,
               p->to, up, w->n_nodes, n->heard[n->index].vote.verdict[p->to],
               n->heard[n->index].vote.classes[p->to]);
    if (w->now - n->tilt_at < w->config.t.tilt - 100)
        broken(w, 13, "node %u moves by itself, and its clock jumped", n->index);
    if (b->status == FO_HOLD_STATUS && b->hold_until > wall)
        broken(w, 13, "node %u moves by itself in hold-down", n->index);
    if (b->lock.until > wall || b->maintenance.until > wall ||
        (b->must_not.until > wall && b->must_not.region == p->to))
        broken(w, 13, "node %u moves by itself against a suppression", n->index);
    if (w->config.automation != FO_AUTO && !(b->automation.until > wall && b->automation.region == FO_AUTO))
        broken(w, 13, "node %u moves by itself: automation is %s", n->index,
               fo_automation_name(w->config.automation));
    if (b->automation.until > wall && b->automation.region != FO_AUTO)
        broken(w, 13, "node %u moves by itself: people have taken that from it", n->index);
    if (!w->config.auto_ok)
        broken(w, 13, "node %u moves by itself: the layout forbids it", n->index);
    if (boot < n->promised_until)
        broken(w, 13, "node %u moves by itself, and has promised a guard not to", n->index);
    if (f->ready_at == 0 || boot - f->ready_at > w->config.t.ready_age || f->blockers != 0)
        broken(w, 23, "node %u moves to a region that is not known to be ready", n->index);
    if (!f->synchronous && (f->lag_at == 0 || f->lag_ms < 0) && !w->config.accept_unknown_lag)
        broken(w, 23, "node %u moves to a region whose lag is not known", n->index);
    /* An embedded store is the guards' only way to a lease: cut off from it they stop the service, which is down then. */
    if (w->scenario == SCENARIO_CONFINED && !(w->config.local && !(w->commits >> b->active & 1)))
        broken(w, 12, "node %u moves by itself for a fault confined to a voter, a link, or another region",
               n->index);
}

static bool live(const struct fo_record *r)
{
    return r->status == FO_PLAN || r->status == FO_UNDO_STATUS;
}

static void check_suppression(struct world *w, const char *name, const struct fo_suppression *s, int64_t wall)
{
    if (s->until > wall + 24 * 3600000LL + 400000)
        broken(w, 18, "%s ends only in %lld s", name, (long long)(s->until - wall) / 1000);
}

static void check_undone(struct world *w, const struct fo_record *r)
{
    const struct fo_plan *p = &r->plan;

    if (r->writer != (p->was_fenced ? FO_NONE : p->from) || r->active != p->from)
        broken(w, 22, "plan %u was taken back: writer %u, active %u, and it began at %u", r->epoch, r->writer,
               r->active, p->from);
    for (uint8_t i = 0; i < w->config.n_actions; i++) {
        if (w->config.actions[i].step == STEP_SWITCH && w->targets[i].epoch == r->epoch)
            broken(w, 22, "plan %u was taken back, and target %u was changed", r->epoch, i);
        if (w->config.actions[i].step == STEP_FENCE && w->config.actions[i].undo && !w->late_calls &&
            p->phase[i] == FO_UNDONE && p->from < w->n_regions &&
            (w->regions[p->from].fenced_by >> (i & 7) & 1) && w->targets[i].twice == 0)
            broken(w, 22, "plan %u was taken back, and region %u is still fenced by action %u", r->epoch,
                   p->from, i);
    }
}

/* 4, 14, 16, 18, 22 and the budget of 13. */
void check_commit(struct world *w, struct node *n, const struct fo_record *b, const struct fo_record *r)
{
    const struct fo_plan *p = &r->plan;
    int64_t wall = node_wall(w, n);
    bool begins = r->epoch != b->epoch && r->status == FO_PLAN;

    if (r->epoch < b->epoch || r->epoch > b->epoch + 1)
        broken(w, 4, "epoch %u after %u", r->epoch, b->epoch);
    if (r->epoch != b->epoch && live(b) && !w->broke_glass)
        broken(w, 4, "epoch %u begins while plan %u is live", r->epoch, b->epoch);
    if (r->epoch == b->epoch && b->plan.epoch == b->epoch && p->epoch == b->plan.epoch &&
        (p->from != b->plan.from || p->to != b->plan.to || p->kind != b->plan.kind ||
         p->automatic != b->plan.automatic) &&
        b->epoch != 0 && b->status != FO_STEADY_STATUS)
        broken(w, 4, "plan %u has become another one", r->epoch);
    if (r->epoch == b->epoch && b->plan.past_no_return && b->plan.epoch == b->epoch && live(b) &&
        (r->status == FO_UNDO_STATUS || !p->past_no_return || (r->writer != p->to && !w->broke_glass)))
        broken(w, 16, "plan %u was past no return: now status %u, writer %u", r->epoch, r->status, r->writer);
    if (begins) {
        w->plans++;
        w->m->plans[p->kind < FO_KINDS ? p->kind : 0]++;
        if (r->writer != FO_NONE)
            broken(w, 2, "plan %u begins with writer %u", r->epoch, r->writer);
    }
    if (begins && p->automatic) {
        w->m->automatic++;
        w->automatic_plans++;
        if (w->automatic_plans > w->config.budget_day)
            broken(w, 13, "%u moves by itself within a day; the budget is %u", w->automatic_plans,
                   w->config.budget_day);
        if (p->to == w->last_auto_from && p->from == w->last_auto_to && w->commands == w->commands_then)
            broken(w, 14, "moves from %u back to %u by itself", p->from, p->to);
        w->last_auto_from = p->from;
        w->last_auto_to = p->to;
        w->commands_then = w->commands;
    }
    if (b->status == FO_UNDO_STATUS && r->status == FO_STEADY_STATUS && r->epoch == b->epoch) {
        w->m->undone++;
        if (p->automatic) {
            w->automatic_plans--;
            w->last_auto_from = w->last_auto_to = FO_NONE;
        }
        check_undone(w, r);
    }
    if (b->status != FO_HOLD_STATUS && r->status == FO_HOLD_STATUS) {
        w->m->ended[p->kind < FO_KINDS ? p->kind : 0]++;
        w->m->contract += p->fenced == 2;
        w->m->proofs += p->fenced == 1;
    }
    if (b->status != FO_STUCK_STATUS && r->status == FO_STUCK_STATUS) {
        w->m->stuck++;
        if (r->stuck_reason == FO_R_NONE || r->stuck_reason >= FO_REASONS)
            broken(w, 19, "stuck, and nobody knows why");
    }
    check_suppression(w, "lock", &r->lock, wall);
    check_suppression(w, "must_not", &r->must_not, wall);
    check_suppression(w, "maintenance", &r->maintenance, wall);
    check_suppression(w, "automation", &r->automation, wall);
}

/* 19 */
void check_step(struct world *w, struct node *n, const struct fo_effects *out)
{
    const struct fo *s = &n->core;

    if (out->lost > 0)
        broken(w, 5, "node %u: %u effects did not fit", n->index, out->lost);
    if (s->state == FO_S_BLOCKED || s->state == FO_S_STUCK) {
        bool helps = false;

        for (fo_reasons r = s->reasons; r != 0; r &= r - 1)
            helps |= fo_reason_command((enum fo_reason)__builtin_ctzll(r))[0] != '\0';
        if (s->reasons == 0)
            broken(w, 19, "node %u is %s without a reason", n->index, fo_state_name(s->state));
        else if (n->pages == 0)
            broken(w, 19, "node %u is %s, and nobody was told", n->index, fo_state_name(s->state));
        else if (!helps && s->state == FO_S_STUCK)
            broken(w, 19, "node %u is %s (%llx), and no command helps", n->index, fo_state_name(s->state),
                   (unsigned long long)s->reasons);
    }
}

/* 3: what a target that compares has accepted. */
void check_accepted(struct world *w, const struct call *c)
{
    const struct target *t = &w->targets[c->action];

    if (t->cas && fencing_cmp(c->token, t->found) < 0)
        broken(w, 3, "target %u takes token %llu after %llu", c->action, (unsigned long long)c->token.rev,
               (unsigned long long)t->found.rev);
}

/* 10 */
void check_promotion(struct world *w, uint8_t region, int64_t loss)
{
    const struct fo_plan *p = &w->store.record.plan;
    int64_t limit = w->config.t.rpo;

    if (p->to != region || w->config.accept_unknown_lag || vouched(w))
        return;
    if (p->kind != FO_FAILOVER)
        limit = 0;
    if (p->accepted_loss_ms > limit)
        limit = p->accepted_loss_ms;
    if (loss > limit + 2500)
        broken(w, 10, "%lld ms of writes are lost; the limit is %lld, accepted %lld", (long long)loss,
               (long long)limit, (long long)p->accepted_loss_ms);
}

/* 17, 24: a second core that hears the same is the same. */
void check_twin(struct world *w, struct node *n, const struct fo_event *e, const struct fo_effects *out)
{
    struct fo_effects again;
    struct fo_event copy;

    memset(&copy, 0x5a, sizeof(copy));
    memcpy(&copy, e, sizeof(copy));
    memset(&again, 0x5a, sizeof(again));
    fo_step(&n->twin, &n->config, &copy, &again);
    if (memcmp(&n->twin, &n->core, sizeof(n->core)) != 0)
        broken(w, 24, "node %u: the same events give another state", n->index);
    else if (again.n != out->n || memcmp(again.v, out->v, out->n * sizeof(out->v[0])) != 0)
        broken(w, 24, "node %u: the same events give other effects", n->index);
}

/* ---- the end: after all faults but one region's death, everything settles (20, 21) ---- */

static const fo_reasons patience =
    FO_BIT(FO_R_AUTOMATION) | FO_BIT(FO_R_LOCKED) | FO_BIT(FO_R_MAINTENANCE) | FO_BIT(FO_R_MUST_NOT) |
    FO_BIT(FO_R_HOLD) | FO_BIT(FO_R_BUDGET_DAY) | FO_BIT(FO_R_BUDGET_WEEK) | FO_BIT(FO_R_FLAP) |
    FO_BIT(FO_R_LAG_UNKNOWN) | FO_BIT(FO_R_RPO) | FO_BIT(FO_R_LEFT) | FO_BIT(FO_R_STEP_FAILED) |
    FO_BIT(FO_R_STEP_DENIED) | FO_BIT(FO_R_STEP_CONFLICT) | FO_BIT(FO_R_NO_FENCE) | FO_BIT(FO_R_FENCE_FAILED);

static int alive_voters(const struct world *w)
{
    int n = 0;

    for (uint8_t i = 0; i < w->n_nodes; i++)
        n += w->nodes[i].domain != w->dead_for_good;
    return n;
}

static bool enough_see_it(const struct world *w)
{
    uint32_t domains = 0;

    for (uint8_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].domain != w->dead_for_good)
            domains |= 1u << w->nodes[i].domain;
    return alive_voters(w) * 2 > w->n_nodes && __builtin_popcount(domains) >= 2;
}

static bool somebody_may_lead(const struct world *w)
{
    for (uint8_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].domain != w->dead_for_good && w->nodes[i].may_lead)
            return true;
    return false;
}

static const struct node *leader(const struct world *w)
{
    const struct node *found = NULL;

    for (uint8_t i = 0; i < w->n_nodes; i++) {
        const struct node *n = &w->nodes[i];

        if (n->domain == w->dead_for_good)
            continue;
        if (!n->alive || n->paused_until > w->now)
            return NULL;
        if (n->core.leading && w->store.held && w->store.holder == i && w->store.token == n->core.token.rev)
            found = n;
        else if (n->core.state != FO_S_FOLLOW)
            return NULL;
    }
    return found;
}

/* The region where users are is well, and may write. */
static bool served(const struct world *w)
{
    uint8_t a = w->store.record.active;

    return a < w->n_regions && region_well(w, a) && (w->commits >> a & 1) && w->store.record.writer == a &&
           routed(w) == a;
}

static bool settled(const struct world *w, const struct node *n)
{
    uint8_t status = w->store.record.status;
    bool dead = w->store.record.active == w->dead_for_good;

    if (w->broke_glass || w->skipped)
        return true; /* somebody has said by hand how things are, and was perhaps wrong */
    if (n == NULL || !w->store.known)
        return false;
    if (w->o.cuts && w->seed % PLANS_TRIED != TRIED_DEATH && w->store.record.plan.ended == 0 &&
        w->now < w->ends - 1000)
        return false; /* it has not been tried yet */
    if (w->dead_for_good != FO_NONE &&
        !enough_see_it(w)) /* those who are left are too few to say how things are */
        return n->core.state == FO_S_BLOCKED || n->core.state == FO_S_SUSPECT || n->core.state == FO_S_GRAY ||
               n->core.state == FO_S_STUCK || n->core.state == FO_S_VALIDATE || served(w);
    if (w->store.record.plan.past_no_return && w->store.record.plan.to == w->dead_for_good &&
        (status == FO_STUCK_STATUS || status == FO_PLAN)) /* only forward, and there is nothing: for people */
        return n->core.state == FO_S_STUCK;
    if (w->lied && w->store.record.plan.past_no_return && w->store.record.plan.to < w->n_regions &&
        w->regions[w->store.record.plan.to].fenced_by !=
            0) /* ordered back to where a fence still stands: for people */
        return n->core.state == FO_S_STUCK || n->core.state == FO_S_VALIDATE;
    if (live(&w->store.record))
        return false;
    if ((n->core.state == FO_S_STEADY || n->core.state == FO_S_HOLD) && served(w))
        return true;
    if (status == FO_STUCK_STATUS && n->core.state == FO_S_STUCK)
        return w->stranger || w->broke_glass;
    if (n->core.state == FO_S_BLOCKED && n->core.reasons & patience)
        return dead || w->late_calls || !served(w);
    if (n->core.state == FO_S_BLOCKED && w->store.record.must_not.until > node_wall(w, n))
        return true; /* somebody has forbidden the only way out */
    return false;
}

void check_end(struct world *w)
{
    const struct node *n = leader(w);
    struct marks *m = w->m;

    if (w->broken != 0 || w->converged_at >= 0 || w->now < w->heals + 15000)
        return;
    if (!somebody_may_lead(w)) {
        w->converged_at = w->now;
        return;
    }
    if (settled(w, n)) {
        int64_t took = w->now - w->heals;

        w->converged_at = w->now;
        w->converged_commits = w->commits;
        m->liveness++;
        m->converged_ms_sum += (uint64_t)took;
        if ((uint64_t)took > m->converged_most)
            m->converged_most = (uint64_t)took;
        m->converged[took / 10000 < 63 ? took / 10000 : 63]++;
        if (w->scenario == SCENARIO_DEATH && w->config.auto_ok && w->store.record.active == 0 &&
            enough_see_it(w) && !(n->core.reasons & ~FO_BIT(FO_R_NONE)))
            broken(w, 20, "region 0 is dead, and the service is still sent there");
        return;
    }
    if (w->now >= w->ends)
        broken(w, w->dead_for_good == FO_NONE ? 21 : 20,
               "not settled %lld s after all was well: leader %d in %s (%llx), status %u, active %u, writer "
               "%u, routed %u, "
               "commits %x",
               (long long)(w->now - w->heals) / 1000, n == NULL ? -1 : n->index,
               n == NULL ? "-" : fo_state_name(n->core.state),
               n == NULL ? 0ull : (unsigned long long)n->core.reasons, w->store.record.status,
               w->store.record.active, w->store.record.writer, routed(w), w->commits);
}
