/* What a watch sees, as metrics and as JSON. See watch_private.h. Pure. */
#include "aggregator/watch_private.h"

#include <stdio.h>
#include <string.h>

enum { VERDICTS = 4 };

static const char *const verdicts[VERDICTS] = {"unknown", "up", "degraded", "down"};
static const char *const users[] = {"unknown", "good", "bad"};
static const char *const runs[] = {"unknown", "good", "failed"};
static const struct {
    uint8_t bit;
    const char *name;
} classes[] = {{FO_PROBES, "probes"},     {FO_USERS, "users"},   {FO_HEARTBEAT, "heartbeat"},
               {FO_DATABASE, "database"}, {FO_AGENTS, "agents"}, {FO_DEPENDENCY, "dependency"}};

bool watch_same_vote(const struct fo_vote *a, const struct fo_vote *b)
{
    return a->tick_ms == b->tick_ms && a->gray == b->gray && a->self_ok == b->self_ok &&
           memcmp(a->verdict, b->verdict, sizeof a->verdict) == 0 &&
           memcmp(a->classes, b->classes, sizeof a->classes) == 0 &&
           memcmp(a->users, b->users, sizeof a->users) == 0;
}

/* ---- metrics ---- */

static const struct metric_row health_row = {
    .name = "securebase_region_health",
    .kind = METRIC_GAUGE,
    .labels = "region service verdict",
    .help = "Our own verdict on a region of a service: 1 for the one that holds."};
static const struct metric_row probes_row = {
    .name = "securebase_region_probes_total",
    .kind = METRIC_COUNTER,
    .labels = "region result service url",
    .help = "Probes of a region by what came of them: good, failed; left out, since the one before was under "
            "way; or could not be begun."};
static const struct metric_row seconds_row = {.name = "securebase_region_probe_seconds",
                                              .kind = METRIC_GAUGE,
                                              .labels = "region service url",
                                              .help = "How long the last probe took."};
static const struct metric_row self_row = {
    .name = "securebase_voter_self_ok",
    .kind = METRIC_GAUGE,
    .labels = "service",
    .help = "Whether our vote counts: most canaries answer, and our clock and loop have not jumped."};
static const struct metric_row votes_row = {.name = "securebase_votes_total",
                                            .kind = METRIC_COUNTER,
                                            .labels = "service",
                                            .help = "Votes that we have given."};
static const struct metric_row tilts_row = {
    .name = "securebase_voter_tilts_total",
    .kind = METRIC_COUNTER,
    .labels = "service",
    .help = "How often our clock or loop has jumped, so that we did not vote for a while."};
static const struct metric_row canary_row = {.name = "securebase_canary_up",
                                             .kind = METRIC_GAUGE,
                                             .labels = "canary",
                                             .help = "Whether the canary answered when it was last asked."};
static const struct metric_row canaries_row = {.name = "securebase_canary_probes_total",
                                               .kind = METRIC_COUNTER,
                                               .labels = "canary result",
                                               .help = "Questions to a canary by what came of them."};

static void put_counts(struct sink *out, const struct metric_row *row, struct text *l, size_t at,
                       const struct target *t)
{
    l[at] = text_of("good");
    sink_uint(out, row, l, t->runs - t->failures);
    l[at] = text_of("failed");
    sink_uint(out, row, l, t->failures);
    l[at] = text_of("left_out");
    sink_uint(out, row, l, t->skipped);
    l[at] = text_of("not_begun");
    sink_uint(out, row, l, t->unasked);
}

void watch_put(const struct watch *w, struct sink *out)
{
    const struct text service = text_of(w->set.names.service);

    for (uint8_t r = 0; r < w->vote.n_regions; r++)
        for (uint8_t v = 0; v < VERDICTS; v++) {
            const struct text l[] = {text_of(w->set.names.region[r]), service, text_of(verdicts[v])};

            sink_uint(out, &health_row, l, w->newest.verdict[r] == v);
        }
    for (uint8_t i = 0; i < w->n_targets; i++) {
        const struct target *t = &w->target[i];
        const struct text region = text_of(w->set.names.region[t->region]), url = text_of(t->url);
        struct text l[4] = {region, {NULL, 0}, service, url};
        const struct text last[] = {region, service, url};

        put_counts(out, &probes_row, l, 1, t);
        if (t->at.ns)
            sink_real(out, &seconds_row, last, span_seconds(t->took));
    }
    sink_uint(out, &self_row, &service, w->newest.self_ok);
    sink_uint(out, &votes_row, &service, w->votes);
    sink_uint(out, &tilts_row, &service, w->tilts);
}

void canaries_put(const struct canaries *c, struct sink *out)
{
    for (uint8_t i = 0; i < c->n; i++) {
        struct text l[2] = {text_of(c->canary[i].name)};

        sink_uint(out, &canary_row, l, c->canary[i].target.good);
        put_counts(out, &canaries_row, l, 1, &c->canary[i].target);
    }
}

