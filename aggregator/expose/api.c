/* The JSON API: see api.h. One function per resource, from a table. */
#include "aggregator/expose/api.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/expose/page.h"
#include "aggregator/expose/select.h"
#include "aggregator/expose/services.h"

enum { LIMIT_DEFAULT = 1000, LIMIT_MOST = 10000 };

struct request {
    const struct view *v;
    const struct api_query *q;
    struct buf *out;
    cJSON *root; /* owned */
    long limit, after;
};

int api_error(struct buf *out, int status, const char *reason, const char *fmt, ...)
{
    char text[600];
    cJSON *o = cJSON_CreateObject();
    va_list ap;
    char *json;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cJSON_AddStringToObject(o, "error", text);
    cJSON_AddStringToObject(o, "reason", reason);
    json = cJSON_PrintUnformatted(o);
    buf_clear(out);
    buf_str(out, json ? json : "{\"error\":\"no memory\",\"reason\":\"unavailable\"}");
    buf_str(out, "\n");
    cJSON_free(json);
    cJSON_Delete(o);
    return status;
}

/* 1 and out when the parameter is there, 0 when not, negative when it can't be read. */
static int param(const struct request *r, const char *name, size_t i, char *out)
{
    int rc = r->q->param(r->q->arg, name, i, out, API_PARAM);

    return rc == ERR_NOTFOUND ? 0 : rc ? rc : 1;
}

static int number_param(const struct request *r, const char *name, long least, long most, long dflt,
                        long *value)
{
    char text[API_PARAM], *end;
    int rc = param(r, name, 0, text);

    *value = dflt;
    if (rc == 0)
        return 0;
    if (rc == 1) {
        *value = strtol(text, &end, 10);
        if (end != text && !*end && *value >= least && *value <= most)
            return 0;
    }
    return api_error(r->out, 400, "parameter", "%s: a whole number from %ld to %ld is allowed", name, least,
                     most);
}

static void add_time(cJSON *o, const char *key, struct wall t)
{
    char text[WALL_TEXT];

    if (t.ms)
        cJSON_AddStringToObject(o, key, wall_text(t, text));
    else
        cJSON_AddNullToObject(o, key);
}

