/* The serve thread: see serve.h. Requests that need a view wait in a list; one question to the ingest thread
 * is under way at a time, and its answer serves all that wait. A question without an answer for ten seconds
 * ends them with 503; so does a page while too much of earlier ones waits for readers that are slow to take it. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/expose/access.h"
#include "aggregator/expose/api.h"
#include "aggregator/expose/console.h"
#include "aggregator/expose/gzip.h"
#include "aggregator/expose/page.h"
#include "aggregator/expose/serve.h"
#include "common/daemon/daemon.h"
#include "common/net/http_server.h"
#include "version.h"

enum { PAGE_MOST = 512 << 20, SENDING_MOST = 256 << 20, WAITING_MOST = 256, WORTH_GZIP = 1024 };

struct waiting {
    struct http_exchange *x;
    struct mono since;
    struct waiting *next;
};

struct serve {
    struct serve_params p;
    struct loop *loop;
    struct http_server *tcp, *local;
    struct tls_server *tls;
    struct access access;
    uint64_t hosts_max_series;
    char region[128], role[32];
    struct timer *watch;
    struct waiting *head, **tail;
    unsigned n_waiting, acting;
    bool asked, draining;
    struct loop *drain_loop; /* borrowed; NULL: told already, or nobody waits */
    void (*drained)(void *arg);
    void *drain_arg;
    struct mono asked_at;
    size_t sending; /* memory of pages that their readers have not taken yet */
    uint64_t scrapes, shed, refused_host;
    struct span worst_page;
    struct complaint late;
    pthread_t thread;
    bool running;
};

/* ---- answers ---- */

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

static void answer_error(struct http_exchange *x, int status, const char *reason, const char *text)
{
    static const struct http_header retry[] = {{"Retry-After", "1"}};
    struct buf out;

    buf_init(&out, NULL, 4096);
    (void)api_error(&out, status, reason, "%s", text);
    http_answer(x, status, "application/json", retry, status == 503 ? 1 : 0, out.data, out.len);
    buf_free(&out);
}

static void answer_text(struct http_exchange *x, int status, const char *text)
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

static void show(struct serve *s, struct http_exchange *x, const struct view *v)
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

/* ---- views ---- */

static void own_metrics(struct serve *s, struct sink *out)
{
    static const struct metric_row scrapes = {"securebase_aggregator_http_requests_total",
                                              METRIC_COUNTER,
                                              1,
                                              1,
                                              "",
                                              "Requests answered from a view."};
    static const struct metric_row shed = {
        "securebase_aggregator_http_shed_total",
        METRIC_COUNTER,
        1,
        1,
        "",
        "Requests ended with 503: no view came in time, too many waited, or readers were too slow."};
    static const struct metric_row hosts = {
        "securebase_aggregator_http_refused_total",         METRIC_COUNTER, 1, 1, "",
        "Requests refused for their Host or Origin header."};
    static const struct metric_row worst = {
        "securebase_aggregator_http_page_seconds_max",           METRIC_GAUGE, 1, 1, "",
        "Longest time spent on making one page since the start."};
    static const struct metric_row connections = {
        "securebase_aggregator_http_connections",   METRIC_GAUGE, 1, 1, "",
        "Connections open to the reading listener."};
    static const struct metric_row sending = {"securebase_aggregator_http_sending_bytes",
                                              METRIC_GAUGE,
                                              1,
                                              1,
                                              "",
                                              "Memory of pages that their readers have not taken yet."};

    sink_uint(out, &scrapes, NULL, s->scrapes);
    sink_uint(out, &shed, NULL, s->shed);
    sink_uint(out, &hosts, NULL, s->refused_host);
    sink_real(out, &worst, NULL, span_seconds(s->worst_page));
    sink_uint(out, &sending, NULL, s->sending);
    sink_uint(out, &connections, NULL, s->tcp ? http_server_stats(s->tcp).connections : 0);
}

