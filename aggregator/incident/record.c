/* Incidents as records: one for each incident ("i/ID"), one for each member ("a/ID/FINGERPRINT"), one for each of the
 * latest changes ("c/N"). They come back in any order, so a member may be there before its incident; one without an
 * incident is dropped at the first step. Damaged records are counted and skipped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/incident/incident_private.h"

static void write(const struct incident_effects *out, const char *key, cJSON *o)
{
    char *text = cJSON_PrintUnformatted(o);

    /* without memory the state in the store stays the one before */
    if (text)
        out->record(out->arg, (struct bytes){(const uint8_t *)key, strlen(key)},
                    (struct bytes){(const uint8_t *)text, strlen(text)});
    cJSON_free(text);
    cJSON_Delete(o);
}

static void forget(const struct incident_effects *out, const char *key)
{
    out->record(out->arg, (struct bytes){(const uint8_t *)key, strlen(key)}, (struct bytes){0});
}

enum { KEY = 80 };

static const char *incident_key(const struct incident *in, char key[KEY])
{
    (void)snprintf(key, KEY, "i/%s", in->id);
    return key;
}

static const char *member_key(const struct member *m, char key[KEY])
{
    char hex[33];

    fingerprint_text(&m->id, hex);
    (void)snprintf(key, KEY, "a/%s/%s", m->in->id, hex);
    return key;
}

static void number(cJSON *o, const char *key, double v)
{
    if (v != 0)
        cJSON_AddNumberToObject(o, key, v);
}

static void text(cJSON *o, const char *key, const char *s)
{
    if (s[0])
        cJSON_AddStringToObject(o, key, s);
}

void incident_record(const struct incident *in, const struct incident_effects *out)
{
    cJSON *o = cJSON_CreateObject();
    char key[KEY];

    number(o, "number", (double)in->number);
    number(o, "state", in->state);
    number(o, "severity", in->severity);
    text(o, "title", in->title);
    text(o, "owner", in->owner);
    text(o, "resolver", in->resolver);
    text(o, "reason", in->reason);
    number(o, "began", (double)in->began.ms);
    number(o, "data", (double)in->data.ms);
    number(o, "opened", (double)in->opened.ms);
    number(o, "acknowledged", (double)in->acknowledged.ms);
    number(o, "resolved", (double)in->resolved.ms);
    number(o, "fired", (double)in->fired.ms);
    number(o, "cleared", (double)in->cleared.ms);
    number(o, "alerts", in->n_alerts);
    number(o, "untracked", in->untracked);
    number(o, "lines", in->lines);
    number(o, "left_out", in->left_out);
    number(o, "reopened", in->reopened);
    number(o, "notes", in->notes);
    cJSON_AddItemToObject(o, "group", incident_json_labels(in->group));
    write(out, incident_key(in, key), o);
}

void member_record(const struct member *m, const struct incident_effects *out)
{
    cJSON *o = cJSON_CreateObject();
    char key[KEY];

    text(o, "rule", m->rule);
    text(o, "labels", m->labels);
    text(o, "summary", m->summary);
    text(o, "runbook", m->runbook);
    number(o, "epoch", (double)m->epoch);
    number(o, "severity", m->severity);
    number(o, "firing", m->firing);
    number(o, "suppressed", m->suppressed);
    number(o, "acked", m->acknowledged);
    number(o, "fired", m->fired);
    number(o, "since", (double)m->since.ms);
    number(o, "data", (double)m->data.ms);
    number(o, "at", (double)m->at.ms);
    number(o, "cleared", (double)m->cleared.ms);
    number(o, "value", m->value);
    number(o, "threshold", m->threshold);
    write(out, member_key(m, key), o);
}

void member_forget(const struct member *m, const struct incident_effects *out)
{
    char key[KEY];

    forget(out, member_key(m, key));
}

void incident_forget(const struct incident *in, const struct incident_effects *out)
{
    char key[KEY];

    forget(out, incident_key(in, key));
}

void change_record(const struct change *c, uint32_t at, const struct incident_effects *out)
{
    cJSON *o = cJSON_CreateObject();
    char key[KEY];

    (void)snprintf(key, sizeof key, "c/%02u", at);
    number(o, "t", (double)c->t.ms);
    text(o, "kind", c->kind);
    text(o, "who", c->who);
    text(o, "text", c->text);
    cJSON_AddItemToObject(o, "labels", incident_json_labels(c->labels));
    write(out, key, o);
}

static uint32_t count_of(const cJSON *o, const char *key)
{
    double v = incident_json_number(o, key);

    return v > 0 && v < 4e9 ? (uint32_t)v : 0;
}

static enum severity severity_of(const cJSON *o)
{
    uint32_t v = count_of(o, "severity");

    return v <= SEVERITY_CRITICAL ? (enum severity)v : SEVERITY_CRITICAL;
}

static struct incident *whose(struct incidents *i, const char *id, struct err *e)
{
    struct incident *in = incident_find(i, id);

