/* Attempts on the telling thread: their turn, what they ask the channel for, their end. See teller_io.c.
 *
 * Each receiver has a queue of its own and so many attempts under way at once; a receiver that hangs fills its own queue and
 * delays nobody else. An attempt that did not get its turn in time ends as a failed one, so that whoever ordered it
 * knows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/judge.h"
#include "aggregator/notify/telling.h"

struct attempt_call {
    struct attempt *attempt;
    const char *who;
};

/* ---- references ---- */

static void forget(struct receiver *r)
{
    struct teller *t = r->used;

    if (!t)
        return;
    *(r->prev ? &r->prev->next : &t->used) = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->used = NULL;
}

static void release(void *arg)
{
    forget(arg);
    receiver_close(arg);
}

void receiver_unref(struct teller *t, struct receiver *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    if (t->over)
        release(r);
    else
        loop_defer(t->loop, release, r);
}

static void remember(struct teller *t, struct receiver *r)
{
    if (r->used)
        return;
    r->used = t;
    r->prev = NULL;
    r->next = t->used;
    if (t->used)
        t->used->prev = r;
    t->used = r;
}

void attempt_free(struct attempt *a)
{
    arena_free(&a->arena);
    free(a);
}

static void pump(struct teller *t, struct receiver *r);

void attempt_unlink(struct attempt *a)
{
    struct teller *t = a->teller;

    *(a->prev ? &a->prev->next : &t->attempts) = a->next;
    if (a->next)
        a->next->prev = a->prev;
    a->prev = a->next = NULL;
}

/* ---- the end of an attempt ---- */

static void count(struct attempt *a, struct told_result *res)
{
    struct tally *y = a->receiver->tally;
    struct mono now = clock_mono();

    atomic_fetch_add(&y->attempts[res->outcome], 1);
    if (!a->begun)
        return;
    atomic_fetch_sub(&y->under_way, 1);
    atomic_fetch_add(&y->ns, (uint64_t)(now.ns > a->began.ns ? now.ns - a->began.ns : 0));
    if (res->outcome == OUTCOME_DELIVERED)
        log_recovered(a->teller->log, &y->complaint, "notify", "receiver takes messages again");
    else
        COMPLAIN(a->teller->log, &y->complaint, now, LOG_WARN, "notify", "message not taken",
                 kv_s("receiver", y->name), kv_s("type", a->receiver->ch->type),
                 kv_s("outcome", outcome_name(res->outcome)), kv_s("error", res->text),
                 kv_s("dedup_key", a->n->dedup_key));
}

/* Reports it and lets go; keep: its worker is still out and brings it back later. */
static void attempt_end(struct attempt *a, struct told_result *res, bool keep)
{
    struct teller *t = a->teller;
    struct receiver *r = a->receiver;

    receiver_scrub(r, res->text);
    count(a, res);
    if (!t->stopping || a->begun)
        t->ended(t->arg, a->delivery, res);
    if (a->begun)
        r->under_way--;
    atomic_fetch_sub(&r->queued, 1);
    attempt_unlink(a);
    if (!keep) {
        attempt_free(a);
        if (!t->stopping)
            pump(t, r);
        receiver_unref(t, r);
    } else if (!t->stopping) {
        pump(t, r);
    }
    if (t->stopping && !t->attempts)
        loop_stop(t->loop);
}

static void end_with(struct attempt *a, enum outcome o, const char *why)
{
    struct told_result res = {0};

    told_say(&res, o, "%s", why);
    attempt_end(a, &res, false);
}

/* ---- HTTP ---- */

/* Delivered to one replica is delivered; what may yet be taken outweighs what never will. */
static void merge(struct attempt *a, const char *who, const struct told_result *res)
{
    static const int rank[] = {
        [OUTCOME_DELIVERED] = 0, [OUTCOME_RETRY] = 1, [OUTCOME_DENIED] = 2, [OUTCOME_NEVER] = 3};
    struct told_result *all = &a->result;
    char before[TOLD_TEXT];

    if (res->outcome == OUTCOME_DELIVERED)
        a->taken++;
    if (!a->judged) {
        *all = *res;
    } else {
        if (rank[res->outcome] < rank[all->outcome] ||
            (res->outcome == all->outcome && res->retry_after.ns < all->retry_after.ns))
            all->retry_after = res->retry_after;
        if (rank[res->outcome] < rank[all->outcome])
            all->outcome = res->outcome;
    }
    if (who) { /* one line for all of them */
        (void)snprintf(before, sizeof before, "%s", a->judged ? all->text : "");
        told_say(all, all->outcome, "%.160s%s%.60s: %.80s", before, *before ? "; " : "", who, res->text);
    }
    a->judged = true;
}

static void http_over(struct attempt *a)
{
    char text[TOLD_TEXT];

    memcpy(text, a->result.text, sizeof text);
    if (a->calls > 1)
        told_say(&a->result, a->result.outcome, "%u of %u have taken it; %s", a->taken, a->calls, text);
    attempt_end(a, &a->result, false);
}

static void on_answer(void *arg, const struct http_result *r)
{
    struct attempt_call *c = arg;
    struct attempt *a = c->attempt;
    struct told_result res = {0};

    a->receiver->ch->judge(a->receiver->target, r, &res);
    merge(a, c->who, &res);
    if (--a->left == 0)
        http_over(a);
}

