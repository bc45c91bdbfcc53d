/* What channels share that touches the world: secrets that are addresses, the clock of an answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/judge.h"
#include "common/net/loop.h"

int url_secret_copy(const struct section *s, const char *key, char **out, struct err *e)
{
    int rc = secret_copy(s, key, out, e);

    if (rc != 0 || !*out)
        return rc;
    if ((strncmp(*out, "https://", 8) != 0 && strncmp(*out, "http://", 7) != 0) || strpbrk(*out, " \t@#")) {
        free_secret(out);
        return err_set(e, ERR_CONFIG,
                       "%s: the secret is no address that begins with https:// (it is not shown)", key);
    }
    return 0;
}

int one_url_check(const struct section *s, const char **key, struct err *e)
{
    *key = "url";
    return option_count(s, "url") <= 1 ? 0 : err_set(e, ERR_CONFIG, "expected one address");
}

void judge_http(const struct http_result *r, struct told_result *out)
{
    judge_answer(r, clock_wall(), out);
}

void call_header(struct channel_call *c, const char *name, const char *value)
{
    if (value && c->n_headers < CALL_HEADERS)
        c->headers[c->n_headers++] = (struct http_header){name, value};
}

void call_json(struct channel_call *c, const char *url, struct bytes body, struct span timeout)
{
    *c = (struct channel_call){
        .method = "POST", .url = url, .body = body, .timeout = timeout, .idempotent = true};
    call_header(c, "Content-Type", "application/json");
}
