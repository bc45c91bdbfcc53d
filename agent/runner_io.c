/* The runner's shell: files, workers and sockets around the collectors. See runner.h. */
#include "agent/runner.h"

#include <stdio.h>
#include <string.h>

#include "agent/ask_io.h"
#include "agent/calls_io.h"
#include "agent/files_io.h"
#include "agent/runner_plan.h"

enum { FILES_EACH = 8, NAME_MAX_TEXT = 160 };

/* One collector, or one instance of one. */
struct entry {
    struct runner *r; /* borrowed: its owner */
    const struct collector *c;
    char name[NAME_MAX_TEXT]; /* "cpu", "redis main" */
    char instance[80];
    struct wire_label extra; /* borrows from instance */
    void *state;             /* owned */
    bool ready;              /* setup was done, teardown is due */
    int files[FILES_EACH];
    size_t n_files;
    struct plan plan;
    struct tick tick;    /* of the run that is out */
    struct mono started; /* of that run */
    struct calls *calls; /* owned; NULL unless it has jobs */
    struct ask *ask;     /* owned; NULL unless it asks */
    struct complaint complaint;
};

struct runner {
    struct runner_params p;
    char root[4096];
    struct files *files;
    struct workers *workers;
    struct entry *entries; /* owned */
    size_t n, room;
    uint64_t generation;
};

static struct sink *sink_of(struct entry *en)
{
    struct runner_target *t = &en->r->p.target;
    struct sink *s =
        t->sink_for(t->arg, en->plan.interval, en->tick.wall, &en->extra, en->c->instances ? 1 : 0);

    if (!s)
        en->plan.late++;
    return s;
}

static void finished(struct entry *en, int rc, const struct err *e)
{
    plan_finished(&en->plan, rc == 0, mono_sub(clock_mono(), en->started));
    if (rc)
        COMPLAIN(en->r->p.log, &en->complaint, en->tick.mono, LOG_WARN, "collector", "run failed",
                 kv_s("collector", en->name), kv_e(e));
    else
        log_recovered(en->r->p.log, &en->complaint, "collector", en->name);
}

/* ---- what comes back from workers and servers ------------------------------------------------ */

static void on_called(void *arg, const struct call_job *jobs, const struct call_answer *answers, size_t n)
{
    struct entry *en = arg;
    struct err e = {0};
    struct sink *s = sink_of(en);
    int rc = s ? en->c->called(en->state, &en->tick, jobs, answers, n, s, &e) : 0;

    if (s && (rc || en->c->shape == COLLECTOR_CALL))
        finished(en, rc, &e);
    en->plan.stuck = calls_stuck(en->calls);
}

static bool on_answer(void *arg, struct bytes answer, struct span took, const char *reason,
                      const struct err *why)
{
    struct entry *en = arg;
    struct err e = {0};
    struct sink *s = sink_of(en);
    int rc;

    if (!s)
        return !reason;
    if (reason) {
        en->c->failed(en->state, &en->tick, reason, s);
        finished(en, why && why->code ? why->code : ERR_IO, why);
        return false;
    }
    rc = en->c->answered(en->state, &en->tick, answer, took, s, &e);
    finished(en, rc, &e);
    return rc == 0;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void begin_calls(struct entry *en, const struct bytes *files)
{
    size_t max = 0, n;
    struct call_job *jobs = calls_room(en->calls, 0, &max);

    n = en->c->jobs(en->state, files, jobs, max);
    if (n > max) {
        jobs = calls_room(en->calls, n, &max);
        n = en->c->jobs(en->state, files, jobs, max);
    }
    if (n || en->c->shape == COLLECTOR_CALL)
        calls_begin(en->calls, n < max ? n : max);
}

static void run(struct entry *en)
{
    struct bytes files[FILES_EACH] = {{NULL, 0}};
    struct err e = {0};
    struct sink *s;

    if ((en->calls && calls_busy(en->calls) && en->c->shape == COLLECTOR_CALL) ||
        (en->ask && ask_busy(en->ask))) {
        en->plan.overruns++;
        return;
    }
    en->started = clock_mono();
    for (size_t i = 0; i < en->n_files; i++)
        files[i] = files_read(en->r->files, en->files[i], en->r->generation, NULL);
    if (en->c->shape == COLLECTOR_READ) {
        s = sink_of(en);
        if (s)
            finished(en, en->c->read(en->state, &en->tick, files, s, &e), &e);
    }
    if (en->calls && !calls_busy(en->calls))
        begin_calls(en, files);
    if (en->ask)
        ask_begin(en->ask);
}

void runner_tick(struct runner *r, struct wall at, struct mono now)
{
    r->generation++;
    for (size_t i = 0; i < r->n; i++) {
        struct entry *en = &r->entries[i];
        struct span since;
        bool out = (en->calls && calls_busy(en->calls)) || (en->ask && ask_busy(en->ask));

        if (r->p.every_tick)
            plan_again(&en->plan);
        if (!plan_due(&en->plan, at, now, &since))
            continue;
        if (!out || en->c->shape == COLLECTOR_READ)
            en->tick = (struct tick){.wall = at, .mono = now, .since = since};
        run(en);
    }
}

bool runner_idle(const struct runner *r)
{
    for (size_t i = 0; i < r->n; i++)
        if ((r->entries[i].calls && calls_busy(r->entries[i].calls)) ||
            (r->entries[i].ask && ask_busy(r->entries[i].ask)))
            return false;
    return true;
}

void runner_metrics(const struct runner *r, struct sink *s)
{
    for (size_t i = 0; i < r->n; i++)
        plan_metrics(&r->entries[i].plan, r->entries[i].name, s);
}

void runner_results(const struct runner *r, struct sink *s)
{
    for (size_t i = 0; i < r->n; i++)
        plan_results(&r->entries[i].plan, r->entries[i].name, s);
}

const char *runner_unwell(const struct runner *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->entries[i].plan.known || !r->entries[i].plan.success)
            return r->entries[i].name;
    return NULL;
}

