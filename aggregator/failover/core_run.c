/* Actions of one step. An action runs only while its phase is committed as FO_INTENT (FO_UNDOING for taking it back) under
 * our own token. Its life: apply, verify until it is so; an outcome that got lost is settled by a probe; an intent that an
 * earlier holder left open begins with a probe. What it comes to (`settled`) is committed before the step ends. */
#include <string.h>

#include "aggregator/failover/core_private.h"

enum { MISSED_MOST = 3, VALIDATE_EVERY = 5 * FO_SECOND, VALIDATE_LEAST = 200 };

uint8_t fo_phase_now(const struct fo *s, uint8_t action)
{
    uint8_t settled = s->runs[action].settled;

    return settled != FO_IDLE ? settled : s->record.plan.phase[action];
}

void fo_run_clear(struct fo *s)
{
    for (unsigned i = 0; i < FO_ACTIONS; i++) {
        struct fo_run *r = &s->runs[i];

        r->op = ACTION_APPLY;
        r->next = r->until = 0;
        r->backoff = 0;
        r->last = r->settled = r->tries = r->missed = 0;
    }
}

static void arm(struct fo_turn *t, uint8_t i, enum action_op op)
{
    struct fo *s = t->s;
    struct fo_run *r = &s->runs[i];
    int64_t from = t->now;

    if (s->first_effect > from)
        from = s->first_effect;
    if (s->promised_until > from)
        from = s->promised_until;
    if (s->tilt_until > from)
        from = s->tilt_until;
    r->op = (uint8_t)op;
    r->next = t->now;
    r->until = from + t->c->actions[i].patience_ms;
    r->backoff = t->c->t.retry;
    r->last = ACTION_PROGRESS;
    r->tries = s->record.plan.tries[i];
    r->missed = 0;
}

void fo_run_resume(struct fo_turn *t)
{
    struct fo *s = t->s;

    fo_run_clear(s);
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (s->record.plan.phase[i] == FO_INTENT)
            arm(t, i, ACTION_PROBE);
}

/* Full jitter (Brooker, "Exponential Backoff and Jitter"): anything from nothing to the present ceiling. */
static void later(struct fo_turn *t, struct fo_run *r, bool slower, int32_t at_least)
{
    int32_t most = t->c->t.retry_most, wait;

    if (r->backoff < 1)
        r->backoff = t->c->t.retry > 0 ? t->c->t.retry : 1;
    wait = (int32_t)(fo_random(t->s) % (uint64_t)r->backoff);
    for (int n = slower ? 2 : 1; n > 0; n--)
        r->backoff = r->backoff > most / 2 ? most : 2 * r->backoff;
    if (slower && wait < r->backoff / 4)
        wait = r->backoff / 4;
    r->next = t->now + (wait > at_least ? wait : at_least);
}

/* Best effort: told, and passed over. */
static void pass_over(struct fo_turn *t, uint8_t i)
{
    struct fo_effect *e = fo_emit(t, FO_DO_TELL);

    e->action = i;
    e->code = t->s->runs[i].last;
    e->reasons = FO_BIT(FO_R_STEP_FAILED);
}

static void settle(struct fo_turn *t, struct fo_run *r, enum fo_phase phase)
{
    uint8_t i = (uint8_t)(r - t->s->runs);

    r->settled = (uint8_t)phase;
    if (phase == FO_FAILED && !t->c->actions[i].required && t->s->record.plan.phase[i] == FO_INTENT)
        pass_over(t, i);
}

void fo_run_give_up(struct fo_turn *t, enum plan_step step)
{
    for (uint8_t i = 0; i < t->c->n_actions; i++) {
        struct fo_run *r = &t->s->runs[i];

        if (t->c->actions[i].step != step || fo_phase_now(t->s, i) != FO_INTENT)
            continue;
        if (step == STEP_VALIDATE && r->last <= ACTION_ALREADY)
            settle(t, r, FO_DONE);
        else
            settle(t, r, FO_FAILED);
    }
}

static int32_t validate_every(const struct fo_turn *t)
{
    int32_t every = t->c->t.validate / 4;

    return every < VALIDATE_LEAST ? VALIDATE_LEAST : every > VALIDATE_EVERY ? VALIDATE_EVERY : every;
}

