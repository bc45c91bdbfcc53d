/* The ingest thread: see ingest.h. Others reach it by messages to
 * its loop; what blocks them waits on a lock of the message. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/ingest/ingest_private.h"
#include "common/daemon/daemon.h"

enum {
    TICK_MS = 1000,
    STOP_S = 5,
    STOP_LOOK_MS = 20,
    STATE_MEM = 1 << 30,
    SAMPLES_CAP = 4 << 20,
    MAX_HEADER = 16 << 10
};

/* ---- configuration ---- */

static void read_options(struct ingest *g, const struct config *config)
{
    const struct section *s = config_section(config, "ingest");

    g->use_cn = strcmp(option_text(s, "identity"), "cn") == 0;
    g->keep = option_span(s, "keep");
    g->persist_every = option_span(s, "persist");
    g->stale_after = option_span(config_section(config, "aggregator"), "stale_after");
    retention_read(config, g->retentions, &g->retention);
}

static enum auth_kind kind_of(const struct config *config)
{
    const char *auth = option_text(config_section(config, "ingest"), "auth");

    return strcmp(auth, "none") == 0 ? AUTH_NONE : strcmp(auth, "token") == 0 ? AUTH_TOKEN : AUTH_MTLS;
}

static struct tls_files files_of(const struct ingest *g, const struct config *config)
{
    const struct section *s = config_section(config, "ingest");

    return (struct tls_files){.ca = g->kind == AUTH_MTLS ? option_text(s, "ca") : NULL,
                              .cert = option_text(s, "cert"),
                              .key = option_text(s, "key"),
                              .crl = g->kind == AUTH_MTLS ? option_text(s, "crl") : NULL,
                              .accept_client = g->kind == AUTH_MTLS};
}

static int listen_on(struct ingest *g, const struct config *config, struct err *e)
{
    const struct section *s = config_section(config, "ingest");
    struct http_server_params p = {.listen = option_text(s, "listen"),
                                   .max_connections = (unsigned)option_int(s, "max_connections"),
                                   .max_per_address = (unsigned)option_int(s, "max_connections_per_address"),
                                   .max_header = MAX_HEADER,
                                   .max_body = WIRE_MAX_BODY,
                                   .request_timeout = option_span(s, "request_timeout"),
                                   .idle_timeout = option_span(s, "idle_timeout"),
                                   .judge_refused = true,
                                   .wanted = ingest_wants};

    if (g->kind != AUTH_NONE) {
        struct tls_files files = files_of(g, config);

        g->tls = tls_server_new(&files, e);
        if (!g->tls)
            return e->code;
    }
    p.tls = g->tls;
    g->http = http_server_new(g->loop, &p, ingest_request, g, e);
    if (!g->http)
        return e->code;
    g->port = http_server_port(g->http);
    return 0;
}

/* ---- the thread ---- */

static void tick(void *arg)
{
    struct ingest *g = arg;
    struct mono now = loop_mono(g->loop);

    series_advance(g->series, loop_wall(g->loop));
    if (!mono_before(now, g->next_persist)) {
        g->next_persist = mono_add(now, g->persist_every);
        ingest_persist(g);
    }
    ingest_renew(g);
    history_tend(g->history, &g->retention, loop_wall(g->loop));
    ingest_gained(g); /* groups may have gone */
    timer_set(g->tick, g->persist_every.ns < span_ms(TICK_MS).ns ? g->persist_every : span_ms(TICK_MS));
}

static void *run_thread(void *arg)
{
    struct ingest *g = arg;
    struct err e = {0};

    daemon_thread("ingest");
    if (ingest_restore(g, &e) != 0) {
        LOG(g->log, atomic_load(&g->quit) ? LOG_INFO : LOG_ERROR, "ingest", "not restored: taking no batches",
            kv_e(&e));
        atomic_store(&g->failed, true);
        g->stopping = true;
    } else {
        ingest_tell(g, true);
        g->next_persist = mono_add(clock_mono(), g->persist_every);
        timer_set(g->tick, span_ms(0));
        atomic_store(&g->ready, true);
    }
    if (loop_run(g->loop) != 0) {
        LOG0(g->log, LOG_ERROR, "ingest", "the loop of the ingest thread failed");
        atomic_store(&g->failed, true);
    }
    atomic_store(&g->ready, false);
    return NULL;
}

