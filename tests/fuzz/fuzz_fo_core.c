/* Any sequence of events, sensible or not: the core never reads beyond an array, never orders an effect that the record does
 * not intend under its own token, none past its deadline, never goes back behind the point of no return, and the same events
 * give the same bytes. The bytes are taken in groups: what, which, how; answers are mostly those of a world that works, so
 * that plans get somewhere. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/failover/failover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACTIONS = 8, WAITING = 32 };

struct world {
    struct fo a, b;
    struct fo_config c;
    struct fo_record record;
    struct fo_effect waiting[WAITING]; /* stores and actions that were not answered yet */
    uint32_t n;
    uint64_t rev, lease;
    int64_t now, wall;
    uint64_t seq;
    bool known;
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void configure(struct fo_config *c, uint8_t how)
{
    static const uint8_t steps[ACTIONS] = {STEP_FENCE, STEP_CATCHUP, STEP_PROMOTE,  STEP_PROMOTE,
                                           STEP_WARM,  STEP_SWITCH,  STEP_VALIDATE, STEP_TIDY};

    memset(c, 0, sizeof *c);
    c->n_regions = (uint8_t)(2 + how % 2);
    c->n_voters = 3;
    c->self = 1;
    for (uint8_t i = 0; i < 3; i++)
        c->voter_domain[i] = i;
    c->own_region = 1;
    c->automation = FO_AUTO;
    c->auto_ok = c->may_lead = 1;
    c->guarded = how & 4 ? 7 : 0;
    c->fence_required = (how >> 3) & 1;
    c->budget_day = c->budget_week = 3;
    c->gray_auto = (how >> 4) & 1;
    c->accept_unknown_lag = (how >> 5) & 1;
    c->n_actions = ACTIONS;
    for (uint8_t i = 0; i < ACTIONS; i++)
        c->actions[i] = (struct fo_action){.step = steps[i],
                                           .required = i != 3 && (how >> 6 & 1),
                                           .proves = i == 0,
                                           .undo = how >> 7,
                                           .on = 7,
                                           .timeout_ms = 3000,
                                           .patience_ms = 20000};
    c->t = (struct fo_times){.boot = 1000,
                             .suspect_clear = 3000,
                             .confirm = 1000,
                             .gray_page = 2000,
                             .gray_clear = 2000,
                             .gray_auto = 4000,
                             .tilt = 2000,
                             .lease = 15000,
                             .keep = 3000,
                             .margin = 4000,
                             .lock_delay = 2000,
                             .serving = 2000,
                             .contract = 3000,
                             .fence = 6000,
                             .catchup = 6000,
                             .target_up = 1000,
                             .ready_age = 1 << 30,
                             .rpo = 60000,
                             .warm = 5000,
                             .validate = 2000,
                             .validate_most = 9000,
                             .hold = 9000,
                             .failback_green = 1000,
                             .retry = 100,
                             .retry_most = 1000,
                             .plan_most = 60000};
}

static void keep(struct world *w, const struct fo_effect *e)
{
    const struct fo *s = &w->a;

    if (e->kind == FO_DO_ACTION) {
        must(e->action < ACTIONS && e->op < ACTION_OPS && e->op != ACTION_PRECHECK,
             "an action that is not there");
        must(s->leading && w->now + e->timeout_ms + 1000 < s->deadline && e->timeout_ms >= 1000,
             "past its deadline");
        must(fencing_cmp(s->record.token, s->token) == 0, "under another token");
        must(s->record.plan.phase[e->action] == (e->op == ACTION_UNDO ? FO_UNDOING : FO_INTENT),
             "not intended");
        must(e->op != ACTION_APPLY || w->now >= s->first_effect, "in the lock delay");
        must(e->op != ACTION_APPLY || w->now >= s->promised_until, "against a promise");
        must(e->op != ACTION_APPLY || w->now >= s->tilt_until, "in a tilt");
        if (e->op == ACTION_APPLY && w->c.actions[e->action].step > STEP_PROMOTE)
            must(s->record.plan.past_no_return, "behind the point of no return, which was not committed");
    }
    if (e->kind == FO_DO_STORE) {
        must(s->next.epoch >= s->record.epoch, "an epoch that falls");
        must(fencing_cmp(s->next.token, s->token) == 0, "written under another token");
        if (s->known && s->next.epoch == s->record.epoch && s->record.plan.past_no_return)
            must(s->next.plan.past_no_return && s->next.status != FO_UNDO_STATUS,
                 "back behind the point of no return");
        if (s->next.plan.past_no_return && !s->record.plan.past_no_return && w->c.fence_required)
            must(s->next.plan.fenced != 0, "promoted without a fence");
    }
    if ((e->kind == FO_DO_ACTION || e->kind == FO_DO_STORE) && w->n < WAITING)
        w->waiting[w->n++] = *e;
}