static void took_apply(struct fo_turn *t, struct fo_run *r, const struct fo_event *e)
{
    switch (e->u.action.class) {
    case ACTION_OK:
    case ACTION_ALREADY:
        r->op = ACTION_VERIFY;
        r->backoff = t->c->t.retry;
        r->next = t->now;
        r->missed = 0;
        break;
    case ACTION_PROGRESS:
    case ACTION_UNKNOWN:
        r->op = ACTION_PROBE;
        later(t, r, false, e->u.action.retry_after_ms);
        break;
    case ACTION_CONFLICT:
    case ACTION_DENIED: settle(t, r, FO_FAILED); break;
    default:
        r->op = ACTION_APPLY;
        later(t, r, e->u.action.class == ACTION_THROTTLED, e->u.action.retry_after_ms);
    }
}

/* Probe or verify. Not so: after a probe it is applied (again); after a verify it may only not be seen yet. */
static void took_look(struct fo_turn *t, struct fo_run *r, const struct fo_event *e)
{
    switch (e->u.action.class) {
    case ACTION_OK:
    case ACTION_ALREADY: settle(t, r, FO_DONE); break;
    case ACTION_NOT_APPLIED:
        if (r->op == ACTION_PROBE || ++r->missed > MISSED_MOST) {
            r->op = ACTION_APPLY;
            r->missed = 0;
            r->next = t->now;
        } else
            later(t, r, false, e->u.action.retry_after_ms);
        break;
    case ACTION_CONFLICT:
    case ACTION_DENIED: settle(t, r, FO_FAILED); break;
    default: later(t, r, e->u.action.class == ACTION_THROTTLED, e->u.action.retry_after_ms);
    }
}

static void took_undo(struct fo_turn *t, struct fo_run *r, const struct fo_event *e)
{
    switch (e->u.action.class) {
    case ACTION_OK:
    case ACTION_ALREADY:
    case ACTION_NOT_APPLIED: settle(t, r, FO_UNDONE); break;
    case ACTION_CONFLICT:
    case ACTION_DENIED: settle(t, r, FO_FAILED); break;
    default: later(t, r, e->u.action.class == ACTION_THROTTLED, e->u.action.retry_after_ms);
    }
}

static void took(struct fo_turn *t, uint8_t i, const struct fo_event *e)
{
    struct fo *s = t->s;
    struct fo_run *r = &s->runs[i];
    uint8_t phase = s->record.plan.phase[i];

    r->flying = 0;
    r->last = e->u.action.class;
    if (fencing_cmp(e->u.action.found, s->token) > 0 && s->leading)
        s->sticky |= FO_BIT(FO_R_TOKEN_HIGHER);
    if (!s->leading || r->settled != FO_IDLE || r->until == 0)
        return;
    if (phase == FO_UNDOING && e->u.action.op == ACTION_UNDO)
        took_undo(t, r, e);
    else if (phase == FO_INTENT && t->c->actions[i].step == STEP_VALIDATE)
        r->next = t->now + validate_every(t); /* only looked at, until the whole is valid */
    else if (phase == FO_INTENT && e->u.action.op == ACTION_APPLY)
        took_apply(t, r, e);
    else if (phase == FO_INTENT && e->u.action.op != ACTION_UNDO)
        took_look(t, r, e);
}

void fo_take_action(struct fo_turn *t, const struct fo_event *e)
{
    uint8_t i = e->u.action.action;

    if (i < t->c->n_actions && i < FO_ACTIONS && t->s->runs[i].flying && t->s->runs[i].id == e->u.action.id)
        took(t, i, e);
}

/* The shell answers each once, at the latest at its time-out. Should it fail to, nobody knows what became of it. */
void fo_run_overdue(struct fo_turn *t)
{
    for (uint8_t i = 0; i < t->c->n_actions && i < FO_ACTIONS; i++) {
        const struct fo_run *r = &t->s->runs[i];

        if (r->flying && t->now >= r->ends) {
            struct fo_event lost = {.kind = FO_E_ACTION}; /* large: made only when there is one */

            lost.u.action.op = r->op;
            lost.u.action.class = ACTION_UNKNOWN;
            took(t, i, &lost);
        }
    }
}