/* ---- stopping ---- */

/* Ends the loop when nothing is under way and the answers are written, or when it takes too long. */
static void look_whether_done(void *arg)
{
    struct ingest *g = arg;
    bool quiet = g->under_way == 0 && http_server_stats(g->http).connections == 0;

    if (quiet || !mono_before(loop_mono(g->loop), g->stop_by))
        loop_stop(g->loop);
    else
        timer_set(g->stopper, span_ms(STOP_LOOK_MS));
}

static void begin_stop(void *arg)
{
    struct ingest *g = arg;

    g->stopping = true;
    g->stop_by = mono_add(loop_mono(g->loop), span_s(STOP_S));
    http_server_drain(g->http);
    timer_set(g->stopper, span_ms(0));
}

/* After the loop has ended: the journal's last answers, the last roll-ups. */
static void close_stores(struct ingest *g)
{
    bool whole = g->journal && g->history && !atomic_load(&g->failed) && g->position > 0;

    g->stopping = true;
    journal_close(&g->journal);
    if (whole)
        ingest_persist(g);
    history_close(&g->history);
}

static void ingest_free(struct ingest **gp)
{
    struct ingest *g = *gp;

    if (!g)
        return;
    close_stores(g);
    ingest_guards_free(g);
    http_server_free(&g->http);
    tls_server_free(&g->tls);
    timer_free(&g->tick);
    timer_free(&g->stopper);
    timer_free(&g->teller);
    loop_free(&g->loop);
    series_free(&g->series);
    admission_free(&g->admission);
    definitions_free(&g->definitions);
    wire_codec_free(&g->codec);
    map_free(&g->lanes);
    auth_free(&g->auth);
    figures_free(&g->f);
    free(g);
    *gp = NULL;
}

void ingest_stop(struct ingest **gp)
{
    struct ingest *g = *gp;

    if (!g)
        return;
    atomic_store(&g->quit, true);
    if (loop_post(g->loop, begin_stop, g) == 0)
        (void)pthread_join(g->thread, NULL);
    ingest_free(gp);
}

/* ---- starting ---- */

static int open_stores(struct ingest *g, const struct ingest_params *p, struct err *e)
{
    const struct section *s = config_section(p->config, "ingest");
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/journal.db", p->state_dir);
    g->journal =
        journal_open(&(struct journal_params){.path = path,
                                              .loop = g->loop,
                                              .log = g->log,
                                              .max_queue_bytes = (uint64_t)option_int(s, "max_queue"),
                                              .damaged = ingest_journal_damaged,
                                              .arg = g},
                     e);
    if (!g->journal)
        return e->code;
    (void)snprintf(path, sizeof path, "%s/history.db", p->state_dir);
    g->history = history_open(
        &(struct history_params){
            .path = path, .loop = g->loop, .log = g->log, .damaged = ingest_history_damaged, .arg = g},
        e);
    return g->history ? 0 : e->code;
}

static int set_up(struct ingest *g, const struct ingest_params *p, struct buf *report, struct err *e)
{
    int rc;

    g->loop = loop_new(e);
    if (!g->loop)
        return e->code;
    g->codec = wire_codec_new(1);
    g->tick = timer_new(g->loop, tick, g);
    g->stopper = timer_new(g->loop, look_whether_done, g);
    g->teller = timer_new(g->loop, ingest_tell_soon, g);
    if (!g->codec || !g->tick || !g->stopper || !g->teller)
        return err_set(e, ERR_NOMEM, "no memory for the ingest thread");
    if ((rc = auth_load(&g->auth, p->config, e)) != 0 || (rc = ingest_begin_anew(g, report, e)) != 0 ||
        (rc = open_stores(g, p, e)) != 0 || (rc = listen_on(g, p->config, e)) != 0)
        return rc;
    rc = pthread_create(&g->thread, NULL, run_thread, g);
    return rc ? err_sys(e, ERR_IO, rc, "the ingest thread") : 0;
}

