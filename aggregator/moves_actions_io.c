/* Actions, and what is asked of them between moves: a replication's lag every two seconds, readiness every minute. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIGURES_MS = 2000, /* what a dead primary may have written since the last figure counts as lost */
    FIGURES_FAST_MS = 1000,
    FIGURES_TIMEOUT_MS = 4000,
    READY_S = 60,
    READY_AGAIN_S = 15,
    READY_FIRST_S = 5,
    READY_TIMEOUT_MS = 15000,
    FACTS_MS = 1000,
    LAG_KEPT_MS = 10000,
    LAG_OLD_MS = 3600000,
    SYNCHRONOUS_MS = 300000, /* so long what a primary said of its standby holds once it does not answer */
    USERS_MS = 5000,
    USERS_WINDOW_S = 60
};

/* ---- of a plan ---- */

struct deed {
    struct move_call call;
    uint64_t id;
    uint8_t action, op;
};

static void drop_call(struct move_call *c)
{
    free(c); /* first member of what was asked */
}

static void deed_end(struct deed *d, const struct action_result *r)
{
    struct move *m = d->call.m;
    struct fo_event e;

    LOG(m->all->d->log, r->class <= ACTION_PROGRESS ? LOG_INFO : LOG_WARN, "failover", "action",
        kv_s("service", move_service(m)),
        kv_s("action", move_call_fits(&d->call) ? m->set.names.action[d->action] : ""),
        kv_s("op", action_op_name((enum action_op)d->op)), kv_s("class", action_class_name(r->class)),
        kv_s("text", r->text), kv_s("seen", r->seen));
    move_event(m, &e, FO_E_ACTION);
    e.u.action.action = d->action;
    e.u.action.op = d->op;
    e.u.action.class = (uint8_t)r->class;
    e.u.action.id = d->id;
    e.u.action.retry_after_ms = (int32_t)span_to_ms(r->retry_after);
    e.u.action.writable = r->writable;
    e.u.action.found = r->found;
    if (move_call_fits(&d->call))
        (void)move_feed(m, &e);
    move_call_end(&d->call);
    free(d);
}

static void deed_done(void *arg, const struct action_result *r)
{
    deed_end(arg, r);
}

void move_do_action(struct move *m, const struct fo_effect *x)
{
    const struct fo_plan *p = &m->fo.record.plan;
    struct deed *d = calloc(1, sizeof *d);
    char plan[FO_NAME], key[200];
    struct action_result none = {.class = ACTION_RETRY};
    struct action_order o = {.op = (enum action_op)x->op,
                             .service = move_service(m),
                             .from = m->set.names.region[p->from],
                             .to = m->set.names.region[p->to],
                             .plan = plan,
                             .epoch = p->epoch,
                             .token = m->fo.token,
                             .key = key,
                             .planned = p->kind != FO_FAILOVER,
                             .drill = p->kind == FO_DRILL,
                             .accept_loss = p->kind == FO_FAILOVER,
                             .deadline = span_ms(x->timeout_ms),
                             .now = loop_wall(m->all->d->loop)};
    int rc;

    if (!d) { /* the core's own patience settles it */
        m->lost_events++;
        return;
    }
    *d = (struct deed){.id = x->id, .action = x->action, .op = x->op};
    move_call_begin(&d->call, m, drop_call);
    move_plan_id(m, p->epoch, plan);
    (void)snprintf(key, sizeof key, "%s/%u/%s", move_service(m), p->epoch, m->set.names.action[x->action]);
    rc = actions_run(m->all->actions, m->set.names.action[x->action], &o, deed_done, d);
    if (rc) {
        (void)snprintf(none.text, sizeof none.text, "it could not be begun: %s", err_name(rc));
        deed_end(d, &none);
    }
}

/* ---- between moves ---- */

struct asking {
    struct move_call call;
    uint8_t to;
    uint32_t action; /* readiness: index among that service's sections, for the text */
};

static struct action_order dry_order(struct move *m, uint8_t to, enum action_op op, int32_t timeout_ms)
{
    const struct fo_record *r = &m->fo.record;

    return (struct action_order){.op = op,
                                 .service = move_service(m),
                                 .from =
                                     m->set.names.region[r->active < m->set.core.n_regions ? r->active : 0],
                                 .to = m->set.names.region[to],
                                 .plan = "dry",
                                 .epoch = r->epoch + 1,
                                 .token = m->fo.token,
                                 .key = "dry",
                                 .planned = true,
                                 .deadline = span_ms(timeout_ms),
                                 .now = loop_wall(m->all->d->loop)};
}

