/* The aggregator put together: see aggregator.h. Who is told starts before who tells, and ends after; this thread has
 * the signals and the watchdog, and feeds the latter only while the other loops turn. */
#include "aggregator/aggregator.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "aggregator/decide.h"
#include "aggregator/expose/serve.h"
#include "aggregator/ingest/ingest.h"
#include "aggregator/judge.h"
#include "aggregator/options.h"
#include "aggregator/past.h"
#include "aggregator/selfmetrics.h"
#include "aggregator/store/control.h"
#include "aggregator/store/history.h"
#include "aggregator/store/journal.h"
#include "common/daemon/daemon.h"
#include "version.h"

enum { PATH_MOST = 4096, DRAIN_S = 3, LOOK_MS = 1000, LOOK_EARLY_MS = 50 };

struct aggregator {
    struct aggregator_params p;
    struct config *config; /* owned */
    struct loop *loop;
    struct signals *signals;
    struct timer *watchdog;
    struct span watchdog_every;
    int lock; /* descriptor of the state folder's lock, or -1 */
    struct zones *zones;
    struct selections *selections; /* owned; borrowed by the ingest and decide threads */
    uint32_t generation;           /* of that list */
    atomic_bool ingesting;         /* `ingest` is set */
    struct ingest *ingest;
    struct serve *serve;
    struct decide *decide;
    struct wall started;
    atomic_int_fast64_t reloads, failed_reloads, reloaded_ms;
    struct timer *stop_by;
    bool told_ready, failed, reload_wanted, ending;
};

static const char *path_of(const struct aggregator *a, const char *name, char out[PATH_MOST])
{
    (void)snprintf(out, PATH_MOST, "%s/%s", option_text(config_section(a->config, "aggregator"), "state_dir"),
                   name);
    return out;
}

/* ---- what the serve thread asks for ---- */

static bool is_ready(void *arg)
{
    const struct aggregator *a = arg;

    return ingest_ready(a->ingest);
}

static int ask_view(void *arg, struct loop *loop, void (*done)(void *done_arg, struct gathered *g),
                    void *done_arg)
{
    struct aggregator *a = arg;

    return atomic_load(&a->ingesting) ? ingest_ask(a->ingest, loop, done, done_arg) : ERR_STATE;
}

static void more_metrics(void *arg, struct sink *out)
{
    struct aggregator *a = arg;
    struct self_facts f = {.started = a->started,
                           .reloads = atomic_load(&a->reloads),
                           .failed_reloads = atomic_load(&a->failed_reloads),
                           .reloaded = {atomic_load(&a->reloaded_ms)}};

    process_metrics(&f, a->p.log, out);
    decide_metrics(a->decide, out);
}

static int primary_off(void *arg, const char *service)
{
    const struct aggregator *a = arg;

    return decide_primary_off(a->decide, service);
}

static void desk(void *arg, const struct desk_request *r, struct loop *loop, desk_done done, void *done_arg)
{
    struct aggregator *a = arg;

    if (strcmp(r->path, "history") == 0)
        past_ask(a->ingest, r, loop, done, done_arg);
    else
        decide_desk(a->decide, r, loop, done, done_arg);
}

/* Forgetting an agent: audited by the decide thread, carried out on the ingest thread
 * while this one waits, answered on the serve thread. */
struct forgetting {
    struct aggregator *a;
    char agent[256];
    struct serve_actor actor;
    struct loop *loop;
    serve_done done;
    void *done_arg;
    int code;
    char text[300];
};

static void forget_answer(void *arg)
{
    struct forgetting *f = arg;

    f->done(f->done_arg, f->code, f->text);
    mem_free(NULL, f, sizeof *f);
}

static void forget_end(struct forgetting *f, int code, const char *text)
{
    f->code = code;
    (void)snprintf(f->text, sizeof f->text, "%s", text);
    if (loop_post(f->loop, forget_answer, f) != 0)
        mem_free(NULL, f, sizeof *f);
}

/* again: this act was ordered before. Whether it was carried
 * out then nobody knows, but to do it twice does no harm. */
static void forget_now(struct forgetting *f, bool again)
{
    struct err e = {0};
    int rc = ingest_forget_agent(f->a->ingest, f->agent, &e);

    if (again && rc == ERR_NOTFOUND)
        rc = 0;
    else if (!rc)
        LOG(f->a->p.log, LOG_INFO, "main", "agent forgotten", kv_s("agent", f->agent),
            kv_s("who", f->actor.who), kv_s("reason", f->actor.reason));
    forget_end(f, rc, e.text);
}

