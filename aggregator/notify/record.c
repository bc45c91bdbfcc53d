/* State as records: what a restart must know so that nothing that was confirmed is sent twice and nothing is
 * forgotten. One for each alert (with what each receiver knows of it), group, receiver, silence, maintenance,
 * override and peer; JSON, so that a later version may add to it and people can read it. An empty value deletes. */
#include "aggregator/notify/notify_private.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static const char *const states[TOLD_STATES] = {
    [TOLD_NOT] = "not",   [TOLD_MAYBE] = "maybe", [TOLD_YES] = "told",          [TOLD_DIGEST] = "digest",
    [TOLD_PEER] = "peer", [TOLD_OVER] = "over",   [TOLD_GIVEN_UP] = "given_up",
};

const char *told_state_name(unsigned s)
{
    return s < TOLD_STATES ? states[s] : "not";
}

/* Hands the record over and frees the object. */
static void emit(struct notify *n, const char *kind, const char *id, cJSON *o)
{
    char key[300];
    char *text = o ? cJSON_PrintUnformatted(o) : NULL;

    (void)snprintf(key, sizeof key, "%s/%s", kind, id);
    if (o && !text)
        n->no_memory++;
    else if (n->out && n->out->record)
        n->out->record(n->out->arg, (struct bytes){(const uint8_t *)key, strlen(key)},
                       (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0});
    cJSON_free(text);
    cJSON_Delete(o);
}

void record_gone(struct notify *n, const char *kind, const char *id)
{
    emit(n, kind, id, NULL);
}

static void number(cJSON *o, const char *key, int64_t v)
{
    cJSON_AddNumberToObject(o, key, (double)v);
}

static cJSON *labels_object(struct labels l)
{
    cJSON *o = cJSON_CreateObject();

    for (uint32_t i = 0; i < l.n; i++)
        cJSON_AddStringToObject(o, l.v[i].name, l.v[i].value);
    return o;
}

static void record_alert(struct notify *n, const struct known *k)
{
    cJSON *o = cJSON_CreateObject(), *told;

    cJSON_AddStringToObject(o, "rule", k->rule);
    cJSON_AddItemToObject(o, "labels", labels_object(k->labels));
    number(o, "epoch", (int64_t)k->epoch);
    cJSON_AddBoolToObject(o, "firing", k->firing);
    cJSON_AddBoolToObject(o, "suppressed", k->suppressed);
    cJSON_AddBoolToObject(o, "internal", k->internal);
    cJSON_AddStringToObject(o, "severity", severity_name(k->severity));
    number(o, "since", k->since.ms);
    number(o, "ended", k->ended.ms);
    cJSON_AddNumberToObject(o, "value", k->value);
    cJSON_AddNumberToObject(o, "threshold", k->threshold);
    cJSON_AddStringToObject(o, "summary", k->summary);
    cJSON_AddStringToObject(o, "description", k->description);
    cJSON_AddStringToObject(o, "runbook", k->runbook);
    if (k->ack.epoch) {
        number(o, "ack_epoch", (int64_t)k->ack.epoch);
        number(o, "ack_at", k->ack.t.ms);
        cJSON_AddStringToObject(o, "ack_who", k->ack.who);
        cJSON_AddStringToObject(o, "ack_reason", k->ack.reason);
    }
    told = cJSON_AddArrayToObject(o, "told");
    for (uint32_t i = 0; i < k->n_told; i++) {
        const struct told *t = &k->told[i];
        cJSON *r;

        if (t->state == TOLD_NOT && !t->by_digest)
            continue;
        r = cJSON_CreateObject();
        cJSON_AddStringToObject(r, "group", t->line->group->key);
        cJSON_AddStringToObject(r, "receiver", t->line->receiver->name);
        cJSON_AddStringToObject(r, "state", states[t->state]);
        number(r, "epoch", (int64_t)t->epoch);
        if (t->by_digest)
            cJSON_AddBoolToObject(r, "by_digest", true);
        cJSON_AddItemToArray(told, r);
    }
    emit(n, "alert", k->hex, o);
}