/* ---- JSON ---- */

static void put_target(cJSON *o, const struct target *t, const struct vote_target *r, struct mono now)
{
    cJSON_AddStringToObject(o, "url", t->url);
    if (!t->at.ns) {
        cJSON_AddNullToObject(o, "good");
        return;
    }
    cJSON_AddBoolToObject(o, "good", t->good);
    cJSON_AddStringToObject(o, "reason", t->reason);
    cJSON_AddNumberToObject(o, "status", t->status);
    cJSON_AddNumberToObject(o, "seconds", span_seconds(t->took));
    cJSON_AddNumberToObject(o, "age_seconds", span_seconds(mono_sub(now, t->at)));
    cJSON_AddStringToObject(o, "run", runs[r->run % 3]);
    cJSON_AddNumberToObject(o, "good_in_a_row", r->good);
    cJSON_AddNumberToObject(o, "failed_in_a_row", r->bad);
}

static cJSON *new_in(cJSON *list)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddItemToArray(list, o);
    return o;
}

static void put_peers(const struct watch *w, cJSON *list, uint8_t region, int64_t now)
{
    for (uint8_t i = 0; i < w->vote.n_peers[region] && i < VOTE_PEERS; i++) {
        const struct vote_beat *b = &w->voter.region[region].beat[i];
        cJSON *o = new_in(list);

        cJSON_AddNumberToObject(o, "phi", (double)vote_phi(b, now) / 1000);
        if (b->last)
            cJSON_AddNumberToObject(o, "heard_seconds", (double)(now - b->last) / 1000);
        else
            cJSON_AddNullToObject(o, "heard_seconds");
    }
}

static void put_others(const struct watch *w, cJSON *o, uint8_t region, int64_t now)
{
    const struct vote_region *r = &w->voter.region[region];
    cJSON *x;

    if (r->users_at) {
        x = cJSON_AddObjectToObject(o, "events");
        cJSON_AddNumberToObject(x, "good", (double)r->good);
        cJSON_AddNumberToObject(x, "total", (double)r->total);
        cJSON_AddNumberToObject(x, "age_seconds", (double)(now - r->users_at) / 1000);
    }
    if (r->database_at) {
        x = cJSON_AddObjectToObject(o, "database");
        cJSON_AddNumberToObject(x, "heard_seconds", (double)(r->database_at - r->database_heard) / 1000);
        cJSON_AddNumberToObject(x, "age_seconds", (double)(now - r->database_at) / 1000);
    }
    if (r->agents) {
        x = cJSON_AddObjectToObject(o, "agents");
        cJSON_AddNumberToObject(x, "up", r->agents_up);
        cJSON_AddNumberToObject(x, "known", r->agents);
    }
}

static void put_region(const struct watch *w, cJSON *o, uint8_t region, struct mono now)
{
    const struct fo_vote *v = &w->newest;
    cJSON *list;

    cJSON_AddStringToObject(o, "region", w->set.names.region[region]);
    cJSON_AddStringToObject(o, "verdict", verdicts[v->verdict[region] & 3]);
    list = cJSON_AddArrayToObject(o, "classes");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (v->classes[region] & classes[i].bit)
            cJSON_AddItemToArray(list, cJSON_CreateString(classes[i].name));
    cJSON_AddStringToObject(o, "users", users[v->users[region] % 3]);
    cJSON_AddBoolToObject(o, "gray", (v->gray & 1u << region) != 0);
    list = cJSON_AddArrayToObject(o, "probes");
    for (uint8_t i = 0; i < w->n_targets; i++)
        if (w->target[i].region == region)
            put_target(new_in(list), &w->target[i], &w->voter.region[region].read[w->target[i].index], now);
    put_peers(w, cJSON_AddArrayToObject(o, "peers"), region, mono_to_ms(now));
    put_others(w, o, region, mono_to_ms(now));
}

cJSON *watch_show(const struct watch *w, struct mono now)
{
    const struct canaries *c = w->p.canaries;
    cJSON *o = cJSON_CreateObject(), *list;

    cJSON_AddBoolToObject(o, "self_ok", w->newest.self_ok);
    cJSON_AddBoolToObject(o, "fast", w->fast);
    cJSON_AddBoolToObject(o, "tilted", w->voter.tilt_until > mono_to_ms(now));
    list = cJSON_AddArrayToObject(o, "canaries");
    for (uint8_t i = 0; c && i < c->n; i++) {
        cJSON *k = new_in(list);

        cJSON_AddStringToObject(k, "canary", c->canary[i].name);
        put_target(k, &c->canary[i].target, &w->voter.canary[i], now);
    }
    list = cJSON_AddArrayToObject(o, "regions");
    for (uint8_t r = 0; r < w->vote.n_regions; r++)
        put_region(w, new_in(list), r, now);
    return o;
}
