/* The agent's wiring: what it is made of, how that is changed
 * and ended. See agent.h; ticks are in ticks_io.c. */
#include "agent/agent_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/map.h"
#include "common/daemon/daemon.h"

enum {
    STOP_SECONDS = 5,
    STOP_POLL_MS = 50,
    SERIES_MEMORY = 256 << 20,
    MAX_SERIES = 200000,
    STALL_LIMIT_MS = 1000,
    SPOOL_PATH = 512,
    STATSD_BLOCK = 256
};

static void on_watch(void *arg, const char *what, struct span by)
{
    struct agent *a = arg;

    LOG(a->p.log, LOG_WARN, "agent", "the clock or the loop did not run on evenly", kv_s("what", what),
        kv_t("by", by));
}

static void on_dog(void *arg)
{
    struct agent *a = arg;

    daemon_notify("WATCHDOG=1");
    timer_set(a->dog, daemon_watchdog_interval());
}

static void on_spool(void *arg)
{
    struct agent *a = arg;

    if (a->shipping)
        shipping_wake(a->shipping);
}

/* ---- beginning ---- */

static struct wire_str keep(struct agent *a, const char *s)
{
    char *p = arena_text(&a->keep, s, strlen(s));

    return (struct wire_str){p ? p : "", p ? (uint32_t)strlen(s) : 0};
}

static int make_resource(struct agent *a, struct err *e)
{
    const struct section *labels = config_section(a->p.config, "labels");
    struct wire_label *l = arena_array(&a->keep, WIRE_MAX_LABELS, sizeof *l);
    const char *name, *value;
    uint32_t n = 0;

    if (!l)
        return err_set(e, ERR_NOMEM, "no memory for the labels of the host");
    l[n++] = (struct wire_label){{"env", 3}, keep(a, a->env)};
    l[n++] = (struct wire_label){{"host", 4}, keep(a, a->host)};
    l[n++] = (struct wire_label){{"region", 6}, keep(a, a->region)};
    for (size_t i = 0; n < WIRE_MAX_LABELS && option_wild(labels, i, &name, &value); i++)
        l[n++] = (struct wire_label){keep(a, name), keep(a, value)};
    a->resource = (struct wire_resource){l, n};
    return wire_resource_encode(&a->resource, &a->resource_bytes, e);
}

static int who(struct agent *a, struct err *e)
{
    const struct section *s = config_section(a->p.config, "agent");
    int rc = agent_id(a->p.config, a->id, e);

    (void)snprintf(a->region, sizeof a->region, "%s", option_text(s, "region"));
    (void)snprintf(a->env, sizeof a->env, "%s", option_text(s, "env"));
    if (gethostname(a->host, sizeof a->host - 1) != 0 || !*a->host || !wire_utf8_ok(a->host, strlen(a->host)))
        (void)snprintf(a->host, sizeof a->host, "%s", a->id);
    return rc == 0 ? make_resource(a, e) : rc;
}

/* Endpoints and files from the configuration; texts borrowed from it, the token from `token`. */
static int shipping_options(struct agent *a, const struct config *c, struct shipping_params *p,
                            const char **urls, struct buf *token, struct err *e)
{
    const struct section *s = config_section(c, "ship");

    *p = (struct shipping_params){.loop = a->p.loop,
                                  .log = a->p.log,
                                  .spool = a->spool,
                                  .endpoints = urls,
                                  .ca = option_text(s, "ca"),
                                  .cert = option_text(s, "cert"),
                                  .key = option_text(s, "key"),
                                  .timeout = option_span(s, "timeout"),
                                  .failback = option_span(s, "failback"),
                                  .seed = (uint64_t)clock_mono().ns ^ (uint64_t)getpid() << 40};
    while (p->n_endpoints < SHIP_MAX_ENDPOINTS && p->n_endpoints < option_count(s, "endpoints")) {
        urls[p->n_endpoints] = option_word(s, "endpoints", p->n_endpoints);
        p->n_endpoints++;
    }
    if (option_set(s, "token")) {
        int rc = option_secret(s, "token", token, e);

        if (rc != 0)
            return rc;
        p->token = buf_text(token);
    }
    return 0;
}