struct ingest *ingest_start(const struct ingest_params *p, struct buf *report, struct err *e)
{
    const struct section *s = config_section(p->config, "ingest");
    struct ingest *g = calloc(1, sizeof *g);

    if (!g) {
        (void)err_set(e, ERR_NOMEM, "no memory for the ingest thread");
        return NULL;
    }
    g->config = p->config;
    g->log = p->log;
    g->selections = p->selections;
    g->generation = p->generation;
    g->tell = p->tell;
    g->tell_arg = p->tell_arg;
    g->peer = p->peer;
    g->peer_arg = p->peer_arg;
    g->guard = p->guard;
    g->guard_arg = p->guard_arg;
    memcpy(g->seed, p->seed, sizeof g->seed);
    g->series_mem.cap = (size_t)option_int(s, "max_memory");
    g->work_mem.cap = (size_t)option_int(s, "max_requests_memory");
    g->state_mem.cap = STATE_MEM;
    g->kind = kind_of(p->config);
    g->witness = strcmp(option_text(config_section(p->config, "aggregator"), "role"), "witness") == 0;
    map_init(&g->lanes, &g->state_mem, g->seed);
    figures_init(&g->f, NULL);
    read_options(g, p->config);
    if (set_up(g, p, report, e) != 0)
        ingest_free(&g);
    return g;
}

bool ingest_ready(const struct ingest *g)
{
    return atomic_load(&g->ready);
}

bool ingest_failed(const struct ingest *g)
{
    return atomic_load(&g->failed);
}

unsigned ingest_port(const struct ingest *g)
{
    return g->port;
}

/* ---- asking for a view ---- */

struct question {
    struct ingest *g;
    struct loop *loop;
    void (*done)(void *arg, struct gathered *v);
    void *arg;
    struct gathered *v;
};

static void deliver(void *arg)
{
    struct question *q = arg;

    q->done(q->arg, q->v);
    free(q);
}

static void tell_all(struct ingest *g, struct sink *out)
{
    struct figures_now now = {.admission = admission_stats(g->admission),
                              .definitions = definitions_stats(g->definitions),
                              .http = http_server_stats(g->http),
                              .state_mem = &g->state_mem,
                              .work_mem = &g->work_mem,
                              .series_mem = &g->series_mem,
                              .under_way = g->under_way,
                              .position = g->position,
                              .persisted = g->persisted,
                              .certificate = g->tls ? tls_server_not_after(g->tls) : (struct wall){0}};

    figures_metrics(&g->f, &now, out);
    journal_metrics(g->journal, out);
    history_metrics(g->history, out);
    series_metrics(g->series, out);
}

static void gather(void *arg)
{
    struct question *q = arg;
    struct ingest *g = q->g;
    struct gathered *v = atomic_load(&g->ready) ? mem_alloc(NULL, sizeof *v) : NULL;

    if (v) {
        g->f.snapshots++;
        v->snap = series_snapshot(g->series, loop_wall(g->loop));
        arena_init(&v->arena, NULL, SAMPLES_CAP);
        samples_init(&v->self, &v->arena);
        tell_all(g, &v->self.sink);
    }
    q->v = v;
    if (loop_post(q->loop, deliver, q) != 0) {
        gathered_free(&v);
        free(q);
    }
}

int ingest_ask(struct ingest *g, struct loop *loop, void (*done)(void *done_arg, struct gathered *v),
               void *done_arg)
{
    struct question *q = malloc(sizeof *q);
    int rc;

    if (!q)
        return ERR_NOMEM;
    *q = (struct question){.g = g, .loop = loop, .done = done, .arg = done_arg};
    rc = loop_post(g->loop, gather, q);
    if (rc != 0)
        free(q);
    return rc;
}

