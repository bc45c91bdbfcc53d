/* Which faults a seed gets. Each seed draws a small subset of kinds first and its faults from those alone ("swarm testing",
 * Groce et al. 2012): a seed in which everything fails at once rarely gets far, and never shows what two faults do
 * together. The list stands before the run begins, so that it can be made shorter while the violation stays. */
#include "tests/sim/sim.h"

static const struct {
    const char *name;
    uint8_t weight;
} kinds[FAULT_KINDS] = {
    [F_REGION_DEAD] = {"region-dead", 6},
    [F_REGION_CUT] = {"region-cut", 5},
    [F_LINK_CUT] = {"link-cut", 4},
    [F_LINK_FLAP] = {"link-flap", 2},
    [F_LINK_SLOW] = {"link-slow", 2},
    [F_LINK_LOSSY] = {"link-lossy", 2},
    [F_STORE_DOWN] = {"store-down", 3},
    [F_STORE_CUT] = {"store-cut", 4},
    [F_STORE_LEADER] = {"store-leader", 3},
    [F_STORE_REVOKE] = {"store-revoke", 3},
    [F_STORE_MUTE] = {"store-mute", 3},
    [F_STORE_LATE] = {"store-late", 3},
    [F_STORE_SLOW] = {"store-slow", 2},
    [F_SERVICE_DOWN] = {"service-down", 5},
    [F_GRAY] = {"gray", 3},
    [F_PROBES_LIE] = {"probes-lie", 2},
    [F_PROBE_ONE] = {"probe-one", 2},
    [F_MUTED] = {"muted", 1},
    [F_NO_TRAFFIC] = {"no-traffic", 1},
    [F_LAG] = {"lag", 2},
    [F_LAG_SILENT] = {"lag-silent", 2},
    [F_PROMOTE_SLOW] = {"promote-slow", 2},
    [F_PROMOTE_FAIL] = {"promote-fail", 2},
    [F_CALL_LOST] = {"call-lost", 3},
    [F_CALL_MUTE] = {"call-mute", 3},
    [F_CALL_LATE] = {"call-late", 3},
    [F_CALL_TWICE] = {"call-twice", 2},
    [F_CALL_RETRY] = {"call-retry", 2},
    [F_CALL_DENIED] = {"call-denied", 1},
    [F_CALL_STRANGER] = {"call-stranger", 1},
    [F_CRASH] = {"crash", 5},
    [F_CRASH_AT] = {"crash-at", 5},
    [F_PAUSE] = {"pause", 5},
    [F_PAUSE_AT] = {"pause-at", 4},
    [F_CLOCK_STEP] = {"clock-step", 3},
    [F_CANARIES] = {"canaries", 2},
    [F_GUARD_DIE] = {"guard-die", 2},
    [F_GUARD_SLEEP] = {"guard-sleep", 2},
    [F_NOT_READY] = {"not-ready", 1},
    [F_READINESS_OLD] = {"readiness-old", 1},
    [F_ALARM] = {"alarm", 1},
    [F_MOVING] = {"moving", 1},
    [F_CALL_CONFLICT] = {"call-conflict", 1},
    [F_SERVICE_FLAP] = {"service-flap", 2},
    [F_COMMAND] = {"command", 4},
};

const char *fault_name(uint8_t kind)
{
    return kind < FAULT_KINDS ? kinds[kind].name : "?";
}

static int64_t draw(struct rng *r, int64_t least, int64_t most)
{
    return most <= least ? least : least + (int64_t)rng_below(r, (uint64_t)(most - least + 1));
}

