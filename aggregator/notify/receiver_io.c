/* A receiver that is open: its channel's target, its client or workers, and the secrets that no text may show. Each has a
 * client and workers of its own, so that one that hangs takes no connection or thread from the others. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/channel_rows.h"
#include "aggregator/notify/telling.h"

static bool has_row(const struct channel *ch, const char *key)
{
    for (size_t i = 0; i < ch->n_rows; i++)
        if (strcmp(ch->rows[i].key, key) == 0)
            return true;
    return false;
}

static int read_secrets(struct receiver *r, const struct section *s, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < r->ch->n_rows; i++) {
        if (r->ch->rows[i].type != OPT_SECRET || !option_set(s, r->ch->rows[i].key))
            continue;
        if (n == TELLING_SECRETS)
            return err_set(e, ERR_LIMIT, "too many secrets");
        if (secret_copy(s, r->ch->rows[i].key, &r->secrets[n++], e) != 0)
            return e->code;
    }
    return 0;
}

struct receiver *receiver_open(const struct section *s, struct tally *t, struct log *log, struct err *e)
{
    struct receiver *r = calloc(1, sizeof *r);
    struct err why = {0};

    if (!r || !(r->ch = receiver_channel(s))) {
        err_set(e, r ? ERR_CONFIG : ERR_NOMEM, "receiver %s: %s", section_label(s),
                r ? "no such type" : "no memory");
        free(r);
        return NULL;
    }
    atomic_init(&r->refs, 1);
    r->tally = t;
    r->timeout = has_row(r->ch, "timeout") ? option_span(s, "timeout") : span_s(10);
    if (has_row(r->ch, "ca"))
        r->ca = option_copy(s, "ca");
    if (has_row(r->ch, "cert"))
        r->cert = option_copy(s, "cert");
    if (has_row(r->ch, "key"))
        r->key = option_copy(s, "key");
    if (has_row(r->ch, "proxy"))
        r->proxy = option_word_copy(s, "proxy", 0);
    if (read_secrets(r, s, &why) == 0 && (r->target = r->ch->open(s, log, &why)))
        return r;
    err_set(e, why.code ? why.code : ERR_NOMEM, "receiver %s: %s", section_label(s), why.text);
    receiver_close(r);
    return NULL;
}

static int check_files(const struct section *s, struct buf *report, struct err *e)
{
    const struct channel *ch = receiver_channel(s);
    struct receiver *r;
    struct err why = {0};
    char *text = NULL;
    bool all = true; /* secrets can be read */

    for (size_t i = 0; i < ch->n_rows; i++) {
        const char *key = ch->rows[i].key;

        if (ch->rows[i].type != OPT_SECRET || !option_set(s, key))
            continue;
        if (option_secret_check(s, key, &why) != 0) /* a credential outside of the service passes */
            return config_complain(report, s, key, e, "%s", why.text);
        all = all && secret_copy(s, key, &text, NULL) == 0;
        free_secret(&text);
    }
    r = all ? receiver_open(s, NULL, NULL, &why) : NULL;
    if (all && !r)
        return config_complain(report, s, NULL, e, "%s", why.text);
    if (r)
        receiver_close(r);
    return 0;
}

int receiver_check_files(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = 0;

    for (size_t i = 0; (s = config_named(c, receiver_section_name, i)); i++)
        if (receiver_channel(s) && check_files(s, report, e) != 0)
            rc = ERR_CONFIG;
    return rc;
}

void receiver_close(struct receiver *r)
{
    http_client_free(&r->client);
    workers_free(&r->workers);
    if (r->in_workers)
        return;
    r->ch->close(&r->target);
    for (size_t i = 0; i < TELLING_SECRETS; i++)
        free_secret(&r->secrets[i]);
    free(r->ca);
    free(r->cert);
    free(r->key);
    free(r->proxy);
    free(r);
}

struct http_client *receiver_client(struct receiver *r, struct loop *l, struct err *e)
{
    if (!r->client)
        r->client = http_client_new(l,
                                    &(struct http_client_params){.ca = r->ca,
                                                                 .cert = r->cert,
                                                                 .key = r->key,
                                                                 .proxy = r->proxy,
                                                                 .max_connections = TELLING_HTTP},
                                    e);
    return r->client;
}

struct workers *receiver_workers(struct receiver *r, struct loop *l, struct err *e)
{
    if (!r->workers)
        r->workers = workers_new(l, TELLING_WORKERS, e);
    return r->workers;
}

void receiver_scrub(const struct receiver *r, char *text)
{
    for (size_t i = 0; i < TELLING_SECRETS && r->secrets[i]; i++)
        secret_scrub(text, r->secrets[i]);
}
