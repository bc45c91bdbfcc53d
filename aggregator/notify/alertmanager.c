/* Alertmanager's API v2: each alert of the notification as one alert, to every replica.
 *
 * Alertmanager forgets what is not told again: an alert counts as resolved when its endsAt has passed. So while it fires,
 * endsAt lies four repetitions ahead (as Prometheus does), and the orderer repeats the message every `refresh`; an
 * aggregator that dies takes its alerts with it after that time. endsAt goes by the clock of the attempt: one made late must
 * not say that it is over. Replicas do not pass alerts on to each other, hence every one is told; it is delivered when one
 * has taken it, and the next repetition reaches the others. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/told.h"

enum { REFRESH_S = 60, AHEAD = 4, VALUE_MOST = 2048, TEXT_MOST = 16384 };

struct channel_target {
    char *urls[CALLS_MOST], *names[CALLS_MOST];
    size_t n;
    char *authorization;
    struct span timeout;
};

static const struct option_row rows[] = {ROW_URL, ROW_AUTHORIZATION, ROWS_HTTP};

static void alertmanager_close(struct channel_target **tp)
{
    struct channel_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++) {
        free(t->urls[i]);
        free(t->names[i]);
    }
    free_secret(&t->authorization);
    free(t);
    *tp = NULL;
}

static struct channel_target *alertmanager_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);
    bool ok = t != NULL;

    (void)log;
    if (t)
        t->timeout = option_span(s, "timeout");
    for (size_t i = 0; ok && i < option_count(s, "url") && i < CALLS_MOST; i++) {
        t->n = i + 1;
        t->urls[i] = url_join(option_word(s, "url", i), "/api/v2/alerts");
        t->names[i] = option_word_copy(s, "url", i);
        ok = t->urls[i] && t->names[i];
    }
    if (!ok)
        err_set(e, ERR_NOMEM, "no memory for a receiver");
    if (!ok || secret_copy(s, "authorization", &t->authorization, e) != 0)
        alertmanager_close(&t);
    return t;
}

/* A name as Alertmanager takes it: [a-zA-Z_][a-zA-Z0-9_]*. */
static const char *label_name(struct arena *a, const char *s)
{
    char *t = arena_alloc(a, strlen(s) + 2), *p = t;

    if (!t)
        return "_";
    if (!*s || isdigit((unsigned char)*s))
        *p++ = '_';
    for (; *s; s++)
        *p++ = (char)((unsigned char)*s < 0x80 && (isalnum((unsigned char)*s) || *s == '_') ? *s : '_');
    return t;
}

static cJSON *labels_of(struct arena *a, const struct labels l, const char *rule)
{
    cJSON *o = cJSON_CreateObject();

    for (uint32_t i = 0; i < l.n; i++)
        if (*l.v[i].value && !cJSON_GetObjectItemCaseSensitive(o, label_name(a, l.v[i].name)))
            told_add(o, a, label_name(a, l.v[i].name), l.v[i].value, VALUE_MOST);
    if (!cJSON_GetObjectItemCaseSensitive(o, "alertname"))
        told_add(o, a, "alertname", rule, VALUE_MOST);
    return o;
}

static void annotate(cJSON *o, struct arena *a, const char *key, const char *value)
{
    if (*value)
        told_add(o, a, key, value, TEXT_MOST);
}

/* ends {0}: it goes on. */
static cJSON *alert_of(struct arena *a, const struct told_alert *t, struct wall ends, struct wall now,
                       const char *link)
{
    cJSON *o = cJSON_CreateObject(), *notes;
    struct wall until = ends.ms ? ends : wall_add(now, span_s(REFRESH_S * AHEAD)),
                since = t->since.ms ? t->since : now;

    cJSON_AddItemToObject(o, "labels", labels_of(a, t->labels, t->rule));
    notes = cJSON_AddObjectToObject(o, "annotations");
    annotate(notes, a, "summary", t->summary);
    annotate(notes, a, "description", t->description);
    annotate(notes, a, "runbook_url", t->runbook);
    annotate(notes, a, "explain", t->explain);
    told_add_time(o, "startsAt", wall_before(until, since) ? until : since);
    told_add_time(o, "endsAt", until);
    if (*link)
        told_add_line(o, a, "generatorURL", link, VALUE_MOST);
    return o;
}

/* A heartbeat or a test: an alert of its own, which ends by itself. */
static cJSON *own_alert(struct arena *a, const struct notification *n, struct wall now)
{
    struct label l[] = {{"alertname", n->tell == TELL_TEST ? "SecureBaseTest" : "SecureBaseHeartbeat"},
                        {"severity", severity_name(SEVERITY_INFO)},
                        {"source", n->source}};
    struct told_alert t = {.rule = l[0].value,
                           .labels = {l, 3},
                           .since = now,
                           .summary = n->title,
                           .description = n->text,
                           .runbook = "",
                           .explain = ""};

    return alert_of(a, &t, (struct wall){0}, now, n->link);
}

static cJSON *alerts_of(struct arena *a, const struct notification *n, struct wall now)
{
    cJSON *list = cJSON_CreateArray();

    if (n->tell == TELL_HEARTBEAT || n->tell == TELL_TEST) {
        cJSON_AddItemToArray(list, own_alert(a, n, now));
        return list;
    }
    for (uint32_t i = 0; i < n->n_alerts; i++) {
        const struct told_alert *t = &n->alerts[i];
        bool over = n->tell == TELL_RESOLVE || !t->firing;
        struct wall ends = !over ? (struct wall){0} : t->ended.ms ? t->ended : n->t;

        cJSON_AddItemToArray(list, alert_of(a, t, ends, now, n->link));
    }
    return list;
}

static int alertmanager_prepare(const struct channel_target *t, const struct notification *n, struct wall now,
                                struct arena *a, struct channel_call *calls, size_t most, struct err *e)
{
    cJSON *list;
    struct bytes body;

    if (n->tell == TELL_ACKNOWLEDGE || n->tell == TELL_CHANGE)
        return err_set(e, ERR_UNSUPPORTED, "Alertmanager takes alerts only");
    list = alerts_of(a, n, now);
    if (!cJSON_GetArraySize(list)) {
        cJSON_Delete(list);
        return err_set(e, ERR_UNSUPPORTED, "there is no alert in it");
    }
    body = told_print(a, &list);
    if (!body.p)
        return err_set(e, ERR_NOMEM, "no memory for the alerts");
    for (size_t i = 0; i < t->n && i < most; i++) {
        call_json(&calls[i], t->urls[i], body, t->timeout);
        call_header(&calls[i], "Authorization", t->authorization);
        calls[i].who = t->n > 1 ? t->names[i] : NULL;
    }
    return (int)(t->n < most ? t->n : most);
}

static void alertmanager_judge(const struct channel_target *t, const struct http_result *r,
                               struct told_result *out)
{
    (void)t;
    judge_http(r, out);
}

const struct channel channel_alertmanager = {
    .type = "alertmanager",
    .sentence = "Prometheus Alertmanager, every replica: it groups, silences and routes for itself.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "url",
    .resolves = true,
    .heartbeats = true,
    .refresh = {INT64_C(1000000000) * REFRESH_S},
    .open = alertmanager_open,
    .close = alertmanager_close,
    .prepare = alertmanager_prepare,
    .judge = alertmanager_judge,
};
