/* The world of one seed: how it is laid out, who hears whom, what databases and users do, and the loop that runs it: a
 * phase in which faults come and go, then one in which everything but perhaps one dead region is well and the service has to
 * settle within a bound (check_end). */
#include "tests/sim/sim.h"

#include <stdlib.h>

#include "tests/unit/fo_production.h"

bool chance(struct world *w, uint32_t percent)
{
    return percent != 0 && rng_below(&w->rng, 100) < percent;
}

int64_t between(struct world *w, int64_t least, int64_t most)
{
    return most <= least ? least : least + (int64_t)rng_below(&w->rng, (uint64_t)(most - least + 1));
}

/* ---- configuration ---- */

static int64_t draw(struct rng *r, int64_t least, int64_t most)
{
    return least + (int64_t)rng_below(r, (uint64_t)(most - least + 1));
}

static bool odds(struct rng *r, int percent)
{
    return (int)rng_below(r, 100) < percent;
}

static void lay_out_times(struct fo_times *t, struct rng *r)
{
    /* What safety rests on has its production value; what only takes long is shorter, so that a seed is a quarter of an
     * hour and not a day. */
    *t = fo_production;
    t->boot = 30000;
    t->gray_page = 20000;
    t->gray_clear = 20000;
    t->gray_auto = 60000;
    t->catchup = 30000;
    t->ready_age = 100000;
    t->warm = 20000;
    t->validate = 15000;
    t->validate_most = 90000;
    t->failback_green = 40000;
    t->suspect_clear = (int32_t)draw(r, 5, 15) * 1000;
    t->target_up = (int32_t)draw(r, 2, 4) * 10000;
    t->rpo = (int32_t)draw(r, 2, 6) * 10000;
    t->hold = (int32_t)draw(r, 3, 8) * 10000;
    t->plan_most = (int32_t)draw(r, 3, 24) * 10000;
}

/* Draws are made one after the other: C leaves the order of arguments and initialisers to the compiler. */
static void add_action(struct world *w, struct rng *r, enum plan_step step, int required, bool proves,
                       int undo)
{
    struct fo_config *c = &w->config;
    struct fo_action *a = &c->actions[c->n_actions];
    struct target *t = &w->targets[c->n_actions];

    a->step = (uint8_t)step;
    a->required = odds(r, required);
    a->proves = proves;
    a->undo = odds(r, undo);
    a->on = (uint8_t)(1 + 2 * draw(r, 0, 3));
    if (step == STEP_PROMOTE || step == STEP_SWITCH || odds(r, 80))
        a->on = 7;
    a->timeout_ms = (int32_t)draw(r, 2, 9) * 1000;
    a->patience_ms = (int32_t)draw(r, 20, 60) * 1000;
    t->value = step == STEP_SWITCH ? 0 : FO_NONE;
    t->inside = odds(r, 50);
    t->hollow = step == STEP_FENCE && !proves && odds(r, 50);
    t->cas = odds(r, 50) || step == STEP_SWITCH;
    snprintf(w->names.action[c->n_actions], FO_NAME, "%s-%u", plan_step_name(step), c->n_actions);
    c->n_actions++;
}

static void lay_out_actions(struct world *w, struct rng *r)
{
    bool proof = odds(r, 45);

    if (proof || odds(r, 10))
        add_action(w, r, STEP_FENCE, 80, proof, 90);
    if (odds(r, 25))
        add_action(w, r, STEP_CATCHUP, 50, false, 50);
    w->promotes = w->config.n_actions;
    add_action(w, r, STEP_PROMOTE, 100, false, 0);
    if (odds(r, 35))
        add_action(w, r, STEP_PROMOTE, 0, false, 0);
    if (odds(r, 40))
        add_action(w, r, STEP_WARM, 30, false, 0);
    if (odds(r, 50))
        add_action(w, r, STEP_TEST, 80, false, 0);
    add_action(w, r, STEP_SWITCH, 100, false, 50);
    if (odds(r, 25))
        add_action(w, r, STEP_SWITCH, 0, false, 0);
    if (odds(r, 40))
        add_action(w, r, STEP_VALIDATE, 60, false, 0);
    if (odds(r, 40))
        add_action(w, r, STEP_TIDY, 0, false, 0);
}