static void http_send(struct attempt *a, struct http_client *client, const struct channel_call *c,
                      struct attempt_call *ctx)
{
    struct http_request q = {.method = c->method,
                             .url = c->url,
                             .headers = c->headers,
                             .n_headers = c->n_headers,
                             .body = c->body.p,
                             .body_len = c->body.n,
                             .timeout = c->timeout,
                             .max_answer = 65536,
                             .idempotent = c->idempotent};
    struct told_result res = {.outcome = OUTCOME_RETRY};
    struct err e = {0};

    ctx->attempt = a;
    ctx->who = c->who;
    if (http_client_send(client, &q, on_answer, ctx, &e)) {
        a->left++;
        return;
    }
    told_say(&res, OUTCOME_RETRY, "%s", e.text);
    merge(a, c->who, &res);
}

static void begin_http(struct attempt *a)
{
    struct receiver *r = a->receiver;
    struct channel_call *calls = arena_array(&a->arena, CALLS_MOST, sizeof *calls);
    struct attempt_call *ctx = arena_array(&a->arena, CALLS_MOST, sizeof *ctx);
    struct http_client *client;
    struct err e = {0};
    int n;

    if (!calls || !ctx) {
        end_with(a, OUTCOME_RETRY, "no memory for the request");
        return;
    }
    n = r->ch->prepare(r->target, a->n, loop_wall(a->teller->loop), &a->arena, calls, CALLS_MOST, &e);
    if (n <= 0) {
        end_with(a, n == ERR_NOMEM ? OUTCOME_RETRY : OUTCOME_NEVER, e.text);
        return;
    }
    client = receiver_client(r, a->teller->loop, &e);
    if (!client) {
        end_with(a, OUTCOME_RETRY, e.text);
        return;
    }
    a->calls = (unsigned)n;
    for (int i = 0; i < n; i++)
        http_send(a, client, &calls[i], &ctx[i]);
    if (!a->left)
        http_over(a);
}

/* ---- channels that block ---- */

static void work(void *arg)
{
    struct attempt *a = arg;

    a->receiver->ch->send(a->receiver->target, a->n, a->deadline, &a->said);
}

static void on_done(void *arg, bool late)
{
    struct attempt *a = arg;
    struct told_result res = {.outcome = OUTCOME_RETRY, .text = "it takes longer than `timeout`"};

    if (late) {
        attempt_end(a, &res, true);
        return;
    }
    a->receiver->in_workers--;
    attempt_end(a, &a->said, false);
}

/* The thread of an attempt that had ended before. */
static void on_abandoned(void *arg)
{
    struct attempt *a = arg;
    struct teller *t = a->teller;
    struct receiver *r = a->receiver;

    r->in_workers--;
    attempt_free(a);
    if (!t->stopping)
        pump(t, r);
    receiver_unref(t, r);
}

static void begin_worker(struct attempt *a)
{
    struct receiver *r = a->receiver;
    struct err e = {0};
    struct workers *w = receiver_workers(r, a->teller->loop, &e);

    a->deadline = r->timeout; /* the channel's own; ours comes in when it does not keep it */
    if (w &&
        workers_run(w, work, on_done, on_abandoned, a, (struct span){r->timeout.ns + span_s(2).ns}, &e) == 0)
        r->in_workers++;
    else
        end_with(a, OUTCOME_RETRY, e.text);
}

/* ---- queues ---- */

static void begin(struct attempt *a)
{
    struct receiver *r = a->receiver;

    atomic_fetch_sub(&r->tally->waiting, 1);
    a->began = clock_mono();
    if (mono_sub(a->began, a->ordered).ns > span_s(TELLING_WAIT_S).ns) {
        end_with(a, OUTCOME_RETRY, "others that wait for this receiver took all the time");
        return;
    }
    a->begun = true;
    remember(a->teller, r);
    r->under_way++;
    atomic_fetch_add(&r->tally->under_way, 1);
    if (r->ch->send)
        begin_worker(a);
    else
        begin_http(a);
}

static void pump(struct teller *t, struct receiver *r)
{
    unsigned most = r->ch->send ? TELLING_WORKERS : TELLING_HTTP;

    (void)t;
    if (r->pumping)
        return;
    r->pumping = true;
    while (r->first && r->under_way < most) {
        struct attempt *a = r->first;

        r->first = a->behind;
        if (!r->first)
            r->last = NULL;
        begin(a);
    }
    r->pumping = false;
}

void attempt_arrive(void *arg)
{
    struct attempt *a = arg;
    struct teller *t = a->teller;
    struct receiver *r = a->receiver;

    if (t->stopping) {
        atomic_fetch_sub(&r->tally->waiting, 1);
        atomic_fetch_sub(&r->queued, 1);
        attempt_free(a);
        receiver_unref(t, r);
        return;
    }
    a->next = t->attempts;
    if (t->attempts)
        t->attempts->prev = a;
    t->attempts = a;
    if (r->last)
        r->last->behind = a;
    else
        r->first = a;
    r->last = a;
    pump(t, r);
}
