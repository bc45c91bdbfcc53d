/* The decide thread at work: its inbox and its steps. See decide.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/decide_private.h"

enum { STEP_MS = 1000, HOLD_S = 30, PRUNE_S = 600, OWN_MOST_S = 10, MOVES_STALL_MS = 2000 };

/* ---- inbox ---- */

void decide_take_in(void *arg)
{
    struct decide *d = arg;
    struct note *n, *next;

    (void)pthread_mutex_lock(&d->lock);
    n = d->in;
    d->in = NULL;
    d->in_last = &d->in;
    d->posted = false;
    (void)pthread_mutex_unlock(&d->lock);
    for (; n; n = next) {
        next = n->next;
        n->run(d, n);
    }
}

void decide_put(struct decide *d, struct note *n)
{
    bool ended;

    n->next = NULL;
    (void)pthread_mutex_lock(&d->lock);
    ended = d->ended;
    if (!ended) {
        *d->in_last = n;
        d->in_last = &n->next;
        if (!d->posted)
            d->posted = loop_post(d->loop, decide_take_in, d) == 0;
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (ended)
        n->drop(n);
}

/* ---- steps ---- */

struct moment decide_moment(const struct decide *d)
{
    struct mono now = loop_mono(d->loop);

    return (struct moment){.now = loop_wall(d->loop), .mono = now, .hold = mono_before(now, d->hold_until)};
}

void decide_step(struct decide *d)
{
    const struct moment m = decide_moment(d);
    struct batch *b = batch_new(d);
    struct mono began = clock_mono();

    if (!b)
        return;
    judge_step(d->judge, &m, d->restored, &b->orders);
    d->step_took = mono_sub(clock_mono(), began);
    judge_spent(d->judge, d->step_took);
    batch_give(b);
    d->gained = false;
}

/* Timelines as long as `[incidents] keep` may be; a ledger for two years of reports. */
static void prune(struct decide *d, struct mono now)
{
    static const struct {
        const char *room;
        int64_t days;
    } keep[] = {{"decision", 90},   {"peer", 1},     {"act", 7},         {"event", 400},
                {"timeline", 3700}, {"ledger", 800}, {"failover", 3700}, {"drill", 3700}};
    struct wall wall = loop_wall(d->loop);

    if (d->pruned.ns && mono_sub(now, d->pruned).ns < span_s(PRUNE_S).ns)
        return;
    d->pruned = now;
    for (size_t i = 0; i < sizeof keep / sizeof *keep; i++)
        (void)control_prune(d->control, keep[i].room, wall_add(wall, span_s(-86400 * keep[i].days)));
}

void decide_tick(void *arg)
{
    struct decide *d = arg;
    struct mono now = clock_mono();
    bool second = mono_sub(now, d->stepped).ns >= span_ms(STEP_MS - TICK_MS / 2).ns;

    ticks_take(&d->ticks, now, d->log);
    if (second || d->gained || judge_wake(d->judge, now).ns <= 0)
        decide_step(d);
    carry_tick(d, now);
    if (d->moves && !d->ending)
        moves_tick(d->moves, now);
    if (second) {
        d->stepped = now;
        peers_tick(d, now);
        figures_own(d, now);
        figures_publish(d);
        prune(d, now);
    }
    timer_set(d->tick, span_ms(TICK_MS));
}

/* A stall that a long step of our own explains is no strange time: nothing was missed while it was at work, and to hold
 * decisions for it would make a storm of alerts look like silence. What takes longer than that, or was not spent in a step,
 * is: this thread, or the machine, slept. Moves between regions are stricter, since others may have acted meanwhile. */
void decide_noticed(void *arg, const char *what, struct span by)
{
    struct decide *d = arg;
    bool stall = strcmp(what, "stall") == 0;
    bool own = stall && by.ns < span_s(OWN_MOST_S).ns && d->step_took.ns >= by.ns / 2;

    ticks_noticed(&d->ticks, what, by, own, d->log);
    if (!own)
        d->hold_until = mono_add(clock_mono(), span_s(HOLD_S));
    if (d->moves && (!stall || by.ns > span_ms(MOVES_STALL_MS).ns))
        moves_noticed(d->moves);
}

/* ---- tellings ---- */

struct telling_note {
    struct note note;
    struct telling *t; /* owned */
};

static void drop_telling(struct note *n)
{
    struct telling_note *t = (struct telling_note *)n;

    telling_free(&t->t);
    free(t);
}

static void run_telling(struct decide *d, struct note *n)
{
    struct telling_note *t = (struct telling_note *)n;

    if (t->t->generation > d->generation) { /* the reload that brings its list is under way */
        n->next = NULL;
        *d->held_last = n;
        d->held_last = &n->next;
        return;
    }
    if (t->t->generation == d->generation)
        judge_telling(d->judge, t->t);
    else
        d->dropped_tellings++;
    d->gained |= t->t->n_deltas > 0;
    if (t->t->restored && !d->restored) {
        d->restored = true;
        LOG0(d->log, LOG_INFO, "decide", "what is stored has been told: judging begins");
    }
    drop_telling(n);
}

void decide_tell(struct decide *d, struct telling *t)
{
    struct telling_note *n = calloc(1, sizeof *n);

    if (!n) {
        telling_free(&t); /* the next ones count: what is lost is seen as a gap */
        return;
    }
    *n = (struct telling_note){{.run = run_telling, .drop = drop_telling}, t};
    decide_put(d, &n->note);
}

void decide_run_held(struct decide *d)
{
    struct note *n = d->held, *next;

    d->held = NULL;
    d->held_last = &d->held;
    for (; n; n = next) {
        next = n->next;
        run_telling(d, n);
    }
}

/* ---- outcomes ---- */

struct ended_note {
    struct note note;
    uint64_t delivery;
    struct told_result result;
};

static void drop_note(struct note *n)
{
    free(n);
}

static void run_ended(struct decide *d, struct note *n)
{
    struct ended_note *x = (struct ended_note *)n;
    const struct moment m = decide_moment(d);
    struct batch *b = batch_new(d);

    if (b) {
        judge_ended(d->judge, &m, x->delivery, &x->result, &b->orders);
        batch_give(b);
    }
    free(n);
}

/* On the telling thread. An outcome that finds no memory is one that never came: the message is sent again. */
void decide_ended(void *arg, uint64_t delivery, const struct told_result *r)
{
    struct ended_note *n = calloc(1, sizeof *n);

    if (!n)
        return;
    *n = (struct ended_note){{.run = run_ended, .drop = drop_note}, delivery, *r};
    decide_put(arg, &n->note);
}

/* ---- the audit, for others ---- */

struct audit_note {
    struct note note;
    struct decide *d;
    char what[300];
    struct serve_actor actor;
    struct loop *loop;
    void (*done)(void *arg, int code);
    void *arg;
    int code;
};

static void audit_answer(void *arg)
{
    struct audit_note *n = arg;

    n->done(n->arg, n->code);
    free(n);
}

static void audited(void *arg, int code)
{
    struct audit_note *n = arg;

    n->code = code;
    if (loop_post(n->loop, audit_answer, n) != 0)
        free(n);
}

static void drop_audit(struct note *n)
{
    audited(n, ERR_STATE);
}

static void run_audit(struct decide *d, struct note *note)
{
    struct audit_note *n = (struct audit_note *)note;
    const struct control_audit audit = {.t = loop_wall(d->loop),
                                        .who = n->actor.who,
                                        .what = n->what,
                                        .reason = n->actor.reason,
                                        .request_id = n->actor.request_id};
    int rc = control_audit(d->control, &audit, audited, n);

    if (rc)
        audited(n, rc);
}

void decide_audit(struct decide *d, const char *what, const struct serve_actor *actor, struct loop *loop,
                  void (*done)(void *arg, int code), void *arg)
{
    struct audit_note *n = calloc(1, sizeof *n);

    if (!n) {
        done(arg, ERR_NOMEM);
        return;
    }
    *n = (struct audit_note){.note = {.run = run_audit, .drop = drop_audit},
                             .d = d,
                             .actor = *actor,
                             .loop = loop,
                             .done = done,
                             .arg = arg};
    (void)snprintf(n->what, sizeof n->what, "%s", what);
    decide_put(d, &n->note);
}
