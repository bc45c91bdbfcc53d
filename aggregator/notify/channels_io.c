/* What channels share that touches the world: secrets and texts of options, the clock of an answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/judge.h"
#include "common/net/loop.h"

enum { SECRET_MOST = 8192 };

char *option_copy(const struct section *s, const char *key)
{
    const char *text = option_text(s, key);

    return text && *text ? strdup(text) : NULL;
}

char *option_word_copy(const struct section *s, const char *key, size_t i)
{
    return i < option_count(s, key) ? strdup(option_word(s, key, i)) : NULL;
}

void free_secret(char **s)
{
    if (*s)
        explicit_bzero(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

int secret_copy(const struct section *s, const char *key, char **out, struct err *e)
{
    struct buf b;
    int rc;

    if (!option_set(s, key))
        return 0;
    buf_init(&b, NULL, SECRET_MOST);
    rc = option_secret(s, key, &b, e);
    for (size_t i = 0; rc == 0 && i < b.len; i++)
        if (b.data[i] < ' ' || b.data[i] == 0x7f)
            rc = err_set(e, ERR_CONFIG, "%s: the secret is not one line of text", key);
    if (rc == 0 && !b.len)
        rc = err_set(e, ERR_CONFIG, "%s: the secret is empty", key);
    if (rc == 0 && !(*out = strndup((const char *)b.data, b.len)))
        rc = err_set(e, ERR_NOMEM, "no memory for a secret");
    if (b.data)
        explicit_bzero(b.data, b.room);
    buf_free(&b);
    return rc;
}

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

char *text_join(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 1;
    char *t = malloc(n);

    if (t)
        (void)snprintf(t, n, "%s%s", a, b);
    return t;
}

char *url_join(const char *base, const char *path)
{
    size_t n = strlen(base);
    char *t, *head;

    while (n && base[n - 1] == '/')
        n--;
    head = strndup(base, n);
    t = head ? text_join(head, path) : NULL;
    free(head);
    return t;
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
