/* See answers.h. */
#include "aggregator/answers.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/expose/api.h"

enum { LIMIT_DEFAULT = 1000, LIMIT_MOST = 10000, LINES_MOST = 10000, LABELS_MOST = 32 };

int desk_error(struct desk *d, int status, const char *reason, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->type = "application/json";
    return api_error(d->out, status, reason, "%s", text);
}

int desk_fault(struct desk *d, int code, const struct err *e)
{
    const char *text = *e->text ? e->text : err_name(code);

    switch (code) {
    case ERR_NOTFOUND: return desk_error(d, 404, "not_found", "%s", text);
    case ERR_EXISTS:
    case ERR_STATE: return desk_error(d, 409, "state", "%s", text);
    case ERR_DENIED: return desk_error(d, 403, "identity", "%s", text);
    case ERR_TIMEOUT: return desk_error(d, 410, "expired", "%s", text);
    case ERR_NOMEM:
    case ERR_AGAIN:
    case ERR_IO: return desk_error(d, 503, "unavailable", "%s", text);
    default: return desk_error(d, 400, "parameter", "%s", text);
    }
}

const char *desk_param(const struct desk *d, const char *name)
{
    const char *text = query_get(&d->r->params, name);

    return text && *text ? text : NULL;
}

const char *desk_field(const struct desk *d, const cJSON *body, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, name));

    if (!text)
        return desk_param(d, name);
    return *text ? arena_text(d->arena, text, strlen(text)) : NULL;
}

int desk_time(struct desk *d, const char *name, const char *text, struct wall *t)
{
    const char *number = text ? text + (*text == '-' || *text == '+') : NULL;
    struct err e = {0};
    struct span s;

    if (!text || !*text)
        return 0;
    if (strcmp(text, "now") == 0) {
        *t = d->m->now;
        return 0;
    }
    if (wall_parse(text, t) == 0)
        return 0;
    if (parse_duration(number, &s, &e) != 0)
        return desk_error(
            d, 400, "parameter",
            "%s: found \"%.60s\", expected a time in RFC 3339, now, or a duration from now (-1h, 2h)", name,
            text);
    *t = wall_add(d->m->now, *text == '-' ? span_ns(-s.ns) : s);
    return 0;
}

/* ---- reading parameters ---- */

static int number(struct desk *d, const char *name, long least, long most, long dflt, long *out)
{
    const char *text = desk_param(d, name);
    char *end;

    *out = dflt;
    if (!text)
        return 0;
    *out = strtol(text, &end, 10);
    if (*end || *out < least || *out > most)
        return desk_error(d, 400, "parameter", "%s: a whole number from %ld to %ld is allowed", name, least,
                          most);
    return 0;
}

static int page(struct desk *d, long *after, long *limit)
{
    int rc = number(d, "limit", 1, LIMIT_MOST, LIMIT_DEFAULT, limit);

    return rc ? rc : number(d, "after", 0, 1000000000000, 0, after);
}

/* The answer of a room: its JSON is in d->out. */
static int done(struct desk *d, int code, const struct err *e)
{
    if (code)
        return desk_fault(d, code, e);
    if (d->out->full)
        return desk_error(d, 503, "unavailable", "the answer is too large: narrow it with limit=");
    if (d->out->len && d->out->data[d->out->len - 1] != '\n')
        buf_str(d->out, "\n");
    return 200;
}

/* ---- objectives ---- */

static int get_slos(struct desk *d)
{
    struct err e = {0};

    return done(d, slos_list(judge_slos(d->j), d->m->now, d->out), &e);
}

static int get_slo(struct desk *d)
{
    struct err e = {0};

    return done(d, slos_show(judge_slos(d->j), d->part, d->m->now, d->out, &e), &e);
}

static int get_slo_report(struct desk *d)
{
    const char *month = desk_param(d, "month");
    struct err e = {0};

    return done(d, slos_report(judge_slos(d->j), d->part, month ? month : "rolling", d->m->now, d->out, &e),
                &e);
}