/* ---- construction ---------------------------------------------------------------------------- */

static bool wanted(const struct runner *r, const struct entry *en, const struct section *options)
{
    if (!r->p.only)
        return option_bool(options, "enabled");
    return strcmp(r->p.only, en->c->name) == 0 || strcmp(r->p.only, en->name) == 0;
}

static int setup_times(struct entry *en, const struct section *options, struct err *e)
{
    struct span agent = en->r->p.interval;
    int rc;

    if (!en->r->p.every_tick) {
        rc = plan_times(options, agent, &en->plan, NULL, e);
        return rc ? err_prefix(e, "[%s]", en->name) : 0;
    }
    en->plan.interval = agent;
    en->plan.timeout = option_span(options, "timeout");
    return 0;
}

static int setup_state(struct entry *en, const struct section *options, struct err *e)
{
    struct collector_setup s = {.options = options, .mem = en->r->p.mem};
    struct buf secret;
    int rc = 0;

    buf_init(&secret, en->r->p.mem, 4096);
    if (en->c->state_size && !(en->state = mem_alloc(en->r->p.mem, en->c->state_size))) {
        rc = err_set(e, ERR_NOMEM, "no memory for the collector %s", en->name);
        goto out;
    }
    if (en->c->secret && option_set(options, en->c->secret)) {
        rc = option_secret(options, en->c->secret, &secret, e);
        if (rc)
            goto out;
        s.secret = buf_text(&secret);
    }
    rc = en->c->setup ? en->c->setup(en->state, &s, e) : 0;
    en->ready = rc == 0;
out:
    if (secret.data)
        explicit_bzero(secret.data, secret.room);
    buf_free(&secret);
    return rc;
}

static int setup_io(struct entry *en, const struct section *options, struct err *e)
{
    struct runner *r = en->r;

    for (size_t i = 0; en->c->files && en->c->files[i] && i < FILES_EACH; i++) {
        en->files[i] = files_add(r->files, en->c->files[i]);
        if (en->files[i] < 0)
            return err_set(e, en->files[i], "%s: cannot keep %s", en->name, en->c->files[i]);
        en->n_files++;
    }
    if (en->c->jobs) {
        en->calls = calls_new(&(struct calls_params){.workers = r->workers,
                                                     .root = r->root,
                                                     .timeout = en->plan.timeout,
                                                     .mem = r->p.mem,
                                                     .done = on_called,
                                                     .arg = en});
        if (!en->calls)
            return err_set(e, ERR_NOMEM, "no memory for the collector %s", en->name);
    }
    if (en->c->shape == COLLECTOR_ASK) {
        en->ask = ask_new(&(struct ask_params){.loop = r->p.loop,
                                               .workers = r->workers,
                                               .shape = en->c,
                                               .state = en->state,
                                               .address = option_text(options, "address"),
                                               .timeout = en->plan.timeout,
                                               .mem = r->p.mem,
                                               .done = on_answer,
                                               .arg = en});
        if (!en->ask)
            return err_set(e, ERR_NOMEM, "no memory for the collector %s, or its address is too long",
                           en->name);
    }
    return 0;
}

/* Adds an entry unless it is not wanted. The array has its final
 * size before the first is added: entries are pointed to. */