static void order(struct world *w, struct rng *r, struct fault *f)
{
    static const uint8_t often[] = {FO_C_SWITCHOVER, FO_C_SWITCHOVER, FO_C_SWITCHOVER, FO_C_START,
                                    FO_C_APPROVE,    FO_C_FAILBACK,   FO_C_FAILBACK,   FO_C_ABORT,
                                    FO_C_DRILL,      FO_C_RESUME};
    struct fo_order *o = &w->orders[w->n_orders];

    memset(o, 0, sizeof(*o));
    o->command = (uint8_t)(draw(r, 0, 99) < 60 ? often[draw(r, 0, (int64_t)sizeof(often) - 1)]
                                               : draw(r, 0, FO_COMMANDS - 1));
    if (o->command == FO_C_BREAK_GLASS && draw(r, 0, 3) != 0)
        o->command = FO_C_ACK;
    o->region = (uint8_t)(draw(r, 0, 9) == 0 ? draw(r, 0, 255) : draw(r, 0, w->n_regions - 1));
    if (draw(r, 0, 4) == 0)
        o->region = FO_NONE;
    o->mode = (uint8_t)draw(r, 0, 2);
    o->action = (uint8_t)(draw(r, 0, 1) ? FO_NONE : draw(r, 0, w->config.n_actions - 1));
    o->fenced_by_hand = draw(r, 0, 5) == 0;
    o->id = 1000u + w->n_orders;
    o->accept_loss_ms = draw(r, 0, 2) == 0 ? draw(r, 0, 600000) : -1;
    o->until = draw(r, 0, 1) ? 0 : 1790000000000 + draw(r, 0, 1200000);
    snprintf(o->who, sizeof(o->who), "op");
    snprintf(o->why, sizeof(o->why), "seed");
    f->a = w->n_orders++;
    f->b = (uint8_t)draw(r, 0, w->n_nodes); /* n_nodes: whoever leads */
}

static void fill(struct world *w, struct rng *r, struct fault *f)
{
    int64_t length = draw(r, 0, 2) == 0 ? draw(r, 500, 8000) : draw(r, 5000, 120000);

    f->a = (uint8_t)draw(r, 0, w->n_regions - 1);
    f->b = (uint8_t)draw(r, 0, w->n_domains - 1);
    f->from = draw(r, 35000, w->heals - 10000);
    switch (f->kind) {
    case F_REGION_DEAD:
    case F_REGION_CUT:
    case F_SERVICE_DOWN:
    case F_SERVICE_FLAP:
    case F_GRAY:
        f->a = (uint8_t)(draw(r, 0, 9) < 6 ? 0 : f->a);
        f->x = (int32_t)draw(r, 20000, 50000);
        length = f->kind == F_SERVICE_FLAP ? draw(r, 60000, 300000) : length;
        break;
    case F_LINK_CUT:
    case F_LINK_FLAP:
    case F_LINK_SLOW:
    case F_LINK_LOSSY:
        f->a = (uint8_t)draw(r, 0, w->n_domains - 1);
        f->x = (int32_t)(f->kind == F_LINK_CUT    ? draw(r, 0, 1)
                         : f->kind == F_LINK_FLAP ? draw(r, 500, 15000)
                         : f->kind == F_LINK_SLOW ? draw(r, 100, 4000)
                                                  : draw(r, 5, 60));
        break;
    case F_STORE_DOWN: length = draw(r, 500, 60000); break;
    case F_STORE_CUT: f->a = (uint8_t)draw(r, 0, w->n_domains - 1); break;
    case F_STORE_LEADER: f->x = (int32_t)draw(r, 200, 7000); break;
    case F_STORE_LATE:
    case F_STORE_MUTE: f->x = (int32_t)draw(r, 5, 60); break;
    case F_STORE_SLOW: f->x = (int32_t)draw(r, 50, 900); break;
    case F_PROBE_ONE: f->b = (uint8_t)draw(r, 0, w->n_nodes - 1); break;
    case F_LAG: f->x = (int32_t)draw(r, 300, 1500); break;
    case F_PROMOTE_SLOW: f->x = (int32_t)draw(r, 1000, 60000); break;
    case F_CALL_LOST:
    case F_CALL_MUTE:
    case F_CALL_LATE:
    case F_CALL_TWICE:
    case F_CALL_RETRY:
    case F_CALL_DENIED:
    case F_CALL_CONFLICT:
    case F_CALL_STRANGER:
        f->a = (uint8_t)draw(r, 0, w->config.n_actions - 1);
        f->x = (int32_t)draw(r, 20, 100);
        break;
    case F_CRASH:
    case F_CRASH_AT:
    case F_PAUSE:
    case F_PAUSE_AT:
    case F_CLOCK_STEP:
    case F_CANARIES:
        f->a = (uint8_t)draw(r, 0, w->n_nodes - 1);
        f->x = (int32_t)(f->kind == F_CRASH        ? draw(r, 200, 60000)
                         : f->kind == F_CLOCK_STEP ? draw(r, -300000, 300000)
                                                   : draw(r, 0, 12));
        break;
    case F_GUARD_DIE:
    case F_GUARD_SLEEP: f->a = (uint8_t)(w->n_guards ? draw(r, 0, w->n_guards - 1) : 0); break;
    case F_NOT_READY: f->x = (int32_t)draw(r, FO_R_CAPACITY, FO_R_ACTION); break;
    case F_ALARM: f->x = (int32_t)draw(r, 0, 1); break;
    case F_COMMAND: order(w, r, f); break;
    default: break;
    }
    f->until = f->from + length < w->heals ? f->from + length : w->heals;
    f->when = FO_STATES;
}

