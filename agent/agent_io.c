/* The agent's wiring: see agent.h.
 *
 * Ticks lie on the wall clock's grid. At each: what was open ends; a batch is sealed when this agent's moment has come (the
 * moments of many agents are spread by their ids, so that they do not all post in the same second), or when a grid demands
 * it; then the collectors that are due run. Their late answers still belong to the tick until the next one. */
#include "agent/agent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/control_io.h"
#include "agent/groups.h"
#include "agent/inputs/statsd.h"
#include "agent/options.h"
#include "agent/probes_io.h"
#include "agent/runner.h"
#include "common/base/map.h"
#include "common/daemon/daemon.h"
#include "common/net/http_server.h"

enum {
    STOP_SECONDS = 5,
    STOP_POLL_MS = 50,
    SERIES_MEMORY = 256 << 20,
    MAX_SERIES = 200000,
    STALL_LIMIT_MS = 1000,
    SPOOL_PATH = 512,
    MAX_LISTENERS = 16,
    STATSD_BLOCK = 256
};

struct agent {
    struct agent_params p;
    char id[AGENT_ID_ROOM], host[256], region[WIRE_MAX_LABEL_VALUE + 1], env[WIRE_MAX_LABEL_VALUE + 1];
    int lock;
    struct mem mem;
    struct arena keep; /* the resource's texts */
    struct wire_resource resource;
    struct buf resource_bytes;
    struct wire_codec *codec;
    struct groups groups;
    struct runner *runner;
    struct probes *probes;
    struct spool *spool;
    struct shipping *shipping;
    struct control *control;
    struct statsd *statsd;
    struct grid *statsd_grid;
    struct statsd_listener *listeners[MAX_LISTENERS];
    size_t n_listeners;
    struct span statsd_interval;
    struct wall statsd_tick; /* the last */
    struct timer *tick_timer, *stop_timer, *dog;
    struct span interval, batch;
    int64_t phase_ms; /* of this agent's sealing within `batch` */
    struct wall last_tick, last_seal;
    struct self self;
    struct complaint sealing;
    bool stopping;
    struct mono stop_by;
};

/* ---- what it tells of itself ---- */

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    char text[128];
    ssize_t n = -1;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, text, sizeof text - 1);
        (void)close(fd);
    }
    if (n <= 0)
        return 0;
    text[n] = 0;
    (void)sscanf(text, "%*u %llu", &pages);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void look_at_self(struct agent *a)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) == 0)
        a->self.cpu_seconds = (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
                              1e-6 * (double)u.ru_utime.tv_usec + 1e-6 * (double)u.ru_stime.tv_usec;
    a->self.resident_bytes = resident_bytes();
    a->self.grids = groups_stats(&a->groups);
    grid_stats_add(&a->self.grids, a->statsd_grid);
    a->self.mem = a->mem;
    a->self.log_warnings = log_lines(a->p.log, LOG_WARN);
    a->self.log_errors = log_lines(a->p.log, LOG_ERROR);
    a->self.log_lost = log_lost(a->p.log);
}

static void tell(struct agent *a, struct wall at)
{
    struct grid *g = groups_at(&a->groups, a->batch, at);
    struct loop_stats l = loop_stats_take(a->p.loop);
    struct spool_totals t = spool_totals(a->spool);

    if (!g)
        return;
    look_at_self(a);
    a->self.stalls = l.stalls;
    a->self.steps = l.steps;
    a->self.worst_stall = l.worst_stall;
    grid_extra(g, NULL, 0);
    self_metrics(&a->self, grid_sink(g));
    spool_metrics(&t, grid_sink(g));
    shipper_metrics(shipping_state(a->shipping), grid_sink(g));
    runner_metrics(a->runner, grid_sink(g));
    statsd_metrics(a->statsd, grid_sink(g));
    statsd_listener_metrics(a->listeners, a->n_listeners, grid_sink(g));
}

/* ---- sealing ---- */

static int sealed(void *arg, const struct batch *b, struct err *e)
{
    struct agent *a = arg;

    return spool_put(a->spool, b, e);
}