static int add(struct runner *r, const struct collector *c, const struct section *options, struct err *e)
{
    struct entry *en = &r->entries[r->n];
    int rc;

    *en = (struct entry){.r = r, .c = c};
    if (c->instances) {
        (void)snprintf(en->instance, sizeof en->instance, "%s", section_label(options));
        (void)snprintf(en->name, sizeof en->name, "%s %s", c->name, en->instance);
        en->extra = (struct wire_label){.name = {c->instance, (uint32_t)strlen(c->instance)},
                                        .value = {en->instance, (uint32_t)strlen(en->instance)}};
    } else {
        (void)snprintf(en->name, sizeof en->name, "%s", c->name);
    }
    if (!wanted(r, en, options))
        return 0;
    r->n++;
    rc = setup_times(en, options, e);
    rc = rc ? rc : setup_state(en, options, e);
    return rc ? rc : setup_io(en, options, e);
}

static int add_all(struct runner *r, struct err *e)
{
    for (size_t i = 0; i < collectors_count; i++) {
        const struct collector *c = collectors[i];
        char name[NAME_MAX_TEXT];
        const struct section *s;
        int rc = 0;

        (void)snprintf(name, sizeof name, "collector %s", c->name);
        if (!c->instances)
            rc = add(r, c, config_section(r->p.config, name), e);
        for (size_t k = 0; c->instances && !rc && (s = config_named(r->p.config, c->name, k)); k++)
            rc = add(r, c, s, e);
        if (rc)
            return rc;
    }
    if (r->p.only && !r->n)
        return err_set(e, ERR_NOTFOUND, "there is no collector \"%s\" in this configuration", r->p.only);
    return 0;
}

static size_t count_entries(const struct config *config)
{
    size_t n = 0;

    for (size_t i = 0; i < collectors_count; i++) {
        size_t k = 0;

        while (collectors[i]->instances && config_named(config, collectors[i]->name, k))
            k++;
        n += collectors[i]->instances ? k : 1;
    }
    return n ? n : 1;
}

struct runner *runner_new(const struct runner_params *p, struct err *e)
{
    struct runner *r = mem_alloc(p->mem, sizeof *r);
    int rc = 0;

    if (!r) {
        err_set(e, ERR_NOMEM, "no memory for the collectors");
        return NULL;
    }
    r->p = *p;
    r->room = count_entries(p->config);
    if (p->root && strlen(p->root) < sizeof r->root)
        memcpy(r->root, p->root, strlen(p->root));
    else if (p->root)
        rc = err_set(e, ERR_LIMIT, "the root prefix is too long");
    r->entries = mem_array(p->mem, r->room, sizeof *r->entries);
    r->files = files_new(r->root, p->mem);
    r->workers = workers_new(p->loop, CALLS_THREADS, e);
    if (!rc && (!r->entries || !r->files || !r->workers))
        rc = err_set(e, ERR_NOMEM, "no memory for the collectors");
    if (!rc)
        rc = add_all(r, e);
    r->p.config = NULL;
    r->p.only = NULL;
    if (rc)
        runner_free(&r);
    return r;
}

static struct entry *named(struct runner *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->entries[i].name, name) == 0)
            return &r->entries[i];
    return NULL;
}

void runner_inherit(struct runner *r, struct runner *old)
{
    struct workers *fresh = r->workers;

    r->workers = old->workers;
    old->workers = fresh;
    for (size_t i = 0; i < old->n; i++) {
        struct entry *from = &old->entries[i], *to = named(r, from->name);

        if (from->calls)
            calls_inherit(to ? to->calls : NULL, from->calls, r->workers);
        if (from->ask)
            ask_use(from->ask, fresh);
    }
    for (size_t i = 0; i < r->n; i++) {
        if (r->entries[i].calls)
            calls_inherit(r->entries[i].calls, NULL, r->workers);
        if (r->entries[i].ask)
            ask_use(r->entries[i].ask, r->workers);
    }
}

void runner_free(struct runner **rp)
{
    struct runner *r = *rp;

    if (!r)
        return;
    workers_free(&r->workers); /* first: no callback meets what is released below */
    for (size_t i = 0; r->entries && i < r->n; i++) {
        struct entry *en = &r->entries[i];

        ask_free(&en->ask);
        calls_free(&en->calls);
        if (en->ready && en->c->teardown)
            en->c->teardown(en->state);
        mem_free(r->p.mem, en->state, en->c->state_size);
    }
    mem_free(r->p.mem, r->entries, r->room * sizeof *r->entries);
    files_free(&r->files);
    mem_free(r->p.mem, r, sizeof *r);
    *rp = NULL;
}
