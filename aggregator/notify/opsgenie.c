/* Opsgenie's Alert API, and the one of the same form that Jira Service Management has behind another base address.
 *
 * The dedup key is the alert's alias: creating joins an open alert, acknowledging and closing go by it. Limits: message 130,
 * alias 512, description 15000, entity 512, source 100, 20 tags of 50, details 8000 in all; 202 says that it was taken in, not
 * that it was carried out, which is as far as a request can know. 422 is a message that will never be taken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/told.h"
#include "common/net/sigv4.h"

enum {
    MESSAGE_MOST = 130,
    DESCRIPTION_MOST = 15000,
    DETAILS_MOST = 8000,
    TAGS_MOST = 20,
    TAG_MOST = 50,
    LIST_MOST = 50
};

struct channel_target {
    char *base, *authorization, *heartbeat;
    char *tags[TAGS_MOST], *responders[LIST_MOST];
    struct span timeout;
};

static const struct option_row rows[] = {
    {.key = "api_key",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Key of an API integration (GenieKey)."},
    {.key = "responders",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = LIST_MOST,
     .sentence = "Who is to act: team:ops user:ann@example.com escalation:night schedule:primary; none: as "
                 "the service "
                 "routes it."},
    {.key = "tags",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = TAGS_MOST,
     .sentence = "Tags of each alert."},
    {.key = "heartbeat",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "Name of the heartbeat that is pinged when this receiver is told a heartbeat."},
    ROW_URL,
    ROWS_HTTP,
};

static const char *const kinds[] = {"team:", "user:", "escalation:", "schedule:"};

static size_t kind_of(const char *responder)
{
    size_t i = 0;

    while (i < sizeof kinds / sizeof *kinds && strncmp(responder, kinds[i], strlen(kinds[i])) != 0)
        i++;
    return i;
}

static int opsgenie_check(const struct section *s, const char **key, struct err *e)
{
    for (size_t i = 0; i < option_count(s, "responders"); i++) {
        const char *word = option_word(s, "responders", i);

        *key = "responders";
        if (kind_of(word) == sizeof kinds / sizeof *kinds || !strchr(word, ':')[1])
            return err_set(e, ERR_CONFIG,
                           "found \"%.60s\", expected team:NAME, user:NAME, escalation:NAME or schedule:NAME",
                           word);
    }
    return one_url_check(s, key, e);
}

static void opsgenie_close(struct channel_target **tp)
{
    struct channel_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < TAGS_MOST; i++)
        free(t->tags[i]);
    for (size_t i = 0; i < LIST_MOST; i++)
        free(t->responders[i]);
    free(t->base);
    free(t->heartbeat);
    free_secret(&t->authorization);
    free(t);
    *tp = NULL;
}

static struct channel_target *opsgenie_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);
    const char *base = option_count(s, "url") ? option_word(s, "url", 0) : "https://api.opsgenie.com";
    char *key = NULL;

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        return NULL;
    }
    t->timeout = option_span(s, "timeout");
    t->base = url_join(base, "");
    t->heartbeat = option_copy(s, "heartbeat");
    for (size_t i = 0; i < option_count(s, "tags") && i < TAGS_MOST; i++)
        t->tags[i] = option_word_copy(s, "tags", i);
    for (size_t i = 0; i < option_count(s, "responders") && i < LIST_MOST; i++)
        t->responders[i] = option_word_copy(s, "responders", i);
    if (secret_copy(s, "api_key", &key, e) != 0 || !t->base) {
        free_secret(&key);
        opsgenie_close(&t);
        return NULL;
    }
    t->authorization = text_join("GenieKey ", key);
    free_secret(&key);
    return t;
}

static void add_lists(const struct channel_target *t, cJSON *o, struct arena *a)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < LIST_MOST && t->responders[i]; i++) {
        const char *kind = kinds[kind_of(t->responders[i])], *name = t->responders[i] + strlen(kind);
        cJSON *who = cJSON_CreateObject();

        cJSON_AddStringToObject(who, strcmp(kind, "user:") == 0 ? "username" : "name",
                                told_line(a, name, 512));
        cJSON_AddStringToObject(who, "type", arena_text(a, kind, strlen(kind) - 1));
        cJSON_AddItemToArray(list, who);
    }
    if (cJSON_GetArraySize(list))
        cJSON_AddItemToObject(o, "responders", list);
    else
        cJSON_Delete(list);
    if (!t->tags[0])
        return;
    list = cJSON_AddArrayToObject(o, "tags");
    for (size_t i = 0; i < TAGS_MOST && t->tags[i]; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(told_line(a, t->tags[i], TAG_MOST)));
}

static void add_details(cJSON *o, struct arena *a, const struct notification *n)
{
    cJSON *details = cJSON_AddObjectToObject(o, "details");
    size_t used = 0;

    for (uint32_t i = 0; i < n->group.n; i++) {
        const char *name = told_line(a, n->group.v[i].name, 256),
                   *value = told_clean(a, n->group.v[i].value, 1024);

        used += strlen(name) + strlen(value);
        if (used <= DETAILS_MOST - 1500) /* room for the links */
            cJSON_AddStringToObject(details, name, value);
    }
    if (n->n_alerts && *n->alerts[0].runbook)
        told_add_line(details, a, "runbook", n->alerts[0].runbook, 700);
    if (*n->link)
        told_add_line(details, a, "console", n->link, 700);
}

