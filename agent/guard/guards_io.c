/* Guards on the agent's loop: see guards.h. */
#include "agent/guard/guards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/guard/link_io.h"
#include "common/net/http_client.h"

enum { CALL_MS = 1900, ROUND_MS = 2000, DOUBT_MS = 1000, CHECK_MS = 8000, SAID = 160, ROOM = 1 << 16 };

struct one;
struct call { /* to one endpoint */
    struct one *one;
    uint8_t i;
    bool fresh; /* the last one failed: a kept connection is in doubt */
    struct http_call *http;
    char said[SAID];
};

struct check {
    struct check *next;
    uint64_t after; /* a later round than this has to say so */
    int64_t until;
    guard_checked done;
    void *arg;
};

struct one {
    struct guards *g;
    struct guard_settings s;
    struct round r;
    struct link *link;
    struct helper_word word;
    bool have_word, again; /* again: a round at once, when the one under way has ended */
    struct call calls[GUARD_ENDPOINTS];
    struct timer *timer; /* the next round, or the end of this one */
    struct check *checks;
    uint64_t held_in;   /* the last round in which somebody held and said serve */
    int64_t held_until; /* the lease that it gave */
    uint64_t renewed, promised, denied, failures;
};

struct guards {
    struct guards_params p;
    struct http_client *client;
    struct arena texts;  /* of the settings: they outlive the configuration that they came from */
    char *authorization; /* "Bearer …" or NULL */
    char boot[GUARD_BOOT];
    unsigned n;
    struct one of[GUARDS_MOST];
};

static void on_timer(void *arg);

static int64_t now_ms(void)
{
    return mono_to_ms(clock_mono());
}

static const char *endpoint_said(void *arg, unsigned i)
{
    const struct one *o = arg;

    return *o->calls[i].said ? o->calls[i].said : "not asked yet";
}

static struct guard_view view(const struct one *o)
{
    return (struct guard_view){.s = &o->s,
                               .r = &o->r,
                               .word = o->have_word ? &o->word : NULL,
                               .endpoint = endpoint_said,
                               .arg = (void *)(uintptr_t)o,
                               .rounds = o->r.seq,
                               .renewed = o->renewed,
                               .promised = o->promised,
                               .denied = o->denied,
                               .failures = o->failures,
                               .now = now_ms()};
}

/* ---- may it start? ---- */

static void answer_checks(struct one *o, bool may, const char *why, int64_t overdue)
{
    struct check **at = &o->checks;

    while (*at) {
        struct check *c = *at;

        if (overdue ? c->until > overdue : c->after >= o->r.seq) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        c->done(c->arg, may, why);
        free(c);
    }
}

/* Yes: this round was answered with a lease, and the helper has taken it. No: it was denied. Else the next round tells. */
static void look_at_checks(struct one *o)
{
    struct guard_view v = view(o);
    char why[256];

    if (!o->checks)
        return;
    if (o->r.denied) {
        (void)snprintf(why, sizeof why, "%s may not serve in %s at epoch %u", o->s.service, o->s.region,
                       o->r.seen);
        answer_checks(o, false, why, 0);
    } else if (o->held_in == o->r.seq && guard_view_serving(&v) && o->word.deadline >= o->held_until) {
        (void)snprintf(why, sizeof why, "%s may serve in %s at epoch %u", o->s.service, o->s.region,
                       o->r.seen);
        answer_checks(o, true, why, 0);
    }
    (void)snprintf(why, sizeof why, "no aggregator has confirmed it in time (%s)",
                   o->have_word ? guard_view_state(&v) : "the helper is not there");
    answer_checks(o, false, why, now_ms());
}

/* ---- rounds ---- */

static void count(struct one *o, enum round_verdict v)
{
    o->renewed += v == ROUND_AGREED;
    o->promised += v == ROUND_PROMISED;
}