static int begin_shipping(struct agent *a, struct err *e)
{
    const char *urls[SHIP_MAX_ENDPOINTS];
    struct shipping_params p;
    struct buf token;
    int rc;

    buf_init(&token, NULL, 65536);
    rc = shipping_options(a, a->p.config, &p, urls, &token, e);
    if (rc == 0)
        a->shipping = shipping_new(&p, e);
    buf_free(&token);
    return a->shipping ? 0 : e->code;
}

static int begin_spool(struct agent *a, struct err *e)
{
    const struct section *s = config_section(a->p.config, "spool");
    const char *dir = option_text(config_section(a->p.config, "agent"), "state_dir");
    char path[SPOOL_PATH];
    struct spool_params p = {.store = {.path = path,
                                       .agent = a->id,
                                       .max_bytes = option_int(s, "max_bytes"),
                                       .memory_bytes = option_int(s, "memory_bytes"),
                                       .now = clock_wall(),
                                       .batch = a->batch},
                             .loop = a->p.loop,
                             .log = a->p.log,
                             .changed = on_spool,
                             .arg = a};

    a->lock = daemon_lock_dir(dir, e);
    if (a->lock < 0)
        return a->lock;
    if (snprintf(path, sizeof path, "%s/spool.db", dir) >= (int)sizeof path)
        return err_set(e, ERR_CONFIG, "state_dir is too long");
    a->spool = spool_new(&p, e);
    return a->spool ? 0 : e->code;
}

static struct runner *make_runner(struct agent *a, const struct config *c, struct err *e)
{
    struct runner_params r = {.root = a->p.root,
                              .config = c,
                              .interval = a->interval,
                              .loop = a->p.loop,
                              .log = a->p.log,
                              .mem = &a->mem,
                              .target = {agent_sink, a}};

    return runner_new(&r, e);
}

static int begin_statsd(struct agent *a, struct err *e)
{
    const struct section *s = config_section(a->p.config, "statsd");
    struct statsd_params p = {.max_series = (uint32_t)option_int(s, "max_series"),
                              .max_memory = (size_t)option_int(s, "max_memory"),
                              .seed = {(uint64_t)clock_mono().ns, (uint64_t)getpid()}};
    struct grid_params g = {.max_series = (uint32_t)option_int(s, "max_series"),
                            .block_series = STATSD_BLOCK,
                            .has_start = true,
                            .start = a->self.start_ms,
                            .resource = &a->resource};
    struct err why;

    if (statsd_thresholds(s, &p, e) != 0)
        return e->code;
    a->statsd_interval = option_span(s, "interval");
    if (a->statsd_interval.ns > a->batch.ns)
        a->statsd_interval = a->batch;
    p.expire = (uint32_t)(option_span(s, "expire").ns / a->statsd_interval.ns) + 1;
    g.interval = a->statsd_interval;
    g.max_ticks = (uint32_t)(a->batch.ns / a->statsd_interval.ns) + 2;
    g.forget = p.expire + 2;
    a->statsd = statsd_new(&p);
    a->statsd_grid = grid_new(&g, &a->mem);
    if (!a->statsd || !a->statsd_grid)
        return err_set(e, ERR_NOMEM, "no memory for StatsD");
    for (size_t i = 0; i < option_count(s, "listen") && a->n_listeners < MAX_LISTENERS; i++) {
        struct statsd_listener *l = statsd_listen(a->p.loop, a->p.log, option_word(s, "listen", i),
                                                  (int)option_int(s, "receive_buffer"), a->statsd, &why);

        if (l)
            a->listeners[a->n_listeners++] = l;
        else /* sampling goes on: an agent that does not start for a port in use tells nobody anything */
            LOG(a->p.log, LOG_ERROR, "statsd", "does not listen", kv_s("listen", option_word(s, "listen", i)),
                kv_e(&why));
    }
    return 0;
}

static void fill_page(void *arg, struct page *p)
{
    struct agent *a = arg;

    groups_latest(&a->groups, page_add, p);
    grid_latest(a->statsd_grid, groups_stale(a->statsd_interval), page_add, p);
}

