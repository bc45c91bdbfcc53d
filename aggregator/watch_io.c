/* Watches and canaries on their loop. See watch.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/watch_private.h"
#include "common/base/rng.h"

enum {
    LOOK_MS = 1000, /* how often the voter looks at most: a tick apart, what it sees would come late */
    EARLY_MS = 50,
    CANARY_MS = 5000, /* of nobody's watch */
    CANARY_TIMEOUT_MS = 2000,
    BEAT_MS = 5000, /* words of peers: peers_io.c */
    SPARE = 4
};

static int64_t now_ms(struct loop *l)
{
    return mono_to_ms(loop_mono(l));
}

static struct span shorter(struct span a, int64_t ms)
{
    return a.ns < span_ms(ms).ns ? a : span_ms(ms);
}

/* ---- canaries ---- */

static void canary_came(void *arg, struct target *t)
{
    const struct canaries *c = arg;

    for (struct watch *w = c->watches; w; w = w->next)
        voter_canary(&w->voter, &w->vote, t->index, t->good, now_ms(c->loop));
}

/* As often as the most hurried of the watches. */
static void canaries_pace(struct canaries *c)
{
    int64_t every = CANARY_MS;

    for (const struct watch *w = c->watches; w; w = w->next) {
        int64_t own = w->fast ? w->vote.fast_ms : w->vote.tick_ms;

        every = own < every ? own : every;
    }
    if (c->every.ns == span_ms(every).ns)
        return;
    c->every = span_ms(every);
    for (uint8_t i = 0; i < c->n; i++) {
        c->canary[i].target.timeout = shorter(span_ms(CANARY_TIMEOUT_MS), 2 * every);
        target_pace(&c->canary[i].target, c->every, span_ms(every * i / c->n));
    }
}

static int open_canary(struct canaries *c, const struct section *s, struct err *e)
{
    struct canary *k = &c->canary[c->n];

    (void)snprintf(k->name, sizeof k->name, "%s", section_label(s));
    k->target.any_answer = true;
    k->target.done = canary_came;
    k->target.arg = c;
    k->target.index = c->n++;
    return target_open(&k->target, &c->ways, option_text(s, "url"), e);
}

struct canaries *canaries_new(struct loop *l, struct log *log, const struct config *cfg, struct err *e)
{
    struct canaries *c = calloc(1, sizeof *c);
    const struct section *s;
    int rc;

    if (!c) {
        (void)err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    c->loop = l;
    c->log = log;
    rc = target_ways_open(&c->ways, l, NULL, VOTE_CANARIES + SPARE, e);
    for (size_t i = 0; rc == 0 && i < VOTE_CANARIES && (s = config_named(cfg, "canary", i)) != NULL; i++)
        rc = open_canary(c, s, e);
    if (rc)
        canaries_free(&c);
    else
        canaries_pace(c);
    return c;
}

void canaries_free(struct canaries **cp)
{
    struct canaries *c = *cp;

    if (!c)
        return;
    for (uint8_t i = 0; i < c->n; i++)
        target_close(&c->canary[i].target);
    target_ways_close(&c->ways);
    for (struct watch *w = c->watches; w; w = w->next)
        w->p.canaries = NULL;
    free(c);
    *cp = NULL;
}

void canaries_metrics(const struct canaries *c, struct sink *out)
{
    canaries_put(c, out);
}

static void join(struct watch *w)
{
    struct canaries *c = w->p.canaries;

    if (!c)
        return;
    w->next = c->watches;
    c->watches = w;
    canaries_pace(c);
}

static void leave(struct watch *w)
{
    struct watch **at = w->p.canaries ? &w->p.canaries->watches : NULL;

    while (at && *at && *at != w)
        at = &(*at)->next;
    if (!at || !*at)
        return;
    *at = w->next;
    canaries_pace(w->p.canaries);
}

/* ---- probes ---- */

/* The first failure is looked at closely, until it is known whether it is one of a run: by itself this voter waits for no
 * doubt of others. */
static void pace_target(struct watch *w, struct target *t)
{
    bool undecided = !t->good && w->voter.region[t->region].read[t->index].run != VOTE_RUN_FAILED;
    struct span every = span_ms(w->fast || undecided ? w->vote.fast_ms : w->vote.tick_ms);

    if (t->every.ns != every.ns)
        target_pace(t, every, every);
}

static void probe_came(void *arg, struct target *t)
{
    struct watch *w = arg;
    const struct vote_target *r = &w->voter.region[t->region].read[t->index];
    uint8_t before = r->run;

    voter_probe(&w->voter, &w->vote, t->region, t->index, t->good, now_ms(w->p.loop));
    pace_target(w, t);
    if (r->run == before)
        return;
    LOG(w->p.log, r->run == VOTE_RUN_FAILED ? LOG_WARN : LOG_INFO, "watch",
        r->run == VOTE_RUN_FAILED ? "a probe fails" : "a probe is good",
        kv_s("service", w->set.names.service), kv_s("region", w->set.names.region[t->region]),
        kv_s("url", t->url), kv_s("reason", t->reason), kv_i("status", t->status));
}

static void pace_probes(struct watch *w)
{
    int64_t every = w->fast ? w->vote.fast_ms : w->vote.tick_ms;

    for (uint8_t i = 0; i < w->n_targets; i++)
        target_pace(&w->target[i], span_ms(every), span_ms(every * i / w->n_targets));
}

static int open_probes(struct watch *w, struct err *e)
{
    int rc = target_ways_open(&w->ways, w->p.loop, w->set.probe_ca, FO_PROBES_MOST + SPARE, e);

    for (uint8_t i = 0; rc == 0 && i < w->set.n_probes && i < FO_PROBES_MOST; i++) {
        struct target *t = &w->target[w->n_targets++];

        t->region = w->set.probe[i].region;
        t->index = w->set.probe[i].index;
        t->done = probe_came;
        t->arg = w;
        /* results have to come more often than they go stale */
        t->timeout = shorter(span_ms(w->set.probe_timeout_ms), 2 * (int64_t)w->vote.tick_ms);
        rc = target_open(t, &w->ways, w->set.probe[i].url, e);
    }
    return rc;
}

/* ---- looking ---- */

static void look(void *arg)
{
    struct watch *w = arg;
    struct mono now = loop_mono(w->p.loop);
    bool other;

    timer_set(w->look, shorter(span_ms(LOOK_MS), w->fast ? w->vote.fast_ms : w->vote.tick_ms));
    voter_look(&w->voter, &w->vote, mono_to_ms(now), &w->newest);
    w->newest.voter = w->set.core.self;
    w->looks++;
    other = !watch_same_vote(&w->newest, &w->given);
    if (!other && w->given_at.ns && mono_sub(now, w->given_at).ns < span_ms(w->newest.tick_ms - EARLY_MS).ns)
        return;
    w->given = w->newest;
    w->given_at = now;
    w->votes++;
    w->p.vote(w->p.arg, &w->newest);
}

/* Settings as the voter goes by them here. */
static void use_settings(struct watch *w, const struct watch_params *p)
{
    uint8_t canaries = p->canaries ? p->canaries->n : 0;

    w->p = *p;
    w->p.settings = NULL;
    w->set = *p->settings;
    w->vote = w->set.vote;
    if (w->vote.beat_ms <= 0)
        w->vote.beat_ms = BEAT_MS;
    if (w->vote.n_canaries > canaries)
        w->vote.n_canaries = canaries;
}

struct watch *watch_new(const struct watch_params *p, struct err *e)
{
    struct watch *w = calloc(1, sizeof *w);
    struct rng rng;
    int rc;

