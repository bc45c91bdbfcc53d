/* PagerDuty, Events API v2: an alert group is one PagerDuty alert, joined and resolved by its dedup key; changes go to the
 * change endpoint.
 *
 * Limits of the service: summary 1024, dedup_key 255, the whole event 512 KB (a larger one is refused, so alerts are left out
 * and counted). 202 means accepted; 400 will never be accepted; 429 asks for a pause of minutes. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/judge.h"
#include "aggregator/notify/told.h"

enum { EVENT_MOST = 500 * 1024, SUMMARY_MOST = 1024, KEY_MOST = 255, ROUTING_KEY = 32, DETAIL_MOST = 16384 };

struct channel_target {
    char *events, *changes, *routing_key;
    struct span timeout;
};

static const struct option_row rows[] = {
    {.key = "routing_key",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Integration key (32 characters) of a service or of a global orchestration, Events API v2."},
    ROW_URL,
    ROWS_HTTP,
};

static void pagerduty_close(struct channel_target **tp)
{
    struct channel_target *t = *tp;

    if (!t)
        return;
    free(t->events);
    free(t->changes);
    free_secret(&t->routing_key);
    free(t);
    *tp = NULL;
}

static struct channel_target *pagerduty_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);
    const char *base = option_count(s, "url") ? option_word(s, "url", 0) : "https://events.pagerduty.com";

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        return NULL;
    }
    t->timeout = option_span(s, "timeout");
    t->events = url_join(base, "/v2/enqueue");
    t->changes = url_join(base, "/v2/change/enqueue");
    if (secret_copy(s, "routing_key", &t->routing_key, e) != 0)
        pagerduty_close(&t);
    else if (!t->events || !t->changes || strlen(t->routing_key) != ROUTING_KEY) {
        err_set(e, ERR_CONFIG, "routing_key: the secret has not %d characters (it is not shown)",
                ROUTING_KEY);
        pagerduty_close(&t);
    }
    return t;
}

static cJSON *detail_of(struct arena *a, const struct told_alert *t)
{
    cJSON *o = cJSON_CreateObject();

    told_add_line(o, a, "rule", t->rule, 256);
    cJSON_AddBoolToObject(o, "firing", t->firing);
    cJSON_AddItemToObject(o, "labels", told_labels(a, t->labels));
    told_add(o, a, "summary", t->summary, SUMMARY_MOST);
    cJSON_AddNumberToObject(o, "value", t->value);
    cJSON_AddNumberToObject(o, "threshold", t->threshold);
    if (*t->explain)
        told_add_line(o, a, "explain", t->explain, SUMMARY_MOST);
    return o;
}

static void add_details(cJSON *payload, struct arena *a, const struct notification *n, uint32_t alerts)
{
    cJSON *o = cJSON_AddObjectToObject(payload, "custom_details"), *list;

    told_add(o, a, "text", n->text, DETAIL_MOST);
    cJSON_AddItemToObject(o, "labels", told_labels(a, n->group));
    list = cJSON_AddArrayToObject(o, "alerts");
    for (uint32_t i = 0; i < alerts; i++)
        cJSON_AddItemToArray(list, detail_of(a, &n->alerts[i]));
    cJSON_AddNumberToObject(o, "more", (double)n->more + (n->n_alerts - (double)alerts));
    told_add_line(o, a, "told_by", n->source, 256);
}

static void add_link(cJSON *links, struct arena *a, const char *href, const char *text)
{
    cJSON *o;

    if (!*href)
        return;
    o = cJSON_CreateObject();
    told_add_line(o, a, "href", href, 2048);
    cJSON_AddStringToObject(o, "text", text);
    cJSON_AddItemToArray(links, o);
}

static void add_links(cJSON *event, struct arena *a, const struct notification *n)
{
    cJSON *links = cJSON_CreateArray();

    add_link(links, a, n->link, "Console");
    add_link(links, a, n->ack_link, "Acknowledge");
    if (n->n_alerts)
        add_link(links, a, n->alerts[0].runbook, "Runbook");
    if (cJSON_GetArraySize(links))
        cJSON_AddItemToObject(event, "links", links);
    else
        cJSON_Delete(links);
}

/* What is affected: the machine where there is one, else the service, else who says it (it must not be empty). */
static const char *affected(const struct notification *n)
{
    static const char *const names[] = {"instance", "service", "region"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*told_label(n, names[i]))
            return told_label(n, names[i]);
    return *n->source ? n->source : "securebase";
}

