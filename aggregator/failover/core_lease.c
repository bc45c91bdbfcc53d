/* The lease and the record's way to and from the authority.
 *
 * The holder trusts its own boot clock and its last answer alone: deadline = when that request left + lease - margin
 * (etcd may revoke a lease early, or late: neither is computed with). What is not known for certain is read again before
 * anything is decided. */
#include <string.h>

#include "aggregator/failover/core_private.h"

void fo_read_again(struct fo_turn *t)
{
    t->s->reading = 1;
    t->s->read_at = 0;
}

static void lost(struct fo *s)
{
    s->leading = s->storing = s->reading = 0;
    s->unsure = 0; /* it was guarded by the lease */
    s->rung = 0;   /* what was seen of one plan tells nothing of the next */
    s->sticky = 0;
    s->deadline = 0;
}

void fo_take_lease(struct fo_turn *t, const struct fo_event *e)
{
    struct fo *s = t->s;
    int64_t until = e->u.lease.sent + t->c->t.lease - t->c->t.margin;

    switch (e->u.lease.what) {
    case FO_LEASE_GRANTED:
        lost(s);
        s->leading = 1;
        s->token = e->u.lease.token;
        s->deadline = until;
        s->kept_at = e->u.lease.sent;
        s->tried_at = t->now;
        s->first_effect = e->u.lease.resigned ? t->now : t->now + t->c->t.lock_delay;
        fo_read_again(t);
        break;
    case FO_LEASE_KEPT:
        if (!s->leading || fencing_cmp(e->u.lease.token, s->token) != 0)
            break;
        if (until > s->deadline)
            s->deadline = until;
        if (e->u.lease.sent > s->kept_at)
            s->kept_at = e->u.lease.sent;
        break;
    case FO_LEASE_LOST: lost(s); break;
    case FO_LEASE_HELD_BY_OTHER:
        if (s->leading)
            lost(s);
        s->resigning = 0; /* somebody has taken it */
        break;
    default: /* away: ask again in a second */ s->tried_at = t->now - t->c->t.keep + FO_SECOND;
    }
}

void fo_take_record(struct fo_turn *t, const struct fo_event *e)
{
    struct fo *s = t->s;

    /* while we lead, only what we ask for, or what is newer than ours, is news; what is being committed is settled by its
     * own answer */
    if (s->storing || (s->leading && !s->reading && e->u.record.rev <= s->rev))
        return;
    s->reading = 0;
    s->known = e->u.record.known != 0;
    s->rev = e->u.record.rev;
    if (s->known)
        fo_copy_record(&s->record, &e->u.record.record);
}

/* The shell answers each commit once. Should it fail to, nobody knows what became of it. */
void fo_store_overdue(struct fo_turn *t)
{
    struct fo *s = t->s;

    if (!s->storing || t->now - s->store_at < t->c->t.lease + FO_ANSWER_MOST)
        return;
    s->storing = 0;
    s->unsure = 1;
    if (s->pending_on == 2)
        s->pending_on = 1;
    fo_read_again(t);
}

void fo_take_stored(struct fo_turn *t, const struct fo_event *e)
{
    struct fo *s = t->s;

    if (!s->storing || e->u.stored.id != s->store_id)
        return;
    s->storing = 0;
    switch (e->u.stored.what) {
    case FO_STORED_OK:
        s->record = s->next;
        s->known = 1;
        s->unsure = 0;
        s->rev = e->u.stored.rev;
        for (unsigned i = 0; i < FO_ACTIONS; i++)
            if (s->runs[i].settled == s->record.plan.phase[i])
                s->runs[i].settled = FO_IDLE;
        if (s->pending_on == 2)
            fo_answer(t, FO_R_NONE, 0);
        break;
    case FO_STORED_LOST: lost(s); break;
    default: /* a conflict, or nobody knows */
        s->unsure |= e->u.stored.what != FO_STORED_CONFLICT;
        if (s->pending_on == 2)
            s->pending_on = 1;
        fo_read_again(t);
    }
}

int32_t fo_room(const struct fo_turn *t, int32_t timeout_ms)
{
    int64_t room = t->s->deadline - t->now - FO_SECOND;

    /* the effect ends a second before the deadline, and one second is the least that any gets */
    if (!t->s->leading || room <= FO_SECOND)
        return 0;
    return room - 1 < timeout_ms ? (int32_t)(room - 1) : timeout_ms;
}

void fo_resign(struct fo_turn *t)
{
    (void)fo_emit(t, FO_DO_RESIGN);
    lost(t->s);
    t->s->resigning = 1;
    t->s->tried_at = t->now;
}

static void acquire(struct fo_turn *t)
{
    struct fo *s = t->s;
    bool inside = s->known && s->record.active == t->c->own_region;
    int64_t from = inside && s->entered > s->tried_at ? s->entered : s->tried_at;

    if (!t->c->may_lead || t->now - from < (inside || s->resigning ? FO_INSIDE : t->c->t.keep))
        return;
    s->tried_at = t->now;
    (void)fo_emit(t, FO_DO_ACQUIRE);
}

void fo_keep_lease(struct fo_turn *t)
{
    struct fo *s = t->s;
    int64_t every = s->reading ? FO_SECOND : FO_READ_EVERY;

    if (s->leading && t->now - s->tried_at >= t->c->t.keep) {
        s->tried_at = t->now;
        (void)fo_emit(t, FO_DO_KEEP);
    } else if (!s->leading && s->state == FO_S_FOLLOW)
        acquire(t);
    if ((s->reading || !s->leading) && (s->read_at == 0 || t->now - s->read_at >= every)) {
        s->read_at = t->now;
        (void)fo_emit(t, FO_DO_READ);
    }
}