/* Some faults wait for the moment that hurts: the leader entering a state. */
static void at_state(struct world *w, struct rng *r, struct fault *f)
{
    if (f->until == INT64_MAX || f->kind == F_SERVICE_FLAP || f->kind == F_LINK_FLAP || draw(r, 0, 99) >= 30)
        return;
    f->when = (uint8_t)draw(r, FO_S_STEADY, FO_S_RESUME);
    f->until = f->until - f->from; /* its length, until then */
    f->from = draw(r, 35000, w->heals - 10000);
    if (f->kind == F_COMMAND && draw(r, 0, 2) == 0 && f->when != FO_S_STEADY) {
        static const uint8_t fit[] = {FO_C_ABORT, FO_C_BREAK_GLASS, FO_C_RESUME, FO_C_DRILL_ABORT, FO_C_SKIP};

        w->orders[f->a].command = fit[draw(r, 0, 4)];
        f->b = w->n_nodes;
    }
}

void faults_at_state(struct world *w, uint8_t state)
{
    for (uint64_t left = w->waiting; left != 0; left &= left - 1) {
        uint8_t i = (uint8_t)__builtin_ctzll(left);
        struct fault *f = &w->faults[i];
        int64_t length = f->until;

        if (f->when != state || w->now < f->from)
            continue;
        w->waiting &= ~(UINT64_C(1) << i);
        f->from = w->now + between(w, 0, 400);
        f->until = f->from + length < w->heals ? f->from + length : w->heals;
        if (f->from >= w->heals)
            continue;
        queue_push(w, f->from, (struct item){.kind = I_FAULT, .a = i});
        queue_push(w, f->until, (struct item){.kind = I_MENDED, .a = i});
    }
}

/* Faults that are no reason to move anything: one voter, one link, one evidence class, or one region that is not where
 * users are. */
static void confine(struct world *w, struct rng *r, struct fault *f)
{
    static const uint8_t harmless[] = {
        F_REGION_DEAD, F_REGION_CUT, F_LINK_CUT,     F_LINK_FLAP,    F_LINK_SLOW,  F_LINK_LOSSY,
        F_STORE_DOWN,  F_STORE_CUT,  F_STORE_LEADER, F_STORE_REVOKE, F_STORE_MUTE, F_PROBE_ONE,
        F_MUTED,       F_NO_TRAFFIC, F_LAG,          F_LAG_SILENT,   F_CRASH,      F_PAUSE,
        F_CLOCK_STEP,  F_CANARIES,   F_SERVICE_DOWN, F_GRAY,         F_PROBES_LIE};

    f->kind = harmless[draw(r, 0, (int64_t)sizeof(harmless) - 1)];
    fill(w, r, f);
    switch (f->kind) {
    case F_REGION_DEAD:
    case F_REGION_CUT:
    case F_SERVICE_DOWN:
    case F_GRAY:
    case F_PROBES_LIE: f->a = (uint8_t)draw(r, 1, w->n_regions - 1); break;
    case F_PROBE_ONE:
    default: break;
    }
}

static struct fault *another(struct world *w, struct rng *r, enum fault_kind kind)
{
    struct fault *f = &w->faults[w->n_faults++];

    f->kind = (uint8_t)kind;
    fill(w, r, f);
    return f;
}