static void told(struct one *o, struct round_said s)
{
    bool closed = !o->r.open;

    if (s.verdict == ROUND_FENCE)
        link_tell(o->link, HELPER_DENY, s.epoch, 0, false);
    else if (s.verdict != ROUND_NOTHING)
        link_tell(o->link, HELPER_LEASE, s.epoch, s.deadline, s.verdict == ROUND_AGREED);
    if (s.verdict == ROUND_LEASE || s.verdict == ROUND_AGREED) {
        o->held_in = o->r.seq;
        o->held_until = s.deadline;
    }
    if (closed) {
        int64_t next = round_next(&o->r, span_to_ms(o->s.interval), DOUBT_MS);

        count(o, s.verdict);
        o->denied += o->r.denied;
        timer_set(o->timer, span_ms(o->again || o->checks ? 0 : next - now_ms()));
        o->again = false;
        if (o->checks && o->held_in != o->r.seq && !o->r.denied)
            timer_set(o->timer, span_ms(DOUBT_MS / 2));
    }
    look_at_checks(o);
}

static void on_answer(void *arg, const struct http_result *r)
{
    struct call *c = arg;
    struct one *o = c->one;
    struct guard_answer a;
    struct err e = {0};
    bool good = false;

    c->http = NULL;
    if (r->code != 0)
        (void)snprintf(c->said, sizeof c->said, "%.20s: %.130s", r->reason, r->error);
    else if (r->status != 200)
        (void)snprintf(c->said, sizeof c->said, "status %d", r->status);
    else if (guard_answer_read(r->body, &a, &e) != 0)
        (void)snprintf(c->said, sizeof c->said, "not understood: %.130s", e.text);
    else
        good = true;
    c->fresh = !good;
    o->failures += !good;
    if (good)
        (void)snprintf(c->said, sizeof c->said, "%s%s, epoch %u%s%.90s", a.held ? "held" : "away",
                       a.serve        ? " and serve"
                       : a.held       ? ", not to serve"
                       : a.promise_ms ? ", with a promise"
                                      : "",
                       a.epoch, *a.why ? ": " : "", a.why);
    told(o, round_take(&o->r, c->i, good ? &a : NULL, now_ms()));
}

static void ask_one(struct one *o, uint8_t i, const struct buf *body)
{
    struct guards *g = o->g;
    struct call *c = &o->calls[i];
    struct http_header h[2] = {{"Content-Type", "application/json"}, {"Authorization", g->authorization}};
    char url[1024];
    struct http_request r = {.method = "POST",
                             .url = url,
                             .headers = h,
                             .n_headers = g->authorization ? 2 : 1,
                             .body = body->data,
                             .body_len = body->len,
                             .timeout = span_ms(CALL_MS),
                             .max_answer = GUARD_BODY,
                             .fresh = c->fresh,
                             .idempotent = true};
    size_t n = strlen(o->s.endpoints[i]);
    struct err e;

    while (n && o->s.endpoints[i][n - 1] == '/')
        n--;
    (void)snprintf(url, sizeof url, "%.*s/v1/guard", (int)(n < 900 ? n : 900), o->s.endpoints[i]);
    c->http = http_client_send(g->client, &r, on_answer, c, &e);
    if (!c->http)
        (void)snprintf(c->said, sizeof c->said, "not asked: %.140s", e.text);
}

static void write_ask(const struct one *o, struct buf *out)
{
    struct guard_ask a = {.seq = o->r.seq,
                          .serving = !o->have_word || o->word.may_write,
                          .fenced_epoch = o->have_word ? o->word.fenced_epoch : 0,
                          .seen_epoch = o->r.seen};

    (void)snprintf(a.guard, sizeof a.guard, "%s", o->s.name);
    (void)snprintf(a.service, sizeof a.service, "%s", o->s.service);
    (void)snprintf(a.region, sizeof a.region, "%s", o->s.region);
    (void)snprintf(a.agent, sizeof a.agent, "%s", o->g->p.agent);
    memcpy(a.boot, o->g->boot, sizeof a.boot);
    (void)guard_ask_write(&a, out);
}