static void audited(void *arg, int code)
{
    struct forgetting *f = arg;

    if (code && code != ERR_EXISTS)
        forget_end(f, code, "the audit could not be written, so nothing was done");
    else
        forget_now(f, code == ERR_EXISTS);
}

static void forget_begin(void *arg)
{
    struct forgetting *f = arg;
    char what[300];

    (void)snprintf(what, sizeof what, "agents forget %s", f->agent);
    decide_audit(f->a->decide, what, &f->actor, f->a->loop, audited, f);
}

static void forget_agent(void *arg, const char *agent, const struct serve_actor *actor, struct loop *loop,
                         serve_done done, void *done_arg)
{
    struct aggregator *a = arg;
    struct forgetting *f = mem_alloc(NULL, sizeof *f);

    if (!f) {
        done(done_arg, ERR_NOMEM, "no memory");
        return;
    }
    *f = (struct forgetting){.a = a, .actor = *actor, .loop = loop, .done = done, .done_arg = done_arg};
    (void)snprintf(f->agent, sizeof f->agent, "%s", agent);
    if (loop_post(a->loop, forget_begin, f) != 0)
        forget_end(f, ERR_STATE, "the aggregator is stopping");
}

/* ---- signals ---- */

static void end(void *arg)
{
    loop_stop(((struct aggregator *)arg)->loop);
}

/* This loop turns on until what the serve thread has asked for is answered. */
static void begin_end(struct aggregator *a)
{
    timer_stop(a->watchdog);
    a->ending = true;
    decide_end(a->decide);
    timer_set(a->stop_by, span_s(DRAIN_S));
    serve_drain(a->serve, a->loop, end, a);
}

/* From here on there is a list of selections that the ingest thread goes by. That the decide thread can't go by it for
 * lack of memory leaves nothing to go back to. */
static int turn(struct aggregator *a, const struct config *fresh, struct selections *s, struct buf *report,
                struct err *e)
{
    struct selections *old = a->selections;
    int rc = ingest_reload(a->ingest, fresh, s, a->generation + 1, report, e);

    if (rc)
        return rc;
    a->generation++;
    a->selections = s;
    rc = decide_reload(a->decide, fresh, s, a->generation, report, e);
    if (rc) {
        LOG(a->p.log, LOG_ERROR, "main", "half of the reload is done and the rest impossible: ending",
            kv_e(e));
        a->failed = true;
        return rc; /* the old list is still looked at */
    }
    selections_free(&old);
    return 0;
}

/* What can be wrong is looked at before the first part takes anything over. */
static int reload_parts(void *arg, const struct config *fresh, struct buf *report, struct err *e)
{
    struct aggregator *a = arg;
    struct selections *s = NULL;
    struct err none = {0};
    int rc = serve_check_files(fresh, e);

    rc = rc ? rc : decide_can_reload(a->decide, fresh, e);
    if (!rc && !(s = judge_selections(fresh, NULL, e)))
        rc = e->code;
    if (!rc)
        rc = decide_reload_receivers(a->decide, fresh, e);
    if (rc)
        goto out;
    rc = serve_reload(a->serve, fresh, e);
    rc = rc ? rc : turn(a, fresh, s, report, e);
    if (rc) {
        (void)decide_reload_receivers(a->decide, a->config, &none);
        (void)serve_reload(a->serve, a->config, &none);
    }
out:
    if (rc && s != a->selections)
        selections_free(&s);
    return rc;
}

static void reload(void *arg)
{
    struct aggregator *a = arg;
    const struct cli_reload r = {.program = a->p.program,
                                 .cli = a->p.cli,
                                 .log = a->p.log,
                                 .component = "main",
                                 .take = reload_parts,
                                 .arg = a};

    if (a->ending)
        return;           /* what would be loaded anew is on its way out */
    if (!a->told_ready) { /* the ingest thread would not answer before it has restored */
        a->reload_wanted = true;
        return;
    }
    if (cli_reload(&r, &a->config)) {
        atomic_fetch_add(&a->reloads, 1);
        atomic_store(&a->reloaded_ms, loop_wall(a->loop).ms);
    } else {
        atomic_fetch_add(&a->failed_reloads, 1);
        if (a->failed)
            begin_end(a);
    }
}

static void reopen(void *arg)
{
    struct aggregator *a = arg;
    struct err e = {0};

    if (log_reopen(a->p.log, &e) != 0)
        LOG(a->p.log, LOG_ERROR, "main", "the log could not be reopened", kv_e(&e));
}