    return in ? in : incident_add(i, id, e);
}

static int restore_incident(struct incidents *i, const char *id, const cJSON *o, struct err *e)
{
    struct incident *in;
    uint32_t state = count_of(o, "state");
    double n = incident_json_number(o, "number");

    if (!id[0] || strlen(id) >= sizeof in->id || state >= INCIDENT_STATES || n < 1 || n > 1e15)
        return err_set(e, ERR_MALFORMED, "incident \"%.40s\" has no state or number", id);
    in = whose(i, id, e);
    if (!in)
        return e->code;
    in->headed = true;
    in->number = (long)n;
    in->state = (enum incident_state)state;
    in->severity = severity_of(o);
    incident_copy(in->title, sizeof in->title, incident_json_text(o, "title"));
    incident_copy(in->owner, sizeof in->owner, incident_json_text(o, "owner"));
    incident_copy(in->resolver, sizeof in->resolver, incident_json_text(o, "resolver"));
    incident_copy(in->reason, sizeof in->reason, incident_json_text(o, "reason"));
    in->began = incident_json_wall(o, "began");
    in->data = incident_json_wall(o, "data");
    in->opened = incident_json_wall(o, "opened");
    in->acknowledged = incident_json_wall(o, "acknowledged");
    in->resolved = incident_json_wall(o, "resolved");
    in->fired = incident_json_wall(o, "fired");
    in->cleared = incident_json_wall(o, "cleared");
    in->n_alerts = count_of(o, "alerts");
    in->untracked = count_of(o, "untracked");
    in->lines = count_of(o, "lines");
    in->left_out = count_of(o, "left_out");
    in->reopened = count_of(o, "reopened");
    in->notes = count_of(o, "notes");
    incident_place(i, in);
    if (!incident_json_read_labels(cJSON_GetObjectItemCaseSensitive(o, "group"), &in->arena, &in->group))
        return err_set(e, ERR_NOMEM, "no memory for incident %s", id);
    return 0;
}

/* An alert that fired in two incidents is found in the one where it fired last. */
static int restore_member(struct incidents *i, const char *rest, const cJSON *o, struct err *e)
{
    const char *slash = strchr(rest, '/');
    struct fingerprint f;
    struct incident *in;
    struct member *m, *other;
    char id[32];
    size_t n = slash ? (size_t)(slash - rest) : 0;

    if (!slash || n == 0 || n >= sizeof id || fingerprint_parse(slash + 1, &f) < 0 ||
        !incident_json_text(o, "rule")[0])
        return err_set(e, ERR_MALFORMED, "\"%.80s\" names no alert of an incident", rest);
    memcpy(id, rest, n);
    id[n] = 0;
    in = whose(i, id, e);
    if (!in)
        return e->code;
    other = member_find(i, &f);
    m = member_add(i, in, &f, incident_json_text(o, "rule"), incident_json_text(o, "labels"),
                   incident_json_text(o, "summary"), incident_json_text(o, "runbook"));
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for alerts of incident %s", id);
    m->epoch = (uint64_t)incident_json_wall(o, "epoch").ms;
    m->severity = severity_of(o);
    m->firing = count_of(o, "firing") != 0;
    m->suppressed = count_of(o, "suppressed") != 0;
    m->acknowledged = count_of(o, "acked") != 0;
    m->fired = count_of(o, "fired");
    m->since = incident_json_wall(o, "since");
    m->data = incident_json_wall(o, "data");
    m->at = incident_json_wall(o, "at");
    m->cleared = incident_json_wall(o, "cleared");
    m->value = incident_json_number(o, "value");
    m->threshold = incident_json_number(o, "threshold");
    in->n_firing += m->firing;
    if (other && other->at.ms > m->at.ms)
        member_enter(i, other);
    return 0;
}

int incidents_restore(struct incidents *i, struct bytes key, struct bytes value, struct err *e)
{
    cJSON *o = value.n ? cJSON_ParseWithLength((const char *)value.p, value.n) : NULL;
    char name[KEY] = "";
    int rc;

    if (key.n < sizeof name)
        memcpy(name, key.p, key.n);
    if (!cJSON_IsObject(o))
        rc = err_set(e, ERR_MALFORMED, "the record \"%s\" of an incident is not a JSON object", name);
    else if (strncmp(name, "i/", 2) == 0)
        rc = restore_incident(i, name + 2, o, e);
    else if (strncmp(name, "a/", 2) == 0)
        rc = restore_member(i, name + 2, o, e);
    else if (strncmp(name, "c/", 2) == 0 && strspn(name + 2, "0123456789") == 2 && !name[4])
        rc = change_restore(i, (uint32_t)strtoul(name + 2, NULL, 10), o);
    else
        rc = err_set(e, ERR_MALFORMED, "\"%s\" is not the key of a record of incidents", name);
    if (rc < 0)
        i->count.damaged++;
    cJSON_Delete(o);
    return rc;
}