/* ---- alerts ---- */

static int get_alerts(struct desk *d)
{
    struct alert_query q = {.rule = desk_param(d, "rule"), .state = desk_param(d, "state")};
    const char *text = desk_param(d, "match");
    struct match *m = NULL;
    struct err e = {0};
    int rc = page(d, &q.after, &q.limit);

    if (rc)
        return rc;
    if (text && !(m = match_new(text, &e)))
        return desk_fault(d, e.code, &e);
    q.match = m;
    rc = alerts_list(judge_alerts(d->j), &q, d->out);
    match_free(&m);
    return done(d, rc, &e);
}

static int get_rules(struct desk *d)
{
    struct err e = {0};

    return done(d, alerts_rules(judge_alerts(d->j), d->out), &e);
}

/* The JSON that a room writes, parsed; NULL and e. */
static cJSON *parsed(const struct buf *json)
{
    return cJSON_ParseWithLength((const char *)json->data, json->len);
}

int desk_print(struct desk *d, cJSON **o)
{
    struct err e = {0};
    char *text = *o ? cJSON_PrintUnformatted(*o) : NULL;

    buf_clear(d->out);
    if (text)
        buf_str(d->out, text);
    cJSON_free(text);
    cJSON_Delete(*o);
    *o = NULL;
    return done(d, text ? 0 : ERR_NOMEM, &e);
}

/* Adds to `o` what stops or carries notices of the alert. */
static void add_notices(struct desk *d, cJSON *o)
{
    const char *hex = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "fingerprint"));
    struct fingerprint id;
    struct err e = {0};
    struct buf json;
    cJSON *x;

    if (!hex || fingerprint_parse(hex, &id) != 0)
        return;
    buf_init(&json, NULL, 4 << 20);
    if (notify_explain(judge_notify(d->j), &id, d->m->now, &json, &e) == 0 && (x = parsed(&json)) != NULL)
        cJSON_AddItemToObject(o, "notices", x);
    buf_free(&json);
}

static void add_line(cJSON *list, const struct desk_line *l)
{
    cJSON *x = cJSON_ParseWithLength(l->json, strlen(l->json));
    char text[WALL_TEXT];

    if (!x)
        return;
    if (cJSON_IsObject(x) && !cJSON_GetObjectItemCaseSensitive(x, "time"))
        cJSON_AddStringToObject(x, "time", wall_text(l->t, text));
    cJSON_AddItemToArray(list, x);
}

static bool is_of_rule(const struct desk_line *l, const char *alert)
{
    cJSON *x = cJSON_ParseWithLength(l->json, strlen(l->json));
    const char *rule = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(x, "alert"));
    size_t name = strcspn(alert, "{");
    bool same = (strlen(alert) == l->key.n && memcmp(alert, l->key.p, l->key.n) == 0) ||
                (rule && strlen(rule) == name && strncmp(rule, alert, name) == 0);

    cJSON_Delete(x);
    return same;
}

/* Whether a decision is of this alert: by its key, or by the rule's name where no fingerprint is known. */
static bool is_of(const struct desk_line *l, const char *alert, const char *id)
{
    if (id)
        return strlen(id) == l->key.n && memcmp(id, l->key.p, l->key.n) == 0;
    return is_of_rule(l, alert);
}

static int read_decisions(struct desk *d, struct control_lines *q)
{
    const char *alert = desk_param(d, "alert");
    struct fingerprint id;
    struct wall at = d->m->now;
    int rc = desk_time(d, "at", desk_param(d, "at"), &at);

    if (rc)
        return rc;
    if (!alert)
        return desk_error(d, 400, "parameter",
                          "alert: a rule's name, with {labels} where needed, or a fingerprint");
    *q = (struct control_lines){.room = "decision", .to = {at.ms + 1}, .limit = 2000, .newest = true};
    if (fingerprint_parse(alert, &id) == 0)
        q->key = bytes_of(alert);
    return 0;
}