/* Who cannot even be asked is silent in this round. */
static void begin_round(struct one *o)
{
    struct buf body;

    round_begin(&o->r, now_ms());
    buf_init(&body, NULL, GUARD_BODY);
    write_ask(o, &body);
    timer_set(o->timer, span_ms(ROUND_MS));
    for (uint8_t i = 0; i < o->s.n_endpoints; i++)
        ask_one(o, i, &body);
    buf_free(&body);
    for (uint8_t i = 0; i < o->s.n_endpoints && o->r.open; i++)
        if (!o->calls[i].http)
            told(o, round_take(&o->r, i, NULL, now_ms()));
}

static void on_timer(void *arg)
{
    struct one *o = arg;

    if (!o->r.open) {
        begin_round(o);
        return;
    }
    for (unsigned i = 0; i < o->s.n_endpoints; i++)
        if (o->calls[i].http) {
            http_call_cancel(&o->calls[i].http);
            o->calls[i].fresh = true;
            (void)snprintf(o->calls[i].said, SAID, "no answer within %d ms", ROUND_MS);
        }
    told(o, round_end(&o->r, now_ms()));
}

/* A round at once: there is something to report, or to learn. */
static void hurry(struct one *o)
{
    if (o->r.open)
        o->again = true;
    else
        timer_set(o->timer, span_ns(0));
}

static void on_heard(void *arg, const struct helper_word *w)
{
    struct one *o = arg;
    bool news =
        w && (!o->have_word || w->may_write != o->word.may_write || w->fenced_epoch != o->word.fenced_epoch);

    o->have_word = w != NULL;
    if (w) {
        o->word = *w;
        if (w->seen_epoch > o->r.seen)
            o->r.seen = w->seen_epoch;
    }
    if (news)
        hurry(o);
    look_at_checks(o);
}

void guards_ask(struct guards *g, const char *name, guard_checked done, void *arg)
{
    struct check *c = calloc(1, sizeof *c);
    unsigned i = 0;

    while (i < g->n && strcmp(g->of[i].s.name, name) != 0)
        i++;
    if (i == g->n || !c) {
        free(c);
        done(arg, false, i == g->n ? "there is no such guard" : "no memory");
        return;
    }
    *c = (struct check){.next = g->of[i].checks,
                        .after = g->of[i].r.seq,
                        .until = now_ms() + CHECK_MS,
                        .done = done,
                        .arg = arg};
    g->of[i].checks = c;
    hurry(&g->of[i]);
}

/* ---- all of them ---- */

static int identity(struct guards *g, const struct config *c, bool again, struct err *e)
{
    const struct section *s = config_section(c, "ship");
    struct http_client_params p = {.ca = option_text(s, "ca"),
                                   .cert = option_text(s, "cert"),
                                   .key = option_text(s, "key"),
                                   .connect_timeout = span_ms(CALL_MS),
                                   .max_connections = 4 * GUARD_ENDPOINTS};
    struct buf token, head;
    int rc = 0;

    buf_init(&token, NULL, ROOM);
    buf_init(&head, NULL, ROOM + 16);
    if (option_set(s, "token"))
        rc = option_secret(s, "token", &token, e);
    if (rc == 0 && again)
        rc = http_client_reload(g->client, &p, e);
    else if (rc == 0 && !(g->client = http_client_new(g->p.loop, &p, e)))
        rc = e->code;
    if (rc == 0 && token.len) {
        buf_fmt(&head, "Bearer %s", buf_text(&token));
        free(g->authorization);
        g->authorization = strdup(buf_text(&head));
    }
    buf_free(&token);
    buf_free(&head);
    return rc;
}

static const char *text_of_own(struct guards *g, const char *s, bool *ok)
{
    const char *copy = s ? arena_text(&g->texts, s, strlen(s)) : NULL;

    *ok = *ok && (copy || !s);
    return copy;
}

static int own(struct guards *g, struct guard_settings *s)
{
    bool ok = true;

    s->name = text_of_own(g, s->name, &ok);
    s->service = text_of_own(g, s->service, &ok);
    s->region = text_of_own(g, s->region, &ok);
    s->socket = text_of_own(g, s->socket, &ok);
    for (unsigned i = 0; i < s->n_endpoints; i++)
        s->endpoints[i] = text_of_own(g, s->endpoints[i], &ok);
    s->user = s->state_dir = s->lease_file = NULL; /* matters of the helper */
    s->section = NULL;
    return ok ? 0 : ERR_NOMEM;
}

