/* sbctl's connection to an aggregator: one loop that runs while a request is under way. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "aggregator/ctl/ctl.h"
#include "common/net/http_client.h"
#include "common/net/loop.h"

enum { ANSWER_MOST = 64 << 20 };

struct ctl {
    struct loop *loop;
    struct http_client *client;
    const struct ctl_options *o;
    char authorization[1100];
    /* of the request under way */
    struct buf *out;
    struct err *e;
    int rc;
    char leader[600]; /* of the last answer that was refused */
};

/* --token file:PATH, as the daemons take it. */
static int read_token(struct ctl *c, const char *token, struct err *e)
{
    char text[1024] = "";
    size_t n;
    FILE *f;

    if (strncmp(token, "file:", 5) != 0)
        return err_set(e, ERR_CONFIG,
                       "--token: expected file:PATH, so that no secret stands in a command line");
    f = fopen(token + 5, "re");
    if (!f)
        return err_sys(e, ERR_IO, errno, "--token: %s", token + 5);
    n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = 0;
    n = strcspn(text, "\r\n");
    if (!n || n >= sizeof text - 1)
        return err_set(e, ERR_IO, "--token: %s: expected one line of 1 to %zu bytes", token + 5,
                       sizeof text - 2);
    text[n] = 0;
    (void)snprintf(c->authorization, sizeof c->authorization, "Bearer %s", text);
    return 0;
}

struct ctl *ctl_new(const struct ctl_options *o, struct err *e)
{
    struct http_client_params p = {.ca = o->ca, .cert = o->cert, .key = o->key, .user_agent = "sbctl"};
    struct ctl *c = mem_alloc(NULL, sizeof *c);

    if (!c) {
        err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    c->o = o;
    c->loop = loop_new(e);
    c->client = c->loop ? http_client_new(c->loop, &p, e) : NULL;
    if (!c->client || (o->token && read_token(c, o->token, e) != 0))
        ctl_free(&c);
    return c;
}

void ctl_free(struct ctl **c)
{
    if (!*c)
        return;
    http_client_free(&(*c)->client);
    loop_free(&(*c)->loop);
    mem_free(NULL, *c, sizeof **c);
    *c = NULL;
}

const char *ctl_leader(const struct ctl *c)
{
    return c->leader;
}

static void done(void *arg, const struct http_result *r)
{
    struct ctl *c = arg;

    loop_stop(c->loop);
    buf_clear(c->out);
    if (r->code && !c->o->url && strcmp(r->reason, "connect") == 0) {
        c->rc = err_set(c->e, r->code,
                        "nobody listens there: is the aggregator running, and may you open its socket? "
                        "(--socket, --url)");
        return;
    }
    if (r->code) {
        c->rc = err_set(c->e, r->code, "%s", r->error);
        return;
    }
    buf_put(c->out, r->body.p, r->body.n);
    if (r->status / 100 != 2) {
        cJSON *o = cJSON_ParseWithLength((const char *)r->body.p, r->body.n);

        c->rc =
            err_set(c->e, r->status == 404 ? ERR_NOTFOUND : ERR_STATE, "%d: %s", r->status,
                    o && *json_text(o, "error") ? json_text(o, "error") : "the answer has no explanation");
        (void)snprintf(c->leader, sizeof c->leader, "%s", o ? json_text(o, "holder_url") : "");
        cJSON_Delete(o);
    }
}

int ctl_send(struct ctl *c, const char *method, const char *path, const char *json, struct buf *out,
             struct err *e)
{
    struct http_header h[] = {{"Content-Type", "application/json"}, {"Authorization", c->authorization}};
    struct http_request r = {.method = method,
                             .headers = h,
                             .n_headers = *c->authorization ? 2 : 1,
                             .body = json,
                             .body_len = json ? strlen(json) : 0,
                             .timeout =
                                 span_s(strcmp(method, "GET") == 0 ? 15 : 45), /* an order waits 30 s */
                             .max_answer = ANSWER_MOST,
                             .unix_socket = c->o->url ? NULL : c->o->socket};
    struct buf url;
    const char *base = c->o->url ? c->o->url : "http://localhost";
    size_t n = strlen(base);

    buf_init(&url, NULL, 16384);
    buf_put(&url, base, n && base[n - 1] == '/' ? n - 1 : n);
    buf_str(&url, path);
    r.url = buf_text(&url);
    c->out = out;
    c->e = e;
    c->rc = 0;
    if (!http_client_send(c->client, &r, done, c, e))
        c->rc = e->code;
    else if (loop_run(c->loop) != 0)
        c->rc = err_set(e, ERR_IO, "the loop failed");
    if (c->rc && c->rc != ERR_NOTFOUND && c->rc != ERR_STATE)
        (void)err_prefix(e, "%s", c->o->url ? c->o->url : c->o->socket);
    buf_free(&url);
    return c->rc;
}

int ctl_get(struct ctl *c, const char *path, struct buf *out, struct err *e)
{
    return ctl_send(c, "GET", path, NULL, out, e);
}

int ctl_post(struct ctl *c, const char *path, struct buf *out, struct err *e)
{
    return ctl_send(c, "POST", path, NULL, out, e);
}

cJSON *ctl_json(struct ctl *c, const char *path, struct err *e)
{
    struct buf out;
    cJSON *o = NULL;

    buf_init(&out, NULL, ANSWER_MOST);
    if (ctl_get(c, path, &out, e) == 0) {
        o = cJSON_ParseWithLength((const char *)out.data, out.len);
        if (!o)
            err_set(e, ERR_MALFORMED, "the answer to %s is not JSON", path);
    }
    buf_free(&out);
    return o;
}

bool ctl_terminal(int *columns, int *rows)
{
    struct winsize w = {0};

    if (!isatty(STDOUT_FILENO))
        return false;
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
    *columns = w.ws_col ? w.ws_col : 80;
    *rows = w.ws_row ? w.ws_row : 24;
    return true;
}

void ctl_print(const struct buf *b)
{
    (void)fwrite(b->data, 1, b->len, stdout);
    (void)fflush(stdout);
}