static void step(struct world *w, const struct fo_event *e)
{
    struct fo_effects x, y;

    fo_step(&w->a, &w->c, e, &x);
    fo_step(&w->b, &w->c, e, &y);
    must(memcmp(&w->a, &w->b, sizeof w->a) == 0, "another state by the same events");
    must(x.n == y.n && x.n <= FO_EFFECTS_MOST && x.lost == 0, "effects that do not fit");
    must(w->a.state < FO_STATES, "no such state");
    for (uint32_t i = 0; i < x.n; i++) {
        must(fo_row_find(x.v[i].row) != NULL, "an effect of no rule");
        keep(w, &x.v[i]);
    }
}

static struct fo_event make(struct world *w, enum fo_event_kind kind)
{
    struct fo_event e;

    memset(&e, 0, sizeof e);
    e.kind = (uint8_t)kind;
    e.now = w->now;
    e.wall = w->wall;
    return e;
}

static void answer_store(struct world *w, const struct fo_effect *d, uint8_t how)
{
    struct fo_event e = make(w, FO_E_STORED);

    e.u.stored.id = d->id;
    e.u.stored.what = how < 200   ? FO_STORED_OK
                      : how < 220 ? FO_STORED_UNKNOWN
                      : how < 240 ? FO_STORED_CONFLICT
                                  : how % 5;
    if (w->a.storing && d->id == w->a.store_id && (how < 200 || (how < 220 && how % 2))) {
        w->record = w->a.next;
        w->known = true;
        w->rev++;
    }
    e.u.stored.rev = w->rev;
    step(w, &e);
}

static void answer_action(struct world *w, const struct fo_effect *d, uint8_t how)
{
    struct fo_event e = make(w, FO_E_ACTION);

    e.u.action.action = how == 255 ? 200 : d->action;
    e.u.action.op = d->op;
    e.u.action.id = d->id;
    e.u.action.class = how < 160 ? ACTION_OK : how % (ACTION_CLASSES + 1);
    e.u.action.retry_after_ms = how % 7 * 100;
    if (how == 254)
        e.u.action.found = (struct fencing){9, 9};
    step(w, &e);
}

static void answer_one(struct world *w, uint8_t which, uint8_t how)
{
    struct fo_effect d;

    if (w->n == 0)
        return;
    which = (uint8_t)(which % w->n);
    d = w->waiting[which];
    w->waiting[which] = w->waiting[--w->n];
    if (d.kind == FO_DO_STORE)
        answer_store(w, &d, how);
    else
        answer_action(w, &d, how);
}

static void vote(struct world *w, uint8_t which, uint8_t how)
{
    struct fo_event e = make(w, FO_E_VOTE);

    e.u.vote.voter = which;
    e.u.vote.boot = 1;
    e.u.vote.seq = ++w->seq;
    e.u.vote.tick_ms = 5000;
    e.u.vote.self_ok = 1;
    for (uint8_t r = 0; r < FO_REGIONS; r++) {
        e.u.vote.verdict[r] = (uint8_t)(r == how % 4 ? FO_DOWN : FO_UP);
        e.u.vote.classes[r] = FO_PROBES | FO_HEARTBEAT;
        e.u.vote.users[r] = (uint8_t)(how >> 6);
    }
    e.u.vote.gray = (uint8_t)(how >> 5 & 1);
    step(w, &e);
}

