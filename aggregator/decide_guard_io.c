/* A guard's question on its way from the ingest thread to the decide thread and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/decide_private.h"
#include "aggregator/expose/api.h"
#include "common/wire/guard.h"

struct guard_note {
    struct note note;
    char agent[WIRE_MAX_AGENT + 1];
    struct buf body, answer;
    int status;
    struct loop *loop;
    void (*done)(void *arg, int status, struct bytes json);
    void *arg;
};

static void guard_free(struct guard_note *n)
{
    buf_free(&n->body);
    buf_free(&n->answer);
    free(n);
}

static void guard_answer_now(void *arg)
{
    struct guard_note *n = arg;

    n->done(n->arg, n->status, buf_bytes(&n->answer));
    guard_free(n);
}

static void give(struct guard_note *n)
{
    if (loop_post(n->loop, guard_answer_now, n) != 0)
        guard_free(n);
}

/* Never run: the guard is told nothing that it could go by. */
static void drop_guard(struct note *note)
{
    struct guard_note *n = (struct guard_note *)note;

    n->status = api_error(&n->answer, 503, "unavailable", "this aggregator is stopping");
    give(n);
}

static void run_guard(struct decide *d, struct note *note)
{
    struct guard_note *n = (struct guard_note *)note;
    struct err e = {0};
    int rc = moves_guard(d->moves, buf_bytes(&n->body), n->agent, &n->answer, &e);

    n->status = 200;
    if (rc) {
        buf_clear(&n->answer);
        n->status = api_error(&n->answer,
                              rc == ERR_NOTFOUND ? 404
                              : rc == ERR_DENIED ? 403
                                                 : 400,
                              err_name(rc), "%s", e.text);
        COMPLAIN(d->log, &d->guard_complaint, loop_mono(d->loop), LOG_WARN, "failover",
                 "a guard is not answered", kv_s("agent", n->agent), kv_e(&e));
    }
    give(n);
}

void decide_guard(struct decide *d, struct bytes body, const char *agent, struct loop *loop,
                  void (*done)(void *done_arg, int status, struct bytes json), void *done_arg)
{
    struct guard_note *n = calloc(1, sizeof *n);

    if (!n)
        return; /* the guard is told 503 when its time is up */
    *n = (struct guard_note){
        .note = {.run = run_guard, .drop = drop_guard}, .loop = loop, .done = done, .arg = done_arg};
    (void)snprintf(n->agent, sizeof n->agent, "%s", agent);
    buf_init(&n->body, NULL, GUARD_BODY);
    buf_init(&n->answer, NULL, GUARD_BODY * 2);
    buf_put(&n->body, body.p, body.n);
    decide_put(d, &n->note);
}
