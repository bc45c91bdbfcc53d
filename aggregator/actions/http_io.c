/* See http_io.h. */
#include "aggregator/actions/http_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/config/copies.h"
#include "common/config/text.h"
#include "common/net/host.h"
#include "common/net/retry_after.h"
#include "common/net/x509.h"

enum { QUOTE_MOST = 160 };

int action_tls_open(const struct section *s, struct action_tls *t, struct err *e)
{
    *t = (struct action_tls){
        .ca = option_copy(s, "ca"), .cert = option_copy(s, "cert"), .key = option_copy(s, "key")};
    if ((t->ca && x509_check_pem("ca", t->ca, e) != 0) ||
        (t->cert && x509_check_pem("cert", t->cert, e) != 0) ||
        (t->key && x509_check_pem("key", t->key, e) != 0)) {
        action_tls_close(t);
        return e->code;
    }
    return 0;
}

void action_tls_close(struct action_tls *t)
{
    free(t->ca);
    free(t->cert);
    free(t->key);
    *t = (struct action_tls){0};
}

int action_secret_url_check(const char *url, struct err *e)
{
    return strncasecmp(url, "https://", 8) == 0 || host_url_is_loopback(url)
               ? 0
               : err_set(e, ERR_CONFIG, "found \"%.80s\", expected https://, since a secret is sent there",
                         url);
}

struct waiting {
    struct loop *loop;
    struct arena *arena;
    struct action_answer *out;
    bool ended, failed;
};

static const char *keep(struct waiting *w, const char *s, size_t n)
{
    const char *t = arena_text(w->arena, s, n);

    w->failed = w->failed || !t;
    return t ? t : "";
}

static void on_end(void *arg, const struct http_result *r)
{
    struct waiting *w = arg;
    struct http_result *o = &w->out->http;

    *o = *r;
    o->content_type = keep(w, r->content_type, strlen(r->content_type));
    o->retry_after = keep(w, r->retry_after, strlen(r->retry_after));
    o->body.p = (const uint8_t *)keep(w, (const char *)r->body.p, r->body.n);
    o->headers.p = (const uint8_t *)keep(w, (const char *)r->headers.p, r->headers.n);
    if (w->failed) { /* the answer is lost, the call was made */
        o->code = ERR_LIMIT;
        o->sent = true;
        o->body = (struct bytes){0};
        o->headers = (struct bytes){0};
        (void)snprintf(o->error, sizeof o->error, "no memory for the answer");
    }
    w->ended = true;
    loop_stop(w->loop);
}

int action_http(const struct action_tls *tls, const struct http_request *r, struct span deadline,
                struct arena *a, struct action_answer *out, struct err *e)
{
    struct http_client_params params = {.max_connections = 1, .connect_timeout = deadline};
    struct http_request request = *r;
    struct waiting w = {.arena = a, .out = out};
    struct http_client *client = NULL;
    int rc = 0;

    *out = (struct action_answer){0};
    if (tls) {
        params.ca = tls->ca;
        params.cert = tls->cert;
        params.key = tls->key;
    }
    request.timeout = deadline.ns > 1000000 ? deadline : span_ms(1);
    request.fresh = true;
    w.loop = loop_new(e);
    if (w.loop)
        client = http_client_new(w.loop, &params, e);
    if (!client || !http_client_send(client, &request, on_end, &w, e)) {
        rc = e && e->code ? e->code : ERR_NOMEM;
        goto out;
    }
    if (loop_run(w.loop) != 0 || !w.ended) {
        out->http = (struct http_result){.code = ERR_IO,
                                         .reason = "receive",
                                         .sent = true,
                                         .content_type = "",
                                         .retry_after = "",
                                         .error = "the loop of the call has failed"};
    }
out:
    http_client_free(&client);
    loop_free(&w.loop);
    return rc;
}

/* The beginning of a body as one clean line. */
static void quote(char out[QUOTE_MOST + 8], struct bytes body)
{
    size_t at = 0, step;

    for (size_t in = 0; in < body.n && at < QUOTE_MOST; in += step) {
        step = utf8_len(body.p + in, body.n - in);
        if (step <= 1 && (!step || body.p[in] <= ' ' || body.p[in] == 0x7f)) {
            if (at && out[at - 1] != ' ')
                out[at++] = ' ';
            step = 1;
            continue;
        }
        memcpy(out + at, body.p + in, step);
        at += step;
    }
    out[at] = 0;
}

static enum action_class by_status(int status, bool change)
{
    if (status >= 200 && status < 300)
        return ACTION_OK;
    if (status == 429)
        return ACTION_THROTTLED;
    if (status == 409 || status == 412)
        return ACTION_CONFLICT;
    if (status == 503 || status == 425)
        return ACTION_RETRY;
    if (status == 408 || status >= 500 || status < 200)
        return change ? ACTION_UNKNOWN : ACTION_RETRY;
    return ACTION_DENIED;
}

void action_http_judge(const struct action_answer *ans, bool change, const char *what,
                       struct action_result *out)
{
    const struct http_result *r = &ans->http;
    char said[QUOTE_MOST + 8];

    if (r->code != 0) {
        enum action_class c = change && r->sent ? ACTION_UNKNOWN : ACTION_RETRY;

        if (!r->sent && strcmp(r->reason, "certificate") == 0)
            c = ACTION_DENIED;
        action_say(out, c, "%s: %s: %.200s", what, *r->reason ? r->reason : err_name(r->code), r->error);
        return;
    }
    quote(said, r->body);
    action_say(out, by_status(r->status, change), "%s: status %d%s%s", what, r->status, *said ? ": " : "",
               said);
    if (out->class == ACTION_THROTTLED || out->class == ACTION_RETRY)
        out->retry_after = retry_after_parse(r->retry_after, clock_wall());
}
