/* Services come, go and change: what is opened with the configuration, changed by a reload, and given back at the end. What
 * indices mean cannot change while a plan is live; else a service begins anew from its record. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "aggregator/moves_private.h"
#include "aggregator/peers.h"

static void canary_urls(const struct config *c, char out[VOTE_CANARIES * FO_URL])
{
    const struct section *s;
    size_t n = 0, room = VOTE_CANARIES * FO_URL;

    out[0] = 0;
    for (size_t i = 0; (s = config_named(c, "canary", i)) != NULL && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s %s\n", section_label(s), option_text(s, "url"));
}

static struct watch *open_watch(struct move *m, struct err *e)
{
    const struct watch_params p = {.loop = m->all->d->loop,
                                   .log = m->all->d->log,
                                   .settings = &m->set,
                                   .canaries = m->all->canaries,
                                   .boot = m->all->boot,
                                   .seed = m->all->boot ^ m->all->d->p.seed,
                                   .vote = move_own_vote,
                                   .arg = m};
    struct watch *w = watch_new(&p, e);

    for (uint8_t r = 0; w && r < m->set.core.n_regions; r++) {
        if (peers_known(m->all->d, m->set.names.region[r]))
            watch_known(w, r);
    }
    return w;
}

static struct move *move_new(struct moves *all, const struct config *c, const struct section *s,
                             struct err *e)
{
    struct move *m = calloc(1, sizeof *m);

    if (!m) {
        (void)err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    m->all = all;
    failover_settings(c, s, &m->set);
    fo_init(&m->fo, &m->set.core, move_now(m), all->d->p.seed ^ all->boot);
    m->watch = open_watch(m, e);
    if (!m->watch) {
        free(m);
        return NULL;
    }
    return m;
}

int moves_open(struct decide *d, const struct config *c, struct moves **out, struct err *e)
{
    struct moves *all;
    struct move **at;
    const struct section *s;

    *out = NULL;
    if (!failover_wanted(c))
        return 0;
    all = calloc(1, sizeof *all);
    if (!all)
        return err_set(e, ERR_NOMEM, "no memory");
    all->d = d;
    (void)snprintf(all->voter, sizeof all->voter, "%s", failover_voter(c));
    if (getrandom(&all->boot, sizeof all->boot, 0) != sizeof all->boot)
        all->boot = (uint64_t)clock_wall().ms;
    at = &all->first;
    *out = all;
    moves_words(all);
    all->actions = actions_open(c, d->loop, d->log, e);
    canary_urls(c, all->canary_urls);
    all->canaries = canaries_new(d->loop, d->log, c, e);
    if (!all->canaries || !all->actions || moves_authority_open(all, c, e) != 0) {
        moves_close(out);
        return e->code;
    }
    for (size_t i = 0; (s = config_named(c, "failover", i)) != NULL; i++) {
        *at = move_new(all, c, s, e);
        if (!*at) {
            moves_close(out);
            return e->code;
        }
        at = &(*at)->next;
    }
    if (moves_drills_load(all, c, true, e) != 0 || moves_public_load(all, e) != 0 ||
        moves_lag_load(all, e) != 0) {
        moves_close(out);
        return e->code;
    }
    return 0;
}

/* Their orders may have been committed: the core that knew it is no more. */
static void answer_all(struct move *m)
{
    for (size_t i = 0; i < MOVE_WAITING; i++) {
        struct move_waiting w = m->waiting[i];

        m->waiting[i] = (struct move_waiting){.id = 0};
        if (w.done)
            w.done(w.arg, MOVES_UNKNOWN, 0, m->holder);
    }
}

void moves_close(struct moves **mp)
{
    struct moves *all = *mp;

    if (!all)
        return;
    peers_hook(all->d, &(struct peer_hooks){.arg = NULL});
    actions_close(&all->actions);
    authority_close(&all->authority);
    while (all->calls) {
        struct move_call *c = all->calls;

        move_call_end(c);
        c->drop(c);
    }
    while (all->first) {
        struct move *m = all->first;

        all->first = m->next;
        answer_all(m);
        move_free(m);
    }
    while (all->leaving) {
        struct move *m = all->leaving;

        all->leaving = m->next;
        move_free(m);
    }
    canaries_free(&all->canaries);
    canaries_free(&all->retired);
    moves_local_free(all);
    moves_drills_free(all);
    free(all);
    *mp = NULL;
}

static bool live(const struct move *m)
{
    uint8_t s = m->fo.record.status;

    return m->fo.known && (s == FO_PLAN || s == FO_STUCK_STATUS || s == FO_UNDO_STATUS);
}

/* Whether indices mean the same: what is not of core may change at any time. */
static bool same_shape(const struct fo_settings *a, const struct fo_settings *b)
{
    return memcmp(&a->names, &b->names, sizeof a->names) == 0 && a->core.n_regions == b->core.n_regions &&
           a->core.n_voters == b->core.n_voters && a->core.n_actions == b->core.n_actions &&
           memcmp(a->core.voter_domain, b->core.voter_domain, sizeof a->core.voter_domain) == 0;
}