static void end_waiting(struct serve *s, struct gathered *g)
{
    struct view v = {.version = SB_VERSION,
                     .revision = SB_REVISION,
                     .region = s->region,
                     .role = s->role,
                     .now = clock_wall(),
                     .started = s->p.started,
                     .ready = s->p.ready(s->p.arg)};
    struct waiting *w = s->head;

    s->head = NULL;
    s->tail = &s->head;
    s->n_waiting = 0;
    if (g && g->snap) {
        own_metrics(s, &g->self.sink);
        if (s->p.more)
            s->p.more(s->p.arg, &g->self.sink);
        v.snap = g->snap;
        v.self = g->self.v;
        v.n_self = g->self.n;
    }
    while (w) {
        struct waiting *next = w->next;
        struct mono from = clock_mono();
        struct span took;

        if (v.snap && s->sending > SENDING_MOST) {
            s->shed++;
            answer_error(w->x, 503, "overload", "too much waits for readers that are slow to take it");
        } else if (v.snap) {
            s->scrapes++;
            show(s, w->x, &v);
        } else {
            s->shed++;
            answer_error(w->x, 503, "unavailable", "no view of the series could be made in time");
        }
        took = mono_sub(clock_mono(), from);
        if (took.ns > s->worst_page.ns)
            s->worst_page = took;
        mem_free(NULL, w, sizeof *w);
        w = next;
    }
}

static void ask(struct serve *s);

static void look_drained(struct serve *s)
{
    if (!s->drain_loop || s->asked || s->acting)
        return;
    (void)loop_post(s->drain_loop, s->drained, s->drain_arg);
    s->drain_loop = NULL;
}

static void view_came(void *arg, struct gathered *g)
{
    struct serve *s = arg;

    s->asked = false;
    if (s->late.active)
        log_recovered(s->p.log, &s->late, "serve", "views come again");
    end_waiting(s, g);
    gathered_free(&g);
    if (s->head)
        ask(s);
    look_drained(s);
}

static void ask(struct serve *s)
{
    s->asked_at = loop_mono(s->loop);
    s->asked = s->p.ask(s->p.arg, s->loop, view_came, s) == 0;
    if (!s->asked)
        end_waiting(s, NULL);
}

static void watch(void *arg)
{
    struct serve *s = arg;
    struct mono now = loop_mono(s->loop);

    if (s->asked && s->head && mono_sub(now, s->asked_at).ns > span_s(10).ns) {
        COMPLAIN(s->p.log, &s->late, now, LOG_WARN, "serve", "no view of the series for 10 s",
                 kv_u("waiting", s->n_waiting));
        end_waiting(s, NULL);
    }
    timer_set(s->watch, span_s(1));
}

/* ---- requests ---- */

static bool known_path(const char *path)
{
    return strcmp(path, "/metrics") == 0 || strcmp(path, "/metrics/hosts") == 0 || strcmp(path, "/") == 0 ||
           strncmp(path, "/api/v1/", 8) == 0;
}

static void wait_for_view(struct serve *s, struct http_exchange *x)
{
    struct waiting *w;

    if (!s->p.ready(s->p.arg)) {
        answer_error(x, 503, "unavailable", "the journal is being replayed");
        return;
    }
    w = s->n_waiting < WAITING_MOST ? mem_alloc(NULL, sizeof *w) : NULL;
    if (!w) {
        s->shed++;
        answer_error(x, 503, "overload", "too many requests are waiting");
        return;
    }
    w->x = x;
    w->since = loop_mono(s->loop);
    *s->tail = w;
    s->tail = &w->next;
    s->n_waiting++;
    if (!s->asked)
        ask(s);
}

static void health(struct serve *s, struct http_exchange *x, const char *path)
{
    bool ready = s->p.ready(s->p.arg);

    if (strcmp(path, "/healthz") == 0)
        answer_text(x, 200, "ok\n");
    else
        answer_text(x, ready ? 200 : 503, ready ? "ready\n" : "replaying the journal\n");
}

struct act {
    struct serve *s;
    struct http_exchange *x;
};

static void acted(void *arg, int code, const char *text)
{
    struct act *a = arg;
    struct serve *s = a->s;
    struct http_exchange *x = a->x;

    mem_free(NULL, a, sizeof *a);
    s->acting--;
    look_drained(s);
    if (code == 0)
        http_answer(x, 200, "application/json", NULL, 0, "{\"done\":true}\n", 14);
    else if (code == ERR_NOTFOUND)
        answer_error(x, 404, "not_found", text);
    else
        answer_error(x, 503, "unavailable", text);
}

