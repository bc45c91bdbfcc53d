/* What a move says: transitions into log, journal and timelines; pages as facts that the shipped rules judge, and as
 * changes that are told. */
#include "aggregator/moves_private.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *page_name(uint8_t level)
{
    return level == FO_PAGE_CRITICAL ? "critical" : "warning";
}

static void tell_change(struct move *m, const char *kind, const char *text)
{
    struct decide *d = m->all->d;
    const struct moment at = decide_moment(d);
    uint8_t active = m->fo.record.active;
    const struct label labels[] = {
        {"region", active < m->set.core.n_regions ? m->set.names.region[active] : ""},
        {"service", move_service(m)}};
    const struct change_event change = {
        .kind = kind, .name = move_service(m), .text = text, .labels = {labels, 2}, .t = at.now};
    struct batch *b = batch_new(d);

    if (!b)
        return;
    judge_change(d->judge, &at, &change, "failover", &b->orders);
    batch_give(b);
}

static void own_fact(struct move *m, const char *metric, const char *label, const char *value, double x)
{
    struct decide *d = m->all->d;
    const struct label labels[] = {{label, value}, {"service", move_service(m)}};
    bool first = strcmp(label, "service") < 0;
    const struct label turned[] = {labels[1], labels[0]};

    judge_own(d->judge, metric, FACT_GAUGE, (struct labels){first ? labels : turned, 2}, x,
              loop_wall(d->loop));
}

/* The old state is 0, the new one 1: at once, since a page hangs on it. */
static void state_facts(struct move *m, uint8_t from, uint8_t to)
{
    if (from != to)
        own_fact(m, "securebase_failover_state", "state", fo_state_name(from), 0);
    own_fact(m, "securebase_failover_state", "state", fo_state_name(to), 1);
    m->all->d->gained = true;
}

/* A best-effort action that failed: the plan goes on without it. */
static void passed_over(struct move *m, const struct fo_effect *x)
{
    char text[300];

    if (x->action >= m->set.core.n_actions)
        return;
    (void)snprintf(text, sizeof text, "%s: the action %s was passed over: %s", move_service(m),
                   m->set.names.action[x->action], action_class_name((enum action_class)x->code));
    LOG(m->all->d->log, LOG_WARN, "failover", "a best-effort action failed and is passed over",
        kv_s("service", move_service(m)), kv_s("action", m->set.names.action[x->action]),
        kv_s("class", action_class_name((enum action_class)x->code)), kv_u("rule", x->row));
    tell_change(m, "failover", text);
}

void move_do_tell(struct move *m, const struct fo_effect *x)
{
    const struct fo_row *row = fo_row_find(x->row);
    const char *kind =
        m->fo.record.status == FO_PLAN && m->fo.record.plan.kind == FO_DRILL ? "drill" : "failover";
    bool quiet = x->to == FO_S_FOLLOW || (x->from == FO_S_BOOT && x->to == FO_S_STEADY);
    char text[600], why[300];

    if (x->from == x->to) {
        passed_over(m, x);
        return;
    }
    fo_reasons_text(x->reasons, why, sizeof why);
    m->transitions++;
    (void)snprintf(text, sizeof text, "%s: %s to %s: %s%s%s (rule %u)", move_service(m),
                   fo_state_name(x->from), fo_state_name(x->to), row ? row->sentence : "",
                   *why ? " Because of: " : "", why, x->row);
    LOG(m->all->d->log, LOG_INFO, "failover", row ? row->sentence : "transition",
        kv_s("service", move_service(m)), kv_s("from", fo_state_name(x->from)),
        kv_s("to", fo_state_name(x->to)), kv_u("rule", x->row), kv_s("name", row ? row->name : ""),
        kv_s("reasons", why), kv_u("epoch", m->fo.record.epoch));
    state_facts(m, x->from, x->to);
    if (!quiet && m->fo.leading)
        tell_change(m, kind, text);
}