static void lay_out_nodes(struct world *w, struct rng *r)
{
    struct fo_config *c = &w->config;
    bool well_placed = odds(r, 85);
    uint32_t domains = 0, outside = 0;
    int leaders = 0;

    for (uint8_t i = 0; i < w->n_nodes; i++) {
        struct node *n = &w->nodes[i];

        n->index = i;
        n->domain = (uint8_t)(i < 2 || !well_placed ? i % w->n_regions
                              : i == 2              ? w->n_regions
                                                    : draw(r, 0, w->n_domains - 1));
        n->may_lead = i == 1 || odds(r, 80);
        leaders += n->may_lead;
        c->voter_domain[i] =
            n->domain < w->n_regions ? n->domain : (uint8_t)(FO_REGIONS + n->domain - w->n_regions);
        domains |= 1u << n->domain;
        outside += n->domain != 0;
        n->boot_off = draw(r, 1000000, 1000000000);
        n->wall_off = 1790000000000 + draw(r, -1500, 1500);
        n->drift_ppm = (int32_t)draw(r, -100, 100);
        snprintf(w->names.voter[i], FO_NAME, "v%u", i);
    }
    if (leaders < 2)
        w->nodes[0].may_lead = true;
    if (odds(r, 6)) { /* an embedded store: one controller, outside home */
        c->local = 1;
        for (uint8_t i = 0; i < w->n_nodes; i++)
            w->nodes[i].may_lead = i == 1;
    }
    c->auto_ok = __builtin_popcount(domains) >= 3 && outside >= 2;
}

static bool has_node(const struct world *w, uint8_t domain)
{
    for (uint8_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].domain == domain)
            return true;
    return false;
}

static void lay_out(struct world *w, struct rng *r)
{
    struct fo_config *c = &w->config;
    bool all_guarded = odds(r, 75), proof = false;

    w->n_regions = (uint8_t)draw(r, 2, SIM_REGIONS);
    w->n_domains = (uint8_t)(w->n_regions + draw(r, 1, 3));
    w->n_nodes = (uint8_t)(odds(r, 40) ? 3 : odds(r, 70) ? 5 : draw(r, 3, SIM_NODES));
    c->n_regions = w->n_regions;
    c->n_voters = w->n_nodes;
    c->automation = (uint8_t)(odds(r, 80) ? FO_AUTO : odds(r, 75) ? FO_PROPOSE : FO_OBSERVE);
    c->fence_required = odds(r, 97);
    c->gray_auto = odds(r, 30);
    c->accept_unknown_lag = odds(r, 5);
    c->budget_day = (uint8_t)draw(r, 1, 2);
    c->budget_week = (uint8_t)draw(r, 1, 3);
    snprintf(w->names.service, FO_NAME, "app");
    for (uint8_t i = 0; i < w->n_regions; i++) {
        snprintf(w->names.region[i], FO_NAME, "r%u", i);
        if (all_guarded || odds(r, 30)) {
            c->guarded |= (uint8_t)(1u << i);
            c->n_guards[i] = (uint8_t)draw(r, 1, 2);
        }
    }
    lay_out_times(&c->t, r);
    lay_out_nodes(w, r);
    lay_out_actions(w, r);
    for (uint8_t i = 0; i < c->n_actions; i++)
        proof |= c->actions[i].step == STEP_FENCE && c->actions[i].proves && c->actions[i].required &&
                 (c->actions[i].on & 1);
    if (!(proof || (all_guarded && !c->local)))
        c->auto_ok = 0;
    if (w->scenario == SCENARIO_DEATH) {
        c->automation = FO_AUTO;
        c->fence_required = 1;
    }
    w->votes = (struct vote_config){.n_regions = w->n_regions,
                                    .n_canaries = 3,
                                    .has_users = 1,
                                    .has_database = 1,
                                    .tick_ms = 5000,
                                    .fast_ms = 1000,
                                    .down_probes = 3,
                                    .up_probes = 5,
                                    .up_ms = 20000,
                                    .phi_milli = 8000,
                                    .users_window_ms = 20000,
                                    .users_least = 30,
                                    .users_bad_ppm = 500000,
                                    .users_good_ppm = 900000,
                                    .gray_ms = 20000,
                                    .database_ms = 10000,
                                    .tilt_ms = 30000};
    w->votes.has_users = odds(r, 75);
    w->votes.has_database = odds(r, 60);
    /* the configuration check asks for a second class of evidence */
    for (uint8_t i = 0; i < w->n_regions; i++)
        w->votes.has_users |= !w->votes.has_database && !has_node(w, i);
    for (uint8_t i = 0; i < w->n_regions; i++)
        w->votes.n_probes[i] = (uint8_t)draw(r, 1, 2);
}