static void act(struct serve *s, struct http_exchange *x)
{
    struct serve_actor actor = {.who = ""};
    char agent[256];
    struct act *a;

    if (!access_may_act(x, actor.who, sizeof actor.who)) {
        answer_error(x, 403, "identity", "acting needs the unix socket, or TLS with the role operator");
        return;
    }
    if (http_param(x, "agent", 0, agent, sizeof agent) != 0 ||
        http_param(x, "reason", 0, actor.reason, sizeof actor.reason) != 0 ||
        http_param(x, "request_id", 0, actor.request_id, sizeof actor.request_id) != 0 || !*actor.reason ||
        !*actor.request_id) {
        answer_error(x, 400, "parameter",
                     "agent, reason (to 255 bytes) and request_id (to 127 bytes) are needed");
        return;
    }
    a = mem_alloc(NULL, sizeof *a);
    if (!a) {
        answer_error(x, 503, "unavailable", "no memory");
        return;
    }
    *a = (struct act){s, x};
    s->acting++;
    s->p.forget_agent(s->p.arg, agent, &actor, s->loop, acted, a);
}

static void handle(struct serve *s, struct http_exchange *x)
{
    const char *method = http_method(x), *path = http_path(x);
    bool reading = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

    if (s->draining)
        answer_error(x, 503, "unavailable", "this aggregator is stopping");
    else if (strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0)
        health(s, x, path);
    else if (strcmp(path, "/api/v1/agents/forget") == 0 && strcmp(method, "POST") == 0)
        act(s, x);
    else if (!known_path(path))
        answer_error(x, 404, "not_found",
                     "there are /metrics, /metrics/hosts, /healthz, /readyz, /api/v1/… and /");
    else if (!reading)
        answer_error(x, 405, "method", "only GET is allowed here");
    else
        wait_for_view(s, x);
}

static void on_tcp(void *arg, struct http_exchange *x)
{
    struct serve *s = arg;

    if (!access_host_ok(&s->access, http_header(x, "Host"), http_header(x, "Origin"))) {
        s->refused_host++;
        answer_error(x, 403, "host", "this Host or Origin is not served here: see [http] hosts");
        return;
    }
    if (s->tls && !access_may_read(x)) {
        answer_error(x, 403, "identity", "the role viewer or operator is needed");
        return;
    }
    handle(s, x);
}

static void on_local(void *arg, struct http_exchange *x)
{
    handle(arg, x);
}

/* ---- start and stop ---- */

static struct tls_files tls_files(const struct section *http)
{
    return (struct tls_files){.ca = option_text(http, "ca"),
                              .cert = option_text(http, "cert"),
                              .key = option_text(http, "key"),
                              .require_client = true};
}

static int read_options(struct serve *s, const struct config *c)
{
    const struct section *http = config_section(c, "http"), *own = config_section(c, "aggregator");

    s->hosts_max_series = (uint64_t)option_int(http, "hosts_max_series");
    (void)snprintf(s->region, sizeof s->region, "%s", option_text(own, "region"));
    (void)snprintf(s->role, sizeof s->role, "%s", option_text(own, "role"));
    return access_read(&s->access, http);
}

static int listen_all(struct serve *s, const struct config *c, struct err *e)
{
    const struct section *http = config_section(c, "http");
    struct http_server_params p = {.listen = option_text(http, "listen"),
                                   .max_connections = (unsigned)option_int(http, "max_connections"),
                                   .max_body = 65536};
    struct tls_files files = tls_files(http);

    if (files.cert) {
        s->tls = tls_server_new(&files, e);
        if (!s->tls)
            return err_prefix(e, "[http]");
        p.tls = s->tls;
    }
    s->tcp = http_server_new(s->loop, &p, on_tcp, s, e);
    if (!s->tcp)
        return err_prefix(e, "[http] listen = %s", p.listen);
    access_port(&s->access, http_server_port(s->tcp));
    if (*option_text(http, "socket")) {
        char path[200];

        (void)snprintf(path, sizeof path, "unix:%s", option_text(http, "socket"));
        p = (struct http_server_params){.listen = path, .unix_mode = 0660, .max_body = 65536};
        s->local = http_server_new(s->loop, &p, on_local, s, e);
        if (!s->local)
            return err_prefix(e, "[http] socket = %s", option_text(http, "socket"));
    }
    return 0;
}

static void *run(void *arg)
{
    struct serve *s = arg;

    daemon_thread("serve");
    timer_set(s->watch, span_s(1));
    (void)loop_run(s->loop);
    return NULL;
}