static int begin_pages(struct agent *a, struct err *e)
{
    const struct section *s = config_section(a->p.config, "http");

    if (!option_set(s, "listen"))
        return 0;
    a->pages = pages_new(a->p.loop, option_text(s, "listen"), fill_page, a, e);
    return a->pages ? 0 : e->code;
}

static int begin_guards(struct agent *a, struct err *e)
{
    struct guards_params p = {
        .config = a->p.config, .file = a->p.file, .agent = a->id, .loop = a->p.loop, .log = a->p.log};

    a->guards = guards_new(&p, e);
    return a->guards ? 0 : e->code;
}

static int begin(struct agent *a, struct err *e)
{
    struct grid_params g = {
        .max_series = MAX_SERIES, .block_series = WIRE_MAX_SERIES, .resource = &a->resource};
    const uint64_t no_seed[2] = {0, 0};
    int rc = who(a, e);

    if (rc == 0)
        rc = begin_spool(a, e);
    if (rc == 0)
        rc = begin_shipping(a, e);
    if (rc == 0)
        rc = begin_statsd(a, e);
    if (rc != 0)
        return rc;
    groups_init(&a->groups, &g, a->batch, &a->mem);
    a->phase_ms = (int64_t)(siphash13(no_seed, a->id, strlen(a->id)) % (uint64_t)span_to_ms(a->batch));
    a->codec = wire_codec_new(1);
    a->runner = make_runner(a, a->p.config, e);
    if (!a->runner)
        return e->code;
    a->probes = probes_new(a->p.loop, a->p.config, a->interval, a->batch, e);
    if (!a->probes)
        return e->code;
    a->tick_timer = timer_new(a->p.loop, agent_on_tick, a);
    a->dog = timer_new(a->p.loop, on_dog, a);
    if (!a->codec || !a->tick_timer || !a->dog)
        return err_set(e, ERR_NOMEM, "no memory to begin");
    a->control = control_new(option_text(config_section(a->p.config, "agent"), "socket"), a, a->spool,
                             a->p.loop, a->p.log, e);
    if (!a->control || begin_guards(a, e) != 0)
        return e->code;
    return begin_pages(a, e);
}

struct agent *agent_new(const struct agent_params *p, struct err *e)
{
    struct agent *a = calloc(1, sizeof *a);

    if (!a) {
        (void)err_set(e, ERR_NOMEM, "no memory to begin");
        return NULL;
    }
    a->p = *p;
    a->lock = -1;
    a->mem.cap = SERIES_MEMORY;
    arena_init(&a->keep, NULL, 1 << 20);
    buf_init(&a->resource_bytes, NULL, 1 << 20);
    a->interval = option_span(config_section(p->config, "agent"), "interval");
    a->batch = option_span(config_section(p->config, "ship"), "batch");
    a->self = (struct self){.version = p->version, .revision = p->revision, .start_ms = clock_wall().ms};
    if (begin(a, e) != 0) {
        agent_free(&a);
        return NULL;
    }
    loop_watch(p->loop, span_ms(STALL_LIMIT_MS), on_watch, a);
    agent_set_tick(a);
    if (daemon_watchdog_interval().ns > 0)
        timer_set(a->dog, daemon_watchdog_interval());
    shipping_wake(a->shipping);
    LOG(p->log, LOG_INFO, "agent", "started", kv_s("id", a->id), kv_s("region", a->region),
        kv_s("env", a->env), kv_s("version", p->version),
        kv_u("spooled", spool_totals(a->spool).spooled.batches));
    return a;
}

void agent_free(struct agent **ap)
{
    struct agent *a = *ap;

    if (!a)
        return;
    guards_free(&a->guards);
    pages_free(&a->pages);
    control_free(&a->control);
    timer_free(&a->tick_timer);
    timer_free(&a->stop_timer);
    timer_free(&a->dog);
    probes_free(&a->probes);
    runner_free(&a->runner);
    shipping_free(&a->shipping);
    spool_free(&a->spool);
    for (size_t i = 0; i < a->n_listeners; i++)
        statsd_listener_free(&a->listeners[i]);
    grid_free(&a->statsd_grid);
    statsd_free(&a->statsd);
    groups_free(&a->groups);
    wire_codec_free(&a->codec);
    buf_free(&a->resource_bytes);
    arena_free(&a->keep);
    if (a->lock >= 0)
        (void)close(a->lock);
    free(a);
    *ap = NULL;
}

