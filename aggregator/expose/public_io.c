/* The public listener: what health checkers of a DNS service may ask, and nothing else. On the serve thread.
 *
 *   GET /fo/v1/SERVICE/primary-off    200 when users are not to be sent to the service's home, else 503
 *
 * An inverted health check of the primary's record stands behind it ("standby takes over primary"): while this answers 503,
 * or not at all, the check reads healthy and traffic stays where it is; so its death moves nobody before a move, and after
 * one it has to live at more than one aggregator. The answer comes from what was committed, and never goes back to an older
 * epoch than this machine has answered from before. */
#include <stdio.h>
#include <string.h>

#include "aggregator/expose/serve_private.h"

static struct tls_files files_of(const struct section *s)
{
    return (struct tls_files){.cert = option_text(s, "cert"), .key = option_text(s, "key")};
}

/* SERVICE of /fo/v1/SERVICE/primary-off. */
static bool service_of(const char *path, char out[128])
{
    static const char before[] = "/fo/v1/", after[] = "/primary-off";
    const char *name, *end;

    if (strncmp(path, before, sizeof before - 1) != 0)
        return false;
    name = path + sizeof before - 1;
    end = strchr(name, '/');
    if (!end || end == name || strcmp(end, after) != 0 || end - name >= 128)
        return false;
    (void)snprintf(out, 128, "%.*s", (int)(end - name), name);
    return true;
}

static void answer(struct http_exchange *x, int status, const char *text)
{
    static const struct http_header headers[] = {{"Cache-Control", "no-store"}};

    http_answer(x, status, "text/plain", headers, 1, text, strlen(text));
}

static void on_public(void *arg, struct http_exchange *x)
{
    struct serve *s = arg;
    const char *method = http_method(x);
    char service[128];
    int off;

    s->public_requests++;
    if (!service_of(http_path(x), service))
        answer(x, 404, "not found\n");
    else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        answer(x, 405, "GET or HEAD\n");
    else if (!s->p.primary_off || (off = s->p.primary_off(s->p.arg, service)) < 0)
        answer(x, 404, "not found\n");
    else
        answer(x, off ? 200 : 503, off ? "off\n" : "on\n");
}

int public_listen(struct serve *s, const struct config *c, struct err *e)
{
    const struct section *o = config_section(c, "public");
    const struct tls_files files = files_of(o);
    struct http_server_params p = {.listen = option_text(o, "listen"),
                                   .max_connections = (unsigned)option_int(o, "max_connections"),
                                   .max_per_address = 32,
                                   .max_header = 4096,
                                   .max_body = 1};

    if (!*p.listen)
        return 0;
    if (files.cert) {
        s->public_tls = tls_server_new(&files, e);
        if (!s->public_tls)
            return err_prefix(e, "[public]");
        p.tls = s->public_tls;
    }
    s->public = http_server_new(s->loop, &p, on_public, s, e);
    return s->public ? 0 : err_prefix(e, "[public] listen = %s", p.listen);
}

void public_close(struct serve *s)
{
    http_server_free(&s->public);
    tls_server_free(&s->public_tls);
}

int public_reload(struct serve *s, const struct config *c, struct err *e)
{
    const struct tls_files files = files_of(config_section(c, "public"));

    return s->public_tls && files.cert ? tls_server_reload(s->public_tls, &files, e) : 0;
}