struct serve *serve_start(const struct serve_params *p, struct err *e)
{
    struct serve *s = mem_alloc(NULL, sizeof *s);
    int rc;

    if (!s) {
        err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    s->p = *p;
    s->p.config = NULL;
    s->tail = &s->head;
    s->loop = loop_new(e);
    if (!s->loop || read_options(s, p->config) != 0 || listen_all(s, p->config, e) != 0)
        goto out;
    s->watch = timer_new(s->loop, watch, s);
    if (!s->watch) {
        err_set(e, ERR_NOMEM, "no memory");
        goto out;
    }
    rc = pthread_create(&s->thread, NULL, run, s);
    if (rc) {
        err_sys(e, ERR_IO, rc, "serve thread");
        goto out;
    }
    s->running = true;
    return s;
out:
    serve_stop(&s);
    return NULL;
}

struct drain {
    struct serve *s;
    struct loop *loop;
    void (*done)(void *arg);
    void *arg;
};

static void drain_now(void *arg)
{
    struct drain *d = arg;
    struct serve *s = d->s;

    s->draining = true;
    s->drain_loop = d->loop;
    s->drained = d->done;
    s->drain_arg = d->arg;
    mem_free(NULL, d, sizeof *d);
    end_waiting(s, NULL);
    http_server_drain(s->tcp);
    if (s->local)
        http_server_drain(s->local);
    look_drained(s);
}

void serve_drain(struct serve *s, struct loop *loop, void (*done)(void *arg), void *arg)
{
    struct drain *d = mem_alloc(NULL, sizeof *d);

    if (!d)
        return; /* the caller's own deadline ends the wait */
    *d = (struct drain){s, loop, done, arg};
    if (loop_post(s->loop, drain_now, d) != 0)
        mem_free(NULL, d, sizeof *d);
}

static void stop_loop(void *arg)
{
    struct serve *s = arg;

    end_waiting(s, NULL);
    loop_stop(s->loop);
}

void serve_stop(struct serve **s)
{
    struct serve *x = *s;

    if (!x)
        return;
    if (x->running) {
        (void)loop_post(x->loop, stop_loop, x);
        (void)pthread_join(x->thread, NULL);
    }
    http_server_free(&x->tcp);
    http_server_free(&x->local);
    tls_server_free(&x->tls);
    timer_free(&x->watch);
    loop_free(&x->loop);
    mem_free(NULL, x, sizeof *x);
    *s = NULL;
}

unsigned serve_port(const struct serve *s)
{
    return http_server_port(s->tcp);
}

int serve_check_files(const struct config *config, struct err *e)
{
    struct tls_files files = tls_files(config_section(config, "http"));
    struct tls_server *t = files.cert ? tls_server_new(&files, e) : NULL;
    int rc = files.cert && !t ? err_prefix(e, "[http]") : 0;

    tls_server_free(&t);
    return rc;
}

/* ---- reload: the new options are taken over on the serve thread, while the caller waits ---- */

struct reload {
    struct serve *s;
    const struct config *config;
    struct err *e;
    int rc;
    bool done;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
};

static void reload_now(void *arg)
{
    struct reload *r = arg;
    struct tls_files files = tls_files(config_section(r->config, "http"));
    int rc = 0;

    if (r->s->tls && files.cert)
        rc = tls_server_reload(r->s->tls, &files, r->e);
    if (!rc)
        rc = read_options(r->s, r->config);
    if (!rc)
        access_port(&r->s->access, http_server_port(r->s->tcp));
    (void)pthread_mutex_lock(&r->mutex);
    r->rc = rc;
    r->done = true;
    (void)pthread_cond_signal(&r->cond);
    (void)pthread_mutex_unlock(&r->mutex);
}

int serve_reload(struct serve *s, const struct config *config, struct err *e)
{
    struct reload r = {.s = s,
                       .config = config,
                       .e = e,
                       .mutex = PTHREAD_MUTEX_INITIALIZER,
                       .cond = PTHREAD_COND_INITIALIZER};

    if (loop_post(s->loop, reload_now, &r) != 0)
        return err_set(e, ERR_STATE, "the serve thread does not listen");
    (void)pthread_mutex_lock(&r.mutex);
    while (!r.done)
        (void)pthread_cond_wait(&r.cond, &r.mutex);
    (void)pthread_mutex_unlock(&r.mutex);
    return r.rc;
}
