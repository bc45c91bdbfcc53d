/* The listener of the agent's page: plain HTTP on loopback, reading only. See page.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/page.h"
#include "common/net/host.h"
#include "common/net/http_server.h"

enum { PAGE_MAX = 256 << 20, CONNECTIONS = 64 };

struct pages {
    struct http_server *server;
    char listen[300];
    void (*fill)(void *arg, struct page *p);
    void *arg;
};

static void say(struct http_exchange *x, int status, const char *text)
{
    const struct http_header allow = {"Allow", "GET, HEAD"};

    http_answer(x, status, "text/plain; charset=utf-8", &allow, status == 405, text, strlen(text));
}

static void show(const struct pages *p, struct http_exchange *x)
{
    struct arena arena;
    struct page page = {.arena = &arena};
    struct buf out;
    struct err e;

    arena_init(&arena, NULL, 0);
    buf_init(&out, NULL, PAGE_MAX);
    p->fill(p->arg, &page);
    if (page_render(&page, &out, &e) == 0)
        http_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, 0, out.data, out.len);
    else
        say(x, 500, "no memory for all series\n");
    buf_free(&out);
    arena_free(&arena);
}

static void handle(void *arg, struct http_exchange *x)
{
    const struct pages *p = arg;
    const char *path = http_path(x), *method = http_method(x);
    bool metrics = strcmp(path, "/metrics") == 0;

    if (!host_is_ours(http_header(x, "Host"), p->listen))
        say(x, 403, "this is not a name of this listener\n");
    else if (!metrics && strcmp(path, "/healthz") != 0)
        say(x, 404, "not found\n");
    else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        say(x, 405, "GET\n");
    else if (metrics)
        show(p, x);
    else
        say(x, 200, "ok\n");
}

struct pages *pages_new(struct loop *l, const char *listen, void (*fill)(void *arg, struct page *p),
                        void *arg, struct err *e)
{
    struct http_server_params params = {.listen = listen, .max_connections = CONNECTIONS};
    struct pages *p = calloc(1, sizeof *p);

    if (!p) {
        (void)err_set(e, ERR_NOMEM, "no memory to listen on %s", listen);
        return NULL;
    }
    *p = (struct pages){.fill = fill, .arg = arg};
    (void)snprintf(p->listen, sizeof p->listen, "%s", listen);
    p->server = http_server_new(l, &params, handle, p, e);
    if (!p->server)
        pages_free(&p);
    return p;
}

void pages_free(struct pages **pp)
{
    struct pages *p = *pp;

    if (!p)
        return;
    http_server_free(&p->server);
    free(p);
    *pp = NULL;
}