static void lease(struct world *w, uint8_t how)
{
    struct fo_event e = make(w, FO_E_LEASE);

    e.u.lease.what = how < 128 ? (w->a.leading ? FO_LEASE_KEPT : FO_LEASE_GRANTED) : how % 6;
    if (e.u.lease.what == FO_LEASE_GRANTED)
        w->lease = ++w->rev;
    e.u.lease.token = (struct fencing){1, w->lease};
    e.u.lease.sent = w->now - how % 4 * 100;
    e.u.lease.resigned = how & 1;
    step(w, &e);
}

static void order(struct world *w, uint8_t which, uint8_t how)
{
    struct fo_event e = make(w, FO_E_COMMAND);

    e.u.order.command = which % (FO_COMMANDS + 1);
    e.u.order.region = how % 8 == 7 ? FO_NONE : how % 8;
    e.u.order.action = how >> 3 == 31 ? FO_NONE : how >> 3;
    e.u.order.mode = how % 5;
    e.u.order.fenced_by_hand = which >> 7;
    e.u.order.id = ++w->seq;
    e.u.order.accept_loss_ms = how & 1 ? 1000000 : -1;
    e.u.order.until = how & 2 ? w->wall + 5000 : 0;
    step(w, &e);
}

static void rest(struct world *w, uint8_t which, uint8_t how)
{
    struct fo_event e = make(w, FO_E_TICK);

    switch (which % 6) {
    case 0:
        e = make(w, FO_E_FACTS);
        for (int r = 0; r < FO_REGIONS; r++)
            e.u.facts.region[r] = (struct fo_region_facts){.ready_at = w->now,
                                                           .lag_ms = how % 16 == 15   ? -1
                                                                     : how % 16 == 14 ? 70000
                                                                                      : 0,
                                                           .lag_at = w->now};
        e.u.facts.in_window = 1;
        break;
    case 1:
        e = make(w, FO_E_RECORD);
        e.u.record.known = w->known;
        e.u.record.rev = w->known ? w->rev : 0;
        e.u.record.record = w->record;
        break;
    case 2:
        e = make(w, FO_E_FENCED);
        e.u.fenced.region = how % 8;
        e.u.fenced.epoch = w->record.epoch + (how >> 3) % 3 - 1;
        break;
    case 3:
        e = make(w, FO_E_PROMISED);
        e.u.promised.until = w->now + how * 10;
        break;
    case 4:
        if (how > 250)
            e = make(w, FO_E_ANOMALY);
        break;
    default: e.kind = how < FO_EVENTS ? FO_E_TICK : how; /* one that is not known */
    }
    step(w, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t seed = 5;
    struct world *w = calloc(1, sizeof *w);

    if (!w || size < 1)
        goto out;
    configure(&w->c, data[0]);
    w->now = 100000;
    w->wall = 1800000000000;
    fo_init(&w->a, &w->c, w->now, seed);
    fo_init(&w->b, &w->c, w->now, seed);
    for (size_t i = 1; i + 2 < size; i += 3) {
        uint8_t what = data[i], which = data[i + 1], how = data[i + 2];

        switch (what % 8) {
        case 0: vote(w, which % 4, how); break;
        case 1: lease(w, how); break;
        case 2:
        case 3: answer_one(w, which, how); break;
        case 4: order(w, which, how); break;
        case 5: rest(w, which, how); break;
        default: {
            struct fo_event e;

            w->now += how * 10;
            w->wall += how * 10;
            e = make(w, FO_E_TICK);
            step(w, &e);
        }
        }
    }
out:
    free(w);
    return 0;
}