/* ---- links ---- */

bool linked(const struct world *w, uint8_t from, uint8_t to)
{
    if ((from < w->n_regions && w->regions[from].dead) || (to < w->n_regions && w->regions[to].dead))
        return false;
    if (from == to)
        return true;
    if ((from < w->n_regions && w->regions[from].cut) || (to < w->n_regions && w->regions[to].cut))
        return false;
    return w->links[from][to].cuts == 0 && w->links[from][to].flap_down == 0;
}

bool reach(struct world *w, uint8_t from, uint8_t to)
{
    return linked(w, from, to) && !chance(w, w->links[from][to].loss);
}

int64_t delay(struct world *w, uint8_t from, uint8_t to)
{
    return from == to ? 1 : 20 + (int64_t)(rng_next(&w->rng) & 31) + w->links[from][to].more;
}

/* ---- databases and users ---- */

uint8_t routed(const struct world *w)
{
    for (uint8_t i = 0; i < w->config.n_actions; i++)
        if (w->config.actions[i].step == STEP_SWITCH)
            return w->targets[i].value;
    return FO_NONE;
}

bool region_well(const struct world *w, uint8_t r)
{
    return !w->regions[r].dead && !w->regions[r].service_down && !w->regions[r].flapping;
}

bool region_commits(const struct world *w, uint8_t r)
{
    const struct region *g = &w->regions[r];

    return !g->dead && g->writable && g->fenced_by == 0 && guards_let(w, r);
}

/* The region whose writes are the newest: the source that replicas follow. */
uint8_t source(const struct world *w)
{
    uint8_t best = 0;

    for (uint8_t i = 1; i < w->n_regions; i++)
        if (w->regions[i].lineage > w->regions[best].lineage)
            best = i;
    return best;
}

/* Writes are counted by the time that they took: a region that stands still loses nothing more. */
static int64_t written(const struct world *w)
{
    return w->wrote + (w->commits >> source(w) & 1 ? w->now - w->wrote_at : 0);
}

int64_t lag_of(const struct world *w, uint8_t r)
{
    int64_t all = written(w);

    return source(w) == r || all <= w->regions[r].applied ? 0 : all - w->regions[r].applied;
}

void world_changed(struct world *w)
{
    uint8_t now = 0;

    w->wrote = written(w);
    w->wrote_at = w->now;
    for (uint8_t i = 0; i < w->n_regions; i++) {
        if (w->commits & (1u << i))
            w->last_write[i] = w->now;
        if (region_commits(w, i))
            now |= (uint8_t)(1u << i);
    }
    if (now != w->commits) {
        trace(w, NULL, "regions that can commit: %x -> %x", w->commits, now);
        w->commits = now;
    }
    check_commits(w);
}

/* Each second: replicas follow, people rebuild what was left behind. */
static void replicate(struct world *w)
{
    uint8_t s = source(w);

    world_changed(w);
    for (uint8_t i = 0; i < w->n_regions; i++) {
        struct region *g = &w->regions[i];

        if (i == s || g->dead)
            continue;
        if (g->writable) { /* it has writes of its own: fenced, and built anew once the service is settled elsewhere */
            if (!region_commits(w, i) && region_commits(w, s) && w->store.record.writer == s &&
                w->store.record.status != FO_PLAN && w->store.record.status != FO_UNDO_STATUS &&
                linked(w, s, i) && chance(w, 10)) {
                g->writable = false;
                g->fenced_by = 0;
                g->applied = w->wrote - 1000;
                g->promoting = 0;
                trace(w, NULL, "region %u is built anew as a replica", i);
            }
            continue;
        }
        if (g->promoting != 0 || !linked(w, s, i))
            continue;
        g->heard = w->now;
        g->applied += g->lag_rate == 0         ? 20000
                      : !(w->commits >> s & 1) ? 500
                      : g->lag_rate < 1000     ? 1000 - g->lag_rate
                                               : 0;
        if (g->applied > w->wrote - (w->commits >> s & 1 ? 300 : 0))
            g->applied = w->wrote - (w->commits >> s & 1 ? 300 : 0);
    }
}

