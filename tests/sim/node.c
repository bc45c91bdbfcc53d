/* One process: the shell around the core and the voter, as the daemon's decide thread is. It gives events, takes effects,
 * and can die or fall asleep between any two effects. */
#include "tests/sim/sim.h"

int64_t node_boot(const struct world *w, const struct node *n)
{
    return n->boot_off + w->now + w->now * n->drift_ppm / 1000000;
}

int64_t node_wall(const struct world *w, const struct node *n)
{
    return n->wall_off + w->now;
}

static void again(struct world *w, const struct node *n, enum item_kind kind, int64_t in)
{
    queue_push(w, w->now + in, (struct item){.kind = (uint8_t)kind, .node = n->index, .inc = n->inc});
}

static void look_again(struct world *w, struct node *n, int64_t in)
{
    queue_push(w, w->now + in,
               (struct item){.kind = I_LOOK, .node = n->index, .inc = n->inc, .a = ++n->looks});
}

/* What a process before it has stored of whom it heard goes on. */
static void begin_voter(struct world *w, struct node *n)
{
    uint8_t known[FO_REGIONS];

    for (uint8_t r = 0; r < FO_REGIONS; r++)
        known[r] = n->voter.region[r].known;
    voter_init(&n->voter, &n->votes, node_boot(w, n), ((uint64_t)n->index + 1) << 32 | (n->inc + 1u));
    for (uint8_t r = 0; r < FO_REGIONS; r++)
        if (known[r])
            voter_known(&n->voter, r);
}

void node_start(struct world *w, struct node *n)
{
    trace(w, n, "starts");
    n->alive = true;
    n->paused_until = 0;
    n->last_turn = w->now;
    n->crash_at = n->pause_at = -1;
    n->config = w->config;
    n->config.self = n->index;
    n->config.own_region = n->domain < w->n_regions ? n->domain : FO_NONE;
    n->config.may_lead = n->may_lead;
    n->votes = w->votes;
    n->votes.own_region = n->config.own_region;
    memset(n->votes.n_peers, 0, sizeof(n->votes.n_peers));
    for (uint8_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i].domain < w->n_regions && w->nodes[i].domain != n->domain)
            n->votes.n_peers[w->nodes[i].domain]++;
    memset(n->guards, 0, sizeof(n->guards));
    memset(n->heard, 0, sizeof(n->heard));
    memset(n->denied_token, 0, sizeof(n->denied_token));
    n->fast = false;
    n->kept_token = 0;
    n->view_known = false;
    n->view_started = INT64_MIN;
    n->tilt_at = INT64_MIN / 2;
    n->pages = 0;
    n->state_at = n->begun = w->now;
    fo_init(&n->core, &n->config, node_boot(w, n), w->seed * 8 + n->index);
    n->promised_until = INT64_MIN;
    n->has_twin = w->seed % 16 == 7;
    if (n->has_twin) {
        memset(&n->twin, 0xa5, sizeof(n->twin));
        fo_init(&n->twin, &n->config, node_boot(w, n), w->seed * 8 + n->index);
    }
    begin_voter(w, n);
    again(w, n, I_TICK, between(w, 0, 500));
    look_again(w, n, between(w, 0, 1000));
    again(w, n, I_FACTS, between(w, 500, 2500));
    if (w->config.guarded != 0)
        again(w, n, I_READ, between(w, 0, 2000));
}

void node_crash(struct world *w, struct node *n, int64_t back_after)
{
    if (!n->alive)
        return;
    trace(w, n, "dies");
    n->alive = false;
    n->inc++;
    queue_push(w, w->now + back_after, (struct item){.kind = I_RESTART, .node = n->index, .inc = n->inc});
}

void node_pause(struct world *w, struct node *n, int64_t until)
{
    if (!n->alive || until <= n->paused_until)
        return;
    trace(w, n, "sleeps for %lld ms", (long long)(until - w->now));
    n->paused_until = until;
}

void node_anomaly(struct world *w, struct node *n)
{
    struct fo_event e = {.kind = FO_E_ANOMALY};

    n->tilt_at = w->now;
    voter_tilt(&n->voter, &n->votes, node_boot(w, n));
    node_event(w, n, &e);
}

