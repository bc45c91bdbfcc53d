/* Slack, by an incoming webhook: a heading, the text, and a line with where it comes from and the links.
 *
 * Limits of Block Kit: header 150 characters, section 3000. & < > are control characters of mrkdwn and are written as
 * entities, within the limit. Links are text, not buttons: buttons of an app without an interactivity address show a
 * warning; and nothing is unfurled, since a preview would fetch them. About one message a second is taken; beyond, 429 with
 * Retry-After. A message has no identity, so a doubtful one is shown twice rather than not at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/judge.h"
#include "aggregator/notify/told.h"
#include "common/config/text.h"

enum { HEADER_MOST = 150, SECTION_MOST = 3000, CONTEXT_MOST = 3000, LINK_MOST = 1000, ENTITY_MOST = 5 };

struct channel_target {
    char *url;
    struct span timeout;
};

static const struct option_row rows[] = {ROW_SECRET_URL, ROWS_HTTP};

static void slack_close(struct channel_target **tp)
{
    if (*tp)
        free_secret(&(*tp)->url);
    free(*tp);
    *tp = NULL;
}

static struct channel_target *slack_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        return NULL;
    }
    t->timeout = option_span(s, "timeout");
    if (url_secret_copy(s, "secret_url", &t->url, e) != 0)
        slack_close(&t);
    return t;
}

/* mrkdwn's three control characters as entities, cut so that no entity and no character is split. */
static const char *escape(struct arena *a, const char *s, size_t most)
{
    char *out = arena_alloc(a, most + ENTITY_MOST + 1);
    size_t at = 0, n;

    if (!out)
        return "";
    for (; *s; s += n) {
        const char *as = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : NULL;
        size_t len;

        n = as ? 1 : utf8_len((const unsigned char *)s, strlen(s));
        n = n ? n : 1;
        len = as ? strlen(as) : n;
        if (at + len > most)
            break;
        memcpy(out + at, as ? as : s, len);
        at += len;
    }
    out[at] = 0;
    return out;
}

/* Within <…|…> a link may hold neither of its delimiters, and half a link is none. */
static void add_link(char *out, size_t room, struct arena *a, const char *url, const char *text)
{
    const char *line = told_line(a, url, LINK_MOST), *target;
    size_t at = strlen(out);

    if (!*url || strcmp(line, url) != 0 || strpbrk(url, "<>| "))
        return;
    target = escape(a, url, LINK_MOST * ENTITY_MOST);
    if (at + strlen(target) + strlen(text) + 8 < room)
        (void)snprintf(out + at, room - at, " \xc2\xb7 <%s|%s>", target, text);
}

static cJSON *text_item(const char *type, const char *text)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "type", type);
    cJSON_AddStringToObject(o, "text", text);
    return o;
}

static cJSON *add_block(cJSON *blocks, const char *type)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "type", type);
    cJSON_AddItemToArray(blocks, o);
    return o;
}

static cJSON *message_of(struct arena *a, const struct notification *n)
{
    cJSON *o = cJSON_CreateObject(), *blocks, *elements;
    const char *title = told_line(a, *n->title ? n->title : told_status(n), SECTION_MOST);
    struct notification plain = *n; /* the links have a line of their own */
    char context[CONTEXT_MOST + 1];

    plain.link = plain.ack_link = "";
    cJSON_AddStringToObject(o, "text", escape(a, title, SECTION_MOST));
    cJSON_AddBoolToObject(o, "unfurl_links", false);
    cJSON_AddBoolToObject(o, "unfurl_media", false);
    blocks = cJSON_AddArrayToObject(o, "blocks");
    cJSON_AddItemToObject(add_block(blocks, "header"), "text",
                          text_item("plain_text", told_line(a, title, HEADER_MOST)));
    if (*n->text)
        cJSON_AddItemToObject(
            add_block(blocks, "section"), "text",
            text_item("mrkdwn", escape(a, told_text(a, &plain, SECTION_MOST), SECTION_MOST)));
    (void)snprintf(context, sizeof context, "%s \xc2\xb7 %s \xc2\xb7 %s", told_status(n),
                   severity_name(n->severity), escape(a, told_line(a, n->source, 200), 250));
    add_link(context, sizeof context, a, n->link, "Console");
    add_link(context, sizeof context, a, n->ack_link, "Acknowledge");
    elements = cJSON_AddArrayToObject(add_block(blocks, "context"), "elements");
    cJSON_AddItemToArray(elements, text_item("mrkdwn", context));
    return o;
}

static int slack_prepare(const struct channel_target *t, const struct notification *n, struct wall now,
                         struct arena *a, struct channel_call *calls, size_t most, struct err *e)
{
    cJSON *message = message_of(a, n);
    struct bytes body = told_print(a, &message);

    (void)now;
    (void)most;
    if (!body.p)
        return err_set(e, ERR_NOMEM, "no memory for the message");
    call_json(&calls[0], t->url, body, t->timeout);
    calls[0].idempotent = false;
    return 1;
}

/* A webhook that has been revoked, a channel that is archived: nothing gets through until somebody mends it. */
static void slack_judge(const struct channel_target *t, const struct http_result *r, struct told_result *out)
{
    (void)t;
    judge_http(r, out);
    if (r->code == 0 &&
        (r->status == 404 || r->status == 410 || (r->status == 400 && judge_says(r, "invalid_token"))))
        out->outcome = OUTCOME_DENIED;
}

const struct channel channel_slack = {
    .type = "slack",
    .sentence = "Slack, by an incoming webhook.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "secret_url",
    .resolves = true,
    .heartbeats = true,
    .acknowledges = true,
    .changes = true,
    .open = slack_open,
    .close = slack_close,
    .prepare = slack_prepare,
    .judge = slack_judge,
};
