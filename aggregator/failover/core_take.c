/* Events into the state, field by field: what an event's padding or the bytes behind a text's end hold is not ours. */
#include <string.h>

#include "aggregator/failover/core_private.h"

void fo_copy_text(char *to, size_t cap, const char *from)
{
    size_t n = strnlen(from, cap - 1);

    memset(to, 0, cap);
    memcpy(to, from, n);
}

static void copy_suppression(struct fo_suppression *to, const struct fo_suppression *from)
{
    to->until = from->until;
    to->region = from->region;
    fo_copy_text(to->who, sizeof to->who, from->who);
    fo_copy_text(to->why, sizeof to->why, from->why);
}

static void copy_plan(struct fo_plan *to, const struct fo_plan *from)
{
    to->epoch = from->epoch;
    to->kind = from->kind;
    to->from = from->from;
    to->to = from->to;
    to->step = from->step;
    to->past_no_return = from->past_no_return;
    to->automatic = from->automatic;
    to->fenced = from->fenced;
    to->was_fenced = from->was_fenced;
    to->undoing = from->undoing;
    memcpy(to->phase, from->phase, sizeof to->phase);
    memcpy(to->tries, from->tries, sizeof to->tries);
    to->accepted_loss_ms = from->accepted_loss_ms;
    to->loss_ms = from->loss_ms;
    to->asked = from->asked;
    to->began = from->began;
    to->fence_said = from->fence_said;
    to->fenced_at = from->fenced_at;
    to->writable_at = from->writable_at;
    to->switched_at = from->switched_at;
    to->valid_at = from->valid_at;
    to->ended = from->ended;
    to->bad_since = from->bad_since;
    to->suspect_at = from->suspect_at;
    fo_copy_text(to->who, sizeof to->who, from->who);
    fo_copy_text(to->why, sizeof to->why, from->why);
}

void fo_copy_record(struct fo_record *to, const struct fo_record *from)
{
    to->version = from->version;
    to->epoch = from->epoch;
    to->active = from->active;
    to->writer = from->writer;
    to->status = from->status;
    to->left = from->left;
    to->token = from->token;
    copy_plan(&to->plan, &from->plan);
    copy_suppression(&to->lock, &from->lock);
    copy_suppression(&to->must_not, &from->must_not);
    copy_suppression(&to->maintenance, &from->maintenance);
    copy_suppression(&to->automation, &from->automation);
    memcpy(to->moves, from->moves, sizeof to->moves);
    to->hold_until = from->hold_until;
    to->flap_at = from->flap_at;
    to->flap = from->flap;
    to->stuck_reason = from->stuck_reason;
}

/* A vote of the past (a word that overtook another, or came twice) changes nothing; a new boot begins anew. */
static void take_vote(struct fo_turn *t, const struct fo_vote *v)
{
    struct fo_heard *h;

    if (v->voter >= t->c->n_voters || v->voter >= FO_VOTERS)
        return;
    h = &t->s->heard[v->voter];
    if (h->at != 0 && h->vote.boot == v->boot && v->seq <= h->vote.seq)
        return;
    h->at = t->now;
    h->vote.boot = v->boot;
    h->vote.seq = v->seq;
    h->vote.tick_ms = v->tick_ms;
    h->vote.voter = v->voter;
    memcpy(h->vote.verdict, v->verdict, sizeof h->vote.verdict);
    memcpy(h->vote.classes, v->classes, sizeof h->vote.classes);
    memcpy(h->vote.users, v->users, sizeof h->vote.users);
    h->vote.gray = v->gray;
    h->vote.self_ok = v->self_ok;
}

static void take_facts(struct fo *s, const struct fo_facts *f)
{
    for (unsigned r = 0; r < FO_REGIONS; r++) {
        s->facts.region[r].ready_at = f->region[r].ready_at;
        s->facts.region[r].blockers = f->region[r].blockers;
        s->facts.region[r].lag_ms = f->region[r].lag_ms;
        s->facts.region[r].lag_at = f->region[r].lag_at;
        s->facts.region[r].synchronous = f->region[r].synchronous;
    }
    s->facts.writes_stopped_at = f->writes_stopped_at;
    s->facts.bad_since = f->bad_since;
    s->facts.others_moving = f->others_moving;
    s->facts.services = f->services;
    s->facts.blocking_alarm = f->blocking_alarm;
    s->facts.in_window = f->in_window;
}

void fo_take(struct fo_turn *t, const struct fo_event *e)
{
    struct fo *s = t->s;

    switch (e->kind) {
    case FO_E_VOTE: take_vote(t, &e->u.vote); break;
    case FO_E_FACTS: take_facts(s, &e->u.facts); break;
    case FO_E_LEASE: fo_take_lease(t, e); break;
    case FO_E_RECORD: fo_take_record(t, e); break;
    case FO_E_STORED: fo_take_stored(t, e); break;
    case FO_E_ACTION: fo_take_action(t, e); break;
    case FO_E_FENCED:
        s->fenced_region = e->u.fenced.region;
        s->fenced_epoch = e->u.fenced.epoch;
        break;
    case FO_E_PROMISED:
        if (e->u.promised.until > s->promised_until)
            s->promised_until = e->u.promised.until;
        break;
    case FO_E_COMMAND: fo_take_command(t, e); break;
    case FO_E_ANOMALY: s->tilt_until = t->now + t->c->t.tilt; break;
    default: break;
    }
}
