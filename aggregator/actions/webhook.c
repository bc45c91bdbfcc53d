/* A service of your own, asked by HTTP: a change is a POST with the order as JSON, a question a GET.
 *
 * A change carries the header Idempotency-Key, the same for all attempts of an action in one epoch: the service does each key
 * once, and refuses with 409 when it has seen a higher token ("S.R": S before R, greater is later). Statuses: 200, 201, 204 ok;
 * 202 on its way; of a question 404 not so; 409, 412 conflict; 429 throttled; 401, 403 and other 4xx denied; 503 retry; other
 * 5xx and no answer: unknown of a change, retry of a question. A JSON object in an answer of 2xx may say more (order.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/actions/http_io.h"
#include "aggregator/actions/order.h"
#include "common/config/copies.h"
#include "common/net/sigv4.h"

enum { ARENA_MOST = 4 << 20, ANSWER_MOST = 1 << 20, URL_MOST = 16 * 1024 };

struct action_target {
    char *url, *probe_url, *authorization, *name;
    struct action_tls tls;
};

static const struct option_row rows[] = {
    ACTION_ROW_URL,
    {.key = "probe_url",
     .type = OPT_URLS,
     .dflt = "",
     .reloadable = true,
     .max = 1,
     .sentence = "Where it is asked what is so, with GET; empty: at `url`."},
    {.key = "authorization",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Text of the header Authorization, such as: Bearer 4fd1..."},
    ACTION_ROWS_TLS,
};

static int webhook_check(const struct section *s, const char **key, struct err *e)
{
    static const char *const urls[] = {"url", "probe_url"};

    for (size_t i = 0; i < 2; i++) {
        *key = urls[i];
        if (option_count(s, *key) && option_set(s, "authorization") &&
            action_secret_url_check(option_word(s, *key, 0), e) != 0)
            return ERR_CONFIG;
    }
    return 0;
}

static void webhook_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    free(t->url);
    free(t->probe_url);
    free(t->name);
    free_secret(&t->authorization);
    action_tls_close(&t->tls);
    free(t);
    *tp = NULL;
}

static struct action_target *webhook_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        return NULL;
    }
    t->url = option_word_copy(s, "url", 0);
    t->probe_url = option_word_copy(s, option_count(s, "probe_url") ? "probe_url" : "url", 0);
    t->name = strdup(section_label(s));
    if (secret_copy(s, "authorization", &t->authorization, e) != 0 || action_tls_open(s, &t->tls, e) != 0) {
        webhook_close(&t);
    } else if (!t->url || !t->probe_url || !t->name) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        webhook_close(&t);
    }
    return t;
}

static void parameter(struct buf *b, const char *name, const char *value)
{
    buf_fmt(b, "%c%s=", memchr(b->data, '?', b->len) ? '&' : '?', name);
    sigv4_encode(b, value, strlen(value), true);
}

static void question(const struct action_target *t, const struct action_order *o, struct buf *url)
{
    char number[64];

    buf_str(url, t->probe_url);
    parameter(url, "op", action_op_name(o->op));
    parameter(url, "action", t->name);
    parameter(url, "service", o->service);
    parameter(url, "from", o->from);
    parameter(url, "to", o->to);
    parameter(url, "plan", o->plan);
    (void)snprintf(number, sizeof number, "%u", o->epoch);
    parameter(url, "epoch", number);
    (void)snprintf(number, sizeof number, "%llu.%llu", (unsigned long long)o->token.store,
                   (unsigned long long)o->token.rev);
    parameter(url, "token", number);
    parameter(url, "key", o->key);
}

static bool is_change(const struct action_order *o)
{
    return o->op == ACTION_APPLY || o->op == ACTION_UNDO;
}

static void judge(const struct action_answer *ans, const struct action_order *o, struct action_result *out)
{
    const struct http_result *r = &ans->http;
    cJSON *j = NULL;

    action_http_judge(ans, is_change(o), action_op_name(o->op), out);
    if (r->code == ERR_LIMIT && r->status >= 200 && r->status < 300)
        out->class = ACTION_OK; /* it has said what it has to say, and talks on */
    if (r->code != 0)
        return;
    if (r->status == 202)
        out->class = ACTION_PROGRESS;
    else if (r->status == 404 && !is_change(o) && o->op != ACTION_PRECHECK)
        out->class = ACTION_NOT_APPLIED;
    j = r->body.n ? cJSON_ParseWithLength((const char *)r->body.p, r->body.n) : NULL;
    if (cJSON_IsObject(j))
        order_answer(j, r->status >= 200 && r->status < 300, out);
    cJSON_Delete(j);
}

static void webhook_run(const struct action_target *t, const struct action_order *o,
                        struct action_result *out)
{
    bool change = is_change(o);
    struct http_header headers[] = {
        {"Idempotency-Key", o->key}, {"Content-Type", "application/json"}, {NULL, NULL}};
    struct http_request r = {.method = change ? "POST" : "GET",
                             .url = t->url,
                             .headers = change ? headers : headers + 2,
                             .n_headers = change ? 2 : 0,
                             .max_answer = ANSWER_MOST};
    char *body = change ? order_json(o, t->name) : NULL;
    struct action_answer ans;
    struct arena a;
    struct buf url;
    struct err e = {0};

    arena_init(&a, NULL, ARENA_MOST);
    buf_init(&url, NULL, URL_MOST);
    if (t->authorization) {
        headers[2] = (struct http_header){"Authorization", t->authorization};
        r.n_headers++;
    }
    if (change) {
        r.body = body;
        r.body_len = body ? strlen(body) : 0;
    } else {
        question(t, o, &url);
        r.url = buf_text(&url);
    }
    if ((change && !body) || url.full)
        action_say(out, ACTION_RETRY, "no memory for the order");
    else if (action_http(&t->tls, &r, o->deadline, &a, &ans, &e) == 0)
        judge(&ans, o, out);
    else
        action_say(out, e.code == ERR_TLS || e.code == ERR_MALFORMED ? ACTION_DENIED : ACTION_RETRY, "%s",
                   e.text);
    cJSON_free(body);
    buf_free(&url);
    arena_free(&a);
}

const struct action_driver action_webhook = {
    .type = "webhook",
    .sentence = "A service of your own, with the order as JSON in a POST.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "url",
    .steps = (1U << PLAN_STEPS) - 1,
    .ops = (1U << ACTION_OPS) - 1,
    .check = webhook_check,
    .open = webhook_open,
    .close = webhook_close,
    .run = webhook_run,
};