/* A move that is begun, and orders and losses at its states: what a swarm seldom reaches. */
static void walk(struct world *w, struct rng *r)
{
    static const uint8_t begins[] = {FO_C_SWITCHOVER, FO_C_DRILL, FO_C_START};
    static const uint8_t fit[] = {FO_C_ABORT, FO_C_BREAK_GLASS, FO_C_RESUME, FO_C_DRILL_ABORT,
                                  FO_C_BREAK_GLASS};
    struct fault *f;

    for (int i = 0; i < 3; i++) {
        f = another(w, r, F_COMMAND);
        at_state(w, r, f);
    }
    if (draw(r, 0, 2) == 0) {
        f = another(w, r, draw(r, 0, 1) ? F_REGION_DEAD : F_GRAY);
        f->a = 0;
        f->from = draw(r, 50000, 80000);
        f->until = f->from + draw(r, 10000, 200000);
    } else {
        f = another(w, r, F_COMMAND);
        w->orders[f->a].command = begins[draw(r, 0, 2)];
        w->orders[f->a].region = (uint8_t)draw(r, 1, w->n_regions - 1);
        f->b = w->n_nodes;
        f->from = draw(r, 50000, 80000);
    }
    f->until = f->until < w->heals ? f->until : w->heals;
    if (draw(r, 0, 1) == 0) {
        f = another(w, r, draw(r, 0, 4) ? F_STORE_LATE : F_ALARM);
        f->from = 45000;
        f->until = w->heals;
    }
    for (int i = 0; i < 2; i++) {
        f = another(w, r, draw(r, 0, 2) ? F_COMMAND : draw(r, 0, 1) ? F_STORE_REVOKE : F_CALL_STRANGER);
        f->when = (uint8_t)draw(r, FO_S_SUSPECT, FO_S_RESUME);
        f->until = draw(r, 1000, 60000);
        f->from = 35000;
        if (f->kind != F_COMMAND)
            continue;
        w->orders[f->a].command = fit[draw(r, 0, 4)];
        w->orders[f->a].region = (uint8_t)draw(r, 0, w->n_regions - 1);
        f->b = w->n_nodes;
    }
}

static void swarm(struct world *w, struct rng *r)
{
    uint8_t chosen[FAULT_KINDS];
    int n = 0, total = 0, sum = 0;

    for (uint8_t k = 0; k < FAULT_KINDS; k++)
        if (draw(r, 0, 99) < 25 || (w->scenario == SCENARIO_COMMANDS && k == F_COMMAND)) {
            chosen[n++] = k;
            sum += kinds[k].weight;
        }
    if (n == 0) {
        chosen[n++] = F_REGION_DEAD;
        sum = kinds[F_REGION_DEAD].weight;
    }
    total = (int)draw(r, 1, w->scenario == SCENARIO_COMMANDS ? 8 : 20);
    for (int i = 0; i < total && w->n_faults < SIM_FAULTS; i++) {
        int64_t at = draw(r, 0, sum - 1);
        int k = 0;

        while (at >= kinds[chosen[k]].weight)
            at -= kinds[chosen[k++]].weight;
        w->faults[w->n_faults].kind = chosen[k];
        fill(w, r, &w->faults[w->n_faults]);
        at_state(w, r, &w->faults[w->n_faults++]);
    }
    if (w->scenario == SCENARIO_COMMANDS)
        walk(w, r);
}

void faults_choose(struct world *w, struct rng *r)
{
    bool forever = draw(r, 0, 99) < 25;

    /* guards are laid out after this: their number is known already */
    for (uint8_t i = 0; i < w->n_regions; i++)
        w->n_guards = (uint8_t)(w->n_guards + w->config.n_guards[i]);
    w->heals = draw(r, 90000, 400000);
    w->ends = w->heals + 500000;
    if (w->scenario == SCENARIO_CONFINED) {
        confine(w, r, &w->faults[w->n_faults++]);
    } else if (w->o.cuts && w->seed % PLANS_TRIED != TRIED_DEATH) {
        w->heals = 120000;
        w->ends = w->heals + 600000;
    } else if (w->scenario == SCENARIO_DEATH) {
        w->heals = 120000;
        w->ends = w->heals + (w->o.cuts ? 600000 : 400000);
        w->faults[w->n_faults++] = (struct fault){
            .kind = F_REGION_DEAD, .when = FO_STATES, .from = draw(r, 90000, 115000), .until = INT64_MAX};
    } else {
        swarm(w, r);
        if (forever && w->n_faults < SIM_FAULTS) {
            struct fault *f = &w->faults[w->n_faults++];

            f->kind = F_REGION_DEAD;
            f->when = FO_STATES;
            f->a = (uint8_t)draw(r, 0, w->n_regions - 1);
            if (draw(r, 0, 3) != 0)
                f->a = 0;
            f->from = draw(r, 60000, w->heals);
            f->until = INT64_MAX;
        }
    }
    w->n_guards = 0;
}

