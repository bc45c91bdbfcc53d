/* POST /v1/guard: whether a service may serve, asked by the guard on its host. Who asks is judged here; what is true knows
 * another thread (ingest_params.guard), which is given 1.5 s: a guard that waited longer could not tell an aggregator that
 * thinks from one that is gone. The guard counts its lease from when it sent the question, so time spent here makes no lease
 * longer. */
#include <stdlib.h>
#include <string.h>

#include "aggregator/ingest/ingest_private.h"
#include "common/wire/guard.h"

enum { PATIENCE_MS = 1500, WAITING_MOST = 4096 };

struct guard_wait {
    struct ingest *g;
    struct guard_wait *prev, *next;
    struct http_exchange *exchange; /* NULL: answered, the word itself is still to come */
    struct timer *timer;
};

static void refuse(struct ingest *g, struct http_exchange *x, enum wire_reason reason, const char *text)
{
    struct wire_answer a;

    intake_refuse(&a, reason, text);
    ingest_answer(g, x, PATH_GUARD, &a);
}

static void reply(struct ingest *g, struct http_exchange *x, struct bytes json)
{
    const struct wire_answer good = {.status = 200, .reason = WIRE_OK};

    figures_answer(&g->f, PATH_GUARD, &good);
    http_answer(x, 200, "application/json", NULL, 0, json.p, json.n);
}

static void forget(struct guard_wait *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        w->g->guards = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->g->guards_waiting--;
    timer_free(&w->timer);
    free(w);
}

static void answered(void *arg, int status, struct bytes json)
{
    struct guard_wait *w = arg;
    struct http_exchange *x = w->exchange;

    w->exchange = NULL;
    if (x) {
        w->g->under_way--;
        if (status == 200)
            reply(w->g, x, json);
        else
            refuse(w->g, x, WIRE_UNAVAILABLE, "this aggregator cannot say");
    }
    forget(w);
}

/* What comes after this is not used; `answered` lets go of w. */
static void too_late(void *arg)
{
    struct guard_wait *w = arg;
    struct http_exchange *x = w->exchange;

    w->exchange = NULL;
    w->g->under_way--;
    refuse(w->g, x, WIRE_UNAVAILABLE, "no answer within 1.5 s");
}

static void away(struct ingest *g, struct http_exchange *x)
{
    const struct guard_answer a = {.why = "no service is moved by this aggregator"};
    struct buf b;

    buf_init(&b, NULL, GUARD_BODY);
    if (guard_answer_write(&a, &b) == 0)
        reply(g, x, buf_bytes(&b));
    else
        refuse(g, x, WIRE_OVERLOAD, "no memory");
    buf_free(&b);
}

static void ask(struct ingest *g, struct http_exchange *x, const char *agent)
{
    struct guard_wait *w = g->guards_waiting < WAITING_MOST ? calloc(1, sizeof *w) : NULL;

    if (!w || !(w->timer = timer_new(g->loop, too_late, w))) {
        free(w);
        refuse(g, x, WIRE_OVERLOAD, "too many requests are under way");
        return;
    }
    w->g = g;
    w->exchange = x;
    w->next = g->guards;
    if (w->next)
        w->next->prev = w;
    g->guards = w;
    g->guards_waiting++;
    g->under_way++;
    timer_set(w->timer, span_ms(PATIENCE_MS));
    g->guard(g->guard_arg, http_body(x), agent, g->loop, answered, w);
}

/* Only the agent itself: what a guard reports is proof that a region does not write, and a relay, a peer or another agent
 * could open that region with it. */
static bool is_agent(const struct caller *who, const char *agent)
{
    for (unsigned i = 0; i < who->n; i++)
        if (strcmp(who->agent[i], agent) == 0)
            return true;
    return who->anyone;
}

void ingest_guard(struct ingest *g, struct http_exchange *x, const struct caller *who)
{
    struct guard_ask a;
    struct err e = {0};
    int rc;

    if (http_body(x).n > GUARD_BODY) {
        refuse(g, x, WIRE_TOO_LARGE, "the body is larger than 4 KiB");
        return;
    }
    rc = guard_ask_read(http_body(x), &a, &e);
    if (rc != 0)
        refuse(g, x, rc == ERR_VERSION ? WIRE_BAD_VERSION : WIRE_MALFORMED, e.text);
    else if (!is_agent(who, a.agent))
        refuse(g, x, WIRE_IDENTITY, "a guard is asked for by its own agent");
    else if (!g->guard)
        away(g, x);
    else
        ask(g, x, a.agent);
}

void ingest_guards_free(struct ingest *g)
{
    const struct bytes none = {NULL, 0};

    while (g->guards)
        answered(g->guards, 503, none);
}
