/* Requests that the decide thread answers: see desk.h. Reading is for all who may read; acting is for the unix socket and
 * for TLS with the role operator, and needs a reason and a request id, as parameters or in the JSON of the body. The page
 * of signed links needs neither: the signature says what may be done, and a GET never does anything, since mail scanners
 * follow links. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/expose/pages.h"
#include "aggregator/expose/serve_private.h"

enum { ASK_ARENA = 2 << 20, PAGE_MOST = 16 << 20 };

struct ask {
    struct serve *s;
    struct http_exchange *x;
    struct arena arena;
    struct desk_request r;
    const struct page_kind *page; /* to be shown to people; NULL: as it came */
};

static void ask_free(struct ask *a)
{
    arena_free(&a->arena);
    mem_free(NULL, a, sizeof *a);
}

/* Another site may not put our pages into a frame, and nothing of a page is kept by browsers. */
static void answer_page(struct http_exchange *x, int status, const char *type, struct bytes body)
{
    static const struct http_header headers[] = {
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Cache-Control", "no-store"},
        {"Referrer-Policy", "no-referrer"},
        {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}};

    http_answer(x, status, type, headers, sizeof headers / sizeof *headers, body.p, body.n);
}

static void answered(void *arg, int status, const char *content_type, struct bytes body)
{
    struct ask *a = arg;
    struct serve *s = a->s;
    struct buf page;

    if (a->page && status == 200) {
        buf_init(&page, NULL, PAGE_MOST);
        a->page->show(body, &page);
        if (page.full)
            answer_error(a->x, 503, "limit", "the page is too large: ask the API with limit=");
        else
            answer_page(a->x, 200, "text/html; charset=utf-8", buf_bytes(&page));
        buf_free(&page);
    } else {
        answer_page(a->x, status, content_type, body);
    }
    ask_free(a);
    s->acting--;
    serve_look_drained(s);
}

/* From the query or the body; false when it is absent or too long. */
static bool actor_text(const struct ask *a, const cJSON *body, const char *name, char *out, size_t cap)
{
    const char *text = query_get(&a->r.params, name);

    if (!text)
        text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, name));
    return text && *text && (size_t)snprintf(out, cap, "%s", text) < cap;
}

static bool read_actor(struct ask *a)
{
    struct serve_actor *who = &a->r.actor;
    cJSON *body;
    bool good;

    if (!access_may_act(a->x, who->who, sizeof who->who)) {
        answer_error(a->x, 403, "identity", "acting needs the unix socket, or TLS with the role operator");
        return false;
    }
    body = a->r.body.n ? cJSON_ParseWithLength((const char *)a->r.body.p, a->r.body.n) : NULL;
    good = (body || !a->r.body.n) && actor_text(a, body, "reason", who->reason, sizeof who->reason) &&
           actor_text(a, body, "request_id", who->request_id, sizeof who->request_id);
    if (!good)
        answer_error(a->x, 400, "parameter",
                     a->r.body.n && !body ? "the body is not JSON"
                                          : "reason (to 255 bytes) and request_id (to 127 bytes) are needed");
    cJSON_Delete(body);
    return good;
}

static bool read_request(struct ask *a, const char *path, bool acting)
{
    const char *query = http_query(a->x);
    struct bytes body = http_body(a->x);
    int rc = query_read(query, strlen(query), &a->arena, &a->r.params);

    if (rc) {
        answer_error(a->x, 400, "parameter", "a parameter cannot be read, or there are too many");
        return false;
    }
    a->r.path = arena_text(&a->arena, path, strlen(path));
    a->r.query = arena_text(&a->arena, query, strlen(query));
    a->r.body = (struct bytes){(const uint8_t *)arena_text(&a->arena, (const char *)body.p, body.n), body.n};
    if (!a->r.path || !a->r.query || !a->r.body.p) {
        answer_error(a->x, 503, "unavailable", "no memory");
        return false;
    }
    return !acting || read_actor(a);
}

static void ask_desk(struct serve *s, struct http_exchange *x, const char *path, const struct page_kind *page,
                     bool acting)
{
    struct ask *a = mem_alloc(NULL, sizeof *a);

    if (!a) {
        answer_error(x, 503, "unavailable", "no memory");
        return;
    }
    *a = (struct ask){.s = s, .x = x, .page = page};
    arena_init(&a->arena, NULL, ASK_ARENA);
    a->r.method = strcmp(http_method(x), "HEAD") == 0     ? "GET"
                  : strcmp(http_method(x), "POST") == 0   ? "POST"
                  : strcmp(http_method(x), "DELETE") == 0 ? "DELETE"
                                                          : "GET";
    if (!read_request(a, path, acting)) {
        ask_free(a);
        return;
    }
    s->acting++;
    s->p.desk(s->p.arg, &a->r, s->loop, answered, a);
}

bool serve_ask(struct serve *s, struct http_exchange *x)
{
    static const char api[] = "/api/v1/";
    const char *method = http_method(x), *path = http_path(x);
    bool reading = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool acting = strcmp(method, "POST") == 0 || strcmp(method, "DELETE") == 0;
    const struct page_kind *page = page_find(path);

    if (!s->p.desk)
        return false;
    if (strcmp(path, "/ack") == 0 && (reading || strcmp(method, "POST") == 0)) {
        ask_desk(s, x, "ack", NULL, false);
        return true;
    }
    if (page && reading) {
        ask_desk(s, x, page->resource, page, false);
        return true;
    }
    if (strncmp(path, api, sizeof api - 1) != 0 || !desk_has(path + sizeof api - 1))
        return false;
    if (!reading && !acting)
        answer_error(x, 405, "method", "GET, POST and DELETE are allowed here");
    else
        ask_desk(s, x, path + sizeof api - 1, NULL, acting);
    return true;
}