static struct asking *ask(struct move *m, uint8_t to, uint32_t action)
{
    struct asking *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->to = to;
    a->action = action;
    move_call_begin(&a->call, m, drop_call);
    return a;
}

static void end_asking(struct asking *a)
{
    move_call_end(&a->call);
    free(a);
}

/* What the primary last said outlives this process: who starts in the middle of an outage cannot ask it any more, and without
 * it every move that its predecessor had begun would be taken back for a loss that nobody knows. */
static void keep_lag(struct move *m, uint8_t to)
{
    const struct fo_region_facts *f = &m->facts.region[to];
    int64_t now = move_now(m), wall = loop_wall(m->all->d->loop).ms;
    struct batch *b = batch_new(m->all->d);
    char key[2 * FO_NAME], value[120];

    if (!b)
        return;
    m->lag_kept[to] = now;
    (void)snprintf(key, sizeof key, "%s/%s", move_service(m), m->set.names.region[to]);
    (void)snprintf(value, sizeof value, "%d %lld %lld %lld", f->synchronous,
                   (long long)(wall - (now - m->asked_at[to])), (long long)f->lag_ms,
                   (long long)(wall - (now - f->lag_at)));
    orders_record(&b->orders, "lag", bytes_of(key), bytes_of(value));
    batch_give(b);
}

static int restore_lag(void *arg, struct bytes key, struct bytes value)
{
    struct moves *all = arg;
    char text[120], name[2 * FO_NAME];
    long long asked, lag, at, wall = loop_wall(all->d->loop).ms;
    int synchronous;

    if (value.n >= sizeof text)
        return 0;
    (void)snprintf(text, sizeof text, "%.*s", (int)value.n, (const char *)value.p);
    if (sscanf(text, "%d %lld %lld %lld", &synchronous, &asked, &lag, &at) != 4 || asked > wall ||
        at > wall || lag < 0)
        return 0;
    for (struct move *m = all->first; m; m = m->next) {
        for (uint8_t r = 0; r < m->set.core.n_regions; r++) {
            struct fo_region_facts *f = &m->facts.region[r];

            (void)snprintf(name, sizeof name, "%s/%s", move_service(m), m->set.names.region[r]);
            if (strlen(name) != key.n || memcmp(name, key.p, key.n) != 0 || wall - at > LAG_OLD_MS)
                continue;
            f->lag_ms = lag;
            f->lag_at = move_now(m) - (wall - at);
            m->asked_at[r] = move_now(m) - (wall - asked);
            f->synchronous = synchronous == 1 && wall - asked <= SYNCHRONOUS_MS;
        }
    }
    return 0;
}

int moves_lag_load(struct moves *all, struct err *e)
{
    return control_load(all->d->control, "lag", restore_lag, all, e);
}

static void figures_came(void *arg, const struct action_result *r)
{
    struct asking *a = arg;
    struct move *m = a->call.m;
    struct fo_region_facts *f = &m->facts.region[a->to];
    int64_t now = move_now(m);

    if (!move_call_fits(&a->call)) {
        end_asking(a);
        return;
    }
    m->figures_under_way = false;
    (void)snprintf(m->figures_text, sizeof m->figures_text, "%s", r->text);
    if (r->have_lag) { /* no figure leaves the old one to age */
        f->lag_ms = r->lag_ms;
        f->lag_at = now - r->lag_age_ms;
        if (r->primary_asked) {
            bool changed = f->synchronous != r->synchronous;

            f->synchronous = r->synchronous;
            m->asked_at[a->to] = now;
            if (changed || now - m->lag_kept[a->to] >= LAG_KEPT_MS)
                keep_lag(m, a->to);
        } else if (now - m->asked_at[a->to] > SYNCHRONOUS_MS) { /* a dead primary acknowledges nothing */
            f->synchronous = 0;
        }
        watch_database(m->watch, m->fo.record.active, r->receiving ? 0 : INT64_MAX);
    }
    end_asking(a);
}

static uint8_t next_target(const struct move *m)
{
    uint8_t to = fo_target(&m->fo, &m->set.core, loop_wall(m->all->d->loop).ms);

    if (to == FO_NONE)
        to = m->fo.record.active == 0 ? 1 : 0;
    return to;
}

