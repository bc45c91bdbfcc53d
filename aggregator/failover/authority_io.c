/* The authority's calls: one of each kind at a time for a service, each answered once and counted. The two stores are in
 * authority_etcd_io.c and authority_local_io.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/failover/authority_private.h"

static const char *const kinds[AUTHORITY_KINDS] = {"acquire", "keep", "resign", "read", "store"};
static const char *const outcomes[AUTHORITY_OUTCOMES] = {[AUTHORITY_OK] = "ok",
                                                         [AUTHORITY_HELD] = "held",
                                                         [AUTHORITY_LOST] = "lost",
                                                         [AUTHORITY_CONFLICT] = "conflict",
                                                         [AUTHORITY_AWAY] = "away"};

struct authority *authority_open(const struct authority_params *p, struct err *e)
{
    const struct section *s = config_section(p->config, "coordination");
    struct authority *a = calloc(1, sizeof *a);

    if (!a) {
        err_set(e, ERR_NOMEM, "no memory for the authority");
        return NULL;
    }
    a->p = *p;
    a->p.config = NULL;
    (void)snprintf(a->prefix, sizeof a->prefix, "%s", option_text(s, "prefix"));
    (void)snprintf(a->epoch_key, sizeof a->epoch_key, "%s/store-epoch", a->prefix);
    (void)snprintf(a->self, sizeof a->self, "%.40s %.60s %" PRIu64, p->voter ? p->voter : "-", p->host,
                   p->boot);
    for (int k = 0; k < AUTHORITY_KINDS; k++)
        sketch_init_scale(&a->took[k], NULL, SKETCH_SCALE_TIMER);
    if (strcmp(option_text(s, "type"), "etcd") == 0 && !(a->link = etcd_link_new(s, p->loop, p->log, e)))
        authority_close(&a);
    else if (a->link && p->changed)
        a->watcher = etcd_watcher_new(a); /* callers poll as well: without it all is only slower */
    if (a && a->link && option_bool(s, "place_leader"))
        a->place = etcd_place_new(a);
    return a;
}

static void call_clear(struct authority_call *c)
{
    etcd_ask_cancel(&c->ask[0]);
    etcd_ask_cancel(&c->ask[1]);
    buf_free(&c->record);
    buf_free(&c->line);
    buf_free(&c->state);
    arena_free(&c->arena);
    c->busy = false;
}

void authority_close(struct authority **ap)
{
    struct authority *a = *ap;

    if (!a)
        return;
    etcd_watcher_free(&a->watcher);
    etcd_place_free(&a->place);
    authority_etcd_journal_free(a);
    authority_local_close(a);
    while (a->services) {
        struct authority_service *s = a->services;

        a->services = s->next;
        for (int k = 0; k < AUTHORITY_KINDS; k++) {
            call_clear(&s->call[k]);
            timer_free(&s->call[k].timer);
        }
        free(s);
    }
    etcd_link_free(&a->link);
    for (int k = 0; k < AUTHORITY_KINDS; k++)
        sketch_free(&a->took[k]);
    free(a);
    *ap = NULL;
}

/* ---- calls ---- */

void authority_end(struct authority_call *c, enum authority_outcome outcome)
{
    struct authority *a = c->a;
    const authority_done done = c->done;
    void *arg = c->arg;
    struct authority_answer answer = c->answer;
    struct arena arena = c->arena; /* what the answer borrows lives until the caller has seen it */
    struct buf state = c->state;

    answer.outcome = outcome;
    if (outcome != AUTHORITY_AWAY)
        answer.why[0] = 0;
    arena_init(&c->arena, NULL, 0);
    buf_init(&c->state, NULL, 0);
    a->outcomes[c->kind][outcome]++;
    (void)sketch_add(&a->took[c->kind], span_seconds(mono_sub(clock_mono(), c->began)), 1);
    call_clear(c);
    done(arg, &answer);
    arena_free(&arena);
    buf_free(&state);
}

void authority_end_soon(struct authority_call *c, enum authority_outcome outcome, const char *why)
{
    c->answering = true;
    c->answer.outcome = outcome;
    (void)snprintf(c->answer.why, sizeof c->answer.why, "%s", why);
    timer_set(c->timer, span_ns(0));
}

static void on_timer(void *arg)
{
    struct authority_call *c = arg;

    if (!c->busy)
        return;
    if (c->answering)
        authority_end(c, c->answer.outcome);
    else if (c->a->link)
        authority_etcd_again(c);
}

struct authority_service *authority_service_of(struct authority *a, const char *name)
{
    struct authority_service *s;
    bool good = true;