/* ---- the run ---- */

static void begin(struct world *w, struct rng *r)
{
    for (uint8_t i = 0; i < w->n_regions; i++)
        w->regions[i].applied = 0;
    w->regions[0].writable = true;
    w->regions[0].lineage = 1;
    w->store.away_until = -1;
    w->store.down_since = -1;
    w->store.rev = 100;
    w->store.life = 1;
    w->dead_for_good = FO_NONE;
    w->last_auto_from = w->last_auto_to = FO_NONE;
    w->converged_at = -1;
    if (odds(r, 50)) { /* a service that has run before */
        struct fo_record *k = &w->store.record;

        w->store.known = true;
        w->store.record_rev = 90;
        w->store.ever = true;
        k->version = 1;
        k->epoch = 1;
        k->active = k->writer = 0;
        k->status = FO_STEADY_STATUS;
        k->token = (struct fencing){1, 50};
        k->plan.accepted_loss_ms = k->plan.loss_ms = -1;
        k->plan.from = k->plan.to = FO_NONE;
        k->lock.region = k->must_not.region = k->maintenance.region = k->automation.region = FO_NONE;
    }
    guards_init(w);
    for (uint8_t i = 0; i < w->n_nodes; i++)
        queue_push(w, draw(r, 0, 1500), (struct item){.kind = I_RESTART, .node = i, .inc = w->nodes[i].inc});
    for (uint8_t i = 0; i < w->n_faults; i++)
        if (!(w->o.dropped & (UINT64_C(1) << i)) && w->faults[i].when < FO_STATES) {
            w->waiting |= UINT64_C(1) << i;
        } else if (!(w->o.dropped & (UINT64_C(1) << i))) {
            queue_push(w, w->faults[i].from, (struct item){.kind = I_FAULT, .a = i});
            if (w->faults[i].until < INT64_MAX)
                queue_push(w, w->faults[i].until, (struct item){.kind = I_MENDED, .a = i});
        }
    queue_push(w, 1000, (struct item){.kind = I_REBUILD});
    queue_push(w, w->heals, (struct item){.kind = I_HEAL});
    queue_push(w, w->ends, (struct item){.kind = I_END});
}

void world_init(struct world *w, uint64_t seed, const struct options *o, struct marks *m)
{
    struct rng config, faults;
    uint64_t kind = seed % 20;

    memset(w, 0, offsetof(struct world, q));
    memset((char *)w + offsetof(struct world, n_nodes), 0, sizeof(*w) - offsetof(struct world, n_nodes));
    w->seed = seed;
    w->o = *o;
    w->m = m;
    rng_seed(&w->rng, seed * 3 + 1);
    rng_seed(&config, seed * 3 + 2);
    rng_seed(&faults, seed * 3 + 3);
    w->scenario = o->cuts     ? SCENARIO_DEATH
                  : kind < 3  ? SCENARIO_CONFINED
                  : kind == 3 ? SCENARIO_DEATH
                  : kind < 6  ? SCENARIO_COMMANDS
                              : SCENARIO_SWARM;
    queue_init(&w->q);
    lay_out(w, &config);
    faults_choose(w, &faults);
    begin(w, &config);
    m->seeds++;
}

