/* The serve thread: see serve.h. Requests that need a view wait in a list; one question
 * to the ingest thread is under way at a time, and its answer serves all that wait. A
 * question without an answer for ten seconds ends them with 503; so does a page while
 * too much of earlier ones waits for readers that are slow to take it. */
#include <stdio.h>
#include <string.h>

#include "aggregator/expose/serve_private.h"
#include "common/daemon/daemon.h"
#include "version.h"

enum { SENDING_MOST = 256 << 20, WAITING_MOST = 256 };

/* ---- views ---- */

static void own_metrics(struct serve *s, struct sink *out)
{
    static const struct metric_row scrapes = {"securebase_aggregator_http_requests_total",
                                              METRIC_COUNTER,
                                              1,
                                              1,
                                              "",
                                              "Requests answered from a view."};
    static const struct metric_row asked = {"securebase_aggregator_public_requests_total",
                                            METRIC_COUNTER,
                                            1,
                                            1,
                                            "",
                                            "Requests to the public listener."};
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
    if (s->public)
        sink_uint(out, &asked, NULL, s->public_requests);
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

void serve_look_drained(struct serve *s)
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
    serve_look_drained(s);
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
    serve_look_drained(s);
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
    else if (serve_ask(s, x))
        return;
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
    return public_listen(s, c, e);
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
    if (s->public)
        http_server_drain(s->public);
    serve_look_drained(s);
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
    public_close(x);
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
    rc = rc ? rc : public_reload(r->s, r->config, r->e);
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