void faults_print(const struct world *w, FILE *to)
{
    for (uint8_t i = 0; i < w->n_faults; i++) {
        const struct fault *f = &w->faults[i];

        if (w->o.dropped >> i & 1)
            continue;
        fprintf(to, "  fault %2u %-14s a=%u b=%u x=%d from %lld", i, fault_name(f->kind), f->a, f->b, f->x,
                (long long)f->from);
        if (f->when < FO_STATES)
            fprintf(to, " when %s", fo_state_name(f->when));
        if (f->until < INT64_MAX)
            fprintf(to, " until %lld", (long long)f->until);
        if (f->kind == F_COMMAND)
            fprintf(to, " (%s region %d)", fo_command_name(w->orders[f->a].command), w->orders[f->a].region);
        fprintf(to, "\n");
    }
}

/* ---- what they do ---- */

static void region_dies(struct world *w, uint8_t a)
{
    world_changed(w);
    w->regions[a].dead++;
    w->regions[a].promoting = 0;
    for (uint8_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].domain == a && w->nodes[i].alive) {
            node_crash(w, &w->nodes[i], 1000);
        }
    for (uint8_t i = 0; i < w->n_guards; i++)
        if (w->guards[i].region == a) {
            w->guards[i].serving = w->guards[i].fencing = false;
            w->guards[i].inc++;
        }
    world_changed(w);
}

static void region_returns(struct world *w, uint8_t a)
{
    if (--w->regions[a].dead > 0)
        return;
    for (uint8_t i = 0; i < w->n_guards; i++)
        if (w->guards[i].region == a)
            guard_boot(w, i);
    for (uint8_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].domain == a && !w->nodes[i].alive)
            queue_push(w, w->now + between(w, 500, 20000),
                       (struct item){.kind = I_RESTART, .node = i, .inc = w->nodes[i].inc});
    world_changed(w);
}

static void give(struct world *w, const struct fo_order *o, uint8_t to)
{
    struct fo_event e = {.kind = FO_E_COMMAND, .u.order = *o};
    uint8_t k = to;

    if (k >= w->n_nodes) {
        k = 0;
        for (uint8_t i = 0; i < w->n_nodes; i++)
            if (w->nodes[i].alive && w->nodes[i].core.leading)
                k = i;
    }
    if (!w->nodes[k].alive || w->nodes[k].paused_until > w->now)
        return;
    w->m->command[e.u.order.command]++;
    w->commands++;
    check_told(w, &e.u.order);
    node_event(w, &w->nodes[k], &e);
}

/* Somebody wants one planned move, and says so until it has begun. */
void order_again(struct world *w)
{
    struct fo_order o = {.region = 1, .action = FO_NONE, .accept_loss_ms = -1, .id = 7000 + w->helped};

    if (w->store.record.epoch > 1 || (w->store.record.epoch == 1 && w->store.record.plan.epoch == 1))
        return;
    o.command = w->seed % PLANS_TRIED == TRIED_DRILL ? FO_C_DRILL : FO_C_SWITCHOVER;
    snprintf(o.who, sizeof(o.who), "human");
    give(w, &o, FO_NONE);
}

/* When all is well again, somebody reads the pages and does what they ask for. */
void operator_helps(struct world *w)
{
    struct fo_order o = {.region = FO_NONE, .action = FO_NONE, .accept_loss_ms = -1, .id = 5000 + w->helped};
    const struct fo_record *r = &w->store.record;

    if (r->status == FO_STUCK_STATUS && w->helped % 3 == 2 && !r->plan.past_no_return) {
        o.command = FO_C_SKIP; /* what could not be taken back is taken back by hand */
        w->regions[r->plan.from].fenced_by = 0;
        world_changed(w);
    } else if (r->status == FO_STUCK_STATUS)
        o.command = (uint8_t)(w->helped & 1 ? FO_C_RETRY : FO_C_RESUME);
    else if ((r->status == FO_STEADY_STATUS || r->status == FO_HOLD_STATUS) && r->writer == FO_NONE &&
             w->store.known) {
        o.command = FO_C_UNFENCE;
        o.region = r->active;
    } else
        return;
    w->helped++;
    snprintf(o.who, sizeof(o.who), "human");
    snprintf(o.why, sizeof(o.why), "paged");
    give(w, &o, FO_NONE);
}