void move_do_page(struct move *m, const struct fo_effect *x)
{
    uint32_t *page = &m->page[x->level == FO_PAGE_CRITICAL];
    char why[300];

    fo_reasons_text(x->reasons, why, sizeof why);
    if (x->on)
        *page |= UINT32_C(1) << x->to;
    else
        *page &= ~(UINT32_C(1) << x->to);
    LOG(m->all->d->log, x->on ? LOG_WARN : LOG_INFO, "failover",
        x->on ? "people are told" : "told that it is over", kv_s("service", move_service(m)),
        kv_s("page", page_name(x->level)), kv_u("rule", x->row), kv_s("state", fo_state_name(x->to)),
        kv_s("reasons", why));
    own_fact(m, "securebase_failover_page", "severity", page_name(x->level), *page != 0);
    m->all->d->gained = true;
}

void move_unsay(struct move *m)
{
    own_fact(m, "securebase_failover_state", "state", fo_state_name(m->fo.state), 0);
    for (uint8_t level = FO_PAGE_WARNING; level <= FO_PAGE_CRITICAL; level++) {
        if (m->page[level])
            own_fact(m, "securebase_failover_page", "severity", page_name(level), 0);
        m->page[level] = 0;
    }
    m->all->d->gained = true;
}

/* ---- the journal ---- */

void move_plan_id(const struct move *m, uint32_t epoch, char out[FO_NAME])
{
    int n = snprintf(out, FO_NAME, "%.48s-%u", move_service(m), epoch);

    for (int i = 0; i < n && i < FO_NAME - 1; i++)
        out[i] = isalnum((unsigned char)out[i]) ? (char)tolower((unsigned char)out[i]) : '-';
}

/* Actions whose phase this commit changes: "stop-db intent, dns done". */
static enum fo_journal_phase changes(const struct move *m, char *out, size_t cap)
{
    const struct fo_plan *was = &m->fo.record.plan, *is = &m->fo.next.plan;
    bool same = was->epoch == is->epoch, intent = false, result = false;
    size_t n = 0;

    out[0] = 0;
    for (uint8_t i = 0; i < m->set.core.n_actions && n < cap; i++) {
        if ((same ? was->phase[i] : FO_IDLE) == is->phase[i])
            continue;
        n += (size_t)snprintf(out + n, cap - n, "%s%s %s", n ? ", " : "", m->set.names.action[i],
                              fo_phase_name(is->phase[i]));
        intent |= is->phase[i] == FO_INTENT || is->phase[i] == FO_UNDOING;
        result |= is->phase[i] != FO_INTENT && is->phase[i] != FO_UNDOING;
    }
    return intent ? FO_JOURNAL_INTENT : result ? FO_JOURNAL_RESULT : FO_JOURNAL_TRANSITION;
}

void move_line(struct move *m, const struct fo_effect *x, struct fo_journal_line *out)
{
    static const char *const status[] = {"steady", "plan", "hold", "stuck", "undo"};
    const struct fo_record *r = &m->fo.next;
    const struct fo_row *row = fo_row_find(x->row);
    bool plan = r->status == FO_PLAN || r->status == FO_UNDO_STATUS || r->status == FO_STUCK_STATUS;
    char what[200];
    int n;

    *out = (struct fo_journal_line){
        .t = loop_wall(m->all->d->loop), .epoch = r->epoch, .token = m->fo.token, .row = x->row};
    out->phase = changes(m, what, sizeof what);
    (void)snprintf(out->service, sizeof out->service, "%s", move_service(m));
    if (r->epoch)
        move_plan_id(m, r->epoch, out->plan);
    if (plan)
        (void)snprintf(out->step, sizeof out->step, "%s", plan_step_name((enum plan_step)r->plan.step));
    (void)snprintf(out->actor, sizeof out->actor, "%.63s", m->all->voter);
    n = snprintf(out->text, sizeof out->text, "%s; %s: %s", row ? row->sentence : "committed",
                 fo_state_name(m->fo.state), status[r->status % 5]);
    if (*what && n > 0 && n < (int)sizeof out->text)
        n += snprintf(out->text + n, sizeof out->text - (size_t)n, "; %s", what);
    if (r->plan.epoch != m->fo.record.plan.epoch && n > 0 && n < (int)sizeof out->text)
        (void)snprintf(out->text + n, sizeof out->text - (size_t)n, "; ordered by %s", r->plan.who);
}
