/* The shell of the machine that sends: carries out its effects with
 * the HTTP client and the spool, and brings it what came of them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ship/shipper.h"
#include "common/daemon/log.h"
#include "common/net/http_client.h"
#include "common/net/loop.h"

enum { URL_MAX = 1024, ANSWER_MAX = 65536 };

struct shipping {
    struct shipping_params p; /* texts are not kept here */
    struct shipper m;
    struct http_client *client;
    struct http_call *call;
    struct timer *timer;
    char (*endpoints)[URL_MAX];
    char *authorization; /* "Bearer …" or NULL */
    struct buf frame;    /* the batch in hand */
    struct buf body;     /* definitions in hand */
    struct wire_hash need[WIRE_MAX_DEFINITIONS];
    uint32_t n_need;
    bool defining;
    struct complaint complaint;
    char trouble[512];
    struct wall trouble_at;
    struct wall last;
};

static void step(struct shipping *s, struct ship_event *e);

static void trouble(struct shipping *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void trouble(struct shipping *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(s->trouble, sizeof s->trouble, fmt, ap);
    va_end(ap);
    s->trouble_at = loop_wall(s->p.loop);
}

static void unread(struct shipping *s)
{
    struct spool_totals t = spool_totals(s->p.spool);

    trouble(s, "%s", *t.trouble ? t.trouble : "no memory");
}

static void on_front(void *arg, const struct spool_answer *a)
{
    struct shipping *s = arg;
    struct ship_event e = {.type = SHIP_EV_FRONT, .ok = a->code == 1, .item = a->item};

    buf_clear(&s->frame);
    buf_put(&s->frame, a->bytes.p, a->bytes.n);
    e.failed = a->code < 0 || s->frame.full;
    if (e.failed)
        unread(s);
    step(s, &e);
}

static void on_body(void *arg, const struct spool_answer *a)
{
    struct shipping *s = arg;
    struct ship_event e = {.type = SHIP_EV_BODY, .found = a->code == 0 ? a->found : 0};

    buf_clear(&s->body);
    buf_put(&s->body, a->bytes.p, a->bytes.n);
    e.failed = a->code != 0 || s->body.full;
    if (e.failed)
        unread(s);
    step(s, &e);
}

static void on_moved(void *arg, const struct spool_answer *a)
{
    struct shipping *s = arg;
    struct ship_event e = {.type = SHIP_EV_MOVED, .ok = a->code == 0};

    if (a->code == 0)
        LOG0(s->p.log, LOG_WARN, "ship", "batches are numbered anew, in another epoch");
    step(s, &e);
}

static void on_timer(void *arg)
{
    struct ship_event e = {.type = SHIP_EV_TIMER};

    step(arg, &e);
}

/* Seconds as digits; the other form (a date) is not among the protocol's. */
static struct span retry_after(const char *text)
{
    int64_t s = 0;

    for (const char *p = text; *p >= '0' && *p <= '9' && s < 1000000; p++)
        s = s * 10 + (*p - '0');
    return span_s(s);
}

static bool is_answer(const char *type)
{
    size_t n = strlen(WIRE_TYPE_ANSWER);

    return strncasecmp(type, WIRE_TYPE_ANSWER, n) == 0 && (!type[n] || type[n] == ';' || type[n] == ' ');
}

static void describe(struct shipping *s, const struct http_result *r, const struct ship_event *e,
                     const struct wire_answer *a)
{
    if (r->code != 0)
        trouble(s, "%s: %s", r->reason, r->error);
    else if (!e->ours)
        trouble(s, "status %d of type \"%.60s\"", r->status, r->content_type);
    else
        trouble(s, "status %d: %s %s", r->status, wire_reason_name(a->reason), a->error);
}

static void on_answer(void *arg, const struct http_result *r)
{
    struct shipping *s = arg;
    struct spool_totals t = spool_totals(s->p.spool);
    struct ship_event e = {.type = SHIP_EV_ANSWER,
                           .ok = r->code == 0,
                           .why = r->reason,
                           .status = r->status,
                           .acked_epoch = t.acked_epoch};
    struct wire_answer answer = {0};
    struct arena a;
    struct err err;

    s->call = NULL;
    arena_init(&a, NULL, ANSWER_MAX * 4);
    if (e.ok && is_answer(r->content_type))
        e.ours = wire_answer_decode(r->status, r->body.p, r->body.n, s->defining, &a, &answer, &err) == 0;
    if (e.ok)
        e.retry_after = retry_after(r->retry_after);
    if (e.ours && r->status == 409) {
        s->n_need = answer.n_need < WIRE_MAX_DEFINITIONS ? answer.n_need : WIRE_MAX_DEFINITIONS;
        if (s->n_need)
            memcpy(s->need, answer.need, s->n_need * sizeof *s->need);
    }
    e.answer = &answer;
    if (!e.ours || (r->status != 200 && r->status != 409)) /* a definition asked for is no trouble */
        describe(s, r, &e, &answer);
    step(s, &e);
    arena_free(&a);
}

/* One request. When it cannot even begin, that is as no answer. */
static void post(struct shipping *s, unsigned endpoint, bool definitions)
{
    const struct buf *b = definitions ? &s->body : &s->frame;
    char url[URL_MAX + 32], sent[32];
    struct http_header h[3] = {{"Content-Type", definitions ? WIRE_TYPE_DEFINITIONS : WIRE_TYPE_BATCH},
                               {"X-Securebase-Sent", sent},
                               {"Authorization", s->authorization}};
    struct http_request r = {.method = "POST",
                             .url = url,
                             .headers = h,
                             .n_headers = s->authorization ? 3 : 2,
                             .body = b->data,
                             .body_len = b->len,
                             .timeout = s->p.timeout,
                             .max_answer = ANSWER_MAX,
                             .idempotent =
                                 true}; /* the aggregator takes each batch once: a kept connection will do */
    struct err e;

    s->defining = definitions;
    (void)snprintf(url, sizeof url, "%s/v1/%s", s->endpoints[endpoint],
                   definitions ? "definitions" : "batches");
    (void)snprintf(sent, sizeof sent, "%lld", (long long)clock_wall().ms);
    s->call = http_client_send(s->client, &r, on_answer, s, &e);
    if (!s->call) {
        struct http_result none = {.code = ERR_IO, .reason = "send", .content_type = "", .retry_after = ""};

        (void)snprintf(none.error, sizeof none.error, "%.250s", e.text);
        on_answer(s, &none);
    }
}

static void settle(struct shipping *s, const struct ship_effect *f)
{
    struct spool_death death = {.at = loop_wall(s->p.loop), .status = f->status, .reason = f->say};

    if (f->type == SHIP_DO_ACK) {
        s->last = loop_wall(s->p.loop);
        (void)spool_ack(s->p.spool, f->epoch, f->seq, f->refused);
        return;
    }
    LOG(s->p.log, LOG_ERROR, "ship", "a batch is given up", kv_s("reason", f->say), kv_s("error", s->trouble),
        kv_u("epoch", f->epoch), kv_u("seq", f->seq));
    death.error = s->trouble;
    (void)spool_drop(s->p.spool, f->epoch, f->seq, SPOOL_DROP_DEAD, &death);
}

static void carry_out(struct shipping *s, const struct ship_effect *f)
{
    const struct spool_answer none = {.code = ERR_NOMEM}; /* where the spool was not even asked */

    switch (f->type) {
    case SHIP_DO_FRONT:
        if (spool_front(s->p.spool, on_front, s) != 0)
            on_front(s, &none);
        break;
    case SHIP_DO_POST: post(s, f->endpoint, false); break;
    case SHIP_DO_FIND:
        if (spool_defs(s->p.spool, s->need, s->n_need, on_body, s) != 0)
            on_body(s, &none);
        break;
    case SHIP_DO_POST_DEFS: post(s, f->endpoint, true); break;
    case SHIP_DO_ACK:
    case SHIP_DO_DROP: settle(s, f); break;
    case SHIP_DO_MOVE:
        if (spool_renumber(s->p.spool, f->epoch, on_moved, s) != 0)
            on_moved(s, &none);
        break;
    case SHIP_DO_TIMER: timer_set(s->timer, f->wait); break;
    case SHIP_DO_COMPLAIN:
        COMPLAIN(s->p.log, &s->complaint, loop_mono(s->p.loop), LOG_WARN, "ship", f->say,
                 kv_s("endpoint", s->endpoints[f->endpoint]), kv_s("error", s->trouble));
        break;
    case SHIP_DO_RECOVERED:
        log_recovered(s->p.log, &s->complaint, "ship", "batches are delivered again");
        break;
    }
}

/* The effect that leads to the next event stands last in its list,
 * so an answer that comes within carry_out finds the rest done. */
static void step(struct shipping *s, struct ship_event *e)
{
    struct ship_effect f[SHIP_MAX_EFFECTS];
    unsigned n;

    e->now = loop_mono(s->p.loop);
    e->wall = loop_wall(s->p.loop);
    n = shipper_step(&s->m, e, f);
    for (unsigned i = 0; i < n; i++)
        carry_out(s, &f[i]);
}

void shipping_wake(struct shipping *s)
{
    struct ship_event e = {.type = SHIP_EV_CHANGED};
    struct spool_totals t;

    if (s->m.state != SHIP_IDLE)
        return;
    t = spool_totals(s->p.spool);
    if (t.spooled.batches + t.in_memory.batches)
        step(s, &e);
}

static int set_endpoints(struct shipping *s, const struct shipping_params *p, struct err *e)
{
    char(*list)[URL_MAX] = calloc(p->n_endpoints ? p->n_endpoints : 1, sizeof *list);
    char *auth = NULL;

    if (p->token) {
        size_t n = strlen(p->token) + sizeof "Bearer ";

        auth = malloc(n);
        if (auth)
            (void)snprintf(auth, n, "Bearer %s", p->token);
    }
    if (!list || (p->token && !auth)) {
        free(list);
        free(auth);
        return err_set(e, ERR_NOMEM, "no memory for the endpoints");
    }
    for (unsigned i = 0; i < p->n_endpoints; i++) {
        size_t n = strlen(p->endpoints[i]);

        while (n && p->endpoints[i][n - 1] == '/')
            n--;
        (void)snprintf(list[i], sizeof list[i], "%.*s", (int)(n < URL_MAX ? n : URL_MAX - 1),
                       p->endpoints[i]);
    }
    free(s->endpoints);
    free(s->authorization);
    s->endpoints = list;
    s->authorization = auth;
    return 0;
}

struct shipping *shipping_new(const struct shipping_params *p, struct err *e)
{
    struct http_client_params c = {.ca = p->ca, .cert = p->cert, .key = p->key, .max_connections = 2};
    struct shipping *s = calloc(1, sizeof *s);

    if (!s) {
        (void)err_set(e, ERR_NOMEM, "no memory to ship");
        return NULL;
    }
    s->p = *p;
    buf_init(&s->frame, NULL, WIRE_MAX_BODY);
    buf_init(&s->body, NULL, WIRE_MAX_BODY);
    shipper_init(&s->m, p->n_endpoints, p->failback, p->seed);
    s->timer = timer_new(p->loop, on_timer, s);
    s->client = http_client_new(p->loop, &c, e);
    if (!s->timer || !s->client || set_endpoints(s, p, e) != 0)
        shipping_free(&s);
    return s;
}

int shipping_reload(struct shipping *s, const struct shipping_params *p, struct err *e)
{
    struct http_client_params c = {.ca = p->ca, .cert = p->cert, .key = p->key, .max_connections = 2};
    int rc = http_client_reload(s->client, &c, e);

    if (rc == 0)
        rc = set_endpoints(s, p, e);
    if (rc != 0)
        return rc;
    s->p = *p;
    s->m.n_endpoints = p->n_endpoints;
    s->m.failback = p->failback;
    s->m.endpoint = 0;
    memset(s->m.not_before, 0, sizeof s->m.not_before);
    if (s->m.state == SHIP_WAITING) /* for what may have been mended just now */
        timer_set(s->timer, span_ns(0));
    return 0;
}

void shipping_free(struct shipping **sp)
{
    struct shipping *s = *sp;

    if (!s)
        return;
    if (s->call)
        http_call_cancel(&s->call);
    timer_free(&s->timer);
    http_client_free(&s->client);
    buf_free(&s->frame);
    buf_free(&s->body);
    free(s->endpoints);
    free(s->authorization);
    free(s);
    *sp = NULL;
}

bool shipping_busy(const struct shipping *s)
{
    return s->m.state != SHIP_IDLE && s->m.state != SHIP_WAITING && s->m.state != SHIP_STOPPED;
}

const struct shipper *shipping_state(const struct shipping *s)
{
    return &s->m;
}

const char *shipping_endpoint(const struct shipping *s)
{
    return s->endpoints[s->m.endpoint];
}

const char *shipping_trouble(const struct shipping *s, struct wall *at, bool *over)
{
    *at = s->trouble_at;
    *over = !s->m.complaining;
    return s->trouble;
}

struct wall shipping_last(const struct shipping *s)
{
    return s->last;
}