bool moves_can_reload(const struct moves *all, const struct config *c, struct err *e)
{
    struct fo_settings *fresh = all ? calloc(1, sizeof *fresh) : NULL;
    bool good = true;

    for (const struct move *m = all ? all->first : NULL; m && fresh; m = m->next) {
        const struct section *s = NULL, *found = NULL;

        for (size_t i = 0; (s = config_named(c, "failover", i)) != NULL; i++) {
            if (strcmp(section_label(s), move_service(m)) == 0)
                found = s;
        }
        if (found)
            failover_settings(c, found, fresh);
        if (live(m) && (!found || !same_shape(fresh, &m->set))) {
            (void)err_set(
                e, ERR_STATE,
                "a plan of %s is live: its regions, voters and actions cannot change before it has ended",
                move_service(m));
            good = false;
        }
    }
    free(fresh);
    return good;
}

static bool renew_watch(struct move *m)
{
    struct err e = {0};
    struct watch *fresh = open_watch(m, &e);

    if (!fresh) {
        LOG(m->all->d->log, LOG_ERROR, "failover", "probes could not be begun anew: the old ones go on",
            kv_s("service", move_service(m)), kv_e(&e));
        return false;
    }
    watch_free(&m->watch);
    m->watch = fresh;
    watch_fast(m->watch, m->fo.fast);
    return true;
}

static bool same_guards(const struct fo_settings *a, const struct fo_settings *b)
{
    bool same = a->n_guards == b->n_guards;

    for (int i = 0; same && i < a->n_guards; i++)
        same = a->guard[i].region == b->guard[i].region && strcmp(a->guard[i].name, b->guard[i].name) == 0;
    return same;
}

/* Indices mean something else: all that hangs on them is forgotten, and the record is read anew. Numbers of questions go on,
 * so that no late answer fits a new question. */
static void begin_anew(struct move *m)
{
    uint64_t ids = m->fo.ids;

    move_unsay(m);
    fo_init(&m->fo, &m->set.core, move_now(m), m->all->d->p.seed ^ m->all->boot);
    m->fo.ids = ids;
    m->shape++;
    m->first = m->queued = 0;
    memset(m->guard, 0, sizeof m->guard);
    memset(&m->facts, 0, sizeof m->facts);
    memset(m->ready, 0, sizeof m->ready);
    m->facts_at = m->figures_at = m->ready_at = m->users_at = m->read_began = (struct mono){0};
    m->figures_under_way = false;
    m->figures_text[0] = 0;
    m->bad_since = (struct wall){0};
    m->told_fenced = 0;
    answer_all(m);
}

static void reload_one(struct move *m, const struct config *c, const struct section *s)
{
    struct fo_settings old = m->set;

    failover_settings(c, s, &m->set);
    if (!same_shape(&old, &m->set))
        begin_anew(m);
    if (!same_guards(&old, &m->set))
        memset(m->guard, 0, sizeof m->guard);
    if (!watch_fits(m->watch, &m->set))
        (void)renew_watch(m);
}

static void drop_service(struct move *m)
{
    move_hold(m);
    move_unsay(m);
    m->gone = true;
    watch_free(&m->watch);
    answer_all(m);
    m->next = m->all->leaving;
    m->all->leaving = m;
    move_release(m);
}

/* Watches go by the canaries: when these change, all begin anew. */
static void reload_canaries(struct moves *all, const struct config *c)
{
    char urls[sizeof all->canary_urls];
    struct canaries *fresh, *old = all->canaries;
    struct err e = {0};
    bool used = false;

    canary_urls(c, urls);
    if (strcmp(urls, all->canary_urls) == 0)
        return;
    fresh = canaries_new(all->d->loop, all->d->log, c, &e);
    if (!fresh) {
        LOG(all->d->log, LOG_ERROR, "failover", "canaries could not be begun anew: the old ones go on",
            kv_e(&e));
        return;
    }
    all->canaries = fresh;
    memcpy(all->canary_urls, urls, sizeof urls);
    for (struct move *m = all->first; m; m = m->next)
        used |= !renew_watch(m);
    if (used && !all->retired)
        all->retired = old;
    else if (!used)
        canaries_free(&old);
}

int moves_reload(struct moves *all, const struct config *c, struct err *e)
{
    struct move *old = all->first, **at = &all->first, *next;
    const struct section *s;
    int rc = 0;

    if (!moves_can_reload(all, c, e))
        return e->code;
    if (actions_reload(all->actions, c, e) != 0)
        return e->code;
    all->first = NULL;
    for (size_t i = 0; (s = config_named(c, "failover", i)) != NULL; i++) {
        struct move **found = &old, *m;

        while (*found && strcmp(move_service(*found), section_label(s)) != 0)
            found = &(*found)->next;
        m = *found;
        if (m) {
            *found = m->next;
            m->next = NULL;
            reload_one(m, c, s);
        } else {
            m = move_new(all, c, s, e);
            if (!m) {
                rc = e->code;
                continue;
            }
        }
        *at = m;
        at = &m->next;
    }
    for (; old; old = next) {
        next = old->next;
        drop_service(old);
    }
    reload_canaries(all, c);
    return rc ? rc : moves_drills_load(all, c, false, e);
}