static void add_number(cJSON *o, const char *key, double v)
{
    if (isfinite(v))
        cJSON_AddNumberToObject(o, key, v);
    else
        /* JSON has no other way */
        cJSON_AddStringToObject(o, key, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
}

/* Closes a page of a list that goes on, or ends, at `end` of n. */
static void add_next(struct request *r, long end, long n)
{
    if (end < n)
        cJSON_AddNumberToObject(r->root, "next", (double)end);
    else
        cJSON_AddNullToObject(r->root, "next");
}

static void add_services(struct request *r)
{
    struct service_line v[SERVICES_MOST];
    size_t n = services_of(r->v, v);
    cJSON *list = cJSON_AddArrayToObject(r->root, "services");

    for (size_t i = 0; i < n; i++) {
        cJSON *x = cJSON_CreateObject();

        cJSON_AddStringToObject(x, "service", v[i].service);
        cJSON_AddStringToObject(x, "state", v[i].state);
        cJSON_AddStringToObject(x, "active", v[i].active);
        cJSON_AddStringToObject(x, "writer", v[i].writer);
        cJSON_AddBoolToObject(x, "leading", v[i].leading);
        cJSON_AddItemToArray(list, x);
    }
}

static int get_status(struct request *r)
{
    const struct snapshot *s = r->v->snap;
    cJSON *o = r->root;
    uint32_t up = 0;

    for (uint32_t i = 0; i < s->n_agents; i++)
        up += s->agents[i].up;
    cJSON_AddStringToObject(o, "version", r->v->version);
    cJSON_AddStringToObject(o, "revision", r->v->revision);
    cJSON_AddStringToObject(o, "region", r->v->region);
    cJSON_AddStringToObject(o, "role", r->v->role);
    cJSON_AddBoolToObject(o, "ready", r->v->ready);
    add_time(o, "started", r->v->started);
    add_time(o, "now", r->v->now);
    cJSON_AddNumberToObject(o, "uptime_seconds", (double)(r->v->now.ms - r->v->started.ms) / 1000);
    cJSON_AddNumberToObject(o, "agents_up", up);
    cJSON_AddNumberToObject(o, "agents_absent", s->n_agents - up);
    cJSON_AddNumberToObject(o, "series", (double)s->n_series);
    cJSON_AddNumberToObject(o, "percentiles", s->n_percentiles);
    cJSON_AddNumberToObject(o, "journal_position", (double)s->position);
    add_services(r);
    o = cJSON_AddObjectToObject(r->root, "self");
    for (size_t i = 0; o && i < r->v->n_self; i++) {
        if (!metric_label_count(r->v->self[i].row) && !r->v->self[i].sketch)
            add_number(o, r->v->self[i].row->name, r->v->self[i].value);
    }
    return 200;
}

static cJSON *agent_json(const struct agent_view *a)
{
    static const char *const reasons[] = {"future", "too_old", "quota", "kind_conflict"};
    cJSON *o = cJSON_CreateObject(), *refused;

    cJSON_AddStringToObject(o, "id", a->id);
    cJSON_AddStringToObject(o, "region", a->region);
    cJSON_AddStringToObject(o, "env", a->env);
    if (*a->tenant)
        cJSON_AddStringToObject(o, "tenant", a->tenant);
    cJSON_AddBoolToObject(o, "up", a->up);
    add_time(o, "first_seen", a->first_seen);
    add_time(o, "last_received", a->last_received);
    add_time(o, "last_sealed", a->last_sealed);
    if (a->skew_ms == INT64_MIN)
        cJSON_AddNullToObject(o, "skew_seconds");
    else
        cJSON_AddNumberToObject(o, "skew_seconds", (double)a->skew_ms / 1000);
    cJSON_AddNumberToObject(o, "epoch", (double)a->epoch);
    cJSON_AddNumberToObject(o, "seq", (double)a->seq);
    cJSON_AddNumberToObject(o, "batches", (double)a->batches);
    cJSON_AddNumberToObject(o, "values", (double)a->values);
    cJSON_AddNumberToObject(o, "series", a->series);
    refused = cJSON_AddObjectToObject(o, "refused");
    for (int i = 0; i < 4; i++)
        cJSON_AddNumberToObject(refused, reasons[i], (double)a->refused[i]);
    return o;
}

static int get_agents(struct request *r)
{
    const struct snapshot *s = r->v->snap;
    cJSON *list = cJSON_AddArrayToObject(r->root, "agents");
    long i = r->after;

    for (; i < (long)s->n_agents && i - r->after < r->limit; i++)
        cJSON_AddItemToArray(list, agent_json(&s->agents[i]));
    add_next(r, i, (long)s->n_agents);
    return 200;
}

/* ---- percentiles ---- */

struct wanted {
    char metric[API_PARAM], by[API_PARAM], window[API_PARAM], q[API_PARAM];
    int has_metric, has_by, has_window, has_q;
    struct selector *match;
};

/* True when the words of `list` (commas or blanks) are exactly the section's `by`, in any order. */
static bool same_by(const struct percentile_view *p, const char *list)
{
    uint32_t found = 0;

    for (const char *w = list + strspn(list, ", "); *w;) {
        size_t n = strcspn(w, ", ");
        bool here = false;

        for (uint32_t i = 0; i < p->n_by; i++)
            here |= strlen(p->by[i]) == n && memcmp(p->by[i], w, n) == 0;
        if (!here)
            return false;
        found++;
        w += n;
        w += strspn(w, ", ");
    }
    return found == p->n_by;
}

static cJSON *window_json(const struct percentile_view *p, const struct percentile_window *w,
                          const struct wanted *want)
{
    cJSON *o = cJSON_CreateObject(), *q;

    cJSON_AddStringToObject(o, "window", w->text);
    cJSON_AddNumberToObject(o, "values", (double)w->n);
    q = cJSON_AddObjectToObject(o, "quantiles");
    for (uint32_t i = 0; i < p->n_quantiles && w->n; i++) {
        if (!want->has_q || strcmp(want->q, p->quantile_text[i]) == 0)
            add_number(q, p->quantile_text[i], w->quantiles[i]);
    }
    return o;
}

static bool group_matches(const struct percentile_view *p, const struct percentile_group *g,
                          const struct selector *match)
{
    struct label labels[64];
    uint32_t n = p->n_by < 64 ? p->n_by : 64;

    for (uint32_t i = 0; i < n; i++)
        labels[i] = (struct label){p->by[i], g->values[i]};
    return !match || selector_matches(match, p->metric, labels, n);
}

static cJSON *group_json(const struct percentile_view *p, const struct percentile_group *g,
                         const struct wanted *want)
{
    cJSON *o = cJSON_CreateObject(), *labels = cJSON_AddObjectToObject(o, "labels"), *windows;

    for (uint32_t i = 0; i < p->n_by; i++)
        cJSON_AddStringToObject(labels, p->by[i], g->values[i]);
    windows = cJSON_AddArrayToObject(o, "windows");
    for (uint32_t i = 0; i < p->n_windows; i++) {
        if (!want->has_window || strcmp(want->window, g->windows[i].text) == 0)
            cJSON_AddItemToArray(windows, window_json(p, &g->windows[i], want));
    }
    if (g->has_histogram) {
        cJSON *h = cJSON_AddObjectToObject(o, "since_start");

        cJSON_AddNumberToObject(h, "count", (double)g->count);
        add_number(h, "sum", g->sum);
        if (g->native)
            cJSON_AddNumberToObject(h, "schema", g->native->scale);
    }
    return o;
}

static void names(const char *const *words, uint32_t n, struct buf *out)
{
    for (uint32_t i = 0; i < n; i++)
        buf_fmt(out, "%s%s", i ? " " : "", words[i]);
}

/* A window or quantile that is not configured is said so, with what is. */
static int check_wanted(struct request *r, const struct percentile_view *p, const struct wanted *want)
{
    char room[400];
    struct buf list;
    bool window = !want->has_window, q = !want->has_q;

    for (uint32_t i = 0; i < p->n_quantiles; i++)
        q |= want->has_q && strcmp(want->q, p->quantile_text[i]) == 0;
    for (uint32_t i = 0; p->n_groups && i < p->n_windows; i++)
        window |= want->has_window && strcmp(want->window, p->groups[0].windows[i].text) == 0;
    if ((window || !p->n_groups) && q)
        return 0;
    buf_init(&list, NULL, sizeof room);
    if (!q)
        names(p->quantile_text, p->n_quantiles, &list);
    for (uint32_t i = 0; q && i < p->n_windows; i++)
        buf_fmt(&list, "%s%s", i ? " " : "", p->groups[0].windows[i].text);
    (void)snprintf(room, sizeof room, "%s", buf_text(&list));
    buf_free(&list);
    return api_error(r->out, 400, "parameter", "%s is not configured in [percentile %s]: it has %s",
                     q ? want->window : want->q, p->name, room);
}

static int list_percentiles(struct request *r, const struct wanted *want)
{
    const struct snapshot *s = r->v->snap;
    cJSON *list = cJSON_AddArrayToObject(r->root, "percentiles");
    int rc;

    for (uint32_t i = 0; i < s->n_percentiles; i++) {
        const struct percentile_view *p = &s->percentiles[i];
        cJSON *o, *groups;

        if ((want->has_metric && strcmp(want->metric, p->metric) != 0) ||
            (want->has_by && !same_by(p, want->by)))
            continue;
        rc = check_wanted(r, p, want);
        if (rc)
            return rc;
        o = cJSON_CreateObject();
        cJSON_AddItemToArray(list, o);
        cJSON_AddStringToObject(o, "percentile", p->name);
        cJSON_AddStringToObject(o, "metric", p->metric);
        cJSON_AddStringToObject(o, "help", p->help);
        groups = cJSON_AddArrayToObject(o, "groups");
        for (uint32_t g = 0; g < p->n_groups && g < (uint32_t)r->limit; g++) {
            if (group_matches(p, &p->groups[g], want->match))
                cJSON_AddItemToArray(groups, group_json(p, &p->groups[g], want));
        }
        cJSON_AddNumberToObject(o, "groups_total", p->n_groups);
    }
    if ((want->has_metric || want->has_by) && !cJSON_GetArraySize(list))
        return api_error(r->out, 404, "not_found", "no [percentile NAME] section has metric = %s%s%s",
                         want->has_metric ? want->metric : "(any)", want->has_by ? " by = " : "",
                         want->has_by ? want->by : "");
    return 200;
}

static int get_percentiles(struct request *r)
{
    struct wanted want = {0};
    char text[API_PARAM];
    struct err e = {0};
    int rc;

    want.has_metric = param(r, "metric", 0, want.metric);
    want.has_by = param(r, "by", 0, want.by);
    want.has_window = param(r, "window", 0, want.window);
    want.has_q = param(r, "q", 0, want.q);
    rc = param(r, "match", 0, text);
    if (want.has_metric < 0 || want.has_by < 0 || want.has_window < 0 || want.has_q < 0 || rc < 0)
        return api_error(r->out, 400, "parameter", "a parameter is malformed or longer than %d bytes",
                         API_PARAM - 1);
    if (rc) {
        want.match = selector_new(text, &e);
        if (!want.match)
            return api_error(r->out, 400, "parameter", "match: %s", e.text);
    }
    rc = list_percentiles(r, &want);
    selector_free(&want.match);
    return rc;
}

/* ---- series ---- */

static cJSON *series_json(const struct family *f, const struct series_value *v)
{
    static const char *const kinds[] = {"gauge", "counter", "sketch", "untyped"};
    cJSON *o = cJSON_CreateObject(), *labels;

    cJSON_AddStringToObject(o, "name", f->name);
    cJSON_AddStringToObject(o, "kind", kinds[f->kind]);
    labels = cJSON_AddObjectToObject(o, "labels");
    for (uint32_t i = 0; i < v->desc->n_labels; i++)
        cJSON_AddStringToObject(labels, v->desc->labels[i].name, v->desc->labels[i].value);
    add_number(o, "value", v->value);
    add_time(o, "time", (struct wall){v->t});
    return o;
}

/* Adds what matches from number r->after on; returns how many match in all, up to one behind the page. */
static long list_series(struct request *r, const struct page_selection *sel, cJSON *list)
{
    const struct snapshot *s = r->v->snap;
    long n = 0;

    for (uint32_t i = 0; i < s->n_families; i++) {
        const struct family *f = &s->families[i];

        for (uint32_t k = 0; k < f->n; k++) {
            const struct series_desc *d = f->values[k].desc;

            if (!page_selects(sel, f->name, d->labels, d->n_labels))
                continue;
            if (n - r->after >= r->limit)
                return n + 1;
            if (n++ >= r->after)
                cJSON_AddItemToArray(list, series_json(f, &f->values[k]));
        }
    }
    return n;
}

static int get_series(struct request *r)
{
    struct selector *match[SELECT_MAX] = {NULL};
    struct page_selection sel = {.match = (const struct selector *const *)match};
    char text[API_PARAM];
    struct err e = {0};
    int rc = 200, got;

    for (got = param(r, "match", 0, text); got == 1; got = param(r, "match", sel.n_match, text)) {
        if (sel.n_match == SELECT_MAX) {
            rc = api_error(r->out, 400, "parameter", "match: at most %d selectors", SELECT_MAX);
            goto out;
        }
        match[sel.n_match] = selector_new(text, &e);
        if (!match[sel.n_match]) {
            rc = api_error(r->out, 400, "parameter", "match: %s", e.text);
            goto out;
        }
        sel.n_match++;
    }
    if (got < 0)
        rc = api_error(r->out, 400, "parameter", "match: malformed or longer than %d bytes", API_PARAM - 1);
    else
        add_next(r, r->after + r->limit, list_series(r, &sel, cJSON_AddArrayToObject(r->root, "series")));
out:
    for (size_t i = 0; i < sel.n_match; i++)
        selector_free(&match[i]);
    return rc;
}

int api_answer(const struct view *v, const char *what, const struct api_query *q, struct buf *out)
{
    static const struct {
        const char *name;
        int (*get)(struct request *r);
    } resources[] = {{"status", get_status},
                     {"agents", get_agents},
                     {"percentiles", get_percentiles},
                     {"series", get_series}};
    struct request r = {.v = v, .q = q, .out = out};
    char *json;
    int rc;

    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (strcmp(what, resources[i].name) != 0)
            continue;
        rc = number_param(&r, "limit", 1, LIMIT_MOST, LIMIT_DEFAULT, &r.limit);
        if (!rc)
            rc = number_param(&r, "after", 0, 1000000000, 0, &r.after);
        if (rc)
            return rc;
        r.root = cJSON_CreateObject();
        rc = resources[i].get(&r);
        if (rc == 200) {
            json = cJSON_PrintUnformatted(r.root);
            buf_str(out, json ? json : "");
            buf_str(out, "\n");
            if (!json || out->full)
                rc = api_error(out, 503, "unavailable",
                               "the answer is too large: narrow it with match= or limit=");
            cJSON_free(json);
        }
        cJSON_Delete(r.root);
        return rc;
    }
    return api_error(out, 404, "not_found", "/api/v1/%.60s: there are status, agents, percentiles, series",
                     what);
}