static void seal(struct agent *a, struct wall at)
{
    struct grid *grids[GROUPS_MAX + 1];
    struct seal s = {.agent = a->id,
                     .now = loop_wall(a->p.loop),
                     .resource = buf_bytes(&a->resource_bytes),
                     .grids = grids,
                     .codec = a->codec,
                     .mem = &a->mem,
                     .out = sealed,
                     .arg = a};
    struct seal_result r;
    struct err e;

    tell(a, at);
    groups_end(&a->groups);
    memcpy(grids, a->groups.grids, a->groups.n * sizeof(struct grid *));
    grids[a->groups.n] = a->statsd_grid;
    s.n_grids = a->groups.n + 1;
    s.events = statsd_events(a->statsd, &s.n_events);
    spool_next(a->spool, &s.epoch, &s.seq, &s.low);
    if (batch_seal(&s, &r, &e) != 0) {
        COMPLAIN(a->p.log, &a->sealing, loop_mono(a->p.loop), LOG_ERROR, "seal",
                 "values are left out of a batch", kv_u("values", r.left_out_limit + r.left_out_memory),
                 kv_e(&e));
        if (r.left_out_limit)
            spool_lost(a->spool, SPOOL_DROP_LIMIT, r.left_out_limit);
        if (r.left_out_memory)
            spool_lost(a->spool, SPOOL_DROP_MEMORY, r.left_out_memory);
    } else {
        log_recovered(a->p.log, &a->sealing, "seal", "batches are whole again");
    }
    statsd_events_clear(a->statsd);
    a->last_seal = s.now;
}

/* ---- ticks ---- */

static struct sink *sink_for(void *arg, struct span interval, struct wall at, const struct wire_label *extra,
                             uint32_t n)
{
    struct agent *a = arg;
    struct grid *g = groups_at(&a->groups, interval, at);

    if (!g)
        return NULL;
    grid_extra(g, extra, n);
    return grid_sink(g);
}

static int64_t slot(const struct agent *a, struct wall t)
{
    return (t.ms + a->phase_ms) / span_to_ms(a->batch);
}

/* What applications sent since the tick before. When the grid takes no tick now, all of it stays for the next one. */
static void flush_statsd(struct agent *a, struct wall at)
{
    if (grid_begin(a->statsd_grid, at) != 0)
        return;
    statsd_flush(a->statsd, a->statsd_grid);
    grid_end(a->statsd_grid);
    a->statsd_tick = at;
}

static bool statsd_due(const struct agent *a, struct wall at)
{
    int64_t step = span_to_ms(a->statsd_interval);

    return at.ms / step != a->statsd_tick.ms / step;
}

static void tick(struct agent *a, struct wall at)
{
    int64_t step = span_to_ms(a->interval), gone = at.ms - a->last_tick.ms;

    groups_end(&a->groups);
    if (a->last_tick.ms && gone > step)
        a->self.missed += (uint64_t)(gone / step - 1);
    if (statsd_due(a, at))
        flush_statsd(a, at);
    if ((a->last_tick.ms && slot(a, at) != slot(a, a->last_tick)) || groups_must_seal(&a->groups, at))
        seal(a, gone > 0 ? at : (struct wall){a->last_tick.ms + 1});
    if (statsd_due(a, at)) /* the grid was full, or the clock was set back */
        flush_statsd(a, at);
    a->last_tick = at;
    a->self.ticks++;
    probes_tick(a->probes, &a->groups, at);
    runner_tick(a->runner, at, loop_mono(a->p.loop));
}

/* The next point of the grid after now. */
static void set_tick(struct agent *a)
{
    int64_t step = span_to_ms(a->interval), now = loop_wall(a->p.loop).ms;

    timer_set(a->tick_timer, span_ms((now / step + 1) * step - now));
}

static void on_tick(void *arg)
{
    struct agent *a = arg;
    int64_t step = span_to_ms(a->interval);
    struct wall at = {loop_wall(a->p.loop).ms / step * step};

    if (at.ms != a->last_tick.ms) /* the same once more when the timer was a millisecond early */
        tick(a, at);
    set_tick(a);
}

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
                                       .now = clock_wall()},
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
                              .target = {sink_for, a}};

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
    a->tick_timer = timer_new(a->p.loop, on_tick, a);
    a->dog = timer_new(a->p.loop, on_dog, a);
    if (!a->codec || !a->tick_timer || !a->dog)
        return err_set(e, ERR_NOMEM, "no memory to begin");
    a->control = control_new(option_text(config_section(a->p.config, "agent"), "socket"), a, a->spool,
                             a->p.loop, a->p.log, e);
    return a->control ? 0 : e->code;
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
    set_tick(a);
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
    if (rc != 0)
        goto out;
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

void agent_status(struct agent *a, struct status *s)
{
    look_at_self(a);
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
    groups_end(&a->groups);
    flush_statsd(a, loop_wall(a->p.loop));
    seal(a, (struct wall){loop_wall(a->p.loop).ms > a->last_tick.ms ? loop_wall(a->p.loop).ms
                                                                    : a->last_tick.ms + 1});
    a->stop_by = mono_add(loop_mono(a->p.loop), span_s(STOP_SECONDS));
    a->stop_timer = timer_new(a->p.loop, on_stop, a);
    if (a->stop_timer)
        timer_set(a->stop_timer, span_ms(STOP_POLL_MS));
    else
        a->p.stopped(a->p.arg);
}