static int add(struct guards *g, const struct config *c, const struct section *s, struct err *e)
{
    struct one *o = &g->of[g->n];

    g->n++;
    o->g = g;
    guard_settings_read(c, s, &o->s);
    if (own(g, &o->s) != 0)
        return err_set(e, ERR_NOMEM, "no memory for a guard");
    round_init(&o->r, (uint8_t)o->s.n_endpoints, 0);
    for (uint8_t i = 0; i < GUARD_ENDPOINTS; i++)
        o->calls[i] = (struct call){.one = o, .i = i};
    o->timer = timer_new(g->p.loop, on_timer, o);
    o->link = link_new(
        &(struct link_params){
            .s = &o->s, .file = g->p.file, .loop = g->p.loop, .log = g->p.log, .heard = on_heard, .arg = o},
        e);
    if (!o->timer && o->link)
        return err_set(e, ERR_NOMEM, "no memory for a guard");
    return o->link ? 0 : e->code;
}

struct guards *guards_new(const struct guards_params *p, struct err *e)
{
    struct guards *g = calloc(1, sizeof *g);
    const struct section *s;
    int rc = 0;

    if (!g) {
        (void)err_set(e, ERR_NOMEM, "no memory for guards");
        return NULL;
    }
    g->p = *p;
    g->p.config = NULL;
    arena_init(&g->texts, NULL, 1 << 20);
    (void)snprintf(g->boot, sizeof g->boot, "%llx%llx", (unsigned long long)clock_wall().ms,
                   (unsigned long long)clock_mono().ns ^ (unsigned long long)getpid() << 40);
    if (config_named(p->config, "guard", 0))
        rc = identity(g, p->config, false, e);
    for (size_t i = 0; rc == 0 && i < GUARDS_MOST && (s = config_named(p->config, "guard", i)); i++)
        rc = add(g, p->config, s, e);
    if (rc != 0)
        guards_free(&g);
    else
        for (unsigned i = 0; i < g->n; i++)
            timer_set(g->of[i].timer, span_ns(0));
    return g;
}

void guards_free(struct guards **gp)
{
    struct guards *g = *gp;

    if (!g)
        return;
    for (unsigned i = 0; i < g->n; i++) {
        struct one *o = &g->of[i];

        for (unsigned k = 0; k < GUARD_ENDPOINTS; k++)
            if (o->calls[k].http)
                http_call_cancel(&o->calls[k].http);
        while (o->checks) {
            struct check *c = o->checks;

            o->checks = c->next;
            c->done(c->arg, false, "the agent ends");
            free(c);
        }
        link_free(&o->link);
        timer_free(&o->timer);
    }
    http_client_free(&g->client);
    free(g->authorization);
    arena_free(&g->texts);
    free(g);
    *gp = NULL;
}

int guards_reload(struct guards *g, const struct config *fresh, struct err *e)
{
    return g->n ? identity(g, fresh, true, e) : 0;
}

/* ---- showing ---- */

void guards_text(const struct guards *g, struct buf *out)
{
    for (unsigned i = 0; i < g->n; i++) {
        struct guard_view v = view(&g->of[i]);

        guard_view_text(&v, out);
    }
    if (!g->n)
        buf_str(out, "no guards are configured\n");
}

int guards_json(const struct guards *g, struct buf *out)
{
    int rc = 0;

    buf_str(out, "{\"guards\":[");
    for (unsigned i = 0; rc == 0 && i < g->n; i++) {
        struct guard_view v = view(&g->of[i]);

        if (i)
            buf_str(out, ",");
        rc = guard_view_json(&v, out);
    }
    buf_str(out, "]}\n");
    return rc == 0 && out->full ? ERR_NOMEM : rc;
}

void guards_metrics(const struct guards *g, struct sink *out)
{
    for (unsigned i = 0; i < g->n; i++) {
        struct guard_view v = view(&g->of[i]);

        guard_view_metrics(&v, out);
    }
}
