/* What the serve thread answers from a view: pages, API, console. Bodies are handed
 * over rather than copied, and counted until their readers have taken them. */
#include <string.h>

#include "aggregator/expose/api.h"
#include "aggregator/expose/console.h"
#include "aggregator/expose/gzip.h"
#include "aggregator/expose/page.h"
#include "aggregator/expose/serve_private.h"

enum { PAGE_MOST = 512 << 20, WORTH_GZIP = 1024 };

struct sending {
    struct serve *s;
    struct buf body;
};

static void sent(void *arg)
{
    struct sending *d = arg;

    d->s->sending -= d->body.room;
    buf_free(&d->body);
    mem_free(NULL, d, sizeof *d);
}

/* Takes the body over, and leaves it empty. */
static void send_body(struct serve *s, struct http_exchange *x, int status, const char *type,
                      const struct http_header *extra, size_t n, struct buf *body)
{
    struct sending *d = mem_alloc(NULL, sizeof *d);

    if (!d) {
        http_answer(x, status, type, extra, n, body->data, body->len);
        return;
    }
    *d = (struct sending){s, *body};
    buf_init(body, NULL, PAGE_MOST);
    s->sending += d->body.room;
    http_answer_taking(x, status, type, extra, n, d->body.data, d->body.len, sent, d);
}

static void answer(struct serve *s, struct http_exchange *x, int status, const char *type, struct buf *body)
{
    static const struct http_header gzip[] = {{"Content-Encoding", "gzip"},
                                              {"Vary", "Accept, Accept-Encoding"},
                                              {"X-Content-Type-Options", "nosniff"}};
    static const struct http_header plain[] = {{"Vary", "Accept, Accept-Encoding"},
                                               {"X-Content-Type-Options", "nosniff"}};
    struct buf small;

    buf_init(&small, NULL, PAGE_MOST);
    if (body->len >= WORTH_GZIP && gzip_wanted(http_header(x, "Accept-Encoding")) &&
        gzip_bytes(body->data, body->len, &small))
        send_body(s, x, status, type, gzip, 3, &small);
    else
        send_body(s, x, status, type, plain, 2, body);
    buf_free(&small);
}

void answer_error(struct http_exchange *x, int status, const char *reason, const char *text)
{
    static const struct http_header retry[] = {{"Retry-After", "1"}};
    struct buf out;

    buf_init(&out, NULL, 4096);
    (void)api_error(&out, status, reason, "%s", text);
    http_answer(x, status, "application/json", retry, status == 503 ? 1 : 0, out.data, out.len);
    buf_free(&out);
}

void answer_text(struct http_exchange *x, int status, const char *text)
{
    http_answer(x, status, "text/plain; charset=utf-8", NULL, 0, text, strlen(text));
}

static int read_param(void *arg, const char *name, size_t i, char *out, size_t cap)
{
    return http_param(arg, name, i, out, cap);
}

static int read_selection(struct http_exchange *x, struct page_selection *sel, struct selector **match,
                          struct err *e)
{
    char text[API_PARAM];
    int rc;

    while ((rc = http_param(x, "match[]", sel->n_match, text, sizeof text)) == 0) {
        if (sel->n_match == SELECT_MAX)
            return err_set(e, ERR_LIMIT, "match[]: at most %d selectors", SELECT_MAX);
        match[sel->n_match] = selector_new(text, e);
        if (!match[sel->n_match])
            return err_prefix(e, "match[]");
        sel->n_match++;
    }
    if (rc != ERR_NOTFOUND)
        return err_set(e, rc, "match[]: malformed or longer than %d bytes", API_PARAM - 1);
    rc = http_param(x, "shard", 0, text, sizeof text);
    if (rc == ERR_NOTFOUND)
        return 0;
    if (rc || page_shard(text, &sel->shard, &sel->shards) != 0)
        return err_set(e, ERR_MALFORMED, "shard: i/n with 0 <= i < n <= 1024 is allowed");
    return 0;
}

static void show_hosts(struct serve *s, struct http_exchange *x, const struct view *v, struct buf *out)
{
    enum page_format f = page_negotiate(http_header(x, "Accept"));
    struct selector *match[SELECT_MAX] = {NULL};
    struct page_selection sel = {.match = (const struct selector *const *)match,
                                 .max_series = s->hosts_max_series};
    struct err e = {0};

    if (read_selection(x, &sel, match, &e) != 0)
        answer_error(x, 400, "parameter", e.text);
    else if (page_hosts(v, f, &sel, out, &e) != 0)
        answer_error(x, 503, "limit", e.text);
    else
        answer(s, x, 200, page_content_type(f), out);
    for (size_t i = 0; i < sel.n_match; i++)
        selector_free(&match[i]);
}

void show(struct serve *s, struct http_exchange *x, const struct view *v)
{
    static const char api[] = "/api/v1/";
    const char *path = http_path(x);
    struct api_query q = {read_param, x};
    struct buf out;
    struct err e = {0};

    buf_init(&out, NULL, PAGE_MOST);
    if (strcmp(path, "/metrics") == 0) {
        enum page_format f = page_negotiate(http_header(x, "Accept"));

        if (page_own(v, f, &out, &e) != 0)
            answer_error(x, 503, "limit", e.text);
        else
            answer(s, x, 200, page_content_type(f), &out);
    } else if (strcmp(path, "/metrics/hosts") == 0) {
        show_hosts(s, x, v, &out);
    } else if (strcmp(path, "/") == 0) {
        console_page(v, &out);
        answer(s, x, 200, "text/html; charset=utf-8", &out);
    } else {
        int status = api_answer(v, path + sizeof api - 1, &q, &out);

        answer(s, x, status, "application/json", &out);
    }
    buf_free(&out);
}