static int get_explain(struct desk *d)
{
    const char *alert = desk_param(d, "alert");
    const struct alert_input in = judge_input(d->j, d->m);
    struct err e = {0};
    const char *id = NULL; /* of the one alert that is explained */
    cJSON *o, *list;
    int rc = 0, n = 0;

    if (!desk_param(d, "at")) {
        rc = alerts_explain(judge_alerts(d->j), &in, alert, d->out, &e);
        if (rc)
            return desk_fault(d, rc, &e);
        o = parsed(d->out);
        add_notices(d, o);
        id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "fingerprint"));
    } else {
        o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "alert", alert);
        cJSON_AddStringToObject(o, "at", desk_param(d, "at"));
    }
    list = cJSON_AddArrayToObject(o, "decisions"); /* newest first */
    for (size_t i = 0; i < d->n_lines && n < 20; i++) {
        if (!is_of(&d->lines[i], alert, id))
            continue;
        add_line(list, &d->lines[i]);
        n++;
    }
    if (desk_param(d, "at") && n == 0) {
        cJSON_Delete(o);
        return desk_error(d, 404, "not_found", "no decision about \"%.100s\" is kept from before then",
                          alert);
    }
    return desk_print(d, &o);
}

/* ---- notices ---- */

static int get_silences(struct desk *d)
{
    struct err e = {0};

    return done(d, notify_silences(judge_notify(d->j), d->m->now, d->out), &e);
}

static int get_preview(struct desk *d)
{
    const char *match = desk_param(d, "match");
    struct err e = {0};

    return done(d, notify_preview(judge_notify(d->j), match ? match : "", d->out, &e), &e);
}

static int get_maintenance(struct desk *d)
{
    struct err e = {0};

    return done(d, notify_maintenance_list(judge_notify(d->j), d->m->now, d->out), &e);
}

static int get_rota(struct desk *d)
{
    struct wall from = d->m->now, to = wall_add(d->m->now, span_s(14 * 86400));
    struct err e = {0};
    int rc = desk_time(d, "from", desk_param(d, "from"), &from);

    rc = rc ? rc : desk_time(d, "to", desk_param(d, "to"), &to);
    return rc ? rc : done(d, notify_rota(judge_notify(d->j), d->part, from, to, d->out, &e), &e);
}

/* "name=value,name=value" as labels; names without a value are absent. */
static int read_labels(struct desk *d, const char *text, struct label out[LABELS_MOST], uint32_t *n)
{
    char *copy = arena_text(d->arena, text ? text : "", text ? strlen(text) : 0);

    *n = 0;
    for (char *at = copy; at && *at;) {
        size_t part = strcspn(at, ",");
        char *end = at + part + (at[part] != 0), *equal = memchr(at, '=', part);

        at[part] = 0;
        if (!equal || *n == LABELS_MOST)
            return desk_error(d, 400, "parameter", "labels: name=value,… is allowed, at most %d",
                              LABELS_MOST);
        *equal = 0;
        out[(*n)++] = (struct label){at, equal + 1};
        at = end;
    }
    labels_sort(out, *n);
    return copy ? 0 : desk_error(d, 503, "unavailable", "no memory");
}

static int get_routes(struct desk *d)
{
    struct label v[LABELS_MOST];
    struct err e = {0};
    uint32_t n;
    int rc = read_labels(d, desk_param(d, "labels"), v, &n);

    return rc ? rc : done(d, notify_routes(judge_notify(d->j), (struct labels){v, n}, d->m->now, d->out), &e);
}

static int get_receivers(struct desk *d)
{
    struct err e = {0};

    return done(d, notify_receivers(judge_notify(d->j), d->out), &e);
}