void fault_begin(struct world *w, uint8_t i)
{
    struct fault *f = &w->faults[i];
    struct node *n = &w->nodes[f->a < w->n_nodes ? f->a : 0];
    struct target *t = &w->targets[f->a < FO_ACTIONS ? f->a : 0];

    w->m->fault[f->kind]++;
    trace(w, NULL, "fault %u begins: %s a=%u b=%u x=%d", i, fault_name(f->kind), f->a, f->b, f->x);
    switch (f->kind) {
    case F_REGION_DEAD:
        if (f->until == INT64_MAX)
            w->dead_for_good = f->a;
        region_dies(w, f->a);
        break;
    case F_REGION_CUT: w->regions[f->a].cut++; break;
    case F_LINK_CUT:
        w->links[f->a][f->b].cuts++;
        if (f->x)
            w->links[f->b][f->a].cuts++;
        break;
    case F_SERVICE_FLAP:
    case F_LINK_FLAP: queue_push(w, w->now, (struct item){.kind = I_FLAP, .a = i}); break;
    case F_LINK_SLOW: w->links[f->a][f->b].more = w->links[f->b][f->a].more = f->x; break;
    case F_LINK_LOSSY: w->links[f->a][f->b].loss = w->links[f->b][f->a].loss = (uint8_t)f->x; break;
    case F_STORE_DOWN:
        if (w->store.down++ == 0)
            w->store.down_since = w->now;
        break;
    case F_STORE_CUT: w->store.cut[f->a]++; break;
    case F_STORE_LEADER: store_new_leader(w, f->x); break;
    case F_STORE_REVOKE: store_revoke(w); break;
    case F_STORE_MUTE: w->store.mute = (uint8_t)f->x; break;
    case F_STORE_LATE: w->store.late = (uint8_t)f->x; break;
    case F_STORE_SLOW: w->store.more = f->x; break;
    case F_SERVICE_DOWN: w->regions[f->a].service_down++; break;
    case F_GRAY: w->regions[f->a].gray++; break;
    case F_PROBES_LIE: w->regions[f->a].probes_lie++; break;
    case F_PROBE_ONE: w->nodes[f->b].cannot_probe[f->a]++; break;
    case F_MUTED: w->regions[f->a].muted++; break;
    case F_NO_TRAFFIC: w->no_traffic++; break;
    case F_LAG: w->regions[f->a].lag_rate = f->x; break;
    case F_LAG_SILENT: w->regions[f->a].lag_silent++; break;
    case F_PROMOTE_SLOW: w->regions[f->a].promote_slow = f->x; break;
    case F_PROMOTE_FAIL: w->regions[f->a].promote_fail++; break;
    case F_CALL_LOST: t->lost = (uint8_t)f->x; break;
    case F_CALL_MUTE: t->mute = (uint8_t)f->x; break;
    case F_CALL_LATE:
        t->late = (uint8_t)f->x;
        w->late_calls = true;
        break;
    case F_CALL_TWICE: t->twice = (uint8_t)f->x; break;
    case F_CALL_RETRY: t->retry = (uint8_t)f->x; break;
    case F_CALL_DENIED: t->denied = 1; break;
    case F_CALL_CONFLICT: t->conflict = 1; break;
    case F_CALL_STRANGER:
        if (t->cas) {
            t->found = (struct fencing){w->store.life + 1, 1};
            w->stranger = true;
        }
        break;
    case F_CRASH: node_crash(w, n, f->x); break;
    case F_CRASH_AT: n->crash_at = f->x; break;
    case F_PAUSE: node_pause(w, n, f->until); break;
    case F_PAUSE_AT:
        n->pause_at = f->x;
        n->pause_for = (int32_t)(f->until - f->from);
        break;
    case F_CLOCK_STEP:
        n->wall_off += f->x;
        if (n->alive && n->paused_until <= w->now)
            node_anomaly(w, n);
        break;
    case F_CANARIES: n->canaries_bad++; break;
    case F_GUARD_DIE:
        if (f->a < w->n_guards) {
            struct guard *g = &w->guards[f->a];

            g->dead = true;
            queue_push(w, w->now + between(w, 100, 3000),
                       (struct item){.kind = I_FENCED, .a = f->a, .inc = g->inc});
        }
        break;
    case F_GUARD_SLEEP:
        if (f->a < w->n_guards) {
            world_changed(w);
            w->guards[f->a].asleep = true;
            world_changed(w);
        }
        break;
    case F_NOT_READY: w->regions[f->a].not_ready |= FO_BIT(f->x); break;
    case F_READINESS_OLD: w->readiness_old++; break;
    case F_ALARM:
        w->alarm = (uint8_t)(w->alarm + (f->x == 0));
        w->out_of_window = (uint8_t)(w->out_of_window + (f->x != 0));
        break;
    case F_MOVING: w->moving++; break;
    case F_COMMAND: give(w, &w->orders[f->a], f->b); break;
    default: break;
    }
}

