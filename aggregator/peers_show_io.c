/* Peers, as the API and the metrics show them. See peers.h. */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "aggregator/peers_private.h"
#include "version.h"

static cJSON *region_json(const char *region, bool own)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "region", region);
    cJSON_AddBoolToObject(o, "own", own);
    return o;
}

static cJSON *peer_json(const struct peer *p, struct mono now)
{
    cJSON *o = region_json(p->region, false), *firing;

    cJSON_AddStringToObject(o, "peer", p->name);
    cJSON_AddBoolToObject(o, "up", p->up);
    if (p->heard.ns) {
        cJSON_AddNumberToObject(o, "heard_seconds", span_seconds(mono_sub(now, p->heard)));
        cJSON_AddNumberToObject(o, "skew_seconds", (double)p->skew_ms / 1000);
        cJSON_AddStringToObject(o, "host", p->host);
        cJSON_AddStringToObject(o, "version", p->version);
        cJSON_AddNumberToObject(o, "told", p->told);
        cJSON_AddNumberToObject(o, "objectives", p->slos);
        if (*p->voter)
            cJSON_AddStringToObject(o, "voter", p->voter);
        firing = cJSON_AddObjectToObject(o, "alerts");
        for (int s = SEVERITY_INFO; s <= SEVERITY_CRITICAL; s++)
            cJSON_AddNumberToObject(firing, severity_name((enum severity)s), p->firing[s]);
    } else {
        cJSON_AddNullToObject(o, "heard_seconds");
        cJSON_AddNullToObject(o, "skew_seconds");
    }
    return o;
}

struct bytes peers_regions(const struct decide *d, struct arena *a)
{
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "regions"),
          *own = region_json(d->region, true);
    struct bytes out = {NULL, 0};
    char *text;

    cJSON_AddStringToObject(own, "host", d->host);
    cJSON_AddStringToObject(own, "version", SB_VERSION);
    cJSON_AddItemToArray(list, own);
    for (const struct peer *p = d->peers; p; p = p->next)
        cJSON_AddItemToArray(list, peer_json(p, loop_mono(d->loop)));
    cJSON_AddNullToObject(o, "next");
    text = cJSON_PrintUnformatted(o);
    if (text)
        out = (struct bytes){(const uint8_t *)arena_text(a, text, strlen(text)), strlen(text)};
    cJSON_free(text);
    cJSON_Delete(o);
    return out.p ? out : (struct bytes){NULL, 0};
}

void peers_leader(const struct decide *d, const char *voter, const char **region, const char **reading)
{
    size_t n = strcspn(voter, " ");

    *region = *reading = "";
    for (uint32_t i = 0; i < d->n_voters; i++) {
        if (strlen(d->voters[i].name) == n && strncmp(d->voters[i].name, voter, n) == 0)
            *region = d->voters[i].region;
    }
    for (const struct peer *p = d->peers; p;
         p = p->next) { /* by its voter when it has said it, else by its region */
        bool its = strlen(p->voter) == n && strncmp(p->voter, voter, n) == 0;

        if (n && *p->reading && (its || (!*p->voter && **region && strcmp(p->region, *region) == 0)))
            *reading = p->reading;
    }
}

static const struct metric_row up_row = {
    "securebase_peer_up", METRIC_GAUGE, 1, 1, "peer region", "Whether the peer was heard in the last 15 s."};
static const struct metric_row heard_row = {"securebase_peer_heard_seconds",
                                            METRIC_GAUGE,
                                            1,
                                            1,
                                            "peer region",
                                            "Time since the peer was heard; +Inf: never."};
static const struct metric_row skew_row = {
    "securebase_peer_skew_seconds",
    METRIC_GAUGE,
    1,
    1000,
    "peer region",
    "The peer's clock minus ours when its last word came, less the time that it took."};
static const struct metric_row words_row = {"securebase_peer_words_total",
                                            METRIC_COUNTER,
                                            1,
                                            1,
                                            "peer region result",
                                            "Words with the peer: heard, said, and not taken by it."};
static const struct metric_row strange_row = {
    "securebase_peer_strange_words_total",
    METRIC_COUNTER,
    1,
    1,
    "",
    "Words that could not be read, or of a region that no [peer] serves."};
static const struct metric_row votes_row = {
    "securebase_peer_strange_votes_total",
    METRIC_COUNTER,
    1,
    1,
    "",
    "Words whose part on failover could not be read, or of a voter that does not stand in that region."};

void peers_metrics(const struct decide *d, struct sink *out)
{
    const struct mono now = loop_mono(d->loop);

    for (const struct peer *p = d->peers; p; p = p->next) {
        struct text l[3] = {text_of(p->name), text_of(p->region), text_of("heard")};

        sink_int(out, &up_row, l, p->up);
        sink_real(out, &heard_row, l, p->heard.ns ? span_seconds(mono_sub(now, p->heard)) : (double)INFINITY);
        if (p->heard.ns)
            sink_int(out, &skew_row, l, p->skew_ms);
        sink_uint(out, &words_row, l, p->words);
        l[2] = text_of("said");
        sink_uint(out, &words_row, l, p->sends);
        l[2] = text_of("failed");
        sink_uint(out, &words_row, l, p->failures);
    }
    sink_uint(out, &strange_row, NULL, d->strange_words);
    sink_uint(out, &votes_row, NULL, d->strange_votes);
}