static void add_label(cJSON *payload, struct arena *a, const struct notification *n, const char *key,
                      const char *label)
{
    if (*told_label(n, label))
        told_add_line(payload, a, key, told_label(n, label), SUMMARY_MOST);
}

static void add_payload(cJSON *event, struct arena *a, const struct notification *n, uint32_t alerts)
{
    cJSON *p = cJSON_AddObjectToObject(event, "payload");

    told_add_line(p, a, "summary", *n->title ? n->title : "alert", SUMMARY_MOST);
    told_add_line(p, a, "source", affected(n), SUMMARY_MOST);
    told_add_time(p, "timestamp", n->tell == TELL_CHANGE || !n->first.ms ? n->t : n->first);
    if (n->tell != TELL_CHANGE) {
        cJSON_AddStringToObject(p, "severity",
                                severity_name(n->tell == TELL_TEST ? SEVERITY_INFO : n->severity));
        add_label(p, a, n, "component", "service");
        add_label(p, a, n, "group", "region");
        if (n->n_alerts)
            told_add_line(p, a, "class", n->alerts[0].rule, SUMMARY_MOST);
    }
    add_details(p, a, n, alerts);
}

static cJSON *event_of(const struct channel_target *t, struct arena *a, const struct notification *n,
                       uint32_t alerts)
{
    cJSON *o = cJSON_CreateObject();
    bool ends = n->tell == TELL_ACKNOWLEDGE || n->tell == TELL_RESOLVE;

    cJSON_AddStringToObject(o, "routing_key", t->routing_key);
    if (n->tell != TELL_CHANGE) {
        cJSON_AddStringToObject(o, "event_action", ends ? tell_name(n->tell) : "trigger");
        told_add_line(o, a, "dedup_key", n->dedup_key, KEY_MOST);
    }
    if (!ends) {
        add_payload(o, a, n, alerts);
        add_links(o, a, n);
    }
    if (!ends && n->tell != TELL_CHANGE) {
        cJSON_AddStringToObject(o, "client", "SecureBase Monitor");
        if (*n->link)
            told_add_line(o, a, "client_url", n->link, 2048);
    }
    return o;
}

static int pagerduty_prepare(const struct channel_target *t, const struct notification *n, struct wall now,
                             struct arena *a, struct channel_call *calls, size_t most, struct err *e)
{
    uint32_t alerts = n->n_alerts;
    struct bytes body;

    (void)now;
    (void)most;
    if (n->tell == TELL_HEARTBEAT)
        return err_set(e, ERR_UNSUPPORTED, "PagerDuty's events have no heartbeat: it would page somebody");
    for (;; alerts /= 2) {
        cJSON *event = event_of(t, a, n, alerts);

        body = told_print(a, &event);
        if (!body.p)
            return err_set(e, ERR_NOMEM, "no memory for the event");
        if (body.n <= EVENT_MOST || !alerts)
            break;
    }
    call_json(&calls[0], n->tell == TELL_CHANGE ? t->changes : t->events, body, t->timeout);
    return 1;
}

static void pagerduty_judge(const struct channel_target *t, const struct http_result *r,
                            struct told_result *out)
{
    (void)t;
    judge_http(r, out);
    if (r->code == 0 && r->status == 429 && out->retry_after.ns < span_s(60).ns)
        out->retry_after = span_s(60);
    if (r->code == 0 && r->status == 400 && (judge_says(r, "routing_key") || judge_says(r, "outing key")))
        out->outcome = OUTCOME_DENIED;
}

const struct channel channel_pagerduty = {
    .type = "pagerduty",
    .sentence = "PagerDuty's Events API v2.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "routing_key",
    .resolves = true,
    .acknowledges = true,
    .changes = true,
    .check = one_url_check,
    .open = pagerduty_open,
    .close = pagerduty_close,
    .prepare = pagerduty_prepare,
    .judge = pagerduty_judge,
};