static int get_regions(struct desk *d)
{
    buf_put(d->out, d->regions.p, d->regions.n);
    return done(d, 0, &(struct err){0});
}

/* ---- incidents ---- */

static int get_incidents(struct desk *d)
{
    struct err e = {0};
    long after, limit;
    int rc = page(d, &after, &limit);

    return rc ? rc
              : done(d, incidents_list(judge_incidents(d->j), desk_param(d, "state"), after, limit, d->out),
                     &e);
}

static int read_timeline(struct desk *d, struct control_lines *q)
{
    *q = (struct control_lines){.room = "timeline", .key = bytes_of(d->part), .limit = LINES_MOST};
    return 0;
}

static const char *const *texts(const struct desk *d)
{
    const char **v = arena_array(d->arena, d->n_lines + 1, sizeof *v);

    for (size_t i = 0; v && i < d->n_lines; i++)
        v[i] = d->lines[i].json;
    return v;
}

static int get_incident(struct desk *d)
{
    const char *const *lines = texts(d);
    struct err e = {0};

    if (!lines)
        return desk_error(d, 503, "unavailable", "no memory");
    return done(d, incidents_show(judge_incidents(d->j), d->part, lines, d->n_lines, d->out, &e), &e);
}

/* What all objectives say, {"slos":[{"show":…,"report":…}]}: the writer takes from it what the incident concerns. */
static void all_objectives(struct desk *d, struct buf *out)
{
    struct wall now = d->m->now;
    struct err e = {0};
    bool first = true;
    struct buf list;
    cJSON *o = NULL, *x;

    buf_init(&list, NULL, 4 << 20);
    if (slos_list(judge_slos(d->j), now, &list) == 0)
        o = cJSON_ParseWithLength(buf_text(&list), list.len);
    buf_str(out, "{\"slos\":[");
    cJSON_ArrayForEach(x, cJSON_GetObjectItemCaseSensitive(o, "slos"))
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(x, "slo"));

        if (!name)
            continue;
        buf_str(out, first ? "{\"show\":" : ",{\"show\":");
        first = false;
        if (slos_show(judge_slos(d->j), name, now, out, &e) != 0)
            buf_str(out, "null");
        buf_str(out, ",\"report\":");
        if (slos_report(judge_slos(d->j), name, "rolling", now, out, &e) != 0)
            buf_str(out, "null");
        buf_u8(out, '}');
    }
    buf_str(out, "]}");
    cJSON_Delete(o);
    buf_free(&list);
}

static int get_postmortem(struct desk *d)
{
    const char *const *lines = texts(d);
    struct err e = {0};
    struct buf slos;
    int rc;

    if (!lines)
        return desk_error(d, 503, "unavailable", "no memory");
    buf_init(&slos, NULL, 32 << 20);
    all_objectives(d, &slos);
    rc = incidents_postmortem(judge_incidents(d->j), d->part, lines, d->n_lines,
                              slos.full ? NULL : buf_text(&slos), d->out, &e);
    buf_free(&slos);
    d->type = "text/markdown; charset=utf-8";
    return done(d, rc, &e);
}

/* ---- events ---- */

static int read_events(struct desk *d, struct control_lines *q)
{
    struct wall from = {0}, to = {0};
    long after, limit;
    int rc = page(d, &after, &limit);

    rc = rc ? rc : desk_time(d, "from", desk_param(d, "from"), &from);
    rc = rc ? rc : desk_time(d, "to", desk_param(d, "to"), &to);
    *q = (struct control_lines){
        .room = "event", .from = from, .to = to, .limit = (size_t)limit, .newest = true};
    return rc;
}

static int get_events(struct desk *d)
{
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "events");

    for (size_t i = 0; i < d->n_lines; i++)
        add_line(list, &d->lines[i]);
    cJSON_AddNullToObject(o, "next");
    return desk_print(d, &o);
}

/* ---- the table ---- */

