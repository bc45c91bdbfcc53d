/* What operators order by the desk: the body is JSON, and what it lacks may stand in the query. See answers.h. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/answers.h"

enum { LABELS_MOST = 32, WORD_MOST = 64, TEXT_MOST = 4000 };

static bool flag(const struct desk *d, const cJSON *body, const char *name)
{
    const char *text = desk_param(d, name);

    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, name)) ||
           (text && (strcmp(text, "yes") == 0 || strcmp(text, "true") == 0 || strcmp(text, "1") == 0));
}

static cJSON *body_of(const struct desk *d)
{
    return d->r->body.n ? cJSON_ParseWithLength((const char *)d->r->body.p, d->r->body.n) : NULL;
}

/* From, and to or for. `from` {0}: now. */
static int span_of(struct desk *d, const cJSON *body, struct wall *from, struct wall *to)
{
    const char *last = desk_field(d, body, "for"), *end = desk_field(d, body, "to");
    struct err e = {0};
    struct span s;
    int rc = desk_time(d, "from", desk_field(d, body, "from"), from);

    if (rc)
        return rc;
    if (end)
        return desk_time(d, "to", end, to);
    if (!last)
        return desk_error(d, 400, "parameter", "to, or for, is needed: everything has an end");
    if (parse_duration(last, &s, &e) != 0)
        return desk_error(d, 400, "parameter", "for: %s", e.text);
    *to = wall_add(from->ms ? *from : d->m->now, s);
    return 0;
}

/* {"id": …, "done": true} */
static int made(struct desk *d, const char *id)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    if (id && *id)
        cJSON_AddStringToObject(o, "id", id);
    cJSON_AddBoolToObject(o, "done", true);
    text = cJSON_PrintUnformatted(o);
    buf_str(d->out, text ? text : "{\"done\":true}");
    buf_str(d->out, "\n");
    cJSON_free(text);
    cJSON_Delete(o);
    return 200;
}

static int order(struct desk *d, struct act_order *a)
{
    struct err e = {0};
    char id[64] = "";
    int rc;

    a->who = d->r->actor.who;
    a->reason = d->r->actor.reason;
    a->request_id = d->r->actor.request_id;
    rc = judge_act(d->j, d->m, a, d->orders, id, &e);
    return rc ? desk_fault(d, rc, &e) : made(d, id);
}

static int act_over_time(struct desk *d, enum act act)
{
    cJSON *body = body_of(d);
    struct act_order a = {.act = act,
                          .what = *d->part ? d->part : desk_field(d, body, "name"),
                          .match = desk_field(d, body, "match"),
                          .user = desk_field(d, body, "user"),
                          .end_when_resolved = flag(d, body, "end_when_resolved"),
                          .excludes_sla = flag(d, body, "excludes_sla")};
    int rc = span_of(d, body, &a.from, &a.to);

    cJSON_Delete(body);
    return rc ? rc : order(d, &a);
}

int act_silence_add(struct desk *d)
{
    return act_over_time(d, ACT_SILENCE_ADD);
}

int act_silence_end(struct desk *d)
{
    return order(d, &(struct act_order){.act = ACT_SILENCE_END, .what = d->part});
}

int act_maintenance_start(struct desk *d)
{
    return act_over_time(d, ACT_MAINTENANCE_START);
}

int act_maintenance_end(struct desk *d)
{
    return order(d, &(struct act_order){.act = ACT_MAINTENANCE_END, .what = d->part});
}

int act_rota_override(struct desk *d)
{
    return act_over_time(d, ACT_ROTA_OVERRIDE);
}

int act_alert_ack(struct desk *d)
{
    return order(d, &(struct act_order){.act = ACT_ACK, .what = d->part});
}

int act_alert_unack(struct desk *d)
{
    return order(d, &(struct act_order){.act = ACT_UNACK, .what = d->part});
}

/* ---- incidents ---- */

static int incident(struct desk *d, enum incident_event_kind kind, const char *text)
{
    struct err e = {0};
    int rc = judge_incident(d->j, d->m, kind, d->part, d->r->actor.who, text, d->orders, &e);

    return rc ? desk_fault(d, rc, &e) : made(d, d->part);
}

int act_incident_ack(struct desk *d)
{
    return incident(d, INCIDENT_ACK, d->r->actor.reason);
}

int act_incident_resolve(struct desk *d)
{
    return incident(d, INCIDENT_RESOLVE, d->r->actor.reason);
}

int act_incident_note(struct desk *d)
{
    cJSON *body = body_of(d);
    const char *text = desk_field(d, body, "text");

    cJSON_Delete(body);
    if (text && strlen(text) > TEXT_MOST)
        return desk_error(d, 400, "parameter", "text: at most %d bytes are allowed", TEXT_MOST);
    return incident(d, INCIDENT_NOTE, text ? text : d->r->actor.reason);
}

/* ---- events ---- */

static uint32_t labels_of(const cJSON *o, struct label out[LABELS_MOST])
{
    uint32_t n = 0;

    for (const cJSON *x = o ? o->child : NULL; x && n < LABELS_MOST; x = x->next) {
        const char *value = cJSON_GetStringValue(x);

        if (value && *value)
            out[n++] = (struct label){x->string, value};
    }
    labels_sort(out, n);
    return n;
}

static int put_event(struct desk *d, const struct change_event *c, const cJSON *labels)
{
    cJSON *o = cJSON_CreateObject();
    char text[WALL_TEXT], *json;

    cJSON_AddStringToObject(o, "time", wall_text(c->t, text));
    cJSON_AddStringToObject(o, "kind", c->kind);
    cJSON_AddStringToObject(o, "name", c->name);
    cJSON_AddStringToObject(o, "text", c->text);
    cJSON_AddItemToObject(o, "labels", labels ? cJSON_Duplicate(labels, true) : cJSON_CreateObject());
    cJSON_AddStringToObject(o, "who", d->r->actor.who);
    json = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!json)
        return desk_error(d, 503, "unavailable", "no memory");
    orders_line(d->orders, "event", bytes_of(c->kind), c->t, bytes_of(json));
    judge_change(d->j, d->m, c, d->r->actor.who, d->orders);
    cJSON_free(json);
    return made(d, NULL);
}

int act_event(struct desk *d)
{
    cJSON *body = body_of(d);
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(body, "labels");
    struct label v[LABELS_MOST];
    struct change_event c = {.kind = desk_field(d, body, "kind"),
                             .name = desk_field(d, body, "name"),
                             .text = desk_field(d, body, "text"),
                             .labels = {v, labels_of(labels, v)},
                             .t = d->m->now};
    int rc = desk_time(d, "time", desk_field(d, body, "time"), &c.t);

    if (!c.text)
        c.text = d->r->actor.reason;
    if (!c.kind)
        c.kind = "deployment";
    if (rc == 0 && (!c.name || strlen(c.name) > WORD_MOST * 2 || strlen(c.kind) > WORD_MOST ||
                    strlen(c.text) > TEXT_MOST))
        rc = desk_error(d, 400, "parameter", "name (to %d bytes) is needed; kind to %d, text to %d",
                        WORD_MOST * 2, WORD_MOST, TEXT_MOST);
    if (rc == 0)
        rc = put_event(d, &c, labels);
    cJSON_Delete(body);
    return rc;
}