static void dumped(void *arg, struct gathered *g)
{
    struct aggregator *a = arg;
    struct buf text;

    buf_init(&text, NULL, 1 << 20);
    if (g)
        more_metrics(a, &g->self.sink);
    for (size_t i = 0; g && i < g->self.n; i++) {
        const struct sample *x = &g->self.v[i];

        buf_clear(&text);
        for (size_t k = 0; k < metric_label_count(x->row) && k < METRIC_MAX_LABELS; k++)
            buf_fmt(&text, "%s%s", k ? " " : "", x->labels[k].p);
        LOG(a->p.log, LOG_INFO, "dump", x->row->name, kv_s("labels", buf_text(&text)),
            kv_d("value", x->sketch ? sketch_sum(x->sketch) : x->value),
            kv_u("count", x->sketch ? x->sketch->count : 1));
    }
    buf_free(&text);
    gathered_free(&g);
}

static void dump(void *arg)
{
    struct aggregator *a = arg;

    (void)ingest_ask(a->ingest, a->loop, dumped, a);
}

static void stop(void *arg)
{
    struct aggregator *a = arg;

    daemon_notify("STOPPING=1");
    LOG0(a->p.log, LOG_INFO, "main", "stopping");
    begin_end(a);
}

/* Every half of the watchdog's time, and more often until ready: a
 * view that comes back shows that the ingest thread turns. */
static void beat(void *arg, struct gathered *g)
{
    gathered_free(&g);
    (void)arg;
    daemon_notify("WATCHDOG=1");
}

static void watch(void *arg)
{
    struct aggregator *a = arg;

    if (ingest_failed(a->ingest)) {
        a->failed = true;
        begin_end(a);
        return;
    }
    if (!a->told_ready && ingest_ready(a->ingest)) {
        a->told_ready = true;
        LOG(a->p.log, LOG_INFO, "main", "ready", kv_s("version", SB_VERSION),
            kv_s("region", option_text(config_section(a->config, "aggregator"), "region")),
            kv_i("ingest_port", ingest_port(a->ingest)), kv_i("http_port", serve_port(a->serve)));
        daemon_notify("READY=1");
        if (a->reload_wanted)
            reload(a);
    }
    if (a->told_ready && a->watchdog_every.ns)
        (void)ingest_ask(a->ingest, a->loop, beat, a);
    timer_set(a->watchdog, !a->told_ready         ? span_ms(LOOK_EARLY_MS)
                           : a->watchdog_every.ns ? a->watchdog_every
                                                  : span_ms(LOOK_MS));
}

/* ---- start and stop ---- */

static void tell(void *arg, struct telling *t)
{
    decide_tell(arg, t);
}

static void hear(void *arg, struct bytes body)
{
    decide_peer(arg, body);
}

static void guard(void *arg, struct bytes body, const char *agent, struct loop *loop,
                  void (*done)(void *done_arg, int status, struct bytes json), void *done_arg)
{
    decide_guard(arg, body, agent, loop, done, done_arg);
}

static int start_decide(struct aggregator *a, struct buf *report, struct err *e)
{
    char path[PATH_MOST];
    struct decide_params p = {.log = a->p.log,
                              .config = a->config,
                              .generation = a->generation,
                              .control = path_of(a, "control.db", path),
                              .ask = ask_view,
                              .arg = a};

    a->lock = daemon_lock_dir(option_text(config_section(a->config, "aggregator"), "state_dir"), e);
    if (a->lock < 0)
        return a->lock;
    if (getrandom(&p.seed, sizeof p.seed, 0) != sizeof p.seed)
        return err_sys(e, ERR_IO, errno, "random seed");
    p.zones = a->zones = zones_new();
    if (!p.zones)
        return err_set(e, ERR_NOMEM, "no memory");
    p.selections = a->selections = judge_selections(a->config, NULL, e);
    a->decide = a->selections ? decide_start(&p, report, e) : NULL;
    return a->decide ? 0 : e->code;
}

static int start_ingest(struct aggregator *a, struct buf *report, struct err *e)
{
    struct ingest_params ingest = {.config = a->config,
                                   .state_dir =
                                       option_text(config_section(a->config, "aggregator"), "state_dir"),
                                   .log = a->p.log,
                                   .selections = a->selections,
                                   .generation = a->generation,
                                   .tell = tell,
                                   .tell_arg = a->decide,
                                   .peer = hear,
                                   .peer_arg = a->decide,
                                   .guard = guard,
                                   .guard_arg = a->decide};

    if (getrandom(ingest.seed, sizeof ingest.seed, 0) != sizeof ingest.seed)
        return err_sys(e, ERR_IO, errno, "random seed");
    a->ingest = ingest_start(&ingest, report, e);
    atomic_store(&a->ingesting, a->ingest != NULL);
    return a->ingest ? 0 : e->code;
}