/* Asks for the action's next operation when it may be. Reading changes nothing: only the lease's deadline holds it back. */
static void start(struct fo_turn *t, uint8_t i)
{
    struct fo *s = t->s;
    struct fo_run *r = &s->runs[i];
    bool reads = r->op == ACTION_PROBE || r->op == ACTION_VERIFY;
    int32_t timeout = fo_room(t, t->c->actions[i].timeout_ms);
    struct fo_effect *e;

    if (r->flying || r->settled != FO_IDLE || t->now < r->next || timeout == 0 || s->tilted)
        return;
    if (!reads && (t->now < s->first_effect || t->now < s->promised_until))
        return;
    if (r->op == ACTION_APPLY && t->c->actions[i].step == STEP_SWITCH && !fo_target_up(t))
        return; /* users are never sent to where a majority does not see them served */
    r->flying = 1;
    r->id = ++s->ids;
    r->ends = t->now + timeout + FO_ANSWER_MOST;
    if (!reads && r->tries < UINT8_MAX)
        r->tries++;
    e = fo_emit(t, FO_DO_ACTION);
    e->action = i;
    e->op = r->op;
    e->id = r->id;
    e->timeout_ms = timeout;
}

static void run(struct fo_turn *t, uint8_t i)
{
    struct fo *s = t->s;
    struct fo_run *r = &s->runs[i];
    bool validate = t->c->actions[i].step == STEP_VALIDATE;

    if (r->until == 0)
        arm(t, i, validate ? ACTION_PROBE : ACTION_APPLY);
    if (t->c->actions[i].step == STEP_SWITCH && !fo_target_up(t))
        r->until = t->now + t->c->actions[i].patience_ms;
    if (r->settled == FO_IDLE && !r->flying && t->now >= r->until && !validate)
        settle(t, r, FO_FAILED);
    start(t, i);
}

static bool ours(const struct fo *s)
{
    return s->known && !s->reading && fencing_cmp(s->record.token, s->token) == 0;
}

static enum fo_reason reason_of(uint8_t class)
{
    switch (class) {
    case ACTION_CONFLICT: return FO_R_STEP_CONFLICT;
    case ACTION_DENIED: return FO_R_STEP_DENIED;
    default: return FO_R_STEP_FAILED;
    }
}

/* Required or not on the way there: what stays done keeps the old region from serving. It stays as it is committed, for
 * people. */
static bool undo_failed(const struct fo_turn *t, uint8_t i)
{
    return t->s->record.plan.phase[i] == FO_UNDOING && t->s->runs[i].settled == FO_FAILED;
}

enum fo_reason fo_undo_failed(const struct fo_turn *t)
{
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (undo_failed(t, i))
            return reason_of(t->s->runs[i].last);
    return FO_R_NONE;
}

void fo_settle(struct fo_turn *t)
{
    struct fo *s = t->s;

    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (s->runs[i].settled != FO_IDLE && !undo_failed(t, i)) {
            struct fo_record *n = fo_draft(t);

            n->plan.phase[i] = s->runs[i].settled;
            n->plan.tries[i] = s->runs[i].tries;
        }
}

void fo_run_step(struct fo_turn *t, enum plan_step step)
{
    if (!ours(t->s))
        return;
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (t->c->actions[i].step == step && t->s->record.plan.phase[i] == FO_INTENT)
            run(t, i);
}

void fo_run_undo(struct fo_turn *t)
{
    struct fo *s = t->s;

    if (!ours(s))
        return;
    for (uint8_t i = 0; i < t->c->n_actions; i++) {
        struct fo_run *r = &s->runs[i];

        if (s->record.plan.phase[i] != FO_UNDOING)
            continue;
        if (r->until == 0)
            arm(t, i, ACTION_UNDO);
        r->op = ACTION_UNDO;
        if (!t->c->actions[i].undo)
            settle(t, r, FO_FAILED); /* nobody but people can */
        if (r->settled == FO_IDLE && !r->flying && t->now >= r->until)
            settle(t, r, FO_FAILED);
        start(t, i);
    }
}

bool fo_step_over(const struct fo_turn *t, enum plan_step step)
{
    for (uint8_t i = 0; i < t->c->n_actions; i++) {
        uint8_t phase = fo_phase_now(t->s, i);

        if (t->c->actions[i].step != step)
            continue;
        if (phase == FO_IDLE || phase == FO_INTENT || (phase == FO_FAILED && t->c->actions[i].required))
            return false;
    }
    return true;
}

enum fo_reason fo_step_failed(const struct fo_turn *t, enum plan_step step)
{
    for (uint8_t i = 0; i < t->c->n_actions; i++)
        if (t->c->actions[i].step == step && t->c->actions[i].required && fo_phase_now(t->s, i) == FO_FAILED)
            return reason_of(t->s->runs[i].last);
    return FO_R_NONE;
}
