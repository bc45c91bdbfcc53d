/* The generic webhook: the whole notification as JSON, signed.
 *
 * With `secret`, X-Securebase-Signature is "v1=" and the hex HMAC-SHA256 of "v1:TIMESTAMP:BODY", TIMESTAMP being the
 * seconds in X-Securebase-Timestamp: whoever receives it can tell a forged or replayed request (the scheme of Slack and
 * Stripe). The clock of the attempt is signed, not that of the alert, so that a late attempt is not taken for a replay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/told.h"
#include "common/net/openssl.h"

enum { BODY_MOST = 1 << 20 };

struct channel_target {
    char *url, *secret, *authorization;
    struct span timeout;
};

static const struct option_row rows[] = {
    ROW_URL,
    ROW_SECRET_URL,
    ROW_AUTHORIZATION,
    {.key = "secret",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Signs each request: HMAC-SHA256, in the header X-Securebase-Signature."},
    ROWS_HTTP,
};

static int webhook_check(const struct section *s, const char **key, struct err *e)
{
    size_t plain = option_count(s, "url"), secret = option_set(s, "secret_url");

    *key = "url";
    if (plain + secret != 1)
        return err_set(e, ERR_CONFIG, "expected one address, either as `url` or as `secret_url`");
    return 0;
}

static void webhook_close(struct channel_target **tp)
{
    struct channel_target *t = *tp;

    if (!t)
        return;
    free_secret(&t->url);
    free_secret(&t->secret);
    free_secret(&t->authorization);
    free(t);
    *tp = NULL;
}

static struct channel_target *webhook_open(const struct section *s, struct log *log, struct err *e)
{
    struct channel_target *t = calloc(1, sizeof *t);

    (void)log;
    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for a receiver");
        return NULL;
    }
    t->timeout = option_span(s, "timeout");
    if (option_count(s, "url"))
        t->url = option_word_copy(s, "url", 0);
    if ((!t->url && url_secret_copy(s, "secret_url", &t->url, e) != 0) ||
        secret_copy(s, "secret", &t->secret, e) != 0 ||
        secret_copy(s, "authorization", &t->authorization, e) != 0) {
        webhook_close(&t);
        return NULL;
    }
    return t;
}

static bool sign(struct channel_call *c, const char *secret, struct wall now, struct arena *a)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    size_t len = 64 + c->body.n;
    char *text = arena_alloc(a, len), *header = arena_alloc(a, 3 + 2 * sizeof mac + 1),
         *stamp = arena_alloc(a, 24);

    if (!text || !header || !stamp)
        return false;
    (void)snprintf(stamp, 24, "%lld", (long long)(now.ms / 1000));
    len = (size_t)snprintf(text, len, "v1:%s:", stamp);
    memcpy(text + len, c->body.p, c->body.n);
    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)text, len + c->body.n, mac, &n))
        return false;
    memcpy(header, "v1=", 4);
    for (unsigned i = 0; i < n; i++)
        (void)snprintf(header + 3 + 2 * i, 3, "%02x", mac[i]);
    call_header(c, "X-Securebase-Timestamp", stamp);
    call_header(c, "X-Securebase-Signature", header);
    return true;
}

static int webhook_prepare(const struct channel_target *t, const struct notification *n, struct wall now,
                           struct arena *a, struct channel_call *calls, size_t most, struct err *e)
{
    struct bytes body = told_json(a, n, BODY_MOST);

    (void)most;
    if (!body.p)
        return err_set(e, ERR_NOMEM, "no memory for the message");
    call_json(&calls[0], t->url, body, t->timeout);
    call_header(&calls[0], "Authorization", t->authorization);
    if (t->secret && !sign(&calls[0], t->secret, now, a))
        return err_set(e, ERR_NOMEM, "no memory for the signature");
    return 1;
}

static void webhook_judge(const struct channel_target *t, const struct http_result *r,
                          struct told_result *out)
{
    (void)t;
    judge_http(r, out);
}

const struct channel channel_webhook = {
    .type = "webhook",
    .sentence = "An address of your own: the whole notification as JSON, signed.",
    .rows = rows,
    .n_rows = ROWS_COUNT(rows),
    .required = "",
    .resolves = true,
    .heartbeats = true,
    .acknowledges = true,
    .changes = true,
    .check = webhook_check,
    .open = webhook_open,
    .close = webhook_close,
    .prepare = webhook_prepare,
    .judge = webhook_judge,
};