    if (!w) {
        (void)err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    use_settings(w, p);
    voter_init(&w->voter, &w->vote, now_ms(p->loop), p->boot);
    rc = open_probes(w, e);
    w->look = rc ? NULL : timer_new(p->loop, look, w);
    if (rc == 0 && !w->look)
        rc = err_set(e, ERR_NOMEM, "no memory");
    if (rc) {
        watch_free(&w);
        return NULL;
    }
    join(w);
    pace_probes(w);
    rng_seed(&rng, p->seed); /* aggregators that start together do not look together */
    timer_set(w->look, span_ms((int64_t)rng_below(&rng, LOOK_MS)));
    return w;
}

void watch_free(struct watch **wp)
{
    struct watch *w = *wp;

    if (!w)
        return;
    leave(w);
    timer_free(&w->look);
    for (uint8_t i = 0; i < w->n_targets; i++)
        target_close(&w->target[i]);
    target_ways_close(&w->ways);
    free(w);
    *wp = NULL;
}

bool watch_fits(const struct watch *w, const struct fo_settings *s)
{
    return memcmp(&w->set.vote, &s->vote, sizeof s->vote) == 0 &&
           memcmp(&w->set.names, &s->names, sizeof s->names) == 0 && w->set.n_probes == s->n_probes &&
           memcmp(w->set.probe, s->probe, sizeof s->probe) == 0 &&
           strcmp(w->set.probe_ca, s->probe_ca) == 0 && w->set.probe_timeout_ms == s->probe_timeout_ms &&
           w->set.core.self == s->core.self;
}

/* ---- what others tell ---- */

void watch_fast(struct watch *w, bool fast)
{
    if (w->fast == fast)
        return;
    w->fast = fast;
    voter_fast(&w->voter, fast);
    pace_probes(w);
    if (w->p.canaries)
        canaries_pace(w->p.canaries);
    timer_set(w->look, span_ms(0)); /* others have to know how long the next vote may take */
}

void watch_peer_heard(struct watch *w, uint8_t region, uint8_t nth)
{
    voter_beat(&w->voter, &w->vote, region, nth, now_ms(w->p.loop));
}

void watch_known(struct watch *w, uint8_t region)
{
    voter_known(&w->voter, region);
}

void watch_users(struct watch *w, uint8_t region, uint64_t good, uint64_t total)
{
    voter_users(&w->voter, &w->vote, region, good, total, now_ms(w->p.loop));
}

void watch_users_elsewhere(struct watch *w, uint8_t region)
{
    voter_users_elsewhere(&w->voter, &w->vote, region, now_ms(w->p.loop));
}

void watch_database(struct watch *w, uint8_t region, int64_t heard_ago_ms)
{
    voter_database(&w->voter, &w->vote, region, heard_ago_ms, now_ms(w->p.loop));
}

void watch_agents(struct watch *w, uint8_t region, uint32_t up, uint32_t known)
{
    voter_agents(&w->voter, region, up, known);
}

void watch_tilt(struct watch *w)
{
    w->tilts++;
    voter_tilt(&w->voter, &w->vote, now_ms(w->p.loop));
}

/* ---- reading ---- */

const struct fo_vote *watch_vote(const struct watch *w)
{
    return &w->newest;
}

void watch_metrics(const struct watch *w, struct sink *out)
{
    watch_put(w, out);
}

cJSON *watch_json(const struct watch *w)
{
    return watch_show(w, loop_mono(w->p.loop));
}
