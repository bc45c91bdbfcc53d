/* Guards: what they are answered, and what they say. A guard may let its service run for `serving` from the moment in which
 * it asked, when somebody who has read the record lately says so; when the authority is away, when everybody says that he
 * will not act. See failover/failover.h and docs/guard.md. */
#include "aggregator/moves_private.h"

#include <stdio.h>
#include <string.h>

#include "common/wire/guard.h"

enum { READ_AGE_MS = 3500, REPORT_AGE_S = 30 };

static int guard_index(const struct move *m, const char *name)
{
    for (int i = 0; i < m->set.n_guards; i++) {
        if (strcmp(m->set.guard[i].name, name) == 0)
            return i;
    }
    return -1;
}

static void report(struct move *m, int i, const struct move_guard *fresh)
{
    if (!m->guard[i].at.ns || mono_before(m->guard[i].at, fresh->at))
        m->guard[i] = *fresh;
}

void move_guard_told(struct move *m, const char *guard, uint32_t fenced_epoch, bool serving, int64_t age_ms)
{
    struct mono at = mono_add(loop_mono(m->all->d->loop), span_ms(-age_ms));
    int i = guard_index(m, guard);

    if (i >= 0 && age_ms >= 0)
        report(m, i, &(struct move_guard){fenced_epoch, serving, false, at});
}

/* All guards of the region that is left say that they are fenced. */
void move_guards_tick(struct move *m)
{
    const struct fo_plan *p = &m->fo.record.plan;
    struct mono now = loop_mono(m->all->d->loop);
    uint32_t epoch = p->epoch;
    struct fo_event e;

    if (!m->fo.known || m->fo.record.status != FO_PLAN || p->fenced || m->told_fenced == epoch ||
        !(m->set.core.guarded >> p->from & 1))
        return;
    for (int i = 0; i < m->set.n_guards; i++) {
        const struct move_guard *g = &m->guard[i];

        if (m->set.guard[i].region != p->from)
            continue;
        if (!g->at.ns || g->serving || g->fenced_epoch < epoch ||
            mono_sub(now, g->at).ns > span_s(REPORT_AGE_S).ns)
            return;
    }
    move_event(m, &e, FO_E_FENCED);
    e.u.fenced.region = p->from;
    e.u.fenced.epoch = epoch;
    if (move_feed(m, &e))
        m->told_fenced = epoch;
}

/* Whether this aggregator is in the middle of taking that region's place, or may be (a commit of which nobody knows whether
 * it was done): then it promises nothing. */
static bool acting(const struct move *m)
{
    uint8_t status = m->fo.record.status;

    return m->fo.storing || m->fo.unsure ||
           (m->fo.known && status != FO_STEADY_STATUS && status != FO_HOLD_STATUS);
}

static void promise(struct move *m, struct guard_answer *a)
{
    struct fo_event e;

    a->held = false;
    if (acting(m)) {
        (void)snprintf(a->why, sizeof a->why, "a plan was under way when the authority was last heard");
        return;
    }
    move_event(m, &e, FO_E_PROMISED);
    e.u.promised.until = e.now + m->set.core.t.serving;
    if (!move_feed(m, &e) || m->fo.promised_until < e.u.promised.until) {
        (void)snprintf(a->why, sizeof a->why, "too much is under way here to promise anything");
        return;
    }
    a->promise_ms = m->set.core.t.serving;
    (void)snprintf(a->why, sizeof a->why, "the authority is away; nobody is moved from here meanwhile");
}

static void answer(struct move *m, uint8_t region, struct guard_answer *a)
{
    const struct fo_record *r = &m->fo.record;
    /* by the clock itself: the turn's own time stands still while the turn is long */
    int64_t age = m->read_began.ns ? span_to_ms(mono_sub(clock_mono(), m->read_began)) : INT64_MAX;

    a->lease_ms = m->set.core.t.serving;
    a->epoch = r->epoch;
    if (!m->fo.known || age > READ_AGE_MS) {
        if (m->away_since.ns)
            promise(m, a);
        else
            (void)snprintf(a->why, sizeof a->why, "the record was not read yet");
        return;
    }
    a->held = true;
    a->serve = fo_may_serve(r, region);
    if (r->writer < m->set.core.n_regions)
        (void)snprintf(a->writer, sizeof a->writer, "%s", m->set.names.region[r->writer]);
    (void)snprintf(a->why, sizeof a->why, "%s",
                   a->serve               ? "this region writes"
                   : r->writer == FO_NONE ? "a move is under way: nobody writes"
                                          : "another region writes");
}

int moves_guard(struct moves *all, struct bytes body, const char *agent, struct buf *out, struct err *e)
{
    struct guard_ask q;
    struct guard_answer a = {.serve = false};
    struct move *m;
    char name[FO_GUARD_NAME];
    uint8_t region = 0;
    int rc = guard_ask_read(body, &q, e), i;

    if (rc)
        return rc;
    if (agent && strcmp(agent, q.agent) != 0)
        return err_set(e, ERR_DENIED, "agent \"%s\" speaks for \"%s\"", agent, q.agent);
    m = all ? moves_of(all, q.service) : NULL;
    if (!m)
        return err_set(e, ERR_NOTFOUND, "there is no [failover %s] here", q.service);
    (void)snprintf(name, sizeof name, "%s/%s", q.agent, q.guard);
    i = guard_index(m, name);
    if (i < 0)
        return err_set(e, ERR_NOTFOUND, "[failover %s] guards does not list %s", q.service, name);
    region = m->set.guard[i].region;
    if (strcmp(m->set.names.region[region], q.region) != 0)
        return err_set(e, ERR_DENIED, "%s belongs to %s, not to %s", name, m->set.names.region[region],
                       q.region);
    report(m, i, &(struct move_guard){q.fenced_epoch, q.serving, true, loop_mono(all->d->loop)});
    answer(m, region, &a);
    return guard_answer_write(&a, out);
}