static const char *priority_of(const struct notification *n)
{
    if (n->tell == TELL_TEST)
        return "P5";
    switch (n->severity) {
    case SEVERITY_CRITICAL: return "P1";
    case SEVERITY_ERROR: return "P2";
    case SEVERITY_WARNING: return "P3";
    default: return "P5";
    }
}

static cJSON *alert_of(const struct channel_target *t, struct arena *a, const struct notification *n)
{
    cJSON *o = cJSON_CreateObject();

    told_add_line(o, a, "message", *n->title ? n->title : "alert", MESSAGE_MOST);
    told_add_line(o, a, "alias", n->dedup_key, 255);
    told_add(o, a, "description", told_text(a, n, DESCRIPTION_MOST), DESCRIPTION_MOST);
    add_lists(t, o, a);
    add_details(o, a, n);
    if (*told_label(n, "service"))
        told_add_line(o, a, "entity", told_label(n, "service"), 512);
    told_add_line(o, a, "source", n->source, 100);
    cJSON_AddStringToObject(o, "priority", priority_of(n));
    return o;
}

static cJSON *note_of(struct arena *a, const struct notification *n)
{
    cJSON *o = cJSON_CreateObject();

    told_add_line(o, a, "source", n->source, 100);
    told_add(o, a, "note", *n->text ? n->text : n->title, DESCRIPTION_MOST);
    return o;
}

static const char *path_of(const struct channel_target *t, struct arena *a, const struct notification *n)
{
    struct buf b;
    const char *url;

    buf_init(&b, NULL, 16384);
    buf_str(&b, t->base);
    if (n->tell == TELL_HEARTBEAT) {
        buf_str(&b, "/v2/heartbeats/");
        sigv4_encode(&b, t->heartbeat, strlen(t->heartbeat), true);
        buf_str(&b, "/ping");
    } else {
        buf_str(&b, "/v2/alerts");
        if (n->tell == TELL_ACKNOWLEDGE || n->tell == TELL_RESOLVE) {
            buf_u8(&b, '/');
            sigv4_encode(&b, n->dedup_key, strlen(n->dedup_key), true);
            buf_str(&b, n->tell == TELL_RESOLVE ? "/close?identifierType=alias"
                                                : "/acknowledge?identifierType=alias");
        }
    }
    url = b.full ? NULL : arena_text(a, (const char *)b.data, b.len);
    buf_free(&b);
    return url;
}

static int opsgenie_prepare(const struct channel_target *t, const struct notification *n, struct wall now,
                            struct arena *a, struct channel_call *calls, size_t most, struct err *e)
{
    struct bytes body = {0};
    const char *url;
    cJSON *o;

    (void)now;
    (void)most;
    if (n->tell == TELL_CHANGE)
        return err_set(e, ERR_UNSUPPORTED, "Opsgenie takes no changes");
    if (n->tell == TELL_HEARTBEAT && !t->heartbeat)
        return err_set(e, ERR_UNSUPPORTED, "`heartbeat` is not set");
    url = path_of(t, a, n);
    o = n->tell == TELL_HEARTBEAT                                ? cJSON_CreateObject()
        : n->tell == TELL_ACKNOWLEDGE || n->tell == TELL_RESOLVE ? note_of(a, n)
                                                                 : alert_of(t, a, n);
    body = told_print(a, &o);
    if (!url || !body.p || !t->authorization)
        return err_set(e, ERR_NOMEM, "no memory for the request");
    call_json(&calls[0], url, body, t->timeout);
    call_header(&calls[0], "Authorization", t->authorization);
    return 1;
}

static void opsgenie_judge(const struct channel_target *t, const struct http_result *r,
                           struct told_result *out)
{
    (void)t;
    judge_http(r, out);
}

const struct channel channel_opsgenie = {
    .type = "opsgenie",
    .sentence = "Opsgenie, or Jira Service Management by its `url`.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "api_key",
    .resolves = true,
    .heartbeats = true,
    .acknowledges = true,
    .check = opsgenie_check,
    .open = opsgenie_open,
    .close = opsgenie_close,
    .prepare = opsgenie_prepare,
    .judge = opsgenie_judge,
};
