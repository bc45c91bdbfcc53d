/* See copies.h. */
#include "common/config/copies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECRET_MOST = 8192,
    SCRUB_LEAST = 6, /* shorter secrets would blank ordinary words */
};

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

static void scrub(char *text, const char *secret)
{
    size_t n = strlen(secret), len = strlen(text);

    for (size_t at = 0; n >= SCRUB_LEAST && at < len; at++) {
        size_t same = 0;

        while (same < n && at + same < len && text[at + same] == secret[same])
            same++;
        if (same == n || (same >= SCRUB_LEAST && at + same == len))
            memset(text + at, '*', same);
    }
}

void secret_scrub(char *text, const char *secret)
{
    const char *host = strstr(secret, "://"), *blank = strrchr(secret, ' ');

    scrub(text, secret);
    if (host && strchr(host + 3, '/'))
        scrub(text, strchr(host + 3, '/'));
    if (blank)
        scrub(text, blank + 1);
}