/* ---- what blocks the asker ---- */

struct call {
    struct ingest *g;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    int rc;
    struct err *e;
    /* reload */
    const struct config *config;
    const struct selections *selections;
    uint32_t generation;
    struct buf *report;
    /* forget */
    const char *agent;
};

static void end_call(struct call *c, int rc)
{
    (void)pthread_mutex_lock(&c->lock);
    c->rc = rc;
    c->done = true;
    (void)pthread_cond_signal(&c->cond);
    (void)pthread_mutex_unlock(&c->lock);
}

static int make_call(struct call *c, void (*fn)(void *arg))
{
    int rc;

    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->cond, NULL);
    rc = loop_post(c->g->loop, fn, c);
    if (rc == 0) {
        (void)pthread_mutex_lock(&c->lock);
        while (!c->done)
            (void)pthread_cond_wait(&c->cond, &c->lock);
        rc = c->rc;
        (void)pthread_mutex_unlock(&c->lock);
    } else {
        (void)err_set(c->e, rc, "the ingest thread does not answer");
    }
    (void)pthread_cond_destroy(&c->cond);
    (void)pthread_mutex_destroy(&c->lock);
    return rc;
}

static void reload(void *arg)
{
    struct call *c = arg;
    struct ingest *g = c->g;
    struct tls_files files = files_of(g, c->config);
    int rc = 0;

    if (g->tls)
        rc = tls_server_reload(g->tls, &files, c->e);
    if (rc == 0)
        rc = series_reload(g->series, c->config, c->report, c->e);
    if (rc == 0)
        rc = auth_load(&g->auth, c->config, c->e);
    if (rc == 0) {
        ingest_tell(g, false);
        rc = series_select(g->series, c->selections, c->generation, c->e);
    }
    if (rc == 0) {
        g->config = c->config;
        g->selections = c->selections;
        g->generation = c->generation;
        ingest_gained(g);
        read_options(g, c->config);
        admission_keep(g->admission, ingest_epochs_keep(config_section(c->config, "ingest")));
    }
    end_call(c, rc);
}

int ingest_reload(struct ingest *g, const struct config *config, const struct selections *selections,
                  uint32_t generation, struct buf *report, struct err *e)
{
    struct call c = {.g = g,
                     .e = e,
                     .config = config,
                     .selections = selections,
                     .generation = generation,
                     .report = report};

    return make_call(&c, reload);
}

static void forgotten(void *arg, int code)
{
    struct call *c = arg;

    if (code != 0)
        (void)err_set(c->e, code, "the journal did not take it: the agent may come back with the next start");
    end_call(c, code);
}

/* Memory forgets at once: what the agent sends next is stored behind this in the journal. */
static void forget(void *arg)
{
    struct call *c = arg;
    struct ingest *g = c->g;
    struct wire_str agent = {c->agent, (uint32_t)strlen(c->agent)};
    bool known;
    int rc;

    if (!atomic_load(&g->ready) || g->stopping || ingest_busy(g, agent)) {
        end_call(c, err_set(c->e, ERR_AGAIN, "a batch of %s is under way, or the aggregator is not ready",
                            c->agent));
        return;
    }
    known = admission_forget(g->admission, agent) == 0;
    known = series_forget_agent(g->series, agent) == 0 || known;
    if (!known) {
        end_call(c, err_set(c->e, ERR_NOTFOUND, "no agent %s is known", c->agent));
        return;
    }
    g->next_persist = loop_mono(g->loop); /* so that an old roll-up brings nobody back */
    rc = journal_forget_agent(g->journal, agent, forgotten, c);
    if (rc != 0)
        forgotten(c, rc);
}

int ingest_forget_agent(struct ingest *g, const char *agent, struct err *e)
{
    struct call c = {.g = g, .e = e, .agent = agent};

    return make_call(&c, forget);
}