static void ask_figures(struct move *m, struct mono now)
{
    struct asking *a;
    struct action_order o;

    if (!*m->set.database || m->figures_under_way || !m->fo.known ||
        (m->figures_at.ns &&
         mono_sub(now, m->figures_at).ns < span_ms(m->fo.fast ? FIGURES_FAST_MS : FIGURES_MS).ns))
        return;
    m->figures_at = now;
    a = ask(m, next_target(m), 0);
    if (!a)
        return;
    o = dry_order(m, a->to, ACTION_PROBE, FIGURES_TIMEOUT_MS);
    if (actions_run(m->all->actions, m->set.database, &o, figures_came, a) == 0)
        m->figures_under_way = true;
    else
        end_asking(a);
}

/* ---- readiness ---- */

static fo_reasons blocker_of(const struct action_result *r)
{
    if (r->class == ACTION_OK || r->class == ACTION_ALREADY)
        return 0;
    for (int i = FO_R_CAPACITY; *r->blocker && i <= FO_R_PLACEMENT; i++) {
        if (strcmp(r->blocker, fo_reason_name((enum fo_reason)i)) == 0)
            return FO_BIT(i);
    }
    return FO_BIT(r->class == ACTION_DENIED ? FO_R_CREDENTIALS : FO_R_ACTION);
}

static void readiness_end(struct move *m, uint8_t to)
{
    struct move_readiness *r = &m->ready[to];

    r->under_way = false;
    r->done = loop_mono(m->all->d->loop);
    m->facts.region[to].ready_at = move_now(m);
    m->facts.region[to].blockers = r->blockers;
}

/* Whether it is about the region that is left. That it cannot be reached is shown, but is no reason against leaving it: when
 * the region is dead it never answers, and a fence that fails has its own way on. */
static bool old_side(const struct move *m, uint32_t action)
{
    uint8_t step = action < m->set.core.n_actions ? m->set.core.actions[action].step : PLAN_STEPS;

    return step == STEP_FENCE || step == STEP_CATCHUP;
}

static void precheck_came(void *arg, const struct action_result *r)
{
    struct asking *a = arg;
    struct move *m = a->call.m;
    struct move_readiness *t = &m->ready[a->to];
    fo_reasons stands = blocker_of(r);

    if (move_call_fits(&a->call)) {
        if (!old_side(m, a->action))
            t->blockers |= stands;
        (void)snprintf(t->text[a->action], ACTION_TEXT, "%s", stands ? r->text : "");
        if (--t->left == 0)
            readiness_end(m, a->to);
    }
    end_asking(a);
}

/* Actions first, then gates. */
static const char *asked_name(const struct move *m, uint8_t i)
{
    return i < m->set.core.n_actions ? m->set.names.action[i] : m->set.gate[i - m->set.core.n_actions];
}

static void precheck(struct move *m, uint8_t to, uint8_t i)
{
    struct asking *a = ask(m, to, i);
    struct action_order o = dry_order(m, to, ACTION_PRECHECK, READY_TIMEOUT_MS);

    if (a && actions_run(m->all->actions, asked_name(m, i), &o, precheck_came, a) == 0) {
        m->ready[to].left++;
        return;
    }
    if (!old_side(m, i)) /* what was not asked is not ready */
        m->ready[to].blockers |= FO_BIT(FO_R_ACTION);
    if (a)
        end_asking(a);
}

/* What stands in the tables alone: a majority that hangs on one region. */
static fo_reasons placement(const struct move *m)
{
    uint8_t beside = 0;

    for (uint8_t i = 0; i < m->set.core.n_voters; i++)
        beside = (uint8_t)(beside + (m->set.core.voter_domain[i] != m->fo.record.active));
    return m->set.core.n_voters >= 3 && beside < 2 ? FO_BIT(FO_R_PLACEMENT) : 0;
}

static void begin_readiness(struct move *m, uint8_t to)
{
    struct move_readiness *t = &m->ready[to];

    t->under_way = true;
    t->left = 1; /* ours, until all are under way */
    t->blockers = placement(m);
    for (uint8_t i = 0; i < m->set.core.n_actions + m->set.n_gates; i++) {
        if (i >= m->set.core.n_actions || m->set.core.actions[i].required)
            precheck(m, to, i);
    }
    if (--t->left == 0)
        readiness_end(m, to);
}

static bool any_blocker(const struct move *m)
{
    fo_reasons any = 0;

    for (uint8_t to = 0; to < m->set.core.n_regions; to++)
        any |= to == m->fo.record.active ? 0 : m->ready[to].blockers;
    return any != 0;
}