void fault_end(struct world *w, uint8_t i)
{
    struct fault *f = &w->faults[i];
    struct node *n = &w->nodes[f->a < w->n_nodes ? f->a : 0];
    struct target *t = &w->targets[f->a < FO_ACTIONS ? f->a : 0];

    trace(w, NULL, "fault %u ends: %s a=%u b=%u", i, fault_name(f->kind), f->a, f->b);
    switch (f->kind) {
    case F_REGION_DEAD: region_returns(w, f->a); break;
    case F_REGION_CUT: w->regions[f->a].cut--; break;
    case F_LINK_CUT:
        w->links[f->a][f->b].cuts--;
        if (f->x)
            w->links[f->b][f->a].cuts--;
        break;
    case F_LINK_SLOW: w->links[f->a][f->b].more = w->links[f->b][f->a].more = 0; break;
    case F_LINK_LOSSY: w->links[f->a][f->b].loss = w->links[f->b][f->a].loss = 0; break;
    case F_STORE_DOWN:
        if (--w->store.down == 0) {
            w->store.down_since = -1;
            store_new_leader(w, 0);
        }
        break;
    case F_STORE_CUT: w->store.cut[f->a]--; break;
    case F_STORE_MUTE: w->store.mute = 0; break;
    case F_STORE_LATE: w->store.late = 0; break;
    case F_STORE_SLOW: w->store.more = 0; break;
    case F_SERVICE_DOWN: w->regions[f->a].service_down--; break;
    case F_GRAY: w->regions[f->a].gray--; break;
    case F_PROBES_LIE: w->regions[f->a].probes_lie--; break;
    case F_PROBE_ONE: w->nodes[f->b].cannot_probe[f->a]--; break;
    case F_MUTED: w->regions[f->a].muted--; break;
    case F_NO_TRAFFIC: w->no_traffic--; break;
    case F_LAG: w->regions[f->a].lag_rate = 0; break;
    case F_LAG_SILENT: w->regions[f->a].lag_silent--; break;
    case F_PROMOTE_SLOW: w->regions[f->a].promote_slow = 0; break;
    case F_PROMOTE_FAIL: w->regions[f->a].promote_fail--; break;
    case F_CALL_LOST: t->lost = 0; break;
    case F_CALL_MUTE: t->mute = 0; break;
    case F_CALL_LATE: t->late = 0; break;
    case F_CALL_TWICE: t->twice = 0; break;
    case F_CALL_RETRY: t->retry = 0; break;
    case F_CALL_DENIED: t->denied = 0; break;
    case F_CALL_CONFLICT: t->conflict = 0; break;
    case F_SERVICE_FLAP: w->regions[f->a].flapping = false; break;
    case F_CRASH_AT: n->crash_at = -1; break;
    case F_PAUSE_AT: n->pause_at = -1; break;
    case F_CLOCK_STEP:
        n->wall_off -= f->x; /* set right again */
        if (n->alive && n->paused_until <= w->now)
            node_anomaly(w, n);
        break;
    case F_CANARIES: n->canaries_bad--; break;
    case F_GUARD_DIE:
        if (f->a < w->n_guards)
            guard_boot(w, f->a);
        break;
    case F_GUARD_SLEEP:
        if (f->a < w->n_guards && w->guards[f->a].asleep) {
            struct guard *g = &w->guards[f->a];

            g->asleep = false;
            if (g->deadline <= w->now && g->serving)
                guard_fenced(w, f->a, 0);
            else if (g->serving)
                queue_push(w, g->deadline, (struct item){.kind = I_DEADLINE, .a = f->a, .inc = g->inc});
            world_changed(w);
        }
        break;
    case F_NOT_READY: w->regions[f->a].not_ready &= ~FO_BIT(f->x); break;
    case F_READINESS_OLD: w->readiness_old--; break;
    case F_ALARM:
        w->alarm = (uint8_t)(w->alarm - (f->x == 0));
        w->out_of_window = (uint8_t)(w->out_of_window - (f->x != 0));
        break;
    case F_MOVING: w->moving--; break;
    default: break;
    }
}