static const struct desk_row rows[] = {
    {"GET", "slos", get_slos, NULL, NULL, NULL},
    {"GET", "slos/*", get_slo, NULL, NULL, NULL},
    {"GET", "slos/*/report", get_slo_report, NULL, NULL, NULL},
    {"GET", "alerts", get_alerts, NULL, NULL, NULL},
    {"GET", "alerts/explain", get_explain, read_decisions, NULL, NULL},
    {"GET", "rules", get_rules, NULL, NULL, NULL},
    {"GET", "silences", get_silences, NULL, NULL, NULL},
    {"GET", "silences/preview", get_preview, NULL, NULL, NULL},
    {"GET", "maintenance", get_maintenance, NULL, NULL, NULL},
    {"GET", "incidents", get_incidents, NULL, NULL, NULL},
    {"GET", "incidents/*", get_incident, read_timeline, NULL, NULL},
    {"GET", "incidents/*/postmortem", get_postmortem, read_timeline, NULL, NULL},
    {"GET", "events", get_events, read_events, NULL, NULL},
    {"GET", "rotas/*", get_rota, NULL, NULL, NULL},
    {"GET", "routes", get_routes, NULL, NULL, NULL},
    {"GET", "receivers", get_receivers, NULL, NULL, NULL},
    {"GET", "regions", get_regions, NULL, NULL, NULL},
    {"GET", "ack", ack_page, NULL, NULL, NULL},
    {"POST", "ack", ack_page_act, NULL, "acknowledge by a signed link%s", NULL},
    {"POST", "silences", act_silence_add, NULL, "silence add%s", NULL},
    {"DELETE", "silences/*", act_silence_end, NULL, "silence end %s", NULL},
    {"POST", "maintenance", act_maintenance_start, NULL, "maintenance start%s", NULL},
    {"DELETE", "maintenance/*", act_maintenance_end, NULL, "maintenance end %s", NULL},
    {"POST", "alerts/*/ack", act_alert_ack, NULL, "alert ack %s", NULL},
    {"DELETE", "alerts/*/ack", act_alert_unack, NULL, "alert unack %s", NULL},
    {"POST", "rotas/*/override", act_rota_override, NULL, "rota override %s", NULL},
    {"POST", "incidents/*/ack", act_incident_ack, NULL, "incident ack %s", NULL},
    {"POST", "incidents/*/resolve", act_incident_resolve, NULL, "incident resolve %s", NULL},
    {"POST", "incidents/*/note", act_incident_note, NULL, "incident note %s", NULL},
    {"POST", "events", act_event, NULL, "event add%s", NULL},
};

/* Whether path fits, and what * stands for in it. */
static bool fits(const char *pattern, const char *path, const char **part, size_t *n)
{
    *n = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '*') {
            if (*path++ != *pattern)
                return false;
            continue;
        }
        *part = path;
        *n = strcspn(path, "/");
        if (*n == 0)
            return false;
        path += *n;
    }
    return !*path;
}

static const struct desk_row *find_in(const struct desk_row *table, size_t count, const char *method,
                                      const char *path, struct arena *a, const char **part, int *status)
{
    const char *at = "";
    size_t n;

    for (size_t i = 0; i < count; i++) {
        if (!fits(table[i].path, path, &at, &n))
            continue;
        *status = 405;
        if (strcmp(table[i].method, method) != 0)
            continue;
        *part = n ? arena_text(a, at, n) : "";
        *status = *part ? 200 : 503;
        return *part ? &table[i] : NULL;
    }
    return NULL;
}

const struct desk_row *desk_find(const struct desk_row *more, size_t n_more, const char *method,
                                 const char *path, struct arena *a, const char **part, int *status)
{
    const struct desk_row *found;

    *status = 404;
    found = find_in(rows, sizeof rows / sizeof *rows, method, path, a, part, status);
    return found || *status != 404 ? found : find_in(more, n_more, method, path, a, part, status);
}