/* In doubt a good answer stands, as long as it counts: what is asked in the middle of an outage says more about the outage than
 * about the target. A bad one is asked for again soon, always: it may have been the moment. */
static void ask_readiness(struct move *m, struct mono now)
{
    struct span every = any_blocker(m) ? span_s(READY_AGAIN_S)
                        : m->fo.fast   ? span_ms(m->set.core.t.ready_age / 2)
                                       : span_s(READY_S);

    if (m->ready_from != m->fo.record.active) /* a move has ended: other targets, and back */
        m->ready_at = (struct mono){0};
    if (!m->fo.known || m->fo.record.status == FO_PLAN || m->fo.record.status == FO_UNDO_STATUS ||
        (m->ready_at.ns && mono_sub(now, m->ready_at).ns < every.ns))
        return;
    m->ready_at = now;
    m->ready_from = m->fo.record.active;
    for (uint8_t to = 0; to < m->set.core.n_regions; to++) {
        if (to != m->fo.record.active && !m->ready[to].under_way)
            begin_readiness(m, to);
    }
}

/* ---- users ---- */

struct users {
    const struct move *m;
    uint64_t good[FO_REGIONS], total[FO_REGIONS];
    bool any[FO_REGIONS];
};

static int add_users(void *arg, const char *slo, struct labels group, uint64_t good, uint64_t total)
{
    struct users *u = arg;

    if (strcmp(slo, u->m->set.users) != 0)
        return 0;
    for (uint32_t i = 0; i < group.n; i++) {
        uint8_t r = strcmp(group.v[i].name, "region") == 0
                        ? fo_region_index(&u->m->set.names, u->m->set.core.n_regions, group.v[i].value)
                        : FO_NONE;

        if (r == FO_NONE)
            continue;
        u->good[r] += good;
        u->total[r] += total;
        u->any[r] = true;
    }
    return 0;
}

static void ask_users(struct move *m, struct mono now)
{
    struct users u = {.m = m};
    struct wall since = wall_add(loop_wall(m->all->d->loop), span_s(-USERS_WINDOW_S));

    if (!*m->set.users || (m->users_at.ns && mono_sub(now, m->users_at).ns < span_ms(USERS_MS).ns))
        return;
    m->users_at = now;
    (void)slos_tell(judge_slos(m->all->d->judge), since, add_users, &u);
    for (uint8_t r = 0; r < m->set.core.n_regions; r++) {
        if (u.any[r])
            watch_users(m->watch, r, u.good[r], u.total[r]);
    }
}

/* ---- facts ---- */

static bool under_way(const struct fo *s)
{
    uint8_t status = s->record.status;

    return (s->known && (status == FO_PLAN || status == FO_UNDO_STATUS)) ||
           ((s->storing || s->unsure) && s->next.status == FO_PLAN);
}

static uint8_t moving(const struct moves *all, const struct move *but)
{
    uint8_t n = 0;

    for (const struct move *m = all->first; m; m = m->next)
        n = (uint8_t)(n + (m != but && under_way(&m->fo)));
    return n;
}

static void give_facts(struct move *m)
{
    struct fo_event e;

    m->facts.others_moving = moving(m->all, m);
    m->facts.services = (uint8_t)moves_count(m->all);
    move_event(m, &e, FO_E_FACTS);
    e.u.facts = m->facts;
    (void)move_feed(m, &e);
}

void move_facts_velocity(struct move *m)
{
    if (m->facts_at.ns && moving(m->all, m) != m->facts.others_moving)
        give_facts(m);
}

void move_facts_tick(struct move *m, struct mono now)
{
    ask_figures(m, now);
    ask_readiness(m, now);
    ask_users(m, now);
    if (m->facts_at.ns && mono_sub(now, m->facts_at).ns < span_ms(FACTS_MS - TICK_MS / 2).ns)
        return;
    m->facts_at = now;
    for (uint8_t r = 0; r < m->set.core.n_regions; r++) {
        if (*m->set.database && mono_to_ms(now) - m->asked_at[r] > SYNCHRONOUS_MS)
            m->facts.region[r].synchronous = 0;
        if (m->facts.region[r].lag_at == 0)
            m->facts.region[r].lag_ms = -1;
        if (!*m->set.database) { /* nothing is replicated that could be lost */
            m->facts.region[r].lag_ms = 0;
            m->facts.region[r].lag_at = mono_to_ms(now);
            m->facts.region[r].synchronous = 1;
        }
    }
    m->facts.bad_since = m->bad_since.ms;
    m->facts.in_window = 1;
    give_facts(m);
}