/* The shell's part of one effect. */
static void effect(struct world *w, struct node *n, const struct fo_effect *e)
{
    switch (e->kind) {
    case FO_DO_ACQUIRE: store_ask(w, n, OP_ACQUIRE, 0, false); break;
    case FO_DO_KEEP: store_ask(w, n, OP_KEEP, 0, false); break;
    case FO_DO_RESIGN: store_ask(w, n, OP_RESIGN, 0, false); break;
    case FO_DO_READ: store_ask(w, n, OP_READ, 0, false); break;
    case FO_DO_STORE:
        check_ask_store(w, n);
        store_ask(w, n, OP_STORE, e->id, false);
        break;
    case FO_DO_ACTION:
        check_begin(w, n, e);
        call_begin(w, n, e);
        break;
    case FO_DO_FAST:
        n->fast = e->on;
        voter_fast(&n->voter, e->on);
        look_again(w, n, e->on ? 50 : n->votes.tick_ms);
        break;
    case FO_DO_PAGE:
        if (e->on)
            n->pages |= 1u << e->to; /* a page is named by its state */
        else
            n->pages &= ~(1u << e->to);
        break;
    default: break;
    }
}

/* What was chosen for this effect: true when the leader is dead before it. */
static bool cut(struct world *w, struct node *n, int32_t at, bool *dies, bool *sleeps)
{
    for (uint8_t i = 0; i < w->o.n_cuts; i++) {
        if (w->o.cut[i].at != at)
            continue;
        trace(w, n, "---- cut %u at effect %d", w->o.cut[i].how, at);
        switch (w->o.cut[i].how) {
        case CUT_DIES: node_crash(w, n, 800); return true;
        case CUT_DEAD: node_crash(w, n, 90000); return true;
        case CUT_DIED: *dies = true; break;
        case CUT_SLEEPS: *sleeps = true; break;
        case CUT_LOST: w->cut_lost = true; break;
        case CUT_MUTE: w->cut_mute = true; break;
        case CUT_REVOKED: store_revoke(w); break;
        default: store_new_leader(w, 20000); break;
        }
    }
    return false;
}

static void effects(struct world *w, struct node *n, const struct fo_effects *out)
{
    for (uint32_t i = 0; i < out->n && n->alive; i++) {
        const struct fo_effect *e = &out->v[i];
        bool acts = e->kind == FO_DO_ACTION || e->kind == FO_DO_STORE, dies = false, sleeps = false;

        w->cut_lost = w->cut_mute = false;
        if (acts && w->o.n_cuts > 0 && cut(w, n, (int32_t)w->effects, &dies, &sleeps)) {
            w->effects++;
            return;
        }
        w->effects += acts;
        if (n->crash_at >= 0 && acts && n->crash_at-- == 0) {
            node_crash(w, n, between(w, 500, 60000));
            return;
        }
        effect(w, n, e);
        w->cut_lost = w->cut_mute = false;
        if (n->pause_at >= 0 && acts && n->pause_at-- == 0)
            node_pause(w, n, w->now + n->pause_for);
        if (sleeps)
            node_pause(w, n, w->now + 40000);
        if (dies)
            node_crash(w, n, 5000);
    }
}

static void told(struct world *w, const struct node *n, const struct fo_event *e)
{
    static const char *const kinds[FO_EVENTS] = {"tick",     "vote",    "facts",  "lease",
                                                 "record",   "stored",  "action", "fenced",
                                                 "promised", "command", "anomaly"};

    if (e->kind == FO_E_TICK || e->kind == FO_E_VOTE || e->kind == FO_E_FACTS || e->kind == FO_E_PROMISED)
        return;
    if (e->kind == FO_E_LEASE &&
        (e->u.lease.what == FO_LEASE_KEPT || e->u.lease.what == FO_LEASE_HELD_BY_OTHER))
        return;
    if (e->kind == FO_E_LEASE)
        trace(w, n, "< lease %u token %llu%s", e->u.lease.what, (unsigned long long)e->u.lease.token.rev,
              e->u.lease.resigned ? " resigned" : "");
    else if (e->kind == FO_E_STORED)
        trace(w, n, "< stored %u id %llu rev %llu", e->u.stored.what, (unsigned long long)e->u.stored.id,
              (unsigned long long)e->u.stored.rev);
    else if (e->kind == FO_E_ACTION)
        trace(w, n, "< action %u %s: %u%s", e->u.action.action, action_op_name(e->u.action.op),
              e->u.action.class, e->u.action.writable ? " writable" : "");
    else if (e->kind == FO_E_FENCED && !n->core.leading)
        return;
    else if (e->kind == FO_E_FENCED)
        trace(w, n, "< guards of region %u are fenced at %u", e->u.fenced.region, e->u.fenced.epoch);
    else if (e->kind == FO_E_COMMAND)
        trace(w, n, "< command %s region %u", fo_command_name(e->u.order.command), e->u.order.region);
    else if (e->kind != FO_E_RECORD)
        trace(w, n, "< %s", kinds[e->kind]);
}

