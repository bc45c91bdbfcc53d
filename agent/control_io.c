/* The agent's unix socket: see control_io.h. Who may open it is told by
 * the file's mode; what was asked for is logged with the peer's uid. */
#include "agent/control_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guard/guards.h"
#include "common/net/http_server.h"

struct control {
    struct http_server *server;
    struct agent *agent;
    struct spool *spool;
    struct log *log;
    struct http_exchange *waiting; /* for the spool's thread: one at a time */
};

static void answer(struct http_exchange *x, int status, const char *type, struct buf *b)
{
    http_answer(x, status, type, NULL, 0, b->data, b->len);
    buf_free(b);
}

static void say(struct http_exchange *x, int status, const char *text)
{
    http_answer(x, status, "text/plain; charset=utf-8", NULL, 0, text, strlen(text));
}

static void show(struct control *c, struct http_exchange *x, const char *path)
{
    bool json = strcmp(path, "/status.json") == 0;
    struct status s;
    struct buf b;
    int rc;

    agent_status(c->agent, &s);
    buf_init(&b, NULL, 1 << 20);
    if (json)
        rc = status_json(&s, &b);
    else if (strcmp(path, "/spool") == 0)
        rc = status_spool_text(&s.spool, s.now, &b);
    else
        rc = status_text(&s, &b);
    answer(x, rc == 0 ? 200 : 500, json ? "application/json" : "text/plain; charset=utf-8", &b);
}

static void verified(void *arg, const struct spool_answer *a)
{
    struct control *c = arg;
    struct http_exchange *x = c->waiting;
    char text[512];

    c->waiting = NULL;
    if (a->code == 0)
        (void)snprintf(text, sizeof text, "%llu batches, all whole\n", (unsigned long long)a->checked);
    else
        (void)snprintf(text, sizeof text, "after %llu batches: %s\n", (unsigned long long)a->checked,
                       a->err.text);
    say(x, a->code == 0 ? 200 : 500, text);
}

static void listed(void *arg, const struct spool_answer *a)
{
    struct control *c = arg;
    struct http_exchange *x = c->waiting;
    char text[512];

    c->waiting = NULL;
    if (a->code == 0 && a->bytes.n) {
        http_answer(x, 200, "text/plain; charset=utf-8", NULL, 0, a->bytes.p, a->bytes.n);
        return;
    }
    (void)snprintf(text, sizeof text, "%s\n", a->code == 0 ? "no dead letters are kept" : a->err.text);
    say(x, a->code == 0 ? 200 : 500, text);
}

static void dropped(void *arg, const struct spool_answer *a)
{
    struct control *c = arg;
    struct http_exchange *x = c->waiting;

    (void)a;
    c->waiting = NULL;
    say(x, 200, "the spool is empty; what was in it is counted as dropped\n");
}

/* ---- guards ---- */

static void show_guards(struct control *c, struct http_exchange *x, bool json)
{
    struct buf b;
    int rc = 0;

    buf_init(&b, NULL, 1 << 20);
    if (json)
        rc = guards_json(agent_guards(c->agent), &b);
    else
        guards_text(agent_guards(c->agent), &b);
    answer(x, rc == 0 ? 200 : 500, json ? "application/json" : "text/plain; charset=utf-8", &b);
}

static void checked(void *arg, bool may, const char *why)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%s: %s\n", may ? "yes" : "no", why);
    say(arg, may ? 200 : 409, text);
}

static void check_guard(struct control *c, struct http_exchange *x)
{
    char name[GUARD_NAME];

    if (http_param(x, "name", 0, name, sizeof name) != 0)
        say(x, 400, "name= is needed\n");
    else
        guards_ask(agent_guards(c->agent), name, checked, x);
}

static bool of_guards(struct control *c, struct http_exchange *x, const char *path)
{
    bool check = strcmp(path, "/guards/check") == 0, json = strcmp(path, "/guards.json") == 0;

    if (!check && !json && strcmp(path, "/guards") != 0)
        return false;
    if (strcmp(http_method(x), "GET") != 0)
        say(x, 405, "GET\n");
    else if (check)
        check_guard(c, x);
    else
        show_guards(c, x, json);
    return true;
}

static void act(struct control *c, struct http_exchange *x, const char *path)
{
    bool drop = strcmp(path, "/spool/drop") == 0, list = strcmp(path, "/spool/dead") == 0;
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;
    int rc;

    if (c->waiting) {
        say(x, 503, "another request is being carried out\n");
        return;
    }
    (void)http_peer_cred(x, &uid, &gid, &pid);
    LOG(c->log, LOG_INFO, "control", "asked for", kv_s("what", path), kv_u("uid", uid), kv_i("pid", pid));
    c->waiting = x;
    rc = drop   ? spool_drop_all(c->spool, SPOOL_DROP_OPERATOR, dropped, c)
         : list ? spool_dead(c->spool, listed, c)
                : spool_verify(c->spool, verified, c);
    if (rc != 0) {
        c->waiting = NULL;
        say(x, 500, "no memory\n");
    }
}

static void handle(void *arg, struct http_exchange *x)
{
    static const char *const reads[] = {"/status", "/status.json", "/spool"};
    static const char *const acts[] = {"/spool/verify", "/spool/dead", "/spool/drop"};
    const char *path = http_path(x), *method = http_method(x);

    if (of_guards(arg, x, path))
        return;
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        if (strcmp(path, reads[i]) != 0)
            continue;
        if (strcmp(method, "GET") == 0)
            show(arg, x, path);
        else
            say(x, 405, "GET\n");
        return;
    }
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(path, acts[i]) != 0)
            continue;
        if (strcmp(method, "POST") == 0)
            act(arg, x, path);
        else
            say(x, 405, "POST\n");
        return;
    }
    say(x, 404, "not found\n");
}

struct control *control_new(const char *path, struct agent *a, struct spool *spool, struct loop *l,
                            struct log *log, struct err *e)
{
    struct control *c = calloc(1, sizeof *c);
    char listen[300];
    struct http_server_params p = {.listen = listen, .unix_mode = 0660, .max_connections = 16};

    if (!c) {
        (void)err_set(e, ERR_NOMEM, "no memory for the control socket");
        return NULL;
    }
    *c = (struct control){.agent = a, .spool = spool, .log = log};
    (void)snprintf(listen, sizeof listen, "unix:%.250s", path);
    c->server = http_server_new(l, &p, handle, c, e);
    if (!c->server)
        control_free(&c);
    return c;
}

void control_free(struct control **cp)
{
    struct control *c = *cp;

    if (!c)
        return;
    http_server_free(&c->server);
    free(c);
    *cp = NULL;
}