/* ---- afterwards ---- */

int agent_reload(struct agent *a, const struct config *fresh, struct err *e)
{
    const char *urls[SHIP_MAX_ENDPOINTS];
    struct probes *probes = NULL;
    struct runner *runner = make_runner(a, fresh, e);
    struct shipping_params p;
    struct buf token;
    int rc = runner ? 0 : e->code;

    buf_init(&token, NULL, 65536);
    if (rc == 0) {
        probes = probes_new(a->p.loop, fresh, a->interval, a->batch, e);
        rc = probes ? 0 : e->code;
    }
    if (rc == 0)
        rc = shipping_options(a, fresh, &p, urls, &token, e);
    if (rc == 0)
        rc = shipping_reload(a->shipping, &p, e);
    if (rc == 0)
        rc = guards_reload(a->guards, fresh, e);
    if (rc != 0)
        goto out;
    runner_inherit(runner, a->runner);
    runner_free(&a->runner);
    a->runner = runner;
    runner = NULL;
    probes_free(&a->probes);
    a->probes = probes;
    probes = NULL;
    a->p.config = fresh;
out:
    probes_free(&probes);
    runner_free(&runner);
    buf_free(&token);
    return rc;
}

struct guards *agent_guards(struct agent *a)
{
    return a->guards;
}

void agent_status(struct agent *a, struct status *s)
{
    agent_look_at_self(a);
    *s = (struct status){.id = a->id,
                         .region = a->region,
                         .env = a->env,
                         .now = loop_wall(a->p.loop),
                         .self = a->self,
                         .spool = spool_totals(a->spool),
                         .ship = *shipping_state(a->shipping),
                         .endpoint = shipping_endpoint(a->shipping),
                         .last = shipping_last(a->shipping),
                         .last_seal = a->last_seal};
    s->trouble = shipping_trouble(a->shipping, &s->trouble_at, &s->trouble_over);
}

void agent_dump(struct agent *a)
{
    struct status s;
    struct buf out;
    const char *p;

    agent_status(a, &s);
    buf_init(&out, NULL, 65536);
    (void)status_text(&s, &out);
    for (p = buf_text(&out); *p;) {
        size_t n = strcspn(p, "\n");
        char line[512];

        (void)snprintf(line, sizeof line, "%.*s", (int)(n < 500 ? n : 500), p);
        LOG(a->p.log, LOG_INFO, "state", "dump", kv_s("line", line));
        p += n + (p[n] == '\n');
    }
    buf_free(&out);
}

static void on_stop(void *arg)
{
    struct agent *a = arg;
    struct spool_totals t = spool_totals(a->spool);
    bool empty = t.spooled.batches + t.in_memory.batches == 0;
    bool waits = !shipping_busy(a->shipping) && shipping_state(a->shipping)->state != SHIP_IDLE;

    if (spool_idle(a->spool) && (empty || waits || !mono_before(loop_mono(a->p.loop), a->stop_by))) {
        LOG(a->p.log, LOG_INFO, "agent", "stopped", kv_u("spooled", t.spooled.batches));
        a->p.stopped(a->p.arg);
        return;
    }
    timer_set(a->stop_timer, span_ms(STOP_POLL_MS));
}

void agent_stop(struct agent *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    daemon_notify("STOPPING=1");
    timer_stop(a->tick_timer);
    agent_last_seal(a);
    a->stop_by = mono_add(loop_mono(a->p.loop), span_s(STOP_SECONDS));
    a->stop_timer = timer_new(a->p.loop, on_stop, a);
    if (a->stop_timer)
        timer_set(a->stop_timer, span_ms(STOP_POLL_MS));
    else
        a->p.stopped(a->p.arg);
}