static void tell_effects(struct world *w, const struct node *n, const struct fo_effects *out)
{
    for (uint32_t i = 0; i < out->n; i++) {
        const struct fo_effect *e = &out->v[i];

        if (e->kind == FO_DO_TELL)
            trace(w, n, "> row %u: %s -> %s reasons %llx", e->row, fo_state_name(e->from),
                  fo_state_name(e->to), (unsigned long long)e->reasons);
        else if (e->kind == FO_DO_ACTION)
            trace(w, n, "> %s action %u (row %u)", action_op_name(e->op), e->action, e->row);
        else if (e->kind == FO_DO_STORE)
            trace(w, n, "> store id %llu: epoch %u status %u writer %u active %u step %u (row %u)",
                  (unsigned long long)e->id, n->core.next.epoch, n->core.next.status, n->core.next.writer,
                  n->core.next.active, n->core.next.plan.step, e->row);
        else if (e->kind == FO_DO_PAGE)
            trace(w, n, "> page %s %s", fo_state_name(e->to), e->on ? "on" : "off");
        else if (e->kind == FO_DO_ANSWER)
            trace(w, n, "> answer %u: %s", e->code, fo_reason_name(e->code));
        else if (e->kind == FO_DO_RESIGN)
            trace(w, n, "> resign");
    }
}

void node_event(struct world *w, struct node *n, struct fo_event *e)
{
    struct fo_effects out;
    uint8_t before = n->core.state;

    e->now = node_boot(w, n);
    e->wall = node_wall(w, n);
    out.n = out.lost = 0;
    if (w->trace_to != NULL)
        told(w, n, e);
    fo_step(&n->core, &n->config, e, &out);
    if (n->has_twin)
        check_twin(w, n, e, &out);
    if (n->core.state != before) {
        n->state_at = w->now;
        w->m->state[n->core.state]++;
        if (w->waiting != 0 && n->core.leading)
            faults_at_state(w, n->core.state);
    }
    marks_effects(w, n, &out);
    if (w->trace_to != NULL)
        tell_effects(w, n, &out);
    if (w->o.digest) {
        w->digest = mix(w->digest, &n->core, sizeof(n->core));
        w->digest = mix(w->digest, out.v, out.n * sizeof(out.v[0]));
    }
    effects(w, n, &out);
    if (n->alive)
        check_step(w, n, &out);
}

void node_tick(struct world *w, struct node *n)
{
    struct fo_event e = {.kind = FO_E_TICK};
    uint8_t s = n->core.state;

    node_event(w, n, &e);
    if (n->alive)
        again(w, n, I_TICK, s == FO_S_STEADY || s == FO_S_FOLLOW || s == FO_S_HOLD ? 1000 : 500);
}

static void look_at_region(struct world *w, struct node *n, uint8_t r, int64_t now)
{
    const struct region *g = &w->regions[r];
    bool connected = n->domain >= w->n_regions || (!w->regions[n->domain].cut);

    for (uint8_t p = 0; p < n->votes.n_probes[r]; p++)
        voter_probe(&n->voter, &n->votes, r, p,
                    region_well(w, r) && g->probes_lie == 0 && n->cannot_probe[r] == 0 &&
                        reach(w, n->domain, r) && reach(w, r, n->domain) &&
                        w->links[n->domain][r].more < 2000,
                    now);
    if (n->votes.has_users && g->muted == 0 && connected) {
        bool here = routed(w) == r;
        uint64_t total = !here ? 0 : w->no_traffic ? 5 : 1000;
        bool good = region_well(w, r) && g->gray == 0 && (w->commits >> r & 1);

        voter_users(&n->voter, &n->votes, r, good ? total : total / 10, total, now);
    }
    if (!n->votes.has_database || g->dead || !linked(w, n->domain, r))
        return;
    if (!g->writable) { /* a standby: what it says of its primary */
        uint8_t s = FO_NONE;

        for (uint8_t i = 0; i < w->n_regions; i++)
            if (i != r && w->regions[i].writable &&
                (s == FO_NONE || w->regions[i].lineage > w->regions[s].lineage))
                s = i;
        if (s != FO_NONE)
            voter_database(&n->voter, &n->votes, s, w->now - g->heard, now);
    }
}