static void to_node(struct world *w, struct item *it)
{
    struct node *n = &w->nodes[it->node];

    if (it->kind == I_RESTART) {
        if (!n->alive && it->inc == n->inc) {
            if (n->domain < w->n_regions && w->regions[n->domain].dead)
                return; /* it comes back with its region */
            node_start(w, n);
        }
        return;
    }
    if (!n->alive || it->inc != n->inc) { /* nobody is there to hear it */
        if (it->kind == I_REPLY)
            w->requests[it->a].answered = true;
        if (it->kind == I_RESULT)
            w->calls[it->a].answered = true;
        return;
    }
    if (n->paused_until > w->now) {
        queue_push(w, n->paused_until, *it);
        return;
    }
    if (w->now - n->last_turn > 2000 && it->kind != I_WAKE)
        node_anomaly(w, n); /* the loop sees the gap before anything else */
    n->last_turn = w->now;
    switch (it->kind) {
    case I_TICK: node_tick(w, n); break;
    case I_LOOK:
        if (it->a == n->looks)
            node_look(w, n);
        break;
    case I_FACTS: node_facts(w, n); break;
    case I_WORD: node_word(w, n, it); break;
    case I_REPLY: store_reply(w, &w->requests[it->a]); break;
    case I_RESULT: call_result(w, &w->calls[it->a]); break;
    case I_ASK: guard_ask(w, n, it); break;
    case I_READ: store_ask(w, n, OP_READ, 0, true); break;
    default: break;
    }
}

static void to_world(struct world *w, struct item *it)
{
    switch (it->kind) {
    case I_EXEC: store_exec(w, &w->requests[it->a]); break;
    case I_CALL: call_exec(w, &w->calls[it->a]); break;
    case I_ROUND:
        if (it->inc == w->guards[it->a].inc)
            guard_round(w, (uint8_t)it->a);
        break;
    case I_TOLD:
        if (it->inc == w->guards[it->a].inc)
            guard_told(w, it);
        break;
    case I_DEADLINE:
        if (it->inc == w->guards[it->a].inc)
            guard_deadline(w, (uint8_t)it->a);
        break;
    case I_FENCED:
        if (it->inc == w->guards[it->a].inc)
            guard_fenced(w, (uint8_t)it->a, it->y);
        break;
    case I_SERVE:
        if (it->inc == w->guards[it->a].inc)
            guard_serves(w, (uint8_t)it->a);
        break;
    case I_FAULT: fault_begin(w, (uint8_t)it->a); break;
    case I_MENDED: fault_end(w, (uint8_t)it->a); break;
    case I_FLAP:
        if (w->faults[it->a].kind == F_SERVICE_FLAP) {
            if (w->faults[it->a].until > w->now) {
                w->regions[w->faults[it->a].a].flapping ^= true;
                queue_push(w, w->now + w->faults[it->a].x, *it);
            }
        } else if (w->faults[it->a].until > w->now) {
            struct fault *f = &w->faults[it->a];

            w->links[f->a][f->b].flap_down ^= 1;
            w->links[f->b][f->a].flap_down ^= 1;
            queue_push(w, w->now + f->x, *it);
        } else
            w->links[w->faults[it->a].a][w->faults[it->a].b].flap_down =
                w->links[w->faults[it->a].b][w->faults[it->a].a].flap_down = 0;
        break;
    case I_PROMOTED: promoted(w, (uint8_t)it->a); break;
    case I_REBUILD:
        replicate(w);
        if (w->o.cuts && w->seed % PLANS_TRIED != TRIED_DEATH && w->now >= 95000 && w->now / 1000 % 10 == 0)
            order_again(w);
        if (w->healed) {
            check_end(w);
            if (w->now > w->heals + 30000 && w->now / 1000 % 20 == 0)
                operator_helps(w);
        }
        queue_push(w, w->now + 1000, *it);
        break;
    case I_HEAL:
        trace(w, NULL, "---- all faults end; region dead for good: %d",
              w->dead_for_good == FO_NONE ? -1 : w->dead_for_good);
        w->healed = true;
        break;
    default: break;
    }
}

bool world_run(struct world *w)
{
    struct item it;
    int64_t at;

    while (w->broken == 0 && queue_pop(&w->q, &at, &it)) {
        w->now = at;
        if (it.kind == I_END) {
            check_end(w);
            break;
        }
        w->m->events++;
        switch (it.kind) {
        case I_TICK:
        case I_LOOK:
        case I_FACTS:
        case I_WORD:
        case I_REPLY:
        case I_RESULT:
        case I_ASK:
        case I_READ:
        case I_WAKE:
        case I_RESTART: to_node(w, &it); break;
        default: to_world(w, &it); break;
        }
        if (w->converged_at >= 0 && w->now >= w->converged_at + 5000)
            break;
    }
    return w->broken == 0;
}