/* Waits as wall times: the boot clock begins anew with the machine. */
static int64_t at_wall(const struct notify *n, struct mono t)
{
    return t.ns ? n->now.ms + span_to_ms(mono_sub(t, n->now_mono)) : 0;
}

static void record_group(struct notify *n, const struct group *g)
{
    cJSON *o = cJSON_CreateObject(), *lines;

    cJSON_AddStringToObject(o, "route", g->route_name);
    cJSON_AddItemToObject(o, "labels", labels_object(g->labels));
    number(o, "start", at_wall(n, g->start));
    number(o, "flushed", at_wall(n, g->flushed));
    if (g->escalating.ns) {
        number(o, "escalating", g->escalating_at.ms);
        number(o, "step", g->step);
        number(o, "round", g->round);
    }
    lines = cJSON_AddArrayToObject(o, "lines");
    for (const struct line *l = g->lines; l; l = l->next) {
        cJSON *r;

        if (!l->told_at.ms)
            continue;
        r = cJSON_CreateObject();
        cJSON_AddStringToObject(r, "receiver", l->receiver->name);
        number(r, "told_at", l->told_at.ms);
        cJSON_AddBoolToObject(r, "gave_up", l->gave_up);
        cJSON_AddItemToArray(lines, r);
    }
    emit(n, "group", g->key, o);
}

void record_receiver(struct notify *n, const struct receiver *r)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddBoolToObject(o, "reported", r->reported);
    cJSON_AddBoolToObject(o, "digest_open", r->digest_open);
    emit(n, "receiver", r->name, o);
}

void record_peer(struct notify *n, const struct peer *p)
{
    cJSON *o = cJSON_CreateObject();

    number(o, "since", n->now.ms);
    emit(n, "peer", p->region, o);
}

static cJSON *owned(const char *who, const char *reason, const char *request, struct wall from,
                    struct wall to)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "who", who);
    cJSON_AddStringToObject(o, "reason", reason);
    cJSON_AddStringToObject(o, "request", request);
    number(o, "from", from.ms);
    number(o, "to", to.ms);
    return o;
}

void record_silence(struct notify *n, const struct silence *s)
{
    cJSON *o = owned(s->who, s->reason, s->request, s->from, s->to);

    cJSON_AddStringToObject(o, "match", match_text(s->match));
    number(o, "made", s->made.ms);
    cJSON_AddBoolToObject(o, "end_when_resolved", s->end_when_resolved);
    cJSON_AddBoolToObject(o, "matched", s->matched);
    cJSON_AddBoolToObject(o, "ended", s->ended);
    cJSON_AddStringToObject(o, "how", s->how);
    emit(n, "silence", s->id, o);
}

void record_maintenance(struct notify *n, const struct runtime_maintenance *m)
{
    cJSON *o = owned(m->who, m->reason, m->request, m->from, m->to);

    cJSON_AddStringToObject(o, "match", match_text(m->match));
    number(o, "declared", m->declared.ms);
    cJSON_AddBoolToObject(o, "excludes_sla", m->excludes_sla);
    cJSON_AddBoolToObject(o, "ended", m->ended);
    emit(n, "maintenance", m->id, o);
}

void record_override(struct notify *n, const struct runtime_override *v)
{
    cJSON *o = owned(v->who, v->reason, v->request, v->from, v->to);

    cJSON_AddStringToObject(o, "rota", v->rota);
    cJSON_AddStringToObject(o, "person", v->person);
    emit(n, "override", v->id, o);
}

/* All that has changed in this step. */
void records_write(struct notify *n)
{
    while (n->unsaved_alerts) {
        struct known *k = n->unsaved_alerts;

        n->unsaved_alerts = k->next_unsaved;
        k->unsaved = false;
        record_alert(n, k);
    }
    while (n->unsaved_groups) {
        struct group *g = n->unsaved_groups;

        n->unsaved_groups = g->next_unsaved;
        g->unsaved = false;
        record_group(n, g);
    }
}