void node_look(struct world *w, struct node *n)
{
    int64_t now = node_boot(w, n);
    struct fo_event e = {.kind = FO_E_VOTE};
    bool canary = n->canaries_bad == 0 && (n->domain >= w->n_regions || !w->regions[n->domain].cut);
    uint32_t slot = w->next_word++ % SIM_WORDS;

    for (uint8_t i = 0; i < n->votes.n_canaries; i++)
        voter_canary(&n->voter, &n->votes, i, canary, now);
    for (uint8_t r = 0; r < w->n_regions; r++)
        look_at_region(w, n, r, now);
    voter_look(&n->voter, &n->votes, now, &e.u.vote);
    e.u.vote.voter = n->index;
    w->words[slot] = e.u.vote;
    for (uint8_t i = 0; i < w->n_nodes; i++) {
        struct node *p = &w->nodes[i];

        if (i != n->index && p->alive && reach(w, n->domain, p->domain))
            queue_push(w, w->now + delay(w, n->domain, p->domain),
                       (struct item){.kind = I_WORD,
                                     .node = i,
                                     .inc = p->inc,
                                     .a = (uint16_t)slot,
                                     .b = n->index,
                                     .x = (int64_t)e.u.vote.seq});
    }
    n->heard[n->index].vote = e.u.vote;
    n->heard[n->index].at = w->now;
    look_again(w, n, n->fast ? n->votes.fast_ms : n->votes.tick_ms);
    node_event(w, n, &e);
}

void node_word(struct world *w, struct node *n, const struct item *it)
{
    struct fo_event e = {.kind = FO_E_VOTE, .u.vote = w->words[it->a]};
    const struct node *from = &w->nodes[it->b];
    uint8_t peer = 0;

    if (e.u.vote.seq != (uint64_t)it->x || e.u.vote.voter != it->b)
        return; /* it waited for too long */
    if (from->domain < w->n_regions && from->domain != n->domain) {
        for (uint8_t i = 0; i < it->b; i++)
            peer = (uint8_t)(peer + (w->nodes[i].domain == from->domain));
        if (peer < VOTE_PEERS)
            voter_beat(&n->voter, &n->votes, from->domain, peer, node_boot(w, n));
    }
    if (e.u.vote.boot != n->heard[it->b].vote.boot || e.u.vote.seq > n->heard[it->b].vote.seq) {
        n->heard[it->b].vote = e.u.vote;
        n->heard[it->b].at = w->now;
    }
    node_event(w, n, &e);
}

void node_facts(struct world *w, struct node *n)
{
    struct fo_event e = {.kind = FO_E_FACTS};
    struct fo_facts *f = &e.u.facts;
    int64_t now = node_boot(w, n);
    uint8_t active = n->core.known ? n->core.record.active : FO_NONE;

    *f = n->core.facts;
    for (uint8_t r = 0; r < w->n_regions; r++) {
        const struct region *g = &w->regions[r];

        if (w->readiness_old == 0 && linked(w, n->domain, r))
            f->region[r].ready_at = now;
        f->region[r].blockers = g->not_ready;
        if (g->fenced_by != 0 || (g->writable && r != source(w))) /* not built anew since it was left */
            f->region[r].blockers |= FO_BIT(FO_R_ACTION);
        if (!g->dead && linked(w, n->domain, r) && g->lag_silent == 0) {
            f->region[r].lag_ms = lag_of(w, r);
            f->region[r].lag_at = now;
        }
    }
    if (active < w->n_regions && w->now - w->last_write[active] > 10000 && !(w->commits >> active & 1) &&
        linked(w, n->domain, active))
        f->writes_stopped_at = now - (w->now - w->last_write[active]);
    else
        f->writes_stopped_at = 0;
    f->bad_since = 0;
    f->services = 4;
    f->others_moving = w->moving ? 3 : 0;
    f->blocking_alarm = w->alarm > 0;
    f->in_window = w->out_of_window == 0;
    node_event(w, n, &e);
    if (n->alive)
        again(w, n, I_FACTS, 5000);
}
