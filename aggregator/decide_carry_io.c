/* Carrying out what the rooms order: see decide.h. One write is under way at a time and the others wait in order, so
 * that a write that failed and is tried again never overwrites a later state of the same key. While writes fail, what is
 * to be sent goes out at once. */
#include <stdio.h>
#include <stdlib.h>

#include "aggregator/decide_private.h"

enum { OPEN_MS = 2000, RETRY_MS = 1000, WAITING_MOST = 128 << 20 };

struct batch *batch_new(struct decide *d)
{
    struct batch *b = calloc(1, sizeof *b);

    if (!b) {
        d->lost_batches++;
        return NULL;
    }
    b->d = d;
    orders_init(&b->orders, NULL);
    return b;
}

static void batch_free(struct batch *b)
{
    orders_free(&b->orders);
    free(b);
}

static void send_all(struct decide *d, const struct orders *o)
{
    for (size_t i = 0; i < o->n_sends && d->teller; i++) {
        const struct order_send *s = &o->sends[i];
        int rc = teller_send(d->teller, s->delivery, s->receiver, s->n);
        struct told_result r = {.outcome = OUTCOME_RETRY};
        struct batch *b;

        d->sends += rc == 0;
        if (rc == 0)
            continue;
        d->send_refused++;
        COMPLAIN(d->log, &d->teller_complaint, loop_mono(d->loop), LOG_ERROR, "decide",
                 "a message could not be handed over", kv_s("receiver", s->receiver),
                 kv_s("why", err_name(rc)));
        (void)snprintf(r.text, sizeof r.text, "%s",
                       rc == ERR_NOTFOUND ? "there is no such receiver"
                                          : "too many messages wait for this receiver");
        b = batch_new(d);
        if (b) {
            const struct moment m = decide_moment(d);

            judge_ended(d->judge, &m, s->delivery, &r, &b->orders);
            batch_give(b);
        }
    }
}

static void release(struct batch *b)
{
    if (b->released)
        return;
    b->released = true;
    send_all(b->d, &b->orders);
    if (b->then)
        b->then(b->d, b->then_arg);
    b->then = NULL;
}

static void write_next(struct decide *d);

/* Off the list, before anything is done about it: what is done may give new batches. */
static struct batch *take_first(struct decide *d)
{
    struct batch *b = d->first;

    d->first = b->next;
    if (!d->first)
        d->last = &d->first;
    d->waiting_bytes -= b->orders.arena.used;
    return b;
}

static void end_first(struct decide *d)
{
    struct batch *b = take_first(d);

    release(b);
    batch_free(b);
}

static void failed(struct decide *d, int code)
{
    d->store_failures++;
    d->retry_at = mono_add(clock_mono(), span_ms(RETRY_MS));
    COMPLAIN(d->log, &d->store_complaint, clock_mono(), LOG_ERROR, "decide",
             "states could not be stored: messages go out all the same, and it is tried again",
             kv_s("why", err_name(code)), kv_u("waiting_bytes", d->waiting_bytes));
    for (struct batch *b = d->first; b; b = b->next) {
        if (!b->released) {
            d->failed_open += b->orders.n_sends;
            release(b);
        }
    }
}

static void written(void *arg, int code)
{
    struct batch *b = arg;
    struct decide *d = b->d;

    d->writing = false;
    if (code) {
        failed(d, code);
        return;
    }
    if (d->store_complaint.active)
        log_recovered(d->log, &d->store_complaint, "decide", "states are stored again");
    d->retry_at = (struct mono){0};
    end_first(d);
    write_next(d);
}

static void write_next(struct decide *d)
{
    while (d->first && !d->writing && d->retry_at.ns == 0) {
        struct batch *b = d->first;
        int rc = 0;

        if (b->orders.n_ops == 0) {
            end_first(d);
            continue;
        }
        d->writing = true;
        rc = control_write(d->control, b->orders.ops, b->orders.n_ops, written, b);
        if (rc) {
            d->writing = false;
            failed(d, rc);
        }
    }
}

void batch_give(struct batch *b)
{
    struct decide *d = b->d;

    if (orders_none(&b->orders) && !b->then) {
        batch_free(b);
        return;
    }
    b->since = clock_mono();
    b->next = NULL;
    *d->last = b;
    d->last = &b->next;
    d->waiting_bytes += b->orders.arena.used;
    if (d->retry_at.ns) {
        d->failed_open += b->orders.n_sends;
        release(b);
    }
    write_next(d);
}

void carry_tick(struct decide *d, struct mono now)
{
    while (d->waiting_bytes > WAITING_MOST && d->first && !d->writing) {
        d->lost_batches++;
        end_first(d);
    }
    for (struct batch *b = d->first; b; b = b->next) {
        if (!b->released && mono_sub(now, b->since).ns > span_ms(OPEN_MS).ns) {
            d->failed_open += b->orders.n_sends;
            release(b);
        }
    }
    if (d->retry_at.ns && !mono_before(now, d->retry_at)) {
        d->retry_at = (struct mono){0};
        write_next(d);
    }
}

static void written_last(void *arg, int code)
{
    struct batch *b = arg;

    b->d->store_failures += code != 0;
    release(b);
    batch_free(b);
}

/* The order of handing in is that of writing: nothing is tried again any more. */
void carry_end(struct decide *d)
{
    struct batch *b = d->first, *next;

    if (d->writing) { /* `written` ends it */
        b = d->first->next;
        d->first->next = NULL;
        d->last = &d->first->next;
    } else {
        d->first = NULL;
        d->last = &d->first;
    }
    for (; b; b = next) {
        next = b->next;
        if (control_write(d->control, b->orders.ops, b->orders.n_ops, written_last, b) != 0)
            written_last(b, ERR_STATE);
    }
}

/* After the store was closed: what is still here could not be written. */
void carry_free(struct decide *d)
{
    while (d->first)
        end_first(d);
}

void carry_metrics(const struct decide *d, struct sink *out)
{
    static const struct metric_row open = {
        "securebase_aggregator_decide_failed_open_total",
        METRIC_COUNTER,
        1,
        1,
        "",
        "Messages sent before the state behind them was stored, since the store failed or took too long."};
    static const struct metric_row failures = {
        "securebase_aggregator_decide_store_failures_total", METRIC_COUNTER, 1, 1, "",
        "Writes of states that failed and are tried again."};
    static const struct metric_row lost = {
        "securebase_aggregator_decide_lost_writes_total",
        METRIC_COUNTER,
        1,
        1,
        "",
        "Writes of states that were given up, since the store failed for too long or memory was short."};
    static const struct metric_row waiting = {
        "securebase_aggregator_decide_waiting_bytes", METRIC_GAUGE, 1, 1, "",
        "Memory of states that wait to be stored."};
    static const struct metric_row refused = {
        "securebase_aggregator_decide_refused_sends_total",
        METRIC_COUNTER,
        1,
        1,
        "",
        "Messages that the telling thread did not take: no such receiver, or too many waited for it."};

    sink_uint(out, &open, NULL, d->failed_open);
    sink_uint(out, &failures, NULL, d->store_failures);
    sink_uint(out, &lost, NULL, d->lost_batches);
    sink_uint(out, &waiting, NULL, d->waiting_bytes);
    sink_uint(out, &refused, NULL, d->send_refused);
}