    for (s = a->services; s; s = s->next)
        if (strcmp(s->name, name) == 0)
            return s;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    (void)snprintf(s->leader, sizeof s->leader, "%s/%s/leader", a->prefix, s->name);
    (void)snprintf(s->record, sizeof s->record, "%s/%s/record", a->prefix, s->name);
    (void)snprintf(s->last, sizeof s->last, "%s/%s/last", a->prefix, s->name);
    (void)snprintf(s->journal, sizeof s->journal, "%s/%s/journal/", a->prefix, s->name);
    for (int k = 0; k < AUTHORITY_KINDS; k++) {
        s->call[k] = (struct authority_call){.a = a, .s = s, .kind = (enum authority_kind)k};
        s->call[k].timer = timer_new(a->p.loop, on_timer, &s->call[k]);
        good = good && s->call[k].timer;
    }
    if (!good) {
        for (int k = 0; k < AUTHORITY_KINDS; k++)
            timer_free(&s->call[k].timer);
        free(s);
        return NULL;
    }
    s->next = a->services;
    a->services = s;
    return s;
}

static int begin(struct authority *a, const char *service, enum authority_kind kind, authority_done done,
                 void *arg, struct authority_call **out)
{
    struct authority_service *s = authority_service_of(a, service);
    struct authority_call *c = s ? &s->call[kind] : NULL;

    if (!c)
        return ERR_NOMEM;
    if (c->busy)
        return ERR_STATE;
    timer_stop(c->timer);
    *c = (struct authority_call){.a = a,
                                 .s = s,
                                 .kind = kind,
                                 .busy = true,
                                 .done = done,
                                 .arg = arg,
                                 .began = clock_mono(),
                                 .timer = c->timer};
    c->answer.sent = c->began;
    arena_init(&c->arena, NULL, 0);
    buf_init(&c->record, NULL, AUTHORITY_RECORD);
    buf_init(&c->line, NULL, AUTHORITY_LINE);
    buf_init(&c->state, NULL, 2 * AUTHORITY_RECORD);
    *out = c;
    return 0;
}

static void start(struct authority_call *c)
{
    if (c->a->link)
        authority_etcd_start(c);
    else
        authority_local_start(c);
}

static int simple(struct authority *a, const char *service, enum authority_kind kind, authority_done done,
                  void *arg)
{
    struct authority_call *c;
    int rc = begin(a, service, kind, done, arg, &c);

    if (rc == 0)
        start(c);
    return rc;
}

int authority_acquire(struct authority *a, const char *service, authority_done done, void *arg)
{
    return simple(a, service, AUTHORITY_ACQUIRE, done, arg);
}

int authority_keep(struct authority *a, const char *service, authority_done done, void *arg)
{
    return simple(a, service, AUTHORITY_KEEP, done, arg);
}

int authority_resign(struct authority *a, const char *service, authority_done done, void *arg)
{
    return simple(a, service, AUTHORITY_RESIGN, done, arg);
}

int authority_read(struct authority *a, const char *service, authority_done done, void *arg)
{
    return simple(a, service, AUTHORITY_READ, done, arg);
}

int authority_store(struct authority *a, const char *service, struct fencing token, uint64_t seen,
                    struct bytes record, struct bytes line, authority_done done, void *arg)
{
    struct authority_call *c;
    int rc = begin(a, service, AUTHORITY_STORE, done, arg, &c);

    if (rc)
        return rc;
    c->token = token;
    c->seen = seen;
    buf_put(&c->record, record.p, record.n);
    buf_put(&c->line, line.p, line.n);
    if (c->record.full || c->line.full) {
        call_clear(c);
        return ERR_NOMEM;
    }
    start(c);
    return 0;
}

int authority_journal(struct authority *a, const char *service, uint32_t n,
                      void (*line)(void *arg, struct bytes line, int code), void *arg)
{
    struct authority_service *s = authority_service_of(a, service);

    if (!s)
        return ERR_NOMEM;
    return a->link ? authority_etcd_journal(a, s, n, line, arg) : authority_local_journal(a, s, n, line, arg);
}

void authority_metrics(const struct authority *a, struct sink *out)
{
    static const struct metric_row calls = {
        "securebase_coordination_calls_total",    METRIC_COUNTER, 1, 1, "call outcome",
        "Calls to the authority between regions."};
    static const struct metric_row took = {
        "securebase_coordination_call_seconds",
        METRIC_SKETCH,
        1,
        1,
        "call",
        "Time of a call to the authority, over all members that were asked."};
    static const struct metric_row holding = {
        "securebase_coordination_holding",
        METRIC_GAUGE,
        1,
        1,
        "service",
        "Whether this aggregator holds the service's lease, as last heard."};

    for (int k = 0; k < AUTHORITY_KINDS; k++) {
        for (int o = 0; o < AUTHORITY_OUTCOMES; o++)
            sink_uint(out, &calls, (struct text[]){text_of(kinds[k]), text_of(outcomes[o])},
                      a->outcomes[k][o]);
        if (a->took[k].count)
            sink_sketch(out, &took, (struct text[]){text_of(kinds[k])}, &a->took[k]);
    }
    for (const struct authority_service *s = a->services; s; s = s->next)
        sink_int(out, &holding, (struct text[]){text_of(s->name)}, s->holding);
    if (a->place)
        etcd_place_metrics(a->place, out);
    if (a->link)
        etcd_link_metrics(a->link, out);
}