static int start_parts(struct aggregator *a, struct err *e)
{
    struct serve_params serve = {.config = a->config,
                                 .log = a->p.log,
                                 .started = a->started,
                                 .ready = is_ready,
                                 .ask = ask_view,
                                 .more = more_metrics,
                                 .forget_agent = forget_agent,
                                 .desk = desk,
                                 .primary_off = primary_off,
                                 .arg = a};
    struct buf report;
    int rc;

    buf_init(&report, NULL, 65536);
    a->generation = 1;
    rc = start_decide(a, &report, e);
    rc = rc ? rc : start_ingest(a, &report, e);
    buf_free(&report);
    if (rc)
        return rc;
    a->serve = serve_start(&serve, e);
    return a->serve ? 0 : e->code;
}

struct aggregator *aggregator_start(const struct aggregator_params *p, struct err *e)
{
    struct signal_calls calls = {.reload = reload, .reopen = reopen, .dump = dump, .stop = stop};
    struct aggregator *a = mem_alloc(NULL, sizeof *a);
    struct config *config = p->config;

    if (!a) {
        config_free(&config);
        err_set(e, ERR_NOMEM, "no memory");
        return NULL;
    }
    a->p = *p;
    a->config = p->config;
    a->lock = -1;
    a->started = clock_wall();
    atomic_store(&a->reloaded_ms, a->started.ms);
    calls.arg = a;
    a->loop = loop_new(e);
    a->signals = a->loop ? signals_new(a->loop, &calls, e) : NULL;
    if (!a->signals || start_parts(a, e) != 0) {
        aggregator_stop(&a);
        return NULL;
    }
    a->watchdog_every = daemon_watchdog_interval();
    a->watchdog = timer_new(a->loop, watch, a);
    a->stop_by = timer_new(a->loop, end, a);
    if (!a->watchdog || !a->stop_by) {
        err_set(e, ERR_NOMEM, "no memory");
        aggregator_stop(&a);
    }
    return a;
}

int aggregator_run(struct aggregator *a)
{
    int rc;

    timer_set(a->watchdog, span_ms(0));
    rc = loop_run(a->loop);
    return a->failed ? ERR_STATE : rc;
}

void aggregator_stop(struct aggregator **a)
{
    struct aggregator *x = *a;

    if (!x)
        return;
    if (x->decide)
        decide_stop(x->decide); /* answers the serve thread */
    serve_stop(&x->serve);      /* has views of the ingest thread */
    ingest_stop(&x->ingest);    /* tells */
    decide_free(&x->decide);
    selections_free(&x->selections);
    zones_free(&x->zones);
    timer_free(&x->watchdog);
    timer_free(&x->stop_by);
    signals_free(&x->signals);
    loop_free(&x->loop);
    if (x->lock >= 0)
        (void)close(x->lock);
    config_free(&x->config);
    mem_free(NULL, x, sizeof *x);
    *a = NULL;
}

/* ---- verify-store ---- */

bool aggregator_is_verb(const char *word)
{
    return strcmp(word, "verify-store") == 0;
}

int aggregator_verify(const struct config *config)
{
    const char *dir = option_text(config_section(config, "aggregator"), "state_dir");
    static const struct {
        const char *name;
        int (*verify)(const char *path, struct buf *report, struct err *e);
    } files[] = {
        {"journal.db", store_verify}, {"history.db", history_verify}, {"control.db", control_verify}};
    char path[PATH_MOST];
    struct buf report;
    struct err e = {0};
    int lock, bad = 0;

    if (access(dir, F_OK) != 0) {
        (void)fprintf(stderr, "securebase-aggregator: %s: there is no such folder\n", dir);
        return 1;
    }
    lock = daemon_lock_dir(dir, &e);
    if (lock < 0) {
        (void)fprintf(stderr, "securebase-aggregator: %s\n", e.text);
        return 1;
    }
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i].name);
        buf_init(&report, NULL, 1 << 20);
        e = (struct err){0};
        if (access(path, F_OK) != 0) {
            (void)printf("%s: not there yet\n", path);
        } else if (files[i].verify(path, &report, &e) != 0) {
            (void)printf("%s: damaged: %s\n%s", path, e.text, buf_text(&report));
            bad++;
        } else {
            (void)printf("%s: good\n%s", path, buf_text(&report));
        }
        buf_free(&report);
    }
    (void)close(lock);
    return bad ? 1 : 0;
}
